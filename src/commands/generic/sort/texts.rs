//! Very many byte strings in one piece of memory; any of them may be missing.

use std::sync::Arc;

/// One of them, as it is handed in and looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    Bytes(&'a [u8]),
    /// A long string that the key space keeps too.
    Shared(&'a Arc<Vec<u8>>),
}

impl<'a> Text<'a> {
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Text::Bytes(bytes) => bytes,
            Text::Shared(value) => value,
        }
    }
}

/// Where one is: begin and length, [`MISSING`], or the length is [`SHARED`] and the begin a number in `shared`.
type Span = (usize, usize);

const MISSING: Span = (0, usize::MAX);
const SHARED: usize = usize::MAX - 1;

/// Bytes for which [`Texts::make_room`] makes room at least.
const ROOM: usize = 256 << 10;

/// Strings by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    shared: Vec<Arc<Vec<u8>>>,
}

impl Texts {
    pub fn with_capacity(len: usize) -> Texts {
        Texts { bytes: Vec::new(), spans: Vec::with_capacity(len), shared: Vec::new() }
    }

    /// So many that are missing, to be put in by [`Texts::put`].
    pub fn missing(len: usize) -> Texts {
        Texts { spans: vec![MISSING; len], ..Texts::default() }
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Makes room for about as much as there is in it, where that holds up nobody: memory that grows is copied.
    pub fn make_room(&mut self) {
        if self.bytes.capacity() - self.bytes.len() < ROOM {
            self.bytes.reserve(self.bytes.len().max(ROOM));
        }
    }

    /// Empties it for others.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.shared.clear();
    }

    /// Bytes it holds itself.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn add(&mut self, text: Option<Text<'_>>) {
        self.spans.push(MISSING);
        self.put(self.spans.len() - 1, text);
    }

    pub fn push(&mut self, text: &[u8]) {
        self.spans.push((self.bytes.len(), text.len()));
        self.bytes.extend_from_slice(text);
    }

    pub fn put(&mut self, n: usize, text: Option<Text<'_>>) {
        self.spans[n] = match text {
            None => MISSING,
            Some(Text::Bytes(bytes)) => {
                let begin = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                (begin, bytes.len())
            }
            Some(Text::Shared(value)) => {
                self.shared.push(Arc::clone(value));
                (self.shared.len() - 1, SHARED)
            }
        };
    }

    #[inline]
    pub fn get(&self, n: usize) -> Option<Text<'_>> {
        match self.spans[n] {
            MISSING => None,
            (at, SHARED) => Some(Text::Shared(&self.shared[at])),
            (begin, len) => Some(Text::Bytes(&self.bytes[begin..begin + len])),
        }
    }

    /// The bytes of one; a missing one has none.
    #[inline]
    pub fn bytes(&self, n: usize) -> &[u8] {
        self.get(n).map_or(&[], Text::bytes)
    }
}
