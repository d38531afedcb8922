//! The value of a stream: entries by ascending id, and the groups that consume them.
//!
//! Entries stand in nodes, listpacks byte for byte as files carry them, each filed under the id of the entry it was made for, in an
//! ordered map. Only the last node grows.
//!
//! Invariants: the ids of a node's entries lie from the id it is filed under to the one before the next node's; no entry is above
//! `last_id`; `len` is the number of living entries, `first_id` the least of them (or 0-0), and every entry that ever was is counted in
//! `entries_added`. A stream may be empty: it still knows its last id and its groups. It knows no key, time, lock or reply.

mod group;
mod id;
mod node;
#[cfg(test)]
mod tests;
mod walk;

use super::listpack::Listpack;
pub use group::{Consumer, ConsumerId, Group, GroupParts, Pending, Taken};
pub use id::{IdText, StreamId};
pub use node::{Entry, Malformed};
use std::collections::{BTreeMap, btree_map};
pub use walk::{Direction, Walk};

/// A node's listpack is kept below this, whatever the limits say.
const NODE_BYTES_MAX: usize = 1 << 30;

/// How big a node may get before the next one is begun; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub node_bytes: usize,
    pub node_entries: u64,
}

/// What goes when a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// The oldest entries, until so many are left.
    MaxLen(u64),
    /// The entries below an id.
    MinId(StreamId),
}

/// Why an entry is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its id is not above the last one.
    NotAbove,
    /// Its fields do not fit a node.
    TooLarge,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    nodes: BTreeMap<StreamId, Listpack>,
    /// Bytes the listpacks have allocated.
    node_bytes: usize,
    len: u64,
    first_id: StreamId,
    /// The id the last entry got, or the one XSETID set.
    pub last_id: StreamId,
    /// The greatest id that was ever deleted from the middle.
    pub max_deleted_id: StreamId,
    pub entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
}

impl Stream {
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Living entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The least id of a living entry; 0-0 without any.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// Nodes as they are filed.
    pub fn nodes(&self) -> &BTreeMap<StreamId, Listpack> {
        &self.nodes
    }

    /// The id for an entry of this instant: above all others, in this millisecond if that can be.
    pub fn next_id(&self, now_ms: u64) -> Option<StreamId> {
        if now_ms > self.last_id.ms { Some(StreamId { ms: now_ms, seq: 0 }) } else { self.last_id.next() }
    }

    /// The id for an entry of a given millisecond; `None` if none is left.
    pub fn next_id_of(&self, ms: u64) -> Option<StreamId> {
        if ms == self.last_id.ms {
            Some(StreamId { ms, seq: self.last_id.seq.checked_add(1)? })
        } else {
            Some(StreamId { ms, seq: 0 }).filter(|id| *id > self.last_id)
        }
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// See [`Refused`]; nothing has changed then.
    pub fn append(&mut self, id: StreamId, fields: &[(&[u8], &[u8])], limits: &Limits) -> Result<(), Refused> {
        if id <= self.last_id {
            return Err(Refused::NotAbove);
        }
        let bytes = fields.iter().fold(0_usize, |sum, (n, v)| sum.saturating_add(n.len()).saturating_add(v.len()));
        // What the elements cost beside their text: some ten bytes each at most.
        let overhead = fields.len().saturating_mul(20).saturating_add(64);
        if bytes.saturating_add(overhead) > NODE_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        let bytes_max = match limits.node_bytes {
            0 => NODE_BYTES_MAX,
            n => n.min(NODE_BYTES_MAX),
        };
        let fits = |pack: &Listpack| {
            let (live, deleted) = node::counts(pack);
            pack.total_bytes().saturating_add(bytes) < bytes_max
                && pack.has_room(bytes.saturating_add(overhead))
                && (limits.node_entries == 0 || ((live + deleted) as u64) < limits.node_entries)
        };
        match self.nodes.last_entry() {
            Some(mut last) if fits(last.get()) => {
                let first = *last.key();
                let pack = last.get_mut();
                self.node_bytes -= pack.memory_bytes();
                node::append(pack, first, id, fields);
                self.node_bytes += pack.memory_bytes();
            }
            _ => {
                let pack = node::new(fields);
                self.node_bytes += pack.memory_bytes();
                self.nodes.insert(id, pack);
            }
        }
        self.len += 1;
        self.entries_added = self.entries_added.saturating_add(1);
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// The living entries from `from` to `to`, both included.
    pub fn range(&self, from: StreamId, to: StreamId, direction: Direction) -> Walk<'_> {
        Walk::new(&self.nodes, from, to, direction)
    }

    /// A living entry.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id, Direction::Forward).next()
    }

    /// The id of the last living entry.
    pub fn last_living(&self) -> Option<StreamId> {
        self.range(StreamId::MIN, StreamId::MAX, Direction::Backward).next().map(|e| e.id)
    }

    /// Removes an entry; false if it is not there. It counts as the greatest deleted one if it is that.
    pub fn remove(&mut self, id: StreamId) -> bool {
        let Some(entry) = self.get(id) else { return false };
        let mark = entry.mark;
        let Some((&first, pack)) = self.nodes.range_mut(..=id).next_back() else { return false };
        self.node_bytes -= pack.memory_bytes();
        if node::counts(pack).0 <= 1 {
            self.nodes.remove(&first);
        } else {
            node::delete(pack, &[mark]);
            self.node_bytes += pack.memory_bytes();
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first();
        }
        true
    }

    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX, Direction::Forward).next();
        self.first_id = first.map_or(StreamId::MIN, |e| e.id);
    }

    /// Removes the oldest entries; how many. If `whole_nodes` is set, only nodes that go whole go; with `limit` (0: none) it ends before
    /// more entries than that would go.
    pub fn trim(&mut self, trim: Trim, whole_nodes: bool, limit: u64) -> u64 {
        let mut removed = 0;
        while let Some(mut first) = self.nodes.first_entry() {
            if matches!(trim, Trim::MaxLen(max) if self.len <= max) {
                break;
            }
            let (filed, pack) = (*first.key(), first.get());
            let live = node::counts(pack).0 as u64;
            if limit > 0 && removed + live > limit {
                break;
            }
            let goes = match trim {
                Trim::MaxLen(max) => self.len - live >= max,
                Trim::MinId(min) => {
                    let last = node::entries(pack, filed).and_then(|mut entries| entries.next_back());
                    last.is_none_or(|last| last.id < min)
                }
            };
            if goes {
                self.node_bytes -= pack.memory_bytes();
                first.remove();
                self.len -= live;
                removed += live;
                continue;
            }
            if !whole_nodes {
                let pack = first.get_mut();
                let len = self.len;
                let marks: Vec<_> = node::entries(pack, filed)
                    .into_iter()
                    .flatten()
                    .take_while(|e| matches!(trim, Trim::MaxLen(_)) || matches!(trim, Trim::MinId(min) if e.id < min))
                    .filter(|e| !e.is_deleted())
                    .take(match trim {
                        Trim::MaxLen(max) => (len - max) as usize,
                        Trim::MinId(_) => usize::MAX,
                    })
                    .map(|e| e.mark)
                    .collect();
                self.node_bytes -= pack.memory_bytes();
                node::delete(pack, &marks);
                self.node_bytes += pack.memory_bytes();
                self.len -= marks.len() as u64;
                removed += marks.len() as u64;
            }
            break;
        }
        if removed > 0 {
            self.find_first();
        }
        removed
    }

    pub fn groups(&self) -> &BTreeMap<Box<[u8]>, Group> {
        &self.groups
    }

    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.groups.get_mut(name)
    }

    /// Adds a group; false if one of this name is there.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        match self.groups.entry(name.into()) {
            btree_map::Entry::Occupied(_) => false,
            btree_map::Entry::Vacant(place) => {
                place.insert(group);
                true
            }
        }
    }

    pub fn remove_group(&mut self, name: &[u8]) -> Option<Group> {
        self.groups.remove(name)
    }

    /// True if an entry may be missing in the middle from `from` on.
    pub fn has_gap_from(&self, from: StreamId) -> bool {
        self.len > 0 && self.max_deleted_id != StreamId::MIN && from <= self.max_deleted_id
    }

    /// How many entries there ever were up to `id`, that one included; `None` where deletions leave it unknown.
    pub fn added_until(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        match id.cmp(&self.last_id) {
            std::cmp::Ordering::Equal => return Some(self.entries_added),
            std::cmp::Ordering::Greater => return None,
            std::cmp::Ordering::Less => {}
        }
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id {
            let before_first = self.entries_added.saturating_sub(self.len);
            match id.cmp(&self.first_id) {
                std::cmp::Ordering::Less => return Some(before_first),
                std::cmp::Ordering::Equal => return Some(before_first + 1),
                std::cmp::Ordering::Greater => {}
            }
        }
        None
    }

    /// Notes that `group` has now read the entry `id` as new.
    pub fn advance(&mut self, group: &[u8], id: StreamId) {
        let Some(g) = self.groups.get(group) else { return };
        let entries_read = match g.entries_read {
            // Nothing was skipped between what the group read last and this entry.
            Some(n) if g.last_id >= self.first_id && !self.has_gap_from(g.last_id) => Some(n.saturating_add(1)),
            _ if self.entries_added > 0 => self.added_until(id),
            unknown => unknown,
        };
        if let Some(g) = self.groups.get_mut(group) {
            g.last_id = id;
            g.entries_read = entries_read;
        }
    }

    /// How many entries a group has still to read; `None` where deletions leave it unknown.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(n) if !self.has_gap_from(group.last_id) => n,
            _ => self.added_until(group.last_id)?,
        };
        Some((self.entries_added as i64).wrapping_sub(read as i64))
    }

    /// Estimated bytes it has allocated.
    pub fn memory_bytes(&self) -> usize {
        self.node_bytes
            + self.nodes.len() * size_of::<(StreamId, Listpack)>() * 3 / 2
            + self
                .groups
                .iter()
                .map(|(name, g)| name.len() + size_of::<Group>() * 3 / 2 + g.memory_bytes())
                .sum::<usize>()
    }

    /// The allocations that freeing this gives back, roughly.
    pub fn free_effort(&self) -> usize {
        self.nodes.len() + self.groups.values().map(|g| 1 + g.pending().len() / 4).sum::<usize>()
    }

    /// Checks the invariants; for tests.
    #[cfg(test)]
    fn check(&self) {
        let mut after = None;
        let (mut live, mut bytes) = (0, 0);
        for (first, pack) in &self.nodes {
            let checked = node::check(pack, *first).expect("a node has its shape");
            assert!(after.is_none_or(|a| a < *first), "nodes do not overlap");
            after = Some(checked.last);
            live += checked.live;
            bytes += pack.memory_bytes();
        }
        assert_eq!((live, bytes), (self.len, self.node_bytes));
        assert!(after.is_none_or(|a| a <= self.last_id));
        assert_eq!(
            self.first_id,
            self.range(StreamId::MIN, StreamId::MAX, Direction::Forward).next().map_or(StreamId::MIN, |e| e.id)
        );
        self.groups.values().for_each(Group::check);
    }
}

/// What is wrong with a stream from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damaged {
    /// A node that is filed twice or begins before the one before it ends.
    Order,
    Node,
    /// The number of entries is another than is said.
    Count,
    /// The last id is below an entry's.
    LastId,
}

/// Puts together a stream from elsewhere: nodes in order, then [`StreamParts::finish`].
#[derive(Debug, Default)]
pub struct StreamParts {
    stream: Stream,
    after: Option<StreamId>,
}

impl StreamParts {
    /// The next node.
    ///
    /// # Errors
    /// It has not the shape of one, or is out of order.
    pub fn add_node(&mut self, first: StreamId, pack: Listpack) -> Result<(), Damaged> {
        let checked = node::check(&pack, first).map_err(|Malformed| Damaged::Node)?;
        if self.after.is_some_and(|a| a >= first) {
            return Err(Damaged::Order);
        }
        self.after = Some(checked.last);
        self.stream.len += checked.live;
        self.stream.node_bytes += pack.memory_bytes();
        self.stream.nodes.insert(first, pack);
        Ok(())
    }

    /// The stream without groups; `len` and `last_id` are what is said of it.
    ///
    /// # Errors
    /// They contradict the nodes.
    pub fn finish(mut self, len: u64, last_id: StreamId) -> Result<Stream, Damaged> {
        if self.stream.len != len {
            return Err(Damaged::Count);
        }
        if self.after.is_some_and(|a| a > last_id) {
            return Err(Damaged::LastId);
        }
        self.stream.last_id = last_id;
        self.stream.entries_added = len;
        self.stream.find_first();
        Ok(self.stream)
    }
}
