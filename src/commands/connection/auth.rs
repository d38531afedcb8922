//! AUTH and HELLO: who is on the connection, and which protocol it speaks.
//!
//! Passwords are compared as digests, so that the time it takes tells nothing of how much was right, nor of the length.

use super::client::checked_name;
use crate::acl::throttle::{Limits, origin};
use crate::acl::{Context, HashKind, PasswordHash, Policy, Reason, Throttle, User};
use crate::audit::Event;
use crate::base::clock;
use crate::client::{Answer, Login, Message};
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, NodeContext, Outcome, audit_record};
use crate::config::types::AclPasswordHash;
use crate::crypto::sha256;
use crate::metrics::counters::Counter;
use crate::resp::reply::Version;
use crate::spec::{CommandSpec, Group};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

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
/// Nothing can wait inside EXEC, so what would have to is not looked at there: a transaction is no way to guess faster.
const NOT_IN_EXEC: CommandError = CommandError::fixed(
    "WRONGPASS after so many failed logins none is looked at inside a transaction: sign in before MULTI",
);
/// It takes a tenth of a second, and others wait for the locks of EXEC.
const SLOW_IN_EXEC: CommandError =
    CommandError::fixed("ERR a password kept as PBKDF2 is not verified inside a transaction: sign in before MULTI");

/// Between two looks for a place among the logins of an address whose hashes are slow: less than one takes.
const PLACE_WAIT_MS: u64 = 40;

/// What became of an attempt to sign in.
#[derive(PartialEq, Eq)]
enum Step {
    Done,
    /// Not known yet: the command is tried again.
    Later,
}

/// Signs the connection in, or says why not. What takes long, or has to wait, is answered later; inside EXEC, where nothing can, it is
/// refused.
fn sign_in(cx: &mut NodeContext<'_, '_>, name: &[u8], password: &[u8]) -> Result<Step, CommandError> {
    let now_ms = clock::monotonic_ms();
    let limits = Limits::of(cx.config);
    let asked = sha256(&[name, b"\0", password].concat());
    let waiting = cx.client.login.take().filter(|w| w.asked == asked && !cx.nested);
    let address = origin(&cx.client.shared.addr);
    let answer = match &waiting {
        Some(w) if now_ms < w.not_before_ms || w.answer() == Answer::Pending => {
            cx.client.login = waiting;
            return Ok(Step::Later);
        }
        Some(w) => w.answer(),
        None if cx.nested => {
            if cx.node.acl.throttle.is_hot(&address, name, limits, now_ms) {
                refused(cx, name);
                return Err(NOT_IN_EXEC);
            }
            Answer::NotAsked
        }
        None => {
            let wait = cx.node.acl.throttle.before_ms(&address, limits, now_ms);
            if wait > 0 {
                cx.client.login = Some(Arc::new(Login::new(asked, Answer::NotAsked, now_ms + wait)));
                return Ok(Step::Later);
            }
            Answer::NotAsked
        }
    };
    let has_certificate = cx.client.has_certificate;
    let user = cx.node.acl.get(name).filter(|u| u.is_enabled() && (has_certificate || !u.needs_certificate()));
    let right = match answer {
        Answer::Told => return Err(WRONG),
        Answer::Right => true,
        Answer::Wrong => false,
        Answer::NotAsked | Answer::Pending => match verdict(cx, user.as_ref(), password, asked, &address)? {
            Some(right) => right,
            None => return Ok(Step::Later),
        },
    };
    match user.filter(|_| right) {
        Some(user) => {
            upgrade(cx, &user, password);
            cx.client.sign_in(&cx.node.acl, user);
            if cx.node.audit.is_on() {
                let record = audit_record(Event::LoginOk, crate::audit::Outcome::Done, &cx.client.shared);
                cx.node.audit.record(record.with("by", "password"));
            }
            Ok(Step::Done)
        }
        None => {
            let wait = cx.node.acl.throttle.failed(&address, name, limits, now_ms);
            refused(cx, name);
            if wait > 0 && !cx.nested {
                cx.client.login = Some(Arc::new(Login::new(asked, Answer::Told, now_ms + wait)));
                return Ok(Step::Later);
            }
            Err(WRONG)
        }
    }
}

/// Whether the password is right; `None` if that is being found out on another thread.
fn verdict(
    cx: &mut NodeContext<'_, '_>,
    user: Option<&Arc<User>>,
    password: &[u8],
    asked: [u8; 32],
    address: &[u8],
) -> Result<Option<bool>, CommandError> {
    // Whoever is named takes as long as a user would, so that the time does not tell which users there are.
    let nobody = [match cx.config.security.acl_password_hash {
        AclPasswordHash::Sha256 => PasswordHash::Sha256([0; 32]),
        AclPasswordHash::Pbkdf2 => PasswordHash::nobody(),
    }];
    if user.is_some_and(|u| u.has_no_password()) {
        return Ok(Some(true));
    }
    let hashes = user.map_or(&nobody[..], |u| u.passwords());
    if !hashes.iter().any(PasswordHash::is_slow) {
        let right = hashes.iter().fold(false, |right, hash| hash.verifies(password) | right);
        return Ok(Some(right && user.is_some()));
    }
    if cx.nested {
        return Err(SLOW_IN_EXEC);
    }
    let Some(place) = Throttle::verify(&cx.node.acl, address) else {
        let again = clock::monotonic_ms() + PLACE_WAIT_MS;
        cx.client.login = Some(Arc::new(Login::new(asked, Answer::NotAsked, again)));
        return Ok(None);
    };
    let login = Arc::new(Login::new(asked, Answer::Pending, 0));
    let (node, shared) = (Arc::clone(cx.node), Arc::clone(&cx.client.shared));
    let (hashes, password, known) = (hashes.to_vec(), Zeroizing::new(password.to_vec()), user.is_some());
    let answer = Arc::clone(&login);
    let queued = cx.node.background.run(move || {
        let right = hashes.iter().any(|hash| hash.verifies(&password)) && known;
        drop(place);
        answer.set(if right { Answer::Right } else { Answer::Wrong });
        node.clients.send(&shared, Message::Look);
    });
    if !queued {
        // More logins than clients there may be: this one has to be tried again.
        return Ok(Some(false));
    }
    cx.client.login = Some(login);
    Ok(None)
}

/// Puts a PBKDF2 hash in the place of a SHA-256 one, if the configuration asks for it, without anybody waiting for it.
fn upgrade(cx: &NodeContext<'_, '_>, user: &Arc<User>, password: &[u8]) {
    let policy = Policy::of(cx.config);
    if !cx.config.security.acl_password_upgrade || policy.hash != HashKind::Pbkdf2 {
        return;
    }
    let old = user.passwords().iter().find(|p| !p.is_slow() && p.verifies(password)).cloned();
    let Some(old) = old else { return };
    let (node, name, password) = (Arc::clone(cx.node), user.name().to_vec(), Zeroizing::new(password.to_vec()));
    // Too short a password stays as it is: it cannot be kept in the better form. A full queue leaves it for the next login.
    cx.node.background.run(move || {
        if let Ok(new) = PasswordHash::make(&password, &policy) {
            node.acl.replace_password(&name, &old, new);
        }
    });
}

/// Counts and logs a failed login.
fn refused(cx: &mut NodeContext<'_, '_>, name: &[u8]) {
    cx.recorder.counters.add(Counter::AclDeniedAuth, 1);
    let shown = name[..name.len().min(128)].escape_ascii();
    tracing::info!("Failed login as '{shown}' from {}", cx.client.shared.addr);
    let line = super::describe::line(&cx.client.shared, cx.node.commands, cx.now_ms());
    let context = if cx.nested { Context::Multi } else { Context::Toplevel };
    let len_max = usize::try_from(cx.config.memory.acllog_max_len).unwrap_or(usize::MAX);
    cx.node.acl.log.record(Reason::Auth, context, cx.args.at(0), name, line, cx.now_ms(), len_max);
    if cx.node.audit.is_on() {
        let record = audit_record(Event::LoginFailed, crate::audit::Outcome::Denied, &cx.client.shared);
        cx.node.audit.record(record.with_bytes("as", name).with("by", "password"));
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
    if sign_in(cx, user, password)? == Step::Later {
        cx.client.later = true;
        return Ok(());
    }
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
    if let Some((user, password)) = credentials
        && sign_in(cx, user, password)? == Step::Later
    {
        cx.client.later = true;
        return Ok(());
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
    text(r, "mode", if cx.node.cluster.is_some() { "cluster" } else { "standalone" });
    let follows = cx.node.replication.follower.look().is_following();
    text(r, "role", if follows { "replica" } else { "master" });
    r.bulk(b"modules");
    r.array(0);
    if !zone.is_empty() {
        text(r, "availability_zone", zone);
    }
    Ok(())
}
