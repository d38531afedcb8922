//! The link's thread: one attempt after the other, until another primary is chosen. What an attempt does once it is connected stands in
//! `session.rs`.

use super::super::Host;
use super::LinkState;
use super::dial::dial;
use super::session::TICK;
use crate::base::clock;
use crate::config::types::PropagationErrorBehavior;
use crate::net::dial::Dialled;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Between attempts: at first, and at the most. A copy that fails again and again must not keep a primary busy.
const PAUSE_MS: u64 = 100;
const PAUSE_MS_MAX: u64 = 1_000;
const PAUSE_MS_MAX_AFTER_FAILURE: u64 = 30_000;

/// Starts the thread of an epoch.
///
/// # Errors
/// There can be no thread.
pub fn start(
    host: Arc<dyn Host>,
    epoch: u64,
    address: String,
    port: u16,
    failover: bool,
    whole: bool,
) -> io::Result<()> {
    std::thread::Builder::new().name("primary-link".into()).spawn(move || {
        let mut link = Link { host, epoch, address, port, failover, whole, failures: 0 };
        link.run();
    })?;
    Ok(())
}

pub(super) struct Link {
    pub(super) host: Arc<dyn Host>,
    pub(super) epoch: u64,
    pub(super) address: String,
    pub(super) port: u16,
    /// The first attempt tells the primary to take over.
    pub(super) failover: bool,
    /// What we have cannot be continued: ask for everything.
    pub(super) whole: bool,
    /// Streams and copies in a row that could not be applied.
    pub(super) failures: u32,
}

/// Why an attempt ended.
pub(super) enum Stop {
    /// Another primary was chosen, or the server ends.
    Over,
    Failed(String),
    /// The copy could not be loaded: what we have is as good as it was.
    Copy(String),
    /// The stream could not be applied: what we have is not to be trusted.
    Broken(String),
}

impl Stop {
    pub(super) fn killed() -> Stop {
        Stop::Failed("closed by CLIENT KILL".into())
    }

    pub(super) fn no_copy() -> Stop {
        Stop::Broken("a copy ended that had not begun".into())
    }
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        Stop::Failed(e.to_string())
    }
}

impl Link {
    pub(super) fn is_current(&self) -> bool {
        !self.host.is_ending() && self.host.replication().follower.is_current(self.epoch)
    }

    pub(super) fn state(&self, state: LinkState) -> bool {
        self.host.replication().follower.update(self.epoch, |f| {
            if f.state == LinkState::Connected && state != LinkState::Connected {
                f.down_since_ms = Some(clock::monotonic_ms());
            }
            f.state = state;
            if state != LinkState::Sync {
                f.sync = None;
            }
        })
    }

    fn run(&mut self) {
        let mut pause = PAUSE_MS;
        while self.is_current() {
            self.state(LinkState::Connecting);
            tracing::info!("Connecting to PRIMARY {}:{}", self.address, self.port);
            let mut applied = false;
            let stop = match self.dial() {
                Ok(stream) => self.session(stream, &mut applied),
                Err(why) => Stop::Failed(why),
            };
            self.failover = false;
            match stop {
                Stop::Over => return,
                Stop::Failed(why) => tracing::warn!("The link to PRIMARY {}:{}: {why}", self.address, self.port),
                Stop::Copy(why) => {
                    self.failures += 1;
                    tracing::warn!("The copy of PRIMARY {}:{} is given up: {why}", self.address, self.port);
                }
                Stop::Broken(why) => {
                    self.end_if_told(&why);
                    self.whole = true;
                    self.failures += 1;
                    tracing::error!(
                        "== CRITICAL == This replica cannot follow PRIMARY {}:{} and asks for a full copy: {why}",
                        self.address,
                        self.port
                    );
                }
            }
            self.state(LinkState::Connect);
            let most = if self.failures > 1 { PAUSE_MS_MAX_AFTER_FAILURE } else { PAUSE_MS_MAX };
            pause = if applied { PAUSE_MS } else { (pause * 2).min(most) };
            if self.failures > 1 {
                pause = (PAUSE_MS_MAX << self.failures.min(5)).min(most);
            }
            let until = clock::monotonic_ms() + pause;
            while clock::monotonic_ms() < until && self.is_current() {
                std::thread::sleep(TICK.min(Duration::from_millis(until.saturating_sub(clock::monotonic_ms()))));
            }
        }
    }

    /// `propagation-error-behavior`: some would rather have no replica than one that was wrong for a moment. What clients have written to a
    /// replica themselves may stand in the stream's way, and is nobody's mistake.
    fn end_if_told(&self, why: &str) {
        let config = self.host.config().current();
        let r = &config.replication;
        if r.replica_read_only && r.propagation_error_behavior != PropagationErrorBehavior::Ignore {
            tracing::error!("This server ends because propagation-error-behavior says so: {why}");
            std::process::exit(1);
        }
    }

    fn dial(&self) -> Result<Dialled, String> {
        let seconds = self.host.config().current().replication.repl_timeout_secs;
        let timeout = Duration::from_secs(u64::from(seconds));
        let stream = dial(&*self.host, &self.address, self.port, timeout)?;
        stream.set_read_timeout(Some(TICK)).map_err(|e| e.to_string())?;
        stream.set_write_timeout(Some(timeout)).map_err(|e| e.to_string())?;
        Ok(stream)
    }
}
