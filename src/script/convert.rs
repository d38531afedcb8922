//! Between replies and the values of scripts.
//!
//! A reply of a command is read from the bytes its handler wrote, so that scripts see what a client would. The other way round, a
//! script's value becomes a reply; a table says by its fields (`ok`, `err`, `map`, ...) what it is meant to be.

use crate::base::number::{FloatText, parse_f64, parse_i64};
use crate::resp::reply::{Reply, Shared, Version};
use mlua::{Lua, Table, Value};

/// Tables in tables that become a reply; deeper ones, and those that hold themselves, end in an error.
const DEPTH_MAX: usize = 300;

/// The bytes of a reply, read from the front.
struct Cursor<'a> {
    bytes: &'a [u8],
    shared: &'a [Shared],
    at: usize,
}

/// The reply of a command as a script sees it. An error is a table with `err`.
pub fn to_lua(lua: &Lua, reply: &Reply) -> mlua::Result<Value> {
    let mut cursor = Cursor { bytes: &reply.buf, shared: &reply.shared, at: 0 };
    cursor.value(lua)
}

fn field(lua: &Lua, name: &str, value: impl mlua::IntoLua) -> mlua::Result<Value> {
    let t = lua.create_table_with_capacity(0, 1)?;
    t.raw_set(name, value)?;
    Ok(Value::Table(t))
}

/// An error of a command; `counted` says that the statistics have it.
pub fn error(lua: &Lua, text: &[u8], counted: bool) -> mlua::Result<Table> {
    let t = lua.create_table_with_capacity(0, 2)?;
    t.raw_set("err", lua.create_string(text)?)?;
    if counted {
        t.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(t)
}

impl<'a> Cursor<'a> {
    /// Up to the end of the line, which is passed.
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let len = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
        self.at += len + 2;
        &rest[..len]
    }

    fn number(&mut self) -> i64 {
        parse_i64(self.line()).unwrap_or(-1)
    }

    /// The bytes of a bulk string of `len` bytes, wherever they are.
    fn bulk(&mut self, len: usize) -> &'a [u8] {
        if let Some((first, rest)) = self.shared.split_first()
            && first.at == self.at
        {
            self.shared = rest;
            self.at += 2;
            return &first.value;
        }
        let end = (self.at + len).min(self.bytes.len());
        let value = &self.bytes[self.at.min(end)..end];
        self.at = end + 2;
        value
    }

    fn value(&mut self, lua: &Lua) -> mlua::Result<Value> {
        let Some(kind) = self.bytes.get(self.at).copied() else { return Ok(Value::Boolean(false)) };
        self.at += 1;
        Ok(match kind {
            b'+' => field(lua, "ok", lua.create_string(self.line())?)?,
            b'-' => Value::Table(error(lua, self.line(), true)?),
            b':' => Value::Integer(self.number()),
            b'$' => match usize::try_from(self.number()) {
                Ok(len) => Value::String(lua.create_string(self.bulk(len))?),
                Err(_) => Value::Boolean(false),
            },
            b'*' | b'>' => match usize::try_from(self.number()) {
                Ok(len) => Value::Table(self.list(lua, len)?),
                Err(_) => Value::Boolean(false),
            },
            b'_' => {
                self.line();
                Value::Nil
            }
            b'#' => Value::Boolean(self.line() == b"t"),
            b',' => field(lua, "double", parse_f64(self.line()).unwrap_or(f64::NAN))?,
            b'(' => field(lua, "big_number", lua.create_string(self.line())?)?,
            b'%' => {
                let pairs = self.number().max(0) as usize;
                let t = lua.create_table_with_capacity(0, pairs)?;
                for _ in 0..pairs {
                    let (key, value) = (self.value(lua)?, self.value(lua)?);
                    put(&t, key, value)?;
                }
                field(lua, "map", t)?
            }
            b'~' => {
                let len = self.number().max(0) as usize;
                let t = lua.create_table_with_capacity(0, len)?;
                for _ in 0..len {
                    let key = self.value(lua)?;
                    put(&t, key, Value::Boolean(true))?;
                }
                field(lua, "set", t)?
            }
            b'=' => {
                let len = self.number().max(0) as usize;
                let text = self.bulk(len);
                let inner = lua.create_table_with_capacity(0, 2)?;
                inner.raw_set("format", lua.create_string(&text[..text.len().min(3)])?)?;
                inner.raw_set("string", lua.create_string(text.get(4..).unwrap_or_default())?)?;
                field(lua, "verbatim_string", inner)?
            }
            b'|' => {
                for _ in 0..2 * self.number().max(0) {
                    self.value(lua)?;
                }
                self.value(lua)?
            }
            _ => Value::Boolean(false),
        })
    }

    fn list(&mut self, lua: &Lua, len: usize) -> mlua::Result<Table> {
        let t = lua.create_table_with_capacity(len, 0)?;
        for i in 0..len {
            let value = self.value(lua)?;
            t.raw_set(i + 1, value)?;
        }
        Ok(t)
    }
}

/// What cannot be a key of a table is left out.
fn put(t: &Table, key: Value, value: Value) -> mlua::Result<()> {
    match key {
        Value::Nil => Ok(()),
        Value::Number(n) if n.is_nan() => Ok(()),
        key => t.raw_set(key, value),
    }
}

/// Writes a script's value as a reply. `script` is the version the script speaks: only RESP3 knows booleans.
pub fn to_reply(value: &Value, reply: &mut Reply, script: Version) {
    write(value, reply, script, 0);
}

fn write(value: &Value, reply: &mut Reply, script: Version, depth: usize) {
    if depth > DEPTH_MAX {
        return reply.error(b"ERR reached lua stack limit");
    }
    match value {
        Value::String(s) => reply.bulk(&s.as_bytes()),
        Value::Integer(n) => reply.integer(*n),
        Value::Number(n) => reply.integer(truncated(*n)),
        Value::Boolean(yes) if script == Version::Resp3 => reply.bool(*yes),
        Value::Boolean(true) => reply.integer(1),
        Value::Table(t) => table(t, reply, script, depth),
        _ => reply.null(),
    }
}

/// As processors cut a double down: what does not fit is the smallest integer.
fn truncated(n: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&n) { n as i64 } else { i64::MIN }
}

/// A field of a table, without asking its metatable.
fn get(t: &Table, name: &str) -> Value {
    t.raw_get(name).unwrap_or(Value::Nil)
}

fn table(t: &Table, reply: &mut Reply, script: Version, depth: usize) {
    if let Value::String(s) = get(t, "err") {
        return reply.error(&s.as_bytes());
    }
    if let Value::String(s) = get(t, "ok") {
        return reply.status_bytes(&s.as_bytes());
    }
    match get(t, "double") {
        Value::Number(n) => return reply.double_text(FloatText::new(n).as_bytes()),
        Value::Integer(n) => return reply.double_text(FloatText::new(n as f64).as_bytes()),
        _ => {}
    }
    if let Value::Table(map) = get(t, "map") {
        let (at, mut pairs) = (reply.deferred(), 0);
        for pair in map.pairs::<Value, Value>() {
            let Ok((key, value)) = pair else { break };
            write(&key, reply, script, depth + 1);
            write(&value, reply, script, depth + 1);
            pairs += 1;
        }
        return reply.finish_map(at, pairs);
    }
    if let Value::Table(set) = get(t, "set") {
        let (at, mut len) = (reply.deferred(), 0);
        for pair in set.pairs::<Value, Value>() {
            let Ok((key, _)) = pair else { break };
            write(&key, reply, script, depth + 1);
            len += 1;
        }
        return reply.finish_set(at, len);
    }
    if let Value::String(digits) = get(t, "big_number") {
        // A line end in it would end the reply's line.
        let line: Vec<u8> =
            digits.as_bytes().iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }).collect();
        return reply.big_number(&line);
    }
    if let Value::Table(verbatim) = get(t, "verbatim_string")
        && let (Value::String(format), Value::String(text)) = (get(&verbatim, "format"), get(&verbatim, "string"))
    {
        let format = String::from_utf8_lossy(&format.as_bytes()).into_owned();
        let three: String = format.chars().filter(char::is_ascii).chain("   ".chars()).take(3).collect();
        return reply.verbatim(&three, &text.as_bytes());
    }
    let (at, mut len) = (reply.deferred(), 0);
    loop {
        match t.raw_get::<Value>(len + 1) {
            Ok(Value::Nil) | Err(_) => break,
            Ok(item) => write(&item, reply, script, depth + 1),
        }
        len += 1;
    }
    reply.finish_array(at, len);
}
