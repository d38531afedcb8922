//! The sections about the process, its clients, its data and its role.

use super::{Facts, Out};
use crate::base::{names, process};
use crate::metrics::Value::{Flag, Float, Signed, Text, Unsigned};
use std::sync::atomic::Ordering::Relaxed;

fn first_line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

pub(super) fn server(f: &Facts<'_>, out: Out<'_>) {
    let c = f.config;
    let compatible = c.general.extended_redis_compatibility;
    out("redis_version", Text(names::REDIS_VERSION));
    out("server_name", Text(if compatible { "redis" } else { "valkey" }));
    out("valkey_version", Text(names::VALKEY_VERSION));
    out("valkey_release_stage", Text("ga"));
    out("holdfast_version", Text(env!("CARGO_PKG_VERSION")));
    out("redis_git_sha1", Text("00000000"));
    out("redis_git_dirty", Unsigned(0));
    out("redis_build_id", Unsigned(0));
    let mode = if f.config.cluster.enabled { "cluster" } else { "standalone" };
    out(if compatible { "redis_mode" } else { "server_mode" }, Text(mode));
    if !compatible {
        // Both names: tools of either age look for theirs.
        out("redis_mode", Text(mode));
    }
    let os = format!(
        "{} {} {}",
        first_line("/proc/sys/kernel/ostype"),
        first_line("/proc/sys/kernel/osrelease"),
        std::env::consts::ARCH
    );
    out("os", Text(&os));
    out("arch_bits", Unsigned(u64::from(usize::BITS)));
    out("monotonic_clock", Text("POSIX clock_gettime"));
    out("multiplexing_api", Text("epoll"));
    out("gcc_version", Text("0.0.0"));
    out("process_id", Unsigned(u64::from(std::process::id())));
    out("process_supervised", Text("no"));
    out("run_id", Text(f.run_id));
    let port = if c.tls.port != 0 { c.tls.port } else { c.network.port };
    out("tcp_port", Unsigned(u64::from(port)));
    out("server_time_usec", Signed(f.now_us));
    let uptime = (f.now_us / 1000 - f.started_ms).max(0) / 1000;
    out("uptime_in_seconds", Signed(uptime));
    out("uptime_in_days", Signed(uptime / 86_400));
    if let Some(ms) = f.shutdown_in_ms {
        out("shutdown_in_milliseconds", Unsigned(ms));
    }
    for name in ["hz", "configured_hz", "clients_hz"] {
        out(name, Unsigned(u64::from(c.general.hz)));
    }
    out("lru_clock", Signed((f.now_us / 1_000_000) & 0xff_ffff));
    let executable = std::env::current_exe().unwrap_or_default();
    out("executable", Text(&executable.to_string_lossy()));
    out("config_file", Text(&f.config_file.unwrap_or(std::path::Path::new("")).to_string_lossy()));
    // The one that answers is at work in any case.
    out("io_threads_active", Flag(f.clients.workers().filter(|w| w.activity().0).count() > 1));
    out("availability_zone", Text(&c.general.availability_zone));
    let binds: Vec<String> =
        c.network.bind.iter().map(|b| format!("bind={}{}", if b.optional { "-" } else { "" }, b.address)).collect();
    let mut n = 0;
    for (name, port) in [("tcp", c.network.port), ("tls", c.tls.port)] {
        if port != 0 {
            out(&format!("listener{n}"), Text(&format!("name={name},{},port={port}", binds.join(","))));
            n += 1;
        }
    }
    if let Some(path) = &c.network.unixsocket {
        out(&format!("listener{n}"), Text(&format!("name=unix,bind={}", path.display())));
    }
}

pub(super) fn fips(f: &Facts<'_>, out: Out<'_>) {
    for (name, value) in f.fips {
        out(name, Text(value));
    }
}

pub(super) fn clients(f: &Facts<'_>, out: Out<'_>) {
    let all = f.clients.all();
    let most = |get: &dyn Fn(&crate::client::Shared) -> u64| all.iter().map(|c| get(c)).max().unwrap_or(0);
    let count = |yes: &dyn Fn(&crate::client::Shared) -> bool| all.iter().filter(|c| yes(c)).count() as u64;
    // Replicas are connected_slaves.
    out("connected_clients", Unsigned(count(&|c| !c.replica.load(Relaxed))));
    out("cluster_connections", Unsigned(f.bus.0));
    out("maxclients", Unsigned(u64::from(f.config.network.maxclients)));
    out("client_recent_max_input_buffer", Unsigned(most(&|c| c.query_capacity.load(Relaxed))));
    out("client_recent_max_output_buffer", Unsigned(most(&|c| c.output_bytes.load(Relaxed))));
    out("blocked_clients", Unsigned(f.waiting.len() as u64 + u64::from(f.clients.paused())));
    out("tracking_clients", Unsigned(f.tracking.clients() as u64));
    let subscribed = |c: &crate::client::Shared| {
        c.subscriptions.load(Relaxed) + c.pattern_subscriptions.load(Relaxed) + c.shard_subscriptions.load(Relaxed) > 0
    };
    out("pubsub_clients", Unsigned(count(&subscribed)));
    out("watching_clients", Unsigned(count(&|c| c.watching.load(Relaxed) > 0)));
    out("clients_in_timeout_table", Unsigned(f.waiting.with_deadline() as u64));
    out("total_watched_keys", Unsigned(all.iter().map(|c| u64::from(c.watching.load(Relaxed))).sum()));
    out("total_blocking_keys", Unsigned(f.waiting.keys() as u64));
    out("total_blocking_keys_on_nokey", Unsigned(f.waiting.needed_keys() as u64));
    let (until_ms, writes_only, failover) = f.pause;
    let left = (until_ms - f.now_us / 1000).max(0);
    let (reason, actions) = match (left > 0, writes_only) {
        (false, _) => ("none", "none"),
        (true, true) => ("client_pause", "write"),
        (true, false) => ("client_pause", "all"),
    };
    out("paused_reason", Text(if failover && left > 0 { "failover_in_progress" } else { reason }));
    out("paused_actions", Text(actions));
    out("paused_timeout_milliseconds", Signed(left));
}

pub(super) fn cpu(f: &Facts<'_>, out: Out<'_>) {
    let (user, system) = process::cpu_seconds(false);
    let (children_user, children_system) = process::cpu_seconds(true);
    out("used_cpu_sys", Float(system, 6));
    out("used_cpu_user", Float(user, 6));
    out("used_cpu_sys_children", Float(children_system, 6));
    out("used_cpu_user_children", Float(children_user, 6));
    // Workers are all alike; what Valkey says of its main thread is said of them together.
    out("used_cpu_sys_main_thread", Float(system, 6));
    out("used_cpu_user_main_thread", Float(user, 6));
    let active_us = f.metrics.counters.get(crate::metrics::counters::Counter::EventloopDurationUsec);
    out("used_active_time_main_thread", Float(active_us as f64 / 1e6, 6));
    // Those that connections are given to; the first is the one there always is.
    for (n, worker) in f.clients.workers().enumerate().take(f.config.general.io_threads as usize).skip(1) {
        out(&format!("used_active_time_io_thread_{n}"), Float(worker.activity().1 as f64 / 1e9, 6));
    }
}

pub(super) fn cluster(f: &Facts<'_>, out: Out<'_>) {
    out("cluster_enabled", Flag(f.config.cluster.enabled));
}

pub(super) fn keyspace(f: &Facts<'_>, out: Out<'_>) {
    for (db, s) in f.databases.iter().enumerate().filter(|(_, s)| s.keys > 0) {
        let average = s.ttl_ms_sum.checked_div(s.ttl_sampled).unwrap_or(0);
        let value = format!(
            "keys={},expires={},avg_ttl={average},keys_with_volatile_items={}",
            s.keys, s.deadlines, s.volatile_keys
        );
        out(&format!("db{db}"), Text(&value));
    }
}

/// The audit log's figures.
pub(super) fn audit(f: &Facts<'_>, out: Out<'_>) {
    let figures = f.audit.figures();
    out("audit_enabled", Flag(f.audit.is_on()));
    out("audit_records_written", Unsigned(figures.written.load(Relaxed)));
    out("audit_records_lost", Unsigned(figures.lost.load(Relaxed)));
    out("audit_collector_reached", Flag(figures.collector_reached.load(Relaxed)));
    out("audit_records_sent", Unsigned(figures.sent.load(Relaxed)));
    out("audit_records_unsent", Unsigned(figures.unsent.load(Relaxed)));
    out("audit_last_record", Unsigned(figures.last_seq.load(Relaxed)));
    out("audit_failing", Flag(figures.failing.load(Relaxed)));
}
