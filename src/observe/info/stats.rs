//! `# Stats`, `# Commandstats`, `# Errorstats`, `# Latencystats`.

use super::{Facts, Out};
use crate::metrics::Value::{Float, Text, Unsigned};
use crate::metrics::counters::Counter;

pub(super) fn rows(f: &Facts<'_>, out: Out<'_>) {
    let m = f.metrics;
    for counter in Counter::ALL {
        let name = counter.name();
        if name.starts_with("tls_") {
            continue;
        }
        out(name, Unsigned(m.counters.get(*counter)));
        match counter {
            Counter::EventloopDurationCmdUsec => {
                let (turns, us) = (m.turns.per_second(), m.turn_us.per_second());
                out("instantaneous_eventloop_cycles_per_sec", Unsigned(turns));
                out("instantaneous_eventloop_duration_usec", Unsigned(us.checked_div(turns).unwrap_or(0)));
            }
            Counter::CommandsProcessed => out("instantaneous_ops_per_sec", Unsigned(m.ops.per_second())),
            Counter::NetReplOutputBytes => {
                let kbps = |s: &crate::metrics::sampler::Sampler| Float(s.per_second() as f64 / 1024.0, 2);
                out("instantaneous_input_kbps", kbps(&m.net_input));
                out("instantaneous_output_kbps", kbps(&m.net_output));
                out("instantaneous_input_repl_kbps", Float(0.0, 2));
                out("instantaneous_output_repl_kbps", Float(0.0, 2));
            }
            Counter::ExpiredFields => {
                out("expired_stale_perc", Float(0.0, 2));
                out("expired_keys_with_volatile_items_stale_perc", Float(0.0, 2));
            }
            Counter::ExpiredTimeCapReached => out("expire_cycle_cpu_milliseconds", Unsigned(0)),
            Counter::EvictedScripts => {
                out("total_eviction_exceeded_time", Unsigned(0));
                out("current_eviction_exceeded_time", Unsigned(0));
            }
            Counter::KeyspaceMisses => {
                let [channels, patterns, shard] = f.subscribed.map(|n| Unsigned(n as u64));
                out("pubsub_channels", channels);
                out("pubsub_patterns", patterns);
                out("pubsubshard_channels", shard);
                for name in [
                    "latest_fork_usec",
                    "total_forks",
                    "slave_expires_tracked_keys",
                    "active_defrag_hits",
                    "active_defrag_misses",
                    "active_defrag_key_hits",
                    "active_defrag_key_misses",
                    "total_active_defrag_time",
                    "current_active_defrag_time",
                ] {
                    // Nothing forks; who watches the field wants to see that a snapshot or a rewrite has begun.
                    out(
                        name,
                        Unsigned(match name {
                            "total_forks" => f.jobs_begun,
                            "slave_expires_tracked_keys" => f.own_keys as u64,
                            _ => 0,
                        }),
                    );
                    if name == "total_forks" {
                        out("migrate_cached_sockets", Unsigned(f.migrate_sockets as u64));
                    }
                }
                out("tracking_total_keys", Unsigned(f.tracking.keys() as u64));
                out("tracking_total_items", Unsigned(f.tracking.items() as u64));
                out("tracking_total_prefixes", Unsigned(f.tracking.prefixes() as u64));
            }
            Counter::WritesProcessed => {
                // Every worker is a thread that reads and writes; one alone is what elsewhere the main thread is.
                for (name, counter) in [
                    ("io_threaded_reads_processed", Counter::ReadsProcessed),
                    ("io_threaded_writes_processed", Counter::WritesProcessed),
                ] {
                    out(name, Unsigned(if f.config.general.io_threads > 1 { m.counters.get(counter) } else { 0 }));
                }
            }
            Counter::OutputBufferLimitDisconnections => {
                out("reply_buffer_shrinks", Unsigned(0));
                out("reply_buffer_expands", Unsigned(0));
            }
            _ => {}
        }
    }
    // Handshakes stand together at the end: they have no counterpart elsewhere.
    for counter in Counter::ALL.iter().filter(|c| c.name().starts_with("tls_")) {
        out(counter.name(), Unsigned(m.counters.get(*counter)));
    }
}

/// What is told only who asks for it by name.
pub(super) fn debug(f: &Facts<'_>, out: Out<'_>) {
    let (turn_us, turn_commands) = f.metrics.peaks.of_turns();
    out("eventloop_duration_aof_sum", Unsigned(f.aof_us));
    out("eventloop_duration_cron_sum", Unsigned(f.metrics.peaks.cron_us.load(std::sync::atomic::Ordering::Relaxed)));
    out("eventloop_duration_max", Unsigned(turn_us));
    out("eventloop_cmd_per_cycle_max", Unsigned(turn_commands));
}

pub(super) fn commands(f: &Facts<'_>, out: Out<'_>) {
    for (id, name) in f.command_names.iter().enumerate() {
        let t = f.metrics.commands.totals(id);
        if t.is_used() {
            out(&format!("cmdstat_{name}"), Text(&t.to_string()));
        }
    }
}

pub(super) fn errors(f: &Facts<'_>, out: Out<'_>) {
    f.metrics.errors.each(|kind, count| out(&format!("errorstat_{kind}"), Text(&format!("count={count}"))));
}

pub(super) fn latencies(f: &Facts<'_>, out: Out<'_>) {
    let percentiles = &f.config.latency.latency_tracking_info_percentiles.0;
    if !f.config.latency.latency_tracking || percentiles.is_empty() {
        return;
    }
    for (id, name) in f.command_names.iter().enumerate() {
        if let Some(summary) = f.metrics.commands.latency(id) {
            out(&format!("latency_percentiles_usec_{name}"), Text(&summary.percentiles_row(percentiles)));
        }
    }
}
