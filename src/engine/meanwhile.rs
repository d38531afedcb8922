//! What a thread does for its other connections while a script of one of them runs for too long.
//!
//! The session lends itself to the thread before it runs a script, and the script's host calls it from there. It runs in the middle of
//! a step, under all locks: so it must take none, which the gate for busy times sees to.

use crate::client::Output;
use std::cell::Cell;
use std::ptr::NonNull;
use std::time::Duration;

/// A session that can look after its connections in the middle of a script.
pub trait Meanwhile {
    /// Receives, answers and sends once; waits for something to do no longer than `wait`.
    fn serve_others(&mut self, wait: Duration);
    /// Exchanges with the client whose script runs what there is, without waiting: sends from `output`, receives into `input`. False if
    /// its connection has ended.
    fn talk(&mut self, output: &mut Output, input: &mut Vec<u8>) -> bool;
}

thread_local! {
    static CURRENT: Cell<Option<NonNull<dyn Meanwhile>>> = const { Cell::new(None) };
}

/// Puts the slot back as it was, also when a panic passes.
struct Restore(Option<NonNull<dyn Meanwhile>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Lends a session to this thread for the time of `f`.
pub fn lend<R>(session: &mut dyn Meanwhile, f: impl FnOnce() -> R) -> R {
    // SAFETY: only the lifetime changes. The pointer is in the slot while this call lasts, for which `session` is borrowed.
    let erased = unsafe {
        std::mem::transmute::<NonNull<dyn Meanwhile + '_>, NonNull<dyn Meanwhile + 'static>>(NonNull::from(session))
    };
    let _restore = Restore(CURRENT.replace(Some(erased)));
    f()
}

/// Lets the session of this thread, if it lent itself, look after its other connections.
pub(super) fn serve(wait: Duration) {
    with(|session| session.serve_others(wait));
}

/// Calls `f` with the session of this thread, if it lent itself.
pub(super) fn with<R>(f: impl FnOnce(&mut dyn Meanwhile) -> R) -> Option<R> {
    let mut pointer = CURRENT.take()?;
    let _restore = Restore(Some(pointer));
    // SAFETY: `lend` put it there and still borrows the session exclusively; it was taken out of the slot, so nobody else has it.
    Some(f(unsafe { pointer.as_mut() }))
}
