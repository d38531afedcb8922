//! TLS: configurations, certificates, the session of one connection.

pub mod certificate;
pub mod config;
pub mod generate;
pub mod probe;
pub mod session;

#[cfg(test)]
mod tests;
