//! The value of a set key: an intset, a listpack or a table of records.
//!
//! Integers alone stand in an intset while they are few; small sets with other members in a listpack; anything else in a
//! table. A set never goes back to a smaller encoding by itself. Invariants: no member is there twice; the table's records have
//! neither content nor deadline. It knows neither keys nor commands; thresholds and chance are handed in.

use super::intset::IntSet;
use super::listpack::{Item, Listpack};
use super::record::{Content, Record};
use super::table::{MemberPath, PathOf, Table};
use crate::base::hash::Random;
use crate::base::number::{int_text_len, parse_i64};
use std::collections::HashSet;

/// Up to where a set stays compact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// Members of an intset.
    pub intset_entries: usize,
    /// Members of a listpack.
    pub listpack_entries: usize,
    /// Bytes of a member of a listpack.
    pub listpack_value: usize,
}

/// How a set is kept.
#[derive(Debug)]
enum Repr {
    Ints(IntSet),
    Pack(Listpack),
    Table(Table<MemberPath>),
}

/// What a set looks like to whoever saves it.
#[derive(Debug)]
pub enum SetRef<'a> {
    Ints(&'a IntSet),
    Pack(&'a Listpack),
    Table(&'a Table<MemberPath>),
}

/// A set.
#[derive(Debug)]
pub struct Set(Repr);

/// Members a listpack from outside holds twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate;

impl std::fmt::Display for Duplicate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a member or field stands there twice")
    }
}

impl std::error::Error for Duplicate {}

impl Default for Set {
    fn default() -> Self {
        Set(Repr::Ints(IntSet::new()))
    }
}

impl Clone for Set {
    fn clone(&self) -> Self {
        Set(match &self.0 {
            Repr::Ints(v) => Repr::Ints(v.clone()),
            Repr::Pack(v) => Repr::Pack(v.clone()),
            Repr::Table(t) => {
                let mut copy = Table::new();
                t.for_each(|r| copy.insert(Record::new(r.name(), Content::None, None)));
                Repr::Table(copy)
            }
        })
    }
}

fn insert(table: &mut Table<MemberPath>, member: &[u8]) -> bool {
    let path = MemberPath::path(member);
    if table.locate(path, member).is_some() {
        return false;
    }
    table.insert_at(path, Record::new(member, Content::None, None));
    true
}

impl Set {
    /// An empty set in the encoding that suits about `members` members of which `first` is one.
    pub fn for_first(first: &[u8], members: usize, limits: &SetLimits) -> Set {
        Set(if members <= limits.intset_entries && parse_i64(first).is_some() {
            Repr::Ints(IntSet::new())
        } else if members <= limits.listpack_entries {
            Repr::Pack(Listpack::new())
        } else {
            Repr::Table(Table::new())
        })
    }

    /// Takes a checked intset; a table where it is larger than an intset may be.
    pub fn from_intset(ints: IntSet, limits: &SetLimits) -> Set {
        let mut set = Set(Repr::Ints(ints));
        if set.len() > limits.intset_entries {
            set.become_table();
        }
        set
    }

    /// Takes a checked listpack whose elements are the members; a table where it is larger than a listpack may be.
    ///
    /// # Errors
    /// A member stands there twice.
    pub fn from_listpack(pack: Listpack, limits: &SetLimits) -> Result<Set, Duplicate> {
        let mut seen = HashSet::with_capacity(pack.len());
        let mut small = pack.len() <= limits.listpack_entries;
        for item in pack.iter() {
            small &= item.text_len() <= limits.listpack_value;
            if !seen.insert(item.to_vec()) {
                return Err(Duplicate);
            }
        }
        let mut set = Set(Repr::Pack(pack));
        if !small {
            set.become_table();
        }
        Ok(set)
    }

    /// The encoding itself, to be saved.
    pub fn as_ref(&self) -> SetRef<'_> {
        match &self.0 {
            Repr::Ints(v) => SetRef::Ints(v),
            Repr::Pack(v) => SetRef::Pack(v),
            Repr::Table(v) => SetRef::Table(v),
        }
    }

    /// Members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Ints(v) => v.len(),
            Repr::Pack(v) => v.len(),
            Repr::Table(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Repr::Ints(v) => v.is_empty(),
            Repr::Pack(v) => v.is_empty(),
            Repr::Table(v) => v.is_empty(),
        }
    }

    /// Bytes it has allocated beside itself.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Repr::Ints(v) => v.memory_bytes(),
            Repr::Pack(v) => v.memory_bytes(),
            Repr::Table(v) => v.memory_bytes(true),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Ints(_) => "intset",
            Repr::Pack(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }

    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Repr::Ints(v) => parse_i64(member).is_some_and(|n| v.contains(n)),
            Repr::Pack(v) => v.first().is_some_and(|first| v.find(first, member, 0).is_some()),
            Repr::Table(v) => v.contains(member),
        }
    }

    /// Whether another set's member is one of this one too.
    pub fn contains_item(&self, member: Item<'_>) -> bool {
        match (&self.0, member) {
            (Repr::Ints(v), Item::Int(n)) => v.contains(n),
            _ => member.with_bytes(|m| self.contains(m)),
        }
    }

    /// Adds a member; whether it is new.
    #[inline]
    pub fn add(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        match &mut self.0 {
            Repr::Table(table) => insert(table, member),
            Repr::Ints(ints) => match parse_i64(member) {
                Some(n) => {
                    if !ints.add(n) {
                        return false;
                    }
                    if ints.len() > limits.intset_entries {
                        self.become_table();
                    }
                    true
                }
                None => {
                    let longest = [ints.min(), ints.max()].into_iter().flatten().map(int_text_len).max().unwrap_or(0);
                    let fits = ints.len() < limits.listpack_entries
                        && member.len().max(longest) <= limits.listpack_value
                        && member.len() < super::listpack::BYTES_MAX / 2;
                    if fits {
                        let mut pack = Listpack::new();
                        ints.iter().for_each(|n| pack.push_back(n));
                        pack.push_back(member);
                        self.0 = Repr::Pack(pack);
                        return true;
                    }
                    self.become_table_with(member)
                }
            },
            Repr::Pack(pack) => {
                if pack.first().is_some_and(|first| pack.find(first, member, 0).is_some()) {
                    return false;
                }
                if pack.len() < limits.listpack_entries
                    && member.len() <= limits.listpack_value
                    && pack.has_room(member.len() + 16)
                {
                    pack.push_back(member);
                    return true;
                }
                self.become_table_with(member)
            }
        }
    }

    /// Adds another set's member; whether it is new.
    pub fn add_item(&mut self, member: Item<'_>, limits: &SetLimits) -> bool {
        member.with_bytes(|m| self.add(m, limits))
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Repr::Ints(v) => parse_i64(member).is_some_and(|n| v.remove(n)),
            Repr::Pack(v) => match v.first().and_then(|first| v.find(first, member, 0)) {
                Some(at) => {
                    v.remove(at);
                    true
                }
                None => false,
            },
            Repr::Table(v) => v.remove(member).is_some(),
        }
    }

    fn become_table_with(&mut self, member: &[u8]) -> bool {
        self.become_table();
        match &mut self.0 {
            Repr::Table(table) => insert(table, member),
            _ => false,
        }
    }

    fn become_table(&mut self) {
        let mut table = Table::new();
        self.for_each(|member| {
            member.with_bytes(|m| insert(&mut table, m));
        });
        self.0 = Repr::Table(table);
    }

    /// Meets every member; a `Str` may be the text of an integer.
    pub fn for_each(&self, mut f: impl FnMut(Item<'_>)) {
        match &self.0 {
            Repr::Ints(v) => v.iter().for_each(|n| f(Item::Int(n))),
            Repr::Pack(v) => v.iter().for_each(f),
            Repr::Table(v) => v.for_each(|r| f(Item::Str(r.name()))),
        }
    }

    /// Meets about `count` members from `cursor` on (0: the start); where to go on, 0 at the end. A compact set is met whole.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>)) -> u64 {
        match &self.0 {
            Repr::Table(v) => v.scan(cursor, count, |r| f(Item::Str(r.name()))).unwrap_or(0),
            _ => {
                self.for_each(f);
                0
            }
        }
    }

    /// A member, each as likely as any other; `f` is not called if there are none.
    pub fn random<R>(&self, rng: &mut Random, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let index = |len: usize, rng: &mut Random| rng.below(len as u64) as usize;
        match &self.0 {
            Repr::Ints(v) => v.get(index(v.len(), rng)).map(|n| f(Item::Int(n))),
            Repr::Pack(v) => v.get(index(v.len(), rng) as i64).map(f),
            Repr::Table(v) => v.random(rng).map(|r| f(Item::Str(r.name()))),
        }
    }

    /// `count` different members at random, or all.
    pub fn sample(&self, count: usize, rng: &mut Random, mut f: impl FnMut(Item<'_>)) {
        let len = self.len();
        if let Repr::Table(table) = &self.0
            && count < len / 3
        {
            // Few of many: single draws; a record met before is known by its address.
            let mut seen = HashSet::with_capacity(count);
            let mut draws = 0;
            while seen.len() < count && draws < 32 * count + 64 {
                draws += 1;
                let Some(r) = table.random(rng) else { return };
                if seen.insert(r.name().as_ptr() as usize) {
                    f(Item::Str(r.name()));
                }
            }
            // Draws from a table that has lost most of its members may not reach all: a walk makes up the number.
            if seen.len() < count {
                table.for_each(|r| {
                    if seen.len() < count && seen.insert(r.name().as_ptr() as usize) {
                        f(Item::Str(r.name()));
                    }
                });
            }
            return;
        }
        // One walk (Knuth's algorithm S): each member goes along with the chance still needed over still to come.
        let (mut needed, mut left) = (count.min(len) as u64, len as u64);
        self.for_each(|member| {
            if needed > 0 && (needed == left || rng.below(left) < needed) {
                needed -= 1;
                f(member);
            }
            left = left.saturating_sub(1);
        });
    }

    /// Takes one member out at random.
    pub fn pop(&mut self, rng: &mut Random) -> Option<Vec<u8>> {
        let member = self.random(rng, |m| m.to_vec())?;
        self.remove(&member);
        Some(member)
    }

    /// Takes `count` members out at random, or all.
    pub fn pop_many(&mut self, count: usize, rng: &mut Random) -> Vec<Vec<u8>> {
        let mut out = Vec::with_capacity(count.min(self.len()));
        self.sample(count, rng, |m| out.push(m.to_vec()));
        match &mut self.0 {
            Repr::Table(table) => {
                for m in &out {
                    table.remove(m);
                }
            }
            // Sampled in their own order, so that one walk drops them all.
            Repr::Ints(ints) => {
                let mut gone = out.iter().filter_map(|m| parse_i64(m)).peekable();
                let mut kept = IntSet::new();
                for n in ints.iter() {
                    if gone.next_if_eq(&n).is_none() {
                        kept.add(n);
                    }
                }
                *ints = kept;
            }
            Repr::Pack(pack) => {
                let mut gone = out.iter().peekable();
                let places: Vec<_> = pack
                    .entries()
                    .filter(|(_, item)| gone.next_if(|m| item.eq_bytes(m)).is_some())
                    .map(|(at, _)| at)
                    .collect();
                pack.remove_all(&places);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const LIMITS: SetLimits = SetLimits { intset_entries: 8, listpack_entries: 6, listpack_value: 5 };

    fn of(members: &[&str]) -> Set {
        let mut set = Set::for_first(members[0].as_bytes(), members.len(), &LIMITS);
        for m in members {
            set.add(m.as_bytes(), &LIMITS);
        }
        set
    }

    #[test]
    fn encodings_change_where_valkey_changes_them() {
        assert_eq!(of(&["1", "2"]).encoding(), "intset");
        assert_eq!(of(&["1", "a"]).encoding(), "listpack");
        assert_eq!(of(&["a", "abcdef"]).encoding(), "hashtable");
        let mut many = of(&["1", "2", "3", "4", "5", "6", "7", "8"]);
        assert_eq!(many.encoding(), "intset");
        many.add(b"9", &LIMITS);
        assert_eq!(many.encoding(), "hashtable");
        let mut six = of(&["1", "2", "3", "4", "5", "6"]);
        six.add(b"a", &LIMITS);
        assert_eq!(six.encoding(), "hashtable");
        let mut wide = of(&["123456"]);
        wide.add(b"a", &LIMITS);
        assert_eq!(wide.encoding(), "hashtable");
    }

    #[test]
    fn a_listpack_with_a_member_twice_is_refused() {
        let mut pack = Listpack::new();
        pack.push_back(&b"a"[..]);
        pack.push_back(&b"a"[..]);
        assert!(Set::from_listpack(pack, &LIMITS).is_err());
    }

    #[test]
    fn a_sample_reaches_all_members_equally() {
        let mut rng = Random::new(3);
        let table: Vec<String> = (0..100).map(|i| format!("m{i}")).collect();
        let table: Vec<&str> = table.iter().map(String::as_str).collect();
        for set in [of(&["1", "2", "3", "4", "5"]), of(&["a", "b", "c", "d", "5"]), of(&table)] {
            let mut seen = std::collections::HashMap::new();
            let n = set.len();
            for k in [1, 2, n - 1] {
                for _ in 0..4000 / k {
                    let mut once = BTreeSet::new();
                    set.sample(k, &mut rng, |m| {
                        assert!(once.insert(m.to_vec()));
                    });
                    assert_eq!(once.len(), k);
                    once.into_iter().for_each(|m| *seen.entry(m).or_insert(0) += 1);
                }
            }
            let expect = 12_000 / n;
            assert!(seen.values().all(|c| *c > expect * 6 / 10 && *c < expect * 15 / 10), "{seen:?}");
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_strings(ops in prop::collection::vec((0u8..4, "[0-9a-c]{1,2}"), 0..80), seed: u64) {
            let (mut set, mut model) = (Set::default(), BTreeSet::new());
            let mut rng = Random::new(seed);
            for (op, m) in ops {
                match op {
                    0 | 1 => prop_assert_eq!(set.add(m.as_bytes(), &LIMITS), model.insert(m.clone().into_bytes())),
                    2 => prop_assert_eq!(set.remove(m.as_bytes()), model.remove(m.as_bytes())),
                    _ => for gone in set.pop_many(m.len(), &mut rng) {
                        prop_assert!(model.remove(&gone));
                    },
                }
                prop_assert_eq!(set.len(), model.len());
                let mut met = BTreeSet::new();
                set.for_each(|m| { met.insert(m.to_vec()); });
                prop_assert_eq!(&met, &model);
                let mut copied = BTreeSet::new();
                set.clone().for_each(|m| { copied.insert(m.to_vec()); });
                prop_assert_eq!(&copied, &model);
            }
        }
    }
}
