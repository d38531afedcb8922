//! Replication: the primary's side.
//!
//! A replica asks with SYNC or PSYNC, gets the whole data set as an RDB and from then on the stream of the journal. It is a client like any
//! other to its worker, which reads the journal for it as fast as its socket takes what is there.
//!
//! Invariant: the data set is written and the journal's cursor is set under all locks, so a change is in one of them, never in both or neither.
//!
//! Partial resynchronisation, the replica's side and failover are not there yet.

mod primary;

pub use primary::Replicas;
