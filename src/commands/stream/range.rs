//! XLEN, XRANGE, XREVRANGE.

use super::{range_end, range_start, stream_of, write_entry};
use crate::commands::arguments::Options;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::stream::Direction;

const XLEN_SPEC: CommandSpec = CommandSpec::new("xlen", 2, Group::Stream, "readonly fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RO")])
    .args("key:key")
    .doc("Counts the entries of a stream.", "O(1)");

pub static XLEN: Command = Command::data(XLEN_SPEC, xlen);
fn xlen(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let len = match cx.space.find(key) {
        Some(record) => stream_of(&record)?.len(),
        None => 0,
    };
    cx.reply.integer(len as i64);
    Ok(())
}

const XRANGE_SPEC: CommandSpec = CommandSpec::new("xrange", -4, Group::Stream, "readonly")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Exclusive bounds.")])
    .args("key:key start end [COUNT=count:integer]")
    .doc("Reads entries of a stream between two ids.", "O(N), N: entries returned");

pub static XRANGE: Command = Command::data(XRANGE_SPEC, xrange);
fn xrange(cx: &mut DataContext<'_, '_>) -> Outcome {
    range(cx, Direction::Forward)
}

const XREVRANGE_SPEC: CommandSpec = CommandSpec::new("xrevrange", -4, Group::Stream, "readonly")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Exclusive bounds.")])
    .args("key:key end start [COUNT=count:integer]")
    .doc("Reads entries of a stream between two ids, newest first.", "O(N), N: entries returned");

pub static XREVRANGE: Command = Command::data(XREVRANGE_SPEC, xrevrange);
fn xrevrange(cx: &mut DataContext<'_, '_>) -> Outcome {
    range(cx, Direction::Backward)
}

fn range(cx: &mut DataContext<'_, '_>, direction: Direction) -> Outcome {
    let (from, to) = match direction {
        Direction::Forward => (cx.args.at(2), cx.args.at(3)),
        Direction::Backward => (cx.args.at(3), cx.args.at(2)),
    };
    let (from, to) = (range_start(from)?, range_end(to)?);
    let (mut count, options) = (None, &mut Options::new(cx.args, 4));
    while options.left() > 0 {
        if options.left() < 2 || !options.take("COUNT") {
            return Err(CommandError::Syntax);
        }
        count = Some(usize::try_from(options.integer()?).unwrap_or(0));
    }
    let (key, reply) = (cx.key(1), &mut *cx.reply);
    let Some(record) = cx.space.find(key) else {
        reply.array(0);
        return Ok(());
    };
    let stream = stream_of(&record)?;
    if count == Some(0) {
        reply.null_array();
        return Ok(());
    }
    cx.site.weigh(count.unwrap_or(usize::MAX).min(usize::try_from(stream.len()).unwrap_or(usize::MAX)))?;
    let (head, mut written) = (reply.deferred(), 0);
    for entry in stream.range(from, to, direction).take(count.unwrap_or(usize::MAX)) {
        write_entry(reply, &entry);
        written += 1;
    }
    reply.finish_array(head, written);
    Ok(())
}
