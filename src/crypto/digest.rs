//! Digests, HMAC and comparison in constant time.
//!
//! SHA-1 is here as an identifier only (script ids, `sha1hex`, DEBUG DIGEST), which stays allowed until 2030-12-31; it
//! never signs or authenticates anything.

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};

fn once<const N: usize>(algorithm: &'static digest::Algorithm, data: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(digest::digest(algorithm, data).as_ref());
    out
}

pub fn sha256(data: &[u8]) -> [u8; 32] {
    once(&digest::SHA256, data)
}

/// An identifier, not a protection: see the module's text.
pub fn sha1(data: &[u8]) -> [u8; 20] {
    once(&digest::SHA1_FOR_LEGACY_USE_ONLY, data)
}

/// The bytes of hexadecimal digits.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect())?
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}

pub fn sha256_hex(data: &[u8]) -> String {
    hex(&sha256(data))
}

pub fn sha1_hex(data: &[u8]) -> String {
    hex(&sha1(data))
}

/// SHA-256 over data that arrives in parts.
pub struct Sha256(digest::Context);

impl Sha256 {
    #[expect(clippy::new_without_default, reason = "a digest in progress has no meaningful default")]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

/// SHA-1 over data that arrives in parts; an identifier only.
pub struct Sha1(digest::Context);

impl Sha1 {
    #[expect(clippy::new_without_default, reason = "a digest in progress has no meaningful default")]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))
    }

    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub fn finish(self) -> [u8; 20] {
        let mut out = [0; 20];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

/// A key for HMAC-SHA-256. Approved only with at least 112 bits, so a shorter key is not accepted.
pub struct HmacSha256(hmac::Key);

impl HmacSha256 {
    pub const KEY_BYTES_MIN: usize = 14;

    /// `None` when the key has fewer than [`Self::KEY_BYTES_MIN`] bytes.
    pub fn new(key: &[u8]) -> Option<Self> {
        (key.len() >= Self::KEY_BYTES_MIN).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    pub fn sign(&self, data: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.0, data).as_ref());
        out
    }

    /// Compares in constant time.
    pub fn verify(&self, data: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, data, tag).is_ok()
    }
}

/// One HMAC-SHA-256; `None` when the key is too short to be approved.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> Option<[u8; 32]> {
    HmacSha256::new(key).map(|k| k.sign(data))
}

/// PBKDF2-HMAC-SHA-256 with a result of 32 bytes. `None` where the module's policy does not approve it: a password below 14
/// bytes, a salt below 16, fewer than 1,000 iterations.
pub fn pbkdf2_sha256(password: &[u8], salt: &[u8], iterations: u32) -> Option<[u8; 32]> {
    const PASSWORD_BYTES_MIN: usize = 14;
    const SALT_BYTES_MIN: usize = 16;
    const ITERATIONS_MIN: u32 = 1_000;
    if password.len() < PASSWORD_BYTES_MIN || salt.len() < SALT_BYTES_MIN || iterations < ITERATIONS_MIN {
        return None;
    }
    let mut out = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, std::num::NonZeroU32::new(iterations)?, salt, password, &mut out);
    Some(out)
}

/// Equality whose time depends on the lengths only. Unequal lengths answer at once, so compare digests where the length
/// itself is a secret.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_match_the_published_vectors() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha1_hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn digest_in_parts_equals_digest_at_once() {
        let mut a = Sha256::new();
        a.update(b"hold");
        a.update(b"fast");
        assert_eq!(a.finish(), sha256(b"holdfast"));
        let mut b = Sha1::new();
        b.update(b"hold");
        b.update(b"fast");
        assert_eq!(b.finish(), sha1(b"holdfast"));
    }

    #[test]
    fn hmac_refuses_a_key_below_112_bits() {
        assert!(hmac_sha256(&[1; 13], b"x").is_none());
        let tag = hmac_sha256(&[1; 14], b"x").unwrap();
        assert!(HmacSha256::new(&[1; 14]).unwrap().verify(b"x", &tag));
        assert!(!HmacSha256::new(&[2; 14]).unwrap().verify(b"x", &tag));
    }

    #[test]
    fn pbkdf2_matches_a_published_vector_and_refuses_what_is_not_approved() {
        let salt = b"saltSALTsaltSALTsaltSALTsaltSALTsalt";
        let got = pbkdf2_sha256(b"passwordPASSWORDpassword", salt, 4096).unwrap();
        assert!(hex(&got).starts_with("348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c"));
        assert!(pbkdf2_sha256(&[1; 13], salt, 4096).is_none());
        assert!(pbkdf2_sha256(&[1; 14], &salt[..15], 4096).is_none());
        assert!(pbkdf2_sha256(&[1; 14], salt, 999).is_none());
    }

    #[test]
    fn constant_time_comparison_is_a_comparison() {
        assert!(constant_time_eq(b"same", b"same"));
        assert!(!constant_time_eq(b"same", b"sane"));
        assert!(!constant_time_eq(b"same", b"sam"));
        assert!(constant_time_eq(b"", b""));
    }
}
