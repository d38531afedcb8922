//! Any bytes as a configuration file: a configuration or errors, never a panic.
#![no_main]

use holdfast::config::words::{quote_if_needed, split};
use holdfast::config::{Config, Source, directives};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut config = Config::default();
    for line in bytes.split(|b| *b == b'\n') {
        let Some(words) = split(line) else { continue };
        let quoted: Vec<String> = words.iter().map(|w| quote_if_needed(w)).collect();
        assert_eq!(split(quoted.join(" ").as_bytes()).as_ref(), Some(&words));
        let Some((name, values)) = words.split_first() else { continue };
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if let Some(row) = directives().find(|r| r.name == name) {
            let _ = row.apply(&mut config, values, Source::Load);
        }
    }
    // What was accepted can be written down.
    for row in directives() {
        let _ = (row.lines)(&config);
    }
});
