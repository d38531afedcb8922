//! DEBUG DIGEST and DIGEST-VALUE: fingerprints that are equal where the data is, whatever server holds it and in whatever encoding.
//!
//! SHA-1 steps, as Valkey answers: what has an order is *mixed* (xor the element's SHA-1 in, then SHA-1 of the sum), what has none is
//! *joined* (xor alone). Nothing is protected by it.

use crate::base::number::FloatText;
use crate::commands::string::access;
use crate::commands::{NodeContext, Outcome};
use crate::crypto::{hex, sha1};
use crate::keyspace::Plan;
use crate::value::object::Object;
use crate::value::record::Record;
use crate::value::stream::{Direction, StreamId};

type Digest = [u8; 20];

fn join(digest: &mut Digest, data: &[u8]) {
    for (d, s) in digest.iter_mut().zip(sha1(data)) {
        *d ^= s;
    }
}

fn mix(digest: &mut Digest, data: &[u8]) {
    join(digest, data);
    *digest = sha1(digest);
}

/// Adds a value and whether it has a deadline.
fn add_value(digest: &mut Digest, record: &Record, now_ms: i64) {
    let kind: u32 = match record.object() {
        None => 0,
        Some(Object::List(_)) => 1,
        Some(Object::Set(_)) => 2,
        Some(Object::Zset(_)) => 3,
        Some(Object::Hash(_)) => 4,
        Some(Object::Stream(_)) => 6,
    };
    mix(digest, &kind.to_be_bytes());
    match record.object() {
        None => {
            if let Ok(bytes) = access::bytes(record) {
                mix(digest, &bytes);
            }
        }
        Some(Object::List(list)) => list.iter().for_each(|e| e.with_bytes(|b| mix(digest, b))),
        Some(Object::Set(set)) => set.for_each(|m| m.with_bytes(|b| join(digest, b))),
        Some(Object::Zset(zset)) => zset.each(0..zset.len(), false, |member, score| {
            let mut own = Digest::default();
            member.with_bytes(|b| mix(&mut own, b));
            mix(&mut own, FloatText::of_digits(score).as_bytes());
            join(digest, &own);
        }),
        Some(Object::Stream(stream)) => {
            for entry in stream.range(StreamId::MIN, StreamId::MAX, Direction::Forward) {
                mix(digest, format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (field, value) in entry.pairs() {
                    field.with_bytes(|b| mix(digest, b));
                    value.with_bytes(|b| mix(digest, b));
                }
            }
        }
        Some(Object::Hash(hash)) => hash.for_each(now_ms, |field, value| {
            let mut own = Digest::default();
            field.with_bytes(|b| mix(&mut own, b));
            value.with_bytes(|b| mix(&mut own, b));
            join(digest, &own);
        }),
    }
    if record.deadline().is_some() {
        join(digest, b"!!expire!!");
    }
}

/// DEBUG DIGEST-VALUE.
pub fn of_values(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let keys = cx.args.from(2);
    cx.reply.array(keys.len());
    for name in keys.iter() {
        let digest = cx.with_key(name, |space, key, _| {
            let (mut digest, now_ms) = (Digest::default(), space.now_ms());
            if let Some(record) = space.peek(key) {
                add_value(&mut digest, &record, now_ms);
            }
            digest
        });
        cx.reply.status(&hex(&digest));
    }
    Ok(())
}

/// DEBUG DIGEST.
pub fn of_all(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let own_lock = !cx.space.is_whole();
    if own_lock {
        cx.space.lock(&Plan::All);
    }
    let now_ms = cx.space.now_ms();
    let mut all = Digest::default();
    for db in 0..cx.space.databases() {
        let mut begun = false;
        for stripe in 0..crate::keyspace::STRIPES {
            let table = &cx.space.stripe(stripe as u16).database(db).table;
            table.for_each(|record| {
                if record.deadline().is_some_and(|d| d <= now_ms) {
                    return;
                }
                if !begun {
                    mix(&mut all, &db.to_be_bytes());
                    begun = true;
                }
                let mut own = Digest::default();
                mix(&mut own, record.name());
                add_value(&mut own, record, now_ms);
                join(&mut all, &own);
            });
        }
    }
    if own_lock {
        cx.space.unlock();
    }
    cx.reply.status(&hex(&all));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::record::Content;

    #[test]
    fn a_string_has_the_fingerprint_valkey_gives_it() {
        let mut digest = Digest::default();
        add_value(&mut digest, &Record::new(b"a", Content::Int(1), None), 0);
        assert_eq!(hex(&digest), "b4fc66738120fba0b5aa500ab5c2bf89cea1c5da");
        let mut digest = Digest::default();
        add_value(&mut digest, &Record::new(b"e", Content::String(b"x"), Some(9_999_999_999_999)), 0);
        assert_eq!(hex(&digest), "0745672cb1bf060476eedeb8a28f5ffe1ff5a2be");
    }

    #[test]
    fn a_sorted_set_mixes_the_shortest_digits_of_its_scores() {
        use crate::value::zset::{Limits, Zset};
        for (score, want) in [
            (0.1, "6605f56364a85f2c14bc54c5b4318ac4616eb60a"),
            (f64::INFINITY, "693af63fc2885cc02fbc107a856fc4b9687305ed"),
            (1e17, "865dfe692ba47395ddd673188be31a88f4f3a760"),
        ] {
            let mut zset = Zset::new();
            zset.set(b"a", score, Limits { entries: 128, value: 64 });
            let mut digest = Digest::default();
            add_value(&mut digest, &Record::new(b"z", Content::Object(Box::new(Object::Zset(zset))), None), 0);
            assert_eq!(hex(&digest), want);
        }
    }
}
