//! The primary's stream, cut into steps and applied.
//!
//! A step is one request, or all from MULTI to EXEC; it is applied and forwarded as a whole or not at all, so the journal's offset is
//! always behind a whole step.
//!
//! # Invariants
//! * Every byte is forwarded exactly as it came, in order, and only once it has been applied.
//! * What cannot be understood, and what is answered with an error, ends the link: this data set may not be the primary's any more.

use crate::client::{Client, Execute, Failure, Forward, Request};
use crate::journal::Kind;
use crate::resp::args::Args;
use crate::resp::parser::{Limits, Parsed, Partial, Span, parse};

/// A request of the buffer.
#[derive(Clone, Copy, Debug)]
struct Cut {
    start: usize,
    spans: (usize, usize),
    /// Behind the last byte of the step it ends, with the step's kind and the database selected then.
    ends: Option<(usize, Kind, u32)>,
}

/// What the stream asked for beside changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// REPLCONF GETACK.
    pub ack: bool,
}

/// Requests that are run together.
const BATCH: usize = 512;
/// Bytes of one argument. The primary has accepted it; this is only what a number in a header may promise.
const BULK_BYTES_MAX: usize = crate::resp::parser::BULK_LEN_MAX as usize;

/// The bytes that are not applied yet.
#[derive(Debug, Default)]
pub struct Applier {
    buffer: Vec<u8>,
    partial: Partial,
    spans: Vec<Span>,
    cuts: Vec<Cut>,
    /// Bytes of the buffer that have been cut.
    at: usize,
    in_multi: bool,
    selected: u32,
}

impl Applier {
    /// A stream in which this database is selected.
    pub fn new(selected: u32) -> Applier {
        Applier { selected, ..Applier::default() }
    }

    /// Takes bytes of the stream and applies every step that is whole.
    ///
    /// # Errors
    /// Why the stream cannot be followed.
    pub fn take(
        &mut self,
        bytes: &[u8],
        client: &mut Client,
        epoch: u64,
        executor: &mut dyn Execute,
    ) -> Result<Asked, String> {
        self.buffer.extend_from_slice(bytes);
        let mut asked = Asked::default();
        loop {
            let whole = self.cut(&mut asked)?;
            let Some(steps) = self.cuts.iter().rposition(|c| c.ends.is_some()).map(|i| i + 1) else { break };
            self.run(steps, client, epoch, executor)?;
            self.forget(steps);
            if whole {
                break;
            }
        }
        Ok(asked)
    }

    /// Cuts the buffer into requests, as many as are run together. True if nothing whole is left behind them.
    fn cut(&mut self, asked: &mut Asked) -> Result<bool, String> {
        let limits = Limits { bulk_len_max: BULK_BYTES_MAX, authenticated: true };
        while self.cuts.len() < BATCH || self.in_multi {
            let from = self.spans.len();
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            match parse(rest, &mut self.partial, &mut self.spans, limits) {
                Ok(Parsed::Incomplete) => return Ok(true),
                Ok(Parsed::Request { bytes }) => {
                    let start = self.at;
                    self.at += bytes;
                    let args = Args::new(&self.buffer[start..], &self.spans[from..]);
                    let Some(name) = args.get(0) else {
                        // An empty request: its bytes go with the next step.
                        continue;
                    };
                    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
                    let kind = match name {
                        _ if is("multi") => {
                            self.in_multi = true;
                            None
                        }
                        _ if is("exec") => {
                            self.in_multi = false;
                            Some(Kind::Data)
                        }
                        _ if is("select") => {
                            let db = args.get(1).and_then(|a| std::str::from_utf8(a).ok()).and_then(|n| n.parse().ok());
                            self.selected = db.ok_or("the PRIMARY selects a database that is no number")?;
                            Some(Kind::Data)
                        }
                        _ if is("replconf") => {
                            asked.ack |= args.get(1).is_some_and(|a| a.eq_ignore_ascii_case(b"getack"));
                            Some(Kind::Talk)
                        }
                        _ if is("ping") || is("publish") || is("spublish") => Some(Kind::Talk),
                        _ => Some(Kind::Data),
                    };
                    let ends = kind.filter(|_| !self.in_multi).map(|kind| (self.at, kind, self.selected));
                    self.cuts.push(Cut { start, spans: (from, self.spans.len()), ends });
                }
                Ok(Parsed::Inline { .. }) => return Err("the PRIMARY sent a line where a request was due".into()),
                Err(e) => return Err(format!("the PRIMARY's stream cannot be understood: {e}")),
            }
        }
        Ok(false)
    }

    fn run(&mut self, steps: usize, client: &mut Client, epoch: u64, executor: &mut dyn Execute) -> Result<(), String> {
        let mut begin = 0;
        let requests: Vec<Request<'_>> = self.cuts[..steps]
            .iter()
            .map(|c| Request {
                args: Args::new(&self.buffer[c.start..], &self.spans[c.spans.0..c.spans.1]),
                forward: c.ends.map(|(end, kind, selected)| {
                    let bytes = &self.buffer[begin..end];
                    begin = end;
                    Forward { bytes, kind, selected, epoch }
                }),
            })
            .collect();
        executor.execute(client, &requests).map_err(|Failure { at, text }| {
            let name = requests.get(at).and_then(|r| r.args.get(0)).unwrap_or_default();
            format!(
                "'{}' of the PRIMARY's stream failed here: {}",
                String::from_utf8_lossy(&name[..name.len().min(64)]),
                String::from_utf8_lossy(&text)
            )
        })
    }

    /// Drops what has been applied.
    fn forget(&mut self, steps: usize) {
        let end = self.cuts[steps - 1].ends.map_or(0, |(end, ..)| end);
        let spans = self.cuts[steps - 1].spans.1;
        self.buffer.drain(..end);
        self.spans.drain(..spans);
        self.cuts.drain(..steps);
        self.at -= end;
        for c in &mut self.cuts {
            c.start -= end;
            c.spans = (c.spans.0 - spans, c.spans.1 - spans);
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 4 << 20 {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Shared, Source};
    use std::sync::Arc;

    /// Notes what it is asked to run.
    #[derive(Default)]
    struct Notes {
        lines: Vec<String>,
        forwarded: Vec<u8>,
        steps: Vec<(Kind, u32)>,
        fails: bool,
    }

    impl Execute for Notes {
        fn execute(&mut self, _: &mut Client, requests: &[Request<'_>]) -> Result<(), Failure> {
            for r in requests {
                self.lines.push(r.args.iter().map(|a| String::from_utf8_lossy(a)).collect::<Vec<_>>().join(" "));
                if let Some(f) = r.forward {
                    self.forwarded.extend_from_slice(f.bytes);
                    self.steps.push((f.kind, f.selected));
                }
            }
            if self.fails { Err(Failure { at: 0, text: b"ERR no".to_vec() }) } else { Ok(()) }
        }
    }

    fn client() -> Client {
        let acl = crate::acl::Acl::new(crate::acl::Catalog::new(Vec::new()));
        Client::internal(Arc::new(Shared::new(1, 0, String::new(), String::new(), -1, 0)), &acl, Source::Primary)
    }

    fn stream(lines: &[&str]) -> Vec<u8> {
        let encode = |l: &&str| super::super::machine::command(&l.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        lines.iter().flat_map(encode).collect()
    }

    #[test]
    fn a_transaction_is_one_step_and_every_byte_is_forwarded_once_whatever_the_pieces_are() {
        let lines = [
            "SELECT 3",
            "SET a 1",
            "PING",
            "MULTI",
            "SET b 2",
            "SELECT 4",
            "SET c 3",
            "EXEC",
            "REPLCONF GETACK *",
            "DEL a",
        ];
        let bytes = stream(&lines);
        for step in [1, 3, 10, 1000] {
            let (mut a, mut n, mut c, mut ack) = (Applier::new(0), Notes::default(), client(), false);
            for piece in bytes.chunks(step) {
                ack |= a.take(piece, &mut c, 4, &mut n).unwrap().ack;
                assert!(bytes.starts_with(&n.forwarded));
            }
            assert_eq!(n.lines, lines);
            assert_eq!(n.forwarded, bytes);
            use Kind::{Data, Talk};
            assert_eq!(n.steps, [(Data, 3), (Data, 3), (Talk, 3), (Data, 4), (Talk, 4), (Data, 4)]);
            assert!(ack && a.buffer.is_empty());
        }
    }

    #[test]
    fn an_open_transaction_waits_for_its_exec() {
        let (mut a, mut n, mut c) = (Applier::new(0), Notes::default(), client());
        a.take(&stream(&["SET a 1", "MULTI", "SET b 1"]), &mut c, 0, &mut n).unwrap();
        assert_eq!((n.lines.len(), n.steps.len()), (1, 1));
        a.take(&stream(&["EXEC"]), &mut c, 0, &mut n).unwrap();
        assert_eq!((n.lines.len(), n.steps.len()), (4, 2));
    }

    #[test]
    fn nonsense_and_failures_end_the_link() {
        let take = |bytes: &[u8], fails| {
            Applier::new(0).take(bytes, &mut client(), 0, &mut Notes { fails, ..Notes::default() })
        };
        assert!(take(b"*1\r\n!", false).is_err());
        assert!(take(b"SET a 1\r\n", false).is_err());
        assert!(take(&stream(&["SELECT x"]), false).is_err());
        assert!(take(&stream(&["SET a 1"]), true).unwrap_err().contains("'SET'"));
    }
}
