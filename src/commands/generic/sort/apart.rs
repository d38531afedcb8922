//! Sorting aside, where hardly a lock is held: what takes long is copied, looked up in slices, and sorted without one.
//!
//! The elements are copied under the lock of their key alone. If other keys are to be looked up, all locks they may be under are taken then
//! for a moment, in which the elements are seen to be the same still, and a [`View`] of these keys is opened: it is that moment that the
//! outcome tells of. What is stored has to be true when it is stored: the command runs once more then, as if for the first time, and finds
//! what has been [`Prepared`]; if nothing has changed meanwhile that is put in its place. What others change too often is sorted under the
//! locks in the end ([`ROUNDS_MAX`]).

use super::look_up::{KEYS_AHEAD, LookUp, Names};
use super::pattern::Pattern;
use super::texts::{Text, Texts};
use super::{Request, lists};
use crate::base::slot::SlotId;
use crate::commands::{CommandError, DataContext, Outcome};
use crate::keyspace::{
    EventClass, Kept, Key, KeyHash, Keyspace, Plan, Questions, STRIPES, Seen, Space, View, WatchFlag, stripe_of,
};
use crate::value::list::List;
use crate::value::record::Record;
use std::sync::Arc;

/// How often it is tried without locks. Each try takes as long as the sorting; who tries for ever never answers.
const ROUNDS_MAX: u32 = 3;
/// How often the elements are copied in slices before who changes them has to wait.
const SLICED_MAX: u32 = 3;
/// Elements that are copied under a lock before it is given back.
const SLICE_ELEMENTS: usize = 1024;
/// Keys that are looked up under a lock before it is given back: some ten microseconds.
const SLICE_KEYS: usize = 128;
/// Bytes of values after which it is given back earlier.
const SLICE_BYTES: usize = 64 << 10;

/// What a command has done before it is run once more. Dropped while no lock is held.
#[derive(Default)]
pub struct Prepared<'k> {
    rounds: u32,
    list: Option<List>,
    /// The key with the elements, and what is raised when it changes.
    watch: Option<Watch<'k>>,
    view: Option<View<'k>>,
    /// Keys past their deadline that were taken for absent: they go before what is stored is told to others, who know no deadlines.
    late: Vec<Vec<u8>>,
    /// Keys that were not there, if anybody wants to know.
    missed: Vec<Vec<u8>>,
}

struct Watch<'k> {
    keyspace: &'k Keyspace,
    db: u32,
    name: Vec<u8>,
    flag: Arc<WatchFlag>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.keyspace.unwatch(Key::new(self.db, &self.name), &self.flag);
    }
}

impl Prepared<'_> {
    /// Takes the list that is to be stored, if it is still what it would be now. All locks are held that the command takes.
    fn take(&mut self) -> Option<List> {
        let changed = self.watch.as_ref().is_some_and(|w| w.flag.is_raised())
            || self.view.as_ref().is_some_and(View::has_changed);
        self.list.take().filter(|_| !changed)
    }
}

/// Runs a command whose locks are held, and may be given back.
pub(super) fn run(mut request: Request<'_>, cx: &mut DataContext<'_, '_>) -> Outcome {
    let mut rounds = 0;
    if let Some(prepared) = cx.prepared.as_mut() {
        rounds = prepared.rounds;
        if let Some(list) = prepared.take() {
            let (late, missed) = (std::mem::take(&mut prepared.late), std::mem::take(&mut prepared.missed));
            for name in late.iter().map(Vec::as_slice).chain([cx.args.at(1)]) {
                // Who is past its deadline goes.
                let _ = cx.space.alive(Key::new(cx.db, name));
            }
            tell(cx, missed);
            request.store(cx, list);
            return Ok(());
        }
    }
    if rounds >= ROUNDS_MAX {
        cx.begin_long();
        return request.run_here(cx);
    }
    let epoch = cx.space.epoch;
    cx.space.unlock();
    *cx.prepared = Some(Prepared { rounds: rounds + 1, ..Prepared::default() });
    let elements = copy(&mut request, cx, epoch)?;
    let Some(prepared) = cx.prepared.as_mut() else { return Err(CommandError::Aside) };
    let mut apart = Apart {
        space: cx.space,
        db: cx.db,
        view: prepared.view.take(),
        late: Vec::new(),
        missed: Vec::new(),
        keeps_view: request.store.is_some(),
    };
    let sorted = request.sorted(elements, &mut apart)?;
    if request.store.is_some() {
        (prepared.view, prepared.late, prepared.missed) = (apart.view, apart.late, apart.missed);
        prepared.list = Some(sorted.list(&lists::limits(cx.config)));
        return Err(CommandError::Aside);
    }
    let missed = apart.missed;
    tell(cx, missed);
    sorted.reply(cx.reply);
    Ok(())
}

/// Tells of keys that were not there.
fn tell(cx: &mut DataContext<'_, '_>, missed: Vec<Vec<u8>>) {
    for name in missed {
        cx.space.event(EventClass::KEY_MISS, "keymiss", Key::new(cx.db, &name));
    }
}

/// Copies the elements, and opens the view if there is to be one. No lock is held before or after.
fn copy(request: &mut Request<'_>, cx: &mut DataContext<'_, '_>, epoch: u64) -> Result<Texts, CommandError> {
    for _ in 0..SLICED_MAX {
        if let Some(elements) = copy_in_slices(request, cx, epoch)? {
            return Ok(elements);
        }
    }
    // It changes all the time: its writers wait.
    let key = Key::new(cx.db, cx.args.at(1));
    let mut elements = Texts::default();
    cx.space.lock(&Plan::One(key.hash.stripe));
    cx.space.begin_long();
    let watch = watch(cx, key);
    let met = meet(request, cx, key, &mut elements);
    if let (Ok(1..), Some(record)) = (&met, cx.space.look(key)) {
        request.copy(&record, 0, usize::MAX, &mut elements);
    }
    let outcome = match met {
        Ok(_) if open_view(request, cx, key, watch, epoch) => Ok(elements),
        Ok(_) => Err(CommandError::Aside),
        Err(e) => {
            cx.space.unlock();
            Err(e)
        }
    };
    // Now, and not before: who gave way comes back at once.
    cx.space.keyspace().end_long();
    outcome
}

/// The same a few elements at a time; nothing if they have changed meanwhile.
fn copy_in_slices(
    request: &mut Request<'_>,
    cx: &mut DataContext<'_, '_>,
    epoch: u64,
) -> Result<Option<Texts>, CommandError> {
    let key = Key::new(cx.db, cx.args.at(1));
    let mut elements = Texts::default();
    cx.space.lock_stripe(key.hash.stripe);
    let watch = watch(cx, key);
    let met = meet(request, cx, key, &mut elements);
    let mut next = 0;
    while let (Ok(1..), Some(record)) = (&met, cx.space.look(key)) {
        next = request.copy(&record, next, SLICE_ELEMENTS, &mut elements);
        if next == 0 {
            break;
        }
        cx.space.unlock();
        elements.make_room();
        cx.space.lock_stripe(key.hash.stripe);
        if watch.flag.is_raised() {
            break;
        }
    }
    let raised = watch.flag.is_raised();
    if raised || met.is_err() {
        cx.space.unlock();
        return met.map(|_| None);
    }
    Ok(open_view(request, cx, key, watch, epoch).then_some(elements))
}

/// Watches a key whose lock is held.
fn watch<'k>(cx: &mut DataContext<'_, 'k>, key: Key<'_>) -> Watch<'k> {
    let flag = Arc::new(WatchFlag::default());
    cx.space.watch(key, &flag);
    Watch { keyspace: cx.space.keyspace(), db: cx.db, name: key.name.to_vec(), flag }
}

/// How many elements there are, and room for them.
fn meet(
    request: &mut Request<'_>,
    cx: &DataContext<'_, '_>,
    key: Key<'_>,
    elements: &mut Texts,
) -> Result<usize, CommandError> {
    let Some(record) = cx.space.look(key) else { return Ok(0) };
    let len = request.meet(&record, cx.may_block)?;
    *elements = Texts::with_capacity(len);
    Ok(len)
}

/// With the elements copied and their key's lock still held: changes it for those of all keys that are to be looked up, and if nothing has
/// happened in between, opens the view. True if the elements are still what they were. No lock is held afterwards.
fn open_view<'k>(
    request: &Request<'_>,
    cx: &mut DataContext<'_, 'k>,
    key: Key<'_>,
    watch: Watch<'k>,
    epoch: u64,
) -> bool {
    let prepared = cx.prepared.get_or_insert_default();
    let mut same = cx.space.epoch == epoch;
    cx.space.unlock();
    if request.look_ups() > 0 {
        let plan = plan(request, key);
        cx.space.lock(&plan);
        same &= cx.space.epoch == epoch && !watch.flag.is_raised();
        if same {
            let questions = Asked { patterns: request.patterns.clone(), now_ms: cx.space.now_ms() };
            prepared.view = Some(cx.space.view(&plan, cx.db, Box::new(questions)));
        }
        cx.space.unlock();
    }
    if request.store.is_some() {
        prepared.watch = Some(watch);
    }
    same
}

/// The locks of all keys that the patterns may lead to, and of the key with the elements.
fn plan(request: &Request<'_>, key: Key<'_>) -> Plan {
    let slots: Option<Vec<SlotId>> =
        request.patterns.iter().filter(|p| p.leads_anywhere()).map(Pattern::slot).collect();
    let Some(slots) = slots else { return Plan::All };
    let mut plan = Plan::One(key.hash.stripe);
    slots.into_iter().for_each(|slot| plan.add(stripe_of(slot)));
    plan
}

/// The patterns, as a view asks them.
struct Asked {
    patterns: Vec<Pattern>,
    now_ms: i64,
}

impl Questions for Asked {
    fn answer(&self, name: &[u8], record: Option<&Record>) -> Option<Box<[Option<Kept>]>> {
        if !self.patterns.iter().any(|p| p.leads_to(name)) {
            return None;
        }
        let keep = |text: Option<Text<'_>>| match text? {
            Text::Bytes(bytes) => Some(Kept::Bytes(bytes.into())),
            Text::Shared(value) => Some(Kept::Shared(Arc::clone(value))),
        };
        let answer = |p: &Pattern| if p.leads_to(name) { p.read(record, self.now_ms, keep) } else { None };
        Some(self.patterns.iter().map(answer).collect())
    }
}

/// Look-ups in slices, of what was there when the view was opened.
struct Apart<'s, 'k> {
    space: &'s mut Space<'k>,
    db: u32,
    view: Option<View<'k>>,
    late: Vec<Vec<u8>>,
    missed: Vec<Vec<u8>>,
    /// It tells in the end whether anything has changed.
    keeps_view: bool,
}

impl LookUp for Apart<'_, '_> {
    fn look_up(
        &mut self,
        pattern: (usize, &Pattern),
        elements: &Texts,
        which: &[usize],
        found: &mut dyn FnMut(usize, Option<Text<'_>>),
    ) -> Outcome {
        let mut name = Vec::new();
        let hash = |n: &usize| {
            name.clear();
            pattern.1.name(elements.bytes(*n), &mut name);
            KeyHash::of(&name)
        };
        let hashes: Vec<KeyHash> = which.iter().map(hash).collect();
        let places = by_stripe(&hashes);
        let (mut names, mut values) = (Names::default(), Texts::default());
        let mut rest = &places[..];
        while let Some(first) = rest.first() {
            let stripe = hashes[*first].stripe;
            let of_stripe = |at: &&usize| hashes[**at].stripe == stripe;
            let slice = &rest[..rest.iter().take(SLICE_KEYS).take_while(of_stripe).count()];
            names.make(pattern.1, slice.iter().map(|at| elements.bytes(which[*at])));
            let keys: Vec<Key<'_>> =
                names.iter().zip(slice).map(|(name, at)| Key { name, hash: hashes[*at], db: self.db }).collect();
            values.clear();
            // Into memory of its own: what all values are in moves when it grows, and that takes long.
            self.slice(pattern, stripe, &keys, &mut values)?;
            for (n, at) in slice.iter().take(values.len()).enumerate() {
                found(*at, values.get(n));
            }
            rest = &rest[values.len()..];
        }
        Ok(())
    }

    fn is_done(&mut self) {
        if !self.keeps_view {
            self.view = None;
        }
    }
}

impl Apart<'_, '_> {
    /// Looks up keys of a stripe, at least the first.
    fn slice(
        &mut self,
        (question, pattern): (usize, &Pattern),
        stripe: u16,
        keys: &[Key<'_>],
        values: &mut Texts,
    ) -> Outcome {
        let Some(view) = &self.view else { return Err(CommandError::Aside) };
        let now_ms = self.space.now_ms();
        self.space.lock_stripe(stripe);
        'keys: for keys in keys.chunks(KEYS_AHEAD) {
            self.space.prefetch(keys.iter().copied());
            for key in keys {
                let missing = match self.space.seen(view, *key) {
                    Seen::Kept(answers) => {
                        values.add(answers[question].as_ref().map(|kept| match kept {
                            Kept::Bytes(bytes) => Text::Bytes(bytes),
                            Kept::Shared(value) => Text::Shared(value),
                        }));
                        false
                    }
                    Seen::Now(record) => {
                        pattern.read(record.as_deref(), now_ms, |value| values.add(value));
                        record.is_none()
                    }
                    Seen::Late => {
                        self.late.push(key.name.to_vec());
                        values.add(None);
                        true
                    }
                };
                if missing && self.space.events_wanted.intersects(EventClass::KEY_MISS) {
                    self.missed.push(key.name.to_vec());
                }
                if values.memory_bytes() > SLICE_BYTES {
                    break 'keys;
                }
            }
        }
        self.space.unlock();
        // Not before the last look can it be known. What is to be stored is in vain with the first change.
        let in_vain = view.is_broken() || (self.keeps_view && view.has_changed());
        if in_vain { Err(CommandError::Aside) } else { Ok(()) }
    }
}

/// The places of hashes, stripe by stripe.
fn by_stripe(hashes: &[KeyHash]) -> Vec<usize> {
    let mut next = vec![0; STRIPES + 1];
    hashes.iter().for_each(|h| next[h.stripe as usize + 1] += 1);
    (1..next.len()).for_each(|n| next[n] += next[n - 1]);
    let mut places = vec![0; hashes.len()];
    for (at, hash) in hashes.iter().enumerate() {
        let to = &mut next[hash.stripe as usize];
        places[*to] = at;
        *to += 1;
    }
    places
}
