//! Copies of keys.

use crate::commands::arguments::Options;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};

const COPY_SPEC: CommandSpec = CommandSpec::new("copy", -3, Group::Generic, "write denyoom")
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
            db = super::rename::database(cx, words.value()?)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let target = cx.key(2).in_db(db);
    if db == cx.db && source.name == target.name {
        return Err(CommandError::fixed("ERR source and destination objects are the same"));
    }
    let duplicate = cx.space.find(source).map(|record| record.duplicate(target.name));
    let Some(duplicate) = duplicate else {
        cx.reply.integer(0);
        return Ok(());
    };
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
