//! Frees what was unlinked, on a thread of its own and in slices, so that nobody waits for it.

use super::whole::Flushed;
use crate::value::record::Record;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

/// Something to free.
#[derive(Debug)]
pub enum Garbage {
    Records(Vec<Record>),
    Flushed(Flushed),
    /// Bytes that nobody will read.
    Bytes(Vec<Vec<u8>>),
}

/// Objects freed, and still to be freed, by the thread.
#[derive(Debug, Default)]
pub struct FreeCounts {
    pub freed: AtomicU64,
    pub pending: AtomicU64,
}

/// The handle of the thread. What is sent was in memory already, so the queue adds nothing to it.
#[derive(Debug)]
pub struct Freer {
    sender: mpsc::Sender<Garbage>,
    pub counts: Arc<FreeCounts>,
}

impl Freer {
    /// Starts the thread; it ends with the handle.
    pub fn start() -> std::io::Result<Freer> {
        let (sender, receiver) = mpsc::channel::<Garbage>();
        let counts = Arc::new(FreeCounts::default());
        let theirs = Arc::clone(&counts);
        std::thread::Builder::new().name("freer".into()).spawn(move || {
            for garbage in receiver {
                let n = garbage.len();
                match garbage {
                    Garbage::Records(records) => drop(records),
                    Garbage::Bytes(bytes) => drop(bytes),
                    Garbage::Flushed(mut f) => while f.drop_slice() {},
                }
                theirs.pending.fetch_sub(n, Ordering::Relaxed);
                theirs.freed.fetch_add(n, Ordering::Relaxed);
            }
        })?;
        Ok(Freer { sender, counts })
    }

    pub fn free(&self, garbage: Garbage) {
        self.counts.pending.fetch_add(garbage.len(), Ordering::Relaxed);
        // The thread lives as long as the handle; if it is gone the value is dropped here.
        let _ = self.sender.send(garbage);
    }
}

impl Garbage {
    fn len(&self) -> u64 {
        match self {
            Garbage::Records(r) => r.len() as u64,
            Garbage::Flushed(f) => f.keys() as u64,
            Garbage::Bytes(b) => b.len() as u64,
        }
    }
}
