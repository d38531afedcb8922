//! CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO: client-side caching.

use crate::client::{PrefixError, TrackingMode};
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};

const CACHING_SPEC: CommandSpec =
    CommandSpec::sub("client", "caching", 3, Group::Connection, "noscript loading stale allow_busy")
        .since("6.0.0")
        .args("mode{YES|NO}")
        .doc("Says whether the next command's keys are tracked.", "O(1)");

const GETREDIR_SPEC: CommandSpec =
    CommandSpec::sub("client", "getredir", 2, Group::Connection, "noscript loading stale allow_busy")
        .since("6.0.0")
        .doc("Tells the connection that gets this one's invalidations.", "O(1)");

const TRACKING_SPEC: CommandSpec =
    CommandSpec::sub("client", "tracking", -3, Group::Connection, "noscript loading stale")
        .since("6.0.0")
        .args(
            "status{ON|OFF} [REDIRECT=client-id:integer] [PREFIX=prefix*...] [BCAST] [OPTIN] \
        [OPTOUT] [NOLOOP]",
        )
        .doc("Turns notices about changed keys on or off.", "O(1), more with prefixes");

const TRACKINGINFO_SPEC: CommandSpec =
    CommandSpec::sub("client", "trackinginfo", 2, Group::Connection, "noscript loading stale")
        .since("6.2.0")
        .doc("Describes the tracking of this connection.", "O(1)");

pub(super) static CACHING: Command = Command::node(CACHING_SPEC, caching);
pub(super) static GETREDIR: Command = Command::node(GETREDIR_SPEC, get_redir);
pub(super) static TRACKING: Command = Command::node(TRACKING_SPEC, tracking);
pub(super) static TRACKINGINFO: Command = Command::node(TRACKINGINFO_SPEC, tracking_info);

/// What CLIENT TRACKING was asked for.
struct Asked<'a> {
    on: bool,
    mode: TrackingMode,
    prefixes: Vec<&'a [u8]>,
}

fn parse<'a>(cx: &NodeContext<'a, '_>) -> Result<Asked<'a>, CommandError> {
    let (mut mode, mut prefixes) = (TrackingMode::default(), Vec::new());
    let args = cx.args;
    let mut at = 3;
    while let Some(word) = args.get(at) {
        match (word, args.get(at + 1)) {
            (w, Some(id)) if is(w, "REDIRECT") => {
                if mode.redirect.is_some() {
                    return Err(CommandError::fixed("ERR A client can only redirect to a single other client"));
                }
                let id = u64::try_from(integer(id)?).ok().filter(|id| cx.node.clients.get(*id).is_some());
                // Who is not there now cannot be told; a client that goes later is noticed when there is something to tell.
                let gone = CommandError::fixed("ERR The client ID you want redirect to does not exist");
                mode.redirect = Some(id.ok_or(gone)?);
                at += 1;
            }
            (w, _) if is(w, "BCAST") => mode.bcast = true,
            (w, _) if is(w, "OPTIN") => mode.optin = true,
            (w, _) if is(w, "OPTOUT") => mode.optout = true,
            (w, _) if is(w, "NOLOOP") => mode.noloop = true,
            (w, Some(prefix)) if is(w, "PREFIX") => {
                prefixes.push(prefix);
                at += 1;
            }
            _ => return Err(CommandError::Syntax),
        }
        at += 1;
    }
    let on = match args.at(2) {
        w if is(w, "ON") => true,
        w if is(w, "OFF") => false,
        _ => return Err(CommandError::Syntax),
    };
    Ok(Asked { on, mode, prefixes })
}

/// Modes that do not go together, and changes that need tracking to end first.
fn check(cx: &NodeContext<'_, '_>, asked: &Asked<'_>) -> Outcome {
    let m = &asked.mode;
    if !m.bcast && !asked.prefixes.is_empty() {
        return Err(CommandError::fixed("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if let Some(now) = &cx.client.tracking {
        if now.mode.bcast != m.bcast {
            return Err(CommandError::fixed(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
                 with a different mode.",
            ));
        }
        if (now.mode.optin && m.optout) || (now.mode.optout && m.optin) {
            return Err(CommandError::fixed(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
                 with a different mode.",
            ));
        }
    }
    if m.bcast && (m.optin || m.optout) {
        return Err(CommandError::fixed("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if m.optin && m.optout {
        return Err(CommandError::fixed("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    Ok(())
}

fn tracking(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let asked = parse(cx)?;
    let (node, client) = (cx.node, &mut *cx.client);
    if !asked.on {
        node.tracking.stop(&node.keyspace, &client.shared, &mut client.tracking);
        cx.reply.ok();
        return Ok(());
    }
    check(cx, &asked)?;
    let client = &mut *cx.client;
    let started =
        node.tracking.start(&node.keyspace, &client.shared, &mut client.tracking, asked.mode, &asked.prefixes);
    let overlap = |given: &[u8], kind: &[u8], other: &[u8]| {
        let tail = b"'. Prefixes for a single client must not overlap.";
        CommandError::Bytes([b"ERR Prefix '", given, b"' overlaps with ", kind, b" prefix '", other, tail].concat())
    };
    match started {
        Ok(()) => cx.reply.ok(),
        Err(PrefixError::Existing { given, other }) => return Err(overlap(&given, b"an existing", &other)),
        Err(PrefixError::Provided { given, other }) => return Err(overlap(&given, b"another provided", &other)),
        Err(PrefixError::TooMany) => {
            return Err(CommandError::err(
                "the prefixes of this client take more than 16 MiB: name fewer or shorter ones",
            ));
        }
    }
    Ok(())
}

fn caching(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let needs = CommandError::fixed(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    );
    let Some(t) = cx.client.tracking.as_mut() else { return Err(needs) };
    match cx.args.at(2) {
        w if is(w, "YES") => {
            if !t.mode.optin {
                return Err(CommandError::fixed(
                    "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
                ));
            }
        }
        w if is(w, "NO") => {
            if !t.mode.optout {
                return Err(CommandError::fixed(
                    "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
                ));
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    t.caching = true;
    cx.reply.ok();
    Ok(())
}

/// Who gets this client's invalidations: -1 nobody, 0 itself.
fn redirection(cx: &NodeContext<'_, '_>) -> i64 {
    cx.client.tracking.as_ref().map_or(-1, |t| t.mode.redirect.map_or(0, |id| id as i64))
}

fn get_redir(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let id = redirection(cx);
    cx.reply.integer(id);
    Ok(())
}

fn tracking_info(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let redirect = redirection(cx);
    let broken = cx.client.shared.is_tracking_broken();
    let r = &mut *cx.reply;
    r.map(3);
    r.bulk(b"flags");
    let flags: Vec<&str> = match &cx.client.tracking {
        None => vec!["off"],
        Some(t) => [
            (true, "on"),
            (t.mode.bcast, "bcast"),
            (t.mode.optin, "optin"),
            (t.mode.optin && t.caching, "caching-yes"),
            (t.mode.optout, "optout"),
            (t.mode.optout && t.caching, "caching-no"),
            (t.mode.noloop, "noloop"),
            (broken, "broken_redirect"),
        ]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect(),
    };
    r.set(flags.len());
    for f in flags {
        r.bulk(f.as_bytes());
    }
    r.bulk(b"redirect");
    r.integer(redirect);
    r.bulk(b"prefixes");
    let prefixes = cx.client.tracking.iter().flat_map(|t| &t.prefixes);
    r.array(prefixes.clone().count());
    for p in prefixes {
        r.bulk(p);
    }
    Ok(())
}
