//! Geographic indexes.

use super::Command;
use crate::spec::{CommandSpec, Group, KeyCode, KeySpec};

const GEOADD: CommandSpec = CommandSpec::new("geoadd", -5, Group::Geo, "write denyoom")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[("6.2.0", "Options `CH`, `NX`, `XX`.")])
    .args(
        "key:key [condition{NX|XX}@6.2.0] [CH=change:token@6.2.0] data(longitude:double \
        latitude:double member)...",
    )
    .doc("Adds places to a geographic index.", "O(log(N)) per place, N: places in the index");

const GEODIST: CommandSpec = CommandSpec::new("geodist", -4, Group::Geo, "readonly")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key member1 member2 [unit{M|KM|FT|MI}]")
    .doc("Tells the distance between two places.", "O(1)");

const GEOHASH: CommandSpec = CommandSpec::new("geohash", -2, Group::Geo, "readonly")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key [member...]")
    .doc("Gives places as geohash strings.", "O(1) per place");

const GEOPOS: CommandSpec = CommandSpec::new("geopos", -2, Group::Geo, "readonly")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key [member...]")
    .doc("Gives the longitude and latitude of places.", "O(1) per place");

const GEORADIUS: CommandSpec = CommandSpec::new("georadius", -6, Group::Geo, "write denyoom")
    .since("3.2.0")
    .keys(&[
        KeySpec::index(1, "RO access"),
        KeySpec::keyword("STORE", 6, "OW update variable_flags"),
        KeySpec::keyword("STOREDIST", 6, "OW update variable_flags"),
    ])
    .key_code(KeyCode::GeoRadius(5))
    .history(&[("6.2.0", "Word `ANY` after `COUNT`."), ("7.0.0", "Units in capitals.")])
    .args(
        "key:key longitude:double latitude:double radius:double unit{M|KM|FT|MI} [WITHCOORD] \
        [WITHDIST] [WITHHASH] [count-block(COUNT=count:integer [ANY@6.2.0])] \
        [order{ASC|DESC}] \
        [store{STORE=storekey:key#1/key/|STOREDIST=storedistkey:key#2/key/}]",
    )
    .doc(
        "Finds places within a circle around a point; may store them.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

const GEORADIUS_RO: CommandSpec = CommandSpec::new("georadius_ro", -6, Group::Geo, "readonly")
    .since("3.2.10")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Word `ANY` after `COUNT`."), ("7.0.0", "Units in capitals.")])
    .args(
        "key:key longitude:double latitude:double radius:double unit{M|KM|FT|MI} [WITHCOORD] \
        [WITHDIST] [WITHHASH] [count-block(COUNT=count:integer [ANY@6.2.0])] \
        [order{ASC|DESC}]",
    )
    .doc(
        "Finds places within a circle around a point.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

const GEORADIUSBYMEMBER: CommandSpec = CommandSpec::new("georadiusbymember", -5, Group::Geo, "write denyoom")
    .since("3.2.0")
    .keys(&[
        KeySpec::index(1, "RO access"),
        KeySpec::keyword("STORE", 5, "OW update variable_flags"),
        KeySpec::keyword("STOREDIST", 5, "OW update variable_flags"),
    ])
    .key_code(KeyCode::GeoRadius(5))
    .history(&[("6.2.0", "Word `ANY` after `COUNT`."), ("7.0.0", "Units in capitals.")])
    .args(
        "key:key member radius:double unit{M|KM|FT|MI} [WITHCOORD] [WITHDIST] [WITHHASH] \
        [count-block(COUNT=count:integer [ANY])] [order{ASC|DESC}] \
        [store{STORE=storekey:key#1/key/|STOREDIST=storedistkey:key#2/key/}]",
    )
    .doc(
        "Finds places within a circle around a place; may store them.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

const GEORADIUSBYMEMBER_RO: CommandSpec = CommandSpec::new("georadiusbymember_ro", -5, Group::Geo, "readonly")
    .since("3.2.10")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("6.2.0", "Word `ANY` after `COUNT`."), ("7.0.0", "Units in capitals.")])
    .args(
        "key:key member radius:double unit{M|KM|FT|MI} [WITHCOORD] [WITHDIST] [WITHHASH] \
        [count-block(COUNT=count:integer [ANY])] [order{ASC|DESC}]",
    )
    .doc(
        "Finds places within a circle around a place.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

const GEOSEARCH: CommandSpec = CommandSpec::new("geosearch", -7, Group::Geo, "readonly")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("7.0.0", "Units in capitals."), ("9.0.0", "Shape `BYPOLYGON`.")])
    .args(
        "key:key [from{FROMMEMBER=member | FROMLONLAT=fromlonlat(longitude:double \
        latitude:double)}] by{circle(BYRADIUS=radius:double unit{M|KM|FT|MI}) | \
        box(BYBOX=width:double height:double unit{M|KM|FT|MI}) | \
        polygon(BYPOLYGON=num-vertices:integer vertices(longitude:double \
        latitude:double)...)@9.0.0} [order{ASC|DESC}] [count-block(COUNT=count:integer \
        [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]",
    )
    .doc(
        "Finds places within a circle, a box or a polygon.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

const GEOSEARCHSTORE: CommandSpec = CommandSpec::new("geosearchstore", -8, Group::Geo, "write denyoom")
    .since("6.2.0")
    .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access")])
    .history(&[("7.0.0", "Units in capitals."), ("9.0.0", "Shape `BYPOLYGON`.")])
    .args(
        "destination:key source:key#1 [from{FROMMEMBER=member | \
        FROMLONLAT=fromlonlat(longitude:double latitude:double)}] \
        by{circle(BYRADIUS=radius:double unit{M|KM|FT|MI}) | box(BYBOX=width:double \
        height:double unit{M|KM|FT|MI}) | polygon(BYPOLYGON=num-vertices:integer \
        vertices(longitude:double latitude:double)...)@9.0.0} [order{ASC|DESC}] \
        [count-block(COUNT=count:integer [ANY])] [STOREDIST]",
    )
    .doc(
        "Finds places within a circle, a box or a polygon and stores them.",
        "O(N+log(M)), N: places in the bounding box, M: places in the index",
    );

/// The rows in reading order.
pub static COMMANDS: &[&Command] = &[
    &Command::missing(GEOADD, "geographic indexes"),
    &Command::missing(GEODIST, "geographic indexes"),
    &Command::missing(GEOHASH, "geographic indexes"),
    &Command::missing(GEOPOS, "geographic indexes"),
    &Command::missing(GEORADIUS, "geographic indexes"),
    &Command::missing(GEORADIUS_RO, "geographic indexes"),
    &Command::missing(GEORADIUSBYMEMBER, "geographic indexes"),
    &Command::missing(GEORADIUSBYMEMBER_RO, "geographic indexes"),
    &Command::missing(GEOSEARCH, "geographic indexes"),
    &Command::missing(GEOSEARCHSTORE, "geographic indexes"),
];
