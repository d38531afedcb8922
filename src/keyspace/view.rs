//! What very many keys held at one instant, for a command that asks for them stripe by stripe while everybody goes on.
//!
//! At that instant the command holds the locks of all stripes it may ask in, for no longer than it takes to give each a [`Note`]. Whoever
//! is about to change, add or delete a key of a stripe with a note has what the viewer would have found kept in the note first
//! (`Space::preserve`). The viewer then takes one lock at a time: what is kept he is told as it was, and the rest is as it was.
//!
//! # Invariants
//! * While a stripe has the note, a key of the view's database that is not kept there is as it was at the instant. What replaces whole
//!   tables at once breaks the view instead, and who has a broken view has none.
//! * What is kept is bounded ([`KEPT_BYTES_MAX`]): more than that breaks the view too.
//! * A view that is over keeps nothing; its notes go with it, or, where the stripe was taken just then, with the next change.
//!
//! Without a view a change costs one branch more, on words beside each other.

use super::key::STRIPES;
use super::space::Space;
use super::stripe::{Databases, Keyspace, Plan, Stripe};
use super::{Key, snapshot};
use crate::value::record::Record;
use crate::value::table::Borrowed;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes that are kept for one view, with their names: half a second of writers that each change some other key.
pub const KEPT_BYTES_MAX: usize = 64 << 20;
/// What a key costs beside its name and what is kept of it.
const KEPT_BYTES_EACH: usize = 96;

/// An answer to one of the viewer's questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    Bytes(Box<[u8]>),
    /// A long string is not copied.
    Shared(Arc<Vec<u8>>),
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Kept::Bytes(b) => b.len(),
            Kept::Shared(_) => size_of::<Arc<Vec<u8>>>(),
        }
    }
}

/// What a viewer wants to know.
pub trait Questions: Send + Sync {
    /// The answers for a key as it is, one for each question; nothing at all if no question leads to this name.
    fn answer(&self, name: &[u8], record: Option<&Record>) -> Option<Box<[Option<Kept>]>>;
}

struct Shared {
    db: u32,
    /// Keys with an earlier deadline, or this one, were not there.
    due_ms: i64,
    questions: Box<dyn Questions>,
    bytes: AtomicUsize,
    changed: AtomicBool,
    broken: AtomicBool,
    over: AtomicBool,
}

/// A stripe's note of a view.
pub(super) struct Note {
    shared: Arc<Shared>,
    kept: HashMap<Box<[u8]>, Box<[Option<Kept>]>>,
}

impl Note {
    fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Relaxed)
    }

    fn keep(&mut self, db: u32, name: &[u8], record: Option<&Record>) {
        let shared = &self.shared;
        if db != shared.db || shared.broken.load(Ordering::Relaxed) || self.kept.contains_key(name) {
            return;
        }
        let record = record.filter(|r| r.deadline().is_none_or(|d| d > shared.due_ms));
        let Some(answers) = shared.questions.answer(name, record) else { return };
        shared.changed.store(true, Ordering::Relaxed);
        let bytes = KEPT_BYTES_EACH + name.len() + answers.iter().flatten().map(Kept::bytes).sum::<usize>();
        if shared.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > KEPT_BYTES_MAX {
            return self.break_up();
        }
        self.kept.insert(name.into(), answers);
    }

    fn break_up(&mut self) {
        self.shared.broken.store(true, Ordering::Relaxed);
        self.kept = HashMap::new();
    }
}

/// Keeps for the viewers what a key is before it changes.
pub(super) fn keep(views: &mut Vec<Note>, databases: &Databases, db: u32, path: u64, name: &[u8]) {
    views.retain(|note| !note.is_over());
    let record = databases[db as usize].table.get_at(path, name);
    views.iter_mut().for_each(|note| note.keep(db, name, record.as_deref()));
}

/// A database of a stripe, or all of them, is replaced as a whole.
pub(super) fn break_up(stripe: &mut Stripe, db: Option<u32>) {
    for note in stripe.views.iter_mut().filter(|n| db.is_none_or(|db| db == n.shared.db)) {
        note.break_up();
    }
}

/// The viewer's side. Dropped while its stripes are held it leaves notes for later.
pub struct View<'k> {
    keyspace: &'k Keyspace,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View(database {})", self.shared.db)
    }
}

impl View<'_> {
    /// A key that the questions lead to has changed, or might have, since the instant. Whoever holds all locks knows what is to come too.
    pub fn has_changed(&self) -> bool {
        self.shared.changed.load(Ordering::Relaxed) || self.is_broken()
    }

    /// There is nothing to be seen any more. Asked behind the last look.
    pub fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Relaxed)
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for n in 0..STRIPES as u16 {
            if let Some(mut stripe) = self.keyspace.try_raw_stripe(n) {
                stripe.views.retain(|note| !Arc::ptr_eq(&note.shared, &self.shared));
            }
        }
    }
}

/// What a viewer finds of a key.
pub enum Seen<'s> {
    /// It has changed since: the answers as they were.
    Kept(&'s [Option<Kept>]),
    Now(Option<Borrowed<'s>>),
    /// It is past its deadline, and so not there, but nobody has deleted it.
    Late,
}

impl<'k> Space<'k> {
    /// Opens a view of a database as it is now. The stripes of `plan`, in which alone it can be asked, are held.
    pub fn view(&mut self, plan: &Plan, db: u32, questions: Box<dyn Questions>) -> View<'k> {
        let shared = Arc::new(Shared {
            db,
            due_ms: self.due_ms(),
            questions,
            bytes: AtomicUsize::new(0),
            changed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        for n in (0..STRIPES as u16).filter(|n| plan.covers(*n)) {
            let views = &mut self.stripe(n).views;
            views.retain(|note| !note.is_over());
            views.push(Note { shared: Arc::clone(&shared), kept: HashMap::new() });
        }
        View { keyspace: self.keyspace(), shared }
    }

    /// A key, whose stripe is held, as it was at the view's instant. Notes the access, but counts nothing, and lets nothing go.
    pub fn seen(&mut self, view: &View<'_>, key: Key<'_>) -> Seen<'_> {
        let note = |n: &Note| Arc::ptr_eq(&n.shared, &view.shared);
        let Some(at) = self.stripe(key.hash.stripe).views.iter().position(note) else {
            view.shared.broken.store(true, Ordering::Relaxed);
            return Seen::Now(None);
        };
        if self.stripe(key.hash.stripe).views[at].kept.contains_key(key.name) {
            return Seen::Kept(&self.stripe(key.hash.stripe).views[at].kept[key.name]);
        }
        self.glimpse(key)
    }
}

impl Space<'_> {
    /// Comes before every change of a key that is there, and before one is made.
    #[inline(always)]
    pub(super) fn preserve(&mut self, key: Key<'_>) {
        let stripe = self.stripe(key.hash.stripe);
        if stripe.pending.is_some() | !stripe.views.is_empty() {
            preserve(stripe, key);
        }
    }
}

#[cold]
fn preserve(stripe: &mut Stripe, key: Key<'_>) {
    if !stripe.views.is_empty() {
        keep(&mut stripe.views, &stripe.databases, key.db, key.hash.path, key.name);
    }
    snapshot::preserve(stripe, key);
}

#[cfg(test)]
mod tests {
    use super::super::{Access, AccessPolicy, EventClass};
    use super::*;
    use crate::value::record::{Content, ContentRef};
    use proptest::prelude::*;

    const AT: Access = Access { policy: AccessPolicy::Lru, now_ms: 1000 };

    /// Wants the numbers of all keys whose names begin with a k.
    struct Numbers;

    fn number(record: Option<&Record>) -> Option<i64> {
        match record?.content() {
            ContentRef::Int(n) => Some(n),
            _ => None,
        }
    }

    impl Questions for Numbers {
        fn answer(&self, name: &[u8], record: Option<&Record>) -> Option<Box<[Option<Kept>]>> {
            let kept = number(record).map(|n| Kept::Bytes(n.to_string().into_bytes().into()));
            name.starts_with(b"k").then(|| Box::from([kept]))
        }
    }

    fn name(n: u8) -> Vec<u8> {
        // Several to a stripe, for what one change does to its neighbours.
        format!("{}{{{}}}{n}", if n.is_multiple_of(5) { "other" } else { "k" }, n % 3).into_bytes()
    }

    fn seen(space: &mut Space<'_>, view: &View<'_>, key: Key<'_>) -> Option<i64> {
        match space.seen(view, key) {
            Seen::Kept(answers) => answers[0].as_ref().map(|kept| match kept {
                Kept::Bytes(b) => std::str::from_utf8(b).unwrap().parse().unwrap(),
                Kept::Shared(_) => panic!("numbers are short"),
            }),
            Seen::Now(record) => number(record.as_deref()),
            Seen::Late => None,
        }
    }

    /// Does one of the things that change keys.
    fn change(keyspace: &Keyspace, what: u8, n: u8, value: i64) {
        let name = name(n);
        let key = Key::new(u32::from(what >= 0xf0), &name);
        let mut s = keyspace.lock_one(key.hash.stripe, AT);
        match what % 6 {
            0 => s.set(key, Content::Int(value), None),
            1 => drop(s.delete(key)),
            2 => drop(s.set_deadline(key, Some(value % 2000))),
            3 => {
                if let Some(record) = s.remove(key) {
                    s.add_moved(key, record);
                }
            }
            4 => drop(s.expire_due(key.hash.stripe, key.db, 10)),
            _ => {
                if let Some(mut record) = s.find_mut(key) {
                    record.set_content(Content::Int(value));
                }
            }
        }
        s.changed(key, EventClass::GENERIC, "change");
    }

    proptest! {
        #[test]
        fn a_view_shows_what_was_there_whatever_changes(
            before in prop::collection::vec(any::<(u8, u8, i64)>(), 0..60),
            after in prop::collection::vec(any::<(u8, u8, i64)>(), 0..60),
        ) {
            let keyspace = Keyspace::new(2);
            before.iter().for_each(|(what, n, value)| change(&keyspace, *what, *n, *value));
            let mut all = keyspace.lock(&Plan::All, AT);
            let was: Vec<Option<i64>> =
                (0..=255).map(|n| number(all.look(Key::new(0, &name(n))).as_deref())).collect();
            let view = all.view(&Plan::All, 0, Box::new(Numbers));
            let other = all.view(&Plan::All, 1, Box::new(Numbers));
            drop(all);
            for (at, (what, n, value)) in after.iter().enumerate() {
                change(&keyspace, *what, *n, *value);
                let n = (at * 5 + 1) as u8;
                let name = name(n);
                let key = Key::new(0, &name);
                if !n.is_multiple_of(5) {
                    prop_assert_eq!(seen(&mut keyspace.lock_one(key.hash.stripe, AT), &view, key), was[n as usize]);
                }
            }
            for n in (0..=255).filter(|n| n % 5 != 0) {
                let name = name(n);
                let key = Key::new(0, &name);
                prop_assert_eq!(seen(&mut keyspace.lock_one(key.hash.stripe, AT), &view, key), was[n as usize]);
            }
            prop_assert!(!view.is_broken() && !other.is_broken());
            drop((view, other));
            keyspace.each_stripe(|_, stripe| assert!(stripe.views.is_empty()));
        }
    }

    #[test]
    fn what_replaces_a_database_breaks_its_views() {
        type Break = fn(&mut Space<'_>);
        let ways: [(Break, bool); 4] = [
            (|all| drop(all.flush(Some(0))), true),
            (|all| drop(all.flush(Some(1))), false),
            (|all| all.swap(2, 0), true),
            (|all| all.exchange(&mut Keyspace::new(3).lock(&Plan::All, AT)), true),
        ];
        for (way, breaks) in ways {
            let keyspace = Keyspace::new(3);
            let mut all = keyspace.lock(&Plan::All, AT);
            let view = all.view(&Plan::All, 0, Box::new(Numbers));
            assert!(!view.has_changed());
            way(&mut all);
            assert_eq!((view.is_broken(), view.has_changed()), (breaks, breaks));
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_note_left_behind_goes_with_the_next_change() {
        let keyspace = Keyspace::new(1);
        let mut all = keyspace.lock(&Plan::All, AT);
        let view = all.view(&Plan::All, 0, Box::new(Numbers));
        let long = vec![b'k'; KEPT_BYTES_MAX / 4];
        for n in 0..4 {
            assert!(!view.is_broken());
            let name = [&long[..], &[n]].concat();
            all.add(Key::new(0, &name), Content::Int(1), None);
        }
        assert!(view.is_broken());
        drop(view);
        let key = Key::new(0, b"k");
        assert_eq!(all.stripe(key.hash.stripe).views.len(), 1);
        all.set(key, Content::Int(1), None);
        assert!(all.stripe(key.hash.stripe).views.is_empty());
    }
}
