//! The thread that accepts: it spreads new connections over the workers in turn.
//!
//! Errors of one connection end that connection; a lack of descriptors or memory is waited out, so that no error on accept stops the server.

use crate::commands::Node;
use crate::config::Config;
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use crate::net::listener::{self, Accepted, BindAddress, Listener, SocketOptions};
use crate::net::{Permit, Stream};
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Tls,
    Unix,
}

/// The listeners of one kind, replaced as a whole.
pub struct Replace {
    pub kind: Kind,
    pub listeners: Vec<Listener>,
    /// Told when the old ones are closed.
    pub done: mpsc::Sender<()>,
}

/// The handle of the thread.
pub struct Acceptor {
    sender: Mutex<mpsc::Sender<Replace>>,
    waker: Waker,
    /// What new TLS connections are given.
    pub tls: RwLock<Option<Arc<ServerConfig>>>,
}

const WAKER: Token = Token(0);
/// While descriptors or memory are short.
const SHORTAGE: Duration = Duration::from_millis(50);

/// Binds what the configuration asks for at a port.
///
/// # Errors
/// A sentence with the address and the remedy.
pub fn bind(
    permit: &Permit,
    addresses: &[crate::config::types::BindAddress],
    port: u16,
    backlog: u32,
) -> Result<Vec<Listener>, String> {
    if port == 0 {
        return Ok(Vec::new());
    }
    let mut resolved = Vec::new();
    for a in addresses {
        let optional = a.optional;
        let mut add = |address: IpAddr| resolved.push(BindAddress { address, optional });
        match a.address.as_str() {
            "*" => add(Ipv4Addr::UNSPECIFIED.into()),
            "::*" => add(Ipv6Addr::UNSPECIFIED.into()),
            name => match (name.trim_matches(['[', ']']), port).to_socket_addrs() {
                Ok(found) => found.for_each(|s| add(s.ip())),
                Err(e) if optional => tracing::warn!("bind address '{name}' is not available: {e}"),
                Err(e) => return Err(format!("bind address '{name}' cannot be resolved: {e}")),
            },
        }
    }
    let (bound, skipped) = listener::bind_all(permit, &resolved, port, backlog).map_err(|e| e.to_string())?;
    for s in skipped {
        tracing::debug!("{s}");
    }
    Ok(bound)
}

impl Acceptor {
    /// Starts the thread.
    pub fn start(
        node: Arc<Node>,
        listeners: Vec<(Kind, Listener)>,
        tls: Option<Arc<ServerConfig>>,
        recorder: Recorder,
    ) -> std::io::Result<Arc<Acceptor>> {
        let poll = Poll::new()?;
        let (sender, receiver) = mpsc::channel();
        let acceptor = Arc::new(Acceptor {
            sender: Mutex::new(sender),
            waker: Waker::new(poll.registry(), WAKER)?,
            tls: RwLock::new(tls),
        });
        let handle = Arc::clone(&acceptor);
        std::thread::Builder::new().name("acceptor".into()).spawn(move || {
            let mut thread =
                Thread { node, poll, listeners: Vec::new(), next_token: 1, turn: 0, recorder, receiver, handle };
            for (kind, l) in listeners {
                thread.add(kind, l);
            }
            thread.run();
        })?;
        Ok(acceptor)
    }

    /// Replaces the listeners of one kind and waits until it is done.
    pub fn replace(&self, kind: Kind, listeners: Vec<Listener>) {
        let (done, wait) = mpsc::channel();
        // The thread ends only with the process.
        if self.sender.lock().send(Replace { kind, listeners, done }).is_ok() && self.waker.wake().is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(5));
        }
    }

    /// Wakes the thread, to see that the server ends.
    pub fn wake(&self) {
        let _ = self.waker.wake();
    }
}

struct Thread {
    node: Arc<Node>,
    poll: Poll,
    listeners: Vec<(Kind, Token, Listener)>,
    next_token: usize,
    turn: usize,
    recorder: Recorder,
    receiver: mpsc::Receiver<Replace>,
    handle: Arc<Acceptor>,
}

/// What is left at a listener.
enum Accept {
    /// Nothing; an event will tell of the next.
    Drained,
    /// There may be more, and no event will say so.
    More,
    /// Descriptors or memory are short: again in a little while.
    Short,
}

impl Thread {
    fn add(&mut self, kind: Kind, mut l: Listener) {
        let token = Token(self.next_token);
        self.next_token += 1;
        let registered = match &mut l {
            Listener::Tcp(s) => self.poll.registry().register(s, token, Interest::READABLE),
            Listener::Unix { socket, .. } => self.poll.registry().register(socket, token, Interest::READABLE),
        };
        if let Err(e) = registered {
            tracing::warn!("{} cannot be watched: {e}", l.describe());
            return;
        }
        self.listeners.push((kind, token, l));
    }

    fn run(&mut self) {
        let mut events = Events::with_capacity(64);
        let (mut again, mut short): (Vec<Token>, bool) = (Vec::new(), false);
        loop {
            let wait = match (again.is_empty(), short) {
                (true, _) => Duration::from_secs(1),
                (false, true) => SHORTAGE,
                (false, false) => Duration::ZERO,
            };
            if let Err(e) = self.poll.poll(&mut events, Some(wait))
                && e.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::warn!("Waiting for connections: {e}");
            }
            if self.node.shutdown.load(Ordering::Acquire) {
                for (_, _, l) in self.listeners.drain(..) {
                    l.close();
                }
                self.node.deaf.store(true, Ordering::Release);
                return;
            }
            while let Ok(r) = self.receiver.try_recv() {
                let (old, kept) = std::mem::take(&mut self.listeners).into_iter().partition(|(k, _, _)| *k == r.kind);
                self.listeners = kept;
                for (_, _, l) in Vec::from_iter::<Vec<(Kind, Token, Listener)>>(old) {
                    l.close();
                }
                for l in r.listeners {
                    self.add(r.kind, l);
                }
                let _ = r.done.send(());
            }
            let mut tokens: Vec<Token> = std::mem::take(&mut again);
            short = false;
            tokens.extend(events.iter().map(|e| e.token()).filter(|t| *t != WAKER));
            let config = self.node.config.current();
            for token in tokens {
                match self.accept(token, &config) {
                    Accept::Drained => {}
                    Accept::More => again.push(token),
                    Accept::Short => {
                        short = true;
                        again.push(token);
                    }
                }
            }
        }
    }

    /// Accepts what waits at a listener, `max-new-connections-per-cycle` at the most before the others are looked at.
    fn accept(&mut self, token: Token, config: &Config) -> Accept {
        for _ in 0..config.network.max_new_connections_per_cycle {
            let Some((kind, _, l)) = self.listeners.iter().find(|(_, t, _)| *t == token) else {
                return Accept::Drained;
            };
            let kind = *kind;
            match l.accept() {
                Ok(Some(accepted)) => self.place(kind, accepted, config),
                Ok(None) => return Accept::Drained,
                Err(e) => {
                    tracing::warn!("Accepting client connection: {e}");
                    return Accept::Short;
                }
            }
        }
        Accept::More
    }

    fn place(&mut self, kind: Kind, accepted: Accepted, config: &Config) {
        if !self.node.clients.admit(config.network.maxclients) {
            self.recorder.counters.add(Counter::RejectedConnections, 1);
            let text = b"-ERR max number of clients reached\r\n";
            // A courtesy that must not hold anybody up: the socket does not block. Over TLS nothing can be said yet.
            match (kind, accepted) {
                (Kind::Plain, Accepted::Tcp(mut s, _)) => drop(s.write(text)),
                (Kind::Unix, Accepted::Unix(mut s)) => drop(s.write(text)),
                _ => {}
            }
            return;
        }
        let stream = match accepted {
            Accepted::Unix(s) => Stream::Unix(s),
            Accepted::Tcp(s, _) => {
                let options = SocketOptions { keepalive_s: config.network.tcp_keepalive_secs, nodelay: true };
                if listener::configure(&s, options).is_err() {
                    return self.node.clients.release();
                }
                match kind {
                    Kind::Tls => {
                        let Some(tls) = self.handle.tls.read().clone() else { return self.node.clients.release() };
                        match Stream::tls(s, tls) {
                            Ok(s) => s,
                            Err(e) => {
                                tracing::warn!("A TLS session could not begin: {e}");
                                return self.node.clients.release();
                            }
                        }
                    }
                    _ => Stream::Tcp(s),
                }
            }
        };
        self.turn = self.turn.wrapping_add(1);
        // Workers beyond `io-threads`, from when it was larger, keep what they have and get nothing new.
        self.node.clients.attach(self.turn, config.general.io_threads as usize, Box::new(stream));
    }
}
