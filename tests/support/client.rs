//! A client that reads replies as they are.

use holdfast::net::dial::{self, Dialled};
use holdfast::net::tls::config::{self, ClientParameters, Trust};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// No reply of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reply. Its short form is what tests compare: `+OK`, `-ERR ...`, `:1`, `"bulk"`, `nil`, `[a b]`, `{k: v}`, `~[a]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nil,
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Double(String),
    Boolean(bool),
    Array(Vec<Value>),
    Set(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Push(Vec<Value>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: &[Value]| {
            f.write_str("[")?;
            for (i, v) in items.iter().enumerate() {
                write!(f, "{}{v}", if i > 0 { " " } else { "" })?;
            }
            f.write_str("]")
        };
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Simple(s) => write!(f, "+{s}"),
            Self::Error(s) => write!(f, "-{s}"),
            Self::Integer(n) => write!(f, ":{n}"),
            Self::Bulk(b) => write!(f, "\"{}\"", String::from_utf8_lossy(b)),
            Self::Double(s) => write!(f, ",{s}"),
            Self::Boolean(b) => write!(f, "#{}", if *b { 't' } else { 'f' }),
            Self::Array(v) => list(f, v),
            Self::Set(v) => f.write_str("~").and_then(|()| list(f, v)),
            Self::Push(v) => f.write_str(">").and_then(|()| list(f, v)),
            Self::Map(pairs) => {
                f.write_str("{")?;
                for (i, (k, v)) in pairs.iter().enumerate() {
                    write!(f, "{}{k}: {v}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A connection and what it has received but not read yet.
pub struct Connection {
    stream: Dialled,
    buffer: Vec<u8>,
    at: usize,
}

impl Connection {
    /// Over TLS to the loopback address, believing `ca`.
    pub fn tls(port: u16, ca: &Path) -> Result<Connection, dial::DialError> {
        Connection::tls_as(port, ca, None)
    }

    /// The same with a certificate and key of its own.
    pub fn tls_as(
        port: u16,
        ca: &Path,
        identity: Option<(std::path::PathBuf, std::path::PathBuf)>,
    ) -> Result<Connection, dial::DialError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let parameters = ClientParameters {
            trust: Trust::Roots { file: Some(ca.to_owned()), folder: None },
            identity,
            ciphers: String::new(),
            ciphersuites: String::new(),
        };
        let config = config::client(&parameters, now as i64).expect("a client's TLS configuration");
        dial::tls("127.0.0.1", port, Some(PATIENCE), config, Some("localhost"), None).map(Connection::over)
    }

    pub fn plain(port: u16) -> Result<Connection, dial::DialError> {
        dial::tcp("127.0.0.1", port, Some(PATIENCE), None).map(Connection::over)
    }

    fn over(stream: Dialled) -> Connection {
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        Connection { stream, buffer: Vec::new(), at: 0 }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends words as a request and reads its reply.
    pub fn command(&mut self, words: &[&[u8]]) -> io::Result<Value> {
        self.send(&request(words))?;
        self.read()
    }

    /// A line of words without quoting, as a request.
    #[track_caller]
    pub fn line(&mut self, line: &str) -> Value {
        let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        self.command(&words).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    /// True once the server has closed; what it still says is dropped.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            }
        }
    }

    /// Everything until the server closes.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut all = self.buffer.split_off(self.at);
        self.buffer.clear();
        self.at = 0;
        self.stream.read_to_end(&mut all)?;
        Ok(all)
    }

    pub fn set_patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("a read timeout");
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut more = [0; 16 * 1024];
        let n = self.stream.read(&mut more)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&more[..n]);
        Ok(())
    }

    fn take_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(n) = self.buffer[self.at..].windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[self.at..self.at + n]).into_owned();
                self.at += n + 2;
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn take_bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < self.at + n + 2 {
            self.fill()?;
        }
        let bytes = self.buffer[self.at..self.at + n].to_vec();
        self.at += n + 2;
        Ok(bytes)
    }

    /// Reads one reply.
    pub fn read(&mut self) -> io::Result<Value> {
        let line = self.take_line()?;
        let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("no reply: {line:?}"));
        let (kind, rest) = line.split_at_checked(1).ok_or_else(bad)?;
        let number = || rest.parse::<i64>().map_err(|_| bad());
        let value = match kind {
            "+" => Value::Simple(rest.to_owned()),
            "-" => Value::Error(rest.to_owned()),
            ":" => Value::Integer(number()?),
            "," => Value::Double(rest.to_owned()),
            "#" => Value::Boolean(rest == "t"),
            "(" => Value::Simple(rest.to_owned()),
            "_" => Value::Nil,
            "$" | "=" | "!" => match number()? {
                n if n < 0 => Value::Nil,
                n => {
                    let bytes = self.take_bytes(n as usize)?;
                    match kind {
                        "!" => Value::Error(String::from_utf8_lossy(&bytes).into_owned()),
                        "=" => Value::Bulk(bytes.get(4..).unwrap_or_default().to_vec()),
                        _ => Value::Bulk(bytes),
                    }
                }
            },
            "*" | "~" | ">" => match number()? {
                n if n < 0 => Value::Nil,
                n => {
                    let items = (0..n).map(|_| self.read()).collect::<io::Result<Vec<_>>>()?;
                    match kind {
                        "~" => Value::Set(items),
                        ">" => Value::Push(items),
                        _ => Value::Array(items),
                    }
                }
            },
            "%" => {
                let pairs = (0..number()?).map(|_| Ok((self.read()?, self.read()?))).collect::<io::Result<Vec<_>>>()?;
                Value::Map(pairs)
            }
            _ => return Err(bad()),
        };
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        Ok(value)
    }
}

/// The bytes of a request.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for w in words {
        out.extend_from_slice(format!("${}\r\n", w.len()).as_bytes());
        out.extend_from_slice(w);
        out.extend_from_slice(b"\r\n");
    }
    out
}
