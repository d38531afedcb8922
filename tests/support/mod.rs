//! A server under test in a folder of its own, and a small client to talk to it over TLS.
//!
//! The server is the built binary; the client reads RESP2 and RESP3 by itself, so that what is checked is the bytes and
//! not a library's idea of them. Ports are free ones the kernel names; a server whose port was taken meanwhile is started
//! again on another.

pub mod client;
pub mod process;
pub mod server;

pub use client::{Connection, Value};
pub use server::Server;

/// Sends each line's words and compares the reply in [`Value`]'s short form.
#[track_caller]
pub fn check(connection: &mut Connection, steps: &[(&str, &str)]) {
    for (line, want) in steps {
        let got = connection.line(line).to_string();
        assert_eq!(got, *want, "{line}");
    }
}

/// True, and a line that says so, where the server does not know all these commands yet.
///
/// Families come one after the other; a test of one that is missing says that instead of failing.
pub fn not_there(connection: &mut Connection, commands: &[&str]) -> bool {
    let missing: Vec<&str> = commands
        .iter()
        .copied()
        .filter(|c| match connection.line(c) {
            Value::Error(e) => e.starts_with("ERR unknown command") || e.contains("is not there yet"),
            _ => false,
        })
        .collect();
    if !missing.is_empty() {
        process::skipped(&format!("not there yet: {}", missing.join(", ")));
    }
    !missing.is_empty()
}
