//! SYNC, PSYNC, REPLCONF: how a replica attaches.
//!
//! Every synchronisation is a full one: the data set as an RDB, then the stream. PSYNC's offer to continue is declined by FULLRESYNC.

use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::keyspace::Plan;
use crate::persist::rdb;
use crate::spec::{CommandSpec, Group};
use std::sync::atomic::Ordering;

pub static SYNC: Command = Command::node(
    CommandSpec::new("sync", 1, Group::Server, "admin noscript no_async_loading no_multi")
        .since("1.0.0")
        .doc("Asks for a full copy and the changes after it.", ""),
    sync,
);

pub static PSYNC: Command = Command::node(
    CommandSpec::new("psync", -3, Group::Server, "admin noscript no_async_loading no_multi")
        .since("2.8.0")
        .args("replicationid offset:integer")
        .doc("Asks for the stream of changes from an offset on.", ""),
    psync,
);

pub static REPLCONF: Command = Command::node(
    CommandSpec::new("replconf", -1, Group::Server, "admin noscript loading stale allow_busy")
        .since("3.0.0")
        .system()
        .doc("Tells a primary about its replica, and the other way round.", "O(1)"),
    replconf,
);

fn sync(cx: &mut NodeContext<'_, '_>) -> Outcome {
    attach(cx, false)
}

fn psync(cx: &mut NodeContext<'_, '_>) -> Outcome {
    attach(cx, true)
}

fn attach(cx: &mut NodeContext<'_, '_>, announce: bool) -> Outcome {
    if cx.client.shared.replica.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    cx.space.lock(&Plan::All);
    let mut data = Vec::new();
    let format = crate::persist::snapshot::format(cx.config, cx.space.access);
    // Into memory: there is no output that could fail.
    let written = rdb::write(cx.space, &mut data, &format);
    if let Err(e) = written {
        cx.space.unlock();
        return Err(CommandError::err(format_args!("the data set could not be written: {e}")));
    }
    // Under the same locks as the copy: the first change after it is the first of the stream.
    let bytes_max = cx.config.limits.client_output_buffer_limit.replica.hard_bytes;
    cx.node.replicas.add(cx.client, &cx.node.journal, &cx.node.clients, bytes_max);
    let offset = cx.node.journal.end();
    cx.space.unlock();
    tracing::info!("Replica {} asks for synchronization: {} bytes of data", cx.client.shared.addr, data.len());
    if announce {
        cx.reply.status(&format!("FULLRESYNC {} {offset}", cx.node.replication_id.lock()));
    }
    cx.reply.raw(format!("${}\r\n", data.len()).as_bytes());
    cx.reply.raw(&data);
    Ok(())
}

fn replconf(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    if cx.args.get(1).is_some_and(|a| is(a, "ACK")) {
        // Acknowledgements are not answered.
        return Ok(());
    }
    for i in (1..cx.args.len()).step_by(2) {
        let word = cx.args.at(i);
        let known = ["listening-port", "ip-address", "capa", "version", "rdb-only", "rdb-filter-only"];
        if !known.iter().any(|k| word.eq_ignore_ascii_case(k.as_bytes())) {
            return Err(CommandError::err(format_args!(
                "Unrecognized REPLCONF option: {}",
                String::from_utf8_lossy(&word[..word.len().min(64)])
            )));
        }
    }
    cx.reply.ok();
    Ok(())
}
