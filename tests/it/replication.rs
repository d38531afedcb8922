//! A primary and its replicas, over TLS, with links that break and roles that change.

use crate::support::server::BINARY;
use crate::support::{Connection, Server, check};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// A replica of `primary` that verifies its certificate.
fn replica_of(primary: &Server, words: &[&str]) -> Server {
    let ca = primary.ca();
    let (ca, port) = (ca.to_str().expect("text"), primary.port.to_string());
    let mut all = vec!["--tls-ca-cert-file", ca, "--replicaof", "127.0.0.1", &port];
    all.extend_from_slice(words);
    Server::with(&all)
}

fn field(c: &mut Connection, name: &str) -> String {
    let info = c.line("INFO replication").to_string();
    let line = info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {info}"))
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until both have the same history and offset, and compares the data.
#[track_caller]
fn same_data(primary: &mut Connection, replica: &mut Connection) {
    eventually("the replica catches up", || {
        field(replica, "master_link_status") == "up"
            && field(primary, "master_repl_offset") == field(replica, "master_repl_offset")
    });
    assert_eq!(primary.line("DEBUG DIGEST").to_string(), replica.line("DEBUG DIGEST").to_string());
}

/// A copy begins as soon as it is asked for.
const DEBUG: [&str; 4] = ["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];

#[test]
fn a_replica_gets_a_copy_and_then_every_change_over_tls() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    for i in 0..500 {
        p.line(&format!("SET before:{i} {i}"));
    }
    p.line("HSET h a 1 b 2");
    let replica = replica_of(&primary, &DEBUG);
    let mut r = replica.connect();
    eventually("the link is up", || field(&mut r, "master_link_status") == "up");
    p.line("SELECT 3");
    p.line("ZADD z 1 a 2 b");
    p.line("MULTI");
    p.line("INCR n");
    p.line("INCR n");
    p.line("EXEC");
    p.line("SPOP none");
    p.line("SADD s a b c d");
    p.line("SPOP s");
    p.line("SET volatile v PX 20");
    p.line("SELECT 0");
    p.line("DEL before:7");
    assert_eq!(p.line("WAIT 1 5000").to_string(), ":1");
    std::thread::sleep(Duration::from_millis(50));
    same_data(&mut p, &mut r);
    assert!(r.line("SET a b").to_string().starts_with("-READONLY"));
    assert_eq!(r.line("GET before:8").to_string(), "\"8\"");
    assert!(r.line("ROLE").to_string().contains("\"connected\""));
    assert_eq!(field(&mut p, "connected_slaves"), "1");
}

#[test]
fn a_fresh_replica_asks_for_no_history_and_counts_as_no_refused_resumption() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let replica = replica_of(&primary, &DEBUG);
    let mut r = replica.connect();
    same_data(&mut p, &mut r);
    let mut stats = || p.line("INFO stats").to_string();
    assert!(stats().contains("sync_full:1\r\nsync_partial_ok:0\r\nsync_partial_err:0\r\n"), "{}", stats());
    // One that had a history of its own names that, as Valkey does.
    let (ca, port) = (primary.ca(), primary.port.to_string());
    let turned = Server::with(&[&DEBUG[..], &["--tls-ca-cert-file", ca.to_str().unwrap()]].concat());
    let mut t = turned.connect();
    check(&mut t, &[(&format!("REPLICAOF 127.0.0.1 {port}"), "+OK")]);
    eventually("it is told all", || field(&mut t, "master_link_status") == "up");
    assert!(stats().contains("sync_full:2\r\nsync_partial_ok:0\r\nsync_partial_err:1\r\n"), "{}", stats());
}

#[test]
fn a_primary_whose_certificate_is_not_believed_is_not_followed() {
    let (primary, stranger) = (Server::start(), Server::start());
    let ca = stranger.ca();
    let port = primary.port.to_string();
    let replica = Server::with(&["--tls-ca-cert-file", ca.to_str().expect("text"), "--replicaof", "127.0.0.1", &port]);
    let mut r = replica.connect();
    eventually("it has tried", || replica.log().contains("TLS"));
    assert_eq!(field(&mut r, "master_link_status"), "down");
    assert_eq!(field(&mut primary.connect(), "connected_slaves"), "0");
}

#[test]
fn a_broken_link_goes_on_from_the_backlog() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let replica = replica_of(&primary, &DEBUG);
    let mut r = replica.connect();
    p.line("SET a 1");
    same_data(&mut p, &mut r);
    for round in 0..10 {
        p.line("CLIENT KILL TYPE replica");
        for i in 0..50 {
            p.line(&format!("SET k:{round}:{i} v"));
        }
        same_data(&mut p, &mut r);
    }
    let stats = p.line("INFO stats").to_string();
    assert!(stats.contains("sync_full:1\r\n"), "{stats}");
}

#[test]
fn a_promoted_replica_keeps_its_history_and_the_others_go_on_with_it() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let (one, two) = (replica_of(&primary, &DEBUG), replica_of(&primary, &DEBUG));
    let (mut a, mut b) = (one.connect(), two.connect());
    p.line("SET a 1");
    same_data(&mut p, &mut a);
    same_data(&mut p, &mut b);
    let old = field(&mut a, "master_replid");
    a.line("REPLICAOF NO ONE");
    assert_eq!(field(&mut a, "master_replid2"), old);
    // The certificates of the two were made by different authorities: whoever follows another has to know that one's.
    b.line(&format!("CONFIG SET tls-ca-cert-file {}", one.ca().display()));
    b.line(&format!("REPLICAOF 127.0.0.1 {}", one.port));
    a.line("SET b 2");
    same_data(&mut a, &mut b);
    assert!(a.line("INFO stats").to_string().contains("sync_full:0\r\n"), "no full copy was needed");
}

#[test]
fn a_chain_has_one_history() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let middle = replica_of(&primary, &DEBUG);
    let mut m = middle.connect();
    p.line("SELECT 5");
    p.line("SET a 1");
    same_data(&mut p, &mut m);
    let last = Server::with(&[
        "--enable-debug-command",
        "yes",
        "--tls-ca-cert-file",
        middle.ca().to_str().expect("text"),
        "--replicaof",
        "127.0.0.1",
        &middle.port.to_string(),
    ]);
    let mut l = last.connect();
    eventually("the last link is up", || field(&mut l, "master_link_status") == "up");
    p.line("SET b 2");
    same_data(&mut p, &mut l);
    assert_eq!(field(&mut p, "master_replid"), field(&mut l, "master_replid"));
    m.line("CLIENT KILL TYPE replica");
    p.line("SET c 3");
    same_data(&mut p, &mut l);
}

#[test]
fn too_few_replicas_refuse_writes_and_wait_counts_those_that_have_them() {
    let primary = Server::with(&["--min-replicas-to-write", "1"]);
    let mut p = primary.connect();
    assert!(p.line("SET a 1").to_string().starts_with("-NOREPLICAS"));
    // Of a script that may write this is said before what else there is to say.
    let script: [&[u8]; 3] = [b"EVAL_RO", b"#!lua\nreturn 1", b"0"];
    assert!(p.command(&script).expect("an answer").to_string().starts_with("-NOREPLICAS"));
    let replica = replica_of(&primary, &[]);
    assert!(replica.connect().command(&script).expect("an answer").to_string().starts_with("-READONLY"));
    eventually("a replica counts", || p.line("SET a 1").to_string() == "+OK");
    assert_eq!(p.line("WAIT 1 5000").to_string(), ":1");
    assert_eq!(p.line("WAIT 2 50").to_string(), ":1");
    drop(replica);
    eventually("it counts no more", || p.line("SET a 1").to_string().starts_with("-NOREPLICAS"));
}

#[test]
fn what_is_written_in_the_interval_goes_together_and_who_waits_for_replicas_does_not_wait_for_that() {
    let primary = Server::with(&[&DEBUG[..], &["--repl-send-interval", "10000000"]].concat());
    let mut p = primary.connect();
    let replica = replica_of(&primary, &DEBUG);
    let mut r = replica.connect();
    eventually("the link is up", || field(&mut r, "master_link_status") == "up");
    let sends = |p: &mut Connection| stat(p, "stats", "total_writes_processed").parse::<u64>().expect("a number");
    let before = sends(&mut p);
    for i in 0..300 {
        p.line(&format!("SET key:{i} {i}"));
    }
    let with_replies = sends(&mut p) - before;
    assert!(with_replies < 400, "{with_replies} for 300 replies");
    assert_eq!(p.line("WAIT 1 8000").to_string(), ":1");
    same_data(&mut p, &mut r);
    // Nor is anything kept back by a server that ends, even if it is not to wait for its replicas.
    p.line("SET last 1");
    p.line("SET last 2");
    let _ = p.command(&[b"SHUTDOWN", b"NOSAVE", b"NOW"]);
    eventually("the last write has come", || r.line("GET last").to_string() == "\"2\"");
}

#[test]
fn the_role_is_handed_over_without_losing_a_write() {
    let primary = Server::with(&DEBUG);
    let replica = replica_of(&primary, &DEBUG);
    let (mut p, mut r) = (primary.connect(), replica.connect());
    same_data(&mut p, &mut r);
    for i in 0..200 {
        p.line(&format!("SET k:{i} v"));
    }
    p.line(&format!("CONFIG SET tls-ca-cert-file {}", replica.ca().display()));
    assert_eq!(p.line("FAILOVER").to_string(), "+OK");
    eventually("roles are exchanged", || field(&mut p, "role") == "slave" && field(&mut r, "role") == "master");
    same_data(&mut r, &mut p);
    assert_eq!(r.line("SET after 1").to_string(), "+OK");
    let (was, is) = (p.line("HELLO").to_string(), r.line("HELLO").to_string());
    assert!(was.contains(r#""role" "replica""#) && is.contains(r#""role" "master""#), "{was} {is}");
    same_data(&mut r, &mut p);
    assert_eq!(field(&mut p, "master_failover_state"), "no-failover");
}

#[test]
fn a_primary_that_ends_waits_for_what_its_replica_lacks() {
    let mut primary = Server::with(&["--shutdown-timeout", "60", "--repl-diskless-sync-delay", "0"]);
    let replica = replica_of(&primary, &[]);
    let (mut p, mut r) = (primary.connect(), replica.connect());
    eventually("the link is up", || field(&mut r, "master_link_status") == "up");
    p.line("SET k 1");
    p.line("WAIT 1 0");
    // More than the sockets hold.
    replica.signal("STOP");
    let big = "x".repeat(1 << 20);
    for i in 0..12 {
        p.line(&format!("SET big:{i} {big}"));
    }
    p.line("SET k 2");
    primary.signal("TERM");
    eventually("it waits", || p.line("INFO server").to_string().contains("shutdown_in_milliseconds:"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(primary.is_running());
    replica.signal("CONT");
    assert!(primary.wait(Duration::from_secs(60)).success());
    assert!(primary.log().contains("1 of 1 replicas are in sync"));
    eventually("the last write is there", || r.line("GET k").to_string() == "\"2\"");
}

#[test]
fn an_end_that_waits_is_called_off_and_writes_go_on() {
    let mut primary = Server::with(&["--shutdown-timeout", "60", "--repl-diskless-sync-delay", "0"]);
    let replica = replica_of(&primary, &[]);
    let (mut p, mut r, mut waits) = (primary.connect(), replica.connect(), primary.connect());
    assert!(p.line("SHUTDOWN ABORT").to_string().contains("No shutdown in progress"));
    eventually("the link is up", || field(&mut r, "master_link_status") == "up");
    replica.signal("STOP");
    p.line("SET k 1");
    waits.send(b"SHUTDOWN NOSAVE\r\n").expect("sent");
    eventually("it waits", || p.line("INFO clients").to_string().contains("blocked_clients:1"));
    assert_eq!(p.line("SHUTDOWN ABORT").to_string(), "+OK");
    assert!(waits.read().expect("an answer").to_string().contains("Errors trying to SHUTDOWN"));
    assert_eq!(p.line("SET k 2").to_string(), "+OK");
    // Told to end now, it does not wait.
    p.send(b"SHUTDOWN NOSAVE NOW\r\n").expect("sent");
    assert!(primary.wait(Duration::from_secs(20)).success());
    replica.signal("CONT");
}

#[test]
fn waitaof_waits_for_disks_and_an_old_wait_answers_no_new_one() {
    let primary = Server::with(&["--appendonly", "yes", "--appendfsync", "no"]);
    let mut p = primary.connect();
    p.line("SET k 1");
    assert_eq!(p.line("WAITAOF 1 0 20").to_string(), "[:0 :0]");
    p.line("CONFIG SET appendfsync always");
    assert_eq!(p.line("WAITAOF 1 0 0").to_string(), "[:1 :0]");
    let replica = replica_of(&primary, &["--appendonly", "yes"]);
    let mut r = replica.connect();
    eventually("the link is up", || field(&mut r, "master_link_status") == "up");
    assert!(r.line("WAITAOF 0 0 0").to_string().contains("cannot be used with replica instances"));
    p.line("SET k 2");
    assert_eq!(p.line("WAITAOF 1 1 0").to_string(), "[:1 :1]");
    p.line("CONFIG SET appendonly no");
    p.line("SET k 3");
    assert!(p.line("WAITAOF 1 0 0").to_string().contains("appendonly is disabled"));
    assert_eq!(p.line("WAITAOF 0 1 0").to_string(), "[:0 :1]");
    // One that timed out is still known when the next begins.
    assert_eq!(p.line("WAIT 5 20").to_string(), p.line("WAIT 1 0").to_string());
}

fn stat(c: &mut Connection, section: &str, name: &str) -> String {
    let info = c.line(&format!("INFO {section}")).to_string();
    info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':').map(str::to_owned)).expect("a field of INFO")
}

/// True while the log's last walk served `n` replicas.
fn shared_by(server: &Server, n: usize) -> bool {
    server.log().contains(&format!("({n} replicas, offset"))
}

#[test]
fn replicas_that_wait_share_one_walk_and_the_changes_made_meanwhile_reach_all() {
    let primary = Server::with(&["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "60"]);
    let mut p = primary.connect();
    p.line("DEBUG POPULATE 5000 key 100");
    p.line("CONFIG SET repl-diskless-sync-max-replicas 2");
    let one = replica_of(&primary, &DEBUG);
    let mut a = one.connect();
    eventually("one waits", || p.line("INFO replication").to_string().contains("state=wait_bgsave"));
    let two = replica_of(&primary, &DEBUG);
    let mut b = two.connect();
    for i in 0..2000 {
        p.line(&format!("SET key:{i} changed"));
    }
    same_data(&mut p, &mut a);
    same_data(&mut p, &mut b);
    assert!(shared_by(&primary, 2) && !shared_by(&primary, 1), "{}", primary.log());
}

#[test]
fn who_takes_no_copy_of_unknown_length_is_served_without_the_delay() {
    let primary = Server::with(&["--repl-diskless-sync-delay", "1000"]);
    let reply = primary.connect().line("PSYNC ? -1").to_string();
    assert!(reply.starts_with("+FULLRESYNC"), "{reply}");
}

#[test]
fn a_copy_of_functions_alone_is_a_file_of_them_without_keys() {
    let server = Server::start();
    let mut c = server.connect();
    c.line("SET a-key a-value");
    let source: &[u8] = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    assert_eq!(c.command(&[b"FUNCTION", b"LOAD", source]).unwrap().to_string(), "\"lib\"");
    let refused = c.line("REPLCONF rdb-filter-only keys").to_string();
    assert_eq!(refused, "-ERR Unsupported rdb-filter-only option: keys");
    for (filter, has_functions) in [("functions", true), ("", false)] {
        let mut asks = server.connect();
        asks.command(&[b"REPLCONF", b"rdb-filter-only", filter.as_bytes()]).unwrap();
        assert!(asks.line("SYNC").to_string().starts_with("-ERR no stream"), "a stream would follow");
        asks.line("REPLCONF rdb-only 1");
        asks.send(b"SYNC\r\nQUIT\r\n").unwrap();
        let all = asks.rest().unwrap();
        let begin = all.iter().position(|b| *b == b'\n').expect("a length") + 1;
        let length: usize = std::str::from_utf8(&all[1..begin - 2]).unwrap().parse().unwrap();
        let copy = &all[begin..begin + length];
        assert_eq!(&all[begin + length..], b"+OK\r\n");
        let holds = |what: &[u8]| copy.windows(what.len()).any(|w| w == what);
        assert!(!holds(b"a-key") && holds(b"register_function") == has_functions);
        let path = server.folder().join("copy.rdb");
        std::fs::write(&path, copy).unwrap();
        let checked = std::process::Command::new(BINARY).arg("check-rdb").arg(&path).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[test]
fn a_replica_that_dies_amid_its_copy_ends_the_walk_and_the_next_one_is_served() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    p.line("DEBUG POPULATE 20000 key 100");
    p.line("CONFIG SET rdb-key-save-delay 1000");
    let dies = replica_of(&primary, &DEBUG);
    eventually("the walk runs", || field(&mut p, "connected_slaves") == "1" && shared_by(&primary, 1));
    // One that comes during the walk is not in it.
    let late = replica_of(&primary, &DEBUG);
    eventually("it waits", || p.line("INFO replication").to_string().contains("state=wait_bgsave"));
    assert!(p.line("BGSAVE").to_string().starts_with('-'), "there is one walk at a time");
    assert_eq!(stat(&mut p, "persistence", "rdb_bgsave_in_progress"), "1");
    drop(dies);
    p.line("CONFIG SET rdb-key-save-delay 0");
    let mut b = late.connect();
    p.line("SET a b");
    same_data(&mut p, &mut b);
    eventually("nothing walks", || stat(&mut p, "persistence", "rdb_bgsave_in_progress") == "0");
    assert!(!p.line("BGSAVE").to_string().starts_with('-'));
}

#[test]
fn a_copy_waits_for_a_save_that_runs_and_goes_by_way_of_a_file_if_it_is_to() {
    let primary = Server::with(&[&DEBUG[..], &["--repl-diskless-sync", "no"]].concat());
    let mut p = primary.connect();
    p.line("DEBUG POPULATE 10000 key 100");
    p.line("CONFIG SET rdb-key-save-delay 1000");
    p.line("BGSAVE");
    let replica = replica_of(&primary, &DEBUG);
    eventually("it waits", || p.line("INFO replication").to_string().contains("state=wait_bgsave"));
    p.line("CONFIG SET rdb-key-save-delay 0");
    let mut r = replica.connect();
    same_data(&mut p, &mut r);
    assert!(primary.log().contains("target: disk"), "{}", primary.log());
}

#[test]
fn a_copy_that_goes_by_way_of_a_file_is_the_save_that_a_save_point_wants() {
    let primary = Server::with(&[&DEBUG[..], &["--repl-diskless-sync", "no", "--save", "3600 1"]].concat());
    let mut p = primary.connect();
    p.line("SET k v");
    p.line("DEBUG POPULATE 1000 key 100");
    p.line("CONFIG SET rdb-key-save-delay 1000000");
    let replica = replica_of(&primary, &DEBUG);
    eventually("it is being copied", || p.line("INFO replication").to_string().contains("state=wait_bgsave"));
    eventually("the walk has begun", || stat(&mut p, "persistence", "rdb_bgsave_in_progress") == "1");
    replica.connect().line("REPLICAOF NO ONE");
    eventually("the replica is gone", || field(&mut p, "connected_slaves") == "0");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stat(&mut p, "persistence", "rdb_bgsave_in_progress"), "1", "the file is worth having by itself");
    p.line("CONFIG SET rdb-key-save-delay 0");
    eventually("it is saved", || stat(&mut p, "persistence", "rdb_changes_since_last_save") == "0");
    let digest = p.line("DEBUG DIGEST").to_string();
    assert_eq!(p.line("DEBUG RELOAD NOSAVE").to_string(), "+OK");
    assert_eq!(p.line("DEBUG DIGEST").to_string(), digest);
    // Without save points nobody wants it once the last replica has gone.
    p.command(&[b"CONFIG", b"SET", b"save", b""]).expect("an answer");
    p.line("CONFIG SET rdb-key-save-delay 1000000");
    let mut r = replica.connect();
    r.line(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
    eventually("the walk has begun", || stat(&mut p, "persistence", "rdb_bgsave_in_progress") == "1");
    r.line("REPLICAOF NO ONE");
    eventually("it is given up", || stat(&mut p, "persistence", "rdb_bgsave_in_progress") == "0");
}

const TWO: [&str; 4] = ["--enable-debug-command", "yes", "--dual-channel-replication-enabled", "yes"];

/// A primary with so much to copy that a walk of it lasts until the delay of each key is taken back, and a replica that is being sent it
/// on a connection of its own.
fn on_two_channels() -> (Server, Connection, Server, Connection) {
    let primary = Server::with(&[&TWO[..], &["--repl-diskless-sync-delay", "0"]].concat());
    let mut p = primary.connect();
    p.line("DEBUG POPULATE 20000 key 100");
    p.line("CONFIG SET rdb-key-save-delay 1000");
    let replica = replica_of(&primary, &TWO);
    let r = replica.connect();
    both_channels_stand(&mut p);
    (primary, p, replica, r)
}

fn both_channels_stand(p: &mut Connection) {
    eventually("copy and stream are on their way", || {
        let info = p.line("INFO replication").to_string();
        info.contains("state=wait_bgsave,offset=0,lag=0,type=rdb-channel")
            && info.contains("state=bg_transfer")
            && info.contains("type=main-channel")
    });
}

/// The id of the client whose last command was this.
fn client_by_command(p: &mut Connection, command: &str) -> String {
    let list = p.line("CLIENT LIST").to_string();
    let line = list.split("id=").find(|l| l.contains(&format!(" cmd={command} "))).expect("a client").to_owned();
    line.split(' ').next().expect("a number").to_owned()
}

#[test]
fn a_copy_on_its_own_connection_holds_the_stream_at_the_replica() {
    let (primary, mut p, _replica, mut r) = on_two_channels();
    for i in 0..2000 {
        p.line(&format!("SET key:{i} changed"));
    }
    eventually("the replica holds them", || {
        field(&mut r, "replicas_repl_buffer_size").parse::<u64>().is_ok_and(|n| n > 50_000)
    });
    p.line("CONFIG SET rdb-key-save-delay 0");
    same_data(&mut p, &mut r);
    assert_eq!((field(&mut p, "connected_slaves"), field(&mut p, "replicas_waiting_psync")), ("1".into(), "0".into()));
    assert!(p.line("INFO replication").to_string().contains("state=online"));
    assert_eq!(
        (stat(&mut p, "stats", "sync_full"), stat(&mut p, "stats", "sync_partial_ok")),
        ("1".into(), "1".into())
    );
    assert_eq!(field(&mut r, "replicas_repl_buffer_size"), "0");
    // The link goes on from the backlog as any other.
    let main = client_by_command(&mut p, "replconf");
    p.line(&format!("CLIENT KILL ID {main}"));
    p.line("SET after kill");
    same_data(&mut p, &mut r);
    assert_eq!(stat(&mut p, "stats", "sync_full"), "1", "{}", primary.log());
}

#[test]
fn either_channel_that_breaks_ends_the_copy_and_the_next_attempt_is_whole() {
    for command in ["psync", "sync"] {
        let (primary, mut p, _replica, mut r) = on_two_channels();
        p.line("CONFIG SET repl-diskless-sync-delay 2");
        let id = client_by_command(&mut p, command);
        p.line(&format!("CLIENT KILL ID {id}"));
        eventually("the walk is given up", || primary.log().contains("Background RDB transfer error"));
        assert_eq!(field(&mut p, "replicas_waiting_psync"), "0");
        p.line("CONFIG SET repl-diskless-sync-delay 0");
        both_channels_stand(&mut p);
        p.line("CONFIG SET rdb-key-save-delay 0");
        p.line("INCR counter");
        same_data(&mut p, &mut r);
    }
}

#[test]
fn a_replica_that_may_hold_little_leaves_the_stream_with_its_primary() {
    let (primary, mut p, replica, mut r) = on_two_channels();
    r.line("REPLICAOF NO ONE");
    eventually("the first attempt is over", || !p.line("INFO replication").to_string().contains("state="));
    let set = [&b"CONFIG"[..], b"SET", b"client-output-buffer-limit", b"replica 20000 20000 0"];
    assert_eq!(r.command(&set).expect("an answer").to_string(), p.line("CONFIG SET hz 10").to_string());
    let port = primary.port;
    r.line(&format!("REPLICAOF 127.0.0.1 {port}"));
    both_channels_stand(&mut p);
    let value = "x".repeat(1000);
    for i in 0..3000 {
        p.line(&format!("SET key:{i} {value}"));
    }
    eventually("it stops", || replica.log().contains("Replication buffer limit reached"));
    let held = field(&mut r, "replicas_repl_buffer_size").parse::<u64>().expect("a number");
    assert!(held < 20_000 + 300_000, "{held}");
    p.line("CONFIG SET rdb-key-save-delay 0");
    same_data(&mut p, &mut r);
}

#[test]
fn a_primary_without_diskless_synchronisation_sends_all_on_one_connection() {
    let primary = Server::with(&[&TWO[..], &["--repl-diskless-sync", "no"]].concat());
    let mut p = primary.connect();
    p.line("SET a b");
    let replica = replica_of(&primary, &TWO);
    same_data(&mut p, &mut replica.connect());
    assert_eq!(stat(&mut p, "stats", "sync_partial_ok"), "0");
    assert!(p.line("REPLCONF set-rdb-client-id 77").to_string().contains("Unrecognized RDB client id 77"));
    assert!(p.line("REPLCONF rdb-channel 2").to_string().contains("must between 0 and 1"));
}

/// A server whose data are in a folder that outlives it.
fn kept(folder: &std::path::Path, words: &[&str]) -> Server {
    let folder = folder.to_str().expect("text");
    // The folder of the certificates is the same one: what comes last counts.
    Server::with(&[&["--dir", folder, "--save", "3600 1"], words].concat())
}

/// A replica whose data are kept there, and a connection to it.
fn kept_replica_of(primary: &Server, folder: &std::path::Path) -> (Server, Connection) {
    let (ca, port) = (primary.ca(), primary.port.to_string());
    let words = ["--tls-ca-cert-file", ca.to_str().expect("text"), "--replicaof", "127.0.0.1", &port];
    let replica = kept(folder, &[&words[..], &DEBUG[..]].concat());
    let r = Connection::tls(replica.port, &folder.join("tls/ca.crt")).expect("a connection");
    (replica, r)
}

#[test]
fn a_replica_that_was_shut_down_goes_on_where_it_was() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut replica, mut r) = kept_replica_of(&primary, folder.path());
    p.line("SELECT 5");
    p.line("SET a 1");
    same_data(&mut p, &mut r);
    replica.signal("TERM");
    replica.wait(Duration::from_secs(20));
    p.line("SET b 2");
    p.line("INCR a");
    let (_replica, mut r) = kept_replica_of(&primary, folder.path());
    same_data(&mut p, &mut r);
    assert_eq!(stat(&mut p, "stats", "sync_full"), "1");
}

/// A replica of database 5 does this, is killed a change later, and comes back to a primary that has gone on: its one full copy is enough.
fn goes_on_after_a_kill(first: impl FnOnce(&mut Connection)) {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    p.line("SELECT 5");
    p.line("SET a 1");
    let folder = tempfile::tempdir().expect("a folder");
    let (mut replica, mut r) = kept_replica_of(&primary, folder.path());
    same_data(&mut p, &mut r);
    first(&mut r);
    p.line("INCR a");
    same_data(&mut p, &mut r);
    replica.signal("KILL");
    replica.wait(Duration::from_secs(20));
    p.line("INCR a");
    let (_replica, mut r) = kept_replica_of(&primary, folder.path());
    same_data(&mut p, &mut r);
    assert_eq!(stat(&mut p, "stats", "sync_full"), "1");
}

#[test]
fn a_replica_that_crashed_goes_on_from_its_last_background_save() {
    goes_on_after_a_kill(|r| {
        r.line("BGSAVE");
        eventually("it is saved", || stat(r, "persistence", "rdb_bgsave_in_progress") == "0");
    });
}

#[test]
fn a_replica_that_crashed_behind_its_copy_goes_on_from_there() {
    goes_on_after_a_kill(|_| {});
}

#[test]
fn what_clients_of_a_writable_replica_have_written_expires_there() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let replica = replica_of(&primary, &[&DEBUG[..], &["--replica-read-only", "no"]].concat());
    let mut r = replica.connect();
    same_data(&mut p, &mut r);
    p.line("DEBUG SET-ACTIVE-EXPIRE 0");
    p.line("SET theirs 1 PX 20");
    same_data(&mut p, &mut r);
    r.line("SET own 1 PX 20");
    r.line("SET stays 1");
    r.line("SET later 1 EX 1000");
    eventually("the replica's own key goes", || r.line("DBSIZE").to_string() == ":3");
    assert_eq!(r.line("EXISTS theirs").to_string(), ":0");
    assert_eq!(r.line("INCR theirs").to_string(), ":1", "what is past its deadline is in nobody's way");
    assert_eq!(r.line("EXISTS stays later").to_string(), ":2");
}

#[test]
fn what_expires_while_a_primary_is_down_goes_before_its_replicas_come_back_and_they_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut primary = kept(folder.path(), &DEBUG);
    let ca = folder.path().join("tls/ca.crt");
    let mut p = Connection::tls(primary.port, &ca).expect("a connection");
    p.line("SET stays 1");
    let port = primary.port.to_string();
    let words = ["--tls-ca-cert-file", ca.to_str().expect("text"), "--replicaof", "127.0.0.1", &port];
    let replica = Server::with(&[&words[..], &DEBUG[..]].concat());
    let mut r = replica.connect();
    same_data(&mut p, &mut r);
    p.line("DEBUG SET-ACTIVE-EXPIRE 0");
    for i in 0..200 {
        p.line(&format!("SET goes:{i} v PX 1"));
    }
    p.line("HSET h f 1");
    p.line("HPEXPIRE h 1 FIELDS 1 f");
    same_data(&mut p, &mut r);
    primary.signal("TERM");
    primary.wait(Duration::from_secs(20));
    let primary = kept(folder.path(), &DEBUG);
    let mut p = Connection::tls(primary.port, &ca).expect("a connection");
    assert_eq!(stat(&mut p, "persistence", "rdb_last_load_keys_expired"), "200");
    assert_eq!(p.line("DBSIZE").to_string(), ":1");
    r.line(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
    same_data(&mut p, &mut r);
    assert_eq!(r.line("DBSIZE").to_string(), ":1");
    assert_eq!(
        (stat(&mut p, "stats", "sync_partial_ok"), stat(&mut p, "stats", "sync_full")),
        ("1".into(), "0".into())
    );
}

#[test]
fn killing_the_link_to_the_primary_ends_it_at_once_and_its_bytes_are_counted() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let replica = replica_of(&primary, &DEBUG);
    let mut r = replica.connect();
    p.line("SET a 1");
    same_data(&mut p, &mut r);
    assert_ne!(stat(&mut r, "stats", "total_net_repl_input_bytes"), "0");
    assert_eq!(r.line("CLIENT KILL TYPE master").to_string(), ":1");
    eventually("the primary has seen it go", || primary.log().contains("Connection with replica"));
    p.line("SET b 1");
    same_data(&mut p, &mut r);
    assert!(replica.log().contains("closed by CLIENT KILL"), "{}", replica.log());
}

#[test]
fn a_replica_whose_writes_are_paused_takes_the_stream_and_applies_it_when_the_pause_ends() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let replica = replica_of(&primary, &DEBUG);
    let mut r = replica.connect();
    p.line("SET a 1");
    same_data(&mut p, &mut r);
    let before = field(&mut r, "slave_repl_offset");
    r.line("CLIENT PAUSE 100000 WRITE");
    p.line("SET a 2");
    eventually("it has come", || field(&mut r, "slave_read_repl_offset") == field(&mut p, "master_repl_offset"));
    assert_eq!(field(&mut r, "slave_repl_offset"), before);
    assert_eq!(r.line("GET a").to_string(), "\"1\"");
    r.line("CLIENT UNPAUSE");
    same_data(&mut p, &mut r);
    assert_eq!(r.line("GET a").to_string(), "\"2\"");
}

#[test]
fn servers_that_keep_a_log_go_on_where_they_ended() {
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let log = [&DEBUG[..], &["--appendonly", "yes", "--save", ""]].concat();
    let mut primary = kept(first.path(), &log);
    let ca = first.path().join("tls/ca.crt");
    let follow = |port: u16| {
        let port = port.to_string();
        let words = ["--tls-ca-cert-file", ca.to_str().expect("text"), "--replicaof", "127.0.0.1", &port];
        let server = kept(second.path(), &[&log[..], &words[..]].concat());
        let c = Connection::tls(server.port, &second.path().join("tls/ca.crt")).expect("a connection");
        (server, c)
    };
    let mut p = Connection::tls(primary.port, &ca).expect("a connection");
    let (mut replica, mut r) = follow(primary.port);
    p.line("SELECT 5");
    p.line("SET a 1");
    same_data(&mut p, &mut r);
    // The replica ends first, and comes back to what it has missed.
    eventually("its log has a base", || stat(&mut r, "persistence", "aof_rewrites") == "1");
    replica.signal("TERM");
    replica.wait(Duration::from_secs(20));
    p.line("INCR a");
    let (_replica, mut r) = follow(primary.port);
    same_data(&mut p, &mut r);
    assert_eq!(stat(&mut p, "stats", "sync_full"), "1");
    // Then the primary does, and its replica finds the same history with it.
    primary.signal("TERM");
    primary.wait(Duration::from_secs(20));
    let primary = kept(first.path(), &log);
    let mut p = Connection::tls(primary.port, &ca).expect("a connection");
    p.line("SELECT 5");
    p.line("INCR a");
    r.line(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
    same_data(&mut p, &mut r);
    assert_eq!(
        (stat(&mut p, "stats", "sync_full"), stat(&mut p, "stats", "sync_partial_ok")),
        ("0".into(), "1".into())
    );
    r.line("SELECT 5");
    assert_eq!(r.line("GET a").to_string(), "\"3\"");
}

#[test]
fn what_a_replica_logs_stands_in_the_database_it_is_of_whenever_the_log_was_begun() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, port) = (primary.ca(), primary.port.to_string());
    let words =
        ["--tls-ca-cert-file", ca.to_str().expect("text"), "--replicaof", "127.0.0.1", &port, "--appendonly", "yes"];
    let follow = || {
        let replica = kept(folder.path(), &[&words[..], &DEBUG[..]].concat());
        let r = Connection::tls(replica.port, &folder.path().join("tls/ca.crt")).expect("a connection");
        (replica, r)
    };
    let (mut replica, mut r) = follow();
    // The stream says its database once.
    p.line("SELECT 5");
    p.line("SET a 1");
    same_data(&mut p, &mut r);
    eventually("its log has a base", || stat(&mut r, "persistence", "aof_rewrites") == "1");
    r.line("BGREWRITEAOF");
    eventually("its log is begun anew", || stat(&mut r, "persistence", "aof_rewrites") == "2");
    p.line("SET b 2");
    same_data(&mut p, &mut r);
    replica.signal("TERM");
    replica.wait(Duration::from_secs(20));
    p.line("SET c 3");
    let (_replica, mut r) = follow();
    same_data(&mut p, &mut r);
    assert_eq!(stat(&mut p, "stats", "sync_full"), "1", "it went on where it was");
    let digest = r.line("DEBUG DIGEST").to_string();
    r.line("REPLICAOF NO ONE");
    assert_eq!(r.line("DEBUG LOADAOF").to_string(), "+OK");
    assert_eq!(r.line("DEBUG DIGEST").to_string(), digest);
}

#[test]
fn a_client_that_wrote_before_its_server_followed_another_is_not_kept_waiting_for_the_old_history() {
    let primary = Server::with(&DEBUG);
    let server = Server::with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--tls-ca-cert-file",
        primary.ca().to_str().expect("text"),
    ]);
    let (mut s, mut other) = (server.connect(), server.connect());
    for i in 0..100 {
        s.line(&format!("SET some:{i} value"));
    }
    other.line(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
    eventually("it follows", || field(&mut other, "master_link_status") == "up");
    assert_eq!(s.line("PING").to_string(), "+PONG");
    other.line("REPLICAOF NO ONE");
    assert_eq!(s.line("WAITAOF 1 0 20000").to_string(), "[:1 :0]");
}

#[test]
fn a_copy_that_was_received_into_a_file_is_the_base_of_the_log() {
    let primary = Server::with(&[&DEBUG[..], &["--repl-diskless-sync", "no"]].concat());
    let mut p = primary.connect();
    p.line("DEBUG POPULATE 1000 key 100");
    p.line("HSET h a 1 b 2");
    let replica = replica_of(&primary, &[&DEBUG[..], &["--appendonly", "yes", "--save", ""]].concat());
    let mut r = replica.connect();
    same_data(&mut p, &mut r);
    eventually("it is reused", || replica.log().contains("Reused RDB file from primary sync as AOF base file"));
    p.line("SET after 1");
    p.line("DEL key:7");
    same_data(&mut p, &mut r);
    let digest = r.line("DEBUG DIGEST").to_string();
    eventually("the log has it", || stat(&mut r, "persistence", "aof_rewrites") != "0");
    r.line("REPLICAOF NO ONE");
    assert_eq!(r.line("DEBUG LOADAOF").to_string(), "+OK");
    assert_eq!(r.line("DEBUG DIGEST").to_string(), digest);
    assert_eq!(stat(&mut r, "persistence", "aof_rewrites"), "1", "nothing was written twice");
}

#[test]
fn a_replica_whose_disk_does_not_take_the_copy_keeps_its_data_and_asks_less_and_less_often() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    p.line("SET k v");
    let replica = Server::with(&["--tls-ca-cert-file", primary.ca().to_str().expect("text")]);
    let mut r = replica.connect();
    r.line("SET own 1");
    let in_the_way = replica.folder().join("dump.rdb");
    std::fs::create_dir_all(in_the_way.join("full")).expect("a folder where the file should be");
    r.line(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
    let tries = || replica.log().matches("Failed trying to rename the temp DB").count();
    eventually("it fails twice", || tries() >= 2);
    assert_eq!(r.line("GET own").to_string(), "\"1\"");
    // From the second failure on it is seconds: a copy is work for the primary each time.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(tries(), 2);
    std::fs::remove_dir_all(&in_the_way).expect("it is removed");
    eventually("it has the copy", || r.line("GET k").to_string() == "\"v\"");
}

#[test]
fn a_replica_that_still_loads_its_file_does_not_say_that_it_is_a_primary() {
    let server = Server::with(&["--enable-debug-command", "yes", "--save", "900 1"]);
    check(&mut server.connect(), &[("DEBUG POPULATE 1000", "+OK"), ("SAVE", "+OK")]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(server.folder().join("dump.rdb"), folder.path().join("dump.rdb")).unwrap();
    let mut command = std::process::Command::new(BINARY);
    command.args(["server", "--port", "0", "--tls-port", "0", "--unixsocket", "s", "--allow-plaintext", "local"]);
    command.args(["--dir", folder.path().to_str().unwrap(), "--logfile", "log", "--key-load-delay", "1000000"]);
    let mut child = command.args(["--replicaof", "127.0.0.1 1"]).spawn().unwrap();
    let ask = |what: &str| {
        let mut socket = std::os::unix::net::UnixStream::connect(folder.path().join("s")).ok()?;
        socket.write_all(format!("{what}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut all = String::new();
        socket.read_to_string(&mut all).ok()?;
        Some(all)
    };
    let mut said = None;
    eventually("it answers", || {
        said = ask("ROLE");
        said.is_some()
    });
    let (said, info) = (said.unwrap(), ask("INFO replication").unwrap_or_default());
    let hello = ask("HELLO").unwrap_or_default();
    assert!(ask("GET k").unwrap_or_default().starts_with("-LOADING"), "it loads");
    child.kill().and_then(|()| child.wait()).unwrap();
    assert!(said.starts_with("*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n"), "{said}");
    assert!(info.contains("role:slave\r\n"), "{info}");
    assert!(hello.contains("\r\nrole\r\n$7\r\nreplica\r\n"), "{hello}");
}
