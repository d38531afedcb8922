//! INFO, FIPS STATUS and FIPS SELFTEST.

use crate::base::{clock, memory};
use crate::client::SubscriptionKind;
use crate::commands::{Command, CommandError, Node, NodeContext, Outcome};
use crate::config::Config;
use crate::keyspace::{STRIPES, Space, Standing};
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
    let databases = if choice.wants("keyspace") { standings(cx.space) } else { Vec::new() };
    let text = with_facts(cx.node, cx.config, used_memory, &databases, |facts| info::print(facts, choice));
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// What there is in each database: under the locks that are held, or one lock at a time.
fn standings(space: &mut Space<'_>) -> Vec<Standing> {
    let now = space.now_ms();
    if !space.is_whole() {
        return space.keyspace().standings(now);
    }
    let mut sums = vec![Standing::default(); space.databases() as usize];
    for n in 0..STRIPES as u16 {
        space.stripe(n).add_standing(&mut sums, now);
    }
    sums
}

/// Gathers what INFO and the metrics say, for one reading. It takes no stripe's lock: the caller has counted `databases`.
pub fn with_facts<R>(
    node: &Node,
    config: &Config,
    used_memory: u64,
    databases: &[Standing],
    read: impl FnOnce(&Facts<'_>) -> R,
) -> R {
    let names: Vec<&str> = node.commands.all().iter().map(|e| e.name.as_str()).collect();
    let fips = fips_rows(node);
    let tls = node.tls.read().clone();
    let pause = *node.pause.lock();
    let replication = replication(node);
    let copy =
        (replication.loading || replication.async_loading).then(|| node.replication.follower.loading()).flatten();
    let mut saving = node.saver.report(config, &node.aof, copy.as_deref().unwrap_or(&node.loading));
    (saving.loading_copy, saving.loading_beside) = (replication.loading, replication.async_loading);
    let facts = Facts {
        config,
        config_file: node.config.file(),
        metrics: &node.metrics,
        clients: &node.clients,
        waiting: &node.waiting,
        scripts: &node.scripts,
        tracking: &node.tracking,
        migrate_sockets: node.migrations.cached(),
        subscribed: [SubscriptionKind::Channel, SubscriptionKind::Pattern, SubscriptionKind::Shard]
            .map(|kind| node.pubsub.len(kind)),
        own_keys: node.keyspace.own_keys(),
        jobs_begun: saving.begun,
        freed: &node.freer.counts,
        now_us: clock::wall_us(),
        started_ms: node.started_ms,
        shutdown_in_ms: node.ending.lock().as_ref().map(|e| e.until_ms.saturating_sub(clock::monotonic_ms()).max(1)),
        run_id: &node.run_id,
        replication: &replication,
        pause: (pause.until_ms, pause.writes_only, pause.failover),
        bus: node.cluster.as_ref().map_or((0, 0), |c| c.look(|m| m.links_held())),
        persistence: &saving,
        used_memory,
        baseline_memory: node.baseline_memory.load(Relaxed),
        output_memory: node.memory_on_its_way(),
        peak_memory: node.peak_memory.load(Relaxed),
        command_names: &names,
        tls: &tls,
        audit: &node.audit,
        aof_behind: node.aof.figures().behind,
        aof_us: node.aof.busy_us.load(Relaxed),
        databases,
        fips: &fips,
    };
    read(&facts)
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
            held: f.held,
            held_peak: f.held_peak,
            unapplied: f.unapplied,
        }
    });
    let replicas = this.replicas.all().into_iter().map(|r| {
        let (address, port) = address_of(&r);
        let facts = r.facts.lock();
        let lag_s = seconds(facts.acked_at_ms).max(0) as u64;
        info::Replica { address, port, state: facts.phase.name(), channel: facts.channel(), offset: facts.acked, lag_s }
    });
    let (before, before_offset) = identity.before_or_none();
    let (backlog, backlog_first, backlog_len) = node.journal.backlog();
    info::Replication {
        link,
        replicas: replicas.collect(),
        waiting_psync: this.replicas.pairs.waiting() as u64,
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

/// What the gate found, and what has changed since.
fn fips_rows(node: &Node) -> Vec<(&'static str, String)> {
    let mut rows = node.fips.report().rows();
    let last = node.fips.last_self_test();
    for (name, value) in &mut rows {
        if *name == "fips_tracer_pid" {
            // A tracer may come at any time.
            *value = crate::fips::tracer_now().to_string();
        }
    }
    rows.push(("fips_self_test_last_result", if last.passed { "passed" } else { "failed" }.to_owned()));
    rows.push(("fips_self_test_age_seconds", ((clock::wall_ms() - last.time_ms).max(0) / 1000).to_string()));
    rows.push(("fips_self_test_duration_us", last.duration_us.to_string()));
    rows.push(("fips_self_tests_run", last.runs.to_string()));
    rows
}

fn fips_status(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let rows = fips_rows(cx.node);
    cx.reply.map(rows.len());
    for (name, value) in rows {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(value.as_bytes());
    }
    Ok(())
}

fn fips_selftest(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let outcome = cx.node.fips.self_test();
    tracing::info!("FIPS VALIDATION: self-test on demand: {}", if outcome.is_ok() { "passed" } else { "FAILED" });
    outcome.map_err(CommandError::err)?;
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
