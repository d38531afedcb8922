//! `struct`: numbers and strings to and from bytes, after a format.
//!
//! `<` `>` `=` choose the order of bytes, `!n` the alignment, `b B h H i[n] I[n] l L T` are integers, `f d` floats, `s` a string that
//! ends with a zero byte, `c[n]` one of n bytes, `x` a byte of padding. `c0` is a whole string, or as long as the number before it says.

use super::{Answer, function, number, string, vm_error};
use mlua::{Lua, MultiValue, Table, Value};

/// The largest integer a format may ask for, in bytes.
const INTEGER_MAX: usize = 32;
/// `!` without a number.
const ALIGN_DEFAULT: usize = 8;
/// Bytes one call may make: more than any value a key can hold is no use.
const PACK_MAX: usize = 512 << 20;

pub fn library(lua: &Lua) -> mlua::Result<Table> {
    let t = lua.create_table()?;
    t.raw_set("pack", function(lua, |lua, args| pack(lua, &args))?)?;
    t.raw_set("unpack", function(lua, |lua, args| unpack(lua, &args))?)?;
    t.raw_set("size", function(lua, |lua, args| size(lua, &args))?)?;
    Ok(t)
}

/// One thing a format asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Integer {
        bytes: usize,
        signed: bool,
    },
    Float,
    Double,
    /// A string and the zero behind it.
    Zeroed,
    /// `c` and its number.
    Fixed(usize),
    Padding,
}

impl Item {
    /// What it is aligned by.
    fn alignment(self) -> usize {
        match self {
            Item::Integer { bytes, .. } => bytes,
            Item::Float => 4,
            Item::Double => 8,
            Item::Zeroed | Item::Fixed(_) | Item::Padding => 1,
        }
    }
}

/// A format, read item by item.
struct Format<'a> {
    text: &'a [u8],
    at: usize,
    big: bool,
    align: usize,
    function: &'static str,
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8], function: &'static str) -> Format<'a> {
        Format { text, at: 0, big: false, align: 1, function }
    }

    fn number(&mut self) -> Result<Option<usize>, String> {
        let mut n: Option<usize> = None;
        while let Some(d) = self.text.get(self.at).filter(|c| c.is_ascii_digit()) {
            let grown = n.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(usize::from(d - b'0')));
            n = Some(grown.filter(|n| *n <= i32::MAX as usize).ok_or("integral size overflow")?);
            self.at += 1;
        }
        Ok(n)
    }

    fn next(&mut self) -> Result<Option<Item>, String> {
        loop {
            let Some(&c) = self.text.get(self.at) else { return Ok(None) };
            self.at += 1;
            let integer = |bytes, signed| Ok(Some(Item::Integer { bytes, signed }));
            match c {
                b'<' | b'=' => self.big = false,
                b'>' => self.big = true,
                b' ' => {}
                b'!' => {
                    let n = self.number()?.unwrap_or(ALIGN_DEFAULT);
                    if n == 0 || !n.is_power_of_two() {
                        return Err("alignment is not a power of 2".into());
                    }
                    self.align = n;
                }
                b'b' | b'B' => return integer(1, c == b'b'),
                b'h' | b'H' => return integer(2, c == b'h'),
                b'l' | b'L' => return integer(8, c == b'l'),
                b'T' => return integer(8, false),
                b'i' | b'I' => {
                    let n = self.number()?.unwrap_or(4);
                    if n > INTEGER_MAX {
                        return Err(format!("integral size {n} is larger than limit of {INTEGER_MAX}"));
                    }
                    return integer(n, c == b'i');
                }
                b'f' => return Ok(Some(Item::Float)),
                b'd' => return Ok(Some(Item::Double)),
                b's' => return Ok(Some(Item::Zeroed)),
                b'c' => return Ok(Some(Item::Fixed(self.number()?.unwrap_or(1)))),
                b'x' => return Ok(Some(Item::Padding)),
                // Only packing needs to know every letter.
                other if self.function == "size" && other.is_ascii_alphanumeric() => {}
                other => {
                    return Err(format!(
                        "bad argument #1 to '{}' (invalid format option '{}')",
                        self.function,
                        char::from(other)
                    ));
                }
            }
        }
    }

    /// Bytes of padding before an item at `at`.
    fn padding(&self, item: Item, at: usize) -> Result<usize, String> {
        let align = item.alignment().min(self.align);
        if align <= 1 {
            return Ok(0);
        }
        if !align.is_power_of_two() {
            return Err("alignment is not a power of 2".into());
        }
        Ok((align - at % align) % align)
    }
}

/// The low bytes of a number, for any width.
fn put_integer(out: &mut Vec<u8>, n: i64, bytes: usize, big: bool) {
    let fill = if n < 0 { 0xff } else { 0 };
    let little = n.to_le_bytes();
    let byte = |i: usize| little.get(i).copied().unwrap_or(fill);
    if big {
        out.extend((0..bytes).rev().map(byte));
    } else {
        out.extend((0..bytes).map(byte));
    }
}

fn get_integer(bytes: &[u8], signed: bool, big: bool) -> f64 {
    let mut little = [0u8; 8];
    let len = bytes.len();
    for (i, to) in little.iter_mut().enumerate().take(len) {
        *to = if big { bytes[len - 1 - i] } else { bytes[i] };
    }
    let n = u64::from_le_bytes(little);
    if !signed {
        return n as f64;
    }
    let unused = 64 - 8 * len.clamp(1, 8) as u32;
    (((n << unused) as i64) >> unused) as f64
}

fn pack(lua: &Lua, args: &MultiValue) -> Answer {
    let format = string(lua, args, 0, "pack")?;
    let text = format.as_bytes();
    let mut format = Format::new(&text, "pack");
    let (mut out, mut arg) = (Vec::new(), 1);
    while let Some(item) = format.next()? {
        let padding = format.padding(item, out.len())?;
        out.resize(out.len() + padding, 0);
        match item {
            Item::Padding => out.push(0),
            Item::Integer { bytes, .. } => {
                let n = number(args, arg, "pack")?;
                // Numbers above the signed range are taken for unsigned ones.
                let n = if n >= 9_223_372_036_854_775_808.0 { (n as u64).cast_signed() } else { n as i64 };
                put_integer(&mut out, n, bytes, format.big);
                arg += 1;
            }
            Item::Float => {
                let n = number(args, arg, "pack")? as f32;
                out.extend_from_slice(&if format.big { n.to_be_bytes() } else { n.to_le_bytes() });
                arg += 1;
            }
            Item::Double => {
                let n = number(args, arg, "pack")?;
                out.extend_from_slice(&if format.big { n.to_be_bytes() } else { n.to_le_bytes() });
                arg += 1;
            }
            Item::Zeroed | Item::Fixed(_) => {
                let s = string(lua, args, arg, "pack")?;
                let s = s.as_bytes();
                arg += 1;
                let len = match item {
                    Item::Fixed(n) if n > 0 => n,
                    _ => s.len(),
                };
                if s.len() < len {
                    return Err(format!("bad argument #{} to 'pack' (string too short)", arg + 1));
                }
                out.extend_from_slice(&s[..len]);
                if item == Item::Zeroed {
                    out.push(0);
                }
            }
        }
        if out.len() > PACK_MAX {
            return Err("result is too long".into());
        }
    }
    lua.create_string(&out).map(|s| MultiValue::from_iter([Value::String(s)])).map_err(vm_error)
}

fn unpack(lua: &Lua, args: &MultiValue) -> Answer {
    let format = string(lua, args, 0, "unpack")?;
    let source = string(lua, args, 1, "unpack")?;
    let (text, data) = (format.as_bytes(), source.as_bytes());
    let short = || "bad argument #2 to 'unpack' (data string too short)".to_owned();
    let mut at = match args.get(2) {
        None | Some(Value::Nil) => 0,
        Some(_) => {
            let n = number(args, 2, "unpack")?;
            if n < 1.0 {
                return Err("offset must be 1 or greater".into());
            }
            n as usize - 1
        }
    };
    let mut format = Format::new(&text, "unpack");
    let mut results: Vec<Value> = Vec::new();
    while let Some(item) = format.next()? {
        at = at.checked_add(format.padding(item, at)?).ok_or_else(short)?;
        let rest = data.get(at..).ok_or_else(short)?;
        let take = |n: usize| rest.get(..n).ok_or_else(short);
        let used = match item {
            Item::Padding => take(1)?.len(),
            Item::Integer { bytes, signed } => {
                results.push(Value::Number(get_integer(take(bytes)?, signed, format.big)));
                bytes
            }
            Item::Float => {
                let b: [u8; 4] = take(4)?.try_into().map_err(|_| short())?;
                let n = if format.big { f32::from_be_bytes(b) } else { f32::from_le_bytes(b) };
                results.push(Value::Number(f64::from(n)));
                4
            }
            Item::Double => {
                let b: [u8; 8] = take(8)?.try_into().map_err(|_| short())?;
                results.push(Value::Number(if format.big { f64::from_be_bytes(b) } else { f64::from_le_bytes(b) }));
                8
            }
            Item::Zeroed => {
                let len = memchr::memchr(0, rest).ok_or("unfinished string in data")?;
                results.push(Value::String(lua.create_string(&rest[..len]).map_err(vm_error)?));
                len + 1
            }
            Item::Fixed(n) => {
                let n = match (n, results.pop()) {
                    (0, Some(Value::Number(len))) if len >= 0.0 => len as usize,
                    (0, Some(Value::Number(_))) => return Err(short()),
                    (0, _) => return Err("format 'c0' needs a previous size".into()),
                    (n, last) => {
                        results.extend(last);
                        n
                    }
                };
                results.push(Value::String(lua.create_string(take(n)?).map_err(vm_error)?));
                n
            }
        };
        at += used;
    }
    results.push(Value::Integer(at as i64 + 1));
    Ok(MultiValue::from_vec(results))
}

fn size(lua: &Lua, args: &MultiValue) -> Answer {
    let format = string(lua, args, 0, "size")?;
    let text = format.as_bytes();
    let mut format = Format::new(&text, "size");
    let mut at = 0usize;
    while let Some(item) = format.next()? {
        at += format.padding(item, at)?;
        at += match item {
            Item::Integer { bytes, .. } => bytes,
            Item::Float => 4,
            Item::Double => 8,
            Item::Padding => 1,
            Item::Fixed(n) if n > 0 => n,
            Item::Zeroed => return Err("bad argument #1 to 'size' (option 's' has no fixed size)".into()),
            Item::Fixed(_) => return Err("bad argument #1 to 'size' (option 'c0' has no fixed size)".into()),
        };
        if at > i32::MAX as usize {
            return Err("bad argument #1 to 'size' (size overflow)".into());
        }
    }
    Ok(MultiValue::from_iter([Value::Integer(at as i64)]))
}
