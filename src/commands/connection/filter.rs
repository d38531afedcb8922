//! Which clients CLIENT LIST and CLIENT KILL mean.

use super::describe;
use crate::acl::Acl;
use crate::base::number::parse_i64;
use crate::client::Shared;
use crate::commands::arguments::is;
use crate::commands::error::CommandError;
use crate::resp::args::Args;
use std::sync::atomic::Ordering::Relaxed;

/// What a client is to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    PubSub,
    Replica,
    Primary,
}

/// One condition on a client.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Ids(Vec<u64>),
    Kind(Kind),
    User(Vec<u8>),
    Addr(Vec<u8>),
    LocalAddr(Vec<u8>),
    Ip(Vec<u8>),
    Name(Vec<u8>),
    LibName(Vec<u8>),
    LibVer(Vec<u8>),
    /// All of these letters.
    Flags(Vec<u8>),
    /// All of these letters.
    Capa(Vec<u8>),
    Db(u32),
    /// Seconds connected, at least.
    MaxAge(u64),
    /// Seconds without a command, at least.
    Idle(u64),
}

/// Conditions that a client meets all of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A test, and whether it is negated. Ids add up; any other condition that is given twice
    /// counts as it was given last.
    tests: Vec<(Test, bool)>,
    /// `None` where nothing was said: LIST then shows the asking client, KILL spares it.
    pub skip_me: Option<bool>,
}

/// Letters a client's flags can have in this family of servers.
const FLAGS: &[u8] = b"NOSMPxbtRBduceUATrIEi";

impl Filter {
    /// Reads conditions from argument `at` on.
    pub fn parse(args: Args<'_>, mut at: usize, databases: u32, acl: &Acl) -> Result<Filter, CommandError> {
        let mut filter = Filter::default();
        while let Some(word) = args.get(at) {
            let value = args.get(at + 1).ok_or(CommandError::Syntax)?;
            if is(word, "SKIPME") {
                filter.skip_me = Some(match value {
                    v if is(v, "YES") => true,
                    v if is(v, "NO") => false,
                    _ => return Err(CommandError::Syntax),
                });
                at += 2;
                continue;
            }
            let (not, name) = match word.split_at_checked(4) {
                Some((head, rest)) if is(head, "NOT-") => (true, rest),
                _ => (false, word),
            };
            let mut taken = 2;
            let test = if is(name, "ID") {
                let mut ids = vec![id(value)?];
                while let Some(next) = args.get(at + taken).and_then(parse_i64) {
                    ids.push(positive(next, "client-id")?);
                    taken += 1;
                }
                Test::Ids(ids)
            } else {
                test(name, value, not, databases, acl)?
            };
            let known = filter.tests.iter_mut().find(|(t, n)| *n == not && matches!(t, Test::Ids(_)));
            if let (Test::Ids(more), Some((Test::Ids(ids), _))) = (&test, known) {
                ids.extend(more);
                at += taken;
                continue;
            }
            let kind = std::mem::discriminant(&test);
            filter.tests.retain(|(t, n)| std::mem::discriminant(t) != kind || *n != not);
            filter.tests.push((test, not));
            at += taken;
        }
        Ok(filter)
    }

    /// `addr` alone: the old form of CLIENT KILL.
    pub fn address(addr: &[u8]) -> Filter {
        Filter { tests: vec![(Test::Addr(addr.to_vec()), false)], skip_me: Some(false) }
    }

    pub fn matches(&self, c: &Shared, now_ms: i64) -> bool {
        self.tests.iter().all(|(t, not)| t.holds(c, now_ms) != *not)
    }
}

fn test(name: &[u8], value: &[u8], not: bool, databases: u32, acl: &Acl) -> Result<Test, CommandError> {
    let own = || value.to_vec();
    Ok(if is(name, "TYPE") {
        Test::Kind(kind(value)?)
    } else if is(name, "USER") {
        if acl.get(value).is_none() {
            return Err(CommandError::Bytes([b"ERR No such user '", value, b"'"].concat()));
        }
        Test::User(own())
    } else if is(name, "ADDR") {
        Test::Addr(own())
    } else if is(name, "LADDR") {
        Test::LocalAddr(own())
    } else if is(name, "IP") {
        Test::Ip(own())
    } else if is(name, "NAME") {
        Test::Name(own())
    } else if is(name, "LIB-NAME") {
        Test::LibName(own())
    } else if is(name, "LIB-VER") {
        Test::LibVer(own())
    } else if is(name, "FLAGS") {
        letters(value, FLAGS, "flags")?;
        Test::Flags(own())
    } else if is(name, "CAPA") {
        letters(value, b"r", "capa")?;
        Test::Capa(own())
    } else if is(name, "DB") {
        let n = i32::try_from(number(value, "DB")?).map_err(|_| no_integer("DB"))?;
        match u32::try_from(n).ok().filter(|n| *n < databases) {
            Some(n) => Test::Db(n),
            None => {
                let text = format!("DB number should be between 0 and {}", databases.saturating_sub(1));
                return Err(CommandError::err(text));
            }
        }
    } else if is(name, "MAXAGE") && !not {
        Test::MaxAge(positive(number(value, "maxage")?, "maxage")?)
    } else if is(name, "IDLE") && !not {
        Test::Idle(positive(number(value, "idle")?, "idle")?)
    } else {
        return Err(CommandError::Syntax);
    })
}

fn kind(word: &[u8]) -> Result<Kind, CommandError> {
    for (name, kind) in [
        ("NORMAL", Kind::Normal),
        ("PUBSUB", Kind::PubSub),
        ("SLAVE", Kind::Replica),
        ("REPLICA", Kind::Replica),
        ("MASTER", Kind::Primary),
        ("PRIMARY", Kind::Primary),
    ] {
        if is(word, name) {
            return Ok(kind);
        }
    }
    Err(CommandError::Bytes([b"ERR Unknown client type '", word, b"'"].concat()))
}

fn id(value: &[u8]) -> Result<u64, CommandError> {
    positive(parse_i64(value).ok_or(CommandError::Syntax)?, "client-id")
}

fn number(value: &[u8], what: &str) -> Result<i64, CommandError> {
    parse_i64(value).ok_or_else(|| no_integer(what))
}

fn no_integer(what: &str) -> CommandError {
    CommandError::err(format_args!("{what} is not an integer or out of range"))
}

fn positive(n: i64, what: &str) -> Result<u64, CommandError> {
    match u64::try_from(n) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(CommandError::err(format_args!("{what} should be greater than 0"))),
    }
}

fn letters(value: &[u8], known: &[u8], what: &str) -> Result<(), CommandError> {
    if value.iter().all(|c| known.contains(c)) {
        return Ok(());
    }
    let head = format!("ERR Unknown {what} found in the provided filter: ");
    Err(CommandError::Bytes([head.as_bytes(), value].concat()))
}

/// The host of `host:port`.
fn host(addr: &str) -> &str {
    addr.rsplit_once(':').map_or(addr, |(host, _)| host).trim_matches(['[', ']'])
}

impl Test {
    fn holds(&self, c: &Shared, now_ms: i64) -> bool {
        let seconds = |ms: i64| ((now_ms - ms).max(0) / 1000) as u64;
        match self {
            Test::Ids(ids) => ids.contains(&c.id),
            Test::Kind(k) => {
                let subscribed = c.subscriptions.load(Relaxed)
                    + c.pattern_subscriptions.load(Relaxed)
                    + c.shard_subscriptions.load(Relaxed);
                *k == if c.primary.load(Relaxed) {
                    Kind::Primary
                } else if c.replica.load(Relaxed) {
                    Kind::Replica
                } else if subscribed > 0 {
                    Kind::PubSub
                } else {
                    Kind::Normal
                }
            }
            Test::User(u) => c.text.lock().user.as_bytes() == u,
            Test::Addr(a) => c.addr.as_bytes() == a,
            Test::LocalAddr(a) => c.laddr.as_bytes() == a,
            Test::Ip(ip) => host(&c.addr).as_bytes() == ip,
            Test::Name(n) => c.text.lock().name.as_bytes() == n,
            Test::LibName(n) => c.text.lock().lib_name.as_bytes() == n,
            Test::LibVer(n) => c.text.lock().lib_ver.as_bytes() == n,
            Test::Flags(f) => {
                let has = describe::flags(c);
                f.iter().all(|l| has.as_bytes().contains(l))
            }
            Test::Capa(f) => f.iter().all(|l| *l == b'r' && c.capa_redirect.load(Relaxed)),
            Test::Db(db) => c.db.load(Relaxed) == *db,
            Test::MaxAge(s) => seconds(c.created_ms) >= *s,
            Test::Idle(s) => seconds(c.last_ms.load(Relaxed)) >= *s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Catalog;
    use crate::resp::args::OwnedArgs;

    fn parse(line: &str) -> Result<Filter, String> {
        let own = OwnedArgs::new(line.split(' ').map(str::as_bytes));
        Filter::parse(own.args(), 0, 16, &Acl::new(Catalog::default()))
            .map_err(|e| String::from_utf8_lossy(&e.text()).into_owned())
    }

    fn client(id: u64) -> Shared {
        Shared::new(id, 0, format!("10.0.0.{id}:400{id}"), "127.0.0.1:6379".into(), 9, 0)
    }

    #[test]
    fn refusals_are_in_the_words_clients_know() {
        for (line, error) in [
            ("id", "ERR syntax error"),
            ("id a", "ERR syntax error"),
            ("id 0", "ERR client-id should be greater than 0"),
            ("type foo", "ERR Unknown client type 'foo'"),
            ("user nosuch", "ERR No such user 'nosuch'"),
            ("maxage 0", "ERR maxage should be greater than 0"),
            ("idle a", "ERR idle is not an integer or out of range"),
            ("db 16", "ERR DB number should be between 0 and 15"),
            ("flags Q", "ERR Unknown flags found in the provided filter: Q"),
            ("capa q", "ERR Unknown capa found in the provided filter: q"),
            ("not-idle 1", "ERR syntax error"),
            ("skipme maybe", "ERR syntax error"),
            ("id 5 type", "ERR syntax error"),
        ] {
            assert_eq!(parse(line).unwrap_err(), error, "{line}");
        }
    }

    #[test]
    fn conditions_are_joined_and_can_be_negated() {
        let hits = |line: &str| {
            let f = parse(line).unwrap();
            (1..=4).filter(|id| f.matches(&client(*id), 10_000)).collect::<Vec<_>>()
        };
        assert_eq!(hits("id 2 3 9"), [2, 3]);
        assert_eq!(hits("not-id 2 3"), [1, 4]);
        assert_eq!(hits("id 1 2 not-ip 10.0.0.2"), [1]);
        assert_eq!(hits("addr 10.0.0.4:4004"), [4]);
        assert_eq!(hits("maxage 10 flags N"), [1, 2, 3, 4]);
        assert!(hits("maxage 11").is_empty());
        assert!(hits("not-type normal").is_empty());
        assert_eq!(hits("id 1 id 2"), [1, 2]);
        assert_eq!(hits("not-id 1 not-id 2 4"), [3]);
        assert_eq!(hits("ip 10.0.0.1 ip 10.0.0.2"), [2]);
    }
}
