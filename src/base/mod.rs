//! What needs nothing of ours: time, slots, hashing, checksums, glob patterns, number text.

pub mod clock;
pub mod hash;
pub mod runtime_hint;
pub mod slot;
