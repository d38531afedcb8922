//! What a key can hold besides a string.

/// A collection, boxed behind its record.
#[derive(Debug)]
pub enum Object {}

impl Object {
    /// Elements.
    pub fn len(&self) -> usize {
        match *self {}
    }

    /// Bytes it has allocated, its own box included.
    pub fn memory_bytes(&self) -> usize {
        match *self {}
    }
}
