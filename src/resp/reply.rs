//! Replies: RESP2 and RESP3 from the same calls.
//!
//! A [`Reply`] is the output of one worker's batch: bytes, and between them values that are shared with the key space
//! by reference instead of copied. Handlers say what they mean (a map, a set, a double, null); the version of the
//! connection decides how it is written.

use crate::base::number::{IntText, put_line};
use std::sync::Arc;

/// Protocol version of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    #[default]
    Resp2,
    Resp3,
}

/// Values up to this many bytes are copied into the output; longer ones are shared: past it a copy under the stripe's
/// lock costs more than a reference count and one more slice in the send.
pub const COPY_MAX: usize = 4096;

/// A value that is written after the bytes before `at`.
#[derive(Debug)]
pub struct Shared {
    pub at: usize,
    pub value: Arc<Vec<u8>>,
}

/// Output under construction. `version` is set by whoever runs the next command.
#[derive(Debug, Default)]
pub struct Reply {
    pub buf: Vec<u8>,
    pub shared: Vec<Shared>,
    pub version: Version,
    /// Output beyond this length goes nowhere: its client is closed for it. 0: there is no bound.
    pub stop_at: usize,
    /// Bytes in `shared`, so that the output's size is known without a walk.
    shared_bytes: usize,
}

/// A place in the output to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    buf: usize,
    shared: usize,
    shared_bytes: usize,
}

impl Reply {
    pub fn new(version: Version) -> Reply {
        Reply { version, ..Reply::default() }
    }

    pub fn is_resp3(&self) -> bool {
        self.version == Version::Resp3
    }

    /// Bytes that would be sent.
    pub fn len(&self) -> usize {
        self.buf.len() + self.shared_bytes
    }

    /// True if what else is written goes nowhere: whoever writes much may stop.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.stop_at != 0 && self.len() > self.stop_at
    }

    pub fn is_empty(&self) -> bool {
        self.buf.is_empty() && self.shared.is_empty()
    }

    pub fn clear(&mut self) {
        self.buf.clear();
        self.shared.clear();
        self.shared_bytes = 0;
    }

    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { buf: self.buf.len(), shared: self.shared.len(), shared_bytes: self.shared_bytes }
    }

    /// Takes back everything since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.buf.truncate(mark.buf);
        self.shared.truncate(mark.shared);
        self.shared_bytes = mark.shared_bytes;
    }

    /// Bytes written since `mark`.
    #[inline]
    pub fn len_since(&self, mark: Mark) -> usize {
        self.buf.len() - mark.buf + self.shared_bytes - mark.shared_bytes
    }

    /// Bytes written since `mark`, not counting shared values; the first byte tells an error.
    #[inline]
    pub fn bytes_since(&self, mark: Mark) -> &[u8] {
        &self.buf[mark.buf..]
    }

    /// Appends what another builder made.
    pub fn append(&mut self, mut other: Reply) {
        let base = self.buf.len();
        self.buf.append(&mut other.buf);
        self.shared.extend(other.shared.drain(..).map(|s| Shared { at: s.at + base, value: s.value }));
        self.shared_bytes += other.shared_bytes;
    }

    /// Bytes that are already RESP.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// `+text`; `text` holds no line ends.
    pub fn status(&mut self, text: &str) {
        self.buf.push(b'+');
        self.line(text.as_bytes());
    }

    /// `+text` of any bytes; line ends become blanks.
    pub fn status_bytes(&mut self, text: &[u8]) {
        self.buf.push(b'+');
        self.line(text);
    }

    /// `-text`, where `text` begins with its code. Line ends become blanks: a reply must not be split by what a client sent.
    pub fn error(&mut self, text: &[u8]) {
        self.buf.push(b'-');
        self.line(text);
    }

    fn line(&mut self, text: &[u8]) {
        self.buf.extend(text.iter().map(|c| if matches!(c, b'\r' | b'\n') { b' ' } else { *c }));
        self.raw(b"\r\n");
    }

    #[inline]
    pub fn integer(&mut self, n: i64) {
        match n {
            0 => self.raw(b":0\r\n"),
            1 => self.raw(b":1\r\n"),
            n => self.header(b':', n),
        }
    }

    #[inline]
    fn header(&mut self, kind: u8, n: i64) {
        put_line(&mut self.buf, kind, n);
    }

    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        self.make_room(value.len() + 32);
        self.header(b'$', value.len() as i64);
        self.buf.extend_from_slice(value);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// Room for so many bytes more; nearly always there is.
    #[inline(always)]
    fn make_room(&mut self, bytes: usize) {
        if self.buf.capacity() - self.buf.len() < bytes {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.buf.reserve(bytes);
    }

    /// A value the key space keeps: copied if small, shared if not.
    pub fn bulk_shared(&mut self, value: &Arc<Vec<u8>>) {
        if value.len() <= COPY_MAX {
            return self.bulk(value);
        }
        self.header(b'$', value.len() as i64);
        self.shared.push(Shared { at: self.buf.len(), value: Arc::clone(value) });
        self.shared_bytes += value.len();
        self.raw(b"\r\n");
    }

    /// An integer as a bulk string.
    pub fn bulk_integer(&mut self, n: i64) {
        let text = IntText::new(n);
        self.bulk(text.as_bytes());
    }

    /// A score or other double; `text` is its shortest form as clients know it.
    pub fn double_text(&mut self, text: &[u8]) {
        match self.version {
            Version::Resp2 => self.bulk(text),
            Version::Resp3 => {
                self.buf.push(b',');
                self.line(text);
            }
        }
    }

    pub fn bool(&mut self, yes: bool) {
        match (self.version, yes) {
            (Version::Resp2, _) => self.integer(i64::from(yes)),
            (Version::Resp3, true) => self.raw(b"#t\r\n"),
            (Version::Resp3, false) => self.raw(b"#f\r\n"),
        }
    }

    /// No such value.
    #[inline]
    pub fn null(&mut self) {
        match self.version {
            Version::Resp2 => self.raw(b"$-1\r\n"),
            Version::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// No such list: RESP2 tells the two apart.
    pub fn null_array(&mut self) {
        match self.version {
            Version::Resp2 => self.raw(b"*-1\r\n"),
            Version::Resp3 => self.raw(b"_\r\n"),
        }
    }

    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// `pairs` keys, each followed by its value.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Resp2 => self.header(b'*', 2 * pairs as i64),
            Version::Resp3 => self.header(b'%', pairs as i64),
        }
    }

    pub fn set(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.header(b'*', len as i64),
            Version::Resp3 => self.header(b'~', len as i64),
        }
    }

    /// An out-of-band message; RESP2 connections see an array.
    pub fn push(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.header(b'*', len as i64),
            Version::Resp3 => self.header(b'>', len as i64),
        }
    }

    /// RESP3 attributes before a reply; RESP2 has none, so the caller must not write the pairs there.
    pub fn attribute(&mut self, pairs: usize) {
        self.header(b'|', pairs as i64);
    }

    /// Text with a format mark of three letters ("txt", "mkd").
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        match self.version {
            Version::Resp2 => self.bulk(text),
            Version::Resp3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.raw(format.as_bytes());
                self.buf.push(b':');
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }

    /// A number of any size, as its digits.
    pub fn big_number(&mut self, digits: &[u8]) {
        match self.version {
            Version::Resp2 => self.bulk(digits),
            Version::Resp3 => {
                self.buf.push(b'(');
                self.line(digits);
            }
        }
    }

    /// Leaves room for the header of an array, set or map whose length is known only afterwards.
    pub fn deferred(&mut self) -> Deferred {
        Deferred { at: self.buf.len() }
    }

    pub fn finish_array(&mut self, d: Deferred, len: usize) {
        self.insert_header(d, b'*', len);
    }

    pub fn finish_set(&mut self, d: Deferred, len: usize) {
        self.insert_header(d, if self.is_resp3() { b'~' } else { b'*' }, len);
    }

    pub fn finish_map(&mut self, d: Deferred, pairs: usize) {
        match self.version {
            Version::Resp2 => self.insert_header(d, b'*', 2 * pairs),
            Version::Resp3 => self.insert_header(d, b'%', pairs),
        }
    }

    fn insert_header(&mut self, d: Deferred, kind: u8, n: usize) {
        let text = IntText::new(n as i64);
        let head: Vec<u8> = [&[kind], text.as_bytes(), b"\r\n"].concat();
        self.buf.splice(d.at..d.at, head.iter().copied());
        for s in self.shared.iter_mut().rev().take_while(|s| s.at >= d.at) {
            s.at += head.len();
        }
    }
}

/// Where a header is still missing. Dropping it without `finish_*` leaves a reply without header, so it must be used.
#[must_use]
#[derive(Debug)]
pub struct Deferred {
    at: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: Version, f: impl FnOnce(&mut Reply)) -> String {
        let mut r = Reply::new(version);
        f(&mut r);
        String::from_utf8(r.buf).unwrap()
    }

    #[test]
    fn each_version_writes_its_own_types() {
        let all = |r: &mut Reply| {
            r.map(1);
            r.set(0);
            r.null();
            r.bool(true);
            r.double_text(b"1.5");
            r.push(0);
            r.verbatim("txt", b"x");
        };
        assert_eq!(written(Version::Resp2, all), "*2\r\n*0\r\n$-1\r\n:1\r\n$3\r\n1.5\r\n*0\r\n$1\r\nx\r\n");
        assert_eq!(written(Version::Resp3, all), "%1\r\n~0\r\n_\r\n#t\r\n,1.5\r\n>0\r\n=5\r\ntxt:x\r\n");
    }

    #[test]
    fn integers_reach_both_ends() {
        assert_eq!(
            written(Version::Resp2, |r| {
                r.integer(i64::MIN);
                r.integer(i64::MAX);
                r.integer(-1);
            }),
            ":-9223372036854775808\r\n:9223372036854775807\r\n:-1\r\n"
        );
    }

    #[test]
    fn an_error_cannot_carry_a_second_reply() {
        assert_eq!(written(Version::Resp2, |r| r.error(b"ERR a\r\n+OK")), "-ERR a  +OK\r\n");
    }

    #[test]
    fn a_deferred_header_moves_shared_values_behind_it() {
        let mut r = Reply::new(Version::Resp2);
        r.bulk(b"before");
        let d = r.deferred();
        r.bulk_shared(&Arc::new(vec![b'x'; COPY_MAX + 1]));
        let at = r.shared[0].at;
        r.finish_array(d, 1);
        assert_eq!(r.shared[0].at, at + 4);
        assert_eq!(r.len(), r.buf.len() + COPY_MAX + 1);
    }
}
