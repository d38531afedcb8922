//! Several servers in one thread, with links that break at any byte, answers that come late, promotions, crashes: no history ever means two
//! things, and when it is quiet again all have the same data.
//!
//! The link's [`Machine`], the [`Applier`], [`Identity`] and the [`Journal`] are the real ones; the network, the clock and the data are not. What
//! the server does with sockets and locks around them (PSYNC, REPLICAOF, putting a copy in place) is done here in the same order. All
//! of it follows from a seed: a seed that fails is printed and fails again. `HOLDFAST_SEEDS=BEGIN..END` runs others than the few of each run.

use super::super::Identity;
use super::apply::Applier;
use super::machine::{Input, Introduction, Machine, Output, command};
use crate::acl::{Acl, Catalog};
use crate::client::{Client, Execute, Failure, Request, Shared, Source};
use crate::journal::{Cursor, Effects, Journal, State};
use crate::resp::parser::{Limits, Parsed, Partial, parse};
use std::collections::BTreeMap;
use std::sync::Arc;

const NODES: usize = 4;
const BACKLOG_BYTES: u64 = 3000;

/// splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Each change depends on the one before: what is lost, doubled or out of order is seen.
type Data = BTreeMap<(u32, u64), u64>;

fn change(data: &mut Data, db: u32, key: u64, value: u64) {
    let v = data.entry((db, key)).or_insert(1);
    *v = v.wrapping_mul(0x9E37_79B9).wrapping_add(value).rotate_left(7);
}

/// Runs the stream's requests, and passes them on as a replica does.
struct Apply<'n> {
    data: &'n mut Data,
    db: &'n mut u32,
    journal: &'n Journal,
}

impl Execute for Apply<'_> {
    fn execute(&mut self, _: &mut Client, requests: &[Request<'_>]) -> Result<(), Failure> {
        for r in requests {
            let number = |i| std::str::from_utf8(r.args.at(i)).unwrap().parse::<u64>().unwrap();
            match r.args.at(0) {
                b"SELECT" => *self.db = number(1) as u32,
                b"MIX" => change(self.data, *self.db, number(1), number(2)),
                _ => {}
            }
            if let Some(f) = r.forward {
                self.journal.append_raw(f.bytes, f.kind, f.selected, f.epoch);
            }
        }
        Ok(())
    }
}

struct Link {
    connection: u64,
    machine: Machine,
    applier: Applier,
    client: Client,
    db: u32,
    moment: Option<(String, u64)>,
    copy: Vec<u8>,
    copying: Option<CopyLink>,
}

/// The second connection of a link, for the copy.
struct CopyLink {
    connection: u64,
    machine: Machine,
}

fn introduction(have: Option<(String, u64)>) -> Introduction {
    Introduction {
        version: "9.1.0".into(),
        have,
        two: true,
        held_bytes_max: 200,
        timeout_ms: 60_000,
        ..Introduction::default()
    }
}

struct Node {
    journal: Arc<Journal>,
    identity: Identity,
    data: Data,
    following: Option<(usize, u64)>,
    link: Option<Link>,
}

/// A connection as the network and the primary's end of it.
struct Connection {
    id: u64,
    replica: usize,
    primary: usize,
    up: Vec<u8>,
    down: Vec<u8>,
    /// The replica has left: what it sent may still arrive.
    left: bool,
    closed: bool,
    heard: Vec<u8>,
    cursor: Option<Cursor>,
    /// The stream waits for the acknowledgement of a copy that ends with a mark.
    held: bool,
    /// The connection that is sent the copy which this one's stream goes on from.
    copy_of: Option<u64>,
}

impl Connection {
    fn close(&mut self) {
        self.closed = true;
        self.cursor = None;
    }
}

struct World {
    seed: u64,
    chance: Chance,
    now_ms: u64,
    names: u64,
    nodes: Vec<Node>,
    connections: Vec<Connection>,
    next_connection: u64,
    acl: Acl,
    /// What the data was at each point of each history.
    seen: BTreeMap<(String, u64), Data>,
    /// Copies on connections of their own, whose stream has not been asked for yet: connection, node and place.
    pairs: Vec<(u64, usize, Cursor)>,
    partial: usize,
    full: usize,
    two: usize,
}

fn new_node(name: String) -> Node {
    Node {
        journal: Arc::new(Journal::default()),
        identity: Identity::new(name),
        data: Data::new(),
        following: None,
        link: None,
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut w = World {
            seed,
            chance: Chance(seed),
            now_ms: 0,
            names: 0,
            nodes: Vec::new(),
            connections: Vec::new(),
            next_connection: 0,
            acl: Acl::new(Catalog::new(Vec::new())),
            seen: BTreeMap::new(),
            pairs: Vec::new(),
            partial: 0,
            full: 0,
            two: 0,
        };
        for _ in 0..NODES {
            let name = w.name();
            w.nodes.push(new_node(name));
        }
        w
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("{:040x}", self.names)
    }

    /// The data at this point of the history is what it was there wherever else.
    fn check(&mut self, n: usize) {
        let node = &self.nodes[n];
        if node.journal.state() == State::Unread {
            return;
        }
        let point = (node.identity.id.clone(), node.journal.end());
        let before = self.seen.entry(point.clone()).or_insert_with(|| node.data.clone());
        assert_eq!(*before, node.data, "seed {}: two meanings of {point:?}", self.seed);
    }

    fn drop_replicas(&mut self, n: usize) {
        self.connections.iter_mut().filter(|c| c.primary == n).for_each(Connection::close);
        // As the time of grace would.
        if self.chance.below(2) == 0 {
            self.pairs.retain(|(_, node, _)| *node != n);
        }
    }

    fn hang_up(&mut self, n: usize) {
        if let Some(link) = self.nodes[n].link.take() {
            self.leave(&link);
        }
    }

    fn follow(&mut self, n: usize, whom: usize) {
        self.hang_up(n);
        let node = &mut self.nodes[n];
        node.journal.keep_backlog(Some(BACKLOG_BYTES));
        node.following = Some((whom, node.journal.follow()));
    }

    fn lead(&mut self, n: usize) {
        if self.nodes[n].following.is_none() {
            return;
        }
        self.hang_up(n);
        let name = self.name();
        let node = &mut self.nodes[n];
        node.following = None;
        node.identity.shift(name, node.journal.end());
        node.journal.lead();
        self.drop_replicas(n);
        self.check(n);
    }

    fn crash(&mut self, n: usize) {
        self.hang_up(n);
        self.drop_replicas(n);
        self.pairs.retain(|(_, node, _)| *node != n);
        let name = self.name();
        self.nodes[n] = new_node(name);
    }

    fn write(&mut self, n: usize) {
        if self.nodes[n].following.is_some() {
            return;
        }
        if self.chance.below(8) == 0 {
            self.nodes[n].journal.append_talk(&[b"PING"]);
            return self.check(n);
        }
        let mut effects = Effects::default();
        for _ in 0..=self.chance.below(3) {
            let (db, key, value) = (self.chance.below(3) as u32, self.chance.below(5) as u64, self.chance.next());
            let node = &mut self.nodes[n];
            change(&mut node.data, db, key, value);
            if node.journal.is_read() {
                effects.push(db, &[b"MIX", key.to_string().as_bytes(), value.to_string().as_bytes()]);
            }
        }
        self.nodes[n].journal.append(&mut effects);
        self.check(n);
    }

    /// The backlog's time is up.
    fn forget_backlog(&mut self, n: usize) {
        let fed = self.connections.iter().any(|c| c.primary == n && c.cursor.is_some());
        if self.nodes[n].following.is_none() && !fed {
            let name = self.name();
            self.nodes[n].identity.adopt(name);
            self.nodes[n].journal.keep_backlog(None);
        }
    }

    /// Dials, or moves the link on by some bytes.
    fn pull(&mut self, n: usize) {
        let Some((whom, epoch)) = self.nodes[n].following else { return };
        let Some(mut link) = self.nodes[n].link.take() else { return self.dial(n, whom) };
        let by_copy = link.copying.is_some() && self.chance.below(2) == 0;
        let connection = link.copying.as_ref().filter(|_| by_copy).map_or(link.connection, |c| c.connection);
        let at = self.connections.iter().position(|c| c.id == connection);
        let open = at.filter(|at| !(self.connections[*at].down.is_empty() && self.connections[*at].closed));
        let Some(at) = open else { return self.leave(&link) };
        let some = match self.connections[at].down.len() {
            0 => 0,
            all if self.chance.below(2) == 0 => all,
            all => 1 + self.chance.below(all),
        };
        if !by_copy && link.machine.is_full() {
            self.nodes[n].link = Some(link);
            return;
        }
        let bytes: Vec<u8> = self.connections[at].down.drain(..some).collect();
        let input = if bytes.is_empty() { Input::Tick } else { Input::Bytes(&bytes) };
        let mut outputs = Vec::new();
        let machine = match &mut link.copying {
            Some(copying) if by_copy => &mut copying.machine,
            _ => &mut link.machine,
        };
        if machine.on(self.now_ms, input, &mut outputs).is_err() {
            return self.leave(&link);
        }
        for o in outputs {
            self.act(n, connection, &mut link, epoch, o);
        }
        self.nodes[n].link = Some(link);
    }

    /// The replica ends what it has of a link.
    fn leave(&mut self, link: &Link) {
        let copy = link.copying.as_ref().map(|c| c.connection);
        for c in self.connections.iter_mut().filter(|c| c.id == link.connection || Some(c.id) == copy) {
            c.left = true;
            c.down.clear();
        }
    }

    fn send(&mut self, connection: u64, bytes: Vec<u8>) {
        if let Some(c) = self.connections.iter_mut().find(|c| c.id == connection) {
            c.up.extend(bytes);
        }
    }

    fn act(&mut self, n: usize, connection: u64, link: &mut Link, epoch: u64, o: Output<'_>) {
        match o {
            Output::Send(bytes) => self.send(connection, bytes),
            Output::Ack => {
                let end = self.nodes[n].journal.end().to_string();
                self.send(connection, command(&[b"REPLCONF", b"ACK", end.as_bytes()]));
            }
            Output::Continue { id } => {
                let node = &mut self.nodes[n];
                if let Some(id) = id.filter(|id| *id != node.identity.id) {
                    node.identity.shift(id, node.journal.end());
                    self.drop_replicas(n);
                }
                self.partial += 1;
                self.check(n);
            }
            Output::Full { id, offset } => link.moment = Some((id, offset)),
            Output::OpenCopy => {
                let whom = self.nodes[n].following.expect("it follows").0;
                let mut outputs = Vec::new();
                let machine = Machine::for_copy(introduction(None), self.now_ms, &mut outputs);
                let connection = self.connect(n, whom, outputs);
                link.copying = Some(CopyLink { connection, machine });
            }
            Output::Offered(offer) => {
                link.moment = Some((offer.id.clone(), offer.offset));
                self.tell(n, link, epoch, Input::Offered(offer));
            }
            Output::Payload { .. } => link.copy.clear(),
            Output::PayloadBytes(bytes) => link.copy.extend(bytes),
            Output::PayloadEnd => {
                let (id, offset) = link.moment.take().unwrap();
                let (data, selected) = read_copy(&link.copy);
                let node = &mut self.nodes[n];
                node.data = data;
                node.journal.keep_backlog(Some(BACKLOG_BYTES));
                node.journal.replaced(offset, selected);
                node.identity.adopt(id);
                link.db = selected.unwrap_or(0);
                link.applier = Applier::new(link.db);
                self.drop_replicas(n);
                self.check(n);
                if let Some(copying) = link.copying.take() {
                    self.two += 1;
                    self.connections.iter_mut().filter(|c| c.id == copying.connection).for_each(|c| c.left = true);
                    self.tell(n, link, epoch, Input::Loaded);
                } else {
                    self.full += 1;
                }
            }
            Output::Held { .. } | Output::Behind | Output::Joined { .. } => {}
            Output::HeldStream(bytes) => self.stream(n, link, epoch, &bytes),
            Output::Stream(bytes) => self.stream(n, link, epoch, bytes),
        }
    }

    /// What the copy's connection has come to, told to the machine of the other one.
    fn tell(&mut self, n: usize, link: &mut Link, epoch: u64, input: Input<'static>) {
        let mut outputs = Vec::new();
        link.machine.on(self.now_ms, input, &mut outputs).expect("it waits for this");
        for o in outputs {
            self.act(n, link.connection, link, epoch, o);
        }
    }

    fn stream(&mut self, n: usize, link: &mut Link, epoch: u64, bytes: &[u8]) {
        let node = &mut self.nodes[n];
        let mut apply = Apply { data: &mut node.data, db: &mut link.db, journal: &node.journal };
        let taken = link.applier.take(bytes, &mut link.client, epoch, &mut apply);
        taken.unwrap_or_else(|e| panic!("seed {}: the stream cannot be followed: {e}", self.seed));
        self.check(n);
    }

    fn connect(&mut self, n: usize, whom: usize, first: Vec<Output<'_>>) -> u64 {
        let up = first.into_iter().flat_map(|o| if let Output::Send(b) = o { b } else { Vec::new() }).collect();
        self.next_connection += 1;
        let id = self.next_connection;
        self.connections.push(Connection {
            id,
            replica: n,
            primary: whom,
            up,
            down: Vec::new(),
            left: false,
            closed: false,
            heard: Vec::new(),
            cursor: None,
            held: false,
            copy_of: None,
        });
        id
    }

    fn dial(&mut self, n: usize, whom: usize) {
        let node = &self.nodes[n];
        let have = Some((node.identity.id.clone(), node.journal.end() + 1));
        let db = node.journal.selected().unwrap_or(0);
        let mut outputs = Vec::new();
        let machine = Machine::new(introduction(have), self.now_ms, &mut outputs);
        let id = self.connect(n, whom, outputs);
        let shared = Arc::new(Shared::new(id, 0, String::new(), String::new(), -1, 0));
        let client = Client::internal(shared, &self.acl, Source::Primary);
        self.nodes[n].link = Some(Link {
            connection: id,
            machine,
            applier: Applier::new(db),
            client,
            db,
            moment: None,
            copy: Vec::new(),
            copying: None,
        });
    }

    /// The primary's end hears some bytes, and sends what there is to send.
    fn serve(&mut self, at: usize) {
        let c = &mut self.connections[at];
        if !c.closed && !c.up.is_empty() {
            let some = if self.chance.below(2) == 0 { c.up.len() } else { 1 + self.chance.below(c.up.len()) };
            let bytes: Vec<u8> = c.up.drain(..some).collect();
            c.heard.extend(bytes);
            let limits = Limits { bulk_len_max: 1 << 20, authenticated: true };
            loop {
                let c = &mut self.connections[at];
                let mut spans = Vec::new();
                let Ok(Parsed::Request { bytes }) = parse(&c.heard, &mut Partial::default(), &mut spans, limits) else {
                    break;
                };
                let words: Vec<Vec<u8>> = spans.iter().map(|s| s.of(&c.heard).to_vec()).collect();
                c.heard.drain(..bytes);
                self.answer(at, &words);
            }
        }
        let c = &mut self.connections[at];
        if let Some(cursor) = c.cursor.as_mut().filter(|_| !c.held) {
            match cursor.read() {
                Ok(Some(chunk)) => c.down.extend_from_slice(&chunk.bytes),
                Ok(None) => {}
                Err(_) => c.close(),
            }
        }
        if c.left && (c.up.is_empty() || c.closed) {
            self.connections.swap_remove(at);
        }
    }

    fn answer(&mut self, at: usize, words: &[Vec<u8>]) {
        let c = &mut self.connections[at];
        match (words[0].as_slice(), words.get(1).map(Vec::as_slice)) {
            (b"PING", _) => c.down.extend(b"+PONG\r\n"),
            (b"REPLCONF", Some(b"ACK")) => c.held = false,
            (b"REPLCONF", Some(b"set-rdb-client-id")) => {
                c.copy_of = String::from_utf8_lossy(&words[2]).parse().ok();
                let known = self.pairs.iter().any(|(id, ..)| Some(*id) == c.copy_of);
                c.down.extend_from_slice(if known { b"+OK\r\n" } else { b"-ERR Unrecognized RDB client id\r\n" });
            }
            (b"REPLCONF", _) => c.down.extend(b"+OK\r\n"),
            (b"SYNC", _) => self.full(at, true),
            (b"PSYNC", _) => self.psync(at, words),
            other => panic!("seed {}: {other:?}", self.seed),
        }
    }

    fn psync(&mut self, at: usize, words: &[Vec<u8>]) {
        let n = self.connections[at].primary;
        let streams = self.nodes[n].link.as_ref().is_some_and(|l| l.machine.is_streaming());
        if self.nodes[n].following.is_some() && !streams {
            self.connections[at].down.extend(b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n");
            return;
        }
        let (id, next) =
            (String::from_utf8_lossy(&words[1]), String::from_utf8_lossy(&words[2]).parse::<u64>().unwrap());
        let node = &self.nodes[n];
        let copy_of = self.connections[at].copy_of;
        let fits =
            |(id, of, cursor): &(u64, usize, Cursor)| Some(*id) == copy_of && *of == n && cursor.position() == next - 1;
        if node.identity.shares(&id, next)
            && let Some(pair) = self.pairs.iter().position(fits)
        {
            let c = &mut self.connections[at];
            c.down.extend(format!("+CONTINUE {}\r\n", node.identity.id).bytes());
            c.cursor = Some(self.pairs.swap_remove(pair).2);
            return;
        }
        if node.identity.shares(&id, next)
            && let Ok(cursor) = node.journal.cursor_at(next - 1, 0)
        {
            let c = &mut self.connections[at];
            c.down.extend(format!("+CONTINUE {}\r\n", node.identity.id).bytes());
            c.cursor = Some(cursor);
            return;
        }
        if copy_of.is_some() || self.chance.below(2) == 0 {
            self.connections[at].down.extend(b"+DUALCHANNELSYNC\r\n");
            return;
        }
        self.full(at, false);
    }

    /// The cut of a copy, and the place of the stream behind it: on the same connection, or for the one that names this one.
    fn full(&mut self, at: usize, alone: bool) {
        let n = self.connections[at].primary;
        let streams = self.nodes[n].link.as_ref().is_some_and(|l| l.machine.is_streaming());
        if self.nodes[n].following.is_some() && !streams {
            self.connections[at].down.extend(b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n");
            return;
        }
        let name = self.name();
        let node = &mut self.nodes[n];
        let selected = node.journal.selected();
        let copy = write_copy(&node.data, selected);
        if node.journal.backlog().0.is_none() {
            node.identity.adopt(name);
        }
        node.journal.keep_backlog(Some(BACKLOG_BYTES));
        let cursor = node.journal.cursor_here(0);
        let (id, end) = (node.identity.id.clone(), node.journal.end());
        self.check(n);
        let marked = alone || self.chance.below(2) == 0;
        let c = &mut self.connections[at];
        let head = if alone {
            format!("$ENDOFF:{end} {id} {} {}\r\n", selected.map_or(-1, i64::from), c.id)
        } else {
            format!("+FULLRESYNC {id} {end}\r\n")
        };
        c.down.extend(head.bytes());
        if marked {
            let mark = "m".repeat(40);
            c.down.extend(format!("$EOF:{mark}\r\n").bytes());
            c.down.extend(copy);
            c.down.extend(mark.bytes());
        } else {
            c.down.extend(format!("${}\r\n", copy.len()).bytes());
            c.down.extend(copy);
        }
        if alone {
            self.pairs.push((c.id, n, cursor));
        } else {
            (c.cursor, c.held) = (Some(cursor), marked);
        }
    }

    fn event(&mut self) {
        self.now_ms += self.chance.below(400) as u64;
        let n = self.chance.below(NODES);
        match self.chance.below(1000) {
            0..80 => self.write(n),
            80..500 => self.pull(n),
            500..960 if !self.connections.is_empty() => {
                let at = self.chance.below(self.connections.len());
                self.serve(at);
            }
            960..984 => self.hang_up(n),
            984..989 => {
                let whom = (n + 1 + self.chance.below(NODES - 1)) % NODES;
                self.follow(n, whom);
            }
            989..992 => self.lead(n),
            992..994 => self.forget_backlog(n),
            994..998 => self.drop_replicas(n),
            998 => self.crash(n),
            _ => {}
        }
    }

    /// One leads, the others follow it or each other in a chain: after a while all are the same.
    fn heal(&mut self) {
        let leader = self.chance.below(NODES);
        self.lead(leader);
        for i in 1..NODES {
            let whom = (leader + self.chance.below(i)) % NODES;
            self.follow((leader + i) % NODES, whom);
        }
        for _ in 0..3 {
            self.write(leader);
        }
        for _ in 0..5_000 {
            for n in 0..NODES {
                self.now_ms += 50;
                self.pull(n);
            }
            for at in (0..self.connections.len()).rev() {
                self.serve(at);
            }
            let end = self.nodes[leader].journal.end();
            let level = |n: &Node| {
                n.following.is_none()
                    || (n.link.as_ref().is_some_and(|l| l.machine.is_streaming()) && n.journal.end() == end)
            };
            if self.nodes.iter().all(level) {
                let first = &self.nodes[leader];
                for n in &self.nodes {
                    assert_eq!((&n.identity.id, &n.data), (&first.identity.id, &first.data), "seed {}", self.seed);
                }
                return;
            }
        }
        let stands =
            |c: &Connection| (c.replica, c.primary, c.up.len(), c.down.len(), c.left, c.closed, c.cursor.is_some());
        let all: Vec<_> = self.connections.iter().map(stands).collect();
        panic!("seed {}: it does not come to rest: {all:?}", self.seed);
    }
}

fn write_copy(data: &Data, selected: Option<u32>) -> Vec<u8> {
    let mut text = format!("{}\n", selected.map_or("-".to_owned(), |db| db.to_string()));
    for ((db, key), value) in data {
        text.push_str(&format!("{db} {key} {value}\n"));
    }
    text.into_bytes()
}

fn read_copy(copy: &[u8]) -> (Data, Option<u32>) {
    let text = std::str::from_utf8(copy).unwrap();
    let (selected, rows) = text.split_once('\n').unwrap();
    let row = |line: &str| {
        let n: Vec<u64> = line.split(' ').map(|w| w.parse().unwrap()).collect();
        ((n[0] as u32, n[1]), n[2])
    };
    (rows.lines().map(row).collect(), selected.parse().ok())
}

fn run(seed: u64) -> (usize, usize, usize) {
    let mut w = World::new(seed);
    w.follow(1, 0);
    for _ in 0..2_000 {
        w.event();
    }
    w.heal();
    (w.partial, w.full, w.two)
}

#[test]
fn histories_do_not_diverge_whatever_breaks() {
    let range = std::env::var("HOLDFAST_SEEDS").ok().and_then(|r| {
        let (begin, end) = r.split_once("..")?;
        Some(begin.parse().ok()?..end.parse().ok()?)
    });
    let (mut partial, mut full, mut two) = (0, 0, 0);
    for seed in range.unwrap_or(0..200) {
        let (p, f, t) = run(seed);
        (partial, full, two) = (partial + p, full + f, two + t);
    }
    assert!(
        partial > 0 && full > 0 && two > 0,
        "{partial} partial, {full} full, {two} on two channels: nothing was tried"
    );
    println!("{partial} partial and {full} full synchronisations, {two} on two channels");
}
