//! Whether a log is the one that was written.

use super::key::Key;
use super::record::MAC_BEGIN;
use crate::storage;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A record is far shorter; a longer line is not ours.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// A head is a line of numbers and macs.
const HEAD_BYTES_MAX: u64 = 4096;

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line is no record.
    NotARecord,
    /// Its mac is not that of its text: it was changed, or made with another key.
    Changed,
    /// It does not follow the record before it: records are missing here, or out of their order.
    OutOfOrder { expected: u64, found: u64 },
    /// The log ends before the record that its head names: its end was cut off.
    Cut { last: u64, head: u64 },
    /// The log begins behind the record that its head names as the oldest: its beginning was cut off.
    Beheaded { first: u64, head: u64 },
    /// The head file is not what was written.
    Head,
    /// There is no head file: whether the log has its beginning and its end cannot be told.
    NoHead,
    /// The file cannot be read.
    Unreadable(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotARecord => f.write_str("the line is no record"),
            Self::Changed => f.write_str("the record was changed (or another key made it)"),
            Self::OutOfOrder { expected, found } => {
                write!(f, "record {found} stands where {expected} belongs: records are missing or out of order")
            }
            Self::Cut { last, head } => {
                write!(f, "the log ends with record {last} but {head} was written: its end was cut off")
            }
            Self::Beheaded { first, head } => {
                write!(f, "the log begins with record {first} but {head} is to be kept: its beginning was cut off")
            }
            Self::Head => f.write_str("the head file was changed"),
            Self::NoHead => f.write_str("the head file is missing: whether something was cut off cannot be told"),
            Self::Unreadable(e) => f.write_str(e),
        }
    }
}

/// The first thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub file: PathBuf,
    /// Counted from 1; 0 for the file as a whole.
    pub line: usize,
    pub fault: Fault,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.fault),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.fault),
        }
    }
}

/// A log that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub records: u64,
    /// 0 in an empty log.
    pub first_seq: u64,
    pub last_seq: u64,
    pub last_mac: String,
    pub files: usize,
    /// Bytes of an unfinished record at the end: the process was killed while it wrote.
    pub unfinished_bytes: u64,
}

/// The head file of a log.
pub(super) fn head_path(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".head");
    PathBuf::from(name)
}

/// What the head file says: where a log begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Number and mac of the last record that is on disk for sure; 0 before the first.
    pub seq: u64,
    pub mac: String,
    /// Number of the oldest record that has not passed its retention. Heads of earlier versions do not say it.
    pub first: Option<u64>,
}

impl Head {
    /// The text, with the mac of it all.
    pub fn text(&self, key: &Key) -> String {
        let mut text = format!("{:020} {}", self.seq, self.mac);
        if let Some(first) = self.first {
            text.push_str(&format!(" {first:020}"));
        }
        let tag = key.mac(format!("head {text}").as_bytes());
        format!("{text} {tag}\n")
    }

    /// The head of a log; `None` if there is none.
    pub fn read(log: &Path, key: &Key) -> Result<Option<Head>, Fault> {
        let text = match storage::read_regular(&head_path(log), HEAD_BYTES_MAX) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| Fault::Head)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Fault::Unreadable(e.to_string())),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (seq, mac, first) = match words.as_slice() {
            [seq, mac, _] => (seq, mac, None),
            [seq, mac, first, _] => (seq, mac, Some(first.parse().map_err(|_| Fault::Head)?)),
            _ => return Err(Fault::Head),
        };
        let head = Head { seq: seq.parse().map_err(|_| Fault::Head)?, mac: (*mac).to_owned(), first };
        if head.text(key) == text { Ok(Some(head)) } else { Err(Fault::Head) }
    }
}

/// The number of the first record of a file that was rotated away, which is the end of its name.
pub(super) fn first_of(file: &Path) -> Option<u64> {
    let name = file.extension()?.to_str()?;
    (name.len() == 20).then(|| name.parse().ok())?
}

/// The files of a log, oldest first: those that were rotated away (`<log>.<first record>`), then the log.
pub(super) fn files(log: &Path) -> Vec<PathBuf> {
    let folder = log.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = format!("{}.", log.file_name().unwrap_or_default().to_string_lossy());
    let mut found: Vec<(u64, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let seq = name.strip_prefix(&prefix)?;
            (seq.len() == 20).then(|| Some((seq.parse().ok()?, entry.path())))?
        })
        .collect();
    found.sort();
    let mut files: Vec<PathBuf> = found.into_iter().map(|(_, path)| path).collect();
    if log.exists() {
        files.push(log.to_path_buf());
    }
    files
}

/// Verifies a log with all its files. The oldest may begin with the record that the head names: those before it have passed their retention.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(log: &Path, key: &Key) -> Result<Verified, Broken> {
    let files = files(log);
    if files.is_empty() {
        let fault = Fault::Unreadable("no such log".into());
        return Err(Broken { file: log.to_path_buf(), line: 0, fault });
    }
    let mut done = Verified { files: files.len(), ..Verified::default() };
    for (n, file) in files.iter().enumerate() {
        verify_file(file, n + 1 == files.len(), key, &mut done)?;
    }
    let at_head = |fault| Broken { file: head_path(log), line: 0, fault };
    let head = Head::read(log, key).map_err(at_head)?.ok_or_else(|| at_head(Fault::NoHead))?;
    if head.seq > done.last_seq {
        let fault = Fault::Cut { last: done.last_seq, head: head.seq };
        return Err(Broken { file: log.to_path_buf(), line: 0, fault });
    }
    match head.first {
        Some(first) if done.records > 0 && done.first_seq > first => {
            let fault = Fault::Beheaded { first: done.first_seq, head: first };
            Err(Broken { file: files[0].clone(), line: 1, fault })
        }
        _ => Ok(done),
    }
}

fn verify_file(file: &Path, is_last: bool, key: &Key, done: &mut Verified) -> Result<(), Broken> {
    let broken = |line, fault| Broken { file: file.to_path_buf(), line, fault };
    let unreadable = |e: std::io::Error| broken(0, Fault::Unreadable(e.to_string()));
    let mut reader = BufReader::new(storage::open_regular(file).map_err(unreadable)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut bounded = std::io::Read::take(&mut reader, LINE_BYTES_MAX as u64);
        let read = bounded.read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            return Ok(());
        }
        if line.pop_if(|b| *b == b'\n').is_none() {
            if is_last && read < LINE_BYTES_MAX {
                done.unfinished_bytes = read as u64;
                return Ok(());
            }
            return Err(broken(number, Fault::NotARecord));
        }
        let (seq, prev, mac) = judge(&line, key).map_err(|fault| broken(number, fault))?;
        if done.records > 0 && (seq != done.last_seq + 1 || prev != done.last_mac) {
            return Err(broken(number, Fault::OutOfOrder { expected: done.last_seq + 1, found: seq }));
        }
        if done.records == 0 {
            done.first_seq = seq;
        }
        done.records += 1;
        done.last_seq = seq;
        done.last_mac = mac;
    }
    Ok(())
}

/// Number, previous mac and mac of a record whose mac is right.
pub(super) fn judge(line: &[u8], key: &Key) -> Result<(u64, String, String), Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::NotARecord)?;
    let (signed, rest) = text.rsplit_once(MAC_BEGIN).ok_or(Fault::NotARecord)?;
    let mac = rest.strip_suffix("\"}").ok_or(Fault::NotARecord)?;
    if !crate::crypto::constant_time_eq(key.mac(signed.as_bytes()).as_bytes(), mac.as_bytes()) {
        return Err(Fault::Changed);
    }
    let value: serde_json::Value = serde_json::from_str(text).map_err(|_| Fault::NotARecord)?;
    let seq = value.get("seq").and_then(serde_json::Value::as_u64).ok_or(Fault::NotARecord)?;
    let prev = value.get("prev").and_then(serde_json::Value::as_str).ok_or(Fault::NotARecord)?;
    Ok((seq, prev.to_owned(), mac.to_owned()))
}
