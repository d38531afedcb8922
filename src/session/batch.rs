//! The requests of one turn, cut from the bytes that arrived.

use super::heads::Heads;
use crate::commands::{CommandError, CommandTable, Entry};
use crate::keyspace::KeyHash;
use crate::resp::args::Args;
use crate::resp::parser::{Limits, Parsed, Partial, ProtocolError, Span, parse};

/// Where the bytes of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The worker's receive buffer.
    Arena,
    /// A buffer of its own: a long request's, or the words of an inline one.
    Own(u32),
}

/// One request.
#[derive(Debug)]
pub struct Request {
    pub source: Source,
    /// Offset of its first byte in the source.
    pub start: usize,
    /// Offset behind its last byte in what the connection sent: where to go on if it has to wait.
    pub end: usize,
    pub spans: (u32, u32),
    pub entry: Option<&'static Entry>,
    /// Of the one key, or of a script's first.
    pub hash: Option<KeyHash>,
}

/// The requests of one connection, one after the other.
#[derive(Debug)]
pub struct Run {
    pub connection: usize,
    pub requests: (usize, usize),
    pub source: Source,
    /// The bytes from here to `end` in the source are not requests yet.
    pub parsed: usize,
    pub begin: usize,
    pub end: usize,
    pub db: u32,
    pub error: Option<ProtocolError>,
    /// There may be more whole requests behind `parsed`.
    pub more: bool,
}

/// Requests that are run together: beyond it the rest waits for the next batch, so that the caches hold what was prefetched
/// and no connection waits long for another's pipeline.
pub const REQUESTS_MAX: usize = 1024;

/// Reused from turn to turn.
#[derive(Default)]
pub struct Batch {
    pub arena: Vec<u8>,
    pub own: Vec<Vec<u8>>,
    pub spans: Vec<Span>,
    pub requests: Vec<Request>,
    pub runs: Vec<Run>,
    /// A request among them may run a script.
    pub scripted: bool,
}

impl Batch {
    pub fn clear(&mut self) {
        self.arena.clear();
        self.own.clear();
        self.spans.clear();
        self.requests.clear();
        self.runs.clear();
        self.scripted = false;
    }

    #[inline(always)]
    pub fn bytes(&self, source: Source) -> &[u8] {
        match source {
            Source::Arena => &self.arena,
            Source::Own(i) => &self.own[i as usize],
        }
    }

    #[inline(always)]
    pub fn args(&self, request: &Request) -> Args<'_> {
        let spans = &self.spans[request.spans.0 as usize..request.spans.1 as usize];
        Args::new(&self.bytes(request.source)[request.start..], spans)
    }

    /// Cuts `source` from `begin` to its end into requests of a connection, at most `max` of them.
    #[expect(clippy::too_many_arguments, reason = "the facts of one connection's bytes")]
    pub fn cut(
        &mut self,
        connection: usize,
        db: u32,
        source: Source,
        begin: usize,
        partial: &mut Partial,
        limits: Limits,
        max: usize,
        heads: &mut Heads,
    ) {
        let end = self.bytes(source).len();
        let first = self.requests.len();
        let (mut at, mut error, mut more) = (begin, None, false);
        while at < end {
            if self.requests.len() - first >= max {
                more = true;
                break;
            }
            let spans_from = self.spans.len();
            // Borrowed field by field: the parser appends to the spans while it reads the bytes.
            let bytes = match source {
                Source::Arena => &self.arena[at..],
                Source::Own(i) => &self.own[i as usize][at..],
            };
            if partial.is_fresh()
                && let Some((entry, len)) = heads.read(bytes, &mut self.spans)
            {
                let spans = (spans_from as u32, self.spans.len() as u32);
                let hash = Some(KeyHash::of(self.spans[spans_from + 1].of(bytes)));
                self.requests.push(Request { source, start: at, end: at + len, spans, entry: Some(entry), hash });
                at += len;
                continue;
            }
            match parse(bytes, partial, &mut self.spans, limits) {
                Ok(Parsed::Request { bytes }) => {
                    let start = at;
                    at += bytes;
                    if self.spans.len() > spans_from {
                        self.push(source, start, at, spans_from, heads);
                    }
                }
                Ok(Parsed::Inline { bytes, words }) => {
                    at += bytes;
                    if words.is_empty() {
                        continue;
                    }
                    let mut line = Vec::new();
                    for w in words {
                        self.spans.push(Span { start: line.len(), len: w.len() });
                        line.extend_from_slice(&w);
                    }
                    self.own.push(line);
                    self.push(Source::Own(self.own.len() as u32 - 1), 0, at, spans_from, heads);
                }
                Ok(Parsed::Incomplete) => break,
                Err(e) => {
                    error = Some(e);
                    break;
                }
            }
        }
        self.runs.push(Run {
            connection,
            requests: (first, self.requests.len()),
            source,
            parsed: at,
            begin,
            end,
            db,
            error,
            more,
        });
    }

    #[inline(always)]
    fn push(&mut self, source: Source, start: usize, end: usize, spans_from: usize, heads: &mut Heads) {
        let spans = &self.spans[spans_from..];
        let bytes = match source {
            Source::Arena => &self.arena[start..],
            Source::Own(i) => &self.own[i as usize][start..],
        };
        let entry = heads.table.find(spans[0].of(bytes));
        self.scripted |= entry.is_some_and(|e| e.may_run_script);
        if let Some(entry) = entry.filter(|e| e.leading_key == Some(1)) {
            heads.learn(bytes, spans, entry);
        }
        let hash =
            entry.and_then(|e| e.leading_key).and_then(|i| spans.get(i as usize)).map(|s| KeyHash::of(s.of(bytes)));
        let spans = (spans_from as u32, self.spans.len() as u32);
        self.requests.push(Request { source, start, end, spans, entry, hash });
    }

    /// The command of a request, with its arity checked.
    #[inline]
    pub fn resolve(request: &Request, args: Args<'_>, table: &CommandTable) -> Result<&'static Entry, CommandError> {
        match request.entry {
            Some(entry) => table.resolve_known(entry, args),
            None => table.resolve(args),
        }
    }
}
