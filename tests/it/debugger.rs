//! SCRIPT DEBUG SYNC: a script runs line by line for the client that wants it so, and for nobody else's harm.

use crate::support::Server;
use crate::support::client::{Connection, Value};
use crate::support::process::eventually;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const BUSY: &str = "-BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const SCRIPT: &[u8] = b"local n = 1\nfor i = 1, 2 do\n  n = n + i\nend\nserver.call('set', KEYS[1], n)\nreturn n";

/// The lines the debugger answers a command with.
fn says(c: &mut Connection, words: &[&[u8]]) -> String {
    match c.command(words).unwrap() {
        Value::Array(lines) => lines.iter().map(|l| format!("{l}\n")).collect(),
        other => panic!("{words:?} answered {other}"),
    }
}

fn debug(server: &Server) -> Connection {
    let mut c = server.connect_plain();
    assert_eq!(c.line("SCRIPT DEBUG SYNC").to_string(), "+OK");
    let at = says(&mut c, &[b"EVAL", SCRIPT, b"1", b"k"]);
    assert!(at.contains("* Stopped at 1, stop reason = step over"), "{at}");
    c
}

#[test]
fn a_script_is_stepped_through_and_others_hear_that_the_server_is_busy() {
    for workers in ["1", "2"] {
        let server = Server::plain(&["--io-threads", workers, "--busy-reply-threshold", "50"]);
        let mut others: Vec<_> = (0..4).map(|_| server.connect_plain()).collect();
        let mut c = debug(&server);
        for other in &mut others {
            eventually("the server is busy", PATIENCE, || other.line("SET a b").to_string() == BUSY);
        }
        assert!(says(&mut c, &[b"step"]).contains("Stopped at 2"));
        assert!(says(&mut c, &[b"b", b"5"]).contains("#5 "));
        assert!(says(&mut c, &[b"n"]).contains("Stopped at 3"));
        assert!(says(&mut c, &[b"print", b"n"]).contains("<value> 1"));
        assert!(says(&mut c, &[b"c"]).contains("Stopped at 5, stop reason = break point"));
        let all = says(&mut c, &[b"p"]);
        assert!(all.contains("<value> n = 4"), "{all}");
        assert!(says(&mut c, &[b"eval", b"KEYS[1] .. 'x'"]).contains("<retval> kx"));
        let called = says(&mut c, &[b"redis", b"incr", b"z"]);
        assert!(called.contains("<command> incr z") && called.contains("<reply> 1"), "{called}");
        assert!(says(&mut c, &[b"trace"]).contains("top level"));
        assert!(says(&mut c, &[b"nonsense"]).contains("Unknown debugger command"));
        assert!(says(&mut c, &[b"s"]).contains("<command> set k 4"));
        assert!(says(&mut c, &[b"c"]).contains("<endsession>"));
        assert_eq!(c.read().unwrap().to_string(), ":4");
        assert!(c.read().is_err(), "the connection ends with the session");
        assert_eq!(others[0].line("GET k").to_string(), "\"4\"");
    }
}

#[test]
fn the_session_ends_with_its_client() {
    let server = Server::plain(&["--busy-reply-threshold", "50"]);
    let mut other = server.connect_plain();
    let mut c = debug(&server);
    assert!(says(&mut c, &[b"redis", b"set", b"a", b"1"]).contains("+OK"));
    drop(c);
    eventually("others are served again", PATIENCE, || other.line("GET a").to_string().contains('1'));
    // A script that runs on by itself is stopped as well.
    let mut c = server.connect_plain();
    c.line("SCRIPT DEBUG SYNC");
    says(&mut c, &[b"EVAL", b"while true do end", b"0"]);
    c.send(b"*1\r\n$1\r\nc\r\n").unwrap();
    drop(c);
    eventually("others are served again", PATIENCE, || other.line("SET b 1").to_string() == "+OK");
}

#[test]
fn abort_and_kill_end_a_script_that_catches_errors() {
    let server = Server::plain(&["--busy-reply-threshold", "50"]);
    let script = b"pcall(function()\n while true do server.call('ping') end\nend)\nserver.call('set', 'k', 'v')";
    for by in ["abort", "kill"] {
        let mut other = server.connect_plain();
        let mut c = server.connect_plain();
        c.line("SCRIPT DEBUG SYNC");
        says(&mut c, &[b"EVAL", script, b"0"]);
        assert!(says(&mut c, &[b"s"]).contains("Stopped at 2"));
        if by == "abort" {
            assert!(says(&mut c, &[b"abort"]).contains("<endsession>"));
        } else {
            eventually("it is killed", PATIENCE, || other.line("SCRIPT KILL").to_string() == "+OK");
            assert!(c.read().unwrap().to_string().contains("<endsession>"));
        }
        assert!(matches!(c.read(), Ok(Value::Error(_))));
        assert_eq!(other.line("EXISTS k").to_string(), ":0");
    }
}

#[test]
fn what_cannot_be_debugged_is_refused_by_name() {
    let server = Server::plain(&["--busy-reply-threshold", "50"]);
    let mut c = server.connect_plain();
    assert!(c.line("SCRIPT DEBUG YES").to_string().contains("use SCRIPT DEBUG SYNC"));
    assert_eq!(c.command(&[b"EVAL", b"return 1", b"0"]).unwrap().to_string(), ":1");
    c.line("SCRIPT DEBUG SYNC");
    let digest = c.line("SCRIPT LOAD return").to_string();
    let refused = c.command(&[b"EVALSHA", digest.trim_matches('"').as_bytes(), b"0"]).unwrap().to_string();
    assert!(refused.contains("Please use EVAL"), "{refused}");
    c.line("SCRIPT DEBUG NO");
    assert_eq!(c.command(&[b"EVAL", b"return 2", b"0"]).unwrap().to_string(), ":2");
    // What is no request of the protocol ends the session, not the server.
    let mut c = debug(&server);
    c.send(b"help\r\n").unwrap();
    assert!(c.read().unwrap().to_string().contains("<endsession>"));
}
