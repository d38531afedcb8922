//! AES-256-GCM over data at rest. The nonce is made inside the module at each sealing; nobody can hand one in.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

const TAG_LEN: usize = 16;
/// Bytes that sealing adds: the nonce in front, the tag behind.
pub const SEAL_OVERHEAD: usize = NONCE_LEN + TAG_LEN;

/// The module refused a key or an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealFailed;

impl std::fmt::Display for SealFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the cryptographic module could not seal")
    }
}

impl std::error::Error for SealFailed {}

/// A key of 256 bits.
pub struct SealingKey(RandomizedNonceKey);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey")
    }
}

impl SealingKey {
    /// # Errors
    /// The module refuses it.
    pub fn new(key: &[u8; 32]) -> Result<SealingKey, SealFailed> {
        RandomizedNonceKey::new(&AES_256_GCM, key).map(SealingKey).map_err(|_| SealFailed)
    }

    /// Appends nonce, ciphertext and tag of `plain` to `out`; `bound` is authenticated with them.
    ///
    /// # Errors
    /// The module refuses; `out` is as it was.
    pub fn seal(&self, bound: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealFailed> {
        let begin = out.len();
        out.extend_from_slice(&[0; NONCE_LEN]);
        out.extend_from_slice(plain);
        let Ok((nonce, tag)) = self.0.seal_in_place_separate_tag(Aad::from(bound), &mut out[begin + NONCE_LEN..])
        else {
            out.truncate(begin);
            return Err(SealFailed);
        };
        out[begin..begin + NONCE_LEN].copy_from_slice(nonce.as_ref());
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// What was sealed, or `None` if it, or what it is bound to, was changed or the key is another. Opens in place.
    pub fn open<'b>(&self, bound: &[u8], sealed: &'b mut [u8]) -> Option<&'b [u8]> {
        let (nonce, text) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let plain = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), text).ok()?;
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_unchanged_under_its_key_and_binding() {
        let key = SealingKey::new(&[7; 32]).unwrap();
        let mut sealed = Vec::new();
        key.seal(b"place 1", b"text", &mut sealed).unwrap();
        assert_eq!(sealed.len(), 4 + SEAL_OVERHEAD);
        assert_eq!(key.open(b"place 1", &mut sealed.clone()), Some(&b"text"[..]));
        assert_eq!(key.open(b"place 2", &mut sealed.clone()), None);
        assert_eq!(SealingKey::new(&[8; 32]).unwrap().open(b"place 1", &mut sealed.clone()), None);
        for n in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[n] ^= 1;
            assert_eq!(key.open(b"place 1", &mut changed), None, "byte {n}");
            assert_eq!(key.open(b"place 1", &mut sealed[..n].to_vec()), None, "cut to {n}");
        }
        let mut again = Vec::new();
        key.seal(b"place 1", b"text", &mut again).unwrap();
        assert_ne!(again, sealed, "no nonce twice");
    }
}
