//! A set of slots: 2048 bytes, in the order in which the bus and the file have them.

use crate::base::slot::{SLOTS, SlotId};

/// Bytes of a set on the wire: slot `n` is bit `n % 8` of byte `n / 8`.
pub const SLOT_BYTES: usize = SLOTS / 8;

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots(Box<[u64; SLOTS / 64]>);

impl Default for Slots {
    fn default() -> Slots {
        Slots(Box::new([0; SLOTS / 64]))
    }
}

impl Slots {
    pub fn has(&self, slot: SlotId) -> bool {
        self.0[usize::from(slot.get()) / 64] >> (slot.get() % 64) & 1 == 1
    }

    pub fn set(&mut self, slot: SlotId, has: bool) {
        let (word, bit) = (&mut self.0[usize::from(slot.get()) / 64], 1 << (slot.get() % 64));
        if has { *word |= bit } else { *word &= !bit }
    }

    pub fn words(&self) -> &[u64; SLOTS / 64] {
        &self.0
    }

    pub fn count(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = SlotId> + '_ {
        (0..SLOTS as u16).filter_map(SlotId::new).filter(|s| self.has(*s))
    }

    /// First and last of each run.
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut found: Vec<(u16, u16)> = Vec::new();
        for n in self.iter().map(SlotId::get) {
            match found.last_mut() {
                Some((_, last)) if *last + 1 == n => *last = n,
                _ => found.push((n, n)),
            }
        }
        found
    }

    pub fn push_to(&self, out: &mut Vec<u8>) {
        for w in self.0.iter() {
            out.extend_from_slice(&w.to_le_bytes());
        }
    }

    /// The set in [`SLOT_BYTES`] bytes; `None` if there are more or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Option<Slots> {
        if bytes.len() != SLOT_BYTES {
            return None;
        }
        let mut slots = Slots::default();
        for (w, chunk) in slots.0.iter_mut().zip(bytes.chunks_exact(8)) {
            *w = u64::from_le_bytes(chunk.try_into().ok()?);
        }
        Some(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_the_wire_with_the_lowest_slot_in_the_lowest_bit() {
        let mut s = Slots::default();
        for n in [0, 9, 10, 11, 16383] {
            s.set(SlotId::new(n).unwrap(), true);
        }
        let mut bytes = Vec::new();
        s.push_to(&mut bytes);
        assert_eq!((bytes[0], bytes[1], bytes[2047]), (1, 0b1110, 0x80));
        assert_eq!(Slots::from_bytes(&bytes).unwrap(), s);
        assert_eq!((s.ranges(), s.count()), (vec![(0, 0), (9, 11), (16383, 16383)], 5));
        assert!(Slots::from_bytes(&bytes[1..]).is_none());
    }
}
