//! The stream beside an ordered map, and its groups beside their invariants.

use super::*;
use proptest::prelude::*;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Op {
    Append { ms: u8, seq: u8, fields: Fields },
    Remove(u8),
    MaxLen { max: u8, whole: bool, limit: u8 },
    MinId { ms: u8, seq: u8, whole: bool, limit: u8 },
    Range { from: (u8, u8), to: (u8, u8) },
}

fn fields() -> impl Strategy<Value = Fields> {
    let name = prop_oneof![
        Just(b"f".to_vec()),
        Just(b"g".to_vec()),
        Just(b"12".to_vec()),
        prop::collection::vec(any::<u8>(), 0..80)
    ];
    let value =
        prop_oneof![prop::collection::vec(any::<u8>(), 0..200), any::<i64>().prop_map(|n| n.to_string().into_bytes())];
    prop::collection::vec((name, value), 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u8..3, 0u8..3, fields()).prop_map(|(ms, seq, fields)| Op::Append { ms, seq, fields }),
        2 => any::<u8>().prop_map(Op::Remove),
        1 => (0u8..40, any::<bool>(), 0u8..8).prop_map(|(max, whole, limit)| Op::MaxLen { max, whole, limit }),
        1 => (0u8..60, 0u8..4, any::<bool>(), 0u8..8).prop_map(|(ms, seq, whole, limit)| Op::MinId { ms, seq, whole, limit }),
        2 => ((0u8..90, 0u8..4), (0u8..90, 0u8..4)).prop_map(|(from, to)| Op::Range { from, to }),
    ]
}

fn id((ms, seq): (u8, u8)) -> StreamId {
    StreamId::new(ms.into(), seq.into())
}

fn read(entries: Walk<'_>) -> Vec<(StreamId, Fields)> {
    entries.map(|e| (e.id, e.pairs().map(|(f, v)| (f.to_vec(), v.to_vec())).collect())).collect()
}

fn borrowed(fields: &Fields) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(f, v)| (f.as_slice(), v.as_slice())).collect()
}

proptest! {
    #[test]
    fn a_stream_holds_what_a_map_would(
        ops in prop::collection::vec(op(), 1..120),
        node_entries in 0u64..6,
        node_bytes in prop_oneof![Just(0usize), Just(100), Just(4096)],
    ) {
        let limits = Limits { node_bytes, node_entries };
        let (mut stream, mut model) = (Stream::new(), BTreeMap::<StreamId, Fields>::new());
        let (mut last, mut deleted) = (StreamId::MIN, StreamId::MIN);
        for op in ops {
            match op {
                Op::Append { ms, seq, fields } => {
                    let next = StreamId::new(last.ms + u64::from(ms), if ms == 0 { last.seq } else { 0 } + u64::from(seq));
                    let done = stream.append(next, &borrowed(&fields), &limits);
                    prop_assert_eq!(done, if next > last { Ok(()) } else { Err(Refused::NotAbove) });
                    if done.is_ok() {
                        last = next;
                        model.insert(next, fields);
                    }
                }
                Op::Remove(n) => {
                    let id = model.keys().nth(n as usize % model.len().max(1)).copied().unwrap_or(StreamId::new(9999, 0));
                    let there = model.remove(&id).is_some();
                    if there {
                        deleted = deleted.max(id);
                    }
                    prop_assert_eq!(stream.remove(id), there);
                    prop_assert!(!stream.remove(id));
                }
                Op::MaxLen { max, whole, limit } => {
                    let limit = if whole { u64::from(limit) } else { 0 };
                    let removed = stream.trim(Trim::MaxLen(max.into()), whole, limit);
                    let most = (model.len() as u64).saturating_sub(max.into());
                    prop_assert!(removed == most || (whole && removed < most));
                    prop_assert!(limit == 0 || removed <= limit);
                    (0..removed).for_each(|_| { model.pop_first(); });
                }
                Op::MinId { ms, seq, whole, limit } => {
                    let (min, limit) = (id((ms, seq)), if whole { u64::from(limit) } else { 0 });
                    let removed = stream.trim(Trim::MinId(min), whole, limit);
                    let most = model.range(..min).count() as u64;
                    prop_assert!(removed == most || (whole && removed < most));
                    prop_assert!(limit == 0 || removed <= limit);
                    (0..removed).for_each(|_| { model.pop_first(); });
                }
                Op::Range { from, to } => {
                    let (from, to) = (id(from), id(to));
                    let want: Vec<_> = if from <= to {
                        model.range(from..=to).map(|(id, f)| (*id, f.clone())).collect()
                    } else {
                        vec![]
                    };
                    let mut back = read(stream.range(from, to, Direction::Backward));
                    back.reverse();
                    prop_assert_eq!(&back, &want);
                    prop_assert_eq!(read(stream.range(from, to, Direction::Forward)), want);
                }
            }
            stream.check();
            prop_assert_eq!(stream.len(), model.len() as u64);
            prop_assert_eq!((stream.last_id, stream.max_deleted_id), (last, deleted));
            prop_assert_eq!(stream.last_living(), model.keys().next_back().copied());
        }
        let want: Vec<_> = model.into_iter().collect();
        prop_assert_eq!(read(stream.range(StreamId::MIN, StreamId::MAX, Direction::Forward)), want);

        // Put together again from its nodes it is the same; with other figures it is refused.
        let again = |len, last_id| {
            let mut parts = StreamParts::default();
            for (first, pack) in stream.nodes() {
                parts.add_node(*first, pack.clone()).expect("a node of ours");
            }
            parts.finish(len, last_id)
        };
        let same = again(stream.len(), last).expect("a stream of ours");
        same.check();
        prop_assert_eq!(same.first_id(), stream.first_id());
        prop_assert_eq!(again(stream.len() + 1, last).err(), Some(Damaged::Count));
        if let Some(living) = stream.last_living() {
            prop_assert_eq!(again(stream.len(), living.prev().unwrap()).err(), Some(Damaged::LastId));
        }
    }

    #[test]
    fn a_node_with_a_changed_byte_is_refused_or_read_to_its_end(
        entries in prop::collection::vec(fields(), 1..6),
        at: prop::sample::Index,
        to: u8,
    ) {
        let mut stream = Stream::new();
        let limits = Limits { node_bytes: 0, node_entries: 0 };
        for (n, fields) in entries.iter().enumerate() {
            stream.append(StreamId::new(1 + n as u64 / 2, n as u64), &borrowed(fields), &limits).unwrap();
        }
        stream.remove(stream.first_id());
        let Some((first, pack)) = stream.nodes().first_key_value() else { return Ok(()) };
        let mut bytes = pack.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let Ok(pack) = Listpack::from_vec(bytes) else { return Ok(()) };
        for len in 0..=entries.len() as u64 {
            let mut parts = StreamParts::default();
            if parts.add_node(*first, pack.clone()).is_err() {
                break;
            }
            let Ok(mut s) = parts.finish(len, StreamId::MAX) else { continue };
            s.check();
            let ids: Vec<_> = s.range(StreamId::MIN, StreamId::MAX, Direction::Forward).map(|e| e.id).collect();
            prop_assert_eq!(ids.len() as u64, len);
            prop_assert!(ids.iter().all(|id| s.remove(*id)));
            s.check();
        }
    }

    #[test]
    fn each_pending_entry_has_one_consumer(
        ops in prop::collection::vec((0u8..5, 0u8..4, 0u8..12), 1..80),
    ) {
        let mut group = Group::default();
        let mut model = BTreeMap::<StreamId, Vec<u8>>::new();
        for (op, consumer, entry) in ops {
            let (name, entry) = (vec![b'a' + consumer], StreamId::new(entry.into(), 0));
            let here = match group.find(&name) {
                Some(here) => here,
                None => group.add_consumer(&name, 0).unwrap(),
            };
            match op {
                0..=1 => {
                    group.put(entry, Pending { consumer: here, delivered_ms: 0, deliveries: 1 });
                    model.insert(entry, name);
                }
                2 => prop_assert_eq!(group.remove(entry).is_some(), model.remove(&entry).is_some()),
                3 => {
                    let own = model.values().filter(|n| **n == name).count();
                    prop_assert_eq!(group.remove_consumer(&name), Some(own));
                    model.retain(|_, n| *n != name);
                }
                _ => group.deliver_again(entry, 5),
            }
            group.check();
            let owners: Vec<_> = group.pending().iter().map(|(id, p)| (*id, group.consumer(p.consumer).name().to_vec())).collect();
            prop_assert_eq!(owners, model.clone().into_iter().collect::<Vec<_>>());
        }
    }
}
