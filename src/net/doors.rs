//! The doors: all listeners of a server, watched by all of its workers; whoever is woken lets the caller in.
//!
//! # Invariants
//! - For one caller the kernel wakes one of the workers that wait (`EPOLLEXCLUSIVE`), not all of them.
//! - A door is told of for as long as callers wait there (level-triggered): a worker may leave some for its next turn, or for others,
//!   and need not ask once more to hear that nobody is left.
//! - What connections are set to is set on the listener, from which accepted sockets inherit it: no system call for each.
//! - Once [`Doors::replace`] or [`Doors::close`] returns, the listeners that were there are closed.
//!
//! It must never know how many may come in, or which worker serves whom.

use super::listener::{self, Accepted, Listener, SocketOptions};
use super::stream::written;
use super::{Stream, StreamError};
use crate::base::process;
use mio::{Registry, Token};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use parking_lot::RwLock;
use rustls::ServerConfig;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Tokens of doors begin here; a worker's own stay below.
const TOKENS_FROM: usize = 1 << 62;

/// A TLS client speaks first: until it does, the kernel keeps it, and no worker wakes up twice for it. One that is silent for this long
/// comes in all the same, so that it counts, and has its time for the handshake.
const SILENT_S: u8 = 1;

/// What is spoken behind a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Tls,
    Unix,
}

/// Somebody at a door, not let in yet.
pub struct Caller {
    kind: Kind,
    socket: Accepted,
    local: Option<String>,
}

/// A connection that is let in.
pub struct Arrival {
    pub stream: Stream,
    /// Most likely he has said something already.
    pub spoke: bool,
    /// The ends' names, as [`Stream::peer_address`] and [`Stream::local_address`] say them.
    pub peer: String,
    pub local: String,
}

/// See the module.
#[derive(Default)]
pub struct Doors {
    state: RwLock<State>,
    /// What new TLS connections are given.
    tls: RwLock<Option<Arc<ServerConfig>>>,
}

#[derive(Default)]
struct State {
    doors: Vec<Door>,
    watchers: Vec<Epoll>,
    next: usize,
    options: SocketOptions,
}

struct Door {
    kind: Kind,
    token: Token,
    listener: Listener,
    /// The address all its connections have on this side; `None` if it listens on several.
    local: Option<String>,
}

impl Doors {
    pub fn new(options: SocketOptions, tls: Option<Arc<ServerConfig>>) -> Doors {
        Doors { state: RwLock::new(State { options, ..State::default() }), tls: RwLock::new(tls) }
    }

    /// Whether an event is a door's.
    pub fn is_door(token: Token) -> bool {
        token.0 >= TOKENS_FROM
    }

    /// Tells a worker's poll of callers from now on, at the doors there are and at those to come. Returns the worker's number here.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(&self, registry: &Registry) -> io::Result<usize> {
        let epoll = Epoll(registry.as_fd().try_clone_to_owned()?);
        let mut state = self.state.write();
        for door in &state.doors {
            door.tell(&epoll)?;
        }
        state.watchers.push(epoll);
        Ok(state.watchers.len() - 1)
    }

    /// Tells a worker of no more callers until it [`Self::resume`]s: it could not let them in, and would be told again at once.
    pub fn rest(&self, watcher: usize) {
        let state = self.state.read();
        for door in &state.doors {
            // Gone, or resting already.
            let _ = door.listener.with_fd(|fd| state.watchers[watcher].delete(fd));
        }
    }

    /// Ends a rest.
    pub fn resume(&self, watcher: usize) {
        let state = self.state.read();
        for door in &state.doors {
            match door.tell(&state.watchers[watcher]) {
                Err(e) if e.raw_os_error() != Some(libc::EEXIST) => {
                    tracing::warn!("{} cannot be watched: {e}", door.listener.describe());
                }
                _ => {}
            }
        }
    }

    /// Puts other listeners of a kind in the place of those there are.
    pub fn replace(&self, kind: Kind, listeners: Vec<Listener>) {
        let mut state = self.state.write();
        let (old, kept) = std::mem::take(&mut state.doors).into_iter().partition(|d| d.kind == kind);
        state.doors = kept;
        state.shut(old);
        for listener in listeners {
            state.open(kind, listener);
        }
    }

    /// Closes all doors.
    pub fn close(&self) {
        let mut state = self.state.write();
        let all = std::mem::take(&mut state.doors);
        state.shut(all);
    }

    /// Sets what connections are set to that come from now on.
    pub fn set_options(&self, options: SocketOptions) {
        let mut state = self.state.write();
        state.options = options;
        for door in &state.doors {
            door.set(options);
        }
    }

    pub fn has_tls(&self) -> bool {
        self.tls.read().is_some()
    }

    /// Sets what TLS connections are given that come from now on.
    pub fn set_tls(&self, config: Arc<ServerConfig>) {
        *self.tls.write() = Some(config);
    }

    /// The next caller at a door; `None` if there is none.
    ///
    /// # Errors
    /// Descriptors or memory are short.
    pub fn next(&self, token: Token) -> io::Result<Option<Caller>> {
        let state = self.state.read();
        let Some(door) = state.doors.iter().find(|d| d.token == token) else { return Ok(None) };
        let caller = door.listener.accept()?;
        Ok(caller.map(|socket| Caller { kind: door.kind, socket, local: door.local.clone() }))
    }

    /// Lets a caller in; `None` if there is no TLS to speak with him any more.
    ///
    /// # Errors
    /// TLS cannot begin.
    pub fn let_in(&self, caller: Caller) -> Result<Option<Arrival>, StreamError> {
        let (stream, peer) = match caller.socket {
            Accepted::Unix(s) => (Stream::Unix(s), None),
            Accepted::Tcp(s, peer) if caller.kind == Kind::Tls => {
                let Some(config) = self.tls.read().clone() else { return Ok(None) };
                (Stream::tls(s, config)?, Some(peer))
            }
            Accepted::Tcp(s, peer) => (Stream::Tcp(s), Some(peer)),
        };
        let peer = peer.map_or_else(|| stream.peer_address(), written);
        let local = caller.local.unwrap_or_else(|| stream.local_address());
        Ok(Some(Arrival { stream, spoke: caller.kind == Kind::Tls, peer, local }))
    }
}

impl State {
    fn open(&mut self, kind: Kind, listener: Listener) {
        let local = listener.local_address().filter(|a| !a.ip().is_unspecified()).map(|a| a.to_string());
        let door = Door { kind, token: Token(TOKENS_FROM + self.next), listener, local };
        self.next += 1;
        door.set(self.options);
        if kind == Kind::Tls
            && let Err(e) = door.listener.with_fd(|fd| process::defer_accept(fd, SILENT_S))
        {
            tracing::debug!("{}: connections are taken before they speak: {e}", door.listener.describe());
        }
        for epoll in &self.watchers {
            if let Err(e) = door.tell(epoll) {
                tracing::warn!("{} cannot be watched: {e}", door.listener.describe());
            }
        }
        self.doors.push(door);
    }

    fn shut(&self, doors: Vec<Door>) {
        for door in doors {
            for epoll in &self.watchers {
                // One that rests is not told of it.
                let _ = door.listener.with_fd(|fd| epoll.delete(fd));
            }
            door.listener.close();
        }
    }
}

impl Door {
    fn tell(&self, epoll: &Epoll) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE, self.token.0 as u64);
        self.listener.with_fd(|fd| epoll.add(fd, event)).map_err(|e: Errno| e.into())
    }

    fn set(&self, options: SocketOptions) {
        if let Listener::Tcp(socket) = &self.listener
            && let Err(e) = listener::configure(socket, options)
        {
            tracing::warn!("{}: its connections are not set up as asked for: {e}", self.listener.describe());
        }
    }
}

impl Caller {
    /// Sends him away with a word, where one can be said: over TLS that would take a handshake. Nobody is waited for.
    pub fn refuse(self, text: &[u8]) {
        match (self.kind, self.socket) {
            (Kind::Plain, Accepted::Tcp(mut s, _)) => drop(s.write(text)),
            (Kind::Unix, Accepted::Unix(mut s)) => drop(s.write(text)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Permit;
    use super::*;
    use mio::{Events, Poll};
    use socket2::SockRef;
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};
    use std::time::Duration;

    fn listener() -> (Listener, SocketAddr) {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let listener = Listener::tcp(&Permit::after_the_gate(), any, 16).unwrap();
        let address = listener.local_address().unwrap();
        (listener, address)
    }

    /// The doors a worker is told of.
    fn told(poll: &mut Poll) -> Vec<Token> {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
        events.iter().map(|e| e.token()).collect()
    }

    #[test]
    fn connections_inherit_what_their_door_is_set_to_and_know_their_ends() {
        let mut poll = Poll::new().unwrap();
        let doors = Doors::new(SocketOptions::default(), None);
        doors.watch(poll.registry()).unwrap();
        let (l, address) = listener();
        doors.replace(Kind::Plain, vec![l]);
        for keepalive_s in [300, 60, 0] {
            doors.set_options(SocketOptions { keepalive_s, nodelay: true });
            let client = TcpStream::connect(address).unwrap();
            let door = told(&mut poll)[0];
            assert!(Doors::is_door(door));
            let arrival = doors.let_in(doors.next(door).unwrap().unwrap()).unwrap().unwrap();
            assert_eq!(arrival.peer, client.local_addr().unwrap().to_string());
            assert_eq!(arrival.local, address.to_string());
            assert_eq!((arrival.peer, arrival.local), (arrival.stream.peer_address(), arrival.stream.local_address()));
            let socket = SockRef::from(&arrival.stream);
            assert!(socket.tcp_nodelay().unwrap());
            assert_eq!(socket.keepalive().unwrap(), keepalive_s > 0);
            if keepalive_s > 0 {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(keepalive_s.into()));
            }
        }
    }

    #[test]
    fn a_caller_who_waits_is_told_of_until_somebody_lets_him_in() {
        let (mut first, mut second) = (Poll::new().unwrap(), Poll::new().unwrap());
        let doors = Doors::default();
        doors.watch(first.registry()).unwrap();
        let (l, address) = listener();
        doors.replace(Kind::Plain, vec![l]);
        let _client = TcpStream::connect(address).unwrap();
        let door = told(&mut first)[0];
        assert_eq!(told(&mut first), [door]);
        doors.watch(second.registry()).unwrap();
        assert_eq!(told(&mut second), [door]);
        assert!(doors.next(door).unwrap().is_some());
        assert!(told(&mut first).is_empty() && told(&mut second).is_empty());
        assert!(doors.next(door).unwrap().is_none());
    }

    #[test]
    fn a_worker_that_rests_is_not_told_of_callers() {
        let mut poll = Poll::new().unwrap();
        let doors = Doors::default();
        let watcher = doors.watch(poll.registry()).unwrap();
        let (l, address) = listener();
        doors.replace(Kind::Plain, vec![l]);
        let _client = TcpStream::connect(address).unwrap();
        doors.rest(watcher);
        assert!(told(&mut poll).is_empty());
        doors.resume(watcher);
        doors.resume(watcher);
        assert_eq!(told(&mut poll).len(), 1);
    }

    #[test]
    fn a_door_is_closed_when_it_has_been_replaced() {
        let mut poll = Poll::new().unwrap();
        let doors = Doors::default();
        doors.watch(poll.registry()).unwrap();
        let (l, address) = listener();
        doors.replace(Kind::Plain, vec![l]);
        let _client = TcpStream::connect(address).unwrap();
        let door = told(&mut poll)[0];
        let (other, elsewhere) = listener();
        doors.replace(Kind::Plain, vec![other]);
        assert!(doors.next(door).unwrap().is_none());
        assert!(TcpStream::connect(address).is_err());
        let _client = TcpStream::connect(elsewhere).unwrap();
        assert_ne!(told(&mut poll), [door]);
        doors.close();
        assert!(TcpStream::connect(elsewhere).is_err());
    }
}
