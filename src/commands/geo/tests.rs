//! What geographic indexes answer and what replicas are told.

use crate::commands::FAMILIES;
use crate::commands::testing::Bench;

fn sicily() -> Bench {
    let mut b = Bench::new(FAMILIES);
    b.check(&[("GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2\r\n")]);
    b
}

#[test]
fn places_are_scores_and_told_as_such() {
    let mut b = sicily();
    b.check(&[
        ("GEOADD s XX CH 13 38 Palermo", ":1\r\n"),
        ("GEOADD s NX 14 38 Palermo", ":0\r\n"),
        ("GEOADD none XX 14 38 Palermo", ":0\r\n"),
        ("GEOADD s 181 1 a", "-ERR invalid longitude,latitude pair 181.000000,1.000000\r\n"),
        ("ZSCORE s Catania", "$16\r\n3479447370796909\r\n"),
        ("GEOPOS s none", "*1\r\n*-1\r\n"),
        ("GEOHASH s Catania none", "*2\r\n$11\r\nsqdtr74hyu0\r\n$-1\r\n"),
    ]);
    assert_eq!(b.effects[0], "ZADD s 3479099956230698 Palermo 3479447370796909 Catania");
    assert!(b.effects[1].starts_with("ZADD s XX CH ") && b.effects.len() == 2);
}

#[test]
fn distances_and_coordinates_print_as_ever() {
    let mut b = sicily();
    b.check(&[
        ("GEODIST s Palermo Catania", "$11\r\n166274.1516\r\n"),
        ("GEODIST s Palermo Catania mi", "$8\r\n103.3182\r\n"),
        ("GEODIST s Palermo none", "$-1\r\n"),
        ("GEOPOS s Catania", "*1\r\n*2\r\n$20\r\n15.08726745843887329\r\n$20\r\n37.50266842333162032\r\n"),
        (
            "GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST COUNT 1",
            "*1\r\n*2\r\n$7\r\nCatania\r\n$7\r\n56.4413\r\n",
        ),
        ("GEOSEARCH s FROMMEMBER Palermo BYBOX 400 400 km DESC", "*2\r\n$7\r\nCatania\r\n$7\r\nPalermo\r\n"),
        ("GEOSEARCH s BYPOLYGON 3 10 35 20 35 20 40 WITHDIST", "*1\r\n*2\r\n$7\r\nCatania\r\n$11\r\n157269.5831\r\n"),
    ]);
}

#[test]
fn what_is_found_can_be_kept() {
    let mut b = sicily();
    b.check(&[
        ("GEORADIUS s 15 37 200 km STOREDIST d", ":2\r\n"),
        ("ZRANGE d 0 -1", "*2\r\n$7\r\nCatania\r\n$7\r\nPalermo\r\n"),
        ("GEOSEARCHSTORE d s FROMLONLAT 0 0 BYRADIUS 1 km", ":0\r\n"),
        ("EXISTS d", ":0\r\n"),
        ("GEOSEARCHSTORE s s FROMLONLAT 15 37 BYRADIUS 100 km", ":1\r\n"),
        ("ZCARD s", ":1\r\n"),
        ("GEORADIUSBYMEMBER none a 1 km STORE s", ":0\r\n"),
        ("EXISTS s", ":0\r\n"),
    ]);
    assert!(b.events.contains(&"georadiusstore d".to_string()) && b.events.contains(&"geosearchstore s".to_string()));
}
