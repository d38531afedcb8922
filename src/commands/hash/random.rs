//! Fields at random: HRANDFIELD.

use super::hash_of;
use crate::commands::arguments::is;
use crate::commands::scan::{REPLY_BYTES_MAX, REPLY_ELEMENTS_MAX, write_item, write_value};
use crate::commands::set::count;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::hash::Value;
use crate::value::listpack::Item;

pub static HRANDFIELD: Command = Command::data(
    CommandSpec::new("hrandfield", -2, Group::Hash, "readonly")
        .since("6.2.0")
        .tips("nondeterministic_output")
        .keys(&[KeySpec::index(1, "RO access")])
        .args("key:key [options(count:integer [WITHVALUES])]")
        .doc("Picks fields of a hash at random.", "O(N), N: fields returned"),
    hrandfield,
);

fn hrandfield(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (key, now) = (cx.key(1), cx.now_ms());
    let mut rng = cx.space.rng().clone();
    let Some(given) = cx.args.get(2) else {
        let found = match cx.space.find(key) {
            Some(record) => hash_of(&record)?.random(&mut rng, now, |field, _| write_item(cx.reply, field)),
            None => None,
        };
        if found.is_none() {
            cx.reply.null();
        }
        *cx.space.rng() = rng;
        return Ok(());
    };
    let count = count(given)?;
    let with_values = match cx.args.len() {
        3 => false,
        4 if is(cx.args.at(3), "WITHVALUES") => true,
        _ => return Err(CommandError::Syntax),
    };
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::OutOfRange);
    }
    let Some(record) = cx.space.find(key) else {
        cx.reply.array(0);
        return Ok(());
    };
    let hash = hash_of(&record)?;
    let live = hash.live_len(now);
    let many = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let n = if live == 0 {
        0
    } else if count >= 0 {
        many.min(live)
    } else {
        many
    };
    if n > REPLY_ELEMENTS_MAX && count < 0 && cx.reply.stop_at == 0 {
        return Err(CommandError::OutOfRange);
    }
    cx.site.weigh(n)?;
    let mark = cx.reply.mark();
    let pairs = with_values && cx.reply.is_resp3();
    cx.reply.array(if with_values && !pairs { 2 * n } else { n });
    let write = |reply: &mut Reply, field: Item<'_>, value: Value<'_>| {
        if pairs {
            reply.array(2);
        }
        write_item(reply, field);
        if with_values {
            write_value(reply, value);
        }
    };
    if count >= 0 {
        hash.sample(n, live, &mut rng, now, |field, value| write(cx.reply, field, value));
    } else {
        for _ in 0..n {
            if cx.reply.is_full() {
                break;
            }
            hash.random(&mut rng, now, |field, value| write(cx.reply, field, value));
            if cx.reply.len_since(mark) > REPLY_BYTES_MAX {
                return Err(CommandError::OutOfRange);
            }
        }
    }
    *cx.space.rng() = rng;
    Ok(())
}
