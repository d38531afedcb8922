//! What a worker is told by others: connections that were accepted, replies to those who waited, messages of channels, orders to close.

use super::Worker;
use crate::acl::Acl;
use crate::base::clock;
use crate::client::{Client, Message, Shared, SubscriptionKind, TimeoutReply};
use crate::commands::Node;
use crate::config::Config;
use crate::metrics::counters::Counter;
use crate::net::Stream;
use crate::net::doors::Arrival;
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Reply;
use crate::session::connection::Connection;
use crate::spec::CommandFlags;
use mio::{Interest, Token};
use std::cmp::Reverse;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Published messages up to this size are copied into a subscriber's output: small ones are joined that way.
const PUBLISHED_COPY_MAX: usize = 1024;

const NO_REPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";

const ROLE_LOST: &str = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

impl Worker {
    pub(super) fn attach(&mut self, arrival: Arrival, now_mono: u64) {
        let Arrival { mut stream, spoke, peer, local } = arrival;
        let i = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        // Whether it is writable is asked when something is left to write.
        if let Err(e) = self.poll.registry().register(&mut stream, Token(i + 1), Interest::READABLE) {
            tracing::warn!("A connection could not be watched: {e}");
            self.free.push(i);
            self.mailbox.count_gone();
            self.node.clients.release();
            return;
        }
        let id = self.node.clients.next_id();
        let shared = Shared::new(id, self.id, peer, local, i64::from(stream.as_raw_fd()), clock::wall_ms());
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
            more: false,
            asks_room: false,
            handshaking,
            hung_up: false,
            eof: false,
            held: false,
            unsent: false,
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
        } else if spoke {
            self.list(i);
        }
    }

    pub(super) fn read_mailbox(&mut self, now_mono: u64) {
        let mut messages = self.mailbox.take();
        if let Some(id) = self.runs_for {
            // Its connection is with its script.
            let (its, others) = messages.into_iter().partition(|m| m.client() == Some(id));
            let mut its: Vec<Message> = its;
            self.later.append(&mut its);
            messages = others;
        }
        messages = self.keep_for_later(messages);
        self.deliver(messages, now_mono);
    }

    pub(super) fn deliver(&mut self, messages: Vec<Message>, now_mono: u64) {
        // Connections that got messages: each is sent all of them at once.
        let mut told: Vec<usize> = Vec::new();
        for message in messages {
            match message {
                Message::Attach(arrival) => self.attach(*arrival, now_mono),
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
                Message::OverLimit { client } => {
                    let Some(&i) = self.by_id.get(&client) else { continue };
                    if let Some(c) = self.connections[i].as_mut() {
                        super::output::over_limit(&mut c.client, 0, &mut self.recorder);
                        self.finish(i);
                    }
                }
                Message::Served { client, token, reply } => self.answer(client, Some(token), reply, now_mono),
                Message::Again { client, token, request } => self.again(client, token, &request),
                Message::Unblock { client, error } => self.unblock(client, error, now_mono),
                Message::RoleLost { client } => self.role_lost(client, now_mono),
                Message::LostShardChannel { client, name } => {
                    let Some(&i) = self.by_id.get(&client) else { continue };
                    let Some(c) = self.connections[i].as_mut() else { continue };
                    if self.node.pubsub.unsubscribe(&mut c.client, SubscriptionKind::Shard, &name) {
                        let mut reply = Reply::new(c.client.version);
                        reply.push(3);
                        reply.bulk(b"sunsubscribe");
                        reply.bulk(&name);
                        reply.integer(c.client.subscriptions.counted(SubscriptionKind::Shard) as i64);
                        c.client.output.push(&reply.buf);
                        if told.last() != Some(&i) {
                            told.push(i);
                        }
                    }
                }
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
                        self.feed_soon(i);
                    }
                }
                Message::Sync { client, start } => {
                    let Some(&i) = self.by_id.get(&client) else { continue };
                    let Some(c) = self.connections[i].as_mut() else { continue };
                    c.client.output.push(&start.head);
                    (c.client.copy, c.client.feed) = (Some(start.copy), start.cursor);
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
    pub(super) fn answer(&mut self, client: u64, token: Option<u64>, reply: Reply, now_mono: u64) {
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
            if !c.held && self.node.holds_replies(c.client.written) {
                c.held = true;
                self.held.push(i);
            }
        }
        self.drain(i);
        if self.connections[i].is_some() {
            self.list(i);
        }
    }

    /// Runs a blocked client's command again, now that it need not wait, and goes on with its requests.
    fn again(&mut self, client: u64, token: u64, request: &OwnedArgs) {
        let Some(&i) = self.by_id.get(&client) else { return };
        let Some(c) = self.connections[i].as_mut() else { return };
        if c.client.blocked.as_ref().is_none_or(|b| b.token != token) {
            return;
        }
        c.client.blocked = None;
        c.client.shared.blocked.store(false, Ordering::Relaxed);
        c.client.has_waited = true;
        c.client.read_first(request);
        self.list(i);
    }

    pub(super) fn unblock(&mut self, client: u64, error: Option<&str>, now_mono: u64) {
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

    /// Tells those whose time is up.
    pub(super) fn unblock_late(&mut self, now_mono: u64) {
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

    /// A client that waits is told that this server follows another now, and where to go if it follows redirections. One of those that
    /// reads, and may read from a replica, waits on.
    pub(super) fn role_lost(&mut self, client: u64, now_mono: u64) {
        if self.node.cluster.is_some() {
            // The bus sends those away whose slots have gone; others wait for what this node still serves.
            return;
        }
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
}

pub(super) fn timeout_reply(node: &Node, reply: &mut Reply, kind: TimeoutReply) {
    match kind {
        TimeoutReply::NullArray => reply.null_array(),
        TimeoutReply::Null => reply.null(),
        TimeoutReply::Integer(n) => reply.integer(n),
        TimeoutReply::Replicas { offset, .. } => {
            reply.integer(node.replication.replicas.acknowledged(offset) as i64);
        }
        TimeoutReply::Run { .. } => reply.error(NO_REPLICAS.as_bytes()),
        TimeoutReply::Disks { offset, .. } => {
            let here = node.log().is_some_and(|synced| synced >= offset);
            reply.array(2);
            reply.integer(i64::from(here));
            reply.integer(node.replication.replicas.synced(offset) as i64);
        }
    }
}

/// What a connection that may not stay is told.
pub(super) fn refusal(config: &Config, acl: &Acl, c: &Connection) -> Option<&'static [u8]> {
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
