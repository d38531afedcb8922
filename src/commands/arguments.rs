//! Reading arguments: numbers and words, with the errors every command shares.

use super::error::CommandError;
use crate::base::extended::Extended;
use crate::resp::args::Args;

/// A strict 64-bit integer: no blanks, no plus sign, no leading zeros.
pub fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    crate::base::number::parse_i64(arg).ok_or(CommandError::NotInteger)
}

/// An integer of `low..=high`; `error` otherwise.
pub fn integer_in(arg: &[u8], low: i64, high: i64, error: CommandError) -> Result<i64, CommandError> {
    let n = integer(arg)?;
    if n < low || n > high { Err(error) } else { Ok(n) }
}

/// A database by number, of so many.
///
/// # Errors
/// Not an integer, not one of 32 bits, not a database: each has its own words.
pub fn database(given: &[u8], databases: u32) -> Result<u32, CommandError> {
    let range = CommandError::fixed("ERR value is out of range, value must between -2147483648 and 2147483647");
    let db = integer_in(given, i64::from(i32::MIN), i64::from(i32::MAX), range)?;
    u32::try_from(db).ok().filter(|db| *db < databases).ok_or(CommandError::DbIndexOutOfRange)
}

/// A finite or infinite double, never NaN.
pub fn float(arg: &[u8]) -> Result<f64, CommandError> {
    crate::base::number::parse_f64(arg).ok_or(CommandError::NotFloat)
}

/// The timeout of a blocking command: seconds, also fractions and hexadecimal, as milliseconds rounded up; 0 waits for ever.
pub fn timeout_ms(arg: &[u8]) -> Result<u64, CommandError> {
    /// Beyond this a timeout, added to the time of day, leaves the 64-bit range.
    const MS_MAX: f64 = 9_223_370_000_000_000_000.0;
    let seconds = Extended::parse(arg).and_then(|_| crate::base::number::parse_f64_bound(arg));
    let seconds = seconds.ok_or(CommandError::fixed("ERR timeout is not a float or out of range"))?;
    let ms = seconds * 1000.0;
    if ms > MS_MAX {
        Err(CommandError::fixed("ERR timeout is out of range"))
    } else if ms < -1.0 {
        // Less than a millisecond below zero is rounded up to zero.
        Err(CommandError::fixed("ERR timeout is negative"))
    } else {
        Ok(ms.max(0.0).ceil() as u64)
    }
}

/// The number of keys that follow, at least 1.
pub fn numkeys(arg: &[u8]) -> Result<usize, CommandError> {
    let n = integer(arg).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    n.ok_or(CommandError::fixed("ERR numkeys should be greater than 0"))
}

/// True if `arg` is this word, in any case. `word` is upper case.
#[inline]
pub fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// Walks over the optional arguments of a command.
pub struct Options<'a> {
    args: Args<'a>,
    at: usize,
}

impl<'a> Options<'a> {
    /// From argument `at` on.
    pub fn new(args: Args<'a>, at: usize) -> Options<'a> {
        Options { args, at }
    }

    /// Arguments not yet read.
    pub fn left(&self) -> usize {
        self.args.len().saturating_sub(self.at)
    }

    /// The index of the next argument.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next argument without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.args.get(self.at)
    }

    /// Takes the next argument; a syntax error if there is none.
    pub fn value(&mut self) -> Result<&'a [u8], CommandError> {
        self.next().ok_or(CommandError::Syntax)
    }

    /// Takes the next argument as an integer.
    pub fn integer(&mut self) -> Result<i64, CommandError> {
        integer(self.value()?)
    }

    /// Takes the next argument if it is this word.
    pub fn take(&mut self, word: &str) -> bool {
        let yes = self.peek().is_some_and(|a| is(a, word));
        self.at += usize::from(yes);
        yes
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let a = self.args.get(self.at)?;
        self.at += 1;
        Some(a)
    }
}
