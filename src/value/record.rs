//! A record: one heap block with a name (key, field, member), its flags and what belongs to it.
//!
//! ```text
//! 0      kind        Kind
//! 1      flags       NAME_WIDE | VALUE_WIDE | DEADLINE | RAW | two bits of mark, the owner's
//! 2      name length, if not NAME_WIDE
//! 3      value length, if Inline and not VALUE_WIDE
//! 4..8   access word (u32, native): LRU clock or LFU counter; free for the owner
//! [8]    deadline    i64, ms since the epoch, if DEADLINE
//! [8]    payload     i64 | f64 | Arc<Vec<u8>> | Box<Object>, if kind is Int, Score, Big, Object
//! [4]    name length u32, if NAME_WIDE
//! [4]    value length u32, if Inline and VALUE_WIDE
//! ...    name, then the value if Inline
//! ```
//!
//! Invariants: the block's size follows from its header alone, and it was allocated with exactly that size; `Big` and
//! `Object` payloads are owned. A record never moves by itself: a call that needs `&mut Record` may put it elsewhere.

use super::object::Object;
use crate::base::slab;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// An owned record. Its pointer fits in 48 bits, so that tables pack it in six bytes.
#[repr(transparent)]
pub struct Record(NonNull<u8>);

// SAFETY: a record owns its block and what hangs on it (Arc<Vec<u8>>, Box<Object>), all of which are Send and Sync.
unsafe impl Send for Record {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Record {}

/// What belongs to a name, as it is handed in.
pub enum Content<'a> {
    /// A set's member has nothing but its name.
    None,
    /// A short string; longer ones become `Big` by themselves.
    String(&'a [u8]),
    Int(i64),
    Score(f64),
    Big(Arc<Vec<u8>>),
    Object(Box<Object>),
}

/// What belongs to a name, as it is looked at.
#[derive(Debug)]
pub enum ContentRef<'a> {
    None,
    Inline(&'a [u8]),
    Int(i64),
    Score(f64),
    Big(&'a Arc<Vec<u8>>),
    Object(&'a Object),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Kind {
    None,
    Inline,
    Int,
    Score,
    Big,
    Object,
}

/// Strings longer than this live in a block of their own, so that a reply can share them and growing one does not move its name.
pub const INLINE_MAX: usize = 2048;
/// Names are at most this long: the protocol's bulk limit is below it.
pub const NAME_MAX: usize = u32::MAX as usize;

const NAME_WIDE: u8 = 1;
const VALUE_WIDE: u8 = 2;
const DEADLINE: u8 = 4;
const RAW: u8 = 8;
/// Bits of the mark, and where they begin.
const MARK: u8 = 0b11 << MARK_SHIFT;
const MARK_SHIFT: u8 = 4;

const HEADER: usize = 8;

/// The offsets of a block, from its header.
#[derive(Clone, Copy)]
struct Shape {
    payload: usize,
    name: usize,
    name_len: usize,
    value_len: usize,
}

impl Shape {
    fn size(&self) -> usize {
        self.name + self.name_len + self.value_len
    }
}

impl Record {
    /// Makes a record. `deadline` is in ms since the epoch.
    pub fn new(name: &[u8], content: Content<'_>, deadline: Option<i64>) -> Record {
        match content {
            Content::None => Record::build(name, Kind::None, 0, &[], deadline),
            Content::String(v) if v.len() > INLINE_MAX => {
                Record::new(name, Content::Big(Arc::new(v.to_vec())), deadline)
            }
            Content::String(v) => Record::build(name, Kind::Inline, 0, v, deadline),
            Content::Int(n) => Record::build(name, Kind::Int, n as u64, &[], deadline),
            Content::Score(s) => Record::build(name, Kind::Score, s.to_bits(), &[], deadline),
            // SAFETY: the Arc itself, one word, becomes the payload; `Drop` reads it back as an Arc.
            Content::Big(v) => {
                Record::build(name, Kind::Big, unsafe { std::mem::transmute::<Arc<Vec<u8>>, u64>(v) }, &[], deadline)
            }
            Content::Object(o) => Record::build(name, Kind::Object, Box::into_raw(o) as u64, &[], deadline),
        }
    }

    fn build(name: &[u8], kind: Kind, payload: u64, value: &[u8], deadline: Option<i64>) -> Record {
        assert!(name.len() <= NAME_MAX && value.len() <= INLINE_MAX);
        let mut flags = 0;
        let mut at = HEADER;
        if deadline.is_some() {
            flags |= DEADLINE;
            at += 8;
        }
        let payload_at = at;
        if matches!(kind, Kind::Int | Kind::Score | Kind::Big | Kind::Object) {
            at += 8;
        }
        let name_len_at = at;
        if name.len() > 0xff {
            flags |= NAME_WIDE;
            at += 4;
        }
        let value_len_at = at;
        if value.len() > 0xff {
            flags |= VALUE_WIDE;
            at += 4;
        }
        let block = slab::take(at + name.len() + value.len());
        // SAFETY: the block has at least HEADER bytes; every write below stays inside it by the sums just made.
        unsafe {
            let p = block.as_ptr();
            p.write(kind as u8);
            p.add(1).write(flags);
            p.add(2).write(name.len() as u8);
            p.add(3).write(value.len() as u8);
            p.add(4).cast::<u32>().write(0);
            if let Some(d) = deadline {
                p.add(HEADER).cast::<i64>().write(d);
            }
            if payload_at != name_len_at {
                p.add(payload_at).cast::<u64>().write(payload);
            }
            if flags & NAME_WIDE != 0 {
                p.add(name_len_at).cast::<u32>().write_unaligned(name.len() as u32);
            }
            if flags & VALUE_WIDE != 0 {
                p.add(value_len_at).cast::<u32>().write_unaligned(value.len() as u32);
            }
            p.add(at).copy_from_nonoverlapping(name.as_ptr(), name.len());
            p.add(at + name.len()).copy_from_nonoverlapping(value.as_ptr(), value.len());
            Record(block)
        }
    }

    /// The pointer, for a table to keep; [`Record::from_raw`] takes it back.
    pub(super) fn into_raw(self) -> *mut u8 {
        std::mem::ManuallyDrop::new(self).0.as_ptr()
    }

    /// # Safety
    /// `p` came from [`Record::into_raw`] and is taken back once, or the result is kept in `ManuallyDrop`.
    pub(super) unsafe fn from_raw(p: *mut u8) -> Record {
        // SAFETY: into_raw never yields null.
        Record(unsafe { NonNull::new_unchecked(p) })
    }

    pub(super) fn as_raw(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    #[inline(always)]
    fn byte(&self, i: usize) -> u8 {
        debug_assert!(i < HEADER);
        // SAFETY: the header is always there.
        unsafe { self.0.as_ptr().add(i).read() }
    }

    #[inline(always)]
    fn kind(&self) -> Kind {
        match self.byte(0) {
            0 => Kind::None,
            1 => Kind::Inline,
            2 => Kind::Int,
            3 => Kind::Score,
            4 => Kind::Big,
            _ => Kind::Object,
        }
    }

    #[inline(always)]
    fn flags(&self) -> u8 {
        self.byte(1)
    }

    fn put_flags(&mut self, flags: u8) {
        // SAFETY: the header is always there and we hold it exclusively.
        unsafe { self.0.as_ptr().add(1).write(flags) }
    }

    #[inline(always)]
    fn shape(&self) -> Shape {
        let (kind, flags) = (self.byte(0), self.flags());
        let payload = HEADER + if flags & DEADLINE != 0 { 8 } else { 0 };
        let mut at = payload + if kind >= Kind::Int as u8 { 8 } else { 0 };
        let (mut name_len, mut value_len) = (self.byte(2) as usize, self.byte(3) as usize);
        if flags & (NAME_WIDE | VALUE_WIDE) != 0 {
            // SAFETY: the flags say that these words are in the block.
            unsafe {
                if flags & NAME_WIDE != 0 {
                    name_len = self.0.as_ptr().add(at).cast::<u32>().read_unaligned() as usize;
                    at += 4;
                }
                if flags & VALUE_WIDE != 0 {
                    value_len = self.0.as_ptr().add(at).cast::<u32>().read_unaligned() as usize;
                    at += 4;
                }
            }
        }
        Shape { payload, name: at, name_len, value_len }
    }

    #[inline(always)]
    fn slice(&self, at: usize, len: usize) -> &[u8] {
        // SAFETY: callers pass offsets of `shape`, all inside the block, which lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), len) }
    }

    #[inline]
    pub fn name(&self) -> &[u8] {
        let s = self.shape();
        self.slice(s.name, s.name_len)
    }

    fn payload(&self) -> u64 {
        let s = self.shape();
        debug_assert!(matches!(self.kind(), Kind::Int | Kind::Score | Kind::Big | Kind::Object));
        // SAFETY: these kinds have a payload word, 8-aligned behind the header.
        unsafe { self.0.as_ptr().add(s.payload).cast::<u64>().read() }
    }

    fn put_payload(&mut self, word: u64) {
        let s = self.shape();
        debug_assert!(matches!(self.kind(), Kind::Int | Kind::Score | Kind::Big | Kind::Object));
        // SAFETY: as in `payload`, and we hold the block exclusively.
        unsafe { self.0.as_ptr().add(s.payload).cast::<u64>().write(word) }
    }

    #[inline]
    pub fn content(&self) -> ContentRef<'_> {
        match self.kind() {
            Kind::None => ContentRef::None,
            Kind::Inline => {
                let s = self.shape();
                ContentRef::Inline(self.slice(s.name + s.name_len, s.value_len))
            }
            Kind::Int => ContentRef::Int(self.payload() as i64),
            Kind::Score => ContentRef::Score(f64::from_bits(self.payload())),
            // SAFETY: the kind is Big.
            Kind::Big => ContentRef::Big(unsafe { self.big_ref() }),
            // SAFETY: an Object payload is the pointer of an owned Box.
            Kind::Object => ContentRef::Object(unsafe { &*(self.payload() as *const Object) }),
        }
    }

    /// # Safety
    /// The kind is Big.
    unsafe fn big_ref(&self) -> &Arc<Vec<u8>> {
        const { assert!(size_of::<Arc<Vec<u8>>>() == 8) };
        let s = self.shape();
        // SAFETY: the payload word is the Arc itself, owned by this record and 8-aligned.
        unsafe { &*self.0.as_ptr().add(s.payload).cast::<Arc<Vec<u8>>>() }
    }

    pub fn object_mut(&mut self) -> Option<&mut Object> {
        match self.kind() {
            // SAFETY: an Object payload is the pointer of an owned Box, and we hold the record exclusively.
            Kind::Object => Some(unsafe { &mut *(self.payload() as *mut Object) }),
            _ => None,
        }
    }

    pub fn object(&self) -> Option<&Object> {
        match self.content() {
            ContentRef::Object(o) => Some(o),
            _ => None,
        }
    }

    /// True for a string value, however it is kept.
    #[inline]
    pub fn is_string(&self) -> bool {
        matches!(self.kind(), Kind::Inline | Kind::Int | Kind::Big)
    }

    /// The bytes of a long string, to be changed in place; copied first if a reply still shares them.
    pub fn big_mut(&mut self) -> Option<&mut Vec<u8>> {
        if self.kind() != Kind::Big {
            return None;
        }
        let s = self.shape();
        // SAFETY: as in `big_ref`, and we hold the record exclusively.
        let arc = unsafe { &mut *self.0.as_ptr().add(s.payload).cast::<Arc<Vec<u8>>>() };
        Some(Arc::make_mut(arc))
    }

    /// The bytes of a short string, to be changed in place without changing their number.
    pub fn inline_mut(&mut self) -> Option<&mut [u8]> {
        if self.kind() != Kind::Inline {
            return None;
        }
        let s = self.shape();
        // SAFETY: the value lies inside the block, which we hold exclusively.
        Some(unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().add(s.name + s.name_len), s.value_len) })
    }

    pub fn score(&self) -> f64 {
        match self.content() {
            ContentRef::Score(s) => s,
            _ => 0.0,
        }
    }

    /// Sets the score of a record that has one.
    pub fn set_score(&mut self, score: f64) {
        debug_assert_eq!(self.kind(), Kind::Score);
        if self.kind() == Kind::Score {
            self.put_payload(score.to_bits());
        }
    }

    /// Replaces what belongs to the name, keeping the deadline and the access word. Short strings and integers of
    /// unchanged size are written in place.
    pub fn set_content(&mut self, content: Content<'_>) {
        match content {
            Content::Int(n) if self.kind() == Kind::Int => {
                self.put_payload(n as u64);
                self.put_flags(self.flags() & !RAW);
            }
            Content::String(v) if self.kind() == Kind::Inline && v.len() <= INLINE_MAX => self.set_inline(v),
            content => {
                let access = self.access();
                let new = Record::new(self.name(), content, self.deadline());
                new.set_access(access);
                *self = new;
            }
        }
    }

    fn set_inline(&mut self, value: &[u8]) {
        let s = self.shape();
        let wide = self.flags() & VALUE_WIDE != 0;
        if wide != (value.len() > 0xff) {
            let access = self.access();
            let new = Record::build(self.name(), Kind::Inline, 0, value, self.deadline());
            new.set_access(access);
            *self = new;
            return;
        }
        if value.len() != s.value_len {
            let size = s.name + s.name_len + value.len();
            // SAFETY: the block was allocated with `s.size()`; the new size is not 0; the name and what stands before it are kept.
            unsafe {
                let block = slab::resize(self.0, s.size(), size);
                self.0 = block;
                if wide {
                    block.as_ptr().add(s.name - 4).cast::<u32>().write_unaligned(value.len() as u32);
                } else {
                    block.as_ptr().add(3).write(value.len() as u8);
                }
            }
        }
        self.put_flags(self.flags() & !RAW);
        // SAFETY: the block now holds exactly `value.len()` bytes behind the name; `value` is elsewhere, as `self` is held exclusively.
        unsafe {
            self.0.as_ptr().add(s.name + s.name_len).copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
    }

    /// A copy under another name, with the same deadline and access word. A long string's bytes are shared until one of the two changes.
    pub fn duplicate(&self, name: &[u8]) -> Record {
        let content = match self.content() {
            ContentRef::None => Content::None,
            ContentRef::Inline(v) => Content::String(v),
            ContentRef::Int(n) => Content::Int(n),
            ContentRef::Score(s) => Content::Score(s),
            ContentRef::Big(v) => Content::Big(Arc::clone(v)),
            ContentRef::Object(o) => Content::Object(Box::new(o.duplicate())),
        };
        let mut new = Record::new(name, content, self.deadline());
        new.set_raw(self.is_raw());
        new.set_access(self.access());
        new
    }

    /// ms since the epoch.
    #[inline]
    pub fn deadline(&self) -> Option<i64> {
        if self.flags() & DEADLINE == 0 {
            return None;
        }
        // SAFETY: the flag says that the word is there.
        Some(unsafe { self.0.as_ptr().add(HEADER).cast::<i64>().read() })
    }

    /// Sets or takes away the deadline; the block is made anew where the word comes or goes.
    pub fn set_deadline(&mut self, deadline: Option<i64>) {
        match (self.deadline(), deadline) {
            (None, None) => {}
            // SAFETY: the flag says that the word is there, and we hold the block exclusively.
            (Some(_), Some(d)) => unsafe { self.0.as_ptr().add(HEADER).cast::<i64>().write(d) },
            _ => self.rebuild(None, deadline),
        }
    }

    /// Gives the record another name, keeping everything else.
    pub fn set_name(&mut self, name: &[u8]) {
        let deadline = self.deadline();
        self.rebuild(Some(name), deadline);
    }

    fn rebuild(&mut self, name: Option<&[u8]>, deadline: Option<i64>) {
        let (access, raw, kind) = (self.access(), self.flags() & RAW, self.kind());
        let s = self.shape();
        let payload = if matches!(kind, Kind::None | Kind::Inline) { 0 } else { self.payload() };
        let mut new = Record::build(
            name.unwrap_or(self.slice(s.name, s.name_len)),
            kind,
            payload,
            self.slice(s.name + s.name_len, s.value_len),
            deadline,
        );
        new.set_access(access);
        new.put_flags(new.flags() | raw);
        // The payload now belongs to the new block: the old one goes without it.
        let old = std::mem::replace(self, new);
        old.free_block();
    }

    /// Frees the block alone, not what its payload owns.
    fn free_block(self) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: the block was allocated with the size its header tells, and nobody uses it afterwards.
        unsafe { slab::give(this.0, this.shape().size()) }
    }

    /// The owner's 32 bits (LRU clock or LFU counter).
    #[inline]
    pub fn access(&self) -> u32 {
        self.access_word().load(Ordering::Relaxed)
    }

    /// Readers note their accesses too.
    #[inline]
    pub fn set_access(&self, word: u32) {
        self.access_word().store(word, Ordering::Relaxed);
    }

    #[inline(always)]
    fn access_word(&self) -> &AtomicU32 {
        // SAFETY: the header is always there, its word 4-aligned, and after the block was made used by these two alone.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr().add(4).cast()) }
    }

    /// Marks a string that was changed piecewise: it is reported as `raw` however short it is.
    pub fn set_raw(&mut self, raw: bool) {
        let flags = self.flags() & !RAW;
        self.put_flags(if raw { flags | RAW } else { flags });
    }

    pub fn is_raw(&self) -> bool {
        self.flags() & RAW != 0
    }

    /// The owner's two bits: which snapshot has this record. A new block begins with 0; a table keeps the mark of a record that it lends
    /// out to be changed.
    #[inline(always)]
    pub fn mark(&self) -> u8 {
        (self.flags() & MARK) >> MARK_SHIFT
    }

    #[inline(always)]
    pub fn set_mark(&mut self, mark: u8) {
        debug_assert!(mark < 4);
        self.put_flags(self.flags() & !MARK | mark << MARK_SHIFT & MARK);
    }

    /// Bytes of the block itself.
    pub fn block_bytes(&self) -> usize {
        self.shape().size()
    }

    /// Bytes of the block and all it owns.
    pub fn memory_bytes(&self) -> usize {
        self.block_bytes()
            + match self.content() {
                ContentRef::Big(v) => v.capacity() + size_of::<Vec<u8>>() + 16,
                ContentRef::Object(o) => o.memory_bytes(),
                _ => 0,
            }
    }

    /// The object, taken out; what is left is an empty record that must be dropped or refilled.
    pub fn take_object(&mut self) -> Option<Box<Object>> {
        if self.kind() != Kind::Object {
            return None;
        }
        // SAFETY: the payload is an owned Box; the kind is changed in the same step by the rebuilt, payload-free record.
        let boxed = unsafe { Box::from_raw(self.payload() as *mut Object) };
        let new = Record::build(self.name(), Kind::None, 0, &[], self.deadline());
        new.set_access(self.access());
        std::mem::replace(self, new).free_block();
        Some(boxed)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // SAFETY: the payload's owner is this record, it goes with it, and then the block with the size its header tells.
        unsafe {
            match self.kind() {
                Kind::Big => {
                    let at = self.shape().payload;
                    drop(self.0.as_ptr().add(at).cast::<Arc<Vec<u8>>>().read());
                }
                Kind::Object => drop(Box::from_raw(self.payload() as *mut Object)),
                _ => {}
            }
            slab::give(self.0, self.shape().size());
        }
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("name", &String::from_utf8_lossy(self.name()))
            .field("content", &self.content())
            .field("deadline", &self.deadline())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(r: &Record) -> Vec<u8> {
        match r.content() {
            ContentRef::Inline(v) => v.to_vec(),
            ContentRef::Big(v) => v.to_vec(),
            ContentRef::Int(n) => n.to_string().into_bytes(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_small_string_costs_eight_bytes_beside_its_data() {
        assert_eq!(Record::new(&[b'k'; 16], Content::String(&[b'v'; 16]), None).block_bytes(), 40);
        assert_eq!(Record::new(b"m", Content::None, None).block_bytes(), 9);
        assert_eq!(Record::new(b"m", Content::Score(1.0), None).block_bytes(), 17);
    }

    #[test]
    fn a_shared_long_string_is_copied_before_it_changes() {
        let mut r = Record::new(b"k", Content::String(&[b'x'; INLINE_MAX + 1]), None);
        let ContentRef::Big(shared) = r.content() else { panic!() };
        let reply = Arc::clone(shared);
        r.big_mut().unwrap().push(b'y');
        assert_eq!(reply.len(), INLINE_MAX + 1);
        assert_eq!(text(&r).len(), INLINE_MAX + 2);
    }

    proptest! {
        #[test]
        fn name_value_deadline_and_access_survive_every_change(
            name in prop::collection::vec(any::<u8>(), 0..600),
            steps in prop::collection::vec((0u8..6, prop::collection::vec(any::<u8>(), 0..3000), any::<i64>()), 0..20),
        ) {
            let mut r = Record::new(&name, Content::String(b""), None);
            r.set_access(77);
            let (mut name, mut value, mut deadline) = (name, Vec::new(), None);
            for (op, bytes, n) in steps {
                match op {
                    0 => { r.set_content(Content::String(&bytes)); value = bytes; }
                    1 => { r.set_content(Content::Int(n)); value = n.to_string().into_bytes(); }
                    2 => { r.set_deadline(Some(n)); deadline = Some(n); }
                    3 => { r.set_deadline(None); deadline = None; }
                    4 => { r.set_name(&bytes); name = bytes; }
                    _ => { r.set_content(Content::Big(Arc::new(bytes.clone()))); value = bytes; }
                }
                prop_assert_eq!(r.name(), &name[..]);
                prop_assert_eq!(&text(&r), &value);
                prop_assert_eq!(r.deadline(), deadline);
                prop_assert_eq!(r.access(), 77);
            }
        }
    }
}
