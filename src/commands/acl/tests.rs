use super::COMMANDS;
use crate::acl::{Acl, Call, Denied, Policy, file};
use crate::commands::testing::NodeBench;
use crate::commands::{CommandTable, FAMILIES};
use crate::resp::args::OwnedArgs;
use proptest::prelude::*;
use std::sync::LazyLock;

const DATABASES: u32 = 4;

fn table() -> &'static CommandTable {
    static TABLE: LazyLock<CommandTable> = LazyLock::new(|| CommandTable::new(FAMILIES, &[]).expect("no renames"));
    &TABLE
}

fn acl() -> Acl {
    Acl::new(table().catalog())
}

fn set(acl: &Acl, name: &str, rules: &str) -> Result<(), String> {
    let words: Vec<&[u8]> = rules.split(' ').filter(|w| !w.is_empty()).map(str::as_bytes).collect();
    acl.set_user(name.as_bytes(), &words, &Policy::default()).map(|_| ()).map_err(|e| e.to_string())
}

fn described(acl: &Acl, name: &str) -> String {
    String::from_utf8_lossy(&acl.get(name.as_bytes()).expect("a user").describe()).into_owned()
}

/// What is refused of a call: `ok`, `command`, `key k`, `channel c`, `database d`.
fn check(acl: &Acl, name: &str, db: u32, line: &str) -> String {
    let own = OwnedArgs::new(line.split(' ').map(str::as_bytes));
    let entry = table().resolve(own.args()).expect("a command");
    let call = Call { id: entry.id, spec: entry.spec(), args: own.args(), db, databases: DATABASES };
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    match acl.get(name.as_bytes()).expect("a user").check(&call) {
        Ok(()) => "ok".into(),
        Err(Denied::Command) => "command".into(),
        Err(Denied::Key(k)) => format!("key {}", text(k)),
        Err(Denied::Channel(c)) => format!("channel {}", text(c)),
        Err(Denied::Database(d) | Denied::OwnDatabase(d)) => format!("database {}", text(d)),
    }
}

#[test]
fn rules_are_described_in_the_words_that_make_them_again() {
    let acl = acl();
    for (rules, want) in [
        ("", "off resetchannels -@all"),
        ("on nopass ~* &* +@all", "on nopass ~* &* +@all"),
        ("%R~a %W~a %RW~b %r~c", "off ~a ~b %R~c resetchannels -@all"),
        ("&a &b* db=2,0,2", "off resetchannels &a &b* db=0,2 -@all"),
        ("resetdbs +@all -@hash -@slow +hget -@hash", "off resetchannels resetdbs +@all -@slow +hget -@hash"),
        (
            "+client|list +client|LIST +config|get +config +acl|list -acl",
            "off resetchannels -@all +client|list +config -acl",
        ),
        ("+select|0 +select|0 +debug|sleep +debug", "off resetchannels -@all +select|0 +debug"),
        ("+@HASH -@all +@hash +@HaSh", "off resetchannels -@all +@hash"),
        (
            "(~a +get) ( ~b %R~c )",
            "off resetchannels -@all (~a resetchannels -@all +get) (~b %R~c resetchannels -@all)",
        ),
        ("on certificate ~a nocertificate certificate", "on certificate ~a resetchannels -@all"),
        ("sanitize-payload skip-sanitize-payload", "off resetchannels -@all"),
    ] {
        let name = "u";
        acl.delete(&[name.as_bytes()]);
        set(&acl, name, rules).unwrap();
        assert_eq!(described(&acl, name), format!("user u {want}"), "{rules}");
        let once = described(&acl, name);
        let words = once.trim_start_matches("user u ").to_owned();
        set(&acl, "v", &format!("reset {words}")).unwrap();
        assert_eq!(described(&acl, "v"), once.replacen("user u", "user v", 1));
        acl.delete(&[b"v"]);
    }
}

#[test]
fn a_rule_that_is_refused_changes_nothing_and_says_why() {
    let acl = acl();
    set(&acl, "u", "on +get ~a").unwrap();
    let before = described(&acl, "u");
    const UNKNOWN: &str = "Unknown command or category name in ACL";
    for (rule, why) in [
        ("foo", "Syntax error"),
        ("+nosuch", UNKNOWN),
        ("-@nosuch", UNKNOWN),
        ("+config|nosuch", UNKNOWN),
        ("-get|x", UNKNOWN),
        ("+get|a|b", UNKNOWN),
        ("+get|", "Syntax error"),
        ("+config|get|x", "Allowing first-arg of a subcommand is not supported"),
        ("%~a", "Syntax error"),
        ("%", "Syntax error"),
        ("%RWR~a", "Syntax error"),
        ("db=-1", "The provided database ID is out of range"),
        ("db=2147483648", "The provided database ID is out of range"),
        ("db=0,", "Syntax error"),
        ("db=,0", "Syntax error"),
        ("(on)", "Syntax error"),
        (")", "Syntax error"),
        ("<nosuch", "The password you are trying to remove from the user does not exist"),
    ] {
        assert_eq!(
            set(&acl, "u", &format!("+set {rule}")),
            Err(format!("Error in ACL SETUSER modifier '{rule}': {why}"))
        );
        assert_eq!(described(&acl, "u"), before);
    }
    assert_eq!(set(&acl, "u", "(+get ~a"), Err("Unmatched parenthesis in acl selector starting at '(+get'.".into()));
    for late in ["~a", "%R~a", "%X~a", "%~a"] {
        let why = set(&acl, "u", &format!("allkeys {late}")).unwrap_err();
        assert!(why.contains("Adding a pattern after the * pattern"), "{late}: {why}");
    }
}

#[test]
fn nothing_in_a_rule_can_begin_another_line_of_a_file() {
    let acl = acl();
    for word in [&b"~a\nuser evil on nopass +@all"[..], b"&a\rb", b"%R~a\tb", b"+select|0\nx", b"~a\0"] {
        assert!(acl.set_user(b"u", &[word], &Policy::default()).is_err(), "{}", word.escape_ascii());
    }
    for name in [&b"a b"[..], b"a\nb", b"a\0b"] {
        assert!(acl.set_user(name, &[], &Policy::default()).is_err());
    }
}

#[test]
fn one_selector_alone_has_to_allow_the_whole_call() {
    let acl = acl();
    set(&acl, "u", "on (%R~r* +@all) (%W~w* +@all)").unwrap();
    assert_eq!(check(&acl, "u", 0, "get r1"), "ok");
    assert_eq!(check(&acl, "u", 0, "lpush w1 x"), "ok");
    assert_eq!(check(&acl, "u", 0, "copy r1 w1"), "key w1");
    assert_eq!(check(&acl, "u", 0, "set w1 v get"), "key w1");
    assert_eq!(check(&acl, "u", 0, "exists r1"), "ok");
    assert_eq!(check(&acl, "u", 0, "exists x"), "key x");
}

#[test]
fn the_refusal_that_is_named_is_that_of_the_selector_that_came_furthest() {
    let acl = acl();
    set(&acl, "u", "+mget ~key (+mget ~key ~otherkey)").unwrap();
    assert_eq!(check(&acl, "u", 0, "get key"), "command");
    assert_eq!(check(&acl, "u", 0, "mget otherkey someotherkey"), "key someotherkey");
    set(&acl, "d", "+@all ~* db=1").unwrap();
    for (line, want) in [
        ("get k", "database get"),
        ("select 2", "database 2"),
        ("swapdb 1 2", "database 2"),
        ("flushall", "database flushall"),
        ("publish c m", "channel c"),
        ("ping", "ok"),
        ("multi", "ok"),
        ("select 99", "ok"),
    ] {
        assert_eq!(check(&acl, "d", 0, line), want, "{line}");
    }
    assert_eq!(check(&acl, "d", 1, "copy a b REPLACE DB 1 DB 2"), "database 2");
    assert_eq!(check(&acl, "d", 1, "move k 2"), "database 2");
    assert_eq!(check(&acl, "d", 1, "get k"), "ok");
}

#[test]
fn signing_in_and_out_is_open_to_everybody() {
    let acl = acl();
    set(&acl, "u", "on -@all").unwrap();
    for line in ["auth a b", "hello 3", "reset", "quit"] {
        assert_eq!(check(&acl, "u", 0, line), "ok");
    }
    assert_eq!(check(&acl, "u", 0, "ping"), "command");
}

#[test]
fn a_file_is_read_as_a_whole_or_not_at_all() {
    let acl = acl();
    let text = b"# users\n\nuser alice on >a +get (~k +set)\nuser default off nopass\n";
    let users = file::parse(&acl, text, "f", &Policy::default()).unwrap();
    acl.replace_all(users);
    let written = file::text(&acl);
    assert_eq!(acl.all().len(), 2);
    acl.replace_all(file::parse(&acl, &written, "f", &Policy::default()).unwrap());
    assert_eq!(file::text(&acl), written);

    let bad = b"user a on +nosuch\nuser a on\nusr b\nuser c (+get\nuser d foo\n";
    let why = file::parse(&acl, bad, "f", &Policy::default()).unwrap_err();
    for part in [
        "f:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. ",
        "WARNING: Duplicate user 'a' found on line 2. ",
        "f:3 should start with user keyword followed by the username. ",
        "f:4: Unmatched parenthesis in selector starting at '(+get'. ",
        "f:5: Syntax error. ",
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    ] {
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn a_user_that_is_made_again_is_another_user() {
    let acl = acl();
    set(&acl, "u", "on").unwrap();
    let first = acl.get(b"u").unwrap().serial();
    set(&acl, "u", "off").unwrap();
    assert_eq!(acl.get(b"u").unwrap().serial(), first);
    acl.delete(&[b"u"]);
    set(&acl, "u", "on").unwrap();
    assert_ne!(acl.get(b"u").unwrap().serial(), first);
}

#[test]
fn the_commands_answer_as_clients_know_them() {
    let mut b = NodeBench::new(FAMILIES);
    assert_eq!(COMMANDS.len(), 1);
    b.check(&[
        ("acl whoami", "$7\r\ndefault\r\n"),
        ("acl list", "*1\r\n$37\r\nuser default on nopass ~* &* +@all\r\n".replace("37", "34").as_str()),
        ("acl setuser u on >pw +get ~k", "+OK\r\n"),
        ("acl users", "*2\r\n$7\r\ndefault\r\n$1\r\nu\r\n"),
        ("acl dryrun u get k", "+OK\r\n"),
        (
            "acl dryrun u get x",
            "$49\r\nUser u has no permissions to access the 'x' key\r\n".replace("49", "47").as_str(),
        ),
        ("acl dryrun u config nosuch", "ERR Command 'config' not found"),
        ("acl dryrun nobody get x", "ERR User 'nobody' not found"),
        ("acl dryrun u get", "ERR wrong number of arguments for 'get' command"),
        ("acl getuser nobody", "$-1\r\n"),
        ("auth u wrong", "WRONGPASS invalid username-password pair or user is disabled."),
        ("auth u pw", "+OK\r\n"),
        ("acl whoami", "$1\r\nu\r\n"),
        ("acl deluser nobody", ":0\r\n"),
        ("acl deluser default", "ERR The 'default' user cannot be removed"),
        ("acl log reset", "+OK\r\n"),
        ("acl log", "*0\r\n"),
    ]);
    assert!(b.run("acl load").starts_with("ERR This instance is not configured to use an ACL file"));
    b.check(&[("acl deluser u", ":1\r\n")]);
    assert!(b.client.closing, "its own connection is closed after the reply");
}

// An independent model: permissions as plain data, calls as plain lists of what they touch.

#[derive(Clone, Debug)]
struct Permissions {
    commands: Vec<&'static str>,
    /// Pattern (a name, or a stem and a star), read, write.
    keys: Vec<(&'static str, bool, bool)>,
    channels: Vec<&'static str>,
    databases: Option<Vec<u32>>,
}

#[derive(Clone, Debug, Default)]
struct Touches {
    line: Vec<String>,
    command: &'static str,
    keys: Vec<(String, bool, bool)>,
    channels: Vec<(String, bool)>,
    databases: Vec<u32>,
}

const NAMES: [&str; 5] = ["a", "ab", "b", "ba", "c"];
const PATTERNS: [&str; 7] = ["a", "a*", "b", "b*", "ab", "c*", "*"];
const CALLED: [&str; 16] = [
    "get",
    "set",
    "mget",
    "mset",
    "del",
    "exists",
    "copy",
    "move",
    "rename",
    "select",
    "swapdb",
    "flushall",
    "keys",
    "publish",
    "subscribe",
    "psubscribe",
];

fn glob(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |stem| name.starts_with(stem))
}

fn model_allows(selectors: &[Permissions], t: &Touches) -> bool {
    selectors.iter().any(|p| {
        p.commands.contains(&t.command)
            && t.keys.iter().all(|(key, read, write)| {
                p.keys.iter().any(|(pattern, r, w)| (*r || !read) && (*w || !write) && glob(pattern, key))
            })
            && t.channels.iter().all(|(channel, is_pattern)| {
                p.channels.iter().any(|c| if *is_pattern { *c == "*" || c == channel } else { glob(c, channel) })
            })
            && p.databases.as_ref().is_none_or(|own| t.databases.iter().all(|db| own.contains(db)))
    })
}

fn call_of(command: &'static str, names: &[&str], n: u32, own: u32, twist: bool) -> Touches {
    let (x, y) = (names[0].to_owned(), names[1].to_owned());
    let both = |r, w| vec![(x.clone(), r, w), (y.clone(), r, w)];
    let (words, keys, channels, databases) = match command {
        "get" => (vec![x.clone()], vec![(x.clone(), true, false)], vec![], vec![own]),
        "set" if twist => (vec![x.clone(), "v".into(), "GET".into()], vec![(x.clone(), true, true)], vec![], vec![own]),
        "set" => (vec![x.clone(), "v".into()], vec![(x.clone(), false, true)], vec![], vec![own]),
        "mget" => (vec![x.clone(), y.clone()], both(true, false), vec![], vec![own]),
        "mset" => (vec![x.clone(), "1".into(), y.clone(), "2".into()], both(false, true), vec![], vec![own]),
        "del" => (vec![x.clone(), y.clone()], both(false, true), vec![], vec![own]),
        "exists" => (vec![x.clone(), y.clone()], both(false, false), vec![], vec![own]),
        "copy" if twist => (
            vec![x.clone(), y.clone(), "REPLACE".into(), "db".into(), n.to_string()],
            vec![(x.clone(), true, false), (y.clone(), false, true)],
            vec![],
            vec![own, n],
        ),
        "copy" => {
            (vec![x.clone(), y.clone()], vec![(x.clone(), true, false), (y.clone(), false, true)], vec![], vec![own])
        }
        "move" => (vec![x.clone(), n.to_string()], vec![(x.clone(), true, true)], vec![], vec![own, n]),
        "rename" => {
            (vec![x.clone(), y.clone()], vec![(x.clone(), true, true), (y.clone(), false, true)], vec![], vec![own])
        }
        "select" => (vec![n.to_string()], vec![], vec![], vec![n]),
        "swapdb" => (vec![n.to_string(), "1".into()], vec![], vec![], vec![n, 1]),
        "flushall" => (vec![], vec![], vec![], (0..DATABASES).collect()),
        "keys" => (vec!["*".into()], vec![], vec![], vec![own]),
        "publish" => (vec![x.clone(), "m".into()], vec![], vec![(x.clone(), false)], vec![]),
        "subscribe" => (vec![x.clone(), y.clone()], vec![], vec![(x.clone(), false), (y.clone(), false)], vec![]),
        _ => (vec![x.clone(), y.clone()], vec![], vec![(x.clone(), true), (y.clone(), true)], vec![]),
    };
    let line = std::iter::once(command.to_owned()).chain(words).collect();
    Touches { line, command, keys, channels, databases }
}

fn permissions() -> impl Strategy<Value = Permissions> {
    let commands = prop::collection::vec(prop::sample::select(&CALLED[..]), 0..16);
    let keys = prop::collection::vec((prop::sample::select(&PATTERNS[..6]), any::<bool>(), any::<bool>()), 0..4);
    let channels = prop::collection::vec(prop::sample::select(&PATTERNS[..6]), 0..3);
    let databases = prop::option::of(prop::collection::vec(0..DATABASES, 0..4));
    (commands, keys, channels, databases).prop_map(|(commands, mut keys, channels, databases)| {
        keys.retain(|(_, r, w)| *r || *w);
        // The same pattern named twice is one pattern with both permissions.
        let mut merged: Vec<(&'static str, bool, bool)> = Vec::new();
        for (pattern, r, w) in keys {
            match merged.iter_mut().find(|(own, _, _)| *own == pattern) {
                Some(own) => (own.1, own.2) = (own.1 || r, own.2 || w),
                None => merged.push((pattern, r, w)),
            }
        }
        Permissions { commands, keys: merged, channels, databases }
    })
}

fn rules_of(p: &Permissions) -> Vec<String> {
    let mut out: Vec<String> = p.commands.iter().map(|c| format!("+{c}")).collect();
    out.extend(p.keys.iter().map(|(k, r, w)| match (r, w) {
        (true, true) => format!("~{k}"),
        (true, false) => format!("%R~{k}"),
        _ => format!("%W~{k}"),
    }));
    out.extend(p.channels.iter().map(|c| format!("&{c}")));
    match &p.databases {
        None => {}
        Some(list) if list.is_empty() => out.push("resetdbs".into()),
        Some(list) => out.push(format!("db={}", list.iter().map(u32::to_string).collect::<Vec<_>>().join(","))),
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_call_is_allowed_if_and_only_if_everything_it_touches_is(
        selectors in prop::collection::vec(permissions(), 1..4),
        command in prop::sample::select(&CALLED[..]),
        names in prop::collection::vec(prop::sample::select(&NAMES[..]), 2),
        n in 0..DATABASES, own in 0..DATABASES, twist: bool,
    ) {
        let acl = acl();
        let mut rules = rules_of(&selectors[0]);
        rules.extend(selectors[1..].iter().map(|s| format!("({})", rules_of(s).join(" "))));
        set(&acl, "u", &rules.join(" ")).unwrap();
        let touches = call_of(command, &names, n, own, twist);
        let answer = check(&acl, "u", own, &touches.line.join(" "));
        prop_assert_eq!(answer == "ok", model_allows(&selectors, &touches), "{} {:?}: {}", answer, touches, rules.join(" "));
        // And the user that its own description makes decides the same.
        let words = described(&acl, "u").trim_start_matches("user u ").to_owned();
        set(&acl, "v", &words).unwrap();
        prop_assert_eq!(check(&acl, "v", own, &touches.line.join(" ")), answer);
    }

    #[test]
    fn any_bytes_as_a_file_are_users_or_faults(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let acl = acl();
        let mut line = b"user x on ".to_vec();
        line.extend_from_slice(&text);
        if let Ok(users) = file::parse(&acl, &line, "f", &Policy::default()) {
            acl.replace_all(users);
            let once = file::text(&acl);
            let again = file::parse(&acl, &once, "f", &Policy::default());
            prop_assert!(again.is_ok(), "{}", once.escape_ascii());
            acl.replace_all(again.unwrap());
            prop_assert_eq!(file::text(&acl), once);
        }
    }
}
