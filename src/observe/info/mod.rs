//! INFO: sections of `name:value` rows.
//!
//! Each section is a function over [`Facts`]; INFO prints what it says, and whoever else wants the figures (a metrics endpoint) calls the
//! same function and gets typed values. Names and their order are those that tools parse.
//!
//! Must never know: a handler, the table of commands. What it needs of those is handed in.

mod memory;

mod node;
mod replication;
mod stats;
mod tls;

pub use memory::{Memory, ratio, system_memory};
pub use replication::{Link, Replica, Replication};

use crate::client::{Registry, Tracking, WaitList};
use crate::config::Config;
use crate::keyspace::FreeCounts;
use crate::metrics::Value;
use crate::metrics::recorder::Metrics;
use std::path::Path;

/// Everything sections read, gathered by the caller at one instant.
pub struct Facts<'a> {
    pub config: &'a Config,
    pub config_file: Option<&'a Path>,
    pub metrics: &'a Metrics,
    pub clients: &'a Registry,
    pub waiting: &'a WaitList,
    pub scripts: &'a crate::script::Scripts,
    pub tracking: &'a Tracking,
    /// Channels, patterns and shard channels with subscribers.
    pub subscribed: [usize; 3],
    /// Connections that MIGRATE keeps.
    pub migrate_sockets: usize,
    /// Keys that clients of this server as a replica have changed: it has to see to their deadlines itself.
    pub own_keys: usize,
    /// Snapshots and rewrites.
    pub jobs_begun: u64,
    pub freed: &'a FreeCounts,
    /// Microseconds since the epoch.
    pub now_us: i64,
    /// ms since the epoch.
    pub started_ms: i64,
    /// An end that waits for replicas waits this long at the most.
    pub shutdown_in_ms: Option<u64>,
    pub run_id: &'a str,
    pub replication: &'a Replication,
    /// ms since the epoch until which clients are paused; 0 if nobody is. And whether only writes are, and whether that is for a handover.
    pub pause: (i64, bool, bool),
    /// Connections of the cluster bus, and bytes of theirs.
    pub bus: (u64, u64),
    /// What is saved, and how it went: its owner's rows.
    pub persistence: &'a dyn crate::metrics::Section,
    /// Bytes in use when the question came.
    pub used_memory: u64,
    /// Bytes in use before the first client came, in clients' output, and at the most.
    pub baseline_memory: u64,
    pub output_memory: u64,
    pub peak_memory: u64,
    /// Names of commands by number.
    pub command_names: &'a [&'a str],
    pub databases: &'a [crate::keyspace::Standing],
    pub tls: &'a crate::net::tls::facts::Facts,
    pub audit: &'a crate::audit::Audit,
    /// Bytes that the append-only file has still to take from the journal.
    pub aof_behind: u64,
    /// Microseconds in its writes and syncs.
    pub aof_us: u64,
    /// Rows of the FIPS report.
    pub fips: &'a [(&'static str, String)],
}

/// Where a section's rows go.
pub type Out<'o> = &'o mut dyn FnMut(&str, Value<'_>);

/// A section.
pub struct Section {
    /// As it is asked for, in lower case.
    pub name: &'static str,
    /// As its heading says.
    pub title: &'static str,
    /// Part of INFO without arguments.
    pub by_default: bool,
    pub rows: fn(&Facts<'_>, Out<'_>),
}

/// All sections in the order they are printed.
pub static SECTIONS: &[Section] = &[
    Section { name: "server", title: "Server", by_default: true, rows: node::server },
    Section { name: "fips", title: "FIPS", by_default: true, rows: node::fips },
    Section { name: "clients", title: "Clients", by_default: true, rows: node::clients },
    Section { name: "memory", title: "Memory", by_default: true, rows: memory::rows },
    Section { name: "persistence", title: "Persistence", by_default: true, rows: |f, out| f.persistence.rows(out) },
    Section { name: "stats", title: "Stats", by_default: true, rows: stats::rows },
    Section { name: "replication", title: "Replication", by_default: true, rows: replication::rows },
    Section { name: "cpu", title: "CPU", by_default: true, rows: node::cpu },
    Section { name: "tls", title: "TLS", by_default: true, rows: tls::rows },
    Section { name: "audit", title: "Audit", by_default: true, rows: node::audit },
    Section { name: "modules", title: "Modules", by_default: true, rows: |_, _| {} },
    Section { name: "commandstats", title: "Commandstats", by_default: false, rows: stats::commands },
    Section { name: "errorstats", title: "Errorstats", by_default: true, rows: stats::errors },
    Section { name: "latencystats", title: "Latencystats", by_default: false, rows: stats::latencies },
    Section { name: "cluster", title: "Cluster", by_default: true, rows: node::cluster },
    Section { name: "keyspace", title: "Keyspace", by_default: true, rows: node::keyspace },
    Section { name: DEBUG, title: "Debug", by_default: false, rows: stats::debug },
];

/// The one section that `all` and `everything` leave out.
const DEBUG: &str = "debug";

/// Which sections are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Choice(u32);

impl Choice {
    /// The sections of these words, in any case; words that name none are passed over. No words ask for the default.
    pub fn of<'w>(words: impl ExactSizeIterator<Item = &'w [u8]>) -> Choice {
        let some = |take: &dyn Fn(&Section) -> bool| {
            SECTIONS.iter().enumerate().filter(|(_, s)| take(s)).fold(0, |bits, (i, _)| bits | 1 << i)
        };
        if words.len() == 0 {
            return Choice(some(&|s| s.by_default));
        }
        Choice(words.fold(0, |bits, word| {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            bits | if is("all") || is("everything") {
                some(&|s| s.name != DEBUG)
            } else if is("default") {
                some(&|s| s.by_default)
            } else {
                some(&|s| is(s.name))
            }
        }))
    }

    /// True if this section is asked for.
    pub fn wants(self, name: &str) -> bool {
        SECTIONS.iter().enumerate().any(|(i, s)| s.name == name && self.0 & 1 << i != 0)
    }
}

/// The text of INFO.
pub fn print(facts: &Facts<'_>, choice: Choice) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(4096);
    for (i, s) in SECTIONS.iter().enumerate() {
        if choice.0 & 1 << i == 0 {
            continue;
        }
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        let _ = write!(out, "# {}\r\n", s.title);
        (s.rows)(facts, &mut |name, value| {
            let _ = write!(out, "{name}:{value}\r\n");
        });
    }
    out
}

/// A size as people read it: `919.60K`.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut n = bytes as f64 / 1024.0;
    for (i, unit) in UNITS.iter().enumerate() {
        if n < 1024.0 || i + 1 == UNITS.len() {
            return format!("{n:.2}{unit}");
        }
        n /= 1024.0;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let choice = Choice::of(words.iter().map(|w| w.as_bytes()));
        SECTIONS.iter().map(|s| s.name).filter(|n| choice.wants(n)).collect()
    }

    #[test]
    fn sections_are_asked_for_by_name_in_any_case_and_printed_in_their_own_order() {
        assert_eq!(names(&["keyspace", "CPU", "nosuch"]), ["cpu", "keyspace"]);
        assert!(!names(&[]).contains(&"commandstats") && names(&[]).contains(&"errorstats"));
        assert_eq!(names(&["default"]), names(&[]));
        assert_eq!(names(&["all"]).len(), SECTIONS.len() - 1);
        assert_eq!(names(&["debug"]), [DEBUG]);
        assert_eq!(names(&["everything"]), names(&["all"]));
        assert!(names(&["nosuch"]).is_empty());
    }

    #[test]
    fn sizes_print_as_people_read_them() {
        for (bytes, text) in
            [(0, "0B"), (336, "336B"), (1024, "1.00K"), (941_672, "919.60K"), (25_276_510_208, "23.54G")]
        {
            assert_eq!(human(bytes), text);
        }
    }
}
