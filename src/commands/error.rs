//! What goes wrong in a command, and the words clients know it by. They are Valkey's, to the letter: programs match on them.

use std::borrow::Cow;

/// Why a command was refused. The reply has not been begun, or is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    WrongType,
    /// The key that would be written to holds another type. Clients see no difference; but a command that waits for its source
    /// is answered with this, while a source of another type is one that it goes on waiting for.
    WrongTargetType,
    Syntax,
    NotInteger,
    NotFloat,
    /// `min or max is not a float` and its like have their own words; see `Text`.
    IndexOutOfRange,
    NoSuchKey,
    /// An increment leaves the 64-bit range.
    Overflow,
    /// An increment by a float is not finite.
    NotFinite,
    /// A value would be longer than `proto-max-bulk-len`.
    StringTooLong,
    InvalidCursor,
    /// `value is out of range, must be positive`
    MustBePositive,
    /// `value is out of range`
    OutOfRange,
    DbIndexOutOfRange,
    /// The command knows no such subcommand.
    UnknownSubcommand {
        command: String,
        given: Vec<u8>,
    },
    /// Nothing has happened: the command takes so long that it is to be run aside. The engine sees to that; no client is told.
    Aside,
    /// Words of its own, its code first: `ERR invalid expire time in 'set' command`.
    Text(Cow<'static, str>),
    /// The same, with bytes a client sent in it.
    Bytes(Vec<u8>),
}

impl CommandError {
    /// What a server outside a cluster says: clients ask for the cluster to learn that there is none.
    pub const NO_CLUSTER: CommandError = CommandError::fixed("ERR This instance has cluster support disabled");

    /// `ERR <text>`.
    pub fn err(text: impl std::fmt::Display) -> CommandError {
        CommandError::Text(format!("ERR {text}").into())
    }

    /// Fixed words, their code first.
    pub const fn fixed(text: &'static str) -> CommandError {
        CommandError::Text(Cow::Borrowed(text))
    }

    pub fn wrong_arity(command: &str) -> CommandError {
        CommandError::err(format_args!("wrong number of arguments for '{command}' command"))
    }

    pub fn invalid_expire(command: &str) -> CommandError {
        CommandError::err(format_args!("invalid expire time in '{command}' command"))
    }

    /// The text of the error reply, code first, without the leading `-`.
    pub fn text(&self) -> Cow<'_, [u8]> {
        let fixed: &'static str = match self {
            Self::WrongType | Self::WrongTargetType => {
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            }
            Self::Aside => "ERR the command was not run",
            Self::Syntax => "ERR syntax error",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::NotFloat => "ERR value is not a valid float",
            Self::IndexOutOfRange => "ERR index out of range",
            Self::NoSuchKey => "ERR no such key",
            Self::Overflow => "ERR increment or decrement would overflow",
            Self::NotFinite => "ERR increment would produce NaN or Infinity",
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::InvalidCursor => "ERR invalid cursor",
            Self::MustBePositive => "ERR value is out of range, must be positive",
            Self::OutOfRange => "ERR value is out of range",
            Self::DbIndexOutOfRange => "ERR DB index is out of range",
            Self::UnknownSubcommand { command, given } => {
                let given = &given[..given.len().min(128)];
                let given = &given[..memchr::memchr(0, given).unwrap_or(given.len())];
                let hint = format!("'. Try {} HELP.", command.to_uppercase());
                return Cow::Owned([b"ERR unknown subcommand '", given, hint.as_bytes()].concat());
            }
            Self::Text(Cow::Borrowed(t)) => t,
            Self::Text(Cow::Owned(t)) => return Cow::Borrowed(t.as_bytes()),
            Self::Bytes(b) => return Cow::Borrowed(b),
        };
        Cow::Borrowed(fixed.as_bytes())
    }
}

/// What handlers return: the reply is in the context, or the error says why there is none.
pub type Outcome = Result<(), CommandError>;
