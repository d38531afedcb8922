//! Scripts: one atomic step of many commands.
//!
//! # Invariants
//! * A script holds all locks it needs ([`locks`](super::locks)) from before its first command until its effects are in the journal, as one step; who waited for
//!   a key it changed is served after it, and events are published after that.
//! * Its commands go through the same handlers as anybody's, with the rights of the client that runs it.
//! * While it has run for too long, everybody else is told that the server is busy: who wants its locks does not wait for them, and its
//!   own thread looks at its other connections in between ([`Meanwhile`](super::Meanwhile)).
//! * Its database, its protocol version and its clock are its own: the client finds its own as they were, and time stands still.

use super::{Flow, Gates, Turn, meanwhile};
use crate::base::clock::{self, Tick};
use crate::base::slot::SlotId;
use crate::client::{Client, Source};
use crate::commands::table::{Handler, ScriptCommand};
use crate::commands::{CommandError, Entry};
use crate::keyspace::{KeyHash, Plan};
use crate::metrics::counters::Counter;
use crate::resp::args::Args;
use crate::resp::parser::{Limits, Parsed, Partial, parse};
use crate::resp::reply::{Mark, Reply, Version};
use crate::script::{
    self, Arguments, Cache, Effects, Failure, Header, Host, Kind, Library, Locks, Received, Returned, Rules,
    RunningScript, Script, Stop, Vm, debugger,
};
use crate::spec::CommandFlags;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a call runs.
enum Code {
    Script(Arc<Script>),
    /// A library and the function's place in it.
    Function(Arc<Library>, usize),
}

impl Code {
    fn rules(&self) -> Rules {
        match self {
            Code::Script(s) => s.header.rules,
            Code::Function(library, i) => library.functions[*i].rules,
        }
    }
}

/// Why there is no value: refused before it ran, or failed.
enum Refusal {
    Command(CommandError),
    Failure(Failure),
    /// Not now: it needs all locks, and a command on a big value keeps some.
    Later,
}

impl From<CommandError> for Refusal {
    fn from(e: CommandError) -> Refusal {
        Refusal::Command(e)
    }
}

impl From<Failure> for Refusal {
    fn from(e: Failure) -> Refusal {
        Refusal::Failure(e)
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Refusal {
        Refusal::Command(CommandError::Bytes(text.into_bytes()))
    }
}

impl Turn<'_> {
    /// Runs EVAL and its family. `nested`: inside EXEC, which holds all locks.
    pub(super) fn run_script(
        &mut self,
        client: &mut Client,
        which: ScriptCommand,
        entry: &'static Entry,
        args: Args<'_>,
        nested: bool,
        mark: Mark,
    ) -> Flow {
        let began = self.last_tick;
        let debugged = client.debugs && !nested && which != ScriptCommand::Function;
        let outcome = if debugged {
            self.debug(client, which, entry, args)
        } else {
            self.script(client, which, entry, args, nested, false)
        };
        match outcome {
            Ok(counted) => {
                if self.reply.bytes_since(mark).first() == Some(&b'-') {
                    self.failed = true;
                    if !counted {
                        let text = self.reply.bytes_since(mark)[1..].to_vec();
                        self.node.metrics.script_error(self.recorder, text.trim_ascii_end());
                    }
                }
            }
            Err(Refusal::Later) => return Flow::Paused,
            Err(Refusal::Command(e)) => {
                self.reply.rewind(mark);
                self.reply.error(&e.text());
                self.failed(entry, args, &e);
            }
            Err(Refusal::Failure(f)) => {
                self.reply.rewind(mark);
                self.reply.error(&f.text);
                self.failed = true;
                if !f.counted {
                    self.node.metrics.script_error(self.recorder, &f.text);
                }
            }
        }
        // The whole time is the script's, that of its commands too.
        self.last_tick = began;
        Flow::Next
    }

    /// Runs a script in a session of the debugger, behind which the connection ends.
    #[cold]
    fn debug(
        &mut self,
        client: &mut Client,
        which: ScriptCommand,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<bool, Refusal> {
        if which == ScriptCommand::Digest {
            return Err(CommandError::fixed("ERR Please use EVAL instead of EVALSHA for debugging").into());
        }
        if !self.reply.is_empty() {
            return Err(CommandError::fixed("ERR a script is debugged outside of a pipeline only").into());
        }
        debugger::begin(args.at(1));
        let result = self.script(client, which, entry, args, false, true);
        client.output.push(&debugger::end());
        client.debugs = false;
        client.closing = true;
        result
    }

    /// The reply is written; true if it is an error that the statistics have.
    fn script(
        &mut self,
        client: &mut Client,
        which: ScriptCommand,
        entry: &'static Entry,
        args: Args<'_>,
        nested: bool,
        debugged: bool,
    ) -> Result<bool, Refusal> {
        if !nested {
            client.step_us = clock::wall_us();
        }
        let code = self.find_code(which, args)?;
        let keys = key_count(which, args)?;
        let rules = code.rules();
        let read_only = self.may_start(client, entry, rules)?;
        let settings = script::settings(&self.config);
        let keyspace = &self.node.keyspace;
        let locks = match &code {
            Code::Script(script) if !nested && !debugged => super::locks::of(script, self.node.commands),
            _ => &Locks::All,
        };
        if *locks == Locks::All && self.space.gives_way && self.node.keyspace.is_held_for_long() {
            return Err(Refusal::Later);
        }
        // One that may run for long is alone; those that end soon run beside each other and beside whoever goes through the key space.
        let (mut alone, mut among) = (None, None);
        match locks {
            _ if nested => {}
            Locks::Some { bounded: true, .. } => among = Some(keyspace.among_others().ok_or_else(|| self.busy())?),
            _ => alone = Some(keyspace.alone().ok_or_else(|| self.busy())?),
        }
        // From here on it waits for its locks, whoever has them.
        let gives_way = std::mem::replace(&mut self.space.gives_way, false);
        let locked = nested || self.lock_script(client, locks, args.from(3), keys);
        self.space.gives_way = gives_way;
        if !locked {
            return Err(self.busy().into());
        }
        if !nested && self.space.epoch != self.gates.epoch {
            self.gates = Gates::of(self.node, &self.config, self.space.now_ms());
            if let Err(e) = self.check_again(client, entry, args) {
                self.space.unlock();
                return Err(e.into());
            }
        }
        let (db, version) = (client.db, client.version);
        let over_memory = client.source == Source::Connection && self.is_over_memory();
        let slot = self.declared_slot(entry, args);
        let mut running = Running {
            turn: self,
            client: &mut *client,
            rules,
            read_only,
            over_memory,
            version: Version::Resp2,
            effects: Effects::ALL,
            wrote: false,
            slot,
            call: args,
            kind: if which == ScriptCommand::Function { Kind::Function } else { Kind::Script },
            began: Tick::now(),
            seen: None,
            next_meanwhile_ms: 0,
            debugged,
            whole: nested || *locks == Locks::All,
            heard: Vec::new(),
            partial: Partial::default(),
        };
        let arguments = Arguments { list: args.from(3), keys };
        let outer = std::mem::replace(&mut running.turn.by_script, true);
        let result = script::with_vm(settings, |vm| run(vm, &code, arguments, &mut running));
        let script_version = running.version;
        running.turn.by_script = outer;
        running.end();
        let abandoned = running.wrote && running.turn.node.shutdown.load(Ordering::Acquire);
        client.version = version;
        if client.db != db {
            client.db = db;
            client.shared.db.store(db, Ordering::Relaxed);
        }
        self.reply.version = version;
        let returned = match result {
            Ok(outcome) => outcome,
            Err(e) => Err(CommandError::err(e).into()),
        };
        // The value belongs to the VM, so it is written before anything else runs.
        let written = returned.map(|value| {
            let counted = value.is_counted_error();
            value.write(&mut self.reply, script_version);
            counted
        });
        if abandoned {
            // The server ends in the middle of it: half of it is told to nobody.
            self.space.changes.effects.clear();
        }
        if !nested {
            if !self.space.changes.ready.is_empty() {
                self.serve_waiters();
            }
            self.append();
            self.space.unlock();
        }
        drop((alone, among));
        written
    }

    /// Takes the locks of a script, and of what waits for its keys.
    fn lock_script(&mut self, client: &Client, locks: &Locks, args: Args<'_>, keys: usize) -> bool {
        let Locks::Some { named, .. } = locks else { return self.lock(client, &Plan::All) };
        let names = || args.iter().take(keys).chain(named.iter().map(Vec::as_slice));
        let mut plan = Plan::None;
        for name in names() {
            plan.add(KeyHash::of(name).stripe);
        }
        if !self.lock(client, &plan) {
            return false;
        }
        if !self.node.waiting.has_moving() {
            return true;
        }
        self.space.unlock();
        self.lock_with_waiters_of(client, plan, names().map(|name| (client.db, name.to_vec())).collect())
    }

    fn find_code(&self, which: ScriptCommand, args: Args<'_>) -> Result<Code, Refusal> {
        let scripts = &self.node.scripts;
        let no_script = || Refusal::from(CommandError::fixed("NOSCRIPT No matching script."));
        match which {
            ScriptCommand::Text => {
                let source = args.at(1);
                let digest = Cache::digest(source);
                if let Some(script) = scripts.cache.get(&digest) {
                    return Ok(Code::Script(script));
                }
                let header = Header::of_script(source).map_err(CommandError::err)?;
                let script = Arc::new(Script { digest, source: source.to_vec(), header, reach: Default::default() });
                Ok(Code::Script(script))
            }
            ScriptCommand::Digest => {
                let digest = Cache::parse(args.at(1)).ok_or_else(no_script)?;
                key_count(which, args)?;
                scripts.cache.get(&digest).map(Code::Script).ok_or_else(no_script)
            }
            ScriptCommand::Function => {
                let found = scripts.functions.find(args.at(1));
                let (library, i) = found.ok_or(CommandError::fixed("ERR Function not found"))?;
                Ok(Code::Function(library, i))
            }
        }
    }

    /// A script or function that has said of itself that it writes nothing.
    pub(super) fn only_reads(&self, entry: &'static Entry, args: Args<'_>) -> bool {
        match entry.command.handler {
            Handler::Script(which) => self.find_code(which, args).is_ok_and(|code| code.rules().no_writes),
            _ => false,
        }
    }

    /// A script or function whose header does not say that it writes nothing.
    pub(super) fn says_it_writes(&self, entry: &'static Entry, args: Args<'_>) -> bool {
        match entry.command.handler {
            Handler::Script(which) => self.find_code(which, args).is_ok_and(|code| {
                let rules = code.rules();
                !rules.compatible && !rules.no_writes
            }),
            _ => false,
        }
    }

    /// What speaks against running it at all. Returns whether it may only read.
    fn may_start(&self, client: &Client, entry: &'static Entry, rules: Rules) -> Result<bool, CommandError> {
        let read_only_call = entry.is(CommandFlags::READONLY);
        if rules.no_cluster && self.node.cluster.is_some() {
            return Err(CommandError::fixed("ERR Can not run script on cluster, 'no-cluster' flag is set."));
        }
        // What a log or a primary says has been judged where it happened first.
        let judged = client.source == Source::Connection;
        if judged && self.gates.stale && !rules.allow_stale {
            return Err(CommandError::fixed(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            ));
        }
        if rules.compatible {
            return Ok(read_only_call);
        }
        if !rules.no_writes {
            self.may_write(client)?;
            if read_only_call {
                return Err(CommandError::fixed("ERR Can not execute a script with write flag using *_ro command."));
            }
        }
        if judged && !rules.allow_oom && !rules.no_writes && self.is_over_memory() {
            return Err(CommandError::fixed("OOM command not allowed when used memory > 'maxmemory'."));
        }
        Ok(rules.no_writes)
    }

    /// What a replica, a primary with too few replicas, or a disk that fails refuses a script that writes.
    fn may_write(&self, client: &Client) -> Result<(), CommandError> {
        if client.source != Source::Connection {
            return Ok(());
        }
        self.check_disk()?;
        if self.gates.too_few_replicas {
            return Err(CommandError::fixed("NOREPLICAS Not enough good replicas to write."));
        }
        if self.gates.readonly {
            return Err(CommandError::fixed("READONLY You can't write against a read only replica."));
        }
        Ok(())
    }

    fn is_over_memory(&self) -> bool {
        self.gates.maxmemory != 0 && self.node.memory_for_data() > self.gates.maxmemory
    }
}

/// How many of the arguments are keys.
fn key_count(which: ScriptCommand, args: Args<'_>) -> Result<usize, CommandError> {
    let Some(n) = crate::base::number::parse_i64(args.at(2)) else {
        return Err(match which {
            ScriptCommand::Function => CommandError::fixed("ERR Bad number of keys provided"),
            _ => CommandError::NotInteger,
        });
    };
    if n > (args.len() - 3) as i64 {
        return Err(CommandError::fixed("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(n).map_err(|_| CommandError::fixed("ERR Number of keys can't be negative"))
}

fn run(
    vm: &mut Vm,
    code: &Code,
    arguments: Arguments<'_>,
    running: &mut Running<'_, '_, '_>,
) -> Result<Returned, Refusal> {
    let scripts = &running.turn.node.scripts;
    match code {
        Code::Script(script) => {
            vm.follow_scripts(scripts.cache.epoch());
            if !running.debugged {
                vm.prepare(script)?;
            }
            let gone =
                if scripts.cache.contains(&script.digest) { 0 } else { scripts.cache.add(Arc::clone(script), false) };
            if gone > 0 {
                running.turn.recorder.counters.add(Counter::EvictedScripts, gone as u64);
            }
            let returned = match running.debugged {
                true => vm.debug(script, arguments, running),
                false => vm.eval(script, arguments, running),
            };
            Ok(returned?)
        }
        Code::Function(library, i) => {
            let functions = &scripts.functions;
            vm.follow_functions(functions.epoch(), |id| functions.is_current(id));
            Ok(vm.call_function(library, *i, arguments, running)?)
        }
    }
}

/// A script that runs: the host of its VM.
struct Running<'t, 'k, 'c> {
    turn: &'t mut Turn<'k>,
    client: &'t mut Client,
    rules: Rules,
    read_only: bool,
    /// Memory was over its limit when the script began.
    over_memory: bool,
    version: Version,
    effects: Effects,
    wrote: bool,
    /// In a cluster: the slot of the keys it has named.
    slot: Option<SlotId>,
    /// The call that runs it.
    call: Args<'c>,
    kind: Kind,
    began: Tick,
    /// Once it has run for a while it can be seen and stopped by others.
    seen: Option<(u64, Arc<RunningScript>)>,
    next_meanwhile_ms: u64,
    /// Its client debugs it.
    debugged: bool,
    /// It holds all locks.
    whole: bool,
    /// What that client has sent and was not understood yet.
    heard: Vec<u8>,
    partial: Partial,
}

/// How often a busy script lets its thread look at the other connections.
const MEANWHILE_EVERY_MS: u64 = 2;
/// A look at whether a script that is debugged was killed, at least; other connections wake its thread.
const DEBUG_WAIT: Duration = Duration::from_millis(50);
/// Between two looks at its client's socket, before that.
const DEBUG_LOOK: Duration = Duration::from_millis(1);
/// A debugger's command is not longer.
const DEBUG_COMMAND_MAX: usize = 1 << 20;

impl Running<'_, '_, '_> {
    fn end(&mut self) {
        if let Some((n, _)) = self.seen.take()
            && self.turn.node.scripts.running.remove(n)
        {
            self.turn.node.keyspace.end_busy();
            // What its commands saw of the server while it was busy holds for nobody behind it.
            let turn = &mut *self.turn;
            turn.gates = Gates::of(turn.node, &turn.config, turn.space.now_ms());
        }
    }

    /// The command that `args` call, if the script may call it.
    fn admit(&mut self, args: Args<'_>) -> Result<&'static Entry, (Option<&'static Entry>, CommandError)> {
        let turn = &mut *self.turn;
        let fixed = CommandError::fixed;
        let Some(named) = turn.node.commands.find(args.at(0)) else {
            return Err((None, fixed("ERR Unknown command called from script")));
        };
        let entry = match turn.node.commands.resolve_known(named, args) {
            Ok(entry) => entry,
            Err(e @ CommandError::UnknownSubcommand { .. }) => return Err((None, e)),
            Err(_) => return Err((None, fixed("ERR Wrong number of args calling command from script"))),
        };
        let refuse = |e| Err((Some(entry), e));
        if entry.is(CommandFlags::NOSCRIPT) && !turn.node.scripts_call_anything.load(Ordering::Relaxed) {
            return refuse(fixed("ERR This Valkey command is not allowed from script"));
        }
        if let Err(text) = turn.permit_nested(self.client, entry, args, self.client.db) {
            return refuse(CommandError::Bytes(format!("ERR {text}").into_bytes()));
        }
        if let Err(e) = turn.record_nested(self.client, entry, args) {
            return refuse(e);
        }
        let anywhere = self.rules.compatible || self.rules.allow_cross_slot_keys;
        if let Err(e) = turn.check_script_slots(&mut self.slot, anywhere, entry, args) {
            return refuse(e);
        }
        if self.read_only && entry.is(CommandFlags::WRITE.or(CommandFlags::MAY_REPLICATE)) {
            return refuse(fixed("ERR Write commands are not allowed from read-only scripts."));
        }
        if entry.is(CommandFlags::WRITE)
            && !self.wrote
            && let Err(e) = turn.may_write(self.client)
        {
            return refuse(e);
        }
        if turn.gates.stale && !entry.is(CommandFlags::STALE) && self.client.source == Source::Connection {
            return refuse(fixed("ERR Can not execute the command on a stale replica"));
        }
        if self.over_memory && !self.wrote && !self.rules.allow_oom && entry.is(CommandFlags::DENYOOM) {
            return refuse(fixed("OOM command not allowed when used memory > 'maxmemory'."));
        }
        Ok(entry)
    }

    /// Runs an admitted command; the turn's reply is the script's own meanwhile.
    fn execute(&mut self, entry: &'static Entry, args: Args<'_>) {
        if entry.is(CommandFlags::WRITE) && !self.wrote {
            self.wrote = true;
            if let Some((_, script)) = &self.seen {
                script.wrote.store(true, Ordering::Release);
            }
        }
        let (turn, client) = (&mut *self.turn, &mut *self.client);
        let mark = turn.reply.mark();
        let effects = turn.space.changes.effects.mark();
        let hash = entry.single_key.map(|i| KeyHash::of(args.at(i as usize)));
        let mut held = true;
        if !self.whole {
            match hash {
                Some(hash) => held = turn.space.holds(hash),
                None => drop(super::for_each_key(client.db, entry, args, |k| held &= turn.space.holds(k.hash))),
            }
        }
        match entry.command.handler {
            _ if !held => {
                // Its text said that this cannot be: better an error than a key without its lock.
                let e = CommandError::fixed("ERR Script attempted to access a key that its call does not declare");
                turn.reply.error(&e.text());
                turn.failed(entry, args, &e);
            }
            Handler::Data(f) | Handler::Whole(f) => {
                let flow = turn.run_data(client, entry, f, args, hash, false, mark);
                debug_assert_eq!(flow, Flow::Next, "scripts do not wait");
                turn.gather(client.db, args);
            }
            Handler::Node(f) | Handler::Span(f) => {
                let flow = turn.run_node(client, entry, f, args, true, mark);
                debug_assert_eq!(flow, Flow::Next, "scripts do not wait");
                turn.gather(client.db, args);
            }
            Handler::Missing(what) => {
                let e = entry.missing(what, turn.node.cluster.is_some());
                turn.reply.error(&e.text());
                turn.failed(entry, args, &e);
            }
            Handler::Transaction(_) | Handler::Script(_) | Handler::Container => {
                let e = CommandError::fixed("ERR This Valkey command is not allowed from script");
                turn.reply.error(&e.text());
                turn.failed(entry, args, &e);
            }
        }
        if self.effects == Effects::NONE {
            turn.space.changes.effects.rewind(effects);
        }
        let now = Tick::now();
        let ns = now.ns_since(turn.last_tick);
        turn.last_tick = now;
        turn.recorder.commands.ran(entry.id as usize, ns, turn.failed, turn.config.latency.latency_tracking);
        turn.failed = false;
        let reply_bytes = turn.reply.len_since(mark);
        if turn.gates.logs(ns, args, reply_bytes) && !entry.is(CommandFlags::SKIP_COMMANDLOG) {
            let now_ms = turn.space.now_ms();
            turn.node.log_command(&client.shared, entry, args, ns, reply_bytes, &turn.config, now_ms);
        }
    }
}

impl Host for Running<'_, '_, '_> {
    fn call(&mut self, args: Args<'_>, reply: &mut Reply) {
        reply.version = self.version;
        match self.admit(args) {
            Ok(entry) => {
                self.client.version = self.version;
                self.client.commands += 1;
                std::mem::swap(&mut self.turn.reply, reply);
                self.execute(entry, args);
                std::mem::swap(&mut self.turn.reply, reply);
            }
            Err((entry, e)) => {
                let text = e.text();
                reply.error(&text);
                self.turn.node.metrics.error(self.turn.recorder, &text);
                if let Some(entry) = entry {
                    self.turn.recorder.commands.rejected(entry.id as usize);
                }
            }
        }
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn set_effects(&mut self, effects: Effects) {
        self.effects = effects;
    }

    fn may_run(&mut self, args: Args<'_>) -> Option<bool> {
        let named = self.turn.node.commands.find(args.at(0))?;
        let entry = match self.turn.node.commands.resolve_known(named, args) {
            Ok(entry) => entry,
            // Rights do not depend on how many arguments there are.
            Err(CommandError::UnknownSubcommand { .. }) => return None,
            Err(_) => named,
        };
        Some(self.turn.would_permit(self.client, entry, args))
    }

    fn poll(&mut self) -> Option<Stop> {
        let now = clock::monotonic_ms();
        let ran_ms = Tick::now().ns_since(self.began) / 1_000_000;
        let node = self.turn.node;
        if self.seen.is_none() {
            let name = match self.kind {
                Kind::Function => String::from_utf8_lossy(self.call.at(1)).into_owned(),
                Kind::Script => String::new(),
            };
            let script = Arc::new(RunningScript {
                kind: self.kind,
                name,
                command: self.call.iter().map(<[u8]>::to_vec).collect(),
                since_ms: now.saturating_sub(ran_ms),
                wrote: AtomicBool::new(self.wrote),
                killed: AtomicBool::new(false),
                busy: AtomicBool::new(false),
            });
            self.seen = Some((node.scripts.running.add(Arc::clone(&script)), script));
        }
        let (_, script) = self.seen.as_ref()?;
        let threshold = self.turn.config.general.busy_reply_threshold_ms;
        if threshold > 0 && ran_ms >= threshold {
            let new = node.scripts.running.set_busy(script);
            if new {
                node.keyspace.begin_busy();
            }
            if new && !self.debugged {
                tracing::warn!(
                    "Slow script detected: still in execution after {} milliseconds. You can try killing it with {} KILL.",
                    ran_ms,
                    if self.kind == Kind::Function { "FUNCTION" } else { "SCRIPT" }
                );
            }
            // From here on TIME goes on: a script that waits for it to pass comes to its end, as everywhere else.
            self.client.step_us = clock::wall_us();
            // The connections of this thread would have nobody else.
            if now >= self.next_meanwhile_ms {
                self.next_meanwhile_ms = now + MEANWHILE_EVERY_MS;
                meanwhile::serve(Duration::ZERO);
            }
        }
        if self.debugged
            && self.heard.len() < DEBUG_COMMAND_MAX
            && meanwhile::with(|session| session.talk(&mut self.client.output, &mut self.heard)) == Some(false)
        {
            // Nobody is left who could stop it where it does not stop by itself.
            return Some(Stop::Killed);
        }
        let stop = script.killed.load(Ordering::Acquire) || node.shutdown.load(Ordering::Acquire);
        stop.then_some(Stop::Killed)
    }

    fn debug_exchange(&mut self, message: &[u8]) -> Received {
        self.client.output.push(message);
        loop {
            // Who does not read is not heard: no more waits for him than one answer.
            if self.client.output.is_empty() && !self.heard.is_empty() {
                match self.next_command() {
                    Ok(Some(words)) => return Received::Command(words),
                    Ok(None) => {}
                    Err(()) => return Received::BadProtocol,
                }
            }
            let (had, left) = (self.heard.len(), self.client.output.len());
            let there = meanwhile::with(|session| session.talk(&mut self.client.output, &mut self.heard));
            if there != Some(true) {
                return Received::Gone;
            }
            if self.poll().is_some() {
                return Received::Stop;
            }
            if self.heard.len() == had && self.client.output.len() == left {
                // Until the server is busy the others wait for the locks, as they do for any script: none of them may be run here.
                if self.seen.as_ref().is_some_and(|(_, script)| script.busy.load(Ordering::Acquire)) {
                    meanwhile::serve(DEBUG_WAIT);
                } else {
                    std::thread::sleep(DEBUG_LOOK);
                }
            }
        }
    }
}

impl Running<'_, '_, '_> {
    /// The next command of the debugger's client, if it is there whole.
    fn next_command(&mut self) -> Result<Option<Vec<Vec<u8>>>, ()> {
        let limits = Limits { bulk_len_max: DEBUG_COMMAND_MAX, authenticated: true };
        loop {
            if self.heard.first().is_some_and(|b| *b != b'*') || self.heard.len() > DEBUG_COMMAND_MAX {
                return Err(());
            }
            let mut spans = Vec::new();
            match parse(&self.heard, &mut self.partial, &mut spans, limits) {
                Ok(Parsed::Request { bytes }) => {
                    let words: Vec<_> = spans.iter().map(|s| s.of(&self.heard).to_vec()).collect();
                    self.heard.drain(..bytes);
                    if !words.is_empty() {
                        return Ok(Some(words));
                    }
                }
                Ok(Parsed::Incomplete) => return Ok(None),
                Ok(Parsed::Inline { .. }) | Err(_) => return Err(()),
            }
        }
    }
}
