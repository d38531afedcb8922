//! What MULTI has gathered.

use super::state::Client;
use crate::keyspace::{Key, Keyspace, WatchFlag};
use crate::resp::args::OwnedArgs;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A command that waits for EXEC; `command` is its number in the table.
#[derive(Debug)]
pub struct Queued {
    pub command: u16,
    pub args: OwnedArgs,
}

/// Between MULTI and EXEC, and what WATCH watches.
#[derive(Debug, Default)]
pub struct Transaction {
    /// MULTI has been said.
    pub open: bool,
    pub queue: Vec<Queued>,
    /// The database its commands will run in, as far as they have been queued; `None` is the connection's own.
    pub db: Option<u32>,
    /// A command was refused while queueing: EXEC refuses the whole.
    pub broken: bool,
    /// Bytes of the queue, counted against `client-query-buffer-limit`.
    pub queued_bytes: usize,
    /// Database and name of each watched key. True for those that were not there, or whose deadline had passed already, when they were
    /// watched: they do not count as changed when their deadline has passed.
    pub watched: HashMap<(u32, Vec<u8>), bool>,
    /// Bytes of what is watched.
    pub watched_bytes: usize,
    /// Raised when a watched key changes. One flag for all of them.
    pub flag: Option<Arc<WatchFlag>>,
}

impl Client {
    /// Takes the client's flag off all keys it watched.
    pub fn forget_watched(&mut self, keyspace: &Keyspace) {
        let t = &mut self.transaction;
        if let Some(flag) = t.flag.take() {
            for (db, name) in std::mem::take(&mut t.watched).into_keys() {
                keyspace.unwatch(Key::new(db, &name), &flag);
            }
        }
        t.watched_bytes = 0;
    }

    /// Ends a transaction and what it watched, whatever was queued.
    pub fn end_transaction(&mut self, keyspace: &Keyspace) {
        self.forget_watched(keyspace);
        let t = &mut self.transaction;
        t.open = false;
        t.broken = false;
        t.queue = Vec::new();
        t.queued_bytes = 0;
        t.db = None;
        self.shared.multi.store(-1, Ordering::Relaxed);
        self.shared.watching.store(0, Ordering::Relaxed);
    }
}
