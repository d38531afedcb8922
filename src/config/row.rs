//! The shape of a directive's row, and the macro that writes a topic: struct, defaults and rows from one block.
//!
//! Invariant: name, type, default, bounds and doc of a directive stand in one place.

use super::directives::Config;

/// What a directive's value looks like; for the printed file, for `check-config` and for completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// An integer within inclusive bounds.
    Integer { min: i128, max: i128 },
    /// Bytes, with an optional unit (`b`, `k`, `kb`, `m`, `mb`, `g`, `gb`); bounds inclusive, in bytes.
    Memory { min: i128, max: i128 },
    /// A memory value, or a percentage of `maxmemory`.
    MemoryOrPercent,
    /// One of some words.
    Enum { words: Vec<&'static str> },
    /// Any text; empty means unset.
    Text,
    /// Several words with rules of their own.
    Special { shape: &'static str },
}

impl Kind {
    /// One line that a person reads: `integer 0..65535`, `yes | no`.
    pub fn describe(&self) -> String {
        match self {
            Kind::Bool => "yes | no".into(),
            Kind::Integer { min, max } => format!("integer, {min} to {max}"),
            Kind::Memory { min, max } => format!("memory (1024, 10mb, 1gb), {min} to {max} bytes"),
            Kind::MemoryOrPercent => "memory (1024, 10mb, 1gb) or a percentage of maxmemory (5%)".into(),
            Kind::Enum { words } => words.join(" | "),
            Kind::Text => "text".into(),
            Kind::Special { shape } => (*shape).into(),
        }
    }
}

/// When a directive may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only the configuration file and the command line set it.
    Start,
    /// CONFIG SET sets it.
    Runtime,
}

/// Who may read or write it, and where it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitivity {
    /// Nothing special.
    Open,
    /// Its value is a secret: never in a log line, an error or a notice.
    Secret,
    /// CONFIG SET only as `enable-protected-configs` allows.
    Protected,
    /// Only for files: CONFIG GET and CONFIG SET do not know it.
    Unlisted,
    /// Not listed by a pattern; CONFIG GET shows it when it is named in full.
    Hidden,
}

/// Whether the server obeys a directive yet. Lifting one is one word in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The server obeys it.
    Works,
    /// It tunes something that is not there yet: any valid value is kept and shown, a notice says it has no effect.
    Later(&'static str),
    /// It switches on something that is not there yet: any value but the default is an error that says so.
    Missing(&'static str),
    /// It has no meaning in this design and never will: kept, shown, with a notice that says why.
    Inert(&'static str),
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The configuration file or the command line: directives that repeat add up.
    Load,
    /// CONFIG SET: the value replaces what was there.
    Runtime,
}

/// Parses words into a configuration; the error is the text clients see.
pub type Setter = fn(&mut Config, &[Vec<u8>], Source) -> Result<(), String>;

/// One directive.
pub struct Directive {
    /// The name CONFIG REWRITE and the default file use.
    pub name: &'static str,
    /// Other names it answers to; CONFIG GET lists them too.
    pub aliases: &'static [&'static str],
    /// The topic it is printed under.
    pub topic: &'static str,
    /// The paragraph, a line per element, in our own words.
    pub doc: &'static [&'static str],
    /// When it may change.
    pub change: Change,
    /// Who may see and change it.
    pub sensitivity: Sensitivity,
    /// Whether the server obeys it yet.
    pub standing: Standing,
    /// Whether a value is a list of words (one word with spaces in it is then split).
    pub multi: fn() -> bool,
    /// Shape and bounds of the value.
    pub kind: fn() -> Kind,
    /// The value as CONFIG GET prints it.
    pub get: fn(&Config) -> Vec<u8>,
    /// The lines (each a list of words after the name) that set this value again when a file is loaded.
    pub lines: fn(&Config) -> Vec<Vec<Vec<u8>>>,
    /// Parses `words` into `config`; the error is the text Valkey gives for it.
    pub set: Setter,
}

impl Directive {
    /// Whether `name` names this directive, in any case.
    pub fn answers_to(&self, name: &[u8]) -> bool {
        self.names().any(|own| own.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Parses and applies `words`, then holds the result against the directive's standing.
    ///
    /// # Errors
    /// The text Valkey gives for a bad value, or why a valid one cannot be obeyed yet. `config` may then be half
    /// changed: callers work on a copy.
    pub fn apply(&self, config: &mut Config, words: &[Vec<u8>], source: Source) -> Result<(), String> {
        let split;
        let words = match words {
            // A list given as one word, by CONFIG SET or quoted on a command line.
            [one] if (self.multi)() => {
                split = one.split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect::<Vec<_>>();
                &split
            }
            _ if !(self.multi)() && words.len() != 1 => return Err("wrong number of arguments".into()),
            _ => words,
        };
        (self.set)(config, words, source)?;
        // Into files, logs and terminals they would go. A password is any bytes, and so are the keys of a user's patterns: those are
        // written escaped.
        let any_bytes = self.sensitivity == Sensitivity::Secret || self.name == "user";
        if !any_bytes && words.iter().flatten().any(u8::is_ascii_control) {
            return Err("control characters are not allowed".into());
        }
        if let Standing::Missing(why) = self.standing
            && (self.get)(config) != (self.get)(Config::defaults())
        {
            return Err(format!("not supported yet: {why}"));
        }
        Ok(())
    }

    /// Whether the value differs from the default.
    pub fn is_changed(&self, config: &Config) -> bool {
        (self.get)(config) != (self.get)(Config::defaults())
    }

    /// Why a configured value has no effect, if it has none.
    pub fn without_effect(&self) -> Option<&'static str> {
        match self.standing {
            Standing::Works | Standing::Missing(_) => None,
            Standing::Later(why) | Standing::Inert(why) => Some(why),
        }
    }
}

impl std::fmt::Debug for Directive {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Directive").field("name", &self.name).field("standing", &self.standing).finish()
    }
}

/// Writes a topic: `pub struct Topic` with its documented fields, `Default` from the rows' defaults, and `ROWS`.
///
/// A row: `/// doc` then `"name" | "alias" => field: Type = default, codec, Change, Sensitivity, Standing;`
macro_rules! topic {
    (
        $(#[doc = $about:literal])*
        $topic:ident in $group:ident, $title:literal;
        $(
            $(#[doc = $doc:literal])+
            $name:literal $(| $alias:literal)* => $field:ident: $type:ty = $default:expr, $codec:expr,
                $change:ident, $sensitivity:ident, $standing:expr;
        )+
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $topic {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for $topic {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        pub(super) static ROWS: &[$crate::config::Directive] = &[
            $( $crate::config::Directive {
                name: $name,
                aliases: &[$($alias),*],
                topic: $title,
                doc: &[$($doc),+],
                change: $crate::config::Change::$change,
                sensitivity: $crate::config::Sensitivity::$sensitivity,
                standing: $standing,
                multi: || $crate::config::codec::Codec::<$type>::multi(&$codec),
                kind: || $crate::config::codec::Codec::<$type>::kind(&$codec),
                get: |config| $crate::config::codec::Codec::<$type>::print(&$codec, &config.$group.$field),
                lines: |config| $crate::config::codec::Codec::<$type>::lines(&$codec, &config.$group.$field),
                set: |config, words, source| {
                    let value = $crate::config::codec::Codec::<$type>::parse(&$codec, words, &config.$group.$field, source)?;
                    config.$group.$field = value;
                    Ok(())
                },
            }, )+
        ];
    };
}
pub(super) use topic;
