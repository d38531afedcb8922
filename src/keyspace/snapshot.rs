//! A walk over the key space as it was at one instant, while everybody goes on.
//!
//! At the *cut* all stripes are held for a moment: each gets a note ([`Pending`]) of the walk. Then the [`Walker`], on a thread of its
//! own, takes one stripe at a time and writes its keys down in slices. Whoever is about to change or delete a key of a stripe that still has
//! the note writes the key down first, as it was (`Space::preserve`), into the same stream. What has been written is told by two bits
//! in each record, the *mark*; a stripe that is done loses the note, and its writers pay nothing any more.
//!
//! # Invariants
//! * While a stripe has the note, a record without the walk's mark is exactly as it was at the cut, and not yet in the stream; one that
//!   has it is in the stream, or was made after the cut.
//! * Marks are never cleared: walks take turns with 1 and 2, and a walk that ends has given its own to every record; records that
//!   are made while none runs have 0. After a walk that was given up, marks are washed off before the next one.
//! * A table that is flushed before it is done goes to the walker as it is, and is written and freed by it. Two databases that change
//!   places keep the numbers they had at the cut.
//! * Writers' bytes wait in a queue of at most [`QUEUE_BYTES_MAX`]; a writer that finds it full waits, under its lock, until the walker,
//!   which never waits for a lock without emptying the queue, has made room. Before it comes to that, clients that write are kept waiting
//!   without a lock ([`Keyspace::is_walk_behind`]), so that who only reads never waits for the disk.
//!
//! # Bounds
//! The walker holds a stripe for about [`SLICE_BYTES`] of output or [`SLICE_KEYS`] keys. A writer writes down what it changes: a short
//! string, a small collection, or a long string's reference (no copy). Of a big collection that is not walked yet the first writer
//! writes what the walker has not written: some 100 ns for an element of a table, the speed of memory for a list.
//!
//! While no walk runs a change costs one branch on a word beside the stripe's tables.

use super::Key;
use super::key::{KeyPath, STRIPES};
use super::space::Space;
use super::stripe::{Keyspace, Stripe};
use crate::value::record::Record;
use crate::value::table::{Table, Visit, Walked};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes of writers' keys that wait for the walker: a few milliseconds of its work, little beside the data.
pub const QUEUE_BYTES_MAX: usize = 16 << 20;
/// From here on the walker is behind, and clients that write wait until it has come down to the second figure. What they have begun
/// finds room in the rest.
const BEHIND_BYTES: usize = QUEUE_BYTES_MAX / 2;
const CAUGHT_UP_BYTES: usize = BEHIND_BYTES - (512 << 10);
/// Bytes of writers' keys that the walker takes out of the queue at once: room for more is made while they are being written.
const DRAIN_BYTES: usize = 64 << 10;
/// Bytes of writers' keys that the walker holds back behind a big key while it waits for room.
const SIDE_BYTES_MAX: usize = 4 * QUEUE_BYTES_MAX;
/// Output after which the walker lets go of a stripe: some tens of microseconds.
pub const SLICE_BYTES: usize = 32 << 10;
/// Keys after which it does.
pub const SLICE_KEYS: usize = 256;
/// A stripe gathers its writers' bytes up to this size before they are queued: 512 of them are 4 MiB.
const GATHER_BYTES: usize = 8 << 10;
/// The walker looks after the queue this often while it waits for a stripe.
const LOCK_WAIT: Duration = Duration::from_micros(20);

/// What became of a key that was to be written down.
#[derive(Debug)]
pub enum Put {
    Whole,
    /// There is more of it, from here on.
    From(u64),
    /// All but its value, a long string, which is to follow by [`Encode::string`].
    Then(Arc<Vec<u8>>),
}

/// How a walk's keys are written down.
pub trait Encode: Send + Sync {
    /// The keys that follow are in this database.
    fn select(&self, out: &mut Vec<u8>, db: u32);

    /// Appends the key from `at` on (0 is its beginning), until `bytes` or more were appended. A `hurried` caller holds up clients.
    fn put(&self, out: &mut Vec<u8>, record: &Record, at: u64, bytes: usize, hurried: bool) -> Put;

    /// The head of a long string; true if the string itself is in it, in a shorter form.
    fn string(&self, out: &mut Vec<u8>, value: &[u8]) -> bool;
}

/// Bytes with whole keys, and perhaps the last one's value.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    then: Option<Arc<Vec<u8>>>,
}

impl Chunk {
    fn size(&self) -> usize {
        self.bytes.len() + self.then.as_ref().map_or(0, |v| v.len())
    }
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

/// Whether a walk is behind its writers, for those who are no part of it.
#[derive(Default)]
pub(super) struct Lag {
    behind: AtomicBool,
    way_free: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Lag {
    fn set(&self, behind: bool) {
        if self.behind.load(Ordering::Relaxed) == behind {
            return;
        }
        self.behind.store(behind, Ordering::Release);
        if !behind {
            self.tell();
        }
    }

    pub fn tell(&self) {
        if let Some(tell) = self.way_free.get() {
            tell();
        }
    }
}

impl Keyspace {
    /// True while a snapshot has as much as it should keep of what writers write down for it: who can wait is not to write now.
    #[inline]
    pub fn is_walk_behind(&self) -> bool {
        self.lag.behind.load(Ordering::Relaxed)
    }

    /// Who is told when those who gave way may go on: a walk has caught up, or locks that were kept for long have been given back. Only
    /// the first is.
    pub fn on_way_free(&self, tell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.lag.way_free.set(tell);
    }
}

/// What the walker and the writers share.
pub(super) struct Walk {
    mark: u8,
    encode: Box<dyn Encode>,
    queue: Mutex<Queue>,
    room: Condvar,
    lag: Arc<Lag>,
    /// Tables that were flushed before they were done, with their numbers at the cut.
    taken: Mutex<Vec<(u32, Table<KeyPath>)>>,
    over: AtomicBool,
    /// The walker was dropped before its end: nobody will wash its marks off.
    abandoned: AtomicBool,
    keys: AtomicU64,
    /// Bytes that writers wrote down because the walk had not come to their keys.
    preserved: AtomicU64,
}

impl Walk {
    /// Queues what a writer has written down; waits while the queue is full.
    fn offer(&self, chunk: Chunk) {
        let mut queue = self.queue.lock();
        while queue.bytes >= QUEUE_BYTES_MAX && !self.over.load(Ordering::Acquire) {
            self.room.wait(&mut queue);
        }
        if !self.over.load(Ordering::Acquire) {
            queue.bytes += chunk.size();
            queue.chunks.push_back(chunk);
            if queue.bytes >= BEHIND_BYTES {
                self.lag.set(true);
            }
        }
    }

    /// Takes what writers have queued: all of it, or about as much as is written at once.
    fn take(&self, all: bool) -> Vec<Chunk> {
        let mut queue = self.queue.lock();
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        while (all || bytes < DRAIN_BYTES)
            && let Some(chunk) = queue.chunks.pop_front()
        {
            bytes += chunk.size();
            chunks.push(chunk);
        }
        queue.bytes -= bytes;
        if queue.bytes <= CAUGHT_UP_BYTES {
            self.lag.set(false);
        }
        drop(queue);
        self.room.notify_all();
        chunks
    }

    fn end(&self) {
        // Under the queue's lock, so that nobody begins to wait afterwards.
        let mut queue = self.queue.lock();
        self.over.store(true, Ordering::Release);
        *queue = Queue::default();
        self.lag.set(false);
        self.room.notify_all();
    }
}

/// A big key whose writing has begun.
struct Partial {
    /// Its database at the cut.
    db: u32,
    name: Box<[u8]>,
    at: u64,
    /// The rest of it, from a writer who wanted to change it.
    rest: Option<Vec<u8>>,
}

/// A stripe's note of a walk that is not done with it.
pub(super) struct Pending {
    walk: Arc<Walk>,
    /// The number at the cut of each database's table.
    origin: Vec<u32>,
    /// By number at the cut: where the walk of its table goes on, `None` where it is done.
    next: Vec<Option<u64>>,
    gathered: Vec<u8>,
    gathered_db: Option<u32>,
    partial: Option<Partial>,
}

impl Pending {
    pub(super) fn mark(&self) -> u8 {
        self.walk.mark
    }

    /// Writes a key down for a writer.
    fn keep(&mut self, db: u32, record: &Record) {
        let db = self.origin[db as usize];
        if let Some(p) = &mut self.partial
            && p.db == db
            && *p.name == *record.name()
        {
            let mut rest = Vec::new();
            self.walk.encode.put(&mut rest, record, p.at, usize::MAX, true);
            self.walk.preserved.fetch_add(rest.len() as u64, Ordering::Relaxed);
            p.rest = Some(rest);
            return;
        }
        if self.gathered_db != Some(db) {
            self.walk.encode.select(&mut self.gathered, db);
            self.gathered_db = Some(db);
        }
        let before = self.gathered.len();
        let then = match self.walk.encode.put(&mut self.gathered, record, 0, usize::MAX, true) {
            Put::Then(value) => Some(value),
            Put::Whole | Put::From(_) => None,
        };
        self.walk.keys.fetch_add(1, Ordering::Relaxed);
        self.walk.preserved.fetch_add((self.gathered.len() - before) as u64, Ordering::Relaxed);
        if then.is_some() || self.gathered.len() >= GATHER_BYTES {
            self.gathered_db = None;
            self.walk.offer(Chunk { bytes: std::mem::take(&mut self.gathered), then });
        }
    }

    /// A table is about to be flushed: true if it has to go to the walker.
    fn hand_over(&mut self, db: u32, table: &mut Table<KeyPath>) -> bool {
        let origin = self.origin[db as usize];
        if self.next[origin as usize].take().is_none() {
            return false;
        }
        if let Some(name) = self.partial.as_ref().filter(|p| p.db == origin).map(|p| p.name.clone())
            && let Some(mut record) = table.get_mut(&name)
            && record.mark() != self.walk.mark
        {
            self.keep(db, &record);
            record.set_table_mark(self.walk.mark);
        }
        true
    }
}

/// Writes a key down that is about to change, unless the walk has it.
pub(super) fn preserve(stripe: &mut Stripe, key: Key<'_>) {
    let Some(pending) = &mut stripe.pending else { return };
    let mark = pending.walk.mark;
    if let Some(mut record) = stripe.databases[key.db as usize].table.get_mut_at(key.hash.path, key.name)
        && record.mark() != mark
    {
        pending.keep(key.db, &record);
        record.set_table_mark(mark);
    }
}

impl Space<'_> {
    /// The mark of a key that is made now.
    #[inline(always)]
    pub(super) fn mark_of_new(&mut self, stripe: u16) -> u8 {
        self.stripe(stripe).pending.as_ref().map_or(0, |p| p.mark())
    }

    /// Gives a table to the walk that has not done with it; otherwise to the caller. The stripe is held.
    pub(super) fn take_table(stripe: &mut Stripe, db: u32) -> Option<Table<KeyPath>> {
        let mut table = std::mem::take(&mut stripe.databases[db as usize].table);
        if let Some(pending) = &mut stripe.pending
            && pending.hand_over(db, &mut table)
        {
            let origin = pending.origin[db as usize];
            let walk = Arc::clone(&pending.walk);
            walk.taken.lock().push((origin, table));
            return None;
        }
        Some(table)
    }

    /// Gives up a walk that goes on: all data are about to be replaced. Every stripe is held.
    pub(super) fn end_walk(&mut self) {
        if let Some(walk) = &self.keyspace().walks.lock().running {
            walk.end();
        }
        (0..STRIPES as u16).for_each(|n| self.stripe(n).pending = None);
    }

    pub(super) fn swap_origins(stripe: &mut Stripe, a: u32, b: u32) {
        if let Some(pending) = &mut stripe.pending {
            pending.origin.swap(a as usize, b as usize);
        }
    }
}

/// What the key space knows of walks.
#[derive(Default)]
pub(super) struct Walks {
    running: Option<Arc<Walk>>,
    /// The mark of the last walk.
    mark: u8,
}

/// Another walk is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Why a walk ended early.
#[derive(Debug)]
pub enum WalkError {
    /// It was told to.
    Stopped,
    /// What it wrote was not taken.
    Sink(std::io::Error),
}

impl From<std::io::Error> for WalkError {
    fn from(e: std::io::Error) -> Self {
        WalkError::Sink(e)
    }
}

impl Space<'_> {
    /// Makes the cut: what is there now is what the walker writes. Every stripe is held, so that it falls between two commands, never into
    /// one, and whatever the caller reads meanwhile (the journal's offset) belongs to the same instant.
    ///
    /// # Errors
    /// There is one walk at a time.
    pub fn cut(&mut self, encode: Box<dyn Encode>) -> Result<Walker, Busy> {
        assert!(self.is_whole(), "a cut is one instant of all stripes");
        let keyspace = self.keyspace();
        let mut walks = keyspace.walks.lock();
        if walks.running.as_ref().is_some_and(|w| !w.abandoned.load(Ordering::Acquire)) {
            return Err(Busy);
        }
        if walks.running.is_some() {
            // The walker of an abandoned walk was dropped before it could wash the marks off itself.
            (0..STRIPES as u16).for_each(|n| wash(self.stripe(n)));
        }
        walks.mark = if walks.mark == 1 { 2 } else { 1 };
        let walk = Arc::new(Walk {
            mark: walks.mark,
            encode,
            queue: Mutex::default(),
            room: Condvar::new(),
            lag: Arc::clone(&keyspace.lag),
            taken: Mutex::default(),
            over: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            keys: AtomicU64::new(0),
            preserved: AtomicU64::new(0),
        });
        walks.running = Some(Arc::clone(&walk));
        let databases = self.databases();
        let sizes = self.sizes();
        for n in 0..STRIPES as u16 {
            let stripe = self.stripe(n);
            let next: Vec<_> = stripe.databases.iter().map(|d| (!d.table.is_empty()).then_some(0)).collect();
            if next.iter().any(Option::is_some) {
                stripe.pending = Some(Box::new(Pending {
                    walk: Arc::clone(&walk),
                    origin: (0..databases).collect(),
                    next,
                    gathered: Vec::new(),
                    gathered_db: None,
                    partial: None,
                }));
            }
        }
        Ok(Walker {
            walk,
            sizes,
            buffer: Vec::new(),
            side: VecDeque::new(),
            side_bytes: 0,
            inside: false,
            delayed: 0,
            delayed_us: 0,
            ended: false,
        })
    }
}

/// Takes the marks of a stripe's records away, and its note of a walk.
fn wash(stripe: &mut Stripe) {
    stripe.pending = None;
    for database in stripe.databases.iter_mut() {
        let mut path = 0;
        while let Walked::Next(next) = database.table.unmark_segment(path) {
            path = next;
        }
    }
}

/// The one who walks. Dropped before it has run, it gives the walk up.
pub struct Walker {
    walk: Arc<Walk>,
    sizes: Vec<(usize, usize)>,
    buffer: Vec<u8>,
    /// Writers' chunks that came while a big key was half written: they follow it.
    side: VecDeque<Chunk>,
    side_bytes: usize,
    /// A big key is half written.
    inside: bool,
    /// Keys that were waited for, and how long for the next one.
    delayed: u64,
    delayed_us: u64,
    ended: bool,
}

impl std::fmt::Debug for Walker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Walker({} keys)", self.sizes.iter().map(|s| s.0).sum::<usize>())
    }
}

impl Drop for Walker {
    fn drop(&mut self) {
        if !self.ended {
            self.walk.end();
            self.walk.abandoned.store(true, Ordering::Release);
        }
    }
}

/// How many keys of a walk are written, for whoever looks on.
#[derive(Clone)]
pub struct WalkProgress(Arc<Walk>);

impl WalkProgress {
    pub fn keys(&self) -> u64 {
        self.0.keys.load(Ordering::Relaxed)
    }

    /// Bytes that writers had to write down themselves: what copy-on-write would have cost, and more.
    pub fn preserved(&self) -> u64 {
        self.0.preserved.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for WalkProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.keys())
    }
}

/// Where a walker's bytes go. An error gives the walk up.
pub type Out<'o> = &'o mut dyn FnMut(&[u8]) -> std::io::Result<()>;

/// What a walk is asked between slices.
pub struct Pace<'p> {
    /// True to give up.
    pub stop: &'p dyn Fn() -> bool,
    /// Microseconds to wait for each key, for tests.
    pub key_delay_us: &'p dyn Fn() -> i64,
}

/// Between two looks while keys are delayed.
const DELAY_STEP_US: u64 = 10_000;

/// What a slice of a stripe came to.
enum Slice {
    More,
    Then(Arc<Vec<u8>>),
    Done,
}

impl Walker {
    /// Keys, and those with a deadline, of each database at the cut.
    pub fn sizes(&self) -> &[(usize, usize)] {
        &self.sizes
    }

    pub fn progress(&self) -> WalkProgress {
        WalkProgress(Arc::clone(&self.walk))
    }

    /// Writes everything down. Returns the number of keys. `ready` is asked before each slice, and may wait a moment: while it says no, only
    /// what writers write down goes out.
    ///
    /// # Errors
    /// Those of `out`, or it was stopped. The key space is as if there had been no walk then.
    pub fn run(
        mut self,
        keyspace: &Keyspace,
        pace: &Pace<'_>,
        ready: &dyn Fn() -> bool,
        out: Out<'_>,
    ) -> Result<u64, WalkError> {
        let result = self.walk_all(keyspace, pace, ready, out);
        self.walk.end();
        self.ended = true;
        if result.is_err() {
            for n in 0..STRIPES {
                // Each stripe for itself: nobody makes marks any more, and no walk begins before the state below says so.
                keyspace.with_raw_stripe(n as u16, wash);
            }
        }
        let mut walks = keyspace.walks.lock();
        walks.running = None;
        drop(walks);
        // Flushed tables that nobody wrote down are freed here.
        let taken = std::mem::take(&mut *self.walk.taken.lock());
        for (_, mut table) in taken {
            while table.drop_slice() {}
        }
        result.map(|()| self.walk.keys.load(Ordering::Relaxed))
    }

    fn walk_all(
        &mut self,
        keyspace: &Keyspace,
        pace: &Pace<'_>,
        ready: &dyn Fn() -> bool,
        out: Out<'_>,
    ) -> Result<(), WalkError> {
        for n in 0..STRIPES as u16 {
            loop {
                self.until(ready, pace, out)?;
                let slice = self.slice(keyspace, n, pace, out)?;
                let mut buffer = std::mem::take(&mut self.buffer);
                if !buffer.is_empty() {
                    out(&buffer)?;
                }
                buffer.clear();
                self.buffer = buffer;
                let done = match slice {
                    Slice::More => false,
                    Slice::Done => true,
                    Slice::Then(value) => {
                        self.string(&value, out)?;
                        false
                    }
                };
                self.drain(out)?;
                self.delay(pace, out)?;
                if done {
                    break;
                }
            }
            self.taken(ready, pace, out)?;
        }
        self.drain(out)?;
        self.taken(ready, pace, out)?;
        self.delay(pace, out)
    }

    /// Waits for each key that has been written since the last time, by whomever, as tests ask. Writers do not wait with it.
    fn delay(&mut self, pace: &Pace<'_>, out: Out<'_>) -> Result<(), WalkError> {
        loop {
            let (keys, us) = (self.walk.keys.load(Ordering::Relaxed), (pace.key_delay_us)());
            let Ok(us @ 1..) = u64::try_from(us) else {
                self.delayed_us = 0;
                self.delayed = keys;
                return Ok(());
            };
            if self.delayed >= keys {
                return Ok(());
            }
            if (pace.stop)() || self.walk.over.load(Ordering::Acquire) {
                return Err(WalkError::Stopped);
            }
            let step = (us * (keys - self.delayed) - self.delayed_us.min(us)).clamp(1, DELAY_STEP_US);
            std::thread::sleep(Duration::from_micros(step));
            self.delayed_us += step;
            self.delayed += self.delayed_us / us;
            self.delayed_us %= us;
            self.drain(out)?;
        }
    }

    /// Waits until there is room for more, and takes what writers have meanwhile.
    fn until(&mut self, ready: &dyn Fn() -> bool, pace: &Pace<'_>, out: Out<'_>) -> Result<(), WalkError> {
        // A big key that is half written holds writers' keys back here: it goes on before they are too many.
        while !ready() && self.side_bytes < SIDE_BYTES_MAX {
            if (pace.stop)() || self.walk.over.load(Ordering::Acquire) {
                return Err(WalkError::Stopped);
            }
            self.drain(out)?;
        }
        Ok(())
    }

    fn string(&mut self, value: &[u8], out: Out<'_>) -> Result<(), WalkError> {
        let mut head = Vec::new();
        let within = self.walk.encode.string(&mut head, value);
        out(&head)?;
        if !within {
            out(value)?;
        }
        Ok(())
    }

    /// Writes what writers have queued.
    fn drain(&mut self, out: Out<'_>) -> Result<(), WalkError> {
        loop {
            let chunks = self.walk.take(self.inside);
            self.side_bytes += chunks.iter().map(Chunk::size).sum::<usize>();
            self.side.extend(chunks);
            if self.inside || self.side.is_empty() {
                return Ok(());
            }
            self.side_bytes = 0;
            while let Some(chunk) = self.side.pop_front() {
                out(&chunk.bytes)?;
                if let Some(value) = chunk.then {
                    self.string(&value, out)?;
                }
            }
        }
    }

    /// One hold of a stripe: its bytes are in the buffer afterwards.
    fn slice(&mut self, keyspace: &Keyspace, n: u16, pace: &Pace<'_>, out: Out<'_>) -> Result<Slice, WalkError> {
        let mut guard = loop {
            if (pace.stop)() || self.walk.over.load(Ordering::Acquire) {
                return Err(WalkError::Stopped);
            }
            if let Some(guard) = keyspace.try_raw_stripe(n) {
                break guard;
            }
            // Its holder may wait for room in the queue.
            self.drain(out)?;
            std::thread::sleep(LOCK_WAIT);
        };
        let stripe = &mut *guard;
        let Some(pending) = &mut stripe.pending else { return Ok(Slice::Done) };
        let keys_max = if (pace.key_delay_us)() == 0 { SLICE_KEYS } else { 1 };
        let walk = &*self.walk;
        let buffer = &mut self.buffer;
        let mut keys = 0;
        if !self.inside && !pending.gathered.is_empty() {
            pending.gathered_db = None;
            std::mem::swap(buffer, &mut pending.gathered);
        }
        // While a key is half written only its bytes may come.
        if let Some(p) = &mut pending.partial {
            let next = match p.rest.take() {
                Some(mut rest) => {
                    buffer.append(&mut rest);
                    None
                }
                None => {
                    let db = pending.origin.iter().position(|o| *o == p.db).unwrap_or_default();
                    let record = stripe.databases[db].table.get_mut(&p.name);
                    debug_assert!(record.is_some(), "who takes a key away writes it down");
                    record.and_then(|mut record| match walk.encode.put(buffer, &record, p.at, SLICE_BYTES, false) {
                        Put::From(at) => Some(at),
                        Put::Whole | Put::Then(_) => {
                            record.set_table_mark(walk.mark);
                            None
                        }
                    })
                }
            };
            match next {
                Some(at) => p.at = at,
                None => {
                    pending.partial = None;
                    keys += 1;
                }
            }
        }
        let (mut selected, mut then) = (None, None);
        if pending.partial.is_none() {
            'databases: for db in 0..stripe.databases.len() {
                let origin = pending.origin[db];
                while let Some(path) = pending.next[origin as usize] {
                    let partial = &mut pending.partial;
                    let walked = stripe.databases[db].table.walk_segment(path, walk.mark, |record| {
                        if selected != Some(origin) {
                            walk.encode.select(buffer, origin);
                            selected = Some(origin);
                        }
                        match walk.encode.put(buffer, record, 0, SLICE_BYTES, false) {
                            Put::From(at) => {
                                *partial = Some(Partial { db: origin, name: record.name().into(), at, rest: None });
                                return Visit::Unfinished;
                            }
                            Put::Then(value) => then = Some(value),
                            Put::Whole => {}
                        }
                        keys += 1;
                        let enough = then.is_some() || keys >= keys_max || buffer.len() >= SLICE_BYTES;
                        if enough { Visit::Stop } else { Visit::Next }
                    });
                    match walked {
                        Walked::Next(path) => pending.next[origin as usize] = Some(path),
                        Walked::End => pending.next[origin as usize] = None,
                        Walked::Again => break 'databases,
                    }
                }
            }
        }
        if then.is_none() && pending.partial.is_none() {
            // What writers gathered while a key was half written.
            pending.gathered_db = None;
            buffer.append(&mut pending.gathered);
        }
        walk.keys.fetch_add(keys as u64, Ordering::Relaxed);
        self.inside = pending.partial.is_some();
        let more = then.is_some() || pending.next.iter().any(Option::is_some) || self.inside;
        if !more {
            stripe.pending = None;
        }
        drop(guard);
        // Whoever waits for the stripe goes first.
        std::thread::yield_now();
        Ok(match then {
            Some(value) => Slice::Then(value),
            None if more => Slice::More,
            None => Slice::Done,
        })
    }

    /// Writes and frees tables that were flushed; nobody else has them.
    fn taken(&mut self, ready: &dyn Fn() -> bool, pace: &Pace<'_>, out: Out<'_>) -> Result<(), WalkError> {
        loop {
            let Some((db, mut table)) = self.walk.taken.lock().pop() else { return Ok(()) };
            let mut path = Some(0);
            while let Some(at) = path {
                self.until(ready, pace, out)?;
                let walk = &*self.walk;
                let (buffer, mut then, mut keys) = (&mut self.buffer, None, 0u64);
                let walked = table.walk_segment(at, walk.mark, |record| {
                    if keys == 0 {
                        walk.encode.select(buffer, db);
                    }
                    keys += 1;
                    if let Put::Then(value) = walk.encode.put(buffer, record, 0, usize::MAX, false) {
                        then = Some(value);
                    }
                    if then.is_some() || buffer.len() >= SLICE_BYTES { Visit::Stop } else { Visit::Next }
                });
                walk.keys.fetch_add(keys, Ordering::Relaxed);
                path = match walked {
                    Walked::Next(path) => Some(path),
                    Walked::Again => Some(at),
                    Walked::End => None,
                };
                let mut buffer = std::mem::take(&mut self.buffer);
                out(&buffer)?;
                buffer.clear();
                self.buffer = buffer;
                if let Some(value) = then {
                    self.string(&value, out)?;
                }
                self.drain(out)?;
            }
            while table.drop_slice() {}
        }
    }
}
