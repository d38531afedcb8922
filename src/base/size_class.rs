//! The allocator's size classes, so that a buffer takes all of the block it is given anyway.
//!
//! jemalloc with an 8-byte quantum: steps of 8 up to 64 bytes, then four classes to each doubling.

/// The bytes the allocator really sets aside for a request of `bytes`; 0 for 0.
#[must_use]
pub const fn size_class(bytes: usize) -> usize {
    if bytes <= 64 {
        return bytes.next_multiple_of(8);
    }
    let step = 1_usize << ((bytes - 1).ilog2() - 2);
    match bytes.checked_next_multiple_of(step) {
        Some(class) => class,
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn classes_are_the_allocators() {
        for (bytes, class) in [
            (0, 0),
            (1, 8),
            (8, 8),
            (9, 16),
            (33, 40),
            (64, 64),
            (65, 80),
            (81, 96),
            (128, 128),
            (129, 160),
            (4097, 5120),
        ] {
            assert_eq!(size_class(bytes), class, "{bytes}");
        }
        assert_eq!(size_class(usize::MAX), usize::MAX);
    }
}
