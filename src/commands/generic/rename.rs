//! Keys under another name or in another database.

use crate::commands::arguments::database;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, DatabaseUse, Group, KeySpec};

const RENAME_SPEC: CommandSpec = CommandSpec::new("rename", 3, Group::Generic, "write")
    .acl("keyspace")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access delete"), KeySpec::index(2, "OW update")])
    .args("key:key newkey:key#1")
    .doc("Renames a key, whatever the new name held before.", "O(1)");

pub static RENAME: Command = Command::data(RENAME_SPEC, rename);
fn rename(cx: &mut DataContext<'_, '_>) -> Outcome {
    to_name(cx, true)?;
    cx.reply.ok();
    Ok(())
}

const RENAMENX_SPEC: CommandSpec = CommandSpec::new("renamenx", 3, Group::Generic, "write fast")
    .acl("keyspace")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access delete"), KeySpec::index(2, "OW insert")])
    .history(&[("3.2.0", "The same name twice is no error.")])
    .args("key:key newkey:key#1")
    .doc("Renames a key unless the new name exists.", "O(1)");

pub static RENAMENX: Command = Command::data(RENAMENX_SPEC, renamenx);
fn renamenx(cx: &mut DataContext<'_, '_>) -> Outcome {
    let renamed = to_name(cx, false)?;
    cx.reply.integer(i64::from(renamed));
    Ok(())
}

fn to_name(cx: &mut DataContext<'_, '_>, replace: bool) -> Result<bool, CommandError> {
    let (source, target) = (cx.key(1), cx.key(2));
    if cx.space.find_mut(source).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if source.name == target.name {
        return Ok(false);
    }
    if cx.space.alive(target) {
        if !replace {
            return Ok(false);
        }
        cx.space.delete(target);
    }
    if let Some(record) = cx.space.remove(source) {
        cx.space.add_moved(target, record);
    }
    cx.space.changed(source, EventClass::GENERIC, "rename_from");
    // One change, but two keys whose watchers and waiters learn of it.
    cx.space.mark(target);
    cx.space.event(EventClass::GENERIC, "rename_to", target);
    Ok(true)
}

const MOVE_SPEC: CommandSpec = CommandSpec::new("move", 3, Group::Generic, "write fast")
    .databases(DatabaseUse::Move)
    .acl("keyspace")
    .since("1.0.0")
    .keys(&[KeySpec::index(1, "RW access update")])
    .args("key:key db:integer")
    .doc("Takes a key to another database.", "O(1)");

pub static MOVE: Command = Command::data(MOVE_SPEC, move_key);
fn move_key(cx: &mut DataContext<'_, '_>) -> Outcome {
    let source = cx.key(1);
    let db = database(cx.args.at(2), cx.space.databases())?;
    if db == cx.db {
        return Err(CommandError::fixed("ERR source and destination objects are the same"));
    }
    let target = source.in_db(db);
    if cx.space.find_mut(source).is_none() || cx.space.alive(target) {
        cx.reply.integer(0);
        return Ok(());
    }
    if let Some(record) = cx.space.remove(source) {
        cx.space.add_moved(target, record);
    }
    cx.space.changed(source, EventClass::GENERIC, "move_from");
    cx.space.mark(target);
    cx.space.event(EventClass::GENERIC, "move_to", target);
    cx.reply.integer(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn a_renamed_key_keeps_value_and_deadline_and_replaces_the_target() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("SET a v PX 500", "+OK\r\n"),
            ("SET b w", "+OK\r\n"),
            ("RENAMENX a b", ":0\r\n"),
            ("RENAME a b", "+OK\r\n"),
            ("GET b", "$1\r\nv\r\n"),
            ("PTTL b", ":500\r\n"),
            ("RENAME a b", "-ERR no such key\r\n"),
            ("RENAME b b", "+OK\r\n"),
            ("RENAMENX b c", ":1\r\n"),
        ]);
        assert_eq!(b.effects, ["SET a v PXAT 1000500", "SET b w", "RENAME a b", "RENAMENX b c"]);
        assert!(b.events.ends_with(&["new c".into(), "rename_from b".into(), "rename_to c".into()]));
    }

    #[test]
    fn a_key_moves_only_where_none_is() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("SET a v", "+OK\r\n"),
            ("MOVE a 0", "-ERR source and destination objects are the same\r\n"),
            ("MOVE a 16", "-ERR DB index is out of range\r\n"),
            ("MOVE a x", "-ERR value is not an integer or out of range\r\n"),
            ("MOVE a 3000000000", "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"),
            ("COPY a a DB 1", ":1\r\n"),
            ("MOVE a 1", ":0\r\n"),
            ("MOVE a 2", ":1\r\n"),
            ("MOVE a 2", ":0\r\n"),
        ]);
        b.db = 2;
        b.check(&[("GET a", "$1\r\nv\r\n")]);
    }
}
