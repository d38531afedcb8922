//! What is recorded, and how it becomes a line.

use super::key::Key;
use crate::base::clock;

/// The closed list of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Start,
    Stop,
    /// The start-up gate has passed.
    Gate,
    /// A directive has another value.
    ConfigSet,
    /// A user was made, changed or deleted, or all were read again.
    AclChange,
    LoginOk,
    LoginFailed,
    /// A command, key, channel or database was refused.
    Denied,
    /// An administrative or dangerous command.
    Admin,
    CertificateReload,
    ReplicaAttach,
    Backup,
    Restore,
    /// A key that is watched over was used.
    KeyAccess,
    /// A process has begun, or ceased, to trace this one.
    Tracer,
    /// Records found the queue full.
    RecordsLost,
    /// The log ended in half a record, which was cut off.
    Recovered,
    /// Somebody else has removed, replaced or cut the log, or its head, while it was written.
    LogDamaged,
}

impl Event {
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Gate => "gate",
            Self::ConfigSet => "config-set",
            Self::AclChange => "acl-change",
            Self::LoginOk => "login-ok",
            Self::LoginFailed => "login-failed",
            Self::Denied => "denied",
            Self::Admin => "admin-command",
            Self::CertificateReload => "certificate-reload",
            Self::ReplicaAttach => "replica-attach",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::KeyAccess => "key-access",
            Self::Tracer => "tracer",
            Self::RecordsLost => "records-lost",
            Self::Recovered => "recovered",
            Self::LogDamaged => "log-damaged",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Denied,
    Failed,
    /// It is let through; what comes of it is not known yet.
    Admitted,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Admitted => "admitted",
        }
    }
}

/// Bytes of one field; longer ones are cut, so that a record has a bound.
const FIELD_BYTES_MAX: usize = 512;

/// One event with its facts.
#[derive(Clone, Debug)]
pub struct Record {
    pub event: Event,
    pub outcome: Outcome,
    /// ms since the epoch.
    pub time_ms: i64,
    /// Name and value, in print order. Values hold no secrets.
    pub fields: Vec<(&'static str, String)>,
}

impl Record {
    /// An event that happens now.
    pub fn new(event: Event, outcome: Outcome) -> Record {
        Record { event, outcome, time_ms: clock::wall_ms(), fields: Vec::new() }
    }

    /// Adds a fact; an empty one is left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Record {
        let value = value.into();
        if !value.is_empty() {
            self.fields.push((name, value));
        }
        self
    }

    /// The same for bytes a client sent.
    #[must_use]
    pub fn with_bytes(self, name: &'static str, value: &[u8]) -> Record {
        self.with(name, String::from_utf8_lossy(&value[..value.len().min(FIELD_BYTES_MAX)]))
    }

    /// The line, without its end, and its mac.
    pub(super) fn line(&self, seq: u64, prev: &str, key: &Key) -> (String, String) {
        let mut out = format!(
            "{{\"seq\":{seq},\"time\":\"{}\",\"event\":\"{}\",\"outcome\":\"{}\"",
            time_text(self.time_ms),
            self.event.word(),
            self.outcome.word()
        );
        for (name, value) in &self.fields {
            let end = value.char_indices().map(|(i, _)| i).take_while(|i| *i <= FIELD_BYTES_MAX).last().unwrap_or(0);
            let cut = if value.len() > FIELD_BYTES_MAX { &value[..end] } else { value };
            // A string is always representable.
            let text = serde_json::to_string(cut).unwrap_or_else(|_| "\"\"".into());
            out.push_str(&format!(",\"{name}\":{text}"));
        }
        out.push_str(&format!(",\"prev\":\"{prev}\""));
        let mac = key.mac(out.as_bytes());
        out.push_str(&format!("{MAC_BEGIN}{mac}\"}}"));
        (out, mac)
    }
}

/// What stands between the part the mac is over and the mac.
pub(super) const MAC_BEGIN: &str = ",\"mac\":\"";

/// `2026-11-25T03:20:00.123Z`.
pub(super) fn time_text(unix_ms: i64) -> String {
    let (days, ms) = (unix_ms.div_euclid(86_400_000), unix_ms.rem_euclid(86_400_000));
    // Days to a date, by eras of 400 years that begin on a first of March.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}
