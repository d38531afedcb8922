//! What is asked of members, and counts.

use super::elements::{lex_range, score_range};
use super::{write_score, zset_of};
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::zset::Zset;

const ZCARD_SPEC: CommandSpec = CommandSpec::new("zcard", 2, Group::SortedSet, "readonly fast")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RO")])
    .args("key:key")
    .doc("Counts the members of a sorted set.", "O(1)");

const ZSCORE_SPEC: CommandSpec = CommandSpec::new("zscore", 3, Group::SortedSet, "readonly fast")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key member")
    .doc("Gives the score of a member.", "O(1)");

const ZMSCORE_SPEC: CommandSpec = CommandSpec::new("zmscore", -3, Group::SortedSet, "readonly fast")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key member...")
    .doc("Gives the scores of several members.", "O(N), N: members asked for");

const ZRANK_SPEC: CommandSpec = CommandSpec::new("zrank", -3, Group::SortedSet, "readonly fast")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("7.2.0", "Word `WITHSCORE`.")])
    .args("key:key member [WITHSCORE]")
    .doc("Tells the rank of a member, lowest score first.", "O(log(N)), N: members of the set");

const ZREVRANK_SPEC: CommandSpec = CommandSpec::new("zrevrank", -3, Group::SortedSet, "readonly fast")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("7.2.0", "Word `WITHSCORE`.")])
    .args("key:key member [WITHSCORE]")
    .doc("Tells the rank of a member, highest score first.", "O(log(N)), N: members of the set");

const ZCOUNT_SPEC: CommandSpec = CommandSpec::new("zcount", 4, Group::SortedSet, "readonly fast")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key min:double max:double")
    .doc("Counts the members with scores in a range.", "O(log(N)), N: members of the set");

const ZLEXCOUNT_SPEC: CommandSpec = CommandSpec::new("zlexcount", 4, Group::SortedSet, "readonly fast")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key min max")
    .doc("Counts the members in a lexicographic range.", "O(log(N)), N: members of the set");

/// `ZCARD key`
pub static ZCARD: Command = Command::data(ZCARD_SPEC, zcard);
/// `ZSCORE key member`
pub static ZSCORE: Command = Command::data(ZSCORE_SPEC, zscore);
/// `ZMSCORE key member ...`
pub static ZMSCORE: Command = Command::data(ZMSCORE_SPEC, zmscore);
/// `ZRANK key member [WITHSCORE]`
pub static ZRANK: Command = Command::data(ZRANK_SPEC, zrank);
/// `ZREVRANK key member [WITHSCORE]`
pub static ZREVRANK: Command = Command::data(ZREVRANK_SPEC, zrevrank);
/// `ZCOUNT key min max`
pub static ZCOUNT: Command = Command::data(ZCOUNT_SPEC, zcount);
/// `ZLEXCOUNT key min max`
pub static ZLEXCOUNT: Command = Command::data(ZLEXCOUNT_SPEC, zlexcount);

fn zcard(cx: &mut DataContext<'_, '_>) -> Outcome {
    count(cx, Zset::len)
}

fn zcount(cx: &mut DataContext<'_, '_>) -> Outcome {
    let range = score_range(cx.args.at(2), cx.args.at(3))?;
    count(cx, |z| z.ranks_by_score(&range).len())
}

fn zlexcount(cx: &mut DataContext<'_, '_>) -> Outcome {
    let range = lex_range(cx.args.at(2), cx.args.at(3))?;
    count(cx, |z| z.ranks_by_lex(&range).len())
}

/// Replies what `f` counts in the set at argument 1; 0 if there is none.
fn count(cx: &mut DataContext<'_, '_>, f: impl FnOnce(&Zset) -> usize) -> Outcome {
    let n = match cx.space.find(cx.key(1)) {
        Some(record) => f(zset_of(&record)?),
        None => 0,
    };
    cx.reply.integer(n as i64);
    Ok(())
}

fn zscore(cx: &mut DataContext<'_, '_>) -> Outcome {
    let score = match cx.space.find(cx.key(1)) {
        Some(record) => zset_of(&record)?.score(cx.args.at(2)),
        None => None,
    };
    match score {
        Some(score) => write_score(cx.reply, score),
        None => cx.reply.null(),
    }
    Ok(())
}

fn zmscore(cx: &mut DataContext<'_, '_>) -> Outcome {
    let record = cx.space.find(cx.key(1));
    let zset = record.as_ref().map(|r| zset_of(r)).transpose()?;
    let members = cx.args.from(2);
    cx.reply.array(members.len());
    for member in members.iter() {
        match zset.and_then(|z| z.score(member)) {
            Some(score) => write_score(cx.reply, score),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

fn zrank(cx: &mut DataContext<'_, '_>) -> Outcome {
    rank(cx, false)
}

fn zrevrank(cx: &mut DataContext<'_, '_>) -> Outcome {
    rank(cx, true)
}

fn rank(cx: &mut DataContext<'_, '_>, reverse: bool) -> Outcome {
    if cx.args.len() > 4 {
        return Err(CommandError::wrong_arity(cx.command_name()));
    }
    let with_score = match cx.args.get(3) {
        Some(word) if is(word, "WITHSCORE") => true,
        Some(_) => return Err(CommandError::Syntax),
        None => false,
    };
    let found = match cx.space.find(cx.key(1)) {
        Some(record) => {
            let zset = zset_of(&record)?;
            let turned = |rank: usize| if reverse { zset.len() - 1 - rank } else { rank };
            zset.rank(cx.args.at(2)).map(|(rank, score)| (turned(rank), score))
        }
        None => None,
    };
    match (found, with_score) {
        (Some((rank, _)), false) => cx.reply.integer(rank as i64),
        (Some((rank, score)), true) => {
            cx.reply.array(2);
            cx.reply.integer(rank as i64);
            write_score(cx.reply, score);
        }
        (None, false) => cx.reply.null(),
        (None, true) => cx.reply.null_array(),
    }
    Ok(())
}
