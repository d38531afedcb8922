//! The first line of a script: `#!lua flags=no-writes,allow-oom` or `#!lua name=library`.

use std::fmt;

/// What a script may do and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rules {
    pub no_writes: bool,
    pub allow_oom: bool,
    pub allow_stale: bool,
    pub no_cluster: bool,
    pub allow_cross_slot_keys: bool,
    /// The script has no first line: each of its commands is judged when it is called, nothing before.
    pub compatible: bool,
}

impl Rules {
    /// The flags in the order in which FUNCTION LIST prints them.
    pub const NAMES: [&'static str; 5] =
        ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

    /// Sets a flag by name; false if there is none of that name.
    pub fn set(&mut self, name: &[u8]) -> bool {
        let flag = match name {
            b"no-writes" => &mut self.no_writes,
            b"allow-oom" => &mut self.allow_oom,
            b"allow-stale" => &mut self.allow_stale,
            b"no-cluster" => &mut self.no_cluster,
            b"allow-cross-slot-keys" => &mut self.allow_cross_slot_keys,
            _ => return false,
        };
        *flag = true;
        true
    }

    /// The names of the flags that are set.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let set = [self.no_writes, self.allow_oom, self.allow_stale, self.no_cluster, self.allow_cross_slot_keys];
        Self::NAMES.into_iter().zip(set).filter_map(|(name, set)| set.then_some(name))
    }
}

/// A first line that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// A script's line has no end.
    Script,
    /// `#!engine`, and there is no such engine.
    Engine(Vec<u8>),
    /// A library's `#!engine`.
    LibraryEngine(Vec<u8>),
    Option(Vec<u8>),
    Flag(Vec<u8>),
    /// A library has no first line.
    Missing,
    /// A library's first line has no end, or its quotes do not close.
    Library,
    Metadata(Vec<u8>),
    NameTwice,
    NoName,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        match self {
            Self::Script => f.write_str("Invalid script shebang"),
            Self::Engine(e) => write!(f, "Could not find scripting engine '{}'", text(e)),
            Self::LibraryEngine(e) => write!(f, "Engine '{}' not found", text(e)),
            Self::Option(o) => write!(f, "Unknown lua shebang option: {}", text(o)),
            Self::Flag(o) => write!(f, "Unexpected flag in script shebang: {}", text(o)),
            Self::Missing => f.write_str("Missing library metadata"),
            Self::Library => f.write_str("Invalid library metadata"),
            Self::Metadata(m) => write!(f, "Invalid metadata value given: {}", text(m)),
            Self::NameTwice => f.write_str("Invalid metadata value, name argument was given multiple times"),
            Self::NoName => f.write_str("Library name was not given"),
        }
    }
}

/// What the first line says, and where it ends.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Header {
    pub rules: Rules,
    pub name: Vec<u8>,
    /// Bytes of the line without its end, so that lines keep their numbers.
    pub len: usize,
}

impl Header {
    /// Of a script for EVAL. Without a first line it is judged as scripts were before there was one.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn of_script(source: &[u8]) -> Result<Header, HeaderError> {
        if !source.starts_with(b"#!") {
            return Ok(Header { rules: Rules { compatible: true, ..Rules::default() }, ..Header::default() });
        }
        let len = memchr::memchr(b'\n', source).ok_or(HeaderError::Script)?;
        let mut words = words(&source[2..len]).ok_or(HeaderError::Script)?.into_iter();
        let engine = words.next().unwrap_or_default();
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(HeaderError::Engine(engine));
        }
        let mut header = Header { len, ..Header::default() };
        for word in words {
            let Some(flags) = word.strip_prefix(b"flags=") else { return Err(HeaderError::Option(word)) };
            if flags.is_empty() {
                continue;
            }
            for flag in flags.split(|c| *c == b',') {
                if !header.rules.set(flag) {
                    return Err(HeaderError::Flag(flag.to_vec()));
                }
            }
        }
        Ok(header)
    }

    /// Of a library for FUNCTION LOAD.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn of_library(source: &[u8]) -> Result<Header, HeaderError> {
        if !source.starts_with(b"#!") {
            return Err(HeaderError::Missing);
        }
        let len = memchr::memchr(b'\n', source).ok_or(HeaderError::Library)?;
        let words = words(&source[2..len]).ok_or(HeaderError::Library)?;
        // `#! name=x`: the engine's name is what stands before the first blank, nothing in this case.
        let blank = source[2..len].first().is_none_or(u8::is_ascii_whitespace);
        let (engine, rest) = match words.split_first() {
            Some((first, rest)) if !blank => (first.clone(), rest),
            _ => (Vec::new(), &words[..]),
        };
        let mut name: Option<Vec<u8>> = None;
        for word in rest {
            match word.strip_prefix(b"name=") {
                Some(_) if name.is_some() => return Err(HeaderError::NameTwice),
                Some(n) => name = Some(n.to_vec()),
                None => return Err(HeaderError::Metadata(word.clone())),
            }
        }
        let name = name.ok_or(HeaderError::NoName)?;
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(HeaderError::LibraryEngine(engine));
        }
        Ok(Header { rules: Rules::default(), name, len })
    }
}

/// Words between blanks; quotes hold a word together, as on the command line. `None` if they do not close.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut word, mut quote): (_, Option<Vec<u8>>, Option<u8>) = (Vec::new(), None, None);
    let mut bytes = line.iter().copied();
    while let Some(c) = bytes.next() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(b'"') if c == b'\\' => word.get_or_insert_default().push(bytes.next()?),
            Some(_) => word.get_or_insert_default().push(c),
            None if c == b'"' || c == b'\'' => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            None if c.is_ascii_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_unknown_ones_named() {
        let h = Header::of_script(b"#!lua flags=no-writes,allow-oom\nreturn 1").unwrap();
        assert_eq!(h.rules, Rules { no_writes: true, allow_oom: true, ..Rules::default() });
        assert_eq!(h.len, 31);
        let error = |s: &str| Header::of_script(s.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("#!lua flags=a\n"), "Unexpected flag in script shebang: a");
        assert_eq!(error("#!lua badger=data\n"), "Unknown lua shebang option: badger=data");
        assert_eq!(error("#!not-lua\n"), "Could not find scripting engine 'not-lua'");
        assert_eq!(error("#!lua"), "Invalid script shebang");
        assert!(Header::of_script(b"return 1").unwrap().rules.compatible);
        assert!(!Header::of_script(b"#!lua flags=\n").unwrap().rules.compatible);
    }

    #[test]
    fn a_library_has_one_name_and_a_known_engine() {
        assert_eq!(Header::of_library(b"#!LUA name=\"foo\"\n").unwrap().name, b"foo");
        let error = |s: &str| Header::of_library(s.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("#! name=test\n"), "Engine '' not found");
        assert_eq!(error("#!bad name=test\n"), "Engine 'bad' not found");
        assert_eq!(error("#!lua\n"), "Library name was not given");
        assert_eq!(error("#!lua name=a name=b\n"), "Invalid metadata value, name argument was given multiple times");
        assert_eq!(error("#!lua name=a b=c\n"), "Invalid metadata value given: b=c");
        assert_eq!(error("#!lua name='b\nfoo"), "Invalid library metadata");
        assert_eq!(error("foo"), "Missing library metadata");
    }
}
