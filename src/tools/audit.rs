//! `holdfast audit verify FILE --key FILE [--json]`: is this log the one that was written?

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::audit::{Key, verify};

/// What `holdfast audit` can be asked.
#[derive(Debug, Clone, clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum AuditCommand {
    /// Verify the chain of a log with all its files, and name the first record that is broken
    Verify {
        /// The log (`audit-file`); files that were put aside are found beside it
        log: PathBuf,
        /// The key of the chain (`audit-key-file`); default: the log's name with .key
        #[arg(long)]
        key: Option<PathBuf>,
        /// Print one JSON object instead of text
        #[arg(long)]
        json: bool,
    },
}

/// Exit status 0 when the chain holds, 1 when it does not, 2 when that cannot be told.
pub fn run(args: &AuditArgs, out: &mut dyn Write) -> ExitCode {
    let AuditCommand::Verify { log, key, json } = &args.command;
    let key = key.clone().unwrap_or_else(|| {
        let mut name = log.as_os_str().to_owned();
        name.push(".key");
        PathBuf::from(name)
    });
    let key = match Key::read(&key) {
        Ok(key) => key,
        Err(e) => {
            // Nobody reads standard output where even that fails.
            let _ = writeln!(out, "{e}");
            return ExitCode::from(2);
        }
    };
    let (text, code) = match verify(log, &key) {
        Ok(v) if *json => (
            format!(
                "{:#}",
                serde_json::json!({"verified": true, "records": v.records, "first": v.first_seq, "last": v.last_seq,
                    "files": v.files, "unfinished_bytes": v.unfinished_bytes, "mac": v.last_mac})
            ),
            ExitCode::SUCCESS,
        ),
        Ok(v) => {
            let mut text = format!(
                "verified: {} records, {} to {}, in {} files; last mac {}",
                v.records, v.first_seq, v.last_seq, v.files, v.last_mac
            );
            if v.unfinished_bytes > 0 {
                text.push_str(&format!("\nan unfinished record of {} bytes stands at the end", v.unfinished_bytes));
            }
            (text, ExitCode::SUCCESS)
        }
        Err(broken) if *json => (
            format!(
                "{:#}",
                serde_json::json!({"verified": false, "file": broken.file.display().to_string(), "line": broken.line,
                    "fault": broken.fault.to_string()})
            ),
            ExitCode::FAILURE,
        ),
        Err(broken) => (format!("BROKEN: {broken}"), ExitCode::FAILURE),
    };
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::from(2),
    }
}
