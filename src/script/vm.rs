//! A thread's VM: its globals, what it has compiled, and a run from its beginning to its end.

use super::cache::{Digest, DigestHash, Script};
use super::functions::{FunctionInfo, Library, is_name};
use super::host::{self, Effects, Host, Stop};
use super::library::{self, json, msgpack, packing, text};
use super::source::Rules;
use super::{call, convert, debugger, wording};
use crate::base::number::{FloatText, IntText};
use crate::crypto;
use crate::resp::args::{Args, OwnedArgs};
use crate::resp::reply::{Reply, Version};
use mlua::chunk::{ChunkMode, Compiler};
use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value, ffi};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A longer text is refused: compiling takes a multiple of its length, outside the VM's own limit.
const SOURCE_MAX: usize = 16 << 20;
/// Calls and turns of loops between two looks at the clock: some tens of microseconds.
const TICKS: u32 = 2048;
/// Compiled scripts beyond those the cache of the server may hold; then all are compiled again as they come.
const COMPILED_MAX: usize = 2048;

/// How VMs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes one VM may have; 0 is no limit.
    pub memory_limit: usize,
    /// `lua-enable-insecure-api`: getfenv, setfenv, newproxy.
    pub insecure: bool,
}

/// Memory of all VMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub all: u64,
    /// The part that libraries of functions take.
    pub functions: u64,
}

static ALL_BYTES: AtomicI64 = AtomicI64::new(0);
static FUNCTION_BYTES: AtomicI64 = AtomicI64::new(0);

impl Usage {
    pub fn now() -> Usage {
        let of = |n: &AtomicI64| n.load(Ordering::Relaxed).max(0) as u64;
        Usage { all: of(&ALL_BYTES), functions: of(&FUNCTION_BYTES) }
    }
}

/// A VM cannot be had.
#[derive(Debug)]
pub enum VmError {
    /// A script of this thread is running.
    Busy,
    Vm(mlua::Error),
}

impl std::fmt::Display for VmError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            VmError::Busy => f.write_str("a script is running"),
            VmError::Vm(e) => write!(f, "the scripts' VM could not be made: {e}"),
        }
    }
}

/// Why a script ended without a value: the text of the error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub text: Vec<u8>,
    /// The error statistics have it already, from the command that failed.
    pub counted: bool,
}

impl Failure {
    fn new(text: impl Into<Vec<u8>>) -> Failure {
        Failure { text: text.into(), counted: false }
    }
}

/// KEYS and ARGV: the first `keys` of `list`, and the rest.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    pub list: Args<'a>,
    pub keys: usize,
}

/// What a script returned.
#[derive(Debug)]
pub struct Returned(Value);

impl Returned {
    /// An error of a command that the statistics have, handed on by the script.
    pub fn is_counted_error(&self) -> bool {
        matches!(&self.0, Value::Table(t) if t.raw_get("ignore_error_stats_update").unwrap_or(false))
    }

    /// Writes it as a reply; `script` is the version the script chose.
    pub fn write(&self, reply: &mut Reply, script: Version) {
        convert::to_reply(&self.0, reply, script);
    }
}

thread_local! {
    static VM: RefCell<Option<Vm>> = const { RefCell::new(None) };
    static WATCH: Watch = const {
        Watch { ticks: Cell::new(TICKS), collect_above_kb: Cell::new(i32::MAX), limit_kb: Cell::new(0), stop: Cell::new(None) }
    };
}

/// What the VM's interrupts look at. There is one VM for a thread, so it is the thread's.
struct Watch {
    ticks: Cell<u32>,
    /// Luau collects when garbage has doubled what lives; near the limit that is too late.
    collect_above_kb: Cell<i32>,
    limit_kb: Cell<i32>,
    stop: Cell<Option<Stop>>,
}

/// Runs `f` with this thread's VM.
///
/// # Errors
/// The VM is in use or cannot be made.
pub fn with_vm<R>(settings: Settings, f: impl FnOnce(&mut Vm) -> R) -> Result<R, VmError> {
    VM.with(|slot| {
        let mut slot = slot.try_borrow_mut().map_err(|_| VmError::Busy)?;
        if slot.as_ref().is_some_and(|vm| vm.settings.insecure != settings.insecure) {
            *slot = None;
        }
        let vm = match &mut *slot {
            Some(vm) => vm,
            empty => empty.insert(Vm::new(settings).map_err(VmError::Vm)?),
        };
        vm.set_memory_limit(settings.memory_limit);
        let result = f(vm);
        vm.tell_memory();
        Ok(result)
    })
}

/// Drops this thread's VM; a new one is made when it is needed.
pub fn forget() {
    VM.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            *slot = None;
        }
    });
}

/// A function of the library that is being loaded.
type Registered = (FunctionInfo, Function);

struct Loaded {
    functions: Vec<Function>,
    bytes: i64,
}

/// A VM with the globals of scripts.
pub struct Vm {
    lua: Lua,
    settings: Settings,
    compiler: Compiler,
    run: call::Start,
    run_function: call::Start,
    load_library: Function,
    environment: Table,
    environment_meta: Table,
    load_globals: Table,
    compiled: HashMap<Digest, Function, DigestHash>,
    scripts_epoch: u64,
    libraries: HashMap<u64, Loaded>,
    functions_epoch: u64,
    /// Functions registered so far, while a library is being loaded.
    registering: Rc<RefCell<Option<Vec<Registered>>>>,
    json: Rc<Cell<json::Settings>>,
    told_bytes: i64,
}

impl Drop for Vm {
    fn drop(&mut self) {
        ALL_BYTES.fetch_sub(self.told_bytes, Ordering::Relaxed);
        for l in self.libraries.values() {
            FUNCTION_BYTES.fetch_sub(l.bytes, Ordering::Relaxed);
        }
    }
}

/// Ends a run: the text is seen by nobody, the caller looks at `Watch::stop`.
const STOPPED: &std::ffi::CStr = c"stopped";

/// The script of this thread goes on nowhere, whatever it catches.
pub(super) fn stop_for_good() {
    WATCH.with(|w| w.stop.set(Some(Stop::Debugger)));
}

/// Called by the VM at every call and turn of a loop.
unsafe extern "C-unwind" fn interrupt(state: *mut ffi::lua_State, gc: c_int) {
    if gc >= 0 {
        return;
    }
    let stop = WATCH.with(|w| {
        let ticks = w.ticks.get() - 1;
        w.ticks.set(ticks);
        // SAFETY: the VM is at a safe point and `state` is the thread that runs; asking for a count changes nothing.
        let used_kb = unsafe { ffi::lua_gc(state, ffi::LUA_GCCOUNT, 0) };
        if used_kb > w.collect_above_kb.get() {
            // SAFETY: as above; a collection is allowed at every safe point.
            let left_kb = unsafe {
                ffi::lua_gc(state, ffi::LUA_GCCOLLECT, 0);
                ffi::lua_gc(state, ffi::LUA_GCCOUNT, 0)
            };
            // The next one when half of what is then free has been used.
            w.collect_above_kb.set(left_kb + (w.limit_kb.get() - left_kb).max(64) / 2);
        }
        if ticks == 0 {
            w.ticks.set(TICKS);
            if w.stop.get().is_none() {
                w.stop.set(host::with(|h| h.poll()).flatten());
            }
        }
        // Once stopped, always stopped: a script cannot catch it and go on.
        w.stop.get().is_some()
    });
    if stop {
        // SAFETY: nothing in this frame needs to be dropped when the VM unwinds past it.
        unsafe { ffi::luaL_error(state, STOPPED.as_ptr()) };
    }
}

impl Vm {
    fn new(settings: Settings) -> mlua::Result<Vm> {
        let libraries = StdLib::COROUTINE
            | StdLib::TABLE
            | StdLib::OS
            | StdLib::STRING
            | StdLib::BIT
            | StdLib::MATH
            | StdLib::DEBUG;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
        // Some globals are ours, so the compiler must not take them for Luau's own. There is nobody to debug.
        let compiler = Compiler::new().set_optimization_level(1).set_debug_level(1).set_disabled_builtins([
            "tostring",
            "getmetatable",
            "setmetatable",
        ]);
        let registering = Rc::new(RefCell::new(None));
        let json = Rc::new(Cell::new(json::Settings::default()));
        let native = natives(&lua, &compiler, &registering, &json)?;
        let prelude = lua
            .load(include_str!("prelude.luau"))
            .set_name("=prelude")
            .set_mode(ChunkMode::Text)
            .set_compiler(Compiler::new().set_optimization_level(1).set_debug_level(1))
            .into_function()?;
        let (run, run_function, load_library, environment, environment_meta, load_globals): (
            Function,
            Function,
            _,
            _,
            _,
            _,
        ) = prelude.call((native, settings.insecure))?;
        let (run, run_function) = (call::Start::new(&lua, &run)?, call::Start::new(&lua, &run_function)?);
        lua.globals().set_safeenv(!settings.insecure);
        // SAFETY: the callbacks' structure lives as long as the VM, and `interrupt` has the type it wants.
        unsafe {
            lua.exec_raw::<()>((), |state| (*ffi::lua_callbacks(state)).interrupt = Some(interrupt))?;
        }
        lua.gc_collect()?;
        let mut vm = Vm {
            lua,
            settings: Settings { memory_limit: 0, ..settings },
            compiler,
            run,
            run_function,
            load_library,
            environment,
            environment_meta,
            load_globals,
            compiled: HashMap::default(),
            scripts_epoch: 0,
            libraries: HashMap::new(),
            functions_epoch: 0,
            registering,
            json,
            told_bytes: 0,
        };
        vm.tell_memory();
        Ok(vm)
    }

    fn set_memory_limit(&mut self, limit: usize) {
        if self.settings.memory_limit != limit && self.lua.set_memory_limit(limit).is_ok() {
            self.settings.memory_limit = limit;
            let kb = i32::try_from(limit >> 10).unwrap_or(i32::MAX);
            WATCH.with(|w| {
                w.limit_kb.set(kb);
                w.collect_above_kb.set(if limit == 0 { i32::MAX } else { kb / 2 });
            });
        }
    }

    fn tell_memory(&mut self) {
        let now = self.lua.used_memory() as i64;
        if now != self.told_bytes {
            ALL_BYTES.fetch_add(now - self.told_bytes, Ordering::Relaxed);
            self.told_bytes = now;
        }
    }

    /// Drops what was compiled before the server's scripts were flushed.
    pub fn follow_scripts(&mut self, epoch: u64) {
        if self.scripts_epoch != epoch || self.compiled.len() > COMPILED_MAX {
            self.scripts_epoch = epoch;
            self.compiled.clear();
            let _ = self.lua.gc_collect();
        }
    }

    /// Drops libraries that are gone.
    pub fn follow_functions(&mut self, epoch: u64, is_current: impl Fn(u64) -> bool) {
        if self.functions_epoch == epoch {
            return;
        }
        self.functions_epoch = epoch;
        self.libraries.retain(|id, loaded| {
            let stays = is_current(*id);
            if !stays {
                FUNCTION_BYTES.fetch_sub(loaded.bytes, Ordering::Relaxed);
            }
            stays
        });
        if self.libraries.is_empty() {
            let _ = self.lua.gc_collect();
        }
    }

    fn compile(&self, source: &[u8], name: &str, environment: Option<&Table>) -> Result<Function, String> {
        compile(&self.lua, &self.compiler, source, name, environment)
    }

    /// Compiles a script, unless it is compiled already.
    ///
    /// # Errors
    /// The text of the error reply.
    pub fn prepare(&mut self, script: &Script) -> Result<(), String> {
        if self.compiled.contains_key(&script.digest) {
            return Ok(());
        }
        // On the first line, so that lines keep their numbers: a local is found faster than a global, and a script cannot lose it.
        let source = [b"local KEYS,ARGV=...;", &script.source[script.header.len..]].concat();
        let f = self
            .compile(&source, "@user_script", None)
            .map_err(|e| format!("ERR Error compiling script (new function): {e}"))?;
        self.compiled.insert(script.digest, f);
        Ok(())
    }

    /// Runs a script that was prepared.
    ///
    /// # Errors
    /// What the error reply says.
    pub fn eval(
        &mut self,
        script: &Script,
        arguments: Arguments<'_>,
        host: &mut dyn Host,
    ) -> Result<Returned, Failure> {
        let f = self.compiled.get(&script.digest).ok_or_else(|| Failure::new("ERR script is not compiled"))?;
        self.start(&self.run, f, arguments, host, "SCRIPT KILL")
    }

    /// Runs a script in the session of the debugger that has begun. It is compiled for that alone.
    ///
    /// # Errors
    /// What the error reply says.
    pub fn debug(
        &mut self,
        script: &Script,
        arguments: Arguments<'_>,
        host: &mut dyn Host,
    ) -> Result<Returned, Failure> {
        // Each line as it is written, and the names of locals; KEYS and ARGV are globals then, so that line 1 has none of our own.
        let compiler = self.compiler.clone().set_optimization_level(0).set_debug_level(2);
        let f = compile(&self.lua, &compiler, &script.source[script.header.len..], "@user_script", None)
            .map_err(|e| Failure::new(format!("ERR Error compiling script (new function): {e}")))?;
        self.start(&self.run, &f, arguments, host, "SCRIPT KILL")
    }

    /// Runs a function of a library, which is loaded first if need be.
    ///
    /// # Errors
    /// What the error reply says.
    pub fn call_function(
        &mut self,
        library: &Library,
        index: usize,
        arguments: Arguments<'_>,
        host: &mut dyn Host,
    ) -> Result<Returned, Failure> {
        if !self.libraries.contains_key(&library.id) {
            let header = super::Header::of_library(&library.source).map_err(|e| Failure::new(format!("ERR {e}")))?;
            self.load(library.id, &library.source[header.len..], &mut NoHost).map_err(Failure::new)?;
        }
        let loaded = self.libraries.get(&library.id).and_then(|l| l.functions.get(index));
        let f = loaded.ok_or_else(|| Failure::new("ERR Function not found"))?;
        self.start(&self.run_function, f, arguments, host, "FUNCTION KILL")
    }

    fn start(
        &self,
        run: &call::Start,
        f: &Function,
        arguments: Arguments<'_>,
        host: &mut dyn Host,
        kill: &str,
    ) -> Result<Returned, Failure> {
        self.json.set(json::Settings::default());
        WATCH.with(|w| {
            w.ticks.set(TICKS);
            w.stop.set(None);
        });
        let outcome = host::lend(host, || debugger::stepping(&self.lua, || run.call(f, arguments)).and_then(|r| r));
        let stopped = WATCH.with(|w| w.stop.take());
        let failure = match outcome {
            Ok((true, value)) if stopped.is_none() => return Ok(Returned(value)),
            _ if stopped == Some(Stop::Debugger) => {
                Failure::new(format!("ERR {}", debugger::ended().unwrap_or("the debugger has ended")))
            }
            Ok((_, Value::Table(t))) => failure(&t, stopped.map(|_| kill)),
            // The prelude is stopped as well, so mostly there is nobody left to say where it was.
            _ if stopped.is_some() => Failure::new(killed(kill)),
            Ok(_) => Failure::new("ERR unknown error"),
            Err(e) => Failure::new(format!("ERR {}", library::vm_error(e))),
        };
        let half = self.settings.memory_limit / 2;
        if half > 0 && self.lua.used_memory() > half {
            let _ = self.lua.gc_collect();
        }
        Err(failure)
    }

    /// Runs a library's code once; its functions are kept under `id`.
    ///
    /// # Errors
    /// The text of the error reply.
    pub fn load(&mut self, id: u64, source: &[u8], host: &mut dyn Host) -> Result<Vec<FunctionInfo>, String> {
        let before = self.lua.used_memory() as i64;
        let chunk = self
            .compile(source, "@user_function", Some(&self.environment))
            .map_err(|e| format!("ERR Error compiling function: {e}"))?;
        *self.registering.borrow_mut() = Some(Vec::new());
        self.set_globals_of_libraries(&self.load_globals);
        WATCH.with(|w| {
            w.ticks.set(TICKS);
            w.stop.set(None);
        });
        let outcome = host::lend(host, || self.load_library.call::<(bool, Value)>(chunk));
        let stopped = WATCH.with(|w| w.stop.take());
        self.set_globals_of_libraries(&self.lua.globals());
        let registered = self.registering.borrow_mut().take().unwrap_or_default();
        match outcome {
            _ if stopped.is_some() => return Err("ERR Error registering functions: ERR FUNCTION LOAD timeout".into()),
            Ok((true, _)) => {}
            Ok((_, Value::Table(t))) => {
                let text = t.raw_get::<mlua::LuaString>("err").map(|s| s.to_string_lossy().clone()).unwrap_or_default();
                // What is wrong with a name is told as it is.
                let of_name = text.starts_with("ERR Function ");
                return Err(if of_name { text } else { format!("ERR Error registering functions: {text}") });
            }
            Ok(_) => return Err("ERR Error registering functions: ERR unknown error".into()),
            Err(e) => return Err(format!("ERR Error registering functions: ERR {}", library::vm_error(e))),
        }
        if registered.is_empty() {
            return Err("ERR No functions registered".into());
        }
        let (infos, functions) = registered.into_iter().unzip();
        let bytes = (self.lua.used_memory() as i64 - before).max(source.len() as i64);
        FUNCTION_BYTES.fetch_add(bytes, Ordering::Relaxed);
        self.libraries.insert(id, Loaded { functions, bytes });
        Ok(infos)
    }

    /// What code of libraries finds when it asks for a global.
    fn set_globals_of_libraries(&self, globals: &Table) {
        self.environment_meta.set_readonly(false);
        let set = self.environment_meta.raw_set("__index", globals);
        self.environment_meta.set_readonly(true);
        debug_assert!(set.is_ok(), "the field is there already, so there is nothing to allocate");
    }

    /// Drops a library that was loaded and is not kept.
    pub fn unload(&mut self, id: u64) {
        if let Some(loaded) = self.libraries.remove(&id) {
            FUNCTION_BYTES.fetch_sub(loaded.bytes, Ordering::Relaxed);
        }
    }
}

/// A library that is loaded again has run before: it asks for nothing.
struct NoHost;

impl Host for NoHost {
    fn call(&mut self, _: Args<'_>, reply: &mut Reply) {
        reply.error(b"ERR commands are not called while a library is loaded");
    }
    fn set_version(&mut self, _: Version) {}
    fn set_effects(&mut self, _: Effects) {}
    fn may_run(&mut self, _: Args<'_>) -> Option<bool> {
        None
    }
    fn poll(&mut self) -> Option<Stop> {
        None
    }
}

fn compile(
    lua: &Lua,
    compiler: &Compiler,
    source: &[u8],
    name: &str,
    environment: Option<&Table>,
) -> Result<Function, String> {
    if source.len() > SOURCE_MAX {
        return Err(format!("{}: the code is longer than {SOURCE_MAX} bytes", name.trim_start_matches('@')));
    }
    let mut escaped = Vec::new();
    let source = if source.contains(&0) && !source.windows(2).any(|w| matches!(w, b"[[" | b"[=")) {
        // The lexer takes it for the end. In a quoted string the escape is the same byte, and elsewhere neither is allowed.
        source.iter().for_each(|b| if *b == 0 { escaped.extend_from_slice(b"\\000") } else { escaped.push(*b) });
        &escaped
    } else {
        source
    };
    let mut chunk = lua.load(source).set_name(name).set_mode(ChunkMode::Text).set_compiler(compiler.clone());
    if let Some(environment) = environment {
        chunk = chunk.set_environment(environment.clone());
    }
    chunk.into_function().map_err(|e| match e {
        mlua::Error::SyntaxError { message, .. } => message,
        e => library::vm_error(e),
    })
}

fn killed(by: &str) -> String {
    format!("ERR Script killed by user with {by}.")
}

/// The error that the prelude described, with the place where it came up.
fn failure(t: &Table, kill: Option<&str>) -> Failure {
    let mut text = match kill {
        Some(by) => killed(by).into_bytes(),
        None => t.raw_get::<mlua::LuaString>("err").map(|s| s.as_bytes().to_vec()).unwrap_or_default(),
    };
    if let (Ok(source), Ok(line)) = (t.raw_get::<mlua::LuaString>("source"), t.raw_get::<i64>("line")) {
        text.extend_from_slice(b" script: on @");
        text.extend_from_slice(&source.as_bytes());
        text.extend_from_slice(format!(":{line}.").as_bytes());
    }
    Failure { text, counted: t.raw_get("counted").unwrap_or(false) }
}

/// The functions of Rust that the prelude puts into the globals.
fn natives(
    lua: &Lua,
    compiler: &Compiler,
    registering: &Rc<RefCell<Option<Vec<Registered>>>>,
    json: &Rc<Cell<json::Settings>>,
) -> mlua::Result<Table> {
    let t = lua.create_table()?;
    t.raw_set("json", json::library(lua, json)?)?;
    t.raw_set("msgpack", msgpack::library(lua)?)?;
    t.raw_set("struct", packing::library(lua)?)?;
    t.raw_set("constants", constants(lua)?)?;
    let (call, pcall) = call::functions(lua)?;
    t.raw_set("call", call)?;
    t.raw_set("pcall", pcall)?;
    let (breakpoint, debug) = debugger::natives(lua)?;
    t.raw_set("breakpoint", breakpoint)?;
    t.raw_set("debug", debug)?;
    t.raw_set(
        "seal",
        lua.create_function(|_, t: Table| {
            t.set_readonly(true);
            Ok(t)
        })?,
    )?;
    t.raw_set(
        "seal_strings",
        lua.create_function(|lua, methods: Table| {
            let meta = lua.create_table()?;
            meta.raw_set("__index", methods)?;
            meta.set_readonly(true);
            lua.set_type_metatable::<mlua::LuaString>(Some(meta));
            Ok(())
        })?,
    )?;
    t.raw_set(
        "wording",
        lua.create_function(|lua, s: mlua::LuaString| lua.create_string(wording::of(&s.as_bytes())))?,
    )?;
    t.raw_set("text_of", lua.create_function(|lua, v: Value| lua.create_string(text_of(&v)))?)?;
    t.raw_set("number_text", lua.create_function(|_, n: f64| Ok(text::number(n)))?)?;
    t.raw_set(
        "with_code",
        lua.create_function(|lua, s: mlua::LuaString| lua.create_string(with_code(&s.as_bytes())))?,
    )?;
    t.raw_set(
        "collect",
        lua.create_function(|lua, full: bool| if full { lua.gc_collect() } else { lua.gc_step().map(|_| ()) })?,
    )?;
    let own = compiler.clone();
    t.raw_set(
        "load",
        lua.create_function(move |lua, (code, name): (mlua::LuaString, Option<mlua::LuaString>)| {
            let code = code.as_bytes();
            if code.first() == Some(&0x1b) {
                return Ok((Value::Nil, Some("attempt to load bytecode".to_owned())));
            }
            let name = name.map_or_else(|| "=[string]".to_owned(), |n| n.to_string_lossy().clone());
            Ok(match compile(lua, &own, &code, &name, None) {
                Ok(f) => (Value::Function(f), None),
                Err(e) => (Value::Nil, Some(e)),
            })
        })?,
    )?;
    server_functions(lua, &t, registering)?;
    Ok(t)
}

fn constants(lua: &Lua) -> mlua::Result<Table> {
    let t = lua.create_table()?;
    // Scripts compare these as clients compare INFO's.
    let number = |v: &str| v.split('.').fold(0u32, |n, part| n << 8 | part.parse::<u32>().unwrap_or(0));
    t.raw_set("REDIS_VERSION", crate::base::names::REDIS_VERSION)?;
    t.raw_set("REDIS_VERSION_NUM", number(crate::base::names::REDIS_VERSION))?;
    t.raw_set("VALKEY_VERSION", crate::base::names::VALKEY_VERSION)?;
    t.raw_set("VALKEY_VERSION_NUM", number(crate::base::names::VALKEY_VERSION))?;
    t.raw_set("SERVER_NAME", "valkey")?;
    for (i, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].into_iter().enumerate() {
        t.raw_set(name, i)?;
    }
    Ok(t)
}

/// An error's text, whatever it is.
fn text_of(value: &Value) -> Vec<u8> {
    match value {
        Value::Error(e) => match &**e {
            mlua::Error::CallbackError { cause, .. } => library::vm_error((**cause).clone()).into_bytes(),
            e => library::vm_error(e.clone()).into_bytes(),
        },
        Value::String(s) => s.as_bytes().to_vec(),
        Value::Integer(n) => IntText::new(*n).as_bytes().to_vec(),
        Value::Number(n) => text::number(*n).into_bytes(),
        Value::Boolean(yes) => yes.to_string().into_bytes(),
        other => library::type_name(other).as_bytes().to_vec(),
    }
}

/// An error's text begins with a code; one word alone is its text.
fn with_code(text: &[u8]) -> Vec<u8> {
    if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat().trim_ascii_end().to_vec() }
}

/// The arguments of a command.
fn gather(own: &mut OwnedArgs, args: &MultiValue) -> Result<(), &'static [u8]> {
    own.clear();
    for a in args {
        match a {
            Value::String(s) => own.push(&s.as_bytes()),
            Value::Integer(n) => own.push(IntText::new(*n).as_bytes()),
            Value::Number(n) => own.push(FloatText::new(*n).as_bytes()),
            _ => return Err(b"ERR Command arguments must be strings or integers"),
        }
    }
    Ok(())
}

/// `redis.log`, `setresp` and the like.
fn server_functions(lua: &Lua, t: &Table, registering: &Rc<RefCell<Option<Vec<Registered>>>>) -> mlua::Result<()> {
    t.raw_set(
        "log",
        library::function(lua, |lua, args| {
            if args.len() < 2 {
                return Err("ERR server.log() requires two arguments or more.".into());
            }
            // A text that reads as a number is one; NaN is no level.
            let Ok(Some(level)) = lua.coerce_number(args[0].clone()) else {
                return Err("ERR First argument must be a number (log level).".into());
            };
            let level = if level.is_nan() { -1 } else { level as i64 };
            if !(0..=3).contains(&level) {
                return Err("ERR Invalid log level.".into());
            }
            let parts: Vec<_> = args
                .iter()
                .skip(1)
                .map_while(|v| match v {
                    Value::String(s) => Some(s.to_string_lossy().clone()),
                    Value::Integer(n) => Some(n.to_string()),
                    Value::Number(n) => Some(text::number(*n)),
                    _ => None,
                })
                .collect();
            let message = parts.join(" ");
            match level {
                0 => tracing::trace!("{message}"),
                1 => tracing::debug!("{message}"),
                2 => tracing::info!("{message}"),
                _ => tracing::warn!("{message}"),
            }
            Ok(MultiValue::new())
        })?,
    )?;
    t.raw_set(
        "setresp",
        library::function(lua, |_, args| {
            if args.len() != 1 {
                return Err("ERR server.setresp() requires one argument.".into());
            }
            let version = match library::number(&args, 0, "setresp") {
                Ok(n) if n as i64 == 2 => Version::Resp2,
                Ok(n) if n as i64 == 3 => Version::Resp3,
                _ => return Err("ERR RESP version must be 2 or 3.".into()),
            };
            host::with(|h| h.set_version(version));
            Ok(MultiValue::new())
        })?,
    )?;
    t.raw_set(
        "set_repl",
        library::function(lua, |_, args| {
            if args.len() != 1 {
                return Err("ERR server.set_repl() requires one argument.".into());
            }
            let flags = library::number(&args, 0, "set_repl").unwrap_or(0.0);
            if !(0.0..=3.0).contains(&flags) {
                return Err("ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.".into());
            }
            host::with(|h| h.set_effects(Effects(flags as u8)));
            Ok(MultiValue::new())
        })?,
    )?;
    t.raw_set(
        "acl_check_cmd",
        library::function(lua, |_, args| {
            if args.is_empty() {
                return Err("ERR Please specify at least one argument for this call".into());
            }
            let mut own = OwnedArgs::default();
            gather(&mut own, &args).map_err(|t| String::from_utf8_lossy(t).into_owned())?;
            match host::with(|h| h.may_run(own.args())).flatten() {
                Some(may) => Ok(library::one(Value::Boolean(may))),
                None => Err("ERR Invalid command passed to server.acl_check_cmd()".into()),
            }
        })?,
    )?;
    t.raw_set(
        "sha1hex",
        library::function(lua, |lua, args| {
            if args.len() != 1 {
                return Err("ERR wrong number of arguments".into());
            }
            let s = library::string(lua, &args, 0, "sha1hex").map_or_else(|_| Vec::new(), |s| s.as_bytes().to_vec());
            lua.create_string(crypto::sha1_hex(&s)).map(|s| library::one(Value::String(s))).map_err(library::vm_error)
        })?,
    )?;
    let registering = Rc::clone(registering);
    t.raw_set(
        "register_function",
        library::function(lua, move |_, args| {
            let mut registering = registering.borrow_mut();
            let Some(list) = &mut *registering else {
                return Err("ERR server.register_function can only be called on FUNCTION LOAD command".into());
            };
            let (info, f) = registration(&args).map_err(|e| format!("ERR {e}"))?;
            if list.iter().any(|(other, _)| other.name.eq_ignore_ascii_case(&info.name)) {
                return Err("ERR Function already exists in the library".into());
            }
            list.push((info, f));
            Ok(MultiValue::new())
        })?,
    )?;
    Ok(())
}

/// What a call of `register_function` registers: a name and a function, or a table of named arguments.
fn registration(args: &MultiValue) -> Result<Registered, &'static str> {
    let (mut name, mut callback, mut description, mut rules) = (None, None, None, Rules::default());
    match args.len() {
        1 => {
            let Value::Table(t) = &args[0] else {
                return Err("calling server.register_function with a single argument is only applicable to Lua table \
                     (representing named arguments).");
            };
            for pair in t.pairs::<Value, Value>() {
                let Ok((Value::String(key), value)) = pair else {
                    return Err("named argument key given to server.register_function is not a string");
                };
                match (&*key.as_bytes(), value) {
                    (b"function_name", Value::String(s)) => name = Some(s.as_bytes().to_vec()),
                    (b"function_name", _) => {
                        return Err("function_name argument given to server.register_function must be a string");
                    }
                    (b"callback", Value::Function(f)) => callback = Some(f),
                    (b"callback", _) => {
                        return Err("callback argument given to server.register_function must be a function");
                    }
                    (b"description", Value::String(s)) => description = Some(s.as_bytes().to_vec()),
                    (b"description", _) => {
                        return Err("description argument given to server.register_function must be a string");
                    }
                    (b"flags", Value::Table(flags)) => {
                        for flag in flags.sequence_values::<Value>() {
                            let known = match flag {
                                Ok(Value::String(s)) => rules.set(&s.as_bytes()),
                                _ => false,
                            };
                            if !known {
                                return Err("unknown flag given");
                            }
                        }
                    }
                    (b"flags", _) => {
                        return Err(
                            "flags argument to server.register_function must be a table representing function flags",
                        );
                    }
                    _ => return Err("unknown argument given to server.register_function"),
                }
            }
            if name.is_none() {
                return Err("server.register_function must get a function name argument");
            }
            if callback.is_none() {
                return Err("server.register_function must get a callback argument");
            }
        }
        2 => {
            match &args[0] {
                Value::String(s) => name = Some(s.as_bytes().to_vec()),
                _ => return Err("first argument to server.register_function must be a string"),
            }
            match &args[1] {
                Value::Function(f) => callback = Some(f.clone()),
                _ => return Err("second argument to server.register_function must be a function"),
            }
        }
        _ => return Err("wrong number of arguments to server.register_function"),
    }
    let name = name.filter(|n| is_name(n)).and_then(|n| String::from_utf8(n).ok());
    match (name, callback) {
        (Some(name), Some(f)) => Ok((FunctionInfo { name, description, rules }, f)),
        _ => Err(
            "Function names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
    }
}
