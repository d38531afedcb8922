//! Who waits for which key, in order of arrival.
//!
//! Invariant: whoever takes a waiter off the list answers it, and nobody else does.

use super::registry::Shared;
use crate::acl::User;
use crate::keyspace::{KeyHash, Keyspace};
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Version;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A blocked command.
#[derive(Debug)]
pub struct Waiter {
    pub client: Arc<Shared>,
    pub token: u64,
    pub command: u16,
    pub args: Arc<OwnedArgs>,
    pub db: u32,
    /// Who waits, as of then.
    pub user: Arc<User>,
    pub version: Version,
    pub keys: Vec<Vec<u8>>,
    /// The key it changes when it is served, if that is another than those it waits for.
    pub target: Option<Vec<u8>>,
    /// It does not wait for ever.
    pub has_deadline: bool,
    /// It is answered when a key of its goes, too.
    pub needs_key: bool,
}

/// The command a waiter would run, and for whom.
#[derive(Debug)]
pub struct WaitingCall {
    pub command: u16,
    pub args: Arc<OwnedArgs>,
    pub db: u32,
    pub user: Arc<User>,
    pub client: Arc<Shared>,
    pub version: Version,
    /// See [`Waiter::target`].
    pub target: Option<Vec<u8>>,
}

/// Who waits, and for what.
#[derive(Debug)]
pub struct WaiterFacts {
    pub client: Arc<Shared>,
    pub token: u64,
    pub command: u16,
    pub keys: Vec<Vec<u8>>,
}

/// Who waits for one key; the lowest number came first.
#[derive(Debug, Default)]
struct Queue {
    all: BTreeSet<u64>,
    /// Those that are answered when the key goes, too.
    needing: BTreeSet<u64>,
    /// Those that change another key when they are served.
    moving: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Lists {
    /// In order of arrival.
    waiters: BTreeMap<u64, Waiter>,
    by_client: HashMap<u64, u64>,
    /// By database and key.
    queues: HashMap<u32, HashMap<Vec<u8>, Queue>>,
    next: u64,
}

impl Lists {
    fn queue(&self, db: u32, key: &[u8]) -> Option<&Queue> {
        self.queues.get(&db)?.get(key)
    }
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub struct WaitList {
    lists: Mutex<Lists>,
    /// Those that change another key than they wait for.
    moving: AtomicUsize,
}

impl WaitList {
    /// Puts a waiter at the end; the locks of its keys are held.
    pub fn add(&self, keyspace: &Keyspace, waiter: Waiter) {
        let lists = &mut *self.lists.lock();
        lists.next += 1;
        let n = lists.next;
        let queues = lists.queues.entry(waiter.db).or_default();
        for k in &waiter.keys {
            keyspace.wait_for(KeyHash::of(k));
            if !queues.contains_key(k) {
                queues.insert(k.clone(), Queue::default());
            }
            let Some(queue) = queues.get_mut(k) else { continue };
            queue.all.insert(n);
            if waiter.needs_key {
                queue.needing.insert(n);
            }
            if waiter.target.is_some() {
                queue.moving.insert(n);
            }
        }
        if waiter.target.is_some() {
            self.moving.fetch_add(1, Ordering::Relaxed);
        }
        lists.by_client.insert(waiter.client.id, n);
        lists.waiters.insert(n, waiter);
    }

    /// Takes a waiter off; `None` if somebody has taken it already.
    pub fn take(&self, keyspace: &Keyspace, n: u64) -> Option<Waiter> {
        let lists = &mut *self.lists.lock();
        let waiter = lists.waiters.remove(&n)?;
        lists.by_client.remove(&waiter.client.id);
        if let Some(queues) = lists.queues.get_mut(&waiter.db) {
            for k in &waiter.keys {
                keyspace.stop_waiting_for(KeyHash::of(k));
                let Some(queue) = queues.get_mut(k) else { continue };
                queue.all.remove(&n);
                queue.needing.remove(&n);
                queue.moving.remove(&n);
                if queue.all.is_empty() {
                    queues.remove(k);
                }
            }
        }
        if waiter.target.is_some() {
            self.moving.fetch_sub(1, Ordering::Relaxed);
        }
        Some(waiter)
    }

    /// Takes a client's wait off the list. False if somebody is answering it already.
    pub fn cancel(&self, keyspace: &Keyspace, client: u64) -> bool {
        let n = self.lists.lock().by_client.get(&client).copied();
        n.is_some_and(|n| self.take(keyspace, n).is_some())
    }

    /// Takes one wait of a client off the list, by its token: not the next one it has begun since.
    pub fn take_one(&self, keyspace: &Keyspace, client: u64, token: u64) -> Option<Waiter> {
        let n = {
            let lists = self.lists.lock();
            lists.by_client.get(&client).copied().filter(|n| lists.waiters.get(n).is_some_and(|w| w.token == token))
        };
        self.take(keyspace, n?)
    }

    /// Clients that wait.
    pub fn len(&self) -> usize {
        self.lists.lock().waiters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Clients that wait for no longer than a time of theirs.
    pub fn with_deadline(&self) -> usize {
        self.lists.lock().waiters.values().filter(|w| w.has_deadline).count()
    }

    /// Keys of these databases somebody waits for.
    pub fn keys_of(&self, databases: &[u32]) -> Vec<(u32, Vec<u8>)> {
        let lists = self.lists.lock();
        let queues = lists.queues.iter().filter(|(db, _)| databases.contains(db));
        queues.flat_map(|(db, queues)| queues.keys().map(|key| (*db, key.clone()))).collect()
    }

    /// Keys somebody waits for.
    pub fn keys(&self) -> usize {
        self.lists.lock().queues.values().map(HashMap::len).sum()
    }

    /// Keys whose going somebody waits for.
    pub fn needed_keys(&self) -> usize {
        let lists = self.lists.lock();
        lists.queues.values().flat_map(HashMap::values).filter(|queue| !queue.needing.is_empty()).count()
    }

    /// True if somebody waits for the key.
    pub fn has(&self, db: u32, key: &[u8]) -> bool {
        self.lists.lock().queue(db, key).is_some()
    }

    /// Who waits for a key and came next after number `n`; of those alone that are answered when it goes, if it has gone.
    pub fn after(&self, n: u64, db: u32, key: &[u8], gone: bool) -> Option<u64> {
        let lists = self.lists.lock();
        let queue = lists.queue(db, key)?;
        let of = if gone { &queue.needing } else { &queue.all };
        of.range(n + 1..).next().copied()
    }

    /// False if nobody would change another key than he waits for. Asked under the locks of the keys in question: who joins holds them.
    pub fn has_moving(&self) -> bool {
        self.moving.load(Ordering::Relaxed) > 0
    }

    /// The keys that those change who wait for this one.
    pub fn targets(&self, db: u32, key: &[u8]) -> Vec<Vec<u8>> {
        let lists = self.lists.lock();
        let Some(queue) = lists.queue(db, key) else { return Vec::new() };
        queue.moving.iter().filter_map(|n| lists.waiters.get(n)?.target.clone()).collect()
    }

    /// Everybody who waits for a key.
    pub fn all(&self) -> Vec<WaiterFacts> {
        let lists = self.lists.lock();
        let for_keys = lists.waiters.values().filter(|w| !w.keys.is_empty());
        for_keys
            .map(|w| WaiterFacts {
                client: Arc::clone(&w.client),
                token: w.token,
                command: w.command,
                keys: w.keys.clone(),
            })
            .collect()
    }

    /// What a waiter would run.
    pub fn call(&self, n: u64) -> Option<WaitingCall> {
        let lists = self.lists.lock();
        let w = lists.waiters.get(&n)?;
        Some(WaitingCall {
            command: w.command,
            args: Arc::clone(&w.args),
            db: w.db,
            user: Arc::clone(&w.user),
            client: Arc::clone(&w.client),
            version: w.version,
            target: w.target.clone(),
        })
    }
}
