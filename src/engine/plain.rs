//! The short way of plain commands: those of one key, on a worker, of a client nothing special is to be known of.
//!
//! Most commands are such, and most of what the gates ask has one answer for all of a client's commands in a turn. It is asked once,
//! when the client is met, and again behind each command that goes the long way: only such a command changes what is asked.
//!
//! # Invariants
//! * What goes this way does the same as on the long way. Whatever is not plain (a lock that is not free, somebody who waits for the key, a
//!   history that has changed) is found before the handler runs, and nothing has happened then: the long way begins anew.
//! * `plain` is false wherever the answer may change without a command of this client: it is never kept beyond a client's run.

use super::{Flow, Turn};
use crate::client::{Client, ReplyMode, Source};
use crate::commands::{DataContext, Entry, Site};
use crate::keyspace::KeyHash;
use crate::resp::args::Args;
use crate::resp::reply::Version;

impl Turn<'_> {
    /// Asks what plain commands of this client need not ask.
    pub(super) fn look_at(&mut self, client: &Client) {
        self.plain = self.gates.open
            && self.site == Site::Worker
            && client.source == Source::Connection
            && client.trusted
            && !client.in_multi()
            && client.reply_mode == ReplyMode::On
            && (client.version == Version::Resp3 || client.subscriptions.is_empty())
            && client.tracking.is_none()
            && !(client.monitor || client.attached || client.asking || client.import_source);
        self.reply.version = client.version;
        self.space.no_touch = client.no_touch;
        self.space.visits_expired = false;
        self.current = client.id;
    }

    /// Runs a request if it is plain. `None`: nothing has happened.
    #[inline(always)]
    pub fn run_plain(
        &mut self,
        client: &mut Client,
        entry: Option<&'static Entry>,
        args: Args<'_>,
        hash: Option<KeyHash>,
    ) -> Option<Flow> {
        let (entry, hash) = (entry?, hash?);
        let f = entry.plain?;
        if !self.plain || !entry.spec().accepts(args.len()) {
            return None;
        }
        if self.gates.maxmemory != 0 && self.make_memory(client, entry).is_err() {
            return None;
        }
        if !self.space.lock_stripe_unless_busy(hash.stripe) {
            return None;
        }
        // Under the lock: see the long way.
        if self.node.keyspace.may_be_waited_for(hash) || self.space.epoch != self.gates.epoch {
            self.space.unlock();
            return None;
        }
        let mark = self.reply.mark();
        client.commands += 1;
        client.last_command(entry.id);
        let mut cx = DataContext {
            args,
            space: &mut self.space,
            reply: &mut self.reply,
            config: &self.config,
            db: client.db,
            entry,
            reads_any_key: true,
            obeys: false,
            hash: Some(hash),
            may_block: true,
            block: None,
            site: Site::Worker,
            prepared: &mut self.prepared,
        };
        let outcome = f(&mut cx);
        let block = cx.block.take();
        // Nothing is left in it that would have to be dropped.
        std::mem::forget(cx);
        let mut flow = Flow::Next;
        if let (Ok(()), None) = (&outcome, &block) {
            // Nor in these.
            std::mem::forget((outcome, block));
            if self.space.changes.is_nothing() {
                self.space.unlock();
                self.account(client, entry, args, mark, Flow::Next);
                return Some(Flow::Next);
            }
            if !self.space.changes.is_own() {
                flow = self.settle(client, entry, args, Ok(()), None, mark);
            }
        } else {
            flow = self.settle(client, entry, args, outcome, block, mark);
        }
        self.commit(client.db, args);
        self.space.unlock();
        if !self.space.changes.is_plain() {
            self.after_unlock();
        }
        if flow == Flow::Aside {
            client.commands -= 1;
            return Some(flow);
        }
        self.account(client, entry, args, mark, flow);
        if flow == Flow::Blocked {
            // Counted when it is answered.
            client.commands -= 1;
        }
        if self.offset > 0 {
            client.written = std::mem::take(&mut self.offset);
        }
        Some(flow)
    }
}
