//! The same random commands to this server and to a Valkey, and the same replies expected, byte for byte.
//!
//! Runs only if `VALKEY_SERVER` names a server's binary. `DIFFERENTIAL_SEED`, `DIFFERENTIAL_ROUNDS` (commands per family and
//! protocol) and `DIFFERENTIAL_FAMILY` choose what is tried; a difference names the seed and the command. Families take turns, each over its own few keys and
//! now and then over another's, so that keys of the wrong type, odd numbers, odd words and odd arities are met.
//!
//! Not compared: the order of what has none (marked `~`), and anything that depends on chance or the clock.

#![expect(clippy::disallowed_methods, reason = "a test waits by the wall, not by the server's clock")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Words in braces are filled in: `k` a key of the family, `v` an element, `i` an integer at the edges, `n` a small number, `f` a
/// number as text, `t` a short timeout, `a|b|c` one of these. `~` in front: the reply's elements have no order.
const FAMILIES: &[(&str, &[&str])] = &[
    (
        "list",
        &[
            "LPUSH {k} {v} {v} {v}",
            "RPUSH {k} {v} {v} {v} {v}",
            "RPUSH {k} {f} {i} {n}",
            "LPUSHX {k} {v}",
            "RPUSHX {k} {v} {v}",
            "LPOP {k}",
            "RPOP {k}",
            "LPOP {k} {i}",
            "RPOP {k} {n}",
            "LLEN {k}",
            "LINDEX {k} {i}",
            "LINDEX {k} {n}",
            "LRANGE {k} {n} {n}",
            "LRANGE {k} {i} {i}",
            "LSET {k} {n} {v}",
            "LINSERT {k} {BEFORE|after|foo} {v} {v}",
            "LREM {k} {n} {v}",
            "LREM {k} {i} {v}",
            "LTRIM {k} {n} {n}",
            "LPOS {k} {v}",
            "LPOS {k} {v} RANK {n} COUNT {n} MAXLEN {n}",
            "LPOS {k} {v} {RANK|COUNT|MAXLEN} {i}",
            "LMOVE {k} {k} {LEFT|RIGHT|foo} {LEFT|right}",
            "RPOPLPUSH {k} {k}",
            "LMPOP {n} {k} {k} {LEFT|RIGHT} COUNT {n}",
            "LMPOP 2 {k} {k} {LEFT|RIGHT} {COUNT|foo} {i}",
            "BLPOP {k} {k} {t}",
            "BRPOP {k} {t}",
            "BLMOVE {k} {k} {LEFT|foo} RIGHT {t}",
            "BRPOPLPUSH {k} {k} {t}",
            "BLMPOP {t} 2 {k} {k} {LEFT|foo} COUNT {n}",
            "SORT {k} {ALPHA|DESC|ASC|foo}",
            "SORT {k} ALPHA LIMIT {n} {n}",
            "SORT {k} BY nosort LIMIT {i} {i} {ASC|DESC}",
            "SORT {k} ALPHA STORE {k}",
            "SORT_RO {k} BY string:* GET # GET hash:*->{v} {ALPHA|DESC}",
            "DEL {k}",
            "OBJECT ENCODING {k}",
        ],
    ),
    (
        "set",
        &[
            "SADD {k} {v} {v} {v}",
            "SADD {k} {n} {n} {i}",
            "SREM {k} {v} {n}",
            "SCARD {k}",
            "SISMEMBER {k} {v}",
            "SMISMEMBER {k} {v} {n} {v}",
            "SMOVE {k} {k} {v}",
            "~SMEMBERS {k}",
            "~SUNION {k} {k}",
            "~SINTER {k} {k}",
            "~SDIFF {k} {k}",
            "SUNIONSTORE {k} {k} {k}",
            "SINTERSTORE {k} {k} {k}",
            "SDIFFSTORE {k} {k} {k}",
            "SINTERCARD {n} {k} {k} LIMIT {i}",
            "SPOP {k} {0|-1|abc}",
            "SORT {k} ALPHA {DESC|ASC}",
            "DEL {k}",
            "OBJECT ENCODING {k}",
        ],
    ),
    (
        "hash",
        &[
            "HSET {k} {v} {v} {n} {f}",
            "HSETNX {k} {v} {v}",
            "HGET {k} {v}",
            "HMGET {k} {v} {n} {v}",
            "HDEL {k} {v} {n}",
            "HLEN {k}",
            "HSTRLEN {k} {v}",
            "HEXISTS {k} {v}",
            "HINCRBY {k} {n} {i}",
            "HINCRBYFLOAT {k} {n} {f}",
            "~HGETALL {k}",
            "~HKEYS {k}",
            "~HVALS {k}",
            "DEL {k}",
            "OBJECT ENCODING {k}",
        ],
    ),
    (
        "zset",
        &[
            "ZADD {k} {f} {v} {n} {v}",
            "ZADD {k} {NX|XX|GT|LT|foo} {CH|INCR|XX} {f} {v}",
            "ZREM {k} {v} {v}",
            "ZCARD {k}",
            "ZSCORE {k} {v}",
            "ZMSCORE {k} {v} {v}",
            "ZINCRBY {k} {f} {v}",
            "ZRANK {k} {v} {WITHSCORE|foo}",
            "ZREVRANK {k} {v}",
            "ZCOUNT {k} {f} {f}",
            "ZRANGE {k} {n} {n} {WITHSCORES|REV}",
            "ZRANGE {k} {f} {f} BYSCORE LIMIT {n} {n}",
            "ZRANGE {k} {-|[a|(b|foo} {+|[c|(b} BYLEX {REV|LIMIT}",
            "ZRANGEBYSCORE {k} ({n} {f} WITHSCORES",
            "ZREVRANGEBYSCORE {k} {f} {f} LIMIT {i} {i}",
            "ZREMRANGEBYRANK {k} {n} {n}",
            "ZREMRANGEBYSCORE {k} {n} {n}",
            "ZPOPMIN {k} {n}",
            "ZPOPMAX {k}",
            "ZUNIONSTORE {k} 2 {k} {k} WEIGHTS {n} {f} AGGREGATE {SUM|MIN|MAX}",
            "ZINTERSTORE {k} {n} {k} {k}",
            "ZDIFF 2 {k} {k} WITHSCORES",
            "ZMPOP 2 {k} {k} {MIN|MAX|foo} COUNT {n}",
            "BZPOPMIN {k} {t}",
            "SORT {k} BY nosort {ASC|DESC} LIMIT {n} {n}",
            "DEL {k}",
            "OBJECT ENCODING {k}",
        ],
    ),
    (
        "string",
        &[
            "SET {k} {v} {NX|XX|GET|foo}",
            "SET {k} {i}",
            "SET {k} {f} {EX|PX|EXAT|PXAT} {0|-1|9223372036854775807|abc|4000000000}",
            "GET {k}",
            "GETDEL {k}",
            "GETSET {k} {v}",
            "GETRANGE {k} {i} {i}",
            "GETRANGE {k} {n} {n}",
            "SETRANGE {k} {n} {v}",
            "APPEND {k} {v}",
            "STRLEN {k}",
            "INCR {k}",
            "DECRBY {k} {i}",
            "INCRBY {k} {i}",
            "INCRBYFLOAT {k} {f}",
            "MSET {k} {v} {k} {i}",
            "MSETNX {k} {v} {k} {v}",
            "MGET {k} {k} {k}",
            "LCS {k} {k} {LEN|IDX|foo}",
            "SETBIT {k} {n} {0|1|2}",
            "GETBIT {k} {n}",
            "BITCOUNT {k} {n} {n} {BIT|BYTE|foo}",
            "BITPOS {k} {0|1|2} {n} {n}",
            "EXISTS {k} {k}",
            "TYPE {k}",
            "PEXPIREAT {k} {9999999999999|abc|0|-1|9223372036854775807} {NX|XX|GT|LT|foo}",
            "PEXPIRETIME {k}",
            "PERSIST {k}",
            "COPY {k} {k} {REPLACE|foo}",
            "RENAME {k} {k}",
            "RENAMENX {k} {k}",
            "DEL {k} {k}",
            "OBJECT ENCODING {k}",
        ],
    ),
];

const ODD_INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "-9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "4294967296",
    "2147483648",
    "-2147483649",
    "01",
    "+1",
    " 1",
    "1.0",
    "",
    "abc",
];
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1.5",
    "-2.25",
    "3",
    "1e3",
    "inf",
    "-inf",
    "+inf",
    "nan",
    "0x10",
    "1e400",
    "1e-400",
    "0.1",
    " 1",
    "1 ",
    "",
    "abc",
    "12345678901234567890",
    "(1",
    "1e5000",
];
const TIMEOUTS: &[&str] = &["0.001", "0.01", "-1", "abc", "inf", "1e400", "nan", "9223372036854775807", "", "0x0.01"];

/// Keys a family has.
const KEYS: u64 = 4;

/// splitmix64: the same sequence for a seed on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    fn fill(&mut self, hole: &str, family: &str) -> String {
        match hole {
            "k" => {
                let of =
                    if self.below(20) == 0 { self.pick(&["list", "set", "hash", "zset", "string"]) } else { family };
                format!("{of}:{}", self.below(KEYS))
            }
            "v" if self.below(40) == 0 => "x".repeat(60 + self.below(9000) as usize),
            "v" => self.pick(&["a", "b", "c", "d", "e", "1", "-3", "a b", ""]).to_owned(),
            "i" => self.pick(ODD_INTEGERS).to_owned(),
            "n" => (self.below(12) as i64 - 4).to_string(),
            "f" => self.pick(NUMBERS).to_owned(),
            "t" => self.pick(TIMEOUTS).to_owned(),
            words => self.pick(&words.split('|').collect::<Vec<_>>()).to_owned(),
        }
    }

    fn command(&mut self, template: &str, family: &str) -> Vec<String> {
        let mut words: Vec<String> = template
            .split(' ')
            .map(|word| match (word.find('{'), word.find('}')) {
                (Some(from), Some(to)) => {
                    format!("{}{}{}", &word[..from], self.fill(&word[from + 1..to], family), &word[to + 1..])
                }
                _ => word.to_owned(),
            })
            .collect();
        // What waits keeps its timeout, or it would wait for ever.
        let waits = words[0].starts_with('B') && !words[0].starts_with("BIT");
        // SPOP without its count takes what chance says. LSET's index is cut to 32 bits there, which is not worth having here.
        if waits || words[0] == "SPOP" || words[0] == "LSET" {
            return words;
        }
        match self.below(30) {
            0 if words.len() > 1 => {
                words.pop();
            }
            1 => words.push(self.pick(&["extra", "COUNT", "1", "LIMIT"]).to_owned()),
            2 if words.len() > 2 => {
                let at = 2 + self.below(words.len() as u64 - 2) as usize;
                words[at] = self.pick(ODD_INTEGERS).to_owned();
            }
            _ => {}
        }
        words
    }
}

/// A reply as it came: its first line, what follows it, and its elements.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reply {
    head: Vec<u8>,
    body: Vec<u8>,
    elements: Vec<Reply>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.head.escape_ascii())?;
        if !self.body.is_empty() {
            write!(f, " {}", self.body[..self.body.len().min(200)].escape_ascii())?;
        }
        if !self.elements.is_empty() {
            f.debug_list().entries(&self.elements).finish()?;
        }
        Ok(())
    }
}

struct Server {
    process: Child,
    stream: BufReader<TcpStream>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(binary: &str, arguments: &[&str]) -> Server {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address").port();
        let process = Command::new(binary)
            .args(arguments)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--dir", &folder.path().display().to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => {
                    stream.set_nodelay(true).expect("nodelay");
                    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a read timeout");
                    return Server { process, stream: BufReader::new(stream), _folder: folder };
                }
                Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
                Err(e) => panic!("{binary} does not listen: {e}"),
            }
        }
    }

    fn call(&mut self, words: &[String]) -> Reply {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.stream.get_mut().write_all(&request).expect("the server reads");
        self.read()
    }

    fn line(&mut self, words: &str) -> Reply {
        self.call(&words.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn read(&mut self) -> Reply {
        let mut head = Vec::new();
        self.stream.read_until(b'\n', &mut head).expect("the server answers");
        assert!(head.ends_with(b"\r\n"), "the connection ended after {:?}", head.escape_ascii().to_string());
        head.truncate(head.len() - 2);
        let n = || std::str::from_utf8(&head[1..]).ok().and_then(|t| t.parse::<i64>().ok()).unwrap_or(-1);
        let mut reply = Reply { body: Vec::new(), elements: Vec::new(), head: head.clone() };
        match head.first() {
            Some(b'$' | b'=' | b'!') if n() >= 0 => {
                reply.body.resize(n() as usize + 2, 0);
                self.stream.read_exact(&mut reply.body).expect("the whole string");
                reply.body.truncate(n() as usize);
            }
            Some(b'*' | b'~' | b'>') => reply.elements = (0..n()).map(|_| self.read()).collect(),
            Some(b'%') => reply.elements = (0..n() * 2).map(|_| self.read()).collect(),
            _ => {}
        }
        reply
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn number_from(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

/// Both servers and the differences found.
struct Pair {
    ours: Server,
    theirs: Server,
    differences: Vec<String>,
}

impl Pair {
    /// Sends a command to both; true if they agree.
    fn agree(&mut self, words: &[String], ordered: bool, place: &str) -> bool {
        let (mut ours, mut theirs) = (self.ours.call(words), self.theirs.call(words));
        if !ordered {
            ours.elements.sort();
            theirs.elements.sort();
        }
        if ours != theirs {
            let shown: Vec<_> = words.iter().map(|w| format!("{:?}", &w[..w.len().min(80)])).collect();
            self.differences.push(format!("{place}: {}\n  ours   {ours:?}\n  theirs {theirs:?}", shown.join(" ")));
        }
        ours == theirs
    }

    fn all_keys() -> Vec<String> {
        FAMILIES.iter().flat_map(|(f, _)| (0..KEYS).map(move |i| format!("{f}:{i}"))).collect()
    }

    fn empty(&mut self) {
        let words: Vec<String> = std::iter::once("DEL".to_owned()).chain(Self::all_keys()).collect();
        self.ours.call(&words);
        self.theirs.call(&words);
    }

    /// Compares what every key holds.
    fn compare_keys(&mut self, place: &str) {
        for key in Self::all_keys() {
            let kind = self.theirs.line(&format!("TYPE {key}")).head;
            let reads: &[&str] = match kind.as_slice() {
                b"+list" => &["TYPE k", "OBJECT ENCODING k", "PEXPIRETIME k", "LRANGE k 0 -1"],
                b"+set" => &["TYPE k", "OBJECT ENCODING k", "PEXPIRETIME k", "~SMEMBERS k"],
                b"+hash" => &["TYPE k", "OBJECT ENCODING k", "PEXPIRETIME k", "~HGETALL k"],
                b"+zset" => &["TYPE k", "OBJECT ENCODING k", "PEXPIRETIME k", "ZRANGE k 0 -1 WITHSCORES"],
                b"+string" => &["TYPE k", "OBJECT ENCODING k", "PEXPIRETIME k", "GET k"],
                _ => &["TYPE k"],
            };
            for read in reads {
                let words: Vec<String> = read
                    .trim_start_matches('~')
                    .split(' ')
                    .map(|w| if w == "k" { key.clone() } else { w.to_owned() })
                    .collect();
                self.agree(&words, !read.starts_with('~'), place);
            }
        }
    }
}

#[test]
fn random_commands_are_answered_as_valkey_answers_them() {
    let Ok(valkey) = std::env::var("VALKEY_SERVER") else {
        println!("not run: VALKEY_SERVER names no server");
        return;
    };
    let (seed, rounds) = (number_from("DIFFERENTIAL_SEED", 1), number_from("DIFFERENTIAL_ROUNDS", 3000));
    let only = std::env::var("DIFFERENTIAL_FAMILY").ok();
    let mut pair = Pair {
        ours: Server::start(env!("CARGO_BIN_EXE_holdfast"), &["server", "--allow-plaintext", "yes"]),
        theirs: Server::start(&valkey, &[]),
        differences: Vec::new(),
    };
    for protocol in [2, 3] {
        pair.theirs.line(&format!("HELLO {protocol}"));
        let hello = pair.ours.line(&format!("HELLO {protocol}"));
        if hello.head.starts_with(b"-") && protocol == 3 {
            pair.differences.push(format!("RESP3 could not be compared: {hello:?}"));
            break;
        }
        for (family, templates) in FAMILIES {
            if only.as_ref().is_some_and(|only| only != family) {
                continue;
            }
            let mut random = Random(seed);
            pair.empty();
            let before = pair.differences.len();
            for round in 0..rounds {
                let template = random.pick(templates);
                let words = random.command(template.trim_start_matches('~'), family);
                let place = format!("seed {seed}, RESP{protocol}, {family} {round}");
                if !pair.agree(&words, !template.starts_with('~'), &place) {
                    // From here on the two may hold different things.
                    pair.empty();
                }
                if pair.differences.len() - before >= 20 {
                    break;
                }
            }
            pair.compare_keys(&format!("seed {seed}, RESP{protocol}, {family}, in the end"));
        }
    }
    assert!(pair.differences.is_empty(), "{} differences\n{}", pair.differences.len(), pair.differences.join("\n"));
}
