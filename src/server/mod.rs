//! The server: boot, threads, periodic tasks, signals, shutdown.
//!
//! # Order of boot
//! Configuration, logs, process limits, TLS material, start-up gate; only then a socket is bound. What fails before says why on standard
//! error or in the log and ends with a status other than 0.
//!
//! # Threads
//! `io-threads` workers, or more where it was larger before, which also accept; one that frees; one that answers HTTP and one that watches over turns, if asked for; and the main thread, whose tokio runtime waits for signals and runs the periodic
//! tasks.

mod bind;
mod boot;
mod collector;
mod cron;
mod exposed;
mod http;
pub mod recover;
mod reload;
mod sandbox;
mod service;
mod title;
mod tls;
mod tuning;
mod watch;
mod watchdog;
mod workers;

pub use boot::{BootError, run};
