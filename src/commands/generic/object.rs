//! OBJECT: how a value is kept and used.

use crate::commands::string::access;
use crate::commands::{Command, CommandError, DataContext, NodeContext, Outcome};
use crate::keyspace::{Access, AccessPolicy};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::record::Record;

const OBJECT_SPEC: CommandSpec = CommandSpec::container("object", Group::Generic, "")
    .since("2.2.3")
    .doc("Groups the commands that look into how a value is kept.", "By subcommand");

/// OBJECT and its subcommands.
pub static OBJECT: Command = Command::container(OBJECT_SPEC, &[&ENCODING, &FREQ, &HELP, &IDLETIME, &REFCOUNT]);

/// Replies with what `f` says about the key's record, or null; looking is no use of the key.
fn about(
    cx: &mut DataContext<'_, '_>,
    f: impl FnOnce(&Record, Access, &mut crate::resp::reply::Reply) -> Outcome,
) -> Outcome {
    let (key, access) = (cx.key(2), cx.space.access);
    let found = match cx.space.peek(key) {
        Some(record) => {
            f(&record, access, cx.reply)?;
            true
        }
        None => {
            cx.reply.null();
            false
        }
    };
    if found {
        cx.space.changes.hits += 1;
    } else {
        cx.space.changes.misses += 1;
    }
    Ok(())
}

const ENCODING_SPEC: CommandSpec = CommandSpec::sub("object", "encoding", 3, Group::Generic, "readonly")
    .acl("keyspace")
    .since("2.2.3")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(2, "RO")])
    .args("key:key")
    .doc("Tells how a value is stored.", "O(1)");

static ENCODING: Command = Command::data(ENCODING_SPEC, encoding);
fn encoding(cx: &mut DataContext<'_, '_>) -> Outcome {
    about(cx, |record, _, reply| {
        reply.bulk(record.object().map_or_else(|| access::encoding(record), |o| o.encoding()).as_bytes());
        Ok(())
    })
}

const FREQ_SPEC: CommandSpec = CommandSpec::sub("object", "freq", 3, Group::Generic, "readonly")
    .acl("keyspace")
    .since("4.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(2, "RO")])
    .args("key:key")
    .doc("Tells how often a key was used, as a logarithm.", "O(1)");

static FREQ: Command = Command::data(FREQ_SPEC, freq);
fn freq(cx: &mut DataContext<'_, '_>) -> Outcome {
    about(cx, |record, access, reply| {
        if access.policy == AccessPolicy::Lru {
            return Err(CommandError::fixed(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        reply.integer(i64::from(access.frequency(record.access())));
        Ok(())
    })
}

const IDLETIME_SPEC: CommandSpec = CommandSpec::sub("object", "idletime", 3, Group::Generic, "readonly")
    .acl("keyspace")
    .since("2.2.3")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(2, "RO")])
    .args("key:key")
    .doc("Tells for how many seconds a key was not used.", "O(1)");

static IDLETIME: Command = Command::data(IDLETIME_SPEC, idletime);
fn idletime(cx: &mut DataContext<'_, '_>) -> Outcome {
    about(cx, |record, access, reply| {
        if access.policy != AccessPolicy::Lru {
            return Err(CommandError::fixed(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ));
        }
        reply.integer(access.idle_seconds(record.access()) as i64);
        Ok(())
    })
}

const REFCOUNT_SPEC: CommandSpec = CommandSpec::sub("object", "refcount", 3, Group::Generic, "readonly")
    .acl("keyspace")
    .since("2.2.3")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(2, "RO")])
    .args("key:key")
    .doc("Tells how many references a value has.", "O(1)");

static REFCOUNT: Command = Command::data(REFCOUNT_SPEC, refcount);
fn refcount(cx: &mut DataContext<'_, '_>) -> Outcome {
    // A value belongs to its key alone; a reply that shares its bytes is nobody's business.
    about(cx, |_, _, reply| {
        reply.integer(1);
        Ok(())
    })
}

const HELP_SPEC: CommandSpec = CommandSpec::sub("object", "help", 2, Group::Generic, "loading stale")
    .acl("keyspace")
    .since("6.2.0")
    .doc("Prints what OBJECT can do.", "O(1)");

static HELP: Command = Command::node(HELP_SPEC, help);
fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "ENCODING <key>",
        "    Name the encoding the value of <key> is kept in.",
        "FREQ <key>",
        "    Tell the logarithmic counter of uses of <key> that LFU eviction keeps.",
        "IDLETIME <key>",
        "    Tell for how many seconds <key> has not been used.",
        "REFCOUNT <key>",
        "    Count the references to the value of <key>.",
    ])
}
