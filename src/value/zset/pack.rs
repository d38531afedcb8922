//! A small sorted set: a listpack of member and score in turn, in order. Scores are integers where they are whole, texts otherwise.

use super::super::listpack::{Item, Listpack, Position};
use crate::base::number::{FloatText, parse_f64, parse_f64_bound};
use std::ops::Range;

/// A listpack from outside that is no sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damaged {
    /// A member without a score.
    Odd,
    /// The score at this rank is no number.
    Score { rank: usize },
    /// The element at this rank is not above the one before it.
    Order { rank: usize },
    /// The member at this rank has been there before.
    Twice { rank: usize },
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Damaged::Odd => write!(out, "a member without a score"),
            Damaged::Score { rank } => write!(out, "the score at rank {rank} is no number"),
            Damaged::Order { rank } => write!(out, "the element at rank {rank} is out of order"),
            Damaged::Twice { rank } => write!(out, "the member at rank {rank} is there twice"),
        }
    }
}

impl std::error::Error for Damaged {}

/// Scores up to this size are integers if they are whole: half of the range of 64 bits.
const WHOLE_MAX: f64 = 4_611_686_018_427_387_904.0;
/// No score's entry is longer, in bytes.
const SCORE_ENTRY_MAX: usize = 48;
/// An element takes at most this many bytes beside its member's.
pub(super) const OVERHEAD_MAX: usize = SCORE_ENTRY_MAX + 10;

/// The score of an entry that was checked when it came in.
#[inline]
fn score_of(item: Item<'_>) -> f64 {
    match item {
        Item::Int(n) => n as f64,
        Item::Str(text) => parse_f64(text).or_else(|| parse_f64_bound(text)).unwrap_or(0.0),
    }
}

fn checked_score(item: Item<'_>) -> Option<f64> {
    match item {
        Item::Int(n) => Some(n as f64),
        Item::Str(b"") => None,
        Item::Str(text) => parse_f64(text).or_else(|| parse_f64_bound(text)),
    }
}

fn with_score<R>(score: f64, f: impl FnOnce(Item<'_>) -> R) -> R {
    if score.abs() < WHOLE_MAX && score.trunc() == score {
        f(Item::Int(score as i64))
    } else {
        f(Item::Str(FloatText::new(score).as_bytes()))
    }
}

/// Checks a listpack from outside.
pub(super) fn check(lp: &Listpack) -> Result<(), Damaged> {
    let mut items = lp.iter();
    let mut previous: Option<(f64, Item<'_>)> = None;
    let mut members = std::collections::HashSet::new();
    let mut rank = 0;
    while let Some(member) = items.next() {
        let score = checked_score(items.next().ok_or(Damaged::Odd)?).ok_or(Damaged::Score { rank })?;
        if !members.insert(member.to_vec()) {
            return Err(Damaged::Twice { rank });
        }
        if previous.is_some_and(|(s, m)| !(s < score || (s == score && m.with_bytes(|m| is_above(member, m))))) {
            return Err(Damaged::Order { rank });
        }
        previous = Some((score, member));
        rank += 1;
    }
    Ok(())
}

fn is_above(item: Item<'_>, bytes: &[u8]) -> bool {
    item.with_bytes(|b| b > bytes)
}

/// Where a member is, and its score.
pub(super) fn find(lp: &Listpack, member: &[u8]) -> Option<(Position, f64)> {
    let at = lp.find(lp.first()?, member, 1)?;
    let score = score_of(lp.item(lp.next(at)?));
    Some((at, score))
}

pub(super) fn has_room(lp: &Listpack, member: &[u8]) -> bool {
    lp.has_room(Item::from(member).entry_len() + SCORE_ENTRY_MAX)
}

/// Puts a new element in its place.
pub(super) fn insert(lp: &mut Listpack, member: &[u8], score: f64) {
    let place = place_of(lp, member, score);
    match place {
        Some(at) => with_score(score, |s| {
            let at = lp.insert_before(at, s);
            lp.insert_before(at, member);
        }),
        None => push(lp, member, score),
    }
}

/// Adds an element that is above all others.
pub(super) fn push(lp: &mut Listpack, member: &[u8], score: f64) {
    lp.push_back(member);
    with_score(score, |s| lp.push_back(s));
}

/// The first element above (score, member); `None` if there is none.
fn place_of(lp: &Listpack, member: &[u8], score: f64) -> Option<Position> {
    let above = |m: Item<'_>, s: f64| s > score || (s == score && is_above(m, member));
    let last = lp.last()?;
    let (m, s) = (lp.item(lp.prev(last)?), score_of(lp.item(last)));
    // Scores that only grow (times, counters) go to the end without a walk.
    if !above(m, s) {
        return None;
    }
    let mut entries = lp.entries();
    while let (Some((at, m)), Some((_, s))) = (entries.next(), entries.next()) {
        if above(m, score_of(s)) {
            return Some(at);
        }
    }
    None
}

pub(super) fn rank(lp: &Listpack, member: &[u8]) -> Option<(usize, f64)> {
    let (at, score) = find(lp, member)?;
    let before = lp.entries().step_by(2).take_while(|(p, _)| *p < at).count();
    Some((before, score))
}

pub(super) fn at(lp: &Listpack, rank: usize) -> Option<(Item<'_>, f64)> {
    let at = lp.seek(i64::try_from(rank).ok()?.checked_mul(2)?)?;
    Some((lp.item(at), score_of(lp.item(lp.next(at)?))))
}

pub(super) fn each(lp: &Listpack, ranks: Range<usize>, reverse: bool, mut f: impl FnMut(Item<'_>, f64)) {
    let len = lp.len() / 2;
    let end = ranks.end.min(len);
    let start = ranks.start.min(end);
    if reverse {
        let mut items = lp.iter().rev().skip(2 * (len - end));
        for _ in start..end {
            let (Some(s), Some(m)) = (items.next(), items.next()) else { return };
            f(m, score_of(s));
        }
    } else {
        let mut items = lp.iter().skip(2 * start);
        for _ in start..end {
            let (Some(m), Some(s)) = (items.next(), items.next()) else { return };
            f(m, score_of(s));
        }
    }
}

/// The ranks between the elements that are below and those that are above.
pub(super) fn partition(
    lp: &Listpack,
    below: impl Fn(Item<'_>, f64) -> bool,
    above: impl Fn(Item<'_>, f64) -> bool,
) -> Range<usize> {
    let mut items = lp.iter();
    let (mut rank, mut start) = (0, None);
    while let (Some(m), Some(s)) = (items.next(), items.next()) {
        let s = score_of(s);
        if start.is_none() && !below(m, s) {
            start = Some(rank);
        }
        if start.is_some() && above(m, s) {
            break;
        }
        rank += 1;
    }
    start.unwrap_or(rank)..rank
}
