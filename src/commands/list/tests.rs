//! What the list family answers, changes, tells and leaves as effects.

use super::COMMANDS;
use crate::client::TimeoutReply;
use crate::commands::testing::Bench;
use crate::commands::{Command, string};
use crate::resp::reply::Version;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

fn bench() -> Bench {
    static FAMILIES: &[&[&Command]] = &[string::COMMANDS, COMMANDS];
    Bench::new(FAMILIES)
}

/// The reply of an array of bulk strings.
fn bulks(items: &[&str]) -> String {
    let head = format!("*{}\r\n", items.len());
    items.iter().fold(head, |text, i| text + &format!("${}\r\n{i}\r\n", i.len()))
}

/// Runs lines and returns their effects and events.
fn told(b: &mut Bench, lines: &[&str]) -> (Vec<String>, Vec<String>) {
    b.effects.clear();
    b.events.clear();
    for line in lines {
        b.run(line);
    }
    (std::mem::take(&mut b.effects), std::mem::take(&mut b.events))
}

#[test]
fn pushes_and_pops_at_both_ends() {
    let mut b = bench();
    b.check(&[
        ("lpush l b a", ":2\r\n"),
        ("rpush l c 4", ":4\r\n"),
        ("lrange l 0 -1", &bulks(&["a", "b", "c", "4"])),
        ("llen l", ":4\r\n"),
        ("rpop l", "$1\r\n4\r\n"),
        ("lpop l 2", &bulks(&["a", "b"])),
        ("lpop l 0", "*0\r\n"),
        ("rpop l 9223372036854775807", &bulks(&["c"])),
        ("lpop l", "$-1\r\n"),
        ("lpop l 0", "*-1\r\n"),
        ("lpushx l a", ":0\r\n"),
        ("llen l", ":0\r\n"),
    ]);
    b.version = Version::Resp3;
    b.check(&[("lpop l", "_\r\n"), ("rpop l 1", "_\r\n"), ("lmpop 1 l left", "_\r\n")]);
}

#[test]
fn pop_counts_are_positive_integers() {
    let mut b = bench();
    let error = "-ERR value is out of range, must be positive\r\n";
    b.check(&[
        ("lpop l -1", error),
        ("lpop l abc", error),
        ("lpop l 9223372036854775808", error),
        ("lpop l 1 2", "-ERR wrong number of arguments for 'lpop' command\r\n"),
        ("rpop l 1 2", "-ERR wrong number of arguments for 'rpop' command\r\n"),
    ]);
}

#[test]
fn every_command_refuses_another_type_and_leaves_it_alone() {
    let mut b = bench();
    b.run("set s v");
    b.run("rpush l a");
    for line in [
        "lpush s a",
        "rpushx s a",
        "lpop s",
        "lpop s 0",
        "rpop s 1",
        "llen s",
        "lindex s x",
        "lrange s 0 1",
        "lset s x y",
        "linsert s before a b",
        "lrem s 0 a",
        "ltrim s 0 1",
        "lpos s a",
        "lmove s l left left",
        "lmove l s left left",
        "rpoplpush l s",
        "lmpop 2 s l left",
        "blpop s l 0",
        "blmpop 0 1 s left",
        "brpoplpush l s 0",
    ] {
        assert_eq!(b.run(line), WRONG, "{line}");
    }
    b.check(&[("get s", "$1\r\nv\r\n"), ("lrange l 0 -1", &bulks(&["a"]))]);
}

#[test]
fn indexes_count_from_both_ends_and_reach_the_64_bit_range() {
    let mut b = bench();
    b.run("rpush l a b c");
    let all = bulks(&["a", "b", "c"]);
    b.check(&[
        ("lindex l 0", "$1\r\na\r\n"),
        ("lindex l -3", "$1\r\na\r\n"),
        ("lindex l 3", "$-1\r\n"),
        ("lindex l -9223372036854775808", "$-1\r\n"),
        ("lindex nol x", "$-1\r\n"),
        ("lindex l x", "-ERR value is not an integer or out of range\r\n"),
        ("lrange l -9223372036854775808 9223372036854775807", &all),
        ("lrange l 9223372036854775807 -9223372036854775808", "*0\r\n"),
        ("lrange l 2 1", "*0\r\n"),
        ("lrange nol x 1", "-ERR value is not an integer or out of range\r\n"),
        ("lset nol x 1", "-ERR no such key\r\n"),
        ("lset l x 1", "-ERR value is not an integer or out of range\r\n"),
        ("lset l 3 1", "-ERR index out of range\r\n"),
        ("lset l -1 z", "+OK\r\n"),
        ("lindex l 2", "$1\r\nz\r\n"),
    ]);
}

#[test]
fn lrem_takes_matches_from_the_side_the_count_says() {
    let mut b = bench();
    b.run("rpush l a b a b a");
    b.check(&[
        ("lrem l -1 a", ":1\r\n"),
        ("lrange l 0 -1", &bulks(&["a", "b", "a", "b"])),
        ("lrem l 1 b", ":1\r\n"),
        ("lrem l 0 a", ":2\r\n"),
        (
            "lrem l -9223372036854775808 a",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
        ),
    ]);
}

#[test]
fn lpos_finds_by_rank_count_and_length() {
    let mut b = bench();
    b.run("rpush l a b c 1 2 3 c c");
    b.check(&[
        ("lpos l c", ":2\r\n"),
        ("lpos l c rank 2", ":6\r\n"),
        ("lpos l c rank -1", ":7\r\n"),
        ("lpos l c count 2", "*2\r\n:2\r\n:6\r\n"),
        ("lpos l c count 0 rank -1", "*3\r\n:7\r\n:6\r\n:2\r\n"),
        ("lpos l c count 0 maxlen 3", "*1\r\n:2\r\n"),
        ("lpos l c maxlen 2", "$-1\r\n"),
        ("lpos l zz count 1", "*0\r\n"),
        ("lpos l c rank -9223372036854775807", "$-1\r\n"),
        ("lpos l c count x", "-ERR COUNT can't be negative\r\n"),
        ("lpos l c maxlen -1", "-ERR MAXLEN can't be negative\r\n"),
        ("lpos l c rank", "-ERR syntax error\r\n"),
        ("lpos l c foo 1", "-ERR syntax error\r\n"),
        ("lpos nol c count 1", "*0\r\n"),
        ("lpos nol c", "$-1\r\n"),
    ]);
    assert!(b.run("lpos l c rank 0").starts_with("-ERR RANK can't be zero: use 1 to start"));
}

#[test]
fn moves_between_two_lists_and_within_one() {
    let mut b = bench();
    b.run("rpush l a b c");
    b.check(&[
        ("lmove l l left right", "$1\r\na\r\n"),
        ("lmove l m left right", "$1\r\nb\r\n"),
        ("rpoplpush l m", "$1\r\na\r\n"),
        ("lrange m 0 -1", &bulks(&["a", "b"])),
        ("lmove nol m left right", "$-1\r\n"),
        ("lmove nol m foo right", "-ERR syntax error\r\n"),
        ("rpoplpush l m", "$1\r\nc\r\n"),
        ("llen l", ":0\r\n"),
    ]);
}

#[test]
fn lmpop_takes_the_first_list_there_is() {
    let mut b = bench();
    b.run("rpush l a b c");
    b.check(&[
        ("lmpop 2 nol l right count 2", "*2\r\n$1\r\nl\r\n*2\r\n$1\r\nc\r\n$1\r\nb\r\n"),
        ("lmpop 2 nol l left count 9223372036854775807", "*2\r\n$1\r\nl\r\n*1\r\n$1\r\na\r\n"),
        ("lmpop 1 l left", "*-1\r\n"),
        ("lmpop 0 l left", "-ERR numkeys should be greater than 0\r\n"),
        ("lmpop 2 l left", "-ERR syntax error\r\n"),
        ("lmpop 9223372036854775807 l left", "-ERR syntax error\r\n"),
        ("lmpop 1 l left count 0", "-ERR count should be greater than 0\r\n"),
        ("lmpop 1 l left count", "-ERR syntax error\r\n"),
        ("lmpop 1 l left count 1 count 1", "-ERR syntax error\r\n"),
    ]);
}

#[test]
fn events_come_in_order_and_empty_lists_go() {
    let mut b = bench();
    let (_, events) = told(&mut b, &["rpush l a", "lmove l m left right", "ltrim m 0 5", "ltrim m 5 6"]);
    assert_eq!(events, ["new l", "rpush l", "new m", "rpush m", "lpop l", "del l", "ltrim m", "ltrim m", "del m"]);
    let (_, events) = told(&mut b, &["rpush l a b", "lrem l 0 x", "lset l 0 c", "linsert l after c d", "lpop l 5"]);
    assert_eq!(events, ["new l", "rpush l", "lset l", "linsert l", "lpop l", "del l"]);
}

#[test]
fn what_changes_nothing_has_no_effect() {
    let mut b = bench();
    b.run("rpush l a b");
    let lines = ["ltrim l 0 -1", "lrem l 0 x", "lpop l 0", "lpushx nol a", "linsert l after x y", "lmpop 1 nol left"];
    assert!(told(&mut b, &lines).0.is_empty());
}

#[test]
fn pops_that_choose_a_key_leave_the_choice_as_their_effect() {
    let mut b = bench();
    b.run("rpush l a b c d e f");
    let lines = ["lmpop 2 nol l right count 2", "blpop nol l 0", "brpop l 0", "blmpop 0 1 l left", "brpoplpush l m 0"];
    assert_eq!(told(&mut b, &lines).0, ["RPOP l 2", "LPOP l", "RPOP l", "LPOP l 1", "RPOPLPUSH l m"]);
    assert_eq!(
        told(&mut b, &["blmove m n left Right 0", "lmove n m left right"]).0,
        ["LMOVE m n left Right", "lmove n m left right"]
    );
}

#[test]
fn blocking_forms_wait_for_their_sources_only() {
    let mut b = bench();
    for (line, keys, ms, reply) in [
        ("blpop x y 1.5", vec!["x", "y"], 1500, TimeoutReply::NullArray),
        ("brpop x 0", vec!["x"], 0, TimeoutReply::NullArray),
        ("blmpop 0.0001 2 x y left count 3", vec!["x", "y"], 1, TimeoutReply::NullArray),
        ("blmove x y left left 2", vec!["x"], 2000, TimeoutReply::NullArray),
        ("brpoplpush x y 0x10", vec!["x"], 16000, TimeoutReply::NullArray),
    ] {
        assert_eq!(b.run(line), "", "{line}");
        let wait = b.blocked.take().expect(line);
        assert_eq!(wait.keys, keys.iter().map(|k| k.as_bytes().to_vec()).collect::<Vec<_>>(), "{line}");
        assert_eq!((wait.timeout_ms, wait.timeout_reply), (ms, reply), "{line}");
    }
    assert!(b.effects.is_empty() && b.events.iter().all(|e| e.starts_with("keymiss")));
}

#[test]
fn timeouts_are_checked_before_the_keys() {
    let mut b = bench();
    b.run("set s v");
    let (bad, range, negative) = (
        "-ERR timeout is not a float or out of range\r\n",
        "-ERR timeout is out of range\r\n",
        "-ERR timeout is negative\r\n",
    );
    b.check(&[
        ("blpop s abc", bad),
        ("blpop s nan", bad),
        ("blpop s ''", bad),
        ("blpop s ' 1'", bad),
        ("blpop s '1 '", bad),
        ("blpop s 1e5000", bad),
        ("blpop s inf", range),
        ("blpop s 1e400", range),
        ("blpop s 9223372036854775807", range),
        ("blpop s 9223372036854773", range),
        ("blpop s -1", negative),
        ("blpop s -0.0011", negative),
        ("blpop s -inf", negative),
        ("blpop s -0.001", WRONG),
        ("blpop s 9000000000000000", WRONG),
        ("blmove s s foo left x", "-ERR syntax error\r\n"),
        ("blmove s s left left x", bad),
        ("blmpop x 1 s foo", "-ERR syntax error\r\n"),
        ("blmpop x 1 s left count 0", "-ERR count should be greater than 0\r\n"),
        ("blmpop x 0 s left", "-ERR numkeys should be greater than 0\r\n"),
        ("blmpop x 1 s left", bad),
    ]);
}
