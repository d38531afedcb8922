//! The directives, by topic, and the typed struct they fill.
//!
//! Invariant: no name or alias stands twice; a test walks the rows.

mod audit;
mod cluster;
mod encoding;
mod general;
mod latency;
mod limits;
mod logging;
mod memory;
mod monitoring;
mod network;
mod persistence;
mod replication;
mod security;
mod tls;

use std::sync::OnceLock;

pub use audit::Audit;
pub use cluster::Cluster;
pub use encoding::Encoding;
pub use general::General;
pub use latency::Latency;
pub use limits::Limits;
pub use logging::Logging;
pub use memory::Memory;
pub use monitoring::Monitoring;
pub use network::Network;
pub use persistence::Persistence;
pub use replication::Replication;
pub use security::Security;
pub use tls::Tls;

use super::row::Directive;

/// Every directive's value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    pub network: Network,
    pub tls: Tls,
    pub general: General,
    pub security: Security,
    pub audit: Audit,
    pub limits: Limits,
    pub memory: Memory,
    pub encoding: Encoding,
    pub logging: Logging,
    pub latency: Latency,
    pub monitoring: Monitoring,
    pub persistence: Persistence,
    pub replication: Replication,
    pub cluster: Cluster,
}

impl Config {
    /// The values of a server that was told nothing.
    pub fn defaults() -> &'static Config {
        static DEFAULTS: OnceLock<Config> = OnceLock::new();
        DEFAULTS.get_or_init(Config::default)
    }
}

/// The rows in reading order.
pub fn directives() -> impl Iterator<Item = &'static Directive> {
    [
        network::ROWS,
        tls::ROWS,
        general::ROWS,
        security::ROWS,
        audit::ROWS,
        limits::ROWS,
        memory::ROWS,
        encoding::ROWS,
        logging::ROWS,
        latency::ROWS,
        monitoring::ROWS,
        persistence::ROWS,
        replication::ROWS,
        cluster::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The directive of this name or alias, in any case.
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    directives().find(|directive| directive.answers_to(name))
}

/// What other databases call it. Their files are handed to this server more often than one would think.
const ELSEWHERE: &[(&str, &str)] = &[
    ("max_connections", "maxclients"),
    ("shared_buffers", "maxmemory"),
    ("effective_cache_size", "maxmemory"),
    ("innodb_buffer_pool_size", "maxmemory"),
    ("listen_addresses", "bind"),
    ("bind-address", "bind"),
    ("data_directory", "dir"),
    ("datadir", "dir"),
    ("dbpath", "dir"),
    ("ssl_cert_file", "tls-cert-file"),
    ("ssl_key_file", "tls-key-file"),
    ("ssl_ca_file", "tls-ca-cert-file"),
    ("ssl_ciphers", "tls-ciphers"),
    ("password_encryption", "acl-password-hash"),
    ("wal_level", "appendonly"),
    ("fsync", "appendfsync"),
    ("synchronous_commit", "appendfsync"),
    ("archive_mode", "appendonly"),
    ("checkpoint_timeout", "save"),
    ("primary_conninfo", "replicaof"),
    ("max_wal_senders", "repl-backlog-size"),
    ("wal_keep_size", "repl-backlog-size"),
    ("log_destination", "logfile"),
    ("log_directory", "logfile"),
    ("log_min_messages", "loglevel"),
    ("log_min_duration_statement", "slowlog-log-slower-than"),
    ("idle_in_transaction_session_timeout", "timeout"),
    ("tcp_keepalives_idle", "tcp-keepalive"),
    ("max_worker_processes", "io-threads"),
];

/// The name or alias nearest to `name`: by what another database means with it, or by edit distance, if one is near enough to be
/// meant.
pub fn nearest(name: &[u8]) -> Option<&'static str> {
    let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
    if let Some((_, here)) = ELSEWHERE.iter().find(|(there, _)| *there == lower) {
        return Some(here);
    }
    nearest_of(&lower, directives().flat_map(Directive::names))
}

/// The nearest of some names, if it is near enough to be meant.
pub fn nearest_of<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Longer than any name by far: nothing is near, and the distance would cost.
    if name.len() > 64 {
        return None;
    }
    let (distance, found) = names.map(|own| (edit_distance(own.as_bytes(), name.as_bytes()), own)).min()?;
    (distance <= 1 + name.len() / 4).then_some(found)
}

/// Levenshtein distance, one row at a time.
fn edit_distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(before);
        for (above, b) in row.iter().skip(1).zip(right) {
            let cost = (diagonal + usize::from(a != b)).min(above + 1).min(before + 1);
            diagonal = *above;
            before = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice_and_every_row_is_documented() {
        let mut names = std::collections::HashSet::new();
        for row in directives() {
            for name in row.names() {
                assert!(names.insert(name), "{name} stands twice");
                assert!(find(name.to_ascii_uppercase().as_bytes()).is_some_and(|found| found.name == row.name));
            }
            assert!(row.doc.iter().any(|line| line.trim().ends_with('.')), "{}: no sentence", row.name);
        }
    }

    #[test]
    fn control_characters_reach_no_file_but_escaped_in_passwords_and_users() {
        use crate::config::row::{Sensitivity, Source};
        for row in directives().filter(|row| row.sensitivity != Sensitivity::Secret && row.name != "user") {
            for value in [&b"x\ny"[..], b"x\0y", b"\x1b[2J", b"x\ty", b"\x7f"] {
                for source in [Source::Load, Source::Runtime] {
                    let refused = row.apply(&mut Config::default(), &[value.to_vec()], source);
                    assert!(refused.is_err(), "{} {value:?}", row.name);
                }
            }
        }
    }

    #[test]
    fn what_other_databases_mean_is_a_directive_here() {
        for (there, here) in ELSEWHERE {
            assert!(find(here.as_bytes()).is_some(), "{here}");
            assert!(find(there.as_bytes()).is_none(), "{there} is one of ours");
        }
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest(b"maxmemroy"), Some("maxmemory"));
        assert_eq!(nearest(b"TLS-certfile"), Some("tls-cert-file"));
        assert_eq!(nearest(b"max_connections"), Some("maxclients"));
        assert_eq!(nearest(b"Shared_Buffers"), Some("maxmemory"));
        assert_eq!(nearest(b"completely-different"), None);
        assert_eq!(nearest(&[b'x'; 1000]), None);
    }
}
