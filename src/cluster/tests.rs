//! The machine, driven by hand: nodes whose messages are carried from one to the other.

use super::machine::order::{Change, SetSlot};
use super::machine::{Data, Effect, Machine, Output};
use super::node::{LinkId, NodeId, flag};
use super::wire;
use crate::base::hash::Random;
use crate::base::slot::{SLOTS, SlotId};
use std::collections::{HashMap, VecDeque};

/// Nodes on a network that loses nothing unless it is told to. Node `i` has the port 7000 + i, its bus 17000 + i.
struct Net {
    nodes: Vec<Machine>,
    now_ms: u64,
    /// Both ends of each connection.
    peers: HashMap<(usize, LinkId), (usize, LinkId)>,
    down: Vec<bool>,
    epochs: Vec<u64>,
}

impl Net {
    fn new(n: usize, seed: u64) -> Net {
        let mut random = Random::new(seed);
        let now_ms = 1_000_000;
        let nodes = (0..n)
            .map(|i| {
                let (id, shard) = (NodeId::random(&mut random), NodeId::random(&mut random));
                let mut m = Machine::new(id, shard, random.next_u64(), now_ms);
                let mut settings = super::machine::Settings {
                    node_timeout_ms: 3000,
                    ping_interval_ms: 1000,
                    gossip_percent: 10,
                    replica_validity_factor: 10,
                    allow_replica_migration: true,
                    require_full_coverage: true,
                    manual_failover_timeout_ms: 5000,
                    blacklist_ttl_ms: 60_000,
                    repl_ping_period_ms: 10_000,
                    ..Default::default()
                };
                settings.own.ip = "127.0.0.1".into();
                (settings.own.tcp_port, settings.own.bus_port) = (7000 + i as u16, 17000 + i as u16);
                m.configure(settings);
                m
            })
            .collect();
        Net { nodes, now_ms, peers: HashMap::new(), down: vec![false; n], epochs: vec![0; n] }
    }

    fn act(&mut self, i: usize, f: impl FnOnce(&mut Machine)) {
        // The driver of replication begins an epoch when it is told to follow.
        let effects = self.nodes[i].take_effects();
        self.epochs[i] += effects.iter().filter(|e| matches!(e, Effect::Follow { .. })).count() as u64;
        self.nodes[i].put_back(effects.clone());
        let epoch = self.epochs[i];
        let link_is_up = self.follows_somebody_alive(i);
        let data = Data { offset: 100, link_is_up, silence_ms: link_is_up.then_some(0), epoch };
        self.nodes[i].moment(self.now_ms, data);
        f(&mut self.nodes[i]);
        self.nodes[i].settle();
        self.deliver(i);
    }

    /// Its primary answers.
    fn follows_somebody_alive(&self, i: usize) -> bool {
        let primary = self.nodes[i].myself().replica_of;
        (0..self.nodes.len()).any(|j| Some(self.id(j)) == primary && !self.down[j])
    }

    /// Carries what a node sends, and what follows from it.
    fn deliver(&mut self, from: usize) {
        let mut queue: VecDeque<(usize, Output)> = VecDeque::new();
        queue.extend(self.nodes[from].take_outputs().into_iter().map(|o| (from, o)));
        while let Some((from, output)) = queue.pop_front() {
            let mut touched = vec![from];
            match output {
                Output::Dial { link, port, .. } => {
                    let to = usize::from(port - 17000);
                    if self.down[to] || self.down[from] {
                        self.nodes[from].closed(link);
                    } else {
                        let (other, _) = self.nodes[to].accepted("127.0.0.1".into(), "127.0.0.1".into());
                        self.peers.insert((from, link), (to, other));
                        self.peers.insert((to, other), (from, link));
                        self.nodes[from].connected(link, "127.0.0.1".into());
                        touched.push(to);
                    }
                }
                Output::Send { link, bytes } => {
                    if let Some((to, other)) = self.peers.get(&(from, link)).copied()
                        && !self.down[to]
                        && !self.down[from]
                    {
                        let message = wire::parse(&bytes).expect("we write what we can read");
                        self.nodes[to].now_ms = self.now_ms;
                        self.nodes[to].message(other, message);
                        self.nodes[to].settle();
                        touched.push(to);
                    }
                }
                Output::Close { link } => {
                    if let Some((to, other)) = self.peers.remove(&(from, link)) {
                        self.peers.remove(&(to, other));
                        self.nodes[to].closed(other);
                        touched.push(to);
                    }
                }
            }
            for node in touched {
                queue.extend(self.nodes[node].take_outputs().into_iter().map(|o| (node, o)));
            }
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.now_ms += 100;
            for i in 0..self.nodes.len() {
                if !self.down[i] {
                    self.act(i, |m| m.tick());
                }
            }
        }
    }

    fn id(&self, i: usize) -> NodeId {
        self.nodes[i].myself().id
    }

    /// Three primaries with all slots, and a replica of each further node in turn.
    fn cluster(n: usize, seed: u64) -> Net {
        let mut net = Net::new(n, seed);
        for i in 0..n {
            net.act(i, |m| m.set_epoch(i as u64 + 1).unwrap());
        }
        for i in 1..n {
            net.act(0, |m| assert!(m.start_handshake("127.0.0.1", 7000 + i as u16, 0, 17000 + i as u16, true)));
        }
        for i in 0..3 {
            let slots: Vec<SlotId> =
                (0..SLOTS as u16).filter(|s| usize::from(*s) * 3 / SLOTS == i).filter_map(SlotId::new).collect();
            net.act(i, |m| m.change(&slots, Change::Add).unwrap());
        }
        net.run(5000);
        for i in 3..n {
            let primary = net.id(i % 3);
            net.act(i, |m| m.replicate(&primary, true).unwrap());
        }
        net.run(5000);
        net
    }
}

#[test]
fn nodes_that_meet_one_of_them_know_all_and_agree() {
    let net = Net::cluster(6, 7);
    for m in &net.nodes {
        assert_eq!((m.known().count(), m.nodes.len(), m.is_up, m.size), (6, 6, true, 3));
        for (i, other) in net.nodes.iter().enumerate() {
            let seen = m.node(&other.myself().id).unwrap();
            assert_eq!(seen.slots, other.myself().slots, "slots of {i}");
            assert_eq!(seen.replica_of, other.myself().replica_of);
            assert_eq!((seen.is_primary(), seen.shard), (other.myself().is_primary(), other.myself().shard));
        }
    }
}

#[test]
fn two_primaries_with_one_epoch_part() {
    let mut net = Net::new(2, 3);
    net.act(0, |m| m.set_epoch(5).unwrap());
    net.act(1, |m| m.set_epoch(5).unwrap());
    net.act(0, |m| assert!(m.start_handshake("127.0.0.1", 7001, 0, 17001, true)));
    net.run(3000);
    let epochs: Vec<u64> = net.nodes.iter().map(|m| m.myself().config_epoch).collect();
    assert_ne!(epochs[0], epochs[1]);
    assert_eq!(epochs.iter().min(), Some(&5));
}

#[test]
fn a_primary_that_falls_silent_has_failed_and_its_replica_takes_its_place() {
    for seed in 0..20 {
        let mut net = Net::cluster(6, seed);
        let failed = net.id(0);
        net.down[0] = true;
        net.run(20_000);
        for i in 1..6 {
            let m = &net.nodes[i];
            assert!(m.node(&failed).unwrap().is(flag::FAIL), "seed {seed}: node {i} believes in the dead");
            assert!(m.is_up, "seed {seed}: node {i} is down");
        }
        assert!(net.nodes[3].myself().is_primary(), "seed {seed}");
        assert_eq!(net.nodes[3].myself().count, 5462);
        // What was dead comes back and follows.
        net.down[0] = false;
        net.run(10_000);
        let back = &net.nodes[0];
        assert_eq!(back.myself().replica_of, Some(net.id(3)), "seed {seed}");
        assert!(net.nodes[1].node(&failed).is_some_and(|n| !n.is(flag::FAIL)));
        assert!(net.nodes[0].take_effects().iter().any(|e| matches!(e, Effect::Follow { tcp_port: 7003, .. })));
    }
}

#[test]
fn in_one_epoch_nobody_votes_twice_and_one_is_elected() {
    for seed in 0..20 {
        // Two replicas of the one that fails.
        let mut net = Net::cluster(7, seed);
        let (third, first) = (6, net.id(0));
        net.act(third, |_| {});
        assert_eq!(net.nodes[third].myself().replica_of, Some(first));
        net.down[0] = true;
        net.run(25_000);
        let winners = [3, 6].into_iter().filter(|i| net.nodes[*i].myself().is_primary()).count();
        assert_eq!(winners, 1, "seed {seed}");
        for m in &net.nodes[1..] {
            assert!(m.last_vote_epoch <= m.current_epoch && m.is_up, "seed {seed}");
        }
    }
}

#[test]
fn the_fewer_serve_nothing() {
    let mut net = Net::cluster(3, 1);
    net.down[1] = true;
    net.down[2] = true;
    net.run(10_000);
    assert!(!net.nodes[0].is_up);
    net.down = vec![false; 3];
    net.run(12_000);
    assert!(net.nodes.iter().all(|m| m.is_up));
}

#[test]
fn a_slot_that_was_moved_is_believed_by_all() {
    let mut net = Net::cluster(3, 2);
    let (slot, from, to) = (SlotId::new(0).unwrap(), net.id(0), net.id(2));
    net.act(2, |m| m.set_slot(slot, SetSlot::Importing(from), false).unwrap());
    net.act(0, |m| m.set_slot(slot, SetSlot::Migrating(to), true).unwrap());
    net.act(0, |m| assert!(m.set_slot(slot, SetSlot::Node(to), true).unwrap_err().contains("still hold keys")));
    net.act(2, |m| m.set_slot(slot, SetSlot::Node(to), true).unwrap());
    net.act(0, |m| m.set_slot(slot, SetSlot::Node(to), false).unwrap());
    net.run(3000);
    for m in &net.nodes {
        let owner = m.nodes.get(&m.owner(slot)).unwrap();
        assert_eq!(owner.id, to);
    }
    assert!(net.nodes[0].migrating.is_empty() && net.nodes[2].importing.is_empty());
}

#[test]
fn a_slot_that_its_owner_gives_up_is_whose_it_was_on_its_way_to() {
    let mut net = Net::cluster(6, 2);
    let (slot, from, to) = (SlotId::new(0).unwrap(), net.id(0), net.id(2));
    net.act(2, |m| m.set_slot(slot, SetSlot::Importing(from), false).unwrap());
    // 5 follows 2.
    net.act(5, |m| m.follow_slot(slot, SetSlot::Importing(from), false));
    net.act(0, |m| m.set_slot(slot, SetSlot::Node(to), false).unwrap());
    net.run(3000);
    for m in &net.nodes {
        assert_eq!(m.nodes.get(&m.owner(slot)).map(|n| n.id), Some(to));
        assert!(m.importing.is_empty());
    }
    assert!(net.nodes[2].myself().config_epoch > net.nodes[0].myself().config_epoch);
}

#[test]
fn a_forgotten_node_is_forgotten_everywhere_and_does_not_come_back_by_gossip() {
    let mut net = Net::cluster(4, 4);
    let gone = net.id(3);
    net.down[3] = true;
    net.act(1, |m| m.forget(&gone).unwrap());
    net.run(3000);
    for m in &net.nodes[..3] {
        assert!(m.node(&gone).is_none());
    }
}

#[test]
fn a_takeover_asks_nobody_and_holds() {
    let mut net = Net::cluster(6, 9);
    net.act(3, |m| m.failover(super::machine::election::Failover::Takeover).unwrap());
    net.run(5000);
    assert!(net.nodes[3].myself().is_primary() && net.nodes[3].myself().count > 0);
    assert_eq!(net.nodes[0].myself().replica_of, Some(net.id(3)));
    assert!(net.nodes.iter().all(|m| m.is_up));
}

#[test]
fn a_manual_failover_waits_until_the_replica_has_everything() {
    let mut net = Net::cluster(6, 11);
    net.act(3, |m| m.failover(super::machine::election::Failover::Default).unwrap());
    assert!(net.nodes[0].take_effects().contains(&Effect::Pause));
    net.act(0, |m| m.paused());
    net.run(3000);
    assert!(net.nodes[3].myself().is_primary());
    assert_eq!(net.nodes[0].myself().replica_of, Some(net.id(3)));
    assert!(net.nodes[0].take_effects().contains(&Effect::Resume));
}

#[test]
fn the_last_replica_takes_over_from_one_that_fell_right_after_it_was_promoted() {
    for seed in 0..10 {
        let mut net = Net::cluster(7, seed);
        net.down[0] = true;
        let promoted = |net: &Net| [3, 6].into_iter().find(|i| !net.down[*i] && net.nodes[*i].myself().is_primary());
        let mut first = None;
        for _ in 0..200 {
            net.run(100);
            first = promoted(&net);
            if first.is_some() {
                break;
            }
        }
        let first = first.expect("one is promoted");
        net.down[first] = true;
        net.run(20_000);
        assert!(promoted(&net).is_some(), "seed {seed}");
    }
}

#[test]
fn the_best_replica_takes_over_as_soon_as_all_say_that_the_primary_has_failed() {
    // 3 follows 0, and in the second run 6 does too.
    for (n, seed) in (0..3).flat_map(|seed| [(6, seed), (9, seed)]) {
        let mut net = Net::cluster(n, seed);
        net.run(3000);
        net.down[0] = true;
        let failed = |net: &Net, i: usize| {
            let m = &net.nodes[i];
            m.node(&net.id(0)).is_some_and(|n| n.is(flag::FAIL))
        };
        let led = |net: &Net| [3, 6].into_iter().filter(|i| *i < n && net.nodes[*i].myself().is_primary()).count();
        while !(failed(&net, 3) && (n < 9 || failed(&net, 6))) {
            net.run(100);
        }
        net.run(300);
        assert_eq!(led(&net), 1, "{n} nodes, seed {seed}");
    }
}

#[test]
fn what_a_primary_says_of_a_slot_after_the_bus_has_told_more_is_no_error_at_its_replica() {
    let mut net = Net::cluster(6, 22);
    let slot = SlotId::new(0).unwrap();
    let (from, to) = (net.id(0), net.id(1));
    net.act(1, |m| m.set_slot(slot, SetSlot::Importing(from), false).unwrap());
    net.act(0, |m| m.set_slot(slot, SetSlot::Migrating(to), false).unwrap());
    net.act(1, |m| m.set_slot(slot, SetSlot::Node(to), false).unwrap());
    net.act(0, |m| m.set_slot(slot, SetSlot::Node(to), false).unwrap());
    net.run(3000);
    let stranger = NodeId::parse(&[b'f'; 40]).expect("forty digits");
    // 3 follows 0, and 4 follows 1: both know already how it has ended when their streams begin to tell.
    let streams = [
        (3, [SetSlot::Migrating(to), SetSlot::Node(to)]),
        (4, [SetSlot::Importing(from), SetSlot::Node(to)]),
        (4, [SetSlot::Node(stranger), SetSlot::Stable]),
    ];
    for (replica, told) in streams {
        for said in told {
            net.act(replica, |m| m.follow_slot(slot, said, true));
        }
        let m = &net.nodes[replica];
        assert!(m.migrating.is_empty() && m.importing.is_empty(), "{replica}");
        assert_eq!(m.nodes[&m.owner(slot)].id, to, "{replica}");
    }
}

#[test]
fn a_slot_on_its_way_stays_on_its_way_when_either_end_is_taken_over() {
    let mut net = Net::cluster(6, 21);
    let slot = SlotId::new(0).unwrap();
    let (from, to) = (net.id(0), net.id(1));
    net.act(1, |m| m.set_slot(slot, SetSlot::Importing(from), false).unwrap());
    net.act(0, |m| m.set_slot(slot, SetSlot::Migrating(to), true).unwrap());
    // Its stream tells the replica of the source.
    net.act(3, |m| m.follow_slot(slot, SetSlot::Migrating(to), true));
    net.act(4, |m| m.failover(super::machine::election::Failover::Takeover).unwrap());
    net.run(3000);
    let new_target = net.id(4);
    assert_eq!(net.nodes[0].migrating.get(&slot), Some(&new_target));
    net.act(3, |m| m.failover(super::machine::election::Failover::Takeover).unwrap());
    net.run(3000);
    assert_eq!(net.nodes[3].migrating.get(&slot), Some(&new_target));
    assert_eq!(net.nodes[1].importing.get(&slot), Some(&net.id(3)));
    net.act(0, |m| m.failover(super::machine::election::Failover::Takeover).unwrap());
    net.run(3000);
    assert!(net.nodes[0].myself().is_primary());
    assert_eq!(net.nodes[0].migrating.get(&slot), Some(&new_target));
}
