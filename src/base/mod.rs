//! What needs nothing of ours: time, locks, slots, hashing, checksums, glob patterns, number text, reports of crashes.

pub mod background;
pub mod cache;
pub mod calendar;
pub mod clock;
pub mod cpu;
pub mod crash;
pub mod crc64;
pub mod extended;
pub mod glob;
pub mod hash;
pub mod lock;
pub mod memory;
pub mod names;
pub mod notify;
pub mod number;
pub mod process;
pub mod progress;
pub mod runtime_hint;
pub mod size_class;
pub mod slab;
pub mod slot;
pub mod title;
