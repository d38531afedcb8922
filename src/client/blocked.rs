//! Commands that wait for a key.
//!
//! A blocking handler that finds nothing leaves a [`BlockRequest`]. The engine keeps the command's arguments and runs the same handler
//! again when one of the keys changes, under the locks of the command that changed it: what it then does is one step with that change.

use crate::resp::args::OwnedArgs;

/// What a blocked client is told when its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReply {
    NullArray,
    Null,
    /// An integer (WAIT).
    Integer(i64),
    /// How many replicas have acknowledged the offset; answered before that once `wanted` of them have.
    Replicas {
        offset: u64,
        wanted: usize,
    },
    /// Whether the offset is on disk here, and on how many replicas; answered before that once it is `here`, if that is wanted, and on `wanted`.
    Disks {
        offset: u64,
        here: bool,
        wanted: usize,
    },
    /// The command runs again once `wanted` replicas have acknowledged the offset, and otherwise has not run.
    Run {
        offset: u64,
        wanted: usize,
    },
}

/// A handler's wish to wait.
#[derive(Debug)]
pub struct BlockRequest {
    /// Keys to wait for, in the command's database.
    pub keys: Vec<Vec<u8>>,
    /// Milliseconds; 0 waits for ever.
    pub timeout_ms: u64,
    pub timeout_reply: TimeoutReply,
    /// It is answered when a key of its goes, too (XREADGROUP, by an error).
    pub needs_key: bool,
    /// Arguments to run again with, where they are not the command's own (`$` has become an id).
    pub args: Option<OwnedArgs>,
}

/// A client that waits; kept by its worker.
#[derive(Debug)]
pub struct Blocked {
    /// Which wait this is: answers to an older one are void.
    pub token: u64,
    /// Monotonic ms when its time is up; `None` waits for ever.
    pub until_ms: Option<u64>,
    pub timeout_reply: TimeoutReply,
    /// Number of the command in the table.
    pub command: u16,
}
