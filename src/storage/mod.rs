//! The only creator, renamer and fsyncer of data files.
//!
//! # Invariant
//! A file that is replaced is there whole at any instant, the old one or the new one, also after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
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

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file beside `path`, forces it to disk and gives it the name, and forces the folder to disk too.
///
/// # Errors
/// Those of the disk and of `write`; `path` is as it was then, unless it was the last step, that of the folder, that failed.
pub fn replace<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
    let temporary = beside(path);
    let result = (|| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&temporary)?;
        let mut out = BufWriter::new(file);
        let value = write(&mut out)?;
        out.into_inner().map_err(|e| e.into_error())?.sync_all()?;
        fs::rename(&temporary, path)?;
        Ok(value)
    })();
    match result {
        Ok(value) => {
            File::open(folder(path))?.sync_all()?;
            Ok(value)
        }
        Err(e) => {
            // What is left of the attempt is worth nothing; that it cannot be removed changes nothing either.
            let _ = fs::remove_file(&temporary);
            Err(e)
        }
    }
}

/// Creates a file that is read again soon and then removed; nothing forces it to disk.
///
/// # Errors
/// Those of the disk.
pub fn create_temporary(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)
}

/// Removes a temporary file. One that cannot be removed is in nobody's way.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

/// Opens a file for reading; `None` if there is none.
///
/// # Errors
/// Those of the disk.
pub fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.rdb");
        assert!(open(&path).unwrap().is_none());
        replace(&path, |out| out.write_all(b"old")).unwrap();
        let failed: io::Result<()> = replace(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
