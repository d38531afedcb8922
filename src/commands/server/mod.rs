//! Commands on the server: its configuration, its figures, its data as a whole.

mod acl;
mod command;
mod config;
mod debug;
mod flush;
mod info;
mod latency;
mod logs;
mod lolwut;
mod memory;
mod node;

use super::Command;
pub use debug::permit as permit_debug;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &command::COMMAND,
    &config::CONFIG,
    &info::INFO,
    &info::FIPS,
    &logs::SLOWLOG,
    &logs::COMMANDLOG,
    &latency::LATENCY,
    &memory::MEMORY,
    &debug::DEBUG,
    &acl::ACL,
    &lolwut::LOLWUT,
    &node::MODULE,
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
