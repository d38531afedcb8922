//! AUTH and HELLO: who is on the connection, and which protocol it speaks.
//!
//! Passwords are compared as digests, so that the time it takes tells nothing of how much was right, nor of the length.

use super::client::checked_name;
use crate::acl::{Context, PasswordHash, Reason};
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::metrics::counters::Counter;
use crate::resp::reply::Version;
use crate::spec::{CommandSpec, Group};
use std::sync::atomic::Ordering;

const AUTH_SPEC: CommandSpec =
    CommandSpec::new("auth", -2, Group::Connection, "noscript loading stale fast no_auth allow_busy")
        .since("1.0.0")
        .history(&[("6.0.0", "User name before the password.")])
        .args("[username@6.0.0] password")
        .doc("Signs the connection in.", "O(N), N: passwords of the user");

const HELLO_SPEC: CommandSpec =
    CommandSpec::new("hello", -1, Group::Connection, "noscript loading stale fast no_auth allow_busy")
        .since("6.0.0")
        .history(&[
            ("8.1.0", "The reply has `availability_zone` where that is configured."),
            ("6.2.0", "Without arguments it describes the connection."),
        ])
        .args("[arguments(protover:integer [AUTH=auth(username password)] [SETNAME=clientname])]")
        .doc("Greets the server: protocol version, user and name in one step.", "O(1)");
pub static AUTH: Command = Command::node(AUTH_SPEC, auth);
pub static HELLO: Command = Command::node(HELLO_SPEC, hello);

const DEFAULT: &[u8] = b"default";
const WRONG: CommandError = CommandError::fixed("WRONGPASS invalid username-password pair or user is disabled.");

/// Signs the connection in, or says why not.
fn sign_in(cx: &mut NodeContext<'_, '_>, name: &[u8], password: &[u8]) -> Outcome {
    let user = cx.node.acl.get(name).filter(|user| user.is_enabled());
    let right = match &user {
        Some(user) => user.has_no_password() || user.passwords().iter().any(|p| p.verifies(password)),
        None => {
            // Done all the same, so that the time does not tell which users there are.
            let _ = PasswordHash::Sha256([0; 32]).verifies(password);
            false
        }
    };
    match user.filter(|_| right) {
        Some(user) => {
            cx.client.sign_in(&cx.node.acl, user);
            Ok(())
        }
        None => {
            cx.recorder.counters.add(Counter::AclDeniedAuth, 1);
            let line = super::describe::line(&cx.client.shared, cx.node.commands, cx.now_ms());
            let context = if cx.nested { Context::Multi } else { Context::Toplevel };
            let len_max = usize::try_from(cx.config.memory.acllog_max_len).unwrap_or(usize::MAX);
            cx.node.acl.log.record(Reason::Auth, context, cx.args.at(0), name, line, cx.now_ms(), len_max);
            Err(WRONG)
        }
    }
}

fn auth(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let (user, password) = match cx.args.len() {
        2 if cx.node.acl.default_user().has_no_password() => {
            return Err(CommandError::fixed(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ));
        }
        2 => (DEFAULT, cx.args.at(1)),
        3 => (cx.args.at(1), cx.args.at(2)),
        _ => return Err(CommandError::Syntax),
    };
    sign_in(cx, user, password)?;
    cx.reply.ok();
    Ok(())
}

fn hello(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let version = match cx.args.get(1) {
        None => None,
        Some(word) => match crate::base::number::parse_i64(word) {
            None => return Err(CommandError::fixed("ERR Protocol version is not an integer or out of range")),
            Some(2) => Some(Version::Resp2),
            Some(3) => Some(Version::Resp3),
            Some(_) => return Err(CommandError::fixed("NOPROTO unsupported protocol version")),
        },
    };
    let (mut credentials, mut name) = (None, None);
    let mut at = 2;
    while let Some(word) = cx.args.get(at) {
        match (cx.args.get(at + 1), cx.args.get(at + 2)) {
            (Some(user), Some(password)) if is(word, "AUTH") => {
                credentials = Some((user, password));
                at += 3;
            }
            (Some(given), _) if is(word, "SETNAME") => {
                name = Some(checked_name(given)?);
                at += 2;
            }
            _ => {
                let mut text = b"ERR Syntax error in HELLO option '".to_vec();
                text.extend_from_slice(word);
                text.push(b'\'');
                return Err(CommandError::Bytes(text));
            }
        }
    }
    if let Some((user, password)) = credentials {
        sign_in(cx, user, password)?;
    }
    if !cx.client.authenticated && !cx.node.acl.is_open() {
        return Err(CommandError::fixed(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        cx.client.shared.text.lock().name = name;
    }
    if let Some(version) = version {
        cx.client.version = version;
        cx.client.shared.resp.store(if version == Version::Resp3 { 3 } else { 2 }, Ordering::Relaxed);
        cx.reply.version = version;
    }
    let zone = &cx.config.general.availability_zone;
    let compatible = cx.config.general.extended_redis_compatibility;
    let r = &mut *cx.reply;
    r.map(7 + usize::from(!zone.is_empty()));
    let text = |r: &mut crate::resp::reply::Reply, name: &str, value: &str| {
        r.bulk(name.as_bytes());
        r.bulk(value.as_bytes());
    };
    text(r, "server", if compatible { "redis" } else { "valkey" });
    text(r, "version", if compatible { crate::base::names::REDIS_VERSION } else { crate::base::names::VALKEY_VERSION });
    r.bulk(b"proto");
    r.integer(if cx.client.version == Version::Resp3 { 3 } else { 2 });
    r.bulk(b"id");
    r.integer(cx.client.id as i64);
    text(r, "mode", "standalone");
    text(r, "role", "master");
    r.bulk(b"modules");
    r.array(0);
    if !zone.is_empty() {
        text(r, "availability_zone", zone);
    }
    Ok(())
}
