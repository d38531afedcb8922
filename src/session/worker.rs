//! One worker: its connections, its turn.

use super::ahead::Ahead;
use super::batch::{Batch, REQUESTS_MAX, Run, Source};
use super::connection::Connection;
use crate::acl::Acl;
use crate::base::clock;
use crate::client::{Client, CopyEnd, Mailbox, Message, ReplicaPhase, Shared, Taken, TimeoutReply};
use crate::commands::Node;
use crate::commands::table::Handler;
use crate::config::Config;
use crate::config::types::OutputLimit;
use crate::engine::{Evictor, Flow, Gates, Meanwhile, Turn, lend};
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use crate::net::{Scratch, Stream};
use crate::resp::parser::Limits;
use crate::resp::reply::Reply;
use crate::spec::CommandFlags;
use mio::{Events, Interest, Poll, Token};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a client that waits for something is told when this server begins to follow another.
const ROLE_LOST: &str = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
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
/// Bytes of the journal that are handed to a replica's connection at once; the rest waits in the journal, within the replica's bound.
const FEED_BYTES: usize = 1 << 20;
/// Published messages up to this size are copied into a subscriber's output: small ones are joined that way.
const PUBLISHED_COPY_MAX: usize = 1024;
/// What may wait for a client nobody knows yet: a few error replies.
const UNAUTHENTICATED_OUTPUT_MAX: u64 = 1024;
/// How long the end waits for the listeners to be gone before it closes connections.
const DEAF_MS_MAX: u64 = 1_000;
/// Receive and reply buffers are given back above this size.
const KEEP_MAX: usize = 1 << 20;

/// What a worker is made of.
pub struct WorkerParts {
    pub node: Arc<Node>,
    pub id: u16,
    pub poll: Poll,
    pub mailbox: Arc<Mailbox>,
    pub recorder: Recorder,
    /// For scripts: while one runs too long, its thread looks after other connections, and counts for them.
    pub of_scripts: Recorder,
}

/// A worker thread's state.
pub struct Worker {
    node: Arc<Node>,
    id: u16,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    recorder: Recorder,
    config: Arc<Config>,
    config_version: u64,
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    by_id: HashMap<u64, usize>,
    /// To be looked at this turn, in order of arrival.
    ready: VecDeque<usize>,
    handshakes: VecDeque<usize>,
    scratch: Scratch,
    batch: Batch,
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
    /// Nanoseconds spent in turns that have not been counted yet.
    busy_ns: u64,
    /// Bytes of output that the node has been told of.
    told_output: u64,
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
            node: parts.node,
            id: parts.id,
            poll: parts.poll,
            mailbox: parts.mailbox,
            recorder: parts.recorder,
            config,
            config_version,
            connections: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            ready: VecDeque::new(),
            handshakes: Default::default(),
            scratch: Scratch::new(),
            batch: Batch::default(),
            reply: Reply::default(),
            deadlines: BinaryHeap::new(),
            next_tick_ms: 0,
            paused: Vec::new(),
            held: Vec::new(),
            busy_ns: 0,
            told_output: 0,
        }
    }

    /// Runs turns until the server shuts down; then sends what is left and closes.
    pub fn run(&mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.node.shutdown.load(Ordering::Acquire) {
            let wait = self.wait();
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            self.turn(&events);
        }
        // Whose connection ends and who connects again finds no listener, not a server that is about to go.
        let until = clock::monotonic_ms() + DEAF_MS_MAX;
        while !self.node.deaf.load(Ordering::Acquire) && clock::monotonic_ms() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        for i in 0..self.connections.len() {
            if let Some(c) = &mut self.connections[i] {
                // A last try: who does not read now loses what he has not read.
                let _ = c.drain(&mut self.scratch);
                self.close(i);
            }
        }
        Ok(())
    }

    fn wait(&self) -> Duration {
        if !self.ready.is_empty() || !self.handshakes.is_empty() || self.evictor.pending {
            return Duration::ZERO;
        }
        let now = clock::monotonic_ms();
        let mut until = self.next_tick_ms;
        if let Some(Reverse((d, _, _))) = self.deadlines.peek() {
            until = until.min(*d);
        }
        Duration::from_millis(until.saturating_sub(now))
    }

    /// One turn: everything that is ready.
    fn turn(&mut self, events: &Events) {
        let begin = clock::Tick::now();
        let now_mono = clock::monotonic_ms();
        if self.node.config.version() != self.config_version {
            self.node.config.refresh(&mut self.config, &mut self.config_version);
        }
        let mut rung = false;
        for e in events {
            if e.token() == WAKER {
                rung = true;
                continue;
            }
            let i = e.token().0 - 1;
            let Some(c) = self.connections.get_mut(i).and_then(Option::as_mut) else { continue };
            if e.is_writable() && (!c.client.output.is_empty() || c.stream.wants_write()) {
                self.drain(i);
            }
            if e.is_readable() || e.is_read_closed() || e.is_error() {
                self.list(i);
            }
        }
        if rung {
            self.read_mailbox(now_mono);
        }
        self.serve(now_mono);
        self.unblock_late(now_mono);
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
        self.busy_ns += clock::Tick::now().ns_since(begin);
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
                    c.more = p.more;
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
        self.batch.cut(i, db, source, begin, &mut c.client.partial, limits, max, self.node.commands);
    }

    /// A client that waits for a key may have gone: a read of nothing tells.
    fn peek_end(&mut self, i: usize) {
        let Some(c) = self.connections[i].as_mut() else { return };
        if c.client.query.len() > QUERY_IN_PLACE || c.eof {
            if c.eof {
                self.close(i);
            }
            return;
        }
        let mut query = std::mem::take(&mut c.client.query);
        match c.stream.receive(&mut self.scratch, &mut query) {
            Ok(p) => {
                c.eof = p.eof;
                c.more = p.more;
            }
            Err(_) => c.client.dead = true,
        }
        c.client.query = query;
        if c.eof || c.client.dead {
            self.close(i);
        }
    }

    /// Runs the batch and sends the replies.
    fn execute(&mut self, now_mono: u64) {
        if self.batch.runs.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let mut runs = std::mem::take(&mut batch.runs);
        if batch.scripted {
            self.defer_scripts(&batch, &mut runs);
        }
        let reply = std::mem::take(&mut self.reply);
        let node = Arc::clone(&self.node);
        let now_ms = clock::wall_ms();
        let mut turn = Turn::begin(
            &node,
            Arc::clone(&self.config),
            self.config_version,
            now_ms,
            reply,
            &mut self.evictor,
            &mut self.recorder,
        );
        let mut ahead = Ahead::new(&node, &batch, &runs, self.config.general.prefetch_batch_max_size as usize);
        let mut sends = Vec::with_capacity(runs.len());
        let mut blocked = Vec::new();
        for run in &runs {
            let Some(c) = self.connections[run.connection].as_mut() else { continue };
            turn.meet(&mut c.client);
            let (from, written) = (turn.reply.buf.len(), turn.reply.len());
            let room = output_room(&self.config, &c.client);
            turn.reply.stop_at = if room == usize::MAX { 0 } else { written + room };
            let mut flow = Flow::Next;
            let mut rest = run.parsed;
            for n in run.requests.0..run.requests.1 {
                ahead.step(n);
                let request = &batch.requests[n];
                let entry = batch.resolve(request, node.commands);
                flow = turn.run(&mut c.client, entry, batch.args(request), request.hash);
                if turn.reply.is_full() {
                    over_limit(&mut c.client, turn.reply.len() - written, turn.recorder);
                    break;
                }
                if flow == Flow::Paused {
                    // Not run: it is the first thing to look at when the pause ends.
                    rest = if n == run.requests.0 { run.begin } else { batch.requests[n - 1].end };
                    break;
                }
                if flow == Flow::Blocked || c.client.closing || c.client.dead {
                    rest = request.end;
                    break;
                }
            }
            protocol_error(&mut turn, &mut c.client, run, flow, &batch.bytes(run.source)[run.parsed..run.end]);
            if flow == Flow::Blocked {
                blocked.push(run.connection);
            }
            c.client.paused = flow == Flow::Paused;
            if c.client.paused || c.client.shared.paused.load(Ordering::Relaxed) {
                self.node.clients.set_paused(&c.client.shared, c.client.paused);
            }
            sends.push((from, turn.reply.buf.len(), rest, flow));
        }
        self.reply = turn.end();
        self.node.config.refresh(&mut self.config, &mut self.config_version);
        for i in blocked {
            let Some(c) = self.connections[i].as_ref() else { continue };
            if let Some(b) = &c.client.blocked
                && let Some(until) = b.until_ms
            {
                self.deadlines.push(Reverse((until, c.client.id, b.token)));
            }
        }
        // The last snapshot may have been taken before this turn's commands ran: what is not in it is not acknowledged.
        let silent = self.node.shutdown.load(Ordering::Acquire);
        for (run, (from, to, rest, flow)) in runs.iter().zip(sends) {
            let to = if silent { from } else { to };
            self.after_run(&mut batch, run, from, to, rest, flow, now_mono, now_ms);
        }
        self.reply.clear();
        batch.runs = runs;
        if !self.deferred.is_empty() {
            batch = self.run_scripts(batch, now_mono);
        }
        self.batch = batch;
        self.batch.clear();
    }

    /// Moves the runs that may run a script behind the others: each of them has a turn of its own, so that nobody's replies wait for it.
    #[cold]
    fn defer_scripts(&mut self, batch: &Batch, runs: &mut Vec<Run>) {
        if self.scripts.is_none() {
            // One is running: these hear that the server is busy.
            return;
        }
        let commands = self.node.commands;
        let connections = &self.connections;
        let is_script = |e: &crate::commands::Entry| matches!(e.command.handler, Handler::Script(_));
        let (scripted, others) = std::mem::take(runs).into_iter().partition(|run| {
            let requests = &batch.requests[run.requests.0..run.requests.1];
            let entries = || requests.iter().filter_map(|r| r.entry);
            // A transaction may have queued its script turns ago.
            let queued = || {
                let queue = connections[run.connection].as_ref().map(|c| &c.client.transaction.queue);
                queue.is_some_and(|q| q.iter().any(|q| commands.by_id(q.command).is_some_and(is_script)))
            };
            entries().any(is_script) || (entries().any(|e| e.may_run_script) && queued())
        });
        *runs = others;
        self.deferred = VecDeque::<Run>::from(scripted);
    }

    /// Runs the deferred requests. While a script runs, this worker may be called again by [`Meanwhile`]: the connection is taken out for
    /// that time, and nothing of the worker is borrowed.
    #[cold]
    fn run_scripts(&mut self, batch: Batch, now_mono: u64) -> Batch {
        let batch = Rc::new(batch);
        self.deferred_in = Some(Rc::clone(&batch));
        let node = Arc::clone(&self.node);
        while let Some(run) = self.deferred.pop_front() {
            let Some(mut tools) = self.scripts.take() else { break };
            let Some(mut c) = self.connections[run.connection].take() else {
                self.scripts = Some(tools);
                continue;
            };
            self.runs_for = Some(c.client.id);
            self.looked_away = false;
            let now_ms = clock::wall_ms();
            let config = Arc::clone(&self.config);
            let (evictor, recorder) = &mut *tools;
            let reply = std::mem::take(&mut self.reply);
            let mut turn = Turn::begin(&node, config, self.config_version, now_ms, reply, evictor, recorder);
            turn.meet(&mut c.client);
            let written = turn.reply.len();
            let room = output_room(&self.config, &c.client);
            turn.reply.stop_at = if room == usize::MAX { 0 } else { written + room };
            let (mut flow, mut rest) = (Flow::Next, run.parsed);
            for n in run.requests.0..run.requests.1 {
                let request = &batch.requests[n];
                let entry = batch.resolve(request, node.commands);
                flow = lend(self, || turn.run(&mut c.client, entry, batch.args(request), request.hash));
                if turn.reply.is_full() {
                    over_limit(&mut c.client, turn.reply.len() - written, turn.recorder);
                    break;
                }
                if flow == Flow::Paused {
                    rest = if n == run.requests.0 { run.begin } else { batch.requests[n - 1].end };
                    break;
                }
                if flow == Flow::Blocked || c.client.closing || c.client.dead {
                    rest = request.end;
                    break;
                }
            }
            protocol_error(&mut turn, &mut c.client, &run, flow, &batch.bytes(run.source)[run.parsed..run.end]);
            self.reply = turn.end();
            self.scripts = Some(tools);
            c.client.paused = flow == Flow::Paused;
            if c.client.paused || c.client.shared.paused.load(Ordering::Relaxed) {
                self.node.clients.set_paused(&c.client.shared, c.client.paused);
            }
            let i = run.connection;
            self.note_deadline(&c.client, flow);
            self.connections[i] = Some(c);
            self.node.config.refresh(&mut self.config, &mut self.config_version);
            let to = self.reply.buf.len();
            if rest < run.end {
                self.keep_rest(&batch, &run, rest);
            }
            self.sent_run(&run, 0, to, rest, flow, now_mono, now_ms);
            self.reply.clear();
            self.runs_for = None;
            if self.looked_away {
                self.catch_up(i, now_mono);
            }
        }
        self.deferred_in = None;
        Rc::try_unwrap(batch).unwrap_or_default()
    }

    /// What happened to a connection while its script ran and others were looked after: its messages, and what its socket had to say, which
    /// it says once.
    #[cold]
    fn catch_up(&mut self, i: usize, now_mono: u64) {
        if let Some(c) = self.connections[i].as_ref()
            && c.held
            && !self.held.contains(&i)
        {
            self.held.push(i);
        }
        let messages = std::mem::take(&mut self.later);
        self.deliver(messages, now_mono);
        self.drain(i);
        self.list(i);
    }

    /// Keeps the bytes of a connection that have not been run, from `rest` of their source on.
    fn keep_rest(&mut self, batch: &Batch, run: &Run, rest: usize) {
        let Some(c) = self.connections[run.connection].as_mut() else { return };
        if c.client.closing {
            return;
        }
        c.client.query.extend_from_slice(&batch.bytes(run.source)[rest..run.end]);
        if rest != run.parsed {
            c.client.partial = Default::default();
        }
    }

    fn note_deadline(&mut self, client: &Client, flow: Flow) {
        if flow == Flow::Blocked
            && let Some(b) = &client.blocked
            && let Some(until) = b.until_ms
        {
            self.deadlines.push(Reverse((until, client.id, b.token)));
        }
    }

    /// Sends a connection's replies and keeps what it has sent too early.
    #[expect(clippy::too_many_arguments, reason = "what the run left behind")]
    fn after_run(
        &mut self,
        batch: &mut Batch,
        run: &Run,
        from: usize,
        to: usize,
        rest: usize,
        flow: Flow,
        now_mono: u64,
        now_ms: i64,
    ) {
        let Some(c) = self.connections[run.connection].as_mut() else { return };
        if rest < run.end && !c.client.closing {
            match run.source {
                Source::Own(n) => {
                    let mut own = std::mem::take(&mut batch.own[n as usize]);
                    own.drain(..rest);
                    c.client.query = own;
                }
                Source::Arena => c.client.query.extend_from_slice(&batch.arena[rest..run.end]),
            }
            if rest != run.parsed {
                // Cut again from there; the progress in a request behind it is void.
                c.client.partial = Default::default();
            }
        } else if run.end > run.begin
            && let Source::Own(_) = run.source
        {
            c.client.query = Vec::new();
        }
        self.sent_run(run, from, to, rest, flow, now_mono, now_ms);
    }

    /// Sends what a run answered and sees what is next for its connection.
    #[expect(clippy::too_many_arguments, reason = "what the run left behind")]
    fn sent_run(&mut self, run: &Run, from: usize, to: usize, rest: usize, flow: Flow, now_mono: u64, now_ms: i64) {
        let i = run.connection;
        let Some(c) = self.connections[i].as_mut() else { return };
        if to > from && !c.client.dead && !c.held && self.node.aof.holds(c.client.written) {
            // Not before what it has changed is on disk.
            c.held = true;
            self.held.push(i);
        }
        if to > from && !c.client.dead {
            match c.send(&mut self.scratch, &self.reply, from, to) {
                Ok(sent) => {
                    if sent > 0 {
                        c.client.last_active_ms = now_mono;
                        c.client.shared.net_out.fetch_add(sent as u64, Ordering::Relaxed);
                        self.recorder.counters.add(Counter::NetOutputBytes, sent as u64);
                        self.recorder.counters.add(Counter::WritesProcessed, 1);
                    }
                }
                Err(_) => c.client.dead = true,
            }
            c.client.reply_peak = c.client.reply_peak.max(to - from);
        }
        let s = &c.client.shared;
        let n = std::mem::take(&mut c.client.commands);
        if n > 0 {
            s.commands.fetch_add(n, Ordering::Relaxed);
            self.recorder.counters.add(Counter::CommandsProcessed, n);
        }
        s.last_ms.store(now_ms, Ordering::Relaxed);
        if flow == Flow::Paused {
            self.paused.push(i);
        } else if run.more || rest != run.parsed {
            // Whole requests wait behind those that ran.
            if c.client.blocked.is_none() {
                let more = c.more;
                self.list(i);
                if let Some(c) = self.connections[i].as_mut() {
                    c.more = more;
                }
            }
        }
        self.finish(i);
    }

    /// Ends a connection that is over, or lists it again if its socket may have more.
    fn finish(&mut self, i: usize) {
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
        c.client.tell_memory(&self.node.clients);
        if c.more && !c.listed && c.client.blocked.is_none() && !c.client.paused && !c.client.closing {
            self.list(i);
        }
    }

    /// Gives a replica what the journal has for it, as much as its socket takes, and sends it.
    fn feed(&mut self, i: usize) {
        loop {
            let Some(c) = self.connections[i].as_mut() else { return };
            let Some(cursor) = &mut c.client.feed else { return };
            if c.client.dead || c.client.closing || c.client.feed_held {
                return;
            }
            if c.client.output.is_empty() && c.client.copy.is_none() {
                let mut facts = c.client.shared.facts.lock();
                if facts.phase == ReplicaPhase::Copying {
                    // A copy of known length is over when its last byte is sent.
                    facts.phase = ReplicaPhase::Online;
                    facts.acked_at_ms = clock::monotonic_ms();
                    tracing::info!("Synchronization with replica {} succeeded", c.client.shared.addr);
                }
            }
            let mut ended = false;
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
                    Taken::End(end) => {
                        c.client.copy = None;
                        c.client.feed_held = end == CopyEnd::Marked;
                    }
                }
            }
            let whole = c.client.copy.is_none() && !c.client.feed_held;
            while whole && c.client.output.len() < FEED_BYTES {
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
                        c.client.dead = true;
                        break;
                    }
                }
            }
            let full = c.client.output.len();
            self.drain_once(i);
            let Some(c) = self.connections[i].as_ref() else { return };
            // What the socket does not take now it will ask for by becoming writable.
            if ended || c.client.output.len() == full || !c.client.output.is_empty() {
                return;
            }
        }
    }

    /// Sends the replies whose changes have come to the disk.
    fn release(&mut self) {
        for i in std::mem::take(&mut self.held) {
            let Some(c) = self.connections[i].as_mut().filter(|c| c.held) else { continue };
            if self.node.aof.holds(c.client.written) {
                self.held.push(i);
                continue;
            }
            c.held = false;
            self.drain(i);
        }
    }

    fn drain(&mut self, i: usize) {
        self.drain_once(i);
        if self.connections[i].as_ref().is_some_and(|c| c.client.feed.is_some() && c.client.output.is_empty()) {
            self.feed(i);
        }
    }

    fn drain_once(&mut self, i: usize) {
        let Some(c) = self.connections[i].as_mut() else { return };
        match c.drain(&mut self.scratch) {
            Ok(n) => {
                if n > 0 {
                    c.client.last_active_ms = clock::monotonic_ms();
                    c.client.shared.net_out.fetch_add(n as u64, Ordering::Relaxed);
                    self.recorder.counters.add(Counter::NetOutputBytes, n as u64);
                }
            }
            Err(_) => c.client.dead = true,
        }
        self.finish(i);
    }

    fn attach(&mut self, mut stream: Stream, now_mono: u64) {
        let i = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        if let Err(e) =
            self.poll.registry().register(&mut stream, Token(i + 1), Interest::READABLE | Interest::WRITABLE)
        {
            tracing::warn!("A connection could not be watched: {e}");
            self.free.push(i);
            self.node.clients.release();
            return;
        }
        let id = self.node.clients.next_id();
        let shared = Shared::new(
            id,
            self.id,
            stream.peer_address(),
            stream.local_address(),
            i64::from(stream.as_raw_fd()),
            clock::wall_ms(),
        );
        shared.tls.store(stream.is_tls(), Ordering::Relaxed);
        shared.unix.store(matches!(stream, Stream::Unix(_)), Ordering::Relaxed);
        let shared = Arc::new(shared);
        self.node.clients.add(Arc::clone(&shared));
        let handshaking = stream.is_handshaking();
        let mut c = Box::new(Connection {
            stream,
            client: Client::new(shared, &self.node.acl, now_mono),
            accepted_ms: now_mono,
            listed: false,
            more: true,
            handshaking,
            eof: false,
            held: false,
        });
        self.recorder.counters.add(Counter::ConnectionsReceived, 1);
        if !handshaking && let Some(text) = refusal(&self.config, &self.node.acl, &c) {
            c.client.output.push(text);
            c.client.closing = true;
        }
        self.by_id.insert(id, i);
        let closing = c.client.closing;
        self.connections[i] = Some(c);
        if closing {
            self.finish(i);
        } else {
            self.list(i);
        }
    }

    fn close(&mut self, i: usize) {
        let Some(mut c) = self.connections[i].take() else { return };
        let _ = self.poll.registry().deregister(&mut c.stream);
        self.node.waiting.cancel(&self.node.keyspace, c.client.id);
        c.client.forget_watched(&self.node.keyspace);
        // First of all, so that nobody waits for it.
        c.client.copy = None;
        c.client.feed = None;
        if c.client.attached {
            self.node.replication.replicas.remove(c.client.id);
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
        self.free.push(i);
    }

    fn read_mailbox(&mut self, now_mono: u64) {
        let mut messages = self.mailbox.take();
        if let Some(id) = self.runs_for {
            // Its connection is with its script.
            let (its, others) = messages.into_iter().partition(|m| m.client() == Some(id));
            let mut its: Vec<Message> = its;
            self.later.append(&mut its);
            messages = others;
        }
        self.deliver(messages, now_mono);
    }

    fn deliver(&mut self, messages: Vec<Message>, now_mono: u64) {
        // Connections that got messages: each is sent all of them at once.
        let mut told: Vec<usize> = Vec::new();
        for message in messages {
            match message {
                Message::Attach(stream) => self.attach(*stream, now_mono),
                Message::Kill { client, flush } => {
                    let Some(&i) = self.by_id.get(&client) else { continue };
                    if let Some(c) = self.connections[i].as_mut() {
                        if flush {
                            c.client.closing = true;
                        } else {
                            c.client.dead = true;
                        }
                        self.finish(i);
                    }
                }
                Message::Served { client, token, reply } => self.answer(client, Some(token), reply, now_mono),
                Message::Unblock { client, error } => self.unblock(client, error, now_mono),
                Message::RoleLost { client } => self.role_lost(client, now_mono),
                Message::Push { client, reply } => {
                    let Some(&i) = self.by_id.get(&client) else { continue };
                    let Some(c) = self.connections[i].as_mut() else { continue };
                    if c.client.dead || c.client.closing {
                        continue;
                    }
                    if reply.len() <= PUBLISHED_COPY_MAX {
                        c.client.output.push(&reply);
                    } else {
                        c.client.output.push_shared(reply);
                    }
                    if told.last() != Some(&i) {
                        told.push(i);
                    }
                }
                Message::Feed { client } => {
                    if let Some(&i) = self.by_id.get(&client) {
                        self.feed(i);
                    }
                }
                Message::Sync { client, start } => {
                    let Some(&i) = self.by_id.get(&client) else { continue };
                    let Some(c) = self.connections[i].as_mut() else { continue };
                    c.client.output.push(&start.head);
                    (c.client.copy, c.client.feed) = (Some(start.copy), Some(start.cursor));
                    self.feed(i);
                }
                Message::Published { to, message } => {
                    if to.is_ended() {
                        continue;
                    }
                    let Some(&i) = self.by_id.get(&to.client.id) else { continue };
                    let Some(c) = self.connections[i].as_mut() else { continue };
                    if c.client.dead || c.client.closing {
                        continue;
                    }
                    let bytes = message.bytes(c.client.version);
                    if bytes.len() <= PUBLISHED_COPY_MAX {
                        c.client.output.push(bytes);
                    } else {
                        c.client.output.push_shared(Arc::clone(bytes));
                    }
                    if told.last() != Some(&i) {
                        told.push(i);
                    }
                }
                Message::Notice { client, notice } => {
                    let Some(&i) = self.by_id.get(&client) else { continue };
                    let Some(c) = self.connections[i].as_mut() else { continue };
                    if c.client.dead || c.client.closing {
                        continue;
                    }
                    if let Some(bytes) = notice.bytes(c.client.version, !c.client.subscriptions.is_empty()) {
                        c.client.output.push(&bytes);
                        if told.last() != Some(&i) {
                            told.push(i);
                        }
                    }
                }
                Message::Look => {
                    self.release();
                    for i in std::mem::take(&mut self.paused) {
                        if let Some(c) = self.connections[i].as_mut() {
                            c.client.paused = false;
                            self.list(i);
                        }
                    }
                }
            }
        }
        told.sort_unstable();
        told.dedup();
        for i in told {
            self.drain(i);
        }
    }

    /// Gives a blocked client its answer and goes on with its requests.
    fn answer(&mut self, client: u64, token: Option<u64>, reply: Reply, now_mono: u64) {
        let Some(&i) = self.by_id.get(&client) else { return };
        let Some(c) = self.connections[i].as_mut() else { return };
        let Some(b) = &c.client.blocked else { return };
        if token.is_some_and(|t| t != b.token) {
            return;
        }
        c.client.blocked = None;
        c.client.shared.blocked.store(false, Ordering::Relaxed);
        c.client.shared.commands.fetch_add(1, Ordering::Relaxed);
        self.recorder.counters.add(Counter::CommandsProcessed, 1);
        c.client.last_active_ms = now_mono;
        if c.client.reply_mode == crate::client::ReplyMode::On {
            c.client.output.push_reply(&reply, 0, reply.buf.len(), 0);
        }
        if self.node.aof.is_always() {
            // What it was served is a change like its own.
            c.client.written = c.client.written.max(self.node.journal.end());
            if !c.held && self.node.aof.holds(c.client.written) {
                c.held = true;
                self.held.push(i);
            }
        }
        self.drain(i);
        if self.connections[i].is_some() {
            self.list(i);
        }
    }

    fn unblock(&mut self, client: u64, error: Option<&str>, now_mono: u64) {
        let Some(&i) = self.by_id.get(&client) else { return };
        let Some(c) = self.connections[i].as_ref() else { return };
        let Some(b) = &c.client.blocked else { return };
        if !self.node.waiting.cancel(&self.node.keyspace, client) {
            // Somebody is serving it right now: his answer is on the way.
            return;
        }
        let mut reply = Reply::new(c.client.version);
        match error {
            Some(text) => {
                reply.error(text.as_bytes());
                self.node.metrics.error(&mut self.recorder, text.as_bytes());
            }
            None => timeout_reply(&self.node, &mut reply, b.timeout_reply),
        }
        self.recorder.commands.ran(usize::from(b.command), 0, false, false);
        if error.is_some() {
            self.recorder.commands.rejected(usize::from(b.command));
        }
        let token = b.token;
        self.answer(client, Some(token), reply, now_mono);
    }

    /// A client that waits is told that this server follows another now, and where to go if it follows redirections. One of those that
    /// reads, and may read from a replica, waits on.
    fn role_lost(&mut self, client: u64, now_mono: u64) {
        let Some(&i) = self.by_id.get(&client) else { return };
        let Some(c) = self.connections[i].as_ref() else { return };
        let Some(b) = &c.client.blocked else { return };
        let entry = self.node.commands.by_id(b.command);
        let is = |flag| entry.is_some_and(|e| e.is(flag));
        let shared = &c.client.shared;
        if shared.capa_redirect.load(Ordering::Relaxed) && (is(CommandFlags::WRITE) || is(CommandFlags::READONLY)) {
            if !is(CommandFlags::WRITE) && shared.readonly.load(Ordering::Relaxed) {
                return;
            }
            if let Some(f) = self.node.replication.follower.following() {
                self.unblock(client, Some(&format!("REDIRECT {}:{}", f.host, f.port)), now_mono);
                return;
            }
        }
        self.unblock(client, Some(ROLE_LOST), now_mono);
    }

    /// Tells those whose time is up.
    fn unblock_late(&mut self, now_mono: u64) {
        while let Some(Reverse((until, client, token))) = self.deadlines.peek().copied() {
            if until > now_mono {
                return;
            }
            self.deadlines.pop();
            let Some(&i) = self.by_id.get(&client) else { continue };
            let Some(b) = self.connections[i].as_ref().and_then(|c| c.client.blocked.as_ref()) else { continue };
            if b.token == token {
                self.unblock(client, None, now_mono);
            }
        }
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
        let timeout = u64::from(self.config.network.timeout_secs) * 1000;
        let mut output = 0;
        for i in 0..self.connections.len() {
            let Some(c) = self.connections[i].as_mut() else { continue };
            let s = &c.client.shared;
            let waiting = c.client.output.len() as u64;
            if s.replica.load(Ordering::Relaxed) {
                // Evicting keys would only make more of it.
                output += waiting;
            }
            if c.client.query.is_empty() && c.client.query.capacity() > 0 {
                // What was kept is done: an idle connection holds no buffer.
                c.client.query = Vec::new();
            }
            c.client.tell_figures(&self.node.clients);
            let idle = now_mono.saturating_sub(c.client.last_active_ms);
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
        let before = std::mem::replace(&mut self.told_output, output);
        self.node.output_memory.fetch_add(output.wrapping_sub(before), Ordering::Relaxed);
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

fn timeout_reply(node: &Node, reply: &mut Reply, kind: TimeoutReply) {
    match kind {
        TimeoutReply::NullArray => reply.null_array(),
        TimeoutReply::Null => reply.null(),
        TimeoutReply::Integer(n) => reply.integer(n),
        TimeoutReply::Replicas { offset, .. } => {
            reply.integer(node.replication.replicas.acknowledged(offset) as i64);
        }
        TimeoutReply::Disks { offset, .. } => {
            let here = node.log().is_some_and(|synced| synced >= offset);
            reply.array(2);
            reply.integer(i64::from(here));
            reply.integer(node.replication.replicas.synced(offset) as i64);
        }
    }
}

/// What a connection that may not stay is told.
fn refusal(config: &Config, acl: &Acl, c: &Connection) -> Option<&'static [u8]> {
    let open = config.network.protected_mode && acl.is_open();
    if !open || matches!(c.stream, Stream::Unix(_)) {
        return None;
    }
    let addr = &c.client.shared.addr;
    let host = addr.rsplit_once(':').map_or(addr.as_str(), |(h, _)| h).trim_matches(['[', ']']);
    let ip: Option<std::net::IpAddr> = host.parse().ok();
    let local = ip.is_none_or(|ip| match ip {
        std::net::IpAddr::V4(v4) => v4.is_loopback(),
        std::net::IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    });
    (!local).then_some(
        b"-DENIED Holdfast is running in protected mode because protected mode is enabled and no password is set for the \
          default user. In this mode connections are only accepted from the loopback interface. Set a password with \
          requirepass, or turn protected-mode off.\r\n",
    )
}

/// Marks a client as gone that is sent more than it may leave unread; `more` bytes of it are not kept yet.
#[cold]
fn over_limit(client: &mut Client, more: usize, recorder: &mut Recorder) {
    tracing::warn!(
        "Client addr={} closed for overcoming of output buffer limits: {} bytes waiting.",
        client.shared.addr,
        client.output.len() + more
    );
    recorder.counters.add(Counter::OutputBufferLimitDisconnections, 1);
    client.dead = true;
}

/// Bytes a client's replies may take before it is closed: its hard limit counts what is written for it, whether or not the socket would
/// take it at once.
#[inline]
fn output_room(config: &Config, client: &Client) -> usize {
    match output_limit(config, client).hard_bytes {
        0 => usize::MAX,
        hard => usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(client.output.len()),
    }
}

/// The `client-output-buffer-limit` of the client's class.
fn output_limit<'a>(config: &'a Config, client: &Client) -> &'a OutputLimit {
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
fn over_output_limit(config: &Config, client: &mut Client, now_mono: u64) -> bool {
    let limit = output_limit(config, client);
    let waiting = client.output.len() as u64 + client.feed.as_ref().map_or(0, |cursor| cursor.lag());
    if !client.authenticated && waiting > UNAUTHENTICATED_OUTPUT_MAX {
        return true;
    }
    if limit.hard_bytes > 0 && waiting > limit.hard_bytes {
        return true;
    }
    if limit.soft_bytes > 0 && waiting > limit.soft_bytes {
        let since = *client.soft_limit_since.get_or_insert(now_mono);
        return now_mono.saturating_sub(since) > u64::from(limit.soft_seconds) * 1000;
    }
    client.soft_limit_since = None;
    false
}

/// Bytes of what is no request that the log shows, if it may.
const QUERY_SHOWN_MAX: usize = 128;

/// What a connection sent is no request: it is told so and closed, once all before it has been answered.
fn protocol_error(turn: &mut Turn<'_>, client: &mut Client, run: &Run, flow: Flow, unread: &[u8]) {
    if let (Some(e), Flow::Next, false) = (run.error, flow, client.closing) {
        turn.reply.version = client.version;
        let text = format!("ERR {e}");
        turn.reply.error(text.as_bytes());
        let shown = match turn.config.logging.hide_user_data_from_log {
            true => "*redacted*".to_owned(),
            false => unread.iter().take(QUERY_SHOWN_MAX).copied().collect::<Vec<u8>>().escape_ascii().to_string(),
        };
        tracing::debug!("Protocol error ({e}) from client: addr={}. Query buffer: {shown}", client.shared.addr);
        client.closing = true;
    }
}

impl Meanwhile for Worker {
    /// A turn in the middle of a script that runs for too long.
    fn serve_others(&mut self) {
        self.looked_away = true;
        if let Some(batch) = self.deferred_in.take() {
            // They waited for the script; now they hear that the server is busy, like everybody.
            for run in std::mem::take(&mut self.deferred) {
                self.keep_rest(&batch, &run, run.begin);
                if let Some(c) = self.connections[run.connection].as_ref() {
                    let more = c.more;
                    self.list(run.connection);
                    if let Some(c) = self.connections[run.connection].as_mut() {
                        c.more = more;
                    }
                }
            }
        }
        let mut events = Events::with_capacity(256);
        if self.poll.poll(&mut events, Some(Duration::ZERO)).is_ok() {
            let reply = std::mem::take(&mut self.reply);
            self.turn(&events);
            self.reply = reply;
        }
    }
}
