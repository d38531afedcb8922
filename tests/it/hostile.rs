//! Bytes nobody should send: a clear error or a closed connection, bounded memory, and a server that goes on.

use crate::support::process::{eventually, resident_bytes};
use crate::support::{Connection, Server, check};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const MB: u64 = 1 << 20;

/// Sends bytes on a fresh connection and returns all that comes back until the server closes.
#[track_caller]
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut c = server.connect();
    c.send(bytes).unwrap();
    String::from_utf8_lossy(&c.rest().unwrap_or_default()).into_owned()
}

#[test]
fn garbage_is_answered_with_the_protocol_error_and_closed() {
    let server = Server::start();
    for (bytes, says) in [
        (&b"*abc\r\n"[..], "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*3000000000\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"),
        (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$99999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"SET \"unbalanced\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ] {
        assert_eq!(answer(&server, bytes), says, "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(answer(&server, &vec![b'x'; 70_000]), "-ERR Protocol error: too big inline request\r\n");
    check(&mut server.connect(), &[("SET k v", "+OK")]);
}

#[test]
fn a_request_a_browser_could_send_ends_its_connection_before_its_body_is_read() {
    let server = Server::start();
    for head in ["POST / HTTP/1.1\r\n", "Host: a\r\n", "GET / HTTP/1.1\r\nHost: localhost:6379\r\n"] {
        let said = answer(&server, format!("{head}\r\nSET k stolen\r\n").as_bytes());
        assert!(!said.contains("+OK"), "{head}: {said}");
    }
    check(&mut server.connect(), &[("GET k", "nil")]);
    let told = server.log().matches("Possible SECURITY ATTACK detected").count();
    assert_eq!(told, 1, "a page that tries it often does not fill the log");
}

#[test]
fn promises_before_authentication_are_refused_at_once() {
    let server = Server::with(&["--requirepass", "a long enough password"]);
    for (bytes, says) in [
        (&b"*11\r\n"[..], "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        (b"*1048576\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        (b"*1\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
        (b"*2\r\n$3\r\nGET\r\n$536870912\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
    ] {
        assert_eq!(answer(&server, bytes), says, "{:?}", String::from_utf8_lossy(bytes));
    }
    let mut c = server.connect();
    check(&mut c, &[("GET k", "-NOAUTH Authentication required."), ("SET k v", "-NOAUTH Authentication required.")]);
}

#[test]
fn promises_of_half_a_gigabyte_cost_nothing_until_they_are_kept() {
    let server = Server::start();
    check(&mut server.connect(), &[("SET k v", "+OK")]);
    let before = resident_bytes(server.pid());
    let clients: Vec<Connection> = (0..50)
        .map(|_| {
            let mut c = server.connect();
            c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nonly so much").unwrap();
            c
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    assert!(grown < 64 * MB, "50 promises cost {} MB", grown / MB);
    drop(clients);
    check(&mut server.connect(), &[("GET k", "\"v\"")]);
}

#[test]
fn half_a_command_waits_and_hurts_nobody() {
    let server = Server::start();
    let mut half = server.connect();
    half.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nab").unwrap();
    let mut other = server.connect();
    check(&mut other, &[("SET k other", "+OK"), ("GET k", "\"other\"")]);
    half.send(b"cde\r\n").unwrap();
    assert_eq!(half.read().unwrap().to_string(), "+OK");
    check(&mut other, &[("GET k", "\"abcde\"")]);
}

#[test]
fn a_command_is_understood_at_every_split() {
    let server = Server::plain(&[]);
    let bytes = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nv\r\nx\r\n";
    for at in 1..bytes.len() {
        let mut s = TcpStream::connect(("127.0.0.1", server.plain_port)).unwrap();
        s.set_nodelay(true).unwrap();
        s.write_all(&bytes[..at]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        s.write_all(&bytes[at..]).unwrap();
        let mut reply = [0; 5];
        s.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"+OK\r\n", "split at {at}");
    }
}

#[test]
fn plaintext_on_the_tls_port_is_closed_and_serves_nothing() {
    let server = Server::start();
    let mut s = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    s.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = s.read_to_end(&mut rest);
    assert!(rest.is_empty(), "no alert, which would look like an answer: {}", rest.escape_ascii());
    check(&mut server.connect(), &[("SET k v", "+OK")]);
}

#[test]
fn half_open_handshakes_do_not_keep_others_out() {
    let server = Server::start();
    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(("127.0.0.1", server.port)).unwrap()).collect();
    let mut broken: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(("127.0.0.1", server.port)).unwrap()).collect();
    for s in &mut broken {
        // The beginning of a ClientHello, and then nothing.
        let _ = s.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]);
    }
    check(&mut server.connect(), &[("SET k v", "+OK"), ("GET k", "\"v\"")]);
    drop((silent, broken));
}

#[test]
fn an_output_limit_below_the_size_of_a_reply_cuts_who_does_not_read_and_nobody_else() {
    let server = Server::with(&["--client-output-buffer-limit", "normal 1 0 0"]);
    let mut c = server.connect();
    let value = vec![b'v'; 10_000];
    assert_eq!(c.command(&[b"SET", b"k", &value]).unwrap().to_string(), "+OK");
    for _ in 0..10 {
        assert_eq!(c.line("GET k").to_string().len(), value.len() + 2);
    }
    let mut greedy = server.connect();
    greedy.set_patience(Duration::from_secs(5));
    let _ = greedy.send(&b"GET k\r\n".repeat(4));
    eventually("the greedy client is cut", Duration::from_secs(20), || server.log().contains("output buffer limits"));
    assert!(greedy.is_closed());
    check(&mut c, &[("EXISTS k", ":1")]);
    // Above it the limit is what it says.
    let limit: [&[u8]; 4] = [b"CONFIG", b"SET", b"client-output-buffer-limit", b"normal 100000 0 0"];
    assert_eq!(c.command(&limit).unwrap().to_string(), "+OK");
    let value = vec![b'v'; 101_000];
    assert_eq!(c.command(&[b"SET", b"k", &value]).unwrap().to_string(), "+OK");
    let _ = c.send(b"GET k\r\n");
    assert!(c.is_closed());
}

#[test]
fn a_client_that_does_not_read_is_cut_at_its_output_limit() {
    let server = Server::with(&["--client-output-buffer-limit", "normal 8mb 0 0"]);
    let mut c = server.connect();
    let value = vec![b'v'; MB as usize];
    assert_eq!(c.command(&[b"SET", b"big", &value]).unwrap().to_string(), "+OK");
    let before = resident_bytes(server.pid());
    let mut greedy = server.connect();
    greedy.set_patience(Duration::from_secs(5));
    let requests = b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n".repeat(400);
    let _ = greedy.send(&requests);
    let mut peak = 0;
    eventually("the greedy client is cut", Duration::from_secs(20), || {
        peak = peak.max(resident_bytes(server.pid()));
        server.log().contains("output buffer limits")
    });
    assert!(peak.saturating_sub(before) < 64 * MB, "it cost {} MB", (peak - before) / MB);
    assert!(greedy.is_closed());
    check(&mut c, &[("EXISTS big", ":1")]);
}
