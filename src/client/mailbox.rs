//! Messages to a worker. The sender wakes it; it reads them at the start of its turn.

use super::copy::CopyReader;
use super::subscription::{Published, Subscription};
use super::tracking::Notice;
use crate::journal::Cursor;
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Reply;
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

/// What a replica is sent: first `head`, then the copy, then what the journal has from the cut on; without a cursor nothing more.
#[derive(Debug)]
pub struct SyncStart {
    pub head: Vec<u8>,
    pub copy: CopyReader,
    pub cursor: Option<Cursor>,
}

/// What one thread asks of the worker that owns a client.
pub enum Message {
    /// A new connection; its place among `maxclients` is taken.
    Attach(Box<crate::net::doors::Arrival>),
    /// End the client's connection; what is already written is sent first if `flush`.
    Kill { client: u64, flush: bool },
    /// More is kept for the client than may be.
    OverLimit { client: u64 },
    /// The answer to a blocked command that another worker served.
    Served { client: u64, token: u64, reply: Reply },
    /// What a blocked command waited for has come: it runs again.
    Again { client: u64, token: u64, request: std::sync::Arc<OwnedArgs> },
    /// Ends a wait, as if its time were up or with an error.
    Unblock { client: u64, error: Option<&'static str> },
    /// This server is no primary any more: a wait for what only a primary does ends.
    RoleLost { client: u64 },
    /// The slot of a shard channel it listens to is another node's now.
    LostShardChannel { client: u64, name: Vec<u8> },
    /// Bytes between replies: a push, a published message, a monitored command.
    Push { client: u64, reply: std::sync::Arc<Vec<u8>> },
    /// The journal has something for a replica.
    Feed { client: u64 },
    /// The copy a replica has waited for begins.
    Sync { client: u64, start: Box<SyncStart> },
    /// A message of a channel.
    Published { to: std::sync::Arc<Subscription>, message: std::sync::Arc<Published> },
    /// Keys that a client has read have changed.
    Notice { client: u64, notice: Notice },
    /// Something changed that every worker looks at in its turn (configuration, pause, shutdown).
    Look,
}

impl Message {
    /// The client it is for, if it is for one.
    pub fn client(&self) -> Option<u64> {
        match self {
            Message::Attach(_) | Message::Look => None,
            Message::Published { to, .. } => Some(to.client.id),
            Message::Kill { client, .. }
            | Message::OverLimit { client }
            | Message::Served { client, .. }
            | Message::Again { client, .. }
            | Message::Unblock { client, .. }
            | Message::RoleLost { client }
            | Message::LostShardChannel { client, .. }
            | Message::Push { client, .. }
            | Message::Feed { client }
            | Message::Sync { client, .. }
            | Message::Notice { client, .. } => Some(*client),
        }
    }
}

/// A worker's mailbox. Unbounded by itself: every message but `Push`, `Published` and `Notice` is the answer to something its receiver or its client asked for, and
/// those three count against the receiver's output limit as soon as the worker reads them.
pub struct Mailbox {
    queue: Mutex<Vec<Message>>,
    waker: mio::Waker,
    /// Set while the worker has not begun to read: one wake is enough.
    rung: AtomicBool,
    /// The worker [stands still](Mailbox::stand_still): it is woken by its thread, not by its poll.
    still: AtomicBool,
    thread: OnceLock<Thread>,
    /// What the worker tells of itself: it is in a turn, and the nanoseconds its turns have taken.
    at_work: AtomicBool,
    busy_ns: AtomicU64,
    /// Connections that are its worker's, or on their way to it.
    pub(super) connections: AtomicUsize,
}

impl Mailbox {
    pub fn new(waker: mio::Waker) -> Mailbox {
        Mailbox {
            queue: Mutex::new(Vec::new()),
            waker,
            rung: AtomicBool::new(false),
            still: AtomicBool::new(false),
            thread: OnceLock::new(),
            at_work: AtomicBool::new(false),
            busy_ns: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
        }
    }

    /// Its worker begins a turn.
    pub fn begin_turn(&self) {
        self.at_work.store(true, Ordering::Relaxed);
    }

    /// Its worker has ended a turn, which took so long. Only the worker calls it.
    pub fn end_turn(&self, ns: u64) {
        self.busy_ns.store(self.busy_ns.load(Ordering::Relaxed) + ns, Ordering::Relaxed);
        self.at_work.store(false, Ordering::Relaxed);
    }

    /// Whether its worker is in a turn, and the nanoseconds its turns have taken.
    pub fn activity(&self) -> (bool, u64) {
        (self.at_work.load(Ordering::Relaxed), self.busy_ns.load(Ordering::Relaxed))
    }

    /// A connection of its worker has ended.
    pub fn count_gone(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn send(&self, message: Message) {
        self.queue.lock().push(message);
        self.ring();
    }

    /// Sends several, in their order.
    pub fn send_all(&self, messages: Vec<Message>) {
        if !messages.is_empty() {
            self.queue.lock().extend(messages);
            self.ring();
        }
    }

    /// Wakes the worker.
    pub fn ring(&self) {
        // In one order with what the worker does: it sees that it is rung, or is seen to stand still.
        if self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        match self.thread.get() {
            // It looks for itself before it waits.
            Some(thread) if thread.id() == std::thread::current().id() => {}
            Some(thread) if self.still.load(Ordering::SeqCst) => thread.unpark(),
            // A worker that cannot be woken has ended; then nobody waits for it either.
            _ => drop(self.waker.wake()),
        }
    }

    /// Its worker is the calling thread, which from here on asks whether it [is rung](Mailbox::is_rung) before it waits.
    pub fn belongs_here(&self) {
        let _ = self.thread.get_or_init(std::thread::current);
    }

    /// Something has come since the last [`take`](Mailbox::take).
    pub fn is_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst)
    }

    /// The worker waits for a ring alone, whatever its sockets have to say; no longer than `longest`. True if it has been rung, which its poll
    /// may not tell it then. Only the worker calls it.
    pub fn stand_still(&self, longest: Duration) -> bool {
        self.belongs_here();
        self.still.store(true, Ordering::SeqCst);
        if !self.rung.load(Ordering::SeqCst) {
            // That it may come back early, for a ring of long ago, costs no more than a look at the sockets.
            std::thread::park_timeout(longest);
        }
        self.still.store(false, Ordering::SeqCst);
        self.rung.load(Ordering::SeqCst)
    }

    /// All messages so far.
    pub fn take(&self) -> Vec<Message> {
        self.rung.store(false, Ordering::Release);
        std::mem::take(&mut *self.queue.lock())
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailbox({} messages)", self.queue.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_worker_that_stands_still_hears_every_ring_before_its_time_is_over() {
        let poll = mio::Poll::new().unwrap();
        let mailbox = Arc::new(Mailbox::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
        let long = Duration::from_secs(600);
        // Rung before.
        mailbox.ring();
        assert!(mailbox.stand_still(long));
        mailbox.take();
        // Rung at any moment around it: one that is missed would be waited for until the time is over.
        let sender = {
            let mailbox = Arc::clone(&mailbox);
            std::thread::spawn(move || {
                for i in 0..2_000 {
                    mailbox.send(Message::Kill { client: i, flush: false });
                    while mailbox.rung.load(Ordering::Acquire) {
                        std::hint::spin_loop();
                        std::thread::yield_now();
                    }
                }
            })
        };
        let mut heard = 0;
        while heard < 2_000 {
            // It may come back for a ring of long ago.
            if mailbox.stand_still(long) {
                heard += mailbox.take().len();
            }
        }
        sender.join().unwrap();
        assert!(!mailbox.stand_still(Duration::from_micros(1)));
    }

    #[test]
    fn what_its_own_thread_sends_is_seen_without_a_wake_and_what_others_send_wakes() {
        let mut poll = mio::Poll::new().unwrap();
        let mailbox = Arc::new(Mailbox::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
        mailbox.belongs_here();
        mailbox.send(Message::Look);
        let mut events = mio::Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty() && mailbox.is_rung());
        assert_eq!(mailbox.take().len(), 1);
        assert!(!mailbox.is_rung());
        let other = Arc::clone(&mailbox);
        std::thread::spawn(move || other.send(Message::Look)).join().unwrap();
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(!events.is_empty() && mailbox.is_rung());
    }
}
