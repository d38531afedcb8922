//! The protobuf exposition: each family a message `io.prometheus.client.MetricFamily` behind its length. Written by hand: a
//! dozen fields do not want a compiler of schemas.
//!
//! Latencies are native histograms here: exponential buckets, eight to each power of two, and only those that are not empty.
//! The classic bounds stand in the same message, for a Prometheus that is told to keep both.

use super::format::{BOUNDS, Kind, Labels, Latencies, Quantiles, Writer};

/// Buckets grow by 2^(2^-3), about 9 %, which is what Prometheus' own libraries choose for a wished factor of 1.1.
const SCHEMA: i32 = 3;
/// Observations below this count as zero; there are none, but a histogram without it would be taken for a classic one.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    fn key(&mut self, field: u32, wire: u32) {
        self.varint(u64::from(field << 3 | wire));
    }

    fn unsigned(&mut self, field: u32, v: u64) {
        self.key(field, 0);
        self.varint(v);
    }

    /// `sint32` and `sint64`: small numbers of either sign are short.
    fn signed(&mut self, field: u32, v: i64) {
        self.unsigned(field, zigzag(v));
    }

    fn double(&mut self, field: u32, v: f64) {
        self.key(field, 1);
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, v: &[u8]) {
        self.key(field, 2);
        self.varint(v.len() as u64);
        self.0.extend_from_slice(v);
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }
}

const fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// Writes families one after the other.
#[derive(Default)]
pub struct Protobuf {
    out: Message,
    /// The family begun last.
    family: Message,
    kind: Option<Kind>,
    has_metrics: bool,
}

impl Protobuf {
    fn flush(&mut self) {
        let family = std::mem::take(&mut self.family);
        // One without metrics says nothing.
        if std::mem::take(&mut self.has_metrics) {
            self.out.varint(family.0.len() as u64);
            self.out.0.extend_from_slice(&family.0);
        }
    }

    fn metric(&mut self, labels: Labels<'_>, field: u32, value: impl FnOnce(&mut Message)) {
        self.has_metrics = true;
        self.family.message(4, |metric| {
            for (name, value) in labels {
                metric.message(1, |label| {
                    label.bytes(1, name.as_bytes());
                    label.bytes(2, value.as_bytes());
                });
            }
            metric.message(field, value);
        });
    }
}

impl Writer for Protobuf {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        self.flush();
        self.kind = Some(kind);
        self.family.bytes(1, name.as_bytes());
        if !help.is_empty() {
            self.family.bytes(2, help.as_bytes());
        }
        let number = match kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
            Kind::Summary => 2,
            Kind::Histogram => 4,
        };
        self.family.unsigned(3, number);
    }

    fn sample(&mut self, _: &str, labels: Labels<'_>, value: f64) {
        let field = if self.kind == Some(Kind::Counter) { 3 } else { 2 };
        self.metric(labels, field, |m| m.double(1, value));
    }

    fn summary(&mut self, _: &str, labels: Labels<'_>, quantiles: &Quantiles<'_>) {
        self.metric(labels, 4, |m| {
            m.unsigned(1, quantiles.count);
            m.double(2, quantiles.sum);
            for (at, _, value) in quantiles.at {
                m.message(3, |q| {
                    q.double(1, *at);
                    q.double(2, *value);
                });
            }
        });
    }

    fn histogram(&mut self, _: &str, labels: Labels<'_>, latencies: &Latencies<'_>) {
        let buckets = latencies.recorded.exponential(SCHEMA as u32);
        self.metric(labels, 7, |m| {
            m.unsigned(1, latencies.recorded.total());
            m.double(2, latencies.sum_s);
            for (bound_ns, _) in BOUNDS {
                m.message(3, |b| {
                    b.unsigned(1, latencies.recorded.up_to(*bound_ns));
                    b.double(2, *bound_ns as f64 / 1e9);
                });
            }
            m.signed(5, SCHEMA.into());
            m.double(6, ZERO_THRESHOLD);
            m.unsigned(7, 0);
            native(&buckets, m);
        });
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        self.flush();
        self.out.0
    }
}

/// Runs of neighbouring buckets as (how many empty ones before it, its length), and of all counts the difference to the one
/// before.
fn native(buckets: &[(i32, u64)], m: &mut Message) {
    let mut deltas = Message::default();
    let mut previous = 0i64;
    let mut end = 0;
    for run in buckets.chunk_by(|a, b| b.0 == a.0 + 1) {
        let first = run.first().map_or(0, |b| b.0);
        m.message(12, |span| {
            span.signed(1, i64::from(first - end));
            span.unsigned(2, run.len() as u64);
        });
        end = first + run.len() as i32;
        for (_, count) in run {
            let count = *count as i64;
            deltas.varint(zigzag(count - previous));
            previous = count;
        }
    }
    m.bytes(13, &deltas.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::{Histogram, Summary};

    #[test]
    fn families_stand_one_behind_the_other_and_empty_ones_are_left_out() {
        let mut p = Box::<Protobuf>::default();
        p.family("none", Kind::Gauge, "Nothing.");
        p.family("a", Kind::Counter, "A");
        p.sample("a", &[("x", "y")], 1.0);
        p.single("b", Kind::Gauge, "", 0.5);
        let a = b"\x0a\x01a\x12\x01A\x18\x00\x22\x13\x0a\x06\x0a\x01x\x12\x01y\x1a\x09\x09\0\0\0\0\0\0\xf0\x3f";
        let b = b"\x0a\x01b\x18\x01\x22\x0b\x12\x09\x09\0\0\0\0\0\0\xe0\x3f";
        let want: Vec<u8> = [&[a.len() as u8][..], a, &[b.len() as u8], b].concat();
        assert_eq!(p.finish(), want);
    }

    #[test]
    fn buckets_come_as_runs_and_differences() {
        let mut m = Message::default();
        native(&[(-3, 5), (-2, 4), (1, 4)], &mut m);
        // Runs (-3, 2) and (2 empty ones later, 1); counts 5, then -1, then 0.
        assert_eq!(m.0, b"\x62\x04\x08\x05\x10\x02\x62\x04\x08\x04\x10\x01\x6a\x03\x0a\x01\x00");
    }

    #[test]
    fn a_histogram_counts_what_its_buckets_hold() {
        let histogram = Histogram::new();
        for us in [1, 1, 3, 700, 2_000_000] {
            histogram.record(us * 1000);
        }
        let recorded = Summary::of([&histogram]);
        let buckets = recorded.exponential(SCHEMA as u32);
        assert_eq!(buckets.iter().map(|b| b.1).sum::<u64>(), recorded.total());
        assert_eq!(buckets.iter().map(|b| b.1).collect::<Vec<_>>(), [2, 1, 1, 1]);
        // 1 us lies in (2^-20, 2^(-159/8)]: 8 * log2(1e-6) is -159.4.
        assert_eq!(buckets[0].0, -159);
    }
}
