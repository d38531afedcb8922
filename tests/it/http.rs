//! The HTTP endpoint: probes, metrics, who may read them, and what speaks to it.

use crate::support::process::{eventually, find, run};
use crate::support::server::free_port;
use crate::support::{Connection, Server, check};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server with the endpoint at a port of its own.
fn server(words: &[&str]) -> (Server, u16) {
    let port = free_port();
    let text = port.to_string();
    let all: Vec<&str> = ["--http-port", &text, "--http-bind", "127.0.0.1"].iter().chain(words).copied().collect();
    (Server::with(&all), port)
}

/// The whole response to one request over TLS.
fn ask(server: &Server, port: u16, request: &str) -> String {
    let mut c = Connection::tls(port, &server.ca()).unwrap();
    c.send(request.as_bytes()).unwrap();
    String::from_utf8(c.rest().unwrap()).unwrap()
}

fn get(server: &Server, port: u16, path: &str, headers: &str) -> String {
    ask(server, port, &format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"))
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("")
}

#[test]
fn probes_answer_over_tls() {
    let (server, port) = server(&[]);
    for (path, want) in [
        ("/livez", "200"),
        ("/readyz", "200"),
        ("/startupz", "200"),
        ("/primary", "200"),
        ("/replica", "503"),
        ("/nosuch", "404"),
        ("/readyz?verbose", "200"),
    ] {
        assert_eq!(status(&get(&server, port, path, "")), want, "{path}");
    }
    let post = ask(&server, port, "POST /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&post), "405");
    let head = ask(&server, port, "HEAD /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn plaintext_has_to_be_asked_for_here_too() {
    let out =
        crate::support::server::refused(tempfile::tempdir().unwrap().path(), &["--http-port", "1", "--http-tls", "no"]);
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success() && said.contains("allow-plaintext"), "{said}");
    let (_server, port) = server(&["--http-tls", "no", "--allow-plaintext", "local"]);
    let mut c = Connection::plain(port).unwrap();
    c.send(b"GET /livez HTTP/1.0\r\n\r\n").unwrap();
    assert!(c.rest().unwrap().starts_with(b"HTTP/1.0 200"));
}

#[test]
fn metrics_ask_for_the_password_and_probes_do_not() {
    let (server, port) = server(&["--http-password", "secret"]);
    assert_eq!(status(&get(&server, port, "/livez", "")), "200");
    let refused = get(&server, port, "/metrics", "");
    assert!(status(&refused) == "401" && refused.to_lowercase().contains("www-authenticate: basic"), "{refused}");
    // metrics:secret
    assert_eq!(status(&get(&server, port, "/metrics", "Authorization: Basic bWV0cmljczpzZWNyZXQ=\r\n")), "200");
    assert_eq!(status(&get(&server, port, "/metrics", "Authorization: Basic bWV0cmljczpvdGhlcg==\r\n")), "401");
}

#[test]
fn a_wrong_password_of_the_metrics_is_a_failed_login_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.log");
    let words = ["--http-password", "secret", "--audit-file", audit.to_str().unwrap(), "--auth-throttle-after", "3"];
    let (server, port) = server(&words);
    let mut limits = server.connect();
    assert_eq!(limits.line("CONFIG SET auth-throttle-delay-max 100").to_string(), "+OK");
    for _ in 0..12 {
        assert_eq!(status(&get(&server, port, "/metrics", "Authorization: Basic bWV0cmljczpvdGhlcg==\r\n")), "401");
    }
    // Who is only asked for it has not failed.
    assert_eq!(status(&get(&server, port, "/metrics", "")), "401");
    assert_eq!(status(&get(&server, port, "/metrics", "Authorization: Basic bWV0cmljczpzZWNyZXQ=\r\n")), "200");
    let failed = server.log().matches("Failed login at the HTTP endpoint as 'metrics' from 127.0.0.1:").count();
    assert_eq!(failed, 12, "{}", server.log());
    crate::support::process::eventually("they are recorded", std::time::Duration::from_secs(30), || {
        std::fs::read_to_string(&audit).unwrap().matches("\"by\":\"http\"").count() == 12
    });
    // Nor is a transaction a way round: the failures are of the address, whatever it asked.
    limits.line("MULTI");
    limits.line("AUTH default x");
    let reply = limits.line("EXEC").to_string();
    assert!(reply.contains("after so many failed logins"), "{reply}");
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_demanded() {
    let (server, port) = server(&["--http-auth-clients", "yes"]);
    let answered = Connection::tls(port, &server.ca())
        .is_ok_and(|mut c| c.send(b"GET /livez HTTP/1.0\r\n\r\n").is_ok() && c.rest().is_ok_and(|r| !r.is_empty()));
    assert!(!answered);
}

#[test]
fn garbage_and_endless_heads_end_the_connection_and_nothing_else() {
    let (server, port) = server(&[]);
    for bytes in
        [b"\0\xff\x16\x03garbage\r\n\r\n".to_vec(), [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 100_000]].concat()]
    {
        let mut c = Connection::tls(port, &server.ca()).unwrap();
        let _ = c.send(&bytes);
        let answer = c.rest().unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut tcp = Connection::plain(port).unwrap();
    tcp.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(!tcp.rest().unwrap_or_default().starts_with(b"HTTP"));
    assert_eq!(status(&get(&server, port, "/livez", "")), "200");
}

/// `name{labels}` to value.
fn samples(exposition: &str) -> BTreeMap<String, f64> {
    let body = exposition.split_once("\r\n\r\n").map_or(exposition, |(_, body)| body);
    body.lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .filter_map(|l| l.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

#[test]
fn metrics_say_what_info_says() {
    let (server, port) = server(&["--databases", "3"]);
    let mut c = server.connect();
    check(&mut c, &[("SET a 1", "+OK"), ("SET b 1 EX 100", "+OK"), ("GET a", "\"1\""), ("GET none", "nil")]);
    c.line("NOSUCH");
    let text = get(&server, port, "/metrics", "Accept: application/openmetrics-text\r\n");
    assert!(text.to_lowercase().contains("content-type: application/openmetrics-text; version=1.0.0"), "{text}");
    assert!(text.ends_with("# EOF\n"));
    let m = samples(&text);
    for (name, want) in [
        ("redis_up", 1.0),
        ("redis_connected_clients", 1.0),
        ("redis_db_keys{db=\"db0\"}", 2.0),
        ("redis_db_keys_expiring{db=\"db0\"}", 1.0),
        ("redis_db_keys{db=\"db2\"}", 0.0),
        ("redis_keyspace_hits_total", 1.0),
        ("redis_keyspace_misses_total", 1.0),
        ("redis_commands_total{cmd=\"set\"}", 2.0),
        ("redis_commands_total{cmd=\"get\"}", 2.0),
        ("redis_errors_total{err=\"ERR\"}", 1.0),
        ("holdfast_command_duration_seconds_count{cmd=\"get\"}", 2.0),
        ("holdfast_command_duration_seconds_bucket{cmd=\"get\",le=\"+Inf\"}", 2.0),
        ("holdfast_fips_validation_passed", 1.0),
        ("holdfast_fips_mode", 1.0),
        ("holdfast_ready", 1.0),
        ("holdfast_journal_read", 0.0),
        ("holdfast_audit_enabled", 0.0),
        ("holdfast_last_backup_time", 0.0),
        ("holdfast_current_save_keys_total", 0.0),
    ] {
        assert_eq!(m.get(name), Some(&want), "{name}:\n{text}");
    }
    for name in [
        "redis_memory_used_bytes",
        "redis_uptime_in_seconds",
        "holdfast_tls_certificate_expiry_timestamp_seconds",
        "holdfast_tls_handshakes_by_group_total{group=\"p256\"}",
        "holdfast_tls_handshakes_refused_total{reason=\"suite\"}",
        "holdfast_stripe_lock_waits_total",
        "holdfast_journal_appended_bytes_total",
    ] {
        assert!(m.contains_key(name), "{name}");
    }
    assert!(m["holdfast_stripes"] > 1.0);
    assert!(m["holdfast_tls_handshakes_total{version=\"TLSv1.3\"}"] >= 1.0);
}

/// The kind of each family, by the name of its samples.
fn kinds(exposition: &str) -> BTreeMap<String, String> {
    let lines = exposition.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' '));
    lines.map(|(name, kind)| (name.to_owned(), kind.trim_end().to_owned())).collect()
}

#[test]
fn what_the_dashboards_763_and_11835_ask_for_is_there_and_of_its_kind() {
    let (server, port) = server(&["--maxmemory", "100mb"]);
    check(&mut server.connect(), &[("SET a 1 EX 100", "+OK"), ("GET a", "\"1\"")]);
    let text = get(&server, port, "/metrics", "");
    let (kinds, samples) = (kinds(&text), samples(&text));
    for (kind, names) in [
        (
            "gauge",
            "redis_up redis_uptime_in_seconds redis_connected_clients redis_blocked_clients redis_memory_used_bytes \
             redis_memory_max_bytes redis_db_keys redis_db_keys_expiring redis_connected_slaves redis_instance_info \
             redis_config_maxclients redis_config_maxmemory redis_memory_used_rss_bytes redis_slowlog_length \
             redis_start_time_seconds redis_rdb_last_save_timestamp_seconds redis_mem_fragmentation_ratio",
        ),
        (
            "counter",
            "redis_commands_processed_total redis_commands_total redis_commands_duration_seconds_total \
             redis_keyspace_hits_total redis_keyspace_misses_total redis_net_input_bytes_total \
             redis_net_output_bytes_total redis_expired_keys_total redis_evicted_keys_total \
             redis_connections_received_total redis_rejected_connections_total redis_cpu_sys_seconds_total \
             redis_cpu_user_seconds_total",
        ),
    ] {
        for name in names.split_ascii_whitespace() {
            assert_eq!(kinds.get(name).map(String::as_str), Some(kind), "{name}");
            let is_sample = |n: &String| n == name || n.starts_with(&format!("{name}{{"));
            assert!(samples.keys().any(is_sample), "{name} has no sample");
        }
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let Some(promtool) = find("promtool") else { return };
    let (server, port) = server(&[]);
    check(&mut server.connect(), &[("SET a 1", "+OK")]);
    let text = get(&server, port, "/metrics", "");
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let out = run(Command::new(promtool).args(["check", "metrics"]), body.as_bytes(), Duration::from_secs(30));
    // It also has opinions on names, which are redis_exporter's and stay; what does not parse says so.
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!said.contains("error while linting") && !said.contains("parse"), "{said}");
}

/// Names that differ by nature: the exporter's own, and what changes between two readings.
const APART: &[&str] = &["redis_exporter_", "redis_target_", "redis_last_key_groups", "redis_instance_info"];

#[test]
fn redis_exporter_reads_this_server_and_sees_the_same() {
    let Some(exporter) = find("prometheus-redis-exporter") else { return };
    let port = free_port();
    let http = port.to_string();
    let server = Server::plain(&["--http-port", &http, "--http-bind", "127.0.0.1"]);
    let mut c = server.connect();
    check(&mut c, &[("SET a 1", "+OK"), ("SET b 1 EX 100", "+OK"), ("GET a", "\"1\"")]);
    c.line("NOSUCH");
    let listen = free_port();
    let mut child = Command::new(exporter)
        .args(["-redis.addr", &format!("redis://127.0.0.1:{}", server.plain_port)])
        .args(["-web.listen-address", &format!("127.0.0.1:{listen}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut theirs = String::new();
    eventually("the exporter answers", Duration::from_secs(20), || {
        let Ok(mut c) = Connection::plain(listen) else { return false };
        let _ = c.send(b"GET /metrics HTTP/1.0\r\n\r\n");
        theirs = String::from_utf8_lossy(&c.rest().unwrap_or_default()).into_owned();
        theirs.contains("redis_up ")
    });
    let _ = child.kill();
    let _ = child.wait();
    let ours = get(&server, port, "/metrics", "");
    let of_us = kinds(&ours);
    let unlike: Vec<_> =
        kinds(&theirs).into_iter().filter(|(name, kind)| of_us.get(name).is_some_and(|k| k != kind)).collect();
    assert!(unlike.is_empty(), "the exporter calls these something else: {unlike:?}");
    let (theirs, ours) = (samples(&theirs), samples(&ours));
    assert_eq!(theirs.get("redis_up"), Some(&1.0));
    let absent: Vec<&String> = theirs
        .keys()
        .filter(|n| n.starts_with("redis_") && !APART.iter().any(|a| n.starts_with(a)) && !ours.contains_key(*n))
        .filter(|n| !n.starts_with("redis_db_avg_ttl") && !n.starts_with("redis_db_keys_cached"))
        .filter(|n| !n.contains("cmd="))
        .collect();
    assert!(absent.is_empty(), "the exporter tells what /metrics does not: {absent:?}");
    for name in [
        "redis_db_keys{db=\"db0\"}",
        "redis_db_keys_expiring{db=\"db0\"}",
        "redis_keyspace_hits_total",
        "redis_commands_total{cmd=\"set\"}",
        "redis_errors_total{err=\"ERR\"}",
        "redis_config_maxclients",
        "redis_memory_max_bytes",
        "redis_evicted_keys_total",
    ] {
        assert_eq!(theirs.get(name), ours.get(name), "{name}");
    }
}

/// HAProxy with a file of conf/haproxy, its nodes replaced by these servers and its ports by free ones.
struct Proxy {
    child: Child,
    /// Where the primary is, and where replicas are.
    ports: [u16; 2],
    ca: PathBuf,
    _folder: tempfile::TempDir,
}

impl Proxy {
    fn start(haproxy: &Path, name: &str, nodes: &[(&Server, u16)]) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        let authorities: Vec<String> = nodes.iter().map(|(s, _)| std::fs::read_to_string(s.ca()).unwrap()).collect();
        std::fs::write(&ca, authorities.concat()).unwrap();
        let text = std::fs::read_to_string(format!("{}/conf/haproxy/{name}.cfg", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let ports = [free_port(), free_port()];
        let mut lines = Vec::new();
        for line in text.lines() {
            let line = line
                .replace("/etc/haproxy/holdfast-ca.crt", &ca.display().to_string())
                .replace("maxconn 20000", "maxconn 100")
                .replace("bind :6379", &format!("bind 127.0.0.1:{}", ports[0]))
                .replace("bind :6380", &format!("bind 127.0.0.1:{}", ports[1]))
                .replace("127.0.0.1:6379 backup", &format!("127.0.0.1:{} backup", ports[0]));
            let node = (1..=3).find(|n| line.contains(&format!("node-{n}.")));
            match node.map(|n| nodes.get(n - 1).map(|at| (n, at))) {
                None => lines.push(line),
                Some(None) => {}
                Some(Some((n, (server, http)))) => lines.push(
                    line.replace(&format!("node-{n}.example.org:6379"), &format!("127.0.0.1:{}", server.port))
                        .replace("port 9121", &format!("port {http}")),
                ),
            }
        }
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let mut command = Command::new(haproxy);
        command.arg("-c").arg("-f").arg(&path).env("HOLDFAST_PASSWORD", "pw");
        let out = run(&mut command, b"", Duration::from_secs(20));
        assert!(
            out.status.success(),
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        let mut command = Command::new(haproxy);
        command.arg("-f").arg(&path).env("HOLDFAST_PASSWORD", "pw").stdout(Stdio::null()).stderr(Stdio::null());
        Proxy { child: command.spawn().unwrap(), ports, ca, _folder: folder }
    }

    /// Waits until a command sent there is answered so.
    #[track_caller]
    fn answers(&self, port: u16, line: &str, want: &str) {
        eventually(&format!("{line} is answered by {want} through HAProxy"), Duration::from_secs(30), || {
            let Ok(mut c) = Connection::tls(port, &self.ca) else { return false };
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            c.command(&[b"AUTH", b"pw"]).is_ok_and(|v| v.to_string() == "+OK")
                && c.command(&words).is_ok_and(|v| v.to_string() == want)
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn haproxy_finds_the_primary_by_the_endpoint_and_by_resp() {
    let Some(haproxy) = find("haproxy") else { return };
    let (server, port) = server(&["--requirepass", "pw"]);
    for name in ["haproxy", "without-http"] {
        let proxy = Proxy::start(&haproxy, name, &[(&server, port)]);
        proxy.answers(proxy.ports[0], "PING", "+PONG");
        if name == "haproxy" {
            // No replica is there: the primary answers reads too.
            proxy.answers(proxy.ports[1], "PING", "+PONG");
        }
    }
}

#[test]
fn haproxy_follows_a_failover() {
    let Some(haproxy) = find("haproxy") else { return };
    let (mut primary, first) =
        server(&["--requirepass", "pw", "--primaryauth", "pw", "--repl-diskless-sync-delay", "0"]);
    let ca = primary.ca().display().to_string();
    let at = primary.port.to_string();
    let (replica, second) = server(&[
        "--requirepass",
        "pw",
        "--primaryauth",
        "pw",
        "--tls-ca-cert-file",
        &ca,
        "--replicaof",
        "127.0.0.1",
        &at,
    ]);
    // Before that the primary would answer in its stead.
    eventually("the replica is one", Duration::from_secs(30), || {
        status(&get(&replica, second, "/replica", "")) == "200"
    });
    let proxy = Proxy::start(&haproxy, "haproxy", &[(&primary, first), (&replica, second)]);
    proxy.answers(proxy.ports[0], "SET k v", "+OK");
    proxy.answers(proxy.ports[1], "GET k", "\"v\"");
    for (server, port, want) in [(&primary, first, ["200", "503"]), (&replica, second, ["503", "200"])] {
        let got = ["/primary", "/replica"].map(|p| status(&get(server, port, p, "")).to_owned());
        assert_eq!(got, want);
    }
    primary.signal("TERM");
    primary.wait(Duration::from_secs(20));
    eventually("the replica tells that its link is down", Duration::from_secs(20), || {
        status(&get(&replica, second, "/replica", "")) == "503"
            && status(&get(&replica, second, "/readyz", "")) == "200"
    });
    let mut c = replica.connect();
    check(&mut c, &[("AUTH pw", "+OK"), ("REPLICAOF NO ONE", "+OK")]);
    proxy.answers(proxy.ports[0], "GET k", "\"v\"");
    proxy.answers(proxy.ports[0], "SET k after", "+OK");
}

#[test]
fn certificates_are_read_again_on_sighup() {
    let (server, port) = server(&[]);
    let before = samples(&get(&server, port, "/metrics", ""))["holdfast_tls_certificate_expiry_timestamp_seconds"];
    server.signal("HUP");
    eventually("it is told", Duration::from_secs(10), || server.log().contains("SIGHUP"));
    let after = samples(&get(&server, port, "/metrics", ""))["holdfast_tls_certificate_expiry_timestamp_seconds"];
    assert_eq!(before, after);
    check(&mut server.connect(), &[("PING", "+PONG")]);
}
