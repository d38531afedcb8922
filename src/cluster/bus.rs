//! The thread of the cluster bus: its listeners, its connections and its clock. It knows bytes and when they come; what they mean the
//! [`Machine`](super::machine::Machine) decides.
//!
//! # Invariants
//! * A connection holds one message that has not come whole, of a length that was checked before a byte of it was kept, and grows with what
//!   comes, not with what is announced.
//! * Whoever has not shown a certificate that is believed (where the bus is TLS) has not been read a byte from; whoever has not proved to be a
//!   node may send small messages only, and there are at most [`STRANGERS_MAX`] of his kind.
//! * An order to send comes out of the machine after its file is on disk; the thread has no way to send anything else.

use super::machine::tick::TICK_MS;
use super::machine::{Effect, Heard, Output};
use super::node::LinkId;
use super::wire::{self, MESSAGE_BYTES_MAX, STRANGER_BYTES_MAX};
use super::{Cluster, Host};
use crate::base::clock;
use crate::config::Config;
use crate::config::types::AllowPlaintext;
use crate::keyspace::Plan;
use crate::net::duplex::{self, Duplex};
use crate::net::listener::{Accepted, Listener};
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ClientConfig;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const WAKER: Token = Token(0);
/// Listeners have the tokens from here on, connections those from `CONNECTIONS` on.
const LISTENERS: usize = 1;
const CONNECTIONS: usize = 1 << 16;
/// Connections that have not proved to be a node's: as many nodes may join at once.
const STRANGERS_MAX: usize = 256;
/// What a connection may take to finish TLS, at least.
const HANDSHAKE_MS_MIN: u64 = 1000;
/// How long files of certificates are believed to be unchanged.
const TLS_MS: u64 = 5000;
/// A buffer that a large message has made is not kept.
const KEPT_BYTES_MAX: usize = 64 << 10;
/// The status of a process that a panic ended.
const PANICKED: i32 = 70;
/// Reads of one connection before the others are looked at.
const READS_MAX: usize = 16;

struct Connection {
    link: LinkId,
    stream: Duplex,
    inbound: bool,
    /// Ours, and not established yet.
    connecting: bool,
    began_ms: u64,
    incoming: Vec<u8>,
    outgoing: VecDeque<Arc<[u8]>>,
    /// Bytes of the first of `outgoing` that are sent.
    sent: usize,
    queued: Arc<AtomicU64>,
    /// It may send large messages.
    proven: bool,
    /// What was read last may not have been all.
    more: bool,
}

struct Bus {
    host: Arc<dyn Host>,
    poll: Poll,
    listeners: Vec<Listener>,
    connections: HashMap<usize, Connection>,
    by_link: HashMap<LinkId, usize>,
    next_token: usize,
    next_tick_ms: u64,
    tls: Option<(u64, Arc<ClientConfig>)>,
    warned_plain: bool,
}

/// Starts the thread.
///
/// # Errors
/// There can be no thread, or nothing to wait with.
pub fn start(host: Arc<dyn Host>, mut listeners: Vec<Listener>) -> std::io::Result<()> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKER)?;
    for (i, l) in listeners.iter_mut().enumerate() {
        poll.registry().register(l, Token(LISTENERS + i), Interest::READABLE)?;
    }
    let Some(cluster) = host.cluster() else { return Ok(()) };
    let bell: super::Bell = Box::new(move || drop(waker.wake()));
    if cluster.bell.set(bell).is_err() {
        return Err(std::io::Error::other("the bus was started twice"));
    }
    std::thread::Builder::new().name("cluster-bus".into()).spawn(move || {
        let mut bus = Bus {
            host,
            poll,
            listeners,
            connections: HashMap::new(),
            by_link: HashMap::new(),
            next_token: CONNECTIONS,
            next_tick_ms: 0,
            tls: None,
            warned_plain: false,
        };
        // A node without its bus would be taken for dead, and not know it.
        if catch_unwind(AssertUnwindSafe(|| bus.run())).is_err() {
            std::process::exit(PANICKED);
        }
    })?;
    Ok(())
}

impl Bus {
    fn run(&mut self) {
        let host = Arc::clone(&self.host);
        let Some(cluster) = host.cluster() else { return };
        let mut events = Events::with_capacity(256);
        while !self.host.is_ending() {
            let now = clock::monotonic_ms();
            let more = self.connections.values().any(|c| c.more);
            let wait = if more { 0 } else { self.next_tick_ms.saturating_sub(now).min(TICK_MS) };
            if let Err(e) = self.poll.poll(&mut events, Some(Duration::from_millis(wait)))
                && e.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::warn!("The cluster bus cannot wait: {e}");
                std::thread::sleep(Duration::from_millis(TICK_MS));
            }
            self.host.stand_still();
            let mut ready: Vec<usize> = self.connections.iter().filter(|(_, c)| c.more).map(|(t, _)| *t).collect();
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(n) if n < CONNECTIONS => self.accept(cluster, n - LISTENERS),
                    Token(n) => {
                        if !ready.contains(&n) {
                            ready.push(n);
                        }
                    }
                }
            }
            for token in ready {
                self.serve(cluster, token);
            }
            let now = clock::monotonic_ms();
            if now >= self.next_tick_ms {
                self.next_tick_ms = now + TICK_MS;
                cluster.order(&*self.host, |m| m.tick());
                self.drop_slow(cluster, now);
            }
            self.outputs(cluster);
            self.effects(cluster);
        }
    }

    /// Does what the machine has decided, until it has decided nothing more.
    fn effects(&mut self, cluster: &Cluster) {
        let host = Arc::clone(&self.host);
        let waiting = cluster.look(|m| m.has_effects());
        if waiting {
            let (plain, locked) = cluster.order(&*host, |m| {
                let all = m.take_effects();
                let (locked, plain): (Vec<Effect>, Vec<Effect>) =
                    all.into_iter().partition(|e| matches!(e, Effect::Follow { .. } | Effect::Lead | Effect::Drop(_)));
                let any = !locked.is_empty();
                m.put_back(locked);
                (plain, any)
            });
            let pauses = plain.iter().any(|e| matches!(e, Effect::Pause));
            for effect in plain {
                cluster.perform_plain(&host, effect);
            }
            if locked || pauses {
                let mut space = host.keyspace().space(host.access(clock::wall_ms()));
                // A busy script keeps the locks: this is done when it is over.
                let done = space.lock_unless_busy(&Plan::All);
                if done {
                    cluster.perform(&host, &mut space);
                    space.unlock();
                    host.clean_up(&mut space);
                    host.keyspace().journal().ring();
                }
                drop(space);
                cluster.order(&*host, |m| match (pauses, done) {
                    // Whoever wrote has finished, and nobody writes any more: this is how far we are.
                    (true, true) => m.paused(),
                    (true, false) => m.put_back(vec![Effect::Pause]),
                    (false, _) => {}
                });
            }
        }
        cluster.tell_losses(&host);
        self.outputs(cluster);
    }

    fn outputs(&mut self, cluster: &Cluster) {
        loop {
            let outputs = cluster.order(&*self.host, |m| m.take_outputs());
            if outputs.is_empty() {
                return;
            }
            let mut touched = Vec::new();
            for output in outputs {
                match output {
                    Output::Dial { link, ip, port, queued } => {
                        if let Err(e) = self.dial(link, &ip, port, queued) {
                            tracing::debug!("The cluster bus cannot connect to {ip}:{port}: {e}");
                            cluster.order(&*self.host, |m| m.closed(link));
                        }
                    }
                    Output::Send { link, bytes } => {
                        let Some(token) = self.by_link.get(&link) else { continue };
                        let Some(c) = self.connections.get_mut(token) else { continue };
                        c.outgoing.push_back(bytes);
                        if touched.last() != Some(token) {
                            touched.push(*token);
                        }
                    }
                    Output::Close { link } => {
                        if let Some(token) = self.by_link.remove(&link) {
                            self.connections.remove(&token);
                        }
                    }
                }
            }
            for token in touched {
                if let Err(e) = self.flush(token) {
                    self.end(cluster, token, &e);
                }
            }
        }
    }

    fn accept(&mut self, cluster: &Cluster, listener: usize) {
        loop {
            let Some(l) = self.listeners.get(listener) else { return };
            let (socket, peer) = match l.accept() {
                Ok(Some(Accepted::Tcp(socket, peer))) => (socket, peer),
                Ok(Some(Accepted::Unix(_))) => continue,
                Ok(None) => return,
                Err(e) => {
                    tracing::warn!("Accepting a connection of the cluster bus: {e}");
                    return;
                }
            };
            let strangers = self.connections.values().filter(|c| c.inbound && !c.proven).count();
            if strangers >= STRANGERS_MAX {
                tracing::warn!(
                    "A connection of the cluster bus from {peer} is refused: {strangers} others have not proved to be nodes"
                );
                continue;
            }
            let config = self.host.config().current();
            let tls = if config.tls.cluster {
                let Some(tls) = cluster.tls.read().clone() else { continue };
                Some(tls)
            } else {
                None
            };
            let own_ip = socket.local_addr().map_or(String::new(), |a| a.ip().to_canonical().to_string());
            let _ = socket.set_nodelay(true);
            let stream = match Duplex::accepted(socket, tls) {
                Ok(stream) => stream,
                Err(e) => {
                    tracing::warn!("A connection of the cluster bus could not begin: {e}");
                    continue;
                }
            };
            let ip = peer.ip().to_canonical().to_string();
            let (link, queued) = cluster.order(&*self.host, |m| m.accepted(ip, own_ip));
            if let Err(e) = self.add(link, stream, true, queued) {
                tracing::warn!("A connection of the cluster bus could not be watched: {e}");
                cluster.order(&*self.host, |m| m.closed(link));
            }
        }
    }

    fn add(&mut self, link: LinkId, mut stream: Duplex, inbound: bool, queued: Arc<AtomicU64>) -> std::io::Result<()> {
        let token = self.next_token;
        self.next_token += 1;
        self.poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        self.by_link.insert(link, token);
        let connection = Connection {
            link,
            stream,
            inbound,
            connecting: !inbound,
            began_ms: clock::monotonic_ms(),
            incoming: Vec::new(),
            outgoing: VecDeque::new(),
            sent: 0,
            queued,
            proven: false,
            more: false,
        };
        self.connections.insert(token, connection);
        Ok(())
    }

    fn dial(&mut self, link: LinkId, ip: &str, port: u16, queued: Arc<AtomicU64>) -> Result<(), String> {
        let config = self.host.config().current();
        let ip: IpAddr = ip.parse().map_err(|_| "it has no numeric address".to_string())?;
        let tls = if config.tls.cluster { Some(self.dial_tls()?) } else { self.permit(&config, ip).map(|()| None)? };
        let from = config.network.bind_source_addr.as_deref().and_then(|a| a.parse().ok());
        let socket = duplex::connect(SocketAddr::new(ip, port), from).map_err(|e| e.to_string())?;
        let stream = Duplex::dialled(socket, tls, ip).map_err(|e| e.to_string())?;
        self.add(link, stream, false, queued).map_err(|e| e.to_string())
    }

    /// Without TLS only where plaintext is allowed: gossip decides who has the data.
    fn permit(&mut self, config: &Config, ip: IpAddr) -> Result<(), String> {
        let allowed = match config.network.allow_plaintext {
            AllowPlaintext::Yes => true,
            AllowPlaintext::Local => ip.is_loopback(),
            AllowPlaintext::No => false,
        };
        if !allowed {
            return Err(
                "a bus without TLS is not allowed there: set 'tls-cluster yes', or 'allow-plaintext yes'".into()
            );
        }
        if !std::mem::replace(&mut self.warned_plain, true) {
            tracing::warn!(
                "The cluster bus is not encrypted (tls-cluster no, allow-plaintext): whoever reaches its port is a node"
            );
        }
        Ok(())
    }

    fn dial_tls(&mut self) -> Result<Arc<ClientConfig>, String> {
        let now = clock::monotonic_ms();
        match &self.tls {
            Some((at, config)) if now.saturating_sub(*at) < TLS_MS => Ok(Arc::clone(config)),
            _ => {
                let config = self.host.dial_tls()?;
                self.tls = Some((now, Arc::clone(&config)));
                Ok(config)
            }
        }
    }

    /// A connection is ready for something.
    fn serve(&mut self, cluster: &Cluster, token: usize) {
        let outcome = self.establish(cluster, token).and_then(|stands| {
            if stands {
                self.receive(cluster, token)?;
                self.flush(token)?;
            }
            Ok(())
        });
        if let Err(why) = outcome {
            self.end(cluster, token, &why);
        }
    }

    /// True once a connection of ours stands.
    fn establish(&mut self, cluster: &Cluster, token: usize) -> Result<bool, String> {
        let Some(c) = self.connections.get_mut(&token) else { return Ok(false) };
        if !c.connecting {
            return Ok(true);
        }
        if let Ok(Some(e)) | Err(e) = c.stream.socket().take_error() {
            return Err(e.to_string());
        }
        if c.stream.socket().peer_addr().is_err() {
            return Ok(false);
        }
        // The machine's first message may be queued before TLS is done; it goes when it can.
        c.stream.flush().map_err(|e| e.to_string())?;
        c.connecting = false;
        let own_ip = c.stream.socket().local_addr().map_or(String::new(), |a| a.ip().to_canonical().to_string());
        let link = c.link;
        cluster.order(&*self.host, |m| m.connected(link, own_ip));
        Ok(true)
    }

    fn receive(&mut self, cluster: &Cluster, token: usize) -> Result<(), String> {
        for _ in 0..READS_MAX {
            let Some(c) = self.connections.get_mut(&token) else { return Ok(()) };
            let arrived = c.stream.read(&mut c.incoming).map_err(|e| e.to_string())?;
            c.more = arrived.more && !arrived.eof;
            self.messages(cluster, token)?;
            if arrived.eof {
                return Err("the peer closed the connection".into());
            }
            if !self.connections.get(&token).is_some_and(|c| c.more) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives the machine what has come whole.
    fn messages(&mut self, cluster: &Cluster, token: usize) -> Result<(), String> {
        let host = Arc::clone(&self.host);
        let Some(c) = self.connections.get_mut(&token) else { return Ok(()) };
        let mut at = 0;
        loop {
            let most = if c.proven { MESSAGE_BYTES_MAX } else { STRANGER_BYTES_MAX };
            let rest = &c.incoming[at..];
            let Some(length) = wire::length(rest, most).map_err(|e| e.to_string())? else { break };
            let Some(bytes) = rest.get(..length) else { break };
            let message = wire::parse(bytes).map_err(|e| e.to_string())?;
            at += length;
            let link = c.link;
            let (heard, proven) = cluster.order(&*host, |m| {
                let heard = m.message(link, message);
                (heard, m.links.get(&link).map(|l| l.proven))
            });
            if heard == Heard::Close {
                return Err("it is not heard any more".into());
            }
            let Some(proven) = proven else { break };
            c.proven = proven;
        }
        c.incoming.drain(..at);
        if c.incoming.is_empty() && c.incoming.capacity() > KEPT_BYTES_MAX {
            c.incoming = Vec::new();
        }
        Ok(())
    }

    fn flush(&mut self, token: usize) -> Result<(), String> {
        let Some(c) = self.connections.get_mut(&token) else { return Ok(()) };
        if c.connecting {
            return Ok(());
        }
        c.stream.flush().map_err(|e| e.to_string())?;
        while let Some(first) = c.outgoing.front() {
            let n = c.stream.write(&first[c.sent..]).map_err(|e| e.to_string())?;
            if n == 0 {
                return Ok(());
            }
            c.sent += n;
            c.queued.fetch_sub(n as u64, Ordering::Relaxed);
            if c.sent == first.len() {
                c.outgoing.pop_front();
                c.sent = 0;
            }
        }
        Ok(())
    }

    fn end(&mut self, cluster: &Cluster, token: usize, why: &str) {
        let Some(c) = self.connections.remove(&token) else { return };
        self.by_link.remove(&c.link);
        let peer = c.stream.socket().peer_addr().map_or_else(|_| "a node".to_owned(), |a| a.to_string());
        if c.connecting || why == "the peer closed the connection" {
            tracing::debug!("The connection of the cluster bus with {peer} has ended: {why}");
        } else {
            tracing::warn!("The connection of the cluster bus with {peer} is closed: {why}");
        }
        cluster.order(&*self.host, |m| m.closed(c.link));
    }

    /// Whoever does not finish TLS in time goes.
    fn drop_slow(&mut self, cluster: &Cluster, now: u64) {
        let patience = self.host.config().current().cluster.node_timeout_ms.max(HANDSHAKE_MS_MIN);
        let slow =
            |c: &Connection| (c.connecting || c.stream.is_handshaking()) && now.saturating_sub(c.began_ms) > patience;
        let late: Vec<usize> = self.connections.iter().filter(|(_, c)| slow(c)).map(|(t, _)| *t).collect();
        for token in late {
            self.end(cluster, token, "it does not finish its handshake");
        }
    }
}
