//! The start-up gate: every requirement in order, a log line each, and nothing bound before all have passed.
//!
//! The module's integrity test ran before `main`, in its constructor, and would have aborted the process; what is run here
//! is the test on demand, so that the log has a line of it.

use parking_lot::Mutex;
use rustls::{ClientConfig, ServerConfig};
use tracing::{error, info, warn};

use super::environment::{Environment, Listing};
use super::libraries::foreign_libraries;
use super::report::{Line, Report, Verdict};
use crate::base::clock;
use crate::crypto;
use crate::net::Permit;
use crate::net::tls::probe;

/// A process that has shown nothing yet. [`Booting::validate`] turns it into one that may serve, or not.
#[derive(Debug, Default)]
pub struct Booting(());

/// A process whose every requirement has passed. One exists for the life of the server.
#[derive(Debug)]
pub struct Approved {
    report: Report,
    permit: Permit,
    last_self_test: Mutex<SelfTest>,
}

/// The last time the module's tests ran.
#[derive(Clone, Copy, Debug)]
pub struct SelfTest {
    pub passed: bool,
    /// ms since the epoch.
    pub time_ms: i64,
    pub duration_us: u64,
    /// How often they have run in this process, the gate's run included.
    pub runs: u64,
}

/// A process that must end, with an exit status other than 0.
#[derive(Debug)]
pub struct Rejected {
    pub report: Box<Report>,
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.report.conclusion())
    }
}

impl std::error::Error for Rejected {}

impl Approved {
    pub fn report(&self) -> &Report {
        &self.report
    }

    pub fn last_self_test(&self) -> SelfTest {
        *self.last_self_test.lock()
    }

    /// Runs the module's integrity and known-answer tests again. One that fails ends the process: the module sees to that.
    ///
    /// # Errors
    /// The test that failed, where the module let the process live.
    pub fn self_test(&self) -> Result<(), crypto::SelfTestFailed> {
        let begin = clock::monotonic_ns();
        let outcome = crypto::self_test();
        let mut last = self.last_self_test.lock();
        *last = SelfTest {
            passed: outcome.is_ok(),
            time_ms: clock::wall_ms(),
            duration_us: (clock::monotonic_ns() - begin) / 1000,
            runs: last.runs + 1,
        };
        outcome
    }

    /// What binding a socket asks for.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }
}

impl Booting {
    pub fn new() -> Self {
        Self(())
    }

    /// Runs every requirement, logs a line for each, and stops at the first that fails. `server` and `client` are the
    /// configurations this process will use, where it has them already; the defaults are judged in any case.
    pub fn validate(self, server: Option<&ServerConfig>, client: Option<&ClientConfig>) -> Result<Approved, Rejected> {
        let denied = crypto::deny_inspection();
        let environment = Environment::read();
        let maps = std::fs::read_to_string("/proc/self/maps");
        let requirements: [&dyn Fn() -> Line; 12] = [
            &integrity,
            &mode,
            &version,
            &self_test,
            &provider,
            &|| tls_server(server),
            &|| tls_client(client),
            &|| libraries(maps.as_deref().ok()),
            &|| inspection(denied),
            &|| entropy(&environment),
            &|| operational_environment(&environment),
            &|| tracer(&environment),
        ];
        let begin = clock::monotonic_ns();
        let mut lines = Vec::with_capacity(requirements.len());
        for requirement in requirements {
            let line = requirement();
            match line.verdict {
                Verdict::Passed => info!("FIPS VALIDATION: {}: {}", line.requirement, line.detail),
                Verdict::Warning => warn!("FIPS VALIDATION: {}: {}", line.requirement, line.detail),
                // The conclusion says it.
                Verdict::Failed => {}
            }
            let failed = line.verdict == Verdict::Failed;
            lines.push(line);
            if failed {
                break;
            }
        }
        let last = SelfTest {
            passed: true,
            time_ms: clock::wall_ms(),
            duration_us: (clock::monotonic_ns() - begin) / 1000,
            runs: 1,
        };
        conclude(Report { lines, environment }, last)
    }
}

fn conclude(report: Report, last: SelfTest) -> Result<Approved, Rejected> {
    if report.verdict() == Verdict::Failed {
        error!("{}", report.conclusion());
        return Err(Rejected { report: Box::new(report) });
    }
    info!("{}", report.conclusion());
    Ok(Approved { report, permit: Permit::after_the_gate(), last_self_test: Mutex::new(last) })
}

fn integrity() -> Line {
    const NAME: &str = "integrity";
    match crypto::integrity_test() {
        Ok(()) => Line::passed(NAME, "the module's integrity test passed, at load and on demand"),
        Err(e) => Line::failed(NAME, e.to_string()),
    }
}

fn mode() -> Line {
    const NAME: &str = "mode";
    if crypto::fips_mode() {
        Line::passed(NAME, "FIPS_mode() is 1")
    } else {
        Line::failed(NAME, "FIPS_mode() is not 1: the linked library is not the validated module")
    }
}

fn version() -> Line {
    judge_version(crypto::module_version())
}

fn judge_version(found: &str) -> Line {
    const NAME: &str = "module";
    if found == crypto::MODULE_VERSION {
        Line::passed(NAME, format!("{found}, FIPS 140-3 certificate {}, lane {}", crypto::CERTIFICATE, crypto::LANE))
    } else {
        Line::failed(
            NAME,
            format!("version is '{found}', certificate {} is for '{}'", crypto::CERTIFICATE, crypto::MODULE_VERSION),
        )
    }
}

fn self_test() -> Line {
    const NAME: &str = "self-test";
    match crypto::known_answer_tests() {
        Ok(()) => Line::passed(NAME, "the module's known-answer tests passed on demand"),
        Err(e) => Line::failed(NAME, e.to_string()),
    }
}

fn provider() -> Line {
    const NAME: &str = "provider";
    let provider = crypto::provider(&[]);
    if !provider.fips() {
        return Line::failed(NAME, "the TLS provider is not approved");
    }
    Line::passed(
        NAME,
        format!("approved, {} cipher suites, {} groups", provider.cipher_suites.len(), provider.kx_groups.len()),
    )
}

fn tls_server(given: Option<&ServerConfig>) -> Line {
    const NAME: &str = "tls-server";
    match probe::server() {
        Ok(default) if default.fips() && given.is_none_or(ServerConfig::fips) => {
            Line::passed(NAME, "the server's TLS configuration is approved, extended master secret demanded")
        }
        Ok(_) => Line::failed(NAME, "the server's TLS configuration is not approved"),
        Err(e) => Line::failed(NAME, e.to_string()),
    }
}

fn tls_client(given: Option<&ClientConfig>) -> Line {
    const NAME: &str = "tls-client";
    match probe::client() {
        Ok(default) if default.fips() && given.is_none_or(ClientConfig::fips) => {
            Line::passed(NAME, "the client's TLS configuration is approved, extended master secret demanded")
        }
        Ok(_) => Line::failed(NAME, "the client's TLS configuration is not approved"),
        Err(e) => Line::failed(NAME, e.to_string()),
    }
}

fn libraries(maps: Option<&str>) -> Line {
    const NAME: &str = "libraries";
    // Not to be able to look is not to have shown it.
    let Some(maps) = maps else { return Line::failed(NAME, "/proc/self/maps cannot be read") };
    match foreign_libraries(maps).as_slice() {
        [] => Line::passed(NAME, "no other cryptographic library in the process"),
        found => Line::failed(NAME, format!("other cryptographic libraries in the process: {}", found.join(", "))),
    }
}

fn inspection(denied: bool) -> Line {
    const NAME: &str = "inspection";
    if denied {
        Line::passed(NAME, "core dumps and debuggers are denied")
    } else {
        Line::warning(NAME, "the kernel did not let core dumps and debuggers be denied")
    }
}

fn entropy(e: &Environment) -> Line {
    let source = crypto::entropy().as_str();
    let rdrand = if e.rdrand { "the processor has RDRAND" } else { "the processor has no RDRAND" };
    Line::passed("entropy", format!("{source}; {rdrand}"))
}

fn operational_environment(e: &Environment) -> Line {
    let standing = match e.listing() {
        Listing::Listed => "operational environment listed on the certificate",
        Listing::Ported => "ported operational environment",
    };
    let container = e.container.as_deref().unwrap_or("none");
    Line::passed(
        "environment",
        format!(
            "{standing}: {}, {}, kernel {}, {}, container {container}",
            e.architecture, e.cpu, e.kernel, e.distribution
        ),
    )
}

fn tracer(e: &Environment) -> Line {
    const NAME: &str = "tracer";
    match e.tracer_pid {
        0 => Line::passed(NAME, "no tracer is attached"),
        pid => Line::warning(NAME, format!("process {pid} traces this one, which the module's policy does not allow")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_passes_here_and_hands_out_a_permit() {
        let approved = Booting::new().validate(None, None).unwrap();
        let _: &Permit = approved.permit();
        assert_eq!(approved.report().lines.len(), 12);
        assert_ne!(approved.report().verdict(), Verdict::Failed);
        let text = approved.report().text();
        assert!(text.contains("FIPS VALIDATION: PASSED\n"), "{text}");
        assert!(text.contains("fips_mode:1\nfips_validation:passed\n"), "{text}");
    }

    #[test]
    fn gate_refuses_a_configuration_without_extended_master_secret() {
        let mut bad = probe::server().unwrap();
        bad.require_ems = false;
        let rejected = Booting::new().validate(Some(&bad), None).unwrap_err();
        assert_eq!(
            rejected.to_string(),
            "FIPS VALIDATION: FAILED: tls-server, the server's TLS configuration is not approved"
        );
        // Nothing after it was tried.
        assert_eq!(rejected.report.lines.last().unwrap().requirement, "tls-server");

        let mut bad = probe::client().unwrap();
        bad.require_ems = false;
        assert!(Booting::new().validate(None, Some(&bad)).is_err());
    }

    #[test]
    fn gate_refuses_another_version_of_the_module() {
        assert_eq!(judge_version("AWS-LC FIPS 3.1.0").verdict, Verdict::Passed);
        for other in ["AWS-LC FIPS 3.4.0", "AWS-LC 1.60.0", ""] {
            assert_eq!(judge_version(other).verdict, Verdict::Failed, "{other}");
        }
    }

    #[test]
    fn gate_refuses_a_second_crypto_library_and_an_unreadable_map() {
        let line = libraries(Some("7f00 r-xp 0 08:01 1 /usr/lib/libssl.so.3\n"));
        assert_eq!(line.verdict, Verdict::Failed);
        assert!(line.detail.contains("/usr/lib/libssl.so.3"));
        assert_eq!(libraries(None).verdict, Verdict::Failed);
    }

    #[test]
    fn a_tracer_is_reported() {
        let line = tracer(&Environment { tracer_pid: 4711, ..Environment::default() });
        assert_eq!(line.verdict, Verdict::Warning);
        assert!(line.detail.contains("4711"));
    }
}
