//! The interactive session: lines from a terminal (with editing, history and hints) or from a pipe, each a command or a
//! word to the client itself; and, while subscribed, messages as they come.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};

use super::client::{Client, Outcome, command, write_out};
use super::help;
use super::hints::Docs;
use super::options::environment;
use super::words;
use crate::base::clock;

/// Slower commands have their time printed.
const SLOW_MS: u64 = 500;
const WAITING: &str = "Reading messages... (press Ctrl-C to quit or any key to type command)\r";
const ERASE_LINE: &[u8] = b"\x1b[K";

pub struct Prompt {
    program: String,
    hints: bool,
    docs: Option<Arc<Docs>>,
    input: BufReader<File>,
}

enum Next {
    Line(String),
    End,
}

/// Reads and runs commands until the input ends.
pub fn run(client: &mut Client, program: &str) -> ExitCode {
    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else {
        eprintln!("Error: standard input is closed");
        return ExitCode::FAILURE;
    };
    client.interactive = true;
    let mut prompt =
        Prompt { program: program.to_string(), hints: true, docs: None, input: BufReader::new(File::from(stdin)) };
    prompt.preferences();
    client.connect();
    let typed = io::stdin().is_terminal() && io::stdout().is_terminal();
    if typed {
        prompt.with_editor(client)
    } else {
        prompt.with_pipe(client)
    }
    ExitCode::SUCCESS
}

impl Prompt {
    fn with_pipe(&mut self, client: &mut Client) {
        loop {
            self.messages(client);
            let mut line = Vec::new();
            match self.input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            if !self.obey(client, line) {
                return;
            }
        }
    }

    fn with_editor(&mut self, client: &mut Client) {
        let config = rustyline::Config::builder().max_history_size(1000).map(|c| c.auto_add_history(false).build());
        let editor = config.and_then(Editor::<Typing, FileHistory>::with_config);
        let Ok(mut editor) = editor else { return self.with_pipe(client) };
        let history = dotfile(&["VALKEYCLI_HISTFILE", "REDISCLI_HISTFILE"], ".valkeycli_history");
        if let Some(history) = &history {
            // The first run has none to load.
            let _ = editor.load_history(history);
        }
        self.learn(client);
        loop {
            self.messages(client);
            editor.set_helper(Some(Typing { docs: self.docs.clone().filter(|_| self.hints) }));
            let next = match editor.readline(&client.prompt()) {
                Ok(line) => Next::Line(line),
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => Next::End,
                Err(_) => Next::End,
            };
            let Next::Line(line) = next else { return };
            if !line.trim().is_empty() && !is_secret(&line) {
                let _ = editor.add_history_entry(line.as_str());
                if let Some(history) = &history {
                    let _ = editor.save_history(history);
                }
            }
            if !self.obey(client, line.as_bytes()) {
                return;
            }
        }
    }

    /// Runs one line; false when it was the last.
    fn obey(&mut self, client: &mut Client, line: &[u8]) -> bool {
        let Ok(mut args) = words::split(line) else {
            write_out(b"Invalid argument(s)\n");
            return true;
        };
        let Some(first) = args.first() else { return true };
        let lower = first.to_ascii_lowercase();
        match lower.as_slice() {
            b"quit" | b"exit" => return false,
            [b':', ..] => self.set(client, &args),
            b"clear" if args.len() == 1 => write_out(b"\x1b[H\x1b[2J"),
            b"restart" if args.len() == 1 => write_out(b"Use 'restart' only in Lua debugging mode.\n"),
            b"connect" if args.len() == 3 => {
                let text =
                    |i: usize| String::from_utf8_lossy(args.get(i).map(Vec::as_slice).unwrap_or_default()).into_owned();
                client.target.host = text(1);
                client.target.port = u16::try_from(words::leading_number(&text(2))).unwrap_or(0);
                client.target.socket = None;
                client.disconnect();
                client.connect();
            }
            b"help" | b"?" => {
                let topic: Vec<String> = args.iter().skip(1).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
                let docs = || ask_for_docs(client);
                write_out(help::answer(&self.program, &topic, docs).as_bytes());
            }
            _ => {
                let mut times = 1;
                if args.len() > 1 && !first.is_empty() && first.iter().all(u8::is_ascii_digit) {
                    times = words::leading_number(&String::from_utf8_lossy(first));
                    args.remove(0);
                }
                self.execute(client, &args, times);
            }
        }
        true
    }

    fn execute(&mut self, client: &mut Client, args: &[Vec<u8>], times: i64) {
        let started = clock::monotonic_ms();
        for i in 0..times {
            if client.run(args) == Outcome::Lost {
                break;
            }
            if i + 1 < times && !client.options.interval.is_zero() {
                std::thread::sleep(client.options.interval);
            }
        }
        let elapsed_ms = clock::monotonic_ms().saturating_sub(started);
        if client.terminal && elapsed_ms >= SLOW_MS && !client.is_subscribed() {
            write_out(format!("({:.2}s)\n", elapsed_ms as f64 / 1000.0).as_bytes());
        }
    }

    /// `:set` and `:get`.
    fn set(&mut self, client: &Client, args: &[Vec<u8>]) {
        let word =
            |i: usize| String::from_utf8_lossy(args.get(i).map(Vec::as_slice).unwrap_or_default()).to_ascii_lowercase();
        let (name, option) = (word(0), word(1));
        let answer = match (name.as_str(), option.as_str()) {
            (":set", "hints") => {
                self.hints = true;
                return;
            }
            (":set", "nohints") => {
                self.hints = false;
                return;
            }
            (":set", other) if args.len() > 1 => format!("unknown {} preference '{other}'\n", self.program),
            (":get", "pubsub") => format!("{}\n", u8::from(client.is_subscribed())),
            (":get", other) if args.len() > 1 => format!("unknown {} get option '{other}'\n", self.program),
            _ => format!("unknown {} internal command '{name}'\n", self.program),
        };
        write_out(answer.as_bytes());
    }

    fn preferences(&mut self) {
        let Some(file) = dotfile(&["VALKEYCLI_RCFILE", "REDISCLI_RCFILE"], ".valkeyclirc") else { return };
        for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                [":set", "hints"] => self.hints = true,
                [":set", "nohints"] => self.hints = false,
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                _ => eprintln!("unknown {} preference '{line}'", self.program),
            }
        }
    }

    /// Asks the server for the syntax of its commands, once.
    fn learn(&mut self, client: &mut Client) {
        if self.docs.is_none() {
            self.docs = ask_for_docs(client).map(Arc::new);
        }
    }

    /// While subscribed: prints messages until something is typed.
    fn messages(&mut self, client: &mut Client) {
        let mut announced = false;
        let raw = RawInput::default();
        let mut raw = if io::stdin().is_terminal() && client.is_subscribed() { RawInput::enter() } else { raw };
        while client.is_subscribed() {
            let erase = announced && client.terminal;
            let printed = client.print_waiting(|| {
                if erase {
                    write_out(ERASE_LINE);
                }
            });
            match printed {
                Ok(true) => announced = false,
                Ok(false) => {}
                Err(e) => {
                    client.lost(&e);
                    break;
                }
            }
            if !client.is_subscribed() {
                break;
            }
            if client.terminal && !announced {
                write_out(WAITING.as_bytes());
                announced = true;
            }
            if !self.input.buffer().is_empty() {
                break;
            }
            let Some(connection) = &mut client.connection else { break };
            match connection.wait(Some(self.input.get_ref().as_fd()), None) {
                Ok(ready) if ready.replies => {
                    if let Err(e) = connection.fill() {
                        if announced && client.terminal {
                            write_out(ERASE_LINE);
                        }
                        client.lost(&e);
                        return;
                    }
                }
                Ok(ready) if ready.input => break,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        raw.leave();
        if announced && client.terminal {
            write_out(ERASE_LINE);
        }
    }
}

/// Keys are seen as they are pressed, and not shown: the terminal's state for as long as it lives.
#[derive(Default)]
struct RawInput(Option<Termios>);

impl RawInput {
    fn enter() -> RawInput {
        let Ok(before) = tcgetattr(io::stdin()) else { return RawInput(None) };
        let mut raw = before.clone();
        raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &raw);
        RawInput(Some(before))
    }

    fn leave(&mut self) {
        if let Some(before) = self.0.take() {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
        }
    }
}

impl Drop for RawInput {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Reads a password, showing a star for each character; plainly when there is no terminal.
///
/// # Errors
/// Input ended, or Ctrl-C.
pub fn ask_password() -> io::Result<Vec<u8>> {
    use std::io::Read;
    eprint!("Please input password: ");
    if !io::stdin().is_terminal() {
        let mut line = Vec::new();
        io::stdin().lock().read_until(b'\n', &mut line)?;
        return Ok(line.strip_suffix(b"\n").unwrap_or(&line).to_vec());
    }
    let before = tcgetattr(io::stdin())?;
    let mut raw = before.clone();
    raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
    tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
    let mut password = Vec::new();
    let result = loop {
        let mut key = [0];
        // The descriptor itself: a buffer of ours could swallow what is typed ahead.
        let n = File::from(io::stdin().as_fd().try_clone_to_owned()?).read(&mut key)?;
        match key[0] {
            _ if n == 0 => break Err(io::ErrorKind::UnexpectedEof.into()),
            b'\n' | b'\r' => break Ok(()),
            3 => break Err(io::ErrorKind::Interrupted.into()),
            8 | 127 => {
                if password.pop().is_some() {
                    eprint!("\x08 \x08");
                }
            }
            other => {
                password.push(other);
                eprint!("*");
            }
        }
    };
    tcsetattr(io::stdin(), SetArg::TCSANOW, &before)?;
    eprintln!();
    result.map(|()| password)
}

/// The server's descriptions of its commands, if it gives them.
pub fn ask_for_docs(client: &mut Client) -> Option<Docs> {
    if !client.connect() {
        return None;
    }
    let reply = client.connection.as_mut()?.ask(&["COMMAND", "DOCS"]).ok()?;
    let docs = Docs::from_reply(&reply);
    (!docs.is_empty()).then_some(docs)
}

/// A file named by the environment, else one in the home folder. An empty name or /dev/null is none.
fn dotfile(variables: &[&str], name: &str) -> Option<PathBuf> {
    if let Some(path) = variables.iter().find_map(std::env::var_os) {
        return (!path.is_empty() && path != "/dev/null").then(|| PathBuf::from(path));
    }
    let home = environment("HOME")?;
    Some(PathBuf::from(String::from_utf8(home).ok()?).join(name))
}

/// Lines with passwords in them stay out of the history.
fn is_secret(line: &str) -> bool {
    let Ok(args) = words::split(line.as_bytes()) else { return true };
    let word = |i: usize| args.get(i).map(|a| a.to_ascii_lowercase()).unwrap_or_default();
    let has = |w: &[u8]| args.iter().skip(1).any(|a| a.eq_ignore_ascii_case(w));
    match command(&args).as_slice() {
        b"auth" => true,
        b"acl" => word(1) == b"setuser",
        b"config" => {
            let secrets = [
                "requirepass",
                "masterauth",
                "primaryauth",
                "masteruser",
                "primaryuser",
                "tls-key-file-pass",
                "tls-client-key-file-pass",
            ];
            word(1) == b"set" && secrets.iter().any(|s| has(s.as_bytes()))
        }
        b"hello" => has(b"auth"),
        b"migrate" => has(b"auth") || has(b"auth2"),
        b"sentinel" => has(b"auth-pass") || has(b"auth-user"),
        _ => false,
    }
}

/// What the editor asks while a line is typed.
struct Typing {
    docs: Option<Arc<Docs>>,
}

impl Hinter for Typing {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        if pos < line.len() {
            return None;
        }
        let hint = self.docs.as_ref()?.hint(line);
        if hint.is_empty() {
            return None;
        }
        Some(if line.ends_with(' ') { hint } else { format!(" {hint}") })
    }
}

impl Completer for Typing {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..pos).unwrap_or(line).to_ascii_uppercase();
        let Some(docs) = &self.docs else { return Ok((0, vec![])) };
        let (start, typed) = match typed.strip_prefix("HELP ") {
            Some(rest) => (5, rest.to_string()),
            None => (0, typed),
        };
        let names = docs.iter().map(|d| d.name.clone());
        let groups = docs.iter().map(|d| format!("@{}", d.group));
        let candidates =
            names.chain(groups.filter(|_| start > 0)).filter(|n| n.to_ascii_uppercase().starts_with(&typed));
        let mut candidates: Vec<String> = candidates.collect();
        candidates.sort();
        candidates.dedup();
        Ok((start, candidates))
    }
}

impl Highlighter for Typing {
    fn highlight_hint<'h>(&self, hint: &'h str) -> std::borrow::Cow<'h, str> {
        std::borrow::Cow::Owned(format!("\x1b[90m{hint}\x1b[0m"))
    }
}

impl Validator for Typing {}
impl Helper for Typing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_passwords_are_not_remembered() {
        for line in [
            "auth a",
            "AUTH u p",
            "acl setuser x >p",
            "config set maxmemory 1 requirepass p",
            "hello 3 auth u p",
            "migrate h 1 k 0 1 AUTH p",
            "auth \"open",
        ] {
            assert!(is_secret(line), "{line}");
        }
        for line in ["get auth", "config get requirepass", "hello 3", "acl list"] {
            assert!(!is_secret(line), "{line}");
        }
    }
}
