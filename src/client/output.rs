//! What a client has not read yet.
//!
//! Replies go from the worker's batch straight to the socket; only what the socket does not take is kept here, oldest first.
//! Bounded by `client-output-buffer-limit`: the engine closes a client that passes it.

use crate::resp::reply::Reply;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    Shared(Arc<Vec<u8>>),
    Journal(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Own(v) => v,
            Chunk::Shared(v) => v,
            Chunk::Journal(v) => v,
        }
    }
}

/// Bytes waiting for the socket.
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are sent.
    sent: usize,
    bytes: usize,
}

/// Own chunks are joined up to this size.
const JOIN_MAX: usize = 16 * 1024;

impl Output {
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Bytes that waiting takes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.chunks.len() * size_of::<Chunk>()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len();
        if let Some(Chunk::Own(last)) = self.chunks.back_mut()
            && last.len() + bytes.len() <= JOIN_MAX
        {
            last.extend_from_slice(bytes);
            return;
        }
        self.chunks.push_back(Chunk::Own(bytes.to_vec()));
    }

    /// Takes bytes as they are.
    pub fn push_own(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len();
        self.chunks.push_back(Chunk::Own(bytes));
    }

    pub fn push_shared(&mut self, value: Arc<Vec<u8>>) {
        if value.is_empty() {
            return;
        }
        self.bytes += value.len();
        self.chunks.push_back(Chunk::Shared(value));
    }

    /// A part of the journal, which stays where it is.
    pub fn push_journal(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len();
        self.chunks.push_back(Chunk::Journal(bytes));
    }

    /// Appends a part of a reply: the bytes from `from` to `to` with the shared values between them, of which those before
    /// `skip` bytes are already sent.
    pub fn push_reply(&mut self, reply: &Reply, from: usize, to: usize, skip: usize) {
        let mut skip = skip;
        let mut at = from;
        let mut part = |out: &mut Output, bytes: &[u8], shared: Option<&Arc<Vec<u8>>>| {
            if skip >= bytes.len() {
                skip -= bytes.len();
                return;
            }
            match shared {
                Some(value) if skip == 0 => out.push_shared(Arc::clone(value)),
                _ => out.push(&bytes[skip..]),
            }
            skip = 0;
        };
        for s in reply.shared.iter().filter(|s| s.at >= from && s.at <= to) {
            part(self, &reply.buf[at..s.at], None);
            part(self, &s.value, Some(&s.value));
            at = s.at;
        }
        part(self, &reply.buf[at..to], None);
    }

    /// The first pieces, for one send.
    pub fn slices<'a>(&'a self, out: &mut Vec<IoSlice<'a>>) {
        for (i, c) in self.chunks.iter().take(64).enumerate() {
            out.push(IoSlice::new(if i == 0 { &c.bytes()[self.sent..] } else { c.bytes() }));
        }
    }

    /// Forgets `n` bytes that were sent.
    pub fn advance(&mut self, mut n: usize) {
        self.bytes -= n;
        while n > 0 {
            let Some(first) = self.chunks.front() else { return };
            let left = first.bytes().len() - self.sent;
            if n < left {
                self.sent += n;
                return;
            }
            n -= left;
            self.sent = 0;
            self.chunks.pop_front();
        }
    }

    pub fn clear(&mut self) {
        *self = Output::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(o: &Output) -> Vec<u8> {
        let mut s = vec![];
        o.slices(&mut s);
        s.iter().flat_map(|s| s.to_vec()).collect()
    }

    #[test]
    fn a_reply_is_kept_from_any_byte_on() {
        let mut r = Reply::default();
        r.bulk(b"one");
        let from = r.buf.len();
        r.bulk(b"two");
        r.bulk_shared(&Arc::new(vec![b'x'; 5000]));
        r.integer(3);
        let to = r.buf.len();
        let whole = {
            let mut o = Output::default();
            o.push_reply(&r, from, to, 0);
            all(&o)
        };
        assert!(whole.starts_with(b"$3\r\ntwo\r\n$5000\r\nxx") && whole.ends_with(b"x\r\n:3\r\n"));
        for skip in [0, 1, 9, 16, 17, 4000, whole.len() - 1, whole.len()] {
            let mut o = Output::default();
            o.push_reply(&r, from, to, skip);
            assert_eq!(all(&o), &whole[skip..], "{skip}");
            assert_eq!(o.len(), whole.len() - skip);
        }
    }

    #[test]
    fn what_was_sent_is_forgotten_piece_by_piece() {
        let mut o = Output::default();
        o.push(&[1; 10]);
        o.push_shared(Arc::new(vec![2; 10]));
        o.push(&[3; 10]);
        o.advance(15);
        assert_eq!(all(&o), [vec![2; 5], vec![3; 10]].concat());
        o.advance(15);
        assert!(o.is_empty() && all(&o).is_empty());
    }
}
