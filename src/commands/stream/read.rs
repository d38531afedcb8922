//! XREAD and XREADGROUP.
//!
//! What is waited for is an entry above an id; for a group, one above the group's last id. A group that goes while somebody reads
//! for it is an answer too: NOGROUP, so that nobody waits for what cannot come.

use super::effects::GroupChanges;
use super::{stream_of, stream_of_mut, strict_id, write_entry, write_id};
use crate::base::number::parse_i64;
use crate::client::TimeoutReply;
use crate::commands::arguments::{Options, integer};
use crate::commands::{Command, CommandError, DataContext, Outcome, Site};
use crate::keyspace::Key;
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group as Family, KeySpec};
use crate::value::stream::{ConsumerId, Direction, Group, Pending, Stream, StreamId};

const XREAD_SPEC: CommandSpec = CommandSpec::new("xread", -4, Family::Stream, "readonly blocking")
    .since("5.0.0")
    .keys(&[KeySpec::keyword("STREAMS", 1, "RO access").range(-1, 1, 2)])
    .args("[COUNT=count:integer] [BLOCK=milliseconds:integer] STREAMS=streams(key:key... id...)")
    .doc("Reads entries after given ids from streams; may wait for them.", "");

pub static XREAD: Command = Command::data(XREAD_SPEC, xread);
fn xread(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (call, site) = (Call::parse(cx, false)?, cx.site);
    let mut after = Vec::with_capacity(call.streams);
    for i in 0..call.streams {
        let (key, text) = (call.key(cx, i), call.id_text(cx, i));
        if cx.passes_over(key) {
            after.push(StreamId::MAX);
            continue;
        }
        let record = cx.space.find(key);
        let stream = match record.as_deref().map(stream_of).transpose() {
            // As good as none; see `DataContext::unless_served`.
            Err(_) if site == Site::Served => None,
            stream => stream?,
        };
        after.push(match text {
            b"$" => stream.map_or(StreamId::MIN, |s| s.last_id),
            // The last entry is what comes after the id before it; one that was deleted is not replaced by another.
            b"+" => stream.and_then(|s| s.last_id.prev()).unwrap_or(StreamId::MIN),
            b">" => {
                return Err(CommandError::fixed(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                ));
            }
            text => strict_id(text, 0)?,
        });
    }
    let (head, mut served) = (cx.reply.deferred(), 0);
    for (i, after) in after.iter().enumerate() {
        let key = call.key(cx, i);
        if cx.passes_over(key) {
            continue;
        }
        let reply = &mut *cx.reply;
        let Some(record) = cx.space.look(key) else { continue };
        let Ok(stream) = stream_of(&record) else { continue };
        let Some(from) = after.next().filter(|from| stream.last_living().is_some_and(|last| last >= *from)) else {
            continue;
        };
        write_name(reply, key.name);
        let (list, mut written) = (reply.deferred(), 0);
        for entry in stream.range(from, StreamId::MAX, Direction::Forward).take(call.count) {
            write_entry(reply, &entry);
            written += 1;
        }
        reply.finish_array(list, written);
        served += 1;
    }
    if served > 0 {
        finish(cx.reply, head, served);
        return Ok(());
    }
    wait(cx, &call, |i, text| (text == b"$").then(|| after[i]));
    Ok(())
}

const XREADGROUP_SPEC: CommandSpec = CommandSpec::new("xreadgroup", -7, Family::Stream, "write blocking")
    .since("5.0.0")
    .keys(&[KeySpec::keyword("STREAMS", 4, "RO access").range(-1, 1, 2)])
    .args(
        "GROUP=group-block(group consumer) [COUNT=count:integer] [BLOCK=milliseconds:integer] \
        [NOACK] STREAMS=streams(key:key... id...)",
    )
    .doc("Reads entries for a consumer of a group; may wait for them.", "O(M) per stream, M: entries returned");

/// Where a reader of a group goes on.
#[derive(Clone, Copy)]
enum After {
    /// `>`: what the group has not seen.
    New,
    /// What this consumer has not acknowledged, above an id.
    Own(StreamId),
}

pub static XREADGROUP: Command = Command::data(XREADGROUP_SPEC, xreadgroup);
fn xreadgroup(cx: &mut DataContext<'_, '_>) -> Outcome {
    let call = Call::parse(cx, true)?;
    let Some((group, consumer)) = call.group else {
        return Err(CommandError::fixed("ERR Missing GROUP option for XREADGROUP"));
    };
    let mut after = Vec::with_capacity(call.streams);
    for i in 0..call.streams {
        let (key, text) = (call.key(cx, i), call.id_text(cx, i));
        if cx.passes_over(key) {
            after.push(After::New);
            continue;
        }
        let record = cx.space.find(key);
        // A reader of a group does not wait until a key of another type has become a stream again.
        let stream = record.as_deref().map(stream_of).transpose().map_err(|_| CommandError::WrongTargetType)?;
        if stream.and_then(|s| s.group(group)).is_none() {
            let text = [
                b"NOGROUP No such key '",
                key.name,
                b"' or consumer group '",
                group,
                b"' in XREADGROUP with GROUP option",
            ];
            return Err(CommandError::Bytes(text.concat()));
        }
        after.push(match text {
            b">" => After::New,
            b"$" => {
                return Err(CommandError::fixed(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
                ));
            }
            b"+" => {
                return Err(CommandError::fixed(
                    "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.",
                ));
            }
            text => match strict_id(text, 0)? {
                // Above the last id there is nothing of one's own.
                StreamId::MAX => After::New,
                id => After::Own(id),
            },
        });
    }
    let now_ms = cx.now_ms();
    cx.space.no_effect();
    let (head, mut served) = (cx.reply.deferred(), 0);
    for (i, after) in after.into_iter().enumerate() {
        let key = call.key(cx, i);
        if cx.passes_over(key) {
            continue;
        }
        let reply = &mut *cx.reply;
        let mut changes = GroupChanges::new(cx.space.journaled);
        let Some(mut record) = cx.space.find_mut(key) else { continue };
        let stream = stream_of_mut(&mut record)?;
        let last = stream.last_living();
        let Some(of_group) = stream.group_mut(group) else { continue };
        let id = changes.consumer(of_group, consumer, now_ms);
        let answered = match after {
            After::Own(after) => {
                write_name(reply, key.name);
                read_own(reply, stream, group, id, after, call.count, now_ms);
                true
            }
            After::New if last.is_some_and(|last| last > of_group.last_id) => {
                write_name(reply, key.name);
                read_new(reply, stream, group, (!call.no_ack).then_some(id), call.count, now_ms, &mut changes);
                true
            }
            After::New => false,
        };
        drop(record);
        served += usize::from(answered);
        cx.space.changes.dirty += u64::from(answered);
        changes.tell(cx, key, group);
    }
    if served > 0 {
        finish(cx.reply, head, served);
        return Ok(());
    }
    wait(cx, &call, |_, _| None);
    Ok(())
}

/// Reads what is new to the group; it is pending for `consumer`, if one is given, afterwards.
fn read_new(
    reply: &mut Reply,
    stream: &mut Stream,
    name: &[u8],
    consumer: Option<ConsumerId>,
    count: usize,
    now_ms: i64,
    changes: &mut GroupChanges,
) {
    let from = stream.group(name).and_then(|g| g.last_id.next());
    let (list, mut read) = (reply.deferred(), Vec::new());
    if let Some(from) = from {
        for entry in stream.range(from, StreamId::MAX, Direction::Forward).take(count) {
            write_entry(reply, &entry);
            read.push(entry.id);
        }
    }
    reply.finish_array(list, read.len());
    for id in read {
        stream.advance(name, id);
        let (Some(consumer), Some(group)) = (consumer, stream.group_mut(name)) else { continue };
        let pending = Pending { consumer, delivered_ms: now_ms, deliveries: 1 };
        group.put(id, pending);
        group.consumer_mut(consumer).active_ms = Some(now_ms);
        changes.delivered(group, id, &pending, group.last_id);
    }
    changes.place = stream.group(name).map(|g: &Group| (g.last_id, g.entries_read));
}

/// Reads what a consumer has not acknowledged; what is gone from the stream is told without its fields.
fn read_own(
    reply: &mut Reply,
    stream: &mut Stream,
    name: &[u8],
    consumer: ConsumerId,
    after: StreamId,
    count: usize,
    now_ms: i64,
) {
    let own: Vec<StreamId> = match (after.next(), stream.group(name)) {
        (Some(from), Some(group)) => group.consumer(consumer).pending().range(from..).take(count).copied().collect(),
        _ => Vec::new(),
    };
    reply.array(own.len());
    for id in own {
        let there = match stream.get(id) {
            Some(entry) => {
                write_entry(reply, &entry);
                true
            }
            None => {
                reply.array(2);
                write_id(reply, id);
                reply.null_array();
                false
            }
        };
        if let Some(group) = stream.group_mut(name).filter(|_| there) {
            group.deliver_again(id, now_ms);
        }
    }
}

/// A stream's name in the reply: RESP3 has a map of streams, RESP2 a list of pairs.
fn write_name(reply: &mut Reply, name: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(name);
}

fn finish(reply: &mut Reply, head: crate::resp::reply::Deferred, streams: usize) {
    if reply.is_resp3() { reply.finish_map(head, streams) } else { reply.finish_array(head, streams) }
}

/// Waits, if the call says so; with the ids that `fixed` gives in place of the words that only now mean something.
fn wait(cx: &mut DataContext<'_, '_>, call: &Call<'_>, fixed: impl Fn(usize, &[u8]) -> Option<StreamId>) {
    let Some(timeout_ms) = call.block_ms else {
        cx.reply.null_array();
        return;
    };
    let keys: Vec<&[u8]> = (0..call.streams).map(|i| cx.args.at(call.first + i)).collect();
    cx.block_on(&keys, timeout_ms, TimeoutReply::NullArray);
    if let Some(block) = &mut cx.block {
        block.needs_key = call.group.is_some();
        let ids_from = call.first + call.streams;
        let mut own = OwnedArgs::default();
        for (at, word) in cx.args.iter().enumerate() {
            match at.checked_sub(ids_from).and_then(|i| fixed(i, word)) {
                Some(id) => own.push(id.text().as_bytes()),
                None => own.push(word),
            }
        }
        block.args = Some(own);
    }
}

/// The words of a call but for the ids.
struct Call<'a> {
    group: Option<(&'a [u8], &'a [u8])>,
    count: usize,
    block_ms: Option<u64>,
    no_ack: bool,
    /// Where the first key stands.
    first: usize,
    streams: usize,
}

impl<'a> Call<'a> {
    fn parse(cx: &DataContext<'a, '_>, of_group: bool) -> Result<Call<'a>, CommandError> {
        let mut call = Call { group: None, count: usize::MAX, block_ms: None, no_ack: false, first: 0, streams: 0 };
        let only_for_groups = |option: &str| {
            CommandError::err(format_args!(
                "The {option} option is only supported by XREADGROUP. You called XREAD instead."
            ))
        };
        let words = &mut Options::new(cx.args, 1);
        while words.left() > 0 {
            if words.left() > 1 && words.take("BLOCK") {
                call.block_ms = Some(timeout(words.value()?)?);
            } else if words.left() > 1 && words.take("COUNT") {
                // Nothing to limit by is as no limit.
                call.count = usize::try_from(integer(words.value()?)?).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
            } else if words.left() > 1 && words.take("STREAMS") {
                let left = words.left();
                if !left.is_multiple_of(2) {
                    let special = if of_group { '>' } else { '$' };
                    return Err(CommandError::err(format_args!(
                        "Unbalanced '{}' list of streams: for each stream key an ID or '{special}' must be specified.",
                        cx.command_name()
                    )));
                }
                (call.first, call.streams) = (cx.args.len() - left, left / 2);
                break;
            } else if words.left() > 2 && words.take("GROUP") {
                if !of_group {
                    return Err(only_for_groups("GROUP"));
                }
                call.group = Some((words.value()?, words.value()?));
            } else if words.take("NOACK") {
                if !of_group {
                    return Err(only_for_groups("NOACK"));
                }
                call.no_ack = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if call.streams == 0 { Err(CommandError::Syntax) } else { Ok(call) }
    }

    fn key(&self, cx: &DataContext<'a, '_>, i: usize) -> Key<'a> {
        Key::new(cx.db, cx.args.at(self.first + i))
    }

    fn id_text(&self, cx: &DataContext<'a, '_>, i: usize) -> &'a [u8] {
        cx.args.at(self.first + self.streams + i)
    }
}

/// Milliseconds to wait; 0 waits for ever.
fn timeout(text: &[u8]) -> Result<u64, CommandError> {
    let wrong = CommandError::fixed("ERR timeout is not an integer or out of range");
    let ms = parse_i64(text).ok_or(wrong)?;
    u64::try_from(ms).map_err(|_| CommandError::fixed("ERR timeout is negative"))
}
