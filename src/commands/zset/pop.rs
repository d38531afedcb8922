//! Taking the lowest or highest elements, and waiting for them.

use super::{changed, write_member, write_score, zset_of_mut};
use crate::base::number::IntText;
use crate::client::TimeoutReply;
use crate::commands::arguments::{Options, integer, timeout_ms};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};

const ZPOPMIN_SPEC: CommandSpec = CommandSpec::new("zpopmin", -2, Group::SortedSet, "write fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW access delete")])
    .args("key:key [count:integer]")
    .doc("Pops the members with the lowest scores.", "O(log(N)*M), N: members of the set, M: members popped");

const ZPOPMAX_SPEC: CommandSpec = CommandSpec::new("zpopmax", -2, Group::SortedSet, "write fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW access delete")])
    .args("key:key [count:integer]")
    .doc("Pops the members with the highest scores.", "O(log(N)*M), N: members of the set, M: members popped");

const ZMPOP_SPEC: CommandSpec = CommandSpec::new("zmpop", -4, Group::SortedSet, "write")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "RW access delete").keynum(0, 1, 1)])
    .args("numkeys:integer key:key... where{MIN|MAX} [COUNT=count:integer]")
    .doc(
        "Pops members with the lowest or highest scores from the first sorted set that has \
        any.",
        "O(K)+O(M*log(N)), K: keys, N: members of the set, M: members popped",
    );

const BZPOPMIN_SPEC: CommandSpec = CommandSpec::new("bzpopmin", -3, Group::SortedSet, "write blocking fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW access delete").range(-2, 1, 0)])
    .history(&[("6.0.0", "`timeout` may be a fraction.")])
    .args("key:key... timeout:double")
    .doc(
        "Pops the member with the lowest score from the first sorted set that has any; waits \
        if none has.",
        "O(log(N)), N: members of the set",
    );

const BZPOPMAX_SPEC: CommandSpec = CommandSpec::new("bzpopmax", -3, Group::SortedSet, "write blocking fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW access delete").range(-2, 1, 0)])
    .history(&[("6.0.0", "`timeout` may be a fraction.")])
    .args("key:key... timeout:double")
    .doc(
        "Pops the member with the highest score from the first sorted set that has any; waits \
        if none has.",
        "O(log(N)), N: members of the set",
    );

const BZMPOP_SPEC: CommandSpec = CommandSpec::new("bzmpop", -5, Group::SortedSet, "write blocking")
    .since("7.0.0")
    .keys(&[KeySpec::index(2, "RW access delete").keynum(0, 1, 1)])
    .args("timeout:double numkeys:integer key:key... where{MIN|MAX} [COUNT=count:integer]")
    .doc(
        "Pops members with the lowest or highest scores from the first sorted set that has \
        any; waits if none has.",
        "O(K)+O(M*log(N)), K: keys, N: members of the set, M: members popped",
    );

/// `ZPOPMIN key [count]`
pub static ZPOPMIN: Command = Command::data(ZPOPMIN_SPEC, zpopmin);
/// `ZPOPMAX key [count]`
pub static ZPOPMAX: Command = Command::data(ZPOPMAX_SPEC, zpopmax);
/// `ZMPOP numkeys key ... MIN | MAX [COUNT count]`
pub static ZMPOP: Command = Command::data(ZMPOP_SPEC, zmpop);
/// `BZPOPMIN key ... timeout`
pub static BZPOPMIN: Command = Command::data(BZPOPMIN_SPEC, bzpopmin);
/// `BZPOPMAX key ... timeout`
pub static BZPOPMAX: Command = Command::data(BZPOPMAX_SPEC, bzpopmax);
/// `BZMPOP timeout numkeys key ... MIN | MAX [COUNT count]`
pub static BZMPOP: Command = Command::data(BZMPOP_SPEC, bzmpop);

/// Which end elements are taken from.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Min,
    Max,
}

/// How what was taken is written.
#[derive(Clone, Copy)]
enum Shape {
    /// Member, score: ZPOPMIN.
    Flat,
    /// The same, or pairs in RESP3: ZPOPMIN with a count.
    List,
    /// Key, member, score: BZPOPMIN.
    Keyed,
    /// Key, pairs: ZMPOP.
    KeyedPairs,
}

fn zpopmin(cx: &mut DataContext<'_, '_>) -> Outcome {
    pop_one_key(cx, End::Min)
}

fn zpopmax(cx: &mut DataContext<'_, '_>) -> Outcome {
    pop_one_key(cx, End::Max)
}

fn pop_one_key(cx: &mut DataContext<'_, '_>, end: End) -> Outcome {
    if cx.args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let (count, shape) = match cx.args.get(2) {
        Some(text) => {
            let count = integer(text).ok().and_then(|n| usize::try_from(n).ok()).ok_or(CommandError::MustBePositive)?;
            (count, Shape::List)
        }
        None => (1, Shape::Flat),
    };
    if pop(cx, 1, end, count, shape)? == 0 {
        cx.reply.array(0);
    }
    Ok(())
}

/// Takes up to `count` elements of the set at argument `at` and writes them; 0, and nothing written, if there are none.
fn pop(cx: &mut DataContext<'_, '_>, at: usize, end: End, count: usize, shape: Shape) -> Result<usize, CommandError> {
    let key = if at == 1 { cx.key(1) } else { crate::keyspace::Key::new(cx.db, cx.args.at(at)) };
    if cx.passes_over(key) {
        return Ok(0);
    }
    let Some(mut record) = cx.space.find_mut(key) else { return Ok(0) };
    let zset = zset_of_mut(&mut record)?;
    let len = zset.len();
    let taken = count.min(len);
    if taken == 0 {
        return Ok(0);
    }
    let ranks = if end == End::Min { 0..taken } else { len - taken..len };
    let out = &mut *cx.reply;
    let pairs = match shape {
        Shape::Flat => {
            out.array(2);
            false
        }
        Shape::List => {
            let pairs = out.is_resp3();
            out.array(if pairs { taken } else { 2 * taken });
            pairs
        }
        Shape::Keyed => {
            out.array(3);
            out.bulk(key.name);
            false
        }
        Shape::KeyedPairs => {
            out.array(2);
            out.bulk(key.name);
            out.array(taken);
            true
        }
    };
    zset.each(ranks.clone(), end == End::Max, |m, s| {
        if pairs {
            out.array(2);
        }
        write_member(out, m);
        write_score(out, s);
    });
    let emptied = taken == len;
    if !emptied {
        zset.remove_ranks(ranks);
    }
    drop(record);
    let event = if end == End::Min { "zpopmin" } else { "zpopmax" };
    changed(cx, key, taken, event, emptied);
    Ok(taken)
}

/// Says what a command on several keys did as a pop of one.
fn replace_effect(cx: &mut DataContext<'_, '_>, at: usize, end: End, count: Option<usize>) {
    let name: &[u8] = if end == End::Min { b"ZPOPMIN" } else { b"ZPOPMAX" };
    let key = cx.args.at(at);
    match count {
        Some(n) => cx.space.replace_effect(cx.db, &[name, key, IntText::new(n as i64).as_bytes()]),
        None => cx.space.replace_effect(cx.db, &[name, key]),
    }
}

/// `numkeys key ... MIN | MAX [COUNT count]`, from argument `at` on.
struct Several {
    keys: std::ops::Range<usize>,
    end: End,
    count: usize,
}

fn several(cx: &DataContext<'_, '_>, at: usize) -> Result<Several, CommandError> {
    let numkeys = integer(cx.args.at(at))
        .ok()
        .filter(|n| *n > 0)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or(CommandError::fixed("ERR numkeys should be greater than 0"))?;
    let first = at + 1;
    let after = first.checked_add(numkeys).filter(|n| *n < cx.args.len()).ok_or(CommandError::Syntax)?;
    let options = &mut Options::new(cx.args, after);
    let end = if options.take("MIN") {
        End::Min
    } else if options.take("MAX") {
        End::Max
    } else {
        return Err(CommandError::Syntax);
    };
    let mut count = None;
    while options.left() > 0 {
        if count.is_some() || options.left() < 2 || !options.take("COUNT") {
            return Err(CommandError::Syntax);
        }
        let n = integer(options.value()?).ok().filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok());
        count = Some(n.ok_or(CommandError::fixed("ERR count should be greater than 0"))?);
    }
    Ok(Several { keys: first..after, end, count: count.unwrap_or(1) })
}

/// Pops from the first of several sets that has elements; false if none has.
fn pop_several(cx: &mut DataContext<'_, '_>, several: &Several) -> Result<bool, CommandError> {
    for at in several.keys.clone() {
        let taken = pop(cx, at, several.end, several.count, Shape::KeyedPairs);
        let taken = cx.unless_served(taken)?;
        if taken > 0 {
            replace_effect(cx, at, several.end, Some(taken));
            return Ok(true);
        }
    }
    Ok(false)
}

fn zmpop(cx: &mut DataContext<'_, '_>) -> Outcome {
    let several = several(cx, 1)?;
    if !pop_several(cx, &several)? {
        cx.reply.null_array();
    }
    Ok(())
}

fn bzmpop(cx: &mut DataContext<'_, '_>) -> Outcome {
    let several = several(cx, 2)?;
    let timeout_ms = timeout_ms(cx.args.at(1))?;
    if !pop_several(cx, &several)? {
        wait(cx, several.keys, timeout_ms);
    }
    Ok(())
}

fn bzpopmin(cx: &mut DataContext<'_, '_>) -> Outcome {
    pop_or_wait(cx, End::Min)
}

fn bzpopmax(cx: &mut DataContext<'_, '_>) -> Outcome {
    pop_or_wait(cx, End::Max)
}

fn pop_or_wait(cx: &mut DataContext<'_, '_>, end: End) -> Outcome {
    let last = cx.args.len() - 1;
    let timeout_ms = timeout_ms(cx.args.at(last))?;
    for at in 1..last {
        let taken = pop(cx, at, end, 1, Shape::Keyed);
        if cx.unless_served(taken)? > 0 {
            replace_effect(cx, at, end, None);
            return Ok(());
        }
    }
    wait(cx, 1..last, timeout_ms);
    Ok(())
}

fn wait(cx: &mut DataContext<'_, '_>, keys: std::ops::Range<usize>, timeout_ms: u64) {
    let keys: Vec<&[u8]> = keys.map(|at| cx.args.at(at)).collect();
    cx.block_on(&keys, timeout_ms, TimeoutReply::NullArray);
}
