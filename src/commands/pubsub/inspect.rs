//! PUBSUB: which channels have subscribers, and how many.

use crate::client::SubscriptionKind;
use crate::commands::{Command, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};

const PUBSUB_SPEC: CommandSpec = CommandSpec::container("pubsub", Group::PubSub, "")
    .since("2.8.0")
    .doc("Groups the commands that look into publish and subscribe.", "By subcommand");

const PUBSUB_CHANNELS_SPEC: CommandSpec =
    CommandSpec::sub("pubsub", "channels", -2, Group::PubSub, "pubsub loading stale")
        .since("2.8.0")
        .args("[pattern:pattern]")
        .doc("Lists the channels that have subscribers.", "O(N), N: channels");

const PUBSUB_HELP_SPEC: CommandSpec = CommandSpec::sub("pubsub", "help", 2, Group::PubSub, "loading stale")
    .since("6.2.0")
    .doc("Prints what PUBSUB can do.", "O(1)");

const PUBSUB_NUMPAT_SPEC: CommandSpec = CommandSpec::sub("pubsub", "numpat", 2, Group::PubSub, "pubsub loading stale")
    .since("2.8.0")
    .doc("Counts the patterns subscribed to.", "O(1)");

const PUBSUB_NUMSUB_SPEC: CommandSpec = CommandSpec::sub("pubsub", "numsub", -2, Group::PubSub, "pubsub loading stale")
    .since("2.8.0")
    .args("[channel...]")
    .doc("Counts the subscribers of channels.", "O(N), N: channels asked for");

const PUBSUB_SHARDCHANNELS_SPEC: CommandSpec =
    CommandSpec::sub("pubsub", "shardchannels", -2, Group::PubSub, "pubsub loading stale")
        .since("7.0.0")
        .args("[pattern:pattern]")
        .doc("Lists the shard channels that have subscribers.", "O(N), N: shard channels");

const PUBSUB_SHARDNUMSUB_SPEC: CommandSpec =
    CommandSpec::sub("pubsub", "shardnumsub", -2, Group::PubSub, "pubsub loading stale")
        .since("7.0.0")
        .args("[shardchannel...]")
        .doc("Counts the subscribers of shard channels.", "O(N), N: shard channels asked for");

pub static PUBSUB: Command = Command::container(
    PUBSUB_SPEC,
    &[
        &Command::node(PUBSUB_CHANNELS_SPEC, |cx| channels(cx, SubscriptionKind::Channel)),
        &Command::node(PUBSUB_HELP_SPEC, help),
        &Command::node(PUBSUB_NUMPAT_SPEC, numpat),
        &Command::node(PUBSUB_NUMSUB_SPEC, |cx| numsub(cx, SubscriptionKind::Channel)),
        &Command::node(PUBSUB_SHARDCHANNELS_SPEC, |cx| channels(cx, SubscriptionKind::Shard)),
        &Command::node(PUBSUB_SHARDNUMSUB_SPEC, |cx| numsub(cx, SubscriptionKind::Shard)),
    ],
);

fn channels(cx: &mut NodeContext<'_, '_>, kind: SubscriptionKind) -> Outcome {
    if cx.args.len() > 3 {
        return Err(cx.syntax_hint());
    }
    let names = cx.node.pubsub.names(kind, cx.args.get(2));
    cx.reply.array(names.len());
    for name in &names {
        cx.reply.bulk(name);
    }
    Ok(())
}

fn numsub(cx: &mut NodeContext<'_, '_>, kind: SubscriptionKind) -> Outcome {
    cx.reply.array(2 * (cx.args.len() - 2));
    for name in cx.args.from(2).iter() {
        cx.reply.bulk(name);
        cx.reply.integer(cx.node.pubsub.subscribers(kind, name) as i64);
    }
    Ok(())
}

fn numpat(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.integer(cx.node.pubsub.len(SubscriptionKind::Pattern) as i64);
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "CHANNELS [<pattern>]",
        "    Channels with subscribers, those that match if a pattern is given.",
        "NUMPAT",
        "    How many patterns are subscribed to.",
        "NUMSUB [<channel> ...]",
        "    Subscribers of each channel; patterns do not count.",
        "SHARDCHANNELS [<pattern>]",
        "    Shard channels with subscribers.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Subscribers of each shard channel.",
    ])
}
