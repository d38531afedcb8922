//! ACL CAT, DRYRUN, GENPASS, HELP, WHOAMI: questions that change nothing.

use crate::acl::{Call, Denied};
use crate::commands::arguments::integer;
use crate::commands::table::Handler;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::crypto::random_hex;
use crate::spec::{Categories, CommandSpec, Group};

const ACL_CAT_SPEC: CommandSpec = CommandSpec::sub("acl", "cat", -2, Group::Server, "noscript loading stale")
    .since("6.0.0")
    .args("[category]")
    .doc("Lists the categories, or the commands of one.", "O(1)");

const ACL_DRYRUN_SPEC: CommandSpec =
    CommandSpec::sub("acl", "dryrun", -4, Group::Server, "admin noscript loading stale")
        .since("7.0.0")
        .args("username command [arg...]")
        .doc("Tells whether a user could run a command, without running it.", "O(1)");

const ACL_GENPASS_SPEC: CommandSpec = CommandSpec::sub("acl", "genpass", -2, Group::Server, "noscript loading stale")
    .since("6.0.0")
    .args("[bits:integer]")
    .doc("Makes a random password.", "O(1)");

const ACL_HELP_SPEC: CommandSpec = CommandSpec::sub("acl", "help", 2, Group::Server, "loading stale")
    .since("6.0.0")
    .doc("Prints what ACL can do.", "O(1)");

const ACL_WHOAMI_SPEC: CommandSpec = CommandSpec::sub("acl", "whoami", 2, Group::Server, "noscript loading stale")
    .since("6.0.0")
    .doc("Tells the user of this connection.", "O(1)");

pub static CAT: Command = Command::node(ACL_CAT_SPEC, cat);
pub static DRYRUN: Command = Command::node(ACL_DRYRUN_SPEC, dry_run);
pub static GENPASS: Command = Command::node(ACL_GENPASS_SPEC, genpass);
pub static HELP: Command = Command::node(ACL_HELP_SPEC, help);
pub static WHOAMI: Command = Command::node(ACL_WHOAMI_SPEC, whoami);

fn cat(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let Some(word) = cx.args.get(2) else {
        cx.reply.array(Categories::ALL.len());
        Categories::ALL.iter().for_each(|(_, name, _)| cx.reply.bulk(name.as_bytes()));
        return Ok(());
    };
    if cx.args.len() > 3 {
        return Err(cx.syntax_hint());
    }
    let Some(category) = std::str::from_utf8(word).ok().and_then(Categories::from_word) else {
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

fn dry_run(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let name = cx.args.at(2);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Some(user) = cx.node.acl.get(name) else {
        return Err(CommandError::err(format_args!("User '{}' not found", text(name))));
    };
    let args = cx.args.from(3);
    let unknown = || CommandError::err(format_args!("Command '{}' not found", text(args.at(0))));
    let entry = match cx.node.commands.resolve(args) {
        Ok(entry) => entry,
        Err(CommandError::UnknownSubcommand { .. }) => return Err(unknown()),
        Err(e) => return Err(cx.node.commands.find(args.at(0)).map_or_else(unknown, |_| e)),
    };
    let call = Call { id: entry.id, spec: entry.spec(), args, db: cx.client.db, databases: cx.space.databases() };
    let (who, what) = match user.check(&call) {
        Ok(()) => {
            cx.reply.ok();
            return Ok(());
        }
        Err(denied) => (
            text(name),
            match denied {
                Denied::Command => format!("run the '{}' command", entry.spec().full_name()),
                Denied::Key(key) => format!("access the '{}' key", text(key)),
                Denied::Channel(channel) => format!("access the '{}' channel", text(channel)),
                Denied::Database(db) | Denied::OwnDatabase(db) => format!("access database {}", text(db)),
            },
        ),
    };
    cx.reply.bulk(format!("User {who} has no permissions to {what}").as_bytes());
    Ok(())
}

const GENPASS_BITS: i64 = 256;

fn genpass(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.len() > 3 {
        return Err(cx.syntax_hint());
    }
    let bits = match cx.args.get(2) {
        None => GENPASS_BITS,
        Some(arg) => Some(integer(arg)?).filter(|n| (1..=4096).contains(n)).ok_or(CommandError::fixed(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ))?,
    };
    let digits = usize::try_from(bits).unwrap_or(0).div_ceil(4);
    let password = random_hex(digits).map_err(CommandError::err)?;
    cx.reply.bulk(password.as_bytes());
    Ok(())
}

fn whoami(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.bulk(cx.client.user.name());
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "CAT [<category>]",
        "    List the categories, or the commands of one.",
        "DELUSER <username> [<username> ...]",
        "    Delete users and close their connections.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Tell whether a user could run a command, without running it.",
        "GENPASS [<bits>]",
        "    Make a random password of so many bits (256).",
        "GETUSER <username>",
        "    Show the rules of a user.",
        "LIST",
        "    Print all users as rules.",
        "LOAD",
        "    Read the users from the ACL file again.",
        "LOG [<count> | RESET]",
        "    Show or clear the refusals.",
        "SAVE",
        "    Write the users to the ACL file.",
        "SETUSER <username> [<rule> ...]",
        "    Create a user or change its rules.",
        "USERS",
        "    List the names of all users.",
        "WHOAMI",
        "    Tell the user of this connection.",
    ])
}
