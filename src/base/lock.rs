//! The stripes' lock: a byte, taken with one atomic exchange and given back with a plain store.
//!
//! A lock that parks its waiters has to look, with a second locked instruction, whether somebody sleeps each time it is given
//! back; with three pairs a request that is a tenth of a deep pipeline's time. Here a waiter looks for himself: he spins about as long
//! as a command holds a stripe, then yields, then sleeps in steps of [`SLEEP_MIN`] to [`SLEEP_MAX`]. A stripe is held for microseconds, so
//! hardly anybody gets that far; whoever does waits for a holder of milliseconds, beside which a step is nothing.
//!
//! A holder that goes through a big value says so ([`hold_for_long`]): who has other things to do ([`lock_shortly`]) then does not wait at all.
//!
//! Invariant: whoever waits never burns a core for longer than the spinning phase, whatever the holder does.

use parking_lot::lock_api::{self, GuardNoSend, RawMutex};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU8, Ordering};
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
        None => wait_unless(mutex, || false, give_up),
    }
}

/// The same, and gives up at once if the holder has said that it keeps the lock for long.
#[inline(always)]
pub fn lock_shortly<T>(mutex: &Mutex<T>, give_up: impl Fn() -> bool) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Some(guard) => Some(guard),
        None => wait_unless(mutex, || is_held_for_long(mutex), give_up),
    }
}

/// Says that what `guard` holds is kept for long: until it is given back.
pub fn hold_for_long<T>(guard: &MutexGuard<'_, T>) {
    raw(MutexGuard::mutex(guard)).0.store(HELD_FOR_LONG, Ordering::Relaxed);
}

fn is_held_for_long<T>(mutex: &Mutex<T>) -> bool {
    raw(mutex).0.load(Ordering::Relaxed) == HELD_FOR_LONG
}

fn raw<T>(mutex: &Mutex<T>) -> &RawLock {
    // SAFETY: callers change one kind of held into another, or look; nobody gives back what he does not hold.
    unsafe { mutex.raw() }
}

#[cold]
fn wait_unless<T>(
    mutex: &Mutex<T>,
    at_once: impl Fn() -> bool,
    give_up: impl Fn() -> bool,
) -> Option<MutexGuard<'_, T>> {
    for round in 0..SPINS {
        if at_once() {
            return None;
        }
        for _ in 0..1 << round {
            spin_loop();
        }
        if let Some(guard) = mutex.try_lock() {
            return Some(guard);
        }
    }
    for _ in 0..YIELDS {
        if at_once() {
            return None;
        }
        std::thread::yield_now();
        if let Some(guard) = mutex.try_lock() {
            return Some(guard);
        }
    }
    let mut sleep = SLEEP_MIN;
    while !at_once() && !give_up() {
        std::thread::sleep(sleep);
        if let Some(guard) = mutex.try_lock() {
            return Some(guard);
        }
        sleep = (sleep * 2).min(SLEEP_MAX);
    }
    None
}

const FREE: u8 = 0;
const HELD: u8 = 1;
const HELD_FOR_LONG: u8 = 2;

/// One byte: held or not, or for long.
#[derive(Debug)]
pub struct RawLock(AtomicU8);

impl RawLock {
    #[inline(always)]
    fn take(&self) -> bool {
        self.0.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn wait(&self) {
        let free = || self.0.load(Ordering::Relaxed) == FREE;
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

// SAFETY: only one caller at a time sees `take` succeed: the exchange is atomic, and only the holder stores `FREE`. Acquire and release
// order what was done under the lock.
unsafe impl RawMutex for RawLock {
    const INIT: RawLock = RawLock(AtomicU8::new(FREE));
    type GuardMarker = GuardNoSend;

    #[inline(always)]
    fn lock(&self) {
        if !self.take() {
            self.wait();
        }
    }

    #[inline(always)]
    fn try_lock(&self) -> bool {
        self.0.load(Ordering::Relaxed) == FREE && self.take()
    }

    #[inline(always)]
    unsafe fn unlock(&self) {
        self.0.store(FREE, Ordering::Release);
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed) != FREE
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

    #[test]
    fn who_has_other_things_to_do_does_not_wait_for_a_long_holder_and_who_has_not_does() {
        let m = Arc::new(Mutex::new(()));
        let held = m.lock();
        hold_for_long(&held);
        assert!(lock_shortly(&m, || false).is_none());
        let waiter = {
            let m = Arc::clone(&m);
            std::thread::spawn(move || lock_unless(&m, || false).is_some())
        };
        drop(held);
        assert!(waiter.join().unwrap());
        // What was said is gone with the lock.
        let held = m.lock();
        assert!(!is_held_for_long(&m));
        drop(held);
        assert!(lock_shortly(&m, || false).is_some());
    }
}
