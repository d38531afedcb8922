//! How passwords are kept: as the SHA-256 that other servers write, or as salted PBKDF2-HMAC-SHA256 made inside the module.
//!
//! | text after `#` | what it is |
//! |---|---|
//! | 64 lower-case hexadecimal digits | SHA-256 of the password |
//! | `pbkdf2-sha256:<iterations>:<salt, hex>:<hash, hex>` | PBKDF2-HMAC-SHA256, a salt of 16 bytes, a hash of 32 |
//!
//! A plain SHA-256 protects only passwords that nobody can guess (ACL GENPASS makes such ones): a stolen file lets an attacker try
//! billions a second. PBKDF2 makes each try cost [`ITERATIONS`] times more; it is approved for passwords of 14 bytes and more.
//!
//! # Invariants
//! * Comparisons take the same time whatever the bytes are.
//! * PBKDF2 is never asked about a password below 14 bytes: none can have been stored, and the call would not be approved.

use super::rule::{Policy, RuleError};
use crate::crypto::{self, constant_time_eq, hex, sha256};

/// Iterations of new hashes: what OWASP's Password Storage Cheat Sheet asks of PBKDF2-HMAC-SHA256, 600 times SP 800-132's minimum.
pub const ITERATIONS: u32 = 600_000;
/// Iterations that are accepted of a hash that is given: below is not approved, above is a way to keep the server busy.
const ITERATIONS_ACCEPTED: std::ops::RangeInclusive<u32> = 1_000..=10_000_000;
const SCHEME: &str = "pbkdf2-sha256";
const SALT_BYTES: usize = 16;

/// How a clear password is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    Sha256,
    Pbkdf2,
}

/// A password as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordHash {
    Sha256([u8; 32]),
    Pbkdf2 { iterations: u32, salt: [u8; SALT_BYTES], hash: [u8; 32] },
}

impl PasswordHash {
    /// Hashes a new password as the policy says.
    pub fn make(password: &[u8], policy: &Policy) -> Result<PasswordHash, RuleError> {
        if password.len() < policy.password_bytes_min {
            return Err(RuleError::PasswordTooShort { bytes_min: policy.password_bytes_min });
        }
        match policy.hash {
            HashKind::Sha256 => Ok(PasswordHash::Sha256(sha256(password))),
            HashKind::Pbkdf2 => {
                let salt = crypto::random_array().map_err(|_| RuleError::NoRandom)?;
                let hash =
                    crypto::pbkdf2_sha256(password, &salt, ITERATIONS).ok_or(RuleError::PasswordTooShortForPbkdf2)?;
                Ok(PasswordHash::Pbkdf2 { iterations: ITERATIONS, salt, hash })
            }
        }
    }

    /// A hash that is nobody's and takes as long as one that is somebody's.
    pub fn nobody() -> PasswordHash {
        PasswordHash::Pbkdf2 { iterations: ITERATIONS, salt: [0; SALT_BYTES], hash: [0; 32] }
    }

    /// Reads the text after `#`.
    pub fn parse(text: &[u8]) -> Option<PasswordHash> {
        let text = std::str::from_utf8(text).ok()?;
        let Some(rest) = text.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix(':')) else {
            return Some(PasswordHash::Sha256(unhex(text)?));
        };
        let mut parts = rest.split(':');
        let (iterations, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let canonical = iterations.bytes().all(|b| b.is_ascii_digit()) && !iterations.starts_with('0');
        let iterations = iterations.parse().ok().filter(|n| canonical && ITERATIONS_ACCEPTED.contains(n))?;
        let whole = parts.next().is_none();
        whole.then_some(PasswordHash::Pbkdf2 { iterations, salt: unhex(salt)?, hash: unhex(hash)? })
    }

    /// Whether this is the password. Slow for PBKDF2, on purpose: not on a worker's thread.
    pub fn verifies(&self, password: &[u8]) -> bool {
        match self {
            PasswordHash::Sha256(hash) => constant_time_eq(hash, &sha256(password)),
            PasswordHash::Pbkdf2 { iterations, salt, hash } => crypto::pbkdf2_sha256(password, salt, *iterations)
                .is_some_and(|computed| constant_time_eq(hash, &computed)),
        }
    }

    /// Whether verifying takes long.
    pub fn is_slow(&self) -> bool {
        matches!(self, PasswordHash::Pbkdf2 { .. })
    }
}

impl std::fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PasswordHash::Sha256(hash) => f.write_str(&hex(hash)),
            PasswordHash::Pbkdf2 { iterations, salt, hash } => {
                write!(f, "{SCHEME}:{iterations}:{}:{}", hex(salt), hex(hash))
            }
        }
    }
}

/// Lower-case hexadecimal digits, exactly `2 * N` of them.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_verify_their_password_and_no_other() {
        let long = b"correct horse battery";
        for hash in [HashKind::Sha256, HashKind::Pbkdf2] {
            let policy = Policy { hash, ..Policy::default() };
            let made = PasswordHash::make(long, &policy).unwrap();
            assert!(made.verifies(long));
            assert!(!made.verifies(b"correct horse batterz") && !made.verifies(b"short") && !made.verifies(b""));
            assert_eq!(PasswordHash::parse(made.to_string().as_bytes()), Some(made));
        }
    }

    #[test]
    fn the_same_password_has_another_hash_each_time() {
        let policy = Policy { hash: HashKind::Pbkdf2, ..Policy::default() };
        let [a, b] = [0, 1].map(|_| PasswordHash::make(b"correct horse battery", &policy).unwrap());
        assert_ne!(a, b);
    }

    #[test]
    fn a_password_that_pbkdf2_is_not_approved_for_is_refused() {
        let policy = Policy { hash: HashKind::Pbkdf2, ..Policy::default() };
        assert_eq!(PasswordHash::make(b"13 bytes long", &policy), Err(RuleError::PasswordTooShortForPbkdf2));
    }

    #[test]
    fn hashes_are_read_only_as_they_are_written() {
        let sha = "34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6";
        assert!(PasswordHash::parse(sha.as_bytes()).is_some());
        let salt = "00".repeat(16);
        let good = format!("pbkdf2-sha256:1000:{salt}:{sha}");
        assert!(PasswordHash::parse(good.as_bytes()).is_some());
        for bad in [
            &sha[1..],
            &sha.to_uppercase(),
            &format!("{sha}0"),
            "",
            &good.replace("1000", "999"),
            &good.replace("1000", "01000"),
            &good.replace("1000", "+1000"),
            &good.replace("1000", "99999999999"),
            &format!("{good}:"),
            &good.replace("sha256", "sha512"),
        ] {
            assert_eq!(PasswordHash::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
