//! CRC-64/Jones, the checksum at the end of RDB files and DUMP payloads.
//!
//! Polynomial 0xad93d23594c935a9 reflected, no initial value, no final inversion: `crc64(0, "123456789")` is
//! 0xe9c6d914c4b8d9ca. It takes eight bytes a step from eight tables of 256 (slicing by 8), made at compile time.

/// The polynomial with its bits reversed, as the reflected algorithm shifts right.
const POLYNOMIAL: u64 = 0xad93_d235_94c9_35a9_u64.reverse_bits();

/// `TABLES[k][b]` is the checksum of the byte `b` followed by `k` zero bytes.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0_u64; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// The checksum of `data` continued from `crc`, which is 0 at the beginning: `crc64(crc64(0, a), b)` is that of `a ++ b`.
#[must_use]
pub fn crc64(mut crc: u64, data: &[u8]) -> u64 {
    let (words, tail) = data.as_chunks::<8>();
    for word in words {
        let x = crc ^ u64::from_le_bytes(*word);
        crc = TABLES[7][(x & 0xff) as usize]
            ^ TABLES[6][(x >> 8 & 0xff) as usize]
            ^ TABLES[5][(x >> 16 & 0xff) as usize]
            ^ TABLES[4][(x >> 24 & 0xff) as usize]
            ^ TABLES[3][(x >> 32 & 0xff) as usize]
            ^ TABLES[2][(x >> 40 & 0xff) as usize]
            ^ TABLES[1][(x >> 48 & 0xff) as usize]
            ^ TABLES[0][(x >> 56) as usize];
    }
    for &byte in tail {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u64::from(byte)) & 0xff) as usize];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(crc64(0, b""), 0);
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    proptest::proptest! {
        #[test]
        fn may_be_computed_in_parts(a: Vec<u8>, b: Vec<u8>) {
            let whole = [a.clone(), b.clone()].concat();
            proptest::prop_assert_eq!(crc64(crc64(0, &a), &b), crc64(0, &whole));
            let slow = whole.iter().fold(0, |crc: u64, &x| (crc >> 8) ^ TABLES[0][((crc ^ u64::from(x)) & 0xff) as usize]);
            proptest::prop_assert_eq!(slow, crc64(0, &whole));
        }
    }
}
