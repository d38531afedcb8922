//! A row of locks: each guards a part of something, and all can be taken at once.
//!
//! A lock is a byte beside what it guards, taken with one atomic exchange and given back with a plain store. One that parks its waiters
//! has to look, with a second locked instruction, whether somebody sleeps each time it is given back; with three pairs a request that is
//! a tenth of a deep pipeline's time. Here a waiter looks for himself: he spins about as long as a command holds a lock, then yields,
//! then sleeps in steps of [`SLEEP_MIN`] to [`SLEEP_MAX`]. A lock is held for microseconds, so hardly anybody gets that far; whoever does
//! waits for a holder of milliseconds, beside which a step is nothing.
//!
//! All locks together are one more byte. Who takes a single lock looks at that byte afterwards, and gives the lock back if it is taken;
//! who takes that byte waits until he has seen each lock free once. So a script that may reach any key costs a walk over bytes that
//! nobody writes, not a thousand exchanges.
//!
//! A holder that goes through a big value says so (`hold_for_long`): who has other things to do (`shortly`) then does not wait at all.
//!
//! # Invariants
//! * Of who takes a single lock and who takes all at the same time, one sees the other: each writes his byte before he reads the
//!   other's, in the one order that all threads agree on.
//! * Locks are taken in ascending order. Who holds one takes a higher one whether or not somebody wants all: that one looks in ascending
//!   order too, and is not past the lock that is held.
//! * Who wants all and does not get them soon gives his byte back before he sleeps: he keeps nobody waiting for a holder of
//!   milliseconds.
//! * Whoever waits never burns a core for longer than the spinning phase, whatever the holder does.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// Rounds of spinning, each twice as long as the one before: about two microseconds in all.
const SPINS: u32 = 6;
/// Times the rest of the time slice is given away before the waiter sleeps.
const YIELDS: u32 = 8;
const SLEEP_MIN: Duration = Duration::from_micros(20);
const SLEEP_MAX: Duration = Duration::from_micros(320);

const FREE: u8 = 0;
const HELD: u8 = 1;
const HELD_FOR_LONG: u8 = 2;

/// How somebody waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Until he has it.
    Patiently,
    /// Unless it is held for long.
    Shortly,
}

/// What one lock guards, on cache lines of its own, so that threads at neighbouring locks do not disturb each other.
#[repr(C, align(128))]
struct Part<T> {
    state: AtomicU8,
    value: UnsafeCell<T>,
}

/// How often somebody had to wait, on cache lines of its own: what everybody reads must not move because somebody waits.
#[derive(Default)]
#[repr(C, align(128))]
struct Waits {
    all: AtomicU64,
    asleep: AtomicU64,
}

/// Parts, each under its lock.
pub struct Row<T> {
    parts: Box<[Part<T>]>,
    all: AtomicU8,
    waits: Waits,
}

// SAFETY: a part's value is reached by whoever holds its lock, or all locks, alone.
unsafe impl<T: Send> Sync for Row<T> {}
// SAFETY: as for a row of plain values.
unsafe impl<T: Send> Send for Row<T> {}

/// A lock that is held. It stays with its thread.
pub struct One<'a, T> {
    part: &'a Part<T>,
    stays: PhantomData<*const ()>,
}

/// All locks, held. They stay with their thread.
pub struct All<'a, T> {
    row: &'a Row<T>,
    stays: PhantomData<*const ()>,
}

impl<T> Row<T> {
    pub fn new(values: impl IntoIterator<Item = T>) -> Row<T> {
        let part = |value| Part { state: AtomicU8::new(FREE), value: UnsafeCell::new(value) };
        Row { parts: values.into_iter().map(part).collect(), all: AtomicU8::new(FREE), waits: Waits::default() }
    }

    /// How often a lock was not free at once, and how often a wait was longer than a command takes.
    pub fn waits(&self) -> (u64, u64) {
        (self.waits.all.load(Ordering::Relaxed), self.waits.asleep.load(Ordering::Relaxed))
    }

    /// Where part `n` begins, for a prefetch.
    #[inline(always)]
    pub fn address(&self, n: usize) -> *const u8 {
        std::ptr::from_ref(&self.parts[n]).cast()
    }

    /// `holds` says that the caller has a lower lock already.
    #[inline(always)]
    fn take(&self, n: usize, holds: bool) -> Option<One<'_, T>> {
        let part = &self.parts[n];
        part.state.compare_exchange(FREE, HELD, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        if self.all.load(Ordering::SeqCst) == FREE || holds {
            return Some(One { part, stays: PhantomData });
        }
        part.state.store(FREE, Ordering::Release);
        None
    }

    /// Whether it is worth trying: nobody has been seen to hold it.
    #[inline(always)]
    fn is_free(&self, n: usize, holds: bool) -> bool {
        self.parts[n].state.load(Ordering::Relaxed) == FREE && (holds || self.all.load(Ordering::Relaxed) == FREE)
    }

    fn is_held_for_long(&self, n: usize) -> bool {
        [&self.parts[n].state, &self.all].iter().any(|s| s.load(Ordering::Relaxed) == HELD_FOR_LONG)
    }

    /// The lock, if nobody holds it.
    #[inline]
    pub fn try_lock(&self, n: usize) -> Option<One<'_, T>> {
        if self.is_free(n, false) { self.take(n, false) } else { None }
    }

    #[inline(always)]
    pub fn lock(&self, n: usize) -> One<'_, T> {
        match self.take(n, false) {
            Some(one) => one,
            None => self.wait(n, false, Waiting::Patiently, || false).expect("a patient one waits"),
        }
    }

    /// Takes the lock, or gives up: `give_up` is asked whenever the holder has had it for longer than a command takes. `holds`: a lower
    /// lock is held already.
    #[inline(always)]
    pub fn lock_unless(
        &self,
        n: usize,
        holds: bool,
        waiting: Waiting,
        give_up: impl Fn() -> bool,
    ) -> Option<One<'_, T>> {
        match self.take(n, holds) {
            Some(one) => Some(one),
            None => self.wait(n, holds, waiting, give_up),
        }
    }

    #[cold]
    fn wait(&self, n: usize, holds: bool, waiting: Waiting, give_up: impl Fn() -> bool) -> Option<One<'_, T>> {
        let mut steps = Steps::default();
        let mut slept = false;
        self.waits.all.fetch_add(1, Ordering::Relaxed);
        loop {
            if waiting == Waiting::Shortly && self.is_held_for_long(n) {
                return None;
            }
            if steps.next() == Phase::Asleep {
                if !std::mem::replace(&mut slept, true) {
                    self.waits.asleep.fetch_add(1, Ordering::Relaxed);
                }
                if give_up() {
                    return None;
                }
            }
            if self.is_free(n, holds)
                && let Some(one) = self.take(n, holds)
            {
                return Some(one);
            }
        }
    }

    pub fn lock_all(&self) -> All<'_, T> {
        self.lock_all_unless(Waiting::Patiently, || false).expect("a patient one waits")
    }

    /// Takes all locks, or gives up, as [`Row::lock_unless`] does.
    pub fn lock_all_unless(&self, waiting: Waiting, give_up: impl Fn() -> bool) -> Option<All<'_, T>> {
        let mut steps = Steps::default();
        loop {
            if self.all.compare_exchange(FREE, HELD, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                match self.others_leave() {
                    Ok(()) => return Some(All { row: self, stays: PhantomData }),
                    Err(for_long) => {
                        self.all.store(FREE, Ordering::Release);
                        if for_long && waiting == Waiting::Shortly {
                            return None;
                        }
                        steps.sleep();
                    }
                }
            }
            if waiting == Waiting::Shortly && self.all.load(Ordering::Relaxed) == HELD_FOR_LONG {
                return None;
            }
            if steps.next() == Phase::Asleep && give_up() {
                return None;
            }
        }
    }

    /// Waits, no longer than a command takes, until every single lock has been given back; nobody else gets one meanwhile. An error says
    /// whether the one that was not is held for long.
    fn others_leave(&self) -> Result<(), bool> {
        for part in &self.parts {
            if part.state.load(Ordering::SeqCst) == FREE {
                continue;
            }
            let mut steps = Steps::default();
            while part.state.load(Ordering::SeqCst) != FREE {
                if part.state.load(Ordering::Relaxed) == HELD_FOR_LONG {
                    return Err(true);
                }
                if steps.next() == Phase::Asleep {
                    return Err(false);
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Awake,
    Asleep,
}

/// The steps of a wait: first spinning, then yielding, then asleep.
#[derive(Default)]
struct Steps(u32);

impl Steps {
    fn next(&mut self) -> Phase {
        self.0 = self.0.saturating_add(1);
        match self.0 {
            n if n <= SPINS => (0..1 << (n - 1)).for_each(|_| spin_loop()),
            n if n <= SPINS + YIELDS => std::thread::yield_now(),
            n => {
                // Told before the sleep, so that who need not sleep does not.
                let n = (n - SPINS - YIELDS - 1).min(4);
                std::thread::sleep((SLEEP_MIN * (1 << n)).min(SLEEP_MAX));
                return Phase::Asleep;
            }
        }
        Phase::Awake
    }

    /// The next step is a sleep.
    fn sleep(&mut self) {
        self.0 = self.0.max(SPINS + YIELDS);
    }
}

impl<T> One<'_, T> {
    /// Says that the lock is kept for long: until it is given back.
    pub fn hold_for_long(&self) {
        self.part.state.store(HELD_FOR_LONG, Ordering::Relaxed);
    }
}

impl<T> Deref for One<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so nobody else has it, nor all, until this is dropped.
        unsafe { &*self.part.value.get() }
    }
}

impl<T> DerefMut for One<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { &mut *self.part.value.get() }
    }
}

impl<T> Drop for One<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.part.state.store(FREE, Ordering::Release);
    }
}

impl<T> All<'_, T> {
    /// Says that the locks are kept for long: until they are given back.
    pub fn hold_for_long(&self) {
        self.row.all.store(HELD_FOR_LONG, Ordering::Relaxed);
    }

    #[inline(always)]
    pub fn part(&self, n: usize) -> &T {
        // SAFETY: every lock was seen free after `all` was taken, so nobody has one until this is dropped.
        unsafe { &*self.row.parts[n].value.get() }
    }

    #[inline(always)]
    pub fn part_mut(&mut self, n: usize) -> &mut T {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { &mut *self.row.parts[n].value.get() }
    }
}

impl<T> Drop for All<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.row.all.store(FREE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A value that is written in two places, so that two writers at once are seen.
    type Pair = (u64, u64);

    fn add(pair: &mut Pair) {
        assert_eq!(pair.0, pair.1, "two had it at once");
        pair.0 += 1;
        spin_loop();
        pair.1 += 1;
    }

    #[test]
    fn one_at_a_time_and_everybody_in_the_end_whether_he_takes_one_several_or_all() {
        const ROUNDS: u64 = 3_000;
        let row = Arc::new(Row::new([(0u64, 0u64); 8]));
        let mut threads = Vec::new();
        for t in 0..4usize {
            let row = Arc::clone(&row);
            threads.push(std::thread::spawn(move || {
                for i in 0..ROUNDS as usize {
                    match t {
                        0 => add(&mut row.lock(i % 8)),
                        1 => {
                            let mut low = row.lock(i % 4);
                            let mut high =
                                row.lock_unless(4 + i % 4, true, Waiting::Patiently, || false).expect("it waits");
                            add(&mut low);
                            add(&mut high);
                        }
                        2 => {
                            let mut all = row.lock_all();
                            (0..8).for_each(|n| add(all.part_mut(n)));
                        }
                        _ => {
                            if let Some(mut one) = row.try_lock(i % 8) {
                                add(&mut one);
                                drop(one);
                            }
                            let mut all = row.lock_all();
                            (0..8).for_each(|n| add(all.part_mut(n)));
                        }
                    }
                }
            }));
        }
        threads.into_iter().for_each(|t| t.join().unwrap());
        let all = row.lock_all();
        let sum: u64 = (0..8).map(|n| all.part(n).0).sum();
        assert!(sum >= ROUNDS + 2 * ROUNDS + 8 * ROUNDS + 8 * ROUNDS, "{sum}");
        assert!((0..8).all(|n| all.part(n).0 == all.part(n).1));
    }

    #[test]
    fn a_held_lock_is_not_taken_by_trying_and_a_sleeper_gets_it() {
        let row = Arc::new(Row::new([(), ()]));
        let held = row.lock(0);
        assert!(row.try_lock(0).is_none() && row.try_lock(1).is_some());
        let waiter = {
            let row = Arc::clone(&row);
            std::thread::spawn(move || {
                drop(row.lock(0));
                drop(row.lock_all());
            })
        };
        std::thread::sleep(Duration::from_millis(5));
        drop(held);
        waiter.join().unwrap();
        let all = row.lock_all();
        assert!(row.try_lock(1).is_none());
        drop(all);
        assert!(row.try_lock(1).is_some());
    }

    #[test]
    fn who_has_other_things_to_do_does_not_wait_for_a_long_holder_and_who_has_not_does() {
        let row = Arc::new(Row::new([(), ()]));
        let shortly = |n| row.lock_unless(n, false, Waiting::Shortly, || false).is_some();
        let held = row.lock(0);
        held.hold_for_long();
        assert!(!shortly(0) && shortly(1));
        assert!(row.lock_all_unless(Waiting::Shortly, || false).is_none());
        // Who did not get all keeps nobody from the others.
        assert!(shortly(1));
        let waiter = {
            let row = Arc::clone(&row);
            std::thread::spawn(move || row.lock_all_unless(Waiting::Patiently, || false).is_some())
        };
        drop(held);
        assert!(waiter.join().unwrap());
        let all = row.lock_all();
        all.hold_for_long();
        assert!(!shortly(0) && !shortly(1) && row.lock_all_unless(Waiting::Shortly, || false).is_none());
        drop(all);
        // What was said is gone with the locks.
        assert!(shortly(0) && shortly(1));
    }

    #[test]
    fn who_is_told_to_give_up_does() {
        let row = Row::new([(), ()]);
        let held = row.lock(0);
        assert!(row.lock_unless(0, false, Waiting::Patiently, || true).is_none());
        assert!(row.lock_all_unless(Waiting::Patiently, || true).is_none());
        assert!(row.lock_unless(1, false, Waiting::Patiently, || true).is_some());
        drop(held);
    }
}
