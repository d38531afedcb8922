//! Stripes and the locks over them.

use super::key::{KeyHash, KeyPath, STRIPES};
use super::snapshot::{Lag, Pending, Walks};
use super::space::Space;
use super::view::Note;
use super::watch::{WatchFlag, Watchers};
use super::{Access, Key};
use crate::base::cache::prefetch;
use crate::base::lock::{All, One, Row, Waiting};
use crate::journal::Journal;
use crate::value::table::Table;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::collections::HashSet;
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// One database's part of a stripe.
#[derive(Debug, Default)]
pub struct Database {
    pub table: Table<KeyPath>,
}

/// A stripe's part of every database. The first, which most servers have alone, lies in the stripe itself: a way of one cache line
/// less for each of its keys.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Databases {
    first: Database,
    others: Box<[Database]>,
}

impl Databases {
    fn new(count: u32) -> Databases {
        Databases { first: Database::default(), others: (1..count).map(|_| Database::default()).collect() }
    }

    pub fn len(&self) -> usize {
        1 + self.others.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Database> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Database> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }

    pub fn swap(&mut self, a: usize, b: usize) {
        match (a.min(b), a.max(b)) {
            (0, 0) => {}
            (0, other) => std::mem::swap(&mut self.first, &mut self.others[other - 1]),
            (a, b) => self.others.swap(a - 1, b - 1),
        }
    }
}

impl Index<usize> for Databases {
    type Output = Database;
    #[inline(always)]
    fn index(&self, db: usize) -> &Database {
        if db == 0 { &self.first } else { &self.others[db - 1] }
    }
}

impl IndexMut<usize> for Databases {
    #[inline(always)]
    fn index_mut(&mut self, db: usize) -> &mut Database {
        if db == 0 { &mut self.first } else { &mut self.others[db - 1] }
    }
}

/// What INFO tells of a database; parts of stripes are summed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub keys: usize,
    /// Keys with a deadline.
    pub deadlines: usize,
    /// Keys that have fields with deadlines of their own.
    pub volatile_keys: usize,
    /// Milliseconds to live, and of how many keys: a sample.
    pub ttl_ms_sum: u64,
    pub ttl_sampled: u64,
}

/// Keys of a stripe's database that are asked for their time to live.
const TTL_SAMPLE: usize = 16;

/// What one lock guards. What every command needs comes first, on the lock's own cache line.
#[repr(C)]
pub struct Stripe {
    pub(super) databases: Databases,
    pub(super) watchers: Watchers,
    /// Keys, by database, whose fields may have deadlines of their own; one that has none any more is dropped by who looks.
    pub(super) volatile: HashSet<(u32, Box<[u8]>)>,
    /// A snapshot that is not done with this stripe.
    pub(super) pending: Option<Box<Pending>>,
    /// Views that may still be asked what was here.
    pub(super) views: Vec<Note>,
    /// Keys, by database, that clients of a replica have changed and that may have a deadline: no primary says when those go. One that
    /// has no deadline, or that a primary has changed since, is dropped by who looks.
    pub(super) own: HashSet<(u32, Box<[u8]>)>,
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stripe({:?})", self.databases)
    }
}

impl Stripe {
    pub fn database(&self, db: u32) -> &Database {
        &self.databases[db as usize]
    }

    pub fn database_mut(&mut self, db: u32) -> &mut Database {
        &mut self.databases[db as usize]
    }

    /// Adds this stripe's part of each database to `sums`.
    pub fn add_standing(&self, sums: &mut [Standing], now_ms: i64) {
        for (database, sum) in self.databases.iter().zip(sums.iter_mut()) {
            let table = &database.table;
            sum.keys += table.len();
            sum.deadlines += table.deadlines();
            if table.deadlines() > 0 {
                table.scan(0, TTL_SAMPLE, |r| {
                    if let Some(d) = r.deadline() {
                        sum.ttl_ms_sum = sum.ttl_ms_sum.saturating_add(d.saturating_sub(now_ms).max(0).cast_unsigned());
                        sum.ttl_sampled += 1;
                    }
                });
            }
        }
        for (db, name) in &self.volatile {
            if let Some(sum) = sums.get_mut(*db as usize)
                && let Some(record) = self.database(*db).table.get(name)
                && record.object().is_some_and(|o| o.deadlines() > 0)
            {
                sum.volatile_keys += 1;
            }
        }
    }
}

/// All keys of the server.
pub struct Keyspace {
    stripes: Row<Stripe>,
    databases: u32,
    /// How many commands wait for keys of each of these buckets of the hash: while 0, a writer need not look for waiters.
    waiting: Box<[AtomicU32]>,
    /// The sum of `waiting`: hardly ever anything but 0, and always in the cache.
    waiters: AtomicUsize,
    pub(super) walks: Mutex<Walks>,
    /// Some client tracks keys: changed ones are remembered by name.
    tracked: AtomicBool,
    /// Asked, under the locks, whether anybody reads what changes.
    journal: Arc<Journal>,
    /// Scripts that hold locks and have run for too long. While there are any, who wants a lock is told so instead of waiting.
    busy: AtomicUsize,
    /// Held by a script that may run for long, and shared by commands that go through the key space stripe by stripe: they cannot be
    /// told in the middle that the server is busy, so none of them begins while such a script runs.
    alone: RwLock<()>,
    /// Watchers whose clients left while the stripe was held for long.
    left: parking_lot::Mutex<Vec<Left>>,
    /// Commands on big values that hold locks for long.
    long: AtomicUsize,
    /// Of all stripes' `own`.
    pub(super) own_keys: AtomicUsize,
    pub(super) lag: Arc<Lag>,
}

/// A watch that has to be taken back once its stripe is free.
struct Left {
    stripe: u16,
    db: u32,
    name: Vec<u8>,
    flag: Arc<WatchFlag>,
}

/// How long a right is waited for before a look at whether the server is busy.
const PATIENCE: Duration = Duration::from_millis(5);

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyspace({} databases)", self.databases)
    }
}

/// Which stripes a command needs: none, one, several in ascending order, or all.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Plan {
    #[default]
    None,
    One(u16),
    /// Ascending, without repetition, at least two.
    Many(Vec<u16>),
    All,
}

impl Plan {
    /// Adds a stripe.
    pub fn add(&mut self, stripe: u16) {
        match self {
            Plan::None => *self = Plan::One(stripe),
            Plan::One(s) if *s == stripe => {}
            Plan::One(s) => *self = Plan::Many(if *s < stripe { vec![*s, stripe] } else { vec![stripe, *s] }),
            Plan::Many(list) => {
                if let Err(at) = list.binary_search(&stripe) {
                    list.insert(at, stripe);
                }
            }
            Plan::All => {}
        }
    }

    pub fn covers(&self, stripe: u16) -> bool {
        match self {
            Plan::None => false,
            Plan::One(s) => *s == stripe,
            Plan::Many(list) => list.binary_search(&stripe).is_ok(),
            Plan::All => true,
        }
    }
}

/// The locks a plan holds.
pub(super) enum Held<'k> {
    None,
    One(u16, One<'k, Stripe>),
    Many(Vec<(u16, One<'k, Stripe>)>),
    All(All<'k, Stripe>),
}

impl<'k> Held<'k> {
    /// The stripe, which the plan must cover.
    #[inline(always)]
    pub fn stripe(&mut self, n: u16) -> &mut Stripe {
        match self {
            Held::One(s, guard) if *s == n => guard,
            Held::Many(list) => match list.binary_search_by_key(&n, |(s, _)| *s) {
                Ok(i) => &mut list[i].1,
                Err(_) => outside(n),
            },
            Held::All(all) => all.part_mut(n as usize),
            _ => outside(n),
        }
    }

    /// The same, to be looked at.
    pub fn stripe_ref(&self, n: u16) -> &Stripe {
        match self {
            Held::One(s, guard) if *s == n => guard,
            Held::Many(list) => match list.binary_search_by_key(&n, |(s, _)| *s) {
                Ok(i) => &list[i].1,
                Err(_) => outside(n),
            },
            Held::All(all) => all.part(n as usize),
            _ => outside(n),
        }
    }

    pub fn holds(&self, n: u16) -> bool {
        match self {
            Held::None => false,
            Held::One(s, _) => *s == n,
            Held::Many(list) => list.binary_search_by_key(&n, |(s, _)| *s).is_ok(),
            Held::All(_) => true,
        }
    }

    pub fn is_all(&self) -> bool {
        matches!(self, Held::All(_))
    }

    /// Lets go of them: of another number than one, as most commands hold.
    #[inline(never)]
    pub fn release(self) {}

    /// Says of all of them that they are kept for long.
    fn for_long(&self) {
        match self {
            Held::None => {}
            Held::One(_, one) => one.hold_for_long(),
            Held::Many(list) => list.iter().for_each(|(_, one)| one.hold_for_long()),
            Held::All(all) => all.hold_for_long(),
        }
    }
}

#[cold]
fn outside(n: u16) -> ! {
    panic!("stripe {n} is used without its lock: a command touched a key its key specification does not name")
}

impl Keyspace {
    /// An empty key space of `databases` databases, with a journal of its own that nobody reads.
    pub fn new(databases: u32) -> Keyspace {
        Keyspace::with_journal(databases, Arc::default())
    }

    /// An empty key space whose changes become effects while `journal` is read.
    pub fn with_journal(databases: u32, journal: Arc<Journal>) -> Keyspace {
        let stripe = |_| Stripe {
            databases: Databases::new(databases),
            watchers: Watchers::default(),
            volatile: HashSet::new(),
            pending: None,
            views: Vec::new(),
            own: HashSet::new(),
        };
        let waiting = (0..WAITING_BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Keyspace {
            stripes: Row::new((0..STRIPES).map(stripe)),
            databases,
            waiting,
            waiters: AtomicUsize::new(0),
            walks: Mutex::default(),
            tracked: AtomicBool::new(false),
            journal,
            busy: AtomicUsize::new(0),
            alone: RwLock::new(()),
            left: Default::default(),
            long: AtomicUsize::new(0),
            own_keys: AtomicUsize::new(0),
            lag: Arc::default(),
        }
    }

    /// Keys that clients of a replica have changed and that no primary knows to have changed so.
    pub fn own_keys(&self) -> usize {
        self.own_keys.load(Ordering::Relaxed)
    }

    pub fn databases(&self) -> u32 {
        self.databases
    }

    /// How often a stripe's lock was not free at once, and how often a wait for it was longer than a command takes.
    pub fn lock_waits(&self) -> (u64, u64) {
        self.stripes.waits()
    }

    #[inline(always)]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// The key space without any lock, for a worker's turn: it takes and gives back locks command by command.
    pub fn space(&self, access: Access) -> Space<'_> {
        Space::new(self, Held::None, access)
    }

    /// Takes the locks of `plan`, waiting for them in ascending order.
    pub fn lock(&self, plan: &Plan, access: Access) -> Space<'_> {
        Space::new(self, self.hold(plan), access)
    }

    /// The lock of one stripe.
    pub fn lock_one(&self, stripe: u16, access: Access) -> Space<'_> {
        Space::new(self, self.hold_one(stripe), access)
    }

    #[inline]
    pub(super) fn hold(&self, plan: &Plan) -> Held<'_> {
        match plan {
            Plan::None => Held::None,
            Plan::One(s) => self.hold_one(*s),
            Plan::Many(list) => self.hold_many(list, Waiting::Patiently, || false).expect("a patient one waits"),
            Plan::All => Held::All(self.stripes.lock_all()),
        }
    }

    #[inline(always)]
    pub(super) fn hold_one(&self, stripe: u16) -> Held<'_> {
        Held::One(stripe, self.stripes.lock(stripe as usize))
    }

    /// The same, but `None` if a busy script keeps the locks, or, where the caller can come back, a command on a big value.
    #[inline]
    pub(super) fn hold_unless_busy(&self, plan: &Plan, waiting: Waiting) -> Option<Held<'_>> {
        Some(match plan {
            Plan::None => Held::None,
            Plan::One(s) => self.hold_one_unless_busy(*s, waiting)?,
            Plan::Many(list) => self.hold_many(list, waiting, || self.is_busy())?,
            Plan::All => Held::All(self.stripes.lock_all_unless(waiting, || self.is_busy())?),
        })
    }

    fn hold_many(&self, list: &[u16], waiting: Waiting, give_up: impl Fn() -> bool) -> Option<Held<'_>> {
        let take = |(i, s): (usize, &u16)| Some((*s, self.stripes.lock_unless(*s as usize, i > 0, waiting, &give_up)?));
        Some(Held::Many(list.iter().enumerate().map(take).collect::<Option<_>>()?))
    }

    #[inline(always)]
    pub(super) fn hold_one_unless_busy(&self, stripe: u16, waiting: Waiting) -> Option<Held<'_>> {
        Some(Held::One(stripe, self.take(stripe, waiting)?))
    }

    #[inline(always)]
    fn take(&self, stripe: u16, waiting: Waiting) -> Option<One<'_, Stripe>> {
        self.stripes.lock_unless(stripe as usize, false, waiting, || self.is_busy())
    }

    /// True while a command on a big value holds locks.
    #[inline]
    pub fn is_held_for_long(&self) -> bool {
        self.long.load(Ordering::Relaxed) != 0
    }

    /// What is held is kept for long; [`Keyspace::end_long`] follows when it has been given back.
    pub(super) fn begin_long(&self, held: &Held<'_>) {
        self.long.fetch_add(1, Ordering::AcqRel);
        held.for_long();
    }

    /// They have been given back: who gave way is told.
    pub fn end_long(&self) {
        self.long.fetch_sub(1, Ordering::AcqRel);
        self.lag.tell();
    }

    /// True while a script keeps everybody else waiting.
    #[inline(always)]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) != 0
    }

    /// A script has run for too long.
    pub fn begin_busy(&self) {
        self.busy.fetch_add(1, Ordering::AcqRel);
    }

    /// It has ended.
    pub fn end_busy(&self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
    }

    /// The right to hold locks for long; `None` if another script has it and is busy.
    pub fn alone(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        loop {
            if let Some(guard) = self.alone.try_write_for(PATIENCE) {
                return Some(guard);
            }
            if self.is_busy() {
                return None;
            }
        }
    }

    /// The right to go through the key space stripe by stripe; `None` if a busy script runs.
    pub fn among_others(&self) -> Option<RwLockReadGuard<'_, ()>> {
        loop {
            if let Some(guard) = self.alone.try_read_for(PATIENCE) {
                return Some(guard);
            }
            if self.is_busy() {
                return None;
            }
        }
    }

    /// Asks the cache for the stripe of a key somebody is about to use.
    #[inline(always)]
    pub fn prefetch_stripe(&self, hash: KeyHash) {
        prefetch(self.stripes.address(hash.stripe as usize));
    }

    /// Where the bucket, or the record, of a key is that somebody is about to use, for a prefetch; null if there is none. A busy stripe is
    /// left alone.
    #[inline(always)]
    pub fn address(&self, db: u32, hash: KeyHash, record: bool) -> *const u8 {
        let Some(stripe) = self.stripes.try_lock(hash.stripe as usize) else { return std::ptr::null() };
        let table = &stripe.database(db).table;
        if record { table.record_address(hash.path) } else { table.bucket_address(hash.path) }
    }

    /// Looks at each stripe in turn, one lock at a time: not one instant, but nobody waits long.
    pub fn each_stripe(&self, mut f: impl FnMut(u16, &mut Stripe)) {
        for n in 0..STRIPES {
            f(n as u16, &mut self.stripes.lock(n));
        }
    }

    /// The stripe itself, for those of the key space who are no command.
    pub(super) fn with_raw_stripe<R>(&self, n: u16, f: impl FnOnce(&mut Stripe) -> R) -> R {
        f(&mut self.stripes.lock(n as usize))
    }

    /// The same, if nobody holds it.
    pub(super) fn try_raw_stripe(&self, n: u16) -> Option<One<'_, Stripe>> {
        self.stripes.try_lock(n as usize)
    }

    /// Keys of a database, and those with a deadline, summed stripe by stripe.
    pub fn size(&self, db: u32) -> (usize, usize) {
        let mut sum = (0, 0);
        self.each_stripe(|_, s| {
            let t = &s.database(db).table;
            sum = (sum.0 + t.len(), sum.1 + t.deadlines());
        });
        sum
    }

    /// The same of every database, in one walk.
    pub fn sizes(&self) -> Vec<(usize, usize)> {
        let mut sums = vec![(0, 0); self.databases as usize];
        self.each_stripe(|_, s| {
            for (database, sum) in s.databases.iter().zip(&mut sums) {
                *sum = (sum.0 + database.table.len(), sum.1 + database.table.deadlines());
            }
        });
        sums
    }

    /// What INFO tells of every database, in one walk; the caller holds no lock.
    pub fn standings(&self, now_ms: i64) -> Vec<Standing> {
        let mut sums = vec![Standing::default(); self.databases as usize];
        self.each_stripe(|_, s| s.add_standing(&mut sums, now_ms));
        sums
    }

    /// Takes a watch back; if the stripe is held for long, a little later.
    pub fn unwatch(&self, key: Key<'_>, flag: &Arc<WatchFlag>) {
        match self.take(key.hash.stripe, Waiting::Shortly) {
            Some(mut stripe) => stripe.watchers.remove(key.db, key.name, flag),
            None => {
                let left =
                    Left { stripe: key.hash.stripe, db: key.db, name: key.name.to_vec(), flag: Arc::clone(flag) };
                self.left.lock().push(left);
            }
        }
    }

    /// Takes back the watches of clients that left while a script was busy. No stripe is held.
    pub fn sweep_watches(&self) {
        let left = std::mem::take(&mut *self.left.lock());
        for l in left {
            match self.take(l.stripe, Waiting::Shortly) {
                Some(mut stripe) => stripe.watchers.remove(l.db, &l.name, &l.flag),
                None => self.left.lock().push(l),
            }
        }
    }

    /// True while some client tracks keys. Read under a key's lock, it is true for whoever changes the key after it was read by one.
    #[inline(always)]
    pub fn is_tracked(&self) -> bool {
        self.tracked.load(Ordering::Relaxed)
    }

    /// Set before the first client tracks; taken back after the last.
    pub fn set_tracked(&self, yes: bool) {
        self.tracked.store(yes, Ordering::Relaxed);
    }

    /// False if certainly no command waits for the key in any database. Asked and told under the key's lock.
    #[inline(always)]
    pub fn may_be_waited_for(&self, hash: KeyHash) -> bool {
        self.waiters.load(Ordering::Relaxed) != 0 && self.waiting[bucket(hash)].load(Ordering::Relaxed) != 0
    }

    /// Notes that a command waits for a key; its stripe is held.
    pub fn wait_for(&self, hash: KeyHash) {
        self.waiting[bucket(hash)].fetch_add(1, Ordering::Relaxed);
        self.waiters.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes that back, once for each time.
    pub fn stop_waiting_for(&self, hash: KeyHash) {
        self.waiting[bucket(hash)].fetch_sub(1, Ordering::Relaxed);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counters of waiters; two keys in one bucket only cost a look more.
const WAITING_BUCKETS: usize = 4096;

#[inline(always)]
fn bucket(hash: KeyHash) -> usize {
    (hash.path >> 8) as usize % WAITING_BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_stays_sorted_and_without_repetition() {
        let mut p = Plan::None;
        for s in [7, 3, 7, 500, 3, 0] {
            p.add(s);
        }
        assert_eq!(p, Plan::Many(vec![0, 3, 7, 500]));
        assert!(p.covers(3) && !p.covers(4));
    }
}
