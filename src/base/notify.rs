//! Messages to the service manager: datagrams of `NAME=value` lines to the socket in `NOTIFY_SOCKET` (sd_notify).
//!
//! Invariant: a message that cannot be sent is no error of ours; the manager that wanted it will say so in its own time.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The variable that says where a service manager listens.
pub const SOCKET: &str = "NOTIFY_SOCKET";

/// The service manager, if one listens.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    /// It ends the service after this long without a sign of life.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Nobody to notify.
    pub fn none() -> Notifier {
        Notifier::default()
    }

    /// Whoever the environment names.
    ///
    /// # Errors
    /// `NOTIFY_SOCKET` is not set, or names no socket; told, because a unit of Type=notify would wait in vain.
    pub fn from_environment() -> io::Result<Notifier> {
        let Some(path) = std::env::var_os(SOCKET) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "NOTIFY_SOCKET is not set"));
        };
        let watchdog = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
        // For another process it is not ours to keep alive.
        let ours = watchdog("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = watchdog("WATCHDOG_USEC").filter(|us| ours && *us > 0).map(Duration::from_micros);
        Ok(Notifier { socket: Some(connect(path.as_bytes())?), watchdog })
    }

    /// Whether anybody listens.
    pub fn is_some(&self) -> bool {
        self.socket.is_some()
    }

    /// How often a sign of life is due: twice within the time after which its absence counts.
    pub fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog.map(|w| w / 2)
    }

    /// Sends lines, such as `READY=1`.
    pub fn send(&self, lines: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(lines.as_bytes());
        }
    }

    /// What the service is doing, for `systemctl status`; a line break would end the line.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }
}

fn connect(path: &[u8]) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    let address = match path {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET is neither a path nor abstract")),
    };
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_a_path_and_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("holdfast-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let at = format!("@{name}");
        for (socket, address) in [(&by_path, path.as_os_str().as_bytes()), (&by_name, at.as_bytes())] {
            let n = Notifier { socket: Some(connect(address).unwrap()), watchdog: Some(Duration::from_secs(10)) };
            n.status("two\nlines");
            let mut buffer = [0; 64];
            let got = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..got], b"STATUS=two lines");
            assert_eq!(n.watchdog_period(), Some(Duration::from_secs(5)));
        }
        assert!(connect(b"relative").is_err());
        Notifier::none().send("READY=1");
    }
}
