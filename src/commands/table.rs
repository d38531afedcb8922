//! The table: from a name to its row and handler.

use super::context::{DataFn, NodeFn};
use super::error::CommandError;
use crate::acl::Catalog;
use crate::acl::catalog::Fact;
use crate::resp::args::Args;
use crate::spec::{Categories, CommandFlags, CommandSpec, Group, KeyFlags};

/// Who runs a command.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Under the locks of the keys its key specifications name.
    Data(DataFn),
    /// Under all locks: it must see the whole key space at one instant.
    Whole(DataFn),
    /// Without locks: the connection, the server, or the key space stripe by stripe.
    Node(NodeFn),
    /// The same, but inside EXEC all locks are held for it: it looks at the key space.
    Span(NodeFn),
    /// Only its subcommands run.
    Container,
    /// Part of MULTI's own machinery; the engine knows it.
    Transaction(TransactionCommand),
    /// Runs a script; the engine knows how.
    Script(ScriptCommand),
    /// Known, but not there yet: answers with an error that says what is missing.
    Missing(&'static str),
}

/// The commands the engine itself runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionCommand {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
}

/// A command as its family writes it down.
pub struct Command {
    pub spec: CommandSpec,
    pub handler: Handler,
    pub subcommands: &'static [&'static Command],
}

/// Where a script comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptCommand {
    /// The call brings it.
    Text,
    /// The call names it by its digest.
    Digest,
    /// It is a function of a library.
    Function,
}

impl Command {
    pub const fn data(spec: CommandSpec, f: DataFn) -> Command {
        Command { spec, handler: Handler::Data(f), subcommands: &[] }
    }

    pub const fn whole(spec: CommandSpec, f: DataFn) -> Command {
        Command { spec, handler: Handler::Whole(f), subcommands: &[] }
    }

    pub const fn node(spec: CommandSpec, f: NodeFn) -> Command {
        Command { spec, handler: Handler::Node(f), subcommands: &[] }
    }

    pub const fn span(spec: CommandSpec, f: NodeFn) -> Command {
        Command { spec, handler: Handler::Span(f), subcommands: &[] }
    }

    pub const fn container(spec: CommandSpec, subcommands: &'static [&'static Command]) -> Command {
        Command { spec, handler: Handler::Container, subcommands }
    }

    /// A command that also has subcommands (COMMAND).
    pub const fn with_subcommands(self, subcommands: &'static [&'static Command]) -> Command {
        Command { subcommands, ..self }
    }

    pub const fn transaction(spec: CommandSpec, which: TransactionCommand) -> Command {
        Command { spec, handler: Handler::Transaction(which), subcommands: &[] }
    }

    pub const fn script(spec: CommandSpec, which: ScriptCommand) -> Command {
        Command { spec, handler: Handler::Script(which), subcommands: &[] }
    }

    /// `what` completes "... is not there yet: <what>".
    pub const fn missing(spec: CommandSpec, what: &'static str) -> Command {
        Command { spec, handler: Handler::Missing(what), subcommands: &[] }
    }
}

/// What the audit log records of whoever runs it.
pub const AUDITED: Categories = Categories::ADMIN.or(Categories::DANGEROUS);

/// Where a script's first key stands, behind the count of keys.
const SCRIPT_KEYS_AT: u8 = 3;

/// A command in the table.
pub struct Entry {
    /// Its number: statistics and ACL bits are kept by it.
    pub id: u16,
    pub command: &'static Command,
    /// `get`, `config|get`; the name it was given if it was renamed.
    pub name: String,
    /// Entries of the subcommands.
    pub subcommands: Vec<&'static Entry>,
    pub flags: CommandFlags,
    /// The one key's position, where there is exactly one at a fixed place: the way most commands go.
    pub single_key: Option<u8>,
    /// Where the key stands that the call is certain, or a script's call likely, to touch: the cache is asked for it ahead.
    pub leading_key: Option<u8>,
    /// It is a script's call, or the end of a transaction, which may hold one.
    pub may_run_script: bool,
    /// The handler, where nothing but the one key's stripe and a client's standing decides whether it may run.
    pub plain: Option<DataFn>,
}

impl Entry {
    #[inline(always)]
    pub fn spec(&self) -> &'static CommandSpec {
        &self.command.spec
    }

    /// What this call reads or changes beside the keys it names cannot be told before it runs: patterns lead there.
    #[cold]
    pub fn reaches_any_key(&self, args: Args<'_>) -> bool {
        let pattern = |w: &[u8]| w.eq_ignore_ascii_case(b"BY") || w.eq_ignore_ascii_case(b"GET");
        self.is(CommandFlags::ARBITRARY_KEYS) && args.from(2).iter().any(pattern)
    }

    /// The error of a command that is not there yet; `what` says what it waits for.
    pub fn missing(&self, what: &str, clustered: bool) -> CommandError {
        if self.spec().group == Group::Cluster && !clustered {
            return CommandError::NO_CLUSTER;
        }
        CommandError::err(format_args!("'{}' is not there yet: {what}", self.name))
    }

    #[inline(always)]
    pub fn is(&self, flags: CommandFlags) -> bool {
        self.flags.intersects(flags)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({} {})", self.id, self.name)
    }
}

/// All commands. Made once at boot and kept for the life of the process.
pub struct CommandTable {
    entries: Vec<&'static Entry>,
    /// Open addressing over top-level names; a power of two, at most half full.
    places: Vec<Option<&'static Entry>>,
    /// The same over names of one to eight letters, as nearly all that are called often have: found by one comparison of words.
    short: Vec<Short>,
}

/// A place of a short name.
#[derive(Clone, Copy)]
struct Short {
    word: u64,
    len: usize,
    entry: Option<&'static Entry>,
}

impl CommandTable {
    /// The commands of `families`; `renames` gives commands another name, or takes them away with an empty one.
    ///
    /// # Errors
    /// A rename that names no command, or a name that is taken.
    pub fn new(families: &[&[&'static Command]], renames: &[(String, String)]) -> Result<CommandTable, String> {
        let mut entries: Vec<&'static Entry> = Vec::new();
        let tops: Vec<_> = families.iter().flat_map(|f| f.iter()).map(|c| add(c, &mut entries)).collect();
        let places = vec![None; (tops.len() * 2 + 1).next_power_of_two().max(1024)];
        let mut named: Vec<(String, &'static Entry)> = tops.into_iter().map(|top| (top.name.clone(), top)).collect();
        // One after the other: a name that a rename gives, the next may take.
        for (from, to) in renames {
            let Some(at) = named.iter().position(|(name, _)| name.eq_ignore_ascii_case(from)) else {
                return Err(format!("No such command in rename-command: '{from}'"));
            };
            let (_, entry) = named.remove(at);
            if !to.is_empty() {
                if named.iter().any(|(name, _)| name.eq_ignore_ascii_case(to)) {
                    return Err(format!("Target command name already exists: '{to}'"));
                }
                named.push((to.to_ascii_lowercase(), entry));
            }
        }
        let short = vec![Short { word: 0, len: 0, entry: None }; places.len()];
        let mut table = CommandTable { entries, places, short };
        for (name, top) in named {
            table.place(name.as_bytes(), top);
        }
        Ok(table)
    }

    fn place(&mut self, name: &[u8], entry: &'static Entry) {
        let mask = self.places.len() - 1;
        let mut at = hash(name) & mask;
        while self.places[at].is_some() {
            at = (at + 1) & mask;
        }
        // A renamed command keeps its own name in statistics but is found by the new one.
        let entry = if entry.name.as_bytes() == name {
            entry
        } else {
            Box::leak(Box::new(Entry {
                name: String::from_utf8_lossy(name).into_owned(),
                subcommands: entry.subcommands.clone(),
                ..*entry
            }))
        };
        self.places[at] = Some(entry);
        if let Some(word) = word(name).filter(|_| name.iter().all(u8::is_ascii_alphabetic)) {
            let mut at = short_place(word) & mask;
            while self.short[at].entry.is_some() {
                at = (at + 1) & mask;
            }
            self.short[at] = Short { word, len: name.len(), entry: Some(entry) };
        }
    }

    /// A command by name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Entry> {
        if let Some(word) = word(name) {
            let mask = self.short.len() - 1;
            let mut at = short_place(word) & mask;
            while let Short { word: other, len, entry: entry @ Some(_) } = self.short[at] {
                if other == word && len == name.len() {
                    return entry;
                }
                at = (at + 1) & mask;
            }
        }
        self.find_any(name)
    }

    /// The same for any name.
    fn find_any(&self, name: &[u8]) -> Option<&'static Entry> {
        let mask = self.places.len() - 1;
        let mut at = hash(name) & mask;
        loop {
            let entry = self.places[at]?;
            if entry.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(entry);
            }
            at = (at + 1) & mask;
        }
    }

    /// The entry of `name` or of `name|sub`.
    pub fn find_full(&self, name: &[u8]) -> Option<&'static Entry> {
        match name.iter().position(|c| *c == b'|') {
            None => self.find(name),
            Some(bar) => sub_of(self.find(&name[..bar])?, &name[bar + 1..]),
        }
    }

    /// The command or subcommand that `args` call, with its arity checked.
    #[inline]
    pub fn resolve(&self, args: Args<'_>) -> Result<&'static Entry, CommandError> {
        let Some(entry) = self.find(args.at(0)) else { return Err(unknown(args)) };
        self.resolve_known(entry, args)
    }

    /// The same, once the name has been looked up.
    #[inline]
    pub fn resolve_known(&self, entry: &'static Entry, args: Args<'_>) -> Result<&'static Entry, CommandError> {
        let mut entry = entry;
        if !entry.subcommands.is_empty() && args.len() > 1 {
            match sub_of(entry, args.at(1)) {
                Some(sub) => entry = sub,
                None => {
                    return Err(CommandError::UnknownSubcommand {
                        command: entry.name.clone(),
                        given: args.at(1).to_vec(),
                    });
                }
            }
        }
        if !entry.spec().accepts(args.len()) {
            return Err(CommandError::wrong_arity(&entry.name));
        }
        Ok(entry)
    }

    /// The commands as permissions see them.
    pub fn catalog(&self) -> Catalog {
        let fact = |e: &&'static Entry| Fact {
            name: e.spec().full_name(),
            spec: e.spec(),
            subcommands: e.subcommands.iter().map(|s| s.id).collect(),
            is_part: e.spec().is_subcommand(),
        };
        Catalog::new(self.entries.iter().map(fact).collect())
    }

    pub fn by_id(&self, id: u16) -> Option<&'static Entry> {
        self.entries.get(id as usize).copied()
    }

    /// All entries by number, subcommands behind their container.
    pub fn all(&self) -> &[&'static Entry] {
        &self.entries
    }

    /// The entries that can be called now, as they are called.
    pub fn callable(&self) -> impl Iterator<Item = &'static Entry> + '_ {
        self.places.iter().flatten().copied()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn add(command: &'static Command, entries: &mut Vec<&'static Entry>) -> &'static Entry {
    let id = entries.len() as u16;
    let spec = &command.spec;
    let single_key = match spec.key_triple {
        (first @ 1..=9, last, _)
            if first == last
                && !spec.flags.contains(CommandFlags::MOVABLE_KEYS)
                && !spec.flags.contains(CommandFlags::ARBITRARY_KEYS)
                // A shard channel stands where a key would, but nothing is looked up by it.
                && !spec.key_specs.iter().all(|k| k.flags.contains(KeyFlags::NOT_KEY)) =>
        {
            Some(first as u8)
        }
        _ => None,
    };
    // A place for the container first, so that subcommands follow it.
    let may_run_script = matches!(command.handler, Handler::Script(_) | Handler::Transaction(TransactionCommand::Exec));
    let entry = |subcommands| Entry {
        id,
        command,
        name: spec.full_name(),
        subcommands,
        flags: spec.flags,
        single_key,
        leading_key: if matches!(command.handler, Handler::Script(_)) { Some(SCRIPT_KEYS_AT) } else { single_key },
        may_run_script,
        plain: match command.handler {
            Handler::Data(f) if single_key.is_some() && !spec.categories.intersects(AUDITED) => Some(f),
            _ => None,
        },
    };
    entries.push(Box::leak(Box::new(entry(Vec::new()))));
    if !command.subcommands.is_empty() {
        let subcommands = command.subcommands.iter().map(|c| add(c, entries)).collect();
        entries[id as usize] = Box::leak(Box::new(entry(subcommands)));
    }
    entries[id as usize]
}

fn sub_of(entry: &'static Entry, name: &[u8]) -> Option<&'static Entry> {
    entry.subcommands.iter().find(|s| s.spec().name.as_bytes().eq_ignore_ascii_case(name)).copied()
}

/// One to eight bytes as a word, letters in lower case; words of names of the same length are equal if the names are. What is no letter
/// may change, but into no letter's lower case, so a name of letters is met by none but itself.
#[inline(always)]
fn word(name: &[u8]) -> Option<u64> {
    const CASE: u64 = 0x2020_2020_2020_2020;
    let word = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) if name.len() <= 8 => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        (None, _) => match *name {
            [a, b, c] => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
            [a, b] => u64::from(a) | u64::from(b) << 8,
            [a] => u64::from(a),
            _ => return None,
        },
        _ => return None,
    };
    Some(word | CASE)
}

#[inline(always)]
fn short_place(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

/// Over the length and the first and last bytes without their case bit: names are short and few.
#[inline(always)]
fn hash(name: &[u8]) -> usize {
    let byte = |i: usize| u64::from(name.get(i).copied().unwrap_or(0) | 0x20);
    let n = name.len();
    let word = byte(0)
        | byte(1) << 8
        | byte(2) << 16
        | byte(n / 2) << 24
        | byte(n.wrapping_sub(2)) << 32
        | byte(n.wrapping_sub(1)) << 40
        | (n as u64) << 48;
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

#[cold]
fn unknown(args: Args<'_>) -> CommandError {
    // Bytes as they are, up to a zero: what is no text either way is told as it came.
    fn cut(b: &[u8], max: usize) -> &[u8] {
        let b = &b[..b.len().min(max)];
        &b[..memchr::memchr(0, b).unwrap_or(b.len())]
    }
    let mut text = [b"ERR unknown command '", cut(args.at(0), 128), b"', with args beginning with: "].concat();
    let mut room = 128usize;
    for a in args.from(1).iter() {
        if room == 0 {
            break;
        }
        let shown = cut(a, room);
        room = room.saturating_sub(shown.len() + 3);
        text.extend_from_slice(&[b"'", shown, b"' "].concat());
    }
    CommandError::Bytes(text)
}
