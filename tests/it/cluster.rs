//! Clusters: of one node, and of three over TLS.

use crate::support::process::eventually;
use crate::support::server::free_port;
use crate::support::{Connection, Server, Value, check};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Of a node that keeps what it knows of the cluster in `folder`.
fn words(folder: &Path) -> [String; 6] {
    let (bus, file) = (free_port().to_string(), folder.join("nodes.conf").display().to_string());
    ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-config-file", &file].map(str::to_owned)
}

#[test]
fn a_node_serves_the_slots_it_was_given_and_knows_them_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = words(folder.path());
    let words = words.each_ref().map(String::as_str);
    let server = Server::with(&words);
    let mut c = server.connect();
    check(
        &mut c,
        &[
            ("SET a 1", "-CLUSTERDOWN Hash slot not served"),
            ("CLUSTER ADDSLOTSRANGE 0 5460 5462 16383", "+OK"),
            ("CLUSTER ADDSLOTS 1", "-ERR Slot 1 is already busy"),
            ("SET a 1", "-CLUSTERDOWN The cluster is down"),
            ("CLUSTER ADDSLOTS 5461", "+OK"),
            ("SET {t}a 1", "+OK"),
            ("SET {t}b 2", "+OK"),
            ("MSET {t}a 1 b 2", "-CROSSSLOT Keys in request don't hash to the same slot"),
            ("CLUSTER KEYSLOT {t}a", ":15891"),
            ("CLUSTER COUNTKEYSINSLOT 15891", ":2"),
            ("SELECT 1", "-ERR DB index is out of range"),
            ("REPLICAOF 127.0.0.1 1", "-ERR REPLICAOF not allowed in cluster mode."),
            ("CLUSTER FLUSHSLOTS", "-ERR DB must be empty to perform CLUSTER FLUSHSLOTS."),
            ("CLUSTER MEET localhost 7000", "-ERR Invalid node address specified: localhost:7000"),
            ("CLUSTER FORGET x", "-ERR Unknown node x"),
            ("MULTI", "+OK"),
            ("SET {t}a 3", "+QUEUED"),
            ("SET x 3", "+QUEUED"),
            ("EXEC", "-CROSSSLOT Keys in request don't hash to the same slot"),
            ("GET {t}a", "\"1\""),
        ],
    );
    assert!(c.line("CLUSTER INFO").to_string().contains("cluster_state:ok"));
    assert!(c.line("INFO server").to_string().contains("redis_mode:cluster"));
    assert!(c.line("SHUTDOWN SAFE").to_string().contains("Errors trying to SHUTDOWN"), "it has slots");
    let id = c.line("CLUSTER MYID").to_string();
    drop((c, server));
    let again = Server::with(&words);
    let mut c = again.connect();
    assert_eq!(c.line("CLUSTER MYID").to_string(), id);
    assert!(c.line("CLUSTER NODES").to_string().contains("myself,master - 0 0 0 connected 0-16383"));
}

/// Cursor and keys of a step of CLUSTERSCAN.
fn step(c: &mut Connection, line: &str) -> (String, Vec<String>) {
    let Value::Array(parts) = c.line(line) else { panic!("{line}: no array") };
    let [cursor, Value::Array(keys)] = &parts[..] else { panic!("{line}: {parts:?}") };
    (cursor.to_string().trim_matches('"').to_owned(), keys.iter().map(|k| k.to_string()).collect())
}

#[test]
fn clusterscan_meets_each_key_of_the_cluster_once_slot_by_slot() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::with(&words(folder.path()).each_ref().map(String::as_str));
    let mut c = server.connect();
    check(&mut c, &[("CLUSTER ADDSLOTSRANGE 0 16383", "+OK")]);
    eventually("the cluster is up", PATIENCE, || c.line("CLUSTER INFO").to_string().contains("cluster_state:ok"));
    for i in 0..300 {
        check(&mut c, &[(&format!("SET key:{i} v"), "+OK"), (&format!("SET {{06S}}:{i} v"), "+OK")]);
    }
    check(&mut c, &[("LPUSH {06S}list v", ":1")]);
    for (count, filter, expected) in [
        (1, "", 601),
        (10, "", 601),
        (100_000, "", 601),
        (7, "SLOT 0", 301),
        (7, "MATCH {06S}:*", 300),
        (7, "MATCH key:*", 300),
        (7, "TYPE list", 1),
    ] {
        let (mut cursor, mut all) = ("0".to_owned(), Vec::new());
        loop {
            let (next, keys) = step(&mut c, &format!("CLUSTERSCAN {cursor} COUNT {count} {filter}"));
            all.extend(keys);
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        let met = all.len();
        all.sort();
        all.dedup();
        assert_eq!((met, all.len()), (expected, expected), "COUNT {count} {filter}");
    }
    check(
        &mut c,
        &[
            ("CLUSTERSCAN 0", "[\"0-{06S}-0\" []]"),
            ("CLUSTERSCAN 0 SLOT 1", "[\"0-{Qi}-0\" []]"),
            ("CLUSTERSCAN 0-{06S}-0 MATCH {Qi}*", "[\"0-{Qi}-0\" []]"),
            ("CLUSTERSCAN 0-{Qi}-0 MATCH {06S}*", "[\"0\" []]"),
            ("CLUSTERSCAN 0 SLOT 0 MATCH {Qi}*", "[\"0\" []]"),
            ("CLUSTERSCAN 0-{06S}", "-ERR Invalid cursor"),
            ("CLUSTERSCAN 0-{06S}-0 SLOT 1", "-ERR Cursor slot mismatch with SLOT argument"),
            ("CLUSTERSCAN 0-{06S}-0 SLOT 16384", "-ERR Invalid or out of range slot"),
            ("CLUSTERSCAN 0-{06S}-0 SLOT 0 SLOT 0", "-ERR SLOT option can only be specified once"),
            ("SCAN 0 SLOT 0", "-ERR syntax error"),
        ],
    );
}

#[test]
fn a_server_outside_a_cluster_says_so() {
    let server = Server::with(&[]);
    let text = "-ERR This instance has cluster support disabled";
    check(
        &mut server.connect(),
        &[("CLUSTER INFO", text), ("CLUSTER MEET 127.0.0.1 7000", text), ("CLUSTERSCAN 0", text)],
    );
    // The slot of a name is the same everywhere.
    check(&mut server.connect(), &[("CLUSTER KEYSLOT abc", ":7638"), ("CLUSTER KEYSLOT {abc}x", ":7638")]);
}

/// A node, and the port of its bus.
struct Node {
    server: Server,
    bus: u16,
}

impl Node {
    fn connect(&self, ca: &Path) -> Connection {
        Connection::tls(self.server.port, ca).unwrap_or_else(|e| panic!("{e}\n{}", self.server.log()))
    }
}

/// Nodes with certificates of one authority, which the first has made.
fn nodes(n: usize) -> (Vec<Node>, std::path::PathBuf) {
    let node = |words: &[&str]| {
        let bus = free_port();
        let port = bus.to_string();
        let mut all = vec!["--cluster-enabled", "yes", "--cluster-port", &port, "--cluster-node-timeout", "3000"];
        all.extend_from_slice(&["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"]);
        all.extend_from_slice(&["--cluster-databases", "3"]);
        all.extend_from_slice(words);
        Node { server: Server::with(&all), bus }
    };
    let first = node(&[]);
    let ca = first.server.ca();
    let tls = ca.parent().expect("a folder").to_owned();
    let path = |name: &str| tls.join(name).to_str().expect("text").to_owned();
    let (authority, certificate, key) = (path("ca.crt"), path("server.crt"), path("server.key"));
    let words = ["--tls-ca-cert-file", &authority, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let mut all = vec![first];
    all.extend((1..n).map(|_| node(&words)));
    (all, ca)
}

/// The nodes know each other, and the first three have the slots.
fn form(nodes: &[Node], ca: &Path) -> Vec<Connection> {
    let mut all: Vec<Connection> = nodes.iter().map(|n| n.connect(ca)).collect();
    for (i, c) in all.iter_mut().enumerate() {
        assert_eq!(c.line(&format!("CLUSTER SET-CONFIG-EPOCH {}", i + 1)).to_string(), "+OK");
    }
    for n in &nodes[1..] {
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", n.server.port, n.bus);
        assert_eq!(all[0].line(&meet).to_string(), "+OK");
    }
    for (c, range) in all.iter_mut().zip(["0 5460", "5461 10922", "10923 16383"]) {
        assert_eq!(c.line(&format!("CLUSTER ADDSLOTSRANGE {range}")).to_string(), "+OK");
    }
    let known = format!("cluster_known_nodes:{}", nodes.len());
    for c in &mut all {
        eventually("the cluster is up everywhere", PATIENCE, || {
            let info = c.line("CLUSTER INFO").to_string();
            info.contains("cluster_state:ok") && info.contains(&known) && info.contains("cluster_slots_ok:16384")
        });
    }
    all
}

/// Sends to the first node and goes where it is sent. Returns the node that answered, and what it said.
fn follow(nodes: &[Node], all: &mut [Connection], line: &str) -> (usize, String) {
    let mut at = 0;
    for _ in 0..4 {
        let said = all[at].line(line).to_string();
        let Some(moved) = said.strip_prefix("-MOVED ") else { return (at, said) };
        let port: u16 = moved.rsplit_once(':').expect("a place").1.parse().expect("a port");
        at = nodes.iter().position(|n| n.server.port == port).expect("a node of ours");
    }
    panic!("sent around in circles");
}

fn id(c: &mut Connection) -> String {
    c.line("CLUSTER MYID").to_string().trim_matches('"').to_owned()
}

#[test]
fn three_nodes_over_tls_serve_their_slots_send_clients_to_them_and_move_one() {
    let (nodes, ca) = nodes(3);
    let mut all = form(&nodes, &ca);
    // Two links a node, side by side: clients read them in pairs.
    eventually("links in pairs", PATIENCE, || {
        let text = all[0].line("CLUSTER LINKS").to_string();
        text.split('"').filter(|w| ["to", "from"].contains(w)).eq(["to", "from", "to", "from"])
    });
    for (key, owner) in [("b", 0), ("c", 1), ("a", 2)] {
        let (at, said) = follow(&nodes, &mut all, &format!("SET {key} 1"));
        assert_eq!((at, said.as_str()), (owner, "+OK"), "{key}");
    }
    // A channel's message is heard at every node.
    all[1].line("SUBSCRIBE news");
    all[0].line("PUBLISH news hello");
    assert!(all[1].read().expect("a message").to_string().contains("hello"));
    all[1].line("UNSUBSCRIBE news");
    // Slot 3300, that of b, goes from the first node to the third while it has a key.
    let (from, to) = (id(&mut all[0]), id(&mut all[2]));
    all[0].line("SET {b}2 2");
    check(&mut all[2], &[(&format!("CLUSTER SETSLOT 3300 IMPORTING {from}"), "+OK")]);
    check(&mut all[0], &[(&format!("CLUSTER SETSLOT 3300 MIGRATING {to}"), "+OK")]);
    let place = format!("127.0.0.1:{}", nodes[2].server.port);
    check(
        &mut all[0],
        &[
            ("GET b", "\"1\""),
            ("GET {b}none", &format!("-ASK 3300 {place}")),
            ("MGET b {b}none", "-TRYAGAIN Multiple keys request during rehashing of slot"),
            (&format!("MIGRATE 127.0.0.1 {} b 0 5000", nodes[2].server.port), "+OK"),
            ("GET b", &format!("-ASK 3300 {place}")),
            (
                &format!("CLUSTER SETSLOT 3300 NODE {to}"),
                "-ERR Can't assign hashslot 3300 to a different node while I still hold keys for this hash slot.",
            ),
        ],
    );
    check(
        &mut all[2],
        &[
            ("GET b", &format!("-MOVED 3300 127.0.0.1:{}", nodes[0].server.port)),
            ("ASKING", "+OK"),
            ("GET b", "\"1\""),
            ("GET b", &format!("-MOVED 3300 127.0.0.1:{}", nodes[0].server.port)),
            ("ASKING", "+OK"),
            ("MGET b {b}2", "-TRYAGAIN Multiple keys request during rehashing of slot"),
            // Before MULTI it is good for the transaction, and no longer.
            ("ASKING", "+OK"),
            ("MULTI", "+OK"),
            ("GET b", "+QUEUED"),
            ("INCR b", "+QUEUED"),
            ("EXEC", "[\"1\" :2]"),
            ("GET b", &format!("-MOVED 3300 127.0.0.1:{}", nodes[0].server.port)),
            ("ASKING", "+OK"),
            ("MULTI", "+OK"),
            ("DECR b", "+QUEUED"),
            ("DISCARD", "+OK"),
            ("GET b", &format!("-MOVED 3300 127.0.0.1:{}", nodes[0].server.port)),
            ("ASKING", "+OK"),
            ("DECR b", ":1"),
        ],
    );
    all[0].line(&format!("MIGRATE 127.0.0.1 {} {{b}}2 0 5000", nodes[2].server.port));
    check(&mut all[2], &[(&format!("CLUSTER SETSLOT 3300 NODE {to}"), "+OK")]);
    check(
        &mut all[0],
        &[(&format!("CLUSTER SETSLOT 3300 NODE {to}"), "+OK"), ("GET b", &format!("-MOVED 3300 {place}"))],
    );
    check(&mut all[2], &[("GET b", "\"1\""), ("GET {b}2", "\"2\"")]);
    eventually("the second node believes it", PATIENCE, || {
        all[1].line("GET b").to_string() == format!("-MOVED 3300 {place}")
    });
}

#[test]
fn a_waiting_client_is_sent_after_its_slot() {
    let (nodes, ca) = nodes(3);
    let mut all = form(&nodes, &ca);
    let mut waiting = nodes[0].connect(&ca);
    waiting.send(b"*3\r\n$5\r\nBLPOP\r\n$1\r\nb\r\n$1\r\n0\r\n").expect("sent");
    eventually("it waits", PATIENCE, || all[0].line("INFO clients").to_string().contains("blocked_clients:1"));
    let to = id(&mut all[1]);
    for i in [1, 0] {
        assert_eq!(all[i].line(&format!("CLUSTER SETSLOT 3300 NODE {to}")).to_string(), "+OK");
    }
    let said = waiting.read().expect("an answer").to_string();
    assert_eq!(said, format!("-MOVED 3300 127.0.0.1:{}", nodes[1].server.port));
}

#[test]
fn a_replica_takes_over_from_a_primary_that_is_gone() {
    let (mut nodes, ca) = nodes(4);
    let mut all = form(&nodes, &ca);
    let primary = id(&mut all[0]);
    assert_eq!(all[3].line(&format!("CLUSTER REPLICATE {primary}")).to_string(), "+OK");
    assert_eq!(all[0].line("SET b 1").to_string(), "+OK");
    let place = format!("127.0.0.1:{}", nodes[0].server.port);
    eventually("the replica has it", PATIENCE, || {
        all[3].line("READONLY");
        all[3].line("GET b").to_string() == "\"1\""
    });
    check(
        &mut all[3],
        &[
            ("SET b 2", &format!("-MOVED 3300 {place}")),
            ("READWRITE", "+OK"),
            ("GET b", &format!("-MOVED 3300 {place}")),
        ],
    );
    eventually("all know the replica", PATIENCE, || {
        (0..4).all(|i| all[i].line(&format!("CLUSTER REPLICAS {primary}")).to_string().contains("slave"))
    });
    all.remove(0);
    let gone = nodes.remove(0);
    gone.server.signal("KILL");
    let last = 2;
    eventually("the replica leads", PATIENCE, || all[last].line("SET b 3").to_string() == "+OK");
    check(&mut all[last], &[("GET b", "\"3\"")]);
    let place = format!("127.0.0.1:{}", nodes[last].server.port);
    eventually("the others send there", PATIENCE, || {
        all[0].line("GET b").to_string() == format!("-MOVED 3300 {place}")
    });
    assert!(all[0].line("CLUSTER INFO").to_string().contains("cluster_state:ok"));
}

#[test]
fn a_new_replica_hears_which_slots_are_on_their_way() {
    let (nodes, ca) = nodes(4);
    let mut all = form(&nodes, &ca);
    let (from, to) = (id(&mut all[0]), id(&mut all[1]));
    check(&mut all[0], &[(&format!("CLUSTER SETSLOT 3300 MIGRATING {to}"), "+OK")]);
    check(&mut all[1], &[(&format!("CLUSTER SETSLOT 3300 IMPORTING {from}"), "+OK")]);
    for (primary, there) in [(&from, format!("[3300->-{to}]")), (&to, format!("[3300-<-{from}]"))] {
        assert_eq!(all[3].line(&format!("CLUSTER REPLICATE {primary}")).to_string(), "+OK");
        eventually("the replica has heard of it", PATIENCE, || {
            all[3].line("CLUSTER NODES").to_string().contains(&there)
        });
    }
}

/// The last of four nodes follows the first, which knows that it does.
fn follow_first(all: &mut [Connection]) {
    let primary = id(&mut all[0]);
    assert_eq!(all[3].line(&format!("CLUSTER REPLICATE {primary}")).to_string(), "+OK");
    eventually("the link is up", PATIENCE, || {
        all[3].line("INFO replication").to_string().contains("master_link_status:up")
            && all[0].line("INFO replication").to_string().contains("state=online")
    });
    eventually("all know the replica", PATIENCE, || {
        (0..4).all(|i| all[i].line(&format!("CLUSTER REPLICAS {primary}")).to_string().contains("slave"))
    });
}

#[test]
fn a_primary_that_ends_hands_over_to_a_replica_that_has_everything() {
    let (nodes, ca) = nodes(4);
    let mut all = form(&nodes, &ca);
    follow_first(&mut all);
    // By itself it would not.
    check(&mut all[3], &[("CONFIG SET cluster-replica-no-failover yes", "+OK")]);
    for i in 0..100 {
        all[0].line(&format!("SET {{b}}{i} {i}"));
    }
    check(&mut all[0], &[("CONFIG SET shutdown-on-sigterm failover", "+OK")]);
    nodes[0].server.signal("TERM");
    eventually("the replica leads", PATIENCE, || all[3].line("SET {b}new 1").to_string() == "+OK");
    check(&mut all[3], &[("GET {b}99", "\"99\"")]);
    assert!(nodes[0].server.log().contains("Perform auto failover to replica"));
    assert!(nodes[3].server.log().contains("Forced failover primary request accepted"));
}

#[test]
fn a_primary_that_ends_without_a_replica_that_has_everything_says_so() {
    let (nodes, ca) = nodes(3);
    let mut all = form(&nodes, &ca);
    all[0].send(b"*3\r\n$8\r\nSHUTDOWN\r\n$6\r\nNOSAVE\r\n$8\r\nFAILOVER\r\n").expect("sent");
    eventually("it has ended", PATIENCE, || nodes[0].server.log().contains("bye bye"));
    assert!(nodes[0].server.log().contains("Unable to find a replica to perform the auto failover"));
}

#[test]
fn nothing_goes_to_another_database_while_its_slot_is_on_its_way() {
    let (nodes, ca) = nodes(3);
    let mut all = form(&nodes, &ca);
    let to = id(&mut all[1]);
    let again = "-TRYAGAIN Multiple keys request during rehashing of slot";
    check(
        &mut all[0],
        &[
            ("MSET b 1 {b}2 2", "+OK"),
            ("SELECT 1", "+OK"),
            ("SET {b}1 1", "+OK"),
            ("SELECT 0", "+OK"),
            ("MOVE b 2", ":1"),
            ("SET b 1", "+OK"),
            (&format!("CLUSTER SETSLOT 3300 MIGRATING {to}"), "+OK"),
            ("MOVE b 1", again),
            ("COPY b {b}2 REPLACE DB 1", again),
            ("COPY b {b}2 DB 0 DB 1", again),
            ("COPY b {b}none", again),
            ("COPY b {b}none DB", "-ERR syntax error"),
            ("COPY b {b}2 DB 0 REPLACE", ":1"),
            // A transaction's keys are looked for where it is when it comes to them.
            ("MULTI", "+OK"),
            ("EXISTS b", "+QUEUED"),
            ("SELECT 1", "+QUEUED"),
            ("EXISTS {b}1", "+QUEUED"),
            ("EXEC", "[:1 +OK :1]"),
            ("SELECT 0", "+OK"),
            ("MULTI", "+OK"),
            ("EXISTS b", "+QUEUED"),
            ("SELECT 1", "+QUEUED"),
            ("EXISTS b", "+QUEUED"),
            ("EXEC", again),
            ("GET b", "\"1\""),
        ],
    );
}

#[test]
fn a_slot_is_not_moved_before_the_replicas_have_heard_of_it() {
    let (nodes, ca) = nodes(4);
    let mut all = form(&nodes, &ca);
    follow_first(&mut all);
    let to = id(&mut all[1]);
    let (migrating, there) = (format!("CLUSTER SETSLOT 3300 MIGRATING {to}"), format!("[3300->-{to}]"));
    nodes[3].server.signal("STOP");
    check(
        &mut all[0],
        &[
            (&format!("{migrating} TIMEOUT x"), "-ERR timeout is not an integer or out of range"),
            (
                "CLUSTER SETSLOT 3300 MIGRATING 0000000000000000000000000000000000000000",
                "-ERR I don't know about node 0000000000000000000000000000000000000000",
            ),
            (&format!("{migrating} TIMEOUT 100"), "-NOREPLICAS Not enough good replicas to write."),
        ],
    );
    assert!(!all[0].line("CLUSTER NODES").to_string().contains(&there));
    nodes[3].server.signal("CONT");
    check(&mut all[0], &[(&format!("{migrating} TIMEOUT 20000"), "+OK"), ("PING", "+PONG")]);
    for i in [0, 3] {
        assert!(all[i].line("CLUSTER NODES").to_string().contains(&there), "{i}");
    }
}

#[test]
fn a_manual_failover_loses_nothing() {
    let (nodes, ca) = nodes(4);
    let mut all = form(&nodes, &ca);
    let primary = id(&mut all[0]);
    all[3].line(&format!("CLUSTER REPLICATE {primary}"));
    eventually("the link is up", PATIENCE, || {
        all[3].line("INFO replication").to_string().contains("master_link_status:up")
    });
    for i in 0..100 {
        all[0].line(&format!("SET {{b}}{i} {i}"));
    }
    assert_eq!(all[3].line("CLUSTER FAILOVER").to_string(), "+OK");
    eventually("the replica leads", PATIENCE, || all[3].line("ROLE").to_string().contains("master"));
    check(&mut all[3], &[("GET {b}99", "\"99\""), ("SET {b}new 1", "+OK")]);
    eventually("the old one follows", PATIENCE, || all[0].line("ROLE").to_string().contains("slave"));
    let place = format!("127.0.0.1:{}", nodes[3].server.port);
    check(&mut all[0], &[("GET b", &format!("-MOVED 3300 {place}"))]);
}

#[test]
fn whoever_shows_no_certificate_is_no_node_and_garbage_ends_a_link() {
    use std::io::{Read, Write};
    let (nodes, ca) = nodes(1);
    let mut plain = std::net::TcpStream::connect(("127.0.0.1", nodes[0].bus)).expect("the bus listens");
    plain.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let _ = plain.write_all(b"RCmb\xff\xff\xff\xffgarbage that is no TLS record either");
    let mut rest = Vec::new();
    // An alert at most, then the end.
    let _ = plain.read_to_end(&mut rest);
    assert!(rest.len() < 64);
    assert!(nodes[0].connect(&ca).line("CLUSTER INFO").to_string().contains("cluster_known_nodes:1"));

    let bus = free_port().to_string();
    let words = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--tls-cluster", "no"];
    let open = Server::plain(&words);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"RCmb\xff\xff\xff\xff",
        b"RCmb\0\0\0\x20\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut link =
            std::net::TcpStream::connect(("127.0.0.1", bus.parse::<u16>().expect("a port"))).expect("the bus listens");
        link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        link.write_all(garbage).expect("sent");
        assert_eq!(link.read_to_end(&mut rest).unwrap_or(0), 0);
    }
    assert_eq!(open.connect_plain().line("PING").to_string(), "+PONG");
    assert!(open.log().contains("it does not begin as a message of the cluster bus"));
}
