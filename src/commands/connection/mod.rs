//! Commands on the connection itself.

mod auth;
mod basic;
mod client;
mod describe;
mod filter;

use super::Command;

pub use auth::password_matches;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &auth::AUTH,
    &auth::HELLO,
    &basic::PING,
    &basic::ECHO,
    &basic::SELECT,
    &basic::QUIT,
    &basic::RESET,
    &client::CLIENT,
];
