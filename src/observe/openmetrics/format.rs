//! Which of the three expositions a scraper is given, and what all of them can say.
//!
//! The text formats spell a latency histogram as counts below fixed bounds; native histograms, with a resolution that nobody
//! has to choose beforehand, exist in the protobuf exposition alone, which Prometheus asks for when it can take them.

use crate::metrics::histogram::Summary;

/// A format of the exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    Prometheus,
    /// Messages `io.prometheus.client.MetricFamily`, each behind its length.
    Protobuf,
}

impl Format {
    /// What an `Accept` header asks for most; without one, the older text format, which everything reads.
    pub fn of(accept: &str) -> Format {
        let mut best = (Format::Prometheus, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut message, mut encoding) = (1.0, "", "");
            for (name, value) in parts.filter_map(|p| p.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = value.trim().parse::<f32>().unwrap_or(0.0),
                    "proto" => message = value.trim(),
                    "encoding" => encoding = value.trim(),
                    _ => {}
                }
            }
            let format = match media.as_str() {
                "application/openmetrics-text" => Format::OpenMetrics,
                "text/plain" => Format::Prometheus,
                "application/vnd.google.protobuf"
                    if message == "io.prometheus.client.MetricFamily" && encoding == "delimited" =>
                {
                    Format::Protobuf
                }
                _ => continue,
            };
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Percentiles of one series.
pub struct Quantiles<'a> {
    /// (quantile, as its label spells it, value).
    pub at: &'a [(f64, String, f64)],
    pub count: u64,
    pub sum: f64,
}

/// The latencies of one series.
pub struct Latencies<'a> {
    pub recorded: &'a Summary,
    pub sum_s: f64,
}

/// Writes families one after the other.
pub trait Writer {
    /// Begins a family. `name` is the name of its samples (of its `_count` and the like without the suffix).
    fn family(&mut self, name: &str, kind: Kind, help: &str);
    /// A counter or gauge of the family begun last.
    fn sample(&mut self, name: &str, labels: Labels<'_>, value: f64);
    /// A summary of the family begun last.
    fn summary(&mut self, name: &str, labels: Labels<'_>, quantiles: &Quantiles<'_>);
    /// A histogram of the family begun last.
    fn histogram(&mut self, name: &str, labels: Labels<'_>, latencies: &Latencies<'_>);
    fn finish(self: Box<Self>) -> Vec<u8>;

    /// A family of one sample without labels.
    fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// Upper bounds of the classic histogram, in nanoseconds and as the label says them in seconds.
pub const BOUNDS: &[(u64, &str)] = &[
    (10_000, "1e-05"),
    (25_000, "2.5e-05"),
    (50_000, "5e-05"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_accept_header_asks_for_most() {
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for (accept, want) in [
            ("", Format::Prometheus),
            ("text/html, */*", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3", Format::OpenMetrics),
            ("application/openmetrics-text; q=0.1, text/plain", Format::Prometheus),
            (&format!("{native},application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1"), Format::Protobuf),
            (&format!("{native};q=0.3,application/openmetrics-text;q=0.8"), Format::OpenMetrics),
            // Another message, or all of them without lengths, is not made here.
            ("application/vnd.google.protobuf;proto=other;encoding=delimited", Format::Prometheus),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=much", Format::Prometheus),
        ] {
            assert_eq!(Format::of(accept), want, "{accept}");
        }
    }
}
