//! A stream's payload, sealed as RESTORE takes it: refused, or a stream that is whole and stays itself.
#![no_main]

use holdfast::base::crc64::crc64;
use holdfast::config::Config;
use holdfast::persist::rdb::{Limits, VERSION, dump_value, restore_value};
use holdfast::value::object::Object;
use holdfast::value::stream::{Direction, StreamId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (kind, body) = input;
    let mut payload = vec![[15, 19, 21][usize::from(kind % 3)]];
    payload.extend_from_slice(&body);
    payload.extend_from_slice(&VERSION.to_le_bytes());
    payload.extend_from_slice(&crc64(0, &payload).to_le_bytes());
    let limits = Limits::of(&Config::default());
    let Ok(value) = restore_value(&payload, &limits, false) else { return };
    let record = value.into_record(b"k", None);
    let Some(Object::Stream(stream)) = record.object() else { panic!("a stream's payload holds a stream") };
    let forward = stream.range(StreamId::MIN, StreamId::MAX, Direction::Forward).count();
    let backward = stream.range(StreamId::MIN, StreamId::MAX, Direction::Backward).count();
    assert_eq!((forward as u64, backward as u64), (stream.len(), stream.len()));
    let dumped = dump_value(&record);
    let again = restore_value(&dumped, &limits, false).expect("what is written is read").into_record(b"k", None);
    assert_eq!(dump_value(&again), dumped);
});
