//! Keeping below `maxmemory`.

use super::Turn;
use crate::base::clock;
use crate::base::hash::Random;
use crate::config::types::EvictionPolicy;
use crate::journal::State;
use crate::keyspace::{EvictionPool, Key, Pick, Policy};

/// A worker's part in eviction: its candidates live on between turns.
#[derive(Debug)]
pub struct Evictor {
    pool: EvictionPool,
    rng: Random,
    /// Until when (monotonic ns) nothing is looked for again under a policy that has found no key at all.
    fruitless: Option<(Policy, u64)>,
    /// Memory is above its limit, and a command's share of the time was not enough: the worker goes on between its turns.
    pub pending: bool,
}

impl Evictor {
    pub fn new(seed: u64) -> Evictor {
        Evictor { pool: EvictionPool::default(), rng: Random::new(seed), fruitless: None, pending: false }
    }
}

/// What has become evictable meanwhile is found after this at the latest.
const FRUITLESS_NS_MAX: u64 = 20_000_000;

/// How long one command evicts before it goes on and the next continues, by `maxmemory-eviction-tenacity`: up to 10 half a millisecond
/// in even steps, then 15 % more a step, 100 as long as it takes.
fn patience_ns(tenacity: u32) -> u64 {
    const STEP_NS: u64 = 50_000;
    match tenacity {
        0..=10 => STEP_NS * u64::from(tenacity),
        11..=99 => (STEP_NS as f64 * 10.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

fn policy(configured: EvictionPolicy) -> Option<Policy> {
    use EvictionPolicy as E;
    let (pick, volatile) = match configured {
        E::Noeviction => return None,
        E::AllkeysLru => (Pick::Lru, false),
        E::AllkeysLfu => (Pick::Lfu, false),
        E::AllkeysRandom => (Pick::Random, false),
        E::VolatileLru => (Pick::Lru, true),
        E::VolatileLfu => (Pick::Lfu, true),
        E::VolatileRandom => (Pick::Random, true),
        E::VolatileTtl => (Pick::Ttl, true),
    };
    Some(Policy { pick, volatile })
}

impl Turn<'_> {
    /// Evicts until memory is below its limit, or for as long as one command may. False if nothing is left that could go. No lock is held.
    /// A busy script ends it: the command that wanted the memory hears so where it wants its locks.
    pub fn evict(&mut self) -> bool {
        let limit = self.gates.maxmemory;
        self.evictor.pending = false;
        if self.node.journal.state() == State::Following {
            // What goes is the primary's to say.
            return limit == 0 || self.node.memory_for_data() <= limit;
        }
        if limit == 0 || self.node.memory_for_data() <= limit {
            return true;
        }
        if self.config.memory.import_mode {
            // What is imported is all to stay: there is no room, and none is made.
            return false;
        }
        // Nothing changes while clients are paused: whoever paused them counts on it.
        if self.gates.paused_writes {
            return true;
        }
        let Some(policy) = policy(self.config.memory.maxmemory_policy) else { return false };
        let samples = self.config.memory.maxmemory_samples as usize;
        if self.evictor.fruitless.is_some_and(|(of, until)| of == policy && clock::monotonic_ns() < until) {
            return false;
        }
        let (begin, patience) = (clock::monotonic_ns(), patience_ns(self.config.memory.maxmemory_eviction_tenacity));
        loop {
            let access = self.space.access;
            let Some(c) = self.evictor.pool.pick(&self.node.keyspace, policy, samples, access, &mut self.evictor.rng)
            else {
                // The whole key space was looked at for nothing: writers that are refused may spend a tenth of the time on that, no more.
                let now = clock::monotonic_ns();
                self.evictor.fruitless = Some((policy, now + (now - begin).saturating_mul(9).min(FRUITLESS_NS_MAX)));
                return self.node.keyspace.is_busy() || self.node.memory_for_data() <= limit;
            };
            let key = Key::new(c.db, &c.name);
            if !self.space.lock_stripe_unless_busy(key.hash.stripe) {
                return true;
            }
            let gone = self.space.evict(&c, policy);
            self.node.journal.append(&mut self.space.changes.effects);
            self.space.unlock();
            if gone {
                self.recorder.counters.add(crate::metrics::counters::Counter::EvictedKeys, 1);
                self.dirty += 1;
            }
            // Freed here and now: memory that another thread frees later would let more go than is needed.
            self.space.changes.unlinked.clear();
            self.space.changes.ready.clear();
            self.end_invalidation();
            super::events::publish(self.node, &self.config, &mut self.space.changes.events);
            if self.node.memory_for_data() <= limit {
                return true;
            }
            if gone && clock::monotonic_ns() - begin > patience {
                // Memory is above its limit, but going down: the command may run.
                self.evictor.pending = true;
                return true;
            }
        }
    }
}
