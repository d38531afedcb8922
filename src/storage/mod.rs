//! The only creator, renamer and fsyncer of data files.
//!
//! # Invariants
//! * A file that is replaced is there whole at any instant, the old one or the new one, also after a crash.
//! * While files are sealed (see [`Keyring`]) no data reach the disk plain.

mod disk;
pub mod doublewrite;
#[cfg(test)]
mod doublewrite_tests;
mod fault;
mod grow_sealed;
mod keyring;
pub mod leftover;
mod seal;
#[cfg(test)]
mod seal_tests;
mod stamp;

pub use disk::{Disk, FixedFile, GrowingFile, Local};
pub use doublewrite::DoublewriteDisk;
pub use fault::FaultyDisk;
pub use grow_sealed::SealedDisk;
pub use keyring::{KeyId, Keyring, Sealing, install, keyring};
pub use seal::{DataFile, Label, MAGIC as SEALED_MAGIC, cut, identity_of, key_of, sealed_at};
pub use stamp::{read_stamped, stamp, stamp_key_of};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Data are nobody's but the server's.
const MODE: u32 = 0o600;

/// Where the new content of `path` is written first: beside it, since a rename stays within a file system.
fn beside(path: &Path) -> PathBuf {
    let pid = std::process::id();
    let name = match path.extension() {
        Some(e) if e != "rdb" => {
            format!("temp-{pid}-{}", path.file_name().unwrap_or_default().to_string_lossy())
        }
        _ => format!("temp-{pid}.rdb"),
    };
    path.with_file_name(name)
}

/// The folder a file is in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes between two steps of a file that is forced to disk while it is written: more would be a long wait at its end.
const STEP: u64 = 4 << 20;

/// A file that is being written.
pub struct Writer {
    file: File,
    buffer: Vec<u8>,
    written: u64,
    /// Bytes that the kernel was asked to write.
    asked: u64,
    incremental: bool,
    sealer: Option<seal::Sealer>,
    label: Label,
    sealed: Vec<u8>,
}

/// Bytes that are gathered before they are given to the kernel.
const GATHER: usize = 128 << 10;

impl Writer {
    fn new(file: File, incremental: bool) -> Writer {
        let buffer = Vec::with_capacity(GATHER);
        Writer {
            file,
            buffer,
            written: 0,
            asked: 0,
            incremental,
            sealer: None,
            label: Label::Snapshot,
            sealed: Vec::new(),
        }
    }

    /// The same for a file that is sealed.
    fn sealing(file: File, incremental: bool, ring: &Keyring, label: Label) -> io::Result<Writer> {
        let mut writer = Writer::new(file, incremental);
        let mut head = Vec::new();
        writer.sealer = Some(seal::Sealer::begin(ring, label, &mut head)?);
        writer.label = label;
        writer.put(&head)?;
        Ok(writer)
    }

    fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(sealer) = &mut self.sealer else { return self.put(bytes) };
        let mut sealed = std::mem::take(&mut self.sealed);
        let result = sealer.put(bytes, &mut sealed).and_then(|()| self.put(&sealed));
        sealed.clear();
        self.sealed = sealed;
        result
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if self.incremental && self.written - self.asked >= STEP {
            start_writing(&self.file, self.asked, self.written - self.asked);
            self.asked = self.written;
        }
        Ok(())
    }

    /// Writes what is left; of a sealed file that is written whole the mark that nothing follows, too.
    ///
    /// # Errors
    /// Those of the disk and of the module.
    pub fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        let mut last = Vec::new();
        if let Some(sealer) = self.sealer.as_mut().filter(|_| !self.label.may_be_torn()) {
            sealer.finish(&mut last)?;
        }
        self.put(&last)
    }

    fn finish(mut self) -> io::Result<()> {
        self.end()?;
        self.file.sync_all()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > GATHER {
            self.flush()?;
        }
        if bytes.len() >= GATHER {
            self.give(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.give(&buffer);
        buffer.clear();
        self.buffer = buffer;
        result
    }
}

/// Asks the kernel to begin writing a range and to finish the one before it, so that little is left for the last fsync. A hint: that fsync
/// is what counts.
fn start_writing(file: &File, from: u64, len: u64) {
    let (begin, len) = (from.saturating_sub(STEP) as libc::off64_t, (len + from.min(STEP)) as libc::off64_t);
    // SAFETY: the descriptor is open for the whole call, and nothing but numbers is handed over.
    unsafe {
        if from > 0 {
            let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE;
            libc::sync_file_range(file.as_raw_fd(), begin, len, flags);
        } else {
            libc::sync_file_range(file.as_raw_fd(), begin, len, libc::SYNC_FILE_RANGE_WRITE);
        }
    }
}

/// Makes a snapshot at `path`, sealed if files are, and forces it to disk, not its name. `incremental`: it is forced in steps while it is
/// written.
///
/// # Errors
/// Those of the disk and of `write`; nothing is left then.
pub fn create_snapshot<T, E: From<io::Error>>(
    path: &Path,
    incremental: bool,
    write: impl FnOnce(&mut Writer) -> Result<T, E>,
) -> Result<T, E> {
    let ring = keyring();
    make(path, |file| open_writer(file, incremental, &ring), write)
}

/// The same for a file of a log, which is told apart by its name, and whose end may grow.
///
/// # Errors
/// As of [`create_snapshot`].
pub fn create_part<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut Writer) -> Result<T, E>,
) -> Result<T, E> {
    let ring = keyring();
    let writer = |file| {
        if ring.seals() { Writer::sealing(file, true, &ring, Label::of(path)) } else { Ok(Writer::new(file, true)) }
    };
    make(path, writer, write)
}

fn open_writer(file: File, incremental: bool, ring: &Keyring) -> io::Result<Writer> {
    if ring.seals() {
        Writer::sealing(file, incremental, ring, Label::Snapshot)
    } else {
        Ok(Writer::new(file, incremental))
    }
}

fn make<T, E: From<io::Error>>(
    path: &Path,
    writer: impl FnOnce(File) -> io::Result<Writer>,
    write: impl FnOnce(&mut Writer) -> Result<T, E>,
) -> Result<T, E> {
    let result = (|| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
        leftover::hold(&file);
        let mut out = writer(file)?;
        let value = write(&mut out)?;
        out.finish()?;
        Ok(value)
    })();
    if result.is_err() {
        // What is left of the attempt is worth nothing; that it cannot be removed changes nothing either.
        let _ = fs::remove_file(path);
    }
    result
}

/// Writes a file that is never sealed beside `path`, forces it to disk and gives it the name, and forces the folder to disk too.
/// `incremental`: it is forced in steps while it is written.
///
/// # Errors
/// Those of the disk and of `write`; `path` is as it was then, unless it was the last step, that of the folder, that failed.
pub fn replace<T, E: From<io::Error>>(
    path: &Path,
    incremental: bool,
    write: impl FnOnce(&mut Writer) -> Result<T, E>,
) -> Result<T, E> {
    rename_made(path, |temporary| make(temporary, |file| Ok(Writer::new(file, incremental)), write))
}

/// The same for a snapshot, which is sealed if files are.
///
/// # Errors
/// As of [`replace`].
pub fn replace_snapshot<T, E: From<io::Error>>(
    path: &Path,
    incremental: bool,
    write: impl FnOnce(&mut Writer) -> Result<T, E>,
) -> Result<T, E> {
    rename_made(path, |temporary| create_snapshot(temporary, incremental, write))
}

/// The same for a file of users, which is sealed if files are.
///
/// # Errors
/// As of [`replace`].
pub fn replace_users(path: &Path, text: &[u8]) -> io::Result<()> {
    let (ring, write) = (keyring(), |out: &mut Writer| out.write_all(text));
    if ring.seals() { replace_sealed(&ring, path, Label::Users, write) } else { replace(path, false, write) }
}

/// Writes a file anew that is sealed already, behind the head it has, which is what tells it from others.
fn replace_behind_head<T>(
    path: &Path,
    head: &[u8],
    sealer: seal::Sealer,
    write: impl FnOnce(&mut Writer) -> io::Result<T>,
) -> io::Result<T> {
    let writer = |file| {
        let mut writer = Writer::new(file, false);
        writer.put(head)?;
        (writer.sealer, writer.label) = (Some(sealer), Label::of(path));
        Ok(writer)
    };
    rename_made(path, |temporary| make(temporary, writer, write))
}

/// The same for a file that is sealed whatever the ring says.
fn replace_sealed<T>(
    ring: &Keyring,
    path: &Path,
    label: Label,
    write: impl FnOnce(&mut Writer) -> io::Result<T>,
) -> io::Result<T> {
    rename_made(path, |temporary| make(temporary, |file| Writer::sealing(file, false, ring, label), write))
}

fn rename_made<T, E: From<io::Error>>(path: &Path, make: impl FnOnce(&Path) -> Result<T, E>) -> Result<T, E> {
    let temporary = beside(path);
    let value = make(&temporary)?;
    if let Err(e) = fs::rename(&temporary, path) {
        let _ = fs::remove_file(&temporary);
        return Err(e.into());
    }
    File::open(folder(path))?.sync_all()?;
    Ok(value)
}

/// A temporary file that is read again soon and then removed: it is sealed if files are, and nothing forces it to disk.
///
/// # Errors
/// Those of the disk and of the module.
pub fn create_temporary(path: &Path) -> io::Result<Writer> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    leftover::hold(&file);
    open_writer(file, false, &keyring())
}

/// Gives a temporary file its place for good, and forces it to disk. The file that was there goes only when the new one is whole.
///
/// # Errors
/// Those of the disk and of the module; the temporary file may be left.
pub fn keep_temporary(writer: Writer, temporary: &Path, path: &Path) -> io::Result<()> {
    writer.finish()?;
    rename(temporary, path)
}

fn rename(temporary: &Path, path: &Path) -> io::Result<()> {
    fs::rename(temporary, path)?;
    File::open(folder(path))?.sync_all()
}

/// The same, and opens it for reading: that very file, whatever takes its place afterwards.
///
/// # Errors
/// As of [`keep_temporary`].
pub fn keep_and_reopen(writer: Writer, temporary: &Path, path: &Path) -> io::Result<DataFile> {
    writer.finish()?;
    let file = DataFile::open(&keyring(), temporary)?;
    rename(temporary, path)?;
    Ok(file)
}

/// Gives a file another name beside its own, which takes the place of whatever had it. Returns the file's bytes on disk.
///
/// # Errors
/// Those of the disk, as where the two names are not on the same.
pub fn link(path: &Path, other: &Path) -> io::Result<u64> {
    let _ = fs::remove_file(other);
    fs::hard_link(path, other)?;
    Ok(fs::metadata(other)?.len())
}

/// Whether a file can be made in a folder, and hold something: it is tried under this name and the process's id.
///
/// # Errors
/// Those of the disk.
pub fn probe(folder: &Path, name: &str) -> io::Result<()> {
    /// One block: the smallest file needs as much where nothing is left.
    const BYTES: [u8; 4096] = [0; 4096];
    let path = folder.join(format!("{name}-{}", std::process::id()));
    let result = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&path);
    let result = result.and_then(|mut file| file.write_all(&BYTES));
    remove(&path);
    result
}

/// A folder that nobody else may write to as long as this is kept; its lock goes with the descriptor, so that it ends with the process.
#[derive(Debug)]
pub struct Claim(Option<File>);

impl Claim {
    /// True if the folder is locked: nobody else has a claim to it. Otherwise its file system knows no locks, and nothing is known.
    pub fn is_sure(&self) -> bool {
        self.0.is_some()
    }
}

/// Claims a folder for this process. Where the file system knows no locks nobody is kept out.
///
/// # Errors
/// Another process has it.
pub fn claim(folder: &Path) -> io::Result<Claim> {
    let file = File::open(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(Claim(Some(file))),
        Err(fs::TryLockError::WouldBlock) => {
            let text = format!("{} is in use by another server", folder.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
        Err(fs::TryLockError::Error(_)) => Ok(Claim(None)),
    }
}

/// Removes a temporary file. One that cannot be removed is in nobody's way.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

/// Opens a file from outside for reading: certificates, keys, users. Anything else that may stand in its place, a pipe that nobody fills
/// or a device that never ends, is refused instead of waited for.
///
/// # Errors
/// Those of the disk; it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Not to wait is said to pipes alone: files and folders take no notice of it.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.file_type() {
        kind if kind.is_file() => Ok(file),
        kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// Reads such a file, if it has at most so many bytes.
///
/// # Errors
/// Those of [`open_regular`]; it is larger.
pub fn read_regular(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let len = file.metadata()?.len();
    if len > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // Room for it all at once: what may be a key leaves no copies behind as it grows.
    let mut bytes = Vec::with_capacity(len as usize + 1);
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file of secrets. Under `/dev` and `/proc` it may be a pipe that whoever starts the server has filled (`<(command)`); anywhere
/// else it is a regular file.
///
/// # Errors
/// See [`open_regular`].
pub fn open_secret(path: &Path) -> io::Result<File> {
    if path.starts_with("/dev") || path.starts_with("/proc") { File::open(path) } else { open_regular(path) }
}

/// Opens a file that is never sealed for reading; `None` if there is none.
///
/// # Errors
/// Those of the disk.
pub fn open(path: &Path) -> io::Result<Option<File>> {
    if_there(File::open(path))
}

/// Opens a file of data for reading, sealed or not; `None` if there is none.
///
/// # Errors
/// See [`DataFile::open`].
pub fn open_data(path: &Path) -> io::Result<Option<DataFile>> {
    if_there(DataFile::open(&keyring(), path))
}

/// Opens a file of users for reading, sealed or not; `None` if there is none.
///
/// # Errors
/// See [`DataFile::open_users`].
pub fn open_users(path: &Path) -> io::Result<Option<DataFile>> {
    if_there(DataFile::open_users(&keyring(), path))
}

fn if_there<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            assert!(open_regular(path).is_err() && read_regular(path, 10).is_err(), "{}", path.display());
        }
        assert!(open_secret(&pipe).is_err());
        let file = folder.path().join("file");
        fs::write(&file, "0123456789").unwrap();
        assert_eq!(read_regular(&file, 10).unwrap(), b"0123456789");
        assert_eq!(read_regular(&file, 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.rdb");
        assert!(open(&path).unwrap().is_none());
        replace(&path, true, |out| out.write_all(b"old")).unwrap();
        let failed: io::Result<()> = replace(&path, false, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
