//! Saving in the background: one job at a time, what became of the last ones, and when the next is due.
//!
//! # Invariants
//! * A job begins under the locks of all stripes, at its cut; what changed before it (`dirty` then) counts as saved when it succeeds.
//! * While the data are dropped for a copy that is still to come ([`Saver::withhold`]) nothing on disk is replaced by what is left: neither the
//!   snapshot file nor the log's base.
//! * While a save has failed and `stop-writes-on-bgsave-error` says so, writes are refused; the next success heals it.

use super::aof::Aof;
use super::rdb::Loading;
use super::snapshot::{Snapshot, format};
use crate::base::clock;
use crate::config::Config;
use crate::journal::Journal;
use crate::keyspace::{Keyspace, Pace, Space, WalkError, WalkProgress};
use crate::storage;
use parking_lot::{Condvar, Mutex};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The server whose data are saved.
pub trait Owner: Send + Sync + 'static {
    fn keyspace(&self) -> &Keyspace;
    fn configuration(&self) -> Arc<Config>;
    fn saver(&self) -> &Saver;
    fn journal(&self) -> &Arc<Journal>;
    fn aof(&self) -> &Aof;
    fn functions(&self) -> &crate::script::Functions;
    /// What a file says of the moment of the history that it is. Every stripe is held.
    fn moment(&self) -> Vec<(&'static str, String)>;
}

/// Seconds before a save that failed is tried again by itself.
const RETRY_SECONDS: i64 = 5;

/// What runs in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// The snapshot file.
    Save,
    /// The append-only file's base.
    Rewrite,
    /// A snapshot for replicas.
    Sync,
}

/// Why a job did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Busy(JobKind),
    /// The disk does not take what it is to write; the log has why.
    Disk,
    /// The data were dropped for a copy that is not there yet: what is on disk is more.
    Dropped,
}

struct Job {
    kind: JobKind,
    since_ms: i64,
    progress: WalkProgress,
    keys: u64,
    stop: Arc<AtomicBool>,
}

/// What one save came to.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    failed: bool,
    /// ms since the epoch of the last attempt.
    tried_ms: i64,
    /// Seconds the last save took.
    took_seconds: Option<i64>,
    saves: u64,
    loaded: u64,
    expired: u64,
    /// Bytes that writers wrote down for the last save.
    preserved: u64,
}

/// How the last backup went, as whoever made it said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    pub failed: bool,
    /// Seconds since the epoch at which it began.
    pub made_s: i64,
    pub bytes: u64,
    pub seconds: u64,
}

impl Backup {
    /// `ok|err:made:bytes:seconds`.
    pub fn parse(text: &[u8]) -> Option<Backup> {
        let mut words = std::str::from_utf8(text).ok()?.split(':');
        let failed = match words.next()? {
            "ok" => false,
            "err" => true,
            _ => return None,
        };
        let (made, bytes, seconds) = (words.next()?, words.next()?, words.next()?);
        let backup =
            Backup { failed, made_s: made.parse().ok()?, bytes: bytes.parse().ok()?, seconds: seconds.parse().ok()? };
        words.next().is_none().then_some(backup)
    }
}

/// For INFO.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub running: Option<JobKind>,
    pub running_seconds: Option<i64>,
    pub keys: u64,
    pub keys_total: u64,
    /// Bytes that writers wrote down for what runs, and for the last save.
    pub preserved: u64,
    pub last_preserved: u64,
    pub scheduled: bool,
    pub failed: bool,
    pub took_seconds: Option<i64>,
    pub saves: u64,
    /// Snapshots and rewrites begun: what elsewhere a fork each is.
    pub begun: u64,
    pub loaded: u64,
    pub expired: u64,
    pub changes: u64,
    pub last_save_ms: i64,
    pub backup: Option<Backup>,
    pub now_s: i64,
    pub appendonly: bool,
    pub aof: super::aof::Figures,
    pub aof_active: bool,
    pub aof_scheduled: bool,
    pub loading: Option<LoadReport>,
    /// The copy of a primary is being loaded, in place of the data or beside them.
    pub loading_copy: bool,
    pub loading_beside: bool,
}

/// How a load goes.
#[derive(Clone, Copy, Debug)]
pub struct LoadReport {
    /// Seconds since the epoch, and seconds since then.
    pub since: i64,
    pub seconds: i64,
    pub total_bytes: u64,
    pub loaded_bytes: u64,
    /// Memory that was in use where the file was written; 0 if it is not known.
    pub used_memory: u64,
}

impl std::fmt::Debug for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.state)
    }
}

#[derive(Default)]
struct JobState {
    backup: Option<Backup>,
    job: Option<Job>,
    begun: u64,
    state: State,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Saver {
    inner: Mutex<JobState>,
    ended: Condvar,
    scheduled: AtomicBool,
    /// A save has failed, and none has succeeded since.
    failed: AtomicBool,
    /// The data were dropped for a copy that is not there yet.
    withheld: AtomicBool,
    /// Changes of the key space since the start or the last save.
    pub changes: AtomicU64,
    /// ms since the epoch of the last save that succeeded.
    pub last_save_ms: AtomicI64,
}

impl Saver {
    /// `now_ms`: no save is due for what there was before the start.
    pub fn new(now_ms: i64) -> Saver {
        Saver { last_save_ms: AtomicI64::new(now_ms), ..Saver::default() }
    }

    /// What runs now.
    pub fn running(&self) -> Option<JobKind> {
        self.inner.lock().job.as_ref().map(|j| j.kind)
    }

    /// Seconds since what runs now began.
    pub fn running_seconds(&self) -> Option<i64> {
        self.inner.lock().job.as_ref().map(|j| (clock::wall_ms() - j.since_ms) / 1000)
    }

    /// True if writes are to be refused because saving fails.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Says that the data were dropped for a copy that is to come, or that what there is counts again. Every stripe is held.
    pub fn withhold(&self, withheld: bool) {
        self.withheld.store(withheld, Ordering::Release);
    }

    /// True while what is on disk is more than what there is.
    pub fn is_withheld(&self) -> bool {
        self.withheld.load(Ordering::Acquire)
    }

    /// A save that could not begin is to begin when it can.
    pub fn schedule(&self) {
        self.scheduled.store(true, Ordering::Relaxed);
    }

    /// Stops a save, or takes it off the schedule. False if there was none.
    pub fn cancel(&self) -> bool {
        let scheduled = self.scheduled.swap(false, Ordering::Relaxed);
        let inner = self.inner.lock();
        match &inner.job {
            Some(job) if job.kind == JobKind::Save => {
                job.stop.store(true, Ordering::Release);
                true
            }
            _ => scheduled,
        }
    }

    /// Stops what runs if it is of this kind. False if it is not.
    pub fn give_up(&self, kind: JobKind) -> bool {
        let inner = self.inner.lock();
        let job = inner.job.as_ref().filter(|job| job.kind == kind);
        job.inspect(|job| job.stop.store(true, Ordering::Release)).is_some()
    }

    /// Waits until nothing of this kind runs, for so long at the most.
    pub fn wait_for(&self, kind: JobKind, at_most: Duration) {
        let until = clock::monotonic_ms() + at_most.as_millis() as u64;
        let mut inner = self.inner.lock();
        while inner.job.as_ref().is_some_and(|job| job.kind == kind) {
            let left = until.saturating_sub(clock::monotonic_ms());
            if left == 0 {
                return;
            }
            self.ended.wait_for(&mut inner, Duration::from_millis(left));
        }
    }

    /// Stops whatever runs and waits until it has ended.
    pub fn stop(&self) {
        self.scheduled.store(false, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        while let Some(job) = &inner.job {
            job.stop.store(true, Ordering::Release);
            self.ended.wait_for(&mut inner, Duration::from_millis(50));
        }
    }

    pub fn report(&self, config: &Config, aof: &Aof, loading: &Loading) -> Report {
        let inner = self.inner.lock();
        let (s, job) = (&inner.state, inner.job.as_ref());
        Report {
            running: job.map(|j| j.kind),
            running_seconds: job.map(|j| (clock::wall_ms() - j.since_ms) / 1000),
            keys: job.map_or(0, |j| j.progress.keys()),
            keys_total: job.map_or(0, |j| j.keys),
            preserved: job.map_or(0, |j| j.progress.preserved()),
            last_preserved: s.preserved,
            scheduled: self.scheduled.load(Ordering::Relaxed),
            failed: s.failed,
            took_seconds: s.took_seconds,
            saves: s.saves,
            begun: inner.begun,
            loaded: s.loaded,
            expired: s.expired,
            backup: inner.backup,
            now_s: clock::wall_ms() / 1000,
            appendonly: config.persistence.appendonly,
            aof: aof.figures(),
            aof_active: aof.is_active(),
            aof_scheduled: aof.is_scheduled(),
            loading: loading.is_running().then(|| {
                let since = loading.since.load(Ordering::Relaxed);
                LoadReport {
                    since,
                    seconds: clock::wall_ms() / 1000 - since,
                    total_bytes: loading.total_bytes.load(Ordering::Relaxed),
                    loaded_bytes: loading.loaded_bytes.load(Ordering::Relaxed),
                    used_memory: loading.used_memory.load(Ordering::Relaxed),
                }
            }),
            loading_copy: false,
            loading_beside: false,
            changes: self.changes.load(Ordering::Relaxed),
            last_save_ms: self.last_save_ms.load(Ordering::Relaxed),
        }
    }

    /// Notes how a backup went.
    pub fn backed_up(&self, backup: Backup) {
        self.inner.lock().backup = Some(backup);
    }

    /// Notes what a file brought.
    pub fn loaded(&self, keys: u64, expired: u64) {
        let state = &mut self.inner.lock().state;
        (state.loaded, state.expired) = (keys, expired);
    }

    /// Notes that a save that everybody waited for has succeeded. One that has failed was answered with an error, and stops no writes: that is
    /// for saves whose failure nobody would see.
    pub fn saved_at_once(&self, now_ms: i64) {
        self.changes.store(0, Ordering::Relaxed);
        self.finish_save(now_ms, true, None);
    }

    /// Notes that a copy for replicas has become the snapshot file. `changes`: those before its cut.
    pub fn saved_with_copy(&self, changes: u64, took_seconds: i64) {
        self.count_saved(changes);
        self.finish_save(clock::wall_ms(), true, Some(took_seconds));
    }

    fn count_saved(&self, changes: u64) {
        self.changes.fetch_sub(changes.min(self.changes.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    fn finish_save(&self, now_ms: i64, succeeded: bool, took_seconds: Option<i64>) {
        let state = &mut self.inner.lock().state;
        state.failed = !succeeded;
        if took_seconds.is_some() {
            state.took_seconds = took_seconds;
        }
        if succeeded {
            state.saves += 1;
            self.last_save_ms.store(now_ms, Ordering::Relaxed);
        }
        self.failed.store(!succeeded, Ordering::Relaxed);
    }

    /// Begins writing the snapshot file; every stripe is held.
    ///
    /// # Errors
    /// Something runs already.
    pub fn begin<S: Owner>(&self, server: &Arc<S>, space: &mut Space<'_>) -> Result<(), Refused> {
        let config = server.configuration();
        let mut format = format(&config, space.access, server.functions());
        format.aux.extend(server.moment());
        let (snapshot, stop) = self.begin_job(JobKind::Save, || Snapshot::cut(space, format).ok())?;
        let changes = self.changes.load(Ordering::Relaxed);
        tracing::info!("Background saving started by thread of pid {}", std::process::id());
        let own = Arc::clone(server);
        let thread = std::thread::Builder::new().name("saver".into()).spawn(move || {
            own.saver().write(&*own, snapshot, &stop, changes);
        });
        if let Err(e) = thread {
            tracing::warn!("Can't save in background: no thread: {e}");
            self.end_job();
            self.finish_save(clock::wall_ms(), false, None);
        }
        Ok(())
    }

    /// Takes the place of the one job there may be. Every stripe is held.
    ///
    /// # Errors
    /// Another has it, or there is nothing that may replace what is on disk.
    pub fn begin_job(
        &self,
        kind: JobKind,
        cut: impl FnOnce() -> Option<Snapshot>,
    ) -> Result<(Snapshot, Arc<AtomicBool>), Refused> {
        let mut inner = self.inner.lock();
        if let Some(job) = &inner.job {
            return Err(Refused::Busy(job.kind));
        }
        if self.is_withheld() && kind != JobKind::Sync {
            return Err(Refused::Dropped);
        }
        // Nobody cuts without having this place; should one, it is a sync.
        let snapshot = cut().ok_or(Refused::Busy(JobKind::Sync))?;
        let stop = Arc::new(AtomicBool::new(false));
        let since_ms = clock::wall_ms();
        if kind == JobKind::Save {
            inner.state.tried_ms = since_ms;
            self.scheduled.store(false, Ordering::Relaxed);
        }
        inner.begun += 1;
        inner.job =
            Some(Job { kind, since_ms, progress: snapshot.progress(), keys: snapshot.keys(), stop: Arc::clone(&stop) });
        Ok((snapshot, stop))
    }

    /// Gives the place back.
    pub fn end_job(&self) {
        self.inner.lock().job = None;
        self.ended.notify_all();
    }

    /// Writes the file on the saver's thread.
    fn write<S: Owner>(&self, server: &S, snapshot: Snapshot, stop: &Arc<AtomicBool>, changes: u64) {
        let begin_ms = clock::wall_ms();
        let progress = snapshot.progress();
        let config = server.configuration();
        let path = PathBuf::from(&config.persistence.dbfilename);
        let pace = Pace {
            stop: &|| stop.load(Ordering::Acquire),
            key_delay_us: &|| server.configuration().persistence.rdb_key_save_delay_us,
        };
        let incremental = config.persistence.rdb_save_incremental_fsync;
        let result = storage::replace_snapshot(&path, incremental, |out| {
            snapshot.run(server.keyspace(), &pace, &mut |bytes| out.write_all(bytes))
        });
        let now_ms = clock::wall_ms();
        let took = Some((now_ms - begin_ms) / 1000);
        self.inner.lock().state.preserved = progress.preserved();
        match result {
            Ok(written) => {
                self.count_saved(changes);
                self.finish_save(now_ms, true, took);
                tracing::info!("DB saved on disk: {} keys, {} bytes", written.keys, written.bytes);
                tracing::info!("Background saving terminated with success");
            }
            Err(WalkError::Stopped) => {
                // Nobody wanted it any more: that is no failure.
                self.inner.lock().state.took_seconds = took;
                tracing::warn!("Background saving terminated: it was cancelled");
            }
            Err(WalkError::Sink(e)) => {
                self.finish_save(now_ms, false, took);
                tracing::warn!("Background saving error: writing {} failed: {e}", path.display());
            }
        }
        self.end_job();
    }

    /// Whether a save is due by itself, with the reason for the log.
    pub fn due(&self, config: &Config, now_ms: i64) -> Option<String> {
        let state = {
            let inner = self.inner.lock();
            if inner.job.is_some() || self.is_withheld() {
                return None;
            }
            inner.state
        };
        if self.scheduled.load(Ordering::Relaxed) && (!state.failed || now_ms - state.tried_ms > RETRY_SECONDS * 1000) {
            return Some("A scheduled save begins".into());
        }
        let changes = self.changes.load(Ordering::Relaxed);
        let since = (now_ms - self.last_save_ms.load(Ordering::Relaxed)) / 1000;
        let point = config
            .persistence
            .save
            .iter()
            .find(|p| changes >= u64::from(p.changes) && since > p.after_secs.min(i64::MAX as u64) as i64)?;
        let rested = !state.failed || (now_ms - state.tried_ms) / 1000 > RETRY_SECONDS;
        rested.then(|| format!("{} changes in {} seconds. Saving...", point.changes, point.after_secs))
    }
}
