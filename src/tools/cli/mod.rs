//! `holdfast cli`: the command line client, a drop-in for `valkey-cli` (and by that name, and `redis-cli`, too).
//!
//! `options` reads the command line, `discover` fills what it left open, `connection` speaks to the server, `client`
//! runs commands and prints replies through `format`; `prompt` is the interactive session with `hints` and `help`; the
//! other files are one mode each. It speaks the public protocol only: nothing of the server's insides is used here.

pub(super) mod client;
pub(super) mod connection;
mod discover;
mod eval;
mod format;
mod help;
mod hints;
mod keys;
mod latency;
mod lru;
pub(super) mod options;
mod pipe;
mod prompt;
mod scan;
pub(super) mod snapshot;
mod stat;
pub(super) mod tls;
mod uri;
mod usage;
mod words;

use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use client::{Client, Outcome, command, write_out};
use options::{Mode, Options, Parsed, StandardInput};

/// Runs the client. `program` is the name it was called by, `args` the words behind it.
pub fn run(program: &str, args: Vec<OsString>) -> ExitCode {
    let program = Path::new(program).file_name().map_or(program.into(), |n| n.to_string_lossy());
    let program = program.as_ref();
    match options::parse(args) {
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
        Ok(Parsed::Help) => {
            write_out(usage::text(program).as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Parsed::Version) => {
            write_out(format!("{}\n", version(program)).as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Parsed::Run(options)) => start(program, *options),
    }
}

/// Scripts that call `valkey-cli` or `redis-cli` choose their flags by the version they are told.
const COMPATIBLE_VERSION: &str = "9.1.0";

fn version(program: &str) -> String {
    let own = env!("CARGO_PKG_VERSION");
    match program {
        "valkey-cli" | "redis-cli" => format!("{program} {COMPATIBLE_VERSION} (Holdfast {own})"),
        _ => format!("{program} {own}"),
    }
}

fn start(program: &str, mut options: Options) -> ExitCode {
    if let Mode::Unsupported(what) = &options.mode {
        eprintln!("{program}: {what}: not there yet");
        return ExitCode::FAILURE;
    }
    if let Mode::IntrinsicLatency { seconds } = options.mode {
        return latency::intrinsic(seconds);
    }
    if options.quoted_input {
        let Some(words) = options::unquote_all(&options.words) else {
            write_out(b"Invalid quoted string\n");
            return ExitCode::FAILURE;
        };
        options.words = words;
    }
    let Some(mut client) = client_of(options) else { return ExitCode::FAILURE };
    match client.options.mode.clone() {
        Mode::Command if client.options.words.is_empty() => prompt::run(&mut client, program),
        Mode::Command => one_shot(&mut client, program),
        Mode::Eval { script } => eval::run(&mut client, &script),
        Mode::Rdb { path } => finish(snapshot::save(&mut client, &path)),
        Mode::Scan => finish(scan::run(&mut client)),
        Mode::BigKeys => finish(keys::big(&mut client)),
        Mode::MemKeys { samples } => finish(keys::memory(&mut client, samples)),
        Mode::HotKeys { count } => finish(keys::hot(&mut client, count)),
        Mode::Latency { history } => finish(latency::run(&mut client, history)),
        Mode::LatencyDistribution => finish(latency::distribution(&mut client)),
        Mode::Stat => finish(stat::run(&mut client)),
        Mode::LruTest { keys } => finish(lru::run(&mut client, keys)),
        Mode::Pipe { timeout } => pipe::run(&mut client, timeout),
        Mode::Hint(line) => {
            let hint = prompt::ask_for_docs(&mut client).map(|docs| docs.hint(&line)).unwrap_or_default();
            write_out(format!("{hint}\n").as_bytes());
            ExitCode::SUCCESS
        }
        Mode::HintFile(file) => check_hints(&mut client, &file),
        Mode::IntrinsicLatency { .. } | Mode::Unsupported(_) => ExitCode::FAILURE,
    }
}

/// A client that has all it needs to connect.
fn client_of(mut options: Options) -> Option<Client> {
    if options.ask_password {
        match prompt::ask_password() {
            Ok(password) => options.password = Some(password),
            Err(_) => return None,
        }
    } else if options.password.is_none() {
        options.password = client::password_of_environment();
    } else if options.password_exposed && options.auth_warning {
        eprintln!("Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe.");
    }
    // FAKETTY lets a test see what a terminal would.
    let terminal = std::io::stdout().is_terminal() || std::env::var_os("FAKETTY").is_some();
    let found = discover::find(&options);
    if found.password_discovered && options.user.is_none() {
        options.user = discover::user_of_environment();
    }
    Some(Client::new(options, found, terminal))
}

/// For tools that speak to a server: a client by the options that come first, and the words behind them.
///
/// # Errors
/// How the process is to end; what is wrong has been said.
pub(super) fn prepare(program: &str, args: Vec<OsString>) -> Result<(Client, Vec<Vec<u8>>), ExitCode> {
    let options = match options::parse(args) {
        Ok(Parsed::Run(options)) => *options,
        Ok(Parsed::Help) => {
            write_out(usage::text(program).as_bytes());
            return Err(ExitCode::SUCCESS);
        }
        Ok(Parsed::Version) => {
            write_out(format!("{}\n", version(program)).as_bytes());
            return Err(ExitCode::SUCCESS);
        }
        Err(e) => {
            eprintln!("{program}: {e}");
            return Err(ExitCode::FAILURE);
        }
    };
    let words = options.words.clone();
    client_of(options).map(|client| (client, words)).ok_or(ExitCode::FAILURE)
}

/// A mode's error is one line; an empty one has been told already.
fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            if !e.is_empty() {
                eprintln!("Error: {e}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The command of the command line, as often as asked.
fn one_shot(client: &mut Client, program: &str) -> ExitCode {
    let mut args = client.options.words.clone();
    if let Err(e) = take_input(&client.options.input, &mut args) {
        eprintln!("{e}");
        return ExitCode::FAILURE;
    }
    if matches!(command(&args).as_slice(), b"help" | b"?") {
        let topic: Vec<String> = args.iter().skip(1).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
        write_out(help::answer(program, &topic, || prompt::ask_for_docs(client)).as_bytes());
        return ExitCode::SUCCESS;
    }
    if let Some(stray) = leave_out_strays(&mut args) {
        eprintln!("{program}: '{stray}' is no part of this command and is left out");
    }
    repeat(client, &args)
}

/// Run books that people follow have `REPLICAOF NO ONE -D folder`: what stands behind is taken off, and told. Of no other command is
/// the meaning so clear that it could be.
fn leave_out_strays(args: &mut Vec<Vec<u8>>) -> Option<String> {
    let is = |at: usize, word: &str| args.get(at).is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()));
    let promotes = (is(0, "replicaof") || is(0, "slaveof")) && is(1, "no") && is(2, "one");
    if !promotes || args.get(3).is_none_or(|a| !a.starts_with(b"-")) {
        return None;
    }
    let stray: Vec<Vec<u8>> = args.drain(3..).collect();
    Some(stray.iter().map(|w| String::from_utf8_lossy(w)).collect::<Vec<_>>().join(" "))
}

fn repeat(client: &mut Client, args: &[Vec<u8>]) -> ExitCode {
    let (times, interval) = (client.options.repeat, client.options.interval);
    let mut done = 0;
    while times < 0 || done < times {
        match client.run(args) {
            Outcome::Lost => return ExitCode::FAILURE,
            Outcome::Error if client.options.exit_with_error => return ExitCode::FAILURE,
            _ => {}
        }
        done += 1;
        if !interval.is_zero() && done != times {
            std::thread::sleep(interval);
        }
    }
    ExitCode::SUCCESS
}

/// `-x` and `-X`.
fn take_input(input: &StandardInput, args: &mut Vec<Vec<u8>>) -> Result<(), String> {
    let read = || {
        let mut all = Vec::new();
        std::io::stdin().lock().read_to_end(&mut all).map_err(|e| format!("Error: {e}")).map(|_| all)
    };
    match input {
        StandardInput::Unused => {}
        StandardInput::LastWord => args.push(read()?),
        StandardInput::Tag(tag) => {
            let content = read()?;
            let Some(arg) = args.iter_mut().find(|a| *a == tag) else {
                return Err("Using -X option but stdin tag not match.".to_string());
            };
            *arg = content;
        }
    }
    Ok(())
}

fn check_hints(client: &mut Client, file: &Path) -> ExitCode {
    let docs = prompt::ask_for_docs(client).unwrap_or_default();
    match hints::check_file(&docs, file) {
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
        Ok((failures, cases)) => {
            for failure in &failures {
                println!("{failure}");
            }
            let passed = cases - failures.len();
            println!("{}: {passed}/{cases} passed", if failures.is_empty() { "SUCCESS" } else { "FAILURE" });
            if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_strayed_behind_a_promotion_is_left_out_and_nothing_else() {
        let words = |line: &str| line.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
        let mut args = words("REPLICAOF NO ONE -D /data");
        assert_eq!(leave_out_strays(&mut args).as_deref(), Some("-D /data"));
        assert_eq!(args, words("REPLICAOF NO ONE"));
        for line in ["replicaof no one", "replicaof host 6379", "replicaof no one two", "set a -D"] {
            let mut args = words(line);
            assert_eq!(leave_out_strays(&mut args), None, "{line}");
            assert_eq!(args, words(line));
        }
    }
}
