//! Looking through the keys of a database.
//!
//! Both commands go stripe by stripe, so nobody waits for them long and what they tell is no single instant: a key that is there all
//! the time is met, one that comes or goes meanwhile may be. A pattern that fixes the hash tag looks at one stripe only.

use crate::base::slot::slot_of;
use crate::base::{glob, number};
use crate::commands::arguments::{Options, is};
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::keyspace::{Cursor, KeyHash, STRIPES};
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group};
use crate::value::record::Record;
use std::ops::Range;

/// The stripes keys that match `pattern` can be in: one if all of them share a hash tag or the pattern is a plain name.
fn stripes_of(pattern: &[u8]) -> Range<u16> {
    let one = |name: &[u8]| {
        let stripe = KeyHash::of(name).stripe;
        stripe..stripe + 1
    };
    if glob::is_literal(pattern) {
        return one(pattern);
    }
    let special = |c: &u8| matches!(c, b'*' | b'?' | b'[' | b']' | b'\\');
    let tag = pattern.iter().position(|c| *c == b'{').and_then(|open| {
        let (before, rest) = (pattern.get(..open)?, pattern.get(open + 1..)?);
        let tag = rest.get(..rest.iter().position(|c| *c == b'}')?)?;
        let plain = !tag.is_empty() && !before.iter().chain(tag).any(special);
        plain.then(|| [b"{", tag, b"}"].concat())
    });
    match tag {
        Some(tag) => {
            debug_assert_eq!(slot_of(&tag), slot_of(&[&tag[..], b"x"].concat()));
            one(&tag)
        }
        None => 0..STRIPES as u16,
    }
}

fn is_alive(record: &Record, now_ms: i64) -> bool {
    record.deadline().is_none_or(|d| d > now_ms)
}

const KEYS_SPEC: CommandSpec = CommandSpec::new("keys", 2, Group::Generic, "readonly arbitrary_keys")
    .acl("keyspace dangerous")
    .since("1.0.0")
    .tips("request_policy:all_shards nondeterministic_output_order")
    .args("pattern:pattern")
    .doc("Lists the keys that match a pattern.", "O(N), N: keys in the database");

pub static KEYS: Command = Command::span(KEYS_SPEC, keys);
fn keys(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let pattern = cx.args.at(1);
    let everything = glob::is_match_all(pattern);
    let (now_ms, db) = (cx.now_ms(), cx.client.db);
    let array = cx.reply.deferred();
    let mut n = 0;
    for stripe in stripes_of(pattern) {
        cx.with_stripe(stripe, |space, reply| {
            space.stripe(stripe).database(db).table.for_each(|record| {
                if is_alive(record, now_ms) && (everything || glob::matches(pattern, record.name())) {
                    reply.bulk(record.name());
                    n += 1;
                }
            });
        });
    }
    cx.reply.finish_array(array, n);
    Ok(())
}

/// A cursor as clients send it: they hand back what they were given, but blanks and a plus sign before it were always taken.
fn parse_cursor(text: &[u8]) -> Result<u64, CommandError> {
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let zeros = digits.iter().take_while(|c| **c == b'0').count();
    match digits.get(zeros..) {
        Some([]) if zeros > 0 => Ok(0),
        Some(rest) => number::parse_u64(rest).ok_or(CommandError::InvalidCursor),
        None => Err(CommandError::InvalidCursor),
    }
}

/// Type names SCAN ... TYPE knows.
const TYPES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

const SCAN_SPEC: CommandSpec = CommandSpec::new("scan", -2, Group::Generic, "readonly arbitrary_keys")
    .acl("keyspace")
    .since("2.8.0")
    .tips("nondeterministic_output request_policy:special response_policy:special")
    .history(&[("6.0.0", "Option `TYPE`.")])
    .args("cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer] [TYPE=type@6.0.0]")
    .doc("Walks over the keys of the database in steps.", "O(1) a call, O(N) for the whole database of N keys");

pub static SCAN: Command = Command::span(SCAN_SPEC, scan);
fn scan(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let cursor = parse_cursor(cx.args.at(1))?;
    let (mut count, mut pattern, mut kind) = (10i64, None, None);
    let words = &mut Options::new(cx.args, 2);
    while words.left() > 0 {
        if words.left() > 1 && words.take("COUNT") {
            count = words.integer()?;
            if count < 1 {
                return Err(CommandError::Syntax);
            }
        } else if words.left() > 1 && words.take("MATCH") {
            pattern = Some(words.value()?);
        } else if words.left() > 1 && words.take("TYPE") {
            let name = words.value()?;
            let Some(known) = TYPES.into_iter().find(|t| is(name, t)) else {
                let mut text = b"ERR unknown type name '".to_vec();
                text.extend_from_slice(name);
                text.push(b'\'');
                return Err(CommandError::Bytes(text));
            };
            kind = Some(known);
        } else if words.take("NOVALUES") {
            return Err(CommandError::fixed("ERR NOVALUES option can only be used in HSCAN"));
        } else if words.take("NOSCORES") {
            return Err(CommandError::fixed("ERR NOSCORES option can only be used in ZSCAN"));
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let (now_ms, db) = (cx.now_ms(), cx.client.db);
    let wanted = |record: &Record| {
        is_alive(record, now_ms)
            && kind.is_none_or(|k| super::exist::type_name(record) == k)
            && pattern.is_none_or(|p| glob::matches(p, record.name()))
    };
    let stripes = pattern.map_or(0..STRIPES as u16, stripes_of);
    let mut found = Reply::new(cx.reply.version);
    let mut n = 0;
    // A number that is no place was never given out: there is nothing behind it.
    let next = match Cursor::new(cursor) {
        Some(at) => walk(cx, at, stripes, count as usize, db, |record| {
            if wanted(record) {
                found.bulk(record.name());
                n += 1;
            }
        }),
        None => Cursor(0),
    };
    cx.reply.array(2);
    cx.reply.bulk(number::IntText::unsigned(next.0).as_bytes());
    cx.reply.array(n);
    cx.reply.append(found);
    Ok(())
}

/// Meets about `count` records from `at` on; where to go on.
fn walk(
    cx: &mut NodeContext<'_, '_>,
    at: Cursor,
    stripes: Range<u16>,
    count: usize,
    db: u32,
    mut f: impl FnMut(&Record),
) -> Cursor {
    let (mut stripe, mut path) = (at.stripe(), at.path());
    if stripe < stripes.start {
        (stripe, path) = (stripes.start, 0);
    }
    let mut met = 0;
    while stripe < stripes.end {
        let next = cx.with_stripe(stripe, |space, _| {
            let stripe = space.stripe(stripe);
            let mut from = path;
            loop {
                let next = stripe.scan(db, from, count - met, |record| {
                    met += 1;
                    f(record);
                });
                match next {
                    Some(p) if met < count => from = p,
                    next => break next,
                }
            }
        });
        if next.is_some() {
            return Cursor::at(stripe, next);
        }
        (stripe, path) = (stripe + 1, 0);
        if met >= count && stripe < stripes.end {
            return Cursor::at(stripe - 1, None);
        }
    }
    Cursor(0)
}
