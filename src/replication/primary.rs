//! The replicas of this server: who they are, how far they are, and who waits for them.
//!
//! # Invariants
//! * A replica is on the list from its synchronisation on until its connection ends.
//! * A WAIT that is satisfied is answered once: whoever takes it off the [`WaitList`] answers it.
//! * An acknowledgement is noted before the waits are looked at, and a wait is on the list before the acknowledgements are: none is missed.

use crate::client::{Message, Registry, ReplicaPhase, Shared, WaitList};
use crate::keyspace::Keyspace;
use crate::resp::reply::{Reply, Version};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A client that waits until `wanted` replicas have acknowledged `offset`.
#[derive(Debug)]
struct Wait {
    client: Arc<Shared>,
    token: u64,
    offset: u64,
    wanted: usize,
}

/// Everybody who follows.
#[derive(Default)]
pub struct Replicas {
    list: Mutex<Vec<Arc<Shared>>>,
    waits: Mutex<Vec<Wait>>,
    /// Online replicas whose last acknowledgement is young enough, as of the last round of the periodic tasks.
    good: AtomicU32,
}

impl Replicas {
    pub fn add(&self, client: Arc<Shared>) {
        client.replica.store(true, Ordering::Release);
        self.list.lock().push(client);
    }

    /// A client left.
    pub fn remove(&self, id: u64) {
        self.list.lock().retain(|r| r.id != id);
    }

    pub fn all(&self) -> Vec<Arc<Shared>> {
        self.list.lock().clone()
    }

    pub fn len(&self) -> usize {
        self.list.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the connections of all replicas: they come back and ask how to go on.
    pub fn drop_all(&self, clients: &Registry) {
        for r in self.all() {
            clients.kill(&r, false);
        }
    }

    /// Replicas that have everything up to `offset`.
    pub fn acknowledged(&self, offset: u64) -> usize {
        let has = |r: &Arc<Shared>| {
            let facts = r.facts.lock();
            facts.phase == ReplicaPhase::Online && facts.acked >= offset
        };
        self.list.lock().iter().filter(|r| has(r)).count()
    }

    /// As of the last round of the periodic tasks.
    pub fn good(&self) -> u32 {
        self.good.load(Ordering::Relaxed)
    }

    /// Counts the replicas that are close enough behind.
    pub fn count_good(&self, lag_ms_max: u64, now_mono_ms: u64) {
        let good = |r: &Arc<Shared>| {
            let facts = r.facts.lock();
            facts.phase == ReplicaPhase::Online && now_mono_ms.saturating_sub(facts.acked_at_ms) <= lag_ms_max
        };
        let n = self.list.lock().iter().filter(|r| good(r)).count();
        self.good.store(n as u32, Ordering::Relaxed);
    }

    /// Puts a client that is on the [`WaitList`] already on the list of those that wait for replicas, and looks whether it still has to.
    pub fn wait(&self, client: &Arc<Shared>, token: u64, offset: u64, wanted: usize, to: &Answers<'_>) {
        let mut waits = self.waits.lock();
        // Whoever has gone or timed out since is not looked after here.
        waits.retain(|w| w.client.blocked.load(Ordering::Relaxed) && !w.client.killed.load(Ordering::Relaxed));
        waits.push(Wait { client: Arc::clone(client), token, offset, wanted });
        self.serve(&mut waits, to);
    }

    /// A replica has told how far it is: those that waited for it are answered.
    pub fn acked(&self, to: &Answers<'_>) {
        let mut waits = self.waits.lock();
        if !waits.is_empty() {
            self.serve(&mut waits, to);
        }
    }

    fn serve(&self, waits: &mut Vec<Wait>, to: &Answers<'_>) {
        waits.retain(|w| {
            let n = self.acknowledged(w.offset);
            if n < w.wanted {
                return true;
            }
            if to.waiting.cancel(to.keyspace, w.client.id) {
                let mut reply = Reply::new(Version::Resp2);
                reply.integer(n as i64);
                to.clients.send(&w.client, Message::Served { client: w.client.id, token: w.token, reply });
            }
            false
        });
    }
}

/// What it takes to answer somebody who waits.
pub struct Answers<'a> {
    pub clients: &'a Registry,
    pub waiting: &'a WaitList,
    pub keyspace: &'a Keyspace,
}
