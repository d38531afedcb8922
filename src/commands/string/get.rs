//! Reading one string, and reading it once more before it goes or changes.

use super::access;
use super::expiry::{Expiry, Of, StringOptions, expire_at_once, has_passed};
use crate::base::number::IntText;
use crate::commands::{Command, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};

const GET_SPEC: CommandSpec = CommandSpec::new("get", 2, Group::String, "readonly fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key")
    .doc("Reads the string at a key.", "O(1)");

pub static GET: Command = Command::data(GET_SPEC, get);
fn get(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    match cx.space.read(key, |record| access::reply(cx.reply, record)) {
        Some(replied) => replied,
        None => {
            cx.reply.null();
            Ok(())
        }
    }
}

const STRLEN_SPEC: CommandSpec = CommandSpec::new("strlen", 2, Group::String, "readonly fast")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RO")])
    .args("key:key")
    .doc("Tells the length of a string in bytes.", "O(1)");

pub static STRLEN: Command = Command::data(STRLEN_SPEC, strlen);
fn strlen(cx: &mut DataContext<'_, '_>) -> Outcome {
    let len = match cx.space.find(cx.key(1)) {
        Some(record) => access::len(&record)?,
        None => 0,
    };
    cx.reply.integer(len as i64);
    Ok(())
}

const GETSET_SPEC: CommandSpec = CommandSpec::new("getset", 3, Group::String, "write denyoom fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key value")
    .doc("Replaces the string at a key and returns the old one.", "O(1)");

pub static GETSET: Command = Command::data(GETSET_SPEC, getset);
fn getset(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, value) = (cx.key(1), cx.args.at(2));
    get(cx)?;
    cx.space.set(key, access::encode(value), Some(None));
    cx.space.changed(key, EventClass::STRING, "set");
    cx.space.replace_effect(key.db, &[b"SET", key.name, value]);
    Ok(())
}

const GETDEL_SPEC: CommandSpec = CommandSpec::new("getdel", 2, Group::String, "write fast")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RW access delete")])
    .args("key:key")
    .doc("Reads the string at a key, then removes the key.", "O(1)");

pub static GETDEL: Command = Command::data(GETDEL_SPEC, getdel);
fn getdel(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    get(cx)?;
    if cx.space.delete(key) {
        cx.space.changed(key, EventClass::GENERIC, "del");
        cx.space.replace_effect(key.db, &[b"DEL", key.name]);
    }
    Ok(())
}

const GETEX_SPEC: CommandSpec = CommandSpec::new("getex", -2, Group::String, "write fast")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RW access update").notes("Only the expiry may change.")])
    .args(
        "key:key [expiration{EX=seconds:integer | PX=milliseconds:integer | \
        EXAT=unix-time-seconds:unix-time | PXAT=unix-time-milliseconds:unix-time | PERSIST}]",
    )
    .doc("Reads the string at a key and sets or drops its expiry.", "O(1)");

pub static GETEX: Command = Command::data(GETEX_SPEC, getex);
fn getex(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let options = StringOptions::parse(cx.args, 2, Of::Getex)?;
    let deadline = options.deadline(cx.now_ms(), cx.command_name())?;
    let had = match cx.space.find(key) {
        Some(record) => {
            access::reply(cx.reply, &record)?;
            record.deadline()
        }
        None => {
            cx.reply.null();
            return Ok(());
        }
    };
    match (options.expiry, deadline) {
        (_, Some(deadline)) if has_passed(cx, deadline) => expire_at_once(cx, key),
        (_, Some(deadline)) => {
            cx.space.set_deadline(key, Some(deadline));
            cx.space.changed(key, EventClass::GENERIC, "expire");
            cx.space.replace_effect(key.db, &[b"PEXPIREAT", key.name, IntText::new(deadline).as_bytes()]);
        }
        (Expiry::Persist, None) if had.is_some() => {
            cx.space.set_deadline(key, None);
            cx.space.changed(key, EventClass::GENERIC, "persist");
            cx.space.replace_effect(key.db, &[b"PERSIST", key.name]);
        }
        _ => {}
    }
    Ok(())
}

const DELIFEQ_SPEC: CommandSpec = CommandSpec::new("delifeq", 3, Group::String, "write fast")
    .since("9.0.0")
    .keys(&[KeySpec::index(1, "RM delete")])
    .args("key:key value")
    .doc("Removes a key if its string equals the one given.", "O(1)");

pub static DELIFEQ: Command = Command::data(DELIFEQ_SPEC, delifeq);
fn delifeq(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let equal = match cx.space.find_mut(key) {
        Some(record) => *access::bytes(&record)? == *cx.args.at(2),
        None => false,
    };
    if equal {
        cx.space.delete(key);
        cx.space.changed(key, EventClass::GENERIC, "del");
        cx.space.replace_effect(key.db, &[b"DEL", key.name]);
    }
    cx.reply.integer(i64::from(equal));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn reading_answers_whatever_way_the_string_is_kept() {
        let mut b = Bench::new(FAMILIES);
        let long = "x".repeat(3000);
        b.run(&format!("SET long {long}"));
        assert_eq!(b.run("GET long"), format!("$3000\r\n{long}\r\n"));
        b.check(&[
            ("GET k", "$-1\r\n"),
            ("STRLEN k", ":0\r\n"),
            ("SET k -12", "+OK\r\n"),
            ("GET k", "$3\r\n-12\r\n"),
            ("STRLEN k", ":3\r\n"),
            ("STRLEN long", ":3000\r\n"),
            ("SET k \"\"", "+OK\r\n"),
            ("GET k", "$0\r\n\r\n"),
        ]);
    }

    #[test]
    fn getex_says_its_effect_as_an_instant() {
        let mut b = Bench::new(FAMILIES);
        b.run("SET k v");
        b.effects.clear();
        b.check(&[
            ("GETEX k", "$1\r\nv\r\n"),
            ("GETEX k PERSIST", "$1\r\nv\r\n"),
            ("GETEX k EX 10", "$1\r\nv\r\n"),
            ("PEXPIRETIME k", ":1010000\r\n"),
            ("GETEX k PERSIST", "$1\r\nv\r\n"),
            ("GETEX k NX", "-ERR syntax error\r\n"),
            ("GETEX none EX 0", "-ERR invalid expire time in 'getex' command\r\n"),
            ("GETEX k PXAT 1", "$1\r\nv\r\n"),
            ("GETEX k", "$-1\r\n"),
        ]);
        assert_eq!(b.effects, ["PEXPIREAT k 1010000", "PERSIST k", "UNLINK k"]);
    }

    #[test]
    fn what_goes_with_its_reading_goes_once() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("SET k v", "+OK\r\n"),
            ("GETSET k w", "$1\r\nv\r\n"),
            ("DELIFEQ k v", ":0\r\n"),
            ("GETDEL k", "$1\r\nw\r\n"),
            ("GETDEL k", "$-1\r\n"),
            ("GETSET k 5", "$-1\r\n"),
            ("DELIFEQ k 5", ":1\r\n"),
            ("DELIFEQ k 5", ":0\r\n"),
        ]);
        assert_eq!(b.effects, ["SET k v", "SET k w", "DEL k", "SET k 5", "DEL k"]);
    }
}
