//! Runs of equal registers; see the drawing in the parent module.

use super::{Corrupt, REGISTERS};
use std::fmt::Write as _;

const VALUE_MAX: u8 = 32;
const VALUE_LEN_MAX: usize = 4;
const ZERO_LEN_MAX: usize = 64;
/// Runs that are looked at after a change, to join neighbours of one value. More would find nothing that this change made.
const JOINED: usize = 5;

/// A run as it stands.
#[derive(Clone, Copy)]
struct Run {
    value: u8,
    len: usize,
    /// Bytes it takes.
    bytes: usize,
}

fn run(bytes: &[u8], at: usize) -> Option<Run> {
    let first = *bytes.get(at)?;
    Some(match first {
        0x00..=0x3f => Run { value: 0, len: usize::from(first) + 1, bytes: 1 },
        0x40..=0x7f => {
            let second = *bytes.get(at + 1)?;
            Run { value: 0, len: (usize::from(first & 0x3f) << 8 | usize::from(second)) + 1, bytes: 2 }
        }
        _ => Run { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, bytes: 1 },
    })
}

fn value_run(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// Appends zeros, in the short form where that will do.
pub(super) fn push_zeros(out: &mut Vec<u8>, len: usize) {
    if len > ZERO_LEN_MAX {
        out.extend_from_slice(&[0x40 | ((len - 1) >> 8) as u8, (len - 1) as u8]);
    } else if len > 0 {
        out.push((len - 1) as u8);
    }
}

fn push_run(out: &mut Vec<u8>, value: u8, len: usize) {
    match (value, len) {
        (_, 0) => {}
        (0, len) => push_zeros(out, len),
        (value, len) => out.push(value_run(value, len)),
    }
}

/// Calls `f` with the start, length and value of each run.
pub(super) fn each_run(bytes: &[u8], mut f: impl FnMut(usize, usize, u8)) -> Result<(), Corrupt> {
    let (mut at, mut index) = (0, 0);
    while at < bytes.len() {
        let r = run(bytes, at).ok_or(Corrupt)?;
        if r.len > REGISTERS - index {
            return Err(Corrupt);
        }
        f(index, r.len, r.value);
        index += r.len;
        at += r.bytes;
    }
    if index == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

pub(super) fn describe(bytes: &[u8]) -> Result<String, Corrupt> {
    let (mut out, mut at) = (String::new(), 0);
    while at < bytes.len() {
        let r = run(bytes, at).ok_or(Corrupt)?;
        // Writing to a String cannot fail.
        let _ = match (r.value, r.bytes) {
            (0, 1) => write!(out, "z:{} ", r.len),
            (0, _) => write!(out, "Z:{} ", r.len),
            (v, _) => write!(out, "v:{v},{} ", r.len),
        };
        at += r.bytes;
    }
    out.pop();
    Ok(out)
}

/// What [`set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Unchanged,
    Raised,
    /// The value or the length has no place in a sparse string.
    DoesNotFit,
}

/// Raises a register in the runs that begin at byte `start`.
pub(super) fn set(
    bytes: &mut Vec<u8>,
    start: usize,
    index: usize,
    value: u8,
    bytes_max: usize,
) -> Result<Set, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Set::DoesNotFit);
    }
    // The run the register is in, the registers before that run, and the run before it.
    let (mut at, mut first, mut before) = (start, 0, start);
    let here = loop {
        let r = run(bytes, at).ok_or(Corrupt)?;
        if index < first + r.len {
            break r;
        }
        before = at;
        first += r.len;
        at += r.bytes;
    };
    if here.value >= value {
        return Ok(Set::Unchanged);
    }
    let mut new = Vec::with_capacity(5);
    push_run(&mut new, here.value, index - first);
    push_run(&mut new, value, 1);
    push_run(&mut new, here.value, first + here.len - index - 1);
    if new.len() > here.bytes && bytes.len() + new.len() - here.bytes > bytes_max {
        return Ok(Set::DoesNotFit);
    }
    bytes.splice(at..at + here.bytes, new);
    join(bytes, before);
    Ok(Set::Raised)
}

/// Joins neighbours of one value where one run has room for both, from the run at `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED {
        let Some(r) = run(bytes, at) else { return };
        if let Some(next) = run(bytes, at + r.bytes)
            && r.value > 0
            && r.value == next.value
            && r.len + next.len <= VALUE_LEN_MAX
        {
            bytes[at + 1] = value_run(r.value, r.len + next.len);
            bytes.remove(at);
        } else {
            at += r.bytes;
        }
    }
}
