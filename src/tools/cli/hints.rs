//! What may follow on the line: the syntax of commands as the server itself describes it in COMMAND DOCS, and how much of
//! it a half-typed line has used up.
//!
//! Options that stand next to each other may come in any order; what was typed disappears from the hint, and a word that
//! fits nowhere ends hinting. Pure: descriptions and words in, text out.

use std::collections::BTreeMap;

use super::words;
use crate::resp::client::Value;

/// Descriptions nest as deep as the server says; no command's is deeper than 5.
const DEPTH_MAX: usize = 16;

/// One argument of a command, or a block of them.
#[derive(Clone, Debug, Default)]
struct Argument {
    display: String,
    kind: Kind,
    /// The word that introduces it; an empty one is an empty argument.
    token: Option<String>,
    optional: bool,
    multiple: bool,
    /// Each repetition brings its token again.
    multiple_token: bool,
    inner: Vec<Argument>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Text,
    Integer,
    Double,
    PureToken,
    OneOf,
    Block,
}

#[derive(Clone, Debug, Default)]
pub struct CommandDoc {
    /// In capitals, with a space before a subcommand.
    pub name: String,
    pub summary: String,
    pub since: String,
    pub group: String,
    arguments: Vec<Argument>,
}

impl CommandDoc {
    /// The syntax after the name.
    pub fn syntax(&self) -> String {
        rendered(&self.arguments)
    }
}

/// All commands that a server has described, by name.
#[derive(Debug, Default)]
pub struct Docs(BTreeMap<String, CommandDoc>);

impl Docs {
    /// From the reply to COMMAND DOCS, in either protocol.
    pub fn from_reply(reply: &Value) -> Docs {
        let mut docs = Docs::default();
        for (name, doc) in reply.pairs().unwrap_or_default() {
            docs.add(&text(name), doc, 0);
        }
        docs
    }

    fn add(&mut self, name: &str, doc: &Value, depth: usize) {
        if depth > 1 {
            return;
        }
        let name = name.replace('|', " ").to_ascii_uppercase();
        let mut entry = CommandDoc { name: name.clone(), ..CommandDoc::default() };
        for (field, value) in doc.pairs().unwrap_or_default() {
            match field.text().unwrap_or_default() {
                b"summary" => entry.summary = text(value),
                b"since" => entry.since = text(value),
                b"group" => entry.group = text(value),
                b"arguments" => entry.arguments = arguments(value, 0),
                b"subcommands" => {
                    for (sub, doc) in value.pairs().unwrap_or_default() {
                        self.add(&text(sub), doc, depth + 1);
                    }
                }
                _ => {}
            }
        }
        self.0.insert(name, entry);
    }

    pub fn iter(&self) -> impl Iterator<Item = &CommandDoc> {
        self.0.values()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The longest command that the words begin with, and how many of them are its name.
    fn command(&self, words: &[Vec<u8>]) -> Option<(&CommandDoc, usize)> {
        let upper = |w: &Vec<u8>| String::from_utf8_lossy(w).to_ascii_uppercase();
        let first = upper(words.first()?);
        let both = words.get(1).map(|second| format!("{first} {}", upper(second)));
        if let Some(doc) = both.and_then(|name| self.0.get(&name)) {
            return Some((doc, 2));
        }
        self.0.get(&first).map(|doc| (doc, 1))
    }

    /// What may follow `line`; empty when nothing may, or when it cannot be told. The word the cursor is in counts as not typed.
    pub fn hint(&self, line: &str) -> String {
        // Within an open quote there is no telling where a word ends.
        let Ok(mut words) = words::split(line.as_bytes()) else { return String::new() };
        let name_only = self.command(&words).is_some_and(|(_, used)| used == words.len());
        if !line.ends_with(char::is_whitespace) && !name_only {
            words.pop();
        }
        let Some((doc, used)) = self.command(&words) else { return String::new() };
        let words = words.get(used..).unwrap_or_default();
        match match_list(&doc.arguments, words) {
            Some(m) if m.used == words.len() => m.rest,
            _ => String::new(),
        }
    }
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.text().unwrap_or_default()).into_owned()
}

fn arguments(value: &Value, depth: usize) -> Vec<Argument> {
    if depth > DEPTH_MAX {
        return Vec::new();
    }
    value.elements().unwrap_or_default().iter().map(|a| argument(a, depth)).collect()
}

fn argument(value: &Value, depth: usize) -> Argument {
    let mut argument = Argument::default();
    let mut name = String::new();
    for (field, value) in value.pairs().unwrap_or_default() {
        match field.text().unwrap_or_default() {
            b"name" => name = text(value),
            b"display_text" => argument.display = text(value),
            b"token" => argument.token = Some(text(value)),
            b"type" => {
                argument.kind = match value.text().unwrap_or_default() {
                    b"integer" | b"unix-time" => Kind::Integer,
                    b"double" => Kind::Double,
                    b"pure-token" => Kind::PureToken,
                    b"oneof" => Kind::OneOf,
                    b"block" => Kind::Block,
                    _ => Kind::Text,
                }
            }
            b"flags" => {
                for flag in value.elements().unwrap_or_default() {
                    match flag.text().unwrap_or_default() {
                        b"optional" => argument.optional = true,
                        b"multiple" => argument.multiple = true,
                        b"multiple_token" => argument.multiple_token = true,
                        _ => {}
                    }
                }
            }
            b"arguments" => argument.inner = arguments(value, depth + 1),
            _ => {}
        }
    }
    if argument.display.is_empty() {
        argument.display = name;
    }
    argument
}

fn joined(parts: impl IntoIterator<Item = String>, separator: &str) -> String {
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(separator)
}

fn rendered(arguments: &[Argument]) -> String {
    joined(arguments.iter().map(Argument::render), " ")
}

impl Argument {
    fn shown_token(&self) -> String {
        match self.token.as_deref() {
            Some("") => "\"\"".to_string(),
            Some(token) => token.to_string(),
            None => String::new(),
        }
    }

    /// Without its token and without being repeated or optional.
    fn body(&self) -> String {
        match self.kind {
            Kind::PureToken => String::new(),
            Kind::OneOf => joined(self.inner.iter().map(Argument::render), "|"),
            Kind::Block => rendered(&self.inner),
            _ => self.display.clone(),
        }
    }

    fn once(&self) -> String {
        joined([self.shown_token(), self.body()], " ")
    }

    /// What may follow once it is there: itself again.
    fn again(&self) -> String {
        if !self.multiple {
            return String::new();
        }
        let repeated = if self.multiple_token { self.once() } else { self.body() };
        // The bracket that closes the option stays behind when what it opened has been typed.
        let close = if self.optional { "]" } else { "" };
        format!("[{repeated} ...]{close}")
    }

    fn render(&self) -> String {
        let mut out = self.once();
        if self.multiple {
            let repeated = if self.multiple_token { self.once() } else { self.body() };
            out.push_str(&format!(" [{repeated} ...]"));
        }
        if self.optional { format!("[{out}]") } else { out }
    }

    /// How far `words` go into this argument; `None` if the first does not fit.
    fn matched(&self, words: &[Vec<u8>]) -> Option<Match> {
        let mut first = self.matched_once(words, true)?;
        if !first.complete || !self.multiple {
            return Some(first);
        }
        while first.used < words.len() {
            let Some(next) = self.matched_once(words.get(first.used..).unwrap_or_default(), self.multiple_token) else {
                break;
            };
            first.used += next.used;
            if !next.complete {
                return Some(Match { used: first.used, complete: false, rest: next.rest });
            }
        }
        first.rest = self.again();
        Some(first)
    }

    fn matched_once(&self, words: &[Vec<u8>], with_token: bool) -> Option<Match> {
        let word = words.first()?;
        let mut used = 0;
        if let Some(token) = self.token.as_deref().filter(|_| with_token) {
            if !word.eq_ignore_ascii_case(token.as_bytes()) {
                return None;
            }
            used = 1;
        }
        if self.kind == Kind::PureToken {
            return (used == 1).then_some(Match { used, complete: true, rest: String::new() });
        }
        let body = words.get(used..).unwrap_or_default();
        let Some(word) = body.first() else {
            return Some(Match { used, complete: false, rest: joined([self.body(), self.again()], " ") });
        };
        let fits = |ok: bool| ok.then_some(Match { used: 1, complete: true, rest: String::new() });
        let inner = match self.kind {
            Kind::Integer => fits(parses::<i64>(word)),
            Kind::Double => fits(parses::<f64>(word)),
            Kind::Text | Kind::PureToken => fits(true),
            Kind::Block => match_list(&self.inner, body).filter(|m| m.used > 0),
            Kind::OneOf => {
                let matches = self.inner.iter().filter_map(|a| a.matched(body));
                matches.reduce(|best, m| if m.used > best.used { m } else { best })
            }
        }?;
        let rest = if inner.complete { inner.rest } else { joined([inner.rest, self.again()], " ") };
        Some(Match { used: used + inner.used, complete: inner.complete, rest })
    }
}

fn parses<T: std::str::FromStr>(word: &[u8]) -> bool {
    std::str::from_utf8(word).is_ok_and(|w| w.parse::<T>().is_ok())
}

/// How far words go into an argument or a list of them.
#[derive(Debug)]
struct Match {
    used: usize,
    /// Nothing more is needed, though more may be possible.
    complete: bool,
    /// What is still needed, then what is possible.
    rest: String,
}

/// `None` when a word does not fit where something is needed.
fn match_list(arguments: &[Argument], words: &[Vec<u8>]) -> Option<Match> {
    let mut used = 0;
    let mut at = 0;
    // What the argument matched last would still take.
    let mut possible = String::new();
    while let Some(argument) = arguments.get(at) {
        let left = words.get(used..).unwrap_or_default();
        if argument.optional {
            let group_len = arguments.get(at..)?.iter().take_while(|a| a.optional).count();
            let group = arguments.get(at..at + group_len)?;
            let after = arguments.get(at + group_len..).unwrap_or_default();
            let mut typed = vec![false; group.len()];
            loop {
                let left = words.get(used..).unwrap_or_default();
                let best = group.iter().enumerate().filter(|(i, _)| typed.get(*i) == Some(&false));
                let best = best.filter_map(|(i, a)| Some((i, a.matched(left)?)));
                let best = best.reduce(|best, m| if m.1.used > best.1.used { m } else { best });
                let Some((i, m)) = best else { break };
                if let Some(t) = typed.get_mut(i) {
                    *t = true;
                }
                used += m.used;
                possible = m.rest;
                if !m.complete {
                    let rest = joined([possible, untyped(group, &typed), rendered(after)], " ");
                    return Some(Match { used, complete: false, rest });
                }
            }
            if used == words.len() {
                let complete = after.iter().all(|a| a.optional);
                return Some(Match {
                    used,
                    complete,
                    rest: joined([possible, untyped(group, &typed), rendered(after)], " "),
                });
            }
            at += group_len;
            possible.clear();
            continue;
        }
        if left.is_empty() {
            let rest = joined([possible, rendered(arguments.get(at..).unwrap_or_default())], " ");
            return Some(Match { used, complete: false, rest });
        }
        let m = argument.matched(left)?;
        used += m.used;
        at += 1;
        possible = m.rest;
        if !m.complete {
            let rest = joined([possible, rendered(arguments.get(at..).unwrap_or_default())], " ");
            return Some(Match { used, complete: false, rest });
        }
    }
    Some(Match { used, complete: true, rest: possible })
}

fn untyped(group: &[Argument], typed: &[bool]) -> String {
    joined(group.iter().zip(typed).filter(|(_, typed)| !**typed).map(|(a, _)| a.render()), " ")
}

/// Runs a file of cases, each line a typed text and the hint expected for it, both quoted. Gives the failures and how
/// many cases there were.
///
/// # Errors
/// The file cannot be read, or a line is no case.
pub fn check_file(docs: &Docs, path: &std::path::Path) -> Result<(Vec<String>, usize), String> {
    let content = std::fs::read(path).map_err(|e| format!("Can't open file '{}': {e}", path.display()))?;
    let (mut failures, mut cases) = (Vec::new(), 0);
    for line in content.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let strings = quoted_strings(line);
        let [typed, expected, ..] = strings.as_slice() else { return Err("a line is no case of a hint".to_string()) };
        cases += 1;
        let got = docs.hint(&String::from_utf8_lossy(typed));
        if got.as_bytes() != expected.as_slice() {
            failures.push(format!(
                "Test case '{}' FAILED: expected '{}', got '{got}'",
                String::from_utf8_lossy(typed),
                String::from_utf8_lossy(expected)
            ));
        }
    }
    Ok((failures, cases))
}

/// The strings in double quotes of a line, whatever stands between and behind them. An open one is left out.
fn quoted_strings(line: &[u8]) -> Vec<Vec<u8>> {
    let (mut strings, mut current): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
    let mut bytes = line.iter().copied();
    while let Some(b) = bytes.next() {
        match (&mut current, b) {
            (Some(string), b'\\') => string.extend(bytes.next()),
            (Some(_), b'"') => strings.extend(current.take()),
            (Some(string), other) => string.push(other),
            (None, b'"') => current = Some(Vec::new()),
            (None, _) => {}
        }
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_argument(name: &str) -> Argument {
        Argument { display: name.to_string(), ..Argument::default() }
    }
    fn option(token: &str, value: Option<&str>) -> Argument {
        let kind = if value.is_some() { Kind::Integer } else { Kind::PureToken };
        Argument {
            display: value.unwrap_or_default().to_string(),
            kind,
            token: Some(token.to_string()),
            optional: true,
            ..Argument::default()
        }
    }

    fn docs(name: &str, arguments: Vec<Argument>) -> Docs {
        let doc = CommandDoc { name: name.to_string(), arguments, ..CommandDoc::default() };
        Docs(BTreeMap::from([(name.to_string(), doc)]))
    }

    #[test]
    fn what_was_typed_disappears_and_options_come_in_any_order() {
        let docs = docs("FIND", vec![text_argument("key"), option("LIMIT", Some("n")), option("REV", None)]);
        for (line, hint) in [
            ("find", "key [LIMIT n] [REV]"),
            ("FIND ", "key [LIMIT n] [REV]"),
            ("FIND ke", "key [LIMIT n] [REV]"),
            ("FIND k ", "[LIMIT n] [REV]"),
            ("FIND k rev ", "[LIMIT n]"),
            ("FIND k LIMIT ", "n [REV]"),
            ("FIND k LIMIT x ", ""),
            ("FIND k REV LIMIT 3 ", ""),
            ("FIND k nonsense ", ""),
            ("NOSUCH ", ""),
            ("FIND \"k", ""),
        ] {
            assert_eq!(docs.hint(line), hint, "{line}");
        }
    }

    #[test]
    fn repeated_blocks_ask_for_their_rest_and_then_for_more() {
        let pair = Argument {
            kind: Kind::Block,
            multiple: true,
            inner: vec![text_argument("field"), text_argument("value")],
            ..Argument::default()
        };
        let docs = docs("PUT", vec![text_argument("key"), pair]);
        assert_eq!(docs.hint("PUT k "), "field value [field value ...]");
        assert_eq!(docs.hint("PUT k f "), "value [field value ...]");
        assert_eq!(docs.hint("PUT k f v "), "[field value ...]");
        assert_eq!(docs.hint("PUT k f v g "), "value [field value ...]");
    }
}
