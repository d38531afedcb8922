//! What a thread does for its other connections while a script of one of them runs for too long.
//!
//! The session lends itself to the thread before it runs a script, and the script's host calls it from there. It runs in the middle of
//! a step, under all locks: so it must take none, which the gate for busy times sees to.

use std::cell::Cell;
use std::ptr::NonNull;

/// A session that can look after its connections in the middle of a script.
pub trait Meanwhile {
    /// Receives, answers and sends once, without waiting.
    fn serve_others(&mut self);
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
pub(super) fn serve() {
    let Some(mut pointer) = CURRENT.take() else { return };
    let _restore = Restore(Some(pointer));
    // SAFETY: `lend` put it there and still borrows the session exclusively; it was taken out of the slot, so nobody else has it.
    unsafe { pointer.as_mut() }.serve_others();
}
