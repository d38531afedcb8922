//! How commands read a string and choose how one is kept.
//!
//! A string stands in its record as an integer (if its text is exactly an integer's), inside the record's block, or beside it
//! as a shared block. Readers see bytes and need not care: [`bytes`] gives them, [`reply`] sends them. Writers hand bytes to
//! [`encode`], which finds integers, or to [`text`], which does not look for them (what OBJECT ENCODING reports tells the two apart:
//! INCRBYFLOAT's 10 is text). What was changed piecewise is marked raw.
//!
//! Must never know: arguments, options, effects.

use crate::base::number::{INT_TEXT_MAX, IntText, parse_i64};
use crate::commands::CommandError;
use crate::keyspace::{EventClass, Key, Space};
use crate::resp::reply::Reply;
use crate::value::record::{Content, ContentRef, INLINE_MAX, Record};
use std::ops::Deref;
use std::sync::Arc;

/// The bytes of a string; an integer's digits are on the stack.
pub enum Bytes<'r> {
    Stored(&'r [u8]),
    Digits(IntText),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Stored(b) => b,
            Bytes::Digits(d) => d.as_bytes(),
        }
    }
}

/// The bytes of a record's string.
///
/// # Errors
/// `WrongType` if the record is no string.
#[inline]
pub fn bytes(record: &Record) -> Result<Bytes<'_>, CommandError> {
    match record.content() {
        ContentRef::Inline(b) => Ok(Bytes::Stored(b)),
        ContentRef::Int(n) => Ok(Bytes::Digits(IntText::new(n))),
        ContentRef::Big(b) => Ok(Bytes::Stored(b)),
        _ => Err(CommandError::WrongType),
    }
}

/// The string at a key, copied, its capacity `more` bytes larger than needed; empty if the key is not there.
///
/// # Errors
/// `WrongType` if the key holds no string.
pub fn copy(record: Option<&Record>, more: usize) -> Result<Vec<u8>, CommandError> {
    let Some(record) = record else { return Ok(Vec::with_capacity(more)) };
    let from = bytes(record)?;
    let mut to = Vec::with_capacity(from.len() + more);
    to.extend_from_slice(&from);
    Ok(to)
}

/// The length of a record's string in bytes.
///
/// # Errors
/// `WrongType` if the record is no string.
#[inline]
pub fn len(record: &Record) -> Result<usize, CommandError> {
    match record.content() {
        ContentRef::Inline(b) => Ok(b.len()),
        ContentRef::Int(n) => Ok(crate::base::number::int_text_len(n)),
        ContentRef::Big(b) => Ok(b.len()),
        _ => Err(CommandError::WrongType),
    }
}

/// The integer a record's string is.
///
/// # Errors
/// `WrongType` if the record is no string, `NotInteger` if its text is not exactly an integer's.
#[inline]
pub fn integer(record: &Record) -> Result<i64, CommandError> {
    match record.content() {
        ContentRef::Int(n) => Ok(n),
        ContentRef::Inline(b) => parse_i64(b).ok_or(CommandError::NotInteger),
        ContentRef::Big(_) => Err(CommandError::NotInteger),
        _ => Err(CommandError::WrongType),
    }
}

/// Replies with a record's string. A long one is shared with the reply instead of copied.
///
/// # Errors
/// `WrongType` if the record is no string; nothing is written then.
#[inline]
pub fn reply(reply: &mut Reply, record: &Record) -> Result<(), CommandError> {
    match record.content() {
        ContentRef::Inline(b) => reply.bulk(b),
        ContentRef::Int(n) => reply.bulk_integer(n),
        ContentRef::Big(b) => reply.bulk_shared(b),
        _ => return Err(CommandError::WrongType),
    }
    Ok(())
}

/// How a value as a client gave it is kept: as an integer if it is the text of one.
#[inline]
pub fn encode(value: &[u8]) -> Content<'_> {
    if value.len() <= INT_TEXT_MAX
        && let Some(n) = parse_i64(value)
    {
        return Content::Int(n);
    }
    Content::String(value)
}

/// How a value that was computed is kept: as text, without copying it again if it is long. Leaves a long `value` empty.
pub fn text(value: &mut Vec<u8>) -> Content<'_> {
    if value.len() > INLINE_MAX { Content::Big(Arc::new(std::mem::take(value))) } else { Content::String(value) }
}

/// Lets `f` change the bytes of a string in place. There are at least `len` of them: a shorter string is continued in zeros first.
/// The string is marked as changed piecewise.
///
/// # Errors
/// `WrongType` if the record is no string.
pub fn edit<R>(record: &mut Record, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, CommandError> {
    if let Some(big) = record.big_mut() {
        if big.len() < len {
            big.resize(len, 0);
        }
        return Ok(f(big));
    }
    if let Some(value) = record.inline_mut()
        && value.len() >= len
    {
        let r = f(value);
        record.set_raw(true);
        return Ok(r);
    }
    let mut value = copy(Some(record), len.saturating_sub(self::len(record)?))?;
    if value.len() < len {
        value.resize(len, 0);
    }
    let r = f(&mut value);
    store_raw(record, value);
    Ok(r)
}

/// Puts a computed value in place of a record's, marked as changed piecewise.
pub fn store_raw(record: &mut Record, mut value: Vec<u8>) {
    record.set_content(text(&mut value));
    record.set_raw(true);
}

/// Bytes of key and value together (and of a deadline) up to which OBJECT ENCODING says `embstr`: in Valkey they then share two
/// cache lines with their header. Names of 32 bytes and more need two bytes more.
const EMBEDDED_MAX: usize = 113;

/// What OBJECT ENCODING says about a string.
pub fn encoding(record: &Record) -> &'static str {
    match record.content() {
        ContentRef::Int(_) => "int",
        ContentRef::Inline(v) if !record.is_raw() => {
            let name = record.name().len();
            let header = if name >= 32 { 2 } else { 0 };
            let deadline = if record.deadline().is_some() { 8 } else { 0 };
            if name + header + deadline + v.len() <= EMBEDDED_MAX { "embstr" } else { "raw" }
        }
        _ => "raw",
    }
}

/// What `f` makes of a key's record, without noting an access: counts a hit or a miss.
pub fn look<R>(space: &mut Space<'_>, key: Key<'_>, f: impl FnOnce(&Record) -> R) -> Option<R> {
    let found = space.peek(key).map(|r| f(&r));
    if found.is_some() {
        space.changes.hits += 1;
    } else {
        space.changes.misses += 1;
        space.event(EventClass::KEY_MISS, "keymiss", key);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_text_of_an_integer_becomes_one() {
        for text in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert!(matches!(encode(text.as_bytes()), Content::Int(_)), "{text}");
        }
        for text in ["", "-0", "+1", "01", " 1", "1.0", "9223372036854775808", "123456789012345678901"] {
            assert!(matches!(encode(text.as_bytes()), Content::String(_)), "{text}");
        }
    }

    #[test]
    fn the_name_counts_towards_the_embedded_limit() {
        let encoding_of = |name: usize, value: usize, deadline| {
            encoding(&Record::new(&vec![b'k'; name], Content::String(&vec![b'v'; value]), deadline))
        };
        assert_eq!((encoding_of(1, 112, None), encoding_of(1, 113, None)), ("embstr", "raw"));
        assert_eq!((encoding_of(31, 82, None), encoding_of(31, 83, None)), ("embstr", "raw"));
        assert_eq!((encoding_of(32, 79, None), encoding_of(32, 80, None)), ("embstr", "raw"));
        assert_eq!((encoding_of(2, 103, Some(1)), encoding_of(2, 104, Some(1))), ("embstr", "raw"));
    }

    #[test]
    fn a_long_computed_value_moves_instead_of_being_copied() {
        let mut long = vec![b'x'; INLINE_MAX + 1];
        let at = long.as_ptr();
        let Content::Big(kept) = text(&mut long) else { panic!("long values are shared") };
        assert_eq!(kept.as_ptr(), at);
        assert!(long.is_empty());
    }
}
