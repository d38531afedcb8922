//! What is done to whole databases, under all locks: a random key, sizes, flushes, exchanges.

use super::changes::Invalidated;
use super::space::Space;
use super::stripe::Database;
use super::{Key, KeyPath, STRIPES, view};
use crate::value::table::Table;
use std::sync::atomic::Ordering;

impl Space<'_> {
    /// A random living key of a database; every stripe is held. Keys past their deadline that are met go.
    pub fn random_key(&mut self, db: u32) -> Option<Vec<u8>> {
        assert!(self.is_whole(), "RANDOMKEY plans for every stripe");
        for _ in 0..100 {
            let mut total = 0;
            for n in 0..STRIPES as u16 {
                total += self.stripe(n).database(db).table.len();
            }
            let mut at = self.rng().below(total as u64) as usize;
            let mut name = None;
            for n in 0..STRIPES as u16 {
                let len = self.stripe(n).database(db).table.len();
                if at < len {
                    name = self.random_of(n, db);
                    break;
                }
                at -= len;
            }
            let name = name?;
            if self.alive(Key::new(db, &name)) {
                return Some(name);
            }
            if !self.deletes_expired() {
                // All keys may be past their deadline and stay: then one of them is as good an answer as none.
                return Some(name);
            }
        }
        None
    }

    /// Keys, and those with a deadline, of each database; every stripe is held.
    pub fn sizes(&mut self) -> Vec<(usize, usize)> {
        assert!(self.is_whole(), "sizes of one instant need every stripe");
        let mut sizes = vec![(0, 0); self.databases() as usize];
        for n in 0..STRIPES as u16 {
            for (size, database) in sizes.iter_mut().zip(self.stripe(n).databases.iter()) {
                size.0 += database.table.len();
                size.1 += database.table.deadlines();
            }
        }
        sizes
    }

    /// Takes the tables of a database, or of all, leaving empty ones; every stripe is held. Watchers of keys that were there are
    /// marked. Returns the number of keys and what has to be dropped.
    pub fn flush(&mut self, db: Option<u32>) -> (usize, Flushed) {
        assert!(self.is_whole(), "FLUSHALL and FLUSHDB plan for every stripe");
        self.changes.databases.extend(match db {
            Some(db) => db..db + 1,
            None => 0..self.keyspace().databases(),
        });
        let (mut keys, mut tables) = (0, Vec::new());
        self.changes.flushed_all |= db.is_none();
        let now = self.now_ms();
        if self.keyspace().is_tracked() {
            self.changes.invalidated.push(Invalidated::All);
        }
        for n in 0..STRIPES as u16 {
            let stripe = self.stripe(n);
            if !stripe.watchers.is_empty() {
                let databases = &stripe.databases;
                stripe.watchers.raise_where(|d, name| {
                    (db.is_none_or(|db| db == d) && is_there(&databases[d as usize], name, now), false)
                });
            }
            let range = match db {
                Some(db) => db..db + 1,
                None => 0..stripe.databases.len() as u32,
            };
            view::break_up(stripe, db);
            for d in range {
                let len = stripe.database(d).table.len();
                if len > 0 {
                    keys += len;
                    tables.extend(Space::take_table(stripe, d));
                }
            }
        }
        (keys, Flushed(tables))
    }

    /// Exchanges all databases with another key space; every stripe of both is held. Watchers of keys in either are marked.
    pub fn exchange(&mut self, other: &mut Space<'_>) {
        assert!(self.is_whole() && other.is_whole(), "a data set takes another's place at one instant");
        self.end_walk();
        other.end_walk();
        let now = self.now_ms();
        let keyspace = self.keyspace();
        for n in 0..STRIPES as u16 {
            let (mine, theirs) = (self.stripe(n), other.stripe(n));
            if !mine.watchers.is_empty() {
                let (a, b) = (&mine.databases, &theirs.databases);
                mine.watchers
                    .raise_where(|d, name| (is_there(&a[d as usize], name, now), is_there(&b[d as usize], name, now)));
            }
            view::break_up(mine, None);
            std::mem::swap(&mut mine.databases, &mut theirs.databases);
            std::mem::swap(&mut mine.volatile, &mut theirs.volatile);
            // What takes its place is a primary's, or this server's before it followed one.
            keyspace.own_keys.fetch_sub(mine.own.len(), Ordering::Relaxed);
            mine.own.clear();
        }
    }

    /// Exchanges two databases; every stripe is held. Watchers of keys in either are marked where a key is there before or after.
    pub fn swap(&mut self, a: u32, b: u32) {
        assert!(self.is_whole(), "SWAPDB plans for every stripe");
        let now = self.now_ms();
        self.changes.databases.extend([a, b]);
        if self.keyspace().is_tracked() {
            // Keys are told by name alone, so whoever has read any in either holds what is another's now.
            self.changes.invalidated.push(Invalidated::All);
        }
        for n in 0..STRIPES as u16 {
            let stripe = self.stripe(n);
            if !stripe.watchers.is_empty() {
                let databases = &stripe.databases;
                let there = |d: u32, name: &[u8]| is_there(&databases[d as usize], name, now);
                stripe.watchers.raise_where(|d, name| match d {
                    d if d == a => (there(a, name), there(b, name)),
                    d if d == b => (there(b, name), there(a, name)),
                    _ => (false, false),
                });
            }
            [a, b].iter().for_each(|db| view::break_up(stripe, Some(*db)));
            stripe.databases.swap(a as usize, b as usize);
            Space::swap_origins(stripe, a, b);
            let volatile = std::mem::take(&mut stripe.volatile);
            stripe.volatile = volatile
                .into_iter()
                .map(|(d, name)| {
                    (
                        if d == a {
                            b
                        } else if d == b {
                            a
                        } else {
                            d
                        },
                        name,
                    )
                })
                .collect();
        }
    }
}

/// True if a key is there and its time has not come.
fn is_there(database: &Database, name: &[u8], now_ms: i64) -> bool {
    database.table.get(name).is_some_and(|r| r.deadline().is_none_or(|d| d > now_ms))
}

/// What a flush took out, to be dropped where it holds nobody up.
#[derive(Debug, Default)]
pub struct Flushed(Vec<Table<KeyPath>>);

impl Flushed {
    /// Keys that are still in it.
    pub fn keys(&self) -> usize {
        self.0.iter().map(|t| t.len()).sum()
    }

    /// Drops a slice of it; false when nothing is left.
    pub fn drop_slice(&mut self) -> bool {
        let Some(table) = self.0.last_mut() else { return false };
        if !table.drop_slice() {
            self.0.pop();
        }
        !self.0.is_empty()
    }
}
