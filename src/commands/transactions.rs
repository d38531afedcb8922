//! MULTI and its family: rows only, the engine runs them.

use super::Command;
use super::table::TransactionCommand;
use crate::spec::{CommandSpec, Group, KeySpec};

const MULTI_SPEC: CommandSpec =
    CommandSpec::new("multi", 1, Group::Transactions, "noscript loading stale fast no_multi allow_busy")
        .since("1.2.0")
        .doc("Begins a transaction.", "O(1)");

const EXEC_SPEC: CommandSpec =
    CommandSpec::new("exec", 1, Group::Transactions, "noscript loading stale skip_commandlog")
        .since("1.2.0")
        .doc("Runs the commands queued in a transaction.", "As the commands");

const DISCARD_SPEC: CommandSpec =
    CommandSpec::new("discard", 1, Group::Transactions, "noscript loading stale fast allow_busy")
        .since("2.0.0")
        .doc("Drops the commands queued in a transaction.", "O(N), N: commands queued");

const WATCH_SPEC: CommandSpec =
    CommandSpec::new("watch", -2, Group::Transactions, "noscript loading stale fast no_multi allow_busy")
        .since("2.2.0")
        .keys(&[KeySpec::index(1, "RO").range(-1, 1, 0)])
        .args("key:key...")
        .doc("Makes the next transaction depend on keys staying as they are.", "O(1) per key");

const UNWATCH_SPEC: CommandSpec =
    CommandSpec::new("unwatch", 1, Group::Transactions, "noscript loading stale fast allow_busy")
        .since("2.2.0")
        .doc("Stops watching keys.", "O(1)");
/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::transaction(MULTI_SPEC, TransactionCommand::Multi),
    &Command::transaction(EXEC_SPEC, TransactionCommand::Exec),
    &Command::transaction(DISCARD_SPEC, TransactionCommand::Discard),
    &Command::transaction(WATCH_SPEC, TransactionCommand::Watch),
    &Command::transaction(UNWATCH_SPEC, TransactionCommand::Unwatch),
];
