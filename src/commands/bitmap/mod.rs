//! Commands on strings as rows of bits. Bit 0 is the highest of the first byte.

mod bits;
mod count;
mod field;
mod operate;

use super::{Command, CommandError, DataContext};
use crate::base::number::parse_i64;
use crate::commands::string::len_max;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &bits::SETBIT,
    &bits::GETBIT,
    &count::BITCOUNT,
    &count::BITPOS,
    &operate::BITOP,
    &field::BITFIELD,
    &field::BITFIELD_RO,
];

/// An offset in bits. After `#` it counts fields of `width` bits, where `width` is given.
///
/// # Errors
/// No integer, negative, or past the longest string there may be.
fn offset(cx: &DataContext<'_, '_>, arg: &[u8], width: Option<u32>) -> Result<u64, CommandError> {
    let (text, factor) = match (arg, width) {
        ([b'#', rest @ ..], Some(width)) => (rest, u64::from(width)),
        _ => (arg, 1),
    };
    parse_i64(text)
        .and_then(|n| u64::try_from(n).ok())
        .and_then(|n| n.checked_mul(factor))
        .filter(|n| n >> 3 < len_max(cx))
        .ok_or(CommandError::fixed("ERR bit offset is not an integer or out of range"))
}
