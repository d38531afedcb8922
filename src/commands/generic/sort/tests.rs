//! What SORT answers and stores.

use crate::commands::FAMILIES;
use crate::commands::list::access as lists;
use crate::commands::testing::Bench;
use crate::config::Config;
use crate::keyspace::{Access, AccessPolicy, EventClass, Key, Keyspace, Plan};
use crate::value::list::End;
use crate::value::record::Content;
use proptest::prelude::*;

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
    assert_eq!(slot("{a}by*"), Some(crate::base::slot::slot_of(b"a")));
    assert_eq!(slot("plain"), Some(crate::base::slot::slot_of(b"plain")));
    for open in ["by*", "*{a}", "{a*}", "{}by*", "{a"] {
        assert_eq!(slot(open).filter(|_| open.contains('*')), None, "{open}");
    }
}

#[test]
fn patterns_lead_to_strings_and_fields() {
    let mut b = bench();
    for line in
        ["rpush l a b c", "sadd s d c b a", "mset w_a 3 w_b 2 w_c 1", "hset ha f 1", "hset hb f 0", "rpush x_a 1"]
    {
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

/// A server with a list, a set and a sorted set of the same elements, and keys that may hold weights and values of them.
fn stocked(numbers: &[(u8, i16)]) -> Bench {
    let mut b = bench();
    for (n, (what, number)) in numbers.iter().enumerate() {
        let element = number / 4;
        b.run(&format!("rpush list {element}"));
        b.run(&format!("sadd set {element}"));
        b.run(&format!("zadd zset {n} {element}"));
        match what % 8 {
            0 => {}
            1 => drop(b.run(&format!("set w_{element} {n} px 10"))),
            2 => drop(b.run(&format!("hset w_{element} f {n}"))),
            3 => drop(b.run(&format!("set {{t}}w_{element} {n}"))),
            4 => drop(b.run(&format!("set w_{element} -{n}.5"))),
            5 => drop(b.run(&format!("set w_{element} {}", "9".repeat(3000)))),
            _ => drop(b.run(&format!("set w_{element} {number}"))),
        }
    }
    // The deadlines have come, and nobody has looked.
    b.now_ms += 100;
    b
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn aside_the_outcome_is_the_same(
        numbers in prop::collection::vec(any::<(u8, i16)>(), 0..200),
        key in prop::sample::select(vec!["list", "set", "zset", "none", "w_1"]),
        by in prop::sample::select(vec!["", "by w_*", "by w_*->f", "by nosort", "by {t}w_*"]),
        gets in prop::collection::vec(prop::sample::select(vec!["w_*", "#", "w_*->f", "plain", "{t}w_*"]), 0..3),
        words in prop::collection::vec(prop::sample::select(vec!["desc", "alpha", "limit 3 5", "limit -1 0", "limit 150 -1"]), 0..3),
        store in prop::sample::select(vec!["", "store to", "store list", "store w_1"]),
    ) {
        let gets: String = gets.iter().map(|g| format!(" get {g}")).collect();
        let line = format!("sort {key} {by} {gets} {} {store}", words.join(" "));
        let (mut here, mut aside) = (stocked(&numbers), stocked(&numbers));
        aside.aside = Some(|_| {});
        let (mut a, mut b) = (here.run(&line), aside.run(&line));
        if key == "set" && by == "by nosort" {
            // Any order is as good.
            let sorted = |text: &str| { let mut all: Vec<String> = text.split("\r\n").map(Into::into).collect(); all.sort(); all.concat() };
            (a, b) = (sorted(&a), sorted(&b));
        }
        prop_assert_eq!(a, b, "{}", line);
        for look in ["lrange to 0 -1", "lrange list 0 -1", "lrange w_1 0 -1", "get w_1"] {
            prop_assert_eq!(here.run(look), aside.run(look), "{}", line);
        }
    }
}

#[test]
fn what_is_stored_is_true_when_it_is_stored_however_often_others_change_it() {
    let mut b = bench();
    for line in ["rpush l a b c", "mset w_a 1 w_b 2 w_c 3 other 1"] {
        b.run(line);
    }
    let key = |name: &'static [u8]| Key::new(0, name);
    // Others: a weight, the list itself, the whole database; what is nobody's business changes nothing.
    type Others = (fn(&Keyspace), &'static [&'static str]);
    let others: [Others; 4] = [
        (|ks| set(ks, b"other", 5), &["a", "b", "c"]),
        (|ks| set(ks, b"w_a", 5), &["b", "c", "a"]),
        (|ks| push(ks, b"l", b"d"), &["d", "b", "c", "a"]),
        (
            |ks| {
                ks.lock(&Plan::All, AT).flush(None);
            },
            &[],
        ),
    ];
    assert_ne!(key(b"l").hash.stripe, key(b"other").hash.stripe);
    for (meanwhile, want) in others {
        b.aside = Some(meanwhile);
        let rounds = if want.len() == 4 { 4..8 } else { want.len()..want.len() + 1 };
        let stored = b.run("sort l by w_* store to");
        let stored: usize = stored.trim().trim_start_matches(':').parse().unwrap();
        assert!(rounds.contains(&stored), "{stored}");
        b.aside = None;
        let same = b.run("sort l by w_*");
        assert_eq!(b.run("lrange to 0 -1"), same);
        assert!(same.ends_with(&bulks(want)[4..]) || want.len() == 4, "{same}");
    }
}

const AT: Access = Access { policy: AccessPolicy::Lru, now_ms: 1_000_000 };

fn set(keyspace: &Keyspace, name: &[u8], value: i64) {
    let key = Key::new(0, name);
    let mut space = keyspace.lock_one(key.hash.stripe, AT);
    space.set(key, Content::Int(value), None);
    space.changed(key, EventClass::STRING, "set");
}

fn push(keyspace: &Keyspace, name: &[u8], element: &[u8]) {
    let key = Key::new(0, name);
    let mut space = keyspace.lock_one(key.hash.stripe, AT);
    if let Some(mut record) = space.find_mut(key)
        && let Ok(list) = lists::list_mut(&mut record)
    {
        list.push_one(End::Right, element, &lists::limits(&Config::default()));
    }
    space.changed(key, EventClass::LIST, "rpush");
}
