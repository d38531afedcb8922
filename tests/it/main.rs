//! The server as its clients see it: one binary of tests, over real sockets, against the built `holdfast`.

#![expect(clippy::disallowed_methods, reason = "tests stand outside the server: they read the clock themselves")]

#[path = "../support/mod.rs"]
mod support;

mod acl;
mod clients;
mod everyday;
mod gate;
mod hostile;
mod limits;
mod monitor;
mod openssl;
mod pubsub;
mod replication;
mod signals;
mod tracking;
