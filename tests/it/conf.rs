//! What ships in conf/ for other programs, held against those programs where they are installed.

use crate::support::process::{find, run};
use crate::support::server::free_port;
use crate::support::{Connection, Server, check};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[track_caller]
fn passes(program: &Path, words: &[&str]) -> String {
    let out = run(Command::new(program).args(words).current_dir(conf()), b"", Duration::from_secs(60));
    assert!(out.status.success(), "{words:?}: {}", said(&out));
    said(&out)
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    let Some(promtool) = find("promtool") else { return };
    passes(&promtool, &["check", "rules", "prometheus/alerts.yml"]);
    passes(&promtool, &["test", "rules", "prometheus/alerts_test.yml"]);
    passes(&promtool, &["check", "config", "--syntax-only", "prometheus/scrape.yml"]);
}

#[test]
fn each_alert_has_a_test() {
    let read = |name: &str| std::fs::read_to_string(conf().join("prometheus").join(name)).unwrap();
    let (rules, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 20);
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}

#[test]
fn the_dashboard_is_json_and_a_panel_has_a_place_of_its_own() {
    let text = std::fs::read_to_string(conf().join("grafana/holdfast.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 20);
    let mut ids = std::collections::BTreeSet::new();
    let mut taken = std::collections::BTreeSet::new();
    for p in panels {
        assert!(ids.insert(p["id"].as_u64().unwrap()), "an id stands twice");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|n| p["gridPos"][n].as_u64().unwrap());
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cell.0 < 24 && taken.insert(cell), "{}: something is there already", p["title"]);
        }
    }
}

/// Names of this server's metrics in an expression, a histogram's without its suffix.
fn asked(expression: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_name(c)).filter(|w| w.starts_with("redis_") || w.starts_with("holdfast_"));
    words.map(|w| w.strip_suffix("_bucket").unwrap_or(w)).collect()
}

#[test]
fn dashboard_and_rules_ask_for_metrics_there_are() {
    let http = free_port().to_string();
    let server = Server::with(&["--http-port", &http, "--http-bind", "127.0.0.1"]);
    check(&mut server.connect(), &[("SET a 1", "+OK")]);
    let mut c = Connection::tls(http.parse().unwrap(), &server.ca()).unwrap();
    c.send(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let text = String::from_utf8(c.rest().unwrap()).unwrap();
    let told: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    // Of a replica, and of a server that was backed up.
    const AT_TIMES: &[&str] =
        &["redis_master_link_up", "redis_master_last_io_seconds_ago", "holdfast_last_backup_status"];
    let dashboard = std::fs::read_to_string(conf().join("grafana/holdfast.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().flat_map(|p| p["targets"].as_array().into_iter().flatten());
    let mut expressions: Vec<String> = targets.map(|t| t["expr"].as_str().unwrap().to_owned()).collect();
    let rules = std::fs::read_to_string(conf().join("prometheus/alerts.yml")).unwrap();
    expressions
        .extend(rules.lines().filter(|l| !l.contains("summary:") && !l.trim().starts_with('#')).map(str::to_owned));
    let all: Vec<&str> = expressions.iter().flat_map(|e| asked(e)).collect();
    assert!(all.len() > 60);
    for name in all {
        assert!(told.contains(&name) || AT_TIMES.contains(&name), "{name} is asked for and not told");
    }
}

#[test]
fn the_image_is_laid_out_from_a_binary() {
    let folder = tempfile::tempdir().unwrap();
    let (binary, out) = (folder.path().join("binary"), folder.path().join("out"));
    std::fs::write(&binary, "x").unwrap();
    // Changing owners is for root; the links are what matters here.
    let _ = run(Command::new(conf().join("container/layout")).arg(&binary).arg(&out), b"", Duration::from_secs(20));
    for name in ["valkey-server", "valkey-cli", "valkey-sentinel", "valkey-check-aof", "redis-check-rdb", "redis-cli"] {
        assert_eq!(std::fs::read_link(out.join("usr/local/bin").join(name)).unwrap(), Path::new("holdfast"), "{name}");
    }
    assert_eq!(std::fs::read_link(out.join("bitnami/valkey/data")).unwrap(), Path::new("/data"));
    assert!(out.join("etc/holdfast/holdfast.conf").exists());
}
