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
        let saving = self.running == Some(JobKind::Save);
        out("loading", Flag(false));
        out("async_loading", Flag(false));
        // Nothing is copied on write: the classic names stay for those who read them.
        for name in ["current_cow_peak", "current_cow_size", "current_cow_size_age"] {
            out(name, Unsigned(0));
        }
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
        out("rdb_last_cow_size", Unsigned(0));
        out("rdb_last_load_keys_expired", Unsigned(self.expired));
        out("rdb_last_load_keys_loaded", Unsigned(self.loaded));
        out("aof_enabled", Flag(self.appendonly));
        out("aof_rewrite_in_progress", Flag(self.running == Some(JobKind::Rewrite)));
        out("aof_rewrite_scheduled", Flag(false));
        out("aof_last_rewrite_time_sec", Signed(-1));
        out("aof_current_rewrite_time_sec", Signed(-1));
        out("aof_last_bgrewrite_status", Text("ok"));
        out("aof_rewrites", Unsigned(0));
        out("aof_rewrites_consecutive_failures", Unsigned(0));
        out("aof_last_write_status", Text("ok"));
        for name in ["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"] {
            out(name, Unsigned(0));
        }
    }
}
