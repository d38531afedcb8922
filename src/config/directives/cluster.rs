//! Cluster: membership, failover, what is announced.

use crate::config::codec::{INT, LONG, MEM_LONG, OneOf, PORT, Text, YesNo, int, mem};
use crate::config::row::{Standing, topic};
use crate::config::types::{ClusterConfigSave, ClusterPreferredEndpoint};

const STATS: &str = "requests are not counted by slot";
const MOVES: &str = "slots move key by key (CLUSTER SETSLOT and MIGRATE), not at once";

fn config_file(text: &str) -> Result<(), &'static str> {
    if text.is_empty() { Err("cluster-config-file can't be empty") } else { Ok(()) }
}

fn ipv4(text: &str) -> Result<(), &'static str> {
    let valid = text.is_empty() || text.parse::<std::net::Ipv4Addr>().is_ok();
    valid.then_some(()).ok_or("Invalid IPv4 address")
}

fn ipv6(text: &str) -> Result<(), &'static str> {
    let valid = text.is_empty() || text.parse::<std::net::Ipv6Addr>().is_ok();
    valid.then_some(()).ok_or("Invalid IPv6 address")
}

/// Text that is sent in gossip and in lists with spaces and commas between them.
fn auxiliary(text: &str) -> bool {
    let separates = |byte| b"!#$%&()*+,;<>?@[]^{|}~'\"\\=`".contains(&byte);
    text.bytes().all(|byte| byte >= 0x80 || (byte.is_ascii_graphic() && !separates(byte)))
}

fn announce_ip(text: &str) -> Result<(), &'static str> {
    // As many bytes as a message of the bus has for it.
    if text.len() > 45 {
        return Err("cluster-announce-ip is too long");
    }
    auxiliary(text).then_some(()).ok_or("cluster-announce-ip contains invalid character")
}

fn human_nodename(text: &str) -> Result<(), &'static str> {
    auxiliary(text).then_some(()).ok_or("Announced human node name contained invalid character")
}

fn hostname(text: &str) -> Result<(), &'static str> {
    if text.len() >= 256 {
        return Err("Hostnames must be less than 256 characters");
    }
    let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    valid.then_some(()).ok_or("Hostnames may only contain alphanumeric characters, hyphens or dots")
}

topic! {
    /// Membership, failover, what is announced.
    Cluster in cluster, "Cluster";

    /// Be a node of a cluster, with a bus to the others.
    "cluster-enabled" => enabled: bool = false, YesNo, Start, Open, Standing::Works;
    /// File the node keeps its view of the cluster in.
    "cluster-config-file" => config_file: String = "nodes.conf".into(), Text { check: config_file }, Start, Open, Standing::Works;
    /// Whether a failure to save it stops the node.
    "cluster-config-save-behavior" => config_save_behavior: ClusterConfigSave = ClusterConfigSave::Sync, OneOf, Runtime, Open, Standing::Works;
    /// Databases in cluster mode.
    "cluster-databases" => databases: u32 = 1, int(1, i32::MAX as i128), Start, Open, Standing::Works;
    /// Milliseconds after which a silent node is suspected.
    "cluster-node-timeout" => node_timeout_ms: u64 = 15_000, LONG, Runtime, Open, Standing::Works;
    /// Milliseconds between two pings on the bus.
    "cluster-ping-interval" => ping_interval_ms: u64 = 1000, LONG, Runtime, Hidden, Standing::Works;
    /// Of the nodes, how many percent a message of the bus tells of.
    "cluster-message-gossip-perc" => message_gossip_percent: u32 = 10, int(1, 100), Runtime, Hidden, Standing::Works;
    /// Port of the bus; 0 is the client port plus 10000.
    "cluster-port" => port: u16 = 0, PORT, Start, Open, Standing::Works;
    /// How old a replica's data may be for it to be promoted, in node timeouts; 0 is any age.
    "cluster-replica-validity-factor" | "cluster-slave-validity-factor" => replica_validity_factor: u32 = 10, INT, Runtime, Open, Standing::Works;
    /// Never promote this node by itself.
    "cluster-replica-no-failover" | "cluster-slave-no-failover" => replica_no_failover: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Replicas a primary keeps when others are given away.
    "cluster-migration-barrier" => migration_barrier: u32 = 1, INT, Runtime, Open, Standing::Works;
    /// Let replicas move to primaries that have none.
    "cluster-allow-replica-migration" => allow_replica_migration: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Refuse queries while a slot has no node.
    "cluster-require-full-coverage" => require_full_coverage: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Answer reads while the cluster is down.
    "cluster-allow-reads-when-down" => allow_reads_when_down: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Serve sharded channels while the cluster is down.
    "cluster-allow-pubsubshard-when-down" => allow_pubsubshard_when_down: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Bytes a link of the bus may hold unsent; 0 is no limit.
    "cluster-link-sendbuf-limit" => link_sendbuf_limit: u64 = 0, MEM_LONG, Runtime, Open, Standing::Works;
    /// Milliseconds a manual failover may take.
    "cluster-manual-failover-timeout" => manual_failover_timeout_ms: u32 = 5000, int(1, i32::MAX as i128), Runtime, Open, Standing::Works;
    /// Seconds a forgotten node stays forgotten.
    "cluster-blacklist-ttl" => blacklist_ttl_secs: u64 = 60, LONG, Runtime, Open, Standing::Works;
    /// Count requests for each slot.
    "cluster-slot-stats-enabled" => slot_stats_enabled: bool = false, YesNo, Runtime, Open, Standing::Later(STATS);
    /// Length of the log of slot moves.
    "cluster-slot-migration-log-max-len" => slot_migration_log_max_len: u64 = 1000, LONG, Runtime, Open, Standing::Later(MOVES);
    /// Bytes that may be left over when a slot move pauses its writers; -1 is any number.
    "slot-migration-max-failover-repl-bytes" => slot_migration_max_failover_repl_bytes: i64 = 0, mem(-1, i64::MAX as i128), Runtime, Open, Standing::Later(MOVES);
    /// What clients are told to connect to.
    "cluster-preferred-endpoint-type" => preferred_endpoint_type: ClusterPreferredEndpoint = ClusterPreferredEndpoint::Ip, OneOf, Runtime, Open, Standing::Works;
    /// Address to announce.
    "cluster-announce-ip" => announce_ip: Option<String> = None, Text { check: announce_ip }, Runtime, Open, Standing::Works;
    /// IPv4 address to announce to clients.
    "cluster-announce-client-ipv4" => announce_client_ipv4: Option<String> = None, Text { check: ipv4 }, Runtime, Open, Standing::Works;
    /// IPv6 address to announce to clients.
    "cluster-announce-client-ipv6" => announce_client_ipv6: Option<String> = None, Text { check: ipv6 }, Runtime, Open, Standing::Works;
    /// Port to announce; 0 is the real one.
    "cluster-announce-port" => announce_port: u16 = 0, PORT, Runtime, Open, Standing::Works;
    /// TLS port to announce; 0 is the real one.
    "cluster-announce-tls-port" => announce_tls_port: u16 = 0, PORT, Runtime, Open, Standing::Works;
    /// Bus port to announce; 0 is the real one.
    "cluster-announce-bus-port" => announce_bus_port: u16 = 0, PORT, Runtime, Open, Standing::Works;
    /// Port to announce to clients; 0 is the real one.
    "cluster-announce-client-port" => announce_client_port: u16 = 0, PORT, Runtime, Open, Standing::Works;
    /// TLS port to announce to clients; 0 is the real one.
    "cluster-announce-client-tls-port" => announce_client_tls_port: u16 = 0, PORT, Runtime, Open, Standing::Works;
    /// Host name to announce.
    "cluster-announce-hostname" => announce_hostname: Option<String> = None, Text { check: hostname }, Runtime, Open, Standing::Works;
    /// Name of the node for people.
    "cluster-announce-human-nodename" => announce_human_nodename: Option<String> = None, Text { check: human_nodename }, Runtime, Open, Standing::Works;
}
