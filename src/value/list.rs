//! The list type: a single listpack while small, a quicklist beyond.
//!
//! It becomes a quicklist before it takes elements that would bring the listpack over the limits, and a listpack again
//! when elements were removed or replaced and a single node of at most half the limits is left. What decides is the
//! texts' length, without the entries' overhead, so that OBJECT ENCODING answers as the original's.
//!
//! It knows neither keys nor commands. A list may become empty; whoever holds the key removes it then.

use super::listpack::{Item, Listpack, Needle};
use super::quicklist::QuickList;
pub use super::quicklist::{End, Limits, Range, Side};

/// See the module.
#[derive(Clone, Debug)]
pub enum List {
    Listpack(Listpack),
    Quick(Box<QuickList>),
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

/// An index at which there is no element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl List {
    #[must_use]
    pub fn new() -> Self {
        Self::Listpack(Listpack::new())
    }

    /// A list loaded as a listpack, in the form its size asks for.
    #[must_use]
    pub fn from_listpack(pack: Listpack, limits: &Limits) -> Self {
        let over = limits.exceeded(pack.total_bytes(), pack.len());
        let mut list = Self::Listpack(pack);
        if over {
            list.make_quick();
        }
        list
    }

    /// A list loaded node by node, in the form its size asks for.
    #[must_use]
    pub fn from_quicklist(mut quick: QuickList, limits: &Limits) -> Self {
        match quick.take_single(|bytes, count| limits.within(bytes, count)) {
            Some(pack) => Self::Listpack(pack),
            None => Self::Quick(Box::new(quick)),
        }
    }

    /// What OBJECT ENCODING answers.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Listpack(_) => "listpack",
            Self::Quick(_) => "quicklist",
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Listpack(pack) => pack.len(),
            Self::Quick(quick) => quick.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Listpack(pack) => pack.is_empty(),
            Self::Quick(quick) => quick.is_empty(),
        }
    }

    /// The heap this owns, in bytes. Constant time.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Listpack(pack) => pack.memory_bytes(),
            Self::Quick(quick) => size_of::<QuickList>() + quick.memory_bytes(),
        }
    }

    /// The allocations that freeing this gives back, for the choice between freeing at once and elsewhere.
    #[must_use]
    pub fn free_effort(&self) -> usize {
        match self {
            Self::Listpack(_) => 1,
            Self::Quick(quick) => quick.node_count(),
        }
    }

    /// Pushes values one after the other, so that the last one ends outermost (LPUSH, RPUSH).
    pub fn push<'v>(&mut self, end: End, values: impl Iterator<Item = &'v [u8]> + Clone, limits: &Limits) {
        let (bytes, count) = values.clone().fold((0_usize, 0), |(bytes, n), v| (bytes.saturating_add(v.len()), n + 1));
        self.grow(bytes, count, limits);
        for value in values {
            self.push_item(end, Item::from(value), limits);
        }
    }

    /// Pushes one element.
    pub fn push_one<'v>(&mut self, end: End, value: impl Into<Item<'v>>, limits: &Limits) {
        let item = value.into();
        self.grow(item.text_len(), 1, limits);
        self.push_item(end, item, limits);
    }

    fn push_item(&mut self, end: End, item: Item<'_>, limits: &Limits) {
        match (self, end) {
            (Self::Listpack(pack), End::Left) => pack.push_front(item),
            (Self::Listpack(pack), End::Right) => pack.push_back(item),
            (Self::Quick(quick), end) => quick.push(end, item, limits),
        }
    }

    /// The element at an end.
    #[must_use]
    pub fn peek(&self, end: End) -> Option<Item<'_>> {
        match self {
            Self::Listpack(pack) => {
                let position = if end == End::Left { pack.first() } else { pack.last() };
                position.map(|position| pack.item(position))
            }
            Self::Quick(quick) => quick.peek(end),
        }
    }

    /// Removes the element at an end after `read` has seen it (LPOP, RPOP); `None` without calling it on an empty list.
    pub fn pop<R>(&mut self, end: End, limits: &Limits, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let result = read(self.peek(end)?);
        self.drop_end(end);
        self.settle(limits);
        Some(result)
    }

    /// Removes up to `count` elements from an end, outermost first, after `read` has seen each; how many there were.
    pub fn pop_many(&mut self, end: End, count: usize, limits: &Limits, read: impl FnMut(Item<'_>)) -> usize {
        let len = self.len();
        let count = count.min(len);
        let start = if end == End::Left { 0 } else { len - count };
        let range = self.slice(start, count);
        match end {
            End::Left => range.for_each(read),
            End::Right => range.rev().for_each(read),
        }
        self.remove_slice(start, count);
        self.settle(limits);
        count
    }

    /// The element at `index`; negative ones count from the end (LINDEX).
    #[must_use]
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        match self {
            Self::Listpack(pack) => pack.get(index),
            Self::Quick(quick) => quick.get(absolute(index, quick.len())?),
        }
    }

    /// Puts `value` in the place of the element at `index`; negative ones count from the end (LSET).
    ///
    /// # Errors
    /// [`OutOfRange`], and nothing has changed.
    pub fn set(&mut self, index: i64, value: &[u8], limits: &Limits) -> Result<(), OutOfRange> {
        let index = absolute(index, self.len()).ok_or(OutOfRange)?;
        self.grow(value.len(), 1, limits);
        match self {
            Self::Listpack(pack) => {
                let position = pack.seek(index as i64).ok_or(OutOfRange)?;
                pack.replace(position, value);
            }
            Self::Quick(quick) => {
                let spot = quick.seek(index).ok_or(OutOfRange)?;
                quick.replace(spot, value, limits);
            }
        }
        self.settle(limits);
        Ok(())
    }

    /// The elements from `start` to `stop`, both included, negative ones counted from the end (LRANGE).
    #[must_use]
    pub fn range(&self, start: i64, stop: i64) -> Range<'_> {
        let (start, count) = span(start, stop, self.len());
        self.slice(start, count)
    }

    /// Up to `count` elements from the one at `start` on, from either end.
    #[must_use]
    pub fn slice(&self, start: usize, count: usize) -> Range<'_> {
        match self {
            Self::Listpack(pack) => Range::of_listpack(pack, start, count),
            Self::Quick(quick) => quick.range(start, count),
        }
    }

    /// All elements, from either end.
    #[must_use]
    pub fn iter(&self) -> Range<'_> {
        self.slice(0, usize::MAX)
    }

    /// Keeps the elements from `start` to `stop` as [`Self::range`] counts them (LTRIM); how many were removed.
    pub fn trim(&mut self, start: i64, stop: i64, limits: &Limits) -> usize {
        let len = self.len();
        let (start, count) = span(start, stop, len);
        self.remove_slice(start + count, len - start - count);
        self.remove_slice(0, start);
        self.settle(limits);
        len - count
    }

    /// Inserts `value` beside the first element equal to `pivot` (LINSERT); the new length, or `None` without a pivot.
    pub fn insert(&mut self, side: Side, pivot: &[u8], value: &[u8], limits: &Limits) -> Option<usize> {
        match self {
            Self::Listpack(pack) => {
                let position = pack.find(pack.first()?, pivot, 0)?;
                if limits.exceeded(pack.total_bytes().saturating_add(value.len()), pack.len() + 1) {
                    self.make_quick();
                    return self.insert(side, pivot, value, limits);
                }
                match side {
                    Side::Before => pack.insert_before(position, value),
                    Side::After => pack.insert_after(position, value),
                };
            }
            Self::Quick(quick) => {
                let spot = quick.find(pivot)?;
                quick.insert(spot, side, value, limits);
            }
        }
        Some(self.len())
    }

    /// Removes elements equal to `value`: the first `count` from the left, the first `-count` from the right, or all for 0
    /// (LREM); how many were removed.
    pub fn remove(&mut self, count: i64, value: &[u8], limits: &Limits) -> usize {
        let from = if count < 0 { End::Right } else { End::Left };
        let count_max =
            if count == 0 { usize::MAX } else { usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX) };
        let removed = match self {
            Self::Listpack(pack) => {
                let needle = Needle::new(value);
                let found = pack.entries().filter(|(_, item)| needle.is(*item)).map(|(position, _)| position);
                let mut positions: Vec<_> = match from {
                    End::Left => found.take(count_max).collect(),
                    End::Right => found.rev().take(count_max).collect(),
                };
                positions.sort_unstable();
                pack.remove_all(&positions);
                positions.len()
            }
            Self::Quick(quick) => quick.remove_value(value, count_max, from),
        };
        if removed > 0 {
            self.settle(limits);
        }
        removed
    }

    /// The indexes of the elements equal to `value`, beginning with the `rank`th match: from the left for 1 and up, from
    /// the right for -1 and down, among the first `len_max` elements that way (0: all) (LPOS). Rank 0 is as 1.
    pub fn positions<'a>(&'a self, value: &'a [u8], rank: i64, len_max: usize) -> impl Iterator<Item = usize> + 'a {
        let (len, needle) = (self.len(), Needle::new(value));
        let scanned = if len_max == 0 { len } else { len_max.min(len) };
        let backward = rank < 0;
        let mut range = self.slice(if backward { len - scanned } else { 0 }, scanned);
        let mut seen = 0;
        let skipped = usize::try_from(rank.unsigned_abs().saturating_sub(1)).unwrap_or(usize::MAX);
        std::iter::from_fn(move || {
            loop {
                let item = if backward { range.next_back() } else { range.next() }?;
                seen += 1;
                if needle.is(item) {
                    return Some(if backward { len - seen } else { seen - 1 });
                }
            }
        })
        .skip(skipped)
    }

    /// Moves the element at an end of this list to an end of `target` (LMOVE between two keys); whether there was one.
    pub fn move_to(&mut self, from: End, target: &mut Self, to: End, limits: &Limits) -> bool {
        self.pop(from, limits, |item| target.push_one(to, item, limits)).is_some()
    }

    /// Moves the element at an end of this list to an end of the same list (LMOVE within a key); whether there was one.
    pub fn rotate(&mut self, from: End, to: End, limits: &Limits) -> bool {
        let Some(item) = self.peek(from) else { return false };
        // From and to the same end as well: pushing may change the form, and the original's form shows it.
        match item {
            Item::Int(value) => {
                self.drop_end(from);
                self.push_one(to, value, limits);
            }
            Item::Str(text) => {
                let text = text.to_vec();
                self.drop_end(from);
                self.push_one(to, Item::Str(&text), limits);
            }
        }
        self.settle(limits);
        true
    }

    fn drop_end(&mut self, end: End) {
        match self {
            Self::Listpack(pack) => {
                if let Some(position) = if end == End::Left { pack.first() } else { pack.last() } {
                    pack.remove(position);
                }
            }
            Self::Quick(quick) => {
                quick.drop_end(end);
            }
        }
    }

    fn remove_slice(&mut self, start: usize, count: usize) {
        if count == 0 {
            return;
        }
        match self {
            Self::Listpack(pack) => {
                pack.remove_range(start as i64, count);
            }
            Self::Quick(quick) => {
                quick.remove_range(start, count);
            }
        }
    }

    /// Becomes a quicklist if `count` more elements with texts of `bytes` in all are too much for a listpack.
    fn grow(&mut self, bytes: usize, count: usize, limits: &Limits) {
        if let Self::Listpack(pack) = self
            && limits.exceeded(pack.total_bytes().saturating_add(bytes), pack.len().saturating_add(count))
        {
            self.make_quick();
        }
    }

    fn make_quick(&mut self) {
        if let Self::Listpack(pack) = self {
            let mut quick = QuickList::new();
            quick.append_listpack(std::mem::take(pack));
            *self = Self::Quick(Box::new(quick));
        }
    }

    /// Becomes a listpack again if it has shrunk enough.
    fn settle(&mut self, limits: &Limits) {
        if let Self::Quick(quick) = self
            && let Some(pack) = quick.take_single(|bytes, count| limits.within_half(bytes, count))
        {
            *self = Self::Listpack(pack);
        }
    }
}

/// The index from the left, if there is an element.
fn absolute(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add_unsigned(len as u64)? } else { index };
    usize::try_from(index).ok().filter(|&index| index < len)
}

/// First index and number of elements from `start` to `stop`, both included and cut to the list.
fn span(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let from_left = |index: i64| if index < 0 { index.saturating_add_unsigned(len as u64) } else { index };
    let start = usize::try_from(from_left(start)).unwrap_or(0).min(len);
    let end = usize::try_from(from_left(stop).saturating_add(1)).unwrap_or(0).min(len);
    (start, end.saturating_sub(start))
}

#[cfg(test)]
mod tests;
