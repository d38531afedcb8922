//! INFO, FIPS STATUS and FIPS SELFTEST.

use super::flush::sizes;
use crate::base::clock;
use crate::commands::{Command, NodeContext, Outcome};
use crate::observe::info::{self, Choice, Facts};
use crate::spec::{CommandSpec, Group};
use std::sync::atomic::Ordering::Relaxed;

const INFO_SPEC: CommandSpec = CommandSpec::new("info", -1, Group::Server, "loading stale")
    .acl("dangerous")
    .since("1.0.0")
    .tips("nondeterministic_output request_policy:all_shards response_policy:special")
    .history(&[("7.0.0", "Several sections in one call.")])
    .args("[section...]")
    .doc("Prints figures about the server.", "O(1)");
// A span: it counts keys, and must not take locks of its own while EXEC holds some.
pub static INFO: Command = Command::span(INFO_SPEC, run);

fn run(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let choice = Choice::of(cx.args.from(1).iter());
    let node = cx.node;
    let databases = if choice.wants("keyspace") { sizes(cx.space) } else { Vec::new() };
    let names: Vec<&str> = node.commands.all().iter().map(|e| e.name.as_str()).collect();
    let fips = if choice.wants("fips") { node.fips.report().rows() } else { Vec::new() };
    let pause = *node.pause.lock();
    let replication_id = node.replication_id.lock().clone();
    let facts = Facts {
        config: cx.config,
        config_file: node.config.file(),
        metrics: &node.metrics,
        clients: &node.clients,
        waiting: &node.waiting,
        freed: &node.freer.counts,
        now_us: clock::wall_us(),
        started_ms: node.started_ms,
        run_id: &node.run_id,
        replication_id: &replication_id,
        pause: (pause.until_ms, pause.writes_only),
        dirty: node.dirty.load(Relaxed),
        last_save_ms: node.last_save_ms.load(Relaxed),
        baseline_memory: node.baseline_memory.load(Relaxed),
        output_memory: node.output_memory.load(Relaxed),
        peak_memory: node.peak_memory.load(Relaxed),
        command_names: &names,
        databases: &databases,
        fips: &fips,
    };
    let text = info::print(&facts, choice);
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}
