//! Values as payloads.

use crate::commands::Command;
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};

const WHY: &str = "serialised values come with persistence";

const DUMP_SPEC: CommandSpec = CommandSpec::new("dump", 2, Group::Generic, "readonly")
    .acl("keyspace")
    .since("2.6.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key")
    .doc("Packs the value of a key into a payload.", "O(1) and O(N*M) to pack, N: elements, M: their mean size");

pub static DUMP: Command = Command::missing(DUMP_SPEC, WHY);
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

pub static RESTORE: Command = Command::missing(RESTORE_SPEC, WHY);
const MIGRATE_SPEC: CommandSpec = CommandSpec::new("migrate", -6, Group::Generic, "write")
    .acl("keyspace dangerous")
    .since("2.6.0")
    .tips("nondeterministic_output")
    .keys(&[
        KeySpec::index(3, "RW access delete"),
        KeySpec::keyword("KEYS", -2, "RW access delete incomplete").range(-1, 1, 0),
    ])
    .key_code(KeyCode::Migrate)
    .history(&[
        ("3.0.0", "Words `COPY` and `REPLACE`."),
        ("3.0.6", "Option `KEYS`."),
        ("4.0.7", "Option `AUTH`."),
        ("6.0.0", "Option `AUTH2`."),
    ])
    .args(
        "host port:integer key-selector{key:key|\"\"=empty-string:token} \
        destination-db:integer timeout:integer [COPY@3.0.0] [REPLACE@3.0.0] \
        [authentication{AUTH=auth/password/@4.0.7 | AUTH2=auth2(username password)@6.0.0}] \
        [KEYS=keys:key#1/key/@3.0.6...]",
    )
    .doc("Moves keys to another server.", "O(N) to pack and unpack, N: bytes of the values");

pub static MIGRATE: Command = Command::missing(MIGRATE_SPEC, WHY);
