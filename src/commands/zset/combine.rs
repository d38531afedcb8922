//! Unions, intersections and differences.
//!
//! Sources are looked at one after the other: members are gathered from one and then joined, kept or dropped by the next.

use super::{limits, store, write_element, write_header};
use crate::commands::arguments::{Options, float, integer};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::Key;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::object::Object;
use crate::value::record::Record;
use crate::value::zset::{Gather, Limits, Zset};

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
            Aggregate::Min => a.min(b),
            Aggregate::Max => a.max(b),
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

/// Calls `f` with the object of a source, if it is there.
fn with_object<R>(
    cx: &mut DataContext<'_, '_>,
    source: Source,
    f: impl FnOnce(&Object) -> R,
) -> Result<Option<R>, CommandError> {
    match cx.space.peek(Key::new(cx.db, cx.args.at(source.at))) {
        Some(record) => Ok(Some(f(source_of(&record)?))),
        None => Ok(None),
    }
}

fn each(object: &Object, mut f: impl FnMut(&[u8], f64)) -> Outcome {
    match object {
        Object::Zset(zset) => {
            zset.each(0..usize::MAX, false, |m, s| m.with_bytes(|m| f(m, s)));
            Ok(())
        }
        _ => Err(NO_SETS),
    }
}

/// Until sets can be walked over they are no sources.
const NO_SETS: CommandError = CommandError::fixed("ERR plain sets as sources of sorted sets are not there yet");

fn score_in(object: &Object, member: &[u8]) -> Result<Option<f64>, CommandError> {
    match object {
        Object::Zset(zset) => Ok(zset.score(member)),
        _ => Err(NO_SETS),
    }
}

/// Members copied out of the first source, in one block.
#[derive(Default)]
struct Copied {
    bytes: Vec<u8>,
    list: Vec<(usize, usize, f64)>,
}

impl Copied {
    fn push(&mut self, member: &[u8], score: f64) {
        self.list.push((self.bytes.len(), member.len(), score));
        self.bytes.extend_from_slice(member);
    }

    /// Keeps the members that `f` gives a score.
    fn retain(&mut self, mut f: impl FnMut(&[u8], f64) -> Result<Option<f64>, CommandError>) -> Outcome {
        let bytes = &self.bytes;
        let mut outcome = Ok(());
        self.list.retain_mut(|(start, len, score)| match f(&bytes[*start..*start + *len], *score) {
            Ok(Some(new)) => {
                *score = new;
                true
            }
            Ok(None) => false,
            Err(e) => {
                outcome = Err(e);
                false
            }
        });
        outcome
    }

    fn gather(&self) -> Gather {
        let mut gather = Gather::new();
        for (start, len, score) in &self.list {
            gather.add_new(&self.bytes[*start..*start + *len], *score);
        }
        gather
    }
}

/// Runs the operation. Unions and intersections begin with the smallest source: sums of doubles depend on their order.
fn combine(
    cx: &mut DataContext<'_, '_>,
    operation: Operation,
    mut sources: Vec<Source>,
    aggregate: Aggregate,
) -> Result<Combined, CommandError> {
    if operation != Operation::Difference {
        sources.sort_by_key(|s| s.len);
    }
    if operation == Operation::Union {
        let mut gather = Gather::new();
        for source in sources {
            with_object(cx, source, |object| {
                each(object, |m, s| {
                    let score = number(s * source.weight);
                    gather.add(m, score, |old| aggregate.join(old, score));
                })
            })?
            .transpose()?;
        }
        return Ok(Combined::Gather(gather));
    }
    let mut copied = Copied::default();
    let Some((first, others)) = sources.split_first() else { return Ok(Combined::Copied(copied)) };
    if operation == Operation::Intersection && first.len == 0 {
        return Ok(Combined::Copied(copied));
    }
    with_object(cx, *first, |object| each(object, |m, s| copied.push(m, number(s * first.weight))))?.transpose()?;
    for source in others {
        if copied.list.is_empty() {
            break;
        }
        with_object(cx, *source, |object| {
            copied.retain(|m, s| {
                let other = score_in(object, m)?;
                Ok(match operation {
                    Operation::Difference => other.is_none().then_some(s),
                    _ => other.map(|o| aggregate.join(s, number(o * source.weight))),
                })
            })
        })?
        .transpose()?;
    }
    Ok(Combined::Copied(copied))
}

/// What an operation left.
enum Combined {
    Gather(Gather),
    Copied(Copied),
}

impl Combined {
    fn len(&self) -> usize {
        match self {
            Combined::Gather(g) => g.len(),
            Combined::Copied(c) => c.list.len(),
        }
    }

    fn finish(self, limits: Limits) -> Zset {
        match self {
            Combined::Gather(g) => g.finish(limits),
            Combined::Copied(c) => c.gather().finish(limits),
        }
    }
}

/// The whole of a command; `store_as` is the event of one that stores.
fn run(cx: &mut DataContext<'_, '_>, operation: Operation, store_as: Option<&'static str>) -> Outcome {
    let at = if store_as.is_some() { 2 } else { 1 };
    let mut sources = sources(cx, at)?;
    let (mut aggregate, mut scores) = (Aggregate::Sum, false);
    let mut options = Options::new(cx.args, at + 1 + sources.len());
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
    let zset = combine(cx, operation, sources, aggregate)?.finish(limits(cx.config));
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
    let mut options = Options::new(cx.args, 2 + sources.len());
    while options.left() > 0 {
        if options.left() < 2 || !options.take("LIMIT") {
            return Err(CommandError::Syntax);
        }
        limit = integer(options.value()?)
            .ok()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(CommandError::fixed("ERR LIMIT can't be negative"))?;
    }
    let n = combine(cx, Operation::Intersection, sources, Aggregate::Sum)?.len();
    cx.reply.integer((if limit == 0 { n } else { n.min(limit) }) as i64);
    Ok(())
}
