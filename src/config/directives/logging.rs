//! Logs: level, format, destination.

use std::path::PathBuf;

use crate::config::codec::{File, OneOf, TEXT, YesNo};
use crate::config::row::{Standing, topic};
use crate::config::types::{LogFormat, LogLevel, LogTimestampFormat, SyslogFacility};

topic! {
    /// Level, format, destination.
    Logging in logging, "Logging";

    /// Least severe line to log.
    "loglevel" => loglevel: LogLevel = LogLevel::Notice, OneOf, Runtime, Open, Standing::Works;
    /// File to append to; empty is standard output.
    "logfile" => logfile: Option<PathBuf> = None, File, Start, Open, Standing::Works;
    /// Shape of a line: the classic one, logfmt, or JSON.
    "log-format" => log_format: LogFormat = LogFormat::Legacy, OneOf, Runtime, Open, Standing::Works;
    /// Shape of a line's time: the classic one, ISO 8601, or milliseconds since 1970.
    "log-timestamp-format" => log_timestamp_format: LogTimestampFormat = LogTimestampFormat::Legacy, OneOf, Runtime, Open, Standing::Works;
    /// Send lines to syslog as well.
    "syslog-enabled" => syslog_enabled: bool = false, YesNo, Start, Open, Standing::Works;
    /// Name syslog shows.
    "syslog-ident" => syslog_ident: String = "holdfast".into(), TEXT, Start, Open, Standing::Works;
    /// Facility syslog files them under.
    "syslog-facility" => syslog_facility: SyslogFacility = SyslogFacility::Local0, OneOf, Start, Open, Standing::Works;
    /// Keep keys, values and client names out of the log.
    "hide-user-data-from-log" => hide_user_data_from_log: bool = true, YesNo, Runtime, Open, Standing::Works;
}
