//! The service manager's view of the server: ready, loading, reloading, ending, and a sign of life.
//!
//! The sign of life comes from the thread that runs the periodic tasks: one that hangs is what a watchdog is for.

use crate::base::notify::Notifier;
use crate::base::{clock, memory};
use crate::config::Config;
use crate::config::types::Supervised;
use std::sync::mpsc;
use std::time::Duration;

/// While data is loaded the manager is asked for this much more time, again and again.
const EXTENSION: Duration = Duration::from_secs(60);
const EXTEND_EVERY: Duration = Duration::from_secs(5);

/// The server's side.
pub struct Service {
    notifier: Notifier,
}

impl Service {
    /// As `supervised` says.
    pub fn of(config: &Config) -> Service {
        let wanted = config.general.supervised;
        let notifier = match wanted {
            Supervised::No => Notifier::none(),
            Supervised::Upstart => {
                tracing::warn!("supervised upstart: upstart is not supported; use systemd, or no");
                Notifier::none()
            }
            Supervised::Systemd | Supervised::Auto => Notifier::from_environment().unwrap_or_else(|e| {
                if wanted == Supervised::Systemd {
                    tracing::warn!(
                        "supervised systemd: no readiness message can be sent: {e}; is this a unit of Type=notify?"
                    );
                }
                Notifier::none()
            }),
        };
        if notifier.is_some() {
            tracing::info!("Supervised by systemd: it is told when the server is ready");
        }
        Service { notifier }
    }

    /// Runs `load`, which may take long, and keeps the manager patient meanwhile.
    pub fn while_loading<R>(&self, load: impl FnOnce() -> R) -> R {
        if !self.notifier.is_some() {
            return load();
        }
        let (done, wait) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let begin = clock::monotonic_ms();
                loop {
                    let mib = memory::used() >> 20;
                    let seconds = (clock::monotonic_ms() - begin) / 1000;
                    self.notifier.send(&format!(
                        "EXTEND_TIMEOUT_USEC={}\nSTATUS=Loading the data, {seconds} s, {mib} MiB in memory",
                        EXTENSION.as_micros()
                    ));
                    // Dropping the sender is the end.
                    if wait.recv_timeout(EXTEND_EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
                        return;
                    }
                    self.alive();
                }
            });
            let result = load();
            drop(done);
            result
        })
    }

    pub fn ready(&self) {
        self.notifier.send("READY=1\nSTATUS=Ready to accept connections");
    }

    /// Wraps a reload, as Type=notify-reload wants it.
    pub fn while_reloading(&self, reload: impl FnOnce()) {
        self.notifier.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::kernel_monotonic_us()));
        reload();
        self.ready();
    }

    pub fn stopping(&self) {
        self.notifier.send("STOPPING=1\nSTATUS=Ending");
    }

    pub fn alive(&self) {
        self.notifier.send("WATCHDOG=1");
    }

    /// How often [`Service::alive`] is due.
    pub fn watchdog_period(&self) -> Option<Duration> {
        self.notifier.watchdog_period()
    }
}
