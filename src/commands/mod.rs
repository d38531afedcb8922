//! The table of commands and their handlers: a folder per family, a file per topic, the row beside the handler.
//!
//! # Adding a command
//! In its topic's file: a `CommandSpec` row, the handler, and its name in the topic's `COMMANDS` slice. Nothing else.
//!
//! # Invariants
//! A data handler sees its arguments, the locked part of the key space and the reply; no socket, no clock, no lock (but for one that gives
//! them back aside and takes single ones: `generic/sort/apart.rs`). So the same function serves a client, EXEC, a script, a log that is
//! replayed, and a replica. It checks its arguments before it changes anything: an error means that nothing was done.

pub mod acl;
pub mod arguments;
pub mod bitmap;
pub mod cluster;
pub mod connection;
pub mod context;
pub mod debug;
pub mod error;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod list;
pub mod node;
pub mod pubsub;
pub mod replication;
pub mod scan;
pub mod scripting;
pub mod server;
pub mod set;
pub mod stream;
pub mod string;
pub mod table;
#[cfg(test)]
pub mod testing;
pub mod transactions;
pub mod zset;

pub use context::{DataContext, DataFn, NodeContext, NodeFn, Site};
pub use error::{CommandError, Outcome};
pub use node::{Node, audit_record};
pub use table::{Command, CommandTable, Entry, Handler};

/// All families in reading order.
pub static FAMILIES: &[&[&Command]] = &[
    string::COMMANDS,
    bitmap::COMMANDS,
    list::COMMANDS,
    hash::COMMANDS,
    set::COMMANDS,
    zset::COMMANDS,
    stream::COMMANDS,
    hyperloglog::COMMANDS,
    geo::COMMANDS,
    generic::COMMANDS,
    connection::COMMANDS,
    transactions::COMMANDS,
    pubsub::COMMANDS,
    scripting::COMMANDS,
    server::COMMANDS,
    acl::COMMANDS,
    replication::COMMANDS,
    cluster::COMMANDS,
];
