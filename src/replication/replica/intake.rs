//! A full copy comes in: into the loader while the primary still sends (`repl-diskless-load`), or into a file that is loaded when it is whole.
//!
//! ```text
//! receiver (link.rs, or copying.rs on a connection of its own)   loader, a thread of its own
//!   begin:  swapdb | flush-before-load | on-empty-db: started  ->  load::replace reads the pipe
//!   put:    to the pipe, or to the file
//!   end:    the pipe is ended, or the file begins to be read   ->  the copy takes the data's place
//! ```
//!
//! # Invariants
//! * The receiver never waits longer than [`LOOK`] without looking whether it should: a load that nobody wants is given up, and a primary
//!   that waits for us is told that we are there.
//! * An intake that is dropped has stopped its loader and waited for it: the next one has the key space alone.
//! * While `look` says that a copy is loaded there is a loader; it says so before the old data go.

use super::super::Host;
use super::Progress;
use super::link::Stop;
use super::load::{self, Moment, Old, Supply};
use super::pipe::{Inlet, Put, pipe};
use crate::base::clock;
use crate::config::types::ReplDisklessLoad;
use crate::persist::rdb::Loading;
use crate::storage::{self, DataFile};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at whether to wait on.
const LOOK: Duration = Duration::from_millis(50);

/// What the receiver does while it waits: an error is why it should not any more.
pub(super) type Patience<'a> = &'a mut dyn FnMut() -> Result<(), Stop>;

/// A copy on its way.
pub(super) struct Intake {
    host: Arc<dyn Host>,
    epoch: u64,
    moment: Moment,
    way: Way,
}

enum Way {
    File(Received),
    Loader { inlet: Inlet, loader: Loader },
}

impl Intake {
    /// A copy begins, of this size if it is known.
    ///
    /// # Errors
    /// There can be no file or no thread, or the link is not the one any more.
    pub(super) fn begin(host: Arc<dyn Host>, epoch: u64, moment: Moment, bytes: Option<u64>) -> Result<Intake, Stop> {
        let old = old_data(&*host, &moment);
        let what = bytes.map_or("streamed RDB from primary with EOF".to_owned(), |n| format!("{n} bytes from primary"));
        let to = if old.is_some() { "parser" } else { "disk" };
        tracing::info!("PRIMARY <-> REPLICA sync: receiving {what} to {to}");
        host.replication().follower.update(epoch, |f| {
            f.sync = Some(Progress { total: bytes, read: 0, last_ms: clock::monotonic_ms() });
        });
        let way = match old {
            None => Way::File(Received::create().map_err(not_kept)?),
            Some(old) => {
                let (inlet, outlet) = pipe();
                let loader =
                    Loader::start(&host, epoch, &moment, old, (bytes.unwrap_or(0), "socket"), Box::new(outlet))?;
                Way::Loader { inlet, loader }
            }
        };
        Ok(Intake { host, epoch, moment, way })
    }

    /// Takes more of it.
    ///
    /// # Errors
    /// It cannot be loaded or kept, or the receiver should not wait any longer.
    pub(super) fn put(&mut self, mut bytes: Vec<u8>, patience: Patience<'_>) -> Result<(), Stop> {
        let n = bytes.len() as u64;
        match &mut self.way {
            Way::File(file) => file.put(&bytes).map_err(not_kept)?,
            Way::Loader { inlet, loader } => loop {
                match inlet.put(&mut bytes, LOOK) {
                    Put::Taken => break,
                    Put::Full => patience()?,
                    // It has failed, for it is not through before the end.
                    Put::Unread => {
                        loader.wait(&mut *patience)?;
                        return Err(Stop::Copy("the copy goes on behind its end".into()));
                    }
                }
            },
        }
        self.host.replication().follower.update(self.epoch, |f| {
            let p = f.sync.get_or_insert_default();
            p.read += n;
            p.last_ms = clock::monotonic_ms();
        });
        Ok(())
    }

    /// All of it is in: waits until it has taken the place of the data. Returns the database that is selected where the stream goes on.
    ///
    /// # Errors
    /// As of [`Intake::put`].
    pub(super) fn end(self, patience: Patience<'_>) -> Result<u32, Stop> {
        let Intake { host, epoch, moment, way } = self;
        match way {
            Way::Loader { inlet, loader } => {
                inlet.end();
                loader.wait(patience)
            }
            Way::File(file) => {
                let (path, kept) = file.keep(&*host)?;
                let from = (kept.bytes, "disk");
                let loader = Loader::start(&host, epoch, &moment, Old::Dropped, from, Box::new(kept))?;
                let result = loader.wait(patience);
                let config = host.config().current();
                let alone = config.persistence.save.is_empty() && !config.persistence.appendonly;
                // A file that cannot be loaded would keep this server from starting.
                if matches!(result, Err(Stop::Copy(_))) || (alone && config.persistence.rdb_del_sync_files) {
                    storage::remove(&path);
                }
                result
            }
        }
    }
}

/// The disk does not take it, and may not take the next one: a primary must not be kept busy for that.
fn not_kept(e: io::Error) -> Stop {
    Stop::Copy(format!(
        "Write error or short write writing to the DB dump file needed for PRIMARY <-> REPLICA synchronization: {e}"
    ))
}

/// What becomes of the data if a copy is loaded while it comes; `None` if it goes into a file first.
fn old_data(host: &dyn Host, moment: &Moment) -> Option<Old> {
    match host.config().current().replication.repl_diskless_load {
        ReplDisklessLoad::Disabled => None,
        ReplDisklessLoad::FlushBeforeLoad => Some(Old::Dropped),
        ReplDisklessLoad::OnEmptyDb => host.keyspace().sizes().iter().all(|s| s.0 == 0).then_some(Old::Dropped),
        ReplDisklessLoad::Swapdb if host.replication().identity.lock().id == moment.id => Some(Old::Served),
        ReplDisklessLoad::Swapdb => Some(Old::Kept),
    }
}

/// The loading thread.
struct Loader {
    loading: Arc<Loading>,
    outcome: Receiver<Result<u32, String>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    fn start(
        host: &Arc<dyn Host>,
        epoch: u64,
        moment: &Moment,
        old: Old,
        (bytes, from): (u64, &'static str),
        mut copy: Box<dyn Supply>,
    ) -> Result<Loader, Stop> {
        let loading = Arc::new(Loading::default());
        loading.total_bytes.store(bytes, Ordering::Relaxed);
        loading.key_delay_us.store(host.config().current().general.key_load_delay_us, Ordering::Relaxed);
        loading.begin(clock::wall_ms() / 1000);
        if !host.replication().follower.begin_loading(epoch, old == Old::Served, Arc::clone(&loading)) {
            return Err(Stop::Over);
        }
        let (sender, outcome) = channel();
        let mut loader = Loader { loading: Arc::clone(&loading), outcome, thread: None };
        let (host, moment) = (Arc::clone(host), moment.clone());
        let run = move || {
            let result = load_over(&*host, epoch, &moment, old, &mut *copy, loading);
            if let Err(why) = &result {
                tracing::warn!(
                    "Failed trying to load the PRIMARY synchronization DB from {from}, check server logs. {why}"
                );
            }
            host.replication().follower.end_loading(epoch);
            // Whoever does not listen any more has stopped it.
            let _ = sender.send(result);
        };
        loader.thread = Some(std::thread::Builder::new().name("primary-load".into()).spawn(run)?);
        Ok(loader)
    }

    fn wait(&self, mut patience: impl FnMut() -> Result<(), Stop>) -> Result<u32, Stop> {
        loop {
            match self.outcome.recv_timeout(LOOK) {
                Ok(result) => return result.map_err(Stop::Copy),
                Err(RecvTimeoutError::Timeout) => patience()?,
                Err(RecvTimeoutError::Disconnected) => return Err(Stop::Copy("the loading thread has ended".into())),
            }
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.loading.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn load_over(
    host: &dyn Host,
    epoch: u64,
    moment: &Moment,
    old: Old,
    from: &mut dyn Supply,
    loading: Arc<Loading>,
) -> Result<u32, String> {
    if old == Old::Dropped {
        tracing::info!("PRIMARY <-> REPLICA sync: Flushing old data");
        if !load::empty(host, epoch)? {
            return Err("another primary was chosen meanwhile".into());
        }
    }
    tracing::info!("PRIMARY <-> REPLICA sync: Loading DB in memory");
    let result = load::replace(host, epoch, moment, from, loading);
    if old == Old::Dropped && result.is_err() {
        load::give_up(host, epoch);
    }
    result
}

/// The file a copy is received into. It goes when this does, unless it was kept.
struct Received {
    path: PathBuf,
    file: Option<storage::Writer>,
    bytes: u64,
}

impl Received {
    fn create() -> io::Result<Received> {
        let path = PathBuf::from(format!("temp-{}.{}.rdb", clock::wall_ms() / 1000, std::process::id()));
        let file = storage::create_temporary(&path)?;
        Ok(Received { path, file: Some(file), bytes: 0 })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// Puts it in the place of the snapshot, from which it is then loaded: a restart from now on begins with it.
    fn keep(mut self, host: &dyn Host) -> Result<(PathBuf, Kept), Stop> {
        let config = host.config().current();
        let path = PathBuf::from(&config.persistence.dbfilename);
        // A save of the old data must not come after it.
        while host.saver().cancel() {
            std::thread::sleep(LOOK);
        }
        if let Some(file) = self.file.take()
            && let Err(e) = storage::keep_temporary(file, &self.path, &path)
        {
            let why = format!(
                "Failed trying to rename the temp DB into {} in PRIMARY <-> REPLICA synchronization: {e}",
                path.display()
            );
            return Err(Stop::Copy(why));
        }
        let kept = Kept::open(&path, self.bytes)?;
        Ok((path, kept))
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        storage::remove(&self.path);
    }
}

/// The same when it is whole.
struct Kept {
    path: PathBuf,
    from: io::BufReader<DataFile>,
    bytes: u64,
}

impl Kept {
    fn open(path: &Path, bytes: u64) -> io::Result<Kept> {
        let file = storage::open_data(path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Kept { path: path.into(), from: io::BufReader::with_capacity(1 << 20, file), bytes })
    }
}

impl Read for Kept {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.from.read(into)
    }
}

impl Supply for Kept {
    fn rest(&mut self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
