//! Bytes that claim to be an intset, and operations against a set.
#![no_main]

use holdfast::value::intset::IntSet;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

fuzz_target!(|input: (Vec<u8>, Vec<(bool, i64)>)| {
    let (bytes, ops) = input;
    if let Ok(set) = IntSet::from_bytes(&bytes) {
        let all: Vec<i64> = set.iter().collect();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        assert!(all.iter().all(|n| set.contains(*n)));
    }
    let (mut set, mut model) = (IntSet::new(), BTreeSet::new());
    for (add, n) in ops {
        if add {
            assert_eq!(set.add(n), model.insert(n));
        } else {
            assert_eq!(set.remove(n), model.remove(&n));
        }
    }
    assert!(set.iter().eq(model.iter().copied()));
    assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
    let again = IntSet::from_bytes(set.as_bytes());
    assert!(set.is_empty() || again.is_ok_and(|a| a.iter().eq(model.iter().copied())));
});
