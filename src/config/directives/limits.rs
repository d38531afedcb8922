//! Limits on what one client may ask for or leave unread.

use crate::config::codec::mem;
use crate::config::row::{Standing, topic};
use crate::config::special::OutputBuffers;
use crate::config::types::{OutputLimit, OutputLimits};
use crate::resp::parser::BULK_LEN_MAX;

const OUTPUT: OutputLimits = OutputLimits {
    normal: OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
    replica: OutputLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_seconds: 60 },
    pubsub: OutputLimit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_seconds: 60 },
};

topic! {
    /// Limits on what one client may ask for or leave unread.
    Limits in limits, "Limits";

    /// Bytes of a client's unfinished command; above it, the client is closed.
    "client-query-buffer-limit" => client_query_buffer_limit: u64 = 1 << 30, mem(1 << 20, i64::MAX as i128), Runtime, Open, Standing::Works;
    /// Bytes of one argument, and of a string that grows. No key, element or string is longer than the most that may be set here, so that what is
    /// written to files can be read again.
    "proto-max-bulk-len" => proto_max_bulk_len: u64 = 512 << 20, mem(1 << 20, BULK_LEN_MAX as i128), Runtime, Open, Standing::Works;
    /// For a class of clients: bytes of unread replies at which it is closed at once, bytes above which it may stay for
    /// the seconds that follow. 0 is no limit. One below 16 kilobytes is that, but for replicas.
    "client-output-buffer-limit" => client_output_buffer_limit: OutputLimits = OUTPUT, OutputBuffers, Runtime, Open, Standing::Works;
}
