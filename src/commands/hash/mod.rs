//! Commands on hashes, with the deadlines of their fields.
//!
//! They decide and edit; how a hash is kept is [`crate::value::hash`]'s. A field past its deadline is not there for anybody, but for
//! who overwrites it: that is told as its expiry.

mod expiry;
mod fields;
mod numbers;
mod random;
#[cfg(test)]
mod tests;
mod timed;

use super::{Command, CommandError, DataContext};
use crate::config::Config;
use crate::keyspace::{EventClass, Key, Space};
use crate::resp::reply::Reply;
use crate::value::hash::{Hash, HashLimits};
use crate::value::object::Object;
use crate::value::record::Record;

pub static COMMANDS: &[&Command] = &[
    &fields::HSET,
    &fields::HMSET,
    &fields::HSETNX,
    &fields::HGET,
    &fields::HMGET,
    &fields::HDEL,
    &fields::HGETDEL,
    &fields::HLEN,
    &fields::HSTRLEN,
    &fields::HEXISTS,
    &fields::HKEYS,
    &fields::HVALS,
    &fields::HGETALL,
    &fields::HSCAN,
    &numbers::HINCRBY,
    &numbers::HINCRBYFLOAT,
    &random::HRANDFIELD,
    &timed::HSETEX,
    &timed::HGETEX,
    &expiry::HEXPIRE,
    &expiry::HPEXPIRE,
    &expiry::HEXPIREAT,
    &expiry::HPEXPIREAT,
    &expiry::HPERSIST,
    &expiry::HTTL,
    &expiry::HPTTL,
    &expiry::HEXPIRETIME,
    &expiry::HPEXPIRETIME,
];

/// The thresholds that hold now.
pub fn limits(config: &Config) -> HashLimits {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let c = &config.encoding;
    HashLimits { entries: size(c.hash_max_listpack_entries), value: size(c.hash_max_listpack_value) }
}

fn hash_of(record: &Record) -> Result<&Hash, CommandError> {
    match record.object() {
        Some(Object::Hash(hash)) => Ok(hash),
        _ => Err(CommandError::WrongType),
    }
}

fn hash_mut(record: &mut Record) -> Result<&mut Hash, CommandError> {
    match record.object_mut() {
        Some(Object::Hash(hash)) => Ok(hash),
        _ => Err(CommandError::WrongType),
    }
}

/// Looks up a hash for reading; `f` sees an empty one where there is no key.
fn read<R>(
    cx: &mut DataContext<'_, '_>,
    key: Key<'_>,
    f: impl FnOnce(&Hash, &mut Reply) -> R,
) -> Result<R, CommandError> {
    match cx.space.find(key) {
        Some(record) => Ok(f(hash_of(&record)?, cx.reply)),
        None => Ok(f(&Hash::default(), cx.reply)),
    }
}

/// Runs `f` on the hash of a key, which is made if it is missing.
fn edit<R>(space: &mut Space<'_>, key: Key<'_>, f: impl FnOnce(&mut Hash) -> R) -> Result<R, CommandError> {
    if let Some(mut record) = space.find_mut(key) {
        return Ok(f(hash_mut(&mut record)?));
    }
    let mut hash = Hash::default();
    let r = f(&mut hash);
    space.add(key, crate::value::record::Content::Object(Box::new(Object::Hash(hash))), None);
    Ok(r)
}

/// Notes `count` changes of a hash under one event.
fn note(space: &mut Space<'_>, key: Key<'_>, event: &'static str, count: usize) {
    if count > 0 {
        space.changed(key, EventClass::HASH, event);
        space.changes.dirty += count as u64 - 1;
    }
}

/// Tells that fields past their deadline went.
fn note_expired(space: &mut Space<'_>, key: Key<'_>, count: usize) {
    if count > 0 {
        space.changes.expired_fields += count as u64;
        space.event(EventClass::HASH, "hexpired", key);
    }
}

/// Takes a key away whose last field went.
fn drop_empty(space: &mut Space<'_>, key: Key<'_>, emptied: bool) {
    if emptied {
        space.delete(key);
        space.event(EventClass::GENERIC, "del", key);
    }
}
