//! Files that grow, and the folder they are in: the door through which a log reaches the disk. Tests put a disk of their own behind it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// A file that only grows, or is cut back.
pub trait GrowingFile: Send {
    /// Writes all of `bytes` at the end. After an error the end is unknown: cut it back.
    ///
    /// # Errors
    /// Those of the disk.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Forces what was written to disk. After an error nothing since the last success may be taken for written.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes what was written survive, by the quickest way there is; the same is promised as by [`GrowingFile::sync`].
    ///
    /// # Errors
    /// Those of the disk.
    fn commit(&mut self) -> io::Result<()> {
        self.sync()
    }

    /// Cuts the file to this length.
    ///
    /// # Errors
    /// Those of the disk.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

/// A file of a length that was settled when it was made.
pub trait FixedFile: Send {
    /// Writes all of `bytes` at `at`. After an error, and after a crash before the next sync, any part of them may be there.
    ///
    /// # Errors
    /// Those of the disk.
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Forces what was written to disk.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// What a log needs of a disk.
pub trait Disk: Send + Sync {
    /// Opens a file to write at its end, making it if it is not there. Returns its length.
    ///
    /// # Errors
    /// Those of the disk.
    fn grow(&self, path: &Path) -> io::Result<(Box<dyn GrowingFile>, u64)>;

    /// False if a file that is there cannot grow further here, so that another has to be begun.
    fn can_grow(&self, path: &Path) -> bool {
        let _ = path;
        true
    }

    /// What tells the file from every other where files are sealed, so that a list of files can say which it means.
    ///
    /// # Errors
    /// Those of the disk.
    fn identity(&self, path: &Path) -> io::Result<Option<String>> {
        let _ = path;
        Ok(None)
    }

    /// Makes a file of so many zeros in the place of any that has the name, and forces it and its name to disk: to write there needs no more room.
    ///
    /// # Errors
    /// Those of the disk, or that there are no such files on it.
    fn lay_out(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn FixedFile>> {
        let _ = (path, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The bytes before `at` of a file that grows, so many at the most.
    ///
    /// # Errors
    /// Those of the disk, or that it cannot be read.
    fn before(&self, path: &Path, at: u64, most: u64) -> io::Result<Vec<u8>> {
        let _ = (path, at, most);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file this content, all or nothing, and forces it and its name to disk. Where files are sealed it stays readable, and a line at its
    /// end proves it.
    ///
    /// # Errors
    /// Those of the disk.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Gives a file another name. It survives a crash only after [`Disk::sync_folder`].
    ///
    /// # Errors
    /// Those of the disk.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// # Errors
    /// Those of the disk.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Forces the names in a folder to disk.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The disk there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

struct LocalFile(File);

impl FixedFile for LocalFile {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl GrowingFile for LocalFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

impl Disk for Local {
    fn can_grow(&self, path: &Path) -> bool {
        !super::sealed_at(path)
    }

    fn grow(&self, path: &Path) -> io::Result<(Box<dyn GrowingFile>, u64)> {
        let file = OpenOptions::new().append(true).create(true).mode(super::MODE).open(path)?;
        let len = file.metadata()?.len();
        Ok((Box::new(LocalFile(file)), len))
    }

    fn lay_out(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn FixedFile>> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(super::MODE).open(path)?;
        let zeros = [0; 64 << 10];
        let mut left = bytes;
        let mut write = || -> io::Result<()> {
            while left > 0 {
                let n = left.min(zeros.len() as u64);
                file.write_all(&zeros[..n as usize])?;
                left -= n;
            }
            file.sync_all()
        };
        if let Err(e) = write() {
            // What there is of it would only take room from the log.
            let _ = fs::remove_file(path);
            return Err(e);
        }
        self.sync_folder(super::folder(path))?;
        Ok(Box::new(LocalFile(file)))
    }

    fn before(&self, path: &Path, at: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; at.min(most) as usize];
        let from = at - bytes.len() as u64;
        File::open(path)?.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let beside = path.with_file_name(format!("temp-{name}"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(super::MODE).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        self.sync_folder(super::folder(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}
