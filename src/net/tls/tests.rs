//! Claims about loading, generating and configuring.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::certificate::{self, CertificateError};
use super::config::{self, AuthClients, TlsError, TlsParameters, protocols, suites};
use super::generate::{self, Paths};

const DAY_S: i64 = 24 * 60 * 60;
/// 2027-01-15: within the dates of every fixture.
const NOW_S: i64 = 1_800_000_000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn refusal(certificate: &str) -> String {
    certificate::load(&fixture(certificate), &fixture("rsa-pkcs1.key"), NOW_S).unwrap_err().to_string()
}

#[test]
fn each_kind_of_unapproved_certificate_is_refused_in_its_own_words() {
    for (file, words) in [
        ("rsa1024.crt", "certificate CN=rsa1024 has an RSA key of 1024 bits, at least 2048 are approved"),
        ("sha1.crt", "certificate CN=sha1 is signed with RSA with SHA-1"),
        ("md5.crt", "certificate CN=md5 is signed with RSA with MD5"),
        ("pss-sha1.crt", "certificate CN=pss-sha1 is signed with RSA-PSS with SHA-1"),
        ("secp256k1.crt", "certificate CN=secp256k1 is on curve secp256k1, approved are P-256, P-384 and P-521"),
        ("ed25519.crt", "certificate CN=ed25519 has a key of type Ed25519"),
        ("rsa-pkcs1.key", "holds no certificate"),
        ("absent.crt", "cannot be read: No such file or directory"),
        // Approved, with another's key.
        ("pss-sha256.crt", "is not the key of the certificate in"),
        ("p384.crt", "is not the key of the certificate in"),
    ] {
        let said = refusal(file);
        assert!(said.contains(words) && said.contains(file), "{file}: {said}");
    }
}

#[test]
fn keys_load_in_each_form() {
    for (certificate, key, kind) in
        [("rsa.crt", "rsa-pkcs1.key", "RSA 2048"), ("p384.crt", "p384-sec1.key", "EC P-384")]
    {
        let loaded = certificate::load(&fixture(certificate), &fixture(key), NOW_S).unwrap();
        assert_eq!(loaded.identity.key, kind);
        assert_eq!(loaded.identity.fingerprint.len(), 32 * 3 - 1);
    }
    // PKCS#8 is what generated ones have; see below.
}

#[test]
fn encrypted_and_missing_keys_are_refused_with_the_remedy() {
    for key in ["encrypted-pkcs8.key", "encrypted-sec1.key"] {
        let error = certificate::load(&fixture("rsa.crt"), &fixture(key), NOW_S).unwrap_err();
        assert!(matches!(error, CertificateError::EncryptedKey { .. }), "{key}: {error}");
        assert!(error.to_string().contains("openssl pkey"));
    }
    let error = certificate::load(&fixture("rsa.crt"), &fixture("rsa.crt"), NOW_S).unwrap_err();
    assert!(matches!(error, CertificateError::NoKey { .. }), "{error}");
}

#[test]
fn dates_are_checked_at_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let made = generate::ensure(folder.path(), "", NOW_S).unwrap();
    let at = |now_s| certificate::load(&made.paths.certificate, &made.paths.key, now_s);
    assert!(at(NOW_S).is_ok());
    assert!(matches!(at(NOW_S - DAY_S), Err(CertificateError::NotYetValid { .. })));
    assert!(matches!(at(NOW_S + 398 * DAY_S), Err(CertificateError::Expired { .. })));
    let roots = certificate::load_roots(Some(&made.paths.ca_certificate), None, NOW_S + 3651 * DAY_S);
    assert!(matches!(roots, Err(CertificateError::Expired { .. })));
}

#[test]
fn a_folder_of_cas_leaves_unapproved_ones_out_by_name() {
    let roots = certificate::load_roots(None, Some(&fixture("")), NOW_S).unwrap();
    // rsa, p384, pss-sha256, and sha1, md5, pss-sha1, whose signatures on themselves vouch for nothing.
    assert_eq!(roots.store.len(), 6);
    assert!(roots.left_out.iter().any(|l| l.contains("rsa1024.crt")), "{:?}", roots.left_out);
    assert!(roots.left_out.iter().any(|l| l.contains("ed25519.crt")));
    let empty = tempfile::tempdir().unwrap();
    assert!(certificate::load_roots(None, Some(empty.path()), NOW_S).is_err());
}

#[test]
fn generated_files_are_private_reused_and_renewed_under_the_same_ca() {
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::under(folder.path());
    let first = generate::ensure(folder.path(), "host.example", NOW_S).unwrap();
    assert!(first.new_ca && first.new_leaf);
    for key in [&paths.ca_key, &paths.key] {
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let again = generate::ensure(folder.path(), "host.example", NOW_S + 300 * DAY_S).unwrap();
    assert!(!again.new_ca && !again.new_leaf);
    assert_eq!(again.leaf, first.leaf);

    let renewed = generate::ensure(folder.path(), "host.example", NOW_S + 380 * DAY_S).unwrap();
    assert!(!renewed.new_ca && renewed.new_leaf);
    assert_eq!(renewed.ca, first.ca);
    assert_ne!(renewed.leaf.fingerprint, first.leaf.fingerprint);

    std::fs::write(&paths.key, "torn").unwrap();
    assert!(generate::ensure(folder.path(), "host.example", NOW_S).unwrap().new_leaf);
    std::fs::remove_file(&paths.ca_key).unwrap();
    let anew = generate::ensure(folder.path(), "host.example", NOW_S).unwrap();
    assert!(anew.new_ca && anew.new_leaf);
    assert_ne!(anew.ca.fingerprint, first.ca.fingerprint);
}

#[test]
fn a_renewed_leaf_verifies_under_the_ca_clients_already_trust() {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    let folder = tempfile::tempdir().unwrap();
    let first = generate::ensure(folder.path(), "host.example", NOW_S).unwrap();
    let roots = certificate::load_roots(Some(&first.paths.ca_certificate), None, NOW_S).unwrap();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots.store, crate::crypto::provider(&[])).build().unwrap();
    for later_days in [0, 380] {
        let now_s = NOW_S + later_days * DAY_S;
        let made = generate::ensure(folder.path(), "host.example", now_s).unwrap();
        let loaded = certificate::load(&made.paths.certificate, &made.paths.key, now_s).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now_s as u64));
        for name in ["localhost", "host.example", "127.0.0.1", "::1"] {
            let server = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&loaded.key.cert[0], &[], &server, &[], now).unwrap();
        }
        let other = ServerName::try_from("other.example").unwrap();
        assert!(verifier.verify_server_cert(&loaded.key.cert[0], &[], &other, &[], now).is_err());
    }
}

fn named(ciphers: &str, ciphersuites: &str) -> Result<Vec<&'static str>, String> {
    let chosen = suites(ciphers, ciphersuites, &protocols("").unwrap()).map_err(|e| e.to_string())?;
    Ok(chosen.iter().map(|s| s.openssl).collect())
}

#[test]
fn cipher_lists_select_among_approved_suites_in_their_order() {
    assert_eq!(named("", "").unwrap().len(), 6);
    assert_eq!(named("DEFAULT:!MEDIUM", "").unwrap().len(), 6);
    assert_eq!(named("HIGH:!aNULL:!MD5:!CHACHA20:@STRENGTH", "").unwrap().len(), 6);
    assert_eq!(
        named("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384", "TLS_AES_128_GCM_SHA256").unwrap(),
        ["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"]
    );
    assert_eq!(
        named("ECDHE+AESGCM:!AES128:!aRSA", "TLS_AES_256_GCM_SHA384").unwrap(),
        ["TLS_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"]
    );
    assert_eq!(
        named("ALL:+ECDSA:-AES128", "").unwrap()[2..],
        ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"]
    );
}

#[test]
fn unapproved_names_are_errors_that_name_them() {
    for (ciphers, ciphersuites, word) in [
        ("ECDHE-RSA-CHACHA20-POLY1305", "", "tls-ciphers: 'ECDHE-RSA-CHACHA20-POLY1305' is not approved"),
        ("DEFAULT:AES128-SHA", "", "'AES128-SHA'"),
        ("RC4", "", "'RC4'"),
        ("TLS_AES_128_GCM_SHA256", "", "'TLS_AES_128_GCM_SHA256'"),
        ("ALL:!ALL", "", "leaves nothing"),
        ("!RC4", "", "leaves nothing"),
        ("", "TLS_CHACHA20_POLY1305_SHA256", "tls-ciphersuites: 'TLS_CHACHA20_POLY1305_SHA256' is not approved"),
        ("", "ECDHE-RSA-AES128-GCM-SHA256", "'ECDHE-RSA-AES128-GCM-SHA256'"),
        ("", ":", "leaves nothing"),
    ] {
        let said = named(ciphers, ciphersuites).unwrap_err();
        assert!(said.contains(word), "{said}");
    }
    for text in ["TLSv1.1", "TLSv1", "SSLv3", "TLSv1.2 TLSv1.1", "1.2"] {
        let said = protocols(text).unwrap_err().to_string();
        assert!(said.starts_with("tls-protocols: '") && said.contains("TLSv1.2 TLSv1.3"), "{said}");
    }
    assert_eq!(protocols("tlsv1.2").unwrap().len(), 1);
    assert!(protocols("\"\"").is_err());
}

#[test]
fn every_server_configuration_is_approved_and_wants_extended_master_secret() {
    let folder = tempfile::tempdir().unwrap();
    let made = generate::ensure(folder.path(), "", NOW_S).unwrap();
    for auth_clients in [AuthClients::No, AuthClients::Optional, AuthClients::Yes] {
        for session_caching in [false, true] {
            let p = TlsParameters {
                certificate: made.paths.certificate.clone(),
                key: made.paths.key.clone(),
                ca_file: Some(made.paths.ca_certificate.clone()),
                auth_clients,
                session_caching,
                session_lifetime_s: 300,
                ..TlsParameters::default()
            };
            let server = config::server(&p, NOW_S).unwrap();
            assert!(server.config.fips() && server.config.require_ems);
            assert_eq!(server.config.max_early_data_size, 0);
            assert_eq!(server.config.ticketer.enabled(), session_caching);
        }
    }
}

#[test]
fn verifying_clients_without_a_ca_is_an_error_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let made = generate::ensure(folder.path(), "", NOW_S).unwrap();
    let p = TlsParameters { certificate: made.paths.certificate, key: made.paths.key, ..TlsParameters::default() };
    assert!(matches!(config::server(&p, NOW_S), Err(TlsError::CaMissing)));
    let p = TlsParameters { key_file_pass: Some("secret".into()), auth_clients: AuthClients::No, ..p };
    assert!(matches!(config::server(&p, NOW_S), Err(TlsError::KeyPassUnsupported)));
}
