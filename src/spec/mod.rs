//! Command metadata as data: arity, flags, key specifications, ACL categories, documentation.
//!
//! A [`CommandSpec`] is a constant that stands beside its handler. COMMAND, COMMAND DOCS, ACL categories, routing and the
//! hints of the command line client are all derived from it; no second place lists what a command is.
//!
//! ```
//! use holdfast::spec::{CommandSpec, Group, KeySpec};
//!
//! pub const GET: CommandSpec = CommandSpec::new("get", 2, Group::String, "readonly fast")
//!     .since("1.0.0")
//!     .keys(&[KeySpec::index(1, "RO access")])
//!     .args("key:key")
//!     .doc("Reads the string at a key.", "O(1)");
//!
//! let args: [&[u8]; 2] = [b"GET", b"k"];
//! assert_eq!(GET.extract_keys(&args).unwrap().iter().map(|(at, _)| at).collect::<Vec<_>>(), [1]);
//! assert_eq!(GET.syntax_line().unwrap(), "GET key");
//! ```
//!
//! Invariants: what a row gets wrong in its flags or key specs does not compile; positions handed out by key extraction are
//! always inside the arguments. Must never know: a handler, a client, the wire.

mod describe;
mod flags;
mod key_spec;
mod keys;
mod reach;
mod syntax;

pub use describe::{Node, docs, info};
pub use flags::{Categories, CommandFlags, KeyFlags};
pub use key_spec::{BeginSearch, FindKeys, KeyCode, KeySpec};
pub use keys::{KeyError, KeyRange, KeyRanges, KeyScope};
pub use reach::{ChannelUse, DatabaseUse};
pub use syntax::{Argument, ArgumentKind, SyntaxError, parse as parse_syntax, syntax_line};

/// The family COMMAND DOCS files a command under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Keys of any type.
    Generic,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Hashes.
    Hash,
    /// Publish and subscribe.
    PubSub,
    /// MULTI and its family.
    Transactions,
    /// The connection itself.
    Connection,
    /// The server.
    Server,
    /// Scripts and functions.
    Scripting,
    /// HyperLogLogs.
    HyperLogLog,
    /// The cluster.
    Cluster,
    /// Geographic indexes.
    Geo,
    /// Streams.
    Stream,
    /// Bitmaps.
    Bitmap,
}

impl Group {
    /// The name COMMAND DOCS prints.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::HyperLogLog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }

    /// The ACL category every command of the group has, where there is one.
    const fn category(self) -> Categories {
        match self {
            Group::String => Categories::STRING,
            Group::List => Categories::LIST,
            Group::Set => Categories::SET,
            Group::SortedSet => Categories::SORTEDSET,
            Group::Hash => Categories::HASH,
            Group::Transactions => Categories::TRANSACTION,
            Group::Connection => Categories::CONNECTION,
            Group::Scripting => Categories::SCRIPTING,
            Group::HyperLogLog => Categories::HYPERLOGLOG,
            Group::Geo => Categories::GEO,
            Group::Stream => Categories::STREAM,
            Group::Bitmap => Categories::BITMAP,
            // The rows of these groups name their own: KEYS is dangerous, WAIT is about the connection.
            Group::Generic | Group::Server | Group::Cluster | Group::PubSub => Categories::empty(),
        }
    }
}

/// One command, or one subcommand under its container.
///
/// Build it in a `const` with [`CommandSpec::new`] or [`CommandSpec::sub`] and the methods that follow it.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Lower case; the short name for a subcommand (`"get"` of CONFIG GET).
    pub name: &'static str,
    /// The container's name, lower case, for a subcommand.
    pub parent: Option<&'static str>,
    /// Number of arguments with the command's own words; negative: at least so many.
    pub arity: i16,
    /// Where it is filed.
    pub group: Group,
    /// Flags, `movablekeys` derived from the key specs included.
    pub flags: CommandFlags,
    /// ACL categories, those derived from the flags included.
    pub categories: Categories,
    /// How to find the keys.
    pub key_specs: &'static [KeySpec],
    /// Code that finds the keys where the specs alone cannot.
    pub key_code: KeyCode,
    /// First key, last key (negative: from the end), step as COMMAND prints them; zeros without keys.
    pub key_triple: (i32, i32, i32),
    only_key: u8,
    /// Which channels a call speaks to or listens on.
    pub channels: ChannelUse,
    /// Which databases a call names, beside the connection's own.
    pub databases: DatabaseUse,
    /// The version of the protocol family that brought the command.
    pub since: &'static str,
    /// The version that deprecated it and, in Markdown, what to use instead.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Whether the command is for servers among themselves.
    pub system: bool,
    /// Version and change.
    pub history: &'static [(&'static str, &'static str)],
    /// Hints for clients and proxies, separated by single spaces, in print order.
    pub tips: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Big O; empty prints nothing.
    pub complexity: &'static str,
    /// The arguments in the language of [`parse_syntax`].
    pub arguments: &'static str,
}

impl CommandSpec {
    /// A command. `flags` are the words of [`CommandFlags`] between single spaces.
    pub const fn new(name: &'static str, arity: i16, group: Group, flags: &str) -> Self {
        let flags = CommandFlags::from_words(flags);
        Self {
            name,
            parent: None,
            arity,
            group,
            flags,
            categories: derived_categories(flags, group).or(group.category()),
            key_specs: &[],
            key_code: KeyCode::Specs,
            key_triple: (0, 0, 0),
            only_key: 0,
            channels: ChannelUse::None,
            databases: DatabaseUse::Own,
            since: "",
            deprecated: None,
            system: false,
            history: &[],
            tips: "",
            summary: "",
            complexity: "",
            arguments: "",
        }
    }

    /// A subcommand of `parent`; its arity counts the container's word as well.
    pub const fn sub(parent: &'static str, name: &'static str, arity: i16, group: Group, flags: &str) -> Self {
        Self { parent: Some(parent), ..Self::new(name, arity, group, flags) }
    }

    /// A container: it is called through its subcommands and has no group category of its own.
    pub const fn container(name: &'static str, group: Group, flags: &str) -> Self {
        let spec = Self::new(name, -2, group, flags);
        Self { categories: derived_categories(spec.flags, group), ..spec }
    }

    /// The version that brought the command.
    pub const fn since(self, since: &'static str) -> Self {
        Self { since, ..self }
    }

    /// The version that deprecated the command, and the replacement in Markdown.
    pub const fn deprecated(self, since: &'static str, replaced_by: &'static str) -> Self {
        Self { deprecated: Some((since, replaced_by)), ..self }
    }

    /// Marks a command that servers send each other.
    pub const fn system(self) -> Self {
        Self { system: true, ..self }
    }

    /// ACL categories beyond those of the flags and the group: words without `@`.
    pub const fn acl(self, categories: &str) -> Self {
        Self { categories: self.categories.or(Categories::from_words(categories)), ..self }
    }

    /// The key specs; `movablekeys` and the first-last-step triple follow from them.
    pub const fn keys(self, key_specs: &'static [KeySpec]) -> Self {
        assert!(key_specs.len() <= KeyRanges::SPECS_MAX, "more key specs than an extraction can hold");
        let flags =
            if key_spec::are_movable(key_specs) { self.flags.or(CommandFlags::MOVABLE_KEYS) } else { self.flags };
        Self {
            key_specs,
            flags,
            key_triple: key_spec::triple(key_specs),
            only_key: key_spec::only_key(key_specs),
            ..self
        }
    }

    /// The arguments that are channels or patterns of channels.
    pub const fn channels(self, channels: ChannelUse) -> Self {
        Self { channels, ..self }
    }

    /// The arguments that are databases.
    pub const fn databases(self, databases: DatabaseUse) -> Self {
        Self { databases, ..self }
    }

    /// The code that finds the keys, or their flags, where the specs alone cannot.
    pub const fn key_code(self, key_code: KeyCode) -> Self {
        Self { key_code, ..self }
    }

    /// Version and change, oldest first as a rule.
    pub const fn history(self, history: &'static [(&'static str, &'static str)]) -> Self {
        Self { history, ..self }
    }

    /// Hints for clients and proxies between single spaces.
    pub const fn tips(self, tips: &'static str) -> Self {
        Self { tips, ..self }
    }

    /// The arguments after the command's own words, in the language of [`parse_syntax`].
    pub const fn args(self, arguments: &'static str) -> Self {
        Self { arguments, ..self }
    }

    /// Summary and complexity.
    pub const fn doc(self, summary: &'static str, complexity: &'static str) -> Self {
        Self { summary, complexity, ..self }
    }

    /// Whether `argc` arguments, the command's own words included, satisfy the arity.
    pub const fn accepts(&self, argc: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { argc >= wanted } else { argc == wanted }
    }

    /// Whether the row stands under a container.
    pub const fn is_subcommand(&self) -> bool {
        self.parent.is_some()
    }

    /// The position of the key, for the many commands whose every call has one key at a fixed place: the short way round
    /// [`CommandSpec::found_keys`]. Its flags are those of the first key spec, but for rows with a [`KeyCode`].
    pub fn only_key(&self) -> Option<usize> {
        (self.only_key > 0).then_some(usize::from(self.only_key))
    }

    /// `get`, or `config|get` for a subcommand: the form of COMMAND, ACL rules, statistics and error texts.
    pub fn full_name(&self) -> String {
        match self.parent {
            Some(parent) => format!("{parent}|{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// The argument tree of COMMAND DOCS.
    ///
    /// # Errors
    /// Only for a row that is written wrongly; a test over the command table reads every row.
    pub fn argument_tree(&self) -> Result<Vec<Argument<'static>>, SyntaxError> {
        syntax::parse(self.arguments)
    }

    /// `SET key value [NX | XX] ...`: command in upper case, arguments as people read them.
    ///
    /// # Errors
    /// As [`CommandSpec::argument_tree`].
    pub fn syntax_line(&self) -> Result<String, SyntaxError> {
        let mut line = self.full_name().replace('|', " ").to_ascii_uppercase();
        let arguments = syntax::syntax_line(&self.argument_tree()?);
        if !arguments.is_empty() {
            line.push(' ');
            line.push_str(&arguments);
        }
        Ok(line)
    }
}

/// The categories that follow from the flags. A read-only script is not a read of keys: it may do anything a script may.
const fn derived_categories(flags: CommandFlags, group: Group) -> Categories {
    let mut categories = if flags.contains(CommandFlags::FAST) { Categories::FAST } else { Categories::SLOW };
    if flags.contains(CommandFlags::WRITE) {
        categories = categories.or(Categories::WRITE);
    }
    if flags.contains(CommandFlags::READONLY) && !matches!(group, Group::Scripting) {
        categories = categories.or(Categories::READ);
    }
    if flags.contains(CommandFlags::ADMIN) {
        categories = categories.or(Categories::ADMIN).or(Categories::DANGEROUS);
    }
    if flags.contains(CommandFlags::PUBSUB) {
        categories = categories.or(Categories::PUBSUB);
    }
    if flags.contains(CommandFlags::BLOCKING) {
        categories = categories.or(Categories::BLOCKING);
    }
    categories
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVE: CommandSpec = CommandSpec::new("save", 1, Group::Server, "admin noscript");
    const BLPOP: CommandSpec = CommandSpec::new("blpop", -3, Group::List, "write blocking");
    const EVAL_RO: CommandSpec = CommandSpec::new("eval_ro", -3, Group::Scripting, "noscript readonly");
    const CONFIG: CommandSpec = CommandSpec::container("config", Group::Server, "");
    const OBJECT: CommandSpec = CommandSpec::container("xinfo", Group::Stream, "");
    const CONFIG_GET: CommandSpec = CommandSpec::sub("config", "get", -3, Group::Server, "admin");
    const SORT: CommandSpec =
        CommandSpec::new("sort", -2, Group::Generic, "write denyoom").acl("set sortedset list dangerous");

    fn words(spec: &CommandSpec) -> Vec<&'static str> {
        spec.categories.words().collect()
    }

    #[test]
    fn categories_follow_from_flags_and_group() {
        assert_eq!(words(&SAVE), ["admin", "slow", "dangerous"]);
        assert_eq!(words(&BLPOP), ["write", "list", "slow", "blocking"]);
        assert_eq!(words(&SORT), ["write", "set", "sortedset", "list", "slow", "dangerous"]);
    }

    #[test]
    fn a_read_only_script_is_not_a_read() {
        assert_eq!(words(&EVAL_RO), ["slow", "scripting"]);
    }

    #[test]
    fn a_container_has_no_group_category() {
        assert_eq!(words(&OBJECT), ["slow"]);
        assert_eq!(CONFIG.arity, -2);
    }

    #[test]
    fn a_subcommand_is_named_with_its_container() {
        assert_eq!(CONFIG_GET.full_name(), "config|get");
        assert_eq!(CONFIG_GET.syntax_line().as_deref(), Ok("CONFIG GET"));
        assert!(CONFIG_GET.accepts(3) && CONFIG_GET.accepts(9) && !CONFIG_GET.accepts(2));
        assert!(SAVE.accepts(1) && !SAVE.accepts(2));
    }
}
