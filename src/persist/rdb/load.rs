//! Whole files, as they are loaded: what stands between the keys, and who takes them in.

use super::parallel::{Common, Head, Takers};
use super::read::{Limits, Value, get_value};
use super::source::{Fault, Got, RdbError, Source};
use super::{is_readable, opcode};
use crate::base::names;
use crate::base::slab;
use crate::keyspace::{Access, Space};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// A load that goes on, for whoever looks on.
#[derive(Debug, Default)]
pub struct Loading {
    running: AtomicBool,
    /// Seconds since the epoch.
    pub since: AtomicI64,
    pub total_bytes: AtomicU64,
    pub loaded_bytes: AtomicU64,
    /// Memory that was in use where the file was written, as it says; 0 if it does not.
    pub used_memory: AtomicU64,
    /// Microseconds to wait for each key, for tests.
    pub key_delay_us: AtomicI64,
    stopped: AtomicBool,
}

/// Between two times the progress is told.
const TELL_KEYS: u64 = 256;
/// Between two looks while a key is delayed.
const DELAY_STEP_US: u64 = 20_000;

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

    /// Nobody wants what is loaded any more: it fails at its next key.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Waits as long as each key is to take. False if the load is to stop.
    fn key(&self, keys: u64, bytes: u64) -> bool {
        let us = self.key_delay_us.load(Ordering::Relaxed);
        if us > 0 || keys.is_multiple_of(TELL_KEYS) {
            self.loaded_bytes.store(bytes, Ordering::Relaxed);
        }
        let mut left = u64::try_from(us).unwrap_or(0);
        // A delay that is taken back is taken back for this key, too.
        while left > 0 && !self.stopped.load(Ordering::Acquire) && self.key_delay_us.load(Ordering::Relaxed) > 0 {
            let now = left.min(DELAY_STEP_US);
            std::thread::sleep(std::time::Duration::from_micros(now));
            left -= now;
        }
        !self.stopped.load(Ordering::Acquire)
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
    /// Keys past their deadline are kept: on a replica because its primary says when they go, in a log because what follows may say that
    /// they live on.
    pub keep_expired: bool,
    /// That take keys in beside the one that reads, if no stripe is held and there are many; 1 or less: none.
    pub threads: usize,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub keys: u64,
    /// Left out, being past their deadline.
    pub expired: u64,
    /// Left out, being collections without elements.
    pub empty: u64,
    /// Left out, being hashes whose fields are all past their deadline.
    pub all_fields_expired: u64,
    /// What the file says of the history it is a moment of; see [`Format::aux`].
    pub stream_db: Option<u32>,
    pub repl_id: Option<String>,
    pub repl_offset: Option<u64>,
    /// The texts of libraries of functions; the caller brings them to life.
    pub libraries: Vec<Vec<u8>>,
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
    let common = Common::default();
    let _filling = slab::Filling::new();
    let loaded = std::thread::scope(|scope| {
        let mut takers = Takers::new(space, options, &common, scope);
        let read = read(&mut from, &mut takers, options);
        takers.finish(read)
    })?;
    Ok((loaded, from.offset()))
}

/// Where what a file holds goes.
pub(super) trait Taker<R> {
    /// How accesses are kept there, and how many databases there are.
    fn place(&self) -> (Access, u32);

    /// A key, whose name and value follow.
    fn key(&mut self, from: &mut Source<R>, head: Head) -> Got<()>;
}

/// A key of a file, for whoever wants to look at it and not to have it in the key space.
#[derive(Debug)]
pub struct Seen {
    pub db: u32,
    pub name: Vec<u8>,
    pub value: Value,
    /// In ms since the epoch.
    pub deadline: Option<i64>,
}

/// Shows the keys of a file one after the other, in their order, whatever their deadlines are. What it says beside them is returned.
///
/// # Errors
/// See [`Fault`]; those of `show` too.
pub fn look_at(
    from: impl Read,
    options: &LoadOptions,
    access: Access,
    databases: u32,
    show: &mut dyn FnMut(Seen) -> std::io::Result<()>,
) -> Result<Loaded, RdbError> {
    struct Looker<'s, 'o> {
        show: &'s mut dyn FnMut(Seen) -> std::io::Result<()>,
        options: &'o LoadOptions,
        access: Access,
        databases: u32,
    }
    impl<R: Read> Taker<R> for Looker<'_, '_> {
        fn place(&self) -> (Access, u32) {
            (self.access, self.databases)
        }

        fn key(&mut self, from: &mut Source<R>, head: Head) -> Got<()> {
            let name = from.string()?;
            let value = get_value(from, head.kind, &self.options.limits)?;
            let seen = Seen { db: head.db, name, value, deadline: head.deadline };
            (self.show)(seen).map_err(|e| from.error(Fault::Io(e)))
        }
    }
    let mut looker = Looker { show, options, access, databases };
    read(&mut Source::new(from, options.checksum), &mut looker, options)
}

/// Reads a file up to its end; the keys go to the taker, who counts them.
fn read<R: Read>(from: &mut Source<R>, taker: &mut impl Taker<R>, options: &LoadOptions) -> Got<Loaded> {
    let version = header(from, options.relaxed)?;
    let (mut db, mut loaded, mut keys) = (0, Loaded::default(), 0);
    let (mut deadline, mut word) = (None, None);
    let (access, databases) = taker.place();
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
                    b"repl-stream-db" => loaded.stream_db = text.parse().ok().filter(|db| *db < databases),
                    b"repl-id" => loaded.repl_id = Some(text.to_owned()),
                    b"repl-offset" => loaded.repl_offset = text.parse().ok(),
                    b"used-mem" => {
                        if let (Some(loading), Ok(bytes)) = (&options.loading, text.parse()) {
                            loading.used_memory.store(bytes, Ordering::Relaxed);
                        }
                    }
                    b"valkey-ver" | b"redis-ver" | b"holdfast-ver" => tell_maker(&name, text),
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
                let known = u32::try_from(n).ok().filter(|n| *n < databases);
                db = known.ok_or_else(|| from.error(Fault::Database(n)))?;
            }
            opcode::FUNCTION => loaded.libraries.push(from.string()?),
            opcode::FUNCTION_OLD => return Err(from.error(Fault::Unsupported("functions of a release candidate"))),
            opcode::MODULE_AUX => return Err(from.error(Fault::Unsupported("modules' data"))),
            opcode::END => break,
            kind => {
                // Where a history goes on, the end of a key is a part of what is to come: those who follow it have the key too.
                let keep = options.keep_expired || loaded.repl_offset.is_some();
                let head = Head { kind, db, deadline: deadline.take(), access: word.take(), keep, version };
                taker.key(from, head)?;
                keys += 1;
                if options.loading.as_ref().is_some_and(|loading| !loading.key(keys, from.offset())) {
                    return Err(from.error(Fault::Io(std::io::Error::other("it is not wanted any more"))));
                }
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

/// Says who has written the file, in the words that tools look for.
fn tell_maker(field: &[u8], version: &str) {
    // What a peer has written is not put into the log unseen.
    let version = if version.len() < 64 && version.bytes().all(|b| b.is_ascii_graphic()) { version } else { "?" };
    match field {
        b"valkey-ver" => tracing::info!("Loading RDB produced by Valkey version {version}"),
        b"redis-ver" => tracing::info!("Loading RDB produced by Redis version {version}"),
        _ => tracing::info!(
            "Loading RDB produced by Valkey version {} or compatible: Holdfast version {version}",
            names::VALKEY_VERSION
        ),
    }
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
