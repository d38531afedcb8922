//! Nothing is lost: ends, kills and restarts over one data folder.

use crate::support::client::{Connection, Value};
use crate::support::{Server, check};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn start(dir: &Path, words: &[&str]) -> Server {
    let dir = dir.to_string_lossy().into_owned();
    let mut all = vec!["--dir", &dir, "--enable-debug-command", "yes"];
    all.extend(words);
    Server::plain(&all)
}

fn digest(c: &mut Connection) -> String {
    c.line("DEBUG DIGEST").to_string()
}

fn fill(c: &mut Connection) {
    for line in [
        "SET s v",
        "SET n 17",
        "SETRANGE long 100000 x",
        "SET soon v EX 1000",
        "RPUSH l a b c",
        "SADD set 1 2 3",
        "SADD words a b c",
        "HSET h f v g w",
        "HEXPIRE h 1000 FIELDS 1 f",
        "ZADD z 1 a 2.5 b",
        "XADD x 1-1 f v",
    ] {
        let reply = c.line(line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
    c.line("SELECT 3");
    c.line("SET other 1");
    c.line("SELECT 0");
}

#[test]
fn an_end_with_save_points_saves_and_one_without_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), &["--save", "3600 1000"]);
    let mut c = server.connect_plain();
    fill(&mut c);
    let before = digest(&mut c);
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(20)).code(), Some(0));
    let mut server = start(folder.path(), &["--save", ""]);
    let mut c = server.connect_plain();
    assert_eq!(digest(&mut c), before);
    check(&mut c, &[("SET later 1", "+OK")]);
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    let server = start(folder.path(), &["--save", ""]);
    assert_eq!(digest(&mut server.connect_plain()), before);
}

#[test]
fn a_snapshot_that_is_damaged_at_its_end_is_served_to_nobody_while_the_process_ends() {
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--save", ""]);
    let mut c = server.connect_plain();
    check(&mut c, &[("DEBUG POPULATE 100000", "+OK"), ("SAVE", "+OK")]);
    drop(server);
    let mut bytes = std::fs::read(folder.path().join("dump.rdb")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(folder.path().join("dump.rdb"), bytes).unwrap();
    let port = crate::support::server::free_port().to_string();
    let mut server = std::process::Command::new(crate::support::server::BINARY)
        .args(["server", "--allow-plaintext", "local", "--port", &port, "--tls-port", "0", "--pidfile", "pid", "--dir"])
        .arg(folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut heard = false;
    while server.try_wait().unwrap().is_none() {
        let Ok(mut stream) = std::net::TcpStream::connect(format!("127.0.0.1:{port}")) else { continue };
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut reply = [0; 256];
        while stream.write_all(b"SET new 1\r\n").is_ok() {
            let Ok(n @ 1..) = stream.read(&mut reply) else { break };
            let said = String::from_utf8_lossy(&reply[..n]).into_owned();
            assert!(said.starts_with("-LOADING"), "{said}");
            heard = true;
        }
    }
    assert!(heard && !server.wait().unwrap().success());
    assert!(!folder.path().join("pid").exists(), "nobody is left whom it would name");
}

#[test]
fn a_snapshot_for_an_older_version_leaves_out_the_deadlines_of_fields_whoever_saves() {
    for save in ["SAVE", "BGSAVE", "SHUTDOWN"] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = start(folder.path(), &["--save", "3600 1000", "--rdb-version", "8.1"]);
        let mut c = server.connect_plain();
        check(&mut c, &[("HSET h f v g w", ":2"), ("HEXPIRE h 1000 FIELDS 1 f", "[:1]"), ("SET k v EX 1000", "+OK")]);
        if save == "SHUTDOWN" {
            server.signal("TERM");
            assert_eq!(server.wait(Duration::from_secs(20)).code(), Some(0));
        } else {
            let said = c.line(save).to_string();
            assert!(said.starts_with('+'), "{save}: {said}");
            crate::support::process::eventually("it is there", Duration::from_secs(20), || {
                folder.path().join("dump.rdb").exists()
            });
            drop(server);
        }
        assert!(std::fs::read(folder.path().join("dump.rdb")).unwrap().starts_with(b"REDIS0011"), "{save}");
        let server = start(folder.path(), &["--save", ""]);
        let mut c = server.connect_plain();
        check(
            &mut c,
            &[("HGETALL h", "[\"f\" \"v\" \"g\" \"w\"]"), ("HTTL h FIELDS 1 f", "[:-1]"), ("EXISTS k", ":1")],
        );
    }
}

#[test]
fn a_background_save_holds_the_data_of_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), &["--save", "", "--rdb-key-save-delay", "500"]);
    let mut c = server.connect_plain();
    fill(&mut c);
    c.line("DEBUG POPULATE 500");
    let before = digest(&mut c);
    check(&mut c, &[("BGSAVE", "+Background saving started")]);
    check(&mut c, &[("BGSAVE", "-ERR Background save already in progress")]);
    for line in ["SET s other", "DEL l", "HDEL h f", "SWAPDB 0 3", "SET new 1", "FLUSHDB"] {
        c.line(line);
    }
    c.line("CONFIG SET rdb-key-save-delay 0");
    while c.line("INFO persistence").to_string().contains("rdb_bgsave_in_progress:1") {
        std::thread::sleep(Duration::from_millis(10));
    }
    server.signal("KILL");
    server.wait(Duration::from_secs(20));
    let server = start(folder.path(), &["--save", ""]);
    assert_eq!(digest(&mut server.connect_plain()), before);
}

#[test]
fn a_save_that_a_transaction_asks_for_holds_all_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = start(dir.path(), &["--save", ""]);
    let mut c = server.connect_plain();
    check(
        &mut c,
        &[
            ("MULTI", "+OK"),
            ("INCR n", "+QUEUED"),
            ("BGSAVE", "+QUEUED"),
            ("INCR n", "+QUEUED"),
            ("EXEC", "[:1 +Background saving scheduled :2]"),
        ],
    );
    crate::support::process::eventually("it is saved", Duration::from_secs(20), || {
        c.line("INFO persistence").to_string().contains("rdb_saves:1")
    });
    server.signal("KILL");
    server.wait(Duration::from_secs(20));
    let again = start(dir.path(), &[]);
    check(&mut again.connect_plain(), &[("GET n", "\"2\"")]);
}

#[test]
fn a_log_brings_everything_back_through_rewrites_and_switching() {
    let folder = tempfile::tempdir().unwrap();
    let rewritten = |c: &mut Connection| {
        for _ in 0..1000 {
            let info = c.line("INFO persistence").to_string();
            if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no rewrite ended");
    };
    let mut server = start(folder.path(), &["--save", ""]);
    let mut c = server.connect_plain();
    fill(&mut c);
    check(&mut c, &[("CONFIG SET appendonly yes", "+OK")]);
    rewritten(&mut c);
    for line in ["MULTI", "INCR n", "RPUSH l d", "EXEC", "SPOP set 1", "PEXPIRE s 100000"] {
        c.line(line);
    }
    c.line("BGREWRITEAOF");
    rewritten(&mut c);
    c.line("INCRBY n 5");
    let before = digest(&mut c);
    check(&mut c, &[("DEBUG LOADAOF", "+OK")]);
    assert_eq!(digest(&mut c), before);
    c.line("INCRBY n 5");
    let before = digest(&mut c);
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    for _ in 0..2 {
        let server = start(folder.path(), &["--save", "", "--appendonly", "yes"]);
        assert_eq!(digest(&mut server.connect_plain()), before);
    }
}

#[test]
fn a_base_without_a_snapshot_is_readable_commands_that_make_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--save", "", "--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--aof-timestamp-enabled", "yes"];
    let mut server = start(folder.path(), &words);
    let mut c = server.connect_plain();
    fill(&mut c);
    for line in [
        "XADD x 2-1 g w",
        "XADD x 3-1 h u",
        "XGROUP CREATE x group 0",
        "XREADGROUP GROUP group reader COUNT 2 STREAMS x >",
        "XDEL x 3-1",
        "XGROUP CREATE nothing group $ MKSTREAM",
        "ZADD odd -inf low inf high 0.1 tenth 12345678901234567 big",
        "DEBUG POPULATE 300 many 10",
    ] {
        c.line(line);
    }
    for n in 0..200 {
        c.line(&format!("RPUSH long-list element-{n}"));
    }
    let library = b"#!lua name=lib\nserver.register_function{function_name='one', callback=function() return 1 end, flags={'no-writes'}}";
    assert!(matches!(c.command(&[b"FUNCTION", b"LOAD", library]), Ok(Value::Bulk(_))));
    c.line("BGREWRITEAOF");
    while !c.line("INFO persistence").to_string().contains("aof_rewrites:1") {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (before, streams) = (digest(&mut c), ["XINFO GROUPS x", "XPENDING x group", "XINFO STREAM nothing"]);
    let told: Vec<String> = streams.iter().map(|line| c.line(line).to_string()).collect();
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    let base = std::fs::read(folder.path().join("appendonlydir/appendonly.aof.2.base.aof")).unwrap();
    assert!(base.starts_with(b"#TS:"), "{}", base.escape_ascii());
    let pushed = b"$5\r\nRPUSH\r\n$1\r\nl\r\n";
    assert!(base.windows(pushed.len()).any(|w| w == pushed), "a list is pushed");
    // The growing part alone would bring nothing back.
    std::fs::write(folder.path().join("appendonlydir/appendonly.aof.2.incr.aof"), "").unwrap();
    let server = start(folder.path(), &words);
    let mut c = server.connect_plain();
    assert_eq!(digest(&mut c), before);
    assert_eq!(streams.iter().map(|line| c.line(line).to_string()).collect::<Vec<_>>(), told);
    check(&mut c, &[("HTTL h FIELDS 1 g", "[:-1]"), ("FCALL one 0", ":1")]);
    let left = c.line("HTTL h FIELDS 1 f").to_string();
    assert!(left.starts_with("[:9") || left == "[:1000]", "{left}");
}

#[test]
fn a_log_whose_end_is_torn_loads_to_its_last_whole_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), &["--save", "", "--appendonly", "yes"]);
    let mut c = server.connect_plain();
    check(&mut c, &[("SET a 1", "+OK"), ("MULTI", "+OK"), ("SET b 1", "+QUEUED"), ("SET c 1", "+QUEUED")]);
    c.line("EXEC");
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    let log = folder.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, &whole[..whole.len() - 3]).unwrap();
    let mut server = start(folder.path(), &["--save", "", "--appendonly", "yes"]);
    check(&mut server.connect_plain(), &[("GET a", "\"1\""), ("EXISTS b c", ":0"), ("SET d 1", "+OK")]);
    // Asked to end, not killed: under `everysec` a reply does not wait for its write.
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    let server = start(folder.path(), &["--save", "", "--appendonly", "yes"]);
    check(&mut server.connect_plain(), &[("EXISTS a b c d", ":2")]);
}

/// Kills the server in the middle of writes and looks whether every acknowledged one is there.
#[test]
fn a_log_belongs_to_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--save", "", "--appendonly", "yes"];
    let first = start(folder.path(), &words);
    check(&mut first.connect_plain(), &[("SET k v", "+OK")]);
    let all = [&["--tls-port", "0", "--allow-plaintext", "local", "--unixsocket", "s"], &words[..]].concat();
    let out = crate::support::server::refused(folder.path(), &all);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("in use by another server"), "{said}");
    let second = start(folder.path(), &["--save", ""]);
    let mut c = second.connect_plain();
    let refused = "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs.";
    check(&mut c, &[("CONFIG SET appendonly yes", refused), ("CONFIG GET appendonly", "[\"appendonly\" \"no\"]")]);
    assert!(second.log().contains("in use by another server"), "{}", second.log());
    check(&mut first.connect_plain(), &[("CONFIG SET appendonly no", "+OK")]);
    crate::support::process::eventually("the folder is free", Duration::from_secs(20), || {
        c.line("CONFIG SET appendonly yes").to_string() == "+OK"
    });
    check(&mut first.connect_plain(), &[("CONFIG SET appendonly yes", refused)]);
    drop(first);
    drop(second);
    drop(start(folder.path(), &words));
}

#[test]
fn files_of_a_log_whose_manifest_was_lost_are_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let server = start(folder.path(), &words);
    check(&mut server.connect_plain(), &[("SET k v", "+OK")]);
    drop(server);
    let at = |name: &str| folder.path().join("appendonlydir").join(name);
    let manifest = std::fs::read(at("appendonly.aof.manifest")).unwrap();
    std::fs::remove_file(at("appendonly.aof.manifest")).unwrap();
    let kept = std::fs::read(at("appendonly.aof.1.incr.aof")).unwrap();
    let server = start(folder.path(), &words);
    check(&mut server.connect_plain(), &[("GET k", "nil"), ("SET k other", "+OK")]);
    assert!(server.log().contains("no manifest that names them"), "{}", server.log());
    check(&mut server.connect_plain(), &[("CONFIG SET appendonly no", "+OK"), ("CONFIG SET appendonly yes", "+OK")]);
    drop(server);
    assert_eq!(std::fs::read(at("appendonly.aof.1.incr.aof")).unwrap(), kept);
    std::fs::write(at("appendonly.aof.manifest"), manifest).unwrap();
    let server = start(folder.path(), &words);
    check(&mut server.connect_plain(), &[("GET k", "\"v\"")]);
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged_under_always() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let mut counts: HashMap<String, i64> = HashMap::new();
    for round in 0..4 {
        let mut server = start(folder.path(), &words);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|w| {
                let mut c = server.connect_plain();
                let stop = Arc::clone(&stop);
                let name = format!("w{w}");
                let mut n = counts.get(&name).copied().unwrap_or(0);
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        match c.command(&[b"INCR", name.as_bytes()]) {
                            Ok(Value::Integer(now)) => {
                                // One more than was acknowledged at the most: the one that was on its way when the server was killed.
                                assert!(now == n + 1 || now == n + 2, "{name}: {now} after {n}");
                                n = now;
                            }
                            _ => break,
                        }
                    }
                    (name, n)
                })
            })
            .collect();
        let mut c = server.connect_plain();
        std::thread::sleep(Duration::from_millis(150));
        if round == 1 {
            c.line("BGREWRITEAOF");
        }
        std::thread::sleep(Duration::from_millis(100));
        server.signal("KILL");
        server.wait(Duration::from_secs(20));
        stop.store(true, Ordering::Relaxed);
        for w in writers {
            let (name, n) = w.join().unwrap();
            counts.insert(name, n);
        }
    }
    let server = start(folder.path(), &words);
    let mut c = server.connect_plain();
    for (name, n) in &counts {
        let Value::Bulk(text) = c.line(&format!("GET {name}")) else { panic!("{name} is gone") };
        let there: i64 = String::from_utf8(text).unwrap().parse().unwrap();
        assert!(there == *n || there == n + 1, "{name}: {there} is there, {n} was acknowledged");
    }
}

/// A machine that fails forgets what the log has not been forced to disk with: only the buffer beside it has that.
#[test]
fn what_always_acknowledged_comes_back_from_the_doublewrite_buffer_and_an_end_in_order_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let log = folder.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    let buffer = folder.path().join("appendonlydir/appendonly.aof.doublewrite");
    let mut server = start(folder.path(), &words);
    let mut c = server.connect_plain();
    check(&mut c, &[("SET first 1", "+OK")]);
    let forced = std::fs::metadata(&log).unwrap().len();
    for n in 1..=50 {
        check(&mut c, &[("INCR n", &format!(":{n}"))]);
    }
    server.signal("KILL");
    server.wait(Duration::from_secs(20));
    std::fs::File::options().write(true).open(&log).unwrap().set_len(forced).unwrap();
    let mut server = start(folder.path(), &words);
    let mut c = server.connect_plain();
    check(&mut c, &[("GET first", "\"1\""), ("GET n", "\"50\""), ("INCR n", ":51")]);
    assert!(buffer.exists());
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    assert!(!buffer.exists());
    let server = start(folder.path(), &words);
    check(&mut server.connect_plain(), &[("GET n", "\"51\"")]);
}

/// Runs a tool of the binary; what it printed, both ways.
fn tool(words: &[&str]) -> (bool, String) {
    let out = std::process::Command::new(crate::support::server::BINARY).args(words).output().unwrap();
    (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

/// What the machine lost of a log is in the buffer beside it; tools that read the log must not take it for whole.
#[test]
fn tools_do_not_pass_over_what_the_doublewrite_buffer_holds() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (data, copied) = (folder.path().join("data"), folder.path().join("copied"));
    std::fs::create_dir(&data).unwrap();
    let words = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let log = |data: &Path| data.join("appendonlydir/appendonly.aof.1.incr.aof");
    let buffer = |data: &Path| data.join("appendonlydir/appendonly.aof.doublewrite");
    let manifest = |data: &Path| path(data, "appendonlydir/appendonly.aof.manifest");
    let mut server = start(&data, &words);
    let mut c = server.connect_plain();
    check(&mut c, &[("SET first 1", "+OK"), ("INCR n", ":1"), ("INCR n", ":2")]);
    let (ok, said) = tool(&["check-aof", &manifest(&data)]);
    assert!(ok && !said.contains("doublewrite"), "one that runs lacks nothing: {said}");
    server.signal("KILL");
    server.wait(Duration::from_secs(20));
    let whole = std::fs::read(log(&data)).unwrap();
    let torn = whole.len() as u64 - 30;
    std::fs::File::options().write(true).open(log(&data)).unwrap().set_len(torn).unwrap();

    let other = start(folder.path(), &["--save", ""]);
    let port = other.port.to_string();
    for words in [
        &["check-aof", &manifest(&data)] as &[&str],
        &["check-aof", &log(&data).to_string_lossy()],
        &["restore", &at("data"), &at("restored")],
        &["backup", "-p", &port, &at("backups"), "--log", &at("data")],
    ] {
        let (ok, said) = tool(words);
        assert!(!ok && said.contains("appendonly.aof.doublewrite holds 30 acknowledged bytes"), "{said}");
        assert!(said.contains("--fix"), "{said}");
        assert_eq!(std::fs::metadata(log(&data)).unwrap().len(), torn);
    }

    // A copy is as new as the time it was copied at.
    std::fs::create_dir_all(copied.join("appendonlydir")).unwrap();
    for entry in std::fs::read_dir(data.join("appendonlydir")).unwrap() {
        let from = entry.unwrap();
        std::fs::copy(from.path(), copied.join("appendonlydir").join(from.file_name())).unwrap();
    }
    let later = std::time::SystemTime::now() + Duration::from_secs(60);
    std::fs::File::options().write(true).open(log(&copied)).unwrap().set_modified(later).unwrap();
    let (ok, said) = tool(&["check-aof", "--fix", &manifest(&copied)]);
    assert!(!ok && said.contains("Bring them back? [y/N]: Aborting"), "nobody said yes: {said}");
    assert_eq!(std::fs::metadata(log(&copied)).unwrap().len(), torn);

    let (ok, said) = tool(&["check-aof", "--fix", &manifest(&data)]);
    assert!(ok && said.contains("Successfully brought them back") && !said.contains("shrink"), "{said}");
    assert_eq!(std::fs::read(log(&data)).unwrap(), whole);
    assert!(!buffer(&data).exists());
    let (ok, said) = tool(&["restore", &at("data"), &at("restored")]);
    assert!(ok, "{said}");
}

#[test]
fn a_backup_of_a_running_server_comes_back_sealed_or_plain_and_a_changed_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let key = format!("file:{}", at("keys"));
    std::fs::write(at("keys"), "5a".repeat(32)).unwrap();
    std::fs::create_dir(at("data")).unwrap();
    let server = start(&folder.path().join("data"), &["--save", ""]);
    let mut c = server.connect_plain();
    fill(&mut c);
    let before = digest(&mut c);
    let port = server.port.to_string();
    for (words, name) in [(vec![], "plain"), (vec!["--key-source", &key], "sealed")] {
        let (backups, target) = (at(name), at(&format!("from-{name}")));
        let mut all = vec!["backup", "-p", &port, &backups];
        all.extend(&words);
        let (ok, said) = tool(&all);
        assert!(ok && said.contains("read back and whole"), "{said}");
        let info = c.line("INFO persistence").to_string();
        assert!(info.contains("last_backup_status:ok"), "{info}");
        let mut all = vec!["restore"];
        all.extend(&words);
        all.extend([backups.as_str(), &target]);
        let (ok, said) = tool(&all);
        assert!(ok, "{said}");
        let mut words: Vec<&str> = vec!["--save", ""];
        if name == "sealed" {
            words.extend(["--encryption-at-rest", "yes", "--encryption-key-source", &key]);
        }
        let restored = start(Path::new(&target), &words);
        assert_eq!(digest(&mut restored.connect_plain()), before, "{name}");
    }
    let (ok, said) = tool(&["restore", &at("sealed"), &at("none")]);
    assert!(!ok && said.contains("sealed under the key"), "{said}");
    let backup = std::fs::read_dir(at("plain")).unwrap().next().unwrap().unwrap().path().join("dump.rdb");
    let mut bytes = std::fs::read(&backup).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&backup, bytes).unwrap();
    let (ok, said) = tool(&["restore", &at("plain"), &at("none")]);
    assert!(!ok && said.contains("is not what was backed up"), "{said}");
    assert!(!Path::new(&at("none")).exists());
}

#[test]
fn a_snapshot_for_a_pipe_goes_into_it_and_one_for_a_link_to_where_it_leads() {
    use std::os::unix::fs::FileTypeExt;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(&["--repl-diskless-sync-delay", "0"]);
    let port = server.plain_port.to_string();
    let save = |to: &str| tool(&["cli", "-p", &port, "--rdb", to]);
    let at = |name: &str| path(folder.path(), name);
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    let pipe = at("pipe");
    let reader = std::thread::spawn(move || std::fs::read(pipe).unwrap());
    let (ok, said) = save(&at("pipe"));
    assert!(ok, "{said}");
    assert!(std::fs::symlink_metadata(at("pipe")).unwrap().file_type().is_fifo(), "it is still a pipe");
    assert!(reader.join().unwrap().starts_with(b"VALKEY"));
    std::fs::write(at("file"), "old").unwrap();
    std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
    let (ok, said) = save(&at("link"));
    assert!(ok, "{said}");
    assert!(std::fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert!(std::fs::read(at("file")).unwrap().starts_with(b"VALKEY"));
    let (ok, said) = save(&path(folder.path(), ""));
    assert!(!ok && said.contains("directory"), "{said}");
}

#[test]
fn a_backup_of_the_log_leads_back_to_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    std::fs::create_dir(at("data")).unwrap();
    let server =
        start(&folder.path().join("data"), &["--save", "", "--appendonly", "yes", "--aof-timestamp-enabled", "yes"]);
    let mut c = server.connect_plain();
    check(&mut c, &[("SET k before", "+OK")]);
    let reply = c.line("TIME").to_string();
    let moment: String = reply.chars().skip_while(|c| *c != '"').skip(1).take_while(char::is_ascii_digit).collect();
    std::thread::sleep(Duration::from_millis(2100));
    check(&mut c, &[("SET k after", "+OK"), ("DEBUG LOADAOF", "+OK")]);
    let (ok, said) = tool(&["backup", "-p", &server.port.to_string(), &at("backups"), "--log", &at("data")]);
    assert!(ok, "{said}");
    let (ok, said) = tool(&["restore", "--to-time", &moment, &at("backups"), &at("earlier")]);
    assert!(ok, "{said}");
    let earlier = start(&folder.path().join("earlier"), &["--save", "", "--appendonly", "yes"]);
    check(&mut earlier.connect_plain(), &[("GET k", "\"before\"")]);
}

#[test]
fn a_backup_of_a_log_is_sealed_if_asked_and_goes_on_where_it_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let key = format!("file:{}", at("keys"));
    std::fs::write(at("keys"), "5a".repeat(32)).unwrap();
    std::fs::create_dir(at("data")).unwrap();
    let server = start(&folder.path().join("data"), &["--save", "", "--appendonly", "yes"]);
    let mut c = server.connect_plain();
    check(&mut c, &[("SET k a-secret", "+OK"), ("DEBUG LOADAOF", "+OK"), ("SET l a-secret", "+OK")]);
    check(&mut c, &[("BGREWRITEAOF", "+Background append only file rewriting started")]);
    crate::support::process::eventually("the base is there", Duration::from_secs(20), || {
        c.line("INFO persistence").to_string().contains("aof_rewrite_in_progress:0\r\n")
    });
    check(&mut c, &[("SET m a-secret", "+OK"), ("DEBUG LOADAOF", "+OK")]);
    let port = server.port.to_string();
    let (ok, said) =
        tool(&["backup", "--log", &at("data"), "-p", &port, "--key-source", &key, &at("backups"), "--keep-daily=3"]);
    assert!(ok, "{said}");
    let (ok, said) = tool(&["restore", "--key-source", &key, &at("backups"), &at("restored")]);
    assert!(ok, "{said}");
    for from in ["backups", "restored"] {
        let mut folders = vec![folder.path().join(from)];
        while let Some(one) = folders.pop() {
            for entry in std::fs::read_dir(one).unwrap().map(|e| e.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    let bytes = std::fs::read(&entry).unwrap();
                    assert!(!bytes.windows(8).any(|w| w == b"a-secret"), "{}", entry.display());
                }
            }
        }
    }
    let (ok, said) = tool(&["restore", &at("backups"), &at("none")]);
    assert!(!ok && said.contains("sealed under the key"), "{said}");
    let words = ["--save", "", "--appendonly", "yes", "--encryption-at-rest", "yes", "--encryption-key-source", &key];
    let mut restored = start(&folder.path().join("restored"), &words);
    let mut c = restored.connect_plain();
    let want = [("GET k", "\"a-secret\""), ("GET l", "\"a-secret\""), ("GET m", "\"a-secret\"")];
    check(&mut c, &want);
    check(&mut c, &[("SET n 1", "+OK"), ("DEBUG LOADAOF", "+OK")]);
    restored.signal("TERM");
    restored.wait(Duration::from_secs(20));
    let restored = start(&folder.path().join("restored"), &words);
    check(&mut restored.connect_plain(), &want);
    check(&mut restored.connect_plain(), &[("GET n", "\"1\"")]);
}

#[test]
fn a_log_that_does_not_say_when_it_was_written_is_not_taken_up_to_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let begun = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    std::fs::create_dir(at("data")).unwrap();
    let words = ["--save", "", "--appendonly", "yes", "--aof-use-rdb-preamble", "no"];
    let server = start(&folder.path().join("data"), &words);
    let mut c = server.connect_plain();
    check(&mut c, &[("SET k v", "+OK"), ("DEBUG LOADAOF", "+OK")]);
    let (ok, said) = tool(&["restore", "--to-time", &(begun + 3600).to_string(), &at("data"), &at("undated")]);
    assert!(!ok && said.contains("aof-timestamp-enabled"), "{said}");
    let (ok, said) = tool(&["restore", &at("data"), &at("whole")]);
    assert!(ok, "{said}");
    // A base of commands says when it was made, too.
    check(&mut c, &[("CONFIG SET aof-timestamp-enabled yes", "+OK")]);
    check(&mut c, &[("BGREWRITEAOF", "+Background append only file rewriting started")]);
    crate::support::process::eventually("the base is there", Duration::from_secs(20), || {
        let there = std::fs::read_to_string(folder.path().join("data/appendonlydir/appendonly.aof.manifest"));
        there.is_ok_and(|m| m.contains(".2.base.aof"))
    });
    let (ok, said) = tool(&["restore", "--to-time", "2026-01-01T00:00:00Z", &at("data"), &at("early")]);
    assert!(!ok && said.contains("the log's base was made at 20"), "{said}");
    let (ok, said) = tool(&["restore", "--to-time", "2026-01-01", &at("data"), &at("early")]);
    assert!(!ok && said.contains("seconds since the epoch, or as in"), "{said}");
}

#[test]
fn keys_are_changed_while_the_server_runs_and_none_that_a_file_needs_can_go() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    std::fs::write(at("old"), &old).unwrap();
    std::fs::write(at("both"), format!("{new}\n{old}\n")).unwrap();
    std::fs::write(at("new"), &new).unwrap();
    std::fs::create_dir(at("data")).unwrap();
    let from = |name: &str| format!("file:{}", at(name));
    let both = format!("command:cat {}", at("both"));
    let data = folder.path().join("data");
    let sealed = |source: &str| {
        start(
            &data,
            &[
                "--save",
                "",
                "--encryption-at-rest",
                "yes",
                "--encryption-key-source",
                source,
                "--enable-protected-configs",
                "yes",
            ],
        )
    };
    let mut server = sealed(&from("old"));
    let mut c = server.connect_plain();
    fill(&mut c);
    check(&mut c, &[("SAVE", "+OK")]);
    let set = |c: &mut Connection, source: &str| {
        c.command(&[b"CONFIG", b"SET", b"encryption-key-source", source.as_bytes()]).unwrap().to_string()
    };
    let refused = set(&mut c, &from("new"));
    assert!(refused.contains("is sealed under the key"), "{refused}");
    assert_eq!(set(&mut c, &both), "+OK");
    check(&mut c, &[("DEBUG RELOAD NOSAVE", "+OK"), ("SAVE", "+OK")]);
    assert_eq!(set(&mut c, &from("new")), "+OK");
    let before = digest(&mut c);
    server.signal("KILL");
    server.wait(Duration::from_secs(20));
    let server = sealed(&from("new"));
    assert_eq!(digest(&mut server.connect_plain()), before);
}

/// The lengths of what stands in a sealed file: its head, then records.
fn records(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![76];
    while let Some(word) = bytes.get(*ends.last().unwrap()..).and_then(|rest| rest.first_chunk::<4>()) {
        let text = (u32::from_le_bytes(*word) & 0x7fff_ffff) as usize;
        ends.push(ends.last().unwrap() + 4 + 12 + text + 16);
    }
    ends
}

const UNPROVED: &str = "a manifest without its proof";

#[test]
fn a_sealed_log_with_a_hole_or_with_another_file_in_it_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let key = format!("file:{}", at("keys"));
    std::fs::write(at("keys"), "5a".repeat(32)).unwrap();
    let words = ["--appendonly", "yes", "--appendfsync", "always", "--encryption-at-rest", "yes"];
    let words = [&words[..], &["--save", "", "--encryption-key-source", &key]].concat();
    std::fs::create_dir(at("data")).unwrap();
    let data = folder.path().join("data");
    // Each start begins an increment; some are killed.
    for (n, signal) in ["KILL", "TERM", "KILL", "KILL"].into_iter().enumerate() {
        let mut server = start(&data, &words);
        let mut c = server.connect_plain();
        for i in 0..10 {
            c.line(&format!("RPUSH l {}", n * 10 + i));
        }
        if n == 1 {
            check(&mut c, &[("SAVE", "+OK"), ("BGREWRITEAOF", "+Background append only file rewriting started")]);
            crate::support::process::eventually("the base is there", Duration::from_secs(20), || {
                c.line("INFO persistence").to_string().contains("aof_rewrite_in_progress:0\r\n")
            });
            check(&mut c, &[("RPUSH m 1", ":1")]);
        }
        server.signal(signal);
        server.wait(Duration::from_secs(20));
    }
    let log = |of: &Path, name: &str| of.join("appendonlydir").join(name);
    let manifest = std::fs::read_to_string(log(&data, "appendonly.aof.manifest")).unwrap();
    let names: Vec<&str> = manifest.lines().filter_map(|l| l.strip_prefix("file ")?.split(' ').next()).collect();
    let [base, first, second, third] = names[..] else { panic!("{manifest}") };
    let attempt = |what: &str, harm: &dyn Fn(&Path)| {
        let copy = tempfile::tempdir().unwrap();
        let done = std::process::Command::new("cp").arg("-r").arg(&data).arg(copy.path()).status().unwrap();
        assert!(done.success());
        let there = copy.path().join("data");
        harm(&there);
        let all = [&["--tls-port", "0", "--allow-plaintext", "local", "--unixsocket", "s"], &words[..]].concat();
        let out = crate::support::server::refused(&there, &all);
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && !said.contains("CONFIG FILE ERROR"), "{what}: {said}");
        if what == UNPROVED {
            // Only who knows that files have to be sealed can miss it.
            return;
        }
        let manifest = log(&there, "appendonly.aof.manifest").to_string_lossy().into_owned();
        let (ok, said) = tool(&["check-aof", "--key-source", &key, &manifest]);
        assert!(!ok, "{what}: {said}");
        let (ok, said) = tool(&["restore", "--key-source", &key, &there.to_string_lossy(), &path(copy.path(), "to")]);
        assert!(!ok, "{what}: {said}");
    };
    for name in [first, second] {
        attempt("an increment that others follow, cut between records", &|to: &Path| {
            let bytes = std::fs::read(log(to, name)).unwrap();
            let ends = records(&bytes);
            std::fs::write(log(to, name), &bytes[..ends[ends.len() - 2]]).unwrap();
        });
    }
    for name in [base, first, second] {
        attempt("a manifest without a line", &|to: &Path| {
            let kept = manifest.lines().filter(|l| !l.contains(name)).map(|l| format!("{l}\n"));
            std::fs::write(log(to, "appendonly.aof.manifest"), kept.collect::<String>()).unwrap();
        });
    }
    attempt(UNPROVED, &|to: &Path| {
        let kept = manifest.lines().filter(|l| l.starts_with("file")).map(|l| format!("{l}\n"));
        std::fs::write(log(to, "appendonly.aof.manifest"), kept.collect::<String>()).unwrap();
    });
    attempt("another snapshot for the base", &|to: &Path| {
        std::fs::copy(to.join("dump.rdb"), log(to, base)).unwrap();
    });
    attempt("swapped increments", &|to: &Path| {
        std::fs::rename(log(to, first), log(to, "x")).unwrap();
        std::fs::rename(log(to, second), log(to, first)).unwrap();
        std::fs::rename(log(to, "x"), log(to, second)).unwrap();
    });
    // The end may be torn, by a crash too; what was acknowledged stands in the buffer, without which it is lost.
    std::fs::remove_file(log(&data, "appendonly.aof.doublewrite")).unwrap();
    let bytes = std::fs::read(log(&data, third)).unwrap();
    std::fs::write(log(&data, third), &bytes[..bytes.len() - 3]).unwrap();
    for lost in [1, 1] {
        let server = start(&data, &words);
        check(
            &mut server.connect_plain(),
            &[
                ("LLEN l", &format!(":{}", 40 - lost)),
                ("GET m", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ],
        );
    }
    let (ok, said) = tool(&["restore", "--key-source", &key, &at("data"), &at("restored")]);
    assert!(ok, "{said}");
    let server = start(&folder.path().join("restored"), &words);
    check(&mut server.connect_plain(), &[("LLEN l", ":39")]);
}

#[test]
fn who_waits_for_a_key_is_served_when_a_reload_brings_it_and_the_next_command_runs_under_its_own_locks() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--save", ""]);
    let (mut waiter, mut other, mut c) = (server.connect_plain(), server.connect_plain(), server.connect_plain());
    check(&mut c, &[("RPUSH back a b", ":2"), ("SAVE", "+OK"), ("DEL back", ":1")]);
    waiter.send(b"BLPOP back 0\r\n").unwrap();
    other.send(b"BLPOP elsewhere 0\r\n").unwrap();
    crate::support::process::eventually("both wait", Duration::from_secs(20), || {
        c.line("INFO clients").to_string().contains("blocked_clients:2")
    });
    c.send(b"DEBUG RELOAD NOSAVE\r\nSET k v\r\nGET k\r\n").unwrap();
    for want in ["+OK", "+OK", "\"v\""] {
        assert_eq!(c.read().unwrap().to_string(), want);
    }
    assert_eq!(waiter.read().unwrap().to_string(), "[\"back\" \"a\"]");
    check(&mut c, &[("LRANGE back 0 -1", "[\"b\"]")]);
}

#[test]
fn an_acl_file_is_sealed_where_files_are_and_opens_under_its_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    std::fs::write(at("key"), "11".repeat(32)).unwrap();
    std::fs::write(at("other"), "22".repeat(32)).unwrap();
    std::fs::write(at("users"), "user default on nopass ~* &* +@all\nuser given on >secret ~* +@all\n").unwrap();
    let (key, other, users) = (format!("file:{}", at("key")), format!("file:{}", at("other")), at("users"));
    let words = |key: &'static str| ["--save", "", "--encryption-at-rest", key, "--aclfile"];
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let sealed = [&words("yes")[..], &[&users, "--encryption-key-source", &key]].concat();
    let mut server = start(&data, &sealed);
    assert!(server.log().contains("is not sealed, though files are"));
    let mut c = server.connect_plain();
    check(&mut c, &[("ACL SETUSER later on >hidden ~* +@all", "+OK"), ("ACL SAVE", "+OK"), ("ACL LOAD", "+OK")]);
    let bytes = std::fs::read(&users).unwrap();
    assert!(!bytes.windows(4).any(|w| w == b"user"), "nothing of it can be read");
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    let server = start(&data, &sealed);
    check(&mut server.connect_plain(), &[("AUTH later hidden", "+OK"), ("AUTH given secret", "+OK")]);
    drop(server);
    // Under another key, without one, and with a byte changed or its end cut off it is no ACL file.
    let refused = |words: &[&str], what: &str| {
        let out = crate::support::server::refused(&data, words);
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(!out.status.success() && said.contains(what), "{what}: {said}");
    };
    refused(&[&words("yes")[..], &[&users, "--encryption-key-source", &other]].concat(), "is sealed under the key");
    refused(&[&words("no")[..], &[&users]].concat(), "is sealed under the key");
    let mut bad = bytes.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&users, &bad).unwrap();
    refused(&sealed, "does not open");
    std::fs::write(&users, &bytes[..bytes.len() - 1]).unwrap();
    refused(&sealed, "ends before its last record");
}

#[test]
fn what_a_log_says_of_a_key_after_its_base_counts_even_if_the_base_lets_it_expire() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--appendonly", "yes", "--save", ""];
    let mut server = start(folder.path(), &words);
    let mut c = server.connect_plain();
    c.line("DEBUG SET-ACTIVE-EXPIRE 0");
    check(&mut c, &[("SET stays v PX 3000", "+OK"), ("SET goes v PX 3000", "+OK"), ("HSET h stays 1 goes 2", ":2")]);
    c.line("HPEXPIRE h 3000 FIELDS 2 stays goes");
    c.line("BGREWRITEAOF");
    let written = |c: &mut Connection| c.line("INFO persistence").to_string().contains("aof_rewrites:1\r\n");
    while !written(&mut c) {
        std::thread::sleep(Duration::from_millis(10));
    }
    check(&mut c, &[("PERSIST stays", ":1"), ("HPERSIST h FIELDS 1 stays", "[:1]")]);
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    std::thread::sleep(Duration::from_millis(3000));
    let server = start(folder.path(), &words);
    let mut c = server.connect_plain();
    check(&mut c, &[("GET stays", "\"v\""), ("GET goes", "nil"), ("HGET h stays", "\"1\""), ("HGET h goes", "nil")]);
}

#[test]
fn a_snapshot_loaded_by_a_primary_leaves_out_what_is_past_its_deadline_and_counts_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), &["--save", "3600 1000"]);
    let mut c = server.connect_plain();
    c.line("DEBUG SET-ACTIVE-EXPIRE 0");
    check(&mut c, &[("SET a v PX 1", "+OK"), ("SET b v", "+OK"), ("HSET h f 1", ":1"), ("HSET half f 1 g 2", ":2")]);
    c.line("HPEXPIRE h 1 FIELDS 1 f");
    c.line("HPEXPIRE half 1 FIELDS 1 f");
    server.signal("TERM");
    server.wait(Duration::from_secs(20));
    let server = start(folder.path(), &["--save", ""]);
    let mut c = server.connect_plain();
    check(&mut c, &[("DBSIZE", ":2"), ("EXISTS h", ":0"), ("HGETALL half", "[\"g\" \"2\"]")]);
    let info = c.line("INFO persistence").to_string();
    assert!(
        info.contains("rdb_last_load_keys_expired:1\r\n") && info.contains("rdb_last_load_keys_loaded:2\r\n"),
        "{info}"
    );
}

#[test]
fn each_file_of_a_log_begins_in_database_0_and_a_start_deletes_what_a_killed_rewrite_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join("appendonlydir").join(name);
    std::fs::create_dir(folder.path().join("appendonlydir")).unwrap();
    std::fs::write(
        at("appendonly.aof.1.incr.aof"),
        "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n",
    )
    .unwrap();
    std::fs::write(at("appendonly.aof.2.incr.aof"), "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n").unwrap();
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
    std::fs::write(at("appendonly.aof.manifest"), manifest).unwrap();
    let left = [at("temp-rewriteaof-bg-17.aof"), folder.path().join("temp-17.rdb")];
    for path in &left {
        let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::create(path).unwrap().set_modified(an_hour_ago).unwrap();
    }
    let server = start(folder.path(), &["--appendonly", "yes"]);
    let steps = [("GET b", "\"2\""), ("GET a", "nil"), ("SELECT 3", "+OK"), ("GET a", "\"1\""), ("GET b", "nil")];
    check(&mut server.connect_plain(), &steps);
    assert!(left.iter().all(|path| !path.exists()), "{}", server.log());
}

#[test]
fn a_log_is_loaded_whole_under_a_smaller_limit_for_clients_and_not_at_all_with_fewer_databases() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = start(folder.path(), &words);
    let steps = [
        ("SETRANGE long 2000000 x", ":2000001"),
        ("APPEND long y", ":2000002"),
        ("SELECT 9", "+OK"),
        ("SET k v", "+OK"),
    ];
    check(&mut server.connect_plain(), &steps);
    server.signal("KILL");
    server.wait(Duration::from_secs(20));
    let again = start(folder.path(), &[&words[..], &["--proto-max-bulk-len", "1mb"]].concat());
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    check(&mut again.connect_plain(), &[("STRLEN long", ":2000002"), ("APPEND long z", too_long)]);
    drop(again);
    let out = crate::support::server::refused(folder.path(), &[&words[..], &["--databases", "4"]].concat());
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success() && said.contains("There are fewer databases than when it was written"), "{said}");
}

#[test]
fn scripts_in_a_log_write_whatever_would_be_refused_a_client() {
    let folder = tempfile::tempdir().unwrap();
    drop(start(folder.path(), &["--save", "", "--appendonly", "yes"]));
    let mut log = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".to_vec();
    for script in ["redis.call('set', KEYS[1], '100')", "#!lua\nredis.call('incr', KEYS[1])"] {
        log.extend_from_slice(
            format!("*4\r\n$4\r\nEVAL\r\n${}\r\n{script}\r\n$1\r\n1\r\n$1\r\nk\r\n", script.len()).as_bytes(),
        );
    }
    std::fs::write(folder.path().join("appendonlydir/appendonly.aof.1.incr.aof"), log).unwrap();
    for words in [
        &["--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no"][..],
        &["--replicaof", "127.0.0.1 1"],
        &["--min-replicas-to-write", "1"],
        &["--maxmemory", "1mb"],
    ] {
        let all = [&["--save", "", "--appendonly", "yes"], words].concat();
        let server = start(folder.path(), &all);
        let mut c = server.connect_plain();
        c.line("REPLICAOF NO ONE");
        check(&mut c, &[("GET k", "\"101\"")]);
    }
}

#[test]
fn a_script_in_a_log_that_is_loaded_again_runs_and_others_hear_that_it_is_loading() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--save", "", "--appendonly", "yes", "--busy-reply-threshold", "1"]);
    let mut all: Vec<Connection> = (0..4).map(|_| server.connect_plain()).collect();
    let mut c = all.pop().unwrap();
    let script = "redis.call('set', KEYS[1], 'y') for i = 1, 20000 do redis.call('ping') end";
    let words: [&[u8]; 4] = [b"EVAL", script.as_bytes(), b"1", b"x"];
    let mut log = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*4\r\n".to_vec();
    for w in words {
        log.extend_from_slice(format!("${}\r\n", w.len()).as_bytes());
        log.extend_from_slice(w);
        log.extend_from_slice(b"\r\n");
    }
    std::fs::write(folder.path().join("appendonlydir/appendonly.aof.1.incr.aof"), log).unwrap();
    c.send(b"DEBUG LOADAOF\r\n").unwrap();
    let mut told = false;
    while !told {
        // Whichever worker they are on, none of them waits.
        told = all.iter_mut().all(|other| other.line("GET x").to_string().starts_with("-LOADING"));
        told |= all[0].line("GET x").to_string() == "\"y\"";
    }
    assert_eq!(c.read().unwrap().to_string(), "+OK");
    check(&mut all[0], &[("GET x", "\"y\"")]);
}
