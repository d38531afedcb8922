//! PING, PONG, MEET: who is who, who serves what, and what others have seen.

use super::Machine;
use super::receive::Heard;
use crate::cluster::node::{Handle, LinkId, Node, NodeId, flag};
use crate::cluster::wire::{Extensions, Gossip, Head, Kind};
use std::net::IpAddr;

/// Nodes that are being met at once: more would be an attack, or a mistake.
const HANDSHAKES_MAX: usize = 1000;
/// Nodes in the table: no more can serve slots.
const NODES_MAX: usize = 16384;

impl Machine {
    pub(super) fn heard_talk(
        &mut self,
        link: LinkId,
        sender: Option<Handle>,
        head: Head,
        gossip: Vec<Gossip>,
        extensions: Option<Box<Extensions>>,
    ) -> Heard {
        let Some(l) = self.links.get(&link) else { return Heard::Close };
        let (peer_ip, own_ip, of_link) = (l.peer_ip.clone(), l.own_ip.clone(), l.node);
        let outgoing = of_link.filter(|_| !l.inbound);
        if head.kind != Kind::Pong {
            let mine = &self.myself().address.ip;
            if self.settings.own.ip.is_empty()
                && !own_ip.is_empty()
                && *mine != own_ip
                && (head.kind == Kind::Meet || mine.is_empty())
            {
                tracing::info!("IP address for this node updated to {own_ip}");
                self.myself_mut().address.ip = own_ip;
                (self.dirty, self.moved) = (true, true);
            }
            if sender.is_none() && head.kind == Kind::Meet && head.sender != self.myself().id {
                let ip = if head.ip.is_empty() { peer_ip.clone() } else { head.ip.clone() };
                let (tcp, tls) =
                    if self.settings.tls_first { (head.other_port, head.port) } else { (head.port, head.other_port) };
                self.start_handshake(&ip, tcp, tls, head.bus_port, false);
                // Whoever introduces us to a node introduces us to its cluster.
                for g in gossip.iter().filter(|g| self.handle(&g.id).is_none()).cloned().collect::<Vec<_>>() {
                    self.hear_of(&g);
                }
            }
            self.talk(link, Kind::Pong);
        }
        // A connection of ours tells who is at its other end.
        if let Some(handle) = outgoing {
            let Some(node) = self.nodes.get(&handle) else { return Heard::Close };
            if node.is(flag::HANDSHAKE) {
                if head.sender == self.myself().id || sender.is_some() {
                    // We have met ourselves, or somebody we know.
                    if let Some(known) = sender {
                        let ip = node.address.ip.clone();
                        self.update_address(known, &head, ip);
                    }
                    self.remove(handle);
                    return Heard::Fine;
                }
                self.rename(handle, &head);
            } else if node.id != head.sender {
                tracing::info!(
                    "PONG contains mismatching sender ID. About node {} (expected), it is from node {}: where the first one is is not known",
                    node.id,
                    head.sender
                );
                let Some(node) = self.nodes.get_mut(&handle) else { return Heard::Close };
                node.mark(flag::NO_ADDRESS, true);
                (node.address.ip, node.address.tcp_port, node.address.tls_port, node.address.bus_port) =
                    (String::new(), 0, 0, 0);
                (self.dirty, self.moved) = (true, true);
                // Whoever it was has begun again under another name.
                self.fail(handle);
                self.close(link);
                return Heard::Fine;
            }
        }
        // After a handshake it has a name.
        let sender = sender.or_else(|| outgoing.filter(|h| self.nodes.get(h).is_some_and(|n| n.id == head.sender)));
        let Some(sender) = sender else { return Heard::Fine };
        if head.kind == Kind::Ping && outgoing.is_none() {
            let ip = if head.ip.is_empty() { peer_ip } else { head.ip.clone() };
            self.update_address(sender, &head, ip);
        }
        if head.kind == Kind::Pong && outgoing == Some(sender) {
            self.heard_pong(sender);
        }
        self.take_shard(sender, extensions.as_deref());
        self.take_role(sender, &head);
        self.take_slots(link, sender, &head);
        self.settle_collision(sender);
        self.take_gossip(sender, &gossip);
        if let Some(e) = extensions {
            self.take_extensions(sender, &e);
        }
        Heard::Fine
    }

    /// Meets a node: it is dialled under a name of ours until it tells its own. True if nobody was meeting it already.
    pub fn start_handshake(&mut self, ip: &str, tcp: u16, tls: u16, bus: u16, introduce: bool) -> bool {
        let Ok(ip) = ip.parse::<IpAddr>().map(|ip| ip.to_string()) else { return false };
        let meeting = |n: &Node| n.is(flag::HANDSHAKE) && n.address.ip == ip && n.address.bus_port == bus;
        let handshakes = self.nodes.values().filter(|n| n.is(flag::HANDSHAKE)).count();
        if bus == 0 || handshakes >= HANDSHAKES_MAX || self.nodes.values().any(meeting) {
            return false;
        }
        let (id, shard) = (NodeId::random(&mut self.random), NodeId::random(&mut self.random));
        let flags = flag::HANDSHAKE | if introduce { flag::MEET } else { 0 };
        let mut node = Node::new(id, shard, flags, self.now_ms);
        (node.address.ip, node.address.tcp_port, node.address.tls_port, node.address.bus_port) = (ip, tcp, tls, bus);
        self.add(node);
        true
    }

    /// A node that was met has told its name.
    fn rename(&mut self, handle: Handle, head: &Head) {
        let Some(node) = self.nodes.get_mut(&handle) else { return };
        let old = std::mem::replace(&mut node.id, head.sender);
        node.mark(flag::HANDSHAKE | flag::MEET, false);
        node.mark(head.flags & (flag::PRIMARY | flag::REPLICA), true);
        if head.replica_of.is_none() {
            node.mark(flag::REPLICA, false);
            node.mark(flag::PRIMARY, true);
        }
        tracing::info!("Handshake with node {} completed.", head.sender);
        self.by_id.remove(&old);
        self.by_id.insert(head.sender, handle);
        (self.dirty, self.moved, self.stale) = (true, true, true);
        // Its head was nobody's when it was looked at first.
        if head.current_epoch > self.current_epoch {
            self.current_epoch = head.current_epoch;
        }
        if let Some(node) = self.nodes.get_mut(&handle) {
            node.config_epoch = node.config_epoch.max(head.config_epoch);
            node.offset = head.offset;
            node.data_ms = self.now_ms;
            node.flags |=
                head.flags & (flag::LIGHT_PUBLISH | flag::LIGHT_MODULE | flag::NO_FAILOVER | flag::EXTENSIONS);
        }
    }

    /// A node connects from, or says that it has, another address than the one we know.
    fn update_address(&mut self, handle: Handle, head: &Head, ip: String) {
        let Some(node) = self.nodes.get(&handle) else { return };
        let mut new = node.address.clone();
        self.set_ports(&mut new, head.port, head.other_port);
        (new.ip, new.bus_port) = (ip, head.bus_port);
        if new == node.address {
            return;
        }
        let moved = new.ip != node.address.ip || new.bus_port != node.address.bus_port;
        tracing::info!("Address updated for node {}, now {}:{}", node.id, new.ip, head.port);
        let (id, link) = (node.id, node.link);
        if let Some(node) = self.nodes.get_mut(&handle) {
            node.address = new;
            node.mark(flag::NO_ADDRESS, false);
        }
        if moved && let Some(link) = link {
            self.close(link);
        }
        (self.dirty, self.moved) = (true, true);
        if self.myself().replica_of == Some(id) && self.myself().is(flag::REPLICA) {
            self.follow_address(handle);
        }
    }

    fn heard_pong(&mut self, from: Handle) {
        let now = self.now_ms;
        let Some(node) = self.nodes.get_mut(&from) else { return };
        (node.pong_ms, node.ping_sent_ms) = (now, 0);
        if node.mark(flag::PFAIL, false) {
            (self.dirty, self.stale, self.moved) = (true, true, true);
        } else if node.is(flag::FAIL) {
            self.pardon(from);
        }
    }

    /// The shard first: whether slots move within it decides what becomes of us.
    fn take_shard(&mut self, sender: Handle, extensions: Option<&Extensions>) {
        let Some(shard) = extensions.and_then(|e| e.shard) else { return };
        let Some(node) = self.nodes.get_mut(&sender) else { return };
        if node.shard != shard {
            node.shard = shard;
            (self.dirty, self.moved) = (true, true);
        }
        // A replica is where its primary is.
        let id = self.nodes[&sender].id;
        if self.nodes[&sender].is_primary() && self.myself().replica_of == Some(id) && self.myself().shard != shard {
            self.myself_mut().shard = shard;
        }
    }

    /// Primary or replica, and whose.
    fn take_role(&mut self, sender: Handle, head: &Head) {
        let Some(primary) = head.replica_of else {
            self.set_primary(sender);
            return;
        };
        let Some(node) = self.nodes.get(&sender) else { return };
        if !node.is(flag::REPLICA) {
            let had = node.count;
            let new_primary = self.handle(&primary);
            // Its new primary may have its slots, and say so later than it does itself.
            let handed = had > 0
                && new_primary
                    .and_then(|h| self.nodes.get(&h))
                    .is_some_and(|p| p.shard == self.nodes[&sender].shard && head.config_epoch > p.config_epoch);
            if let (true, Some(new_primary)) = (handed, new_primary) {
                if let Some(p) = self.nodes.get_mut(&new_primary) {
                    p.config_epoch = head.config_epoch;
                }
                self.set_primary(new_primary);
                self.claim(new_primary, head.config_epoch, &head.slots);
            }
            self.take_all(sender);
            if let Some(new_primary) = new_primary {
                self.succeed(sender, new_primary);
            }
            if let Some(node) = self.nodes.get_mut(&sender) {
                node.mark(flag::PRIMARY | flag::MIGRATE_TO, false);
                node.mark(flag::REPLICA, true);
            }
            (self.dirty, self.moved, self.stale) = (true, true, true);
        }
        let shard = self.node(&primary).map(|p| p.shard);
        if let Some(node) = self.nodes.get_mut(&sender)
            && node.replica_of != Some(primary)
        {
            node.replica_of = Some(primary);
            if let Some(shard) = shard {
                node.shard = shard;
            }
            (self.dirty, self.moved) = (true, true);
        }
        // Two that follow each other: we have been too late.
        if self.myself().replica_of == self.nodes.get(&sender).map(|n| n.id) && self.myself().is(flag::REPLICA) {
            let own = self.myself().id;
            if primary != own
                && let Some(top) = self.handle(&primary)
                && self.nodes[&top].is_primary()
            {
                tracing::info!(
                    "I'm a sub-replica! Reconfiguring myself as a replica of {primary} from {}",
                    self.nodes[&sender].id
                );
                self.follow(top);
            }
        }
    }

    fn take_slots(&mut self, link: LinkId, sender: Handle, head: &Head) {
        let Some(node) = self.nodes.get(&sender) else { return };
        let primary = if node.is_primary() { Some(sender) } else { node.replica_of.and_then(|id| self.handle(&id)) };
        let Some(primary) = primary else { return };
        if self.nodes[&primary].slots == head.slots {
            return;
        }
        if primary == sender {
            self.claim(sender, head.config_epoch, &head.slots);
        }
        // It claims what somebody else has of a later epoch: tell it.
        for slot in head.slots.iter() {
            let owner = self.owner(slot);
            if owner == sender || owner == primary || self.unclaimed.has(slot) {
                continue;
            }
            if self.nodes.get(&owner).is_some_and(|n| n.config_epoch > head.config_epoch) {
                self.send_update(link, owner);
                break;
            }
        }
    }

    fn take_gossip(&mut self, sender: Handle, gossip: &[Gossip]) {
        let (by, votes) = {
            let s = &self.nodes[&sender];
            (s.id, s.votes())
        };
        for g in gossip {
            let failing = g.flags & (flag::FAIL | flag::PFAIL) != 0;
            let Some(handle) = self.handle(&g.id) else {
                self.hear_of(g);
                continue;
            };
            if handle == self.me || self.nodes[&handle].is(flag::HANDSHAKE) {
                continue;
            }
            if votes {
                if failing {
                    self.report(handle, by);
                    self.judge(handle);
                } else {
                    self.withdraw_report(handle, by);
                }
            }
            let now = self.now_ms;
            let no_reports = self.reports(handle) == 0;
            let mut address = self.nodes[&handle].address.clone();
            self.set_ports(&mut address, g.port, g.other_port);
            (address.ip, address.bus_port) = (g.ip.clone(), g.bus_port);
            let Some(node) = self.nodes.get_mut(&handle) else { continue };
            if !failing && node.ping_sent_ms == 0 && no_reports && !node.is(flag::FAIL | flag::PFAIL) {
                let pong = u64::from(g.pong_received_s) * 1000;
                // Of a clock that is ahead nothing is believed.
                if pong <= now + 500 && pong > node.pong_ms {
                    node.pong_ms = pong;
                }
            }
            // We cannot reach it and they can: they know where it is.
            if node.is(flag::FAIL | flag::PFAIL)
                && !failing
                && g.flags & flag::NO_ADDRESS == 0
                && (node.address.ip != g.ip || node.address.bus_port != g.bus_port)
                && !g.ip.is_empty()
                && g.bus_port != 0
            {
                node.address = address;
                node.mark(flag::NO_ADDRESS, false);
                let link = node.link;
                if let Some(link) = link {
                    self.close(link);
                }
                (self.dirty, self.moved) = (true, true);
            }
        }
    }

    /// A node that we do not know is a node of the cluster, if one that we do know says so.
    fn hear_of(&mut self, g: &Gossip) {
        let skip = flag::NO_ADDRESS | flag::HANDSHAKE;
        if g.flags & skip != 0 || g.bus_port == 0 || self.is_forgotten(&g.id) || self.nodes.len() >= NODES_MAX {
            return;
        }
        let Ok(ip) = g.ip.parse::<IpAddr>() else { return };
        let shard = NodeId::random(&mut self.random);
        let mut node = Node::new(g.id, shard, g.flags & (flag::PRIMARY | flag::REPLICA), self.now_ms);
        node.mark(flag::FAIL | flag::PFAIL, false);
        let mut address = node.address.clone();
        self.set_ports(&mut address, g.port, g.other_port);
        (address.ip, address.bus_port) = (ip.to_string(), g.bus_port);
        node.address = address;
        self.add(node);
        (self.dirty, self.moved) = (true, true);
    }

    fn take_extensions(&mut self, sender: Handle, e: &Extensions) {
        let Some(node) = self.nodes.get_mut(&sender) else { return };
        if node.describe(e) {
            (self.dirty, self.moved) = (true, true);
        }
        for (id, ttl_s) in &e.forgotten {
            let Some(about) = self.handle(id) else {
                self.forget_for(*id, ttl_s.saturating_mul(1000).min(self.settings.blacklist_ttl_ms.max(60_000)));
                continue;
            };
            let mine = self.myself().replica_of == Some(*id) && self.myself().is(flag::REPLICA);
            if about == self.me || about == sender || mine {
                continue;
            }
            tracing::info!("Node {id} is forgotten, as node {} says", self.nodes[&sender].id);
            self.forget_for(*id, ttl_s.saturating_mul(1000).min(self.settings.blacklist_ttl_ms.max(60_000)));
            self.remove(about);
        }
    }
}
