//! Eviction: which key goes when memory is short.
//!
//! As Valkey does: a few random keys are looked at, the best of them join a small pool that lives on between calls, and the
//! pool's best goes. A candidate is looked up again before it goes; it may have changed or gone meanwhile.

use super::Access;
use super::changes::EventClass;
use super::key::{Key, STRIPES};
use super::space::Space;
use super::stripe::Keyspace;
use crate::base::hash::Random;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Longest unused.
    Lru,
    /// Least often used.
    Lfu,
    Random,
    /// Nearest deadline.
    Ttl,
}

/// `maxmemory-policy`, but for `noeviction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub pick: Pick,
    /// Only keys with a deadline.
    pub volatile: bool,
}

/// A key that may go; the higher the score the sooner.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub score: u64,
    pub db: u32,
    pub name: Vec<u8>,
}

/// Candidates kept between calls.
const POOL_MAX: usize = 16;

/// The best candidates so far, worst first.
#[derive(Debug, Default)]
pub struct EvictionPool {
    candidates: Vec<Candidate>,
    policy: Option<Policy>,
}

impl EvictionPool {
    fn offer(&mut self, c: Candidate) {
        if self.candidates.iter().any(|o| o.db == c.db && o.name == c.name) {
            return;
        }
        let at = self.candidates.partition_point(|o| o.score < c.score);
        if self.candidates.len() == POOL_MAX {
            if at == 0 {
                return;
            }
            self.candidates.remove(0);
            self.candidates.insert(at - 1, c);
        } else {
            self.candidates.insert(at, c);
        }
    }

    /// Finds a key to evict: `samples` keys of each database are looked at first. `None` if no key qualifies, or a busy
    /// script keeps them.
    pub fn pick(
        &mut self,
        keyspace: &Keyspace,
        policy: Policy,
        samples: usize,
        access: Access,
        rng: &mut Random,
    ) -> Option<Candidate> {
        if self.policy != Some(policy) {
            self.candidates.clear();
            self.policy = Some(policy);
        }
        if policy.pick == Pick::Random {
            return sample(keyspace, policy, 1, access, rng).pop();
        }
        for c in sample(keyspace, policy, samples, access, rng) {
            self.offer(c);
        }
        self.candidates.pop()
    }
}

/// Random keys from random stripes on, at least one if any qualifies.
fn sample(keyspace: &Keyspace, policy: Policy, samples: usize, access: Access, rng: &mut Random) -> Vec<Candidate> {
    let mut out: Vec<Candidate> = Vec::new();
    let start = rng.below(STRIPES as u64) as usize;
    for k in 0..STRIPES {
        let n = ((start + k) % STRIPES) as u16;
        let mut space = keyspace.space(access);
        if !space.lock_stripe_unless_busy(n) {
            break;
        }
        for db in 0..keyspace.databases() {
            let table = &space.stripe(n).database(db).table;
            let have = if policy.volatile { table.deadlines() } else { table.len() };
            if have == 0 {
                continue;
            }
            // Where few keys have a deadline, random places mostly miss them: then all of this small part are looked at.
            if policy.volatile && have * 8 < table.len() {
                table.for_each(|r| {
                    if r.deadline().is_some() && out.len() < samples * 8 {
                        out.push(candidate(r, db, policy, access));
                    }
                });
                continue;
            }
            for _ in 0..samples.min(have * 2) {
                if let Some(r) = table.random(rng)
                    && (!policy.volatile || r.deadline().is_some())
                {
                    out.push(candidate(&r, db, policy, access));
                }
            }
        }
        if out.len() >= samples {
            break;
        }
    }
    out
}

fn candidate(r: &crate::value::record::Record, db: u32, policy: Policy, access: Access) -> Candidate {
    let score = match policy.pick {
        Pick::Lru => access.idle_seconds(r.access()),
        Pick::Lfu => 255 - u64::from(access.frequency(r.access())),
        Pick::Ttl => u64::MAX - r.deadline().unwrap_or(i64::MAX).max(0) as u64,
        Pick::Random => 0,
    };
    Candidate { score, db, name: r.name().to_vec() }
}

impl Space<'_> {
    /// Evicts a key of a held stripe if it is still there and still qualifies. True if it went.
    pub fn evict(&mut self, candidate: &Candidate, policy: Policy) -> bool {
        let key = Key::new(candidate.db, &candidate.name);
        match self.peek(key) {
            Some(r) if !policy.volatile || r.deadline().is_some() => {}
            _ => return false,
        }
        let Some(record) = self.remove(key) else { return false };
        self.deleted_by_itself(key, EventClass::EVICTED, "evicted");
        self.discard(record);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::AccessPolicy;
    use super::*;
    use crate::value::record::Content;

    #[test]
    fn the_longest_unused_keys_go_first() {
        let ks = Keyspace::new(1);
        for i in 0..100i64 {
            let name = format!("k{i}");
            let key = Key::new(0, name.as_bytes());
            let at = Access { policy: AccessPolicy::Lru, now_ms: i * 10_000 };
            ks.lock_one(key.hash.stripe, at).set(key, Content::Int(i), Some(None));
        }
        let access = Access { policy: AccessPolicy::Lru, now_ms: 2_000_000 };
        let policy = Policy { pick: Pick::Lru, volatile: false };
        let (mut pool, mut rng, mut old) = (EvictionPool::default(), Random::new(3), 0);
        for _ in 0..50 {
            let c = pool.pick(&ks, policy, 10, access, &mut rng).unwrap();
            let key = Key::new(c.db, &c.name);
            if ks.lock_one(key.hash.stripe, access).evict(&c, policy) {
                old += usize::from(String::from_utf8_lossy(&c.name[1..]).parse::<i64>().unwrap() < 50);
            }
        }
        assert!(old > 38, "{old} of 50 were of the older half");
    }

    #[test]
    fn volatile_policies_leave_other_keys_alone() {
        let ks = Keyspace::new(1);
        let access = Access { policy: AccessPolicy::Lru, now_ms: 1 };
        let key = Key::new(0, b"k");
        ks.lock_one(key.hash.stripe, access).set(key, Content::Int(1), Some(None));
        let policy = Policy { pick: Pick::Ttl, volatile: true };
        assert!(EvictionPool::default().pick(&ks, policy, 5, access, &mut Random::new(1)).is_none());
    }
}
