//! The compact blocks of older files: ziplists and zipmaps. They are read, element by element, and never written.
//!
//! ```text
//! ziplist: bytes u32 | offset of the last entry u32 | entries u16 | entry ... | FF       little endian
//! entry:   length of the one before (u8, or FE u32) | encoding | data
//!   00llllll | 01llllll llllllll | 80 u32 (both big endian)   string
//!   C0 i16 | D0 i32 | E0 i64 | F0 i24 | FE i8 | F1..FD: 0..12  integer
//! zipmap:  entries u8 | (length, field, length, unused u8, value, unused bytes) ... | FF
//! length:  u8 below 254 | FE u32
//! ```

use crate::base::number::IntText;

/// A block that is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Broken)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[b]| b)
    }
}

fn text(n: impl Into<i64>) -> Vec<u8> {
    IntText::new(n.into()).as_bytes().to_vec()
}

/// The elements of a ziplist.
pub(super) fn ziplist(block: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
    let mut rest = Bytes(block);
    let total = u32::from_le_bytes(rest.array()?);
    let last = u32::from_le_bytes(rest.array()?) as usize;
    let entries = u16::from_le_bytes(rest.array()?);
    if total as usize != block.len() {
        return Err(Broken);
    }
    let mut out = Vec::new();
    // Where the entry before begins, and how long it is: each says so of the one before it.
    let (mut begin, mut before) = (block.len() - rest.0.len(), 0);
    loop {
        let here = block.len() - rest.0.len();
        let told = match rest.u8()? {
            0xFF if rest.0.is_empty() => break,
            0xFF => return Err(Broken),
            0xFE => u32::from_le_bytes(rest.array()?) as usize,
            n => n.into(),
        };
        if told != before {
            return Err(Broken);
        }
        let first = rest.u8()?;
        out.push(match first {
            0x00..=0x3F => rest.take(first.into())?.to_vec(),
            0x40..=0x7F => {
                let n = usize::from(first & 0x3f) << 8 | usize::from(rest.u8()?);
                rest.take(n)?.to_vec()
            }
            0x80 => {
                let n = u32::from_be_bytes(rest.array()?) as usize;
                rest.take(n)?.to_vec()
            }
            0xC0 => text(i16::from_le_bytes(rest.array()?)),
            0xD0 => text(i32::from_le_bytes(rest.array()?)),
            0xE0 => text(i64::from_le_bytes(rest.array()?)),
            0xF0 => {
                let [a, b, c] = rest.array()?;
                text(i32::from_le_bytes([0, a, b, c]) >> 8)
            }
            0xFE => text(rest.u8()? as i8),
            0xF1..=0xFD => text((first & 0x0f) - 1),
            _ => return Err(Broken),
        });
        begin = here;
        before = block.len() - rest.0.len() - here;
    }
    let counted = entries == u16::MAX || usize::from(entries) == out.len();
    if counted && last == begin { Ok(out) } else { Err(Broken) }
}

/// The fields and values of a zipmap in turn.
pub(super) fn zipmap(block: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
    fn len(rest: &mut Bytes<'_>, first: u8) -> Result<usize, Broken> {
        match first {
            0xFE => Ok(u32::from_le_bytes(rest.array()?) as usize),
            0xFF => Err(Broken),
            n => Ok(n.into()),
        }
    }
    let mut rest = Bytes(block);
    rest.u8()?;
    let mut out = Vec::new();
    loop {
        let first = rest.u8()?;
        if first == 0xFF {
            return if rest.0.is_empty() { Ok(out) } else { Err(Broken) };
        }
        let field = len(&mut rest, first)?;
        out.push(rest.take(field)?.to_vec());
        let first = rest.u8()?;
        let value = len(&mut rest, first)?;
        let unused = rest.u8()?;
        out.push(rest.take(value)?.to_vec());
        rest.take(unused.into())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_of_a_ziplist_is_read() {
        let mut z = vec![0; 10];
        let mut last = 0;
        for entry in [
            &b"\x00\x01a"[..],
            b"\x03\xf1",
            b"\x02\xfd",
            b"\x02\xfe\xff",
            b"\x03\xc0\x00\x80",
            b"\x04\xf0\xff\xff\xff",
            b"\x05\xd0\x01\x00\x00\x00",
            b"\x06\x40\x02xy",
        ] {
            last = z.len();
            z.extend_from_slice(entry);
        }
        z[4] = last as u8;
        z.push(0xFF);
        z[0] = z.len() as u8;
        z[8] = 8;
        let want: &[&[u8]] = &[b"a", b"0", b"12", b"-1", b"-32768", b"-1", b"1", b"xy"];
        assert_eq!(ziplist(&z).unwrap(), want);
    }

    #[test]
    fn a_zipmap_is_read_with_its_gaps() {
        assert_eq!(zipmap(b"\x01\x01f\x02\x01vw-\xff").unwrap(), [b"f".to_vec(), b"vw".to_vec()]);
        assert_eq!(zipmap(b"\x01\x01f"), Err(Broken));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut block: Vec<u8>) {
            let _ = zipmap(&block);
            if block.len() >= 4 {
                let n = block.len() as u32;
                block[..4].copy_from_slice(&n.to_le_bytes());
            }
            let _ = ziplist(&block);
        }
    }
}
