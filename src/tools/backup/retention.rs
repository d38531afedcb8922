//! Which backups are kept: of each of the last days, weeks and months that have any the newest one, and all of the last day.

use crate::base::calendar::civil_from_days;
use std::collections::BTreeSet;

/// How many are kept of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub daily: usize,
    pub weekly: usize,
    pub monthly: usize,
}

const DAY: i64 = 86_400;

impl Retention {
    /// Of these seconds the ones to keep. The newest always is.
    pub fn keep(&self, made: &[i64], now: i64) -> BTreeSet<i64> {
        let mut newest_first = made.to_vec();
        newest_first.sort_unstable_by(|a, b| b.cmp(a));
        let mut kept: BTreeSet<i64> = newest_first.iter().copied().filter(|t| now - t < DAY).collect();
        kept.extend(newest_first.first());
        let day = |t: i64| t.div_euclid(DAY);
        // 1970-01-01 was a Thursday; weeks begin on Monday.
        let week = |t: i64| (day(t) + 3).div_euclid(7);
        let month = |t: i64| {
            let (year, month, _) = civil_from_days(day(t));
            year * 12 + month as i64
        };
        newest(&newest_first, self.daily, day, &mut kept);
        newest(&newest_first, self.weekly, week, &mut kept);
        newest(&newest_first, self.monthly, month, &mut kept);
        kept
    }
}

/// Keeps the newest of each of the last `count` spans that have any.
fn newest(newest_first: &[i64], count: usize, span: impl Fn(i64) -> i64, kept: &mut BTreeSet<i64>) {
    let mut seen = BTreeSet::new();
    for t in newest_first {
        if !seen.contains(&span(*t)) && seen.len() < count {
            seen.insert(span(*t));
            kept.insert(*t);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_of_daily_backups_comes_down_to_days_weeks_and_months() {
        let now = 1_795_241_725;
        let made: Vec<i64> = (0..400).map(|n| now - n * DAY - 100).collect();
        let kept = Retention { daily: 7, weekly: 4, monthly: 12 }.keep(&made, now);
        // The newest of weeks and months may be those of days, too.
        assert!((12 + 3..=7 + 4 + 12).contains(&kept.len()), "{}", kept.len());
        assert!(made[..7].iter().all(|t| kept.contains(t)));
        assert!(kept.first().unwrap() < &(now - 320 * DAY));
        // Kept again and again they stay the same.
        let again: Vec<i64> = kept.iter().copied().collect();
        assert_eq!(Retention { daily: 7, weekly: 4, monthly: 12 }.keep(&again, now), kept);
    }

    #[test]
    fn the_newest_and_those_of_the_last_day_stay_whatever_the_figures() {
        let none = Retention { daily: 0, weekly: 0, monthly: 0 };
        assert_eq!(none.keep(&[5, 9, 7], 100 * DAY).into_iter().collect::<Vec<_>>(), [9]);
        assert_eq!(none.keep(&[5, 9, 7], 10).len(), 3);
        assert!(none.keep(&[], 10).is_empty());
    }
}
