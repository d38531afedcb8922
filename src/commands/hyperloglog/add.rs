//! PFADD, PFCOUNT, PFMERGE.

use super::{bytes_of, corrupt, edit, sparse_max};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::{EventClass, Key};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::hyperloglog::{self as hll, Merged};
use crate::value::record::Content;

const PFADD_SPEC: CommandSpec = CommandSpec::new("pfadd", -2, Group::HyperLogLog, "write denyoom fast")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RW insert")])
    .args("key:key [element...]")
    .doc("Adds elements to a HyperLogLog, which is created if missing.", "O(1) per element");

/// Puts a new HyperLogLog under a key that is not there.
fn create(cx: &mut DataContext<'_, '_>, key: Key<'_>, bytes: &[u8]) {
    cx.space.add(key, Content::String(bytes), None).set_raw(true);
}

pub static PFADD: Command = Command::data(PFADD_SPEC, pfadd);
fn pfadd(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, sparse_max, elements) = (cx.key(1), sparse_max(cx), cx.args.from(2));
    let add = |bytes: &mut Vec<u8>| {
        let mut raised = 0;
        for element in elements.iter() {
            raised += u64::from(hll::add(bytes, element, sparse_max).map_err(corrupt)?);
        }
        if raised > 0 {
            hll::forget(bytes);
        }
        Ok(raised)
    };
    let raised = match cx.space.find_mut(key) {
        Some(mut record) => Some(edit(&mut record, add)?),
        None => None,
    };
    let changes = match raised {
        Some(n) => n,
        None => {
            let mut bytes = hll::new();
            let raised = add(&mut bytes)?;
            hll::forget(&mut bytes);
            create(cx, key, &bytes);
            raised + 1
        }
    };
    if changes > 0 {
        cx.space.changed(key, EventClass::STRING, "pfadd");
        cx.space.changes.dirty += changes - 1;
    }
    cx.reply.integer(i64::from(changes > 0));
    Ok(())
}

const PFCOUNT_SPEC: CommandSpec = CommandSpec::new("pfcount", -2, Group::HyperLogLog, "readonly may_replicate")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RW access")
        .range(-1, 1, 0)
        .notes("The cached count, and with it the value, may change.")])
    .args("key:key...")
    .doc("Estimates how many distinct elements the HyperLogLogs saw.", "O(1) for one key, O(N) for N keys");

pub static PFCOUNT: Command = Command::data(PFCOUNT_SPEC, pfcount);
fn pfcount(cx: &mut DataContext<'_, '_>) -> Outcome {
    let count = if cx.args.len() == 2 { count_one(cx)? } else { count_several(cx)? };
    cx.reply.integer(count as i64);
    Ok(())
}

fn count_one(cx: &mut DataContext<'_, '_>) -> Result<u64, CommandError> {
    let key = cx.key(1);
    let Some(record) = cx.space.find(key) else { return Ok(0) };
    let bytes = bytes_of(&record)?;
    if let Some(count) = hll::remembered(&bytes) {
        return Ok(count);
    }
    let count = hll::count(&bytes).map_err(corrupt)?;
    drop(record);
    if let Some(mut record) = cx.space.find_mut(key) {
        edit(&mut record, |bytes| {
            hll::remember(bytes, count);
            Ok(())
        })?;
    }
    // The value has changed, if only in what it remembers: watchers and replicas see that, no event does.
    cx.space.mark(key);
    cx.space.changes.dirty += 1;
    Ok(count)
}

fn count_several(cx: &mut DataContext<'_, '_>) -> Result<u64, CommandError> {
    let mut merged = Merged::default();
    for name in cx.args.from(1).iter() {
        if let Some(record) = cx.space.find(Key::new(cx.db, name)) {
            merged.add(&bytes_of(&record)?).map_err(corrupt)?;
        }
    }
    Ok(merged.count())
}

const PFMERGE_SPEC: CommandSpec = CommandSpec::new("pfmerge", -2, Group::HyperLogLog, "write denyoom")
    .since("2.8.9")
    .keys(&[KeySpec::index(1, "RW access insert"), KeySpec::index(2, "RO access").range(-1, 1, 0)])
    .args("destkey:key [sourcekey:key#1...]")
    .doc("Merges HyperLogLogs into one.", "O(N), N: keys");

pub static PFMERGE: Command = Command::data(PFMERGE_SPEC, pfmerge);
fn pfmerge(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (mut merged, mut dense) = (Merged::default(), false);
    for name in cx.args.from(1).iter() {
        if let Some(record) = cx.space.find(Key::new(cx.db, name)) {
            let bytes = bytes_of(&record)?;
            dense |= hll::is_dense(&bytes);
            merged.add(&bytes).map_err(corrupt)?;
        }
    }
    let (key, sparse_max) = (Key::new(cx.db, cx.args.at(1)), sparse_max(cx));
    let merge = |bytes: &mut Vec<u8>| {
        if dense {
            hll::make_dense(bytes).map_err(corrupt)?;
        }
        merged.write(bytes, sparse_max).map_err(corrupt)?;
        hll::forget(bytes);
        Ok(())
    };
    let there = match cx.space.find_mut(key) {
        Some(mut record) => {
            edit(&mut record, merge)?;
            true
        }
        None => false,
    };
    if !there {
        let mut bytes = hll::new();
        merge(&mut bytes)?;
        create(cx, key, &bytes);
    }
    cx.space.changed(key, EventClass::STRING, "pfadd");
    cx.reply.ok();
    Ok(())
}
