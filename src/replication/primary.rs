//! The replicas of this server: who they are, how far they are, and who waits for them.
//!
//! # Invariants
//! * A replica is on the list from its synchronisation on until its connection ends; one that wants a copy alone until that is sent.
//! * A WAIT or WAITAOF that is satisfied is answered once: whoever takes it off the [`WaitList`] answers it.
//! * An acknowledgement is noted before the waits are looked at, and a wait is on the list before the acknowledgements are: none is missed.

use super::pairs::Pairs;
use crate::client::{Message, Registry, ReplicaPhase, Shared, TimeoutReply, WaitList};
use crate::keyspace::Keyspace;
use crate::resp::reply::{Reply, Version};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A client that waits for copies of what it has changed.
#[derive(Debug)]
struct Wait {
    client: Arc<Shared>,
    token: u64,
    /// What it waits for: the variants that name an offset.
    for_what: TimeoutReply,
}

/// What WAITAOF says where nothing is written to this server's disk.
pub const NO_LOG: &str = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// Everybody who follows.
#[derive(Default)]
pub struct Replicas {
    list: Mutex<Vec<Arc<Shared>>>,
    waits: Mutex<Vec<Wait>>,
    /// There are some.
    waited_for: AtomicBool,
    /// Those that take copy and stream on two connections.
    pub pairs: Pairs,
    /// Online replicas whose last acknowledgement is young enough, as of the last round of the periodic tasks.
    good: AtomicU32,
}

impl Replicas {
    pub fn add(&self, client: Arc<Shared>) {
        client.replica.store(true, Ordering::Release);
        self.list.lock().push(client);
    }

    /// A client left.
    pub fn remove(&self, id: u64, clients: &Registry) {
        self.list.lock().retain(|r| r.id != id);
        self.pairs.left(id, clients);
    }

    /// The copy of a client that wants nothing else was sent: its connection is a replica's no more.
    pub fn copied(&self, id: u64, now_ms: u64) {
        self.list.lock().retain(|r| r.id != id);
        self.pairs.sent(id, now_ms);
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

    /// Replicas that follow the stream.
    pub fn online(&self) -> usize {
        self.list.lock().iter().filter(|r| r.facts.lock().phase == ReplicaPhase::Online).count()
    }

    /// Replicas that have everything up to `offset`.
    pub fn acknowledged(&self, offset: u64) -> usize {
        let has = |r: &Arc<Shared>| {
            let facts = r.facts.lock();
            facts.phase == ReplicaPhase::Online && facts.acked >= offset
        };
        self.list.lock().iter().filter(|r| has(r)).count()
    }

    /// Replicas that have everything up to `offset` on disk.
    pub fn synced(&self, offset: u64) -> usize {
        let has = |r: &Arc<Shared>| {
            let facts = r.facts.lock();
            facts.phase == ReplicaPhase::Online && facts.synced.is_some_and(|synced| synced >= offset)
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

    /// Somebody waits for what replicas have: they are sent it, and are asked, without delay.
    #[inline]
    pub fn are_waited_for(&self) -> bool {
        self.waited_for.load(Ordering::Relaxed)
    }

    /// Puts a client that is on the [`WaitList`] already on the list of those that wait for replicas, and looks whether it still has to.
    pub fn wait(&self, client: &Arc<Shared>, token: u64, for_what: TimeoutReply, to: &Answers<'_>) {
        let mut waits = self.waits.lock();
        // Who waits anew has a new token.
        waits.retain(|w| w.client.id != client.id);
        waits.push(Wait { client: Arc::clone(client), token, for_what });
        self.serve(&mut waits, to);
    }

    /// A replica has told how far it is, or this server's disk has more: those that waited for it are answered.
    pub fn acked(&self, to: &Answers<'_>) {
        let mut waits = self.waits.lock();
        if !waits.is_empty() {
            self.serve(&mut waits, to);
        }
    }

    /// Writes the answer to somebody who waits. False, and nothing written, if he has to wait on.
    fn answer(&self, for_what: TimeoutReply, log: Option<u64>, reply: &mut Reply) -> bool {
        match for_what {
            TimeoutReply::Replicas { offset, wanted } => {
                let n = self.acknowledged(offset);
                if n >= wanted {
                    reply.integer(n as i64);
                }
                n >= wanted
            }
            TimeoutReply::Disks { here: true, .. } if log.is_none() => {
                reply.error(NO_LOG.as_bytes());
                true
            }
            TimeoutReply::Disks { offset, here, wanted } => {
                let (is_here, n) = (log.is_some_and(|synced| synced >= offset), self.synced(offset));
                let enough = n >= wanted && (is_here || !here);
                if enough {
                    reply.array(2);
                    reply.integer(i64::from(is_here));
                    reply.integer(n as i64);
                }
                enough
            }
            TimeoutReply::Run { offset, wanted } => self.acknowledged(offset) >= wanted,
            TimeoutReply::NullArray | TimeoutReply::Null | TimeoutReply::Integer(_) => true,
        }
    }

    fn serve(&self, waits: &mut Vec<Wait>, to: &Answers<'_>) {
        waits.retain(|w| {
            // Whoever has gone or timed out since is not looked after here.
            if !w.client.blocked.load(Ordering::Relaxed) || w.client.killed.load(Ordering::Relaxed) {
                return false;
            }
            let mut reply = Reply::new(Version::Resp2);
            if !self.answer(w.for_what, to.log, &mut reply) {
                return true;
            }
            let (client, token) = (w.client.id, w.token);
            if let Some(waiter) = to.waiting.take_one(to.keyspace, client, token) {
                let message = match w.for_what {
                    TimeoutReply::Run { .. } => Message::Again { client, token, request: waiter.args },
                    _ => Message::Served { client, token, reply },
                };
                to.clients.send(&w.client, message);
            }
            false
        });
        self.waited_for.store(!waits.is_empty(), Ordering::Relaxed);
    }
}

/// What it takes to answer somebody who waits.
pub struct Answers<'a> {
    pub clients: &'a Registry,
    pub waiting: &'a WaitList,
    pub keyspace: &'a Keyspace,
    /// The offset up to which changes are on disk here; `None` where they are not written.
    pub log: Option<u64>,
}
