//! Changing and removing elements in place.

use super::access::{changed, drop_empty, limits, list, list_mut};
use super::position::symmetric;
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::list::Side;

const LSET_SPEC: CommandSpec = CommandSpec::new("lset", 4, Group::List, "write denyoom")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .args("key:key index:integer element")
    .doc("Replaces the element at an index of a list.", "O(N), N: elements on the way; O(1) at both ends");

pub static LSET: Command = Command::data(LSET_SPEC, lset);
fn lset(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let limits = limits(cx.config);
    // The key comes first: without it the index is not even read.
    let mut record = cx.space.find_mut(key).ok_or(CommandError::NoSuchKey)?;
    let list = list_mut(&mut record)?;
    let index = integer(cx.args.at(2))?;
    list.set(index, cx.args.at(3), &limits).map_err(|_| CommandError::IndexOutOfRange)?;
    drop(record);
    changed(cx, key, "lset", 1);
    cx.reply.ok();
    Ok(())
}

const LINSERT_SPEC: CommandSpec = CommandSpec::new("linsert", 5, Group::List, "write denyoom")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RW insert")])
    .args("key:key where{BEFORE|AFTER} pivot element")
    .doc("Puts an element before or after another one.", "O(N), N: elements before the pivot");

pub static LINSERT: Command = Command::data(LINSERT_SPEC, linsert);
fn linsert(cx: &mut DataContext<'_, '_>) -> Outcome {
    let word = cx.args.at(2);
    let side = if is(word, "AFTER") {
        Side::After
    } else if is(word, "BEFORE") {
        Side::Before
    } else {
        return Err(CommandError::Syntax);
    };
    let key = cx.key(1);
    let limits = limits(cx.config);
    let Some(mut record) = cx.space.find_mut(key) else {
        cx.reply.integer(0);
        return Ok(());
    };
    let list = list_mut(&mut record)?;
    cx.site.weigh(list.len() / 8)?;
    let len = list.insert(side, cx.args.at(3), cx.args.at(4), &limits);
    drop(record);
    match len {
        Some(len) => {
            changed(cx, key, "linsert", 1);
            cx.reply.integer(len as i64);
        }
        None => cx.reply.integer(-1),
    }
    Ok(())
}

const LREM_SPEC: CommandSpec = CommandSpec::new("lrem", 4, Group::List, "write")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW delete")])
    .args("key:key count:integer element")
    .doc("Removes elements that equal the one given.", "O(N+M), N: elements of the list, M: elements removed");

pub static LREM: Command = Command::data(LREM_SPEC, lrem);
fn lrem(cx: &mut DataContext<'_, '_>) -> Outcome {
    let count = symmetric(cx.args.at(2))?;
    let key = cx.key(1);
    let limits = limits(cx.config);
    let Some(mut record) = cx.space.find_mut(key) else {
        cx.reply.integer(0);
        return Ok(());
    };
    let list = list_mut(&mut record)?;
    cx.site.weigh(list.len() / 8)?;
    let removed = list.remove(count, cx.args.at(3), &limits);
    let emptied = list.is_empty();
    drop(record);
    if removed > 0 {
        changed(cx, key, "lrem", removed);
    }
    if emptied {
        drop_empty(cx, key);
    }
    cx.reply.integer(removed as i64);
    Ok(())
}

const LTRIM_SPEC: CommandSpec = CommandSpec::new("ltrim", 4, Group::List, "write")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW delete")])
    .args("key:key start:integer stop:integer")
    .doc("Keeps only the elements between two indexes.", "O(N), N: elements removed");

pub static LTRIM: Command = Command::data(LTRIM_SPEC, ltrim);
fn ltrim(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (start, stop) = (integer(cx.args.at(2))?, integer(cx.args.at(3))?);
    let key = cx.key(1);
    let limits = limits(cx.config);
    let Some(mut record) = cx.space.find_mut(key) else {
        cx.reply.ok();
        return Ok(());
    };
    let removed = list_mut(&mut record)?.trim(start, stop, &limits);
    let emptied = list(&record)?.is_empty();
    drop(record);
    if removed > 0 {
        changed(cx, key, "ltrim", removed);
    } else {
        // The event and the watchers' mark come even if nothing was cut; a change does not.
        cx.space.mark(key);
        cx.space.event(EventClass::LIST, "ltrim", key);
    }
    if emptied {
        drop_empty(cx, key);
    }
    cx.reply.ok();
    Ok(())
}
