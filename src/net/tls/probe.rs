//! TLS configurations with every default and no certificate, for the start-up gate to judge: what holds of these holds of
//! all that [`super::config`] makes, which differ by narrower lists and by certificates.

use std::sync::Arc;

use rustls::server::ResolvesServerCertUsingSni;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::config::{TlsError, protocols};
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
