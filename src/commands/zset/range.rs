//! ZRANGE and its older sisters, and ZRANGESTORE.

use super::elements::{lex_range, rank_range, score_range};
use super::{limits, store, write_element, write_header, zset_of};
use crate::commands::arguments::{Options, integer};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::zset::{Gather, LexRange, ScoreRange, Zset};
use std::ops::Range;

const ZRANGE_SPEC: CommandSpec = CommandSpec::new("zrange", -4, Group::SortedSet, "readonly")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Options `REV`, `BYSCORE`, `BYLEX`, `LIMIT`.")])
    .args(
        "key:key start stop [sortby{BYSCORE|BYLEX}@6.2.0] [REV@6.2.0] \
        [LIMIT=limit(offset:integer count:integer)@6.2.0] [WITHSCORES]",
    )
    .doc(
        "Gives the members in a range of ranks, scores or names.",
        "O(log(N)+M), N: members of the set, M: members returned",
    );

const ZRANGESTORE_SPEC: CommandSpec = CommandSpec::new("zrangestore", -5, Group::SortedSet, "write denyoom")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access")])
    .args(
        "dst:key src:key#1 min max [sortby{BYSCORE|BYLEX}] [REV] [LIMIT=limit(offset:integer \
        count:integer)]",
    )
    .doc(
        "Stores the members in a range of ranks, scores or names.",
        "O(log(N)+M), N: members of the source, M: members stored",
    );

const ZRANGEBYSCORE_SPEC: CommandSpec = CommandSpec::new("zrangebyscore", -4, Group::SortedSet, "readonly")
    .since("1.0.5")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("2.0.0", "Word `WITHSCORES`.")])
    .args(
        "key:key min:double max:double [WITHSCORES@2.0.0] [LIMIT=limit(offset:integer \
        count:integer)]",
    )
    .doc("Gives the members with scores in a range.", "O(log(N)+M), N: members of the set, M: members returned");

const ZREVRANGEBYSCORE_SPEC: CommandSpec = CommandSpec::new("zrevrangebyscore", -4, Group::SortedSet, "readonly")
    .since("2.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("2.1.6", "Exclusive bounds.")])
    .args(
        "key:key max:double min:double [WITHSCORES] [LIMIT=limit(offset:integer \
        count:integer)]",
    )
    .doc(
        "Gives the members with scores in a range, highest score first.",
        "O(log(N)+M), N: members of the set, M: members returned",
    );

const ZRANGEBYLEX_SPEC: CommandSpec = CommandSpec::new("zrangebylex", -4, Group::SortedSet, "readonly")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key min max [LIMIT=limit(offset:integer count:integer)]")
    .doc("Gives the members in a lexicographic range.", "O(log(N)+M), N: members of the set, M: members returned");

const ZREVRANGEBYLEX_SPEC: CommandSpec = CommandSpec::new("zrevrangebylex", -4, Group::SortedSet, "readonly")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key max min [LIMIT=limit(offset:integer count:integer)]")
    .doc(
        "Gives the members in a lexicographic range, last name first.",
        "O(log(N)+M), N: members of the set, M: members returned",
    );

const ZREVRANGE_SPEC: CommandSpec = CommandSpec::new("zrevrange", -4, Group::SortedSet, "readonly")
    .since("1.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key start:integer stop:integer [WITHSCORES]")
    .doc(
        "Gives the members in a range of ranks, highest score first.",
        "O(log(N)+M), N: members of the set, M: members returned",
    );

/// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub static ZRANGE: Command = Command::data(ZRANGE_SPEC, zrange);
/// `ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]`
pub static ZRANGESTORE: Command = Command::data(ZRANGESTORE_SPEC, zrangestore);
/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub static ZRANGEBYSCORE: Command = Command::data(ZRANGEBYSCORE_SPEC, zrangebyscore);
/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub static ZREVRANGEBYSCORE: Command = Command::data(ZREVRANGEBYSCORE_SPEC, zrevrangebyscore);
/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub static ZRANGEBYLEX: Command = Command::data(ZRANGEBYLEX_SPEC, zrangebylex);
/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub static ZREVRANGEBYLEX: Command = Command::data(ZREVRANGEBYLEX_SPEC, zrevrangebylex);
/// `ZREVRANGE key start stop [WITHSCORES]`
pub static ZREVRANGE: Command = Command::data(ZREVRANGE_SPEC, zrevrange);

#[derive(Clone, Copy, PartialEq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// What the command's name has settled; `None` is left to its options.
struct Form {
    by: Option<By>,
    reverse: Option<bool>,
    /// The index of the source's key; ZRANGESTORE has the target before it.
    source: usize,
}

/// Bounds of a range, read.
enum Bounds<'a> {
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

/// A range with its options.
struct Request<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    /// Offset and count; a negative count takes all.
    limit: Option<(i64, i64)>,
    scores: bool,
}

impl Request<'_> {
    fn ranks(&self, zset: &Zset) -> Range<usize> {
        let ranks = match &self.bounds {
            Bounds::Rank(start, stop) => {
                let ranks = rank_range(*start, *stop, zset.len());
                if self.reverse { zset.len() - ranks.end..zset.len() - ranks.start } else { ranks }
            }
            Bounds::Score(range) => zset.ranks_by_score(range),
            Bounds::Lex(range) => zset.ranks_by_lex(range),
        };
        match (&self.bounds, self.limit) {
            (Bounds::Rank(..), _) | (_, None) => ranks,
            (_, Some((offset, _))) if offset < 0 => 0..0,
            (_, Some((offset, count))) => {
                let skipped = usize::try_from(offset).unwrap_or(usize::MAX).min(ranks.len());
                let taken = usize::try_from(count).unwrap_or(usize::MAX).min(ranks.len() - skipped);
                if self.reverse {
                    let end = ranks.end - skipped;
                    end - taken..end
                } else {
                    let start = ranks.start + skipped;
                    start..start + taken
                }
            }
        }
    }
}

fn parse<'a>(cx: &DataContext<'a, '_>, form: &Form) -> Result<Request<'a>, CommandError> {
    let (mut by, mut reverse) = (form.by, form.reverse);
    let (mut limit, mut scores) = (None, false);
    let options = &mut Options::new(cx.args, form.source + 3);
    while options.left() > 0 {
        if form.source == 1 && options.take("WITHSCORES") {
            scores = true;
        } else if options.left() > 2 && options.take("LIMIT") {
            limit = Some((options.integer()?, options.integer()?));
        } else if reverse.is_none() && options.take("REV") {
            reverse = Some(true);
        } else if by.is_none() && options.take("BYLEX") {
            by = Some(By::Lex);
        } else if by.is_none() && options.take("BYSCORE") {
            by = Some(By::Score);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
    if by == By::Rank && limit.is_some_and(|(_, count)| count != -1) {
        return Err(CommandError::fixed(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    if by == By::Lex && scores {
        return Err(CommandError::fixed("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
    }
    let (mut min, mut max) = (cx.args.at(form.source + 1), cx.args.at(form.source + 2));
    if reverse && by != By::Rank {
        (min, max) = (max, min);
    }
    let bounds = match by {
        By::Rank => Bounds::Rank(integer(min)?, integer(max)?),
        By::Score => Bounds::Score(score_range(min, max)?),
        By::Lex => Bounds::Lex(lex_range(min, max)?),
    };
    Ok(Request { bounds, reverse, limit, scores })
}

fn reply(cx: &mut DataContext<'_, '_>, by: Option<By>, reverse: Option<bool>) -> Outcome {
    let request = parse(cx, &Form { by, reverse, source: 1 })?;
    let Some(record) = cx.space.find(cx.key(1)) else {
        cx.reply.array(0);
        return Ok(());
    };
    let zset = zset_of(&record)?;
    let ranks = request.ranks(zset);
    cx.site.weigh(ranks.len())?;
    write_header(cx.reply, ranks.len(), request.scores);
    let out = &mut *cx.reply;
    zset.each(ranks, request.reverse, |m, s| write_element(out, m, s, request.scores));
    Ok(())
}

fn zrange(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply(cx, None, None)
}

fn zrevrange(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply(cx, Some(By::Rank), Some(true))
}

fn zrangebyscore(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply(cx, Some(By::Score), Some(false))
}

fn zrevrangebyscore(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply(cx, Some(By::Score), Some(true))
}

fn zrangebylex(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply(cx, Some(By::Lex), Some(false))
}

fn zrevrangebylex(cx: &mut DataContext<'_, '_>) -> Outcome {
    reply(cx, Some(By::Lex), Some(true))
}

fn zrangestore(cx: &mut DataContext<'_, '_>) -> Outcome {
    let request = parse(cx, &Form { by: None, reverse: None, source: 2 })?;
    let mut gather = Gather::new();
    if let Some(record) = cx.space.find(cx.key(2)) {
        let zset = zset_of(&record)?;
        let ranks = request.ranks(zset);
        cx.site.weigh(ranks.len().saturating_mul(4))?;
        zset.each(ranks, false, |m, s| {
            m.with_bytes(|m| gather.add_new(m, s));
        });
    }
    store(cx, cx.key(1), gather.finish(limits(cx.config)), "zrangestore");
    Ok(())
}
