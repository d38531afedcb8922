//! One worker: its connections, its turn, and what it looks after from time to time.
//!
//! [`accept`] lets clients in, [`execute`] runs what was received, [`output`] sends, [`mail`] hears of other threads, [`away`] sees to connections whose command runs
//! elsewhere, [`company`] gathers those whose changes are to be on disk before they are answered.

mod accept;
mod away;
mod company;
mod execute;
mod mail;
mod output;

pub(super) use output::{output_room, over_limit};

use super::aside::{Aside, Desk};
use super::batch::{Batch, REQUESTS_MAX, Run, Source};
use super::connection::Connection;
use super::heads::Heads;
use crate::base::clock::{self, Tick};
use crate::base::hash::NumberHash;
use crate::client::{Mailbox, Message, Output};
use crate::commands::Node;
use crate::config::Config;
use crate::engine::{Evictor, Gates, Turn};
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use crate::net::Scratch;
use crate::net::doors::Doors;
use crate::resp::parser::Limits;
use crate::resp::reply::Reply;
use company::{Company, Next};
use mail::refusal;
use mio::{Events, Poll, Token};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The waker's token; connections follow.
const WAKER: Token = Token(0);
/// Bytes received before what is there is run: about what the second-level cache holds.
const ARENA_MAX: usize = 256 * 1024;
/// An unfinished request longer than this is received where it is kept instead of being copied turn by turn.
const QUERY_IN_PLACE: usize = 32 * 1024;
/// Handshakes that go on in one turn: each costs up to a millisecond of signing.
const HANDSHAKES_PER_TURN: usize = 2;
/// A handshake that is not over after this is given up.
const HANDSHAKE_MS_MAX: u64 = 10_000;
/// Between looks at timeouts, limits and statistics.
const TICK_MS: u64 = 100;
/// How long the end waits for the listeners to be gone before it closes connections.
const DEAF_MS_MAX: u64 = 1_000;
/// The reply buffer is left this large.
const REPLY_BYTES: usize = 64 * 1024;
/// Receive and reply buffers are given back above this size.
const KEEP_MAX: usize = 1 << 20;

/// What a worker is made of.
pub struct WorkerParts {
    pub node: Arc<Node>,
    pub id: u16,
    pub poll: Poll,
    pub mailbox: Arc<Mailbox>,
    pub doors: Arc<Doors>,
    /// Its number at the doors.
    pub watcher: usize,
    pub recorder: Recorder,
    /// For scripts: while one runs too long, its thread looks after other connections, and counts for them.
    pub of_scripts: Recorder,
    pub aside: Arc<Aside>,
}

/// A worker thread's state.
pub struct Worker {
    node: Arc<Node>,
    id: u16,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    doors: Arc<Doors>,
    watcher: usize,
    /// Callers it lets in in one turn; more, the longer there are some in each.
    callers: usize,
    /// It could let nobody in, and tries again at the next tick.
    rests: bool,
    recorder: Recorder,
    config: Arc<Config>,
    config_version: u64,
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    by_id: HashMap<u64, usize, NumberHash>,
    /// To be looked at this turn, in order of arrival.
    ready: VecDeque<usize>,
    handshakes: VecDeque<usize>,
    scratch: Scratch,
    batch: Batch,
    heads: Heads,
    reply: Reply,
    evictor: Evictor,
    deadlines: BinaryHeap<Reverse<(u64, u64, u64)>>,
    next_tick_ms: u64,
    paused: Vec<usize>,
    /// What runs scripts; gone while one runs.
    scripts: Option<Box<(Evictor, Recorder)>>,
    /// Requests of other connections that wait for the script that runs, and the bytes they are in.
    deferred: VecDeque<Run>,
    deferred_in: Option<Rc<Batch>>,
    /// Whose script runs; messages to it wait. Nobody can publish while a script is busy, so these are few.
    runs_for: Option<u64>,
    later: Vec<Message>,
    /// Others were looked after while it ran.
    looked_away: bool,
    /// Connections whose replies wait for the disk.
    held: Vec<usize>,
    company: Company,
    /// It was rung before it looked at its sockets.
    rung: bool,
    /// Connections that had more to send when others' turn came.
    unsent: Vec<usize>,
    /// Replicas for which the journal has something, when replicas were last sent anything and what was owed then, and where it ended.
    fed: Vec<usize>,
    fed_at: Tick,
    feed_debt: Duration,
    fed_to: u64,
    aside: Arc<Aside>,
    desk: Arc<Desk>,
    /// Whose command runs aside, and the messages that wait for them.
    away: HashMap<u64, Vec<Message>>,
    /// Nanoseconds spent in turns that have not been counted yet.
    busy_ns: u64,
    /// The longest replies of one turn since the last tick.
    reply_most: usize,
    /// Commands of this turn.
    turn_commands: u64,
}

/// A poll for a worker and the mailbox that wakes it.
pub fn poll_and_mailbox() -> std::io::Result<(Poll, Arc<Mailbox>)> {
    let poll = Poll::new()?;
    let waker = mio::Waker::new(poll.registry(), WAKER)?;
    Ok((poll, Arc::new(Mailbox::new(waker))))
}

impl Worker {
    pub fn new(parts: WorkerParts) -> Worker {
        let config = parts.node.config.current();
        let config_version = parts.node.config.version();
        Worker {
            evictor: Evictor::new(u64::from(parts.id) + clock::wall_us() as u64),
            scripts: Some(Box::new((Evictor::new(u64::from(parts.id) ^ clock::wall_us() as u64), parts.of_scripts))),
            deferred: VecDeque::new(),
            deferred_in: None,
            runs_for: None,
            later: Vec::new(),
            looked_away: false,
            heads: Heads::new(parts.node.commands),
            node: parts.node,
            id: parts.id,
            poll: parts.poll,
            desk: Arc::new(Desk::new(Arc::clone(&parts.mailbox))),
            mailbox: parts.mailbox,
            doors: parts.doors,
            watcher: parts.watcher,
            callers: 1,
            rests: false,
            recorder: parts.recorder,
            config,
            config_version,
            connections: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::default(),
            ready: VecDeque::new(),
            handshakes: Default::default(),
            scratch: Scratch::new(),
            batch: Batch::default(),

            reply: Reply::default(),
            deadlines: BinaryHeap::new(),
            next_tick_ms: 0,
            paused: Vec::new(),
            held: Vec::new(),
            company: Company::default(),
            rung: false,
            unsent: Vec::new(),
            fed: Vec::new(),
            fed_at: Tick::now(),
            feed_debt: Duration::ZERO,
            fed_to: 0,
            aside: parts.aside,
            away: HashMap::new(),
            busy_ns: 0,
            reply_most: 0,
            turn_commands: 0,
        }
    }

    /// Runs turns until the server shuts down; then sends what is left and closes.
    pub fn run(&mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        self.mailbox.belongs_here();
        // The last turn had something of the sockets.
        let mut news = false;
        while !self.node.shutdown.load(Ordering::Acquire) {
            let mut wait = self.wait();
            match self.company.next(&self.node.aof, clock::monotonic_ms, self.held.len(), wait.is_zero(), news) {
                Next::Wait => {}
                Next::Look => wait = Duration::ZERO,
                Next::StandStill(longest) => {
                    self.mailbox.stand_still(longest);
                    wait = Duration::ZERO;
                }
            }
            match self.look(&mut events, wait) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            news = events.iter().any(|e| e.token() != WAKER);
            self.turn(&events);
        }
        // Whose connection ends and who connects again finds no listener, not a server that is about to go.
        let until = clock::monotonic_ms() + DEAF_MS_MAX;
        while !self.node.deaf.load(Ordering::Acquire) && clock::monotonic_ms() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        for i in 0..self.connections.len() {
            if self.connections[i].as_ref().is_some_and(|c| c.client.feed.is_some()) {
                // What has waited for more to be sent with it.
                self.feed(i);
            }
            if let Some(c) = &mut self.connections[i] {
                // A last try: who does not read now loses what he has not read.
                while c.drain(&mut self.scratch).is_ok() && c.unsent {}
                self.close(i);
            }
        }
        Ok(())
    }

    /// Looks at the sockets, for so long if nothing is there yet, nor in the mailbox.
    fn look(&mut self, events: &mut Events, mut wait: Duration) -> std::io::Result<()> {
        // What this thread has sent itself, and what rang while it stood still, wakes no poll.
        if self.mailbox.is_rung() {
            (self.rung, wait) = (true, Duration::ZERO);
        }
        self.poll.poll(events, Some(wait))
    }

    fn wait(&self) -> Duration {
        if !self.unsent.is_empty() || !self.ready.is_empty() || !self.handshakes.is_empty() || self.evictor.pending {
            return Duration::ZERO;
        }
        let now = clock::monotonic_ms();
        let mut until = self.next_tick_ms;
        if let Some(Reverse((d, _, _))) = self.deadlines.peek() {
            until = until.min(*d);
        }
        let wait = Duration::from_millis(until.saturating_sub(now));
        if self.fed.is_empty() { wait } else { wait.min(self.feed_in()) }
    }

    /// One turn: everything that is ready.
    fn turn(&mut self, events: &Events) {
        let begin = Tick::now();
        self.mailbox.begin_turn();
        let mut now_mono = clock::monotonic_ms();
        if self.node.asleep_until_ms.load(Ordering::Acquire) > now_mono {
            self.node.stand_still();
            now_mono = clock::monotonic_ms();
        }
        if self.node.config.version() != self.config_version {
            self.node.config.refresh(&mut self.config, &mut self.config_version);
        }
        let (mut rung, mut door) = (std::mem::take(&mut self.rung), false);
        for e in events {
            if e.token() == WAKER {
                rung = true;
                continue;
            }
            if Doors::is_door(e.token()) {
                door = true;
                self.open_door(e.token(), now_mono);
                continue;
            }
            let i = e.token().0 - 1;
            let Some(c) = self.connections.get_mut(i).and_then(Option::as_mut) else { continue };
            if e.is_writable() && (!c.client.output.is_empty() || c.stream.wants_write()) {
                self.drain(i);
            }
            let hung_up = e.is_read_closed() || e.is_error();
            if e.is_readable() || hung_up {
                if hung_up && let Some(c) = self.connections[i].as_mut() {
                    c.hung_up = true;
                }
                self.list(i);
            }
        }
        if !door {
            self.callers = 1;
        }
        if rung {
            self.read_mailbox(now_mono);
            if !self.away.is_empty() {
                self.take_back(now_mono, clock::wall_ms());
            }
        }
        for i in std::mem::take(&mut self.unsent) {
            if self.connections[i].as_ref().is_some_and(|c| c.unsent) {
                self.drain(i);
            }
        }
        self.serve(now_mono);
        self.unblock_late(now_mono);
        self.feed_due();
        if now_mono >= self.next_tick_ms {
            self.next_tick_ms = now_mono + TICK_MS;
            self.tick(now_mono);
            if self.id == 0 && self.config.memory.maxmemory != 0 && !self.node.keyspace.is_busy() {
                // The limit may have come down, or what is not data gone up, without any command.
                self.evict_keys();
            }
        }
        self.evict_clients();
        // The locks an eviction takes are a busy script's, which may be this thread's own.
        if self.evictor.pending && !self.node.keyspace.is_busy() {
            self.evict_keys();
        }
        self.recorder.counters.add(Counter::EventloopCycles, 1);
        // Whole microseconds are told; what is left over is kept for the next turn.
        let took_ns = Tick::now().ns_since(begin);
        self.node.metrics.peaks.turn(took_ns / 1000, std::mem::take(&mut self.turn_commands));
        self.busy_ns += took_ns;
        self.mailbox.end_turn(took_ns);
        self.recorder.counters.add(Counter::EventloopDurationUsec, self.busy_ns / 1000);
        self.busy_ns %= 1000;
    }

    /// Puts a connection on the list of this turn.
    fn list(&mut self, i: usize) {
        let Some(c) = self.connections[i].as_mut() else { return };
        c.more = true;
        if !c.listed {
            c.listed = true;
            if c.handshaking {
                self.handshakes.push_back(i);
            } else {
                self.ready.push_back(i);
            }
        }
    }

    /// Receives from all listed connections and runs what they ask for.
    fn serve(&mut self, now_mono: u64) {
        // Who is listed meanwhile waits for the next turn.
        let mut left = self.ready.len();
        while left > 0 {
            self.batch.clear();
            while left > 0 && self.batch.arena.len() < ARENA_MAX && self.batch.requests.len() < REQUESTS_MAX {
                left -= 1;
                // A script in between may have served them.
                let Some(i) = self.ready.pop_front() else { break };
                self.receive(i, now_mono);
            }
            self.execute(now_mono);
        }
        for _ in 0..HANDSHAKES_PER_TURN {
            let Some(i) = self.handshakes.pop_front() else { break };
            self.batch.clear();
            self.receive(i, now_mono);
            self.execute(now_mono);
        }
        if self.batch.arena.capacity() > KEEP_MAX {
            self.batch = Batch::default();
        }
        if self.reply.buf.capacity() > KEEP_MAX {
            self.reply = Reply::default();
        }
    }

    /// Receives once from a connection and cuts what is there into requests.
    fn receive(&mut self, i: usize, now_mono: u64) {
        let Some(c) = self.connections[i].as_mut() else { return };
        c.listed = false;
        if c.client.dead {
            return self.close(i);
        }
        // Who waits or is paused is not read from: what he sends stays in the socket and slows him down, not us.
        if c.client.blocked.is_some() || c.client.paused || c.client.closing {
            if c.client.blocked.is_some() && c.more {
                self.peek_end(i);
            }
            return;
        }
        let in_place = c.client.query.len() > QUERY_IN_PLACE;
        let begin = self.batch.arena.len();
        let held = c.client.query.len();
        if !in_place && held > 0 {
            self.batch.arena.append(&mut c.client.query);
        }
        if c.more && !c.eof {
            let into = if in_place {
                // Room for the whole argument at once, where its length is known, but no more than has a chance to arrive soon: a promise
                // alone costs nothing.
                if let Some(wanted) = c.client.partial.wanted() {
                    let room = wanted.saturating_sub(c.client.query.len()).min(c.client.query.len().max(1 << 20));
                    c.client.query.reserve_exact(room);
                }
                &mut c.client.query
            } else {
                &mut self.batch.arena
            };
            match c.stream.receive(&mut self.scratch, into) {
                Ok(p) => {
                    if p.bytes > 0 {
                        c.client.last_active_ms = now_mono;
                        c.client.shared.net_in.fetch_add(p.bytes as u64, Ordering::Relaxed);
                        self.recorder.counters.add(Counter::NetInputBytes, p.bytes as u64);
                        self.recorder.counters.add(Counter::ReadsProcessed, 1);
                    }
                    c.more = p.more || (c.hung_up && !p.eof);
                    c.eof = p.eof;
                    if c.handshaking && !p.handshaking {
                        c.handshaking = false;
                        let now_ms = clock::wall_ms();
                        super::handshake::done(&self.node, &self.config, &mut self.recorder, c, now_ms);
                        if let Some(refusal) = refusal(&self.config, &self.node.acl, c) {
                            c.client.output.push(refusal);
                            c.client.closing = true;
                        }
                    }
                }
                Err(e) => {
                    if c.handshaking {
                        super::handshake::failed(&mut self.recorder, &e);
                        tracing::debug!("Error accepting a client connection: {e} (addr={})", c.client.shared.addr);
                    } else if !e.is_disconnect() {
                        tracing::debug!("Reading from client: {e}");
                    }
                    c.client.dead = true;
                }
            }
        }
        if c.client.dead || c.client.closing {
            self.finish(i);
            return;
        }
        let (source, begin) = if in_place {
            self.batch.own.push(std::mem::take(&mut c.client.query));
            (Source::Own(self.batch.own.len() as u32 - 1), 0)
        } else {
            (Source::Arena, begin)
        };
        let have = self.batch.bytes(source).len() - begin;
        if have > self.config.limits.client_query_buffer_limit as usize {
            tracing::warn!(
                "Closing client that reached max query buffer length: {} bytes (addr={})",
                have,
                c.client.shared.addr
            );
            self.recorder.counters.add(Counter::QueryBufferLimitDisconnections, 1);
            c.client.dead = true;
            self.finish(i);
            return;
        }
        if have == 0 {
            self.finish(i);
            return;
        }
        let limits = Limits {
            bulk_len_max: self.config.limits.proto_max_bulk_len as usize,
            authenticated: c.client.authenticated,
        };
        // Before authentication one request at a time: the next one's limits depend on it.
        let max = if c.client.authenticated { REQUESTS_MAX } else { 1 };
        let db = c.client.db;
        self.batch.cut(i, db, source, begin, &mut c.client.partial, limits, max, &mut self.heads);
    }

    /// A client that waits for a key may have gone: a read of nothing tells.
    pub(super) fn peek_end(&mut self, i: usize) {
        let Some(c) = self.connections[i].as_mut() else { return };
        if c.client.query.len() > QUERY_IN_PLACE || c.eof {
            if c.eof {
                self.close(i);
            }
            return;
        }
        let mut query = std::mem::take(&mut c.client.query);
        loop {
            match c.stream.receive(&mut self.scratch, &mut query) {
                Ok(p) => {
                    c.eof = p.eof;
                    c.more = p.more || (c.hung_up && !p.eof);
                }
                Err(_) => c.client.dead = true,
            }
            // What came before the end is little, or it is seen when the client waits no more.
            if !c.hung_up || c.eof || c.client.dead || query.len() > QUERY_IN_PLACE {
                break;
            }
        }
        c.client.query = query;
        if c.eof || c.client.dead {
            self.close(i);
        }
    }

    fn close(&mut self, i: usize) {
        let Some(mut c) = self.connections[i].take() else { return };
        // The poll forgets the socket by itself when it is closed here; a link's is held elsewhere too.
        if c.client.shared.socket.get().is_some() {
            let _ = self.poll.registry().deregister(&mut c.stream);
        }
        self.mailbox.count_gone();
        self.node.waiting.cancel(&self.node.keyspace, c.client.id);
        c.client.forget_watched(&self.node.keyspace);
        // First of all, so that nobody waits for it.
        c.client.copy = None;
        c.client.feed = None;
        c.client.output = Output::default();
        output::tell_output(&self.node, &mut c.client);
        if c.client.attached {
            self.node.replication.replicas.remove(c.client.id, &self.node.clients);
            tracing::info!("Connection with replica {} lost.", c.client.shared.addr);
        }
        self.node.pubsub.forget(&mut c.client);
        self.node.monitors.remove(&c.client.shared);
        self.node.clients.set_paused(&c.client.shared, false);
        self.node.tracking.stop(&self.node.keyspace, &c.client.shared, &mut c.client.tracking);
        self.by_id.remove(&c.client.id);
        self.node.clients.remove(c.client.id);
        self.ready.retain(|r| *r != i);
        self.handshakes.retain(|r| *r != i);
        self.paused.retain(|r| *r != i);
        self.held.retain(|r| *r != i);
        self.unsent.retain(|r| *r != i);
        self.fed.retain(|r| *r != i);
        self.free.push(i);
    }

    /// Goes on with an eviction for a command's share of the time.
    fn evict_keys(&mut self) {
        let node = Arc::clone(&self.node);
        let mut turn = Turn::begin(
            &node,
            Arc::clone(&self.config),
            self.config_version,
            clock::wall_ms(),
            std::mem::take(&mut self.reply),
            &mut self.evictor,
            &mut self.recorder,
        );
        turn.evict();
        self.reply = turn.end();
        self.reply.clear();
    }

    /// Closes the largest clients if all together hold too much.
    #[inline]
    fn evict_clients(&mut self) {
        let m = &self.config.memory;
        let limit = m.maxmemory_clients.bytes(m.maxmemory);
        if limit == 0 || self.node.clients.memory_bytes() <= limit {
            return;
        }
        for c in self.node.clients.evict(limit) {
            let bytes = c.memory.load(Ordering::Relaxed);
            tracing::info!("Evicting client: {bytes} bytes, of all clients' limit of {limit} (addr={})", c.addr);
            self.recorder.counters.add(Counter::EvictedClients, 1);
        }
    }

    /// Timeouts, limits, statistics.
    fn tick(&mut self, now_mono: u64) {
        // What replies have not needed lately is given back.
        let most = std::mem::take(&mut self.reply_most);
        if self.reply.buf.capacity() / 2 > most.max(REPLY_BYTES) {
            self.reply.buf.shrink_to(most.max(REPLY_BYTES));
        }
        if std::mem::take(&mut self.rests) {
            self.doors.resume(self.watcher);
        }
        let timeout = u64::from(self.config.network.timeout_secs) * 1000;
        for i in 0..self.connections.len() {
            let Some(c) = self.connections[i].as_mut() else { continue };
            let waiting = c.client.output.len() as u64;
            output::tell_output(&self.node, &mut c.client);
            let idle = now_mono.saturating_sub(c.client.last_active_ms);
            if c.client.query.capacity() > 0 && !self.node.cron_paused.load(Ordering::Relaxed) {
                c.client.trim_query(idle);
            }
            let s = &c.client.shared;
            c.client.tell_figures(&self.node.clients);
            let late = c.handshaking && now_mono.saturating_sub(c.accepted_ms) > HANDSHAKE_MS_MAX;
            // Who waits for a key or for messages is silent by nature.
            let waits = c.client.blocked.is_some() || !c.client.subscriptions.is_empty() || c.client.attached;
            if late || (timeout > 0 && idle > timeout && !waits && !c.handshaking) {
                tracing::debug!("Closing idle client addr={}", s.addr);
                c.client.dead = true;
            }
            if c.client.dead || c.client.closing || waiting > 0 || c.client.feed.is_some() {
                self.finish(i);
            }
        }
        // A pause that has been changed or ended rings; here it is only seen that its time is up.
        if !self.paused.is_empty() && !Gates::of(&self.node, &self.config, clock::wall_ms()).paused_writes {
            for i in std::mem::take(&mut self.paused) {
                if let Some(c) = self.connections[i].as_mut() {
                    c.client.paused = false;
                    let more = c.more;
                    self.list(i);
                    if let Some(c) = self.connections[i].as_mut() {
                        c.more = more;
                    }
                }
            }
        }
    }
}
