//! Taking over what others have not acknowledged: XCLAIM, XAUTOCLAIM.

use super::effects::GroupChanges;
use super::{no_group, range_start, stream_of_mut, strict_id, write_entry, write_id};
use crate::commands::arguments::{Options, integer};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group as Family, KeySpec};
use crate::value::stream::{Pending, Stream, StreamId};

const XCLAIM_SPEC: CommandSpec = CommandSpec::new("xclaim", -6, Family::Stream, "write fast")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RW update")])
    .args(
        "key:key group consumer min-idle-time id... [IDLE=ms:integer] \
        [TIME=unix-time-milliseconds:unix-time] [RETRYCOUNT=count:integer] [FORCE] [JUSTID] \
        [LASTID=lastid]",
    )
    .doc("Takes over pending messages by id.", "O(log(N)), N: pending messages of the group");

/// What XCLAIM is asked for.
#[derive(Default)]
struct ClaimOptions {
    ids: Vec<StreamId>,
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(cx: &DataContext<'_, '_>) -> Result<ClaimOptions, CommandError> {
        let mut o = ClaimOptions::default();
        let number = |text: &[u8], option: &str| {
            integer(text).map_err(|_| CommandError::err(format_args!("Invalid {option} option argument for XCLAIM")))
        };
        let words = &mut Options::new(cx.args, 5);
        while let Some(id) = words.peek().and_then(|text| StreamId::parse(text, 0)) {
            o.ids.push(id);
            words.next();
        }
        while words.left() > 0 {
            let more = words.left() > 1;
            if words.take("FORCE") {
                o.force = true;
            } else if words.take("JUSTID") {
                o.just_id = true;
            } else if more && words.take("IDLE") {
                o.delivered_ms = Some(cx.now_ms().saturating_sub(number(words.value()?, "IDLE")?));
            } else if more && words.take("TIME") {
                o.delivered_ms = Some(number(words.value()?, "TIME")?);
            } else if more && words.take("RETRYCOUNT") {
                // Below zero it is as if it were not there.
                o.deliveries = u64::try_from(number(words.value()?, "RETRYCOUNT")?).ok();
            } else if more && words.take("LASTID") {
                o.last_id = strict_id(words.value()?, 0)?;
            } else {
                let word = words.value()?;
                return Err(CommandError::Bytes([b"ERR Unrecognized XCLAIM option '", word, b"'"].concat()));
            }
        }
        Ok(o)
    }
}

fn idle_min(cx: &DataContext<'_, '_>, command: &str) -> Result<i64, CommandError> {
    let wrong = |_| CommandError::err(format_args!("Invalid min-idle-time argument for {command}"));
    Ok(integer(cx.args.at(4)).map_err(wrong)?.max(0))
}

/// True if it was delivered too lately to be taken over.
fn is_young(pending: &Pending, idle_min: i64, now_ms: i64) -> bool {
    idle_min > 0 && now_ms.saturating_sub(pending.delivered_ms) < idle_min
}

fn write(reply: &mut Reply, stream: &Stream, id: StreamId, just_id: bool) {
    match stream.get(id) {
        Some(entry) if !just_id => write_entry(reply, &entry),
        _ => write_id(reply, id),
    }
}

/// Drops a pending entry that is gone from the stream; true if there was one.
fn drop_gone(stream: &mut Stream, name: &[u8], id: StreamId, changes: &mut GroupChanges) -> bool {
    let Some(group) = stream.group_mut(name) else { return false };
    let Some(pending) = group.pending().get(&id).copied() else { return false };
    // Whoever follows does not find the entry either, and drops it as well.
    changes.delivered(group, id, &pending, group.last_id);
    group.remove(id);
    true
}

pub static XCLAIM: Command = Command::data(XCLAIM_SPEC, xclaim);
fn xclaim(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, name, consumer_name, now_ms) = (cx.key(1), cx.args.at(2), cx.args.at(3), cx.now_ms());
    let mut changes = GroupChanges::new(cx.space.journaled);
    let Some(mut record) = cx.space.find_mut(key) else { return Err(no_group(key.name, name)) };
    let stream = stream_of_mut(&mut record)?;
    if stream.group(name).is_none() {
        return Err(no_group(key.name, name));
    }
    drop(record);
    let idle_min = idle_min(cx, "XCLAIM")?;
    let o = ClaimOptions::parse(cx)?;
    let delivered_ms = o.delivered_ms.filter(|ms| (0..=now_ms).contains(ms)).unwrap_or(now_ms);

    let reply = &mut *cx.reply;
    let Some(mut record) = cx.space.find_mut(key) else { return Err(no_group(key.name, name)) };
    let stream = stream_of_mut(&mut record)?;
    let Some(group) = stream.group_mut(name) else { return Err(no_group(key.name, name)) };
    let moved = o.last_id > group.last_id;
    group.last_id = group.last_id.max(o.last_id);
    let consumer = changes.consumer(group, consumer_name, now_ms);
    let (head, mut claimed, mut dropped) = (reply.deferred(), 0, 0);
    for id in o.ids {
        if stream.get(id).is_none() {
            dropped += u64::from(drop_gone(stream, name, id, &mut changes));
            continue;
        }
        let Some(group) = stream.group_mut(name) else { break };
        let before = group.pending().get(&id).copied();
        let deliveries = match before {
            Some(p) if is_young(&p, idle_min, now_ms) => continue,
            Some(p) => p.deliveries,
            None if o.force => 1,
            None => continue,
        };
        let deliveries = match o.deliveries {
            Some(n) => n,
            None if o.just_id => deliveries,
            None => deliveries.saturating_add(1),
        };
        let pending = Pending { consumer, delivered_ms, deliveries };
        group.put(id, pending);
        group.consumer_mut(consumer).active_ms = Some(now_ms);
        changes.delivered(group, id, &pending, group.last_id);
        write(reply, stream, id, o.just_id);
        claimed += 1;
    }
    reply.finish_array(head, claimed);
    if moved && claimed == 0 && dropped == 0 {
        // Deliveries would have told it.
        changes.place = stream.group(name).map(|g| (g.last_id, g.entries_read));
    }
    drop(record);
    cx.space.changes.dirty += claimed as u64 + dropped + u64::from(changes.place.is_some());
    changes.tell(cx, key, name);
    Ok(())
}

const XAUTOCLAIM_SPEC: CommandSpec = CommandSpec::new("xautoclaim", -6, Family::Stream, "write fast")
    .since("6.2.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RW delete")])
    .history(&[("7.0.0", "The reply names pending ids whose entries are gone.")])
    .args("key:key group consumer min-idle-time start [COUNT=count:integer] [JUSTID]")
    .doc("Takes over messages that waited too long, found by a walk over the group.", "O(1) for a small `COUNT`");

/// Entries that are looked at for each that is asked for: so a call ends although most are too young.
const ATTEMPTS_PER_ENTRY: i64 = 10;

pub static XAUTOCLAIM: Command = Command::data(XAUTOCLAIM_SPEC, xautoclaim);
fn xautoclaim(cx: &mut DataContext<'_, '_>) -> Outcome {
    const COUNT_MAX: i64 = i64::MAX / size_of::<StreamId>() as i64;
    let idle_min = idle_min(cx, "XAUTOCLAIM")?;
    let start = range_start(cx.args.at(5))?;
    let (mut count, mut just_id) = (100, false);
    let words = &mut Options::new(cx.args, 6);
    while words.left() > 0 {
        if words.left() > 1 && words.take("COUNT") {
            let asked = integer(words.value()?).ok().filter(|n| (1..=COUNT_MAX).contains(n));
            count = asked.ok_or(CommandError::fixed("ERR COUNT must be > 0"))?;
        } else if words.take("JUSTID") {
            just_id = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let (key, name, consumer_name, now_ms) = (cx.key(1), cx.args.at(2), cx.args.at(3), cx.now_ms());
    let mut changes = GroupChanges::new(cx.space.journaled);
    let reply = &mut *cx.reply;
    let Some(mut record) = cx.space.find_mut(key) else { return Err(no_group(key.name, name)) };
    let stream = stream_of_mut(&mut record)?;
    let Some(group) = stream.group_mut(name) else { return Err(no_group(key.name, name)) };
    let consumer = changes.consumer(group, consumer_name, now_ms);

    let mut attempts = count.saturating_mul(ATTEMPTS_PER_ENTRY);
    let (mut claimed, mut gone, mut next) = (Vec::new(), Vec::new(), Some(start));
    while attempts > 0 && count > 0 {
        attempts -= 1;
        let (Some(from), Some(group)) = (next, stream.group_mut(name)) else { break };
        let Some((&id, &before)) = group.pending().range(from..).next() else { break };
        next = id.next();
        if stream.get(id).is_none() {
            drop_gone(stream, name, id, &mut changes);
            gone.push(id);
            count -= 1;
            continue;
        }
        let Some(group) = stream.group_mut(name) else { break };
        if is_young(&before, idle_min, now_ms) {
            continue;
        }
        let deliveries = if just_id { before.deliveries } else { before.deliveries.saturating_add(1) };
        let pending = Pending { consumer, delivered_ms: now_ms, deliveries };
        group.put(id, pending);
        group.consumer_mut(consumer).active_ms = Some(now_ms);
        changes.delivered(group, id, &pending, group.last_id);
        claimed.push(id);
        count -= 1;
    }
    let cursor = next.zip(stream.group(name)).and_then(|(from, g)| g.pending().range(from..).next());
    reply.array(3);
    write_id(reply, cursor.map_or(StreamId::MIN, |(id, _)| *id));
    reply.array(claimed.len());
    for id in &claimed {
        write(reply, stream, *id, just_id);
    }
    reply.array(gone.len());
    for id in &gone {
        write_id(reply, *id);
    }
    drop(record);
    cx.space.changes.dirty += (claimed.len() + gone.len()) as u64;
    changes.tell(cx, key, name);
    Ok(())
}
