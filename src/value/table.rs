//! The table of records: extendible hashing over segments of cache-line buckets.
//!
//! A record's place follows from its *path*, 64 bits of which the first ones index the directory, the next ones
//! choose the bucket, and the last eight are the tag. A directory entry points at a segment: a header line and up to 62
//! buckets. A bucket is one cache line: nine tags, an overflow count, nine 48-bit record pointers. A record that finds
//! its home bucket full goes to the next one with room, wrapping in the segment; each full bucket passed by counts it, so
//! a search stops at the first bucket that nobody was pushed out of (the overflow counts are those of Facebook's F14).
//!
//! ```text
//! bucket  0..9 tags (0: free)   9 overflow (255: for good)   10..64 pointers, 6 bytes each, little endian
//! ```
//!
//! A segment grows by a quarter or so, then splits alone; nothing ever rehashes the whole table. Home buckets
//! follow the path's order, so that a position in path order is a SCAN cursor that stays true while segments grow, split,
//! shrink and merge: every record that is there from the first call to the last is met, and none twice.
//!
//! Invariants: `len` is the number of tags that are not 0; a directory entry's segment has a depth of at most the
//! directory's, and all `2^(depth - segment depth)` entries of its range point at it; a segment's earliest deadline is not later than that of any of its
//! records.

mod lend;
mod scan;
mod walk;

pub use lend::RecordMut;
pub use walk::{Visit, Walked};

use super::record::Record;
use crate::base::cache::{LINE, prefetch};
use crate::base::{hash, slab};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether segments that deletions have emptied are given back; tests turn it off to look at sparse tables.
static SHRINKING: AtomicBool = AtomicBool::new(true);

pub fn set_shrinking(yes: bool) {
    SHRINKING.store(yes, Ordering::Relaxed);
}

/// How a name becomes a path.
pub trait PathOf {
    fn path(name: &[u8]) -> u64;

    /// The path of a name in the same segment of `depth` as one whose path is `other`: its first `depth` bits need not be found again.
    #[inline]
    fn path_beside(name: &[u8], _other: u64, _depth: u8) -> u64 {
        Self::path(name)
    }
}

/// Members of a collection: the keyed hash alone.
#[derive(Debug)]
pub struct MemberPath;

impl PathOf for MemberPath {
    #[inline]
    fn path(name: &[u8]) -> u64 {
        hash::hash(name)
    }
}

const SLOTS: usize = 9;
/// What a record takes in its bucket, the tag and the overflow count included.
pub const PLACE_BYTES: usize = LINE.div_ceil(SLOTS);
const BUCKETS_MAX: usize = 62;
const OVERFLOW_MAX: u8 = 255;
/// Buckets whose records are asked for ahead by whoever goes through a segment.
const RECORDS_AHEAD: usize = 2;
/// Bucket counts a segment passes through: with the header line they are blocks that fill a slab with less than a fiftieth left over.
const STEPS: [u16; 14] = [1, 3, 5, 7, 9, 11, 15, 19, 24, 30, 35, 41, 50, BUCKETS_MAX as u16];

/// Records a segment of `n` buckets takes before it grows: eight of nine places.
const fn room(n: usize) -> usize {
    n * 8
}

fn step_for(len: usize) -> Option<u16> {
    STEPS.into_iter().find(|n| room(*n as usize) >= len)
}

#[repr(C, align(64))]
struct Bucket([u8; LINE]);

impl Bucket {
    /// Bit i is set where place i has this tag.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u32 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE2 is in every x86_64; the load reads 16 of the bucket's 64 bytes.
        unsafe {
            use core::arch::x86_64::*;
            let tags = _mm_load_si128(self.0.as_ptr().cast());
            (_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag as i8))) as u32) & ((1 << SLOTS) - 1)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            (0..SLOTS).fold(0, |m, i| m | (u32::from(self.0[i] == tag) << i))
        }
    }

    #[inline(always)]
    fn overflow(&self) -> u8 {
        self.0[SLOTS]
    }

    #[inline(always)]
    fn pointer(&self, i: usize) -> *mut u8 {
        let at = SLOTS + 1 + 6 * i;
        // Eight bytes that end with the pointer's last, so that the load stays inside the line.
        let word = u64::from_le_bytes(self.0[at - 2..at + 6].try_into().expect("eight bytes"));
        (word >> 16) as *mut u8
    }

    fn set_pointer(&mut self, i: usize, p: *mut u8) {
        let at = SLOTS + 1 + 6 * i;
        let bytes = (p as u64).to_le_bytes();
        assert!(bytes[6] == 0 && bytes[7] == 0, "user addresses have 48 bits");
        self.0[at..at + 6].copy_from_slice(&bytes[..6]);
    }

    /// The record at an occupied place, borrowed.
    #[inline(always)]
    fn record(&self, i: usize) -> Borrowed<'_> {
        debug_assert!(self.0[i] != 0);
        // SAFETY: an occupied place holds a pointer from `into_raw`; it is not dropped here.
        Borrowed(ManuallyDrop::new(unsafe { Record::from_raw(self.pointer(i)) }), PhantomData)
    }

    fn occupied(&self) -> u32 {
        !self.matches(0) & ((1 << SLOTS) - 1)
    }
}

/// A record that a table keeps, lent out.
pub struct Borrowed<'t>(ManuallyDrop<Record>, PhantomData<&'t Record>);

impl Deref for Borrowed<'_> {
    type Target = Record;
    #[inline(always)]
    fn deref(&self) -> &Record {
        &self.0
    }
}

/// A directory entry: the segment's address in 48 bits, and above it depth and bucket count, so that a search goes from the
/// directory to the bucket without touching the segment's header line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry(u64);

impl Entry {
    /// # Safety
    /// `s` is a live segment.
    unsafe fn of(s: *mut Segment) -> Entry {
        // SAFETY: the caller's word.
        let (depth, buckets) = unsafe { ((*s).depth, (*s).buckets) };
        let p = s as u64;
        assert!(p >> 48 == 0 && depth < 64 && buckets < 64, "user addresses have 48 bits");
        Entry(p | u64::from(depth) << 48 | u64::from(buckets) << 54)
    }

    #[inline(always)]
    fn segment(self) -> *mut Segment {
        (self.0 & ((1 << 48) - 1)) as *mut Segment
    }

    /// # Safety
    /// The segment lives for `'t` and is not changed meanwhile.
    #[inline(always)]
    unsafe fn view<'t>(self) -> View<'t> {
        View {
            first: self.segment().cast::<Bucket>().wrapping_add(1),
            depth: (self.0 >> 48) as u8 & 63,
            buckets: (self.0 >> 54) as u16,
            _segment: PhantomData,
        }
    }
}

/// A segment as a search sees it: where its buckets are, and how paths fall into them.
#[derive(Clone, Copy)]
struct View<'t> {
    first: *const Bucket,
    depth: u8,
    buckets: u16,
    _segment: PhantomData<&'t Bucket>,
}

impl<'t> View<'t> {
    #[inline(always)]
    fn bucket(self, i: usize) -> &'t Bucket {
        debug_assert!(i < self.buckets as usize);
        // SAFETY: `buckets` lines follow one another from `first` on, and live for `'t`.
        unsafe { &*self.first.add(i) }
    }

    #[inline(always)]
    fn home(self, path: u64) -> usize {
        ((u128::from(path << self.depth) * u128::from(self.buckets)) >> 64) as usize
    }

    #[inline(always)]
    fn next(self, b: usize) -> usize {
        if b + 1 == self.buckets as usize { 0 } else { b + 1 }
    }

    #[inline(always)]
    fn find(self, path: u64, name: &[u8]) -> Option<(usize, usize)> {
        let tag = tag(path);
        let mut b = self.home(path);
        for _ in 0..self.buckets {
            let bucket = self.bucket(b);
            let mut m = bucket.matches(tag);
            while m != 0 {
                let i = m.trailing_zeros() as usize;
                if same(bucket.record(i).name(), name) {
                    return Some((b, i));
                }
                m &= m - 1;
            }
            if bucket.overflow() == 0 {
                return None;
            }
            b = self.next(b);
        }
        None
    }
}

#[repr(C, align(64))]
struct Segment {
    depth: u8,
    buckets: u16,
    len: u32,
    /// No record's deadline is earlier; i64::MAX where none has one.
    earliest: i64,
}

impl Segment {
    const fn bytes(buckets: u16) -> usize {
        LINE * (1 + buckets as usize)
    }

    /// Segments lie in slabs, beside records and like them in huge pages: a search does not wait for the address of a page.
    fn make(depth: u8, buckets: u16) -> *mut Segment {
        let p = slab::take_lines(Segment::bytes(buckets)).as_ptr();
        // SAFETY: the block has so many bytes, at a multiple of a line; all-zero buckets are free ones.
        unsafe {
            p.write_bytes(0, Segment::bytes(buckets));
            let p = p.cast::<Segment>();
            p.write(Segment { depth, buckets, len: 0, earliest: i64::MAX });
            p
        }
    }

    /// Frees the segment's memory, not its records.
    ///
    /// # Safety
    /// `p` came from `make` and is not used again.
    unsafe fn free(p: *mut Segment) {
        // SAFETY: the caller's word.
        unsafe { slab::give(NonNull::new_unchecked(p.cast()), Segment::bytes((*p).buckets)) }
    }

    #[inline(always)]
    fn bucket(&self, i: usize) -> &Bucket {
        debug_assert!(i < self.buckets as usize);
        // SAFETY: `buckets` lines follow the header in the same allocation.
        unsafe { &*std::ptr::from_ref(self).cast::<Bucket>().add(1 + i) }
    }

    #[inline(always)]
    fn bucket_mut(&mut self, i: usize) -> &mut Bucket {
        debug_assert!(i < self.buckets as usize);
        // SAFETY: as in `bucket`, held exclusively.
        unsafe { &mut *std::ptr::from_mut(self).cast::<Bucket>().add(1 + i) }
    }

    #[inline(always)]
    fn view(&self) -> View<'_> {
        View {
            first: std::ptr::from_ref(self).cast::<Bucket>().wrapping_add(1),
            depth: self.depth,
            buckets: self.buckets,
            _segment: PhantomData,
        }
    }

    #[inline(always)]
    fn home(&self, path: u64) -> usize {
        self.view().home(path)
    }

    #[inline(always)]
    fn next(&self, b: usize) -> usize {
        self.view().next(b)
    }

    #[inline(always)]
    fn find(&self, path: u64, name: &[u8]) -> Option<(usize, usize)> {
        self.view().find(path, name)
    }

    /// Places a record whose name is not there. There is room.
    fn place(&mut self, path: u64, record: Record) -> (usize, usize) {
        if let Some(d) = record.deadline() {
            self.earliest = self.earliest.min(d);
        }
        let mut b = self.home(path);
        loop {
            let next = self.next(b);
            let bucket = self.bucket_mut(b);
            let free = bucket.matches(0);
            if free != 0 {
                let i = free.trailing_zeros() as usize;
                bucket.0[i] = tag(path);
                bucket.set_pointer(i, record.into_raw());
                self.len += 1;
                return (b, i);
            }
            bucket.0[SLOTS] = bucket.0[SLOTS].saturating_add(1);
            b = next;
        }
    }

    fn take(&mut self, path: u64, b: usize, i: usize) -> Record {
        let mut passed = self.home(path);
        while passed != b {
            let next = self.next(passed);
            let bucket = self.bucket_mut(passed);
            if bucket.0[SLOTS] != OVERFLOW_MAX {
                bucket.0[SLOTS] -= 1;
            }
            passed = next;
        }
        let bucket = self.bucket_mut(b);
        bucket.0[i] = 0;
        let pointer = bucket.pointer(i);
        self.len -= 1;
        // SAFETY: the place was occupied and is free now, so the record is taken back once.
        unsafe { Record::from_raw(pointer) }
    }

    /// Asks the cache for the records of a bucket, which whoever goes through a segment meets soon: one after the other, the misses would be
    /// most of what growing costs.
    #[inline(always)]
    fn prefetch_records(&self, b: usize) {
        if b >= self.buckets as usize {
            return;
        }
        let bucket = self.bucket(b);
        let mut m = bucket.occupied();
        while m != 0 {
            prefetch(bucket.pointer(m.trailing_zeros() as usize));
            m &= m - 1;
        }
    }

    /// Calls `f` with each record, which it takes.
    fn drain(&mut self, mut f: impl FnMut(Record)) {
        (0..RECORDS_AHEAD).for_each(|b| self.prefetch_records(b));
        for b in 0..self.buckets as usize {
            self.prefetch_records(b + RECORDS_AHEAD);
            let bucket = self.bucket_mut(b);
            let mut m = bucket.occupied();
            while m != 0 {
                let i = m.trailing_zeros() as usize;
                m &= m - 1;
                bucket.0[i] = 0;
                // SAFETY: as in `take`.
                f(unsafe { Record::from_raw(bucket.pointer(i)) });
            }
        }
        self.len = 0;
    }

    fn for_each(&self, f: &mut impl FnMut(&Record)) {
        (0..RECORDS_AHEAD).for_each(|b| self.prefetch_records(b));
        for b in 0..self.buckets as usize {
            self.prefetch_records(b + RECORDS_AHEAD);
            let bucket = self.bucket(b);
            let mut m = bucket.occupied();
            while m != 0 {
                f(&bucket.record(m.trailing_zeros() as usize));
                m &= m - 1;
            }
        }
    }
}

/// Whether two names are the same; short ones by a few words, for which a call would cost more than the look.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (8..=16, Some(a0), Some(b0), Some(a1), Some(b1)) =
        (a.len(), a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>())
    {
        return a0 == b0 && a1 == b1;
    }
    if let (17..=32, Some(a0), Some(b0), Some(a1), Some(b1)) =
        (a.len(), a.first_chunk::<16>(), b.first_chunk::<16>(), a.last_chunk::<16>(), b.last_chunk::<16>())
    {
        return a0 == b0 && a1 == b1;
    }
    a == b
}

#[inline(always)]
fn tag(path: u64) -> u8 {
    // 0 means a free place; 255 names instead of 256 cost nothing.
    (path as u8).max(1)
}

/// Where a record stands. It is checked when used, so that an old one finds nothing or another record, never freed memory.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    entry: usize,
    bucket: u16,
    place: u8,
}

/// Records by name. `P` says how a name becomes a path.
pub struct Table<P> {
    directory: Vec<Entry>,
    len: usize,
    /// Records that have a deadline.
    deadlines: usize,
    _path: PhantomData<P>,
}

// SAFETY: a table owns its segments and their records, which are Send and Sync; the pointers are its alone.
unsafe impl<P> Send for Table<P> {}
// SAFETY: as above; shared access only reads.
unsafe impl<P> Sync for Table<P> {}

impl<P> Default for Table<P> {
    fn default() -> Self {
        Table { directory: Vec::new(), len: 0, deadlines: 0, _path: PhantomData }
    }
}

impl<P> std::fmt::Debug for Table<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} records, {} directory entries)", self.len, self.directory.len())
    }
}

impl<P> Drop for Table<P> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<P> Table<P> {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Records that have a deadline.
    pub fn deadlines(&self) -> usize {
        self.deadlines
    }

    #[inline(always)]
    fn depth(&self) -> u32 {
        self.directory.len().trailing_zeros()
    }

    #[inline(always)]
    fn index(&self, path: u64) -> usize {
        // A shift by 64 where the directory has one entry would be undefined; two shifts are not.
        (path >> 1 >> (63 - self.depth())) as usize
    }

    #[inline(always)]
    fn view(&self, path: u64) -> Option<View<'_>> {
        if self.directory.is_empty() {
            return None;
        }
        // SAFETY: directory entries point at live segments that this table owns; they do not change while it is borrowed.
        Some(unsafe { self.directory[self.index(path)].view() })
    }

    #[inline(always)]
    fn segment(&self, path: u64) -> Option<&Segment> {
        if self.directory.is_empty() {
            return None;
        }
        // SAFETY: directory entries point at live segments that this table owns.
        Some(unsafe { &*self.directory[self.index(path)].segment() })
    }

    #[inline(always)]
    fn segment_mut(&mut self, path: u64) -> Option<&mut Segment> {
        if self.directory.is_empty() {
            return None;
        }
        // SAFETY: as in `segment`, held exclusively.
        let i = self.index(path);
        Some(unsafe { &mut *self.directory[i].segment() })
    }

    /// Where the home bucket of `path` is; null in an empty table. For [`prefetch`] alone.
    #[inline(always)]
    pub fn bucket_address(&self, path: u64) -> *const u8 {
        self.view(path).map_or(std::ptr::null(), |s| std::ptr::from_ref(s.bucket(s.home(path))).cast())
    }

    /// Where the first record is that has the tag of `path` in its home bucket, or in the next one if some were pushed out of that; null where
    /// none has. For [`prefetch_record`] alone.
    #[inline(always)]
    pub fn record_address(&self, path: u64) -> *const u8 {
        let Some(s) = self.view(path) else { return std::ptr::null() };
        let (tag, home) = (tag(path), s.home(path));
        let mut bucket = s.bucket(home);
        let mut m = bucket.matches(tag);
        if m == 0 {
            if bucket.overflow() == 0 {
                return std::ptr::null();
            }
            bucket = s.bucket(s.next(home));
            m = bucket.matches(tag);
            if m == 0 {
                return std::ptr::null();
            }
        }
        bucket.pointer(m.trailing_zeros() as usize)
    }

    /// The record called `name`; `path` is its path.
    #[inline]
    pub fn get_at(&self, path: u64, name: &[u8]) -> Option<Borrowed<'_>> {
        let s = self.view(path)?;
        let (b, i) = s.find(path, name)?;
        Some(s.bucket(b).record(i))
    }

    /// The record called `name`, and where it stands until the table changes.
    #[inline]
    pub fn locate(&self, path: u64, name: &[u8]) -> Option<(Place, Borrowed<'_>)> {
        let s = self.view(path)?;
        let (bucket, place) = s.find(path, name)?;
        let at = Place { entry: self.index(path), bucket: bucket as u16, place: place as u8 };
        Some((at, s.bucket(bucket).record(place)))
    }

    /// The record at a place; `None` if the table has changed and nothing stands there.
    #[inline]
    pub fn record_at(&self, p: Place) -> Option<Borrowed<'_>> {
        // SAFETY: directory entries point at live segments, which do not change while the table is borrowed.
        let s = unsafe { self.directory.get(p.entry)?.view() };
        let there = p.bucket < s.buckets && s.bucket(p.bucket as usize).0[p.place as usize] != 0;
        there.then(|| s.bucket(p.bucket as usize).record(p.place as usize))
    }

    /// The same, to be changed.
    #[inline]
    pub fn record_mut_at(&mut self, p: Place) -> Option<RecordMut<'_>> {
        let deadlines: *mut usize = &mut self.deadlines;
        let entry = *self.directory.get(p.entry)?;
        // SAFETY: directory entries point at live segments, held exclusively; the view ends before the record is lent. The segment's
        // header is not looked at: it would be one more line to wait for.
        unsafe {
            let s = entry.view();
            if p.bucket >= s.buckets || s.bucket(p.bucket as usize).0[p.place as usize] == 0 {
                return None;
            }
            // The place is occupied; the record is written back when the guard ends.
            Some(RecordMut::lend(entry.segment(), p.bucket as usize, p.place as usize, deadlines))
        }
    }

    /// The record called `name`, to be changed.
    #[inline]
    pub fn get_mut_at(&mut self, path: u64, name: &[u8]) -> Option<RecordMut<'_>> {
        let deadlines: *mut usize = &mut self.deadlines;
        if self.directory.is_empty() {
            return None;
        }
        let entry = self.directory[self.index(path)];
        // SAFETY: as in `record_mut_at`.
        unsafe {
            let (b, i) = entry.view().find(path, name)?;
            Some(RecordMut::lend(entry.segment(), b, i, deadlines))
        }
    }

    /// Takes the record called `name` out.
    pub fn remove_at(&mut self, path: u64, name: &[u8]) -> Option<Record> {
        let s = self.segment_mut(path)?;
        let (b, i) = s.find(path, name)?;
        let record = s.take(path, b, i);
        self.len -= 1;
        self.deadlines -= usize::from(record.deadline().is_some());
        Some(record)
    }

    /// Calls `f` with every record, in no useful order.
    pub fn for_each(&self, mut f: impl FnMut(&Record)) {
        self.each_segment(|s| s.for_each(&mut f));
    }

    fn each_segment(&self, mut f: impl FnMut(&Segment)) {
        let mut i = 0;
        while i < self.directory.len() {
            // SAFETY: directory entries point at live segments; each one's range of entries is stepped over whole.
            let s = unsafe { &*self.directory[i].segment() };
            f(s);
            i += 1 << (self.depth() - u32::from(s.depth));
        }
    }

    /// Drops every record.
    pub fn clear(&mut self) {
        while self.drop_slice() {}
        self.directory = Vec::new();
    }

    /// Takes the records of one segment out and frees it, so that a big table can be dropped in slices. False when none is left.
    /// The table must not be used for anything else once this has begun.
    pub fn drop_slice(&mut self) -> bool {
        let Some(&last) = self.directory.last() else { return false };
        // SAFETY: all entries of the last segment are taken off the directory before it is freed.
        unsafe {
            while self.directory.last() == Some(&last) {
                self.directory.pop();
            }
            (*last.segment()).drain(drop);
            Segment::free(last.segment());
        }
        self.len = 0;
        self.deadlines = 0;
        !self.directory.is_empty()
    }

    /// Bytes of the segments and the directory, and of the records' blocks and what they own if `records` is set.
    pub fn memory_bytes(&self, records: bool) -> usize {
        let mut total = self.directory.capacity() * 8;
        self.each_segment(|s| {
            total += Segment::bytes(s.buckets);
            if records {
                s.for_each(&mut |r| total += r.memory_bytes());
            }
        });
        total
    }

    /// Places for records, taken or not.
    pub fn capacity(&self) -> usize {
        let mut total = 0;
        self.each_segment(|s| total += SLOTS * s.buckets as usize);
        total
    }

    /// Segments, places and records by distance from home, for DEBUG.
    pub fn segments(&self) -> usize {
        let mut n = 0;
        self.each_segment(|_| n += 1);
        n
    }
}

impl<P: PathOf> Table<P> {
    pub fn get(&self, name: &[u8]) -> Option<Borrowed<'_>> {
        self.get_at(P::path(name), name)
    }

    pub fn get_mut(&mut self, name: &[u8]) -> Option<RecordMut<'_>> {
        self.get_mut_at(P::path(name), name)
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Adds a record whose name must not be there.
    pub fn insert(&mut self, record: Record) {
        self.insert_at(P::path(record.name()), record);
    }

    /// The same with the path known.
    #[inline]
    pub fn insert_at(&mut self, path: u64, record: Record) -> RecordMut<'_> {
        debug_assert!(self.get_at(path, record.name()).is_none());
        self.make_room(path);
        self.len += 1;
        self.deadlines += usize::from(record.deadline().is_some());
        let deadlines: *mut usize = &mut self.deadlines;
        let s = self.segment_mut(path).expect("make_room leaves a segment");
        let (b, i) = s.place(path, record);
        // SAFETY: the place is occupied; the record is written back when the guard ends.
        unsafe { RecordMut::lend(s, b, i, deadlines) }
    }

    /// Takes the record called `name` out, and memory back where a segment has become nearly empty.
    pub fn remove(&mut self, name: &[u8]) -> Option<Record> {
        let path = P::path(name);
        let record = self.remove_at(path, name)?;
        self.shrink(path);
        Some(record)
    }

    #[inline]
    fn make_room(&mut self, path: u64) {
        loop {
            let Some(s) = self.segment(path) else {
                // SAFETY: the segment was just made.
                self.directory = vec![unsafe { Entry::of(Segment::make(0, STEPS[0])) }];
                return;
            };
            if (s.len as usize) < room(s.buckets as usize) {
                return;
            }
            self.grow(path);
        }
    }

    /// Gives the full segment of `path` more buckets, or splits it.
    #[cold]
    fn grow(&mut self, path: u64) {
        let old = self.directory[self.index(path)].segment();
        // SAFETY: `old` is live until `free`; its entries are all redirected by `redirect` before that.
        unsafe {
            let depth = (*old).depth;
            let len = (*old).len as usize;
            if let Some(n) = step_for(len + 1) {
                let new = Segment::make(depth, n);
                (*old).drain(|r| {
                    (*new).place(P::path_beside(r.name(), path, depth), r);
                });
                self.redirect(path, depth, new);
                Segment::free(old);
                return;
            }
            if u32::from(depth) == self.depth() {
                assert!(depth < 48, "keyed hashes do not agree in that many bits");
                self.directory = self.directory.iter().flat_map(|s| [*s, *s]).collect();
            }
            // Counted first, so that each half gets the size it needs.
            let mut right_len = 0;
            (*old).for_each(&mut |r| right_len += (P::path_beside(r.name(), path, depth) << depth >> 63) as usize);
            let size = |n: usize| step_for((n + n / 8 + 1).min(room(BUCKETS_MAX))).expect("at most a full segment");
            let left = Segment::make(depth + 1, size(len - right_len));
            let right = Segment::make(depth + 1, size(right_len));
            (*old).drain(|r| {
                let p = P::path_beside(r.name(), path, depth);
                (*if p << depth >> 63 == 0 { left } else { right }).place(p, r);
            });
            let bit = 1u64 << (63 - depth);
            self.redirect(path & !bit, depth + 1, left);
            self.redirect(path | bit, depth + 1, right);
            Segment::free(old);
        }
    }

    /// Points all directory entries of the segment of `depth` that `path` falls into at `new`.
    fn redirect(&mut self, path: u64, depth: u8, new: *mut Segment) {
        let span = self.depth() - u32::from(depth);
        let first = self.index(path) >> span << span;
        // SAFETY: callers pass a segment they have just made.
        self.directory[first..first + (1 << span)].fill(unsafe { Entry::of(new) });
    }

    /// After removals: a segment less than a quarter full is made smaller, or one with its neighbour.
    #[inline]
    pub fn shrink(&mut self, path: u64) {
        let Some(s) = self.segment(path) else { return };
        if s.len as usize * 4 < room(s.buckets as usize) && (s.buckets > 1 || s.depth > 0 || s.len == 0) {
            self.shrink_segment(path);
        }
    }

    #[cold]
    fn shrink_segment(&mut self, path: u64) {
        if !SHRINKING.load(Ordering::Relaxed) {
            return;
        }
        let old = self.directory[self.index(path)].segment();
        // SAFETY: as in `grow`: drained segments are freed once all their entries point elsewhere.
        unsafe {
            let (depth, len) = ((*old).depth, (*old).len as usize);
            if self.len == 0 {
                self.clear();
                return;
            }
            if depth > 0 {
                let bit = 1u64 << (64 - depth);
                let buddy = self.directory[self.index(path ^ bit)].segment();
                let both = len + (*buddy).len as usize;
                if (*buddy).depth == depth && both * 2 <= room(BUCKETS_MAX) {
                    let new = Segment::make(depth - 1, step_for(both + both / 4 + 1).expect("at most half a segment"));
                    for s in [old, buddy] {
                        (*s).drain(|r| {
                            (*new).place(P::path(r.name()), r);
                        });
                    }
                    self.redirect(path, depth - 1, new);
                    Segment::free(old);
                    Segment::free(buddy);
                    return;
                }
            }
            let n = step_for(len + len / 2 + 1).expect("less than a quarter of a segment");
            if n < (*old).buckets {
                let new = Segment::make(depth, n);
                (*old).drain(|r| {
                    (*new).place(P::path(r.name()), r);
                });
                self.redirect(path, depth, new);
                Segment::free(old);
            }
        }
    }

    /// Checks the invariants of the module's head; for tests.
    pub fn check(&self) {
        let (mut len, mut deadlines) = (0, 0);
        for (i, s) in self.directory.iter().enumerate() {
            // SAFETY: directory entries point at live segments.
            let s = unsafe { &*s.segment() };
            assert!(u32::from(s.depth) <= self.depth());
            let span = self.depth() - u32::from(s.depth);
            assert_eq!(self.directory[i >> span << span], self.directory[i]);
            if i & ((1 << span) - 1) != 0 {
                continue;
            }
            let mut here = 0;
            s.for_each(&mut |r| {
                here += 1;
                let path = P::path(r.name());
                assert_eq!(self.index(path) >> span, i >> span, "a record stands in its own segment");
                assert!(s.find(path, r.name()).is_some(), "a record is found from its home");
                if let Some(d) = r.deadline() {
                    deadlines += 1;
                    assert!(s.earliest <= d);
                }
            });
            assert_eq!(here, s.len);
            len += here as usize;
        }
        assert_eq!(len, self.len);
        assert_eq!(deadlines, self.deadlines);
    }
}

/// A name of 16 bytes and a value of 64 are a block of 88, which a quarter of the places it may have stretches over three lines.
const RECORD_BYTES: usize = 88;

/// Asks the cache for the lines of a record's first [`RECORD_BYTES`], which are all of most.
#[inline(always)]
pub fn prefetch_record(p: *const u8) {
    prefetch(p);
    prefetch(p.wrapping_add(LINE));
    prefetch(p.wrapping_add(RECORD_BYTES - 1));
}

#[cfg(test)]
mod tests;
