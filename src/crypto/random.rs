//! Random bytes from the module's generator: ids, salts, hash seeds, passwords.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use super::hex;

/// The module could not produce random bytes. Nothing may go on with weaker ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomFailed;

impl std::fmt::Display for RandomFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the cryptographic module produced no random bytes")
    }
}

impl std::error::Error for RandomFailed {}

/// Fills `out` from the module.
pub fn fill_random(out: &mut [u8]) -> Result<(), RandomFailed> {
    SystemRandom::new().fill(out).map_err(|_| RandomFailed)
}

pub fn random_array<const N: usize>() -> Result<[u8; N], RandomFailed> {
    let mut out = [0; N];
    fill_random(&mut out)?;
    Ok(out)
}

/// `digits` lower-case hexadecimal digits, as run ids and replication ids want them (40 there).
pub fn random_hex(digits: usize) -> Result<String, RandomFailed> {
    let mut bytes = vec![0; digits.div_ceil(2)];
    fill_random(&mut bytes)?;
    let mut text = hex(&bytes);
    text.truncate(digits);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_hex_has_the_asked_length_and_does_not_repeat() {
        assert_eq!(random_hex(40).unwrap().len(), 40);
        assert_eq!(random_hex(7).unwrap().len(), 7);
        assert_ne!(random_hex(40).unwrap(), random_hex(40).unwrap());
        assert_ne!(random_array::<16>().unwrap(), random_array::<16>().unwrap());
    }
}
