//! What the gate found, as a value: a line per requirement, as approved as its weakest part.

use super::environment::Environment;
use crate::crypto;

/// Ordered from worst to best, so that the minimum of all is the verdict of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Failed,
    /// Nothing forbids it and a reviewer should see it.
    Warning,
    Passed,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Warning => "warning",
            Self::Passed => "passed",
        }
    }
}

/// The outcome of one requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// One word or two joined by `-`, stable: tools look for it.
    pub requirement: &'static str,
    pub verdict: Verdict,
    /// What was found, as a sentence's end.
    pub detail: String,
}

impl Line {
    pub(super) fn passed(requirement: &'static str, detail: impl Into<String>) -> Self {
        Self { requirement, verdict: Verdict::Passed, detail: detail.into() }
    }

    pub(super) fn warning(requirement: &'static str, detail: impl Into<String>) -> Self {
        Self { requirement, verdict: Verdict::Warning, detail: detail.into() }
    }

    pub(super) fn failed(requirement: &'static str, detail: impl Into<String>) -> Self {
        Self { requirement, verdict: Verdict::Failed, detail: detail.into() }
    }
}

/// Everything the gate found, in the order it looked.
#[derive(Debug, Clone)]
pub struct Report {
    pub lines: Vec<Line>,
    pub environment: Environment,
}

impl Report {
    /// The weakest of all lines. A report without lines has shown nothing.
    pub fn verdict(&self) -> Verdict {
        self.lines.iter().map(|l| l.verdict).min().unwrap_or(Verdict::Failed)
    }

    /// The first line that failed.
    pub fn failure(&self) -> Option<&Line> {
        self.lines.iter().find(|l| l.verdict == Verdict::Failed)
    }

    /// Rows for `INFO fips` and `FIPS STATUS`, in order, one value each.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let e = &self.environment;
        let yes_no = |b: bool| if b { "yes" } else { "no" }.to_owned();
        let of = |requirement: &str| {
            let line = self.lines.iter().find(|l| l.requirement == requirement);
            line.map_or("not run", |l| l.verdict.as_str()).to_owned()
        };
        vec![
            ("fips_mode", u8::from(crypto::fips_mode()).to_string()),
            ("fips_validation", if self.failure().is_some() { "failed" } else { "passed" }.to_owned()),
            ("fips_standard", "FIPS 140-3".to_owned()),
            ("fips_certificate", crypto::CERTIFICATE.to_owned()),
            ("fips_module", crypto::module_version().to_owned()),
            ("fips_lane", crypto::LANE.to_owned()),
            ("fips_integrity_test", of("integrity")),
            ("fips_self_test", of("self-test")),
            ("fips_provider", of("provider")),
            ("fips_tls_server", of("tls-server")),
            ("fips_tls_client", of("tls-client")),
            ("fips_other_crypto_libraries", of("libraries")),
            ("fips_inspection_denied", of("inspection")),
            ("fips_entropy", crypto::entropy().as_str().to_owned()),
            ("fips_tls_versions", "TLSv1.2,TLSv1.3".to_owned()),
            ("fips_tls_suites", crypto::APPROVED_SUITES.iter().map(|s| s.openssl).collect::<Vec<_>>().join(",")),
            (
                "fips_tls_groups",
                crypto::APPROVED_GROUPS.iter().map(|g| crypto::group_name(g.name())).collect::<Vec<_>>().join(","),
            ),
            ("fips_operational_environment", e.listing().as_str().to_owned()),
            ("fips_architecture", e.architecture.to_owned()),
            ("fips_cpu", e.cpu.clone()),
            ("fips_rdrand", yes_no(e.rdrand)),
            ("fips_kernel", e.kernel.clone()),
            ("fips_kernel_fips_enabled", yes_no(e.kernel_fips)),
            ("fips_distribution", e.distribution.clone()),
            ("fips_container", e.container.clone().unwrap_or_else(|| "none".to_owned())),
            ("fips_hypervisor", yes_no(e.hypervisor)),
            ("fips_tracer_pid", e.tracer_pid.to_string()),
        ]
    }

    /// For people: the log's lines, then the rows.
    pub fn text(&self) -> String {
        let mut out = self.log_lines().join("\n");
        out.push_str("\n\n");
        for (name, value) in self.rows() {
            out.push_str(&format!("{name}:{value}\n"));
        }
        out
    }

    /// For tools: `{"validation": ..., "requirements": [{...}], "status": {...}}`.
    pub fn json(&self) -> serde_json::Value {
        let requirements: Vec<_> = self
            .lines
            .iter()
            .map(|l| serde_json::json!({"requirement": l.requirement, "verdict": l.verdict.as_str(), "detail": l.detail}))
            .collect();
        let status: serde_json::Map<_, _> = self.rows().into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        serde_json::json!({
            "validation": if self.failure().is_some() { "failed" } else { "passed" },
            "requirements": requirements,
            "status": status,
        })
    }

    /// Each line as the log has it, the conclusion last.
    pub fn log_lines(&self) -> Vec<String> {
        let mut out: Vec<String> = self
            .lines
            .iter()
            .map(|l| format!("FIPS VALIDATION: {} {}: {}", l.requirement, l.verdict.as_str(), l.detail))
            .collect();
        out.push(self.conclusion());
        out
    }

    pub(super) fn conclusion(&self) -> String {
        match self.failure() {
            None => "FIPS VALIDATION: PASSED".to_owned(),
            Some(line) => format!("FIPS VALIDATION: FAILED: {}, {}", line.requirement, line.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: Vec<Line>) -> Report {
        Report { lines, environment: Environment::default() }
    }

    #[test]
    fn a_report_is_as_good_as_its_weakest_line() {
        assert_eq!(report(vec![]).verdict(), Verdict::Failed);
        assert_eq!(report(vec![Line::passed("a", "")]).verdict(), Verdict::Passed);
        assert_eq!(report(vec![Line::passed("a", ""), Line::warning("b", "")]).verdict(), Verdict::Warning);
        let bad = report(vec![Line::failed("a", "why"), Line::passed("b", "")]);
        assert_eq!(bad.verdict(), Verdict::Failed);
        assert_eq!(bad.conclusion(), "FIPS VALIDATION: FAILED: a, why");
    }

    #[test]
    fn rows_and_json_agree() {
        let r = report(vec![Line::passed("integrity", "")]);
        let json = r.json();
        for (name, value) in r.rows() {
            assert_eq!(json["status"][name], value, "{name}");
        }
        assert!(!r.rows().iter().any(|(_, v)| v.contains(['\r', '\n'])));
    }
}
