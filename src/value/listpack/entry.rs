//! One entry of a listpack: its encodings, its length read backward, and the check of bytes from outside.

use super::{COUNT_UNKNOWN, END, HEADER, Item};

/// Bytes that are not a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The offset of the field or entry that is wrong, in bytes.
    pub offset: usize,
    pub cause: Cause,
}

/// What is wrong at [`Malformed::offset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Shorter than a header and an end byte.
    TooShort,
    /// The total in the header is not the size of the bytes.
    Total,
    /// The last byte is not the end byte.
    End,
    /// An encoding byte that does not exist.
    Encoding,
    /// An entry goes beyond the end.
    Overrun,
    /// The length after an entry is not that entry's.
    BackLength,
    /// The header's count is not the number of entries.
    Count,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cause = match self.cause {
            Cause::TooShort => "shorter than an empty one",
            Cause::Total => "the total is not the number of bytes",
            Cause::End => "no end byte",
            Cause::Encoding => "unknown encoding",
            Cause::Overrun => "an entry goes beyond the end",
            Cause::BackLength => "the backward length is not the entry's",
            Cause::Count => "the count is not the number of entries",
        };
        write!(out, "malformed listpack at byte {}: {cause}", self.offset)
    }
}

impl std::error::Error for Malformed {}

/// The element at `offset` and the bytes of its whole entry. The bytes are a listpack and an entry begins there.
#[inline]
pub(super) fn decode(bytes: &[u8], offset: usize) -> (Item<'_>, usize) {
    let entry = &bytes[offset..];
    let first = entry[0];
    let (item, len) = match first {
        0x00..=0x7F => return (Item::Int(i64::from(first)), 2),
        0x80..=0xBF => {
            let len = usize::from(first & 0x3F);
            return (Item::Str(&entry[1..1 + len]), len + 2);
        }
        0xC0..=0xDF => {
            let raw = u16::from(first & 0x1F) << 8 | u16::from(entry[1]);
            // Bit 12 is the sign.
            (Item::Int(i64::from((raw << 3) as i16 >> 3)), 2)
        }
        0xE0..=0xEF => {
            let len = usize::from(first & 0x0F) << 8 | usize::from(entry[1]);
            (Item::Str(&entry[2..2 + len]), 2 + len)
        }
        0xF0 => {
            let len = u32::from_le_bytes([entry[1], entry[2], entry[3], entry[4]]) as usize;
            (Item::Str(&entry[5..5 + len]), 5 + len)
        }
        _ => {
            let width = int_width(first);
            let mut raw = [0; 8];
            raw[8 - width..].copy_from_slice(&entry[1..1 + width]);
            // The number stands in the top bytes, so an arithmetic shift extends its sign.
            (Item::Int(i64::from_le_bytes(raw) >> (64 - 8 * width)), 1 + width)
        }
    };
    (item, len + back_len(len))
}

/// Bytes of the integer after the encoding byte F1 to F4.
fn int_width(first: u8) -> usize {
    match first {
        0xF1 => 2,
        0xF2 => 3,
        0xF3 => 4,
        _ => 8,
    }
}

/// Where the entry begins that ends before `offset`.
#[inline]
pub(super) fn start_of_previous(bytes: &[u8], offset: usize) -> usize {
    let (mut len, mut at) = (0_usize, offset - 1);
    loop {
        let byte = bytes[at];
        len |= usize::from(byte & 0x7F) << (7 * (offset - 1 - at));
        if byte & 0x80 == 0 {
            return at - len;
        }
        at -= 1;
    }
}

/// Bytes of the backward length of an entry whose encoding and data take `len`.
#[inline]
fn back_len(len: usize) -> usize {
    match len {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        0x20_0000..=0xFFF_FFFF => 4,
        _ => 5,
    }
}

/// Writes the backward length into all of `target`.
fn write_back_len(target: &mut [u8], len: usize) {
    let last = target.len() - 1;
    for (at, byte) in target.iter_mut().enumerate() {
        let bits = (len >> (7 * (last - at))) as u8 & 0x7F;
        *byte = if at == 0 { bits } else { bits | 0x80 };
    }
}

/// An element ready to be written: its encoding bytes (an integer's data among them), and a string's data.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_len: usize,
    data: &'a [u8],
}

impl<'a> Encoded<'a> {
    pub(super) fn new(item: Item<'a>) -> Self {
        let mut encoded = Self { head: [0; 9], head_len: 1, data: &[] };
        match item {
            Item::Int(value) => encoded.int(value),
            Item::Str(data) => {
                encoded.data = data;
                match data.len() {
                    len @ 0..=0x3F => encoded.head[0] = 0x80 | len as u8,
                    len @ 0x40..=0xFFF => {
                        encoded.head[0] = 0xE0 | (len >> 8) as u8;
                        encoded.head[1] = len as u8;
                        encoded.head_len = 2;
                    }
                    len => {
                        encoded.head[0] = 0xF0;
                        encoded.head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
                        encoded.head_len = 5;
                    }
                }
            }
        }
        encoded
    }

    fn int(&mut self, value: i64) {
        let (first, width) = match value {
            0..=127 => {
                self.head[0] = value as u8;
                return;
            }
            -4096..=4095 => {
                self.head[0] = 0xC0 | (value >> 8) as u8 & 0x1F;
                self.head[1] = value as u8;
                self.head_len = 2;
                return;
            }
            -0x8000..=0x7FFF => (0xF1, 2),
            -0x80_0000..=0x7F_FFFF => (0xF2, 3),
            -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
            _ => (0xF4, 8),
        };
        self.head[0] = first;
        self.head[1..=width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.head_len = 1 + width;
    }

    /// Bytes of the whole entry.
    pub(super) fn len(&self) -> usize {
        let len = self.head_len + self.data.len();
        len + back_len(len)
    }

    /// Writes the entry into all of `target`, which has [`Self::len`] bytes.
    pub(super) fn write(&self, target: &mut [u8]) {
        let (head, rest) = target.split_at_mut(self.head_len);
        head.copy_from_slice(&self.head[..self.head_len]);
        let (data, back) = rest.split_at_mut(self.data.len());
        data.copy_from_slice(self.data);
        write_back_len(back, self.head_len + self.data.len());
    }
}

/// The bytes an entry for `item` takes.
pub(super) fn entry_len(item: Item<'_>) -> usize {
    Encoded::new(item).len()
}

/// Checks that `bytes` are a listpack: header, every entry in both directions, count and end.
pub(super) fn validate(bytes: &[u8]) -> Result<(), Malformed> {
    let wrong = |offset, cause| Malformed { offset, cause };
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Err(wrong(0, Cause::TooShort)) };
    let [t0, t1, t2, t3, c0, c1] = *header;
    if u32::from_le_bytes([t0, t1, t2, t3]) as usize != bytes.len() || bytes.len() > super::BYTES_MAX {
        return Err(wrong(0, Cause::Total));
    }
    let Some((&last, _)) = bytes.get(HEADER..).and_then(<[u8]>::split_last) else {
        return Err(wrong(0, Cause::TooShort));
    };
    let end = bytes.len() - 1;
    if last != END {
        return Err(wrong(end, Cause::End));
    }
    let (mut at, mut count) = (HEADER, 0_usize);
    while at < end {
        let entry = bytes.get(at..end).unwrap_or_default();
        let len = encoded_len(entry).map_err(|cause| wrong(at, cause))?;
        let back = entry.get(len..len + back_len(len)).ok_or(wrong(at, Cause::Overrun))?;
        let mut expected = [0; 5];
        let expected = expected.get_mut(..back.len()).unwrap_or_default();
        write_back_len(expected, len);
        if back != expected {
            return Err(wrong(at + len, Cause::BackLength));
        }
        at += len + back.len();
        count += 1;
    }
    let stored = usize::from(u16::from_le_bytes([c0, c1]));
    if stored != COUNT_UNKNOWN && stored != count {
        return Err(wrong(4, Cause::Count));
    }
    Ok(())
}

/// Bytes of encoding and data of the entry that `entry` begins with, if they are all there.
fn encoded_len(entry: &[u8]) -> Result<usize, Cause> {
    let len = match *entry {
        [0x00..=0x7F, ..] => 1,
        [first @ 0x80..=0xBF, ..] => 1 + usize::from(first & 0x3F),
        [0xC0..=0xDF, ..] => 2,
        [first @ 0xE0..=0xEF, second, ..] => 2 + (usize::from(first & 0x0F) << 8 | usize::from(second)),
        [0xF0, a, b, c, d, ..] => 5 + u32::from_le_bytes([a, b, c, d]) as usize,
        [first @ 0xF1..=0xF4, ..] => 1 + int_width(first),
        [0xF5..=0xFF, ..] => return Err(Cause::Encoding),
        _ => return Err(Cause::Overrun),
    };
    if len > entry.len() { Err(Cause::Overrun) } else { Ok(len) }
}
