//! A new base: the data set of a cut takes the place of everything the log says about how it came to be.

use super::log::Log;
use super::manifest::Manifest;
use super::{Opened, Order, load, writer};
use crate::config::Config;
use crate::keyspace::{Pace, Space, WalkError};
use crate::persist::rdb;
use crate::persist::saver::{JobKind, Owner, Refused};
use crate::persist::snapshot::{Snapshot, format};
use crate::storage::{self, Disk, Local, SealedDisk};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The folder of the log, in the working directory.
pub fn folder(config: &Config) -> PathBuf {
    PathBuf::from(&config.persistence.appenddirname)
}

/// The disk a log grows on: files are sealed on it if they are to be.
fn disk() -> Arc<dyn Disk> {
    if storage::keyring().seals() { Arc::new(SealedDisk::of_process(Arc::new(Local))) } else { Arc::new(Local) }
}

fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o750).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// What the base says of itself.
fn base_format<S: Owner>(server: &S, config: &Config, access: crate::keyspace::Access) -> rdb::Format {
    let mut format = format(config, access, server.functions());
    format.aux.push(("aof-base", "1".into()));
    format
}

/// Begins a rewrite, or, while the log is off, what it begins with. Every stripe is held.
///
/// # Errors
/// Something runs already.
pub fn begin<S: Owner>(server: &Arc<S>, space: &mut Space<'_>) -> Result<(), Refused> {
    let (config, aof, saver) = (server.configuration(), server.aof(), server.saver());
    let format = base_format(&**server, &config, space.access);
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
        return Ok(());
    }
    let own = Arc::clone(server);
    let thread = std::thread::Builder::new().name("aof-rewrite".into()).spawn(move || {
        let config = own.configuration();
        let path = folder(&config).join(format!("temp-rewriteaof-bg-{}.aof", std::process::id()));
        let pace = Pace {
            stop: &|| stop.load(Ordering::Acquire),
            key_delay_us: &|| own.configuration().persistence.rdb_key_save_delay_us,
        };
        let incremental = config.persistence.aof_rewrite_incremental_fsync;
        let result = make_folder(&folder(&config)).map_err(WalkError::Sink).and_then(|()| {
            storage::create_snapshot(&path, incremental, |out| {
                snapshot.run(own.keyspace(), &pace, &mut |bytes| out.write_all(bytes))
            })
        });
        let written = match result {
            Ok(written) => Some((path, written.bytes)),
            Err(WalkError::Stopped) => None,
            Err(WalkError::Sink(e)) => {
                tracing::warn!("Writing the AOF base failed: {e}");
                None
            }
        };
        if !logged {
            put_alone(&*own, written);
        } else if let Err(Order::Base { written, .. }) = own.aof().order_if_writing(Order::Base { written, rdb: true })
        {
            forget(&*own, written.as_ref());
        }
    });
    if let Err(e) = thread {
        tracing::warn!("Can't rewrite the append only file in background: no thread: {e}");
        if logged {
            aof.order(Order::Base { written: None, rdb: true });
        } else {
            saver.end_job();
        }
    }
    Ok(())
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
fn put_alone<S: Owner>(server: &S, written: Option<(PathBuf, u64)>) {
    let (config, saver) = (server.configuration(), server.saver());
    let prefix = &config.persistence.appendfilename;
    let result = match &written {
        Some((path, bytes)) => left_behind(&config).and_then(|manifest| {
            let first = manifest.next_increment(prefix).number;
            Log::new(disk(), &folder(&config), prefix, manifest, 0, false).put_base(path, true, first, *bytes)
        }),
        None => Err(io::Error::other("its base could not be written")),
    };
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
    match load::find(Path::new("."), &p.appenddirname, &p.appendfilename) {
        Ok(load::Found::Log(manifest)) => Ok(manifest),
        Ok(load::Found::Nothing) => Ok(Manifest::default()),
        Err(e) => Err(io::Error::other(e.to_string())),
    }
}

/// A log that waits for its first base; what an earlier one left in the folder becomes history with it.
fn begin_log<S: Owner>(server: &Arc<S>, config: &Config) -> io::Result<()> {
    let manifest = left_behind(config)?;
    let log = Log::new(disk(), &folder(config), &config.persistence.appendfilename, manifest, 0, false);
    writer::start(server, Opened { log, cursor: None })
}

/// Opens a log at the start, before anybody changes anything. Where there was none, the data set that was loaded is its base.
///
/// # Errors
/// Those of the disk.
pub fn open<S: Owner>(server: &Arc<S>, found: Option<(Manifest, u64)>, space: &mut Space<'_>) -> io::Result<()> {
    let config = server.configuration();
    let (folder, prefix) = (folder(&config), &config.persistence.appendfilename);
    make_folder(&folder)?;
    let mut log;
    if let Some((manifest, bytes)) = found {
        log = Log::new(disk(), &folder, prefix, manifest, bytes, true);
        log.open()?;
    } else {
        log = Log::new(disk(), &folder, prefix, Manifest::default(), 0, false);
        let first = log.begin_increment()?;
        let path = folder.join(format!("temp-rewriteaof-{}.aof", std::process::id()));
        let format = base_format(&**server, &config, space.access);
        let written = storage::create_snapshot(&path, true, |out| rdb::write(space, out, &format))?;
        log.put_base(&path, true, first, written.bytes)?;
        tracing::info!(
            "Creating AOF base file {} on server start",
            log.manifest().base.as_ref().map_or("", |b| &b.name)
        );
        tracing::info!("Creating AOF incr file on server start");
    }
    let cursor = server.journal().cursor_here(0);
    writer::start(server, Opened { log, cursor: Some(cursor) })
}
