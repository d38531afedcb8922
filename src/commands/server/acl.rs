//! ACL, as far as one user goes: `default`, who may do everything.

use super::command::category;
use crate::commands::arguments::integer_in;
use crate::commands::table::Handler;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::crypto::{random_hex, sha256_hex};
use crate::spec::{Categories, CommandSpec, Group};

const LATER: &str = "access control lists";

const ACL_SPEC: CommandSpec = CommandSpec::container("acl", Group::Server, "")
    .since("6.0.0")
    .doc("Groups the commands for users and their permissions.", "By subcommand");

const ACL_CAT_SPEC: CommandSpec = CommandSpec::sub("acl", "cat", -2, Group::Server, "noscript loading stale")
    .since("6.0.0")
    .args("[category]")
    .doc("Lists the categories, or the commands of one.", "O(1)");

const ACL_DELUSER_SPEC: CommandSpec =
    CommandSpec::sub("acl", "deluser", -3, Group::Server, "admin noscript loading stale")
        .since("6.0.0")
        .tips("request_policy:all_nodes response_policy:all_succeeded")
        .args("username...")
        .doc("Removes users and closes their connections.", "O(1) amortised");

const ACL_DRYRUN_SPEC: CommandSpec =
    CommandSpec::sub("acl", "dryrun", -4, Group::Server, "admin noscript loading stale")
        .since("7.0.0")
        .args("username command [arg...]")
        .doc("Tells whether a user could run a command, without running it.", "O(1)");

const ACL_GENPASS_SPEC: CommandSpec = CommandSpec::sub("acl", "genpass", -2, Group::Server, "noscript loading stale")
    .since("6.0.0")
    .args("[bits:integer]")
    .doc("Makes a random password.", "O(1)");

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

const ACL_HELP_SPEC: CommandSpec = CommandSpec::sub("acl", "help", 2, Group::Server, "loading stale")
    .since("6.0.0")
    .doc("Prints what ACL can do.", "O(1)");

const ACL_LIST_SPEC: CommandSpec = CommandSpec::sub("acl", "list", 2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .doc("Prints all users as rules.", "O(N), N: users");

const ACL_LOAD_SPEC: CommandSpec = CommandSpec::sub("acl", "load", 2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .doc("Reads the users from the ACL file again.", "O(N), N: users");

const ACL_LOG_SPEC: CommandSpec = CommandSpec::sub("acl", "log", -2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .history(&[("7.2.0", "Entry id, and the times of creation and last change.")])
    .args("[operation{count:integer|RESET}]")
    .doc("Shows or clears the refusals.", "O(N), N: entries shown");

const ACL_SAVE_SPEC: CommandSpec = CommandSpec::sub("acl", "save", 2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .tips("request_policy:all_nodes response_policy:all_succeeded")
    .doc("Writes the users to the ACL file.", "O(N), N: users");

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

const ACL_WHOAMI_SPEC: CommandSpec = CommandSpec::sub("acl", "whoami", 2, Group::Server, "noscript loading stale")
    .since("6.0.0")
    .doc("Tells the user of this connection.", "O(1)");
pub static ACL: Command = Command::container(
    ACL_SPEC,
    &[
        &Command::node(ACL_CAT_SPEC, cat),
        &Command::missing(ACL_DELUSER_SPEC, LATER),
        &Command::missing(ACL_DRYRUN_SPEC, LATER),
        &Command::node(ACL_GENPASS_SPEC, genpass),
        &Command::node(ACL_GETUSER_SPEC, get_user),
        &Command::node(ACL_HELP_SPEC, help),
        &Command::node(ACL_LIST_SPEC, list),
        &Command::missing(ACL_LOAD_SPEC, LATER),
        &Command::missing(ACL_LOG_SPEC, LATER),
        &Command::missing(ACL_SAVE_SPEC, LATER),
        &Command::missing(ACL_SETUSER_SPEC, LATER),
        &Command::node(ACL_USERS_SPEC, users),
        &Command::node(ACL_WHOAMI_SPEC, whoami),
    ],
);

fn cat(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let Some(word) = cx.args.get(2) else {
        cx.reply.array(Categories::ALL.len());
        Categories::ALL.iter().for_each(|(_, name, _)| cx.reply.bulk(name.as_bytes()));
        return Ok(());
    };
    if cx.args.len() > 3 {
        return Err(cx.syntax_hint());
    }
    let Some(category) = category(word) else {
        return Err(CommandError::Bytes([b"ERR Unknown category '", word, b"'"].concat()));
    };
    let names: Vec<&str> = cx
        .node
        .commands
        .all()
        .iter()
        .filter(|e| !matches!(e.command.handler, Handler::Missing(_)) && e.spec().categories.intersects(category))
        .map(|e| e.name.as_str())
        .collect();
    cx.reply.array(names.len());
    names.iter().for_each(|n| cx.reply.bulk(n.as_bytes()));
    Ok(())
}

const GENPASS_BITS: i64 = 256;

fn genpass(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.len() > 3 {
        return Err(cx.syntax_hint());
    }
    let bits = match cx.args.get(2) {
        None => GENPASS_BITS,
        Some(arg) => {
            let range = CommandError::fixed(
                "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
            );
            integer_in(arg, 1, 4096, range)?
        }
    };
    let digits = usize::try_from(bits).unwrap_or(0).div_ceil(4);
    let password = random_hex(digits).map_err(CommandError::err)?;
    cx.reply.bulk(password.as_bytes());
    Ok(())
}

/// The digest of the default user's password, if it has one.
fn password_digest(cx: &NodeContext<'_, '_>) -> Option<String> {
    let password = &cx.config.security.requirepass;
    (!password.is_empty()).then(|| sha256_hex(password.expose()))
}

fn list(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let password = password_digest(cx).map_or("nopass".to_owned(), |digest| format!("#{digest}"));
    cx.reply.array(1);
    cx.reply.bulk(format!("user default on {password} ~* &* +@all").as_bytes());
    Ok(())
}

fn get_user(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.at(2) != b"default" {
        cx.reply.null();
        return Ok(());
    }
    let digest = password_digest(cx);
    let r = &mut *cx.reply;
    r.map(7);
    r.bulk(b"flags");
    r.set(if digest.is_some() { 1 } else { 2 });
    r.bulk(b"on");
    if digest.is_none() {
        r.bulk(b"nopass");
    }
    r.bulk(b"passwords");
    r.array(usize::from(digest.is_some()));
    if let Some(digest) = digest {
        r.bulk(digest.as_bytes());
    }
    for (name, rule) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*"), ("databases", "alldbs")] {
        r.bulk(name.as_bytes());
        r.bulk(rule.as_bytes());
    }
    r.bulk(b"selectors");
    r.array(0);
    Ok(())
}

fn users(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.array(1);
    cx.reply.bulk(b"default");
    Ok(())
}

fn whoami(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let user = cx.client.shared.text.lock().user.clone();
    cx.reply.bulk(user.as_bytes());
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "CAT [<category>]",
        "    List the categories, or the commands of one.",
        "GENPASS [<bits>]",
        "    Make a random password of so many bits (256).",
        "GETUSER <name>",
        "    Show the rules of a user.",
        "LIST",
        "    Print all users as rules.",
        "USERS",
        "    List the names of all users.",
        "WHOAMI",
        "    Tell the user of this connection.",
    ])
}
