//! The data types and their compact encodings. No time, no locks, no sockets.

pub mod order;
