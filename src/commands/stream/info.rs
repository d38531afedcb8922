//! XINFO.

use super::{stream_of, write_entry, write_id};
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, DataContext, NodeContext, Outcome};
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group as Family, KeySpec};
use crate::value::stream::{Direction, Group, Stream, StreamId};

const XINFO_SPEC: CommandSpec = CommandSpec::container("xinfo", Family::Stream, "")
    .since("5.0.0")
    .doc("Groups the commands that look into streams.", "By subcommand");

pub static XINFO: Command = Command::container(XINFO_SPEC, &[&CONSUMERS, &GROUPS, &HELP, &STREAM]);

fn field(reply: &mut Reply, name: &str) {
    reply.bulk(name.as_bytes());
}

fn number(reply: &mut Reply, name: &str, n: i64) {
    field(reply, name);
    reply.integer(n);
}

fn number_or_null(reply: &mut Reply, name: &str, n: Option<i64>) {
    field(reply, name);
    match n {
        Some(n) => reply.integer(n),
        None => reply.null(),
    }
}

fn id(reply: &mut Reply, name: &str, id: StreamId) {
    field(reply, name);
    write_id(reply, id);
}

/// `last-delivered-id`, `entries-read` and `lag`.
fn write_place(reply: &mut Reply, stream: &Stream, group: &Group) {
    id(reply, "last-delivered-id", group.last_id);
    number_or_null(reply, "entries-read", group.entries_read.map(|n| n as i64));
    number_or_null(reply, "lag", stream.lag(group));
}

const CONSUMERS_SPEC: CommandSpec = CommandSpec::sub("xinfo", "consumers", 4, Family::Stream, "readonly")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(2, "RO access")])
    .history(&[("7.2.0", "Field `inactive`; `idle` means something else since.")])
    .args("key:key group")
    .doc("Describes the consumers of a group.", "O(1)");

static CONSUMERS: Command = Command::data(CONSUMERS_SPEC, consumers);
fn consumers(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, name, now_ms) = (cx.key(2), cx.args.at(3), cx.now_ms());
    let reply = &mut *cx.reply;
    let Some(record) = cx.space.find(key) else { return Err(CommandError::NoSuchKey) };
    let Some(group) = stream_of(&record)?.group(name) else {
        let text = [b"NOGROUP No such consumer group '", name, b"' for key name '", key.name, b"'"];
        return Err(CommandError::Bytes(text.concat()));
    };
    let since = |ms: i64| now_ms.saturating_sub(ms).max(0);
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        reply.map(4);
        field(reply, "name");
        reply.bulk(consumer.name());
        number(reply, "pending", consumer.pending().len() as i64);
        number(reply, "idle", since(consumer.seen_ms));
        number(reply, "inactive", consumer.active_ms.map_or(-1, since));
    }
    Ok(())
}

const GROUPS_SPEC: CommandSpec = CommandSpec::sub("xinfo", "groups", 3, Family::Stream, "readonly")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RO access")])
    .history(&[("7.0.0", "Fields `entries-read` and `lag`.")])
    .args("key:key")
    .doc("Describes the groups of a stream.", "O(1)");

static GROUPS: Command = Command::data(GROUPS_SPEC, groups);
fn groups(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, reply) = (cx.key(2), &mut *cx.reply);
    let Some(record) = cx.space.find(key) else { return Err(CommandError::NoSuchKey) };
    let stream = stream_of(&record)?;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        field(reply, "name");
        reply.bulk(name);
        number(reply, "consumers", group.consumers().len() as i64);
        number(reply, "pending", group.pending().len() as i64);
        write_place(reply, stream, group);
    }
    Ok(())
}

const STREAM_SPEC: CommandSpec = CommandSpec::sub("xinfo", "stream", -3, Family::Stream, "readonly")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RO access")])
    .history(&[
        ("6.0.0", "Word `FULL`."),
        (
            "7.0.0",
            "Fields `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, \
        `entries-read`, `lag`.",
        ),
        ("7.2.0", "Field `active-time`; `seen-time` means something else since."),
    ])
    .args("key:key [full-block(FULL [COUNT=count:integer])]")
    .doc("Describes a stream.", "O(1)");

/// Entries that FULL shows of each list where nothing else is asked for.
const FULL_COUNT: usize = 10;

static STREAM: Command = Command::data(STREAM_SPEC, stream);
fn stream(cx: &mut DataContext<'_, '_>) -> Outcome {
    // Before the words are looked at.
    let (key, reply) = (cx.key(2), &mut *cx.reply);
    let Some(record) = cx.space.find(key) else { return Err(CommandError::NoSuchKey) };
    let stream = stream_of(&record)?;
    let full = match cx.args.len() {
        3 => None,
        4 if is(cx.args.at(3), "FULL") => Some(FULL_COUNT),
        6 if is(cx.args.at(3), "FULL") && is(cx.args.at(4), "COUNT") => {
            Some(match usize::try_from(integer(cx.args.at(5))?) {
                Ok(0) => usize::MAX,
                Ok(n) => n,
                Err(_) => FULL_COUNT,
            })
        }
        _ => {
            let sub = String::from_utf8_lossy(cx.args.at(1));
            return Err(CommandError::err(format_args!(
                "unknown subcommand or wrong number of arguments for '{sub}'. Try XINFO HELP."
            )));
        }
    };
    reply.map(if full.is_some() { 9 } else { 10 });
    number(reply, "length", stream.len() as i64);
    // The nodes stand in an ordered map, not in a radix tree: it is told as the smallest tree of so many keys.
    number(reply, "radix-tree-keys", stream.nodes().len() as i64);
    number(reply, "radix-tree-nodes", stream.nodes().len() as i64 + 1);
    id(reply, "last-generated-id", stream.last_id);
    id(reply, "max-deleted-entry-id", stream.max_deleted_id);
    number(reply, "entries-added", stream.entries_added as i64);
    id(reply, "recorded-first-entry-id", stream.first_id());
    match full {
        None => {
            number(reply, "groups", stream.groups().len() as i64);
            for (name, direction) in [("first-entry", Direction::Forward), ("last-entry", Direction::Backward)] {
                field(reply, name);
                match stream.range(StreamId::MIN, StreamId::MAX, direction).next() {
                    Some(entry) => write_entry(reply, &entry),
                    None => reply.null(),
                }
            }
        }
        Some(count) => write_full(reply, stream, count),
    }
    Ok(())
}

fn write_full(reply: &mut Reply, stream: &Stream, count: usize) {
    field(reply, "entries");
    reply.array(count.min(usize::try_from(stream.len()).unwrap_or(usize::MAX)));
    for entry in stream.range(StreamId::MIN, StreamId::MAX, Direction::Forward).take(count) {
        write_entry(reply, &entry);
    }
    field(reply, "groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(7);
        field(reply, "name");
        reply.bulk(name);
        write_place(reply, stream, group);
        number(reply, "pel-count", group.pending().len() as i64);
        field(reply, "pending");
        reply.array(count.min(group.pending().len()));
        for (entry, p) in group.pending().iter().take(count) {
            reply.array(4);
            write_id(reply, *entry);
            reply.bulk(group.consumer(p.consumer).name());
            reply.integer(p.delivered_ms);
            reply.integer(p.deliveries as i64);
        }
        field(reply, "consumers");
        reply.array(group.consumers().len());
        for consumer in group.consumers() {
            reply.map(5);
            field(reply, "name");
            reply.bulk(consumer.name());
            number(reply, "seen-time", consumer.seen_ms);
            number(reply, "active-time", consumer.active_ms.unwrap_or(-1));
            number(reply, "pel-count", consumer.pending().len() as i64);
            field(reply, "pending");
            reply.array(count.min(consumer.pending().len()));
            for entry in consumer.pending().iter().take(count) {
                let p = group.pending().get(entry);
                reply.array(3);
                write_id(reply, *entry);
                reply.integer(p.map_or(0, |p| p.delivered_ms));
                reply.integer(p.map_or(0, |p| p.deliveries as i64));
            }
        }
    }
}

const HELP_SPEC: CommandSpec = CommandSpec::sub("xinfo", "help", 2, Family::Stream, "loading stale")
    .since("5.0.0")
    .doc("Prints what XINFO can do.", "O(1)");

static HELP: Command = Command::node(HELP_SPEC, help);
fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "CONSUMERS <key> <group>",
        "    Describe the consumers of a group.",
        "GROUPS <key>",
        "    Describe the groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Describe a stream; FULL with its entries, groups and what is pending.",
    ])
}
