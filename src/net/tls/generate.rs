//! A CA and a leaf of our own, so that a server is reachable over TLS without anybody having made certificates.
//!
//! Files, under a folder `tls`: `ca.crt`, `ca.key`, `server.crt`, `server.key`; keys are readable by their owner only. They
//! are reused as long as they hold, and the leaf is renewed from the same CA before it ends, so that clients which trust
//! the CA never notice. ECDSA on P-256 throughout.
//!
//! It must never know who will be served with them.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::time::ASN1Time;

use super::certificate::{self, Identity, identify};
use crate::crypto;

const DAY_S: i64 = 24 * 60 * 60;
const CA_DAYS: i64 = 3650;
/// What browsers and libraries take at most from a leaf.
const LEAF_DAYS: i64 = 397;
/// A leaf with less than this left is renewed at start.
const RENEW_DAYS: i64 = 30;
/// Clocks of clients may be behind ours.
const BACKDATE_S: i64 = 60 * 60;

/// Where the generated files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub ca_certificate: PathBuf,
    pub ca_key: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Paths {
    /// Under `folder/tls`.
    pub fn under(folder: &Path) -> Self {
        let tls = folder.join("tls");
        Self {
            ca_certificate: tls.join("ca.crt"),
            ca_key: tls.join("ca.key"),
            certificate: tls.join("server.crt"),
            key: tls.join("server.key"),
        }
    }
}

/// What is there after [`ensure`].
#[derive(Debug, Clone)]
pub struct Generated {
    pub paths: Paths,
    pub ca: Identity,
    pub leaf: Identity,
    /// The CA was made by this call, so whoever trusted an older one must be told.
    pub new_ca: bool,
    /// The leaf was made by this call.
    pub new_leaf: bool,
}

#[derive(Debug)]
pub enum GenerateError {
    File { path: PathBuf, error: io::Error },
    Make(rcgen::Error),
    Random(crypto::RandomFailed),
}

impl std::fmt::Display for GenerateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Make(e) => write!(f, "a certificate could not be generated: {e}"),
            Self::Random(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for GenerateError {}

impl From<rcgen::Error> for GenerateError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error)
    }
}

impl From<crypto::RandomFailed> for GenerateError {
    fn from(error: crypto::RandomFailed) -> Self {
        Self::Random(error)
    }
}

/// Makes what is missing, not readable, or near its end under `folder/tls`. The leaf is for `localhost`, `hostname`, 127.0.0.1
/// and ::1. `now_s` is in seconds since 1970.
pub fn ensure(folder: &Path, hostname: &str, now_s: i64) -> Result<Generated, GenerateError> {
    let paths = Paths::under(folder);
    if let Some(tls) = paths.key.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(tls)
            .map_err(|error| GenerateError::File { path: tls.to_owned(), error })?;
    }

    let (ca_key, ca, new_ca) = match existing_ca(&paths, now_s) {
        Some((key, ca)) => (key, ca, false),
        None => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            // The subject tells one CA of ours from another in a client's list of trusted ones.
            let name = format!("Holdfast generated CA {}", crypto::random_hex(8)?);
            let certificate = ca_parameters(&name, now_s)?.self_signed(&key)?;
            write_private(&paths.ca_key, &key.serialize_pem())?;
            write_public(&paths.ca_certificate, &certificate.pem())?;
            let ca = identify(certificate.der()).ok_or(rcgen::Error::CouldNotParseCertificate)?;
            (key, ca, true)
        }
    };

    if !new_ca
        && let Ok(loaded) = certificate::load(&paths.certificate, &paths.key, now_s)
        && loaded.identity.issuer == ca.subject
        && loaded.identity.not_after_s - now_s > RENEW_DAYS * DAY_S
    {
        return Ok(Generated { paths, ca, leaf: loaded.identity, new_ca, new_leaf: false });
    }

    // The issuer needs the CA's name and key only, which are on disk: the same parameters give the same key identifier.
    let common_name = ca.subject.strip_prefix("CN=").unwrap_or(&ca.subject).to_owned();
    let issuer = Issuer::new(ca_parameters(&common_name, now_s)?, ca_key);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // A leaf that outlives its CA is worth nothing after it.
    let end_s = ca.not_after_s.min(now_s + LEAF_DAYS * DAY_S);
    let certificate = leaf_parameters(hostname, now_s, end_s)?.signed_by(&key, &issuer)?;
    // A crash in between leaves a pair that does not match, which the next start sees and makes again.
    write_private(&paths.key, &key.serialize_pem())?;
    write_public(&paths.certificate, &certificate.pem())?;
    let leaf = identify(certificate.der()).ok_or(rcgen::Error::CouldNotParseCertificate)?;
    Ok(Generated { paths, ca, leaf, new_ca, new_leaf: true })
}

/// The CA on disk, when its key belongs to it and a leaf from it would still live a while.
fn existing_ca(paths: &Paths, now_s: i64) -> Option<(KeyPair, Identity)> {
    let identity = certificate::load(&paths.ca_certificate, &paths.ca_key, now_s).ok()?.identity;
    if identity.not_after_s - now_s <= 2 * RENEW_DAYS * DAY_S {
        return None;
    }
    let pem = zeroize::Zeroizing::new(std::fs::read_to_string(&paths.ca_key).ok()?);
    let key = KeyPair::from_pem(&pem).ok()?;
    Some((key, identity))
}

/// The generated CA's certificate in DER, when there is one: for a client on the same machine.
pub fn read_ca(folder: &Path) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_file(Paths::under(folder).ca_certificate).ok()
}

fn dated(mut p: CertificateParams, start_s: i64, end_s: i64) -> Result<CertificateParams, GenerateError> {
    let time = |seconds| ASN1Time::from_timestamp(seconds).map(|t| t.to_datetime()).map_err(|_| rcgen::Error::Time);
    p.not_before = time(start_s)?;
    p.not_after = time(end_s)?;
    p.serial_number = Some(SerialNumber::from_slice(&serial()?));
    Ok(p)
}

/// 127 random bits with the topmost clear, as RFC 5280 wants serial numbers positive.
fn serial() -> Result<[u8; 16], crypto::RandomFailed> {
    let mut bytes = crypto::random_array::<16>()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(bytes)
}

fn ca_parameters(name: &str, now_s: i64) -> Result<CertificateParams, GenerateError> {
    let mut p = CertificateParams::default();
    p.distinguished_name = common_name(name);
    p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    dated(p, now_s - BACKDATE_S, now_s + CA_DAYS * DAY_S)
}

fn leaf_parameters(hostname: &str, now_s: i64, end_s: i64) -> Result<CertificateParams, GenerateError> {
    let mut names = vec!["localhost".to_owned()];
    if !hostname.is_empty() && hostname != "localhost" {
        names.push(hostname.to_owned());
    }
    // A host's name that cannot stand in a certificate is left out; the others still serve.
    let mut p = CertificateParams::default();
    for name in names {
        if let Ok(name) = name.as_str().try_into() {
            p.subject_alt_names.push(SanType::DnsName(name));
        }
    }
    p.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    p.subject_alt_names.push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    p.distinguished_name = common_name("Holdfast server");
    p.is_ca = IsCa::ExplicitNoCa;
    p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Also a client: this server dials its peers with the same certificate.
    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    p.use_authority_key_identifier_extension = true;
    dated(p, now_s - BACKDATE_S, end_s)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut dn = DistinguishedName::new();
    dn.push(DnType::CommonName, name);
    dn
}

fn write_private(path: &Path, text: &str) -> Result<(), GenerateError> {
    write_file(path, text, 0o600)
}

fn write_public(path: &Path, text: &str) -> Result<(), GenerateError> {
    write_file(path, text, 0o644)
}

/// Written beside its place and renamed, so that no reader sees half of it.
fn write_file(path: &Path, text: &str, mode: u32) -> Result<(), GenerateError> {
    let failed = |error| GenerateError::File { path: path.to_owned(), error };
    let beside = path.with_extension("tmp");
    // One left over by a crash could have other permissions than a new file would get.
    match std::fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}
