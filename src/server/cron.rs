//! Periodic tasks, `hz` times a second, on the main thread: expiry, samples, peaks.

use crate::base::{clock, memory};
use crate::commands::Node;
use crate::engine::upkeep::Expiry;
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use crate::replication::{Host, Replication};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the tasks remember.
pub struct Cron {
    expiry: Expiry,
    recorder: Recorder,
    last_sample_ms: u64,
}

impl Cron {
    pub fn new(recorder: Recorder) -> Cron {
        Cron { expiry: Expiry::default(), recorder, last_sample_ms: 0 }
    }

    /// One round. Returns the time to the next.
    pub fn run(&mut self, node: &Arc<Node>) -> Duration {
        let config = node.config.current();
        let period = Duration::from_millis(1000 / u64::from(config.general.hz.clamp(1, 500)));
        // A quarter of one core at the most for expiry at the usual effort, as Valkey allows itself.
        let share = 25 + 2 * (config.memory.active_expire_effort.clamp(1, 10) - 1);
        if node.cron_paused.load(Ordering::Relaxed) {
            return period;
        }
        let begin = clock::monotonic_ns();
        let whole = self.expiry.run(node, &config, clock::wall_ms(), period * share / 100, &mut self.recorder);
        if !whole {
            self.recorder.counters.add(Counter::ExpiredTimeCapReached, 1);
        }
        let spent_ms = (clock::monotonic_ns() - begin) / 1_000_000;
        if node.metrics.latency.wants(spent_ms) {
            node.metrics.latency.record("expire-cycle", clock::wall_ms() / 1000, spent_ms);
        }
        let host: Arc<dyn Host> = Arc::clone(node) as Arc<dyn Host>;
        Replication::round(&host);
        let now = clock::monotonic_ms();
        if now - self.last_sample_ms >= 100 {
            self.last_sample_ms = now;
            let m = &node.metrics;
            m.ops.sample(now, m.counters.get(Counter::CommandsProcessed));
            m.net_input.sample(now, m.counters.get(Counter::NetInputBytes));
            m.net_output.sample(now, m.counters.get(Counter::NetOutputBytes));
        }
        node.peak_memory.fetch_max(memory::used(), Ordering::Relaxed);
        period
    }
}
