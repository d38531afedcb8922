//! What everybody does with a key-value server, over TLS.

use crate::support::process::eventually;
use crate::support::{Connection, Server, check};
use std::time::Duration;

#[test]
fn strings_are_set_and_read_over_tls() {
    let server = Server::start();
    let mut c = server.connect();
    check(
        &mut c,
        &[
            ("SET k v", "+OK"),
            ("GET k", "\"v\""),
            ("GET absent", "nil"),
            ("INCR n", ":1"),
            ("INCR k", "-ERR value is not an integer or out of range"),
            ("APPEND k alue", ":5"),
            ("MSET a 1 b 2", "+OK"),
            ("MGET a b c", "[\"1\" \"2\" nil]"),
            ("DEL a b c", ":2"),
            ("EXISTS a k k", ":2"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("NOSUCH x", "-ERR unknown command 'NOSUCH', with args beginning with: 'x' "),
        ],
    );
}

#[test]
fn replies_of_a_pipeline_come_in_order() {
    let server = Server::start();
    let mut c = server.connect();
    let mut bytes = Vec::new();
    for i in 0..5000 {
        bytes.extend_from_slice(
            format!("*3\r\n$3\r\nSET\r\n$4\r\nk{i:03}\r\n$4\r\n{i:04}\r\n", i = i % 1000).as_bytes(),
        );
        bytes.extend_from_slice(format!("*2\r\n$3\r\nGET\r\n$4\r\nk{i:03}\r\n", i = i % 1000).as_bytes());
    }
    c.send(&bytes).unwrap();
    for i in 0..5000 {
        assert_eq!(c.read().unwrap().to_string(), "+OK");
        assert_eq!(c.read().unwrap().to_string(), format!("\"{:04}\"", i % 1000));
    }
}

#[test]
fn inline_commands_are_understood() {
    let server = Server::start();
    let mut c = server.connect();
    c.send(b"SET inline \"two words\"\r\nGET inline\r\n\r\nEXISTS inline\n").unwrap();
    let replies: Vec<String> = (0..3).map(|_| c.read().unwrap().to_string()).collect();
    assert_eq!(replies, ["+OK", "\"two words\"", ":1"]);
}

#[test]
fn a_key_dies_at_its_deadline() {
    let server = Server::start();
    let mut c = server.connect();
    check(&mut c, &[("SET k v PX 60", "+OK"), ("GET k", "\"v\"")]);
    std::thread::sleep(std::time::Duration::from_millis(80));
    check(&mut c, &[("GET k", "nil"), ("EXISTS k", ":0")]);
}

#[test]
fn a_key_is_watched_once_per_database_and_very_many_are_watched_at_one_go() {
    let server = Server::start();
    let (mut c, mut other) = (server.connect(), server.connect());
    check(&mut c, &[("WATCH a b a", "+OK"), ("SELECT 1", "+OK"), ("WATCH a a", "+OK"), ("SELECT 0", "+OK")]);
    let watched = |c: &mut Connection| {
        let info = c.line("CLIENT INFO").to_string();
        info.split(' ').find_map(|f| f.strip_prefix("watch=")).unwrap().to_owned()
    };
    assert_eq!(watched(&mut c), "3");
    let names: Vec<String> = (0..100_000).map(|i| format!("many{i}")).collect();
    let request: Vec<&[u8]> = std::iter::once(&b"WATCH"[..]).chain(names.iter().map(|n| n.as_bytes())).collect();
    assert_eq!(c.command(&request).unwrap().to_string(), "+OK");
    assert_eq!(watched(&mut c), "100003");
    check(&mut other, &[("SET many99999 changed", "+OK")]);
    check(&mut c, &[("MULTI", "+OK"), ("PING", "+QUEUED"), ("EXEC", "nil")]);
    assert_eq!(watched(&mut c), "0");
}

#[test]
fn workers_that_wait_for_the_same_fifty_queues_are_served_in_their_order() {
    let server = Server::start();
    let mut pusher = server.connect();
    let queues: Vec<String> = (0..50).map(|i| format!("queue{i}")).collect();
    let wait = format!("BLPOP {} 0\r\n", queues.join(" "));
    let mut workers: Vec<Connection> = (0..200).map(|_| server.connect()).collect();
    for (n, w) in workers.iter_mut().enumerate() {
        w.send(wait.as_bytes()).unwrap();
        eventually("it waits", Duration::from_secs(20), || {
            pusher.line("INFO clients").to_string().contains(&format!("blocked_clients:{}\r", n + 1))
        });
    }
    for n in 0..workers.len() {
        assert_eq!(pusher.line(&format!("RPUSH {} job{n}", queues[n % queues.len()])).to_string(), ":1");
    }
    for (n, w) in workers.iter_mut().enumerate() {
        assert_eq!(w.read().unwrap().to_string(), format!("[\"{}\" \"job{n}\"]", queues[n % queues.len()]));
    }
    // A push for two serves two, and leaves the others waiting.
    for w in &mut workers[..3] {
        w.send(wait.as_bytes()).unwrap();
    }
    eventually("three wait", Duration::from_secs(20), || {
        pusher.line("INFO clients").to_string().contains("blocked_clients:3\r")
    });
    check(
        &mut pusher,
        &[("RPUSH queue7 a b", ":2"), ("EXISTS queue7", ":0"), ("RPUSH queue9 c", ":1"), ("EXISTS queue9", ":0")],
    );
}

#[test]
fn who_waits_for_several_keys_is_served_from_the_one_that_has_something_whatever_has_become_of_the_others() {
    let server = Server::plain(&[]);
    let (mut c, mut holder) = (server.connect_plain(), server.connect_plain());
    check(&mut c, &[("XGROUP CREATE stream g $ MKSTREAM", "+OK"), ("XGROUP CREATE other g $ MKSTREAM", "+OK")]);
    let waits = [
        ("BLPOP held list 0", "RPUSH list a", "[\"list\" \"a\"]"),
        ("BRPOP held list 0", "RPUSH list b", "[\"list\" \"b\"]"),
        ("BLMPOP 0 2 held list LEFT COUNT 2", "RPUSH list c d", "[\"list\" [\"c\" \"d\"]]"),
        ("BZPOPMIN held zset 0", "ZADD zset 1 a", "[\"zset\" \"a\" \"1\"]"),
        ("BZPOPMAX held zset 0", "ZADD zset 2 b", "[\"zset\" \"b\" \"2\"]"),
        ("BZMPOP 0 2 held zset MAX", "ZADD zset 3 c", "[\"zset\" [[\"c\" \"3\"]]]"),
        ("XREAD BLOCK 0 STREAMS held stream $ $", "XADD stream 1-1 f v", "[[\"stream\" [[\"1-1\" [\"f\" \"v\"]]]]]"),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS other stream > >",
            "XADD stream 2-1 f v",
            "[[\"stream\" [[\"2-1\" [\"f\" \"v\"]]]]]",
        ),
    ];
    for (wait, change, want) in waits {
        if wait.starts_with("XREADGROUP") {
            // What was there already would be read before anybody waits.
            check(&mut c, &[("XGROUP SETID stream g $", "+OK")]);
        }
        let mut waiter = server.connect_plain();
        waiter.send(format!("{wait}\r\n").as_bytes()).unwrap();
        eventually("it waits", Duration::from_secs(20), || {
            c.line("INFO clients").to_string().contains("blocked_clients:1\r")
        });
        check(&mut holder, &[("SET held text", "+OK")]);
        assert!(!c.line(change).to_string().starts_with('-'), "{change}");
        assert_eq!(waiter.read().unwrap().to_string(), want, "{wait}");
        check(&mut holder, &[("DEL held", ":1")]);
    }
}

#[test]
fn what_one_step_brings_goes_to_the_first_of_a_waiters_keys_and_to_the_waiters_in_their_order() {
    let server = Server::start();
    let mut c = server.connect();
    let mut waiters: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
    let calls = ["BLPOP a b 0\r\n", "BLMOVE b moved LEFT LEFT 0\r\n", "BLPOP moved b a 0\r\n"];
    for (n, (w, call)) in waiters.iter_mut().zip(calls).enumerate() {
        w.send(call.as_bytes()).unwrap();
        eventually("it waits", Duration::from_secs(20), || {
            c.line("INFO clients").to_string().contains(&format!("blocked_clients:{}\r", n + 1))
        });
    }
    check(&mut c, &[("MULTI", "+OK"), ("RPUSH b 1", "+QUEUED"), ("RPUSH a 2", "+QUEUED"), ("EXEC", "[:1 :1]")]);
    let got: Vec<String> = waiters.iter_mut().map(|w| w.read().unwrap().to_string()).collect();
    assert_eq!(got, ["[\"a\" \"2\"]", "\"1\"", "[\"moved\" \"1\"]"]);
    check(&mut c, &[("EXISTS a b moved", ":0")]);
}

#[test]
fn refusals_of_odd_calls_have_the_words_clients_know() {
    let server = Server::start();
    let mut c = server.connect();
    for (words, want) in [
        (
            &["EXEC", "x"][..],
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
        ),
        (&["MULTI"], "+OK"),
        (&["EXEC", "x"], "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"),
        (&["EXEC"], "-ERR EXEC without MULTI"),
        (&["CLIENT", "IMPORT-SOURCE", "foo"], "-ERR Server is not in import mode"),
        (&["CLIENT", "IMPORT-SOURCE", "OFF"], "+OK"),
        (&["CLIENT", "UNBLOCK", "abc", "foo"], "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        (&["CLIENT", "UNBLOCK", "abc", "foo", "x"], "-ERR value is not an integer or out of range"),
        (&["WAITAOF", "0", "abc", "0"], "-ERR value is out of range, must be positive"),
        (&["ACL", "SETUSER", "nu", ""], "+OK"),
        (
            &["CLIENT", "SETINFO", "LIB-Name", "a b"],
            "-ERR LIB-Name cannot contain spaces, newlines or special characters.",
        ),
        (&["SET", "one", "a"], "+OK"),
        (&["BITPOS", "one", "0", "-2", "-4"], ":0"),
        (&["BITCOUNT", "one", "-2", "-4"], ":0"),
    ] {
        let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
        assert_eq!(c.command(&words).expect("an answer").to_string(), want, "{words:?}");
    }
    // The reply left out may be that of RESET.
    c.send(b"CLIENT REPLY SKIP\r\nRESET\r\n").expect("sent");
    assert_eq!(c.line("ECHO after").to_string(), "\"after\"");
    // Names that are no text come back as they were sent, up to a zero.
    c.send(b"*2\r\n$3\r\na\xffb\r\n$3\r\n\xfe\0x\r\n*2\r\n$6\r\nclient\r\n$2\r\n\xff\0\r\n*1\r\n$4\r\nQUIT\r\n")
        .expect("sent");
    let answer = c.rest().expect("an answer");
    assert_eq!(
        answer.escape_ascii().to_string(),
        r"-ERR unknown command \'a\xffb\', with args beginning with: \'\xfe\' \r\n-ERR unknown subcommand \'\xff\'. Try CLIENT HELP.\r\n+OK\r\n"
    );
}
