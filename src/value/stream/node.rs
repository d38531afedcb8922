//! A node of a stream: a listpack of entries whose ids lie close together.
//!
//! ```text
//! live | deleted | n | field ... (n) | 0                       the names of the first entry's fields
//! flags | ms | seq | value ... (n) | n + 3                     an entry with these fields (SAME_FIELDS)
//! flags | ms | seq | m | field value ... (m) | 2 m + 4         an entry with others
//! ```
//! `ms` and `seq` are differences to the id the node is filed under. The last number of an entry counts the elements before it, so that
//! a node is read from either end. A deleted entry stays where it is, with a flag; the last one takes the node with it.
//!
//! Invariant: the listpack was made here or passed [`check`], so what does not fit its shape can only end a walk, never mislead it.

use super::id::StreamId;
use crate::value::listpack::{Entries, Item, Listpack, Position};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Where the parts of a node's head stand.
struct Head<'a> {
    live: i64,
    deleted: i64,
    count: usize,
    /// From the first field's name on.
    fields: Entries<'a>,
    /// From the first entry on.
    entries: Entries<'a>,
}

fn int(next: Option<(Position, Item<'_>)>) -> Option<i64> {
    match next {
        Some((_, Item::Int(n))) => Some(n),
        _ => None,
    }
}

fn head(pack: &Listpack) -> Option<Head<'_>> {
    let mut rest = pack.entries();
    let (live, deleted) = (int(rest.next())?, int(rest.next())?);
    let count = usize::try_from(int(rest.next())?).ok()?;
    let fields = rest.clone();
    if count > 0 {
        rest.nth(count - 1)?;
    }
    // The zero that ends the head.
    int(rest.next()).filter(|n| *n == 0)?;
    Some(Head { live, deleted, count, fields, entries: rest })
}

/// A node of the entry it is made for.
pub(super) fn new(fields: &[(&[u8], &[u8])]) -> Listpack {
    let mut pack = Listpack::new();
    pack.push_back(1_i64);
    pack.push_back(0_i64);
    pack.push_back(fields.len() as i64);
    for (name, _) in fields {
        pack.push_back(*name);
    }
    pack.push_back(0_i64);
    push(&mut pack, StreamId::MIN, StreamId::MIN, fields, true);
    pack
}

fn push(pack: &mut Listpack, first: StreamId, id: StreamId, fields: &[(&[u8], &[u8])], same: bool) {
    pack.push_back(if same { SAME_FIELDS } else { 0 });
    pack.push_back(id.ms.wrapping_sub(first.ms) as i64);
    pack.push_back(id.seq.wrapping_sub(first.seq) as i64);
    let mut elements = fields.len() as i64 + 3;
    if !same {
        pack.push_back(fields.len() as i64);
        elements += fields.len() as i64 + 1;
    }
    for (name, value) in fields {
        if !same {
            pack.push_back(*name);
        }
        pack.push_back(*value);
    }
    pack.push_back(elements);
}

/// Appends an entry to the node filed under `first`.
pub(super) fn append(pack: &mut Listpack, first: StreamId, id: StreamId, fields: &[(&[u8], &[u8])]) {
    let Some(head) = head(pack) else { return };
    let same = head.count == fields.len() && fields.iter().zip(head.fields).all(|((n, _), (_, item))| item.eq_bytes(n));
    let (live, deleted) = (head.live, head.deleted);
    push(pack, first, id, fields, same);
    set_counts(pack, live + 1, deleted);
}

/// Living and deleted entries.
pub(super) fn counts(pack: &Listpack) -> (i64, i64) {
    let mut rest = pack.entries();
    (int(rest.next()).unwrap_or(0), int(rest.next()).unwrap_or(0))
}

fn set_counts(pack: &mut Listpack, live: i64, deleted: i64) {
    let Some(first) = pack.first() else { return };
    pack.replace(first, live);
    if let Some(second) = pack.next(first) {
        pack.replace(second, deleted);
    }
}

/// Flags entries as deleted; `marks` are living ones.
pub(super) fn delete(pack: &mut Listpack, marks: &[Mark]) {
    for mark in marks {
        pack.replace(mark.at, mark.flags | DELETED);
    }
    let (live, deleted) = counts(pack);
    set_counts(pack, live - marks.len() as i64, deleted + marks.len() as i64);
}

/// Where an entry's flags stand in its node, for [`delete`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    at: Position,
    flags: i64,
}

/// An entry of a stream.
#[derive(Clone)]
pub struct Entry<'a> {
    pub id: StreamId,
    pub(super) mark: Mark,
    count: usize,
    /// The names, if they stand in the node's head.
    names: Option<Entries<'a>>,
    own: Entries<'a>,
}

impl<'a> Entry<'a> {
    /// Pairs of field and value.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.mark.flags & DELETED != 0
    }

    /// Fields and their values, in the order they were given in.
    pub fn pairs(&self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> + use<'a> {
        let (mut names, mut own) = (self.names.clone(), self.own.clone());
        (0..self.count).map_while(move |_| {
            let name = match &mut names {
                Some(names) => names.next(),
                None => own.next(),
            };
            Some((name?.1, own.next()?.1))
        })
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.id)?;
        f.debug_map().entries(self.pairs()).finish()
    }
}

/// The entries of a node, deleted ones among them, from either end.
pub(super) struct NodeIter<'a> {
    pack: &'a Listpack,
    first: StreamId,
    count: usize,
    fields: Entries<'a>,
    rest: Entries<'a>,
}

pub(super) fn entries(pack: &Listpack, first: StreamId) -> Option<NodeIter<'_>> {
    let h = head(pack)?;
    Some(NodeIter { pack, first, count: h.count, fields: h.fields, rest: h.entries })
}

impl<'a> NodeIter<'a> {
    /// Reads the entry `from` begins with, leaving `from` behind it.
    fn read(&self, from: &mut Entries<'a>) -> Option<Entry<'a>> {
        let (at, flags) = from.next()?;
        let Item::Int(flags) = flags else { return None };
        let (ms, seq) = (int(from.next())?, int(from.next())?);
        let id = StreamId { ms: self.first.ms.wrapping_add_signed(ms), seq: self.first.seq.wrapping_add_signed(seq) };
        let same = flags & SAME_FIELDS != 0;
        let count = if same { self.count } else { usize::try_from(int(from.next())?).ok()? };
        let own = from.clone();
        let elements = if same { count } else { count.checked_mul(2)? };
        // The elements and the number that counts them.
        from.nth(elements)?;
        Some(Entry { id, mark: Mark { at, flags }, count, names: same.then(|| self.fields.clone()), own })
    }
}

impl<'a> Iterator for NodeIter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let mut rest = self.rest.clone();
        let entry = self.read(&mut rest);
        self.rest = rest;
        entry
    }
}

impl DoubleEndedIterator for NodeIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let elements = usize::try_from(int(self.rest.next_back())?).ok()?;
        let (at, _) = self.rest.nth_back(elements.checked_sub(1)?)?;
        self.read(&mut self.pack.entries_from(at))
    }
}

/// What is wrong with a node from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What [`check`] found.
pub(super) struct Checked {
    /// Living entries.
    pub live: u64,
    /// The id of the last entry, deleted or not.
    pub last: StreamId,
}

/// Checks a node from elsewhere: its shape, that its counts are right, and that its ids ascend from the one it is filed under.
pub(super) fn check(pack: &Listpack, first: StreamId) -> Result<Checked, Malformed> {
    let h = head(pack).ok_or(Malformed)?;
    let mut rest = h.entries.clone();
    let iter = NodeIter { pack, first, count: h.count, fields: h.fields, rest: h.entries };
    let (mut live, mut deleted, mut last) = (0_i64, 0_i64, None);
    while rest.clone().next().is_some() {
        let mut counted = rest.clone();
        let entry = iter.read(&mut rest).ok_or(Malformed)?;
        let flags = entry.mark.flags;
        // Arithmetic on ids must not wrap: the same test tells that they ascend.
        let in_order = entry.id >= first && last.is_none_or(|last| entry.id > last);
        if flags & !(DELETED | SAME_FIELDS) != 0 || !in_order || entry.is_empty() {
            return Err(Malformed);
        }
        last = Some(entry.id);
        if entry.is_deleted() {
            deleted += 1;
        } else {
            live += 1;
        }
        let elements = if flags & SAME_FIELDS != 0 {
            entry.count.checked_add(3)
        } else {
            entry.count.checked_mul(2).and_then(|n| n.checked_add(4))
        };
        let elements = elements.ok_or(Malformed)?;
        if int(counted.nth(elements)) != i64::try_from(elements).ok() {
            return Err(Malformed);
        }
    }
    match last {
        Some(last) if (h.live, h.deleted) == (live, deleted) => Ok(Checked { live: live as u64, last }),
        _ => Err(Malformed),
    }
}
