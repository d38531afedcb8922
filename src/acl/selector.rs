//! A selector: one set of permissions, compiled for the check, and the rules that say it again in words.

use super::catalog::Catalog;
use super::rule::RuleError;
use crate::base::glob;
use crate::spec::Categories;
use std::collections::BTreeMap;

/// First arguments a user may be limited to, for one command; more are a list that belongs elsewhere.
const FIRST_ARGUMENTS_MAX: usize = 1024;

/// How a pattern is matched: most are a prefix or a plain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Everything,
    /// Literal bytes and one star at the end.
    Prefix,
    Literal,
    Glob,
}

/// A glob pattern, looked at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Vec<u8>,
    shape: Shape,
}

impl Pattern {
    pub fn new(text: &[u8]) -> Pattern {
        let shape = match text.split_last() {
            _ if glob::is_match_all(text) => Shape::Everything,
            Some((b'*', stem)) if glob::is_literal(stem) => Shape::Prefix,
            _ if glob::is_literal(text) => Shape::Literal,
            _ => Shape::Glob,
        };
        Pattern { text: text.to_vec(), shape }
    }

    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self.shape {
            Shape::Everything => true,
            Shape::Prefix => name.starts_with(&self.text[..self.text.len() - 1]),
            Shape::Literal => name == self.text,
            Shape::Glob => glob::matches(&self.text, name),
        }
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Keys that may be read, written, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    pub pattern: Pattern,
    pub read: bool,
    pub write: bool,
}

/// `+get`, `-@hash`, `+config|get`, `+select|0`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandRule {
    allow: bool,
    /// Lower case, without the sign; the first argument of `+select|0` as it was given.
    name: Vec<u8>,
}

/// One set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// A bit per command number.
    allowed: Box<[u64]>,
    /// The rules begin with `+@all`: commands that do not exist yet are allowed.
    base_all: bool,
    rules: Vec<CommandRule>,
    /// First arguments that allow a command which is not allowed as a whole.
    first_arguments: BTreeMap<u16, Vec<Vec<u8>>>,
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) all_channels: bool,
    pub(super) channels: Vec<Pattern>,
    /// Sorted, each once; `None` is all of them.
    pub(super) databases: Option<Vec<u32>>,
}

impl Selector {
    /// Nothing is allowed but to choose a database.
    pub fn none(catalog: &Catalog, all_channels: bool) -> Selector {
        Selector {
            allowed: vec![0; catalog.len().div_ceil(64)].into_boxed_slice(),
            base_all: false,
            rules: Vec::new(),
            first_arguments: BTreeMap::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels,
            channels: Vec::new(),
            databases: None,
        }
    }

    /// Everything is allowed.
    pub fn all(catalog: &Catalog) -> Selector {
        let mut all = Selector::none(catalog, true);
        all.set_all_commands(catalog, true);
        all.all_keys = true;
        all
    }

    #[inline(always)]
    pub fn allows_command(&self, id: u16) -> bool {
        self.allowed.get(usize::from(id / 64)).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// Whether a call with this first argument is allowed although the command as a whole is not.
    pub fn allows_first_argument(&self, id: u16, argument: Option<&[u8]>) -> bool {
        let Some(argument) = argument else { return false };
        self.first_arguments.get(&id).is_some_and(|list| list.iter().any(|own| own.eq_ignore_ascii_case(argument)))
    }

    /// Whether keys with these uses are allowed. A key that is neither read nor written needs any permission at all.
    #[inline]
    pub fn allows_key(&self, key: &[u8], reads: bool, writes: bool) -> bool {
        self.all_keys || self.keys.iter().any(|k| (k.read || !reads) && (k.write || !writes) && k.pattern.matches(key))
    }

    /// Whether the channel is allowed; a pattern of channels only as it stands.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels
            || self.channels.iter().any(|c| if is_pattern { c.text() == channel } else { c.matches(channel) })
    }

    pub fn allows_database(&self, db: u32) -> bool {
        self.databases.as_ref().is_none_or(|list| list.binary_search(&db).is_ok())
    }

    /// Whether each of the server's databases is allowed.
    pub fn allows_all_databases(&self, databases: u32) -> bool {
        self.databases.is_none() || (0..databases).all(|db| self.allows_database(db))
    }

    /// Whether any key may be read.
    pub fn reads_all_keys(&self) -> bool {
        self.all_keys || self.keys.iter().any(|k| k.read && k.pattern.shape == Shape::Everything)
    }

    /// Whether nothing is ever refused.
    pub fn is_full(&self, catalog: &Catalog) -> bool {
        let all_keys =
            self.all_keys || self.keys.iter().any(|k| k.read && k.write && k.pattern.shape == Shape::Everything);
        all_keys
            && self.all_channels
            && self.databases.is_none()
            && (0..catalog.len()).all(|id| self.allows_command(id as u16))
    }

    fn set_bit(&mut self, id: u16, allow: bool) {
        let word = &mut self.allowed[usize::from(id / 64)];
        if allow {
            *word |= 1 << (id % 64);
        } else {
            *word &= !(1 << (id % 64));
        }
    }

    /// A command with its subcommands; what was said about first arguments is void.
    fn set_command(&mut self, catalog: &Catalog, id: u16, allow: bool) {
        self.set_bit(id, allow);
        self.first_arguments.remove(&id);
        for sub in &catalog.get(id).subcommands {
            self.set_bit(*sub, allow);
            self.first_arguments.remove(sub);
        }
    }

    /// `allcommands`, `nocommands`.
    pub(super) fn set_all_commands(&mut self, catalog: &Catalog, allow: bool) {
        for (id, _) in catalog.iter() {
            self.set_bit(id, allow);
        }
        self.first_arguments.clear();
        self.rules.clear();
        self.base_all = allow;
    }

    /// `+@category`, `-@category`; `name` has neither sign nor `@`.
    pub(super) fn set_category(&mut self, catalog: &Catalog, name: &str, allow: bool) -> Result<(), RuleError> {
        if name.eq_ignore_ascii_case("all") {
            self.set_all_commands(catalog, allow);
            return Ok(());
        }
        let category = Categories::from_word(name).ok_or(RuleError::Unknown)?;
        for (id, fact) in catalog.iter() {
            if fact.spec.categories.intersects(category) {
                self.set_command(catalog, id, allow);
            }
        }
        self.note(allow, format!("@{}", name.to_ascii_lowercase()).into_bytes());
        Ok(())
    }

    /// `+command`, `-command|sub`, `+command|first-argument`; `name` has no sign.
    pub(super) fn set_named(&mut self, catalog: &Catalog, name: &[u8], allow: bool) -> Result<(), RuleError> {
        let text = std::str::from_utf8(name).map_err(|_| RuleError::Unknown)?;
        if let Some(id) = catalog.find(text) {
            self.set_command(catalog, id, allow);
            self.note(allow, text.to_ascii_lowercase().into_bytes());
            return Ok(());
        }
        // What is left is a first argument, which can only be allowed: a list of what is forbidden would be got round by
        // another spelling of the same.
        let (command, argument) = text.split_once('|').filter(|_| allow).ok_or(RuleError::Unknown)?;
        if let Some((sub, _)) = argument.split_once('|') {
            let of_subcommand = catalog.find(&format!("{command}|{sub}")).is_some();
            return Err(if of_subcommand { RuleError::FirstArgumentOfSubcommand } else { RuleError::Unknown });
        }
        let id = catalog.find(command).ok_or(RuleError::Unknown)?;
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if !catalog.get(id).subcommands.is_empty() {
            return Err(RuleError::Unknown);
        }
        // A command that is allowed as a whole stays so; the rule is kept for when it no longer is.
        let list = self.first_arguments.entry(id).or_default();
        if !list.iter().any(|own| own.eq_ignore_ascii_case(argument.as_bytes())) {
            if list.len() >= FIRST_ARGUMENTS_MAX {
                return Err(RuleError::TooMany);
            }
            list.push(argument.as_bytes().to_vec());
        }
        self.note(true, format!("{}|{argument}", command.to_ascii_lowercase()).into_bytes());
        Ok(())
    }

    /// Adds a rule to the words; what it makes void goes: the same name with either sign, and parts of a whole.
    fn note(&mut self, allow: bool, name: Vec<u8>) {
        self.rules.retain(|rule| {
            let part = rule.name.len() > name.len() && rule.name.starts_with(&name) && rule.name[name.len()] == b'|';
            !part && rule.name != name
        });
        self.rules.push(CommandRule { allow, name });
    }

    /// The rules for commands: `-@all +get`.
    pub fn describe_commands(&self) -> Vec<u8> {
        let mut out = if self.base_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for rule in &self.rules {
            out.extend_from_slice(if rule.allow { b" +" } else { b" -" });
            out.extend_from_slice(&rule.name);
        }
        out
    }

    /// The rules for keys: `~a %R~b*`; empty if there are none.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let mut out = Vec::new();
        for k in &self.keys {
            if !out.is_empty() {
                out.push(b' ');
            }
            out.extend_from_slice(match (k.read, k.write) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => &b"~"[..],
            });
            out.extend_from_slice(k.pattern.text());
        }
        out
    }

    /// The rules for channels: `&a &b*`; empty if there are none.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let mut out = Vec::new();
        for c in &self.channels {
            if !out.is_empty() {
                out.push(b' ');
            }
            out.push(b'&');
            out.extend_from_slice(c.text());
        }
        out
    }

    /// `alldbs`, `db=0,1`, or nothing.
    pub fn describe_databases(&self) -> String {
        match &self.databases {
            None => "alldbs".into(),
            Some(list) if list.is_empty() => String::new(),
            Some(list) => format!("db={}", list.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
        }
    }

    /// All rules, as they are written into a file.
    pub fn describe(&self) -> Vec<u8> {
        let mut words = Vec::new();
        let keys = self.describe_keys();
        if !keys.is_empty() {
            words.push(keys);
        }
        if !self.all_channels {
            words.push(b"resetchannels".to_vec());
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            words.push(channels);
        }
        match &self.databases {
            // Said by its absence: files stay readable for servers that do not know the rule.
            None => {}
            Some(list) if list.is_empty() => words.push(b"resetdbs".to_vec()),
            Some(_) => words.push(self.describe_databases().into_bytes()),
        }
        words.push(self.describe_commands());
        words.join(&b' ')
    }
}
