//! The client's side of the wire: requests encoded, replies read. For the command line client, and for every link on
//! which this program asks and another server answers.
//!
//! [`ReplyReader`] is incremental: bytes are fed as they come, whole replies are taken out; what is half there stays
//! and is not parsed twice, but for one header line. RESP2 and RESP3 are told apart by the type byte alone.
//!
//! Invariants: depth, text length and buffered bytes are bounded by [`ReplyLimits`]; a count that a peer promises never
//! makes memory be reserved before the elements have come; after an error the reader gives the same error for ever.
//! It must never know a command or a socket.

/// One reply. Texts are bytes: nothing promises UTF-8.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    /// The null of either protocol, the null array too.
    Null,
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    /// Out of band: belongs to no request.
    Push(Vec<Value>),
    /// The text as sent (`2.5`, `inf`, `nan`); it has been checked to be a number.
    Double(Vec<u8>),
    Bool(bool),
    BigNumber(Vec<u8>),
    /// `format` is three letters: `txt`, `mkd`.
    Verbatim {
        format: [u8; 3],
        text: Vec<u8>,
    },
    /// Stands before the reply it describes, and is delivered as a value of its own. Within another reply it is dropped.
    Attribute(Vec<(Value, Value)>),
}

impl Value {
    /// The bytes of any textual reply: status, error, bulk, verbatim, double, big number.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Status(t) | Value::Error(t) | Value::Bulk(t) | Value::Double(t) | Value::BigNumber(t) => Some(t),
            Value::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(n) => Some(*n),
            _ => None,
        }
    }

    /// The elements of an array, a set or a push.
    pub fn elements(&self) -> Option<&[Value]> {
        match self {
            Value::Array(v) | Value::Set(v) | Value::Push(v) => Some(v),
            _ => None,
        }
    }

    /// Key and value pairs: of a map, or of an array that stands for one in RESP2 (an odd last element is left out).
    pub fn pairs(&self) -> Option<Vec<(&Value, &Value)>> {
        match self {
            Value::Map(pairs) | Value::Attribute(pairs) => Some(pairs.iter().map(|(k, v)| (k, v)).collect()),
            Value::Array(v) => Some(v.chunks_exact(2).filter_map(|c| Some((c.first()?, c.get(1)?))).collect()),
            _ => None,
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }
}

/// What a peer may make the reader hold.
#[derive(Clone, Copy, Debug)]
pub struct ReplyLimits {
    /// Bytes of one text. Servers keep to `proto-max-bulk-len`, 512 MiB as it comes; INFO and scripts stay far below.
    pub text_bytes_max: usize,
    /// Aggregates within aggregates. COMMAND DOCS, the deepest of all, needs about 12.
    pub depth_max: usize,
    /// Bytes of a line: a status, an error, a header.
    pub line_bytes_max: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        ReplyLimits { text_bytes_max: 512 << 20, depth_max: 128, line_bytes_max: 1 << 20 }
    }
}

/// Why the bytes of a peer are not replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// A reply cannot begin with this byte.
    Type(u8),
    Length,
    Number,
    Boolean,
    /// A text is not followed by CR LF.
    Terminator,
    TextTooLong,
    LineTooLong,
    TooDeep,
}

impl std::fmt::Display for ReplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplyError::Type(b) => write!(f, "Protocol error, got \"{}\" as reply type byte", b.escape_ascii()),
            ReplyError::Length => f.write_str("Protocol error, bad length in a reply"),
            ReplyError::Number => f.write_str("Protocol error, bad number in a reply"),
            ReplyError::Boolean => f.write_str("Protocol error, bad boolean in a reply"),
            ReplyError::Terminator => f.write_str("Protocol error, a text in a reply does not end in CR LF"),
            ReplyError::TextTooLong => f.write_str("Protocol error, a text in a reply is too long"),
            ReplyError::LineTooLong => f.write_str("Protocol error, a line in a reply is too long"),
            ReplyError::TooDeep => f.write_str("Protocol error, a reply is nested too deeply"),
        }
    }
}

impl std::error::Error for ReplyError {}

#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Array,
    Map,
    Set,
    Push,
    Attribute,
}

/// An aggregate whose elements are still coming.
#[derive(Debug)]
struct Frame {
    kind: Aggregate,
    /// Elements to come; a map counts keys and values.
    left: usize,
    items: Vec<Value>,
}

/// Reads replies out of the bytes it is fed. See the module's first lines.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buf: Vec<u8>,
    /// Bytes of `buf` that have become values.
    at: usize,
    /// From `at`: bytes already searched for a line end.
    searched: usize,
    stack: Vec<Frame>,
    limits: ReplyLimits,
    failed: Option<ReplyError>,
}

/// Consumed bytes are cut off the front of the buffer when they are this many.
const COMPACT_BYTES: usize = 64 * 1024;
/// Elements reserved ahead on the word of a peer.
const RESERVE_MAX: usize = 1024;

impl ReplyReader {
    pub fn new(limits: ReplyLimits) -> ReplyReader {
        ReplyReader { limits, ..ReplyReader::default() }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at == self.buf.len() {
            self.buf.clear();
            self.at = 0;
        } else if self.at >= COMPACT_BYTES {
            self.buf.drain(..self.at);
            self.at = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// Bytes that have been fed and are not part of a value yet.
    pub fn unread(&self) -> &[u8] {
        self.buf.get(self.at..).unwrap_or_default()
    }

    /// Gives up the bytes that are not part of a value yet: for a stream that stops being replies.
    pub fn take_unread(&mut self) -> Vec<u8> {
        let rest = self.unread().to_vec();
        self.buf.clear();
        self.at = 0;
        self.searched = 0;
        self.stack.clear();
        rest
    }

    /// Nothing has come of the next reply.
    pub fn is_between_replies(&self) -> bool {
        self.stack.is_empty() && self.at == self.buf.len()
    }

    /// The next whole reply, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// The peer does not speak the protocol, or goes beyond the limits; the connection is of no use any more.
    pub fn next_value(&mut self) -> Result<Option<Value>, ReplyError> {
        if let Some(e) = self.failed {
            return Err(e);
        }
        let result = self.advance();
        if let Err(e) = result {
            self.failed = Some(e);
        }
        result
    }

    fn advance(&mut self) -> Result<Option<Value>, ReplyError> {
        loop {
            let Some(element) = self.element()? else { return Ok(None) };
            let value = match element {
                Element::Value(v) => v,
                Element::Open(kind, left) => {
                    if self.stack.len() >= self.limits.depth_max {
                        return Err(ReplyError::TooDeep);
                    }
                    let items = Vec::with_capacity(left.min(RESERVE_MAX));
                    self.stack.push(Frame { kind, left, items });
                    if left > 0 {
                        continue;
                    }
                    let Some(frame) = self.stack.pop() else { continue };
                    frame.close()
                }
            };
            if let Some(whole) = self.place(value) {
                return Ok(Some(whole));
            }
        }
    }

    /// Puts a value where it belongs; gives it back if it is the whole reply.
    fn place(&mut self, mut value: Value) -> Option<Value> {
        while let Some(frame) = self.stack.last_mut() {
            if matches!(value, Value::Attribute(_)) {
                return None;
            }
            frame.items.push(value);
            frame.left -= 1;
            if frame.left > 0 {
                return None;
            }
            value = self.stack.pop()?.close();
        }
        Some(value)
    }

    /// One element: a whole scalar, or the header of an aggregate. `None`: not there yet, nothing consumed.
    fn element(&mut self) -> Result<Option<Element>, ReplyError> {
        let rest = self.buf.get(self.at..).unwrap_or_default();
        let Some(&kind) = rest.first() else { return Ok(None) };
        if !b"+-:$*_#,(!=%~>|".contains(&kind) {
            return Err(ReplyError::Type(kind));
        }
        let unsearched = rest.get(self.searched..).unwrap_or_default();
        let Some(newline) = memchr::memchr(b'\n', unsearched).map(|i| i + self.searched) else {
            if rest.len() > self.limits.line_bytes_max {
                return Err(ReplyError::LineTooLong);
            }
            self.searched = rest.len();
            return Ok(None);
        };
        let line = rest.get(1..newline).unwrap_or_default();
        let line = line.strip_suffix(b"\r").ok_or(ReplyError::Terminator)?;
        let mut consumed = newline + 1;
        let element = match kind {
            b'+' => Element::Value(Value::Status(line.to_vec())),
            b'-' => Element::Value(Value::Error(line.to_vec())),
            b':' => Element::Value(Value::Integer(number(line).ok_or(ReplyError::Number)?)),
            b'_' => Element::Value(Value::Null),
            b'#' => Element::Value(Value::Bool(match line {
                b"t" => true,
                b"f" => false,
                _ => return Err(ReplyError::Boolean),
            })),
            b',' => Element::Value(Value::Double(double(line)?)),
            b'(' => {
                let digits = line.strip_prefix(b"-").or(line.strip_prefix(b"+")).unwrap_or(line);
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                    return Err(ReplyError::Number);
                }
                Element::Value(Value::BigNumber(line.to_vec()))
            }
            b'$' | b'!' | b'=' => {
                let len = number(line).ok_or(ReplyError::Length)?;
                if len == -1 && kind == b'$' {
                    Element::Value(Value::Null)
                } else {
                    let len = usize::try_from(len).map_err(|_| ReplyError::Length)?;
                    if len > self.limits.text_bytes_max {
                        return Err(ReplyError::TextTooLong);
                    }
                    let Some(text) = rest.get(consumed..consumed + len + 2) else { return Ok(None) };
                    let text = text.strip_suffix(b"\r\n").ok_or(ReplyError::Terminator)?;
                    consumed += len + 2;
                    Element::Value(match kind {
                        b'$' => Value::Bulk(text.to_vec()),
                        b'!' => Value::Error(text.to_vec()),
                        _ => verbatim(text)?,
                    })
                }
            }
            _ => {
                let len = number(line).ok_or(ReplyError::Length)?;
                if len == -1 && kind == b'*' {
                    Element::Value(Value::Null)
                } else {
                    let len = usize::try_from(len).map_err(|_| ReplyError::Length)?;
                    let pairs = || len.checked_mul(2).ok_or(ReplyError::Length);
                    match kind {
                        b'*' => Element::Open(Aggregate::Array, len),
                        b'~' => Element::Open(Aggregate::Set, len),
                        b'>' => Element::Open(Aggregate::Push, len),
                        b'%' => Element::Open(Aggregate::Map, pairs()?),
                        _ => Element::Open(Aggregate::Attribute, pairs()?),
                    }
                }
            }
        };
        self.at += consumed;
        self.searched = 0;
        Ok(Some(element))
    }
}

enum Element {
    Value(Value),
    Open(Aggregate, usize),
}

impl Frame {
    fn close(self) -> Value {
        let pairs = |items: Vec<Value>| {
            let mut items = items.into_iter();
            let mut pairs = Vec::with_capacity(items.len() / 2);
            while let (Some(k), Some(v)) = (items.next(), items.next()) {
                pairs.push((k, v));
            }
            pairs
        };
        match self.kind {
            Aggregate::Array => Value::Array(self.items),
            Aggregate::Set => Value::Set(self.items),
            Aggregate::Push => Value::Push(self.items),
            Aggregate::Map => Value::Map(pairs(self.items)),
            Aggregate::Attribute => Value::Attribute(pairs(self.items)),
        }
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn double(text: &[u8]) -> Result<Vec<u8>, ReplyError> {
    // `inf`, `-inf` and `nan` are numbers to Rust's parser too.
    let parsed = std::str::from_utf8(text).ok().and_then(|t| t.parse::<f64>().ok());
    parsed.map(|_| text.to_vec()).ok_or(ReplyError::Number)
}

fn verbatim(text: &[u8]) -> Result<Value, ReplyError> {
    match text {
        [a, b, c, b':', text @ ..] => Ok(Value::Verbatim { format: [*a, *b, *c], text: text.to_vec() }),
        _ => Err(ReplyError::Length),
    }
}

/// Appends one request, an array of bulk strings, to `out`.
pub fn encode_request<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    let header = |out: &mut Vec<u8>, kind: u8, n: usize| {
        out.push(kind);
        out.extend_from_slice(n.to_string().as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    header(out, b'*', args.len());
    for arg in args {
        let arg = arg.as_ref();
        header(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(bytes: &[u8], step: usize) -> Result<Vec<Value>, ReplyError> {
        let mut reader = ReplyReader::default();
        let mut out = vec![];
        for chunk in bytes.chunks(step) {
            reader.feed(chunk);
            while let Some(v) = reader.next_value()? {
                out.push(v);
            }
        }
        Ok(out)
    }

    const EVERY_TYPE: &[u8] = b"+OK\r\n-ERR no\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n*2\r\n*0\r\n:1\r\n%1\r\n+k\r\n~1\r\n#t\r\n\
        >2\r\n+message\r\n$0\r\n\r\n,2.5\r\n,-inf\r\n(12345678901234567890\r\n=7\r\ntxt:a\nb\r\n!5\r\nERR x\r\n|1\r\n+a\r\n:1\r\n#f\r\n";

    #[test]
    fn every_type_is_read_whatever_the_pieces_it_comes_in() {
        let whole = read_all(EVERY_TYPE, EVERY_TYPE.len()).unwrap();
        assert_eq!(whole.len(), 17);
        assert_eq!(whole[3], Value::Bulk(b"a\r\n".to_vec()));
        assert_eq!(whole[7], Value::Array(vec![Value::Array(vec![]), Value::Integer(1)]));
        assert_eq!(whole[8], Value::Map(vec![(Value::Status(b"k".to_vec()), Value::Set(vec![Value::Bool(true)]))]));
        assert_eq!(whole[13], Value::Verbatim { format: *b"txt", text: b"a\nb".to_vec() });
        for step in 1..20 {
            assert_eq!(read_all(EVERY_TYPE, step).unwrap(), whole, "in pieces of {step}");
        }
    }

    #[test]
    fn an_attribute_inside_a_reply_is_dropped_and_counts_as_no_element() {
        let got = read_all(b"*2\r\n|1\r\n+a\r\n*1\r\n:9\r\n:1\r\n:2\r\n", 1).unwrap();
        assert_eq!(got, vec![Value::Array(vec![Value::Integer(1), Value::Integer(2)])]);
    }

    #[test]
    fn a_peer_that_does_not_speak_the_protocol_is_named() {
        assert_eq!(read_all(b"HTTP/1.1 400\r\n", 99), Err(ReplyError::Type(b'H')));
        assert_eq!(read_all(b"\x15\x03\x03", 99), Err(ReplyError::Type(0x15)));
        for bad in
            [&b":1x\r\n"[..], b"$-2\r\n", b"*x\r\n", b"%-1\r\n", b"#x\r\n", b",x\r\n", b"(1a\r\n", b"=2\r\nab\r\n"]
        {
            assert!(read_all(bad, 99).is_err(), "{}", bad.escape_ascii());
        }
        assert_eq!(read_all(b"$2\r\nabcd\r\n", 99), Err(ReplyError::Terminator));
        assert_eq!(read_all(b"+a\n", 99), Err(ReplyError::Terminator));
        assert_eq!(read_all(b"%9223372036854775807\r\n", 99).map(|v| v.len()), Ok(0));
    }

    #[test]
    fn depth_and_promises_are_bounded() {
        assert_eq!(read_all(&b"*1\r\n".repeat(129), 4096), Err(ReplyError::TooDeep));
        assert_eq!(read_all(b"$999999999999\r\n", 99), Err(ReplyError::TextTooLong));
        assert_eq!(read_all(b"*999999999999\r\n:1\r\n", 99), Ok(vec![]));
        let mut reader = ReplyReader::new(ReplyLimits { line_bytes_max: 16, ..ReplyLimits::default() });
        reader.feed(&[b'+'; 40]);
        assert_eq!(reader.next_value(), Err(ReplyError::LineTooLong));
        reader.feed(b"\r\n");
        assert_eq!(reader.next_value(), Err(ReplyError::LineTooLong), "an error is for ever");
    }

    #[test]
    fn what_follows_the_replies_can_be_taken_as_bytes() {
        let mut reader = ReplyReader::default();
        reader.feed(b"+FULLRESYNC\r\nREDIS0011");
        assert!(reader.next_value().unwrap().is_some());
        assert_eq!(reader.take_unread(), b"REDIS0011");
        assert!(reader.is_between_replies());
    }

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let mut out = vec![];
        encode_request(&mut out, &[&b"GET"[..], b"a\r\n"]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'%'), Just(b'|'),
            Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'-'), any::<u8>()], 0..200), step in 1usize..7) {
            let _ = read_all(&bytes, step);
        }
    }
}
