//! Logs: a subscriber of `tracing` that writes lines as people and tools of this family know them.
//!
//! `error!` and `warn!` are `warning`, `info!` is `notice`, `debug!` is `verbose`, `trace!` is `debug`.
//!
//! Invariants: one event is one line, whatever bytes it holds; a line is bounded; logging never fails, blocks on syslog
//! or panics. Must never know: what a secret is; callers never hand one over.

mod line;
mod sink;
mod time;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use crate::config::directives::Logging;
use crate::config::types::{LogFormat, LogLevel, LogTimestampFormat};

use line::Line;
use sink::Sink;

/// What this process is, for the letter behind the process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    Primary = b'M',
    Replica = b'S',
    Sentinel = b'X',
}

/// Why logging could not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogError {
    /// The log file cannot be opened for appending; `reason` in the operating system's words.
    Open { path: PathBuf, reason: String },
    /// Another subscriber is installed already.
    Installed,
}

impl fmt::Display for LogError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Open { reason, .. } => write!(
                out,
                "\n*** FATAL CONFIG FILE ERROR (Version {}) ***\nCan't open the log file: {reason}",
                env!("CARGO_PKG_VERSION")
            ),
            LogError::Installed => out.write_str("logging was started twice"),
        }
    }
}

impl std::error::Error for LogError {}

/// What the layer and its handle share. Level, role and formats are read for each line without a lock.
struct Shared {
    level: AtomicU8,
    role: AtomicU8,
    format: AtomicU8,
    timestamp: AtomicU8,
    pid: u32,
    sink: Mutex<Sink>,
}

/// Changes a running log.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

/// The layer; put it on a `tracing_subscriber::Registry`, or let [`install`] do so.
pub struct LogLayer(Arc<Shared>);

/// Starts logging for the whole process.
///
/// # Errors
/// The log file cannot be opened, or a subscriber is installed already.
pub fn install(config: &Logging) -> Result<Logs, LogError> {
    let (layer, logs) = layer(config)?;
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Installed)?;
    Ok(logs)
}

/// The layer and its handle, not installed.
///
/// # Errors
/// The log file cannot be opened.
pub fn layer(config: &Logging) -> Result<(LogLayer, Logs), LogError> {
    let sink = Sink::open(config).map_err(|error| {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default().to_string();
        LogError::Open { path: config.logfile.clone().unwrap_or_default(), reason }
    })?;
    let shared = Arc::new(Shared {
        level: AtomicU8::new(config.loglevel as u8),
        role: AtomicU8::new(Role::Primary as u8),
        format: AtomicU8::new(config.log_format as u8),
        timestamp: AtomicU8::new(config.log_timestamp_format as u8),
        pid: std::process::id(),
        sink: Mutex::new(sink),
    });
    Ok((LogLayer(Arc::clone(&shared)), Logs(shared)))
}

impl Logs {
    /// Takes over level and formats; the destination is fixed at start.
    pub fn apply(&self, config: &Logging) {
        self.0.format.store(config.log_format as u8, Ordering::Relaxed);
        self.0.timestamp.store(config.log_timestamp_format as u8, Ordering::Relaxed);
        if self.0.level.swap(config.loglevel as u8, Ordering::Relaxed) != config.loglevel as u8 {
            // tracing remembers for each call site whether anyone listens.
            tracing::callsite::rebuild_interest_cache();
        }
    }

    /// Sets the letter behind the process id.
    pub fn set_role(&self, role: Role) {
        self.0.role.store(role as u8, Ordering::Relaxed);
    }
}

impl Shared {
    fn filter(&self) -> LevelFilter {
        match self.level.load(Ordering::Relaxed) {
            level if level == LogLevel::Debug as u8 => LevelFilter::TRACE,
            level if level == LogLevel::Verbose as u8 => LevelFilter::DEBUG,
            level if level == LogLevel::Notice as u8 => LevelFilter::INFO,
            level if level == LogLevel::Warning as u8 => LevelFilter::WARN,
            _ => LevelFilter::OFF,
        }
    }

    fn write(&self, level: LogLevel, fields: &Fields) {
        let format = match self.format.load(Ordering::Relaxed) {
            format if format == LogFormat::Json as u8 => LogFormat::Json,
            format if format == LogFormat::Logfmt as u8 => LogFormat::Logfmt,
            _ => LogFormat::Legacy,
        };
        let timestamp = match self.timestamp.load(Ordering::Relaxed) {
            stamp if stamp == LogTimestampFormat::Iso8601 as u8 => LogTimestampFormat::Iso8601,
            stamp if stamp == LogTimestampFormat::Milliseconds as u8 => LogTimestampFormat::Milliseconds,
            _ => LogTimestampFormat::Legacy,
        };
        let now = time::Local::now();
        let line = Line {
            pid: self.pid,
            role: self.role.load(Ordering::Relaxed),
            timestamp: &now.text(timestamp),
            level,
            message: &fields.message,
            fields: &fields.others,
        };
        self.sink.lock().write(&line, format, &now);
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Libraries speak for themselves only when something is wrong.
        let ours = metadata.target().starts_with("holdfast");
        *metadata.level() <= self.0.filter() && (ours || *metadata.level() <= Level::WARN)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.filter())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR | Level::WARN => LogLevel::Warning,
            Level::INFO => LogLevel::Notice,
            Level::DEBUG => LogLevel::Verbose,
            Level::TRACE => LogLevel::Debug,
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.write(level, &fields);
    }
}

/// An event's message and its other fields, in their order.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        use fmt::Write as _;
        if field.name() == "message" {
            // Writing to a string cannot fail; a value whose own formatting does is left out.
            let _ = self.message.write_fmt(value);
        } else if self.others.len() < line::FIELDS_MAX {
            self.others.push((field.name(), value.to_string()));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn with_log(config: &Logging, run: impl FnOnce(&Logs)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let config = Logging { logfile: Some(path.clone()), ..config.clone() };
        let (layer, logs) = layer(&config).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || run(&logs));
        std::fs::read_to_string(path).unwrap()
    }

    fn logging() -> Logging {
        Config::default().logging
    }

    #[test]
    fn a_classic_line_has_pid_role_time_mark_and_text() {
        let text = with_log(&logging(), |logs| {
            tracing::info!("Server initialized");
            tracing::warn!(port = 7, "low");
            logs.set_role(Role::Replica);
            tracing::error!("end");
            tracing::debug!("not shown");
        });
        let lines: Vec<&str> = text.lines().collect();
        let pid = std::process::id();
        assert!(lines[0].starts_with(&format!("{pid}:M ")) && lines[0].ends_with(" * Server initialized"), "{text}");
        assert!(lines[1].ends_with(" # low port=7"), "{text}");
        assert!(lines[2].starts_with(&format!("{pid}:S ")) && lines.len() == 3, "{text}");
        // "21 Nov 2026 06:15:25.128"
        assert_eq!(lines[0].split(' ').nth(4).map(str::len), Some(12), "{text}");
    }

    #[test]
    fn the_level_changes_while_it_runs() {
        let text = with_log(&logging(), |logs| {
            tracing::trace!("one");
            logs.apply(&Logging { loglevel: LogLevel::Debug, ..logging() });
            tracing::trace!("two");
            tracing::debug!("three");
            logs.apply(&Logging { loglevel: LogLevel::Nothing, ..logging() });
            tracing::error!("four");
        });
        let texts: Vec<&str> = text.lines().map(|line| line.rsplit(' ').next().unwrap_or("")).collect();
        assert_eq!(texts, ["two", "three"]);
        assert!(text.contains(" . two") && text.contains(" - three"));
    }

    #[test]
    fn a_client_cannot_forge_a_line() {
        let config = Logging { log_format: LogFormat::Legacy, ..logging() };
        let text = with_log(&config, |_| tracing::info!("name={}", "a\r\n1:M 01 Jan * forged\u{1b}[2J\u{85}"));
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("a\\r\\n1:M") && text.contains("\\x1b[2J") && !text.contains('\u{85}'), "{text}");
    }

    #[test]
    fn logfmt_and_json_lines_are_well_formed() {
        let json = Logging { log_format: LogFormat::Json, ..logging() };
        let text = with_log(&json, |_| tracing::info!(key = "v\"w", pid = 3, "a \"b\"\n\u{7f}"));
        let value: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(value["message"], "a \"b\"\n\u{7f}");
        assert_eq!((&value["level"], &value["role"]), (&"notice".into(), &"primary".into()));
        assert_eq!((&value["key"], &value["pid"]), (&"v\"w".into(), &std::process::id().into()));

        let logfmt = Logging { log_format: LogFormat::Logfmt, ..logging() };
        let text = with_log(&logfmt, |_| tracing::info!(key = "v", "a \"b\""));
        assert!(text.starts_with(&format!("pid={} role=primary timestamp=\"", std::process::id())), "{text}");
        assert!(text.ends_with("level=notice message=\"a \\\"b\\\"\" key=\"v\"\n"), "{text}");
    }

    #[test]
    fn a_line_is_bounded() {
        let text = with_log(&logging(), |_| tracing::info!("{}", "\u{e9}\n".repeat(100_000)));
        assert!(text.len() <= line::LINE_BYTES_MAX + 64 && text.ends_with("...\n"), "{}", text.len());
    }

    #[test]
    fn a_moved_file_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (layer, _logs) = layer(&Logging { logfile: Some(path.clone()), ..logging() }).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!("one");
            std::fs::rename(&path, folder.path().join("old")).unwrap();
            tracing::info!("two");
        });
        assert!(std::fs::read_to_string(&path).unwrap().ends_with(" two\n"));
        assert!(std::fs::read_to_string(folder.path().join("old")).unwrap().ends_with(" one\n"));
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_stops_the_start() {
        let error = layer(&Logging { logfile: Some("/nonexistent/log".into()), ..logging() }).err().unwrap();
        assert!(error.to_string().ends_with("Can't open the log file: No such file or directory"), "{error}");
    }
}
