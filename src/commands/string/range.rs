//! Parts of a string, by offset.

use super::access;
use crate::commands::arguments::integer;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::record::{Content, Record};

/// Refuses a string of `len` and `more` bytes if it would be longer than clients may send.
pub fn check_len(cx: &DataContext<'_, '_>, len: usize, more: usize) -> Outcome {
    let fits = len.checked_add(more).is_some_and(|n| n as u64 <= cx.config.limits.proto_max_bulk_len);
    if fits { Ok(()) } else { Err(CommandError::StringTooLong) }
}

/// Puts a computed value in place of a record's, marked as changed piecewise.
pub fn store_raw(record: &mut Record, mut value: Vec<u8>) {
    record.set_content(access::text(&mut value));
    record.set_raw(true);
}

const APPEND_SPEC: CommandSpec = CommandSpec::new("append", 3, Group::String, "write denyoom fast")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "RW insert")])
    .args("key:key value")
    .doc("Adds bytes to the end of a string, which is created if missing.", "O(1) amortised");

pub static APPEND: Command = Command::data(APPEND_SPEC, append);
fn append(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, more) = (cx.key(1), cx.args.at(2));
    let len = if let Some(record) = cx.space.find_mut(key) {
        access::len(&record)?
    } else {
        cx.space.add(key, access::encode(more), None);
        cx.space.changed(key, EventClass::STRING, "append");
        cx.reply.integer(more.len() as i64);
        return Ok(());
    };
    check_len(cx, len, more.len())?;
    if let Some(mut record) = cx.space.find_mut(key) {
        if let Some(big) = record.big_mut() {
            big.extend_from_slice(more);
        } else {
            let mut value = access::copy(Some(&record), more.len())?;
            value.extend_from_slice(more);
            store_raw(&mut record, value);
        }
    }
    cx.space.changed(key, EventClass::STRING, "append");
    cx.reply.integer((len + more.len()) as i64);
    Ok(())
}

const SETRANGE_SPEC: CommandSpec = CommandSpec::new("setrange", 4, Group::String, "write denyoom")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .args("key:key offset:integer value")
    .doc(
        "Overwrites part of a string from an offset on, padding with zero bytes.",
        "O(1) apart from copying, O(M) for a value of M bytes",
    );

pub static SETRANGE: Command = Command::data(SETRANGE_SPEC, setrange);
fn setrange(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, patch) = (cx.key(1), cx.args.at(3));
    let offset = integer(cx.args.at(2))?;
    let offset = usize::try_from(offset).map_err(|_| CommandError::fixed("ERR offset is out of range"))?;
    let old_len = match cx.space.find_mut(key) {
        Some(record) => Some(access::len(&record)?),
        None => None,
    };
    if patch.is_empty() {
        cx.reply.integer(old_len.unwrap_or(0) as i64);
        return Ok(());
    }
    check_len(cx, offset, patch.len())?;
    let end = offset + patch.len();
    let write = |value: &mut Vec<u8>| {
        if value.len() < end {
            value.resize(end, 0);
        }
        value[offset..end].copy_from_slice(patch);
    };
    if let Some(mut record) = cx.space.find_mut(key) {
        if let Some(big) = record.big_mut() {
            write(big);
        } else {
            let more = end.saturating_sub(old_len.unwrap_or(0));
            let mut value = access::copy(Some(&record), more)?;
            write(&mut value);
            store_raw(&mut record, value);
        }
    } else {
        let mut value = Vec::with_capacity(end);
        write(&mut value);
        let mut record = cx.space.add(key, Content::String(b""), None);
        store_raw(&mut record, value);
    }
    cx.space.changed(key, EventClass::STRING, "setrange");
    cx.reply.integer(old_len.unwrap_or(0).max(end) as i64);
    Ok(())
}

const GETRANGE_SPEC: CommandSpec = CommandSpec::new("getrange", 4, Group::String, "readonly")
    .since("2.4.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key start:integer end:integer")
    .doc("Reads part of a string between two offsets.", "O(N), N: bytes returned");

pub static GETRANGE: Command = Command::data(GETRANGE_SPEC, getrange);
const SUBSTR_SPEC: CommandSpec = CommandSpec::new("substr", 4, Group::String, "readonly")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key start:integer end:integer")
    .doc("Reads part of a string between two offsets.", "O(N), N: bytes returned");

pub static SUBSTR: Command = Command::data(SUBSTR_SPEC, getrange);
fn getrange(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (start, end) = (integer(cx.args.at(2))?, integer(cx.args.at(3))?);
    let Some(record) = cx.space.find(cx.key(1)) else {
        cx.reply.bulk(b"");
        return Ok(());
    };
    let value = access::bytes(&record)?;
    match clamp(start, end, value.len()) {
        Some((0, last)) if last + 1 == value.len() => access::reply(cx.reply, &record)?,
        Some((first, last)) => cx.reply.bulk(&value[first..=last]),
        None => cx.reply.bulk(b""),
    }
    Ok(())
}

/// First and last offset of a range inside `len` elements; negative ones count from the end. `None` if it is empty.
pub fn clamp(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    if start < 0 && end < 0 && start > end {
        return None;
    }
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |n: i64| if n < 0 { n.saturating_add(len).max(0) } else { n };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    (len > 0 && start <= end).then_some((start as usize, end as usize))
}
