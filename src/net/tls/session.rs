//! The server's side of one TLS connection as a pure machine: ciphertext in, plaintext and ciphertext out.
//!
//! It drives rustls' unbuffered interface, so that a connection at rest owns no buffers: bytes are decrypted where the
//! caller read them, and what is not a whole record yet stays with the caller.
//!
//! # Invariants
//! - The bytes that [`Session::open`] did not consume must be handed back, unchanged and first, on the next call of
//!   *any* method. rustls keeps positions into them while a handshake message is in pieces.
//! - Nothing but handshake messages, tickets, key updates and alerts is ever written to `out` by `open`.
//!
//! It must never know sockets.

use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError};
use rustls::{CommonState, PeerIncompatible, ServerConfig};

/// Bytes a record adds to its plaintext at most: 5 of header and, in TLS 1.2, 8 of nonce and 16 of tag.
const RECORD_OVERHEAD_MAX: usize = 5 + 8 + 16;
/// Plaintext in one record, as the protocol limits it.
const RECORD_PLAINTEXT_MAX: usize = 16 * 1024;
/// Room for a key update or an alert that rustls sends before the data.
const CONTROL_RECORDS_MAX: usize = 512;

/// What a server says in one flight, with a chain of two short certificates.
const FLIGHT_BYTES: usize = 2 * 1024;

/// What `n` bytes of plaintext can become.
pub const fn sealed_bytes_max(n: usize) -> usize {
    n + n.div_ceil(RECORD_PLAINTEXT_MAX) * RECORD_OVERHEAD_MAX + CONTROL_RECORDS_MAX
}

/// What a call of [`Session::open`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opened {
    /// Bytes from the front of the buffer that are done with.
    pub consumed: usize,
    /// The peer will send nothing more.
    pub closed: bool,
}

/// Why data could not be sealed.
#[derive(Debug)]
pub enum SealError {
    /// The handshake is not over, or the connection is closed: there are no keys to seal with.
    NotReady,
    /// So many records went out under these keys that another would weaken them, and they cannot be renewed.
    KeysExhausted,
    Tls(rustls::Error),
}

pub struct Session {
    inner: UnbufferedServerConnection,
    /// After an error rustls must not be asked again.
    failed: bool,
}

impl Session {
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        UnbufferedServerConnection::new(config).map(|inner| Self { inner, failed: false })
    }

    /// What was negotiated, and the peer's certificates.
    pub fn state(&self) -> &CommonState {
        &self.inner
    }

    /// Takes all whole records of `buffer`: application data is appended to `plain`, answers of the protocol itself to
    /// `out`.
    ///
    /// On an error the alert that tells the peer is in `out`; nothing may be received after it.
    pub fn open(&mut self, buffer: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<Opened, rustls::Error> {
        if self.failed {
            return Err(rustls::Error::General("the session has failed before".into()));
        }
        let mut done = Opened::default();
        loop {
            let rest = buffer.get_mut(done.consumed..).unwrap_or_default();
            let fresh = self.inner.protocol_version().is_none();
            let (old, foreign) = (fresh && is_old_hello(rest), fresh && is_no_record(rest));
            let status = self.inner.process_tls_records(rest);
            let mut discard = status.discard;
            let mut stop = false;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => done.closed = true,
                Ok(ConnectionState::Closed) => {
                    done.closed = true;
                    stop = true;
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => stop = true,
                // No configuration of ours accepts early data, so rustls has rejected it; whatever else a later version
                // may add is not something this code can go on after.
                Ok(_) => return Err(self.fail(rustls::Error::General("unexpected state".into()), out)),
                // What it lacks is what its version did not have: the version is the reason.
                Err(rustls::Error::PeerIncompatible(_)) if old => {
                    let error = PeerIncompatible::Tls12NotOffered.into();
                    return Err(self.fail(error, out));
                }
                Err(error) if foreign => {
                    // Whoever does not speak TLS has no use for an alert: he would take it for an answer.
                    self.failed = true;
                    return Err(error);
                }
                Err(error) => return Err(self.fail(error, out)),
            }
            done.consumed += discard;
            if stop {
                return Ok(done);
            }
        }
    }

    /// Takes the alert out that rustls queued with its error. Nothing may be processed after an error, and nothing is
    /// here: what is queued comes out before rustls looks at its input.
    fn fail(&mut self, error: rustls::Error, out: &mut Vec<u8>) -> rustls::Error {
        self.failed = true;
        while self.inner.wants_write() {
            match self.inner.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => while traffic.next_record().is_some() {},
                _ => break,
            }
        }
        error
    }

    /// Seals `plain` into the front of `out`, in as few records as hold it, and returns the bytes written there.
    /// `rest` is what `open` left over. `out` must have room for [`sealed_bytes_max`].
    pub fn seal(&mut self, rest: &mut [u8], plain: &[u8], out: &mut Vec<u8>) -> Result<usize, SealError> {
        self.with_keys(rest, out, |traffic, room| traffic.encrypt(plain, room))
    }

    /// Writes the alert that ends our direction into the front of `out`.
    pub fn seal_close(&mut self, rest: &mut [u8], out: &mut Vec<u8>) -> Result<usize, SealError> {
        self.with_keys(rest, out, |traffic, room| traffic.queue_close_notify(room))
    }

    fn with_keys(
        &mut self,
        rest: &mut [u8],
        out: &mut Vec<u8>,
        mut write: impl FnMut(&mut WriteTraffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<usize, SealError> {
        if self.failed {
            return Err(SealError::NotReady);
        }
        let status = self.inner.process_tls_records(rest);
        // `open` has taken every whole record, so there is nothing to read or to encode in between.
        let mut traffic = match status.state {
            Ok(ConnectionState::WriteTraffic(traffic)) => traffic,
            Ok(_) => return Err(SealError::NotReady),
            Err(error) => {
                self.failed = true;
                return Err(SealError::Tls(error));
            }
        };
        match write(&mut traffic, out) {
            Err(EncryptError::InsufficientSize(size)) => {
                out.resize(size.required_size, 0);
                write(&mut traffic, out).map_err(|_| SealError::KeysExhausted)
            }
            Err(EncryptError::EncryptExhausted) => Err(SealError::KeysExhausted),
            Ok(written) => Ok(written),
        }
    }
}

/// What came first is of no type that a record may have.
fn is_no_record(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|kind| !(20..=23).contains(kind))
}

/// A first message that offers nothing newer than TLS 1.1: later versions all say 3.3 where it tells its version.
fn is_old_hello(record: &[u8]) -> bool {
    /// Type of record, its version and length, type of message and its length; then the version.
    const MINOR_VERSION: usize = 1 + 2 + 2 + 1 + 3 + 1;
    matches!(record, [22, 3, _, _, _, 1, _, _, _, 3, ..]) && record.get(MINOR_VERSION).is_some_and(|minor| *minor < 3)
}

type WriteTraffic<'c> = rustls::unbuffered::WriteTraffic<'c, ServerConnectionData>;

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    // Asking with no room tells the size.
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        let at = out.len();
        if out.capacity() == 0 {
            // A flight comes piece by piece: room for most of them at once.
            out.reserve(FLIGHT_BYTES);
        }
        out.resize(at + size.required_size, 0);
        let written = data.encode(out.get_mut(at..).unwrap_or_default()).unwrap_or(0);
        out.truncate(at + written);
    }
}
