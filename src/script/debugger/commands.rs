//! What the debugging client can ask for while the script stands.

use super::{Session, show, step, with};
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Reply;
use crate::script::library;
use crate::script::{call as script_call, host};
use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Value};

/// How it goes on behind a command.
pub(super) enum Next {
    /// The client is asked again.
    Ask,
    /// The script runs.
    Go,
    Abort,
}

const UNKNOWN: &str = "<error> Unknown debugger command or wrong number of arguments.";
/// Lines that may be stopped at.
const BREAKPOINTS_MAX: usize = 64;
/// `maxlen` below it would cut what says what is cut.
const LEN_MIN: usize = 60;
/// Lines around the current one.
const CONTEXT: usize = 5;
/// Frames that are shown.
const FRAMES_MAX: usize = 200;
/// Variables of a frame; a function has at most 200.
const LOCALS_MAX: usize = 255;

const HELP: &[&str] = &[
    "Debugger of scripts:",
    "[h]elp               These lines.",
    "[max]len [len]       Cut values to len bytes, 0: never. Without len, tell the limit.",
    "[s]tep               Run the current line and stop again.",
    "[n]ext               The same.",
    "[c]ontinue           Run to the next breakpoint.",
    "[l]ist [line] [ctx]  Show ctx lines before and behind a line; by default 5 around the",
    "                     current one.",
    "[w]hole              Show the whole script.",
    "[p]rint [var]        Show a local variable, KEYS or ARGV. Without var, all local",
    "                     variables.",
    "[b]reak [line|-line] Set or remove a breakpoint. Without a line, show all; 0 removes all.",
    "[t]race              Show which functions are running.",
    "[e]val <code>        Run code in a frame of its own.",
    "[v]alkey <cmd>       Run a command; [r]edis and server do the same.",
    "[a]bort              End the script. What it has written stays.",
];

/// Runs one command.
pub(super) fn run(lua: &Lua, words: &[Vec<u8>]) -> Next {
    let text = |i: usize| words.get(i).map(|w| String::from_utf8_lossy(w).into_owned());
    let name = text(0).unwrap_or_default().to_ascii_lowercase();
    match (name.as_str(), words.len() - 1) {
        ("h" | "help", 0) => tell(|s| HELP.iter().for_each(|l| s.say(*l))),
        ("s" | "step" | "n" | "next", 0) => {
            tell(|s| s.step = true);
            return Next::Go;
        }
        ("c" | "continue", 0) => return Next::Go,
        ("a" | "abort", 0) => return Next::Abort,
        ("max" | "maxlen", 0 | 1) => tell(|s| set_len(s, text(1))),
        ("l" | "list", 0..=2) => {
            let number = |i| text(i).and_then(|t| t.parse::<usize>().ok());
            let context = if words.len() > 2 { number(2).unwrap_or(0) } else { CONTEXT };
            tell(|s| list(s, number(1).filter(|n| *n > 0).unwrap_or(s.line), context));
        }
        ("w" | "whole", 0) => tell(|s| list(s, 1, usize::MAX)),
        ("b" | "break", 0) => tell(show_breakpoints),
        ("b" | "break", 1) => tell(|s| set_breakpoint(s, &text(1).unwrap_or_default())),
        ("t" | "trace", 0) => trace(lua),
        ("p" | "print", 0) => print_all(lua),
        ("p" | "print", 1) => print_one(lua, &text(1).unwrap_or_default()),
        ("e" | "eval", 1..) => eval(lua, &words[1..].join(&b' ')),
        ("r" | "redis" | "v" | "valkey" | "server", 1..) => call(lua, &words[1..]),
        _ => tell(|s| s.say(UNKNOWN)),
    }
    Next::Ask
}

fn tell(f: impl FnOnce(&mut Session)) {
    with(f);
}

fn set_len(s: &mut Session, to: Option<String>) {
    let Some(to) = to else {
        return s.say(format!("Current maxlen is {}", s.len_max));
    };
    s.hinted = true;
    match to.parse::<usize>() {
        Ok(0) => {
            s.len_max = 0;
            s.say("<value> replies are not truncated.");
        }
        Ok(n) => {
            s.len_max = n.max(LEN_MIN);
            s.say(format!("<value> replies are truncated at {} bytes.", s.len_max));
        }
        Err(_) => s.say("<error> Invalid maxlen value."),
    }
}

fn list(s: &mut Session, around: usize, context: usize) {
    for line in (1..=s.source.len()).filter(|l| l.abs_diff(around) <= context) {
        let text = show::source_line(s, line);
        s.say(text);
    }
}

fn show_breakpoints(s: &mut Session) {
    if s.breakpoints.is_empty() {
        return s.say("No breakpoints set. Use 'b <line>' to add one.");
    }
    s.say(format!("{} breakpoints set:", s.breakpoints.len()));
    for line in s.breakpoints.clone() {
        let text = show::source_line(s, line);
        s.say(text);
    }
}

fn set_breakpoint(s: &mut Session, to: &str) {
    match to.parse::<i64>() {
        Ok(0) => {
            s.breakpoints.clear();
            s.say("All breakpoints removed.");
        }
        Ok(n) if n < 0 => {
            let removed = usize::try_from(n.unsigned_abs()).is_ok_and(|line| s.breakpoints.remove(&line));
            s.say(if removed { "Breakpoint removed." } else { "No breakpoint in the specified line." });
        }
        Ok(n) if usize::try_from(n).is_ok_and(|line| line <= s.source.len()) => {
            let line = n as usize;
            if s.breakpoints.len() == BREAKPOINTS_MAX {
                return s.say("Too many breakpoints set.");
            }
            if !s.breakpoints.insert(line) {
                return s.say("Wrong line number.");
            }
            list(s, line, 1);
        }
        _ => s.say("Wrong line number."),
    }
}

/// The frames of the script that run, the innermost first: their levels, names and lines.
fn frames(lua: &Lua) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for level in 1..FRAMES_MAX {
        let frame = lua.inspect_stack(level, |d| {
            let ours = d.source().source.is_some_and(|s| s == "@user_script");
            let name = d.names().name.filter(|n| !n.is_empty()).map_or("top level".to_owned(), |n| n.into_owned());
            ours.then(|| (level, name, d.current_line().unwrap_or(0)))
        });
        match frame {
            None => break,
            Some(frame) => found.extend(frame),
        }
    }
    found
}

fn trace(lua: &Lua) {
    for (i, (_, name, line)) in frames(lua).into_iter().enumerate() {
        tell(|s| {
            s.say(format!("{} {name}:", if i == 0 { "In" } else { "From" }));
            let text = show::source_line(s, line);
            s.say(text);
        });
    }
}

/// The locals of a frame in their order. `level` counts from the function that stops the script.
fn locals(lua: &Lua, level: usize) -> impl Iterator<Item = (String, Value)> {
    (1..=LOCALS_MAX).map_while(move |n| step::local(lua, level, n)).map(|(name, v)| (name.to_string_lossy().clone(), v))
}

fn print_all(lua: &Lua) {
    let mut any = false;
    for (name, value) in locals(lua, 1) {
        any = true;
        tell(|s| s.say_value(&format!("<value> {name} ="), &show::value(&value)));
    }
    if !any {
        tell(|s| s.say("No local variables in the current context."));
    }
}

fn print_one(lua: &Lua, name: &str) {
    // The last of a name is the one in sight.
    let local = frames(lua).into_iter().find_map(|(level, ..)| locals(lua, level).filter(|(n, _)| n == name).last());
    let found = match local {
        Some((_, value)) => Some(value),
        None if matches!(name, "KEYS" | "ARGV") => lua.globals().get::<Value>(name).ok(),
        None => None,
    };
    tell(|s| match found {
        Some(value) => s.say_value("<value>", &show::value(&value)),
        None => s.say("No such variable."),
    });
}

/// Runs code of the client's: an expression, or a chunk that returns something.
fn eval(lua: &Lua, code: &[u8]) {
    let chunk = |code: &[u8]| lua.load(code).set_name("@ldb_eval").set_mode(ChunkMode::Text).into_function();
    let f = match chunk(&[b"return ".as_slice(), code].concat()).or_else(|_| chunk(code)) {
        Ok(f) => f,
        Err(e) => {
            let text = match e {
                mlua::Error::SyntaxError { message, .. } => message,
                e => library::vm_error(e),
            };
            return tell(|s| s.say(format!("Error compiling code: {text}")));
        }
    };
    // The scripts' own, which tells errors in the words of Lua 5.1.
    let outcome = lua.globals().get::<Function>("pcall").and_then(|pcall| pcall.call::<(bool, Value)>(f));
    let text = match &outcome {
        Ok((_, value)) => show::value(value),
        Err(e) => library::vm_error(e.clone()),
    };
    let what = if matches!(outcome, Ok((true, _))) { "<retval>" } else { "<error>" };
    tell(|s| s.say_value(what, &text));
}

/// Runs a command of the client's, with the rights and the limits of the script.
fn call(lua: &Lua, words: &[Vec<u8>]) {
    let own = OwnedArgs::new(words.iter().map(Vec::as_slice));
    let mut reply = Reply::default();
    super::tell_call(super::arguments(own.args()));
    if host::with(|h| h.call(own.args(), &mut reply)).is_none() {
        return tell(|s| s.say("<error> no script is running"));
    }
    match script_call::value_of(lua, &reply) {
        Ok(value) => super::tell_reply(&value),
        Err(e) => tell(|s| s.say(format!("<error> {}", library::vm_error(e)))),
    }
}
