//! PFDEBUG and PFSELFTEST.

use super::{bytes_of, corrupt, edit};
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, DataContext, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::hyperloglog::{self as hll, Merged};

const PFDEBUG_SPEC: CommandSpec = CommandSpec::new("pfdebug", 3, Group::HyperLogLog, "write denyoom admin")
    .since("2.8.9")
    .system()
    .keys(&[KeySpec::index(2, "RW access")])
    .args("subcommand key:key")
    .doc("Looks inside a HyperLogLog.", "As the subcommand");

pub static PFDEBUG: Command = Command::data(PFDEBUG_SPEC, pfdebug);
fn pfdebug(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (what, word) = (cx.args.at(1), cx.args.at(2));
    if is(what, "SIMD") {
        // There is one way to merge here, whatever is asked for: the compiler makes vectors of it where the machine has them.
        let (on, off) = (is(word, "ON"), is(word, "OFF"));
        if !on && !off {
            return Err(CommandError::fixed("ERR Argument must be ON or OFF"));
        }
        cx.reply.status(if on { "enabled" } else { "disabled" });
        return Ok(());
    }
    let key = cx.key(2);
    let Some(mut record) = cx.space.find_mut(key) else {
        return Err(CommandError::fixed("ERR The specified key does not exist"));
    };
    let bytes = bytes_of(&record)?;
    let dense = hll::is_dense(&bytes);
    if is(what, "ENCODING") {
        cx.reply.status(if dense { "dense" } else { "sparse" });
    } else if is(what, "DECODE") {
        if dense {
            return Err(CommandError::fixed("ERR HLL encoding is not sparse"));
        }
        cx.reply.bulk(hll::describe_sparse(&bytes).map_err(corrupt)?.as_bytes());
    } else if is(what, "GETREG") || is(what, "TODENSE") {
        let made = edit(&mut record, |bytes| hll::make_dense(bytes).map_err(corrupt))?;
        if is(what, "GETREG") {
            let mut registers = Merged::default();
            registers.add(&bytes_of(&record)?).map_err(corrupt)?;
            cx.reply.array(registers.registers().len());
            registers.registers().iter().for_each(|r| cx.reply.integer(i64::from(*r)));
        } else {
            cx.reply.integer(i64::from(made));
        }
        drop(record);
        if made {
            cx.space.mark(key);
            cx.space.changes.dirty += 1;
        }
    } else {
        return Err(CommandError::Bytes([b"ERR Unknown PFDEBUG subcommand '", what, b"'"].concat()));
    }
    Ok(())
}

const PFSELFTEST_SPEC: CommandSpec = CommandSpec::new("pfselftest", 1, Group::HyperLogLog, "admin")
    .since("2.8.9")
    .system()
    .doc("Tests the HyperLogLog code.", "Seconds");

/// Elements of the self-test: beyond the change of encodings, and over in a fraction of a second.
const TESTED: u64 = 200_000;

pub static PFSELFTEST: Command = Command::node(PFSELFTEST_SPEC, pfselftest);
fn pfselftest(cx: &mut NodeContext<'_, '_>) -> Outcome {
    hll::self_test(TESTED).map_err(|what| CommandError::err(format_args!("TESTFAILED {what}")))?;
    cx.reply.ok();
    Ok(())
}
