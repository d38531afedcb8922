//! Who waits for which key, in order of arrival.
//!
//! Invariant: whoever takes a waiter off the list answers it, and nobody else does.

use super::registry::Shared;
use crate::acl::User;
use crate::keyspace::{KeyHash, Keyspace};
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Version;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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
}

/// Who waits, and for what.
#[derive(Debug)]
pub struct WaiterFacts {
    pub client: Arc<Shared>,
    pub token: u64,
    pub command: u16,
    pub keys: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Lists {
    /// In order of arrival.
    waiters: BTreeMap<u64, Waiter>,
    by_client: HashMap<u64, u64>,
    by_key: HashMap<(u32, Vec<u8>), Vec<u64>>,
    next: u64,
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub struct WaitList(Mutex<Lists>);

impl WaitList {
    /// Puts a waiter at the end; the locks of its keys are held.
    pub fn add(&self, keyspace: &Keyspace, waiter: Waiter) {
        let lists = &mut *self.0.lock();
        lists.next += 1;
        let n = lists.next;
        for k in &waiter.keys {
            keyspace.wait_for(KeyHash::of(k));
            lists.by_key.entry((waiter.db, k.clone())).or_default().push(n);
        }
        lists.by_client.insert(waiter.client.id, n);
        lists.waiters.insert(n, waiter);
    }

    /// Takes a waiter off; `None` if somebody has taken it already.
    pub fn take(&self, keyspace: &Keyspace, n: u64) -> Option<Waiter> {
        let lists = &mut *self.0.lock();
        let waiter = lists.waiters.remove(&n)?;
        lists.by_client.remove(&waiter.client.id);
        for k in &waiter.keys {
            keyspace.stop_waiting_for(KeyHash::of(k));
            let key = (waiter.db, k.clone());
            if let Some(list) = lists.by_key.get_mut(&key) {
                list.retain(|m| *m != n);
                if list.is_empty() {
                    lists.by_key.remove(&key);
                }
            }
        }
        Some(waiter)
    }

    /// Takes a client's wait off the list. False if somebody is answering it already.
    pub fn cancel(&self, keyspace: &Keyspace, client: u64) -> bool {
        let n = self.0.lock().by_client.get(&client).copied();
        n.is_some_and(|n| self.take(keyspace, n).is_some())
    }

    /// Takes one wait of a client off the list, by its token: not the next one it has begun since.
    pub fn cancel_one(&self, keyspace: &Keyspace, client: u64, token: u64) -> bool {
        let n = {
            let lists = self.0.lock();
            lists.by_client.get(&client).copied().filter(|n| lists.waiters.get(n).is_some_and(|w| w.token == token))
        };
        n.is_some_and(|n| self.take(keyspace, n).is_some())
    }

    /// Clients that wait.
    pub fn len(&self) -> usize {
        self.0.lock().waiters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Clients that wait for no longer than a time of theirs.
    pub fn with_deadline(&self) -> usize {
        self.0.lock().waiters.values().filter(|w| w.has_deadline).count()
    }

    /// Keys of these databases somebody waits for.
    pub fn keys_of(&self, databases: &[u32]) -> Vec<(u32, Vec<u8>)> {
        self.0.lock().by_key.keys().filter(|(db, _)| databases.contains(db)).cloned().collect()
    }

    /// Keys somebody waits for.
    pub fn keys(&self) -> usize {
        self.0.lock().by_key.len()
    }

    /// Keys whose going somebody waits for.
    pub fn needed_keys(&self) -> usize {
        let lists = self.0.lock();
        let needs_key = |n: &u64| lists.waiters.get(n).is_some_and(|w| w.needs_key);
        lists.by_key.values().filter(|list| list.iter().any(needs_key)).count()
    }

    /// The waiters of a key, oldest first.
    pub fn of_key(&self, db: u32, key: &[u8]) -> Vec<u64> {
        self.0.lock().by_key.get(&(db, key.to_vec())).cloned().unwrap_or_default()
    }

    /// True if a waiter is answered when a key of its goes, too.
    pub fn needs_key(&self, n: u64) -> bool {
        self.0.lock().waiters.get(&n).is_some_and(|w| w.needs_key)
    }

    /// Everybody who waits for a key.
    pub fn all(&self) -> Vec<WaiterFacts> {
        let lists = self.0.lock();
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
        let lists = self.0.lock();
        let w = lists.waiters.get(&n)?;
        Some(WaitingCall {
            command: w.command,
            args: Arc::clone(&w.args),
            db: w.db,
            user: Arc::clone(&w.user),
            client: Arc::clone(&w.client),
            version: w.version,
        })
    }
}
