//! What goes on without being asked: expired keys go.

use crate::base::clock;
use crate::commands::Node;
use crate::config::Config;
use crate::journal::State;
use crate::keyspace::{Garbage, STRIPES};
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Keys one visit of a stripe takes out: some ten microseconds under its lock.
const EXPIRE_PER_VISIT: usize = 64;

/// Where active expiry stands between calls.
#[derive(Debug, Default)]
pub struct Expiry {
    stripe: usize,
    db: u32,
}

impl Expiry {
    /// Deletes keys whose time has come, for at most `budget`. Returns true if a whole round was made.
    pub fn run(
        &mut self,
        node: &Arc<Node>,
        config: &Config,
        now_ms: i64,
        budget: Duration,
        recorder: &mut Recorder,
    ) -> bool {
        if !node.active_expire.load(Ordering::Relaxed) || config.memory.import_mode {
            return true;
        }
        if node.paused.load(Ordering::Acquire) && node.pause.lock().until_ms > now_ms {
            // Nothing changes while clients are paused: whoever paused them counts on it.
            return true;
        }
        if node.journal.state() == State::Following {
            // What is past its deadline goes when the primary says so, but for what it knows nothing of.
            expire_own(node, config, now_ms, recorder);
            return true;
        }
        if node.keyspace.own_keys() > 0 {
            forget_own(node, config, now_ms);
        }
        let begin = clock::monotonic_ns();
        let mut space = node.keyspace.space(super::access(config, now_ms));
        space.events_wanted = super::events::wanted(node, config);
        let databases = node.keyspace.databases();
        let mut whole = true;
        'round: for _ in 0..STRIPES {
            loop {
                if !space.lock_stripe_unless_busy(self.stripe as u16) {
                    // A script is in the way: this goes on where it is, once the script is over.
                    break 'round;
                }
                let mut more = false;
                while self.db < databases {
                    let (_, again) = space.expire_due(self.stripe as u16, self.db, EXPIRE_PER_VISIT);
                    if again {
                        more = true;
                        break;
                    }
                    self.db += 1;
                }
                if !more {
                    more = space.expire_fields_due(self.stripe as u16, EXPIRE_PER_VISIT).1;
                }
                node.journal.append(&mut space.changes.effects);
                space.unlock();
                let unlinked = std::mem::take(&mut space.changes.unlinked);
                if !unlinked.is_empty() {
                    node.freer.free(Garbage::Records(unlinked));
                }
                space.changes.ready.clear();
                super::tracking::invalidate(node, &mut space.changes.invalidated);
                super::events::publish(node, config, &mut space.changes.events);
                if !more {
                    break;
                }
                if Duration::from_nanos(clock::monotonic_ns() - begin) > budget {
                    whole = false;
                    break;
                }
            }
            if !whole {
                break;
            }
            self.db = 0;
            self.stripe = (self.stripe + 1) % STRIPES;
            if Duration::from_nanos(clock::monotonic_ns() - begin) > budget {
                whole = false;
                break;
            }
        }
        node.journal.ring();
        recorder.counters.add(Counter::ExpiredFields, space.changes.expired_fields);
        recorder.counters.add(Counter::ExpiredKeys, space.changes.expired);
        node.saver.changes.fetch_add(space.changes.expired, Ordering::Relaxed);
        whole
    }
}

/// What this server was written while it followed another goes like all else, now that it does not.
#[cold]
fn forget_own(node: &Arc<Node>, config: &Config, now_ms: i64) {
    let mut space = node.keyspace.space(super::access(config, now_ms));
    for stripe in 0..STRIPES as u16 {
        if !space.lock_stripe_unless_busy(stripe) {
            return;
        }
        if node.journal.state() != State::Following {
            space.forget_own(stripe);
        }
        space.unlock();
    }
}

/// Deletes what clients of a replica have written themselves and whose time has come.
fn expire_own(node: &Arc<Node>, config: &Config, now_ms: i64, recorder: &mut Recorder) {
    if config.replication.replica_read_only {
        return;
    }
    let mut space = node.keyspace.space(super::access(config, now_ms));
    space.events_wanted = super::events::wanted(node, config);
    for stripe in 0..STRIPES {
        if !space.lock_stripe_unless_busy(stripe as u16) {
            return;
        }
        if node.journal.state() == State::Following {
            space.expire_own(stripe as u16, EXPIRE_PER_VISIT);
        }
        space.unlock();
        let unlinked = std::mem::take(&mut space.changes.unlinked);
        if !unlinked.is_empty() {
            node.freer.free(Garbage::Records(unlinked));
        }
        space.changes.ready.clear();
        space.changes.effects.clear();
        super::tracking::invalidate(node, &mut space.changes.invalidated);
        super::events::publish(node, config, &mut space.changes.events);
    }
    recorder.counters.add(Counter::ExpiredKeys, space.changes.expired);
}
