//! TLS: configurations, certificates, the session of one connection.

pub mod certificate;
pub mod config;
pub mod facts;
pub mod generate;
pub mod identity;
pub mod probe;
pub mod session;
pub mod tickets;

#[cfg(test)]
mod tests;
