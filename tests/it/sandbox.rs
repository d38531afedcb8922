//! A server that has given up what it does not need serves as before, and cannot do more.

use crate::support::Server;
use crate::support::client::{Connection, Value};
use std::path::Path;
use std::time::{Duration, Instant};

const LIMITS: [&str; 4] = ["--landlock", "yes", "--seccomp", "yes"];

fn start(dir: &Path, words: &[&str]) -> Server {
    let dir = dir.to_string_lossy().into_owned();
    let file = format!("{dir}/holdfast.conf");
    std::fs::write(&file, "enable-debug-command yes\nenable-protected-configs yes\nsave \"\"\n").unwrap();
    let mut all = vec![file.as_str(), "--dir", &dir];
    all.extend(LIMITS);
    all.extend(words);
    Server::plain(&all)
}

#[track_caller]
fn ok(c: &mut Connection, line: &str) {
    let reply = c.line(line);
    assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
}

#[track_caller]
fn until(c: &mut Connection, section: &str, field: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    while !c.line(&format!("INFO {section}")).to_string().contains(field) {
        assert!(Instant::now() < end, "no {field} in INFO {section}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn all_that_a_server_does_it_does_behind_both_limits() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = start(dir.path(), &["--appendonly", "yes"]);
    let mut c = server.connect_plain();
    for line in [
        "SET s v",
        "EVAL return(redis.call('get',KEYS[1])) 1 s",
        "SAVE",
        "BGSAVE",
        "CONFIG SET maxclients 200",
        "CONFIG REWRITE",
        "ACL SETUSER alice on >a-long-password ~* +@all",
        "FLUSHALL ASYNC",
        "SET s w",
        "MEMORY PURGE",
        "FIPS SELFTEST",
    ] {
        ok(&mut c, line);
    }
    until(&mut c, "persistence", "rdb_bgsave_in_progress:0");
    ok(&mut c, "BGREWRITEAOF");
    until(&mut c, "persistence", "aof_rewrite_in_progress:0");
    assert!(c.line("INFO persistence").to_string().contains("aof_last_bgrewrite_status:ok"));
    // A replica of it, as limited: the link is dialled, verified and loaded behind the filter.
    let replica = start(other.path(), &["--tls-ca-cert-file", &dir.path().join("tls/ca.crt").to_string_lossy()]);
    let mut r = replica.connect_plain();
    ok(&mut r, &format!("REPLICAOF 127.0.0.1 {}", server.port));
    until(&mut r, "replication", "master_link_status:up");
    assert_eq!(r.line("GET s").to_string(), "\"w\"");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
}

#[test]
fn a_file_outside_the_configured_folders_cannot_be_written() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = start(dir.path(), &[]);
    let mut c = server.connect_plain();
    ok(&mut c, "SET s v");
    ok(&mut c, "SAVE");
    let reply = c.line(&format!("CONFIG SET dir {}", outside.path().display()));
    let saved = c.line("SAVE");
    assert!(matches!(reply, Value::Error(_)) || matches!(saved, Value::Error(_)), "{reply:?} {saved:?}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(c.line("GET s").to_string(), "\"v\"");
}
