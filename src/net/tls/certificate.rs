//! Loading certificates and keys, and refusing what is not approved before anything is served with it.
//!
//! # Invariants
//! - A [`Loaded`] has passed every check here: key strength, curve, signatures of the chain, dates, key belongs to leaf.
//! - Each refusal has its own [`CertificateError`], which names the file and the certificate.
//!
//! It must never know which directive a path came from, nor read the time: the caller says what time it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::x509::AlgorithmIdentifier;

use crate::{crypto, storage};

/// Below this RSA is not approved for signatures (SP 800-131A).
const RSA_BITS_MIN: usize = 2048;
/// A file of certificates or keys is a few KiB, a system's bundle of CAs some hundred. More is a mistake.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug)]
pub enum CertificateError {
    Unreadable { path: PathBuf, error: std::io::Error },
    TooBig { path: PathBuf, bytes: u64 },
    BadPem { path: PathBuf, error: String },
    NoCertificate { path: PathBuf },
    NoKey { path: PathBuf },
    NoCrl { path: PathBuf },
    EncryptedKey { path: PathBuf },
    BadCertificate { path: PathBuf, subject: String, error: String },
    BadKey { path: PathBuf, error: String },
    WeakRsa { path: PathBuf, subject: String, bits: usize },
    Curve { path: PathBuf, subject: String, curve: String },
    KeyType { path: PathBuf, subject: String, algorithm: String },
    Signature { path: PathBuf, subject: String, algorithm: String },
    Expired { path: PathBuf, subject: String, since: String },
    NotYetValid { path: PathBuf, subject: String, from: String },
    Mismatch { certificate: PathBuf, key: PathBuf },
    BadCrl { path: PathBuf, error: String },
    CrlSignature { path: PathBuf, issuer: String, algorithm: String },
    CrlForged { path: PathBuf, issuer: String },
}

impl std::fmt::Display for CertificateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "{}: cannot be read: {error}", path.display()),
            Self::TooBig { path, bytes } => {
                write!(f, "{}: {bytes} bytes are no certificate or key, the limit is {PEM_BYTES_MAX}", path.display())
            }
            Self::BadPem { path, error } => write!(f, "{}: not PEM: {error}", path.display()),
            Self::NoCertificate { path } => write!(f, "{}: holds no certificate", path.display()),
            Self::NoCrl { path } => write!(f, "{}: holds no certificate revocation list", path.display()),
            Self::NoKey { path } => write!(f, "{}: holds no private key", path.display()),
            Self::EncryptedKey { path } => write!(
                f,
                "{}: the private key is encrypted, which is not supported: decrypt it (openssl pkey) and protect the \
                 file by its permissions",
                path.display()
            ),
            Self::BadCertificate { path, subject, error } => {
                write!(f, "{}: certificate {subject} is malformed: {error}", path.display())
            }
            Self::BadKey { path, error } => write!(f, "{}: the private key is not usable: {error}", path.display()),
            Self::WeakRsa { path, subject, bits } => write!(
                f,
                "{}: certificate {subject} has an RSA key of {bits} bits, at least {RSA_BITS_MIN} are approved",
                path.display()
            ),
            Self::Curve { path, subject, curve } => write!(
                f,
                "{}: certificate {subject} is on curve {curve}, approved are P-256, P-384 and P-521",
                path.display()
            ),
            Self::KeyType { path, subject, algorithm } => write!(
                f,
                "{}: certificate {subject} has a key of type {algorithm}, approved are RSA and ECDSA",
                path.display()
            ),
            Self::Signature { path, subject, algorithm } => write!(
                f,
                "{}: certificate {subject} is signed with {algorithm}, approved are SHA-256, SHA-384 and SHA-512 with \
                 RSA or ECDSA",
                path.display()
            ),
            Self::Expired { path, subject, since } => {
                write!(f, "{}: certificate {subject} expired on {since}", path.display())
            }
            Self::NotYetValid { path, subject, from } => {
                write!(f, "{}: certificate {subject} is not valid before {from}", path.display())
            }
            Self::Mismatch { certificate, key } => {
                write!(f, "{}: is not the key of the certificate in {}", key.display(), certificate.display())
            }
            Self::BadCrl { path, error } => write!(f, "{}: the revocation list is malformed: {error}", path.display()),
            Self::CrlSignature { path, issuer, algorithm } => write!(
                f,
                "{}: the revocation list of {issuer} is signed with {algorithm}, approved are SHA-256, SHA-384 and SHA-512 \
                 with RSA or ECDSA",
                path.display()
            ),
            Self::CrlForged { path, issuer } => write!(
                f,
                "{}: the revocation list says it is of {issuer}, and is not signed by the authority of that name",
                path.display()
            ),
        }
    }
}

impl std::error::Error for CertificateError {}

/// What to show of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub subject: String,
    pub issuer: String,
    /// Hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the DER form, lower-case hexadecimal in pairs joined by colons.
    pub fingerprint: String,
    /// `RSA 2048`, `EC P-256`.
    pub key: String,
    /// Seconds since 1970.
    pub not_before_s: i64,
    /// Seconds since 1970.
    pub not_after_s: i64,
}

/// A chain with its key, checked.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub key: Arc<CertifiedKey>,
    /// Of the leaf.
    pub identity: Identity,
}

/// Reads a chain (leaf first) and its key, both PEM: the key in PKCS#8, PKCS#1 or SEC1 form. `now_s` is in seconds since
/// 1970.
pub fn load(certificate: &Path, key: &Path, now_s: i64) -> Result<Loaded, CertificateError> {
    let chain = read_certificates(certificate)?;
    let mut leaf = None;
    for (position, der) in chain.iter().enumerate() {
        let parsed = parse(certificate, der)?;
        let identity = check_key(certificate, &parsed, der)?;
        // The signature of a root on itself vouches for nothing and is never checked; a chain may end with one.
        let is_root = position > 0 && parsed.subject() == parsed.issuer();
        if !is_root {
            check_signature(certificate, &parsed)?;
        }
        check_dates(certificate, &parsed, now_s)?;
        leaf.get_or_insert(identity);
    }
    let identity = leaf.ok_or_else(|| CertificateError::NoCertificate { path: certificate.to_owned() })?;

    let private = read_key(key)?;
    let signing = crypto::provider(&[])
        .key_provider
        .load_private_key(private)
        .map_err(|e| CertificateError::BadKey { path: key.to_owned(), error: e.to_string() })?;
    let certified = CertifiedKey::new(chain, signing);
    certified
        .keys_match()
        .map_err(|_| CertificateError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() })?;
    Ok(Loaded { key: Arc::new(certified), identity })
}

/// Certificates to trust.
#[derive(Debug, Clone)]
pub struct Roots {
    pub store: Arc<RootCertStore>,
    /// What is in it, as it came.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The one that expires first.
    pub earliest: Option<Identity>,
    /// One sentence for each certificate that was left out, for the log.
    pub left_out: Vec<String>,
}

/// Reads the CAs of a PEM file and of the PEM files of a folder. At least one must remain.
///
/// In `file` a CA that is not approved, or out of its dates, is an error. A folder is what a distribution puts together,
/// so there it is left out and named.
pub fn load_roots(file: Option<&Path>, folder: Option<&Path>, now_s: i64) -> Result<Roots, CertificateError> {
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    let mut left_out = Vec::new();
    let mut earliest: Option<Identity> = None;
    let mut note = |identity: Option<Identity>| {
        if let Some(i) = identity
            && earliest.as_ref().is_none_or(|e| i.not_after_s < e.not_after_s)
        {
            earliest = Some(i);
        }
    };
    if let Some(file) = file {
        for der in read_certificates(file)? {
            let identity = identify(&der);
            certificates.push(der.clone());
            add_root(&mut store, file, der, now_s)?;
            note(identity);
        }
    }
    if let Some(folder) = folder {
        let unreadable = |error| CertificateError::Unreadable { path: folder.to_owned(), error };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.sort();
        for path in paths.iter().filter(|p| p.is_file()) {
            match read_certificates(path) {
                Ok(found) => {
                    for der in found {
                        let identity = identify(&der);
                        match add_root(&mut store, path, der.clone(), now_s) {
                            Ok(()) => {
                                certificates.push(der);
                                note(identity);
                            }
                            Err(error) => left_out.push(error.to_string()),
                        }
                    }
                }
                Err(error) => left_out.push(error.to_string()),
            }
        }
    }
    if store.is_empty() {
        let path = file.or(folder).unwrap_or(Path::new("")).to_owned();
        return Err(CertificateError::NoCertificate { path });
    }
    Ok(Roots { store: Arc::new(store), certificates, earliest, left_out })
}

fn add_root(
    store: &mut RootCertStore,
    path: &Path,
    der: CertificateDer<'static>,
    now_s: i64,
) -> Result<(), CertificateError> {
    let subject = {
        let parsed = parse(path, &der)?;
        check_key(path, &parsed, &der)?;
        if parsed.subject() != parsed.issuer() {
            check_signature(path, &parsed)?;
        }
        check_dates(path, &parsed, now_s)?;
        parsed.subject().to_string()
    };
    store.add(der).map_err(|e| CertificateError::BadCertificate {
        path: path.to_owned(),
        subject,
        error: e.to_string(),
    })
}

/// What a certificate says of itself, or `None` when it cannot be read. No check is made.
pub fn identify(der: &[u8]) -> Option<Identity> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let key = match describe_key(&parsed) {
        Ok(text) | Err(KeyFault::Curve(text) | KeyFault::Type(text)) => text,
        Err(KeyFault::WeakRsa(bits)) => format!("RSA {bits}"),
    };
    Some(identity(&parsed, der, key))
}

/// What the first certificate of a PEM file says of itself; `None` when it cannot be read.
pub fn identify_file(path: &Path) -> Option<Identity> {
    read_certificates(path).ok()?.first().and_then(|der| identify(der))
}

fn identity(parsed: &X509Certificate<'_>, der: &[u8], key: String) -> Identity {
    Identity {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        serial: crypto::hex(parsed.raw_serial()),
        fingerprint: fingerprint(der),
        key,
        not_before_s: parsed.validity().not_before.timestamp(),
        not_after_s: parsed.validity().not_after.timestamp(),
    }
}

/// SHA-256 of the DER form as `ab:cd:...`.
pub fn fingerprint(der: &[u8]) -> String {
    let pairs: Vec<String> = crypto::sha256(der).iter().map(|b| format!("{b:02x}")).collect();
    pairs.join(":")
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |error| CertificateError::Unreadable { path: path.to_owned(), error };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > PEM_BYTES_MAX {
        return Err(CertificateError::TooBig { path: path.to_owned(), bytes });
    }
    storage::read_regular(path, PEM_BYTES_MAX).map_err(unreadable)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = read_bounded(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|e| CertificateError::BadPem { path: path.to_owned(), error: e.to_string() })?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

/// Revocation lists to believe.
#[derive(Debug, Clone, Default)]
pub struct Crls {
    pub lists: Vec<CertificateRevocationListDer<'static>>,
    /// A sentence for each that is out of its dates, for the log: it is believed all the same, since what it revokes stays revoked.
    pub stale: Vec<String>,
}

/// Reads the revocation lists of a PEM file. One that says it is of one of `authorities` is signed by it: where such a list could not
/// be verified every client would be refused. One of another name may be an intermediate authority's, which is not known here.
pub fn load_crls(path: &Path, authorities: &[CertificateDer<'_>], now_s: i64) -> Result<Crls, CertificateError> {
    let text = read_bounded(path)?;
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|e| CertificateError::BadPem { path: path.to_owned(), error: e.to_string() })?;
    if lists.is_empty() {
        return Err(CertificateError::NoCrl { path: path.to_owned() });
    }
    let mut stale = Vec::new();
    for der in &lists {
        let bad = |e: String| CertificateError::BadCrl { path: path.to_owned(), error: e };
        let (_, list) = CertificateRevocationList::from_der(der).map_err(|e| bad(e.to_string()))?;
        let issuer = list.issuer().to_string();
        if let Err(algorithm) = approved(&list.signature_algorithm) {
            return Err(CertificateError::CrlSignature { path: path.to_owned(), issuer, algorithm });
        }
        let mut named = authorities
            .iter()
            .filter_map(|der| X509Certificate::from_der(der).ok())
            .map(|(_, authority)| authority)
            .filter(|authority| authority.subject().as_raw() == list.issuer().as_raw())
            .peekable();
        if named.peek().is_some() && !named.any(|authority| signed(&list, &authority)) {
            return Err(CertificateError::CrlForged { path: path.to_owned(), issuer });
        }
        if let Some(next) = list.next_update().filter(|next| next.timestamp() < now_s) {
            stale.push(format!(
                "{}: the revocation list of {issuer} should have been replaced by {next}: what was revoked since then is let in",
                path.display()
            ));
        }
    }
    Ok(Crls { lists, stale })
}

/// Whether a list has the signature of an authority.
fn signed(list: &CertificateRevocationList<'_>, authority: &X509Certificate<'_>) -> bool {
    let key = &authority.public_key().subject_public_key.data;
    let algorithms = crypto::provider(&[]).signature_verification_algorithms.all;
    // One of another kind of key, or of another digest, verifies nothing.
    algorithms.iter().any(|a| a.verify_signature(key, list.tbs_cert_list.as_ref(), &list.signature_value.data).is_ok())
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let text = zeroize::Zeroizing::new(read_bounded(path)?);
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(_) if memchr::memmem::find(&text, b"Proc-Type: 4,ENCRYPTED").is_some() => {
            Err(CertificateError::EncryptedKey { path: path.to_owned() })
        }
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if memchr::memmem::find(&text, b"BEGIN ENCRYPTED PRIVATE KEY").is_some() => {
            Err(CertificateError::EncryptedKey { path: path.to_owned() })
        }
        Err(pem::Error::NoItemsFound) => Err(CertificateError::NoKey { path: path.to_owned() }),
        Err(_) if memchr::memmem::find(&text, b"Proc-Type: 4,ENCRYPTED").is_some() => {
            Err(CertificateError::EncryptedKey { path: path.to_owned() })
        }
        Err(e) => Err(CertificateError::BadPem { path: path.to_owned(), error: e.to_string() }),
    }
}

fn parse<'a>(path: &Path, der: &'a [u8]) -> Result<X509Certificate<'a>, CertificateError> {
    X509Certificate::from_der(der).map(|(_, parsed)| parsed).map_err(|e| CertificateError::BadCertificate {
        path: path.to_owned(),
        subject: fingerprint(der),
        error: e.to_string(),
    })
}

enum KeyFault {
    WeakRsa(usize),
    Curve(String),
    Type(String),
}

/// `RSA 3072`, `EC P-256`, or why the key is not approved.
fn describe_key(parsed: &X509Certificate<'_>) -> Result<String, KeyFault> {
    let spki = parsed.public_key();
    match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) => match rsa.key_size() {
            bits if bits < RSA_BITS_MIN => Err(KeyFault::WeakRsa(bits)),
            bits => Ok(format!("RSA {bits}")),
        },
        Ok(PublicKey::EC(_)) => {
            let oid = spki.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok()).map(|o| o.to_id_string());
            match oid.as_deref() {
                Some("1.2.840.10045.3.1.7") => Ok("EC P-256".into()),
                Some("1.3.132.0.34") => Ok("EC P-384".into()),
                Some("1.3.132.0.35") => Ok("EC P-521".into()),
                Some("1.3.132.0.10") => Err(KeyFault::Curve("secp256k1".into())),
                Some("1.3.132.0.33") => Err(KeyFault::Curve("P-224".into())),
                Some(other) => Err(KeyFault::Curve(other.into())),
                None => Err(KeyFault::Curve("given by explicit parameters".into())),
            }
        }
        _ => Err(KeyFault::Type(match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".into(),
            "1.3.101.113" => "Ed448".into(),
            "1.2.840.10040.4.1" => "DSA".into(),
            other => other.into(),
        })),
    }
}

fn check_key(path: &Path, parsed: &X509Certificate<'_>, der: &[u8]) -> Result<Identity, CertificateError> {
    let path = path.to_owned();
    let subject = parsed.subject().to_string();
    match describe_key(parsed) {
        Ok(key) => Ok(identity(parsed, der, key)),
        Err(KeyFault::WeakRsa(bits)) => Err(CertificateError::WeakRsa { path, subject, bits }),
        Err(KeyFault::Curve(curve)) => Err(CertificateError::Curve { path, subject, curve }),
        Err(KeyFault::Type(algorithm)) => Err(CertificateError::KeyType { path, subject, algorithm }),
    }
}

fn check_signature(path: &Path, parsed: &X509Certificate<'_>) -> Result<(), CertificateError> {
    approved(&parsed.signature_algorithm).map_err(|algorithm| CertificateError::Signature {
        path: path.to_owned(),
        subject: parsed.subject().to_string(),
        algorithm,
    })
}

/// Whether signatures of this kind are approved, or its name. The digest is what matters: SHA-1 and MD5 by name, and anything that is
/// not known to be approved by its number.
fn approved(algorithm: &AlgorithmIdentifier<'_>) -> Result<(), String> {
    let oid = algorithm.algorithm.to_id_string();
    Err(match oid.as_str() {
        // RSA with SHA-256, -384, -512; ECDSA with the same.
        "1.2.840.113549.1.1.11" | "1.2.840.113549.1.1.12" | "1.2.840.113549.1.1.13" => return Ok(()),
        "1.2.840.10045.4.3.2" | "1.2.840.10045.4.3.3" | "1.2.840.10045.4.3.4" => return Ok(()),
        "1.2.840.113549.1.1.10" => match pss_digest(algorithm).as_deref() {
            Some("2.16.840.1.101.3.4.2.1" | "2.16.840.1.101.3.4.2.2" | "2.16.840.1.101.3.4.2.3") => return Ok(()),
            // What the standard takes when the parameters are absent.
            Some("1.3.14.3.2.26") | None => "RSA-PSS with SHA-1".to_owned(),
            Some(other) => format!("RSA-PSS with {other}"),
        },
        "1.2.840.113549.1.1.2" => "RSA with MD2".to_owned(),
        "1.2.840.113549.1.1.4" => "RSA with MD5".to_owned(),
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "RSA with SHA-1".to_owned(),
        "1.2.840.10045.4.1" => "ECDSA with SHA-1".to_owned(),
        "1.2.840.10040.4.3" => "DSA with SHA-1".to_owned(),
        "1.3.101.112" => "Ed25519".to_owned(),
        other => other.to_owned(),
    })
}

fn pss_digest(algorithm: &AlgorithmIdentifier<'_>) -> Option<String> {
    match SignatureAlgorithm::try_from(algorithm).ok()? {
        SignatureAlgorithm::RSASSA_PSS(parameters) => Some(parameters.hash_algorithm_oid().to_id_string()),
        _ => None,
    }
}

fn check_dates(path: &Path, parsed: &X509Certificate<'_>, now_s: i64) -> Result<(), CertificateError> {
    let validity = parsed.validity();
    let path = path.to_owned();
    let subject = parsed.subject().to_string();
    if now_s < validity.not_before.timestamp() {
        return Err(CertificateError::NotYetValid { path, subject, from: validity.not_before.to_string() });
    }
    if now_s > validity.not_after.timestamp() {
        return Err(CertificateError::Expired { path, subject, since: validity.not_after.to_string() });
    }
    Ok(())
}
