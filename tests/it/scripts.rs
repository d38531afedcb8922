//! Scripts as applications write them: locks, limiters, queues; and the libraries they come from, run for real where they can be had.

use crate::support::process::{python, run, skipped};
use crate::support::{Server, client::Connection};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

#[track_caller]
fn eval(c: &mut Connection, script: &str, words: &[&str]) -> String {
    let mut all: Vec<&[u8]> = vec![b"EVAL", script.as_bytes()];
    all.extend(words.iter().map(|w| w.as_bytes()));
    c.command(&all).expect("an answer").to_string()
}

#[test]
fn a_lock_is_let_go_and_prolonged_by_its_holder_alone() {
    const RELEASE: &str =
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";
    const PROLONG: &str =
        "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end return redis.call('pexpire', KEYS[1], ARGV[2])";
    let server = Server::start();
    let mut c = server.connect();
    assert_eq!(c.line("SET lock me NX PX 30000").to_string(), "+OK");
    assert_eq!(c.line("SET lock you NX PX 30000").to_string(), "nil");
    assert_eq!(eval(&mut c, PROLONG, &["1", "lock", "you", "60000"]), ":0");
    assert_eq!(eval(&mut c, PROLONG, &["1", "lock", "me", "60000"]), ":1");
    assert_eq!(eval(&mut c, RELEASE, &["1", "lock", "you"]), ":0");
    assert_eq!(eval(&mut c, RELEASE, &["1", "lock", "me"]), ":1");
    assert_eq!(c.line("EXISTS lock").to_string(), ":0");
}

#[test]
fn a_sliding_window_and_a_token_bucket_let_through_what_they_may() {
    const WINDOW: &str = "
        local now, span, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
        redis.call('zremrangebyscore', KEYS[1], '-inf', now - span)
        local used = redis.call('zcard', KEYS[1])
        if used >= most then
            local first = redis.call('zrange', KEYS[1], 0, 0, 'withscores')
            return {0, tostring(first[2] + span - now)}
        end
        redis.call('zadd', KEYS[1], now, now .. ':' .. used)
        redis.call('pexpire', KEYS[1], span)
        return {1, most - used - 1}";
    const BUCKET: &str = "
        local rate, size, now, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
        local kept = redis.call('hmget', KEYS[1], 'tokens', 'at')
        local tokens = math.min(size, (tonumber(kept[1]) or size) + math.max(0, now - (tonumber(kept[2]) or now)) * rate)
        local ok = tokens >= want
        if ok then tokens = tokens - want end
        redis.call('hset', KEYS[1], 'tokens', tokens, 'at', now)
        redis.call('expire', KEYS[1], math.ceil(size / rate) * 2)
        return {ok and 1 or 0, string.format('%.1f', tokens)}";
    let server = Server::start();
    let mut c = server.connect();
    let got: Vec<_> = [1000, 1001, 1002, 1003]
        .iter()
        .map(|t| eval(&mut c, WINDOW, &["1", "w", &t.to_string(), "100", "3"]))
        .collect();
    assert_eq!(got, ["[:1 :2]", "[:1 :1]", "[:1 :0]", "[:0 \"97\"]"]);
    assert_eq!(eval(&mut c, WINDOW, &["1", "w", "1101", "100", "3"]), "[:1 :1]");
    let mut take = |now: &str, want: &str| eval(&mut c, BUCKET, &["1", "b", "0.5", "10", now, want]);
    assert_eq!(take("0", "8"), "[:1 \"2.0\"]");
    assert_eq!(take("1", "4"), "[:0 \"2.5\"]");
    assert_eq!(take("4", "4"), "[:1 \"0.0\"]");
}

#[test]
fn a_schedule_moves_what_is_due_to_its_queue_once() {
    const DUE: &str = "
        local due = redis.call('zrange', KEYS[1], '-inf', ARGV[1], 'byscore', 'limit', 0, ARGV[2])
        for _, text in ipairs(due) do
            local job = cjson.decode(text)
            redis.call('zrem', KEYS[1], text)
            redis.call('sadd', KEYS[2], job.queue)
            redis.call('lpush', 'queue:' .. job.queue, cjson.encode({id = job.id, args = job.args, retries = (job.retries or 0) + 1}))
        end
        return #due";
    let server = Server::start();
    let mut c = server.connect();
    for (at, id) in [("1", "a"), ("2", "b"), ("9", "c")] {
        let job = format!("{{\"queue\":\"mail\",\"id\":\"{id}\",\"args\":[1,\"x\"]}}");
        c.command(&[b"ZADD", b"schedule", at.as_bytes(), job.as_bytes()]).unwrap();
    }
    assert_eq!(eval(&mut c, DUE, &["2", "schedule", "queues", "5", "100"]), ":2");
    assert_eq!(eval(&mut c, DUE, &["2", "schedule", "queues", "5", "100"]), ":0");
    assert_eq!(c.line("LLEN queue:mail").to_string(), ":2");
    assert_eq!(eval(&mut c, "return cjson.decode(redis.call('rpop', KEYS[1])).retries", &["1", "queue:mail"]), ":1");
}

#[test]
fn functions_outlive_a_restart_from_a_snapshot_and_from_a_log() {
    let code = "#!lua name=lib\nserver.register_function{function_name='twice', callback=function(k, a) return a[1] * 2 end, \
                flags={'no-writes'}}";
    for (log, save) in [("no", "SAVE"), ("yes", "BGREWRITEAOF")] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_string_lossy().into_owned();
        let words = ["--dir", &dir, "--appendonly", log, "--save", ""];
        let mut server = Server::plain(&words);
        let mut c = server.connect_plain();
        assert_eq!(c.command(&[b"FUNCTION", b"LOAD", code.as_bytes()]).unwrap().to_string(), "\"lib\"");
        c.line(save);
        server.signal("TERM");
        assert_eq!(server.wait(Duration::from_secs(20)).code(), Some(0));
        let server = Server::plain(&words);
        assert_eq!(server.connect_plain().line("FCALL_RO twice 0 21").to_string(), ":42", "appendonly {log}");
    }
}

#[test]
fn keys_move_to_another_server_and_what_fails_stays() {
    let (from, to) = (Server::plain(&["--tls-replication", "no"]), Server::plain(&[]));
    let (mut a, mut b) = (from.connect_plain(), to.connect_plain());
    let target = format!("127.0.0.1 {}", to.plain_port);
    let mut other = from.connect_plain();
    for line in ["SET s v PX 100000", "RPUSH l 1 2 3", "HSET h f v"] {
        a.line(line);
    }
    assert_eq!(a.line(&format!("MIGRATE {target} none 0 1000")).to_string(), "+NOKEY");
    assert_eq!(a.line(&format!("MIGRATE {target} s 0 1000 COPY")).to_string(), "+OK");
    assert_eq!(a.line("EXISTS s").to_string(), ":1");
    let busy = a.line(&format!("MIGRATE {target} s 0 1000")).to_string();
    assert!(busy.contains("Target instance replied with error: BUSYKEY"), "{busy}");
    assert_eq!(a.line("EXISTS s").to_string(), ":1");
    assert_eq!(a.line(&format!("MIGRATE {target} s 0 1000 REPLACE")).to_string(), "+OK");
    let port = to.plain_port.to_string();
    let all = ["MIGRATE", "127.0.0.1", &port, "", "0", "1000", "KEYS", "l", "none", "h"].map(str::as_bytes);
    assert_eq!(a.command(&all).unwrap().to_string(), "+OK");
    assert_eq!(a.line("DBSIZE").to_string(), ":0");
    assert_eq!(b.line("LRANGE l 0 -1").to_string(), "[\"1\" \"2\" \"3\"]");
    assert!(!b.line("PTTL s").to_string().starts_with(":-"));
    // A target that does not answer holds up its client alone.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    a.line("SET k 1");
    let port = silent.local_addr().unwrap().port();
    a.send(format!("MIGRATE 127.0.0.1 {port} k 0 700\r\n").as_bytes()).unwrap();
    assert_eq!(other.line("INCR k").to_string(), ":2");
    assert!(a.read().unwrap().to_string().contains("IOERR"));
    assert_eq!(other.line("GET k").to_string(), "\"2\"");
}

#[test]
fn no_change_is_lost_while_a_key_moves() {
    let (from, to) = (Server::plain(&["--tls-replication", "no"]), Server::plain(&[]));
    let (mut a, mut b) = (from.connect_plain(), to.connect_plain());
    let mut writer = from.connect_plain();
    for round in 0..20 {
        a.line("SET n 0");
        a.send(format!("MIGRATE 127.0.0.1 {} n 0 2000 REPLACE\r\n", to.plain_port).as_bytes()).unwrap();
        let mut added = 0;
        while added < 5 {
            writer.line("INCR n");
            added += 1;
        }
        assert_eq!(a.read().unwrap().to_string(), "+OK");
        let number = |v: crate::support::client::Value| v.to_string().trim_matches('"').parse::<i64>().unwrap_or(0);
        let (here, there) = (number(writer.line("GET n")), number(b.line("GET n")));
        // What came after the move began anew here; a key that stayed has them all.
        assert!(here == 5 || here + there == 5, "round {round}: {here} here, {there} there");
        writer.line("DEL n");
        b.line("DEL n");
    }
}

#[test]
fn celery_works_over_tls() {
    let Some(python) = python() else { return };
    if !Command::new(&python).args(["-c", "import celery, redis, packaging"]).output().is_ok_and(|o| o.status.success())
    {
        skipped("celery is not in the tests' venv (.ci/prepare test)");
        return;
    }
    let server = Server::start();
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/celery/drive.py"));
    command.env("BROKER", format!("rediss://localhost:{}/1", server.port)).env("CA", server.ca());
    succeeds(&mut command);
}

#[test]
fn bullmq_works_over_tls() {
    let modules =
        PathBuf::from(crate::support::server::BINARY).ancestors().nth(2).expect("target").join("node/node_modules");
    if !modules.join("bullmq").is_dir() {
        skipped(&format!("BullMQ is not in {} (.ci/prepare test)", modules.display()));
        return;
    }
    let server = Server::start();
    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/bullmq.js"));
    command.arg(server.port.to_string()).arg(server.ca()).env("NODE_PATH", modules);
    succeeds(&mut command);
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let out = run(command, b"", Duration::from_secs(90));
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{text}");
    print!("{text}");
}

#[test]
fn a_nul_byte_in_a_script_is_a_byte_of_its_string() {
    let server = Server::start();
    let mut c = server.connect();
    assert_eq!(eval(&mut c, "return #'a\0b'", &["0"]), ":3");
    assert_eq!(eval(&mut c, "return string.byte('\x000', 1)", &["0"]), ":0");
}

#[test]
fn what_scripts_get_wrong_is_told_in_the_words_they_know() {
    let server = Server::start();
    let mut c = server.connect();
    let mut told = |script: &str| {
        let text = eval(&mut c, script, &["0"]);
        text.replace("user_script:1: ", "").replace(" script: on @user_script:1.", "")
    };
    for (script, want) in [
        ("return redis.log('1', 'x')", "nil"),
        ("return redis.log('9', 'x')", "-ERR Invalid log level."),
        ("return redis.log('nan', 'x')", "-ERR Invalid log level."),
        ("return redis.log('a', 'x')", "-ERR First argument must be a number (log level)."),
        ("return struct.pack('c3', 'a')", "-ERR bad argument #3 to 'pack' (string too short)"),
        ("return struct.size('i3w9')", ":3"),
        ("return struct.size('n')", ":0"),
        ("return #{cmsgpack.unpack_limit(cmsgpack.pack(1, 2), 0, 0)}", ":2"),
        ("return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2), 0, 1)}", "[:1]"),
        (r#"return cjson.decode('["ab\\x"]')"#, "-ERR Expected value but found invalid escape code at character 5"),
        (
            r#"return cjson.decode('{"\\x":1}')"#,
            "-ERR Expected object key string but found invalid escape code at character 3",
        ),
        ("return tostring(cjson.decode('-1e400'))", "\"-inf\""),
        ("return redis.call('ECHO', -2^63)", "\"-9223372036854776000\""),
        ("return struct.size('-')", "-ERR bad argument #1 to 'size' (invalid format option '-')"),
        ("return struct.unpack('bc0', '\\128a')", "-ERR bad argument #2 to 'unpack' (data string too short)"),
        ("local t = {}; t[1] = t; return cjson.encode(t)", "-ERR Cannot serialise, excessive nesting (1001)"),
    ] {
        assert_eq!(told(script), want, "{script}");
    }
    let digest = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    for (words, want) in [
        (["EVALSHA", digest, "01"], "-ERR value is not an integer or out of range"),
        (["EVALSHA", digest, "1"], "-ERR Number of keys can't be greater than number of args"),
        (["EVALSHA", digest, "0"], "-NOSCRIPT No matching script."),
        (["EVALSHA", "abc", "01"], "-NOSCRIPT No matching script."),
        (
            ["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('a-b', function() end)"],
            "-ERR Function names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            ["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('a', 1)"],
            "-ERR Error registering functions: ERR second argument to server.register_function must be a function",
        ),
    ] {
        assert_eq!(c.command(&words.map(str::as_bytes)).expect("an answer").to_string(), want, "{words:?}");
    }
}
