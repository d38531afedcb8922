//! Memory: the limit, what is evicted, and what is freed on another thread.

use crate::config::codec::{INT, LONG, MEM, MemoryOrPercent, OneOf, YesNo, int, mem};
use crate::config::row::{Standing, topic};
use crate::config::types::{EvictionPolicy, MemoryLimit};

const DEFRAG: &str = "memory is not defragmented in place";

topic! {
    /// The limit, what is evicted, and what is freed on another thread.
    Memory in memory, "Memory";

    /// Bytes the data may use; 0 is no limit.
    "maxmemory" => maxmemory: u64 = 0, MEM, Runtime, Open, Standing::Works;
    /// What is evicted to stay below it: by least use (lru), least frequent use (lfu), nearest deadline (ttl) or at
    /// random, out of all keys or only those with a deadline (volatile).
    "maxmemory-policy" => maxmemory_policy: EvictionPolicy = EvictionPolicy::Noeviction, OneOf, Runtime, Open, Standing::Works;
    /// Keys looked at to choose one to evict.
    "maxmemory-samples" => maxmemory_samples: u32 = 5, int(1, 64), Runtime, Open, Standing::Works;
    /// How long a command may wait for eviction: 0 hardly, 100 as long as it takes.
    "maxmemory-eviction-tenacity" => maxmemory_eviction_tenacity: u32 = 10, int(0, 100), Runtime, Open, Standing::Works;
    /// Memory all clients' buffers may use together, above which the largest are closed; 0 is no limit.
    "maxmemory-clients" => maxmemory_clients: MemoryLimit = MemoryLimit::Bytes(0), MemoryOrPercent, Runtime, Open, Standing::Works;
    /// Memory the scripts of one worker may use, above which the script that asks for more fails; 0 is no limit.
    "script-memory-limit" => script_memory_limit: u64 = 256 << 20, MEM, Runtime, Open, Standing::Works;
    /// How slowly the frequency counter grows.
    "lfu-log-factor" => lfu_log_factor: u32 = 10, INT, Runtime, Open, Standing::Works;
    /// Minutes after which the frequency counter loses one.
    "lfu-decay-time" => lfu_decay_time_minutes: u32 = 1, INT, Runtime, Open, Standing::Works;
    /// Effort to find expired keys, 1 to 10.
    "active-expire-effort" => active_expire_effort: u32 = 1, int(1, 10), Runtime, Open, Standing::Works;
    /// Free evicted values on another thread.
    "lazyfree-lazy-eviction" => lazyfree_lazy_eviction: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Free expired values on another thread.
    "lazyfree-lazy-expire" => lazyfree_lazy_expire: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Free values that a command overwrites on another thread.
    "lazyfree-lazy-server-del" => lazyfree_lazy_server_del: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Make DEL free like UNLINK.
    "lazyfree-lazy-user-del" => lazyfree_lazy_user_del: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Make FLUSHALL and FLUSHDB free on another thread when they do not say how.
    "lazyfree-lazy-user-flush" => lazyfree_lazy_user_flush: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Neither expire nor evict while data is imported.
    "import-mode" => import_mode: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Move values to defragment memory.
    "activedefrag" => activedefrag: bool = false, YesNo, Runtime, Open, Standing::Missing(DEFRAG);
    /// Largest share of time for it, in percent.
    "active-defrag-cycle-max" => active_defrag_cycle_max: u32 = 25, int(1, 99), Runtime, Open, Standing::Inert(DEFRAG);
    /// Smallest share of time for it, in percent.
    "active-defrag-cycle-min" => active_defrag_cycle_min: u32 = 1, int(1, 99), Runtime, Open, Standing::Inert(DEFRAG);
    /// Length of one round, in microseconds.
    "active-defrag-cycle-us" => active_defrag_cycle_us: u32 = 500, int(0, 100_000), Runtime, Open, Standing::Inert(DEFRAG);
    /// Wasted bytes below which nothing is moved.
    "active-defrag-ignore-bytes" => active_defrag_ignore_bytes: u64 = 100 << 20, mem(1, i64::MAX as i128), Runtime, Open, Standing::Inert(DEFRAG);
    /// Fields of a collection that are moved in one step.
    "active-defrag-max-scan-fields" => active_defrag_max_scan_fields: u64 = 1000, int(1, i64::MAX as i128), Runtime, Open, Standing::Inert(DEFRAG);
    /// Percent of waste at which it starts.
    "active-defrag-threshold-lower" => active_defrag_threshold_lower: u32 = 10, int(0, 1000), Runtime, Open, Standing::Inert(DEFRAG);
    /// Percent of waste at which it works hardest.
    "active-defrag-threshold-upper" => active_defrag_threshold_upper: u32 = 100, int(0, 1000), Runtime, Open, Standing::Inert(DEFRAG);
    /// Length of the log of refused accesses.
    "acllog-max-len" => acllog_max_len: u64 = 128, LONG, Runtime, Open, Standing::Works;
}
