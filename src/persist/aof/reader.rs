//! The text of a log: requests in RESP, notes of the time and of the moment of the history it ends at, with the offsets a damaged file is judged by.
//!
//! Trusts nothing: a length is a promise that costs no memory until the bytes are there.

use crate::resp::args::Args;
use crate::resp::parser::{BULK_LEN_MAX, Limits, Parsed, Partial, Span, parse};
use std::io::{self, Read};

/// Bytes that are read at once.
const READ: usize = 256 << 10;
/// Requests that are handed over together.
const BATCH: usize = 256;
/// No argument is longer: the bound of RDB strings too.
const ARGUMENT_MAX: usize = BULK_LEN_MAX as usize;
/// Bytes of a note's line.
const NOTE_MAX: usize = 1024;

/// What is wrong, and where.
#[derive(Debug)]
pub enum Fault {
    Io(io::Error),
    /// It ends inside a request.
    Truncated,
    /// It ends inside a transaction.
    OpenTransaction,
    Format(&'static str),
}

/// A part of the text.
#[derive(Debug)]
pub enum Item {
    Request,
    /// Seconds since the epoch.
    Time(i64),
    /// Of the history, if nothing follows.
    Moment(Moment),
}

/// Where a history stands: what a restart can go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub id: String,
    pub offset: u64,
    /// The database that is selected there.
    pub selected: Option<u32>,
}

impl Moment {
    /// The note that says it. Whoever does not know it skips it.
    pub fn note(&self) -> String {
        format!("#MOMENT:{} {} {}\r\n", self.id, self.offset, self.selected.unwrap_or(0))
    }

    /// What a snapshot says of itself (see [`crate::persist::rdb`]), if it says that.
    pub fn of(id: Option<&str>, offset: Option<u64>, selected: Option<u32>) -> Option<Moment> {
        Some(Moment { id: id?.to_owned(), offset: offset?, selected })
    }

    fn parse(text: &[u8]) -> Option<Moment> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        let (id, offset, selected) = (words.next()?, words.next()?, words.next()?);
        Moment::of(Some(id), offset.parse().ok(), Some(selected.parse().ok()?))
    }
}

/// Where the text stands in whole steps: a request, or a transaction with its end.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// Behind the last whole step.
    pub whole: u64,
    /// A transaction has begun and has no end yet.
    pub open: bool,
}

impl Steps {
    /// `begin`: where the first step begins.
    pub fn new(begin: u64) -> Steps {
        Steps { whole: begin, open: false }
    }

    /// A request with this first word ends at `end`.
    pub fn request(&mut self, word: &[u8], end: u64) {
        if word.eq_ignore_ascii_case(b"multi") {
            self.open = true;
        } else if [&b"exec"[..], b"discard"].iter().any(|end| word.eq_ignore_ascii_case(end)) {
            self.open = false;
        }
        self.note(end);
    }

    /// A note of the time ends at `end`.
    pub fn note(&mut self, end: u64) {
        if !self.open {
            self.whole = end;
        }
    }
}

/// One thing the text says.
#[derive(Debug)]
struct Entry {
    item: Item,
    /// Of its first byte in the buffer, and behind its last.
    begin: usize,
    end: usize,
    spans: (usize, usize),
}

/// Reads a log.
pub struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte in the file.
    before: u64,
    at: usize,
    spans: Vec<Span>,
    entries: Vec<Entry>,
    partial: Partial,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// `offset`: of the first byte in the file.
    pub fn new(from: R, offset: u64) -> Reader<R> {
        Reader {
            from,
            buffer: Vec::new(),
            before: offset,
            at: 0,
            spans: Vec::new(),
            entries: Vec::new(),
            partial: Partial::default(),
            ended: false,
        }
    }

    /// The offset behind what was handed over.
    pub fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// What it reads from.
    pub fn from(&self) -> &R {
        &self.from
    }

    /// Bytes that were read and are no whole item.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn fill(&mut self) -> Result<(), Fault> {
        self.buffer.drain(..self.at);
        self.before += self.at as u64;
        self.at = 0;
        // A long argument is read in steps that grow with what is there, so that a promise alone takes no memory.
        let want = self.buffer.len().max(READ) as u64;
        let n = self.from.by_ref().take(want).read_to_end(&mut self.buffer).map_err(Fault::Io)?;
        self.ended = n == 0;
        Ok(())
    }

    /// The next items, some at a time. False at the end; what is left then, if anything, is [`Fault::Truncated`].
    ///
    /// # Errors
    /// See [`Fault`]; the offset is that of the item that is wrong, and the items before it have been handed over.
    pub fn advance(&mut self) -> Result<bool, Fault> {
        self.entries.clear();
        self.spans.clear();
        loop {
            let mut at = self.at;
            let mut fault = None;
            while self.entries.len() < BATCH {
                let text = &self.buffer[at..];
                match text.first() {
                    None => break,
                    Some(b'#') => {
                        let Some(end) = text.iter().position(|b| *b == b'\n') else {
                            if text.len() > NOTE_MAX {
                                fault = Some("a note without an end");
                            }
                            break;
                        };
                        let line = &text[1..end];
                        let line = line.strip_suffix(b"\r").unwrap_or(line);
                        if let Some(time) = line.strip_prefix(b"TS:") {
                            let time = std::str::from_utf8(time).ok().and_then(|t| t.parse().ok());
                            let Some(time) = time else {
                                fault = Some("a time that is no number");
                                break;
                            };
                            let (begin, end) = (at, at + end + 1);
                            self.entries.push(Entry { item: Item::Time(time), begin, end, spans: (0, 0) });
                        } else if let Some(moment) = line.strip_prefix(b"MOMENT:").and_then(Moment::parse) {
                            let (begin, end) = (at, at + end + 1);
                            self.entries.push(Entry { item: Item::Moment(moment), begin, end, spans: (0, 0) });
                        }
                        at += end + 1;
                        continue;
                    }
                    Some(b'*') => {}
                    Some(_) => {
                        fault = Some("a request has to begin with *");
                        break;
                    }
                }
                let from = self.spans.len();
                let limits = Limits { bulk_len_max: ARGUMENT_MAX, authenticated: true };
                match parse(text, &mut self.partial, &mut self.spans, limits) {
                    Ok(Parsed::Request { bytes }) if self.spans.len() > from => {
                        let spans = (from, self.spans.len());
                        self.entries.push(Entry { item: Item::Request, begin: at, end: at + bytes, spans });
                        at += bytes;
                    }
                    Ok(Parsed::Request { .. } | Parsed::Inline { .. }) => {
                        fault = Some("a request without words");
                        break;
                    }
                    Ok(Parsed::Incomplete) => break,
                    Err(_) => {
                        self.partial = Partial::default();
                        fault = Some("a length that cannot be");
                        break;
                    }
                }
            }
            if !self.entries.is_empty() {
                self.at = at;
                return Ok(true);
            }
            if let Some(why) = fault {
                self.at = at;
                return Err(Fault::Format(why));
            }
            if at != self.at {
                // Notes that say nothing.
                self.at = at;
            }
            if self.ended {
                return if self.rest().is_empty() { Ok(false) } else { Err(Fault::Truncated) };
            }
            self.fill()?;
        }
    }

    /// What the last call found, with the offsets of the first byte and behind the last.
    pub fn items(&self) -> impl ExactSizeIterator<Item = (&Item, Args<'_>, u64, u64)> {
        self.entries.iter().map(|e| {
            let args = Args::new(&self.buffer[e.begin..], &self.spans[e.spans.0..e.spans.1]);
            (&e.item, args, self.before + e.begin as u64, self.before + e.end as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All requests as words, times as one word, and what ended it.
    fn all(text: &[u8]) -> (Vec<Vec<String>>, u64, Option<Fault>) {
        let mut reader = Reader::new(text, 0);
        let mut out = Vec::new();
        loop {
            match reader.advance() {
                Ok(false) => return (out, reader.offset(), None),
                Err(f) => return (out, reader.offset(), Some(f)),
                Ok(true) => {
                    for (item, args, ..) in reader.items() {
                        match item {
                            Item::Time(t) => out.push(vec![format!("#{t}")]),
                            Item::Moment(m) => out.push(vec![m.note()]),
                            Item::Request => {
                                out.push(args.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect());
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn requests_and_times_are_read_in_order() {
        let (items, end, fault) = all(b"#TS:17\r\n*1\r\n$4\r\nPING\r\n# a note\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
        assert_eq!(items, [vec!["#17"], vec!["PING"], vec!["GET", "a"]]);
        assert_eq!((end, fault.is_none()), (51, true));
    }

    #[test]
    fn a_moment_is_read_as_it_was_noted_and_one_that_makes_no_sense_is_no_note() {
        let moment = Moment { id: "a".repeat(40), offset: 17, selected: Some(3) };
        let (items, ..) = all(moment.note().as_bytes());
        assert_eq!(items, [[moment.note()]]);
        for text in ["#MOMENT:\r\n", "#MOMENT:a -1 0\r\n", "#MOMENT:a 1\r\n", "#MOMENT:a 1 x\r\n"] {
            let (items, end, fault) = all(text.as_bytes());
            assert!(items.is_empty() && fault.is_none() && end == text.len() as u64, "{text}");
        }
    }

    #[test]
    fn an_end_inside_a_request_is_told_with_the_offset_before_it() {
        let text = b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
        for len in 15..text.len() {
            let (items, end, fault) = all(&text[..len]);
            assert_eq!((items.len(), end), (1, 14), "{len}");
            assert!(matches!(fault, Some(Fault::Truncated)), "{len}");
        }
        assert!(matches!(all(b"PING\r\n").2, Some(Fault::Format(_))));
        assert!(matches!(all(b"*1\r\n$x\r\nPING\r\n").2, Some(Fault::Format(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_harm(text: Vec<u8>) {
            all(&text);
        }
    }
}
