//! What needs nothing of ours: time, slots, checksums, glob patterns, number text.

pub mod crc64;
pub mod extended;
pub mod glob;
pub mod number;
pub mod size_class;
