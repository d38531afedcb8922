//! TLS material from the configuration.

use crate::base::clock;
use crate::config::Config;
use crate::config::types::TlsAuthClients;
use crate::engine::client_tls;
use crate::net::tls::certificate;
use crate::net::tls::config::{AuthClients, ServerTls, TlsError, TlsParameters, server};
use crate::net::tls::facts::{Facts, stamp};
use crate::net::tls::generate::{self, GenerateError, Generated};
use std::path::{Path, PathBuf};

/// Why there is no TLS configuration.
#[derive(Debug)]
pub enum TlsSetupError {
    /// No certificate is configured and none may be generated.
    NoCertificate,
    /// One of certificate and key is missing.
    Half(&'static str),
    Generate(GenerateError),
    Tls(TlsError),
    /// The certificate shown to other servers.
    Client(String),
}

impl std::fmt::Display for TlsSetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoCertificate => f.write_str(
                "TLS has no certificate: set tls-cert-file and tls-key-file, or allow one to be generated with \
                 tls-auto-generate yes",
            ),
            Self::Half(missing) => write!(f, "TLS has only half a certificate: {missing} is not set"),
            Self::Generate(e) => write!(f, "TLS material could not be generated: {e}"),
            Self::Tls(e) => e.fmt(f),
            Self::Client(e) => f.write_str(e),
        }
    }
}

/// A server's TLS: its configuration and, if its certificates were generated, what they are.
pub struct Tls {
    pub server: ServerTls,
    pub generated: Option<Generated>,
    pub ca_file: Option<PathBuf>,
}

/// Makes the configuration of the TLS listeners.
pub fn setup(config: &Config, dir: &Path, now_s: i64) -> Result<Tls, TlsSetupError> {
    let tls = with_clients(config, config.tls.auth_clients, dir, now_s)?;
    if config.tls.client_cert_file.is_some() || config.tls.client_key_file.is_some() {
        // What is shown to other servers is read when they are dialled; whether it can be used is told now.
        client_tls(config, None).map_err(TlsSetupError::Client)?;
    }
    Ok(tls)
}

/// Makes the configuration of the HTTP endpoint: the same certificate, its own rule for clients.
pub fn http(config: &Config, dir: &Path, now_s: i64) -> Result<Tls, TlsSetupError> {
    with_clients(config, config.monitoring.auth_clients, dir, now_s)
}

/// Makes the configuration of the cluster bus: the same certificate, and every node shows one of its own.
pub fn bus(config: &Config, dir: &Path, now_s: i64) -> Result<Tls, TlsSetupError> {
    with_clients(config, TlsAuthClients::Yes, dir, now_s)
}

fn with_clients(config: &Config, auth_clients: TlsAuthClients, dir: &Path, now_s: i64) -> Result<Tls, TlsSetupError> {
    let t = &config.tls;
    let mut generated = None;
    let (certificate, key) = match (&t.cert_file, &t.key_file) {
        (Some(c), Some(k)) => (c.clone(), k.clone()),
        (Some(_), None) => return Err(TlsSetupError::Half("tls-key-file")),
        (None, Some(_)) => return Err(TlsSetupError::Half("tls-cert-file")),
        (None, None) if !t.auto_generate => return Err(TlsSetupError::NoCertificate),
        (None, None) => {
            let g = generate::ensure(dir, &hostname(), now_s).map_err(TlsSetupError::Generate)?;
            let paths = (g.paths.certificate.clone(), g.paths.key.clone());
            generated = Some(g);
            paths
        }
    };
    let ca_file = t.ca_cert_file.clone().or_else(|| generated.as_ref().map(|g| g.paths.ca_certificate.clone()));
    let pass = String::from_utf8_lossy(t.key_file_pass.expose()).into_owned();
    let parameters = TlsParameters {
        certificate,
        key,
        key_file_pass: (!pass.is_empty()).then_some(pass),
        ca_file: ca_file.clone(),
        ca_folder: t.ca_cert_dir.clone(),
        crl_file: t.crl_file.clone(),
        auth_clients: match auth_clients {
            TlsAuthClients::No => AuthClients::No,
            TlsAuthClients::Optional => AuthClients::Optional,
            TlsAuthClients::Yes => AuthClients::Yes,
        },
        protocols: t.protocols.clone(),
        ciphers: t.ciphers.clone(),
        ciphersuites: t.ciphersuites.clone(),
        prefer_server_ciphers: t.prefer_server_ciphers,
        session_caching: t.session_caching,
        session_cache_size: t.session_cache_size as usize,
        session_lifetime_s: t.session_cache_timeout_secs,
    };
    let server = server(&parameters, now_s).map_err(TlsSetupError::Tls)?;
    Ok(Tls { server, generated, ca_file })
}

/// What INFO shows of material that is being put in place.
pub fn facts(config: &Config, dir: &Path, tls: &Tls) -> Facts {
    let t = &config.tls;
    let generated = tls.generated.as_ref().map(|g| g.paths.certificate.clone());
    let certificate = t.cert_file.clone().or(generated);
    let files: Vec<PathBuf> = [
        certificate,
        t.key_file.clone(),
        t.ca_cert_file.clone(),
        t.ca_cert_dir.clone(),
        t.crl_file.clone(),
        t.client_cert_file.clone(),
    ]
    .into_iter()
    .flatten()
    .map(|p| dir.join(p))
    .collect();
    let of_file = |path: &PathBuf| certificate::identify_file(&dir.join(path));
    // Where no client is asked for a certificate nothing of the authority was loaded, and it is still what the files say.
    let ca = tls.server.ca.clone().or_else(|| {
        let ca_file = tls.ca_file.as_ref().map(|p| dir.join(p));
        let folder = t.ca_cert_dir.as_ref().map(|p| dir.join(p));
        let now_s = clock::wall_ms() / 1000;
        certificate::load_roots(ca_file.as_deref(), folder.as_deref(), now_s).ok().and_then(|r| r.earliest)
    });
    Facts {
        server: Some(tls.server.identity.clone()),
        ca,
        client: t.client_cert_file.as_ref().and_then(of_file),
        loaded_ms: clock::wall_ms(),
        files: files
            .into_iter()
            .map(|p| {
                let s = stamp(&p);
                (p, s)
            })
            .collect(),
        ..Facts::default()
    }
}

pub(super) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "localhost".into(), |h| h.trim().to_owned())
}
