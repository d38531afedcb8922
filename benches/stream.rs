//! The stream alone: echo through it over loopback, raw and TLS, at the sizes a pipeline makes; handshakes; and the memory
//! of an idle TLS connection, which is printed first.
//!
//! Peer and stream run in one thread, in turns, so that the figures are of work and not of waking up.

#![expect(clippy::disallowed_methods, reason = "a bench stands outside the server")]

use std::hint::black_box;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast::net::tls::config::{self, AuthClients, ClientParameters, ServerTls, TlsParameters, Trust};
use holdfast::net::tls::generate;
use holdfast::net::{Scratch, Stream};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

struct Lab {
    server: ServerTls,
    client: Arc<ClientConfig>,
    listener: TcpListener,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let made = generate::ensure(folder.path(), "", now_s).unwrap();
        let parameters = TlsParameters {
            certificate: made.paths.certificate,
            key: made.paths.key,
            auth_clients: AuthClients::No,
            session_caching: true,
            session_cache_size: 20 * 1024,
            ..TlsParameters::default()
        };
        let server = config::server(&parameters, now_s).unwrap();
        let client = config::client(
            &ClientParameters {
                trust: Trust::Roots { file: Some(made.paths.ca_certificate), folder: None },
                identity: None,
                ciphers: String::new(),
                ciphersuites: String::new(),
            },
            now_s,
        )
        .unwrap();
        Self { server, client, listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn sockets(&self) -> (mio::net::TcpStream, TcpStream) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_nonblocking(true).unwrap();
        let (server, _) = self.listener.accept().unwrap();
        server.set_nodelay(true).unwrap();
        server.set_nonblocking(true).unwrap();
        (mio::net::TcpStream::from_std(server), client)
    }

    /// A connection whose handshake is over, resumed or not as `client` remembers.
    fn connect(&self, client: &Arc<ClientConfig>, scratch: &mut Scratch) -> (Stream, ClientConnection, TcpStream) {
        let (server, mut socket) = self.sockets();
        let mut stream = Stream::tls(server, self.server.config.clone()).unwrap();
        let mut peer = ClientConnection::new(client.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut plain = Vec::new();
        while peer.is_handshaking() || stream.is_handshaking() {
            while peer.wants_write() {
                peer.write_tls(&mut socket).unwrap();
            }
            stream.receive(scratch, &mut plain).unwrap();
            if peer.read_tls(&mut socket).is_ok() {
                peer.process_new_packets().unwrap();
            }
        }
        // The ticket.
        if peer.read_tls(&mut socket).is_ok() {
            peer.process_new_packets().unwrap();
        }
        (stream, peer, socket)
    }

    /// The same client without memory of sessions.
    fn forgetful(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.client);
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }
}

fn allocated_bytes() -> usize {
    tikv_jemalloc_ctl::epoch::advance().unwrap();
    tikv_jemalloc_ctl::stats::allocated::read().unwrap()
}

fn idle_memory(lab: &Lab) {
    const CONNECTIONS: usize = 400;
    let mut scratch = Scratch::new();
    let client = lab.forgetful();
    let (mut streams, peers): (Vec<_>, Vec<_>) = (0..CONNECTIONS)
        .map(|_| {
            let (stream, peer, socket) = lab.connect(&client, &mut scratch);
            (stream, (peer, socket))
        })
        .unzip();
    let with = allocated_bytes();
    streams.clear();
    let without = allocated_bytes();
    drop(peers);
    println!("idle TLS 1.3 connection: {} bytes of heap", (with - without) / CONNECTIONS);
}

fn stream(c: &mut Criterion) {
    let lab = Lab::new();
    idle_memory(&lab);
    let mut scratch = Scratch::new();
    let mut plain = Vec::new();

    let mut group = c.benchmark_group("echo");
    for size in [40, 640, 2560, 16 * 1024, 64 * 1024] {
        let request = vec![b'x'; size];
        group.throughput(Throughput::Bytes(2 * size as u64));

        let (server, mut socket) = lab.sockets();
        let mut stream = Stream::Tcp(server);
        let mut got = vec![0; size];
        group.bench_function(BenchmarkId::new("tcp", size), |b| {
            b.iter(|| {
                let (mut written, mut read) = (0, 0);
                while read < size {
                    written += socket.write(&request[written..]).unwrap_or(0);
                    stream.receive(&mut scratch, &mut plain).unwrap();
                    let sent = stream.send(&mut scratch, &[IoSlice::new(&plain)]).unwrap();
                    plain.drain(..sent);
                    read += socket.read(&mut got).unwrap_or(0);
                }
            });
        });

        // The client's half of the cryptography is in the figure too, as it is on a machine that runs both.
        let (mut stream, mut peer, mut socket) = lab.connect(&lab.forgetful(), &mut scratch);
        group.bench_function(BenchmarkId::new("tls", size), |b| {
            b.iter(|| {
                peer.writer().write_all(&request).unwrap();
                let mut read = 0;
                while read < size {
                    while peer.wants_write() && peer.write_tls(&mut socket).is_ok() {}
                    stream.receive(&mut scratch, &mut plain).unwrap();
                    stream.flush().unwrap();
                    let sent = stream.send(&mut scratch, &[IoSlice::new(&plain)]).unwrap();
                    plain.drain(..sent);
                    while peer.read_tls(&mut socket).is_ok() {
                        peer.process_new_packets().unwrap();
                        while let Ok(n) = peer.reader().read(&mut got) {
                            read += n;
                        }
                    }
                }
                black_box(&got);
            });
        });
    }
    group.finish();

    let mut group = c.benchmark_group("handshake, both sides");
    let forgetful = lab.forgetful();
    group.bench_function("new", |b| b.iter(|| lab.connect(&forgetful, &mut scratch)));
    group.bench_function("resumed", |b| b.iter(|| lab.connect(&lab.client, &mut scratch)));
    group.finish();
}

criterion_group!(benches, stream);
criterion_main!(benches);
