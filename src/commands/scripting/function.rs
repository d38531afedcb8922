//! FUNCTION: libraries of functions.
//!
//! Libraries stand in the journal as the calls that loaded or dropped them, and in snapshots as their texts. Calls that change them
//! hold all locks, so that the journal's order is theirs.

use crate::base::clock;
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::persist::rdb;
use crate::script::{self, Header, Kind, RegistryError, RestorePolicy, settings};
use crate::spec::{CommandSpec, Group};

const FUNCTION_SPEC: CommandSpec = CommandSpec::container("function", Group::Scripting, "")
    .since("7.0.0")
    .doc("Groups the commands for function libraries.", "By subcommand");

const FUNCTION_DELETE_SPEC: CommandSpec = CommandSpec::sub("function", "delete", 3, Group::Scripting, "write noscript")
    .since("7.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .args("library-name")
    .doc("Removes a library and its functions.", "O(1)");

const FUNCTION_DUMP_SPEC: CommandSpec = CommandSpec::sub("function", "dump", 2, Group::Scripting, "noscript")
    .since("7.0.0")
    .doc("Packs all libraries into one payload.", "O(N), N: functions");

const FUNCTION_FLUSH_SPEC: CommandSpec = CommandSpec::sub("function", "flush", -2, Group::Scripting, "write noscript")
    .since("7.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .args("[flush-type{ASYNC|SYNC}]")
    .doc("Removes every library.", "O(N), N: functions removed");

const FUNCTION_HELP_SPEC: CommandSpec = CommandSpec::sub("function", "help", 2, Group::Scripting, "loading stale")
    .since("7.0.0")
    .doc("Prints what FUNCTION can do.", "O(1)");

const FUNCTION_KILL_SPEC: CommandSpec =
    CommandSpec::sub("function", "kill", 2, Group::Scripting, "noscript allow_busy")
        .since("7.0.0")
        .tips("request_policy:all_shards response_policy:one_succeeded")
        .doc("Stops the function that is running.", "O(1)");

const FUNCTION_LIST_SPEC: CommandSpec = CommandSpec::sub("function", "list", -2, Group::Scripting, "noscript")
    .since("7.0.0")
    .tips("nondeterministic_output_order")
    .args("[LIBRARYNAME=library-name-pattern] [WITHCODE]")
    .doc("Lists the libraries and their functions.", "O(N), N: functions");

const FUNCTION_LOAD_SPEC: CommandSpec =
    CommandSpec::sub("function", "load", -3, Group::Scripting, "write denyoom noscript")
        .since("7.0.0")
        .tips("request_policy:all_shards response_policy:all_succeeded")
        .args("[REPLACE] function-code")
        .doc("Compiles a library and keeps it.", "O(1) besides compiling");

const FUNCTION_RESTORE_SPEC: CommandSpec =
    CommandSpec::sub("function", "restore", -3, Group::Scripting, "write denyoom noscript")
        .since("7.0.0")
        .tips("request_policy:all_shards response_policy:all_succeeded")
        .args("serialized-value [policy{FLUSH|APPEND|REPLACE}]")
        .doc("Loads the libraries of a payload.", "O(N), N: functions in the payload");

const FUNCTION_STATS_SPEC: CommandSpec =
    CommandSpec::sub("function", "stats", 2, Group::Scripting, "noscript allow_busy")
        .since("7.0.0")
        .tips("nondeterministic_output request_policy:all_shards response_policy:special")
        .doc("Tells what runs now and what the engines hold.", "O(1)");

pub static FUNCTION: Command = Command::container(
    FUNCTION_SPEC,
    &[
        &Command::node(FUNCTION_DELETE_SPEC, delete),
        &Command::node(FUNCTION_DUMP_SPEC, dump),
        &Command::node(FUNCTION_FLUSH_SPEC, flush),
        &Command::node(FUNCTION_HELP_SPEC, help),
        &Command::node(FUNCTION_KILL_SPEC, kill),
        &Command::node(FUNCTION_LIST_SPEC, list),
        &Command::node(FUNCTION_LOAD_SPEC, load),
        &Command::node(FUNCTION_RESTORE_SPEC, restore),
        &Command::node(FUNCTION_STATS_SPEC, stats),
    ],
);

/// A reply's text, code and all.
fn text(text: String) -> CommandError {
    CommandError::Bytes(text.into_bytes())
}

fn load(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let code = cx.args.len() - 1;
    let mut replace = false;
    for i in 2..code {
        let word = cx.args.at(i);
        if !is(word, "REPLACE") {
            return Err(CommandError::err(format_args!("Unknown option given: {}", String::from_utf8_lossy(word))));
        }
        replace = true;
    }
    let functions = &cx.node.scripts.functions;
    let source = cx.args.at(code);
    // Said before the code runs, as for a name that is no name.
    let header = Header::of_library(source).map_err(CommandError::err)?;
    let name = String::from_utf8_lossy(&header.name).into_owned();
    if !replace && functions.has(&name) {
        return Err(CommandError::err(RegistryError::LibraryExists(name)));
    }
    let library = script::compile(functions, settings(cx.config), source).map_err(text)?;
    let id = library.id;
    if let Err(e) = functions.add(library, replace) {
        let _ = script::with_vm(settings(cx.config), |vm| vm.unload(id));
        return Err(CommandError::err(e));
    }
    cx.space.changes.dirty += 1;
    cx.reply.bulk(name.as_bytes());
    Ok(())
}

fn delete(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let name = String::from_utf8_lossy(cx.args.at(2)).into_owned();
    cx.node.scripts.functions.delete(&name).map_err(CommandError::err)?;
    cx.space.changes.dirty += 1;
    cx.reply.ok();
    Ok(())
}

fn flush(cx: &mut NodeContext<'_, '_>) -> Outcome {
    match (cx.args.len(), cx.args.get(2)) {
        (2, _) => {}
        (3, Some(w)) if is(w, "SYNC") || is(w, "ASYNC") => {}
        (3, _) => return Err(CommandError::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => return Err(cx.syntax_hint()),
    }
    let functions = &cx.node.scripts.functions;
    functions.flush();
    cx.space.changes.dirty += 1;
    let _ = script::with_vm(settings(cx.config), |vm| vm.follow_functions(functions.epoch(), |_| false));
    cx.reply.ok();
    Ok(())
}

fn dump(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let libraries = cx.node.scripts.functions.list(None);
    cx.reply.bulk(&rdb::dump_functions(libraries.iter().map(|l| l.source.as_slice())));
    Ok(())
}

fn restore(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let policy = match (cx.args.len(), cx.args.get(3)) {
        (3, _) => RestorePolicy::Append,
        (4, Some(w)) if is(w, "APPEND") => RestorePolicy::Append,
        (4, Some(w)) if is(w, "REPLACE") => RestorePolicy::Replace,
        (4, Some(w)) if is(w, "FLUSH") => RestorePolicy::Flush,
        (4, _) => {
            return Err(CommandError::err(
                "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => return Err(cx.syntax_hint()),
    };
    let relaxed = cx.config.persistence.rdb_version_check == crate::config::types::RdbVersionCheck::Relaxed;
    let sources = rdb::restore_functions(cx.args.at(2), relaxed)
        .map_err(|_| CommandError::err("DUMP payload version or checksum are wrong"))?;
    script::keep_all(&cx.node.scripts.functions, settings(cx.config), &sources, policy).map_err(text)?;
    cx.space.changes.dirty += 1;
    cx.reply.ok();
    Ok(())
}

fn list(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = cx.args.from(2).iter();
    while let Some(word) = words.next() {
        if !with_code && is(word, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is(word, "LIBRARYNAME") {
            pattern = Some(words.next().ok_or(CommandError::fixed("ERR library name argument was not given"))?);
        } else {
            return Err(CommandError::err(format_args!("Unknown argument {}", String::from_utf8_lossy(word))));
        }
    }
    let libraries = cx.node.scripts.functions.list(pattern);
    let reply = &mut *cx.reply;
    reply.array(libraries.len());
    for library in libraries {
        reply.map(3 + usize::from(with_code));
        reply.bulk(b"library_name");
        reply.bulk(library.name.as_bytes());
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for f in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(f.name.as_bytes());
            reply.bulk(b"description");
            match &f.description {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            reply.set(f.rules.names().count());
            for flag in f.rules.names() {
                reply.status(flag);
            }
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.source);
        }
    }
    Ok(())
}

fn stats(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let running = cx.node.scripts.running.function();
    let (libraries, functions) = cx.node.scripts.functions.counts();
    let reply = &mut *cx.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(r) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(r.name.as_bytes());
            reply.bulk(b"command");
            reply.array(r.command.len());
            for word in &r.command {
                reply.bulk(word);
            }
            reply.bulk(b"duration_ms");
            reply.integer(clock::monotonic_ms().saturating_sub(r.since_ms).cast_signed());
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(libraries as i64);
    reply.bulk(b"functions_count");
    reply.integer(functions as i64);
    Ok(())
}

fn kill(cx: &mut NodeContext<'_, '_>) -> Outcome {
    super::kill(cx, Kind::Function)
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "DELETE <library name>",
        "    Remove a library and its functions.",
        "DUMP",
        "    Pack all libraries into one payload for FUNCTION RESTORE.",
        "FLUSH [ASYNC|SYNC]",
        "    Remove all libraries.",
        "KILL",
        "    Stop the function that is running, unless it has written.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    List the libraries and their functions.",
        "LOAD [REPLACE] <code>",
        "    Compile a library and keep it.",
        "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
        "    Load the libraries of a payload. APPEND, the default, is refused if a name is taken; REPLACE replaces libraries of",
        "    the same name; FLUSH removes all others first.",
        "STATS",
        "    Tell which function runs, and how many there are.",
    ])
}
