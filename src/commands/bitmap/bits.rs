//! One bit.

use super::offset;
use crate::commands::arguments::integer;
use crate::commands::string::access;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::record::Content;

/// The mask of a bit in its byte.
fn mask(at: u64) -> u8 {
    0x80 >> (at & 7)
}

const SETBIT_SPEC: CommandSpec = CommandSpec::new("setbit", 4, Group::Bitmap, "write denyoom")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key offset:integer value:integer")
    .doc("Writes one bit of a string, which grows as needed.", "O(1)");

pub static SETBIT: Command = Command::data(SETBIT_SPEC, setbit);
fn setbit(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let at = offset(cx, cx.args.at(2), None)?;
    let on = match integer(cx.args.at(3)) {
        Ok(n @ 0..=1) => n == 1,
        _ => return Err(CommandError::fixed("ERR bit is not an integer or out of range")),
    };
    let byte = (at >> 3) as usize;
    let old_len = match cx.space.find_mut(key) {
        Some(record) => Some(access::len(&record)?),
        None => None,
    };
    if old_len.is_none() {
        cx.space.add(key, Content::String(b""), None);
    }
    let mut was = false;
    if let Some(mut record) = cx.space.find_mut(key) {
        was = access::edit(&mut record, byte + 1, |value| {
            let was = value[byte] & mask(at) != 0;
            if was != on {
                value[byte] ^= mask(at);
            }
            was
        })?;
    }
    if was != on || old_len.is_none_or(|len| len <= byte) {
        cx.space.changed(key, EventClass::STRING, "setbit");
    }
    cx.reply.integer(i64::from(was));
    Ok(())
}

const GETBIT_SPEC: CommandSpec = CommandSpec::new("getbit", 3, Group::Bitmap, "readonly fast")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key offset:integer")
    .doc("Reads one bit of a string.", "O(1)");

pub static GETBIT: Command = Command::data(GETBIT_SPEC, getbit);
fn getbit(cx: &mut DataContext<'_, '_>) -> Outcome {
    let at = offset(cx, cx.args.at(2), None)?;
    let on = match cx.space.find(cx.key(1)) {
        Some(record) => access::bytes(&record)?.get((at >> 3) as usize).is_some_and(|b| b & mask(at) != 0),
        None => false,
    };
    cx.reply.integer(i64::from(on));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn a_bit_is_set_where_it_stands_and_only_a_change_counts() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("SETBIT k 7 1", ":0\r\n"),
            ("SETBIT k 7 1", ":1\r\n"),
            ("SETBIT k 15 0", ":0\r\n"),
            ("GET k", "$2\r\n\u{1}\0\r\n"),
            ("GETBIT k 7", ":1\r\n"),
            ("GETBIT k 4294967295", ":0\r\n"),
            ("GETBIT k 4294967296", "-ERR bit offset is not an integer or out of range\r\n"),
            ("SETBIT k -1 1", "-ERR bit offset is not an integer or out of range\r\n"),
            ("SETBIT k 0 2", "-ERR bit is not an integer or out of range\r\n"),
            ("SET n 1", "+OK\r\n"),
            ("SETBIT n 6 1", ":0\r\n"),
            ("GET n", "$1\r\n3\r\n"),
        ]);
        assert_eq!(b.effects, ["SETBIT k 7 1", "SETBIT k 15 0", "SET n 1", "SETBIT n 6 1"]);
    }
}
