//! Messages of the cluster bus: whatever is read can be written, and is read the same then.
#![no_main]

use holdfast::cluster::wire::{Kind, STRANGER_BYTES_MAX, encode, length, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(n)) = length(bytes, STRANGER_BYTES_MAX) else { return };
    assert!(n <= STRANGER_BYTES_MAX);
    let Some(message) = bytes.get(..n) else { return };
    let Ok(message) = parse(message) else { return };
    if let (Some(head), true) = (&message.head, message.kind != Kind::Module) {
        let again = parse(&encode(head, &message.body)).expect("what was written is read");
        assert_eq!((again.head.as_ref(), &again.body), (Some(head), &message.body));
    }
});
