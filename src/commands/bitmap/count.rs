//! Counting and finding bits.

use crate::commands::arguments::{integer, is};
use crate::commands::string::access;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};

/// A range as it is given: offsets of bytes or bits, negative ones from the end.
#[derive(Clone, Copy, Debug)]
struct Given {
    start: i64,
    /// `None` is the last byte.
    end: Option<i64>,
    bits: bool,
}

impl Given {
    /// Reads start, end and unit from argument `at` on.
    fn parse(cx: &DataContext<'_, '_>, at: usize) -> Result<Given, CommandError> {
        let mut given = Given { start: 0, end: None, bits: false };
        if cx.args.len() > at + 3 {
            return Err(CommandError::Syntax);
        }
        if let Some(start) = cx.args.get(at) {
            given.start = integer(start)?;
        }
        if let Some(unit) = cx.args.get(at + 2) {
            given.bits = is(unit, "BIT");
            if !given.bits && !is(unit, "BYTE") {
                return Err(CommandError::Syntax);
            }
        }
        if let Some(end) = cx.args.get(at + 1) {
            given.end = Some(integer(end)?);
        }
        Ok(given)
    }

    /// It ends before it begins, both counted from the end: that holds whatever the length is.
    fn is_backward(self) -> bool {
        self.start < 0 && self.end.is_some_and(|end| end < 0 && self.start > end)
    }

    /// First bit and the bit past the last, inside `len` bytes; `None` if the range is empty.
    fn clamp(self, len: usize) -> Option<(u64, u64)> {
        // Lengths are bounded by proto-max-bulk-len, so eight times one is far inside 63 bits.
        let unit = if self.bits { 1 } else { 8 };
        let total = len as i64 * (8 / unit);
        let from_end = |n: i64| if n < 0 { n.saturating_add(total).max(0) } else { n };
        let (first, last) = (from_end(self.start), self.end.map_or(total - 1, from_end).min(total - 1));
        (first <= last).then(|| ((first * unit) as u64, ((last + 1) * unit) as u64))
    }
}

/// The byte at `i` without the bits outside `from..to`.
fn masked(value: &[u8], i: usize, from: u64, to: u64) -> u8 {
    let start = i as u64 * 8;
    let mut byte = value[i];
    if start < from {
        byte &= 0xff >> (from - start);
    }
    if start + 8 > to {
        byte &= !(0xff >> (8 - (start + 8 - to)));
    }
    byte
}

/// Bits set in `from..to`, which lies inside `value` and is not empty.
fn count(value: &[u8], from: u64, to: u64) -> u64 {
    let (first, last) = ((from / 8) as usize, ((to - 1) / 8) as usize);
    let ones = |i: usize| u64::from(masked(value, i, from, to).count_ones());
    if first == last {
        return ones(first);
    }
    let (words, rest) = value[first + 1..last].as_chunks::<8>();
    let inner: u64 = words.iter().map(|w| u64::from(u64::from_ne_bytes(*w).count_ones())).sum::<u64>()
        + rest.iter().map(|b| u64::from(b.count_ones())).sum::<u64>();
    ones(first) + inner + ones(last)
}

/// The first bit in `from..to` that is `on`.
fn find(value: &[u8], from: u64, to: u64, on: bool) -> Option<u64> {
    let (first, last) = ((from / 8) as usize, ((to - 1) / 8) as usize);
    let in_byte = |i: usize| {
        let byte = if on { value[i] } else { !value[i] };
        let byte = masked(&[byte], 0, from.saturating_sub(i as u64 * 8).min(8), (to - i as u64 * 8).min(8));
        (byte != 0).then(|| i as u64 * 8 + u64::from(byte.leading_zeros()))
    };
    if let Some(found) = in_byte(first) {
        return Some(found);
    }
    let none = if on { 0 } else { 0xff };
    let skipped = value.get(first + 1..last).map_or(0, |inner| {
        let (words, _) = inner.as_chunks::<8>();
        words.iter().take_while(|w| **w == [none; 8]).count() * 8
    });
    (first + 1 + skipped..=last).find_map(in_byte)
}

const BITCOUNT_SPEC: CommandSpec = CommandSpec::new("bitcount", -2, Group::Bitmap, "readonly")
    .since("2.6.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[
        ("7.0.0", "Unit `BYTE` or `BIT`."),
        ("8.0.0", "`end` may be left out; the range then runs to the last byte."),
    ])
    .args("key:key [range(start:integer [end-unit-block(end:integer [unit{BYTE|BIT}@7.0.0])])]")
    .doc("Counts the bits that are set in a string or a part of it.", "O(N), N: bytes looked at");

pub static BITCOUNT: Command = Command::data(BITCOUNT_SPEC, bitcount);
fn bitcount(cx: &mut DataContext<'_, '_>) -> Outcome {
    let given = Given::parse(cx, 2)?;
    let n = match cx.space.find(cx.key(1)) {
        Some(record) => {
            let value = access::bytes(&record)?;
            // Bytes are counted by the thousand.
            cx.site.weigh(value.len() / 1024)?;
            given.clamp(value.len()).filter(|_| !given.is_backward()).map_or(0, |(from, to)| count(&value, from, to))
        }
        None => 0,
    };
    cx.reply.integer(n as i64);
    Ok(())
}

const BITPOS_SPEC: CommandSpec = CommandSpec::new("bitpos", -3, Group::Bitmap, "readonly")
    .since("2.8.7")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("7.0.0", "Unit `BYTE` or `BIT`.")])
    .args(
        "key:key bit:integer [range(start:integer [end-unit-block(end:integer \
        [unit{BYTE|BIT}@7.0.0])])]",
    )
    .doc("Finds the first bit that is set, or that is clear.", "O(N), N: bytes looked at");

pub static BITPOS: Command = Command::data(BITPOS_SPEC, bitpos);
fn bitpos(cx: &mut DataContext<'_, '_>) -> Outcome {
    let on = match integer(cx.args.at(2))? {
        n @ 0..=1 => n == 1,
        _ => return Err(CommandError::fixed("ERR The bit argument must be 1 or 0.")),
    };
    let given = Given::parse(cx, 3)?;
    let at = match cx.space.find(cx.key(1)) {
        Some(record) => {
            let value = access::bytes(&record)?;
            cx.site.weigh(value.len() / 1024)?;
            match given.clamp(value.len()) {
                None => -1,
                Some((from, to)) => match find(&value, from, to, on) {
                    Some(at) => at as i64,
                    // A string goes on in zeros for ever, unless its end was named.
                    None if !on && given.end.is_none() => value.len() as i64 * 8,
                    None => -1,
                },
            }
        }
        None => -i64::from(on),
    };
    cx.reply.integer(at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counting_and_finding_agree_with_looking_at_every_bit(
            value in prop::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 1..60),
            a in any::<u64>(), b in any::<u64>(),
        ) {
            let bits = value.len() as u64 * 8;
            let (from, to) = ((a % bits).min(b % bits), (a % bits).max(b % bits) + 1);
            let bit = |i: u64| value[(i / 8) as usize] >> (7 - i % 8) & 1 == 1;
            prop_assert_eq!(count(&value, from, to), (from..to).filter(|i| bit(*i)).count() as u64);
            for on in [false, true] {
                prop_assert_eq!(find(&value, from, to, on), (from..to).find(|i| bit(*i) == on));
            }
        }
    }
}
