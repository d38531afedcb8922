//! The log on disk: the manifest, the increment that grows, and how one base takes the place of another. No thread, no clock.
//!
//! # Invariants
//! * Whatever the manifest on disk names can be loaded: a file is forced to disk, with its name, before a manifest names what follows it,
//!   and deleted only after a manifest that does not need it is on disk.
//! * The increment is made of whole steps up to `good`; what a failed write left behind is cut off before anything else is written.
//! * After a failed sync the chain on disk has a hole that nobody can see: nothing more is written to it. Only a new base heals that.

use super::manifest::{Manifest, Part};
use crate::storage::{Disk, GrowingFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the increment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Good,
    /// A write failed: what it left is to be cut off.
    Torn,
    /// A sync failed, or the torn end could not be cut off.
    Holed,
}

/// See the module.
pub struct Log {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    prefix: String,
    manifest: Manifest,
    file: Option<Box<dyn GrowingFile>>,
    good: u64,
    /// Bytes of text of the last increment, which was loaded and does not grow further.
    loaded: Option<u64>,
    /// It has been written to since what it has was last made to survive, and since the file itself was forced to disk.
    unsynced: bool,
    unforced: bool,
    health: Health,
    /// Bytes of the base and of increments before the growing one.
    before: u64,
    /// What grows continues what the manifest on disk names. Otherwise it waits for a base of its own.
    chained: bool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({:?}, {:?}, {} bytes)", self.folder, self.health, self.good)
    }
}

impl Log {
    /// The log of a folder with this manifest; nothing is opened yet. `before`: bytes of its files. `chained`: what comes continues them.
    pub fn new(
        disk: Arc<dyn Disk>,
        folder: &Path,
        prefix: &str,
        manifest: Manifest,
        before: u64,
        chained: bool,
    ) -> Log {
        Log {
            chained: chained && !manifest.is_empty(),
            disk,
            folder: folder.into(),
            prefix: prefix.into(),
            manifest,
            file: None,
            good: 0,
            loaded: None,
            unsynced: false,
            unforced: false,
            health: Health::Good,
            before,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn save_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        self.disk.replace(&self.path(&manifest_name(&self.prefix)), manifest.to_string().as_bytes())
    }

    pub fn health(&self) -> Health {
        self.health
    }

    /// Bytes of the whole log.
    pub fn bytes(&self) -> u64 {
        self.before + self.good
    }

    /// What comes does not continue what is there.
    pub fn unchain(&mut self) {
        self.chained = false;
    }

    /// False while what is written is worth nothing without a new base.
    pub fn is_chained(&self) -> bool {
        self.chained && self.health != Health::Holed
    }

    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    pub fn increment_bytes(&self) -> u64 {
        self.good
    }

    /// Goes on with the last increment, of which so much text was loaded, or makes the first.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(&mut self, loaded: u64) -> io::Result<()> {
        match self.manifest.increments.last().cloned() {
            Some(last) if self.disk.can_grow(&self.path(&last.name)) => {
                let (file, len) = self.disk.grow(&self.path(&last.name))?;
                self.before = self.before.saturating_sub(len);
                self.good = len;
                self.file = Some(file);
                Ok(())
            }
            _ => {
                self.loaded = Some(loaded);
                self.begin_increment().map(|_| ())
            }
        }
    }

    /// Says of the parts that are there which files they are, and of the last increment that it grows no more.
    fn know(&self, manifest: &mut Manifest) -> io::Result<()> {
        let identity = |part: &mut Part| -> io::Result<()> {
            if part.id.is_none() {
                part.id = self.disk.identity(&self.path(&part.name))?;
            }
            Ok(())
        };
        if let Some(base) = &mut manifest.base {
            identity(base)?;
        }
        manifest.increments.iter_mut().try_for_each(identity)?;
        let closed = if self.file.is_some() { Some(self.good) } else { self.loaded };
        if let Some(last) = manifest.increments.last_mut().filter(|last| last.id.is_some()) {
            last.bytes = closed;
        }
        Ok(())
    }

    /// Writes whole steps at the end.
    ///
    /// # Errors
    /// Those of the disk: see [`Log::health`]. The bytes are to be written again.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mend()?;
        let Some(file) = &mut self.file else { return Err(io::Error::other("no increment is open")) };
        match file.append(bytes) {
            Ok(()) => {
                self.good += bytes.len() as u64;
                (self.unsynced, self.unforced) = (true, true);
                Ok(())
            }
            Err(e) => {
                self.health = Health::Torn;
                Err(e)
            }
        }
    }

    /// Cuts off what a failed write left.
    fn mend(&mut self) -> io::Result<()> {
        match (self.health, &mut self.file) {
            (Health::Good, _) => Ok(()),
            (Health::Torn, Some(file)) => {
                file.cut(self.good)?;
                self.health = Health::Good;
                Ok(())
            }
            (Health::Torn, None) | (Health::Holed, _) => {
                Err(io::Error::other("an fsync failed: what is on disk is unknown until the file is rewritten"))
            }
        }
    }

    /// Forces the increment to disk.
    ///
    /// # Errors
    /// Those of the disk; then the log needs a new base.
    pub fn sync(&mut self) -> io::Result<()> {
        self.survive(self.unforced, |file| file.sync())?;
        self.unforced = false;
        Ok(())
    }

    /// Makes what was written survive, as a sync does, but by the quickest way, which may leave the increment itself to be forced later.
    ///
    /// # Errors
    /// As of [`Log::sync`].
    pub fn commit(&mut self) -> io::Result<()> {
        if !self.chained {
            // It needs no haste, as nobody is told; and what an older increment left beside it may still be needed.
            return self.sync();
        }
        self.survive(self.unsynced, |file| file.commit())
    }

    fn survive(&mut self, due: bool, how: impl Fn(&mut dyn GrowingFile) -> io::Result<()>) -> io::Result<()> {
        if self.health == Health::Holed {
            return Err(io::Error::other("an fsync failed: what is on disk is unknown until the file is rewritten"));
        }
        let Some(file) = self.file.as_mut().filter(|_| due) else { return Ok(()) };
        match how(&mut **file) {
            Ok(()) => {
                self.unsynced = false;
                Ok(())
            }
            Err(e) => {
                self.health = Health::Holed;
                Err(e)
            }
        }
    }

    /// Begins a new increment at a cut; its number is where a base of that cut will begin. A log with a hole, or without a base, keeps the
    /// manifest as it is until the base comes.
    ///
    /// # Errors
    /// Those of the disk; the old increment goes on.
    pub fn begin_increment(&mut self) -> io::Result<u64> {
        let whole = self.chained && self.health == Health::Good;
        if whole {
            self.sync()?;
        }
        let part = self.manifest.next_increment(&self.prefix);
        let path = self.path(&part.name);
        let (mut file, len) = self.disk.grow(&path)?;
        if len > 0 {
            // Left by an attempt that no manifest knows of.
            file.cut(0)?;
        }
        file.sync()?;
        let mut manifest = self.manifest.clone();
        self.know(&mut manifest)?;
        manifest.add_increment(Part { id: self.disk.identity(&path)?, ..part.clone() });
        if whole {
            if let Err(e) = self.save_manifest(&manifest) {
                // It may be there all the same, and say that the old increment grows no more.
                if self.save_manifest(&self.manifest).is_err() {
                    self.health = Health::Holed;
                }
                return Err(e);
            }
        } else {
            self.disk.sync_folder(&self.folder)?;
        }
        self.manifest = manifest;
        self.before += self.good;
        (self.good, self.loaded) = (0, None);
        self.file = Some(file);
        (self.unsynced, self.unforced) = (false, false);
        // The new increment itself has no hole.
        self.health = Health::Good;
        self.chained = whole;
        Ok(part.number)
    }

    /// Puts a base that is whole on disk under `temporary` before the increment `first`, and deletes what it replaces.
    ///
    /// # Errors
    /// Those of the disk: the old chain stays as it was.
    pub fn put_base(&mut self, temporary: &Path, rdb: bool, first: u64, bytes: u64) -> io::Result<()> {
        if self.unsynced {
            self.sync()?;
        }
        let base = Part { id: self.disk.identity(temporary)?, ..self.manifest.next_base(&self.prefix, rdb) };
        self.disk.rename(temporary, &self.path(&base.name))?;
        self.disk.sync_folder(&self.folder)?;
        let mut manifest = self.manifest.clone();
        manifest.replace(base, first);
        if let Err(e) = self.save_manifest(&manifest) {
            // It may be there all the same, and name this base: no other ever takes its name.
            self.manifest.pass_over(&manifest);
            return Err(e);
        }
        self.manifest = manifest;
        self.before = bytes;
        self.chained = true;
        self.forget_history();
        Ok(())
    }

    /// Deletes what is no part of the log any more. What cannot be deleted now is tried again with the next base.
    fn forget_history(&mut self) {
        let disk = Arc::clone(&self.disk);
        let folder = self.folder.clone();
        self.manifest
            .history
            .retain(|p: &Part| disk.remove(&folder.join(&p.name)).is_err_and(|e| e.kind() != io::ErrorKind::NotFound));
        // Without it the names of files that are gone stay in the manifest, which harms nobody.
        let _ = self.save_manifest(&self.manifest);
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// The name of the manifest's file.
pub fn manifest_name(prefix: &str) -> String {
    format!("{prefix}.manifest")
}
