//! The way of every command: admit, lock, run, commit.
//!
//! # Invariants
//! * The first gate of [`admit`](self::admit) that refuses is the reply; nothing has happened then.
//! * A handler runs under all locks its command needs, taken at once in ascending order. Whoever is waiting for one of its keys is
//!   found before, and the keys *his* command would change beside it are locked too: so a write and the waiters it serves are one step.
//! * A command that goes through very many elements says so before it changes anything ([`Site::weigh`]). On a worker it stops
//!   there and is run again [aside](crate::session::aside), so that nobody waits for it but who wants the same keys: and those give
//!   way, as if paused, until it lets go. One that could read any key gives its locks back aside, and takes single ones; it is run again
//!   if it has to change something in the end, which it does under all its locks.
//! * [`commit`](self::commit) runs before the locks go, and gives the journal what a command changed. (Upkeep, eviction and the few
//!   commands that delete what they meet past its deadline do the same for themselves.)

mod admit;
mod block;
mod commit;
mod events;
mod evict;
mod execute;
mod host;
mod locks;
mod meanwhile;
mod monitor;
mod permit;
mod plain;
mod record;
mod script;
mod slots;
mod tracking;
mod transaction;
pub mod upkeep;

pub use admit::Gates;
pub use evict::Evictor;
pub use execute::Executor;
pub use host::client_tls;
pub use meanwhile::{Meanwhile, lend};

use crate::base::clock::Tick;
use crate::client::{BlockRequest, Client, Forward, Notice, ReplyMode, Source};
use crate::commands::generic::Prepared;
use crate::commands::table::{Handler, TransactionCommand};
use crate::commands::{CommandError, DataContext, Entry, Node, NodeContext, Outcome, Site};
use crate::config::Config;
use crate::keyspace::{Access, AccessPolicy, Key, KeyHash, Plan, Space};
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use crate::spec::{CommandFlags, KeyScope};
use std::sync::Arc;

/// How often a client's command gives way to commands on big values before it waits for them like for any other.
const GIVES_WAY_MAX: u8 = 16;

/// What the session does next with this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next request.
    Next,
    /// The client waits for a key: its further requests stay unread.
    Blocked,
    /// The server is paused for this command: it stays unread and is tried again.
    Paused,
    /// The command has not run: it would take long, and is to be run aside. Further requests stay unread meanwhile.
    Aside,
}

/// One worker's turn: everything its commands share.
pub struct Turn<'k> {
    pub node: &'k Arc<Node>,
    pub config: Arc<Config>,
    pub config_version: u64,
    pub space: Space<'k>,
    pub reply: Reply,
    pub gates: Gates,
    pub evictor: &'k mut Evictor,
    /// Changes since the turn began; told to the node at its end.
    pub dirty: u64,
    pub recorder: &'k mut Recorder,
    /// The state of the users as the turn sees it.
    acl_epoch: u64,
    pub last_tick: Tick,
    /// The command that runs has answered with an error.
    failed: bool,
    /// The client whose command runs.
    current: u64,
    /// What that client is to be told of keys it has read, behind its reply.
    notices: Vec<Notice>,
    /// How many of the step's changed keys their readers have been told of.
    told: usize,
    /// The step of a primary's stream that runs: it goes into the journal as it is.
    forward: Option<Forward<'k>>,
    /// The journal's offset behind the last step of this turn; 0 before the first.
    offset: u64,
    /// Why the last command that failed did.
    error: Option<Vec<u8>>,
    /// Errors are wanted: there is nobody who reads the reply.
    keeps_error: bool,
    /// What runs is a command of a script.
    by_script: bool,
    /// Where its commands run.
    pub site: Site,
    /// What the command that runs aside has done so far.
    prepared: Option<Prepared<'k>>,
    /// ASKING has been said before the command that runs.
    asking: bool,
    /// What [`plain`](self::plain) commands need not ask, for the client that was met last and until it runs another kind of command.
    plain: bool,
}

impl<'k> Turn<'k> {
    /// Begins a turn at this instant.
    pub fn begin(
        node: &'k Arc<Node>,
        config: Arc<Config>,
        config_version: u64,
        now_ms: i64,
        reply: Reply,
        evictor: &'k mut Evictor,
        recorder: &'k mut Recorder,
    ) -> Turn<'k> {
        let mut space = node.keyspace.space(access(&config, now_ms));
        space.events_wanted = events::wanted(node, &config);
        let gates = Gates::of(node, &config, now_ms);
        // Nothing goes while writers are paused: whoever paused them counts on it.
        space.keeps_expired = config.memory.import_mode || gates.paused_writes;
        Turn {
            node,
            config,
            config_version,
            space,
            reply,
            gates,
            evictor,
            dirty: 0,
            recorder,
            acl_epoch: node.acl.epoch(),
            last_tick: Tick::now(),
            failed: false,
            current: 0,
            notices: Vec::new(),
            told: 0,
            forward: None,
            offset: 0,
            error: None,
            keeps_error: false,
            by_script: false,
            site: Site::Nested,
            prepared: None,
            asking: false,
            plain: false,
        }
    }

    /// Looks at the gates again: what is run once more, after some time, is admitted as if it had just come.
    pub fn look_again(&mut self) {
        self.gates = Gates::of(self.node, &self.config, self.space.now_ms());
        self.space.keeps_expired = self.config.memory.import_mode || self.gates.paused_writes;
    }

    /// Ends the turn and gives the reply buffer back.
    pub fn end(self) -> Reply {
        if self.dirty > 0 {
            self.node.saver.changes.fetch_add(self.dirty, std::sync::atomic::Ordering::Relaxed);
        }
        // Whole microseconds are told; what is left over is kept for the next turn.
        self.recorder.counters.add(Counter::EventloopDurationCmdUsec, self.recorder.busy_ns / 1000);
        self.recorder.busy_ns %= 1000;
        let c = &self.space.changes;
        for (counter, n) in [
            (Counter::KeyspaceHits, c.hits),
            (Counter::KeyspaceMisses, c.misses),
            (Counter::ExpiredKeys, c.expired),
            (Counter::ExpiredFields, c.expired_fields),
        ] {
            if n > 0 {
                self.recorder.counters.add(counter, n);
            }
        }
        self.node.journal.ring();
        self.reply
    }

    /// Runs one request of a client and writes its reply.
    pub fn run(
        &mut self,
        client: &mut Client,
        entry: Result<&'static Entry, CommandError>,
        args: Args<'_>,
        hash: Option<KeyHash>,
    ) -> Flow {
        let flow = self.run_any(client, entry, args, hash);
        // It may have changed what is asked of the next.
        self.look_at(client);
        flow
    }

    fn run_any(
        &mut self,
        client: &mut Client,
        entry: Result<&'static Entry, CommandError>,
        args: Args<'_>,
        hash: Option<KeyHash>,
    ) -> Flow {
        let mark = self.reply.mark();
        let fed = client.attached;
        self.reply.version = client.version;
        self.space.no_touch = client.no_touch;
        self.space.visits_expired = client.import_source && self.config.memory.import_mode;
        self.current = client.id;
        // For this one command, or for the whole transaction that it begins.
        self.asking = std::mem::take(&mut client.asking);
        client.commands += 1;
        let subscription = client.reply_mode != ReplyMode::On && entry.as_ref().is_ok_and(|e| is_subscription(e));
        let flow = match &entry {
            Ok(entry) => match self.admit(client, entry, args, hash) {
                Ok(admit::Pass::Run) => match self.execute(client, entry, args, hash) {
                    flow @ (Flow::Paused | Flow::Aside) => {
                        client.asking |= self.asking;
                        client.commands -= 1;
                        return flow;
                    }
                    flow => flow,
                },
                Ok(admit::Pass::Answered) => Flow::Next,
                Ok(admit::Pass::Wait) => {
                    client.asking |= self.asking;
                    client.commands -= 1;
                    return Flow::Paused;
                }
                Err(e) => {
                    self.refuse(client, Some(entry), &e);
                    Flow::Next
                }
            },
            Err(_) if client.source == Source::Connection && admit::is_http(args.at(0)) => {
                admit::cut_off(client);
                Flow::Next
            }
            // Nobody learns which commands there are before he has signed in.
            Err(_) if self.is_stranger(client) => {
                let known = self.node.commands.find(args.at(0)).filter(|e| e.subcommands.is_empty());
                self.refuse(client, known, &CommandError::fixed("NOAUTH Authentication required."));
                Flow::Next
            }
            Err(e) => {
                // A command that is known is counted as refused by its own row, as for a wrong number of arguments.
                let known = self.node.commands.find(args.at(0)).filter(|e| e.subcommands.is_empty());
                self.refuse(client, known, e);
                Flow::Next
            }
        };
        if client.in_multi() {
            client.asking |= self.asking;
        }
        if flow == Flow::Blocked {
            // Counted when it is answered.
            client.commands -= 1;
        }
        if self.offset > 0 {
            client.written = std::mem::take(&mut self.offset);
        }
        if fed && !self.reply.bytes_since(mark).is_empty() {
            self.stray(client, &entry, mark);
            return flow;
        }
        if client.reply_mode != ReplyMode::On {
            // Confirmations of subscriptions are no replies: they come whatever CLIENT REPLY says.
            if subscription && matches!(self.reply.bytes_since(mark).first(), Some(b'*' | b'>')) {
                let mut confirmed = self.reply.bytes_since(mark).to_vec();
                self.swallow(client, mark);
                self.reply.buf.append(&mut confirmed);
                return flow;
            }
            self.swallow(client, mark);
        }
        if client.tracking.is_some() || !self.notices.is_empty() {
            let name = entry.as_ref().map_or("", |e| e.spec().parent.unwrap_or(e.spec().name));
            self.after_tracked(client, name);
        }
        flow
    }

    #[cold]
    fn is_stranger(&self, client: &Client) -> bool {
        client.source == Source::Connection && !client.trusted && !client.authenticated && !self.node.acl.is_open()
    }

    /// A replica's command was answered: the answer would stand in the stream it applies.
    #[cold]
    fn stray(
        &mut self,
        client: &mut Client,
        entry: &Result<&'static Entry, CommandError>,
        mark: crate::resp::reply::Mark,
    ) {
        let name = entry.as_ref().map_or("unknown", |e| &e.name);
        if self.reply.bytes_since(mark).first() == Some(&b'-') {
            let error = String::from_utf8_lossy(self.reply.bytes_since(mark)).trim_end().to_owned();
            tracing::warn!(
                "== CRITICAL == This primary is sending an error to its replica: '{error}' after processing the command '{name}'"
            );
        }
        tracing::warn!("Replica generated a reply to command '{name}', disconnecting it: addr={}", client.shared.addr);
        self.reply.rewind(mark);
        client.dead = true;
    }

    /// Writes an error for a command that did not run; one that was to be queued breaks its transaction.
    fn refuse(&mut self, client: &mut Client, entry: Option<&'static Entry>, error: &CommandError) {
        let mut text = error.text();
        let queues = client.in_multi();
        client.transaction.broken |= queues;
        if entry.is_some_and(|e| matches!(e.command.handler, Handler::Transaction(TransactionCommand::Exec))) {
            if queues {
                // A refused EXEC ends the transaction: what comes next is not to be queued behind it.
                self.close(client);
            }
            // Also where no transaction is open: clients look for that word, after a RESET that they do not know of, say.
            text = transaction::aborted(&text).into();
        }
        self.reply.error(&text);
        self.note_error(&text);
        if let Some(entry) = entry {
            self.recorder.commands.rejected(entry.id as usize);
        }
    }

    #[cold]
    fn swallow(&mut self, client: &mut Client, mark: crate::resp::reply::Mark) {
        match client.reply_mode {
            ReplyMode::On => {}
            ReplyMode::Off => self.reply.rewind(mark),
            ReplyMode::SkipNext => {
                // CLIENT REPLY SKIP itself has said nothing; the next command is the one that is skipped.
                self.reply.rewind(mark);
                client.reply_mode = ReplyMode::Skip;
            }
            ReplyMode::Skip => {
                self.reply.rewind(mark);
                client.reply_mode = ReplyMode::On;
            }
        }
    }

    /// Runs an admitted command and keeps its statistics.
    #[inline]
    fn execute(&mut self, client: &mut Client, entry: &'static Entry, args: Args<'_>, hash: Option<KeyHash>) -> Flow {
        let mark = self.reply.mark();
        client.last_command(entry.id);
        if self.gates.monitored && entry.is(CommandFlags::SKIP_MONITOR) {
            // It runs commands itself, which are shown behind it.
            self.show(client, entry, args);
        }
        let flow = match entry.command.handler {
            Handler::Data(f) => {
                let single = match (hash, entry.single_key) {
                    (Some(h), _) => Some(h),
                    (None, Some(i)) => Some(KeyHash::of(args.at(i as usize))),
                    (None, None) => None,
                };
                let locked = match single {
                    Some(h) => {
                        if !self.space.lock_stripe_unless_busy(h.stripe) && !self.lock(client, &Plan::One(h.stripe)) {
                            return self.give_way(client, entry, args, hash);
                        }
                        // Under the lock: who begins to wait before it is taken is seen, who does later sees what this command leaves.
                        let alone = !self.node.waiting.has_moving() || !self.node.keyspace.may_be_waited_for(h);
                        if !alone {
                            self.space.unlock();
                        }
                        alone
                    }
                    None => false,
                };
                if !locked {
                    match self.plan_of(client.db, entry, args) {
                        Ok(plan) => {
                            if !self.lock_with_waiters(client, plan, entry, args) {
                                return self.give_way(client, entry, args, hash);
                            }
                        }
                        Err(e) => {
                            self.reply.error(&e.text());
                            self.failed(entry, args, &e);
                            return Flow::Next;
                        }
                    }
                }
                // What comes from a log or a primary never waits: its waiting was over where it happened first.
                let may_block = client.source == Source::Connection;
                if self.space.epoch != self.gates.epoch && !self.still_admitted(client, entry, args) {
                    return Flow::Next;
                }
                let flow = self.run_data(client, entry, f, args, single, may_block, mark);
                self.commit(client.db, args);
                self.space.unlock();
                flow
            }
            Handler::Whole(f) => {
                if !self.lock(client, &Plan::All) {
                    return self.give_way(client, entry, args, hash);
                }
                if self.space.epoch != self.gates.epoch && !self.still_admitted(client, entry, args) {
                    return Flow::Next;
                }
                let flow = self.run_data(client, entry, f, args, None, true, mark);
                self.commit(client.db, args);
                self.space.unlock();
                flow
            }
            // What the server keeps beside the keys is changed as they are: one step, in the journal.
            Handler::Node(f) if entry.is(CommandFlags::WRITE) => {
                if !self.lock(client, &Plan::All) {
                    return self.give_way(client, entry, args, hash);
                }
                self.run_node(client, entry, f, args, true, mark);
                self.commit(client.db, args);
                self.space.unlock();
                Flow::Next
            }
            // It takes the locks itself, and leaves them for what it has changed to be committed.
            Handler::Span(f) if entry.is(CommandFlags::WRITE) => {
                if self.space.gives_way && self.node.keyspace.is_held_for_long() {
                    return self.give_way(client, entry, args, hash);
                }
                let Some(among_others) = self.node.keyspace.among_others() else {
                    return self.give_way(client, entry, args, hash);
                };
                let flow = self.run_node(client, entry, f, args, false, mark);
                if self.space.is_whole() {
                    self.commit(client.db, args);
                    self.space.unlock();
                }
                drop(among_others);
                if flow == Flow::Paused {
                    if !self.space.changes.is_plain() {
                        self.after_unlock();
                    }
                    return flow;
                }
                flow
            }
            Handler::Node(f) | Handler::Span(f) => {
                // What goes through the key space stripe by stripe cannot be told in the middle that the server is busy.
                let spans = matches!(entry.command.handler, Handler::Span(_));
                if spans && self.space.gives_way && self.node.keyspace.is_held_for_long() {
                    return self.give_way(client, entry, args, hash);
                }
                let goes_through = spans || (entry.is(CommandFlags::ADMIN) && !entry.is(CommandFlags::ALLOW_BUSY));
                self.space.among_others = if goes_through { self.node.keyspace.among_others() } else { None };
                if goes_through && self.space.among_others.is_none() {
                    return self.give_way(client, entry, args, hash);
                }
                let flow = self.run_node(client, entry, f, args, false, mark);
                self.space.among_others = None;
                if matches!(flow, Flow::Paused | Flow::Aside) {
                    return flow;
                }
                if !self.space.changes.databases.is_empty() {
                    self.serve_databases(client.db, args);
                }
                // A message that goes to the replicas too: nothing a lock would guard.
                self.append();
                flow
            }
            Handler::Transaction(which) => {
                let gives_way = std::mem::replace(&mut self.space.gives_way, false);
                self.run_transaction(client, which, entry, args, mark);
                self.space.gives_way = gives_way;
                if self.gates.monitored {
                    self.show(client, entry, args);
                }
                Flow::Next
            }
            Handler::Script(which) => {
                if self.run_script(client, which, entry, args, false, mark) == Flow::Paused {
                    return self.give_way(client, entry, args, hash);
                }
                Flow::Next
            }
            Handler::Container => {
                let e = CommandError::wrong_arity(&entry.name);
                self.reply.error(&e.text());
                Flow::Next
            }
            Handler::Missing(what) => {
                let e = entry.missing(what, self.node.cluster.is_some());
                self.reply.error(&e.text());
                self.failed(entry, args, &e);
                Flow::Next
            }
        };
        if !self.space.changes.is_plain() {
            self.after_unlock();
        }
        if flow != Flow::Aside {
            self.account(client, entry, args, mark, flow);
        }
        flow
    }

    /// Takes locks. False if somebody keeps them for long, and the client is one that can be told so or come back; others wait.
    #[inline]
    fn lock(&mut self, client: &Client, plan: &Plan) -> bool {
        if client.source == Source::Connection {
            return self.space.lock_unless_busy(plan);
        }
        self.space.lock(plan);
        true
    }

    /// What everybody hears while a script runs for too long.
    fn busy(&self) -> CommandError {
        let kind = self.node.scripts.running.longest().map(|s| s.kind);
        crate::commands::scripting::busy(kind == Some(crate::script::Kind::Function))
    }

    /// The locks are kept for long. While a script is busy everybody is told so; a command on a big value is waited for as if the server
    /// were paused, though not for ever.
    #[cold]
    fn give_way(&mut self, client: &mut Client, entry: &'static Entry, args: Args<'_>, hash: Option<KeyHash>) -> Flow {
        if !self.node.keyspace.is_busy() && self.space.gives_way {
            if client.gave_way < GIVES_WAY_MAX {
                client.gave_way += 1;
                return Flow::Paused;
            }
            client.gave_way = 0;
            self.space.gives_way = false;
            let flow = self.execute(client, entry, args, hash);
            self.space.gives_way = true;
            return flow;
        }
        let e = self.busy();
        self.refuse(client, Some(entry), &e);
        Flow::Next
    }

    /// Runs a data handler under the locks that are held.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "one call per command; a struct would only rename them")]
    fn run_data(
        &mut self,
        client: &mut Client,
        entry: &'static Entry,
        f: crate::commands::DataFn,
        args: Args<'_>,
        hash: Option<KeyHash>,
        may_block: bool,
        mark: crate::resp::reply::Mark,
    ) -> Flow {
        let reads_any_key = self.reads_any_key(client, entry, args);
        let aside = self.site == Site::Aside && may_block;
        if aside && entry.is(CommandFlags::ARBITRARY_KEYS) {
            // It gives its locks back before it ends, and what it reads is noted under them.
            if client.tracking.is_some() {
                self.note_reads(client, entry, args);
            }
        } else if aside {
            // It has been found to take long before it came here.
            self.space.begin_long();
            self.site = Site::AsideForLong;
        }
        let mut cx = DataContext {
            args,
            space: &mut self.space,
            reply: &mut self.reply,
            config: &self.config,
            db: client.db,
            entry,
            reads_any_key,
            obeys: client.source != Source::Connection,
            hash,
            may_block,
            block: None,
            site: if may_block { self.site } else { Site::Nested },
            prepared: &mut self.prepared,
        };
        let outcome = f(&mut cx);
        let block = cx.block.take();
        if may_block {
            self.site = cx.site;
        }
        self.settle(client, entry, args, outcome, block, mark)
    }

    /// What follows a data handler, under the locks it ran under.
    fn settle(
        &mut self,
        client: &mut Client,
        entry: &'static Entry,
        args: Args<'_>,
        outcome: Outcome,
        block: Option<BlockRequest>,
        mark: crate::resp::reply::Mark,
    ) -> Flow {
        if outcome == Err(CommandError::Aside) {
            return self.put_aside(mark);
        }
        if !self.space.changes.effects.is_empty() && !entry.spec().key_specs.is_empty() {
            self.space.changes.effects.bind();
        }
        if client.tracking.is_some() && self.site != Site::Aside {
            self.note_reads(client, entry, args);
        }
        if self.gates.monitored && !entry.is(CommandFlags::SKIP_MONITOR) {
            self.show(client, entry, args);
        }
        match outcome {
            Ok(()) => match block {
                None => Flow::Next,
                Some(request) => {
                    self.wait(client, entry, args, request);
                    Flow::Blocked
                }
            },
            Err(e) => {
                self.reply.rewind(mark);
                self.reply.error(&e.text());
                self.failed(entry, args, &e);
                Flow::Next
            }
        }
    }

    /// What ran stops before it has done anything, but for keys past their deadline that went. Keys it has looked for in vain are told of
    /// when it runs again; all it has looked for are counted now, and not then.
    #[cold]
    fn put_aside(&mut self, mark: crate::resp::reply::Mark) -> Flow {
        self.reply.rewind(mark);
        self.space.changes.events.retain(|e| e.class != crate::keyspace::EventClass::KEY_MISS);
        Flow::Aside
    }

    fn run_node(
        &mut self,
        client: &mut Client,
        entry: &'static Entry,
        f: crate::commands::NodeFn,
        args: Args<'_>,
        nested: bool,
        mark: crate::resp::reply::Mark,
    ) -> Flow {
        let config = Arc::clone(&self.config);
        // Who saves or asks sees the changes of this turn too.
        if self.dirty > 0 {
            let dirty = std::mem::take(&mut self.dirty);
            self.node.saver.changes.fetch_add(dirty, std::sync::atomic::Ordering::Relaxed);
        }
        let mut cx = NodeContext {
            args,
            node: self.node,
            client,
            reply: &mut self.reply,
            config: &config,
            space: &mut self.space,
            entry,
            nested,
            recorder: self.recorder,
            block: None,
            site: if nested { Site::Nested } else { self.site },
        };
        let outcome = f(&mut cx);
        let block = cx.block.take();
        if outcome == Err(CommandError::Aside) {
            return self.put_aside(mark);
        }
        if let Err(e) = outcome {
            self.reply.rewind(mark);
            self.reply.error(&e.text());
            self.failed(entry, args, &e);
        }
        if client.tracking.is_some() {
            self.note_reads(client, entry, args);
        }
        if self.gates.monitored && !entry.is(CommandFlags::SKIP_MONITOR) && !client.later {
            self.show(client, entry, args);
        }
        if !entry.is(CommandFlags::WRITE) {
            self.dirty += std::mem::take(&mut self.space.changes.dirty);
            self.space.changes.replaced = false;
        }
        // What it changed holds from the next command on.
        if self.node.acl.epoch() != self.acl_epoch {
            self.acl_epoch = self.node.acl.epoch();
            client.refresh_user(&self.node.acl);
        }
        if self.node.config.version() != self.config_version {
            self.node.config.refresh(&mut self.config, &mut self.config_version);
            self.limit_tracking();
            self.space.access = access(&self.config, self.space.now_ms());
        }
        self.gates = Gates::of(self.node, &self.config, self.space.now_ms());
        self.space.keeps_expired = self.config.memory.import_mode || self.gates.paused_writes;
        self.space.events_wanted = events::wanted(self.node, &self.config);
        self.reply.version = client.version;
        if std::mem::take(&mut client.later) {
            self.reply.rewind(mark);
            return Flow::Paused;
        }
        match block {
            None => Flow::Next,
            Some(request) => {
                self.wait(client, entry, args, request);
                Flow::Blocked
            }
        }
    }

    fn failed(&mut self, entry: &'static Entry, _args: Args<'_>, error: &CommandError) {
        self.failed = true;
        let _ = entry;
        self.note_error(&error.text());
    }

    fn note_error(&mut self, text: &[u8]) {
        self.node.metrics.error(self.recorder, text);
        if self.keeps_error {
            self.error.get_or_insert_with(|| text.to_vec());
        }
    }

    /// Statistics of a command that ran.
    #[inline(always)]
    fn account(
        &mut self,
        client: &Client,
        entry: &'static Entry,
        args: Args<'_>,
        mark: crate::resp::reply::Mark,
        flow: Flow,
    ) {
        let now = Tick::now();
        let ns = now.ns_since(self.last_tick);
        self.last_tick = now;
        self.recorder.busy_ns += ns;
        if flow == Flow::Blocked {
            // Counted when it is answered.
            return;
        }
        self.recorder.commands.ran(entry.id as usize, ns, self.failed, self.config.latency.latency_tracking);
        self.failed = false;
        if ns >= 1_000_000 && self.node.metrics.latency.wants(ns / 1_000_000) {
            let event = if entry.is(CommandFlags::FAST) { "fast-command" } else { "command" };
            self.node.metrics.latency.record(event, self.space.now_ms() / 1000, ns / 1_000_000);
        }
        let reply_bytes = self.reply.len_since(mark);
        if self.gates.logs(ns, args, reply_bytes) && !entry.is(CommandFlags::SKIP_COMMANDLOG) {
            self.node.log_command(&client.shared, entry, args, ns, reply_bytes, &self.config, self.space.now_ms());
        }
    }

    /// The stripes a command's keys are in.
    fn plan_of(&self, db: u32, entry: &'static Entry, args: Args<'_>) -> Result<Plan, CommandError> {
        let mut plan = Plan::None;
        match entry.command.handler {
            Handler::Whole(_) | Handler::Span(_) => plan = Plan::All,
            Handler::Data(_) if entry.is(CommandFlags::ARBITRARY_KEYS) && entry.reaches_any_key(args) => {
                plan = Plan::All;
            }
            Handler::Data(_) => for_each_key(db, entry, args, |key| {
                self.node.keyspace.prefetch_stripe(key.hash);
                plan.add(key.hash.stripe);
            })?,
            _ => {}
        }
        Ok(plan)
    }
}

/// (P|S)SUBSCRIBE and (P|S)UNSUBSCRIBE.
fn is_subscription(entry: &Entry) -> bool {
    // By the row, not by the name the command may have been given instead.
    matches!(
        entry.spec().name,
        "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "ssubscribe" | "sunsubscribe"
    )
}

/// Calls `f` with each key of a call.
///
/// # Errors
/// The arguments do not say which keys: the words of the command's own syntax check.
pub fn for_each_key<'a>(
    db: u32,
    entry: &Entry,
    args: Args<'a>,
    mut f: impl FnMut(Key<'a>),
) -> Result<(), CommandError> {
    if let Some(i) = entry.single_key {
        f(Key::new(db, args.at(i as usize)));
        return Ok(());
    }
    if entry.spec().key_specs.is_empty() {
        return Ok(());
    }
    let list: Vec<&[u8]> = args.iter().collect();
    // Where arguments do not name keys as they should, the handler finds its own words for that and touches none of those; but keys that
    // stand elsewhere (PFMERGE without a source) are its own all the same.
    for (i, _) in entry.spec().found_keys(&list, KeyScope::Keys).iter() {
        f(Key::new(db, args.at(i)));
    }
    Ok(())
}

/// How accesses are noted under this configuration.
pub fn access(config: &Config, now_ms: i64) -> Access {
    use crate::config::types::EvictionPolicy as E;
    let policy = match config.memory.maxmemory_policy {
        E::AllkeysLfu | E::VolatileLfu => AccessPolicy::Lfu {
            log_factor: config.memory.lfu_log_factor,
            decay_minutes: config.memory.lfu_decay_time_minutes,
        },
        _ => AccessPolicy::Lru,
    };
    Access { policy, now_ms }
}
