//! MEMORY: what keys and the server cost.

use super::flush::sizes;
use crate::base::slab;
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, DataContext, NodeContext, Outcome};
use crate::keyspace::STRIPES;
use crate::observe::info::{Memory, ratio};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::hash::HashRef;
use crate::value::object::Object;
use crate::value::record::Record;
use crate::value::set::SetRef;
use crate::value::table::{MemberPath, PLACE_BYTES, Table};
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

const MEMORY_SPEC: CommandSpec = CommandSpec::container("memory", Group::Server, "")
    .since("4.0.0")
    .doc("Groups the commands that look into memory.", "By subcommand");

const MEMORY_DOCTOR_SPEC: CommandSpec = CommandSpec::sub("memory", "doctor", 2, Group::Server, "")
    .since("4.0.0")
    .tips("nondeterministic_output request_policy:all_shards response_policy:special")
    .doc("Explains in words what is odd about the memory in use.", "O(1)");

const MEMORY_HELP_SPEC: CommandSpec = CommandSpec::sub("memory", "help", 2, Group::Server, "loading stale")
    .since("4.0.0")
    .doc("Prints what MEMORY can do.", "O(1)");

const MEMORY_MALLOC_STATS_SPEC: CommandSpec = CommandSpec::sub("memory", "malloc-stats", 2, Group::Server, "loading")
    .since("4.0.0")
    .tips("nondeterministic_output request_policy:all_shards response_policy:special")
    .doc("Prints the statistics of the allocator.", "As much as there is allocated");

const MEMORY_PURGE_SPEC: CommandSpec = CommandSpec::sub("memory", "purge", 2, Group::Server, "loading")
    .since("4.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .doc("Asks the allocator to give pages back.", "As much as there is allocated");

const MEMORY_STATS_SPEC: CommandSpec = CommandSpec::sub("memory", "stats", 2, Group::Server, "")
    .since("4.0.0")
    .tips("nondeterministic_output request_policy:all_shards response_policy:special")
    .doc("Prints what memory is used for.", "O(1)");

const MEMORY_USAGE_SPEC: CommandSpec = CommandSpec::sub("memory", "usage", -3, Group::Server, "readonly")
    .since("4.0.0")
    .keys(&[KeySpec::index(2, "RO")])
    .args("key:key [SAMPLES=count:integer]")
    .doc("Estimates the memory that a key takes.", "O(N), N: samples");
pub static MEMORY: Command = Command::container(
    MEMORY_SPEC,
    &[
        &Command::node(MEMORY_DOCTOR_SPEC, doctor),
        &Command::node(MEMORY_HELP_SPEC, help),
        &Command::node(MEMORY_MALLOC_STATS_SPEC, malloc_stats),
        &Command::node(MEMORY_PURGE_SPEC, purge),
        // A span: it counts keys, and must not take locks of its own while EXEC holds some.
        &Command::span(MEMORY_STATS_SPEC, stats),
        &Command::data(MEMORY_USAGE_SPEC, usage),
    ],
);

/// Elements that are always measured one by one: some ten microseconds under the lock. Larger tables are measured by as many of them at
/// least.
const EXACT_MAX: usize = 1024;

/// Bytes of a record and all it owns, its block as the allocator rounds it; tables of more than `samples` elements by so many of them.
fn record_bytes(record: &Record, samples: usize) -> usize {
    let sampled = |table: &Table<MemberPath>| {
        (table.len() > samples).then(|| {
            let (mut seen, mut bytes) = (0, 0);
            table.scan(0, samples, |r| {
                seen += 1;
                bytes += r.memory_bytes();
            });
            let mean = bytes as f64 / f64::from(seen.max(1));
            size_of::<Object>() + table.memory_bytes(false) + (mean * table.len() as f64) as usize
        })
    };
    let object = match record.object() {
        Some(Object::Set(set)) => match set.as_ref() {
            SetRef::Table(t) => sampled(t),
            _ => None,
        },
        Some(Object::Hash(hash)) => match hash.as_ref() {
            HashRef::Table(t) => sampled(t),
            HashRef::Pack(_) => None,
        },
        _ => None,
    };
    slab::block_bytes(record.block_bytes()) + object.unwrap_or_else(|| record.memory_bytes() - record.block_bytes())
}

fn usage(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (mut at, mut count) = (3, EXACT_MAX);
    while let Some(word) = cx.args.get(at) {
        let Some(samples) = cx.args.get(at + 1).filter(|_| is(word, "SAMPLES")) else {
            return Err(CommandError::Syntax);
        };
        count = match usize::try_from(integer(samples)?) {
            Ok(0) => usize::MAX,
            Ok(n) => n.max(EXACT_MAX),
            Err(_) => return Err(CommandError::Syntax),
        };
        at += 2;
    }
    let key = cx.key(2);
    match cx.space.peek(key) {
        Some(record) => {
            cx.site.weigh(record.object().map_or(0, |o| o.len().min(count)))?;
            cx.reply.integer((record_bytes(&record, count) + PLACE_BYTES) as i64);
        }
        None => cx.reply.null(),
    }
    Ok(())
}

/// Bytes of the stream that are kept, and of a primary's that wait for its copy.
fn stream_bytes(cx: &NodeContext<'_, '_>) -> (u64, u64) {
    (cx.node.journal.backlog().2, cx.node.replication.follower.following().map_or(0, |f| f.held))
}

fn figures(cx: &NodeContext<'_, '_>) -> Memory {
    let n = cx.node;
    let (kept, held) = stream_bytes(cx);
    Memory::of(
        crate::base::memory::used(),
        n.baseline_memory.load(Relaxed),
        n.clients.memory_bytes(),
        kept + held,
        n.peak_memory.load(Relaxed),
    )
}

/// Bytes of each database's tables without what they hold.
fn table_bytes(cx: &mut NodeContext<'_, '_>) -> Vec<usize> {
    let databases = cx.space.databases();
    let mut sums = vec![0; databases as usize];
    let mut add = |stripe: &mut crate::keyspace::Stripe| {
        for (db, sum) in (0..databases).zip(&mut sums) {
            *sum += stripe.database(db).table.memory_bytes(false);
        }
    };
    if cx.space.is_whole() {
        (0..STRIPES as u16).for_each(|n| add(cx.space.stripe(n)));
    } else {
        cx.space.keyspace().each_stripe(|_, stripe| add(stripe));
    }
    sums
}

enum Figure {
    Bytes(u64),
    Signed(i64),
    Float(f64),
    /// Bytes of a database's table.
    Database(u64),
}

fn stats(cx: &mut NodeContext<'_, '_>) -> Outcome {
    use Figure::{Bytes, Database, Float, Signed};
    let m = figures(cx);
    let (keys, tables) = (sizes(cx.space), table_bytes(cx));
    let total: usize = keys.iter().map(|k| k.0).sum();
    let a = m.allocator;
    let net = m.used.saturating_sub(m.startup);
    let mut rows: Vec<(String, Figure)> = Vec::new();
    let mut row = |name: &str, f: Figure| rows.push((name.to_owned(), f));
    row("peak.allocated", Bytes(m.peak));
    row("total.allocated", Bytes(m.used));
    row("startup.allocated", Bytes(m.startup));
    let (kept, held) = stream_bytes(cx);
    row("replication.backlog", Bytes(kept));
    row("replicas.repl.buffer", Bytes(held));
    row("clients.slaves", Bytes(0));
    row("clients.normal", Bytes(m.clients));
    for name in ["cluster.links", "cluster.slot_import", "cluster.slot_export", "aof.buffer"] {
        row(name, Bytes(0));
    }
    row("lua.caches", Bytes(0));
    row("functions.caches", Bytes(0));
    // Databases with something in them, and those that somebody works with.
    let selected: HashSet<u32> = cx.node.clients.all().iter().map(|c| c.db.load(Relaxed)).collect();
    for (db, (k, bytes)) in keys.iter().zip(&tables).enumerate() {
        if k.0 > 0 || *bytes > 0 || selected.contains(&(db as u32)) {
            row(&format!("db.{db}"), Database(*bytes as u64));
        }
    }
    let lut: usize = tables.iter().sum();
    row("overhead.db.hashtable.lut", Bytes(lut as u64));
    row("overhead.db.hashtable.rehashing", Bytes(0));
    row("overhead.total", Bytes(m.overhead));
    row("db.dict.rehashing.count", Bytes(0));
    row("keys.count", Bytes(total as u64));
    row("keys.bytes-per-key", Bytes(net.checked_div(total as u64).unwrap_or(0)));
    row("dataset.bytes", Bytes(m.dataset));
    row("dataset.percentage", Float(m.dataset_percent));
    row("peak.percentage", Float(m.used as f64 * 100.0 / m.peak.max(1) as f64));
    row("allocator.allocated", Bytes(a.allocated));
    row("allocator.active", Bytes(a.active));
    row("allocator.resident", Bytes(a.resident));
    row("allocator.muzzy", Bytes(0));
    for (name, (r, bytes)) in [
        ("allocator-fragmentation", ratio(a.active, a.allocated)),
        ("allocator-rss", ratio(a.resident, a.active)),
        ("rss-overhead", ratio(a.rss, a.resident)),
    ] {
        row(&format!("{name}.ratio"), Float(r));
        row(&format!("{name}.bytes"), Signed(bytes));
    }
    let (fragmentation, bytes) = m.fragmentation();
    row("fragmentation", Float(fragmentation));
    row("fragmentation.bytes", Signed(bytes));
    cx.reply.map(rows.len());
    for (name, figure) in rows {
        cx.reply.bulk(name.as_bytes());
        match figure {
            Bytes(n) => cx.reply.integer(n as i64),
            Signed(n) => cx.reply.integer(n),
            Float(f) => cx.reply.double_text(crate::base::number::FloatText::new(f).as_bytes()),
            Database(n) => {
                cx.reply.map(2);
                cx.reply.bulk(b"overhead.hashtable.main");
                cx.reply.integer(n as i64);
                // Deadlines stand in the keys' own blocks.
                cx.reply.bulk(b"overhead.hashtable.expires");
                cx.reply.integer(0);
            }
        }
    }
    Ok(())
}

/// Below this the figures say more of the process than of its data.
const DOCTOR_BYTES_MIN: u64 = 5 << 20;

fn doctor(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let m = figures(cx);
    if m.used < DOCTOR_BYTES_MIN {
        cx.reply.verbatim("txt", b"There is too little data to say anything of its memory.\n");
        return Ok(());
    }
    let mut text = String::new();
    if m.peak as f64 > m.used as f64 * 1.5 {
        text.push_str(
            "- Much more memory was in use once than now. The allocator keeps some of it, so the fragmentation ratio may look \
             worse than it is.\n",
        );
    }
    let (fragmentation, bytes) = m.fragmentation();
    if fragmentation > 1.4 && bytes > 10 << 20 {
        text.push_str(&format!("- The process holds {fragmentation:.2} bytes for each byte in use.\n"));
    }
    if m.clients > m.used / 4 {
        text.push_str("- Replies that clients have not read take a large part of the memory: see CLIENT LIST.\n");
    }
    if text.is_empty() {
        text.push_str("No memory problem was found.\n");
    }
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn malloc_stats(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let a = crate::base::memory::figures();
    let text = format!(
        "jemalloc {}\nAllocated: {}, active: {}, metadata: {}, resident: {}, retained: {}\n",
        crate::base::memory::allocator_version(),
        a.allocated,
        a.active,
        a.metadata,
        a.resident,
        a.retained
    );
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn purge(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if !crate::base::memory::purge() {
        return Err(CommandError::fixed("ERR Error purging dirty pages"));
    }
    cx.reply.ok();
    Ok(())
}

fn help(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.help(&[
        "DOCTOR",
        "    Report memory problems in words.",
        "MALLOC-STATS",
        "    Print the allocator's own statistics.",
        "PURGE",
        "    Ask the allocator to give free pages back.",
        "STATS",
        "    List figures of the server's memory.",
        "USAGE <key> [SAMPLES <count>]",
        "    Tell the bytes a key and its value take. Large sets and hashes are measured by",
        "    <count> elements (1024 at least, all with 0).",
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn usage_counts_key_and_value_and_knows_its_options() {
        static FAMILY: &[&Command] = &[&MEMORY];
        let mut b = Bench::new(&[FAMILY, crate::commands::string::COMMANDS, crate::commands::set::COMMANDS]);
        b.run("set quux xyzzy");
        b.check(&[
            ("memory usage nokey", "$-1\r\n"),
            ("memory usage quux", ":32\r\n"),
            ("memory usage quux samples 0 samples 5", ":32\r\n"),
            ("memory usage quux samples -1", "-ERR syntax error\r\n"),
            ("memory usage quux samples", "-ERR syntax error\r\n"),
            ("memory usage quux samples x", "-ERR value is not an integer or out of range\r\n"),
            ("memory usage quux foo 1", "-ERR syntax error\r\n"),
        ]);
    }

    #[test]
    fn a_sampled_estimate_is_near_the_exact_figure() {
        static FAMILY: &[&Command] = &[&MEMORY];
        let mut b = Bench::new(&[FAMILY, crate::commands::set::COMMANDS]);
        for i in 0..50 {
            let members: Vec<String> = (0..100).map(|j| format!("member:{}", i * 100 + j)).collect();
            b.run(&format!("sadd s {}", members.join(" ")));
        }
        let figure = |text: String| text.trim().trim_start_matches(':').parse::<f64>().expect("a number");
        let (sampled, exact) = (figure(b.run("memory usage s")), figure(b.run("memory usage s samples 0")));
        assert!((sampled / exact - 1.0).abs() < 0.05, "{sampled} against {exact}");
    }
}
