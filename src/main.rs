//! The multi-call binary: `argv[0]` or the first word chooses the tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default().to_string_lossy().into_owned();
    let mut args: Vec<_> = args.collect();
    let name = program.rsplit('/').next().unwrap_or_default();
    if matches!(name, "valkey-cli" | "redis-cli") {
        return holdfast::tools::cli::run(&program, args);
    }
    if args.first().is_some_and(|a| a == "cli") {
        args.remove(0);
        return holdfast::tools::cli::run("holdfast cli", args);
    }
    eprintln!("{program}: only the tool `cli` is there yet");
    ExitCode::FAILURE
}
