//! Bounds of the network: clients, idleness, query buffers.

use crate::support::process::{eventually, resident_bytes};
use crate::support::{Connection, Server, check};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn one_client_too_many_is_refused_and_there_is_room_again_later() {
    let server = Server::plain(&["--maxclients", "3"]);
    let mut held: Vec<Connection> = (0..3).map(|_| server.connect_plain()).collect();
    for c in &mut held {
        check(c, &[("EXISTS k", ":0")]);
    }
    let mut refused = TcpStream::connect(("127.0.0.1", server.plain_port)).unwrap();
    let mut said = String::new();
    let _ = refused.read_to_string(&mut said);
    assert_eq!(said, "-ERR max number of clients reached\r\n");
    assert!(Connection::tls(server.port, &server.ca()).is_err(), "TLS clients count as well");
    held.pop();
    eventually("the place is free again", Duration::from_secs(5), || {
        let mut c = server.connect_plain();
        c.command(&[b"EXISTS", b"k"]).is_ok_and(|v| v.to_string() == ":0")
    });
}

#[test]
fn an_idle_client_is_closed_after_its_timeout_and_a_busy_one_is_not() {
    let server = Server::with(&["--timeout", "1"]);
    let mut idle = server.connect();
    let mut busy = server.connect();
    let end = Instant::now() + Duration::from_millis(2600);
    while Instant::now() < end {
        check(&mut busy, &[("EXISTS k", ":0")]);
        std::thread::sleep(Duration::from_millis(200));
    }
    idle.set_patience(Duration::from_secs(2));
    assert!(idle.is_closed(), "still open after more than two timeouts");
    check(&mut busy, &[("EXISTS k", ":0")]);
}

#[test]
fn a_query_buffer_has_a_bound() {
    let server = Server::with(&["--client-query-buffer-limit", "1mb"]);
    let mut c = server.connect();
    let mut bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4194304\r\n".to_vec();
    bytes.resize(bytes.len() + (2 << 20), b'v');
    let _ = c.send(&bytes);
    assert!(c.is_closed());
    check(&mut server.connect(), &[("EXISTS k", ":0")]);
}

#[test]
fn a_bulk_has_a_bound() {
    let server = Server::with(&["--proto-max-bulk-len", "1mb"]);
    let mut c = server.connect();
    let value = vec![b'v'; 1 << 20];
    assert_eq!(c.command(&[b"SET", b"k", &value]).unwrap().to_string(), "+OK");
    c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n").unwrap();
    assert_eq!(c.read().unwrap().to_string(), "-ERR Protocol error: invalid bulk length");
    assert!(c.is_closed());
}

#[test]
fn a_thousand_idle_tls_connections_are_held_beside_a_busy_one() {
    const IDLE: usize = 1000;
    let server = Server::with(&["--maxclients", "2000"]);
    let mut busy = server.connect();
    check(&mut busy, &[("SET k v", "+OK")]);
    let before = resident_bytes(server.pid());
    let mut idle: Vec<Connection> = (0..IDLE).map(|_| server.connect()).collect();
    let each = resident_bytes(server.pid()).saturating_sub(before) / IDLE as u64;
    println!("{each} bytes of resident memory per idle TLS connection");
    assert!(each < 128 * 1024, "{each} bytes per idle connection");
    check(&mut busy, &[("GET k", "\"v\"")]);
    for c in idle.iter_mut().step_by(97) {
        check(c, &[("GET k", "\"v\"")]);
    }
}

#[test]
fn big_values_come_back_whole() {
    let server = Server::start();
    let mut c = server.connect();
    for size in [0, 1, 4095, 4096, 16 * 1024 + 1, 300_000, 5 << 20] {
        let value: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
        assert_eq!(c.command(&[b"SET", b"k", &value]).unwrap().to_string(), "+OK");
        let got = c.command(&[b"GET", b"k"]).unwrap();
        assert!(got == crate::support::Value::Bulk(value), "{size} bytes");
    }
}

#[test]
fn workers_come_when_io_threads_goes_up_and_no_connection_ends_when_it_comes_down() {
    let server = Server::with(&["--io-threads", "1"]);
    let mut first = server.connect();
    let threads = |c: &mut Connection| {
        let info = c.line("INFO cpu").to_string();
        info.matches("used_active_time_io_thread_").count()
    };
    assert_eq!(threads(&mut first), 0);
    assert_eq!(first.line("CONFIG SET io-threads 4").to_string(), "+OK");
    let mut others: Vec<Connection> = (0..8).map(|_| server.connect()).collect();
    for (n, c) in others.iter_mut().enumerate() {
        assert_eq!(c.line(&format!("SET k{n} {n}")).to_string(), "+OK");
    }
    assert_eq!(threads(&mut first), 3);
    assert_eq!(first.line("CONFIG SET io-threads 1").to_string(), "+OK");
    assert_eq!(threads(&mut first), 0);
    others.push(server.connect());
    for c in &mut others {
        assert_eq!(c.line("DBSIZE").to_string(), ":8");
    }
    assert!(first.line("CONFIG SET io-threads 257").to_string().starts_with("-ERR"));
    assert_eq!(first.line("CONFIG GET io-threads").to_string(), "[\"io-threads\" \"1\"]");
}

#[test]
fn what_flushall_leaves_is_on_disk_when_it_answers_if_there_are_save_points() {
    let server = Server::with(&["--save", "3600 1"]);
    let mut c = server.connect();
    assert_eq!(c.line("SET k v").to_string(), "+OK");
    let changes = |c: &mut Connection| {
        let info = c.line("INFO persistence").to_string();
        info.split_once("rdb_changes_since_last_save:").unwrap().1.split_once('\r').unwrap().0.to_owned()
    };
    assert_eq!(changes(&mut c), "1");
    assert_eq!(c.line("FLUSHALL").to_string(), "+OK");
    assert_eq!(changes(&mut c), "0");
}

#[test]
fn a_client_whose_end_comes_with_its_last_bytes_is_gone() {
    let server = Server::plain(&[]);
    // A whole request, half of one, and one behind a request that waits: the kernel tells of bytes and end in one.
    for (first, last) in
        [("PING", "*1\r\n$4\r\nPING\r\n"), ("PING", "*2\r\n$3\r\nGET\r\n$1"), ("BLPOP q 0", "PING\r\n")]
    {
        for _ in 0..60 {
            let mut stream = TcpStream::connect(("127.0.0.1", server.plain_port)).unwrap();
            stream.write_all(format!("{first}\r\n").as_bytes()).unwrap();
            if first == "PING" {
                stream.read_exact(&mut [0; 7]).unwrap();
            }
            stream.write_all(last.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut c = server.connect_plain();
        eventually(&format!("those who said {last:?} are gone"), Duration::from_secs(5), || {
            c.line("INFO clients").to_string().contains("\nconnected_clients:1\r")
        });
    }
}
