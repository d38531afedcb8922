//! The replica's side of the link as a pure machine: bytes and time in, what to do out.
//!
//! ```text
//! PING -> [AUTH] REPLCONF listening-port, ip-address, capa, version -> PSYNC -> CONTINUE -------------------> stream
//!                                                                            -> FULLRESYNC -> header, copy -> stream
//!                                                                            -> DUALCHANNELSYNC -> apart
//! apart    (a second connection is to be opened for the copy)
//!          -> offered: set-rdb-client-id, PSYNC -> CONTINUE -> held (the stream waits here) -> loaded -> stream
//! ```
//! The second connection has a machine of its own ([`Machine::for_copy`]):
//! ```text
//! [AUTH] REPLCONF rdb-only, rdb-channel, ... -> SYNC -> ENDOFF -> header, copy -> done
//! ```
//!
//! # Invariants
//! * Every byte of the peer is checked before it is acted on; a line has a bound.
//! * What it answers is in the order in which it has to be done, the bytes of the copy before its end, and that before the stream.
//! * What is held while the copy comes is bounded: from the bound on [`Machine::is_full`] says to leave the rest with the primary.
//! * It knows no socket, no clock and no data set.

mod introduction;

pub use introduction::{Introduction, command};
use std::collections::VecDeque;

/// What the machine is told of.
#[derive(Debug)]
pub enum Input<'a> {
    Bytes(&'a [u8]),
    /// The other connection has been told which copy it will be sent.
    Offered(Offer),
    /// The copy of the other connection is in place.
    Loaded,
    /// Time has passed.
    Tick,
}

/// A copy on a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub id: String,
    /// Where the stream goes on behind it.
    pub offset: u64,
    /// The client that connection is at the primary.
    pub client: u64,
}

/// What has to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'a> {
    Send(Vec<u8>),
    /// The stream goes on where we are; the history may have another name now.
    Continue {
        id: Option<String>,
    },
    /// A copy of the data set comes; then the stream goes on from `offset`.
    Full {
        id: String,
        offset: u64,
    },
    /// The copy's size, if it is known.
    Payload {
        bytes: Option<u64>,
    },
    PayloadBytes(Vec<u8>),
    PayloadEnd,
    /// The primary sends the copy on a second connection, which is to be opened.
    OpenCopy,
    /// What the copy will be.
    Offered(Offer),
    /// The stream behind the copy is about to be asked for.
    Behind,
    /// The stream behind the copy comes in, and is held until that is loaded.
    Held {
        bytes: usize,
        full: bool,
    },
    /// The copy is loaded and the stream goes on behind it. `late`: it was loaded first.
    Joined {
        late: bool,
    },
    /// Bytes of the stream that were held.
    HeldStream(Vec<u8>),
    /// Bytes of the stream.
    Stream(&'a [u8]),
    /// Tell the primary how far we are.
    Ack,
}

/// Why the link is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The primary refused us, or cannot serve us now.
    Refused(String),
    /// It does not speak the protocol.
    Protocol(String),
    Timeout(&'static str),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Refused(why) | Ended::Protocol(why) => f.write_str(why),
            Ended::Timeout(what) => write!(f, "Timeout {what}"),
        }
    }
}

impl std::error::Error for Ended {}

/// What an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Ping,
    Auth,
    /// An answer that changes nothing: older primaries do not know every word.
    Optional,
    Psync,
    /// The words that make this the copy's connection, all of them needed.
    CopyChannel,
    /// Which copy the stream is to go on from.
    CopyClient,
    /// PSYNC behind that copy.
    PsyncBehind,
}

#[derive(Debug)]
enum Stage {
    /// Answers to come, in order.
    Handshake(VecDeque<Asked>),
    /// The line that says how the copy comes.
    Header,
    /// Bytes to come of a copy of known size.
    Sized(u64),
    /// A copy that ends with this mark; the last bytes so far, which may be a part of it.
    Marked {
        mark: Vec<u8>,
        held: Vec<u8>,
    },
    /// The copy comes on another connection, which is on its way.
    Apart,
    /// The stream behind a copy that is not loaded yet.
    Held {
        chunks: Vec<Vec<u8>>,
        bytes: usize,
    },
    /// The copy's connection: it has been asked for.
    Offer,
    /// The copy's connection: all of it was received.
    Done,
    Stream,
}

const LINE_BYTES_MAX: usize = 4096;
const MARK_BYTES: usize = 40;
/// Between two reports of our offset.
const ACK_MS: u64 = 1000;

/// The machine.
#[derive(Debug)]
pub struct Machine {
    introduction: Introduction,
    stage: Stage,
    line: Vec<u8>,
    heard_ms: u64,
    acked_ms: u64,
    /// This connection is for the copy alone.
    for_copy: bool,
    /// The copy of the other connection is loaded.
    loaded: bool,
}

impl Machine {
    /// A link that has just been connected. The first thing to send comes with it.
    pub fn new<'a>(introduction: Introduction, now_ms: u64, out: &mut Vec<Output<'a>>) -> Machine {
        out.push(Output::Send(command(&[b"PING"])));
        Machine {
            introduction,
            stage: Stage::Handshake(VecDeque::from([Asked::Ping])),
            line: Vec::new(),
            heard_ms: now_ms,
            acked_ms: now_ms,
            for_copy: false,
            loaded: false,
        }
    }

    /// The second connection, which brings the copy and nothing else.
    pub fn for_copy<'a>(introduction: Introduction, now_ms: u64, out: &mut Vec<Output<'a>>) -> Machine {
        let (bytes, asked) = introduction.for_copy();
        out.push(Output::Send(bytes));
        Machine {
            introduction,
            stage: Stage::Handshake(asked),
            line: Vec::new(),
            heard_ms: now_ms,
            acked_ms: now_ms,
            for_copy: true,
            loaded: false,
        }
    }

    /// `repl-timeout` may change while the link stands.
    pub fn set_timeout_ms(&mut self, ms: u64) {
        self.introduction.timeout_ms = ms;
    }

    /// The primary was not listened to until now: its silence began no earlier.
    pub fn hear(&mut self, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
    }

    /// As much is held as may be: the rest stays with the primary until the copy is loaded.
    pub fn is_full(&self) -> bool {
        let max = self.introduction.held_bytes_max;
        matches!(self.stage, Stage::Held { bytes, .. } if max > 0 && bytes >= max)
    }

    /// The stream waits for a copy that comes on another connection, or is about to.
    pub fn is_apart(&self) -> bool {
        match &self.stage {
            Stage::Apart | Stage::Held { .. } => true,
            Stage::Handshake(asked) => matches!(asked.front(), Some(Asked::CopyClient | Asked::PsyncBehind)),
            _ => false,
        }
    }

    /// Takes out what is held, for whoever frees it elsewhere.
    pub fn take_held(&mut self) -> Vec<Vec<u8>> {
        match &mut self.stage {
            Stage::Held { chunks, .. } => std::mem::take(chunks),
            _ => Vec::new(),
        }
    }

    pub fn is_streaming(&self) -> bool {
        matches!(self.stage, Stage::Stream)
    }

    /// Takes what has happened.
    ///
    /// # Errors
    /// The link is over; the machine must not be asked again.
    pub fn on<'a>(&mut self, now_ms: u64, input: Input<'a>, out: &mut Vec<Output<'a>>) -> Result<(), Ended> {
        match input {
            Input::Bytes(bytes) => {
                self.heard_ms = now_ms;
                self.bytes(now_ms, bytes, out)?;
            }
            Input::Offered(offer) => {
                self.heard_ms = now_ms;
                self.offered(offer, out);
            }
            Input::Loaded => {
                self.loaded = true;
                self.join(now_ms, false, out);
            }
            // While nothing is asked of it the primary may be silent: the copy's connection has a time of its own.
            Input::Tick if matches!(self.stage, Stage::Apart | Stage::Done) || self.is_full() => {}
            Input::Tick => {
                if now_ms.saturating_sub(self.heard_ms) > self.introduction.timeout_ms {
                    return Err(Ended::Timeout(match self.stage {
                        Stage::Handshake(_) => "connecting to the PRIMARY...",
                        Stage::Apart
                        | Stage::Held { .. }
                        | Stage::Offer
                        | Stage::Done
                        | Stage::Header
                        | Stage::Sized(_)
                        | Stage::Marked { .. } => {
                            "receiving bulk data from PRIMARY... If the problem persists try to set the 'repl-timeout' \
                             parameter in the configuration to a larger value."
                        }
                        Stage::Stream => "no data nor PING received from PRIMARY...",
                    }));
                }
            }
        }
        if self.is_streaming() && now_ms.saturating_sub(self.acked_ms) >= ACK_MS {
            self.acked_ms = now_ms;
            out.push(Output::Ack);
        }
        Ok(())
    }

    fn bytes<'a>(&mut self, now_ms: u64, mut bytes: &'a [u8], out: &mut Vec<Output<'a>>) -> Result<(), Ended> {
        while !bytes.is_empty() {
            match &mut self.stage {
                Stage::Stream => {
                    out.push(Output::Stream(bytes));
                    return Ok(());
                }
                Stage::Sized(left) => {
                    let n = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let (now, rest) = bytes.split_at(n);
                    *left -= n as u64;
                    let ended = *left == 0;
                    bytes = rest;
                    out.push(Output::PayloadBytes(now.to_vec()));
                    if ended {
                        self.copied(now_ms, out);
                    }
                }
                Stage::Marked { mark, held } => {
                    // Nothing follows the mark until we have acknowledged it, so it can only be at the end of what has come.
                    held.extend_from_slice(bytes);
                    bytes = &[];
                    let safe = held.len().saturating_sub(MARK_BYTES);
                    let ended = held.ends_with(mark);
                    let now: Vec<u8> = held.drain(..safe).collect();
                    if !now.is_empty() {
                        out.push(Output::PayloadBytes(now));
                    }
                    if ended {
                        self.copied(now_ms, out);
                    }
                }
                Stage::Held { chunks, bytes: held } => {
                    chunks.push(bytes.to_vec());
                    *held += bytes.len();
                    let held = *held;
                    out.push(Output::Held { bytes: held, full: self.is_full() });
                    return Ok(());
                }
                Stage::Done => return Err(Ended::Protocol("the PRIMARY goes on behind a copy".into())),
                Stage::Handshake(_) | Stage::Header | Stage::Apart | Stage::Offer => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (now, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
                    self.line.extend_from_slice(now);
                    bytes = rest;
                    if self.line.len() > LINE_BYTES_MAX {
                        return Err(Ended::Protocol(format!(
                            "the PRIMARY sent a line of more than {LINE_BYTES_MAX} bytes"
                        )));
                    }
                    if end.is_some() {
                        let line = std::mem::take(&mut self.line);
                        let line = line.strip_suffix(b"\n").unwrap_or(&line);
                        let line = line.strip_suffix(b"\r").unwrap_or(line);
                        // An empty line is sent so that we do not give up.
                        if !line.is_empty() {
                            let text = String::from_utf8_lossy(line).into_owned();
                            self.line(now_ms, &text, out)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn copied(&mut self, now_ms: u64, out: &mut Vec<Output<'_>>) {
        out.push(Output::PayloadEnd);
        if self.for_copy {
            self.stage = Stage::Done;
            return;
        }
        self.stage = Stage::Stream;
        self.acked_ms = now_ms;
        out.push(Output::Ack);
    }

    fn line(&mut self, now_ms: u64, line: &str, out: &mut Vec<Output<'_>>) -> Result<(), Ended> {
        let asked = match &mut self.stage {
            Stage::Handshake(asked) => asked.pop_front(),
            Stage::Offer => return self.offer(line, out),
            Stage::Apart => None,
            _ => return self.header(line, out),
        };
        let refused = |why: String| Err(Ended::Refused(why));
        match asked {
            Some(Asked::Ping) => {
                // A primary that wants to know who we are first is alive too.
                let alive = line.starts_with('+')
                    || ["-NOAUTH", "-NOPERM", "-ERR operation not permitted"].iter().any(|e| line.starts_with(e));
                if !alive {
                    return refused(format!("Error reply to PING from primary: '{line}'"));
                }
                self.introduce(out);
            }
            Some(Asked::Auth) if line.starts_with('-') => {
                return refused(format!("Unable to AUTH to PRIMARY: {line}"));
            }
            Some(Asked::Auth) => {}
            Some(Asked::Optional) => {
                if line.starts_with('-') {
                    tracing::info!("(Non critical) The primary does not understand a REPLCONF of ours: {line}");
                }
            }
            Some(Asked::Psync) => return self.psync(now_ms, line, out),
            Some(Asked::CopyChannel) if line.starts_with('+') => {
                self.stage = Stage::Offer;
                out.push(Output::Send(command(&[b"SYNC"])));
                return Ok(());
            }
            // Valkey refuses a PSYNC while an answer of its own is not sent yet: one after the other.
            Some(Asked::CopyClient) if line.starts_with('+') => {
                let (id, next) = self.introduction.have.clone().unwrap_or_default();
                out.push(Output::Behind);
                out.push(Output::Send(command(&[b"PSYNC", id.as_bytes(), next.to_string().as_bytes()])));
                self.stage = Stage::Handshake(VecDeque::from([Asked::PsyncBehind]));
                return Ok(());
            }
            Some(Asked::CopyChannel | Asked::CopyClient) => {
                return refused(format!("a copy on a connection of its own was refused: '{line}'"));
            }
            Some(Asked::PsyncBehind) => {
                let id = line.strip_prefix("+CONTINUE").map(str::trim);
                if id.is_none_or(|id| !id.is_empty() && !super::super::is_id(id)) {
                    return refused(format!("PSYNC behind the copy was refused: '{line}'"));
                }
                self.stage = Stage::Held { chunks: Vec::new(), bytes: 0 };
                out.push(Output::Held { bytes: 0, full: false });
                self.join(now_ms, true, out);
                return Ok(());
            }
            None => return Err(Ended::Protocol(format!("the PRIMARY said what nobody asked for: '{line}'"))),
        }
        if let Stage::Handshake(asked) = &mut self.stage
            && asked.is_empty()
        {
            asked.push_back(Asked::Psync);
            let (id, next) = match &self.introduction.have {
                Some((id, next)) => (id.clone(), next.to_string()),
                None => ("?".to_owned(), "-1".to_owned()),
            };
            let mut args: Vec<&[u8]> = vec![b"PSYNC", id.as_bytes(), next.as_bytes()];
            if self.introduction.failover {
                args.push(b"FAILOVER");
            }
            out.push(Output::Send(command(&args)));
        }
        Ok(())
    }

    fn introduce(&mut self, out: &mut Vec<Output<'_>>) {
        let (bytes, asked) = self.introduction.for_link();
        out.push(Output::Send(bytes));
        self.stage = Stage::Handshake(asked);
    }

    fn psync(&mut self, now_ms: u64, line: &str, out: &mut Vec<Output<'_>>) -> Result<(), Ended> {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("+FULLRESYNC") => {
                let id = words.next().filter(|id| super::super::is_id(id));
                let offset = words.next().and_then(|n| n.parse::<u64>().ok()).filter(|n| *n < 1 << 62);
                let (Some(id), Some(offset)) = (id, offset) else {
                    return Err(Ended::Protocol(format!("the PRIMARY's FULLRESYNC makes no sense: '{line}'")));
                };
                self.stage = Stage::Header;
                out.push(Output::Full { id: id.to_owned(), offset });
            }
            Some("+DUALCHANNELSYNC") if self.introduction.two => {
                self.stage = Stage::Apart;
                out.push(Output::OpenCopy);
            }
            Some("+CONTINUE") => {
                let id = words.next();
                if id.is_some_and(|id| !super::super::is_id(id)) || self.introduction.have.is_none() {
                    return Err(Ended::Protocol(format!("the PRIMARY's CONTINUE makes no sense: '{line}'")));
                }
                self.stage = Stage::Stream;
                self.acked_ms = now_ms;
                out.push(Output::Continue { id: id.map(str::to_owned) });
                out.push(Output::Ack);
            }
            _ => return Err(Ended::Refused(format!("PSYNC was refused: '{line}'"))),
        }
        Ok(())
    }

    /// The copy's connection knows which copy it will be: this one asks for what follows it.
    fn offered(&mut self, offer: Offer, out: &mut Vec<Output<'_>>) {
        if !matches!(self.stage, Stage::Apart) {
            return;
        }
        let client = offer.client.to_string();
        out.push(Output::Send(command(&[b"REPLCONF", b"set-rdb-client-id", client.as_bytes()])));
        self.introduction.have = Some((offer.id, offer.offset + 1));
        self.stage = Stage::Handshake(VecDeque::from([Asked::CopyClient]));
    }

    /// Goes on with the stream if both are there: the copy, and the stream behind it.
    fn join(&mut self, now_ms: u64, late: bool, out: &mut Vec<Output<'_>>) {
        let Stage::Held { chunks, .. } = &mut self.stage else { return };
        if !self.loaded {
            return;
        }
        let chunks = std::mem::take(chunks);
        (self.stage, self.acked_ms, self.heard_ms) = (Stage::Stream, now_ms, now_ms);
        out.push(Output::Joined { late });
        out.extend(chunks.into_iter().map(Output::HeldStream));
        out.push(Output::Ack);
    }

    /// `$ENDOFF:offset id database client`
    fn offer(&mut self, line: &str, out: &mut Vec<Output<'_>>) -> Result<(), Ended> {
        if let Some(error) = line.strip_prefix('-') {
            return Err(Ended::Refused(format!("SYNC on a connection of its own was refused: {error}")));
        }
        let mut words = line.strip_prefix("$ENDOFF:").unwrap_or_default().split_ascii_whitespace();
        let number = |w: Option<&str>| w.and_then(|n| n.parse::<u64>().ok()).filter(|n| *n < 1 << 62);
        let offset = number(words.next());
        let id = words.next().filter(|id| super::super::is_id(id));
        let db = words.next().and_then(|n| n.parse::<i64>().ok());
        let (Some(offset), Some(id), Some(_), Some(client)) = (offset, id, db, number(words.next())) else {
            return Err(Ended::Protocol(format!("the PRIMARY's ENDOFF makes no sense: '{line}'")));
        };
        self.stage = Stage::Header;
        out.push(Output::Offered(Offer { id: id.to_owned(), offset, client }));
        Ok(())
    }

    fn header(&mut self, line: &str, out: &mut Vec<Output<'_>>) -> Result<(), Ended> {
        if let Some(error) = line.strip_prefix('-') {
            return Err(Ended::Refused(format!("PRIMARY aborted replication with an error: {error}")));
        }
        if let Some(mark) = line.strip_prefix("$EOF:").filter(|m| m.len() == MARK_BYTES) {
            self.stage = Stage::Marked { mark: mark.as_bytes().to_vec(), held: Vec::new() };
            out.push(Output::Payload { bytes: None });
            return Ok(());
        }
        match line.strip_prefix('$').and_then(|n| n.parse::<u64>().ok()).filter(|n| *n > 0) {
            Some(bytes) => {
                self.stage = Stage::Sized(bytes);
                out.push(Output::Payload { bytes: Some(bytes) });
                Ok(())
            }
            None => Err(Ended::Protocol(format!(
                "Bad protocol from PRIMARY, the first byte is not '$' (we received '{line}'), are you sure the host and \
                 port are right?"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
