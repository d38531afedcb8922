//! Streams.

use super::Command;
use crate::spec::{CommandSpec, Group, KeySpec};

const XACK: CommandSpec = CommandSpec::new("xack", -4, Group::Stream, "write fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .args("key:key group id...")
    .doc("Marks messages as handled by their group.", "O(1) per id");

const XADD: CommandSpec = CommandSpec::new("xadd", -5, Group::Stream, "write denyoom fast")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RW update").notes("Trimming may remove entries as well.")])
    .history(&[("6.2.0", "`NOMKSTREAM`, trimming by `MINID`, and `LIMIT`."), ("7.0.0", "Ids of the form `<ms>-*`.")])
    .args(
        "key:key [NOMKSTREAM@6.2.0] [trim(strategy{MAXLEN|MINID@6.2.0} \
        [operator{\"=\"=equal:token|\"~\"=approximately:token}] threshold \
        [LIMIT=count:integer@6.2.0])] id-selector{\"*\"=auto-id:token|id} data(field \
        value)...",
    )
    .doc("Appends an entry to a stream and may trim it.", "O(1), with trimming O(N), N: entries removed");

const XAUTOCLAIM: CommandSpec = CommandSpec::new("xautoclaim", -6, Group::Stream, "write fast")
    .since("6.2.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RW delete")])
    .history(&[("7.0.0", "The reply names pending ids whose entries are gone.")])
    .args("key:key group consumer min-idle-time start [COUNT=count:integer] [JUSTID]")
    .doc("Takes over messages that waited too long, found by a walk over the group.", "O(1) for a small `COUNT`");

const XCLAIM: CommandSpec = CommandSpec::new("xclaim", -6, Group::Stream, "write fast")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RW update")])
    .args(
        "key:key group consumer min-idle-time id... [IDLE=ms:integer] \
        [TIME=unix-time-milliseconds:unix-time] [RETRYCOUNT=count:integer] [FORCE] [JUSTID] \
        [LASTID=lastid]",
    )
    .doc("Takes over pending messages by id.", "O(log(N)), N: pending messages of the group");

const XDEL: CommandSpec = CommandSpec::new("xdel", -3, Group::Stream, "write fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW delete")])
    .args("key:key id...")
    .doc("Removes entries from a stream.", "O(1) per id");

const XGROUP: CommandSpec = CommandSpec::container("xgroup", Group::Stream, "")
    .since("5.0.0")
    .doc("Groups the commands for consumer groups.", "By subcommand");

const XGROUP_CREATE: CommandSpec = CommandSpec::sub("xgroup", "create", -5, Group::Stream, "write denyoom")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RW insert")])
    .history(&[("7.0.0", "Option `ENTRIESREAD`.")])
    .args(
        "key:key group id-selector{id|\"$\"=new-id:token} [MKSTREAM] \
        [ENTRIESREAD=entriesread:integer/entries-read/]",
    )
    .doc("Adds a consumer group to a stream.", "O(1)");

const XGROUP_CREATECONSUMER: CommandSpec =
    CommandSpec::sub("xgroup", "createconsumer", 5, Group::Stream, "write denyoom")
        .since("6.2.0")
        .keys(&[KeySpec::index(2, "RW insert")])
        .args("key:key group consumer")
        .doc("Creates a consumer in a group.", "O(1)");

const XGROUP_DELCONSUMER: CommandSpec = CommandSpec::sub("xgroup", "delconsumer", 5, Group::Stream, "write")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RW delete")])
    .args("key:key group consumer")
    .doc("Removes a consumer from a group.", "O(1)");

const XGROUP_DESTROY: CommandSpec = CommandSpec::sub("xgroup", "destroy", 4, Group::Stream, "write")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RW delete")])
    .args("key:key group")
    .doc("Removes a consumer group.", "O(N), N: pending messages of the group");

const XGROUP_HELP: CommandSpec = CommandSpec::sub("xgroup", "help", 2, Group::Stream, "loading stale")
    .since("5.0.0")
    .doc("Prints what XGROUP can do.", "O(1)");

const XGROUP_SETID: CommandSpec = CommandSpec::sub("xgroup", "setid", -5, Group::Stream, "write")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RW update")])
    .history(&[("7.0.0", "Option `ENTRIESREAD`.")])
    .args(
        "key:key group id-selector{id|\"$\"=new-id:token} \
        [ENTRIESREAD=entriesread:integer/entries-read/]",
    )
    .doc("Moves the last id that a group delivered.", "O(1)");

const XINFO: CommandSpec = CommandSpec::container("xinfo", Group::Stream, "")
    .since("5.0.0")
    .doc("Groups the commands that look into streams.", "By subcommand");

const XINFO_CONSUMERS: CommandSpec = CommandSpec::sub("xinfo", "consumers", 4, Group::Stream, "readonly")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(2, "RO access")])
    .history(&[("7.2.0", "Field `inactive`; `idle` means something else since.")])
    .args("key:key group")
    .doc("Describes the consumers of a group.", "O(1)");

const XINFO_GROUPS: CommandSpec = CommandSpec::sub("xinfo", "groups", 3, Group::Stream, "readonly")
    .since("5.0.0")
    .keys(&[KeySpec::index(2, "RO access")])
    .history(&[("7.0.0", "Fields `entries-read` and `lag`.")])
    .args("key:key")
    .doc("Describes the groups of a stream.", "O(1)");

const XINFO_HELP: CommandSpec = CommandSpec::sub("xinfo", "help", 2, Group::Stream, "loading stale")
    .since("5.0.0")
    .doc("Prints what XINFO can do.", "O(1)");

const XINFO_STREAM: CommandSpec = CommandSpec::sub("xinfo", "stream", -3, Group::Stream, "readonly")
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

const XLEN: CommandSpec = CommandSpec::new("xlen", 2, Group::Stream, "readonly fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RO")])
    .args("key:key")
    .doc("Counts the entries of a stream.", "O(1)");

const XPENDING: CommandSpec = CommandSpec::new("xpending", -3, Group::Stream, "readonly")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Option `IDLE` and exclusive bounds.")])
    .args(
        "key:key group [filters([IDLE=min-idle-time:integer@6.2.0] start end count:integer \
        [consumer])]",
    )
    .doc("Shows what a group delivered and nobody acknowledged.", "O(N), N: messages returned");

const XRANGE: CommandSpec = CommandSpec::new("xrange", -4, Group::Stream, "readonly")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Exclusive bounds.")])
    .args("key:key start end [COUNT=count:integer]")
    .doc("Reads entries of a stream between two ids.", "O(N), N: entries returned");

const XREAD: CommandSpec = CommandSpec::new("xread", -4, Group::Stream, "readonly blocking")
    .since("5.0.0")
    .keys(&[KeySpec::keyword("STREAMS", 1, "RO access").range(-1, 1, 2)])
    .args("[COUNT=count:integer] [BLOCK=milliseconds:integer] STREAMS=streams(key:key... id...)")
    .doc("Reads entries after given ids from streams; may wait for them.", "");

const XREADGROUP: CommandSpec = CommandSpec::new("xreadgroup", -7, Group::Stream, "write blocking")
    .since("5.0.0")
    .keys(&[KeySpec::keyword("STREAMS", 4, "RO access").range(-1, 1, 2)])
    .args(
        "GROUP=group-block(group consumer) [COUNT=count:integer] [BLOCK=milliseconds:integer] \
        [NOACK] STREAMS=streams(key:key... id...)",
    )
    .doc("Reads entries for a consumer of a group; may wait for them.", "O(M) per stream, M: entries returned");

const XREVRANGE: CommandSpec = CommandSpec::new("xrevrange", -4, Group::Stream, "readonly")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Exclusive bounds.")])
    .args("key:key end start [COUNT=count:integer]")
    .doc("Reads entries of a stream between two ids, newest first.", "O(N), N: entries returned");

const XSETID: CommandSpec = CommandSpec::new("xsetid", -3, Group::Stream, "write denyoom fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[("7.0.0", "Options `ENTRIESADDED` and `MAXDELETEDID`.")])
    .args(
        "key:key last-id [ENTRIESADDED=entries-added:integer@7.0.0] \
        [MAXDELETEDID=max-deleted-id@7.0.0]",
    )
    .doc("Sets the last id of a stream; for replication.", "O(1)");

const XTRIM: CommandSpec = CommandSpec::new("xtrim", -4, Group::Stream, "write")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RW delete")])
    .history(&[("6.2.0", "Trimming by `MINID`, and `LIMIT`.")])
    .args(
        "key:key trim(strategy{MAXLEN|MINID@6.2.0} \
        [operator{\"=\"=equal:token|\"~\"=approximately:token}] threshold \
        [LIMIT=count:integer@6.2.0])",
    )
    .doc("Removes the oldest entries of a stream.", "O(N), N: entries removed");

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::missing(XACK, "streams"),
    &Command::missing(XADD, "streams"),
    &Command::missing(XAUTOCLAIM, "streams"),
    &Command::missing(XCLAIM, "streams"),
    &Command::missing(XDEL, "streams"),
    &Command::container(
        XGROUP,
        &[
            &Command::missing(XGROUP_CREATE, "streams"),
            &Command::missing(XGROUP_CREATECONSUMER, "streams"),
            &Command::missing(XGROUP_DELCONSUMER, "streams"),
            &Command::missing(XGROUP_DESTROY, "streams"),
            &Command::missing(XGROUP_HELP, "streams"),
            &Command::missing(XGROUP_SETID, "streams"),
        ],
    ),
    &Command::container(
        XINFO,
        &[
            &Command::missing(XINFO_CONSUMERS, "streams"),
            &Command::missing(XINFO_GROUPS, "streams"),
            &Command::missing(XINFO_HELP, "streams"),
            &Command::missing(XINFO_STREAM, "streams"),
        ],
    ),
    &Command::missing(XLEN, "streams"),
    &Command::missing(XPENDING, "streams"),
    &Command::missing(XRANGE, "streams"),
    &Command::missing(XREAD, "streams"),
    &Command::missing(XREADGROUP, "streams"),
    &Command::missing(XREVRANGE, "streams"),
    &Command::missing(XSETID, "streams"),
    &Command::missing(XTRIM, "streams"),
];
