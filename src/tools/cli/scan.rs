//! `--scan`, and the walk over all keys that the key statistics use as well.

use super::client::{Client, write_out};
use super::format::Form;
use super::words;
use crate::resp::client::Value;

/// Walks the key space with SCAN, a page at a time.
pub struct Walk {
    cursor: Vec<u8>,
    started: bool,
}

impl Walk {
    pub fn new() -> Walk {
        Walk { cursor: b"0".to_vec(), started: false }
    }

    /// The keys of the next page, maybe none; `None` behind the last.
    ///
    /// # Errors
    /// The server refuses, or the connection is gone.
    pub fn next_page(&mut self, client: &mut Client) -> Result<Option<Vec<Vec<u8>>>, String> {
        if self.started && self.cursor == b"0" {
            return Ok(None);
        }
        self.started = true;
        let options = &client.options;
        let mut request = vec![b"SCAN".to_vec(), self.cursor.clone()];
        let mut option = |name: &[u8], value: Option<Vec<u8>>| {
            if let Some(value) = value {
                request.extend([name.to_vec(), value]);
            }
        };
        option(b"MATCH", options.pattern.clone());
        option(b"COUNT", options.count.map(|c| c.to_string().into_bytes()));
        option(b"TYPE", options.key_type.clone());
        let reply = ask(client, &request)?;
        let page = reply.elements().and_then(|e| match e {
            [cursor, keys] => Some((cursor.text()?.to_vec(), keys.elements()?)),
            _ => None,
        });
        let (cursor, keys) = page.ok_or("the reply to SCAN is no page of keys")?;
        self.cursor = cursor;
        Ok(Some(keys.iter().filter_map(|k| k.text().map(<[u8]>::to_vec)).collect()))
    }
}

/// One request whose error ends the mode.
///
/// # Errors
/// The server's own text, or that of the connection; empty when it has been told.
pub fn ask<A: AsRef<[u8]>>(client: &mut Client, request: &[A]) -> Result<Value, String> {
    if !client.connect() {
        return Err(String::new());
    }
    let connection = client.connection.as_mut().ok_or("not connected")?;
    match connection.ask(request)? {
        Value::Error(text) => Err(String::from_utf8_lossy(&text).into_owned()),
        value => Ok(value),
    }
}

/// Prints every key on a line of its own: quoted for people, as it is for pipes.
///
/// # Errors
/// As [`Walk::next_page`].
pub fn run(client: &mut Client) -> Result<(), String> {
    let mut walk = Walk::new();
    while let Some(keys) = walk.next_page(client)? {
        let mut out = Vec::new();
        for key in &keys {
            match client.form {
                Form::Standard => words::quote(&mut out, key),
                _ => out.extend_from_slice(key),
            }
            out.push(b'\n');
        }
        write_out(&out);
        if !client.options.interval.is_zero() {
            std::thread::sleep(client.options.interval);
        }
    }
    Ok(())
}
