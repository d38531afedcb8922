//! The server as its clients see it: one binary of tests, over real sockets, against the built `holdfast`.

#![expect(clippy::disallowed_methods, reason = "tests stand outside the server: they read the clock themselves")]

#[path = "../support/mod.rs"]
mod support;

mod acl;
mod audit;
mod busy;
mod clients;
mod cluster;
mod conf;
mod container;
mod copies;
mod debugger;
mod disk;
mod docs;
mod everyday;
mod files;
mod gate;
mod hostile;
mod http;
mod identity;
mod kubernetes;
mod limits;
mod long;
mod monitor;
mod openssl;
mod persist;
mod pods;
mod prometheus;
mod pubsub;
mod replication;
mod sandbox;
mod scripts;
mod service;
mod signals;
mod tracking;
