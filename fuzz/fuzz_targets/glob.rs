//! Matching against the plainest matcher there is, for the part of the language both know; and that it ends at all.
#![no_main]

use holdfast::base::glob::{matches, matches_nocase};
use libfuzzer_sys::fuzz_target;

/// `*`, `?` and letters, by the definition.
fn plain(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => plain(&pattern[1..], text) || (!text.is_empty() && plain(pattern, &text[1..])),
        (Some(b'?'), Some(_)) => plain(&pattern[1..], &text[1..]),
        (Some(p), Some(t)) => p == t && plain(&pattern[1..], &text[1..]),
        _ => false,
    }
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (pattern, text) = input;
    let _ = (matches(&pattern, &text), matches_nocase(&pattern, &text));
    let letters: Vec<u8> = pattern.iter().take(8).map(|b| b"ab*?"[usize::from(b % 4)]).collect();
    let short: Vec<u8> = text.iter().take(10).map(|b| b"ab"[usize::from(b % 2)]).collect();
    assert_eq!(matches(&letters, &short), plain(&letters, &short), "{letters:?} {short:?}");
});
