//! REPLICAOF, SLAVEOF, ROLE.

use crate::base::number::parse_i64;
use crate::client::ReplicaPhase;
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::keyspace::Plan;
use crate::replication::failover::address_of;
use crate::replication::{Host, Replication};
use crate::spec::{CommandSpec, Group};
use std::sync::Arc;

const ROLE_SPEC: CommandSpec = CommandSpec::new("role", 1, Group::Server, "noscript loading stale fast")
    .acl("admin dangerous")
    .since("2.8.12")
    .doc("Tells the role in replication.", "O(1)");

const REPLICAOF_SPEC: CommandSpec =
    CommandSpec::new("replicaof", 3, Group::Server, "admin noscript stale no_async_loading")
        .since("5.0.0")
        .args("args{host-port(host port:integer)|no-one(NO ONE)}")
        .doc("Makes the server a replica, or a primary again.", "O(1)");

const SLAVEOF_SPEC: CommandSpec =
    CommandSpec::new("slaveof", 3, Group::Server, "admin noscript stale no_async_loading")
        .since("1.0.0")
        .deprecated("5.0.0", "`REPLICAOF`")
        .args("args{host-port(host port:integer)|no-one(NO ONE)}")
        .doc("Makes the server a replica, or a primary again.", "O(1)");

pub static ROLE: Command = Command::node(ROLE_SPEC, role);
// A span: whom a server follows changes while all stripes are held, and inside EXEC they are.
pub static REPLICAOF: Command = Command::span(REPLICAOF_SPEC, replicaof);
pub static SLAVEOF: Command = Command::span(SLAVEOF_SPEC, replicaof);

fn replicaof(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let node = Arc::clone(cx.node);
    let this = &node.replication;
    if node.cluster.is_some() {
        return Err(CommandError::fixed("ERR REPLICAOF not allowed in cluster mode."));
    }
    if this.failover.lock().is_going_on() {
        return Err(CommandError::fixed("ERR REPLICAOF not allowed while failing over."));
    }
    if is(cx.args.at(1), "NO") && is(cx.args.at(2), "ONE") {
        if this.follower.following().is_some() {
            at_one_instant(cx, |space| Replication::lead(&*node, space).map_err(CommandError::err))?;
            tracing::info!("PRIMARY MODE enabled (user request from '{}')", cx.client.shared.addr);
            node.config.adjust(|c| c.replication.replicaof = None);
        }
        cx.reply.ok();
        return Ok(());
    }
    if cx.client.shared.replica.load(std::sync::atomic::Ordering::Relaxed) {
        // It would follow us while we follow somebody at its word.
        return Err(CommandError::fixed("ERR Command is not valid when client is a replica."));
    }
    let port = parse_i64(cx.args.at(2)).and_then(|p| u16::try_from(p).ok());
    let port = port.ok_or(CommandError::fixed("ERR Invalid master port"))?;
    let address = std::str::from_utf8(cx.args.at(1)).ok().filter(|a| is_host(a));
    let address = address.ok_or(CommandError::fixed("ERR Invalid master host"))?;
    if this.follower.following().is_some_and(|f| f.port == port && f.host.eq_ignore_ascii_case(address)) {
        tracing::info!("REPLICAOF would result into synchronization with the primary we are already connected with.");
        cx.reply.status("OK Already connected to specified master");
        return Ok(());
    }
    let host: Arc<dyn Host> = Arc::clone(&node) as Arc<dyn Host>;
    at_one_instant(cx, |space| Replication::follow(&host, space, address, port, false).map_err(CommandError::err))?;
    tracing::info!("REPLICAOF {address}:{port} enabled (user request from '{}')", cx.client.shared.addr);
    node.config.adjust(|c| c.replication.replicaof = Some((address.to_owned(), port)));
    cx.reply.ok();
    Ok(())
}

/// What may stand in a configuration as the name of a host.
fn is_host(name: &str) -> bool {
    !name.is_empty() && name.len() < 256 && !name.contains(|c: char| c.is_control() || c == ' ')
}

fn at_one_instant(cx: &mut NodeContext<'_, '_>, f: impl FnOnce(&crate::keyspace::Space<'_>) -> Outcome) -> Outcome {
    if cx.space.is_whole() {
        return f(cx.space);
    }
    cx.space.lock(&Plan::All);
    let outcome = f(cx.space);
    cx.space.unlock();
    outcome
}

fn role(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let this = &cx.node.replication;
    if let Some(f) = this.follower.following() {
        let offset =
            if f.state == crate::replication::LinkState::Connected { cx.node.journal.end() as i64 } else { -1 };
        cx.reply.array(5);
        cx.reply.bulk(b"slave");
        cx.reply.bulk(f.host.as_bytes());
        cx.reply.integer(i64::from(f.port));
        cx.reply.bulk(f.state.name().as_bytes());
        cx.reply.integer(offset);
        return Ok(());
    }
    let online: Vec<_> =
        this.replicas.all().into_iter().filter(|r| r.facts.lock().phase == ReplicaPhase::Online).collect();
    cx.reply.array(3);
    cx.reply.bulk(b"master");
    cx.reply.integer(cx.node.journal.end() as i64);
    cx.reply.array(online.len());
    for r in online {
        let (address, port) = address_of(&r);
        cx.reply.array(3);
        cx.reply.bulk(address.as_bytes());
        cx.reply.bulk(port.to_string().as_bytes());
        cx.reply.bulk(r.facts.lock().acked.to_string().as_bytes());
    }
    Ok(())
}
