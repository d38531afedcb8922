//! What needs nothing of ours: time, slots, checksums, glob patterns, number text.

pub mod crc64;
pub mod glob;
pub mod size_class;
