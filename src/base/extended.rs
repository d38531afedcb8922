//! The 80-bit floating point of x86 in software: a 64-bit mantissa and exponents to 2^16383.
//!
//! INCRBYFLOAT and HINCRBYFLOAT are defined by what `long double` gives on x86-64, printed with 17 decimals and without
//! trailing zeros. Text goes to the nearest value (ties to even), addition is rounded the same way, and printing is exact,
//! so the results equal the original's digit for digit, on every machine.
//!
//! Invariant: a finite value is `mantissa` x 2^`exponent` with the top bit of the mantissa set, unless it is zero or
//! subnormal (then `exponent` is [`EXPONENT_MIN`]). Work is bounded by [`TEXT_MAX`] and the exponent's range.

use super::number::IntText;

/// Weight of the lowest bit of the least subnormal.
const EXPONENT_MIN: i64 = -16_445;
/// Exponent of the largest finite values.
const EXPONENT_MAX: i64 = 16_383 - 63;
/// Texts longer than this are refused, in bytes, as the original's conversion buffer refuses them.
pub const TEXT_MAX: usize = 5119;
/// 17 decimals, as a divisor.
const DECIMALS: u128 = 100_000_000_000_000_000;

/// A value of the 80-bit format; never not-a-number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    infinite: bool,
    mantissa: u64,
    exponent: i64,
}

/// A hexadecimal number after its `0x`: `mantissa` x 2^`exponent`, and whether nonzero digits were dropped below.
pub(super) struct Hex {
    pub mantissa: u128,
    pub sticky: bool,
    pub exponent: i64,
}

impl Extended {
    pub const ZERO: Self = Self { negative: false, infinite: false, mantissa: 0, exponent: EXPONENT_MIN };

    /// Reads the whole of `text`: decimal, hexadecimal (`0x1.8p3`) or `inf`/`infinity`. `None` for anything else, for
    /// white space and not-a-number, and for a nonzero number that would become infinity or zero.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { infinite: true, negative, ..Self::ZERO });
        }
        let (value, nonzero) = match unsigned {
            [b'0', b'x' | b'X', rest @ ..] => {
                let hex = parse_hex(rest)?;
                (Self::round(negative, hex.mantissa, hex.sticky, hex.exponent), hex.mantissa != 0)
            }
            _ => parse_decimal(negative, unsigned)?,
        };
        (!value.infinite && (value.mantissa != 0) == nonzero).then_some(value)
    }

    #[must_use]
    pub fn is_infinite(self) -> bool {
        self.infinite
    }

    /// The sum, rounded to nearest; `None` if it is infinite or not a number.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.infinite || other.infinite {
            return None;
        }
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { other } else { self });
        }
        let (a, b) = (self.normal(), other.normal());
        let (large, small) = if (a.exponent, a.mantissa) >= (b.exponent, b.mantissa) { (a, b) } else { (b, a) };
        // One bit of headroom above, 63 below. What the shift pushes out only ever matters as "something nonzero", as
        // a cancellation of more than one bit needs exponents within one of each other, where nothing is pushed out.
        let distance = large.exponent - small.exponent;
        let wide = u128::from(large.mantissa) << 63;
        let narrow = u128::from(small.mantissa) << 63;
        let shifted = if distance > 127 { 0 } else { narrow >> distance };
        let lost = distance > 127 || shifted << distance != narrow;
        let addend = shifted | u128::from(lost);
        let sum = if large.negative == small.negative { wide + addend } else { wide - addend };
        if sum == 0 {
            return Some(Self::ZERO);
        }
        let value = Self::round(large.negative, sum, false, large.exponent - 63);
        (!value.infinite).then_some(value)
    }

    /// Appends the value with at most 17 decimals (rounded, ties to even), without trailing zeros or a lone point; a
    /// result of zero has no sign. Up to 4,951 bytes. Infinity is `inf` or `-inf`.
    pub fn print(self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.negative {
            out.push(b'-');
        }
        if self.infinite {
            out.extend_from_slice(b"inf");
            return;
        }
        if self.exponent >= 0 {
            Big::shifted(self.mantissa, self.exponent as usize).print(out);
            return;
        }
        let places = -self.exponent;
        // Below 2^-64 the value is less than half of the last decimal.
        let (mut whole, mut fraction) = (0_u64, 0_u128);
        if places < 128 {
            let below = if places < 64 { self.mantissa & ((1_u64 << places) - 1) } else { self.mantissa };
            whole = if places < 64 { self.mantissa >> places } else { 0 };
            let scaled = u128::from(below) * DECIMALS;
            let half = 1_u128 << (places - 1);
            let rest = scaled & ((1_u128 << places) - 1);
            fraction = scaled >> places;
            fraction += u128::from(rest > half || (rest == half && fraction & 1 == 1));
            if fraction == DECIMALS {
                whole += 1;
                fraction = 0;
            }
        }
        if whole == 0 && fraction == 0 {
            out.truncate(start);
        }
        out.extend_from_slice(IntText::unsigned(whole).as_bytes());
        if fraction != 0 {
            // A leading 1 keeps the zeros after the point; the point takes its place.
            out.push(b'.');
            let digits = IntText::unsigned((DECIMALS + fraction) as u64);
            out.extend_from_slice(digits.as_bytes().get(1..).unwrap_or_default());
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
    }

    /// The same value with the top bit of the mantissa set, its exponent below the minimum if need be.
    fn normal(self) -> Self {
        let zeros = self.mantissa.leading_zeros();
        Self { mantissa: self.mantissa << zeros, exponent: self.exponent - i64::from(zeros), ..self }
    }

    /// `bits` x 2^`exponent`, and something nonzero below it if `sticky`, to the nearest value, ties to even.
    fn round(negative: bool, bits: u128, sticky: bool, exponent: i64) -> Self {
        if bits == 0 {
            return Self { negative, ..Self::ZERO };
        }
        // First to at most 67 bits, with the lost ones in the lowest, so that every later shift is small.
        let length = 128 - bits.leading_zeros();
        let excess = length.saturating_sub(67);
        let lost = sticky || (bits >> excess) << excess != bits;
        let mut bits = bits >> excess;
        let mut exponent = exponent.saturating_add(i64::from(excess));
        let length = i64::from(128 - bits.leading_zeros());
        // Give the lost part a bit of its own below.
        bits = bits << 1 | u128::from(lost);
        exponent -= 1;
        let shift = (length + 1 - 64).max(EXPONENT_MIN.saturating_sub(exponent));
        if shift > 70 {
            return Self { negative, ..Self::ZERO };
        }
        let mantissa = if shift <= 0 {
            // Only a short mantissa shifts up, so it fits 64 bits.
            (bits << -shift) as u64
        } else {
            let kept = (bits >> shift) as u64;
            let rest = bits - (u128::from(kept) << shift);
            let half = 1_u128 << (shift - 1);
            match kept.checked_add(u64::from(rest > half || (rest == half && kept & 1 == 1))) {
                Some(mantissa) => mantissa,
                None => return Self::finish(negative, 1 << 63, exponent + shift + 1),
            }
        };
        Self::finish(negative, mantissa, exponent.saturating_add(shift))
    }

    fn finish(negative: bool, mantissa: u64, exponent: i64) -> Self {
        if exponent > EXPONENT_MAX {
            return Self { negative, infinite: true, ..Self::ZERO };
        }
        Self { negative, infinite: false, mantissa, exponent }
    }
}

/// Reads `digits[.digits][e[+-]digits]`; the value and whether any digit was not zero.
fn parse_decimal(negative: bool, text: &[u8]) -> Option<(Extended, bool)> {
    let split = text.iter().position(|b| matches!(b, b'e' | b'E'));
    let (number, power) = match split {
        Some(at) => (text.get(..at)?, parse_exponent(text.get(at + 1..)?)?),
        None => (text, 0),
    };
    let mut digits = Vec::with_capacity(number.len().min(TEXT_MAX));
    let (mut point, mut seen, mut decimals) = (false, false, 0_i64);
    for &byte in number {
        match byte {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                seen = true;
                decimals += i64::from(point);
                if byte != b'0' || !digits.is_empty() {
                    digits.push(byte - b'0');
                }
            }
            _ => return None,
        }
    }
    if !seen {
        return None;
    }
    let mut scale = power - decimals;
    while digits.last() == Some(&0) {
        digits.pop();
        scale += 1;
    }
    if digits.is_empty() {
        return Some((Extended { negative, ..Extended::ZERO }, false));
    }
    let magnitude = scale + digits.len() as i64;
    if magnitude > 4_940 {
        return Some((Extended { negative, infinite: true, ..Extended::ZERO }, true));
    }
    if magnitude < -4_960 {
        return Some((Extended { negative, ..Extended::ZERO }, true));
    }
    Some((decimal_value(negative, &digits, scale), true))
}

/// `digits` x 10^`scale`; the digits are 0-9, the first is not 0, and the magnitude is near the format's range at most.
fn decimal_value(negative: bool, digits: &[u8], scale: i64) -> Extended {
    if digits.len() <= 19 && (-18..=0).contains(&scale) {
        let whole = digits.iter().fold(0_u64, |value, &digit| value * 10 + u64::from(digit));
        // The divisor is below 2^60 and the dividend at least 2^127: more than 64 bits of quotient.
        let zeros = whole.leading_zeros();
        let dividend = u128::from(whole << zeros) << 64;
        let divisor = 10_u128.pow((-scale) as u32);
        return Extended::round(negative, dividend / divisor, dividend % divisor != 0, -64 - i64::from(zeros));
    }
    let mut numerator = Big::default();
    for chunk in digits.chunks(9) {
        let value = chunk.iter().fold(0_u32, |value, &digit| value * 10 + u32::from(digit));
        numerator.multiply_add(10_u32.pow(chunk.len() as u32), value);
    }
    let mut denominator = Big::shifted(1, 0);
    let factor = if scale >= 0 { &mut numerator } else { &mut denominator };
    let mut power = scale.unsigned_abs();
    while power > 0 {
        let step = power.min(9);
        factor.multiply_add(10_u32.pow(step as u32), 0);
        power -= step;
    }
    // Scaled so that the quotient has 67 or 68 bits, found bit by bit.
    let exponent = numerator.bits() as i64 - denominator.bits() as i64 - 67;
    if exponent < 0 {
        numerator.shift_left(exponent.unsigned_abs() as usize);
    } else {
        denominator.shift_left(exponent as usize);
    }
    denominator.shift_left(67);
    let mut quotient = 0_u128;
    for _ in 0..68 {
        quotient <<= 1;
        if numerator.try_subtract(&denominator) {
            quotient |= 1;
        }
        numerator.shift_left(1);
    }
    Extended::round(negative, quotient, numerator.bits() != 0, exponent)
}

/// `[+-]digits` of an exponent; anything beyond ten million is as good as that.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(10_000_000);
    }
    Some(if negative { -value } else { value })
}

/// Reads what follows `0x`: hexadecimal digits with at most one point, then an optional `p` and decimal exponent.
pub(super) fn parse_hex(text: &[u8]) -> Option<Hex> {
    let split = text.iter().position(|b| matches!(b, b'p' | b'P'));
    let (number, power) = match split {
        Some(at) => (text.get(..at)?, parse_exponent(text.get(at + 1..)?)?),
        None => (text, 0),
    };
    let mut hex = Hex { mantissa: 0, sticky: false, exponent: power };
    let (mut point, mut seen) = (false, false);
    for &byte in number {
        if byte == b'.' && !point {
            point = true;
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        seen = true;
        if hex.mantissa >> 124 == 0 {
            hex.mantissa = hex.mantissa << 4 | u128::from(digit);
            hex.exponent -= if point { 4 } else { 0 };
        } else {
            hex.sticky |= digit != 0;
            hex.exponent += if point { 0 } else { 4 };
        }
    }
    seen.then_some(hex)
}

/// A natural number of some ten thousand bits; the lowest word first, no zero word on top.
#[derive(Default)]
struct Big {
    words: Vec<u32>,
}

impl Big {
    fn shifted(value: u64, by: usize) -> Self {
        let mut big = Self { words: vec![value as u32, (value >> 32) as u32] };
        big.trim();
        big.shift_left(by);
        big
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }

    fn bits(&self) -> usize {
        self.words.last().map_or(0, |top| self.words.len() * 32 - top.leading_zeros() as usize)
    }

    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for word in &mut self.words {
            carry += u64::from(*word) * u64::from(factor);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.words.push(carry as u32);
        }
    }

    fn shift_left(&mut self, by: usize) {
        if self.words.is_empty() {
            return;
        }
        let bits = by % 32;
        if bits != 0 {
            let mut carry = 0;
            for word in &mut self.words {
                let next = *word >> (32 - bits);
                *word = *word << bits | carry;
                carry = next;
            }
            if carry != 0 {
                self.words.push(carry);
            }
        }
        self.words.splice(0..0, std::iter::repeat_n(0, by / 32));
    }

    /// Subtracts `other` if it is not larger; whether it was.
    fn try_subtract(&mut self, other: &Self) -> bool {
        let order = self.words.len().cmp(&other.words.len());
        if order.then_with(|| self.words.iter().rev().cmp(other.words.iter().rev())).is_lt() {
            return false;
        }
        let mut borrow = 0_i64;
        for (at, word) in self.words.iter_mut().enumerate() {
            let difference = i64::from(*word) - i64::from(other.words.get(at).copied().unwrap_or(0)) + borrow;
            *word = difference as u32;
            borrow = difference >> 32;
        }
        self.trim();
        true
    }

    fn print(mut self, out: &mut Vec<u8>) {
        const CHUNK: u64 = 1_000_000_000;
        let mut chunks = Vec::with_capacity(self.bits() / 29 + 1);
        while !self.words.is_empty() {
            let mut rest = 0_u64;
            for word in self.words.iter_mut().rev() {
                let value = rest << 32 | u64::from(*word);
                *word = (value / CHUNK) as u32;
                rest = value % CHUNK;
            }
            chunks.push(rest);
            self.trim();
        }
        let Some((first, others)) = chunks.split_last() else {
            out.push(b'0');
            return;
        };
        out.extend_from_slice(IntText::unsigned(*first).as_bytes());
        for chunk in others.iter().rev() {
            // A leading 1 keeps the chunk's zeros; it is left out.
            let digits = IntText::unsigned(CHUNK + chunk);
            out.extend_from_slice(digits.as_bytes().get(1..).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let value = Extended::parse(a.as_bytes())?.checked_add(Extended::parse(b.as_bytes())?)?;
        let mut out = Vec::new();
        value.print(&mut out);
        String::from_utf8(out).ok()
    }

    #[test]
    fn sums_print_as_valkey_prints_them() {
        for (a, b, printed) in [
            ("0.1", "0.2", "0.3"),
            ("1", "1.1", "2.1"),
            ("3.0", "1.000000000000000005", "4.00000000000000001"),
            ("1e20", "1", "100000000000000000000"),
            ("1e17", "0.5", "100000000000000000.5"),
            ("-0", "0", "0"),
            ("0", "0x1.8p1", "3"),
            ("0", "0x1F", "31"),
            ("1", "1e-17", "1.00000000000000001"),
            ("1", "1e-18", "1"),
            ("0", "1.5e-17", "0.00000000000000002"),
            ("0", "5e-18", "0"),
            ("123456789012345678901234567890", "1", "123456789012345678899921813504"),
            ("0.33333333333333333333", "0", "0.33333333333333333"),
            ("0", "3.14159265358979323846", "3.14159265358979324"),
            ("1000000000000000000", "0.123456789", "1000000000000000000.125"),
            ("1000000", "0.12345678901234567", "1000000.12345678901232304"),
            ("1e-4000", "0", "0"),
            ("0", "12345678901234567890123", "12345678901234567889920"),
            ("0", "1e30", "1000000000000000000024696061952"),
            ("0", "18446744073709551617", "18446744073709551616"),
            ("1e22", "-1e22", "0"),
            ("0", "-1e-18", "0"),
            ("4.35", "100", "104.35"),
            ("5", "-5", "0"),
            ("1.", ".5", "1.5"),
            ("0", "1e-4940", "0"),
            ("0.5", "0x1.ffffffffffffffffffp0", "2.5"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(printed), "{a} + {b}");
        }
        let large = sum("0", "1e300").unwrap_or_default();
        assert!(large.starts_with("1000000000000000000008997324079559193870523944273290747938260082321"), "{large}");
        assert_eq!(large.len(), 301);
        assert_eq!(sum("0", "1e4930").map(|text| text.len()), Some(4931));
    }

    #[test]
    fn refuses_what_valkey_refuses() {
        for text in [
            "",
            " 1",
            "1 ",
            "nan",
            "1e5000",
            "1e-5000",
            "1e-4951",
            "0x1p-20000",
            "0x",
            "0x1p",
            "0x.p1",
            "1e",
            ".",
            "1e99999999999999999999",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Extended::parse(&[b'0'; TEXT_MAX + 1]), None);
        assert!(Extended::parse(&[b'9'; TEXT_MAX]).is_none());
        assert_eq!(Extended::parse(b"0e99999999999999999999"), Some(Extended::ZERO));
        assert_eq!(sum("1", "inf"), None);
        assert_eq!(sum("inf", "-inf"), None);
    }

    proptest::proptest! {
        #[test]
        fn the_short_way_and_the_long_way_agree(whole in 1_u64..1_000_000_000_000_000_000, scale in 0_i64..=18) {
            let digits: Vec<u8> = whole.to_string().bytes().map(|b| b - b'0').collect();
            // A trailing zero and one more decimal are the same number, but too long for the short way.
            let mut long = digits.clone();
            long.extend([0; 19]);
            proptest::prop_assert_eq!(decimal_value(false, &digits, -scale), decimal_value(false, &long, -scale - 19));
        }

        #[test]
        fn small_decimals_are_exact(a in -5_000_000_i64..5_000_000, b in -5_000_000_i64..5_000_000) {
            let text = |v: i64| format!("{}{}.{:06}", if v < 0 { "-" } else { "" }, v.abs() / 1_000_000, v.abs() % 1_000_000);
            let mut expected = text(a + b);
            expected.truncate(expected.trim_end_matches('0').trim_end_matches('.').len());
            proptest::prop_assert_eq!(sum(&text(a), &text(b)), Some(expected));
        }
    }
}
