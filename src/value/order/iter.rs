//! Walks over a range of ranks. A walk holds the slices of one leaf and descends again when they are used up: one descent
//! for some fifty elements, and no stack of nodes to keep.

use super::{Member, OrderTree};

/// Elements of a rank range in ascending order.
pub struct Iter<'a, M: Member> {
    pub(super) tree: &'a OrderTree<M>,
    pub(super) next: usize,
    pub(super) end: usize,
    pub(super) scores: &'a [f64],
    pub(super) handles: &'a [M],
}

impl<M: Member> Iterator for Iter<'_, M> {
    type Item = (f64, M);

    #[inline]
    fn next(&mut self) -> Option<(f64, M)> {
        if self.next >= self.end {
            return None;
        }
        if self.scores.is_empty() {
            let (leaf, at) = self.tree.leaf_at(self.next)?;
            self.scores = leaf.scores().get(at..)?;
            self.handles = leaf.handles().get(at..)?;
        }
        let (score, scores) = self.scores.split_first()?;
        let (m, handles) = self.handles.split_first()?;
        (self.scores, self.handles) = (scores, handles);
        self.next += 1;
        Some((*score, *m))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl<M: Member> ExactSizeIterator for Iter<'_, M> {}

/// Elements of a rank range in descending order.
pub struct RevIter<'a, M: Member> {
    pub(super) tree: &'a OrderTree<M>,
    pub(super) begin: usize,
    pub(super) next_end: usize,
    pub(super) scores: &'a [f64],
    pub(super) handles: &'a [M],
}

impl<M: Member> Iterator for RevIter<'_, M> {
    type Item = (f64, M);

    #[inline]
    fn next(&mut self) -> Option<(f64, M)> {
        if self.next_end <= self.begin {
            return None;
        }
        if self.scores.is_empty() {
            let (leaf, at) = self.tree.leaf_at(self.next_end - 1)?;
            self.scores = leaf.scores().get(..=at)?;
            self.handles = leaf.handles().get(..=at)?;
        }
        let (score, scores) = self.scores.split_last()?;
        let (m, handles) = self.handles.split_last()?;
        (self.scores, self.handles) = (scores, handles);
        self.next_end -= 1;
        Some((*score, *m))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.next_end - self.begin, Some(self.next_end - self.begin))
    }
}

impl<M: Member> ExactSizeIterator for RevIter<'_, M> {}
