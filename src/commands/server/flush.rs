//! Databases as a whole: DBSIZE, FLUSHALL, FLUSHDB, SWAPDB.

use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, DataContext, NodeContext, Outcome};
use crate::keyspace::{STRIPES, Space};
use crate::spec::{CommandSpec, DatabaseUse, Group};

const DBSIZE_SPEC: CommandSpec = CommandSpec::new("dbsize", 1, Group::Server, "readonly fast arbitrary_keys")
    .acl("keyspace")
    .since("1.0.0")
    .tips("request_policy:all_shards response_policy:agg_sum")
    .doc("Counts the keys of the database.", "O(1)");

const FLUSHALL_SPEC: CommandSpec = CommandSpec::new("flushall", -1, Group::Server, "write arbitrary_keys")
    .databases(DatabaseUse::All)
    .acl("keyspace dangerous")
    .since("1.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .history(&[("4.0.0", "Mode `ASYNC`."), ("6.2.0", "Mode `SYNC`.")])
    .args("[flush-type{ASYNC@4.0.0|SYNC@6.2.0}]")
    .doc("Removes every key of every database.", "O(N), N: keys in all databases");

const FLUSHDB_SPEC: CommandSpec = CommandSpec::new("flushdb", -1, Group::Server, "write arbitrary_keys")
    .acl("keyspace dangerous")
    .since("1.0.0")
    .tips("request_policy:all_shards response_policy:all_succeeded")
    .history(&[("4.0.0", "Mode `ASYNC`."), ("6.2.0", "Mode `SYNC`.")])
    .args("[flush-type{ASYNC@4.0.0|SYNC@6.2.0}]")
    .doc("Removes every key of the database.", "O(N), N: keys in the database");

const SWAPDB_SPEC: CommandSpec = CommandSpec::new("swapdb", 3, Group::Server, "write fast arbitrary_keys")
    .databases(DatabaseUse::Swap)
    .acl("keyspace dangerous")
    .since("4.0.0")
    .args("index1:integer index2:integer")
    .doc("Exchanges two databases.", "O(N), N: clients that watch or wait on keys of either");
// A span: it must not take locks of its own while EXEC holds some.
pub static DBSIZE: Command = Command::span(DBSIZE_SPEC, dbsize);
pub static FLUSHALL: Command = Command::whole(FLUSHALL_SPEC, flushall);
pub static FLUSHDB: Command = Command::whole(FLUSHDB_SPEC, flushdb);
pub static SWAPDB: Command = Command::whole(SWAPDB_SPEC, swapdb);

/// Keys of each database and those with a deadline, in one walk over the stripes: under the locks that are held, or one lock at a time.
pub(in crate::commands) fn sizes(space: &mut Space<'_>) -> Vec<(usize, usize)> {
    if !space.is_whole() {
        return space.keyspace().sizes();
    }
    let databases = space.databases();
    let mut sums = vec![(0, 0); databases as usize];
    for n in 0..STRIPES as u16 {
        let stripe = space.stripe(n);
        for (db, sum) in (0..databases).zip(&mut sums) {
            let table = &stripe.database(db).table;
            sum.0 += table.len();
            sum.1 += table.deadlines();
        }
    }
    sums
}

fn dbsize(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let keys = sizes(cx.space).get(cx.client.db as usize).map_or(0, |s| s.0);
    cx.reply.integer(keys as i64);
    Ok(())
}

fn flushall(cx: &mut DataContext<'_, '_>) -> Outcome {
    flush(cx, None)
}

fn flushdb(cx: &mut DataContext<'_, '_>) -> Outcome {
    let db = cx.db;
    flush(cx, Some(db))
}

fn flush(cx: &mut DataContext<'_, '_>, db: Option<u32>) -> Outcome {
    let wait = match (cx.args.len(), cx.args.get(1)) {
        (1, _) => !cx.config.memory.lazyfree_lazy_user_flush,
        (2, Some(w)) if is(w, "SYNC") => true,
        (2, Some(w)) if is(w, "ASYNC") => false,
        _ => return Err(CommandError::Syntax),
    };
    let (keys, flushed) = cx.space.flush(db);
    cx.space.changes.dirty += keys as u64;
    if keys == 0 {
        // Said to those who follow even so: what is empty here may not be empty there.
        let own: Vec<&[u8]> = cx.args.iter().collect();
        cx.space.replace_effect(cx.db, &own);
    }
    cx.space.changes.flushed = Some((flushed, wait));
    cx.reply.ok();
    Ok(())
}

fn swapdb(cx: &mut DataContext<'_, '_>) -> Outcome {
    if cx.config.cluster.enabled {
        return Err(CommandError::fixed("ERR SWAPDB is not allowed in cluster mode"));
    }
    let index = |arg: &[u8], which: &str| {
        integer(arg)
            .ok()
            .filter(|n| i32::try_from(*n).is_ok())
            .ok_or_else(|| CommandError::err(format_args!("invalid {which} DB index")))
    };
    let first = index(cx.args.at(1), "first")?;
    let second = index(cx.args.at(2), "second")?;
    let in_range =
        |n: i64| u32::try_from(n).ok().filter(|n| *n < cx.space.databases()).ok_or(CommandError::DbIndexOutOfRange);
    let (first, second) = (in_range(first)?, in_range(second)?);
    if first != second {
        cx.space.swap(first, second);
    }
    cx.space.changes.dirty += 1;
    cx.reply.ok();
    Ok(())
}
