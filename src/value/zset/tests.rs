use super::*;
use proptest::prelude::*;

const SMALL: Limits = Limits { entries: 128, value: 64 };
const NONE: Limits = Limits { entries: 0, value: 0 };

fn all(z: &Zset) -> Vec<(Vec<u8>, f64)> {
    let mut out = vec![];
    z.each(0..usize::MAX, false, |m, s| out.push((m.to_vec(), s)));
    out
}

#[test]
fn a_set_grows_out_of_its_listpack_by_number_and_by_length() {
    let mut z = Zset::new();
    for i in 0..128 {
        z.set(format!("m{i}").as_bytes(), f64::from(i) * 0.5, SMALL);
    }
    assert_eq!(z.encoding(), "listpack");
    z.set(b"one more", 1e300, SMALL);
    assert_eq!((z.encoding(), z.len()), ("skiplist", 129));
    z.check();
    let mut z = Zset::new();
    z.set(&[b'x'; 64], 1.0, SMALL);
    assert_eq!(z.encoding(), "listpack");
    z.set(&[b'y'; 65], 1.0, SMALL);
    assert_eq!(z.encoding(), "skiplist");
}

#[test]
fn scores_come_back_bit_for_bit_from_a_listpack() {
    let mut z = Zset::new();
    let scores = [0.1, -0.1, 1e300, -1e-300, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 4e18, 1e19, 0.5, -7.0];
    for s in scores {
        z.set(s.to_string().as_bytes(), s, SMALL);
    }
    for s in scores {
        assert_eq!(z.score(s.to_string().as_bytes()), Some(s));
    }
    z.check();
}

#[test]
fn damaged_listpacks_are_refused() {
    let pack = |items: &[&[u8]]| {
        let mut lp = Listpack::new();
        for i in items {
            lp.push_back(*i);
        }
        Zset::from_listpack(lp).map(|z| z.len())
    };
    assert_eq!(pack(&[b"a", b"1", b"b", b"1"]), Ok(2));
    assert_eq!(pack(&[b"a"]), Err(Damaged::Odd));
    assert_eq!(pack(&[b"a", b"x"]), Err(Damaged::Score { rank: 0 }));
    assert_eq!(pack(&[b"a", b"nan"]), Err(Damaged::Score { rank: 0 }));
    assert_eq!(pack(&[b"b", b"1", b"a", b"1"]), Err(Damaged::Order { rank: 1 }));
    assert_eq!(pack(&[b"a", b"1", b"a", b"2"]), Err(Damaged::Twice { rank: 1 }));
}

#[test]
fn slices_free_a_big_set_to_the_end() {
    let mut g = Gather::new();
    for i in 0..5000 {
        g.add(format!("{i}").as_bytes(), f64::from(i % 7), |old| old);
    }
    let mut z = g.finish(SMALL);
    z.check();
    let copy = z.clone();
    while z.drop_slice() {}
    copy.check();
    assert_eq!(copy.len(), 5000);
}

proptest! {
    #[test]
    fn both_forms_behave_as_a_sorted_list(
        steps in prop::collection::vec((0u8..6, 0u8..40, -3i8..4, 0usize..50, 0usize..12), 0..400),
    ) {
        let mut forms = [(Zset::new(), Limits { entries: 1000, value: 64 }), (Zset::for_size(1, 1, NONE), NONE)];
        let mut model: Vec<(f64, Vec<u8>)> = vec![];
        for (op, m, s, at, n) in steps {
            let member = format!("{}", u32::from(m) * 7).into_bytes();
            let score = f64::from(s) / 2.0;
            match op {
                0..=2 => {
                    model.retain(|e| e.1 != member);
                    model.push((score, member.clone()));
                    model.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap().then_with(|| a.1.cmp(&b.1)));
                    forms.iter_mut().for_each(|(z, l)| { z.set(&member, score, *l); });
                }
                3 => {
                    let there = model.iter().any(|e| e.1 == member);
                    model.retain(|e| e.1 != member);
                    for (z, _) in &mut forms {
                        prop_assert_eq!(z.remove(&member).is_some(), there);
                    }
                }
                4 if n == 0 => {
                    let range = at.min(model.len())..(at + 5).min(model.len());
                    model.drain(range.clone());
                    for (z, _) in &mut forms {
                        prop_assert_eq!(z.remove_ranks(at..at + 5), range.len());
                    }
                }
                4 => {
                    let range = ScoreRange { min: score, max: score + 1.0, min_open: n % 2 == 0, max_open: n % 3 == 0 };
                    let want = model.iter().filter(|e| !range.is_below(e.0) && !range.is_above(e.0)).count();
                    for (z, _) in &forms {
                        prop_assert_eq!(z.ranks_by_score(&range).len(), want);
                    }
                }
                _ => {
                    let rank = model.iter().position(|e| e.1 == member);
                    for (z, _) in &forms {
                        prop_assert_eq!(z.rank(&member).map(|r| r.0), rank);
                        prop_assert_eq!(z.at(at).map(|e| e.0.to_vec()), model.get(at).map(|e| e.1.clone()));
                    }
                }
            }
            for (z, _) in &forms {
                z.check();
                let want: Vec<_> = model.iter().map(|(s, m)| (m.clone(), *s)).collect();
                prop_assert_eq!(all(z), want);
                let mut back = vec![];
                z.each(at..at + n, true, |m, _| back.push(m.to_vec()));
                let end = (at + n).min(model.len());
                let want: Vec<_> = model[at.min(end)..end].iter().rev().map(|e| e.1.clone()).collect();
                prop_assert_eq!(back, want);
            }
        }
    }
}
