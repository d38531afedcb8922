//! The locks that a script's call takes.
//!
//! A script that can be shown to reach no key but those that its call declares, and such as it names itself
//! ([`reach`](crate::script::reach)), takes the locks of these: others go on with all other keys. Any other takes all.
//!
//! # Invariants
//! * Which keys a call of the script touches is told here by the command's row, as for any client; where the row finds them by
//!   anything but positions and numbers that stand in the script, the script takes all locks.
//! * Only commands on keys, and the few that take no lock at all, may be in a script that does not take all.

use crate::commands::{CommandTable, Entry, Handler};
use crate::script::reach::{self, Argument};
use crate::script::{Locks, Script};
use crate::spec::{BeginSearch, CommandFlags, FindKeys, KeySpec};

/// Commands without keys that take no locks.
const LOCKLESS: [&str; 4] = ["echo", "ping", "publish", "time"];

/// The locks that `script` needs; read once.
pub fn of<'s>(script: &'s Script, table: &CommandTable) -> &'s Locks {
    script.reach.get_or_init(|| {
        let mut named = Vec::new();
        match reach::read(&script.source) {
            Some(found) if found.calls.iter().all(|call| stays_within(call, table, &mut named)) => {
                named.sort();
                named.dedup();
                Locks::Some { named, bounded: found.bounded }
            }
            _ => Locks::All,
        }
    })
}

/// Whether a call touches declared keys only, and `named` ones.
fn stays_within(call: &[Argument], table: &CommandTable, named: &mut Vec<Vec<u8>>) -> bool {
    let Some(Argument::Word(name)) = call.first() else { return false };
    let Some(entry) = table.find(name) else {
        // It answers an error, whatever it is called with.
        return true;
    };
    match entry.command.handler {
        Handler::Data(_) => {
            !entry.is(CommandFlags::ARBITRARY_KEYS)
                && !entry.spec().key_specs.is_empty()
                && entry.spec().key_specs.iter().all(|k| names_keys(k, call, named))
        }
        Handler::Node(_) => LOCKLESS.contains(&Entry::spec(entry).name),
        _ => false,
    }
}

/// Whether all that a key specification finds in a call are declared keys or words, which are `named`.
fn names_keys(spec: &KeySpec, call: &[Argument], named: &mut Vec<Vec<u8>>) -> bool {
    let BeginSearch::Index(begin) = spec.begin else { return false };
    let begin = begin as usize;
    let (first, last, step) = match spec.find {
        FindKeys::Range { last: -1, step, limit: 0 } => (begin, call.len().saturating_sub(1), step),
        FindKeys::Range { last, step, .. } if last >= 0 => (begin, begin + last as usize, step),
        FindKeys::Keynum { at, first, step } => {
            let Some(Argument::Word(word)) = call.get(begin + at as usize) else { return false };
            let number = std::str::from_utf8(word).ok().and_then(|w| w.parse::<usize>().ok());
            let Some(n) = number.filter(|n| (1..=call.len()).contains(n)) else { return false };
            let first = begin + first as usize;
            (first, first + (n - 1) * step as usize, step)
        }
        _ => return false,
    };
    // In front of a key nothing may stand for more or fewer values than one.
    let several = call.iter().position(|a| *a == Argument::Values).unwrap_or(usize::MAX);
    several > last
        && (first..=last).step_by(step as usize).all(|i| match call.get(i) {
            Some(Argument::Word(word)) => {
                named.push(word.clone());
                true
            }
            Some(Argument::Key) | None => true,
            Some(Argument::Value | Argument::Values) => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::FAMILIES;
    use crate::script::Header;

    fn locks(source: &str) -> Locks {
        let table = CommandTable::new(FAMILIES, &[]).unwrap();
        let (digest, source, header) = ([0; 20], source.as_bytes().to_vec(), Header::default());
        of(&Script { digest, source, header, reach: Default::default() }, &table).clone()
    }

    fn some(named: &[&str], bounded: bool) -> Locks {
        Locks::Some { named: named.iter().map(|n| n.as_bytes().to_vec()).collect(), bounded }
    }

    #[test]
    fn scripts_from_the_wild_that_stay_within_their_keys() {
        // A lock's release, a rate limit, a counter with a bound, a queue's move, a bucket of tokens.
        for source in [
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
            "local current = redis.call('INCR', KEYS[1]) if tonumber(current) == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end return current",
            "local n = tonumber(redis.call('get', KEYS[1]) or '0') if n + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return -1 end return redis.call('incrby', KEYS[1], ARGV[1])",
            "local job = redis.call('rpoplpush', KEYS[1], KEYS[2]) if job then redis.call('zadd', KEYS[3], ARGV[1], job) redis.call('publish', ARGV[2], job) end return job",
            "local rate = tonumber(ARGV[1]) local now = redis.call('TIME') local last = redis.call('HGET', KEYS[1], 't') redis.call('HSET', KEYS[1], 't', now[1], 'r', rate) return last",
            "redis.call('zunionstore', KEYS[1], 2, KEYS[2], KEYS[3]) return redis.call('mget', KEYS[1], KEYS[2])",
            "return 1",
        ] {
            assert_eq!(locks(source), some(&[], true), "{source}");
        }
        let loops = "for i, k in ipairs(KEYS) do redis.call('set', k, ARGV[i]) end";
        assert_eq!(locks(loops), some(&[], false));
        let named =
            "redis.call('incr', 'b') redis.call('set', KEYS[1], 'v') return redis.call('mget', 'b', KEYS[1], 'a')";
        assert_eq!(locks(named), some(&["a", "b"], true));
    }

    #[test]
    fn a_call_that_may_touch_another_key_takes_all_locks() {
        for source in [
            "return redis.call('get', ARGV[1])",
            "return redis.call('mget', unpack(KEYS))",
            "return redis.call('mget', KEYS[1], ARGV[1])",
            "return redis.call('mset', KEYS[1], 'v', ARGV[1], 'v')",
            "return redis.call(ARGV[1], KEYS[1])",
            "return redis.call('zunionstore', KEYS[1], ARGV[1], KEYS[2])",
            "return redis.call('zunionstore', KEYS[1], 2, KEYS[2], ARGV[1])",
            "return redis.call('get', 'user:' .. ARGV[1])",
            "return redis.call('get', 1.50)",
            "return redis.call('sort', KEYS[1], 'by', ARGV[1])",
            "return redis.call('keys', '*')",
            "return redis.call('dbsize')",
            "return redis.call('flushall')",
            "return redis.call('randomkey')",
            "return redis.call('select', 1)",
            "return redis.call('object', 'encoding', KEYS[1])",
            "return redis.call('xread', 'streams', KEYS[1], '0')",
        ] {
            assert_eq!(locks(source), Locks::All, "{source}");
        }
    }
}
