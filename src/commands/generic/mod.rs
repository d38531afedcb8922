//! Commands on keys of any type.

mod copy;
mod exist;
mod expire;
pub mod migrate;
mod object;
mod rename;
pub mod scan;
mod serialise;
mod sort;

pub use sort::Prepared;

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
    &rename::RENAME,
    &rename::RENAMENX,
    &rename::MOVE,
    &copy::COPY,
    &scan::KEYS,
    &scan::SCAN,
    &object::OBJECT,
    &sort::SORT,
    &sort::SORT_RO,
    &serialise::DUMP,
    &serialise::RESTORE,
    &serialise::RESTORE_ASKING,
    &migrate::MIGRATE,
];
