//! What HyperLogLogs answer and what replicas are told.

use crate::commands::FAMILIES;
use crate::commands::testing::Bench;

#[test]
fn counting_remembers_and_replicas_count_too() {
    let mut b = Bench::new(FAMILIES);
    b.check(&[
        ("PFADD h", ":1\r\n"),
        ("PFADD h", ":0\r\n"),
        ("PFADD h a b c", ":1\r\n"),
        ("PFADD h a", ":0\r\n"),
        ("GETRANGE h 15 15", "$1\r\n\u{fffd}\r\n"),
        ("PFCOUNT h", ":3\r\n"),
        ("GETRANGE h 8 15", "$8\r\n\u{3}\0\0\0\0\0\0\0\r\n"),
        ("PFCOUNT h", ":3\r\n"),
        ("PFCOUNT none", ":0\r\n"),
        ("PFCOUNT h none", ":3\r\n"),
        ("PFMERGE d h none", "+OK\r\n"),
        ("PFMERGE d", "+OK\r\n"),
        ("PFCOUNT d h", ":3\r\n"),
        ("OBJECT ENCODING h", "$3\r\nraw\r\n"),
    ]);
    assert_eq!(b.effects, ["PFADD h", "PFADD h a b c", "PFCOUNT h", "PFMERGE d h none", "PFMERGE d"]);
    assert_eq!(b.events.iter().filter(|e| e.starts_with("pf")).count(), 4);
}

#[test]
fn strings_that_are_none_and_registers_that_do_not_come_out_are_refused() {
    let mut b = Bench::new(FAMILIES);
    let (not_one, wrong) = (
        "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n",
        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    );
    let corrupt = "-INVALIDOBJ Corrupted HLL object detected\r\n";
    b.run("SET s x");
    b.run("SET n 5");
    b.run("LPUSH l x");
    b.run("PFADD h a");
    b.run("APPEND h hello");
    b.effects.clear();
    b.check(&[
        ("PFADD s a", not_one),
        ("PFCOUNT n", not_one),
        ("PFMERGE d s", not_one),
        ("PFMERGE s", not_one),
        ("PFADD l a", wrong),
        ("PFCOUNT d l", wrong),
        ("PFCOUNT h", corrupt),
        ("PFCOUNT h d", corrupt),
        ("PFMERGE d h", corrupt),
        ("PFDEBUG TODENSE h", corrupt),
        ("EXISTS d", ":0\r\n"),
    ]);
    assert_eq!(b.effects, [""; 0]);
}
