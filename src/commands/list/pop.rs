//! Popping from the ends.

use super::access::{changed, drop_empty, end, is_there, limits, list_mut, pop_command, popped, reply_item};
use crate::base::number::IntText;
use crate::commands::arguments::{Options, integer, numkeys};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::Key;
use crate::resp::args::Args;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::list::End;

const LPOP_SPEC: CommandSpec = CommandSpec::new("lpop", -2, Group::List, "write fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access delete")])
    .history(&[("6.2.0", "Argument `count`.")])
    .args("key:key [count:integer@6.2.0]")
    .doc("Pops elements from the front of a list.", "O(N), N: elements returned");

pub static LPOP: Command = Command::data(LPOP_SPEC, lpop);
fn lpop(cx: &mut DataContext<'_, '_>) -> Outcome {
    pop(cx, End::Left)
}

const RPOP_SPEC: CommandSpec = CommandSpec::new("rpop", -2, Group::List, "write fast")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access delete")])
    .history(&[("6.2.0", "Argument `count`.")])
    .args("key:key [count:integer@6.2.0]")
    .doc("Pops elements from the end of a list.", "O(N), N: elements returned");

pub static RPOP: Command = Command::data(RPOP_SPEC, rpop);
fn rpop(cx: &mut DataContext<'_, '_>) -> Outcome {
    pop(cx, End::Right)
}

fn pop(cx: &mut DataContext<'_, '_>, from: End) -> Outcome {
    let count = match cx.args.len() {
        0..=2 => None,
        3 => {
            let n = integer(cx.args.at(2)).ok().and_then(|n| usize::try_from(n).ok());
            Some(n.ok_or(CommandError::MustBePositive)?)
        }
        _ => return Err(CommandError::wrong_arity(cx.command_name())),
    };
    let key = cx.key(1);
    match count {
        None => {
            if !pop_one(cx, key, from)? {
                cx.reply.null();
            }
        }
        Some(count) => {
            let there = if count == 0 { is_there(cx.space, key)? } else { pop_many(cx, key, from, count)? > 0 };
            match (there, count) {
                (false, _) => cx.reply.null_array(),
                (true, 0) => cx.reply.array(0),
                (true, _) => {}
            }
        }
    }
    Ok(())
}

/// Pops the outermost element of a key's list and sends it; false, and nothing sent, if the key is not there.
///
/// # Errors
/// `WrongType`.
pub(super) fn pop_one(cx: &mut DataContext<'_, '_>, key: Key<'_>, from: End) -> Result<bool, CommandError> {
    let limits = limits(cx.config);
    let Some(mut record) = cx.space.find_mut(key) else { return Ok(false) };
    let list = list_mut(&mut record)?;
    let reply = &mut *cx.reply;
    if list.pop(from, &limits, |item| reply_item(reply, item)).is_none() {
        return Ok(false);
    }
    let emptied = list.is_empty();
    drop(record);
    changed(cx, key, popped(from), 1);
    if emptied {
        drop_empty(cx, key);
    }
    Ok(true)
}

/// Pops up to `count` (at least 1) elements of a key's list and sends them as an array; their number, 0 with nothing sent if
/// the key is not there.
///
/// # Errors
/// `WrongType`.
pub(super) fn pop_many(
    cx: &mut DataContext<'_, '_>,
    key: Key<'_>,
    from: End,
    count: usize,
) -> Result<usize, CommandError> {
    let limits = limits(cx.config);
    let Some(mut record) = cx.space.find_mut(key) else { return Ok(0) };
    let list = list_mut(&mut record)?;
    let count = count.min(list.len());
    let reply = &mut *cx.reply;
    reply.array(count);
    list.pop_many(from, count, &limits, |item| reply_item(reply, item));
    let emptied = list.is_empty();
    drop(record);
    changed(cx, key, popped(from), count);
    if emptied {
        drop_empty(cx, key);
    }
    Ok(count)
}

const LMPOP_SPEC: CommandSpec = CommandSpec::new("lmpop", -4, Group::List, "write")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "RW access delete").keynum(0, 1, 1)])
    .args("numkeys:integer key:key... where{LEFT|RIGHT} [COUNT=count:integer]")
    .doc("Pops elements from the first list that has any.", "O(N+M), N: keys, M: elements returned");

pub static LMPOP: Command = Command::data(LMPOP_SPEC, lmpop);
fn lmpop(cx: &mut DataContext<'_, '_>) -> Outcome {
    let call = PopFromAny::parse(cx.args, 1)?;
    if !call.run(cx)? {
        cx.reply.null_array();
    }
    Ok(())
}

/// The arguments LMPOP and BLMPOP share.
pub(super) struct PopFromAny {
    /// Index of the first key's argument, and of the one behind the last.
    pub keys: (usize, usize),
    from: End,
    count: usize,
}

impl PopFromAny {
    /// Reads `numkeys key... LEFT|RIGHT [COUNT n]` from argument `at` on.
    pub fn parse(args: Args<'_>, at: usize) -> Result<PopFromAny, CommandError> {
        let first = at + 1;
        let behind = first.saturating_add(numkeys(args.at(at))?);
        let mut options = Options::new(args, behind);
        let from = end(options.value()?)?;
        let mut count = None;
        while let Some(word) = options.next() {
            if count.is_some() || !word.eq_ignore_ascii_case(b"COUNT") || options.left() == 0 {
                return Err(CommandError::Syntax);
            }
            let n = options.integer().ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
            count = Some(n.ok_or(CommandError::fixed("ERR count should be greater than 0"))?);
        }
        Ok(PopFromAny { keys: (first, behind), from, count: count.unwrap_or(1) })
    }

    /// Pops from the first key that has a list, with a reply and an effect; false if none has.
    pub fn run(&self, cx: &mut DataContext<'_, '_>) -> Result<bool, CommandError> {
        for i in self.keys.0..self.keys.1 {
            let key = cx.key(i);
            if cx.passes_over(key) {
                continue;
            }
            let found = is_there(cx.space, key);
            if !cx.unless_served(found)? {
                continue;
            }
            cx.reply.array(2);
            cx.reply.bulk(key.name);
            let n = pop_many(cx, key, self.from, self.count)?;
            let text = IntText::new(n as i64);
            cx.space.replace_effect(cx.db, &[pop_command(self.from), key.name, text.as_bytes()]);
            return Ok(true);
        }
        Ok(false)
    }
}
