//! The data types and their compact encodings. No time, no locks, no sockets.
//!
//! Everything that has a name, be it a key, a hash field, a set or sorted set member, is a [`record::Record`]: one
//! allocation with the name and what belongs to it. Many of them stand in a [`table::Table`].

pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod list;
pub mod listpack;
pub mod object;
pub mod order;
pub mod quicklist;
pub mod record;
pub mod set;
pub mod stream;
pub mod table;
pub mod zset;
