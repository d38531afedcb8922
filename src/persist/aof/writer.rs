//! The thread that writes the log.

use super::log::{Health, Log};
use super::reader::Moment;
use super::{Aof, Order};
use crate::base::{clock, process};
use crate::config::types::AppendFsync;
use crate::journal::{Cursor, Kind};
use crate::persist::saver::{JobKind, Owner};
use crate::storage;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes that are written with one call.
const BATCH_BYTES: usize = 4 << 20;
/// Without `always` nobody waits: changes are gathered for so long before they are written.
pub(super) const GATHER: Duration = Duration::from_millis(2);
/// Under `always`, the longest that a sync waits for those whom the last one let go, as long as some come back: no longer than that took, but for
/// fast disks, where coming back takes longer. Without it each sync would be for the few who came during the one before.
const COMPANY_MAX: Duration = Duration::from_millis(1);
const COMPANY_MIN: Duration = Duration::from_micros(250);
/// Between two looks at who has come.
const COMPANY_STEP: Duration = Duration::from_micros(50);
/// So many looks in a row have to find nobody new before nobody else is waited for.
const COMPANY_LOOKS: u32 = 3;
/// Between two looks at orders, syncs that are due and the disk.
const LOOK: Duration = Duration::from_millis(100);
/// Looks at whether the log has come to where the history has, before its end is left without that note.
const NOTE_TRIES: usize = 50;
/// Between two tries at a disk that fails.
const RETRY_MS: u64 = 1000;

/// A log that is open, and the cursor that reads what goes to it; `None` for one that is to be switched on later.
pub struct Opened {
    pub log: Log,
    pub cursor: Option<Cursor>,
}

struct Writer<S> {
    server: Arc<S>,
    log: Log,
    cursor: Option<Cursor>,
    /// The next change says its database: a replica's stream may have done so long before.
    says_database: bool,
    /// Read, but not yet written.
    pending: VecDeque<(Bytes, u64)>,
    /// The offset behind what was written.
    written: u64,
    last_sync_ms: u64,
    /// How long the last sync took, and how many bytes of the stream the next is expected to be for: as many as that one, whose writers come back,
    /// and those that came while it ran.
    sync_took: Duration,
    expected: u64,
    retry_ms: u64,
    last_second: i64,
    /// The history that `written` is an offset of.
    history: u64,
    /// The increment the next base stands before.
    first: Option<u64>,
    /// The last round was for somebody who had put together what he waits for.
    called: bool,
}

/// Starts the thread. What the log holds already is what the journal holds up to now.
///
/// # Errors
/// There is no thread.
pub fn start<S: Owner>(server: &Arc<S>, opened: Opened) -> std::io::Result<()> {
    let aof = server.aof();
    if let Some(cursor) = &opened.cursor {
        let position = cursor.position();
        aof.reached(aof.history(), position);
        aof.active.store(true, Ordering::Release);
        aof.configure(&server.configuration());
    }
    {
        let mut figures = aof.figures.lock();
        figures.bytes = opened.log.bytes();
        figures.base_bytes = opened.log.bytes();
    }
    let mut writer = Writer {
        server: Arc::clone(server),
        written: aof.synced(),
        log: opened.log,
        cursor: None,
        says_database: false,
        pending: VecDeque::new(),
        last_sync_ms: clock::monotonic_ms(),
        sync_took: Duration::ZERO,
        expected: 0,
        retry_ms: 0,
        last_second: 0,
        history: aof.history(),
        first: None,
        called: false,
    };
    writer.follow(opened.cursor);
    aof.writing.store(true, Ordering::Release);
    let thread = std::thread::Builder::new().name("aof".into()).spawn(move || writer.run());
    thread.map(|_| ()).inspect_err(|_| aof.writing.store(false, Ordering::Release))
}

impl<S: Owner> Writer<S> {
    fn aof(&self) -> &Aof {
        self.server.aof()
    }

    /// Reads this cursor from now on.
    fn follow(&mut self, cursor: Option<Cursor>) {
        if let Some(cursor) = &cursor {
            let server = Arc::downgrade(&self.server);
            cursor.on_append(Arc::new(move || {
                if let Some(server) = server.upgrade() {
                    super::tell(server.aof());
                }
            }));
        }
        self.cursor = cursor;
        self.says_database = true;
    }

    fn run(mut self) {
        process::sleep_precisely();
        loop {
            let order = self.aof().orders.lock().pop_front();
            if let Some(order) = order {
                if !self.obey(order) {
                    return;
                }
                continue;
            }
            // Before the look: what is told of behind it is looked for once more.
            self.aof().news.store(false, Ordering::Release);
            let begin = clock::monotonic_ns();
            let worked = self.step();
            self.aof().syncing.store(false, Ordering::Relaxed);
            if worked {
                self.aof().busy_us.fetch_add((clock::monotonic_ns() - begin) / 1000, Ordering::Relaxed);
            }
            self.tell();
            if worked && !self.called {
                continue;
            }
            // Who asks for all of his own tells of what has come since, or will, when it has come together.
            let config = self.server.configuration();
            let always = config.persistence.appendfsync == AppendFsync::Always;
            let server = Arc::clone(&self.server);
            let mut orders = server.aof().orders.lock();
            if orders.is_empty() && !server.aof().news.load(Ordering::Acquire) {
                server.aof().called.wait_for(&mut orders, LOOK);
            }
            drop(orders);
            if !always {
                std::thread::sleep(GATHER);
            }
        }
    }

    /// Does what it is told. False at the end.
    fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Begin { cursor, history } => self.begin(cursor, history),
            Order::Base { written, rdb } => {
                self.base(written, rdb);
                if self.server.saver().running() == Some(JobKind::Rewrite) {
                    self.server.saver().end_job();
                }
            }
            Order::Adopt { cursor, history, path, bytes } => {
                self.begin(cursor, history);
                self.base(Some((path, bytes)), true);
            }
            Order::Flush(answer) => {
                let _ = answer.send(self.flush());
            }
            Order::Stop => {
                self.flush();
                self.cursor = None;
                let aof = self.aof();
                aof.active.store(false, Ordering::Release);
                // A log that is begun later says itself what is on disk.
                aof.synced.store(0, Ordering::Release);
                aof.release();
                for order in aof.end_writing() {
                    self.decline(order);
                }
                let aof = self.aof();
                aof.failing.store(false, Ordering::Release);
                aof.behind.store(false, Ordering::Release);
                aof.figures.lock().error = None;
                aof.configure(&self.server.configuration());
                self.pending.clear();
                return false;
            }
        }
        true
    }

    /// What comes too late.
    fn decline(&self, order: Order) {
        match order {
            Order::Begin { .. } => self.aof().schedule(),
            Order::Base { written, .. } => super::rewrite::forget(&*self.server, written.as_ref()),
            Order::Adopt { path, .. } => {
                storage::remove(&path);
                self.aof().schedule();
            }
            Order::Flush(answer) => drop(answer.send(false)),
            Order::Stop => {}
        }
    }

    /// Everything there is, now.
    fn flush(&mut self) -> bool {
        while self.read() {
            if !self.write() {
                return false;
            }
        }
        self.write() && self.note_moment() && self.sync()
    }

    /// Says which moment of the history the log ends at, if it ends here and the history has a name that somebody may know.
    fn note_moment(&mut self) -> bool {
        // The link to a primary may bring a little more before it sees that the server ends.
        for _ in 0..NOTE_TRIES {
            match self.moment() {
                Some(moment) if moment.offset == self.written && self.log.is_chained() => {
                    self.pending.push_back((Bytes::from(moment.note()), self.written));
                    return self.write();
                }
                Some(_) if self.log.is_chained() => std::thread::sleep(GATHER),
                _ => return true,
            }
            while self.read() {
                if !self.write() {
                    return false;
                }
            }
        }
        true
    }

    fn moment(&self) -> Option<Moment> {
        let about = self.server.moment();
        let said = |name| about.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        let number = |name| said(name).and_then(|n: &str| n.parse().ok());
        let selected = number("repl-stream-db").and_then(|db: u64| u32::try_from(db).ok());
        Moment::of(said("repl-id"), number("repl-offset"), selected)
    }

    /// Reads what the journal has. True if there is something to write.
    fn read(&mut self) -> bool {
        let mut bytes: usize = self.pending.iter().map(|p| p.0.len()).sum();
        let Some(cursor) = &mut self.cursor else { return !self.pending.is_empty() };
        while bytes < BATCH_BYTES {
            match cursor.read() {
                Ok(Some(chunk)) => {
                    let end = chunk.offset + chunk.bytes.len() as u64;
                    if chunk.kind == Kind::Data {
                        if std::mem::take(&mut self.says_database)
                            && let Some(select) = chunk.select()
                        {
                            self.pending.push_back((select, chunk.offset));
                        }
                        bytes += chunk.bytes.len();
                        self.pending.push_back((chunk.bytes, end));
                    } else {
                        self.pending.push_back((Bytes::new(), end));
                    }
                }
                Ok(None) => break,
                Err(lost) => {
                    tracing::warn!(
                        "The append-only file has lost its place in the stream ({lost}): it needs a new base"
                    );
                    self.cursor = None;
                    self.log.unchain();
                    self.aof().schedule();
                    break;
                }
            }
        }
        !self.pending.is_empty()
    }

    /// Writes what was read. False if the disk does not take it.
    fn write(&mut self) -> bool {
        let config = self.server.configuration();
        if config.persistence.aof_timestamp_enabled && self.pending.iter().any(|p| !p.0.is_empty()) {
            let now = clock::wall_ms() / 1000;
            if now != self.last_second {
                self.last_second = now;
                // In front of what is written now; its offset is that of what was written before.
                let note = Bytes::from(format!("#TS:{now}\r\n").into_bytes());
                self.pending.push_front((note, self.written));
            }
        }
        while !self.pending.is_empty() {
            // Small steps go together.
            let mut end = self.written;
            let result = if self.pending.len() == 1 || self.pending[0].0.len() > BATCH_BYTES / 4 {
                end = self.pending[0].1;
                let bytes = self.pending[0].0.clone();
                self.append(&bytes).map(|()| 1)
            } else {
                let mut all = Vec::new();
                let mut n = 0;
                for (bytes, at) in &self.pending {
                    if n > 0 && all.len() + bytes.len() > BATCH_BYTES {
                        break;
                    }
                    all.extend_from_slice(bytes);
                    end = *at;
                    n += 1;
                }
                self.append(&all).map(|()| n)
            };
            match result {
                Ok(n) => {
                    self.pending.drain(..n);
                    self.written = end;
                }
                Err(e) => {
                    self.failed("Error writing to the AOF file", &e);
                    return false;
                }
            }
        }
        true
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let us = self.aof().sleep_us.load(Ordering::Relaxed);
        if us > 0 {
            std::thread::sleep(Duration::from_micros(us));
        }
        if bytes.is_empty() { Ok(()) } else { self.log.append(bytes) }
    }

    /// Forces what was written to disk.
    fn sync(&mut self) -> bool {
        self.force(|log| log.sync())
    }

    /// Makes what was written survive.
    fn force(&mut self, how: impl Fn(&mut Log) -> std::io::Result<()>) -> bool {
        let begin = clock::monotonic_ns();
        match how(&mut self.log) {
            Ok(()) => {
                self.aof().syncing.store(false, Ordering::Relaxed);
                self.sync_took = Duration::from_nanos(clock::monotonic_ns() - begin);
                self.last_sync_ms = clock::monotonic_ms();
                self.safe();
                true
            }
            Err(e) => {
                self.failed("Error forcing the AOF file to disk", &e);
                if self.log.health() == Health::Holed {
                    self.aof().schedule();
                }
                false
            }
        }
    }

    /// What was written is on disk, if what it continues is.
    fn safe(&mut self) {
        if !self.log.is_chained() {
            return;
        }
        let aof = self.server.aof();
        if aof.failing.swap(false, Ordering::AcqRel) {
            tracing::info!("AOF write error looks solved. The server can write again.");
            aof.figures.lock().error = None;
        }
        if aof.reached(self.history, self.written)
            && let Some(wake) = aof.wake.get()
        {
            wake();
        }
    }

    fn failed(&mut self, what: &str, e: &std::io::Error) {
        self.retry_ms = clock::monotonic_ms() + RETRY_MS;
        let aof = self.aof();
        aof.figures.lock().error = Some(e.to_string());
        if !aof.failing.swap(true, Ordering::AcqRel) {
            tracing::warn!("{what}: {e}. Writes are refused until it heals.");
        }
    }

    /// Fewer have come than are expected: most of those whom the last sync let go are on their way back.
    fn wait_for_company(&self) {
        let come = || self.cursor.as_ref().map_or(0, Cursor::lag);
        let (mut before, begin) = (come(), clock::monotonic_ns());
        let longest = self.sync_took.clamp(COMPANY_MIN, COMPANY_MAX).as_nanos() as u64;
        let mut alone = 0;
        while before > 0 && before < self.expected && clock::monotonic_ns() - begin < longest {
            std::thread::sleep(COMPANY_STEP);
            let now = come();
            alone = if now == before { alone + 1 } else { 0 };
            if alone == COMPANY_LOOKS {
                // Nobody else comes.
                return;
            }
            before = now;
        }
    }

    /// One round of reading, writing and syncing. False if there was nothing to do.
    fn step(&mut self) -> bool {
        let now = clock::monotonic_ms();
        if self.aof().has_failed() && now < self.retry_ms {
            return false;
        }
        let config = self.server.configuration();
        let always = config.persistence.appendfsync == AppendFsync::Always;
        self.called = always && self.aof().all_came.swap(false, Ordering::Relaxed);
        if always && !self.called {
            self.wait_for_company();
        }
        let before = self.written;
        self.aof().syncing.store(true, Ordering::Relaxed);
        let some = self.read();
        // More than one round takes: nobody is told of the rest, as the cursor has not come back empty-handed.
        self.called &= self.pending.iter().map(|p| p.0.len()).sum::<usize>() < BATCH_BYTES;
        if some && !self.write() {
            return false;
        }
        let group = self.written - before;
        let p = &config.persistence;
        let waived = p.no_appendfsync_on_rewrite && self.server.saver().running().is_some();
        let due = match p.appendfsync {
            _ if waived => false,
            AppendFsync::Always => true,
            AppendFsync::Everysec => now.saturating_sub(self.last_sync_ms) >= 1000 || self.aof().has_failed(),
            AppendFsync::No => self.aof().has_failed(),
        };
        if (due && self.log.is_unsynced()) || (due && self.written != self.aof().synced() && self.log.is_chained()) {
            match p.appendfsync {
                AppendFsync::Always => self.force(|log| log.commit()),
                _ => self.sync(),
            };
            self.expected = group + self.cursor.as_ref().map_or(0, Cursor::lag);
        } else if waived && p.appendfsync == AppendFsync::Always {
            // As the directive says: while something is saved nobody waits for the disk.
            self.safe();
        } else if self.aof().has_failed()
            && self.log.health() == Health::Good
            && self.log.is_chained()
            && !self.log.is_unsynced()
        {
            self.safe();
        }
        some
    }

    /// Tells what others show.
    fn tell(&self) {
        // What nobody else can see: a sync that hangs is seen by `Aof::watch`.
        let lag =
            self.cursor.as_ref().map_or(0, Cursor::lag) + self.pending.iter().map(|p| p.0.len() as u64).sum::<u64>();
        let aof = self.aof();
        aof.behind.store(lag > super::BEHIND_BYTES_MAX, Ordering::Relaxed);
        let mut f = aof.figures.lock();
        f.bytes = self.log.bytes();
        f.behind = lag;
    }

    /// A cut was made: the old increment ends there, the next begins.
    fn begin(&mut self, cursor: Cursor, history: u64) {
        let cut = cursor.position();
        let was_chained = self.log.is_chained() && self.cursor.is_some();
        // What the old cursor has beyond the cut the new one has too.
        while self.cursor.is_some() && self.pending.back().is_none_or(|p| p.1 < cut) && self.cursor_before(cut) {
            if !self.read() {
                break;
            }
            self.trim(cut);
            if !self.write() {
                break;
            }
        }
        self.trim(cut);
        if was_chained {
            self.write();
        }
        match self.log.begin_increment() {
            Ok(first) => {
                self.first = Some(first);
                self.pending.clear();
                self.written = cut;
                self.history = history;
                self.last_second = 0;
                self.follow(Some(cursor));
                if self.log.is_chained() {
                    self.safe();
                }
            }
            Err(e) => {
                tracing::warn!("A new append-only file cannot be begun: {e}");
                self.failed("Error beginning an AOF file", &e);
                self.first = None;
            }
        }
    }

    fn cursor_before(&self, cut: u64) -> bool {
        self.cursor.as_ref().is_some_and(|c| c.position() < cut)
    }

    /// Forgets what was read beyond the cut.
    fn trim(&mut self, cut: u64) {
        for (bytes, end) in &mut self.pending {
            if *end > cut {
                let beyond = (*end - cut).min(bytes.len() as u64) as usize;
                bytes.truncate(bytes.len() - beyond);
                *end = cut;
            }
        }
    }

    /// The base of the last cut is there, or failed.
    fn base(&mut self, written: Option<(std::path::PathBuf, u64)>, rdb: bool) {
        // What the base does not have has to be on disk before the old files go.
        while self.first.is_some() && self.read() && self.write() {}
        if self.first.is_some() && self.cursor.is_none() {
            // The data set it is of was replaced while it was written: it would continue with nothing.
            self.first = None;
            if let Some((path, _)) = written {
                let _ = std::fs::remove_file(&path);
            }
            tracing::info!("Background AOF rewrite is repeated: the data set was replaced meanwhile");
            self.aof().schedule();
            return;
        }
        let seconds = self.server.saver().running_seconds();
        let result = match (written, self.first.take()) {
            (Some((path, bytes)), Some(first)) => {
                let result = self.log.put_base(&path, rdb, first, bytes).map_err(|e| e.to_string());
                if result.is_err() {
                    let _ = std::fs::remove_file(&path);
                }
                result
            }
            (Some((path, _)), None) => {
                let _ = std::fs::remove_file(&path);
                Err("its increment could not be begun".into())
            }
            (None, _) => Err("its base could not be written".to_string()),
        };
        let aof = self.server.aof();
        {
            let mut f = aof.figures.lock();
            f.last_rewrite_failed = result.is_err();
            f.last_rewrite_seconds = seconds;
            f.bytes = self.log.bytes();
            if result.is_ok() {
                f.rewrites += 1;
                f.failed_rewrites = 0;
                f.base_bytes = self.log.bytes();
            } else {
                f.failed_rewrites += 1;
            }
        }
        match result {
            Ok(()) => {
                if !aof.active.swap(true, Ordering::AcqRel) {
                    aof.configure(&self.server.configuration());
                }
                aof.unschedule();
                self.safe();
                tracing::info!("Background AOF rewrite finished successfully");
            }
            Err(e) => {
                if !self.log.is_chained() {
                    // What is written has no base: another try is needed.
                    aof.schedule();
                }
                tracing::warn!("Background AOF rewrite terminated with error: {e}");
            }
        }
    }
}
