//! Latency events: what took longer than a threshold, by kind of work (`command`, `expire-cycle`, ...), for LATENCY.
//!
//! Per event a ring of the last [`SAMPLES_MAX`] seconds in which it happened, the worst of each second. Names are the
//! program's own constants, so the map is bounded by the code.

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Samples kept per event.
pub const SAMPLES_MAX: usize = 160;
/// Columns of a graph: a terminal's width.
const GRAPH_COLUMNS: usize = 80;
/// Rows of a graph.
const GRAPH_ROWS: u32 = 6;

/// The worst latency within one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Unix time in seconds.
    pub time_s: i64,
    /// Latency in milliseconds.
    pub latency_ms: u32,
}

#[derive(Debug, Default)]
struct Event {
    samples: VecDeque<Sample>,
    worst_ms: u32,
    sum_ms: u64,
    count: u64,
}

/// A row of LATENCY LATEST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    /// Name of the event.
    pub event: &'static str,
    /// The newest sample.
    pub last: Sample,
    /// The worst latency since the last reset, in milliseconds.
    pub worst_ms: u32,
    /// Sum of all latencies since the last reset, in milliseconds, also of those that share a second.
    pub sum_ms: u64,
    /// Number of latencies since the last reset.
    pub count: u64,
}

/// The monitor. Any thread may record; nothing is locked below the threshold.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    threshold_ms: AtomicU64,
    events: Mutex<BTreeMap<&'static str, Event>>,
}

impl LatencyMonitor {
    /// A monitor that is off.
    pub const fn new() -> Self {
        LatencyMonitor { threshold_ms: AtomicU64::new(0), events: Mutex::new(BTreeMap::new()) }
    }

    /// The threshold in milliseconds; 0 is off.
    pub fn threshold_ms(&self) -> u64 {
        self.threshold_ms.load(Ordering::Relaxed)
    }

    /// Changes the threshold; 0 switches the monitor off and keeps what it has.
    pub fn set_threshold_ms(&self, ms: u64) {
        self.threshold_ms.store(ms, Ordering::Relaxed);
    }

    /// Whether a latency is to be recorded.
    #[inline]
    pub fn wants(&self, latency_ms: u64) -> bool {
        let threshold = self.threshold_ms();
        threshold > 0 && latency_ms >= threshold
    }

    /// Records a latency if it is [wanted](Self::wants).
    pub fn record(&self, event: &'static str, time_s: i64, latency_ms: u64) {
        if !self.wants(latency_ms) {
            return;
        }
        let latency_ms = u32::try_from(latency_ms).unwrap_or(u32::MAX);
        let mut events = self.events.lock();
        let event = events.entry(event).or_default();
        event.worst_ms = event.worst_ms.max(latency_ms);
        event.sum_ms = event.sum_ms.saturating_add(u64::from(latency_ms));
        event.count += 1;
        match event.samples.back_mut() {
            Some(last) if last.time_s == time_s => last.latency_ms = last.latency_ms.max(latency_ms),
            _ => {
                if event.samples.len() == SAMPLES_MAX {
                    event.samples.pop_front();
                }
                event.samples.push_back(Sample { time_s, latency_ms });
            }
        }
    }

    /// LATENCY LATEST: one row per event, by name.
    pub fn latest(&self) -> Vec<Latest> {
        let row = |(event, e): (&&'static str, &Event)| {
            let last = *e.samples.back()?;
            Some(Latest { event, last, worst_ms: e.worst_ms, sum_ms: e.sum_ms, count: e.count })
        };
        self.events.lock().iter().filter_map(row).collect()
    }

    /// LATENCY HISTORY: the samples of an event, oldest first; empty for an event that has none.
    pub fn history(&self, event: &[u8]) -> Vec<Sample> {
        let events = self.events.lock();
        find(&events, event).map_or_else(Vec::new, |(_, e)| e.samples.iter().copied().collect())
    }

    /// LATENCY RESET: forgets the named events, or all of them if none is named; returns how many there were.
    pub fn reset(&self, names: &[&[u8]]) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        events.retain(|event, _| !names.is_empty() && !names.contains(&event.as_bytes()));
        before - events.len()
    }

    /// LATENCY GRAPH: a bar per sample, newest at the right, its age written below; `None` for an event without samples.
    pub fn graph(&self, event: &[u8], now_s: i64) -> Option<String> {
        let events = self.events.lock();
        let (name, event) = find(&events, event)?;
        let skip = event.samples.len().saturating_sub(GRAPH_COLUMNS);
        let samples: Vec<Sample> = event.samples.iter().skip(skip).copied().collect();
        let high = samples.iter().map(|s| s.latency_ms).max()?;
        let low = samples.iter().map(|s| s.latency_ms).min()?;
        let mut out = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", event.worst_ms);
        out.push_str(&"-".repeat(GRAPH_COLUMNS));
        out.push('\n');
        // Every bar has at least one row; the span between low and high is shared out over the others.
        let span = u64::from(high - low).max(1);
        let height = |s: &Sample| 1 + u64::from(s.latency_ms - low) * u64::from(GRAPH_ROWS - 1) / span;
        for row in (1..=u64::from(GRAPH_ROWS)).rev() {
            let line: String = samples.iter().map(|s| if height(s) >= row { '#' } else { ' ' }).collect();
            if !line.trim().is_empty() {
                let _ = writeln!(out, "{}", line.trim_end());
            }
        }
        let ages: Vec<String> = samples.iter().map(|s| age(now_s.saturating_sub(s.time_s))).collect();
        out.push('\n');
        for at in 0..ages.iter().map(String::len).max().unwrap_or(0) {
            let line: String = ages.iter().map(|a| a.as_bytes().get(at).map_or(' ', |b| char::from(*b))).collect();
            let _ = writeln!(out, "{}", line.trim_end());
        }
        Some(out)
    }

    /// LATENCY DOCTOR: what was seen and what to look at, in words. `slow_log_us` is the slow log's threshold in
    /// microseconds, negative if it is off.
    pub fn doctor(&self, slow_log_us: i64) -> String {
        let threshold = self.threshold_ms();
        let events = self.events.lock();
        if threshold == 0 && events.is_empty() {
            return "The latency monitor is switched off, so there is nothing to report. \
                    \"CONFIG SET latency-monitor-threshold <milliseconds>\" switches it on.\n"
                .to_owned();
        }
        if events.is_empty() {
            return format!("Nothing took {threshold} ms or longer since the latency monitor was last reset.\n");
        }
        let mut out = String::from("Work that took longer than the threshold:\n\n");
        for (name, e) in events.iter() {
            let n = e.samples.len().max(1) as u64;
            let mean = e.samples.iter().map(|s| u64::from(s.latency_ms)).sum::<u64>() / n;
            let deviation = e.samples.iter().map(|s| u64::from(s.latency_ms).abs_diff(mean)).sum::<u64>() / n;
            let time = |s: Option<&Sample>| s.map_or(0, |s| s.time_s);
            let span = time(e.samples.back()).saturating_sub(time(e.samples.front())).max(0);
            let _ = writeln!(
                out,
                "- {name}: {} times, in {n} recent seconds of a span of {span} s; mean {mean} ms, mean deviation \
                 {deviation} ms, worst ever {} ms.",
                e.count, e.worst_ms
            );
        }
        out.push_str("\nWhat to look at:\n\n");
        if events.contains_key("command") || events.contains_key("fast-command") {
            match u64::try_from(slow_log_us) {
                Err(_) => out.push_str(
                    "- The slow log is off, so the commands behind these delays are not recorded. Set \
                     commandlog-execution-slower-than to record them.\n",
                ),
                Ok(us) if us / 1000 > threshold => {
                    let _ = writeln!(
                        out,
                        "- The slow log begins at {us} us, above the monitor's threshold. Set \
                         commandlog-execution-slower-than to {} to see the same commands in both.",
                        threshold.saturating_mul(1000)
                    );
                }
                Ok(_) => out.push_str("- SLOWLOG GET lists the commands behind these delays.\n"),
            }
        }
        if events.keys().any(|name| name.starts_with("expire") || name.starts_with("evict")) {
            out.push_str(
                "- Expired or evicted values are large: lazyfree-lazy-expire and lazyfree-lazy-eviction free them in the \
                 background, smaller values avoid the cost.\n",
            );
        }
        if events.keys().any(|name| name.starts_with("aof") || name.starts_with("rdb")) {
            out.push_str("- The disk is slow to write or to sync: compare its load, and the appendfsync policy.\n");
        }
        out.push_str("- The machine itself may stall: measure it with the command line's --intrinsic-latency.\n");
        out
    }
}

fn find<'a>(events: &'a BTreeMap<&'static str, Event>, event: &[u8]) -> Option<(&'static str, &'a Event)> {
    events.iter().find(|(name, _)| name.as_bytes() == event).map(|(name, e)| (*name, e))
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3_600 => format!("{}m", s / 60),
        s @ 3_600..86_400 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor() -> LatencyMonitor {
        let m = LatencyMonitor::new();
        m.set_threshold_ms(1);
        for (i, ms) in [1, 2, 3, 50, 20, 100].into_iter().enumerate() {
            m.record("command", 1_000 + i as i64, ms);
        }
        m
    }

    #[test]
    fn a_second_keeps_its_worst_and_totals_count_all() {
        let m = LatencyMonitor::new();
        m.record("command", 7, 3);
        m.set_threshold_ms(2);
        for ms in [3, 5, 4, 1] {
            m.record("command", 7, ms);
        }
        assert_eq!(m.history(b"command"), [Sample { time_s: 7, latency_ms: 5 }]);
        let last = Sample { time_s: 7, latency_ms: 5 };
        assert_eq!(m.latest(), [Latest { event: "command", last, worst_ms: 5, sum_ms: 12, count: 3 }]);
    }

    #[test]
    fn history_is_bounded_and_oldest_first() {
        let m = LatencyMonitor::new();
        m.set_threshold_ms(1);
        (0..500).for_each(|t| m.record("command", t, 1));
        let history = m.history(b"command");
        assert_eq!((history.len(), history[0].time_s), (SAMPLES_MAX, 500 - SAMPLES_MAX as i64));
        assert!(m.history(b"nope").is_empty());
    }

    #[test]
    fn reset_tells_how_many_events_there_were() {
        let m = monitor();
        m.record("expire-cycle", 1, 9);
        assert_eq!(m.reset(&[b"nope"]), 0);
        assert_eq!(m.reset(&[b"command", b"command"]), 1);
        assert_eq!(m.reset(&[]), 1);
        assert!(m.latest().is_empty());
    }

    #[test]
    fn a_graph_has_a_bar_and_an_age_per_sample() {
        let graph = monitor().graph(b"command", 1_006).expect("there are samples");
        let lines: Vec<&str> = graph.lines().collect();
        assert_eq!(lines[0], "command - high 100 ms, low 1 ms (all time high 100 ms)");
        assert_eq!(lines[2], "     #");
        assert!(graph.ends_with("######\n\n654321\nssssss\n"), "{graph}");
        assert_eq!(monitor().graph(b"nope", 0), None);
    }

    #[test]
    fn the_doctor_speaks_in_each_state() {
        let off = LatencyMonitor::new();
        assert!(off.doctor(0).contains("latency-monitor-threshold"));
        off.set_threshold_ms(5);
        assert!(off.doctor(0).contains("5 ms"));
        assert!(monitor().doctor(-1).contains("slow log is off"));
        assert!(monitor().doctor(10_000).contains("slower-than to 1000"));
    }
}
