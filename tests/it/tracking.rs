//! Client-side caching between connections of several workers.

use crate::support::{Connection, Server};

fn tracking(server: &Server, options: &str) -> Connection {
    let mut c = server.connect();
    c.line("HELLO 3");
    assert_eq!(c.line(&format!("CLIENT TRACKING ON {options}")).to_string(), "+OK");
    c
}

fn next(c: &mut Connection) -> String {
    c.read().expect("a notice").to_string()
}

#[test]
fn readers_are_told_once_of_every_kind_of_change() {
    let server = Server::start();
    let (mut reader, mut writer) = (tracking(&server, ""), server.connect());
    for (before, change) in [
        ("SET k 1", "SET k 2"),
        ("SET k 1", "DEL k"),
        ("SET k 1", "RENAME k other"),
        ("SET other 1", "RENAME other k"),
        ("SET k 1 PX 20", "PING"),
        ("RPUSH k a", "RPOP k"),
        ("HSET k f v", "HDEL k f"),
        ("SET k 1", "EXPIRE k 100"),
    ] {
        writer.line("DEL k");
        writer.line(before);
        reader.line("EXISTS k");
        writer.line(change);
        assert_eq!(next(&mut reader), ">[\"invalidate\" [\"k\"]]", "{change}");
    }
    reader.line("GET k");
    writer.line("FLUSHALL");
    assert_eq!(next(&mut reader), ">[\"invalidate\" nil]");
    writer.line("SET k 1");
    assert_eq!(reader.line("PING").to_string(), "+PONG", "what is not cached is not told of");
}

#[test]
fn own_changes_are_told_behind_the_reply_and_behind_a_whole_transaction() {
    let server = Server::start();
    let mut c = tracking(&server, "");
    c.line("SET a 1");
    c.line("GET a");
    c.send(b"INCR a\r\nPING\r\n").unwrap();
    assert_eq!([next(&mut c), next(&mut c), next(&mut c)], [":2", ">[\"invalidate\" [\"a\"]]", "+PONG"]);
    c.line("GET a");
    c.line("MULTI");
    c.line("INCR a");
    c.line("GET b");
    assert_eq!(c.line("EXEC").to_string(), "[:3 nil]");
    assert_eq!(next(&mut c), ">[\"invalidate\" [\"a\"]]");
}

#[test]
fn a_prefix_is_told_of_without_any_read() {
    let server = Server::start();
    let mut c = tracking(&server, "BCAST PREFIX user: PREFIX job: NOLOOP");
    let mut writer = server.connect();
    writer.line("MSET user:1 x user:2 y other z");
    let told = next(&mut c);
    assert!(told.contains("\"user:1\"") && told.contains("\"user:2\"") && !told.contains("other"), "{told}");
    c.line("SET job:1 x");
    assert_eq!(c.line("PING").to_string(), "+PONG");
    writer.line("SET job:1 y");
    assert_eq!(next(&mut c), ">[\"invalidate\" [\"job:1\"]]");
}

#[test]
fn a_connection_of_the_old_protocol_is_told_through_a_subscription() {
    let server = Server::start();
    let (mut listener, mut c, mut writer) = (server.connect(), server.connect(), server.connect());
    let id = listener.line("CLIENT ID").to_string();
    listener.line("SUBSCRIBE __redis__:invalidate");
    assert_eq!(c.line(&format!("CLIENT TRACKING ON REDIRECT {}", &id[1..])).to_string(), "+OK");
    c.line("GET k");
    writer.line("SET k v");
    assert_eq!(next(&mut listener), "[\"message\" \"__redis__:invalidate\" [\"k\"]]");
}

#[test]
fn a_full_table_tells_the_readers_of_what_it_drops() {
    let server = Server::with(&["--tracking-table-max-keys", "10"]);
    let mut c = tracking(&server, "");
    c.line("HELLO 3");
    let mut told = 0;
    for i in 0..50 {
        c.send(format!("GET k{i}\r\n").as_bytes()).unwrap();
        while next(&mut c) != "nil" {
            told += 1;
        }
    }
    c.send(b"PING\r\n").unwrap();
    while next(&mut c) != "+PONG" {
        told += 1;
    }
    assert_eq!(told, 40);
    assert!(c.line("INFO stats").to_string().contains("tracking_total_keys:10\r\n"));
}

/// Readers and writers on all workers at once: a reader's cache that heeds every notice never stays behind the server.
#[test]
fn a_cache_that_heeds_the_notices_ends_up_right() {
    let server = Server::start();
    let writers: Vec<_> = (0..3)
        .map(|w| {
            let mut c = server.connect();
            std::thread::spawn(move || {
                for i in 0..400 {
                    c.line(&format!("SET k{} {w}-{i}", (i * 7 + w) % 10));
                }
            })
        })
        .collect();
    let mut c = tracking(&server, "");
    let mut cache = std::collections::HashMap::new();
    let read = |c: &mut Connection, cache: &mut std::collections::HashMap<String, String>| loop {
        let text = c.read().unwrap().to_string();
        match text.strip_prefix(">[\"invalidate\" [\"") {
            Some(key) => cache.remove(key.trim_end_matches("\"]]")),
            None => return text,
        };
    };
    for i in 0..600 {
        let key = format!("k{}", i % 10);
        c.send(format!("GET {key}\r\n").as_bytes()).unwrap();
        let value = read(&mut c, &mut cache);
        cache.insert(key, value);
    }
    for w in writers {
        w.join().unwrap();
    }
    // All notices of changes that are done are on their way before the reply of a later command of the writer's; give them a turn.
    std::thread::sleep(std::time::Duration::from_millis(300));
    c.send(b"PING\r\n").unwrap();
    assert_eq!(read(&mut c, &mut cache), "+PONG");
    let mut plain = server.connect();
    for (key, value) in cache {
        assert_eq!(plain.line(&format!("GET {key}")).to_string(), value, "{key}");
    }
}
