//! Time has passed.

use super::Machine;
use crate::cluster::node::{Handle, LinkId, flag};
use crate::cluster::wire::Kind;

/// Between two rounds of the driver.
pub const TICK_MS: u64 = 100;
/// Nodes of which the one that was heard longest ago is pinged.
const SAMPLES: usize = 5;
/// A node that was met and does not answer is given up after the node timeout, but not before.
const HANDSHAKE_MS_MIN: u64 = 1000;

impl Machine {
    /// Called every [`TICK_MS`].
    pub fn tick(&mut self) {
        self.dial_missing();
        self.ping_one();
        self.look_at_nodes();
        self.tick_manual();
        if self.myself().is(flag::REPLICA) {
            self.tick_election();
            self.migrate_replica();
        }
        if self.stale || !self.is_up {
            self.look_at_state();
        }
    }

    /// Whoever was just made known is dialled now, not in the next round.
    pub fn dial_soon(&mut self) {
        self.dial_missing();
    }

    /// What changed makes its state stale: looked at before anybody is answered.
    pub fn settle(&mut self) {
        if self.stale {
            self.look_at_state();
        }
    }

    fn others(&self) -> Vec<Handle> {
        self.nodes.keys().copied().filter(|h| *h != self.me).collect()
    }

    fn dial_missing(&mut self) {
        let patience = self.settings.node_timeout_ms.max(HANDSHAKE_MS_MIN);
        for handle in self.others() {
            let node = &self.nodes[&handle];
            if node.is(flag::HANDSHAKE) && self.now_ms.saturating_sub(node.created_ms) > patience {
                self.remove(handle);
            } else if node.link.is_none() && !node.is(flag::NO_ADDRESS) && !self.stays_apart {
                self.dial(handle);
            }
        }
    }

    /// Connections over which a ping may be sent now.
    fn pingable(&self, handle: Handle) -> Option<LinkId> {
        let node = self.nodes.get(&handle)?;
        let link = node.link.filter(|l| self.links.get(l).is_some_and(|l| l.connected))?;
        (node.ping_sent_ms == 0 && !node.is(flag::HANDSHAKE)).then_some(link)
    }

    /// One node at random now and then: of some, the one that was heard longest ago.
    fn ping_one(&mut self) {
        if self.now_ms.saturating_sub(self.pinged_ms) < self.settings.ping_interval_ms || self.no_random_ping {
            return;
        }
        self.pinged_ms = self.now_ms;
        let others = self.others();
        let mut oldest: Option<(u64, LinkId)> = None;
        for _ in 0..SAMPLES {
            let Some(handle) = others.get(self.random.below(others.len() as u64) as usize).copied() else { return };
            let Some(link) = self.pingable(handle) else { continue };
            let pong = self.nodes[&handle].pong_ms;
            if oldest.is_none_or(|(at, _)| pong < at) {
                oldest = Some((pong, link));
            }
        }
        if let Some((_, link)) = oldest {
            self.talk(link, Kind::Ping);
        }
    }

    fn look_at_nodes(&mut self) {
        let (now, timeout) = (self.now_ms, self.settings.node_timeout_ms);
        let handed_to = self.manual.replica.filter(|_| self.manual.until_ms != 0);
        let limit = self.settings.link_sendbuf_limit;
        for handle in self.others() {
            let node = &self.nodes[&handle];
            if node.is(flag::HANDSHAKE | flag::NO_ADDRESS) {
                continue;
            }
            if limit > 0 {
                self.drop_full_links(handle, limit);
            }
            self.introduce_again(handle);
            let node = &self.nodes[&handle];
            let waits = if node.ping_sent_ms == 0 { 0 } else { now.saturating_sub(node.ping_sent_ms) };
            let silent = now.saturating_sub(node.data_ms);
            if let Some(id) = node.link
                && let Some(link) = self.links.get(&id)
                && now.saturating_sub(link.created_ms) > timeout
                && waits > timeout / 2
                && silent > timeout / 2
            {
                // It may be the connection, not the node.
                self.close(id);
            }
            let node = &self.nodes[&handle];
            let old = now.saturating_sub(node.pong_ms) > timeout / 2 || handed_to == Some(node.id);
            if old && let Some(link) = self.pingable(handle) {
                self.talk(link, Kind::Ping);
                continue;
            }
            let node = &self.nodes[&handle];
            if node.ping_sent_ms == 0 {
                continue;
            }
            if waits.min(silent) > timeout && !node.is(flag::PFAIL | flag::FAIL) {
                tracing::info!("*** NODE {} possibly failing", node.id);
                if let Some(n) = self.nodes.get_mut(&handle) {
                    n.mark(flag::PFAIL, true);
                }
                (self.stale, self.moved) = (true, true);
            }
            if self.nodes[&handle].is(flag::PFAIL) {
                self.judge(handle);
            }
        }
    }

    /// A node that we know and that does not connect to us may not know us: it learns of us as if it were met.
    fn introduce_again(&mut self, handle: Handle) {
        let patience = self.settings.node_timeout_ms.max(HANDSHAKE_MS_MIN);
        let now = self.now_ms;
        let node = &self.nodes[&handle];
        let late = |at: u64| now.saturating_sub(at) > patience;
        if node.inbound.is_some() || node.is(flag::PFAIL | flag::FAIL) || !late(node.unheard_ms) || !late(node.met_ms) {
            return;
        }
        let Some(link) = node.link.filter(|l| self.links.get(l).is_some_and(|l| l.connected)) else { return };
        if let Some(node) = self.nodes.get_mut(&handle) {
            node.met_ms = now;
        }
        self.talk(link, Kind::Meet);
    }

    /// A connection that holds more unsent than it may ends.
    fn drop_full_links(&mut self, handle: Handle, limit: u64) {
        let node = &self.nodes[&handle];
        for id in [node.link, node.inbound].into_iter().flatten() {
            let queued = self.links.get(&id).map_or(0, |l| l.queued.load(std::sync::atomic::Ordering::Relaxed));
            if queued > limit {
                tracing::warn!(
                    "Freeing cluster link to node {}: it has {queued} bytes unsent, the limit is {limit}",
                    self.nodes[&handle].id
                );
                self.figures.links_over_limit += 1;
                self.close(id);
            }
        }
    }

    /// A replica of a primary that has others goes to one that has none.
    fn migrate_replica(&mut self) {
        if !self.settings.allow_replica_migration || self.manual.until_ms != 0 || !self.is_up {
            return;
        }
        let Some(primary) = self.my_primary() else { return };
        let good = |n: &crate::cluster::node::Node| !n.is(flag::FAIL | flag::PFAIL);
        let of = |m: &Machine, h: Handle| {
            let id = m.nodes[&h].id;
            m.replicas_of(id).filter(|(_, n)| good(n)).count()
        };
        let primary_ok = of(self, primary) > self.settings.migration_barrier as usize;
        let (mut orphan, mut most) = (None, 0);
        let now = self.now_ms;
        for handle in self.others() {
            let node = &self.nodes[&handle];
            if !node.votes() || node.is(flag::FAIL) || !node.is(flag::MIGRATE_TO) {
                if node.is_primary() {
                    most = most.max(of(self, handle));
                }
                continue;
            }
            let has = of(self, handle);
            most = most.max(has);
            let since = node.orphaned_ms;
            let node = self.nodes.get_mut(&handle).expect("it was there just now");
            if has > 0 {
                node.orphaned_ms = 0;
                continue;
            }
            if since == 0 {
                node.orphaned_ms = now;
            } else if now - since > MIGRATION_MS && orphan.is_none() {
                orphan = Some(handle);
            }
        }
        let Some(orphan) = orphan else { return };
        let own = self.myself().id;
        // Of those whose primary has the most, the one with the least name goes.
        let mine = of(self, primary);
        let first = self
            .known()
            .filter(|(_, n)| n.is(flag::REPLICA) && good(n))
            .filter(|(_, n)| n.replica_of.and_then(|p| self.handle(&p)).is_some_and(|p| of(self, p) == most))
            .map(|(_, n)| n.id)
            .min();
        if primary_ok && mine == most && first == Some(own) {
            tracing::info!("Migrating to orphaned primary {}", self.nodes[&orphan].id);
            self.follow(orphan);
        }
    }
}

/// How long a primary has to be without replicas.
const MIGRATION_MS: u64 = 5000;
