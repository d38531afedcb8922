//! MULTI, EXEC, DISCARD, WATCH.
//!
//! EXEC takes the locks of all keys of its queue, and of the keys it watched, at once; then it looks whether a watched key has changed, and
//! runs the queue without letting go. So nobody sees half of it, and it sees nobody's half.

use super::Turn;
use crate::base::clock;
use crate::client::Client;
use crate::commands::error::Outcome;
use crate::commands::table::{Handler, TransactionCommand};
use crate::commands::{CommandError, Entry};
use crate::keyspace::{Key, Plan};
use crate::resp::args::Args;
use crate::resp::reply::Mark;
use crate::spec::CommandFlags;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Turn<'_> {
    pub(super) fn run_transaction(
        &mut self,
        client: &mut Client,
        which: TransactionCommand,
        entry: &'static Entry,
        args: Args<'_>,
        mark: Mark,
    ) {
        let outcome = match which {
            TransactionCommand::Multi => self.multi(client),
            TransactionCommand::Exec => self.exec(client, entry, args),
            TransactionCommand::Discard => self.discard(client),
            TransactionCommand::Watch => self.watch(client, args),
            TransactionCommand::Unwatch => {
                self.forget_watched(client);
                self.reply.ok();
                Ok(())
            }
        };
        if let Err(e) = outcome {
            self.reply.rewind(mark);
            self.reply.error(&e.text());
            self.failed(entry, args, &e);
        }
        let t = &client.transaction;
        client.shared.multi.store(if t.open { t.queue.len() as i64 } else { -1 }, Ordering::Relaxed);
        client.shared.watching.store(t.watched.len() as u32, Ordering::Relaxed);
    }

    fn multi(&mut self, client: &mut Client) -> Outcome {
        client.transaction.open = true;
        self.reply.ok();
        Ok(())
    }

    fn discard(&mut self, client: &mut Client) -> Outcome {
        if !client.in_multi() {
            return Err(CommandError::fixed("ERR DISCARD without MULTI"));
        }
        self.close(client);
        self.reply.ok();
        Ok(())
    }

    /// Ends a transaction and what it watched.
    pub fn close(&mut self, client: &mut Client) {
        client.end_transaction(&self.node.keyspace);
    }

    pub fn forget_watched(&mut self, client: &mut Client) {
        client.forget_watched(&self.node.keyspace);
    }

    fn watch(&mut self, client: &mut Client, args: Args<'_>) -> Outcome {
        let db = client.db;
        let flag = Arc::clone(client.transaction.flag.get_or_insert_default());
        for name in args.from(1).iter() {
            let t = &mut client.transaction;
            let MapEntry::Vacant(place) = t.watched.entry((db, name.to_vec())) else { continue };
            let key = Key::new(db, name);
            if !self.space.lock_stripe_unless_busy(key.hash.stripe) {
                return Err(self.busy());
            }
            // A key past its deadline that is still there: its going is no change. Nor is it one where none was, and SWAPDB brings such a key.
            let now = self.space.now_ms();
            let there = self.space.stripe(key.hash.stripe).database(db).table.get_at(key.hash.path, name);
            let dead = there.is_none_or(|r| r.deadline().is_some_and(|d| d <= now));
            self.space.watch(key, &flag);
            self.space.unlock();
            place.insert(dead);
            t.watched_bytes += name.len() + crate::client::NAME_BYTES;
        }
        self.reply.ok();
        Ok(())
    }

    fn exec(&mut self, client: &mut Client, exec: &'static Entry, args: Args<'_>) -> Outcome {
        if !client.in_multi() {
            return Err(CommandError::fixed("ERR EXEC without MULTI"));
        }
        if client.transaction.broken {
            self.close(client);
            return Err(CommandError::fixed("EXECABORT Transaction discarded because of previous errors."));
        }
        client.step_us = clock::wall_us();
        let mut queue = std::mem::take(&mut client.transaction.queue);
        let entries: Vec<&'static Entry> = queue.iter().filter_map(|q| self.node.commands.by_id(q.command)).collect();
        let (mut plan, mut keys) = (Plan::None, Vec::new());
        let mut db = client.db;
        for (q, entry) in queue.iter().zip(&entries) {
            match entry.command.handler {
                Handler::Whole(_) | Handler::Span(_) | Handler::Script(_) => plan = Plan::All,
                Handler::Node(_) if entry.is(CommandFlags::WRITE) => plan = Plan::All,
                Handler::Data(_) if entry.is(CommandFlags::ARBITRARY_KEYS) && entry.reaches_any_key(q.args.args()) => {
                    plan = Plan::All;
                }
                _ => {}
            }
            super::for_each_key(db, entry, q.args.args(), |k| {
                plan.add(k.hash.stripe);
                keys.push((db, k.name.to_vec()));
            })?;
            if entry.name == "select" {
                // Keys after it are in another database; which stripe they are in does not depend on that.
                db = q.args.args().get(1).and_then(crate::base::number::parse_i64).map_or(db, |n| n as u32);
            }
        }
        for (db, name) in client.transaction.watched.keys() {
            plan.add(Key::new(*db, name).hash.stripe);
        }
        let scripted = entries.iter().any(|e| matches!(e.command.handler, Handler::Script(_)));
        let alone = if scripted { self.node.keyspace.alone() } else { None };
        if (scripted && alone.is_none()) || !self.lock_with_waiters_of(client, plan, keys) {
            self.close(client);
            return Err(CommandError::Bytes(aborted(&self.busy().text())));
        }
        if self.space.epoch != self.gates.epoch {
            // It is judged by what it would run.
            client.transaction.queue = queue;
            if !self.still_admitted(client, exec, args) {
                self.close(client);
                return Ok(());
            }
            queue = std::mem::take(&mut client.transaction.queue);
        }
        if self.watched_key_changed(client) {
            self.space.unlock();
            self.close(client);
            self.reply.null_array();
            return Ok(());
        }
        // From here on the watched keys are ours to change.
        let open = std::mem::take(&mut client.transaction.open);
        debug_assert!(open);
        self.reply.array(queue.len());
        let exec = client.shared.last_command.load(std::sync::atomic::Ordering::Relaxed);
        for (q, entry) in queue.iter().zip(entries) {
            self.run_queued(client, entry, q.args.args());
            // What runs the queue is what the client is seen to run, before each of its commands and after the last.
            client.shared.last_command.store(exec, std::sync::atomic::Ordering::Relaxed);
        }
        if !self.space.changes.ready.is_empty() {
            self.serve_waiters();
        }
        self.append();
        self.space.unlock();
        self.close(client);
        Ok(())
    }

    /// Under the locks: has a watched key changed, or has its time come since it was watched?
    fn watched_key_changed(&mut self, client: &Client) -> bool {
        let t = &client.transaction;
        if t.flag.as_ref().is_some_and(|f| f.is_raised()) {
            return true;
        }
        let now = self.space.now_ms();
        t.watched.iter().any(|((db, name), dead)| {
            let key = Key::new(*db, name);
            let r = self.space.stripe(key.hash.stripe).database(*db).table.get_at(key.hash.path, name);
            !dead && r.and_then(|r| r.deadline()).is_some_and(|d| d <= now)
        })
    }

    fn run_queued(&mut self, client: &mut Client, entry: &'static Entry, args: Args<'_>) {
        let mark = self.reply.mark();
        if let Err(e) = self.permit_queued(client, entry, args) {
            self.reply.error(&e.text());
            self.node.metrics.error(self.recorder, &e.text());
            self.recorder.commands.rejected(entry.id as usize);
            return;
        }
        client.last_command(entry.id);
        if self.gates.monitored && entry.is(CommandFlags::SKIP_MONITOR) {
            self.show(client, entry, args);
        }
        match entry.command.handler {
            Handler::Data(f) | Handler::Whole(f) => {
                let flow = self.run_data(client, entry, f, args, None, false, mark);
                debug_assert_eq!(flow, super::Flow::Next);
                self.gather(client.db, args);
            }
            Handler::Node(f) | Handler::Span(f) => {
                let flow = self.run_node(client, entry, f, args, true, mark);
                debug_assert_eq!(flow, super::Flow::Next);
                self.gather(client.db, args);
            }
            Handler::Script(which) => {
                self.run_script(client, which, entry, args, true, mark);
            }
            Handler::Transaction(TransactionCommand::Unwatch) => {
                // Inside EXEC nothing is watched any more.
                self.reply.ok();
            }
            Handler::Transaction(_) | Handler::Container => {
                self.reply.error(&CommandError::wrong_arity(&entry.name).text());
            }
            Handler::Missing(what) => {
                let e = entry.missing(what, self.node.cluster.is_some());
                self.reply.error(&e.text());
                self.failed(entry, args, &e);
            }
        }
        self.account(client, entry, args, mark, super::Flow::Next);
    }
}

/// What EXEC says when it is refused, and the transaction with it. Where it is sent elsewhere, or its keys are, that alone counts.
pub(super) fn aborted(why: &[u8]) -> Vec<u8> {
    const WHERE: [&[u8]; 6] = [b"REDIRECT ", b"CROSSSLOT ", b"CLUSTERDOWN ", b"MOVED ", b"ASK ", b"TRYAGAIN "];
    let says_so = why.starts_with(b"EXECABORT ") || WHERE.iter().any(|code| why.starts_with(code));
    if says_so {
        return why.to_vec();
    }
    [b"EXECABORT Transaction discarded because of: ".as_slice(), why.strip_prefix(b"ERR ").unwrap_or(why)].concat()
}
