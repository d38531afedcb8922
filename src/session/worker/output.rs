//! What a worker sends: what waits for a client, what a replica or a copy's receiver takes, and the bounds of both.

use super::Worker;
use crate::base::clock::{self, Tick};
use crate::client::{Client, CopyEnd, ReplicaPhase, Taken};
use crate::commands::Node;
use crate::config::Config;
use crate::config::types::OutputLimit;
use crate::journal::Lost;
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use mio::{Interest, Token};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes of the journal that are handed to a replica's connection at once; the rest waits in the journal, within the replica's bound.
const FEED_BYTES: usize = 1 << 20;

/// So many sends to replicas may come before their time, if there were none for as many intervals: who writes now and then has it there at once.
const FEEDS_AHEAD: u32 = 64;

/// A copy of the data set is passed on as it is made, so often at the most.
const COPY_EVERY: Duration = Duration::from_micros(500);

/// The least limit for a client that is no replica: Valkey's limits do not count the buffer of so many bytes that each client has, so that one
/// below the size of a usual reply closes who does not read, and not everybody.
const LIMIT_MIN: u64 = 16 << 10;

/// What may wait for a client nobody knows yet: a few error replies.
const UNAUTHENTICATED_OUTPUT_MAX: u64 = 1024;

impl Worker {
    /// Ends a connection that is over, or lists it again if its socket may have more.
    pub(super) fn finish(&mut self, i: usize) {
        let Some(c) = self.connections[i].as_mut() else { return };
        if c.client.shared.killed.load(Ordering::Relaxed) && !c.client.closing {
            c.client.dead = true;
        }
        if !c.client.dead && c.client.closing {
            // Whether or not the socket takes more now: what counts is whether anything is left.
            let failed = !c.client.output.is_empty() && c.drain(&mut self.scratch).is_err();
            if failed || c.is_drained() {
                c.client.dead = true;
            }
            if c.client.dead {
                c.stream.shutdown(&mut self.scratch);
            }
        }
        let c = self.connections[i].as_mut().expect("checked above");
        // The peer has said all it will, and all of it was run: an unfinished request never will be.
        if c.eof && !c.listed && c.client.blocked.is_none() && !c.client.paused {
            c.client.dead = true;
        }
        if c.client.dead {
            return self.close(i);
        }
        if over_output_limit(&self.config, &mut c.client, clock::monotonic_ms()) {
            over_limit(&mut c.client, 0, &mut self.recorder);
            return self.close(i);
        }
        if !c.asks_room && !c.held && !c.is_drained() {
            c.asks_room = true;
            let both = Interest::READABLE | Interest::WRITABLE;
            if let Err(e) = self.poll.registry().reregister(&mut c.stream, Token(i + 1), both) {
                tracing::warn!("A connection could not be watched: {e}");
                return self.close(i);
            }
        }
        c.client.tell_memory(&self.node.clients);
        if c.hung_up && !c.eof && c.client.blocked.is_some() {
            // It waits now, and has gone already: nothing will say so again.
            return self.peek_end(i);
        }
        if c.more && !c.listed && c.client.blocked.is_none() && !c.client.paused && !c.client.closing {
            self.list(i);
        }
    }

    /// The journal has something for a replica. It is sent in [`Worker::feed_due`].
    pub(super) fn feed_soon(&mut self, i: usize) {
        if !self.fed.contains(&i) {
            self.fed.push(i);
        }
    }

    /// How long replicas still have to wait for what the journal has for them. A record, a system call and a replica that is woken for what each
    /// turn has written would cost more than the turn's commands. It has to be in the backlog anyway: more is not kept for this. A worker has
    /// `feed_debt` intervals still to let pass for sends that came before their time, and no more than [`FEEDS_AHEAD`] of them.
    pub(super) fn feed_in(&self) -> Duration {
        let unsent = self.node.journal.end().saturating_sub(self.fed_to);
        if self.node.replication.replicas.are_waited_for() || unsent >= self.config.replication.repl_backlog_size / 2 {
            return Duration::ZERO;
        }
        let since = Duration::from_nanos(Tick::now().ns_since(self.fed_at));
        let ahead = self.feed_interval() * FEEDS_AHEAD;
        let wait = self.feed_debt.saturating_sub(since).saturating_sub(ahead);
        let copies = |i: &usize| self.connections[*i].as_ref().is_some_and(|c| c.client.copy.is_some());
        if self.fed.iter().any(copies) { wait.min(COPY_EVERY.saturating_sub(since)) } else { wait }
    }

    fn feed_interval(&self) -> Duration {
        Duration::from_micros(self.config.replication.repl_send_interval_us.into())
    }

    /// Feeds replicas if it is time.
    #[inline]
    pub(super) fn feed_due(&mut self) {
        if self.fed.is_empty() || !self.feed_in().is_zero() {
            return;
        }
        let now = Tick::now();
        let left = self.feed_debt.saturating_sub(Duration::from_nanos(now.ns_since(self.fed_at)));
        self.feed_debt = left.min(self.feed_interval() * FEEDS_AHEAD) + self.feed_interval();
        (self.fed_at, self.fed_to) = (now, self.node.journal.end());
        for i in std::mem::take(&mut self.fed) {
            self.feed(i);
        }
    }

    /// Gives a replica what the journal has for it, as much as its socket takes, and sends it.
    pub(super) fn feed(&mut self, i: usize) {
        loop {
            let Some(c) = self.connections[i].as_mut() else { return };
            if c.client.feed.is_none() && c.client.copy.is_none() {
                return;
            }
            if c.client.dead || c.client.closing || c.client.feed_held {
                return;
            }
            let mut joined = false;
            if c.client.output.is_empty() && c.client.copy.is_none() {
                let mut facts = c.client.shared.facts.lock();
                if matches!(facts.phase, ReplicaPhase::Copying | ReplicaPhase::Sending) && !facts.copy_only {
                    // A copy of known length is over when its last byte is sent.
                    facts.phase = ReplicaPhase::Online;
                    joined = true;
                    facts.acked_at_ms = clock::monotonic_ms();
                    tracing::info!("Synchronization with replica {} succeeded", c.client.shared.addr);
                }
            }
            if joined {
                self.node.tell_moves();
            }
            let (mut ended, mut alone) = (false, false);
            let bytes_max = crate::replication::bytes_behind_max(&self.config);
            if let Some(cursor) = c.client.feed.as_ref().filter(|_| c.client.feed_bytes_max != bytes_max) {
                cursor.set_bound(bytes_max);
                c.client.feed_bytes_max = bytes_max;
            }
            let nodelay = !self.config.replication.repl_disable_tcp_nodelay;
            if c.client.feed_nodelay != nodelay {
                c.client.feed_nodelay = nodelay;
                if let Err(e) = c.stream.set_nodelay(nodelay) {
                    tracing::warn!("repl-disable-tcp-nodelay: {e} (addr={})", c.client.shared.addr);
                }
            }
            while let Some(copy) = &mut c.client.copy
                && !ended
                && c.client.output.len() < FEED_BYTES
            {
                match copy.take() {
                    Taken::Piece(piece) => c.client.output.push_shared(piece),
                    Taken::Nothing => ended = true,
                    Taken::End(CopyEnd::Failed) => {
                        c.client.dead = true;
                        break;
                    }
                    Taken::End(CopyEnd::Alone) => {
                        c.client.copy = None;
                        alone = true;
                    }
                    Taken::End(end) => {
                        c.client.copy = None;
                        c.client.feed_held = end == CopyEnd::Marked;
                    }
                }
            }
            let whole = c.client.copy.is_none() && !c.client.feed_held;
            while whole
                && c.client.output.len() < FEED_BYTES
                && let Some(cursor) = &mut c.client.feed
            {
                match cursor.read() {
                    Ok(Some(chunk)) => c.client.output.push_journal(chunk.bytes),
                    Ok(None) => {
                        ended = true;
                        break;
                    }
                    Err(lost) => {
                        tracing::warn!(
                            "Replica {} is disconnected, it has to resynchronise: {lost}",
                            c.client.shared.addr
                        );
                        if let Lost::Behind { bytes } = lost {
                            over_limit(&mut c.client, usize::try_from(bytes).unwrap_or(usize::MAX), &mut self.recorder);
                        }
                        c.client.dead = true;
                        break;
                    }
                }
            }
            if alone {
                self.copied_alone(i);
                return;
            }
            if ended && c.client.copy.is_some() && self.node.replication.is_to_pause() && is_copy_channel(&c.client) {
                // The other side is to have all of it when this one stops, and not a byte before.
                return;
            }
            let full = c.client.output.len();
            tell_output(&self.node, &mut c.client);
            self.drain_once(i);
            let Some(c) = self.connections[i].as_ref() else { return };
            // What the socket does not take now it will ask for by becoming writable.
            if ended || c.client.output.len() == full || !c.client.output.is_empty() {
                return;
            }
        }
    }

    /// A copy that nothing follows has been handed over: whoever wanted only that is a replica no more, and one that is sent the stream
    /// on another connection ends this one itself, when it has loaded the copy.
    fn copied_alone(&mut self, i: usize) {
        let Some(c) = self.connections[i].as_mut() else { return };
        tracing::info!(
            "RDB transfer completed, rdb only replica ({}) should be disconnected asap",
            c.client.shared.addr
        );
        let (id, two) = (c.client.id, c.client.shared.facts.lock().copy_channel);
        self.node.replication.replicas.copied(id, clock::monotonic_ms());
        c.client.closing = !two;
        self.drain_once(i);
        self.node.replication.pause_if_told();
        self.node.replication.move_on(&*self.node);
    }

    /// Sends the replies whose changes have come to the disk.
    pub(super) fn release(&mut self) {
        for i in std::mem::take(&mut self.held) {
            let Some(c) = self.connections[i].as_mut().filter(|c| c.held) else { continue };
            if self.node.holds_replies(c.client.written) {
                self.held.push(i);
                continue;
            }
            c.held = false;
            self.company.let_go();
            self.drain(i);
        }
    }

    pub(super) fn drain(&mut self, i: usize) {
        self.drain_once(i);
        if self.connections[i]
            .as_ref()
            .is_some_and(|c| (c.client.feed.is_some() || c.client.copy.is_some()) && c.client.output.is_empty())
        {
            self.feed(i);
        }
    }

    pub(super) fn drain_once(&mut self, i: usize) {
        let Some(c) = self.connections[i].as_mut() else { return };
        match c.drain(&mut self.scratch) {
            Ok(n) => {
                if n > 0 {
                    c.client.last_active_ms = clock::monotonic_ms();
                    c.client.shared.net_out.fetch_add(n as u64, Ordering::Relaxed);
                    self.recorder.counters.add(Counter::NetOutputBytes, n as u64);
                    self.recorder.counters.add(Counter::WritesProcessed, 1);
                    if c.client.attached {
                        self.recorder.counters.add(Counter::NetReplOutputBytes, n as u64);
                    }
                }
            }
            Err(_) => c.client.dead = true,
        }
        tell_output(&self.node, &mut c.client);
        if c.unsent {
            self.unsent.push(i);
        }
        self.finish(i);
    }
}

/// Tells what of a replica's output waits: evicting keys for it would only make more of it.
pub(super) fn tell_output(node: &Node, client: &mut Client) {
    if !client.shared.replica.load(Ordering::Relaxed) {
        return;
    }
    let now = client.output.memory_bytes() as u64;
    let before = std::mem::replace(&mut client.told_output, now);
    if now != before {
        node.output_memory.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}

#[cold]
fn is_copy_channel(client: &Client) -> bool {
    client.shared.facts.lock().copy_channel
}

/// Marks a client as gone that is sent more than it may leave unread; `more` bytes of it are not kept yet.
#[cold]
pub(in crate::session) fn over_limit(client: &mut Client, more: usize, recorder: &mut Recorder) {
    tracing::warn!(
        "Client addr={} closed ASAP for overcoming of output buffer limits. {} bytes were waiting.",
        client.shared.addr,
        client.output.len() + more
    );
    recorder.counters.add(Counter::OutputBufferLimitDisconnections, 1);
    client.dead = true;
}

/// Bytes a client's replies may take before it is closed: its hard limit counts what is written for it, whether or not the socket would
/// take it at once.
#[inline]
pub(in crate::session) fn output_room(config: &Config, client: &Client) -> usize {
    match output_limit(config, client).hard_bytes {
        0 => usize::MAX,
        hard => usize::try_from(hard.max(limit_min(client))).unwrap_or(usize::MAX).saturating_sub(client.output.len()),
    }
}

fn limit_min(client: &Client) -> u64 {
    if client.shared.replica.load(Ordering::Relaxed) { 0 } else { LIMIT_MIN }
}

/// The `client-output-buffer-limit` of the client's class.
pub(super) fn output_limit<'a>(config: &'a Config, client: &Client) -> &'a OutputLimit {
    let limits = &config.limits.client_output_buffer_limit;
    let unbounded = limits.normal.hard_bytes == 0 && limits.normal.soft_bytes == 0;
    if client.shared.replica.load(Ordering::Relaxed) {
        &limits.replica
    } else if !client.subscriptions.is_empty() || (client.monitor && unbounded) {
        &limits.pubsub
    } else {
        &limits.normal
    }
}

/// Applies the limit of the client's class to what is kept.
pub(super) fn over_output_limit(config: &Config, client: &mut Client, now_mono: u64) -> bool {
    let limit = output_limit(config, client);
    // What the backlog keeps in any case costs nothing more.
    let least = if client.attached { config.replication.repl_backlog_size } else { limit_min(client) };
    let (hard_bytes, soft_bytes) = (limit.hard_bytes.max(least), limit.soft_bytes.max(least));
    let waiting = client.output.len() as u64 + client.feed.as_ref().map_or(0, |cursor| cursor.lag());
    if !client.authenticated && waiting > UNAUTHENTICATED_OUTPUT_MAX {
        return true;
    }
    if limit.hard_bytes > 0 && waiting > hard_bytes {
        return true;
    }
    if limit.soft_bytes > 0 && waiting > soft_bytes {
        let since = *client.soft_limit_since.get_or_insert(now_mono);
        return now_mono.saturating_sub(since) > u64::from(limit.soft_seconds) * 1000;
    }
    client.soft_limit_since = None;
    false
}
