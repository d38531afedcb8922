//! The cluster.

use super::Command;
use crate::spec::{CommandSpec, Group, KeySpec};

const RESTORE_ASKING: CommandSpec = CommandSpec::new("restore-asking", -4, Group::Server, "write denyoom asking")
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
        "Creates a key from a payload while its slot is being imported.",
        "O(1) and O(N*M) to rebuild, N: elements, M: their mean size",
    );

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[&Command::missing(RESTORE_ASKING, "the cluster")];
