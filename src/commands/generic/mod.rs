//! Commands on keys of any type.

mod exist;
mod expire;
mod sort;

use super::Command;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &exist::DEL,
    &exist::UNLINK,
    &exist::EXISTS,
    &exist::TOUCH,
    &exist::TYPE,
    &exist::RANDOMKEY,
    &expire::EXPIRE,
    &expire::PEXPIRE,
    &expire::EXPIREAT,
    &expire::PEXPIREAT,
    &expire::TTL,
    &expire::PTTL,
    &expire::EXPIRETIME,
    &expire::PEXPIRETIME,
    &expire::PERSIST,
    &sort::SORT,
    &sort::SORT_RO,
];
