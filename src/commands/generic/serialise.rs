//! Values as payloads.

use crate::commands::arguments::{Options, integer};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::config::types::RdbVersionCheck;
use crate::keyspace::EventClass;
use crate::persist::rdb::{self, PayloadError};
use crate::spec::{CommandSpec, Group, KeySpec};

const DUMP_SPEC: CommandSpec = CommandSpec::new("dump", 2, Group::Generic, "readonly")
    .acl("keyspace")
    .since("2.6.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key")
    .doc("Packs the value of a key into a payload.", "O(1) and O(N*M) to pack, N: elements, M: their mean size");

pub static DUMP: Command = Command::data(DUMP_SPEC, dump);
fn dump(cx: &mut DataContext<'_, '_>) -> Outcome {
    let key = cx.key(1);
    match cx.space.find(key) {
        Some(record) => {
            cx.site.weigh(record.object().map_or(0, |o| o.len()))?;
            cx.reply.bulk(&rdb::dump_value(&record));
        }
        None => cx.reply.null(),
    }
    Ok(())
}

const RESTORE_SPEC: CommandSpec = CommandSpec::new("restore", -4, Group::Generic, "write denyoom")
    .acl("keyspace dangerous")
    .since("2.6.0")
    .keys(&[KeySpec::index(1, "OW update")])
    .history(&[("3.0.0", "Word `REPLACE`."), ("5.0.0", "Word `ABSTTL`."), ("5.0.0", "Options `IDLETIME` and `FREQ`.")])
    .args(
        "key:key ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] \
        [IDLETIME=seconds:integer@5.0.0] [FREQ=frequency:integer@5.0.0]",
    )
    .doc("Creates a key from a payload.", "O(1) and O(N*M) to rebuild, N: elements, M: their mean size");

const RESTORE_ASKING_SPEC: CommandSpec = CommandSpec::new("restore-asking", -4, Group::Server, "write denyoom asking")
    .acl("keyspace dangerous")
    .since("3.0.0")
    .system()
    .keys(&[KeySpec::index(1, "OW update")])
    .history(&[("3.0.0", "Word `REPLACE`."), ("5.0.0", "Word `ABSTTL`."), ("5.0.0", "Options `IDLETIME` and `FREQ`.")])
    .args(
        "key:key ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] \
        [IDLETIME=seconds:integer@5.0.0] [FREQ=frequency:integer@5.0.0]",
    )
    .doc(
        "Creates a key in a slot that is being imported.",
        "O(1) and O(N*M) to rebuild, N: elements, M: their mean size",
    );

pub static RESTORE: Command = Command::data(RESTORE_SPEC, restore);
pub static RESTORE_ASKING: Command = Command::data(RESTORE_ASKING_SPEC, restore);

/// The words behind RESTORE's payload.
#[derive(Debug, Default)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
    access: Option<Seen>,
}

/// How the key was used before.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Seconds since.
    Idle(u64),
    Counter(u8),
}

impl RestoreOptions {
    fn parse(cx: &DataContext<'_, '_>) -> Result<RestoreOptions, CommandError> {
        let mut o = RestoreOptions::default();
        let words = &mut Options::new(cx.args, 4);
        while words.left() > 0 {
            if words.take("REPLACE") {
                o.replace = true;
            } else if words.take("ABSTTL") {
                o.absolute = true;
            } else if words.left() > 1 && !matches!(o.access, Some(Seen::Counter(_))) && words.take("IDLETIME") {
                let seconds = u64::try_from(words.integer()?);
                let wrong = CommandError::fixed("ERR Invalid IDLETIME value, must be >= 0");
                o.access = Some(Seen::Idle(seconds.map_err(|_| wrong)?));
            } else if words.left() > 1 && !matches!(o.access, Some(Seen::Idle(_))) && words.take("FREQ") {
                let counter = u8::try_from(words.integer()?);
                let wrong = CommandError::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");
                o.access = Some(Seen::Counter(counter.map_err(|_| wrong)?));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(o)
    }
}

fn restore(cx: &mut DataContext<'_, '_>) -> Outcome {
    let o = RestoreOptions::parse(cx)?;
    let key = cx.key(1);
    let there = cx.space.alive(key);
    if there && !o.replace {
        return Err(CommandError::fixed("BUSYKEY Target key name already exists."));
    }
    // An element of a payload is hardly ever shorter than this.
    cx.site.weigh(cx.args.at(3).len() / 32)?;
    let ttl = integer(cx.args.at(2))?;
    if ttl < 0 {
        return Err(CommandError::fixed("ERR Invalid TTL value, must be >= 0"));
    }
    let relaxed = cx.obeys || cx.config.persistence.rdb_version_check == RdbVersionCheck::Relaxed;
    let value = rdb::restore_value(cx.args.at(3), &rdb::Limits::of(cx.config), relaxed).map_err(|e| match e {
        PayloadError::Footer => CommandError::fixed("ERR DUMP payload version or checksum are wrong"),
        PayloadError::Value(e) => {
            tracing::warn!("RESTORE refused a payload: {e}");
            CommandError::fixed("ERR Bad data format")
        }
    })?;
    // A time to live that leaves the range is one that has passed.
    let deadline = match ttl {
        0 => None,
        ms if o.absolute => Some(ms),
        ms => Some(cx.now_ms().checked_add(ms).unwrap_or(0)),
    };
    if there {
        cx.space.delete(key);
    }
    if deadline.is_some_and(|d| d <= cx.now_ms()) {
        if there {
            let word: &[u8] = if cx.config.memory.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
            cx.space.replace_effect(key.db, &[word, key.name]);
            cx.space.changed(key, EventClass::GENERIC, "del");
        }
        cx.reply.ok();
        return Ok(());
    }
    let access = cx.space.access;
    let record = value.into_record(key.name, deadline);
    let word = match o.access {
        None => access.fresh(),
        Some(Seen::Idle(seconds)) => access.with_idle(seconds),
        Some(Seen::Counter(counter)) => access.with_frequency(counter),
    };
    record.set_access(word);
    cx.space.add_moved(key, record);
    if let Some(deadline) = deadline.filter(|_| !o.absolute) {
        // Told with the instant it ends: whoever replays it does so later.
        let text = deadline.to_string();
        let mut args: Vec<&[u8]> = cx.args.iter().collect();
        if let Some(ttl) = args.get_mut(2) {
            *ttl = text.as_bytes();
        }
        args.push(b"ABSTTL");
        cx.space.replace_effect(key.db, &args);
    }
    cx.space.changed(key, EventClass::GENERIC, "restore");
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    /// `SET k 5`, as Valkey 9.1 dumps it.
    const FIVE: &[u8] = b"\x00\xc0\x05P\x00\xac\x05\x96\xf7\x1d}\xd4\xa5";

    fn restore(b: &mut Bench, words: &[&[u8]]) -> String {
        String::from_utf8_lossy(&b.run_words(words)).into_owned()
    }

    #[test]
    fn a_dumped_value_comes_back_with_the_instant_its_time_ends() {
        let mut b = Bench::new(FAMILIES);
        assert_eq!(restore(&mut b, &[b"restore", b"k", b"500", FIVE]), "+OK\r\n");
        b.check(&[("GET k", "$1\r\n5\r\n"), ("PTTL k", ":500\r\n")]);
        assert!(b.effects[0].starts_with("restore k 1000500 ") && b.effects[0].ends_with(" ABSTTL"), "{:?}", b.effects);
        assert!(b.events.contains(&"restore k".to_string()));
        assert_eq!(b.run_words(&[b"dump", b"k"]), [b"$13\r\n", FIVE, b"\r\n"].concat());
        b.check(&[("DUMP none", "$-1\r\n")]);
    }

    #[test]
    fn restoring_what_has_ended_deletes_what_is_replaced() {
        let mut b = Bench::new(FAMILIES);
        b.run("SET k v");
        b.effects.clear();
        assert!(restore(&mut b, &[b"restore", b"k", b"1", FIVE, b"absttl"]).starts_with("-BUSYKEY "));
        assert_eq!(restore(&mut b, &[b"restore", b"k", b"1", FIVE, b"absttl", b"replace"]), "+OK\r\n");
        assert_eq!(b.effects, ["UNLINK k"]);
        b.check(&[("EXISTS k", ":0\r\n")]);
        assert_eq!(restore(&mut b, &[b"restore", b"n", b"1", FIVE, b"absttl"]), "+OK\r\n");
        assert_eq!(b.effects.len(), 1, "nothing was there and nothing has changed");
    }

    #[test]
    fn errors_come_in_valkeys_order() {
        let mut b = Bench::new(FAMILIES);
        b.run("SET k v");
        for (words, error) in [
            (&[&b"restore"[..], b"k", b"-1", b"x", b"bogus"][..], "-ERR syntax error\r\n"),
            (&[b"restore", b"k", b"-1", b"x"], "-BUSYKEY Target key name already exists.\r\n"),
            (&[b"restore", b"n", b"-1", b"x"], "-ERR Invalid TTL value, must be >= 0\r\n"),
            (&[b"restore", b"n", b"z", b"x"], "-ERR value is not an integer or out of range\r\n"),
            (&[b"restore", b"n", b"0", b"x"], "-ERR DUMP payload version or checksum are wrong\r\n"),
            (&[b"restore", b"n", b"0", b"x", b"freq", b"256"], "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n"),
            (&[b"restore", b"n", b"0", b"x", b"idletime", b"-1"], "-ERR Invalid IDLETIME value, must be >= 0\r\n"),
            (&[b"restore", b"n", b"0", b"x", b"freq", b"1", b"idletime", b"1"], "-ERR syntax error\r\n"),
        ] {
            assert_eq!(restore(&mut b, words), error);
        }
    }
}
