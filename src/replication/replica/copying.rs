//! A copy on a connection of its own: the thread that receives it, while the link's thread holds the stream.
//!
//! # Invariants
//! * It changes nothing but by its [`Intake`], under whose locks the epoch is looked at.
//! * It ends when its [`Copying`] is stopped or dropped: between two reads of the socket, or two looks at the loader.
//! * The link's thread hears of it in order: what the copy will be, then that it is in place or that it failed.

use super::super::Host;
use super::dial;
use super::intake::Intake;
use super::link::Stop;
use super::load::Moment;
use super::machine::{Ended, Input, Introduction, Machine, Offer, Output};
use crate::base::clock;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at whether it is stopped.
const TICK: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 256 * 1024;

/// What the link's thread is told.
pub(super) enum News {
    Offered(Offer),
    /// The copy is in place, with this database selected.
    Loaded {
        selected: u32,
    },
    Failed(Stop),
}

/// The link's hold on the thread.
pub(super) struct Copying {
    news: Receiver<News>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Copying {
    /// Starts the thread.
    ///
    /// # Errors
    /// There can be none.
    pub(super) fn start(
        host: Arc<dyn Host>,
        epoch: u64,
        to: (String, u16),
        introduction: Introduction,
    ) -> io::Result<Copying> {
        let (sender, news) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let fetch = Fetch { host, epoch, stop: Arc::clone(&stop), sender };
        let thread = std::thread::Builder::new().name("primary-copy".into()).spawn(move || {
            let news = match fetch.run(&to.0, to.1, introduction) {
                Ok(selected) => News::Loaded { selected },
                Err(stop) => News::Failed(stop),
            };
            // Whoever does not listen any more has stopped it.
            let _ = fetch.sender.send(news);
        })?;
        Ok(Copying { news, stop, thread: Some(thread) })
    }

    pub(super) fn news(&self) -> Option<News> {
        match self.news.try_recv() {
            Ok(news) => Some(news),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(News::Failed(Stop::Failed("the copy's thread has ended".into()))),
        }
    }

    /// Ends it, and waits for that.
    pub(super) fn stop(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

struct Fetch {
    host: Arc<dyn Host>,
    epoch: u64,
    stop: Arc<AtomicBool>,
    sender: Sender<News>,
}

impl Fetch {
    fn is_wanted(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
            && !self.host.is_ending()
            && self.host.replication().follower.is_current(self.epoch)
    }

    /// The whole of it. Returns the database that is selected where the stream goes on.
    fn run(&self, address: &str, port: u16, introduction: Introduction) -> Result<u32, Stop> {
        let timeout = Duration::from_millis(introduction.timeout_ms);
        let mut stream = dial::dial(&*self.host, address, port, timeout).map_err(Stop::Failed)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(timeout))?;
        let mut outputs = Vec::new();
        let mut machine = Machine::for_copy(introduction, clock::monotonic_ms(), &mut outputs);
        let (mut moment, mut intake) = (None, None::<Intake>);
        let mut wanted = || if self.is_wanted() { Ok(()) } else { Err(Stop::Over) };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            for o in outputs {
                match o {
                    Output::Send(bytes) => {
                        stream.write_all(&bytes)?;
                        stream.flush()?;
                    }
                    Output::Offered(offer) => {
                        tracing::info!("Full resync from primary: {}:{}", offer.id, offer.offset);
                        moment = Some(Moment { id: offer.id.clone(), offset: offer.offset });
                        let _ = self.sender.send(News::Offered(offer));
                    }
                    Output::Payload { bytes } => {
                        let moment = moment.take().ok_or_else(Stop::no_copy)?;
                        intake = Some(Intake::begin(Arc::clone(&self.host), self.epoch, moment, bytes)?);
                    }
                    Output::PayloadBytes(bytes) => {
                        intake.as_mut().ok_or_else(Stop::no_copy)?.put(bytes, &mut wanted)?;
                    }
                    Output::PayloadEnd => return intake.ok_or_else(Stop::no_copy)?.end(&mut wanted),
                    // Of the other connection.
                    _ => {}
                }
                // While we did that the primary could say nothing.
                machine.hear(clock::monotonic_ms());
            }
            wanted()?;
            let n = match stream.read(&mut buffer) {
                Ok(0) => return Err(Stop::Failed("the PRIMARY closed the copy's connection".into())),
                Ok(n) => n,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => 0,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                Err(e) => return Err(e.into()),
            };
            self.host.replication().received(n);
            outputs = Vec::new();
            let input = if n > 0 { Input::Bytes(&buffer[..n]) } else { Input::Tick };
            let told = machine.on(clock::monotonic_ms(), input, &mut outputs);
            told.map_err(|ended| match ended {
                Ended::Protocol(why) => Stop::Broken(why),
                other => Stop::Failed(other.to_string()),
            })?;
        }
    }
}
