//! Whether keys are there, what they hold, and taking them away.

use crate::commands::string::access::look;
use crate::commands::{Command, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::record::Record;

const DEL_SPEC: CommandSpec = CommandSpec::new("del", -2, Group::Generic, "write")
    .acl("keyspace")
    .since("1.0.0")
    .tips("request_policy:multi_shard response_policy:agg_sum")
    .keys(&[KeySpec::index(1, "RM delete").range(-1, 1, 0)])
    .args("key:key...")
    .doc("Removes keys.", "O(N), N: keys, and the elements of collections among them");

pub static DEL: Command = Command::data(DEL_SPEC, del);
const UNLINK_SPEC: CommandSpec = CommandSpec::new("unlink", -2, Group::Generic, "write fast")
    .acl("keyspace")
    .since("4.0.0")
    .tips("request_policy:multi_shard response_policy:agg_sum")
    .keys(&[KeySpec::index(1, "RM delete").range(-1, 1, 0)])
    .args("key:key...")
    .doc("Removes keys and frees their memory elsewhere.", "O(1) per key, and O(N) off the path, N: elements");

pub static UNLINK: Command = Command::data(UNLINK_SPEC, del);
fn del(cx: &mut DataContext<'_, '_>) -> Outcome {
    let mut gone = 0;
    cx.each_key(1..cx.args.len(), |cx, _, key| {
        // Big values are freed after the locks either way, so DEL holds nobody up longer than UNLINK.
        if cx.space.delete(key) {
            cx.space.changed(key, EventClass::GENERIC, "del");
            gone += 1;
        }
    });
    cx.reply.integer(gone);
    Ok(())
}

const EXISTS_SPEC: CommandSpec = CommandSpec::new("exists", -2, Group::Generic, "readonly fast")
    .acl("keyspace")
    .since("1.0.0")
    .tips("request_policy:multi_shard response_policy:agg_sum")
    .keys(&[KeySpec::index(1, "RO").range(-1, 1, 0)])
    .history(&[("3.0.3", "Several keys at once.")])
    .args("key:key...")
    .doc("Counts how many of the keys exist.", "O(N), N: keys");

pub static EXISTS: Command = Command::data(EXISTS_SPEC, exists);
fn exists(cx: &mut DataContext<'_, '_>) -> Outcome {
    let mut n = 0;
    cx.each_key(1..cx.args.len(), |cx, _, key| n += i64::from(look(cx.space, key, |_| ()).is_some()));
    cx.reply.integer(n);
    Ok(())
}

const TOUCH_SPEC: CommandSpec = CommandSpec::new("touch", -2, Group::Generic, "readonly fast")
    .acl("keyspace")
    .since("3.2.1")
    .tips("request_policy:multi_shard response_policy:agg_sum")
    .keys(&[KeySpec::index(1, "RO").range(-1, 1, 0)])
    .args("key:key...")
    .doc("Marks keys as used and counts those that exist.", "O(N), N: keys");

pub static TOUCH: Command = Command::data(TOUCH_SPEC, touch);
fn touch(cx: &mut DataContext<'_, '_>) -> Outcome {
    // It says itself that the keys were used, whatever CLIENT NO-TOUCH says of what its client reads.
    let no_touch = std::mem::replace(&mut cx.space.no_touch, false);
    let mut n = 0;
    cx.each_key(1..cx.args.len(), |cx, _, key| n += i64::from(cx.space.find(key).is_some()));
    cx.space.no_touch = no_touch;
    cx.reply.integer(n);
    Ok(())
}

/// What TYPE says about a record.
pub fn type_name(record: &Record) -> &'static str {
    record.object().map_or("string", |o| o.type_name())
}

const TYPE_SPEC: CommandSpec = CommandSpec::new("type", 2, Group::Generic, "readonly fast")
    .acl("keyspace")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RO")])
    .args("key:key")
    .doc("Tells the type of the value at a key.", "O(1)");

pub static TYPE: Command = Command::data(TYPE_SPEC, type_of);
fn type_of(cx: &mut DataContext<'_, '_>) -> Outcome {
    let name = look(cx.space, cx.key(1), type_name);
    cx.reply.status(name.unwrap_or("none"));
    Ok(())
}

const RANDOMKEY_SPEC: CommandSpec = CommandSpec::new("randomkey", 1, Group::Generic, "readonly arbitrary_keys")
    .acl("keyspace")
    .since("1.0.0")
    .tips("request_policy:all_shards response_policy:special nondeterministic_output")
    .doc("Picks a key at random.", "O(1)");

pub static RANDOMKEY: Command = Command::whole(RANDOMKEY_SPEC, randomkey);
fn randomkey(cx: &mut DataContext<'_, '_>) -> Outcome {
    match cx.space.random_key(cx.db) {
        Some(name) => cx.reply.bulk(&name),
        None => cx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn keys_are_counted_as_often_as_they_are_named_but_go_once() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("MSET a 1 b 2", "+OK\r\n"),
            ("EXISTS a a none", ":2\r\n"),
            ("TOUCH a b none", ":2\r\n"),
            ("TYPE a", "+string\r\n"),
            ("DEL a a none", ":1\r\n"),
            ("UNLINK a b", ":1\r\n"),
            ("TYPE a", "+none\r\n"),
            ("DEL a", ":0\r\n"),
            ("RANDOMKEY", "$-1\r\n"),
            ("SET c 1", "+OK\r\n"),
            ("RANDOMKEY", "$1\r\nc\r\n"),
        ]);
        assert_eq!(b.effects, ["MSET a 1 b 2", "DEL a a none", "UNLINK a b", "SET c 1"]);
    }
}
