//! How commands reach a list, and what they say of it afterwards.
//!
//! Must never know: options, which command asks.

use crate::commands::arguments::is;
use crate::commands::{CommandError, DataContext};
use crate::config::Config;
use crate::keyspace::{EventClass, Key, Space};
use crate::resp::reply::Reply;
use crate::value::list::{End, Limits, List};
use crate::value::listpack::Item;
use crate::value::object::Object;
use crate::value::record::{Content, Record};
use std::sync::atomic::{AtomicUsize, Ordering};

/// DEBUG QUICKLIST-PACKED-THRESHOLD; 0 while nobody asked for one.
static PACKED_THRESHOLD: AtomicUsize = AtomicUsize::new(0);

/// Gives elements of so many bytes and more a node of their own, in lists changed from now on; 0 as the configuration says.
pub fn set_packed_threshold(bytes: usize) {
    PACKED_THRESHOLD.store(bytes, Ordering::Relaxed);
}

/// The sizes up to which a list's nodes may grow.
pub fn limits(config: &Config) -> Limits {
    let limits = Limits::new(i64::from(config.encoding.list_max_listpack_size));
    match PACKED_THRESHOLD.load(Ordering::Relaxed) {
        0 => limits,
        bytes => limits.with_plain_from(bytes),
    }
}

/// A record's list.
///
/// # Errors
/// `WrongType` if the record holds something else.
#[inline]
pub fn list(record: &Record) -> Result<&List, CommandError> {
    match record.object() {
        Some(Object::List(list)) => Ok(list),
        _ => Err(CommandError::WrongType),
    }
}

/// A record's list, to be changed.
///
/// # Errors
/// `WrongType` if the record holds something else.
#[inline]
pub fn list_mut(record: &mut Record) -> Result<&mut List, CommandError> {
    match record.object_mut() {
        Some(Object::List(list)) => Ok(list),
        _ => Err(CommandError::WrongType),
    }
}

/// What a key holds when it holds this list.
pub fn content(list: List) -> Content<'static> {
    Content::Object(Box::new(Object::List(list)))
}

/// Whether a key holds a list. Leaves no trace.
///
/// # Errors
/// `WrongType` if it holds something else.
pub fn is_there(space: &mut Space<'_>, key: Key<'_>) -> Result<bool, CommandError> {
    match space.peek(key) {
        Some(record) => list(&record).map(|_| true),
        None => Ok(false),
    }
}

/// Sends an element.
#[inline]
pub fn reply_item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_integer(n),
        Item::Str(text) => reply.bulk(text),
    }
}

/// `LEFT` or `RIGHT`.
///
/// # Errors
/// A syntax error for any other word.
pub fn end(arg: &[u8]) -> Result<End, CommandError> {
    if is(arg, "LEFT") {
        Ok(End::Left)
    } else if is(arg, "RIGHT") {
        Ok(End::Right)
    } else {
        Err(CommandError::Syntax)
    }
}

/// The event of a push at an end.
pub fn pushed(end: End) -> &'static str {
    match end {
        End::Left => "lpush",
        End::Right => "rpush",
    }
}

/// The event of a pop from an end.
pub fn popped(end: End) -> &'static str {
    match end {
        End::Left => "lpop",
        End::Right => "rpop",
    }
}

/// The command that pops from an end, as effects name it.
pub fn pop_command(end: End) -> &'static [u8] {
    match end {
        End::Left => b"LPOP",
        End::Right => b"RPOP",
    }
}

/// Notes `count` changes of one event.
pub fn changed(cx: &mut DataContext<'_, '_>, key: Key<'_>, event: &'static str, count: usize) {
    cx.space.changes.dirty += count as u64;
    cx.space.mark(key);
    cx.space.event(EventClass::LIST, event, key);
}

/// Deletes the key of a list that has become empty.
pub fn drop_empty(cx: &mut DataContext<'_, '_>, key: Key<'_>) {
    cx.space.delete(key);
    cx.space.event(EventClass::GENERIC, "del", key);
}
