//! Keeping below `maxmemory`.

use super::Turn;
use crate::base::hash::Random;
use crate::config::types::EvictionPolicy;
use crate::keyspace::{EvictionPool, Key, Pick, Policy};

/// A worker's part in eviction: its candidates live on between turns.
#[derive(Debug)]
pub struct Evictor {
    pool: EvictionPool,
    rng: Random,
}

impl Evictor {
    pub fn new(seed: u64) -> Evictor {
        Evictor { pool: EvictionPool::default(), rng: Random::new(seed) }
    }
}

/// Keys one command evicts at the most before it goes on: beyond that it is refused, and the next one continues.
const EVICTIONS_MAX: usize = 4096;

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
    /// Evicts until memory is below its limit. False if it stays above. No lock is held.
    pub fn evict(&mut self) -> bool {
        let limit = self.gates.maxmemory;
        if limit == 0 || self.node.memory_for_data() <= limit {
            return true;
        }
        if self.config.memory.import_mode {
            return true;
        }
        let Some(policy) = policy(self.config.memory.maxmemory_policy) else { return false };
        let samples = self.config.memory.maxmemory_samples as usize;
        for _ in 0..EVICTIONS_MAX {
            let access = self.space.access;
            let Some(c) = self.evictor.pool.pick(&self.node.keyspace, policy, samples, access, &mut self.evictor.rng)
            else {
                return self.node.memory_for_data() <= limit;
            };
            let key = Key::new(c.db, &c.name);
            self.space.lock_stripe(key.hash.stripe);
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
            super::events::publish(self.node, &self.config, &mut self.space.changes.events);
            if self.node.memory_for_data() <= limit {
                return true;
            }
        }
        false
    }
}
