//! Setting one string.

use super::access;
use super::expiry::{Condition, Expiry, Of, StringOptions, Unit, effect_set, expire_at_once, has_passed};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::{EventClass, Key};
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};

const SET_SPEC: CommandSpec = CommandSpec::new("set", -3, Group::String, "write denyoom")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access update variable_flags")
        .notes("Reads the old value only under `GET`; otherwise it overwrites.")])
    .key_code(KeyCode::Set)
    .history(&[
        ("2.6.12", "Options `EX`, `PX`, `NX`, `XX`."),
        ("6.0.0", "Option `KEEPTTL`."),
        ("6.2.0", "Options `GET`, `EXAT`, `PXAT`."),
        ("7.0.0", "`GET` may be combined with `NX`."),
        ("8.1.0", "Condition `IFEQ`."),
    ])
    .args(
        "key:key value [condition{NX@2.6.12 | XX@2.6.12 | IFEQ=comparison-value@8.1.0'Stores \
        only if the key holds this value.'}] [GET@6.2.0] \
        [expiration{EX=seconds:integer@2.6.12 | PX=milliseconds:integer@2.6.12 | \
        EXAT=unix-time-seconds:unix-time@6.2.0 | PXAT=unix-time-milliseconds:unix-time@6.2.0 \
        | KEEPTTL@6.0.0}]",
    )
    .doc("Stores a string at a key, whatever the key held before.", "O(1)");

pub static SET: Command = Command::data(SET_SPEC, set);
fn set(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, value) = (cx.key(1), cx.args.at(2));
    if cx.args.len() == 3 {
        cx.space.set(key, access::encode(value), Some(None));
        cx.space.changed(key, EventClass::STRING, "set");
        cx.reply.ok();
        return Ok(());
    }
    let options = StringOptions::parse(cx.args, 3, Of::Set)?;
    let deadline = options.deadline(cx.now_ms(), cx.command_name())?;
    if options.get {
        match cx.space.find(key) {
            Some(record) => access::reply(cx.reply, &record)?,
            None => cx.reply.null(),
        }
    }
    if !holds(cx, key, options.condition)? {
        if !options.get {
            cx.reply.null();
        }
        return Ok(());
    }
    if !options.get {
        cx.reply.ok();
    }
    write(cx, key, value, options.expiry, deadline);
    if options.get && !cx.space.changes.replaced && cx.space.changes.dirty > 0 {
        let kept: Vec<&[u8]> = without_get(cx);
        cx.space.replace_effect(key.db, &kept);
    }
    Ok(())
}

/// The command's arguments without the GETs: whoever repeats it does not want the reply.
fn without_get<'a>(cx: &DataContext<'a, '_>) -> Vec<&'a [u8]> {
    let mut kept = Vec::with_capacity(cx.args.len());
    let mut compared = false;
    for (i, word) in cx.args.iter().enumerate() {
        // What follows IFEQ is a value, even if it reads "get".
        if i < 3 || compared || !word.eq_ignore_ascii_case(b"GET") {
            kept.push(word);
        }
        compared = i >= 3 && !compared && word.eq_ignore_ascii_case(b"IFEQ");
    }
    kept
}

fn holds(cx: &mut DataContext<'_, '_>, key: Key<'_>, condition: Condition<'_>) -> Result<bool, CommandError> {
    Ok(match condition {
        Condition::Always => true,
        Condition::Absent => !cx.space.alive(key),
        Condition::Present => cx.space.alive(key),
        Condition::Equal(value) => match cx.space.peek(key) {
            Some(record) => *access::bytes(&record)? == *value,
            None => false,
        },
    })
}

/// Writes key and deadline, with events and the effect.
fn write(cx: &mut DataContext<'_, '_>, key: Key<'_>, value: &[u8], expiry: Expiry<'_>, deadline: Option<i64>) {
    if deadline.is_some_and(|d| has_passed(cx, d)) {
        return expire_at_once(cx, key);
    }
    let wanted = if expiry == Expiry::Keep { None } else { Some(deadline) };
    cx.space.set(key, access::encode(value), wanted);
    cx.space.changed(key, EventClass::STRING, "set");
    if let Some(deadline) = deadline {
        cx.space.event(EventClass::GENERIC, "expire", key);
        // PXAT says the same whenever it is repeated.
        let absolute = matches!(expiry, Expiry::At { unit: Unit::PXAT, .. });
        if !absolute {
            effect_set(cx, key, value, deadline);
        }
    }
}

const SETNX_SPEC: CommandSpec = CommandSpec::new("setnx", 3, Group::String, "write denyoom fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "OW insert")])
    .args("key:key value")
    .doc("Stores a string unless the key exists.", "O(1)");

pub static SETNX: Command = Command::data(SETNX_SPEC, setnx);
fn setnx(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let absent = !cx.space.alive(key);
    if absent {
        write(cx, key, cx.args.at(2), Expiry::Unsaid, None);
    }
    cx.reply.integer(i64::from(absent));
    Ok(())
}

const SETEX_SPEC: CommandSpec = CommandSpec::new("setex", 4, Group::String, "write denyoom")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "OW update")])
    .args("key:key seconds:integer value")
    .doc("Stores a string that expires after some seconds.", "O(1)");

pub static SETEX: Command = Command::data(SETEX_SPEC, setex);
fn setex(cx: &mut DataContext<'_, '_>) -> Outcome {
    set_for(cx, Unit::EX)
}

const PSETEX_SPEC: CommandSpec = CommandSpec::new("psetex", 4, Group::String, "write denyoom")
    .since("2.6.0")
    .keys(&[KeySpec::index(1, "OW update")])
    .args("key:key milliseconds:integer value")
    .doc("Stores a string that expires after some milliseconds.", "O(1)");

pub static PSETEX: Command = Command::data(PSETEX_SPEC, psetex);
fn psetex(cx: &mut DataContext<'_, '_>) -> Outcome {
    set_for(cx, Unit::PX)
}

fn set_for(cx: &mut DataContext<'_, '_>, unit: Unit) -> Outcome {
    let given = cx.args.at(2);
    let deadline = unit.deadline(given, cx.now_ms(), cx.command_name())?;
    write(cx, cx.key(1), cx.args.at(3), Expiry::At { unit, given, position: 2 }, Some(deadline));
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::string::COMMANDS;
    use crate::commands::testing::Bench;

    #[test]
    fn set_overwrites_value_and_deadline_unless_told_to_keep_it() {
        let mut b = Bench::new(&[COMMANDS, crate::commands::generic::COMMANDS]);
        b.check(&[
            ("SET k v EX 100", "+OK\r\n"),
            ("SET k w KEEPTTL", "+OK\r\n"),
            ("PTTL k", ":100000\r\n"),
            ("SET k x", "+OK\r\n"),
            ("PTTL k", ":-1\r\n"),
        ]);
        assert_eq!(b.events, ["new k", "set k", "expire k", "set k", "set k"]);
        assert_eq!(b.effects, ["SET k v PXAT 1100000", "SET k w KEEPTTL", "SET k x"]);
    }

    #[test]
    fn set_conditions_and_get_answer_before_they_write() {
        let mut b = Bench::new(&[COMMANDS]);
        b.check(&[
            ("SET k v XX", "$-1\r\n"),
            ("SET k v NX GET", "$-1\r\n"),
            ("SET k w NX", "$-1\r\n"),
            ("SET k w NX GET", "$1\r\nv\r\n"),
            ("SET k w IFEQ x", "$-1\r\n"),
            ("SET k w IFEQ v GET", "$1\r\nv\r\n"),
            ("SET k get IFEQ w", "+OK\r\n"),
            ("SET k a GET IFEQ get", "$3\r\nget\r\n"),
            ("SET k w NX XX", "-ERR syntax error\r\n"),
            ("SET k w EX 1 PX 1", "-ERR syntax error\r\n"),
            ("SET k w EX", "-ERR syntax error\r\n"),
            ("SET k w EX 0", "-ERR invalid expire time in 'set' command\r\n"),
            ("SET k w EX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
            ("SET k w PX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
            ("SET k w EX x", "-ERR value is not an integer or out of range\r\n"),
        ]);
        assert_eq!(b.effects, ["SET k v NX", "SET k w IFEQ v", "SET k get IFEQ w", "SET k a IFEQ get"]);
    }

    #[test]
    fn a_deadline_in_the_past_takes_the_key_away() {
        let mut b = Bench::new(&[COMMANDS]);
        b.check(&[("SET k v PXAT 5", "+OK\r\n"), ("SET k v", "+OK\r\n"), ("SET k w PXAT 5 GET", "$1\r\nv\r\n")]);
        assert_eq!(b.events, ["new k", "set k", "expired k"]);
        assert_eq!(b.effects, ["SET k v", "UNLINK k"]);
        b.check(&[("GET k", "$-1\r\n"), ("SETNX k v", ":1\r\n"), ("SETNX k v", ":0\r\n"), ("SETEX k 10 v", "+OK\r\n")]);
    }
}
