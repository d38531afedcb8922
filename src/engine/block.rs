//! Waiting for keys.
//!
//! A blocked command stands in the [`WaitList`](crate::client::WaitList) with its arguments. A command that changes one of its keys runs it again, in its
//! stead, before letting go of the locks; the reply travels to the worker that owns the client.
//!
//! # Invariants
//! * A command joins the list under the locks of its keys, so no change falls between looking and waiting.
//! * Whoever takes a waiter off the list (a server, the clock, CLIENT UNBLOCK, the client's end) answers it; nobody else does.
//! * Waiters of a key are served in the order in which they came.
//! * Serving may change keys that others wait for (BLMOVE): they are locked beforehand, and served in the same step.

use super::Turn;
use crate::client::{BlockRequest, Blocked, Client, Message, TimeoutReply, Waiter};
use crate::commands::table::Handler;
use crate::commands::{CommandError, DataContext, Entry, Site};
use crate::keyspace::{Key, KeyHash, Plan};
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use crate::spec::CommandFlags;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Turn<'_> {
    /// Puts a client whose command found nothing on the list; the locks of its keys are held.
    pub(super) fn wait(&mut self, client: &mut Client, entry: &'static Entry, args: Args<'_>, request: BlockRequest) {
        client.next_token += 1;
        let token = client.next_token;
        let now = crate::base::clock::monotonic_ms();
        client.blocked = Some(Blocked {
            token,
            // The clock's millisecond has begun: with one more nobody is told before his time is up.
            until_ms: (request.timeout_ms > 0).then(|| now.saturating_add(request.timeout_ms).saturating_add(1)),
            timeout_reply: request.timeout_reply,
            command: entry.id,
        });
        client.shared.blocked.store(true, Ordering::Relaxed);
        let waiter = Waiter {
            client: Arc::clone(&client.shared),
            token,
            command: entry.id,
            args: Arc::new(request.args.unwrap_or_else(|| args.to_owned())),
            db: client.db,
            user: Arc::clone(&client.user),
            version: client.version,
            keys: request.keys,
            has_deadline: request.timeout_ms > 0,
            needs_key: request.needs_key,
        };
        self.node.waiting.add(&self.node.keyspace, waiter);
        if matches!(request.timeout_reply, TimeoutReply::Replicas { .. } | TimeoutReply::Disks { .. }) {
            let node = self.node;
            node.replication.replicas.wait(&client.shared, token, request.timeout_reply, &node.answers());
        }
    }

    /// Takes the locks of `plan` and of all keys that waiters on the command's keys would touch. False, and nothing held, if a busy
    /// script keeps them.
    pub(super) fn lock_with_waiters(
        &mut self,
        client: &Client,
        plan: Plan,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> bool {
        if !self.lock(client, &plan) {
            return false;
        }
        if !self.node.keyspace.is_waited_for() {
            return true;
        }
        self.space.unlock();
        let (mut keys, db): (Vec<(u32, Vec<u8>)>, u32) = (Vec::new(), client.db);
        let _ = super::for_each_key(db, entry, args, |k| keys.push((db, k.name.to_vec())));
        self.lock_with_waiters_of(client, plan, keys)
    }

    /// The same for several commands' keys.
    pub(super) fn lock_with_waiters_of(&mut self, client: &Client, mut plan: Plan, keys: Vec<(u32, Vec<u8>)>) -> bool {
        loop {
            if !self.lock(client, &plan) {
                return false;
            }
            if plan == Plan::All || !keys.iter().any(|(_, k)| self.node.keyspace.may_be_waited_for(KeyHash::of(k))) {
                return true;
            }
            let mut wider = plan.clone();
            // Each waiter and each key is looked at once: a thousand workers may wait for the same fifty queues.
            let mut seen: HashMap<u32, HashSet<Vec<u8>>> = HashMap::new();
            let (mut met, mut open) = (HashSet::new(), keys.clone());
            for (db, key) in &keys {
                seen.entry(*db).or_default().insert(key.clone());
            }
            while let Some((db, key)) = open.pop() {
                for n in self.node.waiting.of_key(db, &key) {
                    if !met.insert(n) {
                        continue;
                    }
                    let Some(waiting) = self.node.waiting.call(n) else { continue };
                    let Some(entry) = self.node.commands.by_id(waiting.command) else { continue };
                    let seen = seen.entry(waiting.db).or_default();
                    let _ = super::for_each_key(waiting.db, entry, waiting.args.args(), |k| {
                        wider.add(k.hash.stripe);
                        if !seen.contains(k.name) {
                            seen.insert(k.name.to_vec());
                            open.push((waiting.db, k.name.to_vec()));
                        }
                    });
                }
            }
            if wider == plan {
                return true;
            }
            // Never upgraded: all go, and the wider plan is taken from the start. Who waits may have changed meanwhile.
            self.space.unlock();
            plan = wider;
        }
    }

    /// What a handler that locks for itself has put in place of whole databases: who waits there is served now. Left for the next
    /// command, which holds the locks of its own keys alone, they would be keys it may not touch.
    #[cold]
    pub(super) fn serve_databases(&mut self, db: u32, args: Args<'_>) {
        self.space.lock(&Plan::All);
        self.gather(db, args);
        self.serve_waiters();
        self.append();
        self.space.unlock();
        self.after_unlock();
    }

    /// Serves the waiters of the keys that changed, in order, until none of them can go on.
    #[cold]
    pub(super) fn serve_waiters(&mut self) {
        loop {
            let ready = std::mem::take(&mut self.space.changes.ready);
            if ready.is_empty() {
                return;
            }
            for (db, key) in ready {
                if self.is_past_deadline(db, &key) {
                    continue;
                }
                for n in self.node.waiting.of_key(db, &key) {
                    // Taken by who came before: there is nothing left for the others, and they need not be asked one by one.
                    if self.is_there(db, &key) || self.node.waiting.needs_key(n) {
                        self.serve(n);
                    }
                }
            }
        }
    }

    fn is_there(&mut self, db: u32, name: &[u8]) -> bool {
        let key = Key::new(db, name);
        self.space.stripe(key.hash.stripe).database(db).table.get_at(key.hash.path, name).is_some()
    }

    /// A key whose time came while the step ran is none to be served from: who waits for it waits on, and it goes as any key does.
    fn is_past_deadline(&mut self, db: u32, name: &[u8]) -> bool {
        let key = Key::new(db, name);
        let record = self.space.stripe(key.hash.stripe).database(db).table.get_at(key.hash.path, name);
        // The step's own clock stood still: what it took counts here.
        record.and_then(|r| r.deadline()).is_some_and(|d| d <= crate::base::clock::wall_ms())
    }

    /// Runs a waiter's command; answers it if it found something.
    fn serve(&mut self, n: u64) {
        let Some(waiting) = self.node.waiting.call(n) else { return };
        let Some(entry) = self.node.commands.by_id(waiting.command) else { return };
        let Handler::Data(f) = entry.command.handler else { return };
        let (args, db, version) = (waiting.args.args(), waiting.db, waiting.version);
        let mut covered = true;
        let _ = super::for_each_key(db, entry, args, |k| covered &= self.space.holds(k.hash));
        if !covered {
            // Its keys are not locked: it joined after the locks were taken, so what it waits for is another change.
            return;
        }
        let mut reply = Reply::new(version);
        if let Err(e) = self.permit_waiter(&waiting.user, &waiting.client, entry, args, db) {
            let Some(waiter) = self.node.waiting.take(&self.node.keyspace, n) else { return };
            reply.error(&e.text());
            self.node.metrics.error(self.recorder, &e.text());
            self.recorder.commands.rejected(entry.id as usize);
            let (client, token) = (waiter.client.id, waiter.token);
            self.node.clients.send(&waiter.client, Message::Served { client, token, reply });
            return;
        }
        let mut cx = DataContext {
            args,
            space: &mut self.space,
            reply: &mut reply,
            config: &self.config,
            db,
            entry,
            // Nothing that waits reads keys it does not name.
            reads_any_key: false,
            hash: None,
            may_block: true,
            block: None,
            site: Site::default(),
            prepared: &mut None,
        };
        let begin = crate::base::clock::Tick::now();
        let outcome = f(&mut cx);
        let ns = crate::base::clock::Tick::now().ns_since(begin);
        // A key that holds another type is as good as no key; any other error is the answer.
        let still_waiting = cx.block.is_some() || outcome == Err(CommandError::WrongType);
        if still_waiting {
            // A reader of a group may have made its consumer.
            self.gather(db, args);
            return;
        }
        let Some(waiter) = self.node.waiting.take(&self.node.keyspace, n) else {
            // Taken off by the clock between the two locks of the list: only its worker does that, and it answers "nothing". What was
            // popped for it is lost to it, as it would be if the answer had been on its way when it left.
            self.gather(db, args);
            return;
        };
        if self.node.keyspace.is_tracked() && self.node.tracking.notes_reads_of(waiter.client.id) {
            self.note_reads_as(waiter.client.id, db, entry, args);
        }
        if let Err(e) = &outcome {
            reply.clear();
            reply.error(&e.text());
            self.node.metrics.error(self.recorder, &e.text());
        }
        let tracked = self.config.latency.latency_tracking;
        self.recorder.commands.ran(entry.id as usize, ns, outcome.is_err(), tracked);
        if self.gates.logs(ns, args, reply.buf.len()) && !entry.is(CommandFlags::SKIP_COMMANDLOG) {
            let (bytes, now_ms) = (reply.buf.len(), self.space.now_ms());
            self.node.log_command(&waiter.client, entry, args, ns, bytes, &self.config, now_ms);
        }
        self.node
            .clients
            .send(&waiter.client, Message::Served { client: waiter.client.id, token: waiter.token, reply });
        // What it changed is told behind its reply.
        self.gather(db, args);
    }

    /// True if the key of a wait exists in this database; for tests of the list's invariants.
    pub fn waits_for(&self, key: Key<'_>) -> bool {
        !self.node.waiting.of_key(key.db, key.name).is_empty()
    }
}
