//! ZADD and ZINCRBY.

use super::{limits, write_score, zset_of_mut};
use crate::commands::arguments::{Options, float};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::object::Object;
use crate::value::record::Content;
use crate::value::zset::Zset;

const ZADD_SPEC: CommandSpec = CommandSpec::new("zadd", -4, Group::SortedSet, "write denyoom fast")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[
        ("2.4.0", "Several members at once."),
        ("3.0.2", "Options `XX`, `NX`, `CH`, `INCR`."),
        ("6.2.0", "Options `GT` and `LT`."),
    ])
    .args(
        "key:key [condition{NX|XX}@3.0.2] [comparison{GT|LT}@6.2.0] [CH=change:token@3.0.2] \
        [INCR=increment:token@3.0.2] data(score:double member)...",
    )
    .doc("Adds members to a sorted set, or changes their scores.", "O(log(N)) per member, N: members of the set");

const ZINCRBY_SPEC: CommandSpec = CommandSpec::new("zincrby", 4, Group::SortedSet, "write denyoom fast")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key increment:integer member")
    .doc("Adds to the score of a member.", "O(log(N)), N: members of the set");

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member ...`
pub static ZADD: Command = Command::data(ZADD_SPEC, zadd);
/// `ZINCRBY key increment member`
pub static ZINCRBY: Command = Command::data(ZINCRBY_SPEC, zincrby);

/// Which elements may be touched.
#[derive(Clone, Copy, Default)]
struct Condition {
    only_new: bool,
    only_old: bool,
    only_greater: bool,
    only_less: bool,
}

impl Condition {
    /// The score an element is to get; `None` leaves it as it is.
    #[inline]
    fn decide(self, old: Option<f64>, wanted: f64) -> Option<f64> {
        match old {
            None => (!self.only_old).then_some(wanted),
            Some(old) => {
                let held = self.only_new || (self.only_greater && wanted <= old) || (self.only_less && wanted >= old);
                (!held).then_some(wanted)
            }
        }
    }
}

/// Scores of a call that fit on the stack.
const STACK_MAX: usize = 16;

fn zadd(cx: &mut DataContext<'_, '_>) -> Outcome {
    let mut condition = Condition::default();
    let (mut count_changes, mut incr) = (false, false);
    let options = &mut Options::new(cx.args, 2);
    loop {
        // A number begins with a digit most of the time, a word never.
        if matches!(options.peek(), Some([b'0'..=b'9', ..]) | None) {
            break;
        }
        if options.take("NX") {
            condition.only_new = true;
        } else if options.take("XX") {
            condition.only_old = true;
        } else if options.take("GT") {
            condition.only_greater = true;
        } else if options.take("LT") {
            condition.only_less = true;
        } else if options.take("CH") {
            count_changes = true;
        } else if options.take("INCR") {
            incr = true;
        } else {
            break;
        }
    }
    let left = options.left();
    let first = cx.args.len() - left;
    if left == 0 || !left.is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let pairs = left / 2;
    if condition.only_new && condition.only_old {
        return Err(CommandError::fixed("ERR XX and NX options at the same time are not compatible"));
    }
    if u8::from(condition.only_new) + u8::from(condition.only_greater) + u8::from(condition.only_less) > 1 {
        return Err(CommandError::fixed("ERR GT, LT, and/or NX options at the same time are not compatible"));
    }
    if incr && pairs > 1 {
        return Err(CommandError::fixed("ERR INCR option supports a single increment-element pair"));
    }
    if incr {
        let by = float(cx.args.at(first))?;
        return increment(cx, by, first + 1, condition);
    }
    // All scores are read before anything is changed.
    let (mut stack, mut heap);
    let scores: &mut [f64] = if pairs <= STACK_MAX {
        stack = [0.0; STACK_MAX];
        &mut stack[..pairs]
    } else {
        heap = vec![0.0; pairs];
        &mut heap
    };
    for (i, score) in scores.iter_mut().enumerate() {
        *score = float(cx.args.at(first + 2 * i))?;
    }
    let limits = limits(cx.config);
    let key = cx.key(1);
    let (mut added, mut updated) = (0usize, 0usize);
    let mut fill = |zset: &mut Zset| {
        for (i, score) in scores.iter().enumerate() {
            let edit = zset.edit(cx.args.at(first + 2 * i + 1), limits, |old| condition.decide(old, *score));
            added += usize::from(edit.added());
            updated += usize::from(edit.updated());
        }
    };
    if let Some(mut record) = cx.space.find_mut(key) {
        let zset = zset_of_mut(&mut record)?;
        zset.grow_for(pairs, limits);
        fill(zset);
    } else if !condition.only_old {
        let mut zset = Zset::for_size(pairs, cx.args.at(first + 1).len(), limits);
        fill(&mut zset);
        cx.space.add(key, Content::Object(Box::new(Object::Zset(zset))), None);
    }
    super::changed(cx, key, added + updated, "zadd", false);
    cx.reply.integer((if count_changes { added + updated } else { added }) as i64);
    Ok(())
}

fn zincrby(cx: &mut DataContext<'_, '_>) -> Outcome {
    let by = float(cx.args.at(2))?;
    increment(cx, by, 3, Condition::default())
}

/// Adds `by` to the score of the member that is argument `member_at`.
fn increment(cx: &mut DataContext<'_, '_>, by: f64, member_at: usize, condition: Condition) -> Outcome {
    let limits = limits(cx.config);
    let key = cx.key(1);
    let member = cx.args.at(member_at);
    let (mut nan, mut held) = (false, false);
    let mut edit = |zset: &mut Zset| {
        zset.edit(member, limits, |old| {
            // Not added to zero, which would lose the sign of `-0`.
            let wanted = old.map_or(by, |old| old + by);
            nan = wanted.is_nan();
            let decided = if nan { None } else { condition.decide(old, wanted) };
            held = decided.is_none();
            decided
        })
    };
    let edit = if let Some(mut record) = cx.space.find_mut(key) {
        Some(edit(zset_of_mut(&mut record)?))
    } else if condition.only_old {
        None
    } else {
        let mut zset = Zset::for_size(1, member.len(), limits);
        let edit = edit(&mut zset);
        cx.space.add(key, Content::Object(Box::new(Object::Zset(zset))), None);
        Some(edit)
    };
    if nan {
        return Err(CommandError::fixed("ERR resulting score is not a number (NaN)"));
    }
    match edit {
        Some(edit) if !held => {
            if edit.added() || edit.updated() {
                cx.space.changed(key, EventClass::ZSET, "zincr");
            }
            write_score(cx.reply, edit.new.unwrap_or(by));
        }
        _ => cx.reply.null(),
    }
    Ok(())
}
