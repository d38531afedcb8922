//! Which slots are whose, and this node's epoch.

use super::{cluster, order, order_whole};
use crate::base::number::parse_i64;
use crate::base::slot::SlotId;
use crate::client::{Source, TimeoutReply};
use crate::cluster::node::NodeId;
use crate::cluster::{Change, SetSlot, drop_keys};
use crate::commands::arguments::{integer, is};
use crate::commands::replication::ask_and_wait;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{CommandSpec, DatabaseUse, Group};

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

const CLUSTER_SETSLOT: CommandSpec =
    CommandSpec::sub("cluster", "setslot", -4, Group::Cluster, "admin stale no_async_loading")
        .since("3.0.0")
        .history(&[("8.0.0", "Option `TIMEOUT`.")])
        .args(
            "slot:integer subcommand{IMPORTING=importing/node-id/ | MIGRATING=migrating/node-id/ | \
        NODE=node/node-id/ | STABLE} [TIMEOUT=timeout:integer@8.0.0]",
        )
        .doc("Says who owns a slot, or that it is on its way.", "O(1)");

const CLUSTER_FLUSHSLOT: CommandSpec =
    CommandSpec::sub("cluster", "flushslot", -3, Group::Cluster, "write admin no_async_loading arbitrary_keys")
        .acl("keyspace")
        .databases(DatabaseUse::All)
        .since("9.0.0")
        .args("slot:integer [flush-type{ASYNC|SYNC}]")
        .doc("Removes every key of a slot.", "O(N), N: keys in the slot");

pub static ADDSLOTS: Command = Command::node(CLUSTER_ADDSLOTS, addslots);
pub static ADDSLOTSRANGE: Command = Command::node(CLUSTER_ADDSLOTSRANGE, addslotsrange);
pub static DELSLOTS: Command = Command::span(CLUSTER_DELSLOTS, delslots);
pub static DELSLOTSRANGE: Command = Command::span(CLUSTER_DELSLOTSRANGE, delslotsrange);
pub static FLUSHSLOTS: Command = Command::span(CLUSTER_FLUSHSLOTS, flushslots);
pub static SET_CONFIG_EPOCH: Command = Command::node(CLUSTER_SET_CONFIG_EPOCH, set_config_epoch);
pub static BUMPEPOCH: Command = Command::node(CLUSTER_BUMPEPOCH, bumpepoch);
pub static RESET: Command = Command::span(CLUSTER_RESET, reset);
pub static SAVECONFIG: Command = Command::node(CLUSTER_SAVECONFIG, saveconfig);
pub static SETSLOT: Command = Command::span(CLUSTER_SETSLOT, setslot);
pub static FLUSHSLOT: Command = Command::span(CLUSTER_FLUSHSLOT, flushslot);

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

/// Gives slots to this node, or takes them from their owners, all or none.
fn change(cx: &mut NodeContext<'_, '_>, slots: &[SlotId], change: Change) -> Outcome {
    match change {
        Change::Add => order(cx, |m| m.change(slots, change))?,
        Change::Remove => order_whole(cx, |m, _| m.change(slots, change))?,
    }
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
    order_whole(cx, |m, _| {
        m.clear();
        Ok(())
    })?;
    cx.reply.ok();
    Ok(())
}

fn set_config_epoch(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let epoch = integer(cx.args.at(2))?;
    let epoch =
        u64::try_from(epoch).map_err(|_| CommandError::err(format_args!("Invalid config epoch specified: {epoch}")))?;
    order(cx, |m| m.set_epoch(epoch))?;
    cx.reply.ok();
    Ok(())
}

fn bumpepoch(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (raised, epoch) = order(cx, |m| Ok(m.bump_epoch()))?;
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
    let replica = cluster(cx)?.look(|m| !m.myself().is_primary());
    if !replica && !is_empty(cx) {
        return Err(CommandError::err("CLUSTER RESET can't be called with master nodes containing keys"));
    }
    order_whole(cx, |m, _| {
        m.reset(hard);
        Ok(())
    })?;
    if replica {
        drop_copy(cx);
    }
    cx.reply.ok();
    Ok(())
}

/// What a replica has is a copy of what it does not follow any more.
pub(super) fn drop_copy(cx: &mut NodeContext<'_, '_>) {
    super::whole(cx, |cx| {
        let (keys, flushed) = cx.space.flush(None);
        cx.space.changes.dirty += keys as u64;
        cx.space.replace_effect(0, &[b"FLUSHALL"]);
        cx.space.changes.flushed = Some((flushed, false));
        cx.node.journal.append(&mut cx.space.changes.effects);
    });
}

fn saveconfig(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let saved = cluster(cx)?.save();
    saved.map_err(|e| CommandError::err(format_args!("error saving the cluster node config: {e}")))?;
    cx.reply.ok();
    Ok(())
}

fn keys_in(cx: &mut NodeContext<'_, '_>, slot: SlotId) -> bool {
    let stripe = crate::keyspace::stripe_of(slot);
    let mut any = false;
    for db in 0..cx.space.databases() {
        cx.with_stripe(stripe, |space, _| {
            let table = &space.stripe(stripe).database(db).table;
            table.for_each(|record| any |= crate::base::slot::slot_of(record.name()) == slot);
        });
    }
    any
}

const SETSLOT_WRONG: CommandError =
    CommandError::fixed("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");

/// The node that SETSLOT names; one that is no id is not known either.
fn setslot_action(cx: &NodeContext<'_, '_>) -> Result<(SetSlot, usize), CommandError> {
    let word = cx.args.at(3);
    if is(word, "STABLE") {
        return Ok((SetSlot::Stable, 4));
    }
    let Some(name) = cx.args.get(4) else { return Err(SETSLOT_WRONG) };
    let shown = || String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
    let id = NodeId::parse(name);
    let action = if is(word, "MIGRATING") {
        SetSlot::Migrating(id.ok_or_else(|| CommandError::err(format_args!("I don't know about node {}", shown())))?)
    } else if is(word, "IMPORTING") {
        SetSlot::Importing(id.ok_or_else(|| CommandError::err(format_args!("I don't know about node {}", shown())))?)
    } else if is(word, "NODE") {
        SetSlot::Node(id.ok_or_else(|| CommandError::err(format_args!("Unknown node {}", shown())))?)
    } else {
        return Err(SETSLOT_WRONG);
    };
    Ok((action, 5))
}

/// How long replicas are waited for if nobody says, in milliseconds.
const SETSLOT_TIMEOUT_MS: u64 = 2000;

/// A replica that takes over has to know which slots are on their way, and which have come: so it hears of it first, and the primary does it once
/// all replicas that follow have said that they have heard.
fn setslot(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let slot = slot(cx.args.at(2))?;
    let (action, used) = setslot_action(cx)?;
    let timeout_ms = setslot_timeout(cx, used)?;
    let told = cx.client.source == Source::Primary;
    if !told && cluster(cx)?.look(|m| !m.myself().is_primary()) {
        return Err(CommandError::fixed("ERR You can use SETSLOT only with masters."));
    }
    let has_waited = std::mem::take(&mut cx.client.has_waited);
    // With every stripe held nobody is in the middle of a command in the slot.
    super::whole(cx, |cx| {
        let keys = keys_in(cx, slot);
        if told {
            order_whole(cx, |m, _| {
                m.follow_slot(slot, action, keys);
                Ok(())
            })?;
        } else if !has_waited {
            cluster(cx)?.look(|m| m.may_set_slot(slot, action, keys)).map_err(CommandError::err)?;
        }
        if cx.node.journal.is_read() && !has_waited {
            // So that a replica that takes over knows what was on its way.
            let words: Vec<&[u8]> = cx.args.iter().take(used).collect();
            let offset = cx.node.journal.append_talk(&words);
            let wanted = cx.node.replication.replicas.online();
            if !told && !cx.nested && wanted > 0 {
                ask_and_wait(cx, timeout_ms, TimeoutReply::Run { offset, wanted });
                return Ok(());
            }
        }
        if !told {
            order_whole(cx, |m, _| m.set_slot(slot, action, keys))?;
        }
        cx.reply.ok();
        Ok(())
    })
}

/// How long replicas are waited for, in milliseconds.
fn setslot_timeout(cx: &NodeContext<'_, '_>, used: usize) -> Result<u64, CommandError> {
    let Some(word) = cx.args.get(used) else { return Ok(SETSLOT_TIMEOUT_MS) };
    if !is(word, "TIMEOUT") {
        return Err(SETSLOT_WRONG);
    }
    let value = cx.args.get(used + 1).ok_or(CommandError::fixed("ERR Missing timeout value"))?;
    let ms = parse_i64(value).ok_or(CommandError::fixed("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CommandError::fixed("ERR timeout is negative"))?;
    if cx.args.len() > used + 2 {
        return Err(SETSLOT_WRONG);
    }
    Ok(ms)
}

fn flushslot(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let slot = slot(cx.args.at(2))?;
    match (cx.args.len(), cx.args.get(3)) {
        (3, _) => {}
        (4, Some(word)) if is(word, "SYNC") || is(word, "ASYNC") => {}
        _ => return Err(CommandError::Syntax),
    }
    if !cx.space.is_whole() {
        cx.space.lock(&crate::keyspace::Plan::All);
    }
    // Left locked: the engine commits what it has changed.
    drop_keys(cx.space, std::iter::once(slot), false);
    cx.reply.ok();
    Ok(())
}
