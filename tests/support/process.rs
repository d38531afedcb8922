//! Programs the tests drive, and what the kernel says of a process.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Resident memory of a process in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("VmRSS");
    line.split_ascii_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number") * 1024
}

/// Says that a test, or a part of one, is skipped. Runners keep what a test that passes prints to themselves, so the line goes
/// into a file, too, which `.ci/run` shows.
pub fn skipped(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    if let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path) {
        let _ = file.write_all(format!("skipped: {why}\n").as_bytes());
    }
}

/// A program by name, or `None` and a line that says the test is skipped.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps daemons, HAProxy for one, where only root's path leads.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), made_here("tools")]);
    let found = folders.map(|d| d.join(program)).find(|p| p.is_file());
    if found.is_none() {
        skipped(&format!("{program} is not installed (.ci/prepare test, .ci/prepare tools)"));
    }
    found
}

/// What `.ci/prepare` makes under the target folder.
fn made_here(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("..").join(name)
}

/// The Python with the client libraries that `.ci/prepare test` makes, or `None` and a line that says so.
pub fn python() -> Option<PathBuf> {
    python_with("redis, valkey", ".ci/prepare test")
}

/// The Python that has these modules, or `None` and a line that says what makes it.
pub fn python_with(modules: &str, made_by: &str) -> Option<PathBuf> {
    let python = made_here("venv/bin/python");
    let usable = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !usable {
        skipped(&format!("no Python with {modules} under target/venv ({made_by} makes it)"));
    }
    usable.then_some(python)
}

/// Runs a program to its end, feeding it `input`; kills it after `patience`.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8], patience: Duration) -> Output {
    use std::io::Write;
    let shown = format!("{command:?}");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let pid = child.id();
    let (done, wait) = std::sync::mpsc::channel();
    let watch = std::thread::spawn(move || {
        if wait.recv_timeout(patience).is_err() {
            kill(pid, "KILL");
            return true;
        }
        false
    });
    let output = child.wait_with_output().expect("it ends");
    let _ = done.send(());
    let _ = writer.join();
    assert!(!watch.join().expect("no panic"), "{shown} did not end in {patience:?}");
    output
}

/// Sends a signal by name.
pub fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
}

/// Waits until `f` holds.
#[track_caller]
pub fn eventually(what: &str, patience: Duration, mut f: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !f() {
        assert!(Instant::now() < end, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
