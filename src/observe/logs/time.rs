//! The time a line shows: local, as text.

use crate::base::calendar::civil_from_days;
use crate::base::clock;
use crate::config::types::LogTimestampFormat;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// An instant with the local distance from UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local {
    unix_ms: i64,
    offset_secs: i64,
}

/// An instant in the calendar.
struct Civil {
    year: i64,
    /// 1 to 12.
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    millisecond: i64,
}

impl Local {
    /// Now.
    pub(super) fn now() -> Self {
        let unix_ms = clock::wall_ms();
        Self { unix_ms, offset_secs: offset_secs(unix_ms.div_euclid(1000)) }
    }

    /// As log lines show it.
    pub(super) fn text(&self, format: LogTimestampFormat) -> String {
        let Civil { year, month, day, hour, minute, second, millisecond } = self.civil();
        match format {
            LogTimestampFormat::Legacy => {
                let month = MONTHS.get(month - 1).copied().unwrap_or("???");
                format!("{day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{millisecond:03}")
            }
            LogTimestampFormat::Iso8601 => {
                let sign = if self.offset_secs < 0 { '-' } else { '+' };
                let (hours, minutes) = (self.offset_secs.abs() / 3600, self.offset_secs.abs() % 3600 / 60);
                format!(
                    "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}\
                     {sign}{hours:02}:{minutes:02}"
                )
            }
            LogTimestampFormat::Milliseconds => self.unix_ms.to_string(),
        }
    }

    /// As syslog's datagrams carry it (RFC 3164).
    pub(super) fn syslog(&self) -> String {
        let Civil { month, day, hour, minute, second, .. } = self.civil();
        let month = MONTHS.get(month - 1).copied().unwrap_or("???");
        format!("{month} {day:2} {hour:02}:{minute:02}:{second:02}")
    }

    fn civil(&self) -> Civil {
        let secs = self.unix_ms.div_euclid(1000) + self.offset_secs;
        let in_day = secs.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(secs.div_euclid(86_400));
        Civil {
            year,
            month,
            day,
            hour: in_day / 3600,
            minute: in_day % 3600 / 60,
            second: in_day % 60,
            millisecond: self.unix_ms.rem_euclid(1000),
        }
    }
}

/// Seconds local time is ahead of UTC at an instant; 0 if the system cannot tell.
fn offset_secs(unix_secs: i64) -> i64 {
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; localtime_r writes only to the second and keeps neither. An
    // all-zero `tm` is a valid value (integers and a null pointer), so it may be read even if the call fails.
    unsafe {
        if libc::localtime_r(&unix_secs, parts.as_mut_ptr()).is_null() { 0 } else { parts.assume_init().tm_gmtoff }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_are_written_in_each_format() {
        let at = |unix_ms, offset_secs, format| Local { unix_ms, offset_secs }.text(format);
        assert_eq!(at(0, 0, LogTimestampFormat::Legacy), "01 Jan 1970 00:00:00.000");
        assert_eq!(at(1_795_241_725_128, 0, LogTimestampFormat::Legacy), "21 Nov 2026 06:15:25.128");
        assert_eq!(at(1_795_241_725_128, -12_600, LogTimestampFormat::Iso8601), "2026-11-21T02:45:25.128-03:30");
        assert_eq!(at(951_782_400_000, 3600, LogTimestampFormat::Iso8601), "2000-02-29T01:00:00.000+01:00");
        assert_eq!(at(12, 3600, LogTimestampFormat::Milliseconds), "12");
        assert_eq!(Local { unix_ms: 0, offset_secs: 0 }.syslog(), "Jan  1 00:00:00");
    }
}
