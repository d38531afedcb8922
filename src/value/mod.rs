//! The data types and their compact encodings. No time, no locks, no sockets.

pub mod intset;
pub mod list;
pub mod listpack;
pub mod quicklist;
