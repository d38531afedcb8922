//! Ranges as arguments say them.

use crate::commands::CommandError;
use crate::value::zset::{LexRange, ScoreRange};
use std::ops::Range;

/// Ranks from `start` to `stop`, both in, negative ones from the end; empty where they cross.
pub(super) fn rank_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let place = |n: i64| if n < 0 { n.saturating_add(len) } else { n };
    let (start, stop) = (place(start).max(0), place(stop).min(len - 1));
    if start > stop || start >= len { 0..0 } else { start as usize..stop as usize + 1 }
}

pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, CommandError> {
    ScoreRange::parse(min, max).ok_or(CommandError::fixed("ERR min or max is not a float"))
}

pub(super) fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, CommandError> {
    LexRange::parse(min, max).ok_or(CommandError::fixed("ERR min or max not valid string range item"))
}
