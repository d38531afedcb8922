//! COMMAND: what the commands are, read from their rows.
//!
//! What is not there yet is not listed: whoever asks learns what works.

use crate::base::glob;
use crate::commands::arguments::is;
use crate::commands::table::Handler;
use crate::commands::{Command, CommandError, Entry, NodeContext, Outcome};
use crate::resp::reply::Reply;
use crate::spec::{self, Categories, CommandSpec, Group};

const COMMAND_SPEC: CommandSpec = CommandSpec::new("command", -1, Group::Server, "loading stale")
    .acl("connection")
    .since("2.8.13")
    .tips("nondeterministic_output_order")
    .doc("Describes all commands.", "O(N), N: commands");

const COMMAND_COUNT_SPEC: CommandSpec = CommandSpec::sub("command", "count", 2, Group::Server, "loading stale")
    .acl("connection")
    .since("2.8.13")
    .doc("Counts the commands.", "O(1)");

const COMMAND_DOCS_SPEC: CommandSpec = CommandSpec::sub("command", "docs", -2, Group::Server, "loading stale")
    .acl("connection")
    .since("7.0.0")
    .tips("nondeterministic_output_order")
    .args("[command-name...]")
    .doc("Prints the documentation of commands.", "O(N), N: commands asked for");

const COMMAND_GETKEYS_SPEC: CommandSpec = CommandSpec::sub("command", "getkeys", -3, Group::Server, "loading stale")
    .acl("connection")
    .since("2.8.13")
    .args("command [arg...]")
    .doc("Finds the keys in a full command line.", "O(N), N: arguments");

const COMMAND_GETKEYSANDFLAGS_SPEC: CommandSpec =
    CommandSpec::sub("command", "getkeysandflags", -3, Group::Server, "loading stale")
        .acl("connection")
        .since("7.0.0")
        .args("command [arg...]")
        .doc("Finds the keys in a full command line and what is done to each.", "O(N), N: arguments");

const COMMAND_HELP_SPEC: CommandSpec = CommandSpec::sub("command", "help", 2, Group::Server, "loading stale")
    .acl("connection")
    .since("5.0.0")
    .doc("Prints what COMMAND can do.", "O(1)");

const COMMAND_INFO_SPEC: CommandSpec = CommandSpec::sub("command", "info", -2, Group::Server, "loading stale")
    .acl("connection")
    .since("2.8.13")
    .tips("nondeterministic_output_order")
    .history(&[("7.0.0", "Without names it describes all commands.")])
    .args("[command-name...]")
    .doc("Describes some commands, or all.", "O(N), N: commands asked for");

const COMMAND_LIST_SPEC: CommandSpec = CommandSpec::sub("command", "list", -2, Group::Server, "loading stale")
    .acl("connection")
    .since("7.0.0")
    .tips("nondeterministic_output_order")
    .args("[FILTERBY=filterby{MODULE=module-name|ACLCAT=category|PATTERN=pattern:pattern}]")
    .doc("Lists command names.", "O(N), N: commands");
pub static COMMAND: Command = Command::node(COMMAND_SPEC, all).with_subcommands(&[
    &Command::node(COMMAND_COUNT_SPEC, count),
    &Command::node(COMMAND_DOCS_SPEC, docs),
    &Command::node(COMMAND_GETKEYS_SPEC, get_keys),
    &Command::node(COMMAND_GETKEYSANDFLAGS_SPEC, get_keys_and_flags),
    &Command::node(COMMAND_HELP_SPEC, help),
    &Command::node(COMMAND_INFO_SPEC, info),
    &Command::node(COMMAND_LIST_SPEC, list),
]);

/// False for what would only answer that it is missing.
fn works(entry: &Entry) -> bool {
    match entry.command.handler {
        Handler::Missing(_) => false,
        Handler::Container => entry.subcommands.iter().any(|s| works(s)),
        _ => true,
    }
}

fn listed<'a>(cx: &NodeContext<'a, '_>) -> Vec<&'static Entry> {
    let mut all: Vec<_> = cx.node.commands.callable().filter(|e| works(e)).collect();
    all.sort_unstable_by_key(|e| e.id);
    all
}

/// The command or subcommand of this name, if it works.
fn named(cx: &NodeContext<'_, '_>, name: &[u8]) -> Option<&'static Entry> {
    cx.node.commands.find_full(name).filter(|e| works(e))
}

fn working_subcommands(entry: &Entry) -> Vec<&'static CommandSpec> {
    entry.subcommands.iter().filter(|s| works(s)).map(|s| s.spec()).collect()
}

/// Writes a description as this connection's protocol has it.
fn write(reply: &mut Reply, node: &spec::Node) {
    match node {
        spec::Node::Integer(n) => reply.integer(*n),
        spec::Node::Status(s) => reply.status(s),
        spec::Node::Bulk(s) => reply.bulk(s.as_bytes()),
        spec::Node::Array(list) => {
            reply.array(list.len());
            list.iter().for_each(|n| write(reply, n));
        }
        spec::Node::Set(list) => {
            reply.set(list.len());
            list.iter().for_each(|n| write(reply, n));
        }
        spec::Node::Map(pairs) => {
            reply.map(pairs.len());
            for (name, n) in pairs {
                reply.bulk(name.as_bytes());
                write(reply, n);
            }
        }
    }
}

fn write_info(cx: &mut NodeContext<'_, '_>, entry: &Entry) {
    write(cx.reply, &spec::info(entry.spec(), &working_subcommands(entry)));
}

fn all(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let list = listed(cx);
    cx.reply.array(list.len());
    list.into_iter().for_each(|e| write_info(cx, e));
    Ok(())
}

fn info(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.len() == 2 {
        return all(cx);
    }
    let names = cx.args.from(2);
    cx.reply.array(names.len());
    for name in names.iter() {
        match named(cx, name) {
            Some(e) => write_info(cx, e),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

fn count(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let n = listed(cx).len();
    cx.reply.integer(n as i64);
    Ok(())
}

fn docs(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let entries: Vec<_> = match cx.args.len() {
        2 => listed(cx),
        _ => cx.args.from(2).iter().filter_map(|name| named(cx, name)).collect(),
    };
    let mut described = Vec::with_capacity(entries.len());
    for e in entries {
        let node = spec::docs(e.spec(), &working_subcommands(e))
            .map_err(|_| CommandError::err(format_args!("the arguments of '{}' cannot be shown", e.name)))?;
        described.push((e, node));
    }
    cx.reply.map(described.len());
    for (e, node) in described {
        cx.reply.bulk(e.name.as_bytes());
        write(cx.reply, &node);
    }
    Ok(())
}

enum Wanted<'a> {
    All,
    Category(Option<Categories>),
    Pattern(&'a [u8]),
    /// There are no modules, so nothing is in one.
    Nothing,
}

impl Wanted<'_> {
    fn takes(&self, e: &Entry) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Category(c) => c.is_some_and(|c| e.spec().categories.intersects(c)),
            Wanted::Pattern(p) => glob::matches_nocase(p, e.name.as_bytes()),
            Wanted::Nothing => false,
        }
    }
}

fn list(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let wanted = match (cx.args.len(), cx.args.get(2), cx.args.get(3), cx.args.get(4)) {
        (2, ..) => Wanted::All,
        (5, Some(by), Some(kind), Some(value)) if is(by, "FILTERBY") => match kind {
            k if is(k, "ACLCAT") => Wanted::Category(category(value)),
            k if is(k, "PATTERN") => Wanted::Pattern(value),
            k if is(k, "MODULE") => Wanted::Nothing,
            _ => return Err(CommandError::Syntax),
        },
        _ => return Err(CommandError::Syntax),
    };
    let mut names = Vec::new();
    for e in listed(cx) {
        if wanted.takes(e) {
            names.push(e.name.as_str());
        }
        names.extend(e.subcommands.iter().filter(|s| works(s) && wanted.takes(s)).map(|s| s.name.as_str()));
    }
    cx.reply.array(names.len());
    names.iter().for_each(|n| cx.reply.bulk(n.as_bytes()));
    Ok(())
}

/// The category of a word, in any case.
pub(super) fn category(word: &[u8]) -> Option<Categories> {
    Categories::from_word(&std::str::from_utf8(word).ok()?.to_ascii_lowercase())
}

/// Places of keys in a command line, and what is done to each.
type Keys = Vec<(usize, spec::KeyFlags)>;

/// The command line after the subcommand's name, and the keys in it.
fn keys_of<'a>(cx: &NodeContext<'a, '_>) -> Result<(Vec<&'a [u8]>, Keys), CommandError> {
    let line: Vec<&[u8]> = cx.args.from(2).iter().collect();
    let invalid = CommandError::fixed("ERR Invalid command specified");
    let Some(name) = line.first() else { return Err(invalid) };
    let mut entry = cx.node.commands.find(name).ok_or(invalid.clone())?;
    if let Some(sub) = line.get(1)
        && !entry.subcommands.is_empty()
    {
        let full = [entry.name.as_bytes(), b"|", sub].concat();
        entry = cx.node.commands.find_full(&full).ok_or(invalid)?;
    }
    let keys = entry.spec().extract_keys(&line).map_err(CommandError::err)?;
    let keys = keys.iter().collect();
    Ok((line, keys))
}

fn get_keys(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (line, keys) = keys_of(cx)?;
    cx.reply.array(keys.len());
    for (at, _) in keys {
        cx.reply.bulk(line.get(at).copied().unwrap_or_default());
    }
    Ok(())
}

fn get_keys_and_flags(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (line, keys) = keys_of(cx)?;
    cx.reply.array(keys.len());
    for (at, flags) in keys {
        cx.reply.array(2);
        cx.reply.bulk(line.get(at).copied().unwrap_or_default());
        let words: Vec<_> = flags.words().collect();
        cx.reply.set(words.len());
        words.iter().for_each(|w| cx.reply.status(w));
    }
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "(no subcommand)",
        "    Describe all commands.",
        "COUNT",
        "    Count the commands.",
        "DOCS [<name> ...]",
        "    Print the documentation of these commands, or of all.",
        "GETKEYS <command line>",
        "    Find the keys in a command line.",
        "GETKEYSANDFLAGS <command line>",
        "    Find the keys and what is done to each.",
        "INFO [<name> ...]",
        "    Describe these commands, or all.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    List the names of commands.",
    ])
}
