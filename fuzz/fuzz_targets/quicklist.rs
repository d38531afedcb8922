//! The quicklist against a deque.
#![no_main]

use arbitrary::Arbitrary;
use holdfast::value::listpack::Item;
use holdfast::value::quicklist::{End, Limits, QuickList, Side};
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;

#[derive(Arbitrary, Debug)]
enum Op {
    Push(bool, Vec<u8>),
    Long(bool, u16),
    Drop(bool),
    Insert(u8, bool, Vec<u8>),
    Replace(u8, Vec<u8>),
    RemoveRange(u8, u8),
    RemoveValue(Vec<u8>, u8, bool),
}

fn end(head: bool) -> End {
    if head { End::Left } else { End::Right }
}

fuzz_target!(|input: (i8, Vec<Op>)| {
    let (size, ops) = input;
    let limits = Limits::new(i64::from(size).clamp(-5, 64));
    let (mut list, mut model) = (QuickList::new(), VecDeque::<Vec<u8>>::new());
    for op in ops {
        let mut push = |list: &mut QuickList, head: bool, v: Vec<u8>| {
            list.push(end(head), &v[..], &limits);
            if head { model.push_front(v) } else { model.push_back(v) }
        };
        match op {
            Op::Push(head, v) => push(&mut list, head, v),
            Op::Long(head, n) => push(&mut list, head, vec![b'x'; usize::from(n)]),
            Op::Drop(head) => {
                let model = if head { model.pop_front() } else { model.pop_back() };
                assert_eq!(list.drop_end(end(head)), model.is_some());
            }
            Op::Insert(i, before, v) if usize::from(i) < model.len() => {
                let spot = list.seek(i.into()).expect("inside");
                list.insert(spot, if before { Side::Before } else { Side::After }, &v[..], &limits);
                model.insert(usize::from(i) + usize::from(!before), v);
            }
            Op::Replace(i, v) if usize::from(i) < model.len() => {
                let spot = list.seek(i.into()).expect("inside");
                list.replace(spot, &v[..], &limits);
                model[usize::from(i)] = v;
            }
            Op::RemoveRange(from, n) => {
                let from = usize::from(from).min(model.len());
                let to = (from + usize::from(n)).min(model.len());
                assert_eq!(list.remove_range(from, n.into()), to - from);
                model.drain(from..to);
            }
            Op::RemoveValue(v, max, head) => {
                let mut left = if max == 0 { usize::MAX } else { max.into() };
                let removed = list.remove_value(&v, left, end(head));
                let before = model.len();
                let mut kept: Vec<Vec<u8>> = Vec::new();
                let mut keep = |e: Vec<u8>| {
                    if e == v && left > 0 { left -= 1 } else { kept.push(e) }
                };
                if head {
                    model.drain(..).for_each(&mut keep);
                } else {
                    model.drain(..).rev().for_each(&mut keep);
                    kept.reverse();
                }
                model = kept.into();
                assert_eq!(removed, before - model.len());
            }
            _ => {}
        }
        assert_eq!(list.len(), model.len());
    }
    assert!(list.range(0, model.len()).map(Item::to_vec).eq(model.iter().cloned()));
});
