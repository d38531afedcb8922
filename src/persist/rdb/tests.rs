//! Values and files there and back, beside bytes that Valkey 9.1 wrote.

use super::*;
use crate::base::crc64::crc64;
use crate::config::Config;
use crate::keyspace::{Access, AccessPolicy, Key, Keyspace, Plan};
use crate::value::object::Object;
use crate::value::record::{Content, ContentRef, Record};
use crate::value::stream::{Direction, StreamId};
use proptest::prelude::*;

/// Payloads of Valkey 9.1.2: each of these is written here as it is there.
const PAYLOADS: &[&[u8]] = &[
    b"\x00\xc0\x05P\x00\xac\x05\x96\xf7\x1d}\xd4\xa5",
    b"\x00\xc1,\x01P\x00Zh\xa8c\xfb\xd0;\xe4",
    b"\x00\xc2p\x11\x01\x00P\x00\xce\x8e\xc1o\x0bb\xf2Q",
    b"\x00\xc0\xfbP\x00\x86\xee\x0feItX\x9c",
    b"\x00\xc2\xff\xff\xff\x7fP\x00\xe3^,\x0f~|\xcaU",
    b"\x00\n2147483648P\x00(\x9b\xe02\xd2O\x11\x1a",
    b"\x00\nhelloworldP\x00~\xe3\x86\r\xd8\xf0S-",
    b"\x00\x040012P\x00\x04\x1d?\x9aUCo\xa9",
    b"\x10\r\r\x00\x00\x00\x02\x00\x81f\x02\x81v\x02\xffP\x00\xef\xdb\xf4\xd5\xbd\x06oi",
    b"\x12\x01\x02\x0f\x0f\x00\x00\x00\x03\x00\x81a\x02\x81b\x02\x01\x01\xffP\x00/1b\xdb\xd9\x9c>\xd6",
    b"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\x01\x00\x02\x00\x03\x00P\x00j(\x95s\xf3<*\xef",
    b"\x14\x0f\x0f\x00\x00\x00\x03\x00\x81a\x02\x81b\x02\x01\x01\xffP\x00\x88N\xab\xa3\xb4J\x83\x19",
    b"\x11\x14\x14\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xffP\x00\x1bf\xa75h\x16\xbe#",
];

fn limits() -> Limits {
    Limits::of(&Config::default())
}

fn restore(payload: &[u8]) -> Record {
    restore_value(payload, &limits(), false).unwrap().into_record(b"k", None)
}

/// A body with a footer that is right.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut out = body.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    let crc = crc64(0, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

#[test]
fn payloads_of_valkey_are_written_as_they_were_read() {
    for payload in PAYLOADS {
        assert_eq!(dump_value(&restore(payload)), *payload);
    }
}

#[test]
fn tables_and_compressed_strings_of_valkey_are_read() {
    let long = restore(b"\x00\xc3\t@\xc8\x01aa\xe0\xbb\x00\x01aaP\x00\xd0\xb3>\xbf\x9f\xe0j\x17");
    assert!(matches!(long.content(), ContentRef::Inline(v) if v == [b'a'; 200]));
    let hash = b"\x16\x02\x01f\x01v\xff\x9frN\x18\t\x00\x00\x01g\xc0\x01\xff\xff\xff\xff\xff\xff\xff\xff";
    let hash = restore(&sealed(hash));
    let object = hash.object().unwrap();
    assert_eq!((object.encoding(), object.len(), object.deadlines()), ("hashtable", 2, 1));
    let zset = restore(&sealed(b"\x05\x02\x01b\x00\x00\x00\x00\x00\x00\x04@\x01a\x00\x00\x00\x00\x00\x00\xf0?"));
    assert_eq!(zset.object().unwrap().len(), 2);
}

#[test]
fn what_is_empty_twice_or_unknown_is_refused() {
    for body in [
        &b""[..],
        b"\x02\x00",
        b"\x12\x00",
        b"\x63\x00",
        b"\x04\x02\x01f\x01v\x01f\x01v",
        b"\x02\x02\x01a\x01a",
        b"\x16\x01\x01f\x01v\xfe\xff\xff\xff\xff\xff\xff\xff",
        b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f",
        b"\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
        b"\x00\x80\xff\xff\xff\xffabc",
        b"\x00\xc3\x05\x80\xff\xff\xff\xff\x01aa\xe0\xbb",
        b"\x0f\x01",
    ] {
        assert!(matches!(restore_value(&sealed(body), &limits(), false), Err(PayloadError::Value(_))), "{body:?}");
    }
    let future = b"\x00\x03\x62\x61\x72\xde\x00\x0fYUza\xd3\xec\xe0";
    assert!(matches!(restore_value(future, &limits(), false), Err(PayloadError::Footer)));
    assert!(restore_value(future, &limits(), true).is_ok());
}

const AT: Access = Access { policy: AccessPolicy::Lru, now_ms: 1_000_000 };

fn options() -> LoadOptions {
    LoadOptions {
        threads: 0,
        loading: None,
        limits: limits(),
        relaxed: false,
        checksum: true,
        merge: false,
        tell_keys: false,
        keep_expired: false,
    }
}

fn saved(keyspace: &Keyspace) -> Vec<u8> {
    let mut out = Vec::new();
    let format = crate::persist::snapshot::format(&Config::default(), AT, &crate::script::Functions::default());
    let written = write(&mut keyspace.lock(&Plan::All, AT), &mut out, &format, &|| Ok(())).unwrap();
    assert_eq!(written.bytes, out.len() as u64);
    out
}

fn example() -> Keyspace {
    let keyspace = Keyspace::new(16);
    let mut space = keyspace.lock(&Plan::All, AT);
    for (n, payload) in PAYLOADS.iter().enumerate() {
        let name = format!("k{n}");
        let db = n as u32 % 3;
        space.add_moved(Key::new(db, name.as_bytes()), restore(payload));
    }
    space.add(Key::new(9, b"soon"), Content::Int(7), Some(2_000_000));
    space.add(Key::new(9, b"past"), Content::Int(7), Some(1_000));
    drop(space);
    keyspace
}

#[test]
fn a_file_brings_back_every_database_value_and_deadline() {
    let file = saved(&example());
    let copy = Keyspace::new(16);
    let mut space = copy.lock(&Plan::All, AT);
    let loaded = load(&file[..], &mut space, &options()).unwrap();
    assert_eq!(loaded, Loaded { keys: PAYLOADS.len() as u64 + 1, expired: 1, ..Loaded::default() });
    for (n, payload) in PAYLOADS.iter().enumerate() {
        let name = format!("k{n}");
        let record = space.peek(Key::new(n as u32 % 3, name.as_bytes())).unwrap();
        assert_eq!(dump_value(&record), *payload);
    }
    assert_eq!(space.peek(Key::new(9, b"soon")).unwrap().deadline(), Some(2_000_000));
    assert!(matches!(load(&file[..], &mut space, &options()), Err(RdbError { fault: Fault::Duplicate, .. })));
    assert!(load(&file[..], &mut space, &LoadOptions { merge: true, ..options() }).is_ok());
}

#[test]
fn a_flipped_bit_anywhere_in_a_file_is_found() {
    let file = saved(&example());
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 1;
        let fresh = Keyspace::new(16);
        assert!(load(&bad[..], &mut fresh.lock(&Plan::All, AT), &options()).is_err(), "byte {at}");
    }
}

#[test]
fn a_file_that_ends_early_is_refused() {
    let file = saved(&example());
    for len in 0..file.len() {
        let fresh = Keyspace::new(16);
        let result = load(&file[..len], &mut fresh.lock(&Plan::All, AT), &options());
        assert!(matches!(result, Err(RdbError { fault: Fault::Truncated, .. })), "{len} bytes: {result:?}");
    }
}

/// A file that several threads share: small keys of the examples, tables, and big ones between them.
fn long_file() -> Vec<u8> {
    let keyspace = Keyspace::new(16);
    let mut space = keyspace.lock(&Plan::All, AT);
    for n in 0..12_000_u32 {
        let payload = PAYLOADS[n as usize % PAYLOADS.len()];
        space.add_moved(Key::new(n % 3, format!("k{n}").as_bytes()), restore(payload));
    }
    for n in 0..4 {
        let text = vec![b'a' + n; 100_000 * usize::from(n)];
        space.add(Key::new(1, &[b'b', n]), Content::Big(std::sync::Arc::new(text)), Some(3_000_000));
        let members = (0..200).map(|i| [b"\x09member".as_slice(), &[n], format!("{i:02x}").as_bytes()].concat());
        let bodies = [
            vec![kind::SET, 0x40, 200],
            members.map(|m| [&[m.len() as u8 - 1], &m[1..]].concat()).collect::<Vec<_>>().concat(),
        ];
        space.add_moved(Key::new(2, &[b's', n]), restore(&sealed(&bodies.concat())));
    }
    drop(space);
    saved(&keyspace)
}

type Dumped = std::collections::BTreeMap<(u32, Vec<u8>), Vec<u8>>;

/// Loads a file with `threads`; the keys as they are dumped, or what is wrong.
fn loaded_by(threads: usize, file: &[u8]) -> Result<(Loaded, Dumped), String> {
    let copy = Keyspace::new(16);
    let options = LoadOptions { threads, checksum: false, ..options() };
    let loaded = load(file, &mut copy.space(AT), &options).map_err(|e| e.to_string())?;
    let mut all = std::collections::BTreeMap::new();
    let mut space = copy.lock(&Plan::All, AT);
    for (db, stripe) in (0..16).flat_map(|db| (0..crate::keyspace::STRIPES as u16).map(move |s| (db, s))) {
        space.stripe(stripe).database(db).table.for_each(|r| {
            all.insert((db, r.name().to_vec()), [dump_value(r), format!("{:?}", r.deadline()).into_bytes()].concat());
        });
    }
    Ok((loaded, all))
}

#[test]
fn several_threads_load_what_one_does() {
    let file = long_file();
    let (one, several) = (loaded_by(1, &file).unwrap(), loaded_by(3, &file).unwrap());
    assert_eq!(one.0.keys, 12_008);
    assert!(one == several);
}

#[test]
fn several_threads_tell_the_first_fault_of_a_file_as_one_does() {
    let file = long_file();
    let mut wrong = 0;
    for at in (9..file.len()).step_by(file.len() / 12) {
        let mut bad = file.clone();
        bad[at] ^= 0x41;
        // A second fault behind it must not hide the first.
        let later = (at + 200_000).min(bad.len() - 1);
        bad[later] ^= 0x41;
        let (one, several) = (loaded_by(1, &bad), loaded_by(3, &bad));
        wrong += usize::from(one.is_err());
        assert!(one == several, "byte {at}: {:?} and {:?}", one.err(), several.err());
    }
    assert!(wrong > 1, "{wrong}");
    for len in [0, 5, file.len() / 3, file.len() / 2, file.len() - 9] {
        assert_eq!(loaded_by(1, &file[..len]).unwrap_err(), loaded_by(3, &file[..len]).unwrap_err());
    }
}

proptest! {
    #[test]
    fn any_value_is_read_or_refused_without_harm(kind in 0u8..24, mut body: Vec<u8>) {
        body.insert(0, kind);
        let _ = restore_value(&sealed(&body), &limits(), false);
    }

    #[test]
    fn damaged_values_are_read_or_refused_without_harm(
        which in 0..PAYLOADS.len(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let payload = PAYLOADS[which];
        let mut body = payload[..payload.len() - 10].to_vec();
        for (at, with) in flips {
            let at = at.index(body.len());
            body[at] ^= with;
        }
        if let Ok(value) = restore_value(&sealed(&body), &limits(), false) {
            // What was let in can be written and read again.
            let record = value.into_record(b"k", None);
            prop_assert!(restore_value(&dump_value(&record), &limits(), false).is_ok());
        }
    }
}

/// A stream of two nodes with a deleted entry, a group with two consumers that have something pending and one that has not, and a group
/// that has read nothing: as Valkey 9.1 dumps it without compression; Valkey 8.1 writes the same bytes before the version.
const STREAM: &[u8] =
    b"\x15\x02\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x0111\x00\x00\x00\x13\x00\
      \x02\x01\x00\x01\x01\x01\x81f\x02\x00\x01\x02\x01\x00\x01\x00\x01\x01\x01\x04\x01\x00\x01\x00\x01\
      \x01\x01\x02\x01\x81f\x02\x81v\x02\x81g\x02\x07\x01\x08\x01\xff\x10\x00\x00\x00\x00\x00\x00\x00\x05\
      \x00\x00\x00\x00\x00\x00\x00\x00&&\x00\x00\x00\x0f\x00\x01\x01\x01\x01\x01\x01\x81f\x02\x00\x01\x03\
      \x01\x00\x01\x00\x01\x03\x01\x04\x01\x02\x01\x00\x01\x01\x01\x04\x01\x04\x01\xff\x03\x05\x01\x01\x01\
      \x05\x00\x04\x02\x01g\x05\x01\x04\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\
      \x01\xe8\x03\x00\x00\x00\x00\x00\x00A,\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\
      \x02$x\xb7\x10\xa2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01$x\
      \xb7\x10\xa2\x01\x00\x00\x01\x03\x03ann$x\xb7\x10\xa2\x01\x00\x00$x\xb7\x10\xa2\x01\x00\x00\x00\x03b\
      ob$x\xb7\x10\xa2\x01\x00\x00$x\xb7\x10\xa2\x01\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\
      \x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\
      \x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01\x04idle$x\xb7\x10\xa2\x01\x00\x00\xff\xff\xff\
      \xff\xff\xff\xff\xff\x00\x04none\x05\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00P\x00\xa4Z\xae\
      \xe4O\xe7\xc1N";

#[test]
fn a_stream_of_valkey_is_written_as_it_was_read() {
    let record = restore(STREAM);
    let Some(Object::Stream(stream)) = record.object() else { panic!("a stream") };
    assert_eq!((stream.len(), stream.entries_added, stream.groups().len()), (3, 4, 2));
    assert_eq!(dump_value(&record), STREAM);
    let bob = stream.group(b"g").and_then(|g| Some(g.consumer(g.find(b"bob")?))).expect("a consumer");
    assert_eq!(bob.pending().len(), 3);
}

/// A ziplist of `a` and 1: what versions before listpacks kept small values in.
const ZIPLIST: &[u8] = b"\x10\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xf2\xff";

/// The body of a value of every type that a file can hold, those of old versions too.
fn every_type() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = PAYLOADS.iter().map(|p| p[..p.len() - 10].to_vec()).collect();
    all.push(STREAM[..STREAM.len() - 10].to_vec());
    for old in [kind::STREAM, kind::STREAM_COUNTERS] {
        // What later versions have added is left over behind the value and refused: the flips before that are what counts.
        all.push([&[old], &all.last().expect("the stream")[1..]].concat());
    }
    let packed = |kind: u8, bytes: &[u8]| [&[kind, bytes.len() as u8], bytes].concat();
    all.extend([
        packed(kind::HASH_ZIPMAP, b"\x02\x01f\x01\x00v\x01g\x02\x00xy\xff"),
        packed(kind::LIST_ZIPLIST, ZIPLIST),
        packed(kind::ZSET_ZIPLIST, ZIPLIST),
        packed(kind::HASH_ZIPLIST, ZIPLIST),
        [&[kind::LIST_QUICKLIST_ZIPLISTS, 1, ZIPLIST.len() as u8], ZIPLIST].concat(),
        b"\x01\x02\x01a\xc0\x05".to_vec(),
        b"\x02\x02\x01a\xc0\x05".to_vec(),
        b"\x03\x02\x01b\x032.5\x01a\xfe".to_vec(),
        b"\x04\x02\x01f\x01v\x01g\xc0\x01".to_vec(),
        b"\x05\x02\x01b\x00\x00\x00\x00\x00\x00\x04@\x01a\x00\x00\x00\x00\x00\x00\xf0?".to_vec(),
        b"\x16\x02\x01f\x01v\xff\x9frN\x18\t\x00\x00\x01g\xc0\x01\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x00\xc3\t@\xc8\x01aa\xe0\xbb\x00\x01aa".to_vec(),
    ]);
    all
}

#[test]
fn a_value_of_any_type_with_any_byte_flipped_or_cut_off_is_refused_or_whole() {
    let mut read = std::collections::BTreeSet::new();
    let mut judge = |body: &[u8]| {
        if let Ok(value) = restore_value(&sealed(body), &limits(), false) {
            read.insert(body[0]);
            let record = value.into_record(b"k", None);
            let again = dump_value(&record);
            assert_eq!(dump_value(&restore(&again)), again, "{}", body.escape_ascii());
        }
    };
    for body in every_type() {
        judge(&body);
        for at in 0..body.len() {
            judge(&body[..at]);
            for flip in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f] {
                let mut bad = body.clone();
                bad[at] ^= flip;
                judge(&bad);
            }
        }
    }
    // None of them was refused for what it is.
    assert!(
        every_type()
            .iter()
            .map(|b| b[0])
            .filter(|k| ![kind::STREAM, kind::STREAM_COUNTERS].contains(k))
            .all(|k| read.contains(&k)),
        "{read:?}"
    );
}

#[test]
fn a_stream_that_contradicts_itself_is_refused() {
    let body = &STREAM[..STREAM.len() - 10];
    // Where `what` begins, after the place where `after` is found.
    let find = |what: &[u8], after: &[u8]| {
        let from = body.windows(after.len()).position(|w| w == after).expect("the mark is there");
        from + body[from..].windows(what.len()).position(|w| w == what).expect("what is changed is there")
    };
    let id = |ms: u64, seq: u64| [ms.to_be_bytes(), seq.to_be_bytes()].concat();
    let changed = |at: usize, to: &[u8]| {
        let mut body = body.to_vec();
        body[at..at + to.len()].copy_from_slice(to);
        body
    };
    let pending_end = find(b"\x03\x03ann", b"\x01g\x05\x01");
    for (what, body) in [
        ("an entry that two consumers have", changed(find(b"\x00\x03bob", b"\x03ann"), b"\x01")),
        ("an id that is not pending", changed(find(&id(5, 1), b"\x03bob"), &id(5, 2))),
        ("an entry that one consumer has twice", changed(find(&id(1, 2), b"\x03bob"), &id(1, 1))),
        ("a pending entry twice", changed(find(&id(1, 2), b"\x01g\x05\x01"), &id(1, 1))),
        ("a consumer twice", changed(find(b"ann", b"ann"), b"bob")),
        ("a consumer without its entries", changed(find(b"\x03", b"bob") + 19, b"\x02")),
        ("too many entries", changed(find(b"\x03\x05\x01\x01\x01", b"\xff\x03"), b"\x04")),
        ("a last id below the last entry", changed(find(b"\x05\x01\x01\x01", b"\xff\x03"), b"\x04")),
        ("a node twice", changed(find(&id(5, 0), &id(5, 0)), &id(1, 1))),
        ("a node before the one before it ends", changed(find(&id(5, 0), &id(5, 0)), &id(1, 2))),
        ("a node's count", changed(find(b"\x02\x01\x00\x01\x01\x01", b"\x13\x00"), b"\x01")),
        ("a node's flag", changed(find(b"\x02\x01\x00\x01\x00\x01\x01\x01\x04", b"\x13\x00"), b"\x06")),
        ("a group that ends early", body[..pending_end].to_vec()),
    ] {
        assert!(matches!(restore_value(&sealed(&body), &limits(), false), Err(PayloadError::Value(_))), "{what}");
    }
}

proptest! {
    #[test]
    fn a_damaged_stream_is_refused_or_whole(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut body = STREAM[..STREAM.len() - 10].to_vec();
        for (at, to) in flips {
            let at = at.index(body.len());
            body[at] = to;
        }
        body[0] = 21;
        if let Some(at) = cut {
            body.truncate(1 + at.index(body.len()));
        }
        if let Ok(value) = restore_value(&sealed(&body), &limits(), false) {
            let record = value.into_record(b"k", None);
            if let Some(Object::Stream(stream)) = record.object() {
                // Whatever it holds: written and read again it is the same.
                let again = dump_value(&record);
                prop_assert_eq!(&dump_value(&restore(&again)), &again);
                let read = stream.range(StreamId::MIN, StreamId::MAX, Direction::Forward).count();
                prop_assert_eq!(read as u64, stream.len());
            }
        }
    }
}

#[test]
fn a_file_brings_back_libraries_and_a_damaged_one_is_found() {
    let source = b"#!lua name=lib\nserver.register_function('f', function() return 1 end)".to_vec();
    let functions = crate::script::Functions::default();
    let settings = crate::script::settings(&Config::default());
    let of = |sources: &[Vec<u8>]| {
        crate::script::keep_all(&functions, settings, sources, crate::script::RestorePolicy::Append)
    };
    of(std::slice::from_ref(&source)).unwrap();
    let mut file = Vec::new();
    let format = crate::persist::snapshot::format(&Config::default(), AT, &functions);
    write(&mut Keyspace::new(16).lock(&Plan::All, AT), &mut file, &format, &|| Ok(())).unwrap();
    let copy = Keyspace::new(16);
    let loaded = load(&file[..], &mut copy.lock(&Plan::All, AT), &options()).unwrap();
    assert_eq!(loaded.libraries, [source]);
    assert!(of(&loaded.libraries).unwrap_err().contains("already exists"));
    let at = file.windows(4).position(|w| w == b"name").unwrap();
    file[at] ^= 1;
    assert!(load(&file[..], &mut copy.lock(&Plan::All, AT), &options()).is_err());
}
