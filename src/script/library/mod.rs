//! What scripts find in their globals beside the language: `cjson`, `cmsgpack`, `struct`.
//!
//! Each function answers an error text, or nil and its results; the prelude makes an error of the text, at the script's line.

pub mod json;
pub mod msgpack;
pub mod packing;
pub mod text;

use mlua::{Lua, MultiValue, Value};

/// What a library function comes to: its results, or the text of the error.
pub type Answer = Result<MultiValue, String>;

/// Makes a function of a library.
pub fn function(lua: &Lua, f: impl Fn(&Lua, MultiValue) -> Answer + 'static) -> mlua::Result<mlua::Function> {
    lua.create_function(move |lua, args: MultiValue| match f(lua, args) {
        Ok(mut results) => {
            results.push_front(Value::Nil);
            Ok(results)
        }
        Err(text) => Ok(MultiValue::from_iter([Value::String(lua.create_string(text)?)])),
    })
}

/// One result.
pub fn one(value: Value) -> MultiValue {
    MultiValue::from_iter([value])
}

/// The VM itself failed: out of memory.
pub fn vm_error(e: mlua::Error) -> String {
    match e {
        mlua::Error::MemoryError(_) => "not enough memory".into(),
        e => e.to_string(),
    }
}

/// The name of a value's type, as scripts see it.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// An argument that is a number, or a string that reads as one.
pub fn number(args: &MultiValue, at: usize, name: &str) -> Result<f64, String> {
    let given = match args.get(at) {
        Some(Value::Integer(n)) => return Ok(*n as f64),
        Some(Value::Number(n)) => return Ok(*n),
        Some(Value::String(s)) => match text::parse(&s.as_bytes()) {
            Some(n) => return Ok(n),
            None => "string",
        },
        Some(other) => type_name(other),
        None => "no value",
    };
    Err(format!("bad argument #{} to '{name}' (number expected, got {given})", at + 1))
}

/// An argument that is a string, or a number as its text.
pub fn string(lua: &Lua, args: &MultiValue, at: usize, name: &str) -> Result<mlua::LuaString, String> {
    let given = match args.get(at) {
        Some(Value::String(s)) => return Ok(s.clone()),
        Some(Value::Integer(n)) => return lua.create_string(text::number(*n as f64)).map_err(vm_error),
        Some(Value::Number(n)) => return lua.create_string(text::number(*n)).map_err(vm_error),
        Some(other) => type_name(other),
        None => "no value",
    };
    Err(format!("bad argument #{} to '{name}' (string expected, got {given})", at + 1))
}
