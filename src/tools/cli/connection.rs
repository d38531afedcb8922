//! A connection of the command line client: a blocking stream over TCP, a Unix socket or TLS, requests out, replies in.
//! Knows neither the command line nor how replies are printed. When the peer turns out to speak the other of TLS and
//! plaintext, the error says so.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::options::{AddressFamily, TlsOptions};
use super::tls;
use crate::resp::client::{ReplyReader, Value, encode_request};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// A TLS server answers a hello in milliseconds. After this long we ask whether it speaks TLS at all, and give up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For looking at what a port speaks, after something went wrong.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where to connect to, fully decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub socket: Option<PathBuf>,
    pub tls: Option<TlsOptions>,
    pub family: AddressFamily,
    pub connect_timeout: Option<Duration>,
}

impl Target {
    /// `host:port` or the socket's path.
    pub fn name(&self) -> String {
        match &self.socket {
            Some(path) => path.display().to_string(),
            None => format!("{}:{}", self.host, self.port),
        }
    }
}

/// What a connection reads from and writes to.
trait Transport: Read + Write + AsFd {
    /// Bytes that have been received and decrypted: the descriptor will not show them.
    fn has_pending(&mut self) -> bool {
        false
    }
    /// Bytes that were taken and could not be sent yet.
    fn wants_write(&self) -> bool {
        false
    }
    fn set_nonblocking(&self, on: bool) -> io::Result<()>;
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        TcpStream::set_nonblocking(self, on)
    }
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        TcpStream::set_read_timeout(self, timeout)
    }
}

impl Transport for UnixStream {
    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        UnixStream::set_nonblocking(self, on)
    }
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        UnixStream::set_read_timeout(self, timeout)
    }
}

struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl AsFd for Tls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.sock.as_fd()
    }
}
impl Read for Tls {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf) {
            // A peer that dies without saying goodbye has still closed.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}
impl Write for Tls {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.0.write(buf)? {
            // Its buffer is full: what a socket would call blocking.
            0 if !buf.is_empty() => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
impl Transport for Tls {
    fn has_pending(&mut self) -> bool {
        self.0.conn.process_new_packets().is_ok_and(|s| s.plaintext_bytes_to_read() > 0)
    }
    fn wants_write(&self) -> bool {
        self.0.conn.wants_write()
    }
    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.sock.set_nonblocking(on)
    }
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.sock.set_read_timeout(timeout)
    }
}

/// What became readable. See [`Connection::wait`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    pub replies: bool,
    pub input: bool,
}

pub struct Connection {
    transport: Box<dyn Transport>,
    reader: ReplyReader,
    target: Target,
    /// Something has been read: the peer speaks what we speak.
    heard: bool,
}

impl Connection {
    /// Connects, and shakes hands if the target wants TLS.
    ///
    /// # Errors
    /// A text for people, without the target's name.
    pub fn open(target: &Target) -> Result<Connection, String> {
        let transport: Box<dyn Transport> = match (&target.socket, &target.tls) {
            (Some(path), _) => Box::new(UnixStream::connect(path).map_err(|e| say(&e))?),
            (None, None) => Box::new(dial(target).map_err(|e| say(&e))?),
            (None, Some(options)) => Box::new(shake_hands(target, tls::configuration(options)?, options)?),
        };
        Ok(Connection { transport, reader: ReplyReader::default(), target: target.clone(), heard: false })
    }

    /// Sends one request.
    ///
    /// # Errors
    /// What the socket says.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut out = Vec::new();
        encode_request(&mut out, args);
        self.transport.write_all(&out)?;
        self.transport.flush()
    }

    /// Waits for the next value, a push included.
    ///
    /// # Errors
    /// `Server closed the connection`, the socket's error, or what is wrong with the bytes.
    pub fn receive(&mut self) -> Result<Value, String> {
        loop {
            if let Some(value) = self.buffered()? {
                return Ok(value);
            }
            self.fill()?;
        }
    }

    /// The next value, if it has come already.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn buffered(&mut self) -> Result<Option<Value>, String> {
        self.reader.next_value().map_err(|e| match self.reader.unread() {
            [0x15, 3, ..] => self.remedy_tls(),
            _ => e.to_string(),
        })
    }

    /// Reads once. `Ok` although nothing was read: the socket does not block and has nothing.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn fill(&mut self) -> Result<(), String> {
        let mut chunk = [0; READ_BYTES];
        loop {
            return match self.transport.read(&mut chunk) {
                Ok(0) => Err(self.silence().unwrap_or_else(|| "Server closed the connection".to_string())),
                Ok(n) => {
                    self.heard = true;
                    self.reader.feed(chunk.get(..n).unwrap_or_default());
                    Ok(())
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(()),
                Err(e) => Err(self.silence().unwrap_or_else(|| say(&e))),
            };
        }
    }

    /// What has come, or comes next, as it is: for a stream that is no replies.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn bytes(&mut self) -> Result<Vec<u8>, String> {
        if self.reader.unread().is_empty() {
            self.fill()?;
        }
        Ok(self.reader.take_unread())
    }

    /// One request and its reply; pushes before it are dropped.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn ask<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, String> {
        self.send(args).map_err(|e| say(&e))?;
        self.reply()
    }

    /// The next value that is neither push nor attribute.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn reply(&mut self) -> Result<Value, String> {
        loop {
            match self.receive()? {
                Value::Push(_) | Value::Attribute(_) => {}
                value => return Ok(value),
            }
        }
    }

    /// Several requests at once, and their replies in order.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn ask_all<A: AsRef<[u8]>>(&mut self, requests: &[Vec<A>]) -> Result<Vec<Value>, String> {
        let mut out = Vec::new();
        for request in requests {
            encode_request(&mut out, request);
        }
        self.transport.write_all(&out).map_err(|e| say(&e))?;
        self.transport.flush().map_err(|e| say(&e))?;
        requests.iter().map(|_| self.reply()).collect()
    }

    /// Waits until a reply or `input` can be read; without a timeout for ever. Nothing is ready when time is up.
    ///
    /// # Errors
    /// What poll says.
    pub fn wait(&mut self, input: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> io::Result<Ready> {
        if self.transport.has_pending() {
            return Ok(Ready { replies: true, input: false });
        }
        let timeout = timeout.map_or(PollTimeout::NONE, poll_timeout);
        let mut fds = vec![PollFd::new(self.transport.as_fd(), PollFlags::POLLIN)];
        fds.extend(input.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) | Ok(0) => return Ok(Ready::default()),
            Err(e) => return Err(e.into()),
            Ok(_) => {}
        }
        let any = |i: usize| fds.get(i).and_then(PollFd::any).unwrap_or(false);
        Ok(Ready { replies: any(0), input: any(1) })
    }

    /// For `--pipe`: reads and writes no longer block.
    ///
    /// # Errors
    /// What the socket says.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.transport.set_nonblocking(true)
    }

    /// Writes what the socket takes of `data`; 0 when it takes nothing now.
    ///
    /// # Errors
    /// What the socket says.
    pub fn write_some(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.transport.write(data) {
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            other => other,
        }
    }

    /// Pushes out what was taken; true when nothing is left.
    ///
    /// # Errors
    /// What the socket says.
    pub fn flush_some(&mut self) -> io::Result<bool> {
        match self.transport.flush() {
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(e) => Err(e),
            Ok(()) => Ok(!self.transport.wants_write()),
        }
    }

    /// Waits until the socket can be read, or, if `writable`, written.
    ///
    /// # Errors
    /// What poll says.
    pub fn wait_socket(&mut self, writable: bool, timeout: Duration) -> io::Result<()> {
        if self.transport.has_pending() {
            return Ok(());
        }
        let events = if writable { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        match poll(&mut [PollFd::new(self.transport.as_fd(), events)], poll_timeout(timeout)) {
            Err(nix::errno::Errno::EINTR) | Ok(_) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// If a plaintext peer closed before it ever spoke, and the port speaks TLS: the remedy.
    fn silence(&self) -> Option<String> {
        let plaintext = self.target.tls.is_none() && self.target.socket.is_none();
        (plaintext && !self.heard && speaks_tls(&self.target)).then(|| self.remedy_tls())
    }

    fn remedy_tls(&self) -> String {
        format!(
            "the server at {} speaks TLS: use --tls, with --cacert FILE for the authority that vouches for it",
            self.target.name()
        )
    }
}

fn poll_timeout(timeout: Duration) -> PollTimeout {
    // A poll that returns at once although time is left would spin.
    PollTimeout::try_from(timeout.as_millis().clamp(1, i32::MAX as u128) as i32).unwrap_or(PollTimeout::MAX)
}

/// The system's words for an error, without Rust's frame around them.
pub fn say(e: &io::Error) -> String {
    let text = e.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    match text.find(" (os error ") {
        Some(at) => text.get(..at).unwrap_or(text).to_string(),
        None => text.to_string(),
    }
}

fn dial(target: &Target) -> io::Result<TcpStream> {
    let mut addresses: Vec<SocketAddr> = (target.host.as_str(), target.port).to_socket_addrs()?.collect();
    match target.family {
        AddressFamily::Any => {}
        AddressFamily::Ipv4First => addresses.sort_by_key(SocketAddr::is_ipv6),
        AddressFamily::Ipv6First => addresses.sort_by_key(SocketAddr::is_ipv4),
    }
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let result = match target.connect_timeout {
            Some(timeout) => TcpStream::connect_timeout(&address, timeout),
            None => TcpStream::connect(address),
        };
        match result {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn shake_hands(target: &Target, config: Arc<ClientConfig>, options: &TlsOptions) -> Result<Tls, String> {
    let name = options.sni.clone().unwrap_or_else(|| target.host.clone());
    let name = ServerName::try_from(name).map_err(|_| "the host's name cannot be a TLS server name".to_string())?;
    let connection = ClientConnection::new(config, name).map_err(|e| e.to_string())?;
    let stream = dial(target).map_err(|e| say(&e))?;
    let timeout = target.connect_timeout.unwrap_or(HANDSHAKE_TIMEOUT);
    stream.set_read_timeout(Some(timeout)).map_err(|e| say(&e))?;
    let mut tls = Tls(StreamOwned::new(connection, stream));
    while tls.0.conn.is_handshaking() {
        if let Err(e) = tls.0.conn.complete_io(&mut tls.0.sock) {
            return Err(handshake_error(&e, target));
        }
    }
    tls.set_read_timeout(None).map_err(|e| say(&e))?;
    Ok(tls)
}

fn handshake_error(e: &io::Error, target: &Target) -> String {
    use rustls::Error as T;
    let plaintext = || format!("the server at {} does not speak TLS on this port: leave out --tls", target.name());
    let because = match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(T::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => return plaintext(),
        Some(T::InvalidCertificate(why)) => format!("certificate verify failed ({why:?})"),
        Some(other) => other.to_string(),
        None if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            if speaks_plaintext(target) {
                return plaintext();
            }
            "no answer to the TLS handshake".to_string()
        }
        None => say(e),
    };
    format!("SSL_connect failed: {because}")
}

/// Whether the port answers a plaintext PING like a server of this protocol.
fn speaks_plaintext(target: &Target) -> bool {
    matches!(probe(target, b"PING\r\n"), Some([b'+' | b'-', ..]))
}

/// Whether the port answers a TLS hello, with its own or with an alert.
fn speaks_tls(target: &Target) -> bool {
    let options = TlsOptions { insecure: true, ..TlsOptions::default() };
    let hello = || -> Option<Vec<u8>> {
        let name = ServerName::try_from(target.host.clone()).ok()?;
        let mut connection = ClientConnection::new(tls::configuration(&options).ok()?, name).ok()?;
        let mut hello = vec![];
        connection.write_tls(&mut hello).ok()?;
        Some(hello)
    };
    let Some(hello) = hello() else { return false };
    matches!(probe(target, &hello), Some([0x15 | 0x16, 3, _]))
}

/// The first three bytes that a new connection answers to `question`.
fn probe(target: &Target, question: &[u8]) -> Option<[u8; 3]> {
    let mut stream = dial(&Target { connect_timeout: Some(PROBE_TIMEOUT), ..target.clone() }).ok()?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT)).ok()?;
    stream.write_all(question).ok()?;
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}
