//! The table of records against a HashMap; a scan meets every record.
#![no_main]

use arbitrary::Arbitrary;
use holdfast::value::record::{Content, Record};
use holdfast::value::table::{MemberPath, Table};
use libfuzzer_sys::fuzz_target;
use std::collections::{HashMap, HashSet};

#[derive(Arbitrary, Debug)]
enum Op {
    Put(u16, i64, Option<u16>),
    Many(u16),
    Remove(u16),
    Expire(u16),
}

fuzz_target!(|ops: Vec<Op>| {
    let mut table = Table::<MemberPath>::new();
    let mut model: HashMap<Vec<u8>, Option<i64>> = HashMap::new();
    let name = |n: u16| format!("name:{n}").into_bytes();
    for op in ops {
        match op {
            Op::Put(n, value, deadline) => {
                let deadline = deadline.map(i64::from);
                table.remove(&name(n));
                table.insert(Record::new(&name(n), Content::Int(value), deadline));
                model.insert(name(n), deadline);
            }
            Op::Many(from) => {
                for n in (0..200).map(|i| from.wrapping_add(i)) {
                    if !table.contains(&name(n)) {
                        table.insert(Record::new(&name(n), Content::None, None));
                        model.insert(name(n), None);
                    }
                }
            }
            Op::Remove(n) => assert_eq!(table.remove(&name(n)).is_some(), model.remove(&name(n)).is_some()),
            Op::Expire(now) => {
                let now = i64::from(now);
                let (mut due, mut from) = (Vec::new(), Some(0));
                while let Some(at) = from {
                    from = table.expired(at, now, 16, &mut due).0;
                }
                for n in due {
                    assert!(model.remove(&n).is_some_and(|d| d.is_some_and(|d| d <= now)));
                    assert!(table.remove(&n).is_some());
                }
            }
        }
        assert_eq!(table.len(), model.len());
        assert_eq!(table.deadlines(), model.values().flatten().count());
    }
    table.check();
    let (mut met, mut from) = (HashSet::new(), Some(0));
    while let Some(at) = from {
        from = table.scan(at, 10, |r| assert!(met.insert(r.name().to_vec()), "met twice"));
    }
    assert!(met.len() == model.len() && met.iter().all(|n| model.contains_key(n)));
});
