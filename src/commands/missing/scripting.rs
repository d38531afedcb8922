//! Scripts and functions.

use super::Command;
use crate::spec::{CommandSpec, Group, KeySpec};

const EVAL: CommandSpec =
    CommandSpec::new("eval", -3, Group::Scripting, "noscript stale skip_monitor no_mandatory_keys may_replicate")
        .since("2.6.0")
        .keys(&[KeySpec::index(2, "RW access update")
            .keynum(0, 1, 1)
            .notes("The script may do anything to the keys it is given.")])
        .args("script numkeys:integer [key:key...] [arg...]")
        .doc("Runs a script.", "As the script");

const EVAL_RO: CommandSpec =
    CommandSpec::new("eval_ro", -3, Group::Scripting, "readonly noscript stale skip_monitor no_mandatory_keys")
        .since("7.0.0")
        .keys(&[KeySpec::index(2, "RO access")
            .keynum(0, 1, 1)
            .notes("The script may read anything of the keys it is given.")])
        .args("script numkeys:integer [key:key...] [arg...]")
        .doc("Runs a script that may not write.", "As the script");

const EVALSHA: CommandSpec =
    CommandSpec::new("evalsha", -3, Group::Scripting, "noscript stale skip_monitor no_mandatory_keys may_replicate")
        .since("2.6.0")
        .keys(&[KeySpec::index(2, "RW access update").keynum(0, 1, 1)])
        .args("sha1 numkeys:integer [key:key...] [arg...]")
        .doc("Runs a cached script by its digest.", "As the script");

const EVALSHA_RO: CommandSpec =
    CommandSpec::new("evalsha_ro", -3, Group::Scripting, "readonly noscript stale skip_monitor no_mandatory_keys")
        .since("7.0.0")
        .keys(&[KeySpec::index(2, "RO access").keynum(0, 1, 1)])
        .args("sha1 numkeys:integer [key:key...] [arg...]")
        .doc("Runs a cached script, which may not write, by its digest.", "As the script");

const FCALL: CommandSpec =
    CommandSpec::new("fcall", -3, Group::Scripting, "noscript stale skip_monitor no_mandatory_keys may_replicate")
        .since("7.0.0")
        .keys(&[KeySpec::index(2, "RW access update")
            .keynum(0, 1, 1)
            .notes("The function may do anything to the keys it is given.")])
        .args("function numkeys:integer [key:key...] [arg...]")
        .doc("Calls a library function.", "As the function");

const FCALL_RO: CommandSpec =
    CommandSpec::new("fcall_ro", -3, Group::Scripting, "readonly noscript stale skip_monitor no_mandatory_keys")
        .since("7.0.0")
        .keys(&[KeySpec::index(2, "RO access")
            .keynum(0, 1, 1)
            .notes("The function may read anything of the keys it is given.")])
        .args("function numkeys:integer [key:key...] [arg...]")
        .doc("Calls a library function that may not write.", "As the function");

const FUNCTION: CommandSpec = CommandSpec::container("function", Group::Scripting, "")
    .since("7.0.0")
    .doc("Groups the commands for function libraries.", "By subcommand");

const FUNCTION_DELETE: CommandSpec = CommandSpec::sub("function", "delete", 3, Group::Scripting, "write noscript")
    .since("7.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .args("library-name")
    .doc("Removes a library and its functions.", "O(1)");

const FUNCTION_DUMP: CommandSpec = CommandSpec::sub("function", "dump", 2, Group::Scripting, "noscript")
    .since("7.0.0")
    .doc("Packs all libraries into one payload.", "O(N), N: functions");

const FUNCTION_FLUSH: CommandSpec = CommandSpec::sub("function", "flush", -2, Group::Scripting, "write noscript")
    .since("7.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .args("[flush-type{ASYNC|SYNC}]")
    .doc("Removes every library.", "O(N), N: functions removed");

const FUNCTION_HELP: CommandSpec = CommandSpec::sub("function", "help", 2, Group::Scripting, "loading stale")
    .since("7.0.0")
    .doc("Prints what FUNCTION can do.", "O(1)");

const FUNCTION_KILL: CommandSpec = CommandSpec::sub("function", "kill", 2, Group::Scripting, "noscript allow_busy")
    .since("7.0.0")
    .tips("request_policy:all_shards response_policy:one_succeeded")
    .doc("Stops the function that is running.", "O(1)");

const FUNCTION_LIST: CommandSpec = CommandSpec::sub("function", "list", -2, Group::Scripting, "noscript")
    .since("7.0.0")
    .tips("nondeterministic_output_order")
    .args("[LIBRARYNAME=library-name-pattern] [WITHCODE]")
    .doc("Lists the libraries and their functions.", "O(N), N: functions");

const FUNCTION_LOAD: CommandSpec = CommandSpec::sub("function", "load", -3, Group::Scripting, "write denyoom noscript")
    .since("7.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .args("[REPLACE] function-code")
    .doc("Compiles a library and keeps it.", "O(1) besides compiling");

const FUNCTION_RESTORE: CommandSpec =
    CommandSpec::sub("function", "restore", -3, Group::Scripting, "write denyoom noscript")
        .since("7.0.0")
        .tips("request_policy:all_shards response_policy:all_succeeded")
        .args("serialized-value [policy{FLUSH|APPEND|REPLACE}]")
        .doc("Loads the libraries of a payload.", "O(N), N: functions in the payload");

const FUNCTION_STATS: CommandSpec = CommandSpec::sub("function", "stats", 2, Group::Scripting, "noscript allow_busy")
    .since("7.0.0")
    .tips("nondeterministic_output request_policy:all_shards response_policy:special")
    .doc("Tells what runs now and what the engines hold.", "O(1)");

const SCRIPT: CommandSpec = CommandSpec::container("script", Group::Scripting, "")
    .since("2.6.0")
    .doc("Groups the commands for cached scripts.", "By subcommand");

const SCRIPT_DEBUG: CommandSpec = CommandSpec::sub("script", "debug", -3, Group::Scripting, "noscript")
    .since("3.2.0")
    .args("mode{YES|SYNC|NO} [engine@9.1.0]")
    .doc("Chooses how scripts of this connection are debugged.", "O(1)");

const SCRIPT_EXISTS: CommandSpec = CommandSpec::sub("script", "exists", -3, Group::Scripting, "noscript stale")
    .since("2.6.0")
    .tips("request_policy:all_shards response_policy:agg_logical_and")
    .args("sha1...")
    .doc("Tells which digests are in the script cache.", "O(N), N: digests");

const SCRIPT_FLUSH: CommandSpec = CommandSpec::sub("script", "flush", -2, Group::Scripting, "noscript stale")
    .since("2.6.0")
    .tips("request_policy:all_nodes response_policy:all_succeeded")
    .history(&[("6.2.0", "Modes `ASYNC` and `SYNC`.")])
    .args("[flush-type{ASYNC|SYNC}@6.2.0]")
    .doc("Empties the script cache.", "O(N), N: cached scripts");

const SCRIPT_HELP: CommandSpec = CommandSpec::sub("script", "help", 2, Group::Scripting, "loading stale")
    .since("5.0.0")
    .doc("Prints what SCRIPT can do.", "O(1)");

const SCRIPT_KILL: CommandSpec = CommandSpec::sub("script", "kill", 2, Group::Scripting, "noscript allow_busy")
    .since("2.6.0")
    .tips("request_policy:all_shards response_policy:one_succeeded")
    .doc("Stops the script that is running.", "O(1)");

const SCRIPT_LOAD: CommandSpec = CommandSpec::sub("script", "load", 3, Group::Scripting, "noscript stale")
    .since("2.6.0")
    .tips("request_policy:all_nodes response_policy:all_succeeded")
    .args("script")
    .doc("Puts a script into the cache without running it.", "O(N), N: bytes of the script");

const SCRIPT_SHOW: CommandSpec = CommandSpec::sub("script", "show", 3, Group::Scripting, "noscript stale")
    .since("8.0.0")
    .args("sha1")
    .doc("Prints a cached script.", "O(1)");

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::missing(EVAL, "scripts"),
    &Command::missing(EVAL_RO, "scripts"),
    &Command::missing(EVALSHA, "scripts"),
    &Command::missing(EVALSHA_RO, "scripts"),
    &Command::missing(FCALL, "scripts"),
    &Command::missing(FCALL_RO, "scripts"),
    &Command::container(
        FUNCTION,
        &[
            &Command::missing(FUNCTION_DELETE, "scripts"),
            &Command::missing(FUNCTION_DUMP, "scripts"),
            &Command::missing(FUNCTION_FLUSH, "scripts"),
            &Command::missing(FUNCTION_HELP, "scripts"),
            &Command::missing(FUNCTION_KILL, "scripts"),
            &Command::missing(FUNCTION_LIST, "scripts"),
            &Command::missing(FUNCTION_LOAD, "scripts"),
            &Command::missing(FUNCTION_RESTORE, "scripts"),
            &Command::missing(FUNCTION_STATS, "scripts"),
        ],
    ),
    &Command::container(
        SCRIPT,
        &[
            &Command::missing(SCRIPT_DEBUG, "scripts"),
            &Command::missing(SCRIPT_EXISTS, "scripts"),
            &Command::missing(SCRIPT_FLUSH, "scripts"),
            &Command::missing(SCRIPT_HELP, "scripts"),
            &Command::missing(SCRIPT_KILL, "scripts"),
            &Command::missing(SCRIPT_LOAD, "scripts"),
            &Command::missing(SCRIPT_SHOW, "scripts"),
        ],
    ),
];
