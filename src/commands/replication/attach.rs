//! SYNC, PSYNC, REPLCONF: how a replica attaches.

use crate::base::clock;
use crate::base::number::parse_i64;
use crate::client::{CopyFilter, Message, ReplicaPhase};
use crate::commands::arguments::{integer_in, is};
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::config::types::RdbVersion;
use crate::crypto;
use crate::journal::Cursor;
use crate::keyspace::Plan;
use crate::metrics::counters::Counter;
use crate::persist::snapshot;
use crate::replication::{Replication, is_id, is_older};
use crate::spec::{CommandSpec, Group};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub static SYNC: Command = Command::node(
    CommandSpec::new("sync", 1, Group::Server, "admin noscript no_async_loading no_multi")
        .since("1.0.0")
        .doc("Asks for a full copy and the changes after it.", ""),
    sync,
);

pub static PSYNC: Command = Command::node(
    CommandSpec::new("psync", -3, Group::Server, "admin noscript no_async_loading no_multi")
        .since("2.8.0")
        .args("replicationid offset:integer")
        .doc("Asks for the stream of changes from an offset on.", ""),
    psync,
);

pub static REPLCONF: Command = Command::node(
    CommandSpec::new("replconf", -1, Group::Server, "admin noscript loading stale allow_busy")
        .since("3.0.0")
        .system()
        .doc("Tells a primary about its replica, and the other way round.", "O(1)"),
    replconf,
);

fn sync(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if !may_attach(cx)? {
        return Ok(());
    }
    let facts = cx.client.shared.facts.lock();
    let (two, only, eof) = (facts.copy_channel, facts.copy_only, facts.takes_eof);
    drop(facts);
    if two && !(only && eof && cx.config.replication.repl_diskless_sync) {
        // Its main channel asks again, and is given all on one.
        return Err(CommandError::err(
            "a copy on a channel of its own needs repl-diskless-sync, rdb-only and the eof capability",
        ));
    }
    full(cx, false)
}

fn psync(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.get(3).is_some_and(|a| is(a, "FAILOVER")) {
        take_over(cx)?;
    }
    if !may_attach(cx)? {
        return Ok(());
    }
    let id = String::from_utf8_lossy(cx.args.at(1)).into_owned();
    let Some(next) = parse_i64(cx.args.at(2)) else {
        tracing::warn!("Replica {} asks for synchronization but with a wrong offset", cx.client.shared.addr);
        return Err(CommandError::NotInteger);
    };
    let facts = cx.client.shared.facts.lock();
    let (copy, two) = (facts.copy_client, facts.takes_two && !facts.copy_channel);
    drop(facts);
    if let Ok(next) = u64::try_from(next)
        && next > 0
    {
        let shares = cx.node.replication.identity.lock().shares(&id, next);
        if shares
            && let Some(copy) = copy
            && let Some(cursor) = cx.node.replication.replicas.pairs.claim(copy, next - 1, &cx.client.shared)
        {
            go_on(cx, cursor, next - 1, ReplicaPhase::Beside);
            return Ok(());
        }
        let bytes_max = crate::replication::bytes_behind_max(cx.config);
        match cx.node.journal.cursor_at(next - 1, bytes_max) {
            Ok(cursor) if shares => {
                go_on(cx, cursor, next - 1, ReplicaPhase::Online);
                return Ok(());
            }
            outcome => {
                let addr = &cx.client.shared.addr;
                // What a peer has written is not put into the log unseen.
                let asked = if is_id(&id) { id.as_str() } else { "?" };
                if outcome.is_ok() || !shares {
                    let ours = cx.node.replication.identity.lock().clone();
                    tracing::info!(
                        "Partial resynchronization not accepted: Replication ID mismatch (Replica {addr} asked for '{asked}' from {next} on, my \
                         replication IDs are '{}' and '{}')",
                        ours.id,
                        ours.before_or_none().0
                    );
                } else {
                    tracing::info!(
                        "Unable to partial resync with replica {addr} for lack of backlog (Replica request was: {next})."
                    );
                }
            }
        }
    }
    if !id.starts_with('?') {
        cx.recorder.counters.add(Counter::SyncPartialErr, 1);
    }
    if two && cx.config.replication.dual_channel_replication_enabled && cx.config.replication.repl_diskless_sync {
        tracing::info!(
            "Dual channel replication: Replica {} is capable of dual channel synchronization, and partial sync isn't possible. \
             Full sync will continue with dedicated RDB channel.",
            cx.client.shared.addr
        );
        cx.reply.status("DUALCHANNELSYNC");
        return Ok(());
    }
    full(cx, true)
}

/// False if it is one already: it is not answered again.
fn may_attach(cx: &NodeContext<'_, '_>) -> Result<bool, CommandError> {
    if cx.client.shared.replica.load(Ordering::Acquire) {
        return Ok(false);
    }
    let look = cx.node.replication.follower.look();
    if look.is_following() && !look.is_connected() {
        return Err(CommandError::fixed("NOMASTERLINK Can't SYNC while not connected with my master"));
    }
    if cx.node.replication.failover.lock().is_going_on() {
        return Err(CommandError::fixed("ERR Failover in progress: come back when it is over"));
    }
    Ok(true)
}

/// Our primary, which has seen that we have everything, wants to follow us.
fn take_over(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let node = Arc::clone(cx.node);
    if !node.replication.follower.look().is_following() {
        return Err(CommandError::fixed("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    let ours = node.replication.identity.lock().id.clone();
    if !cx.args.at(1).eq_ignore_ascii_case(ours.as_bytes()) {
        return Err(CommandError::fixed("ERR PSYNC FAILOVER replid must match my replid."));
    }
    cx.space.lock(&Plan::All);
    let outcome = Replication::lead(&*node, cx.space);
    cx.space.unlock();
    outcome.map_err(CommandError::err)?;
    node.config.adjust(|c| c.replication.replicaof = None);
    tracing::info!("PRIMARY MODE enabled (failover request from '{}')", cx.client.shared.addr);
    Ok(())
}

/// The stream goes on where the replica is.
fn go_on(cx: &mut NodeContext<'_, '_>, cursor: Cursor, offset: u64, phase: ReplicaPhase) {
    {
        let mut facts = cx.client.shared.facts.lock();
        facts.phase = phase;
        (facts.acked, facts.acked_at_ms) = (offset, clock::monotonic_ms());
        if facts.takes_new_id {
            cx.reply.status(&format!("CONTINUE {}", cx.node.replication.identity.lock().id));
        } else {
            cx.reply.status("CONTINUE");
        }
    }
    let bytes = cx.node.journal.end() - offset;
    tracing::info!(
        "Partial resynchronization request from {} accepted. Sending {bytes} bytes of backlog starting from offset {}.",
        cx.client.shared.addr,
        offset + 1
    );
    cx.recorder.counters.add(Counter::SyncPartialOk, 1);
    feed(cx, cursor);
    cx.node.tell_moves();
}

/// The client's worker reads the journal for it from here on.
fn feed(cx: &mut NodeContext<'_, '_>, cursor: Cursor) {
    let (clients, shared) = (Arc::clone(&cx.node.clients), Arc::clone(&cx.client.shared));
    cursor.on_append(Arc::new(move || clients.send(&shared, Message::Feed { client: shared.id })));
    cx.client.feed = Some(cursor);
    cx.client.attached = true;
    cx.node.replication.replicas.add(Arc::clone(&cx.client.shared));
    // What is there already is no news to anybody.
    cx.node.clients.send(&cx.client.shared, Message::Feed { client: cx.client.id });
}

/// A copy without keys, of an instant of its own: it needs no walk, so it is the reply. To the server its receiver is no replica.
fn partial(cx: &mut NodeContext<'_, '_>, filter: CopyFilter, names_history: bool) -> Outcome {
    let facts = cx.client.shared.facts.lock();
    let (alone, eof, older) = (facts.copy_only, facts.takes_eof, is_older(&facts.version));
    drop(facts);
    if !alone {
        return Err(CommandError::err("no stream goes on from a part of the data: rdb-filter-only needs rdb-only 1"));
    }
    let mark = crypto::random_hex(40).map_err(|_| CommandError::err("no random bytes for the end of the copy"))?;
    cx.space.lock(&Plan::All);
    let mut format = snapshot::format(cx.config, cx.space.access, &cx.node.scripts.functions);
    let end = cx.node.journal.end();
    cx.space.unlock();
    if older {
        format.version = RdbVersion::V8_1;
    }
    if !filter.functions {
        format.libraries.clear();
    }
    let copy = format.without_keys();
    if names_history {
        let id = cx.node.replication.identity.lock().id.clone();
        cx.reply.status(&format!("FULLRESYNC {id} {end}"));
    }
    if eof {
        cx.reply.raw(format!("$EOF:{mark}\r\n").as_bytes());
    } else {
        cx.reply.raw(format!("${}\r\n", copy.len()).as_bytes());
    }
    cx.reply.raw(&copy);
    if eof {
        cx.reply.raw(mark.as_bytes());
    }
    cx.recorder.counters.add(Counter::SyncFull, 1);
    tracing::info!("Copy without keys sent to {}: {} bytes", cx.client.shared.addr, copy.len());
    Ok(())
}

/// Everything, then the stream: it waits for the next walk.
fn full(cx: &mut NodeContext<'_, '_>, names_history: bool) -> Outcome {
    let filter = cx.client.shared.facts.lock().copy_filter;
    if let Some(filter) = filter {
        return partial(cx, filter, names_history);
    }
    {
        let mut facts = cx.client.shared.facts.lock();
        facts.phase = ReplicaPhase::Waiting;
        facts.names_history = names_history;
        facts.waits_since_ms = clock::monotonic_ms();
    }
    tracing::info!("Replica {} asks for synchronization", cx.client.shared.addr);
    if cx.node.saver.running() == Some(crate::persist::JobKind::Sync) {
        tracing::info!("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC");
    }
    cx.recorder.counters.add(Counter::SyncFull, 1);
    cx.client.attached = true;
    cx.node.replication.replicas.add(Arc::clone(&cx.client.shared));
    Ok(())
}

fn replconf(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    for i in (1..cx.args.len()).step_by(2) {
        let (word, value) = (cx.args.at(i), cx.args.at(i + 1));
        if is(word, "ACK") {
            let synced = (i + 3 < cx.args.len() && is(cx.args.at(i + 2), "FACK")).then(|| cx.args.at(i + 3));
            return ack(cx, value, synced);
        }
        if is(word, "GETACK") {
            // For replicas; the link answers it, not this.
            return Ok(());
        }
        let mut facts = cx.client.shared.facts.lock();
        if is(word, "listening-port") {
            let port = parse_i64(value).and_then(|p| u16::try_from(p).ok());
            facts.port = port.ok_or(CommandError::NotInteger)?;
        } else if is(word, "ip-address") {
            let address = std::str::from_utf8(value).ok().filter(|a| a.len() < 256 && a.bytes().all(|b| b > b' '));
            facts.address = address
                .ok_or(CommandError::err("REPLCONF ip-address provided by replica instance is not an address"))?
                .to_owned();
        } else if is(word, "capa") {
            facts.takes_eof |= is(value, "eof");
            facts.takes_new_id |= is(value, "psync2");
            facts.takes_two |= is(value, "dual-channel");
        } else if is(word, "version") {
            facts.version = String::from_utf8_lossy(&value[..value.len().min(32)]).into_owned();
        } else if is(word, "set-cluster-node-id") {
            let wrong = CommandError::err("REPLCONF set-cluster-node-id takes 40 hexadecimal digits");
            let id = crate::cluster::node::NodeId::parse(value).ok_or(wrong)?;
            facts.node = id.to_string();
        } else if is(word, "backup-result") {
            // `holdfast backup` tells how it went.
            let wrong = CommandError::err("REPLCONF backup-result is ok|err:made:bytes:seconds");
            cx.node.saver.backed_up(crate::persist::Backup::parse(value).ok_or(wrong)?);
        } else if is(word, "rdb-only") {
            facts.copy_only = yes_or_no(value)?;
        } else if is(word, "rdb-channel") {
            facts.copy_channel = yes_or_no(value)?;
        } else if is(word, "set-rdb-client-id") {
            let id = parse_i64(value).ok_or(CommandError::NotInteger)?;
            let known = |id: &u64| cx.node.replication.replicas.pairs.is_known(*id);
            let Some(known) = u64::try_from(id).ok().filter(known) else {
                return Err(CommandError::err(format_args!("Unrecognized RDB client id {id}")));
            };
            facts.copy_client = Some(known);
        } else if is(word, "rdb-filter-only") {
            facts.copy_filter = Some(filter(value)?);
        } else {
            return Err(CommandError::err(format_args!(
                "Unrecognized REPLCONF option: {}",
                String::from_utf8_lossy(&word[..word.len().min(64)])
            )));
        }
    }
    cx.reply.ok();
    Ok(())
}

/// What of the data is to be in the copy, in words; none of it are the keys.
fn filter(value: &[u8]) -> Result<CopyFilter, CommandError> {
    let mut filter = CopyFilter::default();
    for word in value.split(|b| *b == b' ').filter(|w| !w.is_empty()) {
        if !is(word, "functions") {
            return Err(CommandError::err(format_args!(
                "Unsupported rdb-filter-only option: {}",
                String::from_utf8_lossy(&word[..word.len().min(64)])
            )));
        }
        filter.functions = true;
    }
    Ok(filter)
}

fn yes_or_no(value: &[u8]) -> Result<bool, CommandError> {
    let range = CommandError::fixed("ERR value is out of range, value must between 0 and 1");
    parse_i64(value).ok_or(CommandError::NotInteger)?;
    Ok(integer_in(value, 0, 1, range)? == 1)
}

/// An acknowledgement, which is not answered.
fn ack(cx: &mut NodeContext<'_, '_>, offset: &[u8], synced: Option<&[u8]>) -> Outcome {
    if !cx.client.attached {
        return Ok(());
    }
    let Some(offset) = parse_i64(offset).and_then(|n| u64::try_from(n).ok()) else { return Ok(()) };
    let joins = {
        let mut facts = cx.client.shared.facts.lock();
        facts.acked = facts.acked.max(offset);
        facts.acked_at_ms = clock::monotonic_ms();
        // Not the highest it has ever told: a log that is switched off or begun anew takes back what was said of it.
        facts.synced = synced.and_then(parse_i64).and_then(|n| u64::try_from(n).ok());
        // Before the copy is sent nothing can be acknowledged.
        let held = facts.phase == ReplicaPhase::Copying && cx.client.feed_held;
        let joins = held || facts.phase == ReplicaPhase::Beside;
        if joins {
            facts.phase = ReplicaPhase::Online;
            tracing::info!("Synchronization with replica {} succeeded", cx.client.shared.addr);
        }
        joins
    };
    if joins {
        cx.node.tell_moves();
    }
    if std::mem::take(&mut cx.client.feed_held) {
        cx.node.clients.send(&cx.client.shared, Message::Feed { client: cx.client.id });
    }
    cx.node.replication.replicas.acked(&cx.node.answers());
    Ok(())
}
