use crate::commands::testing::Bench;

fn bench() -> Bench {
    Bench::new(&[super::COMMANDS, crate::commands::hash::COMMANDS])
}

#[test]
fn a_set_goes_with_its_last_member() {
    let mut b = bench();
    b.check(&[("sadd s a b", ":2\r\n"), ("srem s a b c", ":2\r\n"), ("scard s", ":0\r\n")]);
    assert_eq!(b.events, ["new s", "sadd s", "srem s", "del s", "keymiss s"]);
}

#[test]
fn nothing_changed_leaves_no_effect() {
    let mut b = bench();
    b.check(&[("sadd s a", ":1\r\n"), ("sadd s a", ":0\r\n"), ("srem s b", ":0\r\n"), ("smove s s a", ":1\r\n")]);
    assert_eq!(b.effects, ["sadd s a"]);
}

#[test]
fn smove_moves_and_says_so_for_both_keys() {
    let mut b = bench();
    b.check(&[("sadd s a", ":1\r\n"), ("smove s d a", ":1\r\n"), ("sismember d a", ":1\r\n")]);
    assert_eq!(b.events, ["new s", "sadd s", "srem s", "del s", "new d", "sadd d"]);
}

#[test]
fn spop_is_told_as_what_it_took() {
    let mut b = bench();
    b.check(&[("sadd s 7", ":1\r\n"), ("spop s", "$1\r\n7\r\n"), ("spop s", "$-1\r\n"), ("spop s 3", "*0\r\n")]);
    b.run("sadd t 1 2 3");
    b.run("spop t 2");
    assert_eq!(b.effects[1], "SREM s 7");
    assert!(b.effects[3].starts_with("SREM t ") && b.effects[3].len() == "SREM t 1 2".len());
    b.run("spop t 9");
    assert_eq!(b.effects[4], "UNLINK t");
}

#[test]
fn odd_counts_are_refused_in_valkeys_words() {
    let positive = "-ERR value is out of range, must be positive\r\n";
    let mut b = bench();
    b.check(&[
        ("spop s -1", positive),
        ("spop s x", positive),
        ("spop s 1 2", "-ERR syntax error\r\n"),
        ("srandmember s x", "-ERR value is not an integer or out of range\r\n"),
        (
            "srandmember s -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
        ),
        ("sadd s a", ":1\r\n"),
        ("srandmember s -9223372036854775807", "-ERR value is out of range\r\n"),
        ("srandmember s 9223372036854775807", "*1\r\n$1\r\na\r\n"),
        ("sintercard 0 s", "-ERR numkeys should be greater than 0\r\n"),
        ("sintercard 2 s", "-ERR Number of keys can't be greater than number of args\r\n"),
        ("sintercard 1 s limit -1", "-ERR LIMIT can't be negative\r\n"),
        ("sintercard 1 s limit", "-ERR syntax error\r\n"),
    ]);
}

#[test]
fn combinations_are_stored_replace_and_delete() {
    let mut b = bench();
    b.run("sadd {t}a 1 2 3 x");
    b.run("sadd {t}b 2 3 4");
    b.check(&[
        ("sinter {t}a {t}b", "*2\r\n$1\r\n2\r\n$1\r\n3\r\n"),
        ("sintercard 2 {t}a {t}b limit 1", ":1\r\n"),
        ("sinter {t}a {t}none", "*0\r\n"),
        ("sdiff {t}a {t}b {t}none", "*2\r\n$1\r\n1\r\n$1\r\nx\r\n"),
        ("sdiff {t}a {t}a", "*0\r\n"),
        ("sunionstore {t}r {t}a {t}b", ":5\r\n"),
        ("sdiffstore {t}r {t}b {t}a", ":1\r\n"),
        ("smembers {t}r", "*1\r\n$1\r\n4\r\n"),
        ("sinterstore {t}r {t}a {t}none", ":0\r\n"),
        ("scard {t}r", ":0\r\n"),
    ]);
    assert!(b.events.contains(&"del {t}r".to_owned()));
}

#[test]
fn another_type_is_refused() {
    let mut b = bench();
    b.run("hset h f v");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    for line in ["sadd h a", "srem h a", "scard h", "spop h", "spop h 0", "srandmember h 1", "sinter no h", "sscan h 0"]
    {
        assert_eq!(b.run(line), wrong, "{line}");
    }
}

#[test]
fn sscan_meets_all_of_a_large_set_once() {
    let mut b = bench();
    for i in 0..2000 {
        b.run(&format!("sadd s member:{i}"));
    }
    let (mut cursor, mut met) = ("0".to_owned(), Vec::new());
    loop {
        let reply = b.run(&format!("sscan s {cursor} count 50"));
        let mut lines = reply.split("\r\n");
        cursor = lines.nth(2).unwrap().to_owned();
        met.extend(lines.filter(|l| l.starts_with("member:")).map(str::to_owned));
        if cursor == "0" {
            break;
        }
    }
    met.sort();
    met.dedup();
    assert_eq!(met.len(), 2000);
    assert_eq!(b.run("sscan s -1"), "-ERR invalid cursor\r\n");
    assert_eq!(b.run("sscan s 0 novalues"), "-ERR NOVALUES option can only be used in HSCAN\r\n");
}
