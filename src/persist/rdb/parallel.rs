//! Keys to the key space: by the thread that reads the file, or by several beside it.
//!
//! The file can only be read from its beginning on, and what stands in it has to be checked, built and put in its place: that is most of the
//! work, and each key's is its own. So the reader goes over a small key's bytes without looking into them ([`skip`]) and gives them away in
//! batches; a big one's it takes in itself.
//!
//! # Invariants
//! * Memory is bounded: no key that is given away has more than [`ITEM_MAX`] bytes, and at most [`QUEUE`] batches a thread wait.
//! * The first thing that is wrong, by its place in the file, is what is told, whoever found it.
//! * A thread holds one stripe at a time, and for one key.

use super::load::{LoadOptions, Loaded, Taker};
use super::read::get_value;
use super::source::{Fault, Got, RdbError, Source};
use super::{is_foreign, kind};
use crate::keyspace::{Access, Key, Keyspace, Space};
use crate::value::record::Record;
use parking_lot::Mutex;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Keys without elements that are told one by one; a file has none or few.
const EMPTY_TOLD_MAX: u64 = 100;
/// Bytes of a key and its value, at most, for it to be given away.
const ITEM_MAX: usize = 256 << 10;
/// Bytes of a batch, and a little more.
const BATCH: usize = 256 << 10;
/// Batches that wait for each thread.
const QUEUE: usize = 2;

/// A key before its name and value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub kind: u8,
    pub db: u32,
    /// In ms since the epoch.
    pub deadline: Option<i64>,
    /// The access word, if the file says anything of it.
    pub access: Option<u32>,
    /// Kept even past its deadline.
    pub keep: bool,
    /// Of the file.
    pub version: u16,
}

/// Takes in a key: name and value follow. `told` counts it.
fn take<R: Read>(
    from: &mut Source<R>,
    head: Head,
    space: &mut Space<'_>,
    options: &LoadOptions,
    told: &mut Loaded,
) -> Got<()> {
    let name = from.string()?;
    let mut value = match get_value(from, head.kind, &options.limits) {
        Ok(value) => value,
        Err(RdbError { fault: Fault::Empty, offset }) => {
            told.empty += 1;
            if told.empty <= EMPTY_TOLD_MAX {
                let shown = if options.tell_keys { String::from_utf8_lossy(&name) } else { "(redacted)".into() };
                tracing::info!("Loading skipping empty key: {shown} (at byte {offset})");
            }
            return Ok(());
        }
        Err(RdbError { fault: Fault::Kind(kind), offset }) if is_foreign(head.version) => {
            return Err(RdbError { fault: Fault::ForeignKind(kind, head.version), offset });
        }
        Err(e) => return Err(e),
    };
    if !head.keep && head.deadline.is_some_and(|d| d <= space.access.now_ms) {
        told.expired += 1;
        return Ok(());
    }
    if !head.keep && !value.drop_expired(space.access.now_ms) {
        told.all_fields_expired += 1;
        return Ok(());
    }
    let record = value.into_record(&name, head.deadline);
    record.set_access(head.access.unwrap_or(space.access.fresh()));
    let key = Key::new(head.db, &name);
    let whole = space.is_whole();
    if !whole {
        space.lock_stripe(key.hash.stripe);
    }
    let new = put(space, key, record, options.merge);
    if !whole {
        space.unlock();
    }
    if !new {
        return Err(from.error(Fault::Duplicate));
    }
    told.keys += 1;
    Ok(())
}

/// False if the key is there and must not be.
fn put(space: &mut Space<'_>, key: Key<'_>, record: Record, merge: bool) -> bool {
    let table = &mut space.stripe(key.hash.stripe).database_mut(key.db).table;
    if table.locate(key.hash.path, key.name).is_some() {
        if !merge {
            return false;
        }
        table.remove_at(key.hash.path, key.name);
    }
    space.add_moved(key, record);
    true
}

/// Goes over a name and a value. False where it has to be looked into: it is too big, of a type whose end is not found so easily, or wrong.
fn skip<R: Read>(from: &mut Source<R>, kind: u8) -> Got<bool> {
    let room = ITEM_MAX;
    if !from.skip_strings(1, 0, room)? {
        return Ok(false);
    }
    let (strings, then) = match kind {
        kind::STRING
        | kind::LIST_ZIPLIST
        | kind::SET_INTSET
        | kind::SET_LISTPACK
        | kind::HASH_LISTPACK
        | kind::HASH_ZIPLIST
        | kind::HASH_ZIPMAP
        | kind::ZSET_LISTPACK
        | kind::ZSET_ZIPLIST => (1, 0),
        kind::LIST | kind::SET | kind::LIST_QUICKLIST_ZIPLISTS => (from.len()?, 0),
        kind::HASH => (from.len()?.saturating_mul(2), 0),
        kind::ZSET => (from.len()?, 8),
        kind::HASH_DEADLINES => {
            for _ in 0..from.len()? {
                if !(from.skip_strings(1, 0, room)? && from.skip_strings(1, 8, room)?) {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        kind::LIST_QUICKLIST => {
            for _ in 0..from.len()? {
                from.len()?;
                if !from.skip_strings(1, 0, room)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        _ => return Ok(false),
    };
    from.skip_strings(strings, then, room)
}

/// Keys whose bytes are given away.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each begins and ends, and after how many bytes of the file it began.
    items: Vec<(usize, usize, u64, Head)>,
}

impl Batch {
    /// Takes all in. Returns what is left: room for another one.
    fn take(mut self, space: &mut Space<'_>, options: &LoadOptions, told: &mut Loaded) -> Result<Batch, RdbError> {
        let mut source = Source::whole(self.bytes);
        for (at, end, offset, head) in self.items.drain(..) {
            source.go_to(at, offset);
            take(&mut source, head, space, options, told)?;
            if source.offset() != offset + (end - at) as u64 {
                return Err(source.error(Fault::Length));
            }
        }
        self.bytes = source.into_bytes();
        self.bytes.clear();
        Ok(self)
    }
}

/// What the threads have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    wrong: Mutex<Option<RdbError>>,
    stop: AtomicBool,
}

impl Common {
    /// Keeps what stands first in the file.
    fn fail(&self, error: RdbError) {
        let mut wrong = self.wrong.lock();
        if wrong.as_ref().is_none_or(|known| error.offset < known.offset) {
            *wrong = Some(error);
        }
        self.stop.store(true, Ordering::Release);
    }
}

/// Where the reader gives keys.
pub(super) struct Takers<'s, 'e, 'k> {
    space: &'s mut Space<'k>,
    options: &'e LoadOptions,
    common: &'e Common,
    scope: &'s Scope<'s, 'e>,
    batch: Batch,
    threads: Vec<ScopedJoinHandle<'s, Loaded>>,
    out: Option<SyncSender<Batch>>,
    back: Option<Receiver<Batch>>,
    told: Loaded,
}

impl<'s, 'e, 'k: 'e> Takers<'s, 'e, 'k> {
    pub fn new(
        space: &'s mut Space<'k>,
        options: &'e LoadOptions,
        common: &'e Common,
        scope: &'s Scope<'s, 'e>,
    ) -> Takers<'s, 'e, 'k> {
        let (batch, threads) = (Batch::default(), Vec::new());
        Takers { space, options, common, scope, batch, threads, out: None, back: None, told: Loaded::default() }
    }

    /// Gives the batch away.
    fn give(&mut self) -> Got<()> {
        if self.common.stop.load(Ordering::Acquire) {
            return self.common.wrong.lock().take().map_or(Ok(()), Err);
        }
        if self.out.is_none() {
            self.begin();
        }
        let empty = self.back.as_ref().and_then(|back| back.try_recv().ok()).unwrap_or_default();
        let full = std::mem::replace(&mut self.batch, empty);
        // The threads go on to take what comes, whatever is wrong, so this is an error only if one has panicked: told at the end.
        if let Some(out) = &self.out {
            let _ = out.send(full);
        }
        Ok(())
    }

    /// Starts the threads: a file with few keys needs none.
    fn begin(&mut self) {
        let threads = self.options.threads;
        let (out, batches) = sync_channel::<Batch>(threads * QUEUE);
        let (empty, back) = sync_channel(threads * QUEUE);
        let batches = std::sync::Arc::new(Mutex::new(batches));
        for _ in 0..threads {
            let (batches, empty) = (std::sync::Arc::clone(&batches), empty.clone());
            let (keyspace, access) = (self.space.keyspace(), self.space.access);
            let (options, common) = (self.options, self.common);
            self.threads.push(self.scope.spawn(move || work(&batches, &empty, keyspace, access, options, common)));
        }
        (self.out, self.back) = (Some(out), Some(back));
    }

    /// Waits until all is taken in, and counts it. `read` is how reading ended.
    pub fn finish(mut self, read: Got<Loaded>) -> Got<Loaded> {
        // Nobody waits any more for more.
        self.out = None;
        let last = std::mem::take(&mut self.batch).take(self.space, self.options, &mut self.told);
        if let Err(e) = last {
            self.common.fail(e);
        }
        for thread in self.threads {
            match thread.join() {
                Ok(told) => {
                    self.told.keys += told.keys;
                    self.told.expired += told.expired;
                    self.told.empty += told.empty;
                    self.told.all_fields_expired += told.all_fields_expired;
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        let read = read.map_err(|e| self.common.fail(e));
        if let Some(wrong) = self.common.wrong.lock().take() {
            return Err(wrong);
        }
        let (read, told) = (read.unwrap_or_default(), self.told);
        let Loaded { keys, expired, empty, all_fields_expired, .. } = told;
        Ok(Loaded { keys, expired, empty, all_fields_expired, ..read })
    }
}

impl<'e, 'k: 'e, R: Read> Taker<R> for Takers<'_, 'e, 'k> {
    fn place(&self) -> (Access, u32) {
        (self.space.access, self.space.databases())
    }

    /// Takes the key in, or has it taken in.
    fn key(&mut self, from: &mut Source<R>, head: Head) -> Got<()> {
        if self.options.threads > 1 && !self.space.is_whole() {
            let offset = from.offset();
            from.mark();
            match skip(from, head.kind) {
                Ok(true) => {
                    let at = self.batch.bytes.len();
                    self.batch.bytes.extend_from_slice(from.since_mark());
                    self.batch.items.push((at, self.batch.bytes.len(), offset, head));
                    return if self.batch.bytes.len() < BATCH { Ok(()) } else { self.give() };
                }
                Err(e @ RdbError { fault: Fault::Io(_), .. }) => return Err(e),
                // What is wrong is found again, with its true name.
                Ok(false) | Err(_) => from.rewind(),
            }
        }
        take(from, head, self.space, self.options, &mut self.told)
    }
}

/// Takes in batches until no more come.
fn work(
    batches: &Mutex<Receiver<Batch>>,
    empty: &SyncSender<Batch>,
    keyspace: &Keyspace,
    access: Access,
    options: &LoadOptions,
    common: &Common,
) -> Loaded {
    let (mut space, mut told) = (keyspace.space(access), Loaded::default());
    loop {
        let next = batches.lock().recv();
        let Ok(batch) = next else { return told };
        if common.stop.load(Ordering::Acquire) {
            continue;
        }
        match batch.take(&mut space, options, &mut told) {
            // Whether there is room for it or not.
            Ok(batch) => drop(empty.try_send(batch)),
            Err(e) => common.fail(e),
        }
    }
}
