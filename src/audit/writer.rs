//! The thread that writes records: file, head, syslog; rotation and retention.

use super::collector::{Collector, Item};
use super::key::Key;
use super::record::{Event, Outcome, Record};
use super::verify::{Fault, Head, LINE_BYTES_MAX, files, first_of, head_path, judge};
use super::{Figures, Message};
use crate::base::clock;
use crate::storage;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

/// Records written with one call.
const BATCH_MAX: usize = 256;
/// Between attempts while the disk refuses.
const RETRY: Duration = Duration::from_millis(500);
/// The mac before the first record.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Unless nothing goes on without it, the log is forced to disk so often, if there is something new; only then the head names what is there,
/// so that a power failure never leaves a head that is ahead of its log.
const HEAD_EVERY_MS: u64 = 1000;
const SYSLOG_SOCKET: &str = "/dev/log";
const DAY_MS: i64 = 86_400_000;

/// What the configuration says.
pub struct Settings {
    pub path: PathBuf,
    pub key: Key,
    /// A file that reached this size is rotated away; 0 never.
    pub bytes_max: u64,
    /// Days a file is kept after it was rotated away; 0 for ever.
    pub retention_days: u32,
    pub blocks: bool,
    pub key_patterns: Vec<Vec<u8>>,
    /// Send records to the system's log service too.
    pub syslog: bool,
    /// Send them to a collector too.
    pub collector: Option<Collector>,
}

pub(super) struct Writer {
    settings: Settings,
    figures: Arc<Figures>,
    file: File,
    /// Device and inode of the file: another one at its path is not this log.
    file_is: (u64, u64),
    head: File,
    head_is: (u64, u64),
    bytes: u64,
    /// Number of the first record in the file, and of the first that is to be kept.
    file_first_seq: u64,
    first_seq: u64,
    seq: u64,
    /// Number of the record that the head names, and when it did.
    headed_seq: u64,
    headed_ms: u64,
    prev: String,
    /// Records that were made into lines and are not on disk yet.
    pending: String,
    pending_seq: u64,
    lost_told: u64,
    syslog: Option<UnixDatagram>,
    pub(super) collector: Option<SyncSender<Item>>,
    next_cleaning_ms: i64,
}

/// Opens the log. What is no regular file cannot hold one, and a pipe is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Opens the head file of a log.
fn open_head(log: &Path) -> io::Result<File> {
    let path = head_path(log);
    let mut options = OpenOptions::new();
    let file =
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("its .head is no regular file")) }
}

fn identity(m: &std::fs::Metadata) -> (u64, u64) {
    (m.dev(), m.ino())
}

/// Device and inode of what stands at a path; `None` if nothing does.
fn at(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match std::fs::metadata(path) {
        Ok(m) => Ok(Some(identity(&m))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

impl Writer {
    /// Takes up the chain where it ended. A record that a crash cut in half is cut off, and that is recorded.
    pub(super) fn open(settings: Settings, figures: Arc<Figures>) -> Result<Writer, String> {
        let path = settings.path.clone();
        let failed = |e: io::Error| format!("audit log {}: {e}", path.display());
        let tail = Tail::read(&path, &settings.key).map_err(|e| format!("audit log {}: {e}", path.display()))?;
        let head = open_head(&path).map_err(failed)?;
        if tail.is_new {
            // Before the first record: a log without a head is one that lost it.
            let new = Head { seq: 0, mac: GENESIS.into(), first: Some(1) };
            head.write_all_at(new.text(&settings.key).as_bytes(), 0).and_then(|()| head.sync_all()).map_err(failed)?;
        }
        let file = open(&path).map_err(failed)?;
        if tail.unfinished_bytes > 0 {
            file.set_len(tail.whole_bytes).map_err(failed)?;
        }
        let file_first_seq = tail.file_first_seq.unwrap_or(tail.seq + 1);
        let is = |file: &File| file.metadata().map(|m| identity(&m));
        let mut writer = Writer {
            figures,
            file_is: is(&file).map_err(failed)?,
            head_is: is(&head).map_err(failed)?,
            file,
            head,
            bytes: tail.whole_bytes,
            file_first_seq,
            first_seq: tail.first_seq.unwrap_or(file_first_seq),
            seq: tail.seq,
            headed_seq: tail.seq,
            headed_ms: clock::monotonic_ms(),
            prev: tail.mac.unwrap_or_else(|| GENESIS.into()),
            pending: String::new(),
            pending_seq: tail.seq,
            lost_told: 0,
            syslog: None,
            collector: None,
            next_cleaning_ms: 0,
            settings,
        };
        if tail.unfinished_bytes > 0 {
            let cut = tail.unfinished_bytes.to_string();
            writer.add(&Record::new(Event::Recovered, Outcome::Done).with("unfinished_bytes", cut));
        }
        writer.write().map_err(failed)?;
        Ok(writer)
    }

    pub(super) fn run(mut self, receiver: &Receiver<Message>) {
        let mut waiting: Vec<SyncSender<()>> = Vec::new();
        loop {
            let first = receiver.recv_timeout(Duration::from_secs(1));
            let mut messages = Vec::new();
            match first {
                Ok(message) => {
                    messages.push(message);
                    messages.extend(receiver.try_iter().take(BATCH_MAX - 1));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // Nobody is left to be told that it failed.
                    let _ = self.name_last();
                    return;
                }
            }
            for message in messages {
                match message {
                    Message::Record(record) => self.add(&record),
                    Message::Flush(done) => waiting.push(done),
                }
            }
            let lost = self.figures.lost.load(Ordering::Relaxed);
            if lost > self.lost_told {
                let count = (lost - self.lost_told).to_string();
                self.lost_told = lost;
                self.add(&Record::new(Event::RecordsLost, Outcome::Failed).with("records", count));
            }
            let asked = !waiting.is_empty();
            while let Err(e) = self
                .look()
                .and_then(|()| self.write())
                .and_then(|()| if asked { self.name_last() } else { self.name_last_if_due() })
            {
                if !self.figures.failing.swap(true, Ordering::AcqRel) {
                    tracing::error!("The audit log {} cannot be written: {e}", self.settings.path.display());
                }
                std::thread::sleep(RETRY);
            }
            if self.figures.failing.swap(false, Ordering::AcqRel) {
                tracing::warn!("The audit log is written again");
            }
            for done in waiting.drain(..) {
                // Who asked may have stopped waiting.
                let _ = done.send(());
            }
            self.clean();
        }
    }

    fn add(&mut self, record: &Record) {
        self.pending_seq += 1;
        let (line, mac) = record.line(self.pending_seq, &self.prev, &self.settings.key);
        if self.settings.syslog {
            self.send(&line);
        }
        if self.collector.as_ref().is_some_and(|c| c.try_send(Item::Line(line.clone())).is_err()) {
            self.figures.unsent.fetch_add(1, Ordering::Relaxed);
        }
        self.prev = mac;
        self.pending.push_str(&line);
        self.pending.push('\n');
    }

    /// Looks whether the log is still where it belongs, and whole. Nobody must have to wait for the next start to hear that records
    /// go where nobody finds them: one that was moved or removed is begun anew, one that was cut is gone on with, each with a record
    /// of it. The chain goes on, so that the gap is found by who verifies it.
    ///
    /// # Errors
    /// Something else stands in its place: that is not written into.
    fn look(&mut self) -> io::Result<()> {
        let path = &self.settings.path;
        let what = match at(path)? {
            Some(there) if there == self.file_is => {
                let len = self.file.metadata()?.len();
                if len >= self.bytes {
                    return self.look_at_head();
                }
                // What follows does not become part of half a record.
                if len > 0 {
                    self.file.write_all(b"\n")?;
                }
                self.bytes = len + u64::from(len > 0);
                "cut"
            }
            None => {
                self.begin(OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?)?;
                "removed or moved away"
            }
            Some(_) => {
                // A log rotator puts an empty one there.
                let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
                let file = OpenOptions::new().append(true).custom_flags(flags).open(path)?;
                let m = file.metadata()?;
                if !m.is_file() || m.len() > 0 {
                    return Err(io::Error::other("another file stands in its place"));
                }
                self.begin(file)?;
                "replaced"
            }
        };
        if self.bytes == 0 {
            self.file_first_seq = self.seq + 1;
        }
        tracing::error!("The audit log {} was {what} by somebody else", self.settings.path.display());
        self.add(&Record::new(Event::LogDamaged, Outcome::Failed).with("log", what));
        self.look_at_head()
    }

    fn begin(&mut self, file: File) -> io::Result<()> {
        self.file_is = identity(&file.metadata()?);
        (self.file, self.bytes) = (file, 0);
        Ok(())
    }

    /// A head that is gone is written again: what it says is known here.
    fn look_at_head(&mut self) -> io::Result<()> {
        let path = head_path(&self.settings.path);
        match at(&path)? {
            Some(there) if there == self.head_is => return Ok(()),
            Some(_) => std::fs::remove_file(&path)?,
            None => {}
        }
        self.head = open_head(&self.settings.path)?;
        self.head_is = identity(&self.head.metadata()?);
        tracing::error!("The head file of the audit log, {}, was replaced by somebody else", path.display());
        self.write_head()?;
        self.add(&Record::new(Event::LogDamaged, Outcome::Failed).with("head", "replaced"));
        Ok(())
    }

    /// Writes what is pending, then the head.
    fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // After a failure part of it may be there: it is cut off, so that no record stands there twice.
        self.file.set_len(self.bytes)?;
        self.file.write_all(self.pending.as_bytes())?;
        if self.settings.blocks {
            self.file.sync_data()?;
        }
        self.bytes += self.pending.len() as u64;
        self.figures.written.fetch_add(self.pending_seq - self.seq, Ordering::Relaxed);
        self.seq = self.pending_seq;
        self.figures.last_seq.store(self.seq, Ordering::Relaxed);
        self.pending.clear();
        if self.settings.blocks {
            self.write_head()?;
        }
        if self.settings.bytes_max > 0 && self.bytes >= self.settings.bytes_max {
            self.rotate()?;
        }
        Ok(())
    }

    fn name_last_if_due(&mut self) -> io::Result<()> {
        if clock::monotonic_ms() - self.headed_ms < HEAD_EVERY_MS { Ok(()) } else { self.name_last() }
    }

    /// Forces the log to disk, then says in the head where it ends.
    fn name_last(&mut self) -> io::Result<()> {
        if self.headed_seq == self.seq {
            return Ok(());
        }
        self.file.sync_data()?;
        self.write_head()
    }

    fn write_head(&mut self) -> io::Result<()> {
        let head = Head { seq: self.seq, mac: self.prev.clone(), first: Some(self.first_seq) };
        self.head.write_all_at(head.text(&self.settings.key).as_bytes(), 0)?;
        (self.headed_seq, self.headed_ms) = (self.seq, clock::monotonic_ms());
        Ok(())
    }

    /// Gives the file its first record's number for a name and begins another, which goes on with the chain.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let mut name = self.settings.path.as_os_str().to_owned();
        name.push(format!(".{:020}", self.file_first_seq));
        std::fs::rename(&self.settings.path, &name)?;
        self.begin(open(&self.settings.path)?)?;
        self.file_first_seq = self.seq + 1;
        Ok(())
    }

    /// Removes files that have been kept long enough.
    fn clean(&mut self) {
        let now = clock::wall_ms();
        if self.settings.retention_days == 0 || now < self.next_cleaning_ms {
            return;
        }
        self.next_cleaning_ms = now + DAY_MS / 24;
        let oldest = now - i64::from(self.settings.retention_days) * DAY_MS;
        let passed = |file: &PathBuf| {
            let changed = std::fs::metadata(file).and_then(|m| m.modified()).ok();
            let changed = changed.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
            *file != self.settings.path && changed.is_some_and(|d| (d.as_millis() as i64) < oldest)
        };
        let all = files(&self.settings.path);
        // From the oldest on, without a gap.
        let gone: Vec<PathBuf> = all.iter().take_while(|f| passed(f)).cloned().collect();
        if gone.is_empty() {
            return;
        }
        // The head first: it never names as the oldest what is not there.
        self.first_seq = all.get(gone.len()).and_then(|f| first_of(f)).unwrap_or(self.file_first_seq);
        if let Err(e) = self.file.sync_data().and_then(|()| self.write_head()) {
            tracing::warn!("Audit files that have been kept long enough stay: the head cannot be written: {e}");
            return;
        }
        for file in gone {
            match std::fs::remove_file(&file) {
                Ok(()) => tracing::info!("Audit file {} has been kept long enough and is removed", file.display()),
                Err(e) => tracing::warn!("Audit file {} cannot be removed: {e}", file.display()),
            }
        }
    }

    /// Sends a line to the system's log service: facility authpriv, severity notice. One that is not taken is lost there, not here.
    fn send(&mut self, line: &str) {
        let text = format!("<85>holdfast-audit[{}]: {line}", std::process::id());
        for _ in 0..2 {
            if self.syslog.as_ref().is_some_and(|s| s.send(text.as_bytes()).is_ok()) {
                return;
            }
            self.syslog = UnixDatagram::unbound()
                .and_then(|s| {
                    s.set_nonblocking(true)?;
                    s.connect(SYSLOG_SOCKET)?;
                    Ok(s)
                })
                .ok();
        }
    }
}

/// Where a log ends.
struct Tail {
    /// There is neither a log nor a head.
    is_new: bool,
    /// Number of the first record that is to be kept.
    first_seq: Option<u64>,
    seq: u64,
    mac: Option<String>,
    file_first_seq: Option<u64>,
    whole_bytes: u64,
    unfinished_bytes: u64,
}

impl Tail {
    /// Reads the end of the log. Its last record must be one of this key: a chain is not gone on with under another.
    fn read(path: &Path, key: &Key) -> Result<Tail, String> {
        let mut tail = Tail {
            is_new: false,
            first_seq: None,
            seq: 0,
            mac: None,
            file_first_seq: None,
            whole_bytes: 0,
            unfinished_bytes: 0,
        };
        let moved = |fault| {
            format!("{fault}. Run `holdfast audit verify`; to begin a new chain move the log and its .head file away")
        };
        match Head::read(path, key).map_err(moved)? {
            Some(head) => {
                (tail.seq, tail.mac, tail.first_seq) = (head.seq, (head.seq > 0).then_some(head.mac), head.first);
            }
            None => tail.is_new = true,
        }
        let all = files(path);
        if tail.is_new && all.iter().any(|f| std::fs::metadata(f).is_ok_and(|m| m.len() > 0)) {
            return Err(moved(Fault::NoHead));
        }
        // A head of an earlier version does not say it.
        tail.first_seq = tail.first_seq.or_else(|| all.first().and_then(|f| first_of(f)));
        let mut last = None;
        if let Some(ends) = ends(path).map_err(|e| e.to_string())? {
            (tail.whole_bytes, tail.unfinished_bytes) = (ends.whole_bytes, ends.unfinished_bytes);
            if !ends.last.is_empty() {
                tail.file_first_seq = judge(&ends.first, key).ok().map(|(seq, _, _)| seq);
                last = Some(ends.last);
            }
        }
        // A file that has just been begun has nothing in it: the log ends in the one that was put aside, which may be ahead of the head.
        if last.is_none()
            && let Some(aside) = all.iter().rfind(|f| *f != path)
        {
            last = ends(aside).map_err(|e| format!("{}: {e}", aside.display()))?.map(|ends| ends.last);
        }
        let (seq, mac) = match last {
            Some(line) => judge(&line, key).map(|(seq, _, mac)| (seq, Some(mac))).map_err(moved)?,
            None => (0, None),
        };
        if seq < tail.seq {
            return Err(moved(Fault::Cut { last: seq, head: tail.seq }));
        }
        (tail.seq, tail.mac) = (seq, mac);
        Ok(tail)
    }
}

/// The first and the last whole line of a file.
struct Ends {
    first: Vec<u8>,
    last: Vec<u8>,
    whole_bytes: u64,
    unfinished_bytes: u64,
}

/// Reads both ends of a file, however large it is; `None` if there is none.
fn ends(path: &Path) -> io::Result<Option<Ends>> {
    let mut file = match storage::open_regular(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let len = file.metadata()?.len();
    let mut first = Vec::new();
    BufReader::new(Read::take(&mut file, LINE_BYTES_MAX as u64)).read_until(b'\n', &mut first)?;
    // The last whole line, and half a line behind it.
    let from = len.saturating_sub(2 * LINE_BYTES_MAX as u64);
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    Read::take(&mut file, len - from).read_to_end(&mut text)?;
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let last = text[..whole].split(|b| *b == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default().to_vec();
    if whole == 0 && from > 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its end is no record"));
    }
    first.pop_if(|b| *b == b'\n');
    Ok(Some(Ends { first, last, whole_bytes: from + whole as u64, unfinished_bytes: (text.len() - whole) as u64 }))
}
