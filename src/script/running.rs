//! The scripts that run now, and how they are stopped from outside.
//!
//! # Invariants
//! * A script that has written cannot be killed: half of what it does must not stay. Only the end of the server stops it.
//! * `busy` is set by the script itself when it has run longer than `busy-reply-threshold`, and taken back when it ends.
//! * Where nothing is busy yet, who asks to stop a script means one that has run for a while, not the one that ends by itself before the
//!   answer is read. Where one thread does everything such a request waits for the threshold; here it is heard at once.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A script that has run shorter than this, and has kept nobody waiting for long, is not what SCRIPT KILL and FUNCTION KILL are for.
const KILL_AFTER_MS: u64 = 100;

/// Which command stops a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SCRIPT KILL.
    Script,
    /// FUNCTION KILL.
    Function,
}

/// A script that runs.
#[derive(Debug)]
pub struct RunningScript {
    pub kind: Kind,
    /// The function's name, or the script's digest.
    pub name: String,
    /// The words of the command that runs it.
    pub command: Vec<Vec<u8>>,
    /// Monotonic ms when it began.
    pub since_ms: u64,
    /// It has called a command that writes.
    pub wrote: AtomicBool,
    pub killed: AtomicBool,
    /// It has run longer than `busy-reply-threshold`.
    pub busy: AtomicBool,
}

/// Why a script was not stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillError {
    /// Nothing runs.
    NotBusy,
    /// It has written.
    Unkillable,
    /// It is stopped by the other command.
    OtherKind,
}

/// All scripts that run.
#[derive(Debug, Default)]
pub struct Running {
    list: Mutex<Vec<(u64, Arc<RunningScript>)>>,
    next: AtomicU64,
}

impl Running {
    /// Notes that a script runs long enough to be seen. Returns its number.
    pub fn add(&self, script: Arc<RunningScript>) -> u64 {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.list.lock().push((n, script));
        n
    }

    /// Notes that it has ended. True if it had run for too long.
    pub fn remove(&self, n: u64) -> bool {
        let mut list = self.list.lock();
        let Some(i) = list.iter().position(|(m, _)| *m == n) else { return false };
        list.swap_remove(i).1.busy.load(Ordering::Acquire)
    }

    /// It has run for too long: it can be killed now. True if that is new.
    pub fn set_busy(&self, script: &RunningScript) -> bool {
        !script.busy.swap(true, Ordering::AcqRel)
    }

    /// The script that has run longest, but for those nobody is told of yet.
    pub fn longest(&self) -> Option<Arc<RunningScript>> {
        let list = self.list.lock();
        list.iter().map(|(_, s)| s).filter(|s| s.busy.load(Ordering::Acquire)).min_by_key(|s| s.since_ms).cloned()
    }

    /// The function that has run longest, whether it keeps others waiting or not.
    pub fn function(&self) -> Option<Arc<RunningScript>> {
        let list = self.list.lock();
        list.iter().map(|(_, s)| s).filter(|s| s.kind == Kind::Function).min_by_key(|s| s.since_ms).cloned()
    }

    /// Stops the scripts that have made the server busy; if there are none, those that are on the way there.
    ///
    /// # Errors
    /// See [`KillError`].
    pub fn kill(&self, kind: Kind, now_ms: u64) -> Result<(), KillError> {
        let list = self.list.lock();
        let mut busy: Vec<_> = list.iter().map(|(_, s)| s).filter(|s| s.busy.load(Ordering::Acquire)).collect();
        if busy.is_empty() {
            let long = |s: &&Arc<RunningScript>| now_ms.saturating_sub(s.since_ms) >= KILL_AFTER_MS;
            busy = list.iter().map(|(_, s)| s).filter(|s| s.kind == kind).filter(long).collect();
        }
        if busy.is_empty() {
            return Err(KillError::NotBusy);
        }
        if !busy.iter().any(|s| s.kind == kind) {
            return Err(KillError::OtherKind);
        }
        let mut killed = false;
        for s in busy.iter().filter(|s| s.kind == kind && !s.wrote.load(Ordering::Acquire)) {
            s.killed.store(true, Ordering::Release);
            killed = true;
        }
        if killed { Ok(()) } else { Err(KillError::Unkillable) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(since_ms: u64) -> Arc<RunningScript> {
        Arc::new(RunningScript {
            kind: Kind::Function,
            name: "f".into(),
            command: vec![],
            since_ms,
            wrote: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            busy: AtomicBool::new(false),
        })
    }

    #[test]
    fn a_script_that_has_not_written_is_killed_by_its_own_command() {
        let running = Running::default();
        let script = function(0);
        let n = running.add(Arc::clone(&script));
        assert!(running.set_busy(&script) && !running.set_busy(&script));
        assert_eq!(running.kill(Kind::Script, 0), Err(KillError::OtherKind));
        script.wrote.store(true, Ordering::Release);
        assert_eq!(running.kill(Kind::Function, 0), Err(KillError::Unkillable));
        script.wrote.store(false, Ordering::Release);
        assert_eq!(running.kill(Kind::Function, 0), Ok(()));
        assert!(script.killed.load(Ordering::Acquire));
        assert!(running.remove(n) && running.longest().is_none());
    }

    #[test]
    fn one_that_is_not_busy_yet_is_seen_at_once_and_killed_once_it_has_run_for_a_while() {
        let running = Running::default();
        let (old, new) = (function(1000), function(1050));
        running.add(Arc::clone(&new));
        running.add(Arc::clone(&old));
        assert!(running.longest().is_none());
        assert_eq!(running.function().unwrap().since_ms, 1000);
        assert_eq!(running.kill(Kind::Function, 1099), Err(KillError::NotBusy));
        assert_eq!(running.kill(Kind::Script, 1100), Err(KillError::NotBusy));
        assert_eq!(running.kill(Kind::Function, 1100), Ok(()));
        assert!(old.killed.load(Ordering::Acquire) && !new.killed.load(Ordering::Acquire));
    }
}
