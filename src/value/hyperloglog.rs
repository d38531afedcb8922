//! HyperLogLog: an estimate of how many distinct elements were seen, in a string that servers exchange byte for byte.
//!
//! ```text
//! "HYLL" | encoding u8 (0 dense, 1 sparse) | 3 unused | cached count u64 (top bit: not valid) | registers       little endian
//! dense:   16384 registers of 6 bits, the lowest bits of the lowest byte first
//! sparse:  00llllll           l + 1 registers of 0          01llllll llllllll   the same, up to 16384
//!          1vvvvvll           l + 1 registers of v + 1
//! ```
//!
//! The string is the user's: SETRANGE and APPEND reach it. So nothing of it is believed; what does not come out at 16384 registers is
//! [`Corrupt`]. A sparse string grows no larger than the caller says: it becomes dense then.

mod estimate;
mod sparse;
#[cfg(test)]
mod tests;

use sparse::Set;

const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of an element's hash that choose its register.
const INDEX_BITS: u32 = 14;
const REGISTER_BITS: usize = 6;
const HEADER: usize = 16;
/// Bytes of a dense one.
const DENSE_BYTES: usize = HEADER + REGISTERS * REGISTER_BITS / 8;
const ENCODING_AT: usize = 4;
const COUNT_AT: usize = 8;
/// The top bit of the count.
const STALE_AT: usize = 15;
const STALE: u8 = 0x80;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// A string that is no HyperLogLog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOne;

/// A HyperLogLog whose registers do not come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// True if a string begins as a HyperLogLog does, and has its length if it is dense.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER
        && bytes.starts_with(b"HYLL")
        && match bytes[ENCODING_AT] {
            DENSE => bytes.len() == DENSE_BYTES,
            SPARSE => true,
            _ => false,
        }
}

/// One that has seen nothing.
pub fn new() -> Vec<u8> {
    let mut bytes = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    sparse::push_zeros(&mut bytes, REGISTERS);
    bytes
}

/// What PFDEBUG ENCODING says.
pub fn is_dense(bytes: &[u8]) -> bool {
    bytes[ENCODING_AT] == DENSE
}

/// The count that was remembered, if nothing has changed since.
pub fn remembered(bytes: &[u8]) -> Option<u64> {
    let count = bytes[COUNT_AT..HEADER].first_chunk::<8>()?;
    (bytes[STALE_AT] & STALE == 0).then(|| u64::from_le_bytes(*count))
}

/// Remembers the count.
pub fn remember(bytes: &mut [u8], count: u64) {
    bytes[COUNT_AT..HEADER].copy_from_slice(&count.to_le_bytes());
}

/// Forgets the count: the registers have changed.
pub fn forget(bytes: &mut [u8]) {
    bytes[STALE_AT] |= STALE;
}

/// The register an element belongs to, and what it asks for there.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, SEED);
    let rest = hash >> INDEX_BITS | 1 << (64 - INDEX_BITS);
    ((hash & (REGISTERS as u64 - 1)) as usize, rest.trailing_zeros() as u8 + 1)
}

const SEED: u64 = 0xadc8_3b19;

/// `MurmurHash64A`, over little-endian words.
fn murmur64a(data: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (data.len() as u64).wrapping_mul(M);
    let (words, rest) = data.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ k >> R).wrapping_mul(M);
        hash = (hash ^ k).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

fn dense_get(registers: &[u8], index: usize) -> u8 {
    let (byte, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let word = u16::from(registers[byte]) | u16::from(registers.get(byte + 1).copied().unwrap_or(0)) << 8;
    (word >> shift) as u8 & 0x3f
}

fn dense_put(registers: &mut [u8], index: usize, value: u8) {
    let (byte, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let (mask, value) = (0x3f_u16 << shift, u16::from(value) << shift);
    registers[byte] = registers[byte] & !(mask as u8) | value as u8;
    if let Some(next) = registers.get_mut(byte + 1) {
        *next = *next & !((mask >> 8) as u8) | (value >> 8) as u8;
    }
}

/// Raises a register; whether it was lower. `sparse_max` is the length beyond which a sparse one becomes dense.
fn raise(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_max: usize) -> Result<bool, Corrupt> {
    if !is_dense(bytes) {
        match sparse::set(bytes, HEADER, index, value, sparse_max)? {
            Set::Unchanged => return Ok(false),
            Set::Raised => return Ok(true),
            Set::DoesNotFit => {
                make_dense(bytes)?;
            }
        }
    }
    let registers = &mut bytes[HEADER..];
    if dense_get(registers, index) >= value {
        return Ok(false);
    }
    dense_put(registers, index, value);
    Ok(true)
}

/// Sees an element; whether that changed anything.
///
/// # Errors
/// [`Corrupt`]
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_max: usize) -> Result<bool, Corrupt> {
    let (index, value) = place(element);
    raise(bytes, index, value, sparse_max)
}

/// Makes a sparse one dense; false if it is.
///
/// # Errors
/// [`Corrupt`], and nothing has changed.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if is_dense(bytes) {
        return Ok(false);
    }
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER].copy_from_slice(&bytes[..HEADER]);
    dense[ENCODING_AT] = DENSE;
    let registers = &mut dense[HEADER..];
    sparse::each_run(&bytes[HEADER..], |from, len, value| {
        if value > 0 {
            (from..from + len).for_each(|i| dense_put(registers, i, value));
        }
    })?;
    *bytes = dense;
    Ok(true)
}

/// The estimate.
///
/// # Errors
/// [`Corrupt`]
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = [0; 64];
    if is_dense(bytes) {
        let registers = &bytes[HEADER..];
        (0..REGISTERS).for_each(|i| histogram[usize::from(dense_get(registers, i))] += 1);
    } else {
        sparse::each_run(&bytes[HEADER..], |_, len, value| histogram[usize::from(value)] += len as u32)?;
    }
    Ok(estimate::of(&histogram))
}

/// The sparse form in words: `Z:100 v:3,1`, and `z:` for the short form of zeros.
///
/// # Errors
/// [`Corrupt`]
pub fn describe_sparse(bytes: &[u8]) -> Result<String, Corrupt> {
    sparse::describe(&bytes[HEADER..])
}

/// Registers, one byte each: where several are merged.
pub struct Merged(Box<[u8; REGISTERS]>);

impl Default for Merged {
    fn default() -> Self {
        Merged(Box::new([0; REGISTERS]))
    }
}

impl std::fmt::Debug for Merged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Merged({} set)", self.0.iter().filter(|v| **v > 0).count())
    }
}

impl Merged {
    /// Takes the greater of each register.
    ///
    /// # Errors
    /// [`Corrupt`]
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        if is_dense(bytes) {
            let registers = &bytes[HEADER..];
            for (i, r) in self.0.iter_mut().enumerate() {
                *r = (*r).max(dense_get(registers, i));
            }
            return Ok(());
        }
        let registers = &mut self.0;
        sparse::each_run(&bytes[HEADER..], |from, len, value| {
            if value > 0 {
                registers[from..from + len].iter_mut().for_each(|r| *r = (*r).max(value));
            }
        })
    }

    /// The estimate of all together.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; 64];
        self.0.iter().for_each(|r| histogram[usize::from(*r)] += 1);
        estimate::of(&histogram)
    }

    /// Raises the registers of `bytes` to these.
    ///
    /// # Errors
    /// [`Corrupt`]
    pub fn write(&self, bytes: &mut Vec<u8>, sparse_max: usize) -> Result<(), Corrupt> {
        for (i, r) in self.0.iter().enumerate().filter(|(_, r)| **r > 0) {
            raise(bytes, i, *r, sparse_max)?;
        }
        Ok(())
    }

    pub fn registers(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Checks the two encodings against each other and the estimate against what was counted, over so many elements.
///
/// # Errors
/// What went wrong.
pub fn self_test(elements: u64) -> Result<(), String> {
    let corrupt = |Corrupt| "a HyperLogLog made here is corrupt".to_owned();
    let (mut sparse, mut dense) = (new(), new());
    make_dense(&mut dense).map_err(corrupt)?;
    let mut registers = [0_u8; REGISTERS];
    for n in 1..=elements {
        let element = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let (index, value) = place(&element);
        registers[index] = registers[index].max(value);
        let raised = add(&mut dense, &element, 0).map_err(corrupt)?;
        if raised != add(&mut sparse, &element, 3000).map_err(corrupt)? {
            return Err(format!("the encodings disagree about element {n}"));
        }
        // Powers of ten: counting is the slow part.
        if n.ilog10() != (n - 1).checked_ilog10().unwrap_or(0) || n == elements {
            let (a, b) = (count(&dense).map_err(corrupt)?, count(&sparse).map_err(corrupt)?);
            if a != b || (0..REGISTERS).any(|i| dense_get(&dense[HEADER..], i) != registers[i]) {
                return Err(format!("the encodings hold different registers after {n} elements"));
            }
            // Six times the standard error, and the granularity of small numbers.
            let most = (n as f64 * 6.0 * 1.04 / (REGISTERS as f64).sqrt()).ceil() + 10.0;
            if (a as f64 - n as f64).abs() > most {
                return Err(format!("an estimate of {a} for {n} elements"));
            }
        }
    }
    Ok(())
}
