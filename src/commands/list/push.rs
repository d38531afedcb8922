//! Pushing at the ends.

use super::access::{changed, content, limits, list_mut, pushed};
use crate::commands::{Command, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::list::{End, List};

const LPUSH_SPEC: CommandSpec = CommandSpec::new("lpush", -3, Group::List, "write denyoom fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW insert")])
    .history(&[("2.4.0", "Several elements at once.")])
    .args("key:key element...")
    .doc("Puts elements at the front of a list, which is created if missing.", "O(N), N: elements given");

pub static LPUSH: Command = Command::data(LPUSH_SPEC, lpush);
fn lpush(cx: &mut DataContext<'_, '_>) -> Outcome {
    push(cx, End::Left, true)
}

const RPUSH_SPEC: CommandSpec = CommandSpec::new("rpush", -3, Group::List, "write denyoom fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW insert")])
    .history(&[("2.4.0", "Several elements at once.")])
    .args("key:key element...")
    .doc("Puts elements at the end of a list, which is created if missing.", "O(N), N: elements given");

pub static RPUSH: Command = Command::data(RPUSH_SPEC, rpush);
fn rpush(cx: &mut DataContext<'_, '_>) -> Outcome {
    push(cx, End::Right, true)
}

const LPUSHX_SPEC: CommandSpec = CommandSpec::new("lpushx", -3, Group::List, "write denyoom fast")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RW insert")])
    .history(&[("4.0.0", "Several elements at once.")])
    .args("key:key element...")
    .doc("Puts elements at the front of a list that exists.", "O(N), N: elements given");

pub static LPUSHX: Command = Command::data(LPUSHX_SPEC, lpushx);
fn lpushx(cx: &mut DataContext<'_, '_>) -> Outcome {
    push(cx, End::Left, false)
}

const RPUSHX_SPEC: CommandSpec = CommandSpec::new("rpushx", -3, Group::List, "write denyoom fast")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RW insert")])
    .history(&[("4.0.0", "Several elements at once.")])
    .args("key:key element...")
    .doc("Puts elements at the end of a list that exists.", "O(N), N: elements given");

pub static RPUSHX: Command = Command::data(RPUSHX_SPEC, rpushx);
fn rpushx(cx: &mut DataContext<'_, '_>) -> Outcome {
    push(cx, End::Right, false)
}

fn push(cx: &mut DataContext<'_, '_>, end: End, create: bool) -> Outcome {
    let key = cx.key(1);
    let limits = limits(cx.config);
    let values = cx.args.from(2);
    let mut len = None;
    if let Some(mut record) = cx.space.find_mut(key) {
        let list = list_mut(&mut record)?;
        list.push(end, values.iter(), &limits);
        len = Some(list.len());
    }
    let len = match len {
        Some(len) => len,
        None if create => {
            let mut list = List::new();
            list.push(end, values.iter(), &limits);
            cx.space.add(key, content(list), None);
            values.len()
        }
        None => {
            cx.reply.integer(0);
            return Ok(());
        }
    };
    changed(cx, key, pushed(end), values.len());
    cx.reply.integer(len as i64);
    Ok(())
}
