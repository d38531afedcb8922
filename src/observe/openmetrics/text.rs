//! The text of an exposition: OpenMetrics 1.0, or the older Prometheus text format for who does not ask for it.
//!
//! Invariants: the samples of a family stand together under one TYPE line; a label's value is escaped whatever is in it; in
//! OpenMetrics a counter's family is named without the `_total` its samples end in, and the text ends with `# EOF`.

use std::fmt::Write as _;

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    Prometheus,
}

impl Format {
    /// What an `Accept` header asks for; without one, the older format, which everything reads.
    pub fn of(accept: &str) -> Format {
        if accept.to_ascii_lowercase().contains("application/openmetrics-text") {
            Format::OpenMetrics
        } else {
            Format::Prometheus
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
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

/// Writes families one after the other.
pub struct Text {
    out: String,
    format: Format,
}

impl Text {
    pub fn new(format: Format) -> Text {
        Text { out: String::with_capacity(16 * 1024), format }
    }

    /// Begins a family. `name` is the name of its samples (of its `_count` and the like without the suffix).
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
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

    /// A sample of the family begun last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
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

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
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
            let mut t = Text::new(format);
            t.family("a_total", Kind::Counter, "Things.");
            t.sample("a_total", &[("x", "q\"\\\n")], 3.0);
            t.single("odd", Kind::Counter, "", f64::INFINITY);
            t.finish()
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

    #[test]
    fn the_format_is_chosen_by_the_accept_header() {
        let asked = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::of(asked), Format::OpenMetrics);
        assert_eq!(Format::of("text/html, */*"), Format::Prometheus);
    }
}
