//! Days of the calendar, in UTC.

/// Year, month (1 to 12) and day of a number of days since 1970-01-01. The year is taken to start in March, so that
/// the leap day is its last (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub fn civil_from_days(days: i64) -> (i64, usize, i64) {
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

/// A second since the epoch as `2026-11-25T13:30:00Z`.
pub fn utc_text(unix_s: i64) -> String {
    let (year, month, day) = civil_from_days(unix_s.div_euclid(86_400));
    let in_day = unix_s.rem_euclid(86_400);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", in_day / 3600, in_day % 3600 / 60, in_day % 60)
}

/// Seconds since the epoch of what [`utc_text`] writes.
pub fn unix_of_utc_text(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char, widths: [usize; 3]| {
        let mut parts = text.split(by);
        let numbers = widths.map(|width| {
            let part = parts.next().filter(|p| p.len() == width && p.bytes().all(|b| b.is_ascii_digit()))?;
            part.parse::<i64>().ok()
        });
        parts.next().is_none().then_some(numbers)
    };
    let [Some(year), Some(month), Some(day)] = numbers(date, '-', [4, 2, 2])? else { return None };
    let [Some(hour), Some(minute), Some(second)] = numbers(time, ':', [2, 2, 2])? else { return None };
    // Years begin in March, so that the odd day is their last.
    let year_of_march = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year_of_march + year_of_march / 4 - year_of_march / 100 + year_of_march / 400 + day_of_year;
    let unix_s = (days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second;
    // What no calendar or clock shows comes out as another text.
    (utc_text(unix_s) == text).then_some(unix_s)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn known_seconds_have_their_text() {
        assert_eq!(utc_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc_text(1_795_241_725), "2026-11-21T06:15:25Z");
    }

    #[test]
    fn a_text_leads_back_to_its_second_and_what_is_none_to_nothing() {
        for unix_s in (0..4_000_000_000).step_by(86_399 * 7) {
            assert_eq!(unix_of_utc_text(&utc_text(unix_s)), Some(unix_s));
        }
        for text in [
            "",
            "Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T06:15:25",
            "2026-11-21 06:15:25Z",
            "+026-11-21T06:15:25Z",
            "2026-11-21-1T06:15:25Z",
            "2026-00-10T06:15:25Z",
        ] {
            assert_eq!(unix_of_utc_text(text), None, "{text}");
        }
    }
}
