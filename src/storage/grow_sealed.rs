//! A disk whose growing files are sealed, and whose lists of files are stamped; each is sealed from its beginning, and none is continued by a
//! later run.

use super::disk::{Disk, GrowingFile};
use super::keyring::Keyring;
use super::seal::{Label, Sealer};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// See the module.
pub struct SealedDisk {
    below: Arc<dyn Disk>,
    ring: Box<dyn Fn() -> Arc<Keyring> + Send + Sync>,
}

impl SealedDisk {
    pub fn new(below: Arc<dyn Disk>, ring: Arc<Keyring>) -> SealedDisk {
        SealedDisk { below, ring: Box::new(move || Arc::clone(&ring)) }
    }

    /// Each file is sealed under the key that is the first of the process's when it begins.
    pub fn of_process(below: Arc<dyn Disk>) -> SealedDisk {
        SealedDisk { below, ring: Box::new(super::keyring) }
    }
}

struct SealedFile {
    file: Box<dyn GrowingFile>,
    ring: Arc<Keyring>,
    label: Label,
    /// `None`: what is there is not ours to continue.
    sealer: Option<Sealer>,
    /// Bytes of text, and on disk.
    text: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

impl SealedFile {
    fn begin(&mut self) -> io::Result<()> {
        self.sealer = None;
        let mut head = Vec::new();
        let sealer = Sealer::begin(&self.ring, self.label, &mut head)?;
        self.file.append(&head)?;
        (self.text, self.bytes, self.sealer) = (0, head.len() as u64, Some(sealer));
        Ok(())
    }
}

impl GrowingFile for SealedFile {
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(sealer) = &mut self.sealer else {
            return Err(io::Error::other("a sealed file of an earlier run is not continued"));
        };
        let number = sealer.number();
        self.buffer.clear();
        let result = sealer.put(text, &mut self.buffer).and_then(|()| self.file.append(&self.buffer));
        match result {
            Ok(()) => {
                self.text += text.len() as u64;
                self.bytes += self.buffer.len() as u64;
            }
            Err(_) => sealer.back_to(number),
        }
        result
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn commit(&mut self) -> io::Result<()> {
        self.file.commit()
    }

    /// To where it stood after the last append, or to nothing.
    fn cut(&mut self, len: u64) -> io::Result<()> {
        if self.sealer.is_none() && len == 0 {
            self.file.cut(0)?;
            return self.begin();
        }
        // To its head if nothing else was written: what stands there says which file it is.
        if len != self.text || self.sealer.is_none() {
            return Err(io::Error::other("a sealed file is cut only to what was last written whole"));
        }
        self.file.cut(self.bytes)
    }
}

impl Disk for SealedDisk {
    fn grow(&self, path: &Path) -> io::Result<(Box<dyn GrowingFile>, u64)> {
        let (file, len) = self.below.grow(path)?;
        let (ring, label) = ((self.ring)(), Label::of(path));
        let mut sealed = SealedFile { file, ring, label, sealer: None, text: 0, bytes: 0, buffer: Vec::new() };
        if len == 0 {
            sealed.begin()?;
        }
        Ok((Box::new(sealed), len))
    }

    fn can_grow(&self, _: &Path) -> bool {
        false
    }

    fn identity(&self, path: &Path) -> io::Result<Option<String>> {
        super::identity_of(path)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let text = std::str::from_utf8(content).map_err(io::Error::other)?;
        self.below.replace(path, super::stamp(&(self.ring)(), path, text)?.as_bytes())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.below.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.below.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.below.sync_folder(path)
    }
}
