//! Words in quotes: never a panic, and what is quoted comes back.
#![no_main]

use holdfast::config::words::quote;
use holdfast::resp::parser::split_words;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<Vec<u8>>)| {
    let (line, words) = input;
    let _ = split_words(&line);
    let quoted: Vec<String> = words.iter().map(|w| quote(w)).collect();
    assert_eq!(split_words(quoted.join(" ").as_bytes()), Some(words));
});
