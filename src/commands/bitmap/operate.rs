//! Bitwise operations over whole strings.

use crate::commands::arguments::is;
use crate::commands::string::access;
use crate::commands::{Command, CommandError, DataContext, Outcome, Site};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

const BITOP_SPEC: CommandSpec = CommandSpec::new("bitop", -4, Group::Bitmap, "write denyoom")
    .since("2.6.0")
    .keys(&[KeySpec::index(2, "OW update"), KeySpec::index(3, "RO access").range(-1, 1, 0)])
    .args("operation{AND|OR|XOR|NOT} destkey:key key:key#1...")
    .doc("Combines strings bit by bit and stores the outcome.", "O(N), N: bytes of the longest string");

pub static BITOP: Command = Command::data(BITOP_SPEC, bitop);
fn bitop(cx: &mut DataContext<'_, '_>) -> Outcome {
    let word = cx.args.at(1);
    let operation = if is(word, "AND") {
        Operation::And
    } else if is(word, "OR") {
        Operation::Or
    } else if is(word, "XOR") {
        Operation::Xor
    } else if is(word, "NOT") {
        Operation::Not
    } else {
        return Err(CommandError::Syntax);
    };
    if operation == Operation::Not && cx.args.len() != 4 {
        return Err(CommandError::fixed("ERR BITOP NOT must be called with a single source key."));
    }
    if cx.site == Site::Worker {
        let mut bytes = 0;
        for i in 3..cx.args.len() {
            if let Some(record) = cx.space.look(cx.key(i)) {
                bytes += access::bytes(&record).map_or(0, |b| b.len());
            }
        }
        cx.site.weigh(bytes / 512)?;
    }
    let mut result = Vec::new();
    for i in 3..cx.args.len() {
        let record = cx.space.find(cx.key(i));
        let source = record.as_deref().map(access::bytes).transpose()?;
        let source = source.as_deref().unwrap_or_default();
        if i == 3 {
            result.extend_from_slice(source);
        } else {
            combine(operation, &mut result, source);
        }
    }
    if operation == Operation::Not {
        result.iter_mut().for_each(|b| *b = !*b);
    }
    let target = cx.key(2);
    let len = result.len();
    if result.is_empty() {
        if cx.space.delete(target) {
            cx.space.changed(target, EventClass::GENERIC, "del");
        }
    } else {
        cx.space.set(target, access::text(&mut result), Some(None));
        if let Some(mut record) = cx.space.find_mut(target) {
            record.set_raw(true);
        }
        cx.space.changed(target, EventClass::STRING, "set");
    }
    cx.reply.integer(len as i64);
    Ok(())
}

/// `result = result op source`, the shorter one continued in zeros.
fn combine(operation: Operation, result: &mut Vec<u8>, source: &[u8]) {
    if result.len() < source.len() {
        result.resize(source.len(), 0);
    }
    let (both, rest) = result.split_at_mut(source.len());
    let pairs = both.iter_mut().zip(source);
    match operation {
        Operation::And => {
            pairs.for_each(|(a, b)| *a &= b);
            rest.fill(0);
        }
        Operation::Or => pairs.for_each(|(a, b)| *a |= b),
        Operation::Xor => pairs.for_each(|(a, b)| *a ^= b),
        Operation::Not => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn a_shorter_string_goes_on_in_zeros() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("MSET a abc b a", "+OK\r\n"),
            ("BITOP AND d a b", ":3\r\n"),
            ("GET d", "$3\r\na\0\0\r\n"),
            ("BITOP OR d b a", ":3\r\n"),
            ("GET d", "$3\r\nabc\r\n"),
            ("BITOP XOR d a a", ":3\r\n"),
            ("GET d", "$3\r\n\0\0\0\r\n"),
            ("BITOP NOT d d", ":3\r\n"),
            ("BITCOUNT d", ":24\r\n"),
            ("BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key.\r\n"),
            ("BITOP NAND d a b", "-ERR syntax error\r\n"),
            ("BITOP OR d none none", ":0\r\n"),
            ("EXISTS d", ":0\r\n"),
        ]);
        assert_eq!(b.events.last().map(String::as_str), Some("keymiss d"));
        assert!(b.events.contains(&"del d".to_owned()));
    }
}
