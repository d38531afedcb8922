//! Deadlines of keys.

use crate::base::number::IntText;
use crate::commands::arguments::{Options, integer};
use crate::commands::string::access::look;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};

/// On what condition a deadline replaces the one there is. A key without one counts as living for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn parse(cx: &DataContext<'_, '_>) -> Result<Condition, CommandError> {
        let mut c = Condition::default();
        let words = &mut Options::new(cx.args, 3);
        while words.left() > 0 {
            if words.take("NX") {
                c.nx = true;
            } else if words.take("XX") {
                c.xx = true;
            } else if words.take("GT") {
                c.gt = true;
            } else if words.take("LT") {
                c.lt = true;
            } else {
                let mut text = b"ERR Unsupported option ".to_vec();
                text.extend_from_slice(words.value()?);
                return Err(CommandError::Bytes(text));
            }
        }
        if c.nx && (c.xx || c.gt || c.lt) {
            return Err(CommandError::fixed("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if c.gt && c.lt {
            return Err(CommandError::fixed("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(c)
    }

    fn allows(self, old: Option<i64>, new: i64) -> bool {
        match old {
            None => !self.xx && !self.gt,
            Some(old) => !self.nx && (!self.gt || new > old) && (!self.lt || new < old),
        }
    }
}

/// How a command gives its time.
#[derive(Clone, Copy)]
struct Given {
    seconds: bool,
    relative: bool,
}

const EXPIRE_SPEC: CommandSpec = CommandSpec::new("expire", -3, Group::Generic, "write fast")
    .acl("keyspace")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[("7.0.0", "Conditions `NX`, `XX`, `GT`, `LT`.")])
    .args("key:key seconds:integer [condition{NX|XX|GT|LT}@7.0.0]")
    .doc("Makes a key expire after some seconds.", "O(1)");

pub static EXPIRE: Command = Command::data(EXPIRE_SPEC, expire);
fn expire(cx: &mut DataContext<'_, '_>) -> Outcome {
    set_deadline(cx, Given { seconds: true, relative: true })
}

const PEXPIRE_SPEC: CommandSpec = CommandSpec::new("pexpire", -3, Group::Generic, "write fast")
    .acl("keyspace")
    .since("2.6.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[("7.0.0", "Conditions `NX`, `XX`, `GT`, `LT`.")])
    .args("key:key milliseconds:integer [condition{NX|XX|GT|LT}@7.0.0]")
    .doc("Makes a key expire after some milliseconds.", "O(1)");

pub static PEXPIRE: Command = Command::data(PEXPIRE_SPEC, pexpire);
fn pexpire(cx: &mut DataContext<'_, '_>) -> Outcome {
    set_deadline(cx, Given { seconds: false, relative: true })
}

const EXPIREAT_SPEC: CommandSpec = CommandSpec::new("expireat", -3, Group::Generic, "write fast")
    .acl("keyspace")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[("7.0.0", "Conditions `NX`, `XX`, `GT`, `LT`.")])
    .args("key:key unix-time-seconds:unix-time [condition{NX|XX|GT|LT}@7.0.0]")
    .doc("Makes a key expire at a Unix time in seconds.", "O(1)");

pub static EXPIREAT: Command = Command::data(EXPIREAT_SPEC, expireat);
fn expireat(cx: &mut DataContext<'_, '_>) -> Outcome {
    set_deadline(cx, Given { seconds: true, relative: false })
}

const PEXPIREAT_SPEC: CommandSpec = CommandSpec::new("pexpireat", -3, Group::Generic, "write fast")
    .acl("keyspace")
    .since("2.6.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[("7.0.0", "Conditions `NX`, `XX`, `GT`, `LT`.")])
    .args("key:key unix-time-milliseconds:unix-time [condition{NX|XX|GT|LT}@7.0.0]")
    .doc("Makes a key expire at a Unix time in milliseconds.", "O(1)");

pub static PEXPIREAT: Command = Command::data(PEXPIREAT_SPEC, pexpireat);
fn pexpireat(cx: &mut DataContext<'_, '_>) -> Outcome {
    set_deadline(cx, Given { seconds: false, relative: false })
}

fn set_deadline(cx: &mut DataContext<'_, '_>, given: Given) -> Outcome {
    let key = cx.key(1);
    let condition = Condition::parse(cx)?;
    let n = integer(cx.args.at(2))?;
    let ms = if given.seconds { n.checked_mul(1000) } else { Some(n) };
    let ms = if given.relative { ms.and_then(|ms| ms.checked_add(cx.now_ms())) } else { ms };
    let deadline = ms.ok_or_else(|| CommandError::invalid_expire(cx.command_name()))?;
    let old = match cx.space.find_mut(key) {
        Some(record) => record.deadline(),
        None => {
            cx.reply.integer(0);
            return Ok(());
        }
    };
    if !condition.allows(old, deadline) {
        cx.reply.integer(0);
        return Ok(());
    }
    if cx.space.deletes_expired() && deadline <= cx.now_ms() {
        cx.space.delete(key);
        cx.space.changes.expired += 1;
        cx.space.changed(key, EventClass::EXPIRED, "expired");
        cx.space.replace_effect(key.db, &[b"UNLINK", key.name]);
    } else {
        cx.space.set_deadline(key, Some(deadline));
        cx.space.changed(key, EventClass::GENERIC, "expire");
        if given.seconds || given.relative {
            let text = IntText::new(deadline);
            let mut effect: Vec<&[u8]> = vec![b"PEXPIREAT", key.name, text.as_bytes()];
            effect.extend(cx.args.from(3).iter());
            cx.space.replace_effect(key.db, &effect);
        }
    }
    cx.reply.integer(1);
    Ok(())
}

const TTL_SPEC: CommandSpec = CommandSpec::new("ttl", 2, Group::Generic, "readonly fast")
    .acl("keyspace")
    .since("1.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("2.8.0", "A missing key answers -2.")])
    .args("key:key")
    .doc("Tells how many seconds a key has left.", "O(1)");

pub static TTL: Command = Command::data(TTL_SPEC, ttl);
fn ttl(cx: &mut DataContext<'_, '_>) -> Outcome {
    let now = cx.now_ms();
    tell(cx, |deadline| seconds((deadline - now).max(0)))
}

const PTTL_SPEC: CommandSpec = CommandSpec::new("pttl", 2, Group::Generic, "readonly fast")
    .acl("keyspace")
    .since("2.6.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("2.8.0", "A missing key answers -2.")])
    .args("key:key")
    .doc("Tells how many milliseconds a key has left.", "O(1)");

pub static PTTL: Command = Command::data(PTTL_SPEC, pttl);
fn pttl(cx: &mut DataContext<'_, '_>) -> Outcome {
    let now = cx.now_ms();
    tell(cx, |deadline| (deadline - now).max(0))
}

const EXPIRETIME_SPEC: CommandSpec = CommandSpec::new("expiretime", 2, Group::Generic, "readonly fast")
    .acl("keyspace")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key")
    .doc("Tells when a key expires, as a Unix time in seconds.", "O(1)");

pub static EXPIRETIME: Command = Command::data(EXPIRETIME_SPEC, expiretime);
fn expiretime(cx: &mut DataContext<'_, '_>) -> Outcome {
    tell(cx, seconds)
}

const PEXPIRETIME_SPEC: CommandSpec = CommandSpec::new("pexpiretime", 2, Group::Generic, "readonly fast")
    .acl("keyspace")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key")
    .doc("Tells when a key expires, as a Unix time in milliseconds.", "O(1)");

pub static PEXPIRETIME: Command = Command::data(PEXPIRETIME_SPEC, pexpiretime);
fn pexpiretime(cx: &mut DataContext<'_, '_>) -> Outcome {
    tell(cx, |deadline| deadline)
}

/// Rounded to the nearest second; the 64-bit range's end does not cut the rounding short.
fn seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

/// -2 without the key, -1 without a deadline.
fn tell(cx: &mut DataContext<'_, '_>, f: impl FnOnce(i64) -> i64) -> Outcome {
    let n = match look(cx.space, cx.key(1), |r| r.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => f(deadline),
    };
    cx.reply.integer(n);
    Ok(())
}

const PERSIST_SPEC: CommandSpec = CommandSpec::new("persist", 2, Group::Generic, "write fast")
    .acl("keyspace")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .args("key:key")
    .doc("Drops the expiry of a key.", "O(1)");

pub static PERSIST: Command = Command::data(PERSIST_SPEC, persist);
fn persist(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let had = cx.space.find_mut(key).is_some_and(|r| r.deadline().is_some());
    if had {
        cx.space.set_deadline(key, None);
        cx.space.changed(key, EventClass::GENERIC, "persist");
    }
    cx.reply.integer(i64::from(had));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn conditions_compare_with_the_deadline_there_is() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("SET k v", "+OK\r\n"),
            ("EXPIRE k 100 XX", ":0\r\n"),
            ("EXPIRE k 100 GT", ":0\r\n"),
            ("EXPIRE k 100 LT", ":1\r\n"),
            ("EXPIRE k 100 NX", ":0\r\n"),
            ("EXPIRE k 100 GT", ":0\r\n"),
            ("PEXPIRE k 100001 XX GT", ":1\r\n"),
            ("PEXPIREAT k 1100000 LT", ":1\r\n"),
            ("EXPIREAT k 1200", ":1\r\n"),
            ("PERSIST k", ":1\r\n"),
            ("PERSIST k", ":0\r\n"),
            ("EXPIRE k 1 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
            ("EXPIRE k 1 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
            ("EXPIRE k 1 AB", "-ERR Unsupported option AB\r\n"),
        ]);
        assert_eq!(
            b.effects,
            [
                "SET k v",
                "PEXPIREAT k 1100000 LT",
                "PEXPIREAT k 1100001 XX GT",
                "PEXPIREAT k 1100000 LT",
                "PEXPIREAT k 1200000",
                "PERSIST k"
            ]
        );
    }

    #[test]
    fn a_deadline_outside_the_range_is_refused_and_one_in_the_past_is_at_once() {
        let mut b = Bench::new(FAMILIES);
        b.run("SET k v");
        for n in ["9223372036854775807", "-9223372036854775808", "9223372036854776"] {
            assert_eq!(b.run(&format!("EXPIRE k {n}")), "-ERR invalid expire time in 'expire' command\r\n", "{n}");
        }
        b.check(&[
            ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"),
            ("PEXPIREAT k 9223372036854775807", ":1\r\n"),
            ("EXPIRETIME k", ":9223372036854776\r\n"),
            ("EXPIRE k x", "-ERR value is not an integer or out of range\r\n"),
            ("EXPIRE k -1", ":1\r\n"),
            ("EXPIRE k 1", ":0\r\n"),
            ("TTL k", ":-2\r\n"),
        ]);
        assert_eq!(b.effects.last().map(String::as_str), Some("UNLINK k"));
    }

    #[test]
    fn seconds_are_rounded_to_the_nearest() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("SET k v PX 1499", "+OK\r\n"),
            ("TTL k", ":1\r\n"),
            ("PEXPIRE k 1500", ":1\r\n"),
            ("TTL k", ":2\r\n"),
            ("PTTL k", ":1500\r\n"),
            ("EXPIRETIME k", ":1002\r\n"),
            ("PEXPIRETIME k", ":1001500\r\n"),
        ]);
    }
}
