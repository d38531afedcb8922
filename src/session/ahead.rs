//! Asking the cache for what the next requests of a batch will touch, while the present one runs.
//!
//! A key's way is stripe, then bucket, then record, and each may be a miss of a hundred nanoseconds. Three cursors run ahead of the request
//! that is run: the first asks for stripes, the second for buckets, the third, half as far, for the records in buckets that have arrived
//! by then. They go in steps of [`GROUP`] requests, so that the misses lie under the work of the requests between, and no more of them are
//! under way at once than the core has places for.
//!
//! In a step all addresses are gathered first, under each stripe's lock, and asked for then, one right behind the other: a prefetch waits
//! for the address of its page, and a lock waits for all before it, so with locks in between each page's walk would be waited for alone.

use super::batch::{Batch, Run};
use crate::base::cache::prefetch;
use crate::commands::Node;
use crate::value::table::prefetch_record;

/// Where one of the cursors stands.
#[derive(Clone, Copy, Default)]
struct Cursor {
    request: usize,
    run: usize,
}

/// Requests in a step.
const GROUP: usize = 8;

/// How many requests the stripe of a key is asked for before its bucket.
const STRIPES_AHEAD: usize = 4;

/// The cursors over one batch.
pub struct Ahead<'b> {
    node: &'b Node,
    batch: &'b Batch,
    runs: &'b [Run],
    /// Requests that the first cursor is ahead, twice the window; 0 asks for nothing.
    distance: usize,
    /// The request before which the next step is due.
    next: usize,
    /// The database of all runs, if it is one.
    db: Option<u32>,
    /// Stripes come from a nearer cache than buckets: [`STRIPES_AHEAD`] requests further are far enough.
    stripes: usize,
    buckets: Cursor,
    records: Cursor,
}

impl<'b> Ahead<'b> {
    pub fn new(node: &'b Node, batch: &'b Batch, runs: &'b [Run], window: usize) -> Ahead<'b> {
        // A request alone gains nothing: it would wait here instead of there.
        let distance = if batch.requests.len() > 1 && window > 1 { 2 * window } else { 0 };
        let begin = Cursor { request: runs.first().map_or(0, |r| r.requests.0), run: 0 };
        Ahead {
            node,
            batch,
            runs,
            distance,
            next: begin.request,
            db: runs.first().map(|r| r.db).filter(|db| runs.iter().all(|r| r.db == *db)),
            stripes: begin.request,
            buckets: begin,
            records: begin,
        }
    }

    /// Request `n` is about to run.
    #[inline(always)]
    pub fn step(&mut self, n: usize) {
        if self.distance != 0 && n >= self.next {
            self.next = n + GROUP;
            self.ask(n + GROUP);
        }
    }

    /// Asks for what lies ahead of request `n`.
    #[inline(never)]
    fn ask(&mut self, n: usize) {
        let len = self.runs.last().map_or(0, |r| r.requests.1);
        let to = (n + self.distance + STRIPES_AHEAD).min(len);
        while self.stripes < to {
            if let Some(hash) = self.batch.requests[self.stripes].hash {
                self.node.keyspace.prefetch_stripe(hash);
            }
            self.stripes += 1;
        }
        while let (addresses, true) = self.gather::<false>((n + self.distance).min(len)) {
            addresses.into_iter().filter(|p| !p.is_null()).for_each(prefetch);
        }
        while let (addresses, true) = self.gather::<true>((n + self.distance / 2).min(len)) {
            addresses.into_iter().filter(|p| !p.is_null()).for_each(prefetch_record);
        }
    }

    /// The next addresses of requests before `to`, null where there is none, and whether there were any such requests.
    #[inline(always)]
    fn gather<const RECORDS: bool>(&mut self, to: usize) -> ([*const u8; GROUP], bool) {
        let cursor = if RECORDS { &mut self.records } else { &mut self.buckets };
        let (mut addresses, begin) = ([std::ptr::null(); GROUP], cursor.request);
        if let Some(db) = self.db {
            let requests = self.batch.requests.get(begin..to.min(begin + GROUP)).unwrap_or_default();
            for (i, request) in requests.iter().enumerate() {
                if let Some(hash) = request.hash {
                    addresses[i] = self.node.keyspace.address(db, hash, RECORDS);
                }
            }
            cursor.request += requests.len();
            return (addresses, !requests.is_empty());
        }
        for address in &mut addresses {
            if cursor.request >= to {
                break;
            }
            let request = &self.batch.requests[cursor.request];
            while cursor.run < self.runs.len() && cursor.request >= self.runs[cursor.run].requests.1 {
                cursor.run += 1;
            }
            cursor.request += 1;
            if let (Some(hash), Some(r)) = (request.hash, self.runs.get(cursor.run)) {
                *address = self.node.keyspace.address(r.db, hash, RECORDS);
            }
        }
        (addresses, cursor.request > begin)
    }
}
