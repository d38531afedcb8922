//! Publish and subscribe between connections of several workers.

use crate::support::Server;

#[test]
fn messages_reach_channels_and_patterns_of_both_versions() {
    let server = Server::start();
    let (mut two, mut three, mut publisher) = (server.connect(), server.connect(), server.connect());
    two.line("SUBSCRIBE news");
    three.line("HELLO 3");
    three.line("PSUBSCRIBE n*");
    for i in 0..100 {
        assert_eq!(publisher.line(&format!("PUBLISH news {i}")).to_string(), ":2");
    }
    for i in 0..100 {
        assert_eq!(two.read().unwrap().to_string(), format!("[\"message\" \"news\" \"{i}\"]"));
        let push = three.read().unwrap().to_string();
        assert!(push.contains(&format!("\"pmessage\" \"n*\" \"news\" \"{i}\"")), "{push}");
    }
    assert!(two.line("GET k").to_string().starts_with("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"));
    assert_eq!(three.line("GET k").to_string(), "nil");
}

#[test]
fn subscriptions_end_with_their_connection() {
    let server = Server::start();
    let mut publisher = server.connect();
    let mut gone = server.connect();
    gone.line("SUBSCRIBE c");
    assert_eq!(publisher.line("PUBSUB NUMSUB c").to_string(), "[\"c\" :1]");
    drop(gone);
    let mut left = String::new();
    for _ in 0..200 {
        left = publisher.line("PUBLISH c m").to_string();
        if left == ":0" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(left, ":0");
}

#[test]
fn events_of_commands_of_expiry_and_of_eviction_are_published() {
    let server = Server::with(&["--notify-keyspace-events", "Eg$xe"]);
    let (mut listener, mut c) = (server.connect(), server.connect());
    listener.line("PSUBSCRIBE __key*");
    c.line("SET k v PX 30");
    let mut next = || listener.read().unwrap().to_string();
    for event in ["set", "expire", "expired"] {
        assert_eq!(next(), format!("[\"pmessage\" \"__key*\" \"__keyevent@0__:{event}\" \"k\"]"));
    }
    c.line("SET big v");
    assert!(next().contains("@0__:set\" \"big\""));
    c.line("CONFIG SET maxmemory-policy allkeys-random maxmemory 1");
    c.line("GET big");
    assert!(next().contains("@0__:evicted\" \"big\""));
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_at_its_own_limit() {
    let server = Server::with(&["--client-output-buffer-limit", "pubsub 1mb 0 0"]);
    let (mut slow, mut c) = (server.connect(), server.connect());
    slow.line("SUBSCRIBE c");
    let message = "x".repeat(100_000);
    let closed = (0..2000).any(|_| c.line(&format!("PUBLISH c {message}")).to_string() == ":0");
    assert!(closed, "200 MB would wait for a reader that never comes");
}
