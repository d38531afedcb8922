//! Whole files, as they are written.

use super::{VERSION, VERSION_BEFORE, opcode, write as values};
use crate::base::crc64::crc64;
use crate::config::types::RdbVersion;
use crate::keyspace::{Access, AccessPolicy, Encode, Put, STRIPES, Space};
use crate::script::Library;
use crate::value::record::{ContentRef, Record};
use std::io::{self, Write};
use std::sync::Arc;

/// How a file is written.
#[derive(Clone, Debug)]
pub struct Format {
    /// `rdb-version`: who has to be able to load it.
    pub version: RdbVersion,
    /// `rdbchecksum`: without it the sum is 0 and nobody checks it.
    pub checksum: bool,
    /// `rdbcompression`.
    pub pack: bool,
    /// The instant, and how accesses are kept.
    pub access: Access,
    /// Whether the idle time of keys is written.
    pub idle: bool,
    /// What the file says of itself.
    pub aux: Vec<(&'static str, String)>,
    /// Libraries of functions.
    pub libraries: Vec<Arc<Library>>,
}

impl Format {
    fn style(&self) -> values::Style {
        values::Style { pack: self.pack, field_deadlines: self.version == RdbVersion::V9 }
    }

    /// What comes before the keys: the version, what the file says of itself, functions, and the size of each database.
    pub fn head(&self, sizes: &[(usize, usize)]) -> Vec<u8> {
        let mut out = match self.version {
            RdbVersion::V9 => format!("VALKEY{VERSION:03}"),
            RdbVersion::V8_1 => format!("REDIS{VERSION_BEFORE:04}"),
        }
        .into_bytes();
        let mut aux = |name: &str, value: &str| {
            out.push(opcode::AUX);
            values::put_string(&mut out, name.as_bytes(), false);
            values::put_string(&mut out, value.as_bytes(), false);
        };
        aux("holdfast-ver", env!("CARGO_PKG_VERSION"));
        aux("redis-bits", "64");
        aux("ctime", &(self.access.now_ms / 1000).to_string());
        for (name, value) in &self.aux {
            aux(name, value);
        }
        for library in &self.libraries {
            out.push(opcode::FUNCTION);
            values::put_string(&mut out, &library.source, self.pack);
        }
        for (db, (keys, deadlines)) in sizes.iter().enumerate().filter(|(_, s)| s.0 > 0) {
            out.push(opcode::SELECT);
            values::put_len(&mut out, db as u64);
            out.push(opcode::RESIZE);
            values::put_len(&mut out, *keys as u64);
            values::put_len(&mut out, *deadlines as u64);
        }
        out
    }

    /// The whole file of a data set without keys.
    pub fn without_keys(&self) -> Vec<u8> {
        let mut out = self.head(&[]);
        out.extend_from_slice(&END);
        let crc = if self.checksum { crc64(0, &out) } else { 0 };
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// A key before its value.
    fn put_key(&self, out: &mut Vec<u8>, record: &Record) {
        if let Some(deadline) = record.deadline() {
            out.push(opcode::DEADLINE_MS);
            out.extend_from_slice(&deadline.to_le_bytes());
        }
        match self.access.policy {
            AccessPolicy::Lru if self.idle => {
                out.push(opcode::IDLE);
                values::put_len(out, self.access.idle_seconds(record.access()));
            }
            AccessPolicy::Lru => {}
            AccessPolicy::Lfu { .. } => {
                out.extend_from_slice(&[opcode::FREQUENCY, self.access.frequency(record.access())]);
            }
        }
        out.push(values::kind_of(record, self.version == RdbVersion::V9));
        values::put_string(out, record.name(), self.pack);
    }
}

/// What comes after the keys, but for the sum.
pub const END: [u8; 1] = [opcode::END];

impl Encode for Format {
    fn select(&self, out: &mut Vec<u8>, db: u32) {
        out.push(opcode::SELECT);
        values::put_len(out, db.into());
    }

    fn put(&self, out: &mut Vec<u8>, record: &Record, at: u64, bytes: usize, hurried: bool) -> Put {
        if at == 0 {
            self.put_key(out, record);
        }
        let mut style = self.style();
        // Who holds up clients does not pack: the file is a little larger for it.
        style.pack &= !hurried;
        match record.content() {
            ContentRef::Big(value) => Put::Then(Arc::clone(value)),
            ContentRef::Object(object) => {
                values::put_object(out, object, at, bytes, style).map_or(Put::Whole, Put::From)
            }
            _ => {
                values::put_value(out, record, style);
                Put::Whole
            }
        }
    }

    fn string(&self, out: &mut Vec<u8>, value: &[u8]) -> bool {
        if self.pack && values::try_packed(out, value) {
            return true;
        }
        values::put_len(out, value.len() as u64);
        false
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub keys: u64,
    pub bytes: u64,
}

/// Bytes that are gathered before they are written.
const CHUNK: usize = 64 << 10;

/// Where a file's bytes go, counted and summed.
pub struct Summed<'w> {
    out: &'w mut dyn FnMut(&[u8]) -> io::Result<()>,
    checksum: bool,
    crc: u64,
    bytes: u64,
}

impl<'w> Summed<'w> {
    pub fn new(checksum: bool, out: &'w mut dyn FnMut(&[u8]) -> io::Result<()>) -> Summed<'w> {
        Summed { out, checksum, crc: 0, bytes: 0 }
    }

    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.checksum {
            self.crc = crc64(self.crc, bytes);
        }
        self.bytes += bytes.len() as u64;
        (self.out)(bytes)
    }

    /// Writes the end and the sum. Returns the bytes of the file.
    pub fn finish(mut self) -> io::Result<u64> {
        self.put(&END)?;
        let crc = if self.checksum { self.crc } else { 0 };
        (self.out)(&crc.to_le_bytes())?;
        Ok(self.bytes + 8)
    }
}

/// Writes all databases while everybody waits. Every stripe is held, so that it is one instant. Keys past their deadline are written
/// too: whoever loads the file knows what to do with them. `each` is asked before each key whether to go on.
///
/// # Errors
/// Those of `out` and of `each`.
pub fn write(
    space: &mut Space<'_>,
    out: &mut dyn Write,
    format: &Format,
    each: &dyn Fn() -> io::Result<()>,
) -> io::Result<Written> {
    assert!(space.is_whole(), "a snapshot is one instant of all stripes");
    let mut take = |bytes: &[u8]| out.write_all(bytes);
    let mut sink = Summed::new(format.checksum, &mut take);
    sink.put(&format.head(&space.sizes()))?;
    let (mut keys, mut buffer) = (0, Vec::new());
    for db in 0..space.databases() {
        let mut selected = false;
        for n in 0..STRIPES as u16 {
            let mut result = Ok(());
            space.stripe(n).database(db).table.for_each(|record| {
                if result.is_ok() {
                    result = each();
                }
                if result.is_err() {
                    return;
                }
                if !std::mem::replace(&mut selected, true) {
                    format.select(&mut buffer, db);
                }
                format.put_key(&mut buffer, record);
                values::put_value(&mut buffer, record, format.style());
                keys += 1;
                if buffer.len() >= CHUNK {
                    result = sink.put(&buffer);
                    buffer.clear();
                }
            });
            result?;
        }
    }
    sink.put(&buffer)?;
    Ok(Written { keys, bytes: sink.finish()? })
}
