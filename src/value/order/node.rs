//! Inner nodes of the order tree, of children with their counts and first keys, and what goes down through them.
//!
//! Invariants: no node is empty; every leaf has the same depth; an inner node's `counts[i]` and separator `i` are exactly
//! the number of elements and the first key of child `i`. The separator must be exact, not merely a bound: it holds a
//! handle, and the handle of an element that was removed must not stay anywhere in the tree. How full nodes are is an
//! aim (single removals keep it, range removals nearly), not an invariant.

use super::Member;
use super::leaf::{Border, LEAF_MAX, Leaf, position, to_left, to_right};
use std::cmp::Ordering;

/// Children per inner node, sized like a leaf for the allocator's classes: 1,008 bytes in the 1,024-byte class.
pub(super) const INNER_MAX: usize = 25;
const LEAF_LOW: usize = LEAF_MAX / 2;
const INNER_LOW: usize = INNER_MAX / 2;
/// A full leaf hands elements to a sibling only if it gains at least this much room; less would be paid too often.
const SPILL_ROOM_MIN: usize = LEAF_MAX / 8;

/// Number of allocated nodes, kept while the tree changes so that its memory is known without a walk.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub leaves: usize,
    pub inners: usize,
}

/// Chooses a child in each inner node and an element in the leaf: the one difference between finding by key and by rank.
pub(super) trait Seek<M: Member> {
    fn child(&mut self, inner: &Inner<M>) -> usize;
    fn slot(&mut self, leaf: &Leaf<M>) -> Option<usize>;
}

pub(super) struct ByKey<'a> {
    pub score: f64,
    pub bytes: &'a [u8],
}

impl<M: Member> Seek<M> for ByKey<'_> {
    fn child(&mut self, inner: &Inner<M>) -> usize {
        inner.child_of_key(self.score, self.bytes)
    }
    fn slot(&mut self, leaf: &Leaf<M>) -> Option<usize> {
        leaf.position(self.score, self.bytes).ok()
    }
}

pub(super) struct ByRank(pub usize);

impl<M: Member> Seek<M> for ByRank {
    fn child(&mut self, inner: &Inner<M>) -> usize {
        let (i, rest) = inner.child_of_rank(self.0);
        self.0 = rest;
        i
    }
    fn slot(&mut self, leaf: &Leaf<M>) -> Option<usize> {
        (self.0 < leaf.len()).then_some(self.0)
    }
}

/// Children with what is needed to choose among them without touching them.
pub(super) struct Inner<M> {
    scores: [f64; INNER_MAX],
    handles: [M; INNER_MAX],
    counts: [usize; INNER_MAX],
    kids: [Option<Node<M>>; INNER_MAX],
    len: u16,
}

impl<M: Member> Inner<M> {
    pub fn of(kid: Node<M>) -> Self {
        let (score, m) = kid.first();
        let mut inner = Inner {
            scores: [score; INNER_MAX],
            handles: [m; INNER_MAX],
            counts: [0; INNER_MAX],
            kids: [const { None }; INNER_MAX],
            len: 0,
        };
        inner.insert_kid(0, kid);
        inner
    }
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }
    fn set_len(&mut self, len: usize) {
        debug_assert!(len <= INNER_MAX);
        self.len = len as u16;
    }
    pub fn kid(&self, i: usize) -> &Node<M> {
        self.kids[i].as_ref().expect("a child below len")
    }
    fn kid_mut(&mut self, i: usize) -> &mut Node<M> {
        self.kids[i].as_mut().expect("a child below len")
    }
    #[cfg(test)]
    pub fn kids(&self) -> impl Iterator<Item = &Node<M>> {
        self.kids[..self.len()].iter().flatten()
    }
    pub fn counts(&self) -> &[usize] {
        &self.counts[..self.len()]
    }
    pub fn separator(&self, i: usize) -> (f64, M) {
        (self.scores[i], self.handles[i])
    }
    pub fn separator_scores(&self) -> &[f64] {
        &self.scores[..self.len()]
    }
    pub fn separator_handles(&self) -> &[M] {
        &self.handles[..self.len()]
    }
    pub fn child_of_key(&self, score: f64, bytes: &[u8]) -> usize {
        match position(self.separator_scores(), self.separator_handles(), score, bytes) {
            Ok(i) => i,
            Err(i) => i.saturating_sub(1),
        }
    }
    /// The child that holds `rank`, and the rank within it. A rank beyond the end lands in the last child.
    pub fn child_of_rank(&self, rank: usize) -> (usize, usize) {
        let last = self.len() - 1;
        let mut rest = rank;
        for (i, count) in self.counts[..last].iter().enumerate() {
            if rest < *count {
                return (i, rest);
            }
            rest -= count;
        }
        (last, rest)
    }
    fn refresh(&mut self, i: usize) {
        self.counts[i] = self.kid(i).count();
        self.refresh_separator(i);
    }
    fn refresh_separator(&mut self, i: usize) {
        let (score, m) = self.kid(i).first();
        self.scores[i] = score;
        self.handles[i] = m;
    }
    fn insert_kid(&mut self, at: usize, kid: Node<M>) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.handles.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.kids[at..=len].rotate_right(1);
        self.kids[at] = Some(kid);
        self.set_len(len + 1);
        self.refresh(at);
    }
    fn remove_kid(&mut self, at: usize) -> Option<Node<M>> {
        let len = self.len();
        let kid = self.kids[at].take();
        self.scores.copy_within(at + 1..len, at);
        self.handles.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.kids[at..len].rotate_left(1);
        self.set_len(len - 1);
        kid
    }
    /// Appends a child; false (and the child given back) if full.
    pub fn push(&mut self, kid: Node<M>) -> Result<(), Node<M>> {
        if self.len() == INNER_MAX {
            return Err(kid);
        }
        self.insert_kid(self.len(), kid);
        Ok(())
    }
    /// The one child of a root that is about to give way to it.
    pub fn pop_only(&mut self) -> Option<Node<M>> {
        self.remove_kid(0)
    }
    fn move_right(&mut self, right: &mut Self, k: usize) {
        let (l, r) = (self.len(), right.len());
        to_right(&self.scores, l, &mut right.scores, r, k);
        to_right(&self.handles, l, &mut right.handles, r, k);
        to_right(&self.counts, l, &mut right.counts, r, k);
        right.kids[..r + k].rotate_right(k);
        right.kids[..k].swap_with_slice(&mut self.kids[l - k..l]);
        self.set_len(l - k);
        right.set_len(r + k);
    }
    fn move_left(&mut self, right: &mut Self, k: usize) {
        let (l, r) = (self.len(), right.len());
        to_left(&mut self.scores, l, &mut right.scores, r, k);
        to_left(&mut self.handles, l, &mut right.handles, r, k);
        to_left(&mut self.counts, l, &mut right.counts, r, k);
        self.kids[l..l + k].swap_with_slice(&mut right.kids[..k]);
        right.kids[..r].rotate_left(k);
        self.set_len(l + k);
        right.set_len(r - k);
    }
    /// Both children at once, `left` standing before `right`.
    fn pair(&mut self, left: usize) -> (&mut Node<M>, &mut Node<M>) {
        let (a, b) = self.kids.split_at_mut(left + 1);
        (a[left].as_mut().expect("a child below len"), b[0].as_mut().expect("a child below len"))
    }

    /// Makes room in the full leaf `i` by handing elements to a sibling leaf with room; false if neither has any.
    /// It is what keeps leaves about four fifths full under random insertion, where splitting alone gives two thirds.
    fn spill(&mut self, i: usize) -> bool {
        if i + 1 < self.len()
            && let (Node::Leaf(l), Node::Leaf(r)) = self.pair(i)
        {
            let room = LEAF_MAX - r.len();
            if room >= SPILL_ROOM_MIN {
                l.move_right(r, room / 2);
                self.refresh(i);
                self.refresh(i + 1);
                return true;
            }
        }
        if i > 0
            && let (Node::Leaf(l), Node::Leaf(r)) = self.pair(i - 1)
        {
            let room = LEAF_MAX - l.len();
            if room >= SPILL_ROOM_MIN {
                l.move_left(r, room / 2);
                self.refresh(i - 1);
                self.refresh(i);
                return true;
            }
        }
        false
    }

    /// Accounts for an element that left child `i`.
    fn lost_one(&mut self, i: usize, shape: &mut Shape) {
        self.counts[i] -= 1;
        let kid = self.kid(i);
        if kid.is_empty() {
            self.remove_kid(i);
            if self.len == 0 {
                shape.inners -= 1;
            }
        } else if kid.is_low() && self.len() > 1 {
            self.balance(i, shape);
        } else {
            self.refresh_separator(i);
        }
    }

    /// Brings child `i`, which has become too empty, together with a sibling: merged if one node can hold both, evened
    /// out otherwise. Without a sibling it stays as it is.
    fn balance(&mut self, i: usize, shape: &mut Shape) {
        if self.len() < 2 {
            return;
        }
        let left = if i + 1 < self.len() { i } else { i - 1 };
        let (l, r) = self.pair(left);
        if balance_pair(l, r, shape) {
            self.remove_kid(left + 1);
        } else {
            self.refresh(left + 1);
        }
        self.refresh(left);
    }
}

/// Evens out two neighbours of one kind; true if everything went into `left`, so that `right` is to be dropped.
pub(super) fn balance_pair<M: Member>(left: &mut Node<M>, right: &mut Node<M>, shape: &mut Shape) -> bool {
    match (left, right) {
        (Node::Leaf(l), Node::Leaf(r)) => {
            let (a, b) = (l.len(), r.len());
            if a + b <= LEAF_MAX {
                l.move_left(r, b);
                shape.leaves -= 1;
                return true;
            }
            let want = (a + b) / 2;
            if a > want { l.move_right(r, a - want) } else { l.move_left(r, want - a) }
        }
        (Node::Inner(l), Node::Inner(r)) => {
            let (a, b) = (l.len(), r.len());
            if a + b <= INNER_MAX {
                l.move_left(r, b);
                shape.inners -= 1;
                return true;
            }
            let want = (a + b) / 2;
            if a > want { l.move_right(r, a - want) } else { l.move_left(r, want - a) }
        }
        _ => debug_assert!(false, "siblings are of one kind"),
    }
    false
}

pub(super) enum Inserted<M> {
    /// An equal element is there already; nothing changed.
    Present,
    Done,
    /// The node split; this is its new right sibling.
    Split(Node<M>),
}

/// Outcome of trying to give an element a new score without leaving its leaf.
pub(super) enum Moved<M> {
    Absent,
    InPlace,
    /// It belongs into another leaf: it was taken out, and is to be inserted anew.
    Taken(M),
}

pub(super) enum Node<M> {
    Leaf(Box<Leaf<M>>),
    Inner(Box<Inner<M>>),
}

impl<M: Member> Node<M> {
    pub fn first(&self) -> (f64, M) {
        match self {
            Node::Leaf(l) => (l.scores[0], l.handles[0]),
            Node::Inner(n) => n.separator(0),
        }
    }
    pub fn count(&self) -> usize {
        match self {
            Node::Leaf(l) => l.len(),
            Node::Inner(n) => n.counts().iter().sum(),
        }
    }
    pub fn is_empty(&self) -> bool {
        match self {
            Node::Leaf(l) => l.len == 0,
            Node::Inner(n) => n.len == 0,
        }
    }
    fn is_low(&self) -> bool {
        match self {
            Node::Leaf(l) => l.len() < LEAF_LOW,
            Node::Inner(n) => n.len() < INNER_LOW,
        }
    }

    pub fn insert(&mut self, score: f64, m: M, border: Border, shape: &mut Shape) -> Inserted<M> {
        match self {
            Node::Leaf(leaf) => {
                let Err(at) = leaf.position(score, m.bytes()) else { return Inserted::Present };
                if leaf.len() < LEAF_MAX {
                    leaf.insert_at(at, score, m);
                    return Inserted::Done;
                }
                shape.leaves += 1;
                Inserted::Split(Node::Leaf(leaf.split_insert(at, score, m, border)))
            }
            Node::Inner(inner) => insert_below(inner, score, m, border, shape),
        }
    }

    pub fn remove(&mut self, seek: &mut impl Seek<M>, shape: &mut Shape) -> Option<(f64, M)> {
        match self {
            Node::Leaf(leaf) => {
                let at = seek.slot(leaf)?;
                let out = leaf.remove_at(at);
                if leaf.len == 0 {
                    shape.leaves -= 1;
                }
                Some(out)
            }
            Node::Inner(inner) => {
                let i = seek.child(inner);
                let out = inner.kid_mut(i).remove(seek, shape)?;
                inner.lost_one(i, shape);
                Some(out)
            }
        }
    }

    /// Gives the element (`old`, `bytes`) the score `new` if it can keep to its leaf, else takes it out. `upper` is the
    /// first key behind this node, if there is one.
    pub fn update(&mut self, old: f64, bytes: &[u8], new: f64, upper: Option<(f64, M)>, shape: &mut Shape) -> Moved<M> {
        match self {
            Node::Leaf(leaf) => {
                let Ok(at) = leaf.position(old, bytes) else { return Moved::Absent };
                let len = leaf.len();
                // A member is looked at only when scores tie: its block is likely not in the cache.
                let against = |score: f64, m: M| match new.partial_cmp(&score) {
                    Some(Ordering::Equal) | None => bytes.cmp(m.bytes()),
                    Some(order) => order,
                };
                let fits_low = new >= old || (at > 0 && against(leaf.scores[0], leaf.handles[0]).is_gt());
                let fits_high = new <= old
                    || (at + 1 < len && against(leaf.scores[len - 1], leaf.handles[len - 1]).is_lt())
                    || upper.is_none_or(|(s, m)| against(s, m).is_lt());
                let (_, m) = leaf.remove_at(at);
                if fits_low && fits_high {
                    let (Ok(to) | Err(to)) = leaf.position(new, bytes);
                    leaf.insert_at(to, new, m);
                    return Moved::InPlace;
                }
                if leaf.len == 0 {
                    shape.leaves -= 1;
                }
                Moved::Taken(m)
            }
            Node::Inner(inner) => {
                let i = inner.child_of_key(old, bytes);
                let upper = if i + 1 < inner.len() { Some(inner.separator(i + 1)) } else { upper };
                let moved = inner.kid_mut(i).update(old, bytes, new, upper, shape);
                match moved {
                    Moved::Absent => {}
                    Moved::InPlace => inner.refresh_separator(i),
                    Moved::Taken(_) => inner.lost_one(i, shape),
                }
                moved
            }
        }
    }

    /// Puts `new` in the place of the handle of (score, bytes), also where it serves as a separator.
    pub fn replace(&mut self, score: f64, bytes: &[u8], new: M) -> Option<M> {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.position(score, bytes).ok()?;
                Some(std::mem::replace(&mut leaf.handles[at], new))
            }
            Node::Inner(inner) => {
                let i = inner.child_of_key(score, bytes);
                let old = inner.kid_mut(i).replace(score, bytes, new)?;
                inner.refresh_separator(i);
                Some(old)
            }
        }
    }

    /// Removes ranks `from..to`, a part of this node but not all of it. Nodes on the two edges may stay too empty.
    pub fn remove_range(&mut self, from: usize, to: usize, shape: &mut Shape, each: &mut dyn FnMut(f64, M)) {
        match self {
            Node::Leaf(leaf) => {
                for i in from..to {
                    each(leaf.scores[i], leaf.handles[i]);
                }
                leaf.remove_span(from, to);
            }
            Node::Inner(inner) => {
                let (mut begin, mut kept) = (0, 0);
                for i in 0..inner.len() {
                    let end = begin + inner.counts[i];
                    let (a, b) = (from.max(begin), to.min(end));
                    if a == begin && b == end {
                        if let Some(kid) = inner.kids[i].take() {
                            kid.drain(shape, each);
                        }
                    } else {
                        if a < b {
                            inner.kid_mut(i).remove_range(a - begin, b - begin, shape, each);
                            inner.refresh(i);
                        }
                        inner.scores[kept] = inner.scores[i];
                        inner.handles[kept] = inner.handles[i];
                        inner.counts[kept] = inner.counts[i];
                        inner.kids.swap(kept, i);
                        kept += 1;
                    }
                    begin = end;
                }
                inner.set_len(kept);
            }
        }
    }

    /// Hands out every element in order and frees the node.
    pub fn drain(self, shape: &mut Shape, each: &mut dyn FnMut(f64, M)) {
        match self {
            Node::Leaf(leaf) => {
                shape.leaves -= 1;
                leaf.scores().iter().zip(leaf.handles()).for_each(|(s, m)| each(*s, *m));
            }
            Node::Inner(mut inner) => {
                shape.inners -= 1;
                inner.kids.iter_mut().filter_map(Option::take).for_each(|kid| kid.drain(shape, each));
            }
        }
    }

    /// Brings the nodes on the way to `rank` back to a fair filling, from the top so that each has a sibling to work with.
    pub fn repair(&mut self, rank: usize, shape: &mut Shape) {
        let Node::Inner(inner) = self else { return };
        let (mut i, mut rest) = inner.child_of_rank(rank);
        // Two neighbours on the edges of a removed range can both be nearly empty, so once may not be enough.
        for _ in 0..2 {
            if inner.kid(i).is_low() {
                inner.balance(i, shape);
                (i, rest) = inner.child_of_rank(rank);
            }
        }
        inner.kid_mut(i).repair(rest, shape);
    }

    /// Takes the last leaf off; the node may be empty afterwards.
    pub fn pop_leaf(&mut self, shape: &mut Shape, each: &mut dyn FnMut(f64, M)) {
        match self {
            Node::Leaf(leaf) => {
                leaf.scores().iter().zip(leaf.handles()).for_each(|(s, m)| each(*s, *m));
                leaf.len = 0;
                shape.leaves -= 1;
            }
            Node::Inner(inner) => {
                let last = inner.len() - 1;
                let kid = inner.kid_mut(last);
                kid.pop_leaf(shape, each);
                if kid.is_empty() {
                    inner.remove_kid(last);
                    if inner.len == 0 {
                        shape.inners -= 1;
                    }
                } else {
                    inner.refresh(last);
                }
            }
        }
    }
}

fn insert_below<M: Member>(inner: &mut Inner<M>, score: f64, m: M, border: Border, shape: &mut Shape) -> Inserted<M> {
    let mut i = inner.child_of_key(score, m.bytes());
    if let Node::Leaf(leaf) = inner.kid(i)
        && leaf.len() == LEAF_MAX
    {
        let Err(at) = leaf.position(score, m.bytes()) else { return Inserted::Present };
        let in_order = (border.last && i + 1 == inner.len() && at == LEAF_MAX) || (border.first && i == 0 && at == 0);
        if !in_order && inner.spill(i) {
            i = inner.child_of_key(score, m.bytes());
        }
    }
    let below = Border { first: border.first && i == 0, last: border.last && i + 1 == inner.len() };
    match inner.kid_mut(i).insert(score, m, below, shape) {
        Inserted::Present => Inserted::Present,
        Inserted::Done => {
            inner.counts[i] += 1;
            inner.refresh_separator(i);
            Inserted::Done
        }
        Inserted::Split(right) => {
            inner.refresh(i);
            if inner.len() < INNER_MAX {
                inner.insert_kid(i + 1, right);
                return Inserted::Done;
            }
            shape.inners += 1;
            if border.last && i + 1 == INNER_MAX {
                return Inserted::Split(Node::Inner(Box::new(Inner::of(right))));
            }
            // The new child joins before the split: into the upper half when it stands there, else into the lower.
            let half = INNER_MAX / 2;
            let mut upper = Box::new(Inner::of(inner.remove_kid(INNER_MAX - 1).expect("a full node has a last child")));
            inner.move_right(&mut upper, half);
            match (i + 1).checked_sub(inner.len()) {
                Some(at) if at > 0 && at <= upper.len() => upper.insert_kid(at, right),
                _ => inner.insert_kid(i + 1, right),
            }
            Inserted::Split(Node::Inner(upper))
        }
    }
}
