//! Requests: RESP arrays of bulk strings, and inline commands.
//!
//! The parser never copies and, in the common case, never allocates: it appends the span of each argument to a vector
//! the caller reuses. A request that has not arrived whole leaves its progress in [`Partial`], so that a million
//! arguments in a thousand reads are looked at once, not a thousand times.
//!
//! Invariants: every span lies inside the buffer it was parsed from; `Partial` offsets are relative to the request's
//! first byte, which the caller keeps at the front of what it hands in again.

/// One argument: where it begins, relative to the request's first byte, and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub len: usize,
}

impl Span {
    /// The bytes of the argument in `request`, the buffer from the request's first byte on.
    #[inline]
    pub fn of<'b>(&self, request: &'b [u8]) -> &'b [u8] {
        &request[self.start..self.start + self.len]
    }
}

/// What a client may ask the parser to hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`, bytes of one argument.
    pub bulk_len_max: usize,
    /// Nobody may promise much before he has said who he is.
    pub authenticated: bool,
}

/// The most `proto-max-bulk-len` may be: no key, element or string is longer, in memory, on a link or in a file.
pub const BULK_LEN_MAX: u64 = u32::MAX as u64;
/// Arguments of one request, whoever sends it.
pub const MULTIBULK_MAX: i64 = i32::MAX as i64;
/// Bytes of an inline request and of a length line: beyond it nobody types.
pub const INLINE_MAX: usize = 64 * 1024;
/// Arguments and bytes per argument that are accepted before authentication.
pub const UNAUTHENTICATED_MULTIBULK_MAX: i64 = 10;
pub const UNAUTHENTICATED_BULK_MAX: i64 = 16384;

/// Progress in a request that is not whole yet.
#[derive(Debug, Default)]
pub struct Partial {
    /// Bytes looked at and accepted.
    at: usize,
    /// Arguments still to come; 0 when the header has not been read.
    left: usize,
    /// Length of the argument whose bytes are being waited for.
    bulk: Option<usize>,
    spans: Vec<Span>,
    /// Inline requests: bytes already searched for a line end.
    searched: usize,
}

impl Partial {
    /// The bytes the whole current argument needs from the request's first byte on, if they are known.
    pub fn wanted(&self) -> Option<usize> {
        self.bulk.map(|n| self.at + n + 2)
    }

    /// Bytes of the request that need not be looked at again.
    pub fn parsed(&self) -> usize {
        self.at
    }

    pub fn is_fresh(&self) -> bool {
        self.at == 0 && self.left == 0 && self.searched == 0
    }

    /// Arguments that have arrived so far.
    pub fn arguments(&self) -> usize {
        self.spans.len()
    }
}

/// Why a request cannot be understood. The connection ends after the error has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    MultibulkTooLong,
    MultibulkLength,
    MultibulkUnauthenticated,
    ExpectedDollar(u8),
    BulkTooLong,
    BulkLength,
    BulkUnauthenticated,
    InlineTooBig,
    UnbalancedQuotes,
    /// A line or an argument does not end in CR LF.
    LineEnd,
}

impl std::fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::MultibulkTooLong => f.write_str("too big mbulk count string"),
            Self::MultibulkLength => f.write_str("invalid multibulk length"),
            Self::MultibulkUnauthenticated => f.write_str("unauthenticated multibulk length"),
            Self::ExpectedDollar(c) => {
                write!(f, "expected '$', got '{}'", if c.is_ascii_graphic() || *c == b' ' { *c as char } else { '?' })
            }
            Self::BulkTooLong => f.write_str("too big bulk count string"),
            Self::BulkLength => f.write_str("invalid bulk length"),
            Self::BulkUnauthenticated => f.write_str("unauthenticated bulk length"),
            Self::InlineTooBig => f.write_str("too big inline request"),
            Self::LineEnd => f.write_str("invalid CRLF in request"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
        }
    }
}

/// What `parse` found at the front of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A request of this many bytes; its arguments were appended. Empty requests append none.
    Request { bytes: usize },
    /// An inline request of this many bytes whose words needed unquoting, so they are not spans.
    Inline { bytes: usize, words: Vec<Vec<u8>> },
    /// More bytes are needed; the progress is in `Partial`.
    Incomplete,
}

/// Reads one request from the front of `buf`, which holds everything from the request's first byte on.
#[inline]
pub fn parse(buf: &[u8], partial: &mut Partial, args: &mut Vec<Span>, limits: Limits) -> Result<Parsed, ProtocolError> {
    if partial.is_fresh() {
        match buf.first() {
            None => return Ok(Parsed::Incomplete),
            Some(b'*') => {}
            Some(_) => return parse_inline(buf, partial),
        }
        // The common case: the request is there whole. Nothing is kept if it is not, but for what `slow` keeps.
        let first = args.len();
        match whole(buf, args, limits) {
            Ok(Some(bytes)) => return Ok(Parsed::Request { bytes }),
            Ok(None) => args.truncate(first),
            Err(e) => {
                args.truncate(first);
                return Err(e);
            }
        }
    } else if partial.left == 0 && partial.at == 0 {
        return parse_inline(buf, partial);
    }
    resume(buf, partial, args, limits)
}

/// A request that has arrived whole, or `None`.
#[inline]
fn whole(buf: &[u8], args: &mut Vec<Span>, limits: Limits) -> Result<Option<usize>, ProtocolError> {
    let (count, mut at) = match short_header(buf) {
        Some(found) => found,
        None => match header(buf, 1, limits)? {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    for _ in 0..count {
        let (len, start) = match short_bulk_header(buf, at) {
            Some(found) => found,
            None => match bulk_header(buf, at, limits)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let Some(line_end) = buf.get(start + len..).and_then(|b| b.first_chunk::<2>()) else { return Ok(None) };
        if line_end != b"\r\n" {
            return Err(ProtocolError::LineEnd);
        }
        args.push(Span { start, len });
        at = start + len + 2;
    }
    Ok(Some(at))
}

/// The same, keeping what has been understood in `partial`.
#[cold]
fn resume(buf: &[u8], p: &mut Partial, args: &mut Vec<Span>, limits: Limits) -> Result<Parsed, ProtocolError> {
    if p.left == 0 {
        let Some((count, at)) = header(buf, 1, limits)? else { return Ok(Parsed::Incomplete) };
        p.at = at;
        p.left = count;
        if count == 0 {
            *p = Partial::default();
            return Ok(Parsed::Request { bytes: at });
        }
    }
    while p.left > 0 {
        let len = match p.bulk {
            Some(len) => len,
            None => {
                let Some((len, start)) = bulk_header(buf, p.at, limits)? else { return Ok(Parsed::Incomplete) };
                p.at = start;
                p.bulk = Some(len);
                len
            }
        };
        if buf.len() < p.at + len + 2 {
            return Ok(Parsed::Incomplete);
        }
        check_line_end(buf, p.at + len)?;
        p.spans.push(Span { start: p.at, len });
        p.at += len + 2;
        p.bulk = None;
        p.left -= 1;
    }
    args.append(&mut p.spans);
    let bytes = p.at;
    *p = Partial::default();
    Ok(Parsed::Request { bytes })
}

/// CR LF at `at`, where two bytes are known to be.
#[inline(always)]
fn check_line_end(buf: &[u8], at: usize) -> Result<(), ProtocolError> {
    if buf[at..at + 2] == *b"\r\n" { Ok(()) } else { Err(ProtocolError::LineEnd) }
}

/// `*n\r\n` of one digit, for which no limit asks, at once.
#[inline(always)]
fn short_header(buf: &[u8]) -> Option<(usize, usize)> {
    let [_, digit, b'\r', b'\n'] = *buf.first_chunk::<4>()? else { return None };
    let n = digit.wrapping_sub(b'0');
    (n <= 9).then_some((usize::from(n), 4))
}

/// `$n\r\n` or `$nn\r\n`, for which no limit asks: eight bytes at once, which are nearly always there.
#[inline(always)]
fn short_bulk_header(buf: &[u8], at: usize) -> Option<(usize, usize)> {
    const ONE: u64 = u64::from_le_bytes(*b"$\0\r\n\0\0\0\0");
    const TWO: u64 = u64::from_le_bytes(*b"$\0\0\r\n\0\0\0");
    let word = u64::from_le_bytes(*buf.get(at..)?.first_chunk::<8>()?);
    let digit = |n: u32| u64::from(((word >> (8 * n)) as u8).wrapping_sub(b'0'));
    if word & 0xff_ff00_00ff == TWO && matches!(digit(1), 1..=9) && digit(2) <= 9 {
        return Some(((10 * digit(1) + digit(2)) as usize, at + 5));
    }
    if word & 0xffff_00ff == ONE && digit(1) <= 9 {
        return Some((digit(1) as usize, at + 4));
    }
    None
}

/// The argument at `at`, if it is there whole and short enough for no limit to ask.
#[inline(always)]
pub fn short_argument(buf: &[u8], at: usize) -> Option<Span> {
    let (len, start) = short_bulk_header(buf, at)?;
    (buf.get(start + len..)?.first_chunk::<2>()? == b"\r\n").then_some(Span { start, len })
}

/// `*<count>\r\n`: the count (negative counts are empty requests) and the offset behind the line.
#[inline]
fn header(buf: &[u8], at: usize, limits: Limits) -> Result<Option<(usize, usize)>, ProtocolError> {
    let Some((n, next)) = number_line(buf, at, ProtocolError::MultibulkTooLong, ProtocolError::MultibulkLength)? else {
        return Ok(None);
    };
    if n > MULTIBULK_MAX {
        return Err(ProtocolError::MultibulkLength);
    }
    if !limits.authenticated && n > UNAUTHENTICATED_MULTIBULK_MAX {
        return Err(ProtocolError::MultibulkUnauthenticated);
    }
    Ok(Some((n.max(0) as usize, next)))
}

/// `$<len>\r\n`: the length and the offset of the first byte.
#[inline]
fn bulk_header(buf: &[u8], at: usize, limits: Limits) -> Result<Option<(usize, usize)>, ProtocolError> {
    match buf.get(at) {
        None => return Ok(None),
        Some(b'$') => {}
        Some(c) => return Err(ProtocolError::ExpectedDollar(*c)),
    }
    let Some((n, next)) = number_line(buf, at + 1, ProtocolError::BulkTooLong, ProtocolError::BulkLength)? else {
        return Ok(None);
    };
    if n < 0 || n > limits.bulk_len_max as i64 {
        return Err(ProtocolError::BulkLength);
    }
    if !limits.authenticated && n > UNAUTHENTICATED_BULK_MAX {
        return Err(ProtocolError::BulkUnauthenticated);
    }
    Ok(Some((n as usize, next)))
}

/// A decimal number up to CR, and the offset behind CR and the byte after it.
#[inline]
fn number_line(
    buf: &[u8],
    at: usize,
    too_long: ProtocolError,
    invalid: ProtocolError,
) -> Result<Option<(i64, usize)>, ProtocolError> {
    // One to four digits and CR LF are nearly all there is.
    let mut n: i64 = 0;
    let mut i = at;
    while let Some(&c) = buf.get(i) {
        let d = c.wrapping_sub(b'0');
        if d > 9 || i - at > 9 {
            break;
        }
        n = n * 10 + i64::from(d);
        i += 1;
    }
    if i > at && buf.get(i) == Some(&b'\r') {
        // A leading zero is refused, but for zero itself: the strict form has one spelling a number.
        if buf[at] == b'0' && i - at > 1 {
            return Err(invalid);
        }
        if buf.len() < i + 2 {
            return Ok(None);
        }
        check_line_end(buf, i)?;
        return Ok(Some((n, i + 2)));
    }
    odd_number_line(buf, at, too_long, invalid)
}

#[cold]
fn odd_number_line(
    buf: &[u8],
    at: usize,
    too_long: ProtocolError,
    invalid: ProtocolError,
) -> Result<Option<(i64, usize)>, ProtocolError> {
    let rest = &buf[at.min(buf.len())..];
    let Some(end) = memchr::memchr(b'\r', rest) else {
        return if rest.len() > INLINE_MAX { Err(too_long) } else { Ok(None) };
    };
    if rest.len() < end + 2 {
        return Ok(None);
    }
    let text = &rest[..end];
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && (digits[0] != b'0' || text == b"0");
    if !canonical {
        return Err(invalid);
    }
    check_line_end(rest, end)?;
    let n = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(invalid)?;
    Ok(Some((n, at + end + 2)))
}

/// A line of words, as people type it.
#[cold]
fn parse_inline(buf: &[u8], p: &mut Partial) -> Result<Parsed, ProtocolError> {
    let Some(end) = memchr::memchr(b'\n', &buf[p.searched.min(buf.len())..]).map(|i| i + p.searched) else {
        if buf.len() > INLINE_MAX {
            return Err(ProtocolError::InlineTooBig);
        }
        p.searched = buf.len();
        return Ok(Parsed::Incomplete);
    };
    *p = Partial::default();
    let line = &buf[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words = split_words(line).ok_or(ProtocolError::UnbalancedQuotes)?;
    Ok(Parsed::Inline { bytes: end + 1, words })
}

/// Splits a line into words: blanks separate, `"..."` understands `\n \r \t \b \a \xHH \"`, `'...'` only `\'`.
/// A word may be made of several pieces, quoted or not. `None` where quotes are not balanced.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut i = 0;
    let blank = |c: u8| c.is_ascii_whitespace() || c == 0x0b || c == 0;
    loop {
        while i < line.len() && blank(line[i]) {
            i += 1;
        }
        if i >= line.len() {
            return Some(words);
        }
        let mut word = Vec::new();
        while i < line.len() && !blank(line[i]) {
            match line[i] {
                b'"' => {
                    i = double_quoted(line, i + 1, &mut word)?;
                }
                b'\'' => {
                    i = single_quoted(line, i + 1, &mut word)?;
                }
                c => {
                    word.push(c);
                    i += 1;
                }
            }
        }
        words.push(word);
    }
}

fn double_quoted(line: &[u8], mut i: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *line.get(i)? {
            b'"' => return Some(i + 1),
            b'\\' => {
                let c = *line.get(i + 1)?;
                let hex = |at: usize| line.get(at).and_then(|c| (*c as char).to_digit(16)).map(|d| d as u8);
                if c == b'x'
                    && let (Some(high), Some(low)) = (hex(i + 2), hex(i + 3))
                {
                    word.push(high << 4 | low);
                    i += 4;
                    continue;
                }
                word.push(match c {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    c => c,
                });
                i += 2;
            }
            c => {
                word.push(c);
                i += 1;
            }
        }
    }
}

fn single_quoted(line: &[u8], mut i: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *line.get(i)? {
            b'\'' => return Some(i + 1),
            b'\\' if line.get(i + 1) == Some(&b'\'') => {
                word.push(b'\'');
                i += 2;
            }
            c => {
                word.push(c);
                i += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Limits = Limits { bulk_len_max: 512 << 20, authenticated: true };

    fn all(input: &[u8], limits: Limits) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let (mut out, mut at, mut args) = (vec![], 0, vec![]);
        let mut p = Partial::default();
        loop {
            args.clear();
            match parse(&input[at..], &mut p, &mut args, limits)? {
                Parsed::Incomplete => return Ok(out),
                Parsed::Inline { bytes, words } => {
                    out.push(words);
                    at += bytes;
                }
                Parsed::Request { bytes } => {
                    out.push(args.iter().map(|s| s.of(&input[at..]).to_vec()).collect());
                    at += bytes;
                }
            }
        }
    }

    #[test]
    fn a_pipeline_is_read_request_by_request() {
        let got =
            all(b"*1\r\n$4\r\nPING\r\nSET a \"b c\"\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*0\r\n*-1\r\n", OPEN).unwrap();
        assert_eq!(got.len(), 5);
        assert_eq!(got[1], [b"SET".to_vec(), b"a".to_vec(), b"b c".to_vec()]);
        assert!(got[3].is_empty() && got[4].is_empty());
    }

    #[test]
    fn every_split_of_the_bytes_reads_the_same() {
        let input = b"*3\r\n$3\r\nSET\r\n$5\r\nhello\r\n$13\r\nwor\r\nld 12345\r\nPING x\r\n*1\r\n$4\r\nQUIT\r\n";
        let want = all(input, OPEN).unwrap();
        for cut in 0..=input.len() {
            let (mut got, mut at, mut args) = (vec![], 0, vec![]);
            let mut p = Partial::default();
            for end in [cut, input.len()] {
                loop {
                    args.clear();
                    match parse(&input[at..end], &mut p, &mut args, OPEN).unwrap() {
                        Parsed::Incomplete => break,
                        Parsed::Inline { bytes, words } => {
                            got.push(words);
                            at += bytes;
                        }
                        Parsed::Request { bytes } => {
                            got.push(args.iter().map(|s| s.of(&input[at..]).to_vec()).collect());
                            at += bytes;
                        }
                    }
                }
            }
            assert_eq!(got, want, "cut at {cut}");
        }
    }

    #[test]
    fn errors_are_worded_as_clients_know_them() {
        let say = |input: &[u8]| all(input, OPEN).unwrap_err().to_string();
        assert_eq!(say(b"*3\r\n$3\r\nSET\r\nx"), "Protocol error: expected '$', got 'x'");
        assert_eq!(say(b"*20000000000\r\n"), "Protocol error: invalid multibulk length");
        assert_eq!(say(b"*1\r\n$-10\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(say(b"*1\r\n$2000000000\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(say(b"*1\r\n$blabla\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(say(b"GET \"a\r\n"), "Protocol error: unbalanced quotes in request");
        assert_eq!(say(&[b'a'; INLINE_MAX + 2]), "Protocol error: too big inline request");
    }

    #[test]
    fn promises_are_small_before_authentication() {
        let shut = Limits { authenticated: false, ..OPEN };
        assert_eq!(all(b"*11\r\n", shut), Err(ProtocolError::MultibulkUnauthenticated));
        assert_eq!(all(b"*1\r\n$16385\r\n", shut), Err(ProtocolError::BulkUnauthenticated));
    }

    #[test]
    fn words_are_unquoted() {
        assert_eq!(
            split_words(b"a \"\\x41\\n\" 'it\\'s'").unwrap(),
            [b"a".to_vec(), b"A\n".to_vec(), b"it's".to_vec()]
        );
        assert_eq!(split_words(b"\"a\"b'c'").unwrap(), [b"abc".to_vec()]);
        assert_eq!(split_words(b"\"a"), None);
        assert_eq!(split_words(b"\"\"").unwrap(), [b"".to_vec()]);
    }
}
