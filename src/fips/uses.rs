//! Every use of cryptography in this program: the bill of materials that a reviewer asks for.
//!
//! Invariant: what is not in this list is not done; a new use is a new row here. All of it runs in the module, but for what says so.

/// One use.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    pub algorithm: &'static str,
    pub purpose: &'static str,
    pub parameters: &'static str,
    /// Where the source has it.
    pub place: &'static str,
    /// Approved by the module's policy as it is used here.
    pub approved: bool,
    pub remark: &'static str,
}

/// The list, in the order of the source tree.
pub static USES: &[Use] = &[
    Use {
        algorithm: "SHA-256",
        purpose: "digests of passwords in the form other servers write, fingerprints of certificates",
        parameters: "",
        place: "crypto/digest.rs",
        approved: true,
        remark: "a digest alone does not make a guessable password safe: use acl-password-hash pbkdf2",
    },
    Use {
        algorithm: "SHA-1",
        purpose: "identifiers: ids of scripts, DEBUG DIGEST, sha1hex",
        parameters: "",
        place: "crypto/digest.rs",
        approved: true,
        remark: "as a digest until 2030-12-31; signs and authenticates nothing",
    },
    Use {
        algorithm: "HMAC-SHA-256",
        purpose: "chain of the audit log",
        parameters: "keys of 14 bytes (112 bits) and more, 32 where they are made here",
        place: "audit/key.rs",
        approved: true,
        remark: "",
    },
    Use {
        algorithm: "PBKDF2-HMAC-SHA-256",
        purpose: "passwords of users",
        parameters: "600,000 iterations, salt of 16 bytes, passwords of 14 bytes and more, 32 bytes out",
        place: "acl/password.rs",
        approved: true,
        remark: "shorter passwords are refused, since the module would not approve them",
    },
    Use {
        algorithm: "CTR_DRBG (AES-256)",
        purpose: "random bytes: keys, nonces, salts, ids of runs and replication, passwords of ACL GENPASS, seeds of hash tables",
        parameters: "",
        place: "crypto/random.rs",
        approved: true,
        remark: "",
    },
    Use {
        algorithm: "AES-128-GCM, AES-256-GCM",
        purpose: "records of TLS 1.2 and 1.3, session tickets",
        parameters: "nonces by the protocol, made in the module",
        place: "net/tls/",
        approved: true,
        remark: "",
    },
    Use {
        algorithm: "ECDH P-256, P-384; with ML-KEM-768; X25519 with ML-KEM-768",
        purpose: "key agreement of TLS",
        parameters: "ephemeral",
        place: "crypto/provider.rs",
        approved: true,
        remark: "in the hybrid with X25519 the approved part is ML-KEM (SP 800-56C rev. 2, section 2)",
    },
    Use {
        algorithm: "ECDSA P-256, P-384, P-521; RSA-PSS and RSA PKCS#1 v1.5 of 2048 bits and more",
        purpose: "certificates of TLS: signing and verifying",
        parameters: "SHA-256, SHA-384, SHA-512",
        place: "net/tls/",
        approved: true,
        remark: "",
    },
    Use {
        algorithm: "HKDF and TLS 1.2 PRF (extended master secret)",
        purpose: "keys of TLS",
        parameters: "SHA-256, SHA-384",
        place: "net/tls/",
        approved: true,
        remark: "TLS 1.2 without the extended master secret is refused",
    },
    Use {
        algorithm: "SipHash, CRC-16, CRC-64",
        purpose: "hash tables, slots, checksums of files",
        parameters: "",
        place: "base/",
        approved: true,
        remark: "no cryptography: protects nothing",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto;
    use crate::net::tls::config::{self, ClientParameters, ServerTls, TlsParameters, Trust};
    use rustls::pki_types::ServerName;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConnection, ServerConnection, SignatureScheme, SupportedCipherSuite};
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    /// By the module's own indicator.
    fn approved(what: impl FnOnce()) -> bool {
        let before = crypto::approved_services();
        what();
        crypto::approved_services() > before
    }

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
    }

    const NOW_S: i64 = 1_800_000_000;

    /// A server of each kind of certificate.
    fn servers() -> [ServerTls; 2] {
        [("p384.crt", "p384-sec1.key"), ("rsa.crt", "rsa-pkcs1.key")].map(|(certificate, key)| {
            let p = TlsParameters {
                certificate: fixture(certificate),
                key: fixture(key),
                auth_clients: config::AuthClients::No,
                ..TlsParameters::default()
            };
            config::server(&p, NOW_S).unwrap()
        })
    }

    /// The client's record of a connection with this suite, after its handshake.
    fn record_is_approved(suite: &crypto::Suite, server: &ServerTls) -> bool {
        let (ciphers, ciphersuites) = if suite.tls13 {
            (String::new(), suite.openssl.to_owned())
        } else {
            (suite.openssl.to_owned(), String::new())
        };
        let p = ClientParameters { trust: Trust::Anybody, identity: None, ciphers, ciphersuites };
        let mut client_config = (*config::client(&p, NOW_S).unwrap()).clone();
        client_config.resumption = rustls::client::Resumption::disabled();
        let mut c = ClientConnection::new(Arc::new(client_config), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut server_config = (*server.config).clone();
        if !suite.tls13 {
            // TLS 1.3 would be preferred.
            let provider = Arc::new(crypto::provider(&[]).as_ref().clone());
            let resolver = Arc::clone(&server_config.cert_resolver);
            server_config = rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS12])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(resolver);
        }
        let mut s = ServerConnection::new(Arc::new(server_config)).unwrap();
        for _ in 0..8 {
            let mut bytes = Vec::new();
            while c.wants_write() {
                c.write_tls(&mut bytes).unwrap();
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                s.read_tls(&mut rest).unwrap();
                s.process_new_packets().unwrap();
            }
            let mut bytes = Vec::new();
            while s.wants_write() {
                s.write_tls(&mut bytes).unwrap();
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                c.read_tls(&mut rest).unwrap();
                c.process_new_packets().unwrap();
            }
        }
        assert_eq!(c.negotiated_cipher_suite().map(|s| s.suite()), Some(suite.rustls.suite()));
        let mut bytes = Vec::new();
        let sealed = approved(|| {
            c.writer().write_all(b"data").unwrap();
            c.write_tls(&mut bytes).unwrap();
        });
        let opened = approved(|| {
            s.read_tls(&mut bytes.as_slice()).unwrap();
            s.process_new_packets().unwrap();
        });
        sealed && opened
    }

    fn signatures_are_approved() -> bool {
        let provider = crypto::provider(&[]);
        [
            ("p384-sec1.key", &[SignatureScheme::ECDSA_NISTP384_SHA384][..]),
            (
                "rsa-pkcs1.key",
                &[
                    SignatureScheme::RSA_PSS_SHA256,
                    SignatureScheme::RSA_PSS_SHA384,
                    SignatureScheme::RSA_PSS_SHA512,
                    SignatureScheme::RSA_PKCS1_SHA256,
                    SignatureScheme::RSA_PKCS1_SHA384,
                    SignatureScheme::RSA_PKCS1_SHA512,
                ],
            ),
        ]
        .iter()
        .all(|(file, schemes)| {
            let key = rustls::pki_types::PrivateKeyDer::from_pem_file(fixture(file)).unwrap();
            let key = provider.key_provider.load_private_key(key).unwrap();
            schemes.iter().all(|scheme| {
                let signer = key.choose_scheme(&[*scheme]).expect("a scheme of this key");
                approved(|| drop(signer.sign(b"message").unwrap()))
            })
        })
    }

    fn derivations_are_approved() -> bool {
        crypto::APPROVED_SUITES.iter().all(|suite| match suite.rustls {
            SupportedCipherSuite::Tls13(s) => approved(|| {
                let expander = s.hkdf_provider.extract_from_secret(None, &[7; 48]);
                let mut out = [0; 32];
                expander.expand_slice(&[b"label"], &mut out).unwrap();
            }),
            SupportedCipherSuite::Tls12(s) => {
                let mut out = [0; 48];
                approved(|| s.prf_provider.for_secret(&mut out, &[7; 48], b"extended master secret", &[9; 48]))
            }
        })
    }

    #[test]
    fn the_modules_own_indicator_approves_every_use() {
        let [ecdsa, rsa] = servers();
        for u in USES {
            let good = match u.algorithm {
                "SHA-256" => approved(|| drop(crypto::sha256_hex(b"data"))),
                "SHA-1" => approved(|| drop(crypto::sha1_hex(b"data"))),
                "HMAC-SHA-256" => approved(|| assert!(crypto::hmac_sha256(&[1; 14], b"data").is_some())),
                "PBKDF2-HMAC-SHA-256" => {
                    approved(|| assert!(crypto::pbkdf2_sha256(&[1; 14], &[2; 16], 1_000).is_some()))
                }
                "CTR_DRBG (AES-256)" => approved(|| drop(crypto::random_hex(40))),
                "AES-128-GCM, AES-256-GCM" => crypto::APPROVED_SUITES
                    .iter()
                    .all(|s| record_is_approved(s, if s.openssl.contains("-RSA-") { &rsa } else { &ecdsa })),
                "ECDH P-256, P-384; with ML-KEM-768; X25519 with ML-KEM-768" => {
                    crypto::APPROVED_GROUPS.iter().all(|group| {
                        approved(|| {
                            let ours = group.start().unwrap();
                            let theirs = group.start_and_complete(ours.pub_key()).unwrap();
                            ours.complete(&theirs.pub_key).unwrap();
                        })
                    })
                }
                "ECDSA P-256, P-384, P-521; RSA-PSS and RSA PKCS#1 v1.5 of 2048 bits and more" => {
                    signatures_are_approved()
                }
                "HKDF and TLS 1.2 PRF (extended master secret)" => derivations_are_approved(),
                "SipHash, CRC-16, CRC-64" => u.remark.contains("no cryptography"),
                other => panic!("{other} has no check here"),
            };
            assert_eq!(good, u.approved, "{}", u.algorithm);
        }
        // And it tells the difference.
        let key = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::CHACHA20_POLY1305, &[0; 32]).unwrap();
        let key = aws_lc_rs::aead::LessSafeKey::new(key);
        assert!(!approved(|| {
            let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key([0; 12]);
            key.seal_in_place_append_tag(nonce, aws_lc_rs::aead::Aad::empty(), &mut vec![0; 16]).unwrap();
        }));
    }
}
