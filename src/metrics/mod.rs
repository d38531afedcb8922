//! Counters, histograms, error kinds, command logs, latency events: what INFO and the metrics endpoint read.
//!
//! Workers write cells of their own and readers sum them (see [`cells`]): no shared cache line is written on the way of a
//! command. Time is passed in as numbers; nothing here reads a clock, knows a client or words a reply.

pub mod cells;
pub mod command_stats;
pub mod counters;
pub mod errors;
pub mod histogram;
pub mod latency;
pub mod recorder;
pub mod sampler;
mod section;
pub mod slowlog;

pub use section::{Section, Value};
