//! `watchdog-period`: for those who look for what holds clients up. A worker whose turn takes longer than the period has its stack
//! written into the log, once for each such turn.
//!
//! The thread is there only once it has been asked for, and costs a worker nothing: it reads what a worker tells of its turns anyway.

use crate::base::{clock, crash};
use crate::commands::Node;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A shorter period would report turns that only had a lot to do.
const PERIOD_MS_MIN: u64 = 50;
/// Looks in a period: a turn is found at most a quarter of one too late.
const LOOKS: u64 = 4;
/// While it is off.
const IDLE: Duration = Duration::from_millis(500);

/// Whether the thread runs.
static RUNS: Mutex<bool> = Mutex::new(false);

/// One worker, as it was when it was last seen to go on.
#[derive(Clone, Copy, Default)]
struct Seen {
    busy_ns: u64,
    since_ms: u64,
    told: bool,
}

impl Seen {
    /// True if its turn takes longer than `period_ms` and this is the first time that is seen.
    fn is_late(&mut self, (at_work, busy_ns): (bool, u64), now_ms: u64, period_ms: u64) -> bool {
        if !at_work || busy_ns != self.busy_ns {
            *self = Seen { busy_ns, since_ms: now_ms, told: false };
            return false;
        }
        let late = !self.told && now_ms.saturating_sub(self.since_ms) >= period_ms;
        self.told |= late;
        late
    }
}

/// Starts the thread if it is wanted and not there.
///
/// # Errors
/// There is no thread.
pub fn want(node: &Arc<Node>, period_ms: u64) -> Result<(), String> {
    let mut runs = RUNS.lock();
    if period_ms == 0 || *runs {
        return Ok(());
    }
    let node = Arc::downgrade(node);
    let thread = std::thread::Builder::new().name("watchdog".into());
    thread.spawn(move || watch(&node)).map_err(|e| format!("the watchdog's thread: {e}"))?;
    *runs = true;
    Ok(())
}

fn watch(node: &Weak<Node>) {
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        let Some(node) = node.upgrade() else { return };
        let period = u64::from(node.config.current().general.watchdog_period_ms);
        if period == 0 {
            drop(node);
            seen.clear();
            std::thread::sleep(IDLE);
            continue;
        }
        let (period, now) = (period.max(PERIOD_MS_MIN), clock::monotonic_ms());
        for (n, worker) in node.clients.workers().enumerate() {
            if n == seen.len() {
                seen.push(Seen { since_ms: now, ..Seen::default() });
            }
            if seen[n].is_late(worker.activity(), now, period) {
                tracing::warn!("--- WATCHDOG TIMER EXPIRED --- worker {n} is in a turn of more than {period} ms");
                crash::show(n);
            }
        }
        drop(node);
        std::thread::sleep(Duration::from_millis(period / LOOKS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_lasts_is_told_once_and_one_that_goes_on_never() {
        let mut seen = Seen::default();
        assert!(!seen.is_late((true, 0), 0, 100) && !seen.is_late((true, 0), 99, 100));
        assert!(seen.is_late((true, 0), 100, 100));
        assert!(!seen.is_late((true, 0), 900, 100), "once");
        assert!(!seen.is_late((true, 7), 1000, 100) && !seen.is_late((true, 7), 1099, 100), "a turn later");
        assert!(!seen.is_late((false, 7), 1200, 100) && !seen.is_late((false, 7), 9999, 100), "it waits");
        assert!(!seen.is_late((true, 7), 10_000, 100) && seen.is_late((true, 7), 10_100, 100));
    }
}
