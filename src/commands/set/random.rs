//! Members at random: SPOP and SRANDMEMBER.

use super::{note, reply_item, set_mut, set_of};
use crate::commands::arguments::{integer, integer_in};
use crate::commands::scan::{REPLY_BYTES_MAX, REPLY_ELEMENTS_MAX};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};

pub static SPOP: Command = Command::data(
    CommandSpec::new("spop", -2, Group::Set, "write fast")
        .since("1.0.0")
        .tips("nondeterministic_output")
        .keys(&[KeySpec::index(1, "RW access delete")])
        .history(&[("3.2.0", "Argument `count`.")])
        .args("key:key [count:integer@3.2.0]")
        .doc("Removes members of a set at random and returns them.", "O(1), or O(N) with a count N"),
    spop,
);

fn spop(cx: &mut DataContext<'_, '_>) -> Outcome {
    match cx.args.len() {
        2 => pop_one(cx),
        3 => pop_many(cx),
        _ => Err(CommandError::Syntax),
    }
}

fn pop_one(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    let mut rng = cx.space.rng().clone();
    let Some(mut record) = cx.space.find_mut(key) else {
        cx.reply.null();
        return Ok(());
    };
    let set = set_mut(&mut record)?;
    let member = set.pop(&mut rng);
    let emptied = set.is_empty();
    drop(record);
    *cx.space.rng() = rng;
    let Some(member) = member else {
        cx.reply.null();
        return Ok(());
    };
    note(cx.space, key, "spop", 1, emptied);
    cx.space.replace_effect(cx.db, &[b"SREM", key.name, &member]);
    cx.reply.bulk(&member);
    Ok(())
}

fn pop_many(cx: &mut DataContext<'_, '_>) -> Outcome {
    let positive = || CommandError::MustBePositive;
    let count = integer_in(cx.args.at(2), 0, i64::MAX, positive()).map_err(|_| positive())?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let key = cx.key(1);
    let mut rng = cx.space.rng().clone();
    let Some(mut record) = cx.space.find_mut(key) else {
        cx.reply.set(0);
        return Ok(());
    };
    let set = set_mut(&mut record)?;
    if count == 0 {
        cx.reply.set(0);
        return Ok(());
    }
    let len = set.len();
    cx.site.weigh(count.min(len))?;
    if count >= len {
        cx.reply.set(len);
        set.for_each(|m| reply_item(cx.reply, m));
        drop(record);
        note(cx.space, key, "spop", len, true);
        let del: &[u8] = if cx.config.memory.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
        cx.space.replace_effect(cx.db, &[del, key.name]);
        return Ok(());
    }
    let members = set.pop_many(count, &mut rng);
    drop(record);
    *cx.space.rng() = rng;
    note(cx.space, key, "spop", members.len(), false);
    cx.space.no_effect();
    if cx.space.journaled {
        // In parts, so that no single effect grows without bound.
        for part in members.chunks(EFFECT_MEMBERS_MAX) {
            let mut effect: Vec<&[u8]> = vec![b"SREM", key.name];
            effect.extend(part.iter().map(Vec::as_slice));
            cx.space.replace_effect(cx.db, &effect);
        }
    }
    cx.reply.set(members.len());
    members.iter().for_each(|m| cx.reply.bulk(m));
    Ok(())
}

/// Members one SREM in the journal names.
const EFFECT_MEMBERS_MAX: usize = 1024;

pub static SRANDMEMBER: Command = Command::data(
    CommandSpec::new("srandmember", -2, Group::Set, "readonly")
        .since("1.0.0")
        .tips("nondeterministic_output")
        .keys(&[KeySpec::index(1, "RO access")])
        .history(&[("2.6.0", "Argument `count`.")])
        .args("key:key [count:integer@2.6.0]")
        .doc("Picks members of a set at random.", "O(1), or O(N) with a count N"),
    srandmember,
);

fn srandmember(cx: &mut DataContext<'_, '_>) -> Outcome {
    let count = match cx.args.len() {
        2 => None,
        3 => Some(count(cx.args.at(2))?),
        _ => return Err(CommandError::Syntax),
    };
    let key = cx.key(1);
    let mut rng = cx.space.rng().clone();
    let Some(record) = cx.space.find(key) else {
        if count.is_some() {
            cx.reply.array(0)
        } else {
            cx.reply.null()
        }
        return Ok(());
    };
    let set = set_of(&record)?;
    match count {
        None => {
            set.random(&mut rng, |m| reply_item(cx.reply, m));
        }
        Some(n) if n >= 0 => {
            let n = usize::try_from(n).unwrap_or(usize::MAX).min(set.len());
            cx.reply.array(n);
            set.sample(n, &mut rng, |m| reply_item(cx.reply, m));
        }
        Some(n) => {
            let n = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
            if n > REPLY_ELEMENTS_MAX && cx.reply.stop_at == 0 {
                return Err(CommandError::OutOfRange);
            }
            let mark = cx.reply.mark();
            cx.reply.array(n);
            for _ in 0..n {
                if cx.reply.is_full() {
                    break;
                }
                set.random(&mut rng, |m| reply_item(cx.reply, m));
                if cx.reply.len_since(mark) > REPLY_BYTES_MAX {
                    return Err(CommandError::OutOfRange);
                }
            }
        }
    }
    *cx.space.rng() = rng;
    Ok(())
}

/// A count that may be negative (members may come several times), but not the least integer.
pub fn count(arg: &[u8]) -> Result<i64, CommandError> {
    match integer(arg)? {
        i64::MIN => Err(CommandError::err(
            "value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        n => Ok(n),
    }
}
