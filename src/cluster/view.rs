//! What every worker may look at without a lock that anybody writes under: who has which slot, and how to get there.

use super::machine::Machine;
use super::node::{Address, NodeId, flag};
use crate::base::slot::{SLOTS, SlotId};
use crate::config::types::ClusterPreferredEndpoint;
use std::collections::{BTreeMap, HashMap};

const NOBODY: u16 = u16::MAX;

/// A node, as clients see it.
#[derive(Clone, Debug)]
pub struct Place {
    pub id: NodeId,
    pub address: Address,
}

/// The cluster at one instant.
#[derive(Clone, Debug)]
pub struct View {
    owners: Box<[u16; SLOTS]>,
    places: Vec<Place>,
    me: u16,
    /// The primary this node follows.
    my_primary: u16,
    pub is_up: bool,
    migrating: BTreeMap<SlotId, u16>,
    importing: BTreeMap<SlotId, u16>,
}

/// Whose a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Nobody,
    Me,
    /// The primary this replica follows.
    MyPrimary,
    Other,
}

impl View {
    pub fn of(machine: &Machine) -> View {
        let mut index = HashMap::new();
        let mut places = Vec::new();
        for (handle, node) in machine.known() {
            index.insert(handle, places.len() as u16);
            places.push(Place { id: node.id, address: node.address.clone() });
        }
        let of = |handle: &u32| index.get(handle).copied().unwrap_or(NOBODY);
        let named = |id: &NodeId| machine.handle(id).as_ref().map_or(NOBODY, of);
        let mut owners = Box::new([NOBODY; SLOTS]);
        for (to, from) in owners.iter_mut().zip(machine.owners.iter()) {
            *to = of(from);
        }
        let on_the_way = |list: &BTreeMap<SlotId, NodeId>| list.iter().map(|(s, id)| (*s, named(id))).collect();
        let my_primary = machine.myself().replica_of.filter(|_| machine.myself().is(flag::REPLICA));
        View {
            owners,
            me: of(&machine.me),
            my_primary: my_primary.as_ref().map_or(NOBODY, named),
            places,
            is_up: machine.is_up,
            migrating: on_the_way(&machine.migrating),
            importing: on_the_way(&machine.importing),
        }
    }

    pub fn owner(&self, slot: SlotId) -> Owner {
        let owner = self.owners[usize::from(slot.get())];
        match owner {
            NOBODY => Owner::Nobody,
            o if o == self.me => Owner::Me,
            o if o == self.my_primary => Owner::MyPrimary,
            _ => Owner::Other,
        }
    }

    fn place(&self, i: u16) -> Option<&Place> {
        self.places.get(usize::from(i))
    }

    /// Where a slot is served.
    pub fn owner_place(&self, slot: SlotId) -> Option<&Place> {
        self.place(self.owners[usize::from(slot.get())])
    }

    /// Where a slot of this node is going.
    pub fn target(&self, slot: SlotId) -> Option<&Place> {
        self.migrating.get(&slot).and_then(|i| self.place(*i))
    }

    pub fn is_importing(&self, slot: SlotId) -> bool {
        self.importing.contains_key(&slot)
    }

    /// It is neither coming nor going.
    pub fn is_settled(&self, slot: SlotId) -> bool {
        (self.migrating.is_empty() && self.importing.is_empty())
            || !(self.migrating.contains_key(&slot) || self.importing.contains_key(&slot))
    }

    /// Something that is ours here is not ours there, or not served.
    pub fn loses(&self, next: &View) -> bool {
        let gone = |slot| self.is_ours(slot) && !next.is_ours(slot);
        (self.is_up && !next.is_up) || (0..SLOTS as u16).filter_map(SlotId::new).any(gone)
    }

    /// This node, or its primary, has it.
    pub fn is_ours(&self, slot: SlotId) -> bool {
        matches!(self.owner(slot), Owner::Me | Owner::MyPrimary)
    }
}

/// How a client is connected, as far as that decides what it is told.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub tls: bool,
    pub ipv6: bool,
    pub kind: ClusterPreferredEndpoint,
}

impl Address {
    /// The address for clients.
    pub fn client_ip(&self, seen: Seen) -> &str {
        let own = if seen.ipv6 { &self.client_ipv6 } else { &self.client_ipv4 };
        if own.is_empty() { &self.ip } else { own }
    }

    /// The port for clients.
    pub fn client_port(&self, seen: Seen) -> u16 {
        let or = |own: u16, other: u16| if own == 0 { other } else { own };
        let (tcp, tls) = (or(self.client_port, self.tcp_port), or(self.client_tls_port, self.tls_port));
        if (seen.tls && self.tls_port != 0) || self.tcp_port == 0 { tls } else { tcp }
    }

    /// `host:port`, as redirections have it.
    pub fn endpoint(&self, seen: Seen) -> String {
        let host = match seen.kind {
            ClusterPreferredEndpoint::Ip => self.client_ip(seen),
            ClusterPreferredEndpoint::Hostname if self.hostname.is_empty() => "?",
            ClusterPreferredEndpoint::Hostname => &self.hostname,
            ClusterPreferredEndpoint::UnknownEndpoint => "",
        };
        format!("{host}:{}", self.client_port(seen))
    }
}
