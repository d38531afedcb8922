//! The keyed hash of keys and members: SipHash-1-3 (Aumasson and Bernstein), so that a client who chooses keys cannot
//! choose collisions. The key comes from the module at boot. This is a hash table's hash, not a use of cryptography.

/// The 128-bit key of the hash.
#[derive(Clone, Copy)]
pub struct HashKey(pub u64, pub u64);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(..)")
    }
}

static KEY: std::sync::OnceLock<HashKey> = std::sync::OnceLock::new();

/// Sets the process's hash key; called once at boot, before the first table is made. Returns false if it was set already.
pub fn seed(key: HashKey) -> bool {
    KEY.set(key).is_ok()
}

/// The hash of a key or member under the process's key.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    KEY.get_or_init(|| HashKey(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)).hash(bytes)
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline(always)]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline(always)]
    fn block(&mut self, m: u64) {
        self.v3 ^= m;
        self.round();
        self.v0 ^= m;
    }
}

/// The last `n` bytes, fewer than eight, as a little-endian number: of a long name by one look at its last eight.
#[inline(always)]
fn last_bytes(bytes: &[u8], n: usize) -> u64 {
    match bytes.last_chunk::<8>() {
        // A shift by 64 has no meaning, two of half as many bits have.
        Some(last) => u64::from_le_bytes(*last) >> (4 * (8 - n)) >> (4 * (8 - n)),
        None => bytes.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b)),
    }
}

impl HashKey {
    /// 64 bits of SipHash-1-3 of `bytes`.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut s = State {
            v0: self.0 ^ 0x736f_6d65_7073_6575,
            v1: self.1 ^ 0x646f_7261_6e64_6f6d,
            v2: self.0 ^ 0x6c79_6765_6e65_7261,
            v3: self.1 ^ 0x7465_6462_7974_6573,
        };
        let (chunks, rest) = bytes.as_chunks::<8>();
        for c in chunks {
            s.block(u64::from_le_bytes(*c));
        }
        s.block((bytes.len() as u64) << 56 | last_bytes(bytes, rest.len()));
        s.v2 ^= 0xff;
        s.round();
        s.round();
        s.round();
        s.v0 ^ s.v1 ^ s.v2 ^ s.v3
    }
}

/// For tables whose keys are numbers that the server has given out itself: nobody can choose such as fall together.
pub type NumberHash = std::hash::BuildHasherDefault<NumberHasher>;

/// See [`NumberHash`].
#[derive(Debug, Default)]
pub struct NumberHasher(u64);

impl std::hash::Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(u64::from(*b));
        }
    }

    /// Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4): the high bits are well mixed, and the low ones differ for
    /// numbers that follow each other.
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A small, fast, seeded generator (xoshiro256++ of Blackman and Vigna) for samples that guard nothing: SPOP, eviction, tests.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// Spreads one seed over the state by SplitMix64.
    pub fn new(mut seed: u64) -> Random {
        let mut next = || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Random([next(), next(), next(), next()])
    }

    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Even over `0..n`; 0 when `n` is 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_siphash_1_3_of_the_standard_library() {
        use std::hash::Hasher;
        for n in 0..64u8 {
            let bytes: Vec<u8> = (0..n).collect();
            let mut std = std::collections::hash_map::DefaultHasher::new();
            std.write(&bytes);
            assert_eq!(HashKey(0, 0).hash(&bytes), std.finish());
        }
    }

    #[test]
    fn below_stays_in_range_and_reaches_every_value() {
        let mut r = Random::new(7);
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[r.below(10) as usize] = true;
        }
        assert!(seen.iter().all(|s| *s));
    }
}
