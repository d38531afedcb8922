use super::*;
use proptest::prelude::*;

fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(Item::to_vec).collect()
}

/// What Valkey 9.1 puts into the DUMP of a list of [`REAL_TEXTS`].
const REAL: &[u8] = b"\
    \x4a\x01\x00\x00\x19\x00\x81\x61\x02\x82\x62\x62\x03\x01\x01\x7f\x01\xc0\x80\x02\xcf\xff\x02\xd0\x00\x02\
    \xf1\x00\x10\x03\xf1\xff\x7f\x03\xf1\x00\x80\x03\xf2\x00\x80\x00\x04\xf2\xff\xff\x7f\x04\xf3\x00\x00\x80\
    \x00\x05\xf3\xff\xff\xff\x7f\x05\xf4\xff\xff\xff\x7f\xff\xff\xff\xff\x09\xf4\xff\xff\xff\xff\xff\xff\xff\
    \x7f\x09\xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09\xdf\xff\x02\x82\x2d\x30\x03\x82\x30\x31\x03\x82\x2b\x31\
    \x03\x93\x39\x32\x32\x33\x33\x37\x32\x30\x33\x36\x38\x35\x34\x37\x37\x35\x38\x30\x38\x14\x80\x01\xe0\x40\
    \x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\
    \x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\
    \x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x79\x42\xe0\x82\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\
    \x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\
    \x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\
    \x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\
    \x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\
    \x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x7a\x01\x84\xff";

const REAL_TEXTS: [&str; 23] = [
    "a",
    "bb",
    "1",
    "127",
    "128",
    "4095",
    "-4096",
    "4096",
    "32767",
    "-32768",
    "32768",
    "8388607",
    "8388608",
    "2147483647",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "-1",
    "-0",
    "01",
    "+1",
    "9223372036854775808",
    "",
];

#[test]
fn bytes_are_those_of_a_real_dump() {
    let mut pack = Listpack::new();
    for text in REAL_TEXTS {
        pack.push_back(text.as_bytes());
    }
    pack.push_back(&*vec![b'y'; 64]);
    pack.push_back(&*vec![b'z'; 130]);
    assert_eq!(pack.as_bytes(), REAL);
    assert_eq!(Listpack::from_bytes(REAL).as_ref(), Ok(&pack));
}

#[test]
fn every_integer_width_round_trips() {
    let edges = [0, 127, 128, 4095, 4096, 32767, 32768, 8_388_607, 8_388_608, 2_147_483_647, 2_147_483_648, i64::MAX];
    let mut pack = Listpack::new();
    let values: Vec<i64> = edges.iter().flat_map(|&edge| [edge, !edge]).collect();
    for &value in &values {
        pack.push_back(value);
    }
    assert_eq!(pack.iter().collect::<Vec<_>>(), values.iter().map(|&v| Item::Int(v)).collect::<Vec<_>>());
    assert_eq!(Listpack::from_bytes(pack.as_bytes()), Ok(pack));
}

#[test]
fn long_strings_and_their_backward_lengths() {
    let mut pack = Listpack::new();
    let sizes = [0, 63, 64, 125, 126, 127, 4095, 4096, 16_378, 16_379, 16_380, 2_097_146, 2_097_147, 2_097_148];
    for size in sizes {
        pack.push_back(&*vec![b'x'; size]);
    }
    assert_eq!(Listpack::from_bytes(pack.as_bytes()).as_ref(), Ok(&pack));
    assert!(pack.iter().rev().map(|item| item.text_len()).eq(sizes.into_iter().rev()));
}

#[test]
fn more_elements_than_the_header_counts() {
    let mut pack = Listpack::new();
    for value in 0..70_000 {
        pack.push_back(value % 100);
    }
    assert_eq!(pack.len(), 70_000);
    assert_eq!(pack.get(69_999), Some(Item::Int(99)));
    assert_eq!(pack.remove_range(10, 10_000), 10_000);
    assert_eq!(pack.len(), 60_000);
    assert_eq!(pack.stored_count(), 60_000);
}

#[test]
fn find_skips_values() {
    let mut pack = Listpack::new();
    for text in ["f", "1", "1", "f"] {
        pack.push_back(text.as_bytes());
    }
    let first = pack.first().unwrap();
    assert_eq!(pack.find(first, b"1", 1), pack.seek(2));
    assert_eq!(pack.find(first, b"1", 0), pack.seek(1));
    assert_eq!(pack.find(first, b"x", 0), None);
}

#[test]
fn foreign_strings_that_look_like_integers_compare_as_text() {
    let pack = Listpack::from_bytes(b"\x0a\0\0\0\x01\0\x815\x02\xff").unwrap();
    assert_eq!(pack.find(pack.first().unwrap(), b"5", 0), pack.first());
}

#[test]
fn one_wrong_byte_is_named_or_harmless() {
    let mut pack = Listpack::new();
    for text in ["hello", "12345678901", "-5", "70000", "", "7"] {
        pack.push_back(text.as_bytes());
    }
    pack.push_back(&*vec![b'y'; 200]);
    let good = pack.as_bytes().to_vec();
    for at in 0..good.len() {
        for value in 0..=255_u8 {
            let mut bad = good.clone();
            bad[at] = value;
            if let Ok(read) = Listpack::from_bytes(&bad) {
                assert_eq!(read.iter().count(), read.iter().rev().count());
            }
        }
        assert!(Listpack::from_bytes(&good[..at]).is_err());
    }
    let wrong = Listpack::from_bytes(b"\x0a\0\0\0\x02\0\x815\x02\xff");
    assert_eq!(wrong.map_err(|bad| bad.offset), Err(4));
}

#[derive(Clone, Debug)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    Before(usize, Vec<u8>),
    After(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    RemoveEach(usize),
    Split(usize),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|v| v.to_string().into_bytes()),
        (-5000_i64..5000).prop_map(|v| v.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..10),
        proptest::collection::vec(any::<u8>(), 50..150),
        (4000_usize..4200).prop_map(|len| vec![b'z'; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => text().prop_map(Op::PushBack),
        3 => text().prop_map(Op::PushFront),
        1 => (any::<usize>(), text()).prop_map(|(at, text)| Op::Before(at, text)),
        1 => (any::<usize>(), text()).prop_map(|(at, text)| Op::After(at, text)),
        1 => (any::<usize>(), text()).prop_map(|(at, text)| Op::Replace(at, text)),
        1 => (any::<usize>(), 0_usize..4).prop_map(|(at, count)| Op::Remove(at, count)),
        1 => (2_usize..5).prop_map(Op::RemoveEach),
        1 => any::<usize>().prop_map(Op::Split),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_vector(ops in proptest::collection::vec(op(), 1..40)) {
        let mut pack = Listpack::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for op in ops {
            let len = model.len();
            let index = |at: usize| (len > 0).then(|| at % len);
            match op {
                Op::PushBack(text) => { pack.push_back(&*text); model.push(text); }
                Op::PushFront(text) => { pack.push_front(&*text); model.insert(0, text); }
                Op::Before(at, text) => if let Some(at) = index(at) {
                    pack.insert_before(pack.seek(at as i64).unwrap(), &*text);
                    model.insert(at, text);
                },
                Op::After(at, text) => if let Some(at) = index(at) {
                    let new = pack.insert_after(pack.seek(at as i64).unwrap(), &*text);
                    prop_assert!(pack.item(new).eq_bytes(&text));
                    model.insert(at + 1, text);
                },
                Op::Replace(at, text) => if let Some(at) = index(at) {
                    pack.replace(pack.seek(at as i64).unwrap(), &*text);
                    model[at] = text;
                },
                Op::Remove(at, count) => if let Some(at) = index(at) {
                    pack.remove_range(at as i64 - len as i64, count);
                    model.drain(at..(at + count).min(len));
                },
                Op::RemoveEach(step) => {
                    let positions: Vec<_> = pack.entries().map(|(at, _)| at).step_by(step).collect();
                    pack.remove_all(&positions);
                    let mut at = 0;
                    model.retain(|_| { at += 1; (at - 1) % step != 0 });
                }
                Op::Split(at) => {
                    let at = at % (len + 1);
                    let tail = pack.split_off(at);
                    prop_assert_eq!(texts(&tail), model[at..].to_vec());
                    prop_assert_eq!(Listpack::from_bytes(tail.as_bytes()), Ok(tail.clone()));
                    pack.append(&tail);
                }
            }
            prop_assert_eq!(texts(&pack), model.clone());
            prop_assert_eq!(pack.len(), model.len());
            prop_assert!(pack.memory_bytes() >= pack.total_bytes());
            prop_assert!(pack.iter().rev().map(Item::to_vec).eq(model.iter().rev().cloned()));
        }
        prop_assert_eq!(Listpack::from_bytes(pack.as_bytes()), Ok(pack));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Listpack::from_bytes(&bytes);
    }
}
