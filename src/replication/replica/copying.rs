//! A copy on a connection of its own: the thread that receives it into a file and puts it in place, while the link's thread holds the stream.
//!
//! # Invariants
//! * It changes nothing but by [`load::replace`], under whose locks the epoch is looked at.
//! * It ends when its [`Copying`] is stopped or dropped: between two reads of the socket, and between two of the file.
//! * The link's thread hears of it in order: what the copy will be, then that it is in place or that it failed.

use super::super::Host;
use super::link::{self, Received, Stop};
use super::load::{self, Moment};
use super::machine::{Ended, Input, Introduction, Machine, Offer, Output};
use crate::base::clock;
use crate::config::types::ReplDisklessLoad;
use crate::net::dial::Dialled;
use crate::storage::DataFile;
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
        let mut stream = link::dial(&*self.host, address, port, timeout).map_err(Stop::Failed)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(timeout))?;
        let (moment, mut copy) = self.receive(&mut stream, introduction)?;
        self.load(&moment, &mut copy)
    }

    fn receive(&self, stream: &mut Dialled, introduction: Introduction) -> Result<(Moment, Received), Stop> {
        let mut outputs = Vec::new();
        let mut machine = Machine::for_copy(introduction, clock::monotonic_ms(), &mut outputs);
        let (mut moment, mut copy) = (None, None::<Received>);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            for o in outputs {
                match o {
                    Output::Send(bytes) => {
                        stream.write_all(&bytes)?;
                        stream.flush()?;
                    }
                    Output::Offered(offer) => {
                        self.host.replication().pause_if_told();
                        tracing::info!("Full resync from primary: {}:{}", offer.id, offer.offset);
                        moment = Some(Moment { id: offer.id.clone(), offset: offer.offset });
                        let _ = self.sender.send(News::Offered(offer));
                    }
                    Output::Payload { bytes } => {
                        let size = bytes.map_or("streamed".to_owned(), |n| format!("{n} bytes"));
                        tracing::info!("PRIMARY <-> REPLICA sync: receiving {size} from primary to disk");
                        self.progress(|p| p.total = bytes);
                        copy = Some(Received::create()?);
                    }
                    Output::PayloadBytes(bytes) => {
                        if let Some(copy) = &mut copy {
                            copy.file.write_all(&bytes)?;
                        }
                        self.progress(|p| {
                            p.read += bytes.len() as u64;
                            p.last_ms = clock::monotonic_ms();
                        });
                    }
                    Output::PayloadEnd => {
                        let (Some(moment), Some(copy)) = (moment, copy) else {
                            return Err(Stop::Broken("a copy ended that had not begun".into()));
                        };
                        return Ok((moment, copy));
                    }
                    // Of the other connection.
                    _ => {}
                }
            }
            if !self.is_wanted() {
                return Err(Stop::Over);
            }
            let n = match stream.read(&mut buffer) {
                Ok(0) => return Err(Stop::Failed("the PRIMARY closed the copy's connection".into())),
                Ok(n) => n,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => 0,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                Err(e) => return Err(e.into()),
            };
            outputs = Vec::new();
            let input = if n > 0 { Input::Bytes(&buffer[..n]) } else { Input::Tick };
            let told = machine.on(clock::monotonic_ms(), input, &mut outputs);
            told.map_err(|ended| match ended {
                Ended::Protocol(why) => Stop::Broken(why),
                other => Stop::Failed(other.to_string()),
            })?;
        }
    }

    fn progress(&self, change: impl FnOnce(&mut super::Progress)) {
        self.host.replication().follower.update(self.epoch, |f| change(f.sync.get_or_insert_default()));
    }

    fn load(&self, moment: &Moment, copy: &mut Received) -> Result<u32, Stop> {
        let config = self.host.config().current();
        let beside = config.replication.repl_diskless_load == ReplDisklessLoad::Swapdb;
        let follower = &self.host.replication().follower;
        follower.loading(self.epoch, Some(beside));
        if !beside && !load::empty(&*self.host, self.epoch) {
            return Err(Stop::Over);
        }
        tracing::info!("PRIMARY <-> REPLICA sync: Loading DB in memory");
        let reader = Wanted { file: copy.reopen()?, fetch: self };
        let selected = load::replace(&*self.host, self.epoch, moment, reader);
        selected.map_err(|why| {
            tracing::warn!(
                "Failed trying to load the PRIMARY synchronization DB from socket, check server logs: {why}"
            );
            if self.is_wanted() { Stop::Broken(why) } else { Stop::Over }
        })
    }
}

/// The file, as long as somebody wants it.
struct Wanted<'f> {
    file: io::BufReader<DataFile>,
    fetch: &'f Fetch,
}

impl Read for Wanted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.fetch.is_wanted() {
            return Err(io::Error::other("the copy is not wanted any more"));
        }
        self.file.read(into)
    }
}
