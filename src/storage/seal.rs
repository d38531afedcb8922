//! Sealed files: AES-256-GCM records under a data key of the file's own, which stands in its head, wrapped under a key of the ring.
//!
//! ```text
//! head    "HFSEAL\0\1" | key id 8 | nonce 12 | data key 32 | tag 16        bound to: magic, key id, label
//! record  word 4 LE: bytes of text, top bit on the last | nonce 12 | text | tag 16     bound to: number 8 LE, word
//! ```
//!
//! # Invariants
//! * The label says what the file is: a snapshot, or the increment with this number. A file in the place of another does not open.
//! * Records are numbered, so that none can be taken out, repeated or moved; a data key is in one file only, so that none comes from elsewhere.
//! * The nonce in the head is the file's alone: by it whoever lists files knows that each is the one it listed.
//! * A snapshot ends with a last record, and one without it is refused. An increment grows and has none: it ends behind its last whole record,
//!   like any log, and what is behind that, at most one record, is torn.

use super::keyring::{KeyId, Keyring, Sealing};
use crate::crypto::{SEAL_OVERHEAD, SealFailed, SealingKey, fill_random, hex};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use zeroize::Zeroizing;

pub const MAGIC: &[u8; 8] = b"HFSEAL\0\x01";
const KEY_LEN: usize = 32;
const HEAD: usize = MAGIC.len() + 8 + KEY_LEN + SEAL_OVERHEAD;
const WORD: usize = 4;
/// Bytes of text in a record: what is read and held at once, and the most that a torn end can hide.
pub const RECORD_MAX: usize = 128 << 10;
const LAST: u32 = 1 << 31;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Snapshot,
    Increment(u64),
    /// The users of an ACL file, whatever its name.
    Users,
}

impl Label {
    /// By its name: `PREFIX.NUMBER.incr.aof` is an increment, all else a snapshot.
    pub fn of(path: &Path) -> Label {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_suffix(".incr.aof").and_then(|n| n.rsplit('.').next()).and_then(|n| n.parse().ok());
        number.map_or(Label::Snapshot, Label::Increment)
    }

    /// Only of what grows the end may be torn.
    pub(super) fn may_be_torn(self) -> bool {
        matches!(self, Label::Increment(_))
    }

    fn bound(self, head: &[u8]) -> Vec<u8> {
        let mut bound = head.to_vec();
        match self {
            Label::Snapshot => bound.extend_from_slice(b"snapshot"),
            Label::Increment(n) => bound.extend_from_slice(format!("increment {n}").as_bytes()),
            Label::Users => bound.extend_from_slice(b"users"),
        }
        bound
    }
}

impl From<SealFailed> for io::Error {
    fn from(e: SealFailed) -> io::Error {
        io::Error::other(e)
    }
}

fn record_bound(number: u64, word: u32) -> [u8; 12] {
    let mut bound = [0; 12];
    bound[..8].copy_from_slice(&number.to_le_bytes());
    bound[8..].copy_from_slice(&word.to_le_bytes());
    bound
}

/// Makes the bytes of a sealed file.
#[derive(Debug)]
pub struct Sealer {
    key: SealingKey,
    number: u64,
}

impl Sealer {
    /// Begins a file: its head goes to `out`.
    ///
    /// # Errors
    /// There is no key, or the module fails.
    pub fn begin(ring: &Keyring, label: Label, out: &mut Vec<u8>) -> io::Result<Sealer> {
        let Some((id, wrapping)) = ring.first() else { return Err(io::Error::other("there is no key to seal with")) };
        let mut key = Zeroizing::new([0; KEY_LEN]);
        fill_random(&mut *key).map_err(io::Error::other)?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(id);
        let bound = label.bound(&head);
        wrapping.seal(&bound, &*key, &mut head)?;
        out.extend_from_slice(&head);
        Ok(Sealer { key: SealingKey::new(&key)?, number: 0 })
    }

    /// Seals text.
    ///
    /// # Errors
    /// The module fails.
    pub fn put(&mut self, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.reserve(text.len() + text.len().div_ceil(RECORD_MAX) * (WORD + SEAL_OVERHEAD));
        text.chunks(RECORD_MAX).try_for_each(|chunk| self.record(chunk, 0, out))
    }

    /// Seals that nothing follows.
    ///
    /// # Errors
    /// The module fails.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.record(&[], LAST, out)
    }

    fn record(&mut self, text: &[u8], flag: u32, out: &mut Vec<u8>) -> io::Result<()> {
        let word = text.len() as u32 | flag;
        out.extend_from_slice(&word.to_le_bytes());
        self.key.seal(&record_bound(self.number, word), text, out)?;
        self.number += 1;
        Ok(())
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Takes back what did not reach the disk.
    pub(super) fn back_to(&mut self, number: u64) {
        self.number = number;
    }
}

fn damaged(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Reads a sealed file.
#[derive(Debug)]
pub struct Opener {
    file: BufReader<File>,
    label: Label,
    key: SealingKey,
    number: u64,
    /// Where the record in `text` begins in the file, and where the next.
    begin: u64,
    next: u64,
    /// The record's nonce, text and tag; the text is `text[range]`.
    record: Vec<u8>,
    at: usize,
    end: usize,
    /// Text before this record.
    before: u64,
    torn: bool,
    ended: bool,
}

const NONCE: usize = SEAL_OVERHEAD - 16;

impl Opener {
    /// Of a file that stands behind its magic.
    fn new(ring: &Keyring, mut file: File, label: Label) -> io::Result<Opener> {
        let mut head = [0; HEAD];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut head).map_err(|_| damaged("it is sealed and ends inside its head".into()))?;
        let (clear, wrapped) = head.split_at_mut(MAGIC.len() + 8);
        let mut id = [0; 8];
        id.copy_from_slice(&clear[MAGIC.len()..]);
        let Some(wrapping) = ring.key(&id) else {
            return Err(io::Error::other(format!(
                "it is sealed under the key {}, which is not among those of encryption-key-source ({})",
                hex(&id),
                ring.ids()
            )));
        };
        let key = wrapping.open(&label.bound(clear), wrapped).and_then(|k| <&[u8; KEY_LEN]>::try_from(k).ok());
        let key = key.map(SealingKey::new).transpose()?;
        wrapped.fill(0);
        let Some(key) = key else {
            return Err(damaged(format!(
                "its head does not open under the key {}: it was changed, or the file is in the place of another",
                hex(&id)
            )));
        };
        Ok(Opener {
            file: BufReader::with_capacity(RECORD_MAX, file),
            label,
            key,
            number: 0,
            begin: HEAD as u64,
            next: HEAD as u64,
            record: Vec::new(),
            at: 0,
            end: 0,
            before: 0,
            torn: false,
            ended: false,
        })
    }

    /// Fills as much of `out` as there is. Returns how much.
    fn take(file: &mut BufReader<File>, out: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        while n < out.len() {
            match file.read(&mut out[n..])? {
                0 => break,
                more => n += more,
            }
        }
        Ok(n)
    }

    /// The next record. False at the end.
    fn advance(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.before += (self.end - NONCE.min(self.end)) as u64;
        (self.begin, self.at, self.end) = (self.next, 0, 0);
        let mut word = [0; WORD];
        let n = Opener::take(&mut self.file, &mut word)?;
        if n == 0 && self.label.may_be_torn() {
            self.ended = true;
            return Ok(false);
        }
        if n < WORD {
            return self.stop();
        }
        let word = u32::from_le_bytes(word);
        let len = (word & !LAST) as usize;
        if len > RECORD_MAX {
            return Err(self.wrong());
        }
        self.record.resize(len + SEAL_OVERHEAD, 0);
        if Opener::take(&mut self.file, &mut self.record)? < self.record.len() {
            return self.stop();
        }
        if self.key.open(&record_bound(self.number, word), &mut self.record).is_none() {
            return Err(self.wrong());
        }
        self.number += 1;
        self.next = self.begin + (WORD + self.record.len()) as u64;
        (self.at, self.end) = (NONCE, NONCE + len);
        if word & LAST != 0 {
            self.ended = true;
            if Opener::take(&mut self.file, &mut [0])? > 0 {
                return Err(damaged(format!("something follows its last record, at byte {}", self.next)));
            }
        }
        Ok(true)
    }

    fn wrong(&self) -> io::Error {
        damaged(format!(
            "its record {} at byte {} does not open: it was changed, moved or damaged",
            self.number, self.begin
        ))
    }

    /// It ends inside a record.
    fn stop(&mut self) -> io::Result<bool> {
        self.ended = true;
        if !self.label.may_be_torn() {
            let text = format!("it is sealed and ends before its last record, at byte {}", self.begin);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        self.torn = true;
        Ok(false)
    }
}

impl Read for Opener {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.end {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let n = out.len().min(self.end - self.at);
        out[..n].copy_from_slice(&self.record[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// A file of data, plain or sealed; offsets are those of its text.
#[derive(Debug)]
pub enum DataFile {
    Plain(File),
    Sealed(Box<Opener>),
}

impl DataFile {
    /// Opens one.
    ///
    /// # Errors
    /// Those of the disk; it is sealed and its key is not there; it is plain and may not be.
    pub fn open(ring: &Keyring, path: &Path) -> io::Result<DataFile> {
        let mut file = File::open(path)?;
        if is_sealed(&mut file)? {
            return Opener::new(ring, file, Label::of(path)).map(|o| DataFile::Sealed(Box::new(o)));
        }
        if ring.sealing() == Sealing::On {
            return Err(io::Error::other(
                "it is not sealed, and encryption-at-rest is yes; if it is yours, start with encryption-at-rest migrate once, then \
                 rewrite with BGSAVE and BGREWRITEAOF",
            ));
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(DataFile::Plain(file))
    }

    /// Opens a file of users, which may be plain whatever is done with others: it is put there from outside, as certificates are.
    ///
    /// # Errors
    /// Those of the disk; it is sealed and its key is not there.
    pub fn open_users(ring: &Keyring, path: &Path) -> io::Result<DataFile> {
        let mut file = super::open_regular(path)?;
        if is_sealed(&mut file)? {
            return Opener::new(ring, file, Label::Users).map(|o| DataFile::Sealed(Box::new(o)));
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(DataFile::Plain(file))
    }

    /// Bytes on disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let file = match self {
            DataFile::Plain(file) => file,
            DataFile::Sealed(opener) => opener.file.get_ref(),
        };
        Ok(file.metadata()?.len())
    }

    /// True if it was read up to an end that is inside a record.
    pub fn is_torn(&self) -> bool {
        matches!(self, DataFile::Sealed(o) if o.torn)
    }

    pub fn is_sealed(&self) -> bool {
        matches!(self, DataFile::Sealed(_))
    }

    /// Reads on from here.
    ///
    /// # Errors
    /// Those of the disk, and of what is passed over.
    pub fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        match self {
            DataFile::Plain(file) => file.seek(SeekFrom::Start(offset)).map(|_| ()),
            DataFile::Sealed(o) => {
                o.file.seek(SeekFrom::Start(HEAD as u64))?;
                (o.number, o.begin, o.next) = (0, HEAD as u64, HEAD as u64);
                (o.at, o.end, o.before, o.torn, o.ended) = (0, 0, 0, false, false);
                io::copy(&mut Read::take(&mut **o, offset), &mut io::sink()).map(|_| ())
            }
        }
    }
}

impl Read for DataFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            DataFile::Plain(file) => file.read(out),
            DataFile::Sealed(opener) => opener.read(out),
        }
    }
}

fn is_sealed(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    Read::take(&mut *file, MAGIC.len() as u64).read_to_end(&mut magic)?;
    Ok(magic == MAGIC)
}

/// The key a file is sealed under; `None` if it is plain, or not there.
///
/// # Errors
/// Those of the disk.
pub fn key_of(path: &Path) -> io::Result<Option<KeyId>> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !is_sealed(&mut file)? {
        return Ok(None);
    }
    let mut id = KeyId::default();
    file.read_exact(&mut id)?;
    Ok(Some(id))
}

/// What tells a sealed file from every other, whatever its name; `None` if it is plain, or not there.
///
/// # Errors
/// Those of the disk.
pub fn identity_of(path: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !is_sealed(&mut file)? {
        return Ok(None);
    }
    let mut rest = [0; 8 + NONCE];
    file.read_exact(&mut rest)?;
    Ok(Some(hex(&rest[8..])))
}

/// True if the file at `path` is sealed; one that cannot be read is not.
pub fn sealed_at(path: &Path) -> bool {
    File::open(path).and_then(|mut f| is_sealed(&mut f)).unwrap_or(false)
}

/// Cuts the file to so many bytes of text, and forces that to disk. What stays is on disk at every instant.
///
/// # Errors
/// Those of the disk, and of what stays.
pub fn cut(ring: &Keyring, path: &Path, text_bytes: u64) -> io::Result<()> {
    let mut len = text_bytes;
    if let DataFile::Sealed(mut o) = DataFile::open(ring, path)? {
        let mut whole = 0;
        while whole < text_bytes && o.advance()? {
            whole = o.before + (o.end - NONCE) as u64;
        }
        if whole > text_bytes {
            // The cut is inside a record, and a record is not changed in place.
            let mut head = [0; HEAD];
            File::open(path)?.read_exact(&mut head)?;
            let mut data = DataFile::open(ring, path)?;
            return super::replace_behind_head(path, &head, Sealer { key: o.key, number: 0 }, |out| {
                io::copy(&mut Read::take(&mut data, text_bytes), out).map(|_| ())
            });
        }
        len = o.next;
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()
}
