//! Ranges of scores and of members.

use crate::base::number::parse_f64_bound;

/// Scores between two bounds, each in or out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    pub min: f64,
    pub max: f64,
    pub min_open: bool,
    pub max_open: bool,
}

impl ScoreRange {
    /// Reads bounds such as `1.5`, `(1.5`, `-inf`. `None` if one is no number.
    pub fn parse(min: &[u8], max: &[u8]) -> Option<ScoreRange> {
        // Files may say more; here white space and hexadecimal are no numbers, as they are none in Valkey 9.1.
        let number = |text: &[u8]| {
            let decimal = !text.iter().any(|b| b.is_ascii_whitespace() || matches!(b, b'x' | b'X'));
            if decimal { parse_f64_bound(text) } else { None }
        };
        let bound = |text: &[u8]| match text {
            [b'(', rest @ ..] => number(rest).map(|n| (n, true)),
            text => number(text).map(|n| (n, false)),
        };
        let ((min, min_open), (max, max_open)) = (bound(min)?, bound(max)?);
        Some(ScoreRange { min, max, min_open, max_open })
    }

    /// True if no score can lie in it.
    pub fn is_empty(&self) -> bool {
        self.min > self.max || (self.min == self.max && (self.min_open || self.max_open))
    }

    pub(super) fn is_below(&self, score: f64) -> bool {
        if self.min_open { score <= self.min } else { score < self.min }
    }

    pub(super) fn is_above(&self, score: f64) -> bool {
        if self.max_open { score >= self.max } else { score > self.max }
    }
}

/// One end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Lowest,
    /// `+`: behind every member.
    Highest,
    /// `[x`
    Closed(&'a [u8]),
    /// `(x`
    Open(&'a [u8]),
}

impl<'a> LexBound<'a> {
    /// `None` if it is none of the four forms.
    pub fn parse(text: &'a [u8]) -> Option<LexBound<'a>> {
        match text {
            b"-" => Some(LexBound::Lowest),
            b"+" => Some(LexBound::Highest),
            [b'[', rest @ ..] => Some(LexBound::Closed(rest)),
            [b'(', rest @ ..] => Some(LexBound::Open(rest)),
            _ => None,
        }
    }
}

/// Members between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    pub min: LexBound<'a>,
    pub max: LexBound<'a>,
}

impl<'a> LexRange<'a> {
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Option<LexRange<'a>> {
        Some(LexRange { min: LexBound::parse(min)?, max: LexBound::parse(max)? })
    }

    /// True if no member can lie in it.
    pub fn is_empty(&self) -> bool {
        use LexBound::{Closed, Highest, Lowest, Open};
        match (self.min, self.max) {
            (Highest, _) | (_, Lowest) => true,
            (Lowest, _) | (_, Highest) => false,
            (Closed(a), Closed(b)) => a > b,
            (Closed(a) | Open(a), Closed(b) | Open(b)) => a >= b,
        }
    }

    pub(super) fn is_below(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Closed(b) => member < b,
            LexBound::Open(b) => member <= b,
        }
    }

    pub(super) fn is_above(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Closed(b) => member > b,
            LexBound::Open(b) => member >= b,
        }
    }
}
