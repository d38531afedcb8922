//! `# Persistence`.

use super::saver::{JobKind, Report};
use crate::metrics::Section;
use crate::metrics::Value::{self, Flag, Float, Signed, Text, Unsigned};

fn status(failed: bool) -> Value<'static> {
    Text(if failed { "err" } else { "ok" })
}

impl Section for Report {
    fn name(&self) -> &str {
        "persistence"
    }

    fn rows(&self, out: &mut dyn FnMut(&str, Value<'_>)) {
        // A copy for replicas goes by the same name.
        let saving = matches!(self.running, Some(JobKind::Save | JobKind::Sync));
        out("loading", Flag((self.loading.is_some() && !self.loading_beside) || self.loading_copy));
        out("async_loading", Flag(self.loading_beside));
        if let Some(l) = &self.loading {
            // A copy that is streamed says how much memory it was, but not how long it is.
            let known = l.total_bytes > 0;
            let percent = if known { l.loaded_bytes as f64 * 100.0 / l.total_bytes as f64 } else { 0.0 };
            let left = l.total_bytes.saturating_sub(l.loaded_bytes).saturating_mul(l.seconds.max(0) as u64);
            let eta = left.checked_div(l.loaded_bytes).filter(|_| known).unwrap_or(1);
            out("loading_start_time", Signed(l.since));
            out("loading_total_bytes", Unsigned(l.total_bytes));
            out("loading_rdb_used_mem", Unsigned(l.used_memory));
            out("loading_loaded_bytes", Unsigned(l.loaded_bytes));
            out("loading_loaded_perc", Float(percent, 2));
            out("loading_eta_seconds", Unsigned(eta));
        }
        // No page is copied: what writers wrote down for the snapshot is what it costs.
        out("current_cow_peak", Unsigned(self.preserved));
        out("current_cow_size", Unsigned(self.preserved));
        out("current_cow_size_age", Unsigned(0));
        let percent = if self.keys_total > 0 { self.keys as f64 * 100.0 / self.keys_total as f64 } else { 0.0 };
        out("current_fork_perc", Float(percent, 2));
        out("current_save_keys_processed", Unsigned(self.keys));
        out("current_save_keys_total", Unsigned(self.keys_total));
        out("rdb_changes_since_last_save", Unsigned(self.changes));
        out("rdb_bgsave_in_progress", Flag(saving));
        out("rdb_last_save_time", Signed(self.last_save_ms / 1000));
        out("rdb_last_bgsave_status", status(self.failed));
        out("rdb_last_bgsave_time_sec", Signed(self.took_seconds.unwrap_or(-1)));
        out("rdb_current_bgsave_time_sec", Signed(self.running_seconds.filter(|_| saving).unwrap_or(-1)));
        out("rdb_saves", Unsigned(self.saves));
        out("rdb_last_cow_size", Unsigned(self.last_preserved));
        out("rdb_last_load_keys_expired", Unsigned(self.expired));
        out("rdb_last_load_keys_loaded", Unsigned(self.loaded));
        let rewriting = self.running == Some(JobKind::Rewrite);
        let pending = self.appendonly && !self.aof_active;
        out("aof_enabled", Flag(self.appendonly));
        out("aof_rewrite_in_progress", Flag(rewriting));
        out("aof_rewrite_scheduled", Flag((self.aof_scheduled || pending) && !rewriting));
        out("aof_last_rewrite_time_sec", Signed(self.aof.last_rewrite_seconds.unwrap_or(-1)));
        out("aof_current_rewrite_time_sec", Signed(self.running_seconds.filter(|_| rewriting).unwrap_or(-1)));
        out("aof_last_bgrewrite_status", status(self.aof.last_rewrite_failed));
        out("aof_rewrites", Unsigned(self.aof.rewrites));
        out("aof_rewrites_consecutive_failures", Unsigned(self.aof.failed_rewrites));
        out("aof_last_write_status", status(self.aof.error.is_some()));
        if self.appendonly {
            out("aof_current_size", Unsigned(self.aof.bytes));
            out("aof_base_size", Unsigned(self.aof.base_bytes));
            out("aof_pending_rewrite", Flag(false));
            out("aof_buffer_length", Unsigned(self.aof.behind));
            out("aof_pending_bio_fsync", Unsigned(0));
            out("aof_delayed_fsync", Unsigned(self.aof.delayed_syncs));
        }
        let backup = self.backup.unwrap_or_default();
        out("last_backup_time", Signed(backup.made_s));
        out("last_backup_age_sec", Signed(self.backup.map_or(-1, |b| (self.now_s - b.made_s).max(0))));
        out("last_backup_status", Text(self.backup.map_or("none", |b| if b.failed { "err" } else { "ok" })));
        out("last_backup_bytes", Unsigned(backup.bytes));
        out("last_backup_duration_sec", Unsigned(backup.seconds));
        for name in ["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"] {
            out(name, Unsigned(0));
        }
    }
}
