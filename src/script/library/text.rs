//! Numbers as text, as C prints them with `%.14g`, and read back.

use crate::base::number::parse_f64;

/// Digits Lua 5.1 gives a number.
pub const DIGITS: usize = 14;

/// `%.14g`.
pub fn number(n: f64) -> String {
    general(n, DIGITS)
}

/// `%.<digits>g`: that many digits at most, trailing zeros left out, an exponent where it is shorter.
pub fn general(n: f64, digits: usize) -> String {
    if n.is_nan() {
        return if n.is_sign_negative() { "-nan".into() } else { "nan".into() };
    }
    if n.is_infinite() {
        return if n < 0.0 { "-inf".into() } else { "inf".into() };
    }
    let digits = digits.max(1);
    let scientific = format!("{n:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{n:.decimals$}")).to_owned()
}

/// Without the zeros that say nothing.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A number as scripts write it: decimal or hexadecimal, blanks around it.
pub fn parse(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if let Some(hex) = digits.strip_prefix(b"0x").or_else(|| digits.strip_prefix(b"0X")) {
        if hex.is_empty() || !hex.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let n = hex.iter().fold(0.0, |n, c| n * 16.0 + f64::from(char::from(*c).to_digit(16).unwrap_or(0)));
        return Some(if negative { -n } else { n });
    }
    parse_f64(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_c_prints_them() {
        for (n, text) in [
            (0.1 + 0.2, "0.3"),
            (1e15, "1e+15"),
            (1e14, "1e+14"),
            (1e13, "10000000000000"),
            (9_007_199_254_740_992.0, "9.007199254741e+15"),
            (-0.0, "-0"),
            (100.0, "100"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1e300, "1e+300"),
            (123_456.789, "123456.789"),
            (0.0, "0"),
        ] {
            assert_eq!(number(n), text);
        }
        assert_eq!(general(1.0 / 3.0, 3), "0.333");
        assert_eq!(general(1234.0, 2), "1.2e+03");
    }

    #[test]
    fn hexadecimal_is_read() {
        assert_eq!(parse(b" 0x10 "), Some(16.0));
        assert_eq!(parse(b"-0xff"), Some(-255.0));
        assert_eq!(parse(b"0x"), None);
        assert_eq!(parse(b"1e3"), Some(1000.0));
        assert_eq!(parse(b"x"), None);
    }
}
