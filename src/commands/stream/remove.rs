//! XDEL, and XSETID, which says what was there before.

use super::{changed, ids, stream_of_mut, strict_id};
use crate::commands::arguments::{Options, integer};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::stream::StreamId;

const XDEL_SPEC: CommandSpec = CommandSpec::new("xdel", -3, Group::Stream, "write fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW delete")])
    .args("key:key id...")
    .doc("Removes entries from a stream.", "O(1) per id");

pub static XDEL: Command = Command::data(XDEL_SPEC, xdel);
fn xdel(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let ids = ids(cx, 2);
    let removed = match cx.space.find_mut(key) {
        Some(mut record) => {
            let stream = stream_of_mut(&mut record)?;
            ids?.into_iter().filter(|id| stream.remove(*id)).count()
        }
        None => 0,
    };
    if removed > 0 {
        changed(cx, key, removed as u64, "xdel");
    }
    cx.reply.integer(removed as i64);
    Ok(())
}

const XSETID_SPEC: CommandSpec = CommandSpec::new("xsetid", -3, Group::Stream, "write denyoom fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[("7.0.0", "Options `ENTRIESADDED` and `MAXDELETEDID`.")])
    .args(
        "key:key last-id [ENTRIESADDED=entries-added:integer@7.0.0] \
        [MAXDELETEDID=max-deleted-id@7.0.0]",
    )
    .doc("Sets the last id of a stream; for replication.", "O(1)");

pub static XSETID: Command = Command::data(XSETID_SPEC, xsetid);
fn xsetid(cx: &mut DataContext<'_, '_>) -> Outcome {
    let last_id = strict_id(cx.args.at(2), 0)?;
    let (mut entries_added, mut max_deleted_id) = (None, None);
    let options = &mut Options::new(cx.args, 3);
    while options.left() > 0 {
        if options.left() > 1 && options.take("ENTRIESADDED") {
            let n = integer(options.value()?)?;
            let wrong = CommandError::fixed("ERR entries_added must be positive");
            entries_added = Some(u64::try_from(n).map_err(|_| wrong)?);
        } else if options.left() > 1 && options.take("MAXDELETEDID") {
            let id = strict_id(options.value()?, 0)?;
            if last_id < id {
                return Err(CommandError::fixed(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            max_deleted_id = Some(id);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let key = cx.key(1);
    let Some(mut record) = cx.space.find_mut(key) else { return Err(CommandError::NoSuchKey) };
    let stream = stream_of_mut(&mut record)?;
    if last_id < stream.max_deleted_id {
        return Err(CommandError::fixed("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"));
    }
    if stream.last_living().is_some_and(|last| last_id < last) {
        return Err(CommandError::fixed("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    if entries_added.is_some_and(|n| n < stream.len()) {
        return Err(CommandError::fixed(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    stream.last_id = last_id;
    if let Some(n) = entries_added {
        stream.entries_added = n;
    }
    if let Some(id) = max_deleted_id.filter(|id| *id != StreamId::MIN) {
        stream.max_deleted_id = id;
    }
    drop(record);
    changed(cx, key, 1, "xsetid");
    cx.reply.ok();
    Ok(())
}
