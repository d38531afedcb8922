//! Active expiry: keys past their deadline go without being asked for.
//!
//! Each segment of a table knows its earliest deadline, so that a visit looks only at segments that are due. A visit holds one
//! stripe and takes out a bounded number of keys; the caller decides how long it goes on.

use super::key::Key;
use super::space::Space;

impl Space<'_> {
    /// Deletes up to `max` keys of a database of a held stripe whose deadline has passed. Returns how many went and whether more may
    /// be due.
    pub fn expire_due(&mut self, stripe: u16, db: u32, max: usize) -> (usize, bool) {
        let now = self.now_ms();
        let table = &mut self.stripe(stripe).database_mut(db).table;
        if table.deadlines() == 0 {
            return (0, false);
        }
        let mut due = Vec::new();
        let (more, _) = table.expired(0, now, max, &mut due);
        for name in &due {
            self.delete_expired(Key::new(db, name));
        }
        (due.len(), more.is_some() || due.len() >= max)
    }

    /// Sum of time to live and number of keys with a deadline in a sample of a held stripe's database, for `avg_ttl`.
    pub fn ttl_sample(&mut self, stripe: u16, db: u32) -> (i64, u64) {
        let now = self.now_ms();
        let (mut sum, mut n) = (0i64, 0);
        let table = &self.stripe(stripe).database(db).table;
        if table.deadlines() > 0 {
            table.scan(0, 16, |r| {
                if let Some(d) = r.deadline() {
                    sum = sum.saturating_add((d - now).max(0));
                    n += 1;
                }
            });
        }
        (sum, n)
    }
}
