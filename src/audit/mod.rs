//! The audit log: who did what, from where, with what outcome, in records that prove they were not changed afterwards.
//!
//! ```text
//! {"seq":7,"time":"2026-11-25T03:20:00.123Z","event":"login-failed","outcome":"denied","user":"ops",...,"prev":"<mac of 6>","mac":"<mac>"}
//! ```
//! A record is a line of JSON. Its `mac` is HMAC-SHA-256 over everything before it in the line, `prev` included, with a key that is
//! kept outside the log. So a changed byte breaks its own record, a missing or moved record breaks the one after it. What a chain
//! alone cannot show, that its beginning or its end was cut off, the head file beside the log shows: it names the oldest record that has not
//! passed its retention and the last that is on disk for sure, under the same key; a log without it does not verify.
//! Who can write the log, its head and the key can forge all three; who must be protected from has records sent elsewhere as well: to syslog, or to a [collector] over TLS.
//!
//! # Invariants
//! * A record is on its way before the reply to what it records: it is queued, and the queue is bounded by [`QUEUE_MAX`].
//! * A record is on disk before the head that names it: a crash in between leaves a log that is ahead of its head, which verifies.
//! * What was lost is recorded as lost (`audit-failure continue`), or nothing goes on until it can be written (`block`).
//!
//! Must never know: clients, commands. It is told facts.

mod collector;
mod key;
mod record;
mod verify;
mod writer;

pub use collector::{Collector, Link};
pub use key::Key;
pub use record::{Event, Outcome, Record};
pub use verify::{Broken, Fault, Verified, verify};
pub use writer::Settings;

use crate::base::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Records on their way to the disk: about ten seconds of a login storm, some MB of memory.
pub const QUEUE_MAX: usize = 8192;
/// Between two looks for room in a full queue: a write's time.
const ROOM_WAIT: Duration = Duration::from_millis(1);

/// Figures of a log that is on.
#[derive(Debug, Default)]
pub struct Figures {
    /// Records written.
    pub written: AtomicU64,
    /// Records that found the queue full.
    pub lost: AtomicU64,
    /// Number of the last record written.
    pub last_seq: AtomicU64,
    /// The last attempt to write failed.
    pub failing: AtomicBool,
    /// Records sent to the collector, those that it could not be sent in time, and whether it is reached.
    pub sent: AtomicU64,
    pub unsent: AtomicU64,
    pub collector_reached: AtomicBool,
}

enum Message {
    Record(Record),
    /// Everything before it is on disk when this is answered.
    Flush(SyncSender<()>),
}

/// The handle. Off unless it was started.
#[derive(Default)]
pub struct Audit {
    sender: Option<SyncSender<Message>>,
    figures: Arc<Figures>,
    collector: Option<SyncSender<collector::Item>>,
    /// `audit-failure block`.
    blocks: bool,
    /// Keys whose every use is recorded.
    key_patterns: Vec<Vec<u8>>,
}

impl Audit {
    /// Opens the log, takes up its chain, and starts the thread that writes.
    ///
    /// # Errors
    /// The log or its key cannot be used: a sentence with the remedy.
    pub fn start(mut settings: Settings) -> Result<Audit, String> {
        let (sender, receiver): (_, Receiver<Message>) = sync_channel(QUEUE_MAX);
        let figures = Arc::new(Figures::default());
        let (blocks, key_patterns) = (settings.blocks, settings.key_patterns.clone());
        let collector = settings.collector.take();
        let mut writer = writer::Writer::open(settings, Arc::clone(&figures))?;
        let collector = collector.map(|c| c.start(Arc::clone(&figures))).transpose()?;
        writer.collector.clone_from(&collector);
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer.run(&receiver))
            .map_err(|e| format!("the audit thread: {e}"))?;
        Ok(Audit { sender: Some(sender), collector, figures, blocks, key_patterns })
    }

    #[inline]
    pub fn is_on(&self) -> bool {
        self.sender.is_some()
    }

    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Patterns of keys whose use is to be recorded.
    pub fn key_patterns(&self) -> &[Vec<u8>] {
        &self.key_patterns
    }

    /// Whether commands are refused because their records could not be written.
    pub fn refuses(&self) -> bool {
        self.blocks && self.figures.failing.load(Ordering::Acquire)
    }

    /// Hands a record over. With `audit-failure block` it waits for room, else a record that finds none is counted as lost.
    pub fn record(&self, record: Record) {
        let Some(sender) = &self.sender else { return };
        let kept = match sender.try_send(Message::Record(record)) {
            Ok(()) => true,
            // The disk is slower than the events: whoever causes them waits, as long as it takes records at all.
            Err(TrySendError::Full(message)) => self.blocks && self.hand_over(sender, message, || self.refuses()),
            Err(TrySendError::Disconnected(_)) => false,
        };
        if !kept {
            self.figures.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for room, until it is of no use any more. Returns whether there was some.
    fn hand_over(&self, sender: &SyncSender<Message>, mut message: Message, useless: impl Fn() -> bool) -> bool {
        while !useless() {
            message = match sender.try_send(message) {
                Ok(()) => return true,
                Err(TrySendError::Full(message)) => message,
                Err(TrySendError::Disconnected(_)) => return false,
            };
            std::thread::sleep(ROOM_WAIT);
        }
        false
    }

    /// Waits until everything recorded so far is on disk, at most `patience`. Returns whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        let Some(sender) = &self.sender else { return true };
        let until = clock::monotonic_ms() + patience.as_millis() as u64;
        let (done, wait) = sync_channel(1);
        // While the disk takes nothing there may be no room even to ask.
        let left = || Duration::from_millis(until.saturating_sub(clock::monotonic_ms()));
        self.hand_over(sender, Message::Flush(done), || left().is_zero()) && wait.recv_timeout(left()).is_ok()
    }

    /// Waits until everything written so far has been sent to the collector too, if it is reached.
    pub fn send_rest(&self, patience: Duration) {
        let Some(collector) =
            self.collector.as_ref().filter(|_| self.figures.collector_reached.load(Ordering::Relaxed))
        else {
            return;
        };
        let (done, wait) = sync_channel(1);
        if collector.try_send(collector::Item::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(patience);
        }
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("on", &self.is_on()).field("figures", &self.figures).finish()
    }
}

#[cfg(test)]
mod tests;
