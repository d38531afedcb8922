//! The stream a worker drives: TCP, Unix socket, or TLS over TCP, none of them ever blocking.
//!
//! Performance rests on three things: one receive of up to [`READ_BYTES`] into memory the worker shares among its
//! connections, decryption where the bytes lie, and one send for all replies of a turn in as few records as hold them.
//! A connection at rest owns no buffer; an unfinished record and what the socket did not take are the only bytes kept.
//!
//! # Invariants
//! - `receive` makes one system call to read, so it handles at most one flight of a handshake; a caller that serves
//!   connections which are not [`Stream::is_handshaking`] first starves nobody.
//! - While [`Stream::wants_write`] no further data is accepted, so what is kept back is bounded by one send.
//!
//! It must never know RESP, clients, or deadlines: how long a handshake may take is the caller's to measure.

use std::fmt::Write as _;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use super::tls::session::{SealError, Session, sealed_bytes_max};
use crate::crypto;

/// Read at once: four full records, and about what a socket buffer holds under load.
pub const READ_BYTES: usize = 64 * 1024;
/// Plaintext sealed by one `send`: four full records.
pub const PLAINTEXT_PER_SEND: usize = 64 * 1024;
/// The unfinished part of a record or of a handshake message. rustls takes handshake messages up to 64 KiB, and each of
/// their pieces comes in a record of up to 16 KiB and its overhead.
const TAIL_BYTES_MAX: usize = 64 * 1024 + 18 * 1024;
/// Slices in one `writev`, as Linux limits it.
const SLICES_MAX: usize = 1024;
/// From here on a slice is sealed where it lies; below, slices are gathered first, so that they share a record.
const SEAL_IN_PLACE_BYTES: usize = 16 * 1024;

/// Memory a worker lends to each of its streams in turn. One per worker, about 216 KiB.
pub struct Scratch {
    incoming: Box<[u8]>,
    gathered: Vec<u8>,
    sealed: Vec<u8>,
}

impl Scratch {
    pub fn new() -> Self {
        Self {
            incoming: vec![0; TAIL_BYTES_MAX + READ_BYTES].into_boxed_slice(),
            gathered: Vec::with_capacity(PLAINTEXT_PER_SEND),
            sealed: vec![0; sealed_bytes_max(PLAINTEXT_PER_SEND)],
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// What a call of [`Stream::receive`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of plaintext appended.
    pub bytes: usize,
    /// The peer sends nothing more. Data received before it counts.
    pub eof: bool,
    /// The TLS handshake is not over.
    pub handshaking: bool,
    /// The read filled its buffer: there may be more, though no new readiness will say so.
    pub more: bool,
}

/// Why a stream cannot go on. After any of these it is to be dropped.
#[derive(Debug)]
pub enum StreamError {
    /// The socket's own error.
    Socket(io::Error),
    /// The peer broke the protocol, offered nothing approved, or its certificate was refused. It has been told by an
    /// alert where the socket took one.
    Tls(rustls::Error),
    /// A handshake message that would not end.
    MessageTooLong { bytes: usize },
    /// The TLS 1.2 keys sealed as many records as they may.
    KeysExhausted,
}

impl StreamError {
    /// The peer went away, which is not worth a warning.
    pub fn is_disconnect(&self) -> bool {
        use io::ErrorKind::*;
        matches!(self, Self::Socket(e) if matches!(e.kind(), ConnectionReset | BrokenPipe | ConnectionAborted | NotConnected))
    }
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(e) => e.fmt(f),
            Self::Tls(e) => write!(f, "TLS: {e}"),
            Self::MessageTooLong { bytes } => {
                write!(f, "TLS: a message of more than {bytes} bytes, the limit is {TAIL_BYTES_MAX}")
            }
            Self::KeysExhausted => f.write_str("TLS: the keys of this session have reached their limit of records"),
        }
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket(e) => Some(e),
            Self::Tls(e) => Some(e),
            Self::MessageTooLong { .. } | Self::KeysExhausted => None,
        }
    }
}

impl From<rustls::Error> for StreamError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

/// What both sides agreed on, by the names OpenSSL uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    pub suite: &'static str,
    /// Empty when a session was resumed without a new key exchange.
    pub group: &'static str,
    /// A session was taken up again.
    pub resumed: bool,
}

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

/// TLS over TCP. Boxed in [`Stream`], whose other forms are a descriptor each.
pub struct TlsStream {
    socket: TcpStream,
    session: Session,
    /// Received, not yet a whole record. Empty, without memory, on a connection at rest.
    tail: Vec<u8>,
    /// Sealed, not yet taken by the socket from `sent` on. Empty, without memory, on a connection at rest.
    backlog: Vec<u8>,
    sent: usize,
}

impl Stream {
    /// The server's side of TLS on a connection just accepted.
    pub fn tls(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Self, StreamError> {
        let session = Session::new(config)?;
        Ok(Self::Tls(Box::new(TlsStream { socket, session, tail: Vec::new(), backlog: Vec::new(), sent: 0 })))
    }

    /// Reads once, up to [`READ_BYTES`], and appends the plaintext to `into`. A read that would block is a progress of
    /// nothing.
    pub fn receive(&mut self, scratch: &mut Scratch, into: &mut Vec<u8>) -> Result<Progress, StreamError> {
        match self {
            Self::Tcp(socket) => receive_plain(socket, scratch, into),
            Self::Unix(socket) => receive_plain(socket, scratch, into),
            Self::Tls(stream) => stream.receive(scratch, into),
        }
    }

    /// Sends from `data`, in one system call, and returns how many of its bytes are taken: of TLS up to
    /// [`PLAINTEXT_PER_SEND`], else what the socket takes. Fewer than given and not [`Self::wants_write`]: call again
    /// with the rest. 0: wait until the socket is writable, then [`Self::flush`] first.
    pub fn send(&mut self, scratch: &mut Scratch, data: &[IoSlice<'_>]) -> Result<usize, StreamError> {
        match self {
            Self::Tcp(socket) => send_plain(socket, data),
            Self::Unix(socket) => send_plain(socket, data),
            Self::Tls(stream) => stream.send(scratch, data),
        }
    }

    /// Sends what an earlier call sealed and the socket did not take. True when nothing is left.
    pub fn flush(&mut self) -> Result<bool, StreamError> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(true),
            Self::Tls(stream) => stream.flush(),
        }
    }

    /// Sealed bytes wait for the socket: ask for writability, then [`Self::flush`].
    pub fn wants_write(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.wants_write(),
        }
    }

    pub fn is_handshaking(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.session.state().is_handshaking(),
        }
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether small packets are sent at once; a Unix socket knows no other way.
    ///
    /// # Errors
    /// The socket's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nodelay(nodelay),
            Self::Tls(stream) => stream.socket.set_nodelay(nodelay),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Ends our direction: tells the peer (over TLS by `close_notify`, so that it can tell an end from a cut) and shuts
    /// the socket down for writing. What the socket does not take at once is lost, as is any error: the stream is over.
    pub fn shutdown(&mut self, scratch: &mut Scratch) {
        match self {
            // An error here means that the peer is gone already.
            Self::Tcp(socket) => drop(socket.shutdown(Shutdown::Write)),
            Self::Unix(socket) => drop(socket.shutdown(Shutdown::Write)),
            Self::Tls(stream) => stream.shutdown(scratch),
        }
    }

    /// What TLS agreed on, once the handshake is over.
    pub fn negotiated(&self) -> Option<Negotiated> {
        let Self::Tls(stream) = self else { return None };
        let state = stream.session.state();
        if state.is_handshaking() {
            return None;
        }
        Some(Negotiated {
            version: match state.protocol_version()? {
                rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
                rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
                _ => "unknown",
            },
            suite: crypto::suite_of(state.negotiated_cipher_suite()?.suite()).map_or("unknown", |s| s.openssl),
            group: state.negotiated_key_exchange_group().map_or("", |g| crypto::group_name(g.name())),
            resumed: state.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        })
    }

    /// The certificate the peer proved to own, verified against the configured CAs; never one that was not.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        let Self::Tls(stream) = self else { return None };
        stream.session.state().peer_certificates()?.first()
    }

    /// `address:port`, `[address]:port` for IPv6, or the path of the socket with `:0`; empty when the peer is gone.
    pub fn peer_address(&self) -> String {
        match self {
            Self::Tcp(socket) => address_text(socket.peer_addr()),
            Self::Tls(stream) => address_text(stream.socket.peer_addr()),
            // A client's end of a Unix socket has no name, so the server's stands for both.
            Self::Unix(_) => self.local_address(),
        }
    }

    /// Our end, in the same form as [`Self::peer_address`].
    pub fn local_address(&self) -> String {
        match self {
            Self::Tcp(socket) => address_text(socket.local_addr()),
            Self::Tls(stream) => address_text(stream.socket.local_addr()),
            Self::Unix(socket) => match socket.local_addr() {
                Ok(address) => address.as_pathname().map_or(String::new(), |p| format!("{}:0", p.display())),
                Err(_) => String::new(),
            },
        }
    }

    /// Bytes of memory this stream keeps beyond its own size: tail and backlog, not rustls' state.
    pub fn buffered_bytes(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Unix(_) => 0,
            Self::Tls(stream) => stream.tail.capacity() + stream.backlog.capacity(),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(socket) => socket,
            Self::Unix(socket) => socket,
            Self::Tls(stream) => &mut stream.socket,
        }
    }
}

/// IPv6 in brackets; an IPv4 address that came in through an IPv6 socket stays as the kernel names it, as clients expect.
fn address_text(address: io::Result<SocketAddr>) -> String {
    address.map_or(String::new(), written)
}

/// An address as text, in one allocation for the usual ones.
pub(super) fn written(address: SocketAddr) -> String {
    let mut text = String::with_capacity("255.255.255.255:65535".len());
    // A string takes everything.
    let _ = write!(text, "{address}");
    text
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Tls(stream) => stream.socket.as_fd(),
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// One system call, repeated only when a signal cut it off. `None`: it would block.
fn attempt(mut call: impl FnMut() -> io::Result<usize>) -> Result<Option<usize>, StreamError> {
    loop {
        match call() {
            Ok(n) => return Ok(Some(n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(StreamError::Socket(e)),
        }
    }
}

fn receive_plain(socket: &mut impl Read, scratch: &mut Scratch, into: &mut Vec<u8>) -> Result<Progress, StreamError> {
    // By way of the scratch: growing `into` first would mean to zero what is read over at once, which costs more than
    // this copy of what has arrived.
    let buffer = scratch.incoming.get_mut(..READ_BYTES).unwrap_or_default();
    let Some(bytes) = attempt(|| socket.read(buffer))? else { return Ok(Progress::default()) };
    into.extend_from_slice(buffer.get(..bytes).unwrap_or_default());
    Ok(Progress { bytes, eof: bytes == 0, handshaking: false, more: bytes == READ_BYTES })
}

fn send_plain(socket: &mut impl Write, data: &[IoSlice<'_>]) -> Result<usize, StreamError> {
    let data = data.get(..SLICES_MAX).unwrap_or(data);
    match data {
        [] => Ok(0),
        [one] => Ok(attempt(|| socket.write(one))?.unwrap_or(0)),
        many => Ok(attempt(|| socket.write_vectored(many))?.unwrap_or(0)),
    }
}

impl TlsStream {
    fn receive(&mut self, scratch: &mut Scratch, into: &mut Vec<u8>) -> Result<Progress, StreamError> {
        let kept = self.tail.len();
        let buffer = &mut scratch.incoming[..];
        let Some((front, room)) = buffer.split_at_mut_checked(kept).filter(|_| kept <= TAIL_BYTES_MAX) else {
            return Err(StreamError::MessageTooLong { bytes: kept });
        };
        let room = room.get_mut(..READ_BYTES).unwrap_or_default();
        let handshaking = self.session.state().is_handshaking();
        let Some(read) = attempt(|| self.socket.read(room))? else {
            return Ok(Progress { handshaking, ..Progress::default() });
        };
        if read == 0 {
            return Ok(Progress { eof: true, handshaking, ..Progress::default() });
        }
        front.copy_from_slice(&self.tail);

        let filled = buffer.get_mut(..kept + read).unwrap_or_default();
        let before = into.len();
        let opened = self.session.open(filled, into, &mut self.backlog);
        // Whatever the protocol had to answer goes out now, an alert too; an error of the socket matters less than what
        // the peer did wrong.
        let flushed = if self.backlog.is_empty() { Ok(true) } else { self.flush() };
        let opened = opened?;
        flushed?;

        let rest = filled.get(opened.consumed..).unwrap_or_default();
        if rest.is_empty() {
            self.tail = Vec::new();
        } else {
            self.tail.clear();
            self.tail.extend_from_slice(rest);
        }
        Ok(Progress {
            bytes: into.len() - before,
            eof: opened.closed,
            handshaking: self.session.state().is_handshaking(),
            more: read == READ_BYTES,
        })
    }

    fn send(&mut self, scratch: &mut Scratch, data: &[IoSlice<'_>]) -> Result<usize, StreamError> {
        if !self.flush()? || self.session.state().is_handshaking() {
            return Ok(0);
        }
        let first: &[u8] = match data {
            [] => return Ok(0),
            [one, ..] => one,
        };
        let plain = if data.len() == 1 || first.len() >= SEAL_IN_PLACE_BYTES {
            first.get(..PLAINTEXT_PER_SEND).unwrap_or(first)
        } else {
            scratch.gathered.clear();
            for slice in data {
                let room = PLAINTEXT_PER_SEND - scratch.gathered.len();
                if room == 0 {
                    break;
                }
                scratch.gathered.extend_from_slice(slice.get(..room).unwrap_or(slice));
            }
            &scratch.gathered
        };
        if plain.is_empty() {
            return Ok(0);
        }
        let sealed = self.session.seal(&mut self.tail, plain, &mut scratch.sealed)?;
        let sealed = scratch.sealed.get(..sealed).unwrap_or_default();
        let taken = attempt(|| self.socket.write(sealed))?.unwrap_or(0);
        self.backlog.extend_from_slice(sealed.get(taken..).unwrap_or_default());
        Ok(plain.len())
    }

    fn wants_write(&self) -> bool {
        self.sent < self.backlog.len()
    }

    fn flush(&mut self) -> Result<bool, StreamError> {
        while let Some(rest) = self.backlog.get(self.sent..).filter(|r| !r.is_empty()) {
            match attempt(|| self.socket.write(rest))? {
                None => return Ok(false),
                Some(taken) => self.sent += taken,
            }
        }
        if self.backlog.capacity() != 0 {
            self.backlog = Vec::new();
        }
        self.sent = 0;
        Ok(true)
    }

    fn shutdown(&mut self, scratch: &mut Scratch) {
        if matches!(self.flush(), Ok(true))
            && let Ok(sealed) = self.session.seal_close(&mut self.tail, &mut scratch.sealed)
        {
            // Best effort: the stream ends here whatever the socket says.
            drop(self.socket.write(scratch.sealed.get(..sealed).unwrap_or_default()));
        }
        drop(self.socket.shutdown(Shutdown::Write));
    }
}

impl From<SealError> for StreamError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Tls(e) => Self::Tls(e),
            SealError::KeysExhausted => Self::KeysExhausted,
            // Reached only after a `close_notify` of ours.
            SealError::NotReady => Self::Socket(io::ErrorKind::NotConnected.into()),
        }
    }
}
