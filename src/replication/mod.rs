//! Replication: the primary's side.
//!
//! A replica asks with SYNC or PSYNC, gets the whole data set as an RDB and from then on every effect of the journal, as commands. It is a
//! client like any other to its worker; a thread reads the journal for it and pushes what it finds.
//!
//! Invariant: the data set is written and the journal's cursor is set under all locks, so a change is in one of them, never in both or neither.
//!
//! Partial resynchronisation, the replica's side and failover are not there yet.

mod primary;
mod stream;

pub use primary::Replicas;
