//! MONITOR, and clients that together hold too much memory.

use crate::support::{Connection, Server};

#[test]
fn monitors_see_commands_of_all_workers_in_order_and_no_secret() {
    let server = Server::start();
    let (mut monitor, mut a, mut b) = (server.connect(), server.connect(), server.connect());
    assert_eq!(monitor.line("MONITOR").to_string(), "+OK");
    for i in 0..50 {
        a.line(&format!("SET k {i}"));
        b.line("INCR k");
    }
    a.line("AUTH default secret");
    a.line("CONFIG GET maxmemory");
    a.line("GET");
    a.line("MULTI");
    a.line("SET k \u{e9}");
    a.line("EXEC");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|l: &String| !l.ends_with("\"EXEC\"")) {
        let line = monitor.read().unwrap().to_string();
        seen.push(line.split_once("] ").unwrap().1.to_owned());
    }
    let mut want: Vec<String> =
        (0..50).flat_map(|i| [format!("\"SET\" \"k\" \"{i}\""), "\"INCR\" \"k\"".to_owned()]).collect();
    want.extend(
        ["\"AUTH\" \"(redacted)\" \"(redacted)\"", "\"MULTI\"", "\"SET\" \"k\" \"\\xc3\\xa9\"", "\"EXEC\""]
            .map(String::from),
    );
    assert_eq!(seen, want);
    assert!(monitor.line("GET k").to_string().starts_with("-ERR Replica can't interact"));
    monitor.line("RESET");
    b.line("PING");
    assert_eq!(monitor.line("PING").to_string(), "+PONG");
}

#[test]
fn renamed_commands_keep_their_secrets_from_monitors_and_the_slow_log() {
    let mut words = vec!["--slowlog-log-slower-than", "0"];
    for [from, to] in [["AUTH", "LETMEIN"], ["ACL", "PEOPLE"], ["HELLO", "GREET"], ["CONFIG", "SETTINGS"]] {
        words.extend(["--rename-command", from, to]);
    }
    let server = Server::with(&words);
    let (mut monitor, mut c) = (server.connect(), server.connect());
    assert_eq!(monitor.line("MONITOR").to_string(), "+OK");
    assert!(c.line("AUTH default s3cret").to_string().starts_with("-ERR unknown command"));
    assert_eq!(c.line("PEOPLE SETUSER bob on >s3cret +@all ~*").to_string(), "+OK");
    assert_eq!(c.line("LETMEIN bob s3cret").to_string(), "+OK");
    assert!(c.line("GREET 2 AUTH bob s3cret").to_string().contains("version"));
    assert_eq!(c.line("SETTINGS SET primaryauth s3cret").to_string(), "+OK");
    let logged = c.line("SLOWLOG GET 100").to_string();
    c.line("ECHO end");
    let mut seen = String::new();
    while !seen.contains("\"end\"") {
        seen.push_str(&monitor.read().unwrap().to_string());
    }
    for shown in ["\"LETMEIN\" \"(redacted)\" \"(redacted)\"", "\"GREET\" \"2\" \"AUTH\" \"(redacted)\" \"(redacted)\""]
    {
        assert!(seen.contains(shown), "no {shown} in {seen}");
    }
    for command in ["LETMEIN", "PEOPLE", "GREET", "SETTINGS"] {
        assert!(logged.contains(command), "no {command} in {logged}");
    }
    // The one that is no command here was told to nobody as one, so that nothing could be hidden of it.
    for (place, text) in [("MONITOR", &seen), ("SLOWLOG", &logged)] {
        assert!(!text.contains("s3cret"), "{place} tells the secret: {text}");
    }
}

#[test]
fn a_monitor_that_does_not_read_is_closed() {
    let server = Server::with(&["--client-output-buffer-limit", "pubsub 1mb 0 0"]);
    let (mut monitor, mut c) = (server.connect(), server.connect());
    monitor.line("MONITOR");
    let value = "x".repeat(100_000);
    let gone = (0..2000).any(|_| {
        c.line(&format!("SET k {value}"));
        !c.line("CLIENT LIST").to_string().contains("flags=O")
    });
    assert!(gone, "200 MB would wait for a reader that never comes");
}

#[test]
fn the_largest_client_goes_when_all_together_hold_too_much() {
    let server = Server::with(&["--maxmemory-clients", "3mb"]);
    let (mut spared, mut large) = (server.connect(), server.connect());
    assert_eq!(spared.line("CLIENT NO-EVICT ON").to_string(), "+OK");
    let hold = |c: &mut Connection, bytes: usize| {
        c.line("MULTI");
        assert_eq!(c.line(&format!("SET k {}", "x".repeat(bytes))).to_string(), "+QUEUED");
    };
    hold(&mut spared, 1_000_000);
    hold(&mut large, 900_000);
    let mut others: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
    others.iter_mut().for_each(|c| hold(c, 400_000));
    assert!(large.is_closed());
    for c in others.iter_mut().chain([&mut spared]) {
        assert_eq!(c.line("EXEC").to_string(), "[+OK]");
    }
    assert!(spared.line("INFO stats").to_string().contains("evicted_clients:1\r\n"));
}
