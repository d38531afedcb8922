//! Network: where the server listens and how connections are kept.

use std::path::PathBuf;

use crate::config::codec::{File, INT, LONG, Octal, OneOf, PORT, TEXT, YesNo, int};
use crate::config::row::{Standing, topic};
use crate::config::special::Bind;
use crate::config::types::{AllowPlaintext, BindAddress};

const RDMA: &str = "RDMA carries no TLS, so it is not offered";
const MPTCP: &str = "multipath TCP is not offered";

/// Loopback only is not the default: protected mode refuses strangers while no password is set.
pub(super) fn everywhere() -> Vec<BindAddress> {
    ["*", "::*"].map(|address| BindAddress { address: address.into(), optional: address.starts_with(':') }).to_vec()
}

topic! {
    /// Where the server listens and how connections are kept.
    Network in network, "Network";

    /// Addresses to listen on: `*` is every IPv4 address, `::*` every IPv6 one. With a `-` before it, an address that
    /// does not exist on this machine is skipped instead of stopping the start.
    "bind" => bind: Vec<BindAddress> = everywhere(), Bind, Runtime, Open, Standing::Works;
    /// Plaintext port; 0 does not listen. Anything else needs `allow-plaintext`.
    "port" => port: u16 = 0, PORT, Runtime, Open, Standing::Works;
    /// Whether bytes may cross a socket without TLS: `no` refuses `port` and `unixsocket`, `local` opens them on
    /// loopback addresses and unix sockets only, `yes` opens them everywhere. Traffic without TLS is outside what
    /// FIPS mode can promise.
    "allow-plaintext" => allow_plaintext: AllowPlaintext = AllowPlaintext::No, OneOf, Start, Open, Standing::Works;
    /// Path of a unix socket to listen on. It needs `allow-plaintext local` or `yes`.
    "unixsocket" => unixsocket: Option<PathBuf> = None, File, Start, Open, Standing::Works;
    /// Group that owns the unix socket.
    "unixsocketgroup" => unixsocketgroup: Option<String> = None, TEXT, Start, Open, Standing::Works;
    /// Octal mode of the unix socket; 0 leaves it to the umask.
    "unixsocketperm" => unixsocketperm: u32 = 0, Octal, Start, Open, Standing::Works;
    /// Refuse clients from other machines while the default user has no password.
    "protected-mode" => protected_mode: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Length of the queue of connections the kernel holds before they are accepted.
    "tcp-backlog" => tcp_backlog: u32 = 511, INT, Start, Open, Standing::Works;
    /// Seconds between keepalive probes on client connections; 0 sends none.
    "tcp-keepalive" => tcp_keepalive_secs: u32 = 300, INT, Runtime, Open, Standing::Works;
    /// Close a client that was idle for this many seconds; 0 never does.
    "timeout" => timeout_secs: u32 = 0, INT, Runtime, Open, Standing::Works;
    /// Connections a worker accepts in one turn at the most; it begins with one, and takes more where there are some in every turn.
    "max-new-connections-per-cycle" => max_new_connections_per_cycle: u32 = 10, int(1, 1000), Runtime, Open, Standing::Works;
    /// TLS connections a worker accepts in one turn; few, because a handshake costs more than a thousand commands.
    "max-new-tls-connections-per-cycle" => max_new_tls_connections_per_cycle: u32 = 1, int(1, 1000), Runtime, Open, Standing::Inert("a worker carries on two handshakes a turn, whatever is accepted");
    /// Local address of the connections this server opens itself.
    "bind-source-addr" => bind_source_addr: Option<String> = None, TEXT, Runtime, Open, Standing::Works;
    /// Mark (SO_MARK) on listening sockets, for packet filters; 0 sets none.
    "socket-mark-id" => socket_mark_id: u32 = 0, int(0, u32::MAX as i128), Start, Open, Standing::Missing("marked sockets");
    /// Multipath TCP on listening sockets.
    "mptcp" => mptcp: bool = false, YesNo, Start, Open, Standing::Missing(MPTCP);
    /// Multipath TCP on replication links.
    "repl-mptcp" => repl_mptcp: bool = false, YesNo, Start, Open, Standing::Missing(MPTCP);
    /// RDMA addresses.
    "rdma-bind" => rdma_bind: String = String::new(), TEXT, Runtime, Open, Standing::Missing(RDMA);
    /// RDMA port.
    "rdma-port" => rdma_port: u16 = 0, PORT, Runtime, Open, Standing::Missing(RDMA);
    /// RDMA receive buffer in bytes.
    "rdma-rx-size" => rdma_rx_size: u64 = 1 << 20, int(65536, 16 << 20), Start, Open, Standing::Inert(RDMA);
    /// RDMA completion vector.
    "rdma-completion-vector" => rdma_completion_vector: i32 = -1, int(-1, 1024), Start, Open, Standing::Inert(RDMA);
    /// Most connections at once, over all workers.
    "maxclients" => maxclients: u32 = 10_000, int(1, u32::MAX as i128), Runtime, Open, Standing::Works;
    /// Keys the server remembers for client-side caching; above it, old ones are invalidated early. 0 is no limit.
    "tracking-table-max-keys" => tracking_table_max_keys: u64 = 1_000_000, LONG, Runtime, Open, Standing::Works;
}

impl Network {
    /// Addresses the plaintext `port` listens on: those of `bind`, or only loopback with `allow-plaintext local`, or
    /// none without it.
    pub fn plaintext_bind(&self) -> Vec<BindAddress> {
        self.plaintext_of(&self.bind)
    }

    /// What `allow-plaintext` leaves of `addresses`.
    pub fn plaintext_of(&self, addresses: &[BindAddress]) -> Vec<BindAddress> {
        match self.allow_plaintext {
            AllowPlaintext::No => Vec::new(),
            AllowPlaintext::Yes => addresses.to_vec(),
            AllowPlaintext::Local => ["127.0.0.1", "::1"]
                .map(|address| BindAddress { address: address.into(), optional: address == "::1" })
                .to_vec(),
        }
    }
}
