//! Text to number and back, against the standard library.
#![no_main]

use holdfast::base::number::{FloatText, IntText, parse_f64, parse_i64, parse_u64};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, i64, f64)| {
    let (text, n, x) = input;
    if let Some(n) = parse_i64(&text) {
        // There is one spelling of an integer.
        assert_eq!(n.to_string().as_bytes(), &text[..]);
    }
    if let Some(n) = parse_u64(&text) {
        assert_eq!(std::str::from_utf8(&text).unwrap().parse(), Ok(n));
    }
    let _ = parse_f64(&text);
    assert_eq!(IntText::new(n).as_bytes(), n.to_string().as_bytes());
    assert_eq!(parse_i64(n.to_string().as_bytes()), Some(n));
    if x.is_finite() {
        let shown = FloatText::new(x);
        let back = std::str::from_utf8(shown.as_bytes()).unwrap().parse::<f64>();
        assert_eq!(back, Ok(x), "{x:e}");
    }
});
