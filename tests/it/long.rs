//! Commands on big values: who waits for them, and who does not.

use crate::support::client::request;
use crate::support::{Connection, Server, Value, check};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A command of a second or so, on keys `{x}a` and `{x}b`.
const LONG: &[&[u8]] = &[b"LCS", b"{x}a", b"{x}b", b"LEN"];

/// A server of one worker, with two long strings that share nothing.
fn server() -> Server {
    let server = Server::with(&["--io-threads", "1"]);
    let mut c = server.connect();
    for (key, byte) in [(b"{x}a", b'a'), (b"{x}b", b'b')] {
        let value = vec![byte; 5_000];
        assert_eq!(c.command(&[b"SET", key, &value]).unwrap().to_string(), "+OK");
    }
    server
}

/// Sends the long command behind `before` and in front of `after`, and waits until it runs.
fn begin(c: &mut Connection, server: &Server, before: &[&[&[u8]]], after: &[&[&[u8]]]) {
    let mut bytes = Vec::new();
    for words in before.iter().chain([&LONG]).chain(after) {
        bytes.extend(request(words));
    }
    c.send(&bytes).unwrap();
    // One worker: what it answers now, it answers behind the bytes above, unless they have not arrived yet.
    let mut other = server.connect();
    for _ in 0..50 {
        let running = other.line("CLIENT LIST").to_string();
        if running.contains("cmd=lcs") {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the long command does not run");
}

#[test]
fn others_of_the_same_worker_are_answered_while_a_long_command_runs() {
    let server = server();
    let (mut long, mut other) = (server.connect(), server.connect());
    begin(&mut long, &server, &[], &[]);
    check(&mut other, &[("PING", "+PONG"), ("SET elsewhere 1", "+OK"), ("GET elsewhere", "\"1\"")]);
    long.set_patience(Duration::from_millis(1));
    assert!(long.read().is_err(), "the long command was over before: this shows nothing");
    long.set_patience(Duration::from_secs(60));
    assert_eq!(long.read().unwrap().to_string(), ":0");
}

#[test]
fn replies_of_a_connection_stay_in_the_order_of_its_requests() {
    let server = server();
    let mut c = server.connect();
    let set: &[&[u8]] = &[b"SET", b"k", b"before"];
    let append: &[&[u8]] = &[b"APPEND", b"k", b"!"];
    let get: &[&[u8]] = &[b"GET", b"k"];
    begin(&mut c, &server, &[set, get], &[append, LONG, get]);
    c.set_patience(Duration::from_secs(60));
    let replies: Vec<String> = (0..6).map(|_| c.read().unwrap().to_string()).collect();
    assert_eq!(replies, ["+OK", "\"before\"", ":0", ":7", ":0", "\"before!\""]);
}

#[test]
fn who_wants_the_same_key_waits_and_then_changes_it() {
    let server = server();
    let (mut long, mut writer) = (server.connect(), server.connect());
    begin(&mut long, &server, &[], &[]);
    // Once somebody who only looks is not answered any more, it has its locks.
    let mut looks = server.connect();
    looks.set_patience(Duration::from_millis(20));
    while looks.send(&request(&[b"STRLEN", b"{x}a"])).is_ok() && looks.read().is_ok() {}
    writer.send(&request(&[b"SET", b"{x}a", b"new"])).unwrap();
    writer.set_patience(Duration::from_millis(20));
    assert!(writer.read().is_err(), "the key was changed while a command read it");
    for c in [&long, &writer] {
        c.set_patience(Duration::from_secs(60));
    }
    assert_eq!(long.read().unwrap().to_string(), ":0");
    assert_eq!(writer.read().unwrap().to_string(), "+OK");
    check(&mut writer, &[("GET {x}a", "\"new\"")]);
}

#[test]
fn messages_and_orders_for_a_client_whose_command_runs_come_behind_its_reply() {
    let server = server();
    let (mut long, mut other) = (server.connect(), server.connect());
    long.line("HELLO 3");
    long.line("SUBSCRIBE news");
    let id = long.line("CLIENT ID").to_string();
    begin(&mut long, &server, &[], &[]);
    check(&mut other, &[("PUBLISH news hello", ":1"), (&format!("CLIENT KILL ID {}", &id[1..]), ":1")]);
    long.set_patience(Duration::from_secs(60));
    let rest = String::from_utf8_lossy(&long.rest().unwrap()).into_owned();
    // It may be closed for the order before what came behind its reply was sent.
    assert!(rest.is_empty() || rest.starts_with(":0\r\n"), "{rest:?}");
    check(&mut other, &[("PING", "+PONG")]);
}

#[test]
fn a_transaction_with_a_long_command_in_it_is_whole() {
    let server = server();
    let mut c = server.connect();
    check(&mut c, &[("MULTI", "+OK"), ("SET k 1", "+QUEUED"), ("LCS {x}a {x}b LEN", "+QUEUED"), ("INCR k", "+QUEUED")]);
    c.set_patience(Duration::from_secs(60));
    assert_eq!(c.line("EXEC").to_string(), "[+OK :0 :2]");
}

#[test]
fn a_big_collection_comes_back_whole_and_what_is_stored_from_it_too() {
    let server = Server::with(&["--io-threads", "1"]);
    let mut c = server.connect();
    for i in 0..20 {
        let words: Vec<Vec<u8>> = (0..1000).map(|n| format!("{}", i * 1000 + n).into_bytes()).collect();
        for (command, pairs) in [("SADD", false), ("RPUSH", false), ("HSET", true), ("ZADD", true)] {
            let key = format!("{{x}}{command}");
            let mut call: Vec<&[u8]> = vec![command.as_bytes(), key.as_bytes()];
            for w in &words {
                call.push(w);
                if pairs {
                    call.push(w);
                }
            }
            c.command(&call).unwrap();
        }
    }
    let count = |c: &mut Connection, line: &str| match c.line(line) {
        Value::Array(items) => items.len(),
        other => panic!("{line}: {other}"),
    };
    assert_eq!(count(&mut c, "SMEMBERS {x}SADD"), 20_000);
    assert_eq!(count(&mut c, "HGETALL {x}HSET"), 40_000);
    assert_eq!(count(&mut c, "LRANGE {x}RPUSH 0 -1"), 20_000);
    assert_eq!(count(&mut c, "ZRANGE {x}ZADD 0 -1"), 20_000);
    assert_eq!(count(&mut c, "SORT {x}SADD DESC LIMIT 0 7"), 7);
    check(
        &mut c,
        &[
            ("SORT {x}SADD STORE {x}sorted", ":20000"),
            ("LINDEX {x}sorted -1", "\"19999\""),
            ("ZUNIONSTORE {x}union 2 {x}ZADD {x}SADD", ":20000"),
            ("ZSCORE {x}union 7", "\"8\""),
            ("SUNIONSTORE {x}both {x}SADD {x}SADD", ":20000"),
            ("COPY {x}HSET {x}copy", ":1"),
            ("HGET {x}copy 19999", "\"19999\""),
            ("SORT {x}SADD BY nosuch_* LIMIT 0 0", "[]"),
        ],
    );
}

/// Elements whose weights writers move to and fro; enough for SORT to run aside.
const WEIGHED: usize = 5_000;

/// Moves weight from one key to another until told to stop, their sum always the same; how often.
fn move_weights(mut c: Connection, stop: &AtomicBool, seed: u64) -> u64 {
    let (mut random, mut moves) = (seed, 0);
    let mut below = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    while !stop.load(Ordering::Relaxed) {
        let (from, to, by) = (below(WEIGHED as u64), below(WEIGHED as u64), below(1_000).to_string());
        let (from, to) = (format!("w_{from}"), format!("w_{to}"));
        let calls: [&[&[u8]]; 4] = [
            &[b"MULTI"],
            &[b"DECRBY", from.as_bytes(), by.as_bytes()],
            &[b"INCRBY", to.as_bytes(), by.as_bytes()],
            &[b"EXEC"],
        ];
        c.send(&calls.iter().flat_map(|call| request(call)).collect::<Vec<u8>>()).unwrap();
        (0..4).for_each(|_| drop(c.read().unwrap()));
        moves += 1;
    }
    moves
}

/// Ends the writers, also when an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn numbers(value: &Value) -> Vec<i64> {
    let Value::Array(items) = value else { panic!("{value}") };
    items.iter().map(|i| i.to_string().trim_matches('"').parse().unwrap()).collect()
}

#[test]
fn a_long_sort_reads_one_state_of_the_weights_while_others_move_them() {
    let server = Server::with(&["--io-threads", "2"]);
    let mut c = server.connect();
    for from in (0..WEIGHED).step_by(500) {
        let elements: Vec<String> = (from..from + 500).map(|n| n.to_string()).collect();
        let names: Vec<String> = elements.iter().map(|n| format!("w_{n}")).collect();
        let mut push: Vec<&[u8]> = vec![b"RPUSH", b"list"];
        let mut set: Vec<&[u8]> = vec![b"MSET"];
        for (element, name) in elements.iter().zip(&names) {
            push.push(element.as_bytes());
            set.extend([name.as_bytes(), b"1000"]);
        }
        c.command(&push).unwrap();
        c.command(&set).unwrap();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let end = Stop(&stop);
        let writers = [1, 2].map(|seed| {
            let (c, stop) = (server.connect(), &stop);
            threads.spawn(move || move_weights(c, stop, seed))
        });
        let sum = 1000 * WEIGHED as i64;
        for _ in 0..40 {
            // The weights of the order and those that are read afterwards are of one instant.
            let weights = numbers(&c.line("SORT list BY w_* GET w_*"));
            assert_eq!(weights.iter().sum::<i64>(), sum);
            assert!(weights.is_sorted());
            let some = numbers(&c.line("SORT list BY w_* DESC LIMIT 10 100 GET w_* GET w_*"));
            assert!(some.chunks(2).all(|pair| pair[0] == pair[1]) && some.is_sorted_by(|a, b| a >= b));
            assert_eq!(c.line("SORT list BY w_* GET w_* STORE stored").to_string(), format!(":{WEIGHED}"));
            let stored = numbers(&c.line("LRANGE stored 0 -1"));
            assert_eq!(stored.iter().sum::<i64>(), sum);
            assert!(stored.is_sorted());
        }
        drop(end);
        for writer in writers {
            assert!(writer.join().unwrap() > 100);
        }
    });
}

#[test]
fn a_long_sort_is_told_to_who_tracks_its_key_and_stores_nothing_while_writers_are_paused() {
    let server = Server::with(&["--io-threads", "1"]);
    let (mut c, mut other) = (server.connect(), server.connect());
    for n in 0..6 {
        let elements: Vec<String> = (0..1000).map(|e| (n * 1000 + e).to_string()).collect();
        let call: Vec<&[u8]> =
            [&b"RPUSH"[..], b"list"].into_iter().chain(elements.iter().map(String::as_bytes)).collect();
        other.command(&call).unwrap();
    }
    c.line("HELLO 3");
    check(&mut c, &[("CLIENT TRACKING ON", "+OK"), ("SORT_RO list BY w_* LIMIT 0 1", "[\"0\"]")]);
    check(&mut other, &[("RPUSH list -1", ":6001")]);
    assert_eq!(c.read().unwrap().to_string(), ">[\"invalidate\" [\"list\"]]");
    check(&mut other, &[("CLIENT PAUSE 60000 WRITE", "+OK")]);
    c.send(&request(&[b"SORT", b"list", b"BY", b"w_*", b"STORE", b"to"])).unwrap();
    c.set_patience(Duration::from_millis(50));
    assert!(c.read().is_err());
    check(&mut other, &[("EXISTS to", ":0"), ("CLIENT UNPAUSE", "+OK")]);
    c.set_patience(Duration::from_secs(60));
    assert_eq!(c.read().unwrap().to_string(), ":6001");
}
