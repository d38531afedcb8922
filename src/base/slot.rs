//! Hash slots: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16384, as the cluster specification says.

/// How many slots a key space has, in cluster mode or not.
pub const SLOTS: usize = 16384;
/// Bits of a slot number.
pub const SLOT_BITS: u32 = 14;

/// A slot number below [`SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct SlotId(u16);

impl SlotId {
    pub fn new(n: u16) -> Option<SlotId> {
        (usize::from(n) < SLOTS).then_some(SlotId(n))
    }

    pub fn get(self) -> u16 {
        self.0
    }
}

/// The slot of a key: of the bytes between the first `{` and the next `}` if there are any, else of the whole key.
#[inline]
pub fn slot_of(key: &[u8]) -> SlotId {
    // Most keys have no tag: whether there is a `{` is seen in the same words that are summed.
    let (sum, braces) = sum(key);
    let crc = if braces { crc16(tagged(key)) } else { sum };
    SlotId(crc & (SLOTS as u16 - 1))
}

/// What decides a key's slot.
#[cold]
fn tagged(key: &[u8]) -> &[u8] {
    match memchr::memchr(b'{', key) {
        None => key,
        Some(open) => match memchr::memchr(b'}', &key[open + 1..]) {
            Some(n) if n > 0 => &key[open + 1..open + 1 + n],
            _ => key,
        },
    }
}

const POLY: u16 = 0x1021;

/// `TABLES[k][b]`: the effect of byte `b` followed by `k` zero bytes, so that eight bytes fold at once.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut t = [[0u16; 256]; 8];
    let mut b = 0;
    while b < 256 {
        let mut crc = (b as u16) << 8;
        let mut i = 0;
        while i < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ POLY } else { crc << 1 };
            i += 1;
        }
        t[0][b] = crc;
        b += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut b = 0;
        while b < 256 {
            let prev = t[k - 1][b];
            t[k][b] = (prev << 8) ^ t[0][(prev >> 8) as usize];
            b += 1;
        }
        k += 1;
    }
    t
}

/// CRC-16/XMODEM.
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    sum(bytes).0
}

/// CRC-16/XMODEM, eight bytes a step, and false only if no byte is a `{`.
///
/// The sum begins with zero, so zeros in front change nothing: the bytes that are left over by eights are the first step, behind as many zeros
/// as they lack.
#[inline(always)]
fn sum(bytes: &[u8]) -> (u16, bool) {
    let (first, chunks) = bytes.as_rchunks::<8>();
    let (mut crc, mut braces) = (0, 0);
    if !first.is_empty() {
        let word = match bytes.first_chunk::<8>() {
            Some(c) => u64::from_be_bytes(*c) >> (8 * (8 - first.len())),
            None => first.iter().fold(0, |word, b| word << 8 | u64::from(*b)),
        };
        let c = word.to_be_bytes();
        (crc, braces) = (step(0, &c), brace(&c));
    }
    for c in chunks {
        crc = step(crc, c);
        braces |= brace(c);
    }
    (crc, braces != 0)
}

#[inline(always)]
fn step(crc: u16, c: &[u8; 8]) -> u16 {
    let head = crc ^ u16::from_be_bytes([c[0], c[1]]);
    (TABLES[7][(head >> 8) as usize] ^ TABLES[6][(head & 0xff) as usize])
        ^ ((TABLES[5][c[2] as usize] ^ TABLES[4][c[3] as usize])
            ^ (TABLES[3][c[4] as usize] ^ TABLES[2][c[5] as usize])
            ^ (TABLES[1][c[6] as usize] ^ TABLES[0][c[7] as usize]))
}

/// 0 only if no byte is a `{` (Mycroft's test for a zero byte, of each byte's difference).
#[inline(always)]
fn brace(c: &[u8; 8]) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    let difference = u64::from_ne_bytes(*c) ^ (LOW * b'{' as u64);
    difference.wrapping_sub(LOW) & !difference & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc16_has_the_specified_check_value() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        let mut slow = 0u16;
        for (i, b) in (0..100u8).enumerate() {
            slow ^= u16::from(b) << 8;
            for _ in 0..8 {
                slow = if slow & 0x8000 != 0 { (slow << 1) ^ POLY } else { slow << 1 };
            }
            assert_eq!(crc16(&(0..=i as u8).collect::<Vec<_>>()), slow);
        }
    }

    #[test]
    fn a_brace_is_found_wherever_it_is_in_a_key_of_any_length() {
        for len in 0..=80 {
            let key = vec![b'z'; len];
            assert!(!sum(&key).1);
            for at in 0..len {
                let mut key = key.clone();
                key[at] = b'{';
                assert!(sum(&key).1);
            }
        }
    }

    #[test]
    fn a_hash_tag_decides_the_slot() {
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{}{bar}"), SlotId(crc16(b"foo{}{bar}") & 0x3fff));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
        assert_eq!(slot_of(b"foo").get(), 12182);
    }
}
