//! The stripes' lock: a byte, taken with one atomic exchange and given back with a plain store.
//!
//! A lock that parks its waiters has to look, with a second locked instruction, whether somebody sleeps each time it is given
//! back; with three pairs a request that is a tenth of a deep pipeline's time. Here a waiter looks for himself: he spins about as long
//! as a command holds a stripe, then yields, then sleeps in steps of [`SLEEP_MIN`] to [`SLEEP_MAX`]. A stripe is held for microseconds, so
//! hardly anybody gets that far; whoever does waits for a holder of milliseconds, beside which a step is nothing.
//!
//! Invariant: whoever waits never burns a core for longer than the spinning phase, whatever the holder does.

use parking_lot::lock_api::{self, GuardNoSend, RawMutex};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A mutex over this lock.
pub type Mutex<T> = lock_api::Mutex<RawLock, T>;
/// What holds it.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawLock, T>;

/// Rounds of spinning, each twice as long as the one before: about two microseconds in all.
const SPINS: u32 = 6;
/// Times the rest of the time slice is given away before the waiter sleeps.
const YIELDS: u32 = 8;
const SLEEP_MIN: Duration = Duration::from_micros(20);
const SLEEP_MAX: Duration = Duration::from_micros(320);

/// Takes the lock, or gives up: `give_up` is asked whenever the holder has had it for longer than a command takes.
#[inline(always)]
pub fn lock_unless<T>(mutex: &Mutex<T>, give_up: impl Fn() -> bool) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Some(guard) => Some(guard),
        None => wait_unless(mutex, give_up),
    }
}

#[cold]
fn wait_unless<T>(mutex: &Mutex<T>, give_up: impl Fn() -> bool) -> Option<MutexGuard<'_, T>> {
    for round in 0..SPINS {
        for _ in 0..1 << round {
            spin_loop();
        }
        if let Some(guard) = mutex.try_lock() {
            return Some(guard);
        }
    }
    for _ in 0..YIELDS {
        std::thread::yield_now();
        if let Some(guard) = mutex.try_lock() {
            return Some(guard);
        }
    }
    let mut sleep = SLEEP_MIN;
    while !give_up() {
        std::thread::sleep(sleep);
        if let Some(guard) = mutex.try_lock() {
            return Some(guard);
        }
        sleep = (sleep * 2).min(SLEEP_MAX);
    }
    None
}

/// One byte: held or not.
#[derive(Debug)]
pub struct RawLock(AtomicBool);

impl RawLock {
    #[inline(always)]
    fn take(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn wait(&self) {
        let free = || !self.0.load(Ordering::Relaxed);
        for round in 0..SPINS {
            for _ in 0..1 << round {
                spin_loop();
            }
            if free() && self.take() {
                return;
            }
        }
        for _ in 0..YIELDS {
            std::thread::yield_now();
            if free() && self.take() {
                return;
            }
        }
        let mut sleep = SLEEP_MIN;
        loop {
            std::thread::sleep(sleep);
            if free() && self.take() {
                return;
            }
            sleep = (sleep * 2).min(SLEEP_MAX);
        }
    }
}

// SAFETY: only one caller at a time sees `take` succeed: the exchange is atomic, and only the holder stores `false`. Acquire and release
// order what was done under the lock.
unsafe impl RawMutex for RawLock {
    const INIT: RawLock = RawLock(AtomicBool::new(false));
    type GuardMarker = GuardNoSend;

    #[inline(always)]
    fn lock(&self) {
        if !self.take() {
            self.wait();
        }
    }

    #[inline(always)]
    fn try_lock(&self) -> bool {
        !self.0.load(Ordering::Relaxed) && self.take()
    }

    #[inline(always)]
    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn one_at_a_time_and_everybody_in_the_end() {
        let n = Arc::new(Mutex::new(0u64));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let n = Arc::clone(&n);
                std::thread::spawn(move || {
                    for _ in 0..20_000 {
                        let mut n = n.lock();
                        let seen = *n;
                        spin_loop();
                        *n = seen + 1;
                    }
                })
            })
            .collect();
        for t in threads {
            t.join().unwrap();
        }
        assert_eq!(*n.lock(), 80_000);
    }

    #[test]
    fn a_held_lock_is_not_taken_by_trying_and_a_sleeper_gets_it() {
        let m = Arc::new(Mutex::new(()));
        let held = m.lock();
        assert!(m.try_lock().is_none());
        let waiter = {
            let m = Arc::clone(&m);
            std::thread::spawn(move || drop(m.lock()))
        };
        std::thread::sleep(Duration::from_millis(5));
        drop(held);
        waiter.join().unwrap();
        assert!(m.try_lock().is_some());
    }
}
