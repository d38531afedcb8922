//! GEOSEARCH and its older forms.

use super::{Unit, place, write_distance, write_place};
use crate::commands::arguments::{float, integer, is};
use crate::commands::zset::{limits, store, zset_of};
use crate::commands::{Command, CommandError, DataContext, Outcome, Site};
use crate::keyspace::Key;
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};
use crate::value::geo::{Place, Polygon, Shape};
use crate::value::zset::{ScoreRange, Zset};
use std::ops::Range;

const GEORADIUS_SPEC: CommandSpec = CommandSpec::new("georadius", -6, Group::Geo, "write denyoom")
    .since("3.2.0")
    .keys(&[
        KeySpec::index(1, "RO access"),
        KeySpec::keyword("STORE", 6, "OW update variable_flags"),
        KeySpec::keyword("STOREDIST", 6, "OW update variable_flags"),
    ])
    .key_code(KeyCode::GeoRadius(5))
    .history(&[("6.2.0", "Word `ANY` after `COUNT`."), ("7.0.0", "Units in capitals.")])
    .args(
        "key:key longitude:double latitude:double radius:double unit{M|KM|FT|MI} [WITHCOORD] \
        [WITHDIST] [WITHHASH] [count-block(COUNT=count:integer [ANY@6.2.0])] \
        [order{ASC|DESC}] \
        [store{STORE=storekey:key#1/key/|STOREDIST=storedistkey:key#2/key/}]",
    )
    .doc(
        "Finds places within a circle around a point; may store them.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

pub static GEORADIUS: Command = Command::data(GEORADIUS_SPEC, georadius);
fn georadius(cx: &mut DataContext<'_, '_>) -> Outcome {
    search(cx, &Form { source: 1, base: 6, from: From::Place, may_store: true, search: false })
}

const GEORADIUS_RO_SPEC: CommandSpec = CommandSpec::new("georadius_ro", -6, Group::Geo, "readonly")
    .since("3.2.10")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Word `ANY` after `COUNT`."), ("7.0.0", "Units in capitals.")])
    .args(
        "key:key longitude:double latitude:double radius:double unit{M|KM|FT|MI} [WITHCOORD] \
        [WITHDIST] [WITHHASH] [count-block(COUNT=count:integer [ANY@6.2.0])] \
        [order{ASC|DESC}]",
    )
    .doc(
        "Finds places within a circle around a point.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

pub static GEORADIUS_RO: Command = Command::data(GEORADIUS_RO_SPEC, georadius_ro);
fn georadius_ro(cx: &mut DataContext<'_, '_>) -> Outcome {
    search(cx, &Form { source: 1, base: 6, from: From::Place, may_store: false, search: false })
}

const GEORADIUSBYMEMBER_SPEC: CommandSpec = CommandSpec::new("georadiusbymember", -5, Group::Geo, "write denyoom")
    .since("3.2.0")
    .keys(&[
        KeySpec::index(1, "RO access"),
        KeySpec::keyword("STORE", 5, "OW update variable_flags"),
        KeySpec::keyword("STOREDIST", 5, "OW update variable_flags"),
    ])
    .key_code(KeyCode::GeoRadius(5))
    .history(&[("6.2.0", "Word `ANY` after `COUNT`."), ("7.0.0", "Units in capitals.")])
    .args(
        "key:key member radius:double unit{M|KM|FT|MI} [WITHCOORD] [WITHDIST] [WITHHASH] \
        [count-block(COUNT=count:integer [ANY])] [order{ASC|DESC}] \
        [store{STORE=storekey:key#1/key/|STOREDIST=storedistkey:key#2/key/}]",
    )
    .doc(
        "Finds places within a circle around a place; may store them.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

pub static GEORADIUSBYMEMBER: Command = Command::data(GEORADIUSBYMEMBER_SPEC, georadiusbymember);
fn georadiusbymember(cx: &mut DataContext<'_, '_>) -> Outcome {
    search(cx, &Form { source: 1, base: 5, from: From::Member, may_store: true, search: false })
}

const GEORADIUSBYMEMBER_RO_SPEC: CommandSpec = CommandSpec::new("georadiusbymember_ro", -5, Group::Geo, "readonly")
    .since("3.2.10")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Word `ANY` after `COUNT`."), ("7.0.0", "Units in capitals.")])
    .args(
        "key:key member radius:double unit{M|KM|FT|MI} [WITHCOORD] [WITHDIST] [WITHHASH] \
        [count-block(COUNT=count:integer [ANY])] [order{ASC|DESC}]",
    )
    .doc(
        "Finds places within a circle around a place.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

pub static GEORADIUSBYMEMBER_RO: Command = Command::data(GEORADIUSBYMEMBER_RO_SPEC, georadiusbymember_ro);
fn georadiusbymember_ro(cx: &mut DataContext<'_, '_>) -> Outcome {
    search(cx, &Form { source: 1, base: 5, from: From::Member, may_store: false, search: false })
}

const GEOSEARCH_SPEC: CommandSpec = CommandSpec::new("geosearch", -7, Group::Geo, "readonly")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("7.0.0", "Units in capitals."), ("9.0.0", "Shape `BYPOLYGON`.")])
    .args(
        "key:key [from{FROMMEMBER=member | FROMLONLAT=fromlonlat(longitude:double \
        latitude:double)}] by{circle(BYRADIUS=radius:double unit{M|KM|FT|MI}) | \
        box(BYBOX=width:double height:double unit{M|KM|FT|MI}) | \
        polygon(BYPOLYGON=num-vertices:integer vertices(longitude:double \
        latitude:double)...)@9.0.0} [order{ASC|DESC}] [count-block(COUNT=count:integer \
        [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]",
    )
    .doc(
        "Finds places within a circle, a box or a polygon.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

pub static GEOSEARCH: Command = Command::data(GEOSEARCH_SPEC, geosearch);
fn geosearch(cx: &mut DataContext<'_, '_>) -> Outcome {
    search(cx, &Form { source: 1, base: 2, from: From::Options, may_store: false, search: true })
}

const GEOSEARCHSTORE_SPEC: CommandSpec = CommandSpec::new("geosearchstore", -8, Group::Geo, "write denyoom")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access")])
    .history(&[("7.0.0", "Units in capitals."), ("9.0.0", "Shape `BYPOLYGON`.")])
    .args(
        "destination:key source:key#1 [from{FROMMEMBER=member | \
        FROMLONLAT=fromlonlat(longitude:double latitude:double)}] \
        by{circle(BYRADIUS=radius:double unit{M|KM|FT|MI}) | box(BYBOX=width:double \
        height:double unit{M|KM|FT|MI}) | polygon(BYPOLYGON=num-vertices:integer \
        vertices(longitude:double latitude:double)...)@9.0.0} [order{ASC|DESC}] \
        [count-block(COUNT=count:integer [ANY])] [STOREDIST]",
    )
    .doc(
        "Finds places within a circle, a box or a polygon and stores them.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

pub static GEOSEARCHSTORE: Command = Command::data(GEOSEARCHSTORE_SPEC, geosearchstore);
fn geosearchstore(cx: &mut DataContext<'_, '_>) -> Outcome {
    search(cx, &Form { source: 2, base: 3, from: From::Options, may_store: true, search: true })
}

/// Where the middle of a search is given.
#[derive(Clone, Copy, PartialEq)]
enum From {
    /// Longitude and latitude are arguments 2 and 3.
    Place,
    /// A member is argument 2.
    Member,
    /// Words say it.
    Options,
}

/// What the commands differ in.
struct Form {
    /// Where the key that is searched stands.
    source: usize,
    /// Where the words begin.
    base: usize,
    from: From,
    may_store: bool,
    /// GEOSEARCH's words, not GEORADIUS's.
    search: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Ascending,
    Descending,
}

/// What a search is asked for.
struct Wanted<'a> {
    /// `None` where the middle is a member of a key that is not there.
    shape: Option<Shape>,
    unit: Unit,
    distance: bool,
    score: bool,
    place: bool,
    order: Option<Order>,
    count: Option<usize>,
    any: bool,
    target: Option<Key<'a>>,
    store_distance: bool,
}

/// A middle as the words give it.
#[derive(Clone, Copy)]
enum Middle {
    At(Place),
    /// It was not looked up: the key is not there.
    Nowhere,
}

/// A shape before its middle is known. Lengths are in the call's unit.
enum Around {
    Circle(f64),
    Box(f64, f64),
    Polygon(Vec<Place>),
}

fn length(text: &[u8], error: &'static str) -> Result<f64, CommandError> {
    float(text).map_err(|_| CommandError::fixed(error))
}

fn radius(text: &[u8]) -> Result<f64, CommandError> {
    let r = length(text, "ERR need numeric radius")?;
    if r < 0.0 { Err(CommandError::fixed("ERR radius cannot be negative")) } else { Ok(r) }
}

fn of_member(zset: Option<&Zset>, member: &[u8]) -> Result<Middle, CommandError> {
    let Some(zset) = zset else { return Ok(Middle::Nowhere) };
    match zset.score(member) {
        Some(score) => Ok(Middle::At(Place::of_score(score))),
        None => Err(CommandError::Bytes([b"ERR member ", member, b" does not exist"].concat())),
    }
}

impl<'a> Wanted<'a> {
    fn parse(cx: &DataContext<'a, '_>, form: &Form, zset: Option<&Zset>) -> Result<Wanted<'a>, CommandError> {
        let (mut middle, mut around, mut unit) = (None, None, Unit::METRES);
        match form.from {
            From::Options => {}
            From::Place => {
                middle = Some(Middle::At(place(cx.args.at(2), cx.args.at(3))?));
                around = Some(Around::Circle(radius(cx.args.at(4))?));
                unit = Unit::parse(cx.args.at(5))?;
            }
            From::Member => {
                middle = Some(of_member(zset, cx.args.at(2))?);
                // Without the key there is nothing to measure, and nobody looks at the measure.
                (around, unit) = match zset {
                    Some(_) => (Some(Around::Circle(radius(cx.args.at(3))?)), Unit::parse(cx.args.at(4))?),
                    None => (Some(Around::Circle(0.0)), Unit::METRES),
                };
            }
        }
        let mut w = Wanted {
            shape: None,
            unit,
            distance: false,
            score: false,
            place: false,
            order: None,
            count: None,
            any: false,
            target: None,
            store_distance: false,
        };
        // The same word may come again and the last one counts; the other way of saying it may not.
        let mut by_member = None;
        let mut at = form.base;
        while at < cx.args.len() {
            let (word, left) = (cx.args.at(at), cx.args.len() - 1 - at);
            let here = at;
            let arg = |n: usize| cx.args.at(here + n);
            let polygon = matches!(around, Some(Around::Polygon(_)));
            at += 1;
            if is(word, "WITHDIST") {
                w.distance = true;
            } else if is(word, "WITHHASH") {
                w.score = true;
            } else if is(word, "WITHCOORD") {
                w.place = true;
            } else if is(word, "ANY") {
                w.any = true;
            } else if is(word, "ASC") {
                w.order = Some(Order::Ascending);
            } else if is(word, "DESC") {
                w.order = Some(Order::Descending);
            } else if left >= 1 && is(word, "COUNT") {
                let wrong = CommandError::fixed("ERR COUNT must be > 0");
                w.count = Some(usize::try_from(integer(arg(1))?).ok().filter(|n| *n > 0).ok_or(wrong)?);
                at += 1;
            } else if left >= 1 && form.may_store && !form.search && (is(word, "STORE") || is(word, "STOREDIST")) {
                w.target = Some(Key::new(cx.db, arg(1)));
                w.store_distance = is(word, "STOREDIST");
                at += 1;
            } else if form.search && form.may_store && is(word, "STOREDIST") {
                w.store_distance = true;
            } else if left >= 1 && form.search && by_member != Some(false) && !polygon && is(word, "FROMMEMBER") {
                by_member = Some(true);
                middle = Some(of_member(zset, arg(1))?);
                at += 1;
            } else if left >= 2 && form.search && by_member != Some(true) && !polygon && is(word, "FROMLONLAT") {
                by_member = Some(false);
                middle = Some(Middle::At(place(arg(1), arg(2))?));
                at += 2;
            } else if left >= 2
                && form.search
                && matches!(around, None | Some(Around::Circle(_)))
                && is(word, "BYRADIUS")
            {
                around = Some(Around::Circle(radius(arg(1))?));
                w.unit = Unit::parse(arg(2))?;
                at += 2;
            } else if left >= 3 && form.search && matches!(around, None | Some(Around::Box(..))) && is(word, "BYBOX") {
                let width = length(arg(1), "ERR need numeric width")?;
                let height = length(arg(2), "ERR need numeric height")?;
                if width < 0.0 || height < 0.0 {
                    return Err(CommandError::fixed("ERR height or width cannot be negative"));
                }
                around = Some(Around::Box(width, height));
                w.unit = Unit::parse(arg(3))?;
                at += 3;
            } else if left >= 1
                && form.search
                && middle.is_none()
                && (around.is_none() || polygon)
                && is(word, "BYPOLYGON")
            {
                let n = integer(arg(1)).ok().and_then(|n| i32::try_from(n).ok());
                let n = n.ok_or(CommandError::fixed("ERR invalid number of vertices"))?;
                let n = usize::try_from(n).ok().filter(|n| *n >= 3 && *n <= (left - 1) / 2);
                let n = n.ok_or(CommandError::fixed("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"))?;
                let corners = (0..n).map(|i| place(arg(2 + 2 * i), arg(3 + 2 * i))).collect::<Result<_, _>>()?;
                around = Some(Around::Polygon(corners));
                at += 1 + 2 * n;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if form.search && form.may_store {
            w.target = Some(Key::new(cx.db, cx.args.at(1)));
        }
        if w.target.is_some() && (w.distance || w.score || w.place) {
            let what = if form.search { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(CommandError::err(format_args!(
                "{what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let polygon = matches!(around, Some(Around::Polygon(_)));
        let command = String::from_utf8_lossy(cx.args.at(0));
        if middle.is_none() && !polygon {
            return Err(CommandError::err(format_args!(
                "exactly one of FROMMEMBER or FROMLONLAT can be specified for {command}"
            )));
        }
        let Some(around) = around else {
            return Err(CommandError::err(format_args!(
                "exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for {command}"
            )));
        };
        if w.any && w.count.is_none() {
            return Err(CommandError::fixed("ERR the ANY argument requires COUNT argument"));
        }
        if w.count.is_some() && w.order.is_none() && !w.any {
            // The nearest are meant.
            w.order = Some(Order::Ascending);
        }
        let metres = w.unit.metres;
        w.shape = match (around, middle) {
            (Around::Polygon(corners), _) => Some(Shape::Polygon(Polygon::new(corners))),
            (Around::Circle(r), Some(Middle::At(center))) => Some(Shape::Circle { center, radius: r * metres }),
            (Around::Box(width, height), Some(Middle::At(center))) => {
                Some(Shape::Box { center, width: width * metres, height: height * metres })
            }
            _ => None,
        };
        Ok(w)
    }
}

/// A place that lies in the shape.
struct Found {
    member: Vec<u8>,
    score: f64,
    /// In metres.
    distance: f64,
}

/// The ranks of the members that may lie in the shape, cell by cell.
fn ranks(zset: &Zset, shape: &Shape) -> impl Iterator<Item = Range<usize>> {
    shape.scores().into_iter().map(|Range { start, end }| {
        let range = ScoreRange { min: start as f64, max: end as f64, min_open: false, max_open: true };
        zset.ranks_by_score(&range)
    })
}

/// The places of the shape, cell by cell; `enough` ends the search.
fn find(zset: &Zset, shape: &Shape, enough: usize) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for mut ranks in ranks(zset, shape) {
        // In slices: with ANY most of a cell need not be looked at.
        while !ranks.is_empty() && found.len() < enough {
            let next = ranks.end.min(ranks.start + SLICE);
            zset.each(ranks.start..next, false, |member, score| {
                if found.len() < enough
                    && let Some(distance) = shape.distance_to(Place::of_score(score))
                {
                    found.push(Found { member: member.to_vec(), score, distance });
                }
            });
            ranks.start = next;
        }
    }
    found
}

const SLICE: usize = 256;

fn search(cx: &mut DataContext<'_, '_>, form: &Form) -> Outcome {
    let key = Key::new(cx.db, cx.args.at(form.source));
    let there = cx.space.find(key).as_deref().map(zset_of).transpose()?.is_some();
    // Looked up once more: while it is borrowed nothing else of the context can be.
    let record = cx.space.look(key);
    let zset = record.as_deref().map(zset_of).transpose()?.filter(|_| there);
    let w = Wanted::parse(cx, form, zset)?;
    let mut found = match (zset, &w.shape) {
        (Some(zset), Some(shape)) => {
            let enough = w.count.filter(|_| w.any).unwrap_or(usize::MAX);
            if cx.site == Site::Worker && zset.len() > SLICE {
                cx.site.weigh(ranks(zset, shape).map(|r| r.len()).sum::<usize>().min(enough.saturating_mul(16)))?;
            }
            find(zset, shape, enough)
        }
        _ => Vec::new(),
    };
    match w.order {
        Some(Order::Ascending) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
        Some(Order::Descending) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        None => {}
    }
    found.truncate(w.count.unwrap_or(usize::MAX));
    match w.target {
        Some(target) => keep(cx, form, &w, target, &found),
        None => write(cx.reply, &w, &found),
    }
    Ok(())
}

fn write(reply: &mut Reply, w: &Wanted<'_>, found: &[Found]) {
    reply.array(found.len());
    let options = usize::from(w.distance) + usize::from(w.score) + usize::from(w.place);
    for f in found {
        if options > 0 {
            reply.array(1 + options);
        }
        reply.bulk(&f.member);
        if w.distance {
            write_distance(reply, f.distance / w.unit.metres);
        }
        if w.score {
            reply.integer(f.score as i64);
        }
        if w.place {
            write_place(reply, Place::of_score(f.score));
        }
    }
}

/// Puts what was found under a key, by score or by distance.
fn keep(cx: &mut DataContext<'_, '_>, form: &Form, w: &Wanted<'_>, target: Key<'_>, found: &[Found]) {
    let limits = limits(cx.config);
    let longest = found.iter().map(|f| f.member.len()).max().unwrap_or(0);
    let mut zset = Zset::for_size(found.len(), longest, limits);
    for f in found {
        let score = if w.store_distance { f.distance / w.unit.metres } else { f.score };
        zset.set(&f.member, score, limits);
    }
    store(cx, target, zset, if form.search { "geosearchstore" } else { "georadiusstore" });
    cx.space.changes.dirty += (found.len() as u64).saturating_sub(1);
}
