//! Every command of the table with arguments at their edges and at random: nothing panics and nothing hangs.
//!
//! A command that touches a key its key specifications do not name panics in the key space (the stripe is not locked), so this shows as well
//! that the keys COMMAND GETKEYS tells are the keys that are touched.

#[path = "support/turn.rs"]
mod turn;

use holdfast::base::hash::Random;
use holdfast::commands::Entry;
use holdfast::spec::{Argument, ArgumentKind, parse_syntax};
use std::panic::{AssertUnwindSafe, catch_unwind};
use turn::Lab;

/// What would end, stop or silence the server, reach out of the process, or change what later calls mean.
const LEFT_OUT: &[&str] = &[
    "shutdown",
    "save",
    "bgsave",
    "bgrewriteaof",
    "replicaof",
    "slaveof",
    "failover",
    "psync",
    "sync",
    "replconf",
    "migrate",
    "monitor",
    "reset",
    "quit",
    "auth",
    "hello",
    "multi",
    "client|pause",
    "client|reply",
    "client|kill",
    "config|set",
    "config|rewrite",
    "acl|save",
    "acl|load",
    "acl|setuser",
    "acl|deluser",
    "debug",
    "module|load",
    "module|loadex",
    "select",
    "subscribe",
    "psubscribe",
    "ssubscribe",
];

const CALLS_PER_COMMAND: usize = 30;

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "10",
    "100",
    "-100",
    "1000",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "4294967296",
    "1099511627776",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "-9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "-9223372036854775809",
    "01",
    "+1",
    "-0",
    " 1",
    "1 ",
    "1x",
    "0x10",
    "",
];
const DOUBLES: &[&str] = &[
    "0",
    "1.5",
    "-1.5",
    "inf",
    "-inf",
    "+inf",
    "nan",
    "1e308",
    "-1e308",
    "1e309",
    "5e-324",
    "1e-400",
    "0.1",
    "-0",
    "(1",
    "(-inf",
    "180",
    "-180.0001",
    "90",
    "3.9999999999999999999",
    "1e",
    "",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "f1",
    "m1",
    "hello world",
    "-",
    "+",
    "[a",
    "(m1",
    "*",
    "1-1",
    "0-0",
    "1-*",
    "$",
    ">",
    "~",
    "=",
    "\u{0}\u{1}\u{ff}",
];
const PATTERNS: &[&str] = &["*", "k*", "[", "[a-", "\\", "?", "k{", "*a*a*a*a*b", ""];

const KEYS: &[&str] =
    &["str", "int", "list", "hash", "set", "ints", "zset", "big", "gone", "{t}a", "{t}b", "", "stream"];

fn fill(lab: &mut Lab) {
    for line in [
        "flushall",
        "set str value",
        "set int 42",
        "rpush list a b c 1 2 3",
        "hset hash f1 v1 f2 2 f3 3.5",
        "sadd set a b c m1",
        "sadd ints 1 2 3",
        "zadd zset 1 m1 2 m2 3.5 m3",
        "set big 0",
        "setrange big 20000 x",
        "set {t}a 1",
        "rpush {t}b x",
        "xadd stream 1-1 f v",
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        lab.ask(&words);
    }
}

struct Maker {
    rng: Random,
    /// `numkeys` has been written: so many keys follow.
    keys: Option<usize>,
}

impl Maker {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.below(of.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn text(&mut self) -> Vec<u8> {
        match self.rng.below(10) {
            0 => vec![b'x'; 300],
            1 => (0..self.rng.below(40)).map(|_| self.rng.next_u64() as u8).collect(),
            2 => self.one(INTEGERS).into(),
            3 => self.one(DOUBLES).into(),
            _ => self.one(TEXTS).into(),
        }
    }

    fn argument(&mut self, a: &Argument<'_>, out: &mut Vec<Vec<u8>>) {
        if a.optional && self.chance(50) {
            return;
        }
        let times = match (a.multiple, self.keys.take()) {
            (true, Some(n)) => n,
            (true, None) => 1 + self.rng.below(3) as usize,
            (false, keys) => {
                self.keys = keys;
                1
            }
        };
        for i in 0..times {
            if let Some(token) = a.token
                && (i == 0 || a.multiple_token)
                && a.kind != ArgumentKind::OneOf
            {
                out.push(token.into());
            }
            match a.kind {
                ArgumentKind::PureToken => {}
                ArgumentKind::OneOf => {
                    let n = self.rng.below(a.arguments.len() as u64) as usize;
                    self.argument(&a.arguments[n], out);
                }
                ArgumentKind::Block => a.arguments.iter().for_each(|s| self.argument(s, out)),
                ArgumentKind::Key => out.push(self.one(KEYS).into()),
                ArgumentKind::Integer if a.name == "numkeys" && self.chance(80) => {
                    let n = 1 + self.rng.below(3) as usize;
                    self.keys = Some(n);
                    out.push(n.to_string().into_bytes());
                }
                ArgumentKind::Integer | ArgumentKind::UnixTime => out.push(self.one(INTEGERS).into()),
                ArgumentKind::Double => out.push(self.one(DOUBLES).into()),
                ArgumentKind::Pattern => out.push(self.one(PATTERNS).into()),
                ArgumentKind::String => out.push(self.text()),
            }
        }
    }

    fn call(&mut self, entry: &Entry) -> Vec<Vec<u8>> {
        let mut out: Vec<Vec<u8>> = entry.name.split('|').map(|w| w.as_bytes().to_vec()).collect();
        self.keys = None;
        for a in parse_syntax(entry.spec().arguments).expect("the row's syntax parses") {
            self.argument(&a, &mut out);
        }
        if self.chance(15) && out.len() > 1 {
            let at = 1 + self.rng.below(out.len() as u64 - 1) as usize;
            out[at] = self.text();
        }
        if self.chance(8) {
            out.pop();
        }
        if self.chance(8) {
            let more = self.text();
            out.push(more);
        }
        if out.is_empty() {
            out.push(b"ping".to_vec());
        }
        out
    }
}

#[test]
fn no_arguments_make_any_command_panic_or_touch_a_key_it_does_not_name() {
    let mut lab = Lab::new();
    // Strings of half a gigabyte are another test's.
    lab.node.config.adjust(|c| c.limits.proto_max_bulk_len = 1 << 20);
    let mut maker = Maker { rng: Random::new(7), keys: None };
    let mut ran = 0;
    for entry in lab.node.commands.all() {
        if LEFT_OUT.contains(&entry.name.as_str()) || entry.spec().parent.is_some_and(|p| LEFT_OUT.contains(&p)) {
            continue;
        }
        fill(&mut lab);
        for i in 0..CALLS_PER_COMMAND {
            let words = maker.call(entry);
            let slices: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let reply = catch_unwind(AssertUnwindSafe(|| lab.ask(&slices)));
            let shown = || slices.iter().map(|w| w.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
            match reply {
                Ok(reply) => {
                    let complete = reply.is_empty() || reply.ends_with(b"\r\n");
                    assert!(complete, "half a reply: {}", shown());
                }
                Err(_) => panic!("the call that panicked: {}", shown()),
            }
            ran += 1;
            if i % 25 == 24 {
                fill(&mut lab);
            }
        }
    }
    assert!(ran > 3_000, "{ran} calls");
}
