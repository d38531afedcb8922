//! FIPS mode shown and enforced: one function per requirement, the report that folds them, the start-up gate.
//!
//! # Invariants
//! - There is no other mode. A requirement that fails ends the start; nothing here can be switched off.
//! - An [`Approved`] exists only after every requirement has passed, and it alone carries the [`Permit`](crate::net::Permit)
//!   to bind sockets.
//! - What is printed in the log, by `INFO fips`, by `FIPS STATUS` and by `holdfast fips status` comes from one [`Report`].
//! - Only the environment the laboratory tested is `listed`; any other is `ported`, and never called validated.
//!
//! It must never know directives or clients.

mod environment;
mod gate;
mod libraries;
mod report;
pub mod uses;

pub use environment::{Environment, Listing, tracer_now};
pub use gate::{Approved, Booting, Rejected};
pub use libraries::foreign_libraries;
pub use report::{Line, Report, Verdict};
