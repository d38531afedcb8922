//! Listpack: a sequence of small strings and integers in one buffer, byte for byte as RDB files and DUMP carry it.
//!
//! ```text
//! total bytes u32 | entries u16 (65535: count them) | entry ... | 0xFF          all little endian
//! entry:  encoding and data | length of that, 7 bits a byte, to be read backward
//!   0xxxxxxx                 0..127            10llllll data            string of up to 63 bytes
//!   110xxxxx xxxxxxxx        13-bit integer    1110llll llllllll data   string of up to 4095 bytes
//!   F1 F2 F3 F4              16, 24, 32, 64-bit integer                 F0 u32 data   longer string
//! ```
//!
//! Invariant: the bytes were made here or checked whole by [`Listpack::from_bytes`], so reading needs no further checks;
//! a string that is the canonical text of an integer is stored as that integer when it is written here (bytes from
//! elsewhere may hold it either way). It knows neither keys nor types nor thresholds; callers keep it small.

mod entry;

use crate::base::number::{INT_TEXT_MAX, IntText, parse_i64};
use crate::base::size_class::size_class;
use entry::Encoded;
pub use entry::Malformed;

/// Bytes before the first entry.
const HEADER: usize = 6;
/// The byte after the last entry.
const END: u8 = 0xFF;
/// The count that stands for "too many to say".
const COUNT_UNKNOWN: usize = 65_535;
/// A listpack never grows beyond this many bytes; offsets then fit everywhere and a write costs a bounded move.
pub const BYTES_MAX: usize = 1 << 30;

/// An element: an integer, or bytes that are not the text of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Int(i64),
    Str(&'a [u8]),
}

/// Classifies bytes: the canonical text of an integer becomes that integer.
impl<'a> From<&'a [u8]> for Item<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        if bytes.len() <= INT_TEXT_MAX
            && let Some(value) = parse_i64(bytes)
        {
            return Item::Int(value);
        }
        Item::Str(bytes)
    }
}

impl From<i64> for Item<'_> {
    fn from(value: i64) -> Self {
        Item::Int(value)
    }
}

impl<'a> Item<'a> {
    /// Whether the element's text is `bytes`.
    #[must_use]
    pub fn eq_bytes(self, bytes: &[u8]) -> bool {
        match self {
            Item::Str(text) => text == bytes,
            Item::Int(value) => parse_i64(bytes) == Some(value),
        }
    }

    /// Calls `read` with the element's text.
    pub fn with_bytes<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Item::Str(text) => read(text),
            Item::Int(value) => read(IntText::new(value).as_bytes()),
        }
    }

    /// The element's text, on the heap.
    #[must_use]
    pub fn to_vec(self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// The length of the element's text, in bytes.
    #[must_use]
    pub fn text_len(self) -> usize {
        match self {
            Item::Str(text) => text.len(),
            Item::Int(value) => crate::base::number::int_text_len(value),
        }
    }

    /// The bytes an entry for this element takes in a listpack.
    #[must_use]
    pub fn entry_len(self) -> usize {
        entry::entry_len(self)
    }
}

/// Something to look for; classified once, compared many times.
#[derive(Clone, Copy)]
pub(super) struct Needle<'a> {
    bytes: &'a [u8],
    int: Option<i64>,
}

impl<'a> Needle<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, int: parse_i64(bytes) }
    }

    #[inline]
    pub(super) fn is(self, item: Item<'_>) -> bool {
        match item {
            Item::Int(value) => self.int == Some(value),
            Item::Str(text) => text == self.bytes,
        }
    }
}

/// Where an entry begins. It holds until the listpack is next changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u32);

impl Position {
    fn at(offset: usize) -> Self {
        Self(offset as u32)
    }

    fn offset(self) -> usize {
        self.0 as usize
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Listpack {
    bytes: Vec<u8>,
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

impl Listpack {
    /// No elements: 7 bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// No elements, and room for `entry_bytes` bytes of entries.
    #[must_use]
    pub fn with_capacity(entry_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(size_class(HEADER + 1 + entry_bytes));
        bytes.extend_from_slice(&[(HEADER + 1) as u8, 0, 0, 0, 0, 0, END]);
        Self { bytes }
    }

    /// Takes bytes from outside after checking every one of them.
    ///
    /// # Errors
    /// [`Malformed`] names the first offset that is wrong, and what is.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        entry::validate(bytes)?;
        let mut owned = Vec::with_capacity(size_class(bytes.len()));
        owned.extend_from_slice(bytes);
        Ok(Self { bytes: owned })
    }

    /// Like [`Self::from_bytes`], without a copy.
    ///
    /// # Errors
    /// As there.
    pub fn from_vec(bytes: Vec<u8>) -> Result<Self, Malformed> {
        entry::validate(&bytes)?;
        Ok(Self { bytes })
    }

    /// The whole listpack as files carry it.
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

    /// The number of elements; counted one by one when there are 65,535 or more.
    #[must_use]
    pub fn len(&self) -> usize {
        let count = self.stored_count();
        if count < COUNT_UNKNOWN { count } else { self.entries().count() }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER + 1
    }

    /// Whether entries of `entry_bytes` bytes can be added. Whoever adds without a threshold of its own asks first.
    #[must_use]
    pub fn has_room(&self, entry_bytes: usize) -> bool {
        self.bytes.len().saturating_add(entry_bytes) <= BYTES_MAX
    }

    #[must_use]
    pub fn first(&self) -> Option<Position> {
        self.checked(HEADER)
    }

    #[must_use]
    pub fn last(&self) -> Option<Position> {
        self.before(self.end())
    }

    #[must_use]
    pub fn next(&self, position: Position) -> Option<Position> {
        self.checked(self.after(position))
    }

    #[must_use]
    pub fn prev(&self, position: Position) -> Option<Position> {
        self.before(position.offset())
    }

    /// The element at a position of this listpack.
    #[must_use]
    pub fn item(&self, position: Position) -> Item<'_> {
        entry::decode(&self.bytes, position.offset()).0
    }

    /// The position of the element at `index`; negative ones count from the end. Walks from the nearer end.
    #[must_use]
    pub fn seek(&self, index: i64) -> Option<Position> {
        let len = self.len();
        let index = if index < 0 { (len as i64).checked_add(index)? } else { index };
        let index = usize::try_from(index).ok().filter(|&index| index < len)?;
        if index <= len / 2 {
            self.entries().nth(index).map(|(position, _)| position)
        } else {
            self.entries().nth_back(len - 1 - index).map(|(position, _)| position)
        }
    }

    /// The element at `index`; negative ones count from the end.
    #[must_use]
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        self.seek(index).map(|position| self.item(position))
    }

    /// The elements, from either end.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.entries())
    }

    /// The elements with their positions, from either end.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries { bytes: &self.bytes, front: HEADER, back: self.end() }
    }

    /// The elements with their positions from `start` to the end of the listpack, from either end.
    #[must_use]
    pub fn entries_from(&self, start: Position) -> Entries<'_> {
        Entries { bytes: &self.bytes, front: start.offset(), back: self.end() }
    }

    /// The elements with their positions from the first to `last`, that one included, from either end.
    #[must_use]
    pub fn entries_until(&self, last: Position) -> Entries<'_> {
        Entries { bytes: &self.bytes, front: HEADER, back: self.after(last) }
    }

    /// The first element equal to `bytes` at or after `start`, looking at every `1 + skip`th element only (1 to look at
    /// the fields of field-value pairs when `start` is a field).
    #[must_use]
    pub fn find(&self, start: Position, bytes: &[u8], skip: usize) -> Option<Position> {
        let needle = Needle::new(bytes);
        self.entries_from(start).step_by(skip.saturating_add(1)).find(|(_, item)| needle.is(*item)).map(|(at, _)| at)
    }

    pub fn push_back<'v>(&mut self, value: impl Into<Item<'v>>) {
        let encoded = Encoded::new(value.into());
        let end = self.end();
        self.splice(end, 0, &encoded);
        self.add_count(1);
    }

    pub fn push_front<'v>(&mut self, value: impl Into<Item<'v>>) {
        self.splice(HEADER, 0, &Encoded::new(value.into()));
        self.add_count(1);
    }

    /// Inserts before the element at `position`; returns where the new one is.
    pub fn insert_before<'v>(&mut self, position: Position, value: impl Into<Item<'v>>) -> Position {
        self.splice(position.offset(), 0, &Encoded::new(value.into()));
        self.add_count(1);
        position
    }

    /// Inserts after the element at `position`; returns where the new one is.
    pub fn insert_after<'v>(&mut self, position: Position, value: impl Into<Item<'v>>) -> Position {
        let next = Position::at(self.after(position));
        self.insert_before(next, value)
    }

    /// Puts `value` in the place of the element at `position`, which stays valid.
    pub fn replace<'v>(&mut self, position: Position, value: impl Into<Item<'v>>) {
        let old = self.after(position) - position.offset();
        self.splice(position.offset(), old, &Encoded::new(value.into()));
    }

    /// Removes the element at `position`; returns the position of the one that followed.
    pub fn remove(&mut self, position: Position) -> Option<Position> {
        self.remove_run(position, 1)
    }

    /// Removes up to `count` elements from `position` on; returns the position of the one that followed them.
    pub fn remove_run(&mut self, position: Position, count: usize) -> Option<Position> {
        let start = position.offset();
        let (mut end, mut removed) = (start, 0);
        while removed < count && end < self.end() {
            end = self.after(Position::at(end));
            removed += 1;
        }
        self.cut(start, end, removed);
        self.checked(start)
    }

    /// Removes up to `count` elements from the one at `index` on (negative: from the end); how many were removed.
    pub fn remove_range(&mut self, index: i64, count: usize) -> usize {
        let Some(position) = self.seek(index) else { return 0 };
        let before = self.len();
        self.remove_run(position, count);
        before - self.len()
    }

    /// Removes the elements at `positions`, which ascend, in one pass over the bytes.
    pub fn remove_all(&mut self, positions: &[Position]) {
        let Some(first) = positions.first() else { return };
        let mut target = first.offset();
        for (at, &position) in positions.iter().enumerate() {
            let keep = self.after(position);
            let until = positions.get(at + 1).map_or(self.bytes.len(), |next| next.offset());
            assert!(position.offset() >= target && until >= keep, "positions ascend");
            self.bytes.copy_within(keep..until, target);
            target += until - keep;
        }
        let removed = positions.len();
        let len = self.stored_count();
        self.bytes.truncate(target);
        self.set_header(len, |count| count.saturating_sub(removed));
        self.shrink();
    }

    /// Keeps the elements before `index` and returns the others.
    #[must_use]
    pub fn split_off(&mut self, index: usize) -> Self {
        let Some(position) = i64::try_from(index).ok().and_then(|index| self.seek(index)) else { return Self::new() };
        let len = self.len();
        let (start, end) = (position.offset(), self.end());
        let mut tail = Self::with_capacity(end - start);
        tail.bytes.truncate(HEADER);
        tail.bytes.extend_from_slice(&self.bytes[start..]);
        tail.set_header(0, |_| len - index);
        self.cut(start, end, len - index);
        tail
    }

    /// Moves the elements of `other` to the end of this one.
    pub fn append(&mut self, other: &Self) {
        let (mine, theirs) = (self.len(), other.len());
        let entries = &other.bytes[HEADER..];
        assert!(self.has_room(entries.len()), "a listpack stays below its limit");
        self.reserve(entries.len());
        self.bytes.pop();
        self.bytes.extend_from_slice(entries);
        self.set_header(0, |_| mine + theirs);
    }

    /// Removes all elements and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    fn end(&self) -> usize {
        self.bytes.len() - 1
    }

    fn checked(&self, offset: usize) -> Option<Position> {
        (offset < self.end()).then(|| Position::at(offset))
    }

    fn after(&self, position: Position) -> usize {
        position.offset() + entry::decode(&self.bytes, position.offset()).1
    }

    fn before(&self, offset: usize) -> Option<Position> {
        (offset > HEADER).then(|| Position::at(entry::start_of_previous(&self.bytes, offset)))
    }

    fn stored_count(&self) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[4], self.bytes[5]]))
    }

    fn add_count(&mut self, added: usize) {
        let count = self.stored_count();
        self.set_header(count, |count| count + added);
    }

    /// Writes the header for the present bytes. An unknown count stays unknown unless it is small enough to know.
    fn set_header(&mut self, stored: usize, change: impl FnOnce(usize) -> usize) {
        let total = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        let count = if stored < COUNT_UNKNOWN { change(stored) } else { COUNT_UNKNOWN };
        self.bytes[4..6].copy_from_slice(&(count.min(COUNT_UNKNOWN) as u16).to_le_bytes());
    }

    /// Replaces `old` bytes at `offset` by an entry. The count is the caller's.
    fn splice(&mut self, offset: usize, old: usize, new: &Encoded<'_>) {
        let (from, to) = (offset + old, offset + new.len());
        let tail = self.bytes.len() - from;
        if to > from {
            assert!(self.has_room(to - from), "a listpack stays below its limit");
            self.reserve(to - from);
            self.bytes.resize(to + tail, 0);
        }
        self.bytes.copy_within(from..from + tail, to);
        self.bytes.truncate(to + tail);
        new.write(&mut self.bytes[offset..to]);
        let count = self.stored_count();
        self.set_header(count, |count| count);
        if to < from {
            self.shrink();
        }
    }

    fn cut(&mut self, start: usize, end: usize, removed: usize) {
        if removed == 0 {
            return;
        }
        let stored = self.stored_count();
        self.bytes.copy_within(end.., start);
        self.bytes.truncate(self.bytes.len() - (end - start));
        self.set_header(stored, |count| count.saturating_sub(removed));
        if stored == COUNT_UNKNOWN {
            let count = self.entries().count();
            self.set_header(0, |_| count);
        }
        self.shrink();
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(size_class(needed) - self.bytes.len());
        }
    }

    /// Gives memory back once a quarter or more of it is unused.
    fn shrink(&mut self) {
        let wanted = size_class(self.bytes.len());
        if wanted <= self.bytes.capacity() / 4 * 3 {
            self.bytes.shrink_to(wanted);
        }
    }
}

/// See [`Listpack::entries`].
#[derive(Clone)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Position, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let at = self.front;
        let (item, len) = entry::decode(self.bytes, at);
        self.front += len;
        Some((Position::at(at), item))
    }
}

impl DoubleEndedIterator for Entries<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = entry::start_of_previous(self.bytes, self.back);
        Some((Position::at(self.back), entry::decode(self.bytes, self.back).0))
    }
}

/// See [`Listpack::iter`].
#[derive(Clone)]
pub struct Iter<'a>(Entries<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(_, item)| item)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests;
