//! Bytes to commands, replies to bytes: the worker's loop.
//!
//! # A turn
//! Wait for readiness; read the mailbox; receive from every ready connection into one buffer and cut it into requests; then run them in each
//! connection's order, asking the cache for the buckets and records of those some way ahead; send each connection's replies with one
//! call.
//!
//! # Invariants
//! * A connection belongs to one worker for its life, but for the time of a command that runs [`aside`].
//! * Requests of a connection run in the order of their bytes; what cannot run yet (a blocked or paused client, half a request) stays in
//!   [`Client::query`](crate::client::Client) and nothing behind it overtakes it.
//! * Established connections are served before handshakes go on, and only a few handshakes a turn.
//! * Nothing here knows what a command does.

mod ahead;
pub mod aside;
mod batch;
mod connection;
mod handshake;
mod heads;
mod worker;

pub use aside::{Aside, Desk};
pub use worker::{Worker, WorkerParts, poll_and_mailbox};
