//! The server itself: TIME, LASTSAVE, ROLE, REPLICAOF NO ONE.

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

const ROLE_SPEC: CommandSpec = CommandSpec::new("role", 1, Group::Server, "noscript loading stale fast")
    .acl("admin dangerous")
    .since("2.8.12")
    .doc("Tells the role in replication.", "O(1)");

const REPLICAOF_SPEC: CommandSpec =
    CommandSpec::new("replicaof", 3, Group::Server, "admin noscript stale no_async_loading")
        .since("5.0.0")
        .args("args{host-port(host port:integer)|no-one(NO ONE)}")
        .doc("Makes the server a replica, or a primary again.", "O(1)");

const SLAVEOF_SPEC: CommandSpec =
    CommandSpec::new("slaveof", 3, Group::Server, "admin noscript stale no_async_loading")
        .since("1.0.0")
        .deprecated("5.0.0", "`REPLICAOF`")
        .args("args{host-port(host port:integer)|no-one(NO ONE)}")
        .doc("Makes the server a replica, or a primary again.", "O(1)");
pub static TIME: Command = Command::node(TIME_SPEC, time);
pub static LASTSAVE: Command = Command::node(LASTSAVE_SPEC, lastsave);
pub static ROLE: Command = Command::node(ROLE_SPEC, role);
pub static REPLICAOF: Command = Command::node(REPLICAOF_SPEC, replicaof);
pub static SLAVEOF: Command = Command::node(SLAVEOF_SPEC, replicaof);

fn time(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let us = clock::wall_us();
    cx.reply.array(2);
    cx.reply.bulk_integer(us / 1_000_000);
    cx.reply.bulk_integer(us % 1_000_000);
    Ok(())
}

fn lastsave(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.integer(cx.node.saver.last_save_ms.load(Ordering::Relaxed) / 1000);
    Ok(())
}

fn role(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.array(3);
    cx.reply.bulk(b"master");
    cx.reply.integer(0);
    cx.reply.array(0);
    Ok(())
}

fn replicaof(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if is(cx.args.at(1), "NO") && is(cx.args.at(2), "ONE") {
        cx.reply.ok();
        return Ok(());
    }
    if crate::base::number::parse_i64(cx.args.at(2)).is_none_or(|port| !(0..=65535).contains(&port)) {
        return Err(CommandError::fixed("ERR Invalid master port"));
    }
    Err(cx.entry.missing("replication"))
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
