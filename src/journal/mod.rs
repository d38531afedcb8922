//! The journal: every change of the key space as one stream of bytes, and the cursors that read it.
//!
//! The stream is what a replica is sent and what an append-only file holds: requests in RESP, one after the other. An offset is a count
//! of its bytes since the history began, and is the replication offset. Bytes get their place under the locks of the stripes that were
//! changed, so that the order of the stream is an order in which the commands could have run one by one.
//!
//! ```text
//! step of one effect:      [SELECT db] effect                  SELECT where the database is another than that of the effect before
//! step of several:         MULTI [SELECT db] effect ... EXEC   nobody may see, or keep, a part of it
//! the server's deletions:  [SELECT db] UNLINK ...              keys that one step came upon without having named them: each for itself
//! talk:                    PING | REPLCONF GETACK * | PUBLISH  changes nothing; never between the effects of a step
//! ```
//!
//! # Whose history
//! A primary makes its own: [`Journal::append`] encodes. A replica continues its primary's, byte for byte ([`Journal::append_raw`]), so that
//! its own replicas may later follow either; while it [follows](Journal::follow), what it changes by itself is not part of any history:
//! `append` drops it, and nothing is deleted for its deadline.
//!
//! # Invariants
//! * A [`Chunk`] is whole steps of one [`Kind`]; only one that [`Journal::cursor_at`] began inside of may lack its front.
//! * A cursor reads every byte behind it once and in order, or is told that it was [`Lost`]; it is never skipped ahead.
//! * What is kept is bounded: the backlog by its size, the bytes a cursor still needs by the cursor's own bound.
//! * Whether the journal is read changes only while all stripes are held, and is asked for under a stripe's lock.
//! * While nobody reads and there is no backlog, handlers build no effects, and a turn costs one relaxed load.
//!
//! # How an append-only file reads it
//! Under all locks, together with the cut of the snapshot that becomes the base: `let mut cursor = journal.cursor_here(bound)`. Then, on a
//! thread of its own: `while let Some(chunk) = cursor.read()? { if chunk.kind == Kind::Data { file.write_all(&chunk.bytes) } }`, and
//! [`Cursor::wait`]. A chunk ends where a step ends, so a file may end, or begin anew, behind any chunk. [`Chunk::selected`] is the
//! database that is selected where it begins: the first chunk of a file is preceded by a SELECT of it, if it is known (a primary's
//! stream says it itself after `cursor_here`; a replica's does not). [`Lost::Replaced`] means that a full synchronisation has replaced the
//! data set: the file needs a new base. A reply that must wait for the disk waits until the file has reached the offset that `append`
//! returned; [`Cursor::position`] is the offset behind what was read.

mod cursor;
mod effects;
mod stream;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, Gone, Lost};
pub use effects::{Effects, EffectsMark};
pub use stream::{Chunk, Kind};

use effects::put_command;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use stream::Stream;

/// What the journal takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// Nobody reads and nothing is kept: effects are not built.
    Unread = 0,
    /// Effects become the stream.
    Read = 1,
    /// The stream is a primary's: effects of our own are no part of it.
    Following = 2,
}

/// State and epoch, as they were at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing(u64);

impl Standing {
    #[inline(always)]
    pub fn state(self) -> State {
        match self.0 & STATE_BITS {
            0 => State::Unread,
            1 => State::Read,
            _ => State::Following,
        }
    }

    /// How often it has changed whose history this is: whoever began under another one must not go on.
    #[inline(always)]
    pub fn epoch(self) -> u64 {
        self.0 & !STATE_BITS
    }
}

const STATE_BITS: u64 = 3;

/// The journal.
#[derive(Debug)]
pub struct Journal {
    /// The epoch, and in the lowest bits the state.
    standing: AtomicU64,
    /// Something was appended that readers have not been woken for.
    unrung: AtomicBool,
    /// The offset behind the last byte, for those who only want to know.
    end: AtomicU64,
    stream: Mutex<Stream>,
    /// The stream's own: see [`Journal::excess`].
    excess: Arc<AtomicU64>,
    appended: Condvar,
}

impl Default for Journal {
    fn default() -> Journal {
        let stream = Stream::default();
        Journal {
            standing: AtomicU64::new(0),
            unrung: AtomicBool::new(false),
            end: AtomicU64::new(0),
            excess: Arc::clone(&stream.excess),
            stream: Mutex::new(stream),
            appended: Condvar::new(),
        }
    }
}

impl Journal {
    /// Bytes that are kept only until the readers have got them: the backlog is not among them.
    pub fn excess(&self) -> u64 {
        self.excess.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub fn standing(&self) -> Standing {
        Standing(self.standing.load(Ordering::Relaxed))
    }

    #[inline(always)]
    pub fn state(&self) -> State {
        self.standing().state()
    }

    /// Under the stream's lock.
    fn set(&self, state: State, new_epoch: bool) {
        let epoch = self.standing().epoch() + if new_epoch { STATE_BITS + 1 } else { 0 };
        self.standing.store(epoch | state as u64, Ordering::Release);
    }

    /// True while effects have to be built.
    #[inline(always)]
    pub fn is_read(&self) -> bool {
        self.state() == State::Read
    }

    /// The offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Appends the effects of one step and leaves `effects` empty. The caller holds the locks of the stripes they changed, and calls
    /// [`Journal::ring`] once it has let go of them. Returns the offset behind the step.
    pub fn append(&self, effects: &mut Effects) -> u64 {
        if effects.is_empty() {
            return self.end();
        }
        let mut stream = self.stream.lock();
        if self.is_read() {
            stream.append_step(effects);
            self.told(&stream);
        }
        effects.clear();
        stream.end()
    }

    /// Appends a step whose one effect, in `db`, is a request as its client sent it. Otherwise as [`Journal::append`].
    #[inline]
    pub fn append_request(&self, db: u32, request: &[u8]) -> u64 {
        let mut stream = self.stream.lock();
        if self.is_read() {
            stream.append_request(db, request);
            self.told(&stream);
        }
        stream.end()
    }

    /// Appends a request that changes nothing: a ping, a question, a published message. Dropped unless the stream is read and our own.
    pub fn append_talk(&self, args: &[&[u8]]) -> u64 {
        let mut stream = self.stream.lock();
        if self.is_read() {
            let mut bytes = Vec::new();
            put_command(&mut bytes, args);
            stream.append_bytes(&bytes, Kind::Talk);
            self.told(&stream);
        }
        stream.end()
    }

    /// Appends a whole step of the primary's stream as it came. `selected` is the database that is selected behind it. The caller holds
    /// the locks of the stripes it changed. Dropped if the epoch is not `epoch` any more.
    pub fn append_raw(&self, bytes: &[u8], kind: Kind, selected: u32, epoch: u64) -> u64 {
        let mut stream = self.stream.lock();
        if self.state() == State::Following && self.standing().epoch() == epoch {
            stream.append_bytes(bytes, kind);
            stream.select(Some(selected));
            self.told(&stream);
        }
        stream.end()
    }

    fn told(&self, stream: &Stream) {
        self.end.store(stream.end(), Ordering::Release);
        self.unrung.store(true, Ordering::Relaxed);
    }

    /// Wakes the readers that have something to read and were not woken for it. Called without stripes, once a turn.
    #[inline(always)]
    pub fn ring(&self) {
        if self.unrung.load(Ordering::Relaxed) {
            self.ring_now();
        }
    }

    #[cold]
    fn ring_now(&self) {
        self.unrung.store(false, Ordering::Relaxed);
        let wakers = self.stream.lock().due();
        self.appended.notify_all();
        for wake in wakers {
            wake();
        }
    }

    /// Follows a primary from here on, where the history has come to. All stripes are held. Returns the epoch that begins.
    pub fn follow(&self) -> u64 {
        let _stream = self.stream.lock();
        self.set(State::Following, true);
        self.standing().epoch()
    }

    /// The data set has been replaced by the primary's, whose history has come to `offset`, where the database `selected` is selected: what was
    /// kept is dropped and every cursor is lost. All stripes are held, and the epoch is that of [`Journal::follow`].
    pub fn replaced(&self, offset: u64, selected: Option<u32>) {
        let mut stream = self.stream.lock();
        stream.begin_anew(offset);
        stream.select(selected);
        self.told(&stream);
    }

    /// Makes a history of its own from here on. All stripes are held.
    pub fn lead(&self) {
        let mut stream = self.stream.lock();
        stream.select(None);
        self.leads(&stream, true);
    }

    /// Begins an epoch of a history that goes on: what was admitted before, and has its locks after, is looked at once more. A replica's
    /// epoch is its link's, and stays.
    pub fn turn_over(&self) {
        let stream = self.stream.lock();
        if self.state() != State::Following {
            self.leads(&stream, true);
        }
    }

    fn leads(&self, stream: &Stream, new_epoch: bool) {
        self.set(if stream.is_wanted() { State::Read } else { State::Unread }, new_epoch);
    }

    /// Puts the offset to where a history that was saved had stopped, and the database that was selected there if the stream is another's;
    /// nothing has been kept or read yet.
    pub fn resume(&self, offset: u64, selected: Option<u32>) {
        let mut stream = self.stream.lock();
        stream.begin_anew(offset);
        stream.select(selected);
        self.end.store(offset, Ordering::Release);
    }

    /// Keeps `bytes` behind for replicas that come back; `None` keeps nothing. All stripes are held when it begins or ends; a new
    /// size alone needs no lock.
    pub fn keep_backlog(&self, bytes: Option<u64>) {
        let mut stream = self.stream.lock();
        stream.keep_backlog(bytes);
        if self.state() != State::Following {
            self.leads(&stream, false);
        }
    }

    /// The backlog's size in bytes, if there is one, the offset of the first byte kept and the bytes kept.
    pub fn backlog(&self) -> (Option<u64>, u64, u64) {
        let stream = self.stream.lock();
        let first = stream.first();
        (stream.backlog(), first, stream.end() - first)
    }

    /// The database that is selected at the end of the stream, if one is.
    pub fn selected(&self) -> Option<u32> {
        self.stream.lock().selected()
    }

    /// Says which database is selected at the end of the stream. Nobody is served yet.
    pub fn select(&self, db: Option<u32>) {
        self.stream.lock().select(db);
    }

    /// A cursor from here on; the next effect is preceded by a SELECT. It is lost when it is more than `bytes_max` behind (0: as far as
    /// memory goes). All stripes are held.
    pub fn cursor_here(self: &Arc<Self>, bytes_max: u64) -> Cursor {
        let mut stream = self.stream.lock();
        let following = self.state() == State::Following;
        let id = stream.cursor_here(bytes_max, !following);
        if !following {
            self.leads(&stream, false);
        }
        Cursor::new(Arc::clone(self), id)
    }

    /// A cursor from an offset on that the backlog still holds.
    ///
    /// # Errors
    /// It does not hold it (any more, or not yet).
    pub fn cursor_at(self: &Arc<Self>, offset: u64, bytes_max: u64) -> Result<Cursor, Gone> {
        let id = self.stream.lock().cursor_at(offset, bytes_max).ok_or(Gone)?;
        Ok(Cursor::new(Arc::clone(self), id))
    }
}
