//! The service manager's view of the server: ready, loading, reloading, ending, and a sign of life.
//!
//! The sign of life comes from the thread that runs the periodic tasks: one that hangs is what a watchdog is for.

use crate::base::notify::Notifier;
use crate::base::progress::{self, Bar};
use crate::base::{clock, memory};
use crate::config::Config;
use crate::config::types::Supervised;
use crate::persist::rdb::Loading;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::Duration;

/// While data is loaded the manager is asked for this much more time, again and again.
const EXTENSION: Duration = Duration::from_secs(60);
const EXTEND_EVERY_MS: u64 = 5_000;
/// A load that takes longer is told in the log, again and again.
const LOG_EVERY_MS: u64 = 10_000;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How far a load is.
fn standing(read: u64, total: Option<u64>, ms: u64) -> String {
    let part = total.map(|t| format!("{} % of {} MB, ", (read * 100 / t).min(100), t / 1_000_000));
    format!("{}{} s, {} MiB in memory", part.unwrap_or_default(), ms / 1000, memory::used() >> 20)
}

/// True if the server is to go to the background, which a service manager would take for its end.
pub fn is_daemon(config: &Config) -> bool {
    let is_supervised =
        config.general.supervised != Supervised::No && std::env::var_os(crate::base::notify::SOCKET).is_some();
    config.general.daemonize && !is_supervised
}

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

    /// Runs `load`, which may take long, and tells meanwhile how far it is: the manager, which is kept patient, the log, and
    /// whoever sits at the terminal.
    pub fn while_loading<R>(&self, loading: &Loading, daemon: bool, load: impl FnOnce() -> R) -> R {
        let (done, wait) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let begin = clock::monotonic_ms();
                let (mut extend_at, mut log_at) = (begin, begin + LOG_EVERY_MS);
                let mut bar = Bar::new("Loading", daemon);
                loop {
                    let now = clock::monotonic_ms();
                    let (read, total) = (loading.loaded_bytes.load(Relaxed), loading.total_bytes.load(Relaxed));
                    let total = Some(total).filter(|t| *t > 0);
                    if now >= extend_at && self.notifier.is_some() {
                        extend_at = now + EXTEND_EVERY_MS;
                        self.notifier.send(&format!(
                            "EXTEND_TIMEOUT_USEC={}\nSTATUS=Loading the data, {}",
                            EXTENSION.as_micros(),
                            standing(read, total, now - begin)
                        ));
                        self.alive();
                    }
                    if now >= log_at {
                        log_at = now + LOG_EVERY_MS;
                        progress::clear();
                        tracing::info!("Loading the data: {}", standing(read, total, now - begin));
                    }
                    bar.show(read, total);
                    // Dropping the sender is the end.
                    if wait.recv_timeout(LOOK_EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
                        return;
                    }
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
