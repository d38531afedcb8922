//! The text of an exposition: OpenMetrics 1.0, or the older Prometheus text format for who does not ask for it.
//!
//! Invariants: the samples of a family stand together under one TYPE line; a label's value is escaped whatever is in it; in
//! OpenMetrics a counter's family is named without the `_total` its samples end in, and the text ends with `# EOF`.

use super::format::{BOUNDS, Format, Kind, Labels, Latencies, Quantiles, Writer};
use std::fmt::Write as _;

/// Writes families one after the other.
pub struct Text {
    out: String,
    format: Format,
}

impl Text {
    pub fn new(format: Format) -> Text {
        Text { out: String::with_capacity(16 * 1024), format }
    }
}

impl Writer for Text {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let open = self.format == Format::OpenMetrics;
        let counter = kind == Kind::Counter;
        let (family, kind) = match name.strip_suffix("_total") {
            Some(short) if open && counter => (short, "counter"),
            // OpenMetrics has no name for a counter whose samples do not end in `_total`.
            None if open && counter => (name, "unknown"),
            _ => {
                let word = match kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram => "histogram",
                    Kind::Summary => "summary",
                };
                (name, word)
            }
        };
        if !help.is_empty() {
            let _ = writeln!(self.out, "# HELP {family} {}", help.replace('\\', "\\\\").replace('\n', "\\n"));
        }
        let _ = writeln!(self.out, "# TYPE {family} {kind}");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        self.out.push_str(name);
        for (i, (label, value)) in labels.iter().enumerate() {
            self.out.push(if i == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{label}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {}", number(value));
    }

    fn summary(&mut self, name: &str, labels: Labels<'_>, quantiles: &Quantiles<'_>) {
        for (_, label, value) in quantiles.at {
            self.sample(name, &[labels, &[("quantile", label)]].concat(), *value);
        }
        self.sample(&format!("{name}_sum"), labels, quantiles.sum);
        self.sample(&format!("{name}_count"), labels, quantiles.count as f64);
    }

    fn histogram(&mut self, name: &str, labels: Labels<'_>, latencies: &Latencies<'_>) {
        let bucket = format!("{name}_bucket");
        let total = latencies.recorded.total() as f64;
        for (bound_ns, le) in BOUNDS {
            self.sample(&bucket, &[labels, &[("le", le)]].concat(), latencies.recorded.up_to(*bound_ns) as f64);
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), total);
        self.sample(&format!("{name}_sum"), labels, latencies.sum_s);
        self.sample(&format!("{name}_count"), labels, total);
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out.into_bytes()
    }
}

/// As both formats spell numbers.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.into()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_named_as_each_format_wants_it() {
        let text = |format| {
            let mut t = Box::new(Text::new(format));
            t.family("a_total", Kind::Counter, "Things.");
            t.sample("a_total", &[("x", "q\"\\\n")], 3.0);
            t.single("odd", Kind::Counter, "", f64::INFINITY);
            String::from_utf8(t.finish()).unwrap()
        };
        assert_eq!(
            text(Format::OpenMetrics),
            "# HELP a Things.\n# TYPE a counter\na_total{x=\"q\\\"\\\\\\n\"} 3\n# TYPE odd unknown\nodd +Inf\n# EOF\n"
        );
        assert_eq!(
            text(Format::Prometheus),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\\\n\"} 3\n# TYPE odd counter\nodd +Inf\n"
        );
    }
}
