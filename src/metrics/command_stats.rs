//! Calls, time, rejections, failures and latencies per command, in the cells of the worker that ran it.
//!
//! Commands (and subcommands) are known by their index in the command table; names are the reader's business.

use super::cells::{Cells, Count, Registry, Writer};
use super::histogram::{Histogram, Summary};
use std::fmt;
use std::sync::{Arc, OnceLock};

#[derive(Default)]
struct Row {
    calls: Count,
    ns: Count,
    rejected: Count,
    failed: Count,
    latency: OnceLock<Box<Histogram>>,
}

/// One worker's rows, one per command.
pub struct Rows(Box<[Row]>);

impl Cells for Rows {
    fn clear(&self) {
        for row in &self.0 {
            [&row.calls, &row.ns, &row.rejected, &row.failed].into_iter().for_each(Count::clear);
            if let Some(latency) = row.latency.get() {
                latency.clear();
            }
        }
    }
}

/// The worker's side. Command ids beyond the table are not counted.
pub struct CommandRecorder(Writer<Rows>);

impl CommandRecorder {
    /// A command ran for `ns` nanoseconds; `failed` if its reply was an error. `tracked` adds it to the latency
    /// histogram (the directive latency-tracking).
    #[inline(always)]
    pub fn ran(&mut self, command: usize, ns: u64, failed: bool, tracked: bool) {
        let Some(row) = self.0.cells().0.get(command) else { return };
        row.calls.add(1);
        row.ns.add(ns);
        if failed {
            row.failed.add(1);
        }
        if tracked {
            row.latency.get_or_init(Default::default).record(ns);
        }
    }

    /// A command was refused before it ran: arity, permission, memory, state.
    pub fn rejected(&mut self, command: usize) {
        if let Some(row) = self.0.cells().0.get(command) {
            row.rejected.add(1);
        }
    }
}

/// One command's figures over all workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommandTotals {
    /// Times it ran.
    pub calls: u64,
    /// Time it ran, in nanoseconds.
    pub ns: u64,
    /// Times it was refused before it ran.
    pub rejected_calls: u64,
    /// Times it ran and answered an error.
    pub failed_calls: u64,
}

impl CommandTotals {
    /// Whether INFO commandstats has a row for it.
    pub fn is_used(&self) -> bool {
        self.calls > 0 || self.rejected_calls > 0 || self.failed_calls > 0
    }
}

/// The value of a `cmdstat_<command>` row.
impl fmt::Display for CommandTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usec = self.ns / 1000;
        let per_call = if self.calls == 0 { 0.0 } else { self.ns as f64 / 1000.0 / self.calls as f64 };
        write!(
            f,
            "calls={},usec={usec},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
            self.calls, self.rejected_calls, self.failed_calls
        )
    }
}

/// The readers' side.
#[derive(Clone)]
pub struct CommandStats(Arc<Registry<Rows>>);

impl CommandStats {
    /// Cells for `commands` commands and `workers` workers, and each worker's recorder.
    pub fn new(commands: usize, workers: usize) -> (Self, Vec<CommandRecorder>) {
        let (registry, writers) = Registry::new(workers, move || Rows((0..commands).map(|_| Row::default()).collect()));
        (CommandStats(registry), writers.into_iter().map(CommandRecorder).collect())
    }

    /// One more thread's recorder, as long as there is room for one.
    pub fn add(&self) -> Option<CommandRecorder> {
        self.0.add().map(CommandRecorder)
    }

    /// The figures of one command; zeros for an id beyond the table.
    pub fn totals(&self, command: usize) -> CommandTotals {
        let mut t = CommandTotals::default();
        for row in self.0.blocks().filter_map(|rows| rows.0.get(command)) {
            t.calls += row.calls.get();
            t.ns = t.ns.wrapping_add(row.ns.get());
            t.rejected_calls += row.rejected.get();
            t.failed_calls += row.failed.get();
        }
        t
    }

    /// The latencies of one command, `None` if none was recorded.
    pub fn latency(&self, command: usize) -> Option<Summary> {
        let mut histograms =
            self.0.blocks().filter_map(|rows| rows.0.get(command)?.latency.get().map(Box::as_ref)).peekable();
        histograms.peek()?;
        Some(Summary::of(histograms)).filter(|s| s.total() > 0)
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_over_workers_and_print_as_info_does() {
        let (stats, mut workers) = CommandStats::new(3, 2);
        workers[0].ran(1, 5_000, false, true);
        workers[1].ran(1, 6_000, true, true);
        workers[1].rejected(1);
        workers[1].ran(99, 1, false, true);
        assert_eq!(stats.totals(1).to_string(), "calls=2,usec=11,usec_per_call=5.50,rejected_calls=1,failed_calls=1");
        assert_eq!(stats.latency(1).map(|s| s.total()), Some(2));
        assert!(!stats.totals(0).is_used() && stats.latency(0).is_none());
    }

    #[test]
    fn a_reset_empties_rows_and_latencies() {
        let (stats, mut workers) = CommandStats::new(1, 1);
        workers[0].ran(0, 5_000, false, true);
        stats.reset();
        assert!(!stats.totals(0).is_used() && stats.latency(0).is_none());
        workers[0].ran(0, 7_000, false, false);
        assert_eq!(stats.totals(0).calls, 1);
        assert!(stats.latency(0).is_none(), "untracked calls leave no latency");
    }
}
