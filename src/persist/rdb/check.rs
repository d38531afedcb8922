//! A file looked through without a key space: what `check-rdb` tells.

use super::read::{Limits, Value, get_value};
use super::source::{Fault, RdbError, Source};
use super::{VERSION, opcode};
use crate::config::Config;
use crate::value::object::Object;
use std::io::Read;

/// Types as the statistics list them.
pub const TYPES: [&str; 7] = ["string", "list", "set", "zset", "hash", "module", "stream"];

/// What one type of a database comes to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub keys: u64,
    pub with_deadline: u64,
    pub expired: u64,
    pub key_bytes: u64,
    pub value_bytes: u64,
    /// Elements of each key, and bytes of each element, for averages and percentiles.
    pub lengths: Vec<u64>,
    pub sizes: Vec<u64>,
}

/// What was found up to the end, or up to what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub keys: u64,
    pub with_deadline: u64,
    pub expired: u64,
    pub functions: u64,
    /// Of the whole file.
    pub bytes: u64,
    pub version: u16,
    /// What it was doing, and the key and the type it was at.
    pub doing: &'static str,
    pub key: Option<Vec<u8>>,
    pub kind: Option<u8>,
    /// By database.
    pub tallies: Vec<[Tally; 7]>,
}

impl Report {
    /// A version that others gave, or will give.
    pub fn foreign(&self) -> Option<&'static str> {
        match self.version {
            v if v > VERSION => Some("Future"),
            v if v >= super::FOREIGN_FROM && v < VERSION => Some("Foreign"),
            _ => None,
        }
    }
}

/// A line for whoever watches, with the offset it belongs to.
#[derive(Clone, Debug)]
pub struct Note {
    pub offset: u64,
    pub text: String,
}

/// Looks a file through.
///
/// # Errors
/// What is wrong first; `report` says where.
pub fn check(from: impl Read, report: &mut Report, now_ms: i64, note: &mut dyn FnMut(Note)) -> Result<(), RdbError> {
    let limits = Limits::of(&Config::default());
    let mut from = Source::new(from, true);
    report.doing = "start";
    let magic: [u8; 9] = from.array()?;
    let digits = magic.strip_prefix(b"REDIS").or_else(|| magic.strip_prefix(b"VALKEY"));
    let version = digits.and_then(|d| std::str::from_utf8(d).ok()).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let Some(version) = version.and_then(|d| d.parse::<u16>().ok()).filter(|v| *v > 0) else {
        return Err(from.error(Fault::Magic));
    };
    report.version = version;
    if let Some(whose) = report.foreign() {
        note(Note { offset: from.offset(), text: format!("{whose} RDB version {version} detected") });
    }
    let (mut db, mut deadline) = (0usize, None);
    loop {
        report.doing = "read-type";
        let kind = from.u8()?;
        match kind {
            opcode::DEADLINE_MS => deadline = Some(i64::from_le_bytes(from.array()?)),
            opcode::DEADLINE_S => deadline = Some(i64::from(i32::from_le_bytes(from.array()?)) * 1000),
            opcode::IDLE => {
                from.len()?;
            }
            opcode::FREQUENCY => {
                from.u8()?;
            }
            opcode::AUX => {
                report.doing = "read-aux";
                let (name, value) = (from.string()?, from.string()?);
                let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                note(Note { offset: from.offset(), text: format!("AUX FIELD {} = '{}'", text(&name), text(&value)) });
            }
            opcode::RESIZE => {
                report.doing = "read-len";
                from.len()?;
                from.len()?;
            }
            opcode::SLOT_INFO => {
                for _ in 0..3 {
                    from.len()?;
                }
            }
            opcode::SELECT => {
                report.doing = "read-len";
                db = usize::try_from(from.len()?).unwrap_or(usize::MAX);
                // Nobody has that many: a number alone must not take memory.
                if db > 100_000 {
                    return Err(from.error(Fault::Database(db as u64)));
                }
                note(Note { offset: from.offset(), text: format!("Selecting DB ID {db}") });
            }
            opcode::FUNCTION => {
                report.doing = "read-functions";
                from.string()?;
                report.functions += 1;
            }
            opcode::END => break,
            kind => {
                report.kind = Some(kind);
                report.doing = "read-key";
                let key = from.string()?;
                report.key = Some(key.clone());
                report.doing = "read-object-value";
                let value = get_value(&mut from, kind, &limits)?;
                report.doing = "check-sanity";
                let expired = deadline.is_some_and(|d| d <= now_ms);
                report.keys += 1;
                report.with_deadline += u64::from(deadline.is_some());
                report.expired += u64::from(expired);
                if report.tallies.len() <= db {
                    report.tallies.resize_with(db + 1, Default::default);
                }
                let (n, lengths, sizes) = measure(&value);
                let t = &mut report.tallies[db][n];
                t.keys += 1;
                t.with_deadline += u64::from(deadline.is_some());
                t.expired += u64::from(expired);
                t.key_bytes += key.len() as u64;
                t.value_bytes += sizes.iter().sum::<u64>();
                t.lengths.push(lengths);
                t.sizes.extend(sizes);
                (report.key, report.kind, deadline) = (None, None, None);
            }
        }
    }
    report.doing = "verify-checksum";
    let crc = from.crc();
    if version >= 5 {
        let said = u64::from_le_bytes(from.array()?);
        if said == 0 {
            note(Note {
                offset: from.offset(),
                text: "RDB file was saved with checksum disabled: no check performed.".into(),
            });
        } else if said != crc {
            return Err(from.error(Fault::Checksum));
        } else {
            note(Note { offset: from.offset(), text: "Checksum OK".into() });
        }
    }
    report.bytes = from.offset();
    Ok(())
}

/// The type's place in [`TYPES`], the number of elements and the size of each.
fn measure(value: &Value) -> (usize, u64, Vec<u64>) {
    let object = match value {
        Value::Int(n) => return (0, 1, vec![n.to_string().len() as u64]),
        Value::Bytes(v) => return (0, 1, vec![v.len() as u64]),
        Value::Object(o) => o,
    };
    let mut sizes = Vec::new();
    let n = match &**object {
        Object::List(list) => {
            list.iter().for_each(|e| sizes.push(e.text_len() as u64));
            1
        }
        Object::Set(set) => {
            set.for_each(|m| sizes.push(m.text_len() as u64));
            2
        }
        Object::Zset(zset) => {
            zset.each(0..zset.len(), false, |m, _| sizes.push(m.text_len() as u64));
            3
        }
        Object::Hash(hash) => {
            hash.for_each_with_deadline(|f, v, _| sizes.push((f.text_len() + v.text_len()) as u64));
            4
        }
        Object::Stream(stream) => {
            sizes.extend(stream.nodes().values().map(|pack| pack.as_bytes().len() as u64));
            6
        }
    };
    (n, object.len() as u64, sizes)
}
