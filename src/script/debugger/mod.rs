//! The debugger of scripts (SCRIPT DEBUG SYNC): where a script stops, what it tells then, and what it is told to do.
//!
//! Each message to the client is an array of status replies, each from it an array of bulk strings, as `valkey-cli --ldb` speaks it.
//!
//! # Invariants
//! * A session is its thread's and lasts from EVAL to the end of that EVAL; the host carries its messages.
//! * The session is not borrowed while a command of the script or an expression of the client runs.
//! * Once the client is gone or has said `abort`, the script goes on nowhere: no `pcall` catches that.
//! * What is told at once is bounded by [`LINES_MAX`], a value by `maxlen`, unless the client has asked for more.

mod commands;
mod show;
mod step;

use super::host::{self, Received};
use mlua::{Function, Lua, Value};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

pub use show::arguments;

/// Lines that wait to be told; a script that runs long without a stop says more than anybody reads.
const LINES_MAX: usize = 10_000;
/// Bytes of one value, unless `maxlen` says otherwise.
const LEN_MAX: usize = 256;

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Session {
    source: Vec<String>,
    breakpoints: BTreeSet<usize>,
    /// Stop at the next line.
    step: bool,
    /// `server.breakpoint()` was called: stop at the next line.
    called: bool,
    /// The client is being heard: what runs now is not the script.
    talking: bool,
    line: usize,
    /// For each thread of the VM the line that each of its frames is at.
    frames: HashMap<usize, Vec<i32>>,
    lines: Vec<String>,
    len_max: usize,
    hinted: bool,
    /// Why the script must not go on.
    end: Option<&'static str>,
}

impl Session {
    fn say(&mut self, line: impl Into<String>) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(line.into());
        }
    }

    /// A line with a value in it, which is cut to `maxlen`.
    fn say_value(&mut self, what: &str, value: &str) {
        let text = format!("{what} {value}");
        let max = if self.len_max == 0 { usize::MAX } else { self.len_max };
        if text.len() <= max {
            return self.say(text);
        }
        let cut = (0..=max).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
        self.say(format!("{} ...", &text[..cut]));
        if !std::mem::replace(&mut self.hinted, true) {
            self.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    /// Takes what is to be told, as the client reads it.
    fn message(&mut self) -> Vec<u8> {
        let mut out = format!("*{}\r\n", self.lines.len()).into_bytes();
        for line in self.lines.drain(..) {
            out.push(b'+');
            out.extend(line.bytes().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }));
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

fn with<R>(f: impl FnOnce(&mut Session) -> R) -> Option<R> {
    SESSION.with(|s| s.try_borrow_mut().ok()?.as_mut().map(f))
}

/// Begins a session for a script.
pub fn begin(source: &[u8]) {
    let source = String::from_utf8_lossy(source);
    let mut lines: Vec<String> = source.split('\n').map(|l| l.trim_end_matches('\r').to_owned()).collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let session = Session { source: lines, step: true, len_max: LEN_MAX, ..Session::default() };
    SESSION.with(|s| *s.borrow_mut() = Some(session));
}

/// Ends it. Returns what is still to be told.
pub fn end() -> Vec<u8> {
    let session = SESSION.with(|s| s.borrow_mut().take());
    let mut session = session.unwrap_or_default();
    session.lines.truncate(LINES_MAX - 1);
    session.say("<endsession>");
    session.message()
}

/// Why the session ended before the script did.
pub(super) fn ended() -> Option<&'static str> {
    with(|s| s.end).flatten()
}

pub(super) fn is_on() -> bool {
    with(|_| ()).is_some()
}

/// Runs `f` with the VM stepping if a session is on.
pub(super) fn stepping<R>(lua: &Lua, f: impl FnOnce() -> R) -> mlua::Result<R> {
    if !is_on() {
        return Ok(f());
    }
    let stop = lua.create_function(|lua, ()| stopped(lua))?;
    step::begin(lua, stop)?;
    let result = f();
    step::end(lua)?;
    Ok(result)
}

/// An instruction of the script is about to run, `depth` frames deep. True if the script stops there.
fn arrives(thread: usize, depth: usize, line: i32) -> bool {
    let stops = with(|s| {
        if s.talking {
            return false;
        }
        if s.end.is_some() {
            return true;
        }
        let frames = s.frames.entry(thread).or_default();
        frames.resize(depth + 1, 0);
        let at = usize::try_from(line).unwrap_or(0);
        if at == 0 || std::mem::replace(&mut frames[depth], line) == line {
            return false;
        }
        s.line = at;
        s.step || s.called || s.breakpoints.contains(&at)
    });
    stops.unwrap_or(false)
}

/// The script stands at a line: tells where, and does what the client wants until it wants to go on.
fn stopped(lua: &Lua) -> mlua::Result<()> {
    with(|s| {
        if s.end.is_some() {
            return;
        }
        let why = if s.called {
            "server.breakpoint() called"
        } else if s.breakpoints.contains(&s.line) {
            "break point"
        } else {
            "step over"
        };
        (s.step, s.called, s.talking) = (false, false, true);
        s.say(format!("* Stopped at {}, stop reason = {why}", s.line));
        let line = show::source_line(s, s.line);
        s.say(line);
    });
    while let Some((None, message)) = with(|s| (s.end, s.message())) {
        let end = match host::with(|h| h.debug_exchange(&message)) {
            Some(Received::Command(words)) => match commands::run(lua, &words) {
                commands::Next::Ask => continue,
                commands::Next::Go => break,
                commands::Next::Abort => "script aborted for user request",
            },
            Some(Received::BadProtocol) => "protocol error",
            Some(Received::Stop) => "script killed while it was debugged",
            Some(Received::Gone) | None => "timeout during Lua debugging with client closing connection",
        };
        with(|s| s.end = Some(end));
    }
    let end = with(|s| {
        s.talking = false;
        s.end
    });
    match end.flatten() {
        Some(why) => {
            super::vm::stop_for_good();
            Err(mlua::Error::runtime(why))
        }
        None => Ok(()),
    }
}

/// `server.breakpoint()`: whether there is a debugger that stops at the next line.
pub(super) fn call_breakpoint() -> bool {
    with(|s| {
        s.called = true;
        s.step = true;
    })
    .is_some()
}

/// `server.debug()`.
pub(super) fn print(values: &[Value]) {
    if is_on() {
        let text: Vec<_> = values.iter().map(show::value).collect();
        with(|s| s.say_value(&format!("<debug> line {}:", s.line), &text.join(", ")));
    }
}

/// A command that the script or the client calls.
pub(super) fn tell_call(words: impl Iterator<Item = String>) {
    if is_on() {
        let text = words.collect::<Vec<_>>().join(" ");
        with(|s| s.say_value("<command>", &text));
    }
}

/// Its reply.
pub(super) fn tell_reply(value: &Value) {
    if is_on() {
        let text = show::reply(value);
        with(|s| s.say_value("<reply>", &text));
        if let Value::Table(t) = value
            && let Ok(err) = t.raw_get::<mlua::LuaString>("err")
        {
            let text = err.to_string_lossy().clone();
            with(|s| s.say(format!("<error> {}", text.strip_prefix("ERR ").unwrap_or(&text))));
        }
    }
}

/// The functions of the prelude that only do something here.
pub(super) fn natives(lua: &Lua) -> mlua::Result<(Function, Function)> {
    let breakpoint = lua.create_function(|_, ()| Ok(call_breakpoint()))?;
    let debug = lua.create_function(|_, values: mlua::MultiValue| {
        print(values.iter().cloned().collect::<Vec<_>>().as_slice());
        Ok(())
    })?;
    Ok((breakpoint, debug))
}
