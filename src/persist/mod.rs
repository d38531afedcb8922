//! What outlives the process: snapshots as RDB files, and the append-only file.
//!
//! It knows neither clients nor commands; the server it saves is an [`Owner`].

pub mod aof;
mod info;
pub mod rdb;
pub mod saver;
pub mod snapshot;

pub use saver::{Backup, JobKind, Owner, Refused, Report, Saver};
