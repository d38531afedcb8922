//! Sorted sets.
//!
//! Handlers here turn arguments into ranges and edits of a [`Zset`](crate::value::zset::Zset), and its elements into replies. How a set
//! is kept is none of their business, but for the limits that they hand down from the configuration.

mod add;
mod combine;
mod elements;
mod members;
mod pop;
mod random;
mod range;
mod remove;
mod scan;
#[cfg(test)]
mod tests;

use super::{Command, CommandError, DataContext};
use crate::base::number::FloatText;
use crate::config::Config;
use crate::keyspace::{EventClass, Key};
use crate::resp::reply::Reply;
use crate::value::listpack::Item;
use crate::value::object::Object;
use crate::value::record::{Content, Record};
use crate::value::zset::{Limits, Zset};

/// All commands on sorted sets.
pub static COMMANDS: &[&Command] = &[
    &add::ZADD,
    &add::ZINCRBY,
    &remove::ZREM,
    &remove::ZREMRANGEBYRANK,
    &remove::ZREMRANGEBYSCORE,
    &remove::ZREMRANGEBYLEX,
    &members::ZCARD,
    &members::ZSCORE,
    &members::ZMSCORE,
    &members::ZRANK,
    &members::ZREVRANK,
    &members::ZCOUNT,
    &members::ZLEXCOUNT,
    &range::ZRANGE,
    &range::ZRANGESTORE,
    &range::ZRANGEBYSCORE,
    &range::ZREVRANGEBYSCORE,
    &range::ZRANGEBYLEX,
    &range::ZREVRANGEBYLEX,
    &range::ZREVRANGE,
    &pop::ZPOPMIN,
    &pop::ZPOPMAX,
    &pop::ZMPOP,
    &pop::BZPOPMIN,
    &pop::BZPOPMAX,
    &pop::BZMPOP,
    &combine::ZUNION,
    &combine::ZINTER,
    &combine::ZDIFF,
    &combine::ZUNIONSTORE,
    &combine::ZINTERSTORE,
    &combine::ZDIFFSTORE,
    &combine::ZINTERCARD,
    &random::ZRANDMEMBER,
    &scan::ZSCAN,
];

pub(in crate::commands) fn limits(config: &Config) -> Limits {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Limits {
        entries: size(config.encoding.zset_max_listpack_entries),
        value: size(config.encoding.zset_max_listpack_value),
    }
}

pub(in crate::commands) fn zset_of(record: &Record) -> Result<&Zset, CommandError> {
    match record.object() {
        Some(Object::Zset(zset)) => Ok(zset),
        _ => Err(CommandError::WrongType),
    }
}

pub(in crate::commands) fn zset_of_mut(record: &mut Record) -> Result<&mut Zset, CommandError> {
    match record.object_mut() {
        Some(Object::Zset(zset)) => Ok(zset),
        _ => Err(CommandError::WrongType),
    }
}

fn write_score(reply: &mut Reply, score: f64) {
    reply.double_text(FloatText::new(score).as_bytes());
}

#[inline]
fn write_member(reply: &mut Reply, member: Item<'_>) {
    match member {
        Item::Int(n) => reply.bulk_integer(n),
        Item::Str(text) => reply.bulk(text),
    }
}

/// The header of `len` elements, and then [`write_element`] for each: with scores RESP3 has pairs, RESP2 one flat array.
fn write_header(reply: &mut Reply, len: usize, scores: bool) {
    reply.array(if scores && !reply.is_resp3() { 2 * len } else { len });
}

#[inline]
fn write_element(reply: &mut Reply, member: Item<'_>, score: f64, scores: bool) {
    if scores && reply.is_resp3() {
        reply.array(2);
    }
    write_member(reply, member);
    if scores {
        write_score(reply, score);
    }
}

/// Counts a change of `n` elements and notes the event; `emptied` deletes the key as well.
pub(in crate::commands) fn changed(
    cx: &mut DataContext<'_, '_>,
    key: Key<'_>,
    n: usize,
    event: &'static str,
    emptied: bool,
) {
    if n == 0 {
        return;
    }
    cx.space.changed(key, EventClass::ZSET, event);
    cx.space.changes.dirty += n as u64 - 1;
    if emptied {
        cx.space.delete(key);
        cx.space.event(EventClass::GENERIC, "del", key);
    }
}

/// Puts an outcome under `key`, or deletes the key if it is empty; replies the number of elements.
pub(in crate::commands) fn store(cx: &mut DataContext<'_, '_>, key: Key<'_>, zset: Zset, event: &'static str) {
    let len = zset.len();
    if len > 0 {
        cx.space.set(key, Content::Object(Box::new(Object::Zset(zset))), Some(None));
        cx.space.changed(key, EventClass::ZSET, event);
    } else if cx.space.delete(key) {
        cx.space.changed(key, EventClass::GENERIC, "del");
    }
    cx.reply.integer(len as i64);
}
