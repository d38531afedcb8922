//! The server itself: TIME, LASTSAVE.

use crate::base::clock;
use crate::commands::{Command, NodeContext, Outcome};
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

pub static TIME: Command = Command::node(TIME_SPEC, time);
pub static LASTSAVE: Command = Command::node(LASTSAVE_SPEC, lastsave);

fn time(cx: &mut NodeContext<'_, '_>) -> Outcome {
    // Inside EXEC or a script it stands still, as deadlines do: no two commands of one step disagree about it. A script that has run
    // too long sees it pass.
    let us = if cx.nested { cx.client.step_us } else { clock::wall_us() };
    cx.reply.array(2);
    cx.reply.bulk_integer(us / 1_000_000);
    cx.reply.bulk_integer(us % 1_000_000);
    Ok(())
}

fn lastsave(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.integer(cx.node.saver.last_save_ms.load(Ordering::Relaxed) / 1000);
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
