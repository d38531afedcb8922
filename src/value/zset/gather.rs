//! Gathers members in any order and makes a sorted set of them: unions, intersections, stored ranges, files.

use super::super::record::{Content, Record};
use super::super::table::{MemberPath, PathOf, Table};
use super::big::Big;
use super::handle::Handle;
use super::{Form, Limits, Zset, pack};
use crate::value::listpack::Listpack;
use crate::value::order::Member;

/// Members with scores, not yet in order.
#[derive(Default)]
pub struct Gather {
    table: Table<MemberPath>,
    blocks: usize,
}

impl Gather {
    pub fn new() -> Gather {
        Gather::default()
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds a member with `score`, or gives it `join(old)` if it is there. Neither may be NaN. True if it is new.
    pub fn add(&mut self, member: &[u8], score: f64, join: impl FnOnce(f64) -> f64) -> bool {
        let path = MemberPath::path(member);
        if let Some(mut record) = self.table.get_mut_at(path, member) {
            let joined = join(record.score());
            record.set_score(joined);
            return false;
        }
        let record = Record::new(member, Content::Score(score), None);
        self.blocks += record.block_bytes();
        self.table.insert_at(path, record);
        true
    }

    /// Adds a member that was not there yet; false, and nothing changed, if it was: files may be damaged.
    pub fn add_new(&mut self, member: &[u8], score: f64) -> bool {
        self.add(member, score, |old| old)
    }

    /// Takes a member out; true if it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.table.remove(member) {
            Some(record) => {
                self.blocks -= record.block_bytes();
                true
            }
            None => false,
        }
    }

    /// The set, as a listpack if `limits` let it be one.
    pub fn finish(self, limits: Limits) -> Zset {
        let mut sorted: Vec<(f64, Handle)> = Vec::with_capacity(self.table.len());
        let (mut longest, mut bytes) = (0, 0);
        self.table.for_each(|r| {
            longest = longest.max(r.name().len());
            bytes += r.name().len() + pack::OVERHEAD_MAX;
            sorted.push((r.score(), Handle::of(r)));
        });
        sorted.sort_unstable_by(|a, b| {
            a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.1.bytes().cmp(b.1.bytes()))
        });
        if sorted.len() <= limits.entries && longest <= limits.value {
            let mut lp = Listpack::with_capacity(0);
            if lp.has_room(bytes) {
                for (score, handle) in &sorted {
                    pack::push(&mut lp, handle.bytes(), *score);
                }
                return Zset(Form::Pack(lp));
            }
        }
        Zset(Form::Big(Box::new(Big::from_parts(self.table, sorted, self.blocks))))
    }
}
