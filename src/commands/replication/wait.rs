//! WAIT and WAITAOF: until replicas, and disks, have what this connection has written.

use crate::client::{BlockRequest, TimeoutReply};
use crate::commands::arguments::{integer, integer_in};
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::replication::NO_LOG;
use crate::spec::{CommandSpec, Group};

const WAIT_SPEC: CommandSpec = CommandSpec::new("wait", 3, Group::Generic, "blocking")
    .acl("connection")
    .since("3.0.0")
    .tips("request_policy:all_shards response_policy:agg_min")
    .args("numreplicas:integer timeout:integer")
    .doc("Waits until replicas have the writes of this connection.", "O(1)");

const WAITAOF_SPEC: CommandSpec = CommandSpec::new("waitaof", 4, Group::Generic, "blocking")
    .acl("connection")
    .since("7.2.0")
    .tips("request_policy:all_shards response_policy:agg_min")
    .args("numlocal:integer numreplicas:integer timeout:integer")
    .doc("Waits until the writes of this connection are on disk, here and on replicas.", "O(1)");

pub static WAIT: Command = Command::node(WAIT_SPEC, wait);
pub static WAITAOF: Command = Command::node(WAITAOF_SPEC, waitaof);

/// A timeout in milliseconds, whose end the clock can still tell.
fn timeout_ms(now_ms: i64, arg: &[u8]) -> Result<u64, CommandError> {
    let ms = integer(arg).map_err(|_| CommandError::fixed("ERR timeout is not an integer or out of range"))?;
    if ms.checked_add(now_ms).is_none() {
        return Err(CommandError::fixed("ERR timeout is out of range"));
    }
    u64::try_from(ms).map_err(|_| CommandError::fixed("ERR timeout is negative"))
}

/// Where what this connection has written ends. An offset that the journal has not come to is of a history that this server has left: of that
/// nothing is waited for.
fn written(cx: &NodeContext<'_, '_>) -> u64 {
    cx.client.written.min(cx.node.journal.end())
}

fn wait(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.node.replication.follower.look().is_following() {
        return Err(CommandError::fixed(
            "ERR WAIT cannot be used with replica instances. Please also note that if a replica is configured to be writable \
             (which is not the default) writes to replicas are just local and are not propagated.",
        ));
    }
    let wanted = integer(cx.args.at(1))?;
    let timeout_ms = timeout_ms(cx.now_ms(), cx.args.at(2))?;
    let offset = written(cx);
    let have = cx.node.replication.replicas.acknowledged(offset);
    if i64::try_from(have).unwrap_or(i64::MAX) >= wanted || cx.nested {
        cx.reply.integer(have as i64);
        return Ok(());
    }
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    ask_and_wait(cx, timeout_ms, TimeoutReply::Replicas { offset, wanted });
    Ok(())
}

fn waitaof(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let range = CommandError::fixed("ERR value is out of range, value must between 0 and 1");
    let here = integer_in(cx.args.at(1), 0, 1, range)? == 1;
    let wanted = integer(cx.args.at(2)).ok().filter(|n| *n >= 0).ok_or(CommandError::MustBePositive)?;
    let timeout_ms = timeout_ms(cx.now_ms(), cx.args.at(3))?;
    if cx.node.replication.follower.look().is_following() {
        return Err(CommandError::fixed(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and \
             are not propagated.",
        ));
    }
    let log = cx.node.log();
    if here && log.is_none() {
        return Err(CommandError::fixed(NO_LOG));
    }
    let offset = written(cx);
    let is_here = log.is_some_and(|synced| synced >= offset);
    let have = cx.node.replication.replicas.synced(offset);
    let enough = i64::try_from(have).unwrap_or(i64::MAX) >= wanted && (is_here || !here);
    if enough || cx.nested {
        cx.reply.array(2);
        cx.reply.integer(i64::from(is_here));
        cx.reply.integer(have as i64);
        return Ok(());
    }
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    ask_and_wait(cx, timeout_ms, TimeoutReply::Disks { offset, here, wanted });
    Ok(())
}

/// Asks the replicas how far they are, and waits.
pub(in crate::commands) fn ask_and_wait(cx: &mut NodeContext<'_, '_>, timeout_ms: u64, timeout_reply: TimeoutReply) {
    // They tell by themselves once a second; those who wait do not wait for that.
    if !cx.node.replication.replicas.is_empty() {
        cx.node.journal.append_talk(&[b"REPLCONF", b"GETACK", b"*"]);
    }
    cx.block = Some(BlockRequest { keys: Vec::new(), timeout_ms, timeout_reply, args: None, needs_key: false });
}
