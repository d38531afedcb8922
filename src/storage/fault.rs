//! A disk in memory that stops working at a given step, for tests: what survives is what was forced to it.
//!
//! Of a file the bytes up to the last sync survive a crash, and any part of those behind it may; of a folder the names of the last
//! folder sync survive. The strictest case is kept: nothing that was not forced survives, or, if asked, everything does.

use super::disk::{Disk, FixedFile, GrowingFile};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    forced: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    /// Files by number; names point at them.
    files: HashMap<u64, Content>,
    names: HashMap<PathBuf, u64>,
    forced_names: HashMap<PathBuf, u64>,
    next: u64,
    /// Operations that still succeed; every one after them fails.
    left: Option<u64>,
    /// The only one that fails.
    fails: Option<u64>,
    done: u64,
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        self.done += 1;
        if self.fails == Some(self.done - 1) {
            return Err(io::Error::other("the disk has failed"));
        }
        match &mut self.left {
            Some(0) => Err(io::Error::other("the disk has stopped")),
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&mut self, path: &Path) -> u64 {
        if let Some(n) = self.names.get(path) {
            return *n;
        }
        self.next += 1;
        self.names.insert(path.into(), self.next);
        self.files.insert(self.next, Content::default());
        self.next
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    /// Stops after so many operations from now on; `None`: never.
    pub fn stop_after(&self, operations: Option<u64>) {
        self.0.lock().left = operations;
    }

    /// Fails the operation of this number, counted from the first ever, and no other.
    pub fn fail_at(&self, operation: u64) {
        self.0.lock().fails = Some(operation);
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().done
    }

    /// What a machine that lost its power finds: the files with what was forced to disk, or, with `lucky`, all that was written to those
    /// whose names were forced.
    pub fn after_crash(&self, lucky: bool) -> HashMap<PathBuf, Vec<u8>> {
        let state = self.0.lock();
        let of = |n: &u64| state.files.get(n).cloned().unwrap_or_default();
        let content = |n| if lucky { of(n).now } else { of(n).forced };
        state.forced_names.iter().map(|(path, n)| (path.clone(), content(n))).collect()
    }
}

struct FaultyFile(Arc<Mutex<State>>, u64);

impl FaultyFile {
    fn with(&mut self, f: impl FnOnce(&mut Content)) -> io::Result<()> {
        let mut state = self.0.lock();
        state.step()?;
        f(state.files.entry(self.1).or_default());
        Ok(())
    }
}

impl GrowingFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let failed = self.with(|c| c.now.extend_from_slice(bytes));
        if failed.is_err() {
            // A torn write.
            let mut state = self.0.lock();
            if let Some(c) = state.files.get_mut(&self.1) {
                c.now.extend_from_slice(bytes.get(..bytes.len() / 2).unwrap_or_default());
            }
        }
        failed
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|c| c.forced.clone_from(&c.now))
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.with(|c| c.now.truncate(len as usize))
    }
}

impl FixedFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        let write = |c: &mut Content, bytes: &[u8]| c.now[at as usize..][..bytes.len()].copy_from_slice(bytes);
        let failed = self.with(|c| write(c, bytes));
        if failed.is_err() {
            // A torn write, of which a crash leaves what it likes.
            let mut state = self.0.lock();
            if let Some(c) = state.files.get_mut(&self.1) {
                write(c, bytes.get(..bytes.len() / 2).unwrap_or_default());
                c.forced.clone_from(&c.now);
            }
        }
        failed
    }

    fn sync(&mut self) -> io::Result<()> {
        GrowingFile::sync(self)
    }
}

impl Disk for FaultyDisk {
    fn lay_out(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn FixedFile>> {
        let mut state = self.0.lock();
        state.step()?;
        state.names.remove(path);
        let n = state.file(path);
        let zeros = vec![0; bytes as usize];
        state.files.insert(n, Content { now: zeros.clone(), forced: zeros });
        state.step()?;
        state.forced_names = state.names.clone();
        Ok(Box::new(FaultyFile(Arc::clone(&self.0), n)))
    }

    fn before(&self, path: &Path, at: u64, most: u64) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        let n = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let now = state.files.get(n).map_or(&[][..], |c| &c.now);
        Ok(now[at.saturating_sub(most) as usize..at as usize].to_vec())
    }

    fn grow(&self, path: &Path) -> io::Result<(Box<dyn GrowingFile>, u64)> {
        let mut state = self.0.lock();
        state.step()?;
        let n = state.file(path);
        let len = state.files.get(&n).map_or(0, |c| c.now.len() as u64);
        Ok((Box::new(FaultyFile(Arc::clone(&self.0), n)), len))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        state.step()?;
        state.next += 1;
        let n = state.next;
        state.files.insert(n, Content { now: content.to_vec(), forced: content.to_vec() });
        state.names.insert(path.into(), n);
        // Between the rename and the folder's sync.
        state.step()?;
        state.forced_names = state.names.clone();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.step()?;
        let n = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), n);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.step()?;
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.step()?;
        state.forced_names = state.names.clone();
        Ok(())
    }
}
