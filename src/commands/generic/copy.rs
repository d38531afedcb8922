//! Copies of keys.

use crate::commands::arguments::{Options, database};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, DatabaseUse, Group, KeySpec};

const COPY_SPEC: CommandSpec = CommandSpec::new("copy", -3, Group::Generic, "write denyoom")
    .databases(DatabaseUse::Copy)
    .acl("keyspace")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RO access"), KeySpec::index(2, "OW update")])
    .args("source:key destination:key#1 [DB=destination-db:integer] [REPLACE]")
    .doc("Copies a key, within a database or into another.", "O(N), N: elements of a collection; O(1) for a string");

pub static COPY: Command = Command::data(COPY_SPEC, copy);
fn copy(cx: &mut DataContext<'_, '_>) -> Outcome {
    let source = cx.key(1);
    let (mut db, mut replace) = (cx.db, false);
    let words = &mut Options::new(cx.args, 3);
    while words.left() > 0 {
        if words.take("REPLACE") {
            replace = true;
        } else if words.left() > 1 && words.take("DB") {
            db = database(words.value()?, cx.space.databases())?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let target = cx.key(2).in_db(db);
    if db == cx.db && source.name == target.name {
        return Err(CommandError::fixed("ERR source and destination objects are the same"));
    }
    let Some(record) = cx.space.find(source) else {
        cx.reply.integer(0);
        return Ok(());
    };
    cx.site.weigh(record.object().map_or(0, |o| o.len().saturating_mul(2)))?;
    let duplicate = record.duplicate(target.name);
    if cx.space.alive(target) {
        if !replace {
            cx.reply.integer(0);
            return Ok(());
        }
        cx.space.delete(target);
    }
    cx.space.add_moved(target, duplicate);
    cx.space.changed(target, EventClass::GENERIC, "copy_to");
    cx.reply.integer(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    #[test]
    fn a_copy_has_value_encoding_and_deadline_and_lives_on_its_own() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("SET a 5 PX 500", "+OK\r\n"),
            ("APPEND a 0", ":2\r\n"),
            ("COPY a b", ":1\r\n"),
            ("OBJECT ENCODING b", "$3\r\nraw\r\n"),
            ("PTTL b", ":500\r\n"),
            ("APPEND a x", ":3\r\n"),
            ("COPY a b", ":0\r\n"),
            ("GET b", "$2\r\n50\r\n"),
            ("COPY a b REPLACE", ":1\r\n"),
            ("GET b", "$3\r\n50x\r\n"),
            ("COPY a a", "-ERR source and destination objects are the same\r\n"),
            ("COPY a b DB", "-ERR syntax error\r\n"),
            ("COPY none b", ":0\r\n"),
        ]);
    }
}
