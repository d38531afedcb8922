//! Looking through the keys of a database.
//!
//! Both commands go stripe by stripe, so nobody waits for them long and what they tell is no single instant: a key that is there all
//! the time is met, one that comes or goes meanwhile may be. A pattern that fixes the hash tag looks at one stripe only.

use crate::base::slot::{SlotId, slot_of};
use crate::base::{glob, number};
use crate::commands::arguments::{Options, is};
use crate::commands::{Command, CommandError, NodeContext, Outcome, Site};
use crate::keyspace::{Cursor, Key, STRIPES, stripe_of};
use crate::resp::args::Args;
use crate::resp::reply::{Reply, Version};
use crate::spec::{CommandSpec, Group};
use crate::value::record::Record;
use std::ops::Range;

/// The stripes keys that match `pattern` can be in.
fn stripes_of(pattern: &[u8]) -> Range<u16> {
    match slot_of_pattern(pattern).map(stripe_of) {
        Some(stripe) => stripe..stripe + 1,
        None => 0..STRIPES as u16,
    }
}

/// The slot of all keys that match `pattern`: they share a hash tag, or it is a plain name. `None` if they may be anywhere.
pub(in crate::commands) fn slot_of_pattern(pattern: &[u8]) -> Option<SlotId> {
    if glob::is_literal(pattern) {
        return Some(slot_of(pattern));
    }
    let special = |c: &u8| matches!(c, b'*' | b'?' | b'[' | b']' | b'\\');
    let tag = pattern.iter().position(|c| *c == b'{').and_then(|open| {
        let (before, rest) = (pattern.get(..open)?, pattern.get(open + 1..)?);
        let tag = rest.get(..rest.iter().position(|c| *c == b'}')?)?;
        let plain = !tag.is_empty() && !before.iter().chain(tag).any(special);
        plain.then(|| [b"{", tag, b"}"].concat())
    });
    tag.map(|tag| {
        debug_assert_eq!(slot_of(&tag), slot_of(&[&tag[..], b"x"].concat()));
        slot_of(&tag)
    })
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
    if cx.site == Site::Worker {
        cx.site.weigh(cx.space.keyspace().size(cx.client.db).0)?;
    }
    let (now_ms, db) = (cx.space.due_ms(), cx.client.db);
    let array = cx.reply.deferred();
    let mut n = 0;
    for stripe in stripes_of(pattern) {
        if cx.reply.is_full() {
            break;
        }
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
    let filter = Filter::read(cx.args, false)?;
    let stripes = filter.pattern.map_or(0..STRIPES as u16, stripes_of);
    let mut found = Found::new(cx.reply.version);
    // A number that is no place was never given out: there is nothing behind it.
    let next = match Cursor::new(cursor) {
        Some(at) => walk(at, stripes, filter.count, |stripe, path, left| {
            let mut met = 0;
            let next = found.meet(cx, (stripe, path), left, |record| {
                met += 1;
                filter.wants(record)
            });
            (next, met)
        }),
        None => Cursor(0),
    };
    found.reply(cx, number::IntText::unsigned(next.0).as_bytes());
    Ok(())
}

/// `[MATCH pattern] [COUNT n] [TYPE type] [SLOT slot]`.
pub(in crate::commands) struct Filter<'a> {
    /// At least 1.
    pub count: usize,
    pub pattern: Option<&'a [u8]>,
    kind: Option<&'static str>,
    pub slot: Option<SlotId>,
}

impl<'a> Filter<'a> {
    /// Reads the options behind the cursor.
    pub fn read(args: Args<'a>, with_slot: bool) -> Result<Filter<'a>, CommandError> {
        let mut filter = Filter { count: 10, pattern: None, kind: None, slot: None };
        let words = &mut Options::new(args, 2);
        while words.left() > 0 {
            if words.left() > 1 && words.take("COUNT") {
                let count = words.integer()?;
                filter.count = usize::try_from(count).ok().filter(|n| *n >= 1).ok_or(CommandError::Syntax)?;
            } else if words.left() > 1 && words.take("MATCH") {
                filter.pattern = Some(words.value()?);
            } else if words.left() > 1 && words.take("TYPE") {
                let name = words.value()?;
                let Some(known) = TYPES.into_iter().find(|t| is(name, t)) else {
                    let mut text = b"ERR unknown type name '".to_vec();
                    text.extend_from_slice(name);
                    text.push(b'\'');
                    return Err(CommandError::Bytes(text));
                };
                filter.kind = Some(known);
            } else if with_slot && words.left() > 1 && words.take("SLOT") {
                if filter.slot.is_some() {
                    return Err(CommandError::fixed("ERR SLOT option can only be specified once"));
                }
                let number = number::parse_i64(words.value()?).and_then(|n| u16::try_from(n).ok());
                let slot = number.and_then(SlotId::new);
                filter.slot = Some(slot.ok_or(CommandError::fixed("ERR Invalid or out of range slot"))?);
            } else if words.take("NOVALUES") {
                return Err(CommandError::fixed("ERR NOVALUES option can only be used in HSCAN"));
            } else if words.take("NOSCORES") {
                return Err(CommandError::fixed("ERR NOSCORES option can only be used in ZSCAN"));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(filter)
    }

    pub fn wants(&self, record: &Record) -> bool {
        self.kind.is_none_or(|k| super::exist::type_name(record) == k)
            && self.pattern.is_none_or(|p| glob::matches(p, record.name()))
    }
}

/// The keys that a walk has found.
pub(in crate::commands) struct Found {
    keys: Reply,
    n: usize,
}

impl Found {
    pub fn new(version: Version) -> Found {
        Found { keys: Reply::new(version), n: 0 }
    }

    /// Meets about `left` of a stripe's records from a path on, and keeps those that are wanted. Returns the path to go on from.
    pub fn meet(
        &mut self,
        cx: &mut NodeContext<'_, '_>,
        (stripe, path): (u16, u64),
        left: usize,
        mut wants: impl FnMut(&Record) -> bool,
    ) -> Option<u64> {
        let (now_ms, db) = (cx.space.due_ms(), cx.client.db);
        cx.with_stripe(stripe, |space, _| {
            let mut dead = Vec::new();
            let next = space.stripe(stripe).scan(db, path, left, |record| {
                if !wants(record) {
                    return;
                }
                if !is_alive(record, now_ms) {
                    dead.push(record.name().to_vec());
                } else {
                    self.keys.bulk(record.name());
                    self.n += 1;
                }
            });
            for name in &dead {
                // Whoever meets a key past its deadline takes it out.
                space.alive(Key::new(db, name));
            }
            next
        })
    }

    pub fn reply(self, cx: &mut NodeContext<'_, '_>, cursor: &[u8]) {
        cx.reply.array(2);
        cx.reply.bulk(cursor);
        cx.reply.array(self.n);
        cx.reply.append(self.keys);
    }
}

/// Meets about `count` records from `at` on; where to go on. `visit(stripe, path, left)` meets about `left` of a stripe's records from
/// `path` on, and says where that stripe goes on and how many it met.
fn walk(
    at: Cursor,
    stripes: Range<u16>,
    count: usize,
    mut visit: impl FnMut(u16, u64, usize) -> (Option<u64>, usize),
) -> Cursor {
    let (mut stripe, mut path) = (at.stripe(), at.path());
    if stripe < stripes.start {
        (stripe, path) = (stripes.start, 0);
    }
    let mut left = count;
    while stripe < stripes.end {
        let (next, met) = visit(stripe, path, left);
        left = left.saturating_sub(met);
        match next {
            Some(next) if left == 0 => return Cursor::at(stripe, Some(next)),
            Some(next) => path = next,
            None => {
                if left == 0 && stripe + 1 < stripes.end {
                    return Cursor::at(stripe, None);
                }
                (stripe, path) = (stripe + 1, 0);
            }
        }
    }
    Cursor(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::{Access, AccessPolicy, Key, Keyspace};
    use crate::value::record::Content;
    use std::collections::HashMap;

    fn filled(names: impl Iterator<Item = String>) -> Keyspace {
        let keyspace = Keyspace::new(1);
        for name in names {
            let key = Key::new(0, name.as_bytes());
            lock(&keyspace, key.hash.stripe).set(key, Content::Int(1), Some(None));
        }
        keyspace
    }

    fn lock(keyspace: &Keyspace, stripe: u16) -> crate::keyspace::Space<'_> {
        keyspace.lock_one(stripe, Access { policy: AccessPolicy::Lru, now_ms: 1 })
    }

    /// How often each key is met, and in how many calls.
    fn scanned(keyspace: &Keyspace, pattern: &[u8], count: usize) -> (HashMap<Vec<u8>, u32>, usize) {
        let (mut met, mut calls, mut at) = (HashMap::new(), 0, Cursor(0));
        loop {
            calls += 1;
            at = walk(at, stripes_of(pattern), count, |stripe, path, left| {
                let mut n = 0;
                let next = lock(keyspace, stripe).stripe(stripe).scan(0, path, left, |record| {
                    n += 1;
                    *met.entry(record.name().to_vec()).or_default() += 1;
                });
                (next, n)
            });
            if at == Cursor(0) {
                return (met, calls);
            }
        }
    }

    #[test]
    fn every_key_is_met_exactly_once_whatever_the_count() {
        let keyspace = filled((0..3000).map(|i| format!("key:{i}")));
        for count in [1, 7, 10, 500, 100_000] {
            let (met, calls) = scanned(&keyspace, b"*", count);
            assert_eq!(met.len(), 3000);
            assert!(met.values().all(|n| *n == 1), "count {count}");
            assert!(calls <= 3000 / count + 2, "{calls} calls with count {count}");
        }
    }

    #[test]
    fn a_few_keys_in_many_empty_stripes_take_one_call() {
        let keyspace = filled((0..5).map(|i| format!("key:{i}")));
        let (met, calls) = scanned(&keyspace, b"*", 10);
        assert_eq!((met.len(), calls), (5, 1));
        assert_eq!(scanned(&filled(std::iter::empty()), b"*", 10), (HashMap::new(), 1));
    }

    #[test]
    fn a_pattern_with_a_fixed_tag_looks_at_one_stripe() {
        let keyspace = filled((0..1000).map(|i| if i % 2 == 0 { format!("a{{tag}}{i}") } else { format!("b{i}") }));
        let (met, _) = scanned(&keyspace, b"*{tag}*", 10);
        assert_eq!(met.len(), 1000, "a star before the tag may stand for another tag");
        let (met, _) = scanned(&keyspace, b"a{tag}*", 10);
        assert!(met.len() >= 500 && met.len() < 600);
        for (pattern, one) in [
            (&b"plain"[..], true),
            (b"a{t}*", true),
            (b"{t}", true),
            (b"{t*}", false),
            (b"{}*", false),
            (b"a*", false),
            (b"\\{t}*", false),
            (b"[{t}]", false),
            (b"{t", true),
        ] {
            assert_eq!(stripes_of(pattern).len() == 1, one, "{}", String::from_utf8_lossy(pattern));
        }
    }

    #[test]
    fn cursors_are_read_as_leniently_as_ever() {
        for (text, n) in [("0", 0), ("00", 0), ("+5", 5), (" 7", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse_cursor(text.as_bytes()), Ok(n), "{text}");
        }
        for text in ["", "-1", "x", "1x", "18446744073709551616", "+", "1 "] {
            assert_eq!(parse_cursor(text.as_bytes()), Err(CommandError::InvalidCursor), "{text}");
        }
    }
}
