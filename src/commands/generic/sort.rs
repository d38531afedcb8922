//! Sorting the elements of lists, sets and sorted sets, by themselves or by what other keys hold.
//!
//! `BY` and `GET` patterns lead to keys that no key specification can name: with one of them the handlers run under all locks.

use crate::base::number::parse_f64;
use crate::base::slot::{SlotId, slot_of};
use crate::commands::arguments::{Options, is};
use crate::commands::list::access as lists;
use crate::commands::string::access as strings;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::{EventClass, Key};
use crate::resp::args::Args;
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};
use crate::value::list::{End, List};
use crate::value::object::Object;
use std::cmp::Ordering;

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
enum By<'a> {
    Itself,
    /// What the keys hold that this pattern leads to.
    Pattern(&'a [u8]),
    /// A pattern without `*`: the order in which they stand.
    Nothing,
}

struct Request<'a> {
    by: By<'a>,
    gets: Vec<&'a [u8]>,
    alpha: bool,
    descending: bool,
    /// Offset and count; below zero they are no limit.
    limit: (i64, i64),
    /// Index of the argument.
    store: Option<usize>,
}

/// The slot of every key that a pattern can become, where that is one: what is put in for `*` must not decide it.
fn slot_of_pattern(pattern: &[u8]) -> Option<SlotId> {
    let Some(star) = pattern.iter().position(|b| *b == b'*') else { return Some(slot_of(pattern)) };
    let open = pattern.iter().position(|b| *b == b'{').filter(|open| *open < star)?;
    let tag = pattern[open + 1..].iter().position(|b| *b == b'}')?;
    (tag > 0 && open + 1 + tag < star).then(|| slot_of(pattern))
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, may_store: bool) -> Result<Request<'a>, CommandError> {
        let mut r =
            Request { by: By::Itself, gets: Vec::new(), alpha: false, descending: false, limit: (0, -1), store: None };
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
                let pattern = options.value()?;
                r.by = if pattern.contains(&b'*') { By::Pattern(pattern) } else { By::Nothing };
            } else if is(word, "GET") && options.left() >= 1 {
                r.gets.push(options.value()?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
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
        match self.by {
            By::Pattern(pattern) if elsewhere(pattern) => Err(denied("BY")),
            _ if self.gets.iter().any(|g| *g != b"#" && elsewhere(g)) => Err(denied("GET")),
            _ => Ok(()),
        }
    }

    fn run(mut self, cx: &mut DataContext<'_, '_>) -> Outcome {
        if cx.config.cluster.enabled {
            self.check_slots(cx.key(1).hash.slot())?;
        }
        if !cx.reads_any_key && matches!(self.by, By::Pattern(_)) {
            return Err(CommandError::fixed("ERR BY option of SORT denied due to insufficient ACL permissions."));
        }
        if !cx.reads_any_key && !self.gets.is_empty() {
            return Err(CommandError::fixed("ERR GET option of SORT denied due to insufficient ACL permissions."));
        }
        let mut elements = self.elements(cx)?;
        match self.by {
            By::Nothing => {}
            By::Itself if self.alpha => {
                elements.sort_unstable();
                self.turn(&mut elements);
            }
            By::Itself => {
                let keyed: Result<Vec<_>, _> = elements.into_iter().map(|e| Ok((number(&e)?, e))).collect();
                elements = self.by_number(keyed?);
            }
            By::Pattern(pattern) if self.alpha => {
                let mut keyed: Vec<_> = elements.into_iter().map(|e| (look_up(cx, pattern, &e), e)).collect();
                // Stable, as nothing else decides between equal weights. An element without a weight comes first.
                keyed.sort_by(|a, b| self.directed(a.0.cmp(&b.0)));
                elements = keyed.into_iter().map(|(_, e)| e).collect();
            }
            By::Pattern(pattern) => {
                let keyed: Result<Vec<_>, _> = elements
                    .into_iter()
                    .map(|e| Ok((look_up(cx, pattern, &e).map_or(Ok(0.0), |w| number(&w))?, e)))
                    .collect();
                elements = self.by_number(keyed?);
            }
        }
        let chosen = self.cut(&mut elements);
        match self.store {
            Some(i) => self.store(cx, i, chosen),
            None => {
                cx.reply.array(chosen.len() * self.gets.len().max(1));
                for element in chosen {
                    if self.gets.is_empty() {
                        cx.reply.bulk(element);
                    }
                    for pattern in &self.gets {
                        match look_up(cx, pattern, element) {
                            Some(value) => cx.reply.bulk(&value),
                            None => cx.reply.null(),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The key's elements; those of lists and sorted sets in the order that stands if there is none to be made.
    fn elements(&mut self, cx: &mut DataContext<'_, '_>) -> Result<Vec<Vec<u8>>, CommandError> {
        let key = Key::new(cx.db, cx.args.at(1));
        let Some(record) = cx.space.find(key) else { return Ok(Vec::new()) };
        let unsorted = matches!(self.by, By::Nothing);
        let weigh = |n: usize| cx.site.weigh(n.saturating_mul(2));
        let mut elements = Vec::new();
        match record.object() {
            Some(Object::List(list)) => {
                weigh(list.len())?;
                elements.reserve_exact(list.len());
                elements.extend(list.iter().map(|item| item.to_vec()));
                if unsorted {
                    self.turn(&mut elements);
                }
            }
            Some(Object::Set(set)) => {
                weigh(set.len())?;
                elements.reserve_exact(set.len());
                set.for_each(|item| elements.push(item.to_vec()));
                if unsorted && (self.store.is_some() || !cx.may_block) {
                    // A set's own order differs from copy to copy, and what is stored, or what a script does with the reply, must not.
                    (self.by, self.alpha) = (By::Itself, true);
                }
            }
            Some(Object::Zset(zset)) => {
                weigh(zset.len())?;
                elements.reserve_exact(zset.len());
                zset.each(0..zset.len(), unsorted && self.descending, |item, _| elements.push(item.to_vec()));
            }
            _ => return Err(CommandError::WrongType),
        }
        Ok(elements)
    }

    fn turn(&self, elements: &mut [Vec<u8>]) {
        if self.descending {
            elements.reverse();
        }
    }

    fn directed(&self, order: Ordering) -> Ordering {
        if self.descending { order.reverse() } else { order }
    }

    /// Orders by weight, then by the elements' bytes.
    fn by_number(&self, mut keyed: Vec<(f64, Vec<u8>)>) -> Vec<Vec<u8>> {
        // No weight is not-a-number, and -0 equals 0.
        keyed.sort_by(|a, b| {
            self.directed(a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1)))
        });
        keyed.into_iter().map(|(_, e)| e).collect()
    }

    /// The elements within the limit.
    fn cut<'e>(&self, elements: &'e mut [Vec<u8>]) -> &'e [Vec<u8>] {
        let start = usize::try_from(self.limit.0).unwrap_or(0).min(elements.len());
        let left = elements.len() - start;
        let count = usize::try_from(self.limit.1).map_or(left, |n| n.min(left));
        &elements[start..start + count]
    }

    /// Stores the outcome as a list, or deletes the key if it is empty; replies with its length.
    fn store(&self, cx: &mut DataContext<'_, '_>, argument: usize, chosen: &[Vec<u8>]) {
        let key = Key::new(cx.db, cx.args.at(argument));
        let limits = lists::limits(cx.config);
        let mut list = List::new();
        for element in chosen {
            if self.gets.is_empty() {
                list.push_one(End::Right, element.as_slice(), &limits);
            }
            for pattern in &self.gets {
                let value = look_up(cx, pattern, element).unwrap_or_default();
                list.push_one(End::Right, value.as_slice(), &limits);
            }
        }
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

/// An element or weight as a number.
fn number(text: &[u8]) -> Result<f64, CommandError> {
    parse_f64(text).ok_or(CommandError::fixed("ERR One or more scores can't be converted into double"))
}

/// What a pattern leads to for an element: `#` is the element itself, `*` stands for it in the name of a string's key, and after
/// that `->` leads on to a field of a hash.
fn look_up(cx: &mut DataContext<'_, '_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|b| *b == b'*')?;
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    // An arrow with nothing behind it belongs to the name.
    let arrow = after.windows(2).position(|w| w == b"->").filter(|at| at + 2 < after.len());
    let (after, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let name = [before, element, after].concat();
    let now_ms = cx.now_ms();
    let record = cx.space.find(Key::new(cx.db, &name))?;
    match field {
        None => strings::bytes(&record).ok().map(|b| b.to_vec()),
        Some(field) => match record.object()? {
            Object::Hash(hash) => hash.get(field, now_ms, |value| value.map(|v| v.with_bytes(<[u8]>::to_vec))),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    fn bench() -> Bench {
        Bench::new(FAMILIES)
    }

    fn bulks(items: &[&str]) -> String {
        let head = format!("*{}\r\n", items.len());
        items.iter().fold(head, |text, i| match *i {
            "nil" => text + "$-1\r\n",
            i => text + &format!("${}\r\n{i}\r\n", i.len()),
        })
    }

    const NOT_A_NUMBER: &str = "-ERR One or more scores can't be converted into double\r\n";

    #[test]
    fn elements_are_ordered_as_numbers_or_as_bytes() {
        let mut b = bench();
        for line in ["rpush l 3 1.5 -2 10", "sadd s b a c", "zadd z 1 c 2 a 3 b", "hset h f v", "set k v"] {
            b.run(line);
        }
        b.check(&[
            ("sort l", &bulks(&["-2", "1.5", "3", "10"])),
            ("sort l desc limit 1 2", &bulks(&["3", "1.5"])),
            ("sort l alpha", &bulks(&["-2", "1.5", "10", "3"])),
            ("sort s", NOT_A_NUMBER),
            ("sort s alpha desc", &bulks(&["c", "b", "a"])),
            ("sort z alpha", &bulks(&["a", "b", "c"])),
            ("sort nol", "*0\r\n"),
            ("sort h", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
            ("sort_ro k", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
            ("sort h foo", "-ERR syntax error\r\n"),
            ("sort_ro l store x", "-ERR syntax error\r\n"),
            ("sort l limit 1", "-ERR syntax error\r\n"),
            ("sort l limit a 1", "-ERR value is not an integer or out of range\r\n"),
        ]);
    }

    #[test]
    fn limits_reach_the_64_bit_range() {
        let mut b = bench();
        b.run("rpush l 3 1 2");
        b.check(&[
            ("sort l limit -5 2", &bulks(&["1", "2"])),
            ("sort l limit 1 -1", &bulks(&["2", "3"])),
            ("sort l limit 1 9223372036854775807", &bulks(&["2", "3"])),
            ("sort l limit 9223372036854775807 9223372036854775807", "*0\r\n"),
            ("sort l limit -9223372036854775808 -9223372036854775808", &bulks(&["1", "2", "3"])),
        ]);
    }

    #[test]
    fn without_an_order_lists_and_sorted_sets_keep_theirs() {
        let mut b = bench();
        b.run("rpush l b a c");
        b.run("zadd z 1 c 2 b 3 a");
        b.check(&[
            ("sort l by nosort desc", &bulks(&["c", "a", "b"])),
            ("sort l by nosort desc limit 1 1", &bulks(&["a"])),
            ("sort z by nosort", &bulks(&["c", "b", "a"])),
            ("sort z by nosort desc limit -1 2", &bulks(&["a", "b"])),
        ]);
    }

    #[test]
    fn a_pattern_has_a_slot_only_where_its_elements_cannot_choose_it() {
        let slot = |text: &str| super::slot_of_pattern(text.as_bytes());
        assert_eq!(slot("{a}by*"), Some(super::slot_of(b"a")));
        assert_eq!(slot("plain"), Some(super::slot_of(b"plain")));
        for open in ["by*", "*{a}", "{a*}", "{}by*", "{a"] {
            assert_eq!(slot(open).filter(|_| open.contains('*')), None, "{open}");
        }
    }

    #[test]
    fn patterns_lead_to_strings_and_fields() {
        let mut b = bench();
        for line in ["rpush l a b c", "mset w_a 3 w_b 2 w_c 1", "hset ha f 1", "hset hb f 0", "rpush x_a 1"] {
            b.run(line);
        }
        b.check(&[
            ("sort l by w_*", &bulks(&["c", "b", "a"])),
            ("sort l by w_* get # get w_*", &bulks(&["c", "1", "b", "2", "a", "3"])),
            ("sort l by h*->f desc get h*->f", &bulks(&["1", "nil", "0"])),
            ("sort l by nope_* desc", &bulks(&["c", "b", "a"])),
            ("sort l by nope_* alpha desc", &bulks(&["a", "b", "c"])),
            ("sort l by nosort get x_* get * get k get h*->", &bulks(&["nil"; 12])),
        ]);
        b.run("set w_a ' 5'");
        assert_eq!(b.run("sort l by w_*"), NOT_A_NUMBER);
    }

    #[test]
    fn storing_replaces_or_deletes_the_target() {
        let mut b = bench();
        for line in ["rpush l 2 1", "set dst v", "sadd s b a c"] {
            b.run(line);
        }
        b.events.clear();
        b.effects.clear();
        b.check(&[
            ("sort l store dst", ":2\r\n"),
            ("lrange dst 0 -1", &bulks(&["1", "2"])),
            ("sort s by nosort store dst", ":3\r\n"),
            ("lrange dst 0 -1", &bulks(&["a", "b", "c"])),
            ("sort l get nope_* store dst", ":2\r\n"),
            ("lrange dst 0 -1", &bulks(&["", ""])),
            ("sort nol store dst", ":0\r\n"),
            ("exists dst", ":0\r\n"),
            ("sort nol store dst", ":0\r\n"),
        ]);
        let told: Vec<_> = b.events.iter().filter(|e| !e.starts_with("keymiss")).collect();
        assert_eq!(told, ["sortstore dst", "sortstore dst", "sortstore dst", "del dst"]);
        assert_eq!(b.effects.len(), 4);
    }
}
