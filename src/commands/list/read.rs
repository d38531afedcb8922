//! Reading by position.

use super::access::{list, reply_item};
use crate::commands::arguments::integer;
use crate::commands::{Command, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};

const LLEN_SPEC: CommandSpec = CommandSpec::new("llen", 2, Group::List, "readonly fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RO")])
    .args("key:key")
    .doc("Counts the elements of a list.", "O(1)");

pub static LLEN: Command = Command::data(LLEN_SPEC, llen);
fn llen(cx: &mut DataContext<'_, '_>) -> Outcome {
    let len = match cx.space.find(cx.key(1)) {
        Some(record) => list(&record)?.len(),
        None => 0,
    };
    cx.reply.integer(len as i64);
    Ok(())
}

const LINDEX_SPEC: CommandSpec = CommandSpec::new("lindex", 3, Group::List, "readonly")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key index:integer")
    .doc("Gives the element at an index of a list.", "O(N), N: elements on the way; O(1) at both ends");

pub static LINDEX: Command = Command::data(LINDEX_SPEC, lindex);
fn lindex(cx: &mut DataContext<'_, '_>) -> Outcome {
    // The key is looked up first: without it the index is not even read.
    let Some(record) = cx.space.find(cx.key(1)) else {
        cx.reply.null();
        return Ok(());
    };
    let list = list(&record)?;
    match list.get(integer(cx.args.at(2))?) {
        Some(item) => reply_item(cx.reply, item),
        None => cx.reply.null(),
    }
    Ok(())
}

const LRANGE_SPEC: CommandSpec = CommandSpec::new("lrange", 4, Group::List, "readonly")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key start:integer stop:integer")
    .doc("Gives the elements of a list between two indexes.", "O(S+N), S: distance to the first, N: elements returned");

pub static LRANGE: Command = Command::data(LRANGE_SPEC, lrange);
fn lrange(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (start, stop) = (integer(cx.args.at(2))?, integer(cx.args.at(3))?);
    let Some(record) = cx.space.find(cx.key(1)) else {
        cx.reply.array(0);
        return Ok(());
    };
    let range = list(&record)?.range(start, stop);
    cx.site.weigh(range.len())?;
    cx.reply.array(range.len());
    for item in range {
        reply_item(cx.reply, item);
    }
    Ok(())
}
