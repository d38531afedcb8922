//! Rates over the last moments, for the `instantaneous_*` rows of INFO.

use std::sync::atomic::{AtomicU64, Ordering};

/// Samples a rate is averaged over: at ten a second, the last 1.6 seconds.
pub const SAMPLES: usize = 16;

/// Turns readings of a rising total into a rate. One thread (the server's periodic task) samples, any may read.
#[derive(Debug, Default)]
pub struct Sampler {
    rates: [AtomicU64; SAMPLES],
    next: AtomicU64,
    last_ms: AtomicU64,
    last_total: AtomicU64,
}

impl Sampler {
    /// No samples yet: a rate of 0.
    pub const fn new() -> Self {
        Sampler {
            rates: [const { AtomicU64::new(0) }; SAMPLES],
            next: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            last_total: AtomicU64::new(0),
        }
    }

    /// Takes a reading of the total at a monotonic time in milliseconds. The first reading only sets the start; a total
    /// that fell was reset in between and counts from zero; a second reading within a millisecond is left to the next.
    pub fn sample(&self, now_ms: u64, total: u64) {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let elapsed = now_ms.saturating_sub(last_ms);
        if elapsed == 0 && last_ms > 0 {
            return;
        }
        let last_total = self.last_total.swap(total, Ordering::Relaxed);
        self.last_ms.store(now_ms, Ordering::Relaxed);
        if last_ms == 0 {
            return;
        }
        let gained = total.checked_sub(last_total).unwrap_or(total);
        let rate = u128::from(gained) * 1000 / u128::from(elapsed);
        let at = self.next.fetch_add(1, Ordering::Relaxed) as usize % SAMPLES;
        self.rates[at].store(u64::try_from(rate).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The mean rate per second of the last [`SAMPLES`] samples; moments before the first count as 0.
    pub fn per_second(&self) -> u64 {
        let sum: u128 = self.rates.iter().map(|r| u128::from(r.load(Ordering::Relaxed))).sum();
        u64::try_from(sum / SAMPLES as u128).unwrap_or(u64::MAX)
    }

    /// Forgets the rates, as CONFIG RESETSTAT does; the next reading sets the start anew.
    pub fn reset(&self) {
        self.rates
            .iter()
            .chain([&self.next, &self.last_ms, &self.last_total])
            .for_each(|a| a.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_found_after_sixteen_samples() {
        let s = Sampler::new();
        (1..=17u64).for_each(|i| s.sample(i * 100, i * 50));
        assert_eq!(s.per_second(), 500);
    }

    #[test]
    fn a_total_that_was_reset_gives_no_absurd_rate() {
        let s = Sampler::new();
        s.sample(1_000, 1_000_000);
        s.sample(1_100, 10);
        s.sample(1_100, 20);
        assert_eq!(s.per_second(), 100 / 16);
        s.reset();
        assert_eq!(s.per_second(), 0);
    }
}
