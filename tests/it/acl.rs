//! Users and their permissions over real connections: the texts clients match on, rights that go while they are used.

use crate::support::{Server, check};

const COMMAND: &str = "-NOPERM User nu has no permissions to run the 'get' command";
const KEY: &str = "-NOPERM No permissions to access a key";
const CHANNEL: &str = "-NOPERM No permissions to access a channel";
const DATABASE: &str = "-NOPERM No permissions to access database";

#[test]
fn refusals_have_the_words_clients_know() {
    let server = Server::start();
    let (mut admin, mut user) = (server.connect(), server.connect());
    admin.line("ACL SETUSER nu on nopass +@all -get ~k* &c* db=0");
    assert_eq!(user.line("AUTH nu x").to_string(), "+OK");
    for (line, want) in [
        ("GET k", COMMAND),
        ("SET x 1", KEY),
        ("MSET k1 1 x 2", KEY),
        ("PUBLISH x m", CHANNEL),
        ("SUBSCRIBE c x", CHANNEL),
        ("PSUBSCRIBE cx", CHANNEL),
        ("SELECT 1", DATABASE),
        ("FLUSHALL", DATABASE),
        ("SWAPDB 0 1", DATABASE),
        ("MOVE k 1", DATABASE),
        ("COPY k k2 DB 1", DATABASE),
        ("SELECT 99", "-ERR DB index is out of range"),
        ("SORT k BY x*", "-ERR BY option of SORT denied due to insufficient ACL permissions."),
        ("SORT k GET #", "-ERR GET option of SORT denied due to insufficient ACL permissions."),
        ("SET k 1", "+OK"),
        ("ACL WHOAMI", "\"nu\""),
    ] {
        assert_eq!(user.line(line).to_string(), want, "{line}");
    }
    let log = admin.line("ACL LOG").to_string();
    assert!(log.contains("\"database\"") && log.contains("\"toplevel\"") && log.contains("\"nu\""), "{log}");
    let info = admin.line("INFO stats").to_string();
    assert!(info.contains("acl_access_denied_db:5") && info.contains("acl_access_denied_key:2"), "{info}");
}

#[test]
fn a_refused_exec_says_execabort_with_a_transaction_and_without() {
    const NOAUTH: &str = "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.";
    const ARITY: &str = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
    const NOPERM: &str =
        "-EXECABORT Transaction discarded because of: NOPERM User bob has no permissions to run the 'exec' command";
    let server = Server::plain(&["--requirepass", "pw"]);
    let mut c = server.connect_plain();
    check(&mut c, &[("EXEC", NOAUTH), ("EXEC more", NOAUTH), ("AUTH pw", "+OK"), ("EXEC more", ARITY)]);
    check(&mut c, &[("EXEC", "-ERR EXEC without MULTI"), ("MULTI", "+OK"), ("EXEC more", ARITY)]);
    // A library counts its transaction as open after a RESET that went past it.
    check(&mut c, &[("MULTI", "+OK"), ("RESET", "+RESET"), ("EXEC", NOAUTH)]);
    check(&mut c, &[("DISCARD", "-NOAUTH Authentication required."), ("AUTH pw", "+OK")]);
    check(&mut c, &[("ACL SETUSER bob on nopass ~* +@all -exec", "+OK"), ("AUTH bob x", "+OK"), ("EXEC", NOPERM)]);
    check(&mut c, &[("MULTI", "+OK"), ("SET a b", "+QUEUED"), ("EXEC", NOPERM), ("EXISTS a", ":0")]);
}

#[test]
fn what_was_queued_is_looked_at_again_when_it_runs() {
    let server = Server::start();
    let (mut admin, mut user) = (server.connect(), server.connect());
    admin.line("ACL SETUSER nu on nopass +@all ~k* &c*");
    user.line("AUTH nu x");
    const CHANGED: &str = "ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                           command is no longer allowed for the following reason: ";
    for (queued, change, back, why) in [
        ("SET k 1", "-set", "+set", "no permission to execute the command or subcommand"),
        ("SET k 1", "resetkeys", "~k*", "no permission to touch the specified keys"),
        ("PUBLISH c m", "resetchannels", "&c*", "no permission to access one of the channels used as arguments"),
        ("SET k 1", "resetdbs", "alldbs", "no permission"),
    ] {
        user.line("MULTI");
        assert_eq!(user.line(queued).to_string(), "+QUEUED");
        admin.line(&format!("ACL SETUSER nu {change}"));
        assert_eq!(user.line("EXEC").to_string(), format!("[-NOPERM {CHANGED}{why}]"));
        admin.line(&format!("ACL SETUSER nu {back}"));
    }
    assert_eq!(admin.line("EXISTS k").to_string(), ":0");
    // The database a queued command will run in is the one that was selected before it.
    admin.line("ACL SETUSER nu reset on nopass (db=0 +@all -@read ~*) (db=2 +@all -@write ~*)");
    user.line("MULTI");
    for line in ["SET k 1", "SELECT 2", "GET k", "SELECT 0", "SET j 1"] {
        assert_eq!(user.line(line).to_string(), "+QUEUED", "{line}");
    }
    assert_eq!(user.line("EXEC").to_string(), "[+OK +OK nil +OK +OK]");
}

#[test]
fn a_waiting_command_is_refused_when_its_right_is_gone() {
    let server = Server::start();
    let (mut admin, mut user) = (server.connect(), server.connect());
    admin.line("ACL SETUSER nu on nopass +@all allkeys");
    user.line("AUTH nu x");
    user.send(b"BLPOP list 0\r\n").unwrap();
    while !admin.line("INFO clients").to_string().contains("blocked_clients:1") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    admin.line("ACL SETUSER nu resetkeys");
    assert_eq!(admin.line("LPUSH list a").to_string(), ":1");
    assert_eq!(user.read().unwrap().to_string(), KEY);
    assert_eq!(admin.line("LLEN list").to_string(), ":1", "nothing was popped for it");
    assert_eq!(user.line("PING").to_string(), "+PONG");
}

#[test]
fn connections_end_with_their_user_and_with_the_channels_they_may_no_longer_hear() {
    let server = Server::start();
    let mut admin = server.connect();
    admin.line("ACL SETUSER a on nopass +@all &c*");
    admin.line("ACL SETUSER b on nopass +@all");
    let (mut listener, mut other, mut deleted) = (server.connect(), server.connect(), server.connect());
    for c in [&mut listener, &mut other] {
        c.line("AUTH a x");
    }
    deleted.line("AUTH b x");
    listener.line("SUBSCRIBE c1");
    admin.line("ACL SETUSER a resetchannels &d");
    assert!(listener.read().is_err(), "closed: it listened where it may not");
    assert_eq!(other.line("PING").to_string(), "+PONG", "who listens nowhere stays");
    admin.line("ACL DELUSER b");
    assert!(deleted.read().is_err());
    assert!(!admin.line("CLIENT LIST").to_string().contains("user=b"));
}

#[test]
fn users_come_from_a_file_and_go_back_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.acl");
    std::fs::write(&path, "# team\nuser alice on >secret ~a* +@all\nuser default on nopass ~* &* +@all\n").unwrap();
    let server = Server::with(&["--aclfile", path.to_str().unwrap()]);
    let (mut admin, mut alice) = (server.connect(), server.connect());
    assert_eq!(alice.line("AUTH alice secret").to_string(), "+OK");
    assert_eq!(alice.line("SET b 1").to_string(), KEY);
    admin.line("ACL SETUSER bob on nopass +get ~*");
    assert_eq!(admin.line("ACL SAVE").to_string(), "+OK");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("user bob on nopass ~* resetchannels -@all +get\n") && !text.contains("secret"), "{text}");
    std::fs::write(&path, format!("{text}user carol nosuch\n")).unwrap();
    let refused = admin.line("ACL LOAD").to_string();
    assert!(refused.contains(":4: Syntax error. WARNING: ACL errors detected"), "{refused}");
    assert_eq!(admin.line("ACL USERS").to_string(), "[\"alice\" \"bob\" \"default\"]");
    std::fs::write(&path, "user default on nopass ~* &* +@all\n").unwrap();
    assert_eq!(admin.line("ACL LOAD").to_string(), "+OK");
    assert!(alice.read().is_err(), "alice is gone");
}

#[test]
fn users_of_the_configuration_survive_a_rewrite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.conf");
    std::fs::write(&path, "tls-auth-clients no\nuser alice on nopass (+get ~a*) +ping\n").unwrap();
    let words = [path.to_str().unwrap()];
    let rewritten = {
        let server = Server::with_file(&words);
        let mut admin = server.connect();
        admin.line(
            "ACL SETUSER bob on #34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6 +@all -flushdb",
        );
        assert_eq!(admin.line("CONFIG REWRITE").to_string(), "+OK");
        std::fs::read_to_string(&path).unwrap()
    };
    assert!(
        rewritten.contains("user alice on nopass resetchannels -@all +ping (~a* resetchannels -@all +get)"),
        "{rewritten}"
    );
    // The folder of the first one is gone with it.
    let lines: Vec<&str> = rewritten.lines().filter(|l| !l.starts_with("dir ")).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let server = Server::with_file(&words);
    let list = server.connect().line("ACL LIST").to_string();
    assert!(list.contains("user bob on #34344e4d") && list.contains("+@all -flushdb"), "{list}");
}

#[test]
fn of_two_stores_the_one_that_is_written_is_the_one_that_is_judged() {
    let server = Server::start();
    let (mut admin, mut user) = (server.connect(), server.connect());
    admin.line("ACL SETUSER u on nopass +@all ~source ~list ~mine");
    admin.line("GEOADD source 1 1 m");
    admin.line("RPUSH list 1");
    user.line("AUTH u x");
    let refused = "-NOPERM No permissions to access a key";
    for command in ["GEORADIUS source 1 1 10 km", "GEORADIUSBYMEMBER source m 10 km", "SORT list"] {
        let words: &[&str] = if command.starts_with("SORT") { &["STORE"] } else { &["STORE", "STOREDIST"] };
        for first in words {
            for second in words {
                assert_eq!(user.line(&format!("{command} {first} mine {second} other")).to_string(), refused);
                assert_eq!(user.line(&format!("{command} {first} other {second} mine")).to_string(), ":1");
                assert_eq!(admin.line("EXISTS other").to_string(), ":0", "{command} {first} {second}");
            }
        }
    }
}

#[test]
fn names_with_control_characters_are_no_names() {
    let server = Server::start();
    let mut admin = server.connect();
    for name in [&b"u\x1b[2J"[..], b"u\x01", b"u\nuser x on nopass +@all", b"u\x7f"] {
        let reply = admin.command(&[b"ACL", b"SETUSER", name, b"on"]).unwrap().to_string();
        assert_eq!(reply, "-ERR Usernames can't contain spaces or null characters", "{name:?}");
        let reply = admin.command(&[b"REPLICAOF", name, b"6379"]).unwrap().to_string();
        assert_eq!(reply, "-ERR Invalid master host", "{name:?}");
    }
    assert_eq!(admin.line("ACL USERS").to_string(), "[\"default\"]");
}

#[test]
fn a_server_whose_users_are_in_doubt_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("u.acl"), "user a on\nuser a off\n").unwrap();
    for (words, why) in [
        (&["--aclfile", "u.acl"][..], "Duplicate user 'a' found on line 2"),
        (&["--aclfile", "nosuch.acl"], "No such file or directory"),
        (&["--aclfile", "u.acl", "--user", "a on"], "not both"),
        (&["--user", "a on", "--user", "a off"], "Duplicate user found"),
        (&["--user", "a on +nosuch"], "Error loading ACL rule '+nosuch' for the user named 'a'"),
    ] {
        let out = crate::support::server::refused(folder.path(), words);
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(!out.status.success() && said.contains(why), "{words:?}: {said}");
    }
}
