//! What a replica has told about itself, and how far it is. Written by its worker, read by INFO, WAIT and the periodic tasks.

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplicaPhase {
    /// It has introduced itself at the most.
    #[default]
    Attaching,
    /// It waits for a copy of the data set to begin.
    Waiting,
    /// The copy is on its way.
    Copying,
    /// It follows the stream.
    Online,
}

impl ReplicaPhase {
    /// As INFO prints it.
    pub fn name(self) -> &'static str {
        match self {
            ReplicaPhase::Attaching => "handshake",
            ReplicaPhase::Waiting => "wait_bgsave",
            ReplicaPhase::Copying => "send_bulk",
            ReplicaPhase::Online => "online",
        }
    }
}

/// What is known of a replica.
#[derive(Clone, Debug, Default)]
pub struct ReplicaFacts {
    pub phase: ReplicaPhase,
    /// `REPLCONF listening-port` and `ip-address`.
    pub port: u16,
    pub address: String,
    /// It takes a copy whose length nobody knows.
    pub takes_eof: bool,
    /// It understands that a history may go on under another name.
    pub takes_new_id: bool,
    pub version: String,
    /// It asked with PSYNC: it is told which history the copy is of.
    pub names_history: bool,
    /// Since when it waits for a copy (monotonic ms).
    pub waits_since_ms: u64,
    /// The offset it has applied, and when it said so (monotonic ms).
    pub acked: u64,
    pub acked_at_ms: u64,
    /// The offset it has on disk; `None` until it says that it has a log.
    pub synced: Option<u64>,
}
