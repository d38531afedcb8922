//! Whose slots they are: what others claim, what is on its way, and where clients are sent.

use super::{Effect, Machine, NOBODY};
use crate::base::slot::SlotId;
use crate::cluster::node::{Handle, NodeId, flag};
use crate::cluster::slots::Slots;

impl Machine {
    /// A primary claims slots: those whose owner has an older epoch are its now.
    pub(super) fn claim(&mut self, by: Handle, epoch: u64, slots: &Slots) {
        let me = self.me;
        if by == me || !self.nodes.contains_key(&by) {
            return;
        }
        let current = if self.myself().is_primary() { Some(me) } else { self.my_primary() };
        let had = current.and_then(|h| self.nodes.get(&h)).map_or(0, |n| n.count);
        let (mut from_current, mut lost, mut replaced) = (0, Slots::default(), Vec::new());
        for slot in slots.iter() {
            let owner = self.owner(slot);
            if owner == by {
                self.unclaimed.set(slot, false);
                continue;
            }
            let newer = owner == NOBODY
                || self.unclaimed.has(slot)
                || self.nodes.get(&owner).is_none_or(|n| n.config_epoch < epoch);
            if !newer {
                continue;
            }
            if owner == me {
                lost.set(slot, true);
            }
            if owner != NOBODY && !replaced.contains(&owner) {
                replaced.push(owner);
            }
            if Some(owner) == current {
                from_current += 1;
            }
            let same_shard = self.nodes[&by].shard == self.myself().shard;
            if owner == me && !same_shard && self.migrating.remove(&slot).is_some() {
                tracing::info!("Slot {} is no longer being migrated: node {} has it", slot.get(), self.nodes[&by].id);
            }
            self.give(slot, by);
            if self.my_primary() == Some(by) {
                // It has come.
                self.importing.remove(&slot);
            }
        }
        // What it does not say any more is whoever's next says so; ours, if it was on its way to us.
        let silent: Vec<SlotId> = self.nodes[&by].slots.iter().filter(|s| !slots.has(*s)).collect();
        let (id, known) = (self.nodes[&by].id, self.nodes[&by].config_epoch);
        let mut come = false;
        for slot in silent {
            // What it said before it had the slot may come late, with an older epoch.
            if self.myself().is_primary() && epoch >= known && self.importing.get(&slot) == Some(&id) {
                tracing::info!(
                    "Slot {} has been given up by node {id}, from which it was imported. It is mine.",
                    slot.get()
                );
                self.importing.remove(&slot);
                self.give(slot, me);
                come = true;
            } else {
                self.unclaimed.set(slot, true);
            }
        }
        if come {
            self.take_epoch();
            self.broadcast_pong(false);
        }
        for old in replaced {
            self.succeed(old, by);
        }
        let left = current.and_then(|h| self.nodes.get(&h)).map_or(0, |n| n.count);
        let same_shard = self.nodes[&by].shard == self.myself().shard;
        if had > 0
            && from_current > 0
            && left == 0
            && (same_shard || self.settings.allow_replica_migration)
            && self.nodes[&by].is_primary()
        {
            tracing::info!(
                "Configuration change detected. Reconfiguring myself as a replica of node {}",
                self.nodes[&by].id
            );
            self.follow(by);
        } else if !lost.is_empty() {
            if left == 0 && self.myself().is_primary() {
                let node = &self.nodes[&by];
                tracing::info!(
                    "My last slot was migrated to node {} in shard {}. I am now an empty primary.",
                    node.id,
                    node.shard
                );
            }
            self.effects.push(Effect::Drop(lost));
        }
    }

    /// A primary without slots has been replaced by one of its shard: what comes from it, or goes to it, does so with the new one.
    pub(super) fn succeed(&mut self, old: Handle, new: Handle) {
        let (Some(o), Some(n)) = (self.nodes.get(&old), self.nodes.get(&new)) else { return };
        if o.count > 0 || o.shard != n.shard || old == new {
            return;
        }
        let (old, new) = (o.id, n.id);
        for id in self.migrating.values_mut().chain(self.importing.values_mut()).filter(|id| **id == old) {
            *id = new;
            (self.dirty, self.moved) = (true, true);
        }
    }

    /// Becomes a replica of a node.
    pub(super) fn follow(&mut self, primary: Handle) {
        let Some(p) = self.nodes.get(&primary) else { return };
        let (id, shard) = (p.id, p.shard);
        let (ip, tcp_port, tls_port) = (p.address.ip.clone(), p.address.tcp_port, p.address.tls_port);
        let me = self.me;
        // What comes and goes is the shard's business, whoever leads it.
        let moves_away = self.myself().shard != shard;
        if self.myself().is_primary() || moves_away {
            // What it has is not what this primary has, until that has been fetched.
            self.fresh_ms = 0;
            self.left_epoch = Some(self.data.epoch);
        }
        let own = self.myself_mut();
        own.mark(flag::PRIMARY | flag::MIGRATE_TO, false);
        own.mark(flag::REPLICA, true);
        own.replica_of = Some(id);
        own.shard = shard;
        self.take_all(me);
        if moves_away {
            self.migrating.clear();
            self.importing.clear();
        }
        self.end_manual();
        (self.dirty, self.moved, self.stale) = (true, true, true);
        self.effects.push(Effect::Follow { ip, tcp_port, tls_port });
        // The primary knows its replica before that asks for anything.
        self.broadcast_pong(false);
    }

    /// Becomes a primary, in a shard it has or in a new one.
    pub(super) fn lead(&mut self, new_shard: bool) {
        if self.myself().is_primary() {
            return;
        }
        let shard = if new_shard { NodeId::random(&mut self.random) } else { self.myself().shard };
        let own = self.myself_mut();
        own.mark(flag::REPLICA, false);
        own.mark(flag::PRIMARY, true);
        own.replica_of = None;
        own.shard = shard;
        (self.dirty, self.moved, self.stale) = (true, true, true);
        self.effects.push(Effect::Lead);
    }

    /// A node says that it is a primary.
    pub(super) fn set_primary(&mut self, handle: Handle) {
        let me = self.me;
        let Some(node) = self.nodes.get_mut(&handle) else { return };
        if node.is_primary() {
            return;
        }
        node.replica_of = None;
        if handle != me {
            node.mark(flag::MIGRATE_TO, true);
        }
        node.mark(flag::REPLICA, false);
        node.mark(flag::PRIMARY, true);
        (self.dirty, self.moved, self.stale) = (true, true, true);
    }

    /// An epoch that another primary has too is one too few: the one with the lesser name takes a new one.
    pub(super) fn settle_collision(&mut self, with: Handle) {
        let Some(other) = self.nodes.get(&with) else { return };
        let own = self.myself();
        if !other.is_primary() || !own.is_primary() || other.config_epoch != own.config_epoch || other.id <= own.id {
            return;
        }
        self.current_epoch += 1;
        let epoch = self.current_epoch;
        tracing::warn!("configEpoch collision with node {}. Updating my configEpoch to {epoch}", self.nodes[&with].id);
        self.myself_mut().config_epoch = epoch;
        (self.dirty, self.moved) = (true, true);
    }
}
