//! What one directive cannot see: settings that contradict each other.
//!
//! Invariant: every refusal names the directive to change and the remedy.

use super::directives::Config;
use super::types::{AllowPlaintext, TlsAuthClients};

/// A contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The directive whose value is refused.
    pub directive: &'static str,
    /// Why, and what to do.
    pub reason: String,
}

const PLAINTEXT: &str = "plaintext is not allowed: use tls-port, or add 'allow-plaintext local' (loopback addresses and \
                         unix sockets) or 'allow-plaintext yes' (everywhere)";

const BUS_PLAINTEXT: &str = "a cluster bus without TLS is plaintext, which is not allowed: leave it 'yes', or add 'allow-plaintext local' \
                             (loopback addresses) or 'allow-plaintext yes' (everywhere)";

/// Every contradiction in `config`.
pub fn conflicts(config: &Config) -> Vec<Conflict> {
    let (network, tls) = (&config.network, &config.tls);
    let mut found = Vec::new();
    let mut refuse = |directive, reason: &str| found.push(Conflict { directive, reason: reason.to_string() });

    if network.allow_plaintext == AllowPlaintext::No {
        if network.port != 0 {
            refuse("port", PLAINTEXT);
        }
        if network.unixsocket.is_some() {
            refuse("unixsocket", PLAINTEXT);
        }
    }
    let cluster = &config.cluster;
    if cluster.enabled {
        if !tls.cluster && network.allow_plaintext == AllowPlaintext::No {
            refuse("tls-cluster", BUS_PLAINTEXT);
        }
        if cluster.port == 0 {
            let (name, port) = if tls.cluster { ("tls-port", tls.port) } else { ("port", network.port) };
            if port == 0 {
                refuse(
                    "cluster-enabled",
                    "the cluster bus has no port: set cluster-port, or the port it is derived from",
                );
            } else if port.checked_add(10_000).is_none() {
                refuse(
                    name,
                    "the port of the cluster bus, 10000 above it, would be too high: choose one up to 55535, or set cluster-port",
                );
            }
        }
    }
    if network.port != 0 && network.port == tls.port {
        refuse("tls-port", "port and tls-port are the same");
    }
    let http = &config.monitoring;
    if http.port != 0 {
        if !http.tls && network.allow_plaintext == AllowPlaintext::No {
            refuse(
                "http-tls",
                "plaintext is not allowed: leave it 'yes', or add 'allow-plaintext local' (loopback addresses) or 'allow-plaintext yes' (everywhere)",
            );
        }
        if http.port == network.port || http.port == tls.port {
            refuse("http-port", "another listener has this port");
        }
        if http.tls
            && http.auth_clients != TlsAuthClients::No
            && tls.ca_cert_file.is_none()
            && tls.ca_cert_dir.is_none()
            && tls.cert_file.is_some()
        {
            refuse(
                "http-auth-clients",
                "clients' certificates cannot be verified: set tls-ca-cert-file or tls-ca-cert-dir",
            );
        }
    }
    if tls.port == 0 {
        // Without a TLS port certificates may be set one by one.
        return found;
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => refuse("tls-cert-file", "tls-key-file is not set"),
        (None, Some(_)) => refuse("tls-key-file", "tls-cert-file is not set"),
        (None, None) if !tls.auto_generate => {
            refuse("tls-auto-generate", "tls-cert-file and tls-key-file are not set, and none may be generated");
        }
        (Some(_), Some(_))
            if tls.auth_clients != TlsAuthClients::No && tls.ca_cert_file.is_none() && tls.ca_cert_dir.is_none() =>
        {
            refuse(
                "tls-auth-clients",
                "clients' certificates cannot be verified: set tls-ca-cert-file or tls-ca-cert-dir, or \
                 'tls-auth-clients no'",
            );
        }
        _ => {}
    }
    found
}
