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
    let ring = storage::keyring();
    if ring.seals() { Arc::new(SealedDisk::new(Arc::new(Local), ring)) } else { Arc::new(Local) }
}

fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o750).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// What the base says of itself.
fn base_format(config: &Config, access: crate::keyspace::Access) -> rdb::Format {
    let mut format = format(config, access);
    format.aux.push(("aof-base", "1".into()));
    format
}

/// Begins a rewrite, or, while the log is off, what it begins with. Every stripe is held.
///
/// # Errors
/// Something runs already.
pub fn begin<S: Owner>(server: &Arc<S>, space: &mut Space<'_>) -> Result<(), Refused> {
    let (config, aof, saver) = (server.configuration(), server.aof(), server.saver());
    let format = base_format(&config, space.access);
    let (snapshot, stop) = saver.begin_job(JobKind::Rewrite, || Snapshot::cut(space, format).ok())?;
    let (cursor, history) = (server.journal().cursor_here(0), aof.history());
    tracing::info!("Background append only file rewriting started by thread of pid {}", std::process::id());
    if aof.is_writing() {
        aof.order(Order::Begin { cursor, history });
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
        let result = storage::create_snapshot(&path, incremental, |out| {
            snapshot.run(own.keyspace(), &pace, &mut |bytes| out.write_all(bytes))
        });
        let written = match result {
            Ok(written) => Some((path, written.bytes)),
            Err(WalkError::Stopped) => None,
            Err(WalkError::Sink(e)) => {
                tracing::warn!("Writing the AOF base failed: {e}");
                None
            }
        };
        own.aof().order(Order::Base { written, rdb: true });
    });
    if let Err(e) = thread {
        tracing::warn!("Can't rewrite the append only file in background: no thread: {e}");
        aof.order(Order::Base { written: None, rdb: true });
    }
    Ok(())
}

/// A log that waits for its first base; what an earlier one left in the folder becomes history with it.
fn begin_log<S: Owner>(server: &Arc<S>, config: &Config) -> io::Result<()> {
    let folder = folder(config);
    make_folder(&folder)?;
    let prefix = &config.persistence.appendfilename;
    let manifest = match load::find(Path::new("."), &config.persistence.appenddirname, prefix) {
        Ok(load::Found::Log(manifest)) => manifest,
        Ok(load::Found::Nothing) => Manifest::default(),
        Err(e) => return Err(io::Error::other(e.to_string())),
    };
    let log = Log::new(disk(), &folder, prefix, manifest, 0, false);
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
        let format = base_format(&config, space.access);
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
