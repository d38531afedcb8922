//! ACL: users and what they may do.

mod disconnect;
mod file;
mod inspect;
mod log;
mod users;

use super::Command;
use crate::spec::{CommandSpec, Group};

const ACL_SPEC: CommandSpec = CommandSpec::container("acl", Group::Server, "")
    .since("6.0.0")
    .doc("Groups the commands for users and their permissions.", "By subcommand");

static ACL: Command = Command::container(
    ACL_SPEC,
    &[
        &inspect::CAT,
        &users::DELUSER,
        &inspect::DRYRUN,
        &inspect::GENPASS,
        &users::GETUSER,
        &inspect::HELP,
        &users::LIST,
        &file::LOAD,
        &log::LOG,
        &file::SAVE,
        &users::SETUSER,
        &users::USERS,
        &inspect::WHOAMI,
    ],
);

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[&ACL];

pub use file::{load_configured, reload};

#[cfg(test)]
mod reach;
#[cfg(test)]
mod tests;
