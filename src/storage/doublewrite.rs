//! A file that grows, and whose every step can be made to survive without forcing the file itself: what was written since is put a second time
//! into a buffer of blocks that are there already, and that one is forced.
//!
//! To force a file that has grown is to force its new length too, for which file systems commit a journal of their own: a second write, one
//! behind the other, and the work of the thread that does it. To force blocks that were there before is one write. (The term is InnoDB's, whose
//! doublewrite buffer serves torn pages; databases lay out or use again the files of their write-ahead logs for this reason. A log that others
//! read as well must end where its text ends, so that its own blocks cannot be laid out.)
//!
//! # Layout
//! Entries from the beginning of the buffer, each on a block of its own, so that no block with something acknowledged is written again. An entry
//! is its length (u32), the length of the file's name (u32), a CRC-64 of all that follows, the time in milliseconds, the lap, its number within the lap, where
//! the bytes stand in the file, a CRC-64 of the up to [`BEFORE`] bytes before them (u64 each, little endian), the name, and the bytes. When the
//! buffer is full the file is forced, and the next lap begins at the first block.
//!
//! # Invariants
//! * What [`GrowingFile::commit`] has acknowledged is in the forced part of the file, or in entries of the present lap, which go on where the
//!   file was forced last without a gap. A lap's first block is written only after the file was forced, so that no state of the disk has half of
//!   each: entries count from the first block on, as long as lap and number go on.
//! * What stands in an entry stands at the same place of the file for as long as the entry does: a file that is cut below it loses the buffer.
//! * [`GrowingFile::sync`] forces the file and removes the buffer, so that a server that ends in order leaves none. Who edits the log then need
//!   not know of it.
//! * What was written before a lap began was forced then, also what an earlier run had written.
//! * [`recover`] writes nothing into a file that is not what the entries go on from, by its name, its length, and the bytes before them; nor into
//!   one that was changed after they were written: who has cut off the end of a log by hand does not want it back. (A server that was killed
//!   left everything in the file; there is nothing to write then.)
//! * Tools that read a log do not read past its buffer: they ask [`lacking`] first, and who cuts a log off calls [`forget`].

use super::disk::{Disk, FixedFile, GrowingFile};
use crate::base::clock;
use crate::base::crc64::crc64;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Bytes of a buffer: a second of a busy log of small changes.
pub const BUFFER_BYTES: u64 = 8 << 20;
/// An entry begins at a multiple of this: what a disk writes whole is no larger.
const BLOCK: u64 = 4096;
/// Entries are no longer: to write more than this twice costs more than it saves.
const ENTRY_MAX: usize = 256 << 10;
/// Bytes that tell one file from another of its name.
pub const BEFORE: u64 = 4096;
/// A file that was changed so much later than the last entry was written was changed by somebody else: longer than a sync takes, and a clock may differ.
const LATER_MS: i64 = 10_000;
/// Fixed part of an entry: two lengths and six numbers.
const HEAD: usize = 2 * 4 + 6 * 8;

/// The name of the buffer of the log with this prefix.
#[must_use]
pub fn buffer_name(prefix: &str) -> String {
    format!("{prefix}.doublewrite")
}

/// A disk on which growing files have a buffer beside them.
pub struct DoublewriteDisk {
    below: Arc<dyn Disk>,
    name: String,
    bytes: u64,
}

impl DoublewriteDisk {
    /// The buffer has this name, in the folder of the file that grows, and so many bytes. One file at a time uses it.
    pub fn new(below: Arc<dyn Disk>, name: String, bytes: u64) -> DoublewriteDisk {
        DoublewriteDisk { below, name, bytes }
    }
}

/// The buffer while it is used.
struct Buffer {
    file: Box<dyn FixedFile>,
    lap: u64,
    number: u64,
    /// Where the next entry goes.
    at: u64,
}

struct DoublewriteFile {
    below: Arc<dyn Disk>,
    file: Box<dyn GrowingFile>,
    path: PathBuf,
    buffer_path: PathBuf,
    buffer_bytes: u64,
    len: u64,
    /// An entry that is being gathered: its head, its name, and what was written since `committed`.
    entry: Vec<u8>,
    name_len: usize,
    /// Bytes up to here survive.
    committed: u64,
    buffer: Option<Buffer>,
    /// The buffer cannot be made or has failed: the file is forced instead.
    without: bool,
}

impl DoublewriteFile {
    fn start_entry(&mut self) {
        self.entry.truncate(HEAD + self.name_len);
        self.committed = self.len;
    }

    fn gathered(&self) -> usize {
        self.entry.len() - HEAD - self.name_len
    }

    /// Whether what was written since is all in the entry.
    fn has_all(&self) -> bool {
        self.gathered() as u64 == self.len - self.committed
    }

    /// Forces the file itself; the next entry begins a lap.
    fn force(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.start_entry();
        if let Some(buffer) = &mut self.buffer {
            (buffer.lap, buffer.number, buffer.at) = (buffer.lap + 1, 0, 0);
        }
        Ok(())
    }

    /// Puts the entry into the buffer and forces that. False if there is no room, or there was no buffer until now: nothing says that what stands
    /// before the entry was ever forced.
    fn put(&mut self) -> io::Result<bool> {
        let Some(buffer) = &mut self.buffer else {
            let file = self.below.lay_out(&self.buffer_path, self.buffer_bytes)?;
            self.buffer = Some(Buffer { file, lap: 0, number: 0, at: 0 });
            return Ok(false);
        };
        if buffer.at + self.entry.len() as u64 > self.buffer_bytes {
            return Ok(false);
        }
        let before =
            if buffer.number == 0 { self.below.before(&self.path, self.committed, BEFORE)? } else { Vec::new() };
        let (len, name_len) = ((self.entry.len() - HEAD - self.name_len) as u32, self.name_len as u32);
        let numbers = [clock::wall_ms() as u64, buffer.lap, buffer.number, self.committed, crc64(0, &before)];
        for (field, number) in self.entry[16..HEAD].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        self.entry[..4].copy_from_slice(&len.to_le_bytes());
        self.entry[4..8].copy_from_slice(&name_len.to_le_bytes());
        let crc = crc64(crc64(0, &self.entry[..8]), &self.entry[16..]);
        self.entry[8..16].copy_from_slice(&crc.to_le_bytes());
        buffer.file.write_at(&self.entry, buffer.at)?;
        buffer.file.sync()?;
        buffer.number += 1;
        buffer.at += (self.entry.len() as u64).next_multiple_of(BLOCK);
        Ok(true)
    }

    fn remove_buffer(&mut self) -> io::Result<()> {
        if self.buffer.take().is_none() {
            return Ok(());
        }
        match self.below.remove(&self.buffer_path) {
            // Somebody has deleted it, or the working directory is another.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(()) => self.below.sync_folder(super::folder(&self.buffer_path)),
        }
    }
}

impl GrowingFile for DoublewriteFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)?;
        if self.has_all() && self.gathered() + bytes.len() <= ENTRY_MAX {
            self.entry.extend_from_slice(bytes);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        if self.len == self.committed {
            return Ok(());
        }
        if self.without || !self.has_all() {
            return self.force();
        }
        match self.put() {
            Ok(true) => {
                self.start_entry();
                Ok(())
            }
            Ok(false) => self.force(),
            Err(e) => {
                tracing::warn!(
                    "The doublewrite buffer {} cannot be used: {e}. The log itself is forced to disk each time.",
                    self.buffer_path.display()
                );
                self.without = true;
                // What is in it stays, as the file may fail as well.
                self.force()
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.force()?;
        self.remove_buffer()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.cut(len)?;
        if len < self.committed {
            // What was acknowledged there is not to come back.
            self.file.sync()?;
            self.remove_buffer()?;
        }
        if len < self.len {
            let gathered = if self.has_all() { len.saturating_sub(self.committed) as usize } else { 0 };
            self.entry.truncate(HEAD + self.name_len + gathered);
        }
        self.len = len;
        self.committed = self.committed.min(len);
        Ok(())
    }
}

impl Disk for DoublewriteDisk {
    fn grow(&self, path: &Path) -> io::Result<(Box<dyn GrowingFile>, u64)> {
        let (file, len) = self.below.grow(path)?;
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let mut entry = vec![0; HEAD];
        entry.extend_from_slice(name);
        let file = DoublewriteFile {
            below: Arc::clone(&self.below),
            file,
            path: path.into(),
            buffer_path: path.with_file_name(&self.name),
            buffer_bytes: self.bytes,
            len,
            name_len: name.len(),
            entry,
            committed: len,
            buffer: None,
            without: false,
        };
        Ok((Box::new(file), len))
    }

    fn can_grow(&self, path: &Path) -> bool {
        self.below.can_grow(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<String>> {
        self.below.identity(path)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.below.replace(path, content)
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

/// An entry as it was read.
struct Entry<'a> {
    time_ms: i64,
    lap: u64,
    number: u64,
    offset: u64,
    before: u64,
    name: &'a [u8],
    bytes: &'a [u8],
}

/// The entry at the beginning of `data`, and the bytes it takes; `None` if there is no whole one.
fn entry(data: &[u8]) -> Option<(Entry<'_>, usize)> {
    let head = data.get(..HEAD)?;
    let short = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes")) as usize;
    let long = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let (len, name_len) = (short(0), short(4));
    if len == 0 || len > ENTRY_MAX || name_len > 255 {
        return None;
    }
    let all = data.get(..HEAD + name_len + len)?;
    if long(8) != crc64(crc64(0, &all[..8]), &all[16..]) {
        return None;
    }
    let (name, bytes) = all[HEAD..].split_at(name_len);
    let (time_ms, lap, number, offset, before) = (long(16) as i64, long(24), long(32), long(40), long(48));
    Some((Entry { time_ms, lap, number, offset, before, name, bytes }, all.len()))
}

/// The entries of the lap that was the last.
fn entries(data: &[u8]) -> Vec<Entry<'_>> {
    let mut found: Vec<Entry<'_>> = Vec::new();
    let mut at = 0;
    while let Some((e, len)) = data.get(at..).and_then(entry) {
        let goes_on = match found.last() {
            None => e.number == 0,
            Some(l) => {
                e.lap == l.lap
                    && e.number == l.number + 1
                    && e.name == l.name
                    && e.offset == l.offset + l.bytes.len() as u64
            }
        };
        if !goes_on {
            break;
        }
        found.push(e);
        at += len.next_multiple_of(BLOCK as usize);
    }
    found
}

/// What a buffer holds that its log lacks.
#[derive(Debug)]
pub struct Lack {
    pub buffer: PathBuf,
    pub file: PathBuf,
    /// Where it belongs in the file, and what it is.
    at: u64,
    missing: Vec<u8>,
    /// The file was changed after it was written: by hand, or it is a copy that has the time it was copied at. A start leaves it alone then.
    pub changed_later: bool,
}

impl Lack {
    /// Bytes that the file lacks.
    pub fn bytes(&self) -> u64 {
        self.missing.len() as u64
    }

    /// Writes them into the file, and removes the buffer.
    ///
    /// # Errors
    /// Those of the disk; the buffer is still there then.
    pub fn bring_back(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.file)?;
        file.write_all_at(&self.missing, self.at)?;
        file.sync_all()?;
        remove(&self.buffer)
    }
}

/// What the buffers in a folder hold that the files beside them lack: for who reads a log and is not its server. Nothing is written. (A server
/// writes to the log first, so that one that runs lacks nothing.)
///
/// # Errors
/// Those of the disk.
pub fn lacking(folder: &Path) -> io::Result<Vec<Lack>> {
    let mut all = Vec::new();
    for buffer in buffers(folder)? {
        let data = read(&buffer)?;
        if let Found::Lack(lack) = compare(&buffer, &entries(&data))? {
            all.push(lack);
        }
    }
    Ok(all)
}

/// Removes the buffers that hold something of this file: it was cut, and what was cut off is not to come back.
///
/// # Errors
/// Those of the disk.
pub fn forget(file: &Path) -> io::Result<()> {
    for buffer in buffers(super::folder(file))? {
        let data = read(&buffer)?;
        if entries(&data).first().is_some_and(|e| Some(e.name) == file.file_name().map(|n| n.as_encoded_bytes())) {
            remove(&buffer)?;
        }
    }
    Ok(())
}

fn buffers(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name().as_encoded_bytes().ends_with(buffer_name("").as_bytes()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// What is in a buffer; nothing if it has gone.
fn read(buffer: &Path) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    match File::open(buffer) {
        Ok(file) => file.take(BUFFER_BYTES).read_to_end(&mut data)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
        Err(e) => return Err(e),
    };
    Ok(data)
}

fn remove(buffer: &Path) -> io::Result<()> {
    fs::remove_file(buffer)?;
    File::open(super::folder(buffer))?.sync_all()
}

/// Brings back what a machine that failed had acknowledged and not yet forced to the files of a log themselves, and removes the buffer. To be called
/// before they are read, and by nobody but who writes them. Returns the bytes that were missing.
///
/// # Errors
/// Those of the disk; then nothing is to be loaded.
pub fn recover(folder: &Path, buffer: &str) -> io::Result<u64> {
    let path = folder.join(buffer);
    if !fs::exists(&path)? {
        return Ok(0);
    }
    let data = read(&path)?;
    let left = |why: &str| {
        tracing::warn!(
            "The doublewrite buffer in {} is not of the log beside it ({why}) and is removed.",
            folder.display()
        );
    };
    match compare(&path, &entries(&data))? {
        Found::Nothing => {}
        Found::Another(why) => left(why),
        Found::Lack(lack) if lack.changed_later => left("the file was changed later"),
        Found::Lack(lack) => {
            lack.bring_back()?;
            tracing::info!(
                "{} acknowledged bytes of {} that the machine had lost were brought back from the doublewrite buffer",
                lack.bytes(),
                lack.file.display()
            );
            return Ok(lack.bytes());
        }
    }
    remove(&path)?;
    Ok(0)
}

/// What a buffer comes to beside its file.
enum Found {
    /// The file has all of it.
    Nothing,
    /// The file is not what it goes on from, for this reason.
    Another(&'static str),
    Lack(Lack),
}

fn compare(buffer: &Path, entries: &[Entry<'_>]) -> io::Result<Found> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(Found::Nothing) };
    let Some(name) = std::str::from_utf8(first.name).ok().filter(|n| Path::new(n).file_name().is_some_and(|f| f == *n))
    else {
        return Ok(Found::Another("it names no file"));
    };
    let path = buffer.with_file_name(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Another("its file is not there")),
        Err(e) => return Err(e),
    };
    let about = file.metadata()?;
    let (len, changed) =
        (about.len(), about.modified()?.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64));
    if len < first.offset {
        return Ok(Found::Another("the file is shorter than it was on disk"));
    }
    let mut before = vec![0; first.offset.min(BEFORE) as usize];
    let from = first.offset - before.len() as u64;
    file.read_exact_at(&mut before, from)?;
    if crc64(0, &before) != first.before {
        return Ok(Found::Another("the file has another content"));
    }
    let bytes = entries.iter().flat_map(|e| e.bytes).copied().collect::<Vec<u8>>();
    let mut there = vec![0; (len - first.offset).min(bytes.len() as u64) as usize];
    file.read_exact_at(&mut there, first.offset)?;
    // From the first byte that differs.
    let same = there.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
    if same == bytes.len() {
        return Ok(Found::Nothing);
    }
    Ok(Found::Lack(Lack {
        buffer: buffer.into(),
        file: path,
        at: first.offset + same as u64,
        missing: bytes[same..].to_vec(),
        changed_later: changed > last.time_ms + LATER_MS,
    }))
}
