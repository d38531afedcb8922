use super::*;
use proptest::prelude::*;

fn texts(list: &QuickList) -> Vec<Vec<u8>> {
    list.range(0, usize::MAX).map(Item::to_vec).collect()
}

/// The sums are true, no node is empty, and none is over the limits but single elements.
fn check(list: &QuickList, limits: &Limits) {
    assert_eq!(list.len, list.nodes.iter().map(Node::count).sum::<usize>());
    assert_eq!(list.heap, list.nodes.iter().map(Node::heap).sum::<usize>());
    for node in &list.nodes {
        assert!(node.count() > 0);
        if let Node::Packed { pack, count } = node {
            assert_eq!(pack.len(), *count as usize);
            assert!(
                *count == 1 || !limits.exceeded(pack.total_bytes(), *count as usize),
                "{count} {}",
                pack.total_bytes()
            );
        }
    }
}

#[test]
fn limits_are_read_as_documented() {
    assert!(!Limits::new(-2).exceeded(8192, 1_000_000));
    assert!(Limits::new(-2).exceeded(8193, 1));
    assert_eq!(Limits::new(-6), Limits::new(-5));
    assert_eq!(Limits::new(i64::MIN), Limits::new(-5));
    assert_eq!(Limits::new(0), Limits::new(1));
    assert!(Limits::new(3).exceeded(10, 4));
    assert!(Limits::new(1000).exceeded(8193, 2));
    assert!(Limits::new(1).is_large(8193) && !Limits::new(1).is_large(8192));
    assert!(Limits::new(-2).with_plain_from(1).is_large(1));
}

#[test]
fn a_million_elements_are_reached_from_both_ends() {
    let limits = Limits::new(-2);
    let mut list = QuickList::new();
    for value in 0..1_000_000_i64 {
        list.push(End::Right, value, &limits);
    }
    assert_eq!(list.len(), 1_000_000);
    for index in [0, 1, 499_999, 500_000, 999_998, 999_999] {
        assert_eq!(list.get(index), Some(Item::Int(index as i64)));
    }
    assert_eq!(list.get(1_000_000), None);
    assert_eq!(list.remove_range(10, 999_980), 999_980);
    assert_eq!(list.get(10), Some(Item::Int(999_990)));
    check(&list, &limits);
    assert_eq!(list.remove_range(0, usize::MAX), 20);
    assert_eq!(list.node_count(), 0);
    assert!(list.memory_bytes() < 1000);
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<u8>),
    Pop(bool),
    Insert(usize, bool, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    RemoveValue(usize, usize, bool),
    Range(usize, usize),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => (0_i64..5).prop_map(|v| v.to_string().into_bytes()),
        2 => "[ab]{0,2}".prop_map(String::into_bytes),
        1 => (3000_usize..5000).prop_map(|len| vec![b'z'; len]),
        1 => (8100_usize..8300).prop_map(|len| vec![b'q'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any::<bool>(), text()).prop_map(|(left, text)| Op::Push(left, text)),
        1 => any::<bool>().prop_map(Op::Pop),
        3 => (any::<usize>(), any::<bool>(), text()).prop_map(|(at, after, text)| Op::Insert(at, after, text)),
        2 => (any::<usize>(), text()).prop_map(|(at, text)| Op::Replace(at, text)),
        1 => (any::<usize>(), 0_usize..6).prop_map(|(at, count)| Op::Remove(at, count)),
        1 => (any::<usize>(), 1_usize..4, any::<bool>()).prop_map(|(at, count, left)| Op::RemoveValue(at, count, left)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(at, count)| Op::Range(at, count)),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_vector(
        limit in prop_oneof![Just(-1_i64), Just(-2), 0_i64..6],
        plain_from in prop_oneof![Just(0_usize), Just(2)],
        ops in proptest::collection::vec(op(), 1..80),
    ) {
        let limits = Limits::new(limit).with_plain_from(plain_from);
        let mut list = QuickList::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for op in ops {
            let len = model.len();
            let index = |at: usize| (len > 0).then(|| at % len);
            let end = |left| if left { End::Left } else { End::Right };
            match op {
                Op::Push(left, text) => {
                    list.push(end(left), &*text, &limits);
                    model.insert(if left { 0 } else { len }, text);
                }
                Op::Pop(left) => {
                    let expected = if len == 0 { None } else { Some(model.remove(if left { 0 } else { len - 1 })) };
                    prop_assert_eq!(list.peek(end(left)).map(Item::to_vec), expected.clone());
                    prop_assert_eq!(list.drop_end(end(left)), expected.is_some());
                }
                Op::Insert(at, after, text) => if let Some(at) = index(at) {
                    let spot = list.seek(at).unwrap();
                    list.insert(spot, if after { Side::After } else { Side::Before }, &*text, &limits);
                    model.insert(at + usize::from(after), text);
                },
                Op::Replace(at, text) => if let Some(at) = index(at) {
                    list.replace(list.seek(at).unwrap(), &*text, &limits);
                    model[at] = text;
                },
                Op::Remove(at, count) => if let Some(at) = index(at) {
                    let until = (at + count).min(len);
                    prop_assert_eq!(list.remove_range(at, count), until - at);
                    model.drain(at..until);
                },
                Op::RemoveValue(at, count, left) => if let Some(at) = index(at) {
                    let value = model[at].clone();
                    let spot = list.find(&value).unwrap();
                    prop_assert!(list.item(spot).eq_bytes(&value));
                    let mut matches: Vec<usize> = (0..len).filter(|&at| model[at] == value).collect();
                    if !left { matches.reverse(); }
                    matches.truncate(count);
                    prop_assert_eq!(list.remove_value(&value, count, end(left)), matches.len());
                    let mut at = 0;
                    model.retain(|_| { at += 1; !matches.contains(&(at - 1)) });
                },
                Op::Range(at, count) => if let Some(at) = index(at) {
                    let count = count % (len - at + 1);
                    let part = &model[at..at + count];
                    prop_assert!(list.range(at, count).map(Item::to_vec).eq(part.iter().cloned()));
                    prop_assert!(list.range(at, count).rev().map(Item::to_vec).eq(part.iter().rev().cloned()));
                    let mut both = list.range(at, count);
                    let (mut front, mut back) = (Vec::new(), Vec::new());
                    while let Some(item) = both.next() {
                        front.push(item.to_vec());
                        back.extend(both.next_back().map(Item::to_vec));
                    }
                    front.extend(back.into_iter().rev());
                    prop_assert_eq!(&front[..], part);
                },
            }
            check(&list, &limits);
            prop_assert_eq!(list.len(), model.len());
        }
        prop_assert_eq!(texts(&list), model);
    }
}
