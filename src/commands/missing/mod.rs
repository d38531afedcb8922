//! Commands that are known but not there yet: each answers with an error that says what it waits for.
//!
//! They stand here until their family is written; a row of the same name elsewhere takes the place of the one here.

mod server;

use super::Command;

/// All of them, by what they wait for.
pub static FAMILIES: &[&[&Command]] = &[server::COMMANDS];
