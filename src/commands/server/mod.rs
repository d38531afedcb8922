//! Commands on the server: its configuration, its figures, its data as a whole.

mod command;
mod config;
mod flush;
mod info;
mod node;

use super::Command;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &command::COMMAND,
    &config::CONFIG,
    &info::INFO,
    &flush::DBSIZE,
    &flush::FLUSHALL,
    &flush::FLUSHDB,
    &flush::SWAPDB,
    &node::TIME,
    &node::LASTSAVE,
    &node::SHUTDOWN,
    &node::ROLE,
    &node::REPLICAOF,
    &node::SLAVEOF,
];
