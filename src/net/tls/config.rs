//! Building TLS configurations from plain parameters, and refusing by name what is not approved.
//!
//! # Invariant
//! No configuration leaves this file whose `fips()` is not true: approved provider, and extended master secret demanded
//! in TLS 1.2.
//!
//! It must never know the configuration file: the parameters have the directives' meaning, not their source.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, SupportedProtocolVersion};

use super::certificate::{self, CertificateError, Crls, Identity};
use super::tickets::{Kept, Tickets};
use crate::crypto::{self, APPROVED_SUITES, Suite};

/// `tls-auth-clients`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthClients {
    /// Ask for no certificate.
    No,
    /// Ask; take a connection without one, refuse one that does not verify.
    Optional,
    #[default]
    Yes,
}

/// What a server's configuration is made of. Empty texts mean the default.
#[derive(Debug, Clone, Default)]
pub struct TlsParameters {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub key_file_pass: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub ca_folder: Option<PathBuf>,
    /// Lists of revoked client certificates, PEM.
    pub crl_file: Option<PathBuf>,
    pub auth_clients: AuthClients,
    /// `TLSv1.2 TLSv1.3`, either or both.
    pub protocols: String,
    /// TLS 1.2 suites, in OpenSSL's notation.
    pub ciphers: String,
    /// TLS 1.3 suites, joined by colons.
    pub ciphersuites: String,
    pub prefer_server_ciphers: bool,
    pub session_caching: bool,
    /// Sessions; 0 keeps none on the server, and leaves tickets.
    pub session_cache_size: usize,
    /// Seconds for which a session can be taken up again; 0 is never.
    pub session_lifetime_s: u32,
}

#[derive(Debug)]
pub enum TlsError {
    Certificate(CertificateError),
    /// A name in a list of protocols, ciphers or ciphersuites that is not approved or not known.
    NotApproved {
        list: &'static str,
        name: String,
        approved: String,
    },
    /// A list that, after its exclusions, leaves nothing.
    Nothing {
        list: &'static str,
        text: String,
    },
    CaMissing,
    /// `tls-key-file-pass` with nothing to use it on.
    KeyPassUnsupported,
    /// The module gave no key for tickets.
    NoTicketKey,
    /// The configuration would not be approved as a whole.
    NotFips,
    Rustls(rustls::Error),
    Verifier(String),
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Certificate(e) => e.fmt(f),
            Self::NotApproved { list, name, approved } => {
                write!(f, "{list}: '{name}' is not approved in FIPS mode, use of {approved}")
            }
            Self::Nothing { list, text } => write!(f, "{list}: '{text}' leaves nothing to offer"),
            Self::CaMissing => f.write_str(
                "to verify client certificates a CA is needed: set tls-ca-cert-file or tls-ca-cert-dir, or \
                 tls-auth-clients no",
            ),
            Self::KeyPassUnsupported => f.write_str(
                "encrypted private keys are not supported: decrypt the key (openssl pkey) and protect its file by \
                 permissions",
            ),
            Self::NoTicketKey => f.write_str("the cryptographic module gave no key for session tickets"),
            Self::NotFips => f.write_str("the TLS configuration is not approved as a whole"),
            Self::Rustls(e) => e.fmt(f),
            Self::Verifier(e) => write!(f, "the client certificate verifier: {e}"),
        }
    }
}

impl std::error::Error for TlsError {}

impl From<CertificateError> for TlsError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Rustls(error)
    }
}

/// A server's configuration, with what to log of it.
#[derive(Debug, Clone)]
pub struct ServerTls {
    pub config: Arc<ServerConfig>,
    pub identity: Identity,
    /// The authority for clients that expires first.
    pub ca: Option<Identity>,
    /// A sentence for each CA of a folder that was left out, and for each revocation list that is out of its dates.
    pub warnings: Vec<String>,
}

/// Makes the configuration all TLS listeners of a server share. `now_s` is in seconds since 1970.
pub fn server(p: &TlsParameters, now_s: i64) -> Result<ServerTls, TlsError> {
    if p.key_file_pass.as_ref().is_some_and(|pass| !pass.is_empty()) {
        return Err(TlsError::KeyPassUnsupported);
    }
    let versions = protocols(&p.protocols)?;
    let provider = crypto::provider(&suites(&p.ciphers, &p.ciphersuites, &versions)?);
    let loaded = certificate::load(&p.certificate, &p.key, now_s)?;
    // Also where no client is asked for a certificate: what is configured and cannot be used is told now, not on the day it is needed.
    let roots = match (&p.ca_file, &p.ca_folder) {
        (None, None) if p.auth_clients != AuthClients::No => return Err(TlsError::CaMissing),
        (None, None) => None,
        (file, folder) => Some(certificate::load_roots(file.as_deref(), folder.as_deref(), now_s)?),
    };
    let known = roots.as_ref().map_or(&[][..], |r| &r.certificates);
    let crls = match &p.crl_file {
        Some(path) => certificate::load_crls(path, known, now_s)?,
        None => Crls::default(),
    };
    let mut warnings = crls.stale;
    let mut ca = None;
    let verifier = match (p.auth_clients, roots) {
        (AuthClients::No, _) | (_, None) => WebPkiClientVerifier::no_client_auth(),
        (wanted, Some(roots)) => {
            warnings.extend(roots.left_out);
            ca = roots.earliest;
            let builder = WebPkiClientVerifier::builder_with_provider(roots.store, provider.clone());
            // An authority without a list revokes nothing; a list that is there is believed for the certificates it speaks of.
            let builder = if crls.lists.is_empty() {
                builder
            } else {
                builder.with_crls(crls.lists).allow_unknown_revocation_status()
            };
            let builder = if wanted == AuthClients::Optional { builder.allow_unauthenticated() } else { builder };
            builder.build().map_err(|e| TlsError::Verifier(e.to_string()))?
        }
    };

    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(loaded.key)));
    config.require_ems = true;
    config.max_early_data_size = 0;
    config.ignore_client_order = p.prefer_server_ciphers;
    if p.session_caching && p.session_lifetime_s > 0 {
        config.ticketer = Arc::new(Tickets::new(p.session_lifetime_s).map_err(|_| TlsError::NoTicketKey)?);
        // A client takes one connection at a time from a handshake; each further ticket costs an encryption and a send.
        config.send_tls13_tickets = 1;
        config.session_storage = match p.session_cache_size {
            0 => Arc::new(NoServerSessionStorage {}),
            size => Arc::new(Kept::new(size, p.session_lifetime_s)),
        };
    } else {
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
    }
    if !config.fips() {
        return Err(TlsError::NotFips);
    }
    Ok(ServerTls { config: Arc::new(config), identity: loaded.identity, ca, warnings })
}

/// How a client decides whether to believe the server.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The server's certificate must be issued by one of these, for the name dialled.
    Roots { file: Option<PathBuf>, folder: Option<PathBuf> },
    /// Encrypt, and believe anybody. For tools whose user asks for it.
    Anybody,
}

/// What a client's configuration is made of. Empty texts mean the default.
#[derive(Debug, Clone)]
pub struct ClientParameters {
    pub trust: Trust,
    /// Certificate chain and key to present.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub ciphers: String,
    pub ciphersuites: String,
}

/// Makes a configuration for dialling.
pub fn client(p: &ClientParameters, now_s: i64) -> Result<Arc<ClientConfig>, TlsError> {
    let versions = protocols("")?;
    let provider = crypto::provider(&suites(&p.ciphers, &p.ciphersuites, &versions)?);
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions)?;
    let builder = match &p.trust {
        Trust::Roots { file, folder } => {
            builder.with_root_certificates(certificate::load_roots(file.as_deref(), folder.as_deref(), now_s)?.store)
        }
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelieveAnybody(provider))),
    };
    let mut config = match &p.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let loaded = certificate::load(chain, key, now_s)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(loaded.key)))
        }
    };
    config.require_ems = true;
    if !config.fips() {
        return Err(TlsError::NotFips);
    }
    Ok(Arc::new(config))
}

/// Takes any certificate, and still demands that the server has its key.
#[derive(Debug)]
struct BelieveAnybody(Arc<rustls::crypto::CryptoProvider>);

/// A verifier that takes any certificate.
pub(super) fn believing_anybody(provider: Arc<rustls::crypto::CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(BelieveAnybody(provider))
}

impl ServerCertVerifier for BelieveAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Reads `tls-protocols`; empty means both.
pub fn protocols(text: &str) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut chosen = Vec::new();
    for name in text.split([' ', ',', '\t']).filter(|n| !n.is_empty()) {
        let version = if name.eq_ignore_ascii_case("TLSv1.3") {
            &rustls::version::TLS13
        } else if name.eq_ignore_ascii_case("TLSv1.2") {
            &rustls::version::TLS12
        } else {
            return Err(TlsError::NotApproved {
                list: "tls-protocols",
                name: name.to_owned(),
                approved: "TLSv1.2 TLSv1.3".into(),
            });
        };
        if !chosen.contains(&version) {
            chosen.push(version);
        }
    }
    if chosen.is_empty() {
        chosen.extend([&rustls::version::TLS13, &rustls::version::TLS12]);
    }
    Ok(chosen)
}

/// Reads `tls-ciphers` and `tls-ciphersuites` for the given versions; empty texts mean all approved ones.
pub fn suites(
    ciphers: &str,
    ciphersuites: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Vec<&'static Suite>, TlsError> {
    let mut chosen = Vec::new();
    let tls13 = tls13_suites(ciphersuites)?;
    let tls12 = tls12_suites(ciphers)?;
    for version in versions {
        let of_version = if version.version == rustls::ProtocolVersion::TLSv1_3 { &tls13 } else { &tls12 };
        chosen.extend(of_version.iter().copied());
    }
    Ok(chosen)
}

fn approved(tls13: bool) -> impl Iterator<Item = &'static Suite> {
    APPROVED_SUITES.iter().filter(move |s| s.tls13 == tls13)
}

fn names(tls13: bool) -> String {
    approved(tls13).map(|s| s.openssl).collect::<Vec<_>>().join(":")
}

fn tls13_suites(text: &str) -> Result<Vec<&'static Suite>, TlsError> {
    if text.trim().is_empty() {
        return Ok(approved(true).collect());
    }
    let mut chosen: Vec<&'static Suite> = Vec::new();
    for name in text.split([':', ',', ' ']).filter(|n| !n.is_empty()) {
        let Some(suite) = crypto::suite_named(name).filter(|s| s.tls13) else {
            return Err(TlsError::NotApproved {
                list: "tls-ciphersuites",
                name: name.to_owned(),
                approved: names(true),
            });
        };
        if !chosen.iter().any(|c| std::ptr::eq(*c, suite)) {
            chosen.push(suite);
        }
    }
    if chosen.is_empty() {
        return Err(TlsError::Nothing { list: "tls-ciphersuites", text: text.to_owned() });
    }
    Ok(chosen)
}

/// OpenSSL's notation, as far as it can select among the approved suites: names and classes joined by `+`, in sequence;
/// `!` and `-` exclude, `+` at the front moves to the end. What is excluded need not be approved; what is asked for must.
fn tls12_suites(text: &str) -> Result<Vec<&'static Suite>, TlsError> {
    if text.trim().is_empty() {
        return Ok(approved(false).collect());
    }
    let mut chosen: Vec<&'static Suite> = Vec::new();
    let mut killed: Vec<&'static Suite> = Vec::new();
    for item in text.split([':', ',', ' ', ';']).filter(|n| !n.is_empty()) {
        // How to order by strength or what level to demand changes nothing where all suites are strong.
        if item.eq_ignore_ascii_case("@STRENGTH") || item.starts_with("@SECLEVEL=") {
            continue;
        }
        let (operator, name) = match item.as_bytes().first() {
            Some(b'!' | b'-' | b'+') => item.split_at(1),
            _ => ("", item),
        };
        let matching: Option<Vec<&'static Suite>> = matching_suites(name);
        match operator {
            "" => {
                let Some(found) = matching.filter(|m| !m.is_empty()) else {
                    return Err(TlsError::NotApproved {
                        list: "tls-ciphers",
                        name: name.to_owned(),
                        approved: names(false),
                    });
                };
                for suite in found {
                    if !contains(&chosen, suite) && !contains(&killed, suite) {
                        chosen.push(suite);
                    }
                }
            }
            "+" => {
                let found = matching.unwrap_or_default();
                let (last, first): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|s| contains(&found, s));
                chosen = first.into_iter().chain(last).collect();
            }
            exclusion => {
                let found = matching.unwrap_or_default();
                chosen.retain(|s| !contains(&found, s));
                if exclusion == "!" {
                    killed.extend(found);
                }
            }
        }
    }
    if chosen.is_empty() {
        return Err(TlsError::Nothing { list: "tls-ciphers", text: text.to_owned() });
    }
    Ok(chosen)
}

fn contains(list: &[&'static Suite], suite: &'static Suite) -> bool {
    list.iter().any(|s| std::ptr::eq(*s, suite))
}

/// The approved TLS 1.2 suites a name or a class stands for; `None` when it is unknown or stands for unapproved ones only.
fn matching_suites(name: &str) -> Option<Vec<&'static Suite>> {
    if let Some(suite) = crypto::suite_named(name) {
        return (!suite.tls13).then(|| vec![suite]);
    }
    let mut found: Vec<&'static Suite> = approved(false).collect();
    for class in name.split('+') {
        let part = match class {
            "DEFAULT" | "ALL" | "HIGH" | "FIPS" | "TLSv1.2" | "ECDHE" | "EECDH" | "kECDHE" | "kEECDH" | "ECDH"
            | "AES" | "AESGCM" => "ECDHE-",
            "ECDSA" | "aECDSA" => "-ECDSA-",
            "RSA" | "aRSA" => "-RSA-",
            "AES256" => "-AES256-",
            "AES128" => "-AES128-",
            "SHA384" => "-SHA384",
            "SHA256" => "-SHA256",
            _ => return None,
        };
        found.retain(|s| s.openssl.contains(part));
    }
    Some(found)
}
