//! The client behind both one-shot commands and the prompt: keeps a connection in the state the user put it in, sends
//! commands, prints replies, follows what changes the conversation (SELECT, MULTI, SUBSCRIBE, MONITOR, HELLO, RESET,
//! CLIENT REPLY), and, in a cluster, redirections.

use std::collections::HashSet;
use std::io::{self, Write};

use super::connection::{Connection, Target, say};
use super::format::{Form, render};
use super::options::{Options, environment};
use crate::resp::client::Value;

/// Redirections followed for one command: a cluster that is being resharded needs one or two.
const REDIRECTIONS_MAX: usize = 16;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// The server answered with an error.
    Error,
    /// The connection is gone; it has been said why.
    Lost,
}

/// What the connection is subscribed to.
#[derive(Debug, Default)]
struct Subscriptions {
    channels: HashSet<Vec<u8>>,
    patterns: HashSet<Vec<u8>>,
    shards: HashSet<Vec<u8>>,
}

impl Subscriptions {
    fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shards.is_empty()
    }

    fn of(&mut self, kind: &[u8]) -> Option<&mut HashSet<Vec<u8>>> {
        match kind {
            b"subscribe" | b"unsubscribe" => Some(&mut self.channels),
            b"psubscribe" | b"punsubscribe" => Some(&mut self.patterns),
            b"ssubscribe" | b"sunsubscribe" => Some(&mut self.shards),
            _ => None,
        }
    }

    /// Takes in a confirmation; true if `value` was one.
    fn note(&mut self, value: &Value) -> bool {
        let Some([kind, channel, ..]) = value.elements() else { return false };
        let Some(kind) = kind.text().map(<[u8]>::to_vec) else { return false };
        let leaving = kind.windows(5).any(|w| w == b"unsub");
        let Some(set) = self.of(&kind) else { return false };
        match channel.text() {
            Some(channel) if leaving => {
                set.remove(channel);
            }
            Some(channel) => {
                set.insert(channel.to_vec());
            }
            None => set.clear(),
        }
        true
    }

    /// How many confirmations a command of this kind brings.
    fn confirmations(&mut self, command: &[u8], channels: usize) -> usize {
        match self.of(command) {
            None => 1,
            Some(_) if channels > 0 => channels,
            Some(set) => set.len().max(1),
        }
    }
}

/// Whether the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replies {
    On,
    Off,
}

pub struct Client {
    pub options: Options,
    pub target: Target,
    password: Option<Vec<u8>>,
    password_discovered: bool,
    pub connection: Option<Connection>,
    pub database: i64,
    pub form: Form,
    /// Standard output is a terminal, or must be treated as one.
    pub terminal: bool,
    pub interactive: bool,
    pub in_transaction: bool,
    subscriptions: Subscriptions,
    replies: Replies,
    /// CLIENT REPLY SKIP was the last command.
    skipping: bool,
    resp3: bool,
}

impl Client {
    pub fn new(options: Options, found: super::discover::Found, terminal: bool) -> Client {
        let form = options.form.unwrap_or(if terminal { Form::Standard } else { Form::Raw });
        Client {
            database: options.database,
            target: found.target,
            password: found.password,
            password_discovered: found.password_discovered,
            connection: None,
            form,
            terminal,
            interactive: false,
            in_transaction: false,
            subscriptions: Subscriptions::default(),
            replies: Replies::On,
            skipping: false,
            resp3: false,
            options,
        }
    }

    pub fn is_subscribed(&self) -> bool {
        !self.subscriptions.is_empty()
    }

    /// Connects if there is no connection; says what failed.
    pub fn connect(&mut self) -> bool {
        if self.connection.is_some() {
            return true;
        }
        match Connection::open(&self.target) {
            Ok(connection) => self.connection = Some(connection),
            Err(e) => {
                eprintln!("Could not connect to Valkey at {}: {e}", self.target.name());
                return false;
            }
        }
        self.subscriptions = Subscriptions::default();
        self.in_transaction = false;
        self.replies = Replies::On;
        self.skipping = false;
        self.resp3 = false;
        if let Err(e) = self.introduce() {
            self.lose(&e);
            return false;
        }
        true
    }

    pub fn disconnect(&mut self) {
        self.connection = None;
        self.subscriptions = Subscriptions::default();
        self.in_transaction = false;
    }

    fn lose(&mut self, why: &str) {
        self.disconnect();
        eprintln!("Error: {why}");
    }

    /// AUTH, HELLO, SELECT: what a new connection needs. Refusals are told and lived with.
    fn introduce(&mut self) -> Result<(), String> {
        let protocol = self.options.protocol;
        let json = matches!(self.form, Form::Json | Form::QuotedJson);
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if let Some(password) = &self.password {
            let mut auth = vec![b"AUTH".to_vec()];
            auth.extend(self.options.user.as_ref().map(|u| u.as_bytes().to_vec()));
            auth.push(password.clone());
            let reply = connection.ask(&auth)?;
            if let Value::Error(text) = &reply {
                let unwanted = self.password_discovered && text.windows(22).any(|w| w == b"without any password c");
                if !unwanted {
                    eprintln!("AUTH failed: {}", String::from_utf8_lossy(text));
                }
            }
        }
        if protocol == Some(3) || (protocol.is_none() && json) {
            match connection.ask(&["HELLO", "3"])? {
                // JSON only prefers maps: an older server's arrays will do.
                Value::Error(text) if protocol == Some(3) => {
                    eprintln!("HELLO 3 failed: {}", String::from_utf8_lossy(&text));
                }
                Value::Error(_) => {}
                _ => self.resp3 = true,
            }
        }
        if self.database != 0 {
            let database = self.database.to_string();
            if let Value::Error(text) = connection.ask(&["SELECT", &database])? {
                eprintln!("SELECT {database} failed: {}", String::from_utf8_lossy(&text));
                self.database = 0;
            }
        }
        Ok(())
    }

    /// Sends a command, prints what comes back.
    pub fn run(&mut self, args: &[Vec<u8>]) -> Outcome {
        for _ in 0..REDIRECTIONS_MAX {
            if !self.connect() {
                return Outcome::Lost;
            }
            if let Err(e) = self.send(args) {
                self.lose(&e);
                return Outcome::Lost;
            }
            match self.answer(args) {
                Ok(Answer::Done(outcome)) => return outcome,
                Ok(Answer::Redirected { asking }) => {
                    if asking
                        && self.connect()
                        && let Some(connection) = &mut self.connection
                    {
                        let _ = connection.ask(&["ASKING"]);
                    }
                }
                Err(e) => {
                    // A server that was told to end does not say goodbye.
                    let ended = command(args) == b"shutdown" && e == "Server closed the connection";
                    if ended {
                        self.disconnect();
                        return Outcome::Ok;
                    }
                    self.lose(&e);
                    return Outcome::Lost;
                }
            }
        }
        eprintln!("Error: too many redirections");
        Outcome::Error
    }

    /// A connection that died while nobody looked is noticed when it is written to: then once more on a new one.
    fn send(&mut self, args: &[Vec<u8>]) -> Result<(), String> {
        let Some(connection) = &mut self.connection else { return Err("not connected".to_string()) };
        let Err(_) = connection.send(args) else { return Ok(()) };
        self.disconnect();
        if !self.connect() {
            return Err("the connection was lost".to_string());
        }
        let Some(connection) = &mut self.connection else { return Err("not connected".to_string()) };
        connection.send(args).map_err(|e| say(&e))
    }

    /// Reads and prints all that one command brings.
    fn answer(&mut self, args: &[Vec<u8>]) -> Result<Answer, String> {
        let name = command(args);
        if !self.replies_to(args, &name) {
            return Ok(Answer::Done(Outcome::Ok));
        }
        let mut awaited = self.subscriptions.confirmations(&name, args.len().saturating_sub(1));
        let subscribes = self.subscriptions.of(&name).is_some();
        loop {
            let value = self.receive()?;
            if self.subscriptions.note(&value) {
                self.print(&value, Some(args));
                awaited = awaited.saturating_sub(1);
                if subscribes && awaited == 0 {
                    break;
                }
                continue;
            }
            if self.is_out_of_band(&value) {
                self.print_push(&value);
                continue;
            }
            if let Value::Attribute(_) = value {
                if self.form == Form::Standard {
                    self.print(&value, Some(args));
                }
                continue;
            }
            if let Value::Error(text) = &value {
                if let Some(redirection) = self.redirected(text) {
                    return Ok(redirection);
                }
                if self.options.exit_with_error && !self.interactive {
                    let mut stderr = io::stderr();
                    let _ = stderr.write_all(text).and_then(|()| stderr.write_all(b"\n"));
                } else {
                    self.print(&value, Some(args));
                }
                return Ok(Answer::Done(Outcome::Error));
            }
            self.print(&value, Some(args));
            self.follow(args, &name, &value);
            if name == b"monitor" {
                return self.listen().map(Answer::Done);
            }
            break;
        }
        // At the prompt the prompt goes on listening; otherwise nobody else does.
        if self.is_subscribed() && !self.interactive {
            return self.listen().map(Answer::Done);
        }
        Ok(Answer::Done(Outcome::Ok))
    }

    /// Prints what comes, until the connection ends.
    fn listen(&mut self) -> Result<Outcome, String> {
        loop {
            let value = self.receive()?;
            self.subscriptions.note(&value);
            self.print(&value, None);
        }
    }

    fn receive(&mut self) -> Result<Value, String> {
        match &mut self.connection {
            Some(connection) => connection.receive(),
            None => Err("not connected".to_string()),
        }
    }

    /// Keeps track of CLIENT REPLY: a command whose reply the server holds back must not be waited for.
    fn replies_to(&mut self, args: &[Vec<u8>], name: &[u8]) -> bool {
        let word = |i: usize| args.get(i).map(|a| a.to_ascii_lowercase()).unwrap_or_default();
        if name == b"client" && word(1) == b"reply" && args.len() == 3 {
            match word(2).as_slice() {
                b"on" => {
                    self.replies = Replies::On;
                    return true;
                }
                b"off" => self.replies = Replies::Off,
                // SKIP silences the next command; alone on a line that is nothing to wait for either.
                b"skip" => {
                    self.skipping = true;
                    return false;
                }
                _ => {}
            }
        }
        match self.replies {
            Replies::On => !std::mem::take(&mut self.skipping),
            Replies::Off => false,
        }
    }

    fn redirected(&mut self, error: &[u8]) -> Option<Answer> {
        if !self.options.cluster {
            return None;
        }
        let text = String::from_utf8_lossy(error).into_owned();
        let mut words = text.split(' ');
        let asking = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let slot = words.next()?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        // A node that does not know its own address leaves it out.
        if !host.is_empty() {
            self.target.host = host.to_string();
        }
        self.target.port = port.parse().ok()?;
        self.target.socket = None;
        if self.terminal || self.interactive {
            println!("-> Redirected to slot [{slot}] located at {}", self.target.name());
        }
        self.disconnect();
        Some(Answer::Redirected { asking })
    }

    /// What a successful command changes in the conversation.
    fn follow(&mut self, args: &[Vec<u8>], name: &[u8], value: &Value) {
        match name {
            b"select" => {
                let number = args.get(1).map(|n| super::words::leading_number(&String::from_utf8_lossy(n)));
                self.database = number.unwrap_or(self.database);
            }
            b"multi" => self.in_transaction = true,
            b"exec" | b"discard" => self.in_transaction = false,
            b"hello" if args.len() > 1 => self.resp3 = matches!(value, Value::Map(_)),
            b"reset" => {
                self.database = 0;
                self.in_transaction = false;
                self.resp3 = false;
                self.subscriptions = Subscriptions::default();
            }
            b"auth" => {
                // The next connection needs it again.
                if let Some(password) = args.last() {
                    self.password = Some(password.clone());
                    self.password_discovered = false;
                    self.options.user = if args.len() > 2 {
                        args.get(1).map(|u| String::from_utf8_lossy(u).into_owned())
                    } else {
                        None
                    };
                }
            }
            _ => {}
        }
    }

    fn is_out_of_band(&self, value: &Value) -> bool {
        match value {
            Value::Push(_) => true,
            // RESP2 has no type of its own for messages.
            Value::Array(items) if !self.resp3 && self.is_subscribed() => {
                let kind = items.first().and_then(Value::text).unwrap_or_default();
                matches!(kind, b"message" | b"pmessage" | b"smessage") && items.len() > 2
            }
            _ => false,
        }
    }

    /// Prints what has come unasked; true if there was something.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub fn print_waiting(&mut self, mut before: impl FnMut()) -> Result<bool, String> {
        let mut any = false;
        loop {
            let Some(connection) = &mut self.connection else { return Ok(any) };
            let Some(value) = connection.buffered()? else { return Ok(any) };
            if !any {
                before();
            }
            any = true;
            self.subscriptions.note(&value);
            self.print_push(&value);
        }
    }

    pub fn lost(&mut self, why: &str) {
        self.lose(why);
    }

    fn print_push(&self, value: &Value) {
        let shown = self.options.show_pushes.unwrap_or(self.terminal);
        if !shown && !self.is_subscribed() {
            return;
        }
        if self.terminal
            && let Value::Push(items) = value
            && let [kind, Value::Array(keys)] = items.as_slice()
            && kind.text() == Some(b"invalidate")
        {
            let keys: Vec<_> = keys.iter().map(|k| format!("'{}'", lossy(k))).collect();
            return write_out(format!("-> invalidate: {}\n", keys.join(", ")).as_bytes());
        }
        self.print(value, None);
    }

    fn print(&self, value: &Value, args: Option<&[Vec<u8>]>) {
        if args.is_some_and(|a| is_page(a, value)) {
            let mut page = value.text().unwrap_or_default().to_vec();
            if page.last() != Some(&b'\n') {
                page.push(b'\n');
            }
            return write_out(&page);
        }
        write_out(&render(value, self.form, &self.options.delimiters));
    }

    /// The prompt's text.
    pub fn prompt(&self) -> String {
        if self.connection.is_none() {
            return "not connected> ".to_string();
        }
        let mut prompt = self.target.name();
        if self.database != 0 {
            prompt.push_str(&format!("[{}]", self.database));
        }
        if self.in_transaction {
            prompt.push_str("(TX)");
        }
        if self.is_subscribed() {
            prompt.push_str("(subscribed mode)");
        }
        prompt + "> "
    }
}

enum Answer {
    Done(Outcome),
    Redirected { asking: bool },
}

fn lossy(value: &Value) -> String {
    String::from_utf8_lossy(value.text().unwrap_or_default()).into_owned()
}

/// The command's name in small letters.
pub fn command(args: &[Vec<u8>]) -> Vec<u8> {
    args.first().map(|a| a.to_ascii_lowercase()).unwrap_or_default()
}

/// Replies that are pages of text, made for reading: they keep their line breaks in every form.
fn is_page(args: &[Vec<u8>], value: &Value) -> bool {
    let word = |i: usize| args.get(i).map(|a| a.to_ascii_lowercase()).unwrap_or_default();
    let second = word(1);
    let page = match word(0).as_slice() {
        b"info" | b"lolwut" => true,
        b"debug" => matches!(second.as_slice(), b"htstats" | b"htstats-key" | b"client-eviction"),
        b"memory" => matches!(second.as_slice(), b"malloc-stats" | b"doctor"),
        b"cluster" => matches!(second.as_slice(), b"nodes" | b"info"),
        b"client" => matches!(second.as_slice(), b"list" | b"info"),
        b"latency" => matches!(second.as_slice(), b"graph" | b"doctor"),
        b"fips" => second == b"status",
        b"proxy" => matches!(second.as_slice(), b"info" | b"nodes"),
        _ => false,
    };
    page && value.text().is_some()
}

/// To standard output, at once. A reader that has gone ends the program, as it ends any filter.
pub fn write_out(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// `VALKEYCLI_AUTH`, or by its older name.
pub fn password_of_environment() -> Option<Vec<u8>> {
    environment("VALKEYCLI_AUTH").or_else(|| environment("REDISCLI_AUTH"))
}
