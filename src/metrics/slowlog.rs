//! The command logs: slow executions, large requests, large replies. SLOWLOG reads the first, COMMANDLOG all three.
//!
//! Each is a bounded ring of entries with trimmed arguments; whether a command is logged at all is one relaxed load.
//! Redaction of secrets is done by the caller, on the arguments it passes in.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Arguments kept of an entry; the last of them says how many more there were.
pub const ARGS_MAX: usize = 32;
/// Bytes kept of an argument.
pub const ARG_BYTES_MAX: usize = 128;

/// Which of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By execution time, in microseconds.
    Slow,
    /// By the bytes of the request.
    LargeRequest,
    /// By the bytes of the reply.
    LargeReply,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Slow, Kind::LargeRequest, Kind::LargeReply];

    /// The word COMMANDLOG knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Slow => "slow",
            Kind::LargeRequest => "large-request",
            Kind::LargeReply => "large-reply",
        }
    }

    /// The kind of a word, in any case.
    pub fn parse(word: &[u8]) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name().as_bytes().eq_ignore_ascii_case(word))
    }
}

/// A logged command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Rises by one with each entry of its log, also across resets.
    pub id: u64,
    /// Unix time in seconds.
    pub time_s: i64,
    /// Microseconds or bytes, by the log's kind.
    pub value: u64,
    /// The command and its arguments, trimmed.
    pub argv: Vec<Box<[u8]>>,
    /// The client's address and port.
    pub client_addr: Box<str>,
    /// The client's name, empty if it has none.
    pub client_name: Box<[u8]>,
}

/// What the caller knows of a command that ran.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// Unix time in seconds.
    pub time_s: i64,
    /// Microseconds or bytes, by the log's kind.
    pub value: u64,
    /// The command's arguments with its name first, secrets already redacted.
    pub argv: &'a [&'a [u8]],
    /// The client's address and port.
    pub client_addr: &'a str,
    /// The client's name.
    pub client_name: &'a [u8],
}

/// One log.
#[derive(Debug)]
pub struct CommandLog {
    threshold: AtomicI64,
    len_max: AtomicUsize,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<Arc<Entry>>,
    next_id: u64,
}

fn trim(argv: &[&[u8]]) -> Vec<Box<[u8]>> {
    let shown = if argv.len() > ARGS_MAX { ARGS_MAX - 1 } else { argv.len() };
    let mut out: Vec<Box<[u8]>> = Vec::with_capacity(argv.len().min(ARGS_MAX));
    out.extend(argv.iter().take(shown).map(|arg| match arg.split_at_checked(ARG_BYTES_MAX) {
        Some((head, rest)) if !rest.is_empty() => {
            [head, format!("... ({} more bytes)", rest.len()).as_bytes()].concat().into_boxed_slice()
        }
        _ => Box::from(*arg),
    }));
    if shown < argv.len() {
        out.push(format!("... ({} more arguments)", argv.len() - shown).into_bytes().into_boxed_slice());
    }
    out
}

impl CommandLog {
    /// An empty log. A negative threshold switches it off, 0 logs everything.
    pub const fn new(threshold: i64, len_max: usize) -> Self {
        CommandLog {
            threshold: AtomicI64::new(threshold),
            len_max: AtomicUsize::new(len_max),
            ring: Mutex::new(Ring { entries: VecDeque::new(), next_id: 0 }),
        }
    }

    /// Whether a command of this many microseconds or bytes is to be logged; ask before gathering the event.
    #[inline]
    pub fn wants(&self, value: u64) -> bool {
        u64::try_from(self.threshold.load(Ordering::Relaxed)).is_ok_and(|threshold| value >= threshold)
            && self.len_max.load(Ordering::Relaxed) > 0
    }

    /// Logs an event if it is [wanted](Self::wants); the oldest entry gives way.
    pub fn record(&self, event: Event<'_>) {
        if !self.wants(event.value) {
            return;
        }
        let mut entry = Entry {
            id: 0,
            time_s: event.time_s,
            value: event.value,
            argv: trim(event.argv),
            client_addr: event.client_addr.into(),
            client_name: event.client_name.into(),
        };
        let len_max = self.len_max.load(Ordering::Relaxed);
        let mut ring = self.ring.lock();
        entry.id = ring.next_id;
        ring.next_id += 1;
        ring.entries.push_front(Arc::new(entry));
        ring.entries.truncate(len_max);
    }

    /// The newest `count` entries (`None`: all), newest first.
    pub fn get(&self, count: Option<usize>) -> Vec<Arc<Entry>> {
        let ring = self.ring.lock();
        ring.entries.iter().take(count.unwrap_or(usize::MAX)).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.ring.lock().entries.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all entries; ids go on rising.
    pub fn reset(&self) {
        let old = std::mem::take(&mut self.ring.lock().entries);
        drop(old);
    }

    /// The threshold in microseconds or bytes; negative is off.
    pub fn threshold(&self) -> i64 {
        self.threshold.load(Ordering::Relaxed)
    }

    /// Changes the threshold.
    pub fn set_threshold(&self, threshold: i64) {
        self.threshold.store(threshold, Ordering::Relaxed);
    }

    /// Changes the number of entries kept. Surplus entries go with the next one logged, as in Valkey.
    pub fn set_len_max(&self, len_max: usize) {
        self.len_max.store(len_max, Ordering::Relaxed);
    }
}

/// The three logs.
#[derive(Debug)]
pub struct CommandLogs([CommandLog; 3]);

impl CommandLogs {
    /// Empty logs with the default thresholds: 10 ms, 1 MiB, 1 MiB; 128 entries each.
    pub const fn new() -> Self {
        CommandLogs([CommandLog::new(10_000, 128), CommandLog::new(1_048_576, 128), CommandLog::new(1_048_576, 128)])
    }

    /// One of the logs.
    pub const fn of(&self, kind: Kind) -> &CommandLog {
        let [slow, request, reply] = &self.0;
        match kind {
            Kind::Slow => slow,
            Kind::LargeRequest => request,
            Kind::LargeReply => reply,
        }
    }
}

impl Default for CommandLogs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(log: &CommandLog, value: u64, argv: &[&[u8]]) {
        log.record(Event { time_s: 1, value, argv, client_addr: "127.0.0.1:1", client_name: b"n" });
    }

    #[test]
    fn arguments_are_trimmed_as_valkey_does() {
        let long = [b'A'; 129];
        let trimmed = trim(&[b"sadd", &long]);
        assert_eq!(trimmed[1].as_ref(), [&long[..128], b"... (1 more bytes)"].concat());
        assert_eq!(trim(&[&long[..128]])[0].as_ref(), &long[..128]);
        let many = trim(&[&b"x"[..]; 33]);
        assert_eq!((many.len(), many[31].as_ref()), (32, &b"... (2 more arguments)"[..]));
        assert_eq!(trim(&[&b"x"[..]; 32]).last().map(|a| a.as_ref()), Some(&b"x"[..]));
    }

    #[test]
    fn a_log_keeps_the_newest_and_counts_on() {
        let l = CommandLog::new(10, 3);
        for value in [9, 10, 11, 12, 13] {
            log(&l, value, &[b"ping"]);
        }
        let values = |count| l.get(count).iter().map(|e| (e.id, e.value)).collect::<Vec<_>>();
        assert_eq!(values(None), [(3, 13), (2, 12), (1, 11)]);
        assert_eq!(values(Some(1)), [(3, 13)]);
        l.reset();
        assert!(l.is_empty());
        log(&l, 20, &[b"ping"]);
        assert_eq!(values(None), [(4, 20)]);
    }

    #[test]
    fn a_shorter_length_takes_effect_with_the_next_entry() {
        let l = CommandLog::new(0, 10);
        (0..10).for_each(|v| log(&l, v, &[b"ping"]));
        l.set_len_max(2);
        assert_eq!(l.len(), 10);
        log(&l, 1, &[b"ping"]);
        assert_eq!(l.len(), 2);
    }

    #[test]
    fn off_and_length_zero_log_nothing_and_use_no_id() {
        let l = CommandLog::new(-1, 10);
        log(&l, u64::MAX, &[b"ping"]);
        l.set_threshold(0);
        l.set_len_max(0);
        log(&l, 5, &[b"ping"]);
        assert!(l.is_empty());
        l.set_len_max(1);
        log(&l, 5, &[b"ping"]);
        assert_eq!(l.get(None)[0].id, 0);
    }

    #[test]
    fn kinds_are_found_in_any_case() {
        assert_eq!(Kind::parse(b"Large-Reply"), Some(Kind::LargeReply));
        assert_eq!(Kind::parse(b"fast"), None);
    }
}
