//! CLUSTER: a cluster of one node. What needs other nodes is not there: it says so.

mod describe;
mod keys;
mod slots;

use super::{Command, CommandError, NodeContext};
use crate::cluster::Cluster;
use crate::spec::{CommandSpec, Group, KeySpec};

const ASKING: CommandSpec = CommandSpec::new("asking", 1, Group::Cluster, "fast")
    .acl("connection")
    .since("3.0.0")
    .doc("Lets the next command use a slot that is being imported.", "O(1)");

const CLUSTER: CommandSpec = CommandSpec::container("cluster", Group::Cluster, "")
    .since("3.0.0")
    .doc("Groups the commands for the cluster.", "By subcommand");

const CLUSTER_CANCELSLOTMIGRATIONS: CommandSpec =
    CommandSpec::sub("cluster", "cancelslotmigrations", 2, Group::Cluster, "admin stale no_async_loading")
        .since("9.0.0")
        .doc("Stops the slot moves that are under way.", "O(N), N: moves stopped");

const CLUSTER_COUNT_FAILURE_REPORTS: CommandSpec =
    CommandSpec::sub("cluster", "count-failure-reports", 3, Group::Cluster, "admin stale")
        .since("3.0.0")
        .tips("nondeterministic_output")
        .history(&[("9.0.0", "Reports about a node that is marked as failed no longer count.")])
        .args("node-id")
        .doc("Counts the reports that a node failed.", "O(N), N: reports");

const CLUSTER_FAILOVER: CommandSpec =
    CommandSpec::sub("cluster", "failover", -2, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("[options{FORCE|TAKEOVER}]")
        .doc("Makes this replica take over from its primary.", "O(1)");

const CLUSTER_FLUSHSLOT: CommandSpec =
    CommandSpec::sub("cluster", "flushslot", -3, Group::Cluster, "write admin no_async_loading arbitrary_keys")
        .acl("keyspace")
        .since("9.0.0")
        .args("slot:integer [flush-type{ASYNC|SYNC}]")
        .doc("Removes every key of a slot.", "O(N), N: keys in the slot");

const CLUSTER_FORGET: CommandSpec =
    CommandSpec::sub("cluster", "forget", 3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("node-id")
        .doc("Removes a node from this node's view.", "O(1)");

const CLUSTER_GETSLOTMIGRATIONS: CommandSpec =
    CommandSpec::sub("cluster", "getslotmigrations", 2, Group::Cluster, "admin stale no_async_loading")
        .since("9.0.0")
        .doc("Describes slot moves, running and past.", "O(N), N: moves");

const CLUSTER_MEET: CommandSpec =
    CommandSpec::sub("cluster", "meet", -4, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .history(&[("4.0.0", "Port of the cluster bus.")])
        .args("ip port:integer [cluster-bus-port:integer@4.0.0]")
        .doc("Introduces another node.", "O(1)");

const CLUSTER_MIGRATESLOTS: CommandSpec =
    CommandSpec::sub("cluster", "migrateslots", -4, Group::Cluster, "admin stale no_async_loading")
        .since("9.0.0")
        .args(
            "migration-group(SLOTSRANGE=slotsrange-token:token range(start-slot:integer \
        end-slot:integer)... NODE=node-token:token node-id)...",
        )
        .doc("Moves ranges of slots to other nodes.", "O(N), N: slots in the ranges");

const CLUSTER_REPLICATE: CommandSpec =
    CommandSpec::sub("cluster", "replicate", -3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .history(&[("9.0.0", "`NO ONE` detaches a replica from its primary.")])
        .args("args{node-id|no-one(NO ONE)@9.0.0}")
        .doc("Makes this node a replica of another.", "O(1)");

const CLUSTER_SETSLOT: CommandSpec =
    CommandSpec::sub("cluster", "setslot", -4, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .history(&[("8.0.0", "Option `TIMEOUT`.")])
        .args(
            "slot:integer subcommand{IMPORTING=importing/node-id/ | MIGRATING=migrating/node-id/ | \
        NODE=node/node-id/ | STABLE} [TIMEOUT=timeout:integer@8.0.0]",
        )
        .doc("Says who owns a slot, or that it is on its way.", "O(1)");

const CLUSTER_SLOT_STATS: CommandSpec = CommandSpec::sub("cluster", "slot-stats", -4, Group::Cluster, "loading stale")
    .since("8.0.0")
    .tips("nondeterministic_output request_policy:all_shards")
    .args(
        "filter{SLOTSRANGE=slotsrange(start-slot:integer end-slot:integer) | \
        ORDERBY=orderby(metric [LIMIT=limit:integer] [order{ASC|DESC}])}",
    )
    .doc("Prints figures for single slots.", "O(N), N: slots; O(N*log(N)) with `ORDERBY`");

const CLUSTER_SYNCSLOTS: CommandSpec =
    CommandSpec::sub("cluster", "syncslots", -3, Group::Cluster, "admin stale no_async_loading")
        .since("9.0.0")
        .system()
        .doc("Groups the commands by which nodes move slots.", "By subcommand");

const CLUSTERSCAN: CommandSpec = CommandSpec::new("clusterscan", -2, Group::Cluster, "readonly arbitrary_keys")
    .acl("keyspace")
    .since("9.1.0")
    .tips("nondeterministic_output request_policy:special response_policy:special")
    .keys(&[KeySpec::index(1, "not_key")])
    .args(
        "cursor [MATCH=match-pattern:pattern] [COUNT=count:integer] [TYPE=type] \
        [SLOT=slot:integer]",
    )
    .doc("Walks over the keys of the cluster in steps.", "O(N), N: elements returned");

const BUS: &str = "this server is a cluster of one node, and has no bus to others";

/// The cluster this server is, if it is one.
fn cluster<'a>(cx: &NodeContext<'a, '_>) -> Result<&'a Cluster, CommandError> {
    cx.node.cluster.as_ref().ok_or(CommandError::NO_CLUSTER)
}

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::missing(ASKING, BUS),
    &Command::container(
        CLUSTER,
        &[
            &slots::ADDSLOTS,
            &slots::ADDSLOTSRANGE,
            &slots::BUMPEPOCH,
            &Command::missing(CLUSTER_CANCELSLOTMIGRATIONS, BUS),
            &Command::missing(CLUSTER_COUNT_FAILURE_REPORTS, BUS),
            &keys::COUNTKEYSINSLOT,
            &slots::DELSLOTS,
            &slots::DELSLOTSRANGE,
            &Command::missing(CLUSTER_FAILOVER, BUS),
            &Command::missing(CLUSTER_FLUSHSLOT, BUS),
            &slots::FLUSHSLOTS,
            &Command::missing(CLUSTER_FORGET, BUS),
            &keys::GETKEYSINSLOT,
            &Command::missing(CLUSTER_GETSLOTMIGRATIONS, BUS),
            &describe::HELP,
            &describe::INFO,
            &keys::KEYSLOT,
            &describe::LINKS,
            &Command::missing(CLUSTER_MEET, BUS),
            &Command::missing(CLUSTER_MIGRATESLOTS, BUS),
            &describe::MYID,
            &describe::MYSHARDID,
            &describe::NODES,
            &describe::REPLICAS,
            &Command::missing(CLUSTER_REPLICATE, BUS),
            &slots::RESET,
            &slots::SAVECONFIG,
            &slots::SET_CONFIG_EPOCH,
            &Command::missing(CLUSTER_SETSLOT, BUS),
            &describe::SHARDS,
            &describe::SLAVES,
            &Command::missing(CLUSTER_SLOT_STATS, BUS),
            &describe::SLOTS,
            &Command::missing(CLUSTER_SYNCSLOTS, BUS),
        ],
    ),
    &Command::missing(CLUSTERSCAN, BUS),
];
