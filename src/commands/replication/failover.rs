//! FAILOVER: hands the role of primary over in good order.

use crate::base::clock;
use crate::client::ReplicaPhase;
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::replication::Host;
use crate::replication::failover::{Wish, abort, address_of};
use crate::spec::{CommandSpec, Group};

const FAILOVER_SPEC: CommandSpec = CommandSpec::new("failover", -1, Group::Server, "admin noscript stale")
    .since("6.2.0")
    .args("[TO=target(host port:integer [FORCE])] [ABORT] [TIMEOUT=milliseconds:integer]")
    .doc("Hands the role of primary to a replica in good order.", "O(1)");

pub static FAILOVER: Command = Command::node(FAILOVER_SPEC, failover);

/// What was asked for.
enum Asked {
    Abort,
    Begin(Wish),
}

fn parse(cx: &NodeContext<'_, '_>) -> Result<Asked, CommandError> {
    let (mut wish, mut i) = (Wish::default(), 1);
    if cx.args.len() == 2 && is(cx.args.at(1), "ABORT") {
        return Ok(Asked::Abort);
    }
    while let Some(word) = cx.args.get(i) {
        let left = cx.args.len() - i - 1;
        if is(word, "TIMEOUT") && left >= 1 && wish.timeout_ms.is_none() {
            let ms = integer(cx.args.at(i + 1))?;
            if ms <= 0 {
                return Err(CommandError::fixed("ERR FAILOVER timeout must be greater than 0"));
            }
            wish.timeout_ms = Some(ms as u64);
            i += 2;
        } else if is(word, "TO") && left >= 2 && wish.target.is_none() {
            let port = integer(cx.args.at(i + 2))?;
            let address = String::from_utf8_lossy(cx.args.at(i + 1)).into_owned();
            // A port nobody can have is nobody's, which is what it is refused for below.
            wish.target = Some((address, u16::try_from(port).unwrap_or(0)));
            i += 3;
        } else if is(word, "FORCE") && !wish.force {
            wish.force = true;
            i += 1;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(Asked::Begin(wish))
}

fn failover(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let node = std::sync::Arc::clone(cx.node);
    let this = &node.replication;
    if cx.config.cluster.enabled {
        return Err(CommandError::fixed("ERR FAILOVER not allowed in cluster mode."));
    }
    if cx.nested {
        return Err(CommandError::fixed("ERR FAILOVER is not allowed inside a transaction"));
    }
    let wish = match parse(cx)? {
        Asked::Abort => {
            if !this.failover.lock().is_going_on() {
                return Err(CommandError::fixed("ERR No failover in progress."));
            }
            abort(&*node, "Failover manually aborted");
            cx.reply.ok();
            return Ok(());
        }
        Asked::Begin(wish) => wish,
    };
    if this.failover.lock().is_going_on() {
        return Err(CommandError::fixed("ERR FAILOVER already in progress."));
    }
    if this.follower.look().is_following() {
        return Err(CommandError::fixed("ERR FAILOVER is not valid when server is a replica."));
    }
    let replicas = this.replicas.all();
    if replicas.is_empty() {
        return Err(CommandError::fixed("ERR FAILOVER requires connected replicas."));
    }
    if wish.force && (wish.timeout_ms.is_none() || wish.target.is_none()) {
        return Err(CommandError::fixed(
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
        ));
    }
    if let Some(target) = &wish.target {
        let Some(replica) = replicas.iter().find(|r| address_of(r) == *target) else {
            return Err(CommandError::fixed("ERR FAILOVER target HOST and PORT is not a replica."));
        };
        if replica.facts.lock().phase != ReplicaPhase::Online {
            return Err(CommandError::fixed("ERR FAILOVER target replica is not online."));
        }
    }
    tracing::info!("FAILOVER requested: {wish:?}");
    node.pause_writes(true);
    this.failover.lock().begin(clock::monotonic_ms(), wish);
    cx.reply.ok();
    Ok(())
}
