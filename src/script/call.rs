//! The two ways that every script goes: from EVAL into the VM, and from the VM to a command. Both on the VM's own stack, without a handle
//! for each value: what a script costs beside its commands is spent here.
//!
//! # Invariants
//! * A call into the VM that allocates, or raises an error, unwinds through the frames here as a panic would: they own nothing that is
//!   not dropped by that, and nothing is lent out that has not been put back by then.

use super::vm::Arguments;
use super::{debugger, host, push};
use crate::base::number::{FloatText, IntText};
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Reply;
use mlua::{Function, LightUserData, Lua, Value, ffi};
use std::cell::RefCell;
use std::ffi::{CStr, c_int};

thread_local! {
    /// The command that is called, and its reply: a thread has one VM, which calls one command at a time.
    static SCRATCH: RefCell<(OwnedArgs, Reply)> = RefCell::default();
}

/// Larger buffers of one call are not kept for the next.
const KEEP_MAX: usize = 64 * 1024;

/// `redis.call` and `redis.pcall`.
pub(super) fn functions(lua: &Lua) -> mlua::Result<(Function, Function)> {
    let tell = lua.create_function(|_, value: Value| {
        debugger::tell_reply(&value);
        Ok(())
    })?;
    let make = |f: ffi::lua_CFunction, name: &'static CStr| {
        // SAFETY: one value is on the stack, which the closure takes; the name lives for ever.
        unsafe { lua.exec_raw(&tell, |state| ffi::lua_pushcclosurek(state, f, name.as_ptr(), 1, None)) }
    };
    Ok((make(call, c"call")?, make(pcall, c"pcall")?))
}

unsafe extern "C-unwind" fn call(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the VM calls with a state of its own, and nothing in this frame needs to be dropped when the error unwinds past it.
    unsafe {
        if !perform(state) {
            ffi::lua_error(state);
        }
    }
    1
}

unsafe extern "C-unwind" fn pcall(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above.
    unsafe { perform(state) };
    1
}

/// Runs the command that is on the stack, and pushes its reply or the error. Whether it went well.
///
/// # Safety
/// `state` is that of a function the VM has called, with the debugger's function as its upvalue.
unsafe fn perform(state: *mut ffi::lua_State) -> bool {
    let refuse = |text: &[u8]| {
        // SAFETY: the caller's promise.
        unsafe { push::error(state, text, false) };
        false
    };
    SCRATCH.with(|scratch| {
        let Ok(mut scratch) = scratch.try_borrow_mut() else {
            return refuse(b"ERR a command of this script is running");
        };
        let (own, reply) = &mut *scratch;
        own.clear();
        // SAFETY: the caller's promise.
        if let Err(text) = unsafe { gather(state, own) } {
            return refuse(text);
        }
        reply.clear();
        let debugged = debugger::is_on();
        if debugged {
            debugger::tell_call(debugger::arguments(own.args()));
        }
        if host::with(|h| h.call(own.args(), reply)).is_none() {
            return refuse(b"ERR server.call can only be called while a script runs");
        }
        // SAFETY: the caller's promise; the reply is one value, and the debugger's function takes one.
        unsafe {
            push::reply(state, reply);
            if debugged {
                ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
                ffi::lua_pushvalue(state, -2);
                ffi::lua_call(state, 1, 0);
            }
        }
        let well = reply.buf.first() != Some(&b'-');
        if own.memory_bytes().max(reply.buf.capacity()) > KEEP_MAX {
            *scratch = Default::default();
        }
        well
    })
}

/// The arguments of a command, which are all that is on the stack.
///
/// # Safety
/// `state` is that of a function the VM has called.
unsafe fn gather(state: *mut ffi::lua_State, own: &mut OwnedArgs) -> Result<(), &'static [u8]> {
    // SAFETY: the caller's promise; indices are those of values that are there, and a string's bytes are copied while it is on the stack.
    unsafe {
        let len = ffi::lua_gettop(state);
        if len == 0 {
            return Err(b"ERR Please specify at least one argument for this call");
        }
        for i in 1..=len {
            match ffi::lua_type(state, i) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let bytes = ffi::lua_tolstring(state, i, &mut len);
                    own.push(std::slice::from_raw_parts(bytes.cast(), len));
                }
                ffi::LUA_TNUMBER => {
                    let n = ffi::lua_tonumberx(state, i, std::ptr::null_mut());
                    match n as i64 {
                        whole if whole as f64 == n && whole != i64::MAX && whole != i64::MIN => {
                            own.push(IntText::new(whole).as_bytes())
                        }
                        _ => own.push(FloatText::new(n).as_bytes()),
                    }
                }
                _ => return Err(b"ERR Command arguments must be strings or integers"),
            }
        }
    }
    Ok(())
}

/// One of the prelude's functions that run a script's, with KEYS and ARGV.
#[derive(Clone)]
pub(super) struct Start(Function);

impl Start {
    pub(super) fn new(lua: &Lua, run: &Function) -> mlua::Result<Start> {
        // SAFETY: one value is on the stack, which the closure takes; the name lives for ever.
        unsafe { lua.exec_raw(run, |state| ffi::lua_pushcclosurek(state, start, c"start".as_ptr(), 1, None)) }
            .map(Start)
    }

    /// What the prelude's function returns: whether the script went well, and its value or a description of the error.
    ///
    /// # Errors
    /// The VM's own: out of memory, or stopped.
    pub(super) fn call(&self, f: &Function, arguments: Arguments<'_>) -> mlua::Result<(bool, Value)> {
        let pointer = std::ptr::from_ref(&arguments).cast_mut().cast();
        self.0.call((f, LightUserData(pointer)))
    }
}

/// From a script's function and a pointer to its arguments to what the prelude's function returns.
unsafe extern "C-unwind" fn start(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: nobody but `Start::call` calls this: the function and the pointer are on the stack, the arguments live until it returns, and
    // are not changed. Nothing in this frame needs to be dropped when an error unwinds past it.
    unsafe {
        let arguments = &*ffi::lua_tolightuserdata(state, 2).cast::<Arguments<'_>>();
        let rest = arguments.list.from(arguments.keys);
        ffi::luaL_checkstack(state, 5, std::ptr::null());
        ffi::lua_settop(state, 1);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        list(state, arguments.list.iter().take(arguments.keys), arguments.keys);
        list(state, rest.iter(), rest.len());
        ffi::lua_call(state, 3, 2);
    }
    2
}

/// Pushes a table of strings.
///
/// # Safety
/// `state` is a thread of the VM that runs, inside a protected call.
unsafe fn list<'a>(state: *mut ffi::lua_State, strings: impl Iterator<Item = &'a [u8]>, len: usize) {
    // SAFETY: the caller's promise; there is room for the table and a string.
    unsafe {
        ffi::luaL_checkstack(state, 2, std::ptr::null());
        ffi::lua_createtable(state, c_int::try_from(len).unwrap_or(0), 0);
        for (i, s) in (1..).zip(strings) {
            push::string(state, s);
            ffi::lua_rawseti_(state, -2, i);
        }
    }
}

/// A reply as a value, for the debugger's client.
///
/// # Errors
/// Out of memory.
pub(super) fn value_of(lua: &Lua, reply: &Reply) -> mlua::Result<Value> {
    // SAFETY: the closure runs inside a protected call.
    unsafe { lua.exec_raw((), |state| push::reply(state, reply)) }
}
