//! `# Memory`.

use super::{Facts, Out, human};
use crate::base::memory;
use crate::metrics::Value::{Float, Signed, Text, Unsigned};
use std::sync::atomic::Ordering;

/// Memory figures that several readers share, in bytes unless said otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub used: u64,
    pub peak: u64,
    pub startup: u64,
    /// What is not the data's.
    pub overhead: u64,
    pub dataset: u64,
    /// Share of the data in what was used since the start.
    pub dataset_percent: f64,
    pub clients: u64,
    pub allocator: memory::AllocatorFigures,
}

impl Memory {
    /// `stream` is what replication keeps: see [`crate::observe::info::Replication::stream_bytes`].
    /// `used` was read before anything was built for the answer, so that asking does not change what is told.
    pub fn of(used: u64, baseline: u64, clients: u64, stream: u64, peak: u64) -> Memory {
        let overhead = baseline.saturating_add(clients).saturating_add(stream).min(used);
        let dataset = used - overhead;
        let net = used.saturating_sub(baseline).max(1);
        Memory {
            used,
            peak: peak.max(used),
            startup: baseline,
            overhead,
            dataset,
            dataset_percent: dataset as f64 * 100.0 / net as f64,
            clients,
            allocator: memory::figures(),
        }
    }

    /// Resident bytes for each byte in use, and the difference.
    pub fn fragmentation(&self) -> (f64, i64) {
        ratio(self.allocator.rss, self.used)
    }
}

/// `a / b` and `a - b`.
pub fn ratio(a: u64, b: u64) -> (f64, i64) {
    (if b == 0 { 0.0 } else { a as f64 / b as f64 }, a.cast_signed().wrapping_sub(b.cast_signed()))
}

/// Memory of the machine, as the kernel tells.
pub fn system_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

pub(super) fn rows(f: &Facts<'_>, out: Out<'_>) {
    let m = Memory::of(
        f.used_memory,
        f.baseline_memory,
        f.clients.memory_bytes(),
        f.replication.stream_bytes(),
        f.peak_memory,
    );
    let a = m.allocator;
    let size = |out: Out<'_>, name: &str, bytes: u64| {
        out(name, Unsigned(bytes));
        out(&format!("{name}_human"), Text(&human(bytes)));
    };
    size(out, "used_memory", m.used);
    size(out, "used_memory_rss", a.rss);
    size(out, "used_memory_peak", m.peak);
    out("used_memory_peak_perc", Text(&format!("{:.2}%", m.used as f64 * 100.0 / m.peak.max(1) as f64)));
    out("used_memory_overhead", Unsigned(m.overhead));
    out("used_memory_startup", Unsigned(m.startup));
    out("used_memory_dataset", Unsigned(m.dataset));
    out("used_memory_dataset_perc", Text(&format!("{:.2}%", m.dataset_percent)));
    out("allocator_allocated", Unsigned(a.allocated));
    out("allocator_active", Unsigned(a.active));
    out("allocator_resident", Unsigned(a.resident));
    out("allocator_muzzy", Unsigned(0));
    size(out, "total_system_memory", system_memory());
    scripts(f, out);
    size(out, "maxmemory", f.config.memory.maxmemory);
    out("maxmemory_policy", Text(&policy_name(f)));
    let (frag, frag_bytes) = ratio(a.active, a.allocated);
    out("allocator_frag_ratio", Float(frag, 2));
    out("allocator_frag_bytes", Signed(frag_bytes));
    let (resident, resident_bytes) = ratio(a.resident, a.active);
    out("allocator_rss_ratio", Float(resident, 2));
    out("allocator_rss_bytes", Signed(resident_bytes));
    let (rss, rss_bytes) = ratio(a.rss, a.resident);
    out("rss_overhead_ratio", Float(rss, 2));
    out("rss_overhead_bytes", Signed(rss_bytes));
    let (whole, whole_bytes) = m.fragmentation();
    out("mem_fragmentation_ratio", Float(whole, 2));
    out("mem_fragmentation_bytes", Signed(whole_bytes));
    out("mem_not_counted_for_evict", Unsigned(f.output_memory));
    // One stream serves the backlog, the replicas and the log.
    let r = f.replication;
    out("mem_replication_backlog", Unsigned(r.backlog.map_or(0, |_| r.backlog_len)));
    out("mem_total_replication_buffers", Unsigned(r.stream_bytes()));
    out("mem_replicas_repl_buffer", Unsigned(r.held_bytes()));
    out("mem_clients_slaves", Unsigned(if r.replicas.is_empty() { 0 } else { f.output_memory }));
    out("mem_clients_normal", Unsigned(m.clients));
    out("mem_cluster_links", Unsigned(f.bus.1));
    out("mem_aof_buffer", Unsigned(f.aof_behind));
    out("mem_allocator", Text(&format!("jemalloc-{}", memory::allocator_version())));
    out("mem_overhead_db_hashtable_rehashing", Unsigned(0));
    out("active_defrag_running", Unsigned(0));
    out("lazyfree_pending_objects", Unsigned(f.freed.pending.load(Ordering::Relaxed)));
    out("lazyfreed_objects", Unsigned(f.freed.freed.load(Ordering::Relaxed)));
}

/// VMs, and what they run. One VM runs scripts and functions, so what libraries take of it is told apart.
fn scripts(f: &Facts<'_>, out: Out<'_>) {
    let usage = crate::script::Usage::now();
    let eval = usage.all.saturating_sub(usage.functions);
    out("used_memory_lua", Unsigned(eval));
    out("used_memory_vm_eval", Unsigned(eval));
    out("used_memory_lua_human", Text(&human(eval)));
    let (cached, functions) = (f.scripts.cache.bytes() as u64, f.scripts.functions.bytes() as u64);
    out("used_memory_scripts_eval", Unsigned(cached));
    out("number_of_cached_scripts", Unsigned(f.scripts.cache.len() as u64));
    let (libraries, count) = f.scripts.functions.counts();
    out("number_of_functions", Unsigned(count as u64));
    out("number_of_libraries", Unsigned(libraries as u64));
    out("used_memory_vm_functions", Unsigned(usage.functions));
    out("used_memory_vm_total", Unsigned(usage.all));
    out("used_memory_vm_total_human", Text(&human(usage.all)));
    out("used_memory_functions", Unsigned(functions));
    out("used_memory_scripts", Unsigned(cached + functions));
    out("used_memory_scripts_human", Text(&human(cached + functions)));
}

/// The policy's word, as CONFIG GET says it.
fn policy_name(f: &Facts<'_>) -> String {
    crate::config::find(b"maxmemory-policy")
        .map(|row| String::from_utf8_lossy(&(row.get)(f.config)).into_owned())
        .unwrap_or_default()
}
