//! The wire protocol: an incremental parser that borrows the read buffer, and the RESP2/3 reply builder. Knows no command.

pub mod args;
pub mod client;
pub mod parser;
pub mod reply;
