//! The forms that wait for an element.
//!
//! Each does what its sister without waiting does, if it can; its effect is the sister's. Otherwise it waits for its source keys
//! and is run again when one of them changes; of several keys those alone are looked at then that are locked.

use super::access::{end, is_there, pop_command};
use super::moving::move_element;
use super::pop::{PopFromAny, pop_one};
use crate::client::TimeoutReply;
use crate::commands::arguments::timeout_ms;
use crate::commands::{Command, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::list::End;

const BLPOP_SPEC: CommandSpec = CommandSpec::new("blpop", -3, Group::List, "write blocking")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "RW access delete").range(-2, 1, 0)])
    .history(&[("6.0.0", "`timeout` may be a fraction.")])
    .args("key:key... timeout:double")
    .doc("Pops the first element of the first list that has any; waits if none has.", "O(N), N: keys");

pub static BLPOP: Command = Command::data(BLPOP_SPEC, blpop);
fn blpop(cx: &mut DataContext<'_, '_>) -> Outcome {
    pop(cx, End::Left)
}

const BRPOP_SPEC: CommandSpec = CommandSpec::new("brpop", -3, Group::List, "write blocking")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "RW access delete").range(-2, 1, 0)])
    .history(&[("6.0.0", "`timeout` may be a fraction.")])
    .args("key:key... timeout:double")
    .doc("Pops the last element of the first list that has any; waits if none has.", "O(N), N: keys");

pub static BRPOP: Command = Command::data(BRPOP_SPEC, brpop);
fn brpop(cx: &mut DataContext<'_, '_>) -> Outcome {
    pop(cx, End::Right)
}

fn pop(cx: &mut DataContext<'_, '_>, from: End) -> Outcome {
    let last = cx.args.len() - 1;
    let timeout_ms = timeout_ms(cx.args.at(last))?;
    for i in 1..last {
        let key = cx.key(i);
        if cx.passes_over(key) {
            continue;
        }
        let found = is_there(cx.space, key);
        if cx.unless_served(found)? {
            cx.reply.array(2);
            cx.reply.bulk(key.name);
            pop_one(cx, key, from)?;
            cx.space.replace_effect(cx.db, &[pop_command(from), key.name]);
            return Ok(());
        }
    }
    wait(cx, (1, last), timeout_ms);
    Ok(())
}

/// Waits for the keys among the arguments `from..to`.
fn wait(cx: &mut DataContext<'_, '_>, (from, to): (usize, usize), timeout_ms: u64) {
    let keys: Vec<&[u8]> = (from..to).map(|i| cx.args.at(i)).collect();
    cx.block_on(&keys, timeout_ms, TimeoutReply::NullArray);
}

/// Waits for the source of a move. RESP2 clients are told of its absence by a null string, but of the end of their time by a null array.
fn wait_for_source(cx: &mut DataContext<'_, '_>, timeout_ms: u64) {
    if cx.may_block {
        wait(cx, (1, 2), timeout_ms);
    } else {
        cx.reply.null();
    }
}

const BLMPOP_SPEC: CommandSpec = CommandSpec::new("blmpop", -5, Group::List, "write blocking")
    .since("7.0.0")
    .keys(&[KeySpec::index(2, "RW access delete").keynum(0, 1, 1)])
    .args("timeout:double numkeys:integer key:key... where{LEFT|RIGHT} [COUNT=count:integer]")
    .doc("Pops elements from the first list that has any; waits if none has.", "O(N+M), N: keys, M: elements returned");

pub static BLMPOP: Command = Command::data(BLMPOP_SPEC, blmpop);
fn blmpop(cx: &mut DataContext<'_, '_>) -> Outcome {
    let call = PopFromAny::parse(cx.args, 2)?;
    let timeout_ms = timeout_ms(cx.args.at(1))?;
    if !call.run(cx)? {
        wait(cx, call.keys, timeout_ms);
    }
    Ok(())
}

const BLMOVE_SPEC: CommandSpec = CommandSpec::new("blmove", 6, Group::List, "write denyoom blocking")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RW access delete"), KeySpec::index(2, "RW insert")])
    .args("source:key destination:key#1 wherefrom{LEFT|RIGHT} whereto{LEFT|RIGHT} timeout:double")
    .doc("Moves an element between the ends of two lists; waits if there is none.", "O(1)");

pub static BLMOVE: Command = Command::data(BLMOVE_SPEC, blmove);
fn blmove(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (from, to) = (end(cx.args.at(3))?, end(cx.args.at(4))?);
    let timeout_ms = timeout_ms(cx.args.at(5))?;
    if move_element(cx, from, to)? {
        cx.space.replace_effect(cx.db, &[b"LMOVE", cx.args.at(1), cx.args.at(2), cx.args.at(3), cx.args.at(4)]);
    } else {
        wait_for_source(cx, timeout_ms);
    }
    Ok(())
}

const BRPOPLPUSH_SPEC: CommandSpec = CommandSpec::new("brpoplpush", 4, Group::List, "write denyoom blocking")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RW access delete"), KeySpec::index(2, "RW insert")])
    .history(&[("6.0.0", "`timeout` may be a fraction.")])
    .args("source:key destination:key#1 timeout:double")
    .doc("Moves the last element of a list to the front of another; waits if there is none.", "O(1)");

pub static BRPOPLPUSH: Command = Command::data(BRPOPLPUSH_SPEC, brpoplpush);
fn brpoplpush(cx: &mut DataContext<'_, '_>) -> Outcome {
    let timeout_ms = timeout_ms(cx.args.at(3))?;
    if move_element(cx, End::Right, End::Left)? {
        cx.space.replace_effect(cx.db, &[b"RPOPLPUSH", cx.args.at(1), cx.args.at(2)]);
    } else {
        wait_for_source(cx, timeout_ms);
    }
    Ok(())
}
