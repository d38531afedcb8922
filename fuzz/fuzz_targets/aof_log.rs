//! An append-only file: its items lie one behind the other inside of it, are the same however the bytes come, and a request is the same when
//! it is written again; a manifest is refused, or is read the same when it is written again.
#![no_main]

use holdfast::persist::aof::manifest::Manifest;
use holdfast::persist::aof::reader::Reader;
use libfuzzer_sys::fuzz_target;
use std::io::Read;

/// Gives its bytes a few at a time.
struct Drops<'a>(&'a [u8], usize);

impl Read for Drops<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = out.len().min(self.1).min(self.0.len());
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

/// The items with where they stand, and where and why it ends.
fn all(from: impl Read, len: u64) -> (Vec<(String, u64, u64)>, u64, String) {
    let mut reader = Reader::new(from, 0);
    let (mut items, mut behind) = (Vec::new(), 0);
    let end = loop {
        match reader.advance() {
            Ok(true) => {}
            Ok(false) => break "whole".to_owned(),
            Err(fault) => break format!("{fault:?}"),
        }
        for (item, args, begin, end) in reader.items() {
            assert!(behind <= begin && begin < end && end <= len);
            behind = end;
            if !args.is_empty() {
                let mut again = Vec::new();
                args.write_request(&mut again);
                let mut second = Reader::new(&again[..], 0);
                assert!(second.advance().expect("what is written is read"));
                let words = |a: holdfast::resp::args::Args<'_>| a.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
                assert!(second.items().map(|(_, a, ..)| words(a)).eq([words(args)]));
            }
            items.push((format!("{item:?} {args:?}"), begin, end));
        }
    };
    (items, reader.offset(), end)
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (step, bytes) = input;
    let len = bytes.len() as u64;
    let (items, offset, end) = all(&bytes[..], len);
    assert!(offset <= len && (end != "whole" || offset == len));
    assert_eq!(all(Drops(&bytes, usize::from(step) + 1), len), (items, offset, end));
    if let Ok(text) = std::str::from_utf8(&bytes)
        && let Ok(manifest) = Manifest::parse(text)
    {
        let again = manifest.to_string();
        assert!(again.is_empty() || Manifest::parse(&again).as_ref() == Ok(&manifest));
    }
});
