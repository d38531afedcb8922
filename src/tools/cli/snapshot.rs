//! A snapshot over the wire: what the server would give a new replica first. `--rdb` and `holdfast backup` take it.
//!
//! The way of a replica is the one way that every server of this family has, whatever its version; the snapshot is one instant, whoever writes
//! meanwhile. The connection is of no use for commands afterwards: the stream of changes would follow.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::client::Client;
use super::connection::Connection;
use crate::resp::client::Value;

/// Length of the mark behind a snapshot whose size is not known before.
const MARK: usize = 40;
/// The line that announces a snapshot is no longer.
const LINE_MAX: usize = 256;
/// What a server is told, so that it writes the newest format that we read.
const VERSION: &str = "9.1.0";

/// How the snapshot ends.
#[derive(Debug, PartialEq, Eq)]
enum Ends {
    After(u64),
    Mark([u8; MARK]),
}

/// Asks for a snapshot and hands its bytes to `take` in order; `progress` is told what has come, and of how much if the server said so.
/// Returns the bytes of the snapshot.
///
/// # Errors
/// What the server, the connection or `take` says.
pub fn receive(
    connection: &mut Connection,
    take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<u64, String> {
    // Not every server knows these; without them more would follow than is needed.
    for words in [["capa", "eof"], ["version", VERSION], ["rdb-only", "1"]] {
        connection.ask(&["REPLCONF", words[0], words[1]])?;
    }
    connection.send(&["SYNC"]).map_err(|e| e.to_string())?;
    let mut pending = Vec::new();
    let ends = loop {
        if let Some((ends, used)) = announced(&pending)? {
            pending.drain(..used);
            break ends;
        }
        pending.extend(connection.bytes()?);
    };
    let total = match ends {
        Ends::After(n) => Some(n),
        Ends::Mark(_) => None,
    };
    let mut taken = 0;
    loop {
        let (ready, over) = match &ends {
            Ends::After(n) => {
                let ready = pending.len().min(usize::try_from(n - taken).unwrap_or(usize::MAX));
                (ready, taken + ready as u64 == *n)
            }
            Ends::Mark(mark) => match pending.windows(MARK).position(|w| w == mark) {
                Some(at) => (at, true),
                None => (pending.len().saturating_sub(MARK - 1), false),
            },
        };
        take(&pending[..ready])?;
        taken += ready as u64;
        progress(taken, total);
        if over {
            return Ok(taken);
        }
        pending.drain(..ready);
        pending.extend(connection.bytes().map_err(|e| format!("after {taken} bytes of the snapshot: {e}"))?);
    }
}

/// Reads the line before a snapshot: `$SIZE`, or `$EOF:MARK`. Empty lines say that the server is still preparing.
fn announced(bytes: &[u8]) -> Result<Option<(Ends, usize)>, String> {
    let begin = bytes.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
    let rest = &bytes[begin..];
    let Some(len) = rest.iter().position(|b| *b == b'\n') else {
        return if rest.len() > LINE_MAX { Err("the answer to SYNC is none".into()) } else { Ok(None) };
    };
    let line = rest[..len].strip_suffix(b"\r").unwrap_or(&rest[..len]);
    let text = String::from_utf8_lossy(line).into_owned();
    let ends = match text.strip_prefix('$') {
        Some(size) => match size.strip_prefix("EOF:").map(|mark| mark.as_bytes().try_into()) {
            Some(Ok(mark)) => Some(Ends::Mark(mark)),
            Some(Err(_)) => None,
            None => size.parse().ok().map(Ends::After),
        },
        None => return Err(text.strip_prefix('-').unwrap_or(&text).to_owned()),
    };
    let ends = ends.ok_or_else(|| format!("'{text}' announces no snapshot"))?;
    Ok(Some((ends, begin + len + 1)))
}

/// `--rdb FILE`; `-` is standard output. A file is there whole or not at all; a device or a pipe is written to as it comes.
///
/// # Errors
/// What the server or the disk says.
pub fn save(client: &mut Client, path: &Path) -> Result<(), String> {
    if !client.connect() {
        return Err(String::new());
    }
    let Some(connection) = &mut client.connection else { return Err(String::new()) };
    let name = path.display().to_string();
    let mut ignore = |_: u64, _: Option<u64>| {};
    if name == "-" {
        let mut out = std::io::stdout().lock();
        receive(connection, &mut |bytes| out.write_all(bytes).map_err(|e| e.to_string()), &mut ignore)?;
        return out.flush().map_err(|e| e.to_string());
    }
    let opening = |e: std::io::Error| format!("opening {name}: {e}");
    let path = target_of(path).map_err(opening)?;
    if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
        let mut out = std::fs::OpenOptions::new().write(true).open(&path).map_err(opening)?;
        let mut take = |bytes: &[u8]| out.write_all(bytes).map_err(|e| format!("writing {name}: {e}"));
        let bytes = receive(connection, &mut take, &mut ignore)?;
        eprintln!("Transfer finished with success: {bytes} bytes in {name}");
        return Ok(());
    }
    let written = crate::storage::replace(&path, true, |out| {
        let mut take = |bytes: &[u8]| out.write_all(bytes).map_err(|e| format!("writing {name}: {e}"));
        receive(connection, &mut take, &mut ignore).map_err(std::io::Error::other)
    });
    let bytes = written.map_err(|e| e.to_string())?;
    eprintln!("Transfer finished with success: {bytes} bytes in {name}");
    Ok(())
}

/// What a path leads to: the file behind a link is replaced, and not the link.
fn target_of(path: &Path) -> std::io::Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Ok(target) if target.exists() => Ok(target),
        // A pipe of this process has a name that leads nowhere, and opens all the same.
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(path.to_path_buf()),
    }
}

/// A field of INFO.
pub fn info_field(connection: &mut Connection, section: &str, name: &str) -> Option<String> {
    let Ok(Value::Bulk(text) | Value::Verbatim { text, .. }) = connection.ask(&["INFO", section]) else { return None };
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_announced_by_its_size_or_by_its_mark() {
        let mark = [b'm'; MARK];
        assert_eq!(announced(b"\n\n$12\r\nab").unwrap(), Some((Ends::After(12), 7)));
        let line = [&b"$EOF:"[..], &mark, b"\r\nREDIS"].concat();
        assert_eq!(announced(&line).unwrap(), Some((Ends::Mark(mark), 47)));
        assert_eq!(announced(b"\n\n$1").unwrap(), None);
        for bad in [&b"$x\r\n"[..], b"$EOF:short\r\n", &[b'a'; 300]] {
            assert!(announced(bad).is_err());
        }
        assert_eq!(announced(b"-NOPERM no\r\n").unwrap_err(), "NOPERM no");
    }
}
