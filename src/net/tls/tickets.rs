//! Sessions that a client may take up again: those it keeps itself, as tickets, and those kept here for clients that know no tickets.
//! Both can be taken up for as long as `tls-session-cache-timeout` says.
//!
//! # A ticket
//! ```text
//! number of the key (4) | age of the keeper when it was made, in seconds (4) | nonce (12) | state, sealed | tag (16)
//! ```
//! AES-256-GCM with a nonce made inside the module; what stands in front is authenticated with it.
//!
//! # Invariants
//! - A key seals for one lifetime and opens for one more, then it is erased: nobody who gets hold of the process later opens what was
//!   recorded.
//! - A ticket is taken for its lifetime exactly, whichever key sealed it.

use crate::base::clock;
use crate::crypto::{self, SealingKey};
use parking_lot::RwLock;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key is not made more often than this, whatever the lifetime.
const KEY_SECONDS_MIN: u32 = 60;
/// The protocol allows no ticket that is taken for longer (RFC 8446, 4.6.1).
const LIFETIME_SECONDS_MAX: u32 = 7 * 24 * 3600;
/// Number of the key and time.
const HEAD: usize = 4 + 4;

/// The module gave no key.
#[derive(Debug)]
pub struct NoKey;

/// Makes and opens tickets.
#[derive(Debug)]
pub struct Tickets {
    age: Age,
    lifetime_s: u32,
    keys: RwLock<Keys>,
}

#[derive(Debug)]
struct Keys {
    number: u32,
    current: SealingKey,
    previous: Option<SealingKey>,
    /// When the next one is made.
    until_s: u32,
}

/// Seconds since it was made.
#[derive(Debug)]
struct Age {
    began_ms: u64,
}

impl Age {
    fn new() -> Age {
        Age { began_ms: clock::monotonic_ms() }
    }

    fn now_s(&self) -> u32 {
        u32::try_from((clock::monotonic_ms() - self.began_ms) / 1000).unwrap_or(u32::MAX)
    }
}

fn new_key() -> Result<SealingKey, NoKey> {
    let key = Zeroizing::new(crypto::random_array::<32>().map_err(|_| NoKey)?);
    SealingKey::new(&key).map_err(|_| NoKey)
}

impl Tickets {
    /// Tickets for `lifetime_s` seconds; the protocol's bound where that is more.
    ///
    /// # Errors
    /// The module gives no key.
    pub fn new(lifetime_s: u32) -> Result<Tickets, NoKey> {
        let lifetime_s = lifetime_s.min(LIFETIME_SECONDS_MAX);
        let until_s = lifetime_s.max(KEY_SECONDS_MIN);
        let keys = RwLock::new(Keys { number: 0, current: new_key()?, previous: None, until_s });
        Ok(Tickets { age: Age::new(), lifetime_s, keys })
    }

    /// Makes a new key if it is time, and forgets those that open nothing any more.
    fn turn_keys(&self, now_s: u32) {
        if now_s < self.keys.read().until_s {
            return;
        }
        let Ok(fresh) = new_key() else { return };
        let mut keys = self.keys.write();
        if now_s < keys.until_s {
            // Somebody else has just done it.
            return;
        }
        let period_s = self.lifetime_s.max(KEY_SECONDS_MIN);
        let old = std::mem::replace(&mut keys.current, fresh);
        // After more than a period without any ticket the one before has nothing left to open.
        keys.previous = (now_s - keys.until_s < period_s).then_some(old);
        keys.number = keys.number.wrapping_add(1);
        keys.until_s = now_s.saturating_add(period_s);
    }

    fn encrypt_at(&self, now_s: u32, plain: &[u8]) -> Option<Vec<u8>> {
        self.turn_keys(now_s);
        let keys = self.keys.read();
        let mut ticket = Vec::with_capacity(HEAD + plain.len() + crypto::SEAL_OVERHEAD);
        ticket.extend_from_slice(&keys.number.to_be_bytes());
        ticket.extend_from_slice(&now_s.to_be_bytes());
        let head: [u8; HEAD] = *ticket.first_chunk()?;
        keys.current.seal(&head, plain, &mut ticket).ok()?;
        Some(ticket)
    }

    fn decrypt_at(&self, now_s: u32, ticket: &[u8]) -> Option<Vec<u8>> {
        self.turn_keys(now_s);
        let (head, sealed) = ticket.split_first_chunk::<HEAD>()?;
        let (number, made_s) = head.split_first_chunk::<4>()?;
        let made_s = u32::from_be_bytes(*made_s.first_chunk()?);
        if now_s.checked_sub(made_s)? >= self.lifetime_s {
            return None;
        }
        let keys = self.keys.read();
        let key = match keys.number.wrapping_sub(u32::from_be_bytes(*number)) {
            0 => &keys.current,
            1 => keys.previous.as_ref()?,
            _ => return None,
        };
        let mut sealed = Zeroizing::new(sealed.to_vec());
        key.open(head, &mut sealed).map(<[u8]>::to_vec)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.lifetime_s
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(self.age.now_s(), plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(self.age.now_s(), ticket)
    }
}

/// Sessions kept here, at most as many as asked for; the oldest go first.
#[derive(Debug)]
pub struct Kept {
    age: Age,
    lifetime_s: u32,
    sessions: Arc<ServerSessionMemoryCache>,
}

impl Kept {
    pub fn new(sessions_max: usize, lifetime_s: u32) -> Kept {
        Kept { age: Age::new(), lifetime_s, sessions: ServerSessionMemoryCache::new(sessions_max) }
    }

    /// Behind the session stands when it was put here.
    fn fresh(&self, mut value: Vec<u8>) -> Option<Vec<u8>> {
        let put_s = u32::from_be_bytes(*value.last_chunk()?);
        value.truncate(value.len() - 4);
        (self.age.now_s().checked_sub(put_s)? < self.lifetime_s).then_some(value)
    }
}

impl StoresServerSessions for Kept {
    fn put(&self, key: Vec<u8>, mut value: Vec<u8>) -> bool {
        value.extend_from_slice(&self.age.now_s().to_be_bytes());
        self.sessions.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(self.sessions.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(self.sessions.take(key)?)
    }

    fn can_cache(&self) -> bool {
        self.sessions.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_for_its_lifetime_exactly_across_changes_of_keys() {
        let tickets = Tickets::new(300).unwrap();
        for made in [0, 1, 299, 300, 450, 599, 2000, 2299] {
            let ticket = tickets.encrypt_at(made, b"state").unwrap();
            for age in [0, 1, 150, 299] {
                // Others ask meanwhile, which is what turns the keys.
                assert_eq!(tickets.decrypt_at(made + age, &ticket).as_deref(), Some(&b"state"[..]), "{made} + {age}");
            }
            assert_eq!(tickets.decrypt_at(made + 300, &ticket), None, "made at {made}");
            assert_eq!(tickets.decrypt_at(made.saturating_sub(1), &ticket).is_none(), made > 0, "from the future");
        }
    }

    #[test]
    fn a_ticket_that_was_changed_or_is_anothers_does_not_open() {
        let tickets = Tickets::new(300).unwrap();
        let ticket = tickets.encrypt_at(7, b"state").unwrap();
        assert_eq!(Tickets::new(300).unwrap().decrypt_at(7, &ticket), None);
        for n in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[n] ^= 1;
            assert_eq!(tickets.decrypt_at(7, &changed), None, "byte {n}");
            assert_eq!(tickets.decrypt_at(7, &ticket[..n]), None, "cut to {n}");
        }
    }

    #[test]
    fn a_key_that_opens_nothing_any_more_is_gone() {
        let tickets = Tickets::new(300).unwrap();
        tickets.encrypt_at(0, b"state").unwrap();
        tickets.encrypt_at(10_000, b"state").unwrap();
        let keys = tickets.keys.read();
        assert!(keys.previous.is_none());
        assert_eq!(keys.number, 1);
    }

    #[test]
    fn no_ticket_outlives_what_the_protocol_allows() {
        assert_eq!(Tickets::new(u32::MAX).unwrap().lifetime(), LIFETIME_SECONDS_MAX);
    }

    #[test]
    fn kept_sessions_end_with_their_lifetime() {
        let kept = |lifetime| {
            let kept = Kept::new(8, lifetime);
            assert!(kept.put(b"id".to_vec(), b"state".to_vec()));
            (kept.get(b"id"), kept.take(b"id"), kept.get(b"id"))
        };
        let state = Some(b"state".to_vec());
        assert_eq!(kept(300), (state.clone(), state, None));
        assert_eq!(kept(0), (None, None, None));
    }
}
