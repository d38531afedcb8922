//! Command log and latency: what is remembered about slow and large commands.

use crate::config::codec::{LONG, LONG_OR_OFF, YesNo};
use crate::config::row::{Standing, topic};
use crate::config::special::Percents;
use crate::config::types::Percentiles;

topic! {
    /// What is remembered about slow and large commands.
    Latency in latency, "Command log and latency";

    /// Microseconds from which a command is logged as slow; 0 logs all, -1 none.
    "commandlog-execution-slower-than" | "slowlog-log-slower-than" => commandlog_execution_slower_than_us: i64 = 10_000, LONG_OR_OFF, Runtime, Open, Standing::Works;
    /// Length of the log of slow commands.
    "commandlog-slow-execution-max-len" | "slowlog-max-len" => commandlog_slow_execution_max_len: u64 = 128, LONG, Runtime, Open, Standing::Works;
    /// Bytes from which a request is logged as large; -1 logs none.
    "commandlog-request-larger-than" => commandlog_request_larger_than: i64 = 1 << 20, LONG_OR_OFF, Runtime, Open, Standing::Works;
    /// Length of the log of large requests.
    "commandlog-large-request-max-len" => commandlog_large_request_max_len: u64 = 128, LONG, Runtime, Open, Standing::Works;
    /// Bytes from which a reply is logged as large; -1 logs none.
    "commandlog-reply-larger-than" => commandlog_reply_larger_than: i64 = 1 << 20, LONG_OR_OFF, Runtime, Open, Standing::Works;
    /// Length of the log of large replies.
    "commandlog-large-reply-max-len" => commandlog_large_reply_max_len: u64 = 128, LONG, Runtime, Open, Standing::Works;
    /// Milliseconds from which an event is kept for LATENCY; 0 keeps none.
    "latency-monitor-threshold" => latency_monitor_threshold_ms: u64 = 0, LONG, Runtime, Open, Standing::Works;
    /// Keep a histogram for each command.
    "latency-tracking" => latency_tracking: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Percentiles INFO latencystats shows.
    "latency-tracking-info-percentiles" => latency_tracking_info_percentiles: Percentiles = Percentiles(vec![50.0, 99.0, 99.9]), Percents, Runtime, Open, Standing::Works;
}
