//! Sockets that listen: TCP over IPv4 and IPv6, Unix sockets. Binding needs the gate's [`Permit`].
//!
//! # Invariants
//! - A Unix socket is created under a umask-like mode from the first moment: it is bound in a state nobody else can
//!   connect to, and opened to its configured mode afterwards.
//! - An address that cannot be bound is an error which names it and the remedy, unless it is marked optional.
//!
//! It must never know who may connect, or how many: that is the accepting side's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::Permit;

/// What a line of `bind` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindAddress {
    pub address: IpAddr,
    /// Written with a `-` in front: a machine without this address starts all the same.
    pub optional: bool,
}

/// Why a socket does not listen.
#[derive(Debug)]
pub enum BindError {
    /// Not an address, and not `*`. Names are not resolved: what is bound must not depend on a resolver.
    BadAddress { text: String },
    /// Creating or setting up the TCP socket failed at `step`.
    Tcp { address: SocketAddr, step: &'static str, error: io::Error },
    /// The Unix socket could not be made.
    Unix { path: PathBuf, step: &'static str, error: io::Error },
    /// At the Unix socket's path is something else, which is not ours to remove.
    NotASocket { path: PathBuf },
    /// A server answers at the Unix socket's path.
    UnixInUse { path: PathBuf },
    /// Every address was optional, and none could be bound.
    NothingBound,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadAddress { text } => {
                write!(f, "bind: '{text}' is not an IPv4 or IPv6 address or '*'; names are not resolved")
            }
            Self::Tcp { address, step, error } => {
                write!(f, "Could not create server TCP listening socket {address}: {step}: {}", plain(error))?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        f.write_str(" (another process listens there: stop it, or set another port or bind address)")
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        f.write_str(" (this machine does not have the address: correct bind, or write '-' before it)")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str(" (ports below 1024 need CAP_NET_BIND_SERVICE)"),
                    _ => Ok(()),
                }
            }
            Self::Unix { path, step, error } => {
                write!(f, "Could not create server Unix socket {}: {step}: {}", path.display(), plain(error))
            }
            Self::NotASocket { path } => {
                write!(f, "{}: is there and is not a socket; remove it, or set another unixsocket", path.display())
            }
            Self::UnixInUse { path } => write!(
                f,
                "Could not create server Unix socket {}: Address already in use (another process listens there)",
                path.display()
            ),
            Self::NothingBound => f.write_str(
                "Failed listening on any address: every address of bind is optional and none could be bound",
            ),
        }
    }
}

impl std::error::Error for BindError {}

/// The system's words without Rust's ` (os error N)`, as logs of other servers have them.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// Reads the words of `bind`. `*` is every IPv4 address, `::*` every IPv6 one; no words at all are both, of which a machine
/// may lack either.
pub fn parse_bind(words: &[impl AsRef<str>]) -> Result<Vec<BindAddress>, BindError> {
    const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if words.is_empty() {
        return Ok(vec![
            BindAddress { address: ANY_V4, optional: true },
            BindAddress { address: ANY_V6, optional: true },
        ]);
    }
    words
        .iter()
        .map(|word| {
            let word = word.as_ref();
            let (optional, name) = match word.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, word),
            };
            let address = match name {
                "*" => ANY_V4,
                "::*" => ANY_V6,
                _ => name.parse().map_err(|_| BindError::BadAddress { text: word.to_owned() })?,
            };
            Ok(BindAddress { address, optional })
        })
        .collect()
}

/// How connections that are accepted behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOptions {
    /// Seconds of silence before the kernel asks whether the peer is alive; 0 never asks.
    pub keepalive_s: u32,
    /// Small replies leave at once.
    pub nodelay: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { keepalive_s: 300, nodelay: true }
    }
}

/// Sets a connection up, or, at a listener, all that it will accept.
pub fn configure(socket: &impl AsFd, options: SocketOptions) -> io::Result<()> {
    SockRef::from(socket).set_tcp_nodelay(options.nodelay)?;
    set_keepalive(socket, options.keepalive_s)
}

/// Asks after `seconds` of silence, then three times, a third of that apart; a dead peer is noticed after twice `seconds`.
fn set_keepalive(socket: &impl AsFd, seconds: u32) -> io::Result<()> {
    if seconds == 0 {
        return SockRef::from(socket).set_keepalive(false);
    }
    let interval = Duration::from_secs(u64::from((seconds / 3).max(1)));
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(u64::from(seconds))).with_interval(interval).with_retries(3);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

pub enum Listener {
    Tcp(TcpListener),
    Unix { socket: UnixListener, path: PathBuf },
}

/// An accepted connection, not yet a stream: the accepting side decides whether it is kept, and whether it speaks TLS.
pub enum Accepted {
    Tcp(mio::net::TcpStream, SocketAddr),
    Unix(mio::net::UnixStream),
}

/// Binds every address at `port` (0: the kernel chooses). What was skipped is in the second list, a sentence each.
pub fn bind_all(
    permit: &Permit,
    addresses: &[BindAddress],
    port: u16,
    backlog: u32,
) -> Result<(Vec<Listener>, Vec<String>), BindError> {
    let (mut bound, mut skipped) = (Vec::new(), Vec::new());
    for wanted in addresses {
        match Listener::tcp(permit, SocketAddr::new(wanted.address, port), backlog) {
            Ok(listener) => bound.push(listener),
            // A missing address is what optional means; one that is taken is a mistake either way.
            Err(error) if wanted.optional && is_absent(&error) => skipped.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    if bound.is_empty() { Err(BindError::NothingBound) } else { Ok((bound, skipped)) }
}

/// The machine has no such address or no such family.
fn is_absent(error: &BindError) -> bool {
    let BindError::Tcp { error, .. } = error else { return false };
    matches!(
        error.raw_os_error(),
        Some(
            libc::EADDRNOTAVAIL
                | libc::EAFNOSUPPORT
                | libc::EPROTONOSUPPORT
                | libc::ENOPROTOOPT
                | libc::ESOCKTNOSUPPORT
                | libc::EPFNOSUPPORT
        )
    )
}

impl Listener {
    /// Listens on one address. `backlog` is in connections; the kernel caps it at `net.core.somaxconn`.
    pub fn tcp(_: &Permit, address: SocketAddr, backlog: u32) -> Result<Self, BindError> {
        let failed = |step| move |error| BindError::Tcp { address, step, error };
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))
                .map_err(failed("socket"))?;
        if address.is_ipv6() {
            // Else `::` would take the port of 0.0.0.0 too, which has a socket of its own.
            socket.set_only_v6(true).map_err(failed("v6only"))?;
        }
        // A restart must not wait for connections of the process before it to be forgotten.
        socket.set_reuse_address(true).map_err(failed("reuseaddr"))?;
        socket.bind(&address.into()).map_err(failed("bind"))?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(failed("listen"))?;
        Ok(Self::Tcp(TcpListener::from_std(socket.into())))
    }

    /// Listens at `path` with the permissions `mode` (0: what the umask leaves). A socket file that nobody answers at is
    /// removed first; the file is removed when the listener is [`Self::close`]d.
    pub fn unix(_: &Permit, path: &Path, mode: u32, group: Option<&str>, backlog: u32) -> Result<Self, BindError> {
        let failed = |step| move |error| BindError::Unix { path: path.to_owned(), step, error };
        match std::fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(BindError::NotASocket { path: path.to_owned() });
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(BindError::UnixInUse { path: path.to_owned() });
            }
            Ok(_) => std::fs::remove_file(path).map_err(failed("remove"))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("stat")(e)),
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None).map_err(failed("socket"))?;
        let address = socket2::SockAddr::unix(path).map_err(failed("path"))?;
        socket.bind(&address).map_err(failed("bind"))?;
        // Between bind and listen nobody can connect, so group and mode are in force before the first connection.
        if let Some(name) = group {
            let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no group '{name}'"));
            let group =
                nix::unistd::Group::from_name(name).map_err(io::Error::from).and_then(|g| g.ok_or_else(missing));
            let gid = group.map_err(failed("unixsocketgroup"))?.gid.as_raw();
            std::os::unix::fs::chown(path, None, Some(gid)).map_err(failed("chown"))?;
        }
        if mode != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed("chmod"))?;
        }
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(failed("listen"))?;
        let socket = UnixListener::from_std(std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket)));
        Ok(Self::Unix { socket, path: path.to_owned() })
    }

    /// The next connection, or `None` when none waits. An error other than of one connection (which is skipped) comes back:
    /// out of descriptors or memory, where the caller had better wait a little.
    pub fn accept(&self) -> io::Result<Option<Accepted>> {
        /// Connections that end before they are accepted come one after another only in an attack; the next turn goes on.
        const SKIPPED_MAX: usize = 64;
        for _ in 0..SKIPPED_MAX {
            let accepted = match self {
                Self::Tcp(socket) => socket.accept().map(|(stream, peer)| Accepted::Tcp(stream, peer)),
                Self::Unix { socket, .. } => socket.accept().map(|(stream, _)| Accepted::Unix(stream)),
            };
            match accepted {
                Ok(connection) => return Ok(Some(connection)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted || e.kind() == io::ErrorKind::ConnectionAborted => {}
                // Linux hands errors of the new connection's network out here.
                Err(e)
                    if matches!(
                        e.raw_os_error(),
                        Some(
                            libc::ENETDOWN
                                | libc::EPROTO
                                | libc::ENOPROTOOPT
                                | libc::EHOSTDOWN
                                | libc::ENONET
                                | libc::EHOSTUNREACH
                                | libc::ENETUNREACH
                                | libc::EPERM
                        )
                    ) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    /// The TCP address bound, with the port the kernel chose.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }

    /// Does something with its descriptor.
    pub(super) fn with_fd<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> R) -> R {
        match self {
            Self::Tcp(socket) => f(socket.as_fd()),
            Self::Unix { socket, .. } => f(socket.as_fd()),
        }
    }

    /// For the log: `127.0.0.1:6379`, or the path.
    pub fn describe(&self) -> String {
        match self {
            Self::Tcp(_) => self.local_address().map_or_else(|| "closed".to_owned(), |a| a.to_string()),
            Self::Unix { path, .. } => path.display().to_string(),
        }
    }

    /// Stops listening, and removes the file of a Unix socket.
    pub fn close(self) {
        if let Self::Unix { path, socket } = self {
            drop(socket);
            // Another server may have taken the path over and removed it.
            drop(std::fs::remove_file(path));
        }
    }
}

impl Source for Listener {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.register(registry, token, interests),
            Self::Unix { socket, .. } => socket.register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.reregister(registry, token, interests),
            Self::Unix { socket, .. } => socket.reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.deregister(registry),
            Self::Unix { socket, .. } => socket.deregister(registry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit() -> Permit {
        Permit::after_the_gate()
    }

    fn local(port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
    }

    #[test]
    fn bind_words_are_addresses_stars_and_optional_ones() {
        let all = parse_bind(&["127.0.0.1", "-::1", "*", "-::*"]).unwrap();
        let text: Vec<String> =
            all.iter().map(|a| format!("{}{}", if a.optional { "-" } else { "" }, a.address)).collect();
        assert_eq!(text, ["127.0.0.1", "-::1", "0.0.0.0", "-::"]);
        assert_eq!(parse_bind(&[] as &[&str]).unwrap().len(), 2);
        for bad in ["localhost", "1.2.3", "", "-", "1.2.3.4:5"] {
            assert!(matches!(parse_bind(&[bad]), Err(BindError::BadAddress { .. })), "{bad}");
        }
    }

    #[test]
    fn a_taken_address_is_an_error_that_names_it_and_the_remedy() {
        let first = Listener::tcp(&permit(), local(0), 16).unwrap();
        let port = first.local_address().unwrap().port();
        let error = Listener::tcp(&permit(), local(port), 16).err().unwrap().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}: bind: Address already in use (another")), "{error}");
        // Optional does not excuse it.
        let wanted = BindAddress { address: local(0).ip(), optional: true };
        assert!(bind_all(&permit(), &[wanted], port, 16).is_err());
    }

    #[test]
    fn an_absent_address_is_skipped_only_when_optional() {
        // Reserved for documentation, on no machine.
        let absent = BindAddress { address: "192.0.2.1".parse().unwrap(), optional: true };
        let here = BindAddress { address: local(0).ip(), optional: false };
        let (bound, skipped) = bind_all(&permit(), &[absent, here], 0, 16).unwrap();
        assert_eq!((bound.len(), skipped.len()), (1, 1));
        assert!(matches!(bind_all(&permit(), &[absent], 0, 16), Err(BindError::NothingBound)));
        let required = BindAddress { optional: false, ..absent };
        let error = bind_all(&permit(), &[required], 0, 16).err().unwrap().to_string();
        assert!(error.contains("192.0.2.1:0: bind: Cannot assign requested address"), "{error}");
    }

    #[test]
    fn connections_are_accepted_and_configured() {
        let listener = Listener::tcp(&permit(), local(0), 16).unwrap();
        assert!(listener.accept().unwrap().is_none());
        let client = std::net::TcpStream::connect(listener.local_address().unwrap()).unwrap();
        let Some(Accepted::Tcp(stream, peer)) = listener.accept().unwrap() else { panic!("nothing accepted") };
        assert_eq!(peer, client.local_addr().unwrap());
        configure(&stream, SocketOptions::default()).unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(SockRef::from(&stream).tcp_keepalive_time().unwrap(), Duration::from_secs(300));
    }

    #[test]
    fn a_unix_socket_has_its_mode_replaces_a_dead_one_and_respects_a_live_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holdfast.sock");
        let listener = Listener::unix(&permit(), &path, 0o700, None, 16).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(Listener::unix(&permit(), &path, 0, None, 16), Err(BindError::UnixInUse { .. })));
        drop(listener);
        assert!(path.exists());
        let listener = Listener::unix(&permit(), &path, 0, None, 16).unwrap();
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert!(matches!(listener.accept().unwrap(), Some(Accepted::Unix(_))));
        listener.close();
        assert!(!path.exists());

        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(Listener::unix(&permit(), &path, 0, None, 16), Err(BindError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
