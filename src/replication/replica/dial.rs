//! How another server of this kind is reached.

use super::super::Host;
use crate::config::Config;
use crate::config::types::AllowPlaintext;
use crate::net::dial::{self, Dialled};
use std::time::Duration;

/// Connects to another server of this kind: with TLS if `tls-replication` says so, else if plaintext is allowed there.
///
/// # Errors
/// Why there is no connection: a sentence.
pub fn dial(host: &dyn Host, address: &str, port: u16, timeout: Duration) -> Result<Dialled, String> {
    let config = host.config().current();
    let source = config.network.bind_source_addr.as_deref().filter(|s| !s.is_empty());
    if config.tls.replication {
        return dial::tls(address, port, Some(timeout), host.dial_tls()?, None, source).map_err(|e| e.to_string());
    }
    permit_plaintext(&config, address)?;
    dial::tcp(address, port, Some(timeout), source).map_err(|e| e.to_string())
}

/// A link without TLS only where plaintext is allowed: what goes over it is the data.
fn permit_plaintext(config: &Config, address: &str) -> Result<(), String> {
    use std::net::ToSocketAddrs;
    let local = || (address, 0u16).to_socket_addrs().is_ok_and(|mut all| all.all(|a| a.ip().is_loopback()));
    match config.network.allow_plaintext {
        AllowPlaintext::Yes => {
            tracing::warn!("The link to {address} is not encrypted (tls-replication no, allow-plaintext yes)");
            Ok(())
        }
        AllowPlaintext::Local if local() => Ok(()),
        _ => Err(format!(
            "a link to {address} without TLS is not allowed: set 'tls-replication yes', or 'allow-plaintext yes'"
        )),
    }
}
