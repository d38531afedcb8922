//! What CLUSTER's subcommands order. Errors are the texts of their replies, without the `ERR`.

use super::{Machine, NOBODY};
use crate::base::slot::SlotId;
use crate::cluster::node::{Handle, NodeId, flag};
use crate::cluster::slots::Slots;
use crate::cluster::wire::EPOCH_MAX;

type Order<T = ()> = Result<T, String>;

/// What becomes of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Remove,
}

/// CLUSTER SETSLOT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetSlot {
    Migrating(NodeId),
    Importing(NodeId),
    Stable,
    Node(NodeId),
}

impl Machine {
    /// Adds or removes slots, all or none.
    ///
    /// # Errors
    /// A slot is served already, or is not, or is named twice.
    pub fn change(&mut self, slots: &[SlotId], change: Change) -> Order {
        let mut seen = Slots::default();
        for slot in slots {
            match (change, self.owner(*slot) == NOBODY) {
                (Change::Add, false) => return Err(format!("Slot {} is already busy", slot.get())),
                (Change::Remove, true) => return Err(format!("Slot {} is already unassigned", slot.get())),
                _ => {}
            }
            if seen.has(*slot) {
                return Err(format!("Slot {} specified multiple times", slot.get()));
            }
            seen.set(*slot, true);
        }
        let me = self.me;
        for slot in slots {
            match change {
                Change::Add => {
                    self.importing.remove(slot);
                    self.give(*slot, me);
                }
                Change::Remove => {
                    self.take(*slot);
                }
            }
        }
        self.settle();
        Ok(())
    }

    /// Serves no slot any more.
    pub fn clear(&mut self) {
        let me = self.me;
        self.take_all(me);
        self.settle();
    }

    /// Gives a new node its epoch.
    ///
    /// # Errors
    /// It has one, or knows others.
    pub fn set_epoch(&mut self, epoch: u64) -> Order {
        if self.nodes.len() > 1 {
            return Err("The user can assign a config epoch only when the node does not know any other node.".into());
        }
        if epoch > EPOCH_MAX {
            return Err(format!("Invalid config epoch specified: {epoch}"));
        }
        if self.myself().config_epoch != 0 {
            return Err("Node config epoch is already non-zero".into());
        }
        self.myself_mut().config_epoch = epoch;
        self.current_epoch = self.current_epoch.max(epoch);
        tracing::info!("configEpoch set to {epoch} via CLUSTER SET-CONFIG-EPOCH");
        (self.dirty, self.moved) = (true, true);
        Ok(())
    }

    fn greatest_epoch(&self) -> u64 {
        self.nodes.values().map(|n| n.config_epoch).max().unwrap_or(0).max(self.current_epoch)
    }

    /// Takes an epoch that nobody has, if there is a later one than ours, or ours is none. Nobody is asked. Tells whether it did.
    pub(super) fn take_epoch(&mut self) -> bool {
        let greatest = self.greatest_epoch();
        let own = self.myself().config_epoch;
        if own != 0 && own == greatest {
            return false;
        }
        self.current_epoch = self.current_epoch.max(greatest) + 1;
        let epoch = self.current_epoch;
        self.myself_mut().config_epoch = epoch;
        tracing::info!("New configEpoch set to {epoch}");
        (self.dirty, self.moved) = (true, true);
        true
    }

    /// CLUSTER BUMPEPOCH. Tells whether it was raised, and which it is.
    pub fn bump_epoch(&mut self) -> (bool, u64) {
        let raised = self.take_epoch();
        (raised, self.myself().config_epoch)
    }

    /// Begins again without other nodes and slots; `hard`: under another name, from the first epoch on.
    pub fn reset(&mut self, hard: bool) {
        self.end_manual();
        self.election = Default::default();
        let was_replica = self.myself().is(flag::REPLICA);
        self.lead(true);
        if !was_replica {
            let shard = NodeId::random(&mut self.random);
            self.myself_mut().shard = shard;
        }
        let me = self.me;
        self.take_all(me);
        self.migrating.clear();
        self.importing.clear();
        let others: Vec<Handle> = self.nodes.keys().copied().filter(|h| *h != me).collect();
        others.into_iter().for_each(|h| self.remove(h));
        self.forgotten.clear();
        if hard {
            (self.current_epoch, self.last_vote_epoch) = (0, 0);
            let id = NodeId::random(&mut self.random);
            let old = std::mem::replace(&mut self.myself_mut().id, id);
            self.myself_mut().config_epoch = 0;
            self.by_id.remove(&old);
            self.by_id.insert(id, me);
            tracing::info!("Node hard reset, now I'm {id}");
        }
        (self.dirty, self.moved, self.stale) = (true, true, true);
        self.settle();
    }

    /// Forgets a node, for a while also when others speak of it.
    ///
    /// # Errors
    /// It is not known, or is needed.
    pub fn forget(&mut self, id: &NodeId) -> Order {
        let Some(handle) = self.handle(id) else {
            if self.is_forgotten(id) {
                return Ok(());
            }
            return Err(format!("Unknown node {id}"));
        };
        if handle == self.me {
            return Err("I tried hard but I can't forget myself...".into());
        }
        if self.myself().is(flag::REPLICA) && self.my_primary() == Some(handle) {
            return Err("Can't forget my master!".into());
        }
        let ttl = self.settings.blacklist_ttl_ms;
        self.forget_for(*id, ttl);
        self.remove(handle);
        self.broadcast_forgotten(vec![(*id, ttl / 1000)]);
        Ok(())
    }

    /// Becomes a replica of a node. `is_empty`: this node has no keys.
    ///
    /// # Errors
    /// The node is none to follow, or this one has what would be lost.
    pub fn replicate(&mut self, id: &NodeId, is_empty: bool) -> Order {
        let Some(handle) = self.handle(id) else { return Err(format!("Unknown node {id}")) };
        if handle == self.me {
            return Err("Can't replicate myself".into());
        }
        let node = &self.nodes[&handle];
        if !node.is_primary() {
            return Err("I can only replicate a master, not a replica.".into());
        }
        if self.myself().is(flag::REPLICA) && self.my_primary() == Some(handle) {
            return Ok(());
        }
        let own = self.myself();
        if own.is_primary() && (own.count > 0 || !is_empty) {
            return Err("To set a master the node must be empty and without assigned slots.".into());
        }
        self.election = Default::default();
        self.follow(handle);
        self.settle();
        Ok(())
    }

    /// Leaves its primary and is one of its own, without slots.
    ///
    /// # Errors
    /// It follows nobody.
    pub fn detach(&mut self) -> Order {
        if self.myself().is_primary() {
            return Ok(());
        }
        self.election = Default::default();
        self.lead(true);
        self.settle();
        Ok(())
    }

    /// The primary this node follows has another address now.
    pub(super) fn follow_address(&mut self, primary: Handle) {
        let Some(p) = self.nodes.get(&primary) else { return };
        let a = &p.address;
        self.effects.push(super::Effect::Follow { ip: a.ip.clone(), tcp_port: a.tcp_port, tls_port: a.tls_port });
    }

    fn known_primary(&self, id: &NodeId) -> Order<Handle> {
        let Some(handle) = self.handle(id).filter(|h| !self.nodes[h].is(flag::HANDSHAKE)) else {
            return Err(format!("I don't know about node {id}"));
        };
        if !self.nodes[&handle].is_primary() {
            return Err("Target node is not a master".into());
        }
        Ok(handle)
    }

    /// This node has keys in these slots, as it starts.
    pub fn adopt(&mut self, slots: &Slots) {
        let me = self.me;
        for slot in slots.iter() {
            let owner = self.owner(slot);
            if owner == me || self.importing.contains_key(&slot) {
                continue;
            }
            match self.nodes.get(&owner).map(|n| n.id) {
                None => {
                    tracing::warn!("I have keys for unassigned slot {}. Taking responsibility for it.", slot.get());
                    self.give(slot, me);
                }
                Some(id) => {
                    tracing::warn!(
                        "I have keys for slot {}, but the slot is assigned to node {id}. Setting it to importing state.",
                        slot.get()
                    );
                    self.importing.insert(slot, id);
                    (self.dirty, self.moved) = (true, true);
                }
            }
        }
    }

    /// CLUSTER SETSLOT. `keys`: this node has keys in the slot.
    ///
    /// # Errors
    /// Why not.
    pub fn set_slot(&mut self, slot: SlotId, to: SetSlot, keys: bool) -> Order {
        let handle = self.may_set_slot(slot, to, keys)?;
        let n = slot.get();
        match to {
            SetSlot::Migrating(id) => {
                self.migrating.insert(slot, id);
                tracing::info!("Migrating slot {n} to node {id}");
            }
            SetSlot::Importing(id) => {
                self.importing.insert(slot, id);
                tracing::info!("Importing slot {n} from node {id}");
            }
            SetSlot::Stable => {
                self.migrating.remove(&slot);
                self.importing.remove(&slot);
            }
            SetSlot::Node(id) => self.slot_to_node(slot, id, handle, keys),
        }
        (self.dirty, self.moved) = (true, true);
        self.settle();
        Ok(())
    }

    /// Whether [`Machine::set_slot`] would do it, and the node it names; this node for STABLE.
    ///
    /// # Errors
    /// Why not.
    pub fn may_set_slot(&self, slot: SlotId, to: SetSlot, keys: bool) -> Order<Handle> {
        let (mine, n) = (self.led_by(), slot.get());
        let is_mine = Some(self.owner(slot)) == mine;
        let other = |id: NodeId| match self.known_primary(&id)? {
            handle if Some(handle) == mine => Err("Target node is myself".to_owned()),
            handle => Ok(handle),
        };
        match to {
            SetSlot::Migrating(_) if !is_mine => Err(format!("I'm not the owner of hash slot {n}")),
            SetSlot::Importing(_) if is_mine => Err(format!("I'm already the owner of hash slot {n}")),
            SetSlot::Migrating(id) | SetSlot::Importing(id) => other(id),
            SetSlot::Stable => Ok(self.me),
            SetSlot::Node(id) => {
                let handle = self.handle(&id).filter(|h| !self.nodes[h].is(flag::HANDSHAKE));
                let handle = handle.ok_or_else(|| format!("Unknown node {id}"))?;
                if !self.nodes[&handle].is_primary() {
                    return Err("Target node is not a master".into());
                }
                if is_mine && Some(handle) != mine && keys {
                    return Err(format!(
                        "Can't assign hashslot {n} to a different node while I still hold keys for this hash slot."
                    ));
                }
                Ok(handle)
            }
        }
    }

    /// The primary of this shard.
    fn led_by(&self) -> Option<Handle> {
        if self.myself().is_primary() { Some(self.me) } else { self.my_primary() }
    }

    /// The same as the primary's stream has it, at a replica. The bus may have been quicker and have told how the move has ended, which is then
    /// passed over; or slower, so that neither the slot's owner nor the other end is known yet.
    pub fn follow_slot(&mut self, slot: SlotId, to: SetSlot, keys: bool) {
        let owner = Some(self.owner(slot));
        match to {
            SetSlot::Migrating(id) if self.handle(&id) != owner => {
                self.migrating.insert(slot, id);
            }
            SetSlot::Importing(id) if self.my_primary() != owner => {
                self.importing.insert(slot, id);
            }
            SetSlot::Migrating(_) | SetSlot::Importing(_) => return,
            SetSlot::Node(id) => {
                // The primary has given it away when it was empty.
                let keys = keys && self.handle(&id) == self.my_primary();
                if let Err(why) = self.set_slot(slot, to, keys) {
                    tracing::debug!("What the PRIMARY says of slot {} is left to the bus: {why}", slot.get());
                }
                return;
            }
            SetSlot::Stable => {
                self.migrating.remove(&slot);
                self.importing.remove(&slot);
            }
        }
        (self.dirty, self.moved) = (true, true);
    }

    fn slot_to_node(&mut self, slot: SlotId, id: NodeId, handle: Handle, keys: bool) {
        let (mine, n) = (self.led_by(), slot.get());
        // The last key has gone: so has the move.
        if !keys {
            self.migrating.remove(&slot);
        }
        let was_mine = Some(self.owner(slot)) == mine && mine == Some(self.me);
        let imported = self.importing.contains_key(&slot) && Some(handle) == mine;
        if imported {
            self.importing.remove(&slot);
        }
        tracing::info!("Assigning slot {n} to node {id}");
        self.give(slot, handle);
        if imported && handle == self.me {
            // So that others believe it rather than the one it comes from.
            if self.take_epoch() {
                tracing::info!("configEpoch updated after importing slot {n}");
            }
            self.broadcast_pong(false);
        }
        if was_mine
            && self.myself().count == 0
            && self.settings.allow_replica_migration
            && self.myself().is_primary()
            && handle != self.me
        {
            tracing::info!("Lost my last slot during slot migration. Reconfiguring myself as a replica of {id}");
            self.follow(handle);
        }
    }
}
