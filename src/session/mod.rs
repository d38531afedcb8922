//! Bytes to commands, replies to bytes: the worker's loop.
//!
//! # A turn
//! Wait for readiness; read the mailbox; receive from every ready connection into one buffer and cut it into requests; then for a window
//! of requests at a time ask the cache for their buckets, then for their records, then run them in each connection's order; send each
//! connection's replies with one call.
//!
//! # Invariants
//! * A connection belongs to one worker for its life.
//! * Requests of a connection run in the order of their bytes; what cannot run yet (a blocked or paused client, half a request) stays in
//!   [`Client::query`](crate::client::Client) and nothing behind it overtakes it.
//! * Established connections are served before handshakes go on, and only a few handshakes a turn.
//! * Nothing here knows what a command does.

mod batch;
mod connection;
mod handshake;
mod worker;

pub use worker::{Worker, WorkerParts, poll_and_mailbox};
