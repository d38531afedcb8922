//! All statistics of a server, and each thread's right to add to them.

use super::command_stats::{CommandRecorder, CommandStats};
use super::counters::{Counter, CounterRecorder, Counters};
use super::errors::{ErrorStats, Origin};
use super::latency::LatencyMonitor;
use super::sampler::Sampler;
use super::slowlog::CommandLogs;
use std::sync::atomic::{AtomicU64, Ordering};

/// What readers see.
pub struct Metrics {
    pub commands: CommandStats,
    pub counters: Counters,
    pub errors: ErrorStats,
    pub logs: CommandLogs,
    pub latency: LatencyMonitor,
    pub ops: Sampler,
    pub net_input: Sampler,
    pub net_output: Sampler,
    /// Turns of all workers, and the microseconds in them.
    pub turns: Sampler,
    pub turn_us: Sampler,
    pub peaks: Peaks,
}

/// What `INFO debug` tells of the workers' turns and of the periodic tasks since the last reset.
#[derive(Debug, Default)]
pub struct Peaks {
    /// Microseconds of the longest turn, and the commands of the fullest.
    turn_us: AtomicU64,
    turn_commands: AtomicU64,
    /// Microseconds in periodic tasks.
    pub cron_us: AtomicU64,
}

impl Peaks {
    /// Notes a turn. Nearly none is a peak, so nearly none writes what the workers have in common.
    #[inline]
    pub fn turn(&self, us: u64, commands: u64) {
        for (peak, value) in [(&self.turn_us, us), (&self.turn_commands, commands)] {
            if peak.load(Ordering::Relaxed) < value {
                peak.fetch_max(value, Ordering::Relaxed);
            }
        }
    }

    /// Microseconds of the longest turn, and the commands of the fullest.
    pub fn of_turns(&self) -> (u64, u64) {
        (self.turn_us.load(Ordering::Relaxed), self.turn_commands.load(Ordering::Relaxed))
    }

    fn reset(&self) {
        [&self.turn_us, &self.turn_commands, &self.cron_us].iter().for_each(|n| n.store(0, Ordering::Relaxed));
    }
}

/// One thread's side.
pub struct Recorder {
    pub commands: CommandRecorder,
    pub counters: CounterRecorder,
    /// Nanoseconds of commands that have not been counted yet.
    pub busy_ns: u64,
}

impl Metrics {
    /// For `commands` commands and `threads` threads that count.
    pub fn new(commands: usize, threads: usize) -> (Metrics, Vec<Recorder>) {
        let (command_stats, command_recorders) = CommandStats::new(commands, threads);
        let (counters, counter_recorders) = Counters::new(threads);
        let metrics = Metrics {
            commands: command_stats,
            counters,
            errors: ErrorStats::new(),
            logs: CommandLogs::new(),
            latency: LatencyMonitor::new(),
            ops: Sampler::new(),
            net_input: Sampler::new(),
            net_output: Sampler::new(),
            turns: Sampler::new(),
            turn_us: Sampler::new(),
            peaks: Peaks::default(),
        };
        let recorders = command_recorders
            .into_iter()
            .zip(counter_recorders)
            .map(|(commands, counters)| Recorder { commands, counters, busy_ns: 0 })
            .collect();
        (metrics, recorders)
    }

    /// One more thread's side, as long as there is room for one.
    pub fn recorder(&self) -> Option<Recorder> {
        Some(Recorder { commands: self.commands.add()?, counters: self.counters.add()?, busy_ns: 0 })
    }

    /// Counts an error reply by its kind; `text` has no leading `-`.
    pub fn error(&self, recorder: &mut Recorder, text: &[u8]) {
        self.errors.record(text, Origin::Own);
        recorder.counters.add(Counter::ErrorReplies, 1);
    }

    /// The same for an error in a script's own words.
    pub fn script_error(&self, recorder: &mut Recorder, text: &[u8]) {
        self.errors.record(text, Origin::Script);
        recorder.counters.add(Counter::ErrorReplies, 1);
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        self.commands.reset();
        self.counters.reset();
        self.errors.reset();
        self.ops.reset();
        self.net_input.reset();
        self.net_output.reset();
        self.turns.reset();
        self.turn_us.reset();
        self.peaks.reset();
    }
}
