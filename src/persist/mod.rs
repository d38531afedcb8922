//! What outlives the process: snapshots as RDB files.
//!
//! A snapshot is taken under the locks of all stripes; it knows neither clients nor commands.

pub mod rdb;
pub mod snapshot;
