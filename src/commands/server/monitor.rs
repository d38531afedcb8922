//! MONITOR.

use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};

const MONITOR_SPEC: CommandSpec = CommandSpec::new("monitor", 1, Group::Server, "admin noscript loading stale")
    .since("1.0.0")
    .doc("Streams every command the server handles.", "");

pub(super) static MONITOR: Command = Command::node(MONITOR_SPEC, monitor);

fn monitor(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.nested {
        return Err(CommandError::fixed("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if cx.client.monitor {
        // Said again it has no reply: the stream is its reply.
        return Ok(());
    }
    cx.client.monitor = true;
    cx.node.monitors.add(&cx.client.shared);
    cx.reply.ok();
    Ok(())
}
