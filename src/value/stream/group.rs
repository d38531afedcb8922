//! Consumer groups: what was delivered to whom, and not acknowledged yet.
//!
//! Invariants: every pending entry belongs to exactly one consumer of its group and stands in that consumer's own list, and in no other;
//! a consumer's number is not given to another one while an entry names it. The entries themselves may be gone from the stream.

use super::id::StreamId;
use std::collections::{BTreeMap, BTreeSet};

/// The number of a consumer in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u32);

/// A delivery that waits for its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub consumer: ConsumerId,
    /// When it was last delivered, ms since the epoch.
    pub delivered_ms: i64,
    pub deliveries: u64,
}

/// Somebody who reads for a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last tried to read, ms since the epoch.
    pub seen_ms: i64,
    /// When it last got something.
    pub active_ms: Option<i64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The ids it has not acknowledged.
    pub fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }
}

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last id that was delivered as new.
    pub last_id: StreamId,
    /// How many entries of the stream's life it has read; `None` once nobody can tell.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    by_name: BTreeMap<Box<[u8]>, ConsumerId>,
    consumers: Vec<Option<Consumer>>,
    /// Numbers that are free.
    free: Vec<ConsumerId>,
}

/// A consumer that is in the group already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

impl Group {
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group { last_id, entries_read, ..Group::default() }
    }

    /// All that is pending, by id.
    pub fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// Consumers by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.by_name.values().map(|id| self.consumer(*id))
    }

    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    /// A consumer of this group.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers[id.0 as usize].as_ref().expect("a number names a consumer while it is in use")
    }

    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers[id.0 as usize].as_mut().expect("a number names a consumer while it is in use")
    }

    /// Adds a consumer that is there from `now_ms` on.
    ///
    /// # Errors
    /// [`Taken`], and nothing has changed.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: i64) -> Result<ConsumerId, Taken> {
        if self.by_name.contains_key(name) {
            return Err(Taken);
        }
        let consumer = Consumer { name: name.into(), seen_ms: now_ms, active_ms: None, pending: BTreeSet::new() };
        let id = match self.free.pop() {
            Some(id) => {
                self.consumers[id.0 as usize] = Some(consumer);
                id
            }
            None => {
                self.consumers.push(Some(consumer));
                ConsumerId((self.consumers.len() - 1) as u32)
            }
        };
        self.by_name.insert(name.into(), id);
        Ok(id)
    }

    /// Removes a consumer with all that is pending for it; how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.by_name.remove(name)?;
        let consumer = self.consumers[id.0 as usize].take()?;
        for entry in &consumer.pending {
            self.pending.remove(entry);
        }
        self.free.push(id);
        Some(consumer.pending.len())
    }

    /// Notes a delivery, whoever it was pending for before.
    pub fn put(&mut self, entry: StreamId, pending: Pending) {
        match self.pending.insert(entry, pending) {
            Some(before) if before.consumer == pending.consumer => return,
            Some(before) => {
                self.consumer_mut(before.consumer).pending.remove(&entry);
            }
            None => {}
        }
        self.consumer_mut(pending.consumer).pending.insert(entry);
    }

    /// Another delivery of an entry to who has it.
    pub fn deliver_again(&mut self, entry: StreamId, now_ms: i64) {
        if let Some(p) = self.pending.get_mut(&entry) {
            p.delivered_ms = now_ms;
            p.deliveries = p.deliveries.saturating_add(1);
        }
    }

    /// An entry is pending no more; what was.
    pub fn remove(&mut self, entry: StreamId) -> Option<Pending> {
        let pending = self.pending.remove(&entry)?;
        self.consumer_mut(pending.consumer).pending.remove(&entry);
        Some(pending)
    }

    /// Estimated bytes it has allocated.
    pub fn memory_bytes(&self) -> usize {
        // A tree's nodes are two thirds full on average.
        let tree = |len: usize, entry: usize| len * (entry + 2) * 3 / 2;
        let consumers: usize =
            self.consumers().map(|c| tree(c.pending.len(), size_of::<StreamId>()) + 2 * c.name.len()).sum();
        tree(self.pending.len(), size_of::<(StreamId, Pending)>())
            + tree(self.by_name.len(), size_of::<(Box<[u8]>, ConsumerId)>())
            + self.consumers.capacity() * size_of::<Option<Consumer>>()
            + consumers
    }

    /// Checks the invariants; for tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let own: usize = self.consumers().map(|c| c.pending.len()).sum();
        assert_eq!(own, self.pending.len());
        for (id, p) in &self.pending {
            assert!(self.consumer(p.consumer).pending.contains(id));
        }
        assert_eq!(self.by_name.len() + self.free.len(), self.consumers.len());
    }
}

/// Puts together a group from elsewhere, which is right only once all its parts are there.
#[derive(Debug)]
pub struct GroupParts {
    group: Group,
    /// Delivered, but nobody has said to whom yet.
    open: BTreeMap<StreamId, (i64, u64)>,
}

impl GroupParts {
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> GroupParts {
        GroupParts { group: Group::new(last_id, entries_read), open: BTreeMap::new() }
    }

    /// An entry that is pending. False if it is there already.
    pub fn add_pending(&mut self, entry: StreamId, delivered_ms: i64, deliveries: u64) -> bool {
        self.open.insert(entry, (delivered_ms, deliveries)).is_none()
    }

    /// A consumer.
    ///
    /// # Errors
    /// [`Taken`]
    pub fn add_consumer(&mut self, name: &[u8], seen_ms: i64, active_ms: Option<i64>) -> Result<ConsumerId, Taken> {
        let id = self.group.add_consumer(name, seen_ms)?;
        self.group.consumer_mut(id).active_ms = active_ms;
        Ok(id)
    }

    /// Says whom a pending entry was delivered to. False if it is not pending, or another consumer has it.
    pub fn assign(&mut self, entry: StreamId, consumer: ConsumerId) -> bool {
        let Some((delivered_ms, deliveries)) = self.open.remove(&entry) else { return false };
        self.group.put(entry, Pending { consumer, delivered_ms, deliveries });
        true
    }

    /// The group, if every pending entry has its consumer.
    pub fn finish(self) -> Option<Group> {
        self.open.is_empty().then_some(self.group)
    }
}
