//! A line of the log in its three formats.
//!
//! Invariant: the result has no control character but its last, a newline, and a bounded length.

use std::fmt::Write as _;

use crate::config::types::{LogFormat, LogLevel};

/// Bytes of a message before it is cut: room for a command's summary, too little for one event to fill a disk.
pub(super) const LINE_BYTES_MAX: usize = 4096;
/// Fields of an event beyond these are dropped; our own events have a few.
pub(super) const FIELDS_MAX: usize = 16;
/// Bytes of one field's value before it is cut.
const FIELD_BYTES_MAX: usize = 1024;

/// What a line is made of.
pub(super) struct Line<'a> {
    pub(super) pid: u32,
    /// The letter: M, S or X.
    pub(super) role: u8,
    pub(super) timestamp: &'a str,
    pub(super) level: LogLevel,
    pub(super) message: &'a str,
    pub(super) fields: &'a [(&'static str, String)],
}

/// Names the formats with names use themselves; an event's field of such a name is left out.
const OWN_NAMES: &[&str] = &["pid", "role", "timestamp", "level", "message"];

impl Line<'_> {
    /// The line with its newline.
    pub(super) fn text(&self, format: LogFormat) -> String {
        let role = match self.role {
            b'S' => "replica",
            b'X' => "sentinel",
            _ => "primary",
        };
        let (pid, timestamp, level) = (self.pid, self.timestamp, self.level.word());
        let mut out = String::with_capacity(96 + self.message.len().min(LINE_BYTES_MAX));
        // Writing to a string cannot fail.
        match format {
            LogFormat::Legacy => {
                let mark = match self.level {
                    LogLevel::Debug => '.',
                    LogLevel::Verbose => '-',
                    LogLevel::Notice => '*',
                    LogLevel::Warning | LogLevel::Nothing => '#',
                };
                let _ = write!(out, "{pid}:{} {timestamp} {mark} ", char::from(self.role));
                self.plain(&mut out);
            }
            LogFormat::Logfmt => {
                let _ = write!(out, "pid={pid} role={role} timestamp=\"{timestamp}\" level={level} message=\"");
                escape(&mut out, self.message, LINE_BYTES_MAX, Style::Quoted);
                out.push('"');
                for (name, value) in self.fields.iter().filter(|(name, _)| !OWN_NAMES.contains(name)) {
                    let _ = write!(out, " {name}=\"");
                    escape(&mut out, value, FIELD_BYTES_MAX, Style::Quoted);
                    out.push('"');
                }
            }
            LogFormat::Json => {
                let _ = write!(
                    out,
                    "{{\"pid\":{pid},\"role\":\"{role}\",\"timestamp\":\"{timestamp}\",\"level\":\"{level}\",\
                     \"message\":\""
                );
                escape(&mut out, self.message, LINE_BYTES_MAX, Style::Json);
                out.push('"');
                for (name, value) in self.fields.iter().filter(|(name, _)| !OWN_NAMES.contains(name)) {
                    let _ = write!(out, ",\"{name}\":\"");
                    escape(&mut out, value, FIELD_BYTES_MAX, Style::Json);
                    out.push('"');
                }
                out.push('}');
            }
        }
        out.push('\n');
        out
    }

    /// Message and fields without what stands before them; also what syslog gets.
    pub(super) fn plain(&self, out: &mut String) {
        escape(out, self.message, LINE_BYTES_MAX, Style::Plain);
        let mut left = LINE_BYTES_MAX.saturating_sub(self.message.len());
        for (name, value) in self.fields {
            if left == 0 {
                break;
            }
            let _ = write!(out, " {name}=");
            escape(out, value, left.min(FIELD_BYTES_MAX), Style::Plain);
            left = left.saturating_sub(value.len() + name.len() + 2);
        }
    }
}

/// What is escaped, besides control characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Nothing.
    Plain,
    /// Quotes and backslashes.
    Quoted,
    /// The same, and control characters as JSON wants them.
    Json,
}

/// Appends `text`, escaped, at most `max` bytes of it; a cut shows as `...`.
fn escape(out: &mut String, text: &str, max: usize, style: Style) {
    let start = out.len();
    for char in text.chars() {
        // What the longest escape takes.
        if out.len() - start + 12 > max {
            out.push_str("...");
            return;
        }
        match char {
            '"' | '\\' if style != Style::Plain => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' if style == Style::Json => out.push_str("\\b"),
            '\u{c}' if style == Style::Json => out.push_str("\\f"),
            control if control.is_control() => {
                let code = u32::from(control);
                let _ = match style {
                    Style::Json => write!(out, "\\u{code:04x}"),
                    Style::Plain | Style::Quoted => write!(out, "\\x{code:02x}"),
                };
            }
            // Separators that some viewers take for line ends.
            '\u{2028}' | '\u{2029}' => out.push(' '),
            other => out.push(other),
        }
    }
}
