//! CLUSTERSCAN: a walk over the keys of the cluster, slot by slot. The cursor names the slot it has come to, so that any client sends it to
//! the node that has it.
//!
//! ```text
//! 0 -> 0-{06S}-0 -> fingerprint-{tag of a slot}-place ... -> 0-{tag of the next node's first slot}-0 ... -> 0
//! ```
//! A place inside a slot is in the order of this node's keyed hash: the fingerprint stands for its key, and under another one the slot is
//! walked from its beginning.

use super::cluster;
use crate::base::hash;
use crate::base::number::parse_u64;
use crate::base::slot::{SLOTS, SlotId, slot_of};
use crate::cluster::View;
use crate::commands::generic::scan::{Filter, Found, slot_of_pattern};
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::keyspace::{KeyHash, STRIPES, stripe_of};
use crate::spec::{CommandSpec, Group, KeySpec};
use std::sync::LazyLock;

const CLUSTERSCAN_SPEC: CommandSpec = CommandSpec::new("clusterscan", -2, Group::Cluster, "readonly arbitrary_keys")
    .acl("keyspace")
    .since("9.1.0")
    .tips("nondeterministic_output request_policy:special response_policy:special")
    .keys(&[KeySpec::index(1, "not_key")])
    .args(
        "cursor [MATCH=match-pattern:pattern] [COUNT=count:integer] [TYPE=type] \
        [SLOT=slot:integer]",
    )
    .doc("Walks over the keys of the cluster in steps.", "O(N), N: elements returned");

// A span, as SCAN.
pub static CLUSTERSCAN: Command = Command::span(CLUSTERSCAN_SPEC, clusterscan);

/// For each slot a tag of its keys: the shortest text of digits and letters, and of these the first in that order.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut tags = vec![String::new(); SLOTS];
    let mut texts = vec![String::new()];
    while tags.iter().any(String::is_empty) {
        let longer = |text: &String| ALPHABET.iter().map(|c| format!("{text}{}", char::from(*c))).collect::<Vec<_>>();
        texts = texts.iter().flat_map(longer).collect();
        for text in &texts {
            let tag = &mut tags[usize::from(slot_of(text.as_bytes()).get())];
            if tag.is_empty() {
                tag.clone_from(text);
            }
        }
    }
    tags
});

/// Six characters, none of which stands in a cursor otherwise, for the key of this process' hash.
static FINGERPRINT: LazyLock<String> = LazyLock::new(|| {
    let bits = hash::hash(b"clusterscan") as u32;
    (0..6).rev().map(|n| char::from(b'0' + (bits >> (6 * n) & 0x3f) as u8)).collect()
});

/// A place in the key space: the slot and, in its order, the path inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    stripe: u16,
    path: u64,
}

/// Bits of a path that the slot takes, the rest is the place inside.
const SLOT_MASK: u64 = !(u64::MAX >> 5);
const _: () = assert!(SLOTS / STRIPES == 1 << 5, "five bits of a slot stand in the path");

impl Place {
    fn of(slot: SlotId, inside: u64) -> Place {
        let local = u64::from(slot.get()) << 59 & SLOT_MASK;
        Place { stripe: stripe_of(slot), path: local | inside & !SLOT_MASK }
    }

    fn slot(self) -> SlotId {
        KeyHash { stripe: self.stripe, path: self.path }.slot()
    }

    fn cursor(self) -> String {
        let tag = &TAGS[usize::from(self.slot().get())];
        format!("{}-{{{tag}}}-{}", *FINGERPRINT, self.path & !SLOT_MASK)
    }

    /// Where a stripe that was left at `next` goes on; `None` behind the last slot.
    fn after(self, next: Option<u64>, last: SlotId) -> Option<Place> {
        let next = match next {
            Some(path) => Place { path, ..self },
            None if self.stripe == stripe_of(last) => return None,
            None => Place { stripe: self.stripe + 1, path: 0 },
        };
        (next.slot() <= last).then_some(next)
    }
}

/// The first place of a slot, in a cursor that any node takes.
fn begin(slot: SlotId) -> String {
    format!("0-{{{}}}-0", TAGS[usize::from(slot.get())])
}

/// `fingerprint-{tag}-place`.
fn parse(cursor: &[u8]) -> Option<Place> {
    let mut parts = cursor.splitn(3, |c| *c == b'-');
    let (fingerprint, tag, inside) = (parts.next()?, parts.next()?, parse_place(parts.next()?)?);
    let known = fingerprint == FINGERPRINT.as_bytes();
    Some(Place::of(slot_of(tag), if known { inside } else { 0 }))
}

/// A number, which may have zeros before it.
fn parse_place(text: &[u8]) -> Option<u64> {
    let zeros = text.iter().take_while(|c| **c == b'0').count();
    match &text[zeros..] {
        [] => (zeros > 0).then_some(0),
        rest => parse_u64(rest),
    }
}

/// The last slot of those in a row that have the same owner here.
fn last_of(view: &View, slot: SlotId) -> SlotId {
    let owner = view.owner(slot);
    if !view.is_ours(slot) {
        return slot;
    }
    let row = (slot.get() + 1..SLOTS as u16).filter_map(SlotId::new).take_while(|s| view.owner(*s) == owner);
    row.last().unwrap_or(slot)
}

fn nothing(cx: &mut NodeContext<'_, '_>, cursor: &str) {
    Found::new(cx.reply.version).reply(cx, cursor.as_bytes());
}

fn clusterscan(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let view = cluster(cx)?.view();
    let filter = Filter::read(cx.args, true)?;
    let of_pattern = filter.pattern.and_then(slot_of_pattern);
    let apart = filter.slot.zip(of_pattern).is_some_and(|(a, b)| a != b);
    let only = filter.slot.or(of_pattern);
    if cx.args.at(1) == b"0" {
        let first = only.or(SlotId::new(0)).filter(|_| !apart);
        nothing(cx, &first.map_or("0".into(), begin));
        return Ok(());
    }
    let mut at = parse(cx.args.at(1)).ok_or(CommandError::fixed("ERR Invalid cursor"))?;
    let slot = at.slot();
    if filter.slot.is_some_and(|s| s != slot) {
        return Err(CommandError::fixed("ERR Cursor slot mismatch with SLOT argument"));
    }
    if let Some(wanted) = of_pattern.filter(|s| *s != slot) {
        // Forward to where the pattern's keys are, never back.
        nothing(cx, &if !apart && wanted > slot { begin(wanted) } else { "0".into() });
        return Ok(());
    }
    let last = if only.is_some() { slot } else { last_of(&view, slot) };
    let (mut found, mut left) = (Found::new(cx.reply.version), filter.count);
    let next = loop {
        let mut met = 0;
        let next = found.meet(cx, (at.stripe, at.path), left, |record| {
            let within = KeyHash::of(record.name()).slot() <= last;
            met += usize::from(within);
            within && filter.wants(record)
        });
        let Some(next) = at.after(next, last) else { break None };
        at = next;
        left = left.saturating_sub(met);
        if left == 0 {
            break first_from(cx, at, last);
        }
    };
    let cursor = match next {
        Some(next) => next.cursor(),
        None if only.is_some() => "0".into(),
        None => SlotId::new(last.get() + 1).map_or("0".into(), begin),
    };
    found.reply(cx, cursor.as_bytes());
    Ok(())
}

/// The place to go on from: empty slots on the way are passed by.
fn first_from(cx: &mut NodeContext<'_, '_>, from: Place, last: SlotId) -> Option<Place> {
    let mut at = from;
    loop {
        let mut first = None;
        let db = cx.client.db;
        let next = cx.with_stripe(at.stripe, |space, _| {
            space.stripe(at.stripe).scan(db, at.path, 1, |record| {
                let slot = KeyHash::of(record.name()).slot();
                first = Some(first.map_or(slot, |f: SlotId| f.min(slot)));
            })
        });
        if let Some(slot) = first {
            let begin = Place::of(slot, 0);
            return (slot <= last).then_some(if slot == from.slot() { from } else { begin });
        }
        at = at.after(next, last)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_a_tag_of_its_own_keys() {
        for (n, tag) in TAGS.iter().enumerate() {
            assert_eq!(usize::from(slot_of(format!("{{{tag}}}x").as_bytes()).get()), n);
        }
        assert_eq!((&TAGS[0][..], &TAGS[1][..], &TAGS[16_383][..]), ("06S", "Qi", "6ZJ"));
    }

    #[test]
    fn a_cursor_leads_back_to_its_place_and_another_nodes_to_the_beginning_of_the_slot() {
        for (slot, inside) in [(0, 0), (5, 7), (16_383, u64::MAX >> 5), (8192, 1)] {
            let slot = SlotId::new(slot).unwrap();
            let place = Place::of(slot, inside);
            assert_eq!(place.slot(), slot);
            assert_eq!(parse(place.cursor().as_bytes()), Some(place));
            let tag = &TAGS[usize::from(slot.get())];
            for other in [format!("0-{{{tag}}}-0939"), format!("abcdef-{{{tag}}}-7")] {
                assert_eq!(parse(other.as_bytes()), Some(Place::of(slot, 0)), "{other}");
            }
        }
        for wrong in ["invalid", "abc-def-ghi", "0-", "0-{0}", "0-{0}-", "0-{0}-1-", "", "--"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
