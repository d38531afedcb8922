//! Commands on the server: its configuration, its figures, its data as a whole.

mod command;
mod config;
mod debug;
pub(super) mod flush;
pub mod info;
mod latency;
mod logs;
mod lolwut;
mod memory;
mod monitor;
mod node;
pub mod save;
pub mod shutdown;

use super::Command;
pub use debug::permit as permit_debug;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &command::COMMAND,
    &config::CONFIG,
    &info::INFO,
    &info::FIPS,
    &logs::SLOWLOG,
    &logs::COMMANDLOG,
    &latency::LATENCY,
    &memory::MEMORY,
    &debug::DEBUG,
    &lolwut::LOLWUT,
    &node::MODULE,
    &flush::DBSIZE,
    &flush::FLUSHALL,
    &flush::FLUSHDB,
    &flush::SWAPDB,
    &node::TIME,
    &save::SAVE,
    &save::BGSAVE,
    &save::BGREWRITEAOF,
    &shutdown::SHUTDOWN,
    &monitor::MONITOR,
    &node::LASTSAVE,
];

#[cfg(test)]
mod tests {
    use super::COMMANDS;
    use crate::commands::testing::{Bench, NodeBench};
    use crate::commands::{FAMILIES, string};

    #[test]
    fn command_lists_what_works_and_nothing_else() {
        let mut b = NodeBench::new(FAMILIES);
        b.check(&[
            ("command info cluster|slot-stats cluster|migrateslots", "*2\r\n$-1\r\n$-1\r\n"),
            ("command list filterby pattern watc*", "*1\r\n$5\r\nwatch\r\n"),
            ("command list filterby module any", "*0\r\n"),
            ("command getkeys set k v", "*1\r\n$1\r\nk\r\n"),
            ("command getkeys ping", "ERR The command has no key arguments"),
            ("command getkeys nosuch k", "ERR Invalid command specified"),
        ]);
    }

    #[test]
    fn every_row_that_works_can_be_described() {
        let mut b = NodeBench::new(FAMILIES);
        for version in [crate::resp::reply::Version::Resp2, crate::resp::reply::Version::Resp3] {
            b.client.version = version;
            assert!(b.run("command docs").len() > 10_000);
            assert!(b.run("command").len() > 10_000);
        }
    }

    #[test]
    fn debug_is_closed_unless_the_configuration_opens_it() {
        assert!(NodeBench::new(&[COMMANDS]).run("debug sleep 0").starts_with("ERR DEBUG command not allowed."));
    }

    #[test]
    fn config_set_is_all_or_nothing() {
        let mut b = NodeBench::new(&[COMMANDS]);
        assert!(b.run("config set hz 20 maxmemory x").starts_with("ERR CONFIG SET failed"));
        b.check(&[
            ("config get hz", "*2\r\n$2\r\nhz\r\n$2\r\n10\r\n"),
            ("config set hz 20 maxmemory", "ERR syntax error"),
            ("config set hz 20", "+OK\r\n"),
            ("config get hz", "*2\r\n$2\r\nhz\r\n$2\r\n20\r\n"),
        ]);
    }

    #[test]
    fn shutdown_reads_its_words_before_it_ends_anything() {
        let mut b = NodeBench::new(&[COMMANDS]);
        b.check(&[
            ("shutdown foo", "ERR syntax error"),
            ("shutdown save nosave", "ERR syntax error"),
            ("shutdown abort now", "ERR syntax error"),
            ("shutdown abort", "ERR No shutdown in progress."),
        ]);
        assert!(!b.node.shutdown.load(std::sync::atomic::Ordering::Relaxed));
        b.check(&[("shutdown nosave", "")]);
        assert!(b.node.shutdown.load(std::sync::atomic::Ordering::Relaxed));
    }

    #[test]
    fn info_prints_the_sections_asked_for() {
        let mut b = NodeBench::new(&[COMMANDS]);
        let text = b.run("info keyspace CLUSTER nosuch");
        assert!(text.ends_with("# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n\r\n"), "{text}");
        assert!(b.run("info fips").contains("fips_mode:1\r\n"));
        assert_eq!(b.run("info nosuch"), "$0\r\n\r\n");
    }

    #[test]
    fn a_flush_counts_its_keys_and_is_told_even_of_nothing() {
        let mut b = Bench::new(&[COMMANDS, string::COMMANDS]);
        b.check(&[
            ("set a 1", "+OK\r\n"),
            ("set b 2", "+OK\r\n"),
            ("flushdb", "+OK\r\n"),
            ("flushall sync", "+OK\r\n"),
        ]);
        b.check(&[("flushall now", "-ERR syntax error\r\n"), ("get a", "$-1\r\n")]);
        assert_eq!(b.effects, ["set a 1", "set b 2", "flushdb", "flushall sync"]);
    }

    #[test]
    fn swapped_databases_hold_each_others_keys() {
        let mut b = Bench::new(&[COMMANDS, string::COMMANDS]);
        b.check(&[
            ("set a 1", "+OK\r\n"),
            ("swapdb 0 1", "+OK\r\n"),
            ("get a", "$-1\r\n"),
            ("swapdb x 1", "-ERR invalid first DB index\r\n"),
            ("swapdb 0 x", "-ERR invalid second DB index\r\n"),
            ("swapdb 0 16", "-ERR DB index is out of range\r\n"),
        ]);
        b.db = 1;
        b.check(&[("get a", "$1\r\n1\r\n")]);
    }
}
