//! What replication needs of the server it is a part of. The server implements it; nothing here knows how.

use super::Replication;
use crate::acl::Acl;
use crate::client::{Execute, Registry, WaitList};
use crate::config::ConfigHandle;
use crate::keyspace::{Access, Freer, Keyspace};
use crate::persist::Saver;
use crate::script::Functions;
use std::path::Path;
use std::sync::Arc;

/// Handles of the server.
pub trait Host: Send + Sync {
    fn keyspace(&self) -> &Keyspace;
    fn config(&self) -> &ConfigHandle;
    fn clients(&self) -> &Arc<Registry>;
    fn acl(&self) -> &Acl;
    fn waiting(&self) -> &WaitList;
    fn saver(&self) -> &Saver;
    fn freer(&self) -> &Freer;
    fn functions(&self) -> &Functions;
    fn replication(&self) -> &Arc<Replication>;
    /// This server's name in the cluster, if it is in one.
    fn node_id(&self) -> Option<String>;
    /// How accesses are noted at this instant.
    fn access(&self, now_ms: i64) -> Access;
    /// Runs requests of the primary; there is one, and who uses it has it alone.
    fn executor(&self) -> &parking_lot::Mutex<Option<Box<dyn Execute>>>;
    /// The TLS configuration of outgoing links.
    ///
    /// # Errors
    /// Why there is none: a sentence.
    fn dial_tls(&self) -> Result<Arc<rustls::ClientConfig>, String>;
    /// The offset up to which changes are on disk here; `None` where they are not written.
    fn synced(&self) -> Option<u64>;
    /// The journal's offsets count another history from here on: what is on disk is of the last one. Every stripe is held.
    fn begin_history(&self);
    /// The data have just been loaded from this snapshot file: the log may have it as its base. Every stripe is held.
    fn loaded_from(&self, snapshot: &Path);
    /// Holds back the writes of clients while the role is handed over, or lets them go on.
    fn pause_writes(&self, hold: bool);
    /// The writes of clients are held back, the primary's among them.
    fn pauses_writes(&self) -> bool;
    /// What is written here cannot be kept: clients' writes are refused.
    fn disk_fails(&self) -> bool;
    /// The server ends.
    fn is_ending(&self) -> bool;
    /// Waits while DEBUG SLEEP has the server stand still: other nodes are to take it for dead.
    fn stand_still(&self) {}
}
