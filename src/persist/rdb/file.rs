//! Whole files.

use super::read::{Limits, get_value};
use super::source::{Fault, Got, RdbError, Source};
use super::{VERSION, VERSION_BEFORE, is_readable, opcode, write as values};
use crate::base::crc64::crc64;
use crate::keyspace::{AccessPolicy, Key, STRIPES, Space};
use crate::value::record::Record;
use std::io::{self, Read, Write};

/// What a file says beside the data.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// `rdbchecksum`: without it the sum is 0 and nobody checks it.
    pub checksum: bool,
    pub used_memory: u64,
    /// For a reader that knows no version later than [`VERSION_BEFORE`].
    pub for_older: bool,
    /// The database that is selected where the journal's stream goes on, for a replica that follows it.
    pub stream_db: Option<u32>,
    /// The history this is a moment of, and the bytes of it so far.
    pub history: Option<(String, u64)>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub keys: u64,
    pub bytes: u64,
}

/// Bytes that are gathered before they are written.
const CHUNK: usize = 64 << 10;

/// Where bytes go, summed.
struct Sink<'w, W> {
    out: &'w mut W,
    buffer: Vec<u8>,
    checksum: bool,
    crc: u64,
    bytes: u64,
}

impl<W: Write> Sink<'_, W> {
    fn flush(&mut self) -> io::Result<()> {
        if self.checksum {
            self.crc = crc64(self.crc, &self.buffer);
        }
        self.bytes += self.buffer.len() as u64;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

fn aux(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(opcode::AUX);
    values::put_string(out, name);
    values::put_string(out, value);
}

fn put_entry(out: &mut Vec<u8>, record: &Record, lfu: Option<u8>) {
    if let Some(deadline) = record.deadline() {
        out.push(opcode::DEADLINE_MS);
        out.extend_from_slice(&deadline.to_le_bytes());
    }
    if let Some(counter) = lfu {
        out.extend_from_slice(&[opcode::FREQUENCY, counter]);
    }
    out.push(values::kind_of(record));
    values::put_string(out, record.name());
    values::put_value(out, record);
}

/// Writes all databases. Every stripe is held, so that it is one instant. Keys past their deadline are written too: whoever
/// loads the file knows what to do with them.
///
/// # Errors
/// Those of `out`.
pub fn write(space: &mut Space<'_>, out: &mut impl Write, options: &WriteOptions) -> io::Result<Written> {
    assert!(space.is_whole(), "a snapshot is one instant of all stripes");
    let access = space.access;
    let mut sink = Sink { out, buffer: Vec::new(), checksum: options.checksum, crc: 0, bytes: 0 };
    let mut keys = 0;
    let magic = if options.for_older { format!("REDIS{VERSION_BEFORE:04}") } else { format!("VALKEY{VERSION:03}") };
    sink.buffer.extend_from_slice(magic.as_bytes());
    aux(&mut sink.buffer, b"holdfast-ver", env!("CARGO_PKG_VERSION").as_bytes());
    aux(&mut sink.buffer, b"redis-bits", b"64");
    aux(&mut sink.buffer, b"ctime", (access.now_ms / 1000).to_string().as_bytes());
    aux(&mut sink.buffer, b"used-mem", options.used_memory.to_string().as_bytes());
    if let Some(db) = options.stream_db {
        aux(&mut sink.buffer, b"repl-stream-db", db.to_string().as_bytes());
    }
    if let Some((id, offset)) = &options.history {
        aux(&mut sink.buffer, b"repl-id", id.as_bytes());
        aux(&mut sink.buffer, b"repl-offset", offset.to_string().as_bytes());
    }
    aux(&mut sink.buffer, b"aof-base", b"0");
    for db in 0..space.databases() {
        let (mut size, mut deadlines) = (0, 0);
        for n in 0..STRIPES as u16 {
            let table = &space.stripe(n).database(db).table;
            size += table.len();
            deadlines += table.deadlines();
        }
        if size == 0 {
            continue;
        }
        sink.buffer.push(opcode::SELECT);
        values::put_len(&mut sink.buffer, db.into());
        sink.buffer.push(opcode::RESIZE);
        values::put_len(&mut sink.buffer, size as u64);
        values::put_len(&mut sink.buffer, deadlines as u64);
        for n in 0..STRIPES as u16 {
            let mut result = Ok(());
            space.stripe(n).database(db).table.for_each(|record| {
                if result.is_err() {
                    return;
                }
                let lfu = match access.policy {
                    AccessPolicy::Lru => None,
                    AccessPolicy::Lfu { .. } => Some(access.frequency(record.access())),
                };
                if options.for_older && values::kind_of(record) == super::kind::HASH_DEADLINES {
                    result =
                        Err(io::Error::other("a hash has fields with deadlines, which an older version cannot read"));
                    return;
                }
                put_entry(&mut sink.buffer, record, lfu);
                keys += 1;
                if sink.buffer.len() >= CHUNK {
                    result = sink.flush();
                }
            });
            result?;
        }
    }
    sink.buffer.push(opcode::END);
    sink.flush()?;
    let crc = if options.checksum { sink.crc } else { 0 };
    sink.checksum = false;
    sink.buffer.extend_from_slice(&crc.to_le_bytes());
    sink.flush()?;
    Ok(Written { keys, bytes: sink.bytes })
}

/// How a file is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    pub limits: Limits,
    /// `rdb-version-check relaxed`.
    pub relaxed: bool,
    /// Whether the sum at the end is checked.
    pub checksum: bool,
    /// A key that is there already is replaced; otherwise it is an error.
    pub merge: bool,
    /// A replica keeps keys past their deadline: its primary says when they go.
    pub keep_expired: bool,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub keys: u64,
    /// Left out, being past their deadline.
    pub expired: u64,
    /// Left out, being collections without elements.
    pub empty: u64,
    /// What the file says of the history it is a moment of; see [`WriteOptions`].
    pub stream_db: Option<u32>,
    pub repl_id: Option<String>,
    pub repl_offset: Option<u64>,
}

/// Loads a file into the key space; every stripe is held. Nothing of it becomes an effect.
///
/// # Errors
/// See [`Fault`]. What was loaded before stays, so callers end or empty the key space.
pub fn load(from: impl Read, space: &mut Space<'_>, options: &LoadOptions) -> Result<Loaded, RdbError> {
    assert!(space.is_whole(), "loading is one instant of all stripes");
    let mut from = Source::new(from, options.checksum);
    let version = header(&mut from, options.relaxed)?;
    let (mut db, mut loaded) = (0, Loaded::default());
    let (mut deadline, mut word) = (None, None);
    let access = space.access;
    loop {
        let kind = from.u8()?;
        match kind {
            opcode::DEADLINE_MS => deadline = Some(i64::from_le_bytes(from.array()?)),
            opcode::DEADLINE_S => deadline = Some(i64::from(i32::from_le_bytes(from.array()?)) * 1000),
            opcode::IDLE => word = Some(access.with_idle(from.len()?)),
            opcode::FREQUENCY => word = Some(access.with_frequency(from.u8()?)),
            opcode::AUX => {
                let (name, value) = (from.string()?, from.string()?);
                let text = std::str::from_utf8(&value).unwrap_or_default();
                match &name[..] {
                    b"repl-stream-db" => loaded.stream_db = text.parse().ok().filter(|db| *db < space.databases()),
                    b"repl-id" => loaded.repl_id = Some(text.to_owned()),
                    b"repl-offset" => loaded.repl_offset = text.parse().ok(),
                    _ => {}
                }
            }
            opcode::RESIZE => {
                from.len()?;
                from.len()?;
            }
            opcode::SLOT_INFO => {
                for _ in 0..3 {
                    from.len()?;
                }
            }
            opcode::SELECT => {
                let n = from.len()?;
                let known = u32::try_from(n).ok().filter(|n| *n < space.databases());
                db = known.ok_or_else(|| from.error(Fault::Database(n)))?;
            }
            opcode::FUNCTION | opcode::FUNCTION_OLD => return Err(from.error(Fault::Unsupported("functions"))),
            opcode::MODULE_AUX => return Err(from.error(Fault::Unsupported("modules' data"))),
            opcode::END => break,
            kind => {
                let name = from.string()?;
                let value = match get_value(&mut from, kind, &options.limits) {
                    Ok(value) => value,
                    Err(RdbError { fault: Fault::Empty, .. }) => {
                        loaded.empty += 1;
                        (deadline, word) = (None, None);
                        continue;
                    }
                    Err(e) => return Err(e),
                };
                if !options.keep_expired && deadline.is_some_and(|d| d <= access.now_ms) {
                    loaded.expired += 1;
                } else {
                    let key = Key::new(db, &name);
                    let mut record = value.into_record(&name, deadline);
                    record.set_access(word.unwrap_or(access.fresh()));
                    put(&from, space, key, record, options.merge)?;
                    loaded.keys += 1;
                }
                (deadline, word) = (None, None);
            }
        }
    }
    let crc = from.crc();
    // Before version 5 there was none.
    if version >= 5 {
        let said = u64::from_le_bytes(from.array()?);
        if options.checksum && said != 0 && said != crc {
            return Err(from.error(Fault::Checksum));
        }
    }
    Ok(loaded)
}

fn header<R: Read>(from: &mut Source<R>, relaxed: bool) -> Got<u16> {
    let magic: [u8; 9] = from.array()?;
    let digits = magic.strip_prefix(b"REDIS").or_else(|| magic.strip_prefix(b"VALKEY"));
    let version = digits.and_then(|d| std::str::from_utf8(d).ok()).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let version = version.and_then(|d| d.parse().ok()).ok_or_else(|| from.error(Fault::Magic))?;
    if is_readable(version, relaxed) { Ok(version) } else { Err(from.error(Fault::Version(version))) }
}

fn put<R: Read>(from: &Source<R>, space: &mut Space<'_>, key: Key<'_>, record: Record, merge: bool) -> Got<()> {
    let table = &mut space.stripe(key.hash.stripe).database_mut(key.db).table;
    if table.locate(key.hash.path, key.name).is_some() {
        if !merge {
            return Err(from.error(Fault::Duplicate));
        }
        table.remove_at(key.hash.path, key.name);
    }
    space.add_moved(key, record);
    Ok(())
}
