//! Integers of any width inside a string.

use super::offset;
use crate::base::number::parse_i64;
use crate::commands::arguments::{Options, integer};
use crate::commands::string::access;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};
use crate::value::record::Content;

/// The type of a field: 1 to 64 bits with a sign, 1 to 63 without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    signed: bool,
    width: u32,
    /// In bits.
    at: u64,
}

/// What happens when a value does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    field: Field,
    action: Action,
    overflow: Overflow,
}

impl Field {
    fn parse(cx: &DataContext<'_, '_>, kind: &[u8], at: &[u8]) -> Result<Field, CommandError> {
        let bad = CommandError::fixed(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (signed, width) = match kind {
            [b'i', rest @ ..] => (true, parse_i64(rest)),
            [b'u', rest @ ..] => (false, parse_i64(rest)),
            _ => return Err(bad),
        };
        let max = if signed { 64 } else { 63 };
        let width = width.filter(|w| (1..=max).contains(w)).ok_or(bad)? as u32;
        Ok(Field { signed, width, at: offset(cx, at, Some(width))? })
    }

    /// The byte past the last one of the field.
    fn end(self) -> usize {
        ((self.at + u64::from(self.width)).div_ceil(8)) as usize
    }

    fn mask(self) -> u128 {
        (1 << self.width) - 1
    }

    /// The low `width` bits of `raw` as a value.
    fn value(self, raw: u128) -> i128 {
        let raw = (raw & self.mask()) as i128;
        if self.signed && raw >> (self.width - 1) == 1 { raw - (1 << self.width) } else { raw }
    }

    /// The field's bits; what lies past the end is zero.
    fn read(self, value: &[u8]) -> i128 {
        let first = (self.at / 8) as usize;
        // At most 7 bits before it and 64 of its own: nine bytes.
        let raw = (first..self.end()).fold(0u128, |acc, i| acc << 8 | u128::from(value.get(i).copied().unwrap_or(0)));
        self.value(raw >> self.behind())
    }

    /// Bits of its last byte that lie behind it.
    fn behind(self) -> u32 {
        (self.end() as u64 * 8 - self.at - u64::from(self.width)) as u32
    }

    /// Writes the field; `value` reaches to its end.
    fn write(self, value: &mut [u8], n: i128) {
        let shift = self.behind();
        let (mut keep, mut bits) = (!(self.mask() << shift), (n as u128 & self.mask()) << shift);
        for byte in value[(self.at / 8) as usize..self.end()].iter_mut().rev() {
            *byte = *byte & keep as u8 | bits as u8;
            keep >>= 8;
            bits >>= 8;
        }
    }

    /// `n` made to fit; `None` if it does not and that is a failure.
    fn fit(self, n: i128, overflow: Overflow) -> Option<i128> {
        let (low, high) = if self.signed {
            (-(1i128 << (self.width - 1)), (1i128 << (self.width - 1)) - 1)
        } else {
            (0, (1i128 << self.width) - 1)
        };
        match overflow {
            _ if (low..=high).contains(&n) => Some(n),
            Overflow::Wrap => Some(self.value(n as u128)),
            Overflow::Saturate => Some(n.clamp(low, high)),
            Overflow::Fail => None,
        }
    }
}

/// Reads all operations. `read_only`: only GET.
fn parse(cx: &DataContext<'_, '_>, read_only: bool) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let words = &mut Options::new(cx.args, 2);
    while words.left() > 0 {
        let left = words.left();
        if left >= 2 && words.take("OVERFLOW") {
            overflow = if words.take("WRAP") {
                Overflow::Wrap
            } else if words.take("SAT") {
                Overflow::Saturate
            } else if words.take("FAIL") {
                Overflow::Fail
            } else {
                return Err(CommandError::fixed("ERR Invalid OVERFLOW type specified"));
            };
            continue;
        }
        let action = if left >= 3 && words.take("GET") {
            Action::Get
        } else if left >= 4 && words.take("SET") {
            Action::Set(0)
        } else if left >= 4 && words.take("INCRBY") {
            Action::Add(0)
        } else {
            return Err(CommandError::Syntax);
        };
        let (kind, at) = (words.value()?, words.value()?);
        let field = Field::parse(cx, kind, at)?;
        let action = match action {
            Action::Get => Action::Get,
            Action::Set(_) => Action::Set(integer(words.value()?)?),
            Action::Add(_) => Action::Add(integer(words.value()?)?),
        };
        operations.push(Operation { field, action, overflow });
    }
    if read_only && operations.iter().any(|o| o.action != Action::Get) {
        return Err(CommandError::fixed("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    Ok(operations)
}

const BITFIELD_SPEC: CommandSpec = CommandSpec::new("bitfield", -2, Group::Bitmap, "write denyoom")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RW access update variable_flags").notes("A read as long as every operation is `GET`.")])
    .key_code(KeyCode::Bitfield)
    .args(
        "key:key [operation{GET=get-block(encoding offset:integer) | \
        write([OVERFLOW=overflow-block{WRAP|SAT|FAIL}] write-operation{SET=set-block(encoding \
        offset:integer value:integer) | INCRBY=incrby-block(encoding offset:integer \
        increment:integer)})}...]",
    )
    .doc("Reads, writes and increments integers of any width inside a string.", "O(1) per operation");

pub static BITFIELD: Command = Command::data(BITFIELD_SPEC, bitfield);
fn bitfield(cx: &mut DataContext<'_, '_>) -> Outcome {
    let operations = parse(cx, false)?;
    run(cx, &operations)
}

const BITFIELD_RO_SPEC: CommandSpec = CommandSpec::new("bitfield_ro", -2, Group::Bitmap, "readonly fast")
    .since("6.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key [GET=get-block(encoding offset:integer)*...]")
    .doc("Reads integers of any width inside a string.", "O(1) per operation");

pub static BITFIELD_RO: Command = Command::data(BITFIELD_RO_SPEC, bitfield_ro);
fn bitfield_ro(cx: &mut DataContext<'_, '_>) -> Outcome {
    let operations = parse(cx, true)?;
    run(cx, &operations)
}

fn run(cx: &mut DataContext<'_, '_>, operations: &[Operation]) -> Outcome {
    let key = cx.key(1);
    let writes = operations.iter().filter(|o| o.action != Action::Get);
    let Some(end) = writes.map(|o| o.field.end()).max() else {
        return read(cx, operations);
    };
    let old_len = match cx.space.find_mut(key) {
        Some(record) => Some(access::len(&record)?),
        None => None,
    };
    if old_len.is_none() {
        cx.space.add(key, Content::String(b""), None);
    }
    let grew = old_len.is_none_or(|len| len < end);
    let mut changes = 0u64;
    cx.reply.array(operations.len());
    let reply = &mut *cx.reply;
    if let Some(mut record) = cx.space.find_mut(key) {
        access::edit(&mut record, end, |value| {
            for o in operations {
                let old = o.field.read(value);
                let wanted = match o.action {
                    Action::Get => {
                        reply.integer(old as i64);
                        continue;
                    }
                    // Without a sign a negative value is the large one of the same bits.
                    Action::Set(n) if !o.field.signed => i128::from(n as u64),
                    Action::Set(n) => i128::from(n),
                    Action::Add(n) => old + i128::from(n),
                };
                let Some(new) = o.field.fit(wanted, o.overflow) else {
                    reply.null();
                    continue;
                };
                o.field.write(value, new);
                changes += u64::from(grew || new != old);
                reply.integer(if matches!(o.action, Action::Set(_)) { old } else { new } as i64);
            }
        })?;
    }
    if changes > 0 {
        cx.space.changed(key, EventClass::STRING, "setbit");
        cx.space.changes.dirty += changes - 1;
    }
    Ok(())
}

fn read(cx: &mut DataContext<'_, '_>, operations: &[Operation]) -> Outcome {
    let record = cx.space.find(cx.key(1));
    let value = record.as_deref().map(access::bytes).transpose()?;
    let value = value.as_deref().unwrap_or_default();
    cx.reply.array(operations.len());
    for o in operations {
        cx.reply.integer(o.field.read(value) as i64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;
    use proptest::prelude::*;

    #[test]
    fn a_value_that_does_not_fit_wraps_saturates_or_fails() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("BITFIELD k SET u8 0 255 INCRBY u8 0 1 GET u8 0", "*3\r\n:0\r\n:0\r\n:0\r\n"),
            ("BITFIELD k OVERFLOW SAT INCRBY i8 0 127 INCRBY i8 0 1", "*2\r\n:127\r\n:127\r\n"),
            ("BITFIELD k OVERFLOW FAIL INCRBY i8 0 1 GET i8 0", "*2\r\n$-1\r\n:127\r\n"),
            ("BITFIELD k OVERFLOW SAT SET u4 #1 -1 SET i64 #1 -9223372036854775808", "*2\r\n:15\r\n:0\r\n"),
            ("BITFIELD k GET i64 #1 GET u63 64", "*2\r\n:-9223372036854775808\r\n:4611686018427387904\r\n"),
            ("BITFIELD_RO k GET u8 0", "*1\r\n:127\r\n"),
            ("BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand\r\n"),
            ("BITFIELD none GET i8 9", "*1\r\n:0\r\n"),
            ("BITFIELD k OVERFLOW x", "-ERR Invalid OVERFLOW type specified\r\n"),
        ]);
        let bad =
            "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.\r\n";
        for kind in ["u64", "i65", "u0", "x8", "i", "u-1", "u08"] {
            assert_eq!(b.run(&format!("BITFIELD k GET {kind} 0")), bad, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn a_field_reads_back_and_its_neighbours_stay(
            mut value in prop::collection::vec(any::<u8>(), 24..25), at in 0u64..100, width in 1u32..64, n in any::<i64>(), signed: bool,
        ) {
            let field = Field { signed, width, at };
            let bits = |v: &[u8]| -> Vec<bool> { (0..v.len() * 8).map(|i| v[i / 8] >> (7 - i % 8) & 1 == 1).collect() };
            let before = bits(&value);
            let fitted = field.fit(i128::from(n), Overflow::Wrap).unwrap();
            field.write(&mut value, fitted);
            prop_assert_eq!(field.read(&value), fitted);
            for (i, (old, new)) in before.iter().zip(bits(&value)).enumerate() {
                let inside = (at..at + u64::from(width)).contains(&(i as u64));
                prop_assert!(inside || *old == new);
            }
        }
    }
}
