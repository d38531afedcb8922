//! INFO replication: names and order are those that Sentinel and other tools parse.

use super::{Facts, Out};
use crate::metrics::Value::{Flag, Float, Signed, Text, Unsigned};

/// The link to a primary.
#[derive(Debug, Default)]
pub struct Link {
    pub host: String,
    pub port: u16,
    pub up: bool,
    /// Seconds since the last byte; -1 while it is down.
    pub last_io_s: i64,
    /// Seconds it has been down; -1 if it never was up.
    pub down_s: i64,
    /// A copy on its way: bytes in all (0: not known), bytes so far, seconds since the last.
    pub sync: Option<(u64, u64, i64)>,
    /// Bytes of the stream that wait for the copy, and the most that ever did.
    pub held: u64,
    pub held_peak: u64,
    /// Bytes that have come and are not applied.
    pub unapplied: u64,
}

/// A replica.
#[derive(Debug)]
pub struct Replica {
    pub address: String,
    pub port: u16,
    pub state: &'static str,
    /// Which of its connections it is.
    pub channel: &'static str,
    pub offset: u64,
    pub lag_s: u64,
}

/// Everything the section says.
#[derive(Debug, Default)]
pub struct Replication {
    pub link: Option<Link>,
    pub replicas: Vec<Replica>,
    pub good_replicas: u32,
    /// Copies that are sent, or were, whose stream nobody has asked for yet.
    pub waiting_psync: u64,
    pub failover: &'static str,
    pub id: String,
    pub before: (String, i64),
    pub offset: u64,
    pub backlog: Option<u64>,
    pub backlog_first: u64,
    pub backlog_len: u64,
    pub loading: bool,
    pub async_loading: bool,
}

impl Replication {
    /// Bytes of a primary's stream that wait for its copy.
    pub fn held_bytes(&self) -> u64 {
        self.link.as_ref().map_or(0, |l| l.held)
    }

    /// Bytes of the stream that are kept: for replicas that come back, for those that read, and those that wait for a copy.
    pub fn stream_bytes(&self) -> u64 {
        self.backlog_len + self.held_bytes()
    }
}

pub(super) fn rows(f: &Facts<'_>, out: Out<'_>) {
    let (r, c) = (f.replication, &f.config.replication);
    out("role", Text(if r.link.is_some() { "slave" } else { "master" }));
    if let Some(l) = &r.link {
        out("master_host", Text(&l.host));
        out("master_port", Unsigned(u64::from(l.port)));
        out("master_link_status", Text(if l.up { "up" } else { "down" }));
        out("master_last_io_seconds_ago", Signed(l.last_io_s));
        out("master_sync_in_progress", Flag(l.sync.is_some()));
        out("slave_read_repl_offset", Unsigned(r.offset + l.unapplied));
        out("slave_repl_offset", Unsigned(r.offset));
        out("replicas_repl_buffer_size", Unsigned(l.held));
        out("replicas_repl_buffer_peak", Unsigned(l.held_peak));
        if let Some((total, read, last_s)) = l.sync {
            out("master_sync_total_bytes", Unsigned(total));
            out("master_sync_read_bytes", Unsigned(read));
            out("master_sync_left_bytes", Signed(total as i64 - read as i64));
            let share = if total > 0 { read as f64 * 100.0 / total as f64 } else { 0.0 };
            out("master_sync_perc", Float(share, 2));
            out("master_sync_last_io_seconds_ago", Signed(last_s));
        }
        if !l.up {
            out("master_link_down_since_seconds", Signed(l.down_s));
        }
        out("slave_priority", Unsigned(u64::from(c.replica_priority)));
        out("slave_read_only", Flag(c.replica_read_only));
        out("replica_announced", Flag(c.replica_announced));
    }
    out("connected_slaves", Unsigned(r.replicas.len() as u64));
    if c.min_replicas_to_write > 0 && c.min_replicas_max_lag_secs > 0 {
        out("min_slaves_good_slaves", Unsigned(u64::from(r.good_replicas)));
    }
    for (n, replica) in r.replicas.iter().enumerate() {
        let line = format!(
            "ip={},port={},state={},offset={},lag={},type={}",
            replica.address, replica.port, replica.state, replica.offset, replica.lag_s, replica.channel
        );
        out(&format!("slave{n}"), Text(&line));
    }
    out("replicas_waiting_psync", Unsigned(r.waiting_psync));
    out("master_failover_state", Text(r.failover));
    out("master_replid", Text(&r.id));
    out("master_replid2", Text(&r.before.0));
    out("master_repl_offset", Unsigned(r.offset));
    out("second_repl_offset", Signed(r.before.1));
    out("repl_backlog_active", Flag(r.backlog.is_some()));
    out("repl_backlog_size", Unsigned(c.repl_backlog_size));
    out("repl_backlog_first_byte_offset", Unsigned(if r.backlog.is_some() { r.backlog_first + 1 } else { 0 }));
    out("repl_backlog_histlen", Unsigned(if r.backlog.is_some() { r.backlog_len } else { 0 }));
}
