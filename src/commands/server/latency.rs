//! LATENCY: what took longer than `latency-monitor-threshold`, and how long commands take.

use crate::commands::{Command, CommandError, Entry, NodeContext, Outcome};
use crate::metrics::histogram::Summary;
use crate::spec::{CommandSpec, Group};

const LATENCY_SPEC: CommandSpec = CommandSpec::container("latency", Group::Server, "")
    .since("2.8.13")
    .doc("Groups the commands for latency events.", "By subcommand");

const LATENCY_DOCTOR_SPEC: CommandSpec =
    CommandSpec::sub("latency", "doctor", 2, Group::Server, "admin noscript loading stale")
        .since("2.8.13")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special")
        .doc("Explains in words what made the server slow.", "O(1)");

const LATENCY_GRAPH_SPEC: CommandSpec =
    CommandSpec::sub("latency", "graph", 3, Group::Server, "admin noscript loading stale")
        .since("2.8.13")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special")
        .args("event")
        .doc("Draws the history of a latency event.", "O(1)");

const LATENCY_HELP_SPEC: CommandSpec = CommandSpec::sub("latency", "help", 2, Group::Server, "loading stale")
    .since("2.8.13")
    .doc("Prints what LATENCY can do.", "O(1)");

const LATENCY_HISTOGRAM_SPEC: CommandSpec =
    CommandSpec::sub("latency", "histogram", -2, Group::Server, "admin noscript loading stale")
        .since("7.0.0")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special")
        .args("[command...]")
        .doc("Prints how long commands took, as cumulative counts.", "O(N), N: commands with figures");

const LATENCY_HISTORY_SPEC: CommandSpec =
    CommandSpec::sub("latency", "history", 3, Group::Server, "admin noscript loading stale")
        .since("2.8.13")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special")
        .args("event")
        .doc("Prints the samples of a latency event.", "O(1)");

const LATENCY_LATEST_SPEC: CommandSpec =
    CommandSpec::sub("latency", "latest", 2, Group::Server, "admin noscript loading stale")
        .since("2.8.13")
        .tips("nondeterministic_output request_policy:all_nodes response_policy:special")
        .doc("Prints the last sample of each latency event.", "O(1)");

const LATENCY_RESET_SPEC: CommandSpec =
    CommandSpec::sub("latency", "reset", -2, Group::Server, "admin noscript loading stale")
        .since("2.8.13")
        .tips("request_policy:all_nodes response_policy:agg_sum")
        .args("[event...]")
        .doc("Forgets the samples of latency events.", "O(1)");
pub static LATENCY: Command = Command::container(
    LATENCY_SPEC,
    &[
        &Command::node(LATENCY_DOCTOR_SPEC, doctor),
        &Command::node(LATENCY_GRAPH_SPEC, graph),
        &Command::node(LATENCY_HELP_SPEC, help),
        &Command::node(LATENCY_HISTOGRAM_SPEC, histogram),
        &Command::node(LATENCY_HISTORY_SPEC, history),
        &Command::node(LATENCY_LATEST_SPEC, latest),
        &Command::node(LATENCY_RESET_SPEC, reset),
    ],
);

fn doctor(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let text = cx.node.metrics.latency.doctor(cx.config.latency.commandlog_execution_slower_than_us);
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn graph(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let event = cx.args.at(2);
    match cx.node.metrics.latency.graph(event, cx.now_ms() / 1000) {
        Some(text) => cx.reply.verbatim("txt", text.as_bytes()),
        None => return Err(CommandError::Bytes([b"ERR No samples available for event '", event, b"'"].concat())),
    }
    Ok(())
}

fn history(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let samples = cx.node.metrics.latency.history(cx.args.at(2));
    cx.reply.array(samples.len());
    for s in samples {
        cx.reply.array(2);
        cx.reply.integer(s.time_s);
        cx.reply.integer(i64::from(s.latency_ms));
    }
    Ok(())
}

fn latest(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let rows = cx.node.metrics.latency.latest();
    cx.reply.array(rows.len());
    for r in rows {
        cx.reply.array(6);
        cx.reply.bulk(r.event.as_bytes());
        cx.reply.integer(r.last.time_s);
        cx.reply.integer(i64::from(r.last.latency_ms));
        cx.reply.integer(i64::from(r.worst_ms));
        cx.reply.integer(r.sum_ms as i64);
        cx.reply.integer(r.count as i64);
    }
    Ok(())
}

fn reset(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let names: Vec<&[u8]> = cx.args.from(2).iter().collect();
    let gone = cx.node.metrics.latency.reset(&names);
    cx.reply.integer(gone as i64);
    Ok(())
}

/// The commands meant: those named, a container standing for its subcommands too, or all.
fn wanted(cx: &NodeContext<'_, '_>) -> Vec<&'static Entry> {
    if cx.args.len() == 2 {
        return cx.node.commands.all().to_vec();
    }
    let mut entries = Vec::new();
    for name in cx.args.from(2).iter() {
        if let Some(e) = cx.node.commands.find_full(name) {
            entries.push(e);
            entries.extend(&e.subcommands);
        }
    }
    entries
}

fn histogram(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let stats = &cx.node.metrics.commands;
    let rows: Vec<(&str, Summary)> =
        wanted(cx).into_iter().filter_map(|e| Some((e.name.as_str(), stats.latency(usize::from(e.id))?))).collect();
    cx.reply.map(rows.len());
    for (name, summary) in rows {
        cx.reply.bulk(name.as_bytes());
        cx.reply.map(2);
        cx.reply.bulk(b"calls");
        cx.reply.integer(summary.total() as i64);
        cx.reply.bulk(b"histogram_usec");
        let bounds = summary.doubling();
        cx.reply.map(bounds.len());
        for (up_to_us, count) in bounds {
            cx.reply.integer(up_to_us as i64);
            cx.reply.integer(count as i64);
        }
    }
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "DOCTOR",
        "    Report in words what was slow and what to look at.",
        "GRAPH <event>",
        "    Draw the samples of an event.",
        "HISTOGRAM [<command> ...]",
        "    Show how long these commands take, or all: calls up to each of some bounds.",
        "HISTORY <event>",
        "    List the samples of an event: unix time and milliseconds.",
        "LATEST",
        "    List the newest sample of each event, the worst, their sum and number.",
        "RESET [<event> ...]",
        "    Forget these events, or all.",
    ])
}
