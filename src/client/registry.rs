//! All clients of the server, as others see them.

use super::mailbox::{Mailbox, Message};
use super::replica::ReplicaFacts;
use super::tracking::TrackingMode;
use crate::net::doors::Arrival;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The texts a client has: rarely written, read by CLIENT LIST.
#[derive(Clone, Debug, Default)]
pub struct SharedText {
    pub name: String,
    pub lib_name: String,
    pub lib_ver: String,
    pub user: String,
    /// Version and suite that TLS agreed on; empty without TLS.
    pub tls: String,
    /// Fingerprint of the certificate that was verified; empty without one.
    pub certificate: String,
}

/// What others may see of a client. Numbers are written by its worker, most of them once a turn.
#[derive(Debug)]
pub struct Shared {
    pub id: u64,
    pub worker: u16,
    pub addr: String,
    pub laddr: String,
    pub fd: i64,
    /// ms since the epoch.
    pub created_ms: i64,
    pub last_ms: AtomicI64,
    pub text: Mutex<SharedText>,
    pub db: AtomicU32,
    pub resp: AtomicU8,
    /// Number of the last command in the table; `u32::MAX` before the first.
    pub last_command: AtomicU32,
    /// Commands queued in MULTI; -1 outside.
    pub multi: AtomicI64,
    pub watching: AtomicU32,
    pub blocked: AtomicBool,
    /// Its next command waits for CLIENT PAUSE to end.
    pub paused: AtomicBool,
    pub no_evict: AtomicBool,
    pub no_touch: AtomicBool,
    pub unix: AtomicBool,
    pub tls: AtomicBool,
    /// Set at once by CLIENT KILL, so that CLIENT LIST forgets it before its worker does.
    pub killed: AtomicBool,
    /// DEBUG PROTECT-CLIENT: others cannot close it.
    pub protected: AtomicBool,
    pub query_bytes: AtomicU64,
    pub query_capacity: AtomicU64,
    pub args_bytes: AtomicU64,
    pub multi_bytes: AtomicU64,
    pub output_bytes: AtomicU64,
    pub output_chunks: AtomicU64,
    pub reply_capacity: AtomicU64,
    /// Bytes the client holds, as its worker told last.
    pub memory: AtomicU64,
    pub net_in: AtomicU64,
    pub net_out: AtomicU64,
    pub commands: AtomicU64,
    pub subscriptions: AtomicU32,
    pub pattern_subscriptions: AtomicU32,
    pub shard_subscriptions: AtomicU32,
    pub monitor: AtomicBool,
    pub replica: AtomicBool,
    /// It is the link to our primary.
    pub primary: AtomicBool,
    /// Its socket, by which a link whose thread waits for it is ended.
    pub socket: OnceLock<TcpStream>,
    /// What a replica says of itself.
    pub facts: Mutex<ReplicaFacts>,
    pub import_source: AtomicBool,
    /// READONLY has been said.
    pub readonly: AtomicBool,
    /// CLIENT CAPA REDIRECT.
    pub capa_redirect: AtomicBool,
    /// CLIENT TRACKING: bits of [`tracking_bits`].
    tracking: AtomicU8,
    /// Who gets its invalidations: 0 itself, -1 nobody.
    pub redirect: AtomicI64,
}

/// How CLIENT LIST shows that a client tracks.
mod tracking_bits {
    pub const ON: u8 = 1;
    pub const BCAST: u8 = 2;
    pub const BROKEN: u8 = 4;
}

impl Shared {
    pub fn new(id: u64, worker: u16, addr: String, laddr: String, fd: i64, now_ms: i64) -> Shared {
        Shared {
            id,
            worker,
            addr,
            laddr,
            fd,
            created_ms: now_ms,
            last_ms: AtomicI64::new(now_ms),
            text: Mutex::new(SharedText { user: "default".into(), ..SharedText::default() }),
            db: AtomicU32::new(0),
            resp: AtomicU8::new(2),
            last_command: AtomicU32::new(u32::MAX),
            multi: AtomicI64::new(-1),
            watching: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            unix: AtomicBool::new(false),
            tls: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            protected: AtomicBool::new(false),
            query_bytes: AtomicU64::new(0),
            query_capacity: AtomicU64::new(0),
            args_bytes: AtomicU64::new(0),
            multi_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            output_chunks: AtomicU64::new(0),
            reply_capacity: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            subscriptions: AtomicU32::new(0),
            pattern_subscriptions: AtomicU32::new(0),
            shard_subscriptions: AtomicU32::new(0),
            monitor: AtomicBool::new(false),
            replica: AtomicBool::new(false),
            primary: AtomicBool::new(false),
            socket: OnceLock::new(),
            facts: Mutex::default(),
            import_source: AtomicBool::new(false),
            readonly: AtomicBool::new(false),
            capa_redirect: AtomicBool::new(false),
            tracking: AtomicU8::new(0),
            redirect: AtomicI64::new(-1),
        }
    }
}

impl Shared {
    /// Tells how the client tracks, or that it does not.
    pub fn set_tracking(&self, mode: Option<TrackingMode>) {
        use tracking_bits::{BCAST, ON};
        let bits = mode.map_or(0, |m| ON | if m.bcast { BCAST } else { 0 });
        self.tracking.store(bits, Ordering::Relaxed);
        self.redirect.store(mode.map_or(-1, |m| m.redirect.map_or(0, |id| id as i64)), Ordering::Relaxed);
    }

    /// The client that was to get its invalidations has gone.
    pub fn set_tracking_broken(&self) {
        self.tracking.fetch_or(tracking_bits::BROKEN, Ordering::Relaxed);
    }

    pub fn is_tracking(&self) -> bool {
        self.tracking.load(Ordering::Relaxed) & tracking_bits::ON != 0
    }

    pub fn tracks_all(&self) -> bool {
        self.tracking.load(Ordering::Relaxed) & tracking_bits::BCAST != 0
    }

    pub fn is_tracking_broken(&self) -> bool {
        self.tracking.load(Ordering::Relaxed) & tracking_bits::BROKEN != 0
    }

    /// The connection comes from this machine.
    pub fn is_local(&self) -> bool {
        if self.unix.load(Ordering::Relaxed) {
            return true;
        }
        let host = self.addr.rsplit_once(':').map_or(self.addr.as_str(), |(host, _)| host).trim_matches(['[', ']']);
        match host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(v4)) => v4.is_loopback(),
            Ok(std::net::IpAddr::V6(v6)) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
            Err(_) => false,
        }
    }
}

/// Every client by id, and the workers' mailboxes.
#[derive(Debug, Default)]
pub struct Registry {
    clients: Mutex<BTreeMap<u64, Arc<Shared>>>,
    next_id: AtomicU64,
    count: AtomicU32,
    memory: AtomicU64,
    /// Clients whose next command waits for CLIENT PAUSE to end.
    paused: AtomicU32,
    mailboxes: Mailboxes,
}

/// The mailboxes of workers by their number. Workers come and none ever goes, so that a number stays good.
#[derive(Debug)]
struct Mailboxes {
    places: Box<[OnceLock<Arc<Mailbox>>]>,
    used: AtomicUsize,
}

impl Default for Mailboxes {
    fn default() -> Self {
        Mailboxes { places: (0..WORKERS_MAX).map(|_| OnceLock::new()).collect(), used: AtomicUsize::new(0) }
    }
}

/// As many as `io-threads` may ask for.
pub const WORKERS_MAX: usize = 256;

impl Registry {
    /// Adds a worker's mailbox; one thread does. Returns the worker's number.
    pub fn add_worker(&self, mailbox: Arc<Mailbox>) -> Option<u16> {
        let n = self.mailboxes.used.load(Ordering::Acquire);
        self.mailboxes.places.get(n)?.set(mailbox).ok()?;
        self.mailboxes.used.store(n + 1, Ordering::Release);
        Some(n as u16)
    }

    /// The mailboxes of all workers, in the order of their numbers.
    pub fn workers(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.mailboxes.places.iter().map_while(OnceLock::get)
    }

    /// Gives a new connection, whose place is taken, to the one of the first `count` workers that has the fewest. It comes back if that is
    /// `own`, which is preferred to others that have as few.
    pub fn settle(&self, arrival: Arrival, own: u16, count: usize) -> Option<Arrival> {
        let there = self.mailboxes.used.load(Ordering::Acquire).min(count).max(1);
        let held = |n: usize| {
            let mailbox = self.mailboxes.places[n].get();
            mailbox.map_or(usize::MAX, |m| m.connections.load(Ordering::Relaxed))
        };
        let own = usize::from(own);
        let fewest = (0..there).min_by_key(|n| (held(*n), *n != own)).unwrap_or(own);
        let mailbox = self.mailboxes.places[fewest].get()?;
        mailbox.connections.fetch_add(1, Ordering::Relaxed);
        if fewest == own {
            return Some(arrival);
        }
        mailbox.send(Message::Attach(Box::new(arrival)));
        None
    }

    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Clients connected now.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes a place among `max` clients; false if there is none.
    pub fn admit(&self, max: u32) -> bool {
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < max).then_some(n + 1)).is_ok()
    }

    /// Gives back a place that was taken for a connection that never became a client.
    pub fn release(&self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }

    /// Clients whose next command waits for CLIENT PAUSE to end.
    pub fn paused(&self) -> u32 {
        self.paused.load(Ordering::Relaxed)
    }

    /// Notes that a client's next command waits for the end of a pause, or does not any more.
    pub fn set_paused(&self, client: &Shared, yes: bool) {
        match (client.paused.swap(yes, Ordering::Relaxed), yes) {
            (false, true) => self.paused.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.paused.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Bytes all clients hold.
    #[inline]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// A client that held `before` bytes holds `now`.
    pub fn count_memory(&self, before: u64, now: u64) {
        self.memory.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    pub fn add(&self, shared: Arc<Shared>) {
        self.clients.lock().insert(shared.id, shared);
    }

    /// Forgets a client and gives back its place.
    pub fn remove(&self, id: u64) {
        let gone = self.clients.lock().remove(&id);
        if let Some(c) = gone {
            self.count_memory(c.memory.load(Ordering::Relaxed), 0);
            self.release();
        }
    }

    pub fn get(&self, id: u64) -> Option<Arc<Shared>> {
        self.clients.lock().get(&id).filter(|c| !c.killed.load(Ordering::Acquire)).cloned()
    }

    /// All clients, oldest first, but for those that are about to be closed.
    pub fn all(&self) -> Vec<Arc<Shared>> {
        self.clients.lock().values().filter(|c| !c.killed.load(Ordering::Acquire)).cloned().collect()
    }

    /// Sends to the worker of a client.
    pub fn send(&self, client: &Shared, message: Message) {
        if let Some(mailbox) = self.mailboxes.places.get(client.worker as usize).and_then(OnceLock::get) {
            mailbox.send(message);
        }
    }

    /// Sends each message to the worker of its client: all of a worker's at once.
    pub fn send_each<'c>(&self, messages: impl Iterator<Item = (&'c Shared, Message)>) {
        let mut by_worker: Vec<Vec<Message>> = Vec::new();
        for (client, message) in messages {
            let worker = client.worker as usize;
            if by_worker.len() <= worker {
                by_worker.resize_with(worker + 1, Vec::new);
            }
            by_worker[worker].push(message);
        }
        for (worker, messages) in by_worker.into_iter().enumerate() {
            if let Some(mailbox) = self.mailboxes.places.get(worker).and_then(OnceLock::get) {
                mailbox.send_all(messages);
            }
        }
    }

    /// Wakes every worker, so that it looks at what has changed.
    pub fn ring_all(&self) {
        for m in self.workers() {
            m.send(Message::Look);
        }
    }

    /// Marks a client as gone and tells its worker to close it.
    pub fn kill(&self, client: &Shared, flush: bool) {
        if client.protected.load(Ordering::Relaxed) {
            return;
        }
        if client.killed.swap(true, Ordering::AcqRel) {
            return;
        }
        if !client.primary.load(Ordering::Relaxed) {
            self.send(client, Message::Kill { client: client.id, flush });
        } else if let Some(socket) = client.socket.get() {
            // The link to a primary has no worker: its thread waits for the socket, and looks at the mark.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival() -> Arrival {
        let (a, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let stream = crate::net::Stream::Unix(mio::net::UnixStream::from_std(a));
        Arrival { stream, spoke: false, peer: String::new(), local: String::new() }
    }

    #[test]
    fn connections_that_last_are_spread_evenly_and_short_ones_stay_where_they_come_in() {
        let clients = Registry::default();
        let polls: Vec<mio::Poll> = (0..3).map(|_| mio::Poll::new().unwrap()).collect();
        let mailbox = |poll: &mio::Poll| Mailbox::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let workers: Vec<Arc<Mailbox>> = polls.iter().map(|p| Arc::new(mailbox(p))).collect();
        for w in &workers {
            clients.add_worker(Arc::clone(w)).unwrap();
        }
        let held = || workers.iter().map(|w| w.connections.load(Ordering::Relaxed)).collect::<Vec<_>>();
        for _ in 0..20 {
            assert!(clients.settle(arrival(), 1, 3).is_some());
            workers[1].count_gone();
        }
        assert_eq!(held(), [0, 0, 0]);
        for _ in 0..9 {
            clients.settle(arrival(), 1, 3);
        }
        assert_eq!(held(), [3, 3, 3]);
        assert_eq!((workers[0].take().len(), workers[2].take().len()), (3, 3));
        // Where `io-threads` has come down, the worker beyond it gets nothing more, not even what it lets in itself.
        for _ in 0..4 {
            assert!(clients.settle(arrival(), 2, 2).is_none());
        }
        assert_eq!(held(), [5, 5, 3]);
    }
}
