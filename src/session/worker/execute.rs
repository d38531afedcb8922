//! What a worker does with a batch: it runs the requests and sends the replies. What may run a script has a turn of its own behind the others,
//! in the middle of which other connections are served if it takes long.

use super::Worker;
use super::output::{output_room, over_limit};
use crate::base::clock;
use crate::client::{Client, Output};
use crate::commands::Site;
use crate::commands::table::Handler;
use crate::engine::{Flow, Meanwhile, Turn, lend};
use crate::metrics::counters::Counter;
use crate::net::{Stream, StreamError};
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Reply;
use crate::session::ahead::Ahead;
use crate::session::batch::{Batch, Run, Source};
use mio::Events;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A script takes as long as several commands: its key need not be asked for earlier.
const SCRIPTS_AHEAD: usize = 2;
/// A buffer in which a long request was received is kept up to this size for the next.
const QUERY_KEEP: usize = 64 * 1024;

impl Worker {
    /// Runs the batch and sends the replies.
    pub(super) fn execute(&mut self, now_mono: u64) {
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
        (turn.space.gives_way, turn.site) = (true, Site::Worker);
        let mut ahead = Ahead::new(&node, &batch, &runs, self.config.general.prefetch_batch_max_size as usize);
        let mut sends = Vec::with_capacity(runs.len());
        let (mut blocked, mut long) = (Vec::new(), Vec::new());
        for run in &runs {
            let Some(c) = self.connections[run.connection].as_mut() else { continue };
            let from = turn.reply.buf.len();
            let (flow, rest) = run_requests(&mut turn, &mut c.client, &batch, run, |turn, client, n| {
                ahead.step(n);
                let request = &batch.requests[n];
                let args = batch.args(request);
                match turn.run_plain(client, request.entry, args, request.hash) {
                    Some(flow) => flow,
                    None => turn.run(client, Batch::resolve(request, args, node.commands), args, request.hash),
                }
            });
            if flow == Flow::Blocked {
                blocked.push(run.connection);
            }
            if flow == Flow::Aside {
                long.push((run.connection, request_before(&batch, run, rest)));
            }
            sends.push((from, turn.reply.buf.len(), rest, flow));
        }
        self.reply = turn.end();
        self.node.config.refresh(&mut self.config, &mut self.config_version);
        for i in blocked {
            let Some(c) = self.connections[i].as_ref() else { continue };
            self.deadlines.extend(deadline(&c.client));
        }
        // The last snapshot may have been taken before this turn's commands ran: what is not in it is not acknowledged.
        let silent = self.node.shutdown.load(Ordering::Acquire);
        for (run, (from, to, rest, flow)) in runs.iter().zip(sends) {
            let to = if silent { from } else { to };
            self.after_run(&mut batch, run, from, to, rest, flow, now_mono, now_ms);
        }
        self.reply_most = self.reply_most.max(self.reply.buf.len());
        if self.reply.is_full() {
            // It grew for somebody who is not there any more.
            self.reply = Reply::default();
        }
        self.reply.clear();
        for (i, request) in long {
            self.hand_over(i, request);
        }
        batch.runs = runs;
        if !self.deferred.is_empty() {
            batch = self.run_scripts(batch, now_mono);
        }
        self.batch = batch;
        self.batch.clear();
    }

    /// Moves the runs that may run a script behind the others: each of them has a turn of its own, so that nobody's replies wait for it.
    #[cold]
    pub(super) fn defer_scripts(&mut self, batch: &Batch, runs: &mut Vec<Run>) {
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
    pub(super) fn run_scripts(&mut self, batch: Batch, now_mono: u64) -> Batch {
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
            (turn.space.gives_way, turn.site) = (true, Site::Worker);
            let (stream, client) = (&mut c.stream, &mut c.client);
            let mut ahead = Ahead::new(&node, &batch, std::slice::from_ref(&run), SCRIPTS_AHEAD);
            let (flow, rest) = run_requests(&mut turn, client, &batch, &run, |turn, client, n| {
                ahead.step(n);
                let request = &batch.requests[n];
                let args = batch.args(request);
                let entry = Batch::resolve(request, args, node.commands);
                lend(&mut Lent { worker: self, stream }, || turn.run(client, entry, args, request.hash))
            });
            self.reply = turn.end();
            self.scripts = Some(tools);
            let i = run.connection;
            if flow == Flow::Blocked {
                self.deadlines.extend(deadline(&c.client));
            }
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
            if flow == Flow::Aside {
                self.hand_over(i, request_before(&batch, &run, rest));
            }
        }
        self.deferred_in = None;
        Rc::try_unwrap(batch).unwrap_or_default()
    }

    /// What happened to a connection while its script ran and others were looked after: its messages, and what its socket had to say, which
    /// it says once.
    #[cold]
    pub(super) fn catch_up(&mut self, i: usize, now_mono: u64) {
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
    pub(super) fn keep_rest(&mut self, batch: &Batch, run: &Run, rest: usize) {
        let Some(c) = self.connections[run.connection].as_mut() else { return };
        if c.client.closing {
            return;
        }
        c.client.make_query_room();
        c.client.query.extend_from_slice(&batch.bytes(run.source)[rest..run.end]);
        c.client.query_peak = c.client.query_peak.max(c.client.query.len());
        if rest != run.parsed {
            c.client.partial = Default::default();
        }
    }

    /// Sends a connection's replies and keeps what it has sent too early.
    #[expect(clippy::too_many_arguments, reason = "what the run left behind")]
    pub(super) fn after_run(
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
                Source::Arena => {
                    c.client.make_query_room();
                    c.client.query.extend_from_slice(&batch.arena[rest..run.end]);
                }
            }
            c.client.query_peak = c.client.query_peak.max(c.client.query.len());
            if rest != run.parsed {
                // Cut again from there; the progress in a request behind it is void.
                c.client.partial = Default::default();
            }
        } else if run.end > run.begin
            && let Source::Own(n) = run.source
        {
            // The next request may be as large; if none is, the buffer goes by itself.
            let mut own = std::mem::take(&mut batch.own[n as usize]);
            c.client.query_peak = c.client.query_peak.max(own.len());
            own.clear();
            own.shrink_to(QUERY_KEEP);
            c.client.query = own;
        }
        self.sent_run(run, from, to, rest, flow, now_mono, now_ms);
    }

    /// Sends what a run answered and sees what is next for its connection.
    #[expect(clippy::too_many_arguments, reason = "what the run left behind")]
    pub(super) fn sent_run(
        &mut self,
        run: &Run,
        from: usize,
        to: usize,
        rest: usize,
        flow: Flow,
        now_mono: u64,
        now_ms: i64,
    ) {
        let i = run.connection;
        let Some(c) = self.connections[i].as_mut() else { return };
        if to > from && !c.client.dead && !c.held && self.node.holds_replies(c.client.written) {
            // Not before what it has changed is on disk.
            c.held = true;
            self.held.push(i);
        }
        if to > from && !c.held {
            self.company.answered(now_mono);
        }
        if to > from && !c.client.dead {
            let sent = c.send(&mut self.scratch, &self.reply, from, to);
            if c.unsent {
                self.unsent.push(i);
            }
            match sent {
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
            self.turn_commands += n;
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
}

/// The request of a run that ends at `rest`.
#[cold]
fn request_before(batch: &Batch, run: &Run, rest: usize) -> OwnedArgs {
    let n = (run.requests.0..run.requests.1).find(|n| batch.requests[*n].end == rest);
    batch.args(&batch.requests[n.expect("it has just stopped there")]).to_owned()
}

/// When a client's waiting ends, if it does by itself.
pub(super) fn deadline(client: &Client) -> Option<Reverse<(u64, u64, u64)>> {
    let b = client.blocked.as_ref()?;
    Some(Reverse((b.until_ms?, client.id, b.token)))
}

/// Runs a connection's requests in their order, until one stops it. `call` runs one, by its number. Returns how the last one ended, and
/// where in the run's source begins what is still to be run.
#[inline(always)]
fn run_requests(
    turn: &mut Turn<'_>,
    client: &mut Client,
    batch: &Batch,
    run: &Run,
    mut call: impl FnMut(&mut Turn<'_>, &mut Client, usize) -> Flow,
) -> (Flow, usize) {
    turn.meet(client);
    let written = turn.reply.len();
    let room = output_room(&turn.config, client);
    turn.reply.stop_at = if room == usize::MAX { 0 } else { written + room };
    let (mut flow, mut rest) = (Flow::Next, run.parsed);
    for n in run.requests.0..run.requests.1 {
        flow = call(turn, client, n);
        if turn.reply.is_full() {
            over_limit(client, turn.reply.len() - written, turn.recorder);
            break;
        }
        if flow == Flow::Paused {
            // Not run: it is the first thing to look at when the pause ends.
            rest = if n == run.requests.0 { run.begin } else { batch.requests[n - 1].end };
            break;
        }
        if matches!(flow, Flow::Blocked | Flow::Aside) || client.closing || client.dead {
            rest = batch.requests[n].end;
            break;
        }
    }
    protocol_error(turn, client, run, flow, &batch.bytes(run.source)[run.parsed..run.end]);
    client.paused = flow == Flow::Paused;
    if client.paused || client.shared.paused.load(Ordering::Relaxed) {
        turn.node.clients.set_paused(&client.shared, client.paused);
    }
    (flow, rest)
}

/// Bytes of what is no request that the log shows, if it may.
const QUERY_SHOWN_MAX: usize = 128;

/// What a connection sent is no request: it is told so and closed, once all before it has been answered.
pub(super) fn protocol_error(turn: &mut Turn<'_>, client: &mut Client, run: &Run, flow: Flow, unread: &[u8]) {
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

/// What a script's thread has while the script runs: the worker, and the stream of the script's own connection.
struct Lent<'a> {
    worker: &'a mut Worker,
    stream: &'a mut Stream,
}

impl Meanwhile for Lent<'_> {
    fn serve_others(&mut self, wait: Duration) {
        self.worker.serve_others(wait);
    }

    fn talk(&mut self, output: &mut Output, input: &mut Vec<u8>) -> bool {
        let (worker, stream) = (&mut *self.worker, &mut *self.stream);
        // Its socket's readiness is told once, and here it may be used up.
        worker.looked_away = true;
        let mut send = || -> Result<(), StreamError> {
            while !stream.wants_write() || stream.flush()? {
                let mut slices = Vec::new();
                output.slices(&mut slices);
                let n = if slices.is_empty() { 0 } else { stream.send(&mut worker.scratch, &slices)? };
                if n == 0 {
                    break;
                }
                output.advance(n);
            }
            Ok(())
        };
        send().is_ok() && stream.receive(&mut worker.scratch, input).is_ok_and(|p| !p.eof)
    }
}

impl Worker {
    /// A turn in the middle of a script that runs for too long.
    fn serve_others(&mut self, wait: Duration) {
        self.looked_away = true;
        self.company.tell_at_once(&self.node.aof);
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
        if self.look(&mut events, wait).is_ok() {
            let reply = std::mem::take(&mut self.reply);
            self.turn(&events);
            self.reply = reply;
        }
    }
}
