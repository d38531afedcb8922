//! The arguments of a command as one line, the tree COMMAND DOCS prints, and the line people read.
//!
//! The row's line, parsed on demand:
//!
//! ```text
//! value                      a string argument
//! seconds:integer            a typed one: integer double pattern unix-time key
//! key:key  key:key#1         belongs to the first, the second key spec (a key belongs to the first by itself)
//! NX                         a word the client writes; its name is `nx`
//! CH=change:token            ... with another name
//! EX=seconds:integer         an argument after a word
//! "~"=approximately:token    a word of other characters
//! name{A|B}  name(a b)       one of several; several in a row
//! [x]                        optional
//! x...  x*...                repeated; repeated together with its word
//! x/text/                    shown as `text` where the tree gives a name to show
//! x@7.0.0  x~2.8.12          since, deprecated since
//! x'A sentence.'             its own summary
//! ```
//!
//! Suffixes stand in the order `:type#spec /shown/ {..}|(..) @since ~deprecated ... 'summary'`.
//! Must never know: a command by name.

use std::fmt;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Bytes.
    String,
    /// A signed integer.
    Integer,
    /// A floating point number.
    Double,
    /// A key.
    Key,
    /// A glob pattern.
    Pattern,
    /// A point in time since the epoch.
    UnixTime,
    /// Only the word itself.
    PureToken,
    /// One of the sub-arguments.
    OneOf,
    /// All sub-arguments in a row.
    Block,
}

impl ArgumentKind {
    /// The name COMMAND DOCS prints.
    pub const fn name(self) -> &'static str {
        match self {
            ArgumentKind::String => "string",
            ArgumentKind::Integer => "integer",
            ArgumentKind::Double => "double",
            ArgumentKind::Key => "key",
            ArgumentKind::Pattern => "pattern",
            ArgumentKind::UnixTime => "unix-time",
            ArgumentKind::PureToken => "pure-token",
            ArgumentKind::OneOf => "oneof",
            ArgumentKind::Block => "block",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "integer" => ArgumentKind::Integer,
            "double" => ArgumentKind::Double,
            "key" => ArgumentKind::Key,
            "pattern" => ArgumentKind::Pattern,
            "unix-time" => ArgumentKind::UnixTime,
            "token" => ArgumentKind::PureToken,
            _ => return None,
        })
    }
}

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument<'a> {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ArgumentKind,
    /// The word before it, or the word it is.
    pub token: Option<&'a str>,
    /// Shown to people instead of the name.
    pub display: Option<&'a str>,
    /// The key spec it belongs to.
    pub key_spec: Option<u16>,
    /// Its own summary.
    pub summary: Option<&'a str>,
    /// The version that brought it.
    pub since: Option<&'a str>,
    /// The version that deprecated it.
    pub deprecated_since: Option<&'a str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// Its word is repeated with it.
    pub multiple_token: bool,
    /// Sub-arguments of [`ArgumentKind::OneOf`] and [`ArgumentKind::Block`].
    pub arguments: Vec<Argument<'a>>,
}

impl Argument<'_> {
    /// What people read in its place.
    pub fn shown(&self) -> &str {
        self.display.unwrap_or(&self.name)
    }
}

/// Where a row's line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte offset in the line.
    pub offset: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at offset {}", self.expected, self.offset)
    }
}

impl std::error::Error for SyntaxError {}

/// Blocks inside blocks; the deepest row (SHUTDOWN, CLIENT KILL) has four.
const DEPTH_MAX: usize = 8;

/// Reads a row's line.
///
/// # Errors
/// The offset and what was expected there.
pub fn parse(line: &str) -> Result<Vec<Argument<'_>>, SyntaxError> {
    let mut parser = Parser { line, at: 0 };
    let arguments = parser.sequence(0)?;
    if parser.at < line.len() { Err(parser.expected("an argument")) } else { Ok(arguments) }
}

struct Parser<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError { offset: self.at, expected }
    }

    fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, prefix: &str) -> bool {
        let taken = self.rest().starts_with(prefix);
        if taken {
            self.at += prefix.len();
        }
        taken
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.take_while(|c| c == ' ' || c == '\n');
    }

    /// Text up to the closing mark, which is consumed.
    fn quoted(&mut self, close: char) -> Result<&'a str, SyntaxError> {
        let text = self.take_while(|c| c != close);
        if self.take(close.encode_utf8(&mut [0; 4])) { Ok(text) } else { Err(self.expected("a closing mark")) }
    }

    fn word(&mut self) -> Result<&'a str, SyntaxError> {
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if word.is_empty() { Err(self.expected("a word")) } else { Ok(word) }
    }

    fn version(&mut self) -> Result<&'a str, SyntaxError> {
        // Dots belong to a version only between digits, so that `@1.0.0...` still repeats.
        let (start, rest) = (self.at, self.rest());
        let bytes = rest.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let mut end = 0;
        while digit(end) || (end > 0 && bytes.get(end) == Some(&b'.') && digit(end + 1)) {
            end += 1;
        }
        self.at = start + end;
        if end == 0 { Err(self.expected("a version")) } else { Ok(rest.get(..end).unwrap_or_default()) }
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Argument<'a>>, SyntaxError> {
        let mut arguments = Vec::new();
        self.skip_spaces();
        while self.peek().is_some_and(|c| !matches!(c, ')' | ']' | '}' | '|')) {
            arguments.push(self.argument(depth)?);
            self.skip_spaces();
        }
        Ok(arguments)
    }

    fn argument(&mut self, depth: usize) -> Result<Argument<'a>, SyntaxError> {
        if self.take("[") {
            let mut argument = self.argument(depth)?;
            argument.optional = true;
            return if self.take("]") { Ok(argument) } else { Err(self.expected("]")) };
        }
        let mut argument = self.head()?;
        if self.take(":") {
            argument.kind = ArgumentKind::from_word(self.word()?).ok_or_else(|| self.expected("a type"))?;
            argument.key_spec = (argument.kind == ArgumentKind::Key).then_some(0);
        }
        if self.take("#") {
            argument.key_spec = Some(self.word()?.parse().map_err(|_| self.expected("the number of a key spec"))?);
        }
        if self.take("/") {
            argument.display = Some(self.quoted('/')?);
        }
        self.children(&mut argument, depth)?;
        if self.take("@") {
            argument.since = Some(self.version()?);
        }
        if self.take("~") {
            argument.deprecated_since = Some(self.version()?);
        }
        if self.take("*...") {
            argument.multiple_token = true;
            argument.multiple = true;
        } else if self.take("...") {
            argument.multiple = true;
        }
        if self.take("'") {
            argument.summary = Some(self.quoted('\'')?);
        }
        Ok(argument)
    }

    /// `TOKEN`, `TOKEN=name` or `name`.
    fn head(&mut self) -> Result<Argument<'a>, SyntaxError> {
        let quoted = self.take("\"");
        let first = if quoted { self.quoted('"')? } else { self.word()? };
        let (name, token, kind) = if self.take("=") {
            (self.word()?.to_owned(), Some(first), ArgumentKind::String)
        } else if quoted || !first.contains(|c: char| c.is_ascii_lowercase()) {
            (first.to_ascii_lowercase(), Some(first), ArgumentKind::PureToken)
        } else {
            (first.to_owned(), None, ArgumentKind::String)
        };
        Ok(Argument {
            name,
            kind,
            token,
            display: None,
            key_spec: None,
            summary: None,
            since: None,
            deprecated_since: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            arguments: Vec::new(),
        })
    }

    fn children(&mut self, argument: &mut Argument<'a>, depth: usize) -> Result<(), SyntaxError> {
        let (open, close) = match self.peek() {
            Some('{') => ("{", "}"),
            Some('(') => ("(", ")"),
            _ => return Ok(()),
        };
        if depth >= DEPTH_MAX {
            return Err(self.expected("less nesting"));
        }
        self.take(open);
        if open == "(" {
            argument.kind = ArgumentKind::Block;
            argument.arguments = self.sequence(depth + 1)?;
        } else {
            argument.kind = ArgumentKind::OneOf;
            loop {
                self.skip_spaces();
                argument.arguments.push(self.argument(depth + 1)?);
                self.skip_spaces();
                if !self.take("|") {
                    break;
                }
            }
        }
        if argument.arguments.is_empty() {
            return Err(self.expected("a sub-argument"));
        }
        if self.take(close) { Ok(()) } else { Err(self.expected("the end of the sub-arguments")) }
    }
}

/// `key value [NX | XX] [EX seconds]`: what people read.
pub fn syntax_line(arguments: &[Argument<'_>]) -> String {
    let mut line = String::new();
    write_all(&mut line, arguments, " ");
    line
}

fn write_all(line: &mut String, arguments: &[Argument<'_>], between: &str) {
    for (at, argument) in arguments.iter().enumerate() {
        if at > 0 {
            line.push_str(between);
        }
        write_argument(line, argument);
    }
}

fn write_argument(line: &mut String, argument: &Argument<'_>) {
    if argument.optional {
        line.push('[');
    }
    let token = argument.token.map(|token| if token.is_empty() { "\"\"" } else { token });
    let mut value = String::new();
    match argument.kind {
        ArgumentKind::PureToken => {}
        ArgumentKind::OneOf => {
            // Inside brackets of its own an optional choice needs no second pair, unless a word or a repeat holds on to it.
            let angle = !argument.optional || token.is_some() || argument.multiple;
            value.push_str(if angle { "<" } else { "" });
            write_all(&mut value, &argument.arguments, " | ");
            value.push_str(if angle { ">" } else { "" });
        }
        ArgumentKind::Block => write_all(&mut value, &argument.arguments, " "),
        _ => value.push_str(argument.shown()),
    }
    let with_token = match (token, value.is_empty()) {
        (Some(token), true) => token.to_owned(),
        (Some(token), false) => format!("{token} {value}"),
        (None, _) => value.clone(),
    };
    line.push_str(&with_token);
    if argument.multiple {
        let again = if argument.multiple_token { &with_token } else { &value };
        line.push_str(&format!(" [{again} ...]"));
    }
    if argument.optional {
        line.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        syntax_line(&parse(text).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    fn only(text: &str) -> Argument<'_> {
        let mut all = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    #[test]
    fn a_name_is_a_string_and_a_capital_word_is_a_token() {
        let value = only("value");
        assert_eq!((value.name.as_str(), value.kind, value.token), ("value", ArgumentKind::String, None));
        let nx = only("[NX@2.6.12]");
        assert_eq!((nx.name.as_str(), nx.kind, nx.token), ("nx", ArgumentKind::PureToken, Some("NX")));
        assert_eq!((nx.since, nx.optional), (Some("2.6.12"), true));
        assert_eq!(only("sha1").token, None);
    }

    #[test]
    fn tokens_types_specs_and_suffixes_are_read() {
        let by = only("[BY=by-pattern:pattern#1/pattern/@1.0.0~2.8.12*...'One.']");
        assert_eq!((by.token, by.kind, by.key_spec), (Some("BY"), ArgumentKind::Pattern, Some(1)));
        assert_eq!((by.shown(), by.since, by.deprecated_since), ("pattern", Some("1.0.0"), Some("2.8.12")));
        assert!(by.optional && by.multiple && by.multiple_token);
        assert_eq!(by.summary, Some("One."));
        assert_eq!(only("key:key").key_spec, Some(0));
        let about = only("\"~\"=approximately:token");
        assert_eq!(
            (about.token, about.name.as_str(), about.kind),
            (Some("~"), "approximately", ArgumentKind::PureToken)
        );
        assert_eq!(only("\"\"=empty-string:token").token, Some(""));
        assert!(only("id@1.2...").multiple);
    }

    #[test]
    fn choices_and_blocks_nest() {
        let range = only("[range(start:integer [end-unit(end:integer [unit{BYTE|BIT}@7.0.0])])]");
        assert_eq!(range.kind, ArgumentKind::Block);
        assert_eq!(range.arguments[1].arguments[1].arguments[1].name, "bit");
    }

    #[test]
    fn the_human_line_reads_like_a_manual() {
        let set =
            "key:key value [condition{NX|XX|IFEQ=comparison-value}] [GET] [expiration{EX=seconds:integer|KEEPTTL}]";
        assert_eq!(line(set), "key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | KEEPTTL]");
        assert_eq!(line("key:key... timeout:double"), "key [key ...] timeout");
        assert_eq!(line("data(key:key value)..."), "key value [key value ...]");
        assert_eq!(line("[GET=get-pattern:pattern/pattern/*...]"), "[GET pattern [GET pattern ...]]");
        assert_eq!(line("[ID=client-id...]"), "[ID client-id [client-id ...]]");
        assert_eq!(line("where{LEFT|RIGHT} [COUNT=count]"), "<LEFT | RIGHT> [COUNT count]");
        assert_eq!(line("[LIMIT=limit(offset count)]"), "[LIMIT offset count]");
        assert_eq!(line("[AGGREGATE=aggregate{SUM|MIN}]"), "[AGGREGATE <SUM | MIN>]");
        assert_eq!(line(""), "");
    }

    #[test]
    fn a_line_that_cannot_be_read_says_where() {
        let too_deep = format!("{}a{}", "b(".repeat(9), ")".repeat(9));
        for text in
            ["a{", "a(b", "[a", "a:color", "a]", "a{}", "b()", "a@x", "a/b", "\"x", "a|b", "é", "a'b", &too_deep]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("a b:color").map_err(|error| error.offset), Err(9));
    }
}
