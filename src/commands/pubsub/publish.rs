//! PUBLISH and SPUBLISH.

use crate::client::Source;
use crate::cluster::Host;
use crate::commands::{Command, NodeContext, Outcome};
use crate::spec::{ChannelUse, CommandSpec, Group, KeySpec};
use std::sync::Arc;

const PUBLISH_SPEC: CommandSpec =
    CommandSpec::new("publish", 3, Group::PubSub, "pubsub loading stale fast may_replicate")
        .channels(ChannelUse::First)
        .since("2.0.0")
        .args("channel message")
        .doc("Sends a message to a channel.", "O(N+M), N: subscribers of the channel, M: patterns subscribed to");

const SPUBLISH_SPEC: CommandSpec =
    CommandSpec::new("spublish", 3, Group::PubSub, "pubsub loading stale fast may_replicate")
        .channels(ChannelUse::First)
        .since("7.0.0")
        .keys(&[KeySpec::index(1, "not_key")])
        .args("shardchannel message")
        .doc("Sends a message to a shard channel.", "O(N), N: subscribers of the shard channel");

pub static PUBLISH: Command = Command::node(PUBLISH_SPEC, publish);
pub static SPUBLISH: Command = Command::node(SPUBLISH_SPEC, spublish);

/// Other nodes of a cluster have subscribers too; what comes from a primary or a log has been told to them there. True if it was.
fn over_bus(cx: &NodeContext<'_, '_>, shard: bool) -> bool {
    let Some(cluster) = cx.node.cluster.as_ref().filter(|_| cx.client.source == Source::Connection) else {
        return false;
    };
    let host: Arc<dyn Host> = Arc::clone(cx.node) as Arc<dyn Host>;
    cluster.order(&*host, |m| m.publish(shard, cx.args.at(1), cx.args.at(2)));
    true
}

/// Replicas have subscribers too: they hear it at its place in the stream.
fn forward(cx: &mut NodeContext<'_, '_>) {
    if !cx.node.journal.is_read() {
        return;
    }
    if cx.nested {
        // A part of the transaction's step.
        cx.space.changes.effects.push_args(cx.client.db, cx.args);
    } else {
        cx.node.journal.append_talk(&cx.args.iter().collect::<Vec<_>>());
    }
}

fn publish(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if !over_bus(cx, false) {
        forward(cx);
    }
    let n = cx.node.pubsub.publish(&cx.node.clients, cx.args.at(1), cx.args.at(2));
    cx.reply.integer(n as i64);
    Ok(())
}

fn spublish(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if !over_bus(cx, true) {
        forward(cx);
    }
    let n = cx.node.pubsub.publish_shard(&cx.node.clients, cx.args.at(1), cx.args.at(2));
    cx.reply.integer(n as i64);
    Ok(())
}
