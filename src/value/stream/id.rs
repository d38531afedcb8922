//! The id of a stream's entry: milliseconds, and a sequence number among the entries of one millisecond.

use crate::base::number::{IntText, parse_u64};

/// Ids order as their entries do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

/// No text of an id is longer.
const TEXT_MAX: usize = 127;
/// The longest canonical text: two numbers of 20 digits and a dash.
const CANONICAL_MAX: usize = 41;

impl StreamId {
    /// `0-0`: before every entry.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last id there can be.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };
    /// Bytes of [`StreamId::to_be_bytes`].
    pub const BYTES: usize = 16;

    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The id that follows; `None` after the last.
    #[must_use]
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id before; `None` before the first.
    #[must_use]
    pub fn prev(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// As files and the order of keys have it.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; StreamId::BYTES] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    #[must_use]
    pub fn from_be_bytes(bytes: [u8; StreamId::BYTES]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId { ms: (both >> 64) as u64, seq: both as u64 }
    }

    /// `ms` or `ms-seq`; `seq` stands for a sequence number that is left out.
    #[must_use]
    pub fn parse(text: &[u8], seq: u64) -> Option<StreamId> {
        if text.len() > TEXT_MAX {
            return None;
        }
        match text.iter().position(|c| *c == b'-') {
            None => Some(StreamId { ms: part(text)?, seq }),
            Some(dash) => Some(StreamId { ms: part(&text[..dash])?, seq: part(&text[dash + 1..])? }),
        }
    }

    /// The milliseconds of `ms-*`.
    #[must_use]
    pub fn parse_open(text: &[u8]) -> Option<u64> {
        part(text.strip_suffix(b"-*").filter(|ms| ms.len() < TEXT_MAX)?)
    }

    #[must_use]
    pub fn text(self) -> IdText {
        let mut out = IdText { bytes: [0; CANONICAL_MAX], len: 0 };
        for piece in [IntText::unsigned(self.ms).as_bytes(), b"-", IntText::unsigned(self.seq).as_bytes()] {
            let at = usize::from(out.len);
            out.bytes[at..at + piece.len()].copy_from_slice(piece);
            out.len += piece.len() as u8;
        }
        out
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An unsigned number; as ever with ids, leading blanks, zeros and a plus sign are let pass.
fn part(text: &[u8]) -> Option<u64> {
    if let Some(n) = parse_u64(text) {
        return Some(n);
    }
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let zeros = digits.iter().take_while(|c| **c == b'0').count();
    match &digits[zeros..] {
        [] if zeros > 0 => Some(0),
        rest => parse_u64(rest),
    }
}

/// The canonical text of an id, on the stack.
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; CANONICAL_MAX],
    len: u8,
}

impl IdText {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_ids_and_texts_that_are_none() {
        for (text, id) in [
            (&b"1-2"[..], Some((1, 2))),
            (b"7", Some((7, 99))),
            (b"18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            (b"18446744073709551616-0", None),
            (b"007-008", Some((7, 8))),
            (b"+6", Some((6, 99))),
            (b"00", Some((0, 99))),
            (b"", None),
            (b"-", None),
            (b"1-", None),
            (b"-1", None),
            (b"1--1", None),
            (b"1-2-3", None),
            (b"1-*", None),
            (b"a", None),
            (b"1 ", None),
        ] {
            assert_eq!(StreamId::parse(text, 99), id.map(|(ms, seq)| StreamId { ms, seq }), "{text:?}");
        }
        assert_eq!(StreamId::parse_open(b"5-*"), Some(5));
        assert_eq!(StreamId::parse_open(b"*"), None);
        assert_eq!(StreamId::parse_open(b"-*"), None);
        assert_eq!(StreamId::parse(&[b'0'; 128], 0), None);
    }

    #[test]
    fn the_ends_have_no_neighbour() {
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.prev(), None);
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).prev(), Some(StreamId::new(1, u64::MAX)));
    }

    proptest::proptest! {
        #[test]
        fn ids_round_trip_and_their_bytes_order_as_they_do(a: (u64, u64), b: (u64, u64)) {
            let (a, b) = (StreamId::new(a.0, a.1), StreamId::new(b.0, b.1));
            proptest::prop_assert_eq!(StreamId::parse(a.text().as_bytes(), 0), Some(a));
            proptest::prop_assert_eq!(StreamId::from_be_bytes(a.to_be_bytes()), a);
            proptest::prop_assert_eq!(a.to_be_bytes().cmp(&b.to_be_bytes()), a.cmp(&b));
        }
    }
}
