//! What commands touch, against what their rows say they touch: the permissions are checked by the rows, so a key, a database or a
//! write that a row does not tell of would be a way past them.
//!
//! Calls are made from the rows' own syntax, over keys of every type; the key space notes what a handler looked up and changed.

use crate::commands::testing::Bench;
use crate::commands::{Entry, FAMILIES, Handler};
use crate::spec::{Argument, ArgumentKind, CommandFlags, KeyFlags, KeyScope};
use std::collections::BTreeSet;

/// Calls of each command.
const CALLS: usize = 30;
/// One key of every type, one that is not there, and one that some command makes.
const KEYS: [&str; 10] = ["str", "num", "list", "set", "ints", "zset", "hash", "stream", "geo", "none"];
const FILL: [&str; 9] = [
    "set str value",
    "set num 7",
    "rpush list a b c",
    "sadd set a b c",
    "sadd ints 1 2 3",
    "zadd zset 1 a 2 b 3 c",
    "hset hash f v a b n 1",
    "xadd stream 1-1 f v",
    "geoadd geo 13.36 38.11 a 15.08 37.50 b",
];

/// The same numbers each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// Appends what one argument can be. A number of keys is put right once the keys are there.
fn write(argument: &Argument<'_>, dice: &mut Dice, out: &mut Vec<String>, number_at: &mut Option<usize>) {
    if argument.optional && dice.below(2) == 0 {
        return;
    }
    let times = if argument.multiple { 1 + dice.below(2) } else { 1 };
    for n in 0..times {
        if let Some(token) = argument.token
            && (n == 0 || argument.multiple_token)
        {
            out.push(token.to_owned());
        }
        let word = match argument.kind {
            ArgumentKind::PureToken => continue,
            ArgumentKind::OneOf => {
                let one = dice.below(argument.arguments.len());
                write(&argument.arguments[one], dice, out, number_at);
                continue;
            }
            ArgumentKind::Block => {
                argument.arguments.iter().for_each(|a| write(a, dice, out, number_at));
                continue;
            }
            ArgumentKind::Key => dice.of(&KEYS),
            ArgumentKind::Integer if argument.name == "numkeys" => {
                *number_at = Some(out.len());
                "1"
            }
            ArgumentKind::Integer => dice.of(&["0", "1", "2", "3", "-1", "10"]),
            ArgumentKind::Double => dice.of(&["0", "1.5", "-2", "15", "38"]),
            ArgumentKind::Pattern => dice.of(&["*", "s*"]),
            ArgumentKind::UnixTime => dice.of(&["9000000000", "9000000000000", "1"]),
            ArgumentKind::String => dice.of(&["a", "f", "1", "v", "0-1", "$", "+", "-", "[a", "m", "n"]),
        };
        out.push(word.to_owned());
    }
    if argument.kind == ArgumentKind::Key
        && let Some(at) = number_at.take()
    {
        out[at] = times.to_string();
    }
}

/// What the row says a call may touch.
struct Told {
    keys: BTreeSet<Vec<u8>>,
    written: BTreeSet<Vec<u8>>,
    databases: BTreeSet<u32>,
}

fn told(entry: &Entry, words: &[&[u8]]) -> Told {
    let writes = KeyFlags::INSERT.or(KeyFlags::UPDATE).or(KeyFlags::DELETE);
    let mut told = Told { keys: BTreeSet::new(), written: BTreeSet::new(), databases: BTreeSet::from([0]) };
    for (at, flags) in entry.spec().found_keys(words, KeyScope::Keys).iter() {
        told.keys.insert(words[at].to_vec());
        if flags.intersects(writes) {
            told.written.insert(words[at].to_vec());
        }
    }
    entry.spec().for_each_database(
        |at| words.get(at),
        |at| told.databases.extend(std::str::from_utf8(words[at]).ok().and_then(|n| n.parse::<u32>().ok())),
    );
    told
}

#[test]
fn no_command_touches_a_key_or_a_database_that_its_row_does_not_tell_of() {
    let mut bench = Bench::new(FAMILIES);
    let names: Vec<String> = bench
        .table
        .callable()
        .filter(|e| matches!(e.command.handler, Handler::Data(_)) && !e.is(CommandFlags::ARBITRARY_KEYS))
        .map(|e| e.name.clone())
        .collect();
    assert!(names.len() > 150, "{}", names.len());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut faults, mut touching) = (Vec::new(), BTreeSet::new());
    for name in &names {
        for _ in 0..CALLS {
            for key in KEYS {
                bench.run_words(&[b"del", key.as_bytes()]);
            }
            FILL.iter().for_each(|line| drop(bench.run(line)));
            let mut words: Vec<String> = name.split('|').map(str::to_owned).collect();
            let own: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let Some(entry) = bench.table.find_full(name.as_bytes()) else { panic!("{name} {own:?}") };
            let mut number_at = None;
            for argument in &entry.spec().argument_tree().unwrap() {
                write(argument, &mut dice, &mut words, &mut number_at);
            }
            let list: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let told = told(entry, &list);
            bench.touched.clear();
            bench.run_words(&list);
            for (db, key, written) in &bench.touched {
                touching.insert(name.clone());
                let fine = told.databases.contains(db)
                    && if *written { told.written.contains(key) } else { told.keys.contains(key) };
                if !fine {
                    let what = if *written { "changes" } else { "touches" };
                    faults.push(format!("{}: {what} {} of {db}", words.join(" "), String::from_utf8_lossy(key)));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults, the first: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
    assert!(touching.len() > 130, "only {} commands touched a key", touching.len());
}
