//! What replicas say to their primary.

mod attach;

use super::Command;

pub static COMMANDS: &[&Command] = &[&attach::SYNC, &attach::PSYNC, &attach::REPLCONF];
