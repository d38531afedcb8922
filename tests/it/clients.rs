//! Clients that other people wrote, over TLS: redis-rs, redis-cli and valkey-cli, redis-py and valkey-py.

use crate::support::process::{find, python, run, skipped};
use crate::support::{Server, not_there};
use redis::{Commands, ConnectionLike, RedisResult, TlsCertificates};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// redis-rs takes the process's provider: the same approved one the server has.
fn redis_rs(server: &Server) -> redis::Connection {
    let suites: Vec<_> = holdfast::crypto::APPROVED_SUITES.iter().collect();
    let provider = holdfast::crypto::provider(&suites);
    let _ = rustls::crypto::CryptoProvider::install_default((*provider).clone());
    let ca = std::fs::read(server.ca()).unwrap();
    let client = redis::Client::build_with_tls(
        format!("rediss://localhost:{}/0", server.port),
        TlsCertificates { client_tls: None, root_cert: Some(ca) },
    )
    .unwrap();
    client.get_connection_with_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn redis_rs_does_the_everyday_over_tls() {
    let server = Server::start();
    let mut c = redis_rs(&server);
    let _: () = c.set("k", "v").unwrap();
    let got: String = c.get("k").unwrap();
    assert_eq!(got, "v");
    let n: i64 = c.incr("n", 41).unwrap();
    assert_eq!((n, c.incr::<_, _, i64>("n", 1).unwrap()), (41, 42));
    let all: (String, Option<i64>, Option<String>) = c.mget(&["k", "n", "none"]).unwrap();
    assert_eq!(all, ("v".into(), Some(42), None));
    let error: RedisResult<i64> = c.incr("k", 1);
    assert!(error.unwrap_err().to_string().contains("not an integer"));
    let piped: (i64, Option<String>) = redis::pipe().del("k").get("k").query(&mut c).unwrap();
    assert_eq!(piped, (1, None));
    assert!(c.is_open());
}

#[test]
fn redis_rs_uses_every_type_over_tls() {
    let server = Server::start();
    let names = ["PING", "RPUSH", "HSET", "SADD", "ZADD", "MULTI"];
    if not_there(&mut server.connect(), &names) {
        return;
    }
    let mut c = redis_rs(&server);
    assert!(c.check_connection());
    let _: () = c.rpush("l", &["a", "b", "c"]).unwrap();
    assert_eq!(c.lrange::<_, Vec<String>>("l", 0, -1).unwrap(), ["a", "b", "c"]);
    let _: () = c.hset_multiple("h", &[("f", 1), ("g", 2)]).unwrap();
    assert_eq!(c.hget::<_, _, i64>("h", "g").unwrap(), 2);
    assert_eq!(c.sadd::<_, _, i64>("s", &["x", "y", "x"]).unwrap(), 2);
    let _: () = c.zadd_multiple("z", &[(2.0, "two"), (1.0, "one")]).unwrap();
    assert_eq!(c.zrange::<_, Vec<String>>("z", 0, -1).unwrap(), ["one", "two"]);
    let (n, _): (i64, i64) = redis::pipe().atomic().incr("t", 1).incr("t", 1).query(&mut c).unwrap();
    assert_eq!(n, 1);
}

fn cli(program: &Path, server: &Server, words: &[&str], input: &[u8]) -> (bool, String) {
    let mut command = Command::new(program);
    command.args(["-h", "localhost", "-p", &server.port.to_string(), "--tls", "--cacert"]).arg(server.ca()).args(words);
    let out = run(&mut command, input, Duration::from_secs(30));
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.success(), text)
}

#[test]
fn the_command_line_clients_of_debian_work_over_tls() {
    let server = Server::start();
    for program in ["redis-cli", "valkey-cli"] {
        let Some(path) = find(program) else { continue };
        let one = |words: &[&str], input: &[u8], want: &str| {
            let (ok, text) = cli(&path, &server, words, input);
            assert!(ok && text.trim_end() == want, "{program} {words:?}: {text}");
        };
        one(&["SET", "k", "v"], b"", "OK");
        one(&["GET", "k"], b"", "v");
        one(&["-x", "SET", "k"], b"from stdin", "OK");
        one(&["GET", "k"], b"", "from stdin");
        one(&[], b"SET a 1\nINCRBY a 4\nGET a\n", "OK\n5\n5");
        let (_, text) = cli(&path, &server, &["NOSUCH"], b"");
        assert!(text.contains("ERR unknown command 'NOSUCH'"), "{program}: {text}");
    }
}

#[test]
fn pipe_mode_loads_many_keys_over_tls() {
    let server = Server::start();
    // Its end is told by an ECHO.
    if not_there(&mut server.connect(), &["ECHO"]) {
        return;
    }
    let mut bytes = Vec::new();
    for i in 0..20_000 {
        let key = format!("key:{i}");
        bytes.extend_from_slice(&crate::support::client::request(&[b"SET", key.as_bytes(), b"value"]));
    }
    let Some(path) = find("redis-cli") else { return };
    let (ok, text) = cli(&path, &server, &["--pipe"], &bytes);
    assert!(ok && text.contains("errors: 0, replies: 20000"), "{text}");
}

#[test]
fn our_own_command_line_client_finds_the_server_it_stands_beside() {
    let server = Server::start();
    let mut command = Command::new(crate::support::server::BINARY);
    command.args(["cli", "-p", &server.port.to_string(), "--tls", "--cacert"]).arg(server.ca()).args(["SET", "k", "v"]);
    let out = run(&mut command, b"", Duration::from_secs(30));
    let said = String::from_utf8_lossy(&out.stderr);
    if said.contains("is no tool of mine") {
        skipped("not there yet: holdfast cli");
        return;
    }
    assert_eq!(String::from_utf8_lossy(&out.stdout), "OK\n", "{said}");
}

/// Runs a script of `tests/clients` with the library's name, the server's port and its CA.
#[track_caller]
fn script(library: &str) {
    let server = Server::start();
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/everyday.py"));
    command.args([library, &server.port.to_string()]).arg(server.ca());
    let out = run(&mut command, b"", Duration::from_secs(60));
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{text}");
    print!("{text}");
}

#[test]
fn redis_py_does_the_everyday_over_tls() {
    script("redis");
}

#[test]
fn valkey_py_does_the_everyday_over_tls() {
    script("valkey");
}
