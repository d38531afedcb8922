//! The value of a hash key: a listpack of fields and values in turn, or a table of records with string content.
//!
//! A field may have a deadline; a hash with one is a table, and stays one. A field whose deadline has come is no longer seen
//! (every look says which time it is) but stands and counts in [`Hash::len`] until it is overwritten or taken out.
//! Invariants: no field is there twice; a listpack holds pairs. It knows neither keys nor commands; it reads no clock.

use super::listpack::{Item, Listpack, Position};
use super::record::{Content, ContentRef, Record};
use super::set::Duplicate;
use super::table::{MemberPath, PathOf, Table};
use crate::base::hash::Random;
use std::collections::HashSet;
use std::sync::Arc;

/// Up to where a hash stays a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLimits {
    /// Fields.
    pub entries: usize,
    /// Bytes of a field or value.
    pub value: usize,
}

/// A field's value, as it is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    /// A long one, which a reply may share.
    Shared(&'a Arc<Vec<u8>>),
}

impl<'a> Value<'a> {
    /// Calls `read` with the value's text.
    pub fn with_bytes<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
        self.item().with_bytes(read)
    }

    /// Bytes of its text.
    pub fn text_len(self) -> usize {
        self.item().text_len()
    }

    fn item(self) -> Item<'a> {
        match self {
            Value::Int(n) => Item::Int(n),
            Value::Bytes(b) => Item::Str(b),
            Value::Shared(b) => Item::Str(b),
        }
    }
}

impl<'a> From<Item<'a>> for Value<'a> {
    fn from(item: Item<'a>) -> Self {
        match item {
            Item::Int(n) => Value::Int(n),
            Item::Str(b) => Value::Bytes(b),
        }
    }
}

fn value_of(record: &Record) -> Value<'_> {
    match record.content() {
        ContentRef::Inline(v) => Value::Bytes(v),
        ContentRef::Int(n) => Value::Int(n),
        ContentRef::Big(v) => Value::Shared(v),
        // Fields are made with string content alone.
        ContentRef::None | ContentRef::Score(_) | ContentRef::Object(_) => Value::Bytes(b""),
    }
}

/// What happens to a field's deadline when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTtl {
    Clear,
    /// Stays, unless the field had expired.
    Keep,
    /// ms since the epoch.
    At(i64),
}

/// What stood under a field's name before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Nothing,
    Live,
    /// A field past its deadline.
    Expired,
}

/// What a hash looks like to whoever saves it.
#[derive(Debug)]
pub enum HashRef<'a> {
    Pack(&'a Listpack),
    Table(&'a Table<MemberPath>),
}

#[derive(Debug)]
enum Repr {
    Pack(Listpack),
    Table(Table<MemberPath>),
}

/// A hash.
#[derive(Debug)]
pub struct Hash(Repr);

/// A listpack from outside that is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAHash {
    /// A field without a value.
    Odd,
    Twice(Duplicate),
}

impl Default for Hash {
    fn default() -> Self {
        Hash(Repr::Pack(Listpack::new()))
    }
}

impl Clone for Hash {
    fn clone(&self) -> Self {
        Hash(match &self.0 {
            Repr::Pack(v) => Repr::Pack(v.clone()),
            Repr::Table(t) => {
                let mut copy = Table::new();
                t.for_each(|r| {
                    let content = match r.content() {
                        ContentRef::Big(v) => Content::Big(Arc::clone(v)),
                        ContentRef::Int(n) => Content::Int(n),
                        ContentRef::Inline(v) => Content::String(v),
                        ContentRef::None | ContentRef::Score(_) | ContentRef::Object(_) => Content::String(b""),
                    };
                    copy.insert(Record::new(r.name(), content, r.deadline()));
                });
                Repr::Table(copy)
            }
        })
    }
}

fn expired(record: &Record, now: i64) -> bool {
    record.deadline().is_some_and(|d| d <= now)
}

fn find(pack: &Listpack, field: &[u8]) -> Option<Position> {
    pack.find(pack.first()?, field, 1)
}

fn pairs(pack: &Listpack) -> impl Iterator<Item = (Item<'_>, Item<'_>)> {
    let mut items = pack.iter();
    std::iter::from_fn(move || Some((items.next()?, items.next()?)))
}

impl Hash {
    /// Takes a checked listpack of fields and values; a table where it is larger than a listpack may be.
    ///
    /// # Errors
    /// A field without a value, or there twice.
    pub fn from_listpack(pack: Listpack, limits: &HashLimits) -> Result<Hash, NotAHash> {
        if !pack.len().is_multiple_of(2) {
            return Err(NotAHash::Odd);
        }
        let mut seen = HashSet::with_capacity(pack.len() / 2);
        let mut small = pack.len() / 2 <= limits.entries;
        for (field, value) in pairs(&pack) {
            small &= field.text_len() <= limits.value && value.text_len() <= limits.value;
            if !seen.insert(field.to_vec()) {
                return Err(NotAHash::Twice(Duplicate));
            }
        }
        let mut hash = Hash(Repr::Pack(pack));
        if !small {
            hash.become_table();
        }
        Ok(hash)
    }

    /// The encoding itself, to be saved.
    pub fn as_ref(&self) -> HashRef<'_> {
        match &self.0 {
            Repr::Pack(v) => HashRef::Pack(v),
            Repr::Table(v) => HashRef::Table(v),
        }
    }

    /// Fields, those past their deadline included.
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Pack(v) => v.len() / 2,
            Repr::Table(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Repr::Pack(v) => v.is_empty(),
            Repr::Table(v) => v.is_empty(),
        }
    }

    /// Bytes it has allocated beside itself.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Repr::Pack(v) => v.memory_bytes(),
            Repr::Table(v) => v.memory_bytes(true),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Pack(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }

    /// Fields that have a deadline.
    pub fn deadlines(&self) -> usize {
        match &self.0 {
            Repr::Pack(_) => 0,
            Repr::Table(v) => v.deadlines(),
        }
    }

    /// No field's deadline is earlier; `None` if none has one.
    pub fn earliest_deadline(&self) -> Option<i64> {
        match &self.0 {
            Repr::Pack(_) => None,
            Repr::Table(v) => v.earliest_deadline(),
        }
    }

    /// Up to about `max` fields whose deadline has come.
    pub fn expired(&mut self, now: i64, max: usize) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if let Repr::Table(table) = &mut self.0 {
            let mut from = Some(0);
            while let Some(path) = from
                && table.deadlines() > 0
                && out.len() < max
            {
                from = table.expired(path, now, max, &mut out).0;
            }
        }
        out
    }

    /// Fields that are seen at `now`.
    pub fn live_len(&self, now: i64) -> usize {
        match &self.0 {
            Repr::Table(table) if table.deadlines() > 0 => {
                let mut n = 0;
                table.for_each(|r| n += usize::from(!expired(r, now)));
                n
            }
            _ => self.len(),
        }
    }

    /// Calls `f` with a field's value.
    #[inline]
    pub fn get<R>(&self, field: &[u8], now: i64, f: impl FnOnce(Option<Value<'_>>) -> R) -> R {
        match &self.0 {
            Repr::Pack(pack) => f(find(pack, field).and_then(|at| pack.next(at)).map(|at| Value::from(pack.item(at)))),
            Repr::Table(table) => match table.get(field) {
                Some(r) if !expired(&r, now) => f(Some(value_of(&r))),
                _ => f(None),
            },
        }
    }

    #[inline]
    pub fn contains(&self, field: &[u8], now: i64) -> bool {
        self.get(field, now, |v| v.is_some())
    }

    /// What stands under a field's name at `now`.
    pub fn state(&self, field: &[u8], now: i64) -> Before {
        match &self.0 {
            Repr::Pack(pack) if find(pack, field).is_some() => Before::Live,
            Repr::Pack(_) => Before::Nothing,
            Repr::Table(table) => match table.get(field) {
                None => Before::Nothing,
                Some(r) if expired(&r, now) => Before::Expired,
                Some(_) => Before::Live,
            },
        }
    }

    /// A living field's deadline, if it has one; `None` if there is no such field.
    pub fn deadline(&self, field: &[u8], now: i64) -> Option<Option<i64>> {
        match &self.0 {
            Repr::Pack(pack) => find(pack, field).map(|_| None),
            Repr::Table(table) => table.get(field).filter(|r| !expired(r, now)).map(|r| r.deadline()),
        }
    }

    /// Sets or takes away the deadline of a field that is there.
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<i64>) {
        if deadline.is_some() {
            self.become_table();
        }
        if let Repr::Table(table) = &mut self.0
            && let Some(mut r) = table.get_mut(field)
        {
            r.set_deadline(deadline);
        }
    }

    /// Makes it a table where what is about to be set would: `count` pairs of which the longest text has `longest` bytes.
    pub fn expect(&mut self, count: usize, longest: usize, limits: &HashLimits) {
        if count > limits.entries || longest > limits.value {
            self.become_table();
        }
    }

    /// Sets a field; what stood there.
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8], ttl: FieldTtl, now: i64, limits: &HashLimits) -> Before {
        if let Repr::Pack(pack) = &self.0
            && (matches!(ttl, FieldTtl::At(_))
                || field.len().max(value.len()) > limits.value
                || !pack.has_room(field.len() + value.len() + 32))
        {
            self.become_table();
        }
        match &mut self.0 {
            Repr::Pack(pack) => {
                if let Some(at) = find(pack, field).and_then(|at| pack.next(at)) {
                    pack.replace(at, value);
                    return Before::Live;
                }
                pack.push_back(field);
                pack.push_back(value);
                if pack.len() / 2 > limits.entries {
                    self.become_table();
                }
                Before::Nothing
            }
            Repr::Table(table) => {
                let path = MemberPath::path(field);
                if let Some(mut r) = table.get_mut_at(path, field) {
                    let gone = expired(&r, now);
                    r.set_content(Content::String(value));
                    match ttl {
                        FieldTtl::At(d) => r.set_deadline(Some(d)),
                        FieldTtl::Keep if !gone => {}
                        FieldTtl::Keep | FieldTtl::Clear => r.set_deadline(None),
                    }
                    return if gone { Before::Expired } else { Before::Live };
                }
                let deadline = if let FieldTtl::At(d) = ttl { Some(d) } else { None };
                table.insert_at(path, Record::new(field, Content::String(value), deadline));
                Before::Nothing
            }
        }
    }

    /// Removes a field; what stood there.
    pub fn remove(&mut self, field: &[u8], now: i64) -> Before {
        match &mut self.0 {
            Repr::Pack(pack) => match find(pack, field) {
                Some(at) => {
                    pack.remove_run(at, 2);
                    Before::Live
                }
                None => Before::Nothing,
            },
            Repr::Table(table) => match table.remove(field) {
                None => Before::Nothing,
                Some(r) if expired(&r, now) => Before::Expired,
                Some(_) => Before::Live,
            },
        }
    }

    fn become_table(&mut self) {
        if let Repr::Pack(pack) = &self.0 {
            let mut table = Table::new();
            for (field, value) in pairs(pack) {
                field.with_bytes(|f| value.with_bytes(|v| table.insert(Record::new(f, Content::String(v), None))));
            }
            self.0 = Repr::Table(table);
        }
    }

    /// Meets every field seen at `now`; a `Str` may be the text of an integer.
    pub fn for_each(&self, now: i64, mut f: impl FnMut(Item<'_>, Value<'_>)) {
        match &self.0 {
            Repr::Pack(pack) => pairs(pack).for_each(|(field, value)| f(field, value.into())),
            Repr::Table(table) => table.for_each(|r| {
                if !expired(r, now) {
                    f(Item::Str(r.name()), value_of(r));
                }
            }),
        }
    }

    /// Meets every field with its deadline, past or not.
    pub fn for_each_with_deadline(&self, mut f: impl FnMut(Item<'_>, Value<'_>, Option<i64>)) {
        match &self.0 {
            Repr::Pack(pack) => pairs(pack).for_each(|(field, value)| f(field, value.into(), None)),
            Repr::Table(table) => table.for_each(|r| f(Item::Str(r.name()), value_of(r), r.deadline())),
        }
    }

    /// Meets about `count` fields from `cursor` on (0: the start); where to go on, 0 at the end. A listpack is met whole.
    pub fn scan(&self, cursor: u64, count: usize, now: i64, mut f: impl FnMut(Item<'_>, Value<'_>)) -> u64 {
        match &self.0 {
            Repr::Pack(_) => {
                self.for_each(now, f);
                0
            }
            Repr::Table(table) => table
                .scan(cursor, count, |r| {
                    if !expired(r, now) {
                        f(Item::Str(r.name()), value_of(r));
                    }
                })
                .unwrap_or(0),
        }
    }

    /// A living field, each as likely as any other; `None` if there are none.
    pub fn random<R>(&self, rng: &mut Random, now: i64, f: impl FnOnce(Item<'_>, Value<'_>) -> R) -> Option<R> {
        match &self.0 {
            Repr::Pack(pack) => {
                let at = pack.seek(2 * rng.below(pack.len() as u64 / 2) as i64)?;
                let value = pack.next(at)?;
                Some(f(pack.item(at), pack.item(value).into()))
            }
            Repr::Table(table) => {
                // A few draws meet a living one, unless nearly all have expired: then one walk finds it.
                for _ in 0..32 {
                    let r = table.random(rng)?;
                    if !expired(&r, now) {
                        return Some(f(Item::Str(r.name()), value_of(&r)));
                    }
                }
                let mut left = rng.below(self.live_len(now) as u64);
                let (mut f, mut out) = (Some(f), None);
                table.for_each(|r| {
                    if !expired(r, now) {
                        if left == 0
                            && let Some(f) = f.take()
                        {
                            out = Some(f(Item::Str(r.name()), value_of(r)));
                        }
                        left = left.saturating_sub(1);
                    }
                });
                out
            }
        }
    }

    /// `count` different living fields at random, or all; `live` is [`Hash::live_len`].
    pub fn sample(
        &self,
        count: usize,
        live: usize,
        rng: &mut Random,
        now: i64,
        mut f: impl FnMut(Item<'_>, Value<'_>),
    ) {
        if let Repr::Table(table) = &self.0
            && count < live / 3
            && live > table.len() / 2
        {
            let mut seen = HashSet::with_capacity(count);
            let mut draws = 0;
            while seen.len() < count && draws < 32 * count + 64 {
                draws += 1;
                let Some(r) = table.random(rng) else { return };
                if !expired(&r, now) && seen.insert(r.name().as_ptr() as usize) {
                    f(Item::Str(r.name()), value_of(&r));
                }
            }
            // As for sets: a walk makes up what draws did not reach.
            if seen.len() < count {
                table.for_each(|r| {
                    if seen.len() < count && !expired(r, now) && seen.insert(r.name().as_ptr() as usize) {
                        f(Item::Str(r.name()), value_of(r));
                    }
                });
            }
            return;
        }
        // One walk (Knuth's algorithm S), as for sets.
        let (mut needed, mut left) = (count.min(live) as u64, live as u64);
        self.for_each(now, |field, value| {
            if needed > 0 && (needed == left || rng.below(left) < needed) {
                needed -= 1;
                f(field, value);
            }
            left = left.saturating_sub(1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const LIMITS: HashLimits = HashLimits { entries: 4, value: 5 };

    #[test]
    fn encodings_change_where_valkey_changes_them() {
        let mut h = Hash::default();
        for f in ["a", "b", "c", "d"] {
            h.set(f.as_bytes(), b"1", FieldTtl::Clear, 0, &LIMITS);
        }
        assert_eq!(h.encoding(), "listpack");
        h.set(b"e", b"1", FieldTtl::Clear, 0, &LIMITS);
        assert_eq!(h.encoding(), "hashtable");
        let mut long = Hash::default();
        long.set(b"a", b"123456", FieldTtl::Clear, 0, &LIMITS);
        assert_eq!(long.encoding(), "hashtable");
        let mut timed = Hash::default();
        timed.set(b"a", b"1", FieldTtl::At(9), 0, &LIMITS);
        assert_eq!(timed.encoding(), "hashtable");
    }

    #[test]
    fn a_listpack_of_odd_length_or_with_a_field_twice_is_refused() {
        let pack = |items: &[&str]| {
            let mut p = Listpack::new();
            items.iter().for_each(|i| p.push_back(i.as_bytes()));
            p
        };
        assert!(matches!(Hash::from_listpack(pack(&["a"]), &LIMITS), Err(NotAHash::Odd)));
        assert!(matches!(Hash::from_listpack(pack(&["a", "1", "a", "2"]), &LIMITS), Err(NotAHash::Twice(_))));
        assert_eq!(Hash::from_listpack(pack(&["a", "1", "1", "a"]), &LIMITS).unwrap().len(), 2);
    }

    #[test]
    fn random_finds_the_one_that_lives() {
        let mut h = Hash::default();
        for i in 0..100 {
            h.set(format!("f{i}").as_bytes(), b"v", FieldTtl::At(5), 0, &LIMITS);
        }
        h.set(b"lives", b"v", FieldTtl::Clear, 0, &LIMITS);
        let mut rng = Random::new(1);
        for _ in 0..20 {
            assert_eq!(h.random(&mut rng, 5, |f, _| f.to_vec()), Some(b"lives".to_vec()));
        }
        assert_eq!((h.len(), h.live_len(5)), (101, 1));
        assert_eq!(h.expired(5, 1000).len(), 100);
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_with_deadlines(
            ops in prop::collection::vec((0u8..6, "[0-9a-c]{1,2}", "[0-9a-c]{0,6}", 0i64..20), 0..80),
        ) {
            let (mut h, mut model) = (Hash::default(), BTreeMap::<Vec<u8>, (Vec<u8>, Option<i64>)>::new());
            let now = 10;
            for (op, f, v, d) in ops {
                let (f, v) = (f.into_bytes(), v.into_bytes());
                let before = match model.get(&f) {
                    None => Before::Nothing,
                    Some((_, Some(d))) if *d <= now => Before::Expired,
                    Some(_) => Before::Live,
                };
                prop_assert_eq!(h.state(&f, now), before);
                match op {
                    0..=2 => {
                        let ttl = [FieldTtl::Clear, FieldTtl::Keep, FieldTtl::At(d)][op as usize];
                        prop_assert_eq!(h.set(&f, &v, ttl, now, &LIMITS), before);
                        let kept = model.get(&f).and_then(|m| m.1).filter(|d| *d > now);
                        let deadline = match ttl { FieldTtl::Clear => None, FieldTtl::Keep => kept, FieldTtl::At(d) => Some(d) };
                        model.insert(f, (v, deadline));
                    }
                    3 => {
                        prop_assert_eq!(h.remove(&f, now), before);
                        model.remove(&f);
                    }
                    4 => {
                        h.set_deadline(&f, (d > 0).then_some(d));
                        if let Some(m) = model.get_mut(&f) { m.1 = (d > 0).then_some(d); }
                    }
                    _ => h = h.clone(),
                }
                prop_assert_eq!(h.len(), model.len());
                let mut met = BTreeMap::new();
                h.for_each_with_deadline(|f, v, d| { met.insert(f.to_vec(), (v.with_bytes(<[u8]>::to_vec), d)); });
                prop_assert_eq!(&met, &model);
                let live = model.values().filter(|m| m.1.is_none_or(|d| d > now)).count();
                prop_assert_eq!(h.live_len(now), live);
            }
        }
    }
}
