//! `cjson`: JSON to and from values of scripts.
//!
//! A table whose keys are all positive whole numbers is an array; gaps are nulls, up to a limit. The empty table is an object.
//! Settings hold for the script that makes them.

use super::{Answer, function, number as number_argument, one, string, text, type_name, vm_error};
use mlua::{Lua, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// What `cjson.*` functions set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub encode_depth_max: usize,
    pub decode_depth_max: usize,
    /// A table with gaps becomes an object instead of an error.
    pub sparse_convert: bool,
    /// A table may be this many times longer than it has elements; 0 is no limit.
    pub sparse_ratio: usize,
    /// Up to here any table may have gaps.
    pub sparse_safe: usize,
    pub precision: usize,
    pub encode_invalid: Invalid,
    pub decode_invalid: bool,
}

/// What becomes of NaN and infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    Error,
    Write,
    Null,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            precision: text::DIGITS,
            encode_invalid: Invalid::Error,
            decode_invalid: true,
        }
    }
}

/// Nesting that no setting goes beyond: each level is a level of this thread's stack.
const DEPTH_LIMIT: usize = 1000;

/// The library; `settings` are put back to their defaults by whoever starts a script.
pub fn library(lua: &Lua, settings: &Rc<Cell<Settings>>) -> mlua::Result<Table> {
    let t = lua.create_table()?;
    t.raw_set("_NAME", "cjson")?;
    t.raw_set("_VERSION", "2.1.0")?;
    t.raw_set("null", Value::NULL)?;
    let s = Rc::clone(settings);
    t.raw_set(
        "encode",
        function(lua, move |lua, args| {
            if args.len() != 1 {
                return Err(format!("bad argument #{} to 'encode' (expected 1 argument)", args.len().max(1)));
            }
            let mut out = Vec::new();
            encode(&mut out, &args[0], &s.get(), 0)?;
            lua.create_string(&out).map(|s| one(Value::String(s))).map_err(vm_error)
        })?,
    )?;
    let s = Rc::clone(settings);
    t.raw_set(
        "decode",
        function(lua, move |lua, args| {
            if args.len() != 1 {
                return Err(format!("bad argument #{} to 'decode' (expected 1 argument)", args.len().max(1)));
            }
            let source = string(lua, &args, 0, "decode")?;
            let bytes = source.as_bytes();
            decode(lua, &bytes, &s.get()).map(one)
        })?,
    )?;
    let set = |name: &'static str, change: fn(&mut Settings, &MultiValue) -> Answer| {
        let s = Rc::clone(settings);
        let f = function(lua, move |_, args| {
            let mut now = s.get();
            let answer = change(&mut now, &args)?;
            s.set(now);
            Ok(answer)
        })?;
        t.raw_set(name, f)
    };
    set("encode_max_depth", |s, args| depth(&mut s.encode_depth_max, args, "encode_max_depth"))?;
    set("decode_max_depth", |s, args| depth(&mut s.decode_depth_max, args, "decode_max_depth"))?;
    set("encode_number_precision", |s, args| {
        if !args.is_empty() {
            s.precision = whole(args, 0, 1, 14, "encode_number_precision")?;
        }
        Ok(one(Value::Integer(s.precision as i64)))
    })?;
    set("encode_sparse_array", |s, args| {
        if let Some(v) = args.front() {
            s.sparse_convert = flag(v, 1, "encode_sparse_array")?;
        }
        if args.len() > 1 {
            s.sparse_ratio = whole(args, 1, 0, i32::MAX as usize, "encode_sparse_array")?;
        }
        if args.len() > 2 {
            s.sparse_safe = whole(args, 2, 0, i32::MAX as usize, "encode_sparse_array")?;
        }
        Ok(MultiValue::from_iter([
            Value::Boolean(s.sparse_convert),
            Value::Integer(s.sparse_ratio as i64),
            Value::Integer(s.sparse_safe as i64),
        ]))
    })?;
    set("encode_invalid_numbers", |s, args| {
        match args.front() {
            None => {}
            Some(Value::String(w)) if w.as_bytes() == *b"null" => s.encode_invalid = Invalid::Null,
            Some(v) => {
                let yes = flag(v, 1, "encode_invalid_numbers")?;
                s.encode_invalid = if yes { Invalid::Write } else { Invalid::Error };
            }
        }
        Ok(one(Value::Boolean(s.encode_invalid != Invalid::Error)))
    })?;
    set("decode_invalid_numbers", |s, args| {
        if let Some(v) = args.front() {
            s.decode_invalid = flag(v, 1, "decode_invalid_numbers")?;
        }
        Ok(one(Value::Boolean(s.decode_invalid)))
    })?;
    // Buffers are never kept: the answer says what was asked for, and nothing depends on it.
    set("encode_keep_buffer", |_, args| {
        let keep = args.front().map_or(Ok(true), |v| flag(v, 1, "encode_keep_buffer"))?;
        Ok(one(Value::Boolean(keep)))
    })?;
    Ok(t)
}

fn whole(args: &MultiValue, at: usize, min: usize, max: usize, name: &str) -> Result<usize, String> {
    let n = number_argument(args, at, name)?;
    if n >= min as f64 && n <= max as f64 {
        return Ok(n as usize);
    }
    Err(format!("bad argument #{} to '{name}' (expected integer between {min} and {max})", at + 1))
}

fn depth(setting: &mut usize, args: &MultiValue, name: &str) -> Answer {
    if !args.is_empty() {
        *setting = whole(args, 0, 1, i32::MAX as usize, name)?;
    }
    Ok(one(Value::Integer(*setting as i64)))
}

fn flag(value: &Value, at: usize, name: &str) -> Result<bool, String> {
    match value {
        Value::Boolean(yes) => Ok(*yes),
        Value::String(w) if w.as_bytes() == *b"on" => Ok(true),
        Value::String(w) if w.as_bytes() == *b"off" => Ok(false),
        _ => Err(format!("bad argument #{at} to '{name}' (invalid option)")),
    }
}

/// Appends a value as JSON.
///
/// # Errors
/// What has no JSON, with its type.
pub fn encode(out: &mut Vec<u8>, value: &Value, s: &Settings, depth: usize) -> Result<(), String> {
    match value {
        Value::String(v) => put_string(out, &v.as_bytes()),
        Value::Integer(n) => put_number(out, *n as f64, s)?,
        Value::Number(n) => put_number(out, *n, s)?,
        Value::Boolean(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Nil => out.extend_from_slice(b"null"),
        Value::LightUserData(p) if p.0.is_null() => out.extend_from_slice(b"null"),
        Value::Table(t) => {
            let depth = depth + 1;
            if depth > s.encode_depth_max.min(DEPTH_LIMIT) {
                return Err(format!("Cannot serialise, excessive nesting ({depth})"));
            }
            match array_len(t, s)? {
                Some(len) => {
                    out.push(b'[');
                    for i in 1..=len {
                        if i > 1 {
                            out.push(b',');
                        }
                        encode(out, &t.raw_get(i).map_err(vm_error)?, s, depth)?;
                    }
                    out.push(b']');
                }
                None => put_object(out, t, s, depth)?,
            }
        }
        other => return Err(format!("Cannot serialise {}: type not supported", type_name(other))),
    }
    Ok(())
}

/// The length of a table that is an array; `None` for an object, also for the empty table.
fn array_len(t: &Table, s: &Settings) -> Result<Option<usize>, String> {
    let (mut max, mut count) = (0usize, 0usize);
    for pair in t.pairs::<Value, Value>() {
        match pair.map_err(vm_error)?.0 {
            Value::Integer(n) if n > 0 => {
                max = max.max(n as usize);
                count += 1;
            }
            _ => return Ok(None),
        }
    }
    if s.sparse_ratio > 0 && max > count.saturating_mul(s.sparse_ratio) && max > s.sparse_safe {
        if s.sparse_convert {
            return Ok(None);
        }
        return Err("Cannot serialise table: excessively sparse array".into());
    }
    Ok((max > 0).then_some(max))
}

fn put_object(out: &mut Vec<u8>, t: &Table, s: &Settings, depth: usize) -> Result<(), String> {
    out.push(b'{');
    let mut first = true;
    for pair in t.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(vm_error)?;
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        match key {
            Value::String(k) => put_string(out, &k.as_bytes()),
            Value::Integer(n) => {
                out.push(b'"');
                put_number(out, n as f64, s)?;
                out.push(b'"');
            }
            Value::Number(n) => {
                out.push(b'"');
                put_number(out, n, s)?;
                out.push(b'"');
            }
            other => {
                return Err(format!("Cannot serialise {}: table key must be a number or string", type_name(&other)));
            }
        }
        out.push(b':');
        encode(out, &value, s, depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn put_number(out: &mut Vec<u8>, n: f64, s: &Settings) -> Result<(), String> {
    if !n.is_finite() {
        match s.encode_invalid {
            Invalid::Error => return Err("Cannot serialise number: must not be NaN or Inf".into()),
            Invalid::Null => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            Invalid::Write => {}
        }
        let word: &[u8] = if n.is_nan() {
            b"nan"
        } else if n < 0.0 {
            b"-inf"
        } else {
            b"inf"
        };
        out.extend_from_slice(word);
        return Ok(());
    }
    out.extend_from_slice(text::general(n, s.precision).as_bytes());
    Ok(())
}

fn put_string(out: &mut Vec<u8>, s: &[u8]) {
    out.push(b'"');
    for &c in s {
        match c {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=31 | 127 => out.extend_from_slice(format!("\\u{c:04x}").as_bytes()),
            c => out.push(c),
        }
    }
    out.push(b'"');
}

/// The value of a JSON text.
///
/// # Errors
/// What was expected, what stands there, and where.
pub fn decode(lua: &Lua, text: &[u8], s: &Settings) -> Result<Value, String> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err("JSON parser does not support UTF-16 or UTF-32".into());
    }
    let mut p = Parser { lua, text, at: 0, settings: s, depth: 0 };
    let value = p.value()?;
    match p.token() {
        (Token::End, _) => Ok(value),
        (token, at) => Err(p.unexpected("the end", token, at)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Bad(&'static str),
}

impl Token {
    fn name(self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Bad(why) => why,
        }
    }
}

struct Parser<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    settings: &'a Settings,
    depth: usize,
}

impl Parser<'_> {
    fn unexpected(&self, wanted: &str, token: Token, at: usize) -> String {
        format!("Expected {wanted} but found {} at character {}", token.name(), at + 1)
    }

    /// The next token and where it begins; of a string only that it begins.
    fn token(&mut self) -> (Token, usize) {
        while self.text.get(self.at).is_some_and(|c| matches!(c, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let at = self.at;
        let Some(&c) = self.text.get(at) else { return (Token::End, at) };
        let single = match c {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => Token::String,
            _ => return (self.word(), at),
        };
        self.at += 1;
        (single, at)
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in
            [(&b"true"[..], Token::Boolean(true)), (b"false", Token::Boolean(false)), (b"null", Token::Null)]
        {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        let len = rest
            .iter()
            .position(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.')))
            .unwrap_or(rest.len());
        let word = &rest[..len];
        if word.is_empty() || !(word[0].is_ascii_digit() || matches!(word[0], b'-' | b'+' | b'i' | b'I' | b'n' | b'N'))
        {
            return Token::Bad("invalid token");
        }
        if !self.settings.decode_invalid && !strict(word) {
            return Token::Bad("invalid number");
        }
        match text::parse(word).or_else(|| loose(word)).or_else(|| std::str::from_utf8(word).ok()?.parse().ok()) {
            Some(n) => {
                self.at += len;
                Token::Number(n)
            }
            None if word[0].is_ascii_digit() || word[0] == b'-' => Token::Bad("invalid number"),
            None => Token::Bad("invalid token"),
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        let (token, at) = self.token();
        self.value_of(token, at)
    }

    fn value_of(&mut self, token: Token, at: usize) -> Result<Value, String> {
        match token {
            Token::String => self.string("value"),
            Token::Number(n) => Ok(Value::Number(n)),
            Token::Boolean(yes) => Ok(Value::Boolean(yes)),
            Token::Null => Ok(Value::NULL),
            Token::ObjectBegin => self.nested(at, Self::object),
            Token::ArrayBegin => self.nested(at, Self::array),
            other => Err(self.unexpected("value", other, at)),
        }
    }

    fn nested(&mut self, at: usize, f: fn(&mut Self) -> Result<Value, String>) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > self.settings.decode_depth_max.min(DEPTH_LIMIT) {
            return Err(format!("Found too many nested data structures ({}) at character {}", self.depth, at + 1));
        }
        let value = f(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, String> {
        let t = self.lua.create_table().map_err(vm_error)?;
        let (mut token, mut at) = self.token();
        if token == Token::ObjectEnd {
            return Ok(Value::Table(t));
        }
        loop {
            if token != Token::String {
                return Err(self.unexpected("object key string", token, at));
            }
            let key = self.string("object key string")?;
            let (colon, colon_at) = self.token();
            if colon != Token::Colon {
                return Err(self.unexpected("colon", colon, colon_at));
            }
            let value = self.value()?;
            t.raw_set(key, value).map_err(vm_error)?;
            let (next, next_at) = self.token();
            match next {
                Token::ObjectEnd => return Ok(Value::Table(t)),
                Token::Comma => (token, at) = self.token(),
                other => return Err(self.unexpected("comma or object end", other, next_at)),
            }
        }
    }

    fn array(&mut self) -> Result<Value, String> {
        let t = self.lua.create_table().map_err(vm_error)?;
        let (mut token, mut at) = self.token();
        if token == Token::ArrayEnd {
            return Ok(Value::Table(t));
        }
        for i in 1.. {
            let value = self.value_of(token, at)?;
            t.raw_set(i, value).map_err(vm_error)?;
            let (next, next_at) = self.token();
            match next {
                Token::ArrayEnd => break,
                Token::Comma => (token, at) = self.token(),
                other => return Err(self.unexpected("comma or array end", other, next_at)),
            }
        }
        Ok(Value::Table(t))
    }

    /// A string whose quote has been passed, where `what` is expected. What is wrong in it is told with its own place.
    fn string(&mut self, what: &str) -> Result<Value, String> {
        let bad = |p: &Self, why, at| p.unexpected(what, Token::Bad(why), at);
        let rest = &self.text[self.at..];
        // Most strings have nothing to undo.
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(end) if rest[end] == b'"' => {
                self.at += end + 1;
                return self.lua.create_string(&rest[..end]).map(Value::String).map_err(vm_error);
            }
            Some(_) => {}
            None => return Err(bad(self, "unexpected end of string", self.text.len())),
        }
        let mut out = Vec::new();
        loop {
            let Some(&c) = self.text.get(self.at) else {
                return Err(bad(self, "unexpected end of string", self.at));
            };
            self.at += 1;
            match c {
                b'"' => break,
                b'\\' => {
                    let begin = self.at - 1;
                    let Some(&escape) = self.text.get(self.at) else {
                        return Err(bad(self, "invalid escape code", begin));
                    };
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' => out.push(escape),
                        b'b' => out.push(8),
                        b'f' => out.push(12),
                        b'n' => out.push(b'\n'),
                        b'r' => out.push(b'\r'),
                        b't' => out.push(b'\t'),
                        b'u' => {
                            let c = self.unicode().ok_or_else(|| bad(self, "invalid unicode escape code", begin))?;
                            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        _ => return Err(bad(self, "invalid escape code", begin)),
                    }
                }
                c => out.push(c),
            }
        }
        self.lua.create_string(&out).map(Value::String).map_err(vm_error)
    }

    /// Four hexadecimal digits, and four more if they are the first half of a pair.
    fn unicode(&mut self) -> Option<char> {
        let first = self.four()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first);
        }
        if first >= 0xdc00 || self.text.get(self.at..self.at + 2)? != b"\\u" {
            return None;
        }
        self.at += 2;
        let second = self.four().filter(|n| (0xdc00..0xe000).contains(n))?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn four(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |n, c| Some(n * 16 + char::from(*c).to_digit(16)?))
    }
}

/// A number as the standard has it.
fn strict(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    digits.first().is_some_and(u8::is_ascii_digit)
        && (digits.len() == 1 || digits[0] != b'0' || matches!(digits[1], b'.' | b'e' | b'E'))
}

/// Infinity and NaN, by their usual names.
fn loose(word: &[u8]) -> Option<f64> {
    let (negative, word) = match word.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix(b"+").unwrap_or(word)),
    };
    let n = match word.to_ascii_lowercase().as_slice() {
        b"inf" | b"infinity" => f64::INFINITY,
        b"nan" => f64::NAN,
        _ => return None,
    };
    Some(if negative { -n } else { n })
}
