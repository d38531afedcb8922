//! The only reader of time.
//!
//! Wall time (Unix epoch, ms) decides expiry and is read once per worker turn, so that every command of a batch and
//! every key an EXEC touches see one instant. Ticks measure durations: on x86_64 the time stamp counter, calibrated
//! once against the monotonic clock, elsewhere the monotonic clock itself.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub fn wall_ms() -> i64 {
    wall().as_millis() as i64
}

/// Microseconds since the Unix epoch.
pub fn wall_us() -> i64 {
    wall().as_micros() as i64
}

fn wall() -> Duration {
    // A clock before 1970 is a broken machine; zero keeps every deadline in the future.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn epoch() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Nanoseconds since the first call in this process; never goes back.
pub fn monotonic_ns() -> u64 {
    epoch().elapsed().as_nanos() as u64
}

/// Milliseconds since the first call in this process; never goes back.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

/// Microseconds of the kernel's monotonic clock, which other processes of this machine read the same.
pub fn kernel_monotonic_us() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec.unsigned_abs() * 1_000_000 + t.tv_nsec.unsigned_abs() / 1000
}

/// A point on the cheapest steady counter there is. Only differences mean something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tick(u64);

impl Tick {
    #[inline(always)]
    pub fn now() -> Tick {
        Tick(raw_tick())
    }

    /// Nanoseconds from `earlier` to `self`; 0 if the counter went back (a move between sockets).
    #[inline(always)]
    pub fn ns_since(self, earlier: Tick) -> u64 {
        let ticks = self.0.saturating_sub(earlier.0);
        ((u128::from(ticks) * u128::from(scale())) >> 32) as u64
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn raw_tick() -> u64 {
    // SAFETY: RDTSC is in every x86_64; it reads a counter and touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn raw_tick() -> u64 {
    monotonic_ns()
}

/// Nanoseconds per tick as a 32.32 fixed-point number.
#[inline(always)]
fn scale() -> u64 {
    static SCALE: OnceLock<u64> = OnceLock::new();
    *SCALE.get_or_init(calibrate)
}

#[cfg(target_arch = "x86_64")]
fn calibrate() -> u64 {
    let (wall0, tick0) = (Instant::now(), raw_tick());
    std::thread::sleep(Duration::from_millis(5));
    let (elapsed, ticks) = (wall0.elapsed().as_nanos(), u128::from(raw_tick().saturating_sub(tick0)));
    (elapsed << 32).checked_div(ticks).map_or(1 << 32, |scale| scale as u64)
}

#[cfg(not(target_arch = "x86_64"))]
fn calibrate() -> u64 {
    1 << 32
}

/// Measures the counter's rate; called at boot so that no command pays for it.
pub fn init() {
    let _ = (epoch(), scale());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_agree_with_the_monotonic_clock() {
        init();
        let (a, t) = (Instant::now(), Tick::now());
        std::thread::sleep(Duration::from_millis(20));
        let (ns, real) = (Tick::now().ns_since(t), a.elapsed().as_nanos() as u64);
        assert!(ns > real / 2 && ns < real * 2, "{ns} against {real}");
    }
}
