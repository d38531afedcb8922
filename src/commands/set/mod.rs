//! Commands on sets.
//!
//! They decide and edit; how a set is kept is [`crate::value::set`]'s.

mod combine;
mod members;
mod random;
#[cfg(test)]
mod tests;

use super::scan::write_item as reply_item;
use super::{Command, CommandError, DataContext};
use crate::config::Config;
use crate::keyspace::{EventClass, Key, Space};
use crate::resp::reply::Reply;
use crate::value::object::Object;
use crate::value::record::{Content, Record};
use crate::value::set::{Set, SetLimits};

pub(super) use random::count;

pub static COMMANDS: &[&Command] = &[
    &members::SADD,
    &members::SREM,
    &members::SMOVE,
    &members::SCARD,
    &members::SISMEMBER,
    &members::SMISMEMBER,
    &members::SMEMBERS,
    &members::SSCAN,
    &random::SPOP,
    &random::SRANDMEMBER,
    &combine::SINTER,
    &combine::SINTERCARD,
    &combine::SINTERSTORE,
    &combine::SUNION,
    &combine::SUNIONSTORE,
    &combine::SDIFF,
    &combine::SDIFFSTORE,
];

/// The thresholds that hold now.
pub fn limits(config: &Config) -> SetLimits {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let c = &config.encoding;
    SetLimits {
        intset_entries: size(c.set_max_intset_entries),
        listpack_entries: size(c.set_max_listpack_entries),
        listpack_value: size(c.set_max_listpack_value),
    }
}

fn set_of(record: &Record) -> Result<&Set, CommandError> {
    match record.object() {
        Some(Object::Set(set)) => Ok(set),
        _ => Err(CommandError::WrongType),
    }
}

fn set_mut(record: &mut Record) -> Result<&mut Set, CommandError> {
    match record.object_mut() {
        Some(Object::Set(set)) => Ok(set),
        _ => Err(CommandError::WrongType),
    }
}

/// Looks up a set for reading; `empty` where there is no key.
fn read<R>(
    cx: &mut DataContext<'_, '_>,
    key: Key<'_>,
    empty: R,
    f: impl FnOnce(&Set, &mut Reply) -> R,
) -> Result<R, CommandError> {
    match cx.space.find(key) {
        Some(record) => Ok(f(set_of(&record)?, cx.reply)),
        None => Ok(empty),
    }
}

/// Runs `f` on the set of a key, or puts the one `make` makes under it.
fn edit<R>(
    space: &mut Space<'_>,
    key: Key<'_>,
    make: impl FnOnce() -> Set,
    f: impl FnOnce(&mut Set) -> R,
) -> Result<R, CommandError> {
    if let Some(mut record) = space.find_mut(key) {
        return Ok(f(set_mut(&mut record)?));
    }
    let mut set = make();
    let r = f(&mut set);
    space.add(key, Content::Object(Box::new(Object::Set(set))), None);
    Ok(r)
}

/// Notes `count` changes of a set under one event, and takes the key away if nothing is left.
fn note(space: &mut Space<'_>, key: Key<'_>, event: &'static str, count: usize, emptied: bool) {
    if count == 0 {
        return;
    }
    space.changed(key, EventClass::SET, event);
    space.changes.dirty += count as u64 - 1;
    if emptied {
        space.delete(key);
        space.event(EventClass::GENERIC, "del", key);
    }
}
