//! How a replica takes its copy in: what is served meanwhile, what is left of one that fails, and what lies on disk.

use crate::support::{Connection, Server};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const DEBUG: [&str; 6] = ["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0", "--rdbcompression", "no"];

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stat(c: &mut Connection, name: &str) -> String {
    let info = c.line("INFO everything").to_string();
    let line = info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {info}"))
}

fn is_up(c: &mut Connection) -> bool {
    stat(c, "master_link_status") == "up"
}

/// A replica-to-be that knows the primary's certificate, with data of its own, and takes copies in this way.
fn stranger_of(primary: &Server, way: &str, words: &[&str]) -> (Server, Connection) {
    let ca = primary.ca();
    let all =
        [&DEBUG[..], &["--tls-ca-cert-file", ca.to_str().expect("text"), "--repl-diskless-load", way], words].concat();
    let replica = Server::with(&all);
    let mut r = replica.connect();
    r.line("SET mine yes");
    (replica, r)
}

fn follow(r: &mut Connection, primary: &Server) {
    assert_eq!(r.line(&format!("REPLICAOF 127.0.0.1 {}", primary.port)).to_string(), "+OK");
}

/// A primary that takes seconds to send its copy, unless it is told to hurry.
fn slow_primary(words: &[&str]) -> (Server, Connection) {
    let primary = Server::with(&[&DEBUG[..], words].concat());
    let mut p = primary.connect();
    p.line("DEBUG POPULATE 2000 theirs 10000");
    p.line("CONFIG SET rdb-key-save-delay 10000");
    (primary, p)
}

/// Breaks the link amid the copy, and sees to it that no other comes soon.
fn cut(p: &mut Connection) {
    p.line("CONFIG SET repl-diskless-sync-delay 1000");
    p.line("CLIENT KILL TYPE replica");
}

const LOADING: &str = "-LOADING Holdfast is loading the dataset in memory";

#[test]
fn a_copy_of_another_history_is_loaded_unseen_and_the_old_data_come_back_if_it_is_cut_off() {
    let (primary, mut p) = slow_primary(&[]);
    let (replica, mut r) = stranger_of(&primary, "swapdb", &[]);
    follow(&mut r, &primary);
    eventually("it loads", || stat(&mut r, "loading") == "1");
    assert_eq!(stat(&mut r, "async_loading"), "0");
    assert_eq!(r.line("GET mine").to_string(), LOADING);
    assert_eq!(stat(&mut r, "master_sync_in_progress"), "1");
    eventually("keys are loaded", || stat(&mut r, "loading_loaded_bytes") != "0" || stat(&mut r, "loading") == "0");
    assert_ne!(stat(&mut r, "loading_start_time"), "0");
    assert_ne!(stat(&mut r, "loading_rdb_used_mem"), "0");
    cut(&mut p);
    eventually("it has given up", || stat(&mut r, "loading") == "0");
    assert_eq!(r.line("GET mine").to_string(), "\"yes\"");
    assert_eq!(r.line("DBSIZE").to_string(), ":1");
    assert!(
        replica.log().contains("Failed trying to load the PRIMARY synchronization DB from socket"),
        "{}",
        replica.log()
    );
    p.line("CONFIG SET rdb-key-save-delay 0");
    p.line("CONFIG SET repl-diskless-sync-delay 0");
    eventually("the next one is whole", || is_up(&mut r));
    assert_eq!(r.line("DBSIZE").to_string(), ":2000");
}

#[test]
fn data_that_go_before_the_copy_are_gone_if_it_is_cut_off_and_take_their_history_with_them() {
    for words in [&[][..], &["--dual-channel-replication-enabled", "yes"]] {
        let (primary, mut p) = slow_primary(words);
        let (_replica, mut r) = stranger_of(&primary, "flush-before-load", words);
        let name = stat(&mut r, "master_replid");
        follow(&mut r, &primary);
        eventually("it loads", || stat(&mut r, "loading") == "1");
        assert_eq!(r.line("GET mine").to_string(), LOADING);
        cut(&mut p);
        eventually("it has given up", || stat(&mut r, "loading") == "0");
        assert_eq!(r.line("DBSIZE").to_string(), ":0");
        assert_ne!(stat(&mut r, "master_replid"), name, "an empty data set is no moment of that history");
        p.line("CONFIG SET rdb-key-save-delay 0");
        p.line("CONFIG SET repl-diskless-sync-delay 0");
        eventually("the next one is whole", || is_up(&mut r));
        assert_eq!(r.line("DBSIZE").to_string(), ":2000");
    }
}

#[test]
fn what_is_on_disk_stays_while_dropped_data_wait_for_their_copy_whoever_saves_or_ends() {
    for (way, words, cut_off, left) in [
        ("flush-before-load", &["--appendonly", "no"], false, "mine"),
        ("flush-before-load", &["--appendonly", "no"], true, "mine"),
        ("flush-before-load", &["--appendonly", "yes"], true, "mine"),
        ("disabled", &["--appendonly", "no"], false, "theirs:7"),
    ] {
        let (primary, mut p) = slow_primary(&[]);
        let folder = tempfile::tempdir().expect("a folder");
        let (dir, ca) = (folder.path().to_str().expect("text"), primary.ca());
        let kept = ["--dir", dir, "--save", "3600 1", "--tls-ca-cert-file", ca.to_str().expect("text")];
        let kept = [&DEBUG, &kept[..], &["--repl-diskless-load", way], words].concat();
        let connect = |s: &Server| Connection::tls(s.port, &folder.path().join("tls/ca.crt")).expect("a connection");
        let mut replica = Server::with(&kept);
        let mut r = connect(&replica);
        r.line("SET mine yes");
        if way == "disabled" {
            p.line("CONFIG SET rdb-key-save-delay 0");
            r.line("CONFIG SET key-load-delay 10000");
        }
        assert_eq!(r.line("SAVE").to_string(), "+OK");
        r.line("SET mine too");
        follow(&mut r, &primary);
        eventually("it loads", || stat(&mut r, "loading") == "1");
        if cut_off {
            cut(&mut p);
            eventually("it has given up", || stat(&mut r, "loading") == "0");
            assert_eq!(r.line("DBSIZE").to_string(), ":0");
            for command in ["BGSAVE", "SAVE"] {
                assert!(r.line(command).to_string().starts_with("-ERR"), "{command}");
            }
            assert!(r.line("BGREWRITEAOF").to_string().ends_with("scheduled"));
        }
        replica.signal("TERM");
        replica.wait(Duration::from_secs(20));
        let again = Server::with(&kept);
        let mut r = connect(&again);
        assert_eq!(r.line(&format!("EXISTS {left}")).to_string(), ":1", "{way} {words:?} {cut_off}: {}", replica.log());
    }
}

#[test]
fn a_server_that_leads_with_what_was_left_saves_that() {
    let (primary, mut p) = slow_primary(&[]);
    let (_replica, mut r) = stranger_of(&primary, "flush-before-load", &["--appendonly", "yes"]);
    follow(&mut r, &primary);
    eventually("it loads", || stat(&mut r, "loading") == "1");
    cut(&mut p);
    eventually("it leads", || r.line("REPLICAOF NO ONE").to_string() == "+OK");
    assert_eq!(r.line("SAVE").to_string(), "+OK");
    let before = stat(&mut r, "aof_rewrites");
    eventually("the log has a base of it", || stat(&mut r, "aof_rewrites") != before || before != "0");
}

/// Makes a replica that is in step ask for everything again, while the primary's history stays.
fn fall_behind(p: &mut Connection) {
    p.line("CONFIG SET repl-backlog-size 16384");
    p.line("MULTI");
    p.line("CLIENT KILL TYPE replica");
    for n in 0..20 {
        p.line(&format!("SET fill:{n} {}", "x".repeat(16384)));
    }
    p.line("EXEC");
}

#[test]
fn an_older_moment_of_the_same_history_is_served_until_the_copy_is_whole() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    let (_replica, mut r) = stranger_of(&primary, "swapdb", &["--replica-read-only", "no"]);
    follow(&mut r, &primary);
    eventually("it is in step", || is_up(&mut r));
    p.line("DEBUG POPULATE 1000 theirs 10000");
    p.line("SET old 1");
    p.line("WAIT 1 10000");
    p.line("CONFIG SET rdb-key-save-delay 10000");
    r.line("SET mine yes");
    fall_behind(&mut p);
    eventually("it loads", || stat(&mut r, "async_loading") == "1");
    assert_eq!(stat(&mut r, "loading"), "0");
    assert_eq!(r.line("GET mine").to_string(), "\"yes\"");
    assert_eq!(r.line("DBSIZE").to_string(), ":2");
    assert_eq!(r.line("REPLICAOF NO ONE").to_string(), LOADING);
    assert_eq!(r.line("CONFIG SET appendonly yes").to_string(), LOADING);
    cut(&mut p);
    eventually("it has given up", || stat(&mut r, "async_loading") == "0");
    assert_eq!(r.line("GET mine").to_string(), "\"yes\"");
    p.line("CONFIG SET rdb-key-save-delay 0");
    p.line("CONFIG SET repl-diskless-sync-delay 0");
    eventually("the next one is whole", || is_up(&mut r));
    assert_eq!(r.line("GET mine").to_string(), "nil");
    assert_eq!(r.line("DBSIZE").to_string(), ":1021");
}

#[test]
fn only_an_empty_replica_loads_from_the_socket_if_it_is_told_so() {
    let (primary, mut p) = slow_primary(&[]);
    let (replica, mut r) = stranger_of(&primary, "on-empty-db", &[]);
    follow(&mut r, &primary);
    eventually("the copy comes", || replica.log().contains("to disk"));
    assert_eq!(r.line("GET mine").to_string(), "\"yes\"", "until the file is whole nothing changes");
    r.line("REPLICAOF NO ONE");
    r.line("FLUSHALL");
    follow(&mut r, &primary);
    eventually("it loads", || stat(&mut r, "loading") == "1");
    assert!(replica.log().contains("to parser"));
    p.line("CONFIG SET rdb-key-save-delay 0");
    eventually("it is whole", || is_up(&mut r));
}

#[test]
fn a_copy_that_goes_by_way_of_a_file_becomes_the_snapshot_or_nothing_changes() {
    let primary = Server::with(&DEBUG);
    let mut p = primary.connect();
    p.line("SET theirs 1");
    let (replica, mut r) = stranger_of(&primary, "disabled", &["--save", ""]);
    let dump = replica.ca().ancestors().nth(2).expect("its folder").join("dump.rdb");
    std::fs::create_dir(&dump).expect("a folder in the way");
    follow(&mut r, &primary);
    eventually("it cannot", || replica.log().contains("Failed trying to rename the temp DB into dump.rdb"));
    assert_eq!(r.line("GET mine").to_string(), "\"yes\"");
    std::fs::remove_dir(&dump).expect("it is empty");
    eventually("the next one is whole", || is_up(&mut r));
    assert_eq!(r.line("GET theirs").to_string(), "\"1\"");
    assert!(dump.is_file(), "a restart begins with it");
    r.line("REPLICAOF NO ONE");
    r.line("CONFIG SET rdb-del-sync-files yes");
    p.line("DEBUG CHANGE-REPL-ID");
    follow(&mut r, &primary);
    eventually("there is another", || is_up(&mut r));
    assert!(!dump.exists(), "nothing is to be kept on disk here");
}

/// A primary that sends a copy word by word, as the test wants it.
struct Fake(TcpListener);

impl Fake {
    fn listen() -> (Fake, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        (Fake(listener), port)
    }

    /// Takes the next link, and answers what comes before the copy.
    fn next(&self) -> TcpStream {
        let (mut socket, _) = self.0.accept().expect("a link");
        let (mut heard, mut answered) = (Vec::new(), 0);
        let mut buffer = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&heard).into_owned();
            if text.contains("PSYNC") {
                break;
            }
            let words =
                ["PING", "REPLCONF"].iter().map(|w| text.matches(&format!("\r\n{w}\r\n")).count()).sum::<usize>();
            while answered < words {
                let answer = if answered == 0 { "+PONG\r\n" } else { "+OK\r\n" };
                socket.write_all(answer.as_bytes()).expect("it is there");
                answered += 1;
            }
            let n = socket.read(&mut buffer).expect("it is there");
            assert_ne!(n, 0, "it has gone: {text}");
            heard.extend_from_slice(&buffer[..n]);
        }
        let answer = format!("+FULLRESYNC {} 0\r\n$EOF:{}\r\n", "a".repeat(40), "m".repeat(40));
        socket.write_all(answer.as_bytes()).expect("it is there");
        socket
    }
}

/// A snapshot of one key, without a sum.
fn snapshot() -> Vec<u8> {
    let mut bytes = b"VALKEY080\xfe\x00\x00\x03key\x05value\xff".to_vec();
    bytes.extend([0; 8]);
    bytes
}

#[test]
fn a_copy_that_is_cut_off_damaged_or_followed_by_more_is_not_loaded_and_a_whole_one_is() {
    let (fake, port) = Fake::listen();
    let replica = Server::plain(&["--repl-diskless-load", "swapdb", "--tls-replication", "no"]);
    let mut r = replica.connect_plain();
    r.line("SET mine yes");
    r.line(&format!("REPLICAOF 127.0.0.1 {port}"));
    let (whole, mark) = (snapshot(), "m".repeat(40));
    let mut damaged = whole.clone();
    damaged[12] = 0x77;
    let more = [&whole[..], b"x"].concat();
    let before = replica.log().matches("Failed trying to load").count();
    for (n, bytes, marked) in [(1, &whole[..10], false), (2, &whole[..], false), (3, &damaged, true), (4, &more, true)]
    {
        let mut socket = fake.next();
        eventually("it loads", || stat(&mut r, "loading") == "1" || n == 3);
        socket.write_all(bytes).expect("it is there");
        if marked {
            // It may have given up already.
            let _ = socket.write_all(mark.as_bytes());
        } else {
            drop(socket);
        }
        eventually("it fails", || replica.log().matches("Failed trying to load").count() == before + n);
        eventually("it is over", || stat(&mut r, "loading") == "0");
        assert_eq!(r.line("GET mine").to_string(), "\"yes\"");
    }
    let mut socket = fake.next();
    socket.write_all(&whole).expect("it is there");
    socket.write_all(mark.as_bytes()).expect("it is there");
    eventually("it is whole", || is_up(&mut r));
    assert_eq!(r.line("GET key").to_string(), "\"value\"");
    assert_eq!(r.line("DBSIZE").to_string(), ":1");
}

#[test]
fn a_primary_that_falls_silent_amid_the_copy_is_given_up_and_a_server_that_ends_does_not_wait_for_it() {
    let (fake, port) = Fake::listen();
    let words = ["--repl-diskless-load", "flush-before-load", "--tls-replication", "no", "--repl-timeout", "1"];
    let mut replica = Server::plain(&words);
    let mut r = replica.connect_plain();
    r.line(&format!("REPLICAOF 127.0.0.1 {port}"));
    let mut first = fake.next();
    first.write_all(&snapshot()[..10]).expect("it is there");
    eventually("it loads", || stat(&mut r, "loading") == "1");
    eventually("it has given up", || replica.log().contains("Timeout receiving bulk data from PRIMARY"));
    let mut second = fake.next();
    second.write_all(&snapshot()[..10]).expect("it is there");
    eventually("it loads again", || stat(&mut r, "loading") == "1");
    r.line("CONFIG SET repl-timeout 1000");
    replica.signal("TERM");
    replica.wait(Duration::from_secs(20));
}
