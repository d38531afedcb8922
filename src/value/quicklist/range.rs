//! Walks over a part of a list in either direction, whatever its encoding.

use super::{Node, QuickList};
use crate::value::listpack::{Entries, Item, Listpack};
use std::iter::FusedIterator;

#[derive(Clone, Copy)]
enum Source<'a> {
    Pack(&'a Listpack),
    Quick(&'a QuickList),
}

/// What is left of one node.
#[derive(Clone)]
enum Rest<'a> {
    Packed(Entries<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> Rest<'a> {
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Packed(entries) => entries.next().map(|(_, item)| item),
            Self::Plain(bytes) => bytes.take().map(Item::Str),
        }
    }

    fn next_back(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Packed(entries) => entries.next_back().map(|(_, item)| item),
            Self::Plain(bytes) => bytes.take().map(Item::Str),
        }
    }
}

/// The elements of a part of a list. Each end finds its place when it is first asked, and both stop when the elements
/// between them are used up, so neither needs to know where the other is.
#[derive(Clone)]
pub struct Range<'a> {
    source: Source<'a>,
    front: Option<(usize, Rest<'a>)>,
    back: Option<(usize, Rest<'a>)>,
    /// The index of the next element from the left.
    start: usize,
    left: usize,
}

impl<'a> Range<'a> {
    pub(super) fn of_quicklist(list: &'a QuickList, start: usize, count: usize) -> Self {
        Self::new(Source::Quick(list), list.len(), start, count)
    }

    pub(in crate::value) fn of_listpack(pack: &'a Listpack, start: usize, count: usize) -> Self {
        Self::new(Source::Pack(pack), pack.len(), start, count)
    }

    fn new(source: Source<'a>, len: usize, start: usize, count: usize) -> Self {
        Self { source, front: None, back: None, start, left: count.min(len.saturating_sub(start)) }
    }

    /// The node there, all of it.
    fn node(&self, node: usize) -> Option<Rest<'a>> {
        match self.source {
            Source::Pack(pack) => (node == 0).then(|| Rest::Packed(pack.entries())),
            Source::Quick(list) => list.nodes.get(node).map(|node| match node {
                Node::Packed { pack, .. } => Rest::Packed(pack.entries()),
                Node::Plain(bytes) => Rest::Plain(Some(bytes)),
            }),
        }
    }

    /// The node of the element at `index`: from that element on, or up to and with it.
    fn enter(&self, index: usize, forward: bool) -> Option<(usize, Rest<'a>)> {
        let (node, offset) = match self.source {
            Source::Pack(_) => (0, index),
            Source::Quick(list) => list.locate(index)?,
        };
        let pack = match self.source {
            Source::Pack(pack) => pack,
            Source::Quick(list) => match list.nodes.get(node)? {
                Node::Packed { pack, .. } => pack,
                Node::Plain(bytes) => return Some((node, Rest::Plain(Some(bytes)))),
            },
        };
        let position = pack.seek(i64::try_from(offset).ok()?)?;
        let entries = if forward { pack.entries_from(position) } else { pack.entries_until(position) };
        Some((node, Rest::Packed(entries)))
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.left == 0 {
            return None;
        }
        let (mut node, mut rest) = match self.front.take() {
            Some(front) => front,
            None => self.enter(self.start, true)?,
        };
        loop {
            if let Some(item) = rest.next() {
                self.front = Some((node, rest));
                self.start += 1;
                self.left -= 1;
                return Some(item);
            }
            node += 1;
            rest = self.node(node)?;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let (mut node, mut rest) = match self.back.take() {
            Some(back) => back,
            None => self.enter(self.start + self.left - 1, false)?,
        };
        loop {
            if let Some(item) = rest.next_back() {
                self.back = Some((node, rest));
                self.left -= 1;
                return Some(item);
            }
            node = node.checked_sub(1)?;
            rest = self.node(node)?;
        }
    }
}

impl ExactSizeIterator for Range<'_> {}
impl FusedIterator for Range<'_> {}
