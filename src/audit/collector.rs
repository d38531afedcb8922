//! Records sent to a collector elsewhere, as syslog messages (RFC 5424) in a stream (RFC 5425: each behind its length).
//!
//! The file is the log; what is sent is a copy out of the reach of whoever can write the file. Syslog acknowledges nothing, so what a
//! connection had taken when it broke may be lost; it is looked at before each message, which keeps that to what is under way.
//!
//! # Invariants
//! * Nobody waits for a collector: what finds [`QUEUE_MAX`] records waiting is counted and dropped.
//! * Records arrive in their order, and none is sent again that was written whole.

use super::Figures;
use super::record::time_text;
use crate::base::clock;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Records that wait while the collector cannot be reached: some MB.
pub const QUEUE_MAX: usize = 16_384;
/// Between attempts to reach it; each failure doubles the pause.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Facility authpriv, severity notice.
const PRIORITY: u32 = 85;

/// A connection to a collector.
pub trait Link: Write + Send {
    /// False once the other side has ended it.
    fn is_open(&mut self) -> bool;
}

/// Where records are sent to.
pub struct Collector {
    /// `host:port`, for the log.
    pub name: String,
    /// This machine, as messages name it.
    pub host: String,
    /// Makes a connection, or says in a sentence why there is none.
    pub dial: Box<dyn FnMut() -> Result<Box<dyn Link>, String> + Send>,
}

pub(super) enum Item {
    Line(String),
    /// Everything before it has been sent when this is answered.
    Flush(SyncSender<()>),
}

impl Collector {
    /// Starts the thread that sends.
    pub(super) fn start(self, figures: Arc<Figures>) -> Result<SyncSender<Item>, String> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        std::thread::Builder::new()
            .name("audit-syslog".into())
            .spawn(move || self.run(&receiver, &figures))
            .map_err(|e| format!("the thread of audit-syslog-tls: {e}"))?;
        Ok(sender)
    }

    fn run(mut self, receiver: &Receiver<Item>, figures: &Figures) {
        let mut link: Option<Box<dyn Link>> = None;
        while let Ok(item) = receiver.recv() {
            match item {
                Item::Line(line) => {
                    let frame = self.frame(&line);
                    while let Err(e) = self.send(&mut link, &frame, figures) {
                        tracing::warn!("Audit records cannot be sent to {}: {e}", self.name);
                        figures.collector_reached.store(false, Ordering::Relaxed);
                        link = None;
                    }
                    figures.sent.fetch_add(1, Ordering::Relaxed);
                }
                // Who asked may have stopped waiting.
                Item::Flush(done) => drop(done.send(())),
            }
        }
    }

    /// Sends one message, over a new connection if there is none.
    fn send(&mut self, link: &mut Option<Box<dyn Link>>, frame: &[u8], figures: &Figures) -> io::Result<()> {
        if link.as_mut().is_some_and(|l| !l.is_open()) {
            *link = None;
        }
        let link = match link {
            Some(link) => link,
            none => {
                let new = self.reach(figures);
                figures.collector_reached.store(true, Ordering::Relaxed);
                tracing::info!("Audit records are sent to {}", self.name);
                none.insert(new)
            }
        };
        link.write_all(frame)?;
        link.flush()
    }

    /// Tries until there is a connection.
    fn reach(&mut self, figures: &Figures) -> Box<dyn Link> {
        let mut pause = PAUSE_MIN;
        loop {
            match (self.dial)() {
                Ok(link) => return link,
                Err(e) => {
                    if pause == PAUSE_MIN || pause == PAUSE_MAX {
                        tracing::warn!("The audit collector {} cannot be reached: {e}", self.name);
                    }
                    figures.collector_reached.store(false, Ordering::Relaxed);
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn frame(&self, line: &str) -> Vec<u8> {
        let head = format!(
            "<{PRIORITY}>1 {} {} holdfast {} audit - ",
            time_text(clock::wall_ms()),
            self.host,
            std::process::id()
        );
        format!("{} {head}{line}", head.len() + line.len()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// A connection that takes so many messages and then breaks.
    struct Breaking(usize, Arc<Mutex<Vec<u8>>>);

    impl Write for Breaking {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0 -= 1;
            self.1.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Link for Breaking {
        fn is_open(&mut self) -> bool {
            true
        }
    }

    #[test]
    fn each_record_is_one_message_behind_its_length_whatever_breaks_between() {
        let (got, figures) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Figures::default()));
        let (mut dials, into) = (0, Arc::clone(&got));
        let dial = move || {
            dials += 1;
            if dials == 2 {
                Err("not now".to_owned())
            } else {
                Ok(Box::new(Breaking(2, Arc::clone(&into))) as Box<dyn Link>)
            }
        };
        let collector = Collector { name: "c:6514".into(), host: "h".into(), dial: Box::new(dial) };
        let sender = collector.start(Arc::clone(&figures)).unwrap();
        for n in 0..5 {
            sender.send(Item::Line(format!("{{\"seq\":{n}}}"))).unwrap();
        }
        let (flushed, flush) = sync_channel(1);
        sender.send(Item::Flush(flushed)).unwrap();
        flush.recv().unwrap();
        let text = String::from_utf8(got.lock().clone()).unwrap();
        let mut rest = text.as_str();
        for n in 0..5 {
            let (len, after) = rest.split_once(' ').unwrap();
            let (message, behind) = after.split_at(len.parse().unwrap());
            assert!(message.starts_with("<85>1 20") && message.contains(" h holdfast "), "{message}");
            assert!(message.ends_with(&format!(" audit - {{\"seq\":{n}}}")), "{message}");
            rest = behind;
        }
        assert!(rest.is_empty() && figures.sent.load(Ordering::Relaxed) == 5);
    }
}
