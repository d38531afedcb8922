//! What a key can hold besides a string.

use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::stream::Stream;
use super::zset::Zset;

/// A collection, boxed behind its record.
#[derive(Debug)]
pub enum Object {
    List(List),
    Set(Set),
    Hash(Hash),
    Zset(Zset),
    Stream(Stream),
}

impl Object {
    /// What TYPE says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Object::List(_) => "list",
            Object::Set(_) => "set",
            Object::Hash(_) => "hash",
            Object::Zset(_) => "zset",
            Object::Stream(_) => "stream",
        }
    }

    /// Elements.
    pub fn len(&self) -> usize {
        match self {
            Object::List(v) => v.len(),
            Object::Set(v) => v.len(),
            Object::Hash(v) => v.len(),
            Object::Zset(v) => v.len(),
            Object::Stream(v) => usize::try_from(v.len()).unwrap_or(usize::MAX),
        }
    }

    /// True for a collection that no key may hold. A stream without entries is none: it still knows its last id and its groups.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && !matches!(self, Object::Stream(_))
    }

    /// Blocks that freeing it gives back, roughly: what decides whether it is freed at once.
    pub fn free_effort(&self) -> usize {
        match self {
            Object::Stream(v) => v.free_effort(),
            _ => self.len(),
        }
    }

    /// Fields with a deadline of their own.
    pub fn deadlines(&self) -> usize {
        match self {
            Object::Hash(v) => v.deadlines(),
            Object::List(_) | Object::Set(_) | Object::Zset(_) | Object::Stream(_) => 0,
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self {
            Object::List(v) => v.encoding(),
            Object::Set(v) => v.encoding(),
            Object::Hash(v) => v.encoding(),
            Object::Zset(v) => v.encoding(),
            Object::Stream(_) => "stream",
        }
    }

    /// A copy that shares nothing with it.
    pub fn duplicate(&self) -> Object {
        match self {
            Object::List(v) => Object::List(v.clone()),
            Object::Set(v) => Object::Set(v.clone()),
            Object::Hash(v) => Object::Hash(v.clone()),
            Object::Zset(v) => Object::Zset(v.clone()),
            Object::Stream(v) => Object::Stream(v.clone()),
        }
    }

    /// Bytes it has allocated, its own box included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Object>()
            + match self {
                Object::List(v) => v.memory_bytes(),
                Object::Set(v) => v.memory_bytes(),
                Object::Hash(v) => v.memory_bytes(),
                Object::Zset(v) => v.memory_bytes(),
                Object::Stream(v) => v.memory_bytes(),
            }
    }
}
