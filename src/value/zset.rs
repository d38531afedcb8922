//! The value of a zset key.

/// A zset.
#[derive(Clone, Debug, Default)]
pub struct Zset {}

impl Zset {
    /// Elements.
    pub fn len(&self) -> usize {
        0
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes it has allocated beside itself.
    pub fn memory_bytes(&self) -> usize {
        0
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        ""
    }
}
