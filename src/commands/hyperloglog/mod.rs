//! HyperLogLogs.
//!
//! They are strings, and anything that reads or writes strings reaches them; so each command checks what it finds. PFCOUNT remembers
//! what it has counted in the value itself: it writes although it only reads, and replicas are told of it.

mod add;
mod debug;
#[cfg(test)]
mod tests;

use super::{Command, CommandError, DataContext};
use crate::commands::string::access;
use crate::value::hyperloglog as hll;
use crate::value::record::{Content, INLINE_MAX, Record};
use std::sync::Arc;

/// All commands on HyperLogLogs.
pub static COMMANDS: &[&Command] = &[&add::PFADD, &add::PFCOUNT, &add::PFMERGE, &debug::PFDEBUG, &debug::PFSELFTEST];

const NOT_ONE: CommandError = CommandError::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPT: CommandError = CommandError::fixed("INVALIDOBJ Corrupted HLL object detected");

fn corrupt(_: hll::Corrupt) -> CommandError {
    CORRUPT
}

fn sparse_max(cx: &DataContext<'_, '_>) -> usize {
    usize::try_from(cx.config.encoding.hll_sparse_max_bytes).unwrap_or(usize::MAX)
}

/// The bytes of a HyperLogLog.
fn bytes_of(record: &Record) -> Result<access::Bytes<'_>, CommandError> {
    let bytes = access::bytes(record)?;
    if hll::is_one(&bytes) { Ok(bytes) } else { Err(NOT_ONE) }
}

/// Changes a HyperLogLog. A dense one is changed where it stands; of a sparse one a copy, which takes its place if all went well.
fn edit<R>(record: &mut Record, f: impl FnOnce(&mut Vec<u8>) -> Result<R, CommandError>) -> Result<R, CommandError> {
    let bytes = bytes_of(record)?;
    if !hll::is_dense(&bytes) {
        let mut copy = bytes.to_vec();
        let done = f(&mut copy)?;
        if copy.len() > INLINE_MAX {
            record.set_content(Content::Big(Arc::new(copy)));
        } else {
            record.set_content(Content::String(&copy));
        }
        record.set_raw(true);
        return Ok(done);
    }
    match record.big_mut() {
        Some(bytes) => f(bytes),
        None => Err(NOT_ONE),
    }
}
