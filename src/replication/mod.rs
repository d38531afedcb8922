//! Replication: whose history this server has, who follows it, and whom it follows.
//!
//! # As a primary
//! A replica asks with PSYNC. If the backlog holds the byte it wants next, in a history we share, it goes on from there; otherwise it gets
//! the data set as an RDB and then the stream of the journal. It is a client like any other to its worker, which reads the journal for it as
//! fast as its socket takes what is there ([`primary`]).
//!
//! # As a replica
//! A thread holds the link ([`replica`]). What it does is decided by a machine that knows neither socket nor clock. The stream is applied step
//! by step and goes into our own journal byte for byte, so our offset is the primary's and our own replicas can follow either of us.
//!
//! # Invariants
//! * The data set is written and the journal's cursor is set under all locks: a change is in one of them, never in both or neither.
//! * Whom this server follows changes under all locks, and begins an epoch of the journal; what belongs to an older epoch changes nothing.
//! * A history that somebody may know by its name never has a gap: when the backlog ends the history gets another name.
//!
//! # Where things are
//! | file | what |
//! |---|---|
//! | `identity.rs` | the names of histories |
//! | `primary.rs` | the replicas, their acknowledgements, and who waits for those |
//! | `pairs.rs` | replicas with two channels: the copy's, and the stream's that goes on behind it |
//! | `sync.rs` | full copies: who waits for one, and the walk that serves them |
//! | `replica/machine.rs` | the protocol of the link, pure |
//! | `replica/apply.rs` | the stream, cut into steps |
//! | `replica/link.rs`, `session.rs`, `dial.rs` | the thread: attempts, what each does, and how it connects |
//! | `replica/copying.rs` | a full copy on a connection of its own |
//! | `replica/intake.rs`, `pipe.rs` | a full copy on its way, into the loader or into a file |
//! | `replica/load.rs` | a full copy takes the place of the data |
//! | `failover.rs` | handing the role over, pure |

pub mod failover;
mod host;
mod identity;
mod pairs;
mod primary;
mod replica;
mod sync;

pub use host::Host;
pub use identity::{Identity, NONE, is_id};
pub use primary::{Answers, NO_LOG, Replicas};
pub use replica::dial::dial;
pub use replica::{Follower, Following, LinkState, Look, Progress};
pub use sync::is_older;

use crate::base::clock;
use crate::client::{Message, ReplicaPhase};
use crate::crypto;
use crate::journal::{Journal, State};
use crate::keyspace::{Plan, Space};
use crate::metrics::counters::{Counter, CounterRecorder};
use failover::Failover;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the periodic tasks remember, in monotonic ms.
#[derive(Debug, Default)]
struct Rounds {
    next_ms: u64,
    pinged_ms: u64,
    /// Since when there has been no replica.
    alone_since_ms: Option<u64>,
}

/// Everything this server knows of replication.
#[derive(Default)]
pub struct Replication {
    pub identity: Mutex<Identity>,
    pub replicas: Replicas,
    pub follower: Follower,
    pub failover: Mutex<Failover>,
    rounds: Mutex<Rounds>,
    /// Replicas are to come to the very offset where the writers stopped: no pings meanwhile.
    pub holds_pings: AtomicBool,
    /// Where the link's threads count what they receive, whichever they are.
    received: Mutex<Option<CounterRecorder>>,
    /// DEBUG PAUSE-AFTER-FORK.
    pub pause_after_cut: AtomicBool,
    /// For its sake clients' writes wait from the cut on: a server that stops there makes none.
    stands_still: AtomicBool,
    /// The history is that of a file the server has started from.
    resumed: AtomicBool,
}

/// Bytes a replica may be behind: `client-output-buffer-limit replica`, but never less than the backlog, which is kept in any case. 0 is
/// without a bound.
pub fn bytes_behind_max(config: &crate::config::Config) -> u64 {
    match config.limits.client_output_buffer_limit.replica.hard_bytes {
        0 => 0,
        hard => hard.max(config.replication.repl_backlog_size),
    }
}

/// A new name for a history.
///
/// # Errors
/// The module gives no random bytes.
pub fn new_id() -> Result<String, String> {
    crypto::random_hex(40).map_err(|e| e.to_string())
}

impl Replication {
    pub fn new(id: String) -> Replication {
        Replication { identity: Mutex::new(Identity::new(id)), ..Replication::default() }
    }

    /// What a file says of the moment of the history that it is. Every stripe is held. Nothing while nobody could go on from it.
    pub fn moment(&self, journal: &Journal) -> Vec<(&'static str, String)> {
        if journal.state() != State::Following && journal.backlog().0.is_none() {
            return Vec::new();
        }
        vec![
            ("repl-stream-db", journal.selected().unwrap_or(0).to_string()),
            ("repl-id", self.identity.lock().id.clone()),
            ("repl-offset", journal.end().to_string()),
        ]
    }

    /// Goes on from the moment a file was: as a replica in that history, as a primary under a new name that shares the old one up to
    /// there. What the file says is believed only if it makes sense. Nobody is served yet.
    ///
    /// # Errors
    /// There is no name for the new history.
    pub fn resume(
        &self,
        journal: &Journal,
        id: &str,
        offset: u64,
        selected: Option<u32>,
        follows: bool,
        backlog_bytes: u64,
    ) -> Result<(), String> {
        if !is_id(id) || offset >= 1 << 62 {
            return Ok(());
        }
        self.resumed.store(true, Ordering::Relaxed);
        journal.resume(offset, selected.filter(|_| follows));
        let mut identity = self.identity.lock();
        identity.adopt(id.to_owned());
        if !follows {
            identity.shift(new_id()?, offset);
            drop(identity);
            journal.keep_backlog(Some(backlog_bytes));
        }
        tracing::info!("The history {id} goes on from offset {offset}");
        Ok(())
    }

    /// Follows a primary from here on. Every stripe is held.
    ///
    /// # Errors
    /// There can be no thread for the link.
    pub fn follow(
        host: &Arc<dyn Host>,
        space: &Space<'_>,
        address: &str,
        port: u16,
        failover: bool,
    ) -> std::io::Result<()> {
        Replication::begin_to_follow(host, space, address, port, failover, false)
    }

    /// The same for a server that has just started: a history that is not of a file is its own alone, and no primary is asked to continue it.
    ///
    /// # Errors
    /// As `follow`.
    pub fn follow_from_the_start(
        host: &Arc<dyn Host>,
        space: &Space<'_>,
        address: &str,
        port: u16,
    ) -> std::io::Result<()> {
        let whole = !host.replication().resumed.load(Ordering::Relaxed);
        Replication::begin_to_follow(host, space, address, port, false, whole)
    }

    fn begin_to_follow(
        host: &Arc<dyn Host>,
        space: &Space<'_>,
        address: &str,
        port: u16,
        failover: bool,
        whole: bool,
    ) -> std::io::Result<()> {
        assert!(space.is_whole(), "whom a server follows changes at one instant");
        let this = host.replication();
        let config = host.config().current();
        let journal = host.keyspace().journal();
        journal.keep_backlog(Some(config.replication.repl_backlog_size));
        let epoch = journal.follow();
        this.follower.set(Some(Following { host: address.to_owned(), port, epoch, ..Following::default() }));
        // Our replicas stay: if the new primary lets us go on they can too, and if it does not they are told when the copy is there.
        if !failover {
            unblock(&**host);
        }
        replica::link::start(Arc::clone(host), epoch, address.to_owned(), port, failover, whole)
    }

    /// Is a primary from here on, with a history of its own that goes on where it had come to. Every stripe is held.
    ///
    /// # Errors
    /// There is no name for the new history; nothing has changed then.
    pub fn lead(host: &dyn Host, space: &Space<'_>) -> Result<(), String> {
        assert!(space.is_whole(), "whom a server follows changes at one instant");
        let this = host.replication();
        if this.follower.following().is_none() {
            return Ok(());
        }
        let id = new_id()?;
        // First of all: a link that is just being continued looks at this before it gives the history a name.
        this.follower.set(None);
        // Whatever it has: that is the data set now.
        host.saver().withhold(false);
        let journal = host.keyspace().journal();
        let end = journal.end();
        this.identity.lock().shift(id.clone(), end);
        journal.lead();
        this.replicas.drop_all(host.clients());
        tracing::info!("Setting secondary replication ID, valid up to offset: {}. New replication ID is {id}", end + 1);
        Ok(())
    }

    /// Bytes of primaries are counted here from now on.
    pub fn count_received(&self, recorder: CounterRecorder) {
        *self.received.lock() = Some(recorder);
    }

    fn received(&self, bytes: usize) {
        if let Some(recorder) = self.received.lock().as_mut() {
            recorder.add(Counter::NetReplInputBytes, bytes as u64);
        }
    }

    pub fn is_to_pause(&self) -> bool {
        self.pause_after_cut.load(Ordering::Relaxed)
    }

    /// Between a cut and the stop that DEBUG PAUSE-AFTER-FORK asks for nothing is written.
    fn stand_still(&self, host: &dyn Host) {
        self.stands_still.store(true, Ordering::Release);
        host.pause_writes(true);
    }

    /// Lets clients go on after that: it is over, or there is nothing any more to stop for.
    pub fn move_on(&self, host: &dyn Host) {
        if self.stands_still.swap(false, Ordering::AcqRel) {
            host.pause_writes(false);
        }
    }

    /// Stops the whole process until it is told to go on, if DEBUG PAUSE-AFTER-FORK asked for it.
    pub fn pause_if_told(&self) {
        if self.is_to_pause() {
            tracing::warn!("This server stops here, as DEBUG PAUSE-AFTER-FORK asked for; SIGCONT lets it go on");
            if let Err(e) = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP) {
                tracing::warn!("It cannot be stopped: {e}");
            }
        }
    }

    /// What has to be done regularly. Called several times a second, without locks.
    pub fn round(host: &Arc<dyn Host>) {
        let this = host.replication();
        let now = clock::monotonic_ms();
        failover::round(host, now);
        sync::round(host, now);
        end_pairs(&**host, now);
        if this.replicas.pairs.waiting() == 0 {
            this.move_on(&**host);
        }
        let mut rounds = this.rounds.lock();
        if now < rounds.next_ms {
            return;
        }
        rounds.next_ms = now + 1000;
        let config = host.config().current();
        let r = &config.replication;
        let lag_max = u64::from(r.min_replicas_max_lag_secs) * 1000;
        this.replicas.count_good(lag_max, now);
        let timeout = u64::from(r.repl_timeout_secs) * 1000;
        for c in this.replicas.all() {
            let (phase, at) = {
                let facts = c.facts.lock();
                (facts.phase, facts.acked_at_ms)
            };
            if phase == ReplicaPhase::Waiting {
                // So that it does not give us up.
                host.clients().send(&c, Message::Push { client: c.id, reply: Arc::new(b"\n".to_vec()) });
            }
            if phase == ReplicaPhase::Online && now.saturating_sub(at) > timeout {
                tracing::warn!("Disconnecting timedout replica (streaming sync): {}", c.addr);
                host.clients().kill(&c, false);
            }
        }
        let journal = host.keyspace().journal();
        if rounds.pinged_ms == 0 {
            // Replicas that come back to a server that has just started find the history as it was.
            rounds.pinged_ms = now;
        }
        // The period of now counts, whichever it was at the last ping.
        if now.saturating_sub(rounds.pinged_ms) >= u64::from(r.repl_ping_replica_period_secs) * 1000 {
            rounds.pinged_ms = now;
            // While the role is handed over the offsets have to meet, and a ping would move them.
            if !this.replicas.is_empty()
                && !this.failover.lock().is_going_on()
                && !this.holds_pings.load(Ordering::Acquire)
            {
                journal.append_talk(&[b"PING"]);
            }
        }
        if !this.replicas.is_empty() || journal.state() == State::Following || journal.backlog().0.is_none() {
            rounds.alone_since_ms = None;
        } else if r.repl_backlog_ttl_secs > 0 {
            let since = *rounds.alone_since_ms.get_or_insert(now);
            if now - since > r.repl_backlog_ttl_secs * 1000 {
                drop(rounds);
                forget_backlog(&**host);
            }
        }
        journal.ring();
    }
}

/// Whoever waits for something that only a primary does is told that it will not come. A handover does so when it has succeeded:
/// if it fails they have waited for the right server.
fn unblock(host: &dyn Host) {
    for c in host.clients().all() {
        if c.blocked.load(std::sync::atomic::Ordering::Relaxed) {
            host.clients().send(&c, Message::RoleLost { client: c.id });
        }
    }
}

/// Ends copies whose main channel did not come, or cannot come any more.
fn end_pairs(host: &dyn Host, now: u64) {
    let bytes_max = bytes_behind_max(&host.config().current());
    for (copy, over) in host.replication().replicas.pairs.round(now, bytes_max) {
        match over {
            pairs::Over::Late => {
                tracing::warn!(
                    "Replica main channel failed to establish PSYNC within the grace period (replica {})",
                    copy.addr
                );
                host.clients().kill(&copy, false);
            }
            pairs::Over::Behind if host.clients().get(copy.id).is_none() => {
                // The copy was sent and its connection closed: what was kept for the stream behind it is all that is left of it.
                tracing::warn!("Client addr={} closed ASAP for overcoming of output buffer limits.", copy.addr);
            }
            // Its worker closes it, and counts that.
            pairs::Over::Behind => host.clients().send(&copy, Message::OverLimit { client: copy.id }),
        }
    }
}

/// Nobody has come back for the backlog: it goes, and with it the name of a history that will have a gap.
fn forget_backlog(host: &dyn Host) {
    let Ok(id) = new_id() else { return };
    let mut space = host.keyspace().space(host.access(clock::wall_ms()));
    if !space.lock_unless_busy(&Plan::All) {
        // In the next round.
        return;
    }
    let (this, journal) = (host.replication(), host.keyspace().journal());
    if journal.state() != State::Following && this.replicas.is_empty() {
        this.identity.lock().adopt(id);
        journal.keep_backlog(None);
        tracing::info!("Replication backlog freed: no replica has been connected for repl-backlog-ttl seconds");
    }
    drop(space);
}
