//! WAIT: until replicas have what this connection has written.

use crate::client::{BlockRequest, TimeoutReply};
use crate::commands::arguments::integer;
use crate::commands::generic::wait::timeout_ms;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};

const WAIT_SPEC: CommandSpec = CommandSpec::new("wait", 3, Group::Generic, "blocking")
    .acl("connection")
    .since("3.0.0")
    .tips("request_policy:all_shards response_policy:agg_min")
    .args("numreplicas:integer timeout:integer")
    .doc("Waits until replicas have the writes of this connection.", "O(1)");

pub static WAIT: Command = Command::node(WAIT_SPEC, wait);

fn wait(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.node.replication.follower.look().is_following() {
        return Err(CommandError::fixed(
            "ERR WAIT cannot be used with replica instances. Please also note that if a replica is configured to be writable \
             (which is not the default) writes to replicas are just local and are not propagated.",
        ));
    }
    let wanted = integer(cx.args.at(1))?;
    let timeout_ms = timeout_ms(cx.now_ms(), cx.args.at(2))?;
    let offset = cx.client.written;
    let have = cx.node.replication.replicas.acknowledged(offset);
    if i64::try_from(have).unwrap_or(i64::MAX) >= wanted || cx.nested {
        cx.reply.integer(have as i64);
        return Ok(());
    }
    // They tell by themselves once a second; those who wait do not wait for that.
    cx.node.journal.append_talk(&[b"REPLCONF", b"GETACK", b"*"]);
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let timeout_reply = TimeoutReply::Replicas { offset, wanted };
    cx.block = Some(BlockRequest { keys: Vec::new(), timeout_ms, timeout_reply, args: None, needs_key: false });
    Ok(())
}
