//! Walking a table segment by segment while others change it between the steps.
//!
//! What has been visited is told by the records' marks, not by a place: a segment may be left in the middle and entered again, it
//! may split, grow or merge meanwhile, and no record is missed or visited twice.

use super::super::record::Record;
use super::{Segment, Table};
use crate::base::cache::{LINE, prefetch};

/// What the visitor of a record wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// It is done with the record.
    Next,
    /// The same, and it wants no more now.
    Stop,
    /// It is not done: the record stays unmarked, and that is all for now.
    Unfinished,
}

/// Where a walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walked {
    /// The segment is done; go on at this path.
    Next(u64),
    /// The visitor stopped: the same path again.
    Again,
    /// That was the last segment.
    End,
}

impl<P> Table<P> {
    /// Shows `f` the records of the segment of `path` that do not have this mark, and gives it to those that `f` is done with.
    pub fn walk_segment(&mut self, path: u64, mark: u8, mut f: impl FnMut(&Record) -> Visit) -> Walked {
        let Some(s) = self.segment_mut(path) else { return Walked::End };
        let depth = u32::from(s.depth);
        for b in 0..s.buckets as usize {
            if b + 1 < s.buckets as usize {
                ask(s, b + 1);
            }
            let bucket = s.bucket(b);
            let mut m = bucket.occupied();
            while m != 0 {
                let mut record = bucket.record(m.trailing_zeros() as usize);
                m &= m - 1;
                if record.mark() == mark {
                    continue;
                }
                let visit = f(&record);
                if visit == Visit::Unfinished {
                    return Walked::Again;
                }
                record.0.set_mark(mark);
                if visit == Visit::Stop {
                    return Walked::Again;
                }
            }
        }
        let next = if depth == 0 { 0 } else { (path >> (64 - depth) << (64 - depth)).wrapping_add(1 << (64 - depth)) };
        if next == 0 { Walked::End } else { Walked::Next(next) }
    }
}

impl<P> Table<P> {
    /// Takes the marks of the segment of `path` away: to a walk for mark 0, records without one are done.
    pub fn unmark_segment(&mut self, path: u64) -> Walked {
        self.walk_segment(path, 0, |_| Visit::Next)
    }
}

/// Asks the cache for the records of a bucket that will be visited next.
fn ask(s: &Segment, b: usize) {
    let bucket = s.bucket(b);
    let mut m = bucket.occupied();
    while m != 0 {
        let p = bucket.pointer(m.trailing_zeros() as usize);
        prefetch(p);
        prefetch(p.wrapping_add(LINE));
        m &= m - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::record::Content;
    use super::super::MemberPath;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn name(n: u16) -> Vec<u8> {
        n.to_string().into_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_record_is_visited_once_whatever_comes_goes_and_moves_meanwhile(
            first in prop::collection::hash_set(any::<u16>(), 0..3000),
            steps in prop::collection::vec((any::<u16>(), any::<bool>(), 1usize..300), 0..200),
        ) {
            let mut table = Table::<MemberPath>::new();
            for n in &first {
                table.insert(Record::new(&name(*n), Content::None, None));
            }
            let mut seen: HashSet<Vec<u8>> = HashSet::new();
            let mut expected: HashSet<Vec<u8>> = first.iter().map(|n| name(*n)).collect();
            let (mut at, mut steps) = (Some(0), steps.into_iter());
            while let Some(path) = at {
                let mut left = 100;
                if let Some((n, remove, some)) = steps.next() {
                    left = some;
                    let key = name(n);
                    // As a writer does: what is not visited yet is noted before it goes, and what is new is no part of it.
                    if remove {
                        if let Some(gone) = table.remove(&key) && gone.mark() != 1 {
                            expected.remove(&key);
                        }
                    } else if !table.contains(&key) {
                        let mut record = Record::new(&key, Content::Int(1), None);
                        record.set_mark(1);
                        table.insert(record);
                    } else if let Some(mut r) = table.get_mut(&key) {
                        r.set_deadline(Some(5));
                    }
                }
                let walked = table.walk_segment(path, 1, |r| {
                    assert!(seen.insert(r.name().to_vec()), "twice");
                    left -= 1;
                    if left == 0 { Visit::Stop } else { Visit::Next }
                });
                at = match walked {
                    Walked::Next(path) => Some(path),
                    Walked::Again => at,
                    Walked::End => None,
                };
            }
            prop_assert!(expected.is_subset(&seen));
            table.for_each(|r| assert_eq!(r.mark(), 1));
            table.check();
        }
    }
}
