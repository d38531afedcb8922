//! One value as bytes: DUMP and RESTORE.

use super::read::{Limits, Value, get_value};
use super::source::{RdbError, Source};
use super::{VERSION, is_readable, opcode, write};
use crate::base::crc64::crc64;
use crate::value::record::Record;
use std::sync::atomic::{AtomicBool, Ordering};

/// Version and checksum.
const FOOTER: usize = 10;

/// Why a payload is refused.
#[derive(Debug)]
pub enum PayloadError {
    /// No footer, or a version or checksum that is not right.
    Footer,
    /// What it holds.
    Value(RdbError),
}

impl std::fmt::Display for PayloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PayloadError::Footer => f.write_str("the payload's version or checksum is wrong"),
            PayloadError::Value(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for PayloadError {}

/// The value of a key as DUMP answers it. Deadline and access are not in it.
pub fn dump_value(record: &Record) -> Vec<u8> {
    let mut out = vec![write::kind_of(record, true)];
    write::put_value(&mut out, record, write::Style { pack: false, field_deadlines: true });
    sign(&mut out);
    out
}

fn sign(out: &mut Vec<u8>) {
    out.extend_from_slice(&VERSION.to_le_bytes());
    let crc = crc64(0, out);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// `DEBUG SET-SKIP-CHECKSUM-VALIDATION`: tests of damaged payloads do not want to be stopped by the sum.
static SKIP_CHECKSUM: AtomicBool = AtomicBool::new(false);

/// From now on the sums of payloads are not looked at, or are again.
pub fn skip_checksum(skip: bool) {
    SKIP_CHECKSUM.store(skip, Ordering::Relaxed);
}

/// What is in a payload whose footer is right.
fn verified(payload: &[u8], relaxed: bool) -> Result<&[u8], PayloadError> {
    let (signed, crc) = payload.split_last_chunk::<8>().ok_or(PayloadError::Footer)?;
    let (body, version) = signed.split_last_chunk::<2>().ok_or(PayloadError::Footer)?;
    debug_assert_eq!(payload.len() - body.len(), FOOTER);
    let summed = || crc64(0, signed) == u64::from_le_bytes(*crc) || SKIP_CHECKSUM.load(Ordering::Relaxed);
    if !is_readable(u16::from_le_bytes(*version), relaxed) || !summed() {
        return Err(PayloadError::Footer);
    }
    Ok(body)
}

/// The texts of libraries as FUNCTION DUMP answers them.
pub fn dump_functions<'a>(sources: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for source in sources {
        out.push(opcode::FUNCTION);
        write::put_string(&mut out, source, false);
    }
    sign(&mut out);
    out
}

/// The texts of libraries in a payload.
///
/// # Errors
/// See [`PayloadError`].
pub fn restore_functions(payload: &[u8], relaxed: bool) -> Result<Vec<Vec<u8>>, PayloadError> {
    let body = verified(payload, relaxed)?;
    let mut source = Source::new(body, false);
    let mut found = Vec::new();
    let mut used = 0;
    while used < body.len() {
        let kind = source.u8().map_err(PayloadError::Value)?;
        if kind != opcode::FUNCTION {
            return Err(PayloadError::Value(source.error(super::Fault::Kind(kind))));
        }
        found.push(source.string().map_err(PayloadError::Value)?);
        used = source.offset() as usize;
    }
    Ok(found)
}

/// The value in a payload, checked whole. Bytes that follow the value are nobody's.
///
/// # Errors
/// See [`PayloadError`]. With `relaxed`, versions of the future and of others are tried.
pub fn restore_value(payload: &[u8], limits: &Limits, relaxed: bool) -> Result<Value, PayloadError> {
    let mut source = Source::new(verified(payload, relaxed)?, false);
    let kind = source.u8().map_err(PayloadError::Value)?;
    get_value(&mut source, kind, limits).map_err(PayloadError::Value)
}
