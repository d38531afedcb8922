//! Which keys a script can reach, as far as its text tells.
//!
//! A script whose calls all name their keys as `KEYS[...]`, and which changes `KEYS` nowhere, reaches no key but those its call declares:
//! it needs no other lock. One without loops ends soon by itself, besides. This reads the tokens of a script, not its grammar, and
//! says nothing of a text that does anything unusual with a name that matters.
//!
//! # Invariants
//! * What is called a key here is an element of `KEYS` as the call has given it, whatever the script computes.
//! * Where in doubt the answer is `None`: the script may reach anything.

use std::collections::HashSet;

/// An argument of a call, as far as the text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// This very word.
    Word(Vec<u8>),
    /// One of the declared keys.
    Key,
    /// One value.
    Value,
    /// Any number of values.
    Values,
}

/// All that a script calls.
#[derive(Debug, PartialEq, Eq)]
pub struct Reach {
    /// The arguments of each `redis.call` or `redis.pcall`, the command's name first.
    pub calls: Vec<Vec<Argument>>,
    /// There is no loop in it.
    pub bounded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A name or a keyword.
    Name(&'a [u8]),
    /// Between its quotes.
    Text(&'a [u8]),
    Number(&'a [u8]),
    Sign(&'a [u8]),
}

use Token::{Name, Number, Sign, Text};

const SIGNS: [&[u8]; 24] = [
    b"...", b"..=", b"//=", b"..", b"==", b"~=", b"<=", b">=", b"+=", b"-=", b"*=", b"/=", b"%=", b"^=", b"//", b"::",
    b"->", b"<<", b">>", b"!=", b"&&", b"||", b"??", b"?.",
];
const ASSIGNMENTS: [&[u8]; 9] = [b"=", b"+=", b"-=", b"*=", b"/=", b"%=", b"^=", b"..=", b"//="];
/// What stands before a value that is only read.
const BEFORE_VALUES: [&[u8]; 17] =
    [b"=", b"==", b"~=", b"<", b">", b"<=", b">=", b"..", b"+", b"-", b"*", b"/", b"%", b"^", b"#", b"//", b"!="];
const WORDS_BEFORE_VALUES: [&[u8]; 9] = [b"and", b"or", b"not", b"return", b"if", b"elseif", b"while", b"until", b"in"];
/// What a statement may begin with, beside a name.
const STATEMENTS: [&[u8]; 12] =
    [b"local", b"if", b"for", b"while", b"repeat", b"return", b"end", b"else", b"elseif", b"until", b"do", b"break"];
/// Ways around the names that are looked at.
const FORBIDDEN: [&[u8]; 14] = [
    b"_G",
    b"_ENV",
    b"getfenv",
    b"setfenv",
    b"loadstring",
    b"load",
    b"dofile",
    b"rawset",
    b"setmetatable",
    b"getmetatable",
    b"debug",
    b"require",
    b"goto",
    b"function",
];
const LOOPS: [&[u8]; 3] = [b"while", b"repeat", b"for"];

/// The closing brackets of a long bracket that begins here, and what is before it: `[[` or `[==[`.
fn long_bracket(text: &[u8]) -> Option<usize> {
    let level = text.get(1..)?.iter().take_while(|b| **b == b'=').count();
    (text.first() == Some(&b'[') && text.get(1 + level) == Some(&b'[')).then_some(level)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

/// The tokens, or `None` where a string or comment does not end, or something stands there that Lua 5.1 does not know.
fn tokens(source: &[u8]) -> Option<Vec<Token<'_>>> {
    let mut rest = source;
    if rest.starts_with(b"#!") {
        rest = &rest[find(rest, b"\n").unwrap_or(rest.len())..];
    }
    let mut all = Vec::new();
    while let Some(&c) = rest.first() {
        let len;
        if c.is_ascii_whitespace() {
            len = 1;
        } else if rest.starts_with(b"--") {
            len = match long_bracket(&rest[2..]) {
                Some(level) => {
                    let close = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
                    2 + find(&rest[2..], &close)? + close.len()
                }
                None => find(rest, b"\n").unwrap_or(rest.len()),
            };
        } else if c.is_ascii_alphabetic() || c == b'_' {
            len = rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count();
            all.push(Name(&rest[..len]));
        } else if c.is_ascii_digit() || (c == b'.' && rest.get(1).is_some_and(u8::is_ascii_digit)) {
            len = rest.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(**c, b'.' | b'_')).count();
            all.push(Number(&rest[..len]));
        } else if c == b'"' || c == b'\'' {
            let mut at = 1;
            while *rest.get(at)? != c {
                if rest[at] == b'\n' {
                    return None;
                }
                at += if rest[at] == b'\\' { 2 } else { 1 };
            }
            all.push(Text(&rest[1..at]));
            len = at + 1;
        } else if let Some(level) = long_bracket(rest) {
            let close = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
            let inside = &rest[level + 2..];
            let end = find(inside, &close)?;
            all.push(Text(&inside[..end]));
            len = level + 2 + end + close.len();
        } else if c.is_ascii_punctuation() && c != b'`' && c != b'@' {
            len = SIGNS.iter().find(|s| rest.starts_with(s)).map_or(1, |s| s.len());
            all.push(Sign(&rest[..len]));
        } else {
            return None;
        }
        rest = &rest[len..];
    }
    Some(all)
}

/// A string that is what stands between its quotes: without escapes, or the line end that a long one may begin with.
fn is_plain(text: &[u8]) -> bool {
    !text.contains(&b'\\') && !text.starts_with(b"\n") && !text.starts_with(b"\r")
}

/// A number that is written as the server would write it.
fn is_integer(text: &[u8]) -> bool {
    text.len() <= 15 && text.iter().all(u8::is_ascii_digit) && (text == b"0" || text[0] != b'0')
}

struct Script<'a> {
    tokens: Vec<Token<'a>>,
    /// How deep in brackets each token is.
    depths: Vec<usize>,
}

/// Reads a script; `None` if it may reach keys that its call does not declare.
pub fn read(source: &[u8]) -> Option<Reach> {
    let tokens = tokens(source)?;
    let mut depth = 0usize;
    let mut depths = Vec::with_capacity(tokens.len());
    for t in &tokens {
        if matches!(t, Sign(b")" | b"]" | b"}")) {
            depth = depth.checked_sub(1)?;
        }
        depths.push(depth);
        if matches!(t, Sign(b"(" | b"[" | b"{")) {
            depth += 1;
        }
    }
    let text = Script { tokens, depths };
    text.reach()
}

impl<'a> Script<'a> {
    fn at(&self, i: usize) -> Option<Token<'a>> {
        self.tokens.get(i).copied()
    }

    fn before(&self, i: usize) -> Option<Token<'a>> {
        self.tokens.get(i.checked_sub(1)?).copied()
    }

    fn is_sign(&self, i: usize, sign: &[u8]) -> bool {
        self.at(i) == Some(Sign(sign))
    }

    fn assigns(&self, i: usize) -> bool {
        matches!(self.at(i), Some(Sign(s)) if ASSIGNMENTS.contains(&s))
    }

    /// The token at `i` is a field's name: `x.name` or `x:name`.
    fn is_field(&self, i: usize) -> bool {
        matches!(self.before(i), Some(Sign(b"." | b":" | b"?.")))
    }

    /// Behind the bracket that is closed by the one that `open` opens.
    fn behind(&self, open: usize) -> Option<usize> {
        let depth = self.depths[open];
        (open + 1..self.tokens.len()).find(|i| self.depths[*i] == depth).map(|i| i + 1)
    }

    /// A statement may end before the token at `i`.
    fn may_end_before(&self, i: usize) -> bool {
        match self.at(i) {
            None | Some(Sign(b";")) => true,
            Some(Name(n)) => !matches!(n, b"and" | b"or" | b"not" | b"then") || STATEMENTS.contains(&n),
            _ => false,
        }
    }

    /// What stands at `i` is read and not assigned to; `end` is behind it.
    fn is_read(&self, i: usize, end: usize) -> bool {
        if self.assigns(end) {
            return false;
        }
        // There are no functions, so inside brackets there are no statements.
        self.depths[i] > 0
            || match self.before(i) {
                Some(Sign(s)) => BEFORE_VALUES.contains(&s),
                Some(Name(n)) => WORDS_BEFORE_VALUES.contains(&n),
                _ => false,
            }
    }

    /// `KEYS[...]` from `i` on: what is behind it.
    fn key(&self, i: usize) -> Option<usize> {
        if self.at(i) == Some(Name(b"KEYS")) && !self.is_field(i) && self.is_sign(i + 1, b"[") {
            return self.behind(i + 1);
        }
        None
    }

    /// Names that stand for keys, and the places where they and `KEYS` were found to do so.
    fn aliases(&self) -> (HashSet<&'a [u8]>, HashSet<usize>) {
        let (mut names, mut places) = (HashSet::new(), HashSet::new());
        for i in 0..self.tokens.len() {
            if self.at(i) == Some(Name(b"local")) {
                self.local(i + 1, &mut names, &mut places);
            }
            // for _, key in ipairs(KEYS) do
            let loop_ = [Name(b"in"), Name(b"ipairs"), Sign(b"("), Name(b"KEYS"), Sign(b")"), Name(b"do")];
            if self.at(i) == Some(Name(b"for"))
                && self.is_sign(i + 2, b",")
                && self.tokens.get(i + 4..i + 10) == Some(&loop_)
                && let Some(Name(name)) = self.at(i + 3)
            {
                names.insert(name);
                places.extend([i + 3, i + 7]);
            }
        }
        (names, places)
    }

    /// `local a, b = KEYS[1], KEYS[2]`, from its first name on.
    fn local(&self, from: usize, names: &mut HashSet<&'a [u8]>, places: &mut HashSet<usize>) {
        let mut declared = Vec::new();
        let mut i = from;
        while let Some(Name(name)) = self.at(i) {
            declared.push((name, i));
            i += 1;
            if !self.is_sign(i, b",") {
                break;
            }
            i += 1;
        }
        if !self.is_sign(i, b"=") {
            return;
        }
        i += 1;
        for (n, (name, place)) in declared.iter().enumerate() {
            let Some(end) = self.key(i) else { return };
            let more = self.is_sign(end, b",");
            if !more && !self.may_end_before(end) {
                return;
            }
            names.insert(name);
            places.insert(*place);
            if n > 0 {
                // In a list of values, and known to be one.
                places.insert(i);
            }
            if !more {
                return;
            }
            i = end + 1;
        }
    }

    fn reach(&self) -> Option<Reach> {
        let (mut aliases, known) = self.aliases();
        let (mut calls, mut bounded) = (Vec::new(), true);
        let mut call_names: HashSet<&[u8]> = HashSet::new();
        for i in 0..self.tokens.len() {
            let Some(Name(name)) = self.at(i) else { continue };
            if self.is_field(i) {
                continue;
            }
            if FORBIDDEN.contains(&name) {
                return None;
            }
            bounded &= !LOOPS.contains(&name);
            if name == b"KEYS" && !known.contains(&i) {
                let counted = self.before(i) == Some(Sign(b"#")) && !self.is_sign(i + 1, b"[");
                if !counted {
                    let end = self.key(i)?;
                    if !self.is_read(i, end) {
                        return None;
                    }
                }
            }
            if (name == b"redis" || name == b"server")
                && let Some(alias) = self.call_alias(i)?
            {
                call_names.insert(alias);
            }
            if aliases.contains(name) && !known.contains(&i) && !self.is_read(i, i + 1) {
                aliases.remove(name);
            }
        }
        for i in 0..self.tokens.len() {
            let Some(Name(name)) = self.at(i) else { continue };
            if self.is_field(i) {
                continue;
            }
            let open = if name == b"redis" || name == b"server" {
                if !matches!(self.at(i + 2), Some(Name(b"call" | b"pcall"))) || !self.is_sign(i + 3, b"(") {
                    continue;
                }
                i + 3
            } else if call_names.contains(name) {
                if self.before(i) == Some(Name(b"local")) {
                    continue;
                }
                i + 1
            } else {
                continue;
            };
            if !self.is_sign(open, b"(") {
                return None;
            }
            calls.push(self.arguments(open, &aliases)?);
        }
        Some(Reach { calls, bounded })
    }

    /// `redis` at `i`: fine if a field of it is read; if that is `call`, it is called at once or, which gives `Some`, gets another name by
    /// `local name = redis.call`.
    fn call_alias(&self, i: usize) -> Option<Option<&'a [u8]>> {
        let (true, Some(Name(field))) = (self.is_sign(i + 1, b"."), self.at(i + 2)) else { return None };
        if self.assigns(i + 3) {
            return None;
        }
        if !matches!(field, b"call" | b"pcall") || self.is_sign(i + 3, b"(") {
            return Some(None);
        }
        let named = i.checked_sub(3).map(|from| &self.tokens[from..i]);
        match named {
            Some([Name(b"local"), Name(alias), Sign(b"=")]) if self.may_end_before(i + 3) => Some(Some(alias)),
            _ => None,
        }
    }

    fn arguments(&self, open: usize, aliases: &HashSet<&[u8]>) -> Option<Vec<Argument>> {
        let close = self.behind(open)? - 1;
        let inside = self.depths[open] + 1;
        let mut all = Vec::new();
        let mut from = open + 1;
        for i in open + 1..=close {
            let last = i == close;
            let ends = last || (self.depths[i] == inside && self.is_sign(i, b","));
            if !ends {
                continue;
            }
            let argument = &self.tokens[from..i];
            all.push(match argument {
                [] => return None,
                [Text(text)] if is_plain(text) => Argument::Word(text.to_vec()),
                [Number(text)] if is_integer(text) => Argument::Word(text.to_vec()),
                [Name(name)] if aliases.contains(name) => Argument::Key,
                _ if self.key(from) == Some(i) => Argument::Key,
                // The last one may be a call with any number of results.
                [.., Sign(b")" | b"...")] if last => Argument::Values,
                _ => Argument::Value,
            });
            from = i + 1;
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(source: &str) -> Option<String> {
        let reach = read(source.as_bytes())?;
        let word = |a: &Argument| match a {
            Argument::Word(w) => String::from_utf8_lossy(w).into_owned(),
            Argument::Key => "<key>".into(),
            Argument::Value => "<value>".into(),
            Argument::Values => "<values>".into(),
        };
        let mut lines: Vec<String> =
            reach.calls.iter().map(|c| c.iter().map(word).collect::<Vec<_>>().join(" ")).collect();
        if !reach.bounded {
            lines.push("loops".into());
        }
        Some(lines.join("; "))
    }

    #[test]
    fn keys_are_found_as_elements_of_keys_and_by_the_names_they_are_given() {
        for (source, want) in [
            ("return 1", ""),
            ("return redis.call('GET', KEYS[1])", "GET <key>"),
            ("#!lua flags=no-writes\nreturn server.pcall(\"get\", KEYS[#KEYS])", "get <key>"),
            ("local k = KEYS[1] local v = redis.call('get', k) return v", "get <key>"),
            ("local a, b = KEYS[1], KEYS[2]; redis.call('rename', a, b)", "rename <key> <key>"),
            ("local call = redis.call\ncall('set', KEYS[1], ARGV[1], 'px', 10)", "set <key> <value> px 10"),
            (
                "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end",
                "get <key>; del <key>",
            ),
            ("redis.call('sadd', KEYS[1], unpack(ARGV))", "sadd <key> <values>"),
            ("redis.call('sadd', unpack(ARGV), 'x')", "sadd <value> x"),
            ("for i = 1, #KEYS do redis.call('del', KEYS[i]) end", "del <key>; loops"),
            ("for _, k in ipairs(KEYS) do redis.call('incr', k) end", "incr <key>; loops"),
            ("-- redis.call('get', 'x')\n--[[ KEYS = 1 ]] return [[redis]]", ""),
            ("redis.call('set', KEYS[1], KEYS[2] .. 'x')", "set <key> <value>"),
            ("redis.call('get', KEYS[1] .. 'x')", "get <value>"),
            ("redis.call('get', 'x' .. KEYS[1])", "get <value>"),
            ("redis.call('g\\101t', KEYS[1])", "<value> <key>"),
            ("redis.call('mget', 1, 1.50, 0x10, 007, [[a]], [[\nb]])", "mget 1 <value> <value> <value> a <value>"),
            ("local t = { key = KEYS[1] } return t.redis", ""),
            ("redis.log(redis.LOG_WARNING, 'x') return redis.error_reply('no')", ""),
        ] {
            assert_eq!(calls(source).as_deref(), Some(want), "{source}");
        }
    }

    #[test]
    fn a_name_that_is_given_another_value_stands_for_no_key() {
        for source in [
            "local k = KEYS[1] k = 'other' redis.call('get', k)",
            "local k = KEYS[1] local k = ARGV[1] redis.call('get', k)",
            "local k = KEYS[1] a, k = 1, ARGV[1] redis.call('get', k)",
            "local k = KEYS[1] for k = 1, 2 do redis.call('get', k) end",
            "local k = KEYS[1] for _, k in pairs(ARGV) do redis.call('get', k) end",
            "local k = KEYS[1] .. 'x' redis.call('get', k)",
            "local k = KEYS[1] or 'x' redis.call('get', k)",
            "local k k = KEYS[1] redis.call('get', k)",
            "local a, k = KEYS[1], ARGV[1] redis.call('get', k)",
            "local k = KEYS[1] k ..= 'x' redis.call('get', k)",
        ] {
            let said = calls(source).expect("nothing unusual");
            assert!(said.contains("get <value>"), "{source}: {said}");
        }
    }

    #[test]
    fn where_in_doubt_a_script_may_reach_anything() {
        for source in [
            "KEYS = ARGV",
            "KEYS[1] = 'x'",
            "KEYS[1], b = 'x', 1",
            "a, KEYS[1] = 'x', 1",
            "a, KEYS[1], b = 1, 'x', 1",
            "KEYS[1] ..= 'x'",
            "local t = KEYS t[1] = 'x'",
            "table.insert(KEYS, 'x')",
            "table.sort(KEYS)",
            "local r = redis r.call('get', 'x')",
            "redis['call']('get', 'x')",
            "pcall(redis.call, 'get', 'x')",
            "local c c = redis.call c('get', 'x')",
            "redis.call'ping'",
            "redis.call()",
            "redis.call = nil",
            "local f = function() return redis.call('get', KEYS[1]) end return f()",
            "_G['redis'].call('get', 'x')",
            "getfenv(0).redis.call('get', 'x')",
            "loadstring(ARGV[1])()",
            "local call = redis.call local x = call x('get', 'y')",
            "return `{redis.call('get', 'x')}`",
            "return 'unfinished",
            "return ]",
        ] {
            assert_eq!(calls(source), None, "{source}");
        }
    }
}
