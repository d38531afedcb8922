//! Latency histogram: fixed log-linear buckets over 1 ns .. 1 s, two significant decimal digits.
//!
//! Values below 256 have a bucket each; above, every power of two is divided into 128 buckets, so a bucket is at most
//! 0.8 % wide. Those are the bucket bounds Valkey reports from, and its answers are repeated exactly. Buckets come in
//! chunks of 128 (one power of two), allocated by their writer when first hit: a command touches six or so of 24.

use super::cells::Count;
use std::sync::OnceLock;

const CHUNK: usize = 128;
const CHUNK_BITS: u32 = 7;
const CHUNKS: usize = 24;
/// Longer latencies count as this one, in nanoseconds.
pub const LATENCY_NS_MAX: u64 = 1_000_000_000;
/// The highest value of the last bucket, where Valkey's histogram ends too.
const END_NS: u64 = (1 << 30) - 1;
/// The first bound of [`Summary::doubling`], in nanoseconds.
const DOUBLING_NS_FIRST: u64 = 1024;

const _: () = assert!(place(LATENCY_NS_MAX).0 == CHUNKS - 1);
const _: () = assert!(bounds(CHUNKS - 1, CHUNK - 1).1 == END_NS);

const fn place(ns: u64) -> (usize, usize) {
    if ns < CHUNK as u64 {
        return (0, ns as usize);
    }
    let shift = ns.ilog2() - CHUNK_BITS;
    (shift as usize + 1, (ns >> shift) as usize - CHUNK)
}

/// Lowest and highest value, in nanoseconds, that share the bucket.
const fn bounds(chunk: usize, at: usize) -> (u64, u64) {
    if chunk == 0 {
        return (at as u64, at as u64);
    }
    let shift = chunk - 1;
    let low = ((at + CHUNK) as u64) << shift;
    (low, low + (1 << shift) - 1)
}

/// A histogram with one writer; see [`cells`](super::cells).
#[derive(Debug, Default)]
pub struct Histogram {
    chunks: [OnceLock<Box<[Count; CHUNK]>>; CHUNKS],
}

impl Histogram {
    /// An empty histogram without buckets.
    pub const fn new() -> Self {
        Histogram { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// Counts a latency in nanoseconds; 0 counts as 1, and what is above [`LATENCY_NS_MAX`] as that.
    #[inline]
    pub fn record(&self, ns: u64) {
        let (chunk, at) = place(ns.clamp(1, LATENCY_NS_MAX));
        if let Some(count) = self.chunks.get(chunk).and_then(|c| c.get_or_init(Self::chunk).get(at)) {
            count.add(1);
        }
    }

    fn chunk() -> Box<[Count; CHUNK]> {
        Box::new([const { Count::new() }; CHUNK])
    }

    /// Empties the buckets and keeps their memory; only for the writer.
    pub fn clear(&self) {
        self.chunks.iter().filter_map(OnceLock::get).for_each(|chunk| chunk.iter().for_each(Count::clear));
    }
}

/// The sum of several histograms, to read figures from.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// (lowest, highest, count) of each bucket that is not empty, ascending.
    buckets: Vec<(u64, u64, u64)>,
    total: u64,
}

impl Summary {
    /// Adds up the histograms of one command from all workers.
    pub fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let mut counts = vec![0u64; CHUNK * CHUNKS];
        for histogram in histograms {
            for (chunk, into) in histogram.chunks.iter().zip(counts.chunks_exact_mut(CHUNK)) {
                for (count, sum) in chunk.get().iter().flat_map(|c| c.iter()).zip(into) {
                    *sum += count.get();
                }
            }
        }
        let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let buckets: Vec<_> = filled
            .map(|(i, count)| {
                let (low, high) = bounds(i / CHUNK, i % CHUNK);
                (low, high, *count)
            })
            .collect();
        let total = buckets.iter().map(|b| b.2).sum();
        Summary { buckets, total }
    }

    /// Number of latencies recorded.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Latencies that are certainly not above `ns`; those that share its bucket count only if all of the bucket does not exceed it.
    pub fn up_to(&self, ns: u64) -> u64 {
        self.buckets.iter().take_while(|b| b.1 <= ns).map(|b| b.2).sum()
    }

    /// The latency in nanoseconds that `percent` (0 to 100) of the recorded ones do not exceed: the upper bound of its
    /// bucket, or for 0 the lower bound of the lowest. 0 when nothing was recorded.
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted = ((percent.clamp(0.0, 100.0) / 100.0 * self.total as f64 + 0.5) as u64).max(1);
        let mut seen = 0;
        for (low, high, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return if percent == 0.0 { *low } else { *high };
            }
        }
        self.buckets.last().map_or(0, |b| b.1)
    }

    /// (upper bound in microseconds, latencies up to it), bounds doubling from about 1 us, without the bounds that add
    /// nothing: the body of LATENCY HISTOGRAM.
    pub fn doubling(&self) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        let mut bound = DOUBLING_NS_FIRST;
        let mut buckets = self.buckets.iter().peekable();
        let mut seen = 0;
        while seen < self.total {
            let (chunk, at) = place(bound);
            let high = bounds(chunk, at).1.min(END_NS);
            let before = seen;
            while let Some((_, _, count)) = buckets.next_if(|b| b.1 <= high) {
                seen += count;
            }
            if seen > before {
                out.push((high / 1000, seen));
            }
            bound *= 2;
        }
        out
    }

    /// (index, latencies) of exponential buckets that are not empty, ascending: bucket `i` holds what is above 2^((i-1)/2^schema)
    /// and not above 2^(i/2^schema) seconds. A bucket of this histogram counts where its upper end lies, which is at most
    /// 0.8 % off.
    pub fn exponential(&self, schema: u32) -> Vec<(i32, u64)> {
        let per_octave = f64::from(1u32 << schema);
        let mut out: Vec<(i32, u64)> = Vec::new();
        for (_, high, count) in &self.buckets {
            let index = ((*high as f64 / 1e9).log2() * per_octave).ceil() as i32;
            match out.last_mut() {
                Some((last, sum)) if *last == index => *sum += count,
                _ => out.push((index, *count)),
            }
        }
        out
    }

    /// The value of a `latency_percentiles_usec_<command>` row: `p50=1.003,p99=...`, in microseconds.
    pub fn percentiles_row(&self, percents: &[f64]) -> String {
        let parts: Vec<String> = percents
            .iter()
            .map(|p| {
                let ns = self.percentile_ns(*p);
                format!("p{p}={}.{:03}", ns / 1000, ns % 1000)
            })
            .collect();
        parts.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn summary(values: &[u64]) -> Summary {
        let histogram = Histogram::new();
        values.iter().for_each(|v| histogram.record(*v));
        Summary::of([&histogram])
    }

    #[test]
    fn figures_are_those_of_valkey() {
        // From a Valkey 9.1: the latency in whole microseconds against what INFO latencystats and LATENCY HISTOGRAM print.
        for (us, percentile, bound) in [
            (1, "p50=1.003", 1),
            (2, "p50=2.007", 2),
            (4, "p50=4.015", 4),
            (17, "p50=17.023", 33),
            (175, "p50=175.103", 264),
            (2_080, "p50=2080.767", 2_113),
            (10_090, "p50=10092.543", 16_908),
            (100_130, "p50=100139.007", 135_266),
            (501_000, "p50=501219.327", 541_065),
            (1_500_000, "p50=1002438.655", 1_073_741),
        ] {
            let s = summary(&[us * 1000]);
            assert_eq!(s.percentiles_row(&[50.0]), percentile);
            assert_eq!(s.doubling(), [(bound, 1)]);
        }
        assert_eq!(
            summary(&[186_400]).percentiles_row(&[0.0, 33.333, 99.9]),
            "p0=186.368,p33.333=187.391,p99.9=187.391"
        );
    }

    #[test]
    fn doubling_bounds_leave_out_those_that_add_nothing() {
        assert_eq!(summary(&[15_000, 60_000, 70_000, 70_001]).doubling(), [(16, 1), (66, 2), (132, 4)]);
    }

    #[test]
    fn counts_up_to_a_bound_never_fall_and_end_at_the_total() {
        let s = summary(&[900, 40_000, 2_000_000]);
        assert_eq!([500, 1_000, 50_000, 1_000_000_000].map(|ns| s.up_to(ns)), [0, 1, 2, 3]);
    }

    #[test]
    fn an_empty_summary_answers_zero() {
        assert_eq!(Summary::default().percentile_ns(99.0), 0);
        assert!(summary(&[]).doubling().is_empty());
    }

    proptest! {
        #[test]
        fn every_value_lies_in_its_bucket_within_two_digits(ns in 1..=LATENCY_NS_MAX) {
            let (chunk, at) = place(ns);
            let (low, high) = bounds(chunk, at);
            prop_assert!(low <= ns && ns <= high);
            prop_assert!((high - low) * 100 <= ns);
        }

        #[test]
        fn percentiles_agree_with_sorting(mut values in prop::collection::vec(1..=LATENCY_NS_MAX, 1..300), p in 0.1f64..100.0) {
            let s = summary(&values);
            values.sort_unstable();
            let rank = ((p / 100.0 * values.len() as f64 + 0.5) as usize).max(1);
            let (chunk, at) = place(values[rank - 1]);
            prop_assert_eq!(s.percentile_ns(p), bounds(chunk, at).1);
            prop_assert_eq!(s.doubling().last().map(|b| b.1), Some(values.len() as u64));
        }
    }
}
