//! ZREM and the removal of ranges.

use super::elements::{lex_range, rank_range, score_range};
use super::{changed, zset_of_mut};
use crate::commands::arguments::integer;
use crate::commands::{Command, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::zset::Zset;
use std::ops::Range;

const ZREM_SPEC: CommandSpec = CommandSpec::new("zrem", -3, Group::SortedSet, "write fast")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RW delete")])
    .history(&[("2.4.0", "Several members at once.")])
    .args("key:key member...")
    .doc(
        "Removes members from a sorted set, and the set with its last member.",
        "O(M*log(N)), N: members of the set, M: members removed",
    );

const ZREMRANGEBYRANK_SPEC: CommandSpec = CommandSpec::new("zremrangebyrank", 4, Group::SortedSet, "write")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "RW delete")])
    .args("key:key start:integer stop:integer")
    .doc("Removes the members in a range of ranks.", "O(log(N)+M), N: members of the set, M: members removed");

const ZREMRANGEBYSCORE_SPEC: CommandSpec = CommandSpec::new("zremrangebyscore", 4, Group::SortedSet, "write")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RW delete")])
    .args("key:key min:double max:double")
    .doc("Removes the members with scores in a range.", "O(log(N)+M), N: members of the set, M: members removed");

const ZREMRANGEBYLEX_SPEC: CommandSpec = CommandSpec::new("zremrangebylex", 4, Group::SortedSet, "write")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RW delete")])
    .args("key:key min max")
    .doc("Removes the members in a lexicographic range.", "O(log(N)+M), N: members of the set, M: members removed");

/// `ZREM key member ...`
pub static ZREM: Command = Command::data(ZREM_SPEC, zrem);
/// `ZREMRANGEBYRANK key start stop`
pub static ZREMRANGEBYRANK: Command = Command::data(ZREMRANGEBYRANK_SPEC, zremrangebyrank);
/// `ZREMRANGEBYSCORE key min max`
pub static ZREMRANGEBYSCORE: Command = Command::data(ZREMRANGEBYSCORE_SPEC, zremrangebyscore);
/// `ZREMRANGEBYLEX key min max`
pub static ZREMRANGEBYLEX: Command = Command::data(ZREMRANGEBYLEX_SPEC, zremrangebylex);

fn zrem(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let (mut removed, mut emptied) = (0, false);
    if let Some(mut record) = cx.space.find_mut(key) {
        let zset = zset_of_mut(&mut record)?;
        for member in cx.args.from(2).iter() {
            if zset.remove(member).is_some() {
                removed += 1;
                if zset.is_empty() {
                    emptied = true;
                    break;
                }
            }
        }
    }
    changed(cx, key, removed, "zrem", emptied);
    cx.reply.integer(removed as i64);
    Ok(())
}

fn zremrangebyrank(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (start, stop) = (integer(cx.args.at(2))?, integer(cx.args.at(3))?);
    remove(cx, "zremrangebyrank", |z| rank_range(start, stop, z.len()))
}

fn zremrangebyscore(cx: &mut DataContext<'_, '_>) -> Outcome {
    let range = score_range(cx.args.at(2), cx.args.at(3))?;
    remove(cx, "zremrangebyscore", |z| z.ranks_by_score(&range))
}

fn zremrangebylex(cx: &mut DataContext<'_, '_>) -> Outcome {
    let range = lex_range(cx.args.at(2), cx.args.at(3))?;
    remove(cx, "zremrangebylex", |z| z.ranks_by_lex(&range))
}

fn remove(cx: &mut DataContext<'_, '_>, event: &'static str, ranks: impl FnOnce(&Zset) -> Range<usize>) -> Outcome {
    let key = cx.key(1);
    let (mut removed, mut emptied) = (0, false);
    if let Some(mut record) = cx.space.find_mut(key) {
        let zset = zset_of_mut(&mut record)?;
        let ranks = ranks(zset);
        removed = ranks.len();
        // A set that goes as a whole is deleted with its key, away from the locks if it is big.
        emptied = removed == zset.len();
        if !emptied {
            cx.site.weigh(removed)?;
            zset.remove_ranks(ranks);
        }
    }
    changed(cx, key, removed, event, emptied);
    cx.reply.integer(removed as i64);
    Ok(())
}
