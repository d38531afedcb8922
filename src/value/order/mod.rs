//! The ordered half of a big sorted set: an order-statistics B+tree over (score, member bytes).
//!
//! The member's bytes live in a block that the sorted set's hash table owns; the tree keeps one small `Copy` handle per
//! element and reads bytes through [`Member`], only to break ties of score. Everything is addressed by rank: a bound is
//! turned into the rank of the first element behind it, so that counting is a subtraction and a range is two ranks.
//!
//! Invariants: elements are unique and ordered by score, then by bytes; the two zeros are one score; NaN never enters; a
//! handle that was removed is nowhere in the tree any more, so its block may be freed at once. The tree never owns
//! members, and knows nothing of keys, time or locks.

mod iter;
mod leaf;
mod node;
#[cfg(test)]
mod tests;

pub use iter::{Iter, RevIter};
use leaf::{Border, LEAF_MAX, Leaf, key_cmp};
use node::{ByKey, ByRank, Inner, Inserted, Moved, Node, Shape, balance_pair};
use std::ops::Range;

/// A handle to a member: small, `Copy`, and able to show the member's bytes, which must not change while it is in a tree.
pub trait Member: Copy {
    /// The member's bytes.
    fn bytes(&self) -> &[u8];
}

/// The elements given to [`OrderTree::from_sorted`] were not in strictly ascending order, or a score was NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsorted {
    /// Zero-based place of the first element that is not above the one before it.
    pub at: usize,
}

/// Order-statistics tree over (score, member bytes); see the module's first lines.
pub struct OrderTree<M: Member> {
    root: Option<Node<M>>,
    len: usize,
    shape: Shape,
}

impl<M: Member> Default for OrderTree<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Member> OrderTree<M> {
    /// An empty tree, which owns no memory.
    pub const fn new() -> Self {
        OrderTree { root: None, len: 0, shape: Shape { leaves: 0, inners: 0 } }
    }

    /// Builds from elements in strictly ascending order, in O(n), leaves seven eighths full.
    ///
    /// # Errors
    /// [`Unsorted`] at the first element that is out of order, equal to its predecessor, or NaN: files may be damaged.
    pub fn from_sorted(elements: impl IntoIterator<Item = (f64, M)>) -> Result<Self, Unsorted> {
        const FILL: usize = LEAF_MAX - LEAF_MAX / 8;
        let mut tree = Self::new();
        let mut level: Vec<Node<M>> = Vec::new();
        let mut open: Option<Box<Leaf<M>>> = None;
        let mut previous: Option<(f64, M)> = None;
        for (score, m) in elements {
            let above = previous.is_none_or(|(s, p)| key_cmp((s, p.bytes()), (score, m.bytes())).is_lt());
            if score.is_nan() || !above {
                return Err(Unsorted { at: tree.len });
            }
            previous = Some((score, m));
            tree.len += 1;
            match &mut open {
                Some(leaf) if leaf.len() < FILL => {
                    leaf.push(score, m);
                }
                _ => {
                    tree.shape.leaves += 1;
                    level.extend(open.replace(Box::new(Leaf::of(score, m))).map(Node::Leaf));
                }
            }
        }
        level.extend(open.map(Node::Leaf));
        while level.len() > 1 {
            tree.even_out_tail(&mut level);
            if level.len() == 1 {
                break;
            }
            let mut above: Vec<Node<M>> = Vec::new();
            let mut open: Option<Box<Inner<M>>> = None;
            for kid in level {
                let left_over = match &mut open {
                    Some(inner) => inner.push(kid).err(),
                    None => Some(kid),
                };
                if let Some(kid) = left_over {
                    tree.shape.inners += 1;
                    above.extend(open.replace(Box::new(Inner::of(kid))).map(Node::Inner));
                }
            }
            above.extend(open.map(Node::Inner));
            level = above;
        }
        debug_assert!(level.len() <= 1, "levels end in one node");
        tree.root = level.pop();
        tree.collapse();
        Ok(tree)
    }

    /// The last node of a level may have come out nearly empty: it shares with the one before it.
    fn even_out_tail(&mut self, level: &mut Vec<Node<M>>) {
        let n = level.len();
        if let [.., left, right] = level.as_mut_slice()
            && balance_pair(left, right, &mut self.shape)
        {
            level.truncate(n - 1);
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the nodes, as asked of the allocator; the members' blocks are not the tree's.
    pub fn memory_bytes(&self) -> usize {
        self.shape.leaves * size_of::<Leaf<M>>() + self.shape.inners * size_of::<Inner<M>>()
    }

    /// Adds an element. False, and nothing changed, if one of equal score and bytes is there. The score must not be NaN.
    pub fn insert(&mut self, score: f64, m: M) -> bool {
        debug_assert!(!score.is_nan(), "callers refuse NaN");
        let Some(root) = &mut self.root else {
            self.root = Some(Node::Leaf(Box::new(Leaf::of(score, m))));
            self.shape.leaves += 1;
            self.len = 1;
            return true;
        };
        match root.insert(score, m, Border { first: true, last: true }, &mut self.shape) {
            Inserted::Present => return false,
            Inserted::Done => {}
            Inserted::Split(right) => {
                if let Some(left) = self.root.take() {
                    self.shape.inners += 1;
                    let mut inner = Box::new(Inner::of(left));
                    let pushed = inner.push(right);
                    debug_assert!(pushed.is_ok(), "a node of one child has room");
                    self.root = Some(Node::Inner(inner));
                }
            }
        }
        self.len += 1;
        true
    }

    /// Removes the element of this score and these bytes and gives its handle back.
    pub fn remove(&mut self, score: f64, bytes: &[u8]) -> Option<M> {
        let out = self.root.as_mut()?.remove(&mut ByKey { score, bytes }, &mut self.shape)?;
        self.removed_one();
        Some(out.1)
    }

    /// Removes the element at `rank`.
    pub fn remove_at(&mut self, rank: usize) -> Option<(f64, M)> {
        if rank >= self.len {
            return None;
        }
        let out = self.root.as_mut()?.remove(&mut ByRank(rank), &mut self.shape)?;
        self.removed_one();
        Some(out)
    }

    fn removed_one(&mut self) {
        self.len -= 1;
        self.collapse();
    }

    /// A root without elements goes; a root of one child gives way to it.
    fn collapse(&mut self) {
        if self.len == 0 {
            self.root = None;
        }
        while let Some(Node::Inner(inner)) = &mut self.root {
            if inner.len() != 1 {
                return;
            }
            self.shape.inners -= 1;
            self.root = inner.pop_only();
        }
    }

    /// Gives the element (`old`, `bytes`) the score `new`; false if it is not there. A change that keeps the element
    /// within its leaf is made in place. The new score must not be NaN.
    pub fn update(&mut self, old: f64, bytes: &[u8], new: f64) -> bool {
        debug_assert!(!new.is_nan(), "callers refuse NaN");
        let Some(root) = &mut self.root else { return false };
        match root.update(old, bytes, new, None, &mut self.shape) {
            Moved::Absent => false,
            Moved::InPlace => true,
            Moved::Taken(m) => {
                self.removed_one();
                self.insert(new, m)
            }
        }
    }

    /// Puts `new` in the place of the handle of (score, bytes), for a member whose block has moved; gives the old one
    /// back. Both must show the same bytes.
    pub fn replace(&mut self, score: f64, bytes: &[u8], new: M) -> Option<M> {
        debug_assert!(new.bytes() == bytes, "a block moves, its bytes stay");
        self.root.as_mut()?.replace(score, bytes, new)
    }

    /// Number of elements before the one of this score and these bytes; `None` if it is not there.
    pub fn rank(&self, score: f64, bytes: &[u8]) -> Option<usize> {
        let mut before = 0;
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Leaf(leaf) => return Some(before + leaf.position(score, bytes).ok()?),
                Node::Inner(inner) => {
                    let i = inner.child_of_key(score, bytes);
                    before += inner.counts()[..i].iter().sum::<usize>();
                    node = inner.kid(i);
                }
            }
        }
    }

    fn leaf_at(&self, rank: usize) -> Option<(&Leaf<M>, usize)> {
        let mut rest = rank;
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Leaf(leaf) => return (rest < leaf.len()).then_some((leaf, rest)),
                Node::Inner(inner) => {
                    let (i, below) = inner.child_of_rank(rest);
                    rest = below;
                    node = inner.kid(i);
                }
            }
        }
    }

    /// The element at `rank` (0 is the lowest).
    pub fn at(&self, rank: usize) -> Option<(f64, M)> {
        let (leaf, at) = self.leaf_at(rank)?;
        Some((*leaf.scores().get(at)?, *leaf.handles().get(at)?))
    }

    /// The lowest element.
    pub fn first(&self) -> Option<(f64, M)> {
        self.root.as_ref().map(Node::first)
    }

    /// The highest element.
    pub fn last(&self) -> Option<(f64, M)> {
        self.at(self.len.checked_sub(1)?)
    }

    /// Removes the lowest element.
    pub fn pop_first(&mut self) -> Option<(f64, M)> {
        self.remove_at(0)
    }

    /// Removes the highest element.
    pub fn pop_last(&mut self) -> Option<(f64, M)> {
        self.remove_at(self.len.checked_sub(1)?)
    }

    /// Number of elements before a point. `point` gives its place among parallel sorted arrays, of separators or elements.
    fn partition(&self, point: impl Fn(&[f64], &[M]) -> usize) -> usize {
        let mut before = 0;
        let Some(mut node) = self.root.as_ref() else { return 0 };
        loop {
            match node {
                Node::Leaf(leaf) => return before + point(leaf.scores(), leaf.handles()),
                Node::Inner(inner) => {
                    // The child before the first separator behind the point is the one the point falls into.
                    let Some(i) = point(inner.separator_scores(), inner.separator_handles()).checked_sub(1) else {
                        return before;
                    };
                    before += inner.counts()[..i].iter().sum::<usize>();
                    node = inner.kid(i);
                }
            }
        }
    }

    /// Number of elements whose score is below `score`: the rank of the first at or above it.
    pub fn count_below(&self, score: f64) -> usize {
        self.partition(|scores, _| leaf::count_below(scores, score))
    }

    /// Number of elements whose score is at or below `score`: the rank of the first above it.
    pub fn count_to(&self, score: f64) -> usize {
        self.partition(|scores, _| leaf::count_to(scores, score))
    }

    /// Number of elements whose bytes are below `bytes`, in a tree whose scores are all equal. With differing scores the
    /// answer is some rank between 0 and `len`, as meaningless as the question.
    pub fn count_lex_below(&self, bytes: &[u8]) -> usize {
        self.partition(|_, handles| handles.partition_point(|m| m.bytes() < bytes))
    }

    /// Number of elements whose bytes are at or below `bytes`, as [`count_lex_below`](Self::count_lex_below).
    pub fn count_lex_to(&self, bytes: &[u8]) -> usize {
        self.partition(|_, handles| handles.partition_point(|m| m.bytes() <= bytes))
    }

    fn clamp(&self, ranks: Range<usize>) -> Range<usize> {
        let end = ranks.end.min(self.len);
        ranks.start.min(end)..end
    }

    /// The elements of these ranks, ascending. Ranks beyond the end are cut off.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_, M> {
        let r = self.clamp(ranks);
        Iter { tree: self, next: r.start, end: r.end, scores: &[], handles: &[] }
    }

    /// The elements of these ranks, descending: the highest of them first.
    pub fn range_rev(&self, ranks: Range<usize>) -> RevIter<'_, M> {
        let r = self.clamp(ranks);
        RevIter { tree: self, begin: r.start, next_end: r.end, scores: &[], handles: &[] }
    }

    /// All elements, ascending.
    pub fn iter(&self) -> Iter<'_, M> {
        self.range(0..self.len)
    }

    /// Removes the elements of these ranks in O(log n + k), handing each to `each` in ascending order; returns how many.
    /// `each` may free the member's block: the rest of the removal goes by rank and reads no bytes.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut each: impl FnMut(f64, M)) -> usize {
        let r = self.clamp(ranks);
        if r.is_empty() {
            return 0;
        }
        if r.len() == self.len {
            if let Some(root) = self.root.take() {
                root.drain(&mut self.shape, &mut each);
            }
        } else if let Some(root) = &mut self.root {
            root.remove_range(r.start, r.end, &mut self.shape, &mut each);
        }
        self.len -= r.len();
        self.collapse();
        for rank in [r.start.saturating_sub(1), r.start] {
            if let Some(root) = &mut self.root {
                root.repair(rank, &mut self.shape);
            }
            self.collapse();
        }
        r.len()
    }

    /// Takes the last leaf's elements off, so that a huge tree can be freed in slices; false once it is empty.
    pub fn pop_chunk(&mut self, mut each: impl FnMut(f64, M)) -> bool {
        let Some(root) = &mut self.root else { return false };
        let len = &mut self.len;
        root.pop_leaf(&mut self.shape, &mut |s, m| {
            *len -= 1;
            each(s, m);
        });
        if root.is_empty() {
            self.root = None;
        }
        self.collapse();
        true
    }
}
