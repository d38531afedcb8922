//! CLIENT: what a connection says of itself, and what can be done to others.

use super::describe;
use super::filter::Filter;
use crate::base::number::parse_i64;
use crate::client::{Message, ReplyMode};
use crate::commands::arguments::{integer, is};
use crate::commands::node::Pause;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const CLIENT_SPEC: CommandSpec = CommandSpec::container("client", Group::Connection, "")
    .since("2.4.0")
    .doc("Groups the commands for connections.", "By subcommand");

const CLIENT_CAPA_SPEC: CommandSpec =
    CommandSpec::sub("client", "capa", -3, Group::Connection, "noscript loading stale allow_busy")
        .since("8.0.0")
        .args("capability...")
        .doc("Tells the server what the client can do.", "O(1)");

const CLIENT_GETNAME_SPEC: CommandSpec =
    CommandSpec::sub("client", "getname", 2, Group::Connection, "noscript loading stale allow_busy")
        .since("2.6.9")
        .doc("Tells the name of this connection.", "O(1)");

const CLIENT_HELP_SPEC: CommandSpec = CommandSpec::sub("client", "help", 2, Group::Connection, "loading stale")
    .since("5.0.0")
    .doc("Prints what CLIENT can do.", "O(1)");

const CLIENT_ID_SPEC: CommandSpec =
    CommandSpec::sub("client", "id", 2, Group::Connection, "noscript loading stale allow_busy")
        .since("5.0.0")
        .doc("Tells the id of this connection.", "O(1)");

const CLIENT_IMPORT_SOURCE_SPEC: CommandSpec =
    CommandSpec::sub("client", "import-source", 3, Group::Connection, "noscript loading stale")
        .since("8.1.0")
        .args("enabled{ON|OFF}")
        .doc("Marks the connection as the source of an import.", "O(1)");

const CLIENT_INFO_SPEC: CommandSpec =
    CommandSpec::sub("client", "info", 2, Group::Connection, "noscript loading stale")
        .since("6.2.0")
        .tips("nondeterministic_output")
        .doc("Describes this connection.", "O(1)");

const CLIENT_KILL_SPEC: CommandSpec =
    CommandSpec::sub("client", "kill", -3, Group::Connection, "admin noscript loading stale")
        .since("2.4.0")
        .history(&[
            ("2.8.12", "Filters by name and value."),
            ("2.8.12", "Filter `ID`."),
            ("3.2.0", "Type `master`."),
            ("5.0.0", "Type `replica`; `slave` still works."),
            ("6.2.0", "Filter `LADDR`."),
            ("8.0.0", "Filter `MAXAGE`."),
            ("8.0.0", "Type `primary`; `master` still works."),
            ("8.1.0", "Several ids after `ID`."),
            (
                "9.0.0",
                "Filters NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA, IP, and the same with NOT- as \
        well as NOT-ID, NOT-TYPE, NOT-ADDR, NOT-LADDR, NOT-USER.",
            ),
        ])
        .args(
            "filter{old-format/ip:port/~2.8.12 | new-format{[ID=client-id:integer@2.8.12...] | \
        [TYPE=client-type{NORMAL | MASTER@3.2.0 | PRIMARY@8.0.0 | SLAVE | REPLICA@5.0.0 | \
        PUBSUB}@2.8.12] | [USER=username] | [ADDR=addr/ip:port/] | \
        [LADDR=laddr/ip:port/@6.2.0] | [SKIPME=skipme{YES|NO}] | \
        [MAXAGE=maxage:integer@8.0.0] | [NAME=name@9.0.0] | [IDLE=idle:integer@9.0.0] | \
        [FLAGS=flags@9.0.0] | [LIB-NAME=lib-name@9.0.0] | [LIB-VER=lib-ver@9.0.0] | \
        [DB=db:integer@9.0.0] | [CAPA=capa@9.0.0] | [IP=ip@9.0.0] | \
        [NOT-TYPE=not-client-type{NORMAL|MASTER|PRIMARY|SLAVE|REPLICA|PUBSUB}@9.0.0] | \
        [NOT-ID=not-client-id:integer@9.0.0...] | [NOT-USER=not-username@9.0.0] | \
        [NOT-ADDR=not-addr/ip:port/@9.0.0] | [NOT-LADDR=not-laddr/ip:port/@9.0.0] | \
        [NOT-NAME=not-name@9.0.0] | [NOT-FLAGS=not-flags@9.0.0] | \
        [NOT-LIB-NAME=not-lib-name@9.0.0] | [NOT-LIB-VER=not-lib-ver@9.0.0] | \
        [NOT-DB=not-db:integer@9.0.0] | [NOT-CAPA=not-capa@9.0.0] | \
        [NOT-IP=not-ip@9.0.0]}...}",
        )
        .doc("Closes the connections that match.", "O(N), N: connections");

const CLIENT_LIST_SPEC: CommandSpec =
    CommandSpec::sub("client", "list", -2, Group::Connection, "admin noscript loading stale")
        .since("2.4.0")
        .tips("nondeterministic_output")
        .history(&[
            ("2.8.12", "Field `id`."),
            ("5.0.0", "Filter `TYPE`."),
            ("6.0.0", "Field `user`."),
            ("6.2.0", "Fields `argv-mem`, `tot-mem`, `laddr`, `redir`; filter `ID`."),
            ("7.0.0", "Fields `resp`, `multi-mem`, `rbs`, `rbp`."),
            ("7.0.3", "Field `ssub`."),
            ("8.0.0", "Type `primary`; `master` still works."),
            ("8.1.0", "Filters USER, ADDR, LADDR, SKIPME, MAXAGE."),
            (
                "9.0.0",
                "Filters NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA, IP, and the same with NOT- as \
        well as NOT-ID, NOT-TYPE, NOT-ADDR, NOT-LADDR, NOT-USER.",
            ),
        ])
        .args(
            "[TYPE=client-type{NORMAL|MASTER|REPLICA|PUBSUB}@5.0.0] \
        [ID=client-id:integer@6.2.0...] [USER=username@8.1.0] [ADDR=addr/ip:port/@8.1.0] \
        [LADDR=laddr/ip:port/@8.1.0] [SKIPME=skipme{YES|NO}@8.1.0] \
        [MAXAGE=maxage:integer@8.1.0] [NAME=name@9.0.0] [IDLE=idle:integer@9.0.0] \
        [FLAGS=flags@9.0.0] [LIB-NAME=lib-name@9.0.0] [LIB-VER=lib-ver@9.0.0] \
        [DB=db:integer@9.0.0] [CAPA=capa@9.0.0] [IP=ip@9.0.0] \
        [NOT-TYPE=not-client-type{NORMAL|MASTER|REPLICA|PUBSUB}@9.0.0] \
        [NOT-ID=not-client-id:integer@9.0.0...] [NOT-USER=not-username@9.0.0] \
        [NOT-ADDR=not-addr/ip:port/@9.0.0] [NOT-LADDR=not-laddr/ip:port/@9.0.0] \
        [NOT-NAME=not-name@9.0.0] [NOT-FLAGS=not-flags@9.0.0] \
        [NOT-LIB-NAME=not-lib-name@9.0.0] [NOT-LIB-VER=not-lib-ver@9.0.0] \
        [NOT-DB=not-db:integer@9.0.0] [NOT-CAPA=not-capa@9.0.0] [NOT-IP=not-ip@9.0.0]",
        )
        .doc("Describes the connections that match.", "O(N), N: connections");

const CLIENT_NO_EVICT_SPEC: CommandSpec =
    CommandSpec::sub("client", "no-evict", 3, Group::Connection, "admin noscript loading stale allow_busy")
        .since("7.0.0")
        .args("enabled{ON|OFF}")
        .doc("Exempts the connection from being closed for memory.", "O(1)");

const CLIENT_NO_TOUCH_SPEC: CommandSpec =
    CommandSpec::sub("client", "no-touch", 3, Group::Connection, "noscript loading stale allow_busy")
        .since("7.2.0")
        .args("enabled{ON|OFF}")
        .doc("Lets the connection's reads leave the usage of keys as it is.", "O(1)");

const CLIENT_PAUSE_SPEC: CommandSpec =
    CommandSpec::sub("client", "pause", -3, Group::Connection, "admin noscript loading stale")
        .since("3.0.0")
        .history(&[("6.2.0", "Mode `WRITE`, and the choice of a mode.")])
        .args("timeout:integer [mode{WRITE|ALL}@6.2.0]")
        .doc("Holds back the commands of all clients for a time.", "O(1)");

const CLIENT_REPLY_SPEC: CommandSpec =
    CommandSpec::sub("client", "reply", 3, Group::Connection, "noscript loading stale no_multi allow_busy")
        .since("3.2.0")
        .args("action{ON|OFF|SKIP}")
        .doc("Turns replies on or off.", "O(1)");

const CLIENT_SETINFO_SPEC: CommandSpec =
    CommandSpec::sub("client", "setinfo", 4, Group::Connection, "noscript loading stale allow_busy")
        .since("7.2.0")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .args("attr{LIB-NAME=libname|LIB-VER=libver}")
        .doc("Names the client's library or its version.", "O(1)");

const CLIENT_SETNAME_SPEC: CommandSpec =
    CommandSpec::sub("client", "setname", 3, Group::Connection, "noscript loading stale allow_busy")
        .since("2.6.9")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .args("connection-name")
        .doc("Names the connection.", "O(1)");

const CLIENT_UNBLOCK_SPEC: CommandSpec =
    CommandSpec::sub("client", "unblock", -3, Group::Connection, "admin noscript loading stale")
        .since("5.0.0")
        .args("client-id:integer [unblock-type{TIMEOUT|ERROR}]")
        .doc("Wakes a connection that waits in a blocking command.", "O(log(N)), N: connections");

const CLIENT_UNPAUSE_SPEC: CommandSpec =
    CommandSpec::sub("client", "unpause", 2, Group::Connection, "admin noscript loading stale")
        .since("6.2.0")
        .doc("Ends a pause.", "O(N), N: clients held back");
pub static CLIENT: Command = Command::container(
    CLIENT_SPEC,
    &[
        &super::tracking::CACHING,
        &Command::node(CLIENT_CAPA_SPEC, capa),
        &Command::node(CLIENT_GETNAME_SPEC, get_name),
        &super::tracking::GETREDIR,
        &Command::node(CLIENT_HELP_SPEC, help),
        &Command::node(CLIENT_ID_SPEC, id),
        &Command::node(CLIENT_IMPORT_SOURCE_SPEC, import_source),
        &Command::node(CLIENT_INFO_SPEC, info),
        &Command::node(CLIENT_KILL_SPEC, kill),
        &Command::node(CLIENT_LIST_SPEC, list),
        &Command::node(CLIENT_NO_EVICT_SPEC, no_evict),
        &Command::node(CLIENT_NO_TOUCH_SPEC, no_touch),
        &Command::node(CLIENT_PAUSE_SPEC, pause),
        &Command::node(CLIENT_REPLY_SPEC, reply),
        &Command::node(CLIENT_SETINFO_SPEC, set_info),
        &Command::node(CLIENT_SETNAME_SPEC, set_name),
        &super::tracking::TRACKING,
        &super::tracking::TRACKINGINFO,
        &Command::node(CLIENT_UNBLOCK_SPEC, unblock),
        &Command::node(CLIENT_UNPAUSE_SPEC, unpause),
    ],
);

/// Printable, without blanks: it stands in lists between blanks.
fn checked(text: &[u8], what: &str) -> Result<String, CommandError> {
    match std::str::from_utf8(text) {
        Ok(t) if t.bytes().all(|b| (b'!'..=b'~').contains(&b)) => Ok(t.to_owned()),
        _ => Err(CommandError::err(format_args!("{what} cannot contain spaces, newlines or special characters."))),
    }
}

/// A connection's name, as CLIENT SETNAME and HELLO take it.
pub(super) fn checked_name(name: &[u8]) -> Result<String, CommandError> {
    checked(name, "Client names")
}

fn on_off(word: &[u8]) -> Result<bool, CommandError> {
    match word {
        w if is(w, "ON") => Ok(true),
        w if is(w, "OFF") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

fn capa(cx: &mut NodeContext<'_, '_>) -> Outcome {
    // What is not known is ignored: a client tells all it can do, to servers of any age.
    if cx.args.from(2).iter().any(|word| is(word, "REDIRECT")) {
        cx.client.shared.capa_redirect.store(true, Ordering::Relaxed);
    }
    cx.reply.ok();
    Ok(())
}

fn get_name(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let text = cx.client.shared.text.lock();
    match text.name.as_str() {
        "" => cx.reply.null(),
        name => cx.reply.bulk(name.as_bytes()),
    }
    Ok(())
}

fn set_name(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let name = checked_name(cx.args.at(2))?;
    cx.client.shared.text.lock().name = name;
    cx.reply.ok();
    Ok(())
}

fn set_info(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (attribute, value) = (cx.args.at(2), cx.args.at(3));
    if is(attribute, "LIB-NAME") {
        let value = checked(value, &String::from_utf8_lossy(attribute))?;
        cx.client.shared.text.lock().lib_name = value;
    } else if is(attribute, "LIB-VER") {
        let value = checked(value, &String::from_utf8_lossy(attribute))?;
        cx.client.shared.text.lock().lib_ver = value;
    } else {
        return Err(CommandError::Bytes([b"ERR Unrecognized option '", attribute, b"'"].concat()));
    }
    cx.reply.ok();
    Ok(())
}

fn id(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.integer(cx.client.id as i64);
    Ok(())
}

/// What the worker tells only now and then is told now for the client that asks.
fn refresh_own(cx: &mut NodeContext<'_, '_>) {
    cx.client.tell_figures(&cx.node.clients);
    let s = &cx.client.shared;
    s.args_bytes.store(cx.args.bytes() as u64, Ordering::Relaxed);
    s.last_ms.store(cx.space.now_ms(), Ordering::Relaxed);
}

fn info(cx: &mut NodeContext<'_, '_>) -> Outcome {
    refresh_own(cx);
    let line = describe::line(&cx.client.shared, cx.node.commands, cx.now_ms());
    cx.reply.verbatim("txt", format!("{line}\n").as_bytes());
    Ok(())
}

fn list(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let filter = Filter::parse(cx.args, 2, cx.space.databases(), &cx.node.acl)?;
    refresh_own(cx);
    let (now, me) = (cx.now_ms(), cx.client.id);
    let mut out = String::new();
    for c in cx.node.clients.all() {
        if (filter.skip_me == Some(true) && c.id == me) || !filter.matches(&c, now) {
            continue;
        }
        out.push_str(&describe::line(&c, cx.node.commands, now));
        out.push('\n');
    }
    cx.reply.verbatim("txt", out.as_bytes());
    Ok(())
}

fn kill(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let old_form = cx.args.len() == 3;
    let filter = if old_form {
        Filter::address(cx.args.at(2))
    } else {
        Filter::parse(cx.args, 2, cx.space.databases(), &cx.node.acl)?
    };
    let (now, me) = (cx.now_ms(), cx.client.id);
    let skip_me = filter.skip_me.unwrap_or(true);
    let mut killed = 0;
    for c in cx.node.clients.all() {
        if (skip_me && c.id == me) || !filter.matches(&c, now) {
            continue;
        }
        killed += 1;
        if c.id == me {
            cx.client.closing = true;
        } else {
            cx.node.clients.kill(&c, false);
        }
        if old_form {
            break;
        }
    }
    if !old_form {
        cx.reply.integer(killed);
    } else if killed > 0 {
        cx.reply.ok();
    } else {
        return Err(CommandError::fixed("ERR No such client"));
    }
    Ok(())
}

fn no_evict(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let on = on_off(cx.args.at(2))?;
    cx.client.no_evict = on;
    cx.client.shared.no_evict.store(on, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn no_touch(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let on = on_off(cx.args.at(2))?;
    cx.client.no_touch = on;
    cx.client.shared.no_touch.store(on, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn import_source(cx: &mut NodeContext<'_, '_>) -> Outcome {
    // What is neither on nor off is refused for the mode first as well.
    if !is(cx.args.at(2), "OFF") && !cx.config.memory.import_mode {
        return Err(CommandError::fixed("ERR Server is not in import mode"));
    }
    let on = on_off(cx.args.at(2))?;
    cx.client.import_source = on;
    cx.client.shared.import_source.store(on, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn reply(cx: &mut NodeContext<'_, '_>) -> Outcome {
    match cx.args.at(2) {
        w if is(w, "ON") => {
            cx.client.reply_mode = ReplyMode::On;
            cx.reply.ok();
        }
        w if is(w, "OFF") => cx.client.reply_mode = ReplyMode::Off,
        w if is(w, "SKIP") => {
            if cx.client.reply_mode != ReplyMode::Off {
                cx.client.reply_mode = ReplyMode::SkipNext;
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    Ok(())
}

fn pause(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let writes_only = match cx.args.get(3) {
        None => false,
        Some(w) if is(w, "ALL") => false,
        Some(w) if is(w, "WRITE") => true,
        Some(_) => return Err(CommandError::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout =
        parse_i64(cx.args.at(2)).ok_or(CommandError::fixed("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(CommandError::fixed("ERR timeout is negative"));
    }
    let now = cx.now_ms();
    let until_ms = now.checked_add(timeout).ok_or(CommandError::fixed("ERR timeout is out of range"))?;
    let mut p = cx.node.pause.lock();
    // A pause that holds already is never made shorter; the kind asked for last holds.
    let running = if p.until_ms > now { p.until_ms } else { 0 };
    *p = Pause { until_ms: until_ms.max(running), writes_only, failover: false };
    cx.node.paused.store(true, Ordering::Release);
    drop(p);
    // Whom an earlier pause holds back, and this one does not, may go on.
    cx.node.clients.ring_all();
    cx.reply.ok();
    Ok(())
}

fn unpause(cx: &mut NodeContext<'_, '_>) -> Outcome {
    *cx.node.pause.lock() = Pause::default();
    cx.node.paused.store(false, Ordering::Release);
    cx.node.clients.ring_all();
    cx.reply.ok();
    Ok(())
}

fn unblock(cx: &mut NodeContext<'_, '_>) -> Outcome {
    // More words than there should be are no reason, and nobody looks at them.
    let error = match cx.args.get(3).filter(|_| cx.args.len() == 4) {
        None => false,
        Some(w) if is(w, "TIMEOUT") => false,
        Some(w) if is(w, "ERROR") => true,
        Some(_) => return Err(CommandError::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = integer(cx.args.at(2))?;
    let target = u64::try_from(id).ok().and_then(|id| cx.node.clients.get(id));
    match target.filter(|c| c.blocked.load(Ordering::Relaxed)) {
        Some(c) => {
            let c: Arc<_> = c;
            cx.node.clients.send(
                &c,
                Message::Unblock {
                    client: c.id,
                    error: error.then_some("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
                },
            );
            cx.reply.integer(1);
        }
        None => cx.reply.integer(0),
    }
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "CACHING (YES|NO)",
        "    Track the keys of the next command, or do not (OPTIN, OPTOUT).",
        "CAPA <capability> [<capability> ...]",
        "    Tell what this client can do. REDIRECT: it follows redirections.",
        "GETNAME",
        "    Tell the name of this connection.",
        "GETREDIR",
        "    Tell who gets this connection's invalidations; -1 for nobody.",
        "ID",
        "    Tell the id of this connection.",
        "IMPORT-SOURCE (ON|OFF)",
        "    Mark this connection as the source of an import (import-mode).",
        "INFO",
        "    Describe this connection.",
        "KILL <ip:port>",
        "    Close the connection from that address.",
        "KILL <filter> <value> [<filter> <value> ...]",
        "    Close the connections that match all filters: ID <id> ..., TYPE, USER, ADDR,",
        "    LADDR, IP, NAME, LIB-NAME, LIB-VER, FLAGS, CAPA, DB, MAXAGE, IDLE; with NOT-",
        "    before a name (but MAXAGE and IDLE) those that do not; SKIPME (YES|NO).",
        "LIST [<filter> <value> ...]",
        "    Describe the connections that match, by the same filters.",
        "NO-EVICT (ON|OFF)",
        "    Never close this connection to save memory.",
        "NO-TOUCH (ON|OFF)",
        "    Let this connection's reads leave the usage of keys as it is.",
        "PAUSE <milliseconds> [WRITE|ALL]",
        "    Hold back the commands of all clients, or only their writes.",
        "REPLY (ON|OFF|SKIP)",
        "    Turn replies on or off, or skip the next one.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Name the client's library or its version.",
        "SETNAME <name>",
        "    Name this connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> ...] [OPTIN] [OPTOUT] [NOLOOP]",
        "    Have this connection, or another, told when keys it has read change.",
        "TRACKINGINFO",
        "    Describe the tracking of this connection.",
        "UNBLOCK <id> [TIMEOUT|ERROR]",
        "    Wake a connection that waits in a blocking command.",
        "UNPAUSE",
        "    End a pause.",
    ])
}
