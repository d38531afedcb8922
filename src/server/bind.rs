//! Binding what the configuration asks for.

use crate::net::Permit;
use crate::net::listener::{self, BindAddress, Listener};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

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
