//! The time a line shows: local, as text.

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

/// Year, month (1 to 12) and day of a number of days since 1970-01-01. The year is taken to start in March, so that
/// the leap day is its last (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, usize::try_from(month).unwrap_or(1), day)
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

    #[test]
    fn every_day_of_the_calendar_follows_the_one_before() {
        let mut before = civil_from_days(-1);
        assert_eq!(before, (1969, 12, 31));
        for days in 0..200_000 {
            let (year, month, day) = civil_from_days(days);
            let follows = match before {
                (old_year, 12, 31) => (year, month, day) == (old_year + 1, 1, 1),
                (old_year, old_month, old_day) => {
                    (year, month, day) == (old_year, old_month, old_day + 1)
                        || (old_day >= 28 && (year, month, day) == (old_year, old_month + 1, 1))
                }
            };
            assert!(follows, "{before:?} then {:?}", (year, month, day));
            before = (year, month, day);
        }
    }
}
