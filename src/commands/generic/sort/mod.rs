//! Sorting the elements of lists, sets and sorted sets, by themselves or by what other keys hold.
//!
//! `BY` and `GET` patterns lead to keys that no key specification can name: with one of them the handlers run under all locks. What is
//! long is sorted [`apart`] instead, where it holds next to none.

mod apart;
mod look_up;
mod order;
mod pattern;
#[cfg(test)]
mod tests;
mod texts;

pub use apart::Prepared;

use crate::base::slot::SlotId;
use crate::commands::arguments::{Options, is};
use crate::commands::list::access as lists;
use crate::commands::{Command, CommandError, DataContext, Outcome, Site};
use crate::keyspace::{EventClass, Key};
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};
use crate::value::list::{End, Limits, List};
use crate::value::object::Object;
use crate::value::record::Record;
use look_up::{Here, LookUp};
use pattern::{Pattern, slot_of_pattern};
use texts::{Text, Texts};

const SORT_SPEC: CommandSpec = CommandSpec::new("sort", -2, Group::Generic, "write denyoom arbitrary_keys")
    .acl("set sortedset list dangerous")
    .since("1.0.0")
    .keys(&[
        KeySpec::index(1, "RO access"),
        KeySpec::unknown("RO access").notes("Keys that the `BY` and `GET` patterns lead to."),
        KeySpec::unknown("OW update").notes("The key after `STORE`, wherever that stands."),
    ])
    .key_code(KeyCode::Sort)
    .args(
        "key:key [BY=by-pattern:pattern#1/pattern/] [LIMIT=limit(offset:integer \
        count:integer)] [GET=get-pattern:pattern#1/pattern/*...] [order{ASC|DESC}] \
        [ALPHA=sorting:token] [STORE=destination:key#2]",
    )
    .doc(
        "Sorts a list, a set or a sorted set; may store the outcome.",
        "O(N+M*log(M)), N: elements, M: elements returned; O(N) without sorting",
    );

pub static SORT: Command = Command::data(SORT_SPEC, sort);
fn sort(cx: &mut DataContext<'_, '_>) -> Outcome {
    let request = Request::parse(cx.args, true)?;
    request.run(cx)
}

const SORT_RO_SPEC: CommandSpec = CommandSpec::new("sort_ro", -2, Group::Generic, "readonly arbitrary_keys")
    .acl("set sortedset list dangerous")
    .since("7.0.0")
    .keys(&[
        KeySpec::index(1, "RO access"),
        KeySpec::unknown("RO access").notes("Keys that the `BY` and `GET` patterns lead to."),
    ])
    .args(
        "key:key [BY=by-pattern:pattern#1/pattern/] [LIMIT=limit(offset:integer \
        count:integer)] [GET=get-pattern:pattern#1/pattern/*...] [order{ASC|DESC}] \
        [ALPHA=sorting:token]",
    )
    .doc(
        "Sorts a list, a set or a sorted set.",
        "O(N+M*log(M)), N: elements, M: elements returned; O(N) without sorting",
    );

pub static SORT_RO: Command = Command::data(SORT_RO_SPEC, sort_ro);
fn sort_ro(cx: &mut DataContext<'_, '_>) -> Outcome {
    let request = Request::parse(cx.args, false)?;
    request.run(cx)
}

/// By what elements are ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Itself,
    /// What the keys hold that the first of the patterns leads to.
    Pattern,
    /// A pattern without `*`: the order in which they stand.
    Nothing,
}

struct Request<'a> {
    by: By,
    /// That of `BY`, if it leads to keys, then those of `GET`.
    patterns: Vec<Pattern>,
    by_pattern: &'a [u8],
    get_patterns: Vec<&'a [u8]>,
    alpha: bool,
    descending: bool,
    /// The order in which they stand is turned.
    turned: bool,
    /// They are a set's, whose own order differs from copy to copy: equal weights must not leave it to that.
    of_set: bool,
    /// Offset and count; below zero they are no limit.
    limit: (i64, i64),
    /// Index of the argument.
    store: Option<usize>,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, may_store: bool) -> Result<Request<'a>, CommandError> {
        let mut r = Request {
            by: By::Itself,
            patterns: Vec::new(),
            by_pattern: b"",
            get_patterns: Vec::new(),
            alpha: false,
            descending: false,
            turned: false,
            of_set: false,
            limit: (0, -1),
            store: None,
        };
        let mut options = Options::new(args, 2);
        while let Some(word) = options.next() {
            if is(word, "ASC") {
                r.descending = false;
            } else if is(word, "DESC") {
                r.descending = true;
            } else if is(word, "ALPHA") {
                r.alpha = true;
            } else if is(word, "LIMIT") && options.left() >= 2 {
                r.limit = (options.integer()?, options.integer()?);
            } else if may_store && is(word, "STORE") && options.left() >= 1 {
                r.store = Some(options.position());
                options.value()?;
            } else if is(word, "BY") && options.left() >= 1 {
                r.by_pattern = options.value()?;
                r.by = if r.by_pattern.contains(&b'*') { By::Pattern } else { By::Nothing };
            } else if is(word, "GET") && options.left() >= 1 {
                r.get_patterns.push(options.value()?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let by = (r.by == By::Pattern).then_some(r.by_pattern);
        r.patterns = by.iter().chain(&r.get_patterns).map(|p| Pattern::new(p)).collect();
        Ok(r)
    }

    /// In a cluster what the patterns lead to has to be in the slot of the key.
    fn check_slots(&self, key: SlotId) -> Outcome {
        let elsewhere = |pattern: &[u8]| slot_of_pattern(pattern) != Some(key);
        let denied = |option| {
            CommandError::err(format_args!(
                "{option} option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots."
            ))
        };
        if self.by == By::Pattern && elsewhere(self.by_pattern) {
            return Err(denied("BY"));
        }
        if self.get_patterns.iter().any(|g| *g != b"#" && elsewhere(g)) {
            return Err(denied("GET"));
        }
        Ok(())
    }

    fn run(mut self, cx: &mut DataContext<'_, '_>) -> Outcome {
        if cx.config.cluster.enabled {
            self.check_slots(cx.key(1).hash.slot())?;
        }
        if !cx.reads_any_key && self.by == By::Pattern {
            return Err(CommandError::fixed("ERR BY option of SORT denied due to insufficient ACL permissions."));
        }
        if !cx.reads_any_key && !self.get_patterns.is_empty() {
            return Err(CommandError::fixed("ERR GET option of SORT denied due to insufficient ACL permissions."));
        }
        if cx.site == Site::Aside { apart::run(self, cx) } else { self.run_here(cx) }
    }

    /// Runs under the locks of all that it needs.
    fn run_here(&mut self, cx: &mut DataContext<'_, '_>) -> Outcome {
        let key = Key::new(cx.db, cx.args.at(1));
        let (site, look_ups, may_block) = (cx.site, self.look_ups(), cx.may_block);
        let mut elements = Texts::default();
        if let Some(record) = cx.space.find(key) {
            let len = self.meet(&record, may_block)?;
            site.weigh(len.saturating_mul(2 + look_ups))?;
            elements = Texts::with_capacity(len);
            self.copy(&record, 0, usize::MAX, &mut elements);
        }
        let sorted = self.sorted(elements, &mut Here { space: cx.space, db: cx.db })?;
        match self.store {
            Some(_) => self.store(cx, sorted.list(&lists::limits(cx.config))),
            None => sorted.reply(cx.reply),
        }
        Ok(())
    }

    /// How many other keys are asked for each element.
    fn look_ups(&self) -> usize {
        self.patterns.iter().filter(|p| p.leads_anywhere()).count()
    }

    /// Sees from the key what is to be sorted, and how many elements there are.
    fn meet(&mut self, record: &Record, may_block: bool) -> Result<usize, CommandError> {
        let unsorted = self.by == By::Nothing;
        Ok(match record.object() {
            Some(Object::List(list)) => {
                self.turned = unsorted && self.descending;
                list.len()
            }
            Some(Object::Set(set)) => {
                self.of_set = true;
                if unsorted && (self.store.is_some() || !may_block) {
                    // A set's own order differs from copy to copy, and what is stored, or what a script does with the reply, must not.
                    (self.by, self.alpha) = (By::Itself, true);
                }
                set.len()
            }
            Some(Object::Zset(zset)) => zset.len(),
            _ => return Err(CommandError::WrongType),
        })
    }

    /// Copies about `count` of a key's elements from a place on (0 is the first); where to go on, 0 at the end. Those of lists and sorted
    /// sets come in the order that stands if there is none to be made.
    fn copy(&self, record: &Record, from: u64, count: usize, elements: &mut Texts) -> u64 {
        let (begin, end) = (from as usize, (from as usize).saturating_add(count));
        let next = |len: usize| if end < len { end as u64 } else { 0 };
        match record.object() {
            Some(Object::List(list)) => {
                list.slice(begin, count).for_each(|item| item.with_bytes(|e| elements.push(e)));
                next(list.len())
            }
            Some(Object::Set(set)) => set.scan(from, count, |item| item.with_bytes(|e| elements.push(e))),
            Some(Object::Zset(zset)) => {
                let reverse = self.by == By::Nothing && self.descending;
                zset.each(begin..end.min(zset.len()), reverse, |item, _| item.with_bytes(|e| elements.push(e)));
                next(zset.len())
            }
            _ => 0,
        }
    }

    /// The elements in order, those within the limit, with what is wanted of them.
    fn sorted(&self, elements: Texts, source: &mut dyn LookUp) -> Result<Sorted, CommandError> {
        let mut order = self.order(&elements, source)?;
        let start = usize::try_from(self.limit.0).unwrap_or(0).min(order.len());
        let count = usize::try_from(self.limit.1).unwrap_or(usize::MAX);
        order.drain(..start);
        order.truncate(count);
        let first = self.patterns.len() - self.get_patterns.len();
        let mut wanted = Vec::with_capacity(self.get_patterns.len());
        for (n, pattern) in self.patterns.iter().enumerate().skip(first) {
            wanted.push(match pattern {
                Pattern::Element => Wanted::Element,
                Pattern::Nowhere => Wanted::Nothing,
                Pattern::Key { .. } => {
                    let mut values = Texts::missing(order.len());
                    source.look_up((n, pattern), &elements, &order, &mut |at, value| values.put(at, value))?;
                    Wanted::Values(values)
                }
            });
        }
        source.is_done();
        if wanted.is_empty() {
            wanted.push(Wanted::Element);
        }
        Ok(Sorted { elements, order, wanted })
    }

    /// Stores the outcome as a list, or deletes the key if it is empty; replies with its length.
    fn store(&self, cx: &mut DataContext<'_, '_>, list: List) {
        let key = Key::new(cx.db, cx.args.at(self.store.expect("there is a STORE")));
        let len = list.len();
        if len > 0 {
            cx.space.set(key, lists::content(list), Some(None));
            lists::changed(cx, key, "sortstore", len);
        } else if cx.space.delete(key) {
            cx.space.changed(key, EventClass::GENERIC, "del");
        }
        cx.reply.integer(len as i64);
    }
}

/// What is wanted of each element.
enum Wanted {
    Element,
    Nothing,
    /// What keys hold, in the order of the outcome.
    Values(Texts),
}

/// The outcome.
struct Sorted {
    elements: Texts,
    /// Numbers of elements.
    order: Vec<usize>,
    wanted: Vec<Wanted>,
}

impl Sorted {
    fn each(&self, mut f: impl FnMut(Option<Text<'_>>)) {
        for (at, n) in self.order.iter().enumerate() {
            for wanted in &self.wanted {
                f(match wanted {
                    Wanted::Element => self.elements.get(*n),
                    Wanted::Nothing => None,
                    Wanted::Values(values) => values.get(at),
                });
            }
        }
    }

    fn reply(&self, reply: &mut Reply) {
        reply.array(self.order.len() * self.wanted.len());
        self.each(|text| match text {
            Some(Text::Bytes(bytes)) => reply.bulk(bytes),
            Some(Text::Shared(value)) => reply.bulk_shared(value),
            None => reply.null(),
        });
    }

    fn list(&self, limits: &Limits) -> List {
        let mut list = List::new();
        self.each(|text| list.push_one(End::Right, text.map_or(&b""[..], Text::bytes), limits));
        list
    }
}
