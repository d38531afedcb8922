//! Who belongs to the cluster, and who leads: MEET, FORGET, REPLICATE, FAILOVER.

use super::{cluster, order, order_whole};
use crate::base::number::parse_i64;
use crate::client::Source;
use crate::cluster::machine::election::Failover;
use crate::cluster::node::NodeId;
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};
use std::net::IpAddr;

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

const CLUSTER_FORGET: CommandSpec =
    CommandSpec::sub("cluster", "forget", 3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("node-id")
        .doc("Removes a node from this node's view.", "O(1)");

const CLUSTER_MEET: CommandSpec =
    CommandSpec::sub("cluster", "meet", -4, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .history(&[("4.0.0", "Port of the cluster bus.")])
        .args("ip port:integer [cluster-bus-port:integer@4.0.0]")
        .doc("Introduces another node.", "O(1)");

const CLUSTER_REPLICATE: CommandSpec =
    CommandSpec::sub("cluster", "replicate", -3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .history(&[("9.0.0", "`NO ONE` detaches a replica from its primary.")])
        .args("args{node-id|no-one(NO ONE)@9.0.0}")
        .doc("Makes this node a replica of another.", "O(1)");

pub static COUNT_FAILURE_REPORTS: Command = Command::node(CLUSTER_COUNT_FAILURE_REPORTS, count_failure_reports);
pub static FAILOVER: Command = Command::span(CLUSTER_FAILOVER, failover);
pub static FORGET: Command = Command::node(CLUSTER_FORGET, forget);
pub static MEET: Command = Command::node(CLUSTER_MEET, meet);
pub static REPLICATE: Command = Command::span(CLUSTER_REPLICATE, replicate);

/// How far above a node's port its bus is, where nobody says otherwise.
const BUS_PORT_OFFSET: i64 = 10_000;

fn text(arg: &[u8]) -> String {
    String::from_utf8_lossy(&arg[..arg.len().min(64)]).into_owned()
}

fn meet(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    if cx.args.len() > 5 {
        return Err(cx.syntax_hint());
    }
    let (ip, port) = (cx.args.at(2), cx.args.at(3));
    let number = |arg: &[u8], what: &str| {
        parse_i64(arg).ok_or_else(|| CommandError::err(format_args!("Invalid {what} port specified: {}", text(arg))))
    };
    let base = number(port, "base")?;
    let bus = match cx.args.get(4) {
        None => base + BUS_PORT_OFFSET,
        Some(arg) => number(arg, "bus")?,
    };
    let ports = (u16::try_from(base).ok().filter(|p| *p != 0), u16::try_from(bus).ok().filter(|p| *p != 0));
    let address = std::str::from_utf8(ip).ok().and_then(|ip| ip.parse::<IpAddr>().ok());
    let (Some(address), (Some(base), Some(bus))) = (address, ports) else {
        return Err(CommandError::err(format_args!("Invalid node address specified: {}:{}", text(ip), text(port))));
    };
    let tls = cx.config.tls.cluster;
    let (tcp_port, tls_port) = if tls { (0, base) } else { (base, 0) };
    let address = address.to_string();
    order(cx, |m| {
        m.start_handshake(&address, tcp_port, tls_port, bus, true);
        m.dial_soon();
        Ok(())
    })?;
    cx.reply.ok();
    Ok(())
}

fn node_id(cx: &NodeContext<'_, '_>) -> Result<NodeId, CommandError> {
    let word = cx.args.at(2);
    NodeId::parse(word).ok_or_else(|| CommandError::err(format_args!("Unknown node {}", text(word))))
}

fn forget(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let id = node_id(cx)?;
    order(cx, |m| m.forget(&id))?;
    cx.reply.ok();
    Ok(())
}

fn count_failure_reports(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let id = cx.args.at(2);
    let n = cluster(cx)?.look(|m| m.named(id).map(|(handle, _)| m.reports(handle)));
    cx.reply.integer(n.map_err(CommandError::err)? as i64);
    Ok(())
}

fn replicate(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    if cx.args.len() == 4 && is(cx.args.at(2), "NO") && is(cx.args.at(3), "ONE") {
        let replica = cluster(cx)?.look(|m| !m.myself().is_primary());
        order_whole(cx, |m, _| m.detach())?;
        if replica {
            super::slots::drop_copy(cx);
        }
        cx.reply.ok();
        return Ok(());
    }
    if cx.args.len() != 3 {
        return Err(cx.syntax_hint());
    }
    let id = node_id(cx)?;
    order_whole(cx, |m, space| {
        let is_empty = crate::commands::server::flush::sizes(space).iter().all(|(keys, _)| *keys == 0);
        m.replicate(&id, is_empty)
    })?;
    cx.reply.ok();
    Ok(())
}

fn failover(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    if cx.client.source == Source::Primary && cx.args.len() == 5 && is(cx.args.at(3), "REPLICAID") {
        return take_over(cx);
    }
    let how = match cx.args.get(2) {
        None => Failover::Default,
        Some(_) if cx.args.len() > 3 => return Err(cx.syntax_hint()),
        Some(word) if is(word, "FORCE") => Failover::Force,
        Some(word) if is(word, "TAKEOVER") => Failover::Takeover,
        Some(_) => return Err(CommandError::Syntax),
    };
    tracing::info!("CLUSTER FAILOVER was asked for by {}", cx.client.shared.addr);
    order_whole(cx, |m, _| m.failover(how))?;
    cx.reply.ok();
    Ok(())
}

/// A primary that ends says in its stream which of its replicas is to take its place. That one has all the stream before it.
fn take_over(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if NodeId::parse(cx.args.at(4)) == Some(cluster(cx)?.id()) {
        order_whole(cx, |m, _| m.failover(Failover::Asked))?;
    }
    cx.reply.ok();
    Ok(())
}
