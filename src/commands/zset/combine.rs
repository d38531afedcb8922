//! Unions, intersections and differences.
//!
//! All sources are locked, so they are looked at together: members of one are kept or dropped by what the others have.

use super::{limits, store, write_element, write_header};
use crate::commands::arguments::{Options, float, integer};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::Key;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::object::Object;
use crate::value::record::Record;
use crate::value::table::Borrowed;
use crate::value::zset::Gather;

const ZUNION_SPEC: CommandSpec = CommandSpec::new("zunion", -3, Group::SortedSet, "readonly")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RO access").keynum(0, 1, 1)])
    .args(
        "numkeys:integer key:key... [WEIGHTS=weight:integer...] \
        [AGGREGATE=aggregate{SUM|MIN|MAX}] [WITHSCORES]",
    )
    .doc(
        "Gives the members of all sorted sets together.",
        "O(N)+O(M*log(M)), N: members of all sets, M: members of the outcome",
    );

const ZINTER_SPEC: CommandSpec = CommandSpec::new("zinter", -3, Group::SortedSet, "readonly")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RO access").keynum(0, 1, 1)])
    .args(
        "numkeys:integer key:key... [WEIGHTS=weight:integer...] \
        [AGGREGATE=aggregate{SUM|MIN|MAX}] [WITHSCORES]",
    )
    .doc(
        "Gives the members that all sorted sets share.",
        "O(N*K)+O(M*log(M)), N: members of the smallest set, K: sets, M: members of the outcome",
    );

const ZDIFF_SPEC: CommandSpec = CommandSpec::new("zdiff", -3, Group::SortedSet, "readonly")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RO access").keynum(0, 1, 1)])
    .args("numkeys:integer key:key... [WITHSCORES]")
    .doc(
        "Gives the members of the first sorted set that no other has.",
        "O(L+(N-K)*log(N)), L: members of all sets, N: of the first, K: of the outcome",
    );

const ZUNIONSTORE_SPEC: CommandSpec = CommandSpec::new("zunionstore", -4, Group::SortedSet, "write denyoom")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access").keynum(0, 1, 1)])
    .args(
        "destination:key numkeys:integer key:key#1... [WEIGHTS=weight:integer...] \
        [AGGREGATE=aggregate{SUM|MIN|MAX}]",
    )
    .doc(
        "Stores the members of all sorted sets together.",
        "O(N)+O(M*log(M)), N: members of all sets, M: members of the outcome",
    );

const ZINTERSTORE_SPEC: CommandSpec = CommandSpec::new("zinterstore", -4, Group::SortedSet, "write denyoom")
    .since("2.0.0")
    .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access").keynum(0, 1, 1)])
    .args(
        "destination:key numkeys:integer key:key#1... [WEIGHTS=weight:integer...] \
        [AGGREGATE=aggregate{SUM|MIN|MAX}]",
    )
    .doc(
        "Stores the members that all sorted sets share.",
        "O(N*K)+O(M*log(M)), N: members of the smallest set, K: sets, M: members of the outcome",
    );

const ZDIFFSTORE_SPEC: CommandSpec = CommandSpec::new("zdiffstore", -4, Group::SortedSet, "write denyoom")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access").keynum(0, 1, 1)])
    .args("destination:key numkeys:integer key:key#1...")
    .doc(
        "Stores the members of the first sorted set that no other has.",
        "O(L+(N-K)*log(N)), L: members of all sets, N: of the first, K: of the outcome",
    );

const ZINTERCARD_SPEC: CommandSpec = CommandSpec::new("zintercard", -3, Group::SortedSet, "readonly")
    .since("7.0.0")
    .keys(&[KeySpec::index(1, "RO access").keynum(0, 1, 1)])
    .args("numkeys:integer key:key... [LIMIT=limit:integer]")
    .doc("Counts the members that all sorted sets share.", "O(N*K), N: members of the smallest set, K: sets");

/// `ZUNION numkeys key ... [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`
pub static ZUNION: Command = Command::data(ZUNION_SPEC, zunion);
/// `ZINTER`, with the arguments of ZUNION.
pub static ZINTER: Command = Command::data(ZINTER_SPEC, zinter);
/// `ZDIFF numkeys key ... [WITHSCORES]`
pub static ZDIFF: Command = Command::data(ZDIFF_SPEC, zdiff);
/// `ZUNIONSTORE destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX]`
pub static ZUNIONSTORE: Command = Command::data(ZUNIONSTORE_SPEC, zunionstore);
/// `ZINTERSTORE`, with the arguments of ZUNIONSTORE.
pub static ZINTERSTORE: Command = Command::data(ZINTERSTORE_SPEC, zinterstore);
/// `ZDIFFSTORE destination numkeys key ...`
pub static ZDIFFSTORE: Command = Command::data(ZDIFFSTORE_SPEC, zdiffstore);
/// `ZINTERCARD numkeys key ... [LIMIT limit]`
pub static ZINTERCARD: Command = Command::data(ZINTERCARD_SPEC, zintercard);

#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            // The infinities cancel out to 0: a score is never NaN.
            Aggregate::Sum => number(a + b),
            // Of two zeros the first stays, whichever sign it has.
            Aggregate::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

fn number(n: f64) -> f64 {
    if n.is_nan() { 0.0 } else { n }
}

/// A source: its argument, its size and what its scores are multiplied with.
#[derive(Clone, Copy)]
struct Source {
    at: usize,
    len: usize,
    weight: f64,
}

/// The object of a source; a plain set is one whose scores are all 1.
fn source_of(record: &Record) -> Result<&Object, CommandError> {
    match record.object() {
        Some(object @ (Object::Zset(_) | Object::Set(_))) => Ok(object),
        _ => Err(CommandError::WrongType),
    }
}

/// Reads `numkeys` and the keys behind it. All keys are looked at here, so that a wrong type is told before any option is read.
fn sources(cx: &mut DataContext<'_, '_>, at: usize) -> Result<Vec<Source>, CommandError> {
    let numkeys = integer(cx.args.at(at))?;
    if numkeys < 1 {
        let name = cx.command_name();
        return Err(CommandError::err(format_args!("at least 1 input key is needed for '{name}' command")));
    }
    let numkeys = usize::try_from(numkeys).unwrap_or(usize::MAX);
    if numkeys > cx.args.len() - at - 1 {
        return Err(CommandError::Syntax);
    }
    let mut sources = Vec::with_capacity(numkeys);
    for at in at + 1..=at + numkeys {
        let len = match cx.space.find(Key::new(cx.db, cx.args.at(at))) {
            Some(record) => source_of(&record)?.len(),
            None => 0,
        };
        sources.push(Source { at, len, weight: 1.0 });
    }
    Ok(sources)
}

fn each(object: &Object, mut f: impl FnMut(&[u8], f64)) {
    match object {
        Object::Zset(zset) => zset.each(0..usize::MAX, false, |m, s| m.with_bytes(|m| f(m, s))),
        Object::Set(set) => set.for_each(|m| m.with_bytes(|m| f(m, 1.0))),
        _ => {}
    }
}

fn score_in(object: &Object, member: &[u8]) -> Option<f64> {
    match object {
        Object::Zset(zset) => zset.score(member),
        Object::Set(set) => set.contains(member).then_some(1.0),
        _ => None,
    }
}

/// Runs the operation. Unions and intersections begin with the smallest source: sums of doubles depend on their order. An intersection
/// stops at `most` members.
fn combine(
    cx: &mut DataContext<'_, '_>,
    operation: Operation,
    mut sources: Vec<Source>,
    aggregate: Aggregate,
    most: usize,
) -> Gather {
    if operation != Operation::Difference {
        sources.sort_by_key(|s| s.len);
    }
    let space = &*cx.space;
    let records: Vec<Option<Borrowed<'_>>> =
        sources.iter().map(|s| space.look(Key::new(cx.db, cx.args.at(s.at)))).collect();
    let objects = records.iter().map(|r| r.as_ref().and_then(|r| r.object()));
    let sources: Vec<(Option<&Object>, f64)> = objects.zip(sources.iter().map(|s| s.weight)).collect();
    let mut gather = Gather::new();
    if operation == Operation::Union {
        for (object, weight) in sources {
            let Some(object) = object else { continue };
            each(object, |m, s| {
                let score = number(s * weight);
                gather.add(m, score, |old| aggregate.join(old, score));
            });
        }
        return gather;
    }
    let Some(((Some(first), weight), others)) = sources.split_first() else { return gather };
    each(first, |m, s| {
        if gather.len() >= most {
            return;
        }
        let mut score = number(s * weight);
        for (object, weight) in others {
            let there = object.and_then(|o| score_in(o, m));
            match (operation, there) {
                (Operation::Difference, None) => {}
                (Operation::Difference, Some(_)) | (_, None) => return,
                (_, Some(other)) => score = aggregate.join(score, number(other * weight)),
            }
        }
        gather.add_new(m, score);
    });
    gather
}

/// The whole of a command; `store_as` is the event of one that stores.
fn run(cx: &mut DataContext<'_, '_>, operation: Operation, store_as: Option<&'static str>) -> Outcome {
    let at = if store_as.is_some() { 2 } else { 1 };
    let mut sources = sources(cx, at)?;
    let (mut aggregate, mut scores) = (Aggregate::Sum, false);
    let options = &mut Options::new(cx.args, at + 1 + sources.len());
    while options.left() > 0 {
        let weighs = operation != Operation::Difference;
        if weighs && options.left() > sources.len() && options.take("WEIGHTS") {
            for source in &mut sources {
                source.weight =
                    float(options.value()?).map_err(|_| CommandError::fixed("ERR weight value is not a float"))?;
            }
        } else if weighs && options.left() > 1 && options.take("AGGREGATE") {
            aggregate = if options.take("SUM") {
                Aggregate::Sum
            } else if options.take("MIN") {
                Aggregate::Min
            } else if options.take("MAX") {
                Aggregate::Max
            } else {
                return Err(CommandError::Syntax);
            };
        } else if store_as.is_none() && options.take("WITHSCORES") {
            scores = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    // Each is hashed, and put in order at the end.
    cx.site.weigh(sources.iter().map(|s| s.len.saturating_mul(4)).sum())?;
    let zset = combine(cx, operation, sources, aggregate, usize::MAX).finish(limits(cx.config));
    match store_as {
        Some(event) => store(cx, cx.key(1), zset, event),
        None => {
            write_header(cx.reply, zset.len(), scores);
            zset.each(0..usize::MAX, false, |m, s| write_element(cx.reply, m, s, scores));
        }
    }
    Ok(())
}

fn zunion(cx: &mut DataContext<'_, '_>) -> Outcome {
    run(cx, Operation::Union, None)
}

fn zinter(cx: &mut DataContext<'_, '_>) -> Outcome {
    run(cx, Operation::Intersection, None)
}

fn zdiff(cx: &mut DataContext<'_, '_>) -> Outcome {
    run(cx, Operation::Difference, None)
}

fn zunionstore(cx: &mut DataContext<'_, '_>) -> Outcome {
    run(cx, Operation::Union, Some("zunionstore"))
}

fn zinterstore(cx: &mut DataContext<'_, '_>) -> Outcome {
    run(cx, Operation::Intersection, Some("zinterstore"))
}

fn zdiffstore(cx: &mut DataContext<'_, '_>) -> Outcome {
    run(cx, Operation::Difference, Some("zdiffstore"))
}

fn zintercard(cx: &mut DataContext<'_, '_>) -> Outcome {
    let sources = sources(cx, 1)?;
    let mut limit = 0;
    let options = &mut Options::new(cx.args, 2 + sources.len());
    while options.left() > 0 {
        if options.left() < 2 || !options.take("LIMIT") {
            return Err(CommandError::Syntax);
        }
        limit = integer(options.value()?)
            .ok()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(CommandError::fixed("ERR LIMIT can't be negative"))?;
    }
    let most = if limit == 0 { usize::MAX } else { limit };
    cx.site.weigh(sources.iter().map(|s| s.len).min().unwrap_or(0).saturating_mul(2))?;
    let n = combine(cx, Operation::Intersection, sources, Aggregate::Sum, most).len();
    cx.reply.integer(n as i64);
    Ok(())
}
