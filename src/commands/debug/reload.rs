//! DEBUG RELOAD: the data go to disk and come back.

use crate::commands::arguments::is;
use crate::commands::server::save;
use crate::commands::{CommandError, NodeContext, Outcome};
use crate::keyspace::Plan;
use crate::persist::snapshot;
use std::sync::atomic::Ordering;

/// DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE].
///
/// # Errors
/// What could not be saved or loaded; the log says why.
pub fn reload(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (mut save, mut flush, mut merge) = (true, true, false);
    for word in cx.args.from(2).iter() {
        match word {
            w if is(w, "NOSAVE") => save = false,
            w if is(w, "NOFLUSH") => flush = false,
            w if is(w, "MERGE") => merge = true,
            _ => {
                return Err(CommandError::fixed(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    let whole = cx.space.is_whole();
    if !whole {
        cx.space.lock(&Plan::All);
    }
    let outcome = run(cx, save, flush, merge);
    if !whole {
        cx.space.unlock();
    }
    outcome
}

fn run(cx: &mut NodeContext<'_, '_>, save: bool, flush: bool, merge: bool) -> Outcome {
    if save {
        save::to_disk(cx).map_err(|_| CommandError::fixed("ERR"))?;
    }
    if let Err(e) = snapshot::look(cx.config) {
        // Before anything goes: what is there is better than a file that cannot be read.
        tracing::warn!("DEBUG RELOAD does not begin: {e}");
        return Err(CommandError::fixed("ERR Error trying to load the RDB dump, check server logs."));
    }
    if flush {
        let (_, mut flushed) = cx.space.flush(None);
        while flushed.drop_slice() {}
        cx.node.scripts.functions.flush();
    }
    let why = match snapshot::load(cx.space, cx.config, &cx.node.scripts.functions, merge, None) {
        Ok(Some(loaded)) => {
            tracing::info!("DB reloaded by DEBUG RELOAD: {} keys", loaded.keys);
            // They are there again: no snapshot of them is out of date, and none has to be made.
            cx.space.changes.flushed_all = false;
            cx.node.saver.changes.store(0, Ordering::Relaxed);
            cx.reply.ok();
            return Ok(());
        }
        Ok(None) => "it is not there".to_string(),
        Err(e) => e.to_string(),
    };
    tracing::warn!("DEBUG RELOAD could not load {}: {why}", cx.config.persistence.dbfilename);
    Err(CommandError::fixed("ERR Error trying to load the RDB dump, check server logs."))
}

/// DEBUG LOADAOF.
///
/// # Errors
/// There is no log, or it cannot be loaded; the log of the server says why.
pub fn load_aof(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let Some(replay) = cx.node.replay.get() else {
        return Err(CommandError::err("nothing can be replayed yet"));
    };
    if cx.space.is_whole() {
        return Err(CommandError::err("DEBUG LOADAOF cannot run inside a transaction"));
    }
    // Other connections of this worker hear that it is loading, as all do.
    cx.site.weigh(usize::MAX)?;
    if !cx.node.aof.flush() {
        return Err(CommandError::err("the append-only file could not be brought to disk"));
    }
    cx.space.lock(&Plan::All);
    let (_, mut flushed) = cx.space.flush(None);
    cx.node.scripts.functions.flush();
    cx.space.unlock();
    while flushed.drop_slice() {}
    // Scripts in the log are alone while they run.
    cx.space.among_others = None;
    // Others hear that it is loading, as after a start.
    cx.node.loading.begin(cx.now_ms() / 1000);
    let result = replay();
    cx.node.loading.end();
    result.map_err(|e| {
        tracing::warn!("DEBUG LOADAOF: {e}");
        CommandError::fixed("ERR Error trying to load the AOF files, check server logs.")
    })?;
    cx.space.changes.flushed_all = false;
    cx.node.saver.changes.store(0, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}
