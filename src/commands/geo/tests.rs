//! What geographic indexes answer and what replicas are told.

use crate::commands::FAMILIES;
use crate::commands::testing::Bench;
use proptest::prelude::*;

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

#[test]
fn a_search_is_told_twice_where_and_how_far_and_the_last_word_counts() {
    let mut b = sicily();
    let (catania, none) = ("*1\r\n$7\r\nCatania\r\n", "*0\r\n");
    b.check(&[
        ("GEOSEARCH s FROMLONLAT 0 0 BYRADIUS 1 km FROMLONLAT 15 37 BYRADIUS 100 km", catania),
        ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 100 km FROMLONLAT 15 37 BYRADIUS 1 m", none),
        ("GEOSEARCH s FROMMEMBER Palermo FROMMEMBER Catania BYBOX 1 1 km", catania),
        ("GEOSEARCH s FROMLONLAT 15 37 BYBOX 1 1 km BYBOX 200 200 km", catania),
        ("GEOSEARCH s FROMMEMBER nobody FROMMEMBER Catania BYBOX 1 1 km", "-ERR member nobody does not exist\r\n"),
        ("GEOSEARCH none FROMMEMBER nobody FROMMEMBER Catania BYBOX 1 1 km", none),
        ("GEOSEARCH s FROMLONLAT 15 37 FROMMEMBER Catania BYBOX 1 1 km", "-ERR syntax error\r\n"),
        ("GEOSEARCH none FROMMEMBER Catania FROMLONLAT 15 37 BYBOX 1 1 km", "-ERR syntax error\r\n"),
        ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1 km BYBOX 1 1 km", "-ERR syntax error\r\n"),
        ("GEOSEARCH s FROMLONLAT 15 37 BYBOX 1 1 km BYRADIUS 1 km", "-ERR syntax error\r\n"),
    ]);
}

#[test]
fn errors_of_a_search_say_the_command_as_it_was_called() {
    let mut b = sicily();
    b.check(&[
        (
            "GEOSEARCH s BYBOX 400 400 km ASC",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH\r\n",
        ),
        (
            "GeoSearch s FROMMEMBER Palermo ASC COUNT 2",
            "-ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for GeoSearch\r\n",
        ),
        ("GEOSEARCH s BYPOLYGON 2147483648 1 1 1 2 2 2", "-ERR invalid number of vertices\r\n"),
        ("GEOSEARCH s BYPOLYGON 2147483647 1 1 1 2 2 2", "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices\r\n"),
    ]);
}

#[test]
fn around_a_member_of_a_missing_key_the_measure_is_not_looked_at() {
    let mut b = sicily();
    b.check(&[
        ("GEORADIUSBYMEMBER none Palermo far leagues ASC", "*0\r\n"),
        ("GEORADIUSBYMEMBER none Palermo far leagues STORE d", ":0\r\n"),
        ("GEORADIUSBYMEMBER none Palermo far leagues COUNT 0", "-ERR COUNT must be > 0\r\n"),
        ("GEORADIUSBYMEMBER_RO none Palermo far leagues STORE d", "-ERR syntax error\r\n"),
        ("GEORADIUSBYMEMBER s Palermo far leagues ASC", "-ERR need numeric radius\r\n"),
        ("GEORADIUS none 1 1 far leagues ASC", "-ERR need numeric radius\r\n"),
    ]);
}

/// A reply's bulk strings.
fn bulks(reply: &str) -> Vec<String> {
    let mut lines = reply.split("\r\n");
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with('$') {
            found.push(lines.next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// Longitude and latitude in degrees.
type Point = (f64, f64);

/// Metres between two points of the sphere that these commands take the globe for, by the angle between them as vectors: not the formula
/// that the server has.
fn metres(a: Point, b: Point) -> f64 {
    let vector = |(lon, lat): Point| {
        let (lon, lat) = (lon.to_radians(), lat.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let ([ax, ay, az], [bx, by, bz]) = (vector(a), vector(b));
    let cross = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
    let sine = cross.iter().map(|c| c * c).sum::<f64>().sqrt();
    6_372_797.560_856 * sine.atan2(ax * bx + ay * by + az * bz)
}

/// How far a point is inside (above zero) a shape, in metres or degrees; what is next to nothing may be seen either way.
#[derive(Clone, Debug)]
enum Area {
    Radius(Point, f64),
    Box(Point, f64, f64),
    Polygon(Vec<Point>),
}

impl Area {
    fn words(&self) -> String {
        match self {
            Area::Radius((lon, lat), r) => format!("FROMLONLAT {lon} {lat} BYRADIUS {r} m"),
            Area::Box((lon, lat), w, h) => format!("FROMLONLAT {lon} {lat} BYBOX {w} {h} m"),
            Area::Polygon(corners) => {
                let words: String = corners.iter().map(|(lon, lat)| format!(" {lon} {lat}")).collect();
                format!("BYPOLYGON {}{words}", corners.len())
            }
        }
    }

    fn inside(&self, p: Point) -> f64 {
        match self {
            Area::Radius(center, r) => r - metres(*center, p),
            Area::Box(center, w, h) => {
                let north = metres((0.0, center.1), (0.0, p.1));
                let east = metres((center.0, p.1), p);
                (h / 2.0 - north).min(w / 2.0 - east)
            }
            Area::Polygon(corners) => {
                // How often the corners go round the point: for one, by the sum of the angles.
                let angle = |a: Point, b: Point| {
                    let (ax, ay, bx, by) = (a.0 - p.0, a.1 - p.1, b.0 - p.0, b.1 - p.1);
                    (ax * by - ay * bx).atan2(ax * bx + ay * by)
                };
                let next = corners.iter().cycle().skip(1);
                let edges = || corners.iter().copied().zip(next.clone().copied());
                let turns = (edges().map(|(a, b)| angle(a, b)).sum::<f64>() / std::f64::consts::TAU).round() as i64;
                // How near the nearest edge is.
                let near = edges().map(|(a, b)| {
                    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
                    let along = (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
                    (p.0 - a.0 - along * dx).hypot(p.1 - a.1 - along * dy)
                });
                let near = near.fold(f64::INFINITY, f64::min);
                if turns % 2 == 0 { -near } else { near }
            }
        }
    }
}

fn area() -> impl Strategy<Value = Area> {
    let center = || (-179.0..179.0, -80.0..80.0);
    let size = || prop_oneof![1.0..1e5, 1e5..3e6_f64];
    let rays = prop::collection::vec((0.3..1.0, 0.5..20.0), 3..9);
    let corners = (center(), rays).prop_map(|((lon, lat), rays): (Point, Vec<Point>)| {
        // Around the middle: the edges do not cross, where every second turn would count.
        let step = std::f64::consts::TAU / rays.len() as f64;
        let corner = |(n, (off, length)): (usize, &Point)| {
            let angle = (n as f64 + off) * step;
            ((lon + length * angle.cos()).clamp(-180.0, 180.0), (lat + length * angle.sin()).clamp(-85.0, 85.0))
        };
        Area::Polygon(rays.iter().enumerate().map(corner).collect())
    });
    prop_oneof![
        (center(), size()).prop_map(|(c, r)| Area::Radius(c, r)),
        (center(), size(), size()).prop_map(|(c, w, h)| Area::Box(c, w, h)),
        corners,
    ]
}

proptest! {
    #[test]
    fn a_search_finds_what_lies_in_the_area_and_nothing_else(
        area in area(),
        far in prop::collection::vec((-180.0..180.0, -85.0..85.0), 0..60),
        near in prop::collection::vec((-6.0..6.0, -6.0..6.0, 0.0..3.0_f64), 0..60),
    ) {
        let (lon, lat) = match &area {
            Area::Radius(c, _) | Area::Box(c, _, _) => *c,
            Area::Polygon(corners) => corners[0],
        };
        let near = near.iter().map(|(x, y, scale)| (lon + x * scale, lat + y * scale));
        let points: Vec<Point> = far.into_iter().chain(near).filter(|p| p.0.abs() < 180.0 && p.1.abs() < 85.0).collect();
        let mut b = Bench::new(FAMILIES);
        for (n, (lon, lat)) in points.iter().enumerate() {
            b.run(&format!("GEOADD g {lon} {lat} {n}"));
        }
        // Where the server says they are: a score is not quite the place that was given.
        let stand: Vec<Point> = (0..points.len()).map(|n| {
            let at = bulks(&b.run(&format!("GEOPOS g {n}")));
            (at[0].parse().unwrap(), at[1].parse().unwrap())
        }).collect();
        for (p, s) in points.iter().zip(&stand) {
            prop_assert!((p.0 - s.0).abs() < 6e-6 && (p.1 - s.1).abs() < 3e-6);
        }
        let found = b.run(&format!("GEOSEARCH g {}", area.words()));
        prop_assert!(found.starts_with('*'), "{}: {}", area.words(), found);
        let mut found = bulks(&found);
        for (n, p) in stand.iter().enumerate() {
            let inside = area.inside(*p);
            if inside.abs() > 1e-3 {
                prop_assert_eq!(found.contains(&n.to_string()), inside > 0.0, "{} {:?} {}", area.words(), p, inside);
            }
        }
        // Nearest first is the same places, by how far they are.
        let mut nearest = bulks(&b.run(&format!("GEOSEARCH g {} ASC", area.words())));
        if let Area::Radius(c, _) | Area::Box(c, _, _) = &area {
            let distance = |n: &String| metres(*c, stand[n.parse::<usize>().unwrap()]);
            prop_assert!(nearest.windows(2).all(|w| distance(&w[0]) <= distance(&w[1]) + 1e-3));
        }
        found.sort();
        nearest.sort();
        prop_assert_eq!(&found, &nearest);
        b.run(&format!("GEOSEARCHSTORE to g {}", area.words()));
        let mut stored = bulks(&b.run("ZRANGE to 0 -1"));
        stored.sort();
        prop_assert_eq!(&found, &stored);
    }
}
