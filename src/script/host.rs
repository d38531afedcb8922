//! The one way from a script to the server, and who stands at its other end while a script runs.
//!
//! Functions that scripts call live as long as the VM; the host lives as long as one run. So the host is lent to the thread for that
//! time, and taken from there by the functions.

use crate::resp::args::Args;
use crate::resp::reply::{Reply, Version};
use std::cell::Cell;
use std::ptr::NonNull;

/// Where the effects of a script's commands go (`redis.set_repl`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects(pub u8);

impl Effects {
    pub const NONE: Effects = Effects(0);
    pub const AOF: Effects = Effects(1);
    pub const REPLICAS: Effects = Effects(2);
    pub const ALL: Effects = Effects(3);
}

/// Why a script may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SCRIPT KILL, FUNCTION KILL or the end of the server.
    Killed,
    /// FUNCTION LOAD runs a library's code once, for a short time.
    LoadTimeout,
    /// The debugger's client wants no more of it, or is gone.
    Debugger,
}

/// What came of asking the client that debugs a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A command's words, at least one.
    Command(Vec<Vec<u8>>),
    /// What it sent is no command.
    BadProtocol,
    /// Its connection has ended.
    Gone,
    /// The script is to be stopped, by SCRIPT KILL or the end of the server.
    Stop,
}

/// What a script can ask of the server.
pub trait Host {
    /// Runs a command. `reply` is empty; what the command answers is in it, an error too.
    fn call(&mut self, args: Args<'_>, reply: &mut Reply);
    /// `redis.setresp`.
    fn set_version(&mut self, version: Version);
    /// `redis.set_repl`.
    fn set_effects(&mut self, effects: Effects);
    /// Whether the script's user may run the command; `None` if there is no such command.
    fn may_run(&mut self, args: Args<'_>) -> Option<bool>;
    /// Asked every millisecond or so while the script computes.
    fn poll(&mut self) -> Option<Stop>;
    /// Tells the client that debugs the script something, and waits for its next command.
    fn debug_exchange(&mut self, _message: &[u8]) -> Received {
        Received::Gone
    }
}

thread_local! {
    static CURRENT: Cell<Option<NonNull<dyn Host>>> = const { Cell::new(None) };
}

/// Puts the slot back as it was, also when a panic passes.
struct Restore(Option<NonNull<dyn Host>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Lends `host` to this thread for the time of `f`.
pub(super) fn lend<R>(host: &mut dyn Host, f: impl FnOnce() -> R) -> R {
    // SAFETY: only the lifetime changes. The pointer is in the slot while this call lasts, for which `host` is borrowed.
    let erased =
        unsafe { std::mem::transmute::<NonNull<dyn Host + '_>, NonNull<dyn Host + 'static>>(NonNull::from(host)) };
    let _restore = Restore(CURRENT.replace(Some(erased)));
    f()
}

/// Calls `f` with the host of this thread; `None` if no script runs, or if the host is in use already.
pub(super) fn with<R>(f: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
    let mut pointer = CURRENT.take()?;
    let _restore = Restore(Some(pointer));
    // SAFETY: `lend` put it there and still borrows the host exclusively; it was taken out of the slot, so nobody else has it.
    Some(f(unsafe { pointer.as_mut() }))
}
