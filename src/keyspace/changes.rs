//! What commands leave behind: changes, events and effects, gathered under the locks and told when they are done.

use super::whole::Flushed;
use crate::journal::Effects;
use crate::value::record::Record;

/// Classes of keyspace events, as `notify-keyspace-events` knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EventClass(pub u32);

impl EventClass {
    /// `K`: publish in `__keyspace@<db>__`.
    pub const KEYSPACE: EventClass = EventClass(1);
    /// `E`: publish in `__keyevent@<db>__`.
    pub const KEYEVENT: EventClass = EventClass(1 << 1);
    pub const GENERIC: EventClass = EventClass(1 << 2);
    pub const STRING: EventClass = EventClass(1 << 3);
    pub const LIST: EventClass = EventClass(1 << 4);
    pub const SET: EventClass = EventClass(1 << 5);
    pub const HASH: EventClass = EventClass(1 << 6);
    pub const ZSET: EventClass = EventClass(1 << 7);
    pub const EXPIRED: EventClass = EventClass(1 << 8);
    pub const EVICTED: EventClass = EventClass(1 << 9);
    pub const STREAM: EventClass = EventClass(1 << 10);
    pub const KEY_MISS: EventClass = EventClass(1 << 11);
    pub const MODULE: EventClass = EventClass(1 << 12);
    pub const NEW: EventClass = EventClass(1 << 13);

    pub fn intersects(self, other: EventClass) -> bool {
        self.0 & other.0 != 0
    }
}

/// Something happened to a key; published once the command is done.
#[derive(Clone, Debug)]
pub struct Event {
    pub class: EventClass,
    pub name: &'static str,
    pub db: u32,
    pub key: Vec<u8>,
}

/// What kind of change, for the one call that notes it.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub class: EventClass,
    pub event: &'static str,
}

/// What clients that track keys are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidated {
    /// The key has changed; by the server itself, as when its time had come, or by a command.
    Key { name: Box<[u8]>, by_server: bool },
    /// Whole databases have changed.
    All,
}

/// What a command did, gathered under the locks.
#[derive(Debug, Default)]
pub struct Changes {
    /// Changes, as `rdb_changes_since_last_save` counts them. While 0 the command's own arguments are not journaled.
    pub dirty: u64,
    pub events: Vec<Event>,
    /// Effects that stand beside or instead of the command's own arguments.
    pub effects: Effects,
    /// The command's own arguments are not its effect: `effects` says it all.
    pub replaced: bool,
    /// Keys that changed while some client tracks keys.
    pub invalidated: Vec<Invalidated>,
    /// Databases whose keys have changed all at once: commands that wait in them look again.
    pub databases: Vec<u32>,
    /// Keys that changed and that somebody waits for.
    pub ready: Vec<(u32, Vec<u8>)>,
    /// Big values that were unlinked; they are freed without a lock.
    pub unlinked: Vec<Record>,
    /// All databases were emptied at once.
    pub flushed_all: bool,
    /// What flushes took out, and whether the caller waits until it is freed.
    pub flushed: Option<(Flushed, bool)>,
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    /// Hash fields that went because their deadline had come.
    pub expired_fields: u64,
    /// Database and name of keys that were looked up, or (true) changed: what commands touch is held against their rows.
    #[cfg(test)]
    pub touched: Vec<(u32, Vec<u8>, bool)>,
}

impl Changes {
    /// True if there is nothing to commit but hits and misses.
    #[inline(always)]
    pub fn is_nothing(&self) -> bool {
        self.dirty == 0 && !self.replaced && self.databases.is_empty() && self.is_plain()
    }

    /// True if the command's own arguments say all that has changed, and nobody but the journal asks.
    #[inline(always)]
    pub fn is_own(&self) -> bool {
        self.dirty > 0 && !self.replaced && self.databases.is_empty() && self.is_plain()
    }

    /// True if there is nothing to commit but the count of changes, hits and misses.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.effects.is_empty()
            && self.events.is_empty()
            && self.ready.is_empty()
            && self.invalidated.is_empty()
            && self.unlinked.is_empty()
            && self.flushed.is_none()
    }
}

/// Values with more elements (or blocks, where many share one) than this are freed without a lock and in slices.
pub const FREE_AT_ONCE_MAX: usize = 64;
