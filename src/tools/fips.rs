//! `holdfast fips status [--json]`: runs the start-up gate and prints what it found. `fips evidence` is beside it.

use std::io::Write;
use std::process::ExitCode;

use crate::fips::Booting;

/// What `holdfast fips` can be asked.
#[derive(Debug, Clone, clap::Args)]
pub struct FipsArgs {
    #[command(subcommand)]
    pub command: FipsCommand,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum FipsCommand {
    /// Validate the module and its surroundings on this machine and show each requirement
    Status {
        /// Print one JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Gather what a reviewer asks for: module, self-tests, environment, TLS probes, bills of materials, negative tests
    Evidence(super::evidence::EvidenceArgs),
}

/// Exit status 0 when every requirement passed, else 1; 2 when the answer could not be written.
pub fn run(args: &FipsArgs, out: &mut dyn Write) -> ExitCode {
    let json = match &args.command {
        FipsCommand::Evidence(args) => return super::evidence::run(args, out),
        FipsCommand::Status { json } => *json,
    };
    let (report, code) = match Booting::new().validate(None, None) {
        Ok(approved) => (approved.report().clone(), ExitCode::SUCCESS),
        Err(rejected) => (*rejected.report, ExitCode::FAILURE),
    };
    let written = if json { writeln!(out, "{:#}", report.json()) } else { out.write_all(report.text().as_bytes()) };
    match written.and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::from(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_prints_text_and_json_and_succeeds() {
        for json in [false, true] {
            let mut out = Vec::new();
            let code = run(&FipsArgs { command: FipsCommand::Status { json } }, &mut out);
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
            let text = String::from_utf8(out).unwrap();
            if json {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["validation"], "passed");
                assert_eq!(value["status"]["fips_certificate"], "#5314");
            } else {
                assert!(text.contains("FIPS VALIDATION: PASSED"));
            }
        }
    }

    #[test]
    fn evidence_is_complete_and_all_of_it_is_as_it_has_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let args = crate::tools::evidence::EvidenceArgs { out: Some(folder.path().join("e")), ..Default::default() };
        let mut out = Vec::new();
        let code = run(&FipsArgs { command: FipsCommand::Evidence(args) }, &mut out);
        let names: Vec<_> =
            std::fs::read_dir(folder.path().join("e")).unwrap().map(|e| e.unwrap().file_name()).collect();
        let text: String =
            names.iter().map(|n| std::fs::read_to_string(folder.path().join("e").join(n)).unwrap()).collect();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS), "{text}");
        assert_eq!(names.len(), 11);
        for part in ["awslc_version_string", "rustc version", "\"CycloneDX\"", "PBKDF2-HMAC-SHA-256", "TLS 1.0"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
