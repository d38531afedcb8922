//! Moving an element from one list to another.

use super::access::{changed, content, drop_empty, end, is_there, limits, list_mut, popped, pushed, reply_item};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::list::{End, List};

const LMOVE_SPEC: CommandSpec = CommandSpec::new("lmove", 5, Group::List, "write denyoom")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RW access delete"), KeySpec::index(2, "RW insert")])
    .args("source:key destination:key#1 wherefrom{LEFT|RIGHT} whereto{LEFT|RIGHT}")
    .doc("Moves an element between the ends of two lists.", "O(1)");

pub static LMOVE: Command = Command::data(LMOVE_SPEC, lmove);
fn lmove(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (from, to) = (end(cx.args.at(3))?, end(cx.args.at(4))?);
    move_or_null(cx, from, to)
}

const RPOPLPUSH_SPEC: CommandSpec = CommandSpec::new("rpoplpush", 3, Group::List, "write denyoom")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RW access delete"), KeySpec::index(2, "RW insert")])
    .args("source:key destination:key#1")
    .doc("Moves the last element of a list to the front of another.", "O(1)");

pub static RPOPLPUSH: Command = Command::data(RPOPLPUSH_SPEC, rpoplpush);
fn rpoplpush(cx: &mut DataContext<'_, '_>) -> Outcome {
    move_or_null(cx, End::Right, End::Left)
}

fn move_or_null(cx: &mut DataContext<'_, '_>, from: End, to: End) -> Outcome {
    if !move_element(cx, from, to)? {
        cx.reply.null();
    }
    Ok(())
}

/// Moves an element from the list at argument 1 to the one at argument 2 and sends it; false, and nothing sent, if there is no
/// source. The target's type is looked at only if there is one.
///
/// # Errors
/// `WrongType` of the source, `WrongTargetType`.
pub(super) fn move_element(cx: &mut DataContext<'_, '_>, from: End, to: End) -> Result<bool, CommandError> {
    let (source, target) = (cx.key(1), cx.key(2));
    let limits = limits(cx.config);
    if !is_there(cx.space, source)? {
        return Ok(false);
    }
    let target_is_there = is_there(cx.space, target).map_err(|_| CommandError::WrongTargetType)?;
    let mut emptied = false;
    {
        let Some(mut record) = cx.space.find_mut(source) else { return Ok(false) };
        let list = list_mut(&mut record)?;
        if source.name == target.name {
            if let Some(item) = list.peek(from) {
                reply_item(cx.reply, item);
            }
            list.rotate(from, to, &limits);
        } else {
            let reply = &mut *cx.reply;
            let taken = list.pop(from, &limits, |item| {
                reply_item(reply, item);
                item.to_vec()
            });
            emptied = list.is_empty();
            drop(record);
            let Some(element) = taken else { return Ok(false) };
            if target_is_there {
                let Some(mut record) = cx.space.find_mut(target) else { return Ok(false) };
                list_mut(&mut record)?.push_one(to, element.as_slice(), &limits);
            } else {
                let mut list = List::new();
                list.push_one(to, element.as_slice(), &limits);
                cx.space.add(target, content(list), None);
            }
        }
    }
    changed(cx, target, pushed(to), 1);
    cx.space.mark(source);
    cx.space.event(EventClass::LIST, popped(from), source);
    if emptied {
        drop_empty(cx, source);
    }
    Ok(true)
}
