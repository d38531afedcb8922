//! (P|S)SUBSCRIBE and (P|S)UNSUBSCRIBE: one confirmation per name, each a push of its own.

use crate::client::SubscriptionKind;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{ChannelUse, CommandSpec, Group, KeySpec};

const SUBSCRIBE_SPEC: CommandSpec = CommandSpec::new("subscribe", -2, Group::PubSub, "pubsub noscript loading stale")
    .channels(ChannelUse::Names)
    .since("2.0.0")
    .args("channel...")
    .doc("Subscribes to channels.", "O(N), N: channels");

const UNSUBSCRIBE_SPEC: CommandSpec =
    CommandSpec::new("unsubscribe", -1, Group::PubSub, "pubsub noscript loading stale")
        .since("2.0.0")
        .args("[channel...]")
        .doc("Ends subscriptions to channels.", "O(N), N: channels");

const PSUBSCRIBE_SPEC: CommandSpec = CommandSpec::new("psubscribe", -2, Group::PubSub, "pubsub noscript loading stale")
    .channels(ChannelUse::Patterns)
    .since("2.0.0")
    .args("pattern:pattern...")
    .doc("Subscribes to channels by patterns.", "O(N), N: patterns");

const PUNSUBSCRIBE_SPEC: CommandSpec =
    CommandSpec::new("punsubscribe", -1, Group::PubSub, "pubsub noscript loading stale")
        .since("2.0.0")
        .args("[pattern:pattern...]")
        .doc("Ends subscriptions by pattern.", "O(N), N: patterns");

const SSUBSCRIBE_SPEC: CommandSpec = CommandSpec::new("ssubscribe", -2, Group::PubSub, "pubsub noscript loading stale")
    .channels(ChannelUse::Names)
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "not_key").range(-1, 1, 0)])
    .args("shardchannel...")
    .doc("Subscribes to shard channels.", "O(N), N: shard channels");

const SUNSUBSCRIBE_SPEC: CommandSpec =
    CommandSpec::new("sunsubscribe", -1, Group::PubSub, "pubsub noscript loading stale")
        .since("7.0.0")
        .keys(&[KeySpec::index(1, "not_key").range(-1, 1, 0)])
        .args("[shardchannel...]")
        .doc("Ends subscriptions to shard channels.", "O(N), N: shard channels");

pub static SUBSCRIBE: Command = Command::node(SUBSCRIBE_SPEC, |cx| subscribe(cx, SubscriptionKind::Channel));
pub static UNSUBSCRIBE: Command = Command::node(UNSUBSCRIBE_SPEC, |cx| unsubscribe(cx, SubscriptionKind::Channel));
pub static PSUBSCRIBE: Command = Command::node(PSUBSCRIBE_SPEC, |cx| subscribe(cx, SubscriptionKind::Pattern));
pub static PUNSUBSCRIBE: Command = Command::node(PUNSUBSCRIBE_SPEC, |cx| unsubscribe(cx, SubscriptionKind::Pattern));
pub static SSUBSCRIBE: Command = Command::node(SSUBSCRIBE_SPEC, |cx| subscribe(cx, SubscriptionKind::Shard));
pub static SUNSUBSCRIBE: Command = Command::node(SUNSUBSCRIBE_SPEC, |cx| unsubscribe(cx, SubscriptionKind::Shard));

fn confirm(cx: &mut NodeContext<'_, '_>, kind: SubscriptionKind, name: Option<&[u8]>) {
    cx.reply.push(3);
    cx.reply.bulk(cx.entry.spec().name.as_bytes());
    match name {
        Some(name) => cx.reply.bulk(name),
        None => cx.reply.null(),
    }
    cx.reply.integer(cx.client.subscriptions.counted(kind) as i64);
}

fn subscribe(cx: &mut NodeContext<'_, '_>, kind: SubscriptionKind) -> Outcome {
    if cx.nested && kind == SubscriptionKind::Shard {
        return Err(CommandError::fixed("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    for name in cx.args.from(1).iter() {
        cx.node.pubsub.subscribe(cx.client, kind, name);
        confirm(cx, kind, Some(name));
    }
    Ok(())
}

fn unsubscribe(cx: &mut NodeContext<'_, '_>, kind: SubscriptionKind) -> Outcome {
    if cx.args.len() > 1 {
        for name in cx.args.from(1).iter() {
            cx.node.pubsub.unsubscribe(cx.client, kind, name);
            confirm(cx, kind, Some(name));
        }
        return Ok(());
    }
    let names: Vec<Vec<u8>> = cx.client.subscriptions.of(kind).keys().cloned().collect();
    if names.is_empty() {
        confirm(cx, kind, None);
    }
    for name in names {
        cx.node.pubsub.unsubscribe(cx.client, kind, &name);
        confirm(cx, kind, Some(&name));
    }
    Ok(())
}
