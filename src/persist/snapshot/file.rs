//! The snapshot file: `dbfilename` in the working directory, which is `dir`.

use super::format;
use crate::config::Config;
use crate::config::types::RdbVersionCheck;
use crate::keyspace::Space;
use crate::persist::rdb::{self, Fault, Limits, LoadOptions, Loaded, Loading, RdbError, Written};
use crate::script::{self, Functions, RestorePolicy};
use crate::storage;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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

/// More threads than these wait for the one that reads the file.
const LOAD_THREADS_MAX: usize = 8;

/// How this server, a primary, loads them. Nobody is served meanwhile, so every core may take part.
pub fn load_options(config: &Config, merge: bool) -> LoadOptions {
    LoadOptions {
        loading: None,
        limits: Limits::of(config),
        relaxed: config.persistence.rdb_version_check == RdbVersionCheck::Relaxed,
        checksum: config.persistence.rdbchecksum,
        merge,
        tell_keys: !config.logging.hide_user_data_from_log,
        keep_expired: false,
        threads: std::thread::available_parallelism().map_or(1, usize::from).min(LOAD_THREADS_MAX),
    }
}

/// Brings the libraries of what was loaded to life.
///
/// # Errors
/// One that cannot be loaded, or a name that is taken; none is kept then.
pub fn keep_libraries(
    loaded: &Loaded,
    config: &Config,
    functions: &Functions,
    policy: RestorePolicy,
) -> Result<(), RdbError> {
    if loaded.libraries.is_empty() && policy != RestorePolicy::Flush {
        return Ok(());
    }
    script::keep_all(functions, script::settings(config), &loaded.libraries, policy)
        .map_err(|why| RdbError { offset: 0, fault: Fault::Library(why) })
}

/// Between two looks at whether a file is still wanted, while keys are delayed.
const DELAY_STEP_US: u64 = 10_000;

/// Waits for a key, as tests ask.
fn delay(us: i64, wanted: &dyn Fn() -> bool) -> io::Result<()> {
    let mut left = u64::try_from(us).unwrap_or(0);
    loop {
        if !wanted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if left == 0 {
            return Ok(());
        }
        let step = left.min(DELAY_STEP_US);
        std::thread::sleep(Duration::from_micros(step));
        left -= step;
    }
}

/// Writes all databases and libraries into the file; every stripe is held, and everybody waits. The file that was there goes only when the new one is
/// whole on disk. `wanted` is asked before each key.
///
/// # Errors
/// Those of the disk, and [`io::ErrorKind::Interrupted`] when it is not wanted any more.
pub fn save(
    space: &mut Space<'_>,
    config: &Config,
    functions: &Functions,
    about: Vec<(&'static str, String)>,
    wanted: &dyn Fn() -> bool,
) -> io::Result<Written> {
    let mut format = format(config, space.access, functions);
    format.aux.extend(about);
    let incremental = config.persistence.rdb_save_incremental_fsync;
    storage::replace_snapshot(Path::new(&config.persistence.dbfilename), incremental, |out| {
        rdb::write(space, out, &format, &|| delay(config.persistence.rdb_key_save_delay_us, wanted))
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
    functions: &Functions,
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
    let loaded = loaded.map_err(LoadError::Content)?;
    let policy = if merge { RestorePolicy::Replace } else { RestorePolicy::Append };
    keep_libraries(&loaded, config, functions, policy).map_err(LoadError::Content)?;
    Ok(Some(loaded))
}
