//! SHUTDOWN, and the end that signals ask for.
//!
//! A primary with replicas does not end before they have what it has acknowledged, unless it is told to end now or they take longer than
//! `shutdown-timeout`: writes are held up, and where the journal then ends is what each replica has to confirm. Where it ends is looked at a
//! round of the periodic tasks later, when no worker is still in a turn that began before.
//!
//! # Invariant
//! What was acknowledged before the end is in the last snapshot: it is written under all locks, and what a worker runs after them is not
//! answered any more (the worker drops a turn's replies once `shutdown` is set).

use crate::base::clock;
use crate::client::{BlockRequest, Message, ReplicaPhase, TimeoutReply};
use crate::cluster::node::NodeId;
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, Node, NodeContext, Outcome};
use crate::config::Config;
use crate::config::types::ShutdownOptions;
use crate::keyspace::{Plan, Space};
use crate::persist::snapshot;
use crate::replication::{Host, is_older};
use crate::spec::{CommandSpec, Group};
use std::io;
use std::sync::atomic::Ordering;

const SHUTDOWN_SPEC: CommandSpec =
    CommandSpec::new("shutdown", -1, Group::Server, "admin noscript loading stale no_multi allow_busy")
        .since("1.0.0")
        .history(&[("7.0.0", "Words `NOW`, `FORCE`, `ABORT`."), ("9.0.0", "Words `SAFE` and `FAILOVER`.")])
        .args(
            "[abort-selector{save-selector-block([save-selector{NOSAVE|SAVE}] [NOW@7.0.0] \
        [FORCE@7.0.0] [SAFE@9.0.0] [FAILOVER@9.0.0]) | ABORT@7.0.0}]",
        )
        .doc("Saves as configured and ends the server.", "O(N) with a save, N: keys in all databases; else O(1)");

pub static SHUTDOWN: Command = Command::node(SHUTDOWN_SPEC, shutdown);

/// What was asked for, and whether an end that was asked for before is to be called off.
fn parse(cx: &NodeContext<'_, '_>) -> Result<(ShutdownOptions, bool), CommandError> {
    let (mut o, mut abort) = (ShutdownOptions::default(), false);
    for word in cx.args.from(1).iter() {
        let flag = match word {
            w if is(w, "NOSAVE") => &mut o.nosave,
            w if is(w, "SAVE") => &mut o.save,
            w if is(w, "NOW") => &mut o.now,
            w if is(w, "FORCE") => &mut o.force,
            w if is(w, "SAFE") => &mut o.safe,
            w if is(w, "FAILOVER") => &mut o.failover,
            w if is(w, "ABORT") => &mut abort,
            _ => return Err(CommandError::Syntax),
        };
        *flag = true;
    }
    if (abort && o != ShutdownOptions::default()) || (o.nosave && o.save) {
        return Err(CommandError::Syntax);
    }
    Ok((o, abort))
}

/// What keeps the server from ending; the log has the reason.
#[derive(Debug)]
pub struct NotNow;

/// An end that waits for replicas.
#[derive(Debug)]
pub struct Ending {
    options: ShutdownOptions,
    /// Monotonic ms when it waits no longer.
    pub until_ms: u64,
    /// Where the journal ends that the replicas are to have; `None` before the first look.
    target: Option<u64>,
    /// The clients whose SHUTDOWN waits for it.
    waiters: Vec<u64>,
}

impl Ending {
    /// One that waits for nobody: [`step`] sees to it in the next rounds, and until then it can be called off.
    pub fn next_round(options: ShutdownOptions) -> Ending {
        Ending { options, until_ms: 0, target: None, waiters: Vec::new() }
    }
}

/// What becomes of a wish to end.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    Granted,
    /// It waits for replicas; [`step`] goes on with it.
    Waits,
}

/// Ends the server, or has it end once its replicas have all it has. `waiter`: who is told if that comes to nothing. No lock is held.
///
/// # Errors
/// As of [`end`].
pub fn request(
    node: &Node,
    config: &Config,
    space: &mut Space<'_>,
    options: ShutdownOptions,
    waiter: Option<u64>,
) -> Result<Wish, NotNow> {
    let mut ending = node.ending.lock();
    let at_once = options.now || options.force;
    if let Some(ending) = ending.as_mut().filter(|_| !at_once) {
        ending.waiters.extend(waiter);
        return Ok(Wish::Waits);
    }
    let timeout_ms = u64::from(config.general.shutdown_timeout_secs) * 1000;
    let leads = !node.replication.follower.look().is_following();
    if !options.now
        && timeout_ms > 0
        && leads
        && !node.keyspace.is_busy()
        && ending.is_none()
        && node.replication.replicas.online() > 0
    {
        let until_ms = clock::monotonic_ms() + timeout_ms;
        tracing::info!("Waiting for replicas before shutting down.");
        *ending = Some(Ending { options, until_ms, target: None, waiters: waiter.into_iter().collect() });
        drop(ending);
        node.pause_writes(true);
        return Ok(Wish::Waits);
    }
    let ended = ending.take();
    drop(ending);
    let result = end(node, config, space, options, None);
    if let (Err(NotNow), Some(ended)) = (&result, ended) {
        give_up(node, ended);
    }
    result.map(|()| Wish::Granted)
}

/// Goes on with an end that waits, if there is one. Its lock is not held while stripes are waited for: INFO in a transaction takes it under
/// all of them.
pub fn step(node: &Node, config: &Config) {
    let Some((until_ms, target)) = node.ending.lock().as_ref().map(|e| (e.until_ms, e.target)) else { return };
    let mut space = node.keyspace.space(node.access(clock::wall_ms()));
    let Some(target) = target else {
        if space.lock_unless_busy(&Plan::All) {
            let end = node.journal.end();
            space.unlock();
            // Unless it was called off meanwhile, and another one begun.
            if let Some(ending) = node.ending.lock().as_mut().filter(|e| e.until_ms == until_ms) {
                ending.target = Some(end);
            }
            // Who has said that it has everything is not asked: the offset stays where it is.
            if node.replication.replicas.acknowledged(end) < node.replication.replicas.online() {
                node.journal.append_talk(&[b"REPLCONF", b"GETACK", b"*"]);
            }
        }
        return;
    };
    let (online, synced) = (node.replication.replicas.online(), node.replication.replicas.acknowledged(target));
    if synced < online && clock::monotonic_ms() < until_ms {
        return;
    }
    for replica in node.replication.replicas.all() {
        let facts = replica.facts.lock();
        if facts.phase != ReplicaPhase::Online || facts.acked < target {
            tracing::warn!(
                "Lagging replica {} reported offset {} behind master, state={}.",
                replica.addr,
                target.saturating_sub(facts.acked),
                facts.phase.name()
            );
        }
    }
    tracing::info!("{synced} of {} replicas are in sync when shutting down.", node.replication.replicas.len());
    let Some(ended) = node.ending.lock().take() else { return };
    if end(node, config, &mut space, ended.options, Some(target)).is_err() {
        tracing::warn!("Errors trying to shut down the server. Check the logs for more information.");
        give_up(node, ended);
    }
}

/// The server goes on: writes too, and who waited for the end is told.
fn give_up(node: &Node, ended: Ending) {
    node.pause_writes(false);
    for id in ended.waiters {
        if let Some(client) = node.clients.get(id) {
            node.clients.send(&client, Message::Unblock { client: id, error: Some(NOT_NOW) });
        }
    }
}

const NOT_NOW: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

/// Saves what is to be saved and lets the server end. No lock is held. `stopped`: where the journal ended when writes were held up, if they are.
///
/// # Errors
/// The last snapshot could not be written, or the end is not safe, and it is not forced.
pub fn end(
    node: &Node,
    config: &Config,
    space: &mut Space<'_>,
    options: ShutdownOptions,
    stopped: Option<u64>,
) -> Result<(), NotNow> {
    if node.keyspace.is_busy() && (options.nosave || !is_stopped(node)) {
        end_busy_script(node);
        return Ok(());
    }
    let nothing_to_save = node.loading.is_running() || node.saver.is_withheld();
    if config.persistence.appendonly && !node.aof.is_active() && !nothing_to_save {
        if !options.force {
            tracing::warn!("Writing initial AOF, can't exit");
            return Err(NotNow);
        }
        tracing::warn!("Writing initial AOF. Exit anyway.");
    }
    if options.safe && has_slots(node) {
        if !options.force {
            tracing::warn!("This is a voting primary, can't exit");
            return Err(NotNow);
        }
        tracing::warn!("This is a voting primary. Exit anyway.");
    }
    node.saver.stop();
    while !space.lock_unless_busy(&Plan::All) {
        if options.nosave || !is_stopped(node) {
            end_busy_script(node);
            return Ok(());
        }
    }
    // A part of the data must not take the place of the whole.
    let saves = !nothing_to_save && (options.save || (!options.nosave && !config.persistence.save.is_empty()));
    if saves {
        tracing::info!("Saving the final RDB snapshot before exiting.");
        let result = {
            let about = node.replication.moment(&node.journal);
            snapshot::save(space, config, &node.scripts.functions, about, &|| !node.insisted.load(Ordering::Acquire))
        };
        if result.is_ok() {
            node.saver.saved_at_once(space.now_ms());
        }
        match result {
            Ok(written) => tracing::info!("DB saved on disk: {} keys, {} bytes", written.keys, written.bytes),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                tracing::warn!("You insist... exiting now: the final snapshot is given up.");
            }
            Err(e) => {
                tracing::warn!(
                    "Error trying to save the DB, can't exit: writing {} failed: {e}",
                    config.persistence.dbfilename
                );
                if !options.force {
                    space.unlock();
                    return Err(NotNow);
                }
            }
        }
    }
    if options.failover {
        hand_over(node, stopped);
    }
    // Before the locks go: see the module.
    node.shutdown.store(true, Ordering::Release);
    space.unlock();
    node.clients.ring_all();
    Ok(())
}

/// Has a replica take the place of a primary that ends, by a line of the stream: it has all that stands before it when it reads that. One that is
/// behind may be hanging, and is not asked. Every stripe is held. `stopped`: where the journal ended when writes were held up.
fn hand_over(node: &Node, stopped: Option<u64>) {
    let Some(cluster) = node.cluster.as_ref().filter(|_| has_slots(node)) else { return };
    let end = stopped.unwrap_or_else(|| node.journal.end());
    let (mut best, mut older): (Option<(u64, NodeId)>, bool) = (None, false);
    for replica in node.replication.replicas.all() {
        let facts = replica.facts.lock();
        if facts.phase != ReplicaPhase::Online {
            continue;
        }
        older |= is_older(&facts.version);
        let name = NodeId::parse(facts.node.as_bytes()).filter(|_| facts.acked >= end);
        if let Some(id) = name.filter(|_| best.is_none_or(|(acked, _)| facts.acked > acked)) {
            best = Some((facts.acked, id));
        }
    }
    if older {
        // They would not understand the line, and part from the stream.
        tracing::warn!("Unable to perform auto failover on shutdown since there are legacy replicas.");
        return;
    }
    let follows = |id: &NodeId| cluster.look(|m| m.replicas_of(m.myself().id).any(|(_, n)| n.id == *id));
    let Some((_, id)) = best.filter(|(_, id)| follows(id)) else {
        tracing::warn!("Unable to find a replica to perform the auto failover on shutdown.");
        return;
    };
    tracing::info!("Perform auto failover to replica {id} on shutdown.");
    node.journal.append_talk(&[b"CLUSTER", b"FAILOVER", b"FORCE", b"REPLICAID", id.bytes()]);
}

/// The cluster would go without some of its slots.
fn has_slots(node: &Node) -> bool {
    node.cluster.as_ref().is_some_and(|c| c.look(|m| m.myself().is_primary() && !m.myself().slots.is_empty()))
}

/// Stops the script that keeps the locks. False if it has changed something, and so cannot be stopped without leaving a half.
fn is_stopped(node: &Node) -> bool {
    let Some(script) = node.scripts.running.longest() else { return true };
    node.scripts.running.kill(script.kind, clock::monotonic_ms()) != Err(crate::script::KillError::Unkillable)
}

/// The end while a script keeps the locks, perhaps on this thread: it is stopped, what it has changed is told to nobody, and no snapshot is
/// written, because it would have half of its changes.
fn end_busy_script(node: &Node) {
    tracing::warn!("A script is still running: the server ends without a final snapshot.");
    node.shutdown.store(true, Ordering::Release);
    node.clients.ring_all();
}

fn shutdown(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (options, abort) = parse(cx)?;
    if abort {
        let Some(ended) = cx.node.ending.lock().take() else {
            return Err(CommandError::fixed("ERR No shutdown in progress."));
        };
        tracing::warn!("Shutdown manually aborted");
        give_up(cx.node, ended);
        cx.reply.ok();
        return Ok(());
    }
    if cx.nested {
        return Err(CommandError::fixed("ERR Command not allowed inside a transaction"));
    }
    if cx.node.keyspace.is_busy() && !options.nosave {
        // A save would wait for the script's locks.
        let kind = cx.node.scripts.running.longest().map(|s| s.kind);
        return Err(crate::commands::scripting::busy(kind == Some(crate::script::Kind::Function)));
    }
    tracing::warn!("User requested shutdown...");
    let wish = request(cx.node, cx.config, cx.space, options, Some(cx.client.id));
    if wish.map_err(|NotNow| CommandError::fixed(NOT_NOW))? == Wish::Waits {
        let timeout_reply = TimeoutReply::Null;
        cx.block = Some(BlockRequest { keys: Vec::new(), timeout_ms: 0, timeout_reply, args: None, needs_key: false });
    }
    Ok(())
}
