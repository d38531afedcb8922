//! What waits for its acknowledgement: XACK, XPENDING.

use super::{ids, no_group, range_end, range_start, stream_of, stream_of_mut, write_id};
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group as Family, KeySpec};

const XACK_SPEC: CommandSpec = CommandSpec::new("xack", -4, Family::Stream, "write fast")
    .since("5.0.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .args("key:key group id...")
    .doc("Marks messages as handled by their group.", "O(1) per id");

pub static XACK: Command = Command::data(XACK_SPEC, xack);
fn xack(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, name) = (cx.key(1), cx.args.at(2));
    let ids = ids(cx, 3);
    let mut acknowledged = 0;
    if let Some(mut record) = cx.space.find_mut(key)
        && let Some(group) = stream_of_mut(&mut record)?.group_mut(name)
    {
        acknowledged = ids?.into_iter().filter(|id| group.remove(*id).is_some()).count();
    }
    // Nobody watches or waits for an acknowledgement, and no event tells of it.
    cx.space.changes.dirty += acknowledged as u64;
    cx.reply.integer(acknowledged as i64);
    Ok(())
}

const XPENDING_SPEC: CommandSpec = CommandSpec::new("xpending", -3, Family::Stream, "readonly")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Option `IDLE` and exclusive bounds.")])
    .args(
        "key:key group [filters([IDLE=min-idle-time:integer@6.2.0] start end count:integer \
        [consumer])]",
    )
    .doc("Shows what a group delivered and nobody acknowledged.", "O(N), N: messages returned");

pub static XPENDING: Command = Command::data(XPENDING_SPEC, xpending);
fn xpending(cx: &mut DataContext<'_, '_>) -> Outcome {
    match cx.args.len() {
        3 => summary(cx),
        6..=9 => list(cx),
        _ => Err(CommandError::Syntax),
    }
}

fn summary(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, name, reply) = (cx.key(1), cx.args.at(2), &mut *cx.reply);
    let Some(record) = cx.space.find(key) else { return Err(no_group(key.name, name)) };
    let group = stream_of(&record)?.group(name).ok_or_else(|| no_group(key.name, name))?;
    let pending = group.pending();
    reply.array(4);
    reply.integer(pending.len() as i64);
    let (Some((first, _)), Some((last, _))) = (pending.first_key_value(), pending.last_key_value()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return Ok(());
    };
    write_id(reply, *first);
    write_id(reply, *last);
    let busy = || group.consumers().filter(|c| !c.pending().is_empty());
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending().len() as i64);
    }
    Ok(())
}

fn list(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (mut at, mut idle_min) = (3, 0);
    if is(cx.args.at(3), "IDLE") {
        idle_min = integer(cx.args.at(4))?;
        if cx.args.len() < 8 {
            return Err(CommandError::Syntax);
        }
        at = 5;
    }
    let count = usize::try_from(integer(cx.args.at(at + 2))?).unwrap_or(0);
    let (from, to) = (range_start(cx.args.at(at))?, range_end(cx.args.at(at + 1))?);
    let consumer = cx.args.get(at + 3);
    let (key, name, now_ms) = (cx.key(1), cx.args.at(2), cx.now_ms());
    let reply = &mut *cx.reply;
    let Some(record) = cx.space.find(key) else { return Err(no_group(key.name, name)) };
    let group = stream_of(&record)?.group(name).ok_or_else(|| no_group(key.name, name))?;
    let (head, mut written) = (reply.deferred(), 0);
    let mut write = |id, p: &crate::value::stream::Pending| {
        let idle = now_ms.saturating_sub(p.delivered_ms).max(0);
        if idle < idle_min || written == count {
            return written < count;
        }
        reply.array(4);
        write_id(reply, id);
        reply.bulk(group.consumer(p.consumer).name());
        reply.integer(idle);
        reply.integer(p.deliveries as i64);
        written += 1;
        written < count
    };
    // Nothing lies between ends that are the wrong way round.
    let in_order = from <= to && count > 0;
    match consumer {
        _ if !in_order => {}
        None => {
            let _ = group.pending().range(from..=to).all(|(id, p)| write(*id, p));
        }
        Some(consumer) => {
            if let Some(consumer) = group.find(consumer) {
                let own = group.consumer(consumer).pending().range(from..=to);
                let _ = own.filter_map(|id| Some((id, group.pending().get(id)?))).all(|(id, p)| write(*id, p));
            }
        }
    }
    reply.finish_array(head, written);
    Ok(())
}
