//! Whole files.

use super::read::{Limits, get_value};
use super::source::{Fault, Got, RdbError, Source};
use super::{VERSION, VERSION_BEFORE, is_foreign, is_readable, opcode, write as values};
use crate::base::crc64::crc64;
use crate::config::types::RdbVersion;
use crate::keyspace::{Access, AccessPolicy, Encode, Key, Put, STRIPES, Space};
use crate::value::record::{ContentRef, Record};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

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
}

impl Format {
    fn style(&self) -> values::Style {
        values::Style { pack: self.pack, field_deadlines: self.version == RdbVersion::V9 }
    }

    /// What comes before the keys: the version, what the file says of itself, and the size of each database.
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
        for (db, (keys, deadlines)) in sizes.iter().enumerate().filter(|(_, s)| s.0 > 0) {
            out.push(opcode::SELECT);
            values::put_len(&mut out, db as u64);
            out.push(opcode::RESIZE);
            values::put_len(&mut out, *keys as u64);
            values::put_len(&mut out, *deadlines as u64);
        }
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
/// too: whoever loads the file knows what to do with them.
///
/// # Errors
/// Those of `out`.
pub fn write(space: &mut Space<'_>, out: &mut dyn Write, format: &Format) -> io::Result<Written> {
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
                if result.is_err() {
                    return;
                }
                if format.version == RdbVersion::V8_1 && values::kind_of(record, true) == super::kind::HASH_DEADLINES {
                    result =
                        Err(io::Error::other("a hash has fields with deadlines, which an older version cannot read"));
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

/// A load that goes on, for whoever looks on.
#[derive(Debug, Default)]
pub struct Loading {
    running: AtomicBool,
    /// Seconds since the epoch.
    pub since: AtomicI64,
    pub total_bytes: AtomicU64,
    pub loaded_bytes: AtomicU64,
    /// Microseconds to wait for each key, for tests.
    pub key_delay_us: AtomicI64,
}

/// Keys without elements that are told one by one; a file has none or few.
const EMPTY_TOLD_MAX: u64 = 100;
/// Between two times the progress is told.
const TELL_KEYS: u64 = 256;

impl Loading {
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    pub fn begin(&self, now_s: i64) {
        self.since.store(now_s, Ordering::Relaxed);
        self.loaded_bytes.store(0, Ordering::Relaxed);
        self.running.store(true, Ordering::Release);
    }

    pub fn end(&self) {
        self.running.store(false, Ordering::Release);
    }

    fn key(&self, keys: u64, bytes: u64) {
        let us = self.key_delay_us.load(Ordering::Relaxed);
        if us > 0 {
            std::thread::sleep(std::time::Duration::from_micros(us as u64));
        }
        if us > 0 || keys.is_multiple_of(TELL_KEYS) {
            self.loaded_bytes.store(bytes, Ordering::Relaxed);
        }
    }
}

/// How a file is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Told how it goes.
    pub loading: Option<Arc<Loading>>,
    pub limits: Limits,
    /// `rdb-version-check relaxed`.
    pub relaxed: bool,
    /// Whether the sum at the end is checked.
    pub checksum: bool,
    /// A key that is there already is replaced; otherwise it is an error.
    pub merge: bool,
    /// Keys may stand in the log: `hide-user-data-from-log no`.
    pub tell_keys: bool,
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
    /// What the file says of the history it is a moment of; see [`Format::aux`].
    pub stream_db: Option<u32>,
    pub repl_id: Option<String>,
    pub repl_offset: Option<u64>,
}

/// Loads a file into the key space. Every stripe is held, or none: then each key's is taken for a moment, and the caller sees to it that
/// nobody else changes anything. Nothing of it becomes an effect.
///
/// # Errors
/// See [`Fault`]. What was loaded before stays, so callers end or empty the key space.
pub fn load(from: impl Read, space: &mut Space<'_>, options: &LoadOptions) -> Result<Loaded, RdbError> {
    load_prefix(from, space, options).map(|(loaded, _)| loaded)
}

/// The same where something else follows. Returns the length of the file that was loaded; more of `from` may have been read.
///
/// # Errors
/// As of [`load`].
pub fn load_prefix(from: impl Read, space: &mut Space<'_>, options: &LoadOptions) -> Result<(Loaded, u64), RdbError> {
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
                    Err(RdbError { fault: Fault::Empty, offset }) => {
                        loaded.empty += 1;
                        if loaded.empty <= EMPTY_TOLD_MAX {
                            let shown =
                                if options.tell_keys { String::from_utf8_lossy(&name) } else { "(redacted)".into() };
                            tracing::info!("Loading skipping empty key: {shown} (at byte {offset})");
                        }
                        (deadline, word) = (None, None);
                        continue;
                    }
                    Err(RdbError { fault: Fault::Kind(kind), offset }) if is_foreign(version) => {
                        return Err(RdbError { fault: Fault::ForeignKind(kind, version), offset });
                    }
                    Err(e) => return Err(e),
                };
                // Where a history goes on, the end of a key is a part of what is to come: those who follow it have the key too.
                let keep = options.keep_expired || loaded.repl_offset.is_some();
                if !keep && deadline.is_some_and(|d| d <= access.now_ms) {
                    loaded.expired += 1;
                } else {
                    let key = Key::new(db, &name);
                    let mut record = value.into_record(&name, deadline);
                    record.set_access(word.unwrap_or(access.fresh()));
                    put(&from, space, key, record, options.merge)?;
                    loaded.keys += 1;
                    if let Some(loading) = &options.loading {
                        loading.key(loaded.keys, from.offset());
                    }
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
    Ok((loaded, from.offset()))
}

/// Looks at the head of a file.
///
/// # Errors
/// It is no snapshot, or one of a version that is not read.
pub fn begins(from: impl Read, relaxed: bool) -> Result<(), RdbError> {
    header(&mut Source::new(from, false), relaxed).map(|_| ())
}

fn header<R: Read>(from: &mut Source<R>, relaxed: bool) -> Got<u16> {
    let magic: [u8; 9] = from.array()?;
    let digits = magic.strip_prefix(b"REDIS").or_else(|| magic.strip_prefix(b"VALKEY"));
    let version = digits.and_then(|d| std::str::from_utf8(d).ok()).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let version = version.and_then(|d| d.parse().ok()).ok_or_else(|| from.error(Fault::Magic))?;
    if is_readable(version, relaxed) { Ok(version) } else { Err(from.error(Fault::Version(version))) }
}

fn put<R: Read>(from: &Source<R>, space: &mut Space<'_>, key: Key<'_>, record: Record, merge: bool) -> Got<()> {
    if !space.is_whole() {
        space.lock_stripe(key.hash.stripe);
    }
    let result = put_locked(from, space, key, record, merge);
    if !space.is_whole() {
        space.unlock();
    }
    result
}

fn put_locked<R: Read>(from: &Source<R>, space: &mut Space<'_>, key: Key<'_>, record: Record, merge: bool) -> Got<()> {
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
