//! ACL SETUSER, DELUSER, GETUSER, LIST, USERS.

use super::disconnect;
use crate::acl::{Deleted, Policy, Selector};
use crate::audit::Event;
use crate::commands::{Command, CommandError, NodeContext, Outcome, audit_record};
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group};

const ACL_DELUSER_SPEC: CommandSpec =
    CommandSpec::sub("acl", "deluser", -3, Group::Server, "admin noscript loading stale")
        .since("6.0.0")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .args("username...")
        .doc("Removes users and closes their connections.", "O(1) amortised");

const ACL_GETUSER_SPEC: CommandSpec =
    CommandSpec::sub("acl", "getuser", 3, Group::Server, "admin noscript loading stale")
        .since("6.0.0")
        .history(&[
            ("6.2.0", "Channel patterns."),
            ("7.0.0", "Selectors; key and channel patterns are printed as rules, no longer as lists."),
            ("9.1.0", "Rules for databases."),
        ])
        .args("username")
        .doc("Shows the rules of a user.", "O(N), N: rules of the user");

const ACL_LIST_SPEC: CommandSpec = CommandSpec::sub("acl", "list", 2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .doc("Prints all users as rules.", "O(N), N: users");

const ACL_SETUSER_SPEC: CommandSpec =
    CommandSpec::sub("acl", "setuser", -3, Group::Server, "admin noscript loading stale")
        .since("6.0.0")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .history(&[
            ("6.2.0", "Channel patterns."),
            ("7.0.0", "Selectors and permissions by key."),
            ("9.1.0", "Rules for databases."),
        ])
        .args("username [rule...]")
        .doc("Creates a user or changes its rules.", "O(N), N: rules given");

const ACL_USERS_SPEC: CommandSpec = CommandSpec::sub("acl", "users", 2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .doc("Lists the names of all users.", "O(N), N: users");

pub static DELUSER: Command = Command::node(ACL_DELUSER_SPEC, delete);
pub static GETUSER: Command = Command::node(ACL_GETUSER_SPEC, get);
pub static LIST: Command = Command::node(ACL_LIST_SPEC, list);
pub static SETUSER: Command = Command::node(ACL_SETUSER_SPEC, set);
pub static USERS: Command = Command::node(ACL_USERS_SPEC, names);

fn set(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let words: Vec<&[u8]> = cx.args.from(3).iter().collect();
    let policy = Policy::of(cx.config);
    let (before, now) =
        cx.node.acl.set_user(cx.args.at(2), &words, &policy).map_err(|e| CommandError::Bytes(e.reply()))?;
    if cx.node.audit.is_on() {
        let rules = String::from_utf8_lossy(&now.rules().join(&b' ')).into_owned();
        let change = if before.is_some() { "changed" } else { "created" };
        let record = audit_record(Event::AclChange, crate::audit::Outcome::Done, &cx.client.shared);
        // As it is described: hashes, no clear passwords.
        cx.node.audit.record(
            record.with("change", change).with_bytes("target", now.name()).with("rules", without_hashes(&rules)),
        );
    }
    if before.is_some() {
        disconnect::without_channels(cx.node, cx.client, &now);
    }
    cx.reply.ok();
    Ok(())
}

/// Rules for a log: a password's hash is not for everybody who may read it.
fn without_hashes(rules: &str) -> String {
    let hash = |w: &str| w.starts_with('#') || w.starts_with("past#");
    rules.split(' ').map(|w| if hash(w) { "#(redacted)" } else { w }).collect::<Vec<_>>().join(" ")
}

fn delete(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let wanted: Vec<&[u8]> = cx.args.from(2).iter().collect();
    match cx.node.acl.delete(&wanted) {
        Deleted::Default => Err(CommandError::fixed("ERR The 'default' user cannot be removed")),
        Deleted::Users(gone) => {
            for name in &gone {
                let record = audit_record(Event::AclChange, crate::audit::Outcome::Done, &cx.client.shared);
                cx.node.audit.record(record.with("change", "deleted").with_bytes("target", name));
            }
            disconnect::users(cx.node, cx.client, &gone);
            cx.reply.integer(gone.len() as i64);
            Ok(())
        }
    }
}

fn get(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let Some(user) = cx.node.acl.get(cx.args.at(2)) else {
        cx.reply.null();
        return Ok(());
    };
    let mut flags = vec![if user.is_enabled() { "on" } else { "off" }];
    if user.has_no_password() {
        flags.push("nopass");
    }
    if user.needs_certificate() {
        flags.push("certificate");
    }
    let r = &mut *cx.reply;
    r.map(7);
    r.bulk(b"flags");
    r.set(flags.len());
    flags.iter().for_each(|f| r.bulk(f.as_bytes()));
    r.bulk(b"passwords");
    r.array(user.passwords().len());
    user.passwords().iter().for_each(|p| r.bulk(p.to_string().as_bytes()));
    permissions(r, user.root());
    r.bulk(b"selectors");
    r.array(user.selectors().len());
    for s in user.selectors() {
        r.map(4);
        permissions(r, s);
    }
    Ok(())
}

fn permissions(r: &mut Reply, s: &Selector) {
    for (name, rules) in [
        ("commands", s.describe_commands()),
        ("keys", s.describe_keys()),
        ("channels", s.describe_channels()),
        ("databases", s.describe_databases().into_bytes()),
    ] {
        r.bulk(name.as_bytes());
        r.bulk(&rules);
    }
}

fn list(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let users = cx.node.acl.all();
    cx.reply.array(users.len());
    users.iter().for_each(|u| cx.reply.bulk(&u.describe()));
    Ok(())
}

fn names(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let users = cx.node.acl.all();
    cx.reply.array(users.len());
    users.iter().for_each(|u| cx.reply.bulk(u.name()));
    Ok(())
}
