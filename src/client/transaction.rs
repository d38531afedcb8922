//! What MULTI has gathered.

use crate::keyspace::WatchFlag;
use crate::resp::args::OwnedArgs;
use std::sync::Arc;

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
    /// A command was refused while queueing: EXEC refuses the whole.
    pub broken: bool,
    /// Bytes of the queue, counted against `client-query-buffer-limit`.
    pub queued_bytes: usize,
    pub watched: Vec<(u32, Vec<u8>)>,
    /// Raised when a watched key changes. One flag for all of them.
    pub flag: Option<Arc<WatchFlag>>,
    /// Watched keys whose deadline had passed already when they were watched do not count as changed when they go.
    pub watched_expired: Vec<(u32, Vec<u8>)>,
}
