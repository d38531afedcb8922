//! Places as scores and letters, and what a search looks at against what lies in its shape.
#![no_main]

use holdfast::value::geo::{LATITUDE_MAX, LONGITUDE_MAX, Place, Polygon, Shape};
use libfuzzer_sys::fuzz_target;

/// The longest search that reaches no further than the cells beside its own, whatever its middle, as metres and as a latitude: beyond that
/// the searches of this family may miss what lies behind a pole, or round the globe.
const METRES_MAX: f64 = 1_000_000.0;
const FAR_NORTH: f64 = 66.0;

/// Any two numbers as a place.
fn place((x, y): (i32, i32)) -> Place {
    let scaled = |n: i32, max: f64| f64::from(n) / 2_f64.powi(31) * max;
    Place::new(scaled(x, LONGITUDE_MAX), scaled(y, LATITUDE_MAX)).expect("within the bounds")
}

fuzz_target!(|input: ([(i32, i32); 3], (u32, u32), Vec<(i32, i32)>, [u64; 5])| {
    let (corners, sizes, places, bits) = input;
    // Any bits are a score, and any figures a search, that ends somewhere.
    let [score, longitude, latitude, a, b] = bits.map(f64::from_bits);
    let any = Place::of_score(score);
    assert_eq!(Place::of_score(any.score() as f64).score(), any.score());
    let _ = any.letters();
    let center = Place { longitude, latitude };
    let _ = (Shape::Circle { center, radius: a }.scores(), Shape::Box { center, width: a, height: b }.scores());

    let places: Vec<Place> = places.into_iter().map(place).collect();
    for p in &places {
        let back = Place::of_score(p.score() as f64);
        assert!(
            (back.longitude - p.longitude).abs() < 6e-6 && (back.latitude - p.latitude).abs() < 3e-6,
            "{p:?} {back:?}"
        );
        assert_eq!(back.score(), p.score());
        assert!(p.letters().iter().all(|l| b"0123456789bcdefghjkmnpqrstuvwxyz".contains(l)));
        assert!(p.distance(back) < 1.0);
    }
    let corners = corners.map(place);
    let center = corners[0];
    let [a, b] = [sizes.0, sizes.1].map(|n| f64::from(n) / f64::from(u32::MAX) * METRES_MAX);
    let mut shapes = vec![Shape::Polygon(Polygon::new(corners.to_vec()))];
    if center.latitude.abs() < FAR_NORTH {
        shapes.extend([Shape::Circle { center, radius: a }, Shape::Box { center, width: a, height: b }]);
    }
    for shape in shapes {
        let ranges = shape.scores();
        for p in places.iter().map(|p| Place::of_score(p.score() as f64)) {
            let looked_at = ranges.iter().any(|r| r.contains(&p.score()));
            assert!(shape.distance_to(p).is_none() || looked_at, "{shape:?} {p:?}");
        }
    }
});
