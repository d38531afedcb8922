//! LZF, the compression of strings in files: literal runs, and copies of what came out before.
//!
//! ```text
//! 000lllll                    l + 1 literal bytes follow
//! lllooooo oooooooo           copy l + 2 bytes from o + 1 bytes back (l of 1 to 6)
//! 111ooooo llllllll oooooooo  copy l + 9 bytes from o + 1 bytes back
//! ```

/// The most bytes that one byte of packed text may stand for: 264 bytes from three.
const RATIO_MAX: usize = 88;

/// Unpacks exactly `len` bytes; `None` if the text is damaged or of another length.
pub(super) fn unpack(mut packed: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > packed.len().checked_mul(RATIO_MAX)? {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    while let Some((&control, rest)) = packed.split_first() {
        packed = rest;
        if control < 1 << 5 {
            let run = usize::from(control) + 1;
            let (literal, rest) = packed.split_at_checked(run)?;
            if out.len() + run > len {
                return None;
            }
            out.extend_from_slice(literal);
            packed = rest;
            continue;
        }
        let mut run = usize::from(control >> 5);
        if run == 7 {
            let (&more, rest) = packed.split_first()?;
            run += usize::from(more);
            packed = rest;
        }
        run += 2;
        let (&low, rest) = packed.split_first()?;
        packed = rest;
        let back = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
        let start = out.len().checked_sub(back)?;
        if out.len() + run > len {
            return None;
        }
        if back >= run {
            out.extend_from_within(start..start + run);
        } else {
            // The copy reaches into what it writes itself.
            for at in start..start + run {
                let byte = *out.get(at)?;
                out.push(byte);
            }
        }
    }
    (out.len() == len).then_some(out)
}

/// Places that are remembered by a hash of the three bytes there.
const PLACES: usize = 1 << 12;
/// How far back a copy reaches, and how long it is.
const BACK_MAX: usize = 1 << 13;
const RUN_MAX: usize = 264;
const LITERAL_MAX: usize = 32;

/// Where three bytes were seen last. Numbers grow from text to text, so that nothing has to be cleared between them.
struct Seen {
    base: u32,
    places: Box<[u32; PLACES]>,
}

thread_local! {
    static SEEN: std::cell::RefCell<Seen> = std::cell::RefCell::new(Seen { base: 1, places: Box::new([0; PLACES]) });
}

/// Packs a text; `None` if that does not save at least four bytes.
pub(super) fn pack(text: &[u8]) -> Option<Vec<u8>> {
    let limit = text.len().checked_sub(4)?;
    SEEN.with_borrow_mut(|seen| seen.pack(text, limit))
}

fn literals(out: &mut Vec<u8>, text: &[u8]) {
    for run in text.chunks(LITERAL_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

impl Seen {
    fn pack(&mut self, text: &[u8], limit: usize) -> Option<Vec<u8>> {
        let len = u32::try_from(text.len()).ok()?;
        let Some(next) = self.base.checked_add(len).filter(|n| *n < u32::MAX / 2) else {
            self.places.fill(0);
            self.base = 1;
            return if len < u32::MAX / 2 - 1 { self.pack(text, limit) } else { None };
        };
        let base = std::mem::replace(&mut self.base, next);
        let mut out = Vec::with_capacity(limit.min(1 << 16));
        let (mut at, mut from) = (0, 0);
        while let Some([a, b, c]) = text.get(at..at + 3) {
            let three = u32::from(*a) | u32::from(*b) << 8 | u32::from(*c) << 16;
            let place = (three.wrapping_mul(0x9E37_79B1) >> 20) as usize % PLACES;
            let before = std::mem::replace(&mut self.places[place], base + at as u32);
            let start = before.wrapping_sub(base) as usize;
            let there = before >= base && at - start <= BACK_MAX && text.get(start..start + 3) == Some(&[*a, *b, *c]);
            if !there {
                // Where nothing has repeated for long, less is tried.
                at += 1 + (at - from) / 64;
                continue;
            }
            let most = RUN_MAX.min(text.len() - at);
            let run = 3 + (3..most).take_while(|i| text[start + i] == text[at + i]).count();
            literals(&mut out, &text[from..at]);
            let (back, copied) = (at - start - 1, run - 2);
            if copied < 7 {
                out.push((copied << 5 | back >> 8) as u8);
            } else {
                out.extend_from_slice(&[(7 << 5 | back >> 8) as u8, (copied - 7) as u8]);
            }
            out.push(back as u8);
            if out.len() >= limit {
                return None;
            }
            at += run;
            from = at;
        }
        literals(&mut out, &text[from..]);
        (out.len() <= limit).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_packed_and_what_does_not_is_left() {
        let long = b"abcdefgh".repeat(5000);
        let packed = pack(&long).unwrap();
        assert!(packed.len() < 600, "{}", packed.len());
        assert_eq!(unpack(&packed, long.len()), Some(long));
        let noise: Vec<u8> = (0..3000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!(pack(&noise).is_none_or(|p| p.len() <= noise.len() - 4));
        assert_eq!(pack(b"abc"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_packed_unpacks(text in proptest::collection::vec(0u8..4, 0..4000)) {
            if let Some(packed) = pack(&text) {
                proptest::prop_assert!(packed.len() + 4 <= text.len());
                proptest::prop_assert_eq!(unpack(&packed, text.len()), Some(text));
            }
        }
    }

    #[test]
    fn runs_and_overlapping_copies_unpack() {
        // 200 times `a`, as Valkey packs it.
        assert_eq!(unpack(b"\x01aa\xe0\xbb\x00\x01aa", 200), Some(vec![b'a'; 200]));
        assert_eq!(unpack(b"\x01aa\xe0\xbb\x00\x01aa", 199), None);
        assert_eq!(unpack(b"\x01aa\xe0\xbb\x00\x01aa", usize::MAX), None);
        assert_eq!(unpack(b"\x20\x05", 3), None, "nothing stands that far back");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_unpack_or_not_without_harm(packed: Vec<u8>, len in 0usize..5000) {
            if let Some(out) = unpack(&packed, len) {
                proptest::prop_assert_eq!(out.len(), len);
            }
        }
    }
}
