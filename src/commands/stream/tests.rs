//! What streams answer, and what replicas are told of it.

use crate::commands::FAMILIES;
use crate::commands::testing::Bench;
use crate::keyspace::Key;

#[test]
fn an_entry_is_told_with_the_id_it_got_and_trimming_with_where_it_ended() {
    let mut b = Bench::new(FAMILIES);
    b.check(&[
        ("XADD x * a b", "$9\r\n1000000-0\r\n"),
        ("XADD x * a b", "$9\r\n1000000-1\r\n"),
        ("XADD x 2000000-* a b", "$9\r\n2000000-0\r\n"),
        ("XADD x MAXLEN ~ 100 LIMIT 10 2000001 a b", "$9\r\n2000001-0\r\n"),
        ("XADD x MAXLEN 2 * a b", "$9\r\n2000001-1\r\n"),
        ("XADD x MINID ~ 1 * a b", "$9\r\n2000001-2\r\n"),
        ("XTRIM x MAXLEN 1", ":2\r\n"),
        ("XTRIM x MAXLEN ~ 0", ":1\r\n"),
        ("XLEN x", ":0\r\n"),
        ("TYPE x", "+stream\r\n"),
        ("XADD none NOMKSTREAM * a b", "$-1\r\n"),
    ]);
    let want = [
        "XADD x 1000000-0 a b",
        "XADD x 1000000-1 a b",
        "XADD x 2000000-0 a b",
        "XADD x MAXLEN = 4 2000001-0 a b",
        "XADD x MAXLEN 2 2000001-1 a b",
        "XADD x MINID = 2000001-0 2000001-2 a b",
        "XTRIM x MAXLEN 1",
        "XTRIM x MAXLEN = 0",
    ];
    assert_eq!(b.effects, want);
    assert_eq!(&b.events[..2], ["new x", "xadd x"]);
}

#[test]
fn a_read_by_a_group_is_told_as_claims_and_the_groups_place() {
    let mut b = Bench::new(FAMILIES);
    b.run("XADD x 1-1 f 1");
    b.run("XADD x 1-2 f 2");
    b.run("XGROUP CREATE x g 0");
    b.effects.clear();
    b.check(&[(
        "XREADGROUP GROUP g ann COUNT 1 STREAMS x >",
        "*1\r\n*2\r\n$1\r\nx\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n",
    )]);
    b.run("XREADGROUP GROUP g bob NOACK STREAMS x >");
    b.check(&[("XREADGROUP GROUP g cid STREAMS x >", "*-1\r\n"), ("XREADGROUP GROUP g cid STREAMS x >", "*-1\r\n")]);
    let want = [
        "XCLAIM x g ann 0 1-1 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1",
        "XGROUP SETID x g 1-1 ENTRIESREAD 1",
        "XGROUP CREATECONSUMER x g bob",
        "XGROUP SETID x g 1-2 ENTRIESREAD 2",
        "XGROUP CREATECONSUMER x g cid",
    ];
    assert_eq!(b.effects, want);
    b.check(&[
        ("XPENDING x g", "*4\r\n:1\r\n$3\r\n1-1\r\n$3\r\n1-1\r\n*1\r\n*2\r\n$3\r\nann\r\n$1\r\n1\r\n"),
        ("XACK x g 1-1 1-2", ":1\r\n"),
        ("XPENDING x g", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n"),
    ]);
}

#[test]
fn what_was_told_leaves_the_same_group_behind() {
    let (mut b, mut copy) = (Bench::new(FAMILIES), Bench::new(FAMILIES));
    for line in [
        "XADD x 1-1 f 1",
        "XADD x 1-2 f 2",
        "XADD x 1-3 f 3",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g ann COUNT 2 STREAMS x >",
        "XREADGROUP GROUP g bob NOACK STREAMS x >",
        "XDEL x 1-2",
        "XCLAIM x g bob 0 1-1 1-2 LASTID 5-5",
        "XADD x 1-9 f 9",
        "XAUTOCLAIM x g cid 0 - JUSTID",
        "XCLAIM x g dan 0 7-7 LASTID 6-6",
        "XGROUP SETID x g 1-3 ENTRIESREAD 3",
        "XREADGROUP GROUP g ann STREAMS x >",
        "XGROUP DELCONSUMER x g bob",
    ] {
        b.run(line);
    }
    for line in b.effects.clone() {
        copy.run(&line);
    }
    let look = "XINFO STREAM x FULL";
    let (ours, theirs) = (b.run(look), copy.run(look));
    assert_eq!(ours, theirs);
    assert!(ours.contains("dan"), "a consumer that got nothing is there too");
}

#[test]
fn reading_waits_with_the_ids_that_were_meant() {
    let mut b = Bench::new(FAMILIES);
    b.run("XADD x 5-5 f 1");
    assert_eq!(b.run("XREAD BLOCK 0 STREAMS x none $ $"), "");
    let block = b.blocked.take().unwrap();
    let words: Vec<_> = block.args.as_ref().unwrap().args().iter().map(<[u8]>::to_vec).collect();
    assert_eq!(words[6..], [b"5-5".to_vec(), b"0-0".to_vec()]);
    assert_eq!((block.keys.len(), block.needs_key), (2, false));
    b.run("XGROUP CREATE x g $");
    b.run("XREADGROUP GROUP g c BLOCK 10 STREAMS x >");
    assert!(b.blocked.take().unwrap().needs_key);
    b.check(&[
        ("XREADGROUP GROUP g c BLOCK 10 STREAMS x 0", "*1\r\n*2\r\n$1\r\nx\r\n*0\r\n"),
        ("XREAD BLOCK -1 STREAMS x 0", "-ERR timeout is negative\r\n"),
    ]);
}

#[test]
fn resp3_has_a_map_of_streams() {
    let mut b = Bench::new(FAMILIES);
    b.version = crate::resp::reply::Version::Resp3;
    b.run("XADD x 5-5 f 1");
    b.check(&[
        ("XREAD STREAMS x 0", "%1\r\n$1\r\nx\r\n*1\r\n*2\r\n$3\r\n5-5\r\n*2\r\n$1\r\nf\r\n$1\r\n1\r\n"),
        ("XREAD STREAMS x $", "_\r\n"),
    ]);
}

#[test]
fn a_stream_without_entries_stays_and_comes_back_from_a_payload() {
    let mut b = Bench::new(FAMILIES);
    for line in ["XADD x 5-5 f 1", "XDEL x 5-5", "XGROUP CREATE x g $", "XGROUP CREATECONSUMER x g c"] {
        b.run(line);
    }
    let payload = b.run_words(&[b"dump", b"x"]);
    let start = payload.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
    let payload = payload[start..payload.len() - 2].to_vec();
    assert_eq!(b.run_words(&[b"restore", b"y", b"0", &payload]), b"+OK\r\n");
    let look = b.run("XINFO STREAM x FULL");
    b.check(&[
        ("XINFO STREAM y FULL", look.as_str()),
        ("COPY x z", ":1\r\n"),
        ("XINFO STREAM z FULL", look.as_str()),
        ("OBJECT ENCODING z", "$6\r\nstream\r\n"),
        ("XADD y 5-5 f 1", "-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n"),
    ]);
}

#[test]
fn a_group_with_much_pending_is_freed_without_the_lock() {
    let mut b = Bench::new(FAMILIES);
    for n in 1..=400 {
        b.run(&format!("XADD x {n} f v"));
    }
    b.run("XGROUP CREATE x g 0");
    b.run("XREADGROUP GROUP g c STREAMS x >");
    let key = Key::new(0, b"x");
    let space = b.keyspace.lock_one(
        key.hash.stripe,
        crate::keyspace::Access { policy: crate::keyspace::AccessPolicy::Lru, now_ms: b.now_ms },
    );
    let effort = space.look(key).unwrap().object().unwrap().free_effort();
    assert!(effort > crate::keyspace::FREE_AT_ONCE_MAX, "{effort}");
    drop(space);
    b.check(&[("XGROUP DESTROY x g", ":1\r\n"), ("XGROUP DESTROY x g", ":0\r\n")]);
}

#[test]
fn what_trims_by_id_takes_an_id_and_not_the_ends_of_a_range() {
    let mut b = Bench::new(FAMILIES);
    b.run("XADD x 1-1 a b");
    let wrong = "-ERR Invalid stream ID specified as stream command argument\r\n";
    b.check(&[
        ("XTRIM x MINID -", wrong),
        ("XTRIM x MINID = +", wrong),
        ("XADD x MINID + * a b", wrong),
        ("XLEN x", ":1\r\n"),
    ]);
}

#[test]
fn xinfo_looks_for_the_key_before_it_reads_its_words() {
    let mut b = Bench::new(FAMILIES);
    b.check(&[
        ("XINFO STREAM none FULL COUNT abc", "-ERR no such key\r\n"),
        ("XINFO STREAM none foo", "-ERR no such key\r\n"),
        ("XADD s 1-1 a b", "$3\r\n1-1\r\n"),
        ("XINFO STREAM s FULL COUNT abc", "-ERR value is not an integer or out of range\r\n"),
    ]);
}

#[test]
fn a_count_of_xautoclaim_that_is_no_number_is_told_as_one_below_one() {
    let mut b = Bench::new(FAMILIES);
    b.check(&[("XAUTOCLAIM s g c 0 0 COUNT abc", "-ERR COUNT must be > 0\r\n")]);
}
