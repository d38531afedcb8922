//! Dialling out, blocking: the command-line client's side of a connection.
//!
//! The workers do not use this; a stream of theirs never blocks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};
use std::os::fd::AsFd;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::base::clock;
use crate::crypto;

/// A connection to a server; what it reads and writes is plaintext.
pub enum Dialled {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Why there is no connection.
#[derive(Debug)]
pub enum DialError {
    /// The host's name has no address.
    Resolve {
        host: String,
        error: io::Error,
    },
    /// No address of the host took the connection; the last one's error.
    Connect {
        host: String,
        port: u16,
        error: io::Error,
    },
    Unix {
        path: PathBuf,
        error: io::Error,
    },
    /// The name to verify, or to ask for, can stand in no certificate.
    BadName {
        name: String,
    },
    /// The handshake failed: nothing approved in common, or a certificate that is not believed.
    Tls {
        host: String,
        port: u16,
        error: io::Error,
    },
}

impl std::fmt::Display for DialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resolve { host, error } => write!(f, "{host}: {error}"),
            Self::Connect { host, port, error } => write!(f, "{host}:{port}: {error}"),
            Self::Unix { path, error } => write!(f, "{}: {error}", path.display()),
            Self::BadName { name } => write!(f, "'{name}' is neither a host name nor an address"),
            Self::Tls { host, port, error } => write!(f, "{host}:{port}: TLS: {error}"),
        }
    }
}

impl std::error::Error for DialError {}

/// Connects without TLS. `timeout` bounds each address of the host; `None` leaves it to the kernel.
/// It comes from the address `source`, if one is given.
pub fn tcp(host: &str, port: u16, timeout: Option<Duration>, source: Option<&str>) -> Result<Dialled, DialError> {
    connect(host, port, timeout, source).map(Dialled::Tcp)
}

pub fn unix(path: &Path) -> Result<Dialled, DialError> {
    UnixStream::connect(path).map(Dialled::Unix).map_err(|error| DialError::Unix { path: path.to_owned(), error })
}

/// Connects and finishes the handshake. `sni` is the name to ask for and to verify, where it is not `host` itself.
pub fn tls(
    host: &str,
    port: u16,
    timeout: Option<Duration>,
    config: Arc<ClientConfig>,
    sni: Option<&str>,
    source: Option<&str>,
) -> Result<Dialled, DialError> {
    let name = sni.unwrap_or(host);
    let server = ServerName::try_from(name.to_owned()).map_err(|_| DialError::BadName { name: name.to_owned() })?;
    let failed = |error| DialError::Tls { host: host.to_owned(), port, error };
    let mut connection = ClientConnection::new(config, server).map_err(|e| failed(io::Error::other(e)))?;
    let mut socket = connect(host, port, timeout, source)?;
    // The handshake is bounded like the connection: a server that does not speak TLS may wait for us.
    socket.set_read_timeout(timeout).map_err(failed)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(in_time).map_err(failed)?;
    }
    socket.set_read_timeout(None).map_err(failed)?;
    Ok(Dialled::Tls(Box::new(StreamOwned::new(connection, socket))))
}

/// What the kernel says of a wait that was too long does not tell that there was one.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, "the handshake was not answered in time")
        }
        _ => error,
    }
}

fn connect(host: &str, port: u16, timeout: Option<Duration>, source: Option<&str>) -> Result<TcpStream, DialError> {
    let addresses =
        (host, port).to_socket_addrs().map_err(|error| DialError::Resolve { host: host.to_owned(), error })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let attempt = match timeout {
            _ if source.is_some() => connect_from(source.unwrap_or_default(), address, timeout),
            Some(timeout) => TcpStream::connect_timeout(&address, timeout),
            None => TcpStream::connect(address),
        };
        match attempt.and_then(|s| s.set_nodelay(true).map(|()| s)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(DialError::Connect { host: host.to_owned(), port, error: last })
}

/// Connects from the local address `source`, one of the family of `address`.
fn connect_from(source: &str, address: SocketAddr, timeout: Option<Duration>) -> io::Result<TcpStream> {
    let unfit =
        |why: String| io::Error::new(io::ErrorKind::AddrNotAvailable, format!("bind-source-addr {source}: {why}"));
    let own = (source, 0u16)
        .to_socket_addrs()
        .map_err(|e| unfit(e.to_string()))?
        .find(|own| own.is_ipv4() == address.is_ipv4())
        .ok_or_else(|| unfit(format!("no address of the family of {}", address.ip())))?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.bind(&own.into()).map_err(|e| unfit(e.to_string()))?;
    match timeout {
        Some(timeout) => socket.connect_timeout(&address.into(), timeout)?,
        None => socket.connect(&address.into())?,
    }
    Ok(socket.into())
}

impl Dialled {
    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Tls(stream) => Some(&stream.sock),
            Self::Unix(_) => None,
        }
    }

    /// Another handle of the socket, if it is one of the network: to end it while somebody else waits for it.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn handle(&self) -> io::Result<Option<TcpStream>> {
        self.socket().map(TcpStream::try_clone).transpose()
    }

    /// Bounds each later read; `None` waits for ever.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.set_read_timeout(timeout),
            _ => self.socket().map_or(Ok(()), |s| s.set_read_timeout(timeout)),
        }
    }

    /// Bounds each later write; `None` waits for ever.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.set_write_timeout(timeout),
            _ => self.socket().map_or(Ok(()), |s| s.set_write_timeout(timeout)),
        }
    }

    /// Whether the other side has ended the connection, for one on which it says nothing: what it does say is read and dropped. Does not
    /// wait.
    ///
    /// # Errors
    /// Those of the socket: it has ended, though not in peace.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        let mut dropped = [0; 512];
        self.set_nonblocking(true)?;
        let read = loop {
            match self.read(&mut dropped) {
                Ok(0) => break Ok(true),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        self.set_nonblocking(false)?;
        read
    }

    /// Writes all of `bytes`, or says after `patience` that it cannot: however little the other side takes at a time, it is not waited for
    /// longer. After an error the connection is of no use.
    ///
    /// # Errors
    /// Those of the socket; it took too long.
    pub fn write_within(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        let Self::Tls(stream) = self else {
            self.set_write_timeout(Some(patience))?;
            return self.write_all(bytes);
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing any more");
        let until = clock::monotonic_ms() + patience.as_millis() as u64;
        let (connection, socket) = (&mut stream.conn, &mut stream.sock);
        // Neither a write nor the read that the library tries behind one that is held up may wait by itself.
        socket.set_nonblocking(true)?;
        let mut rest = bytes;
        while !rest.is_empty() || connection.wants_write() {
            rest = &rest[connection.writer().write(rest)?..];
            match connection.write_tls(socket) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let left = until.saturating_sub(clock::monotonic_ms());
                    let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                    if left == 0 || poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], wait)? == 0 {
                        return Err(late());
                    }
                }
                Err(e) => return Err(e),
            }
        }
        socket.set_nonblocking(false)
    }

    fn set_nonblocking(&self, yes: bool) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.set_nonblocking(yes),
            _ => self.socket().map_or(Ok(()), |s| s.set_nonblocking(yes)),
        }
    }

    /// Our own end, as `address:port`; empty for a Unix socket.
    pub fn local_address(&self) -> String {
        self.socket().and_then(|s| s.local_addr().ok()).map_or(String::new(), |a| a.to_string())
    }

    /// Version and suite in OpenSSL's names, when it is TLS.
    pub fn negotiated(&self) -> Option<(&'static str, &'static str)> {
        let Self::Tls(stream) = self else { return None };
        let version = match stream.conn.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
            _ => "unknown",
        };
        Some((version, crypto::suite_of(stream.conn.negotiated_cipher_suite()?.suite())?.openssl))
    }

    /// `address:port` of the server; empty for a Unix socket.
    pub fn peer_address(&self) -> String {
        self.socket().and_then(|s| s.peer_addr().ok()).map_or(String::new(), |a| a.to_string())
    }
}

impl Read for Dialled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
            Self::Tls(stream) => match stream.read(buffer) {
                // A server that ends without close_notify has ended all the same; the protocol above has its own lengths.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
        }
    }
}

impl Write for Dialled {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(data),
            Self::Unix(socket) => socket.write(data),
            Self::Tls(stream) => stream.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.flush(),
            Self::Unix(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl std::os::fd::AsFd for Dialled {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Tls(stream) => stream.sock.as_fd(),
        }
    }
}
