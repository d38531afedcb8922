//! `--pipe`: standard input, commands already encoded, goes to the server as fast as it takes it; replies are counted.
//!
//! Reading and writing take turns on a socket that does not block: a server that stops reading until its replies are
//! taken must not be waited for. The end is known by the echo of a text nobody else sends.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use super::client::{Client, write_out};
use super::connection::{Connection, say};
use crate::base::clock::{monotonic_ms, monotonic_ns, wall_us};
use crate::base::hash::Random;
use crate::resp::client::{Value, encode_request};

const CHUNK_BYTES: usize = 64 * 1024;

pub fn run(client: &mut Client, timeout: Option<Duration>) -> ExitCode {
    if !client.connect() {
        return ExitCode::FAILURE;
    }
    let Some(connection) = &mut client.connection else { return ExitCode::FAILURE };
    match transfer(connection, timeout) {
        Ok(counts) => {
            let text = format!("errors: {}, replies: {}\n", counts.errors, counts.replies);
            write_out(text.as_bytes());
            if counts.errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Counts {
    errors: u64,
    replies: u64,
}

fn transfer(connection: &mut Connection, timeout: Option<Duration>) -> Result<Counts, String> {
    connection.set_nonblocking().map_err(|e| say(&e))?;
    let mut random = Random::new(monotonic_ns() ^ wall_us().unsigned_abs());
    let mark: Vec<u8> = (0..20).map(|_| b'a' + random.below(26) as u8).collect();
    let mut input = std::io::stdin().lock();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut outgoing: Vec<u8> = Vec::new();
    let mut sent = 0;
    let mut ended = false;
    let mut announced = false;
    let mut counts = Counts::default();
    let mut last_reply_ms = monotonic_ms();
    loop {
        if sent == outgoing.len() && !ended {
            outgoing.clear();
            sent = 0;
            match input.read(&mut chunk) {
                Ok(0) => {
                    ended = true;
                    // A last line without its end would swallow the echo.
                    outgoing.extend_from_slice(b"\r\n");
                    encode_request(&mut outgoing, &[&b"ECHO"[..], &mark]);
                }
                Ok(n) => outgoing.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(e) => return Err(format!("Error reading standard input: {}", say(&e))),
            }
        }
        let left = outgoing.get(sent..).unwrap_or_default();
        if !left.is_empty() {
            sent += connection.write_some(left).map_err(|e| format!("Error writing to the server: {}", say(&e)))?;
        }
        let flushed = connection.flush_some().map_err(|e| format!("Error writing to the server: {}", say(&e)))?;
        let all_sent = sent == outgoing.len() && flushed;
        if all_sent && ended && !announced {
            announced = true;
            last_reply_ms = monotonic_ms();
            write_out(b"All data transferred. Waiting for the last reply...\n");
        }
        // While there is more to send, replies are only taken as they come.
        if !all_sent || ended {
            connection.wait_socket(!all_sent, Duration::from_secs(1)).map_err(|e| say(&e))?;
        }
        connection.fill().map_err(|e| format!("Error: {e}"))?;
        while let Some(value) = connection.buffered().map_err(|e| format!("Error: {e}"))? {
            last_reply_ms = monotonic_ms();
            match value {
                Value::Push(_) | Value::Attribute(_) => {}
                Value::Error(text) => {
                    eprintln!("{}", String::from_utf8_lossy(&text));
                    counts.errors += 1;
                    counts.replies += 1;
                }
                Value::Bulk(text) if ended && text == mark => {
                    write_out(b"Last reply received from server.\n");
                    return Ok(counts);
                }
                _ => counts.replies += 1,
            }
        }
        if let (true, Some(timeout)) = (announced, timeout)
            && u128::from(monotonic_ms().saturating_sub(last_reply_ms)) >= timeout.as_millis()
        {
            return Err(format!("No replies for {} seconds: exiting.", timeout.as_secs()));
        }
    }
}
