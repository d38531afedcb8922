//! SCAN: a cursor is a place in the order of slot and hash, so nothing is kept between calls.

use super::key::{STRIPE_BITS, STRIPES};
use super::stripe::Stripe;
use crate::value::record::Record;

/// A place in the key space: stripe, then the upper 53 bits of the path. 0 is the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cursor(pub u64);

const PATH_BITS: u32 = 62 - STRIPE_BITS;

impl Cursor {
    /// `None` for numbers that are no place.
    pub fn new(n: u64) -> Option<Cursor> {
        (n >> 62 == 0).then_some(Cursor(n))
    }

    pub fn stripe(self) -> u16 {
        (self.0 >> PATH_BITS) as u16
    }

    pub fn path(self) -> u64 {
        self.0 << (64 - PATH_BITS)
    }

    /// The place of `path` in `stripe`, or the beginning of the next stripe; the end is the start again. A path is rounded down: a key
    /// may be met twice in rare cases, never missed.
    pub fn at(stripe: u16, path: Option<u64>) -> Cursor {
        match path {
            Some(p) => Cursor(u64::from(stripe) << PATH_BITS | p >> (64 - PATH_BITS)),
            None if usize::from(stripe) + 1 == STRIPES => Cursor(0),
            None => Cursor((u64::from(stripe) + 1) << PATH_BITS),
        }
    }
}

impl Stripe {
    /// Meets about `count` keys from `path` on; the path to go on from.
    pub fn scan(&self, db: u32, path: u64, count: usize, f: impl FnMut(&Record)) -> Option<u64> {
        self.database(db).table.scan(path, count, f)
    }
}
