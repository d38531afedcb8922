//! The access word of a key: when it was last used (LRU), or how often (LFU).
//!
//! LRU: 24 bits of seconds, wrapping after 194 days. LFU: 16 bits of minutes at the last decay, 8 bits of a counter that
//! grows with the logarithm of the accesses (Morris), as Valkey documents `lfu-log-factor` and `lfu-decay-time`.

use crate::base::hash::Random;
use crate::value::record::Record;

const LRU_MASK: u32 = (1 << 24) - 1;
/// A new key's counter: not the first to go.
pub const LFU_INIT: u8 = 5;

/// What an access notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessPolicy {
    Lru,
    /// `lfu-log-factor` and `lfu-decay-time` in minutes.
    Lfu {
        log_factor: u32,
        decay_minutes: u32,
    },
}

/// The policy at an instant.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub policy: AccessPolicy,
    pub now_ms: i64,
}

impl Access {
    /// The word of a key that is made now.
    #[inline]
    pub fn fresh(&self) -> u32 {
        match self.policy {
            AccessPolicy::Lru => self.seconds(),
            AccessPolicy::Lfu { .. } => self.minutes() << 8 | u32::from(LFU_INIT),
        }
    }

    /// Notes an access.
    #[inline(always)]
    pub fn touch(&self, record: &Record, rng: &mut Random) {
        let word = record.access();
        let new = self.touched(word, rng);
        if new != word {
            record.set_access(new);
        }
    }

    /// The word after an access.
    #[inline]
    pub fn touched(&self, word: u32, rng: &mut Random) -> u32 {
        match self.policy {
            AccessPolicy::Lru => self.seconds(),
            AccessPolicy::Lfu { log_factor, .. } => {
                let counter = self.frequency(word);
                let grown = if counter == u8::MAX {
                    counter
                } else {
                    let base = f64::from(counter.saturating_sub(LFU_INIT));
                    let p = 1.0 / (base * f64::from(log_factor) + 1.0);
                    let draw = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                    counter + u8::from(draw < p)
                };
                self.minutes() << 8 | u32::from(grown)
            }
        }
    }

    #[inline]
    fn seconds(&self) -> u32 {
        (self.now_ms / 1000) as u32 & LRU_MASK
    }

    fn minutes(&self) -> u32 {
        (self.now_ms / 60_000) as u32 & 0xffff
    }

    /// Seconds since the last access; 0 under LFU.
    pub fn idle_seconds(&self, word: u32) -> u64 {
        match self.policy {
            AccessPolicy::Lru => u64::from(self.seconds().wrapping_sub(word) & LRU_MASK),
            AccessPolicy::Lfu { .. } => 0,
        }
    }

    /// The counter after the decay that is due.
    pub fn frequency(&self, word: u32) -> u8 {
        let AccessPolicy::Lfu { decay_minutes, .. } = self.policy else { return 0 };
        let passed = self.minutes().wrapping_sub(word >> 8) & 0xffff;
        let periods = passed.checked_div(decay_minutes).unwrap_or(0);
        (word as u8).saturating_sub(periods.min(255) as u8)
    }

    /// The word of a key that was last used so many seconds ago (RESTORE IDLETIME).
    pub fn with_idle(&self, seconds: u64) -> u32 {
        match self.policy {
            AccessPolicy::Lru => self.seconds().wrapping_sub(seconds as u32) & LRU_MASK,
            AccessPolicy::Lfu { .. } => self.fresh(),
        }
    }

    /// The word of a key with this counter (RESTORE FREQ).
    pub fn with_frequency(&self, frequency: u8) -> u32 {
        match self.policy {
            AccessPolicy::Lru => self.fresh(),
            AccessPolicy::Lfu { .. } => self.minutes() << 8 | u32::from(frequency),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_survives_the_clock_wrapping() {
        let at = |s: i64| Access { policy: AccessPolicy::Lru, now_ms: s * 1000 };
        assert_eq!(at((1 << 24) + 5).idle_seconds(at((1 << 24) - 5).fresh()), 10);
    }

    #[test]
    fn frequency_decays_by_one_a_period() {
        let at =
            |min: i64| Access { policy: AccessPolicy::Lfu { log_factor: 10, decay_minutes: 2 }, now_ms: min * 60_000 };
        let word = at(100).with_frequency(9);
        assert_eq!(at(100).frequency(word), 9);
        assert_eq!(at(105).frequency(word), 7);
        assert_eq!(at(200).frequency(word), 0);
    }
}
