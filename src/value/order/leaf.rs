//! Leaves of the order tree, and the search and the moves on parallel arrays that inner nodes share with them.
//!
//! Invariant: the first `len` slots of both arrays are the elements, in order. The slots behind hold copies of handles
//! that may be gone by now and are never read.

use super::Member;
use std::cmp::Ordering;

/// Elements per leaf. With an eight-byte handle a leaf is then 1,016 bytes and fits the 1,024-byte class of the allocator.
pub(super) const LEAF_MAX: usize = 63;

/// Order of elements: by score, then by the member's bytes. The two zeros are one score.
pub(super) fn key_cmp(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(b.1))
}

/// Number of scores below `score`. Counting all of a node's scores takes a few vector instructions and no branch that
/// could be guessed wrong; a binary search of random scores measured a quarter slower.
pub(super) fn count_below(scores: &[f64], score: f64) -> usize {
    scores.iter().map(|s| usize::from(*s < score)).sum()
}

/// Number of scores at or below `score`.
pub(super) fn count_to(scores: &[f64], score: f64) -> usize {
    scores.iter().map(|s| usize::from(*s <= score)).sum()
}

/// Where (score, bytes) stands among parallel sorted arrays: `Ok` at an equal element, `Err` where it would go.
/// Scores are compared first without looking at members, so that the cache misses of members are paid for ties only.
pub(super) fn position<M: Member>(scores: &[f64], handles: &[M], score: f64, bytes: &[u8]) -> Result<usize, usize> {
    let low = count_below(scores, score);
    let ties = if scores.get(low).is_some_and(|s| *s == score) {
        1 + scores[low + 1..].partition_point(|s| *s <= score)
    } else {
        return Err(low);
    };
    match handles[low..low + ties].binary_search_by(|h| h.bytes().cmp(bytes)) {
        Ok(i) => Ok(low + i),
        Err(i) => Err(low + i),
    }
}

/// Moves the last `k` of the first `left_len` items of `left` to the front of `right`, which holds `right_len`.
pub(super) fn to_right<T: Copy>(left: &[T], left_len: usize, right: &mut [T], right_len: usize, k: usize) {
    right.copy_within(0..right_len, k);
    right[..k].copy_from_slice(&left[left_len - k..left_len]);
}

/// Moves the first `k` items of `right` behind the first `left_len` of `left`.
pub(super) fn to_left<T: Copy>(left: &mut [T], left_len: usize, right: &mut [T], right_len: usize, k: usize) {
    left[left_len..left_len + k].copy_from_slice(&right[..k]);
    right.copy_within(k..right_len, 0);
}

/// Elements, scores apart from handles so that a search reads scores alone.
pub(super) struct Leaf<M> {
    pub(super) scores: [f64; LEAF_MAX],
    pub(super) handles: [M; LEAF_MAX],
    pub(super) len: u16,
}

impl<M: Member> Leaf<M> {
    /// A leaf of one element. The unused slots hold copies of its handle, which are never read.
    pub fn of(score: f64, m: M) -> Self {
        Leaf { scores: [score; LEAF_MAX], handles: [m; LEAF_MAX], len: 1 }
    }
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }
    fn set_len(&mut self, len: usize) {
        debug_assert!(len <= LEAF_MAX);
        self.len = len as u16;
    }
    pub fn scores(&self) -> &[f64] {
        &self.scores[..self.len()]
    }
    pub fn handles(&self) -> &[M] {
        &self.handles[..self.len()]
    }
    pub fn position(&self, score: f64, bytes: &[u8]) -> Result<usize, usize> {
        position(self.scores(), self.handles(), score, bytes)
    }
    pub fn insert_at(&mut self, at: usize, score: f64, m: M) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.handles.copy_within(at..len, at + 1);
        self.scores[at] = score;
        self.handles[at] = m;
        self.set_len(len + 1);
    }
    pub fn remove_at(&mut self, at: usize) -> (f64, M) {
        let out = (self.scores[at], self.handles[at]);
        self.remove_span(at, at + 1);
        out
    }
    pub fn remove_span(&mut self, from: usize, to: usize) {
        let len = self.len();
        self.scores.copy_within(to..len, from);
        self.handles.copy_within(to..len, from);
        self.set_len(len - (to - from));
    }
    /// Appends without looking at order; false if full.
    pub fn push(&mut self, score: f64, m: M) -> bool {
        let full = self.len() == LEAF_MAX;
        if !full {
            self.insert_at(self.len(), score, m);
        }
        !full
    }
    pub fn move_right(&mut self, right: &mut Self, k: usize) {
        let (l, r) = (self.len(), right.len());
        to_right(&self.scores, l, &mut right.scores, r, k);
        to_right(&self.handles, l, &mut right.handles, r, k);
        self.set_len(l - k);
        right.set_len(r + k);
    }
    pub fn move_left(&mut self, right: &mut Self, k: usize) {
        let (l, r) = (self.len(), right.len());
        to_left(&mut self.scores, l, &mut right.scores, r, k);
        to_left(&mut self.handles, l, &mut right.handles, r, k);
        self.set_len(l + k);
        right.set_len(r - k);
    }
    /// Inserts into a full leaf: the upper part leaves for a new right sibling. At the tree's own border the split is
    /// lopsided, so that elements arriving in order leave full leaves behind.
    pub fn split_insert(&mut self, at: usize, score: f64, m: M, border: Border) -> Box<Self> {
        let mut right = Box::new(Leaf::of(score, m));
        if border.last && at == LEAF_MAX {
            return right;
        }
        right.set_len(0);
        if border.first && at == 0 {
            self.move_right(&mut right, LEAF_MAX);
            self.insert_at(0, score, m);
            return right;
        }
        self.move_right(&mut right, LEAF_MAX / 2);
        match at.checked_sub(self.len()) {
            Some(beyond) if beyond > 0 => right.insert_at(beyond, score, m),
            _ => self.insert_at(at, score, m),
        }
        right
    }
}

/// Whether a node stands at the left or right edge of the whole tree.
#[derive(Clone, Copy)]
pub(super) struct Border {
    pub first: bool,
    pub last: bool,
}
