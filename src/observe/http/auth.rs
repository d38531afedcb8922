//! HTTP basic authentication.
//!
//! What the header should say is made from the password and compared as digests, in constant time: nothing a client sends is
//! decoded, and neither length nor prefix of the password shows in the time it takes.

use crate::crypto;

/// Whether an `Authorization` header names this user and password.
pub fn basic(header: Option<&[u8]>, user: &[u8], password: &[u8]) -> bool {
    let Some((scheme, token)) = header.and_then(|h| h.split_at_checked(6)) else { return false };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return false;
    }
    let want = base64(&[user, b":", password].concat());
    crypto::constant_time_eq(&crypto::sha256(token.trim_ascii()), &crypto::sha256(want.as_bytes()))
}

/// RFC 4648, with padding.
fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(ALPHABET[(bits >> (18 - 6 * i)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn only_the_right_user_and_password_pass() {
        let header: Option<&[u8]> = Some(b"bAsIc YWRtaW46c2VjcmV0");
        assert!(basic(header, b"admin", b"secret"));
        assert!(!basic(header, b"admin", b"other"));
        assert!(!basic(header, b"admi", b"n:secret2"));
        assert!(!basic(None, b"", b"") && !basic(Some(b""), b"", b"") && !basic(Some(b"basic "), b"a", b""));
        assert!(!basic(Some(b"Bearer YWRtaW46c2VjcmV0"), b"admin", b"secret"));
    }
}
