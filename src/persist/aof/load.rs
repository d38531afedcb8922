//! Recovery: from an append-only folder, or an old single file, to the data set and a log that can go on.
//!
//! `Folder` (found) -> [`Recovered`] (loaded, its torn end cut off) -> [`super::Opened`] (grows). What is wrong ends it with a
//! message that names the file, the offset and the remedy; nothing half-loaded serves.

use super::log::manifest_name;
use super::manifest::{Manifest, ManifestError, Part};
use super::reader::{Fault, Item, Moment, Reader, Steps};
use crate::persist::rdb::{Loaded, RdbError};
use crate::resp::args::Args;
use crate::storage::{self, DataFile};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where the data go.
pub trait Target {
    /// Another file begins: it is read as if none had come before it, in database 0.
    fn begin_file(&mut self) {}

    /// Loads the snapshot at the beginning of `from`. Returns how long it is.
    ///
    /// # Errors
    /// What is wrong with it.
    fn snapshot(&mut self, from: &mut dyn Read) -> Result<(Loaded, u64), RdbError>;

    /// Runs requests in order. An error is the text of the reply, and which of them had it; those behind it have not run.
    ///
    /// # Errors
    /// The reply of the first that failed.
    fn run(&mut self, requests: &[Args<'_>]) -> Result<(), (usize, Vec<u8>)>;

    /// Forgets a transaction that has no end.
    fn forget(&mut self);
}

/// What is wrong with a log.
#[derive(Debug)]
pub enum LoadError {
    Io {
        what: String,
        error: io::Error,
    },
    Manifest(ManifestError),
    /// The manifest names a file that is not there.
    Missing {
        file: String,
    },
    Snapshot {
        file: String,
        error: RdbError,
    },
    Log {
        file: String,
        offset: u64,
        fault: Fault,
    },
    /// A file that others follow ends too early.
    TruncatedInside {
        file: String,
    },
    Unknown {
        file: String,
        offset: u64,
        reply: String,
    },
    /// A sealed file that is not the one the manifest names.
    Other {
        file: String,
    },
    /// A sealed file that others follow has another length than when it was closed.
    Length {
        file: String,
        bytes: u64,
        written: u64,
    },
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::Io { what, error } => write!(f, "{what}: {error}"),
            LoadError::Manifest(e) => e.fmt(f),
            LoadError::Missing { file } => {
                write!(f, "Fatal error: can't open the append log file {file} for reading: No such file or directory")
            }
            LoadError::Snapshot { file, error } => {
                write!(f, "Error reading the RDB preamble of the AOF file {file}, AOF loading aborted: {error}")
            }
            LoadError::Log { file, offset, fault: Fault::Truncated | Fault::OpenTransaction } => write!(
                f,
                "Unexpected end of file reading the append only file {file} at byte {offset}. You can: 1) Make a backup of your AOF \
                 file, then use ./holdfast check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
                 'aof-load-truncated' configuration option to yes and restart the server."
            ),
            LoadError::Log { file, offset, fault: Fault::Io(e) } => {
                write!(f, "Unrecoverable error reading the append only file {file} at byte {offset}: {e}")
            }
            LoadError::Log { file, offset, fault: Fault::Format(why) } => write!(
                f,
                "Bad file format reading the append only file {file} at byte {offset} ({why}): make a backup of your AOF file, then use \
                 ./holdfast check-aof --fix <filename.manifest>"
            ),
            LoadError::TruncatedInside { file } => {
                write!(f, "Fatal error: the truncated file {file} is not the last file")
            }
            LoadError::Other { file } => {
                write!(f, "Fatal error: the sealed file {file} is not the one that the manifest names")
            }
            LoadError::Length { file, bytes, written } => write!(
                f,
                "Fatal error: the sealed file {file} has {bytes} bytes of text and {written} were written: it was cut off, or continued"
            ),
            LoadError::Unknown { file, offset, reply } => {
                let what = if reply.starts_with("ERR DB index") {
                    "There are fewer databases than when it was written (see databases)"
                } else {
                    "Unknown command"
                };
                write!(f, "{what} reading the append only file {file} at byte {offset}: {reply}")
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// What was found where a log is expected.
#[derive(Debug)]
pub enum Found {
    Nothing,
    Log(Manifest),
}

/// The settings of a load.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `aof-load-truncated`.
    pub truncated: bool,
    /// Seconds since the epoch at which it stops; what is behind is not loaded.
    pub until: Option<i64>,
    /// Cut a torn end off the file.
    pub repair: bool,
}

/// A log that was loaded.
#[derive(Debug, Default)]
pub struct Recovered {
    pub keys: u64,
    pub expired: u64,
    pub requests: u64,
    /// Bytes of the log's files.
    pub bytes: u64,
    /// Bytes of text of the last of them.
    pub last_text: u64,
    /// The last time that was noted.
    pub last_time: Option<i64>,
    /// The moment of the history that the whole is, if it says so and nothing follows.
    pub moment: Option<Moment>,
}

/// Looks for a log: the manifest in the folder; else an old single file beside the folder, which becomes its base.
///
/// # Errors
/// A manifest that is none, or the disk's.
pub fn find(dir: &Path, folder: &str, prefix: &str) -> Result<Found, LoadError> {
    let io = |what: &str, path: &Path| {
        let what = format!("{what} {}", path.display());
        move |error| LoadError::Io { what: what.clone(), error }
    };
    let (path, old) = (dir.join(folder), dir.join(prefix));
    let manifest = path.join(manifest_name(prefix));
    match storage::read_stamped(&storage::keyring(), &manifest) {
        Ok((text, _)) => {
            let found = Manifest::parse(&text).map_err(LoadError::Manifest)?;
            if found.base.as_ref().is_some_and(|b| b.name == prefix) && old.is_file() && !path.join(prefix).exists() {
                // An earlier start wrote the manifest and ended before it had moved the file.
                move_old(&old, &path, prefix)?;
            }
            return Ok(Found::Log(found));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(io("Fatal error: can't open the AOF manifest file", &manifest)(e)),
    }
    if old.is_file() {
        let disk = super::rewrite::disk(prefix);
        fs::create_dir_all(&path).map_err(io("Can't create the append-only folder", &path))?;
        let new = Manifest::of_old_file(prefix);
        // The manifest first: if the file has not moved yet, the next start moves it.
        disk.replace(&manifest, new.to_string().as_bytes()).map_err(io("Can't write", &manifest))?;
        move_old(&old, &path, prefix)?;
        tracing::info!(
            "Successfully migrated an old-style AOF configuration ({prefix}) into the AOF directory ({folder})."
        );
        return Ok(Found::Log(new));
    }
    Ok(Found::Nothing)
}

/// Moves a single old file to where its manifest names it.
fn move_old(old: &Path, folder: &Path, prefix: &str) -> Result<(), LoadError> {
    use crate::storage::Disk;
    let disk = crate::storage::Local;
    let moved = disk.rename(old, &folder.join(prefix)).and_then(|()| disk.sync_folder(folder));
    moved.map_err(|error| LoadError::Io { what: format!("Can't move the old AOF file {}", old.display()), error })
}

/// Loads all files of a log in their order.
///
/// # Errors
/// See [`LoadError`].
pub fn load(
    folder: &Path,
    manifest: &Manifest,
    options: Options,
    target: &mut dyn Target,
) -> Result<Recovered, LoadError> {
    let mut recovered = Recovered::default();
    let parts: Vec<_> = manifest.parts().collect();
    for part in &parts {
        let path = folder.join(&part.name);
        if !path.is_file() {
            return Err(LoadError::Missing { file: part.name.clone() });
        }
    }
    for (n, part) in parts.iter().enumerate() {
        let path = folder.join(&part.name);
        let last = n + 1 == parts.len();
        check_identity(part, &path)?;
        let more = load_file(&path, &part.name, last, options, target, &mut recovered)?;
        if !more {
            break;
        }
        check_length(part, recovered.last_text)?;
    }
    Ok(recovered)
}

/// Whether the file at `path` is the one that is meant: of a log that is not sealed nobody can tell.
///
/// # Errors
/// It is another, or cannot be read.
pub fn check_identity(part: &Part, path: &Path) -> Result<(), LoadError> {
    let file = part.name.clone();
    match &part.id {
        None => Ok(()),
        Some(id) => match storage::identity_of(path) {
            Ok(found) if found.as_ref() == Some(id) => Ok(()),
            Ok(_) => Err(LoadError::Other { file }),
            Err(error) => Err(LoadError::Io { what: format!("Reading the append only file {file}"), error }),
        },
    }
}

/// Whether a file that others follow has the text it had when it was closed.
///
/// # Errors
/// It has not.
pub fn check_length(part: &Part, bytes: u64) -> Result<(), LoadError> {
    match part.bytes {
        Some(written) if written != bytes => Err(LoadError::Length { file: part.name.clone(), bytes, written }),
        _ => Ok(()),
    }
}

/// Whether a file begins with a snapshot. It is read from its beginning afterwards.
///
/// # Errors
/// Those of the disk.
pub fn begins_with_snapshot(file: &mut DataFile) -> io::Result<bool> {
    let mut magic = [0; 6];
    let mut n = 0;
    while n < magic.len() {
        match file.read(&mut magic[n..])? {
            0 => break,
            more => n += more,
        }
    }
    file.seek_to(0)?;
    Ok(magic.starts_with(b"REDIS") || magic == *b"VALKEY")
}

/// Loads one file. False if the time to stop at has come.
fn load_file(
    path: &PathBuf,
    name: &str,
    last: bool,
    options: Options,
    target: &mut dyn Target,
    recovered: &mut Recovered,
) -> Result<bool, LoadError> {
    let io = |error| LoadError::Io { what: format!("Reading the append only file {name}"), error };
    let mut file = DataFile::open(&storage::keyring(), path).map_err(io)?;
    let size = file.disk_bytes().map_err(io)?;
    let mut begin = 0;
    if begins_with_snapshot(&mut file).map_err(io)? {
        tracing::info!("Reading RDB base file on AOF loading...");
        let (loaded, bytes) =
            target.snapshot(&mut file).map_err(|error| LoadError::Snapshot { file: name.into(), error })?;
        recovered.keys += loaded.keys;
        recovered.expired += loaded.expired;
        recovered.moment = Moment::of(loaded.repl_id.as_deref(), loaded.repl_offset, loaded.stream_db);
        begin = bytes;
        file.seek_to(begin).map_err(io)?;
    }
    target.begin_file();
    let mut reader = Reader::new(&mut file, begin);
    let mut steps = Steps::new(begin);
    let fault = loop {
        match reader.advance() {
            Ok(true) => {}
            Ok(false) if steps.open => break Some(Fault::OpenTransaction),
            // A sealed file may end inside a record where its text ends with a step.
            Ok(false) if reader.from().is_torn() => break Some(Fault::Truncated),
            Ok(false) => break None,
            Err(fault) => break Some(fault),
        }
        let mut requests: Vec<Args<'_>> = Vec::new();
        let mut ends = Vec::new();
        let mut stop = false;
        for (item, args, _, end) in reader.items() {
            match item {
                Item::Time(time) => {
                    recovered.last_time = Some(*time);
                    if options.until.is_some_and(|until| *time > until) {
                        stop = true;
                        break;
                    }
                }
                Item::Moment(moment) => recovered.moment = Some(moment.clone()),
                Item::Request => {
                    recovered.moment = None;
                    requests.push(args);
                    ends.push(end);
                }
            }
        }
        run(&requests, &ends, name, target)?;
        recovered.requests += requests.len() as u64;
        for (args, end) in requests.iter().zip(&ends) {
            steps.request(args.at(0), *end);
        }
        if stop {
            recovered.moment = None;
            target.forget();
            return Ok(false);
        }
    };
    recovered.bytes += size;
    recovered.last_text = if fault.is_some() { steps.whole } else { reader.offset() };
    if fault.is_some() {
        recovered.moment = None;
    }
    match fault {
        None => {}
        Some(fault @ (Fault::Truncated | Fault::OpenTransaction)) => {
            target.forget();
            if steps.open {
                tracing::warn!("Revert incomplete MULTI/EXEC transaction from AOF file {name}");
            }
            if !last {
                return Err(LoadError::TruncatedInside { file: name.into() });
            }
            if !options.truncated {
                return Err(LoadError::Log { file: name.into(), offset: steps.whole, fault });
            }
            tracing::warn!("!!! Warning: short read while loading the AOF file {name}!!!");
            tracing::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
            if options.repair {
                tracing::warn!("Truncating the AOF {name} at offset {}", steps.whole);
                storage::cut(&storage::keyring(), path, steps.whole).map_err(io)?;
                let now = fs::metadata(path).map_err(io)?.len();
                recovered.bytes = (recovered.bytes - size) + now;
            }
        }
        Some(fault) => return Err(LoadError::Log { file: name.into(), offset: reader.offset(), fault }),
    }
    Ok(true)
}

/// Runs a batch; errors of commands that were once accepted are passed over, as they were where they came from.
fn run(requests: &[Args<'_>], ends: &[u64], name: &str, target: &mut dyn Target) -> Result<(), LoadError> {
    let mut at = 0;
    while at < requests.len() {
        let Err((n, reply)) = target.run(&requests[at..]) else { return Ok(()) };
        let text = String::from_utf8_lossy(&reply).into_owned();
        // What no server ever accepted was put there by somebody else, or is a newer server's.
        let never = [
            "ERR unknown command",
            "ERR unknown subcommand",
            "ERR wrong number of arguments for ",
            // There were more databases: what follows would go into another one.
            "ERR DB index is out of range",
        ];
        if never.iter().any(|words| text.starts_with(words)) {
            let offset = ends.get(at + n).copied().unwrap_or_default();
            return Err(LoadError::Unknown { file: name.into(), offset, reply: text });
        }
        tracing::warn!("A command of the AOF file {name} was answered with an error: {text}");
        at += n + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers whatever it is told to run with one error.
    struct Says(&'static str);

    impl Target for Says {
        fn snapshot(&mut self, _from: &mut dyn Read) -> Result<(Loaded, u64), RdbError> {
            unreachable!("there is none")
        }

        fn run(&mut self, _requests: &[Args<'_>]) -> Result<(), (usize, Vec<u8>)> {
            Err((0, self.0.as_bytes().to_vec()))
        }

        fn forget(&mut self) {}
    }

    #[test]
    fn what_no_server_ever_accepted_ends_the_load_and_what_failed_as_it_once_did_does_not() {
        let own = crate::resp::args::OwnedArgs::new([&b"CLUSTER"[..]]);
        let load = |text| run(&[own.args()], &[9], "a.aof", &mut Says(text));
        for text in [
            "ERR unknown command 'X', with args beginning with: ",
            "ERR unknown subcommand 'slots-xxx'. Try CLUSTER HELP.",
            "ERR wrong number of arguments for 'cluster' command",
            "ERR DB index is out of range",
        ] {
            assert!(matches!(load(text), Err(LoadError::Unknown { offset: 9, .. })), "{text}");
        }
        assert!(load("WRONGTYPE Operation against a key holding the wrong kind of value").is_ok());
    }

    #[test]
    fn an_old_file_is_moved_also_by_the_start_after_one_that_ended_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("d");
        fs::write(dir.path().join("a.aof"), "old").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.aof.manifest"), Manifest::of_old_file("a.aof").to_string()).unwrap();
        for _ in 0..2 {
            assert!(matches!(find(dir.path(), "d", "a.aof"), Ok(Found::Log(_))));
            assert_eq!(fs::read(folder.join("a.aof")).unwrap(), b"old");
            assert!(!dir.path().join("a.aof").exists());
        }
    }
}
