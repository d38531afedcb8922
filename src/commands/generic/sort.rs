//! Sorting the elements of lists, sets and sorted sets.

use crate::commands::Command;
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};

const WHY: &str = "it comes with the collections it sorts";

const SORT_SPEC: CommandSpec = CommandSpec::new("sort", -2, Group::Generic, "write denyoom arbitrary_keys")
    .acl("set sortedset list dangerous")
    .since("1.0.0")
    .keys(&[
        KeySpec::index(1, "RO access"),
        KeySpec::unknown("RO access").notes("Keys that the `BY` and `GET` patterns lead to."),
        KeySpec::unknown("OW update").notes("The key after `STORE`, wherever that stands."),
    ])
    .key_code(KeyCode::Sort)
    .args(
        "key:key [BY=by-pattern:pattern#1/pattern/] [LIMIT=limit(offset:integer \
        count:integer)] [GET=get-pattern:pattern#1/pattern/*...] [order{ASC|DESC}] \
        [ALPHA=sorting:token] [STORE=destination:key#2]",
    )
    .doc(
        "Sorts a list, a set or a sorted set; may store the outcome.",
        "O(N+M*log(M)), N: elements, M: elements returned; O(N) without sorting",
    );

pub static SORT: Command = Command::missing(SORT_SPEC, WHY);
const SORT_RO_SPEC: CommandSpec = CommandSpec::new("sort_ro", -2, Group::Generic, "readonly arbitrary_keys")
    .acl("set sortedset list dangerous")
    .since("7.0.0")
    .keys(&[
        KeySpec::index(1, "RO access"),
        KeySpec::unknown("RO access").notes("Keys that the `BY` and `GET` patterns lead to."),
    ])
    .args(
        "key:key [BY=by-pattern:pattern#1/pattern/] [LIMIT=limit(offset:integer \
        count:integer)] [GET=get-pattern:pattern#1/pattern/*...] [order{ASC|DESC}] \
        [ALPHA=sorting:token]",
    )
    .doc(
        "Sorts a list, a set or a sorted set.",
        "O(N+M*log(M)), N: elements, M: elements returned; O(N) without sorting",
    );

pub static SORT_RO: Command = Command::missing(SORT_RO_SPEC, WHY);
