//! The server itself: TIME, LASTSAVE, SHUTDOWN.

use crate::base::clock;
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};
use std::sync::atomic::Ordering;

const TIME_SPEC: CommandSpec = CommandSpec::new("time", 1, Group::Server, "loading stale fast")
    .since("2.6.0")
    .tips("nondeterministic_output")
    .doc("Tells the time of the server.", "O(1)");

const LASTSAVE_SPEC: CommandSpec = CommandSpec::new("lastsave", 1, Group::Server, "loading stale fast")
    .acl("admin dangerous")
    .since("1.0.0")
    .tips("nondeterministic_output")
    .doc("Tells the Unix time of the last save that succeeded.", "O(1)");

const SHUTDOWN_SPEC: CommandSpec =
    CommandSpec::new("shutdown", -1, Group::Server, "admin noscript loading stale no_multi allow_busy")
        .since("1.0.0")
        .history(&[("7.0.0", "Words `NOW`, `FORCE`, `ABORT`."), ("9.0.0", "Words `SAFE` and `FAILOVER`.")])
        .args(
            "[abort-selector{save-selector-block([save-selector{NOSAVE|SAVE}] [NOW@7.0.0] \
        [FORCE@7.0.0] [SAFE@9.0.0] [FAILOVER@9.0.0]) | ABORT@7.0.0}]",
        )
        .doc("Saves as configured and ends the server.", "O(N) with a save, N: keys in all databases; else O(1)");

pub static TIME: Command = Command::node(TIME_SPEC, time);
pub static LASTSAVE: Command = Command::node(LASTSAVE_SPEC, lastsave);
pub static SHUTDOWN: Command = Command::node(SHUTDOWN_SPEC, shutdown);

fn time(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let us = clock::wall_us();
    cx.reply.array(2);
    cx.reply.bulk_integer(us / 1_000_000);
    cx.reply.bulk_integer(us % 1_000_000);
    Ok(())
}

fn lastsave(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.integer(cx.node.last_save_ms.load(Ordering::Relaxed) / 1000);
    Ok(())
}

#[derive(Clone, Copy, Debug, Default)]
struct ShutdownOptions {
    nosave: bool,
    save: bool,
    now: bool,
    force: bool,
    abort: bool,
}

impl ShutdownOptions {
    fn parse(cx: &NodeContext<'_, '_>) -> Result<ShutdownOptions, CommandError> {
        let mut o = ShutdownOptions::default();
        for word in cx.args.from(1).iter() {
            let flag = match word {
                w if is(w, "NOSAVE") => &mut o.nosave,
                w if is(w, "SAVE") => &mut o.save,
                w if is(w, "NOW") => &mut o.now,
                w if is(w, "FORCE") => &mut o.force,
                w if is(w, "ABORT") => &mut o.abort,
                // Which replicas may be left behind matters only where there are some.
                w if is(w, "SAFE") => continue,
                _ => return Err(CommandError::Syntax),
            };
            *flag = true;
        }
        if (o.abort && (o.nosave || o.save || o.now || o.force)) || (o.nosave && o.save) {
            return Err(CommandError::Syntax);
        }
        Ok(o)
    }
}

fn shutdown(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let o = ShutdownOptions::parse(cx)?;
    if o.abort {
        // The end is never put off: there are no replicas to wait for.
        return Err(CommandError::fixed("ERR No shutdown in progress."));
    }
    if cx.nested {
        return Err(CommandError::fixed("ERR Command not allowed inside a transaction"));
    }
    if cx.node.keyspace.is_busy() && !o.nosave {
        // A save would wait for the script's locks.
        let kind = cx.node.scripts.running.longest().map(|s| s.kind);
        return Err(crate::commands::scripting::busy(kind == Some(crate::script::Kind::Function)));
    }
    if o.save && super::save::to_disk(cx).is_err() && !o.force {
        return Err(CommandError::fixed("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    tracing::warn!("User requested shutdown...");
    cx.node.shutdown.store(true, Ordering::Release);
    cx.node.clients.ring_all();
    Ok(())
}

const MODULE_SPEC: CommandSpec = CommandSpec::container("module", Group::Server, "")
    .since("4.0.0")
    .doc("Groups the commands for modules.", "By subcommand");

const MODULE_HELP_SPEC: CommandSpec = CommandSpec::sub("module", "help", 2, Group::Server, "loading stale")
    .since("5.0.0")
    .doc("Prints what MODULE can do.", "O(1)");

const MODULE_LIST_SPEC: CommandSpec = CommandSpec::sub("module", "list", 2, Group::Server, "admin noscript")
    .since("4.0.0")
    .tips("nondeterministic_output_order")
    .doc("Lists the loaded modules.", "O(N), N: modules");

const MODULE_LOAD_SPEC: CommandSpec =
    CommandSpec::sub("module", "load", -3, Group::Server, "admin noscript no_async_loading")
        .since("4.0.0")
        .args("path [arg...]")
        .doc("Brings a module in.", "O(1)");

const MODULE_LOADEX_SPEC: CommandSpec =
    CommandSpec::sub("module", "loadex", -3, Group::Server, "admin noscript no_async_loading")
        .since("7.0.0")
        .args("path [CONFIG=configs(name value)*...] [ARGS=args...]")
        .doc("Loads a module with settings.", "O(1)");

const MODULE_UNLOAD_SPEC: CommandSpec =
    CommandSpec::sub("module", "unload", 3, Group::Server, "admin noscript no_async_loading")
        .since("4.0.0")
        .args("name")
        .doc("Puts a module out.", "O(1)");
const NO_MODULES: &str = "modules cannot be loaded";

pub static MODULE: Command = Command::container(
    MODULE_SPEC,
    &[
        &Command::node(MODULE_HELP_SPEC, module_help),
        &Command::node(MODULE_LIST_SPEC, module_list),
        &Command::missing(MODULE_LOAD_SPEC, NO_MODULES),
        &Command::missing(MODULE_LOADEX_SPEC, NO_MODULES),
        &Command::missing(MODULE_UNLOAD_SPEC, NO_MODULES),
    ],
);

fn module_list(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.array(0);
    Ok(())
}

fn module_help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&["LIST", "    List the loaded modules: there are none."])
}
