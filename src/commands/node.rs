//! The node: handles of everything there is one of. It has no logic; data handlers never see it.

use super::table::CommandTable;
use crate::client::Registry;
use crate::config::ConfigHandle;
use crate::journal::Journal;
use crate::keyspace::Keyspace;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

/// What CLIENT PAUSE asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// ms since the epoch; 0 when nobody is paused.
    pub until_ms: i64,
    /// Reads go on.
    pub writes_only: bool,
}

/// Handles.
pub struct Node {
    pub keyspace: Keyspace,
    pub config: ConfigHandle,
    pub commands: &'static CommandTable,
    pub clients: Registry,
    pub journal: Arc<Journal>,
    /// ms since the epoch when the process began.
    pub started_ms: i64,
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    pub replication_id: String,
    pub pause: Mutex<Pause>,
    /// Set while somebody is paused, so that nobody else takes the lock.
    pub paused: AtomicBool,
    /// Changes of the key space since the start (or the last save).
    pub dirty: AtomicU64,
    /// ms since the epoch of the last save that succeeded.
    pub last_save_ms: AtomicI64,
    /// Set by SHUTDOWN and by signals; workers finish their turn and end.
    pub shutdown: AtomicBool,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: AtomicBool,
}
