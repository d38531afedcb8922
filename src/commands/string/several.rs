//! Several strings in one step.

use super::access;
use super::expiry::{Condition, Expiry, Of, StringOptions, Unit};
use crate::base::number::IntText;
use crate::commands::arguments::integer;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};

const MGET_SPEC: CommandSpec = CommandSpec::new("mget", -2, Group::String, "readonly fast")
    .since("1.0.0")
    .tips("request_policy:multi_shard")
    .keys(&[KeySpec::index(1, "RO access").range(-1, 1, 0)])
    .args("key:key...")
    .doc("Reads the strings at several keys in one step.", "O(N), N: keys");

pub static MGET: Command = Command::data(MGET_SPEC, mget);
fn mget(cx: &mut DataContext<'_, '_>) -> Outcome {
    cx.reply.array(cx.args.len() - 1);
    cx.each_key(1..cx.args.len(), |cx, _, key| {
        let sent = cx.space.find(key).is_some_and(|record| access::reply(cx.reply, &record).is_ok());
        if !sent {
            cx.reply.null();
        }
    });
    Ok(())
}

const MSET_SPEC: CommandSpec = CommandSpec::new("mset", -3, Group::String, "write denyoom")
    .since("1.0.1")
    .tips("request_policy:multi_shard response_policy:all_succeeded")
    .keys(&[KeySpec::index(1, "OW update").range(-1, 2, 0)])
    .args("data(key:key value)...")
    .doc("Stores strings at several keys in one step.", "O(N), N: keys");

pub static MSET: Command = Command::data(MSET_SPEC, mset);
fn mset(cx: &mut DataContext<'_, '_>) -> Outcome {
    paired(cx)?;
    set_all(cx, 1, cx.args.len(), Some(None));
    cx.reply.ok();
    Ok(())
}

const MSETNX_SPEC: CommandSpec = CommandSpec::new("msetnx", -3, Group::String, "write denyoom")
    .since("1.0.1")
    .keys(&[KeySpec::index(1, "OW insert").range(-1, 2, 0)])
    .args("data(key:key value)...")
    .doc("Stores strings at several keys, provided that none of them exists.", "O(N), N: keys");

pub static MSETNX: Command = Command::data(MSETNX_SPEC, msetnx);
fn msetnx(cx: &mut DataContext<'_, '_>) -> Outcome {
    paired(cx)?;
    let mut keys = (1..cx.args.len()).step_by(2);
    let absent = !keys.any(|i| cx.space.alive(cx.key(i)));
    if absent {
        set_all(cx, 1, cx.args.len(), Some(None));
    }
    cx.reply.integer(i64::from(absent));
    Ok(())
}

/// Refuses a key without a value.
fn paired(cx: &DataContext<'_, '_>) -> Outcome {
    if cx.args.len().is_multiple_of(2) { Err(CommandError::wrong_arity(cx.command_name())) } else { Ok(()) }
}

/// Sets the pairs of arguments `from..to`.
fn set_all(cx: &mut DataContext<'_, '_>, from: usize, to: usize, deadline: Option<Option<i64>>) {
    cx.each_key((from..to).step_by(2), |cx, i, key| {
        cx.space.set(key, access::encode(cx.args.at(i + 1)), deadline);
        cx.space.changed(key, EventClass::STRING, "set");
        if let Some(Some(_)) = deadline {
            cx.space.event(EventClass::GENERIC, "expire", key);
        }
    });
}

const MSETEX_SPEC: CommandSpec = CommandSpec::new("msetex", -4, Group::String, "write denyoom")
    .since("9.1.0")
    .tips("request_policy:multi_shard response_policy:all_succeeded")
    .keys(&[KeySpec::index(1, "OW update").keynum(0, 1, 2)])
    .args(
        "numkeys:integer data(key:key value)... [condition{NX|XX}] \
        [expiration{EX=seconds:integer | PX=milliseconds:integer | \
        EXAT=unix-time-seconds:unix-time | PXAT=unix-time-milliseconds:unix-time | KEEPTTL}]",
    )
    .doc(
        "Stores strings at several keys in one step, with a shared expiry and a condition if \
        wanted.",
        "O(N), N: keys",
    );

pub static MSETEX: Command = Command::data(MSETEX_SPEC, msetex);
fn msetex(cx: &mut DataContext<'_, '_>) -> Outcome {
    let pairs = integer(cx.args.at(1)).ok().filter(|n| (1..=i64::from(i32::MAX)).contains(n));
    let pairs = pairs.ok_or(CommandError::fixed("ERR invalid numkeys value or out of range"))? as usize;
    let end = 2 + pairs * 2;
    if end > cx.args.len() {
        return Err(CommandError::Syntax);
    }
    let options = StringOptions::parse(cx.args, end, Of::Msetex)?;
    let deadline = options.deadline(cx.now_ms(), cx.command_name())?;
    let wanted = match options.condition {
        Condition::Absent => Some(false),
        Condition::Present => Some(true),
        _ => None,
    };
    if let Some(wanted) = wanted {
        for i in (2..end).step_by(2) {
            if cx.space.alive(cx.key(i)) != wanted {
                cx.reply.integer(0);
                return Ok(());
            }
        }
    }
    set_all(cx, 2, end, if options.expiry == Expiry::Keep { None } else { Some(deadline) });
    if let (Some(deadline), Expiry::At { unit, position, .. }) = (deadline, options.expiry)
        && unit != Unit::PXAT
    {
        let text = IntText::new(deadline);
        let mut effect: Vec<&[u8]> = cx.args.iter().collect();
        effect[position] = b"PXAT";
        effect[position + 1] = text.as_bytes();
        cx.space.replace_effect(cx.db, &effect);
    }
    cx.reply.integer(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn more_keys_than_are_asked_for_at_once_keep_their_order() {
        let mut b = Bench::new(FAMILIES);
        for count in [1, 2, 11, 12, 13, 24, 25, 40] {
            let words = |f: &dyn Fn(usize) -> String| (0..count).map(f).collect::<Vec<_>>().join(" ");
            let set = format!("MSET {}", words(&|i| format!("{count}k{i} v{i}")));
            let get = format!("MGET {}", words(&|i| format!("{count}k{i}")));
            let values: String =
                (0..count).map(|i| format!("v{i}")).map(|v| format!("${}\r\n{v}\r\n", v.len())).collect();
            let exist = get.replace("MGET", "EXISTS");
            let del = get.replace("MGET", "DEL");
            let n = format!(":{count}\r\n");
            b.check(&[
                (&set, "+OK\r\n"),
                (&get, &format!("*{count}\r\n{values}")),
                (&exist, &n),
                (&del, &n),
                (&exist, ":0\r\n"),
            ]);
        }
    }

    #[test]
    fn several_are_set_together_or_not_at_all() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("MSET a 1 b 2", "+OK\r\n"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"),
            ("MSETNX c 3 b 4", ":0\r\n"),
            ("MGET a b c", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n"),
            ("MSETNX c 3 c 4", ":1\r\n"),
            ("GET c", "$1\r\n4\r\n"),
            ("MSETEX 2 a 5 d 6 NX", ":0\r\n"),
            ("MSETEX 2 a 5 b 6 XX EX 100", ":1\r\n"),
            ("PTTL b", ":100000\r\n"),
            ("MSETEX 1 b 7 KEEPTTL", ":1\r\n"),
            ("PTTL b", ":100000\r\n"),
            ("MSETEX 1 b 8", ":1\r\n"),
            ("PTTL b", ":-1\r\n"),
        ]);
        assert_eq!(
            b.effects,
            [
                "MSET a 1 b 2",
                "MSETNX c 3 c 4",
                "MSETEX 2 a 5 b 6 XX PXAT 1100000",
                "MSETEX 1 b 7 KEEPTTL",
                "MSETEX 1 b 8"
            ]
        );
    }

    #[test]
    fn a_number_of_keys_that_does_not_fit_is_refused_before_any_key() {
        let mut b = Bench::new(FAMILIES);
        for n in ["0", "-1", "x", "9223372036854775807", "2147483648", "01"] {
            let reply = b.run(&format!("MSETEX {n} a 1"));
            assert_eq!(reply, "-ERR invalid numkeys value or out of range\r\n", "{n}");
        }
        for n in ["2", "2147483647"] {
            assert_eq!(b.run(&format!("MSETEX {n} a 1")), "-ERR syntax error\r\n", "{n}");
        }
        b.check(&[
            ("MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command\r\n"),
            ("MSETEX 1 a 1 GET", "-ERR syntax error\r\n"),
            ("EXISTS a", ":0\r\n"),
        ]);
    }
}
