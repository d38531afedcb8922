//! SLOWLOG and COMMANDLOG: commands that took long, or asked or answered much.

use crate::base::number::parse_i64;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::metrics::slowlog::Kind;
use crate::spec::{CommandSpec, Group};

const SLOWLOG_SPEC: CommandSpec = CommandSpec::container("slowlog", Group::Server, "")
    .since("2.2.12")
    .doc("Groups the commands for the log of slow commands.", "By subcommand");

const SLOWLOG_GET_SPEC: CommandSpec = CommandSpec::sub("slowlog", "get", -2, Group::Server, "admin loading stale")
    .since("2.2.12")
    .tips("request_policy:all_nodes nondeterministic_output")
    .history(&[("4.0.0", "Address, port and name of the client.")])
    .args("[count:integer]")
    .doc("Shows entries of the slow log.", "O(N), N: entries returned");

const SLOWLOG_HELP_SPEC: CommandSpec = CommandSpec::sub("slowlog", "help", 2, Group::Server, "loading stale")
    .since("6.2.0")
    .doc("Prints what SLOWLOG can do.", "O(1)");

const SLOWLOG_LEN_SPEC: CommandSpec = CommandSpec::sub("slowlog", "len", 2, Group::Server, "admin loading stale")
    .since("2.2.12")
    .tips("request_policy:all_nodes response_policy:agg_sum nondeterministic_output")
    .doc("Counts the entries of the slow log.", "O(1)");

const SLOWLOG_RESET_SPEC: CommandSpec = CommandSpec::sub("slowlog", "reset", 2, Group::Server, "admin loading stale")
    .since("2.2.12")
    .tips("request_policy:all_nodes response_policy:all_succeeded")
    .doc("Empties the slow log.", "O(N), N: entries");

const COMMANDLOG_SPEC: CommandSpec = CommandSpec::container("commandlog", Group::Server, "")
    .since("8.1.0")
    .doc("Groups the commands for the logs of slow and large commands.", "By subcommand");

const COMMANDLOG_GET_SPEC: CommandSpec = CommandSpec::sub("commandlog", "get", 4, Group::Server, "admin loading stale")
    .since("8.1.0")
    .tips("request_policy:all_nodes nondeterministic_output")
    .args("count:integer type{SLOW|LARGE-REQUEST|LARGE-REPLY}")
    .doc("Shows entries of a command log.", "O(N), N: entries returned");

const COMMANDLOG_HELP_SPEC: CommandSpec = CommandSpec::sub("commandlog", "help", 2, Group::Server, "loading stale")
    .since("8.1.0")
    .doc("Prints what COMMANDLOG can do.", "O(1)");

const COMMANDLOG_LEN_SPEC: CommandSpec = CommandSpec::sub("commandlog", "len", 3, Group::Server, "admin loading stale")
    .since("8.1.0")
    .tips("request_policy:all_nodes response_policy:agg_sum nondeterministic_output")
    .args("type{SLOW|LARGE-REQUEST|LARGE-REPLY}")
    .doc("Counts the entries of a command log.", "O(1)");

const COMMANDLOG_RESET_SPEC: CommandSpec =
    CommandSpec::sub("commandlog", "reset", 3, Group::Server, "admin loading stale")
        .since("8.1.0")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .args("type{SLOW|LARGE-REQUEST|LARGE-REPLY}")
        .doc("Empties a command log.", "O(N), N: entries");
pub static SLOWLOG: Command = Command::container(
    SLOWLOG_SPEC,
    &[
        &Command::node(SLOWLOG_GET_SPEC, slow_get),
        &Command::node(SLOWLOG_HELP_SPEC, slow_help),
        &Command::node(SLOWLOG_LEN_SPEC, slow_len),
        &Command::node(SLOWLOG_RESET_SPEC, slow_reset),
    ],
);
pub static COMMANDLOG: Command = Command::container(
    COMMANDLOG_SPEC,
    &[
        &Command::node(COMMANDLOG_GET_SPEC, get),
        &Command::node(COMMANDLOG_HELP_SPEC, help),
        &Command::node(COMMANDLOG_LEN_SPEC, len),
        &Command::node(COMMANDLOG_RESET_SPEC, reset),
    ],
);

/// Entries SLOWLOG GET shows when it is not told how many.
const SHOWN: usize = 10;

/// A count; -1 means all.
fn count(arg: &[u8]) -> Result<Option<usize>, CommandError> {
    match parse_i64(arg) {
        Some(-1) => Ok(None),
        Some(n) if n >= 0 => Ok(Some(usize::try_from(n).unwrap_or(usize::MAX))),
        _ => Err(CommandError::fixed("ERR count should be greater than or equal to -1")),
    }
}

fn kind(arg: &[u8]) -> Result<Kind, CommandError> {
    Kind::parse(arg)
        .ok_or(CommandError::fixed("ERR type should be one of the following: slow, large-request, large-reply"))
}

fn show(cx: &mut NodeContext<'_, '_>, kind: Kind, count: Option<usize>) {
    let entries = cx.node.metrics.logs.of(kind).get(count);
    cx.reply.array(entries.len());
    for e in entries {
        cx.reply.array(6);
        cx.reply.integer(e.id as i64);
        cx.reply.integer(e.time_s);
        cx.reply.integer(e.value as i64);
        cx.reply.array(e.argv.len());
        e.argv.iter().for_each(|a| cx.reply.bulk(a));
        cx.reply.bulk(e.client_addr.as_bytes());
        cx.reply.bulk(&e.client_name);
    }
}

fn slow_get(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let n = match (cx.args.len(), cx.args.get(2)) {
        (_, None) => Some(SHOWN),
        (3, Some(n)) => count(n)?,
        _ => return Err(cx.syntax_hint()),
    };
    show(cx, Kind::Slow, n);
    Ok(())
}

fn slow_len(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.integer(cx.node.metrics.logs.of(Kind::Slow).len() as i64);
    Ok(())
}

fn slow_reset(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.node.metrics.logs.of(Kind::Slow).reset();
    cx.reply.ok();
    Ok(())
}

fn get(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let n = count(cx.args.at(2))?;
    let kind = kind(cx.args.at(3))?;
    show(cx, kind, n);
    Ok(())
}

fn len(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let kind = kind(cx.args.at(2))?;
    cx.reply.integer(cx.node.metrics.logs.of(kind).len() as i64);
    Ok(())
}

fn reset(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let kind = kind(cx.args.at(2))?;
    cx.node.metrics.logs.of(kind).reset();
    cx.reply.ok();
    Ok(())
}

fn slow_help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "GET [<count>]",
        "    Show the newest entries: 10 of them, or so many; -1 shows all.",
        "    An entry is its id, unix time, microseconds, the command line, the client's",
        "    address and its name.",
        "LEN",
        "    Count the entries.",
        "RESET",
        "    Forget the entries.",
    ])
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "GET <count> (SLOW|LARGE-REQUEST|LARGE-REPLY)",
        "    Show the newest entries of a log; -1 shows all. An entry is its id, unix time,",
        "    microseconds or bytes, the command line, the client's address and its name.",
        "LEN (SLOW|LARGE-REQUEST|LARGE-REPLY)",
        "    Count the entries of a log.",
        "RESET (SLOW|LARGE-REQUEST|LARGE-REPLY)",
        "    Forget the entries of a log.",
    ])
}
