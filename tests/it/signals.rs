//! Start and end.

use crate::support::server::BINARY;
use crate::support::{Server, check};
use std::process::Command;
use std::time::Duration;

#[test]
fn sigterm_ends_with_status_0() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let mut c = server.connect();
        check(&mut c, &[("SET k v", "+OK")]);
        server.signal(signal);
        let status = server.wait(Duration::from_secs(10));
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        assert!(c.is_closed());
        assert!(server.log().contains("ready to exit"), "{}", server.log());
    }
}

#[test]
fn sighup_does_not_end_it() {
    let mut server = Server::start();
    server.signal("HUP");
    std::thread::sleep(Duration::from_millis(200));
    assert!(server.is_running());
    check(&mut server.connect(), &[("SET k v", "+OK")]);
}

#[test]
fn the_log_says_what_people_wait_for() {
    let server = Server::start();
    let log = server.log();
    for part in
        ["FIPS VALIDATION: PASSED", "#5314", "Server initialized", "Ready to accept connections", "fingerprint SHA-256"]
    {
        assert!(log.contains(part), "'{part}' is not in:\n{log}");
    }
    let pid = format!("{}:M ", server.pid());
    assert!(log.lines().any(|l| l.starts_with(&pid)), "no line begins with the pid:\n{log}");
    let at = |part: &str| log.find(part).unwrap();
    assert!(at("FIPS VALIDATION: PASSED") < at("Listening on"), "the gate comes before the sockets");
}

#[test]
fn the_binary_answers_by_other_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["valkey-server", "redis-server"] {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(BINARY, &link).unwrap();
        let out = Command::new(&link).arg("--version").output().unwrap();
        assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("v="), "{name}: {out:?}");
    }
    assert_eq!(Command::new(BINARY).arg("nonsense").output().unwrap().status.code(), Some(2));
}
