//! Fields by name: setting, reading, removing, listing.

use super::{drop_empty, edit, hash_mut, hash_of, limits, note, note_expired, read};
use crate::commands::arguments::{integer, is};
use crate::commands::scan::{ScanOptions, cursor, write_item, write_value};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::resp::args::Args;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::hash::{Before, FieldTtl, Value};

/// The error where a number of fields does not fit the fields given.
pub(super) const NUMFIELDS: CommandError =
    CommandError::fixed("ERR numfields should be greater than 0 and match the provided number of fields");

/// Sets pairs; how many fields are new, and how many of them had expired.
fn set_pairs(cx: &mut DataContext<'_, '_>) -> Result<usize, CommandError> {
    let pairs = cx.args.from(2);
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity(cx.command_name()));
    }
    let (key, limits, now) = (cx.key(1), limits(cx.config), cx.now_ms());
    let longest = pairs.iter().map(<[u8]>::len).max().unwrap_or(0);
    let (new, gone) = edit(cx.space, key, |hash| {
        hash.expect(pairs.len() / 2, longest, &limits);
        let (mut new, mut gone) = (0, 0);
        for i in (0..pairs.len()).step_by(2) {
            let before = hash.set(pairs.at(i), pairs.at(i + 1), FieldTtl::Clear, now, &limits);
            new += usize::from(before != Before::Live);
            gone += usize::from(before == Before::Expired);
        }
        (new, gone)
    })?;
    note_expired(cx.space, key, gone);
    note(cx.space, key, "hset", pairs.len() / 2);
    Ok(new)
}

pub static HSET: Command = Command::data(
    CommandSpec::new("hset", -4, Group::Hash, "write denyoom fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RW update")])
        .history(&[("4.0.0", "Several fields at once.")])
        .args("key:key data(field value)...")
        .doc("Writes fields of a hash, which is created if missing.", "O(N), N: fields"),
    hset,
);

fn hset(cx: &mut DataContext<'_, '_>) -> Outcome {
    let new = set_pairs(cx)?;
    cx.reply.integer(new as i64);
    Ok(())
}

pub static HMSET: Command = Command::data(
    CommandSpec::new("hmset", -4, Group::Hash, "write denyoom fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RW update")])
        .args("key:key data(field value)...")
        .doc("Writes several fields of a hash.", "O(N), N: fields"),
    hmset,
);

fn hmset(cx: &mut DataContext<'_, '_>) -> Outcome {
    set_pairs(cx)?;
    cx.reply.ok();
    Ok(())
}

pub static HSETNX: Command = Command::data(
    CommandSpec::new("hsetnx", 4, Group::Hash, "write denyoom fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RW insert")])
        .args("key:key field value")
        .doc("Writes a field of a hash unless it exists.", "O(1)"),
    hsetnx,
);

fn hsetnx(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, field, value) = (cx.key(1), cx.args.at(2), cx.args.at(3));
    let (limits, now) = (limits(cx.config), cx.now_ms());
    let before = edit(cx.space, key, |hash| {
        let before = hash.state(field, now);
        if before != Before::Live {
            hash.set(field, value, FieldTtl::Clear, now, &limits);
        }
        before
    })?;
    if before == Before::Live {
        cx.reply.integer(0);
        return Ok(());
    }
    if before == Before::Expired {
        note_expired(cx.space, key, 1);
        // A replica still sees the field that has expired here.
        cx.space.replace_effect(cx.db, &[b"HSET", key.name, field, value]);
    }
    note(cx.space, key, "hset", 1);
    cx.reply.integer(1);
    Ok(())
}

pub static HGET: Command = Command::data(
    CommandSpec::new("hget", 3, Group::Hash, "readonly fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key field")
        .doc("Reads one field of a hash.", "O(1)"),
    hget,
);

fn hget(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (field, now) = (cx.args.at(2), cx.now_ms());
    let Some(record) = cx.space.find(cx.key(1)) else {
        cx.reply.null();
        return Ok(());
    };
    let reply = &mut *cx.reply;
    hash_of(&record)?.get(field, now, |v| match v {
        Some(v) => write_value(reply, v),
        None => reply.null(),
    });
    Ok(())
}

pub static HMGET: Command = Command::data(
    CommandSpec::new("hmget", -3, Group::Hash, "readonly fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key field...")
        .doc("Reads several fields of a hash.", "O(N), N: fields"),
    hmget,
);

fn hmget(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (fields, now) = (cx.args.from(2), cx.now_ms());
    read(cx, cx.key(1), |hash, reply| {
        reply.array(fields.len());
        for field in fields.iter() {
            hash.get(field, now, |v| match v {
                Some(v) => write_value(reply, v),
                None => reply.null(),
            });
        }
    })
}

pub static HDEL: Command = Command::data(
    CommandSpec::new("hdel", -3, Group::Hash, "write fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RW delete")])
        .history(&[("2.4.0", "Several fields at once.")])
        .args("key:key field...")
        .doc("Removes fields from a hash, and the hash with its last field.", "O(N), N: fields"),
    hdel,
);

fn hdel(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, fields, now) = (cx.key(1), cx.args.from(2), cx.now_ms());
    let (mut removed, mut emptied) = (0, false);
    if let Some(mut record) = cx.space.find_mut(key) {
        let hash = hash_mut(&mut record)?;
        for field in fields.iter() {
            if hash.state(field, now) == Before::Live {
                hash.remove(field, now);
                removed += 1;
            }
        }
        emptied = hash.is_empty();
    }
    note(cx.space, key, "hdel", removed);
    drop_empty(cx.space, key, emptied);
    cx.reply.integer(removed as i64);
    Ok(())
}

pub static HGETDEL: Command = Command::data(
    CommandSpec::new("hgetdel", -5, Group::Hash, "write fast")
        .since("9.1.0")
        .keys(&[KeySpec::index(1, "RW access delete")])
        .args("key:key FIELDS=fields(numfields:integer#0 field...)")
        .doc("Reads fields of a hash, then removes them.", "O(N), N: fields"),
    hgetdel,
);

fn hgetdel(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, now) = (cx.key(1), cx.now_ms());
    let fields = counted_fields(cx.args, 2, NUMFIELDS)?;
    let (mut removed, mut emptied) = (0, false);
    cx.reply.array(fields.len());
    match cx.space.find_mut(key) {
        None => fields.iter().for_each(|_| cx.reply.null()),
        Some(mut record) => {
            let hash = hash_mut(&mut record)?;
            for field in fields.iter() {
                let reply = &mut *cx.reply;
                let there = hash.get(field, now, |v| match v {
                    Some(v) => {
                        write_value(reply, v);
                        true
                    }
                    None => {
                        reply.null();
                        false
                    }
                });
                if there {
                    hash.remove(field, now);
                    removed += 1;
                }
            }
            emptied = hash.is_empty();
        }
    }
    note(cx.space, key, "hdel", removed);
    drop_empty(cx.space, key, emptied);
    Ok(())
}

/// `FIELDS numfields field...` from argument `at` on to the end; `mismatch` where the number is not theirs.
pub(super) fn counted_fields<'a>(args: Args<'a>, at: usize, mismatch: CommandError) -> Result<Args<'a>, CommandError> {
    if !args.get(at).is_some_and(|a| is(a, "FIELDS")) {
        return Err(CommandError::Syntax);
    }
    let n = integer(args.get(at + 1).ok_or(CommandError::Syntax)?)?;
    let fields = args.from(at + 2);
    if n < 1 || usize::try_from(n) != Ok(fields.len()) {
        return Err(mismatch);
    }
    Ok(fields)
}

pub static HLEN: Command = Command::data(
    CommandSpec::new("hlen", 2, Group::Hash, "readonly fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RO")])
        .args("key:key")
        .doc("Counts the fields of a hash.", "O(1)"),
    hlen,
);

fn hlen(cx: &mut DataContext<'_, '_>) -> Outcome {
    read(cx, cx.key(1), |hash, reply| reply.integer(hash.len() as i64))
}

pub static HSTRLEN: Command = Command::data(
    CommandSpec::new("hstrlen", 3, Group::Hash, "readonly fast")
        .since("3.2.0")
        .keys(&[KeySpec::index(1, "RO")])
        .args("key:key field")
        .doc("Tells the length of a field's value in bytes.", "O(1)"),
    hstrlen,
);

fn hstrlen(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (field, now) = (cx.args.at(2), cx.now_ms());
    read(cx, cx.key(1), |hash, reply| {
        reply.integer(hash.get(field, now, |v| v.map_or(0, Value::text_len)) as i64);
    })
}

pub static HEXISTS: Command = Command::data(
    CommandSpec::new("hexists", 3, Group::Hash, "readonly fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RO")])
        .args("key:key field")
        .doc("Tells whether a hash has a field.", "O(1)"),
    hexists,
);

fn hexists(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (field, now) = (cx.args.at(2), cx.now_ms());
    read(cx, cx.key(1), |hash, reply| reply.integer(i64::from(hash.contains(field, now))))
}

pub static HKEYS: Command = Command::data(
    CommandSpec::new("hkeys", 2, Group::Hash, "readonly")
        .since("2.0.0")
        .tips("nondeterministic_output_order")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key")
        .doc("Lists the field names of a hash.", "O(N), N: fields in the hash"),
    hkeys,
);

fn hkeys(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (now, site) = (cx.now_ms(), cx.site);
    read(cx, cx.key(1), |hash, reply| {
        site.weigh(hash.len())?;
        reply.array(hash.live_len(now));
        hash.for_each(now, |field, _| write_item(reply, field));
        Ok(())
    })?
}

pub static HVALS: Command = Command::data(
    CommandSpec::new("hvals", 2, Group::Hash, "readonly")
        .since("2.0.0")
        .tips("nondeterministic_output_order")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key")
        .doc("Lists the values of a hash.", "O(N), N: fields in the hash"),
    hvals,
);

fn hvals(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (now, site) = (cx.now_ms(), cx.site);
    read(cx, cx.key(1), |hash, reply| {
        site.weigh(hash.len())?;
        reply.array(hash.live_len(now));
        hash.for_each(now, |_, value| write_value(reply, value));
        Ok(())
    })?
}

pub static HGETALL: Command = Command::data(
    CommandSpec::new("hgetall", 2, Group::Hash, "readonly")
        .since("2.0.0")
        .tips("nondeterministic_output_order")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key")
        .doc("Reads all fields of a hash with their values.", "O(N), N: fields in the hash"),
    hgetall,
);

fn hgetall(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (now, site) = (cx.now_ms(), cx.site);
    read(cx, cx.key(1), |hash, reply| {
        site.weigh(hash.len())?;
        reply.map(hash.live_len(now));
        hash.for_each(now, |field, value| {
            write_item(reply, field);
            write_value(reply, value);
        });
        Ok(())
    })?
}

pub static HSCAN: Command = Command::data(
    CommandSpec::new("hscan", -3, Group::Hash, "readonly")
        .since("2.8.0")
        .tips("nondeterministic_output")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer] [NOVALUES]")
        .doc("Walks over the fields of a hash in steps.", "O(1) a call, O(N) for the whole hash of N fields"),
    hscan,
);

fn hscan(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (cursor, args, now) = (cursor(cx.args.at(2))?, cx.args, cx.now_ms());
    match cx.space.find(cx.key(1)) {
        None => ScanOptions::nothing(cx.reply),
        Some(record) => {
            let hash = hash_of(&record)?;
            let options = ScanOptions::read(args, 3)?;
            options.reply(cx.reply, |emit| hash.scan(cursor, options.count, now, |f, v| emit(f, Some(v))));
        }
    }
    Ok(())
}
