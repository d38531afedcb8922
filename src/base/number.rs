//! Numbers as text: what clients send as integers and doubles, and how replies print them.
//!
//! Parsing is strict and takes the whole input: no spaces, no leading plus or zeros in integers. Printing needs no
//! allocation. A text that [`parse_i64`] accepts is exactly the text [`IntText`] prints, which lets compact encodings keep
//! integers in binary and give the same bytes back. The 80-bit arithmetic of INCRBYFLOAT is in [`super::extended`].

use std::fmt::Write as _;

/// Longest text of an `i64`: a sign and 19 digits.
pub const INT_TEXT_MAX: usize = 20;
/// Longest text of a finite `f64` as [`FloatText`] prints it: sign, 17 digits, point, seven zeros or an exponent.
const FLOAT_TEXT_MAX: usize = 40;

/// The integer whose one canonical text is `text`: optional minus, no plus, no leading zeros, no `-0`, within `i64`.
#[must_use]
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if text == b"0" {
        return Some(0);
    }
    if digits.len() >= INT_TEXT_MAX || !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let magnitude = accumulate(digits)?;
    if negative {
        // `checked_sub_unsigned` takes -2^63, whose magnitude has no positive i64.
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Like [`parse_i64`] for `u64`: digits only, no leading zeros.
#[must_use]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        b"0" => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => accumulate(text),
        _ => None,
    }
}

#[inline]
fn accumulate(digits: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Two digits for each number below 100, so that printing divides half as often.
const PAIRS: &[u8; 200] = b"00010203040506070809101112131415161718192021222324252627282930313233343536373839\
40414243444546474849505152535455565758596061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// The decimal text of an integer, on the stack.
///
/// ```
/// use holdfast::base::number::IntText;
/// assert_eq!(IntText::new(-42).as_bytes(), b"-42");
/// ```
#[derive(Clone, Copy)]
pub struct IntText {
    bytes: [u8; INT_TEXT_MAX],
    start: u8,
}

impl IntText {
    #[must_use]
    #[inline]
    pub fn new(value: i64) -> Self {
        let mut text = Self::unsigned(value.unsigned_abs());
        if value < 0 {
            text.start -= 1;
            text.bytes[usize::from(text.start)] = b'-';
        }
        text
    }

    #[must_use]
    #[inline]
    pub fn unsigned(mut value: u64) -> Self {
        let mut bytes = [0; INT_TEXT_MAX];
        let mut at = INT_TEXT_MAX;
        while value >= 100 {
            let pair = (value % 100) as usize * 2;
            value /= 100;
            at -= 2;
            bytes[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        }
        if value >= 10 {
            let pair = value as usize * 2;
            at -= 2;
            bytes[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        } else {
            at -= 1;
            bytes[at] = b'0' + value as u8;
        }
        Self { bytes, start: at as u8 }
    }

    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// Appends a line that is one byte and a number, as RESP writes lengths, counts and integers.
#[inline]
pub fn put_line(out: &mut Vec<u8>, kind: u8, n: i64) {
    // Numbers of one digit or two are nearly all there are.
    match n {
        0..=9 => out.extend_from_slice(&[kind, b'0' + n as u8, b'\r', b'\n']),
        10..=99 => out.extend_from_slice(&[kind, b'0' + n as u8 / 10, b'0' + n as u8 % 10, b'\r', b'\n']),
        n => {
            let text = IntText::new(n);
            out.reserve(INT_TEXT_MAX + 3);
            out.push(kind);
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The length of the text of `value`, in bytes.
#[must_use]
#[inline]
pub fn int_text_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
    digits + usize::from(value < 0)
}

/// Appends the text of `value`.
pub fn push_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(IntText::new(value).as_bytes());
}

/// The text of a double as scores are replied: the fewest digits that read back as the same double.
///
/// Whole numbers up to 2^62 stand in full; otherwise digits stand plainly while few zeros are needed (`0.00001`, but
/// `1.5e-6`; `1e+20`); `inf`, `-inf`, `nan`; minus zero is `-0`.
#[derive(Clone, Copy)]
pub struct FloatText {
    bytes: [u8; FLOAT_TEXT_MAX],
    len: u8,
}

impl FloatText {
    #[must_use]
    pub fn new(value: f64) -> Self {
        let mut text = Self { bytes: [0; FLOAT_TEXT_MAX], len: 0 };
        if value.is_nan() {
            text.push(b"nan");
        } else if value.is_infinite() {
            text.push(if value < 0.0 { b"-inf" } else { b"inf" });
        } else if value == 0.0 {
            text.push(if value.is_sign_negative() { b"-0" } else { b"0" });
        } else if value.abs() < WHOLE_BOUND && value.trunc() == value {
            text.push(IntText::new(value as i64).as_bytes());
        } else {
            text.shortest(value);
        }
        text
    }

    /// The shortest digits alone, also for whole numbers: 1e17 is `1e+17`.
    #[must_use]
    pub fn of_digits(value: f64) -> Self {
        if value == 0.0 || !value.is_finite() {
            return Self::new(value);
        }
        let mut text = Self { bytes: [0; FLOAT_TEXT_MAX], len: 0 };
        text.shortest(value);
        text
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    fn zeros(&mut self, count: i32) {
        for _ in 0..count {
            self.push(b"0");
        }
    }

    fn shortest(&mut self, value: f64) {
        let mut scientific = Self { bytes: [0; FLOAT_TEXT_MAX], len: 0 };
        // The standard library prints the shortest digits that round-trip, as `d.ddde-x`; 24 bytes at most.
        let written = write!(scientific, "{:e}", value.abs());
        debug_assert!(written.is_ok(), "a double in scientific form fits the buffer");
        let source = scientific.as_bytes();
        let split = source.iter().position(|&b| b == b'e').unwrap_or(source.len());
        let (mantissa, exponent) = source.split_at(split);
        let exponent = exponent.get(1..).and_then(parse_i64).unwrap_or(0) as i32;
        let mut digits = [0_u8; FLOAT_TEXT_MAX];
        let mut count = 0;
        for &byte in mantissa.iter().filter(|&&b| b != b'.') {
            digits[count] = byte;
            count += 1;
        }
        let digits = &digits[..count];
        let length = count as i32;
        // The value is digits x 10^scale.
        let scale = exponent - (length - 1);
        if value < 0.0 {
            self.push(b"-");
        }
        if scale >= 0 && exponent < length + 7 {
            self.push(digits);
            self.zeros(scale);
        } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
            let whole = length + scale;
            if whole <= 0 {
                self.push(b"0.");
                self.zeros(-whole);
                self.push(digits);
            } else {
                let (before, after) = digits.split_at(whole as usize);
                self.push(before);
                self.push(b".");
                self.push(after);
            }
        } else {
            let (first, rest) = digits.split_at(1);
            self.push(first);
            if !rest.is_empty() {
                self.push(b".");
                self.push(rest);
            }
            self.push(if exponent < 0 { b"e-" } else { b"e+" });
            self.push(IntText::new(i64::from(exponent.abs())).as_bytes());
        }
    }
}

/// Whole doubles below this are printed as integers.
const WHOLE_BOUND: f64 = 4_611_686_018_427_387_904.0;

impl std::fmt::Write for FloatText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if usize::from(self.len) + text.len() > FLOAT_TEXT_MAX {
            return Err(std::fmt::Error);
        }
        self.push(text.as_bytes());
        Ok(())
    }
}

/// A double as ZADD takes scores: decimal, `inf`, `infinity` with a sign or none, in any case. Refused: spaces,
/// hexadecimal, not-a-number, and a number too large or too small to be told from infinity or zero.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let lost = if value == 0.0 {
        text.iter().take_while(|b| !matches!(b, b'e' | b'E')).any(|b| matches!(b, b'1'..=b'9'))
    } else {
        value.is_infinite() && text.iter().any(u8::is_ascii_digit)
    };
    (!lost && !value.is_nan()).then_some(value)
}

/// A double as the ends of score ranges are read, in the manner of C's `strtod` over the whole text: leading white space,
/// hexadecimal and the empty text (zero) are taken, overflow is infinity, underflow zero. Not-a-number is refused.
#[must_use]
pub fn parse_f64_bound(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let trimmed = text.trim_ascii_start();
    let (negative, unsigned) = match trimmed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, trimmed),
    };
    let magnitude = match unsigned {
        [b'0', b'x' | b'X', rest @ ..] => {
            let hex = super::extended::parse_hex(rest)?;
            hex_to_f64(hex.mantissa, hex.sticky, hex.exponent)
        }
        [b'0'..=b'9' | b'.' | b'i' | b'I', ..] => std::str::from_utf8(unsigned).ok()?.parse().ok()?,
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `mantissa` x 2^`exponent`, with something nonzero below it if `sticky`, rounded once to the nearest double.
fn hex_to_f64(mantissa: u128, sticky: bool, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let zeros = mantissa.leading_zeros();
    let normal = mantissa << zeros;
    let top = exponent - i64::from(zeros) + 127;
    // Bits of precision left: 53, fewer below 2^-1022, none below half of the least subnormal.
    let precision = (top + 1075).min(53);
    if top > 1023 {
        return f64::INFINITY;
    }
    if precision < 0 {
        return 0.0;
    }
    let shift = 128 - precision as u32;
    let kept = normal.checked_shr(shift).unwrap_or(0);
    let rest = normal - kept.checked_shl(shift).unwrap_or(0);
    let half = 1_u128 << (shift - 1);
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    // At most 2^53, so the conversion is exact; the two factors keep each power of two in range.
    let scale = top - precision + 1;
    let first = scale / 2;
    (kept + u128::from(up)) as f64 * exp2(first) * exp2(scale - first)
}

fn exp2(power: i64) -> f64 {
    f64::powi(2.0, power as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_text() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
            ("1.0", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
        assert_eq!(parse_u64(b"00"), None);
    }

    #[test]
    fn doubles_print_as_valkey_replies_scores() {
        for (text, printed) in [
            ("3.0", "3"),
            ("-1.5", "-1.5"),
            ("0.1", "0.1"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1e17", "100000000000000000"),
            ("4.6e18", "4600000000000000000"),
            ("4.7e18", "4.7e+18"),
            ("-4.7e18", "-4.7e+18"),
            ("12345678901234567890", "12345678901234567000"),
            ("1.2345678901234567e23", "123456789012345670000000"),
            ("12345678901234567e8", "1.2345678901234568e+24"),
            ("1e20", "1e+20"),
            ("0.00001", "0.00001"),
            ("0.000001", "0.000001"),
            ("1.5e-6", "1.5e-6"),
            ("1.5e-5", "0.000015"),
            ("1e-7", "1e-7"),
            ("0.00012345", "1.2345e-4"),
            ("0.00123456789", "0.00123456789"),
            ("1234.5678901", "1234.5678901"),
            ("12345.6789012", "1.23456789012e+4"),
            ("123456789.123456789", "1.2345678912345679e+8"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
            ("-1e-100", "-1e-100"),
            ("-0", "-0"),
            ("inf", "inf"),
            ("-Infinity", "-inf"),
        ] {
            let value = parse_f64(text.as_bytes()).unwrap_or_else(|| panic!("{text} is refused"));
            assert_eq!(std::str::from_utf8(FloatText::new(value).as_bytes()), Ok(printed));
        }
        assert_eq!(FloatText::new(f64::NAN).as_bytes(), b"nan");
    }

    #[test]
    fn scores_refuse_what_valkey_refuses() {
        for text in
            ["nan", "0x10", " 1", "1 ", "1e400", "-1e400", "1e-400", "2e-324", "", ".", "1e", "1e5x", "i", "+-1", "1_0"]
        {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
        for (text, value) in [("1.", 1.0), (".5", 0.5), ("+5", 5.0), ("0e-400", 0.0), ("1e-320", 1e-320)] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
    }

    #[test]
    fn range_ends_are_read_leniently() {
        for (text, value) in [
            ("", 0.0),
            (" 1", 1.0),
            ("0x10", 16.0),
            ("-0x1.8p1", -3.0),
            ("1e-400", 0.0),
            ("1e400", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", 5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.fffffffffffff7p0", 1.999_999_999_999_999_8),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
        ] {
            assert_eq!(parse_f64_bound(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["0x", "nan", "1 ", "--1", "infinit", "0x1p", "-"] {
            assert_eq!(parse_f64_bound(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn integers_round_trip(value: i64, unsigned: u64) {
            let text = IntText::new(value);
            let expected = value.to_string();
            proptest::prop_assert_eq!(text.as_bytes(), expected.as_bytes());
            proptest::prop_assert_eq!(text.as_bytes().len(), int_text_len(value));
            proptest::prop_assert_eq!(parse_i64(text.as_bytes()), Some(value));
            proptest::prop_assert_eq!(parse_u64(IntText::unsigned(unsigned).as_bytes()), Some(unsigned));
        }

        #[test]
        fn doubles_round_trip(bits: u64) {
            let value = f64::from_bits(bits);
            if !value.is_nan() {
                let text = FloatText::new(value);
                proptest::prop_assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(bits));
            }
        }
    }
}
