//! DEBUG: what tests of clients and of this family of servers use. Behind `enable-debug-command`.
//!
//! Knobs of machinery that does not exist here are answered with OK, as those tests need, and the log says that nothing came of it.

use crate::base::clock;
use crate::base::number::{parse_f64, parse_i64};
use crate::client::Client;
use crate::commands::arguments::{integer_in, is};
use crate::commands::debug::{cluster, digest, key, reload, table};
use crate::commands::list;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::config::Config;
use crate::config::codec::memory;
use crate::config::types::Permission;
use crate::journal::Effects;
use crate::keyspace::{Key, Plan};
use crate::persist::rdb;
use crate::spec::{CommandSpec, Group};
use crate::value::record::Content;
use std::sync::atomic::Ordering;
use std::time::Duration;

const DEBUG_SPEC: CommandSpec = CommandSpec::new("debug", -2, Group::Server, "admin noscript loading stale")
    .since("1.0.0")
    .system()
    .doc("Groups the commands for tests of the server.", "By subcommand");
// A span: it looks at keys, and must not take locks of its own while EXEC holds some.
pub static DEBUG: Command = Command::span(DEBUG_SPEC, debug);

/// The longest DEBUG SLEEP: a worker stands still for it.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

type Run = fn(&mut NodeContext<'_, '_>) -> Outcome;

/// Subcommands: name, arguments with the two words, handler.
const SUBCOMMANDS: &[(&str, std::ops::RangeInclusive<usize>, Run)] = &[
    ("SLEEP", 3..=3, sleep),
    ("SEGFAULT", 2..=2, segfault),
    ("ASSERT", 2..=2, assertion),
    ("PANIC", 2..=2, panic),
    ("OBJECT", 3..=4, key::object),
    ("SDSLEN", 3..=3, key::sdslen),
    ("LISTPACK", 3..=3, key::listpack),
    ("QUICKLIST", 3..=4, key::quicklist),
    ("SET-ACTIVE-EXPIRE", 3..=3, set_active_expire),
    ("PAUSE-CRON", 3..=3, pause_cron),
    ("HTSTATS", 3..=4, table::htstats),
    ("HTSTATS-KEY", 3..=4, table::htstats_key),
    ("POPULATE", 3..=5, populate),
    ("PROTOCOL", 3..=3, protocol),
    ("ERROR", 3..=3, error),
    ("LOG", 3..=3, log),
    ("CHANGE-REPL-ID", 2..=2, change_replication_id),
    ("CONFIG-REWRITE-FORCE-ALL", 2..=2, rewrite_all),
    ("QUICKLIST-PACKED-THRESHOLD", 3..=3, packed_threshold),
    ("PROTECT-CLIENT", 3..=3, |cx| protect(cx, true)),
    ("UNPROTECT-CLIENT", 3..=3, |cx| protect(cx, false)),
    ("REPLYBUFFER", 4..=4, reply_buffer),
    ("DICT-RESIZING", 3..=3, dict_resizing),
    ("FORCE-FREE-PRIMARY-ASYNC", 3..=3, |cx| {
        inert(cx, "a link that is over has no say any more, whenever its thread ends")
    }),
    ("HASHTABLE-CAN-ABORT-SHRINK", 3..=3, |cx| inert(cx, "tables never shrink as a whole")),
    ("CLIENT-ENFORCE-REPLY-LIST", 3..=3, |cx| inert(cx, "replies have no static buffer")),
    ("SET-DISABLE-DENY-SCRIPTS", 3..=3, set_disable_deny_scripts),
    ("SET-SKIP-CHECKSUM-VALIDATION", 3..=3, skip_checksum),
    ("AOF-FLUSH-SLEEP", 3..=3, aof_flush_sleep),
    ("RELOAD", 2..=usize::MAX, reload::reload),
    ("LOADAOF", 2..=2, reload::load_aof),
    ("RESTART", 2..=3, disk),
    ("CRASH-AND-RECOVER", 2..=3, disk),
    ("DIGEST", 2..=2, digest::of_all),
    ("DIGEST-VALUE", 2..=usize::MAX, digest::of_values),
    ("REPLICATE", 3..=usize::MAX, replicate),
    ("CLUSTERLINK", 5..=5, cluster::kill_link),
    ("DROP-CLUSTER-PACKET-FILTER", 3..=3, cluster::drop_packets),
    ("CLOSE-CLUSTER-LINK-ON-PACKET-DROP", 3..=3, cluster::close_on_drop),
    ("DISABLE-CLUSTER-RECONNECTION", 3..=3, cluster::disable_reconnection),
    ("DISABLE-CLUSTER-RANDOM-PING", 3..=3, cluster::disable_random_ping),
    ("PAUSE-AFTER-FORK", 3..=3, pause_after_fork),
    ("DELAY-RDB-CLIENT-FREE-SECONDS", 3..=3, grace),
    ("HELP", 2..=2, help),
];

/// Whether this client may use DEBUG at all.
///
/// # Errors
/// `enable-debug-command` says no.
pub fn permit(client: &Client, config: &Config) -> Outcome {
    let allowed = match config.security.enable_debug_command {
        Permission::Yes => true,
        Permission::Local => client.shared.is_local(),
        Permission::No => false,
    };
    if allowed {
        return Ok(());
    }
    Err(CommandError::fixed(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

fn debug(cx: &mut NodeContext<'_, '_>) -> Outcome {
    permit(cx.client, cx.config)?;
    let word = cx.args.at(1);
    let found = SUBCOMMANDS.iter().find(|(name, len, _)| is(word, name) && len.contains(&cx.args.len()));
    match found {
        Some((_, _, run)) => run(cx),
        None => Err(cx.syntax_hint()),
    }
}

fn inert(cx: &mut NodeContext<'_, '_>, why: &str) -> Outcome {
    tracing::info!("DEBUG {} has no effect: {why}", String::from_utf8_lossy(cx.args.at(1)));
    cx.reply.ok();
    Ok(())
}

fn missing(cx: &mut NodeContext<'_, '_>, what: &str) -> Outcome {
    let sub = String::from_utf8_lossy(cx.args.at(1)).to_lowercase();
    Err(CommandError::err(format_args!("'debug|{sub}' is not there yet: {what}")))
}

fn disk(cx: &mut NodeContext<'_, '_>) -> Outcome {
    missing(cx, "saving to disk")
}

fn flag(arg: &[u8]) -> bool {
    // As forgiving as its users expect: what is no number is 0.
    parse_i64(arg).unwrap_or(0) != 0
}

fn sleep(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let seconds = parse_f64(cx.args.at(2)).unwrap_or(0.0).clamp(0.0, SLEEP_SECONDS_MAX);
    // The server is meant to stand still, so that clients, sentinels and other nodes wait for it: nobody else gets at the data, and no
    // worker serves those who want none.
    let until_ms = clock::monotonic_ms() + (seconds * 1000.0).ceil() as u64;
    cx.node.asleep_until_ms.fetch_max(until_ms, Ordering::AcqRel);
    let whole = cx.space.is_whole();
    if !whole {
        cx.space.lock(&Plan::All);
    }
    std::thread::sleep(Duration::from_secs_f64(seconds));
    if !whole {
        cx.space.unlock();
    }
    cx.reply.ok();
    Ok(())
}

/// Ends the process as a fault of its own would: by the signal, which the kernel delivers like any other.
fn segfault(_: &mut NodeContext<'_, '_>) -> Outcome {
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSEGV);
    Err(CommandError::fixed("ERR the process outlived a segmentation fault"))
}

/// The same by an assertion that does not hold.
fn assertion(cx: &mut NodeContext<'_, '_>) -> Outcome {
    assert!(cx.args.len() != 2, "ASSERTION FAILED: asked for by DEBUG ASSERT");
    Ok(())
}

/// And by a panic.
fn panic(_: &mut NodeContext<'_, '_>) -> Outcome {
    panic!("asked for by DEBUG PANIC")
}

fn set_active_expire(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.node.active_expire.store(flag(cx.args.at(2)), Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn skip_checksum(cx: &mut NodeContext<'_, '_>) -> Outcome {
    rdb::skip_checksum(flag(cx.args.at(2)));
    cx.reply.ok();
    Ok(())
}

fn aof_flush_sleep(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let us = parse_i64(cx.args.at(2)).and_then(|us| u64::try_from(us).ok()).ok_or(CommandError::NotInteger)?;
    cx.node.aof.sleep_before_writes(us);
    cx.reply.ok();
    Ok(())
}

/// The server stops, as SIGSTOP does, when the next copy is where the other side no longer needs it.
fn pause_after_fork(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.node.replication.pause_after_cut.store(flag(cx.args.at(2)), Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

/// How long a copy's main channel may take to come.
fn grace(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let seconds = integer_in(cx.args.at(2), 0, 1 << 30, CommandError::MustBePositive)?;
    cx.node.replication.replicas.pairs.set_grace_ms(seconds as u64 * 1000);
    cx.reply.ok();
    Ok(())
}

/// A request goes into the stream as it is, without being run.
fn replicate(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let words: Vec<&[u8]> = cx.args.iter().skip(2).collect();
    let whole = cx.space.is_whole();
    if !whole {
        cx.space.lock(&Plan::All);
    }
    if cx.node.journal.is_read() {
        let mut effects = Effects::default();
        effects.push(cx.client.db, &words);
        cx.node.journal.append(&mut effects);
    }
    if !whole {
        cx.space.unlock();
    }
    cx.node.journal.ring();
    cx.reply.ok();
    Ok(())
}

fn pause_cron(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.node.cron_paused.store(flag(cx.args.at(2)), Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

/// Keys one POPULATE makes at the most: more is a mistake.
const POPULATE_MAX: i64 = 100_000_000;

fn populate(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let count = integer_in(cx.args.at(2), 0, POPULATE_MAX, CommandError::MustBePositive)
        .map_err(|_| CommandError::MustBePositive)?;
    let prefix = cx.args.get(3).unwrap_or(b"key");
    let limit = i64::try_from(cx.config.limits.proto_max_bulk_len).unwrap_or(i64::MAX);
    let size = cx.args.get(4).map(|s| integer_in(s, 0, limit, CommandError::MustBePositive)).transpose()?;
    let size = size.map(|s| s as usize);
    for n in 0..count {
        let name = [prefix, format!(":{n}").as_bytes()].concat();
        let mut value = format!("value:{n}").into_bytes();
        if let Some(size) = size.filter(|s| *s > 0) {
            value.resize(size, 0);
        }
        cx.with_key(&name, |space, key: Key<'_>, _| {
            if !space.alive(key) {
                space.add(key, Content::String(&value), None);
                space.mark(key);
            }
        });
    }
    cx.reply.ok();
    Ok(())
}

fn protocol(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let r = &mut *cx.reply;
    match cx.args.at(2) {
        w if is(w, "STRING") => r.bulk(b"Hello World"),
        w if is(w, "INTEGER") => r.integer(12345),
        w if is(w, "DOUBLE") => r.double_text(b"3.141"),
        w if is(w, "NULL") => r.null(),
        w if is(w, "ARRAY") => {
            r.array(3);
            (0..3).for_each(|n| r.integer(n));
        }
        w if is(w, "SET") => {
            r.set(3);
            (0..3).for_each(|n| r.integer(n));
        }
        w if is(w, "MAP") => {
            r.map(3);
            for n in 0..3 {
                r.integer(n);
                r.bool(n == 1);
            }
        }
        w if is(w, "ATTRIB") => {
            if r.is_resp3() {
                r.attribute(1);
                r.bulk(b"key-popularity");
                r.array(2);
                r.bulk(b"key:123");
                r.integer(90);
            }
            r.bulk(b"Some real reply following the attribute");
        }
        w if is(w, "PUSH") => {
            if !r.is_resp3() {
                return Err(CommandError::fixed("ERR RESP2 is not supported by this command"));
            }
            // The reply itself comes first: what is out of band must not stand in for it.
            r.bulk(b"Some real reply following the push reply");
            r.push(2);
            r.bulk(b"server-cpu-usage");
            r.integer(42);
        }
        w if is(w, "BIGNUM") => r.big_number(b"1234567999999999999999999999999999999"),
        w if is(w, "VERBATIM") => r.verbatim("txt", b"This is a verbatim\nstring"),
        w if is(w, "TRUE") => r.bool(true),
        w if is(w, "FALSE") => r.bool(false),
        _ => {
            return Err(CommandError::fixed(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

fn error(cx: &mut NodeContext<'_, '_>) -> Outcome {
    Err(CommandError::Bytes(cx.args.at(2).to_vec()))
}

fn log(cx: &mut NodeContext<'_, '_>) -> Outcome {
    tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(cx.args.at(2)));
    cx.reply.ok();
    Ok(())
}

fn change_replication_id(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let id = crate::crypto::random_hex(40).map_err(CommandError::err)?;
    tracing::info!("Changing replication IDs after receiving change-repl-id");
    cx.node.replication.identity.lock().adopt(id);
    cx.reply.ok();
    Ok(())
}

fn rewrite_all(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.node.config.rewrite(true).map_err(CommandError::err)?;
    cx.reply.ok();
    Ok(())
}

fn set_disable_deny_scripts(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let on = crate::commands::arguments::integer(cx.args.at(2))? != 0;
    cx.node.scripts_call_anything.store(on, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

fn packed_threshold(cx: &mut NodeContext<'_, '_>) -> Outcome {
    const BYTES_MAX: u64 = 4 << 30;
    let bytes = memory(cx.args.at(2))
        .filter(|n| *n < BYTES_MAX)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or(CommandError::fixed("ERR argument must be a memory value bigger than 1 and smaller than 4gb"))?;
    list::access::set_packed_threshold(bytes);
    cx.reply.ok();
    Ok(())
}

/// A protected client is closed by nobody but itself.
fn protect(cx: &mut NodeContext<'_, '_>, on: bool) -> Outcome {
    let found = parse_i64(cx.args.at(2)).and_then(|id| u64::try_from(id).ok()).and_then(|id| cx.node.clients.get(id));
    let Some(client) = found else { return Err(CommandError::fixed("ERR No such client")) };
    client.protected.store(on, Ordering::Relaxed);
    cx.reply.ok();
    Ok(())
}

/// Replies have no buffer of the connection's own, so none is ever resized: to ask for that is to ask for what is. Anything else about such
/// buffers cannot be had.
fn reply_buffer(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if is(cx.args.at(2), "RESIZING") {
        cx.reply.ok();
        return Ok(());
    }
    if is(cx.args.at(2), "PEAK-RESET-TIME") {
        return Err(CommandError::err("replies have no buffer of the connection's own: there is no peak to reset"));
    }
    Err(cx.syntax_hint())
}

/// Off, tables keep the segments that deletions have emptied.
fn dict_resizing(cx: &mut NodeContext<'_, '_>) -> Outcome {
    crate::value::table::set_shrinking(flag(cx.args.at(2)));
    cx.reply.ok();
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "CHANGE-REPL-ID",
        "    Take a new replication id.",
        "CONFIG-REWRITE-FORCE-ALL",
        "    Write all directives into the configuration file, defaults too.",
        "DELAY-RDB-CLIENT-FREE-SECONDS <seconds>",
        "    How long a copy that was sent waits for the main channel of its replica.",
        "DIGEST",
        "    A fingerprint of all data, the same wherever the data is the same.",
        "DIGEST-VALUE [<key> ...]",
        "    Fingerprints of values.",
        "ERROR <text>",
        "    Answer with this error.",
        "HTSTATS <db> [full]",
        "    Show the size of a database's table.",
        "HTSTATS-KEY <key> [full]",
        "    The same for a value that is a table.",
        "ASSERT",
        "    End the process by an assertion that does not hold.",
        "LISTPACK <key>",
        "    Write the size of a listpack into the log.",
        "LOADAOF",
        "    Empty the data set and load the append-only file.",
        "LOG <text>",
        "    Write a line into the log.",
        "OBJECT <key> [fast]",
        "    Show how a value is kept; fast leaves out what takes a walk over it.",
        "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
        "    Look at the sums of payloads, or do not.",
        "AOF-FLUSH-SLEEP <microseconds>",
        "    Wait before each write to the append-only file.",
        "PAUSE-CRON <0|1>",
        "    Stop periodic tasks.",
        "PAUSE-AFTER-FORK <0|1>",
        "    Stop (SIGSTOP) when the next copy has been sent, or as a replica when the stream behind one is asked for.",
        "PANIC",
        "    End the process by a panic.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Make so many strings, named <prefix>:<number>.",
        "PROTOCOL <type>",
        "    Answer with a value of a type: string, integer, double, bignum, null, array, set,",
        "    map, attrib, push, verbatim, true, false.",
        "PROTECT-CLIENT <id>",
        "    Let nobody but itself close a client; UNPROTECT-CLIENT takes it back.",
        "QUICKLIST <key> [<0|1>]",
        "    Write the nodes of a list into the log, with 1 also how many elements they have.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Give elements of lists from so many bytes on a node of their own; 0 as configured.",
        "REPLICATE <command> [<argument> ...]",
        "    Put a request into the stream of changes, which is one for the log and the replicas, without running it.",
        "SDSLEN <key>",
        "    Show lengths and allocations of a key and its string.",
        "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
        "    Save the data and load them again, without one of the steps if told so; MERGE replaces keys that are there.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Turn the removal of expired keys that nobody asks for off or on.",
        "SEGFAULT",
        "    End the process by SIGSEGV.",
        "SLEEP <seconds>",
        "    Stand still.",
    ])
}
