//! A walk beside writers always writes the key space of its cut.

use super::*;
use crate::config::Config;
use crate::keyspace::{Access, AccessPolicy, Key, Plan};
use crate::persist::rdb;
use crate::value::hash::{FieldTtl, Hash};
use crate::value::object::Object;
use crate::value::record::Content;
use proptest::prelude::*;
use std::sync::Arc;

const AT: Access = Access { policy: AccessPolicy::Lru, now_ms: 1_000_000 };

/// Database, name, deadline and value.
type Row = (u32, Vec<u8>, Option<i64>, Vec<u8>);

/// All keys with their values as DUMP writes them, in order.
fn state(keyspace: &Keyspace) -> Vec<Row> {
    let mut all = Vec::new();
    keyspace.each_stripe(|_, stripe| {
        for db in 0..keyspace.databases() {
            stripe.database(db).table.for_each(|r| {
                all.push((db, r.name().to_vec(), r.deadline(), elements(r)));
            });
        }
    });
    all.sort();
    all
}

/// The value without the order of its elements.
fn elements(r: &crate::value::record::Record) -> Vec<u8> {
    match r.object() {
        Some(Object::Hash(hash)) => {
            let mut all = Vec::new();
            hash.for_each_with_deadline(|f, v, d| {
                all.push((f.with_bytes(<[u8]>::to_vec), v.with_bytes(<[u8]>::to_vec), d));
            });
            all.sort();
            format!("{all:?}").into_bytes()
        }
        _ => rdb::dump_value(r),
    }
}

fn loaded(file: &[u8], databases: u32) -> Keyspace {
    let copy = Keyspace::new(databases);
    let options = load_options(&Config::default(), false);
    rdb::load(file, &mut copy.lock(&Plan::All, AT), &options).expect("what was written loads");
    copy
}

fn name(n: u16) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

fn big_hash(fields: u32, salt: u32) -> Content<'static> {
    let config = Config::default();
    let limits = rdb::Limits::of(&config).hash;
    let mut hash = Hash::default();
    for n in 0..fields {
        hash.set(format!("f{n}").as_bytes(), format!("{salt:50}:{n}").as_bytes(), FieldTtl::Clear, 0, &limits);
    }
    Content::Object(Box::new(Object::Hash(hash)))
}

#[derive(Clone, Debug)]
enum Write {
    Set(u32, u16, u32),
    Big(u32, u16, u32),
    Field(u32, u16),
    Delete(u32, u16),
    Deadline(u32, u16, i64),
    Rename(u32, u16, u16),
    Flush(Option<u32>),
    Swap,
}

fn write(keyspace: &Keyspace, write: &Write) {
    let mut s = keyspace.lock(&Plan::All, AT);
    match write {
        Write::Set(db, n, v) => {
            let text = "x".repeat((*v % 5000) as usize);
            s.set(Key::new(*db, &name(*n)), Content::String(text.as_bytes()), None);
        }
        Write::Big(db, n, v) => s.set(Key::new(*db, &name(*n)), big_hash(20 + v % 1200, *v), Some(None)),
        Write::Field(db, n) => {
            let limits = rdb::Limits::of(&Config::default()).hash;
            if let Some(mut r) = s.find_mut(Key::new(*db, &name(*n)))
                && let Some(Object::Hash(hash)) = r.object_mut()
            {
                hash.set(b"f1", b"changed", FieldTtl::Clear, 0, &limits);
            }
        }
        Write::Delete(db, n) => {
            s.delete(Key::new(*db, &name(*n)));
        }
        Write::Deadline(db, n, ms) => {
            s.set_deadline(Key::new(*db, &name(*n)), Some(2_000_000 + ms));
        }
        Write::Rename(db, a, b) => {
            let (from, to) = (name(*a), name(*b));
            if a != b
                && let Some(record) = s.remove(Key::new(*db, &from))
            {
                s.delete(Key::new(*db, &to));
                s.add_moved(Key::new(*db, &to), record);
            }
        }
        Write::Flush(db) => {
            let _ = s.flush(*db);
        }
        Write::Swap => s.swap(0, 1),
    }
}

fn any_write() -> impl Strategy<Value = Write> {
    let (db, key) = (0u32..2, 0u16..120);
    prop_oneof![
        6 => (db.clone(), key.clone(), any::<u32>()).prop_map(|(d, k, v)| Write::Set(d, k, v)),
        2 => (db.clone(), key.clone(), any::<u32>()).prop_map(|(d, k, v)| Write::Big(d, k, v)),
        4 => (db.clone(), key.clone()).prop_map(|(d, k)| Write::Field(d, k)),
        3 => (db.clone(), key.clone()).prop_map(|(d, k)| Write::Delete(d, k)),
        2 => (db.clone(), key.clone(), 0i64..9).prop_map(|(d, k, m)| Write::Deadline(d, k, m)),
        2 => (db.clone(), key.clone(), key.clone()).prop_map(|(d, a, b)| Write::Rename(d, a, b)),
        1 => prop_oneof![Just(None), db.prop_map(Some)].prop_map(Write::Flush),
        1 => Just(Write::Swap),
    ]
}

/// Walks, running some writes at every piece that is written. Returns the file.
fn walk(keyspace: &Keyspace, writes: &mut dyn FnMut(&Keyspace)) -> Vec<u8> {
    let snapshot = Snapshot::cut(
        &mut keyspace.lock(&Plan::All, AT),
        format(&Config::default(), AT, &crate::script::Functions::default()),
    )
    .unwrap();
    let mut file = Vec::new();
    let pace = Pace { stop: &|| false, key_delay_us: &|| 0 };
    let written = snapshot
        .run(keyspace, &pace, &mut |bytes| {
            file.extend_from_slice(bytes);
            writes(keyspace);
            Ok(())
        })
        .unwrap();
    assert_eq!(written.bytes, file.len() as u64);
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_is_written_is_the_key_space_of_the_cut_whatever_happens_meanwhile(
        before in prop::collection::vec(any_write(), 0..60),
        during in prop::collection::vec(any_write(), 0..60),
        every in 1usize..4,
    ) {
        let keyspace = Keyspace::new(2);
        before.iter().for_each(|w| write(&keyspace, w));
        // Twice, because the second walk meets the marks of the first.
        for _ in 0..2 {
            let cut = state(&keyspace);
            let mut during = during.iter();
            let file = walk(&keyspace, &mut |k| during.by_ref().take(every).for_each(|w| write(k, w)));
            prop_assert_eq!(&state(&loaded(&file, 2)), &cut);
        }
    }
}

#[test]
fn a_walk_that_is_given_up_leaves_nothing_behind() {
    let keyspace = Keyspace::new(2);
    for n in 0..500 {
        write(&keyspace, &Write::Set(0, n, 10));
    }
    for stopped in [false, true] {
        let snapshot = Snapshot::cut(
            &mut keyspace.lock(&Plan::All, AT),
            format(&Config::default(), AT, &crate::script::Functions::default()),
        )
        .unwrap();
        assert!(
            Snapshot::cut(
                &mut keyspace.lock(&Plan::All, AT),
                format(&Config::default(), AT, &crate::script::Functions::default())
            )
            .is_err()
        );
        if stopped {
            let mut pieces = 0;
            let pace = Pace { stop: &|| false, key_delay_us: &|| 0 };
            let failed = snapshot.run(&keyspace, &pace, &mut |_| {
                pieces += 1;
                if pieces > 3 { Err(io::Error::other("full")) } else { Ok(()) }
            });
            assert!(matches!(failed, Err(WalkError::Sink(_))));
        } else {
            drop(snapshot);
        }
        write(&keyspace, &Write::Set(0, 1, 11));
        let cut = state(&keyspace);
        let file = walk(&keyspace, &mut |k| write(k, &Write::Delete(0, 7)));
        assert_eq!(state(&loaded(&file, 2)), cut);
    }
}

#[test]
fn writers_on_other_threads_are_never_in_the_snapshot() {
    let keyspace = Arc::new(Keyspace::new(2));
    for n in 0..2000 {
        write(&keyspace, &Write::Set(0, n, 100));
    }
    let cut = state(&keyspace);
    let snapshot = Snapshot::cut(
        &mut keyspace.lock(&Plan::All, AT),
        format(&Config::default(), AT, &crate::script::Functions::default()),
    )
    .unwrap();
    let writers: Vec<_> = (0..2)
        .map(|t| {
            let k = Arc::clone(&keyspace);
            std::thread::spawn(move || {
                for n in 0..2000u16 {
                    let n = if t == 0 { n } else { 1999 - n };
                    let key = name(n);
                    let key = Key::new(0, &key);
                    k.lock_one(key.hash.stripe, AT).set(key, Content::String(b"new"), None);
                }
            })
        })
        .collect();
    let mut file = Vec::new();
    let pace = Pace { stop: &|| false, key_delay_us: &|| 0 };
    snapshot
        .run(&keyspace, &pace, &mut |bytes| {
            file.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    writers.into_iter().for_each(|w| w.join().unwrap());
    assert_eq!(state(&loaded(&file, 2)), cut);
}

#[test]
fn a_walk_says_when_it_is_behind_its_writers_and_tells_when_it_has_caught_up() {
    let keyspace = Keyspace::new(1);
    let value = [b'v'; 3000];
    for n in 0..4000 {
        let key = name(n);
        let key = Key::new(0, &key);
        keyspace.lock_one(key.hash.stripe, AT).set(key, Content::String(&value), None);
    }
    let told = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let tell = Arc::clone(&told);
    keyspace.on_way_free(Box::new(move || {
        tell.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }));
    let cut = state(&keyspace);
    let snapshot = Snapshot::cut(
        &mut keyspace.lock(&Plan::All, AT),
        // As they are: they would hardly take room otherwise.
        format(&uncompressed(), AT, &crate::script::Functions::default()),
    )
    .unwrap();
    assert!(!keyspace.is_walk_behind());
    for n in 0..4000 {
        let key = name(n);
        let key = Key::new(0, &key);
        keyspace.lock_one(key.hash.stripe, AT).set(key, Content::String(b"new"), None);
    }
    assert!(keyspace.is_walk_behind(), "writers have left more than half of what they may");
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), 0);
    let mut file = Vec::new();
    let pace = Pace { stop: &|| false, key_delay_us: &|| 0 };
    snapshot
        .run(&keyspace, &pace, &mut |bytes| {
            file.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    assert!(!keyspace.is_walk_behind());
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(state(&loaded(&file, 1)), cut);
}

fn uncompressed() -> Config {
    let mut config = Config::default();
    config.persistence.rdbcompression = false;
    config
}
