//! Strings as numbers.

use super::access;
use crate::base::extended::Extended;
use crate::commands::arguments::integer;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::record::Content;

const INCR_SPEC: CommandSpec = CommandSpec::new("incr", 2, Group::String, "write denyoom fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key")
    .doc("Adds one to the integer at a key; a missing key counts as 0.", "O(1)");

pub static INCR: Command = Command::data(INCR_SPEC, incr);
fn incr(cx: &mut DataContext<'_, '_>) -> Outcome {
    add(cx, 1)
}

const DECR_SPEC: CommandSpec = CommandSpec::new("decr", 2, Group::String, "write denyoom fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key")
    .doc("Subtracts one from the integer at a key; a missing key counts as 0.", "O(1)");

pub static DECR: Command = Command::data(DECR_SPEC, decr);
fn decr(cx: &mut DataContext<'_, '_>) -> Outcome {
    add(cx, -1)
}

const INCRBY_SPEC: CommandSpec = CommandSpec::new("incrby", 3, Group::String, "write denyoom fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key increment:integer")
    .doc("Adds a number to the integer at a key; a missing key counts as 0.", "O(1)");

pub static INCRBY: Command = Command::data(INCRBY_SPEC, incrby);
fn incrby(cx: &mut DataContext<'_, '_>) -> Outcome {
    add(cx, integer(cx.args.at(2))?)
}

const DECRBY_SPEC: CommandSpec = CommandSpec::new("decrby", 3, Group::String, "write denyoom fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key decrement:integer")
    .doc("Subtracts a number from the integer at a key; a missing key counts as 0.", "O(1)");

pub static DECRBY: Command = Command::data(DECRBY_SPEC, decrby);
fn decrby(cx: &mut DataContext<'_, '_>) -> Outcome {
    let by = integer(cx.args.at(2))?;
    let by = by.checked_neg().ok_or(CommandError::fixed("ERR decrement would overflow"))?;
    add(cx, by)
}

fn add(cx: &mut DataContext<'_, '_>, by: i64) -> Outcome {
    let key = cx.key(1);
    let sum = if let Some(mut record) = cx.space.find_mut(key) {
        let sum = access::integer(&record)?.checked_add(by).ok_or(CommandError::Overflow)?;
        record.set_content(Content::Int(sum));
        sum
    } else {
        cx.space.add(key, Content::Int(by), None);
        by
    };
    cx.space.changed(key, EventClass::STRING, "incrby");
    cx.reply.integer(sum);
    Ok(())
}

const INCRBYFLOAT_SPEC: CommandSpec = CommandSpec::new("incrbyfloat", 3, Group::String, "write denyoom fast")
    .since("2.6.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key increment:double")
    .doc("Adds a fraction to the number at a key; a missing key counts as 0.", "O(1)");

pub static INCRBYFLOAT: Command = Command::data(INCRBYFLOAT_SPEC, incrbyfloat);
fn incrbyfloat(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let mut sum = Vec::new();
    let number = |text: &[u8]| Extended::parse(text).ok_or(CommandError::NotFloat);
    let add = |value: Extended| value.checked_add(number(cx.args.at(2))?).ok_or(CommandError::NotFinite);
    if let Some(mut record) = cx.space.find_mut(key) {
        add(number(&access::bytes(&record)?)?)?.print(&mut sum);
        record.set_content(Content::String(&sum));
    } else {
        add(Extended::ZERO)?.print(&mut sum);
        cx.space.add(key, Content::String(&sum), None);
    }
    cx.space.changed(key, EventClass::STRING, "incrbyfloat");
    // The sum, not the step: repeated on another machine or in another order of rounding it must come out the same.
    cx.space.replace_effect(key.db, &[b"SET", key.name, &sum, b"KEEPTTL"]);
    cx.reply.bulk(&sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn an_increment_stops_at_the_ends_of_the_range() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("INCR k", ":1\r\n"),
            ("SET k 9223372036854775806", "+OK\r\n"),
            ("INCR k", ":9223372036854775807\r\n"),
            ("INCR k", "-ERR increment or decrement would overflow\r\n"),
            ("GET k", "$19\r\n9223372036854775807\r\n"),
            ("SET k -9223372036854775807", "+OK\r\n"),
            ("DECR k", ":-9223372036854775808\r\n"),
            ("DECR k", "-ERR increment or decrement would overflow\r\n"),
            ("DECRBY k -9223372036854775808", "-ERR decrement would overflow\r\n"),
            ("SET k \" 1\"", "+OK\r\n"),
            ("INCR k", "-ERR value is not an integer or out of range\r\n"),
            ("INCRBY k 1.5", "-ERR value is not an integer or out of range\r\n"),
        ]);
    }

    #[test]
    fn a_number_keeps_its_deadline_and_becomes_an_integer_again() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("SET k 10 PX 500", "+OK\r\n"),
            ("APPEND k 0", ":3\r\n"),
            ("OBJECT ENCODING k", "$3\r\nraw\r\n"),
            ("INCRBY k 5", ":105\r\n"),
            ("OBJECT ENCODING k", "$3\r\nint\r\n"),
            ("PTTL k", ":500\r\n"),
        ]);
    }

    #[test]
    fn a_float_sum_is_repeated_as_its_result() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("INCRBYFLOAT k 1.25", "$4\r\n1.25\r\n"),
            ("INCRBYFLOAT k 1.75", "$1\r\n3\r\n"),
            ("OBJECT ENCODING k", "$6\r\nembstr\r\n"),
            ("INCRBYFLOAT k x", "-ERR value is not a valid float\r\n"),
            ("INCRBYFLOAT k inf", "-ERR increment would produce NaN or Infinity\r\n"),
            ("GET k", "$1\r\n3\r\n"),
        ]);
        assert_eq!(b.effects, ["SET k 1.25 KEEPTTL", "SET k 3 KEEPTTL"]);
        assert_eq!(b.events, ["new k", "incrbyfloat k", "incrbyfloat k"]);
    }
}
