//! Quicklist: a long list as a sequence of listpacks, with a node of its own for each element too large for one.
//!
//! Pushing and popping at the ends touches one node. Reaching an index walks the nodes' counts, side by side in memory,
//! from the nearer end, then one node. Inserting or removing a node in the middle moves the 32-byte records behind it.
//!
//! Invariants: no node is empty; `len` is the sum of the counts; `heap` the sum of the nodes' memory; a node that was
//! built here is within the [`Limits`] it was built under. It does not know when a list should be a single listpack
//! (that is [`super::list`]), and nodes are not compressed.

mod range;

use super::listpack::{BYTES_MAX, Item, Listpack, Needle, Position};
use crate::base::size_class::size_class;
pub use range::Range;
use std::collections::VecDeque;

/// Bytes of a listpack's header and end byte, which merging two saves once.
const FRAME: usize = 7;
/// The size limits -1 to -5 stand for, in bytes.
const SIZE_LIMITS: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
/// The size limit beside a limit by count, in bytes, so that a node of large elements stays cheap to edit.
const SAFETY_LIMIT: usize = 8192;

/// How large a listpack of a list may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    bytes_max: usize,
    count_max: usize,
    plain_from: usize,
}

impl Limits {
    /// From `list-max-listpack-size`: -1 to -5 are 4 to 64 KiB (anything less is -5), a positive number is a number of
    /// elements (0 is 1) within 8 KiB.
    #[must_use]
    pub fn new(list_max_listpack_size: i64) -> Self {
        let (bytes_max, count_max) = match usize::try_from(list_max_listpack_size) {
            Ok(count) => (SAFETY_LIMIT, count.max(1)),
            Err(_) => {
                let level = list_max_listpack_size.unsigned_abs().min(SIZE_LIMITS.len() as u64) as usize;
                (SIZE_LIMITS[level - 1], usize::MAX)
            }
        };
        Self { bytes_max, count_max, plain_from: bytes_max + 1 }
    }

    /// With elements of `bytes` and more in nodes of their own, as `DEBUG QUICKLIST-PACKED-THRESHOLD` asks; 0 takes the
    /// size limit again. What a listpack could not hold is always in a node of its own.
    #[must_use]
    pub fn with_plain_from(self, bytes: usize) -> Self {
        let wanted = if bytes == 0 { self.bytes_max + 1 } else { bytes };
        Self { plain_from: wanted.min(BYTES_MAX / 2), ..self }
    }

    /// Whether a listpack of this size is too large.
    #[must_use]
    pub fn exceeded(&self, bytes: usize, count: usize) -> bool {
        bytes > self.bytes_max || count > self.count_max
    }

    /// Whether a quicklist of a single listpack of this size is small enough to be that listpack: within the limit asked
    /// for, be it by bytes or by count; the safety limit is no reason against it.
    #[must_use]
    pub fn within(&self, bytes: usize, count: usize) -> bool {
        if self.count_max == usize::MAX { bytes <= self.bytes_max } else { count <= self.count_max }
    }

    /// Like [`Self::within`] for a list that has shrunk: at most half of the limit, so that a list at the limit does not
    /// change its form with every push and pop.
    #[must_use]
    pub fn within_half(&self, bytes: usize, count: usize) -> bool {
        if self.count_max == usize::MAX { bytes <= self.bytes_max / 2 } else { count <= self.count_max / 2 }
    }

    /// Whether an element of this text length stands in a node of its own.
    #[must_use]
    pub fn is_large(&self, text_len: usize) -> bool {
        text_len >= self.plain_from
    }
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Left,
    Right,
}

/// A side of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

#[derive(Clone)]
enum Node {
    Packed { pack: Listpack, count: u32 },
    Plain(Box<[u8]>),
}

const _: () = assert!(size_of::<Node>() == 32, "a node's record is half a cache line");

impl Node {
    fn packed(pack: Listpack) -> Self {
        Self::Packed { count: pack.len() as u32, pack }
    }

    /// A node of one element.
    fn of(item: Item<'_>, limits: &Limits) -> Self {
        if limits.is_large(item.text_len()) {
            return Self::Plain(item.to_vec().into_boxed_slice());
        }
        let mut pack = Listpack::with_capacity(item.entry_len());
        pack.push_back(item);
        Self::Packed { pack, count: 1 }
    }

    fn count(&self) -> usize {
        match self {
            Self::Packed { count, .. } => *count as usize,
            Self::Plain(_) => 1,
        }
    }

    fn heap(&self) -> usize {
        match self {
            Self::Packed { pack, .. } => pack.memory_bytes(),
            Self::Plain(bytes) => size_class(bytes.len()),
        }
    }
}

/// A node as snapshots and streams read it.
#[derive(Clone, Copy, Debug)]
pub enum NodeRef<'a> {
    Packed(&'a Listpack),
    Plain(&'a [u8]),
}

/// Where an element is. It holds until the list is next changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    node: usize,
    /// `None` in a plain node.
    position: Option<Position>,
}

/// See the module.
#[derive(Clone, Default)]
pub struct QuickList {
    nodes: VecDeque<Node>,
    len: usize,
    heap: usize,
}

impl std::fmt::Debug for QuickList {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.nodes()).finish()
    }
}

impl QuickList {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The heap this owns, in bytes. Constant time.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.heap + size_class(self.nodes.capacity() * size_of::<Node>())
    }

    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes from left to right.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeRef<'_>> + ExactSizeIterator {
        self.nodes.iter().map(|node| match node {
            Node::Packed { pack, .. } => NodeRef::Packed(pack),
            Node::Plain(bytes) => NodeRef::Plain(bytes),
        })
    }

    /// Adds a listpack as a node at the right end, whatever its size; an empty one adds nothing.
    pub fn append_listpack(&mut self, pack: Listpack) {
        if !pack.is_empty() {
            self.insert_node(self.nodes.len(), Node::packed(pack));
        }
    }

    /// Adds an element as a node of its own at the right end.
    pub fn append_plain(&mut self, bytes: Box<[u8]>) {
        self.insert_node(self.nodes.len(), Node::Plain(bytes));
    }

    /// The listpack of a list that is a single node, if `within` takes its size in bytes and elements; the list is empty
    /// then.
    pub(super) fn take_single(&mut self, within: impl FnOnce(usize, usize) -> bool) -> Option<Listpack> {
        if self.nodes.len() > 1 {
            return None;
        }
        match self.nodes.front() {
            Some(Node::Packed { pack, count }) if within(pack.total_bytes(), *count as usize) => {}
            _ => return None,
        }
        match std::mem::take(self).nodes.pop_front() {
            Some(Node::Packed { pack, .. }) => Some(pack),
            _ => None,
        }
    }

    pub fn push<'v>(&mut self, end: End, value: impl Into<Item<'v>>, limits: &Limits) {
        let item = value.into();
        let node = match end {
            End::Left => 0,
            End::Right => self.nodes.len().saturating_sub(1),
        };
        if self.fits(node, item, limits) {
            self.edit(node, |pack| match end {
                End::Left => pack.push_front(item),
                End::Right => pack.push_back(item),
            });
        } else {
            let at = if end == End::Left { 0 } else { self.nodes.len() };
            self.insert_node(at, Node::of(item, limits));
        }
    }

    /// The element at an end.
    #[must_use]
    pub fn peek(&self, end: End) -> Option<Item<'_>> {
        let node = match end {
            End::Left => self.nodes.front(),
            End::Right => self.nodes.back(),
        };
        match node? {
            Node::Plain(bytes) => Some(Item::Str(bytes)),
            Node::Packed { pack, .. } => {
                let position = if end == End::Left { pack.first() } else { pack.last() };
                position.map(|position| pack.item(position))
            }
        }
    }

    /// Removes the element at an end; whether there was one.
    pub fn drop_end(&mut self, end: End) -> bool {
        if self.nodes.is_empty() {
            return false;
        }
        let node = if end == End::Left { 0 } else { self.nodes.len() - 1 };
        if self.nodes[node].count() == 1 {
            self.remove_node(node);
        } else {
            self.edit(node, |pack| {
                if let Some(position) = if end == End::Left { pack.first() } else { pack.last() } {
                    pack.remove(position);
                }
            });
        }
        true
    }

    /// Where the element at `index` is.
    #[must_use]
    pub fn seek(&self, index: usize) -> Option<Spot> {
        let (node, offset) = self.locate(index)?;
        Some(self.spot(node, offset))
    }

    #[must_use]
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        self.seek(index).map(|spot| self.item(spot))
    }

    /// The element at a spot of this list.
    #[must_use]
    pub fn item(&self, spot: Spot) -> Item<'_> {
        match (&self.nodes[spot.node], spot.position) {
            (Node::Packed { pack, .. }, Some(position)) => pack.item(position),
            (Node::Plain(bytes), _) => Item::Str(bytes),
            (Node::Packed { .. }, None) => unreachable!("a spot in a listpack has a position"),
        }
    }

    /// Where the first element equal to `value` is, from the left.
    #[must_use]
    pub fn find(&self, value: &[u8]) -> Option<Spot> {
        let needle = Needle::new(value);
        self.nodes.iter().enumerate().find_map(|(node, content)| match content {
            Node::Plain(bytes) => needle.is(Item::Str(bytes)).then_some(Spot { node, position: None }),
            Node::Packed { pack, .. } => pack
                .entries()
                .find(|(_, item)| needle.is(*item))
                .map(|(position, _)| Spot { node, position: Some(position) }),
        })
    }

    /// Up to `count` elements from the one at `start` on, from either end.
    #[must_use]
    pub fn range(&self, start: usize, count: usize) -> Range<'_> {
        Range::of_quicklist(self, start, count)
    }

    /// Inserts beside the element at `spot`.
    pub fn insert<'v>(&mut self, spot: Spot, side: Side, value: impl Into<Item<'v>>, limits: &Limits) {
        let item = value.into();
        if let Some(position) = spot.position
            && self.fits(spot.node, item, limits)
        {
            self.edit(spot.node, |pack| {
                match side {
                    Side::Before => pack.insert_before(position, item),
                    Side::After => pack.insert_after(position, item),
                };
            });
            return;
        }
        let offset = self.offset_of(spot) + usize::from(side == Side::After);
        if offset == 0 {
            match spot.node.checked_sub(1).filter(|&left| self.fits(left, item, limits)) {
                Some(left) => self.edit(left, |pack| pack.push_back(item)),
                None => self.insert_node(spot.node, Node::of(item, limits)),
            }
        } else if offset == self.nodes[spot.node].count() {
            let right = spot.node + 1;
            if self.fits(right, item, limits) {
                self.edit(right, |pack| pack.push_front(item));
            } else {
                self.insert_node(right, Node::of(item, limits));
            }
        } else {
            let tail = self.split_node(spot.node, offset);
            self.insert_node(spot.node + 1, tail);
            if self.fits(spot.node, item, limits) {
                self.edit(spot.node, |pack| pack.push_back(item));
            } else {
                self.insert_node(spot.node + 1, Node::of(item, limits));
            }
            self.merge_around(spot.node, limits);
        }
    }

    /// Puts `value` in the place of the element at `spot`.
    pub fn replace<'v>(&mut self, spot: Spot, value: impl Into<Item<'v>>, limits: &Limits) {
        let item = value.into();
        let large = limits.is_large(item.text_len());
        if let (Node::Packed { pack, count }, Some(position)) = (&self.nodes[spot.node], spot.position) {
            let bytes = pack.total_bytes() - pack.item(position).entry_len() + item.entry_len();
            if !large
                && (!limits.exceeded(bytes, *count as usize) || item.entry_len() <= pack.item(position).entry_len())
            {
                self.edit(spot.node, |pack| pack.replace(position, item));
                return;
            }
        }
        if spot.position.is_none() && self.fits(spot.node + 1, item, limits) {
            self.edit(spot.node + 1, |pack| pack.push_front(item));
            self.remove_node(spot.node);
            return;
        }
        let offset = self.offset_of(spot);
        let count = self.nodes[spot.node].count();
        let new = Node::of(item, limits);
        // The node falls into what is before the element, the element, and what is after it.
        let after = (offset + 1 < count).then(|| self.split_node(spot.node, offset + 1));
        let mut at = spot.node;
        if offset == 0 {
            self.remove_node(at);
        } else {
            self.edit(at, |pack| {
                pack.remove_range(-1, 1);
            });
            at += 1;
        }
        self.insert_node(at, new);
        if let Some(after) = after {
            self.insert_node(at + 1, after);
        }
        // A node of one element stays apart from its neighbours, as its form decides whether the list can be a listpack.
        if count > 1 {
            self.merge_around(at, limits);
        }
    }

    /// Removes up to `count` elements from the one at `start` on; how many were removed.
    pub fn remove_range(&mut self, start: usize, count: usize) -> usize {
        let before = self.len;
        let Some((mut node, offset)) = self.locate(start) else { return 0 };
        let mut left = count.min(self.len - start);
        if offset > 0 {
            let here = left.min(self.nodes[node].count() - offset);
            self.edit(node, |pack| {
                pack.remove_range(offset as i64, here);
            });
            left -= here;
            node += 1;
        }
        let mut until = node;
        while let Some(whole) = self.nodes.get(until).map(Node::count).filter(|&whole| whole <= left && left > 0) {
            left -= whole;
            until += 1;
        }
        for gone in self.nodes.drain(node..until) {
            self.len -= gone.count();
            self.heap -= gone.heap();
        }
        if left > 0 {
            self.edit(node, |pack| {
                pack.remove_range(0, left);
            });
        }
        self.shrink();
        before - self.len
    }

    /// Removes up to `count_max` elements equal to `value`, beginning at `from`; how many were removed.
    pub fn remove_value(&mut self, value: &[u8], count_max: usize, from: End) -> usize {
        let needle = Needle::new(value);
        let mut removed = 0;
        let mut found: Vec<Position> = Vec::new();
        for step in 0..self.nodes.len() {
            if removed == count_max {
                break;
            }
            let at = if from == End::Left { step } else { self.nodes.len() - 1 - step };
            let node = &mut self.nodes[at];
            let (count, heap) = (node.count(), node.heap());
            match node {
                Node::Plain(bytes) => {
                    if needle.is(Item::Str(bytes)) {
                        *node = Node::Packed { pack: Listpack::new(), count: 0 };
                    }
                }
                Node::Packed { pack, count } => {
                    found.clear();
                    let matches = |entry: &(Position, Item<'_>)| needle.is(entry.1);
                    let wanted = count_max - removed;
                    match from {
                        End::Left => found.extend(pack.entries().filter(matches).take(wanted).map(|(at, _)| at)),
                        End::Right => {
                            found.extend(pack.entries().rev().filter(matches).take(wanted).map(|(at, _)| at));
                            found.reverse();
                        }
                    }
                    pack.remove_all(&found);
                    *count -= found.len() as u32;
                }
            }
            removed += count - node.count();
            self.heap = self.heap - heap + node.heap();
        }
        if removed > 0 {
            self.len -= removed;
            let heap = &mut self.heap;
            self.nodes.retain(|node| {
                let keep = node.count() > 0;
                *heap -= if keep { 0 } else { node.heap() };
                keep
            });
            self.shrink();
        }
        removed
    }

    /// The node of the element at `index`, and the element's number in it.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut first = 0;
            for (node, content) in self.nodes.iter().enumerate() {
                let next = first + content.count();
                if index < next {
                    return Some((node, index - first));
                }
                first = next;
            }
        } else {
            let mut first = self.len;
            for (node, content) in self.nodes.iter().enumerate().rev() {
                first -= content.count();
                if index >= first {
                    return Some((node, index - first));
                }
            }
        }
        None
    }

    fn spot(&self, node: usize, offset: usize) -> Spot {
        let position = match &self.nodes[node] {
            Node::Packed { pack, .. } => pack.seek(offset as i64),
            Node::Plain(_) => None,
        };
        Spot { node, position }
    }

    /// The number of an element in its node.
    fn offset_of(&self, spot: Spot) -> usize {
        match (&self.nodes[spot.node], spot.position) {
            (Node::Packed { pack, .. }, Some(position)) => {
                pack.entries().position(|(at, _)| at == position).unwrap_or_default()
            }
            _ => 0,
        }
    }

    /// Whether the node there is a listpack that may take `item` as well.
    fn fits(&self, node: usize, item: Item<'_>, limits: &Limits) -> bool {
        match self.nodes.get(node) {
            Some(Node::Packed { pack, count }) => {
                !limits.is_large(item.text_len())
                    && !limits.exceeded(pack.total_bytes() + item.entry_len(), *count as usize + 1)
            }
            _ => false,
        }
    }

    /// Changes a listpack node and keeps the sums true. The node must not become empty.
    fn edit(&mut self, node: usize, change: impl FnOnce(&mut Listpack)) {
        let Node::Packed { pack, count } = &mut self.nodes[node] else { return };
        let (old_count, old_heap) = (*count as usize, pack.memory_bytes());
        change(pack);
        *count = pack.len() as u32;
        debug_assert!(*count > 0, "no node is empty");
        self.len = self.len - old_count + *count as usize;
        self.heap = self.heap - old_heap + pack.memory_bytes();
    }

    fn insert_node(&mut self, at: usize, node: Node) {
        self.len += node.count();
        self.heap += node.heap();
        self.nodes.insert(at, node);
    }

    fn remove_node(&mut self, at: usize) {
        if let Some(node) = self.nodes.remove(at) {
            self.len -= node.count();
            self.heap -= node.heap();
        }
        self.shrink();
    }

    /// Cuts a listpack node before its element `offset`, which is inside; the rest is the caller's to put back.
    fn split_node(&mut self, node: usize, offset: usize) -> Node {
        let mut tail = Listpack::new();
        self.edit(node, |pack| tail = pack.split_off(offset));
        Node::packed(tail)
    }

    /// Joins small listpacks left of `node` and up to two right of it, after a split left them there.
    fn merge_around(&mut self, node: usize, limits: &Limits) {
        for left in (node.saturating_sub(1)..=node + 1).rev() {
            let (Some(Node::Packed { pack: a, count: m }), Some(Node::Packed { pack: b, count: n })) =
                (self.nodes.get(left), self.nodes.get(left + 1))
            else {
                continue;
            };
            if limits.exceeded(a.total_bytes() + b.total_bytes() - FRAME, (m + n) as usize) {
                continue;
            }
            if let Some(Node::Packed { pack, count }) = self.nodes.remove(left + 1) {
                self.len -= count as usize;
                self.heap -= pack.memory_bytes();
                self.edit(left, |target| target.append(&pack));
            }
        }
    }

    /// Gives the records' memory back once three quarters of it are unused.
    fn shrink(&mut self) {
        if self.nodes.capacity() > 16 && self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests;
