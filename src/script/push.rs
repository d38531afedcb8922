//! Replies of commands as scripts see them, made on the VM's own stack.
//!
//! A reply is read from the bytes its handler wrote, so that scripts see what a client would.
//!
//! # Invariants
//! * Whatever the bytes are, exactly one value is pushed.
//! * Each call into the VM that allocates may unwind through here (out of memory): nothing is owned that the unwinding would not drop.

use crate::base::number::{parse_f64, parse_i64};
use crate::resp::reply::{Reply, Shared};
use mlua::ffi;
use std::ffi::{CStr, c_int};

/// Slots that a value needs while it is made, beside those of what it is inside of.
const SLOTS: c_int = 6;

/// Pushes a reply; an error is a table with `err`.
///
/// # Safety
/// `state` is a thread of the VM that runs, inside a protected call.
pub(super) unsafe fn reply(state: *mut ffi::lua_State, reply: &Reply) {
    let mut cursor = Cursor { state, bytes: &reply.buf, shared: &reply.shared, at: 0 };
    // SAFETY: the caller's promise.
    unsafe { cursor.value() }
}

/// Pushes the table that stands for an error; `counted` says that the error statistics have it.
///
/// # Safety
/// As for [`reply`].
pub(super) unsafe fn error(state: *mut ffi::lua_State, text: &[u8], counted: bool) {
    // SAFETY: the caller's promise; there is room for what is pushed, and it is popped again down to the table.
    unsafe {
        ffi::luaL_checkstack(state, SLOTS, std::ptr::null());
        ffi::lua_createtable(state, 0, 2);
        string(state, text);
        ffi::lua_rawsetfield(state, -2, c"err".as_ptr());
        if counted {
            ffi::lua_pushboolean(state, 1);
            ffi::lua_rawsetfield(state, -2, c"ignore_error_stats_update".as_ptr());
        }
    }
}

/// Pushes a string.
///
/// # Safety
/// As for [`reply`], and there is room for one value.
pub(super) unsafe fn string(state: *mut ffi::lua_State, s: &[u8]) {
    // SAFETY: the VM copies the bytes.
    unsafe { ffi::lua_pushlstring_(state, s.as_ptr().cast(), s.len()) }
}

/// The bytes of a reply, read from the front.
struct Cursor<'a> {
    state: *mut ffi::lua_State,
    bytes: &'a [u8],
    shared: &'a [Shared],
    at: usize,
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

    fn len(&mut self) -> usize {
        self.number().max(0) as usize
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

    /// Pushes the next value.
    ///
    /// # Safety
    /// As for [`reply`].
    unsafe fn value(&mut self) {
        let state = self.state;
        // SAFETY: the caller's promise, which holds for all calls below; the stack has room for what each of them pushes, and each arm
        // leaves one value.
        unsafe {
            ffi::luaL_checkstack(state, SLOTS, std::ptr::null());
            let Some(kind) = self.bytes.get(self.at).copied() else { return ffi::lua_pushboolean(state, 0) };
            self.at += 1;
            match kind {
                b':' => ffi::lua_pushnumber(state, self.number() as f64),
                b'$' => match usize::try_from(self.number()) {
                    Ok(len) => string(state, self.bulk(len)),
                    Err(_) => ffi::lua_pushboolean(state, 0),
                },
                b'+' => {
                    let line = self.line();
                    self.field(c"ok", |_| string(state, line));
                }
                b'-' => error(state, self.line(), true),
                b'*' | b'>' => match c_int::try_from(self.number()) {
                    Ok(len) if len >= 0 => {
                        ffi::lua_createtable(state, len, 0);
                        for i in 1..=len {
                            self.value();
                            ffi::lua_rawseti_(state, -2, i);
                        }
                    }
                    _ => ffi::lua_pushboolean(state, 0),
                },
                b'_' => {
                    self.line();
                    ffi::lua_pushnil(state);
                }
                b'#' => {
                    let yes = self.line() == b"t";
                    ffi::lua_pushboolean(state, yes.into());
                }
                b',' => {
                    let n = parse_f64(self.line()).unwrap_or(f64::NAN);
                    self.field(c"double", |_| ffi::lua_pushnumber(state, n));
                }
                b'(' => {
                    let digits = self.line();
                    self.field(c"big_number", |_| string(state, digits));
                }
                b'%' => self.field(c"map", |c| {
                    let pairs = c.len();
                    ffi::lua_createtable(state, 0, c_int::try_from(pairs).unwrap_or(0));
                    for _ in 0..pairs {
                        c.value();
                        c.value();
                        put(state);
                    }
                }),
                b'~' => self.field(c"set", |c| {
                    let len = c.len();
                    ffi::lua_createtable(state, 0, c_int::try_from(len).unwrap_or(0));
                    for _ in 0..len {
                        c.value();
                        ffi::lua_pushboolean(state, 1);
                        put(state);
                    }
                }),
                b'=' => {
                    let len = self.len();
                    let text = self.bulk(len);
                    self.field(c"verbatim_string", |_| {
                        ffi::lua_createtable(state, 0, 2);
                        string(state, &text[..text.len().min(3)]);
                        ffi::lua_rawsetfield(state, -2, c"format".as_ptr());
                        string(state, text.get(4..).unwrap_or_default());
                        ffi::lua_rawsetfield(state, -2, c"string".as_ptr());
                    });
                }
                b'|' => {
                    for _ in 0..2 * self.len() {
                        self.value();
                        ffi::lua_settop(state, -2);
                    }
                    self.value();
                }
                _ => ffi::lua_pushboolean(state, 0),
            }
        }
    }

    /// Pushes a table with one field, whose value `push` pushes.
    ///
    /// # Safety
    /// As for [`reply`], and there is room for two values.
    unsafe fn field(&mut self, name: &CStr, push: impl FnOnce(&mut Self)) {
        // SAFETY: the caller's promise.
        unsafe {
            ffi::lua_createtable(self.state, 0, 1);
            push(self);
            ffi::lua_rawsetfield(self.state, -2, name.as_ptr());
        }
    }
}

/// Puts the pair on top of the stack into the table below it. What cannot be a key is left out.
///
/// # Safety
/// As for [`reply`]; a table, a key and a value are on top of the stack.
unsafe fn put(state: *mut ffi::lua_State) {
    // SAFETY: the caller's promise; the pair is popped either way.
    unsafe {
        let cannot = match ffi::lua_type(state, -2) {
            ffi::LUA_TNIL => true,
            ffi::LUA_TNUMBER => ffi::lua_tonumberx(state, -2, std::ptr::null_mut()).is_nan(),
            _ => false,
        };
        if cannot {
            ffi::lua_settop(state, -3);
        } else {
            ffi::lua_rawset(state, -3);
        }
    }
}
