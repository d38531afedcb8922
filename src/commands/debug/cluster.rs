//! DEBUG's knobs of the cluster bus, as tests of clusters use them: links that break, messages that are not heard.

use crate::base::number::parse_i64;
use crate::cluster::Host;
use crate::cluster::machine::Machine;
use crate::cluster::machine::receive::filter;
use crate::commands::arguments::is;
use crate::commands::{CommandError, NodeContext, Outcome};
use std::sync::Arc;

fn order(cx: &mut NodeContext<'_, '_>, f: impl FnOnce(&mut Machine) -> Result<(), String>) -> Outcome {
    let host: Arc<dyn Host> = Arc::clone(cx.node) as Arc<dyn Host>;
    let cluster = cx.node.cluster.as_ref().ok_or(CommandError::NO_CLUSTER)?;
    cluster.order(&*host, f).map_err(CommandError::err)?;
    cx.reply.ok();
    Ok(())
}

fn flag(arg: &[u8]) -> bool {
    parse_i64(arg).unwrap_or(0) != 0
}

/// CLUSTERLINK KILL TO|FROM|ALL id
pub fn kill_link(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (word, which, id) = (cx.args.at(2), cx.args.at(3), cx.args.at(4));
    let all = is(which, "ALL");
    let (to, from) = (all || is(which, "TO"), all || is(which, "FROM"));
    if !is(word, "KILL") || !(to || from) {
        return Err(cx.syntax_hint());
    }
    order(cx, |m| {
        let (handle, _) = m.named(id)?;
        m.kill_links(handle, to, from);
        Ok(())
    })
}

/// DROP-CLUSTER-PACKET-FILTER kind|-1 (none)|-2 (all)
pub fn drop_packets(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let which = parse_i64(cx.args.at(2)).and_then(filter);
    let which = which.ok_or(CommandError::fixed("ERR Invalid type of message"))?;
    order(cx, |m| {
        m.deaf_to = which;
        Ok(())
    })
}

pub fn close_on_drop(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let yes = flag(cx.args.at(2));
    order(cx, |m| {
        m.closes_when_deaf = yes;
        Ok(())
    })
}

pub fn disable_reconnection(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let yes = flag(cx.args.at(2));
    order(cx, |m| {
        m.stays_apart = yes;
        Ok(())
    })
}

pub fn disable_random_ping(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let yes = flag(cx.args.at(2));
    order(cx, |m| {
        m.no_random_ping = yes;
        Ok(())
    })
}
