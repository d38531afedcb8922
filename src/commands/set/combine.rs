//! Several sets at once: intersection, union and difference, as a reply, as a number, or stored.

use super::{limits, reply_item, set_of};
use crate::commands::arguments::{Options, integer_in};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::{EventClass, Key};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::listpack::Item;
use crate::value::object::Object;
use crate::value::record::Content;
use crate::value::set::Set;
use crate::value::table::Borrowed;
use std::ops::ControlFlow;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

/// Looks every key up (in the order given, so that hits, misses and type errors come as they should); which are there.
fn check<'a>(cx: &mut DataContext<'a, '_>, from: usize, count: usize) -> Result<Vec<Key<'a>>, CommandError> {
    let keys: Vec<Key<'a>> = (from..from + count).map(|i| cx.key(i)).collect();
    let mut elements = 0;
    for key in &keys {
        if let Some(record) = cx.space.find(*key) {
            elements += set_of(&record)?.len();
        }
    }
    cx.site.weigh(elements.saturating_mul(2))?;
    Ok(keys)
}

/// Meets the members of the result. A union may name a member more than once.
fn combine(sets: &[Option<&Set>], what: Operation, mut f: impl FnMut(Item<'_>) -> ControlFlow<()>) {
    match what {
        Operation::Union => {
            for set in sets.iter().flatten() {
                set.for_each(|m| {
                    let _ = f(m);
                });
            }
        }
        Operation::Intersection => {
            let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<&Set>>>() else { return };
            // The smallest is walked; the next small ones are asked first, as they refuse most.
            sets.sort_by_key(|s| s.len());
            let Some((smallest, others)) = sets.split_first() else { return };
            let mut done = false;
            smallest.for_each(|m| {
                if !done && others.iter().all(|s| std::ptr::eq(*s, *smallest) || s.contains_item(m)) {
                    done = f(m).is_break();
                }
            });
        }
        Operation::Difference => {
            let Some((Some(first), others)) = sets.split_first() else { return };
            // The largest are asked first, as they take most away.
            let mut others: Vec<&Set> = others.iter().flatten().copied().collect();
            if others.iter().any(|s| std::ptr::eq(*s, *first)) {
                return;
            }
            others.sort_by_key(|s| std::cmp::Reverse(s.len()));
            first.for_each(|m| {
                if !others.iter().any(|s| s.contains_item(m)) {
                    let _ = f(m);
                }
            });
        }
    }
}

fn with_sets<R>(
    cx: &mut DataContext<'_, '_>,
    keys: &[Key<'_>],
    f: impl FnOnce(&[Option<&Set>], &mut crate::resp::reply::Reply) -> R,
) -> R {
    let space = &*cx.space;
    let records: Vec<Option<Borrowed<'_>>> = keys.iter().map(|k| space.look(*k)).collect();
    let sets: Vec<Option<&Set>> = records.iter().map(|r| r.as_ref().and_then(|r| set_of(r).ok())).collect();
    f(&sets, cx.reply)
}

fn reply_with(cx: &mut DataContext<'_, '_>, what: Operation) -> Outcome {
    let keys = check(cx, 1, cx.args.len() - 1)?;
    let limits = limits(cx.config);
    with_sets(cx, &keys, |sets, reply| {
        if what == Operation::Union {
            let mut union = Set::default();
            combine(sets, what, |m| {
                union.add_item(m, &limits);
                ControlFlow::Continue(())
            });
            reply.set(union.len());
            union.for_each(|m| reply_item(reply, m));
            return;
        }
        let (head, mut n) = (reply.deferred(), 0);
        combine(sets, what, |m| {
            n += 1;
            reply_item(reply, m);
            ControlFlow::Continue(())
        });
        reply.finish_set(head, n);
    });
    Ok(())
}

fn store(cx: &mut DataContext<'_, '_>, what: Operation, event: &'static str) -> Outcome {
    let keys = check(cx, 2, cx.args.len() - 2)?;
    let (target, limits) = (cx.key(1), limits(cx.config));
    let result = with_sets(cx, &keys, |sets, _| {
        let mut result = Set::default();
        combine(sets, what, |m| {
            result.add_item(m, &limits);
            ControlFlow::Continue(())
        });
        result
    });
    let len = result.len();
    if len == 0 {
        if cx.space.delete(target) {
            cx.space.changed(target, EventClass::GENERIC, "del");
        }
    } else {
        cx.space.set(target, Content::Object(Box::new(Object::Set(result))), Some(None));
        cx.space.changed(target, EventClass::SET, event);
    }
    cx.reply.integer(len as i64);
    Ok(())
}

pub static SINTER: Command = Command::data(
    CommandSpec::new("sinter", -2, Group::Set, "readonly")
        .since("1.0.0")
        .tips("nondeterministic_output_order")
        .keys(&[KeySpec::index(1, "RO access").range(-1, 1, 0)])
        .args("key:key...")
        .doc("Gives the members that all sets share.", "O(N*M), N: members of the smallest set, M: sets"),
    sinter,
);

fn sinter(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply_with(cx, Operation::Intersection)
}

pub static SINTERSTORE: Command = Command::data(
    CommandSpec::new("sinterstore", -3, Group::Set, "write denyoom")
        .since("1.0.0")
        .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access").range(-1, 1, 0)])
        .args("destination:key key:key#1...")
        .doc("Stores the members that all sets share.", "O(N*M), N: members of the smallest set, M: sets"),
    sinterstore,
);

fn sinterstore(cx: &mut DataContext<'_, '_>) -> Outcome {
    store(cx, Operation::Intersection, "sinterstore")
}

pub static SUNION: Command = Command::data(
    CommandSpec::new("sunion", -2, Group::Set, "readonly")
        .since("1.0.0")
        .tips("nondeterministic_output_order")
        .keys(&[KeySpec::index(1, "RO access").range(-1, 1, 0)])
        .args("key:key...")
        .doc("Gives the members of all sets together.", "O(N), N: members of all sets"),
    sunion,
);

fn sunion(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply_with(cx, Operation::Union)
}

pub static SUNIONSTORE: Command = Command::data(
    CommandSpec::new("sunionstore", -3, Group::Set, "write denyoom")
        .since("1.0.0")
        .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access").range(-1, 1, 0)])
        .args("destination:key key:key#1...")
        .doc("Stores the members of all sets together.", "O(N), N: members of all sets"),
    sunionstore,
);

fn sunionstore(cx: &mut DataContext<'_, '_>) -> Outcome {
    store(cx, Operation::Union, "sunionstore")
}

pub static SDIFF: Command = Command::data(
    CommandSpec::new("sdiff", -2, Group::Set, "readonly")
        .since("1.0.0")
        .tips("nondeterministic_output_order")
        .keys(&[KeySpec::index(1, "RO access").range(-1, 1, 0)])
        .args("key:key...")
        .doc("Gives the members of the first set that no other set has.", "O(N), N: members of all sets"),
    sdiff,
);

fn sdiff(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply_with(cx, Operation::Difference)
}

pub static SDIFFSTORE: Command = Command::data(
    CommandSpec::new("sdiffstore", -3, Group::Set, "write denyoom")
        .since("1.0.0")
        .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access").range(-1, 1, 0)])
        .args("destination:key key:key#1...")
        .doc("Stores the members of the first set that no other set has.", "O(N), N: members of all sets"),
    sdiffstore,
);

fn sdiffstore(cx: &mut DataContext<'_, '_>) -> Outcome {
    store(cx, Operation::Difference, "sdiffstore")
}

pub static SINTERCARD: Command = Command::data(
    CommandSpec::new("sintercard", -3, Group::Set, "readonly")
        .since("7.0.0")
        .keys(&[KeySpec::index(1, "RO access").keynum(0, 1, 1)])
        .args("numkeys:integer key:key... [LIMIT=limit:integer]")
        .doc("Counts the members that all sets share.", "O(N*M), N: members of the smallest set, M: sets"),
    sintercard,
);

fn sintercard(cx: &mut DataContext<'_, '_>) -> Outcome {
    let odd = || CommandError::fixed("ERR numkeys should be greater than 0");
    let numkeys = integer_in(cx.args.at(1), 1, i64::MAX, odd()).map_err(|_| odd())?;
    let numkeys = usize::try_from(numkeys)
        .ok()
        .filter(|n| *n <= cx.args.len() - 2)
        .ok_or(CommandError::fixed("ERR Number of keys can't be greater than number of args"))?;
    let mut limit = 0;
    let mut options = Options::new(cx.args, 2 + numkeys);
    while options.left() > 0 {
        if options.left() < 2 || !Options::take(&mut options, "LIMIT") {
            return Err(CommandError::Syntax);
        }
        let negative = || CommandError::fixed("ERR LIMIT can't be negative");
        limit = integer_in(options.value()?, 0, i64::MAX, negative()).map_err(|_| negative())?;
    }
    let keys = check(cx, 2, numkeys)?;
    let mut n = 0i64;
    with_sets(cx, &keys, |sets, _| {
        combine(sets, Operation::Intersection, |_| {
            n += 1;
            if n == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    });
    cx.reply.integer(n);
    Ok(())
}
