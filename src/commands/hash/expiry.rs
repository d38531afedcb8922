//! Deadlines of fields: setting, taking away, asking.

use super::fields::{NUMFIELDS, counted_fields};
use super::timed::effect;
use super::{drop_empty, hash_mut, note, note_expired, read};
use crate::base::number::IntText;
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};

/// How a time is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

impl Unit {
    /// The unit of EX, PX, EXAT, PXAT.
    pub(super) fn option(word: &[u8]) -> Option<Unit> {
        [
            ("EX", Unit::Seconds),
            ("PX", Unit::Milliseconds),
            ("EXAT", Unit::UnixSeconds),
            ("PXAT", Unit::UnixMilliseconds),
        ]
        .into_iter()
        .find_map(|(name, unit)| is(word, name).then_some(unit))
    }
}

/// A deadline in ms since the epoch, or one that has come already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PastOr {
    Past,
    At(i64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Deadline(pub PastOr);

impl Deadline {
    /// Reads a time.
    pub(super) fn read(cx: &DataContext<'_, '_>, unit: Unit, text: &[u8]) -> Result<Deadline, CommandError> {
        let n = integer(text)?;
        let invalid = || CommandError::invalid_expire(cx.command_name());
        if n < 0 {
            return Err(invalid());
        }
        let now = cx.now_ms();
        let at = match unit {
            Unit::Seconds => n.checked_mul(1000).and_then(|n| n.checked_add(now)),
            Unit::Milliseconds => n.checked_add(now),
            Unit::UnixSeconds => n.checked_mul(1000),
            Unit::UnixMilliseconds => Some(n),
        }
        .ok_or_else(invalid)?;
        // Whoever only follows another server leaves it to that one to take fields out.
        let past = at <= now && cx.space.deletes_expired();
        Ok(Deadline(if past { PastOr::Past } else { PastOr::At(at) }))
    }
}

/// When a deadline may be set.
#[derive(Clone, Copy, Default)]
struct Conditions {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    fn allow(self, old: Option<i64>, new: i64) -> bool {
        !(self.absent && old.is_some()
            || self.present && old.is_none()
            // No deadline is later than any.
            || self.greater && old.is_none_or(|o| new <= o)
            || self.less && old.is_some_and(|o| new >= o))
    }
}

fn expire(cx: &mut DataContext<'_, '_>, unit: Unit) -> Outcome {
    let (key, args, now) = (cx.key(1), cx.args, cx.now_ms());
    let Some(word) = (3..args.len()).find(|i| is(args.at(*i), "FIELDS")) else { return Err(NUMFIELDS) };
    let Some(number) = args.get(word + 1) else { return Err(NUMFIELDS) };
    let mut conditions = Conditions::default();
    for i in 3..word {
        match args.at(i) {
            w if is(w, "NX") => conditions.absent = true,
            w if is(w, "XX") => conditions.present = true,
            w if is(w, "GT") => conditions.greater = true,
            w if is(w, "LT") => conditions.less = true,
            w => return Err(CommandError::Bytes([b"ERR Unsupported option ", w].concat())),
        }
    }
    if conditions.absent && (conditions.present || conditions.greater || conditions.less) {
        return Err(CommandError::err("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if conditions.greater && conditions.less {
        return Err(CommandError::err("GT and LT options at the same time are not compatible"));
    }
    if word + 2 == args.len() {
        return Err(integer(number).err().unwrap_or(NUMFIELDS));
    }
    let fields = counted_fields(args, word, NUMFIELDS)?;
    let Deadline(deadline) = Deadline::read(cx, unit, args.at(2))?;
    let new = if let PastOr::At(d) = deadline { d } else { now };
    cx.reply.array(fields.len());
    let (mut done, mut emptied): (Vec<&[u8]>, bool) = (Vec::new(), false);
    match cx.space.find_mut(key) {
        None => fields.iter().for_each(|_| cx.reply.integer(-2)),
        Some(mut record) => {
            let hash = hash_mut(&mut record)?;
            for field in fields.iter() {
                let answer = match hash.deadline(field, now) {
                    None => -2,
                    Some(old) if !conditions.allow(old, new) => 0,
                    Some(_) => {
                        done.push(field);
                        if deadline == PastOr::Past {
                            hash.remove(field, now);
                            2
                        } else {
                            hash.set_deadline(field, Some(new));
                            1
                        }
                    }
                };
                cx.reply.integer(answer);
            }
            emptied = hash.is_empty();
        }
    }
    if done.is_empty() {
        return Ok(());
    }
    if deadline == PastOr::Past {
        note_expired(cx.space, key, done.len());
        cx.space.mark(key);
        cx.space.changes.dirty += done.len() as u64;
        drop_empty(cx.space, key, emptied);
        effect(cx, &[b"HDEL", key.name], &done);
    } else {
        note(cx.space, key, "hexpire", done.len());
        cx.space.note_volatile(key);
        if unit != Unit::UnixMilliseconds {
            let at = IntText::new(new);
            let rest: Vec<&[u8]> = args.from(3).iter().collect();
            effect(cx, &[b"HPEXPIREAT", key.name, at.as_bytes()], &rest);
        }
    }
    Ok(())
}

pub static HEXPIRE: Command = Command::data(
    CommandSpec::new("hexpire", -6, Group::Hash, "write fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RW update")])
        .args(
            "key:key seconds:integer [condition{NX|XX|GT|LT}] FIELDS=fields(numfields:integer \
        field...)",
        )
        .doc("Makes hash fields expire after some seconds.", "O(N), N: fields"),
    hexpire,
);

fn hexpire(cx: &mut DataContext<'_, '_>) -> Outcome {
    expire(cx, Unit::Seconds)
}

pub static HPEXPIRE: Command = Command::data(
    CommandSpec::new("hpexpire", -6, Group::Hash, "write fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RW update")])
        .args(
            "key:key milliseconds:integer [condition{NX|XX|GT|LT}@9.0.0] \
        FIELDS=fields(numfields:integer#0 field...)",
        )
        .doc("Makes hash fields expire after some milliseconds.", "O(N), N: fields"),
    hpexpire,
);

fn hpexpire(cx: &mut DataContext<'_, '_>) -> Outcome {
    expire(cx, Unit::Milliseconds)
}

pub static HEXPIREAT: Command = Command::data(
    CommandSpec::new("hexpireat", -6, Group::Hash, "write fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RW update")])
        .args(
            "key:key unix-time-seconds:integer [condition{NX|XX|GT|LT}@9.0.0] \
        FIELDS=fields(numfields:integer#0 field...)",
        )
        .doc("Makes hash fields expire at a Unix time in seconds.", "O(N), N: fields"),
    hexpireat,
);

fn hexpireat(cx: &mut DataContext<'_, '_>) -> Outcome {
    expire(cx, Unit::UnixSeconds)
}

pub static HPEXPIREAT: Command = Command::data(
    CommandSpec::new("hpexpireat", -6, Group::Hash, "write fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RW update")])
        .args(
            "key:key unix-time-milliseconds:integer [condition{NX|XX|GT|LT}@9.0.0] \
        FIELDS=fields(numfields:integer#0 field...)",
        )
        .doc("Makes hash fields expire at a Unix time in milliseconds.", "O(N), N: fields"),
    hpexpireat,
);

fn hpexpireat(cx: &mut DataContext<'_, '_>) -> Outcome {
    expire(cx, Unit::UnixMilliseconds)
}

pub static HPERSIST: Command = Command::data(
    CommandSpec::new("hpersist", -5, Group::Hash, "write fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RW update")])
        .args("key:key FIELDS=fields(numfields:integer#0 field...)")
        .doc("Drops the expiry of hash fields.", "O(N), N: fields"),
    hpersist,
);

fn hpersist(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, now) = (cx.key(1), cx.now_ms());
    let fields = counted_fields(cx.args, 2, NUMFIELDS)?;
    cx.reply.array(fields.len());
    let mut done = 0;
    match cx.space.find_mut(key) {
        None => fields.iter().for_each(|_| cx.reply.integer(-2)),
        Some(mut record) => {
            let hash = hash_mut(&mut record)?;
            for field in fields.iter() {
                cx.reply.integer(match hash.deadline(field, now) {
                    None => -2,
                    Some(None) => -1,
                    Some(Some(_)) => {
                        hash.set_deadline(field, None);
                        done += 1;
                        1
                    }
                });
            }
        }
    }
    note(cx.space, key, "hpersist", done);
    Ok(())
}

/// Answers a number per field: -2 for none, -1 without a deadline, else what `f` makes of it.
fn ask(cx: &mut DataContext<'_, '_>, f: impl Fn(i64, i64) -> i64) -> Outcome {
    let now = cx.now_ms();
    let fields = counted_fields(cx.args, 2, CommandError::Syntax)?;
    read(cx, cx.key(1), |hash, reply| {
        reply.array(fields.len());
        for field in fields.iter() {
            reply.integer(match hash.deadline(field, now) {
                None => -2,
                Some(None) => -1,
                Some(Some(d)) => f(d, now),
            });
        }
    })
}

/// Rounded to the nearest second.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

pub static HTTL: Command = Command::data(
    CommandSpec::new("httl", -5, Group::Hash, "readonly fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key FIELDS=fields(numfields:integer#0 field...)")
        .doc("Tells how many seconds hash fields have left.", "O(N), N: fields"),
    httl,
);

fn httl(cx: &mut DataContext<'_, '_>) -> Outcome {
    ask(cx, |d, now| seconds(d - now))
}

pub static HPTTL: Command = Command::data(
    CommandSpec::new("hpttl", -5, Group::Hash, "readonly fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key FIELDS=fields(numfields:integer#0 field...)")
        .doc("Tells how many milliseconds hash fields have left.", "O(N), N: fields"),
    hpttl,
);

fn hpttl(cx: &mut DataContext<'_, '_>) -> Outcome {
    ask(cx, |d, now| d - now)
}

pub static HEXPIRETIME: Command = Command::data(
    CommandSpec::new("hexpiretime", -5, Group::Hash, "readonly fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key FIELDS=fields(numfields:integer#0 field...)")
        .doc("Tells when hash fields expire, as a Unix time in seconds.", "O(N), N: fields"),
    hexpiretime,
);

fn hexpiretime(cx: &mut DataContext<'_, '_>) -> Outcome {
    ask(cx, |d, _| seconds(d))
}

pub static HPEXPIRETIME: Command = Command::data(
    CommandSpec::new("hpexpiretime", -5, Group::Hash, "readonly fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key FIELDS=fields(numfields:integer#0 field...)")
        .doc("Tells when hash fields expire, as a Unix time in milliseconds.", "O(N), N: fields"),
    hpexpiretime,
);

fn hpexpiretime(cx: &mut DataContext<'_, '_>) -> Outcome {
    ask(cx, |d, _| d)
}
