//! The way of a data set's copy from the thread that writes it to the connection of one replica.
//!
//! # Invariants
//! * What the reader takes is what was put, in order; it learns of the end only behind the last piece.
//! * Nobody waits for the reader here: who puts asks for [`Pipe::is_full`] first, and gives up a reader that does not take.
//! * When either side is gone the other is told: a reader that is dropped leaves nothing behind, a writer that is dropped has failed.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Above this many bytes a pipe is full: a few milliseconds of a fast link.
pub const PIPE_BYTES: usize = 4 << 20;

/// How a copy ends for the one who is sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyEnd {
    /// Its length was said before: what follows is the stream.
    Sized,
    /// A mark ends it: what follows waits until it is acknowledged.
    Marked,
    /// Nothing follows it.
    Alone,
    /// It is not whole.
    Failed,
}

/// What there is to be sent.
#[derive(Debug)]
pub enum Taken {
    Piece(Arc<Vec<u8>>),
    /// Nothing for now: the reader is woken.
    Nothing,
    End(CopyEnd),
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Arc<Vec<u8>>>,
    bytes: usize,
    /// Bytes the reader has taken so far.
    taken: u64,
    end: Option<CopyEnd>,
    /// The reader has found nothing and sleeps.
    hungry: bool,
    gone: bool,
}

/// What both sides hold.
struct Pipe {
    state: Mutex<State>,
    room: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The side that puts. Dropped before its [`CopyWriter::end`], it has failed.
pub struct CopyWriter(Arc<Pipe>);

/// The side that takes: the worker's.
pub struct CopyReader(Arc<Pipe>);

impl std::fmt::Debug for CopyReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CopyReader({} bytes)", self.0.state.lock().bytes)
    }
}

/// A pipe; `wake` is called, without a lock, when there is something for a reader that had found nothing.
pub fn copy_pipe(wake: Box<dyn Fn() + Send + Sync>) -> (CopyWriter, CopyReader) {
    let pipe = Arc::new(Pipe { state: Mutex::default(), room: Condvar::new(), wake });
    (CopyWriter(Arc::clone(&pipe)), CopyReader(pipe))
}

impl CopyWriter {
    pub fn put(&self, piece: &Arc<Vec<u8>>) {
        let mut state = self.0.state.lock();
        if state.gone || piece.is_empty() {
            return;
        }
        state.bytes += piece.len();
        state.pieces.push_back(Arc::clone(piece));
        self.told(state);
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.0.state.lock().bytes
    }

    pub fn is_full(&self) -> bool {
        let state = self.0.state.lock();
        !state.gone && state.bytes >= PIPE_BYTES
    }

    /// Waits a moment for room.
    pub fn wait(&self, timeout: Duration) {
        let mut state = self.0.state.lock();
        if !state.gone && state.bytes >= PIPE_BYTES {
            self.0.room.wait_for(&mut state, timeout);
        }
    }

    /// Bytes the reader has taken.
    pub fn taken(&self) -> u64 {
        self.0.state.lock().taken
    }

    /// The reader is there no more.
    pub fn is_gone(&self) -> bool {
        self.0.state.lock().gone
    }

    pub fn end(self, end: CopyEnd) {
        self.close(end);
    }

    fn close(&self, end: CopyEnd) {
        let mut state = self.0.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
            self.told(state);
        }
    }

    fn told(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        let hungry = std::mem::take(&mut state.hungry);
        drop(state);
        if hungry {
            (self.0.wake)();
        }
    }
}

impl Drop for CopyWriter {
    fn drop(&mut self) {
        self.close(CopyEnd::Failed);
    }
}

impl CopyReader {
    pub fn take(&mut self) -> Taken {
        let mut state = self.0.state.lock();
        if state.end == Some(CopyEnd::Failed) {
            return Taken::End(CopyEnd::Failed);
        }
        if let Some(piece) = state.pieces.pop_front() {
            let before = state.bytes;
            state.bytes -= piece.len();
            state.taken += piece.len() as u64;
            if before >= PIPE_BYTES && state.bytes < PIPE_BYTES {
                self.0.room.notify_all();
            }
            return Taken::Piece(piece);
        }
        match state.end {
            Some(end) => Taken::End(end),
            None => {
                state.hungry = true;
                Taken::Nothing
            }
        }
    }
}

impl Drop for CopyReader {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.gone = true;
        state.pieces.clear();
        state.bytes = 0;
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn piece(n: usize) -> Arc<Vec<u8>> {
        Arc::new(vec![b'x'; n])
    }

    #[test]
    fn pieces_come_in_order_then_the_end_and_only_a_sleeping_reader_is_woken() {
        let woken = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&woken);
        let (writer, mut reader) = copy_pipe(Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        writer.put(&piece(1));
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        assert!(matches!(reader.take(), Taken::Piece(p) if p.len() == 1));
        assert!(matches!(reader.take(), Taken::Nothing));
        writer.put(&piece(2));
        writer.put(&piece(PIPE_BYTES));
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert!(writer.is_full());
        assert!(matches!(reader.take(), Taken::Piece(p) if p.len() == 2));
        assert!(matches!(reader.take(), Taken::Piece(_)));
        assert!(!writer.is_full() && writer.taken() == 3 + PIPE_BYTES as u64);
        writer.end(CopyEnd::Marked);
        assert!(matches!(reader.take(), Taken::End(CopyEnd::Marked)));
    }

    #[test]
    fn each_side_learns_that_the_other_is_gone() {
        let (writer, mut reader) = copy_pipe(Box::new(|| {}));
        writer.put(&piece(1));
        drop(writer);
        assert!(matches!(reader.take(), Taken::End(CopyEnd::Failed)), "half a copy is no copy");
        let (writer, reader) = copy_pipe(Box::new(|| {}));
        writer.put(&piece(PIPE_BYTES));
        drop(reader);
        assert!(writer.is_gone() && !writer.is_full());
        writer.put(&piece(5));
        assert_eq!(writer.bytes(), 0);
    }
}
