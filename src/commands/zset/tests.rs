use super::COMMANDS;
use crate::commands::testing::Bench;
use crate::resp::reply::Version;

fn bench() -> Bench {
    Bench::new(&[COMMANDS])
}

#[test]
fn zadd_obeys_its_conditions_and_counts_what_it_did() {
    let mut b = bench();
    b.check(&[
        ("zadd z 1 a 2 b 3 c", ":3\r\n"),
        ("zadd z xx ch 5 a 9 new", ":1\r\n"),
        ("zadd z nx 7 a 4 d", ":1\r\n"),
        ("zadd z gt ch 4 a 6 a", ":1\r\n"),
        ("zadd z incr 1.5 a", "$3\r\n7.5\r\n"),
        ("zadd z nx incr 1 a", "$-1\r\n"),
        ("zadd none xx 1 a", ":0\r\n"),
        ("zadd z nx gt 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n"),
        ("zadd z 1 a x b", "-ERR value is not a valid float\r\n"),
        ("zscore z b", "$1\r\n2\r\n"),
        ("zadd z inf i", ":1\r\n"),
        ("zincrby z -inf i", "-ERR resulting score is not a number (NaN)\r\n"),
    ]);
    assert_eq!(b.events[..2], ["new z", "zadd z"]);
}

#[test]
fn zrange_takes_ranks_scores_and_names_from_either_end() {
    let mut b = bench();
    b.run("zadd z 1 a 2 b 3 c 4 d");
    b.check(&[
        ("zrange z 1 -2", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
        ("zrange z 0 0 rev withscores", "*2\r\n$1\r\nd\r\n$1\r\n4\r\n"),
        ("zrange z (1 +inf byscore limit 1 1", "*1\r\n$1\r\nc\r\n"),
        ("zrange z +inf (1 byscore rev limit 1 -1", "*2\r\n$1\r\nc\r\n$1\r\nb\r\n"),
        ("zrevrangebylex z + (b", "*2\r\n$1\r\nd\r\n$1\r\nc\r\n"),
        ("zrange z -inf inf byscore limit -1 2", "*0\r\n"),
        ("zcount z 0x1 9", "-ERR min or max is not a float\r\n"),
        ("zcount z -inf (0x9", "-ERR min or max is not a float\r\n"),
        ("zrangestore d z 0 1", ":2\r\n"),
        ("zrangestore d none 0 1", ":0\r\n"),
        ("zcard d", ":0\r\n"),
    ]);
    b.version = Version::Resp3;
    b.check(&[("zrange z 0 0 withscores", "*1\r\n*2\r\n$1\r\na\r\n,1\r\n")]);
}

#[test]
fn pops_say_which_key_and_how_many_to_the_log_and_wait_where_there_is_nothing() {
    let mut b = bench();
    b.run("zadd z 1 a 2 b 3 c");
    b.effects.clear();
    b.check(&[
        (
            "zmpop 2 none z max count 2",
            "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n",
        ),
        ("bzpopmin none z 0", "*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("bzpopmin none z 0.5", ""),
    ]);
    assert_eq!(b.effects, ["ZPOPMAX z 2", "ZPOPMIN z"]);
    assert_eq!(b.blocked.as_ref().map(|r| r.timeout_ms), Some(500));
    assert_eq!(b.events[b.events.len() - 2..], ["zpopmin z", "del z"]);
}

#[test]
fn combinations_weigh_and_aggregate() {
    let mut b = bench();
    b.run("zadd x 1 a 2 b 3 c");
    b.run("zadd y 1 b 2 c 3 d");
    b.check(&[
        ("zunionstore o 2 x y weights 2 3", ":4\r\n"),
        (
            "zrange o 0 -1 withscores",
            "*8\r\n$1\r\na\r\n$1\r\n2\r\n$1\r\nb\r\n$1\r\n7\r\n$1\r\nd\r\n$1\r\n9\r\n$1\r\nc\r\n$2\r\n12\r\n",
        ),
        ("zinter 2 x y aggregate max withscores", "*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("zdiff 2 x y", "*1\r\n$1\r\na\r\n"),
        ("zintercard 2 x y limit 1", ":1\r\n"),
        ("zinterstore o 2 x none", ":0\r\n"),
        ("zcard o", ":0\r\n"),
    ]);
}

#[test]
fn a_timeout_of_bzpopmin_is_read_as_that_of_blpop() {
    let mut b = Bench::new(crate::commands::FAMILIES);
    b.check(&[
        ("ZADD z 1 a 2 b", ":2\r\n"),
        ("BZPOPMIN z 0x0.01", "*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("BZPOPMAX z 0x0.01", "*3\r\n$1\r\nz\r\n$1\r\nb\r\n$1\r\n2\r\n"),
        ("BZPOPMIN none nan", "-ERR timeout is not a float or out of range\r\n"),
        ("BZMPOP inf 0 none MIN", "-ERR numkeys should be greater than 0\r\n"),
        ("BZMPOP abc 1 none foo", "-ERR syntax error\r\n"),
        ("BZMPOP abc 1 none MIN", "-ERR timeout is not a float or out of range\r\n"),
    ]);
}
