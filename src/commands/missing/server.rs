//! Disk, replication, MONITOR.

use super::Command;
use crate::spec::{CommandSpec, Group, KeySpec};

const BGREWRITEAOF: CommandSpec = CommandSpec::new("bgrewriteaof", 1, Group::Server, "admin noscript no_async_loading")
    .since("1.0.0")
    .doc("Rewrites the append-only file in the background.", "O(1)");

const FAILOVER: CommandSpec = CommandSpec::new("failover", -1, Group::Server, "admin noscript stale")
    .since("6.2.0")
    .args("[TO=target(host port:integer [FORCE])] [ABORT] [TIMEOUT=milliseconds:integer]")
    .doc("Hands the role of primary to a replica in good order.", "O(1)");

const MONITOR: CommandSpec = CommandSpec::new("monitor", 1, Group::Server, "admin noscript loading stale")
    .since("1.0.0")
    .doc("Streams every command the server handles.", "");

const PSYNC: CommandSpec = CommandSpec::new("psync", -3, Group::Server, "admin noscript no_async_loading no_multi")
    .since("2.8.0")
    .args("replicationid offset:integer")
    .doc("Asks for the stream of changes from an offset on.", "");

const REPLCONF: CommandSpec =
    CommandSpec::new("replconf", -1, Group::Server, "admin noscript loading stale allow_busy")
        .since("3.0.0")
        .system()
        .doc("Tells a primary about its replica, and the other way round.", "O(1)");

const RESTORE_ASKING: CommandSpec = CommandSpec::new("restore-asking", -4, Group::Server, "write denyoom asking")
    .acl("keyspace dangerous")
    .since("3.0.0")
    .system()
    .keys(&[KeySpec::index(1, "OW update")])
    .history(&[("3.0.0", "Word `REPLACE`."), ("5.0.0", "Word `ABSTTL`."), ("5.0.0", "Options `IDLETIME` and `FREQ`.")])
    .args(
        "key:key ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] \
        [IDLETIME=seconds:integer@5.0.0] [FREQ=frequency:integer@5.0.0]",
    )
    .doc(
        "Creates a key from a payload while its slot is being imported.",
        "O(1) and O(N*M) to rebuild, N: elements, M: their mean size",
    );

const SYNC: CommandSpec = CommandSpec::new("sync", 1, Group::Server, "admin noscript no_async_loading no_multi")
    .since("1.0.0")
    .doc("Asks for a full copy and the changes after it.", "");

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::missing(BGREWRITEAOF, "saving to disk"),
    &Command::missing(FAILOVER, "replication"),
    &Command::missing(MONITOR, "watching other clients' commands"),
    &Command::missing(PSYNC, "replication"),
    &Command::missing(REPLCONF, "replication"),
    &Command::missing(RESTORE_ASKING, "the cluster"),
    &Command::missing(SYNC, "replication"),
];
