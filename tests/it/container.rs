//! The image's entry point as a process: variables, names, refusals. The image itself is tried by tests/image/run.

use crate::support::process::{eventually, kill, run};
use crate::support::server::{BINARY, free_port};
use std::io::Read;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn container(environment: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.env_clear().envs(environment.iter().copied()).arg("container").args(words);
    run(&mut command, b"", Duration::from_secs(30))
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn it_serves_tls_by_the_variables_and_its_own_client_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let (port, dir) = (free_port().to_string(), folder.path().to_str().unwrap());
    let environment = [
        ("VALKEY_PASSWORD", "a password of the test"),
        ("VALKEY_DATA_DIR", dir),
        ("VALKEY_PORT_NUMBER", port.as_str()),
        ("VALKEY_ALLOW_REMOTE_CONNECTIONS", "no"),
        ("VALKEY_DATABASE_NUM", "appdb"),
        ("VALKEY_MAX_CLIENTS", "10"),
    ];
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut child = Command::new(BINARY)
        .env_clear()
        .envs(environment)
        .args(["container", "--io-threads", "1"])
        .stdout(file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let text = || {
        let mut text = String::new();
        std::fs::File::open(&log).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    eventually("it is ready", Duration::from_secs(30), || text().contains("Ready to accept connections"));
    for part in ["FIPS VALIDATION: PASSED", "'appdb' is not a number", "VALKEY_MAX_CLIENTS is not a variable"] {
        assert!(text().contains(part), "'{part}' is not in:\n{}", text());
    }
    assert!(!text().contains("a password of the test"));
    // As `docker exec` runs it: the container's variables, no flags.
    let out = container(&environment, &["valkey-cli", "-e", "ping"]);
    assert_eq!((said(&out).as_str(), out.status.code()), ("PONG\n", Some(0)));
    kill(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_start_says_which_variable_and_what_to_do() {
    for (environment, words, says) in [
        (vec![], vec![], "VALKEY_PASSWORD is not set"),
        (vec![("VALKEY_PASSWORD_FILE", "/absent")], vec![], "VALKEY_PASSWORD_FILE: '/absent' cannot be read"),
        (vec![("VALKEY_PASSWORD", "p"), ("VALKEY_DATA_DIR", "/proc/no")], vec![], "mount a volume"),
        (vec![], vec!["no-such-program"], "this image has no shell"),
    ] {
        let out = container(&environment, &words);
        assert!(!out.status.success() && said(&out).contains(says), "{says}: {}", said(&out));
    }
}

#[test]
fn other_tools_and_programs_are_run_by_name() {
    assert!(said(&container(&[], &["valkey-cli", "--version"])).starts_with("valkey-cli 9.1.0"));
    assert!(said(&container(&[], &["--help"])).contains("VALKEY_PASSWORD"));
    assert!(said(&container(&[], &["holdfast", "version"])).starts_with("Holdfast server v="));
    assert_eq!(said(&container(&[("PATH", "/usr/bin:/bin")], &["echo", "x"])), "x\n");
}

#[test]
fn help_answers_for_each_tool_and_a_misspelt_one_is_told_the_nearest() {
    let holdfast = |words: &[&str]| run(Command::new(BINARY).args(words), b"", Duration::from_secs(30));
    for tool in "server cli check-rdb check-aof backup restore check-config fips audit doctor container"
        .split_ascii_whitespace()
    {
        let out = holdfast(&["help", tool]);
        let text = said(&out);
        assert!(out.status.success() && text.contains("Usage: holdfast"), "{tool}: {text}");
    }
    let out = holdfast(&["bakup"]);
    assert!(!out.status.success() && said(&out).contains("Did you mean 'backup'?"), "{}", said(&out));
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("postgresql.conf");
    std::fs::write(&path, "max_connections 100\n").unwrap();
    let out = holdfast(&["check-config", path.to_str().unwrap()]);
    assert!(said(&out).contains("'max_connections'") && said(&out).contains("'maxclients'"), "{}", said(&out));
}
