//! A connection: the stream and the client on it.

use crate::client::Client;
use crate::net::{Scratch, Stream, StreamError};
use crate::resp::reply::Reply;
use std::io::IoSlice;

/// Bytes sent to one connection before others have their turn: about a millisecond over TLS.
const DRAIN_MAX: usize = 1 << 20;
/// Slices handed to one send; more wait for the next.
const SLICES_MAX: usize = 64;

pub struct Connection {
    pub stream: Stream,
    pub client: Client,
    /// Monotonic ms when it was accepted: a handshake has to be over soon after.
    pub accepted_ms: u64,
    /// Already in the list of connections to look at this turn.
    pub listed: bool,
    /// The socket may have more bytes, though no event will say so.
    pub more: bool,
    pub handshaking: bool,
    /// The kernel has said that nothing more will arrive than what is in the socket. It says so once, maybe together with bytes that came
    /// before the end: the socket is read until the end itself is seen.
    pub hung_up: bool,
    /// The poll tells when its socket takes more; it is asked to the first time something is left.
    pub asks_room: bool,
    /// The peer has sent its last byte.
    pub eof: bool,
    /// Nothing goes out until what its client has changed is on disk.
    pub held: bool,
    /// The last [`drain`](Connection::drain) stopped for others' sake: the socket may take more, though no event will say so.
    pub unsent: bool,
}

impl Connection {
    /// Sends the part of `reply` from `from` to `to`; what the socket does not take is kept.
    pub fn send(&mut self, scratch: &mut Scratch, reply: &Reply, from: usize, to: usize) -> Result<usize, StreamError> {
        if self.held || !self.client.output.is_empty() || self.stream.wants_write() {
            self.client.output.push_reply(reply, from, to, 0);
            return self.drain(scratch);
        }
        let mut slices: [IoSlice<'_>; SLICES_MAX] = std::array::from_fn(|_| IoSlice::new(&[]));
        let (mut n, mut at, mut total) = (0, from, 0);
        for s in reply.shared.iter().filter(|s| s.at >= from && s.at <= to) {
            if n + 3 > SLICES_MAX {
                break;
            }
            slices[n] = IoSlice::new(&reply.buf[at..s.at]);
            slices[n + 1] = IoSlice::new(&s.value);
            total += s.at - at + s.value.len();
            at = s.at;
            n += 2;
        }
        // The last bytes, unless the slices ran out before a shared value.
        if !reply.shared.iter().any(|s| s.at > at && s.at <= to && n + 3 > SLICES_MAX) {
            slices[n] = IoSlice::new(&reply.buf[at..to]);
            total += to - at;
            n += 1;
            at = to;
        }
        let sent = self.stream.send(scratch, &slices[..n])?;
        if sent < total || at < to {
            self.client.output.push_reply(reply, from, to, sent);
            // The stream may have stopped at a bound of its own, not the socket's: readiness is told of once, so ask until it blocks.
            return Ok(sent + self.drain(scratch)?);
        }
        Ok(sent)
    }

    /// Sends kept output until the socket takes no more, or for as long as one connection may. Returns the bytes that went.
    pub fn drain(&mut self, scratch: &mut Scratch) -> Result<usize, StreamError> {
        let mut sent = 0;
        self.unsent = false;
        if self.held {
            return Ok(0);
        }
        loop {
            if self.stream.wants_write() && !self.stream.flush()? {
                return Ok(sent);
            }
            if self.client.output.is_empty() {
                return Ok(sent);
            }
            let mut slices = Vec::new();
            self.client.output.slices(&mut slices);
            let n = self.stream.send(scratch, &slices)?;
            self.client.output.advance(n);
            sent += n;
            if n == 0 {
                return Ok(sent);
            }
            if sent >= DRAIN_MAX && !self.client.output.is_empty() {
                self.unsent = true;
                return Ok(sent);
            }
        }
    }

    /// Everything has been handed to the socket.
    pub fn is_drained(&self) -> bool {
        self.client.output.is_empty() && !self.stream.wants_write()
    }
}
