//! Saving on demand: SAVE, BGSAVE, BGREWRITEAOF.

use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::keyspace::Plan;
use crate::persist::{JobKind, Refused, aof, snapshot};
use crate::spec::{CommandSpec, Group};

const SAVE_SPEC: CommandSpec = CommandSpec::new("save", 1, Group::Server, "admin noscript no_async_loading no_multi")
    .since("1.0.0")
    .doc("Saves the data set and waits for it.", "O(N), N: keys in all databases");

const BGSAVE_SPEC: CommandSpec = CommandSpec::new("bgsave", -1, Group::Server, "admin noscript no_async_loading")
    .since("1.0.0")
    .history(&[("3.2.2", "Word `SCHEDULE`."), ("8.1.0", "Word `CANCEL`.")])
    .args("[operation{SCHEDULE@3.2.2|CANCEL@8.1.0}]")
    .doc("Saves the data set as it is now, in the background.", "O(1)");

pub static SAVE: Command = Command::node(SAVE_SPEC, save);
// A span: it must not take locks of its own while EXEC holds some.
pub static BGSAVE: Command = Command::span(BGSAVE_SPEC, bgsave);

const DROPPED: &str = "the data were dropped for a copy of the primary that is not there yet, and what is on disk is not to be replaced by less";

/// Writes the snapshot under all locks and notes that it was written.
///
/// # Errors
/// Those of the disk; the log has them.
pub fn to_disk(cx: &mut NodeContext<'_, '_>) -> std::io::Result<()> {
    whole(cx, |cx| {
        if cx.node.saver.is_withheld() {
            tracing::warn!("Nothing is saved: {DROPPED}");
            return Err(std::io::Error::other(DROPPED));
        }
        let result = {
            let about = cx.node.replication.moment(&cx.node.journal);
            snapshot::save(cx.space, cx.config, &cx.node.scripts.functions, about, &|| true)
        };
        if result.is_ok() {
            cx.node.saver.saved_at_once(cx.now_ms());
        }
        match result {
            Ok(written) => {
                tracing::info!("DB saved on disk: {} keys, {} bytes", written.keys, written.bytes);
                Ok(())
            }
            Err(e) => {
                tracing::warn!("Saving {} failed: {e}", cx.config.persistence.dbfilename);
                Err(e)
            }
        }
    })
}

/// Runs `f` while every stripe is held.
fn whole<R>(cx: &mut NodeContext<'_, '_>, f: impl FnOnce(&mut NodeContext<'_, '_>) -> R) -> R {
    let whole = cx.space.is_whole();
    if !whole {
        cx.space.lock(&Plan::All);
    }
    let result = f(cx);
    if !whole {
        cx.space.unlock();
    }
    result
}

fn save(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.node.saver.running() == Some(JobKind::Save) {
        return Err(CommandError::fixed("ERR Background save already in progress"));
    }
    to_disk(cx).map_err(|_| CommandError::fixed("ERR"))?;
    cx.reply.ok();
    Ok(())
}

fn bgsave(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let schedule = match (cx.args.len(), cx.args.get(1)) {
        (1, _) => false,
        (2, Some(w)) if is(w, "SCHEDULE") => true,
        (2, Some(w)) if is(w, "CANCEL") => {
            let running = cx.node.saver.running() == Some(JobKind::Save);
            if !cx.node.saver.cancel() {
                return Err(CommandError::fixed("ERR Background saving is currently not in progress or scheduled"));
            }
            tracing::info!("Background saving will be aborted due to user request");
            cx.reply.status(if running {
                "Background saving cancelled"
            } else {
                "Scheduled background saving cancelled"
            });
            return Ok(());
        }
        _ => return Err(CommandError::Syntax),
    };
    // A snapshot must not hold the half of a transaction: then it begins after it, as soon as nothing else runs.
    let schedule = schedule || cx.nested;
    let begun = match cx.node.saver.running() {
        Some(kind) => Err(Refused::Busy(kind)),
        None if cx.nested => Ok(false),
        None => whole(cx, |cx| cx.node.saver.begin(cx.node, cx.space)).map(|()| true),
    };
    match begun {
        Ok(true) => cx.reply.status("Background saving started"),
        Err(Refused::Busy(kind)) if kind == JobKind::Save || (kind == JobKind::Sync && !schedule) => {
            return Err(CommandError::fixed("ERR Background save already in progress"));
        }
        Ok(false) => {
            cx.node.saver.schedule();
            cx.reply.status("Background saving scheduled");
        }
        Err(Refused::Busy(_) | Refused::Dropped) if schedule => {
            cx.node.saver.schedule();
            cx.reply.status("Background saving scheduled");
        }
        Err(Refused::Dropped) => return Err(CommandError::err(format_args!("Nothing is saved: {DROPPED}"))),
        // A snapshot finds out what the disk takes when it is written.
        Err(Refused::Busy(_) | Refused::Disk) => {
            return Err(CommandError::fixed(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
                 schedule a BGSAVE whenever possible.",
            ));
        }
    }
    Ok(())
}

const BGREWRITEAOF_SPEC: CommandSpec =
    CommandSpec::new("bgrewriteaof", 1, Group::Server, "admin noscript no_async_loading")
        .since("1.0.0")
        .doc("Rewrites the append-only file in the background.", "O(1)");

// A span, as BGSAVE.
pub static BGREWRITEAOF: Command = Command::span(BGREWRITEAOF_SPEC, bgrewriteaof);

/// Begins a rewrite of the append-only file, or, if it is just switched on, what it begins with.
///
/// # Errors
/// Something runs already, or the log cannot be begun.
pub fn begin_rewrite(cx: &mut NodeContext<'_, '_>) -> Result<(), Refused> {
    whole(cx, |cx| aof::begin(cx.node, cx.space))
}

fn bgrewriteaof(cx: &mut NodeContext<'_, '_>) -> Outcome {
    // A base must not hold the half of a transaction whose other half is in the log behind it: then it begins after it.
    let begun = match cx.node.saver.running() {
        Some(kind) => Err(Refused::Busy(kind)),
        None => aof::ready(cx.node).and_then(|()| if cx.nested { Ok(false) } else { begin_rewrite(cx).map(|()| true) }),
    };
    match begun {
        Ok(true) => cx.reply.status("Background append only file rewriting started"),
        Err(Refused::Busy(JobKind::Rewrite)) => {
            return Err(CommandError::fixed("ERR Background append only file rewriting already in progress"));
        }
        Ok(false) | Err(Refused::Busy(_) | Refused::Dropped) => {
            cx.node.aof.schedule();
            cx.reply.status("Background append only file rewriting scheduled");
        }
        Err(Refused::Disk) => {
            return Err(CommandError::fixed(
                "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
            ));
        }
    }
    Ok(())
}
