//! XGROUP: groups and their consumers come and go.

use super::{any_id, changed, stream_of_mut, strict_id};
use crate::commands::arguments::{Options, integer};
use crate::commands::{Command, CommandError, DataContext, NodeContext, Outcome};
use crate::keyspace::Key;
use crate::spec::{CommandSpec, Group as Family, KeySpec};
use crate::value::object::Object;
use crate::value::record::{Content, Record};
use crate::value::stream::{Group, Stream};

const XGROUP_SPEC: CommandSpec = CommandSpec::container("xgroup", Family::Stream, "")
    .since("5.0.0")
    .doc("Groups the commands for consumer groups.", "By subcommand");

pub static XGROUP: Command =
    Command::container(XGROUP_SPEC, &[&CREATE, &CREATECONSUMER, &DELCONSUMER, &DESTROY, &HELP, &SETID]);

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::Bytes([b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"].concat())
}

const NO_KEY: CommandError = CommandError::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

/// Runs `f` on the stream and the name of the group that the call is about.
fn with_stream<R>(
    cx: &mut DataContext<'_, '_>,
    f: impl FnOnce(&mut Stream, Key<'_>, &[u8]) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    let (key, name) = (cx.key(2), cx.args.at(3));
    let Some(mut record) = cx.space.find_mut(key) else { return Err(NO_KEY) };
    f(stream_of_mut(&mut record)?, key, name)
}

/// The same on the group itself.
fn with_group<R>(cx: &mut DataContext<'_, '_>, f: impl FnOnce(&mut Group) -> R) -> Result<R, CommandError> {
    with_stream(cx, |stream, key, name| stream.group_mut(name).map(f).ok_or_else(|| no_group(key.name, name)))
}

/// The options of CREATE and SETID.
struct Place {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Place {
    fn parse(cx: &DataContext<'_, '_>, may_make: bool) -> Result<Place, CommandError> {
        let mut place = Place { make_stream: false, entries_read: None };
        let words = &mut Options::new(cx.args, 5);
        while words.left() > 0 {
            if may_make && words.take("MKSTREAM") {
                place.make_stream = true;
            } else if words.left() > 1 && words.take("ENTRIESREAD") {
                let n = integer(words.value()?)?;
                if n < -1 {
                    return Err(CommandError::fixed("ERR value for ENTRIESREAD must be positive or -1"));
                }
                place.entries_read = u64::try_from(n).ok();
            } else {
                let sub = String::from_utf8_lossy(cx.args.at(1));
                return Err(CommandError::err(format_args!(
                    "unknown subcommand or wrong number of arguments for '{sub}'. Try XGROUP HELP."
                )));
            }
        }
        Ok(place)
    }
}

const CREATE_SPEC: CommandSpec = CommandSpec::sub("xgroup", "create", -5, Family::Stream, "write denyoom")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RW insert")])
    .history(&[("7.0.0", "Option `ENTRIESREAD`.")])
    .args(
        "key:key group id-selector{id|\"$\"=new-id:token} [MKSTREAM] \
        [ENTRIESREAD=entriesread:integer/entries-read/]",
    )
    .doc("Adds a consumer group to a stream.", "O(1)");

static CREATE: Command = Command::data(CREATE_SPEC, create);
fn create(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, name, text) = (cx.key(2), cx.args.at(3), cx.args.at(4));
    let place = Place::parse(cx, true)?;
    let add = |stream: &mut Stream| {
        let last_id = if text == b"$" { stream.last_id } else { strict_id(text, 0)? };
        if stream.add_group(name, Group::new(last_id, place.entries_read)) {
            Ok(())
        } else {
            Err(CommandError::fixed("BUSYGROUP Consumer Group name already exists"))
        }
    };
    let there = match cx.space.find_mut(key) {
        Some(mut record) => {
            add(stream_of_mut(&mut record)?)?;
            true
        }
        None => false,
    };
    if !there {
        if !place.make_stream {
            return Err(NO_KEY);
        }
        let mut stream = Stream::new();
        add(&mut stream)?;
        cx.space.add(key, Content::Object(Box::new(Object::Stream(stream))), None);
    }
    changed(cx, key, 1, "xgroup-create");
    cx.reply.ok();
    Ok(())
}

const SETID_SPEC: CommandSpec = CommandSpec::sub("xgroup", "setid", -5, Family::Stream, "write")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RW update")])
    .history(&[("7.0.0", "Option `ENTRIESREAD`.")])
    .args(
        "key:key group id-selector{id|\"$\"=new-id:token} \
        [ENTRIESREAD=entriesread:integer/entries-read/]",
    )
    .doc("Moves the last id that a group delivered.", "O(1)");

static SETID: Command = Command::data(SETID_SPEC, setid);
fn setid(cx: &mut DataContext<'_, '_>) -> Outcome {
    let text = cx.args.at(4);
    let place = Place::parse(cx, false)?;
    with_stream(cx, |stream, key, name| {
        let last = stream.last_id;
        let group = stream.group_mut(name).ok_or_else(|| no_group(key.name, name))?;
        group.last_id = if text == b"$" { last } else { any_id(text, 0)? };
        group.entries_read = place.entries_read;
        Ok(())
    })?;
    let key = cx.key(2);
    changed(cx, key, 1, "xgroup-setid");
    cx.reply.ok();
    Ok(())
}

const DESTROY_SPEC: CommandSpec = CommandSpec::sub("xgroup", "destroy", 4, Family::Stream, "write")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RW delete")])
    .args("key:key group")
    .doc("Removes a consumer group.", "O(N), N: pending messages of the group");

static DESTROY: Command = Command::data(DESTROY_SPEC, destroy);
fn destroy(cx: &mut DataContext<'_, '_>) -> Outcome {
    let removed = with_stream(cx, |stream, _, name| Ok(stream.remove_group(name)))?;
    cx.reply.integer(i64::from(removed.is_some()));
    if let Some(group) = removed {
        // A group may have as much pending as its stream has entries: it goes the way of big values, as a stream that has only it.
        let mut rest = Stream::new();
        rest.add_group(b"", group);
        cx.space.discard(Record::new(b"", Content::Object(Box::new(Object::Stream(rest))), None));
        let key = cx.key(2);
        changed(cx, key, 1, "xgroup-destroy");
    }
    Ok(())
}

const CREATECONSUMER_SPEC: CommandSpec =
    CommandSpec::sub("xgroup", "createconsumer", 5, Family::Stream, "write denyoom")
        .since("6.2.0")
        .keys(&[KeySpec::index(2, "RW insert")])
        .args("key:key group consumer")
        .doc("Creates a consumer in a group.", "O(1)");

static CREATECONSUMER: Command = Command::data(CREATECONSUMER_SPEC, create_consumer);
fn create_consumer(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (name, now_ms) = (cx.args.at(4), cx.now_ms());
    let created = with_group(cx, |group| group.add_consumer(name, now_ms).is_ok())?;
    if created {
        let key = cx.key(2);
        changed(cx, key, 1, "xgroup-createconsumer");
    }
    cx.reply.integer(i64::from(created));
    Ok(())
}

const DELCONSUMER_SPEC: CommandSpec = CommandSpec::sub("xgroup", "delconsumer", 5, Family::Stream, "write")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RW delete")])
    .args("key:key group consumer")
    .doc("Removes a consumer from a group.", "O(1)");

static DELCONSUMER: Command = Command::data(DELCONSUMER_SPEC, delete_consumer);
fn delete_consumer(cx: &mut DataContext<'_, '_>) -> Outcome {
    let name = cx.args.at(4);
    let pending = with_group(cx, |group| group.remove_consumer(name))?;
    if pending.is_some() {
        let key = cx.key(2);
        changed(cx, key, 1, "xgroup-delconsumer");
    }
    cx.reply.integer(pending.unwrap_or(0) as i64);
    Ok(())
}

const HELP_SPEC: CommandSpec = CommandSpec::sub("xgroup", "help", 2, Family::Stream, "loading stale")
    .since("5.0.0")
    .doc("Prints what XGROUP can do.", "O(1)");

static HELP: Command = Command::node(HELP_SPEC, help);
fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <n>]",
        "    Add a group that reads what comes after <id>; MKSTREAM makes the stream if it is",
        "    missing, ENTRIESREAD says how many entries count as read.",
        "CREATECONSUMER <key> <group> <consumer>",
        "    Add a consumer to a group.",
        "DELCONSUMER <key> <group> <consumer>",
        "    Remove a consumer and all that is pending for it.",
        "DESTROY <key> <group>",
        "    Remove a group.",
        "SETID <key> <group> <id|$> [ENTRIESREAD <n>]",
        "    Move the last id the group has read.",
    ])
}
