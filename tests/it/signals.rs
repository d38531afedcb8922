//! Start and end.

use crate::support::server::BINARY;
use crate::support::{Connection, Server, check};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
fn the_binary_answers_by_other_names_and_with_their_versions() {
    let folder = tempfile::tempdir().unwrap();
    for (name, says) in [("valkey-server", "Valkey server v=9."), ("redis-server", "Redis server v=7.")] {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(BINARY, &link).unwrap();
        let out = Command::new(&link).arg("--version").output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        let own = format!(" holdfast={} ", env!("CARGO_PKG_VERSION"));
        assert!(out.status.success() && text.starts_with(says) && text.contains(&own), "{name}: {out:?}");
    }
    assert_eq!(Command::new(BINARY).arg("nonsense").output().unwrap().status.code(), Some(2));
}

#[track_caller]
fn logged(server: &Server, what: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    while !server.log().contains(what) {
        assert!(Instant::now() < end, "'{what}' is not in:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

#[test]
fn sigalrm_shows_the_stacks_of_the_threads_that_serve_and_changes_nothing_else() {
    let server = Server::start();
    let mut c = server.connect();
    server.signal("ALRM");
    logged(&server, "Received SIGALRM");
    let stacks = || server.log().matches("------ STACK TRACE DONE ------").count();
    let end = Instant::now() + Duration::from_secs(20);
    // Two workers, and two threads for long commands.
    while stacks() < 4 {
        assert!(Instant::now() < end, "{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(server.log().lines().filter(|l| l.contains("(+0x")).count() >= 4, "{}", server.log());
    check(&mut c, &[("SET k v", "+OK"), ("GET k", "\"v\"")]);
}

#[test]
fn a_turn_that_lasts_is_told_by_the_watchdog_with_its_stack() {
    let server = Server::with(&DEBUG);
    let mut c = server.connect();
    check(&mut c, &[("DEBUG SLEEP 0.3", "+OK")]);
    assert!(!server.log().contains("WATCHDOG"), "nobody has asked for it");
    check(&mut c, &[("CONFIG SET watchdog-period 100", "+OK"), ("DEBUG SLEEP 1", "+OK")]);
    logged(&server, "--- WATCHDOG TIMER EXPIRED ---");
    logged(&server, "------ STACK TRACE DONE ------");
    check(&mut c, &[("PING", "+PONG")]);
}

#[test]
fn the_whole_server_stands_still_while_it_is_told_to_sleep() {
    let server = Server::with(&["--enable-debug-command", "yes", "--io-threads", "2"]);
    let mut sleeper = server.connect();
    let over = AtomicBool::new(false);
    let now_us = |c: &mut Connection| {
        let words = c.line("TIME").to_string();
        let parts: Vec<i64> =
            words.trim_matches(['[', ']']).split(' ').map(|w| w.trim_matches('"').parse().unwrap()).collect();
        parts[0] * 1_000_000 + parts[1]
    };
    // Whatever worker a connection is on, its server's own clock has a hole where the sleep was.
    std::thread::scope(|threads| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let (mut c, over) = (server.connect(), &over);
                let (mut last, mut hole) = (now_us(&mut c), 0);
                threads.spawn(move || {
                    loop {
                        // Asked once more behind the sleep, however late this thread has begun.
                        let last_round = over.load(Ordering::Acquire);
                        let now = now_us(&mut c);
                        hole = hole.max(now - last);
                        last = now;
                        if last_round {
                            return hole;
                        }
                    }
                })
            })
            .collect();
        check(&mut sleeper, &[("DEBUG SLEEP 1", "+OK")]);
        over.store(true, Ordering::Release);
        for thread in asking {
            assert!(thread.join().expect("no panic") >= 500_000);
        }
    });
}

#[test]
fn a_signal_that_ends_the_process_leaves_a_report_and_its_own_status() {
    let mut server = Server::start();
    server.signal("ABRT");
    assert_eq!(server.wait(Duration::from_secs(20)).signal(), Some(6));
    logged(&server, "crashed by signal: 6");
    logged(&server, "BUG REPORT END");

    let mut server = Server::with(&DEBUG);
    server.connect().send(b"DEBUG SEGFAULT\r\n").expect("sent");
    assert_eq!(server.wait(Duration::from_secs(20)).signal(), Some(11));
    logged(&server, "crashed by signal: 11");
    logged(&server, "(+0x");

    let mut server = Server::with(&["--crash-log-enabled", "no"]);
    server.signal("ABRT");
    assert_eq!(server.wait(Duration::from_secs(20)).signal(), Some(6));
    assert!(!server.log().contains("crashed by signal"), "{}", server.log());
}

#[test]
fn an_end_that_waits_for_the_periodic_tasks_can_be_called_off() {
    let mut server = Server::with(&DEBUG);
    let mut c = server.connect();
    check(&mut c, &[("DEBUG PAUSE-CRON 1", "+OK")]);
    server.signal("TERM");
    logged(&server, "Received SIGTERM");
    check(&mut c, &[("SHUTDOWN ABORT", "+OK"), ("DEBUG PAUSE-CRON 0", "+OK"), ("SET k v", "+OK")]);
    logged(&server, "Shutdown manually aborted");
    assert!(server.is_running());
}

#[test]
fn who_insists_on_the_end_does_not_wait_for_the_last_snapshot() {
    let mut server = Server::with(&["--save", "900 1", "--rdb-key-save-delay", "10000000"]);
    let mut c = server.connect();
    check(&mut c, &[("SET k v", "+OK")]);
    server.signal("INT");
    let file = server.folder().join(format!("temp-{}.rdb", server.pid()));
    let there = || file.exists();
    let end = Instant::now() + Duration::from_secs(20);
    while !there() {
        assert!(Instant::now() < end, "{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal("INT");
    assert_eq!(server.wait(Duration::from_secs(8)).code(), Some(0), "sooner than the key is saved");
    assert!(!there() && !server.folder().join("dump.rdb").exists());
}

#[test]
fn the_process_has_the_title_of_the_template() {
    let server = Server::start();
    let title = || std::fs::read_to_string(format!("/proc/{}/cmdline", server.pid())).expect("it runs");
    let shown = title();
    assert_eq!(shown.trim_end_matches('\0'), format!("{BINARY} 127.0.0.1:{}", server.port));
    let mut c = server.connect();
    let long = "x".repeat(400);
    let template = format!("{{title}} {long}");
    assert_eq!(
        c.command(&[b"CONFIG", b"SET", b"proc-title-template", template.as_bytes()]).unwrap().to_string(),
        "+OK"
    );
    assert!(title().starts_with(&format!("{BINARY} xxx")), "{}", title());
    let untitled = Server::with(&["--set-proc-title", "no"]);
    let shown = std::fs::read_to_string(format!("/proc/{}/cmdline", untitled.pid())).expect("it runs");
    assert!(shown.contains("\0--set-proc-title\0no\0"), "{shown}");
}

#[test]
fn a_server_that_loads_ends_at_once_when_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("text").to_owned();
    let start = |words: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["server", "--port", "0", "--tls-port", "0", "--unixsocket", "s", "--allow-plaintext", "local"]);
        command.args(["--dir", &dir, "--logfile", "log"]).args(words).spawn().expect("it starts")
    };
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let wait_for = |what: &str| {
        let end = Instant::now() + Duration::from_secs(20);
        while !log().contains(what) {
            assert!(Instant::now() < end, "'{what}' is not in:\n{}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let server = Server::with(&[&DEBUG[..], &["--save", "900 1"]].concat());
    check(&mut server.connect(), &[("DEBUG POPULATE 1000", "+OK"), ("SAVE", "+OK")]);
    std::fs::copy(server.folder().join("dump.rdb"), folder.path().join("dump.rdb")).expect("copied");
    let mut child = start(&["--key-load-delay", "1000000"]);
    wait_for("Server initialized");
    std::thread::sleep(Duration::from_millis(200));
    crate::support::process::kill(child.id(), "TERM");
    let waiter = std::thread::spawn(move || child.wait().expect("a child"));
    let end = Instant::now() + Duration::from_secs(20);
    while !waiter.is_finished() {
        assert!(Instant::now() < end, "it loads on:\n{}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(waiter.join().expect("no panic").code(), Some(0));
    assert!(log().contains("SIGTERM while the data are loaded"), "{}", log());
}
