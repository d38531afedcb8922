//! EVAL, EVALSHA, FCALL: rows only, the engine runs scripts.

use crate::commands::Command;
use crate::commands::table::ScriptCommand;
use crate::spec::{CommandSpec, Group, KeySpec};

const EVAL_SPEC: CommandSpec =
    CommandSpec::new("eval", -3, Group::Scripting, "noscript stale skip_monitor no_mandatory_keys may_replicate")
        .since("2.6.0")
        .keys(&[KeySpec::index(2, "RW access update")
            .keynum(0, 1, 1)
            .notes("The script may do anything to the keys it is given.")])
        .args("script numkeys:integer [key:key...] [arg...]")
        .doc("Runs a script.", "As the script");

const EVAL_RO_SPEC: CommandSpec =
    CommandSpec::new("eval_ro", -3, Group::Scripting, "readonly noscript stale skip_monitor no_mandatory_keys")
        .since("7.0.0")
        .keys(&[KeySpec::index(2, "RO access")
            .keynum(0, 1, 1)
            .notes("The script may read anything of the keys it is given.")])
        .args("script numkeys:integer [key:key...] [arg...]")
        .doc("Runs a script that may not write.", "As the script");

const EVALSHA_SPEC: CommandSpec =
    CommandSpec::new("evalsha", -3, Group::Scripting, "noscript stale skip_monitor no_mandatory_keys may_replicate")
        .since("2.6.0")
        .keys(&[KeySpec::index(2, "RW access update").keynum(0, 1, 1)])
        .args("sha1 numkeys:integer [key:key...] [arg...]")
        .doc("Runs a cached script by its digest.", "As the script");

const EVALSHA_RO_SPEC: CommandSpec =
    CommandSpec::new("evalsha_ro", -3, Group::Scripting, "readonly noscript stale skip_monitor no_mandatory_keys")
        .since("7.0.0")
        .keys(&[KeySpec::index(2, "RO access").keynum(0, 1, 1)])
        .args("sha1 numkeys:integer [key:key...] [arg...]")
        .doc("Runs a cached script, which may not write, by its digest.", "As the script");

const FCALL_SPEC: CommandSpec =
    CommandSpec::new("fcall", -3, Group::Scripting, "noscript stale skip_monitor no_mandatory_keys may_replicate")
        .since("7.0.0")
        .keys(&[KeySpec::index(2, "RW access update")
            .keynum(0, 1, 1)
            .notes("The function may do anything to the keys it is given.")])
        .args("function numkeys:integer [key:key...] [arg...]")
        .doc("Calls a library function.", "As the function");

const FCALL_RO_SPEC: CommandSpec =
    CommandSpec::new("fcall_ro", -3, Group::Scripting, "readonly noscript stale skip_monitor no_mandatory_keys")
        .since("7.0.0")
        .keys(&[KeySpec::index(2, "RO access")
            .keynum(0, 1, 1)
            .notes("The function may read anything of the keys it is given.")])
        .args("function numkeys:integer [key:key...] [arg...]")
        .doc("Calls a library function that may not write.", "As the function");
pub static EVAL: Command = Command::script(EVAL_SPEC, ScriptCommand::Text);
pub static EVAL_RO: Command = Command::script(EVAL_RO_SPEC, ScriptCommand::Text);
pub static EVALSHA: Command = Command::script(EVALSHA_SPEC, ScriptCommand::Digest);
pub static EVALSHA_RO: Command = Command::script(EVALSHA_RO_SPEC, ScriptCommand::Digest);
pub static FCALL: Command = Command::script(FCALL_SPEC, ScriptCommand::Function);
pub static FCALL_RO: Command = Command::script(FCALL_RO_SPEC, ScriptCommand::Function);
