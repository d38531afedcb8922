//! TLS of the command line client: a rustls client configuration over the approved provider, or a sentence why not.
//! It must never make a configuration that the module does not call approved.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::options::TlsOptions;

/// Where distributions keep the system's certificate authorities.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// # Errors
/// A file cannot be read or holds no certificate, a suite is not approved, or the result is not in FIPS mode.
pub fn configuration(options: &TlsOptions) -> Result<Arc<ClientConfig>, String> {
    let mut provider = rustls::crypto::default_fips_provider();
    restrict_suites(&mut provider, options)?;
    let provider = Arc::new(provider);
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let builder = if options.insecure {
        let verifier = Unverified(provider.signature_verification_algorithms);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        builder.with_root_certificates(roots(options)?)
    };
    let mut config = match (&options.cert, &options.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), key) => {
            let chain = certificates(cert)?;
            let key = key.as_deref().unwrap_or(cert);
            let secret =
                PrivateKeyDer::from_pem_file(key).map_err(|e| format!("Invalid key file {}: {e}", key.display()))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|e| format!("Invalid client certificate or key: {e}"))?
        }
        (None, Some(_)) => return Err("--key needs --cert".to_string()),
    };
    // TLS 1.2 without the extended master secret is not approved.
    config.require_ems = true;
    if config.fips() {
        Ok(Arc::new(config))
    } else {
        Err("the TLS configuration is not approved in FIPS mode".to_string())
    }
}

fn roots(options: &TlsOptions) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let mut add = |path: &Path| -> Result<usize, String> {
        let (added, _) = store.add_parsable_certificates(certificates(path)?);
        Ok(added)
    };
    if let Some(file) = &options.ca_file
        && add(file)? == 0
    {
        return Err(format!("Invalid CA Certificate File {}: no usable certificate in it", file.display()));
    }
    if let Some(dir) = &options.ca_dir {
        let entries =
            fs::read_dir(dir).map_err(|e| format!("Invalid CA Certificate Directory {}: {e}", dir.display()))?;
        for entry in entries.flatten() {
            // A folder of authorities holds other files as well (revocation lists, a README).
            let _ = add(&entry.path());
        }
    }
    if options.ca_file.is_none() && options.ca_dir.is_none() {
        let bundle = SYSTEM_BUNDLES.iter().map(Path::new).find(|p| p.exists());
        if let Some(bundle) = bundle {
            add(bundle)?;
        }
        if store.is_empty() {
            return Err("no certificate authority to trust on this system: name one with --cacert".to_string());
        }
    } else if store.is_empty() {
        return Err("no usable certificate authority in --cacertdir".to_string());
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let say = |e: &dyn std::fmt::Display| format!("Invalid certificate file {}: {e}", path.display());
    let chain = CertificateDer::pem_file_iter(path).map_err(|e| say(&e))?;
    chain.collect::<Result<_, _>>().map_err(|e| say(&e))
}

/// Keeps the suites that were named. OpenSSL's groups (`DEFAULT`, `HIGH`, `ALL`) keep all, exclusions take nothing away
/// that is still here.
fn restrict_suites(provider: &mut CryptoProvider, options: &TlsOptions) -> Result<(), String> {
    let mut all = std::mem::take(&mut provider.cipher_suites);
    for (list, flag, tls13) in
        [(&options.ciphers, "--tls-ciphers", false), (&options.ciphersuites, "--tls-ciphersuites", true)]
    {
        let Some(list) = list else { continue };
        let mut names = Vec::new();
        let mut every = false;
        for name in list.split([':', ',', ' ']).filter(|n| !n.is_empty()) {
            match name {
                "DEFAULT" | "HIGH" | "ALL" | "FIPS" => every = true,
                _ if name.starts_with(['!', '-', '@']) => {}
                _ => {
                    let canonical = canonical_suite(name);
                    if !all.iter().any(|s| format!("{:?}", s.suite()) == canonical && s.tls13().is_some() == tls13) {
                        return Err(format!("{flag}: {name} is not an approved cipher suite"));
                    }
                    names.push(canonical);
                }
            }
        }
        if !every {
            all.retain(|s| s.tls13().is_some() != tls13 || names.contains(&format!("{:?}", s.suite())));
        }
    }
    provider.cipher_suites = all;
    if provider.cipher_suites.is_empty() { Err("no cipher suite is left".to_string()) } else { Ok(()) }
}

/// rustls' name of a suite from OpenSSL's or IANA's.
fn canonical_suite(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("TLS_ECDHE") {
        return format!("TLS_ECDHE{rest}");
    }
    match name {
        "ECDHE-ECDSA-AES256-GCM-SHA384" => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".to_string(),
        "ECDHE-ECDSA-AES128-GCM-SHA256" => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_string(),
        "ECDHE-RSA-AES256-GCM-SHA384" => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".to_string(),
        "ECDHE-RSA-AES128-GCM-SHA256" => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_string(),
        _ => name.replacen("TLS_", "TLS13_", 1),
    }
}

/// `--insecure`: any certificate will do, but the peer must still hold its key.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
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
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_chosen_by_openssl_names_and_others_are_refused_by_name() {
        let chosen = |ciphers: Option<&str>, suites: Option<&str>| {
            let options = TlsOptions {
                ciphers: ciphers.map(String::from),
                ciphersuites: suites.map(String::from),
                insecure: true,
                ..TlsOptions::default()
            };
            configuration(&options).map(|c| c.crypto_provider().cipher_suites.len())
        };
        assert_eq!(chosen(None, None), Ok(6));
        assert_eq!(chosen(Some("ECDHE-RSA-AES128-GCM-SHA256"), Some("TLS_AES_256_GCM_SHA384")), Ok(2));
        assert_eq!(chosen(Some("DEFAULT:!MEDIUM"), None), Ok(6));
        let refused = chosen(None, Some("TLS_CHACHA20_POLY1305_SHA256")).unwrap_err();
        assert!(refused.contains("TLS_CHACHA20_POLY1305_SHA256"), "{refused}");
    }
}
