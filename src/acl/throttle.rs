//! Slowing down those who guess passwords.
//!
//! Failed logins are counted by address and by user, each count halved every [`HALF_LIFE_MS`]. Beyond a number of them, logins
//! from such an address wait before they are looked at, and wrong passwords for such a user are answered late; the wait doubles with
//! each failure up to a bound. So a guesser gets slower and slower, while the right password of a user who is being guessed at is
//! answered at once from anywhere else, and after at most the bound from the guesser's own address.
//!
//! A slow hash takes a tenth of a second of a thread that all share, so each address has few of them under way: a flood of logins from
//! one holds up those from there.
//!
//! # Invariants
//! * The wait of a login is fixed when it arrives: what others do meanwhile does not prolong it.
//! * Memory is [`SLOTS`] counts, whatever comes: a new one takes the place of one that is colder.

use super::store::Acl;
use crate::config::Config;
use crate::crypto::{random_array, sha256};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;

/// Counts that are kept: 64 KiB.
const SLOTS: usize = 4096;
/// Places looked at for one count.
const NEAR: usize = 4;
const HALF_LIFE_MS: u64 = 10_000;
/// The wait after the first failure too many.
const FIRST_MS: u64 = 25;
/// Slow hashes that are verified for one address at a time: the others of that address wait for these, and nobody else for them all.
const VERIFYING_MAX: u32 = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    tag: u64,
    failures: u32,
    last_ms: u64,
}

impl Slot {
    fn failures_at(&self, now_ms: u64) -> u32 {
        let halvings = now_ms.saturating_sub(self.last_ms) / HALF_LIFE_MS;
        self.failures.checked_shr(u32::try_from(halvings).unwrap_or(32)).unwrap_or(0)
    }
}

/// What the configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Failures without a wait.
    pub free: u32,
    /// The longest wait; 0 never waits.
    pub wait_ms_max: u64,
}

impl Limits {
    pub fn of(config: &Config) -> Limits {
        let s = &config.security;
        Limits { free: s.auth_throttle_after, wait_ms_max: u64::from(s.auth_throttle_delay_max_ms) }
    }
}

/// The part of a client's address that its next connection will have too. Of an IPv6 address that is the network: who has one
/// address there has 2^64.
pub fn origin(addr: &str) -> Vec<u8> {
    match addr.parse() {
        Ok(SocketAddr::V6(v6)) if v6.ip().to_ipv4_mapped().is_none() => v6.ip().octets()[..8].to_vec(),
        _ => addr.rsplit_once(':').map_or(addr, |(host, _)| host).as_bytes().to_vec(),
    }
}

/// The counts.
#[derive(Debug)]
pub struct Throttle {
    slots: Mutex<Box<[Slot]>>,
    /// Nobody outside can choose two names for one place.
    salt: [u8; 16],
    /// Slow hashes that are being verified, by address: as many as there are clients at the most.
    verifying: Mutex<HashMap<u64, u32>>,
}

/// The place of a login whose slow hash is being verified.
#[derive(Debug)]
pub struct Verifying {
    of: Arc<Acl>,
    tag: u64,
}

impl Drop for Verifying {
    fn drop(&mut self) {
        let verifying = &mut *self.of.throttle.verifying.lock();
        if let Entry::Occupied(mut own) = verifying.entry(self.tag) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

impl Default for Throttle {
    fn default() -> Throttle {
        // Without random bytes a place can be guessed, and no more than that is lost.
        let salt = random_array().unwrap_or_default();
        let slots = Mutex::new(vec![Slot::default(); SLOTS].into_boxed_slice());
        Throttle { slots, salt, verifying: Mutex::default() }
    }
}

impl Throttle {
    fn tag(&self, kind: u8, who: &[u8]) -> u64 {
        let digest = sha256(&[&self.salt[..], &[kind], who].concat());
        let (head, _) = digest.split_at(8);
        u64::from_le_bytes(head.try_into().unwrap_or_default()) | 1
    }

    fn places(tag: u64) -> impl Iterator<Item = usize> {
        (0..NEAR).map(move |n| (tag as usize >> 1).wrapping_add(n) % SLOTS)
    }

    fn wait_ms(&self, tag: u64, limits: Limits, now_ms: u64) -> u64 {
        if limits.wait_ms_max == 0 {
            return 0;
        }
        let slots = self.slots.lock();
        let found = Throttle::places(tag).map(|at| slots[at]).find(|s| s.tag == tag);
        let failures = found.map_or(0, |s| s.failures_at(now_ms));
        match failures.checked_sub(limits.free).filter(|n| *n > 0) {
            None => 0,
            Some(over) => FIRST_MS.saturating_mul(1 << (over - 1).min(32)).min(limits.wait_ms_max),
        }
    }

    fn count(&self, tag: u64, now_ms: u64) {
        let slots = &mut *self.slots.lock();
        let own = Throttle::places(tag).find(|at| slots[*at].tag == tag);
        let at = own.or_else(|| Throttle::places(tag).min_by_key(|at| slots[*at].failures_at(now_ms)));
        let Some(at) = at else { return };
        let failures = if own.is_some() { slots[at].failures_at(now_ms) } else { 0 };
        slots[at] = Slot { tag, failures: failures.saturating_add(1), last_ms: now_ms };
    }

    /// How long a login from this address waits before it is looked at.
    pub fn before_ms(&self, address: &[u8], limits: Limits, now_ms: u64) -> u64 {
        self.wait_ms(self.tag(b'a', address), limits, now_ms)
    }

    /// Whether a login from this address as this user would wait, before it is looked at or for its answer.
    pub fn is_hot(&self, address: &[u8], user: &[u8], limits: Limits, now_ms: u64) -> bool {
        self.before_ms(address, limits, now_ms) > 0 || self.wait_ms(self.tag(b'u', user), limits, now_ms) > 0
    }

    /// Takes a place for a login from this address whose hash is slow; `None` while too many others have one.
    pub fn verify(of: &Arc<Acl>, address: &[u8]) -> Option<Verifying> {
        let tag = of.throttle.tag(b'a', address);
        let verifying = &mut *of.throttle.verifying.lock();
        let own = verifying.entry(tag).or_insert(0);
        (*own < VERIFYING_MAX).then(|| {
            *own += 1;
            Verifying { of: Arc::clone(of), tag }
        })
    }

    /// Counts a failure. Returns how long its answer waits.
    pub fn failed(&self, address: &[u8], user: &[u8], limits: Limits, now_ms: u64) -> u64 {
        self.count(self.tag(b'a', address), now_ms);
        let user = self.tag(b'u', user);
        self.count(user, now_ms);
        self.wait_ms(user, limits, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { free: 10, wait_ms_max: 1000 };

    #[test]
    fn the_wait_begins_late_doubles_and_has_a_bound() {
        let t = Throttle::default();
        let mut waits = Vec::new();
        for _ in 0..20 {
            waits.push(t.failed(b"1.2.3.4", b"u", LIMITS, 0));
        }
        assert_eq!(waits[..10], [0; 10]);
        assert_eq!(waits[10..17], [25, 50, 100, 200, 400, 800, 1000]);
        assert_eq!(t.before_ms(b"1.2.3.4", LIMITS, 0), 1000);
        assert_eq!(t.before_ms(b"1.2.3.5", LIMITS, 0), 0, "another address is not held up");
        assert_eq!(t.before_ms(b"1.2.3.4", Limits { wait_ms_max: 0, ..LIMITS }, 0), 0);
    }

    #[test]
    fn who_changes_the_port_or_the_host_part_of_an_ipv6_address_is_the_same_guesser() {
        assert_eq!(origin("10.0.0.1:5"), origin("10.0.0.1:6"));
        assert_ne!(origin("10.0.0.1:5"), origin("10.0.0.2:5"));
        assert_eq!(origin("[2001:db8:0:1::1]:5"), origin("[2001:db8:0:1:ffff::2]:6"));
        assert_ne!(origin("[2001:db8:0:1::1]:5"), origin("[2001:db8:0:2::1]:5"));
        assert_ne!(origin("[::ffff:10.0.0.1]:5"), origin("[::ffff:10.0.0.2]:5"));
        assert_eq!(origin("/run/s.sock:0"), b"/run/s.sock");
    }

    #[test]
    fn failures_are_forgotten_with_time() {
        let t = Throttle::default();
        for _ in 0..20 {
            t.failed(b"a", b"u", LIMITS, 0);
        }
        assert_eq!(t.before_ms(b"a", LIMITS, HALF_LIFE_MS), 0, "ten are left");
        assert_eq!(t.before_ms(b"a", LIMITS, u64::MAX), 0);
    }

    #[test]
    fn any_number_of_names_takes_the_same_memory_and_the_hottest_stay() {
        let t = Throttle::default();
        for _ in 0..50 {
            t.failed(b"guesser", b"root", LIMITS, 0);
        }
        for i in 0..100_000u32 {
            t.failed(&i.to_le_bytes(), &i.to_be_bytes(), LIMITS, 0);
        }
        assert_eq!(t.before_ms(b"guesser", LIMITS, 0), 1000);
    }
}
