//! Streams.
//!
//! Handlers here turn arguments into ids and ranges, edit a [`Stream`](crate::value::stream::Stream), and say what they did in the form
//! replicas follow: an XADD with the id it got, a read by a group as the XCLAIMs and the XGROUP SETID that leave the same behind.

mod add;
mod claim;
mod effects;
mod group;
mod info;
mod pending;
mod range;
mod read;
mod remove;
#[cfg(test)]
mod tests;
mod trim;

use super::{Command, CommandError, DataContext};
use crate::config::Config;
use crate::keyspace::{EventClass, Key};
use crate::resp::reply::Reply;
use crate::value::listpack::Item;
use crate::value::object::Object;
use crate::value::record::Record;
use crate::value::stream::{Entry, Limits, Stream, StreamId};

/// All commands on streams.
pub static COMMANDS: &[&Command] = &[
    &add::XADD,
    &trim::XTRIM,
    &remove::XDEL,
    &remove::XSETID,
    &range::XLEN,
    &range::XRANGE,
    &range::XREVRANGE,
    &read::XREAD,
    &read::XREADGROUP,
    &group::XGROUP,
    &pending::XACK,
    &pending::XPENDING,
    &claim::XCLAIM,
    &claim::XAUTOCLAIM,
    &info::XINFO,
];

fn limits(config: &Config) -> Limits {
    Limits {
        node_bytes: usize::try_from(config.encoding.stream_node_max_bytes).unwrap_or(usize::MAX),
        node_entries: config.encoding.stream_node_max_entries,
    }
}

fn stream_of(record: &Record) -> Result<&Stream, CommandError> {
    match record.object() {
        Some(Object::Stream(stream)) => Ok(stream),
        _ => Err(CommandError::WrongType),
    }
}

fn stream_of_mut(record: &mut Record) -> Result<&mut Stream, CommandError> {
    match record.object_mut() {
        Some(Object::Stream(stream)) => Ok(stream),
        _ => Err(CommandError::WrongType),
    }
}

const INVALID_ID: CommandError = CommandError::fixed("ERR Invalid stream ID specified as stream command argument");

/// An id that is written out; `seq` stands for a sequence number that is left out.
fn strict_id(text: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    StreamId::parse(text, seq).ok_or(INVALID_ID)
}

/// The same, and `-` and `+` for the least and the greatest.
fn any_id(text: &[u8], seq: u64) -> Result<StreamId, CommandError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict_id(text, seq),
    }
}

/// The arguments from `from` on as ids.
fn ids(cx: &DataContext<'_, '_>, from: usize) -> Result<Vec<StreamId>, CommandError> {
    cx.args.from(from).iter().map(|text| strict_id(text, 0)).collect()
}

/// The lower end of a range, which `(` excludes.
fn range_start(text: &[u8]) -> Result<StreamId, CommandError> {
    match text.strip_prefix(b"(") {
        None => any_id(text, 0),
        Some(id) => strict_id(id, 0)?.next().ok_or(CommandError::fixed("ERR invalid start ID for the interval")),
    }
}

/// The upper end of a range, which `(` excludes.
fn range_end(text: &[u8]) -> Result<StreamId, CommandError> {
    match text.strip_prefix(b"(") {
        None => any_id(text, u64::MAX),
        Some(id) => strict_id(id, u64::MAX)?.prev().ok_or(CommandError::fixed("ERR invalid end ID for the interval")),
    }
}

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::Bytes([b"NOGROUP No such key '", key, b"' or consumer group '", group, b"'"].concat())
}

fn write_id(reply: &mut Reply, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

fn write_item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_integer(n),
        Item::Str(text) => reply.bulk(text),
    }
}

fn write_entry(reply: &mut Reply, entry: &Entry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(2 * entry.len());
    for (field, value) in entry.pairs() {
        write_item(reply, field);
        write_item(reply, value);
    }
}

/// Notes `n` changes of a key under one event.
fn changed(cx: &mut DataContext<'_, '_>, key: Key<'_>, n: u64, event: &'static str) {
    cx.space.changed(key, EventClass::STREAM, event);
    cx.space.changes.dirty += n.saturating_sub(1);
}
