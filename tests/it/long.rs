//! Commands on big values: who waits for them, and who does not.

use crate::support::client::request;
use crate::support::{Connection, Server, Value, check};
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
