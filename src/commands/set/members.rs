//! Members by name: adding, removing, moving, asking, listing.

use super::super::scan::{ScanOptions, cursor};
use super::{edit, limits, note, read, reply_item, set_mut, set_of};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::set::Set;

pub static SADD: Command = Command::data(
    CommandSpec::new("sadd", -3, Group::Set, "write denyoom fast")
        .since("1.0.0")
        .keys(&[KeySpec::index(1, "RW insert")])
        .history(&[("2.4.0", "Several members at once.")])
        .args("key:key member...")
        .doc("Adds members to a set, which is created if missing.", "O(N), N: members given"),
    sadd,
);

fn sadd(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, limits, members) = (cx.key(1), limits(cx.config), cx.args.from(2));
    let make = || Set::for_first(cx.args.at(2), members.len(), &limits);
    let added = edit(cx.space, key, make, |set| members.iter().filter(|m| set.add(m, &limits)).count())?;
    note(cx.space, key, "sadd", added, false);
    cx.reply.integer(added as i64);
    Ok(())
}

pub static SREM: Command = Command::data(
    CommandSpec::new("srem", -3, Group::Set, "write fast")
        .since("1.0.0")
        .keys(&[KeySpec::index(1, "RW delete")])
        .history(&[("2.4.0", "Several members at once.")])
        .args("key:key member...")
        .doc("Removes members from a set, and the set with its last member.", "O(N), N: members given"),
    srem,
);

fn srem(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, members) = (cx.key(1), cx.args.from(2));
    let (removed, emptied) = match cx.space.find_mut(key) {
        Some(mut record) => {
            let set = set_mut(&mut record)?;
            (members.iter().filter(|m| set.remove(m)).count(), set.is_empty())
        }
        None => (0, false),
    };
    note(cx.space, key, "srem", removed, emptied);
    cx.reply.integer(removed as i64);
    Ok(())
}

pub static SMOVE: Command = Command::data(
    CommandSpec::new("smove", 4, Group::Set, "write fast")
        .since("1.0.0")
        .keys(&[KeySpec::index(1, "RW access delete"), KeySpec::index(2, "RW insert")])
        .args("source:key destination:key#1 member")
        .doc("Takes a member out of one set and puts it into another.", "O(1)"),
    smove,
);

fn smove(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (source, target, member) = (cx.key(1), cx.key(2), cx.args.at(3));
    let limits = limits(cx.config);
    let there = match cx.space.peek(source) {
        Some(record) => set_of(&record)?.contains(member),
        None => {
            cx.reply.integer(0);
            return Ok(());
        }
    };
    if let Some(record) = cx.space.peek(target) {
        set_of(&record)?;
    }
    if !there || source.name == target.name {
        cx.reply.integer(i64::from(there));
        return Ok(());
    }
    let make = || Set::for_first(member, 1, &limits);
    let emptied = edit(cx.space, source, make, |set| {
        set.remove(member);
        set.is_empty()
    })?;
    note(cx.space, source, "srem", 1, emptied);
    let added = edit(cx.space, target, make, |set| set.add(member, &limits))?;
    if added {
        cx.space.changed(target, EventClass::SET, "sadd");
    }
    cx.reply.integer(1);
    Ok(())
}

pub static SCARD: Command = Command::data(
    CommandSpec::new("scard", 2, Group::Set, "readonly fast")
        .since("1.0.0")
        .keys(&[KeySpec::index(1, "RO")])
        .args("key:key")
        .doc("Counts the members of a set.", "O(1)"),
    scard,
);

fn scard(cx: &mut DataContext<'_, '_>) -> Outcome {
    let len = read(cx, cx.key(1), 0, |set, _| set.len())?;
    cx.reply.integer(len as i64);
    Ok(())
}

pub static SISMEMBER: Command = Command::data(
    CommandSpec::new("sismember", 3, Group::Set, "readonly fast")
        .since("1.0.0")
        .keys(&[KeySpec::index(1, "RO")])
        .args("key:key member")
        .doc("Tells whether a set has a member.", "O(1)"),
    sismember,
);

fn sismember(cx: &mut DataContext<'_, '_>) -> Outcome {
    let member = cx.args.at(2);
    let there = read(cx, cx.key(1), false, |set, _| set.contains(member))?;
    cx.reply.integer(i64::from(there));
    Ok(())
}

pub static SMISMEMBER: Command = Command::data(
    CommandSpec::new("smismember", -3, Group::Set, "readonly fast")
        .since("6.2.0")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key member...")
        .doc("Tells which of several members a set has.", "O(N), N: members asked for"),
    smismember,
);

fn smismember(cx: &mut DataContext<'_, '_>) -> Outcome {
    let members = cx.args.from(2);
    let answered = read(cx, cx.key(1), false, |set, reply| {
        reply.array(members.len());
        members.iter().for_each(|m| reply.integer(i64::from(set.contains(m))));
        true
    })?;
    if !answered {
        cx.reply.array(members.len());
        members.iter().for_each(|_| cx.reply.integer(0));
    }
    Ok(())
}

pub static SMEMBERS: Command = Command::data(
    CommandSpec::new("smembers", 2, Group::Set, "readonly")
        .since("1.0.0")
        .tips("nondeterministic_output_order")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key")
        .doc("Lists the members of a set.", "O(N), N: members"),
    smembers,
);

fn smembers(cx: &mut DataContext<'_, '_>) -> Outcome {
    let site = cx.site;
    let answered = read(cx, cx.key(1), Ok(false), |set, reply| {
        site.weigh(set.len())?;
        reply.set(set.len());
        set.for_each(|m| reply_item(reply, m));
        Ok(true)
    })??;
    if !answered {
        cx.reply.set(0);
    }
    Ok(())
}

pub static SSCAN: Command = Command::data(
    CommandSpec::new("sscan", -3, Group::Set, "readonly")
        .since("2.8.0")
        .tips("nondeterministic_output")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer]")
        .doc("Walks over the members of a set in steps.", "O(1) a call, O(N) for the whole set of N members"),
    sscan,
);

fn sscan(cx: &mut DataContext<'_, '_>) -> Outcome {
    let cursor = cursor(cx.args.at(2))?;
    let args = cx.args;
    match cx.space.find(cx.key(1)) {
        None => ScanOptions::nothing(cx.reply),
        Some(record) => {
            let set = set_of(&record)?;
            let options = ScanOptions::read(args, 3)?;
            if options.no_values {
                return Err(CommandError::fixed("ERR NOVALUES option can only be used in HSCAN"));
            }
            options.reply(cx.reply, |emit| set.scan(cursor, options.count, |m| emit(m, None)));
        }
    }
    Ok(())
}
