//! The append-only file: a thread that reads the journal into the log on disk, and what is known of it elsewhere.
//!
//! ```text
//! workers --journal--> cursor --thread--> increment --fsync--> `synced`, and workers whose replies wait are woken
//!                                       (under `always` the fsync is that of a buffer beside it: `storage::doublewrite`)
//! BGREWRITEAOF: under all locks a snapshot's cut and a new cursor; from there on the next increment; then the base before it
//! ```
//!
//! # Invariants
//! * Under `appendfsync always` a reply to a change leaves the server only when `synced` has passed the change's offset. One sync serves
//!   all that was written since the last; nobody else waits for it, but for fractions of a millisecond where a worker has had nothing but
//!   writers, whose changes it gathers ([`ask_later`]).
//! * Of every change the thread is told ([`Aof::call_for_owed`]), by whoever made it or by somebody who made one before and has not told yet.
//! * What fails on disk is never taken for written: a failed write is repeated, a failed sync makes the log worthless until a new base is
//!   on disk. Until it heals writes are refused, replies that wait go on waiting, reads go on.
//! * Only the thread touches the log. Others send it orders.
//!
//! # What a crash costs
//! * `always`: nothing that was acknowledged, whatever crashes.
//! * `everysec`: a machine that fails loses what was written since the last sync, one to two seconds: writers are held up once nothing has reached
//!   the disk for [`STALLED_MS`]. A process that is killed loses what the thread had not yet given to the kernel: [`writer::GATHER`], and the sync
//!   that is under way. A reply does not wait for that write, as a worker would then wait for every sync of a slow disk. The other
//!   servers of this family write first and reply then, but put the write off while a sync runs, by two seconds at the most: the same bound.
//! * `no`: the kernel decides.
//!
//! # Bounds
//! What the thread has not written yet stays in the journal. Writers are refused while the disk fails, and held up while the log is more
//! than [`BEHIND_BYTES_MAX`] behind.

mod commands;
pub mod load;
pub mod log;
pub mod manifest;
pub mod reader;
mod rewrite;
#[cfg(test)]
mod tests;
mod writer;

use crate::storage;
pub use rewrite::{TEMPORARY, adopt, begin, bring_back, folder, open, prepare, ready};
pub use writer::{Opened, start};

use crate::config::Config;
use crate::config::types::AppendFsync;
use crate::journal::Cursor;
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// Bytes of the journal the log may be behind before writers wait: some tenths of a second of a disk's work.
pub const BEHIND_BYTES_MAX: u64 = 64 << 20;

/// Under `everysec` writers wait once nothing has reached the disk for so long: a second is what is promised, and a second what a disk may take.
const STALLED_MS: u64 = 2000;

/// How far the log was on disk when it was last seen to get further.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    synced: u64,
    since_ms: u64,
}

/// What the thread is told.
pub(super) enum Order {
    /// A cut was made: what follows it goes to a new increment, which this cursor reads.
    Begin { cursor: Cursor, history: u64 },
    /// The base of the last cut; `None` if it could not be written.
    Base { written: Option<(PathBuf, u64)>, rdb: bool },
    /// A snapshot at the cut is there already: it is the base, and what follows it goes to a new increment.
    Adopt { cursor: Cursor, history: u64, path: PathBuf, bytes: u64 },
    /// Write and sync all there is, and say whether that went well.
    Flush(SyncSender<bool>),
    /// The same, and end.
    Stop,
}

/// What the thread tells, for INFO.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub bytes: u64,
    /// Bytes after the last rewrite, or at the start.
    pub base_bytes: u64,
    pub behind: u64,
    pub delayed_syncs: u64,
    pub rewrites: u64,
    pub failed_rewrites: u64,
    pub last_rewrite_failed: bool,
    pub last_rewrite_seconds: Option<i64>,
    /// Why the last write or sync failed.
    pub error: Option<String>,
}

/// What everybody knows of the log.
#[derive(Default)]
pub struct Aof {
    orders: Mutex<VecDeque<Order>>,
    called: Condvar,
    /// The journal has more since the thread last looked.
    news: AtomicBool,
    /// The thread writes and syncs: what is changed now is for the next sync.
    syncing: AtomicBool,
    /// All for whom the next sync is have come.
    all_came: AtomicBool,
    /// The journal's offset up to which everything is on disk.
    synced: AtomicU64,
    /// Counts the histories whose offsets `synced` has told.
    history: Mutex<u64>,
    /// The thread runs.
    writing: AtomicBool,
    /// Changes are written, and what they continue is on disk.
    active: AtomicBool,
    /// Replies wait for the disk.
    always: AtomicBool,
    /// What is written is forced to disk every second.
    syncs: AtomicBool,
    failing: AtomicBool,
    /// It is to be switched on, or rewritten, as soon as nothing else runs.
    scheduled: AtomicBool,
    behind: AtomicBool,
    /// Microseconds to wait before each write, for tests.
    sleep_us: AtomicU64,
    /// Microseconds the thread has spent writing and syncing.
    pub busy_us: AtomicU64,
    figures: Mutex<Figures>,
    /// The folder is ours: two servers that wrote there would destroy each other's log.
    claim: Mutex<Option<storage::Claim>>,
    wake: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What a thread whose changes the log is to be told of does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    AtOnce,
    /// It says itself when the sync is to be.
    Later,
    /// And there is something to be said.
    Owed,
}

thread_local! {
    static ASKING: Cell<Asking> = const { Cell::new(Asking::AtOnce) };
}

/// Whether this thread asks itself for the syncs its changes wait for, by [`Aof::call_for_all`], once it has put changes together; otherwise the log's
/// thread is told of each turn's. What is owed stays owed.
pub fn ask_later(later: bool) {
    ASKING.with(|a| match (a.get(), later) {
        (Asking::Owed, _) => {}
        (_, true) => a.set(Asking::Later),
        (_, false) => a.set(Asking::AtOnce),
    });
}

/// Changes of this thread wait to be asked for.
pub fn is_owing() -> bool {
    ASKING.get() == Asking::Owed
}

/// There is more for the log: tells its thread, or keeps in mind to.
fn tell(aof: &Aof) {
    match ASKING.get() {
        Asking::AtOnce => aof.call(),
        Asking::Later | Asking::Owed => ASKING.set(Asking::Owed),
    }
}

impl std::fmt::Debug for Aof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aof(synced {})", self.synced())
    }
}

impl Aof {
    /// What is called when more is on disk.
    pub fn on_sync(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let _ = self.wake.set(wake);
    }

    /// `DEBUG AOF-FLUSH-SLEEP`: so many microseconds before each write.
    pub fn sleep_before_writes(&self, us: u64) {
        self.sleep_us.store(us, Ordering::Relaxed);
    }

    /// The journal's offset up to which everything is on disk.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// The journal's offsets count another history from here on, of which nothing is on disk. Every stripe is held.
    pub fn begin_history(&self) {
        let mut history = self.history.lock();
        *history += 1;
        self.synced.store(0, Ordering::Release);
    }

    /// The history that the journal's offsets count. Every stripe is held, or nobody follows anybody yet.
    fn history(&self) -> u64 {
        *self.history.lock()
    }

    /// Everything up to this offset of a history is on disk. True if that is news.
    fn reached(&self, history: u64, offset: u64) -> bool {
        let current = self.history.lock();
        *current == history && self.synced.swap(offset, Ordering::AcqRel) != offset
    }

    /// True while changes are written.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// True while the thread runs, be it that its log still waits for its first base.
    fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Acquire)
    }

    /// True if a reply to a change at this offset has to wait.
    #[inline(always)]
    pub fn holds(&self, offset: u64) -> bool {
        self.always.load(Ordering::Relaxed) && offset > self.synced()
    }

    /// True while a sync runs that what is changed now is too late for.
    #[inline]
    pub fn is_syncing(&self) -> bool {
        self.syncing.load(Ordering::Relaxed)
    }

    /// True if replies may have to wait at all.
    #[inline(always)]
    pub fn is_always(&self) -> bool {
        self.always.load(Ordering::Relaxed)
    }

    /// True if writes are to be refused: the disk fails.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// True if writers are to wait: the log is far behind.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    pub fn figures(&self) -> Figures {
        self.figures.lock().clone()
    }

    /// It is to be rewritten as soon as nothing else runs.
    pub fn schedule(&self) {
        self.scheduled.store(true, Ordering::Release);
    }

    pub fn is_scheduled(&self) -> bool {
        self.scheduled.load(Ordering::Acquire)
    }

    pub fn unschedule(&self) {
        self.scheduled.store(false, Ordering::Release);
    }

    /// Asks for the sync of all that has been changed, without waiting for anybody else.
    pub fn call_for_all(&self) {
        self.all_came.store(true, Ordering::Relaxed);
        self.syncing.store(true, Ordering::Relaxed);
        self.call_for_owed();
    }

    /// Tells the thread of what this thread owes.
    pub fn call_for_owed(&self) {
        ASKING.set(Asking::AtOnce);
        self.call();
    }

    /// Tells the thread that the journal has more.
    fn call(&self) {
        self.news.store(true, Ordering::Release);
        // It may be between its look at the news and its wait: then this waits until it waits.
        drop(self.orders.lock());
        self.called.notify_one();
    }

    fn order(&self, order: Order) {
        self.orders.lock().push_back(order);
        self.called.notify_one();
    }

    /// The same unless the thread has ended, which would leave the order to the next one.
    fn order_if_writing(&self, order: Order) -> Result<(), Order> {
        let mut orders = self.orders.lock();
        if !self.is_writing() {
            return Err(order);
        }
        orders.push_back(order);
        self.called.notify_one();
        Ok(())
    }

    /// The thread ends; what it was still told to do is for whoever ends it.
    fn end_writing(&self) -> VecDeque<Order> {
        let mut orders = self.orders.lock();
        self.writing.store(false, Ordering::Release);
        std::mem::take(&mut *orders)
    }

    /// Looks, now and then, whether the disk makes progress: the thread, which would tell, may itself be waiting for it.
    pub fn watch(&self, progress: &mut Progress, journal_end: u64, now_ms: u64) {
        let synced = self.synced();
        if synced != progress.synced || journal_end <= synced {
            *progress = Progress { synced, since_ms: now_ms };
        } else if now_ms.saturating_sub(progress.since_ms) > STALLED_MS
            && self.syncs.load(Ordering::Relaxed)
            && !self.behind.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "Asynchronous AOF fsync is taking too long (disk is busy?): writers wait until what they wrote is on disk"
            );
            self.figures.lock().delayed_syncs += 1;
        }
    }

    /// Waits until everything that was journaled is on disk. False if it cannot be brought there.
    pub fn flush(&self) -> bool {
        if !self.is_active() {
            return true;
        }
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.order(Order::Flush(sender));
        receiver.recv_timeout(Duration::from_secs(30)).unwrap_or(false)
    }

    /// Keeps other servers out of the folder of the log, which is made if it is not there. True if that is new.
    ///
    /// # Errors
    /// Another server uses it; those of the disk.
    pub fn claim(&self, folder: &std::path::Path) -> std::io::Result<bool> {
        let mut claim = self.claim.lock();
        if claim.is_some() {
            return Ok(false);
        }
        rewrite::make_folder(folder)?;
        *claim = Some(storage::claim(folder)?);
        Ok(true)
    }

    fn release(&self) {
        *self.claim.lock() = None;
    }

    /// Writes and syncs what there is, and ends the log.
    pub fn stop(&self) {
        if self.order_if_writing(Order::Stop).is_err() {
            self.release();
        }
    }

    /// Follows a change of `appendfsync`.
    pub fn configure(&self, config: &Config) {
        let always = config.persistence.appendfsync == AppendFsync::Always && self.is_active();
        self.always.store(always, Ordering::Release);
        self.syncs
            .store(config.persistence.appendfsync == AppendFsync::Everysec && self.is_active(), Ordering::Release);
        if let Some(wake) = self.wake.get() {
            wake();
        }
        self.called.notify_one();
    }

    /// Whether the log has grown so much that it is to be rewritten, in percent.
    pub fn grown(&self, config: &Config) -> Option<u64> {
        let percent = u64::from(config.persistence.auto_aof_rewrite_percentage);
        if percent == 0 || !self.is_active() {
            return None;
        }
        let f = self.figures.lock();
        if f.bytes < config.persistence.auto_aof_rewrite_min_size || f.bytes <= f.base_bytes {
            return None;
        }
        let growth = (f.bytes - f.base_bytes) * 100 / f.base_bytes.max(1);
        (growth >= percent).then_some(growth)
    }
}

/// A log without a thread, for tests of those who ask it for syncs.
#[cfg(test)]
pub(crate) mod testing {
    use super::{ASKING, Aof, Asking, tell};
    use std::sync::atomic::Ordering;

    /// One under `appendfsync always`; this thread owes nothing.
    pub fn always() -> Aof {
        ASKING.set(Asking::AtOnce);
        let aof = Aof::default();
        aof.always.store(true, Ordering::Relaxed);
        aof
    }

    /// This thread has changed something.
    pub fn change(aof: &Aof) {
        tell(aof);
    }

    /// The log's thread has been called since the last look.
    pub fn was_called(aof: &Aof) -> bool {
        aof.news.swap(false, Ordering::Relaxed)
    }
}
