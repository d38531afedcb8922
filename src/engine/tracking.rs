//! Client-side caching in the way of a command: its reads are noted, its changes told.
//!
//! Reads are noted, and readers of changed keys told, under the locks of the keys; prefixes are told once the step is done. What the
//! client whose command runs is to be told itself stands behind its reply, or, for keys that made room for the command, before it.

use super::Turn;
use crate::client::{Client, ReplyMode};
use crate::commands::{Entry, Node};
use crate::keyspace::Invalidated;
use crate::resp::args::Args;
use crate::spec::CommandFlags;

impl Turn<'_> {
    /// Notes the keys that a tracking client's command has read; their locks are held.
    #[cold]
    pub(super) fn note_reads(&mut self, client: &Client, entry: &'static Entry, args: Args<'_>) {
        if client.tracking.as_ref().is_some_and(|t| t.notes_reads()) {
            self.note_reads_as(client.id, client.db, entry, args);
        }
    }

    /// The same in a client's name.
    pub(super) fn note_reads_as(&mut self, client: u64, db: u32, entry: &'static Entry, args: Args<'_>) {
        if entry.is(CommandFlags::READONLY) && !entry.is(CommandFlags::PUBSUB) {
            let tracking = &self.node.tracking;
            let _ = super::for_each_key(db, entry, args, |key| tracking.note(client, key.name));
        }
    }

    /// Tells those who have read the keys that changed since it was called last.
    #[cold]
    pub(super) fn invalidate(&mut self) {
        let (node, changes) = (self.node, &self.space.changes.invalidated);
        let fresh = changes.get(self.told..).unwrap_or_default();
        node.tracking.invalidate(&node.clients, fresh, self.current, &mut self.notices);
        self.told = changes.len();
    }

    /// Tells of all changes of the step, those who have read the keys and those who follow a prefix: a transaction's in one.
    #[cold]
    pub(super) fn end_invalidation(&mut self) {
        if self.space.changes.invalidated.is_empty() {
            return;
        }
        self.invalidate();
        let (node, changes) = (self.node, std::mem::take(&mut self.space.changes.invalidated));
        node.tracking.broadcast(&node.clients, &changes, self.current, &mut self.notices);
        self.told = 0;
    }

    /// Drops what the table has no room for.
    #[cold]
    pub(super) fn limit_tracking(&mut self) {
        let (node, max) = (self.node, self.config.network.tracking_table_max_keys);
        node.tracking.limit(&node.clients, max, self.current, &mut self.notices);
    }

    /// Ends a command of a client that tracks keys, or that is told of them. `name` is the command's, of a subcommand its container's.
    #[cold]
    pub(super) fn after_tracked(&mut self, client: &mut Client, name: &str) {
        if let Some(t) = &mut client.tracking {
            // CLIENT CACHING speaks of the next command, or of the next transaction.
            if t.caching && !client.transaction.open && name != "client" {
                t.caching = false;
            }
            self.limit_tracking();
        }
        self.write_notices(client);
    }

    /// Writes what the client is told of keys it has read.
    fn write_notices(&mut self, client: &Client) {
        for notice in std::mem::take(&mut self.notices) {
            if let Some(bytes) = notice.bytes(client.version, !client.subscriptions.is_empty()) {
                self.reply.raw(&bytes);
            }
        }
    }

    /// Writes it before the reply of the command that has only been admitted; where replies are swallowed it waits for their end.
    #[cold]
    pub(super) fn write_notices_first(&mut self, client: &Client) {
        if client.reply_mode == ReplyMode::On {
            self.write_notices(client);
        }
    }
}

/// Tells of keys that changed without any client's command. No lock is held.
pub(super) fn invalidate(node: &Node, changes: &mut Vec<Invalidated>) {
    if !changes.is_empty() {
        let changes = std::mem::take(changes);
        node.tracking.invalidate(&node.clients, &changes, 0, &mut Vec::new());
        node.tracking.broadcast(&node.clients, &changes, 0, &mut Vec::new());
    }
}
