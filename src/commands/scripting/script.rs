//! SCRIPT: the cache of scripts.

use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::crypto;
use crate::script::{self, Cache, Header, Kind, Script, settings};
use crate::spec::{CommandSpec, Group};
use std::sync::Arc;

const SCRIPT_SPEC: CommandSpec = CommandSpec::container("script", Group::Scripting, "")
    .since("2.6.0")
    .doc("Groups the commands for cached scripts.", "By subcommand");

const SCRIPT_DEBUG_SPEC: CommandSpec = CommandSpec::sub("script", "debug", -3, Group::Scripting, "noscript")
    .since("3.2.0")
    .args("mode{YES|SYNC|NO} [engine@9.1.0]")
    .doc("Chooses how scripts of this connection are debugged.", "O(1)");

const SCRIPT_EXISTS_SPEC: CommandSpec = CommandSpec::sub("script", "exists", -3, Group::Scripting, "noscript stale")
    .since("2.6.0")
    .tips("request_policy:all_shards response_policy:agg_logical_and")
    .args("sha1...")
    .doc("Tells which digests are in the script cache.", "O(N), N: digests");

const SCRIPT_FLUSH_SPEC: CommandSpec = CommandSpec::sub("script", "flush", -2, Group::Scripting, "noscript stale")
    .since("2.6.0")
    .tips("request_policy:all_nodes response_policy:all_succeeded")
    .history(&[("6.2.0", "Modes `ASYNC` and `SYNC`.")])
    .args("[flush-type{ASYNC|SYNC}@6.2.0]")
    .doc("Empties the script cache.", "O(N), N: cached scripts");

const SCRIPT_HELP_SPEC: CommandSpec = CommandSpec::sub("script", "help", 2, Group::Scripting, "loading stale")
    .since("5.0.0")
    .doc("Prints what SCRIPT can do.", "O(1)");

const SCRIPT_KILL_SPEC: CommandSpec = CommandSpec::sub("script", "kill", 2, Group::Scripting, "noscript allow_busy")
    .since("2.6.0")
    .tips("request_policy:all_shards response_policy:one_succeeded")
    .doc("Stops the script that is running.", "O(1)");

const SCRIPT_LOAD_SPEC: CommandSpec = CommandSpec::sub("script", "load", 3, Group::Scripting, "noscript stale")
    .since("2.6.0")
    .tips("request_policy:all_nodes response_policy:all_succeeded")
    .args("script")
    .doc("Puts a script into the cache without running it.", "O(N), N: bytes of the script");

const SCRIPT_SHOW_SPEC: CommandSpec = CommandSpec::sub("script", "show", 3, Group::Scripting, "noscript stale")
    .since("8.0.0")
    .args("sha1")
    .doc("Prints a cached script.", "O(1)");

pub static SCRIPT: Command = Command::container(
    SCRIPT_SPEC,
    &[
        &Command::node(SCRIPT_DEBUG_SPEC, debug),
        &Command::node(SCRIPT_EXISTS_SPEC, exists),
        &Command::node(SCRIPT_FLUSH_SPEC, flush),
        &Command::node(SCRIPT_HELP_SPEC, help),
        &Command::node(SCRIPT_KILL_SPEC, kill),
        &Command::node(SCRIPT_LOAD_SPEC, load),
        &Command::node(SCRIPT_SHOW_SPEC, show),
    ],
);

fn debug(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let word = cx.args.at(2);
    if cx.args.len() > 4 || cx.args.get(3).is_some_and(|engine| !is(engine, "LUA")) {
        return Err(CommandError::err("the engine of scripts is lua"));
    }
    if is(word, "NO") {
        cx.client.debugs = false;
    } else if is(word, "SYNC") {
        cx.client.debugs = true;
    } else if is(word, "YES") {
        // Nothing forks here, so there is no second data set that a session could be let loose on.
        return Err(CommandError::err(
            "SCRIPT DEBUG YES needs a forked copy of the data set and this server does not fork; use SCRIPT DEBUG SYNC (--ldb-sync-mode), \
             where what the script writes stays",
        ));
    } else {
        return Err(CommandError::fixed("ERR Use SCRIPT DEBUG YES/SYNC/NO"));
    }
    cx.reply.ok();
    Ok(())
}

fn exists(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.array(cx.args.len() - 2);
    for text in cx.args.from(2).iter() {
        let there = Cache::parse(text).is_some_and(|d| cx.node.scripts.cache.contains(&d));
        cx.reply.integer(i64::from(there));
    }
    Ok(())
}

fn flush(cx: &mut NodeContext<'_, '_>) -> Outcome {
    match (cx.args.len(), cx.args.get(2)) {
        (2, _) => {}
        (3, Some(w)) if is(w, "SYNC") || is(w, "ASYNC") => {}
        _ => return Err(CommandError::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    }
    // Each thread's VM drops what it compiled when it is used next; this one's is made anew.
    cx.node.scripts.cache.flush();
    script::forget();
    cx.reply.ok();
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "DEBUG SYNC|NO",
        "    Debug the next script of this connection. Nobody else is served meanwhile, and what it writes stays. YES, a session",
        "    on a forked copy, is refused: nothing forks here.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Tell which digests are in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Empty the script cache.",
        "KILL",
        "    Stop the script that is running, unless it has written.",
        "LOAD <script>",
        "    Put a script into the cache without running it.",
        "SHOW <sha1>",
        "    Print a cached script.",
    ])
}

fn kill(cx: &mut NodeContext<'_, '_>) -> Outcome {
    super::kill(cx, Kind::Script)
}

fn load(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let source = cx.args.at(2);
    let digest = Cache::digest(source);
    let scripts = &cx.node.scripts;
    let script = match scripts.cache.get(&digest) {
        Some(script) => script,
        None => {
            let header = Header::of_script(source).map_err(CommandError::err)?;
            let script = Arc::new(Script { digest, source: source.to_vec(), header, reach: Default::default() });
            let compiled = script::with_vm(settings(cx.config), |vm| {
                vm.follow_scripts(scripts.cache.epoch());
                vm.prepare(&script)
            });
            compiled.map_err(CommandError::err)?.map_err(|text| CommandError::Bytes(text.into_bytes()))?;
            script
        }
    };
    scripts.cache.add(script, true);
    cx.reply.bulk(crypto::hex(&digest).as_bytes());
    Ok(())
}

fn show(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let found = Cache::parse(cx.args.at(2)).and_then(|d| cx.node.scripts.cache.get(&d));
    let script = found.ok_or(CommandError::fixed("NOSCRIPT No matching script."))?;
    cx.reply.bulk(&script.source);
    Ok(())
}
