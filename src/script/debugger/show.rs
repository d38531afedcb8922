//! How the debugger writes values, replies and lines of the source.

use super::Session;
use crate::resp::args::Args;
use crate::script::library::{self, text};
use mlua::Value;

/// Tables inside tables that are shown.
const DEPTH_MAX: usize = 10;
/// Bytes after which a value is not gone through any further: `maxlen 0` has a bound too.
const VALUE_MAX: usize = 1 << 20;

/// A value as `print` shows it.
pub(super) fn value(v: &Value) -> String {
    let mut out = String::new();
    write(v, 0, &mut out);
    out
}

fn write(v: &Value, depth: usize, out: &mut String) {
    if out.len() > VALUE_MAX {
        return;
    }
    match v {
        Value::Nil => out.push_str("nil"),
        Value::Boolean(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Integer(n) => out.push_str(&text::number(*n as f64)),
        Value::Number(n) => out.push_str(&text::number(*n)),
        Value::String(s) => out.push_str(&s.to_string_lossy()),
        Value::Table(_) if depth == DEPTH_MAX => out.push_str("<max recursion level reached! Nested table?>"),
        Value::Table(t) => {
            let pairs: Vec<_> = t.pairs::<Value, Value>().flatten().collect();
            let listed = pairs.iter().enumerate().all(|(i, (k, _))| match k {
                Value::Integer(n) => *n == i as i64 + 1,
                Value::Number(n) => *n == (i + 1) as f64,
                _ => false,
            });
            out.push('{');
            for (k, v) in &pairs {
                if !listed {
                    out.push('[');
                    write(k, depth + 1, out);
                    out.push_str("]=");
                }
                write(v, depth + 1, out);
                out.push_str("; ");
                if out.len() > VALUE_MAX {
                    break;
                }
            }
            out.push('}');
        }
        other => out.push_str(&format!("\"{}@{:p}\"", library::type_name(other), other.to_pointer())),
    }
}

/// A command's reply, from what the script gets of it.
pub(super) fn reply(v: &Value) -> String {
    let mut out = String::new();
    write_reply(v, 0, &mut out);
    out
}

fn quoted(out: &mut String, sign: &str, bytes: &[u8]) {
    out.push('"');
    out.push_str(sign);
    out.push_str(&bytes.escape_ascii().to_string());
    out.push('"');
}

fn write_reply(v: &Value, depth: usize, out: &mut String) {
    if out.len() > VALUE_MAX {
        return;
    }
    match v {
        Value::Nil | Value::Boolean(false) => out.push_str("NULL"),
        Value::String(s) => quoted(out, "", &s.as_bytes()),
        Value::Table(t) => {
            if let Ok(status) = t.raw_get::<mlua::LuaString>("ok") {
                return quoted(out, "+", &status.as_bytes());
            }
            if let Ok(error) = t.raw_get::<mlua::LuaString>("err") {
                return quoted(out, "-", &error.as_bytes());
            }
            if depth == DEPTH_MAX {
                return out.push_str("...");
            }
            out.push('[');
            for (i, element) in t.sequence_values::<Value>().flatten().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_reply(&element, depth + 1, out);
                if out.len() > VALUE_MAX {
                    break;
                }
            }
            out.push(']');
        }
        other => write(other, depth, out),
    }
}

/// The words of a command.
pub fn arguments(args: Args<'_>) -> impl Iterator<Item = String> {
    args.iter().map(|a| String::from_utf8_lossy(a).into_owned())
}

/// A line of the source with its marks.
pub(super) fn source_line(s: &Session, line: usize) -> String {
    let here = if line == s.line { "->" } else { "  " };
    let breaks = if s.breakpoints.contains(&line) { '#' } else { ' ' };
    let text = line.checked_sub(1).and_then(|i| s.source.get(i)).map_or("", String::as_str);
    format!("{here}{breaks}{line:<3} {text}")
}
