//! INFO, FIPS STATUS and FIPS SELFTEST.

use super::flush::sizes;
use crate::base::{clock, memory};
use crate::client::SubscriptionKind;
use crate::commands::{Command, CommandError, Node, NodeContext, Outcome};
use crate::observe::info::{self, Choice, Facts};
use crate::replication::LinkState;
use crate::replication::failover::address_of;
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
    let used_memory = memory::used();
    let choice = Choice::of(cx.args.from(1).iter());
    let node = cx.node;
    let databases = if choice.wants("keyspace") { sizes(cx.space) } else { Vec::new() };
    let names: Vec<&str> = node.commands.all().iter().map(|e| e.name.as_str()).collect();
    let fips = if choice.wants("fips") { node.fips.report().rows() } else { Vec::new() };
    let pause = *node.pause.lock();
    let replication = replication(node);
    let facts = Facts {
        config: cx.config,
        config_file: node.config.file(),
        metrics: &node.metrics,
        clients: &node.clients,
        waiting: &node.waiting,
        scripts: &node.scripts,
        tracking: &node.tracking,
        subscribed: [SubscriptionKind::Channel, SubscriptionKind::Pattern, SubscriptionKind::Shard]
            .map(|kind| node.pubsub.len(kind)),
        freed: &node.freer.counts,
        now_us: clock::wall_us(),
        started_ms: node.started_ms,
        run_id: &node.run_id,
        replication: &replication,
        pause: (pause.until_ms, pause.writes_only),
        dirty: node.dirty.load(Relaxed),
        last_save_ms: node.last_save_ms.load(Relaxed),
        used_memory,
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

/// What INFO says of replication, at this instant.
fn replication(node: &Node) -> info::Replication {
    let this = &node.replication;
    let (identity, look, now) = (this.identity.lock().clone(), this.follower.look(), clock::monotonic_ms());
    let seconds = |since: u64| (now.saturating_sub(since) / 1000) as i64;
    let link = this.follower.following().map(|f| {
        let up = f.state == LinkState::Connected;
        info::Link {
            host: f.host,
            port: f.port,
            up,
            last_io_s: if up { seconds(f.heard_ms) } else { -1 },
            down_s: f.down_since_ms.map_or(-1, seconds),
            sync: f.sync.map(|s| (s.total.unwrap_or(0), s.read, seconds(s.last_ms))),
        }
    });
    let replicas = this.replicas.all().into_iter().map(|r| {
        let (address, port) = address_of(&r);
        let facts = r.facts.lock();
        let lag_s = seconds(facts.acked_at_ms).max(0) as u64;
        info::Replica { address, port, state: facts.phase.name(), offset: facts.acked, lag_s }
    });
    let (before, before_offset) = identity.before_or_none();
    let (backlog, backlog_first, backlog_len) = node.journal.backlog();
    info::Replication {
        link,
        replicas: replicas.collect(),
        good_replicas: this.replicas.good(),
        failover: this.failover.lock().name(),
        before: (before.to_owned(), before_offset),
        id: identity.id,
        offset: node.journal.end(),
        backlog,
        backlog_first,
        backlog_len,
        loading: look.is_loading(),
        async_loading: look.is_loading_beside(),
    }
}

const FIPS_SPEC: CommandSpec = CommandSpec::container("fips", Group::Server, "")
    .since("9.1.0")
    .doc("Groups the commands for the cryptographic module.", "By subcommand");

const FIPS_STATUS_SPEC: CommandSpec = CommandSpec::sub("fips", "status", 2, Group::Server, "loading stale")
    .since("9.1.0")
    .tips("nondeterministic_output")
    .doc("Shows what the start-up gate found.", "O(1)");

const FIPS_SELFTEST_SPEC: CommandSpec =
    CommandSpec::sub("fips", "selftest", 2, Group::Server, "admin noscript loading stale")
        .since("9.1.0")
        .doc("Runs the module's integrity and known-answer tests again.", "O(1)");

const FIPS_HELP_SPEC: CommandSpec = CommandSpec::sub("fips", "help", 2, Group::Server, "loading stale")
    .since("9.1.0")
    .doc("Prints what FIPS can do.", "O(1)");

pub static FIPS: Command = Command::container(
    FIPS_SPEC,
    &[
        &Command::node(FIPS_HELP_SPEC, fips_help),
        &Command::node(FIPS_SELFTEST_SPEC, fips_selftest),
        &Command::node(FIPS_STATUS_SPEC, fips_status),
    ],
);

fn fips_status(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let rows = cx.node.fips.report().rows();
    cx.reply.map(rows.len());
    for (name, value) in rows {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(value.as_bytes());
    }
    Ok(())
}

fn fips_selftest(cx: &mut NodeContext<'_, '_>) -> Outcome {
    crate::crypto::self_test().map_err(CommandError::err)?;
    cx.reply.ok();
    Ok(())
}

fn fips_help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "SELFTEST",
        "    Run the module's integrity and known-answer tests again; a failure ends the process.",
        "STATUS",
        "    Show the module, its certificate and what the start-up gate found.",
    ])
}
