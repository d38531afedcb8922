//! The replicas of this server.

use crate::client::{Client, Message, Registry, Shared};
use crate::journal::Journal;
use parking_lot::Mutex;
use std::sync::Arc;

/// Everybody who follows.
#[derive(Default)]
pub struct Replicas {
    list: Mutex<Vec<Arc<Shared>>>,
}

impl Replicas {
    /// A replica from here on: the caller holds all locks and writes the data set into the replica's reply.
    pub fn add(&self, client: &mut Client, journal: &Arc<Journal>, clients: &Arc<Registry>, bytes_max: u64) {
        let cursor = journal.cursor_here(bytes_max);
        let (clients, shared) = (Arc::clone(clients), Arc::clone(&client.shared));
        cursor.on_append(Arc::new(move || clients.send(&shared, Message::Feed { client: shared.id })));
        client.feed = Some(cursor);
        self.list.lock().push(Arc::clone(&client.shared));
    }

    /// A client left.
    pub fn remove(&self, id: u64) {
        self.list.lock().retain(|r| r.id != id);
    }

    pub fn len(&self) -> usize {
        self.list.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
