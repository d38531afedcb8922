//! SHUTDOWN, and the end that signals ask for.
//!
//! # Invariant
//! What was acknowledged before the end is in the last snapshot: it is written under all locks, and what a worker runs after them is not
//! answered any more (the worker drops a turn's replies once `shutdown` is set).

use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, Node, NodeContext, Outcome};
use crate::config::Config;
use crate::config::types::ShutdownOptions;
use crate::keyspace::{Plan, Space};
use crate::persist::snapshot;
use crate::spec::{CommandSpec, Group};
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

/// Saves what is to be saved and lets the server end. No lock is held.
///
/// # Errors
/// The last snapshot could not be written, and the end is not forced.
pub fn end(node: &Node, config: &Config, space: &mut Space<'_>, options: ShutdownOptions) -> Result<(), NotNow> {
    if node.keyspace.is_busy() && (options.nosave || !is_stopped(node)) {
        end_busy_script(node);
        return Ok(());
    }
    if config.persistence.appendonly && !node.aof.is_active() && !node.loading.is_running() {
        if !options.force {
            tracing::warn!("Writing initial AOF, can't exit");
            return Err(NotNow);
        }
        tracing::warn!("Writing initial AOF. Exit anyway.");
    }
    node.saver.stop();
    while !space.lock_unless_busy(&Plan::All) {
        if options.nosave || !is_stopped(node) {
            end_busy_script(node);
            return Ok(());
        }
    }
    // A part of the data must not take the place of the whole.
    let saves =
        !node.loading.is_running() && (options.save || (!options.nosave && !config.persistence.save.is_empty()));
    if saves {
        tracing::info!("Saving the final RDB snapshot before exiting.");
        let result = snapshot::save_with(space, config, node.replication.moment(&node.journal));
        node.saver.saved_at_once(space.now_ms(), result.is_ok());
        match result {
            Ok(written) => tracing::info!("DB saved on disk: {} keys, {} bytes", written.keys, written.bytes),
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
    // Before the locks go: see the module.
    node.shutdown.store(true, Ordering::Release);
    space.unlock();
    node.clients.ring_all();
    Ok(())
}

/// Stops the script that keeps the locks. False if it has changed something, and so cannot be stopped without leaving a half.
fn is_stopped(node: &Node) -> bool {
    let Some(script) = node.scripts.running.longest() else { return true };
    node.scripts.running.kill(script.kind) != Err(crate::script::KillError::Unkillable)
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
        // The end is never put off: there are no replicas to wait for.
        return Err(CommandError::fixed("ERR No shutdown in progress."));
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
    end(cx.node, cx.config, cx.space, options)
        .map_err(|NotNow| CommandError::fixed("ERR Errors trying to SHUTDOWN. Check logs."))
}
