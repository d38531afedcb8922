//! The value of a set key.

/// A set.
#[derive(Clone, Debug, Default)]
pub struct Set {}

impl Set {
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
