//! Scripts and functions.

mod function;
mod run;
mod script;

use super::Command;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &run::EVAL,
    &run::EVAL_RO,
    &run::EVALSHA,
    &run::EVALSHA_RO,
    &run::FCALL,
    &run::FCALL_RO,
    &function::FUNCTION,
    &script::SCRIPT,
];

/// SCRIPT KILL and FUNCTION KILL.
fn kill(cx: &mut super::NodeContext<'_, '_>, kind: crate::script::Kind) -> super::Outcome {
    use crate::script::{KillError, Kind};
    match cx.node.scripts.running.kill(kind, crate::base::clock::monotonic_ms()) {
        Ok(()) => {
            cx.reply.ok();
            Ok(())
        }
        Err(KillError::NotBusy) => Err(super::CommandError::fixed("NOTBUSY No scripts in execution right now.")),
        Err(KillError::Unkillable) => Err(super::CommandError::fixed(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script \
             termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        )),
        Err(KillError::OtherKind) => Err(busy(kind == Kind::Script)),
    }
}

/// What everybody is told while a script runs too long; `function` says which kind runs.
pub fn busy(function: bool) -> super::CommandError {
    super::CommandError::fixed(if function {
        "BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
    } else {
        "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    })
}
