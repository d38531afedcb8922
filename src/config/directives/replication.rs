//! Replication: whom to follow, and what replicas may do.

use crate::config::codec::{AtLeast, INT, LONG, OneOf, PORT, Password, TEXT, YesNo, int};
use crate::config::row::{Standing, topic};
use crate::config::special::Primary;
use crate::config::types::{PropagationErrorBehavior, ReplDisklessLoad, Secret};

topic! {
    /// Whom to follow, and what replicas may do.
    Replication in replication, "Replication";

    /// Follow this primary: host and port.
    "replicaof" | "slaveof" => replicaof: Option<(String, u16)> = None, Primary, Start, Open, Standing::Works;
    /// User to log in as at the primary.
    "primaryuser" | "masteruser" => primaryuser: Option<String> = None, TEXT, Runtime, Open, Standing::Works;
    /// Password for the primary.
    "primaryauth" | "masterauth" => primaryauth: Secret = Secret::default(), Password, Runtime, Secret, Standing::Works;
    /// Answer reads while the link to the primary is down.
    "replica-serve-stale-data" | "slave-serve-stale-data" => replica_serve_stale_data: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Refuse writes on a replica.
    "replica-read-only" | "slave-read-only" => replica_read_only: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Leave eviction to the primary.
    "replica-ignore-maxmemory" | "slave-ignore-maxmemory" => replica_ignore_maxmemory: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Free old data on another thread when a full synchronisation replaces it.
    "replica-lazy-flush" | "slave-lazy-flush" => replica_lazy_flush: bool = true, YesNo, Runtime, Open, Standing::Inert("old data are always freed on another thread");
    /// Lower is promoted first; 0 never.
    "replica-priority" | "slave-priority" => replica_priority: u32 = 100, INT, Runtime, Open, Standing::Works;
    /// Address to tell the primary.
    "replica-announce-ip" | "slave-announce-ip" => replica_announce_ip: Option<String> = None, TEXT, Runtime, Open, Standing::Works;
    /// Port to tell the primary.
    "replica-announce-port" | "slave-announce-port" => replica_announce_port: u16 = 0, PORT, Runtime, Open, Standing::Works;
    /// Whether Sentinel is shown this replica.
    "replica-announced" => replica_announced: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Let a replica apply what it cannot write to its disk. Otherwise it waits until it can, and its lag shows that.
    "replica-ignore-disk-write-errors" => replica_ignore_disk_write_errors: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Refuse writes with fewer replicas than this.
    "min-replicas-to-write" | "min-slaves-to-write" => min_replicas_to_write: u32 = 0, INT, Runtime, Open, Standing::Works;
    /// Seconds a replica may lag and still count.
    "min-replicas-max-lag" | "min-slaves-max-lag" => min_replicas_max_lag_secs: u32 = 10, INT, Runtime, Open, Standing::Works;
    /// Bytes kept for replicas that come back; 16 kilobytes at the least.
    "repl-backlog-size" => repl_backlog_size: u64 = 10 << 20, AtLeast(16 << 10), Runtime, Open, Standing::Works;
    /// Seconds after the last replica left until they are dropped; 0 never.
    "repl-backlog-ttl" => repl_backlog_ttl_secs: u64 = 3600, LONG, Runtime, Open, Standing::Works;
    /// Microseconds between two sends to a replica under load: what is written meanwhile goes together; after a pause some dozens go at once. Half of `repl-backlog-size` is sent at once, and anything while a client waits for replicas (`WAIT`). 0 sends after every turn.
    "repl-send-interval" => repl_send_interval_us: u32 = 2000, int(0, 10_000_000), Runtime, Open, Standing::Works;
    /// Let the kernel hold back small packets to replicas until those before them have arrived.
    "repl-disable-tcp-nodelay" => repl_disable_tcp_nodelay: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Send a full synchronisation without a file.
    "repl-diskless-sync" => repl_diskless_sync: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Seconds to wait for more replicas before it starts.
    "repl-diskless-sync-delay" => repl_diskless_sync_delay_secs: u32 = 5, INT, Runtime, Open, Standing::Works;
    /// Replicas that end that wait early; 0 waits it out.
    "repl-diskless-sync-max-replicas" => repl_diskless_sync_max_replicas: u32 = 0, INT, Runtime, Open, Standing::Works;
    /// How a replica loads one: `disabled` from a file, when it is whole; the others while it comes. `swapdb` keeps the old data until then, and serves them if they are of the same history; the others drop them first, `on-empty-db` if there are none and else by way of the file.
    "repl-diskless-load" => repl_diskless_load: ReplDisklessLoad = ReplDisklessLoad::Disabled, OneOf, Runtime, Open, Standing::Works;
    /// Seconds between pings to replicas.
    "repl-ping-replica-period" | "repl-ping-slave-period" => repl_ping_replica_period_secs: u32 = 10, int(1, i32::MAX as i128), Runtime, Open, Standing::Works;
    /// Seconds after which a silent link is dropped.
    "repl-timeout" => repl_timeout_secs: u32 = 60, int(1, i32::MAX as i128), Runtime, Open, Standing::Works;
    /// Full synchronisation and changes on two connections, where both sides have it and `repl-diskless-sync` is on.
    "dual-channel-replication-enabled" => dual_channel_replication_enabled: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// What happens when a replicated command fails: with `ignore` the replica asks for a full copy, otherwise it ends.
    "propagation-error-behavior" => propagation_error_behavior: PropagationErrorBehavior = PropagationErrorBehavior::Ignore, OneOf, Runtime, Open, Standing::Works;
}
