//! Publish and subscribe.

use super::Command;
use crate::spec::{CommandSpec, Group, KeySpec};

const PSUBSCRIBE: CommandSpec = CommandSpec::new("psubscribe", -2, Group::PubSub, "pubsub noscript loading stale")
    .since("2.0.0")
    .args("pattern:pattern...")
    .doc("Subscribes to channels by patterns.", "O(N), N: patterns");

const PUBLISH: CommandSpec = CommandSpec::new("publish", 3, Group::PubSub, "pubsub loading stale fast may_replicate")
    .since("2.0.0")
    .args("channel message")
    .doc("Sends a message to a channel.", "O(N+M), N: subscribers of the channel, M: patterns subscribed to");

const PUBSUB: CommandSpec = CommandSpec::container("pubsub", Group::PubSub, "")
    .since("2.8.0")
    .doc("Groups the commands that look into publish and subscribe.", "By subcommand");

const PUBSUB_CHANNELS: CommandSpec = CommandSpec::sub("pubsub", "channels", -2, Group::PubSub, "pubsub loading stale")
    .since("2.8.0")
    .args("[pattern:pattern]")
    .doc("Lists the channels that have subscribers.", "O(N), N: channels");

const PUBSUB_HELP: CommandSpec = CommandSpec::sub("pubsub", "help", 2, Group::PubSub, "loading stale")
    .since("6.2.0")
    .doc("Prints what PUBSUB can do.", "O(1)");

const PUBSUB_NUMPAT: CommandSpec = CommandSpec::sub("pubsub", "numpat", 2, Group::PubSub, "pubsub loading stale")
    .since("2.8.0")
    .doc("Counts the patterns subscribed to.", "O(1)");

const PUBSUB_NUMSUB: CommandSpec = CommandSpec::sub("pubsub", "numsub", -2, Group::PubSub, "pubsub loading stale")
    .since("2.8.0")
    .args("[channel...]")
    .doc("Counts the subscribers of channels.", "O(N), N: channels asked for");

const PUBSUB_SHARDCHANNELS: CommandSpec =
    CommandSpec::sub("pubsub", "shardchannels", -2, Group::PubSub, "pubsub loading stale")
        .since("7.0.0")
        .args("[pattern:pattern]")
        .doc("Lists the shard channels that have subscribers.", "O(N), N: shard channels");

const PUBSUB_SHARDNUMSUB: CommandSpec =
    CommandSpec::sub("pubsub", "shardnumsub", -2, Group::PubSub, "pubsub loading stale")
        .since("7.0.0")
        .args("[shardchannel...]")
        .doc("Counts the subscribers of shard channels.", "O(N), N: shard channels asked for");

const PUNSUBSCRIBE: CommandSpec = CommandSpec::new("punsubscribe", -1, Group::PubSub, "pubsub noscript loading stale")
    .since("2.0.0")
    .args("[pattern:pattern...]")
    .doc("Ends subscriptions by pattern.", "O(N), N: patterns");

const SPUBLISH: CommandSpec = CommandSpec::new("spublish", 3, Group::PubSub, "pubsub loading stale fast may_replicate")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "not_key")])
    .args("shardchannel message")
    .doc("Sends a message to a shard channel.", "O(N), N: subscribers of the shard channel");

const SSUBSCRIBE: CommandSpec = CommandSpec::new("ssubscribe", -2, Group::PubSub, "pubsub noscript loading stale")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "not_key").range(-1, 1, 0)])
    .args("shardchannel...")
    .doc("Subscribes to shard channels.", "O(N), N: shard channels");

const SUBSCRIBE: CommandSpec = CommandSpec::new("subscribe", -2, Group::PubSub, "pubsub noscript loading stale")
    .since("2.0.0")
    .args("channel...")
    .doc("Subscribes to channels.", "O(N), N: channels");

const SUNSUBSCRIBE: CommandSpec = CommandSpec::new("sunsubscribe", -1, Group::PubSub, "pubsub noscript loading stale")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "not_key").range(-1, 1, 0)])
    .args("[shardchannel...]")
    .doc("Ends subscriptions to shard channels.", "O(N), N: shard channels");

const UNSUBSCRIBE: CommandSpec = CommandSpec::new("unsubscribe", -1, Group::PubSub, "pubsub noscript loading stale")
    .since("2.0.0")
    .args("[channel...]")
    .doc("Ends subscriptions to channels.", "O(N), N: channels");

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::missing(PSUBSCRIBE, "publish and subscribe"),
    &Command::missing(PUBLISH, "publish and subscribe"),
    &Command::container(
        PUBSUB,
        &[
            &Command::missing(PUBSUB_CHANNELS, "publish and subscribe"),
            &Command::missing(PUBSUB_HELP, "publish and subscribe"),
            &Command::missing(PUBSUB_NUMPAT, "publish and subscribe"),
            &Command::missing(PUBSUB_NUMSUB, "publish and subscribe"),
            &Command::missing(PUBSUB_SHARDCHANNELS, "publish and subscribe"),
            &Command::missing(PUBSUB_SHARDNUMSUB, "publish and subscribe"),
        ],
    ),
    &Command::missing(PUNSUBSCRIBE, "publish and subscribe"),
    &Command::missing(SPUBLISH, "publish and subscribe"),
    &Command::missing(SSUBSCRIBE, "publish and subscribe"),
    &Command::missing(SUBSCRIBE, "publish and subscribe"),
    &Command::missing(SUNSUBSCRIBE, "publish and subscribe"),
    &Command::missing(UNSUBSCRIBE, "publish and subscribe"),
];
