//! PING, ECHO, SELECT, QUIT, RESET, READONLY, READWRITE.

use crate::client::{Client, ReplyMode};
use crate::commands::arguments::database;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::resp::reply::Version;
use crate::spec::{CommandSpec, DatabaseUse, Group};
use std::sync::atomic::Ordering;

const PING_SPEC: CommandSpec = CommandSpec::new("ping", -1, Group::Connection, "fast")
    .since("1.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .args("[message]")
    .doc("Shows that the connection is alive.", "O(1)");

const ECHO_SPEC: CommandSpec = CommandSpec::new("echo", 2, Group::Connection, "loading stale fast")
    .since("1.0.0")
    .args("message")
    .doc("Sends a message back.", "O(1)");

const SELECT_SPEC: CommandSpec = CommandSpec::new("select", 2, Group::Connection, "loading stale fast allow_busy")
    .databases(DatabaseUse::Select)
    .since("1.0.0")
    .args("index:integer")
    .doc("Chooses the database of this connection.", "O(1)");

const QUIT_SPEC: CommandSpec =
    CommandSpec::new("quit", -1, Group::Connection, "noscript loading stale fast no_auth allow_busy")
        .since("1.0.0")
        .doc("Ends the connection.", "O(1)");

const RESET_SPEC: CommandSpec =
    CommandSpec::new("reset", 1, Group::Connection, "noscript loading stale fast no_auth allow_busy")
        .since("6.2.0")
        .doc("Puts the connection back into its first state.", "O(1)");
const READONLY_SPEC: CommandSpec = CommandSpec::new("readonly", 1, Group::Cluster, "loading stale fast")
    .acl("connection")
    .since("3.0.0")
    .doc("Lets a connection read from a replica in a cluster.", "O(1)");

const READWRITE_SPEC: CommandSpec = CommandSpec::new("readwrite", 1, Group::Cluster, "loading stale fast")
    .acl("connection")
    .since("3.0.0")
    .doc("Ends the reading from a replica in a cluster.", "O(1)");
pub static PING: Command = Command::node(PING_SPEC, ping);
pub static ECHO: Command = Command::node(ECHO_SPEC, echo);
pub static SELECT: Command = Command::node(SELECT_SPEC, select);
pub static QUIT: Command = Command::node(QUIT_SPEC, quit);
pub static RESET: Command = Command::node(RESET_SPEC, reset);
pub static READONLY: Command = Command::node(READONLY_SPEC, readonly);
pub static READWRITE: Command = Command::node(READWRITE_SPEC, readwrite);

fn ping(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.len() <= 2 && cx.client.version == Version::Resp2 && !cx.client.subscriptions.is_empty() {
        // Framed like the messages this connection gets, so that its reader needs to know one shape only.
        cx.reply.array(2);
        cx.reply.bulk(b"pong");
        cx.reply.bulk(cx.args.get(1).unwrap_or_default());
        return Ok(());
    }
    match cx.args.len() {
        1 => cx.reply.status("PONG"),
        2 => cx.reply.bulk(cx.args.at(1)),
        _ => return Err(CommandError::wrong_arity("ping")),
    }
    Ok(())
}

fn echo(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.bulk(cx.args.at(1));
    Ok(())
}

fn select(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let db = database(cx.args.at(1), cx.space.databases())?;
    set_database(cx.client, db);
    cx.reply.ok();
    Ok(())
}

fn set_database(client: &mut Client, db: u32) {
    client.db = db;
    client.shared.db.store(db, Ordering::Relaxed);
}

fn quit(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.ok();
    cx.client.closing = true;
    Ok(())
}

fn reset(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let client = &mut *cx.client;
    client.end_transaction(&cx.node.keyspace);
    cx.node.pubsub.forget(client);
    cx.node.monitors.remove(&client.shared);
    client.monitor = false;
    cx.node.tracking.stop(&cx.node.keyspace, &client.shared, &mut client.tracking);
    set_database(client, 0);
    client.version = Version::Resp2;
    // The one reply that is to be left out may be this command's own.
    if client.reply_mode == ReplyMode::Off {
        client.reply_mode = ReplyMode::On;
    }
    client.no_touch = false;
    client.no_evict = false;
    client.import_source = false;
    client.debugs = false;
    client.sign_out(&cx.node.acl);
    let s = &client.shared;
    s.resp.store(2, Ordering::Relaxed);
    for flag in [&s.no_touch, &s.no_evict, &s.import_source, &s.readonly] {
        flag.store(false, Ordering::Relaxed);
    }
    let mut text = s.text.lock();
    text.name.clear();
    drop(text);
    cx.reply.version = client.version;
    cx.reply.status("RESET");
    Ok(())
}

/// Which reads a replica serves is all this changes; a primary outside a cluster serves every read either way.
fn readonly(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.client.shared.readonly.store(true, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn readwrite(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.client.shared.readonly.store(false, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}
