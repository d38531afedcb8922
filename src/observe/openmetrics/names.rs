//! How a row of INFO is called in the metrics: by the names redis_exporter gave them, which dashboards and alerts know.

use super::format::Kind::{self, Counter, Gauge};

/// A row's name in INFO; its metric; what kind it is; what its value is multiplied with.
pub struct Name {
    pub row: &'static str,
    pub metric: &'static str,
    pub kind: Kind,
    pub scale: f64,
}

const fn gauge(row: &'static str, metric: &'static str) -> Name {
    Name { row, metric, kind: Gauge, scale: 1.0 }
}

const fn counter(row: &'static str, metric: &'static str) -> Name {
    Name { row, metric, kind: Counter, scale: 1.0 }
}

const fn scaled(row: &'static str, metric: &'static str, scale: f64) -> Name {
    Name { row, metric, kind: Gauge, scale }
}

/// Rows with names of their own. A numeric row that stands neither here nor in [`UNTOLD`] is told as `holdfast_<row>`.
pub static NAMES: &[Name] = &[
    gauge("uptime_in_seconds", "redis_uptime_in_seconds"),
    gauge("process_id", "redis_process_id"),
    gauge("io_threads_active", "redis_io_threads_active"),
    // Clients
    gauge("connected_clients", "redis_connected_clients"),
    gauge("cluster_connections", "redis_cluster_connections"),
    gauge("maxclients", "redis_max_clients"),
    gauge("client_recent_max_input_buffer", "redis_client_recent_max_input_buffer_bytes"),
    gauge("client_recent_max_output_buffer", "redis_client_recent_max_output_buffer_bytes"),
    gauge("blocked_clients", "redis_blocked_clients"),
    gauge("tracking_clients", "redis_tracking_clients"),
    gauge("pubsub_clients", "redis_pubsub_clients"),
    gauge("watching_clients", "redis_watching_clients"),
    gauge("clients_in_timeout_table", "redis_clients_in_timeout_table"),
    gauge("total_watched_keys", "redis_total_watched_keys"),
    gauge("total_blocking_keys", "redis_total_blocking_keys"),
    gauge("total_blocking_keys_on_nokey", "redis_total_blocking_keys_on_nokey"),
    // Memory
    gauge("used_memory", "redis_memory_used_bytes"),
    gauge("used_memory_rss", "redis_memory_used_rss_bytes"),
    gauge("used_memory_peak", "redis_memory_used_peak_bytes"),
    gauge("used_memory_overhead", "redis_memory_used_overhead_bytes"),
    gauge("used_memory_startup", "redis_memory_used_startup_bytes"),
    gauge("used_memory_dataset", "redis_memory_used_dataset_bytes"),
    gauge("used_memory_lua", "redis_memory_used_lua_bytes"),
    gauge("used_memory_vm_eval", "redis_memory_used_vm_eval_bytes"),
    gauge("used_memory_vm_functions", "redis_memory_used_vm_functions_bytes"),
    gauge("used_memory_vm_total", "redis_memory_used_vm_total_bytes"),
    gauge("used_memory_scripts_eval", "redis_memory_used_scripts_eval_bytes"),
    gauge("used_memory_scripts", "redis_memory_used_scripts_bytes"),
    gauge("used_memory_functions", "redis_memory_used_functions_bytes"),
    gauge("number_of_cached_scripts", "redis_number_of_cached_scripts"),
    gauge("number_of_functions", "redis_number_of_functions"),
    gauge("number_of_libraries", "redis_number_of_libraries"),
    gauge("total_system_memory", "redis_total_system_memory_bytes"),
    gauge("maxmemory", "redis_memory_max_bytes"),
    gauge("allocator_allocated", "redis_allocator_allocated_bytes"),
    gauge("allocator_active", "redis_allocator_active_bytes"),
    gauge("allocator_resident", "redis_allocator_resident_bytes"),
    gauge("allocator_frag_ratio", "redis_allocator_frag_ratio"),
    gauge("allocator_frag_bytes", "redis_allocator_frag_bytes"),
    gauge("allocator_rss_ratio", "redis_allocator_rss_ratio"),
    gauge("allocator_rss_bytes", "redis_allocator_rss_bytes"),
    gauge("mem_fragmentation_ratio", "redis_mem_fragmentation_ratio"),
    gauge("mem_fragmentation_bytes", "redis_mem_fragmentation_bytes"),
    gauge("mem_not_counted_for_evict", "redis_mem_not_counted_for_eviction_bytes"),
    gauge("mem_clients_slaves", "redis_mem_clients_slaves"),
    gauge("mem_clients_normal", "redis_mem_clients_normal"),
    gauge("mem_cluster_links", "redis_mem_cluster_links_bytes"),
    gauge("mem_aof_buffer", "redis_mem_aof_buffer_bytes"),
    gauge("mem_replication_backlog", "redis_mem_replication_backlog_bytes"),
    gauge("mem_total_replication_buffers", "redis_mem_total_replication_buffers_bytes"),
    gauge("active_defrag_running", "redis_active_defrag_running"),
    gauge("lazyfree_pending_objects", "redis_lazyfree_pending_objects"),
    gauge("lazyfreed_objects", "redis_lazyfreed_objects"),
    // Persistence
    gauge("loading", "redis_loading_dump_file"),
    gauge("async_loading", "redis_async_loading"),
    gauge("rdb_changes_since_last_save", "redis_rdb_changes_since_last_save"),
    gauge("rdb_bgsave_in_progress", "redis_rdb_bgsave_in_progress"),
    gauge("rdb_last_save_time", "redis_rdb_last_save_timestamp_seconds"),
    gauge("rdb_last_bgsave_status", "redis_rdb_last_bgsave_status"),
    gauge("rdb_last_bgsave_time_sec", "redis_rdb_last_bgsave_duration_sec"),
    gauge("rdb_current_bgsave_time_sec", "redis_rdb_current_bgsave_duration_sec"),
    counter("rdb_saves", "redis_rdb_saves_total"),
    gauge("rdb_last_cow_size", "redis_rdb_last_cow_size_bytes"),
    gauge("rdb_last_load_keys_expired", "redis_rdb_last_load_expired_keys"),
    gauge("rdb_last_load_keys_loaded", "redis_rdb_last_load_loaded_keys"),
    gauge("aof_enabled", "redis_aof_enabled"),
    gauge("aof_rewrite_in_progress", "redis_aof_rewrite_in_progress"),
    gauge("aof_rewrite_scheduled", "redis_aof_rewrite_scheduled"),
    gauge("aof_last_rewrite_time_sec", "redis_aof_last_rewrite_duration_sec"),
    gauge("aof_current_rewrite_time_sec", "redis_aof_current_rewrite_duration_sec"),
    gauge("aof_last_bgrewrite_status", "redis_aof_last_bgrewrite_status"),
    gauge("aof_last_write_status", "redis_aof_last_write_status"),
    gauge("aof_last_cow_size", "redis_aof_last_cow_size_bytes"),
    gauge("aof_current_size", "redis_aof_current_size_bytes"),
    gauge("aof_base_size", "redis_aof_base_size_bytes"),
    gauge("aof_pending_rewrite", "redis_aof_pending_rewrite"),
    gauge("aof_buffer_length", "redis_aof_buffer_length"),
    gauge("aof_pending_bio_fsync", "redis_aof_pending_bio_fsync"),
    gauge("aof_delayed_fsync", "redis_aof_delayed_fsync"),
    counter("aof_rewrites", "redis_aof_rewrites_total"),
    gauge("module_fork_in_progress", "redis_module_fork_in_progress"),
    gauge("module_fork_last_cow_size", "redis_module_fork_last_cow_size"),
    // Stats
    counter("total_connections_received", "redis_connections_received_total"),
    counter("total_commands_processed", "redis_commands_processed_total"),
    gauge("instantaneous_ops_per_sec", "redis_instantaneous_ops_per_sec"),
    counter("total_net_input_bytes", "redis_net_input_bytes_total"),
    counter("total_net_output_bytes", "redis_net_output_bytes_total"),
    counter("total_net_repl_input_bytes", "redis_net_repl_input_bytes_total"),
    counter("total_net_repl_output_bytes", "redis_net_repl_output_bytes_total"),
    counter("rejected_connections", "redis_rejected_connections_total"),
    gauge("sync_full", "redis_replica_resyncs_full"),
    gauge("sync_partial_ok", "redis_replica_partial_resync_accepted"),
    gauge("sync_partial_err", "redis_replica_partial_resync_denied"),
    counter("expired_keys", "redis_expired_keys_total"),
    counter("expired_fields", "redis_expired_fields_total"),
    gauge("expired_stale_perc", "redis_expired_stale_percentage"),
    gauge("expired_time_cap_reached_count", "redis_expired_time_cap_reached_total"),
    counter("expire_cycle_cpu_milliseconds", "redis_expire_cycle_cpu_time_ms_total"),
    counter("evicted_keys", "redis_evicted_keys_total"),
    counter("evicted_clients", "redis_evicted_clients_total"),
    counter("evicted_scripts", "redis_evicted_scripts_total"),
    counter("total_eviction_exceeded_time", "redis_eviction_exceeded_time_ms_total"),
    gauge("current_eviction_exceeded_time", "redis_current_eviction_exceeded_time_ms"),
    counter("keyspace_hits", "redis_keyspace_hits_total"),
    counter("keyspace_misses", "redis_keyspace_misses_total"),
    gauge("pubsub_channels", "redis_pubsub_channels"),
    gauge("pubsub_patterns", "redis_pubsub_patterns"),
    gauge("pubsubshard_channels", "redis_pubsubshard_channels"),
    scaled("latest_fork_usec", "redis_latest_fork_seconds", 1e-6),
    gauge("migrate_cached_sockets", "redis_migrate_cached_sockets_total"),
    gauge("slave_expires_tracked_keys", "redis_slave_expires_tracked_keys"),
    gauge("active_defrag_hits", "redis_defrag_hits"),
    gauge("active_defrag_misses", "redis_defrag_misses"),
    gauge("active_defrag_key_hits", "redis_defrag_key_hits"),
    gauge("active_defrag_key_misses", "redis_defrag_key_misses"),
    gauge("tracking_total_keys", "redis_tracking_total_keys"),
    gauge("tracking_total_items", "redis_tracking_total_items"),
    gauge("tracking_total_prefixes", "redis_tracking_total_prefixes"),
    counter("unexpected_error_replies", "redis_unexpected_error_replies"),
    counter("total_error_replies", "redis_total_error_replies"),
    counter("dump_payload_sanitizations", "redis_dump_payload_sanitizations"),
    counter("total_reads_processed", "redis_total_reads_processed"),
    counter("total_writes_processed", "redis_total_writes_processed"),
    counter("io_threaded_reads_processed", "redis_io_threaded_reads_processed"),
    counter("io_threaded_writes_processed", "redis_io_threaded_writes_processed"),
    counter("client_query_buffer_limit_disconnections", "redis_client_query_buffer_limit_disconnections_total"),
    counter("client_output_buffer_limit_disconnections", "redis_client_output_buffer_limit_disconnections_total"),
    counter("acl_access_denied_auth", "redis_acl_access_denied_auth_total"),
    counter("acl_access_denied_cmd", "redis_acl_access_denied_cmd_total"),
    counter("acl_access_denied_key", "redis_acl_access_denied_key_total"),
    counter("acl_access_denied_channel", "redis_acl_access_denied_channel_total"),
    counter("acl_access_denied_tls_cert", "holdfast_acl_access_denied_tls_cert_total"),
    counter("acl_access_denied_db", "holdfast_acl_access_denied_db_total"),
    counter("audit_records_written", "holdfast_audit_records_written_total"),
    counter("audit_records_lost", "holdfast_audit_records_lost_total"),
    gauge("audit_collector_reached", "holdfast_audit_collector_reached"),
    counter("audit_records_sent", "holdfast_audit_records_sent_total"),
    counter("audit_records_unsent", "holdfast_audit_records_unsent_total"),
    counter("eventloop_cycles", "holdfast_worker_turns_total"),
    Name { row: "eventloop_duration_sum", metric: "holdfast_worker_busy_seconds_total", kind: Counter, scale: 1e-6 },
    Name {
        row: "eventloop_duration_cmd_sum",
        metric: "holdfast_worker_command_seconds_total",
        kind: Counter,
        scale: 1e-6,
    },
    // Replication
    gauge("connected_slaves", "redis_connected_slaves"),
    gauge("master_repl_offset", "redis_master_repl_offset"),
    gauge("second_repl_offset", "redis_second_repl_offset"),
    gauge("repl_backlog_active", "redis_repl_backlog_is_active"),
    gauge("repl_backlog_size", "redis_replication_backlog_bytes"),
    gauge("repl_backlog_first_byte_offset", "redis_repl_backlog_first_byte_offset"),
    gauge("repl_backlog_histlen", "redis_repl_backlog_history_bytes"),
    gauge("master_link_status", "redis_master_link_up"),
    gauge("master_last_io_seconds_ago", "redis_master_last_io_seconds_ago"),
    gauge("master_sync_in_progress", "redis_master_sync_in_progress"),
    gauge("master_link_down_since_seconds", "redis_master_link_down_since_seconds"),
    gauge("slave_repl_offset", "redis_slave_repl_offset"),
    gauge("slave_read_repl_offset", "redis_slave_read_repl_offset"),
    gauge("slave_priority", "redis_slave_priority"),
    gauge("slave_read_only", "redis_slave_read_only"),
    // CPU
    counter("used_cpu_sys", "redis_cpu_sys_seconds_total"),
    counter("used_cpu_user", "redis_cpu_user_seconds_total"),
    counter("used_cpu_sys_children", "redis_cpu_sys_children_seconds_total"),
    counter("used_cpu_user_children", "redis_cpu_user_children_seconds_total"),
    counter("used_cpu_sys_main_thread", "redis_cpu_sys_main_thread_seconds_total"),
    counter("used_cpu_user_main_thread", "redis_cpu_user_main_thread_seconds_total"),
    counter("used_active_time_main_thread", "holdfast_active_time_seconds_total"),
    // Cluster
    gauge("cluster_enabled", "redis_cluster_enabled"),
];

/// Rows that are no measurement, or that are told elsewhere.
pub static UNTOLD: &[&str] = &[
    "redis_git_dirty",
    "redis_build_id",
    "arch_bits",
    "tcp_port",
    "server_time_usec",
    "uptime_in_days",
    "hz",
    "configured_hz",
    "clients_hz",
    "lru_clock",
    "master_port",
];

/// The name of a row.
pub fn of(row: &str) -> Option<&'static Name> {
    NAMES.iter().find(|n| n.row == row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_row_and_no_metric_stands_twice() {
        let mut seen = HashSet::new();
        for n in NAMES {
            assert!(seen.insert(n.row), "{}", n.row);
            assert!(seen.insert(n.metric), "{}", n.metric);
            assert!(!UNTOLD.contains(&n.row), "{}", n.row);
        }
    }
}
