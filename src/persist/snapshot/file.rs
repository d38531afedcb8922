//! The snapshot file: `dbfilename` in the working directory, which is `dir`.

use super::format;
use crate::config::Config;
use crate::config::types::RdbVersionCheck;
use crate::keyspace::Space;
use crate::persist::rdb::{self, Limits, LoadOptions, Loaded, Loading, RdbError, Written};
use crate::storage;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why a snapshot could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    Open(io::Error),
    Content(RdbError),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::Open(e) => write!(f, "it cannot be opened: {e}"),
            LoadError::Content(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// How this server, a primary, loads them.
pub fn load_options(config: &Config, merge: bool) -> LoadOptions {
    LoadOptions {
        loading: None,
        limits: Limits::of(config),
        relaxed: config.persistence.rdb_version_check == RdbVersionCheck::Relaxed,
        checksum: config.persistence.rdbchecksum,
        merge,
        tell_keys: !config.logging.hide_user_data_from_log,
        keep_expired: false,
    }
}

/// Writes all databases into the file; every stripe is held, and everybody waits. The file that was there goes only when the new one is
/// whole on disk.
///
/// # Errors
/// Those of the disk.
pub fn save(space: &mut Space<'_>, config: &Config) -> io::Result<Written> {
    save_with(space, config, Vec::new())
}

/// The same; the file says this of itself too.
///
/// # Errors
/// Those of the disk.
pub fn save_with(space: &mut Space<'_>, config: &Config, about: Vec<(&'static str, String)>) -> io::Result<Written> {
    let mut format = format(config, space.access);
    format.aux.extend(about);
    let incremental = config.persistence.rdb_save_incremental_fsync;
    storage::replace_snapshot(Path::new(&config.persistence.dbfilename), incremental, |out| {
        rdb::write(space, out, &format)
    })
}

/// Looks whether the file, if it is there, begins like one that can be loaded.
///
/// # Errors
/// See [`LoadError`].
pub fn look(config: &Config) -> Result<(), LoadError> {
    let path = Path::new(&config.persistence.dbfilename);
    let Some(file) = storage::open_data(path).map_err(LoadError::Open)? else { return Ok(()) };
    rdb::begins(file, load_options(config, false).relaxed).map_err(LoadError::Content)
}

/// Loads the file, if it is there; every stripe is held, or none (see [`rdb::load`]). Nobody is told of the keys.
///
/// # Errors
/// See [`LoadError`]; a part of the data may be there then.
pub fn load(
    space: &mut Space<'_>,
    config: &Config,
    merge: bool,
    loading: Option<Arc<Loading>>,
) -> Result<Option<Loaded>, LoadError> {
    let path = Path::new(&config.persistence.dbfilename);
    let Some(file) = storage::open_data(path).map_err(LoadError::Open)? else { return Ok(None) };
    let wanted = std::mem::take(&mut space.events_wanted);
    if let (Some(loading), Ok(about)) = (&loading, file.disk_bytes()) {
        loading.total_bytes.store(about, Ordering::Relaxed);
    }
    let loaded = rdb::load(file, space, &LoadOptions { loading, ..load_options(config, merge) });
    space.events_wanted = wanted;
    loaded.map(Some).map_err(LoadError::Content)
}
