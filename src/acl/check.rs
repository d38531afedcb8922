//! Whether a user may make a call.
//!
//! A call is allowed if one selector allows all of it. Where none does, the refusal named is the one of the selector that
//! came furthest: a command it may run at all says more than a database it never sees.

use super::selector::Selector;
use super::user::User;
use crate::resp::args::Args;
use crate::spec::{ChannelUse, CommandFlags, CommandSpec, DatabaseUse, KeyCode, KeyFlags, KeyScope};

/// A call to be judged. Its arity has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Number of the command or subcommand.
    pub id: u16,
    pub spec: &'static CommandSpec,
    /// With the command's own words.
    pub args: Args<'a>,
    /// The database it would run in.
    pub db: u32,
    /// How many there are.
    pub databases: u32,
}

/// What is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied<'a> {
    Command,
    Key(&'a [u8]),
    Channel(&'a [u8]),
    /// The argument that names it.
    Database(&'a [u8]),
    /// The database the command runs in, or all of them; with the command's own word.
    OwnDatabase(&'a [u8]),
}

/// How far a selector came, and the argument it stopped at.
type Progress = (u8, usize);
const AT_DATABASE: u8 = 0;
const AT_COMMAND: u8 = 1;
const AT_KEY: u8 = 2;
const AT_CHANNEL: u8 = 3;

impl User {
    /// Whether this user may make the call.
    ///
    /// # Errors
    /// What is refused, for messages and the log.
    pub fn check<'a>(&self, call: &Call<'a>) -> Result<(), Denied<'a>> {
        if self.is_full() {
            return Ok(());
        }
        let mut best: Option<Progress> = None;
        for selector in self.all_selectors() {
            match judge(selector, call) {
                None => return Ok(()),
                Some(progress) if best.is_none_or(|b| progress > b) => best = Some(progress),
                Some(_) => {}
            }
        }
        let (stage, at) = best.unwrap_or((AT_COMMAND, 0));
        let argument = call.args.get(at).unwrap_or_default();
        Err(match stage {
            AT_DATABASE if at == 0 => Denied::OwnDatabase(argument),
            AT_DATABASE => Denied::Database(argument),
            AT_KEY => Denied::Key(argument),
            AT_CHANNEL => Denied::Channel(argument),
            _ => Denied::Command,
        })
    }

    /// Whether a selector that allows the call also allows to read every key: what SORT's BY and GET look up is not in its
    /// arguments.
    pub fn may_read_all(&self, call: &Call<'_>) -> bool {
        self.is_full() || self.all_selectors().any(|s| s.reads_all_keys() && judge(s, call).is_none())
    }
}

/// `None` if the selector allows the call.
fn judge(selector: &Selector, call: &Call<'_>) -> Option<Progress> {
    let Call { id, spec, args, db, databases } = *call;
    if selector.databases.is_some()
        && let Some(at) = denied_database(selector, spec, args, db, databases)
    {
        return Some((AT_DATABASE, at));
    }
    // Signing in, and out, is open to everybody.
    if !selector.allows_command(id)
        && !spec.flags.contains(CommandFlags::NO_AUTH)
        && !selector.allows_first_argument(id, args.get(1))
    {
        return Some((AT_COMMAND, 0));
    }
    if !selector.all_keys
        && !spec.key_specs.is_empty()
        && let Some(at) = denied_key(selector, spec, args)
    {
        return Some((AT_KEY, at));
    }
    if !selector.all_channels && spec.channels != ChannelUse::None {
        let is_pattern = spec.channels == ChannelUse::Patterns;
        if let Some(at) =
            spec.channel_positions(args.len()).find(|at| !selector.allows_channel(args.at(*at), is_pattern))
        {
            return Some((AT_CHANNEL, at));
        }
    }
    None
}

fn denied_database(selector: &Selector, spec: &CommandSpec, args: Args<'_>, db: u32, databases: u32) -> Option<usize> {
    if spec.databases == DatabaseUse::All {
        return (!selector.allows_all_databases(databases)).then_some(0);
    }
    if spec.uses_own_database() && !selector.allows_database(db) {
        return Some(0);
    }
    let mut denied = None;
    spec.for_each_database(
        |at| args.get(at),
        |at| {
            // What is no number, or no database of this server, is for the handler to refuse.
            let named = args.get(at).and_then(crate::base::number::parse_i64).and_then(|n| u32::try_from(n).ok());
            if denied.is_none() && named.is_some_and(|n| n < databases && !selector.allows_database(n)) {
                denied = Some(at);
            }
        },
    );
    denied
}

fn denied_key(selector: &Selector, spec: &CommandSpec, args: Args<'_>) -> Option<usize> {
    if let (KeyCode::Specs, Some(at)) = (spec.key_code, spec.only_key()) {
        let flags = spec.key_specs.first().map_or(KeyFlags::empty(), |s| s.flags);
        return (!allows(selector, args.get(at)?, flags)).then_some(at);
    }
    let list: Vec<&[u8]> = args.iter().collect();
    // Where the arguments do not say which keys they are, those that are found are checked; the handler refuses the call.
    let found = if spec.flags.contains(CommandFlags::NO_MANDATORY_KEYS) {
        spec.extract_keys(&list).unwrap_or_default()
    } else {
        spec.found_keys(&list, KeyScope::Keys)
    };
    found.iter().find(|(at, flags)| !allows(selector, list[*at], *flags)).map(|(at, _)| at)
}

fn allows(selector: &Selector, key: &[u8], flags: KeyFlags) -> bool {
    let reads = flags.contains(KeyFlags::ACCESS);
    let writes = flags.intersects(KeyFlags::INSERT.or(KeyFlags::UPDATE).or(KeyFlags::DELETE));
    selector.allows_key(key, reads, writes)
}
