//! TLS configurations with every default and no certificate, for the start-up gate to judge: what holds of these holds of
//! all that [`super::config`] makes, which differ by narrower lists and by certificates.

use std::sync::Arc;

use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::server::ResolvesServerCertUsingSni;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::config::{TlsError, believing_anybody, protocols};
use crate::crypto;

pub fn server() -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(crypto::provider(&[]))
        .with_protocol_versions(&protocols("")?)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    config.require_ems = true;
    Ok(config)
}

pub fn client() -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(crypto::provider(&[]))
        .with_protocol_versions(&protocols("")?)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.require_ems = true;
    Ok(config)
}

/// What one attempt at a handshake with this program's own TLS configuration came to.
#[derive(Debug, Clone)]
pub struct Probe {
    pub offered: String,
    /// By the rules it has to be accepted.
    pub wanted: bool,
    pub accepted: bool,
    /// What was agreed on, or the refusal's words.
    pub detail: String,
}

/// A certificate for the time of a probe, and a server that presents it.
fn probed_server() -> Result<Arc<ServerConfig>, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let key = rcgen::KeyPair::generate().map_err(|e| text(&e))?;
    let params = rcgen::CertificateParams::new(vec!["localhost".into()]).map_err(|e| text(&e))?;
    let certificate = params.self_signed(&key).map_err(|e| text(&e))?;
    let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let mut config = ServerConfig::builder_with_provider(crypto::provider(&[]))
        .with_protocol_versions(&protocols("").map_err(|e| text(&e))?)
        .map_err(|e| text(&e))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .map_err(|e| text(&e))?;
    config.require_ems = true;
    Ok(Arc::new(config))
}

/// Tries every approved version, suite and group for an ECDSA certificate, and a list of what must be refused, against this program's
/// own configuration, in memory.
///
/// # Errors
/// No probe could be made at all.
pub fn probes() -> Result<Vec<Probe>, String> {
    let server = probed_server()?;
    let mut all = Vec::new();
    for suite in crypto::APPROVED_SUITES.iter().filter(|s| s.tls13 || s.openssl.contains("ECDSA")) {
        for group in crypto::APPROVED_GROUPS {
            let hybrid = group.name() != rustls::NamedGroup::secp256r1 && group.name() != rustls::NamedGroup::secp384r1;
            // The hybrids are of TLS 1.3.
            if hybrid && !suite.tls13 {
                continue;
            }
            let mut provider = (*crypto::provider(&[suite])).clone();
            provider.kx_groups = vec![group];
            let offered = format!("{} {}", suite.openssl, crypto::group_name(group.name()));
            let outcome = client_with(Arc::new(provider)).and_then(|c| shake(c, &server));
            let accepted = outcome.is_ok();
            all.push(Probe { offered, wanted: true, accepted, detail: outcome.unwrap_or_else(|e| e) });
        }
    }
    const P256: u16 = 23;
    const X25519: u16 = 29;
    const ECDHE_GCM: u16 = 0xc02b;
    for (offered, version, suites, groups, tls13, ems) in [
        ("TLS 1.0", [3, 1], &[0xc009, 0xc013][..], &[P256][..], false, true),
        ("TLS 1.1", [3, 2], &[0xc009, 0xc013], &[P256], false, true),
        ("TLS 1.2 without extended master secret", [3, 3], &[ECDHE_GCM], &[P256], false, false),
        ("TLS 1.2 ECDHE-ECDSA-CHACHA20-POLY1305", [3, 3], &[0xcca9], &[P256], false, true),
        ("TLS 1.2 ECDHE-ECDSA-AES128-SHA (CBC)", [3, 3], &[0xc009], &[P256], false, true),
        ("TLS 1.2 AES128-GCM-SHA256 (static RSA)", [3, 3], &[0x009c], &[P256], false, true),
        ("TLS 1.2 with X25519 alone", [3, 3], &[ECDHE_GCM], &[X25519], false, true),
        ("TLS 1.3 TLS_CHACHA20_POLY1305_SHA256", [3, 3], &[0x1303], &[P256], true, true),
        ("TLS 1.3 TLS_AES_128_CCM_SHA256", [3, 3], &[0x1304], &[P256], true, true),
        ("TLS 1.3 with X25519 alone", [3, 3], &[0x1301], &[X25519], true, true),
    ] {
        let hello = hello(version, suites, groups, tls13, ems);
        let outcome = greet(&hello, &server);
        let accepted = outcome.is_ok();
        let detail = outcome.err().unwrap_or_else(|| "the server went on with it".into());
        all.push(Probe { offered: offered.into(), wanted: false, accepted, detail });
    }
    Ok(all)
}

fn client_with(provider: Arc<rustls::crypto::CryptoProvider>) -> Result<Arc<ClientConfig>, String> {
    let tls13 = provider.cipher_suites.iter().any(|s| s.tls13().is_some());
    let versions = protocols(if tls13 { "TLSv1.3" } else { "TLSv1.2" }).map_err(|e| e.to_string())?;
    // What is probed is the server, and its certificate is a moment's: anybody is believed.
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(believing_anybody(provider))
        .with_no_client_auth();
    config.require_ems = true;
    Ok(Arc::new(config))
}

/// A whole handshake in memory. Returns what was agreed on.
fn shake(client: Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<String, String> {
    /// A handshake takes two or three.
    const FLIGHTS_MAX: usize = 8;
    let name = ServerName::try_from("localhost").map_err(|e| e.to_string())?;
    let mut c = rustls::ClientConnection::new(client, name).map_err(|e| e.to_string())?;
    let mut s = rustls::ServerConnection::new(Arc::clone(server)).map_err(|e| e.to_string())?;
    for _ in 0..FLIGHTS_MAX {
        let mut bytes = Vec::new();
        while c.wants_write() {
            c.write_tls(&mut bytes).map_err(|e| e.to_string())?;
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            s.read_tls(&mut rest).map_err(|e| e.to_string())?;
            s.process_new_packets().map_err(|e| e.to_string())?;
        }
        let mut bytes = Vec::new();
        while s.wants_write() {
            s.write_tls(&mut bytes).map_err(|e| e.to_string())?;
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            c.read_tls(&mut rest).map_err(|e| e.to_string())?;
            c.process_new_packets().map_err(|e| e.to_string())?;
        }
        if !c.is_handshaking() && !s.is_handshaking() {
            let version = match s.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "unknown",
            };
            let suite =
                s.negotiated_cipher_suite().and_then(|s| crypto::suite_of(s.suite())).map_or("unknown", |s| s.openssl);
            let group = s.negotiated_key_exchange_group().map_or("none", |g| crypto::group_name(g.name()));
            return Ok(format!("{version} {suite} {group}"));
        }
    }
    Err("the handshake did not end".into())
}

/// Shows a server a ClientHello; the error is its refusal.
fn greet(hello: &[u8], server: &Arc<ServerConfig>) -> Result<(), String> {
    let mut s = rustls::ServerConnection::new(Arc::clone(server)).map_err(|e| e.to_string())?;
    let mut rest = hello;
    s.read_tls(&mut rest).map_err(|e| e.to_string())?;
    s.process_new_packets().map(|_| ()).map_err(|e| e.to_string())
}

/// A ClientHello that offers exactly this.
fn hello(version: [u8; 2], suites: &[u16], groups: &[u16], tls13: bool, ems: bool) -> Vec<u8> {
    let words = |list: &[u16]| list.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let prefixed = |bytes: Vec<u8>| [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
    let extension = |id: u16, body: Vec<u8>| [&id.to_be_bytes()[..], &prefixed(body)].concat();
    let mut extensions = Vec::new();
    extensions.extend(extension(10, prefixed(words(groups))));
    extensions.extend(extension(11, vec![1, 0]));
    extensions.extend(extension(13, prefixed(words(&[0x0403, 0x0804, 0x0401]))));
    if ems {
        extensions.extend(extension(23, Vec::new()));
    }
    if tls13 {
        extensions.extend(extension(43, vec![2, 3, 4]));
        extensions.extend(extension(51, prefixed(Vec::new())));
    }
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(prefixed(words(suites)));
    body.extend([1, 0]);
    body.extend(prefixed(extensions));
    let message = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [&[22, 3, 1][..], &prefixed(message)].concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_approved_is_accepted_and_nothing_else() {
        for p in super::probes().unwrap() {
            assert_eq!(p.accepted, p.wanted, "{}: {}", p.offered, p.detail);
        }
    }
}
