//! Places on the globe as scores of a sorted set: 52 bits that interleave latitude and longitude, so that what lies close together has
//! scores close together.
//!
//! The figures (bounds of the Mercator projection, the radius of the globe, the steps of a search) are those every server of this family
//! uses: scores and distances move between them.

use std::f64::consts::FRAC_PI_2;
use std::ops::Range;

pub const LONGITUDE_MAX: f64 = 180.0;
pub const LATITUDE_MAX: f64 = 85.051_128_78;
/// Metres.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Half the circumference in the projection, in metres: the longest search.
const MERCATOR_MAX: f64 = 20_037_726.37;
/// Bits of each coordinate.
const STEP_MAX: u32 = 26;

/// A place in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub longitude: f64,
    pub latitude: f64,
}

impl Place {
    /// A place the projection shows.
    pub fn new(longitude: f64, latitude: f64) -> Option<Place> {
        let shown =
            (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude) && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        shown.then_some(Place { longitude, latitude })
    }

    pub fn score(self) -> u64 {
        encode(self, STEP_MAX, LATITUDE_MAX)
    }

    /// The middle of the cell a score stands for. A score that is none comes out somewhere.
    pub fn of_score(score: f64) -> Place {
        let cell = Cell { bits: score as u64, step: STEP_MAX };
        let (longitude, latitude) = (cell.longitudes(), cell.latitudes());
        let middle = |r: Range<f64>, max: f64| ((r.start + r.end) / 2.0).clamp(-max, max);
        Place { longitude: middle(longitude, LONGITUDE_MAX), latitude: middle(latitude, LATITUDE_MAX) }
    }

    /// The eleven letters by which maps know it.
    pub fn letters(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        // Maps divide the whole globe, not what the projection shows of it.
        let bits = encode(self, STEP_MAX, 90.0);
        let mut text = [ALPHABET[0]; 11];
        // 52 bits make ten letters; the eleventh has nothing to say.
        for (i, letter) in text.iter_mut().take(10).enumerate() {
            *letter = ALPHABET[(bits >> (52 - 5 * (i + 1)) & 0x1f) as usize];
        }
        text
    }

    /// Metres between two places, on a sphere.
    pub fn distance(self, other: Place) -> f64 {
        let (lon1, lon2) = (radians(self.longitude), radians(other.longitude));
        let v = ((lon2 - lon1) / 2.0).sin();
        if v == 0.0 {
            return latitude_distance(self.latitude, other.latitude);
        }
        let (lat1, lat2) = (radians(self.latitude), radians(other.latitude));
        let u = ((lat2 - lat1) / 2.0).sin();
        let a = u * u + lat1.cos() * lat2.cos() * v * v;
        2.0 * EARTH_RADIUS * a.min(1.0).sqrt().asin()
    }
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

fn latitude_distance(a: f64, b: f64) -> f64 {
    EARTH_RADIUS * (radians(b) - radians(a)).abs()
}

/// Spreads 32 bits over the even places of 64.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, EVEN),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// Takes the even places of 64 bits together.
fn gather(bits: u64) -> u32 {
    let mut x = bits & EVEN;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        x = (x | x >> shift) & mask;
    }
    x as u32
}

/// Bits of latitudes.
const EVEN: u64 = 0x5555_5555_5555_5555;
/// Bits of longitudes.
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

fn encode(place: Place, step: u32, latitude_max: f64) -> u64 {
    let cells = f64::from(1_u32 << step);
    let offset = |at: f64, max: f64| ((at + max) / (2.0 * max) * cells) as u32;
    spread(offset(place.latitude, latitude_max)) | spread(offset(place.longitude, LONGITUDE_MAX)) << 1
}

/// A cell of a division of the projection into 4^step cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    step: u32,
}

impl Cell {
    fn of(place: Place, step: u32) -> Cell {
        Cell { bits: encode(place, step, LATITUDE_MAX), step }
    }

    fn side(&self, at: u32, max: f64) -> Range<f64> {
        let cells = (1_u64 << self.step) as f64;
        let edge = |n: f64| -max + n / cells * (2.0 * max);
        edge(f64::from(at))..edge(f64::from(at) + 1.0)
    }

    fn latitudes(&self) -> Range<f64> {
        self.side(gather(self.bits), LATITUDE_MAX)
    }

    fn longitudes(&self) -> Range<f64> {
        self.side(gather(self.bits >> 1), LONGITUDE_MAX)
    }

    /// The neighbour so many cells to the east and the north, around the edges.
    fn beside(self, east: i8, north: i8) -> Cell {
        let unused = 64 - 2 * self.step;
        let shift = |bits: u64, own: u64, others: u64, by: i8| {
            let filled = others >> unused;
            let moved = match by {
                0 => bits,
                1.. => bits.wrapping_add(filled + 1),
                _ => (bits | filled).wrapping_sub(filled + 1),
            };
            moved & own >> unused
        };
        let x = if east == 0 { self.bits & ODD } else { shift(self.bits & ODD, ODD, EVEN, east) };
        let y = if north == 0 { self.bits & EVEN } else { shift(self.bits & EVEN, EVEN, ODD, north) };
        Cell { bits: x | y, ..self }
    }

    /// Whether it and its eight neighbours hold all of it.
    fn reaches(&self, bounds: &Bounds) -> bool {
        let within = |side: Range<f64>, reach: &Range<f64>, min: f64, max: f64| {
            let length = side.end - side.start;
            side.start - length <= reach.start.max(min) && reach.end.min(max) <= side.end + length
        };
        within(self.latitudes(), &bounds.latitudes, -LATITUDE_MAX, LATITUDE_MAX)
            && within(self.longitudes(), &bounds.longitudes, f64::NEG_INFINITY, f64::INFINITY)
    }

    /// The scores of the places in it.
    fn scores(&self) -> Range<u64> {
        let shift = 2 * (STEP_MAX - self.step);
        self.bits << shift..self.bits.wrapping_add(1) << shift
    }
}

/// What is searched. Lengths are in metres.
#[derive(Clone, Debug)]
pub enum Shape {
    Circle { center: Place, radius: f64 },
    Box { center: Place, width: f64, height: f64 },
    Polygon(Polygon),
}

/// A polygon of at least three corners; where its edges cross, what lies inside an even number of times lies outside.
#[derive(Clone, Debug)]
pub struct Polygon {
    corners: Vec<Place>,
    centroid: Place,
}

impl Polygon {
    pub fn new(corners: Vec<Place>) -> Polygon {
        // The mean of the corners as points in space: on the globe degrees are not of one length.
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for c in &corners {
            let (lon, lat) = (radians(c.longitude), radians(c.latitude));
            x += lat.cos() * lon.cos();
            y += lat.cos() * lon.sin();
            z += lat.sin();
        }
        let n = corners.len().max(1) as f64;
        let (x, y, z) = (x / n, y / n, z / n);
        let centroid = Place { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2((x * x + y * y).sqrt())) };
        Polygon { corners, centroid }
    }

    fn contains(&self, p: Place) -> bool {
        let mut inside = false;
        let mut before = self.corners.last();
        for corner in &self.corners {
            if let Some(b) = before
                && (corner.latitude > p.latitude) != (b.latitude > p.latitude)
                && p.longitude
                    < (b.longitude - corner.longitude) * (p.latitude - corner.latitude) / (b.latitude - corner.latitude)
                        + corner.longitude
            {
                inside = !inside;
            }
            before = Some(corner);
        }
        inside
    }
}

/// Degrees that a search may reach.
struct Bounds {
    longitudes: Range<f64>,
    latitudes: Range<f64>,
}

impl Bounds {
    /// So many metres to the north and the south, and degrees to the east and the west.
    fn around(center: Place, height: f64, longitude: f64) -> Bounds {
        let latitude = degrees(height / EARTH_RADIUS);
        Bounds {
            longitudes: center.longitude - longitude..center.longitude + longitude,
            latitudes: center.latitude - latitude..center.latitude + latitude,
        }
    }
}

/// Degrees of longitude between two places of one latitude that are so many metres apart, the short way; half the globe if none are.
fn along(latitude: f64, metres: f64) -> f64 {
    let sine = (metres / EARTH_RADIUS / 2.0).min(FRAC_PI_2).sin() / radians(latitude).cos();
    if sine < 1.0 { degrees(2.0 * sine.asin()) } else { 180.0 }
}

/// Degrees of longitude that a circle spans to the east of its middle; half the globe if a pole is in it.
fn eastward(center: Place, radius: f64) -> f64 {
    let angle = radius / EARTH_RADIUS;
    if radians(center.latitude.abs()) + angle < FRAC_PI_2 {
        degrees((angle.sin() / radians(center.latitude).cos()).asin())
    } else {
        180.0
    }
}

impl Shape {
    /// Metres from the middle to a place, if it lies in the shape.
    pub fn distance_to(&self, p: Place) -> Option<f64> {
        match self {
            Shape::Circle { center, radius } => Some(center.distance(p)).filter(|d| d <= radius),
            Shape::Box { center, width, height } => {
                if latitude_distance(p.latitude, center.latitude) > height / 2.0 {
                    return None;
                }
                let level = Place { longitude: center.longitude, latitude: p.latitude };
                (p.distance(level) <= width / 2.0).then(|| center.distance(p))
            }
            Shape::Polygon(polygon) => polygon.contains(p).then(|| polygon.centroid.distance(p)),
        }
    }

    /// Where to look: a middle, how far from it, and the degrees that may be reached.
    fn extent(&self) -> (Place, f64, Bounds) {
        match self {
            Shape::Circle { center, radius } => {
                (*center, *radius, Bounds::around(*center, *radius, eastward(*center, *radius)))
            }
            Shape::Box { center, width, height } => {
                let (w, h) = (width / 2.0, height / 2.0);
                let tip = LATITUDE_MAX.min(center.latitude.abs() + degrees(h / EARTH_RADIUS));
                // Towards the pole the same way spans more degrees.
                (*center, (w * w + h * h).sqrt(), Bounds::around(*center, h, along(tip, w)))
            }
            Shape::Polygon(polygon) => {
                let span = |of: fn(&Place) -> f64| {
                    let all = polygon.corners.iter().map(of);
                    all.clone().fold(f64::INFINITY, f64::min)..all.fold(f64::NEG_INFINITY, f64::max)
                };
                let bounds = Bounds { longitudes: span(|p| p.longitude), latitudes: span(|p| p.latitude) };
                let c = polygon.centroid;
                let middle = |r: &Range<f64>| (r.start + r.end) / 2.0;
                // The order of an unsorted answer follows from where the search begins. A polygon that reaches more than half
                // round the globe may have its centroid behind it.
                let center = if bounds.longitudes.contains(&c.longitude) && bounds.latitudes.contains(&c.latitude) {
                    c
                } else {
                    Place { longitude: middle(&bounds.longitudes), latitude: middle(&bounds.latitudes) }
                };
                let mut far = 0.0_f64;
                let Range { start, end } = bounds.longitudes;
                // Where the polygon goes on behind the globe, it comes nearer again.
                for longitude in [start.max(center.longitude - 180.0), end.min(center.longitude + 180.0)] {
                    for latitude in [bounds.latitudes.start, center.latitude, bounds.latitudes.end] {
                        far = far.max(center.distance(Place { longitude, latitude }));
                    }
                }
                (center, far, bounds)
            }
        }
    }

    /// Ranges of scores that hold every place of the shape, and others.
    pub fn scores(&self) -> Vec<Range<u64>> {
        let (center, radius, bounds) = self.extent();
        let mut step = steps(radius, center.latitude);
        let mut cell = Cell::of(center, step);
        let too_near = cell.beside(0, 1).latitudes().end < bounds.latitudes.end
            || cell.beside(0, -1).latitudes().start > bounds.latitudes.start
            || cell.beside(1, 0).longitudes().end < bounds.longitudes.end
            || cell.beside(-1, 0).longitudes().start > bounds.longitudes.start;
        if step > 1 && too_near {
            step -= 1;
            cell = Cell::of(center, step);
        }
        // What lies behind the edges of the projection is nowhere, and what lies behind the globe is met from the other side.
        while step > 1 && !cell.reaches(&bounds) {
            step -= 1;
            cell = Cell::of(center, step);
        }
        let (lat, lon) = (cell.latitudes(), cell.longitudes());
        let needed = |east: i8, north: i8| {
            // With cells this large a neighbour may be one on the other side as well.
            step < 2
                || !(north < 0 && lat.start < bounds.latitudes.start
                    || north > 0 && lat.end > bounds.latitudes.end
                    || east < 0 && lon.start < bounds.longitudes.start
                    || east > 0 && lon.end > bounds.longitudes.end)
        };
        let around = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut cells: Vec<Cell> = Vec::with_capacity(around.len());
        for (east, north) in around {
            let next = cell.beside(east, north);
            // Around the globe, two neighbours may be one.
            if needed(east, north) && !cells.contains(&next) {
                cells.push(next);
            }
        }
        cells.iter().map(Cell::scores).collect()
    }
}

/// How fine cells may be so that a search of this radius reaches no further than the neighbours of its own.
fn steps(radius: f64, latitude: f64) -> u32 {
    if radius == 0.0 {
        return STEP_MAX;
    }
    let (mut step, mut range) = (1_i32, radius);
    // What is not positive would never end; it finds nothing anyway.
    while range < MERCATOR_MAX && step < 64 {
        range *= 2.0;
        step += 1;
    }
    step -= 2;
    // Towards the poles a degree of longitude is shorter.
    step -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    step.clamp(1, STEP_MAX as i32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PALERMO: Place = Place { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Place = Place { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn scores_distances_and_letters_are_valkeys() {
        assert_eq!((PALERMO.score(), CATANIA.score()), (3_479_099_956_230_698, 3_479_447_370_796_909));
        let (p, c) = (Place::of_score(PALERMO.score() as f64), Place::of_score(CATANIA.score() as f64));
        assert_eq!(format!("{:.4}", p.distance(c)), "166274.1516");
        assert_eq!((&p.letters(), &c.letters()), (b"sqc8b49rny0", b"sqdtr74hyu0"));
        assert_eq!(Place::new(180.1, 0.0), None);
        assert_eq!(Place::new(f64::NAN, 0.0), None);
    }

    fn place() -> impl Strategy<Value = Place> {
        let longitude = prop_oneof![8 => -180.0..180.0, 1 => Just(179.999_999_9), 1 => Just(-180.0), 1 => -1e-6..1e-6];
        let latitude =
            prop_oneof![8 => -85.05..85.05, 1 => Just(85.051_128_7), 1 => Just(-LATITUDE_MAX), 1 => -1e-6..1e-6];
        (longitude, latitude).prop_map(|(longitude, latitude)| Place { longitude, latitude })
    }

    proptest! {
        #[test]
        fn a_score_is_the_cell_of_its_place(p in place()) {
            let back = Place::of_score(p.score() as f64);
            prop_assert!((back.longitude - p.longitude).abs() < 6e-6 && (back.latitude - p.latitude).abs() < 3e-6);
            prop_assert_eq!(back.score(), p.score());
        }

        #[test]
        fn a_polygon_misses_none_of_its_places(
            corners in prop::collection::vec(place(), 3..8),
            places in prop::collection::vec(place(), 0..60),
        ) {
            let shape = Shape::Polygon(Polygon::new(corners));
            let ranges = shape.scores();
            for p in places.into_iter().map(|p| Place::of_score(p.score() as f64)) {
                if shape.distance_to(p).is_some() {
                    prop_assert!(ranges.iter().any(|r| r.contains(&p.score())));
                }
            }
        }

        #[test]
        fn a_circle_or_a_box_misses_none_of_its_places(
            center in place(),
            size in (0.0..7.3_f64, 0.0..7.3_f64).prop_map(|(w, h)| (10_f64.powf(w), 10_f64.powf(h))),
            places in prop::collection::vec(place(), 0..20),
            near in prop::collection::vec((-1.0..1.0, -1.0..1.0), 0..40),
        ) {
            let (width, height) = size;
            let far = degrees(width.max(height) / EARTH_RADIUS);
            let near = near.iter().filter_map(|(east, north)| {
                let latitude = center.latitude + north * far;
                let longitude = center.longitude + east * far / radians(latitude).cos().abs();
                Place::new((longitude + 540.0).rem_euclid(360.0) - 180.0, latitude)
            });
            let places: Vec<Place> = places.into_iter().chain(near).map(|p| Place::of_score(p.score() as f64)).collect();
            for shape in [Shape::Circle { center, radius: width }, Shape::Box { center, width, height }] {
                let ranges = shape.scores();
                for p in &places {
                    if shape.distance_to(*p).is_some() {
                        prop_assert!(ranges.iter().any(|r| r.contains(&p.score())), "{:?} {:?}", shape, p);
                    }
                }
            }
        }

        #[test]
        fn any_figures_end(numbers: (u64, u64, u64, u64)) {
            let f = f64::from_bits;
            let center = Place { longitude: f(numbers.0), latitude: f(numbers.1) };
            let shape = Shape::Box { center, width: f(numbers.2), height: f(numbers.3) };
            let _ = (shape.scores(), Place::of_score(f(numbers.0)).letters());
        }
    }
}
