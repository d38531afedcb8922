//! Effects in one total order, and the cursors that read them.
//!
//! Every change of the key space becomes an [`Effect`]: the arguments of a command that makes the same change wherever and
//! whenever it is run again. Effects get their number under the locks of the stripes they changed, so that the journal's order is an order
//! in which the commands could have run one by one.
//!
//! While it has no reader (a replica; later the append-only file), `is_read` is false, handlers build no effects, and a write
//! costs one relaxed load a turn.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A change of one database, as the arguments of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub db: u32,
    pub args: Vec<Vec<u8>>,
}

/// The number of an effect; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct EffectNumber(pub u64);

/// One step of the journal: the effects of one command, EXEC or script, which happen together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub number: EffectNumber,
    pub effects: Vec<Effect>,
}

/// Bytes a reader may be behind before it is cut off: a reader that does not read must not cost unbounded memory. It is
/// Valkey's output limit of replicas.
pub const BACKLOG_BYTES_MAX: usize = 256 << 20;

/// Steps that are kept for readers, oldest first.
#[derive(Debug, Default)]
struct Backlog {
    steps: VecDeque<Arc<Step>>,
    bytes: usize,
}

fn bytes_of(step: &Step) -> usize {
    let args = |e: &Effect| e.args.iter().map(|a| a.len() + size_of::<Vec<u8>>()).sum::<usize>();
    size_of::<Step>() + step.effects.iter().map(|e| args(e) + size_of::<Effect>()).sum::<usize>()
}

/// The journal.
#[derive(Debug, Default)]
pub struct Journal {
    read: AtomicBool,
    readers: AtomicU64,
    appended: parking_lot::Condvar,
    number: AtomicU64,
    backlog: Mutex<Backlog>,
}

impl Journal {
    /// True while somebody reads: only then are effects built.
    #[inline(always)]
    pub fn is_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// Appends the effects of one step. The caller holds the locks of the stripes they changed.
    pub fn append(&self, effects: Vec<Effect>) -> EffectNumber {
        if effects.is_empty() {
            return EffectNumber(self.number.load(Ordering::Acquire));
        }
        let mut backlog = self.backlog.lock();
        let number = EffectNumber(self.number.fetch_add(1, Ordering::AcqRel) + 1);
        let step = Arc::new(Step { number, effects });
        backlog.bytes += bytes_of(&step);
        backlog.steps.push_back(step);
        while backlog.bytes > BACKLOG_BYTES_MAX && backlog.steps.len() > 1 {
            if let Some(old) = backlog.steps.pop_front() {
                backlog.bytes -= bytes_of(&old);
            }
        }
        drop(backlog);
        self.appended.notify_all();
        number
    }

    /// Waits until something is appended, at most `timeout`.
    pub fn wait(&self, timeout: std::time::Duration) {
        let mut backlog = self.backlog.lock();
        self.appended.wait_for(&mut backlog, timeout);
    }

    /// A cursor from here on. While one lives, effects are built.
    pub fn cursor(self: &Arc<Self>) -> Cursor {
        let backlog = self.backlog.lock();
        self.readers.fetch_add(1, Ordering::AcqRel);
        self.read.store(true, Ordering::Release);
        let next = EffectNumber(self.number.load(Ordering::Acquire) + 1);
        drop(backlog);
        Cursor { journal: Arc::clone(self), next }
    }
}

/// A reader's place.
#[derive(Debug)]
pub struct Cursor {
    journal: Arc<Journal>,
    next: EffectNumber,
}

/// The reader was too slow: steps it has not read are gone.
#[derive(Debug, PartialEq, Eq)]
pub struct CutOff;

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut backlog = self.journal.backlog.lock();
        if self.journal.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.journal.read.store(false, Ordering::Release);
            *backlog = Backlog::default();
        }
    }
}

impl Cursor {
    /// The steps that were appended since the last call.
    pub fn read(&mut self) -> Result<Vec<Arc<Step>>, CutOff> {
        let mut backlog = self.journal.backlog.lock();
        let Some(first) = backlog.steps.front().map(|s| s.number) else { return Ok(vec![]) };
        if self.next < first {
            return Err(CutOff);
        }
        let new: Vec<_> = backlog.steps.iter().skip((self.next.0 - first.0) as usize).cloned().collect();
        if let Some(last) = new.last() {
            self.next = EffectNumber(last.number.0 + 1);
            // The only reader has them now: nobody else will ask.
            if self.journal.readers.load(Ordering::Acquire) == 1 {
                *backlog = Backlog::default();
            }
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_what_follows_it_once() {
        let j = Arc::new(Journal::default());
        let effect = |n: u8| vec![Effect { db: 0, args: vec![vec![n]] }];
        j.append(effect(0));
        let mut c = j.cursor();
        j.append(effect(1));
        j.append(effect(2));
        assert_eq!(c.read().unwrap().iter().map(|s| s.effects[0].args[0][0]).collect::<Vec<_>>(), [1, 2]);
        assert!(c.read().unwrap().is_empty());
    }
}
