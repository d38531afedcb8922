//! A big sorted set: a table from member to score, and a tree of the same records in order.
//!
//! Invariants: those of [`super::handle`]; table and tree have the same elements, with the same scores.

use super::super::listpack::Item;
use super::super::order::OrderTree;
use super::super::record::{Content, Record};
use super::super::table::{MemberPath, PathOf, Table};
use super::Edit;
use super::handle::Handle;
use super::range::{LexBound, LexRange, ScoreRange};
use std::ops::Range;

#[derive(Default)]
pub(super) struct Big {
    // The tree stands first, so that it goes before the records its handles point at.
    order: OrderTree<Handle>,
    table: Table<MemberPath>,
    /// Bytes of the records' blocks.
    blocks: usize,
}

impl std::fmt::Debug for Big {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Big({} elements)", self.len())
    }
}

impl Big {
    /// Builds from elements that `walk` hands out in ascending order without repetition, `len` of them.
    pub(super) fn of(len: usize, walk: impl FnOnce(&mut dyn FnMut(Item<'_>, f64))) -> Big {
        let (mut table, mut blocks) = (Table::new(), 0);
        let mut sorted = Vec::with_capacity(len);
        walk(&mut |member, score| {
            let record = member.with_bytes(|m| Record::new(m, Content::Score(score), None));
            blocks += record.block_bytes();
            sorted.push((score, Handle::of(&record)));
            table.insert(record);
        });
        Big::from_parts(table, sorted, blocks)
    }

    /// `sorted` has the handles of the table's records in ascending order.
    pub(super) fn from_parts(table: Table<MemberPath>, sorted: Vec<(f64, Handle)>, blocks: usize) -> Big {
        debug_assert_eq!(table.len(), sorted.len());
        let order = match OrderTree::from_sorted(sorted.iter().copied()) {
            Ok(order) => order,
            // Callers sort; should one not, the elements are put in one by one.
            Err(_) => {
                debug_assert!(false, "elements ascend");
                let mut order = OrderTree::new();
                for (score, handle) in sorted {
                    order.insert(score, handle);
                }
                order
            }
        };
        Big { order, table, blocks }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn table(&self) -> &Table<MemberPath> {
        &self.table
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Big>() + self.table.memory_bytes(false) + self.order.memory_bytes() + self.blocks
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.table.get(member).map(|r| r.score())
    }

    #[inline]
    pub(super) fn edit(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) -> Edit {
        let path = MemberPath::path(member);
        if let Some(mut record) = self.table.get_mut_at(path, member) {
            let old = record.score();
            let new = decide(Some(old)).unwrap_or(old);
            if new != old {
                let moved = self.order.update(old, member, new);
                debug_assert!(moved, "what the table has is in the tree");
                record.set_score(new);
            }
            return Edit { old: Some(old), new: Some(new) };
        }
        let new = decide(None);
        if let Some(score) = new {
            let record = Record::new(member, Content::Score(score), None);
            let handle = Handle::of(&record);
            self.blocks += record.block_bytes();
            self.table.insert_at(path, record);
            let added = self.order.insert(score, handle);
            debug_assert!(added, "what the table lacks is not in the tree");
        }
        Edit { old: None, new }
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let path = MemberPath::path(member);
        let score = self.table.get_at(path, member)?.score();
        self.order.remove(score, member);
        if let Some(record) = self.table.remove_at(path, member) {
            self.blocks -= record.block_bytes();
            self.table.shrink(path);
        }
        Some(score)
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        Some((self.order.rank(score, member)?, score))
    }

    pub(super) fn at(&self, rank: usize) -> Option<(Item<'_>, f64)> {
        let (score, handle) = self.order.at(rank)?;
        Some((Item::Str(handle.bytes_in(&self.table)), score))
    }

    pub(super) fn each(&self, ranks: Range<usize>, reverse: bool, mut f: impl FnMut(Item<'_>, f64)) {
        let mut one = |(score, handle): (f64, Handle)| f(Item::Str(handle.bytes_in(&self.table)), score);
        if reverse {
            self.order.range_rev(ranks).for_each(&mut one)
        } else {
            self.order.range(ranks).for_each(&mut one)
        }
    }

    pub(super) fn ranks_by_score(&self, range: &ScoreRange) -> Range<usize> {
        let count = |score: f64, to: bool| if to { self.order.count_to(score) } else { self.order.count_below(score) };
        count(range.min, range.min_open)..count(range.max, !range.max_open)
    }

    pub(super) fn ranks_by_lex(&self, range: &LexRange<'_>) -> Range<usize> {
        let start = match range.min {
            LexBound::Lowest => 0,
            LexBound::Highest => self.len(),
            LexBound::Closed(b) => self.order.count_lex_below(b),
            LexBound::Open(b) => self.order.count_lex_to(b),
        };
        let end = match range.max {
            LexBound::Lowest => 0,
            LexBound::Highest => self.len(),
            LexBound::Closed(b) => self.order.count_lex_to(b),
            LexBound::Open(b) => self.order.count_lex_below(b),
        };
        start..end
    }

    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        let Big { order, table, blocks } = self;
        let mut free = |handle: Handle| {
            if let Some(record) = handle.take_from(table) {
                *blocks -= record.block_bytes();
            }
        };
        if ranks.len() == 1 {
            if let Some((_, handle)) = order.remove_at(ranks.start) {
                free(handle);
            }
            return;
        }
        order.remove_range(ranks, |_, handle| free(handle));
    }

    pub(super) fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(&[u8], f64)) -> u64 {
        self.table.scan(cursor, count, |r| f(r.name(), r.score())).unwrap_or(0)
    }

    pub(super) fn drop_slice(&mut self) -> bool {
        if !self.order.is_empty() {
            self.order = OrderTree::new();
        }
        self.table.drop_slice()
    }

    pub(super) fn check(&self) {
        self.table.check();
        assert_eq!(self.table.len(), self.order.len());
        let mut bytes = 0;
        let mut previous: Option<(f64, Vec<u8>)> = None;
        for (score, handle) in self.order.iter() {
            let name = handle.bytes_in(&self.table);
            let record = self.table.get(name).expect("a handle's member is in the table");
            assert_eq!(record.score(), score);
            bytes += record.block_bytes();
            assert!(previous.is_none_or(|(s, m)| s < score || (s == score && *m < *name)));
            previous = Some((score, name.to_vec()));
        }
        assert_eq!(bytes, self.blocks);
    }
}
