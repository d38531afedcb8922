//! Parts of a string, by offset.

use super::access;
use crate::commands::arguments::integer;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::resp::parser::BULK_LEN_MAX;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::record::Content;

/// Bytes a string may have: what clients may send; of what was accepted before, whatever may be configured.
pub fn len_max(cx: &DataContext<'_, '_>) -> u64 {
    if cx.obeys { BULK_LEN_MAX } else { cx.config.limits.proto_max_bulk_len }
}

/// Refuses a string of `len` and `more` bytes if it would be longer than one may be.
pub fn check_len(cx: &DataContext<'_, '_>, len: usize, more: usize) -> Outcome {
    let fits = len.checked_add(more).is_some_and(|n| n as u64 <= len_max(cx));
    if fits { Ok(()) } else { Err(CommandError::StringTooLong) }
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
            access::store_raw(&mut record, value);
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
    if old_len.is_none() {
        cx.space.add(key, Content::String(b""), None);
    }
    if let Some(mut record) = cx.space.find_mut(key) {
        access::edit(&mut record, end, |value| value[offset..end].copy_from_slice(patch))?;
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

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn a_string_grows_from_the_block_into_a_long_one() {
        let mut b = Bench::new(FAMILIES);
        let piece = "y".repeat(700);
        for i in 1..=6 {
            assert_eq!(b.run(&format!("APPEND k {piece}")), format!(":{}\r\n", i * 700));
        }
        b.check(&[
            ("SETRANGE k 2 abc", ":4200\r\n"),
            ("GETRANGE k 0 5", "$6\r\nyyabcy\r\n"),
            ("SETRANGE k 4199 zz", ":4201\r\n"),
            ("GETRANGE k -3 -1", "$3\r\nyzz\r\n"),
        ]);
        assert_eq!(b.run("GETRANGE k 0 -1").len(), "$4201\r\n".len() + 4203);
    }

    #[test]
    fn a_reply_that_shares_a_long_string_is_not_changed_by_a_write() {
        let mut b = Bench::new(FAMILIES);
        b.run(&format!("SET k {}", "a".repeat(5000)));
        b.check(&[("COPY k l", ":1\r\n"), ("SETRANGE k 0 b", ":5000\r\n"), ("GETRANGE l 0 1", "$2\r\naa\r\n")]);
    }

    #[test]
    fn lengths_past_the_limit_are_refused() {
        let mut b = Bench::new(FAMILIES);
        b.config.limits.proto_max_bulk_len = 1 << 20;
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
        b.check(&[
            ("SETRANGE k 1048575 x", ":1048576\r\n"),
            ("SETRANGE k 1048576 x", too_long),
            ("SETRANGE k 9223372036854775807 x", too_long),
            ("APPEND k x", too_long),
            ("SETRANGE k -1 x", "-ERR offset is out of range\r\n"),
            ("SETRANGE none 5 \"\"", ":0\r\n"),
            ("EXISTS none", ":0\r\n"),
        ]);
        assert_eq!(b.effects, ["SETRANGE k 1048575 x"]);
    }

    #[test]
    fn what_the_log_or_the_primary_has_done_is_measured_by_no_limit_of_clients() {
        let mut b = Bench::new(FAMILIES);
        b.config.limits.proto_max_bulk_len = 1 << 20;
        b.obeys = true;
        b.check(&[("SETRANGE k 1048576 x", ":1048577\r\n"), ("APPEND k x", ":1048578\r\n")]);
        b.check(&[("SETRANGE k 4294967295 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n")]);
    }

    #[test]
    fn ranges_are_cut_to_the_string() {
        let c = super::clamp;
        assert_eq!((c(0, -1, 5), c(-3, -1, 5), c(-100, 100, 5)), (Some((0, 4)), Some((2, 4)), Some((0, 4))));
        assert_eq!(
            (c(5, 9, 5), c(-1, -3, 5), c(3, 2, 5), c(0, -1, 0), c(-9, -8, 5)),
            (None, None, None, None, Some((0, 0)))
        );
        assert_eq!(c(i64::MIN, i64::MAX, 5), Some((0, 4)));
    }
}
