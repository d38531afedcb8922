//! A real Prometheus scrapes the endpoint: native histograms where it can take them, text where it cannot.

use crate::support::process::{eventually, find, kill};
use crate::support::server::free_port;
use crate::support::{Connection, Server};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Prometheus {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// It scrapes the server's endpoint every second.
    fn start(program: &Path, http: u16, ca: &Path, words: &[&str]) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/prometheus/scrape.yml");
        let jobs = std::fs::read_to_string(shipped).unwrap();
        std::fs::write(folder.path().join("password"), "pw").unwrap();
        let jobs = jobs
            .replace("/etc/prometheus/holdfast-ca.crt", &ca.display().to_string())
            .replace("/etc/prometheus/holdfast-password", &folder.path().join("password").display().to_string())
            .replace("holdfast.example.org:9121", &format!("localhost:{http}"));
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, format!("global: {{scrape_interval: 1s}}\n{jobs}")).unwrap();
        let port = free_port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Prometheus { child, port, _folder: folder }
    }

    /// The values of an instant query, by the label `cmd` where there is one.
    fn query(&self, expression: &str) -> Vec<(String, f64)> {
        let coded: String = expression.bytes().map(|b| format!("%{b:02X}")).collect();
        let Ok(mut c) = Connection::plain(self.port) else { return Vec::new() };
        let _ = c.send(format!("GET /api/v1/query?query={coded} HTTP/1.0\r\n\r\n").as_bytes());
        let answer = String::from_utf8_lossy(&c.rest().unwrap_or_default()).into_owned();
        let body = answer.split_once("\r\n\r\n").map_or("{}", |(_, body)| body);
        let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let series = json["data"]["result"].as_array().cloned().unwrap_or_default();
        let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        series.iter().filter_map(|s| Some((text(&s["metric"]["cmd"]), s["value"][1].as_str()?.parse().ok()?))).collect()
    }

    #[track_caller]
    fn until(&self, expression: &str, good: impl Fn(f64) -> bool) -> f64 {
        let mut found = f64::NAN;
        eventually(expression, Duration::from_secs(60), || {
            found = self.query(expression).first().map_or(f64::NAN, |v| v.1);
            good(found)
        });
        found
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        kill(self.child.id(), "KILL");
        let _ = self.child.wait();
    }
}

fn busy_server() -> (Server, u16) {
    let http = free_port();
    let text = http.to_string();
    let server = Server::with(&["--http-port", &text, "--http-bind", "127.0.0.1", "--http-password", "pw"]);
    let mut c = server.connect();
    for n in 0..100 {
        c.line(&format!("SET k{n} v"));
    }
    for n in 0..40 {
        c.line(&format!("GET k{n}"));
    }
    (server, http)
}

#[test]
fn prometheus_takes_latencies_as_native_histograms() {
    let Some(program) = find("prometheus") else { return };
    let (server, http) = busy_server();
    let prometheus = Prometheus::start(&program, http, &server.ca(), &["--enable-feature=native-histograms"]);
    // Only a native histogram has these functions.
    const SET: &str = "holdfast_command_duration_seconds{cmd=\"set\"}";
    prometheus.until(&format!("histogram_count({SET})"), |v| v == 100.0);
    let sum = prometheus.until(&format!("histogram_sum({SET})"), |v| v > 0.0);
    let said = prometheus.until("redis_commands_duration_seconds_total{cmd=\"set\"}", |v| v > 0.0);
    assert!((sum - said).abs() < 1e-9, "{sum} {said}");
    // A quantile of the whole life, against the server's own word in microseconds: within a bucket's width.
    let native = prometheus.until(&format!("histogram_quantile(0.5, {SET}) * 1e6"), |v| v > 0.0);
    let own = prometheus.until("redis_latency_percentiles_usec{cmd=\"set\",quantile=~\"50(.0)?\"}", |v| v > 0.0);
    assert!((native / own - 1.0).abs() < 0.15, "{native} against {own}");
    assert_eq!(prometheus.query("holdfast_command_duration_seconds_bucket"), []);
    // The rest came the same way.
    for (expression, want) in
        [("redis_up", 1.0), ("redis_db_keys{db=\"db0\"}", 100.0), ("holdfast_fips_mode", 1.0), ("up", 1.0)]
    {
        prometheus.until(expression, |v| v == want);
    }
    let mut commands = prometheus.query("redis_commands_total");
    commands.retain(|c| ["get", "set"].contains(&c.0.as_str()));
    commands.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(commands, [("get".to_owned(), 40.0), ("set".to_owned(), 100.0)]);
    // What the dashboard asks.
    server.connect().line("SET more v");
    prometheus.until("histogram_quantile(0.99, sum(rate(holdfast_command_duration_seconds[1m])))", |v| v > 0.0);
}

#[test]
fn prometheus_without_them_takes_classic_ones_and_the_same_figures() {
    let Some(program) = find("prometheus") else { return };
    let (server, http) = busy_server();
    let prometheus = Prometheus::start(&program, http, &server.ca(), &[]);
    prometheus.until("holdfast_command_duration_seconds_bucket{cmd=\"set\",le=\"+Inf\"}", |v| v == 100.0);
    prometheus.until("holdfast_command_duration_seconds_count{cmd=\"get\"}", |v| v == 40.0);
    prometheus.until("redis_commands_total{cmd=\"set\"}", |v| v == 100.0);
    assert_eq!(prometheus.query("holdfast_command_duration_seconds"), []);
}
