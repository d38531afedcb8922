//! Several strings in one step.

use super::access;
use super::expiry::{Condition, Expiry, Of, StringOptions, Unit};
use crate::base::number::IntText;
use crate::commands::arguments::integer;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::{EventClass, Key};
use crate::spec::{CommandSpec, Group, KeySpec};

const MGET_SPEC: CommandSpec = CommandSpec::new("mget", -2, Group::String, "readonly fast")
    .since("1.0.0")
    .tips("request_policy:multi_shard")
    .keys(&[KeySpec::index(1, "RO access").range(-1, 1, 0)])
    .args("key:key...")
    .doc("Reads the strings at several keys in one step.", "O(N), N: keys");

pub static MGET: Command = Command::data(MGET_SPEC, mget);
fn mget(cx: &mut DataContext<'_, '_>) -> Outcome {
    cx.reply.array(cx.args.len() - 1);
    for i in 1..cx.args.len() {
        let key = cx.key(i);
        let sent = cx.space.find(key).is_some_and(|record| access::reply(cx.reply, &record).is_ok());
        if !sent {
            cx.reply.null();
        }
    }
    Ok(())
}

const MSET_SPEC: CommandSpec = CommandSpec::new("mset", -3, Group::String, "write denyoom")
    .since("1.0.1")
    .tips("request_policy:multi_shard response_policy:all_succeeded")
    .keys(&[KeySpec::index(1, "OW update").range(-1, 2, 0)])
    .args("data(key:key value)...")
    .doc("Stores strings at several keys in one step.", "O(N), N: keys");

pub static MSET: Command = Command::data(MSET_SPEC, mset);
fn mset(cx: &mut DataContext<'_, '_>) -> Outcome {
    paired(cx)?;
    set_all(cx, 1, cx.args.len(), Some(None));
    cx.reply.ok();
    Ok(())
}

const MSETNX_SPEC: CommandSpec = CommandSpec::new("msetnx", -3, Group::String, "write denyoom")
    .since("1.0.1")
    .keys(&[KeySpec::index(1, "OW insert").range(-1, 2, 0)])
    .args("data(key:key value)...")
    .doc("Stores strings at several keys, provided that none of them exists.", "O(N), N: keys");

pub static MSETNX: Command = Command::data(MSETNX_SPEC, msetnx);
fn msetnx(cx: &mut DataContext<'_, '_>) -> Outcome {
    paired(cx)?;
    let mut keys = (1..cx.args.len()).step_by(2);
    let absent = !keys.any(|i| cx.space.alive(cx.key(i)));
    if absent {
        set_all(cx, 1, cx.args.len(), Some(None));
    }
    cx.reply.integer(i64::from(absent));
    Ok(())
}

/// Refuses a key without a value.
fn paired(cx: &DataContext<'_, '_>) -> Outcome {
    if cx.args.len().is_multiple_of(2) { Err(CommandError::wrong_arity(cx.command_name())) } else { Ok(()) }
}

/// Sets the pairs of arguments `from..to`.
fn set_all(cx: &mut DataContext<'_, '_>, from: usize, to: usize, deadline: Option<Option<i64>>) {
    for i in (from..to).step_by(2) {
        let key = Key::new(cx.db, cx.args.at(i));
        cx.space.set(key, access::encode(cx.args.at(i + 1)), deadline);
        cx.space.changed(key, EventClass::STRING, "set");
        if let Some(Some(_)) = deadline {
            cx.space.event(EventClass::GENERIC, "expire", key);
        }
    }
}

const MSETEX_SPEC: CommandSpec = CommandSpec::new("msetex", -4, Group::String, "write denyoom")
    .since("9.1.0")
    .tips("request_policy:multi_shard response_policy:all_succeeded")
    .keys(&[KeySpec::index(1, "OW update").keynum(0, 1, 2)])
    .args(
        "numkeys:integer data(key:key value)... [condition{NX|XX}] \
        [expiration{EX=seconds:integer | PX=milliseconds:integer | \
        EXAT=unix-time-seconds:unix-time | PXAT=unix-time-milliseconds:unix-time | KEEPTTL}]",
    )
    .doc(
        "Stores strings at several keys in one step, with a shared expiry and a condition if \
        wanted.",
        "O(N), N: keys",
    );

pub static MSETEX: Command = Command::data(MSETEX_SPEC, msetex);
fn msetex(cx: &mut DataContext<'_, '_>) -> Outcome {
    let pairs = integer(cx.args.at(1)).ok().filter(|n| (1..=i64::from(i32::MAX)).contains(n));
    let pairs = pairs.ok_or(CommandError::fixed("ERR invalid numkeys value"))? as usize;
    let end = 2 + pairs * 2;
    if end > cx.args.len() {
        return Err(CommandError::wrong_arity(cx.command_name()));
    }
    let options = StringOptions::parse(cx.args, end, Of::Msetex)?;
    let deadline = options.deadline(cx.now_ms(), cx.command_name())?;
    let wanted = match options.condition {
        Condition::Absent => Some(false),
        Condition::Present => Some(true),
        _ => None,
    };
    if let Some(wanted) = wanted {
        for i in (2..end).step_by(2) {
            if cx.space.alive(cx.key(i)) != wanted {
                cx.reply.integer(0);
                return Ok(());
            }
        }
    }
    set_all(cx, 2, end, if options.expiry == Expiry::Keep { None } else { Some(deadline) });
    if let (Some(deadline), Expiry::At { unit, position, .. }) = (deadline, options.expiry) {
        if unit != Unit::PXAT {
            let text = IntText::new(deadline);
            let mut effect: Vec<&[u8]> = cx.args.iter().collect();
            effect[position] = b"PXAT";
            effect[position + 1] = text.as_bytes();
            cx.space.replace_effect(cx.db, &effect);
        }
    }
    cx.reply.integer(1);
    Ok(())
}
