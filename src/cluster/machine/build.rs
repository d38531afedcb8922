//! What this node says: heads, gossip, and to whom.

use super::{Machine, Output};
use crate::cluster::node::{Address, Handle, LinkId, Node, NodeId, flag};
use crate::cluster::wire::{self, Body, Extensions, Gossip, Head, Kind, mark};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Nodes a message tells of, however few there are.
const GOSSIP_MIN: usize = 3;
/// Nodes that do not answer are all told of, up to so many.
const FAILING_MAX: usize = 1000;
/// A forgotten node is named to others with the time it stays forgotten, in messages that CLUSTER FORGET sends.
const FORGOTTEN_MAX: usize = 16;

/// What is told of a forgotten node.
pub(super) type Forgotten = Vec<(NodeId, u64)>;

impl Machine {
    /// Port and other port, as messages have them: the one of the bus' own kind first.
    fn ports(&self, a: &Address) -> (u16, u16) {
        if self.settings.tls_first { (a.tls_port, a.tcp_port) } else { (a.tcp_port, a.tls_port) }
    }

    /// The other way round.
    pub(super) fn set_ports(&self, a: &mut Address, port: u16, other: u16) {
        (a.tcp_port, a.tls_port) = if self.settings.tls_first { (other, port) } else { (port, other) };
    }

    fn head(&self, kind: Kind) -> Head {
        let own = self.myself();
        let primary = self.my_primary().and_then(|h| self.nodes.get(&h)).filter(|_| own.is(flag::REPLICA));
        let (port, other_port) = self.ports(&own.address);
        let mut marks = 0;
        if self.manual.until_ms != 0 && own.is_primary() && self.manual.replica.is_some() {
            marks |= mark::PAUSED;
        }
        let mut flags = own.flags;
        if primary.is_some_and(|p| p.is(flag::FAIL)) {
            flags |= flag::MY_PRIMARY_FAILED;
        }
        Head {
            kind,
            port,
            other_port,
            bus_port: own.address.bus_port,
            current_epoch: self.current_epoch,
            config_epoch: primary.map_or(own.config_epoch, |p| p.config_epoch),
            offset: self.offset(),
            sender: own.id,
            slots: primary.map_or_else(|| own.slots.clone(), |p| p.slots.clone()),
            replica_of: own.replica_of.filter(|_| own.is(flag::REPLICA)),
            // What was learned is told by the connection itself.
            ip: self.settings.own.ip.clone(),
            flags,
            is_up: self.is_up,
            marks,
        }
    }

    fn gossip_of(&self, node: &Node) -> Gossip {
        let (port, other_port) = self.ports(&node.address);
        Gossip {
            id: node.id,
            ping_sent_s: (node.ping_sent_ms / 1000) as u32,
            pong_received_s: (node.pong_ms / 1000) as u32,
            ip: node.address.ip.clone(),
            port,
            bus_port: node.address.bus_port,
            flags: node.flags,
            other_port,
        }
    }

    /// Some nodes at random, and all that do not answer. Nothing is told of the node it goes to.
    fn gossip(&mut self, to: Option<Handle>) -> Vec<Gossip> {
        let me = self.me;
        let skip = flag::HANDSHAKE | flag::NO_ADDRESS;
        let candidates: Vec<Handle> = self
            .nodes
            .iter()
            .filter(|(h, n)| **h != me && Some(**h) != to && !n.is(skip) && (n.link.is_some() || n.count > 0))
            .map(|(h, _)| *h)
            .collect();
        let wanted = GOSSIP_MIN.max(self.nodes.len() * self.settings.gossip_percent / 100);
        let mut chosen: Vec<Handle> =
            candidates.iter().copied().filter(|h| self.nodes[h].is(flag::PFAIL)).take(FAILING_MAX).collect();
        let mut others: Vec<Handle> = candidates.into_iter().filter(|h| !self.nodes[h].is(flag::PFAIL)).collect();
        for _ in 0..wanted {
            if others.is_empty() {
                break;
            }
            let i = self.random.below(others.len() as u64) as usize;
            chosen.push(others.swap_remove(i));
        }
        chosen.iter().map(|h| self.gossip_of(&self.nodes[h])).collect()
    }

    fn extensions(&self, forgotten: Forgotten) -> Extensions {
        let own = self.myself();
        let a = &own.address;
        Extensions {
            hostname: a.hostname.clone(),
            nodename: a.nodename.clone(),
            forgotten,
            shard: Some(own.shard),
            client_ipv4: a.client_ipv4.clone(),
            client_ipv6: a.client_ipv6.clone(),
            client_port: a.client_port,
            client_tls_port: a.client_tls_port,
            zone: a.zone.clone(),
        }
    }

    /// Sends over a connection.
    pub(super) fn send(&mut self, link: LinkId, kind: Kind, bytes: Arc<[u8]>) {
        let Some(l) = self.links.get(&link) else { return };
        l.queued.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.figures.sent[kind.index()] += 1;
        self.figures.bytes_sent += bytes.len() as u64;
        if matches!(kind, Kind::Publish | Kind::PublishShard) {
            self.figures.pubsub_bytes_sent += bytes.len() as u64;
        }
        self.outputs.push_back(Output::Send { link, bytes });
    }

    /// PING, PONG or MEET over a connection.
    pub(super) fn talk(&mut self, link: LinkId, kind: Kind) {
        self.talk_with(link, kind, Vec::new());
    }

    fn talk_with(&mut self, link: LinkId, kind: Kind, forgotten: Forgotten) {
        let Some(to) = self.links.get(&link).map(|l| l.node) else { return };
        if let Some(node) = to.and_then(|h| self.nodes.get_mut(&h))
            && kind == Kind::Ping
            && node.link == Some(link)
        {
            node.ping_sent_ms = self.now_ms;
        }
        let mut head = self.head(kind);
        head.marks |= mark::EXTENSIONS;
        let body = Body::Talk(self.gossip(to), Some(Box::new(self.extensions(forgotten))));
        self.send(link, kind, wire::encode(&head, &body).into());
    }

    /// The first word on a connection of ours.
    pub(super) fn greet(&mut self, handle: Handle, link: LinkId) {
        let Some(node) = self.nodes.get(&handle) else { return };
        // A ping that was not answered on the last connection goes on being unanswered.
        let before = node.ping_sent_ms;
        let kind = if node.is(flag::MEET) { Kind::Meet } else { Kind::Ping };
        self.talk(link, kind);
        if let Some(node) = self.nodes.get_mut(&handle)
            && before != 0
        {
            node.ping_sent_ms = before;
        }
        if let Some(node) = self.nodes.get_mut(&handle)
            && kind == Kind::Meet
            && !node.is(flag::HANDSHAKE)
        {
            node.mark(flag::MEET, false);
        }
    }

    /// Nodes there is a connection of ours to.
    fn reachable(&self) -> Vec<(Handle, LinkId)> {
        let me = self.me;
        self.known().filter(|(h, _)| *h != me).filter_map(|(h, n)| Some((h, n.link?))).collect()
    }

    /// The same message to every node.
    pub(super) fn broadcast(&mut self, kind: Kind, body: &Body, marks: u8) {
        let mut head = self.head(kind);
        head.marks |= marks;
        let bytes: Arc<[u8]> = wire::encode(&head, body).into();
        for (_, link) in self.reachable() {
            self.send(link, kind, Arc::clone(&bytes));
        }
    }

    /// A PONG to every node, or to those of this shard alone: news that should not wait for a ping.
    pub(super) fn broadcast_pong(&mut self, shard_only: bool) {
        let own = self.myself();
        let (id, primary) = (own.id, own.replica_of);
        for (handle, link) in self.reachable() {
            let node = &self.nodes[&handle];
            let same = node.replica_of == Some(id)
                || (primary.is_some() && (node.replica_of == primary || Some(node.id) == primary));
            if !shard_only || same {
                self.talk(link, Kind::Pong);
            }
        }
    }

    /// A PING to every node that says who is forgotten.
    pub(super) fn broadcast_forgotten(&mut self, forgotten: Forgotten) {
        let forgotten: Forgotten = forgotten.into_iter().take(FORGOTTEN_MAX).collect();
        for (_, link) in self.reachable() {
            self.talk_with(link, Kind::Ping, forgotten.clone());
        }
    }

    /// Tells the peer of a connection who a node is and what it serves.
    pub(super) fn send_update(&mut self, link: LinkId, about: Handle) {
        let Some(node) = self.nodes.get(&about) else { return };
        let body = Body::Update { epoch: node.config_epoch, node: node.id, slots: node.slots.clone() };
        let head = self.head(Kind::Update);
        self.send(link, Kind::Update, wire::encode(&head, &body).into());
    }

    pub(super) fn send_head(&mut self, link: LinkId, kind: Kind) {
        let head = self.head(kind);
        self.send(link, kind, wire::encode(&head, &Body::Nothing).into());
    }

    /// A message of a channel, for the subscribers of other nodes: all of them, or those of this shard.
    pub fn publish(&mut self, shard: bool, channel: &[u8], message: &[u8]) {
        let body = Body::Publish { channel: channel.to_vec(), message: message.to_vec() };
        if !shard {
            self.broadcast(Kind::Publish, &body, 0);
            return;
        }
        let own = self.myself().shard;
        let head = self.head(Kind::PublishShard);
        let bytes: Arc<[u8]> = wire::encode(&head, &body).into();
        for (handle, link) in self.reachable() {
            if self.nodes[&handle].shard == own {
                self.send(link, Kind::PublishShard, Arc::clone(&bytes));
            }
        }
    }
}
