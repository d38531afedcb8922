//! Snapshots on demand: SAVE, BGSAVE.

use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::keyspace::Plan;
use crate::persist::snapshot;
use crate::spec::{CommandSpec, Group};
use std::sync::atomic::Ordering;

const SAVE_SPEC: CommandSpec = CommandSpec::new("save", 1, Group::Server, "admin noscript no_async_loading no_multi")
    .since("1.0.0")
    .doc("Saves the data set and waits for it.", "O(N), N: keys in all databases");

const BGSAVE_SPEC: CommandSpec = CommandSpec::new("bgsave", -1, Group::Server, "admin noscript no_async_loading")
    .since("1.0.0")
    .history(&[("3.2.2", "Word `SCHEDULE`."), ("8.1.0", "Word `CANCEL`.")])
    .args("[operation{SCHEDULE@3.2.2|CANCEL@8.1.0}]")
    .doc(
        "Saves the data set. Not yet in the background: as with `SAVE` everybody waits, and the reply comes when it is done.",
        "O(N), N: keys in all databases",
    );

pub static SAVE: Command = Command::node(SAVE_SPEC, save);
// A span: it must not take locks of its own while EXEC holds some.
pub static BGSAVE: Command = Command::span(BGSAVE_SPEC, bgsave);

/// Writes the snapshot under all locks and notes that it was written.
///
/// # Errors
/// Those of the disk; the log has them.
pub fn to_disk(cx: &mut NodeContext<'_, '_>) -> std::io::Result<()> {
    let whole = cx.space.is_whole();
    if !whole {
        cx.space.lock(&Plan::All);
    }
    let result = snapshot::save(cx.space, cx.config);
    if result.is_ok() {
        cx.node.dirty.store(0, Ordering::Relaxed);
        cx.node.last_save_ms.store(cx.now_ms(), Ordering::Relaxed);
    }
    if !whole {
        cx.space.unlock();
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
}

fn save(cx: &mut NodeContext<'_, '_>) -> Outcome {
    to_disk(cx).map_err(|_| CommandError::fixed("ERR"))?;
    cx.reply.ok();
    Ok(())
}

fn bgsave(cx: &mut NodeContext<'_, '_>) -> Outcome {
    match (cx.args.len(), cx.args.get(1)) {
        (1, _) => {}
        (2, Some(w)) if is(w, "SCHEDULE") => {}
        (2, Some(w)) if is(w, "CANCEL") => {
            return Err(CommandError::fixed("ERR Background saving is currently not in progress or scheduled"));
        }
        _ => return Err(CommandError::Syntax),
    }
    to_disk(cx).map_err(|_| CommandError::fixed("ERR"))?;
    cx.reply.status("Background saving started");
    Ok(())
}
