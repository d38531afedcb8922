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

#[cfg(test)]
mod tests {
    use super::*;

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
