//! HSETEX and HGETEX: values and deadlines of fields in one step.

use super::expiry::{Deadline, PastOr, Unit};
use super::fields::NUMFIELDS;
use super::{drop_empty, edit, hash_mut, hash_of, limits, note, note_expired};
use crate::base::number::IntText;
use crate::commands::arguments::{integer, is};
use crate::commands::scan::write_value;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::resp::args::Args;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::hash::{Before, FieldTtl};

/// What the options before FIELDS say about deadlines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expiry<'a> {
    None,
    Keep,
    Persist,
    At(Unit, &'a [u8]),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Always,
    Absent,
    Present,
}

struct Options<'a> {
    expiry: Expiry<'a>,
    key: When,
    fields: When,
    /// What follows the number behind FIELDS.
    rest: Args<'a>,
}

/// Reads `[options] FIELDS n ...` where each field takes `width` arguments.
fn options<'a>(args: Args<'a>, width: usize) -> Result<Options<'a>, CommandError> {
    let Some(at) = (2..args.len()).find(|i| is(args.at(*i), "FIELDS")) else { return Err(NUMFIELDS) };
    if at + 1 == args.len() {
        return Err(NUMFIELDS);
    }
    let rest = args.from(at + 2);
    let mut o = Options { expiry: Expiry::None, key: When::Always, fields: When::Always, rest };
    let setting = width == 2;
    let once = |slot: &mut When, to: When| match *slot {
        old if old == When::Always || old == to => {
            *slot = to;
            Ok(())
        }
        _ => Err(CommandError::Syntax),
    };
    let mut i = 2;
    while i < at {
        let word = args.at(i);
        i += 1;
        let expiry = if let Some(unit) = Unit::option(word).filter(|_| i < at) {
            i += 1;
            Expiry::At(unit, args.at(i - 1))
        } else if setting && is(word, "KEEPTTL") {
            Expiry::Keep
        } else if !setting && is(word, "PERSIST") {
            Expiry::Persist
        } else if setting && is(word, "NX") {
            once(&mut o.key, When::Absent)?;
            continue;
        } else if setting && is(word, "XX") {
            once(&mut o.key, When::Present)?;
            continue;
        } else if setting && is(word, "FNX") {
            once(&mut o.fields, When::Absent)?;
            continue;
        } else if setting && is(word, "FXX") {
            once(&mut o.fields, When::Present)?;
            continue;
        } else {
            return Err(CommandError::Syntax);
        };
        let same = match (o.expiry, expiry) {
            (Expiry::None, _) => true,
            (Expiry::At(a, _), Expiry::At(b, _)) => a == b,
            (a, b) => a == b,
        };
        if !same {
            return Err(CommandError::Syntax);
        }
        o.expiry = expiry;
    }
    let n = integer(args.get(at + 1).ok_or(NUMFIELDS)?)?;
    if n < 1 || usize::try_from(n).ok().and_then(|n| n.checked_mul(width)) != Some(o.rest.len()) {
        return Err(NUMFIELDS);
    }
    Ok(o)
}

pub static HSETEX: Command = Command::data(
    CommandSpec::new("hsetex", -6, Group::Hash, "write denyoom fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RW insert")])
        .args(
            "key:key [key-condition{NX|XX}] [fields-condition{FNX|FXX}] \
        [expiration{EX=seconds:integer | PX=milliseconds:integer | \
        EXAT=unix-time-seconds:unix-time | PXAT=unix-time-milliseconds:unix-time | KEEPTTL}] \
        FIELDS=fields(numfields:integer#0 data(field value)...)",
        )
        .doc("Writes fields of a hash with an expiry and conditions.", "O(N), N: fields"),
    hsetex,
);

fn hsetex(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, now, limits) = (cx.key(1), cx.now_ms(), limits(cx.config));
    let o = options(cx.args, 2)?;
    let pairs: Vec<(&[u8], &[u8])> = (0..o.rest.len()).step_by(2).map(|i| (o.rest.at(i), o.rest.at(i + 1))).collect();
    let (exists, fields_fit) = match cx.space.peek(key) {
        None => (false, o.fields != When::Present),
        Some(record) => {
            let hash = hash_of(&record)?;
            let fit = match o.fields {
                When::Always => true,
                When::Absent => pairs.iter().all(|(f, _)| !hash.contains(f, now)),
                When::Present => pairs.iter().all(|(f, _)| hash.contains(f, now)),
            };
            (true, fit)
        }
    };
    let key_fits = match o.key {
        When::Always => true,
        When::Absent => !exists,
        When::Present => exists,
    };
    if !key_fits {
        cx.reply.integer(0);
        return Ok(());
    }
    let deadline = match o.expiry {
        Expiry::At(unit, text) => Some(Deadline::read(cx, unit, text)?),
        _ => None,
    };
    if !fields_fit {
        cx.reply.integer(0);
        return Ok(());
    }
    cx.reply.integer(1);
    let ttl = match (deadline, o.expiry) {
        (Some(Deadline(PastOr::Past)), _) => return set_expired(cx, &pairs),
        (Some(Deadline(PastOr::At(d))), _) => FieldTtl::At(d),
        (None, Expiry::Keep) => FieldTtl::Keep,
        (None, _) => FieldTtl::Clear,
    };
    let longest = pairs.iter().map(|(f, v)| f.len().max(v.len())).max().unwrap_or(0);
    let mut gone: Vec<&[u8]> = Vec::new();
    edit(cx.space, key, |hash| {
        hash.expect(pairs.len(), longest, &limits);
        for (field, value) in &pairs {
            if hash.set(field, value, ttl, now, &limits) == Before::Expired {
                gone.push(field);
            }
        }
    })?;
    note_expired(cx.space, key, gone.len());
    note(cx.space, key, "hset", pairs.len());
    if let FieldTtl::At(_) = ttl {
        cx.space.event(EventClass::HASH, "hexpire", key);
        cx.space.note_volatile(key);
    }
    if cx.space.journaled && (ttl != FieldTtl::Clear || o.key != When::Always || o.fields != When::Always) {
        if ttl == FieldTtl::Keep && !gone.is_empty() {
            // Where the deadline of such a field has not come yet, it must not be kept.
            let mut del: Vec<&[u8]> = vec![b"HDEL", key.name];
            del.extend(&gone);
            cx.space.replace_effect(cx.db, &del);
        }
        let at = if let FieldTtl::At(d) = ttl { Some(IntText::new(d)) } else { None };
        let count = IntText::new(pairs.len() as i64);
        let mut effect: Vec<&[u8]> = vec![b"HSETEX", key.name];
        match &at {
            Some(at) => effect.extend([b"PXAT" as &[u8], at.as_bytes()]),
            None if ttl == FieldTtl::Keep => effect.push(b"KEEPTTL"),
            None => {}
        }
        effect.extend([b"FIELDS" as &[u8], count.as_bytes()]);
        pairs.iter().for_each(|(f, v)| effect.extend([*f, *v]));
        cx.space.replace_effect(cx.db, &effect);
    }
    Ok(())
}

/// Fields set with a deadline that has passed: they come and go at once.
fn set_expired(cx: &mut DataContext<'_, '_>, pairs: &[(&[u8], &[u8])]) -> Outcome {
    let (key, now) = (cx.key(1), cx.now_ms());
    let (mut there, mut emptied): (Vec<&[u8]>, bool) = (Vec::new(), true);
    if let Some(mut record) = cx.space.find_mut(key) {
        let hash = hash_mut(&mut record)?;
        for (field, _) in pairs {
            if hash.remove(field, now) != Before::Nothing {
                there.push(field);
            }
        }
        emptied = hash.is_empty();
    }
    for event in ["hset", "hexpire"] {
        cx.space.event(EventClass::HASH, event, key);
    }
    note_expired(cx.space, key, pairs.len());
    if there.is_empty() {
        // Nothing was there before: nothing has changed, but the events tell it.
        if emptied {
            cx.space.event(EventClass::GENERIC, "del", key);
        }
        return Ok(());
    }
    cx.space.mark(key);
    cx.space.changes.dirty += there.len() as u64;
    drop_empty(cx.space, key, emptied);
    effect(cx, &[b"HDEL", key.name], &there);
    Ok(())
}

/// An effect: `head` and then `fields`.
pub(super) fn effect(cx: &mut DataContext<'_, '_>, head: &[&[u8]], fields: &[&[u8]]) {
    let mut words = head.to_vec();
    words.extend(fields);
    cx.space.replace_effect(cx.db, &words);
}

pub static HGETEX: Command = Command::data(
    CommandSpec::new("hgetex", -5, Group::Hash, "write fast")
        .since("9.0.0")
        .keys(&[KeySpec::index(1, "RW access update")])
        .args(
            "key:key [expiration{EX=seconds:integer | PX=milliseconds:integer | \
        EXAT=unix-time-seconds:unix-time | PXAT=unix-time-milliseconds:unix-time | PERSIST}] \
        FIELDS=fields(numfields:integer#0 field...)",
        )
        .doc("Reads fields of a hash and sets or drops their expiry.", "O(N), N: fields"),
    hgetex,
);

fn hgetex(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, now) = (cx.key(1), cx.now_ms());
    let o = options(cx.args, 1)?;
    if let Some(record) = cx.space.peek(key) {
        hash_of(&record)?;
    }
    let deadline = match o.expiry {
        Expiry::At(unit, text) => Some(Deadline::read(cx, unit, text)?),
        _ => None,
    };
    cx.reply.array(o.rest.len());
    let (mut done, mut emptied): (Vec<&[u8]>, bool) = (Vec::new(), false);
    match cx.space.find_mut(key) {
        None => o.rest.iter().for_each(|_| cx.reply.null()),
        Some(mut record) => {
            let hash = hash_mut(&mut record)?;
            for field in o.rest.iter() {
                let reply = &mut *cx.reply;
                let there = hash.get(field, now, |v| match v {
                    Some(v) => {
                        write_value(reply, v);
                        true
                    }
                    None => {
                        reply.null();
                        false
                    }
                });
                match (there, deadline, o.expiry) {
                    (false, ..) => continue,
                    (_, Some(Deadline(PastOr::Past)), _) => {
                        hash.remove(field, now);
                    }
                    (_, Some(Deadline(PastOr::At(d))), _) => hash.set_deadline(field, Some(d)),
                    (_, None, Expiry::Persist) if hash.deadline(field, now).flatten().is_some() => {
                        hash.set_deadline(field, None);
                    }
                    _ => continue,
                }
                done.push(field);
            }
            emptied = hash.is_empty();
        }
    }
    if done.is_empty() {
        return Ok(());
    }
    let count = IntText::new(done.len() as i64);
    match deadline {
        Some(Deadline(PastOr::Past)) => {
            note_expired(cx.space, key, done.len());
            cx.space.mark(key);
            cx.space.changes.dirty += done.len() as u64;
            drop_empty(cx.space, key, emptied);
            effect(cx, &[b"HDEL", key.name], &done);
        }
        Some(Deadline(PastOr::At(d))) => {
            note(cx.space, key, "hexpire", done.len());
            cx.space.note_volatile(key);
            let at = IntText::new(d);
            effect(cx, &[b"HPEXPIREAT", key.name, at.as_bytes(), b"FIELDS", count.as_bytes()], &done);
        }
        None => {
            note(cx.space, key, "hpersist", done.len());
            effect(cx, &[b"HPERSIST", key.name, b"FIELDS", count.as_bytes()], &done);
        }
    }
    Ok(())
}
