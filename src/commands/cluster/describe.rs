//! What the cluster looks like from this node: itself.

use super::cluster;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::config::Config;
use crate::spec::{CommandSpec, Group};
use std::fmt::Write;
use std::sync::atomic::Ordering;

const CLUSTER_INFO: CommandSpec = CommandSpec::sub("cluster", "info", 2, Group::Cluster, "loading stale")
    .since("3.0.0")
    .tips("nondeterministic_output")
    .doc("Prints the state of the cluster.", "O(1)");

const CLUSTER_NODES: CommandSpec = CommandSpec::sub("cluster", "nodes", 2, Group::Cluster, "loading stale")
    .since("3.0.0")
    .tips("nondeterministic_output")
    .doc("Prints the nodes as the configuration file has them.", "O(N), N: nodes");

const CLUSTER_SLOTS: CommandSpec = CommandSpec::sub("cluster", "slots", 2, Group::Cluster, "loading stale")
    .since("3.0.0")
    .tips("nondeterministic_output")
    .history(&[
        ("4.0.0", "Ids of the nodes."),
        ("7.0.0", "More about how to reach a node."),
        ("9.1.0", "`availability-zone` among it."),
    ])
    .doc("Lists which nodes serve which slots.", "O(N), N: nodes");

const CLUSTER_SHARDS: CommandSpec = CommandSpec::sub("cluster", "shards", 2, Group::Cluster, "loading stale")
    .since("7.0.0")
    .tips("nondeterministic_output")
    .history(&[("9.1.0", "Field `id` for shards, `availability-zone` for nodes.")])
    .doc("Describes the shards and their slots.", "O(N), N: nodes");

const CLUSTER_MYID: CommandSpec = CommandSpec::sub("cluster", "myid", 2, Group::Cluster, "loading stale")
    .since("3.0.0")
    .doc("Tells the id of this node.", "O(1)");

const CLUSTER_MYSHARDID: CommandSpec = CommandSpec::sub("cluster", "myshardid", 2, Group::Cluster, "loading stale")
    .since("7.2.0")
    .tips("nondeterministic_output")
    .doc("Tells the id of this node's shard.", "O(1)");

const CLUSTER_LINKS: CommandSpec = CommandSpec::sub("cluster", "links", 2, Group::Cluster, "stale")
    .since("7.0.0")
    .tips("nondeterministic_output")
    .doc("Describes the links to the other nodes.", "O(N), N: nodes");

const CLUSTER_REPLICAS: CommandSpec = CommandSpec::sub("cluster", "replicas", 3, Group::Cluster, "admin stale")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .args("node-id")
    .doc("Lists the replicas of a primary.", "O(N), N: replicas");

const CLUSTER_SLAVES: CommandSpec = CommandSpec::sub("cluster", "slaves", 3, Group::Cluster, "admin stale")
    .since("3.0.0")
    .deprecated("5.0.0", "`CLUSTER REPLICAS`")
    .tips("nondeterministic_output")
    .args("node-id")
    .doc("Lists the replicas of a primary.", "O(N), N: replicas");

const CLUSTER_HELP: CommandSpec = CommandSpec::sub("cluster", "help", 2, Group::Cluster, "loading stale")
    .since("5.0.0")
    .doc("Prints what CLUSTER can do.", "O(1)");

pub static INFO: Command = Command::node(CLUSTER_INFO, info);
pub static NODES: Command = Command::node(CLUSTER_NODES, nodes);
pub static SLOTS: Command = Command::node(CLUSTER_SLOTS, slots);
pub static SHARDS: Command = Command::node(CLUSTER_SHARDS, shards);
pub static MYID: Command = Command::node(CLUSTER_MYID, myid);
pub static MYSHARDID: Command = Command::node(CLUSTER_MYSHARDID, myshardid);
pub static LINKS: Command = Command::node(CLUSTER_LINKS, links);
pub static REPLICAS: Command = Command::node(CLUSTER_REPLICAS, replicas);
pub static SLAVES: Command = Command::node(CLUSTER_SLAVES, replicas);
pub static HELP: Command = Command::node(CLUSTER_HELP, help);

/// The address that is announced; clients that are told none take the one they are connected to.
fn address(config: &Config) -> &str {
    config.cluster.announce_ip.as_deref().unwrap_or_default()
}

fn or(announced: u16, real: u16) -> u16 {
    if announced == 0 { real } else { announced }
}

fn tcp_port(config: &Config) -> u16 {
    if config.network.port == 0 { 0 } else { or(config.cluster.announce_port, config.network.port) }
}

fn tls_port(config: &Config) -> u16 {
    if config.tls.port == 0 { 0 } else { or(config.cluster.announce_tls_port, config.tls.port) }
}

/// The port a client of this kind would connect to.
fn port(cx: &NodeContext<'_, '_>) -> u16 {
    let tls = cx.client.shared.tls.load(Ordering::Relaxed);
    let (tcp_port, tls_port) = (tcp_port(cx.config), tls_port(cx.config));
    if (tls && tls_port != 0) || tcp_port == 0 { tls_port } else { tcp_port }
}

fn info(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let this = cluster(cx)?;
    let (owned, state) = (this.count(), this.state());
    let up = this.is_whole() || (!cx.config.cluster.require_full_coverage && owned > 0);
    let mut out = String::new();
    let _ = write!(
        out,
        "cluster_state:{}\r\ncluster_slots_assigned:{owned}\r\ncluster_slots_ok:{owned}\r\ncluster_slots_pfail:0\r\n\
         cluster_slots_fail:0\r\ncluster_nodes_pfail:0\r\ncluster_nodes_fail:0\r\ncluster_voting_nodes_pfail:0\r\n\
         cluster_voting_nodes_fail:0\r\ncluster_known_nodes:1\r\ncluster_size:{}\r\ncluster_current_epoch:{}\r\n\
         cluster_my_epoch:{}\r\ncluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n\
         cluster_stats_bytes_sent:0\r\ncluster_stats_bytes_received:0\r\ncluster_stats_pubsub_bytes_sent:0\r\n\
         cluster_stats_pubsub_bytes_received:0\r\ncluster_stats_module_bytes_sent:0\r\n\
         cluster_stats_module_bytes_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n",
        if up { "ok" } else { "fail" },
        u8::from(owned > 0),
        state.current_epoch,
        state.epoch,
    );
    cx.reply.verbatim("txt", out.as_bytes());
    Ok(())
}

fn nodes(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let this = cluster(cx)?;
    let state = this.state();
    // No bus: port 0 says so.
    let mut line = format!(
        "{} {}:{}@0{}{} myself,master - 0 0 {} connected",
        state.id,
        address(cx.config),
        port(cx),
        if cx.config.cluster.announce_hostname.is_some() { "," } else { "" },
        cx.config.cluster.announce_hostname.as_deref().unwrap_or_default(),
        state.epoch
    );
    for (first, last) in this.ranges() {
        let _ = if first == last { write!(line, " {first}") } else { write!(line, " {first}-{last}") };
    }
    line.push('\n');
    cx.reply.verbatim("txt", line.as_bytes());
    Ok(())
}

fn slots(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let this = cluster(cx)?;
    let (ranges, state, port) = (this.ranges(), this.state(), port(cx));
    cx.reply.array(ranges.len());
    for (first, last) in ranges {
        cx.reply.array(3);
        cx.reply.integer(i64::from(first));
        cx.reply.integer(i64::from(last));
        cx.reply.array(4);
        cx.reply.bulk(address(cx.config).as_bytes());
        cx.reply.integer(i64::from(port));
        cx.reply.bulk(state.id.as_bytes());
        match &cx.config.cluster.announce_hostname {
            None => cx.reply.map(0),
            Some(name) => {
                cx.reply.map(1);
                cx.reply.bulk(b"hostname");
                cx.reply.bulk(name.as_bytes());
            }
        }
    }
    Ok(())
}

fn shards(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let this = cluster(cx)?;
    let (ranges, state) = (this.ranges(), this.state());
    let (tcp_port, tls_port) = (tcp_port(cx.config), tls_port(cx.config));
    let hostname = cx.config.cluster.announce_hostname.as_deref();
    let r = &mut *cx.reply;
    r.array(1);
    r.map(3);
    r.bulk(b"slots");
    r.array(ranges.len() * 2);
    for (first, last) in ranges {
        r.integer(i64::from(first));
        r.integer(i64::from(last));
    }
    r.bulk(b"nodes");
    r.array(1);
    r.map(6 + usize::from(tcp_port != 0) + usize::from(tls_port != 0) + usize::from(hostname.is_some()));
    r.bulk(b"id");
    r.bulk(state.id.as_bytes());
    for (name, port) in [("port", tcp_port), ("tls-port", tls_port)] {
        if port != 0 {
            r.bulk(name.as_bytes());
            r.integer(i64::from(port));
        }
    }
    for (name, value) in [("ip", address(cx.config)), ("endpoint", address(cx.config))] {
        r.bulk(name.as_bytes());
        r.bulk(value.as_bytes());
    }
    if let Some(name) = hostname {
        r.bulk(b"hostname");
        r.bulk(name.as_bytes());
    }
    r.bulk(b"role");
    r.bulk(b"master");
    r.bulk(b"replication-offset");
    r.integer(cx.node.journal.end() as i64);
    r.bulk(b"health");
    r.bulk(b"online");
    r.bulk(b"id");
    r.bulk(state.shard.as_bytes());
    Ok(())
}

fn myid(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let state = cluster(cx)?.state();
    cx.reply.bulk(state.id.as_bytes());
    Ok(())
}

fn myshardid(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let state = cluster(cx)?.state();
    cx.reply.bulk(state.shard.as_bytes());
    Ok(())
}

fn links(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    cx.reply.array(0);
    Ok(())
}

/// Of this node: replicas of a cluster's node find it over the bus.
fn replicas(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let state = cluster(cx)?.state();
    let id = cx.args.at(2);
    if id != state.id.as_bytes() {
        return Err(CommandError::err(format_args!(
            "Unknown node {}",
            String::from_utf8_lossy(&id[..id.len().min(64)])
        )));
    }
    cx.reply.array(0);
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    cx.help(&[
        "ADDSLOTS <slot> [<slot> ...]",
        "    Give slots to this node.",
        "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Give ranges of slots to this node.",
        "BUMPEPOCH",
        "    Raise the config epoch.",
        "COUNTKEYSINSLOT <slot>",
        "    Tell how many keys are in a slot.",
        "DELSLOTS <slot> [<slot> ...]",
        "    Take slots from this node.",
        "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Take ranges of slots from this node.",
        "FLUSHSLOTS",
        "    Take all slots from this node.",
        "GETKEYSINSLOT <slot> <count>",
        "    List keys of a slot.",
        "INFO",
        "    Describe the cluster.",
        "KEYSLOT <key>",
        "    Tell the slot of a key.",
        "MYID",
        "    Tell the id of this node.",
        "MYSHARDID",
        "    Tell the id of this node's shard.",
        "NODES",
        "    Describe the nodes.",
        "RESET [HARD|SOFT]",
        "    Begin again without slots; HARD: under a new id.",
        "SAVECONFIG",
        "    Write the cluster's state to disk.",
        "SET-CONFIG-EPOCH <epoch>",
        "    Set the epoch of a new node.",
        "SHARDS",
        "    Describe the shards.",
        "SLOTS",
        "    Tell who serves which slots.",
    ])
}
