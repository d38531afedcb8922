//! Claims about [`Stream`](super::Stream), over loopback sockets, against rustls' own client.

use std::io::{IoSlice, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::tls::config::{self, AuthClients, ClientParameters, ServerTls, TlsParameters, Trust};
use super::tls::generate;
use super::{READ_BYTES, Scratch, Stream, StreamError};

pub(super) fn now_s() -> i64 {
    crate::base::clock::wall_ms() / 1000
}

pub(super) fn parameters(folder: &Path) -> TlsParameters {
    let made = generate::ensure(folder, "host.example", now_s()).unwrap();
    TlsParameters {
        certificate: made.paths.certificate,
        key: made.paths.key,
        ca_file: Some(made.paths.ca_certificate),
        auth_clients: AuthClients::No,
        session_caching: true,
        session_cache_size: 64,
        session_lifetime_s: 300,
        ..TlsParameters::default()
    }
}

pub(super) fn client_config(folder: &Path, identity: bool) -> Arc<ClientConfig> {
    let paths = generate::Paths::under(folder);
    config::client(
        &ClientParameters {
            trust: Trust::Roots { file: Some(paths.ca_certificate), folder: None },
            identity: identity.then_some((paths.certificate, paths.key)),
            ciphers: String::new(),
            ciphersuites: String::new(),
        },
        now_s(),
    )
    .unwrap()
}

fn tcp_pair() -> (mio::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    server.set_nodelay(true).unwrap();
    client.set_nodelay(true).unwrap();
    (mio::net::TcpStream::from_std(server), client)
}

fn tls_pair(
    server: &ServerTls,
    client: Arc<ClientConfig>,
) -> (Stream, StreamOwned<ClientConnection, std::net::TcpStream>) {
    let (a, b) = tcp_pair();
    let stream = Stream::tls(a, server.config.clone()).unwrap();
    let connection = ClientConnection::new(client, ServerName::try_from("localhost").unwrap()).unwrap();
    (stream, StreamOwned::new(connection, b))
}

/// Answers with what it receives until the peer ends; a test's stand-in for a worker.
fn echo(mut stream: Stream) -> Result<Stream, StreamError> {
    let mut scratch = Scratch::new();
    let mut data = Vec::new();
    loop {
        let progress = stream.receive(&mut scratch, &mut data)?;
        let mut sent = 0;
        while sent < data.len() {
            // In two slices, as a worker with several replies would.
            let (a, b) = data[sent..].split_at((data.len() - sent) / 2);
            match stream.send(&mut scratch, &[IoSlice::new(a), IoSlice::new(b)])? {
                0 => thread::sleep(Duration::from_micros(50)),
                n => sent += n,
            }
            stream.flush()?;
        }
        data.clear();
        if progress.eof {
            while !stream.flush()? {
                thread::sleep(Duration::from_micros(50));
            }
            stream.shutdown(&mut scratch);
            return Ok(stream);
        }
        if progress.bytes == 0 && !progress.more {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

#[test]
fn tls_echo_returns_every_byte_at_every_size() {
    let folder = tempfile::tempdir().unwrap();
    let server = config::server(&parameters(folder.path()), now_s()).unwrap();
    let (stream, mut client) = tls_pair(&server, client_config(folder.path(), false));
    let worker = thread::spawn(move || echo(stream));
    for size in [1, 2, 63, 64, 1000, 16384, 16385, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 300_000] {
        let sent: Vec<u8> = (0..size).map(|i| (i * 31 + size) as u8).collect();
        client.write_all(&sent).unwrap();
        client.flush().unwrap();
        let mut got = vec![0; size];
        client.read_exact(&mut got).unwrap();
        assert!(sent == got, "size {size}");
    }
    client.conn.send_close_notify();
    client.flush().unwrap();
    // A clean end: close_notify came back, so this is no unexpected end of file.
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    let stream = worker.join().unwrap().unwrap();
    assert_eq!(stream.buffered_bytes(), 0);
    let agreed = stream.negotiated().unwrap();
    assert_eq!((agreed.version, agreed.suite, agreed.group), ("TLSv1.3", "TLS_AES_256_GCM_SHA384", "P-256"));
    assert!(stream.peer_certificate().is_none());
}

#[test]
fn tls_12_echo_works_and_names_its_suite() {
    let folder = tempfile::tempdir().unwrap();
    let p = TlsParameters { protocols: "TLSv1.2".into(), ..parameters(folder.path()) };
    let server = config::server(&p, now_s()).unwrap();
    let (stream, mut client) = tls_pair(&server, client_config(folder.path(), false));
    let worker = thread::spawn(move || echo(stream));
    client.write_all(&[7; 100_000]).unwrap();
    let mut got = vec![0; 100_000];
    client.read_exact(&mut got).unwrap();
    assert!(got.iter().all(|b| *b == 7));
    drop(client);
    let stream = worker.join().unwrap().unwrap();
    let agreed = stream.negotiated().unwrap();
    assert_eq!((agreed.version, agreed.suite), ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"));
}

#[test]
fn ciphertext_in_pieces_of_one_byte_is_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let server = config::server(&parameters(folder.path()), now_s()).unwrap();
    let (a, mut b) = tcp_pair();
    let mut stream = Stream::tls(a, server.config).unwrap();
    let config = client_config(folder.path(), false);
    let mut client = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let (mut scratch, mut plain) = (Scratch::new(), Vec::new());
    b.set_nonblocking(true).unwrap();
    let mut requested = false;
    while plain.len() < 5000 {
        let mut out = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut out).unwrap();
        }
        for byte in out {
            b.write_all(&[byte]).unwrap();
            stream.receive(&mut scratch, &mut plain).unwrap();
        }
        stream.receive(&mut scratch, &mut plain).unwrap();
        match client.read_tls(&mut b) {
            Ok(_) => drop(client.process_new_packets().unwrap()),
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
        }
        if !client.is_handshaking() && !requested {
            client.writer().write_all(&[9; 5000]).unwrap();
            requested = true;
        }
    }
    assert_eq!(plain, vec![9; 5000]);
    assert_eq!(stream.buffered_bytes(), 0);
}

#[test]
fn a_peer_that_does_not_read_leaves_a_bounded_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let server = config::server(&parameters(folder.path()), now_s()).unwrap();
    let (mut stream, mut client) = tls_pair(&server, client_config(folder.path(), false));
    let (mut scratch, mut plain) = (Scratch::new(), Vec::new());
    let writer = thread::spawn(move || {
        client.write_all(b"x").unwrap();
        client
    });
    while plain.is_empty() {
        stream.receive(&mut scratch, &mut plain).unwrap();
    }
    let mut client = writer.join().unwrap();
    let megabyte = vec![5; 1 << 20];
    let mut taken = 0;
    while !stream.wants_write() {
        taken += stream.send(&mut scratch, &[IoSlice::new(&megabyte)]).unwrap();
    }
    assert_eq!(stream.send(&mut scratch, &[IoSlice::new(&megabyte)]).unwrap(), 0);
    assert!(stream.buffered_bytes() <= 68 * 1024, "{}", stream.buffered_bytes());
    let reader = thread::spawn(move || {
        let mut got = vec![0; taken];
        client.read_exact(&mut got).unwrap();
        got.iter().all(|b| *b == 5)
    });
    while !stream.flush().unwrap() {
        thread::sleep(Duration::from_micros(50));
    }
    assert!(reader.join().unwrap());
    assert_eq!(stream.buffered_bytes(), 0);
}

#[test]
fn garbage_instead_of_a_handshake_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = config::server(&parameters(folder.path()), now_s()).unwrap();
    for garbage in [&b"*1\r\n$4\r\nPING\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 70_000], &[22; 70_000], &[0xff; 100]]
    {
        let (a, mut b) = tcp_pair();
        let mut stream = Stream::tls(a, server.config.clone()).unwrap();
        let garbage = garbage.to_vec();
        let writer = thread::spawn(move || {
            // The server may close before it has read everything.
            drop(b.write_all(&garbage));
            b
        });
        let (mut scratch, mut plain) = (Scratch::new(), Vec::new());
        let error = loop {
            match stream.receive(&mut scratch, &mut plain) {
                Ok(progress) => assert!(progress.handshaking && !progress.eof),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StreamError::Tls(_)), "{error}");
        drop(stream);
        writer.join().unwrap();
        assert!(plain.is_empty());
    }
}

#[test]
fn a_flipped_bit_in_a_record_ends_the_connection_and_yields_no_data() {
    let folder = tempfile::tempdir().unwrap();
    let server = config::server(&parameters(folder.path()), now_s()).unwrap();
    let (a, mut b) = tcp_pair();
    let mut stream = Stream::tls(a, server.config).unwrap();
    let config = client_config(folder.path(), false);
    let mut client = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let (mut scratch, mut plain) = (Scratch::new(), Vec::new());
    b.set_nonblocking(true).unwrap();
    while client.is_handshaking() || stream.is_handshaking() {
        while client.wants_write() {
            client.write_tls(&mut b).unwrap();
        }
        stream.receive(&mut scratch, &mut plain).unwrap();
        if client.read_tls(&mut b).is_ok() {
            client.process_new_packets().unwrap();
        }
    }
    client.writer().write_all(b"hello").unwrap();
    let mut out = Vec::new();
    client.write_tls(&mut out).unwrap();
    *out.last_mut().unwrap() ^= 1;
    b.write_all(&out).unwrap();
    let error = loop {
        match stream.receive(&mut scratch, &mut plain) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StreamError::Tls(rustls::Error::DecryptError)), "{error}");
    assert!(plain.is_empty());
}

#[test]
fn client_certificate_is_demanded_verified_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let p = TlsParameters { auth_clients: AuthClients::Yes, ..parameters(folder.path()) };
    let server = config::server(&p, now_s()).unwrap();

    let (stream, mut client) = tls_pair(&server, client_config(folder.path(), true));
    let worker = thread::spawn(move || echo(stream));
    client.write_all(b"ping").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    drop(client);
    assert!(worker.join().unwrap().unwrap().peer_certificate().is_some());

    let (stream, mut client) = tls_pair(&server, client_config(folder.path(), false));
    let worker = thread::spawn(move || echo(stream).map(|_| ()));
    // The refusal reaches the client with its first answer.
    let refused = client.write_all(b"ping").and_then(|()| client.read_exact(&mut [0; 4]));
    assert!(refused.is_err());
    assert!(matches!(worker.join().unwrap(), Err(StreamError::Tls(_))));
}

#[test]
fn a_second_connection_resumes_by_ticket() {
    let folder = tempfile::tempdir().unwrap();
    for protocols in ["TLSv1.3", "TLSv1.2"] {
        let p = TlsParameters { protocols: protocols.into(), ..parameters(folder.path()) };
        let server = config::server(&p, now_s()).unwrap();
        let client = client_config(folder.path(), false);
        for (round, expected) in [(0, rustls::HandshakeKind::Full), (1, rustls::HandshakeKind::Resumed)] {
            let (stream, mut c) = tls_pair(&server, client.clone());
            let worker = thread::spawn(move || echo(stream));
            c.write_all(b"ping").unwrap();
            c.read_exact(&mut [0; 4]).unwrap();
            assert_eq!(c.conn.handshake_kind(), Some(expected), "{protocols} round {round}");
            drop(c);
            worker.join().unwrap().unwrap();
        }
    }
}

#[test]
fn nothing_is_resumed_without_a_lifetime() {
    let folder = tempfile::tempdir().unwrap();
    for protocols in ["TLSv1.3", "TLSv1.2"] {
        let p = TlsParameters { protocols: protocols.into(), session_lifetime_s: 0, ..parameters(folder.path()) };
        let server = config::server(&p, now_s()).unwrap();
        let client = client_config(folder.path(), false);
        for _ in 0..2 {
            let (stream, mut c) = tls_pair(&server, client.clone());
            let worker = thread::spawn(move || echo(stream));
            c.write_all(b"ping").unwrap();
            c.read_exact(&mut [0; 4]).unwrap();
            assert_eq!(c.conn.handshake_kind(), Some(rustls::HandshakeKind::Full), "{protocols}");
            drop(c);
            worker.join().unwrap().unwrap();
        }
    }
}

#[test]
fn plain_tcp_and_unix_streams_echo() {
    let (a, mut b) = tcp_pair();
    let worker = thread::spawn(move || echo(Stream::Tcp(a)));
    b.write_all(&[3; 200_000]).unwrap();
    let mut got = vec![0; 200_000];
    b.read_exact(&mut got).unwrap();
    drop(b);
    worker.join().unwrap().unwrap();

    let (a, mut b) = std::os::unix::net::UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    let worker = thread::spawn(move || echo(Stream::Unix(mio::net::UnixStream::from_std(a))));
    b.write_all(b"hello").unwrap();
    b.read_exact(&mut [0; 5]).unwrap();
    drop(b);
    worker.join().unwrap().unwrap();
}
