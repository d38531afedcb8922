//! Holdfast: a FIPS-mode in-memory key-value server, compatible with Valkey and Redis.
//!
//! # Layers
//! A folder imports only folders of a lower number; `tests/repo` reads the `use crate::` lines and fails on an edge
//! that points up. The `mod` lines below stand in that order.

// [0]
pub mod base;
// [1]
pub mod crypto;
pub mod metrics;
pub mod resp;
pub mod spec;
pub mod value;
// [2]
pub mod journal;
pub mod storage;
// [3]
pub mod config;
// [4]
pub mod acl;
pub mod keyspace;
pub mod net;
// [5]
pub mod client;
pub mod fips;
pub mod observe;
// [7]
pub mod replication;
// [9]
pub mod commands;
// [10]
pub mod engine;
// [11]
pub mod session;
// [12]
pub mod server;
pub mod tools;
