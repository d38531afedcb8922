//! Claims about the repository itself: layers, dependencies, the table of commands, what is linked, what the release is laid out by.

mod dependencies;
mod layers;
mod linked;
mod profile;
mod table;

use std::path::Path;

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program at the root and returns what it prints.
#[track_caller]
fn output(program: &str, args: &[&str]) -> String {
    let out = std::process::Command::new(program).args(args).current_dir(root()).output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}
