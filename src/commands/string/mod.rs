//! Commands on strings.
//!
//! [`access`] is how any command reads a string and chooses how one is kept; the other files are topics.

pub mod access;
mod expiry;
mod get;
mod lcs;
mod number;
mod range;
mod set;
mod several;

use super::Command;
pub use range::len_max;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &get::GET,
    &get::STRLEN,
    &get::GETSET,
    &get::GETDEL,
    &get::GETEX,
    &get::DELIFEQ,
    &set::SET,
    &set::SETNX,
    &set::SETEX,
    &set::PSETEX,
    &several::MGET,
    &several::MSET,
    &several::MSETNX,
    &several::MSETEX,
    &number::INCR,
    &number::DECR,
    &number::INCRBY,
    &number::DECRBY,
    &number::INCRBYFLOAT,
    &range::APPEND,
    &range::GETRANGE,
    &range::SUBSTR,
    &range::SETRANGE,
    &lcs::LCS,
];
