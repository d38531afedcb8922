//! Connections whose command runs [aside](crate::session::aside): how they leave and how they come back.

use super::Worker;
use super::execute::deadline;
use crate::client::Message;
use crate::engine::Flow;
use crate::metrics::counters::Counter;
use crate::resp::args::OwnedArgs;
use crate::session::aside::{Job, Returned};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Worker {
    /// Hands a connection over: `request` is run where nobody waits for it.
    #[cold]
    pub(super) fn hand_over(&mut self, i: usize, request: OwnedArgs) {
        let Some(mut connection) = self.connections[i].take() else { return };
        // It is listed again when it is back.
        connection.listed = false;
        self.ready.retain(|r| *r != i);
        self.held.retain(|r| *r != i);
        self.away.insert(connection.client.id, Vec::new());
        self.aside.put(Job { connection, place: i, request, desk: Arc::clone(&self.desk) });
    }

    /// Keeps messages for those who are away. They are few: nobody else can be told of by name.
    pub(super) fn keep_for_later(&mut self, messages: Vec<Message>) -> Vec<Message> {
        if self.away.is_empty() {
            return messages;
        }
        let mut others = Vec::with_capacity(messages.len());
        for m in messages {
            match m.client().and_then(|id| self.away.get_mut(&id)) {
                Some(its) => its.push(m),
                None => others.push(m),
            }
        }
        others
    }

    /// Takes back those whose command has run.
    #[cold]
    pub(super) fn take_back(&mut self, now_mono: u64, now_ms: i64) {
        for Returned { connection, place: i, flow, request } in self.desk.take() {
            let id = connection.client.id;
            let messages = self.away.remove(&id).unwrap_or_default();
            let c = self.connections[i].insert(connection);
            c.client.last_active_ms = now_mono;
            let shared = &c.client.shared;
            shared.last_ms.store(now_ms, Ordering::Relaxed);
            let n = std::mem::take(&mut c.client.commands);
            shared.commands.fetch_add(n, Ordering::Relaxed);
            self.recorder.counters.add(Counter::CommandsProcessed, n);
            if flow == Flow::Paused {
                // Not run: it is the first thing to look at when the pause ends.
                c.client.read_first(&request);
                c.client.paused = true;
                self.node.clients.set_paused(&c.client.shared, true);
                self.paused.push(i);
            }
            if flow == Flow::Blocked {
                self.deadlines.extend(deadline(&c.client));
            }
            if c.held || (!c.client.output.is_empty() && self.node.holds_replies(c.client.written)) {
                // Not before what it has changed is on disk.
                c.held = true;
                self.held.push(i);
            }
            self.drain(i);
            self.deliver(messages, now_mono);
            self.list(i);
        }
    }
}
