//! What replicas and their primaries say to each other, and what operators say to both.

mod attach;
mod failover;
mod follow;
mod wait;

pub(super) use wait::ask_and_wait;

use super::Command;

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &follow::REPLICAOF,
    &follow::SLAVEOF,
    &follow::ROLE,
    &failover::FAILOVER,
    &wait::WAIT,
    &wait::WAITAOF,
    &attach::SYNC,
    &attach::PSYNC,
    &attach::REPLCONF,
];
