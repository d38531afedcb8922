//! The parser finds the same at every split of the bytes.
#![no_main]

use holdfast::resp::parser::{Limits, Parsed, Partial, ProtocolError, Span, parse};
use libfuzzer_sys::fuzz_target;

type Request = Vec<Vec<u8>>;

/// Feeds `bytes` in pieces that end at `ends`; the requests found, and the error that ended it.
fn feed(bytes: &[u8], ends: &[usize], limits: Limits) -> (Vec<Request>, Option<ProtocolError>) {
    let mut requests = Vec::new();
    let (mut begin, mut partial) = (0, Partial::default());
    for end in ends.iter().copied().chain([bytes.len()]) {
        while begin < end {
            let mut spans: Vec<Span> = Vec::new();
            let buffer = &bytes[begin..end];
            match parse(buffer, &mut partial, &mut spans, limits) {
                Ok(Parsed::Request { bytes: n }) => {
                    assert!(n > 0 && n <= buffer.len());
                    requests.push(spans.iter().map(|s| s.of(buffer).to_vec()).collect());
                    begin += n;
                }
                Ok(Parsed::Inline { bytes: n, words }) => {
                    assert!(n > 0 && n <= buffer.len());
                    requests.push(words);
                    begin += n;
                }
                Ok(Parsed::Incomplete) => break,
                Err(e) => return (requests, Some(e)),
            }
        }
    }
    (requests, None)
}

fuzz_target!(|input: (bool, Vec<u8>, Vec<u8>)| {
    let (authenticated, cuts, bytes) = input;
    let limits = Limits { bulk_len_max: 1 << 20, authenticated };
    let mut ends: Vec<usize> = cuts.iter().map(|c| usize::from(*c) * bytes.len() / 256).collect();
    ends.sort_unstable();
    let whole = feed(&bytes, &[], limits);
    assert_eq!(whole, feed(&bytes, &ends, limits));
    let every: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(whole, feed(&bytes, &every, limits));
});
