//! MONITOR: clients that are sent every command the server runs.
//!
//! # Invariants
//! * A line is handed to all monitors under one lock, and a command on keys is told of while its stripes are locked: so all monitors see
//!   one order, and commands on one key in the order in which they ran.
//! * A line counts against its receiver's output limit as soon as the receiver's worker reads it. A monitor is held to the limit of
//!   subscribers where that of its own class is none: it, too, gets what others make.

use super::mailbox::Message;
use super::registry::{Registry, Shared};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// All monitors.
#[derive(Debug, Default)]
pub struct Monitors {
    list: Mutex<Vec<Arc<Shared>>>,
    count: AtomicUsize,
}

impl Monitors {
    /// True if there are any.
    #[inline(always)]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    pub fn add(&self, client: &Arc<Shared>) {
        let mut list = self.list.lock();
        if !list.iter().any(|c| c.id == client.id) {
            list.push(Arc::clone(client));
        }
        client.monitor.store(true, Ordering::Relaxed);
        self.count.store(list.len(), Ordering::Release);
    }

    pub fn remove(&self, client: &Shared) {
        if client.monitor.swap(false, Ordering::Relaxed) {
            let mut list = self.list.lock();
            list.retain(|c| c.id != client.id);
            self.count.store(list.len(), Ordering::Release);
        }
    }

    /// Sends a line to every monitor.
    pub fn feed(&self, clients: &Registry, line: Vec<u8>) {
        let line = Arc::new(line);
        for c in self.list.lock().iter() {
            clients.send(c, Message::Push { client: c.id, reply: Arc::clone(&line) });
        }
    }
}
