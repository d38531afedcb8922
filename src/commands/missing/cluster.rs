//! Cluster.

use super::Command;
use crate::spec::{CommandSpec, Group, KeySpec};

const ASKING: CommandSpec = CommandSpec::new("asking", 1, Group::Cluster, "fast")
    .acl("connection")
    .since("3.0.0")
    .doc("Lets the next command use a slot that is being imported.", "O(1)");

const CLUSTER: CommandSpec = CommandSpec::container("cluster", Group::Cluster, "")
    .since("3.0.0")
    .doc("Groups the commands for the cluster.", "By subcommand");

const CLUSTER_ADDSLOTS: CommandSpec =
    CommandSpec::sub("cluster", "addslots", -3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("slot:integer...")
        .doc("Gives slots to this node.", "O(N), N: slots");

const CLUSTER_ADDSLOTSRANGE: CommandSpec =
    CommandSpec::sub("cluster", "addslotsrange", -4, Group::Cluster, "admin stale no_async_loading")
        .since("7.0.0")
        .args("range(start-slot:integer end-slot:integer)...")
        .doc("Gives ranges of slots to this node.", "O(N), N: slots in the ranges");

const CLUSTER_BUMPEPOCH: CommandSpec =
    CommandSpec::sub("cluster", "bumpepoch", 2, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .tips("nondeterministic_output")
        .doc("Raises the configuration epoch.", "O(1)");

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

const CLUSTER_COUNTKEYSINSLOT: CommandSpec =
    CommandSpec::sub("cluster", "countkeysinslot", 3, Group::Cluster, "stale arbitrary_keys")
        .since("3.0.0")
        .args("slot:integer")
        .doc("Counts the keys of a slot.", "O(1)");

const CLUSTER_DELSLOTS: CommandSpec =
    CommandSpec::sub("cluster", "delslots", -3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("slot:integer...")
        .doc("Takes slots from their owner, as this node sees it.", "O(N), N: slots");

const CLUSTER_DELSLOTSRANGE: CommandSpec =
    CommandSpec::sub("cluster", "delslotsrange", -4, Group::Cluster, "admin stale no_async_loading")
        .since("7.0.0")
        .args("range(start-slot:integer end-slot:integer)...")
        .doc("Takes ranges of slots from their owner, as this node sees it.", "O(N), N: slots in the ranges");

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

const CLUSTER_FLUSHSLOTS: CommandSpec =
    CommandSpec::sub("cluster", "flushslots", 2, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .doc("Takes all slots from this node.", "O(1)");

const CLUSTER_FORGET: CommandSpec =
    CommandSpec::sub("cluster", "forget", 3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("node-id")
        .doc("Removes a node from this node's view.", "O(1)");

const CLUSTER_GETKEYSINSLOT: CommandSpec =
    CommandSpec::sub("cluster", "getkeysinslot", 4, Group::Cluster, "stale arbitrary_keys")
        .since("3.0.0")
        .tips("nondeterministic_output")
        .args("slot:integer count:integer")
        .doc("Lists keys of a slot.", "O(N), N: keys asked for");

const CLUSTER_GETSLOTMIGRATIONS: CommandSpec =
    CommandSpec::sub("cluster", "getslotmigrations", 2, Group::Cluster, "admin stale no_async_loading")
        .since("9.0.0")
        .doc("Describes slot moves, running and past.", "O(N), N: moves");

const CLUSTER_HELP: CommandSpec = CommandSpec::sub("cluster", "help", 2, Group::Cluster, "loading stale")
    .since("5.0.0")
    .doc("Prints what CLUSTER can do.", "O(1)");

const CLUSTER_INFO: CommandSpec = CommandSpec::sub("cluster", "info", 2, Group::Cluster, "loading stale")
    .since("3.0.0")
    .tips("nondeterministic_output")
    .doc("Prints the state of the cluster.", "O(1)");

const CLUSTER_KEYSLOT: CommandSpec = CommandSpec::sub("cluster", "keyslot", 3, Group::Cluster, "stale")
    .since("3.0.0")
    .args("key")
    .doc("Tells the slot of a key.", "O(N), N: bytes of the key");

const CLUSTER_LINKS: CommandSpec = CommandSpec::sub("cluster", "links", 2, Group::Cluster, "stale")
    .since("7.0.0")
    .tips("nondeterministic_output")
    .doc("Describes the links to the other nodes.", "O(N), N: nodes");

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

const CLUSTER_MYID: CommandSpec = CommandSpec::sub("cluster", "myid", 2, Group::Cluster, "loading stale")
    .since("3.0.0")
    .doc("Tells the id of this node.", "O(1)");

const CLUSTER_MYSHARDID: CommandSpec = CommandSpec::sub("cluster", "myshardid", 2, Group::Cluster, "loading stale")
    .since("7.2.0")
    .tips("nondeterministic_output")
    .doc("Tells the id of this node's shard.", "O(1)");

const CLUSTER_NODES: CommandSpec = CommandSpec::sub("cluster", "nodes", 2, Group::Cluster, "loading stale")
    .since("3.0.0")
    .tips("nondeterministic_output")
    .doc("Prints the nodes as the configuration file has them.", "O(N), N: nodes");

const CLUSTER_REPLICAS: CommandSpec = CommandSpec::sub("cluster", "replicas", 3, Group::Cluster, "admin stale")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .args("node-id")
    .doc("Lists the replicas of a primary.", "O(N), N: replicas");

const CLUSTER_REPLICATE: CommandSpec =
    CommandSpec::sub("cluster", "replicate", -3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .history(&[("9.0.0", "`NO ONE` detaches a replica from its primary.")])
        .args("args{node-id|no-one(NO ONE)@9.0.0}")
        .doc("Makes this node a replica of another.", "O(1)");

const CLUSTER_RESET: CommandSpec = CommandSpec::sub("cluster", "reset", -2, Group::Cluster, "admin noscript stale")
    .since("3.0.0")
    .args("[reset-type{HARD|SOFT}]")
    .doc("Makes this node forget the cluster.", "O(N), N: nodes; a flush of all keys may come with it");

const CLUSTER_SAVECONFIG: CommandSpec =
    CommandSpec::sub("cluster", "saveconfig", 2, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .doc("Writes the cluster's state to disk.", "O(1)");

const CLUSTER_SET_CONFIG_EPOCH: CommandSpec =
    CommandSpec::sub("cluster", "set-config-epoch", 3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("config-epoch:integer")
        .doc("Sets the epoch of a new node.", "O(1)");

const CLUSTER_SETSLOT: CommandSpec =
    CommandSpec::sub("cluster", "setslot", -4, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .history(&[("8.0.0", "Option `TIMEOUT`.")])
        .args(
            "slot:integer subcommand{IMPORTING=importing/node-id/ | MIGRATING=migrating/node-id/ | \
        NODE=node/node-id/ | STABLE} [TIMEOUT=timeout:integer@8.0.0]",
        )
        .doc("Says who owns a slot, or that it is on its way.", "O(1)");

const CLUSTER_SHARDS: CommandSpec = CommandSpec::sub("cluster", "shards", 2, Group::Cluster, "loading stale")
    .since("7.0.0")
    .tips("nondeterministic_output")
    .history(&[("9.1.0", "Field `id` for shards, `availability-zone` for nodes.")])
    .doc("Describes the shards and their slots.", "O(N), N: nodes");

const CLUSTER_SLAVES: CommandSpec = CommandSpec::sub("cluster", "slaves", 3, Group::Cluster, "admin stale")
    .since("3.0.0")
    .deprecated("5.0.0", "`CLUSTER REPLICAS`")
    .tips("nondeterministic_output")
    .args("node-id")
    .doc("Lists the replicas of a primary.", "O(N), N: replicas");

const CLUSTER_SLOT_STATS: CommandSpec = CommandSpec::sub("cluster", "slot-stats", -4, Group::Cluster, "loading stale")
    .since("8.0.0")
    .tips("nondeterministic_output request_policy:all_shards")
    .args(
        "filter{SLOTSRANGE=slotsrange(start-slot:integer end-slot:integer) | \
        ORDERBY=orderby(metric [LIMIT=limit:integer] [order{ASC|DESC}])}",
    )
    .doc("Prints figures for single slots.", "O(N), N: slots; O(N*log(N)) with `ORDERBY`");

const CLUSTER_SLOTS: CommandSpec = CommandSpec::sub("cluster", "slots", 2, Group::Cluster, "loading stale")
    .since("3.0.0")
    .tips("nondeterministic_output")
    .history(&[
        ("4.0.0", "Ids of the nodes."),
        ("7.0.0", "More about how to reach a node."),
        ("9.1.0", "`availability-zone` among it."),
    ])
    .doc("Lists which nodes serve which slots.", "O(N), N: nodes");

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

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::missing(ASKING, "the cluster"),
    &Command::container(
        CLUSTER,
        &[
            &Command::missing(CLUSTER_ADDSLOTS, "the cluster"),
            &Command::missing(CLUSTER_ADDSLOTSRANGE, "the cluster"),
            &Command::missing(CLUSTER_BUMPEPOCH, "the cluster"),
            &Command::missing(CLUSTER_CANCELSLOTMIGRATIONS, "the cluster"),
            &Command::missing(CLUSTER_COUNT_FAILURE_REPORTS, "the cluster"),
            &Command::missing(CLUSTER_COUNTKEYSINSLOT, "the cluster"),
            &Command::missing(CLUSTER_DELSLOTS, "the cluster"),
            &Command::missing(CLUSTER_DELSLOTSRANGE, "the cluster"),
            &Command::missing(CLUSTER_FAILOVER, "the cluster"),
            &Command::missing(CLUSTER_FLUSHSLOT, "the cluster"),
            &Command::missing(CLUSTER_FLUSHSLOTS, "the cluster"),
            &Command::missing(CLUSTER_FORGET, "the cluster"),
            &Command::missing(CLUSTER_GETKEYSINSLOT, "the cluster"),
            &Command::missing(CLUSTER_GETSLOTMIGRATIONS, "the cluster"),
            &Command::missing(CLUSTER_HELP, "the cluster"),
            &Command::missing(CLUSTER_INFO, "the cluster"),
            &Command::missing(CLUSTER_KEYSLOT, "the cluster"),
            &Command::missing(CLUSTER_LINKS, "the cluster"),
            &Command::missing(CLUSTER_MEET, "the cluster"),
            &Command::missing(CLUSTER_MIGRATESLOTS, "the cluster"),
            &Command::missing(CLUSTER_MYID, "the cluster"),
            &Command::missing(CLUSTER_MYSHARDID, "the cluster"),
            &Command::missing(CLUSTER_NODES, "the cluster"),
            &Command::missing(CLUSTER_REPLICAS, "the cluster"),
            &Command::missing(CLUSTER_REPLICATE, "the cluster"),
            &Command::missing(CLUSTER_RESET, "the cluster"),
            &Command::missing(CLUSTER_SAVECONFIG, "the cluster"),
            &Command::missing(CLUSTER_SET_CONFIG_EPOCH, "the cluster"),
            &Command::missing(CLUSTER_SETSLOT, "the cluster"),
            &Command::missing(CLUSTER_SHARDS, "the cluster"),
            &Command::missing(CLUSTER_SLAVES, "the cluster"),
            &Command::missing(CLUSTER_SLOT_STATS, "the cluster"),
            &Command::missing(CLUSTER_SLOTS, "the cluster"),
            &Command::missing(CLUSTER_SYNCSLOTS, "the cluster"),
        ],
    ),
    &Command::missing(CLUSTERSCAN, "the cluster"),
];
