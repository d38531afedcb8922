//! The manifest of an append-only folder: which files are the log, in which order.
//!
//! ```text
//! file appendonly.aof.1.base.rdb seq 1 type b      the base, at most one
//! file appendonly.aof.1.incr.aof seq 1 type i      what followed it, by ascending numbers
//! file appendonly.aof.0.base.rdb seq 0 type h      replaced, to be deleted
//! ```
//! Lines that begin with `#` are comments; a name with blanks stands in double quotes. Where files are sealed, a line says which file of that
//! name it is, and of an increment that others follow how much text it has, and the last line proves the whole:
//!
//! ```text
//! file appendonly.aof.1.incr.aof seq 1 type i id 86d2f5e1c0a39b7744f01c2e bytes 5120
//! # sealed 000b6024b714fef9 3c0f...
//! ```

use std::fmt;

/// What a file is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Base,
    Increment,
    History,
}

/// A file of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub number: u64,
    /// What tells the file from others, if it is sealed.
    pub id: Option<String>,
    /// Bytes of its text, if it grows no more and is sealed.
    pub bytes: Option<u64>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub base: Option<Part>,
    pub increments: Vec<Part>,
    pub history: Vec<Part>,
    /// The highest numbers that were ever given.
    last_base: u64,
    last_increment: u64,
}

/// What is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestError {
    Empty,
    /// A line that is no entry.
    Line {
        line: usize,
        why: &'static str,
    },
    TwoBases {
        line: usize,
    },
    /// A type that is none.
    Type {
        line: usize,
    },
    TooLong {
        line: usize,
    },
    /// Numbers of increments that do not rise.
    Order {
        line: usize,
    },
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::Empty => f.write_str("Found an empty AOF manifest"),
            ManifestError::Line { line, why } => write!(f, "Invalid AOF manifest file format: line {line} {why}"),
            ManifestError::TwoBases { line } => {
                write!(f, "Found duplicate base file information: line {line}")
            }
            ManifestError::Type { line } => write!(f, "Unknown AOF file type: line {line}"),
            ManifestError::TooLong { line } => {
                write!(f, "The AOF manifest file contains too long line: line {line}")
            }
            ManifestError::Order { line } => write!(f, "Found a non-monotonic sequence number: line {line}"),
        }
    }
}

impl std::error::Error for ManifestError {}

/// Longest line that is taken for an entry.
const LINE_MAX: usize = 1024;

impl Manifest {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        if text.is_empty() {
            return Err(ManifestError::Empty);
        }
        for (n, line) in text.split_inclusive('\n').enumerate() {
            let n = n + 1;
            let bad = |why| ManifestError::Line { line: n, why };
            if line.starts_with('#') {
                continue;
            }
            let Some(entry) = line.strip_suffix('\n') else { return Err(bad("has no end")) };
            let entry = entry.strip_suffix('\r').unwrap_or(entry);
            if entry.len() > LINE_MAX {
                return Err(ManifestError::TooLong { line: n });
            }
            let words = words(entry).ok_or(bad("has unbalanced quotes"))?;
            let (mut name, mut number, mut role, mut id, mut bytes) = (None, None, None, None, None);
            if words.len() < 6 || words.len() % 2 != 0 {
                return Err(bad("is no list of keys and values"));
            }
            for pair in words.chunks_exact(2) {
                let value = &pair[1];
                match pair[0].to_ascii_lowercase().as_str() {
                    "file" if value.contains('/') || value.is_empty() => return Err(bad("names a file elsewhere")),
                    "file" => name = Some(value.clone()),
                    "seq" => number = value.parse::<u64>().ok(),
                    "id" => id = Some(value.clone()),
                    "bytes" => bytes = value.parse::<u64>().ok(),
                    "type" => {
                        role = match value.as_str() {
                            "b" => Some(Role::Base),
                            "i" => Some(Role::Increment),
                            "h" => Some(Role::History),
                            _ => return Err(ManifestError::Type { line: n }),
                        };
                    }
                    // Of later versions.
                    _ => {}
                }
            }
            let (Some(name), Some(number), Some(role)) = (name, number, role) else {
                return Err(bad("lacks a file, a number or a type"));
            };
            let part = Part { name, number, id, bytes };
            match role {
                Role::Base if manifest.base.is_some() => return Err(ManifestError::TwoBases { line: n }),
                Role::Base => {
                    manifest.last_base = number;
                    manifest.base = Some(part);
                }
                Role::History => manifest.history.push(part),
                Role::Increment => {
                    if manifest.increments.last().is_some_and(|last| last.number >= number) {
                        return Err(ManifestError::Order { line: n });
                    }
                    manifest.last_increment = number;
                    manifest.increments.push(part);
                }
            }
        }
        Ok(manifest)
    }

    /// True if no file is the log.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.increments.is_empty()
    }

    /// Names a new base; the file is not in the manifest yet.
    pub fn next_base(&self, prefix: &str, rdb: bool) -> Part {
        let number = self.last_base + 1;
        Part { name: format!("{prefix}.{number}.base.{}", if rdb { "rdb" } else { "aof" }), number, ..Part::default() }
    }

    /// Names a new increment.
    pub fn next_increment(&self, prefix: &str) -> Part {
        let number = self.last_increment + 1;
        Part { name: format!("{prefix}.{number}.incr.aof"), number, ..Part::default() }
    }

    /// Puts an increment at the end.
    pub fn add_increment(&mut self, part: Part) {
        self.last_increment = part.number;
        self.increments.push(part);
    }

    /// Puts a base in the place of everything before the increment `first`.
    pub fn replace(&mut self, base: Part, first: u64) {
        self.last_base = base.number;
        self.history.extend(self.base.replace(base));
        let (old, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.increments).into_iter().partition(|p| p.number < first);
        self.history.extend(old);
        self.increments = kept;
    }

    /// Gives no number again that another manifest has given to a base.
    pub fn pass_over(&mut self, other: &Manifest) {
        self.last_base = self.last_base.max(other.last_base);
    }

    /// Gives no name that this file of the folder has. True if it is one of a log.
    pub fn make_way_for(&mut self, name: &str, prefix: &str) -> bool {
        let rest = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
        let Some((number, kind)) = rest.and_then(|rest| rest.split_once('.')) else { return false };
        let Ok(number) = number.parse::<u64>() else { return false };
        let last = match kind {
            "base.rdb" | "base.aof" => &mut self.last_base,
            "incr.aof" => &mut self.last_increment,
            _ => return false,
        };
        *last = (*last).max(number);
        true
    }

    /// Makes a single old file the base.
    pub fn of_old_file(name: &str) -> Manifest {
        let base = Part { name: name.into(), number: 1, ..Part::default() };
        Manifest { base: Some(base), last_base: 1, ..Manifest::default() }
    }

    /// Files of the log in the order in which they are loaded.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.increments)
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base.iter().map(|p| (p, 'b'));
        let history = self.history.iter().map(|p| (p, 'h'));
        let increments = self.increments.iter().map(|p| (p, 'i'));
        for (part, kind) in base.chain(history).chain(increments) {
            let plain = part.name.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
            if plain {
                write!(f, "file {} seq {} type {kind}", part.name, part.number)?;
            } else {
                let name = escaped(&part.name);
                write!(f, "file \"{name}\" seq {} type {kind}", part.number)?;
            }
            if let Some(id) = &part.id {
                write!(f, " id {id}")?;
            }
            if let Some(bytes) = part.bytes {
                write!(f, " bytes {bytes}")?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// A name as it stands between double quotes: one line, whatever it holds.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '\\' | '"' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Words of a line; a word may stand in double quotes, with escapes.
fn words(line: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = line.bytes().peekable();
    loop {
        while rest.next_if(u8::is_ascii_whitespace).is_some() {}
        let Some(first) = rest.next() else { return Some(out) };
        let mut word = Vec::new();
        if first == b'"' {
            loop {
                match rest.next()? {
                    b'"' => break,
                    b'\\' => word.push(unescaped(&mut rest)?),
                    c => word.push(c),
                }
            }
        } else {
            word.push(first);
            while let Some(c) = rest.next_if(|c| !c.is_ascii_whitespace()) {
                word.push(c);
            }
        }
        out.push(String::from_utf8(word).ok()?);
    }
}

/// What stands behind a backslash.
fn unescaped(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    Some(match rest.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        b'x' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
        c => c,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_prints_as_it_is_read() {
        let text = "file a.2.base.rdb seq 2 type b\nfile a.1.base.rdb seq 1 type h\nfile \"a b.1.incr.aof\" seq 1 type i\nfile a.3.incr.aof seq 3 type i\n";
        let m = Manifest::parse(text).unwrap();
        assert_eq!(m.to_string(), text);
        assert_eq!(m.parts().map(|p| p.number).collect::<Vec<_>>(), [2, 1, 3]);
        assert_eq!(m.next_increment("a").name, "a.4.incr.aof");
        assert_eq!(m.next_base("a", true).name, "a.3.base.rdb");
    }

    #[test]
    fn any_name_stands_in_one_line_and_comes_back() {
        let mut m = Manifest::default();
        let name = " a\n\t\\\"\u{7f}é .1.incr.aof".to_owned();
        let part = Part { name, number: 1, id: Some("0f".into()), bytes: Some(7) };
        m.add_increment(part.clone());
        let text = m.to_string();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(Manifest::parse(&text).unwrap().increments, [part]);
    }

    #[test]
    fn a_new_base_makes_history_of_what_it_covers() {
        let mut m = Manifest::parse("file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n").unwrap();
        m.add_increment(m.next_increment("a"));
        m.replace(m.next_base("a", true), 2);
        assert_eq!(
            m.to_string(),
            "file a.2.base.rdb seq 2 type b\nfile a.1.base.rdb seq 1 type h\nfile a.1.incr.aof seq 1 type h\nfile a.2.incr.aof seq 2 type i\n"
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for text in [
            "",
            "\n",
            "file a seq 1 type b",
            "file a seq 1 type x\n",
            "file a seq b type b\n",
            "file ../a seq 1 type b\n",
            "file a seq 1 type b\nfile b seq 2 type b\n",
            "file a seq 2 type i\nfile b seq 1 type i\n",
            "file a seq 1\n",
        ] {
            assert!(Manifest::parse(text).is_err(), "{text:?}");
        }
        assert!(Manifest::parse("# only a comment\n").unwrap().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Manifest::parse(&text);
        }
    }
}
