//! The value of a sorted set: unique members, each with a score, in the order of score and then of the members' bytes.
//!
//! A small one is a listpack of member, score, member, score in order, byte for byte as files carry it; a big one is a table from
//! member to score beside an order-statistics tree of the same records. A set that has become big stays big.
//!
//! Invariants: a score is never NaN; the two zeros are one score; members are unique. It knows no key, time, lock or reply.

mod big;
mod gather;
mod handle;
mod pack;
mod range;
#[cfg(test)]
mod tests;

use super::listpack::{Item, Listpack};
use super::table::{MemberPath, Table};
use crate::base::hash::Random;
use big::Big;
pub use gather::Gather;
pub use pack::Damaged;
pub use range::{LexBound, LexRange, ScoreRange};
use std::ops::Range;

/// How big a listpack may get before it becomes a tree.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Members.
    pub entries: usize,
    /// Bytes of a member.
    pub value: usize,
}

/// A sorted set.
#[derive(Debug)]
pub struct Zset(Form);

#[derive(Debug)]
enum Form {
    Pack(Listpack),
    Big(Box<Big>),
}

impl Default for Zset {
    fn default() -> Self {
        Zset(Form::Pack(Listpack::new()))
    }
}

impl Clone for Zset {
    fn clone(&self) -> Self {
        match &self.0 {
            Form::Pack(lp) => Zset(Form::Pack(lp.clone())),
            Form::Big(big) => Zset(Form::Big(Box::new(Big::of(big.len(), |f| self.each(0..big.len(), false, f))))),
        }
    }
}

/// What [`Zset::edit`] found and left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edit {
    pub old: Option<f64>,
    /// The score as it is now; `None` if the member is not there.
    pub new: Option<f64>,
}

impl Edit {
    pub fn added(&self) -> bool {
        self.old.is_none() && self.new.is_some()
    }

    pub fn updated(&self) -> bool {
        matches!((self.old, self.new), (Some(a), Some(b)) if a != b)
    }
}

impl Zset {
    pub fn new() -> Zset {
        Zset::default()
    }

    /// An empty set in the form that `elements` members, the longest of `value` bytes, would end in.
    pub fn for_size(elements: usize, value: usize, limits: Limits) -> Zset {
        if elements <= limits.entries && value <= limits.value { Zset::new() } else { Zset(Form::Big(Box::default())) }
    }

    /// Takes a listpack from a file.
    ///
    /// # Errors
    /// An odd number of elements, a score that is none, members out of order or twice.
    pub fn from_listpack(pack: Listpack) -> Result<Zset, Damaged> {
        pack::check(&pack)?;
        Ok(Zset(Form::Pack(pack)))
    }

    /// The table from member to score of a big one, for DEBUG.
    pub fn table(&self) -> Option<&Table<MemberPath>> {
        match &self.0 {
            Form::Pack(_) => None,
            Form::Big(big) => Some(big.table()),
        }
    }

    /// The listpack, while it is one.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Pack(lp) => Some(lp),
            Form::Big(_) => None,
        }
    }

    /// Elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Pack(lp) => lp.len() / 2,
            Form::Big(big) => big.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes it has allocated beside itself.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Form::Pack(lp) => lp.memory_bytes(),
            Form::Big(big) => big.memory_bytes(),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Pack(_) => "listpack",
            Form::Big(_) => "skiplist",
        }
    }

    /// Becomes big if `elements` is more than a listpack may have.
    pub fn grow_for(&mut self, elements: usize, limits: Limits) {
        if elements > limits.entries {
            self.big();
        }
    }

    fn big(&mut self) -> &mut Big {
        if let Form::Pack(lp) = &self.0 {
            let big = Big::of(lp.len() / 2, |f| pack::each(lp, 0..lp.len() / 2, false, f));
            self.0 = Form::Big(Box::new(big));
        }
        match &mut self.0 {
            Form::Big(big) => big,
            Form::Pack(_) => unreachable!("it has just been made big"),
        }
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Pack(lp) => pack::find(lp, member).map(|(_, score)| score),
            Form::Big(big) => big.score(member),
        }
    }

    /// Looks at the score of `member` (`None`: not there) and gives it the one that `decide` returns; `None` leaves all as it is.
    /// The new score must not be NaN. One search for both.
    pub fn edit(&mut self, member: &[u8], limits: Limits, decide: impl FnOnce(Option<f64>) -> Option<f64>) -> Edit {
        let lp = match &mut self.0 {
            Form::Big(big) => return big.edit(member, decide),
            Form::Pack(lp) => lp,
        };
        match pack::find(lp, member) {
            Some((at, old)) => {
                let new = decide(Some(old)).unwrap_or(old);
                if new != old {
                    lp.remove_run(at, 2);
                    pack::insert(lp, member, new);
                }
                Edit { old: Some(old), new: Some(new) }
            }
            None => {
                let Some(new) = decide(None) else { return Edit { old: None, new: None } };
                if lp.len() / 2 >= limits.entries || member.len() > limits.value || !pack::has_room(lp, member) {
                    return self.big().edit(member, |_| Some(new));
                }
                pack::insert(lp, member, new);
                Edit { old: None, new: Some(new) }
            }
        }
    }

    /// Sets the score of a member, which may be new.
    pub fn set(&mut self, member: &[u8], score: f64, limits: Limits) -> Edit {
        self.edit(member, limits, |_| Some(score))
    }

    /// Removes a member; its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Form::Pack(lp) => {
                let (at, score) = pack::find(lp, member)?;
                lp.remove_run(at, 2);
                Some(score)
            }
            Form::Big(big) => big.remove(member),
        }
    }

    /// The number of elements before `member`, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.0 {
            Form::Pack(lp) => pack::rank(lp, member),
            Form::Big(big) => big.rank(member),
        }
    }

    /// The element of a rank.
    pub fn at(&self, rank: usize) -> Option<(Item<'_>, f64)> {
        match &self.0 {
            Form::Pack(lp) => pack::at(lp, rank),
            Form::Big(big) => big.at(rank),
        }
    }

    /// An element, each as likely as any other.
    pub fn random(&self, rng: &mut Random) -> Option<(Item<'_>, f64)> {
        self.at(rng.below(self.len() as u64) as usize)
    }

    /// Calls `f` with the elements of these ranks, in order, or from the last to the first if `reverse`. Ranks beyond the end are cut off.
    pub fn each(&self, ranks: Range<usize>, reverse: bool, f: impl FnMut(Item<'_>, f64)) {
        match &self.0 {
            Form::Pack(lp) => pack::each(lp, ranks, reverse, f),
            Form::Big(big) => big.each(ranks, reverse, f),
        }
    }

    /// The ranks of the elements whose scores lie in `range`; never reversed.
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        let ranks = match &self.0 {
            Form::Pack(lp) => pack::partition(lp, |_, s| range.is_below(s), |_, s| range.is_above(s)),
            Form::Big(big) => big.ranks_by_score(range),
        };
        ranks.start..ranks.end.max(ranks.start)
    }

    /// The ranks of the elements whose bytes lie in `range`, in a set whose scores are all equal; some range otherwise.
    pub fn ranks_by_lex(&self, range: &LexRange<'_>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        let ranks = match &self.0 {
            Form::Pack(lp) => pack::partition(
                lp,
                |m, _| m.with_bytes(|b| range.is_below(b)),
                |m, _| m.with_bytes(|b| range.is_above(b)),
            ),
            Form::Big(big) => big.ranks_by_lex(range),
        };
        ranks.start..ranks.end.max(ranks.start)
    }

    /// Removes the elements of these ranks; how many there were.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) -> usize {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        match &mut self.0 {
            Form::Pack(lp) => {
                lp.remove_range(2 * ranks.start as i64, 2 * ranks.len());
            }
            Form::Big(big) => big.remove_ranks(ranks.clone()),
        }
        ranks.len()
    }

    /// Meets the elements from `cursor` on (0 first), at least `count` places of them if there are so many; where to go on, 0 at the end.
    /// An element that is there from the first call to the last is met at least once.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>, f64)) -> u64 {
        match &self.0 {
            Form::Pack(lp) => {
                pack::each(lp, 0..usize::MAX, false, f);
                0
            }
            Form::Big(big) => big.scan(cursor, count, |name, score| f(Item::Str(name), score)),
        }
    }

    /// Drops a part of it, so that a huge one can be freed in slices; false when nothing is left. Nothing else may be done with
    /// it once this has begun.
    pub fn drop_slice(&mut self) -> bool {
        match &mut self.0 {
            Form::Pack(lp) => {
                lp.clear();
                false
            }
            Form::Big(big) => big.drop_slice(),
        }
    }

    /// Checks the invariants; for tests.
    pub fn check(&self) {
        match &self.0 {
            Form::Pack(lp) => assert_eq!(pack::check(lp), Ok(())),
            Form::Big(big) => big.check(),
        }
    }
}
