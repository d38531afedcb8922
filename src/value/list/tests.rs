use super::*;
use proptest::prelude::*;

fn of(values: &[&[u8]], limits: &Limits) -> List {
    let mut list = List::new();
    list.push(End::Right, values.iter().copied(), limits);
    list
}

fn texts(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(Item::to_vec).collect()
}

#[test]
fn growing_turns_a_listpack_into_a_quicklist() {
    let large = vec![b'x'; 9000];
    for (limits, value) in [(Limits::new(3), &b"d"[..]), (Limits::new(-1), &large[..])] {
        let small = of(&[b"a", b"b", b"c"], &limits);
        assert_eq!(small.encoding(), "listpack");
        let mut list = small.clone();
        list.push_one(End::Right, value, &limits);
        assert_eq!(list.encoding(), "quicklist");
        let mut list = small.clone();
        assert_eq!(list.insert(Side::After, b"b", value, &limits), Some(4));
        assert_eq!(list.encoding(), "quicklist");
        assert_eq!(list.get(2).map(Item::to_vec).as_deref(), Some(value));
        let mut list = small.clone();
        assert_eq!(list.set(0, value, &limits), Ok(()));
        assert_eq!(list.encoding(), "quicklist");
        let mut list = small.clone();
        assert_eq!(list.insert(Side::After, b"nope", value, &limits), None);
        assert_eq!(list.set(3, value, &limits), Err(OutOfRange));
        assert_eq!(list.encoding(), "listpack");
        let mut source = of(&[b"a", b"b", b"c", value], &limits);
        list = small.clone();
        assert!(source.move_to(End::Right, &mut list, End::Right, &limits));
        assert_eq!(list.encoding(), "quicklist");
    }
}

#[test]
fn shrinking_to_half_the_limits_makes_a_listpack_again() {
    let limits = Limits::new(3);
    let four = of(&[b"a", b"a", b"a", b"d"], &limits);
    assert_eq!(four.encoding(), "quicklist");
    let mut list = four.clone();
    assert_eq!(list.pop_many(End::Right, 2, &limits, |_| {}), 2);
    assert_eq!(list.encoding(), "quicklist");
    list.pop(End::Right, &limits, |_| {});
    assert_eq!(list.encoding(), "listpack");
    let mut list = four.clone();
    assert_eq!(list.remove(3, b"a", &limits), 3);
    assert_eq!((list.encoding(), texts(&list)), ("listpack", vec![b"d".to_vec()]));
    let mut list = four;
    list.trim(1, 1, &limits);
    assert_eq!(list.encoding(), "listpack");

    let limits = Limits::new(-1);
    let mut list = of(&[&[b'x'; 5000], b"a", b"b"], &limits);
    list.pop_many(End::Right, 2, &limits, |_| {});
    assert_eq!(list.encoding(), "quicklist");
    assert_eq!(list.set(-1, b"c", &limits), Ok(()));
    assert_eq!(list.encoding(), "listpack");
}

#[test]
fn limits_out_of_range_are_the_nearest() {
    let limits = Limits::new(0);
    let mut list = of(&[b"a"], &limits);
    assert_eq!(list.encoding(), "listpack");
    list.push_one(End::Right, &b"b"[..], &limits);
    assert_eq!(list.encoding(), "quicklist");
    let limits = Limits::new(-6);
    let mut list = of(&[&[b'x'; 60_000]], &limits);
    assert_eq!(list.encoding(), "listpack");
    list.push_one(End::Right, &[b'x'; 5536][..], &limits);
    assert_eq!(list.encoding(), "quicklist");
}

#[test]
fn a_loaded_list_takes_the_form_of_its_size() {
    let limits = Limits::new(3);
    let mut list = of(&[b"a", b"b", b"c", b"d"], &limits);
    list.pop(End::Right, &limits, |_| {});
    let List::Quick(quick) = list else { panic!("three elements are more than half the limit") };
    assert_eq!(List::from_quicklist(*quick, &limits).encoding(), "listpack");
    let mut pack = Listpack::new();
    (0..4).for_each(|value| pack.push_back(value));
    assert_eq!(List::from_listpack(pack.clone(), &limits).encoding(), "quicklist");
    assert_eq!(List::from_listpack(pack, &Limits::new(4)).encoding(), "listpack");
}

#[test]
fn positions_by_rank_and_length() {
    for limits in [Limits::new(-2), Limits::new(2)] {
        let list = of(&[b"a", b"b", b"c", b"1", b"2", b"3", b"c", b"c"], &limits);
        let at = |value: &[u8], rank, len_max| list.positions(value, rank, len_max).collect::<Vec<_>>();
        assert_eq!(at(b"c", 1, 0), [2, 6, 7]);
        assert_eq!(at(b"c", 2, 0), [6, 7]);
        assert_eq!(at(b"c", -1, 0), [7, 6, 2]);
        assert_eq!(at(b"c", -2, 0), [6, 2]);
        assert_eq!(at(b"c", 4, 0), [0usize; 0]);
        assert_eq!(at(b"c", 1, 2), [0usize; 0]);
        assert_eq!(at(b"c", 1, 3), [2]);
        assert_eq!(at(b"c", -1, 2), [7, 6]);
        assert_eq!(at(b"2", i64::MAX, 0), [0usize; 0]);
        assert_eq!(at(b"2", i64::MIN, 0), [0usize; 0]);
        assert_eq!(at(b"2", 1, usize::MAX), [4]);
    }
}

#[test]
fn moves_and_rotations() {
    let limits = Limits::new(2);
    let mut list = of(&[b"1", b"b", b"c"], &limits);
    assert!(list.rotate(End::Left, End::Right, &limits));
    assert_eq!(texts(&list), [b"b", b"c", b"1"]);
    assert!(list.rotate(End::Right, End::Left, &limits));
    assert!(list.rotate(End::Left, End::Left, &limits));
    assert_eq!(texts(&list), [b"1", b"b", b"c"]);
    let mut target = List::new();
    while list.move_to(End::Right, &mut target, End::Left, &limits) {}
    assert!(list.is_empty() && !list.rotate(End::Left, End::Right, &limits));
    assert_eq!(texts(&target), [b"1", b"b", b"c"]);
}

#[test]
fn extreme_indexes_are_cut_to_the_list() {
    let limits = Limits::new(-2);
    let mut list = of(&[b"a", b"b"], &limits);
    assert_eq!(list.range(i64::MIN, i64::MAX).count(), 2);
    assert_eq!(list.range(i64::MAX, i64::MIN).count(), 0);
    assert_eq!(list.range(-1, -1).count(), 1);
    assert_eq!(list.get(i64::MIN), None);
    assert_eq!(list.set(i64::MIN, b"x", &limits), Err(OutOfRange));
    assert_eq!(list.remove(i64::MIN, b"a", &limits), 1);
    assert_eq!(list.trim(5, 1, &limits), 1);
    assert!(list.is_empty());
}

proptest! {
    #[test]
    fn behaves_like_a_vector(
        limit in prop_oneof![Just(-1_i64), 0_i64..6],
        ops in proptest::collection::vec((0_u8..8, -12_i64..12, -12_i64..12, 0_usize..6), 1..60),
    ) {
        let limits = Limits::new(limit);
        let long = vec![b'x'; 3000];
        let values: [&[u8]; 6] = [b"0", b"1", b"a", b"bb", b"", &long];
        let mut list = List::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for (op, a, b, which) in ops {
            let (value, len) = (values[which], model.len() as i64);
            let cut = |at: i64| if at < 0 { (at + len).max(0) } else { at };
            let (start, end) = (cut(a).min(len) as usize, (if b < 0 { b + len } else { b } + 1).clamp(0, len) as usize);
            let end = end.max(start);
            match op {
                0 | 1 => {
                    list.push(if a < 0 { End::Left } else { End::Right }, [value, b"a"].into_iter(), &limits);
                    for value in [value, b"a"] {
                        model.insert(if a < 0 { 0 } else { model.len() }, value.to_vec());
                    }
                }
                2 => {
                    let mut popped = Vec::new();
                    list.pop_many(if a < 0 { End::Left } else { End::Right }, which, &limits, |item| popped.push(item.to_vec()));
                    for text in popped {
                        prop_assert_eq!(text, model.remove(if a < 0 { 0 } else { model.len() - 1 }));
                    }
                }
                3 => {
                    let at = if a < 0 { a + len } else { a };
                    let there = (0..len).contains(&at);
                    prop_assert_eq!(list.get(a).is_some(), there);
                    prop_assert_eq!(list.set(a, value, &limits).is_ok(), there);
                    if there { model[at as usize] = value.to_vec(); }
                }
                4 => prop_assert!(list.range(a, b).map(Item::to_vec).eq(model[start..end].iter().cloned())),
                5 => {
                    if end - start > 2 {
                        list.trim(a, b, &limits);
                        model = model[start..end].to_vec();
                    }
                }
                6 => {
                    let at = model.iter().position(|text| text == value);
                    if let Some(at) = at { model.insert(at + usize::from(b < 0), b"bb".to_vec()); }
                    let side = if b < 0 { Side::After } else { Side::Before };
                    prop_assert_eq!(list.insert(side, value, b"bb", &limits), at.map(|_| model.len()));
                }
                _ => {
                    let count = a / 4;
                    let mut all: Vec<usize> = (0..model.len()).filter(|&at| model[at] == value).collect();
                    if count < 0 { all.reverse(); }
                    if count != 0 { all.truncate(count.unsigned_abs() as usize); }
                    prop_assert_eq!(list.remove(count, value, &limits), all.len());
                    let mut at = 0;
                    model.retain(|_| { at += 1; !all.contains(&(at - 1)) });
                }
            }
            prop_assert_eq!(list.len(), model.len());
            prop_assert_eq!(texts(&list), model.clone());
            prop_assert!(list.memory_bytes() > 0);
        }
    }
}
