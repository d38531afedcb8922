use crate::commands::testing::Bench;
use crate::keyspace::{Access, AccessPolicy, EventClass, Plan, Standing};
use crate::resp::reply::Version;

fn bench() -> Bench {
    Bench::new(&[super::COMMANDS, crate::commands::set::COMMANDS])
}

fn told(b: &Bench, from: usize) -> Vec<&str> {
    b.events[from..].iter().map(String::as_str).filter(|e| !e.starts_with("keymiss")).collect()
}

#[test]
fn hset_counts_new_fields_and_hdel_takes_the_empty_key() {
    let mut b = bench();
    b.check(&[
        ("hset h a 1 b 2", ":2\r\n"),
        ("hset h a 1 c 3", ":1\r\n"),
        ("hset h a 1 b", "-ERR wrong number of arguments for 'hset' command\r\n"),
        ("hgetall h", "*6\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n"),
        ("hmget h a x", "*2\r\n$1\r\n1\r\n$-1\r\n"),
        ("hsetnx h a 9", ":0\r\n"),
        ("hgetdel h fields 2 a a", "*2\r\n$1\r\n1\r\n$-1\r\n"),
        ("hdel h b c d", ":2\r\n"),
        ("hlen h", ":0\r\n"),
    ]);
    assert_eq!(told(&b, 0), ["new h", "hset h", "hset h", "hdel h", "hdel h", "del h"]);
}

#[test]
fn numbers_refuse_what_is_none_and_what_overflows() {
    let mut b = bench();
    b.run("hset h t abc n 9223372036854775807");
    b.check(&[
        ("hincrby h t 1", "-ERR hash value is not an integer\r\n"),
        ("hincrby h n 1", "-ERR increment or decrement would overflow\r\n"),
        ("hincrby h n x", "-ERR value is not an integer or out of range\r\n"),
        ("hincrby h m -5", ":-5\r\n"),
        ("hincrbyfloat h t 1", "-ERR hash value is not a float\r\n"),
        ("hincrbyfloat h f inf", "-ERR value is NaN or Infinity\r\n"),
        ("hincrbyfloat h f 1.23", "$4\r\n1.23\r\n"),
        ("hincrbyfloat h f 0.77", "$1\r\n2\r\n"),
    ]);
    assert_eq!(b.effects[1..], ["hincrby h m -5", "HSET h f 1.23", "HSET h f 2"]);
}

#[test]
fn a_field_past_its_deadline_is_unseen_until_it_is_overwritten() {
    let mut b = bench();
    b.run("hset h a 1 b 2");
    b.check(&[("hpexpire h 10 fields 2 a x", "*2\r\n:1\r\n:-2\r\n"), ("hpttl h fields 1 a", "*1\r\n:10\r\n")]);
    b.now_ms += 10;
    b.check(&[
        ("hget h a", "$-1\r\n"),
        ("hlen h", ":2\r\n"),
        ("hkeys h", "*1\r\n$1\r\nb\r\n"),
        ("hdel h a", ":0\r\n"),
        ("httl h fields 2 a b", "*2\r\n:-2\r\n:-1\r\n"),
    ]);
    let from = b.events.len();
    b.check(&[("hsetnx h a 3", ":1\r\n"), ("httl h fields 1 a", "*1\r\n:-1\r\n")]);
    assert_eq!(told(&b, from), ["hexpired h", "hset h"]);
    assert_eq!(b.effects.last().unwrap(), "HSET h a 3");
}

#[test]
fn times_are_told_as_points_in_time() {
    let mut b = bench();
    b.run("hset h a 1");
    b.effects.clear();
    b.run("hexpire h 5 nx fields 1 a");
    b.run("hincrby h a 1");
    b.run("hgetex h px 7 fields 2 a x");
    b.run("hsetex h fxx ex 1 fields 1 a 5");
    b.run("hgetex h persist fields 1 a");
    b.run("hexpire h 0 fields 1 a");
    assert_eq!(
        b.effects,
        [
            "HPEXPIREAT h 1005000 nx fields 1 a",
            "HSETEX h PXAT 1005000 FIELDS 1 a 2",
            "HPEXPIREAT h 1000007 FIELDS 1 a",
            "HSETEX h PXAT 1001000 FIELDS 1 a 5",
            "HPERSIST h FIELDS 1 a",
            "HDEL h a",
        ]
    );
}

#[test]
fn conditions_decide_which_deadline_stands() {
    let mut b = bench();
    b.run("hset h a 1 b 2");
    b.check(&[
        ("hexpire h 100 xx fields 1 a", "*1\r\n:0\r\n"),
        ("hexpire h 100 gt fields 1 a", "*1\r\n:0\r\n"),
        ("hexpire h 100 lt fields 1 a", "*1\r\n:1\r\n"),
        ("hexpire h 100 nx fields 2 a b", "*2\r\n:0\r\n:1\r\n"),
        ("hexpire h 200 gt fields 1 a", "*1\r\n:1\r\n"),
        ("hexpire h 200 gt fields 1 a", "*1\r\n:0\r\n"),
        ("hexpire h 1 nx xx fields 1 a", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
        ("hexpire h 1 gt lt fields 1 a", "-ERR GT and LT options at the same time are not compatible\r\n"),
        ("hexpire h 1 foo fields 1 a", "-ERR Unsupported option foo\r\n"),
        ("hexpire h -1 fields 1 a", "-ERR invalid expire time in 'hexpire' command\r\n"),
        ("hexpire h 9223372036854775 fields 1 a", "-ERR invalid expire time in 'hexpire' command\r\n"),
        ("hpexpireat h 9223372036854775807 fields 1 a", "*1\r\n:1\r\n"),
        (
            "hexpire h 1 fields 2 a",
            "-ERR numfields should be greater than 0 and match the provided number of fields\r\n",
        ),
    ]);
}

#[test]
fn hsetex_writes_nothing_unless_all_conditions_hold() {
    let mut b = bench();
    b.run("hset h a 1");
    b.check(&[
        ("hsetex h nx fields 1 a 2", ":0\r\n"),
        ("hsetex none xx exat abc fields 1 a 2", ":0\r\n"),
        ("hsetex h fnx fields 2 a 2 b 2", ":0\r\n"),
        ("hsetex h fxx fields 2 a 2 b 2", ":0\r\n"),
        ("hsetex h ex 1 px 1 fields 1 a 2", "-ERR syntax error\r\n"),
        ("hget h a", "$1\r\n1\r\n"),
        ("hsetex h exat 1 fields 1 new 2", ":1\r\n"),
        ("hlen h", ":1\r\n"),
    ]);
    assert_eq!(b.effects, ["hset h a 1"]);
}

#[test]
fn due_fields_go_without_being_asked_for() {
    let mut b = bench();
    b.run("hset h a 1 b 2");
    b.run("hsetex h px 5 fields 2 a 1 b 2");
    let upkeep = |b: &mut Bench| {
        let access = Access { policy: AccessPolicy::Lru, now_ms: b.now_ms };
        let mut space = b.keyspace.lock(&Plan::All, access);
        space.events_wanted = EventClass(u32::MAX);
        space.journaled = true;
        let (mut gone, mut sums, now_ms) = (0, [Standing::default()], space.now_ms());
        for stripe in 0..crate::keyspace::STRIPES as u16 {
            space.stripe(stripe).add_standing(&mut sums, now_ms);
            gone += space.expire_fields_due(stripe, 100).0;
        }
        let changes = std::mem::take(&mut space.changes);
        (gone, sums[0].volatile_keys, changes.effects.len(), changes.events.iter().map(|e| e.name).collect::<Vec<_>>())
    };
    assert_eq!(upkeep(&mut b), (0, 1, 0, vec![]));
    b.now_ms += 5;
    assert_eq!(upkeep(&mut b), (2, 1, 1, vec!["hexpired", "del"]));
    assert_eq!(upkeep(&mut b), (0, 0, 0, vec![]));
}

#[test]
fn hrandfield_answers_in_pairs_for_resp3() {
    let mut b = bench();
    b.run("hset h a 1");
    b.check(&[
        ("hrandfield h", "$1\r\na\r\n"),
        ("hrandfield h -2 withvalues", "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("hrandfield none", "$-1\r\n"),
        ("hrandfield none 3", "*0\r\n"),
        ("hrandfield h 4611686018427387904 withvalues", "-ERR value is out of range\r\n"),
        ("hrandfield h 1 foo", "-ERR syntax error\r\n"),
    ]);
    b.version = Version::Resp3;
    b.check(&[("hrandfield h 5 withvalues", "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"), ("hgetall none", "%0\r\n")]);
}

#[test]
fn another_type_is_refused() {
    let mut b = bench();
    b.run("sadd s a");
    for line in ["hset s a 1", "hget s a", "hdel s a", "hscan s 0", "hexpire s 1 fields 1 a", "hincrby s a 1"] {
        assert!(b.run(line).starts_with("-WRONGTYPE"), "{line}");
    }
}

#[test]
fn a_number_of_fields_that_is_none_is_told_before_what_is_missing_behind_it() {
    let mut b = Bench::new(crate::commands::FAMILIES);
    let (number, fields) = (
        "-ERR value is not an integer or out of range\r\n",
        "-ERR numfields should be greater than 0 and match the provided number of fields\r\n",
    );
    b.check(&[
        ("HEXPIRE h 10 XX FIELDS 1.0", number),
        ("HEXPIRE h 10 XX FIELDS 1", fields),
        ("HEXPIRE h 10 XX a FIELDS", fields),
        ("HEXPIRE h 10 foo FIELDS 1.0", "-ERR Unsupported option foo\r\n"),
        ("HGETEX h EX 3 FIELDS", fields),
        ("HGETEX h foo 3 FIELDS", fields),
        ("HSETEX h foo 3 FIELDS 1", "-ERR syntax error\r\n"),
    ]);
}
