//! A key with its place: slot, stripe and path, computed once a command.

use crate::base::hash;
use crate::base::slot::{SLOT_BITS, SlotId, slot_of};
use crate::value::table::PathOf;

/// Bits of a stripe's number.
pub const STRIPE_BITS: u32 = 9;
/// Locks of the key space. 512 keep a collision of two workers rare, and taking them all takes some ten microseconds.
pub const STRIPES: usize = 1 << STRIPE_BITS;
/// Bits of a slot's number inside its stripe.
const LOCAL_BITS: u32 = SLOT_BITS - STRIPE_BITS;

/// The stripe a slot is in.
pub fn stripe_of(slot: SlotId) -> u16 {
    slot.get() >> LOCAL_BITS
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash {
    pub stripe: u16,
    /// The slot inside the stripe, then bits of the keyed hash.
    pub path: u64,
}

impl KeyHash {
    #[inline]
    pub fn of(name: &[u8]) -> KeyHash {
        let slot = slot_of(name).get();
        KeyHash { stripe: slot >> LOCAL_BITS, path: path(slot, hash::hash(name)) }
    }

    pub fn slot(&self) -> SlotId {
        let local = (self.path >> (64 - LOCAL_BITS)) as u16;
        SlotId::new(self.stripe << LOCAL_BITS | local).expect("stripe and local bits make a slot")
    }
}

#[inline(always)]
fn path(slot: u16, hash: u64) -> u64 {
    u64::from(slot) << (64 - LOCAL_BITS) | hash >> LOCAL_BITS
}

/// Paths of keys: the slot first, so that a slot is a range of its stripe's directory.
#[derive(Debug)]
pub struct KeyPath;

impl PathOf for KeyPath {
    #[inline]
    fn path(name: &[u8]) -> u64 {
        path(slot_of(name).get(), hash::hash(name))
    }

    /// Deep enough, all names of a segment are of one slot.
    #[inline]
    fn path_beside(name: &[u8], other: u64, depth: u8) -> u64 {
        if u32::from(depth) < LOCAL_BITS {
            return Self::path(name);
        }
        let slot = other >> (64 - LOCAL_BITS) << (64 - LOCAL_BITS);
        slot | hash::hash(name) >> LOCAL_BITS
    }
}

/// A key of a database.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub name: &'a [u8],
    pub hash: KeyHash,
    pub db: u32,
}

impl<'a> Key<'a> {
    #[inline]
    pub fn new(db: u32, name: &'a [u8]) -> Key<'a> {
        Key { name, hash: KeyHash::of(name), db }
    }

    pub fn in_db(self, db: u32) -> Key<'a> {
        Key { db, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_slot_again() {
        for i in 0..2000 {
            let name = format!("key:{i}");
            let h = KeyHash::of(name.as_bytes());
            assert_eq!(h.slot(), slot_of(name.as_bytes()));
            assert_eq!(h.path, KeyPath::path(name.as_bytes()));
            let tagged = format!("{{{name}}}:{i}");
            for depth in [0, LOCAL_BITS as u8, 20] {
                assert_eq!(
                    KeyPath::path_beside(tagged.as_bytes(), h.path, depth.max(LOCAL_BITS as u8)),
                    KeyPath::path(tagged.as_bytes())
                );
                assert_eq!(KeyPath::path_beside(name.as_bytes(), h.path, depth), h.path);
            }
        }
    }
}
