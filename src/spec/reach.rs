//! What a call reaches beside keys: channels, and databases other than the connection's own.
//!
//! A row says it as data, so that permissions are checked from the same place the handler's words are documented in.
//! Must never know: users.

use super::CommandSpec;
use super::flags::{Categories, KeyFlags};

/// The arguments that are channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelUse {
    /// None.
    None,
    /// The first argument: a message is sent there.
    First,
    /// All arguments are names of channels.
    Names,
    /// All arguments are patterns of channels.
    Patterns,
}

/// The databases a call works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseUse {
    /// The connection's own, if the command looks at keys at all.
    Own,
    /// The one the first argument names, instead of the connection's own.
    Select,
    /// The two that the arguments name.
    Swap,
    /// The connection's own, and the one the second argument names.
    Move,
    /// The connection's own, and those after each word DB from the third argument on.
    Copy,
    /// All of them.
    All,
}

impl CommandSpec {
    /// Whether a call looks at the key space of the connection's database, with or without naming keys.
    pub const fn uses_own_database(&self) -> bool {
        if !matches!(self.databases, DatabaseUse::Own | DatabaseUse::Move | DatabaseUse::Copy) {
            return false;
        }
        let touching = Categories::KEYSPACE.or(Categories::READ).or(Categories::WRITE);
        if self.categories.intersects(touching) {
            return true;
        }
        let mut at = 0;
        while at < self.key_specs.len() {
            if !self.key_specs[at].flags.contains(KeyFlags::NOT_KEY) {
                return true;
            }
            at += 1;
        }
        false
    }

    /// The positions of the arguments that are channels.
    pub fn channel_positions(&self, argc: usize) -> std::ops::Range<usize> {
        match self.channels {
            ChannelUse::None => 0..0,
            ChannelUse::First => 1..argc.min(2),
            ChannelUse::Names | ChannelUse::Patterns => 1..argc,
        }
    }

    /// Calls `f` with the position of each argument that names a database.
    pub fn for_each_database<A: AsRef<[u8]>>(&self, args: impl Fn(usize) -> Option<A>, mut f: impl FnMut(usize)) {
        match self.databases {
            DatabaseUse::Own | DatabaseUse::All => {}
            DatabaseUse::Select => f(1),
            DatabaseUse::Swap => {
                f(1);
                f(2);
            }
            DatabaseUse::Move => f(2),
            DatabaseUse::Copy => {
                let mut at = 3;
                while let Some(word) = args(at) {
                    let names = word.as_ref().eq_ignore_ascii_case(b"DB");
                    if names && args(at + 1).is_some() {
                        f(at + 1);
                    }
                    at += 1 + usize::from(names);
                }
            }
        }
    }
}
