//! Full synchronisation: replicas that wait, and the walk that writes the data set for all of them at once.
//!
//! ```text
//! PSYNC -> waiting -(delay, or enough of them; nothing else walks)-> cut: FULLRESYNC, cursor -> copy -> stream
//! ```
//! A replica that takes a copy of unknown length is sent it while it is written. The others, and all with `repl-diskless-sync no`,
//! get it from a file that is written by the same walk.
//!
//! # Invariants
//! * At the cut all stripes are held: the snapshot, the name and offset a replica is told, and its cursor are of that one instant.
//! * A walk serves those that wait at its cut, and nobody later: who comes during it waits for the next one.
//! * No replica holds the walk for ever, and none costs more memory than its bound: while a pipe is full the walk writes nothing but
//!   what writers must write down (they are never held up by a replica), and a replica whose pipe passes its output limit, or that takes
//!   less than a pipe in `repl-timeout`, is dropped. What the stream gathers meanwhile is bounded by its cursor.
//! * Replicas that die cost the others nothing; with the last one the walk is given up, unless it writes a file and there are save points:
//!   then that file becomes the snapshot, which is a save like any other.

use super::Host;
use crate::base::clock;
use crate::client::{CopyEnd, CopyWriter, Message, PIPE_BYTES, ReplicaPhase, Shared, SyncStart, copy_pipe};
use crate::config::types::RdbVersion;
use crate::crypto;
use crate::keyspace::{Pace, Plan, Space, WalkError};
use crate::persist::JobKind;
use crate::persist::snapshot::{self, Snapshot};
use crate::storage;
use parking_lot::Mutex;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is read from the file for a replica at a time.
const FILE_PIECE_BYTES: usize = 64 << 10;
/// What is read from the disk at a time.
const READ_BYTES: usize = 1 << 20;
/// Between two signs of life for a replica that waits for the file.
const ALIVE_MS: u64 = 1000;
/// The walk looks this often at whether it has been stopped while a pipe is full.
const LOOK: Duration = Duration::from_millis(2);

/// Begins a walk if somebody waits and it is time. Called several times a second, without locks.
pub fn round(host: &Arc<dyn Host>, now: u64) {
    let this = host.replication();
    let waiting = waiting(host);
    let Some((_, since)) = waiting.first() else { return };
    let config = host.config().current();
    let r = &config.replication;
    let enough = r.repl_diskless_sync_max_replicas;
    // Who cannot take a copy of unknown length is sent a file, and a file is begun without the delay.
    let due = !r.repl_diskless_sync
        || waiting.iter().any(|(client, _)| !client.facts.lock().takes_eof)
        || now.saturating_sub(*since) >= u64::from(r.repl_diskless_sync_delay_secs) * 1000
        || (enough > 0 && waiting.len() >= enough as usize);
    let look = this.follower.look();
    // A replica that is being filled itself has nothing to give, and a role that changes hands must not be disturbed.
    let can = (!look.is_following() || look.is_connected()) && !this.failover.lock().is_going_on();
    if !due || !can || host.saver().running().is_some() {
        return;
    }
    let mut space = host.keyspace().space(host.access(clock::wall_ms()));
    if !space.lock_unless_busy(&Plan::All) {
        return;
    }
    begin(host, &mut space);
}

/// Those that wait for a copy, who waits longest first.
fn waiting(host: &Arc<dyn Host>) -> Vec<(Arc<Shared>, u64)> {
    let all = host.replication().replicas.all().into_iter();
    let mut waiting: Vec<_> = all
        .filter_map(|c| {
            let facts = c.facts.lock();
            let since = (facts.phase == ReplicaPhase::Waiting).then_some(facts.waits_since_ms);
            drop(facts);
            since.map(|since| (c, since))
        })
        .collect();
    waiting.sort_by_key(|(_, since)| *since);
    waiting
}

/// Replicas of the time before Valkey 9, and those that do not say.
pub fn is_older(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_none_or(|major| major < 9)
}

/// A replica that is sent the copy.
struct Target {
    client: Arc<Shared>,
    pipe: CopyWriter,
    /// Bytes it had taken, and when that was looked at.
    taken: u64,
    looked_ms: u64,
}

/// The cut. Every stripe is held; they are let go of here.
fn begin(host: &Arc<dyn Host>, space: &mut Space<'_>) {
    let this = host.replication();
    let config = host.config().current();
    let r = &config.replication;
    let all = waiting(host);
    let Some((first, _)) = all.first() else { return };
    // They share a walk only if they read the same version of the format.
    let older = is_older(&first.facts.lock().version);
    let (Ok(mark), Ok(new_id)) = (crypto::random_hex(40), super::new_id()) else {
        tracing::warn!("No full synchronization: the module gives no random bytes");
        return;
    };
    let journal = host.keyspace().journal();
    let mut format = snapshot::format(&config, space.access, host.functions());
    if older {
        format.version = RdbVersion::V8_1;
    }
    // Without a backlog changes before now are kept nowhere, so nobody may take the name he knew for this history.
    let had_backlog = journal.backlog().0.is_some();
    let id = if had_backlog { this.identity.lock().id.clone() } else { new_id };
    // A replica that starts again from the file it has received goes on from there.
    format.aux.extend([("repl-id", id.clone()), ("repl-offset", journal.end().to_string())]);
    if let Some(db) = journal.selected() {
        format.aux.push(("repl-stream-db", db.to_string()));
    }
    let Ok((snapshot, stop)) = host.saver().begin_job(JobKind::Sync, || Snapshot::cut(space, format).ok()) else {
        // Another job has begun since: in a later round.
        return;
    };
    let changes = host.saver().changes.load(Ordering::Relaxed);
    if !had_backlog {
        this.identity.lock().adopt(id.clone());
    }
    journal.keep_backlog(Some(r.repl_backlog_size));
    let offset = journal.end();
    let limit = super::bytes_behind_max(&config);
    let now = clock::monotonic_ms();
    let (mut direct, mut filed, mut stops) = (Vec::new(), Vec::new(), false);
    for (client, _) in all {
        let (eof, named, two, alone) = {
            let mut facts = client.facts.lock();
            if is_older(&facts.version) != older {
                continue;
            }
            facts.phase = ReplicaPhase::Copying;
            (facts.acked, facts.acked_at_ms) = (0, now);
            (
                facts.takes_eof && (r.repl_diskless_sync || facts.copy_channel),
                facts.names_history,
                facts.copy_channel,
                facts.copy_only,
            )
        };
        let wake = |clients: Arc<crate::client::Registry>, shared: Arc<Shared>| {
            move || clients.send(&shared, Message::Feed { client: shared.id })
        };
        let (pipe, reader) = copy_pipe(Box::new(wake(Arc::clone(host.clients()), Arc::clone(&client))));
        let mut head = Vec::new();
        let cursor = (two || !alone).then(|| journal.cursor_here(limit));
        let cursor = if two {
            // The stream is another connection's, which says which copy it goes on from.
            let db = journal.selected().map_or(-1, i64::from);
            head.extend_from_slice(format!("$ENDOFF:{offset} {id} {db} {}\r\n", client.id).as_bytes());
            tracing::info!(
                "Dual channel replication: Sending to replica {} RDB end offset {offset} and client-id {}",
                client.addr,
                client.id
            );
            if let Some(cursor) = cursor {
                tracing::debug!(
                    "Dual channel replication: Add rdb replica {} to waiting psync, with cid {}, {}",
                    client.addr,
                    client.id,
                    if had_backlog { "tracking repl-backlog tail" } else { "no repl-backlog to track" }
                );
                if !had_backlog {
                    tracing::debug!(
                        "Dual channel replication: Attach replica rdb client {} to the backlog that begins here",
                        client.id
                    );
                }
                this.replicas.pairs.begin(Arc::clone(&client), cursor);
                stops |= this.is_to_pause();
            }
            None
        } else {
            cursor
        };
        if let Some(cursor) = &cursor {
            cursor.on_append(Arc::new(wake(Arc::clone(host.clients()), Arc::clone(&client))));
        }
        if named {
            head.extend_from_slice(format!("+FULLRESYNC {id} {offset}\r\n").as_bytes());
        }
        if eof {
            head.extend_from_slice(format!("$EOF:{mark}\r\n").as_bytes());
        }
        let start = Box::new(SyncStart { head, cursor, copy: reader });
        host.clients().send(&client, Message::Sync { client: client.id, start });
        let target = Target { client, pipe, taken: 0, looked_ms: now };
        if eof { direct.push(target) } else { filed.push(target) }
    }
    if stops {
        this.stand_still(&**host);
    }
    space.unlock();
    tracing::info!(
        "Starting BGSAVE for SYNC with target: {} ({} replicas, offset {offset})",
        if filed.is_empty() {
            "replicas sockets"
        } else if direct.is_empty() {
            "disk"
        } else {
            "replicas sockets and disk"
        },
        direct.len() + filed.len()
    );
    if !direct.is_empty() {
        tracing::info!("Background RDB transfer started by pid {}, in a thread", std::process::id());
    }
    let own = Arc::clone(host);
    let saves = !filed.is_empty() && !older && !config.persistence.save.is_empty();
    let saved_changes = saves.then_some(changes);
    let run = Run { host: own, mark, direct: Mutex::new(direct), filed: Mutex::new(filed), saved_changes };
    let thread = std::thread::Builder::new().name("sync".into()).spawn(move || run.run(snapshot, &stop));
    if let Err(e) = thread {
        // The pipes went with the closure: their readers are told.
        tracing::warn!("No full synchronization: no thread: {e}");
        host.saver().end_job();
    }
}

/// One walk.
struct Run {
    host: Arc<dyn Host>,
    mark: String,
    direct: Mutex<Vec<Target>>,
    filed: Mutex<Vec<Target>>,
    /// The file of the copy is to be the snapshot, too, which has so many changes since the last one.
    saved_changes: Option<u64>,
}

impl Run {
    fn run(self, snapshot: Snapshot, stop: &AtomicBool) {
        let begin = clock::monotonic_ms();
        let is_direct = !self.direct.lock().is_empty();
        let mut file = self.file();
        let saved_changes = self.saved_changes.filter(|_| file.is_some());
        let (direct, filed) = (&self.direct, &self.filed);
        let host = Arc::clone(&self.host);
        let given_up = || {
            stop.load(Ordering::Acquire)
                || host.is_ending()
                || (saved_changes.is_none()
                    && self.direct.lock().iter().all(|t| t.pipe.is_gone())
                    && self.filed.lock().iter().all(|t| t.pipe.is_gone()))
        };
        let pace =
            Pace { stop: &given_up, key_delay_us: &|| self.host.config().current().persistence.rdb_key_save_delay_us };
        let mut told_ms = begin;
        let result = snapshot.run_when(self.host.keyspace(), &pace, &|| self.is_ready(), &mut |bytes| {
            let mut direct = direct.lock();
            if !direct.is_empty() {
                let piece = Arc::new(bytes.to_vec());
                direct.iter().for_each(|t| t.pipe.put(&piece));
                self.drop_greedy(&mut direct);
            }
            drop(direct);
            if let Some(file) = &mut file {
                file.write_all(bytes)?;
                let now = clock::monotonic_ms();
                if now - told_ms >= ALIVE_MS {
                    told_ms = now;
                    let alive = Arc::new(b"\n".to_vec());
                    filed.lock().iter().for_each(|t| t.pipe.put(&alive));
                }
            }
            Ok(())
        });
        // Before the next job begins, which may write the same file.
        let (took, written) = (clock::monotonic_ms() - begin, result.is_ok());
        let file = file.filter(|_| written).and_then(|file| match self.end_file(file, saved_changes, took) {
            Ok(reader) => Some(reader),
            Err(e) => {
                tracing::warn!("Synchronization: the file of the copy could not be written: {e}");
                self.filed.lock().clear();
                None
            }
        });
        self.host.saver().end_job();
        let (direct, filed) = (std::mem::take(&mut *self.direct.lock()), std::mem::take(&mut *self.filed.lock()));
        match result {
            Ok(written) => {
                let up = |targets: &[Target]| targets.iter().filter(|t| !t.pipe.is_gone()).count();
                tracing::info!(
                    "Synchronization: {} keys, {} bytes written in {} ms for {} replicas",
                    written.keys,
                    written.bytes,
                    clock::monotonic_ms() - begin,
                    up(&direct) + up(&filed)
                );
                if is_direct {
                    tracing::info!("Diskless rdb transfer, done reading from pipe, {} replicas still up", up(&direct));
                }
                let tail = Arc::new(self.mark.clone().into_bytes());
                for t in direct {
                    t.pipe.put(&tail);
                    let alone = t.client.facts.lock().copy_only;
                    t.pipe.end(if alone { CopyEnd::Alone } else { CopyEnd::Marked });
                }
                if let Some(file) = file
                    && !filed.is_empty()
                    && let Err(e) = self.send_file(file, written.bytes, filed, stop)
                {
                    tracing::warn!("Synchronization: the file of the copy could not be read: {e}");
                }
            }
            Err(WalkError::Stopped) => {
                if is_direct && !stop.load(Ordering::Acquire) {
                    // The words are those that are looked for.
                    tracing::info!(
                        "Diskless rdb transfer, last replica dropped, killing fork child: the walk is given up"
                    );
                }
                tracing::warn!(
                    "Background RDB transfer error: no replica is left that waits for it, or it was stopped"
                );
            }
            Err(WalkError::Sink(e)) => {
                tracing::warn!("Background RDB transfer error: the copy could not be written: {e}")
            }
        }
    }

    /// The file for those that must know the length first. Without one they are dropped: the others go on.
    fn file(&self) -> Option<Spool> {
        if self.filed.lock().is_empty() {
            return None;
        }
        match Spool::create() {
            Ok(file) => Some(file),
            Err(e) => {
                tracing::warn!(
                    "Replicas that cannot take a copy of unknown length are dropped: no temporary file in 'dir': {e}"
                );
                self.filed.lock().clear();
                None
            }
        }
    }

    /// Ends the file, which becomes the snapshot if it is to, and opens it for those that wait for it.
    fn end_file(&self, file: Spool, saved_changes: Option<u64>, took_ms: u64) -> io::Result<Reader> {
        let Some(changes) = saved_changes else { return file.reopen() };
        let reader = file.keep(&self.host.config().current().persistence.dbfilename)?;
        self.host.saver().saved_with_copy(changes, took_ms as i64 / 1000);
        tracing::info!("DB saved on disk, with the copy for replicas");
        Ok(reader)
    }

    /// Whether there is room in every pipe; waits a moment for it, and drops those that do not take.
    fn is_ready(&self) -> bool {
        let mut direct = self.direct.lock();
        self.drop_greedy(&mut direct);
        self.drop_slow(&mut direct);
        let Some(full) = direct.iter().find(|t| t.pipe.is_full()) else { return true };
        full.pipe.wait(LOOK);
        !full.pipe.is_full()
    }

    /// Drops those whose pipe holds more than they may cost.
    fn drop_greedy(&self, targets: &mut Vec<Target>) {
        let limit = self.host.config().current().limits.client_output_buffer_limit.replica.hard_bytes;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(2 * PIPE_BYTES);
        let within = |t: &Target| limit == 2 * PIPE_BYTES || t.pipe.bytes() <= limit;
        self.retain(targets, within, "it is too slow for what is written meanwhile: client-output-buffer-limit");
    }

    /// Drops those that have not taken a pipe's worth within `repl-timeout` although it was there.
    fn drop_slow(&self, targets: &mut Vec<Target>) {
        let (now, timeout) = (clock::monotonic_ms(), self.timeout_ms());
        for t in &mut *targets {
            let taken = t.pipe.taken();
            if !t.pipe.is_full() || taken - t.taken >= PIPE_BYTES as u64 {
                (t.taken, t.looked_ms) = (taken, now);
            }
        }
        self.retain(targets, |t| now - t.looked_ms <= timeout, "Disconnecting timedout replica (full sync)");
    }

    fn timeout_ms(&self) -> u64 {
        u64::from(self.host.config().current().replication.repl_timeout_secs) * 1000
    }

    fn retain(&self, targets: &mut Vec<Target>, keep: impl Fn(&Target) -> bool, why: &str) {
        targets.retain(|t| {
            let kept = keep(t);
            if !kept && !t.pipe.is_gone() {
                tracing::warn!("Replica {} is dropped: {why}", t.client.addr);
            }
            kept && !t.pipe.is_gone()
        });
    }

    /// Sends the file to those that wait for it, as fast as the slowest takes it.
    fn send_file(&self, mut from: Reader, bytes: u64, mut targets: Vec<Target>, stop: &AtomicBool) -> io::Result<()> {
        let head = Arc::new(format!("${bytes}\r\n").into_bytes());
        targets.iter().for_each(|t| t.pipe.put(&head));
        let now = clock::monotonic_ms();
        for t in &mut targets {
            t.looked_ms = now;
            t.client.facts.lock().phase = ReplicaPhase::Sending;
        }
        let mut left = bytes;
        while left > 0 && !targets.is_empty() {
            if stop.load(Ordering::Acquire) || self.host.is_ending() {
                return Ok(());
            }
            self.drop_slow(&mut targets);
            if let Some(full) = targets.iter().find(|t| t.pipe.is_full()) {
                full.pipe.wait(LOOK);
                continue;
            }
            let mut piece = vec![0; FILE_PIECE_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX))];
            from.read_exact(&mut piece)?;
            left -= piece.len() as u64;
            let piece = Arc::new(piece);
            targets.iter().for_each(|t| t.pipe.put(&piece));
        }
        for t in targets {
            let alone = t.client.facts.lock().copy_only;
            t.pipe.end(if alone { CopyEnd::Alone } else { CopyEnd::Sized });
        }
        Ok(())
    }
}

/// The file of a copy. It goes when this does.
struct Spool {
    path: PathBuf,
    /// Until it is kept.
    out: Option<storage::Writer>,
}

impl Spool {
    fn create() -> io::Result<Spool> {
        let path = PathBuf::from(format!("temp-sync-{}.{}.rdb", clock::wall_ms(), std::process::id()));
        let out = storage::create_temporary(&path)?;
        Ok(Spool { path, out: Some(out) })
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), |out| out.write_all(bytes))
    }

    /// What was written, from its beginning. The name goes now; the bytes go with the reader.
    fn reopen(mut self) -> io::Result<Reader> {
        let out = self.out.as_mut().ok_or(io::ErrorKind::NotFound)?;
        out.end()?;
        let file = storage::open_data(&self.path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(io::BufReader::with_capacity(READ_BYTES, file))
    }

    /// The same, and it takes the place of the snapshot.
    fn keep(mut self, snapshot: &str) -> io::Result<Reader> {
        let out = self.out.take().ok_or(io::ErrorKind::NotFound)?;
        let file = storage::keep_and_reopen(out, &self.path, Path::new(snapshot))?;
        Ok(io::BufReader::with_capacity(READ_BYTES, file))
    }
}

type Reader = io::BufReader<storage::DataFile>;

impl Drop for Spool {
    fn drop(&mut self) {
        storage::remove(&self.path);
    }
}
