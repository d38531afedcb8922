//! The locked part of the key space, as a command sees and changes it.

use super::access::Access;
use super::changes::{Changes, Event, EventClass, FREE_AT_ONCE_MAX, Invalidated};
use super::key::{Key, KeyHash};
use super::stripe::{Held, Keyspace, Plan, Stripe};
use super::view::{self, Seen};
use super::watch::WatchFlag;
use crate::base::cache::prefetch;
use crate::base::hash::Random;
use crate::base::lock::Waiting;
use crate::journal::{Standing, State};
use crate::value::record::{Content, Record};
use crate::value::table::{Borrowed, Place, RecordMut, prefetch_record};
use parking_lot::RwLockReadGuard;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A seed no other turn of any thread has: two turns within a millisecond must not draw the same numbers.
fn seed(now_ms: i64) -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) << 48);
    }
    NEXT.with(|next| {
        let n = next.get();
        next.set(n.wrapping_add(1));
        (now_ms as u64).rotate_left(20) ^ n
    })
}

/// The part of the key space whose locks are held. Dropping it lets go of them.
pub struct Space<'k> {
    keyspace: &'k Keyspace,
    held: Held<'k>,
    pub access: Access,
    pub changes: Changes,
    /// Events that anybody wants; others are not even built.
    pub events_wanted: EventClass,
    /// Effects are built only while the journal is read; looked up whenever locks are taken.
    pub journaled: bool,
    /// Reads leave the access word alone (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// This server is a replica. Looked up whenever locks are taken.
    follows: bool,
    /// Keys past their deadline are absent, but stay: what is imported may be prolonged later in the import (import-mode).
    pub keeps_expired: bool,
    /// Keys past their deadline are there for this client: it imports, and changes what another server holds to be alive.
    pub visits_expired: bool,
    /// What runs are effects of the past, from a primary or a log: no deadline has come for them, and what has to go they say themselves.
    pub replays: bool,
    /// The journal's epoch, looked up whenever locks are taken.
    pub epoch: u64,
    /// What it all follows from, as it was when locks were taken last.
    standing: Option<Standing>,
    /// Whoever takes locks here can come back later: he does not wait for one that a command on a big value keeps.
    pub gives_way: bool,
    /// The right of the command that runs to go through the key space stripe by stripe. One that comes to run scripts gives it back first:
    /// they wait until nobody has it.
    pub among_others: Option<RwLockReadGuard<'k, ()>>,
    rng: Random,
}

impl<'k> Space<'k> {
    #[inline]
    pub(super) fn new(keyspace: &'k Keyspace, held: Held<'k>, access: Access) -> Space<'k> {
        let mut space = Space {
            keyspace,
            held,
            access,
            among_others: None,
            changes: Changes::default(),
            events_wanted: EventClass::default(),
            journaled: false,
            no_touch: false,
            standing: None,
            follows: false,
            keeps_expired: false,
            visits_expired: false,
            replays: false,
            epoch: 0,
            gives_way: false,
            rng: Random::new(seed(access.now_ms)),
        };
        space.ask_journal();
        space
    }

    /// Under a lock, because the answer changes only while all are held.
    #[inline(always)]
    fn ask_journal(&mut self) {
        let standing = self.keyspace.journal().standing();
        if self.standing != Some(standing) {
            self.standing = Some(standing);
            self.journaled = standing.state() == State::Read;
            self.follows = standing.state() == State::Following;
            self.epoch = standing.epoch();
        }
    }

    /// Keys past their deadline are deleted by whoever meets them. If not (a replica, an import) they are still treated as absent, but stay.
    #[inline(always)]
    pub fn deletes_expired(&self) -> bool {
        !(self.follows | self.keeps_expired)
    }

    /// Takes the locks of `plan`, in ascending order; none may be held.
    #[inline]
    pub fn lock(&mut self, plan: &Plan) {
        debug_assert!(matches!(self.held, Held::None), "locks are never upgraded");
        self.held = self.keyspace.hold(plan);
        self.ask_journal();
    }

    /// Takes the lock of one stripe; none may be held.
    #[inline]
    pub fn lock_stripe(&mut self, stripe: u16) {
        debug_assert!(matches!(self.held, Held::None), "locks are never upgraded");
        self.held = self.keyspace.hold_one(stripe);
        self.ask_journal();
    }

    #[inline(always)]
    fn waiting(&self) -> Waiting {
        if self.gives_way { Waiting::Shortly } else { Waiting::Patiently }
    }

    /// As [`Space::lock`], but false, and nothing held, if a busy script keeps the locks, or a command on a big value to which this
    /// one gives way.
    #[inline]
    #[must_use]
    pub fn lock_unless_busy(&mut self, plan: &Plan) -> bool {
        debug_assert!(matches!(self.held, Held::None), "locks are never upgraded");
        match self.keyspace.hold_unless_busy(plan, self.waiting()) {
            Some(held) => {
                self.held = held;
                self.ask_journal();
                true
            }
            None => false,
        }
    }

    /// As [`Space::lock_stripe`], but false, and nothing held, if somebody keeps the lock as [`Space::lock_unless_busy`] says.
    #[inline(always)]
    #[must_use]
    pub fn lock_stripe_unless_busy(&mut self, stripe: u16) -> bool {
        debug_assert!(matches!(self.held, Held::None), "locks are never upgraded");
        match self.keyspace.hold_one_unless_busy(stripe, self.waiting()) {
            Some(held) => {
                self.held = held;
                self.ask_journal();
                true
            }
            None => false,
        }
    }

    /// Watches a key, whose lock is held, for `flag`.
    pub fn watch(&mut self, key: Key<'_>, flag: &Arc<WatchFlag>) {
        let now_ms = self.now_ms();
        let stripe = self.held.stripe(key.hash.stripe);
        let deadline = stripe.database(key.db).table.get_at(key.hash.path, key.name).and_then(|r| r.deadline());
        stripe.watchers.add(key.db, key.name, flag, deadline.is_some_and(|d| d <= now_ms));
    }

    /// Takes a flag off a key whose stripe is held.
    pub fn unwatch(&mut self, key: Key<'_>, flag: &Arc<WatchFlag>) {
        self.held.stripe(key.hash.stripe).watchers.remove(key.db, key.name, flag);
    }

    /// Lets go of all locks.
    #[inline(always)]
    pub fn unlock(&mut self) {
        match std::mem::replace(&mut self.held, Held::None) {
            Held::One(_, lock) => drop(lock),
            others => others.release(),
        }
    }

    /// The locks are kept for long: who gives way goes. [`Keyspace::end_long`] follows behind [`Space::unlock`].
    pub fn begin_long(&self) {
        self.keyspace.begin_long(&self.held);
    }

    pub fn keyspace(&self) -> &'k Keyspace {
        self.keyspace
    }

    /// The instant of this command, ms since the epoch, as deadlines are held against it.
    #[inline(always)]
    pub fn now_ms(&self) -> i64 {
        if self.replays { 0 } else { self.access.now_ms }
    }

    /// The instant that decides which deadlines have come.
    #[inline(always)]
    pub fn due_ms(&self) -> i64 {
        if self.replays | self.visits_expired { 0 } else { self.access.now_ms }
    }

    pub fn databases(&self) -> u32 {
        self.keyspace.databases()
    }

    /// True if every stripe is held.
    pub fn is_whole(&self) -> bool {
        self.held.is_all()
    }

    pub fn holds(&self, key: KeyHash) -> bool {
        self.held.holds(key.stripe)
    }

    /// A held stripe.
    #[inline(always)]
    pub fn stripe(&mut self, n: u16) -> &mut Stripe {
        self.held.stripe(n)
    }

    /// Asks the cache for the buckets of keys whose stripes are held, and then for their records, so that the misses of several keys lie
    /// under each other.
    pub fn prefetch<'n>(&mut self, keys: impl Iterator<Item = Key<'n>> + Clone) {
        for key in keys.clone() {
            prefetch(self.held.stripe(key.hash.stripe).database(key.db).table.bucket_address(key.hash.path));
        }
        for key in keys {
            prefetch_record(self.held.stripe(key.hash.stripe).database(key.db).table.record_address(key.hash.path));
        }
    }

    /// Lets `f` look at the key's record, if it is there; as [`Space::find`], which it saves a second look for the place.
    #[inline(always)]
    pub fn read<R>(&mut self, key: Key<'_>, f: impl FnOnce(&Record) -> R) -> Option<R> {
        #[cfg(test)]
        self.changes.touched.push((key.db, key.name.to_vec(), false));
        let due = self.due_ms();
        let table = &self.held.stripe(key.hash.stripe).database(key.db).table;
        if let Some(record) = table.get_at(key.hash.path, key.name) {
            if record.deadline().is_none_or(|d| d > due) {
                if !self.no_touch {
                    self.access.touch(&record, &mut self.rng);
                }
                self.changes.hits += 1;
                return Some(f(&record));
            }
            self.expire(key);
        }
        self.missed(key);
        None
    }

    #[inline]
    fn missed(&mut self, key: Key<'_>) {
        self.changes.misses += 1;
        self.event(EventClass::KEY_MISS, "keymiss", key);
    }

    /// The key's record, for reading: counts a hit or a miss and notes the access.
    #[inline]
    pub fn find(&mut self, key: Key<'_>) -> Option<Borrowed<'_>> {
        let Some(place) = self.locate(key, true) else {
            self.missed(key);
            return None;
        };
        self.changes.hits += 1;
        self.held.stripe(key.hash.stripe).database(key.db).table.record_at(place)
    }

    /// The key's record for one who looks at very many: the access is noted, and a key past its deadline is left to others.
    pub(super) fn glimpse(&mut self, key: Key<'_>) -> Seen<'_> {
        let now = self.due_ms();
        let table = &self.held.stripe(key.hash.stripe).database(key.db).table;
        let Some((_, record)) = table.locate(key.hash.path, key.name) else { return Seen::Now(None) };
        if record.deadline().is_some_and(|d| d <= now) {
            return Seen::Late;
        }
        if !self.no_touch {
            self.access.touch(&record, &mut self.rng);
        }
        Seen::Now(Some(record))
    }

    /// The place of a living key; a key past its deadline goes. `touch`: the access is noted, unless it leaves no trace.
    #[inline(always)]
    fn locate(&mut self, key: Key<'_>, touch: bool) -> Option<Place> {
        #[cfg(test)]
        self.changes.touched.push((key.db, key.name.to_vec(), false));
        let now = self.due_ms();
        let table = &self.held.stripe(key.hash.stripe).database(key.db).table;
        let (place, record) = table.locate(key.hash.path, key.name)?;
        if record.deadline().is_some_and(|d| d <= now) {
            self.expire(key);
            return None;
        }
        if touch && !self.no_touch {
            self.access.touch(&record, &mut self.rng);
        }
        Some(place)
    }

    /// The key's record without a trace: no hit, no access noted.
    pub fn peek(&mut self, key: Key<'_>) -> Option<Borrowed<'_>> {
        if !self.alive(key) {
            return None;
        }
        self.held.stripe(key.hash.stripe).database_mut(key.db).table.get_at(key.hash.path, key.name)
    }

    /// The key's record for a command that looks at several keys at once, after [`Space::find`] or [`Space::peek`] let expired ones go.
    pub fn look(&self, key: Key<'_>) -> Option<Borrowed<'_>> {
        let now = self.due_ms();
        let table = &self.held.stripe_ref(key.hash.stripe).database(key.db).table;
        table.get_at(key.hash.path, key.name).filter(|r| r.deadline().is_none_or(|d| d > now))
    }

    /// The key's record, to be changed. A deadline is changed by [`Space::set_deadline`].
    #[inline]
    pub fn find_mut(&mut self, key: Key<'_>) -> Option<RecordMut<'_>> {
        let place = self.locate(key, true)?;
        self.preserve(key);
        self.held.stripe(key.hash.stripe).database_mut(key.db).table.record_mut_at(place)
    }

    /// True if the key is there; a key past its deadline is not, and goes.
    #[inline]
    pub fn alive(&mut self, key: Key<'_>) -> bool {
        self.locate(key, false).is_some()
    }

    #[cold]
    fn expire(&mut self, key: Key<'_>) {
        if self.deletes_expired() {
            self.delete_expired(key);
        }
    }

    /// Deletes a key whose deadline has passed: an effect, an event, a count.
    pub(super) fn delete_expired(&mut self, key: Key<'_>) {
        if let Some(record) = self.unlink(key) {
            self.changes.expired += 1;
            self.deleted_by_itself(key, EventClass::EXPIRED, "expired");
            self.discard(record);
        }
    }

    /// Notes that the server itself deleted a key: replicas and the log see an UNLINK.
    pub(super) fn deleted_by_itself(&mut self, key: Key<'_>, class: EventClass, event: &'static str) {
        if self.journaled {
            self.changes.effects.push_deletion(key.db, key.name);
        }
        self.mark_by_server(key);
        self.event(class, event, key);
    }

    /// Puts a new key in. It must not be there.
    pub fn add(&mut self, key: Key<'_>, content: Content<'_>, deadline: Option<i64>) -> RecordMut<'_> {
        let record = Record::new(key.name, content, deadline);
        self.event(EventClass::NEW, "new", key);
        self.add_record(key, record)
    }

    fn add_record(&mut self, key: Key<'_>, mut record: Record) -> RecordMut<'_> {
        if !self.deletes_expired() && !self.replays {
            self.make_room(key);
        }
        if record.object().is_some_and(|o| o.deadlines() > 0) {
            self.note_volatile(key);
        }
        record.set_access(self.access.fresh());
        let stripe = self.held.stripe(key.hash.stripe);
        if !stripe.views.is_empty() {
            view::keep(&mut stripe.views, &stripe.databases, key.db, key.hash.path, key.name);
        }
        record.set_mark(self.mark_of_new(key.hash.stripe));
        self.held.stripe(key.hash.stripe).database_mut(key.db).table.insert_at(key.hash.path, record)
    }

    /// Where keys past their deadline stay one may be in the way of a new key, for which it is not there.
    #[cold]
    fn make_room(&mut self, key: Key<'_>) {
        let table = &self.held.stripe_ref(key.hash.stripe).database(key.db).table;
        if table.get_at(key.hash.path, key.name).is_some() {
            self.delete_expired(key);
        }
    }

    /// Puts a record that another key or database had under `key`, which must not be there. Name and place are made to fit.
    pub fn add_moved(&mut self, key: Key<'_>, mut record: Record) {
        if record.name() != key.name {
            record.set_name(key.name);
        }
        let access = record.access();
        self.event(EventClass::NEW, "new", key);
        self.add_record(key, record).set_access(access);
    }

    /// Sets a key, whatever it was. `deadline`: `None` keeps the one it has.
    #[inline]
    pub fn set(&mut self, key: Key<'_>, content: Content<'_>, deadline: Option<Option<i64>>) {
        self.preserve(key);
        let now = self.due_ms();
        let access = self.access;
        let table = &mut self.held.stripe(key.hash.stripe).database_mut(key.db).table;
        let (mut unlinked, mut expired) = (None, false);
        let there = match table.get_mut_at(key.hash.path, key.name) {
            Some(mut record) => {
                let kept = record.deadline().filter(|d| *d > now);
                expired = kept.is_none() && record.deadline().is_some();
                unlinked = record.take_object();
                // A key that is overwritten stays as often used as it was: LFU would evict first what is written most.
                let word = match record.access() {
                    _ if expired => access.fresh(),
                    word if self.no_touch => word,
                    word => access.touched(word, &mut self.rng),
                };
                record.set_content(content);
                record.set_access(word);
                let wanted = deadline.unwrap_or(kept);
                if record.deadline() != wanted {
                    record.set_deadline(wanted);
                }
                None
            }
            None => Some(content),
        };
        if expired && self.deletes_expired() {
            self.changes.expired += 1;
            self.deleted_by_itself(key, EventClass::EXPIRED, "expired");
        }
        if let Some(content) = there {
            self.add(key, content, deadline.flatten());
        }
        if let Some(object) = unlinked {
            self.discard(Record::new(b"", Content::Object(object), None));
        }
    }

    /// Sets or takes away the deadline of a key (ms since the epoch). False if the key is not there.
    pub fn set_deadline(&mut self, key: Key<'_>, deadline: Option<i64>) -> bool {
        self.preserve(key);
        let table = &mut self.held.stripe(key.hash.stripe).database_mut(key.db).table;
        match table.get_mut_at(key.hash.path, key.name) {
            Some(mut r) => {
                r.set_deadline(deadline);
                true
            }
            None => false,
        }
    }

    /// Takes a living key out.
    pub fn remove(&mut self, key: Key<'_>) -> Option<Record> {
        if !self.alive(key) {
            return None;
        }
        self.unlink(key)
    }

    fn unlink(&mut self, key: Key<'_>) -> Option<Record> {
        self.preserve(key);
        let table = &mut self.held.stripe(key.hash.stripe).database_mut(key.db).table;
        let record = table.remove_at(key.hash.path, key.name)?;
        table.shrink(key.hash.path);
        Some(record)
    }

    /// Drops a record: now if it is small, after the locks if it is big.
    pub fn discard(&mut self, record: Record) {
        if record.object().is_some_and(|o| o.free_effort() > FREE_AT_ONCE_MAX) {
            self.changes.unlinked.push(record);
        }
    }

    /// Removes a key and drops what it held. True if it was there.
    pub fn delete(&mut self, key: Key<'_>) -> bool {
        match self.remove(key) {
            Some(record) => {
                self.discard(record);
                true
            }
            None => false,
        }
    }

    /// Notes that fields of a key have deadlines, so that they are looked after.
    pub fn note_volatile(&mut self, key: Key<'_>) {
        self.held.stripe(key.hash.stripe).volatile.insert((key.db, key.name.into()));
    }

    /// Notes one change of a key: counts it, marks its watchers and waiters, and remembers the event.
    #[inline]
    pub fn changed(&mut self, key: Key<'_>, class: EventClass, event: &'static str) {
        self.changes.dirty += 1;
        self.mark(key);
        self.event(class, event, key);
    }

    /// Marks watchers and waiters of a key without counting a change.
    #[inline]
    pub fn mark(&mut self, key: Key<'_>) {
        #[cfg(test)]
        self.changes.touched.push((key.db, key.name.to_vec(), true));
        self.mark_for(key, false);
    }

    /// The same for what the server did by itself.
    pub(super) fn mark_by_server(&mut self, key: Key<'_>) {
        self.mark_for(key, true);
    }

    /// On a replica: notes whose change it is that a key has.
    #[cold]
    fn note_own(&mut self, key: Key<'_>) {
        let own = &mut self.held.stripe(key.hash.stripe).own;
        let count = &self.keyspace.own_keys;
        if !self.replays {
            if own.insert((key.db, key.name.into())) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        } else if !own.is_empty() && own.remove(&(key.db, Box::from(key.name))) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[inline]
    fn mark_for(&mut self, key: Key<'_>, by_server: bool) {
        if self.follows && !by_server {
            self.note_own(key);
        }
        let stripe = self.held.stripe(key.hash.stripe);
        if !stripe.watchers.is_empty() {
            let there = stripe.database(key.db).table.get_at(key.hash.path, key.name).is_some();
            stripe.watchers.raise(key.db, key.name, there);
        }
        if self.keyspace.may_be_waited_for(key.hash) {
            self.changes.ready.push((key.db, key.name.to_vec()));
        }
        if self.keyspace.is_tracked() {
            self.changes.invalidated.push(Invalidated::Key { name: key.name.into(), by_server });
        }
    }

    /// Remembers an event, if anybody wants its class.
    #[inline]
    pub fn event(&mut self, class: EventClass, name: &'static str, key: Key<'_>) {
        if self.events_wanted.intersects(class) {
            self.changes.events.push(Event { class, name, db: key.db, key: key.name.to_vec() });
        }
    }

    /// Says the effect in other words than the command's own: `args` stand in the journal instead of them.
    pub fn replace_effect(&mut self, db: u32, args: &[&[u8]]) {
        self.changes.replaced = true;
        if self.journaled {
            self.changes.effects.push(db, args);
        }
    }

    /// The command's arguments are not journaled, whatever it changed (its effects are said by `replace_effect`).
    pub fn no_effect(&mut self) {
        self.changes.replaced = true;
    }

    /// A random key of a held stripe's database.
    pub(super) fn random_of(&mut self, stripe: u16, db: u32) -> Option<Vec<u8>> {
        self.held.stripe(stripe).database(db).table.random(&mut self.rng).map(|r| r.name().to_vec())
    }

    /// Numbers that guard nothing: which member SPOP takes.
    pub fn rng(&mut self) -> &mut Random {
        &mut self.rng
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AccessPolicy, KeyHash, Plan};
    use super::*;
    use crate::value::record::ContentRef;

    fn at(ms: i64) -> Access {
        Access { policy: AccessPolicy::Lru, now_ms: ms }
    }

    #[test]
    fn a_key_past_its_deadline_is_gone_with_an_effect() {
        let ks = Keyspace::new(1);
        let key = Key::new(0, b"k");
        let mut s = ks.lock_one(key.hash.stripe, at(1000));
        s.set(key, Content::String(b"v"), Some(Some(1500)));
        assert!(s.find(key).is_some());
        drop(s);
        let mut s = ks.lock_one(key.hash.stripe, at(1500));
        s.journaled = true;
        assert!(s.find(key).is_none());
        assert_eq!(s.changes.expired, 1);
        assert_eq!(s.changes.effects.words(), [[b"UNLINK".to_vec(), b"k".to_vec()]]);
        drop(s);
        assert_eq!(ks.size(0), (0, 0));
    }

    #[test]
    fn set_keeps_or_replaces_the_deadline() {
        let ks = Keyspace::new(1);
        let key = Key::new(0, b"k");
        let mut s = ks.lock_one(key.hash.stripe, at(1000));
        s.set(key, Content::String(b"v"), Some(Some(5000)));
        s.set(key, Content::String(b"w"), None);
        assert_eq!(s.find(key).unwrap().deadline(), Some(5000));
        s.set(key, Content::Int(7), Some(None));
        let r = s.find(key).unwrap();
        assert_eq!(r.deadline(), None);
        assert!(matches!(r.content(), ContentRef::Int(7)));
    }

    #[test]
    fn a_key_that_is_overwritten_stays_as_often_used_as_it_was() {
        let ks = Keyspace::new(1);
        let key = Key::new(0, b"k");
        let lfu = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
        let frequency = |s: &mut Space<'_>| {
            let access = s.access;
            access.frequency(s.find(key).unwrap().access())
        };
        let mut s = ks.lock_one(key.hash.stripe, Access { policy: lfu, now_ms: 1000 });
        s.set(key, Content::String(b"v"), Some(Some(1500)));
        for _ in 0..2000 {
            s.find(key);
        }
        let often = frequency(&mut s);
        assert!(often > 15, "{often}");
        s.set(key, Content::String(b"w"), None);
        s.set(key, Content::Int(7), None);
        assert!(frequency(&mut s) >= often);
        drop(s);
        // One that has expired is another key.
        let mut s = ks.lock_one(key.hash.stripe, Access { policy: lfu, now_ms: 1500 });
        s.set(key, Content::String(b"v"), None);
        assert!(frequency(&mut s) < 8);
    }

    #[test]
    fn who_leaves_no_trace_leaves_none_by_overwriting() {
        let ks = Keyspace::new(1);
        let key = Key::new(0, b"k");
        ks.lock_one(key.hash.stripe, at(1000)).set(key, Content::String(b"v"), None);
        let mut s = ks.lock_one(key.hash.stripe, at(9000));
        s.no_touch = true;
        s.set(key, Content::String(b"w"), None);
        let word = s.find(key).unwrap().access();
        assert_eq!(s.access.idle_seconds(word), 8);
    }

    #[test]
    fn watchers_learn_of_changes_flushes_and_swaps() {
        let ks = Keyspace::new(2);
        let key = Key::new(0, b"k");
        let watch = || {
            let f = Arc::new(super::super::WatchFlag::default());
            ks.lock_one(key.hash.stripe, at(0)).watch(key, &f);
            f
        };
        let f = watch();
        ks.lock_one(key.hash.stripe, at(1)).changed(key, EventClass::STRING, "set");
        assert!(f.is_raised());
        let (absent, mut all) = (watch(), ks.lock(&Plan::All, at(1)));
        all.flush(None);
        assert!(!absent.is_raised(), "a flush does not change a key that is not there");
        all.set(key, Content::Int(1), Some(None));
        all.swap(0, 1);
        assert!(absent.is_raised());
    }

    #[test]
    #[should_panic(expected = "without its lock")]
    fn an_unplanned_stripe_is_refused() {
        let ks = Keyspace::new(1);
        let key = Key::new(0, b"k");
        let other = Key { hash: KeyHash { stripe: (key.hash.stripe + 1) % 512, ..key.hash }, ..key };
        ks.lock_one(key.hash.stripe, at(1)).find(other);
    }
}
