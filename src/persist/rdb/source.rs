//! Bytes from a file or payload, counted and summed, with the primitives of the format.

use super::lzf;
use crate::base::crc64::crc64;
use crate::base::number::IntText;
use crate::resp::parser::BULK_LEN_MAX;
use std::io::{Empty, Read};

/// Bytes that are read ahead.
const BUFFER: usize = 64 << 10;
/// A string is taken in steps of at most this many bytes, so that memory is used only for what is really there.
const STEP: usize = 1 << 20;
/// No string is longer.
const STRING_MAX: u64 = BULK_LEN_MAX;

/// What is wrong.
#[derive(Debug)]
pub enum Fault {
    Io(std::io::Error),
    /// It ends where something has to follow.
    Truncated,
    /// It begins like no file of this kind.
    Magic,
    Version(u16),
    Checksum,
    /// A byte where a type or an opcode has to stand.
    Kind(u8),
    /// The same, in a file of a version whose numbers others have given.
    ForeignKind(u8, u16),
    /// What this server has no use for yet.
    Unsupported(&'static str),
    /// A length or number that cannot be.
    Length,
    /// A collection without elements.
    Empty,
    /// Bytes that are not what their type asks for: what about them is wrong, as the first words of a sentence.
    Damaged(&'static str),
    /// A key stands there twice, or was there before.
    Duplicate,
    /// A number of a database that does not exist here.
    Database(u64),
    /// A library of functions that cannot be loaded: why.
    Library(String),
}

/// What is wrong, and after how many bytes.
#[derive(Debug)]
pub struct RdbError {
    pub offset: u64,
    pub fault: Fault,
}

impl std::fmt::Display for RdbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.fault {
            Fault::Io(e) => write!(f, "reading failed: {e}")?,
            Fault::Truncated => write!(f, "it ends too early")?,
            Fault::Magic => write!(f, "it begins with neither REDIS nor VALKEY and a version")?,
            Fault::Version(v) => write!(f, "Can't handle RDB format version {v} (see rdb-version-check)")?,
            Fault::Checksum => write!(f, "its checksum is wrong (CRC error)")?,
            Fault::Kind(k) => {
                write!(
                    f,
                    "Unknown type or opcode when loading DB. Unrecoverable error, aborting now. There is no {k}"
                )?;
            }
            Fault::ForeignKind(k, version) => {
                write!(f, "Can't handle foreign type or opcode {k} in RDB with version {version}")?;
            }
            Fault::Unsupported(what) => write!(f, "it holds {what}, which this server does not have yet")?,
            Fault::Length => write!(f, "a length is impossible")?,
            Fault::Empty => write!(f, "a key has no elements")?,
            Fault::Damaged(what) => write!(f, "{what} integrity check failed")?,
            Fault::Duplicate => write!(f, "a key is there twice")?,
            Fault::Library(why) => write!(f, "a library of functions: {why}")?,
            Fault::Database(n) => write!(f, "database {n} does not exist here (see databases)")?,
        }
        write!(f, " (at byte {})", self.offset)
    }
}

impl std::error::Error for RdbError {}

/// What reading yields.
pub(super) type Got<T> = Result<T, RdbError>;

/// See the module.
pub(super) struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the buffer before this are in `crc`.
    summed: usize,
    summing: bool,
    crc: u64,
    /// Bytes before the buffer.
    before: u64,
    /// From here on the buffer is kept: see [`Source::mark`].
    marked: Option<usize>,
}

/// A length, or what stands in its place.
enum Len {
    Plain(u64),
    /// A string in another form.
    Special(u8),
}

impl Source<Empty> {
    /// Bytes that are all there.
    pub fn whole(bytes: Vec<u8>) -> Source<Empty> {
        Source { buffer: bytes, ..Source::new(std::io::empty(), false) }
    }

    /// Goes to a place among them, which is after `offset` bytes of what they were taken from.
    pub fn go_to(&mut self, at: usize, offset: u64) {
        self.at = at;
        self.before = offset.wrapping_sub(at as u64);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.buffer
    }
}

impl<R: Read> Source<R> {
    pub fn new(reader: R, summing: bool) -> Source<R> {
        Source { reader, buffer: Vec::new(), at: 0, summed: 0, summing, crc: 0, before: 0, marked: None }
    }

    pub fn error(&self, fault: Fault) -> RdbError {
        RdbError { offset: self.before.wrapping_add(self.at as u64), fault }
    }

    /// Bytes taken so far.
    pub fn offset(&self) -> u64 {
        self.before.wrapping_add(self.at as u64)
    }

    pub fn damaged<T>(&self, what: &'static str) -> Got<T> {
        Err(self.error(Fault::Damaged(what)))
    }

    /// The sum of all bytes taken so far.
    pub fn crc(&mut self) -> u64 {
        if self.summing {
            self.crc = crc64(self.crc, self.buffer.get(self.summed..self.at).unwrap_or_default());
            // Less was taken than is summed already where it was gone back to a mark.
            self.summed = self.summed.max(self.at);
        }
        self.crc
    }

    /// Brings new bytes behind a buffer that has been used up; what of it was taken since a mark stays.
    fn fill(&mut self) -> Got<()> {
        self.crc();
        let gone = self.marked.map_or(self.buffer.len(), |at| at.min(self.buffer.len()));
        self.before = self.before.wrapping_add(gone as u64);
        self.buffer.drain(..gone);
        self.marked = self.marked.map(|_| 0);
        let kept = self.buffer.len();
        (self.at, self.summed) = (kept, kept);
        // What is there is enough: the rest may be on its way for a while.
        self.buffer.resize(kept + BUFFER, 0);
        let taken = loop {
            match self.reader.read(self.buffer.get_mut(kept..).unwrap_or_default()) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                taken => break taken,
            }
        };
        self.buffer.truncate(kept + taken.as_ref().map_or(0, |n| *n));
        match taken {
            Ok(0) => Err(self.error(Fault::Truncated)),
            Ok(_) => Ok(()),
            Err(e) => Err(self.error(Fault::Io(e))),
        }
    }

    /// Keeps what is taken from here on, so that it can be had as bytes or taken again.
    pub fn mark(&mut self) {
        self.marked = Some(self.at);
    }

    /// What was taken since the mark, which is gone then.
    pub fn since_mark(&mut self) -> &[u8] {
        let from = self.marked.take().unwrap_or(self.at);
        self.buffer.get(from..self.at).unwrap_or_default()
    }

    /// Goes back to the mark, which is gone then.
    pub fn rewind(&mut self) {
        self.at = self.marked.take().unwrap_or(self.at);
    }

    /// Goes over the next `len` bytes. False where more than `room` would have been taken since the mark; it may stand anywhere then.
    fn skip(&mut self, len: u64, room: usize) -> Got<bool> {
        let mut left = len;
        loop {
            let since = self.at - self.marked.unwrap_or(self.at);
            if left > (room as u64).saturating_sub(since as u64) {
                return Ok(false);
            }
            let there = (self.buffer.len() - self.at) as u64;
            self.at += left.min(there) as usize;
            left -= left.min(there);
            if left == 0 {
                return Ok(true);
            }
            self.fill()?;
        }
    }

    /// Goes over `count` strings, each followed by `then` more bytes; as [`Source::skip`].
    pub fn skip_strings(&mut self, count: u64, then: u64, room: usize) -> Got<bool> {
        for _ in 0..count {
            let len = match self.len_or_special()? {
                Len::Plain(n) => n,
                Len::Special(n @ 0..=2) => 1 << n,
                Len::Special(3) => {
                    let packed = self.len()?;
                    self.len()?;
                    packed
                }
                Len::Special(_) => return Err(self.error(Fault::Length)),
            };
            if !self.skip(len.saturating_add(then), room)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn u8(&mut self) -> Got<u8> {
        if self.at >= self.buffer.len() {
            self.fill()?;
        }
        let byte = self.buffer.get(self.at).copied().ok_or_else(|| self.error(Fault::Truncated))?;
        self.at += 1;
        Ok(byte)
    }

    pub fn array<const N: usize>(&mut self) -> Got<[u8; N]> {
        if let Some(bytes) = self.buffer.get(self.at..).and_then(|b| b.first_chunk::<N>()).copied() {
            self.at += N;
            return Ok(bytes);
        }
        let mut bytes = [0; N];
        for b in &mut bytes {
            *b = self.u8()?;
        }
        Ok(bytes)
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: u64) -> Got<Vec<u8>> {
        if len > STRING_MAX {
            return Err(self.error(Fault::Length));
        }
        let mut left = len as usize;
        let mut out = Vec::with_capacity(left.min(STEP));
        while left > 0 {
            if self.at >= self.buffer.len() {
                self.fill()?;
            }
            let there = self.buffer.get(self.at..).unwrap_or_default();
            let n = there.len().min(left);
            out.extend_from_slice(there.get(..n).unwrap_or_default());
            self.at += n;
            left -= n;
        }
        Ok(out)
    }

    fn len_or_special(&mut self) -> Got<Len> {
        let first = self.u8()?;
        Ok(match first >> 6 {
            0 => Len::Plain(u64::from(first)),
            1 => Len::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.u8()?)),
            2 if first == 0x80 => Len::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            2 if first == 0x81 => Len::Plain(u64::from_be_bytes(self.array()?)),
            2 => return Err(self.error(Fault::Length)),
            _ => Len::Special(first & 0x3f),
        })
    }

    pub fn len(&mut self) -> Got<u64> {
        match self.len_or_special()? {
            Len::Plain(n) => Ok(n),
            Len::Special(_) => Err(self.error(Fault::Length)),
        }
    }

    /// A number of elements, at least one. They are not yet there: no memory is to be taken for them ahead.
    pub fn count(&mut self) -> Got<u64> {
        match self.len()? {
            0 => Err(self.error(Fault::Empty)),
            n => Ok(n),
        }
    }

    pub fn string(&mut self) -> Got<Vec<u8>> {
        let special = match self.len_or_special()? {
            Len::Plain(n) => return self.bytes(n),
            Len::Special(s) => s,
        };
        let n = match special {
            0 => i64::from(i8::from_le_bytes(self.array()?)),
            1 => i64::from(i16::from_le_bytes(self.array()?)),
            2 => i64::from(i32::from_le_bytes(self.array()?)),
            3 => {
                let (packed_len, len) = (self.len()?, self.len()?);
                if len > STRING_MAX {
                    return Err(self.error(Fault::Length));
                }
                let packed = self.bytes(packed_len)?;
                return lzf::unpack(&packed, len as usize).map_or_else(|| self.damaged("LZF string"), Ok);
            }
            _ => return Err(self.error(Fault::Length)),
        };
        Ok(IntText::new(n).as_bytes().to_vec())
    }
}
