//! Claims about the table.

use super::super::record::{Content, ContentRef};
use super::*;
use crate::base::hash::Random;
use proptest::prelude::*;
use std::collections::HashMap;

fn int(n: i64) -> Content<'static> {
    Content::Int(n)
}

fn value(r: &Record) -> i64 {
    match r.content() {
        ContentRef::Int(n) => n,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hundred_thousand_come_and_go() {
    let mut t = Table::<MemberPath>::new();
    for i in 0..100_000i64 {
        t.insert(Record::new(format!("key:{i}").as_bytes(), int(i), None));
    }
    t.check();
    let per_key = t.memory_bytes(false) as f64 / t.len() as f64;
    assert!(per_key < 10.5, "{per_key} bytes of table a record");
    for i in 0..100_000i64 {
        assert_eq!(t.get(format!("key:{i}").as_bytes()).map(|r| value(&r)), Some(i));
    }
    for i in 0..99_990i64 {
        assert!(t.remove(format!("key:{i}").as_bytes()).is_some());
    }
    t.check();
    assert!(t.memory_bytes(false) < 100_000);
}

#[test]
fn a_record_that_is_made_anew_keeps_its_mark_even_at_the_same_address() {
    use super::super::{hash::Hash, object::Object};
    let mut t = Table::<MemberPath>::new();
    t.insert(Record::new(b"k", Content::Object(Box::new(Object::Hash(Hash::default()))), None));
    let before = {
        let mut r = t.get_mut(b"k").unwrap();
        r.set_table_mark(2);
        r.as_raw()
    };
    let after = {
        let mut r = t.get_mut(b"k").unwrap();
        drop(r.take_object());
        r.set_content(int(1));
        r.as_raw()
    };
    assert_eq!(before, after, "two moves end where the first began");
    assert_eq!(t.get(b"k").unwrap().mark(), 2);
}

#[test]
fn scan_meets_what_stays_exactly_once_while_the_table_changes() {
    let mut t = Table::<MemberPath>::new();
    for i in 0..3000 {
        t.insert(Record::new(format!("stays:{i}").as_bytes(), int(0), None));
    }
    let mut met: HashMap<Vec<u8>, u32> = HashMap::new();
    let (mut from, mut n) = (0, 0);
    loop {
        let next = t.scan(from, 10, |r| *met.entry(r.name().to_vec()).or_default() += 1);
        for _ in 0..40 {
            t.insert(Record::new(format!("comes:{n}").as_bytes(), int(0), None));
            n += 1;
            if n > 4000 {
                t.remove(format!("comes:{}", n - 4001).as_bytes());
            }
        }
        match next {
            Some(p) => {
                assert!(p > from);
                from = p;
            }
            None => break,
        }
    }
    for i in 0..3000 {
        assert_eq!(met.get(format!("stays:{i}").as_bytes()), Some(&1));
    }
    t.check();
}

#[test]
fn random_reaches_every_record_about_equally() {
    let mut t = Table::<MemberPath>::new();
    for i in 0..2000 {
        t.insert(Record::new(format!("{i}").as_bytes(), int(i), None));
    }
    let mut rng = Random::new(1);
    let mut seen = vec![0u32; 2000];
    for _ in 0..200_000 {
        seen[value(&t.random(&mut rng).unwrap()) as usize] += 1;
    }
    assert!(seen.iter().all(|n| (40..200).contains(n)), "{:?} {:?}", seen.iter().min(), seen.iter().max());
}

#[test]
fn expired_names_those_whose_time_has_come() {
    let mut t = Table::<MemberPath>::new();
    for i in 0..5000i64 {
        t.insert(Record::new(format!("{i}").as_bytes(), int(i), (i % 2 == 0).then_some(i)));
    }
    let (mut from, mut out) = (Some(0), vec![]);
    while let Some(p) = from {
        let mut some = vec![];
        from = t.expired(p, 1000, 1_000_000, &mut some).0;
        out.extend(some);
    }
    assert_eq!(out.len(), 501);
    assert_eq!(t.deadlines(), 2500);
    for n in out {
        t.remove(&n);
    }
    assert_eq!(t.deadlines(), 1999);
    t.expired(0, 1001, usize::MAX / 64, &mut vec![]);
    assert_eq!(t.earliest_deadline(), Some(1002));
}

#[test]
fn dropping_in_slices_ends() {
    let mut t = Table::<MemberPath>::new();
    for i in 0..5000i64 {
        t.insert(Record::new(format!("{i}").as_bytes(), int(i), None));
    }
    let mut slices = 1;
    while t.drop_slice() {
        slices += 1;
    }
    assert!(slices > 5);
}

proptest! {
    #[test]
    fn behaves_as_a_map(steps in prop::collection::vec((0u8..4, 0u16..900, any::<i64>()), 0..4000)) {
        let mut t = Table::<MemberPath>::new();
        let mut model: HashMap<Vec<u8>, (i64, Option<i64>)> = HashMap::new();
        for (op, k, n) in steps {
            let name = format!("k{k}").into_bytes();
            match op {
                0 | 1 => {
                    let known = t.get_mut(&name).map(|mut r| r.set_content(int(n))).is_some();
                    if known {
                        model.get_mut(&name).unwrap().0 = n;
                    } else {
                        t.insert(Record::new(&name, int(n), None));
                        model.insert(name, (n, None));
                    }
                }
                2 => prop_assert_eq!(t.remove(&name).map(|r| value(&r)), model.remove(&name).map(|v| v.0)),
                _ => {
                    let d = (n % 3 != 0).then_some(n);
                    if let Some(mut r) = t.get_mut(&name) {
                        r.set_deadline(d);
                        model.get_mut(&name).unwrap().1 = d;
                    }
                }
            }
        }
        t.check();
        prop_assert_eq!(t.len(), model.len());
        prop_assert_eq!(t.deadlines(), model.values().filter(|v| v.1.is_some()).count());
        for (k, v) in &model {
            let r = t.get(k).unwrap();
            prop_assert_eq!((value(&r), r.deadline()), *v);
        }
        let mut scanned = 0;
        let mut from = 0;
        while let Some(p) = t.scan(from, 3, |_| scanned += 1) { from = p; }
        prop_assert_eq!(scanned, model.len());
    }
}
