//! Streams in files and payloads.
//!
//! ```text
//! nodes n, (id 16 bytes big endian as a string, listpack) ...
//! length | last id | [first id | greatest deleted id | entries added]          lengths; types 19 and 21
//! groups n, (name | last id | [entries read] | pending | consumers n, consumer ...) ...
//! pending:  n, (id 16 bytes, delivered i64 ms, deliveries) ...
//! consumer: name | seen i64 ms | [active i64 ms]  | n, id 16 bytes ...         type 21
//! ```
//!
//! A payload is believed only as a whole: nodes have their shape and are in order, counts are right, and each pending entry belongs to
//! exactly one consumer of its group. What can be derived (the first id) is derived.

use super::source::{Fault, Got, Source};
use super::write::{put_blob, put_len, put_string};
use super::{kind, read};
use crate::value::stream::{Damaged, Group, GroupParts, Stream, StreamId, StreamParts};
use std::io::Read;

/// An unknown number of entries read, as files write it.
const UNKNOWN: u64 = u64::MAX;
/// Counters are signed where clients see them.
const COUNTER_MAX: u64 = i64::MAX as u64;

fn id<R: Read>(from: &mut Source<R>) -> Got<StreamId> {
    Ok(StreamId { ms: from.len()?, seq: from.len()? })
}

fn raw_id<R: Read>(from: &mut Source<R>) -> Got<StreamId> {
    Ok(StreamId::from_be_bytes(from.array()?))
}

fn time<R: Read>(from: &mut Source<R>) -> Got<i64> {
    Ok(i64::from_le_bytes(from.array()?))
}

fn counter<R: Read>(from: &mut Source<R>) -> Got<u64> {
    let n = from.len()?;
    if n > COUNTER_MAX { Err(from.error(Fault::Length)) } else { Ok(n) }
}

fn words(damaged: Damaged) -> &'static str {
    match damaged {
        Damaged::Order => "Stream node order",
        Damaged::Node => "Stream listpack",
        Damaged::Count => "Stream length",
        Damaged::LastId => "Stream last id",
    }
}

/// Reads a stream of a type.
pub(super) fn get<R: Read>(from: &mut Source<R>, kind: u8) -> Got<Stream> {
    let mut parts = StreamParts::default();
    for _ in 0..from.len()? {
        let Ok(filed) = <[u8; StreamId::BYTES]>::try_from(from.string()?) else {
            return from.damaged("Stream node id");
        };
        let pack = read::listpack(from, "Stream listpack")?;
        parts.add_node(StreamId::from_be_bytes(filed), pack).or_else(|d| from.damaged(words(d)))?;
    }
    let (len, last_id) = (from.len()?, id(from)?);
    let told = if kind == kind::STREAM { None } else { Some((id(from)?, id(from)?, counter(from)?)) };
    let mut stream = parts.finish(len, last_id).or_else(|d| from.damaged(words(d)))?;
    if let Some((_first, max_deleted_id, entries_added)) = told {
        stream.max_deleted_id = max_deleted_id;
        stream.entries_added = entries_added;
        if entries_added < len {
            return from.damaged("Stream entries added");
        }
    }
    for _ in 0..from.len()? {
        let name = from.string()?;
        let group = group(from, kind, &stream)?;
        if !stream.add_group(&name, group) {
            return from.damaged("Consumer group uniqueness");
        }
    }
    Ok(stream)
}

fn group<R: Read>(from: &mut Source<R>, kind: u8, stream: &Stream) -> Got<Group> {
    let last_id = id(from)?;
    let entries_read = if kind == kind::STREAM {
        stream.added_until(last_id)
    } else {
        match from.len()? {
            UNKNOWN => None,
            n if n > COUNTER_MAX => return Err(from.error(Fault::Length)),
            n => Some(n),
        }
    };
    let mut parts = GroupParts::new(last_id, entries_read);
    for _ in 0..from.len()? {
        let (entry, delivered_ms, deliveries) = (raw_id(from)?, time(from)?, counter(from)?);
        if !parts.add_pending(entry, delivered_ms, deliveries) {
            return from.damaged("Stream PEL uniqueness");
        }
    }
    for _ in 0..from.len()? {
        let (name, seen_ms) = (from.string()?, time(from)?);
        let active_ms = if kind == kind::STREAM_ACTIVE_TIMES { time(from)? } else { seen_ms };
        let active_ms = Some(active_ms).filter(|ms| *ms != -1);
        let Ok(consumer) = parts.add_consumer(&name, seen_ms, active_ms) else {
            return from.damaged("Duplicate stream consumer detected:");
        };
        for _ in 0..from.len()? {
            let entry = raw_id(from)?;
            if !parts.assign(entry, consumer) {
                return from.damaged("Unknown or Duplicated consumer PEL entry:");
            }
        }
    }
    parts.finish().map_or_else(|| from.damaged("Stream PEL consumer"), Ok)
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_len(out, id.ms);
    put_len(out, id.seq);
}

/// Writes a stream of the newest type.
pub(super) fn put(out: &mut Vec<u8>, stream: &Stream) {
    put_len(out, stream.nodes().len() as u64);
    for (filed, pack) in stream.nodes() {
        put_blob(out, &filed.to_be_bytes());
        put_blob(out, pack.as_bytes());
    }
    put_len(out, stream.len());
    for id in [stream.last_id, stream.first_id(), stream.max_deleted_id] {
        put_id(out, id);
    }
    put_len(out, stream.entries_added);
    put_len(out, stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        put_string(out, name, false);
        put_id(out, group.last_id);
        put_len(out, group.entries_read.unwrap_or(UNKNOWN));
        put_len(out, group.pending().len() as u64);
        for (entry, pending) in group.pending() {
            out.extend_from_slice(&entry.to_be_bytes());
            out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
            put_len(out, pending.deliveries);
        }
        put_len(out, group.consumers().len() as u64);
        for consumer in group.consumers() {
            put_string(out, consumer.name(), false);
            out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
            out.extend_from_slice(&consumer.active_ms.unwrap_or(-1).to_le_bytes());
            put_len(out, consumer.pending().len() as u64);
            for entry in consumer.pending() {
                out.extend_from_slice(&entry.to_be_bytes());
            }
        }
    }
}
