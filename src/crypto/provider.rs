//! What TLS may use: the approved cipher suites, groups and signature algorithms, and nothing else.
//!
//! The lists are written out, so that an update of rustls cannot widen them. The order of each list is the server's
//! preference: the stronger suite first, and the groups by cost, classical before hybrid.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms};
use rustls::{CipherSuite, NamedGroup, SignatureScheme, SupportedCipherSuite};
use webpki::aws_lc_rs as algorithm;

/// One approved cipher suite with the names people use for it.
#[derive(Debug)]
pub struct Suite {
    pub rustls: SupportedCipherSuite,
    /// As in RFC 5289 and RFC 8446.
    pub iana: &'static str,
    /// As OpenSSL, and so configuration files, write it.
    pub openssl: &'static str,
    /// TLS 1.3, else TLS 1.2.
    pub tls13: bool,
}

pub static APPROVED_SUITES: [Suite; 6] = [
    Suite {
        rustls: cipher_suite::TLS13_AES_256_GCM_SHA384,
        iana: "TLS_AES_256_GCM_SHA384",
        openssl: "TLS_AES_256_GCM_SHA384",
        tls13: true,
    },
    Suite {
        rustls: cipher_suite::TLS13_AES_128_GCM_SHA256,
        iana: "TLS_AES_128_GCM_SHA256",
        openssl: "TLS_AES_128_GCM_SHA256",
        tls13: true,
    },
    Suite {
        rustls: cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        openssl: "ECDHE-ECDSA-AES256-GCM-SHA384",
        tls13: false,
    },
    Suite {
        rustls: cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        openssl: "ECDHE-ECDSA-AES128-GCM-SHA256",
        tls13: false,
    },
    Suite {
        rustls: cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        openssl: "ECDHE-RSA-AES256-GCM-SHA384",
        tls13: false,
    },
    Suite {
        rustls: cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        openssl: "ECDHE-RSA-AES128-GCM-SHA256",
        tls13: false,
    },
];

/// P-256 and P-384, and the hybrids with ML-KEM-768, whose approved part is ML-KEM (SP 800-56C rev. 2, section 2).
pub static APPROVED_GROUPS: [&dyn SupportedKxGroup; 4] =
    [kx_group::SECP256R1, kx_group::SECP384R1, kx_group::SECP256R1MLKEM768, kx_group::X25519MLKEM768];

static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        algorithm::ECDSA_P256_SHA256,
        algorithm::ECDSA_P256_SHA384,
        algorithm::ECDSA_P256_SHA512,
        algorithm::ECDSA_P384_SHA256,
        algorithm::ECDSA_P384_SHA384,
        algorithm::ECDSA_P384_SHA512,
        algorithm::ECDSA_P521_SHA256,
        algorithm::ECDSA_P521_SHA384,
        algorithm::ECDSA_P521_SHA512,
        algorithm::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        algorithm::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        algorithm::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        algorithm::RSA_PKCS1_2048_8192_SHA256,
        algorithm::RSA_PKCS1_2048_8192_SHA384,
        algorithm::RSA_PKCS1_2048_8192_SHA512,
    ],
    // In TLS 1.2 the scheme does not fix the curve; in TLS 1.3 the first of each list is the only one used.
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[algorithm::ECDSA_P384_SHA384, algorithm::ECDSA_P256_SHA384, algorithm::ECDSA_P521_SHA384],
        ),
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[algorithm::ECDSA_P256_SHA256, algorithm::ECDSA_P384_SHA256, algorithm::ECDSA_P521_SHA256],
        ),
        (
            SignatureScheme::ECDSA_NISTP521_SHA512,
            &[algorithm::ECDSA_P521_SHA512, algorithm::ECDSA_P384_SHA512, algorithm::ECDSA_P256_SHA512],
        ),
        (SignatureScheme::RSA_PSS_SHA512, &[algorithm::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA384, &[algorithm::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA256, &[algorithm::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[algorithm::RSA_PKCS1_2048_8192_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[algorithm::RSA_PKCS1_2048_8192_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[algorithm::RSA_PKCS1_2048_8192_SHA256]),
    ],
};

/// The provider for every TLS configuration. `suites` narrows the approved list, in the given order of preference; an
/// empty slice means all of them.
pub fn provider(suites: &[&'static Suite]) -> Arc<CryptoProvider> {
    let cipher_suites = match suites {
        [] => APPROVED_SUITES.iter().map(|s| s.rustls).collect(),
        chosen => chosen.iter().map(|s| s.rustls).collect(),
    };
    Arc::new(CryptoProvider {
        cipher_suites,
        kx_groups: APPROVED_GROUPS.to_vec(),
        signature_verification_algorithms: SIGNATURES,
        ..default_provider()
    })
}

/// Finds an approved suite by its OpenSSL or IANA name, in any case.
pub fn suite_named(name: &str) -> Option<&'static Suite> {
    APPROVED_SUITES.iter().find(|s| s.openssl.eq_ignore_ascii_case(name) || s.iana.eq_ignore_ascii_case(name))
}

/// The approved suite with this code point.
pub fn suite_of(id: CipherSuite) -> Option<&'static Suite> {
    APPROVED_SUITES.iter().find(|s| s.rustls.suite() == id)
}

/// The name of a key exchange group as OpenSSL writes it.
pub fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::secp256r1 => "P-256",
        NamedGroup::secp384r1 => "P-384",
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_is_approved_as_a_whole_and_in_each_part() {
        let p = provider(&[]);
        assert!(p.fips());
        assert!(p.cipher_suites.iter().all(|s| s.fips()));
        assert!(p.kx_groups.iter().all(|g| g.fips()));
    }

    #[test]
    fn provider_offers_no_chacha_no_lone_x25519_no_ed25519() {
        let p = provider(&[]);
        assert!(p.cipher_suites.iter().all(|s| suite_of(s.suite()).is_some()));
        assert!(p.kx_groups.iter().all(|g| g.name() != NamedGroup::X25519));
        assert!(p.signature_verification_algorithms.mapping.iter().all(|(s, _)| *s != SignatureScheme::ED25519));
    }

    #[test]
    fn every_group_has_a_name() {
        for group in APPROVED_GROUPS {
            assert_ne!(group_name(group.name()), "unknown");
        }
    }

    #[test]
    fn suites_are_found_by_both_names() {
        for suite in &APPROVED_SUITES {
            assert!(std::ptr::eq(suite_named(suite.openssl).unwrap(), suite));
            assert!(std::ptr::eq(suite_named(&suite.iana.to_lowercase()).unwrap(), suite));
        }
        assert!(suite_named("ECDHE-RSA-CHACHA20-POLY1305").is_none());
    }
}
