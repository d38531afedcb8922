//! The longest common subsequence of two strings.
//!
//! The table of the classic algorithm is not kept: a row of lengths is enough for the length, and a bit for each pair of
//! bytes (is the longer rest above or to the left?) is enough to walk back. Memory is a 32nd of the table's.

use super::access;
use crate::commands::arguments::Options;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Text,
    Length,
    Ranges { length_min: i64, with_length: bool },
}

const LCS_SPEC: CommandSpec = CommandSpec::new("lcs", -3, Group::String, "readonly")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "RO access").range(1, 1, 0)])
    .args("key1:key key2:key [LEN] [IDX] [MINMATCHLEN=min-match-len:integer] [WITHMATCHLEN]")
    .doc("Finds the longest common subsequence of two strings.", "O(N*M), N and M: lengths of the strings");

pub static LCS: Command = Command::data(LCS_SPEC, lcs);
fn lcs(cx: &mut DataContext<'_, '_>) -> Outcome {
    let text = |cx: &mut DataContext<'_, '_>, i: usize| {
        let record = cx.space.find(cx.key(i));
        access::copy(record.as_deref(), 0)
            .map_err(|_| CommandError::fixed("ERR The specified keys must contain string values"))
    };
    // Both are looked up before options are read, as errors of the first kind win.
    let (a, b) = (text(cx, 1)?, text(cx, 2)?);
    let wanted = options(cx)?;
    cx.site.weigh(a.len().saturating_mul(b.len()) / 64)?;
    let too_long = |v: &[u8]| v.len() >= u32::MAX as usize - 1;
    if too_long(&a) || too_long(&b) {
        return Err(CommandError::fixed("ERR String too long for LCS"));
    }
    // A table of so many numbers is what others take for it; here it bounds the time that everybody waits for the two keys.
    if (a.len() as u64 + 1).saturating_mul(b.len() as u64 + 1).saturating_mul(4) > cx.config.limits.proto_max_bulk_len {
        return Err(CommandError::fixed(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    if wanted == Wanted::Length {
        cx.reply.integer(i64::from(length(&a, &b, |_, _| {})));
        return Ok(());
    }
    let mut above = Bits::new(a.len(), b.len())
        .ok_or(CommandError::fixed("ERR Insufficient memory, failed allocating transient memory for LCS"))?;
    let len = length(&a, &b, |i, j| above.set(i, j));
    match wanted {
        Wanted::Ranges { length_min, with_length } => {
            cx.reply.map(2);
            cx.reply.bulk(b"matches");
            let matches = cx.reply.deferred();
            let mut count = 0;
            walk(&a, &b, &above, |i, j, n| {
                if length_min > 0 && (n as i64) < length_min {
                    return;
                }
                count += 1;
                cx.reply.array(if with_length { 3 } else { 2 });
                for first in [i, j] {
                    cx.reply.array(2);
                    cx.reply.integer(first as i64);
                    cx.reply.integer((first + n - 1) as i64);
                }
                if with_length {
                    cx.reply.integer(n as i64);
                }
            });
            cx.reply.finish_array(matches, count);
            cx.reply.bulk(b"len");
            cx.reply.integer(i64::from(len));
        }
        _ => {
            let mut text = Vec::with_capacity(len as usize);
            walk(&a, &b, &above, |i, _, n| text.extend(a[i..i + n].iter().rev()));
            text.reverse();
            cx.reply.bulk(&text);
        }
    }
    Ok(())
}

fn options(cx: &DataContext<'_, '_>) -> Result<Wanted, CommandError> {
    let (mut len, mut idx, mut with_length, mut length_min) = (false, false, false, 0);
    let words = &mut Options::new(cx.args, 3);
    while words.left() > 0 {
        if words.take("IDX") {
            idx = true;
        } else if words.take("LEN") {
            len = true;
        } else if words.take("WITHMATCHLEN") {
            with_length = true;
        } else if words.left() > 1 && words.take("MINMATCHLEN") {
            length_min = words.integer()?.max(0);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    match (len, idx) {
        (true, true) => Err(CommandError::fixed("ERR If you want both the length and indexes, please just use IDX.")),
        (true, false) => Ok(Wanted::Length),
        (false, true) => Ok(Wanted::Ranges { length_min, with_length }),
        (false, false) => Ok(Wanted::Text),
    }
}

/// A bit for each pair of offsets.
struct Bits {
    words: Vec<u64>,
    width: usize,
}

impl Bits {
    /// `None` if there is not enough memory.
    fn new(height: usize, width: usize) -> Option<Bits> {
        let n = height.checked_mul(width)?.div_ceil(64);
        let mut words = Vec::new();
        words.try_reserve_exact(n).ok()?;
        words.resize(n, 0);
        Some(Bits { words, width })
    }

    fn set(&mut self, i: usize, j: usize) {
        let at = i * self.width + j;
        self.words[at / 64] |= 1 << (at % 64);
    }

    fn get(&self, i: usize, j: usize) -> bool {
        let at = i * self.width + j;
        self.words[at / 64] >> (at % 64) & 1 == 1
    }
}

/// The length; calls `above(i, j)` where bytes differ and the longer subsequence leaves out byte `i` of `a`.
fn length(a: &[u8], b: &[u8], mut above: impl FnMut(usize, usize)) -> u32 {
    let mut row = vec![0u32; b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let (up, left) = (row[j + 1], row[j]);
            row[j + 1] = if x == y {
                diagonal + 1
            } else if up > left {
                above(i, j);
                up
            } else {
                left
            };
            diagonal = up;
        }
    }
    row[b.len()]
}

/// Calls `found(i, j, n)` for each run of `n` common bytes at `a[i..]` and `b[j..]`, last one first.
fn walk(a: &[u8], b: &[u8], above: &Bits, mut found: impl FnMut(usize, usize, usize)) {
    let (mut i, mut j, mut run) = (a.len(), b.len(), 0);
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            run += 1;
            i -= 1;
            j -= 1;
            continue;
        }
        if run > 0 {
            found(i, j, run);
            run = 0;
        }
        if above.get(i - 1, j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    if run > 0 {
        found(i, j, run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;
    use proptest::prelude::*;

    #[test]
    fn lcs_answers_as_text_length_or_ranges() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("MSET a ohmytext b mynewtext", "+OK\r\n"),
            ("LCS a b", "$6\r\nmytext\r\n"),
            ("LCS a b LEN", ":6\r\n"),
            (
                "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
                "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n",
            ),
            ("LCS a none", "$0\r\n\r\n"),
            ("LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.\r\n"),
            ("LCS a b MINMATCHLEN", "-ERR syntax error\r\n"),
        ]);
    }

    proptest! {
        #[test]
        fn the_walk_finds_as_much_as_the_length_says_in_both_strings(
            a in prop::collection::vec(0u8..4, 0..40), b in prop::collection::vec(0u8..4, 0..40),
        ) {
            let mut above = Bits::new(a.len(), b.len()).unwrap();
            let len = length(&a, &b, |i, j| above.set(i, j));
            let (mut total, mut before) = (0, (a.len(), b.len()));
            let mut runs = vec![];
            walk(&a, &b, &above, |i, j, n| runs.push((i, j, n)));
            for (i, j, n) in runs {
                prop_assert_eq!(&a[i..i + n], &b[j..j + n]);
                prop_assert!(i + n <= before.0 && j + n <= before.1, "runs do not cross");
                before = (i, j);
                total += n;
            }
            prop_assert_eq!(total, len as usize);
        }
    }
}
