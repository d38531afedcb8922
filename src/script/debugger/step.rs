//! The VM's stepping: the one place where the debugger touches the VM's own interface, because `mlua` offers neither a step of the
//! VM nor the locals of a frame.
//!
//! # Invariants
//! * The callback is called by the VM before an instruction of the thread it is given, with room for at least twenty values on that
//!   thread's stack. It pushes one function and calls it; whatever it leaves behind, the VM takes away.
//! * No frame here owns anything when an error of the VM passes through it.

use mlua::{Function, Lua, LuaString, Value, ffi};
use std::ffi::{CStr, c_int};

/// Where the function that stops is kept, for code in C to find it.
const STOP: &CStr = c"holdfast.debugger.stop";
/// The chunk that is debugged; code of the server's own and what EVAL of the debugger runs is not stepped through.
const CHUNK: &CStr = c"@user_script";

/// From now on `stop` is called where [`super::arrives`] says so.
pub(super) fn begin(lua: &Lua, stop: Function) -> mlua::Result<()> {
    // SAFETY: `stop` is the only value on the stack and is moved into the registry; the callbacks' structure lives as long as the VM.
    unsafe {
        lua.exec_raw::<()>(stop, |state| {
            ffi::lua_setfield(state, ffi::LUA_REGISTRYINDEX, STOP.as_ptr());
            (*ffi::lua_callbacks(state)).debugstep = Some(step);
            ffi::lua_singlestep(state, 1);
        })
    }
}

/// No more steps.
pub(super) fn end(lua: &Lua) -> mlua::Result<()> {
    // SAFETY: as in `begin`.
    unsafe {
        lua.exec_raw::<()>((), |state| {
            ffi::lua_singlestep(state, 0);
            (*ffi::lua_callbacks(state)).debugstep = None;
            ffi::lua_pushnil(state);
            ffi::lua_setfield(state, ffi::LUA_REGISTRYINDEX, STOP.as_ptr());
        })
    }
}

/// The `n`th local, from 1, of the frame at `level`, from 0 for the function that calls this; its name and its value.
pub(super) fn local(lua: &Lua, level: usize, n: usize) -> Option<(LuaString, Value)> {
    // One more for the frame that `exec_raw` makes.
    let (level, n) = (c_int::try_from(level).ok()?.checked_add(1)?, c_int::try_from(n).ok()?);
    // SAFETY: an unknown level or number pushes nothing and returns null; a known one pushes the value. The name belongs to the function
    // at that level, which is running, and is copied at once.
    let found = unsafe {
        lua.exec_raw::<(Value, Option<LuaString>)>((), move |state| {
            let name = ffi::lua_getlocal(state, level, n);
            if name.is_null() {
                ffi::lua_pushnil(state);
                ffi::lua_pushnil(state);
            } else {
                ffi::lua_pushstring(state, name);
            }
        })
    };
    let (value, name) = found.ok()?;
    Some((name?, value))
}

unsafe extern "C-unwind" fn step(state: *mut ffi::lua_State, at: *mut ffi::lua_Debug) {
    // SAFETY: the VM hands over the thread that runs and a description that outlives the call. `what` is all zeroes before it is
    // filled, which is a value of each of its fields, and its `source` belongs to the function that runs.
    unsafe {
        let mut what: ffi::lua_Debug = std::mem::zeroed();
        if ffi::lua_getinfo(state, 0, c"s".as_ptr(), &raw mut what) == 0
            || what.source.is_null()
            || CStr::from_ptr(what.source) != CHUNK
            || !super::arrives(state as usize, ffi::lua_stackdepth(state) as usize, (*at).currentline)
        {
            return;
        }
        ffi::lua_getfield(state, ffi::LUA_REGISTRYINDEX, STOP.as_ptr());
        ffi::lua_call(state, 0, 0);
    }
}
