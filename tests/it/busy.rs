//! A script that does not end: everybody else hears so, it can be stopped, and the server can be ended.
//!
//! Each claim is tried with one worker, which runs the script and answers the others in between, and with two.

use crate::support::client::{Connection, Value, request};
use crate::support::process::eventually;
use crate::support::{Server, check};
use std::time::Duration;

const WORKERS: [&str; 2] = ["1", "2"];
const PATIENCE: Duration = Duration::from_secs(20);
const ENDLESS: &[&[u8]] = &[b"EVAL", b"while true do end", b"0"];
const ENDLESS_AFTER_WRITE: &[&[u8]] = &[b"EVAL", b"redis.call('set', KEYS[1], 'half') while true do end", b"1", b"k"];
const BUSY: &str = "-BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str =
    "-BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
const NOT_BUSY: &str = "-NOTBUSY No scripts in execution right now.";
const UNKILLABLE: &str = "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either \
     wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
const LIBRARY: &str = "#!lua name=lib
    server.register_function('endless', function() while true do end end)
    server.register_function('half', function(keys) server.call('set', keys[1], 'half') while true do end end)";

fn start(workers: &str, words: &[&str]) -> Server {
    let mut all = vec!["--io-threads", workers, "--busy-reply-threshold", "50"];
    all.extend(words);
    Server::plain(&all)
}

/// Connections enough to be on every worker.
fn others(server: &Server) -> Vec<Connection> {
    (0..4).map(|_| server.connect_plain()).collect()
}

/// Waits until a script is busy, as everybody sees it: by a command that wants a lock, so one that may wait for it at first.
fn until_busy(connections: &mut [Connection], text: &str) {
    for c in connections {
        eventually("a script is busy", PATIENCE, || c.line("SET beside v").to_string() == text);
    }
}

/// A connection with an endless script, and a PING behind it.
fn endless(server: &Server, call: &[&[u8]]) -> Connection {
    let mut c = server.connect_plain();
    let mut bytes = request(call);
    bytes.extend(request(&[b"PING"]));
    c.send(&bytes).unwrap();
    c
}

fn is_killed(reply: &Value, by: &str) -> bool {
    matches!(reply, Value::Error(e) if e.contains(&format!("Script killed by user with {by}")))
}

#[test]
fn others_hear_that_a_script_is_busy_and_its_kill_ends_it() {
    for workers in WORKERS {
        let server = start(workers, &[]);
        let mut others = others(&server);
        let mut c = endless(&server, ENDLESS);
        until_busy(&mut others, BUSY);
        for o in &mut others {
            for line in
                ["PING", "GET k", "KEYS *", "INFO", "DBSIZE", "FLUSHALL", "EVAL return 0", "SHUTDOWN", "PUBLISH c m"]
            {
                assert_eq!(o.line(line).to_string(), BUSY, "{line}");
            }
            check(o, &[("SELECT 0", "+OK"), ("MULTI", "+OK"), ("DISCARD", "+OK"), ("RESET", "+RESET")]);
            check(o, &[("FUNCTION KILL", BUSY)]);
        }
        // Who comes now is accepted and told.
        check(&mut server.connect_plain(), &[("PING", BUSY)]);
        check(&mut server.connect(), &[("PING", BUSY)]);
        check(&mut others[0], &[("SCRIPT KILL", "+OK")]);
        let reply = c.read().unwrap();
        assert!(is_killed(&reply, "SCRIPT KILL"), "{reply}");
        assert_eq!(c.read().unwrap().to_string(), "+PONG", "what was sent behind the script runs after it");
        for o in others.iter_mut().chain([&mut c]) {
            check(o, &[("SCRIPT KILL", NOT_BUSY), ("SET k v", "+OK"), ("GET k", "\"v\"")]);
        }
    }
}

#[test]
fn a_function_is_stopped_by_function_kill() {
    for workers in WORKERS {
        let server = start(workers, &[]);
        let mut others = others(&server);
        assert_eq!(others[0].command(&[b"FUNCTION", b"LOAD", LIBRARY.as_bytes()]).unwrap().to_string(), "\"lib\"");
        let mut c = endless(&server, &[b"FCALL", b"endless", b"0"]);
        until_busy(&mut others, BUSY_FUNCTION);
        for o in &mut others {
            check(o, &[("GET k", BUSY_FUNCTION), ("SCRIPT KILL", BUSY_FUNCTION)]);
            let stats = o.line("FUNCTION STATS").to_string();
            assert!(stats.contains("running_script") && stats.contains("endless"), "{stats}");
        }
        check(&mut others[0], &[("FUNCTION KILL", "+OK")]);
        let reply = c.read().unwrap();
        assert!(is_killed(&reply, "FUNCTION KILL"), "{reply}");
        assert_eq!(c.read().unwrap().to_string(), "+PONG");
        check(&mut others[1], &[("FUNCTION KILL", NOT_BUSY), ("SET k v", "+OK")]);
    }
}

#[test]
fn a_function_is_seen_and_stopped_by_whoever_asks_before_it_is_busy() {
    let server = start("2", &["--busy-reply-threshold", "1500"]);
    let mut others = others(&server);
    assert_eq!(others[0].command(&[b"FUNCTION", b"LOAD", LIBRARY.as_bytes()]).unwrap().to_string(), "\"lib\"");
    let mut c = endless(&server, &[b"FCALL", b"endless", b"0"]);
    for o in &mut others {
        eventually("it is seen", PATIENCE, || o.line("FUNCTION STATS").to_string().contains("endless"));
    }
    check(&mut others[0], &[("FUNCTION KILL", "+OK")]);
    let reply = c.read().unwrap();
    assert!(is_killed(&reply, "FUNCTION KILL"), "{reply}");
}

#[test]
fn time_passes_for_a_script_that_is_busy_and_deadlines_stand_still() {
    for workers in WORKERS {
        let server = start(workers, &[]);
        let script = "local function now() local t = redis.call('TIME') return t[1] + t[2] / 1000000 end
            redis.call('SET', 'k', 'v', 'PX', 100)
            local t = now() + 0.3 while now() < t do end return redis.call('GET', 'k')";
        let mut c = server.connect_plain();
        assert_eq!(c.command(&[b"EVAL", script.as_bytes(), b"0"]).unwrap().to_string(), "\"v\"");
        check(&mut c, &[("GET k", "nil")]);
    }
}

#[test]
fn a_script_that_has_written_ends_only_with_the_server() {
    for workers in WORKERS {
        for call in [ENDLESS_AFTER_WRITE, &[b"FCALL", b"half", b"1", b"k"]] {
            let function = call[0] == b"FCALL";
            let mut server = start(workers, &[]);
            let mut others = others(&server);
            others[0].command(&[b"FUNCTION", b"LOAD", LIBRARY.as_bytes()]).unwrap();
            let mut c = endless(&server, call);
            until_busy(&mut others, if function { BUSY_FUNCTION } else { BUSY });
            let kill = if function { "FUNCTION KILL" } else { "SCRIPT KILL" };
            for o in &mut others {
                check(o, &[(kill, UNKILLABLE)]);
            }
            others[0].send(&request(&[b"SHUTDOWN", b"NOSAVE"])).unwrap();
            assert_eq!(server.wait(PATIENCE).code(), Some(0));
            assert!(c.is_closed() && others[0].is_closed());
        }
    }
}

#[test]
fn sigterm_ends_the_server_whatever_script_runs() {
    for workers in WORKERS {
        for call in [ENDLESS, ENDLESS_AFTER_WRITE] {
            let mut server = start(workers, &[]);
            let mut others = others(&server);
            let _c = endless(&server, call);
            until_busy(&mut others, BUSY);
            server.signal("TERM");
            assert_eq!(server.wait(PATIENCE).code(), Some(0));
        }
    }
}

#[test]
fn half_of_a_scripts_writes_is_not_there_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_string_lossy().into_owned();
    let words = ["--dir", &dir, "--appendonly", "yes", "--appendfsync", "always"];
    for workers in WORKERS {
        let mut server = start(workers, &words);
        let mut others = others(&server);
        eventually("what the log has is there", PATIENCE, || others[0].line("SET kept v").to_string() == "+OK");
        let _c = endless(&server, ENDLESS_AFTER_WRITE);
        for o in &mut others {
            eventually("a script is busy", PATIENCE, || o.line("GET kept").to_string() == BUSY);
        }
        others[0].send(&request(&[b"SHUTDOWN", b"NOSAVE"])).unwrap();
        assert_eq!(server.wait(PATIENCE).code(), Some(0));
        let server = start(workers, &words);
        let mut c = server.connect_plain();
        eventually("what the log has is there", PATIENCE, || c.line("GET kept").to_string() == "\"v\"");
        check(&mut c, &[("EXISTS k", ":0")]);
    }
}

#[test]
fn replies_that_wait_for_the_disk_come_beside_a_busy_script() {
    for workers in WORKERS {
        let server = start(workers, &["--appendonly", "yes", "--appendfsync", "always"]);
        let mut others = others(&server);
        let sets: Vec<u8> = (0..100).flat_map(|_| request(&[b"INCR", b"n"])).collect();
        let mut c = endless(&server, ENDLESS);
        for o in &mut others {
            o.send(&sets).unwrap();
        }
        // Each is answered: with a number that went up, or that the server is busy.
        for o in &mut others {
            let mut before = 0;
            for _ in 0..100 {
                match o.read().unwrap() {
                    Value::Integer(n) => {
                        assert!(n > before);
                        before = n;
                    }
                    busy => assert_eq!(busy.to_string(), BUSY),
                }
            }
        }
        until_busy(&mut others, BUSY);
        check(&mut others[2], &[("SCRIPT KILL", "+OK")]);
        assert!(is_killed(&c.read().unwrap(), "SCRIPT KILL"));
        for o in &mut others {
            check(o, &[("SET k v", "+OK")]);
        }
    }
}

#[test]
fn clients_that_leave_while_a_script_is_busy_leave_nothing_behind() {
    for workers in WORKERS {
        let server = start(workers, &[]);
        let mut others = others(&server);
        let mut watchers: Vec<Connection> = (0..2).map(|_| server.connect_plain()).collect();
        let mut waiters: Vec<Connection> = (0..2).map(|_| server.connect_plain()).collect();
        for w in &mut watchers {
            check(w, &[("WATCH watched", "+OK")]);
        }
        for w in &mut waiters {
            w.send(&request(&[b"BLPOP", b"list", b"0"])).unwrap();
        }
        let mut late = server.connect_plain();
        late.send(&request(&[b"BLPOP", b"other", b"0.2"])).unwrap();
        eventually("all wait", PATIENCE, || others[0].line("INFO clients").to_string().contains("blocked_clients:3"));
        let c = endless(&server, ENDLESS);
        until_busy(&mut others, BUSY);
        drop((c, watchers, waiters));
        assert_eq!(late.read().unwrap().to_string(), "nil", "a wait ends in time");
        check(&mut others[0], &[("GET k", BUSY), ("SCRIPT KILL", "+OK")]);
        eventually("all have left", PATIENCE, || {
            let info = others[0].line("INFO clients").to_string();
            ["connected_clients:5", "blocked_clients:0", "watching_clients:0"].iter().all(|part| info.contains(part))
        });
        check(&mut others[0], &[("RPUSH list a", ":1"), ("SET watched v", "+OK"), ("LLEN list", ":1")]);
    }
}

#[test]
fn a_transaction_with_a_script_is_one_too() {
    for workers in WORKERS {
        let server = start(workers, &[]);
        let mut others = others(&server);
        let mut c = server.connect_plain();
        check(&mut c, &[("MULTI", "+OK"), ("GET k", "+QUEUED")]);
        assert_eq!(c.command(ENDLESS).unwrap().to_string(), "+QUEUED");
        c.send(&request(&[b"EXEC"])).unwrap();
        until_busy(&mut others, BUSY);
        check(&mut others[1], &[("SCRIPT KILL", "+OK")]);
        let Value::Array(replies) = c.read().unwrap() else { panic!("no array") };
        assert!(replies.len() == 2 && is_killed(&replies[1], "SCRIPT KILL"), "{replies:?}");
    }
}

#[test]
fn a_transaction_that_meets_a_busy_script_is_discarded_whole() {
    const PREVIOUS: &str = "-EXECABORT Transaction discarded because of previous errors.";
    for workers in WORKERS {
        let server = start(workers, &[]);
        let mut others = others(&server);
        for o in &mut others {
            check(o, &[("MULTI", "+OK"), ("INCR n", "+QUEUED")]);
        }
        let mut killer = others.pop().unwrap();
        check(&mut killer, &[("DISCARD", "+OK")]);
        let mut c = endless(&server, ENDLESS);
        until_busy(std::slice::from_mut(&mut killer), BUSY);
        let aborted = format!("-EXECABORT Transaction discarded because of: {}", &BUSY[1..]);
        check(&mut others[0], &[("EXEC", &aborted), ("EXEC", &aborted)]);
        check(&mut others[1], &[("INCR n", BUSY)]);
        check(&mut killer, &[("SCRIPT KILL", "+OK")]);
        assert!(is_killed(&c.read().unwrap(), "SCRIPT KILL"));
        check(&mut others[0], &[("EXISTS n", ":0")]);
        check(&mut others[1], &[("EXEC", PREVIOUS), ("EXISTS n", ":0")]);
        check(&mut others[2], &[("EXEC", "[:1]")]);
    }
}

#[test]
fn above_maxmemory_nobody_waits_for_a_busy_script_either() {
    for workers in WORKERS {
        let server = start(workers, &["--maxmemory-policy", "allkeys-lru"]);
        let mut others = others(&server);
        let mut c = server.connect_plain();
        check(&mut others[0], &[("CONFIG SET maxmemory 1", "+OK")]);
        c.send(&request(ENDLESS)).unwrap();
        for o in &mut others {
            eventually("a script is busy", PATIENCE, || o.line("GET k").to_string() == BUSY);
        }
        check(&mut others[1], &[("SCRIPT KILL", "+OK")]);
        assert!(is_killed(&c.read().unwrap(), "SCRIPT KILL"));
    }
}

#[test]
fn the_periodic_tasks_go_on_once_the_script_is_over() {
    let server = start("2", &["--save", "1 1"]);
    let mut others = others(&server);
    check(&mut others[0], &[("SET gone v PX 100", "+OK"), ("SET k v", "+OK")]);
    let mut c = endless(&server, ENDLESS);
    until_busy(&mut others, BUSY);
    // As long as the script runs, the tasks come to its locks several times.
    std::thread::sleep(Duration::from_millis(1500));
    check(&mut others[1], &[("SCRIPT KILL", "+OK")]);
    assert!(is_killed(&c.read().unwrap(), "SCRIPT KILL"));
    eventually("expired", PATIENCE, || others[0].line("INFO stats").to_string().contains("expired_keys:1"));
    eventually("saved", PATIENCE, || {
        let info = others[0].line("INFO persistence").to_string();
        info.contains("rdb_bgsave_in_progress:0") && !info.contains("rdb_saves:0")
    });
}

#[test]
fn a_script_that_stays_within_its_keys_keeps_nobody_from_others() {
    // Nobody is told that it is busy: who is answered here did not want its locks.
    let server = Server::plain(&["--io-threads", "2", "--busy-reply-threshold", "0"]);
    let mut others: Vec<Connection> = (0..8).map(|_| server.connect_plain()).collect();
    let mut runs = endless(&server, &[b"EVAL", b"while true do redis.call('get', KEYS[1]) end", b"1", b"k"]);
    let mut answered = Vec::new();
    eventually("another worker's client writes another key", PATIENCE, || {
        for (i, c) in others.iter_mut().enumerate() {
            let _ = c.send(&request(&[b"SET", format!("other:{i}").as_bytes(), b"v"]));
            c.set_patience(Duration::from_millis(50));
            if c.read().is_ok_and(|v| v.to_string() == "+OK") {
                answered.push(i);
            }
        }
        !answered.is_empty()
    });
    // It runs still, and what it has is not to be had.
    runs.set_patience(Duration::from_millis(1));
    assert!(runs.read().is_err());
    let c = &mut others[answered[0]];
    let _ = c.send(&request(&[b"SET", b"k", b"v"]));
    assert!(c.read().is_err(), "a key of the script was changed while it runs");
}

#[test]
fn a_script_of_declared_keys_serves_who_waits_for_them_and_its_changes_are_one_step() {
    let server = Server::plain(&["--io-threads", "2"]);
    let (mut waits, mut moves, mut runs) = (server.connect_plain(), server.connect_plain(), server.connect_plain());
    waits.send(&request(&[b"BLPOP", b"list", b"0"])).unwrap();
    moves.send(&request(&[b"BLMOVE", b"list", b"elsewhere", b"LEFT", b"LEFT", b"0"])).unwrap();
    eventually("both wait", PATIENCE, || runs.line("INFO clients").to_string().contains("blocked_clients:2"));
    let push = "redis.call('rpush', KEYS[1], ARGV[1], ARGV[2]) return redis.call('llen', KEYS[1])";
    let reply = runs.command(&[b"EVAL", push.as_bytes(), b"1", b"list", b"a", b"b"]).unwrap();
    assert_eq!(reply.to_string(), ":2");
    let mut got = [waits.read().unwrap().to_string(), moves.read().unwrap().to_string()];
    got.sort();
    assert!(got == ["\"a\"", "[\"list\" \"b\"]"] || got == ["\"b\"", "[\"list\" \"a\"]"], "{got:?}");
    check(&mut runs, &[("LLEN list", ":0"), ("LLEN elsewhere", ":1")]);
}
