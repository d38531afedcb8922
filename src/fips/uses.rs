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
