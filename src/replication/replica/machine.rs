//! The replica's side of the link as a pure machine: bytes and time in, what to do out.
//!
//! ```text
//! PING -> [AUTH] REPLCONF listening-port, ip-address, capa, version -> PSYNC -> CONTINUE -------------------> stream
//!                                                                            -> FULLRESYNC -> header, copy -> stream
//! ```
//!
//! # Invariants
//! * Every byte of the peer is checked before it is acted on; a line has a bound.
//! * What it answers is in the order in which it has to be done, the bytes of the copy before its end, and that before the stream.
//! * It knows no socket, no clock and no data set.

use std::collections::VecDeque;

/// What the machine is told of.
#[derive(Debug)]
pub enum Input<'a> {
    Bytes(&'a [u8]),
    /// Time has passed.
    Tick,
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

/// How this replica introduces itself.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub listening_port: u16,
    pub announced_address: Option<String>,
    pub version: String,
    /// The history we have and the number of the byte we want next (counted from 1); `None` asks for everything.
    pub have: Option<(String, u64)>,
    /// This primary is to hand its role to us, or rather we to it: it must take over.
    pub failover: bool,
    pub timeout_ms: u64,
}

/// What an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Ping,
    Auth,
    /// An answer that changes nothing: older primaries do not know every word.
    Optional,
    Psync,
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
}

pub fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for a in args {
        out.extend_from_slice(format!("${}\r\n", a.len()).as_bytes());
        out.extend_from_slice(a);
        out.extend_from_slice(b"\r\n");
    }
    out
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
            Input::Tick => {
                if now_ms.saturating_sub(self.heard_ms) > self.introduction.timeout_ms {
                    return Err(Ended::Timeout(match self.stage {
                        Stage::Handshake(_) => "connecting to the PRIMARY...",
                        Stage::Header | Stage::Sized(_) | Stage::Marked { .. } => {
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
                Stage::Handshake(_) | Stage::Header => {
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
        self.stage = Stage::Stream;
        self.acked_ms = now_ms;
        out.push(Output::PayloadEnd);
        out.push(Output::Ack);
    }

    fn line(&mut self, now_ms: u64, line: &str, out: &mut Vec<Output<'_>>) -> Result<(), Ended> {
        let asked = match &mut self.stage {
            Stage::Handshake(asked) => asked.pop_front(),
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
        let i = &self.introduction;
        let mut asked = VecDeque::new();
        let mut bytes = Vec::new();
        if let Some(password) = &i.password {
            match &i.user {
                Some(user) => bytes.extend(command(&[b"AUTH", user, password])),
                None => bytes.extend(command(&[b"AUTH", password])),
            }
            asked.push_back(Asked::Auth);
        }
        let mut replconf = |words: &[&[u8]]| {
            bytes.extend(command(&[&[&b"REPLCONF"[..]], words].concat()));
            asked.push_back(Asked::Optional);
        };
        replconf(&[b"listening-port", i.listening_port.to_string().as_bytes()]);
        if let Some(address) = &i.announced_address {
            replconf(&[b"ip-address", address.as_bytes()]);
        }
        replconf(&[b"capa", b"eof", b"capa", b"psync2"]);
        replconf(&[b"version", i.version.as_bytes()]);
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
mod tests {
    use super::*;

    fn introduction() -> Introduction {
        Introduction {
            password: Some(b"pw".to_vec()),
            listening_port: 7000,
            version: "9.1.0".into(),
            have: Some(("a".repeat(40), 101)),
            timeout_ms: 1000,
            ..Introduction::default()
        }
    }

    /// Feeds bytes in pieces of `step` and returns what came out, joined.
    fn run(m: &mut Machine, bytes: &[u8], step: usize) -> Result<Vec<String>, Ended> {
        let (mut found, mut payload, mut stream) = (Vec::new(), Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            let mut out = Vec::new();
            m.on(1, Input::Bytes(piece), &mut out)?;
            for o in out {
                match o {
                    Output::Send(b) => found.push(format!("send {}", String::from_utf8_lossy(&b).replace("\r\n", " "))),
                    Output::PayloadBytes(b) => payload.extend(b),
                    Output::Stream(b) => stream.extend_from_slice(b),
                    other => found.push(format!("{other:?}")),
                }
            }
        }
        found.push(format!("copy {} stream {}", String::from_utf8_lossy(&payload), String::from_utf8_lossy(&stream)));
        Ok(found)
    }

    #[test]
    fn a_copy_of_either_form_and_a_continuation_come_through_whatever_the_pieces_are() {
        let (id, mark) = ("b".repeat(40), "0123456789".repeat(4));
        for step in [1, 2, 7, 1000] {
            let begin = |rest: &str| {
                let mut out = Vec::new();
                let mut m = Machine::new(introduction(), 0, &mut out);
                assert_eq!(out.len(), 1);
                let found = run(&mut m, format!("+PONG\r\n+OK\r\n+OK\r\n-ERR what\r\n+OK\r\n{rest}").as_bytes(), step);
                (found.unwrap(), m.is_streaming())
            };
            let (found, streaming) = begin(&format!("\n+FULLRESYNC {id} 100\r\n\n$5\r\nhelloPING"));
            assert!(streaming);
            assert_eq!(found.last().unwrap(), "copy hello stream PING");
            assert!(found[1].contains("PSYNC") && found[1].contains("101"), "{found:?}");
            let (found, streaming) =
                begin(&format!("+FULLRESYNC {id} 100\r\n$EOF:{mark}\r\nhello, {m}{mark}", m = &mark[..39]));
            assert!(streaming);
            assert_eq!(*found.last().unwrap(), format!("copy hello, {} stream ", &mark[..39]));
            let (found, streaming) = begin(&format!("+CONTINUE {id}\r\nxyz"));
            assert!(streaming && found.contains(&format!("Continue {{ id: Some({id:?}) }}")));
            assert_eq!(found.last().unwrap(), "copy  stream xyz");
        }
    }

    #[test]
    fn a_primary_that_refuses_or_talks_nonsense_ends_the_link() {
        let hello = "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n";
        let id = "c".repeat(40);
        for (rest, refused) in [
            ("-DENIED go away\r\n".to_owned(), true),
            ("+PONG\r\n-WRONGPASS invalid\r\n".to_owned(), true),
            (format!("{hello}-NOMASTERLINK not now\r\n"), true),
            (format!("{hello}+FULLRESYNC x 1\r\n"), false),
            (format!("{hello}+FULLRESYNC {id} -1\r\n"), false),
            (format!("{hello}+FULLRESYNC {id} 1\r\nHTTP\r\n"), false),
            (format!("{hello}+FULLRESYNC {id} 1\r\n$0\r\n"), false),
            (format!("{hello}+FULLRESYNC {id} 1\r\n-ERR no disk\r\n"), true),
            (format!("{hello}+CONTINUE nonsense\r\n"), false),
            ("x".repeat(5000), false),
        ] {
            let mut m = Machine::new(introduction(), 0, &mut Vec::new());
            let ended = run(&mut m, rest.as_bytes(), 3).unwrap_err();
            assert_eq!(matches!(ended, Ended::Refused(_)), refused, "{rest}: {ended}");
        }
    }

    #[test]
    fn a_silent_primary_is_given_up_and_a_stream_is_acknowledged_every_second() {
        let mut m = Machine::new(introduction(), 0, &mut Vec::new());
        assert!(m.on(1000, Input::Tick, &mut Vec::new()).is_ok());
        assert!(matches!(m.on(1001, Input::Tick, &mut Vec::new()), Err(Ended::Timeout(_))));
        let mut m = Machine::new(introduction(), 0, &mut Vec::new());
        run(&mut m, b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+CONTINUE\r\n", 100).unwrap();
        let mut out = Vec::new();
        m.on(900, Input::Tick, &mut out).unwrap();
        assert!(out.is_empty());
        m.on(1001, Input::Tick, &mut out).unwrap();
        assert_eq!(out, [Output::Ack]);
    }
}
