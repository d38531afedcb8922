//! A stream between two servers that either of them may have opened: TCP, or TLS over TCP, never blocking. For few connections with few
//! bytes: it buffers, where the clients' [`Stream`](super::Stream) does not.

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Bytes that wait inside of TLS, each way.
const BUFFER_BYTES_MAX: usize = 256 << 10;
/// Bytes read in one call.
const READ_BYTES: usize = 64 << 10;

pub enum Duplex {
    Tcp(TcpStream),
    Tls(Box<(TcpStream, Connection)>),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    pub bytes: usize,
    pub eof: bool,
    /// There may be more, though nothing will say so.
    pub more: bool,
}

/// Begins to connect; the socket becomes writable when it stands or has failed.
///
/// # Errors
/// Those of the socket.
pub fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    if let Some(from) = from.filter(|f| f.is_ipv4() == to.is_ipv4()) {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) || e.kind() == io::ErrorKind::WouldBlock => {}
        Err(e) => return Err(e),
    }
    let socket = TcpStream::from_std(socket.into());
    // Whether it can be set does not decide anything.
    let _ = socket.set_nodelay(true);
    Ok(socket)
}

fn other(e: rustls::Error) -> io::Error {
    io::Error::other(format!("TLS: {e}"))
}

impl Duplex {
    /// The side that was dialled.
    ///
    /// # Errors
    /// Those of TLS.
    pub fn accepted(socket: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Duplex> {
        let Some(config) = tls else { return Ok(Duplex::Tcp(socket)) };
        Ok(Duplex::over(socket, ServerConnection::new(config).map_err(other)?.into()))
    }

    /// The side that dials; the other one has to show a certificate for `name`.
    ///
    /// # Errors
    /// Those of TLS.
    pub fn dialled(socket: TcpStream, tls: Option<Arc<ClientConfig>>, name: IpAddr) -> io::Result<Duplex> {
        let Some(config) = tls else { return Ok(Duplex::Tcp(socket)) };
        let connection = ClientConnection::new(config, ServerName::from(name)).map_err(other)?;
        Ok(Duplex::over(socket, connection.into()))
    }

    fn over(socket: TcpStream, mut connection: Connection) -> Duplex {
        connection.set_buffer_limit(Some(BUFFER_BYTES_MAX));
        Duplex::Tls(Box::new((socket, connection)))
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Duplex::Tcp(s) => s,
            Duplex::Tls(t) => &t.0,
        }
    }

    fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Duplex::Tcp(s) => s,
            Duplex::Tls(t) => &mut t.0,
        }
    }

    pub fn is_handshaking(&self) -> bool {
        matches!(self, Duplex::Tls(t) if t.1.is_handshaking())
    }

    /// Reads what is there, up to [`READ_BYTES`], behind `into`.
    ///
    /// # Errors
    /// Those of the socket and of TLS.
    pub fn read(&mut self, into: &mut Vec<u8>) -> io::Result<Arrived> {
        let before = into.len();
        match self {
            Duplex::Tcp(socket) => {
                into.resize(before + READ_BYTES, 0);
                let outcome = retry(|| socket.read(&mut into[before..]));
                let bytes = *outcome.as_ref().unwrap_or(&Some(0));
                into.truncate(before + bytes.unwrap_or(0));
                Ok(match outcome? {
                    None => Arrived::default(),
                    Some(n) => Arrived { bytes: n, eof: n == 0, more: n > 0 },
                })
            }
            Duplex::Tls(t) => {
                let (socket, tls) = &mut **t;
                let mut arrived = Arrived::default();
                match retry(|| tls.read_tls(socket))? {
                    None => {}
                    Some(0) => arrived.eof = true,
                    Some(_) => arrived.more = true,
                }
                let processed = tls.process_new_packets();
                // An alert or the handshake's next flight.
                while tls.wants_write() && retry(|| tls.write_tls(socket)).is_ok_and(|n| n.is_some()) {}
                let state = processed.map_err(other)?;
                let ready = state.plaintext_bytes_to_read();
                if ready > 0 {
                    into.resize(before + ready, 0);
                    tls.reader().read_exact(&mut into[before..])?;
                    arrived.bytes = ready;
                }
                arrived.eof |= state.peer_has_closed();
                Ok(arrived)
            }
        }
    }

    /// Takes from `data` what can be taken now; 0: not before the socket is writable.
    ///
    /// # Errors
    /// Those of the socket and of TLS.
    pub fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Duplex::Tcp(socket) => Ok(retry(|| socket.write(data))?.unwrap_or(0)),
            Duplex::Tls(t) => {
                let taken = if t.1.is_handshaking() { 0 } else { t.1.writer().write(data)? };
                self.flush()?;
                Ok(taken)
            }
        }
    }

    /// Sends what TLS has sealed. True when nothing is left.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn flush(&mut self) -> io::Result<bool> {
        let Duplex::Tls(t) = self else { return Ok(true) };
        let (socket, tls) = &mut **t;
        while tls.wants_write() {
            if retry(|| tls.write_tls(socket))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// `None`: it would block.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(n) => return Ok(Some(n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

impl Source for Duplex {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket_mut().register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket_mut().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket_mut().deregister(registry)
    }
}
