//! A script's value becomes a reply; a table says by its fields (`ok`, `err`, `map`, ...) what it is meant to be.

use crate::base::number::FloatText;
use crate::resp::reply::{Reply, Version};
use mlua::{Table, Value};

/// Tables in tables that become a reply; deeper ones, and those that hold themselves, end in an error.
const DEPTH_MAX: usize = 300;

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
