//! Ways through a table that is not changed by them: SCAN's order, those whose time has come, one at random.

use super::super::record::Record;
use super::{BUCKETS_MAX, Borrowed, PathOf, SLOTS, Table};
use crate::base::hash::Random;

impl<P> Table<P> {
    /// A record, each as likely as any other. `None` if there are none.
    pub fn random(&self, rng: &mut Random) -> Option<Borrowed<'_>> {
        if self.len == 0 {
            return None;
        }
        let depth = self.depth();
        for _ in 0..256 {
            let d = rng.below(self.directory.len() as u64) as usize;
            // SAFETY: directory entries point at live segments.
            let s = unsafe { &*self.directory[d].segment() };
            // A segment with several entries is taken by its first alone, and places that a smaller one lacks count as
            // free ones: so every place of every segment is equally likely.
            if d & ((1 << (depth - u32::from(s.depth))) - 1) != 0 {
                continue;
            }
            let places = if depth == 0 { s.buckets as u64 } else { BUCKETS_MAX as u64 } * SLOTS as u64;
            let place = rng.below(places) as usize;
            if place / SLOTS < s.buckets as usize && s.bucket(place / SLOTS).0[place % SLOTS] != 0 {
                return Some(s.bucket(place / SLOTS).record(place % SLOTS));
            }
        }
        // A table that has lost nearly all its records: the first one from a random place on.
        let start = rng.below(self.directory.len() as u64) as usize;
        for k in 0..self.directory.len() {
            // SAFETY: as above.
            let s = unsafe { &*self.directory[(start + k) % self.directory.len()].segment() };
            if s.len == 0 {
                continue;
            }
            let from = rng.below(u64::from(s.buckets)) as usize;
            for j in 0..s.buckets as usize {
                let bucket = s.bucket((from + j) % s.buckets as usize);
                if bucket.occupied() != 0 {
                    return Some(bucket.record(bucket.occupied().trailing_zeros() as usize));
                }
            }
        }
        None
    }

    /// The earliest deadline any record may have, by the segments' own words; `None` if none has one.
    pub fn earliest_deadline(&self) -> Option<i64> {
        if self.deadlines == 0 {
            return None;
        }
        let mut earliest = i64::MAX;
        self.each_segment(|s| earliest = earliest.min(s.earliest));
        Some(earliest)
    }
}

impl<P: PathOf> Table<P> {
    /// Meets the records at and after path `from`, bucket by bucket, until at least `count` places were looked at; the path to go
    /// on from, or `None` at the end.
    pub fn scan(&self, from: u64, count: usize, mut f: impl FnMut(&Record)) -> Option<u64> {
        let mut looked = 0;
        let mut path = from;
        loop {
            let s = self.segment(path)?;
            let depth = u32::from(s.depth);
            let base = if depth == 0 { 0 } else { path >> (64 - depth) << (64 - depth) };
            for home in s.home(path)..s.buckets as usize {
                let mut b = home;
                for _ in 0..s.buckets {
                    let bucket = s.bucket(b);
                    let mut m = bucket.occupied();
                    while m != 0 {
                        let r = bucket.record(m.trailing_zeros() as usize);
                        m &= m - 1;
                        let p = P::path(r.name());
                        if p >= from && s.home(p) == home {
                            looked += 1;
                            f(&r);
                        }
                    }
                    if bucket.overflow() == 0 {
                        break;
                    }
                    b = s.next(b);
                }
                if looked >= count && home + 1 < s.buckets as usize {
                    let local = (((home + 1) as u128) << 64).div_ceil(u128::from(s.buckets)) as u64;
                    let step =
                        if depth == 0 { local } else { (local >> depth) + u64::from(local << (64 - depth) != 0) };
                    return Some(base + step);
                }
            }
            // The first path of the next segment; past the last one it wraps to 0.
            path = if depth == 0 { 0 } else { base.wrapping_add(1 << (64 - depth)) };
            if path == 0 {
                return None;
            }
            if looked >= count {
                return Some(path);
            }
        }
    }

    /// Hands out the names of up to `max` records whose deadline is at most `now`, from segments whose earliest deadline has
    /// come, beginning at path `from`. Segments looked at whole get their earliest deadline anew. Returns where to go on,
    /// `None` at the end, and the number of records looked at.
    pub fn expired(&mut self, from: u64, now: i64, max: usize, out: &mut Vec<Vec<u8>>) -> (Option<u64>, usize) {
        let mut looked = 0;
        let mut path = from;
        loop {
            let Some(s) = self.segment_mut(path) else { return (None, looked) };
            let depth = u32::from(s.depth);
            if s.earliest <= now {
                let mut earliest = i64::MAX;
                let had = out.len();
                s.for_each(&mut |r| {
                    looked += 1;
                    if let Some(d) = r.deadline() {
                        if d > now {
                            earliest = earliest.min(d);
                        } else if out.len() < max {
                            out.push(r.name().to_vec());
                        } else {
                            earliest = now;
                        }
                    }
                });
                // Records handed out are still there: until they are gone the segment stays due.
                s.earliest = if out.len() > had { earliest.min(now) } else { earliest };
            }
            path = if depth == 0 { 0 } else { (path >> (64 - depth) << (64 - depth)).wrapping_add(1 << (64 - depth)) };
            if path == 0 {
                return (None, looked);
            }
            if out.len() >= max || looked >= max * 32 {
                return (Some(path), looked);
            }
        }
    }
}
