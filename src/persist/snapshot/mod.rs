//! The producer of snapshots: the key space of one instant as the bytes of an RDB file, while everybody goes on. It feeds the
//! snapshot file, the base of the append-only file and full syncs alike.
//!
//! # Using it
//! ```text
//! space.lock(&Plan::All);                                   // the cut: microseconds
//! let format = snapshot::format(&config, space.access);     // add what the file says of itself to format.aux
//! let snapshot = Snapshot::cut(&mut space, format)?;        // Busy: one at a time
//! let here = journal.end();                                 // read under the same locks: the snapshot holds all before it, nothing after
//! space.unlock();
//! // on a thread of its own:
//! let written = snapshot.run(&keyspace, &pace, &mut |bytes| sink.write_all(bytes))?;
//! ```
//! `run` calls the sink with the file's bytes in order, head and checksum included, in pieces of up to some tens of KiB (a long
//! string is one piece). A sink that takes its time slows writers down once their keys fill the queue of [`crate::keyspace`]'s walk; an
//! error of the sink, or `pace.stop`, gives the snapshot up and leaves nothing behind. A `Snapshot` that is dropped is given up too.

mod file;

pub use file::{LoadError, load, load_options, look, save, save_with};

use super::rdb::{Format, Summed, Written};
use crate::config::Config;
use crate::config::types::EvictionPolicy;
use crate::keyspace::{Access, Busy, Keyspace, Pace, Space, WalkError, WalkProgress, Walker};
use std::io;

/// How this server writes snapshots at this instant.
pub fn format(config: &Config, access: Access) -> Format {
    let policy = config.memory.maxmemory_policy;
    Format {
        version: config.persistence.rdb_version,
        checksum: config.persistence.rdbchecksum,
        pack: config.persistence.rdbcompression,
        access,
        idle: matches!(policy, EvictionPolicy::AllkeysLru | EvictionPolicy::VolatileLru),
        aux: vec![("used-mem", crate::base::memory::used().to_string())],
    }
}

/// A snapshot whose cut is made and that is not written yet.
#[derive(Debug)]
pub struct Snapshot {
    walker: Walker,
    head: Vec<u8>,
    checksum: bool,
}

impl Snapshot {
    /// Makes the cut. Every stripe is held.
    ///
    /// # Errors
    /// Another snapshot is being written.
    pub fn cut(space: &mut Space<'_>, format: Format) -> Result<Snapshot, Busy> {
        let head = format.head(&space.sizes());
        let checksum = format.checksum;
        let walker = space.cut(Box::new(format))?;
        Ok(Snapshot { walker, head, checksum })
    }

    /// Keys in it.
    pub fn keys(&self) -> u64 {
        self.walker.sizes().iter().map(|s| s.0 as u64).sum()
    }

    pub fn progress(&self) -> WalkProgress {
        self.walker.progress()
    }

    /// Writes it. See the module.
    ///
    /// # Errors
    /// Those of `sink`, or it was told to stop.
    pub fn run(
        self,
        keyspace: &Keyspace,
        pace: &Pace<'_>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Written, WalkError> {
        self.run_when(keyspace, pace, &|| true, sink)
    }

    /// Writes it while `ready` says that there is room, which may wait a moment before it says no. Only what writers are about to change comes
    /// without being asked for, so that no client waits for a sink that is slow.
    ///
    /// # Errors
    /// Those of `sink`, or it was told to stop.
    pub fn run_when(
        self,
        keyspace: &Keyspace,
        pace: &Pace<'_>,
        ready: &dyn Fn() -> bool,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Written, WalkError> {
        let mut out = Summed::new(self.checksum, sink);
        // The head goes through the walk's own door, so that its failure gives the walk up like any other.
        let mut head = Some(self.head);
        let keys = self.walker.run(keyspace, pace, ready, &mut |bytes| {
            if let Some(head) = head.take() {
                out.put(&head)?;
            }
            out.put(bytes)
        })?;
        if let Some(head) = head {
            out.put(&head)?;
        }
        Ok(Written { keys, bytes: out.finish()? })
    }
}

#[cfg(test)]
mod tests;
