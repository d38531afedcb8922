//! Listeners, streams (TCP, Unix, TLS), TLS configuration, dialling. Knows no RESP.
//!
//! # Invariants
//! - A socket that listens can be bound only with a [`Permit`], which the start-up gate hands out.
//! - Every TLS configuration made here answers true to `fips()`, or making it is an error.
//! - A [`Stream`] never blocks and holds a bounded number of bytes.
//!
//! It must never know what the bytes mean, whose they are, or where the parameters came from.

pub mod dial;
pub mod doors;
pub mod duplex;
pub mod listener;
mod permit;
mod stream;
pub mod tls;

#[cfg(test)]
mod stream_tests;

pub use permit::Permit;
pub use stream::{Negotiated, PLAINTEXT_PER_SEND, Progress, READ_BYTES, Scratch, Stream, StreamError};
