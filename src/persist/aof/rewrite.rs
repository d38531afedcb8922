//! A new base: the data set of a cut takes the place of everything the log says about how it came to be.

use super::load::Recovered;
use super::log::{Log, manifest_name};
use super::manifest::Manifest;
use super::{Opened, Order, commands, load, writer};
use crate::base::clock;
use crate::config::Config;
use crate::config::types::RdbVersion;
use crate::keyspace::{AccessPolicy, Keyspace, Pace, Space, WalkError};
use crate::persist::rdb;
use crate::persist::saver::{JobKind, Owner, Refused};
use crate::persist::snapshot::{self, Snapshot, format};
use crate::storage::doublewrite::{self, BUFFER_BYTES, buffer_name};
use crate::storage::{self, Disk, DoublewriteDisk, Local, SealedDisk};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the names of files begin with that are to become a base.
pub const TEMPORARY: &str = "temp-rewriteaof-";

/// The folder of the log, in the working directory.
pub fn folder(config: &Config) -> PathBuf {
    PathBuf::from(&config.persistence.appenddirname)
}

/// The disk a log of this name grows on: files are sealed on it if they are to be.
pub(super) fn disk(prefix: &str) -> Arc<dyn Disk> {
    let local = DoublewriteDisk::new(Arc::new(Local), buffer_name(prefix), BUFFER_BYTES);
    if storage::keyring().seals() { Arc::new(SealedDisk::of_process(Arc::new(local))) } else { Arc::new(local) }
}

/// Brings back to the log what a machine that failed had acknowledged and not yet forced to the log itself; before it is looked at.
///
/// # Errors
/// Those of the disk; then nothing is to be loaded.
pub fn bring_back(config: &Config) -> io::Result<()> {
    doublewrite::recover(&folder(config), &buffer_name(&config.persistence.appendfilename)).map(|_| ())
}

pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o750).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// A base that is being made. What the directives say when it begins holds until it is there.
struct Base {
    /// Where the snapshot is written.
    snapshot: PathBuf,
    /// Where the base is when it is whole: the snapshot itself, or its commands.
    path: PathBuf,
    /// When it was begun, in seconds since the epoch, if that is to be noted.
    second: Option<i64>,
}

impl Base {
    fn new(config: &Config, infix: &str) -> Base {
        let (folder, pid) = (folder(config), std::process::id());
        let path = folder.join(format!("{TEMPORARY}{infix}{pid}.aof"));
        let snapshot = match config.persistence.aof_use_rdb_preamble {
            true => path.clone(),
            false => folder.join(format!("{TEMPORARY}{infix}{pid}.rdb")),
        };
        let second = config.persistence.aof_timestamp_enabled.then(|| clock::wall_ms() / 1000);
        Base { snapshot, path, second }
    }

    fn is_snapshot(&self) -> bool {
        self.snapshot == self.path
    }

    fn format<S: Owner>(&self, server: &S, config: &Config, access: crate::keyspace::Access) -> rdb::Format {
        let mut format = format(config, access, server.functions());
        // What the base says of itself.
        format.aux.push(("aof-base", "1".into()));
        if self.is_snapshot() {
            format.aux.extend(server.moment());
        } else {
            // It is read here only, so that nothing need be left out for those who are older.
            format.version = RdbVersion::V9;
        }
        format
    }

    /// The snapshot is whole: makes the base of it. `bytes` are the snapshot's; the base's are returned.
    fn finish(
        &self,
        config: &Config,
        keyspace: &Keyspace,
        bytes: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<u64, WalkError> {
        if self.is_snapshot() {
            return Ok(bytes);
        }
        let incremental = config.persistence.aof_rewrite_incremental_fsync;
        let options = snapshot::load_options(config, false);
        let access = crate::keyspace::Access { policy: AccessPolicy::Lru, now_ms: clock::wall_ms() };
        let made = storage::open_data(&self.snapshot).and_then(|file| file.ok_or(io::ErrorKind::NotFound.into()));
        let made = made.and_then(|file| {
            storage::create_snapshot(&self.path, incremental, |out| {
                let databases = keyspace.databases();
                commands::of_snapshot(file, out, &options, access, databases, self.second, stop)
                    .map_err(|e| io::Error::other(e.to_string()))
            })
        });
        storage::remove(&self.snapshot);
        made.map_err(|e| if stop() { WalkError::Stopped } else { WalkError::Sink(e) })
    }
}

/// Begins a rewrite, or, while the log is off, what it begins with. Every stripe is held.
///
/// # Errors
/// Something runs already; a log that is switched on cannot be begun.
pub fn begin<S: Owner>(server: &Arc<S>, space: &mut Space<'_>) -> Result<(), Refused> {
    let (config, aof, saver) = (server.configuration(), server.aof(), server.saver());
    let base = Base::new(&config, "bg-");
    let rdb = base.is_snapshot();
    let format = base.format(&**server, &config, space.access);
    let (snapshot, stop) = saver.begin_job(JobKind::Rewrite, || Snapshot::cut(space, format).ok())?;
    let (cursor, history) = (server.journal().cursor_here(0), aof.history());
    tracing::info!("Background append only file rewriting started by thread of pid {}", std::process::id());
    let logged = config.persistence.appendonly;
    if aof.is_writing() {
        aof.order(Order::Begin { cursor, history });
    } else if !logged {
        drop(cursor);
    } else if let Err(e) = begin_log(server, &config).map(|()| aof.order(Order::Begin { cursor, history })) {
        tracing::warn!("The append only folder cannot be used: {e}");
        aof.figures.lock().last_rewrite_failed = true;
        saver.end_job();
        return Err(Refused::Disk);
    }
    let own = Arc::clone(server);
    let thread = std::thread::Builder::new().name("aof-rewrite".into()).spawn(move || {
        let pace = Pace {
            stop: &|| stop.load(Ordering::Acquire),
            key_delay_us: &|| own.configuration().persistence.rdb_key_save_delay_us,
        };
        let incremental = config.persistence.aof_rewrite_incremental_fsync;
        let result = make_folder(&folder(&config)).map_err(WalkError::Sink).and_then(|()| {
            storage::create_snapshot(&base.snapshot, incremental, |out| {
                snapshot.run(own.keyspace(), &pace, &mut |bytes| out.write_all(bytes))
            })
        });
        let written = result.and_then(|written| base.finish(&config, own.keyspace(), written.bytes, pace.stop));
        let written = match written {
            Ok(bytes) => Some((base.path, bytes)),
            Err(WalkError::Stopped) => None,
            Err(WalkError::Sink(e)) => {
                tracing::warn!("Writing the AOF base failed: {e}");
                None
            }
        };
        if !logged {
            put_alone(&*own, written, rdb);
        } else if let Err(Order::Base { written, .. }) = own.aof().order_if_writing(Order::Base { written, rdb }) {
            forget(&*own, written.as_ref());
        }
    });
    if let Err(e) = thread {
        tracing::warn!("Can't rewrite the append only file in background: no thread: {e}");
        if logged {
            aof.order(Order::Base { written: None, rdb });
        } else {
            saver.end_job();
        }
    }
    Ok(())
}

/// Makes the snapshot file that has just taken the place of the data the base of the log: what a rewrite would write is there already. Every
/// stripe is held. Where that cannot be, a rewrite follows, as the log has lost its place.
pub fn adopt<S: Owner>(server: &S, snapshot: &Path) {
    let (config, aof) = (server.configuration(), server.aof());
    let p = &config.persistence;
    if !p.appendonly || !p.aof_use_rdb_preamble || server.saver().running() == Some(JobKind::Rewrite) {
        return;
    }
    let path = folder(&config).join(format!("{TEMPORARY}sync-{}.aof", std::process::id()));
    let bytes = match storage::link(snapshot, &path) {
        Ok(bytes) => bytes,
        Err(e) => {
            tracing::info!("The copy of the primary cannot be the base of the append-only file: {e}");
            return;
        }
    };
    let order = Order::Adopt { cursor: server.journal().cursor_here(0), history: aof.history(), path, bytes };
    match aof.order_if_writing(order) {
        Ok(()) => tracing::info!("Reused RDB file from primary sync as AOF base file"),
        Err(Order::Adopt { path, .. }) => storage::remove(&path),
        Err(_) => {}
    }
}

/// The log was switched off before its base was there: nobody wants that any more.
pub(super) fn forget<S: Owner>(server: &S, written: Option<&(PathBuf, u64)>) {
    if let Some((path, _)) = written {
        storage::remove(path);
    }
    if server.saver().running() == Some(JobKind::Rewrite) {
        server.saver().end_job();
    }
}

/// A base that nothing follows: what a rewrite makes while the log is off.
fn put_alone<S: Owner>(server: &S, written: Option<(PathBuf, u64)>, rdb: bool) {
    let (config, saver) = (server.configuration(), server.saver());
    let prefix = &config.persistence.appendfilename;
    let claimed = server.aof().claim(&folder(&config));
    let is_new = matches!(claimed, Ok(true));
    let result = claimed.and_then(|_| match &written {
        Some((path, bytes)) => left_behind(&config).and_then(|manifest| {
            let first = manifest.next_increment(prefix).number;
            Log::new(disk(prefix), &folder(&config), prefix, manifest, 0, false).put_base(path, rdb, first, *bytes)
        }),
        None => Err(io::Error::other("its base could not be written")),
    });
    if is_new {
        server.aof().release();
    }
    let mut f = server.aof().figures.lock();
    f.last_rewrite_failed = result.is_err();
    f.last_rewrite_seconds = saver.running_seconds();
    match result {
        Ok(()) => {
            f.rewrites += 1;
            tracing::info!("Background AOF rewrite finished successfully");
        }
        Err(e) => {
            if let Some((path, _)) = &written {
                storage::remove(path);
            }
            f.failed_rewrites += 1;
            tracing::warn!("Background AOF rewrite terminated with error: {e}");
        }
    }
    drop(f);
    saver.end_job();
}

/// What an earlier log left in the folder, which is made if it is not there.
fn left_behind(config: &Config) -> io::Result<Manifest> {
    let p = &config.persistence;
    make_folder(&folder(config))?;
    match std::fs::read_to_string(folder(config).join(manifest_name(&p.appendfilename))) {
        // Its files are not loaded, only replaced: whether they are what was written is all the same.
        Ok(text) => return Manifest::parse(&text).map_err(io::Error::other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    match load::find(Path::new("."), &p.appenddirname, &p.appendfilename) {
        Ok(load::Found::Log(manifest)) => Ok(manifest),
        Ok(load::Found::Nothing) => beside_what_is_there(&folder(config), &p.appendfilename),
        Err(e) => Err(io::Error::other(e.to_string())),
    }
}

/// The manifest of a new log in a folder that has none. What is there may be all that somebody has whose manifest was lost: it stays.
fn beside_what_is_there(folder: &Path, prefix: &str) -> io::Result<Manifest> {
    let mut manifest = Manifest::default();
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_part = manifest.make_way_for(&entry.file_name().to_string_lossy(), prefix);
        files += usize::from(is_part && entry.metadata().is_ok_and(|m| m.len() > 0));
    }
    if files > 0 {
        tracing::warn!(
            "The append only folder {} has {files} files of a log and no manifest that names them: they are not loaded, and stay as they are",
            folder.display()
        );
    }
    Ok(manifest)
}

/// Whether a log can be begun here: said before it is promised.
///
/// # Errors
/// The folder is another server's, cannot be used, or holds what is no log.
pub fn prepare<S: Owner>(server: &Arc<S>, config: &Config) -> io::Result<()> {
    let is_new = server.aof().claim(&folder(config))?;
    left_behind(config).map(drop).inspect_err(|_| {
        if is_new {
            server.aof().release();
        }
    })
}

/// Whether a rewrite that is asked for can begin, as far as that shows without beginning it: who asks is told, while one that begins by itself
/// fails into the log.
///
/// # Errors
/// The folder of the log is another server's, no folder, or takes no file; the next increment's name is a folder's. The log has it too, and
/// INFO.
pub fn ready<S: Owner>(server: &Arc<S>) -> Result<(), Refused> {
    let config = server.configuration();
    let folder = folder(&config);
    let result = if server.aof().is_writing() {
        make_folder(&folder).and_then(|()| next_increment_is_free(&folder, &config.persistence.appendfilename))
    } else {
        server.aof().claim(&folder).and_then(|is_new| {
            let found = left_behind(&config).map(drop);
            if is_new {
                server.aof().release();
            }
            found
        })
    };
    result.and_then(|()| storage::probe(&folder, "temp-rewriteaof-probe")).map_err(|e| {
        tracing::warn!("Can't rewrite the append only file: {}: {e}", folder.display());
        server.aof().figures.lock().last_rewrite_failed = true;
        Refused::Disk
    })
}

/// A file that has the name already is of an attempt that failed, and is emptied. Where the manifest cannot be read the writer knows better.
fn next_increment_is_free(folder: &Path, prefix: &str) -> io::Result<()> {
    let text = std::fs::read_to_string(folder.join(manifest_name(prefix))).unwrap_or_default();
    let Ok(manifest) = Manifest::parse(&text) else { return Ok(()) };
    let path = folder.join(manifest.next_increment(prefix).name);
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, format!("{} is a folder", path.display())));
    }
    Ok(())
}

/// A log that waits for its first base; what an earlier one left in the folder becomes history with it.
fn begin_log<S: Owner>(server: &Arc<S>, config: &Config) -> io::Result<()> {
    server.aof().claim(&folder(config))?;
    let manifest = left_behind(config)?;
    let log = Log::new(
        disk(&config.persistence.appendfilename),
        &folder(config),
        &config.persistence.appendfilename,
        manifest,
        0,
        false,
    );
    writer::start(server, Opened { log, cursor: None })
}

/// Opens a log at the start, before anybody changes anything. Where there was none, the data set that was loaded is its base.
///
/// # Errors
/// Those of the disk.
pub fn open<S: Owner>(server: &Arc<S>, found: Option<(Manifest, Recovered)>, space: &mut Space<'_>) -> io::Result<()> {
    let config = server.configuration();
    let (folder, prefix) = (folder(&config), &config.persistence.appendfilename);
    make_folder(&folder)?;
    let mut log;
    if let Some((manifest, recovered)) = found {
        log = Log::new(disk(prefix), &folder, prefix, manifest, recovered.bytes, true);
        log.open(recovered.last_text)?;
    } else {
        log = Log::new(disk(prefix), &folder, prefix, beside_what_is_there(&folder, prefix)?, 0, false);
        let first = log.begin_increment()?;
        let base = Base::new(&config, "");
        let format = base.format(&**server, &config, space.access);
        let written =
            storage::create_snapshot(&base.snapshot, true, |out| rdb::write(space, out, &format, &|| Ok(())))?;
        let bytes = base.finish(&config, server.keyspace(), written.bytes, &|| false).map_err(|e| match e {
            WalkError::Sink(e) => e,
            WalkError::Stopped => io::ErrorKind::Interrupted.into(),
        })?;
        log.put_base(&base.path, base.is_snapshot(), first, bytes)?;
        tracing::info!(
            "Creating AOF base file {} on server start",
            log.manifest().base.as_ref().map_or("", |b| &b.name)
        );
        tracing::info!("Creating AOF incr file on server start");
    }
    let cursor = server.journal().cursor_here(0);
    writer::start(server, Opened { log, cursor: Some(cursor) })
}
