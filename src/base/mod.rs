//! What needs nothing of ours: time, slots, checksums, glob patterns, number text.

pub mod cpu;
