//! The metrics: what INFO says, under the names redis_exporter gave it, and `holdfast_*` for what only this server has.
//!
//! Invariants: the figures come from the sections of INFO and from the typed statistics behind them, so that both say the same;
//! no series is made out of what a client can choose but commands (the table's) and kinds of errors (bounded).
//! Must never know: sockets, HTTP, a handler.

mod format;
mod names;
mod protobuf;
mod text;

pub use format::Format;

use super::info::{Facts, SECTIONS};
use crate::metrics::Value;
use crate::metrics::counters::Counter;
use crate::metrics::slowlog::Kind as Log;
use format::{Kind, Latencies, Quantiles, Writer};
use std::collections::HashMap;

/// What INFO does not say.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    /// Seconds since 1970 at which the certificate that is served ends.
    pub certificate_expiry_s: Option<i64>,
    /// The answer of `/readyz`.
    pub ready: bool,
    pub stripes: Stripes,
    pub journal: Journal,
}

/// The key space's locks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stripes {
    pub count: usize,
    /// A lock that was not free at once.
    pub waits: u64,
    /// Of those, waits longer than a command takes.
    pub sleeps: u64,
}

/// The order of changes that logs and replicas read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Journal {
    pub is_read: bool,
    pub end: u64,
    /// Bytes of it that are kept for replicas that come back.
    pub kept_bytes: u64,
    /// Bytes that are kept only for readers that are behind.
    pub excess_bytes: u64,
}

/// The whole exposition.
pub fn print(f: &Facts<'_>, extra: &Extra, format: Format) -> Vec<u8> {
    let mut writer: Box<dyn Writer> = match format {
        Format::Protobuf => Box::<protobuf::Protobuf>::default(),
        Format::OpenMetrics | Format::Prometheus => Box::new(text::Text::new(format)),
    };
    let t = &mut *writer;
    t.single("redis_up", Kind::Gauge, "The server answers.", 1.0);
    let words = rows(f, t);
    identity(f, &words, t);
    databases(f, t);
    commands(f, t);
    errors(f, t);
    logs(f, t);
    replicas(&words, t);
    tls(f, extra, t);
    key_space(extra, t);
    journal(f, extra, t);
    fips(&words, t);
    writer.finish()
}

/// The numeric rows of all sections. Gives back the others, which are words.
fn rows(f: &Facts<'_>, t: &mut dyn Writer) -> HashMap<String, String> {
    let mut words = HashMap::new();
    // These are read from the statistics themselves, below.
    let apart = ["commandstats", "errorstats", "latencystats", "keyspace"];
    let mut seen = std::collections::HashSet::new();
    for section in SECTIONS.iter().filter(|s| !apart.contains(&s.name)) {
        (section.rows)(f, &mut |row, value| {
            let value = match value {
                Value::Unsigned(v) => v as f64,
                Value::Signed(v) => v as f64,
                Value::Float(v, _) => v,
                Value::Flag(v) => f64::from(u8::from(v)),
                Value::Text(word) => {
                    words.insert(row.to_owned(), word.to_owned());
                    match word {
                        "ok" | "up" => 1.0,
                        "err" | "down" => 0.0,
                        _ => return,
                    }
                }
            };
            if row.starts_with("tls_") || names::UNTOLD.contains(&row) || !seen.insert(row.to_owned()) {
                return;
            }
            match names::of(row) {
                Some(n) => t.single(n.metric, n.kind, "", value * n.scale),
                None => t.single(&format!("holdfast_{}", clean(row)), Kind::Gauge, "", value),
            }
        });
    }
    words
}

/// A row's name as a metric may be called.
fn clean(row: &str) -> String {
    row.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

fn identity(f: &Facts<'_>, words: &HashMap<String, String>, t: &mut dyn Writer) {
    let word = |name: &str| words.get(name).map_or("", String::as_str);
    let port = if f.config.network.port == 0 { f.config.tls.port } else { f.config.network.port }.to_string();
    let pid = std::process::id().to_string();
    t.family("redis_instance_info", Kind::Gauge, "Who this server is.");
    t.sample(
        "redis_instance_info",
        &[
            ("role", word("role")),
            ("redis_version", word("redis_version")),
            ("redis_build_id", "0"),
            ("redis_mode", word("redis_mode")),
            ("os", word("os")),
            ("maxmemory_policy", word("maxmemory_policy")),
            ("tcp_port", &port),
            ("run_id", word("run_id")),
            ("process_id", &pid),
            ("master_replid", word("master_replid")),
        ],
        1.0,
    );
    t.family("holdfast_build_info", Kind::Gauge, "Version of the server and of its cryptographic module.");
    t.sample("holdfast_build_info", &[("version", env!("CARGO_PKG_VERSION")), ("module", word("fips_module"))], 1.0);
    t.single("redis_start_time_seconds", Kind::Gauge, "", (f.started_ms / 1000) as f64);
    t.single("redis_config_maxclients", Kind::Gauge, "", f64::from(f.config.network.maxclients));
    t.single("redis_config_maxmemory", Kind::Gauge, "", f.config.memory.maxmemory as f64);
    t.single("redis_config_io_threads", Kind::Gauge, "", f64::from(f.config.general.io_threads));
}

fn databases(f: &Facts<'_>, t: &mut dyn Writer) {
    let all: Vec<(String, f64, f64)> =
        f.databases.iter().enumerate().map(|(db, s)| (format!("db{db}"), s.keys as f64, s.deadlines as f64)).collect();
    t.family("redis_db_keys", Kind::Gauge, "Keys of a database.");
    for (db, keys, _) in &all {
        t.sample("redis_db_keys", &[("db", db)], *keys);
    }
    t.family("redis_db_keys_expiring", Kind::Gauge, "Keys of a database that have a deadline.");
    for (db, _, deadlines) in &all {
        t.sample("redis_db_keys_expiring", &[("db", db)], *deadlines);
    }
}

fn commands(f: &Facts<'_>, t: &mut dyn Writer) {
    let used: Vec<_> = f
        .command_names
        .iter()
        .enumerate()
        .map(|(id, name)| (id, *name, f.metrics.commands.totals(id)))
        .filter(|(_, _, totals)| totals.is_used())
        .collect();
    type Read = fn(&crate::metrics::command_stats::CommandTotals) -> f64;
    let families: [(&str, &str, Read); 4] = [
        ("redis_commands_total", "Calls of a command.", |c| c.calls as f64),
        ("redis_commands_duration_seconds_total", "Time a command ran.", |c| c.ns as f64 / 1e9),
        ("redis_commands_rejected_calls_total", "Calls that were refused before they ran.", |c| {
            c.rejected_calls as f64
        }),
        ("redis_commands_failed_calls_total", "Calls that answered with an error.", |c| c.failed_calls as f64),
    ];
    for (name, help, read) in families {
        t.family(name, Kind::Counter, help);
        for (_, cmd, totals) in &used {
            t.sample(name, &[("cmd", cmd)], read(totals));
        }
    }
    let latencies: Vec<_> = used
        .iter()
        .filter_map(|(id, cmd, totals)| f.metrics.commands.latency(*id).map(|summary| (*cmd, totals, summary)))
        .collect();
    t.family("redis_latency_percentiles_usec", Kind::Summary, "Latency of a command.");
    for (cmd, totals, summary) in &latencies {
        let percents = &f.config.latency.latency_tracking_info_percentiles.0;
        // redis_exporter's labels are the percents as they are configured.
        let at = |p: &f64| (*p, p.to_string(), summary.percentile_ns(*p) as f64 / 1e3);
        let at: Vec<_> = percents.iter().map(at).collect();
        let quantiles = Quantiles { at: &at, count: summary.total(), sum: (totals.ns / 1000) as f64 };
        t.summary("redis_latency_percentiles_usec", &[("cmd", cmd)], &quantiles);
    }
    t.family("holdfast_command_duration_seconds", Kind::Histogram, "Latency of a command.");
    for (cmd, totals, summary) in &latencies {
        let latencies = Latencies { recorded: summary, sum_s: totals.ns as f64 / 1e9 };
        t.histogram("holdfast_command_duration_seconds", &[("cmd", cmd)], &latencies);
    }
}

fn errors(f: &Facts<'_>, t: &mut dyn Writer) {
    t.family("redis_errors_total", Kind::Counter, "Error replies by their first word.");
    f.metrics.errors.each(|kind, count| t.sample("redis_errors_total", &[("err", kind)], count as f64));
}

fn logs(f: &Facts<'_>, t: &mut dyn Writer) {
    let slow = f.metrics.logs.of(Log::Slow);
    let last = slow.get(Some(1));
    let last = last.first();
    t.single("redis_slowlog_length", Kind::Gauge, "", slow.len() as f64);
    t.single("redis_slowlog_last_id", Kind::Gauge, "", last.map_or(0.0, |e| e.id as f64));
    let seconds = last.map_or(0.0, |e| e.value as f64 / 1e6);
    t.single("redis_last_slow_execution_duration_seconds", Kind::Gauge, "", seconds);
}

/// `slave0:ip=...,port=...,state=...,offset=...,lag=...` rows, one series each, and the primary of a replica.
fn replicas(words: &HashMap<String, String>, t: &mut dyn Writer) {
    let mut all: Vec<HashMap<&str, &str>> = Vec::new();
    for n in 0.. {
        let Some(row) = words.get(&format!("slave{n}")) else { break };
        all.push(row.split(',').filter_map(|p| p.split_once('=')).collect());
    }
    for (metric, field) in
        [("redis_connected_slave_offset_bytes", "offset"), ("redis_connected_slave_lag_seconds", "lag")]
    {
        t.family(metric, Kind::Gauge, "");
        for r in &all {
            let of = |name: &str| r.get(name).copied().unwrap_or("");
            let Ok(value) = of(field).parse::<f64>() else { continue };
            let labels = [("slave_ip", of("ip")), ("slave_port", of("port")), ("slave_state", of("state"))];
            t.sample(metric, &labels, value);
        }
    }
    if let Some(host) = words.get("master_host") {
        t.family("redis_slave_info", Kind::Gauge, "Whom this replica follows.");
        t.sample("redis_slave_info", &[("master_host", host)], 1.0);
    }
}

fn tls(f: &Facts<'_>, extra: &Extra, t: &mut dyn Writer) {
    let get = |c: Counter| f.metrics.counters.get(c) as f64;
    const HANDSHAKES: &str = "holdfast_tls_handshakes_total";
    t.family(HANDSHAKES, Kind::Counter, "Completed TLS handshakes.");
    t.sample(HANDSHAKES, &[("version", "TLSv1.2")], get(Counter::TlsHandshakes12));
    t.sample(HANDSHAKES, &[("version", "TLSv1.3")], get(Counter::TlsHandshakes13));
    const RESUMED: &str = "holdfast_tls_handshakes_resumed_total";
    t.single(RESUMED, Kind::Counter, "Of those, resumed ones.", get(Counter::TlsHandshakesResumed));
    const FAILED: &str = "holdfast_tls_handshakes_failed_total";
    t.single(FAILED, Kind::Counter, "TLS handshakes that failed.", get(Counter::TlsHandshakesFailed));
    const SUITES: &str = "holdfast_tls_handshakes_by_suite_total";
    t.family(SUITES, Kind::Counter, "Completed TLS handshakes by cipher suite.");
    for counter in Counter::ALL {
        if let Some(suite) = counter.name().strip_prefix("tls_suite_") {
            t.sample(SUITES, &[("suite", suite)], get(*counter));
        }
    }
    // Two families of rows, each a label.
    for (name, label, prefix, help) in [
        ("holdfast_tls_handshakes_by_group_total", "group", "tls_group_", "Completed TLS handshakes by key exchange."),
        ("holdfast_tls_handshakes_refused_total", "reason", "tls_refused_", "TLS handshakes that failed, by reason."),
    ] {
        t.family(name, Kind::Counter, help);
        for counter in Counter::ALL {
            if let Some(value) = counter.name().strip_prefix(prefix) {
                t.sample(name, &[(label, value)], get(*counter));
            }
        }
    }
    if let Some(at) = extra.certificate_expiry_s {
        const EXPIRY: &str = "holdfast_tls_certificate_expiry_timestamp_seconds";
        t.single(EXPIRY, Kind::Gauge, "When the certificate that is served ends.", at as f64);
    }
    t.single("holdfast_ready", Kind::Gauge, "The answer of /readyz.", f64::from(u8::from(extra.ready)));
    t.single("holdfast_workers", Kind::Gauge, "Worker threads.", f64::from(f.config.general.io_threads));
}

fn key_space(extra: &Extra, t: &mut dyn Writer) {
    let s = extra.stripes;
    t.single("holdfast_stripes", Kind::Gauge, "Parts of the key space, each under its lock.", s.count as f64);
    const WAITS: &str = "holdfast_stripe_lock_waits_total";
    t.single(WAITS, Kind::Counter, "Times that a stripe's lock was not free at once.", s.waits as f64);
    const SLEEPS: &str = "holdfast_stripe_lock_sleeps_total";
    t.single(SLEEPS, Kind::Counter, "Of those, waits that were longer than a command takes.", s.sleeps as f64);
}

fn journal(f: &Facts<'_>, extra: &Extra, t: &mut dyn Writer) {
    let j = extra.journal;
    const READ: &str = "holdfast_journal_read";
    t.single(READ, Kind::Gauge, "A log or a replica reads the journal.", f64::from(u8::from(j.is_read)));
    const END: &str = "holdfast_journal_appended_bytes_total";
    t.single(END, Kind::Counter, "Bytes of changes ever put into the journal.", j.end as f64);
    const KEPT: &str = "holdfast_journal_kept_bytes";
    t.single(KEPT, Kind::Gauge, "Bytes kept for replicas that come back.", j.kept_bytes as f64);
    const EXCESS: &str = "holdfast_journal_excess_bytes";
    t.single(EXCESS, Kind::Gauge, "Bytes kept only for readers that are behind.", j.excess_bytes as f64);
    const BEHIND: &str = "holdfast_journal_aof_behind_bytes";
    t.single(BEHIND, Kind::Gauge, "Bytes the append-only file has still to take.", f.aof_behind as f64);
}

fn fips(words: &HashMap<String, String>, t: &mut dyn Writer) {
    let word = |name: &str| words.get(name).map_or("", String::as_str);
    let flag = |yes: bool| f64::from(u8::from(yes));
    t.single("holdfast_fips_mode", Kind::Gauge, "The module runs in FIPS mode.", flag(word("fips_mode") == "1"));
    t.single(
        "holdfast_fips_validation_passed",
        Kind::Gauge,
        "The start-up gate passed.",
        flag(word("fips_validation") == "passed"),
    );
    t.family("holdfast_fips_info", Kind::Gauge, "The module and its operational environment.");
    t.sample(
        "holdfast_fips_info",
        &[
            ("standard", word("fips_standard")),
            ("certificate", word("fips_certificate")),
            ("module", word("fips_module")),
            ("lane", word("fips_lane")),
            ("operational_environment", word("fips_operational_environment")),
            ("entropy", word("fips_entropy")),
        ],
        1.0,
    );
}
