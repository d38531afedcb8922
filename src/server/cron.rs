//! Periodic tasks, `hz` times a second, on the main thread: expiry, samples, peaks, saves that are due.
//!
//! The main thread takes the signals too, so no task waits for the locks of a busy script: what needs them is done a round later.

use super::tuning;
use super::watch::Watch;
use crate::base::{clock, memory};
use crate::commands::Node;
use crate::commands::server::shutdown;
use crate::config::Config;
use crate::engine::access;
use crate::engine::upkeep::Expiry;
use crate::journal::State;
use crate::keyspace::Plan;
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use crate::persist;
use crate::replication::{Host, Replication};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two rewrites that nobody asked for: one that fails is not tried without end.
const REWRITE_PAUSE_MS: u64 = 5000;

/// What the tasks remember.
pub struct Cron {
    expiry: Expiry,
    recorder: Recorder,
    last_sample_ms: u64,
    next_rewrite_ms: u64,
    aof_progress: persist::aof::Progress,
    watch: Watch,
    /// The out-of-memory score in force is a replica's.
    scored_as_replica: bool,
}

impl Cron {
    pub fn new(recorder: Recorder) -> Cron {
        Cron {
            expiry: Expiry::default(),
            recorder,
            last_sample_ms: 0,
            next_rewrite_ms: 0,
            aof_progress: Default::default(),
            watch: Watch::default(),
            scored_as_replica: false,
        }
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
        node.keyspace.sweep_watches();
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
        shutdown::step(node, &config);
        let now = clock::monotonic_ms();
        if now - self.last_sample_ms >= 100 {
            self.last_sample_ms = now;
            let m = &node.metrics;
            m.ops.sample(now, m.counters.get(Counter::CommandsProcessed));
            m.net_input.sample(now, m.counters.get(Counter::NetInputBytes));
            m.net_output.sample(now, m.counters.get(Counter::NetOutputBytes));
            m.turns.sample(now, m.counters.get(Counter::EventloopCycles));
            m.turn_us.sample(now, m.counters.get(Counter::EventloopDurationUsec));
        }
        node.migrations.tidy(now);
        self.watch.look(node);
        let replica = node.journal.state() == State::Following;
        if replica != self.scored_as_replica {
            self.scored_as_replica = replica;
            if let Err(e) = tuning::apply_oom_score(&config, replica) {
                tracing::warn!("{e}");
            }
        }
        self.save(node, &config);
        self.rewrite(node, &config);
        let waived = config.persistence.no_appendfsync_on_rewrite && node.saver.running().is_some();
        let end = if waived { 0 } else { node.journal.end() };
        node.aof.watch(&mut self.aof_progress, end, clock::monotonic_ms());
        node.peak_memory.fetch_max(memory::used(), Ordering::Relaxed);
        node.metrics.peaks.cron_us.fetch_add((clock::monotonic_ns() - begin) / 1000, Ordering::Relaxed);
        period
    }

    /// Begins a save that is due.
    fn save(&self, node: &Arc<Node>, config: &Config) {
        let now_ms = clock::wall_ms();
        let Some(why) = node.saver.due(config, now_ms) else { return };
        tracing::info!("{why}");
        let mut space = node.keyspace.space(access(config, now_ms));
        if !space.lock_unless_busy(&Plan::All) {
            return;
        }
        // Something else may just have begun: then it stays due.
        let _ = node.saver.begin(node, &mut space);
    }

    /// Begins a rewrite of the append-only file that is due, or switches it on.
    fn rewrite(&mut self, node: &Arc<Node>, config: &Config) {
        let now = clock::monotonic_ms();
        if node.saver.running().is_some()
            || node.saver.is_withheld()
            || (node.aof.figures().last_rewrite_failed && now < self.next_rewrite_ms)
        {
            return;
        }
        let missing = config.persistence.appendonly && !node.aof.is_active();
        if !missing && !node.aof.is_scheduled() {
            let Some(percent) = node.aof.grown(config) else { return };
            tracing::info!("Starting automatic rewriting of AOF on {percent}% growth");
        }
        self.next_rewrite_ms = now + REWRITE_PAUSE_MS;
        let mut space = node.keyspace.space(access(config, clock::wall_ms()));
        if !space.lock_unless_busy(&Plan::All) {
            return;
        }
        if persist::aof::begin(node, &mut space).is_ok() {
            node.aof.unschedule();
        }
    }
}
