//! Client-side caching: who has to be told when a key changes.
//!
//! A tracking client is noted for the keys it reads, or (BCAST) for every key that begins with one of its prefixes. A change of a key
//! takes its readers off the table and sends each a [`Notice`]; the worker that owns the receiver encodes it, for the version the
//! receiver speaks at that moment.
//!
//! # Invariants
//! * A read is noted under the lock of the key it read, so every later change finds it. Whoever takes a reader off the table tells it.
//! * The reply of a read reaches its client before the notice of a change that came after it: notices go through the worker's mailbox, or
//!   behind the reply of the command that made the change.
//! * The table holds at most `tracking-table-max-keys` keys once a turn is over; readers of what is dropped are told as if it had changed.
//! * A key's readers that have gone are forgotten when its list has doubled, so that a key nobody changes does not gather them.
//! * Keys are told by name alone, whatever their database, as the protocol has it.

use super::mailbox::Message;
use super::registry::{Registry, Shared};
use crate::keyspace::{Invalidated, Keyspace};
use crate::resp::reply::{Reply, Version};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The channel a RESP2 connection subscribes to for the notices of another.
const CHANNEL: &[u8] = b"__redis__:invalidate";
/// Parts of the table, each with its own lock.
const SHARDS: usize = 64;
/// Bytes of prefixes one client may name: some hundred thousand of them, far beyond what a cache needs.
const PREFIX_BYTES_MAX: usize = 16 << 20;
/// Readers a key gathers before those that have gone are looked for.
const READERS_MIN: usize = 64;

/// How a client tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackingMode {
    /// Notices go to this client instead.
    pub redirect: Option<u64>,
    pub bcast: bool,
    pub optin: bool,
    pub optout: bool,
    pub noloop: bool,
}

/// A client that tracks, as the table knows it.
#[derive(Debug)]
struct Tracker {
    client: Arc<Shared>,
    mode: TrackingMode,
}

/// A client that tracks, as its worker knows it.
#[derive(Debug, Default)]
pub struct ClientTracking {
    pub mode: TrackingMode,
    /// CLIENT CACHING has been said for the next command.
    pub caching: bool,
    pub prefixes: BTreeSet<Arc<[u8]>>,
    prefix_bytes: usize,
}

impl ClientTracking {
    /// True if the keys of the command that runs are noted.
    #[inline]
    pub fn notes_reads(&self) -> bool {
        let m = &self.mode;
        !(m.bcast || (m.optin && !self.caching) || (m.optout && self.caching))
    }

    /// The client's own share of the prefix table; the names in it belong to all who use them.
    pub fn memory_bytes(&self) -> usize {
        size_of::<ClientTracking>() + self.prefixes.len() * size_of::<Arc<[u8]>>()
    }
}

/// A prefix that may not stand beside another of the same client.
#[derive(Debug, PartialEq, Eq)]
pub enum PrefixError {
    Existing { given: Vec<u8>, other: Vec<u8> },
    Provided { given: Vec<u8>, other: Vec<u8> },
    TooMany,
}

/// What a client is told.
#[derive(Clone, Debug)]
pub enum Notice {
    /// These keys have changed; all of them where there is no list.
    Changed { redirected: bool, keys: Option<Arc<Vec<Box<[u8]>>>> },
    /// The client that was to get the notices has gone.
    Broken { redirect: u64 },
}

impl Notice {
    /// The bytes for a connection; `None` if it has no way to hear them.
    pub fn bytes(&self, version: Version, subscribed: bool) -> Option<Vec<u8>> {
        let mut r = Reply::new(version);
        match self {
            Notice::Changed { redirected, keys } => {
                match version {
                    Version::Resp3 => {
                        r.push(2);
                        r.bulk(b"invalidate");
                    }
                    Version::Resp2 if *redirected && subscribed => {
                        r.push(3);
                        r.bulk(b"message");
                        r.bulk(CHANNEL);
                    }
                    Version::Resp2 => return None,
                }
                match keys {
                    None => r.null(),
                    Some(keys) => {
                        r.array(keys.len());
                        for k in keys.iter() {
                            r.bulk(k);
                        }
                    }
                }
            }
            Notice::Broken { redirect } => {
                if version == Version::Resp2 {
                    return None;
                }
                r.push(2);
                r.bulk(b"tracking-redir-broken");
                r.integer(*redirect as i64);
            }
        }
        Some(r.buf)
    }
}

#[derive(Debug, Default)]
struct Prefixes {
    clients: HashMap<Arc<[u8]>, BTreeSet<u64>>,
    /// How many prefixes of each length there are.
    lengths: BTreeMap<usize, usize>,
}

type Readers = HashMap<Box<[u8]>, Vec<u64>>;

/// Everybody who tracks, and what.
#[derive(Debug)]
pub struct Tracking {
    trackers: RwLock<HashMap<u64, Arc<Tracker>>>,
    shards: Box<[Mutex<Readers>]>,
    keys: AtomicUsize,
    items: AtomicUsize,
    prefixes: RwLock<Prefixes>,
    /// The shard that gives up a key next.
    next: AtomicUsize,
}

impl Default for Tracking {
    fn default() -> Tracking {
        Tracking {
            trackers: RwLock::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            prefixes: RwLock::default(),
            next: AtomicUsize::new(0),
        }
    }
}

/// Where notices for the client whose command runs are put, so that they follow its reply.
pub type Own = Vec<Notice>;

impl Tracking {
    /// Clients that track.
    pub fn clients(&self) -> usize {
        self.trackers.read().len()
    }

    /// Keys in the table.
    pub fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Pairs of a key and a reader.
    pub fn items(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    /// Prefixes that are named.
    pub fn prefixes(&self) -> usize {
        self.prefixes.read().clients.len()
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Readers> {
        // Keys of one stripe may share a shard; what matters is that stripes do not share one lock.
        let mut h = 0xcbf2_9ce4_8422_2325u64;
        for b in key {
            h = (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
        }
        &self.shards[(h >> 32) as usize % SHARDS]
    }

    /// Begins tracking, or goes on in another way, with `prefixes` besides those there are.
    ///
    /// # Errors
    /// Two prefixes of which one begins with the other, or more than a client may name; nothing has changed then.
    pub fn start(
        &self,
        keyspace: &Keyspace,
        shared: &Arc<Shared>,
        tracking: &mut Option<Box<ClientTracking>>,
        mode: TrackingMode,
        prefixes: &[&[u8]],
    ) -> Result<(), PrefixError> {
        let mut own = tracking.take().unwrap_or_default();
        if mode.bcast {
            match own.with(prefixes) {
                Ok(added) => {
                    let mut all = self.prefixes.write();
                    for p in added {
                        all.add(p, shared.id, &mut own.prefixes);
                    }
                }
                Err(e) => {
                    *tracking = (shared.is_tracking()).then_some(own);
                    return Err(e);
                }
            }
        }
        own.mode = mode;
        own.caching = false;
        let tracker = Tracker { client: Arc::clone(shared), mode };
        let mut trackers = self.trackers.write();
        trackers.insert(shared.id, Arc::new(tracker));
        keyspace.set_tracked(true);
        drop(trackers);
        shared.set_tracking(Some(mode));
        *tracking = Some(own);
        Ok(())
    }

    /// Ends tracking. What the table holds for the client goes when its keys change or the table is full.
    pub fn stop(&self, keyspace: &Keyspace, shared: &Shared, tracking: &mut Option<Box<ClientTracking>>) {
        let Some(own) = tracking.take() else { return };
        if !own.prefixes.is_empty() {
            let mut all = self.prefixes.write();
            for p in own.prefixes {
                all.remove(&p, shared.id);
            }
        }
        shared.set_tracking(None);
        let mut trackers = self.trackers.write();
        trackers.remove(&shared.id);
        if trackers.is_empty() {
            keyspace.set_tracked(false);
            // Changes are not told any more, so what is noted grows stale.
            self.forget_all();
        }
    }

    /// Notes that a client has read a key; the key's lock is held.
    pub fn note(&self, client: u64, key: &[u8]) {
        let mut readers = self.shard(key).lock();
        let Some(list) = readers.get_mut(key) else {
            readers.insert(key.into(), vec![client]);
            self.keys.fetch_add(1, Ordering::Relaxed);
            self.items.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if let Err(at) = list.binary_search(&client) {
            list.insert(at, client);
            self.items.fetch_add(1, Ordering::Relaxed);
            if list.len() >= READERS_MIN && list.len().is_power_of_two() {
                // Never waited for under a shard's lock: whoever ends tracking takes the two the other way round.
                if let Some(trackers) = self.trackers.try_read() {
                    let before = list.len();
                    list.retain(|id| trackers.contains_key(id));
                    self.items.fetch_sub(before - list.len(), Ordering::Relaxed);
                }
            }
        }
    }

    /// True if a client that waited for a key, and whose command another one has served, has its reads noted.
    pub fn notes_reads_of(&self, client: u64) -> bool {
        self.trackers.read().get(&client).is_some_and(|t| !t.mode.bcast && !t.mode.optin)
    }

    /// Tells those who have read the changed keys. `writer` is the client whose command made the changes; what it is to be told itself is
    /// returned in `own`. The keys' locks are still held, so that who reads them after this command, even in one transaction, is not told.
    pub fn invalidate(&self, clients: &Registry, changes: &[Invalidated], writer: u64, own: &mut Own) {
        if changes.iter().any(|c| matches!(c, Invalidated::All)) {
            self.forget_all();
            let trackers: Vec<Arc<Tracker>> = self.trackers.read().values().cloned().collect();
            for t in trackers {
                self.tell(clients, &t, None, writer, own);
            }
        }
        for c in changes {
            if let Invalidated::Key { name, by_server } = c {
                self.changed(clients, name, if *by_server { 0 } else { writer }, writer, own);
            }
        }
    }

    /// One key's readers are told. `author` is 0 where the server made the change.
    fn changed(&self, clients: &Registry, name: &[u8], author: u64, writer: u64, own: &mut Own) {
        let readers = self.shard(name).lock().remove(name);
        let Some(readers) = readers else { return };
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.items.fetch_sub(readers.len(), Ordering::Relaxed);
        let keys = Arc::new(vec![Box::from(name)]);
        for id in readers {
            let tracker = self.trackers.read().get(&id).cloned();
            if let Some(t) = tracker.filter(|t| !(t.mode.bcast || (t.mode.noloop && id == author))) {
                self.tell(clients, &t, Some(&keys), writer, own);
            }
        }
    }

    /// Those who named a prefix are told of the changed keys under it, one notice per prefix.
    pub fn broadcast(&self, clients: &Registry, changes: &[Invalidated], writer: u64, own: &mut Own) {
        let prefixes = self.prefixes.read();
        if prefixes.clients.is_empty() {
            return;
        }
        // One of the client's own changes and one by the server are two: NOLOOP hides the first alone.
        let mut seen: HashSet<(&[u8], bool)> = HashSet::new();
        let mut under: BTreeMap<&[u8], Vec<(&[u8], bool)>> = BTreeMap::new();
        for c in changes {
            let Invalidated::Key { name, by_server } = c else { continue };
            if !seen.insert((name, *by_server)) {
                continue;
            }
            for len in prefixes.lengths.keys().take_while(|n| **n <= name.len()) {
                if let Some((prefix, _)) = prefixes.clients.get_key_value(&name[..*len]) {
                    under.entry(&**prefix).or_default().push((name, *by_server));
                }
            }
        }
        for (prefix, keys) in under {
            let list = |of_others: bool| -> Arc<Vec<Box<[u8]>>> {
                let mut seen: HashSet<&[u8]> = HashSet::new();
                let told = keys.iter().filter(|(name, by_server)| (*by_server || !of_others) && seen.insert(name));
                Arc::new(told.map(|(name, _)| Box::from(*name)).collect())
            };
            let (all, not_own) = (list(false), list(true));
            for id in prefixes.clients.get(prefix).into_iter().flatten() {
                let tracker = self.trackers.read().get(id).cloned();
                let Some(t) = tracker else { continue };
                let keys = if t.mode.noloop && *id == writer { &not_own } else { &all };
                if !keys.is_empty() {
                    self.tell(clients, &t, Some(keys), writer, own);
                }
            }
        }
    }

    fn tell(&self, clients: &Registry, t: &Tracker, keys: Option<&Arc<Vec<Box<[u8]>>>>, writer: u64, own: &mut Own) {
        let (target, notice) = match t.mode.redirect {
            None => (Arc::clone(&t.client), Notice::Changed { redirected: false, keys: keys.cloned() }),
            Some(id) => match clients.get(id) {
                Some(target) => (target, Notice::Changed { redirected: true, keys: keys.cloned() }),
                None => {
                    t.client.set_tracking_broken();
                    (Arc::clone(&t.client), Notice::Broken { redirect: id })
                }
            },
        };
        if target.id == writer {
            own.push(notice);
        } else {
            clients.send(&target, Message::Notice { client: target.id, notice });
        }
    }

    fn forget_all(&self) {
        for s in &self.shards {
            let readers = std::mem::take(&mut *s.lock());
            self.keys.fetch_sub(readers.len(), Ordering::Relaxed);
            self.items.fetch_sub(readers.values().map(Vec::len).sum(), Ordering::Relaxed);
        }
    }

    /// Drops keys until there are no more than `max` (0: no limit), telling their readers.
    pub fn limit(&self, clients: &Registry, max: u64, writer: u64, own: &mut Own) {
        if max == 0 {
            return;
        }
        // A shard without a key is passed by; after a round without any there is nothing to drop.
        let mut empty = 0;
        while self.keys() as u64 > max && empty < SHARDS {
            let at = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let name = self.shards[at].lock().keys().next().cloned();
            match name {
                Some(name) => {
                    empty = 0;
                    self.changed(clients, &name, 0, writer, own);
                }
                None => empty += 1,
            }
        }
    }
}

impl Prefixes {
    fn add(&mut self, prefix: &[u8], client: u64, own: &mut BTreeSet<Arc<[u8]>>) {
        let name: Arc<[u8]> = match self.clients.get_key_value(prefix) {
            Some((name, _)) => Arc::clone(name),
            None => {
                *self.lengths.entry(prefix.len()).or_default() += 1;
                prefix.into()
            }
        };
        self.clients.entry(Arc::clone(&name)).or_default().insert(client);
        own.insert(name);
    }

    fn remove(&mut self, prefix: &[u8], client: u64) {
        let Some(clients) = self.clients.get_mut(prefix) else { return };
        clients.remove(&client);
        if clients.is_empty() {
            self.clients.remove(prefix);
            if let Some(n) = self.lengths.get_mut(&prefix.len()) {
                *n -= 1;
                if *n == 0 {
                    self.lengths.remove(&prefix.len());
                }
            }
        }
    }
}

impl ClientTracking {
    /// Checks further prefixes; without any, the empty one stands for every key.
    fn with<'a>(&mut self, given: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, PrefixError> {
        if given.is_empty() {
            return Ok(if self.prefixes.is_empty() { vec![&[]] } else { Vec::new() });
        }
        let mut bytes = self.prefix_bytes;
        for p in given {
            let (before, after) = (up_to(p), from(p));
            let near = neighbours(self.prefixes.range::<[u8], _>(before), self.prefixes.range::<[u8], _>(after));
            if let Some(other) = overlapping(p, near) {
                return Err(PrefixError::Existing { given: p.to_vec(), other: other.to_vec() });
            }
            bytes += p.len() + size_of::<Arc<[u8]>>();
        }
        let mut fresh: BTreeSet<&[u8]> = BTreeSet::new();
        for p in given {
            let (before, after) = (up_to(p), from(p));
            let near = neighbours(fresh.range::<[u8], _>(before), fresh.range::<[u8], _>(after));
            if let Some(other) = overlapping(p, near) {
                return Err(PrefixError::Provided { given: other.to_vec(), other: p.to_vec() });
            }
            fresh.insert(p);
        }
        if bytes > PREFIX_BYTES_MAX {
            return Err(PrefixError::TooMany);
        }
        self.prefix_bytes = bytes;
        Ok(given.to_vec())
    }
}

fn up_to(name: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(name))
}

fn from(name: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(name), Bound::Unbounded)
}

/// The greatest name up to another, and the smallest from it on: where no two of a set overlap, only these can overlap a third.
fn neighbours<'a, T: AsRef<[u8]> + 'a>(
    mut before: impl DoubleEndedIterator<Item = &'a T>,
    mut after: impl Iterator<Item = &'a T>,
) -> [Option<&'a [u8]>; 2] {
    [before.next_back().map(AsRef::as_ref), after.next().map(AsRef::as_ref)]
}

fn overlapping<'a>(prefix: &[u8], near: [Option<&'a [u8]>; 2]) -> Option<&'a [u8]> {
    near.into_iter().flatten().find(|other| prefix.starts_with(other) || other.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(id: u64) -> Arc<Shared> {
        Arc::new(Shared::new(id, 0, String::new(), String::new(), 0, 0))
    }

    fn key(name: &str, by_server: bool) -> Invalidated {
        Invalidated::Key { name: name.as_bytes().into(), by_server }
    }

    /// Notices for client 1, whose command made the changes, as names of keys.
    fn own(t: &Tracking, changes: Vec<Invalidated>) -> Vec<String> {
        let mut own = Own::new();
        t.invalidate(&Registry::default(), &changes, 1, &mut own);
        t.broadcast(&Registry::default(), &changes, 1, &mut own);
        own.iter()
            .map(|n| match n {
                Notice::Changed { keys: None, .. } => "*".to_owned(),
                Notice::Changed { keys: Some(k), .. } => {
                    k.iter().map(|k| String::from_utf8_lossy(k).into_owned()).collect::<Vec<_>>().join(" ")
                }
                Notice::Broken { redirect } => format!("broken {redirect}"),
            })
            .collect()
    }

    #[test]
    fn a_change_is_told_once_and_only_to_readers() {
        let (t, one, mut state) = (Tracking::default(), shared(1), None);
        t.start(&Keyspace::new(1), &one, &mut state, TrackingMode::default(), &[]).unwrap();
        t.note(1, b"a");
        t.note(1, b"a");
        t.note(2, b"a");
        assert_eq!((t.keys(), t.items()), (1, 2));
        assert_eq!(own(&t, vec![key("a", false), key("b", false)]), ["a"]);
        assert!(own(&t, vec![key("a", false)]).is_empty());
        assert_eq!((t.keys(), t.items()), (0, 0));
        t.note(1, b"c");
        assert_eq!(own(&t, vec![Invalidated::All]), ["*"]);
        assert_eq!(t.keys(), 0);
    }

    #[test]
    fn noloop_hides_own_changes_but_not_those_of_the_server() {
        for bcast in [false, true] {
            let (t, one, mut state) = (Tracking::default(), shared(1), None);
            let mode = TrackingMode { noloop: true, bcast, ..TrackingMode::default() };
            t.start(&Keyspace::new(1), &one, &mut state, mode, &[]).unwrap();
            t.note(1, b"a");
            assert!(own(&t, vec![key("a", false)]).is_empty());
            t.note(1, b"a");
            assert_eq!(own(&t, vec![key("a", true)]), ["a"]);
        }
    }

    #[test]
    fn a_redirection_to_nobody_is_told_of() {
        let (t, one, mut state) = (Tracking::default(), shared(1), None);
        t.start(
            &Keyspace::new(1),
            &one,
            &mut state,
            TrackingMode { redirect: Some(9), ..TrackingMode::default() },
            &[],
        )
        .unwrap();
        t.note(1, b"a");
        assert_eq!(own(&t, vec![key("a", false)]), ["broken 9"]);
    }

    #[test]
    fn prefixes_of_one_client_do_not_overlap() {
        let (t, one, mut state) = (Tracking::default(), shared(1), None);
        let mode = TrackingMode { bcast: true, ..TrackingMode::default() };
        let mut start = |list: &[&[u8]]| t.start(&Keyspace::new(1), &one, &mut state, mode, list);
        let provided =
            |given: &[u8], other: &[u8]| Err(PrefixError::Provided { given: given.to_vec(), other: other.to_vec() });
        assert_eq!(start(&[b"foobar", b"foo"]), provided(b"foobar", b"foo"));
        assert_eq!(start(&[b"aaa", b"bbb", b"bbbc"]), provided(b"bbb", b"bbbc"));
        assert_eq!(start(&[b"", b"x"]), provided(b"", b"x"));
        assert_eq!(start(&[b"foo", b"bar"]), Ok(()));
        let existing = Err(PrefixError::Existing { given: b"fo".to_vec(), other: b"foo".to_vec() });
        assert_eq!(start(&[b"fo"]), existing);
        assert_eq!(start(&[b"c:"]), Ok(()));
        assert_eq!(
            own(&t, vec![key("foo1", false), key("zoo", false), key("foo2", false), key("c:1", false)]),
            ["c:1", "foo1 foo2"]
        );
        assert_eq!(t.prefixes(), 3);
        let keyspace = Keyspace::new(1);
        keyspace.set_tracked(true);
        t.stop(&keyspace, &one, &mut state);
        assert!(!keyspace.is_tracked());
        assert_eq!((t.prefixes(), t.clients()), (0, 0));
    }

    #[test]
    fn what_the_table_has_no_room_for_is_told_as_if_it_had_changed() {
        let (t, one, mut state) = (Tracking::default(), shared(1), None);
        t.start(&Keyspace::new(1), &one, &mut state, TrackingMode::default(), &[]).unwrap();
        for i in 0..100 {
            t.note(1, format!("k{i}").as_bytes());
        }
        let mut own = Own::new();
        t.limit(&Registry::default(), 3, 1, &mut own);
        assert_eq!((t.keys(), own.len()), (3, 97));
    }

    #[test]
    fn readers_that_have_gone_do_not_gather() {
        let t = Tracking::default();
        for id in 0..1000 {
            t.note(id, b"k");
        }
        assert!(t.items() < READERS_MIN);
    }
}
