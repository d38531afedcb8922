//! CLUSTER, and ASKING. Slots move key by key: what moves them at once says that it is not there.

mod describe;
mod keys;
mod nodes;
mod scan;
mod slots;

use super::{Command, CommandError, NodeContext, Outcome};
use crate::cluster::machine::Machine;
use crate::cluster::{Cluster, Host};
use crate::keyspace::{Plan, Space};
use crate::spec::{CommandSpec, Group};
use std::sync::Arc;

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

const CLUSTER_GETSLOTMIGRATIONS: CommandSpec =
    CommandSpec::sub("cluster", "getslotmigrations", 2, Group::Cluster, "admin stale no_async_loading")
        .since("9.0.0")
        .doc("Describes slot moves, running and past.", "O(N), N: moves");

const CLUSTER_MIGRATESLOTS: CommandSpec =
    CommandSpec::sub("cluster", "migrateslots", -4, Group::Cluster, "admin stale no_async_loading")
        .since("9.0.0")
        .args(
            "migration-group(SLOTSRANGE=slotsrange-token:token range(start-slot:integer \
        end-slot:integer)... NODE=node-token:token node-id)...",
        )
        .doc("Moves ranges of slots to other nodes.", "O(N), N: slots in the ranges");

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

const MOVES: &str = "slots move key by key, with CLUSTER SETSLOT and MIGRATE";
const STATS: &str = "requests are not counted by slot";

/// The cluster this server is, if it is one.
fn cluster<'a>(cx: &NodeContext<'a, '_>) -> Result<&'a Cluster, CommandError> {
    let this = cx.node.cluster.as_ref().ok_or(CommandError::NO_CLUSTER)?;
    let host: Arc<dyn Host> = Arc::clone(cx.node) as Arc<dyn Host>;
    this.refresh(&*host);
    Ok(this)
}

/// Orders the machine something.
fn order<T>(cx: &NodeContext<'_, '_>, f: impl FnOnce(&mut Machine) -> Result<T, String>) -> Result<T, CommandError> {
    let host: Arc<dyn Host> = Arc::clone(cx.node) as Arc<dyn Host>;
    cluster(cx)?.order(&*host, f).map_err(CommandError::err)
}

/// Runs `f` while every stripe is held.
fn whole<'a, 'k, T>(cx: &mut NodeContext<'a, 'k>, f: impl FnOnce(&mut NodeContext<'a, 'k>) -> T) -> T {
    if cx.space.is_whole() {
        return f(cx);
    }
    cx.space.lock(&Plan::All);
    let result = f(cx);
    cx.space.unlock();
    result
}

/// The same while every stripe is held, and with what follows from it for the data: nobody sees half of it.
fn order_whole<T>(
    cx: &mut NodeContext<'_, '_>,
    f: impl FnOnce(&mut Machine, &mut Space<'_>) -> Result<T, String>,
) -> Result<T, CommandError> {
    let host: Arc<dyn Host> = Arc::clone(cx.node) as Arc<dyn Host>;
    let node = cx.node;
    let Some(this) = &node.cluster else { return Err(CommandError::NO_CLUSTER) };
    whole(cx, |cx| {
        let result = this.order(&*host, |m| f(m, cx.space)).map_err(CommandError::err)?;
        this.perform(&host, cx.space);
        Ok(result)
    })
}

fn asking(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    cx.client.asking = true;
    cx.reply.ok();
    Ok(())
}

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::node(ASKING, asking),
    &Command::container(
        CLUSTER,
        &[
            &slots::ADDSLOTS,
            &slots::ADDSLOTSRANGE,
            &slots::BUMPEPOCH,
            &Command::missing(CLUSTER_CANCELSLOTMIGRATIONS, MOVES),
            &nodes::COUNT_FAILURE_REPORTS,
            &keys::COUNTKEYSINSLOT,
            &slots::DELSLOTS,
            &slots::DELSLOTSRANGE,
            &nodes::FAILOVER,
            &slots::FLUSHSLOT,
            &slots::FLUSHSLOTS,
            &nodes::FORGET,
            &keys::GETKEYSINSLOT,
            &Command::missing(CLUSTER_GETSLOTMIGRATIONS, MOVES),
            &describe::HELP,
            &describe::INFO,
            &keys::KEYSLOT,
            &describe::LINKS,
            &nodes::MEET,
            &Command::missing(CLUSTER_MIGRATESLOTS, MOVES),
            &describe::MYID,
            &describe::MYSHARDID,
            &describe::NODES,
            &describe::REPLICAS,
            &nodes::REPLICATE,
            &slots::RESET,
            &slots::SAVECONFIG,
            &slots::SET_CONFIG_EPOCH,
            &slots::SETSLOT,
            &describe::SHARDS,
            &describe::SLAVES,
            &Command::missing(CLUSTER_SLOT_STATS, STATS),
            &describe::SLOTS,
            &Command::missing(CLUSTER_SYNCSLOTS, MOVES),
        ],
    ),
    &scan::CLUSTERSCAN,
];
