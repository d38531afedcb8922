//! MIGRATE: keys go to another server.
//!
//! Nobody waits for the network but the client that asked. Its keys are packed under their locks, a thread sends them, and the client's
//! request, unread meanwhile as under CLIENT PAUSE, is tried again when the target has answered.
//!
//! # Invariants
//! * A key is deleted here only if the target has said that it took it, and only if it is, at that instant and under all locks, still what
//!   was sent: each key is watched from the moment it is packed. One that has changed is sent again, with REPLACE, for it is our own copy
//!   that is replaced; after [`ROUNDS_MAX`] times the client is told, and the key stays.
//! * What deletes it is in the journal as DEL, in the same step.
//! * Whatever goes wrong leaves a key here: there or in both places, never in neither. A client that leaves meanwhile leaves its keys in both.
//! * At most [`RUNNING_MAX`] are under way, at most [`CACHED_MAX`] connections are kept, for [`CACHED_MS`]; none that has signed in, for
//!   whoever comes next may not know the password.
//!
//! Inside EXEC and scripts, which are one step, everybody waits for the network, as they always do in Valkey.

use crate::base::clock;
use crate::client::Message;
use crate::commands::arguments::{Options, integer};
use crate::commands::{Command, CommandError, Node, NodeContext, Outcome};
use crate::keyspace::{EventClass, Key, Plan, WatchFlag};
use crate::net::dial::Dialled;
use crate::persist::rdb;
use crate::replication::{self, Host};
use crate::resp::args::{Args, OwnedArgs};
use crate::resp::client::{ReplyLimits, ReplyReader, Value, encode_request};
use crate::script::Kind;
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// How often a key that keeps changing is sent.
const ROUNDS_MAX: u32 = 8;
/// Each has a thread that mostly waits.
const RUNNING_MAX: usize = 64;
/// Connections that are kept for the next call; the numbers are Valkey's.
const CACHED_MAX: usize = 64;
const CACHED_MS: u64 = 10_000;
/// What a target has said is believed for so long; then the request is a new one.
const ANSWER_MS: u64 = 5_000;
/// A timeout of 0 or less.
const TIMEOUT_MS: u64 = 1_000;
/// Bytes that are read at once.
const READ_BYTES: usize = 16 << 10;

const MIGRATE_SPEC: CommandSpec = CommandSpec::new("migrate", -6, Group::Generic, "write")
    .acl("keyspace dangerous")
    .since("2.6.0")
    .tips("nondeterministic_output")
    .keys(&[
        KeySpec::index(3, "RW access delete"),
        KeySpec::keyword("KEYS", -2, "RW access delete incomplete").range(-1, 1, 0),
    ])
    .key_code(KeyCode::Migrate)
    .history(&[
        ("3.0.0", "Words `COPY` and `REPLACE`."),
        ("3.0.6", "Option `KEYS`."),
        ("4.0.7", "Option `AUTH`."),
        ("6.0.0", "Option `AUTH2`."),
    ])
    .args(
        "host port:integer key-selector{key:key|\"\"=empty-string:token} \
        destination-db:integer timeout:integer [COPY@3.0.0] [REPLACE@3.0.0] \
        [authentication{AUTH=auth/password/@4.0.7 | AUTH2=auth2(username password)@6.0.0}] \
        [KEYS=keys:key#1/key/@3.0.6...]",
    )
    .doc("Moves keys to another server.", "O(N) to pack and unpack, N: bytes of the values");

pub static MIGRATE: Command = Command::span(MIGRATE_SPEC, migrate);

/// What goes on, and the connections that are kept.
#[derive(Default)]
pub struct Migrations {
    running: AtomicUsize,
    cached: Mutex<HashMap<(String, u16), Cached>>,
}

impl std::fmt::Debug for Migrations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Migrations({} under way, {} cached)", self.running.load(Ordering::Relaxed), self.cached())
    }
}

struct Cached {
    stream: Dialled,
    db: u32,
    used_ms: u64,
}

impl Migrations {
    /// Connections that are kept.
    pub fn cached(&self) -> usize {
        self.cached.lock().len()
    }

    /// Closes connections that nobody has used for a while.
    pub fn tidy(&self, now_ms: u64) {
        self.cached.lock().retain(|_, c| now_ms.saturating_sub(c.used_ms) < CACHED_MS);
    }

    fn take(&self, target: &Target) -> Option<Cached> {
        self.cached.lock().remove(&(target.host.clone(), target.port))
    }

    fn keep(&self, target: &Target, stream: Dialled) {
        let mut cached = self.cached.lock();
        if cached.len() >= CACHED_MAX {
            let oldest = cached.iter().min_by_key(|(_, c)| c.used_ms).map(|(k, _)| k.clone());
            oldest.map(|k| cached.remove(&k));
        }
        let new = Cached { stream, db: target.db, used_ms: clock::monotonic_ms() };
        cached.insert((target.host.clone(), target.port), new);
    }
}

/// Where keys go, and how.
#[derive(Clone)]
struct Target {
    host: String,
    port: u16,
    db: u32,
    timeout_ms: u64,
    /// AUTH with one word or two.
    auth: Vec<Zeroizing<Vec<u8>>>,
    copy: bool,
    replace: bool,
}

struct Call<'a> {
    target: Target,
    /// Each once.
    names: Vec<&'a [u8]>,
}

impl<'a> Call<'a> {
    fn parse(args: Args<'a>) -> Result<Call<'a>, CommandError> {
        let (mut copy, mut replace, mut auth) = (false, false, Vec::new());
        let mut names = vec![args.at(3)];
        let words = &mut Options::new(args, 6);
        while words.left() > 0 {
            if words.take("COPY") {
                copy = true;
            } else if words.take("REPLACE") {
                replace = true;
            } else if words.take("AUTH") {
                auth = vec![Zeroizing::new(words.value()?.to_vec())];
            } else if words.take("AUTH2") {
                auth = vec![Zeroizing::new(words.value()?.to_vec()), Zeroizing::new(words.value()?.to_vec())];
            } else if words.take("KEYS") {
                if !args.at(3).is_empty() {
                    return Err(CommandError::fixed(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                names.clear();
                for name in words.by_ref() {
                    names.push(name);
                }
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let mut seen = std::collections::HashSet::new();
        names.retain(|n| seen.insert(*n));
        let timeout = integer(args.at(5))?;
        let db = u32::try_from(integer(args.at(4))?).map_err(|_| CommandError::NotInteger)?;
        let port = u16::try_from(integer(args.at(2))?).map_err(|_| CommandError::fixed("ERR Invalid port"))?;
        let target = Target {
            host: String::from_utf8_lossy(args.at(1)).into_owned(),
            port,
            db,
            timeout_ms: u64::try_from(timeout).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS),
            auth,
            copy,
            replace,
        };
        Ok(Call { target, names })
    }
}

/// A key as it is sent.
struct Packed {
    name: Vec<u8>,
    ttl_ms: i64,
    payload: Vec<u8>,
}

/// What the target said.
struct Answer {
    /// In the order of the keys.
    taken: Vec<bool>,
    /// The reply, where it is no success.
    error: Option<Vec<u8>>,
    at_ms: u64,
}

/// A transfer that goes on, or whose answer waits for its client.
struct Transfer {
    node: Arc<Node>,
    asked: OwnedArgs,
    db: u32,
    round: u32,
    watched: Vec<Watched>,
    /// The keys are not watched any more.
    let_go: AtomicBool,
    /// An error of an earlier round.
    earlier: Option<Vec<u8>>,
    answer: Mutex<Option<Answer>>,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if !self.let_go.load(Ordering::Acquire) {
            for (name, flag) in &self.watched {
                self.node.keyspace.unwatch(Key::new(self.db, name), flag);
            }
        }
    }
}

fn busy(cx: &NodeContext<'_, '_>) -> CommandError {
    let kind = cx.node.scripts.running.longest().map(|s| s.kind);
    crate::commands::scripting::busy(kind == Some(Kind::Function))
}

fn migrate(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let call = Call::parse(cx.args)?;
    if cx.nested {
        return at_once(cx, &call);
    }
    let parked = cx.client.parked.take().and_then(|p| p.downcast::<Transfer>().ok());
    if let Some(transfer) = parked.filter(|t| t.db == cx.client.db && cx.args.iter().eq(t.asked.args().iter())) {
        let answer = {
            let mut answer = transfer.answer.lock();
            match &*answer {
                None => {
                    drop(answer);
                    cx.client.parked = Some(transfer);
                    cx.client.later = true;
                    return Ok(());
                }
                Some(_) => answer.take(),
            }
        };
        if let Some(answer) = answer.filter(|a| clock::monotonic_ms().saturating_sub(a.at_ms) < ANSWER_MS) {
            return finish(cx, &call, &transfer, &answer);
        }
    }
    let mut plan = Plan::None;
    call.names.iter().for_each(|n| plan.add(Key::new(cx.client.db, n).hash.stripe));
    if !cx.space.lock_unless_busy(&plan) {
        return Err(busy(cx));
    }
    let db = cx.client.db;
    let (packed, watched) = pack(cx, db, &call.names, !call.target.copy);
    // Keys past their deadline that were met on the way.
    cx.node.journal.append(&mut cx.space.changes.effects);
    cx.space.unlock();
    if packed.is_empty() {
        cx.reply.status("NOKEY");
        return Ok(());
    }
    send_off(cx, call.target, packed, watched, 1, None)
}

/// A key that was sent, and the flag that says whether it was changed since.
type Watched = (Vec<u8>, Arc<WatchFlag>);

/// The text of the reply, and whether time was up.
type Failure = (Vec<u8>, bool);

/// Packs those of the keys that are there; their locks are held.
fn pack(cx: &mut NodeContext<'_, '_>, db: u32, names: &[&[u8]], watch: bool) -> (Vec<Packed>, Vec<Watched>) {
    let (mut packed, mut watched) = (Vec::new(), Vec::new());
    let now = cx.space.now_ms();
    for name in names {
        let key = Key::new(db, name);
        let Some(record) = cx.space.peek(key) else { continue };
        let ttl_ms = record.deadline().map_or(0, |d| (d - now).max(1));
        packed.push(Packed { name: name.to_vec(), ttl_ms, payload: rdb::dump_value(&record) });
        if watch {
            let flag = Arc::new(WatchFlag::default());
            cx.space.watch(key, &flag);
            watched.push((name.to_vec(), flag));
        }
    }
    (packed, watched)
}

/// Gives the keys to a thread; the request is tried again when it has an answer. No lock is needed, and none is in the way.
fn send_off(
    cx: &mut NodeContext<'_, '_>,
    target: Target,
    packed: Vec<Packed>,
    watched: Vec<Watched>,
    round: u32,
    earlier: Option<Vec<u8>>,
) -> Outcome {
    let transfer = Arc::new(Transfer {
        node: Arc::clone(cx.node),
        asked: cx.args.to_owned(),
        db: cx.client.db,
        round,
        watched,
        let_go: AtomicBool::new(false),
        earlier,
        answer: Mutex::new(None),
    });
    // Kept whatever follows: the last to drop it lets go of the keys, and must not do so under their locks.
    cx.client.parked = Some(Arc::clone(&transfer) as Arc<dyn Any + Send + Sync>);
    let running = &cx.node.migrations.running;
    if running.fetch_add(1, Ordering::AcqRel) >= RUNNING_MAX {
        running.fetch_sub(1, Ordering::AcqRel);
        return Err(CommandError::err(format_args!("{RUNNING_MAX} calls of MIGRATE are under way: try again later")));
    }
    let shared = Arc::clone(&cx.client.shared);
    let spawned = std::thread::Builder::new().name("migrate".into()).spawn(move || {
        let node = Arc::clone(&transfer.node);
        let answer = send(&node, &target, &packed);
        *transfer.answer.lock() = Some(answer);
        drop(transfer);
        node.migrations.running.fetch_sub(1, Ordering::AcqRel);
        node.clients.send(&shared, Message::Look);
    });
    if let Err(e) = spawned {
        cx.node.migrations.running.fetch_sub(1, Ordering::AcqRel);
        return Err(CommandError::err(format_args!("no thread to send keys with: {e}")));
    }
    cx.client.later = true;
    Ok(())
}

/// The target has answered: what it took goes here, and what has changed meanwhile is sent again. Leaves the locks to the engine.
fn finish(cx: &mut NodeContext<'_, '_>, call: &Call<'_>, transfer: &Arc<Transfer>, answer: &Answer) -> Outcome {
    let error = transfer.earlier.clone().or_else(|| answer.error.clone());
    if call.target.copy {
        return reply(cx, error);
    }
    if !cx.space.lock_unless_busy(&Plan::All) {
        return Err(busy(cx));
    }
    let db = transfer.db;
    let (mut moved, mut changed): (Vec<&[u8]>, Vec<&[u8]>) = (Vec::new(), Vec::new());
    for ((name, flag), taken) in transfer.watched.iter().zip(&answer.taken) {
        let raised = flag.is_raised();
        cx.space.unwatch(Key::new(db, name), flag);
        match (taken, raised) {
            (false, _) => {}
            (true, false) => moved.push(name),
            (true, true) => changed.push(name),
        }
    }
    transfer.let_go.store(true, Ordering::Release);
    delete(cx, db, &moved);
    if changed.is_empty() {
        return reply(cx, error);
    }
    if transfer.round >= ROUNDS_MAX {
        return Err(CommandError::err(format_args!(
            "{} keys changed whenever they had been sent, {ROUNDS_MAX} times: they are still here, and the target has older copies",
            changed.len()
        )));
    }
    let (packed, watched) = pack(cx, db, &changed, true);
    if packed.is_empty() {
        // They have gone here: the copies over there are what has been moved.
        return reply(cx, error);
    }
    let target = Target { replace: true, ..call.target.clone() };
    send_off(cx, target, packed, watched, transfer.round + 1, error)
}

fn reply(cx: &mut NodeContext<'_, '_>, error: Option<Vec<u8>>) -> Outcome {
    match error {
        Some(text) => Err(CommandError::Bytes(text)),
        None => {
            cx.reply.ok();
            Ok(())
        }
    }
}

/// Inside a step that holds all locks.
fn at_once(cx: &mut NodeContext<'_, '_>, call: &Call<'_>) -> Outcome {
    let db = cx.client.db;
    let (packed, _) = pack(cx, db, &call.names, false);
    if packed.is_empty() {
        cx.reply.status("NOKEY");
        return Ok(());
    }
    let answer = send(cx.node, &call.target, &packed);
    if !call.target.copy {
        let moved: Vec<&[u8]> =
            packed.iter().zip(&answer.taken).filter(|(_, taken)| **taken).map(|(p, _)| &p.name[..]).collect();
        delete(cx, db, &moved);
    }
    reply(cx, answer.error)
}

fn delete(cx: &mut NodeContext<'_, '_>, db: u32, names: &[&[u8]]) {
    let mut words: Vec<&[u8]> = vec![b"DEL"];
    for name in names {
        let key = Key::new(db, name);
        if cx.space.delete(key) {
            cx.space.changed(key, EventClass::GENERIC, "del");
            words.push(name);
        }
    }
    if words.len() > 1 {
        cx.space.replace_effect(db, &words);
    }
}

/// Sends keys and reads what became of them. Blocks, for as long as the timeout at each read.
fn send(node: &Arc<Node>, target: &Target, packed: &[Packed]) -> Answer {
    let signs_in = !target.auth.is_empty();
    let cached = if signs_in { None } else { node.migrations.take(target) };
    let was_cached = cached.is_some();
    let mut taken = vec![false; packed.len()];
    let mut outcome = exchange(node, target, packed, cached, &mut taken);
    // The target may have closed what we kept; a time that is over is over.
    if was_cached && matches!(&outcome, Err((_, false))) && !taken.contains(&true) {
        outcome = exchange(node, target, packed, None, &mut taken);
    }
    let error = match outcome {
        Ok((stream, error)) => {
            if !signs_in {
                node.migrations.keep(target, stream);
            }
            error
        }
        Err((text, _)) => Some(text),
    };
    Answer { taken, error, at_ms: clock::monotonic_ms() }
}

/// The connection, and the first error the target answered with.
///
/// # Errors
/// The text of the reply, and whether time was up.
fn exchange(
    node: &Arc<Node>,
    target: &Target,
    packed: &[Packed],
    cached: Option<Cached>,
    taken: &mut [bool],
) -> Result<(Dialled, Option<Vec<u8>>), Failure> {
    let host: &dyn Host = &**node;
    let timeout = Duration::from_millis(target.timeout_ms);
    let (mut stream, selected) = match cached {
        Some(c) => (c.stream, Some(c.db)),
        None => {
            let stream = replication::dial(host, &target.host, target.port, timeout)
                .map_err(|e| (format!("IOERR error or timeout connecting to the client: {e}").into_bytes(), true))?;
            (stream, None)
        }
    };
    let io = |doing: &str, e: &std::io::Error| {
        let late = matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        (format!("IOERR error or timeout {doing} target instance").into_bytes(), late)
    };
    stream
        .set_read_timeout(Some(timeout))
        .and_then(|()| stream.set_write_timeout(Some(timeout)))
        .map_err(|e| io("connecting to", &e))?;
    let mut request = Vec::new();
    let mut before = 0;
    if !target.auth.is_empty() {
        let mut words: Vec<&[u8]> = vec![b"AUTH"];
        words.extend(target.auth.iter().map(|w| w.as_slice()));
        encode_request(&mut request, &words);
        before += 1;
    }
    if selected != Some(target.db) {
        encode_request(&mut request, &[&b"SELECT"[..], target.db.to_string().as_bytes()]);
        before += 1;
    }
    // The slot is on its way there, and not there yet.
    let restore: &[u8] = if node.cluster.is_some() { b"RESTORE-ASKING" } else { b"RESTORE" };
    for p in packed {
        let ttl = p.ttl_ms.to_string();
        let mut words: Vec<&[u8]> = vec![restore, &p.name, ttl.as_bytes(), &p.payload];
        if target.replace {
            words.push(b"REPLACE");
        }
        encode_request(&mut request, &words);
    }
    stream.write_all(&request).and_then(|()| stream.flush()).map_err(|e| io("writing to", &e))?;
    let mut reader = ReplyReader::new(ReplyLimits { text_bytes_max: 1 << 20, ..ReplyLimits::default() });
    let mut buffer = vec![0; READ_BYTES];
    let mut error = None;
    for i in 0..before + packed.len() {
        let value = loop {
            match reader.next_value() {
                Ok(Some(Value::Push(_) | Value::Attribute(_))) => {}
                Ok(Some(value)) => break value,
                Ok(None) => {
                    let n = match stream.read(&mut buffer) {
                        Ok(0) => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
                        other => other,
                    };
                    let n = n.map_err(|e| io("reading from", &e))?;
                    reader.feed(&buffer[..n]);
                }
                Err(e) => return Err((format!("ERR the target does not speak the protocol: {e}").into_bytes(), true)),
            }
        };
        match value {
            Value::Error(text) => {
                let text = [b"ERR Target instance replied with error: ", &text[..]].concat();
                if i < before {
                    // Nobody has signed in, or another database would be written to.
                    return Err((text, true));
                }
                error.get_or_insert(text);
            }
            _ if i >= before => taken[i - before] = true,
            _ => {}
        }
    }
    Ok((stream, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_in_any_order_and_keys_end_them() {
        let parsed = |line: &str| {
            let own = OwnedArgs::new(line.split(' ').map(|w| if w == "-" { b"" } else { w.as_bytes() }));
            let call = Call::parse(own.args());
            call.map(|c| (c.target.timeout_ms, c.target.copy, c.target.replace, c.target.auth.len(), c.names.len()))
                .map_err(|e| String::from_utf8_lossy(&e.text()).into_owned())
        };
        assert_eq!(parsed("migrate h 1 k 0 -5"), Ok((TIMEOUT_MS, false, false, 0, 1)));
        assert_eq!(parsed("migrate h 1 - 0 50 replace auth2 u p copy keys a b a"), Ok((50, true, true, 2, 2)));
        assert_eq!(parsed("migrate h 1 - 0 50 keys"), Ok((50, false, false, 0, 0)));
        assert!(parsed("migrate h 1 k 0 50 keys a").is_err_and(|e| e.contains("empty string")));
        for wrong in ["migrate h 1 k 0 50 auth", "migrate h 1 k 0 50 auth2 u", "migrate h 1 k 0 50 what"] {
            assert!(parsed(wrong).is_err_and(|e| e.contains("syntax error")), "{wrong}");
        }
        assert!(parsed("migrate h 1 k x 50").is_err() && parsed("migrate h 70000 k 0 50").is_err());
    }
}
