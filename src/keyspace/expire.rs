//! Active expiry: keys past their deadline go without being asked for.
//!
//! Each segment of a table knows its earliest deadline, so that a visit looks only at segments that are due. A visit holds one
//! stripe and takes out a bounded number of keys; the caller decides how long it goes on.

use super::changes::EventClass;
use super::key::Key;
use super::space::Space;
use crate::value::object::Object;
use std::sync::atomic::Ordering;

impl Space<'_> {
    /// Deletes up to `max` keys of a database of a held stripe whose deadline has passed. Returns how many went and whether more may
    /// be due.
    pub fn expire_due(&mut self, stripe: u16, db: u32, max: usize) -> (usize, bool) {
        let now = self.now_ms();
        let table = &mut self.stripe(stripe).database_mut(db).table;
        if table.deadlines() == 0 {
            return (0, false);
        }
        let mut due = Vec::new();
        let (more, _) = table.expired(0, now, max, &mut due);
        for name in &due {
            self.delete_expired(Key::new(db, name));
        }
        (due.len(), more.is_some() || due.len() >= max)
    }

    /// On a replica: deletes up to `max` keys of a held stripe that its own clients have made and whose deadline has passed, and forgets
    /// those that have none. Returns how many of either there were.
    pub fn expire_own(&mut self, stripe: u16, max: usize) -> usize {
        let now = self.now_ms();
        let held = &*self.stripe(stripe);
        if held.own.is_empty() {
            return 0;
        }
        let deadline = |db: u32, name: &[u8]| {
            let key = Key::new(db, name);
            held.database(db).table.get_at(key.hash.path, key.name).and_then(|record| record.deadline())
        };
        let due = |at: Option<i64>| at.is_none_or(|at| at <= now);
        let done: Vec<_> = held.own.iter().filter(|(db, name)| due(deadline(*db, name))).take(max).cloned().collect();
        for (db, name) in &done {
            let key = Key::new(*db, name);
            let table = &self.stripe(stripe).database(*db).table;
            if table.get_at(key.hash.path, key.name).is_some_and(|record| record.deadline().is_some()) {
                self.delete_expired(key);
            }
        }
        let own = &mut self.stripe(stripe).own;
        let gone = done.iter().filter(|at| own.remove(*at)).count();
        self.keyspace().own_keys.fetch_sub(gone, Ordering::Relaxed);
        done.len()
    }

    /// On a primary: forgets which keys of a held stripe its clients made while it was a replica. All of them go like any others now.
    pub fn forget_own(&mut self, stripe: u16) {
        let gone = std::mem::take(&mut self.stripe(stripe).own).len();
        self.keyspace().own_keys.fetch_sub(gone, Ordering::Relaxed);
    }

    /// Deletes up to about `max` hash fields of a held stripe whose deadline has passed, and the keys they leave empty: an HDEL for each
    /// key, events, a count. Returns how many went and whether more may be due.
    pub fn expire_fields_due(&mut self, stripe: u16, max: usize) -> (usize, bool) {
        let (now, mut gone) = (self.now_ms(), 0);
        let names: Vec<(u32, Box<[u8]>)> = self.stripe(stripe).volatile.iter().cloned().collect();
        for (db, name) in names {
            if gone >= max {
                return (gone, true);
            }
            let key = Key::new(db, &name);
            if !self.alive(key) {
                self.stripe(stripe).volatile.remove(&(db, name));
                continue;
            }
            self.preserve(key);
            let table = &mut self.stripe(stripe).database_mut(db).table;
            let (mut due, mut emptied, mut left) = (Vec::new(), false, 0);
            if let Some(mut record) = table.get_mut_at(key.hash.path, key.name)
                && let Some(Object::Hash(hash)) = record.object_mut()
            {
                if hash.earliest_deadline().is_some_and(|d| d <= now) {
                    due = hash.expired(now, max - gone);
                    for field in &due {
                        hash.remove(field, now);
                    }
                }
                emptied = hash.is_empty();
                left = hash.deadlines();
            }
            if left == 0 {
                self.stripe(stripe).volatile.remove(&(db, name.clone()));
            }
            if due.is_empty() {
                continue;
            }
            gone += due.len();
            self.changes.expired_fields += due.len() as u64;
            if self.journaled {
                let mut args: Vec<&[u8]> = vec![b"HDEL", &name];
                args.extend(due.iter().map(Vec::as_slice));
                self.changes.effects.push(db, &args);
            }
            self.mark_by_server(key);
            self.event(EventClass::HASH, "hexpired", key);
            if emptied {
                self.delete(key);
                self.event(EventClass::GENERIC, "del", key);
            }
        }
        (gone, false)
    }
}
