//! The cluster as a pure machine: what comes in is a message, a moment or an order, what comes out are messages and effects.
//!
//! It never reads the time, opens nothing and locks nothing. Whoever drives it says [`Machine::moment`] first and takes
//! [`Machine::take_outputs`] and [`Machine::take_effects`] afterwards.
//!
//! # Invariants
//! * `owners` and the nodes' own sets say the same: both change in [`Machine::give`] and [`Machine::take`] alone.
//! * An epoch never goes back but by CLUSTER RESET HARD, and `current_epoch` is never below this node's config epoch.
//! * In one epoch this node votes once: `last_vote_epoch` is raised, and on disk, before the vote leaves.
//! * `dirty` is set with every change of what the file holds; outputs leave only once that is written.

mod build;
pub mod election;
mod failure;
pub mod order;
pub mod receive;
mod slots;
mod talk;
pub mod tick;

pub use receive::Heard;

use super::node::{Address, Handle, LinkId, Node, NodeId, flag};
use super::slots::Slots;
use super::wire::KINDS;
use crate::base::hash::Random;
use crate::base::slot::{SLOTS, SlotId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Nobody's slot.
pub const NOBODY: Handle = 0;

/// What of the configuration counts here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub node_timeout_ms: u64,
    pub ping_interval_ms: u64,
    pub gossip_percent: usize,
    pub replica_validity_factor: u64,
    pub no_failover: bool,
    pub migration_barrier: u32,
    pub allow_replica_migration: bool,
    pub require_full_coverage: bool,
    pub manual_failover_timeout_ms: u64,
    pub blacklist_ttl_ms: u64,
    pub repl_ping_period_ms: u64,
    pub link_sendbuf_limit: u64,
    /// Ports of messages name the TLS port first.
    pub tls_first: bool,
    /// What this node announces; an empty address is learned.
    pub own: Address,
}

/// What replication knows at this instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub offset: u64,
    pub link_is_up: bool,
    /// While it is: how long nothing has come over it. While it is not: how long it has not been, if it ever was.
    pub silence_ms: Option<u64>,
    /// Each primary that is followed begins another.
    pub epoch: u64,
}

/// What the driver has to do on the network.
#[derive(Clone, Debug)]
pub enum Output {
    Dial { link: LinkId, ip: String, port: u16, queued: Arc<AtomicU64> },
    Send { link: LinkId, bytes: Arc<[u8]> },
    Close { link: LinkId },
}

/// What has to happen outside of the cluster's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Follow this primary.
    Follow {
        ip: String,
        tcp_port: u16,
        tls_port: u16,
    },
    /// Be a primary.
    Lead,
    /// Delete the keys of slots that are another's now.
    Drop(Slots),
    /// Hold writers back.
    Pause,
    Resume,
    Publish {
        shard: bool,
        channel: Vec<u8>,
        message: Vec<u8>,
    },
}

/// A connection of the bus.
#[derive(Clone, Debug)]
pub struct Link {
    pub node: Option<Handle>,
    pub inbound: bool,
    pub peer_ip: String,
    /// Our own address on it; known once it is connected.
    pub own_ip: String,
    pub created_ms: u64,
    pub connected: bool,
    /// A message of a node we know has come over it.
    pub proven: bool,
    /// Bytes that wait to be sent, as the driver keeps count.
    pub queued: Arc<AtomicU64>,
}

/// Messages and bytes, for CLUSTER INFO.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub sent: [u64; KINDS.len()],
    pub received: [u64; KINDS.len()],
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub pubsub_bytes_sent: u64,
    pub pubsub_bytes_received: u64,
    pub links_over_limit: u64,
}

/// An election of this node.
#[derive(Clone, Debug, Default)]
struct Election {
    /// When it begins; 0 before the first.
    at_ms: u64,
    requested: bool,
    votes: usize,
    rank: u64,
    epoch: u64,
    /// What the log said last of why there is none.
    excuse: &'static str,
    excused_ms: u64,
}

/// A failover that somebody asked for.
#[derive(Clone, Debug, Default)]
struct Manual {
    /// 0: none goes on.
    until_ms: u64,
    /// As the primary: who takes over.
    replica: Option<NodeId>,
    /// As the replica: where the primary stopped.
    offset: Option<u64>,
    can_start: bool,
}

pub struct Machine {
    pub now_ms: u64,
    pub data: Data,
    pub settings: Settings,
    pub me: Handle,
    pub current_epoch: u64,
    pub last_vote_epoch: u64,
    pub nodes: BTreeMap<Handle, Node>,
    by_id: HashMap<NodeId, Handle>,
    next_handle: Handle,
    pub owners: Box<[Handle; SLOTS]>,
    /// Slots whose owner does not say so any more: whoever claims them has them.
    unclaimed: Slots,
    pub migrating: BTreeMap<SlotId, NodeId>,
    pub importing: BTreeMap<SlotId, NodeId>,
    pub is_up: bool,
    /// Primaries with slots.
    pub size: usize,
    /// Since when most of them could not be reached.
    minority_ms: u64,
    /// Why the cluster is down, as the log has it.
    down_why: &'static str,
    /// A node that comes back serves nothing before then.
    silent_until_ms: u64,
    forgotten: HashMap<NodeId, u64>,
    /// When what this replica has was last as its shard's primary had it; 0: it never was.
    fresh_ms: u64,
    /// The link of this epoch is one to a primary that is followed no more, or to nobody.
    left_epoch: Option<u64>,
    election: Election,
    manual: Manual,
    pub links: BTreeMap<LinkId, Link>,
    next_link: LinkId,
    pub figures: Figures,
    random: Random,
    outputs: VecDeque<Output>,
    effects: Vec<Effect>,
    /// The file is to be written.
    pub dirty: bool,
    /// What redirections are made of has changed.
    pub moved: bool,
    /// The state of the cluster is to be looked at once more.
    stale: bool,
    pinged_ms: u64,
    /// Where a replica that takes over waits to hear how far we are.
    handover_link: Option<LinkId>,
    /// DEBUG DROP-CLUSTER-PACKET-FILTER: messages of this kind are not heard.
    pub deaf_to: Option<u16>,
    /// DEBUG CLOSE-CLUSTER-LINK-ON-PACKET-DROP.
    pub closes_when_deaf: bool,
    /// DEBUG DISABLE-CLUSTER-RECONNECTION.
    pub stays_apart: bool,
    /// DEBUG DISABLE-CLUSTER-RANDOM-PING.
    pub no_random_ping: bool,
}

impl Machine {
    /// A node that knows only itself.
    pub fn new(id: NodeId, shard: NodeId, seed: u64, now_ms: u64) -> Machine {
        let me = 1;
        let own = flag::MYSELF | flag::PRIMARY | flag::EXTENSIONS | flag::LIGHT_PUBLISH | flag::LIGHT_MODULE;
        let node = Node::new(id, shard, own, now_ms);
        Machine {
            now_ms,
            data: Data::default(),
            settings: Settings::default(),
            me,
            current_epoch: 0,
            last_vote_epoch: 0,
            nodes: BTreeMap::from([(me, node)]),
            by_id: HashMap::from([(id, me)]),
            next_handle: me + 1,
            owners: Box::new([NOBODY; SLOTS]),
            unclaimed: Slots::default(),
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            is_up: false,
            size: 0,
            minority_ms: 0,
            down_why: "",
            silent_until_ms: 0,
            forgotten: HashMap::new(),
            fresh_ms: 0,
            left_epoch: None,
            election: Election::default(),
            manual: Manual::default(),
            links: BTreeMap::new(),
            next_link: 1,
            figures: Figures::default(),
            random: Random::new(seed),
            outputs: VecDeque::new(),
            effects: Vec::new(),
            dirty: false,
            moved: true,
            stale: true,
            pinged_ms: 0,
            handover_link: None,
            deaf_to: None,
            closes_when_deaf: false,
            stays_apart: false,
            no_random_ping: false,
        }
    }

    /// It is now, and this is how replication stands.
    pub fn moment(&mut self, now_ms: u64, data: Data) {
        (self.now_ms, self.data) = (now_ms, data);
        // Also what was up for less than a round of the clock has been up.
        if let Some(silence_ms) = data.silence_ms
            && self.myself().is(flag::REPLICA)
            && self.left_epoch != Some(data.epoch)
        {
            self.fresh_ms = self.fresh_ms.max(now_ms.saturating_sub(silence_ms));
        }
    }

    /// How far this node is in its shard's history; 0 for a replica that has nothing of it yet.
    pub fn offset(&self) -> u64 {
        if self.myself().is(flag::REPLICA) && self.fresh_ms == 0 { 0 } else { self.data.offset }
    }

    pub fn take_outputs(&mut self) -> VecDeque<Output> {
        std::mem::take(&mut self.outputs)
    }

    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What could not be done yet comes first the next time.
    pub fn put_back(&mut self, mut effects: Vec<Effect>) {
        effects.append(&mut self.effects);
        self.effects = effects;
    }

    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    pub fn myself(&self) -> &Node {
        &self.nodes[&self.me]
    }

    fn myself_mut(&mut self) -> &mut Node {
        let me = self.me;
        self.nodes.get_mut(&me).expect("this node is always in its own table")
    }

    pub fn handle(&self, id: &NodeId) -> Option<Handle> {
        self.by_id.get(id).copied()
    }

    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(self.by_id.get(id)?)
    }

    /// Nodes whose names are known.
    pub fn known(&self) -> impl Iterator<Item = (Handle, &Node)> {
        self.nodes.iter().filter(|(_, n)| !n.is(flag::HANDSHAKE)).map(|(h, n)| (*h, n))
    }

    /// The primary this node follows.
    pub fn my_primary(&self) -> Option<Handle> {
        self.myself().replica_of.and_then(|id| self.handle(&id))
    }

    pub fn replicas_of(&self, id: NodeId) -> impl Iterator<Item = (Handle, &Node)> {
        self.known().filter(move |(_, n)| n.is(flag::REPLICA) && n.replica_of == Some(id))
    }

    /// Its replicas by name, so that all nodes list them alike.
    pub fn sorted_replicas(&self, id: NodeId) -> Vec<(Handle, &Node)> {
        let mut all: Vec<_> = self.replicas_of(id).collect();
        all.sort_by_key(|(_, n)| n.id);
        all
    }

    pub fn owner(&self, slot: SlotId) -> Handle {
        self.owners[usize::from(slot.get())]
    }

    fn quorum(&self) -> usize {
        self.size / 2 + 1
    }

    fn add(&mut self, node: Node) -> Handle {
        let handle = self.next_handle;
        self.next_handle += 1;
        self.by_id.insert(node.id, handle);
        self.nodes.insert(handle, node);
        handle
    }

    /// Gives a slot to a node.
    fn give(&mut self, slot: SlotId, to: Handle) {
        self.take(slot);
        let Some(node) = self.nodes.get_mut(&to) else { return };
        node.slots.set(slot, true);
        node.count += 1;
        self.owners[usize::from(slot.get())] = to;
        (self.moved, self.stale, self.dirty) = (true, true, true);
    }

    /// Makes a slot nobody's; true if it was somebody's.
    fn take(&mut self, slot: SlotId) -> bool {
        let owner = std::mem::replace(&mut self.owners[usize::from(slot.get())], NOBODY);
        self.unclaimed.set(slot, false);
        let Some(node) = self.nodes.get_mut(&owner) else { return false };
        node.slots.set(slot, false);
        node.count -= 1;
        (self.moved, self.stale, self.dirty) = (true, true, true);
        true
    }

    fn take_all(&mut self, of: Handle) -> usize {
        let all: Vec<SlotId> = self.nodes.get(&of).map(|n| n.slots.iter().collect()).unwrap_or_default();
        for slot in &all {
            self.take(*slot);
        }
        all.len()
    }

    /// Drops a node, its slots, and whatever speaks of it.
    fn remove(&mut self, handle: Handle) {
        self.take_all(handle);
        let Some(node) = self.nodes.remove(&handle) else { return };
        self.by_id.remove(&node.id);
        self.migrating.retain(|_, id| *id != node.id);
        self.importing.retain(|_, id| *id != node.id);
        for other in self.nodes.values_mut() {
            other.reports.retain(|(who, _)| *who != node.id);
        }
        for link in [node.link, node.inbound].into_iter().flatten() {
            self.close(link);
        }
        if !node.is(flag::HANDSHAKE) {
            (self.dirty, self.moved, self.stale) = (true, true, true);
        }
    }

    /// Ends a connection.
    fn close(&mut self, id: LinkId) {
        if self.links.contains_key(&id) {
            self.forget_link(id);
            self.outputs.push_back(Output::Close { link: id });
        }
    }

    fn forget_link(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(&id) else { return };
        if let Some(node) = link.node.and_then(|h| self.nodes.get_mut(&h)) {
            if node.link == Some(id) {
                node.link = None;
            }
            if node.inbound == Some(id) {
                node.inbound = None;
                node.unheard_ms = self.now_ms;
            }
        }
    }

    /// Somebody has connected to us. Returns what his connection is called here, and where its queue is counted.
    pub fn accepted(&mut self, peer_ip: String, own_ip: String) -> (LinkId, Arc<AtomicU64>) {
        let queued = Arc::new(AtomicU64::new(0));
        let id = self.next_link;
        self.next_link += 1;
        let link = Link {
            node: None,
            inbound: true,
            peer_ip,
            own_ip,
            created_ms: self.now_ms,
            connected: true,
            proven: false,
            queued: Arc::clone(&queued),
        };
        self.links.insert(id, link);
        (id, queued)
    }

    fn dial(&mut self, handle: Handle) {
        let Some(node) = self.nodes.get_mut(&handle) else { return };
        let id = self.next_link;
        self.next_link += 1;
        let queued = Arc::new(AtomicU64::new(0));
        node.link = Some(id);
        if node.ping_sent_ms == 0 && !node.is(flag::HANDSHAKE) {
            // A connection that never comes to stand is an answer that does not come.
            node.ping_sent_ms = self.now_ms;
        }
        let (ip, port) = (node.address.ip.clone(), node.address.bus_port);
        let link = Link {
            node: Some(handle),
            inbound: false,
            peer_ip: ip.clone(),
            own_ip: String::new(),
            created_ms: self.now_ms,
            connected: false,
            proven: false,
            queued: Arc::clone(&queued),
        };
        self.links.insert(id, link);
        self.outputs.push_back(Output::Dial { link: id, ip, port, queued });
    }

    /// A connection of ours stands.
    pub fn connected(&mut self, id: LinkId, own_ip: String) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.connected = true;
        link.own_ip = own_ip;
        if let Some(handle) = link.node {
            self.greet(handle, id);
        }
    }

    /// A connection has ended.
    pub fn closed(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (handle, inbound) = (link.node, link.inbound);
        self.forget_link(id);
        // An answer that was to come over it will not come: its delay counts from now on.
        if !inbound
            && let Some(node) = handle.and_then(|h| self.nodes.get_mut(&h))
            && node.ping_sent_ms == 0
            && !node.is(flag::HANDSHAKE)
        {
            node.ping_sent_ms = self.now_ms;
        }
    }

    /// A MEET that found nobody, a node that was forgotten: not met again for a while.
    pub fn is_forgotten(&self, id: &NodeId) -> bool {
        self.forgotten.get(id).is_some_and(|until| *until > self.now_ms)
    }

    fn forget_for(&mut self, id: NodeId, ms: u64) {
        let now = self.now_ms;
        self.forgotten.retain(|_, until| *until > now);
        self.forgotten.insert(id, now + ms);
    }
}

impl Machine {
    /// Puts a node that a file describes into the table; `None` if there is one of that name. This node itself takes its own place.
    pub fn put(&mut self, node: Node) -> Option<Handle> {
        if node.is(flag::MYSELF) {
            let (me, flags) = (self.me, self.myself().flags);
            let kept = flags & !(flag::PRIMARY | flag::REPLICA);
            *self.myself_mut() = Node { flags: node.flags | kept, ..node };
            return Some(me);
        }
        if self.by_id.contains_key(&node.id) {
            return None;
        }
        Some(self.add(node))
    }

    /// A replica is in its primary's shard, whatever a file says.
    pub fn agree_on_shards(&mut self) {
        let shards: HashMap<NodeId, NodeId> = self.nodes.values().map(|n| (n.id, n.shard)).collect();
        for node in self.nodes.values_mut() {
            if let Some(shard) = node.replica_of.and_then(|p| shards.get(&p)) {
                node.shard = *shard;
            }
        }
    }

    /// Gives a slot that is nobody's, as a file says it.
    pub fn put_slot(&mut self, slot: SlotId, to: Handle) {
        self.give(slot, to);
    }

    /// Follows whom a file says it follows.
    pub fn resume(&mut self) {
        if self.myself().is(flag::REPLICA)
            && let Some(primary) = self.my_primary()
        {
            self.follow_address(primary);
        }
    }

    /// It has read what is old: others are heard before it serves anything.
    pub fn wait_for_others(&mut self, until_ms: u64) {
        self.silent_until_ms = until_ms;
    }

    /// Takes over what the configuration says of this node.
    pub fn configure(&mut self, settings: Settings) {
        let learned = self.myself().address.ip.clone();
        let mut address = settings.own.clone();
        if address.ip.is_empty() {
            address.ip = learned;
        }
        let no_failover = settings.no_failover;
        let own = self.myself_mut();
        let mut changed = own.mark(flag::NO_FAILOVER, no_failover);
        changed |= std::mem::replace(&mut own.address, address.clone()) != address;
        if self.settings.require_full_coverage != settings.require_full_coverage {
            self.stale = true;
        }
        if changed {
            (self.dirty, self.moved) = (true, true);
        }
        self.settings = settings;
    }

    /// The node a word names: an id, whole.
    ///
    /// # Errors
    /// The text of the reply.
    pub fn named(&self, word: &[u8]) -> Result<(Handle, &Node), String> {
        let found = NodeId::parse(word).and_then(|id| self.handle(&id));
        match found.and_then(|h| Some((h, self.nodes.get(&h)?))) {
            Some(found) => Ok(found),
            None => Err(format!("Unknown node {}", String::from_utf8_lossy(&word[..word.len().min(64)]))),
        }
    }

    /// Connections, and the bytes of them and of what waits in them.
    pub fn links_held(&self) -> (u64, u64) {
        let queued: u64 = self.links.values().map(|l| l.queued.load(std::sync::atomic::Ordering::Relaxed)).sum();
        (self.links.len() as u64, queued + (self.links.len() * size_of::<Link>()) as u64)
    }

    /// DEBUG CLUSTERLINK KILL.
    pub fn kill_links(&mut self, handle: Handle, to: bool, from: bool) {
        let Some(node) = self.nodes.get(&handle) else { return };
        let (link, inbound) = (node.link.filter(|_| to), node.inbound.filter(|_| from));
        for id in [link, inbound].into_iter().flatten() {
            self.close(id);
        }
    }
}
