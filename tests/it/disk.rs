//! A disk that fails: nothing new is promised until it heals, whoever asks and however.

use crate::support::process::eventually;
use crate::support::{Connection, Server, check};
use std::time::Duration;

const WRITES: &str = "redis.call('set', KEYS[1], 'new')";

fn eval(c: &mut Connection, script: &str) -> String {
    c.command(&[b"EVAL", script.as_bytes(), b"1", b"k"]).unwrap().to_string()
}

/// A server whose background save has failed: where the snapshot should go there is a folder.
fn broken() -> Server {
    let server = Server::plain(&["--save", "3600 1000"]);
    std::fs::create_dir_all(server.folder().join("dump.rdb/full")).unwrap();
    let mut c = server.connect_plain();
    check(&mut c, &[("SET k old", "+OK")]);
    let library = format!("#!lua name=l\nserver.register_function('w', function(KEYS) {WRITES} end)");
    c.command(&[b"FUNCTION", b"LOAD", library.as_bytes()]).unwrap();
    server
}

fn fails(server: &Server) {
    let mut c = server.connect_plain();
    check(&mut c, &[("BGSAVE", "+Background saving started")]);
    eventually("the save fails", Duration::from_secs(20), || c.line("SET other 1").to_string().starts_with("-MISCONF"));
}

#[test]
fn scripts_and_functions_are_refused_their_writes_while_the_disk_fails_and_may_read() {
    let server = broken();
    fails(&server);
    let mut c = server.connect_plain();
    let refused = [
        eval(&mut c, WRITES),
        eval(&mut c, "return redis.pcall('set', KEYS[1], 'new')"),
        eval(&mut c, &format!("#!lua\n{WRITES}")),
        c.line("FCALL w 1 k").to_string(),
        c.line("PING").to_string(),
    ];
    for said in refused {
        assert!(said.starts_with("-MISCONF Holdfast is configured to save RDB snapshots"), "{said}");
    }
    assert_eq!(eval(&mut c, "return redis.call('get', KEYS[1])"), "\"old\"");
    check(
        &mut c,
        &[("CONFIG SET stop-writes-on-bgsave-error no", "+OK"), ("FCALL w 1 k", "nil"), ("GET k", "\"new\"")],
    );
}

#[test]
fn a_replica_applies_nothing_while_its_disk_fails_unless_it_is_told_to() {
    let primary = Server::plain(&["--repl-diskless-sync-delay", "0"]);
    let mut p = primary.connect_plain();
    check(&mut p, &[("SET k old", "+OK")]);
    let port = primary.plain_port.to_string();
    let words = ["--save", "3600 1000", "--tls-replication", "no", "--replicaof", "127.0.0.1", &port];
    let replica = Server::plain(&words);
    let mut r = replica.connect_plain();
    let patience = Duration::from_secs(20);
    eventually("it follows", patience, || r.line("GET k").to_string() == "\"old\"");
    std::fs::remove_file(replica.folder().join("dump.rdb")).ok();
    std::fs::create_dir_all(replica.folder().join("dump.rdb/full")).unwrap();
    check(&mut r, &[("BGSAVE", "+Background saving started")]);
    eventually("the save fails", patience, || r.line("PING").to_string().starts_with("-MISCONF"));
    check(&mut p, &[("SET k new", "+OK"), ("WAIT 1 300", ":0")]);
    check(&mut r, &[("GET k", "\"old\"")]);
    eventually("it says so", patience, || replica.log().contains("it is not applied until it can"));
    check(&mut r, &[("CONFIG SET replica-ignore-disk-write-errors yes", "+OK")]);
    eventually("it applies it", patience, || r.line("GET k").to_string() == "\"new\"");
    check(&mut r, &[("CONFIG SET replica-ignore-disk-write-errors no", "+OK")]);
    check(&mut p, &[("SET k newer", "+OK"), ("WAIT 1 300", ":0")]);
    std::fs::remove_dir_all(replica.folder().join("dump.rdb")).unwrap();
    check(&mut r, &[("BGSAVE", "+Background saving started")]);
    eventually("it applies it once the disk heals", patience, || r.line("GET k").to_string() == "\"newer\"");
}

#[test]
fn a_transaction_that_was_queued_before_the_disk_failed_is_refused_and_one_that_reads_runs() {
    let server = broken();
    let mut queued = server.connect_plain();
    check(&mut queued, &[("MULTI", "+OK"), ("SET k new", "+QUEUED")]);
    let mut scripted = server.connect_plain();
    check(&mut scripted, &[("MULTI", "+OK"), ("FCALL w 1 k", "+QUEUED")]);
    fails(&server);
    let said = queued.line("EXEC").to_string();
    assert!(said.starts_with("-EXECABORT Transaction discarded because of: MISCONF"), "{said}");
    let said = scripted.line("EXEC").to_string();
    assert!(said.starts_with("[-MISCONF"), "{said}");
    let mut c = server.connect_plain();
    check(&mut c, &[("MULTI", "+OK"), ("GET k", "+QUEUED"), ("EXEC", "[\"old\"]"), ("MULTI", "+OK")]);
    let said = c.line("SET k new").to_string();
    assert!(said.starts_with("-MISCONF"), "{said}");
    check(&mut c, &[("EXEC", "-EXECABORT Transaction discarded because of previous errors.")]);
}
