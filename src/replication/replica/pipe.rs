//! A copy's bytes, from the thread that receives them to the one that loads them.
//!
//! # Invariants
//! * It is bounded: from [`BYTES_MAX`] on nothing more is taken, and what the socket holds stays there.
//! * It ends whole only if the receiver says so. Whatever else becomes of the receiver is an error at the reader, never an end.
//! * A reader that goes is seen at the next piece.

use super::load::Supply;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that wait, and one piece more: enough that neither side waits for the other at each piece, little beside a data set.
const BYTES_MAX: usize = 4 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ended {
    #[default]
    No,
    Whole,
    Cut,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    ended: Ended,
    /// The reader has gone.
    unread: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Where the bytes go in. Dropped before [`Inlet::end`] it cuts the stream off.
pub(super) struct Inlet(Arc<Shared>);

/// Where they come out.
pub(super) struct Outlet {
    shared: Arc<Shared>,
    piece: Vec<u8>,
    at: usize,
    given: u64,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Taken,
    /// There is no room yet.
    Full,
    /// Nobody reads any more.
    Unread,
}

pub(super) fn pipe() -> (Inlet, Outlet) {
    let shared = Arc::<Shared>::default();
    let outlet = Outlet { shared: Arc::clone(&shared), piece: Vec::new(), at: 0, given: 0 };
    (Inlet(shared), outlet)
}

impl Inlet {
    /// Puts a piece in, waiting for room for a while. It is taken out of `piece` only if it went in.
    pub(super) fn put(&self, piece: &mut Vec<u8>, patience: Duration) -> Put {
        let mut state = self.0.state.lock();
        if state.bytes >= BYTES_MAX && !state.unread {
            self.0.changed.wait_for(&mut state, patience);
        }
        if state.unread {
            return Put::Unread;
        }
        if state.bytes >= BYTES_MAX {
            return Put::Full;
        }
        state.bytes += piece.len();
        state.pieces.push_back(std::mem::take(piece));
        self.0.changed.notify_all();
        Put::Taken
    }

    /// All of it is in.
    pub(super) fn end(self) {
        self.0.state.lock().ended = Ended::Whole;
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if state.ended == Ended::No {
            state.ended = Ended::Cut;
        }
        self.0.changed.notify_all();
    }
}

impl Outlet {
    /// Makes the next piece the current one, waiting for it. False at the end.
    fn next(&mut self) -> io::Result<bool> {
        let mut state = self.shared.state.lock();
        loop {
            if let Some(piece) = state.pieces.pop_front() {
                state.bytes -= piece.len();
                self.shared.changed.notify_all();
                (self.piece, self.at) = (piece, 0);
                return Ok(true);
            }
            match state.ended {
                Ended::Whole => return Ok(false),
                Ended::Cut => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the link broke amid the copy"));
                }
                Ended::No => self.shared.changed.wait(&mut state),
            }
        }
    }
}

impl Read for Outlet {
    /// Gives what is there of a piece: whoever has some goes on with it instead of waiting for a primary that is slow.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let n = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        self.given += n as u64;
        Ok(n)
    }
}

impl Supply for Outlet {
    fn rest(&mut self) -> io::Result<u64> {
        self.given += (self.piece.len() - self.at) as u64;
        self.at = self.piece.len();
        while self.next()? {
            self.given += self.piece.len() as u64;
            self.at = self.piece.len();
        }
        Ok(self.given)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.unread = true;
        state.pieces.clear();
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_there_is_read_without_waiting_for_more_and_the_end_is_an_end() {
        let (inlet, mut outlet) = pipe();
        inlet.put(&mut b"abc".to_vec(), SOON);
        let mut much = [0; 100];
        assert_eq!(outlet.read(&mut much).unwrap(), 3, "the stream is not at its end");
        inlet.put(&mut b"de".to_vec(), SOON);
        inlet.put(&mut b"fgh".to_vec(), SOON);
        let mut one = [0; 1];
        outlet.read_exact(&mut one).unwrap();
        inlet.end();
        assert_eq!((one, outlet.rest().unwrap()), (*b"d", 8), "what nobody read is counted too");
        assert_eq!(outlet.read(&mut one).unwrap(), 0);
    }

    #[test]
    fn a_stream_that_is_cut_off_is_an_error_behind_what_came() {
        let (inlet, mut outlet) = pipe();
        inlet.put(&mut b"ab".to_vec(), SOON);
        drop(inlet);
        let mut two = [0; 2];
        outlet.read_exact(&mut two).unwrap();
        assert!(outlet.read(&mut two).is_err() && outlet.rest().is_err());
    }

    #[test]
    fn no_more_than_its_bound_waits_and_a_reader_that_goes_is_seen() {
        let (inlet, mut outlet) = pipe();
        let mut taken = 0;
        let mut piece = vec![7; 1 << 20];
        while inlet.put(&mut piece, SOON) == Put::Taken {
            taken += 1 << 20;
            piece = vec![7; 1 << 20];
        }
        assert_eq!((taken, piece.len()), (BYTES_MAX, 1 << 20), "what is not taken stays with the one who brought it");
        outlet.read_exact(&mut vec![0; 1 << 20]).unwrap();
        assert_eq!(inlet.put(&mut piece, SOON), Put::Taken);
        drop(outlet);
        assert_eq!(inlet.put(&mut vec![1], SOON), Put::Unread);
    }
}
