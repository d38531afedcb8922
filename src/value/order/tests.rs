//! The tree beside its model, a sorted `Vec`, through every operation; and a timing that is run by hand.

use super::node::{INNER_MAX, Node};
use super::*;
use proptest::prelude::*;

impl Member for &'static [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

type Handle = &'static [u8];

/// Twelve-byte members whose order differs from their numbers' order.
fn member(n: u32) -> Handle {
    Box::leak(format!("{:08x}:{n:03}", n.reverse_bits()).into_bytes().into_boxed_slice())
}

fn members(n: u32) -> Vec<Handle> {
    (0..n).map(member).collect()
}

/// Checks every invariant and returns (leaves, inner nodes).
fn check(tree: &OrderTree<Handle>) {
    fn walk(node: &Node<Handle>, depth: usize, leaf_depth: &mut Option<usize>, shape: &mut Shape) -> usize {
        match node {
            Node::Leaf(leaf) => {
                shape.leaves += 1;
                assert!(leaf.len() > 0 && leaf.len() <= LEAF_MAX);
                assert_eq!(*leaf_depth.get_or_insert(depth), depth, "leaves at one depth");
                leaf.len()
            }
            Node::Inner(inner) => {
                shape.inners += 1;
                assert!(inner.len() > 0 && inner.len() <= INNER_MAX);
                assert_eq!(inner.kids().count(), inner.len());
                let mut total = 0;
                for (i, kid) in inner.kids().enumerate() {
                    let count = walk(kid, depth + 1, leaf_depth, shape);
                    assert_eq!(inner.counts()[i], count, "counts are exact");
                    let (a, b) = (inner.separator(i), kid.first());
                    assert!(a.0.to_bits() == b.0.to_bits() && std::ptr::eq(a.1, b.1), "separators are first keys");
                    total += count;
                }
                total
            }
        }
    }
    let mut shape = Shape::default();
    let total = tree.root.as_ref().map_or(0, |root| walk(root, 0, &mut None, &mut shape));
    assert_eq!(total, tree.len());
    assert_eq!(shape, tree.shape);
    if let Some(Node::Inner(root)) = &tree.root {
        assert!(root.len() > 1, "a root of one child gives way");
    }
    let all: Vec<_> = tree.iter().collect();
    assert!(all.windows(2).all(|w| key_cmp((w[0].0, w[0].1), (w[1].0, w[1].1)).is_lt()));
}

fn place(model: &[(f64, Handle)], score: f64, bytes: &[u8]) -> Result<usize, usize> {
    model.binary_search_by(|(s, m)| key_cmp((*s, m), (score, bytes)))
}

#[derive(Debug, Clone)]
enum Op {
    Insert(f64, usize),
    Remove(usize),
    Update(usize, f64),
    Nudge(usize, f64),
    RemoveAt(usize),
    PopFirst,
    PopLast,
    RemoveRange(usize, usize),
    RemoveScores(f64, f64),
    Chunk,
    Replace(usize),
    Run(f64, usize, i8),
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-40i32..40).prop_map(f64::from),
        4 => -1e6f64..1e6,
        1 => prop_oneof![Just(0.0), Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let any = 0usize..100_000;
    prop_oneof![
        30 => (score(), any.clone()).prop_map(|(s, i)| Op::Insert(s, i)),
        8 => any.clone().prop_map(Op::Remove),
        8 => (any.clone(), score()).prop_map(|(i, s)| Op::Update(i, s)),
        8 => (any.clone(), -2f64..2.0).prop_map(|(i, s)| Op::Nudge(i, s)),
        4 => any.clone().prop_map(Op::RemoveAt),
        2 => Just(Op::PopFirst),
        2 => Just(Op::PopLast),
        2 => (any.clone(), any.clone()).prop_map(|(a, b)| Op::RemoveRange(a, b)),
        1 => (score(), score()).prop_map(|(a, b)| Op::RemoveScores(a, b)),
        1 => Just(Op::Chunk),
        2 => any.clone().prop_map(Op::Replace),
        12 => (score(), 1usize..400, prop_oneof![Just(-1i8), Just(0), Just(1)]).prop_map(|(s, n, d)| Op::Run(s, n, d)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_operation_agrees_with_a_sorted_vec(ops in prop::collection::vec(op(), 1..120)) {
        let pool = members(4_000);
        let mut fresh = 0;
        let mut tree: OrderTree<Handle> = OrderTree::new();
        let mut model: Vec<(f64, Handle)> = Vec::new();
        for op in ops {
            let n = model.len();
            match op {
                Op::Insert(s, i) => {
                    let m = pool[i % pool.len()];
                    let at = place(&model, s, m);
                    prop_assert_eq!(tree.insert(s, m), at.is_err());
                    if let Err(at) = at {
                        model.insert(at, (s, m));
                    }
                }
                Op::Run(s, count, step) => {
                    for k in 0..count {
                        fresh += 1;
                        let (s, m) = (s + f64::from(step) * k as f64, pool[fresh % pool.len()]);
                        if let Err(at) = place(&model, s, m) {
                            model.insert(at, (s, m));
                            prop_assert!(tree.insert(s, m));
                        }
                    }
                }
                Op::Remove(i) if n > 0 => {
                    let (s, m) = model.remove(i % n);
                    prop_assert_eq!(tree.remove(s, m), Some(m));
                    prop_assert_eq!(tree.remove(s, m), None);
                }
                Op::Update(i, _) | Op::Nudge(i, _) if n > 0 => {
                    let (old, m) = model[i % n];
                    let new = match op {
                        Op::Update(_, s) => s,
                        Op::Nudge(_, d) => old + d,
                        _ => old,
                    };
                    if place(&model, new, m).is_err() {
                        model.remove(i % n);
                        let (Ok(at) | Err(at)) = place(&model, new, m);
                        model.insert(at, (new, m));
                        prop_assert!(tree.update(old, m, new));
                    }
                }
                Op::RemoveAt(i) if n > 0 => prop_assert_eq!(tree.remove_at(i % n), Some(model.remove(i % n))),
                Op::PopFirst if n > 0 => prop_assert_eq!(tree.pop_first(), Some(model.remove(0))),
                Op::PopLast => prop_assert_eq!(tree.pop_last(), model.pop()),
                Op::RemoveRange(a, b) if n > 0 => {
                    let (a, b) = ((a % n).min(b % n), (a % n).max(b % n));
                    let mut gone = Vec::new();
                    prop_assert_eq!(tree.remove_range(a..b, |s, m| gone.push((s, m))), b - a);
                    prop_assert_eq!(gone, model.drain(a..b).collect::<Vec<_>>());
                }
                Op::RemoveScores(a, b) => {
                    let (from, to) = (tree.count_below(a.min(b)), tree.count_to(a.max(b)));
                    tree.remove_range(from..to, |_, _| ());
                    model.retain(|(s, _)| *s < a.min(b) || *s > a.max(b));
                }
                Op::Chunk => {
                    let mut gone = 0;
                    prop_assert_eq!(tree.pop_chunk(|_, _| gone += 1), n > 0);
                    model.truncate(n - gone);
                }
                Op::Replace(i) if n > 0 => {
                    let (s, m) = model[i % n];
                    let twin: Handle = Box::leak(m.to_vec().into_boxed_slice());
                    prop_assert!(tree.replace(s, m, twin).is_some_and(|old| std::ptr::eq(old, m)));
                    model[i % n].1 = twin;
                }
                _ => {}
            }
            prop_assert_eq!(tree.len(), model.len());
            prop_assert_eq!(tree.first(), model.first().copied());
            prop_assert_eq!(tree.last(), model.last().copied());
        }
        check(&tree);
        prop_assert_eq!(tree.iter().collect::<Vec<_>>(), model.clone());
        let back: Vec<_> = model.iter().rev().copied().collect();
        prop_assert_eq!(tree.range_rev(0..tree.len()).collect::<Vec<_>>(), back);
        for (i, (s, m)) in model.iter().enumerate().step_by(7) {
            prop_assert_eq!(tree.rank(*s, m), Some(i));
            prop_assert_eq!(tree.at(i), Some((*s, *m)));
            prop_assert_eq!(tree.count_below(*s), model.partition_point(|e| e.0 < *s));
            prop_assert_eq!(tree.count_to(*s), model.partition_point(|e| e.0 <= *s));
            let end = (i + 100).min(model.len());
            prop_assert_eq!(tree.range(i..i + 100).collect::<Vec<_>>(), model[i..end].to_vec());
        }
        let rebuilt = OrderTree::from_sorted(model.iter().copied()).expect("the model is sorted");
        check(&rebuilt);
        prop_assert_eq!(rebuilt.iter().collect::<Vec<_>>(), model);
    }

    #[test]
    fn lexical_bounds_agree_with_a_sorted_vec(picks in prop::collection::btree_set(0u32..3_000, 0..1_500), probe in 0u32..3_000) {
        let mut tree = OrderTree::new();
        let mut model: Vec<Handle> = picks.into_iter().map(member).collect();
        model.iter().for_each(|m| assert!(tree.insert(7.0, *m)));
        model.sort_unstable();
        let probe = member(probe);
        prop_assert_eq!(tree.count_lex_below(probe), model.partition_point(|m| *m < probe));
        prop_assert_eq!(tree.count_lex_to(probe), model.partition_point(|m| *m <= probe));
    }
}

#[test]
fn elements_arriving_in_order_leave_full_leaves() {
    let pool = members(20_000);
    let (mut up, mut down) = (OrderTree::new(), OrderTree::new());
    for (i, m) in pool.iter().enumerate() {
        up.insert(i as f64, *m);
        down.insert(-(i as f64), *m);
    }
    check(&up);
    check(&down);
    let least = pool.len().div_ceil(LEAF_MAX);
    assert_eq!((up.shape.leaves, down.shape.leaves), (least, least));
}

#[test]
fn a_tree_emptied_in_any_way_owns_no_memory() {
    let pool = members(5_000);
    let full = || OrderTree::from_sorted(pool.iter().enumerate().map(|(i, m)| (i as f64, *m))).expect("sorted");
    let mut by_chunk = full();
    while by_chunk.pop_chunk(|_, _| ()) {}
    let mut by_range = full();
    assert_eq!(by_range.remove_range(0..usize::MAX, |_, _| ()), pool.len());
    let mut by_pop = full();
    while by_pop.pop_first().is_some() {}
    for tree in [by_chunk, by_range, by_pop] {
        check(&tree);
        assert_eq!((tree.len(), tree.memory_bytes()), (0, 0));
    }
}

#[test]
fn many_small_ranges_removed_keep_leaves_filled() {
    let pool = members(60_000);
    let mut tree = OrderTree::from_sorted(pool.iter().enumerate().map(|(i, m)| (i as f64, *m))).expect("sorted");
    let mut x = 1usize;
    while tree.len() > 6_000 {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (x >> 33) % tree.len();
        tree.remove_range(at..at + 90, |_, _| ());
    }
    check(&tree);
    assert!(tree.shape.leaves * LEAF_MAX < tree.len() * 4, "{:?} for {}", tree.shape, tree.len());
}

/// A member whose block is owned elsewhere: reading it once it is freed is the fault that must not happen.
#[derive(Clone, Copy)]
struct Tracked(&'static (std::cell::Cell<bool>, Vec<u8>));

impl Member for Tracked {
    fn bytes(&self) -> &[u8] {
        assert!(self.0.0.get(), "a freed member is read");
        &self.0.1
    }
}

impl Tracked {
    fn new(n: u32) -> Self {
        Tracked(Box::leak(Box::new((std::cell::Cell::new(true), member(n).to_vec()))))
    }
    fn free(self) {
        self.0.0.set(false);
    }
}

#[test]
fn a_removed_member_is_never_read_again() {
    let mut tree = OrderTree::new();
    let mut x = 7u32;
    let mut random = |below: u32| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 8) % below
    };
    for n in 0..60_000u32 {
        // Few scores, so that most comparisons go to the bytes, of separators too.
        tree.insert(f64::from(random(5)), Tracked::new(n));
        let len = tree.len();
        match random(40) {
            0..20 => {}
            20..30 => {
                let (score, m) = tree.at(random(len as u32) as usize).expect("a rank below len");
                tree.remove(score, &m.0.1).expect("it is there").free();
            }
            30..37 => {
                let (score, m) = tree.at(random(len as u32) as usize).expect("a rank below len");
                assert!(tree.update(score, &m.0.1, f64::from(random(5))));
            }
            37 => tree.pop_first().expect("not empty").1.free(),
            38 => tree.pop_last().expect("not empty").1.free(),
            _ => {
                let from = random(len as u32) as usize;
                tree.remove_range(from..from + random(300) as usize, |_, m| m.free());
            }
        }
        if n % 20_000 == 19_999 {
            tree.pop_chunk(|_, m| m.free());
        }
    }
    assert!(tree.iter().all(|(_, m)| m.0.0.get()));
}

#[test]
fn the_two_zeros_are_one_score() {
    let mut tree: OrderTree<Handle> = OrderTree::new();
    assert!(tree.insert(0.0, b"a"));
    assert!(!tree.insert(-0.0, b"a"));
    assert!(tree.insert(-0.0, b"b"));
    assert_eq!(tree.count_below(0.0), 0);
    assert_eq!(tree.rank(0.0, b"b"), Some(1));
    assert_eq!(tree.remove(0.0, b"b"), Some(&b"b"[..]));
}

#[test]
fn building_refuses_what_is_not_sorted() {
    let a: Handle = b"a";
    let b: Handle = b"b";
    assert_eq!(OrderTree::from_sorted([(1.0, b), (1.0, a)]).err(), Some(Unsorted { at: 1 }));
    assert_eq!(OrderTree::from_sorted([(1.0, a), (1.0, a)]).err(), Some(Unsorted { at: 1 }));
    assert_eq!(OrderTree::from_sorted([(f64::NAN, a)]).err(), Some(Unsorted { at: 0 }));
}

/// A handle of eight bytes, as the sorted set's.
#[derive(Clone, Copy)]
struct Thin(&'static [u8; 12]);

impl Member for Thin {
    fn bytes(&self) -> &[u8] {
        self.0
    }
}

/// Run by hand: `HOLDFAST_TIMING=1 cargo test --profile fast --lib value::order -- --nocapture timing`.
#[test]
fn timing() {
    if std::env::var_os("HOLDFAST_TIMING").is_none() {
        return;
    }
    const N: usize = 1_000_000;
    let pool: Vec<_> = (0..N as u32).map(|n| Thin(member(n).first_chunk().expect("twelve bytes"))).collect();
    let mut x = 42u64;
    let mut random = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    let mut scores: Vec<f64> = (0..N).map(|_| (random() >> 11) as f64).collect();
    let mut tree = OrderTree::new();
    let per = |what: &str, n: usize, f: &mut dyn FnMut()| {
        let start = crate::base::clock::monotonic_ns();
        f();
        println!("{what}: {:.1} ns", (crate::base::clock::monotonic_ns() - start) as f64 / n as f64);
    };
    per("insert at random", N, &mut || (0..N).for_each(|i| assert!(tree.insert(scores[i], pool[i]))));
    println!("bytes per element, random: {:.2}", tree.memory_bytes() as f64 / N as f64);
    let mut sum = 0;
    per("rank", N, &mut || (0..N).for_each(|i| sum += tree.rank(scores[i], pool[i].0).unwrap_or(0)));
    per("at", N, &mut || (0..N).for_each(|i| sum += tree.at((i * 7919) % N).map_or(0, |e| e.1.0.len())));
    per("walk", N, &mut || sum += tree.iter().map(|e| e.0 as usize & 1).sum::<usize>());
    per("update at random", N, &mut || {
        for i in 0..N {
            let new = (random() >> 11) as f64;
            assert!(tree.update(scores[i], pool[i].0, new));
            scores[i] = new;
        }
    });
    println!("bytes per element, after updates: {:.2}", tree.memory_bytes() as f64 / N as f64);
    per("update nearby", N, &mut || {
        for i in 0..N {
            assert!(tree.update(scores[i], pool[i].0, scores[i] + 1.0));
            scores[i] += 1.0;
        }
    });
    per("remove at random", N, &mut || (0..N).for_each(|i| assert!(tree.remove(scores[i], pool[i].0).is_some())));
    let sorted: Vec<_> = (0..N).map(|i| (i as f64, pool[i])).collect();
    per("build from sorted", N, &mut || tree = OrderTree::from_sorted(sorted.iter().copied()).expect("sorted"));
    println!("bytes per element, built: {:.2} ({sum})", tree.memory_bytes() as f64 / N as f64);
}
