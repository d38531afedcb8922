//! A whole RDB file, its sum not checked so that changed bytes get past it: refused, by one thread and by several alike, or a key space that
//! is written and read again with as many keys.
#![no_main]

use holdfast::config::Config;
use holdfast::keyspace::{Access, AccessPolicy, Keyspace, Plan, STRIPES};
use holdfast::persist::rdb::{Limits, LoadOptions, load, write};
use holdfast::persist::snapshot::format;
use libfuzzer_sys::fuzz_target;

const AT: Access = Access { policy: AccessPolicy::Lru, now_ms: 1_000_000 };
const HEADS: [&[u8]; 4] = [b"VALKEY080", b"REDIS0011", b"REDIS0006", b"REDIS0001"];

fn options(threads: usize) -> LoadOptions {
    LoadOptions {
        threads,
        loading: None,
        limits: Limits::of(&Config::default()),
        relaxed: false,
        checksum: false,
        merge: true,
        tell_keys: false,
        keep_expired: true,
    }
}

fn keys(keyspace: &Keyspace) -> usize {
    let mut space = keyspace.lock(&Plan::All, AT);
    let mut keys = 0;
    for db in 0..space.databases() {
        for stripe in 0..STRIPES as u16 {
            let table = &space.stripe(stripe).database(db).table;
            table.check();
            keys += table.len();
        }
    }
    keys
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (head, body) = input;
    let file = [HEADS[usize::from(head) % HEADS.len()], &body].concat();
    let keyspace = Keyspace::new(4);
    let loaded = load(&file[..], &mut keyspace.space(AT), &options(0));
    let beside = Keyspace::new(4);
    let by_threads = load(&file[..], &mut beside.space(AT), &options(2));
    assert_eq!(loaded.is_ok(), by_threads.is_ok(), "{loaded:?} {by_threads:?}");
    if loaded.is_err() {
        return;
    }
    let there = keys(&keyspace);
    assert_eq!(there, keys(&beside));
    let mut written = Vec::new();
    let format = format(&Config::default(), AT, &holdfast::script::Functions::default());
    write(&mut keyspace.lock(&Plan::All, AT), &mut written, &format, &|| Ok(())).expect("memory takes all");
    let again = Keyspace::new(4);
    load(&written[..], &mut again.space(AT), &options(0)).expect("what is written is read");
    assert_eq!(keys(&again), there);
});
