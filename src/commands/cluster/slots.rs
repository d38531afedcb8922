//! Which slots are this node's, and its epoch.

use super::cluster;
use crate::base::number::parse_i64;
use crate::base::slot::SlotId;
use crate::cluster::Change;
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};

const CLUSTER_ADDSLOTS: CommandSpec =
    CommandSpec::sub("cluster", "addslots", -3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("slot:integer...")
        .doc("Gives slots to this node.", "O(N), N: slots");

const CLUSTER_ADDSLOTSRANGE: CommandSpec =
    CommandSpec::sub("cluster", "addslotsrange", -4, Group::Cluster, "admin stale no_async_loading")
        .since("7.0.0")
        .args("range(start-slot:integer end-slot:integer)...")
        .doc("Gives ranges of slots to this node.", "O(N), N: slots in the ranges");

const CLUSTER_DELSLOTS: CommandSpec =
    CommandSpec::sub("cluster", "delslots", -3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("slot:integer...")
        .doc("Takes slots from their owner, as this node sees it.", "O(N), N: slots");

const CLUSTER_DELSLOTSRANGE: CommandSpec =
    CommandSpec::sub("cluster", "delslotsrange", -4, Group::Cluster, "admin stale no_async_loading")
        .since("7.0.0")
        .args("range(start-slot:integer end-slot:integer)...")
        .doc("Takes ranges of slots from their owner, as this node sees it.", "O(N), N: slots in the ranges");

const CLUSTER_FLUSHSLOTS: CommandSpec =
    CommandSpec::sub("cluster", "flushslots", 2, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .doc("Takes all slots from this node.", "O(1)");

const CLUSTER_SET_CONFIG_EPOCH: CommandSpec =
    CommandSpec::sub("cluster", "set-config-epoch", 3, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .args("config-epoch:integer")
        .doc("Sets the epoch of a new node.", "O(1)");

const CLUSTER_BUMPEPOCH: CommandSpec =
    CommandSpec::sub("cluster", "bumpepoch", 2, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .tips("nondeterministic_output")
        .doc("Raises the configuration epoch.", "O(1)");

const CLUSTER_RESET: CommandSpec = CommandSpec::sub("cluster", "reset", -2, Group::Cluster, "admin noscript stale")
    .since("3.0.0")
    .args("[reset-type{HARD|SOFT}]")
    .doc("Makes this node forget the cluster.", "O(N), N: nodes; a flush of all keys may come with it");

const CLUSTER_SAVECONFIG: CommandSpec =
    CommandSpec::sub("cluster", "saveconfig", 2, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .doc("Writes the cluster's state to disk.", "O(1)");

pub static ADDSLOTS: Command = Command::node(CLUSTER_ADDSLOTS, addslots);
pub static ADDSLOTSRANGE: Command = Command::node(CLUSTER_ADDSLOTSRANGE, addslotsrange);
pub static DELSLOTS: Command = Command::node(CLUSTER_DELSLOTS, delslots);
pub static DELSLOTSRANGE: Command = Command::node(CLUSTER_DELSLOTSRANGE, delslotsrange);
pub static FLUSHSLOTS: Command = Command::node(CLUSTER_FLUSHSLOTS, flushslots);
pub static SET_CONFIG_EPOCH: Command = Command::node(CLUSTER_SET_CONFIG_EPOCH, set_config_epoch);
pub static BUMPEPOCH: Command = Command::node(CLUSTER_BUMPEPOCH, bumpepoch);
pub static RESET: Command = Command::node(CLUSTER_RESET, reset);
pub static SAVECONFIG: Command = Command::node(CLUSTER_SAVECONFIG, saveconfig);

fn slot(arg: &[u8]) -> Result<SlotId, CommandError> {
    parse_i64(arg)
        .and_then(|n| u16::try_from(n).ok())
        .and_then(SlotId::new)
        .ok_or(CommandError::fixed("ERR Invalid or out of range slot"))
}

/// The slots that are named one by one.
fn named(cx: &NodeContext<'_, '_>) -> Result<Vec<SlotId>, CommandError> {
    cx.args.from(2).iter().map(slot).collect()
}

/// The slots that are named by their first and last.
fn in_ranges(cx: &NodeContext<'_, '_>) -> Result<Vec<SlotId>, CommandError> {
    if !cx.args.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity(&cx.entry.name));
    }
    let mut all = Vec::new();
    for i in (2..cx.args.len()).step_by(2) {
        let (first, last) = (slot(cx.args.at(i))?.get(), slot(cx.args.at(i + 1))?.get());
        if first > last {
            return Err(CommandError::err(format_args!(
                "start slot number {first} is greater than end slot number {last}"
            )));
        }
        all.extend((first..=last).filter_map(SlotId::new));
    }
    Ok(all)
}

/// Gives slots to this node, or takes them from it, all or none.
fn change(cx: &mut NodeContext<'_, '_>, slots: &[SlotId], change: Change) -> Outcome {
    cluster(cx)?.change(slots, change).map_err(CommandError::err)?;
    cx.reply.ok();
    Ok(())
}

fn addslots(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let slots = named(cx)?;
    change(cx, &slots, Change::Add)
}

fn addslotsrange(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let slots = in_ranges(cx)?;
    change(cx, &slots, Change::Add)
}

fn delslots(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let slots = named(cx)?;
    change(cx, &slots, Change::Remove)
}

fn delslotsrange(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let slots = in_ranges(cx)?;
    change(cx, &slots, Change::Remove)
}

/// No key may be left in a slot that is nobody's.
fn is_empty(cx: &mut NodeContext<'_, '_>) -> bool {
    let sizes = crate::commands::server::flush::sizes(cx.space);
    sizes.iter().all(|(keys, _)| *keys == 0)
}

fn flushslots(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    if !is_empty(cx) {
        return Err(CommandError::err("DB must be empty to perform CLUSTER FLUSHSLOTS."));
    }
    cluster(cx)?.clear().map_err(CommandError::err)?;
    cx.reply.ok();
    Ok(())
}

fn set_config_epoch(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let this = cluster(cx)?;
    let epoch = integer(cx.args.at(2))?;
    let epoch =
        u64::try_from(epoch).map_err(|_| CommandError::err(format_args!("Invalid config epoch specified: {epoch}")))?;
    this.set_epoch(epoch).map_err(CommandError::err)?;
    cx.reply.ok();
    Ok(())
}

fn bumpepoch(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (raised, epoch) = cluster(cx)?.bump_epoch().map_err(CommandError::err)?;
    cx.reply.status(&format!("{} {epoch}", if raised { "BUMPED" } else { "STILL" }));
    Ok(())
}

fn reset(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let hard = match cx.args.get(2) {
        None => false,
        Some(_) if cx.args.len() > 3 => return Err(cx.syntax_hint()),
        Some(word) if is(word, "HARD") => true,
        Some(word) if is(word, "SOFT") => false,
        Some(_) => return Err(CommandError::Syntax),
    };
    if !is_empty(cx) {
        return Err(CommandError::err("CLUSTER RESET can't be called with master nodes containing keys"));
    }
    cluster(cx)?.reset(hard).map_err(CommandError::err)?;
    cx.reply.ok();
    Ok(())
}

fn saveconfig(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let saved = cluster(cx)?.save();
    saved.map_err(|e| CommandError::err(format_args!("error saving the cluster node config: {e}")))?;
    cx.reply.ok();
    Ok(())
}
