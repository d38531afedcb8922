//! Every command of the table, with words that know nothing of it and with the words it has: what is refused, and how, has to be the same.

use super::pair::{Pair, Reply};
use super::words::{Random, Words};

/// What depends on chance or the clock, tells of the server itself, stops or silences it, or leads out of it. What stands here with a space
/// has no other subcommand left out.
const LEFT_OUT: &[&str] = &[
    "shutdown",
    "debug",
    "lolwut",
    "info",
    "time",
    "monitor",
    "sync",
    "psync",
    "replicaof",
    "slaveof",
    "failover",
    "replconf",
    "lastsave",
    "role",
    "bgsave",
    "bgrewriteaof",
    "save",
    "randomkey",
    "spop",
    "srandmember",
    "hrandfield",
    "zrandmember",
    "migrate",
    "module",
    "pfselftest",
    "wait",
    "waitaof",
    "hello",
    "quit",
    "reset",
    "lcs",
    "clusterscan",
    "command|docs",
    "command|info",
    "command",
    "command|list",
    "command|count",
    "config|set",
    "config|get",
    "config|rewrite",
    "client|id",
    "client|info",
    "client|list",
    "client|kill",
    "client|pause",
    "client|unpause",
    "client|reply",
    "acl|setuser",
    "acl|deluser",
    "acl|genpass",
    "acl|log",
    "acl|list",
    "acl|load",
    "acl|save",
    "acl|cat",
    "memory|stats",
    "memory|doctor",
    "memory|malloc-stats",
    "memory|usage",
    "latency|histogram",
    "latency|doctor",
    "latency|latest",
    "slowlog|get",
    "commandlog|get",
    "slowlog|len",
    "commandlog|len",
    "function|stats",
    "object|idletime",
    "script|debug",
    "script|load",
];

/// Written as Valkey writes them, but told otherwise: a text of its own.
fn is_help(name: &str) -> bool {
    name.ends_with("|help")
}

/// The words each command knows by name.
fn tokens(docs: &Reply) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let texts = docs.texts();
    for pair in texts.windows(2) {
        if pair[0] == b"token" && !pair[1].is_empty() {
            found.push(pair[1].to_vec());
        }
    }
    found
}

/// The names of the table, subcommands with a bar, sorted, so that a seed means the same.
pub fn names(pair: &mut Pair) -> Vec<String> {
    let list = pair.theirs.line("COMMAND LIST");
    let mut names: Vec<String> =
        list.elements.iter().map(|e| String::from_utf8_lossy(e.texts()[0]).into_owned()).collect();
    names.sort();
    names
}

fn words_of(name: &str) -> Words {
    name.split('|').map(|w| w.as_bytes().to_vec()).collect()
}

/// Each command with fewer and with more arguments than it takes.
pub fn try_arities(pair: &mut Pair) {
    for name in names(pair) {
        let info = pair.theirs.line(&format!("COMMAND INFO {name}"));
        let Some(arity) = info.elements.first().and_then(|e| e.elements.get(1)) else { continue };
        let arity: i64 = String::from_utf8_lossy(&arity.head[1..]).parse().expect("an arity");
        let own = words_of(&name);
        let wrong = [arity.abs() - 1, if arity > 0 { arity + 1 } else { 0 }, own.len() as i64];
        for n in wrong {
            if n < own.len() as i64 || n == arity || (arity < 0 && n >= -arity) {
                continue;
            }
            let mut words = own.clone();
            words.resize(n as usize, b"x".to_vec());
            pair.agree(&words, "", "arity");
        }
        let mut words = words_of(name.split('|').next().unwrap_or(&name));
        if name.contains('|') {
            words.push(b"nosuchsubcommand".to_vec());
            pair.agree(&words, "", "subcommand");
            words.push(b"x".to_vec());
            pair.agree(&words, "", "subcommand");
        }
    }
}

/// Random words for random commands, several at once on a connection of their own.
pub fn try_words(pair: &mut Pair, families: &[&str], protocol: u8, seed: u64, rounds: u64) {
    let names: Vec<String> = names(pair)
        .into_iter()
        .filter(|name| {
            let container = name.split('|').next().unwrap_or(name);
            !LEFT_OUT.contains(&name.as_str()) && !LEFT_OUT.contains(&container) && !is_help(name)
        })
        .collect();
    let known: Vec<Vec<Vec<u8>>> =
        names.iter().map(|name| tokens(&pair.theirs.line(&format!("COMMAND DOCS {name}")))).collect();
    let mut random = Random(seed);
    for round in 0..rounds {
        let mut talk = vec![("~%", vec![b"HELLO".to_vec(), protocol.to_string().into_bytes()])];
        for _ in 0..6 {
            let which = random.below(names.len() as u64) as usize;
            let mut words = words_of(&names[which]);
            // A key first, mostly: otherwise few calls get further than that.
            for at in 0..random.below(6) {
                words.push(match random.below(10) {
                    0..4 if !known[which].is_empty() && at > 0 => {
                        let at = random.below(known[which].len() as u64) as usize;
                        known[which][at].clone()
                    }
                    4 | 5 if at == 0 => format!("{}:{}", random.pick(families), random.below(2)).into_bytes(),
                    _ => random.word(families),
                });
            }
            // An identifier of the server's choice, and a life time that ends meanwhile, are the clock's.
            if words.iter().skip(1).any(|w| w == b"*" || w == b"$") {
                continue;
            }
            // What cannot be done without a cluster is said before or after what a subscriber may not do.
            if words[0].ends_with(b"subscribe") {
                words[0] = b"unwatch".to_vec();
            }
            talk.push(("~%", words));
        }
        if !pair.agree_on_all(&talk, &format!("seed {seed}, RESP{protocol}, table {round}")) {
            pair.empty();
        }
    }
    pair.compare_keys(families, &format!("seed {seed}, RESP{protocol}, table, in the end"));
}
