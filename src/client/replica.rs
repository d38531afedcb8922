//! What a replica has told about itself, and how far it is. Written by its worker, read by INFO, WAIT and the periodic tasks.

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplicaPhase {
    /// It has introduced itself at the most.
    #[default]
    Attaching,
    /// It waits for a copy of the data set to begin.
    Waiting,
    /// The copy is being written, and on its way where it needs no file.
    Copying,
    /// The copy's file is on its way.
    Sending,
    /// It is sent the stream while its copy is on its way on another connection.
    Beside,
    /// It follows the stream.
    Online,
}

impl ReplicaPhase {
    /// As INFO prints it.
    pub fn name(self) -> &'static str {
        match self {
            ReplicaPhase::Attaching => "handshake",
            ReplicaPhase::Waiting | ReplicaPhase::Copying => "wait_bgsave",
            ReplicaPhase::Sending => "send_bulk",
            ReplicaPhase::Beside => "bg_transfer",
            ReplicaPhase::Online => "online",
        }
    }
}

impl ReplicaFacts {
    /// Which of a replica's connections it is, as INFO prints it.
    pub fn channel(&self) -> &'static str {
        match self.phase {
            _ if self.copy_channel => "rdb-channel",
            ReplicaPhase::Beside => "main-channel",
            _ => "replica",
        }
    }
}

/// What is in a copy that leaves out the keys (`REPLCONF rdb-filter-only`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyFilter {
    pub functions: bool,
}

/// What is known of a replica.
#[derive(Clone, Debug, Default)]
pub struct ReplicaFacts {
    pub phase: ReplicaPhase,
    /// `REPLCONF listening-port` and `ip-address`.
    pub port: u16,
    pub address: String,
    /// Its name in the cluster (`REPLCONF set-cluster-node-id`); empty until it says.
    pub node: String,
    /// It takes a copy whose length nobody knows.
    pub takes_eof: bool,
    /// It understands that a history may go on under another name.
    pub takes_new_id: bool,
    /// It can take the copy and the stream on two connections.
    pub takes_two: bool,
    /// It wants a copy, and no stream after it.
    pub copy_only: bool,
    /// It wants a copy without keys, of what this says.
    pub copy_filter: Option<CopyFilter>,
    /// It is the connection for the copy of a replica that has another one for the stream.
    pub copy_channel: bool,
    /// The client that is sent the copy that this one's stream goes on from.
    pub copy_client: Option<u64>,
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
