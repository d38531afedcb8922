//! ACL LOAD and SAVE, and the users a server starts with.

use super::disconnect;
use crate::acl::{Acl, Policy, User, file};
use crate::client::Client;
use crate::commands::{Command, CommandError, Node, NodeContext, Outcome, audit_record};
use crate::config::Config;
use crate::spec::{CommandSpec, Group};
use crate::storage;
use std::io::Read;
use std::path::Path;

const ACL_LOAD_SPEC: CommandSpec = CommandSpec::sub("acl", "load", 2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .doc("Reads the users from the ACL file again.", "O(N), N: users");

const ACL_SAVE_SPEC: CommandSpec = CommandSpec::sub("acl", "save", 2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .tips("request_policy:all_nodes response_policy:all_succeeded")
    .doc("Writes the users to the ACL file.", "O(N), N: users");

pub static LOAD: Command = Command::node(ACL_LOAD_SPEC, load);
pub static SAVE: Command = Command::node(ACL_SAVE_SPEC, save);

const NO_FILE: CommandError = CommandError::fixed(
    "ERR This instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and \
     then issue a CONFIG REWRITE (assuming you have a configuration file set) in order to store users in the configuration.",
);

/// Reads the users of a file.
fn read(acl: &Acl, path: &Path, policy: &Policy) -> Result<Vec<User>, String> {
    let shown = path.display();
    let failed = |e: &str| format!("Error loading ACLs, opening file '{shown}': {e}");
    let opened = storage::open_users(path).map_err(|e| failed(&crate::config::codec::os_text(&e)))?;
    let file = opened.ok_or_else(|| failed("No such file or directory"))?;
    if !file.is_sealed() && storage::keyring().seals() {
        tracing::warn!("The ACL file {shown} is not sealed, though files are: ACL SAVE seals it");
    }
    let mut text = Vec::new();
    let read = file.take(file::BYTES_MAX + 1).read_to_end(&mut text);
    read.map_err(|e| failed(&crate::config::codec::os_text(&e)))?;
    if text.len() as u64 > file::BYTES_MAX {
        return Err(failed("File too large"));
    }
    file::parse(acl, &text, &shown.to_string(), policy)
}

/// The users a server starts with: those of the ACL file, or those of the configuration's `user` lines.
///
/// # Errors
/// What is wrong with them; a server whose users are not known for sure does not start.
pub fn load_configured(acl: &Acl, config: &Config) -> Result<(), String> {
    let policy = Policy::of(config);
    let s = &config.security;
    if !s.requirepass.is_empty() {
        acl.set_default_password(s.requirepass.expose(), &policy).map_err(|e| format!("requirepass: {e}"))?;
    }
    if let Some(path) = &s.aclfile {
        if !s.users.is_empty() {
            return Err("users are defined in the configuration file and an ACL file is configured too: use either \
                        'user' lines or 'aclfile', not both"
                .into());
        }
        let users = read(acl, path, &policy).map_err(|e| format!("ACL errors: {e}"))?;
        acl.replace_all(users);
        if !s.requirepass.is_empty() {
            tracing::warn!(
                "requirepass is not used: the ACL file says who 'default' is{}",
                if acl.default_user().has_no_password() { ", and it needs no password" } else { "" }
            );
        }
        return Ok(());
    }
    if s.users.is_empty() {
        return Ok(());
    }
    let mut users = Vec::new();
    for line in &s.users {
        users.push(file::parse_line(acl, line, &policy)?);
    }
    if !users.iter().any(|u| u.name() == b"default") {
        users.push(User::clone(&acl.default_user()));
    }
    acl.replace_all(users);
    Ok(())
}

/// Reads the ACL file again and closes the connections whose user is gone or may no longer listen where it does. Nothing changes
/// if anything in it is wrong.
///
/// # Errors
/// All that is wrong.
pub fn reload(node: &Node, path: &Path, asking: Option<&mut Client>) -> Result<(), String> {
    let policy = Policy::of(&node.config.current());
    let users = read(&node.acl, path, &policy)?;
    let before = node.acl.replace_all(users);
    let mut nobody;
    let asking = match asking {
        Some(client) => client,
        None => {
            let shared = crate::client::Shared::new(0, 0, String::new(), String::new(), -1, 0);
            nobody = Client::new(std::sync::Arc::new(shared), &node.acl, 0);
            &mut nobody
        }
    };
    let mut gone = Vec::new();
    for name in before.keys() {
        match node.acl.get(name) {
            Some(user) => disconnect::without_channels(node, asking, &user),
            None => gone.push(name.clone()),
        }
    }
    disconnect::users(node, asking, &gone);
    Ok(())
}

fn load(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let Some(path) = cx.config.security.aclfile.clone() else { return Err(NO_FILE) };
    reload(cx.node, &path, Some(cx.client)).map_err(CommandError::err)?;
    let record = audit_record(crate::audit::Event::AclChange, crate::audit::Outcome::Done, &cx.client.shared);
    cx.node.audit.record(record.with("change", "loaded").with("file", path.display().to_string()));
    cx.reply.ok();
    Ok(())
}

fn save(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let Some(path) = &cx.config.security.aclfile else { return Err(NO_FILE) };
    let text = file::text(&cx.node.acl);
    storage::replace_users(path, &text).map_err(|e| {
        tracing::warn!("Error saving ACLs to {}: {e}", path.display());
        CommandError::fixed(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        )
    })?;
    cx.reply.ok();
    Ok(())
}
