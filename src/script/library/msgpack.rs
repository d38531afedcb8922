//! `cmsgpack`: MessagePack to and from values of scripts.
//!
//! Whole numbers have their shortest form; others are 32-bit floats if nothing is lost. A table whose keys are 1 to n is an array.
//! Tables more than 16 deep are written as nil, so that one that holds itself comes to an end.

use super::{Answer, function, number, one, vm_error};
use mlua::{Lua, MultiValue, Table, Value};

/// Tables in tables that are written.
const PACK_DEPTH_MAX: usize = 16;
/// Nesting that is read: each level is a level of this thread's stack.
const UNPACK_DEPTH_MAX: usize = 1000;

pub fn library(lua: &Lua) -> mlua::Result<Table> {
    let t = lua.create_table()?;
    t.raw_set("_NAME", "cmsgpack")?;
    t.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    t.raw_set("_COPYRIGHT", "Holdfast")?;
    t.raw_set("_DESCRIPTION", "MessagePack for scripts")?;
    t.raw_set(
        "pack",
        function(lua, |lua, args| {
            if args.is_empty() {
                return Err("bad argument #0 to 'pack' (MessagePack pack needs input.)".into());
            }
            let mut out = Vec::new();
            for value in &args {
                pack(&mut out, value, 0)?;
            }
            lua.create_string(&out).map(|s| one(Value::String(s))).map_err(vm_error)
        })?,
    )?;
    t.raw_set("unpack", function(lua, |lua, args| unpack_some(lua, &args, "unpack", None, 0))?)?;
    t.raw_set(
        "unpack_one",
        function(lua, |lua, args| {
            let offset = optional(&args, 1, "unpack_one", 0)?;
            unpack_some(lua, &args, "unpack_one", Some(1), offset)
        })?,
    )?;
    t.raw_set(
        "unpack_limit",
        function(lua, |lua, args| {
            let limit = number(&args, 1, "unpack_limit")? as i64;
            let offset = optional(&args, 2, "unpack_limit", 0)?;
            unpack_some(lua, &args, "unpack_limit", Some(limit), offset)
        })?,
    )?;
    Ok(t)
}

fn optional(args: &MultiValue, at: usize, name: &str, default: i64) -> Result<i64, String> {
    match args.get(at) {
        None | Some(Value::Nil) => Ok(default),
        Some(_) => Ok(number(args, at, name)? as i64),
    }
}

/// Reads objects from `offset` on: all of them, or at most `limit`; then the first result is where to go on, -1 at the end.
fn unpack_some(lua: &Lua, args: &MultiValue, name: &str, limit: Option<i64>, offset: i64) -> Answer {
    let source = super::string(lua, args, 0, name)?;
    let bytes = source.as_bytes();
    if offset < 0 || limit.is_some_and(|l| l < 0) {
        return Err(format!("Invalid request to unpack with offset of {offset} and limit of {}.", bytes.len()));
    }
    let offset = offset as usize;
    if offset > bytes.len() {
        return Err(format!("Start offset {offset} greater than input length {}.", bytes.len()));
    }
    let most = match limit {
        None => usize::MAX,
        Some(0) if offset == 0 => usize::MAX,
        Some(n) => n as usize,
    };
    let mut reader = Reader { bytes: &bytes, at: offset };
    let mut results = MultiValue::new();
    let mut n = 0;
    while reader.at < bytes.len() && n < most {
        results.push_back(reader.value(lua, 0)?);
        n += 1;
    }
    // Asked for everything from the beginning, it says no more than a plain unpack.
    if limit.is_some_and(|limit| limit != 0 || offset != 0) {
        let next = if reader.at >= bytes.len() { -1 } else { reader.at as i64 };
        results.push_front(Value::Integer(next));
    }
    Ok(results)
}

/// Appends a value.
///
/// # Errors
/// The VM has no memory.
pub fn pack(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), String> {
    match value {
        Value::String(s) => {
            let s = s.as_bytes();
            match s.len() {
                n @ 0..=31 => out.push(0xa0 | n as u8),
                n @ 32..=0xff => out.extend_from_slice(&[0xd9, n as u8]),
                n => header(out, [0xda, 0xdb], n),
            }
            out.extend_from_slice(&s);
        }
        Value::Boolean(yes) => out.push(if *yes { 0xc3 } else { 0xc2 }),
        Value::Integer(n) => integer(out, *n),
        // A negative zero is a whole number too.
        Value::Number(0.0) => integer(out, 0),
        Value::Number(n) => double(out, *n),
        Value::Table(t) if depth < PACK_DEPTH_MAX => table(out, t, depth)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

fn header(out: &mut Vec<u8>, codes: [u8; 2], n: usize) {
    match u16::try_from(n) {
        Ok(n) => {
            out.push(codes[0]);
            out.extend_from_slice(&n.to_be_bytes());
        }
        Err(_) => {
            out.push(codes[1]);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
    }
}

fn integer(out: &mut Vec<u8>, n: i64) {
    let wide = n.to_be_bytes();
    match n {
        0..=127 => out.push(n as u8),
        -32..=-1 => out.push(n as u8),
        128..=0xff => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&wide[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&wide[4..]);
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend_from_slice(&wide);
        }
        -128..=-33 => out.extend_from_slice(&[0xd0, n as u8]),
        -0x8000..=-129 => {
            out.push(0xd1);
            out.extend_from_slice(&wide[6..]);
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend_from_slice(&wide[4..]);
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&wide);
        }
    }
}

fn double(out: &mut Vec<u8>, n: f64) {
    let short = n as f32;
    if f64::from(short) == n {
        out.push(0xca);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&n.to_be_bytes());
    }
}

fn table(out: &mut Vec<u8>, t: &Table, depth: usize) -> Result<(), String> {
    let (mut count, mut max, mut array) = (0usize, 0i64, true);
    for pair in t.pairs::<Value, Value>() {
        match pair.map_err(vm_error)?.0 {
            Value::Integer(n) if n > 0 => max = max.max(n),
            _ => array = false,
        }
        count += 1;
    }
    if array && max as usize == count {
        match count {
            0..=15 => out.push(0x90 | count as u8),
            n => header(out, [0xdc, 0xdd], n),
        }
        for i in 1..=count {
            pack(out, &t.raw_get(i).map_err(vm_error)?, depth + 1)?;
        }
        return Ok(());
    }
    match count {
        0..=15 => out.push(0x80 | count as u8),
        n => header(out, [0xde, 0xdf], n),
    }
    for pair in t.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(vm_error)?;
        pack(out, &key, depth + 1)?;
        pack(out, &value, depth + 1)?;
    }
    Ok(())
}

/// Bytes that are read from the front.
pub struct Reader<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

const SHORT: &str = "Missing bytes in input.";
const BAD: &str = "Bad data format in input.";

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let got = self.at.checked_add(n).and_then(|end| self.bytes.get(self.at..end)).ok_or(SHORT)?;
        self.at += n;
        Ok(got)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| SHORT.to_owned())
    }

    /// One object.
    ///
    /// # Errors
    /// Bytes are missing, or are no MessagePack.
    pub fn value(&mut self, lua: &Lua, depth: usize) -> Result<Value, String> {
        if depth > UNPACK_DEPTH_MAX {
            return Err("Too many nested objects in input.".into());
        }
        let [code] = self.array()?;
        Ok(match code {
            0x00..=0x7f => Value::Integer(i64::from(code)),
            0xe0..=0xff => Value::Integer(i64::from(code as i8)),
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Value::Number(f64::from_be_bytes(self.array()?)),
            0xcc => Value::Integer(i64::from(self.array::<1>()?[0])),
            0xcd => Value::Integer(i64::from(u16::from_be_bytes(self.array()?))),
            0xce => Value::Integer(i64::from(u32::from_be_bytes(self.array()?))),
            0xcf => Value::Number(u64::from_be_bytes(self.array()?) as f64),
            0xd0 => Value::Integer(i64::from(self.array::<1>()?[0] as i8)),
            0xd1 => Value::Integer(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Value::Integer(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Value::Number(i64::from_be_bytes(self.array()?) as f64),
            0xa0..=0xbf => self.text(lua, usize::from(code & 31))?,
            0xd9 => {
                let n = usize::from(self.array::<1>()?[0]);
                self.text(lua, n)?
            }
            0xda => {
                let n = u16::from_be_bytes(self.array()?);
                self.text(lua, usize::from(n))?
            }
            0xdb => {
                let n = u32::from_be_bytes(self.array()?);
                self.text(lua, n as usize)?
            }
            0x90..=0x9f => self.list(lua, usize::from(code & 15), depth)?,
            0xdc => {
                let n = u16::from_be_bytes(self.array()?);
                self.list(lua, usize::from(n), depth)?
            }
            0xdd => {
                let n = u32::from_be_bytes(self.array()?);
                self.list(lua, n as usize, depth)?
            }
            0x80..=0x8f => self.map(lua, usize::from(code & 15), depth)?,
            0xde => {
                let n = u16::from_be_bytes(self.array()?);
                self.map(lua, usize::from(n), depth)?
            }
            0xdf => {
                let n = u32::from_be_bytes(self.array()?);
                self.map(lua, n as usize, depth)?
            }
            _ => return Err(BAD.into()),
        })
    }

    fn text(&mut self, lua: &Lua, n: usize) -> Result<Value, String> {
        lua.create_string(self.take(n)?).map(Value::String).map_err(vm_error)
    }

    fn list(&mut self, lua: &Lua, n: usize, depth: usize) -> Result<Value, String> {
        // A promise of a length alone makes no room: each element has a byte at least.
        let t = lua.create_table_with_capacity(n.min(self.bytes.len() - self.at), 0).map_err(vm_error)?;
        for i in 1..=n {
            let value = self.value(lua, depth + 1)?;
            t.raw_set(i, value).map_err(vm_error)?;
        }
        Ok(Value::Table(t))
    }

    fn map(&mut self, lua: &Lua, n: usize, depth: usize) -> Result<Value, String> {
        let t = lua.create_table().map_err(vm_error)?;
        for _ in 0..n {
            let key = self.value(lua, depth + 1)?;
            let value = self.value(lua, depth + 1)?;
            match &key {
                Value::Nil => return Err(BAD.into()),
                Value::Number(n) if n.is_nan() => return Err(BAD.into()),
                _ => t.raw_set(key, value).map_err(vm_error)?,
            }
        }
        Ok(Value::Table(t))
    }
}
