//! TLS: certificates, versions, suites. Everything here is held against the FIPS lists when it is read.

use std::path::PathBuf;

use crate::config::codec::{File, INT, OneOf, PORT, Password, YesNo};
use crate::config::row::{Standing, topic};
use crate::config::special::{TlsNames, TlsProtocols};
use crate::config::types::{Secret, TlsAuthClients, TlsAuthClientsUser};

/// TLS 1.2 suites in OpenSSL's names.
const CIPHERS: TlsNames = TlsNames {
    approved: &[
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ],
    openssl_list: true,
};
/// TLS 1.3 suites.
const CIPHERSUITES: TlsNames =
    TlsNames { approved: &["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"], openssl_list: false };

const DH: &str = "finite-field Diffie-Hellman suites are not offered";

topic! {
    /// Certificates, versions, suites.
    Tls in tls, "TLS";

    /// TLS port; 0 does not listen. When a plaintext `port` is configured and this is not, it is 0.
    "tls-port" => port: u16 = 6379, PORT, Runtime, Open, Standing::Works;
    /// Make a certificate authority and a P-256 certificate under `dir` when `tls-cert-file` is not set; `no` refuses
    /// to start without one.
    "tls-auto-generate" => auto_generate: bool = true, YesNo, Start, Open, Standing::Works;
    /// Certificate chain of the server, PEM.
    "tls-cert-file" => cert_file: Option<PathBuf> = None, File, Runtime, Open, Standing::Works;
    /// Private key of the server, PEM.
    "tls-key-file" => key_file: Option<PathBuf> = None, File, Runtime, Open, Standing::Works;
    /// Pass phrase of the private key.
    "tls-key-file-pass" => key_file_pass: Secret = Secret::default(), Password, Runtime, Secret, Standing::Works;
    /// Certificates of the authorities that clients' certificates are held against, PEM.
    "tls-ca-cert-file" => ca_cert_file: Option<PathBuf> = None, File, Runtime, Open, Standing::Works;
    /// Folder of such certificates.
    "tls-ca-cert-dir" => ca_cert_dir: Option<PathBuf> = None, File, Runtime, Open, Standing::Works;
    /// Lists of revoked client certificates, PEM; read again with the certificates.
    "tls-crl-file" => crl_file: Option<PathBuf> = None, File, Runtime, Open, Standing::Works;
    /// Whether clients must show a certificate. With generated certificates, where no client can have one, it is `no`
    /// unless it is set.
    "tls-auth-clients" => auth_clients: TlsAuthClients = TlsAuthClients::Yes, OneOf, Runtime, Open, Standing::Works;
    /// Log a client in as the user its certificate names, in this field.
    "tls-auth-clients-user" => auth_clients_user: TlsAuthClientsUser = TlsAuthClientsUser::Off, OneOf, Runtime, Open, Standing::Works;
    /// Versions to speak; empty is TLS 1.2 and TLS 1.3. Older ones are not approved.
    "tls-protocols" => protocols: String = String::new(), TlsProtocols, Runtime, Open, Standing::Works;
    /// Suites for TLS 1.2, in OpenSSL's names; empty is every approved one.
    "tls-ciphers" => ciphers: String = String::new(), CIPHERS, Runtime, Open, Standing::Works;
    /// Suites for TLS 1.3; empty is every approved one.
    "tls-ciphersuites" => ciphersuites: String = String::new(), CIPHERSUITES, Runtime, Open, Standing::Works;
    /// Choose by the server's order of suites, not the client's.
    "tls-prefer-server-ciphers" => prefer_server_ciphers: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Let clients resume a session without a full handshake.
    "tls-session-caching" => session_caching: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Sessions kept here for clients that know no tickets; 0 keeps none. Others keep theirs themselves, as tickets.
    "tls-session-cache-size" => session_cache_size: u32 = 20 * 1024, INT, Runtime, Open, Standing::Works;
    /// Seconds for which a session can be resumed, by ticket or from the cache; the protocol allows a week at most. 0 resumes none.
    "tls-session-cache-timeout" => session_cache_timeout_secs: u32 = 300, INT, Runtime, Open, Standing::Works;
    /// Seconds between looks for changed certificate files; 0 never looks.
    "tls-auto-reload-interval" => auto_reload_interval_secs: u32 = 0, INT, Runtime, Open, Standing::Works;
    /// Certificate for connections this server opens.
    "tls-client-cert-file" => client_cert_file: Option<PathBuf> = None, File, Runtime, Open, Standing::Works;
    /// Private key for connections this server opens.
    "tls-client-key-file" => client_key_file: Option<PathBuf> = None, File, Runtime, Open, Standing::Works;
    /// Pass phrase of that key.
    "tls-client-key-file-pass" => client_key_file_pass: Secret = Secret::default(), Password, Runtime, Secret, Standing::Missing("encrypted private keys are not supported");
    /// TLS on replication links, with the primary's certificate verified. Without a `tls-port` it is `no` unless it is set.
    "tls-replication" => replication: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// TLS on the cluster bus, with the certificates of both sides verified. Without a `tls-port` it is `no` unless it is set.
    "tls-cluster" => cluster: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Diffie-Hellman parameters.
    "tls-dh-params-file" => dh_params_file: Option<PathBuf> = None, File, Runtime, Open, Standing::Inert(DH);
}
