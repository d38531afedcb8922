use super::*;
use proptest::prelude::*;

#[test]
fn elements_fall_where_valkey_puts_them() {
    let mut h = new();
    for e in [b"a", b"b", b"c"] {
        assert_eq!(add(&mut h, e, 3000), Ok(true));
        assert_eq!(add(&mut h, e, 3000), Ok(false));
    }
    assert_eq!(describe_sparse(&h).unwrap(), "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
    assert_eq!(count(&h), Ok(3));
}

#[test]
fn the_self_test_passes() {
    assert_eq!(self_test(120_000), Ok(()));
}

#[test]
fn what_does_not_come_out_is_corrupt() {
    let mut long = new();
    long.extend_from_slice(b"hello");
    assert_eq!(count(&long), Err(Corrupt));
    assert_eq!(Merged::default().add(&long), Err(Corrupt));
    assert_eq!(make_dense(&mut long.clone()), Err(Corrupt));
    let mut cut = new();
    cut.pop();
    assert_eq!(add(&mut cut, b"a", 3000), Err(Corrupt));
    // Runs that would overflow a sum of their lengths.
    let mut many = new();
    many.truncate(HEADER);
    (0..200_000).for_each(|_| many.extend_from_slice(b"\x7f\xff\x3f"));
    many.push(0x80);
    assert_eq!(add(&mut many.clone(), b"foo", 3000), Err(Corrupt));
    assert_eq!(count(&many), Err(Corrupt));
    assert!(!is_one(b"HYLL") && !is_one(&[b"HYLL\x00".as_slice(), &[0; 100]].concat()));
}

proptest! {
    #[test]
    fn both_encodings_hold_the_registers_an_array_would(
        elements in prop::collection::vec((any::<u16>(), 1u8..40), 1..600),
        sparse_max in prop_oneof![Just(3000usize), Just(100), Just(18)],
    ) {
        let (mut bytes, mut model) = (new(), [0_u8; REGISTERS]);
        for (index, value) in elements {
            // Crowded, so that runs meet.
            let index = usize::from(index) % 300;
            let raised = model[index] < value;
            model[index] = model[index].max(value);
            prop_assert_eq!(raise(&mut bytes, index, value, sparse_max), Ok(raised));
            prop_assert!(is_one(&bytes) && (is_dense(&bytes) || bytes.len() <= sparse_max.max(18)));
        }
        let mut merged = Merged::default();
        merged.add(&bytes).unwrap();
        prop_assert_eq!(merged.registers(), &model[..]);
        prop_assert_eq!(Ok(merged.count()), count(&bytes));
        let sparse_count = count(&bytes);
        make_dense(&mut bytes).unwrap();
        prop_assert_eq!(count(&bytes), sparse_count);
        let mut again = new();
        merged.write(&mut again, sparse_max).unwrap();
        prop_assert_eq!(count(&again), sparse_count);
    }

    #[test]
    fn any_bytes_are_counted_or_refused(bytes: Vec<u8>, element: Vec<u8>) {
        let mut h = [&b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0"[..], &bytes].concat();
        let _ = (count(&h), describe_sparse(&h), Merged::default().add(&h));
        let _ = add(&mut h, &element, 3000);
        let _ = make_dense(&mut h);
    }
}
