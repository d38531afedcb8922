//! What SSCAN, HSCAN and ZSCAN share: the cursor, the options and the reply.

use super::CommandError;
use super::arguments::{Options, integer};
use crate::base::glob;
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use crate::value::hash::Value;
use crate::value::listpack::Item;

/// Elements looked at in a call that does not say.
const COUNT: usize = 10;

/// Elements a reply may have that the key does not bound: a negative count repeats members. More than any client can want, and less than
/// it takes to bring the server down.
pub const REPLY_ELEMENTS_MAX: usize = 1 << 26;
/// Bytes of such a reply, for the same reason: twice the largest bulk string of the default configuration.
pub const REPLY_BYTES_MAX: usize = 1 << 30;

/// A cursor as clients may write it: decimal digits, white space or a plus sign before them.
pub fn cursor(arg: &[u8]) -> Result<u64, CommandError> {
    let text = arg.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    if text.is_empty() {
        return Err(CommandError::InvalidCursor);
    }
    text.iter().try_fold(0u64, |n, c| {
        let digit = c.checked_sub(b'0').filter(|d| *d < 10).ok_or(CommandError::InvalidCursor)?;
        n.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit))).ok_or(CommandError::InvalidCursor)
    })
}

/// `[MATCH pattern] [COUNT n] [NOVALUES]`.
#[derive(Debug)]
pub struct ScanOptions<'a> {
    pub pattern: Option<&'a [u8]>,
    /// At least 1.
    pub count: usize,
    pub no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options from argument `at` on.
    pub fn read(args: Args<'a>, at: usize) -> Result<Self, CommandError> {
        let mut o = Options::new(args, at);
        let mut read = ScanOptions { pattern: None, count: COUNT, no_values: false };
        while o.left() > 0 {
            if o.left() >= 2 && Options::take(&mut o, "COUNT") {
                let n = integer(o.value()?)?;
                read.count = usize::try_from(n).ok().filter(|n| *n >= 1).ok_or(CommandError::Syntax)?;
            } else if o.left() >= 2 && Options::take(&mut o, "MATCH") {
                read.pattern = Some(o.value()?).filter(|p| !glob::is_match_all(p));
            } else if Options::take(&mut o, "NOVALUES") {
                read.no_values = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(read)
    }

    /// The reply where there is no key.
    pub fn nothing(reply: &mut Reply) {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
    }

    /// Writes the reply: `walk` hands elements to what it is given and returns the next cursor.
    pub fn reply(&self, reply: &mut Reply, walk: impl FnOnce(&mut dyn FnMut(Item<'_>, Option<Value<'_>>)) -> u64) {
        let mut n = 0;
        let mut found = Reply::new(reply.version);
        let next = walk(&mut |item, value| {
            if self.pattern.is_some_and(|p| !item.with_bytes(|m| glob::matches(p, m))) {
                return;
            }
            n += 1;
            write_item(&mut found, item);
            if let Some(value) = value.filter(|_| !self.no_values) {
                n += 1;
                write_value(&mut found, value);
            }
        });
        reply.array(2);
        write_cursor(reply, next);
        reply.array(n);
        reply.append(found);
    }
}

fn write_cursor(reply: &mut Reply, cursor: u64) {
    reply.bulk(crate::base::number::IntText::unsigned(cursor).as_bytes());
}

/// Writes a member or field.
pub fn write_item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_integer(n),
        Item::Str(s) => reply.bulk(s),
    }
}

/// Writes a field's value.
pub fn write_value(reply: &mut Reply, value: Value<'_>) {
    match value {
        Value::Int(n) => reply.bulk_integer(n),
        Value::Bytes(b) => reply.bulk(b),
        Value::Shared(b) => reply.bulk_shared(b),
    }
}
