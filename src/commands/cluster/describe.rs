//! What the cluster looks like from this node.

use super::cluster;
use crate::base::slot::{self, SlotId};
use crate::cluster::machine::{Machine, NOBODY};
use crate::cluster::node::{Node, flag};
use crate::cluster::wire::KINDS;
use crate::cluster::{Seen, line_behind_address};
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::config::types::ClusterPreferredEndpoint;
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group};
use std::collections::BTreeMap;
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

/// How the client is connected.
fn seen(cx: &NodeContext<'_, '_>) -> Seen {
    let shared = &cx.client.shared;
    Seen {
        tls: shared.tls.load(Ordering::Relaxed),
        ipv6: shared.addr.starts_with('['),
        kind: cx.config.cluster.preferred_endpoint_type,
    }
}

fn info(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let out = cluster(cx)?.look(info_text);
    cx.reply.verbatim("txt", out.as_bytes());
    Ok(())
}

fn info_text(m: &Machine) -> String {
    let mut out = String::new();
    let of_slots =
        |wanted: &dyn Fn(&Node) -> bool| -> usize { m.nodes.values().filter(|n| wanted(n)).map(|n| n.count).sum() };
    let of_nodes = |wanted: &dyn Fn(&Node) -> bool| m.known().filter(|(_, n)| wanted(n)).count();
    let assigned = of_slots(&|_| true);
    let failed = of_slots(&|n| n.is(flag::FAIL));
    let suspected = of_slots(&|n| n.is(flag::PFAIL) && !n.is(flag::FAIL));
    let epoch = match m.my_primary().and_then(|h| m.nodes.get(&h)).filter(|_| m.myself().is(flag::REPLICA)) {
        Some(primary) => primary.config_epoch,
        None => m.myself().config_epoch,
    };
    let rows = [
        ("cluster_slots_assigned", assigned as u64),
        ("cluster_slots_ok", (assigned - failed - suspected) as u64),
        ("cluster_slots_pfail", suspected as u64),
        ("cluster_slots_fail", failed as u64),
        ("cluster_nodes_pfail", of_nodes(&|n| n.is(flag::PFAIL)) as u64),
        ("cluster_nodes_fail", of_nodes(&|n| n.is(flag::FAIL)) as u64),
        ("cluster_voting_nodes_pfail", of_nodes(&|n| n.is(flag::PFAIL) && n.votes()) as u64),
        ("cluster_voting_nodes_fail", of_nodes(&|n| n.is(flag::FAIL) && n.votes()) as u64),
        ("cluster_known_nodes", m.nodes.len() as u64),
        ("cluster_size", m.size as u64),
        ("cluster_current_epoch", m.current_epoch),
        ("cluster_my_epoch", epoch),
    ];
    let _ = write!(out, "cluster_state:{}\r\n", if m.is_up { "ok" } else { "fail" });
    for (name, n) in rows {
        let _ = write!(out, "{name}:{n}\r\n");
    }
    let f = &m.figures;
    for (way, counts) in [("sent", &f.sent), ("received", &f.received)] {
        for kind in KINDS.into_iter().filter(|k| counts[k.index()] > 0) {
            let _ = write!(out, "cluster_stats_messages_{}_{way}:{}\r\n", kind.name(), counts[kind.index()]);
        }
        let _ = write!(out, "cluster_stats_messages_{way}:{}\r\n", counts.iter().sum::<u64>());
    }
    for (name, n) in [
        ("cluster_stats_bytes_sent", f.bytes_sent),
        ("cluster_stats_bytes_received", f.bytes_received),
        ("cluster_stats_pubsub_bytes_sent", f.pubsub_bytes_sent),
        ("cluster_stats_pubsub_bytes_received", f.pubsub_bytes_received),
        ("cluster_stats_module_bytes_sent", 0),
        ("cluster_stats_module_bytes_received", 0),
        ("total_cluster_links_buffer_limit_exceeded", f.links_over_limit),
    ] {
        let _ = write!(out, "{name}:{n}\r\n");
    }
    out
}

/// A node's line in CLUSTER NODES, without its end.
fn line(m: &Machine, node: &Node, seen: Seen) -> String {
    let a = &node.address;
    let mut line = format!("{} {}:{}@{}", node.id, a.client_ip(seen), a.client_port(seen), a.bus_port);
    if !a.hostname.is_empty() {
        let _ = write!(line, ",{}", a.hostname);
    }
    line + &line_behind_address(m, node)
}

fn nodes(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let seen = seen(cx);
    let text = cluster(cx)?.look(|m| {
        let mut text = String::new();
        // A node that is being met has no name yet, but an address that says so.
        for node in m.nodes.values() {
            text.push_str(&line(m, node, seen));
            text.push('\n');
        }
        text
    });
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// The endpoint that clients are to use, and what else they may know.
fn endpoint(reply: &mut Reply, node: &Node, seen: Seen) {
    let a = &node.address;
    let mut more: Vec<(&str, &str)> = Vec::new();
    match seen.kind {
        ClusterPreferredEndpoint::Ip => reply.bulk(a.client_ip(seen).as_bytes()),
        ClusterPreferredEndpoint::Hostname if a.hostname.is_empty() => reply.bulk(b"?"),
        ClusterPreferredEndpoint::Hostname => reply.bulk(a.hostname.as_bytes()),
        ClusterPreferredEndpoint::UnknownEndpoint => reply.null(),
    }
    reply.integer(i64::from(a.client_port(seen)));
    reply.bulk(node.id.bytes());
    if seen.kind != ClusterPreferredEndpoint::Ip && !a.client_ip(seen).is_empty() {
        more.push(("ip", a.client_ip(seen)));
    }
    if seen.kind != ClusterPreferredEndpoint::Hostname && !a.hostname.is_empty() {
        more.push(("hostname", &a.hostname));
    }
    if !a.zone.is_empty() {
        more.push(("availability-zone", &a.zone));
    }
    reply.map(more.len());
    for (name, value) in more {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

/// Runs of slots that one node has.
fn runs(m: &Machine) -> Vec<(u16, u16, u32)> {
    let mut found: Vec<(u16, u16, u32)> = Vec::new();
    for slot in (0..slot::SLOTS as u16).filter_map(SlotId::new) {
        let (owner, n) = (m.owner(slot), slot.get());
        match found.last_mut() {
            Some((_, last, of)) if *of == owner && *last + 1 == n => *last = n,
            _ if owner != NOBODY => found.push((n, n, owner)),
            _ => {}
        }
    }
    found
}

fn slots(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let seen = seen(cx);
    let this = cluster(cx)?;
    let own_offset = cx.node.journal.end();
    let reply = &mut *cx.reply;
    this.look(|m| {
        let runs = runs(m);
        reply.array(runs.len());
        for (first, last, owner) in runs {
            let Some(primary) = m.nodes.get(&owner) else { continue };
            let replicas: Vec<&Node> = m
                .sorted_replicas(primary.id)
                .into_iter()
                .filter(|(h, n)| !n.is(flag::FAIL) && (n.offset > 0 || (*h == m.me && own_offset > 0)))
                .map(|(_, n)| n)
                .collect();
            reply.array(3 + replicas.len());
            reply.integer(i64::from(first));
            reply.integer(i64::from(last));
            for node in std::iter::once(primary).chain(replicas) {
                reply.array(4);
                endpoint(reply, node, seen);
            }
        }
    });
    Ok(())
}

fn shards(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let seen = seen(cx);
    let this = cluster(cx)?;
    let own_offset = cx.node.journal.end();
    let loading = cx.node.loading.is_running() || cx.node.replication.follower.look().is_loading();
    let reply = &mut *cx.reply;
    this.look(|m| {
        let mut shards: BTreeMap<_, Vec<(u32, &Node)>> = BTreeMap::new();
        for (handle, node) in m.known() {
            shards.entry(node.shard).or_default().push((handle, node));
        }
        reply.array(shards.len());
        for (id, mut nodes) in shards {
            // The one with the slots first.
            nodes.sort_by_key(|(_, n)| (!n.is_primary(), n.id));
            reply.map(3);
            reply.bulk(b"slots");
            let ranges: Vec<(u16, u16)> = nodes.iter().flat_map(|(_, n)| n.slots.ranges()).collect();
            reply.array(ranges.len() * 2);
            for (first, last) in ranges {
                reply.integer(i64::from(first));
                reply.integer(i64::from(last));
            }
            reply.bulk(b"nodes");
            reply.array(nodes.len());
            for (handle, node) in nodes {
                let offset = if handle == m.me { own_offset } else { node.offset };
                let health = match (handle == m.me, node.is(flag::FAIL)) {
                    (true, _) if loading => "loading",
                    (_, true) => "fail",
                    (false, _) if node.is(flag::REPLICA) && node.offset == 0 => "loading",
                    _ => "online",
                };
                shard_node(reply, node, seen, offset, health);
            }
            reply.bulk(b"id");
            reply.bulk(id.bytes());
        }
    });
    Ok(())
}

fn shard_node(r: &mut Reply, node: &Node, seen: Seen, offset: u64, health: &str) {
    let a = &node.address;
    let or = |own: u16, other: u16| if other == 0 || own == 0 { other } else { own };
    let ports = [("port", or(a.client_port, a.tcp_port)), ("tls-port", or(a.client_tls_port, a.tls_port))];
    let texts = [("hostname", &a.hostname), ("availability-zone", &a.zone)];
    let more = ports.iter().filter(|(_, p)| *p != 0).count() + texts.iter().filter(|(_, t)| !t.is_empty()).count();
    r.map(6 + more);
    let mut pair = |name: &str, value: &[u8]| {
        r.bulk(name.as_bytes());
        r.bulk(value);
    };
    pair("id", node.id.bytes());
    for (name, port) in ports.into_iter().filter(|(_, p)| *p != 0) {
        r.bulk(name.as_bytes());
        r.integer(i64::from(port));
    }
    r.bulk(b"ip");
    r.bulk(a.client_ip(seen).as_bytes());
    r.bulk(b"endpoint");
    match seen.kind {
        ClusterPreferredEndpoint::Ip => r.bulk(a.client_ip(seen).as_bytes()),
        ClusterPreferredEndpoint::Hostname if a.hostname.is_empty() => r.bulk(b"?"),
        ClusterPreferredEndpoint::Hostname => r.bulk(a.hostname.as_bytes()),
        ClusterPreferredEndpoint::UnknownEndpoint => r.null(),
    }
    for (name, text) in texts.into_iter().filter(|(_, t)| !t.is_empty()) {
        r.bulk(name.as_bytes());
        r.bulk(text.as_bytes());
    }
    r.bulk(b"role");
    r.bulk(if node.is_primary() { b"master" } else { b"replica" });
    r.bulk(b"replication-offset");
    r.integer(offset as i64);
    r.bulk(b"health");
    r.bulk(health.as_bytes());
}

fn myid(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let id = cluster(cx)?.id();
    cx.reply.bulk(id.bytes());
    Ok(())
}

fn myshardid(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let shard = cluster(cx)?.look(|m| m.myself().shard);
    cx.reply.bulk(shard.bytes());
    Ok(())
}

fn links(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let this = cluster(cx)?;
    let reply = &mut *cx.reply;
    this.look(|m| {
        let mut named: Vec<_> = m.links.values().filter_map(|l| Some((l, m.nodes.get(&l.node?)?))).collect();
        // Node by node, the link to it before the one from it: clients read them in pairs.
        named.sort_by_key(|(l, n)| (n.id.as_str(), l.inbound, l.created_ms));
        reply.array(named.len());
        for (link, node) in named {
            let queued = link.queued.load(Ordering::Relaxed);
            reply.map(6);
            for (name, value) in [("direction", if link.inbound { "from" } else { "to" }), ("node", node.id.as_str())] {
                reply.bulk(name.as_bytes());
                reply.bulk(value.as_bytes());
            }
            reply.bulk(b"create-time");
            reply.integer(link.created_ms as i64);
            reply.bulk(b"events");
            reply.bulk(if queued > 0 { b"rw" } else { b"r" });
            for name in ["send-buffer-allocated", "send-buffer-used"] {
                reply.bulk(name.as_bytes());
                reply.integer(queued as i64);
            }
        }
    });
    Ok(())
}

fn replicas(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let seen = seen(cx);
    let this = cluster(cx)?;
    let lines = this.look(|m| {
        let (_, node) = m.named(cx.args.at(2))?;
        if !node.is_primary() {
            return Err("The specified node is not a master".to_string());
        }
        Ok(m.sorted_replicas(node.id).into_iter().map(|(_, n)| line(m, n, seen)).collect::<Vec<_>>())
    });
    let lines = lines.map_err(CommandError::err)?;
    cx.reply.array(lines.len());
    for line in lines {
        cx.reply.bulk(line.as_bytes());
    }
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
        "COUNT-FAILURE-REPORTS <node-id>",
        "    Count the reports that a node does not answer.",
        "COUNTKEYSINSLOT <slot>",
        "    Tell how many keys are in a slot.",
        "DELSLOTS <slot> [<slot> ...]",
        "    Take slots from this node.",
        "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Take ranges of slots from this node.",
        "FAILOVER [FORCE|TAKEOVER]",
        "    Take the place of this replica's primary.",
        "FLUSHSLOT <slot> [ASYNC|SYNC]",
        "    Delete the keys of a slot.",
        "FLUSHSLOTS",
        "    Take all slots from this node.",
        "FORGET <node-id>",
        "    Forget a node.",
        "GETKEYSINSLOT <slot> <count>",
        "    List keys of a slot.",
        "INFO",
        "    Describe the cluster.",
        "KEYSLOT <key>",
        "    Tell the slot of a key.",
        "LINKS",
        "    Describe the connections to other nodes.",
        "MEET <ip> <port> [<bus-port>]",
        "    Get to know another node.",
        "MYID",
        "    Tell the id of this node.",
        "MYSHARDID",
        "    Tell the id of this node's shard.",
        "NODES",
        "    Describe the nodes.",
        "REPLICAS <node-id>",
        "    Describe the replicas of a primary.",
        "REPLICATE (<node-id>|NO ONE)",
        "    Follow a primary, or nobody.",
        "RESET [HARD|SOFT]",
        "    Begin again without other nodes and slots; HARD: under a new id.",
        "SAVECONFIG",
        "    Write the cluster's state to disk.",
        "SET-CONFIG-EPOCH <epoch>",
        "    Set the epoch of a new node.",
        "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
        "    Say that a slot comes or goes, stays, or whose it is.",
        "SHARDS",
        "    Describe the shards.",
        "SLOTS",
        "    Tell who serves which slots.",
    ])
}
