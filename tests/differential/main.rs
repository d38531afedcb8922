//! The same commands to this server and to a Valkey, and the same replies expected, byte for byte.
//!
//! Runs only if `VALKEY_SERVER` names a server's binary. `DIFFERENTIAL_SEED`, `DIFFERENTIAL_ROUNDS` (commands per family and
//! protocol) and `DIFFERENTIAL_FAMILY` choose what is tried, `DIFFERENTIAL_TRACE` the word that
//! commands have to have in them to be shown with what follows; a difference names the seed and the command. Families take turns, each over its own few keys and
//! now and then over another's, so that keys of the wrong type, odd numbers, odd words and odd arities are met. In the end both have to hold the
//! same.
//!
//! Not compared: the order of what has none, and anything that depends on chance or the clock.

#![expect(clippy::disallowed_methods, reason = "a test waits by the wall, not by the server's clock")]

mod bits;
mod keys;
mod pair;
mod protocol;
mod scripts;
mod table;
mod talks;
mod values;
mod words;

use pair::Pair;
use words::Random;

/// How the commands of a family reach the servers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One after the other on one connection.
    Calls,
    /// Some at once on a connection of their own, which changes what later ones mean.
    Talks,
}

/// Templates (see `words`) that work on the same keys.
pub struct Family {
    name: &'static str,
    way: Way,
    templates: &'static [&'static str],
}

const GROUPS: &[&[Family]] = &[values::FAMILIES, keys::FAMILIES, bits::FAMILIES, scripts::FAMILIES, talks::FAMILIES];

/// Differences in a family that are enough.
const ENOUGH: u64 = 20;

fn number_from(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

fn try_family(pair: &mut Pair, family: &Family, names: &[&str], protocol: u8, seed: u64, rounds: u64) {
    let mut random = Random(seed);
    let enough = number_from("DIFFERENTIAL_ENOUGH", ENOUGH) as usize + pair.differences.len();
    let mut round = 0;
    pair.empty();
    while round < rounds && pair.differences.len() < enough {
        let place = format!("seed {seed}, RESP{protocol}, {} {round}", family.name);
        let mut next = || {
            let template = random.pick(family.templates);
            (
                &template[..template.len() - template.trim_start_matches(['~', '%']).len()],
                random.command(template, family.name, names),
            )
        };
        let agreed = match family.way {
            Way::Calls => {
                let (marks, words) = next();
                round += 1;
                pair.agree(&words, marks, &place)
            }
            Way::Talks => {
                let hello = ("~%", vec![b"HELLO".to_vec(), protocol.to_string().into_bytes()]);
                let mut talk = vec![hello];
                let more = 2 + round % 9;
                talk.extend((0..more).map(|_| next()));
                round += more;
                pair.agree_on_all(&talk, &place)
            }
        };
        if !agreed {
            // From here on the two may hold different things.
            pair.empty();
        }
    }
    pair.compare_keys(names, &format!("seed {seed}, RESP{protocol}, {}, in the end", family.name));
}

/// Both servers, if there is one to compare with.
fn start(more: &[&str]) -> Option<Pair> {
    let Ok(valkey) = std::env::var("VALKEY_SERVER") else {
        println!("not run: VALKEY_SERVER names no server");
        return None;
    };
    Some(Pair::start(&valkey, more))
}

fn finish(pair: &Pair) {
    println!("{} commands", pair.asked);
    assert!(pair.differences.is_empty(), "{} differences\n{}", pair.differences.len(), pair.differences.join("\n"));
}

fn names() -> Vec<&'static str> {
    GROUPS.iter().copied().flatten().map(|f| f.name).collect()
}

#[test]
fn random_commands_are_answered_as_valkey_answers_them() {
    let Some(mut pair) = start(&[]) else { return };
    let (seed, rounds) = (number_from("DIFFERENTIAL_SEED", 1), number_from("DIFFERENTIAL_ROUNDS", 3000));
    let only = std::env::var("DIFFERENTIAL_FAMILY").ok();
    for protocol in [2, 3] {
        pair.theirs.hello(protocol);
        pair.ours.hello(protocol);
        for family in GROUPS.iter().copied().flatten() {
            if only.as_ref().is_none_or(|only| only.split(',').any(|o| o == family.name)) {
                try_family(&mut pair, family, &names(), protocol, seed, rounds);
            }
        }
    }
    finish(&pair);
}

#[test]
fn every_command_refuses_what_valkey_refuses() {
    let Some(mut pair) = start(&[]) else { return };
    table::try_arities(&mut pair);
    let (seed, rounds) = (number_from("DIFFERENTIAL_SEED", 1), number_from("DIFFERENTIAL_ROUNDS", 3000));
    for protocol in [2, 3] {
        table::try_words(&mut pair, &names(), protocol, seed, rounds / 6);
    }
    finish(&pair);
}

#[test]
fn every_command_refuses_in_a_cluster_what_valkey_refuses() {
    let Some(mut pair) = start(&["--cluster-enabled", "yes"]) else { return };
    table::try_arities(&mut pair);
    finish(&pair);
}

#[test]
fn odd_bytes_are_answered_as_valkey_answers_them() {
    let Some(mut pair) = start(&[]) else { return };
    protocol::try_all(&mut pair);
    finish(&pair);
}
