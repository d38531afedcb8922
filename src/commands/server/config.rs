//! CONFIG: reading and changing directives.

use crate::audit::Event;
use crate::commands::arguments::is;
use crate::commands::server::save;
use crate::commands::{Command, CommandError, NodeContext, Outcome, audit_record};
use crate::config::Sensitivity;
use crate::config::handle::{REDACTED, SetContext};
use crate::spec::{CommandSpec, Group};

const CONFIG_SPEC: CommandSpec = CommandSpec::container("config", Group::Server, "")
    .since("2.0.0")
    .doc("Groups the commands for configuration.", "By subcommand");

const CONFIG_GET_SPEC: CommandSpec =
    CommandSpec::sub("config", "get", -3, Group::Server, "admin noscript loading stale")
        .since("2.0.0")
        .history(&[("7.0.0", "Several patterns in one call.")])
        .args("parameter...")
        .doc("Reads the directives that match.", "O(N), N: names given");

const CONFIG_HELP_SPEC: CommandSpec = CommandSpec::sub("config", "help", 2, Group::Server, "loading stale")
    .since("5.0.0")
    .doc("Prints what CONFIG can do.", "O(1)");

const CONFIG_RESETSTAT_SPEC: CommandSpec =
    CommandSpec::sub("config", "resetstat", 2, Group::Server, "admin noscript loading stale")
        .since("2.0.0")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .doc("Sets the statistics back to zero.", "O(1)");

const CONFIG_REWRITE_SPEC: CommandSpec =
    CommandSpec::sub("config", "rewrite", 2, Group::Server, "admin noscript loading stale")
        .since("2.8.0")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .doc("Writes the settings in force into the configuration file.", "O(1)");

const CONFIG_SET_SPEC: CommandSpec =
    CommandSpec::sub("config", "set", -4, Group::Server, "admin noscript loading stale")
        .since("2.0.0")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .history(&[("7.0.0", "Several directives in one call.")])
        .args("data(parameter value)...")
        .doc("Changes directives while the server runs.", "O(N), N: directives given");
pub static CONFIG: Command = Command::container(
    CONFIG_SPEC,
    &[
        &Command::node(CONFIG_GET_SPEC, get),
        &Command::node(CONFIG_HELP_SPEC, help),
        &Command::node(CONFIG_RESETSTAT_SPEC, reset_stat),
        &Command::node(CONFIG_REWRITE_SPEC, rewrite),
        &Command::node(CONFIG_SET_SPEC, set),
    ],
);

fn get(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let patterns: Vec<&[u8]> = cx.args.from(2).iter().collect();
    // Who could set a secret may see it; who only looks is told that there is one.
    let set = cx.node.commands.find(b"config").and_then(|c| c.subcommands.iter().find(|s| s.spec().name == "set"));
    let secrets = set.is_some_and(|set| cx.client.user.may_run(set.id));
    let found = cx.node.config.get(&patterns, secrets);
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(&value);
    }
    Ok(())
}

/// What says where data come from and go to: it must not change while they come.
const FIXED_WHILE_LOADING: [&str; 3] = ["appendonly", "repl-diskless-load", "dir"];

fn set(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let words: Vec<&[u8]> = cx.args.from(2).iter().collect();
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CommandError::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    let look = cx.node.replication.follower.look();
    let loads = look.is_loading() || look.is_loading_beside() || cx.node.loading.is_running();
    if loads && pairs.iter().any(|(name, _)| FIXED_WHILE_LOADING.iter().any(|fixed| is(name, fixed))) {
        return Err(CommandError::fixed("LOADING Holdfast is loading the dataset in memory"));
    }
    let context = SetContext { local: cx.client.shared.is_local() };
    let changed = cx.node.config.set(&pairs, context).map_err(CommandError::err)?;
    if cx.node.audit.is_on() {
        let now = cx.node.config.current();
        for row in changed {
            let shown = |config| match row.sensitivity {
                Sensitivity::Secret => REDACTED.to_vec(),
                _ => (row.get)(config),
            };
            let record = audit_record(Event::ConfigSet, crate::audit::Outcome::Done, &cx.client.shared)
                .with("directive", row.name)
                .with_bytes("old", &shown(cx.config))
                .with_bytes("new", &shown(&now));
            cx.node.audit.record(record);
        }
    }
    begin_log(cx);
    cx.reply.ok();
    Ok(())
}

/// A log that was switched on begins now if nothing else runs and nobody holds locks here, else by itself.
fn begin_log(cx: &mut NodeContext<'_, '_>) {
    let node = cx.node;
    let wanted = node.config.current().persistence.appendonly && !node.aof.is_active() && node.aof.is_scheduled();
    if !wanted {
        return;
    }
    if cx.nested {
        tracing::info!("AOF background was scheduled: the log begins after the transaction");
    } else if save::begin_rewrite(cx).is_ok() {
        node.aof.unschedule();
    }
}

fn rewrite(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.config.security.aclfile.is_none() {
        let users = cx.node.acl.all();
        let line = |u: &std::sync::Arc<crate::acl::User>| {
            let mut words = vec![u.name().to_vec()];
            words.extend(u.rules().iter().flat_map(|r| r.split(|b| *b == b' ')).map(<[u8]>::to_vec));
            words
        };
        cx.node.config.adjust(|c| c.security.users = users.iter().map(line).collect());
    }
    cx.node.config.rewrite(false).map_err(CommandError::err)?;
    cx.reply.ok();
    Ok(())
}

fn reset_stat(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.node.metrics.reset();
    cx.node.freer.counts.freed.store(0, std::sync::atomic::Ordering::Relaxed);
    if let Some(cluster) = &cx.node.cluster {
        cluster.order(&**cx.node, |m| m.figures = Default::default());
    }
    cx.reply.ok();
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "GET <pattern> [<pattern> ...]",
        "    Read the directives whose names match.",
        "RESETSTAT",
        "    Set the statistics of INFO back to zero.",
        "REWRITE",
        "    Write the directives into the configuration file.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Change directives: all of them or none.",
    ])
}
