//! From a histogram of registers to an estimate: the improved raw estimator of O. Ertl ("New cardinality estimation algorithms for
//! HyperLogLog sketches", 2017), which needs no tables.

use super::{INDEX_BITS, REGISTERS};

/// Bits of a hash behind the index.
const Q: usize = 64 - INDEX_BITS as usize;
/// 1 / (2 ln 2)
const ALPHA_INF: f64 = 0.721_347_520_444_481_7;

/// `histogram[v]` registers have the value `v`.
pub(super) fn of(histogram: &[u32; 64]) -> u64 {
    let m = REGISTERS as f64;
    let at = |v: usize| f64::from(histogram[v]);
    let mut z = m * tau((m - at(Q + 1)) / m);
    for v in (1..=Q).rev() {
        z += at(v);
        z *= 0.5;
    }
    z += m * sigma(at(0) / m);
    (ALPHA_INF * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
