//! Bytes that claim to be a listpack, and operations against a vector.
#![no_main]

use arbitrary::Arbitrary;
use holdfast::value::listpack::{Item, Listpack};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(i64),
    Replace(u8, Vec<u8>),
    Remove(u8),
    RemoveRange(i8, u8),
}

fn same(pack: &Listpack, model: &[Vec<u8>]) {
    assert_eq!(pack.len(), model.len());
    assert!(pack.iter().map(Item::to_vec).eq(model.iter().cloned()));
    let again = Listpack::from_bytes(pack.as_bytes()).expect("our own bytes hold");
    assert_eq!(again.len(), model.len());
}

fuzz_target!(|input: (Vec<u8>, Vec<Op>)| {
    let (bytes, ops) = input;
    if let Ok(mut pack) = Listpack::from_bytes(&bytes) {
        let forward: Vec<Vec<u8>> = pack.iter().map(Item::to_vec).collect();
        let mut backward = Vec::new();
        let mut at = pack.last();
        while let Some(p) = at {
            backward.push(pack.item(p).to_vec());
            at = pack.prev(p);
        }
        backward.reverse();
        assert_eq!(forward, backward);
        pack.push_back(&b"more"[..]);
        assert_eq!(pack.len(), forward.len() + 1);
    }
    let (mut pack, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
    for op in ops {
        match op {
            Op::PushBack(v) => {
                pack.push_back(&v[..]);
                model.push(v);
            }
            Op::PushFront(n) => {
                pack.push_front(n.to_string().as_bytes());
                model.insert(0, n.to_string().into_bytes());
            }
            Op::Replace(i, v) if usize::from(i) < model.len() => {
                let at = pack.seek(i64::from(i)).expect("inside");
                pack.replace(at, &v[..]);
                model[usize::from(i)] = v;
            }
            Op::Remove(i) if usize::from(i) < model.len() => {
                let at = pack.seek(i64::from(i)).expect("inside");
                pack.remove(at);
                model.remove(usize::from(i));
            }
            Op::RemoveRange(i, n) => {
                let from = if i < 0 { model.len() as i64 + i64::from(i) } else { i64::from(i) };
                let removed = pack.remove_range(i64::from(i), usize::from(n));
                if (0..model.len() as i64).contains(&from) {
                    let from = from as usize;
                    let to = (from + usize::from(n)).min(model.len());
                    assert_eq!(removed, to - from);
                    model.drain(from..to);
                } else {
                    assert_eq!(removed, 0);
                }
            }
            _ => {}
        }
        same(&pack, &model);
    }
});
