//! Intset: a sorted set of integers in one buffer, byte for byte as RDB files and DUMP carry it.
//!
//! ```text
//! width u32 (2, 4 or 8 bytes) | members u32 | member ... ascending, each of that width          all little endian
//! ```
//!
//! Invariant: members ascend strictly and the bytes are exactly as long as the header says. The width only ever grows, as
//! in the original, so the bytes depend on what was once a member. It knows neither keys nor thresholds.

use crate::base::size_class::size_class;

const HEADER: usize = 8;

/// Bytes that are not an intset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the header.
    TooShort,
    /// The width is not 2, 4 or 8 bytes.
    Width(u32),
    /// The members do not take the bytes that follow the header.
    Size { members: u32, width: u32, bytes: usize },
    /// The member at this offset is not larger than the one before.
    Order { offset: usize },
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooShort => write!(out, "malformed intset: shorter than its header"),
            Self::Width(width) => write!(out, "malformed intset at byte 0: width {width}"),
            Self::Size { members, width, bytes } => {
                write!(out, "malformed intset at byte 4: {members} members of {width} bytes in {bytes} bytes")
            }
            Self::Order { offset } => write!(out, "malformed intset at byte {offset}: members do not ascend"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Bytes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    fn of(value: i64) -> Self {
        if i16::try_from(value).is_ok() {
            Self::Two
        } else if i32::try_from(value).is_ok() {
            Self::Four
        } else {
            Self::Eight
        }
    }

    fn bytes(self) -> usize {
        self as usize
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct IntSet {
    bytes: Vec<u8>,
    width: Width,
}

impl Default for IntSet {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for IntSet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

impl IntSet {
    /// No members: 8 bytes.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: vec![2, 0, 0, 0, 0, 0, 0, 0], width: Width::Two }
    }

    /// Takes bytes from outside after checking every one of them.
    ///
    /// # Errors
    /// [`Malformed`] names what is wrong and where.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((header, members)) = bytes.split_first_chunk::<HEADER>() else { return Err(Malformed::TooShort) };
        let [w0, w1, w2, w3, c0, c1, c2, c3] = *header;
        let count = u32::from_le_bytes([c0, c1, c2, c3]);
        let width = match u32::from_le_bytes([w0, w1, w2, w3]) {
            2 => Width::Two,
            4 => Width::Four,
            8 => Width::Eight,
            other => return Err(Malformed::Width(other)),
        };
        if u64::from(count) * width.bytes() as u64 != members.len() as u64 {
            return Err(Malformed::Size { members: count, width: width.bytes() as u32, bytes: members.len() });
        }
        let mut owned = Vec::with_capacity(size_class(bytes.len()));
        owned.extend_from_slice(bytes);
        let set = Self { bytes: owned, width };
        let unordered = set.iter().zip(set.iter().skip(1)).position(|(before, after)| before >= after);
        match unordered {
            Some(index) => Err(Malformed::Order { offset: HEADER + (index + 1) * width.bytes() }),
            None => Ok(set),
        }
    }

    /// The whole set as files carry it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The size of [`Self::as_bytes`].
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The heap this owns, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        (self.bytes.len() - HEADER) / self.width.bytes()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    /// The member at `index` in ascending order; a random index makes a random member.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    #[must_use]
    pub fn contains(&self, value: i64) -> bool {
        Width::of(value) <= self.width && self.search(value).is_ok()
    }

    /// Adds `value`; whether it is new.
    pub fn add(&mut self, value: i64) -> bool {
        let width = Width::of(value);
        let index = if width > self.width {
            self.widen(width);
            // A value that did not fit the old width is beyond all members, at one end or the other.
            if value < 0 { 0 } else { self.len() }
        } else {
            match self.search(value) {
                Ok(_) => return false,
                Err(index) => index,
            }
        };
        let step = self.width.bytes();
        let (len, at) = (self.bytes.len(), HEADER + index * step);
        self.reserve(step);
        self.bytes.resize(len + step, 0);
        self.bytes.copy_within(at..len, at + step);
        self.put(index, value);
        self.set_count();
        true
    }

    /// Removes `value`; whether it was a member.
    pub fn remove(&mut self, value: i64) -> bool {
        if Width::of(value) > self.width {
            return false;
        }
        let Ok(index) = self.search(value) else { return false };
        let at = HEADER + index * self.width.bytes();
        self.bytes.drain(at..at + self.width.bytes());
        self.set_count();
        let wanted = size_class(self.bytes.len());
        if wanted <= self.bytes.capacity() / 4 * 3 {
            self.bytes.shrink_to(wanted);
        }
        true
    }

    /// The smallest member.
    #[must_use]
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    /// The largest member.
    #[must_use]
    pub fn max(&self) -> Option<i64> {
        self.len().checked_sub(1).and_then(|last| self.get(last))
    }

    /// The members in ascending order, from either end.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    /// The index of `value`, or where it would stand.
    fn search(&self, value: i64) -> Result<usize, usize> {
        // Ascending insertion is common, and answered without a search.
        if self.max().is_none_or(|max| max < value) {
            return Err(self.len());
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.at(middle).cmp(&value) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    #[inline]
    fn at(&self, index: usize) -> i64 {
        let members = &self.bytes[HEADER..];
        match self.width {
            Width::Two => i64::from(i16::from_le_bytes(members.as_chunks().0[index])),
            Width::Four => i64::from(i32::from_le_bytes(members.as_chunks().0[index])),
            Width::Eight => i64::from_le_bytes(members.as_chunks().0[index]),
        }
    }

    /// Writes a member that the width holds.
    fn put(&mut self, index: usize, value: i64) {
        let width = self.width.bytes();
        let at = HEADER + index * width;
        self.bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }

    fn widen(&mut self, width: Width) {
        let members: Vec<i64> = self.iter().collect();
        self.reserve((members.len() + 1) * width.bytes());
        self.width = width;
        self.bytes.resize(HEADER + members.len() * width.bytes(), 0);
        self.bytes[0] = width as u8;
        for (index, value) in members.into_iter().enumerate() {
            self.put(index, value);
        }
    }

    fn set_count(&mut self) {
        let count = self.len() as u32;
        self.bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(size_class(needed) - self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[i64]) -> IntSet {
        let mut set = IntSet::new();
        for &value in values {
            set.add(value);
        }
        set
    }

    /// What Valkey 9.1 puts into the DUMP of these sets.
    #[test]
    fn bytes_are_those_of_a_real_dump() {
        let small = b"\x02\0\0\0\x03\0\0\0\x01\0\x02\0\x03\0";
        let wider = b"\x04\0\0\0\x04\0\0\0\xc0\x63\xff\xff\x01\0\0\0\x02\0\0\0\x03\0\0\0";
        assert_eq!(of(&[1, 2, 3]).as_bytes(), small);
        assert_eq!(of(&[1, 2, 3, -40000]).as_bytes(), wider);
        assert_eq!(IntSet::from_bytes(small), Ok(of(&[3, 1, 2])));
        assert_eq!(IntSet::from_bytes(wider), Ok(of(&[-40000, 3, 2, 1])));
    }

    #[test]
    fn malformed_bytes_are_named() {
        let read = |bytes: &[u8]| IntSet::from_bytes(bytes).map(|_| ());
        assert_eq!(read(b"\x02\0\0\0\0\0\0"), Err(Malformed::TooShort));
        assert_eq!(read(b"\x03\0\0\0\0\0\0\0"), Err(Malformed::Width(3)));
        assert_eq!(read(b"\x02\0\0\0\x02\0\0\0\x01\0"), Err(Malformed::Size { members: 2, width: 2, bytes: 2 }));
        assert_eq!(read(b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0"), Err(Malformed::Order { offset: 10 }));
        assert_eq!(read(b"\x08\0\0\0\xff\xff\xff\xff"), Err(Malformed::Size { members: u32::MAX, width: 8, bytes: 0 }));
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_set(ops in proptest::collection::vec(
            (any::<bool>(), prop_oneof![-50_i64..50, -40_000_i64..40_000, Just(i64::MIN), Just(i64::MAX), any::<i64>()]), 0..80,
        )) {
            let (mut set, mut model) = (IntSet::new(), std::collections::BTreeSet::new());
            for (add, value) in ops {
                if add {
                    prop_assert_eq!(set.add(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                prop_assert_eq!(set.contains(value), add);
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
            }
            prop_assert_eq!(IntSet::from_bytes(set.as_bytes()), Ok(set));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = IntSet::from_bytes(&bytes);
        }
    }
}
