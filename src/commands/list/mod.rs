//! Commands on lists.
//!
//! [`access`] is how any command reaches a list and notes what became of it; the other files are topics.

pub mod access;
mod blocking;
mod change;
mod moving;
mod pop;
mod position;
mod push;
mod read;

use super::Command;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &push::LPUSH,
    &push::RPUSH,
    &push::LPUSHX,
    &push::RPUSHX,
    &pop::LPOP,
    &pop::RPOP,
    &pop::LMPOP,
    &read::LLEN,
    &read::LINDEX,
    &read::LRANGE,
    &position::LPOS,
    &change::LSET,
    &change::LINSERT,
    &change::LREM,
    &change::LTRIM,
    &moving::LMOVE,
    &moving::RPOPLPUSH,
    &blocking::BLPOP,
    &blocking::BRPOP,
    &blocking::BLMPOP,
    &blocking::BLMOVE,
    &blocking::BRPOPLPUSH,
];

#[cfg(test)]
mod tests;
