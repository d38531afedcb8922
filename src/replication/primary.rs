//! The replicas of this server, and the thread that feeds them.

use super::stream::StreamEncoder;
use crate::client::{Message, Registry, Shared};
use crate::journal::{Cursor, Journal};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

struct Replica {
    client: Arc<Shared>,
    cursor: Cursor,
    encoder: StreamEncoder,
}

/// Everybody who follows.
#[derive(Default)]
pub struct Replicas {
    list: Mutex<Vec<Replica>>,
    /// Bytes of the stream so far.
    offset: AtomicU64,
}

/// How long the thread waits for a step before it looks whether its replicas are still there.
const LOOK: Duration = Duration::from_millis(100);

impl Replicas {
    /// Starts the thread that feeds. It ends with the process.
    pub fn start(
        self: &Arc<Self>,
        journal: Arc<Journal>,
        clients: impl Fn() -> Option<Arc<Registry>> + Send + 'static,
    ) -> std::io::Result<()> {
        let replicas = Arc::clone(self);
        std::thread::Builder::new().name("replication".into()).spawn(move || {
            loop {
                journal.wait(LOOK);
                let Some(clients) = clients() else { return };
                replicas.feed(&clients);
            }
        })?;
        Ok(())
    }

    /// A replica from here on: the caller holds all locks and has written the data set into the replica's reply.
    pub fn add(&self, client: Arc<Shared>, journal: &Arc<Journal>) {
        let cursor = journal.cursor();
        self.list.lock().push(Replica { client, cursor, encoder: StreamEncoder::default() });
    }

    pub fn len(&self) -> usize {
        self.list.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the stream so far.
    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    fn feed(&self, clients: &Registry) {
        let mut most = 0;
        self.list.lock().retain_mut(|r| {
            if clients.get(r.client.id).is_none() {
                return false;
            }
            let Ok(steps) = r.cursor.read() else {
                tracing::warn!("A replica is too far behind and is cut off: addr={}", r.client.addr);
                clients.kill(&r.client, false);
                return false;
            };
            let mut bytes = Vec::new();
            for s in steps {
                r.encoder.step(&s, &mut bytes);
            }
            if !bytes.is_empty() {
                most = most.max(bytes.len() as u64);
                clients.send(&r.client, Message::Push { client: r.client.id, reply: Arc::new(bytes) });
            }
            true
        });
        self.offset.fetch_add(most, Ordering::Relaxed);
    }
}
