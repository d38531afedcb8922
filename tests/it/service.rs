//! The service manager's protocol, held against a socket, and the units against systemd's own check.

use crate::support::process::{eventually, find, kill, run, skipped};
use crate::support::server::{BINARY, free_port};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Supervised {
    child: Child,
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Supervised {
    fn start(words: &[&str]) -> Supervised {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let child = Command::new(BINARY)
            .args(["server", "--bind", "127.0.0.1", "--tls-port", &free_port().to_string(), "--dir"])
            .arg(folder.path())
            .args(words)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Supervised { child, socket, folder }
    }

    /// Messages until one has this line; those before it are given back.
    fn until(&self, line: &str) -> Vec<String> {
        let mut seen = Vec::new();
        let end = Instant::now() + Duration::from_secs(30);
        let mut buffer = [0; 4096];
        while Instant::now() < end {
            let n = self.socket.recv(&mut buffer).unwrap_or_else(|e| panic!("no '{line}' after {seen:?}: {e}"));
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let found = text.lines().any(|l| l.starts_with(line));
            seen.push(text);
            if found {
                return seen;
            }
        }
        panic!("no '{line}' after {seen:?}");
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn daemonize_lets_the_starter_go_on_and_serves_in_a_session_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (pid_file, socket) = (folder.path().join("pid"), folder.path().join("socket"));
    let mut daemon = Command::new(BINARY);
    daemon.args(["server", "--allow-plaintext", "local", "--daemonize", "yes", "--logfile", "log"]);
    daemon.args(["--bind", "127.0.0.1", "--tls-port", &free_port().to_string(), "--dir"]);
    daemon.arg(folder.path()).arg("--pidfile").arg(&pid_file).arg("--unixsocket").arg(&socket);
    let started = run(&mut daemon, b"", Duration::from_secs(30));
    assert!(started.status.success() && started.stdout.is_empty(), "{started:?}");
    let read = || std::fs::read_to_string(&pid_file).ok()?.trim().parse::<u32>().ok();
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    eventually("its id is in the file", Duration::from_secs(60), || read().is_some());
    let pid = read().expect("an id");
    let mut stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_else(|e| panic!("{e}: {}", log()));
    // After the name in brackets: state, parent, group, session.
    stat.drain(..=stat.rfind(')').expect("a name"));
    assert_eq!(stat.split_whitespace().nth(3), Some(pid.to_string().as_str()), "{stat}");
    eventually("it serves", Duration::from_secs(60), || log().contains("Ready to accept connections"));
    let mut client = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    std::io::Write::write_all(&mut client, b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    std::io::Read::read_exact(&mut client, &mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
    kill(pid, "TERM");
    eventually("it ends", Duration::from_secs(60), || !pid_file.exists());
}

#[test]
fn the_manager_hears_of_loading_ready_alive_reloading_and_ending() {
    let mut s = Supervised::start(&["--supervised", "systemd"]);
    let seen = s.until("READY=1").join("\n");
    assert!(seen.contains("EXTEND_TIMEOUT_USEC=") && seen.contains("STATUS=Loading"), "{seen}");
    assert!(seen.contains("STATUS=Ready to accept connections"), "{seen}");
    s.until("WATCHDOG=1");
    kill(s.child.id(), "HUP");
    let reloading = s.until("RELOADING=1").pop().unwrap();
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    s.until("READY=1");
    kill(s.child.id(), "TERM");
    s.until("STOPPING=1");
    assert_eq!(s.child.wait().unwrap().code(), Some(0));
    assert!(s.folder.path().exists());
}

#[test]
fn auto_notifies_whoever_listens() {
    Supervised::start(&["--supervised", "auto"]).until("READY=1");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_little_exposed() {
    let Some(analyze) = find("systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["holdfast.service", "holdfast@.service"] {
        let text = std::fs::read_to_string(format!("{}/conf/systemd/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text.replace("/usr/bin/holdfast", BINARY)).unwrap();
        let mut command = Command::new(&analyze);
        let out = run(command.args(["verify", "--man=no"]).arg(&path), b"", Duration::from_secs(60));
        let said = String::from_utf8_lossy(&out.stderr);
        // A container without the units of a whole system lacks the targets they name, which is no fault of theirs.
        assert!(out.status.success() || said.contains("network-online.target"), "{name}: {said}");
        let mut command = Command::new(&analyze);
        // In tenths: 1.5 of 10.
        command.args(["security", "--offline=true", "--threshold=15", "--no-pager"]).arg(&path);
        let out = run(&mut command, b"", Duration::from_secs(60));
        if String::from_utf8_lossy(&out.stderr).contains("unrecognized option") {
            skipped("this systemd-analyze cannot judge a unit offline");
            continue;
        }
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stdout));
    }
}
