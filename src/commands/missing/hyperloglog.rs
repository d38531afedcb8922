//! HyperLogLogs.

use super::Command;
use crate::spec::{CommandSpec, Group, KeySpec};

const PFADD: CommandSpec = CommandSpec::new("pfadd", -2, Group::HyperLogLog, "write denyoom fast")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RW insert")])
    .args("key:key [element...]")
    .doc("Adds elements to a HyperLogLog, which is created if missing.", "O(1) per element");

const PFCOUNT: CommandSpec = CommandSpec::new("pfcount", -2, Group::HyperLogLog, "readonly may_replicate")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RW access")
        .range(-1, 1, 0)
        .notes("The cached count, and with it the value, may change.")])
    .args("key:key...")
    .doc("Estimates how many distinct elements the HyperLogLogs saw.", "O(1) for one key, O(N) for N keys");

const PFDEBUG: CommandSpec = CommandSpec::new("pfdebug", 3, Group::HyperLogLog, "write denyoom admin")
    .since("2.8.9")
    .system()
    .keys(&[KeySpec::index(2, "RW access")])
    .args("subcommand key:key")
    .doc("Looks inside a HyperLogLog.", "As the subcommand");

const PFMERGE: CommandSpec = CommandSpec::new("pfmerge", -2, Group::HyperLogLog, "write denyoom")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RW access insert"), KeySpec::index(2, "RO access").range(-1, 1, 0)])
    .args("destkey:key [sourcekey:key#1...]")
    .doc("Merges HyperLogLogs into one.", "O(N), N: keys");

const PFSELFTEST: CommandSpec = CommandSpec::new("pfselftest", 1, Group::HyperLogLog, "admin")
    .since("2.8.9")
    .system()
    .doc("Tests the HyperLogLog code.", "Seconds");

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::missing(PFADD, "HyperLogLogs"),
    &Command::missing(PFCOUNT, "HyperLogLogs"),
    &Command::missing(PFDEBUG, "HyperLogLogs"),
    &Command::missing(PFMERGE, "HyperLogLogs"),
    &Command::missing(PFSELFTEST, "HyperLogLogs"),
];
