//! Walks over the living entries of a stream between two ids, in either direction.

use super::id::StreamId;
use super::node::{self, Entry, NodeIter};
use crate::value::listpack::Listpack;
use std::collections::{BTreeMap, btree_map};

/// The way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// See the module.
pub struct Walk<'a> {
    nodes: btree_map::Range<'a, StreamId, Listpack>,
    open: Option<NodeIter<'a>>,
    from: StreamId,
    to: StreamId,
    direction: Direction,
}

impl<'a> Walk<'a> {
    /// From `from` to `to`, both included; without entries if `from` is above `to`.
    pub(super) fn new(
        nodes: &'a BTreeMap<StreamId, Listpack>,
        from: StreamId,
        to: StreamId,
        direction: Direction,
    ) -> Walk<'a> {
        // The node that `from` would be in begins at or before it.
        let first = nodes.range(..=from).next_back().map_or(from, |(id, _)| *id);
        let nodes = if from <= to { nodes.range(first..=to) } else { nodes.range(to..to) };
        Walk { nodes, open: None, from, to, direction }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entry = match (&mut self.open, self.direction) {
                (None, _) => None,
                (Some(open), Direction::Forward) => open.next(),
                (Some(open), Direction::Backward) => open.next_back(),
            };
            let Some(entry) = entry else {
                let (first, pack) = match self.direction {
                    Direction::Forward => self.nodes.next(),
                    Direction::Backward => self.nodes.next_back(),
                }?;
                self.open = node::entries(pack, *first);
                continue;
            };
            let (below, above) = (entry.id < self.from, entry.id > self.to);
            let over = match self.direction {
                Direction::Forward => above,
                Direction::Backward => below,
            };
            if over {
                self.open = None;
                self.nodes = btree_map::Range::default();
                return None;
            }
            if !below && !above && !entry.is_deleted() {
                return Some(entry);
            }
        }
    }
}

impl std::fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Walk({}..={} {:?})", self.from, self.to, self.direction)
    }
}
