//! What ships in conf/ for other programs, held against those programs where they are installed.

use crate::support::process::{find, run};
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
fn the_dashboard_is_json_and_asks_for_metrics_there_are() {
    let text = std::fs::read_to_string(conf().join("grafana/holdfast.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 20);
    let mut ids = std::collections::BTreeSet::new();
    for p in panels {
        assert!(ids.insert(p["id"].as_u64().unwrap()), "an id stands twice");
        for target in p["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("redis_") || expression.contains("holdfast_"), "{expression}");
        }
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
