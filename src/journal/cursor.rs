//! A reader's hold on the stream.

use super::stream::{Chunk, Wake};
use super::{Journal, State};
use std::sync::Arc;
use std::time::Duration;

/// The offset is not in the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Why a cursor reads no more: what it has not read is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It was further behind than it may be.
    Behind { bytes: u64 },
    /// A full synchronisation has put another data set, and another history, in the place of this one.
    Replaced,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lost::Behind { bytes } => write!(f, "it was {bytes} bytes behind"),
            Lost::Replaced => f.write_str("the data set was replaced"),
        }
    }
}

impl std::error::Error for Lost {}

/// A reader's place. While one lives, effects are built and the bytes behind it are kept.
#[derive(Debug)]
pub struct Cursor {
    journal: Arc<Journal>,
    id: u64,
}

impl Cursor {
    pub(super) fn new(journal: Arc<Journal>, id: u64) -> Cursor {
        Cursor { journal, id }
    }

    /// The next chunk, or `None` at the end of the stream. Nothing is copied.
    ///
    /// # Errors
    /// See [`Lost`]: from then on there is nothing to read.
    pub fn read(&mut self) -> Result<Option<Chunk>, Lost> {
        self.journal.stream.lock().read(self.id)
    }

    /// The offset behind what was read.
    pub fn position(&self) -> u64 {
        self.journal.stream.lock().position(self.id)
    }

    /// What it has not read is gone.
    pub fn is_lost(&self) -> bool {
        self.journal.stream.lock().is_lost(self.id)
    }

    /// Bytes that are there to be read.
    pub fn lag(&self) -> u64 {
        let mut stream = self.journal.stream.lock();
        stream.end() - stream.position(self.id).min(stream.end())
    }

    /// Bytes it may be behind from now on; 0: as far as memory goes.
    pub fn set_bound(&self, bytes_max: u64) {
        self.journal.stream.lock().set_bound(self.id, bytes_max);
    }

    /// Calls `wake` (on whatever thread appends, without a lock) when there is something to read after a read that found nothing.
    pub fn on_append(&self, wake: Wake) {
        self.journal.stream.lock().set_wake(self.id, wake);
    }

    /// Waits until there is something to read, at most `timeout`. True if there is.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut stream = self.journal.stream.lock();
        if !stream.has_news(self.id) {
            self.journal.appended.wait_for(&mut stream, timeout);
        }
        stream.has_news(self.id)
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut stream = self.journal.stream.lock();
        stream.forget(self.id);
        // Stopping early is safe without the stripes: with no reader and no backlog nobody can tell what is missing.
        if !stream.is_wanted() && self.journal.is_read() {
            self.journal.set(State::Unread, false);
        }
    }
}
