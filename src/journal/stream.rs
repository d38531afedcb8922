//! The bytes that are kept, and where the cursors stand in them.
//!
//! ```text
//! first()                                      tail_begin        end()
//!   | chunk | chunk | chunk | ... | chunk        | tail, growing   |
//!   |<- kept for the backlog and for cursors, whichever reaches back further ->|
//! ```
//! The tail is shared with nobody. It becomes a chunk when it is full or when a cursor wants it: its bytes are then frozen where they
//! are and given out by reference, and the room behind them goes on as the next tail. Blocks of memory of which nobody has bytes any more are
//! used again, in the order in which they were filled: one that went back to the allocator would come from the kernel anew, page by page.

use super::Lost;
use super::effects::{Effects, put_select};
use crate::base::cache::{LINE, prefetch_write};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// Changes of the data set, and the SELECTs they need.
    #[default]
    Data,
    /// Changes nothing and is no part of a file: pings, questions, published messages.
    Talk,
}

/// A part of the stream: whole steps, by reference.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Of its first byte.
    pub offset: u64,
    pub bytes: Bytes,
    pub kind: Kind,
    /// The database that is selected where it begins; `None` if none is, or if it begins inside a step.
    pub selected: Option<u32>,
}

impl Chunk {
    /// The SELECT that whoever begins with this chunk has to read before it, if that is known.
    pub fn select(&self) -> Option<Bytes> {
        self.selected.map(|db| {
            let mut select = Vec::new();
            put_select(&mut select, db);
            select.into()
        })
    }

    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// How a reader is woken; called without any lock.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A cursor's place.
struct Place {
    id: u64,
    next: u64,
    bytes_max: u64,
    lost: Option<Lost>,
    wake: Option<Wake>,
    /// Where the stream ended when it was woken, if it has not come back empty-handed since.
    rung: Option<u64>,
}

/// Bytes behind the tail's end that the cache is asked for.
const AHEAD: usize = 512;
/// Room that is taken at once: some turns of small writes, and little beside the smallest backlog.
const TAIL_BYTES: usize = 64 * 1024;

/// Blocks beyond twice of what is kept that may wait for an older one to come back.
const MANY_BYTES: u64 = 1 << 20;

/// Bytes at the beginning of the first chunk that may be kept for nobody. Beyond it, and where it is most of the chunk, the rest is copied.
const SPARE_BYTES_MAX: u64 = 1 << 20;

#[derive(Default)]
pub(super) struct Stream {
    chunks: VecDeque<Chunk>,
    tail: BytesMut,
    /// What is left of full blocks of [`TAIL_BYTES`], oldest first: nothing but the right to have them back.
    full: VecDeque<BytesMut>,
    /// One that has come back.
    spare: Option<BytesMut>,
    /// The tail's block is one of [`TAIL_BYTES`].
    regular: bool,
    tail_begin: u64,
    tail_kind: Kind,
    tail_selected: Option<u32>,
    selected: Option<u32>,
    backlog: Option<u64>,
    cursors: Vec<Place>,
    next_id: u64,
    /// What is kept beyond the backlog, for those who only want to know.
    pub excess: Arc<AtomicU64>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({}..{}, {} cursors)", self.first(), self.end(), self.cursors.len())
    }
}

impl Stream {
    pub fn end(&self) -> u64 {
        self.tail_begin + self.tail.len() as u64
    }

    /// The offset of the first byte that somebody may still ask for. The chunk it stands in may begin earlier.
    pub fn first(&self) -> u64 {
        let there = self.chunks.front().map_or(self.tail_begin, |c| c.offset);
        there.max(self.wanted_from())
    }

    /// From where on the bytes are for the backlog or for a cursor.
    fn wanted_from(&self) -> u64 {
        let places = self.cursors.iter().filter(|c| c.lost.is_none()).map(|c| c.next);
        places.min().unwrap_or(u64::MAX).min(self.end().saturating_sub(self.backlog.unwrap_or(0)))
    }

    /// Tells how much is kept beyond the backlog, with the room that has been taken for what comes next: so it need not be told again while
    /// that is filled.
    pub fn tell_excess(&self) {
        let room = (self.tail.capacity() - self.tail.len()) as u64;
        let kept = self.end() - self.first() + room;
        self.excess.store(kept.saturating_sub(self.backlog.unwrap_or(0)), Ordering::Relaxed);
    }

    pub fn backlog(&self) -> Option<u64> {
        self.backlog
    }

    pub fn selected(&self) -> Option<u32> {
        self.selected
    }

    /// Somebody reads, or may come back to read.
    pub fn is_wanted(&self) -> bool {
        self.backlog.is_some() || !self.cursors.is_empty()
    }

    pub fn select(&mut self, db: Option<u32>) {
        self.selected = db;
    }

    /// Appends a step that is one request, in `db`.
    #[inline]
    pub fn append_request(&mut self, db: u32, request: &[u8]) {
        if self.selected != Some(db) {
            let mut select = Vec::new();
            put_select(&mut select, db);
            self.room(select.len() + request.len(), Kind::Data);
            self.tail.extend_from_slice(&select);
            self.selected = Some(db);
        } else {
            self.room(request.len(), Kind::Data);
        }
        self.tail.extend_from_slice(request);
        self.prefetch(request.len());
    }

    /// Asks the cache for the room that the step after the next few will need: a backlog is larger than the cache, and its oldest blocks are
    /// written next.
    #[inline(always)]
    fn prefetch(&mut self, bytes: usize) {
        let room = self.tail.spare_capacity_mut();
        if room.len() > AHEAD {
            let p = room.as_ptr().cast::<u8>().wrapping_add(AHEAD);
            (0..bytes.min(AHEAD)).step_by(LINE).for_each(|n| prefetch_write(p.wrapping_add(n)));
        }
    }

    /// Appends a step, with what has to stand around its effects.
    pub fn append_step(&mut self, effects: &Effects) {
        const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
        const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
        let (first, last) = effects.databases();
        if effects.len() == 1 {
            return self.append_request(first, effects.bytes());
        }
        let mut select = Vec::new();
        if self.selected != Some(first) {
            put_select(&mut select, first);
        }
        let together = effects.belong_together();
        let around = if together { MULTI.len() + EXEC.len() } else { 0 };
        self.room(around + select.len() + effects.bytes().len(), Kind::Data);
        if together {
            self.tail.extend_from_slice(MULTI);
        }
        self.tail.extend_from_slice(&select);
        self.tail.extend_from_slice(effects.bytes());
        if together {
            self.tail.extend_from_slice(EXEC);
        }
        self.selected = Some(last);
    }

    pub fn append_bytes(&mut self, bytes: &[u8], kind: Kind) {
        self.room(bytes.len(), kind);
        self.tail.extend_from_slice(bytes);
    }

    /// Makes the tail one that takes `bytes` of a kind without moving what is in it.
    #[inline]
    fn room(&mut self, bytes: usize, kind: Kind) {
        let fits = self.tail.capacity() - self.tail.len() >= bytes;
        if self.tail.is_empty() || kind != self.tail_kind || !fits {
            self.new_tail(bytes, kind, fits);
        }
    }

    #[inline(never)]
    fn new_tail(&mut self, bytes: usize, kind: Kind, fits: bool) {
        if !self.tail.is_empty() && (kind != self.tail_kind || !fits) {
            self.seal();
        }
        if self.tail.is_empty() {
            if self.tail.capacity() < bytes {
                self.new_block(bytes);
            }
            self.tail_kind = kind;
            self.tail_selected = self.selected;
            self.tell_excess();
        }
    }

    fn new_block(&mut self, bytes: usize) {
        self.take_back();
        let fits = bytes <= TAIL_BYTES;
        let spare = if fits { self.spare.take() } else { None };
        let block = spare.unwrap_or_else(|| BytesMut::with_capacity(bytes.max(TAIL_BYTES)));
        let old = std::mem::replace(&mut self.tail, block);
        if std::mem::replace(&mut self.regular, fits) {
            self.full.push_back(old);
        }
    }

    /// Takes back blocks that nobody has bytes of: keeps one, and gives the others to the allocator.
    fn take_back(&mut self) {
        while let Some(oldest) = self.full.front_mut() {
            if oldest.try_reclaim(TAIL_BYTES) {
                self.spare = self.full.pop_front();
            } else if self.full.len() as u64 * TAIL_BYTES as u64 > 2 * (self.end() - self.first()) + MANY_BYTES {
                // Somebody keeps an old one: the younger ones must not stay for it.
                self.full.clear();
            } else {
                return;
            }
        }
    }

    /// Makes a chunk of the tail, and drops what nobody needs any more.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let end = self.end();
            let bytes = self.tail.split().freeze();
            self.chunks.push_back(Chunk {
                offset: self.tail_begin,
                bytes,
                kind: self.tail_kind,
                selected: self.tail_selected,
            });
            self.tail_begin = end;
        }
        self.trim();
    }

    fn trim(&mut self) {
        let end = self.end();
        for c in self.cursors.iter_mut().filter(|c| c.lost.is_none()) {
            if c.bytes_max > 0 && end - c.next > c.bytes_max {
                c.lost = Some(Lost::Behind { bytes: end - c.next });
            }
        }
        let keep = self.wanted_from();
        while self.chunks.front().is_some_and(|c| c.end() <= keep) {
            self.chunks.pop_front();
        }
        // A step may be much larger than the backlog: what nobody wants of it is given back.
        if let Some(c) = self.chunks.front_mut()
            && keep.saturating_sub(c.offset) >= SPARE_BYTES_MAX.max(c.end() - keep)
        {
            c.bytes = Bytes::copy_from_slice(c.bytes.get((keep - c.offset) as usize..).unwrap_or_default());
            (c.offset, c.selected) = (keep, None);
        }
        self.take_back();
        self.tell_excess();
    }

    pub fn keep_backlog(&mut self, bytes: Option<u64>) {
        self.backlog = bytes;
        self.seal();
    }

    /// Forgets everything; the next byte has this offset.
    pub fn begin_anew(&mut self, offset: u64) {
        self.chunks.clear();
        self.tail.clear();
        self.tail_begin = offset;
        self.selected = None;
        for c in &mut self.cursors {
            c.lost = Some(Lost::Replaced);
        }
        self.tell_excess();
    }

    /// `say_database`: the next effect is preceded by a SELECT, whatever was selected.
    pub fn cursor_here(&mut self, bytes_max: u64, say_database: bool) -> u64 {
        self.seal();
        if say_database {
            self.selected = None;
        }
        self.place(self.end(), bytes_max)
    }

    pub fn cursor_at(&mut self, offset: u64, bytes_max: u64) -> Option<u64> {
        self.backlog?;
        self.trim();
        // A chunk may be larger than the backlog: whoever would be lost at once is better told now.
        let end = self.end();
        let may = bytes_max == 0 || end.saturating_sub(offset) <= bytes_max;
        (may && (self.first()..=end).contains(&offset)).then(|| self.place(offset, bytes_max))
    }

    fn place(&mut self, next: u64, bytes_max: u64) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.cursors.push(Place { id, next, bytes_max, lost: None, wake: None, rung: None });
        id
    }

    pub fn forget(&mut self, id: u64) {
        self.cursors.retain(|c| c.id != id);
        self.seal();
    }

    fn of(&mut self, id: u64) -> &mut Place {
        self.cursors.iter_mut().find(|c| c.id == id).expect("a place lives as long as its cursor")
    }

    pub fn position(&mut self, id: u64) -> u64 {
        self.of(id).next
    }

    /// Its bound counts also between two seals.
    pub fn is_lost(&mut self, id: u64) -> bool {
        self.trim();
        self.of(id).lost.is_some()
    }

    pub fn set_wake(&mut self, id: u64, wake: Wake) {
        self.of(id).wake = Some(wake);
    }

    pub fn set_bound(&mut self, id: u64, bytes_max: u64) {
        self.of(id).bytes_max = bytes_max;
    }

    /// True if a read would not come back empty-handed.
    pub fn has_news(&mut self, id: u64) -> bool {
        let end = self.end();
        let place = self.of(id);
        place.lost.is_some() || place.next < end
    }

    /// The next chunk of a cursor, by reference.
    pub fn read(&mut self, id: u64) -> Result<Option<Chunk>, Lost> {
        let end = self.end();
        let place = self.of(id);
        if let Some(lost) = place.lost {
            return Err(lost);
        }
        let next = place.next;
        if next == end {
            place.rung = None;
            return Ok(None);
        }
        if next >= self.tail_begin {
            self.seal();
            if let Some(lost) = self.of(id).lost {
                return Err(lost);
            }
        }
        let at = self.chunks.partition_point(|c| c.end() <= next);
        let Some(found) = self.chunks.get(at) else { return Ok(None) };
        let mut chunk = found.clone();
        if next > chunk.offset {
            chunk.bytes = chunk.bytes.slice((next - chunk.offset) as usize..);
            chunk.offset = next;
            chunk.selected = None;
        }
        self.of(id).next = chunk.end();
        self.trim();
        Ok(Some(chunk))
    }

    /// Half of the backlog: a reader that takes its time is called again when so much more has come.
    fn patience(&self) -> u64 {
        self.backlog.map_or(u64::MAX, |bytes| bytes / 2)
    }

    /// How to wake the readers that have news and do not know it, or not how much.
    pub fn due(&mut self) -> Vec<Wake> {
        let (end, patience) = (self.end(), self.patience());
        let mut wakers = Vec::new();
        for c in &mut self.cursors {
            let knows = c.rung.is_some_and(|at| end.saturating_sub(at) < patience);
            if !knows && (c.lost.is_some() || c.next < end) {
                c.rung = Some(end);
                wakers.extend(c.wake.clone());
            }
        }
        wakers
    }
}

/// Cuts bytes of the stream into requests; for tests.
pub(super) fn requests(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    use crate::resp::parser::{Limits, Parsed, Partial, parse};
    let limits = Limits { bulk_len_max: usize::MAX >> 1, authenticated: true };
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let mut spans = Vec::new();
        match parse(&bytes[at..], &mut Partial::default(), &mut spans, limits) {
            Ok(Parsed::Request { bytes: n }) => {
                found.push(spans.iter().map(|s| s.of(&bytes[at..]).to_vec()).collect());
                at += n;
            }
            other => panic!("not a request at {at}: {other:?}"),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks that are held back.
    fn held(s: &Stream) -> usize {
        s.full.len() + usize::from(s.spare.is_some())
    }

    #[test]
    fn a_block_that_nobody_reads_any_more_is_filled_again() {
        let mut s = Stream::default();
        s.keep_backlog(Some(3 * TAIL_BYTES as u64));
        let step = [b'x'; 1000];
        let mut places = std::collections::HashSet::new();
        for _ in 0..2000 {
            s.append_request(0, &step);
            places.insert(s.tail.as_ptr() as usize >> 16);
        }
        assert!(places.len() < 16, "{} blocks for three", places.len());
        // A reader that is far behind holds many; none stays once it has read.
        let slow = s.cursor_here(0, false);
        (0..2000).for_each(|_| s.append_request(0, &step));
        assert!(held(&s) > 20);
        let mut kept = Vec::new();
        while let Some(chunk) = s.read(slow).unwrap() {
            kept.push(chunk);
        }
        // The backlog's own.
        kept.drain(1..);
        (0..2000).for_each(|_| s.append_request(0, &step));
        s.forget(slow);
        assert!(held(&s) < 24, "one old block keeps no others: {}", held(&s));
        drop(kept);
        (0..200).for_each(|_| s.append_request(0, &step));
        assert!(held(&s) < 8, "{}", held(&s));
    }
}
