//! A node, as this one knows it.

use super::slots::Slots;
use super::wire;
use crate::base::hash::Random;

/// The name of a node or a shard: 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 40]);

impl NodeId {
    pub fn parse(text: &[u8]) -> Option<NodeId> {
        let bytes: [u8; 40] = text.try_into().ok()?;
        bytes.iter().all(u8::is_ascii_hexdigit).then_some(NodeId(bytes))
    }

    pub fn random(random: &mut Random) -> NodeId {
        NodeId(std::array::from_fn(|_| b"0123456789abcdef"[random.below(16) as usize]))
    }

    pub fn bytes(&self) -> &[u8; 40] {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bits of a node's flags, as they go over the wire.
pub mod flag {
    pub const PRIMARY: u16 = 1;
    pub const REPLICA: u16 = 1 << 1;
    /// It does not answer us.
    pub const PFAIL: u16 = 1 << 2;
    /// It does not answer most.
    pub const FAIL: u16 = 1 << 3;
    pub const MYSELF: u16 = 1 << 4;
    /// Its name is not known yet.
    pub const HANDSHAKE: u16 = 1 << 5;
    pub const NO_ADDRESS: u16 = 1 << 6;
    /// It is to be introduced to us.
    pub const MEET: u16 = 1 << 7;
    pub const MIGRATE_TO: u16 = 1 << 8;
    /// It does not take its primary's place by itself.
    pub const NO_FAILOVER: u16 = 1 << 9;
    pub const EXTENSIONS: u16 = 1 << 10;
    /// It understands light heads of PUBLISH.
    pub const LIGHT_PUBLISH: u16 = 1 << 11;
    /// The same of modules' messages; and a MEET from somebody it knows.
    pub const LIGHT_MODULE: u16 = 1 << 12;
    pub const MY_PRIMARY_FAILED: u16 = 1 << 13;
}

/// A node of our table, as long as it stands there; never used again.
pub type Handle = u32;
/// A connection of the bus; never used again.
pub type LinkId = u64;

/// How a node can be reached, and what it calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    pub ip: String,
    pub tcp_port: u16,
    pub tls_port: u16,
    pub bus_port: u16,
    pub hostname: String,
    pub nodename: String,
    pub client_ipv4: String,
    pub client_ipv6: String,
    pub client_port: u16,
    pub client_tls_port: u16,
    pub zone: String,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub id: NodeId,
    pub shard: NodeId,
    pub created_ms: u64,
    pub flags: u16,
    pub config_epoch: u64,
    pub slots: Slots,
    /// As many as there are in `slots`.
    pub count: usize,
    /// By name: it may not be known yet.
    pub replica_of: Option<NodeId>,
    /// When a ping was sent that is not answered; 0: none.
    pub ping_sent_ms: u64,
    pub pong_ms: u64,
    /// When anything came from it.
    pub data_ms: u64,
    pub failed_ms: u64,
    pub offset: u64,
    pub orphaned_ms: u64,
    /// When it was last introduced to us once more, because it seems not to know us.
    pub met_ms: u64,
    /// Since when it has had no connection to us.
    pub unheard_ms: u64,
    pub address: Address,
    /// Our connection to it.
    pub link: Option<LinkId>,
    /// Its connection to us.
    pub inbound: Option<LinkId>,
    /// Who says that it does not answer, and when.
    pub reports: Vec<(NodeId, u64)>,
}

impl Node {
    pub fn new(id: NodeId, shard: NodeId, flags: u16, now_ms: u64) -> Node {
        Node {
            id,
            shard,
            created_ms: now_ms,
            flags,
            config_epoch: 0,
            slots: Slots::default(),
            count: 0,
            replica_of: None,
            ping_sent_ms: 0,
            pong_ms: 0,
            data_ms: 0,
            failed_ms: 0,
            offset: 0,
            orphaned_ms: 0,
            met_ms: 0,
            unheard_ms: now_ms,
            address: Address::default(),
            link: None,
            inbound: None,
            reports: Vec::new(),
        }
    }

    pub fn is(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    pub fn is_primary(&self) -> bool {
        self.is(flag::PRIMARY)
    }

    /// It has a say in who has failed and who is promoted.
    pub fn votes(&self) -> bool {
        self.is_primary() && self.count > 0
    }

    /// Sets or takes away flags; true if that changed something.
    pub fn mark(&mut self, flags: u16, set: bool) -> bool {
        let before = self.flags;
        if set {
            self.flags |= flags
        } else {
            self.flags &= !flags
        }
        before != self.flags
    }

    /// The words of CLUSTER NODES for the flags.
    pub fn flag_words(&self) -> String {
        let words: Vec<&str> = [
            (flag::MYSELF, "myself"),
            (flag::PRIMARY, "master"),
            (flag::REPLICA, "slave"),
            (flag::PFAIL, "fail?"),
            (flag::FAIL, "fail"),
            (flag::HANDSHAKE, "handshake"),
            (flag::NO_ADDRESS, "noaddr"),
            (flag::NO_FAILOVER, "nofailover"),
        ]
        .into_iter()
        .filter(|(bit, _)| self.is(*bit))
        .map(|(_, word)| word)
        .collect();
        if words.is_empty() { "noflags".into() } else { words.join(",") }
    }

    /// Takes over what the node says of itself; true if that changed something.
    pub fn describe(&mut self, e: &wire::Extensions) -> bool {
        let new = Address {
            hostname: e.hostname.clone(),
            nodename: e.nodename.clone(),
            client_ipv4: e.client_ipv4.clone(),
            client_ipv6: e.client_ipv6.clone(),
            client_port: e.client_port,
            client_tls_port: e.client_tls_port,
            zone: e.zone.clone(),
            ..self.address.clone()
        };
        let changed = new != self.address;
        self.address = new;
        changed
    }
}
