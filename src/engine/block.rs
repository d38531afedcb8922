//! Waiting for keys.
//!
//! A blocked command stands in the [`WaitList`](crate::client::WaitList) with its arguments. A command that changes one of its keys runs it again, in its
//! stead, before letting go of the locks; the reply travels to the worker that owns the client.
//!
//! # Invariants
//! * A command joins the list under the locks of its keys, so no change falls between looking and waiting.
//! * Whoever takes a waiter off the list (a server, the clock, CLIENT UNBLOCK, the client's end) answers it; nobody else does.
//! * Waiters of a key are served in the order in which they came.
//! * Who waits has nothing at any of his keys: whatever step gives one of them something serves him before it ends. So of the keys of a waiter
//!   those alone are looked at that the step has locked ([`Site::Served`]), and a step locks nothing for those who only take from the key they
//!   wait for, how many keys they ever wait for.
//! * Serving may change keys that others wait for (BLMOVE): they are locked beforehand, and served in the same step.
//! * A step looks at as many waiters as it can serve, and at no more: it ends with the first that finds nothing left.

use super::Turn;
use crate::client::{BlockRequest, Blocked, Client, Message, TimeoutReply, Waiter};
use crate::commands::table::Handler;
use crate::commands::{CommandError, DataContext, Entry, Site};
use crate::keyspace::{Key, KeyHash, Plan};
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use crate::spec::CommandFlags;
use std::collections::HashSet;
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
        let target = target(client.db, entry, args, &request.keys);
        let waiter = Waiter {
            client: Arc::clone(&client.shared),
            token,
            command: entry.id,
            args: Arc::new(request.args.unwrap_or_else(|| args.to_owned())),
            db: client.db,
            user: Arc::clone(&client.user),
            version: client.version,
            keys: request.keys,
            target,
            has_deadline: request.timeout_ms > 0,
            needs_key: request.needs_key,
        };
        self.node.waiting.add(&self.node.keyspace, waiter);
        use TimeoutReply::{Disks, Replicas, Run};
        if matches!(request.timeout_reply, Replicas { .. } | Disks { .. } | Run { .. }) {
            let node = self.node;
            node.replication.replicas.wait(&client.shared, token, request.timeout_reply, &node.answers());
        }
    }

    /// Takes the locks of `plan` and of all keys that waiters on the command's keys would change. False, and nothing held, if a busy
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
        if !self.node.waiting.has_moving() {
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
            if plan == Plan::All || !self.node.waiting.has_moving() {
                return true;
            }
            let mut wider = plan.clone();
            // Each key is looked at once: its waiters' targets may be waited for in their turn.
            let (mut seen, mut open): (HashSet<_>, _) = (keys.iter().cloned().collect(), keys.clone());
            while let Some((db, key)) = open.pop() {
                if !self.node.keyspace.may_be_waited_for(KeyHash::of(&key)) {
                    continue;
                }
                for target in self.node.waiting.targets(db, &key) {
                    let target = (db, target);
                    if !seen.contains(&target) {
                        wider.add(KeyHash::of(&target.1).stripe);
                        seen.insert(target.clone());
                        open.push(target);
                    }
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
            // What a command has changed several times is ready once.
            let mut seen = HashSet::with_capacity(ready.len());
            for (db, key) in ready {
                if !seen.insert((db, key.clone())) || self.is_past_deadline(db, &key) {
                    continue;
                }
                let mut last = 0;
                // Taken by who came before: there is nothing left for the others, and they need not be asked one by one.
                while let Some(n) = self.node.waiting.after(last, db, &key, !self.is_there(db, &key)) {
                    self.serve(n);
                    last = n;
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
        if waiting.target.is_some_and(|target| !self.space.holds(KeyHash::of(&target))) {
            // What it changes is not locked: it joined after the locks were taken, so what it waits for is another change.
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
            obeys: false,
            hash: None,
            may_block: true,
            block: None,
            site: Site::Served,
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
        self.node.waiting.has(key.db, key.name)
    }
}

/// The key a command changes and does not wait for: that of commands which name their keys in two places.
fn target(db: u32, entry: &Entry, args: Args<'_>, keys: &[Vec<u8>]) -> Option<Vec<u8>> {
    if entry.spec().key_specs.len() < 2 {
        return None;
    }
    let mut found = None;
    let _ = super::for_each_key(db, entry, args, |k| {
        if !keys.iter().any(|waited_for| waited_for == k.name) {
            found = Some(k.name.to_vec());
        }
    });
    found
}
