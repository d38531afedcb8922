//! The payload of a value of any type, sealed as RESTORE takes it: refused, or a value that is read from what it is written as with as many
//! elements; it may be kept in another form then, and is written as it was read from there on.
#![no_main]

use holdfast::base::crc64::crc64;
use holdfast::config::Config;
use holdfast::persist::rdb::{Limits, VERSION, dump_value, restore_value};
use holdfast::value::record::Record;
use libfuzzer_sys::fuzz_target;

/// Bytes that name the type of a value; there are none above.
const KINDS: u8 = 23;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (kind, body) = input;
    let mut payload = vec![kind % KINDS];
    payload.extend_from_slice(&body);
    payload.extend_from_slice(&VERSION.to_le_bytes());
    payload.extend_from_slice(&crc64(0, &payload).to_le_bytes());
    let limits = Limits::of(&Config::default());
    let Ok(value) = restore_value(&payload, &limits, false) else { return };
    let record = value.into_record(b"k", None);
    let read =
        |bytes: &[u8]| restore_value(bytes, &limits, false).expect("what is written is read").into_record(b"k", None);
    let size = |r: &Record| r.object().map(|o| (o.len(), o.deadlines()));
    let again = read(&dump_value(&record));
    assert_eq!(size(&again), size(&record));
    let dumped = dump_value(&again);
    let third = read(&dumped);
    assert_eq!(size(&third), size(&record));
    assert_eq!(dump_value(&third).len(), dumped.len(), "tables may be written in another order, but not otherwise");
});
