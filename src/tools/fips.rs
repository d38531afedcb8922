//! `holdfast fips status [--json]`: runs the start-up gate and prints what it found.

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
}

/// Exit status 0 when every requirement passed, else 1; 2 when the answer could not be written.
pub fn run(args: &FipsArgs, out: &mut dyn Write) -> ExitCode {
    let FipsCommand::Status { json } = args.command;
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
}
